// The AEAD: RFC 8439's answer, the burst form against it, and what a wrong tag must leave behind.

#include "tests/support/aead.h"
#include "tests/support/hex.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char sunscreen[] =
	"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
	"future, sunscreen would be it.";

enum {
	TEXT_LEN = 114,
	BURST = 8,
	MAX_LEN = 1500,
};

static void count_up(uint8_t *p, size_t len, uint8_t from)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(from + i);
}

// RFC 8439 section 2.8.2.
static void matches_rfc_8439(void **state)
{
	uint8_t key[32], nonce[12], aad[12], want[TEXT_LEN + 16], out[TEXT_LEN + 16],
		back[TEXT_LEN];

	count_up(key, sizeof(key), 0x80);
	hex_exact(nonce, 12, "070000004041424344454647");
	hex_exact(aad, 12, "50515253c0c1c2c3c4c5c6c7");
	hex_exact(want, sizeof(want),
		"d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca96712"
		"82fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58"
		"fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09"
		"e26a7e902ecbd0600691");
	aead_seal(out, (const uint8_t *)sunscreen, TEXT_LEN, aad, 12, nonce, key);
	assert_memory_equal(out, want, sizeof(want));
	assert_int_equal(aead_open(back, out, sizeof(out), aad, 12, nonce, key), 0);
	assert_memory_equal(back, sunscreen, TEXT_LEN);
}

// draft-irtf-cfrg-xchacha-03, A.3.1: the tag covers the whole ciphertext.
static void xchacha_matches_its_draft(void **state)
{
	uint8_t key[32], nonce[24], aad[12], tag[16], out[TEXT_LEN + 16], back[TEXT_LEN];

	count_up(key, sizeof(key), 0x80);
	count_up(nonce, sizeof(nonce), 0x40);
	hex_exact(aad, 12, "50515253c0c1c2c3c4c5c6c7");
	hex_exact(tag, 16, "c0875924c1c7987947deafd8780acf49");
	aead_x_seal(out, (const uint8_t *)sunscreen, TEXT_LEN, aad, 12, nonce, key);
	assert_memory_equal(out + TEXT_LEN, tag, 16);
	assert_int_equal(aead_x_open(back, out, sizeof(out), aad, 12, nonce, key), 0);
	assert_memory_equal(back, sunscreen, TEXT_LEN);
	out[0] ^= 1;
	assert_int_equal(aead_x_open(back, out, sizeof(out), aad, 12, nonce, key), -EBADMSG);
	assert_int_equal(back[0], 0);
	assert_int_equal(aead_x_open(back, out, 15, aad, 12, nonce, key), -EBADMSG);
}

static void nonces_are_four_zeros_and_the_counter(void **state)
{
	uint8_t got[12], want[12];

	aead_nonce_be(got, 0x0102030405060708);
	hex_exact(want, 12, "000000000102030405060708");
	assert_memory_equal(got, want, 12);
	aead_nonce_le(got, 0x0102030405060708);
	hex_exact(want, 12, "000000000807060504030201");
	assert_memory_equal(got, want, 12);
}

struct burst {
	uint8_t aad[BURST][16];
	uint8_t plain[BURST][MAX_LEN];
	uint8_t sealed[BURST][MAX_LEN];
	uint8_t opened[BURST][MAX_LEN];
	uint8_t tag[BURST][16];
	struct aead_op ops[BURST];
	uint8_t raw_key[32];
	struct aead_unit *u;
};

static const uint32_t lens[BURST] = {0, 1, 16, 63, 64, 65, 1400, MAX_LEN};

static struct burst *burst_new(const struct aead_backend *be, enum aead_cipher cipher)
{
	struct burst *b = malloc(sizeof(*b));

	memset(b, 0x5a, sizeof(*b));
	count_up(b->raw_key, 32, 0x80);
	b->u = aead_unit_new(be, cipher, b->raw_key);
	for (unsigned i = 0; i < BURST; i++) {
		count_up(b->aad[i], 16, (uint8_t)i);
		count_up(b->plain[i], MAX_LEN, (uint8_t)(3 * i));
		aead_nonce_be(b->ops[i].nonce, 1000 + i);
		b->ops[i].aad = b->aad[i];
		b->ops[i].aad_len = 16;
		b->ops[i].len = lens[i];
		b->ops[i].tag = b->tag[i];
	}
	return b;
}

static void burst_free(struct burst *b)
{
	aead_unit_free(b->u);
	free(b);
}

static void burst_seal(struct burst *b)
{
	for (unsigned i = 0; i < BURST; i++) {
		b->ops[i].src = b->plain[i];
		b->ops[i].dst = b->sealed[i];
	}
	aead_unit_seal(b->u, b->ops, BURST);
}

static unsigned burst_open(struct burst *b, bool in_place)
{
	for (unsigned i = 0; i < BURST; i++) {
		b->ops[i].src = b->sealed[i];
		b->ops[i].dst = in_place ? b->sealed[i] : b->opened[i];
		b->ops[i].ok = 77;
	}
	return aead_unit_open(b->u, b->ops, BURST);
}

static void burst_as_single(const struct aead_backend *be, enum aead_cipher cipher, void *arg)
{
	struct burst *b = burst_new(be, cipher);
	uint8_t want[MAX_LEN + 16];

	burst_seal(b);
	for (unsigned i = 0; i < BURST; i++) {
		aead_seal(want, b->plain[i], lens[i], b->aad[i], 16, b->ops[i].nonce, b->raw_key);
		assert_memory_equal(b->sealed[i], want, lens[i]);
		assert_memory_equal(b->tag[i], want + lens[i], 16);
		if (lens[i] < MAX_LEN)
			assert_int_equal(b->sealed[i][lens[i]], 0x5a);
	}
	assert_int_equal(burst_open(b, false), BURST);
	for (unsigned i = 0; i < BURST; i++)
		assert_memory_equal(b->opened[i], b->plain[i], lens[i]);
	burst_free(b);
}

static void a_burst_equals_single_messages(void **state)
{
	assert_true(aead_each(AEAD_CHACHA20_POLY1305, burst_as_single, NULL) >= 1);
}

static void in_place(const struct aead_backend *be, enum aead_cipher cipher, void *arg)
{
	struct burst *b = burst_new(be, cipher);
	uint8_t tags[BURST][16];

	burst_seal(b);
	memcpy(tags, b->tag, sizeof(tags));
	memcpy(b->opened, b->plain, sizeof(b->opened));
	for (unsigned i = 0; i < BURST; i++)
		b->ops[i].src = b->ops[i].dst = b->opened[i];
	aead_unit_seal(b->u, b->ops, BURST);
	for (unsigned i = 0; i < BURST; i++)
		assert_memory_equal(b->opened[i], b->sealed[i], lens[i]);
	assert_memory_equal(tags, b->tag, sizeof(tags));
	assert_int_equal(burst_open(b, true), BURST);
	for (unsigned i = 0; i < BURST; i++)
		assert_memory_equal(b->sealed[i], b->plain[i], lens[i]);
	burst_free(b);
}

static void in_place_equals_out_of_place(void **state)
{
	for (int c = 0; c < AEAD_N_CIPHERS; c++)
		aead_each((enum aead_cipher)c, in_place, NULL);
}

// Harms operation `i` in one of five ways.
static void harm(struct burst *b, unsigned i, int how)
{
	switch (how) {
	case 0:
		b->tag[i][15] ^= 0x80;
		break;
	case 1:
		b->sealed[i][0] ^= 1;
		break;
	case 2:
		b->aad[i][8] ^= 1;
		break;
	case 3:
		b->ops[i].nonce[11] ^= 1;
		break;
	default:
		b->ops[i].len--;
		break;
	}
}

static void one_harm(const struct aead_backend *be, enum aead_cipher cipher, int how, bool in_place)
{
	static const uint8_t zeros[MAX_LEN];
	struct burst *b = burst_new(be, cipher);

	burst_seal(b);
	harm(b, 3, how);
	harm(b, 7, how);
	assert_int_equal(burst_open(b, in_place), BURST - 2);
	for (unsigned i = 0; i < BURST; i++) {
		bool bad = i == 3 || i == 7;

		assert_int_equal(b->ops[i].ok, !bad);
		assert_memory_equal(b->ops[i].dst, bad ? zeros : b->plain[i], b->ops[i].len);
	}
	burst_free(b);
}

static void all_harm(const struct aead_backend *be, enum aead_cipher cipher, void *arg)
{
	for (int how = 0; how < 5; how++) {
		one_harm(be, cipher, how, false);
		one_harm(be, cipher, how, true);
	}
}

static void a_failed_open_leaves_zeros_and_spares_the_others(void **state)
{
	assert_true(aead_each(AEAD_CHACHA20_POLY1305, all_harm, NULL) >= 1);
	aead_each(AEAD_AES_256_GCM, all_harm, NULL);
}

static void other_key(const struct aead_backend *be, enum aead_cipher cipher, void *arg)
{
	struct burst *b = burst_new(be, cipher);

	burst_seal(b);
	b->raw_key[31] ^= 1;
	aead_unit_rekey(b->u, cipher, b->raw_key);
	assert_int_equal(burst_open(b, false), 0);
	burst_free(b);
}

static void another_key_opens_nothing(void **state)
{
	assert_true(aead_each(AEAD_CHACHA20_POLY1305, other_key, NULL) >= 1);
	aead_each(AEAD_AES_256_GCM, other_key, NULL);
}

static void the_null_cipher_copies_and_wants_a_zero_tag(void **state)
{
	static const uint8_t zeros[MAX_LEN];
	struct burst *b = burst_new(aead_backend_select(AEAD_NONE), AEAD_NONE);

	burst_seal(b);
	for (unsigned i = 0; i < BURST; i++) {
		assert_memory_equal(b->sealed[i], b->plain[i], lens[i]);
		assert_memory_equal(b->tag[i], zeros, 16);
	}
	assert_int_equal(burst_open(b, false), BURST);
	assert_memory_equal(b->opened[6], b->plain[6], lens[6]);
	b->tag[6][7] = 1;
	assert_int_equal(burst_open(b, false), BURST - 1);
	assert_int_equal(b->ops[6].ok, 0);
	assert_memory_equal(b->opened[6], zeros, lens[6]);
	burst_free(b);
}

static void a_wiped_key_is_zeros(void **state)
{
	static const struct aead_key zero_key;
	static const struct aead_room zero_room;
	struct burst *b =
		burst_new(aead_backend_select(AEAD_CHACHA20_POLY1305), AEAD_CHACHA20_POLY1305);

	aead_key_wipe(&b->u->key, &b->u->room);
	assert_memory_equal(&b->u->key, &zero_key, sizeof(zero_key));
	assert_memory_equal(&b->u->room, &zero_room, sizeof(zero_room));
	memset(&b->u->key, 1, sizeof(b->u->key));
	aead_key_wipe(&b->u->key, NULL);
	assert_memory_equal(&b->u->key, &zero_key, sizeof(zero_key));
	burst_free(b);
}

static void ciphers_have_names(void **state)
{
	assert_string_equal(aead_cipher_name(AEAD_CHACHA20_POLY1305), "chacha20-poly1305");
	assert_string_equal(aead_cipher_name(AEAD_AES_256_GCM), "aes-256-gcm");
	assert_string_equal(aead_cipher_name(AEAD_NONE), "none");
	assert_string_equal(aead_cipher_name((enum aead_cipher)9), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matches_rfc_8439),
		cmocka_unit_test(xchacha_matches_its_draft),
		cmocka_unit_test(nonces_are_four_zeros_and_the_counter),
		cmocka_unit_test(a_burst_equals_single_messages),
		cmocka_unit_test(in_place_equals_out_of_place),
		cmocka_unit_test(a_failed_open_leaves_zeros_and_spares_the_others),
		cmocka_unit_test(another_key_opens_nothing),
		cmocka_unit_test(the_null_cipher_copies_and_wants_a_zero_tag),
		cmocka_unit_test(a_wiped_key_is_zeros),
		cmocka_unit_test(ciphers_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
