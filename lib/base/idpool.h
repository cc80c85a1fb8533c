// Allocator of 32-bit ids made of an index (low bits) and a generation (the rest), never 0. A free
// index is drawn at random, so ids can't be guessed; freeing an id advances the generation of its
// index, so a stale id is never live. A later *life* of the program, with the same secret, starts
// with other generations than the life before it. Costs 8 bytes per index. One thread at a time.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/htab.h"

enum { IDPOOL_BITS_MAX = 22 };

// Uniform in 0..upper-1; upper is at least 1.
typedef uint32_t (*idpool_random_fn)(void *arg, uint32_t upper);

struct idpool_conf {
	unsigned index_bits; // 1..IDPOOL_BITS_MAX: 2^index_bits ids can live at once
	uint32_t life; // number of this life, counted up by the caller
	uint8_t secret[HTAB_SECRET_LEN]; // of the node, the same in each life
	idpool_random_fn random;
	void *random_arg;
};

struct idpool;

// NULL and errno (EINVAL, ENOMEM). The caller owns the pool.
struct idpool *idpool_new(const struct idpool_conf *conf);
void idpool_free_pool(struct idpool *p);

// A fresh id, or 0 when all are taken.
uint32_t idpool_take(struct idpool *p);

// Makes exactly this id live (adopted after a restart, or chosen by an operator).
// -EINVAL: 0; -EEXIST: its index is taken, by this or another generation.
int idpool_take_exact(struct idpool *p, uint32_t id);

// -ENOENT when the id is not live.
int idpool_free(struct idpool *p, uint32_t id);

bool idpool_is_live(const struct idpool *p, uint32_t id);
uint32_t idpool_n_live(const struct idpool *p);
// The live id with this index, 0 when the index is free. Indices run up to 2^index_bits - 1.
uint32_t idpool_at(const struct idpool *p, uint32_t index);
uint32_t idpool_index(const struct idpool *p, uint32_t id);
