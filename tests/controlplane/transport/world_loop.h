// Time of the world (world.h, which alone includes it): jobs in the order they were posted, and
// loop timers on a clock that stands still unless a test lets time pass.
#pragma once
#pragma GCC diagnostic ignored "-Wunused-function"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// after the standard headers, as cmocka wants it
#include <cmocka.h>

#include "controlplane/core/loop.h"
#include "controlplane/dp/dp_client.h"
#include "lib/base/clock.h"
#include "lib/link/rail_hs.h"
#include "lib/wire/rail.h"

static uint64_t w_now = 1000ull * CLOCK_NS_PER_S;

// ---- things to do, now or later ----

struct w_job {
	struct w_job *next;
	void (*fn)(struct w_job *j);
	unsigned from, to;
	int kind;
	void *arg;
	dp_done_fn done;
	loop_fn later; // of loop_defer()
	int status;
	uint32_t aux, index, hop;
	uint8_t key[32];
	size_t len;
	uint8_t bytes[RAIL_HS_MAX];
};

static struct w_job *w_jobs, **w_tail = &w_jobs;

static struct w_job *w_post(void (*fn)(struct w_job *j))
{
	struct w_job *j = calloc(1, sizeof(*j));

	assert_non_null(j);
	j->fn = fn;
	*w_tail = j;
	w_tail = &j->next;
	return j;
}

static void w_settle_one(void)
{
	struct w_job *j = w_jobs;

	w_jobs = j->next;
	if (w_jobs == NULL)
		w_tail = &w_jobs;
	j->fn(j);
	free(j);
}

static void w_settle(void)
{
	for (unsigned n = 0; w_jobs != NULL; n++) {
		assert_true(n < 100000);
		w_settle_one();
	}
}

// ---- loop ----

struct loop_timer {
	struct loop_timer *next;
	loop_fn fn;
	void *arg;
	uint64_t at_ns, repeat_ns;
	bool on, dead;
};

static struct loop_timer *w_timers;

struct loop_timer *loop_timer_new(struct loop *l, loop_fn fn, void *arg)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	(void)l;
	t->fn = fn;
	t->arg = arg;
	t->next = w_timers;
	w_timers = t;
	return t;
}

void loop_timer_start(struct loop_timer *t, uint64_t delay_ms, uint64_t repeat_ms)
{
	t->on = true;
	t->at_ns = w_now + delay_ms * CLOCK_NS_PER_MS;
	t->repeat_ns = repeat_ms * CLOCK_NS_PER_MS;
}

void loop_timer_stop(struct loop_timer *t)
{
	t->on = false;
}

bool loop_timer_is_on(const struct loop_timer *t)
{
	return t->on;
}

void loop_timer_free(struct loop_timer *t)
{
	if (t != NULL)
		t->dead = true;
}

static void w_reap_timers(void)
{
	for (struct loop_timer **p = &w_timers; *p != NULL;) {
		struct loop_timer *t = *p;

		if (!t->dead) {
			p = &t->next;
			continue;
		}
		*p = t->next;
		free(t);
	}
}

// The first one that is due by then. False: there is none.
static bool w_timer_fires(uint64_t end)
{
	struct loop_timer *first = NULL;

	w_reap_timers();
	for (struct loop_timer *t = w_timers; t != NULL; t = t->next) {
		if (t->on && t->at_ns <= end && (first == NULL || t->at_ns < first->at_ns))
			first = t;
	}
	if (first == NULL)
		return false;
	if (first->at_ns > w_now)
		w_now = first->at_ns;
	if (first->repeat_ns != 0)
		first->at_ns = w_now + first->repeat_ns;
	else
		first->on = false;
	first->fn(first->arg);
	return true;
}

// Let `ms` pass, with everything that happens meanwhile.
static void w_run(uint64_t ms)
{
	uint64_t end = w_now + ms * CLOCK_NS_PER_MS;

	do
		w_settle();
	while (w_timer_fires(end));
	w_now = end;
}
