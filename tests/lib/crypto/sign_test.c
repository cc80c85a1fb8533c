// Skywire signatures: those of the reference implementation verify, and each defect is refused.

#include "lib/crypto/sign.h"

#include "tests/support/vectors.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void verdicts_match_the_reference_implementation(void **state)
{
	json_t *root = vectors_load("skywire-crypto.json");
	const json_t *list = vectors_get(vectors_get(root, "dmsg"), "signatures");
	unsigned n_valid = 0;

	assert_int_equal(json_array_size(list), 10);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);
		bool valid = json_is_true(vectors_get(v, "valid"));
		struct sign_sig sig;
		struct key_pk pk;
		size_t len;
		uint8_t *payload = vectors_hex_new(v, "payload", &len);

		vectors_hex(v, "sig", sig.b, SIGN_LEN);
		vectors_hex(v, "pk", pk.b, KEY_PK_LEN);
		assert_int_equal(sign_verify(&sig, &pk, payload, len), valid ? 0 : -EBADMSG);
		n_valid += valid;
		free(payload);
	}
	assert_int_equal(n_valid, 5);
	json_decref(root);
}

static void verifies_the_routing_example(void **state)
{
	json_t *root = vectors_load("skywire-crypto.json");
	const json_t *keys = vectors_get(vectors_get(root, "routing"), "keys");
	struct sign_sig sig;
	struct key_pk pk;

	vectors_hex(vectors_get(keys, "sign"), "sig_65_example_random_k", sig.b, SIGN_LEN);
	vectors_hex(vectors_get(keys, "A"), "pk", pk.b, KEY_PK_LEN);
	assert_int_equal(sign_verify(&sig, &pk, "skywire", 7), 0);
	assert_int_equal(sign_verify(&sig, &pk, "skywirf", 7), -EBADMSG);
	json_decref(root);
}

static void own_signatures_verify_and_differ_each_time(void **state)
{
	struct sign_sig a, b, c;
	struct key_sk sk;
	struct key_pk pk;
	char text[SIGN_TEXT_LEN + 1];

	assert_int_equal(key_sk_generate(&sk), 0);
	assert_int_equal(key_pk_from_sk(&pk, &sk), 0);
	for (uint8_t i = 0; i < 32; i++) {
		assert_int_equal(sign_payload(&a, &sk, &i, 1), 0);
		assert_true(a.b[32] < 0x80 && a.b[64] < 4);
		assert_int_equal(sign_verify(&a, &pk, &i, 1), 0);
	}
	assert_int_equal(sign_payload(&a, &sk, "x", 1), 0);
	assert_int_equal(sign_payload(&b, &sk, "x", 1), 0);
	assert_memory_not_equal(&a, &b, sizeof(a));
	sign_to_text(&a, text);
	assert_int_equal(sign_from_text(&c, text, SIGN_TEXT_LEN), 0);
	assert_memory_equal(&a, &c, sizeof(a));
	assert_int_equal(sign_from_text(&c, text, SIGN_TEXT_LEN - 1), -EINVAL);
	text[7] = 'x';
	assert_int_equal(sign_from_text(&c, text, SIGN_TEXT_LEN), -EINVAL);
}

static void every_flipped_bit_is_refused(void **state)
{
	struct sign_sig sig;
	struct key_sk sk;
	struct key_pk pk;

	memset(&sk, 0x31, sizeof(sk));
	assert_int_equal(key_pk_from_sk(&pk, &sk), 0);
	assert_int_equal(sign_payload(&sig, &sk, "payload", 7), 0);
	for (unsigned bit = 0; bit < 8 * SIGN_LEN; bit++) {
		sig.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(sign_verify(&sig, &pk, "payload", 7), -EBADMSG);
		sig.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(sign_verify(&sig, &pk, "payload", 7), 0);
}

static void refuses_null_signature_null_key_and_zero_hash(void **state)
{
	static const struct key_pk null_pk;
	static const struct key_sk null_sk;
	static const uint8_t zero_hash[32];
	struct sign_sig sig = {{0}};
	struct key_sk sk;
	struct key_pk pk;

	memset(&sk, 0x31, sizeof(sk));
	assert_int_equal(sign_verify(&sig, &null_pk, "x", 1), -EBADMSG);
	assert_int_equal(sign_hash(&sig, &sk, zero_hash), -EINVAL);
	assert_int_equal(sign_payload(&sig, &null_sk, "x", 1), -EINVAL);
	assert_int_equal(sign_payload(&sig, &sk, "x", 1), 0);
	assert_int_equal(sign_verify(&sig, &null_pk, "x", 1), -EBADMSG);
	assert_int_equal(sign_recover(&pk, &sig, zero_hash), -EBADMSG);
	assert_true(key_pk_is_null(&pk));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts_match_the_reference_implementation),
		cmocka_unit_test(verifies_the_routing_example),
		cmocka_unit_test(own_signatures_verify_and_differ_each_time),
		cmocka_unit_test(every_flipped_bit_is_refused),
		cmocka_unit_test(refuses_null_signature_null_key_and_zero_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
