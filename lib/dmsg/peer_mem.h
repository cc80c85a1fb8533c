// What a server remembers of its peer servers (dmsg 6.3): which of them took a stream for a key,
// and which said that they don't have it. A hint, never the truth: it only orders and spares
// questions. Constant memory: a key that falls on the place of another one takes it over. Sans-I/O.
#pragma once

#include "lib/crypto/key.h"

#include <stdint.h>

enum {
	PEER_MEM_PEERS = 64, // peers have the numbers 0 .. 63
	PEER_MEM_SECRET_LEN = 16,
	// Refusals say nothing of why: perhaps the client was there and nobody listened yet.
	PEER_MEM_NOT_THERE_MS = 3000,
	PEER_MEM_THERE_MS = 600000,
};

struct peer_mem;

// n_keys: places, a power of two. The secret is random: peers choose keys. NULL and errno. Owner:
// the caller.
struct peer_mem *peer_mem_new(uint32_t n_keys, const uint8_t secret[PEER_MEM_SECRET_LEN]);
void peer_mem_free(struct peer_mem *m); // NULL is allowed

// That peer took a stream for the key; it refused one, or did not answer. The peer that had the
// key last is not believed to have lost it by one refusal.
void peer_mem_there(struct peer_mem *m, const struct key_pk *pk, unsigned peer, uint64_t now_ns);
void peer_mem_not_there(
	struct peer_mem *m, const struct key_pk *pk, unsigned peer, uint64_t now_ns);
// That number is another peer's from now on. Goes through all places.
void peer_mem_forget(struct peer_mem *m, unsigned peer);

// Whom to ask next of the peers whose bits are set: the one that had the key last, then in the
// order of their numbers those that did not refuse it just now. -1: nobody.
int peer_mem_next(
	const struct peer_mem *m, const struct key_pk *pk, uint64_t peers, uint64_t now_ns);
