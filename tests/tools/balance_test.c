// Which transports `skyrail worker rebalance` would move.
#include "tools/ctl/balance.h"

#include "lib/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { ITEMS = 8, WORKERS = 4 };

struct row {
	const char *name;
	unsigned n_workers, n;
	struct balance_item item[ITEMS];
	unsigned moves;
	double most; // load of the busiest worker afterwards, at most
};

static const struct row rows[] = {
	{"nothing there", 2, 0, {{0, 0, false}}, 0, 0},
	{"one worker", 1, 2, {{5, 0, false}, {3, 0, false}}, 0, 8},
	{"two on one", 2, 2, {{5, 0, false}, {5, 0, false}}, 1, 5},
	{"one cannot be cut", 2, 1, {{5, 0, false}}, 0, 5},
	{"even as it is", 2, 4, {{5, 0, false}, {3, 1, false}, {1, 0, false}, {3, 1, false}}, 0, 6},
	{"a heavy one goes alone", 2, 5,
		{{10, 0, false}, {2, 0, false}, {2, 0, false}, {2, 0, false}, {2, 0, false}}, 1,
		10},
	{"a big one there, a small one back", 2, 4,
		{{6, 0, false}, {4, 0, false}, {1, 0, false}, {1, 1, false}}, 2, 6},
	{"all idle, all on one", 4, 8,
		{{1, 0, false}, {1, 0, false}, {1, 0, false}, {1, 0, false}, {1, 0, false},
			{1, 0, false}, {1, 0, false}, {1, 0, false}},
		6, 2},
	{"those that stay are counted, and stay", 2, 3,
		{{9, 0, true}, {2, 0, false}, {1, 0, false}}, 2, 9},
	{"less than a twentieth is noise", 2, 3, {{50, 0, false}, {49, 1, false}, {0.4, 0, false}},
		0, 50.4},
};

static double most_of(const struct balance_item *item, unsigned n)
{
	double load[WORKERS] = {0}, most = 0;

	for (unsigned i = 0; i < n; i++)
		load[item[i].worker] += item[i].load;
	for (unsigned w = 0; w < WORKERS; w++)
		most = load[w] > most ? load[w] : most;
	return most;
}

static void loads_become_even(void **state)
{
	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		struct balance_item item[ITEMS];
		struct balance_move mv;
		unsigned moves = 0;

		memcpy(item, rows[r].item, sizeof(item));
		while (moves < 100 && balance_next(item, rows[r].n, rows[r].n_workers, &mv)) {
			assert_int_not_equal(mv.from, mv.to);
			assert_int_equal(item[mv.item].worker, mv.to);
			moves++;
		}
		if (moves != rows[r].moves || most_of(item, rows[r].n) > rows[r].most)
			fail_msg("%s: %u moves, most %g", rows[r].name, moves,
				most_of(item, rows[r].n));
	}
}

static void too_many_workers_are_left_alone(void **state)
{
	struct balance_item item[2] = {{1, 0, false}, {1, 0, false}};
	struct balance_move mv;

	assert_int_equal(balance_next(item, 2, 0, &mv), 0);
	assert_int_equal(balance_next(item, 2, 65, &mv), 0);
}

static void little_traffic_is_none(void **state)
{
	assert_true(balance_is_idle(0, 1000));
	assert_true(balance_is_idle(99, 1000));
	assert_false(balance_is_idle(100, 1000));
	assert_true(balance_is_idle(49, 500));
	assert_false(balance_is_idle(50, 500));
	assert_false(balance_is_idle(1e9, 4000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_become_even),
		cmocka_unit_test(little_traffic_is_none),
		cmocka_unit_test(too_many_workers_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
