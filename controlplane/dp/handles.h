// Handles that the control plane chooses (lib/shm/dpmsg.h): index | generation << 20, never 0 and
// never all ones. A freed index comes back last, with the next generation. One thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct handles;

// NULL: no memory. Memory is touched only where indices are used.
struct handles *handles_new(void);
void handles_free(struct handles *h);
// Indices handed out are below max from now on (what the data plane's table holds).
void handles_set_max(struct handles *h, uint32_t max);
uint32_t handles_take(struct handles *h); // 0: none left
// Adopt one that lives already. -EEXIST: its index is taken; -EINVAL: no handle.
int handles_take_exact(struct handles *h, uint32_t handle);
void handles_put(struct handles *h, uint32_t handle); // 0 and strangers are ignored
bool handles_is_live(const struct handles *h, uint32_t handle);
