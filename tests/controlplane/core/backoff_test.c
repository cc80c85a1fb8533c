// Waits grow to their limit and are spread around it.
#include "controlplane/core/backoff.h"

#include <limits.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/base/clock.h"

enum { TRIES = 2000 };

// Each wait of so many lies within a quarter of it, and they fill that.
static void expect_around(unsigned fails, uint32_t min_ms, uint32_t middle)
{
	uint32_t least = UINT32_MAX, most = 0;

	for (unsigned i = 0; i < TRIES; i++) {
		uint32_t ms = backoff_ms(fails, min_ms, BACKOFF_MAX_MS);

		least = ms < least ? ms : least;
		most = ms > most ? ms : most;
	}
	assert_in_range(least, middle - middle / 4, middle - middle / 5);
	assert_in_range(most, middle + middle / 5, middle + middle / 4);
}

static void waits_are_doubled_up_to_a_limit(void **state)
{
	(void)state;
	expect_around(0, BACKOFF_MIN_MS, BACKOFF_MIN_MS); // nothing was tried
	expect_around(1, BACKOFF_MIN_MS, BACKOFF_MIN_MS);
	expect_around(2, BACKOFF_MIN_MS, 2 * BACKOFF_MIN_MS);
	expect_around(6, BACKOFF_MIN_MS, 32 * BACKOFF_MIN_MS);
	expect_around(7, BACKOFF_MIN_MS, BACKOFF_MAX_MS);
	expect_around(UINT_MAX, BACKOFF_MIN_MS, BACKOFF_MAX_MS);
	expect_around(3, 100, 400);
	assert_int_equal(backoff_ms(9, 0, 0), 0);
}

static void failures_are_forgotten_after_a_good_while(void **state)
{
	(void)state;
	assert_int_equal(backoff_fails(4, 0), 5);
	assert_int_equal(backoff_fails(4, BACKOFF_STEADY_MS * CLOCK_NS_PER_MS - 1), 5);
	assert_int_equal(backoff_fails(4, BACKOFF_STEADY_MS * CLOCK_NS_PER_MS), 1);
}

static void discoveries_are_asked_a_little_later_each_time(void **state)
{
	(void)state;
	assert_int_equal(backoff_slowly(1000, 20000), 1300);
	assert_int_equal(backoff_slowly(1300, 20000), 1690);
	assert_int_equal(backoff_slowly(18000, 20000), 20000);
	assert_int_equal(backoff_slowly(20000, 20000), 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_are_doubled_up_to_a_limit),
		cmocka_unit_test(failures_are_forgotten_after_a_good_while),
		cmocka_unit_test(discoveries_are_asked_a_little_later_each_time),
	};

	return sodium_init() < 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
