// The products of our static key with those of others, one of the four that the handshake of a
// stream takes (KK, dmsg 4.3), kept for the next stream with the same peer. As secret as the key
// itself: wiped when its place is taken or given up, and never shown. Constant memory: a key that
// falls on the place of another one takes it over. Sans-I/O.
#pragma once

#include "lib/crypto/key.h"

enum {
	SS_MEM_LEN = 33, // of a product
	SS_MEM_SECRET_LEN = 16,
};

struct ss_mem;

// n_keys: places, a power of two. sk is borrowed and outlives this. The secret is random: peers
// choose keys. NULL and errno. Owner: the caller.
struct ss_mem *ss_mem_new(
	const struct key_sk *sk, uint32_t n_keys, const uint8_t secret[SS_MEM_SECRET_LEN]);
void ss_mem_free(struct ss_mem *m); // wipes; NULL is allowed
// Made now, if it is not there. Borrowed until the next call. NULL: pk is no point.
const uint8_t *ss_mem_get(struct ss_mem *m, const struct key_pk *pk);
