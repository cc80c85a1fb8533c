// Sliding replay window (RFC 6479's ring of bits, cleared bit-exactly, so that the whole size is
// usable). Header-only because workers inline it; one window has one owner thread.
//
// A counter is fresh when it is above `top`, or less than n_bits below it and not seen. Check
// first, open the packet, commit when it was authentic and has a place. An empty window needs no
// flag: top is 0 and bit 0 is clear. The state is also the record from which ACK frames are made.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	REPLAY_BITS_MIN = 64,
	REPLAY_BITS_DEFAULT = 8192, // rail 3
	REPLAY_BITS_MAX = 1 << 24,
};

struct replay {
	uint64_t top; // highest committed counter
	uint32_t n_bits; // window size, a power of two
	uint32_t mask; // n_bits - 1
	uint64_t bits[]; // counter c is bit c & mask
};

// A run of received counters, both ends included.
struct replay_range {
	uint64_t hi;
	uint64_t lo;
};

// A size that replay_init() accepts.
static inline bool replay_bits_ok(uint32_t n_bits)
{
	return n_bits >= REPLAY_BITS_MIN && n_bits <= REPLAY_BITS_MAX &&
	       (n_bits & (n_bits - 1)) == 0;
}

// Bytes of memory for a window; the caller allocates and owns them (8-byte aligned).
static inline size_t replay_size(uint32_t n_bits)
{
	return sizeof(struct replay) + n_bits / 8;
}

// n_bits must satisfy replay_bits_ok(). Also resets a window in use.
static inline void replay_init(struct replay *r, uint32_t n_bits)
{
	r->top = 0;
	r->n_bits = n_bits;
	r->mask = n_bits - 1;
	memset(r->bits, 0, n_bits / 8);
}

static inline bool replay_seen(const struct replay *r, uint64_t c)
{
	return r->bits[(c & r->mask) >> 6] >> (c & 63) & 1;
}

// True when the counter may be accepted: neither seen nor too old.
static inline bool replay_check(const struct replay *r, uint64_t c)
{
	if (c > r->top)
		return true;
	return r->top - c < r->n_bits && !replay_seen(r, c);
}

// Clear `n` <= n_bits bits from counter `from` upwards.
static inline void replay_clear(struct replay *r, uint64_t from, uint64_t n)
{
	uint64_t pos = from & r->mask;

	while (n > 0) {
		uint64_t off = pos & 63;
		uint64_t k = 64 - off < n ? 64 - off : n;
		uint64_t ones = k == 64 ? ~0ULL : (1ULL << k) - 1;

		r->bits[pos >> 6] &= ~(ones << off);
		pos = (pos + k) & r->mask;
		n -= k;
	}
}

// Note a counter as received; only after replay_check() said yes for the present state.
static inline void replay_commit(struct replay *r, uint64_t c)
{
	if (c > r->top) {
		uint64_t n = c - r->top;

		replay_clear(r, r->top + 1, n < r->n_bits ? n : r->n_bits);
		r->top = c;
	}
	r->bits[(c & r->mask) >> 6] |= 1ULL << (c & 63);
}

// The counters that are known to the window: top - n_bits + 1 (not below 0) .. top.
static inline uint64_t replay_bottom(const struct replay *r)
{
	return r->top >= r->n_bits ? r->top - r->n_bits + 1 : 0;
}

// Downwards from c, the highest counter >= floor whose state is `want`; false when there is none.
// Looks at 64 counters a step.
static inline bool replay_find_down(
	const struct replay *r, uint64_t c, uint64_t floor, bool want, uint64_t *found)
{
	for (;;) {
		uint64_t word = r->bits[(c & r->mask) >> 6];
		unsigned off = c & 63;

		word = (want ? word : ~word) << (63 - off);
		if (word != 0) {
			*found = c - (unsigned)__builtin_clzll(word);
			return *found >= floor;
		}
		if (c - floor <= off)
			return false;
		c -= off + 1;
	}
}

// Received runs, newest first, down to max(floor, window bottom), at most `max`. Returns how many
// were written; 0 when nothing was received yet. The first one's hi is top. For rail's ACK frames.
static inline unsigned replay_ranges(
	const struct replay *r, uint64_t floor, struct replay_range *out, unsigned max)
{
	uint64_t c = r->top;
	unsigned n = 0;

	if (floor < replay_bottom(r))
		floor = replay_bottom(r);
	while (n < max && c >= floor && replay_find_down(r, c, floor, true, &c)) {
		uint64_t gap;

		out[n].hi = c;
		if (!replay_find_down(r, c, floor, false, &gap)) {
			out[n++].lo = floor;
			break;
		}
		out[n++].lo = gap + 1;
		c = gap;
	}
	return n;
}
