// Both DH suites: known answers, agreement of two sides, and points that must be refused.

#include "lib/crypto/dh.h"

#include "lib/base/err.h"
#include "tests/support/hex.h"
#include "tests/support/vectors.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void secp256k1_matches_skywire(void **state)
{
	json_t *root = vectors_load("skywire-crypto.json");
	const json_t *list = vectors_get(vectors_get(root, "dmsg"), "ecdh");
	const json_t *keys = vectors_get(vectors_get(root, "routing"), "keys");
	const struct dh_suite *s = dh_secp256k1();
	uint8_t sk[32], pk[33], want[33], out[33];

	assert_int_equal(json_array_size(list), 2);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);

		vectors_hex(v, "sk", sk, 32);
		vectors_hex(v, "pk", pk, 33);
		vectors_hex(v, "noise_dh_output_33", want, 33);
		assert_int_equal(s->dh(out, sk, pk), 0);
		assert_memory_equal(out, want, 33);
	}
	vectors_hex(vectors_get(keys, "A"), "sk", sk, 32);
	vectors_hex(vectors_get(keys, "B"), "pk", pk, 33);
	vectors_hex(keys, "noise_dh_AB_33", want, 33);
	assert_int_equal(s->dh(out, sk, pk), 0);
	assert_memory_equal(out, want, 33);
	json_decref(root);
}

// RFC 7748 section 6.1.
static void x25519_matches_rfc_7748(void **state)
{
	const struct dh_suite *s = dh_25519();
	uint8_t a[32], b_pk[32], want[32], out[32];

	hex_exact(a, 32, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
	hex_exact(b_pk, 32, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
	hex_exact(want, 32, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
	assert_int_equal(s->dh(out, a, b_pk), 0);
	assert_memory_equal(out, want, 32);
	hex_exact(want, 32, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
	assert_int_equal(s->pub(out, a), 0);
	assert_memory_equal(out, want, 32);
}

static void both_sides_agree(void **state)
{
	const struct dh_suite *suites[] = {dh_25519(), dh_secp256k1()};

	for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
		const struct dh_suite *s = suites[i];
		uint8_t a[DH_MAX_SK_LEN], b[DH_MAX_SK_LEN], pa[DH_MAX_PK_LEN], pb[DH_MAX_PK_LEN];
		uint8_t x[DH_MAX_DH_LEN], y[DH_MAX_DH_LEN];

		assert_int_equal(s->generate(a, pa), 0);
		assert_int_equal(s->generate(b, pb), 0);
		assert_memory_not_equal(a, b, s->sk_len);
		assert_int_equal(s->pub(x, a), 0);
		assert_memory_equal(x, pa, s->pk_len);
		assert_int_equal(s->dh(x, a, pb), 0);
		assert_int_equal(s->dh(y, b, pa), 0);
		assert_memory_equal(x, y, s->dh_len);
	}
}

static void refuses_bad_points_and_scalars(void **state)
{
	static const uint8_t zero[33];
	const struct dh_suite *s = dh_secp256k1();
	uint8_t sk[32], pk[33], out[33];

	assert_int_equal(s->generate(sk, pk), 0);
	assert_int_equal(s->dh(out, zero, pk), -EINVAL);
	assert_int_equal(s->dh(out, sk, zero), -EBADMSG);
	assert_memory_equal(out, zero, 33);
	pk[0] = 5;
	assert_int_equal(s->dh(out, sk, pk), -EBADMSG);
	assert_int_equal(s->pub(pk, zero), -EINVAL);
	s = dh_25519();
	assert_int_equal(s->generate(sk, pk), 0);
	assert_int_equal(s->dh(out, sk, zero), -EBADMSG); // low order: the product is zero
	assert_memory_equal(out, zero, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secp256k1_matches_skywire),
		cmocka_unit_test(x25519_matches_rfc_7748),
		cmocka_unit_test(both_sides_agree),
		cmocka_unit_test(refuses_bad_points_and_scalars),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
