// Authenticated HTTP against the interop vectors: what is signed, how nonces and refusals are read.
#include "lib/wire/http_auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "tests/support/http_auth_check.h"
#include "tests/support/vectors.h"

#define PK_A "031b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f"
#define PK_B "024d4b6cd1361032ca9bd2aeb9d900aa4d45d9ead80ac9423374c451a7254d0766"

static struct key_pk pk;
static const struct key_sk sk = {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1}};

static int setup(void **state)
{
	*state = vectors_load("skywire-routes.json");
	return key_pk_from_text(&pk, PK_A, KEY_PK_TEXT_LEN);
}

static int teardown(void **state)
{
	json_decref(*state);
	return 0;
}

static void signature_is_over_the_body_followed_by_the_nonce_in_decimal(void **state)
{
	const json_t *v = vectors_get(*state, "http_auth");
	const char *body = vectors_str(v, "body"), *sig_text = vectors_str(v, "SW-Sig_example");
	const char *all = vectors_str(v, "signed_bytes");
	uint32_t nonce = vectors_u32(v, "nonce");
	struct sign_sig sig;

	assert_string_equal(vectors_str(v, "SW-Public"), PK_A);
	assert_int_equal(sign_from_text(&sig, sig_text, strlen(sig_text)), 0);
	assert_int_equal(http_auth_check(&sig, &pk, body, strlen(body), nonce), 0);
	// the text behind the body, no bytes of a number, no other place
	assert_int_equal(sign_verify(&sig, &pk, all, strlen(all)), 0);
	assert_int_equal(http_auth_check(&sig, &pk, body, strlen(body), nonce + 1), -EBADMSG);
	assert_int_equal(http_auth_check(&sig, &pk, body, strlen(body) - 1, nonce), -EBADMSG);
	assert_int_equal(http_auth_sign(&sig, &sk, body, strlen(body), 1844674407), 0);
	assert_int_equal(sign_verify(&sig, &pk,
				 "{\"port\":\"7777\",\"addresses\":[\"198.51.100.7\"]}"
				 "\n1844674407",
				 strlen(body) + 10),
		0);
}

static void without_a_body_only_the_nonce_is_signed(void **state)
{
	struct sign_sig sig;

	(void)state;
	assert_int_equal(http_auth_sign(&sig, &sk, NULL, 0, 0), 0);
	assert_int_equal(sign_verify(&sig, &pk, "0", 1), 0);
	assert_int_equal(http_auth_check(&sig, &pk, NULL, 0, 0), 0);
	assert_int_equal(http_auth_check(&sig, &pk, NULL, 0, 1), -EBADMSG);
}

static void nonces_are_read_for_our_own_key_only(void **state)
{
	static const char *const bad[] = {"", "null", "{}", "{\"next_nonce\":3}",
		"{\"edge\":\"" PK_B "\",\"next_nonce\":3}",
		"{\"edge\":\"" PK_A "\",\"next_nonce\":-1}",
		"{\"edge\":\"" PK_A "\",\"next_nonce\":\"3\"}", "{\"edge\":\"" PK_A "\"}",
		"{\"edge\":\"" PK_A "\",\"next_nonce\":18446744073709551616}"};
	static const char good[] = "{\"edge\":\"" PK_A "\",\"next_nonce\":4294967296}\n";
	uint64_t nonce = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(
			http_auth_nonce_read(&nonce, &pk, bad[i], strlen(bad[i])), -EBADMSG);
	assert_int_equal(nonce, 7);
	assert_int_equal(http_auth_nonce_read(&nonce, &pk, good, strlen(good)), 0);
	assert_int_equal(nonce, 4294967296);
}

static void refusals_are_read_in_each_form(void **state)
{
	static const struct {
		const char *body, *text;
	} t[] = {
		{"{\"error\":\"entry not found\"}", "entry not found"},
		{"{\"error\":{\"message\":\"SW-Nonce does not match\",\"code\":401}}",
			"SW-Nonce does not match"},
		{"{\"message\":\"a\\u001b[31mb\\u00e9\"}", "a?[31mb??"},
		{"", ""},
		{"404 page not found", ""},
		{"{\"error\":7}", ""},
		{"{\"error\":null}", ""},
		{"[]", ""},
	};
	char text[HTTP_AUTH_ERROR_LEN], longer[2 * HTTP_AUTH_ERROR_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		http_auth_error_read(text, t[i].body, strlen(t[i].body));
		assert_string_equal(text, t[i].text);
	}
	memset(longer, 'x', sizeof(longer));
	memcpy(longer, "{\"error\":\"", 10);
	memcpy(longer + sizeof(longer) - 2, "\"}", 2);
	http_auth_error_read(text, longer, sizeof(longer));
	assert_int_equal(strlen(text), HTTP_AUTH_ERROR_LEN - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signature_is_over_the_body_followed_by_the_nonce_in_decimal),
		cmocka_unit_test(without_a_body_only_the_nonce_is_signed),
		cmocka_unit_test(nonces_are_read_for_our_own_key_only),
		cmocka_unit_test(refusals_are_read_in_each_form),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
