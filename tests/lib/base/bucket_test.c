// Tokens are a burst at once and then one a period.
#include "lib/base/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { PERIOD = 100, BURST = 3 };

static bool take(struct bucket *b, uint64_t now_ns)
{
	bool empty = bucket_empty(b, now_ns, PERIOD, BURST);
	bool taken = bucket_take(b, now_ns, PERIOD, BURST);

	assert_int_equal(empty, !taken);
	return taken;
}

static void a_burst_and_then_one_a_period(void **state)
{
	struct bucket b = {0};

	(void)state;
	for (int i = 0; i < BURST; i++)
		assert_true(take(&b, 1000));
	assert_false(take(&b, 1000));
	assert_false(take(&b, 1099));
	assert_true(take(&b, 1100));
	assert_false(take(&b, 1199));
	assert_true(take(&b, 1200));
}

static void what_is_refused_costs_nothing(void **state)
{
	struct bucket b = {0};

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(take(&b, 1000), i < BURST);
	assert_true(take(&b, 1100));
}

static void no_more_than_a_burst_is_saved(void **state)
{
	struct bucket b = {0};

	(void)state;
	assert_true(take(&b, 1000));
	for (int i = 0; i < BURST; i++)
		assert_true(take(&b, 1000000));
	assert_false(take(&b, 1000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_and_then_one_a_period),
		cmocka_unit_test(what_is_refused_costs_nothing),
		cmocka_unit_test(no_more_than_a_burst_is_saved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
