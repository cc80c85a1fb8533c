// The handshake of a dmsg session and its objects: the shared transcript, time limits, the pause
// before the muxer, and that a bad object never ends a session.

#include "lib/dmsg/session.h"

#include "lib/base/clock.h"
#include "lib/dmsg/inbox.h"
#include "tests/lib/dmsg/world.h"

#include <errno.h>
#include <stdlib.h>

static const json_t *transcript(json_t *root, const char *name)
{
	const json_t *list = vectors_get(vectors_get(root, "dmsg"), "noise");

	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(vectors_str(json_array_get(list, i), "case"), name) == 0)
			return json_array_get(list, i);
	fail_msg("no transcript %s", name);
	return NULL;
}

static void pass_as(struct dmsg_session *from, struct dmsg_session *to, const json_t *msg)
{
	uint8_t out[NOISE_REC_FRAME_MAX];
	size_t len;
	uint8_t *frame = vectors_hex_new(msg, "frame_on_wire", &len);

	assert_int_equal(dmsg_session_output(from, out, sizeof(out), WORLD_NOW_NS), len);
	assert_memory_equal(out, frame, len);
	assert_int_equal(dmsg_session_input(to, frame, len, WORLD_NOW_NS), len);
	free(frame);
}

// The session of the shared transcript, then its first object.
static void follows_the_shared_session_and_its_first_object(void **state)
{
	json_t *crypto = vectors_load("skywire-crypto.json"), *root = vectors_load("dmsg.json");
	const json_t *t = transcript(crypto, "noise_xk_session_A_to_S"), *msgs;
	uint8_t e[2][32], out[DMSG_FRAME_MAX], key[32];
	size_t obj_len, frame_len, used;
	struct dmsg_inbox in;
	struct world w;

	world_keys(&w);
	vectors_hex(t, "initiator_ephemeral_sk", e[0], 32);
	vectors_hex(t, "responder_ephemeral_sk", e[1], 32);
	world_begin(&w.as, &w.a_sk, &w.sa, &w.s_sk, e[0], e[1]);
	msgs = vectors_get(t, "messages");
	pass_as(&w.as, &w.sa, json_array_get(msgs, 0));
	pass_as(&w.sa, &w.as, json_array_get(msgs, 1));
	pass_as(&w.as, &w.sa, json_array_get(msgs, 2));
	vectors_hex(t, "key_initiator_to_responder", key, 32);
	assert_memory_equal(w.as.tx.key, key, 32);
	assert_memory_equal(w.sa.rx.key, key, 32);

	uint8_t *obj = vectors_hex_new(
		vectors_get(vectors_get(root, "signed_objects"), "stream_request_2024"),
		"signed_object", &obj_len);
	uint8_t *frame = vectors_hex_new(
		vectors_get(root, "session_object_frame"), "bytes_on_stream", &frame_len);
	assert_int_equal(dmsg_session_seal(&w.as, obj, obj_len, out, sizeof(out)), frame_len);
	assert_memory_equal(out, frame, frame_len);
	dmsg_inbox_init(&in);
	assert_int_equal(dmsg_inbox_feed(&in, &w.sa, frame, frame_len, &used), DMSG_READY);
	assert_int_equal(used, frame_len);
	assert_int_equal(in.obj_len, obj_len);
	assert_memory_equal(in.obj, obj, obj_len);
	free(obj);
	free(frame);
	json_decref(crypto);
	json_decref(root);
}

// A dialler of 2026 puts 1184 bytes into message 1.
static void answers_a_post_quantum_offer_classically(void **state)
{
	json_t *crypto = vectors_load("skywire-crypto.json");
	const json_t *t = transcript(crypto, "noise_xk_with_1184_byte_msg1_payload");
	const json_t *msgs = vectors_get(t, "messages");
	uint8_t e[32], out[NOISE_REC_FRAME_MAX], key[32];
	struct world w;
	size_t len;

	world_keys(&w);
	vectors_hex(t, "responder_ephemeral_sk", e, 32);
	struct dmsg_session_conf c = {.sk = &w.s_sk, .test_e = e};
	assert_int_equal(dmsg_session_init(&w.sa, &c, WORLD_NOW_NS), 0);
	for (size_t i = 0; i < 3; i++) {
		uint8_t *frame = vectors_hex_new(json_array_get(msgs, i), "frame_on_wire", &len);

		if (i == 1) {
			assert_int_equal(dmsg_session_output(&w.sa, out, sizeof(out), 1), len);
			assert_memory_equal(out, frame, len);
		} else {
			assert_int_equal(dmsg_session_input(&w.sa, frame, len, 1), len);
		}
		free(frame);
	}
	assert_int_equal(w.sa.phase, DMSG_PHASE_OPEN);
	assert_memory_equal(&w.sa.peer, &w.a, KEY_PK_LEN);
	vectors_hex(t, "key_responder_to_initiator", key, 32);
	assert_memory_equal(w.sa.tx.key, key, 32);
	json_decref(crypto);
}

static void the_handshake_has_5_seconds(void **state)
{
	struct world w;

	world_keys(&w);
	struct dmsg_session_conf c = {.sk = &w.s_sk};
	assert_int_equal(dmsg_session_init(&w.sa, &c, WORLD_NOW_NS), 0);
	assert_false(dmsg_session_is_late(&w.sa, WORLD_NOW_NS + 5000 * CLOCK_NS_PER_MS - 1));
	assert_true(dmsg_session_is_late(&w.sa, WORLD_NOW_NS + 5000 * CLOCK_NS_PER_MS));
	assert_int_equal(w.sa.phase, DMSG_PHASE_DEAD);
	assert_int_equal(dmsg_session_output(&w.sa, NULL, 0, 0), -EPIPE);
	world_make(&w);
	assert_false(dmsg_session_is_late(&w.sa, UINT64_MAX));
}

static void the_dialler_waits_before_the_muxer_and_the_server_does_not(void **state)
{
	uint64_t rtt_ns = 80 * CLOCK_NS_PER_MS, now = WORLD_NOW_NS;
	struct world w;

	world_keys(&w);
	world_begin(&w.as, &w.a_sk, &w.sa, &w.s_sk, NULL, NULL);
	world_pass(&w.as, &w.sa, now);
	assert_false(dmsg_session_may_mux(&w.sa, now));
	now += rtt_ns;
	world_pass(&w.sa, &w.as, now);
	assert_false(dmsg_session_may_mux(&w.as, UINT64_MAX)); // message 3 is not out
	world_pass(&w.as, &w.sa, now);
	assert_true(dmsg_session_may_mux(&w.sa, now));
	now += rtt_ns + DMSG_QUIET_MS * CLOCK_NS_PER_MS;
	assert_false(dmsg_session_may_mux(&w.as, now - 1));
	assert_true(dmsg_session_may_mux(&w.as, now));
}

static void surplus_behind_message_3_is_left_for_the_muxer(void **state)
{
	uint8_t frame[NOISE_REC_FRAME_MAX] = {0};
	struct world w;
	ssize_t n;

	world_keys(&w);
	world_begin(&w.as, &w.a_sk, &w.sa, &w.s_sk, NULL, NULL);
	world_pass(&w.as, &w.sa, WORLD_NOW_NS);
	world_pass(&w.sa, &w.as, WORLD_NOW_NS);
	n = dmsg_session_output(&w.as, frame, sizeof(frame), WORLD_NOW_NS);
	assert_int_equal(n, 67);
	assert_int_equal(dmsg_session_input(&w.sa, frame, 67 + 12, WORLD_NOW_NS), 67);
	assert_int_equal(dmsg_session_input(&w.sa, frame + 67, 12, WORLD_NOW_NS), -EALREADY);
	assert_int_equal(w.sa.phase, DMSG_PHASE_OPEN);
}

static void every_flipped_bit_of_the_handshake_fails_cleanly(void **state)
{
	for (unsigned victim = 0; victim < 3; victim++) {
		uint8_t frame[NOISE_REC_FRAME_MAX];
		struct dmsg_session reader, *to;
		struct world w;
		ssize_t n;

		world_keys(&w);
		world_begin(&w.as, &w.a_sk, &w.sa, &w.s_sk, NULL, NULL);
		for (unsigned m = 0; m < victim; m++)
			world_pass(m % 2 ? &w.sa : &w.as, m % 2 ? &w.as : &w.sa, WORLD_NOW_NS);
		n = dmsg_session_output(
			victim % 2 ? &w.sa : &w.as, frame, sizeof(frame), WORLD_NOW_NS);
		to = victim % 2 ? &w.as : &w.sa;
		for (size_t bit = 0; bit < 8 * (size_t)n; bit++) {
			ssize_t rc;

			reader = *to;
			frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
			rc = dmsg_session_input(&reader, frame, (size_t)n, WORLD_NOW_NS);
			assert_true(rc == -EBADMSG || rc == -EAGAIN);
			assert_int_equal(
				reader.phase, rc == -EAGAIN ? DMSG_PHASE_SHAKE : DMSG_PHASE_DEAD);
			// more was announced: it ends by its time limit
			if (rc == -EAGAIN)
				assert_true(dmsg_session_is_late(&reader, reader.deadline_ns));
			frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
}

static enum dmsg_step feed(struct dmsg_session *s, const uint8_t *p, size_t len, enum dmsg_err *err)
{
	struct dmsg_inbox in;
	enum dmsg_step step;
	size_t used;

	dmsg_inbox_init(&in);
	step = dmsg_inbox_feed(&in, s, p, len, &used);
	*err = in.err;
	return step;
}

static void objects_come_in_any_order_but_once(void **state)
{
	uint8_t obj[100] = {7}, frame[4][DMSG_FRAME_MAX];
	enum dmsg_err err;
	struct world w;
	ssize_t n = 0;

	world_make(&w);
	for (unsigned i = 0; i < 4; i++)
		n = dmsg_session_seal(&w.as, obj, sizeof(obj), frame[i], DMSG_FRAME_MAX);
	assert_int_equal(n, 126);
	assert_int_equal(feed(&w.sa, frame[3], 126, &err), DMSG_READY);
	assert_int_equal(feed(&w.sa, frame[0], 126, &err), DMSG_READY);
	assert_int_equal(feed(&w.sa, frame[0], 126, &err), DMSG_FAILED);
	assert_int_equal(err, DMSG_ERR_REPLAYED);
	frame[1][60] ^= 1;
	assert_int_equal(feed(&w.sa, frame[1], 126, &err), DMSG_FAILED);
	assert_int_equal(err, DMSG_ERR_NOT_AUTHENTIC);
	frame[1][60] ^= 1; // the forgery did not use the counter up
	assert_int_equal(feed(&w.sa, frame[1], 126, &err), DMSG_READY);
	assert_int_equal(feed(&w.sb, frame[2], 126, &err), DMSG_FAILED); // another session
	assert_int_equal(err, DMSG_ERR_NOT_AUTHENTIC);
	assert_int_equal(feed(&w.sa, frame[2], 126, &err), DMSG_READY);
}

static void the_inbox_takes_bytes_one_by_one_and_none_too_many(void **state)
{
	uint8_t obj[70] = {9}, frame[DMSG_FRAME_MAX] = {0};
	struct dmsg_inbox in;
	struct world w;
	size_t used;
	ssize_t n;

	world_make(&w);
	n = dmsg_session_seal(&w.as, obj, sizeof(obj), frame, sizeof(frame));
	dmsg_inbox_init(&in);
	for (ssize_t i = 0; i < n - 1; i++) {
		assert_int_equal(dmsg_inbox_feed(&in, &w.sa, frame + i, 1, &used), DMSG_MORE);
		assert_int_equal(used, 1);
		assert_int_equal(dmsg_inbox_feed(&in, &w.sa, NULL, 0, &used), DMSG_MORE);
		assert_int_equal(used, 0);
	}
	assert_int_equal(dmsg_inbox_feed(&in, &w.sa, frame + n - 1, 50, &used), DMSG_READY);
	assert_int_equal(used, 1);
	assert_memory_equal(in.obj, obj, sizeof(obj));
	assert_int_equal(dmsg_inbox_feed(&in, &w.sa, frame, 50, &used), DMSG_FAILED);
	assert_int_equal(used, 0);
}

static void lengths_that_no_object_has_are_refused_at_once(void **state)
{
	static const struct {
		uint16_t len;
		enum dmsg_step step;
		enum dmsg_err err;
	} cases[] = {
		{0, DMSG_PING, DMSG_OK},
		{1, DMSG_FAILED, DMSG_ERR_OBJECT_SHORT},
		{24 + 65, DMSG_FAILED, DMSG_ERR_OBJECT_SHORT},
		{24 + 66, DMSG_MORE, DMSG_OK},
		{24 + DMSG_OBJECT_MAX, DMSG_MORE, DMSG_OK},
		{24 + DMSG_OBJECT_MAX + 1, DMSG_FAILED, DMSG_ERR_TOO_LONG},
		{65535, DMSG_FAILED, DMSG_ERR_TOO_LONG},
	};
	struct world w;

	world_make(&w);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t hdr[2] = {(uint8_t)(cases[i].len >> 8), (uint8_t)cases[i].len};
		enum dmsg_err err;

		assert_int_equal(feed(&w.sa, hdr, 1, &err), DMSG_MORE);
		assert_int_equal(feed(&w.sa, hdr, 2, &err), cases[i].step);
		assert_int_equal(err, cases[i].err);
	}
}

static void limits_of_objects_hold(void **state)
{
	static uint8_t obj[DMSG_OBJECT_MAX + 1], frame[DMSG_FRAME_MAX];
	enum dmsg_err err;
	struct world w;

	world_make(&w);
	assert_int_equal(dmsg_session_seal(&w.as, obj, DMSG_OBJECT_MAX + 1, frame, sizeof(frame)),
		-EMSGSIZE);
	assert_int_equal(dmsg_session_seal(&w.as, obj, 100, frame, 125), -ENOSPC);
	assert_int_equal(dmsg_session_seal(&w.as, obj, DMSG_OBJECT_MAX, frame, sizeof(frame)),
		DMSG_FRAME_MAX);
	assert_int_equal(feed(&w.sa, frame, sizeof(frame), &err), DMSG_READY);
	dmsg_session_fini(&w.as);
	assert_int_equal(dmsg_session_seal(&w.as, obj, 100, frame, sizeof(frame)), -EPIPE);
	assert_int_equal(feed(&w.as, frame, sizeof(frame), &err), DMSG_FAILED);
	assert_int_equal(err, DMSG_ERR_SESSION_CLOSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_the_shared_session_and_its_first_object),
		cmocka_unit_test(answers_a_post_quantum_offer_classically),
		cmocka_unit_test(the_handshake_has_5_seconds),
		cmocka_unit_test(the_dialler_waits_before_the_muxer_and_the_server_does_not),
		cmocka_unit_test(surplus_behind_message_3_is_left_for_the_muxer),
		cmocka_unit_test(every_flipped_bit_of_the_handshake_fails_cleanly),
		cmocka_unit_test(objects_come_in_any_order_but_once),
		cmocka_unit_test(the_inbox_takes_bytes_one_by_one_and_none_too_many),
		cmocka_unit_test(lengths_that_no_object_has_are_refused_at_once),
		cmocka_unit_test(limits_of_objects_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
