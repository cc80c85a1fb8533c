// Known answers of the RFCs for the hashes, HMAC and HKDF, and of an independent implementation for
// the keyed macs.

#include "lib/crypto/hash.h"

#include "lib/base/err.h"
#include "tests/support/hex.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_hex(const uint8_t *got, const char *hex)
{
	size_t len;
	uint8_t *want = hex_new(hex, &len);

	assert_memory_equal(got, want, len);
	free(want);
}

static void count_up(uint8_t *p, size_t len, uint8_t from)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(from + i);
}

static void hashes_match_their_standards_in_any_pieces(void **state)
{
	static const char *const want[] = {
		[HASH_SHA256] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		[HASH_BLAKE2B] = "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
				 "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
	};
	uint8_t out[HASH_MAX_LEN];
	struct hash h;

	for (int alg = HASH_SHA256; alg <= HASH_BLAKE2B; alg++) {
		assert_int_equal(hash_len((enum hash_alg)alg), strlen(want[alg]) / 2);
		for (size_t cut = 0; cut <= 3; cut++) {
			hash_init(&h, (enum hash_alg)alg);
			hash_update(&h, "abc", cut);
			hash_update(&h, NULL, 0);
			hash_update(&h, &"abc"[cut], 3 - cut);
			hash_final(&h, out);
			assert_hex(out, want[alg]);
		}
	}
	hash_sha256(out, "abc", 3);
	assert_hex(out, want[HASH_SHA256]);
}

// RFC 4231 cases 1, 2 and 6 (a key longer than the block); BLAKE2b computed by another
// implementation.
static void hmac_matches_for_short_and_long_keys(void **state)
{
	uint8_t key1[20], key6[131], out[HASH_MAX_LEN];
	const struct {
		enum hash_alg alg;
		const void *key;
		size_t key_len;
		const char *data;
		const char *want;
	} cases[] = {
		{HASH_SHA256, key1, 20, "Hi There",
			"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{HASH_SHA256, "Jefe", 4, "what do ya want for nothing?",
			"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{HASH_SHA256, key6, 131, "Test Using Larger Than Block-Size Key - Hash Key First",
			"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
		{HASH_BLAKE2B, key1, 20, "Hi There",
			"358a6a184924894fc34bee5680eedf57d84a37bb38832f288e3b27dc63a98cc8"
			"c91e76da476b508bc6b2d408a248857452906e4a20b48c6b4b55d2df0fe1dd24"},
		{HASH_BLAKE2B, key6, 131, "Test Using Larger Than Block-Size Key - Hash Key First",
			"a54b2943b2a20227d41ca46c0945af09bc1faefb2f49894c23aebc557fb79c48"
			"89dca74408dc865086667aedee4a3185c53a49c80b814c4c5813ea0c8b38a8f8"},
	};
	struct hash_hmac m;

	memset(key1, 0x0b, sizeof(key1));
	memset(key6, 0xaa, sizeof(key6));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		hash_hmac_init(&m, cases[i].alg, cases[i].key, cases[i].key_len);
		hash_hmac_update(&m, cases[i].data, 3);
		hash_hmac_update(&m, cases[i].data + 3, strlen(cases[i].data) - 3);
		hash_hmac_final(&m, out);
		assert_hex(out, cases[i].want);
	}
}

// RFC 5869 appendix A, cases 1 to 3.
static void hkdf_matches_rfc_5869(void **state)
{
	uint8_t ikm[80], salt[80], info[80], okm[82];

	memset(ikm, 0x0b, 22);
	count_up(salt, 13, 0);
	count_up(info, 10, 0xf0);
	assert_int_equal(hash_hkdf_sha256(okm, 42, salt, 13, ikm, 22, info, 10), 0);
	assert_hex(okm, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
			"34007208d5b887185865");
	assert_int_equal(hash_hkdf_sha256(okm, 42, NULL, 0, ikm, 22, NULL, 0), 0);
	assert_hex(okm, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
			"9d201395faa4b61a96c8");
	count_up(ikm, 80, 0);
	count_up(salt, 80, 0x60);
	count_up(info, 80, 0xb0);
	assert_int_equal(hash_hkdf_sha256(okm, 82, salt, 80, ikm, 80, info, 80), 0);
	assert_hex(okm, "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
			"59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
			"cc30c58179ec3e87c14c01d5c1f3434f1d87");
}

static void hkdf_refuses_more_than_255_blocks(void **state)
{
	static uint8_t out[255 * 32 + 1];

	assert_int_equal(hash_hkdf_sha256(out, 255 * 32, NULL, 0, "k", 1, NULL, 0), 0);
	assert_int_equal(hash_hkdf_sha256(out, 255 * 32 + 1, NULL, 0, "k", 1, NULL, 0), -EINVAL);
}

// Noise's HKDF is RFC 5869 with the chaining key as salt and an empty info.
static void noise_hkdf_is_hkdf_and_may_overwrite_the_chaining_key(void **state)
{
	uint8_t ck[32], ikm[33], want[96], a[32], b[32];

	count_up(ck, sizeof(ck), 1);
	count_up(ikm, sizeof(ikm), 77);
	hash_hkdf_sha256(want, sizeof(want), ck, sizeof(ck), ikm, sizeof(ikm), NULL, 0);
	hash_noise_hkdf(HASH_SHA256, ck, ikm, sizeof(ikm), 3, (uint8_t *[]){ck, a, b});
	assert_memory_equal(ck, want, 32);
	assert_memory_equal(a, want + 32, 32);
	assert_memory_equal(b, want + 64, 32);
}

static void keyed_macs_and_labels_match_another_implementation(void **state)
{
	uint8_t key[32], data[50], out[32];

	count_up(key, sizeof(key), 0);
	count_up(data, sizeof(data), 0);
	hash_mac128(out, key, 32, data, sizeof(data));
	assert_hex(out, "234f8cff2c7d9de2def8d0f86c6a7b8b");
	hash_mac128(out, key, 16, data, sizeof(data));
	assert_hex(out, "9415f08081aeb449dd3e6feaa3d36d39");
	hash_mac256(out, key, 32, data, sizeof(data));
	assert_hex(out, "90dc1099712a36f4d76a79d13f7077a1fc395ffe7b07a3616b056ef9659313be");
	hash_label256(out, "rail1 mac1", data, 33);
	assert_hex(out, "3339bb131c758080c033bd747efb145e816f4e5236a5ddb0f24ce46cbd96583b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_match_their_standards_in_any_pieces),
		cmocka_unit_test(hmac_matches_for_short_and_long_keys),
		cmocka_unit_test(hkdf_matches_rfc_5869),
		cmocka_unit_test(hkdf_refuses_more_than_255_blocks),
		cmocka_unit_test(noise_hkdf_is_hkdf_and_may_overwrite_the_chaining_key),
		cmocka_unit_test(keyed_macs_and_labels_match_another_implementation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
