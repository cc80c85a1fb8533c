// Time that is spent comes back in proportion, and only so much ahead of it.
#include "lib/base/share.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void what_is_spent_comes_back(void **state)
{
	struct share s = {0};

	(void)state;
	assert_true(share_has(&s, 1000, 400));
	share_spend(&s, 1000, 100, 25); // 400 of all time
	assert_int_equal(s.paid_ns, 1400);
	assert_false(share_has(&s, 1000, 400));
	assert_true(share_has(&s, 1001, 400));
	assert_false(share_has(&s, 1399, 1));
	assert_true(share_has(&s, 1400, 1));
	assert_true(share_has(&s, 1400, 0));
}

static void idle_time_is_not_saved(void **state)
{
	struct share s = {0};

	(void)state;
	share_spend(&s, 1000, 10, 50);
	share_spend(&s, 1000000, 10, 50);
	assert_int_equal(s.paid_ns, 1000020);
	share_spend(&s, 1000000, 10, 100);
	assert_int_equal(s.paid_ns, 1000030);
}

// Whoever asks before each piece of work has his part of the time, however short the pieces are.
static void a_thread_that_stands_still_costs_nobody_much(void **state)
{
	(void)state;
	assert_int_equal(share_measured(9999999), 9999999);
	assert_int_equal(share_measured(UINT64_C(5000000000)), SHARE_PIECE_MAX_MS * 1000000);
}

static void no_more_than_the_share_is_had(void **state)
{
	struct share s = {0};
	uint64_t now = 5, worked = 0;

	(void)state;
	while (now < 1000000) {
		if (share_has(&s, now, 2000)) {
			share_spend(&s, now, 70, 20);
			worked += 70;
			now += 70;
		} else {
			now += 10;
		}
	}
	assert_in_range(worked, 200000 - 1000, 200000 + 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_spent_comes_back),
		cmocka_unit_test(idle_time_is_not_saved),
		cmocka_unit_test(a_thread_that_stands_still_costs_nobody_much),
		cmocka_unit_test(no_more_than_the_share_is_had),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
