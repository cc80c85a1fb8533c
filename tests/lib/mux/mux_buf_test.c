// Byte chains: order over chunk borders, and where the memory goes.
#include "lib/mux/mux_buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/mux_pair.h"

static void gives_bytes_back_in_order(void **state)
{
	struct mux_pool pool = {0};
	struct mux_buf b = {0};
	uint8_t in[10000], out[10000];
	uint64_t put = 0, got = 0, random = 1;
	uint8_t *front;

	for (int i = 0; i < 2000; i++) {
		size_t n = mux_random(&random) % sizeof(in);

		mux_pattern_fill(in, n, put);
		assert_int_equal(mux_buf_put(&b, &pool, in, n), n);
		put += n;
		n = mux_buf_peek(&b, &front);
		assert_in_range(n, b.len > 0, b.len);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(front[k], mux_pattern(got + k));
		n = mux_buf_get(&b, &pool, out, mux_random(&random) % sizeof(out));
		for (size_t k = 0; k < n; k++)
			assert_int_equal(out[k], mux_pattern(got + k));
		got += n;
		assert_int_equal(b.len, put - got);
	}
	assert_int_equal(mux_buf_get(&b, &pool, NULL, b.len), put - got);
	assert_null(b.head);
	mux_pool_fini(&pool);
	assert_int_equal(pool.n_chunks, 0);
}

static void holds_no_memory_while_empty(void **state)
{
	struct mux_pool pool = {0};
	struct mux_buf b = {0};
	static uint8_t bytes[400000];

	for (int i = 0; i < 1000; i++) {
		assert_int_equal(mux_buf_put(&b, &pool, bytes, 100), 100);
		assert_int_equal(mux_buf_get(&b, &pool, bytes, 200), 100);
		assert_int_equal(mux_buf_get(&b, &pool, bytes, 200), 0);
		assert_null(b.head);
	}
	assert_int_equal(pool.n_chunks, 1); // a spare one: not an allocation each
	mux_buf_put(&b, &pool, bytes, sizeof(bytes));
	assert_in_range(pool.n_chunks, sizeof(bytes) / 4096, sizeof(bytes) / 4096 + 2);
	mux_buf_get(&b, &pool, NULL, sizeof(bytes));
	assert_int_equal(pool.n_chunks, pool.n_spare);
	assert_int_equal(pool.n_spare, 64); // a window
	mux_pool_trim(&pool);
	assert_int_equal(pool.n_chunks, pool.n_spare);
	assert_int_equal(pool.n_spare, 4);
	mux_pool_fini(&pool);
	assert_int_equal(pool.n_chunks, 0);
}

static void takes_nothing_from_nothing(void **state)
{
	struct mux_pool pool = {0};
	struct mux_buf b = {0};
	uint8_t byte = 0, *front;

	assert_int_equal(mux_buf_peek(&b, &front), 0);
	assert_int_equal(mux_buf_put(&b, &pool, &byte, 0), 0);
	assert_int_equal(mux_buf_get(&b, &pool, &byte, 1), 0);
	assert_int_equal(pool.n_chunks, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_bytes_back_in_order),
		cmocka_unit_test(holds_no_memory_while_empty),
		cmocka_unit_test(takes_nothing_from_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
