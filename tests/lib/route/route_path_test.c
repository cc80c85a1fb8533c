// Ways of routes: built from keys, turned round, chosen by their number of hops.

#include "lib/route/route_path.h"

#include "lib/base/err.h"
#include "lib/wire/entry.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

// Points of the curve are not asked for here.
static struct key_pk key(uint8_t n)
{
	struct key_pk pk = {{2}};

	pk.b[32] = n;
	return pk;
}

static void a_way_is_chained_and_its_transports_follow_from_the_keys(void **state)
{
	const struct key_pk node[] = {key(1), key(2), key(3)};
	const uint8_t first[RULE_TP_ID_LEN] = {7};
	struct setup_path p;
	uint8_t id[ENTRY_ID_LEN];

	(void)state;
	assert_int_equal(route_path_via(&p, node, 3, first, "stcpr"), 0);
	assert_int_equal(p.n, 2);
	assert_memory_equal(p.hop[0].tp_id, first, sizeof(first));
	assert_int_equal(entry_transport_id(id, node[1].b, node[2].b, "stcpr"), 0);
	assert_memory_equal(p.hop[1].tp_id, id, sizeof(id));
	for (int i = 0; i < 2; i++) {
		assert_memory_equal(&p.hop[i].from, &node[i], sizeof(node[i]));
		assert_memory_equal(&p.hop[i].to, &node[i + 1], sizeof(node[i]));
	}
}

static void the_way_back_has_the_same_transports(void **state)
{
	const struct key_pk node[] = {key(1), key(2), key(3), key(1)};
	const uint8_t first[RULE_TP_ID_LEN] = {7};
	struct setup_path p, back, again;

	(void)state;
	assert_int_equal(route_path_via(&p, node, 4, first, "dmsg"), 0);
	route_path_invert(&back, &p);
	assert_int_equal(back.n, 3);
	assert_memory_equal(&back.hop[0].from, &node[3], sizeof(node[3]));
	assert_memory_equal(back.hop[2].tp_id, first, sizeof(first));
	route_path_invert(&again, &back);
	for (uint32_t i = 0; i < 3; i++)
		assert_memory_equal(&again.hop[i], &p.hop[i], sizeof(p.hop[i]));
}

static void ways_that_cannot_be_are_refused(void **state)
{
	static struct key_pk many[SETUP_HOPS_MAX + 2];
	const struct key_pk twice[] = {key(1), key(1)};
	const uint8_t first[RULE_TP_ID_LEN] = {7};
	struct setup_path p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = key((uint8_t)i);
	assert_int_equal(route_path_via(&p, many, 1, first, "rail"), -EINVAL);
	assert_int_equal(route_path_via(&p, twice, 2, first, "rail"), -EINVAL);
	assert_int_equal(route_path_via(&p, many, 3, first, ""), -EINVAL);
	assert_int_equal(route_path_via(&p, many, ARRAY_LEN(many), first, "rail"), -E2BIG);
	assert_int_equal(route_path_via(&p, many, ARRAY_LEN(many) - 1, first, "rail"), 0);
}

static void the_first_way_of_a_length_that_is_wanted_is_chosen(void **state)
{
	static struct setup_path paths[4];
	static const struct {
		uint8_t min, max;
		int want;
		const char *why;
	} cases[] = {
		{0, 0, 0, ""},
		{1, 1, 1, ""},
		{2, 3, 0, ""},
		{3, 3, 3, ""},
		{4, 4, -ERANGE, "no path of 4 hops: there are paths of 1, 2, 3"},
		{4, 9, -ERANGE, "no path of 4 to 9 hops: there are paths of 1, 2, 3"},
		{4, 0, -ERANGE, "no path of 4 to 50 hops: there are paths of 1, 2, 3"},
	};

	(void)state;
	paths[0].n = 2;
	paths[1].n = 1;
	paths[2].n = 2;
	paths[3].n = 3;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct route_path_limits l = {cases[i].min, cases[i].max};
		char why[ROUTE_PATH_WHY_MAX] = "";

		assert_int_equal(route_path_choose(paths, 4, l, why), cases[i].want);
		assert_string_equal(why, cases[i].why);
	}
}

static void without_any_way_no_lengths_are_named(void **state)
{
	const struct route_path_limits l = {2, 2}, up_to_one = {0, 1};
	char why[ROUTE_PATH_WHY_MAX] = "";

	(void)state;
	assert_int_equal(route_path_choose(NULL, 0, l, why), -ERANGE);
	assert_string_equal(why, "no path of 2 hops");
	assert_int_equal(route_path_choose(NULL, 0, up_to_one, why), -ERANGE);
	assert_string_equal(why, "no path of 1 hop"); // none has fewer
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_way_is_chained_and_its_transports_follow_from_the_keys),
		cmocka_unit_test(the_way_back_has_the_same_transports),
		cmocka_unit_test(ways_that_cannot_be_are_refused),
		cmocka_unit_test(the_first_way_of_a_length_that_is_wanted_is_chosen),
		cmocka_unit_test(without_any_way_no_lengths_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
