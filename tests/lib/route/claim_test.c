// Ids that set-up nodes hold: once reserved, once begun, given up in time, and never more than the
// limits.
#include "lib/route/claim.h"

#include "lib/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { RESERVED = 6, RESERVED_OF_KEY = 4, RULES = 8, RULES_OF_KEY = 5, HOLD = 60 };

static const struct key_pk one = {.b = {2, 1}}, two = {.b = {3, 2}};
static struct claims *c;
static size_t which;
static uint32_t gone[16];
static unsigned n_gone;

static int setup(void **state)
{
	const struct claims_limits max = {RESERVED, RESERVED_OF_KEY, RULES, RULES_OF_KEY, HOLD};

	(void)state;
	n_gone = 0;
	c = claims_new(&max);
	return c == NULL;
}

static int teardown(void **state)
{
	(void)state;
	claims_free(c);
	return 0;
}

static void on_gone(void *arg, uint32_t id)
{
	(void)arg;
	gone[n_gone++] = id;
}

static void reserve(const struct key_pk *by, uint32_t from, uint32_t n, uint64_t now)
{
	for (uint32_t id = from; id < from + n; id++)
		assert_int_equal(claims_reserve(c, by, id, now), 0);
}

static int begin(const struct key_pk *by, uint32_t a, uint32_t b, uint64_t now)
{
	const uint32_t ids[] = {a, b};

	return claims_begin(c, by, ids, 2, now, &which);
}

static void an_id_is_begun_once_by_who_reserved_it(void **state)
{
	(void)state;
	reserve(&one, 1, 3, 0);
	assert_int_equal(begin(&two, 1, 2, 1), -ENOENT);
	assert_int_equal(begin(&one, 1, 9, 1), -ENOENT);
	assert_int_equal(which, 1);
	assert_int_equal(begin(&one, 1, 1, 1), -EEXIST);
	assert_int_equal(claims_n_reserved(c), 3); // none of these took anything
	assert_int_equal(begin(&one, 1, 2, 1), 0);
	assert_int_equal(begin(&one, 3, 2, 1), -EEXIST);
	assert_int_equal(which, 1);
	claims_laid(c, 2, 2);
	assert_int_equal(begin(&one, 3, 2, 1), -EEXIST);
	assert_int_equal(claims_find(c, 2)->state, CLAIM_LAID);
	assert_int_equal(claims_find(c, 2)->since_ns, 2);
	claims_drop(c, 2);
	assert_int_equal(begin(&one, 3, 2, 1), -ENOENT);
	assert_int_equal(claims_n_rules(c), 1);
}

static void what_is_not_used_in_time_is_given_up(void **state)
{
	(void)state;
	reserve(&one, 1, 2, 10);
	reserve(&two, 3, 1, 20);
	assert_int_equal(claims_expire(c, 69, on_gone, NULL), 70);
	assert_int_equal(n_gone, 0);
	assert_int_equal(begin(&one, 1, 2, 70), -ENOENT); // too late, told or not
	assert_int_equal(claims_expire(c, 70, on_gone, NULL), 80);
	assert_int_equal(n_gone, 2);
	assert_int_equal(gone[0], 1);
	assert_int_equal(gone[1], 2);
	assert_int_equal(claims_expire(c, 80, on_gone, NULL), 0);
	assert_int_equal(n_gone, 3);
	assert_int_equal(claims_n_reserved(c), 0);
}

static void rules_are_not_given_up(void **state)
{
	(void)state;
	reserve(&one, 1, 2, 0);
	assert_int_equal(begin(&one, 1, 2, 1), 0);
	claims_laid(c, 1, 2);
	assert_int_equal(claims_expire(c, 1000, on_gone, NULL), 0);
	assert_int_equal(n_gone, 0);
	assert_non_null(claims_find(c, 1));
	assert_non_null(claims_find(c, 2));
}

static void one_key_and_all_have_limits(void **state)
{
	(void)state;
	assert_true(claims_has_room(c, &one, RESERVED_OF_KEY));
	assert_false(claims_has_room(c, &one, RESERVED_OF_KEY + 1));
	reserve(&one, 1, RESERVED_OF_KEY, 0);
	assert_false(claims_has_room(c, &one, 1));
	assert_true(claims_has_room(c, &two, RESERVED - RESERVED_OF_KEY));
	assert_false(claims_has_room(c, &two, RESERVED - RESERVED_OF_KEY + 1));
	assert_int_equal(begin(&one, 1, 2, 0), 0);
	assert_int_equal(begin(&one, 3, 4, 0), 0);
	reserve(&one, 5, 2, 0);
	assert_int_equal(begin(&one, 5, 6, 0), -EDQUOT);
	assert_int_equal(claims_n_reserved(c), 2);
	claims_drop(c, 1);
	assert_int_equal(begin(&one, 5, 6, 0), 0);
	// five rules there, and eight are all
	assert_true(claims_has_room(c, &two, 3));
	assert_false(claims_has_room(c, &two, 4));
	claims_set_rules(c, 5, 5);
	assert_false(claims_has_room(c, &two, 1));
	assert_int_equal(claims_n_rules(c), 5);
}

static void drop(void *arg, struct claim *claim)
{
	(void)arg;
	on_gone(NULL, claim->id);
	claims_drop(c, claim->id);
}

static void a_walk_may_drop_what_it_meets(void **state)
{
	(void)state;
	reserve(&one, 1, 2, 0);
	reserve(&two, 3, 2, 0);
	assert_int_equal(begin(&two, 3, 4, 0), 0);
	claims_each(c, drop, NULL);
	assert_int_equal(n_gone, 4);
	assert_null(claims_find(c, 1));
	assert_int_equal(claims_n_rules(c) + claims_n_reserved(c), 0);
	claims_drop(c, 1); // nothing
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_id_is_begun_once_by_who_reserved_it),
		T(what_is_not_used_in_time_is_given_up),
		T(rules_are_not_given_up),
		T(one_key_and_all_have_limits),
		T(a_walk_may_drop_what_it_meets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
