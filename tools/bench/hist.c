// The part of the histogram that is not needed per packet.

#include "tools/bench/hist.h"

#include <math.h>
#include <string.h>

void hist_reset(struct hist *h)
{
	memset(h, 0, sizeof(*h));
}

// Greatest value that falls into the bucket.
static uint64_t upper_edge(unsigned i)
{
	unsigned octave = i / HIST_SUB, sub = i % HIST_SUB;

	if (octave == 0)
		return i;
	return (((uint64_t)HIST_SUB + sub + 1) << (octave - 1)) - 1;
}

uint64_t hist_percentile(const struct hist *h, double p)
{
	uint64_t want = (uint64_t)ceil((double)h->n * p / 100), seen = 0;

	if (h->n == 0)
		return 0;
	if (want < 1)
		want = 1;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen >= want)
			return upper_edge(i) < h->max ? upper_edge(i) : h->max;
	}
	return h->max;
}

double hist_mean(const struct hist *h)
{
	return h->n == 0 ? 0 : h->sum / (double)h->n;
}
