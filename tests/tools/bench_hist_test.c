// Buckets, percentiles and their error.
#include "lib/base/err.h"
#include "tools/bench/hist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct hist h;

static void small_values_are_exact(void **state)
{
	hist_reset(&h);
	for (uint64_t v = 0; v < 256; v++)
		hist_add(&h, v);
	for (unsigned p = 1; p <= 100; p++)
		assert_int_equal(hist_percentile(&h, p), (256 * p + 99) / 100 - 1);
	assert_int_equal(h.min, 0);
	assert_int_equal(h.max, 255);
	assert_float_equal(hist_mean(&h), 127.5, 1e-9);
}

static void an_empty_one_says_zero(void **state)
{
	hist_reset(&h);
	assert_int_equal(hist_percentile(&h, 50), 0);
	assert_float_equal(hist_mean(&h), 0, 0);
}

// Each value alone: what comes back is not below it, and at most 1/128 above it.
static void an_index_is_monotonic_and_its_error_bounded(void **state)
{
	unsigned last = 0;

	for (uint64_t v = 1; v < 1ull << HIST_MAX_BITS; v += 1 + v / 37) {
		hist_reset(&h);
		hist_add(&h, v);
		hist_add(&h, v * 2); // so that the first is not the greatest
		assert_true(hist_percentile(&h, 50) >= v);
		assert_true(hist_percentile(&h, 50) <= v + v / 128);
		assert_true(hist_index(v) >= last);
		assert_true(hist_index(v) < HIST_BUCKETS);
		last = hist_index(v);
	}
}

static void what_is_too_large_counts_in_the_last_bucket(void **state)
{
	hist_reset(&h);
	hist_add(&h, UINT64_MAX);
	hist_add(&h, 1ull << HIST_MAX_BITS);
	assert_int_equal(h.bucket[HIST_BUCKETS - 1], 2);
	assert_true(h.max == UINT64_MAX);
}

static void a_tail_shows_in_high_percentiles_only(void **state)
{
	hist_reset(&h);
	for (unsigned i = 0; i < 9990; i++)
		hist_add(&h, 100);
	for (unsigned i = 0; i < 10; i++)
		hist_add(&h, 1000000);
	assert_int_equal(hist_percentile(&h, 50), 100);
	assert_int_equal(hist_percentile(&h, 99.9), 100);
	assert_int_equal(hist_percentile(&h, 99.91), 1000000);
	assert_int_equal(hist_percentile(&h, 100), 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_values_are_exact),
		cmocka_unit_test(an_empty_one_says_zero),
		cmocka_unit_test(an_index_is_monotonic_and_its_error_bounded),
		cmocka_unit_test(what_is_too_large_counts_in_the_last_bucket),
		cmocka_unit_test(a_tail_shows_in_high_percentiles_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
