// Receiver indices: random, unique in their low bits, found again.
#include "controlplane/transport/rx_index.h"

#include "lib/base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
// after the standard headers, as cmocka wants it
#include <cmocka.h>

static void live_ones_differ_in_their_low_bits(void **state)
{
	struct rx_index *x = rx_index_new(6);
	uint32_t got[33];
	unsigned n = 0;
	int me;

	(void)state;
	assert_non_null(x);
	while ((got[n] = rx_index_take(x, &me)) != 0) {
		for (unsigned i = 0; i < n; i++)
			assert_int_not_equal(got[i] & 63, got[n] & 63);
		assert_ptr_equal(rx_index_owner(x, got[n]), &me);
		assert_null(rx_index_owner(x, got[n] ^ 0x80000000u));
		assert_true(++n <= 33);
	}
	assert_int_equal(n, 32); // half
	rx_index_put(x, got[0]);
	assert_null(rx_index_owner(x, got[0]));
	assert_int_not_equal(rx_index_take(x, &me), 0);
	rx_index_free(x);
}

static void adopted_ones_are_taken(void **state)
{
	struct rx_index *x = rx_index_new(4);
	int a, b;

	(void)state;
	assert_int_equal(rx_index_take_exact(x, 0, &a), -EINVAL);
	assert_int_equal(rx_index_take_exact(x, 0xabc3, &a), 0);
	assert_int_equal(rx_index_take_exact(x, 0xabd3, &b), -EEXIST);
	rx_index_put(x, 0xabd3); // another generation: not this one
	assert_ptr_equal(rx_index_owner(x, 0xabc3), &a);
	rx_index_put(x, 0xabc3);
	assert_int_equal(rx_index_take_exact(x, 0xabd3, &b), 0);
	rx_index_put(x, 0);
	rx_index_put(NULL, 5);
	rx_index_free(x);
}

static uint64_t now_ns;

static uint64_t mono(void)
{
	return now_ns;
}

// A hundred of 1024 slots are free but rest: of 200 draws without rest tens would fall on them.
static void what_was_given_back_rests(void **state)
{
	static const struct clock_source src = {mono, mono};
	struct rx_index *x = rx_index_new(10);
	uint32_t back[100], index;
	unsigned n = 0;
	int me;

	(void)state;
	clock_source_set(&src);
	for (unsigned i = 0; i < 100; i++)
		back[i] = rx_index_take(x, &me);
	for (unsigned i = 0; i < 100; i++)
		rx_index_put(x, back[i]);
	now_ns += 100 * CLOCK_NS_PER_S;
	for (unsigned k = 0; k < 200; k++) {
		index = rx_index_take(x, &me);
		for (unsigned i = 0; i < 100; i++)
			assert_int_not_equal(index & 1023, back[i] & 1023);
	}
	now_ns += 101 * CLOCK_NS_PER_S;
	for (unsigned k = 0; k < 100; k++) { // they are like others again
		index = rx_index_take(x, &me);
		for (unsigned i = 0; i < 100; i++)
			n += (index & 1023) == (back[i] & 1023);
	}
	assert_true(n > 0);
	rx_index_free(x);
	clock_source_set(NULL);
}

// However many rest, no link waits for one.
static void all_that_rests_is_still_to_be_had(void **state)
{
	struct rx_index *x = rx_index_new(4);
	uint32_t got[9];
	int me;

	(void)state;
	for (unsigned turn = 0; turn < 20; turn++) {
		for (unsigned i = 0; i < 8; i++) {
			got[i] = rx_index_take(x, &me);
			assert_int_not_equal(got[i], 0);
		}
		assert_int_equal(rx_index_take(x, &me), 0);
		for (unsigned i = 0; i < 8; i++)
			rx_index_put(x, got[i]);
	}
	rx_index_free(x);
}

static void sizes_out_of_range_are_refused(void **state)
{
	(void)state;
	assert_null(rx_index_new(0));
	assert_null(rx_index_new(RX_INDEX_BITS_MAX + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(live_ones_differ_in_their_low_bits),
		cmocka_unit_test(adopted_ones_are_taken),
		cmocka_unit_test(what_was_given_back_rests),
		cmocka_unit_test(all_that_rests_is_still_to_be_had),
		cmocka_unit_test(sizes_out_of_range_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
