// Short runs of a bench, by the time that this thread had a core. Where others compute on the same
// machine, the wall clock would say how much they left us, and that changes from one run to the
// next.
#pragma once

#include <stdbool.h>
#include <time.h>

enum { SLICE_MS = 60 };

static inline double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// The run that began at `start` is long enough; how long it took.
static inline bool slice_ends(double start, double *passed)
{
	*passed = cpu_s() - start;
	return *passed >= SLICE_MS * 1e-3;
}
