// The clocks run, and can be replaced and put back.
#include "lib/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint64_t mono(void)
{
	return 5 * CLOCK_NS_PER_S + 999999999;
}

static uint64_t wall(void)
{
	return 7;
}

static void monotonic_never_goes_back(void **state)
{
	uint64_t last = clock_mono_ns();

	for (int i = 0; i < 1000; i++) {
		uint64_t now = clock_mono_ns();

		assert_true(now >= last);
		last = now;
	}
}

static void wall_clock_is_after_2020(void **state)
{
	assert_true(clock_wall_ns() > 1577836800 * CLOCK_NS_PER_S);
}

static void can_be_replaced_and_put_back(void **state)
{
	static const struct clock_source fake = {.mono_ns = mono, .wall_ns = wall};

	clock_source_set(&fake);
	assert_int_equal(clock_mono_ns(), 5999999999);
	assert_int_equal(clock_coarse_s(), 5);
	assert_int_equal(clock_wall_ns(), 7);
	clock_source_set(NULL);
	assert_int_not_equal(clock_wall_ns(), 7);
}

static void what_is_left_is_rounded_up(void **state)
{
	static const struct clock_source fake = {.mono_ns = mono, .wall_ns = wall};

	clock_source_set(&fake);
	assert_int_equal(clock_left_ms(mono() + 5 * CLOCK_NS_PER_MS), 5);
	assert_int_equal(clock_left_ms(mono() + 5 * CLOCK_NS_PER_MS + 1), 6);
	assert_int_equal(clock_left_ms(mono()), 1);
	assert_int_equal(clock_left_ms(0), 1);
	assert_int_equal(clock_left_ms(UINT64_MAX), UINT32_MAX);
	clock_source_set(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(monotonic_never_goes_back),
		cmocka_unit_test(wall_clock_is_after_2020),
		cmocka_unit_test(can_be_replaced_and_put_back),
		cmocka_unit_test(what_is_left_is_rounded_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
