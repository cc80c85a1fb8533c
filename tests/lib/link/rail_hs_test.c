// Two ends of rail's handshake over memory: what is settled, what is refused, and that nothing but
// the peer's own bytes makes keys.
#include "lib/link/rail_hs.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
// after the standard headers, as cmocka wants it
#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/link/rail_cookie.h"

struct end {
	struct key_pk pk;
	struct key_sk sk;
	struct rail_hs_self self;
	struct rail_hs_offer offer;
	struct rail_hs_side side;
	struct rail_hs_terms terms;
	struct rail_hs_keys keys;
};

static struct end a, b;
static uint8_t init[RAIL_HS_MAX], response[RAIL_HS_MAX];
static size_t init_len, response_len;

static const uint64_t T0 = 1700000000ull * 1000000000;

static void end_make(struct end *e, uint8_t n)
{
	memset(e, 0, sizeof(*e));
	memset(e->sk.b, n, sizeof(e->sk.b));
	assert_int_equal(key_pk_from_sk(&e->pk, &e->sk), 0);
	e->self = (struct rail_hs_self){.pk = &e->pk, .sk = &e->sk};
	e->offer = (struct rail_hs_offer){
		.instance = 0x1000u + n,
		.rx_index = {0xaa000000u + n},
		.n_flows = 1,
		.payload_max = 1400,
		.mode = RAIL_MODE_DATAGRAM,
		.ciphers = RAIL_CIPHER_CHACHA20_POLY1305,
		.window_log2 = RAIL_WINDOW_LOG2_DEFAULT,
	};
}

static int setup(void **state)
{
	(void)state;
	end_make(&a, 1);
	end_make(&b, 2);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rail_hs_fini(&a.side);
	rail_hs_fini(&b.side);
	return 0;
}

static void make_init(bool inside, const uint8_t *cookie)
{
	ssize_t n = rail_hs_init_make(
		&a.side, &a.self, &b.pk, &a.offer, T0, inside, cookie, init, sizeof(init));

	assert_true(n > 0);
	init_len = (size_t)n;
}

static void make_response(bool inside)
{
	ssize_t n;

	assert_int_equal(rail_hs_init_take(&b.side, &b.self, init, init_len, inside, &b.terms), 0);
	n = rail_hs_response_make(
		&b.side, &b.self, &b.offer, &b.terms, response, sizeof(response), &b.keys);
	assert_true(n > 0);
	response_len = (size_t)n;
}

static int take_response(void)
{
	return rail_hs_response_take(&a.side, &a.self, response, response_len, &a.terms, &a.keys);
}

// n flows, with indices, ports and numbers of their own.
static void want_flows(struct end *e, uint8_t n)
{
	e->offer.n_flows = n;
	for (unsigned i = 0; i < RAIL_FLOWS_MAX; i++)
		e->offer.rx_index[i] = 0xaa000000u + e->sk.b[0] + 0x100 * i;
	for (unsigned i = 0; i + 1 < RAIL_FLOWS_MAX; i++)
		e->offer.port[i] = (uint16_t)(1000 * e->sk.b[0] + i);
}

static struct rail_hs_flow flow_of(const struct end *e, unsigned flow)
{
	struct rail_hs_flow f;

	assert_int_equal(rail_hs_flow_make(&e->keys, flow, &f), 0);
	return f;
}

static void keys_match(void)
{
	struct rail_hs_flow none;

	assert_int_equal(a.keys.n_flows, b.keys.n_flows);
	for (unsigned i = 1; i <= a.keys.n_flows; i++) {
		struct rail_hs_flow fa = flow_of(&a, i), fb = flow_of(&b, i);

		assert_memory_equal(fa.tx_key, fb.rx_key, AEAD_KEY_LEN);
		assert_memory_equal(fa.rx_key, fb.tx_key, AEAD_KEY_LEN);
		assert_memory_not_equal(fa.rx_key, fa.tx_key, AEAD_KEY_LEN);
		assert_int_equal(fa.rx_index, a.offer.rx_index[i - 1]);
		assert_int_equal(fa.tx_index, b.offer.rx_index[i - 1]);
		assert_int_equal(fb.rx_index, fa.tx_index);
		assert_int_equal(fb.tx_index, fa.rx_index);
		assert_int_equal(fa.port, i > 1 ? b.offer.port[i - 2] : 0);
		assert_int_equal(fb.port, i > 1 ? a.offer.port[i - 2] : 0);
	}
	assert_int_equal(rail_hs_flow_make(&a.keys, 0, &none), -EINVAL);
	assert_int_equal(rail_hs_flow_make(&a.keys, a.keys.n_flows + 1u, &none), -EINVAL);
	assert_true(a.keys.initiator);
	assert_false(b.keys.initiator);
	assert_int_equal(a.keys.cipher, b.keys.cipher);
}

static void both_ends_get_the_same_keys(void **state)
{
	(void)state;
	for (int inside = 0; inside < 2; inside++) {
		make_init(inside, NULL);
		assert_true(init_len <= RAIL_HS_MAX);
		make_response(inside);
		assert_memory_equal(&b.terms.peer, &a.pk, sizeof(a.pk));
		assert_int_equal(b.terms.time_ns, inside ? 0 : T0);
		assert_int_equal(b.terms.instance, a.offer.instance);
		assert_int_equal(take_response(), 0);
		assert_int_equal(a.terms.instance, b.offer.instance);
		assert_int_equal(a.terms.payload_max, 1400);
		assert_int_equal(a.terms.refusal, 0);
		keys_match();
	}
}

static void inside_messages_are_no_datagrams(void **state)
{
	(void)state;
	make_init(true, NULL);
	assert_int_equal(
		rail_hs_init_take(&b.side, &b.self, init, init_len, false, &b.terms), -EBADMSG);
	make_init(false, NULL);
	assert_int_equal(
		rail_hs_init_take(&b.side, &b.self, init, init_len, true, &b.terms), -EBADMSG);
	// Cut the macs off a datagram: its payload says too much for the inside.
	assert_int_equal(
		rail_hs_init_take(&b.side, &b.self, init, init_len - RAIL_MACS_LEN, true, &b.terms),
		-EBADMSG);
}

static void each_flipped_bit_of_an_init_fails(void **state)
{
	(void)state;
	make_init(false, NULL);
	// mac2 isn't looked at without load: its bits are another function's.
	for (size_t i = 0; i < (init_len - RAIL_MAC_LEN) * 8; i++) {
		init[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(
			rail_hs_init_take(&b.side, &b.self, init, init_len, false, &b.terms),
			-EBADMSG);
		init[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	make_response(false);
}

static void each_flipped_bit_of_an_inside_init_fails(void **state)
{
	(void)state;
	make_init(true, NULL);
	for (size_t i = 0; i < init_len * 8; i += 3) {
		init[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(
			rail_hs_init_take(&b.side, &b.self, init, init_len, true, &b.terms),
			-EBADMSG);
		init[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}

static void each_flipped_bit_of_a_response_fails_and_the_right_one_still_counts(void **state)
{
	(void)state;
	make_init(false, NULL);
	make_response(false);
	for (size_t i = 0; i < (response_len - RAIL_MAC_LEN) * 8; i++) {
		response[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_true(take_response() < 0);
		response[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_int_equal(take_response(), 0);
	keys_match();
}

static void each_shorter_length_fails(void **state)
{
	(void)state;
	make_init(false, NULL);
	for (size_t n = 0; n < init_len; n++)
		assert_int_equal(
			rail_hs_init_take(&b.side, &b.self, init, n, false, &b.terms), -EBADMSG);
	make_response(false);
	for (size_t n = 0, full = response_len; n < full; n++) {
		response_len = n;
		assert_int_equal(take_response(), -EBADMSG);
		response_len = full;
	}
}

static void an_init_for_another_node_fails(void **state)
{
	struct end c;

	(void)state;
	end_make(&c, 3);
	make_init(false, NULL);
	assert_int_equal(
		rail_hs_init_take(&c.side, &c.self, init, init_len, false, &c.terms), -EBADMSG);
}

static void own_key_is_no_peer(void **state)
{
	struct rail_hs_side s;

	(void)state;
	assert_int_equal(rail_hs_init_make(
				 &s, &a.self, &a.pk, &a.offer, T0, false, NULL, init, sizeof(init)),
		-EINVAL);
}

static void a_response_counts_once(void **state)
{
	(void)state;
	make_init(false, NULL);
	make_response(false);
	assert_int_equal(take_response(), 0);
	assert_true(take_response() < 0);
}

static void a_response_to_an_earlier_init_fails(void **state)
{
	(void)state;
	make_init(false, NULL);
	make_response(false);
	rail_hs_fini(&a.side);
	make_init(false, NULL); // same index, new ephemeral key
	assert_int_equal(take_response(), -EBADMSG);
	a.offer.rx_index[0]++;
	make_init(false, NULL);
	assert_int_equal(take_response(), -EBADMSG);
}

// Index 0 is nobody's.
static void an_init_with_index_0_fails(void **state)
{
	(void)state;
	a.offer.rx_index[0] = 0;
	make_init(false, NULL);
	assert_int_equal(
		rail_hs_init_take(&b.side, &b.self, init, init_len, false, &b.terms), -EBADMSG);
}

static void a_side_that_was_wiped_takes_nothing(void **state)
{
	(void)state;
	make_init(false, NULL);
	make_response(false);
	rail_hs_fini(&a.side);
	assert_int_equal(take_response(), -EBADMSG);
}

static void refusals_are_told(void **state)
{
	static const struct {
		uint8_t code;
		const char *text;
	} rows[] = {
		{RAIL_REFUSAL_NOT_ALLOWED, "no"},
		{RAIL_REFUSAL_TOO_MANY, ""},
		{RAIL_REFUSAL_MODE, "line\nbreak\x7f"},
	};
	ssize_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		make_init(false, NULL);
		assert_int_equal(
			rail_hs_init_take(&b.side, &b.self, init, init_len, false, &b.terms), 0);
		n = rail_hs_refusal_make(
			&b.side, &b.terms, rows[i].code, rows[i].text, response, sizeof(response));
		assert_true(n > 0);
		response_len = (size_t)n;
		assert_int_equal(take_response(), 0);
		assert_int_equal(a.terms.refusal, rows[i].code);
		assert_int_equal(strlen(a.terms.refusal_text), strlen(rows[i].text));
		for (const char *c = a.terms.refusal_text; *c != '\0'; c++)
			assert_true(*c >= 0x20 && *c < 0x7f);
		rail_hs_fini(&a.side);
	}
}

static void settles_only_what_both_want(void **state)
{
	enum {
		CHACHA = RAIL_CIPHER_CHACHA20_POLY1305,
		AES = RAIL_CIPHER_AES_256_GCM,
		NONE = RAIL_CIPHER_NONE,
		BOTH = CHACHA | AES
	};
	static const struct {
		uint8_t mode_a, mode_b, ciphers_a, ciphers_b, code, bit, avoid_b;
	} rows[] = {
		{0, 0, BOTH, BOTH, 0, AES, 0},
		{0, 0, BOTH, CHACHA, 0, CHACHA, 0},
		{0, 0, AES, BOTH, 0, AES, 0},
		{0, 0, BOTH, BOTH, 0, CHACHA, AES},
		{0, 0, AES, BOTH, 0, AES, AES},
		{0, 0, CHACHA, AES, RAIL_REFUSAL_CIPHER, 0, AES},
		{0, 0, AES, CHACHA, RAIL_REFUSAL_CIPHER, 0, 0},
		{0, 0, CHACHA, CHACHA, 0, CHACHA, 0},
		{0, 0, CHACHA | NONE, CHACHA, 0, CHACHA, 0},
		{0, 0, CHACHA, CHACHA | NONE, 0, CHACHA, 0},
		{0, 0, CHACHA | NONE, CHACHA | NONE, 0, NONE, 0},
		{0, 0, NONE, NONE, 0, NONE, 0},
		{0, 0, NONE, CHACHA, RAIL_REFUSAL_CIPHER, 0, 0},
		{0, 0, 0x80, 0x80, RAIL_REFUSAL_CIPHER, 0, 0},
		{0, 0, 0, CHACHA, RAIL_REFUSAL_CIPHER, 0, 0},
		{1, 0, CHACHA, CHACHA, RAIL_REFUSAL_MODE, 0, 0},
		{0, 1, CHACHA, CHACHA, RAIL_REFUSAL_MODE, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rail_hs_terms terms = {.mode = rows[i].mode_a, .ciphers = rows[i].ciphers_a};
		uint8_t bit = 0;

		b.offer.mode = rows[i].mode_b;
		b.offer.ciphers = rows[i].ciphers_b;
		b.offer.avoid = rows[i].avoid_b;
		assert_int_equal(rail_hs_settle(&b.offer, &terms, &bit), rows[i].code);
		assert_int_equal(bit, rows[i].bit);
	}
}

static void what_is_to_be_avoided_is_not_offered(void **state)
{
	(void)state;
	a.offer.ciphers = RAIL_CIPHER_CHACHA20_POLY1305 | RAIL_CIPHER_AES_256_GCM;
	a.offer.avoid = RAIL_CIPHER_AES_256_GCM;
	make_init(false, NULL);
	assert_int_equal(rail_hs_init_take(&b.side, &b.self, init, init_len, false, &b.terms), 0);
	assert_int_equal(b.terms.ciphers, RAIL_CIPHER_CHACHA20_POLY1305);
	rail_hs_fini(&b.side);
	// nor may it be granted
	make_init(false, NULL);
	assert_int_equal(rail_hs_init_take(&b.side, &b.self, init, init_len, false, &b.terms), 0);
	b.offer.ciphers = b.terms.ciphers = RAIL_CIPHER_AES_256_GCM;
	ssize_t n = rail_hs_response_make(
		&b.side, &b.self, &b.offer, &b.terms, response, sizeof(response), &b.keys);
	assert_true(n > 0);
	response_len = (size_t)n;
	assert_int_equal(take_response(), -EPROTO);
	// but for want of another
	setup(NULL);
	a.offer.ciphers = a.offer.avoid = RAIL_CIPHER_AES_256_GCM;
	b.offer.ciphers = RAIL_CIPHER_CHACHA20_POLY1305 | RAIL_CIPHER_AES_256_GCM;
	make_init(false, NULL);
	make_response(false);
	assert_int_equal(take_response(), 0);
	keys_match();
	assert_int_equal(a.keys.cipher, AEAD_AES_256_GCM);
}

// The responder grants what was not offered, or another mode: its keys must not be used.
static void a_response_that_departs_from_the_offer_is_no_agreement(void **state)
{
	(void)state;
	a.offer.ciphers = RAIL_CIPHER_CHACHA20_POLY1305;
	make_init(false, NULL);
	assert_int_equal(rail_hs_init_take(&b.side, &b.self, init, init_len, false, &b.terms), 0);
	b.offer.ciphers = b.terms.ciphers = RAIL_CIPHER_NONE; // a lie about what was offered
	ssize_t n = rail_hs_response_make(
		&b.side, &b.self, &b.offer, &b.terms, response, sizeof(response), &b.keys);
	assert_true(n > 0);
	response_len = (size_t)n;
	assert_int_equal(take_response(), -EPROTO);

	setup(NULL);
	make_init(false, NULL);
	assert_int_equal(rail_hs_init_take(&b.side, &b.self, init, init_len, false, &b.terms), 0);
	b.offer.mode = b.terms.mode = RAIL_MODE_RELIABLE;
	n = rail_hs_response_make(
		&b.side, &b.self, &b.offer, &b.terms, response, sizeof(response), &b.keys);
	assert_true(n > 0);
	response_len = (size_t)n;
	assert_int_equal(take_response(), -EPROTO);
}

static void a_response_signed_by_another_key_is_no_agreement(void **state)
{
	struct rail_hs_self other = b.self;
	struct end c;

	(void)state;
	end_make(&c, 3);
	make_init(false, NULL);
	assert_int_equal(rail_hs_init_take(&b.side, &b.self, init, init_len, false, &b.terms), 0);
	other.sk = &c.sk;
	ssize_t n = rail_hs_response_make(
		&b.side, &other, &b.offer, &b.terms, response, sizeof(response), &b.keys);
	assert_true(n > 0);
	response_len = (size_t)n;
	assert_int_equal(take_response(), -EPROTO);
}

static void keys_depend_on_the_cipher(void **state)
{
	uint8_t chacha[AEAD_KEY_LEN];

	(void)state;
	a.offer.ciphers = b.offer.ciphers = RAIL_CIPHER_NONE | RAIL_CIPHER_CHACHA20_POLY1305;
	make_init(false, NULL);
	make_response(false);
	assert_int_equal(take_response(), 0);
	keys_match();
	assert_int_equal(a.keys.cipher, AEAD_NONE);
	memcpy(chacha, flow_of(&a, 1).tx_key, sizeof(chacha));
	make_init(false, NULL);
	make_response(false);
	assert_int_equal(take_response(), 0);
	assert_memory_not_equal(chacha, flow_of(&a, 1).tx_key, sizeof(chacha));
}

static void of_two_numbers_of_flows_the_smaller_counts(void **state)
{
	static const uint8_t rows[][3] = {
		{1, 1, 1}, {1, 4, 1}, {4, 1, 1}, {4, 4, 4}, {3, 32, 3}, {32, 31, 31}, {32, 32, 32}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (int inside = 0; inside < 2; inside++) {
			want_flows(&a, rows[i][0]);
			want_flows(&b, rows[i][1]);
			make_init(inside, NULL);
			make_response(inside);
			assert_int_equal(b.terms.n_flows, rows[i][0]);
			assert_int_equal(take_response(), 0);
			assert_int_equal(a.terms.n_flows, rows[i][2]);
			assert_int_equal(a.keys.n_flows, rows[i][2]);
			keys_match();
		}
	}
}

static void each_flow_has_keys_of_its_own(void **state)
{
	(void)state;
	want_flows(&a, RAIL_FLOWS_MAX);
	want_flows(&b, RAIL_FLOWS_MAX);
	make_init(false, NULL);
	make_response(false);
	assert_int_equal(take_response(), 0);
	for (unsigned i = 1; i <= RAIL_FLOWS_MAX; i++) {
		struct rail_hs_flow f = flow_of(&a, i);

		for (unsigned k = i + 1; k <= RAIL_FLOWS_MAX; k++) {
			struct rail_hs_flow g = flow_of(&a, k);

			assert_memory_not_equal(f.tx_key, g.tx_key, AEAD_KEY_LEN);
			assert_memory_not_equal(f.rx_key, g.rx_key, AEAD_KEY_LEN);
			assert_memory_not_equal(f.rx_key, g.tx_key, AEAD_KEY_LEN);
		}
	}
}

// A responder that grants more flows than were asked for: those that were are what counts.
static void flows_beyond_those_asked_for_are_ignored(void **state)
{
	ssize_t n;

	(void)state;
	want_flows(&a, 2);
	want_flows(&b, 5);
	make_init(false, NULL);
	assert_int_equal(rail_hs_init_take(&b.side, &b.self, init, init_len, false, &b.terms), 0);
	b.terms.n_flows = 5;
	n = rail_hs_response_make(
		&b.side, &b.self, &b.offer, &b.terms, response, sizeof(response), &b.keys);
	assert_true(n > 0);
	response_len = (size_t)n;
	assert_int_equal(take_response(), 0);
	assert_int_equal(a.terms.n_flows, 5);
	assert_int_equal(a.keys.n_flows, 2);
}

static void a_flow_without_index_or_port_is_not_offered(void **state)
{
	(void)state;
	want_flows(&a, 4);
	a.offer.port[2] = 0;
	assert_int_equal(rail_hs_init_make(&a.side, &a.self, &b.pk, &a.offer, T0, false, NULL, init,
				 sizeof(init)),
		-EINVAL);
	a.offer.n_flows = 0;
	assert_int_equal(rail_hs_init_make(&a.side, &a.self, &b.pk, &a.offer, T0, false, NULL, init,
				 sizeof(init)),
		-EINVAL);
	a.offer.n_flows = 3;
	a.offer.rx_index[2] = 0;
	make_init(false, NULL);
	assert_int_equal(
		rail_hs_init_take(&b.side, &b.self, init, init_len, false, &b.terms), -EBADMSG);
}

static void a_cookie_answers_the_last_init_only(void **state)
{
	uint8_t secret[RAIL_COOKIE_SECRET_LEN] = {7}, nonce[RAIL_COOKIE_NONCE_LEN] = {9};
	uint8_t ip[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
	uint8_t cookie[RAIL_COOKIE_VALUE_LEN], got[RAIL_COOKIE_VALUE_LEN];
	uint8_t other[RAIL_COOKIE_VALUE_LEN], msg[RAIL_COOKIE_LEN], key[RAIL_COOKIE_KEY_LEN];

	(void)state;
	rail_cookie_key(key, &b.pk);
	rail_cookie_value(cookie, secret, ip, 7780);
	rail_cookie_value(other, secret, ip, 7781);
	assert_memory_not_equal(cookie, other, sizeof(cookie));
	make_init(false, NULL);
	assert_false(rail_mac2_is_right(init, init_len, cookie));
	assert_int_equal(rail_cookie_make(msg, key, init, init_len, nonce, cookie), 0);
	assert_int_equal(rail_hs_cookie_take(&a.side, msg, sizeof(msg), got), 0);
	assert_memory_equal(got, cookie, sizeof(cookie));
	for (size_t i = 0; i < sizeof(msg) * 8; i++) {
		msg[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(rail_hs_cookie_take(&a.side, msg, sizeof(msg), got), -EBADMSG);
		msg[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	make_init(false, cookie);
	assert_true(rail_mac2_is_right(init, init_len, cookie));
	assert_false(rail_mac2_is_right(init, init_len, other));
	assert_int_equal(rail_hs_cookie_take(&a.side, msg, sizeof(msg), got), -EBADMSG);
	make_response(false);
	assert_int_equal(take_response(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(both_ends_get_the_same_keys),
		T(inside_messages_are_no_datagrams),
		T(each_flipped_bit_of_an_init_fails),
		T(each_flipped_bit_of_an_inside_init_fails),
		T(each_flipped_bit_of_a_response_fails_and_the_right_one_still_counts),
		T(each_shorter_length_fails),
		T(an_init_for_another_node_fails),
		T(own_key_is_no_peer),
		T(a_response_counts_once),
		T(a_response_to_an_earlier_init_fails),
		T(an_init_with_index_0_fails),
		T(a_side_that_was_wiped_takes_nothing),
		T(refusals_are_told),
		T(settles_only_what_both_want),
		T(what_is_to_be_avoided_is_not_offered),
		T(a_response_that_departs_from_the_offer_is_no_agreement),
		T(a_response_signed_by_another_key_is_no_agreement),
		T(keys_depend_on_the_cipher),
		T(of_two_numbers_of_flows_the_smaller_counts),
		T(each_flow_has_keys_of_its_own),
		T(flows_beyond_those_asked_for_are_ignored),
		T(a_flow_without_index_or_port_is_not_offered),
		T(a_cookie_answers_the_last_init_only),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
