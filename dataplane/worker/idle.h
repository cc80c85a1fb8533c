// What a worker does between turns that find nothing. Code of ours makes system calls on a worker
// from here only: to sleep, and in uplink.c to ring and to wait for what comes down. Drivers of
// kernel devices make others when they receive and send.
#pragma once

#include "dataplane/worker/worker.h"

#include <stdatomic.h>

struct idle {
	_Atomic uint32_t mode; // enum idle_mode; main stores, the worker reads
	uint32_t empty; // turns without work, saturating
	uint64_t empty_ns; // when the first of them was
	uint64_t polled_ns; // when there was work last of which nobody tells a worker that sleeps
	uint64_t warm_ns; // for so long after it more is waited for, polling
	uint64_t since_ns; // since then ...
	uint64_t frames; // ... so many came
	uint64_t nap_ns; // what their rate before that says
	// how often it looked whether to ring; main reads it each turn, so it has a line of its own
	_Alignas(64) _Atomic uint64_t bells;
};

enum {
	IDLE_WARM_MIN_NS = 2 * 1000 * 1000,
	IDLE_WARM_MAX_NS = 100 * 1000 * 1000,
};

// [worker] There was work, n frames of it, in a turn of which nobody tells a worker that sleeps. A
// frame now and then is no reason to poll for long; each such turn that follows soon is one to poll
// for twice as long.
static inline void idle_polled(struct idle *idle, uint64_t now_ns, unsigned n)
{
	idle->frames += n;
	if (now_ns - idle->polled_ns >= IDLE_WARM_MAX_NS)
		idle->warm_ns = IDLE_WARM_MIN_NS;
	else
		idle->warm_ns = RTE_MIN(2 * idle->warm_ns, (uint64_t)IDLE_WARM_MAX_NS);
	idle->polled_ns = now_ns;
}

// [worker] How long to sleep when there is nothing to do: 50 us, or up to 200 while frames come in
// bulk and its queues hold what may come in that time.
uint64_t idle_nap_ns(struct idle *idle, const struct wctx *w);
// [worker] Once, in the thread that will run the loop.
void idle_begin(struct idle *idle);
// [worker] After each turn.
void idle_turn(struct wctx *w, struct idle *idle, bool worked);
