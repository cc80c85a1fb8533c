// Ids are unique, never 0, never live again once freed, and drawn as the random function says.
#include "lib/base/idpool.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint32_t pick(void *arg, uint32_t upper)
{
	uint32_t *x = arg;

	*x = *x * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)*x * upper) >> 32);
}

static uint32_t pick_zero(void *arg, uint32_t upper)
{
	return 0;
}

static uint32_t seed = 1;

static struct idpool *pool(unsigned bits, uint32_t life)
{
	struct idpool_conf c = {.index_bits = bits,
		.life = life,
		.secret = {7},
		.random = pick,
		.random_arg = &seed};
	struct idpool *p = idpool_new(&c);

	assert_non_null(p);
	return p;
}

static void takes_each_index_once(void **state)
{
	struct idpool *p = pool(10, 0);
	uint8_t seen[1024] = {0};

	for (unsigned i = 0; i < 1024; i++) {
		uint32_t id = idpool_take(p);

		assert_int_not_equal(id, 0);
		assert_true(idpool_is_live(p, id));
		assert_int_equal(seen[idpool_index(p, id)]++, 0);
	}
	assert_int_equal(idpool_n_live(p), 1024);
	assert_int_equal(idpool_take(p), 0);
	idpool_free_pool(p);
}

static void draws_indices_at_random(void **state)
{
	struct idpool *p = pool(16, 0);
	unsigned in_order = 0;
	uint32_t last = 0;

	for (unsigned i = 0; i < 1000; i++) {
		uint32_t index = idpool_index(p, idpool_take(p));

		in_order += index == last + 1;
		last = index;
	}
	assert_true(in_order < 10);
	idpool_free_pool(p);
}

static void a_freed_id_stays_dead(void **state)
{
	struct idpool_conf c = {.index_bits = 1, .random = pick_zero};
	struct idpool *p = idpool_new(&c);
	uint32_t first = idpool_take(p);

	for (unsigned i = 0; i < 100000; i++) {
		uint32_t id;

		assert_int_equal(idpool_free(p, first), i == 0 ? 0 : -ENOENT);
		assert_false(idpool_is_live(p, first));
		id = idpool_take(p);
		assert_int_not_equal(id, first);
		assert_int_not_equal(id, 0);
		assert_int_equal(idpool_free(p, id), 0);
	}
	idpool_free_pool(p);
}

static void refuses_to_free_what_is_not_live(void **state)
{
	struct idpool *p = pool(8, 0);
	uint32_t id = idpool_take(p);

	assert_int_equal(idpool_free(p, 0), -ENOENT);
	assert_int_equal(idpool_free(p, id ^ 0x100), -ENOENT); // other generation
	assert_int_equal(idpool_free(p, id ^ 1), -ENOENT); // other index
	assert_int_equal(idpool_free(p, id), 0);
	assert_int_equal(idpool_free(p, id), -ENOENT);
	assert_int_equal(idpool_n_live(p), 0);
	idpool_free_pool(p);
}

static void adopts_exact_ids(void **state)
{
	struct idpool *p = pool(8, 0);

	assert_int_equal(idpool_take_exact(p, 0xabcdef05), 0);
	assert_true(idpool_is_live(p, 0xabcdef05));
	assert_int_equal(idpool_at(p, idpool_index(p, 0xabcdef05)), 0xabcdef05);
	assert_int_equal(idpool_at(p, idpool_index(p, 0xabcdef05) + 1), 0);
	assert_int_equal(idpool_take_exact(p, 0xabcdef05), -EEXIST);
	assert_int_equal(idpool_take_exact(p, 0x11111105), -EEXIST);
	assert_int_equal(idpool_take_exact(p, 0), -EINVAL);
	for (unsigned i = 0; i < 255; i++)
		assert_int_not_equal(idpool_index(p, idpool_take(p)), 5);
	assert_int_equal(idpool_take(p), 0);
	assert_int_equal(idpool_free(p, 0xabcdef05), 0);
	assert_int_equal(idpool_take(p), 0xabcdf005); // next generation of the only free index
	idpool_free_pool(p);
}

static void survives_random_use(void **state)
{
	struct idpool *p = pool(6, 3);
	uint32_t live[64];
	unsigned n = 0;

	for (unsigned turn = 0; turn < 20000; turn++) {
		if (n < 64 && (n == 0 || pick(&seed, 2) == 0)) {
			live[n] = idpool_take(p);
			assert_int_not_equal(live[n], 0);
			n++;
		} else {
			unsigned i = pick(&seed, n);

			assert_int_equal(idpool_free(p, live[i]), 0);
			live[i] = live[--n];
		}
		assert_int_equal(idpool_n_live(p), n);
		for (unsigned i = 0; i < n; i++)
			assert_true(idpool_is_live(p, live[i]));
	}
	idpool_free_pool(p);
}

static void a_new_life_hands_out_other_ids(void **state)
{
	struct idpool *a = pool(12, 1), *b = pool(12, 2);

	for (unsigned i = 0; i < 4096; i++)
		idpool_take(b);
	for (unsigned i = 0; i < 4096; i++)
		assert_false(idpool_is_live(b, idpool_take(a)));
	idpool_free_pool(a);
	idpool_free_pool(b);
}

static void holds_four_million(void **state)
{
	struct idpool *p = pool(IDPOOL_BITS_MAX, 0);
	uint32_t id = 1;

	for (unsigned i = 0; i < 1000; i++)
		id = idpool_take(p);
	assert_true(idpool_is_live(p, id));
	idpool_free_pool(p);
}

static void refuses_bad_configuration(void **state)
{
	struct idpool_conf c = {.index_bits = 0, .random = pick};

	assert_null(idpool_new(&c));
	assert_int_equal(errno, EINVAL);
	c.index_bits = IDPOOL_BITS_MAX + 1;
	assert_null(idpool_new(&c));
	c = (struct idpool_conf){.index_bits = 4};
	assert_null(idpool_new(&c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_each_index_once),
		cmocka_unit_test(draws_indices_at_random),
		cmocka_unit_test(a_freed_id_stays_dead),
		cmocka_unit_test(refuses_to_free_what_is_not_live),
		cmocka_unit_test(adopts_exact_ids),
		cmocka_unit_test(survives_random_use),
		cmocka_unit_test(a_new_life_hands_out_other_ids),
		cmocka_unit_test(holds_four_million),
		cmocka_unit_test(refuses_bad_configuration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
