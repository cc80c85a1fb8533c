// The choice among back ends: what configuration, measurement and absent libraries lead to.

#include "tests/support/aead.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t time_ns;

static uint64_t clock_fixed(void)
{
	return time_ns += 1000;
}

static const struct aead_backend *by_name(const char *name)
{
	const struct aead_backend *be;

	for (unsigned i = 0; (be = aead_backend_at(i)) != NULL; i++)
		if (strcmp(be->name, name) == 0)
			return be;
	return NULL;
}

static void the_table_ends_with_the_one_that_is_always_there(void **state)
{
	const struct aead_backend *last = NULL, *be;
	unsigned n = 0;

	while ((be = aead_backend_at(n)) != NULL) {
		last = be;
		n++;
	}
	assert_non_null(last);
	assert_string_equal(last->name, "libsodium");
	assert_true(last->has(AEAD_CHACHA20_POLY1305));
	assert_true(last->has(AEAD_NONE));
	assert_null(aead_backend_at(n + 1));
}

static void select_gives_the_first_that_has_the_cipher(void **state)
{
	assert_null(aead_backend_select((enum aead_cipher)AEAD_N_CIPHERS));
	for (int c = 0; c < AEAD_N_CIPHERS; c++) {
		const struct aead_backend *want = NULL, *be;

		for (unsigned i = 0; want == NULL && (be = aead_backend_at(i)) != NULL; i++)
			if (be->has((enum aead_cipher)c))
				want = be;
		assert_ptr_equal(aead_backend_select((enum aead_cipher)c), want);
	}
}

static void a_key_can_be_made_for_what_a_back_end_has(void **state)
{
	struct aead_ctx *x = aead_test_ctx_new();
	const struct aead_backend *be;
	const uint8_t raw[32] = {1};

	for (unsigned i = 0; (be = aead_backend_at(i)) != NULL; i++) {
		for (int c = 0; c <= AEAD_N_CIPHERS; c++) {
			struct aead_key k;
			struct aead_room room;

			assert_int_equal(be->key_init(x, &k, &room, (enum aead_cipher)c, raw),
				be->has((enum aead_cipher)c) ? 0 : -ENOTSUP);
		}
	}
	free(x);
}

static void unmeasured_the_preferred_one_is_taken(void **state)
{
	struct aead_ctx *x = aead_test_ctx_new();
	struct aead_choice c;

	assert_int_equal(aead_choose(&c, x, NULL, NULL), 0);
	for (int k = 0; k < AEAD_N_CIPHERS; k++) {
		assert_ptr_equal(c.be[k], aead_backend_select((enum aead_cipher)k));
		assert_int_equal(c.ns[k], 0);
	}
	free(x);
}

// With a clock by which all take the same time nobody is faster than the first.
static void measured_each_cipher_has_a_figure(void **state)
{
	struct aead_ctx *x = aead_test_ctx_new();
	struct aead_choice c;

	assert_int_equal(aead_choose(&c, x, NULL, clock_fixed), 0);
	for (int k = 0; k < AEAD_N_CIPHERS; k++) {
		assert_ptr_equal(c.be[k], aead_backend_select((enum aead_cipher)k));
		assert_int_equal(c.ns[k], k == AEAD_NONE || c.be[k] == NULL ? 0 : 1000 / 16);
	}
	free(x);
}

// A clock that is quick only for the last cipher and back end of the table.
static uint64_t clock_calls;

static uint64_t clock_speeding_up(void)
{
	clock_calls++;
	return time_ns += 1000000 / clock_calls;
}

static void the_faster_one_is_taken(void **state)
{
	struct aead_ctx *x = aead_test_ctx_new();
	const struct aead_backend *last = by_name("libsodium");
	struct aead_choice c;

	assert_int_equal(aead_choose(&c, x, NULL, clock_speeding_up), 0);
	assert_ptr_equal(c.be[AEAD_CHACHA20_POLY1305], last);
	if (last->has(AEAD_AES_256_GCM))
		assert_ptr_equal(c.be[AEAD_AES_256_GCM], last);
	free(x);
}

static void the_one_that_is_named_is_taken(void **state)
{
	struct aead_ctx *x = aead_test_ctx_new();
	const struct aead_backend *be;
	struct aead_choice c;

	for (unsigned i = 0; (be = aead_backend_at(i)) != NULL; i++) {
		assert_int_equal(aead_choose(&c, x, be->name, NULL), 0);
		for (int k = 0; k < AEAD_NONE; k++)
			assert_ptr_equal(c.be[k], be->has((enum aead_cipher)k) ? be : NULL);
		assert_non_null(c.be[AEAD_NONE]);
	}
	assert_int_equal(aead_choose(&c, x, "rot13", NULL), -ENOENT);
	free(x);
}

static void a_context_that_lacks_a_library_does_without(void **state)
{
	const struct aead_backend *mb = by_name("ipsec-mb"), *sodium = by_name("libsodium");
	struct aead_ctx *x = aead_test_ctx_new();
	struct aead_choice c;

	if (mb != NULL) {
		assert_true(mb->ready(x));
		memset(x, 0, 64); // as if it had failed its own test
		assert_false(mb->ready(x));
		assert_int_equal(aead_choose(&c, x, "ipsec-mb", NULL), -ENOENT);
	}
	assert_int_equal(aead_choose(&c, x, NULL, NULL), 0);
	assert_true(mb == NULL || c.be[AEAD_CHACHA20_POLY1305] == sodium);
	free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_ends_with_the_one_that_is_always_there),
		cmocka_unit_test(select_gives_the_first_that_has_the_cipher),
		cmocka_unit_test(a_key_can_be_made_for_what_a_back_end_has),
		cmocka_unit_test(unmeasured_the_preferred_one_is_taken),
		cmocka_unit_test(measured_each_cipher_has_a_figure),
		cmocka_unit_test(the_faster_one_is_taken),
		cmocka_unit_test(the_one_that_is_named_is_taken),
		cmocka_unit_test(a_context_that_lacks_a_library_does_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
