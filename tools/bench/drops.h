// What a node counted as dropped: of its workers, by reason, and by its devices. Only what a packet
// of ours can come to: frames that are for the kernel, or handshakes, are other people's.
#pragma once

#include "lib/shm/stats.h"

struct drops {
	uint64_t worker[W_COUNT]; // all workers together
	uint64_t port[P_COUNT]; // all ports together
};

typedef void (*drops_cb)(void *ctx, const char *name, uint64_t n);

// What came to `now` since `since`, of counters that only grow: one call for each that did.
void drops_each(const struct drops *now, const struct drops *since, drops_cb cb, void *ctx);
// The sum of that.
uint64_t drops_sum(const struct drops *now, const struct drops *since);
