// Known answers for every pattern, suite and hash that the project names, and what must happen when
// a message was touched.

#include "lib/crypto/noise.h"

#include "lib/crypto/aead.h"
#include "tests/support/hex.h"
#include "tests/support/vectors.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	MAX_MSG = 2048,
	MAX_CASE_MSGS = 8,
};

struct msg {
	uint8_t *payload;
	size_t payload_len;
	uint8_t *wire;
	size_t wire_len;
};

// One handshake with known answers; the byte strings are owned by the case.
struct kat {
	struct noise_conf conf; // pattern, dh, hash
	uint8_t *prologue;
	size_t prologue_len;
	uint8_t i_s[32], r_s[32], i_e[32], r_e[32];
	uint8_t i_pk[DH_MAX_PK_LEN], r_pk[DH_MAX_PK_LEN];
	uint8_t *hash;
	size_t hash_len;
	struct msg msgs[MAX_CASE_MSGS];
	size_t n_msgs;
};

static void kat_free(struct kat *k)
{
	free(k->prologue);
	free(k->hash);
	for (size_t i = 0; i < k->n_msgs; i++) {
		free(k->msgs[i].payload);
		free(k->msgs[i].wire);
	}
}

static void kat_suite(struct kat *k, const char *name)
{
	char text[NOISE_MAX_NAME_LEN];

	for (int p = NOISE_IK; p <= NOISE_XK; p++) {
		for (int h = HASH_SHA256; h <= HASH_BLAKE2B; h++) {
			for (int d = 0; d < 2; d++) {
				k->conf.pattern = (enum noise_pattern)p;
				k->conf.hash = (enum hash_alg)h;
				k->conf.dh = d == 0 ? dh_25519() : dh_secp256k1();
				assert_true(noise_name(&k->conf, text, sizeof(text)) > 0);
				if (strcmp(text, name) == 0)
					return;
			}
		}
	}
	fail_msg("no suite %s", name);
}

static void kat_conf(const struct kat *k, bool initiator, struct noise_conf *c)
{
	*c = k->conf;
	c->initiator = initiator;
	c->prologue = k->prologue;
	c->prologue_len = k->prologue_len;
	c->s = initiator ? k->i_s : k->r_s;
	c->test_e = initiator ? k->i_e : k->r_e;
	c->rs = initiator ? k->r_pk : c->pattern == NOISE_KK ? k->i_pk : NULL;
}

static void kat_start(const struct kat *k, struct noise *i, struct noise *r)
{
	struct noise_conf c;

	kat_conf(k, true, &c);
	assert_int_equal(noise_init(i, &c), 0);
	kat_conf(k, false, &c);
	assert_int_equal(noise_init(r, &c), 0);
}

static void kat_message(const struct msg *m, struct noise *from, struct noise *to)
{
	uint8_t wire[MAX_MSG];
	uint8_t payload[MAX_MSG];

	assert_true(noise_is_writer(from));
	assert_false(noise_is_writer(to));
	assert_int_equal(noise_overhead(from), m->wire_len - m->payload_len);
	assert_int_equal(noise_overhead(to), m->wire_len - m->payload_len);
	assert_int_equal(
		noise_write(from, m->payload, m->payload_len, wire, sizeof(wire)), m->wire_len);
	assert_memory_equal(wire, m->wire, m->wire_len);
	assert_int_equal(
		noise_read(to, m->wire, m->wire_len, payload, sizeof(payload)), m->payload_len);
	assert_memory_equal(payload, m->payload, m->payload_len);
}

// Runs the handshake and then, under the split keys, the rest of the messages with nonces from 0.
static void kat_run(const struct kat *k, uint8_t k1[32], uint8_t k2[32])
{
	struct noise i, r;
	uint8_t h[HASH_MAX_LEN];
	uint8_t keys[4][32];
	size_t n = 0;

	kat_start(k, &i, &r);
	assert_int_equal(noise_split(&i, keys[0], keys[1]), -EAGAIN);
	while (!noise_is_done(&i)) {
		assert_true(n < k->n_msgs);
		kat_message(&k->msgs[n], n % 2 == 0 ? &i : &r, n % 2 == 0 ? &r : &i);
		n++;
	}
	assert_true(noise_is_done(&r));
	assert_int_equal(noise_hash(&i, h), k->hash_len);
	assert_memory_equal(h, k->hash, k->hash_len);
	assert_int_equal(noise_hash(&r, h), k->hash_len);
	assert_memory_equal(h, k->hash, k->hash_len);
	assert_memory_equal(noise_remote_static(&r), k->i_pk, k->conf.dh->pk_len);
	assert_memory_equal(noise_remote_static(&i), k->r_pk, k->conf.dh->pk_len);
	assert_int_equal(noise_split(&i, keys[0], keys[1]), 0);
	assert_int_equal(noise_split(&r, keys[2], keys[3]), 0);
	assert_memory_equal(keys[0], keys[2], 64);
	for (size_t first = n; n < k->n_msgs; n++) {
		uint8_t nonce[AEAD_NONCE_LEN];
		uint8_t out[MAX_MSG];

		aead_nonce_le(nonce, (n - first) / 2);
		aead_seal(out, k->msgs[n].payload, k->msgs[n].payload_len, NULL, 0, nonce,
			keys[n % 2]);
		assert_memory_equal(out, k->msgs[n].wire, k->msgs[n].wire_len);
	}
	memcpy(k1, keys[0], 32);
	memcpy(k2, keys[1], 32);
	noise_fini(&i);
	noise_fini(&r);
}

static void load_messages(struct kat *k, const json_t *v, const char *wire)
{
	const json_t *msgs = vectors_get(v, "messages");

	k->n_msgs = json_array_size(msgs);
	assert_in_range(k->n_msgs, 1, MAX_CASE_MSGS);
	for (size_t i = 0; i < k->n_msgs; i++) {
		const json_t *m = json_array_get(msgs, i);

		k->msgs[i].payload = vectors_hex_new(m, "payload", &k->msgs[i].payload_len);
		k->msgs[i].wire = vectors_hex_new(m, wire, &k->msgs[i].wire_len);
	}
}

static void load_25519(struct kat *k, const json_t *v)
{
	memset(k, 0, sizeof(*k));
	kat_suite(k, vectors_str(v, "protocol_name"));
	k->prologue = vectors_hex_new(v, "init_prologue", &k->prologue_len);
	vectors_hex(v, "init_static", k->i_s, 32);
	vectors_hex(v, "resp_static", k->r_s, 32);
	vectors_hex(v, "init_ephemeral", k->i_e, 32);
	vectors_hex(v, "resp_ephemeral", k->r_e, 32);
	vectors_hex(v, "init_remote_static", k->r_pk, 32);
	assert_int_equal(k->conf.dh->pub(k->i_pk, k->i_s), 0);
	k->hash = vectors_hex_new(v, "handshake_hash", &k->hash_len);
	load_messages(k, v, "ciphertext");
	assert_true(k->n_msgs >= 4);
}

static void matches_the_published_25519_vectors(void **state)
{
	json_t *root = vectors_load("noise-25519.json");
	const json_t *list = vectors_get(root, "vectors");
	uint8_t k1[32], k2[32];
	struct kat k;

	assert_int_equal(json_array_size(list), 6);
	for (size_t i = 0; i < json_array_size(list); i++) {
		load_25519(&k, json_array_get(list, i));
		kat_run(&k, k1, k2);
		kat_free(&k);
	}
	json_decref(root);
}

static void load_dmsg(struct kat *k, const json_t *v)
{
	memset(k, 0, sizeof(*k));
	kat_suite(k, vectors_str(v, "protocol_name"));
	k->prologue = vectors_hex_new(v, "prologue", &k->prologue_len);
	vectors_hex(v, "initiator_static_sk", k->i_s, 32);
	vectors_hex(v, "responder_static_sk", k->r_s, 32);
	vectors_hex(v, "initiator_ephemeral_sk", k->i_e, 32);
	vectors_hex(v, "responder_ephemeral_sk", k->r_e, 32);
	vectors_hex(v, "initiator_static_pk", k->i_pk, 33);
	vectors_hex(v, "responder_static_pk", k->r_pk, 33);
	k->hash = vectors_hex_new(v, "handshake_hash", &k->hash_len);
	load_messages(k, v, "message");
	assert_in_range(k->n_msgs, 2, 3);
}

static void matches_skywire_kk_and_xk_with_and_without_a_large_payload(void **state)
{
	json_t *root = vectors_load("skywire-crypto.json");
	const json_t *list = vectors_get(vectors_get(root, "dmsg"), "noise");
	uint8_t k1[32], k2[32], want[32];
	struct kat k;

	assert_int_equal(json_array_size(list), 4);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);

		load_dmsg(&k, v);
		kat_run(&k, k1, k2);
		vectors_hex(v, "split_k1", want, 32);
		assert_memory_equal(k1, want, 32);
		vectors_hex(v, "split_k2", want, 32);
		assert_memory_equal(k2, want, 32);
		kat_free(&k);
	}
	json_decref(root);
}

// The routing vectors: A to B, no payload, or a 1184-byte offer that the responder ignores.
static void load_routing(struct kat *k, const json_t *root, const char *name, size_t offer_len)
{
	const json_t *routing = vectors_get(root, "routing");
	const json_t *keys = vectors_get(routing, "keys");
	const json_t *v = vectors_get(routing, name);

	memset(k, 0, sizeof(*k));
	kat_suite(k, "Noise_KK_Secp256k1_ChaChaPoly_SHA256");
	vectors_hex(vectors_get(keys, "A"), "sk", k->i_s, 32);
	vectors_hex(vectors_get(keys, "B"), "sk", k->r_s, 32);
	vectors_hex(vectors_get(keys, "A"), "pk", k->i_pk, 33);
	vectors_hex(vectors_get(keys, "B"), "pk", k->r_pk, 33);
	vectors_hex(vectors_get(keys, "ephemeral_A"), "sk", k->i_e, 32);
	vectors_hex(vectors_get(keys, "ephemeral_B"), "sk", k->r_e, 32);
	k->hash = vectors_hex_new(v, "handshake_hash", &k->hash_len);
	k->n_msgs = 2;
	k->msgs[0].wire = vectors_hex_new(v, "msg1", &k->msgs[0].wire_len);
	k->msgs[1].wire = vectors_hex_new(v, "msg2", &k->msgs[1].wire_len);
	k->msgs[0].payload_len = offer_len;
	k->msgs[0].payload = malloc(offer_len + 1);
	k->msgs[1].payload = malloc(1);
	assert_non_null(k->msgs[0].payload);
	assert_non_null(k->msgs[1].payload);
	for (size_t i = 0; i < offer_len; i++)
		k->msgs[0].payload[i] = (uint8_t)i;
}

static void matches_skywire_route_group_vectors(void **state)
{
	json_t *root = vectors_load("skywire-crypto.json");
	const json_t *v = vectors_get(vectors_get(root, "routing"), "noise_kk");
	uint8_t k1[32], k2[32], want[32], nonce[AEAD_NONCE_LEN], record[64], sealed[64];
	struct kat k;

	load_routing(&k, root, "noise_kk_pq_offer_ignored", 1184);
	kat_run(&k, k1, k2);
	kat_free(&k);
	load_routing(&k, root, "noise_kk", 0);
	kat_run(&k, k1, k2);
	vectors_hex(v, "split_key_initiator_to_responder", want, 32);
	assert_memory_equal(k1, want, 32);
	vectors_hex(v, "split_key_responder_to_initiator", want, 32);
	assert_memory_equal(k2, want, 32);
	// record: length 2, counter 8, ciphertext; the nonce is little-endian
	vectors_hex(v, "init_to_resp_frame_n2_hello", record, 31);
	aead_nonce_le(nonce, 2);
	aead_seal(sealed, (const uint8_t *)"hello", 5, NULL, 0, nonce, k1);
	assert_memory_equal(sealed, record + 10, 21);
	kat_free(&k);
	json_decref(root);
}

// A live pair with random ephemerals, for the tests below.
static void make_pair(
	struct kat *k, enum noise_pattern p, const struct dh_suite *dh, enum hash_alg h)
{
	memset(k, 0, sizeof(*k));
	k->conf = (struct noise_conf){.pattern = p, .dh = dh, .hash = h};
	memset(k->i_s, 0x21, 32);
	memset(k->r_s, 0x22, 32);
	memset(k->i_e, 0x23, 32);
	memset(k->r_e, 0x24, 32);
	assert_int_equal(dh->pub(k->i_pk, k->i_s), 0);
	assert_int_equal(dh->pub(k->r_pk, k->r_s), 0);
}

static void assert_dead(struct noise *n)
{
	uint8_t buf[256];

	assert_false(noise_is_done(n));
	assert_false(noise_is_writer(n));
	assert_null(noise_remote_static(n));
	assert_int_equal(noise_overhead(n), 0);
	assert_int_equal(noise_write(n, NULL, 0, buf, sizeof(buf)), -EPIPE);
	assert_int_equal(noise_read(n, buf, 100, buf, sizeof(buf)), -EPIPE);
	assert_int_equal(noise_split(n, buf, buf + 32), -EPIPE);
}

// Flips each bit of message `victim` in turn. A flip that the reader cannot see in the message
// itself (none in these patterns: every message ends in a tag) would be a failure.
static void flip_all(const struct kat *k, unsigned victim, unsigned n_msgs)
{
	uint8_t wire[MAX_MSG], payload[MAX_MSG];
	static const uint8_t hello[3] = {1, 2, 3};
	struct noise side[2], reader;
	ssize_t len = 0;

	kat_start(k, &side[0], &side[1]);
	for (unsigned m = 0; m <= victim; m++) {
		len = noise_write(&side[m % 2], hello, sizeof(hello), wire, sizeof(wire));
		assert_true(len > 0);
		if (m < victim)
			assert_int_equal(noise_read(&side[(m + 1) % 2], wire, (size_t)len, payload,
						 sizeof(payload)),
				3);
	}
	for (size_t bit = 0; bit < 8 * (size_t)len; bit++) {
		reader = side[(victim + 1) % 2];
		memset(payload, 0xaa, 4);
		wire[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		// X25519 ignores the top bit of a point, but the hash does not
		assert_int_equal(
			noise_read(&reader, wire, (size_t)len, payload, sizeof(payload)), -EBADMSG);
		wire[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_memory_equal(payload, "\0\0\0\xaa", 4);
		assert_dead(&reader);
	}
	reader = side[(victim + 1) % 2];
	assert_int_equal(noise_read(&reader, wire, (size_t)len, payload, sizeof(payload)), 3);
	assert_int_equal(noise_is_done(&reader), victim + 1 == n_msgs);
}

static void every_flipped_bit_of_every_message_fails(void **state)
{
	const struct dh_suite *dh[2] = {dh_25519(), dh_secp256k1()};
	struct kat k;

	for (int d = 0; d < 2; d++) {
		for (int p = NOISE_IK; p <= NOISE_XK; p++) {
			unsigned n_msgs = p == NOISE_XK ? 3 : 2;

			make_pair(&k, (enum noise_pattern)p, dh[d],
				d == 0 ? HASH_BLAKE2B : HASH_SHA256);
			for (unsigned m = 0; m < n_msgs; m++)
				flip_all(&k, m, n_msgs);
		}
	}
}

static void ik_responder_sees_the_initiator_before_answering(void **state)
{
	struct noise i, r;
	uint8_t wire[MAX_MSG], payload[16];
	struct noise_conf c;
	struct kat k;
	ssize_t len;

	make_pair(&k, NOISE_IK, dh_secp256k1(), HASH_SHA256);
	k.prologue = (uint8_t *)"rail1";
	k.prologue_len = 5;
	kat_start(&k, &i, &r);
	kat_conf(&k, true, &c);
	assert_true(noise_name(&c, (char *)wire, sizeof(wire)) == 36);
	assert_string_equal((char *)wire, "Noise_IK_Secp256k1_ChaChaPoly_SHA256");
	assert_null(noise_remote_static(&r));
	len = noise_write(&i, "who", 3, wire, sizeof(wire));
	assert_int_equal(len, 33 + 33 + 16 + 3 + 16);
	assert_int_equal(noise_read(&r, wire, (size_t)len, payload, sizeof(payload)), 3);
	assert_memory_equal(noise_remote_static(&r), k.i_pk, 33);
	assert_memory_equal(payload, "who", 3);
	assert_true(noise_is_writer(&r));
	noise_fini(&r);
	for (size_t b = 0; b < sizeof(r); b++)
		assert_int_equal(r.opaque[b], 0);
}

static void another_prologue_or_static_key_fails(void **state)
{
	for (int what = 0; what < 2; what++) {
		struct noise i, r;
		uint8_t wire[MAX_MSG], payload[16];
		struct noise_conf c;
		struct kat k;
		ssize_t len;

		make_pair(&k, NOISE_IK, dh_secp256k1(), HASH_SHA256);
		kat_start(&k, &i, &r);
		kat_conf(&k, false, &c);
		if (what == 0) {
			c.prologue = "rail2";
			c.prologue_len = 5;
		} else {
			c.s = k.i_e;
		}
		assert_int_equal(noise_init(&r, &c), 0);
		len = noise_write(&i, NULL, 0, wire, sizeof(wire));
		assert_int_equal(
			noise_read(&r, wire, (size_t)len, payload, sizeof(payload)), -EBADMSG);
		assert_dead(&r);
	}
}

static void small_buffers_and_wrong_turns_change_nothing(void **state)
{
	struct noise i, r, before;
	uint8_t wire[MAX_MSG], payload[64];
	struct kat k;
	ssize_t len;

	make_pair(&k, NOISE_XK, dh_25519(), HASH_SHA256);
	kat_start(&k, &i, &r);
	before = i;
	assert_int_equal(noise_write(&i, "hello", 5, wire, 32 + 16 + 4), -ENOSPC);
	assert_int_equal(noise_write(&i, "hello", 5, wire, 3), -ENOSPC);
	assert_int_equal(noise_write(&i, wire, NOISE_MAX_MSG_LEN, wire, SIZE_MAX), -ENOSPC);
	assert_int_equal(noise_read(&i, wire, 100, payload, sizeof(payload)), -EALREADY);
	assert_memory_equal(&before, &i, sizeof(i));
	len = noise_write(&i, "hello", 5, wire, 32 + 16 + 5);
	assert_int_equal(len, 53);
	before = r;
	assert_int_equal(noise_write(&r, NULL, 0, wire + 100, 100), -EALREADY);
	assert_int_equal(noise_read(&r, wire, (size_t)len, payload, 4), -ENOSPC);
	assert_memory_equal(&before, &r, sizeof(r));
	assert_int_equal(noise_read(&r, wire, (size_t)len, payload, 5), 5);
}

static void every_truncation_fails(void **state)
{
	struct noise i, r, reader;
	uint8_t wire[MAX_MSG], payload[64];
	struct kat k;
	ssize_t len;

	make_pair(&k, NOISE_IK, dh_secp256k1(), HASH_SHA256);
	kat_start(&k, &i, &r);
	len = noise_write(&i, "hello", 5, wire, sizeof(wire));
	for (ssize_t n = 0; n < len; n++) {
		reader = r;
		assert_int_equal(
			noise_read(&reader, wire, (size_t)n, payload, sizeof(payload)), -EBADMSG);
		assert_dead(&reader);
	}
}

static void ephemerals_are_fresh_without_injection(void **state)
{
	uint8_t a[MAX_MSG], b[MAX_MSG];
	struct noise_conf c;
	struct noise n;
	struct kat k;

	make_pair(&k, NOISE_IK, dh_secp256k1(), HASH_SHA256);
	kat_conf(&k, true, &c);
	c.test_e = NULL;
	assert_int_equal(noise_init(&n, &c), 0);
	assert_true(noise_write(&n, NULL, 0, a, sizeof(a)) > 0);
	assert_int_equal(noise_init(&n, &c), 0);
	assert_true(noise_write(&n, NULL, 0, b, sizeof(b)) > 0);
	assert_memory_not_equal(a, b, 33);
	noise_fini(&n);
}

static void a_public_key_that_is_given_need_not_be_made(void **state)
{
	uint8_t a[MAX_MSG], b[MAX_MSG];
	struct noise_conf c;
	struct noise n;
	struct kat k;
	ssize_t len;

	make_pair(&k, NOISE_IK, dh_secp256k1(), HASH_SHA256);
	kat_conf(&k, true, &c);
	assert_int_equal(noise_init(&n, &c), 0);
	len = noise_write(&n, NULL, 0, a, sizeof(a));
	c.s_pk = k.i_pk;
	assert_int_equal(noise_init(&n, &c), 0);
	assert_int_equal(noise_write(&n, NULL, 0, b, sizeof(b)), len);
	assert_memory_equal(a, b, (size_t)len);
	noise_fini(&n);
}

// By what it makes of it, and since a wrong one shows.
static void the_product_of_static_keys_is_used_if_it_is_given(void **state)
{
	static const enum noise_pattern with_ss[] = {NOISE_IK, NOISE_KK};
	uint8_t a[MAX_MSG], b[MAX_MSG], ss[DH_MAX_DH_LEN];
	struct noise_conf c;
	struct noise n;
	struct kat k;

	for (size_t i = 0; i < 2; i++) {
		ssize_t len;

		make_pair(&k, with_ss[i], dh_secp256k1(), HASH_SHA256);
		kat_conf(&k, true, &c);
		assert_int_equal(noise_init(&n, &c), 0);
		len = noise_write(&n, NULL, 0, a, sizeof(a));
		assert_int_equal(c.dh->dh(ss, k.r_s, k.i_pk), 0);
		c.ss = ss;
		assert_int_equal(noise_init(&n, &c), 0);
		assert_int_equal(noise_write(&n, NULL, 0, b, sizeof(b)), len);
		assert_memory_equal(a, b, (size_t)len);
		ss[0] ^= 1;
		assert_int_equal(noise_init(&n, &c), 0);
		assert_int_equal(noise_write(&n, NULL, 0, b, sizeof(b)), len);
		assert_memory_not_equal(a, b, (size_t)len);
		noise_fini(&n);
	}
}

static void refuses_configurations_that_do_not_fit_the_pattern(void **state)
{
	static const uint8_t zero[32];
	struct noise_conf good, c;
	struct noise n;
	struct kat k;

	make_pair(&k, NOISE_IK, dh_secp256k1(), HASH_SHA256);
	kat_conf(&k, true, &good);
	c = good, c.rs = NULL;
	assert_int_equal(noise_init(&n, &c), -EINVAL);
	c = good, c.initiator = false; // an IK responder does not know the peer yet
	assert_int_equal(noise_init(&n, &c), -EINVAL);
	c = good, c.initiator = false, c.rs = NULL, c.ss = k.r_s; // of whom?
	assert_int_equal(noise_init(&n, &c), -EINVAL);
	c = good, c.s = NULL;
	assert_int_equal(noise_init(&n, &c), -EINVAL);
	c = good, c.s = zero;
	assert_int_equal(noise_init(&n, &c), -EINVAL);
	c = good, c.dh = NULL;
	assert_int_equal(noise_init(&n, &c), -EINVAL);
	c = good, c.pattern = (enum noise_pattern)9;
	assert_int_equal(noise_init(&n, &c), -EINVAL);
	c = good, c.hash = (enum hash_alg)9;
	assert_int_equal(noise_init(&n, &c), -EINVAL);
	uint8_t bad_pk[33] = {2, [32] = 5}, wire[256]; // X = 5 is not on the curve
	c = good, c.rs = bad_pk;
	assert_int_equal(noise_init(&n, &c), 0);
	assert_int_equal(noise_write(&n, NULL, 0, wire, sizeof(wire)), -EBADMSG);
	assert_dead(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matches_the_published_25519_vectors),
		cmocka_unit_test(matches_skywire_kk_and_xk_with_and_without_a_large_payload),
		cmocka_unit_test(matches_skywire_route_group_vectors),
		cmocka_unit_test(every_flipped_bit_of_every_message_fails),
		cmocka_unit_test(every_truncation_fails),
		cmocka_unit_test(ik_responder_sees_the_initiator_before_answering),
		cmocka_unit_test(another_prologue_or_static_key_fails),
		cmocka_unit_test(small_buffers_and_wrong_turns_change_nothing),
		cmocka_unit_test(ephemerals_are_fresh_without_injection),
		cmocka_unit_test(a_public_key_that_is_given_need_not_be_made),
		cmocka_unit_test(the_product_of_static_keys_is_used_if_it_is_given),
		cmocka_unit_test(refuses_configurations_that_do_not_fit_the_pattern),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
