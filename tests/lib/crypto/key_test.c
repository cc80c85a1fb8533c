// Skywire keys: the known pairs, the text form and everything that it must refuse.

#include "lib/crypto/key.h"

#include "lib/base/err.h"
#include "tests/support/vectors.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void derives_the_known_public_keys(void **state)
{
	static const char *const groups[] = {"routing", "dmsg"};
	json_t *root = vectors_load("skywire-crypto.json");
	unsigned n = 0;

	for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
		json_t *keys = vectors_get(vectors_get(root, groups[g]), "keys");
		const char *name;
		json_t *v;

		json_object_foreach(keys, name, v)
		{
			struct key_sk sk;
			struct key_pk pk;
			char text[KEY_PK_TEXT_LEN + 1];

			if (json_object_get(v, "pk") == NULL)
				continue;
			assert_int_equal(
				key_sk_from_text(&sk, vectors_str(v, "sk"), KEY_SK_TEXT_LEN), 0);
			assert_int_equal(key_pk_from_sk(&pk, &sk), 0);
			key_pk_to_text(&pk, text);
			assert_string_equal(text, vectors_str(v, "pk"));
			n++;
		}
	}
	assert_int_equal(n, 9);
	json_decref(root);
}

static void generates_distinct_valid_keys(void **state)
{
	struct key_sk a, b;
	struct key_pk pa, pb;

	assert_int_equal(key_sk_generate(&a), 0);
	assert_int_equal(key_sk_generate(&b), 0);
	assert_true(key_sk_is_valid(&a));
	assert_false(key_equal(&a, &b, sizeof(a)));
	assert_int_equal(key_pk_from_sk(&pa, &a), 0);
	assert_int_equal(key_pk_from_sk(&pb, &b), 0);
	assert_true(key_pk_is_valid(&pa));
	assert_true((key_pk_cmp(&pa, &pb) < 0) == (key_pk_cmp(&pb, &pa) > 0));
	assert_int_equal(key_pk_cmp(&pa, &pa), 0);
}

#define X "1b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f"

static void reads_public_keys_and_refuses_what_is_none(void **state)
{
	static const struct {
		const char *text;
		int rc;
		bool null;
	} cases[] = {
		{"03" X, 0, false},
		{"031B84C5567B126440995D3ED5AABA0565D71E1834604819FF9C17F5E9D5DD078F", 0, false},
		{"02" X, 0, false}, // the other point of the same X
		{"04" X, -EINVAL, true},
		{"00" X, -EINVAL, true},
		{"03" X "0", -EINVAL, true},
		{"03" X "00", -EINVAL, true},
		{"3" X, -EINVAL, true},
		{"0 " X, -EINVAL, true},
		{"g3" X, -EINVAL, true},
		{"020000000000000000000000000000000000000000000000000000000000000005", -EINVAL,
			true}, // X = 5 is not on the curve
		{"02ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", -EINVAL,
			true}, // not below the prime
		{"000000000000000000000000000000000000000000000000000000000000000000", 0, true},
		{"0", 0, true},
		{"", -EINVAL, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct key_pk pk;

		memset(&pk, 0xee, sizeof(pk));
		if (key_pk_from_text(&pk, cases[i].text, strlen(cases[i].text)) != cases[i].rc ||
			key_pk_is_null(&pk) != cases[i].null ||
			key_pk_is_valid(&pk) == cases[i].null)
			fail_msg("case %zu", i);
	}
}

static void what_is_wrong_with_text_is_told(void **state)
{
	static const struct {
		const char *text, *wrong;
	} cases[] = {
		{"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", NULL},
		{"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f8179", "66 hex"},
		{"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f8179g", "66 hex"},
		{"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f817980", "66 hex"},
		{"", "66 hex"},
		{"0", "66 hex"},
		{"0579be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", "02 or 03"},
		{"000000000000000000000000000000000000000000000000000000000000000000", "02 or 03"},
		{"020000000000000000000000000000000000000000000000000000000000000005", "digits"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *wrong = key_pk_wrong(cases[i].text, strlen(cases[i].text));

		if ((wrong == NULL) != (cases[i].wrong == NULL) ||
			(wrong != NULL && strstr(wrong, cases[i].wrong) == NULL))
			fail_msg("case %zu: %s", i, wrong != NULL ? wrong : "nothing");
	}
}

static void refuses_secret_keys_outside_of_the_group(void **state)
{
	static const struct {
		const char *text;
		int rc;
	} cases[] = {
		{"0000000000000000000000000000000000000000000000000000000000000001", 0},
		{"fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140", 0}, // n - 1
		{"fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", -EINVAL}, // n
		{"0000000000000000000000000000000000000000000000000000000000000000", -EINVAL},
		{"00000000000000000000000000000000000000000000000000000000000001", -EINVAL},
		{"zz00000000000000000000000000000000000000000000000000000000000001", -EINVAL},
	};
	static const struct key_sk zero;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct key_sk sk;
		struct key_pk pk;
		char text[KEY_SK_TEXT_LEN + 1];

		memset(&sk, 0xee, sizeof(sk));
		assert_int_equal(
			key_sk_from_text(&sk, cases[i].text, strlen(cases[i].text)), cases[i].rc);
		assert_int_equal(key_pk_from_sk(&pk, &sk), cases[i].rc);
		assert_int_equal(key_pk_is_null(&pk), cases[i].rc != 0);
		if (cases[i].rc == 0) {
			key_sk_to_text(&sk, text);
			assert_string_equal(text, cases[i].text);
		} else {
			assert_memory_equal(&sk, &zero, sizeof(sk));
		}
	}
}

static void compares_and_wipes(void **state)
{
	uint8_t a[4] = {1, 2, 3, 4}, b[4] = {1, 2, 3, 5};
	static const uint8_t zero[4];

	assert_true(key_equal(a, b, 3));
	assert_false(key_equal(a, b, 4));
	key_wipe(a, sizeof(a));
	assert_memory_equal(a, zero, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(derives_the_known_public_keys),
		cmocka_unit_test(generates_distinct_valid_keys),
		cmocka_unit_test(reads_public_keys_and_refuses_what_is_none),
		cmocka_unit_test(what_is_wrong_with_text_is_told),
		cmocka_unit_test(refuses_secret_keys_outside_of_the_group),
		cmocka_unit_test(compares_and_wipes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
