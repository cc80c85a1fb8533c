// Timers, descriptors, deferred calls and the hook of the loop, freed at the worst moments.
#include "controlplane/core/loop.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
// after the standard headers, as cmocka wants it
#include <cmocka.h>

static struct loop *l;
static unsigned n_calls, n_before, n_after;
static struct loop_timer *timer;
static struct loop_poll *pol;

static int setup(void **state)
{
	(void)state;
	n_calls = n_before = n_after = 0;
	l = loop_new();
	return l == NULL;
}

static int teardown(void **state)
{
	(void)state;
	loop_free(l);
	return 0;
}

static void count(void *arg)
{
	n_calls++;
	if (arg != NULL)
		loop_stop(arg);
}

static void free_itself(void *arg)
{
	(void)arg;
	n_calls++;
	loop_timer_free(timer);
	loop_timer_free(timer); // twice is once
}

static void a_timer_runs_once_or_again_and_may_free_itself(void **state)
{
	struct loop_timer *t = loop_timer_new(l, count, l);

	(void)state;
	assert_false(loop_timer_is_on(t));
	loop_timer_start(t, 1, 0);
	assert_true(loop_timer_is_on(t));
	loop_run(l);
	assert_int_equal(n_calls, 1);
	assert_false(loop_timer_is_on(t));
	loop_timer_start(t, 0, 1);
	loop_run(l);
	loop_run(l);
	assert_int_equal(n_calls, 3);
	loop_timer_stop(t);
	loop_timer_free(t);
	timer = loop_timer_new(l, free_itself, NULL);
	loop_timer_start(timer, 0, 1);
	loop_turn(l);
	loop_turn(l);
	loop_turn(l);
	assert_int_equal(n_calls, 4);
	loop_timer_free(NULL);
}

static void defer_again(void *arg)
{
	n_calls++;
	if (n_calls < 3)
		assert_int_equal(loop_defer(arg, defer_again, arg), 0);
}

static void deferred_calls_come_soon_and_never_from_within(void **state)
{
	(void)state;
	assert_int_equal(loop_defer(l, defer_again, l), 0);
	assert_int_equal(n_calls, 0);
	loop_turn(l);
	assert_int_equal(n_calls, 1);
	loop_turn(l);
	loop_turn(l);
	assert_int_equal(n_calls, 3);
}

static void deferred_calls_come_before_the_loop_ends(void **state)
{
	(void)state;
	loop_defer(l, count, NULL);
	loop_free(l);
	assert_int_equal(n_calls, 1);
	l = loop_new();
}

static void on_poll(void *arg, bool readable, bool writable)
{
	(void)writable;
	n_calls++;
	if (readable)
		loop_poll_free(pol);
	if (arg != NULL)
		loop_stop(arg);
}

static void a_descriptor_is_watched_until_freed(void **state)
{
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	pol = loop_poll_new(l, p[0], on_poll, NULL);
	assert_non_null(pol);
	assert_int_equal(loop_poll_set(pol, true, false), 0);
	loop_turn(l);
	assert_int_equal(n_calls, 0);
	assert_int_equal(write(p[1], "xy", 2), 2);
	loop_turn(l);
	assert_int_equal(n_calls, 1);
	loop_turn(l);
	assert_int_equal(n_calls, 1);
	close(p[0]);
	close(p[1]);
	loop_poll_free(NULL);
}

static bool before(void *arg)
{
	(void)arg;
	return ++n_before < 5; // there is work, four times
}

static void after(void *arg)
{
	if (++n_after == 5)
		loop_stop(arg);
}

// With work at hand it doesn't wait: without that, this would take a minute.
static void work_at_hand_keeps_it_from_sleeping(void **state)
{
	struct loop_timer *t = loop_timer_new(l, count, NULL);

	(void)state;
	loop_timer_start(t, 60000, 0);
	alarm(20);
	timer = loop_timer_new(l, count, NULL);
	loop_set_hook(l, before, after, l);
	loop_timer_start(timer, 100, 0); // wakes it after the fifth
	loop_run(l);
	alarm(0);
	assert_int_equal(n_after, 5);
	assert_in_range(n_before, 5, 6);
	loop_timer_free(t);
}

static void signals_are_called_in_the_loop(void **state)
{
	(void)state;
	assert_int_equal(loop_on_signal(l, SIGUSR1, count, l), 0);
	timer = loop_timer_new(l, count, NULL); // something to wait for
	loop_timer_start(timer, 10000, 0);
	raise(SIGUSR1);
	loop_run(l);
	assert_int_equal(n_calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(a_timer_runs_once_or_again_and_may_free_itself),
		T(deferred_calls_come_soon_and_never_from_within),
		T(deferred_calls_come_before_the_loop_ends),
		T(a_descriptor_is_watched_until_freed),
		T(work_at_hand_keeps_it_from_sleeping),
		T(signals_are_called_in_the_loop),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
