// Cookies by the definition of rail 1, recomputed from hashes; what is no init gets none.
#include "lib/link/rail_cookie.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
// after the standard headers, as cmocka wants it
#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/crypto/aead.h"
#include "lib/crypto/hash.h"

static const uint8_t secret[RAIL_COOKIE_SECRET_LEN] = {7, 8, 9};
static const uint8_t ip[16] = {[10] = 0xff, 0xff, 10, 0, 0, 1};

static void init_make(uint8_t *msg, size_t len, uint8_t type)
{
	memset(msg, 0x5a, len);
	memcpy(msg, (uint8_t[4]){type}, 4);
	memset(msg + rail_mac2_off(len), 0, RAIL_MAC_LEN);
}

static void a_cookie_is_the_address_under_a_secret(void **state)
{
	uint8_t src[18], want[16], got[RAIL_COOKIE_VALUE_LEN], other[32] = {1}, ip2[16];

	(void)state;
	memcpy(src, ip, 16);
	src[16] = 7780 >> 8;
	src[17] = 7780 & 0xff;
	hash_mac128(want, secret, sizeof(secret), src, sizeof(src));
	rail_cookie_value(got, secret, ip, 7780);
	assert_memory_equal(got, want, 16);
	rail_cookie_value(got, secret, ip, 7781);
	assert_memory_not_equal(got, want, 16);
	rail_cookie_value(got, other, ip, 7780);
	assert_memory_not_equal(got, want, 16);
	memcpy(ip2, ip, 16);
	ip2[15]++;
	rail_cookie_value(got, secret, ip2, 7780);
	assert_memory_not_equal(got, want, 16);
}

static void mac2_covers_every_byte_before_it(void **state)
{
	uint8_t msg[RAIL_INIT_MIN + 20], cookie[RAIL_COOKIE_VALUE_LEN];

	(void)state;
	rail_cookie_value(cookie, secret, ip, 7780);
	init_make(msg, sizeof(msg), RAIL_INIT);
	assert_false(rail_mac2_is_there(msg, sizeof(msg)));
	assert_false(rail_mac2_is_right(msg, sizeof(msg), cookie));
	hash_mac128(msg + rail_mac2_off(sizeof(msg)), cookie, sizeof(cookie), msg,
		rail_mac2_off(sizeof(msg)));
	assert_true(rail_mac2_is_there(msg, sizeof(msg)));
	assert_true(rail_mac2_is_right(msg, sizeof(msg), cookie));
	for (size_t i = 4; i < sizeof(msg); i++) {
		msg[i] ^= 1;
		assert_false(rail_mac2_is_right(msg, sizeof(msg), cookie));
		msg[i] ^= 1;
	}
	cookie[0] ^= 1;
	assert_false(rail_mac2_is_right(msg, sizeof(msg), cookie));
}

static void an_init_is_answered_for_its_sender_and_mac1(void **state)
{
	uint8_t msg[RAIL_INIT_MIN], out[RAIL_COOKIE_LEN], key[RAIL_COOKIE_KEY_LEN], want[32];
	uint8_t cookie[RAIL_COOKIE_VALUE_LEN], got[RAIL_COOKIE_VALUE_LEN];
	uint8_t nonce[RAIL_COOKIE_NONCE_LEN] = {4, 5};
	struct key_pk pk = {.b = {2, 3}};

	(void)state;
	hash_label256(want, "rail1 cookie", pk.b, sizeof(pk.b));
	rail_cookie_key(key, &pk);
	assert_memory_equal(key, want, sizeof(want));
	rail_cookie_value(cookie, secret, ip, 7780);
	init_make(msg, sizeof(msg), RAIL_INIT);
	assert_int_equal(rail_cookie_make(out, key, msg, sizeof(msg), nonce, cookie), 0);
	assert_memory_equal(out, ((uint8_t[4]){RAIL_COOKIE}), 4);
	assert_memory_equal(out + 4, msg + 4, 4);
	assert_memory_equal(out + 8, nonce, sizeof(nonce));
	assert_int_equal(aead_x_open(got, out + 32, 32, msg + rail_mac1_off(sizeof(msg)),
				 RAIL_MAC_LEN, nonce, key),
		0);
	assert_memory_equal(got, cookie, sizeof(cookie));
}

static void nothing_else_is_answered(void **state)
{
	static const struct {
		uint8_t type;
		size_t len;
	} rows[] = {
		{RAIL_RESPONSE, RAIL_INIT_MIN},
		{RAIL_COOKIE, RAIL_COOKIE_LEN},
		{RAIL_DATA, RAIL_INIT_MIN},
		{RAIL_INIT, RAIL_INIT_MIN - 1},
		{RAIL_INIT, RAIL_HS_MAX + 1},
	};
	uint8_t msg[RAIL_HS_MAX + 1], out[RAIL_COOKIE_LEN], key[32] = {0}, nonce[24] = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		init_make(msg, rows[i].len, rows[i].type);
		assert_int_equal(
			rail_cookie_make(out, key, msg, rows[i].len, nonce, key), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cookie_is_the_address_under_a_secret),
		cmocka_unit_test(mac2_covers_every_byte_before_it),
		cmocka_unit_test(an_init_is_answered_for_its_sender_and_mac1),
		cmocka_unit_test(nothing_else_is_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
