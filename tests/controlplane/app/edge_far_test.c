// When an edge asks the far end what it takes, and when it stops believing it.
#include "controlplane/app/edge_far.h"

#include "lib/base/err.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct edge_hello takes_all = {.takes = 15, .max = 65535};
static const struct edge_hello asks = {.flags = EDGE_HELLO_ASK, .takes = 15, .max = 65535};

static void asks_less_and_less_often(void **state)
{
	static const uint32_t waits[] = {1000, 2000, 4000, 8000, 16000, 32000, 32000};
	struct edge_far f;
	uint32_t next;

	edge_far_reset(&f);
	assert_false(f.known);
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		assert_true(edge_far_tick(&f, &next));
		assert_int_equal(next, waits[i]);
	}
	// the first packet that comes shows that there is a route: ask at once
	assert_true(edge_far_came(&f));
	assert_false(edge_far_came(&f));
}

static void believes_what_it_hears_and_answers_questions(void **state)
{
	struct edge_far f;
	uint32_t next;

	edge_far_reset(&f);
	assert_false(edge_far_heard(&f, &takes_all, 1000, &next));
	assert_true(f.known);
	assert_int_equal(f.takes, 15);
	assert_int_equal(next, 0);
	assert_false(edge_far_came(&f));
	assert_false(edge_far_tick(&f, &next)); // idle: no questions
	assert_int_equal(next, 0);
	assert_true(edge_far_heard(&f, &asks, 2000, &next));
	assert_false(edge_far_heard(&f, &asks, 2000 + EDGE_FAR_ANSWER_MS - 1, &next));
	assert_true(edge_far_heard(&f, &asks, 2000 + EDGE_FAR_ANSWER_MS, &next));
}

static void asks_while_it_matters_and_forgets_who_is_silent(void **state)
{
	struct edge_far f;
	uint32_t next;

	edge_far_reset(&f);
	edge_far_heard(&f, &takes_all, 1000, &next);
	assert_true(edge_far_use(&f));
	assert_false(edge_far_use(&f));
	assert_true(edge_far_tick(&f, &next));
	edge_far_heard(&f, &takes_all, 6000, &next); // answered: all begins anew
	assert_true(edge_far_use(&f));
	for (int i = 0; i < EDGE_FAR_TRIES; i++) {
		assert_true(edge_far_tick(&f, &next));
		assert_int_equal(next, EDGE_FAR_FIRST_MS);
		assert_true(f.known);
	}
	assert_true(edge_far_tick(&f, &next));
	assert_false(f.known);
	assert_int_equal(f.takes, 0);
	assert_int_equal(next, EDGE_FAR_FIRST_MS);
}

static void a_maximum_that_is_none_means_no(void **state)
{
	struct edge_hello h = {.takes = 15, .max = EDGE_SUPER_MIN - 1};
	struct edge_far f;
	uint32_t next;

	edge_far_reset(&f);
	edge_far_heard(&f, &h, 1000, &next);
	assert_true(f.known);
	assert_int_equal(f.takes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_less_and_less_often),
		cmocka_unit_test(believes_what_it_hears_and_answers_questions),
		cmocka_unit_test(asks_while_it_matters_and_forgets_who_is_silent),
		cmocka_unit_test(a_maximum_that_is_none_means_no),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
