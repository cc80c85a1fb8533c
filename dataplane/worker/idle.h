// What a worker does between turns that find nothing. The only place on a worker where it makes
// system calls.
#pragma once

#include "dataplane/worker/worker.h"

#include <stdatomic.h>

struct idle {
	_Atomic uint32_t mode; // enum idle_mode; main stores, the worker reads
	uint32_t empty; // turns without work, saturating
	uint64_t polled_ns; // when there was work last of which nobody tells a worker that sleeps
};

// [worker] Once, in the thread that will run the loop.
void idle_begin(struct idle *idle);
// [worker] After each turn.
void idle_turn(struct wctx *w, struct idle *idle, bool worked);
