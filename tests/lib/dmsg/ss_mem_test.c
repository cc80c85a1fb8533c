// Products that are kept are the right ones, whoever took whose place.
#include "lib/dmsg/ss_mem.h"

#include "lib/crypto/dh.h"
#include "tests/lib/dmsg/world.h"

enum { N_KEYS = 2 };

static const uint8_t secret[SS_MEM_SECRET_LEN] = {1, 2, 3};
static struct world w;

static int setup(void **state)
{
	(void)state;
	world_keys(&w);
	return 0;
}

static void assert_product(const uint8_t *ss, const struct key_sk *sk, const struct key_pk *pk)
{
	uint8_t want[SS_MEM_LEN];

	assert_non_null(ss);
	assert_int_equal(dh_secp256k1()->dh(want, sk->b, pk->b), 0);
	assert_memory_equal(ss, want, sizeof(want));
}

static void products_are_right_however_many_peers_there_are(void **state)
{
	struct ss_mem *m = ss_mem_new(&w.a_sk, N_KEYS, secret);

	(void)state;
	assert_non_null(m);
	for (unsigned round = 0; round < 2; round++)
		for (uint8_t i = 1; i < 9; i++) {
			struct key_sk sk = {{[31] = i}};
			struct key_pk pk;

			assert_int_equal(key_pk_from_sk(&pk, &sk), 0);
			assert_product(ss_mem_get(m, &pk), &w.a_sk, &pk);
			assert_product(ss_mem_get(m, &pk), &sk, &w.a);
		}
	ss_mem_free(m);
}

static void it_is_kept(void **state)
{
	struct ss_mem *m = ss_mem_new(&w.a_sk, N_KEYS, secret);
	const uint8_t *ss;

	(void)state;
	assert_non_null(m);
	assert_product(ss_mem_get(m, &w.b), &w.a_sk, &w.b);
	w.a_sk = w.s_sk; // of which no product is made any more
	ss = ss_mem_get(m, &w.b);
	assert_product(ss, &w.b_sk, &w.a);
	ss_mem_free(m);
}

static void no_point_has_no_product(void **state)
{
	static const struct key_pk none, bad = {{2, [32] = 5}}; // X = 5 is not on the curve
	struct ss_mem *m = ss_mem_new(&w.a_sk, N_KEYS, secret);

	(void)state;
	assert_non_null(m);
	assert_null(ss_mem_get(m, &none));
	assert_null(ss_mem_get(m, &bad));
	assert_product(ss_mem_get(m, &w.b), &w.a_sk, &w.b);
	ss_mem_free(m);
	assert_null(ss_mem_new(&w.a_sk, 3, secret));
	assert_int_equal(errno, EINVAL);
}

// A stream's two ends, of which one has kept the product.
static void streams_open_with_it(void **state)
{
	struct ss_mem *m = ss_mem_new(&w.a_sk, N_KEYS, secret);
	struct noise i, r;
	uint8_t msg[128], none[1];
	ssize_t n;

	(void)state;
	world_make(&w);
	w.as.ss = m;
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(dmsg_session_kk(&w.as, &w.b, true, NULL, &i), 0);
		assert_int_equal(dmsg_session_kk(&w.bs, &w.a, false, NULL, &r), 0);
		n = noise_write(&i, NULL, 0, msg, sizeof(msg));
		assert_int_equal(noise_read(&r, msg, (size_t)n, none, 0), 0);
		n = noise_write(&r, NULL, 0, msg, sizeof(msg));
		assert_int_equal(noise_read(&i, msg, (size_t)n, none, 0), 0);
		assert_true(noise_is_done(&i) && noise_is_done(&r));
		noise_fini(&i);
		noise_fini(&r);
	}
	ss_mem_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, setup)
		T(products_are_right_however_many_peers_there_are),
		T(it_is_kept),
		T(no_point_has_no_product),
		T(streams_open_with_it),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
