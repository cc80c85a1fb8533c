// The search for the path MTU over paths that carry what a test says: sizes found, how many probes
// it takes, black holes, paths that grow, silence, chance.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/link/pmtu.h"

#define MS 1000000ull
#define SEC 1000000000ull
enum { FLOOR = 1280, NONE = 0 };

struct path {
	struct pmtu p;
	uint64_t now_ns;
	uint32_t carries; // 0: nothing at all
	uint32_t loss_ppm; // of what it carries
	unsigned n_probes;
	uint64_t rng;
};

static uint32_t dice(struct path *x, uint32_t sides)
{
	x->rng ^= x->rng << 13;
	x->rng ^= x->rng >> 7;
	x->rng ^= x->rng << 17;
	return (uint32_t)((x->rng >> 11) % sides);
}

static struct path path_to(uint16_t max, uint32_t carries)
{
	struct path x = {.now_ns = 5 * SEC, .carries = carries, .rng = 88172645463325252ull};

	pmtu_init(&x.p, FLOOR, max, x.now_ns);
	return x;
}

static bool comes(struct path *x, uint32_t size)
{
	return size <= x->carries && dice(x, 1000000) >= x->loss_ppm;
}

// One probe with the smaller one beside it, and what became of them.
static void probe(struct path *x, uint16_t size)
{
	x->n_probes++;
	assert_in_range(size, x->p.floor, x->p.max);
	x->now_ns += 10 * MS;
	if (comes(x, size))
		pmtu_acked(&x->p, size, x->now_ns);
	else if (comes(x, size > x->p.floor ? x->p.floor : 64))
		pmtu_heard(&x->p);
}

static void run_for(struct path *x, uint64_t ns)
{
	uint64_t end = x->now_ns + ns;
	uint16_t size;

	while (x->p.due_ns <= end) {
		if (x->now_ns < x->p.due_ns)
			x->now_ns = x->p.due_ns;
		size = pmtu_next(&x->p, 100 * MS, x->now_ns);
		if (size != 0)
			probe(x, size);
	}
	if (x->now_ns < end)
		x->now_ns = end;
}

static void finds_what_the_path_carries(void **state)
{
	static const struct {
		uint16_t max, carries, found;
		unsigned most; // probes
	} rows[] = {
		{1280, 1280, 1280, 1}, {1500, 1500, 1500, 2}, // the usual case: two round trips
		{9000, 9000, 9000, 2}, {65535, 65535, 65535, 2}, {1500, 1280, 1280, 20},
		{1500, 1400, 1400, 20}, {1500, 1420, 1420, 20}, {1500, 1450, 1450, 20},
		{1500, 1492, 1492, 20}, {9000, 1500, 1500, 25}, {9000, 1400, 1400, 25},
		{9000, 8950, 8950, 25}, {1260, 1260, 1260, 1}, // the peer takes no more
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct path x = path_to(rows[i].max, rows[i].carries);

		run_for(&x, 60 * SEC);
		assert_int_equal(x.p.state, PMTU_COMPLETE);
		assert_int_equal(x.p.mtu, rows[i].found);
		assert_in_range(x.n_probes, 1, rows[i].most);
		assert_int_equal(x.p.n_black_holes, 0);
	}
}

static void any_other_size_is_found_but_for_a_step(void **state)
{
	for (uint16_t carries = FLOOR; carries < 9000; carries += 7) {
		struct path x = path_to(9000, carries);

		run_for(&x, 60 * SEC);
		assert_int_equal(x.p.state, PMTU_COMPLETE);
		assert_in_range(x.p.mtu, carries - PMTU_STEP + 1, carries);
		assert_in_range(x.n_probes, 1, 60);
	}
}

static void chance_changes_nothing(void **state)
{
	struct path x;
	unsigned exact = 0;

	for (unsigned i = 0; i < 200; i++) {
		x = path_to(1500, 1492);
		x.rng += i;
		x.loss_ppm = 50000;
		run_for(&x, 60 * SEC);
		exact += x.p.mtu == 1492;
		assert_int_not_equal(x.p.state, PMTU_ERROR);
	}
	assert_true(exact >= 195); // three of a size in a row: one in 8000
}

static void a_path_below_the_floor_is_an_error(void **state)
{
	struct path x = path_to(1500, 1279);

	run_for(&x, 60 * SEC);
	assert_int_equal(x.p.state, PMTU_ERROR);
	assert_int_equal(x.n_probes, PMTU_BASE_TRIES);
	assert_int_equal(x.p.mtu, FLOOR);
	assert_int_equal(x.p.due_ns, UINT64_MAX);
	assert_int_equal(pmtu_next(&x.p, MS, x.now_ns + 9999 * SEC), 0);
}

// One that had carried more is given up only after a while: it may have too much to carry.
static void a_path_that_was_good_has_more_chances(void **state)
{
	struct path x = path_to(1500, 1500);

	run_for(&x, 10 * SEC);
	x.carries = 1000;
	pmtu_suspect(&x.p, x.now_ns);
	run_for(&x, 20 * SEC);
	assert_int_equal(x.p.state, PMTU_BASE);
	run_for(&x, 40 * SEC);
	assert_int_equal(x.p.state, PMTU_ERROR);
}

static void silence_tells_nothing(void **state)
{
	struct path x = path_to(1500, NONE);

	run_for(&x, 600 * SEC);
	assert_int_equal(x.p.state, PMTU_BASE);
	assert_in_range(x.n_probes, 30, 80); // seldom: it is dead
	x.carries = 1500;
	run_for(&x, 11 * SEC);
	assert_int_equal(x.p.state, PMTU_COMPLETE);
	assert_int_equal(x.p.mtu, 1500);
	// nor is it a black hole
	x.carries = NONE;
	pmtu_suspect(&x.p, x.now_ns);
	run_for(&x, 600 * SEC);
	assert_int_equal(x.p.state, PMTU_BASE);
	x.carries = 1500;
	run_for(&x, 11 * SEC);
	assert_int_equal(x.p.mtu, 1500);
	assert_int_equal(x.p.n_black_holes, 0);
}

static void a_black_hole_is_left_and_the_rest_found_again(void **state)
{
	static const struct {
		uint16_t before, after, found;
	} rows[] = {{1500, 1400, 1400}, {9000, 1500, 1500}, {9000, 1280, 1280}, {1500, 1499, 1492}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct path x = path_to(rows[i].before, rows[i].before);

		run_for(&x, 60 * SEC);
		assert_int_equal(x.p.mtu, rows[i].before);
		x.carries = rows[i].after;
		run_for(&x, 60 * SEC);
		assert_int_equal(x.p.mtu, rows[i].before); // nobody noticed
		pmtu_suspect(&x.p, x.now_ns);
		run_for(&x, 500 * MS);
		assert_int_equal(x.p.n_black_holes, 1);
		assert_true(x.p.mtu <= rows[i].after);
		run_for(&x, 60 * SEC);
		assert_int_equal(x.p.mtu, rows[i].found);
		assert_int_equal(x.p.state, PMTU_COMPLETE);
		assert_int_equal(x.p.n_black_holes, 1);
	}
}

static void a_suspicion_without_cause_costs_a_probe_a_second(void **state)
{
	struct path x = path_to(1500, 1500);

	run_for(&x, 10 * SEC);
	x.n_probes = 0;
	for (unsigned i = 0; i < 1000; i++) {
		pmtu_suspect(&x.p, x.now_ns);
		run_for(&x, 10 * MS);
	}
	assert_in_range(x.n_probes, 5, 12);
	assert_int_equal(x.p.mtu, 1500);
	assert_int_equal(x.p.state, PMTU_COMPLETE);
}

static void a_path_that_grew_is_found_by_the_raise_timer(void **state)
{
	struct path x = path_to(1500, 1400);

	run_for(&x, 60 * SEC);
	assert_int_equal(x.p.mtu, 1400);
	x.n_probes = 0;
	run_for(&x, PMTU_RAISE_S * SEC);
	assert_int_equal(x.p.mtu, 1400);
	assert_int_equal(x.n_probes, PMTU_TRIES); // one step up, and no more
	x.carries = 1500;
	run_for(&x, PMTU_RAISE_S * SEC);
	assert_int_equal(x.p.mtu, 1500);
	assert_int_equal(x.p.state, PMTU_COMPLETE);
	assert_int_equal(x.p.due_ns, UINT64_MAX); // there is nothing beyond
}

static void a_new_bound_is_obeyed_at_once_and_tried_soon(void **state)
{
	struct path x = path_to(1500, 9000);

	run_for(&x, 10 * SEC);
	pmtu_set_max(&x.p, 9000, x.now_ns);
	assert_int_equal(x.p.mtu, 1500);
	run_for(&x, 1 * SEC);
	assert_int_equal(x.p.mtu, 9000);
	pmtu_set_max(&x.p, 1400, x.now_ns);
	assert_int_equal(x.p.mtu, 1400);
	run_for(&x, 10 * SEC);
	assert_int_equal(x.p.state, PMTU_COMPLETE);
	pmtu_set_max(&x.p, 1260, x.now_ns);
	assert_int_equal(x.p.mtu, 1260);
	run_for(&x, 10 * SEC);
	assert_int_equal(x.p.state, PMTU_COMPLETE);
}

static void an_answer_that_comes_late_counts(void **state)
{
	struct path x = path_to(1500, 1499); // not quite
	uint16_t size = 0;

	while (x.p.too_big != 1500) {
		if (x.now_ns < x.p.due_ns)
			x.now_ns = x.p.due_ns;
		size = pmtu_next(&x.p, 100 * MS, x.now_ns);
		if (size == 1500)
			pmtu_lost(&x.p, x.now_ns);
		else if (size != 0)
			probe(&x, size);
	}
	pmtu_acked(&x.p, 1500, x.now_ns);
	assert_int_equal(x.p.mtu, 1500);
	x.carries = 1500;
	run_for(&x, 10 * SEC);
	assert_int_equal(x.p.state, PMTU_COMPLETE);
	assert_int_equal(x.p.mtu, 1500);
}

static void a_fixed_one_is_left_alone(void **state)
{
	struct pmtu p;

	pmtu_init_fixed(&p, 1400);
	pmtu_set_max(&p, 9000, SEC);
	pmtu_suspect(&p, SEC);
	pmtu_acked(&p, 1500, SEC);
	pmtu_lost(&p, SEC);
	assert_int_equal(p.mtu, 1400);
	assert_int_equal(p.state, PMTU_FIXED);
	assert_int_equal(pmtu_next(&p, MS, 99999 * SEC), 0);
	assert_int_equal(p.state, PMTU_FIXED); // still
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_the_path_carries),
		cmocka_unit_test(any_other_size_is_found_but_for_a_step),
		cmocka_unit_test(chance_changes_nothing),
		cmocka_unit_test(a_path_below_the_floor_is_an_error),
		cmocka_unit_test(a_path_that_was_good_has_more_chances),
		cmocka_unit_test(silence_tells_nothing),
		cmocka_unit_test(a_black_hole_is_left_and_the_rest_found_again),
		cmocka_unit_test(a_suspicion_without_cause_costs_a_probe_a_second),
		cmocka_unit_test(a_path_that_grew_is_found_by_the_raise_timer),
		cmocka_unit_test(a_new_bound_is_obeyed_at_once_and_tried_soon),
		cmocka_unit_test(an_answer_that_comes_late_counts),
		cmocka_unit_test(a_fixed_one_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
