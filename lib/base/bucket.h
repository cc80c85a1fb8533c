// A token bucket (GCRA: one word of state, no division), for what others can make happen often. All
// zero is full. The clock is the caller's, in nanoseconds; so is the lock, if it needs one.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct bucket {
	uint64_t next_ns; // when the oldest token taken comes back
};

// Take one token of a bucket that holds `burst` (at least 1) of them and gets one back each
// `period_ns`.
static inline bool bucket_take(
	struct bucket *b, uint64_t now_ns, uint64_t period_ns, uint32_t burst)
{
	uint64_t due = b->next_ns > now_ns ? b->next_ns : now_ns;

	if (due - now_ns > (burst - 1) * period_ns)
		return false;
	b->next_ns = due + period_ns;
	return true;
}

// True when bucket_take() would say false.
static inline bool bucket_empty(
	const struct bucket *b, uint64_t now_ns, uint64_t period_ns, uint32_t burst)
{
	return b->next_ns > now_ns && b->next_ns - now_ns > (burst - 1) * period_ns;
}
