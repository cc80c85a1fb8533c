// A share of one thread's time, for work that others can cause: what was spent has to be waited for
// until it is that part of all time. Some may be spent ahead, so that a burst has its turn at once.
// One word of state; all zero is a share of which nothing is spent.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { SHARE_PIECE_MAX_MS = 10 };

struct share {
	uint64_t paid_ns; // when all that was spent is in proportion again
};

// Is less spent than comes back within ahead_ns?
static inline bool share_has(const struct share *s, uint64_t now_ns, uint64_t ahead_ns)
{
	return s->paid_ns <= now_ns || s->paid_ns - now_ns < ahead_ns;
}

// What a piece of work costs that took so long by the clock: beyond some time the whole thread
// stood still, and that is nobody's doing.
static inline uint64_t share_measured(uint64_t took_ns)
{
	const uint64_t most_ns = SHARE_PIECE_MAX_MS * UINT64_C(1000000);

	return took_ns < most_ns ? took_ns : most_ns;
}

// pct: of all time, 1 to 100.
static inline void share_spend(struct share *s, uint64_t now_ns, uint64_t work_ns, unsigned pct)
{
	uint64_t from = s->paid_ns > now_ns ? s->paid_ns : now_ns;

	s->paid_ns = from + work_ns * 100 / pct;
}
