// Two sessions and the wires between them, for tests of muxers. What a side put out waits on its
// wire until it is carried over, whole or in pieces of random length. All follows from the seed.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/vec.h"
#include "lib/mux/mux.h"

enum mux_kind { KIND_YAMUX, KIND_SMUX1, KIND_SMUX2, MUX_KINDS };
enum { CLIENT, SERVER };
enum { MUX_PULL = 1 << 19 }; // room enough that no frame is cut for want of it

struct mux_wire {
	VEC(uint8_t) bytes;
	size_t off; // that the other side has taken
};

struct mux_pair {
	struct mux *m[2]; // by side; NULL: the test itself plays it
	struct mux_wire wire[2]; // from that side
	uint64_t now_ns;
	uint64_t random; // state
	size_t cut_max; // pieces of 1..cut_max bytes; 0: as large as they come
};

uint64_t mux_random(uint64_t *state);
const char *mux_kind_name(enum mux_kind kind);
// Defaults of that muxer.
struct mux_conf mux_kind_conf(enum mux_kind kind, bool is_client);
struct mux *mux_kind_new(enum mux_kind kind, const struct mux_conf *conf, uint64_t now_ns);

// Both sides with these limits, or the defaults where conf is NULL.
void mux_pair_init(struct mux_pair *p, enum mux_kind kind, const struct mux_conf *conf);
void mux_pair_fini(struct mux_pair *p);

// Takes what a side has to send onto its wire, at most max bytes; returns how many.
size_t mux_pair_pull(struct mux_pair *p, int side, size_t max);
// Gives the other side what lies on this one's wire, at most max bytes; returns how many it took,
// or the error of its session.
ptrdiff_t mux_pair_carry(struct mux_pair *p, int side, size_t max);
// Both, in both directions, until nothing moves.
void mux_pair_settle(struct mux_pair *p);
// The bits that were told of a stream (NULL: of the session) since the last call. Others are
// dropped.
unsigned mux_pair_events(struct mux_pair *p, int side, const struct mux_stream *s);

// The byte at that place of all payloads.
static inline uint8_t mux_pattern(uint64_t i)
{
	return (uint8_t)(i * 7 % 251);
}
void mux_pattern_fill(uint8_t *p, size_t len, uint64_t from);
