// Where the time goes: a sampling profiler of this process (SIGPROF each millisecond of CPU time),
// because a guest has no performance counters. Costs the path nothing and needs no instrumentation.
#pragma once

// Sample from now on; profile_stop() ends it. One at a time.
void profile_start(void);
void profile_stop(void);
// Print the share of each function that took at least `least` (0..1) as one JSON line named `name`.
void profile_print(const char *name, double least);
// Share of the samples that fell into these functions, 0..1. A name that ends with * is a prefix.
double profile_share(const char *const *names, unsigned n);
