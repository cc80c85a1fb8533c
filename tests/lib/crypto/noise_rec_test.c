// Skywire's records: the shared transcripts in both roles and directions, limits, replays and every
// touched bit.

#include "lib/crypto/noise_rec.h"

#include "lib/crypto/aead.h"
#include "lib/crypto/key.h"
#include "tests/support/vectors.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct aead_engine *engine; // all tests by libsodium, then by each back end

struct ends {
	struct noise_rec i, r;
	uint8_t i_s[32], r_s[32], i_pk[33], r_pk[33], i_e[32], r_e[32];
};

static void start(struct ends *e, enum noise_pattern p, bool fixed)
{
	struct noise_conf c = {
		.pattern = p,
		.dh = dh_secp256k1(),
		.hash = HASH_SHA256,
		.initiator = true,
		.s = e->i_s,
		.rs = e->r_pk,
		.test_e = fixed ? e->i_e : NULL,
	};

	assert_int_equal(noise_rec_init(&e->i, &c), 0);
	c.initiator = false;
	c.s = e->r_s;
	c.rs = p == NOISE_KK ? e->i_pk : NULL;
	c.test_e = fixed ? e->r_e : NULL;
	assert_int_equal(noise_rec_init(&e->r, &c), 0);
	noise_rec_engine(&e->i, engine);
	noise_rec_engine(&e->r, engine);
}

static void make(struct ends *e, enum noise_pattern p)
{
	memset(e, 0, sizeof(*e));
	memset(e->i_s, 0x31, 32);
	memset(e->r_s, 0x32, 32);
	assert_int_equal(dh_secp256k1()->pub(e->i_pk, e->i_s), 0);
	assert_int_equal(dh_secp256k1()->pub(e->r_pk, e->r_s), 0);
	start(e, p, false);
}

// Runs the handshake to its end.
static void shake(struct ends *e)
{
	struct noise_rec *from = &e->i, *to = &e->r, *swap;
	uint8_t frame[NOISE_REC_FRAME_MAX];

	while (noise_rec_is_shaking(&e->i) || noise_rec_is_shaking(&e->r)) {
		ssize_t n = noise_rec_shake(from, frame, sizeof(frame));

		assert_true(n > 0);
		assert_int_equal(noise_rec_take_shake(to, frame, (size_t)n), n);
		swap = from, from = to, to = swap;
	}
	assert_true(noise_rec_is_open(&e->i) && noise_rec_is_open(&e->r));
}

static void open_one(struct noise_rec *r, uint8_t *frame, size_t len, const void *pt, size_t pt_len)
{
	const uint8_t *data;
	size_t data_len;

	assert_int_equal(noise_rec_open(r, frame, len, &data, &data_len), len);
	assert_int_equal(data_len, pt_len);
	if (pt_len > 0)
		assert_memory_equal(data, pt, pt_len);
}

// Seals what the transcript says and opens it at the other end.
static void run_frames(const json_t *list, struct noise_rec *from, struct noise_rec *to)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);
		uint64_t counter = (uint64_t)json_integer_value(vectors_get(v, "nonce"));
		uint8_t out[256];
		size_t pt_len, len;
		uint8_t *pt = vectors_hex_new(v, "plaintext", &pt_len);
		uint8_t *frame = vectors_hex_new(v, "frame_on_wire", &len);

		from->tx.counter = counter - 1;
		assert_int_equal(noise_rec_seal(from, pt, pt_len, out, sizeof(out)), len);
		assert_memory_equal(out, frame, len);
		open_one(to, frame, len, pt, pt_len);
		assert_int_equal(to->rx.last, counter);
		free(pt);
		free(frame);
	}
}

// Message 1 of the transcripts with a payload is written by noise itself: our side never offers.
static void run_messages(const json_t *list, struct ends *e)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);
		struct noise_rec *from = i % 2 == 0 ? &e->i : &e->r;
		struct noise_rec *to = i % 2 == 0 ? &e->r : &e->i;
		uint8_t out[NOISE_REC_FRAME_MAX];
		size_t len, payload_len;
		uint8_t *frame = vectors_hex_new(v, "frame_on_wire", &len);
		uint8_t *payload = vectors_hex_new(v, "payload", &payload_len);

		if (payload_len == 0) {
			assert_int_equal(noise_rec_shake(from, out, sizeof(out)), len);
			assert_memory_equal(out, frame, len);
		} else {
			assert_int_equal(
				noise_write(&from->hs, payload, payload_len, out, sizeof(out)),
				len - 2);
		}
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(noise_rec_take_shake(to, frame, cut), -EAGAIN);
		assert_int_equal(noise_rec_take_shake(to, frame, len), len);
		free(frame);
		free(payload);
	}
}

static void run_transcript(const json_t *v)
{
	bool xk = strstr(vectors_str(v, "protocol_name"), "_XK_") != NULL;
	struct ends e;
	uint8_t want[32];

	vectors_hex(v, "initiator_static_sk", e.i_s, 32);
	vectors_hex(v, "responder_static_sk", e.r_s, 32);
	vectors_hex(v, "initiator_ephemeral_sk", e.i_e, 32);
	vectors_hex(v, "responder_ephemeral_sk", e.r_e, 32);
	vectors_hex(v, "initiator_static_pk", e.i_pk, 33);
	vectors_hex(v, "responder_static_pk", e.r_pk, 33);
	start(&e, xk ? NOISE_XK : NOISE_KK, true);
	run_messages(vectors_get(v, "messages"), &e);
	assert_memory_equal(noise_rec_remote_static(&e.r), e.i_pk, 33);
	vectors_hex(v, "key_initiator_to_responder", want, 32);
	assert_memory_equal(e.i.tx.key, want, 32);
	assert_memory_equal(e.r.rx.key, want, 32);
	vectors_hex(v, xk ? "split_k2" : "split_k1", want, 32);
	assert_memory_equal(e.i.tx.key, want, 32);
	vectors_hex(v, "key_responder_to_initiator", want, 32);
	assert_memory_equal(e.r.tx.key, want, 32);
	assert_memory_equal(e.i.rx.key, want, 32);
	run_frames(vectors_get(v, "frames_initiator_to_responder"), &e.i, &e.r);
	run_frames(vectors_get(v, "frames_responder_to_initiator"), &e.r, &e.i);
}

static void follows_the_shared_transcripts_in_both_roles(void **state)
{
	json_t *root = vectors_load("skywire-crypto.json");
	const json_t *list = vectors_get(vectors_get(root, "dmsg"), "noise");

	assert_int_equal(json_array_size(list), 4);
	for (size_t i = 0; i < json_array_size(list); i++)
		run_transcript(json_array_get(list, i));
	json_decref(root);
}

static void assert_is_dead(struct noise_rec *r)
{
	static const struct noise_rec zero;
	uint8_t buf[64] = {0};
	const uint8_t *data;
	size_t len;

	assert_false(noise_rec_is_open(r) || noise_rec_is_shaking(r));
	assert_int_equal(noise_rec_shake(r, buf, sizeof(buf)), -EPIPE);
	assert_int_equal(noise_rec_take_shake(r, buf, sizeof(buf)), -EPIPE);
	assert_int_equal(noise_rec_seal(r, buf, 1, buf, sizeof(buf)), -EPIPE);
	assert_int_equal(noise_rec_open(r, buf, sizeof(buf), &data, &len), -EPIPE);
	assert_memory_equal(&r->tx, &zero.tx, sizeof(zero.tx));
	assert_memory_equal(&r->rx, &zero.rx, sizeof(zero.rx));
}

// A flip in the length makes the frame longer (more is awaited), too long, or cut; any other one is
// not authentic. Nothing gets further than that.
static void every_flipped_bit_of_a_handshake_frame_fails(void **state)
{
	for (unsigned victim = 0; victim < 5; victim++) {
		bool xk = victim < 3;
		unsigned msg = xk ? victim : victim - 3;
		uint8_t frame[NOISE_REC_FRAME_MAX];
		struct noise_rec reader;
		struct ends e;
		ssize_t n = 0;

		make(&e, xk ? NOISE_XK : NOISE_KK);
		for (unsigned m = 0; m <= msg; m++) {
			n = noise_rec_shake(m % 2 ? &e.r : &e.i, frame, sizeof(frame));
			assert_true(n > 0);
			if (m < msg)
				assert_int_equal(
					noise_rec_take_shake(m % 2 ? &e.i : &e.r, frame, (size_t)n),
					n);
		}
		for (size_t bit = 0; bit < 8 * (size_t)n; bit++) {
			ssize_t rc;

			reader = msg % 2 ? e.i : e.r;
			frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
			rc = noise_rec_take_shake(&reader, frame, (size_t)n);
			if (noise_rec_frame_len(frame, 2) > n) {
				assert_int_equal(rc, -EAGAIN);
			} else {
				assert_int_equal(rc, -EBADMSG);
				assert_is_dead(&reader);
			}
			frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		reader = msg % 2 ? e.i : e.r;
		assert_int_equal(noise_rec_take_shake(&reader, frame, (size_t)n), n);
	}
}

static void every_flipped_bit_of_a_record_fails(void **state)
{
	uint8_t frame[64], copy[64];
	const uint8_t *data;
	struct noise_rec r;
	size_t data_len;
	struct ends e;
	ssize_t n;

	make(&e, NOISE_KK);
	shake(&e);
	n = noise_rec_seal(&e.i, "payload", 7, frame, sizeof(frame));
	assert_int_equal(n, 7 + NOISE_REC_OVERHEAD);
	for (size_t bit = 0; bit < 8 * (size_t)n; bit++) {
		ssize_t rc;

		r = e.r;
		memcpy(copy, frame, sizeof(copy));
		copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
		rc = noise_rec_open(&r, copy, (size_t)n, &data, &data_len);
		assert_null(data);
		if (noise_rec_frame_len(copy, 2) > n) {
			assert_int_equal(rc, -EAGAIN);
			continue;
		}
		// clearing the counter's lowest bit makes it 0: not above the last one
		assert_int_equal(rc, bit == 8 * 9 ? -EALREADY : -EBADMSG);
		assert_is_dead(&r);
	}
}

static void takes_gaps_but_neither_replays_nor_steps_back(void **state)
{
	uint8_t a[64], b[64], c[64];
	const uint8_t *data;
	struct noise_rec r;
	size_t data_len;
	struct ends e;
	ssize_t n;

	make(&e, NOISE_KK);
	shake(&e);
	n = noise_rec_seal(&e.i, "a", 1, a, sizeof(a));
	e.i.tx.counter = 1000;
	assert_int_equal(noise_rec_seal(&e.i, "b", 1, b, sizeof(b)), n);
	memcpy(c, b, sizeof(c));
	open_one(&e.r, b, (size_t)n, "b", 1);
	r = e.r;
	assert_int_equal(noise_rec_open(&r, a, (size_t)n, &data, &data_len), -EALREADY);
	assert_is_dead(&r);
	r = e.r;
	assert_int_equal(noise_rec_open(&r, c, (size_t)n, &data, &data_len), -EALREADY);
	assert_is_dead(&r);
}

static void keeps_to_the_limits_of_a_frame(void **state)
{
	static uint8_t big[NOISE_REC_DATA_MAX + 1], frame[NOISE_REC_FRAME_MAX];
	static const uint8_t too_long[2] = {0x0f, 0xff}, longest[2] = {0x0f, 0xfe};
	const uint8_t *data;
	size_t data_len;
	struct ends e;

	assert_int_equal(NOISE_REC_DATA_MAX, 4070);
	assert_int_equal(noise_rec_frame_len(too_long, 2), -EBADMSG);
	assert_int_equal(noise_rec_frame_len(longest, 2), 4096);
	assert_int_equal(noise_rec_frame_len(longest, 1), -EAGAIN);
	make(&e, NOISE_KK);
	assert_int_equal(noise_rec_seal(&e.i, big, 1, frame, sizeof(frame)), -EAGAIN);
	assert_int_equal(noise_rec_shake(&e.i, frame, 50), -ENOSPC);
	assert_int_equal(noise_rec_shake(&e.r, frame, sizeof(frame)), 0);
	assert_int_equal(noise_rec_take_shake(&e.i, frame, 51), -EALREADY);
	shake(&e);
	assert_int_equal(noise_rec_seal(&e.i, big, 4071, frame, sizeof(frame)), -EMSGSIZE);
	assert_int_equal(noise_rec_seal(&e.i, big, 4070, frame, 4095), -ENOSPC);
	assert_int_equal(noise_rec_seal(&e.i, big, 4070, frame, 4096), 4096);
	for (size_t cut = 0; cut < 4096; cut++)
		assert_int_equal(noise_rec_open(&e.r, frame, cut, &data, &data_len), -EAGAIN);
	open_one(&e.r, frame, 4096, big, 4070);
	memcpy(frame, too_long, 2);
	assert_int_equal(noise_rec_open(&e.r, frame, 4096, &data, &data_len), -EBADMSG);
	assert_is_dead(&e.r);
}

static void records_shorter_than_a_unit_are_refused(void **state)
{
	for (uint8_t len = 0; len < NOISE_UNIT_OVERHEAD; len++) {
		uint8_t frame[32] = {0, len, 0, 0, 0, 0, 0, 0, 0, 9};
		const uint8_t *data;
		size_t data_len;
		struct ends e;

		make(&e, NOISE_KK);
		shake(&e);
		assert_int_equal(noise_rec_open(&e.r, frame, 2u + len, &data, &data_len), -EBADMSG);
		assert_is_dead(&e.r);
	}
}

static void the_last_counter_is_not_used(void **state)
{
	uint8_t frame[64];
	struct ends e;

	make(&e, NOISE_KK);
	shake(&e);
	e.i.tx.counter = UINT64_MAX - 2;
	assert_int_equal(noise_rec_seal(&e.i, "x", 1, frame, sizeof(frame)), 27);
	open_one(&e.r, frame, 27, "x", 1);
	assert_int_equal(noise_rec_seal(&e.i, "x", 1, frame, sizeof(frame)), -EOVERFLOW);
}

static void a_session_takes_units_in_any_order_but_once(void **state)
{
	struct noise_rx_any any;
	struct noise_rx rx;
	struct noise_tx tx, unused;
	uint8_t unit[3][64], pt[64];
	struct ends e;

	make(&e, NOISE_XK);
	shake(&e);
	assert_int_equal(noise_unit_keys(&e.i.hs, &tx, &rx), 0);
	assert_int_equal(noise_unit_keys(&e.r.hs, &unused, &rx), 0);
	tx.by = rx.by = engine;
	noise_rx_any_init(&any, &rx);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(noise_unit_seal(&tx, "unit", 4, unit[i], 64), 28);
	assert_int_equal(noise_unit_open_any(&any, unit[2], 28, pt), 4);
	assert_int_equal(noise_unit_open_any(&any, unit[0], 28, pt), 4);
	assert_int_equal(noise_unit_open_any(&any, unit[0], 28, pt), -EALREADY);
	assert_int_equal(noise_unit_open_any(&any, unit[2], 28, pt), -EALREADY);
	// a forged huge counter blinds nothing
	memset(unit[0], 0xff, 8);
	assert_int_equal(noise_unit_open_any(&any, unit[0], 28, pt), -EBADMSG);
	assert_int_equal(any.seen.max, 3);
	assert_int_equal(noise_unit_open_any(&any, unit[1], 23, pt), -EBADMSG);
	assert_int_equal(noise_unit_open_any(&any, unit[1], 28, pt), 4);
	assert_memory_equal(pt, "unit", 4);
}

static void keys_of_an_unfinished_handshake_are_not_given(void **state)
{
	struct noise_rec r;
	struct ends e;

	make(&e, NOISE_KK);
	assert_int_equal(noise_rec_adopt(&r, &e.i.hs), -EAGAIN);
	shake(&e);
	assert_int_equal(noise_rec_adopt(&r, &e.i.hs), 0);
	assert_memory_equal(r.tx.key, e.i.tx.key, 32);
	noise_fini(&e.i.hs);
	assert_int_equal(noise_rec_adopt(&r, &e.i.hs), -EPIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_the_shared_transcripts_in_both_roles),
		cmocka_unit_test(every_flipped_bit_of_a_handshake_frame_fails),
		cmocka_unit_test(every_flipped_bit_of_a_record_fails),
		cmocka_unit_test(takes_gaps_but_neither_replays_nor_steps_back),
		cmocka_unit_test(keeps_to_the_limits_of_a_frame),
		cmocka_unit_test(records_shorter_than_a_unit_are_refused),
		cmocka_unit_test(the_last_counter_is_not_used),
		cmocka_unit_test(a_session_takes_units_in_any_order_but_once),
		cmocka_unit_test(keys_of_an_unfinished_handshake_are_not_given),
	};

	struct aead_engine by;
	void *mem = NULL;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	if (posix_memalign(&mem, 64, aead_ctx_size()) != 0)
		return 1;
	aead_engine_init(&by, mem);
	engine = &by;
	for (unsigned i = 0; failed == 0 && (by.be = aead_backend_at(i)) != NULL; i++)
		if (by.be->has(AEAD_CHACHA20_POLY1305) && by.be->ready(by.x))
			failed = cmocka_run_group_tests_name(by.be->name, tests, NULL, NULL);
	free(mem);
	return failed;
}
