// The keyed hash table against a plain array as its model.
#include "lib/base/htab.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t secret[HTAB_SECRET_LEN] = {1, 2, 3};

static void finds_what_was_put(void **state)
{
	struct htab *t = htab_new(4, 100, secret);
	int v[2];

	assert_int_equal(htab_put(t, "aaaa", &v[0]), 0);
	assert_int_equal(htab_put(t, "bbbb", &v[1]), 0);
	assert_int_equal(htab_put(t, "aaaa", &v[1]), -EEXIST);
	assert_ptr_equal(htab_find(t, "aaaa"), &v[0]);
	assert_ptr_equal(htab_find(t, "bbbb"), &v[1]);
	assert_null(htab_find(t, "cccc"));
	assert_ptr_equal(htab_del(t, "aaaa"), &v[0]);
	assert_null(htab_del(t, "aaaa"));
	assert_null(htab_find(t, "aaaa"));
	assert_int_equal(htab_len(t), 1);
	htab_free(t);
}

static void keeps_its_limit(void **state)
{
	struct htab *t = htab_new(2, 3, secret);
	int v;

	for (uint16_t k = 0; k < 3; k++)
		assert_int_equal(htab_put(t, &k, &v), 0);
	assert_int_equal(htab_put(t, "zz", &v), -ENOSPC);
	assert_non_null(htab_del(t, "\0\0"));
	assert_int_equal(htab_put(t, "zz", &v), 0);
	htab_free(t);
}

static void agrees_with_a_model(void **state)
{
	enum { N = 700 };
	struct htab *t = htab_new(sizeof(uint32_t), N, secret);
	static uint8_t there[N];
	uint32_t x = 1;
	size_t n = 0;

	for (unsigned turn = 0; turn < 50000; turn++) {
		uint32_t k = (x = x * 1664525u + 1013904223u) >> 8;

		k %= N;
		if (turn % 1000 == 0) {
			for (uint32_t i = 0; i < N; i++)
				assert_ptr_equal(htab_find(t, &i), there[i] ? &there[i] : NULL);
		}
		if (there[k]) {
			assert_ptr_equal(htab_del(t, &k), &there[k]);
			n--;
		} else {
			assert_int_equal(htab_put(t, &k, &there[k]), 0);
			n++;
		}
		there[k] = !there[k];
		assert_int_equal(htab_len(t), n);
	}
	htab_free(t);
}

static void walks_each_entry_once(void **state)
{
	struct htab *t = htab_new(sizeof(uint32_t), 1000, secret);
	uint8_t seen[100] = {0};
	const void *key;
	size_t pos = 0;
	uint8_t *v;

	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(htab_put(t, &i, &seen[i]), 0);
	while ((v = htab_next(t, &pos, &key)) != NULL) {
		assert_ptr_equal(v, &seen[*(const uint32_t *)key]);
		(*v)++;
	}
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(seen[i], 1);
	htab_free(t);
}

static void hashes_as_siphash_does(void **state)
{
	// SipHash-2-4 reference: key 00..0f, input 00..0e gives a129ca6149be45e5.
	uint8_t key[16], in[15];

	for (uint8_t i = 0; i < 16; i++)
		key[i] = i;
	for (uint8_t i = 0; i < 15; i++)
		in[i] = i;
	assert_int_equal(htab_hash(key, in, sizeof(in)), 0xa129ca6149be45e5);
}

static void refuses_bad_sizes(void **state)
{
	assert_null(htab_new(0, 1, secret));
	assert_int_equal(errno, EINVAL);
	assert_null(htab_new(HTAB_KEY_MAX + 1, 1, secret));
	assert_null(htab_new(4, 0, secret));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_put),
		cmocka_unit_test(keeps_its_limit),
		cmocka_unit_test(agrees_with_a_model),
		cmocka_unit_test(walks_each_entry_once),
		cmocka_unit_test(hashes_as_siphash_does),
		cmocka_unit_test(refuses_bad_sizes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
