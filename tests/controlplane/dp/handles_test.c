// Handles: unique, bounded, with generations that move on.
#include "controlplane/dp/handles.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
// after the standard headers, as cmocka wants it
#include <cmocka.h>

#include "lib/shm/dpmsg.h"

enum { INDEX_MASK = (1 << DPMSG_HANDLE_BITS) - 1 };

static void handles_are_unique_and_bounded(void **state)
{
	struct handles *h = handles_new();
	uint32_t got[8];

	(void)state;
	handles_set_max(h, 8);
	for (int i = 0; i < 8; i++) {
		got[i] = handles_take(h);
		assert_int_not_equal(got[i], 0);
		assert_true((got[i] & INDEX_MASK) < 8);
		for (int k = 0; k < i; k++)
			assert_int_not_equal(got[i], got[k]);
	}
	assert_int_equal(handles_take(h), 0);
	handles_put(h, got[3]);
	assert_int_not_equal(handles_take(h), got[3]);
	handles_free(h);
}

static void a_freed_handle_never_comes_back_soon(void **state)
{
	struct handles *h = handles_new();
	uint32_t first, n;

	(void)state;
	handles_set_max(h, 1);
	first = handles_take(h);
	assert_int_equal(handles_take(h), 0);
	n = first;
	for (int i = 0; i < 4092; i++) {
		handles_put(h, n);
		n = handles_take(h);
		assert_int_not_equal(n, 0);
		assert_int_not_equal(n, RULE_IN_LOCAL);
		assert_true(i == 0 || n != first);
		assert_true(handles_is_live(h, n));
		assert_true(i == 0 || !handles_is_live(h, first));
	}
	handles_free(h);
}

static void adopts_what_lives(void **state)
{
	static const struct {
		uint32_t handle;
		int rc;
	} rows[] = {
		{5 | 77u << DPMSG_HANDLE_BITS, 0},
		{5 | 78u << DPMSG_HANDLE_BITS, -EEXIST},
		{6 | 4094u << DPMSG_HANDLE_BITS, 0},
		{7 | 4095u << DPMSG_HANDLE_BITS, -EINVAL},
		{8, -EINVAL},
		{0, -EINVAL},
	};
	struct handles *h = handles_new();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(handles_take_exact(h, rows[i].handle), rows[i].rc);
		assert_int_equal(handles_is_live(h, rows[i].handle), rows[i].rc == 0);
	}
	handles_put(h, 5 | 78u << DPMSG_HANDLE_BITS); // a stranger
	assert_true(handles_is_live(h, rows[0].handle));
	handles_put(h, 0);
	for (int i = 0; i < 20; i++)
		assert_int_not_equal(handles_take(h) & INDEX_MASK, 5);
	handles_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handles_are_unique_and_bounded),
		cmocka_unit_test(a_freed_handle_never_comes_back_soon),
		cmocka_unit_test(adopts_what_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
