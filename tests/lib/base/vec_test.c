// Growth keeps elements; removal swaps the last one in.
#include "lib/base/vec.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void grows_and_keeps_its_elements(void **state)
{
	VEC(int) v = {0};

	for (int i = 0; i < 1000; i++)
		assert_int_equal(vec_push(&v, i), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(v.v[i], i);
	vec_remove_swap(&v, 3);
	assert_int_equal(v.n, 999);
	assert_int_equal(v.v[3], 999);
	vec_free(&v);
	assert_int_equal(v.n, 0);
	assert_null(v.v);
}

static void refuses_impossible_sizes(void **state)
{
	VEC(uint64_t) v = {0};

	assert_int_equal(vec_reserve(&v, SIZE_MAX / 4), -ENOMEM);
	assert_int_equal(v.cap, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_keeps_its_elements),
		cmocka_unit_test(refuses_impossible_sizes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
