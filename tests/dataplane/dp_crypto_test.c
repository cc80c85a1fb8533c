// What a choice of ciphers is called, what of it the control plane is told, and that workers are
// able to carry it out.

#include "dataplane/dp_crypto.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct aead_backend quick = {.name = "quick"}, slow = {.name = "slow"};

static void ciphers_come_in_the_order_of_speed(void **state)
{
	static const struct {
		struct aead_choice c;
		const char *ciphers, *backends, *text;
	} rows[] = {
		{{{&quick, &quick, &slow}, {400, 90, 0}}, "aes-256-gcm chacha20-poly1305", "quick",
			"aes-256-gcm by quick (90 ns), chacha20-poly1305 by quick (400 ns)"},
		{{{&quick, &slow, &slow}, {400, 900, 0}}, "chacha20-poly1305 aes-256-gcm",
			"quick slow",
			"chacha20-poly1305 by quick (400 ns), aes-256-gcm by slow (900 ns)"},
		{{{&slow, NULL, &slow}, {1400, 0, 0}}, "chacha20-poly1305", "slow",
			"chacha20-poly1305 by slow (1400 ns), aes-256-gcm not available"},
		{{{NULL, &slow, &slow}, {0, 5, 0}}, "aes-256-gcm", "slow",
			"aes-256-gcm by slow (5 ns), chacha20-poly1305 not available"},
		{{{NULL, NULL, &slow}, {0, 0, 0}}, "", "none",
			"aes-256-gcm not available, chacha20-poly1305 not available"},
	};
	char out[256];

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		dp_crypto_ciphers(&rows[i].c, out, sizeof(out));
		assert_string_equal(out, rows[i].ciphers);
		dp_crypto_backends(&rows[i].c, out, sizeof(out));
		assert_string_equal(out, rows[i].backends);
		dp_crypto_text(&rows[i].c, out, sizeof(out));
		assert_string_equal(out, rows[i].text);
	}
}

static void both_ciphers_fit_where_they_are_shown(void **state)
{
	const struct aead_choice c = {.be = {&quick, &quick, &quick}, .ns = {2, 1, 0}};
	char out[DPMSG_NAME_LEN];

	dp_crypto_ciphers(&c, out, sizeof(out));
	assert_string_equal(out, "aes-256-gcm chacha20-poly1305");
}

static void the_control_plane_is_told_what_there_is(void **state)
{
	const struct aead_choice c = {.be = {&quick, NULL, &slow}, .ns = {400, 0, 0}};
	struct region_conf conf = {.n_workers = 1};

	dp_crypto_tell(&c, &conf);
	assert_int_equal(conf.cipher_ns[AEAD_CHACHA20_POLY1305], 400);
	assert_int_equal(conf.cipher_ns[AEAD_AES_256_GCM], 0);
	assert_int_equal(conf.cipher_ns[AEAD_NONE], 1); // there, though never measured
	assert_int_equal(conf.cipher_ns[3], 0);
}

static void chooses_what_the_configuration_says(void **state)
{
	struct aead_choice c;
	int rc;

	assert_int_equal(dp_crypto_choose(&c, DP_BACKEND_AUTO), 0);
	assert_non_null(c.be[AEAD_CHACHA20_POLY1305]);
	assert_non_null(c.be[AEAD_NONE]);
	assert_true(c.ns[AEAD_CHACHA20_POLY1305] > 0);
	assert_int_equal(dp_crypto_choose(&c, DP_BACKEND_SODIUM), 0);
	assert_string_equal(c.be[AEAD_CHACHA20_POLY1305]->name, "libsodium");
	rc = dp_crypto_choose(&c, DP_BACKEND_IPSEC_MB);
	assert_true(rc == 0 || rc == -ENOENT);
	if (rc == 0)
		assert_string_equal(c.be[AEAD_CHACHA20_POLY1305]->name, "ipsec-mb");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ciphers_come_in_the_order_of_speed),
		cmocka_unit_test(both_ciphers_fit_where_they_are_shown),
		cmocka_unit_test(the_control_plane_is_told_what_there_is),
		cmocka_unit_test(chooses_what_the_configuration_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
