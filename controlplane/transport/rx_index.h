// Receiver indices (rail 1): 32 bits, chosen at random, never 0, unique among live ones also in
// the low bits by which the data plane's table is addressed. Each has an owner, found by the index
// of a response. One thread.
#pragma once

#include <stdint.h>

struct rx_index;

enum { RX_INDEX_BITS_MAX = 24 };

// bits 1..RX_INDEX_BITS_MAX. NULL and errno.
struct rx_index *rx_index_new(unsigned bits);
void rx_index_free(struct rx_index *x);

// 0: more than half are taken. What was given back a short time ago is left alone if it can be.
uint32_t rx_index_take(struct rx_index *x, void *owner);
// One that lives in the data plane already. -EEXIST, -EINVAL (0).
int rx_index_take_exact(struct rx_index *x, uint32_t index, void *owner);
void rx_index_put(struct rx_index *x, uint32_t index); // NULL, 0, strangers: nothing
void *rx_index_owner(const struct rx_index *x, uint32_t index); // NULL
