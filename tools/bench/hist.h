// Histogram of durations with logarithmic buckets, as HdrHistogram has them: exact below 256 ns,
// above it 128 buckets per octave, so that a percentile is at most 0.8 % too high. Fixed memory, no
// allocation: plain memory of one thread.
#pragma once

#include <stdint.h>

enum {
	HIST_SUB_BITS = 7,
	HIST_SUB = 1 << HIST_SUB_BITS,
	HIST_MAX_BITS = 40, // values from 2^40 ns (18 minutes) on count as that
	HIST_BUCKETS = HIST_SUB * (HIST_MAX_BITS - HIST_SUB_BITS + 1),
};

struct hist {
	uint64_t n;
	uint64_t min, max; // exact; 0 when empty
	double sum;
	uint64_t bucket[HIST_BUCKETS];
};

void hist_reset(struct hist *h);

static inline unsigned hist_index(uint64_t ns)
{
	unsigned top;

	if (ns < HIST_SUB)
		return (unsigned)ns;
	if (ns >> HIST_MAX_BITS != 0)
		return HIST_BUCKETS - 1;
	top = 63 - (unsigned)__builtin_clzll(ns);
	return (top - HIST_SUB_BITS + 1) * HIST_SUB +
	       (unsigned)((ns >> (top - HIST_SUB_BITS)) - HIST_SUB);
}

static inline void hist_add(struct hist *h, uint64_t ns)
{
	h->bucket[hist_index(ns)]++;
	h->sum += (double)ns;
	if (h->n++ == 0 || ns < h->min)
		h->min = ns;
	if (ns > h->max)
		h->max = ns;
}

// Least value that at least p percent (0..100) of all values do not exceed, rounded up to the edge
// of its bucket, never above the greatest value; 0 when empty.
uint64_t hist_percentile(const struct hist *h, double p);
double hist_mean(const struct hist *h);
