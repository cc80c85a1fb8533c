// The time that an init carries: the wall clock, but always later than in any init before, also
// those of earlier lives of this process and when the clock was set back (rail 2). One per node.
#pragma once

#include <stdint.h>

struct init_time;

// Opens or makes dir/last_init. Without it (err: why) times are still in order within this life.
struct init_time *init_time_open(const char *dir, int *err);
void init_time_close(struct init_time *t);
// ns since 1970; written to the file before it returns.
uint64_t init_time_next(struct init_time *t);
