// A stream from A to B through a server: dial, relay and accept against each other, byte for byte
// where the vectors allow it, and each way in which it can fail.

#include "lib/base/err.h"
#include "tests/lib/dmsg/world.h"

#include <errno.h>
#include <stdlib.h>

struct stream {
	struct dmsg_dial dial;
	struct dmsg_accept accept;
	struct dmsg_relay relay;
	uint8_t buf[DMSG_FRAME_MAX];
	ssize_t len;
};

static void start(struct stream *st, struct world *w, const struct dmsg_dial_conf *c)
{
	st->len = dmsg_dial_start(&st->dial, &w->as, c, st->buf, sizeof(st->buf));
	assert_true(st->len > 0);
	dmsg_relay_init(&st->relay);
	dmsg_accept_init(&st->accept);
}

static enum dmsg_step to_server(struct stream *st, struct dmsg_session *x, bool is_peer)
{
	size_t used;
	enum dmsg_step step =
		dmsg_relay_feed(&st->relay, x, is_peer, st->buf, (size_t)st->len, &used);

	assert_int_equal(used, st->len);
	return step;
}

static enum dmsg_step to_acceptor(struct stream *st, struct dmsg_session *y, struct dmsg_session *b)
{
	size_t used;
	enum dmsg_step step;

	st->len = dmsg_relay_onward(&st->relay, y, st->buf, sizeof(st->buf));
	assert_true(st->len > 0);
	step = dmsg_accept_feed(&st->accept, b, st->buf, (size_t)st->len, &used);
	assert_int_equal(used, st->len);
	return step;
}

// The answer goes all the way back to the dialler.
static enum dmsg_step back(
	struct stream *st, struct dmsg_session *y, struct dmsg_session *x, struct dmsg_session *a)
{
	size_t used;

	assert_int_equal(
		dmsg_relay_feed_answer(&st->relay, y, st->buf, (size_t)st->len, &used), DMSG_READY);
	assert_int_equal(used, st->len);
	st->len = dmsg_relay_back(&st->relay, x, st->buf, sizeof(st->buf));
	assert_true(st->len > 0);
	return dmsg_dial_feed(&st->dial, a, st->buf, (size_t)st->len, &used);
}

static void exchange(struct noise_rec *from, struct noise_rec *to, const char *text)
{
	uint8_t frame[256];
	const uint8_t *got;
	size_t got_len;
	ssize_t n = noise_rec_seal(from, text, strlen(text), frame, sizeof(frame));

	assert_true(n > 0);
	assert_int_equal(noise_rec_open(to, frame, (size_t)n, &got, &got_len), n);
	assert_int_equal(got_len, strlen(text));
	assert_memory_equal(got, text, got_len);
}

static void a_stream_opens_through_the_server(void **state)
{
	static struct stream st;
	struct noise_rec a_rec, b_rec;
	struct world w;

	world_make(&w);
	struct dmsg_dial_conf c = world_dial_b(&w);
	start(&st, &w, &c);
	assert_int_equal(to_server(&st, &w.sa, false), DMSG_READY);
	assert_int_equal(dmsg_relay_where(&st.relay, &w.sa), RELAY_ONWARD);
	assert_memory_equal(&st.relay.req.dst.pk, &w.b, KEY_PK_LEN);
	assert_int_equal(to_acceptor(&st, &w.sb, &w.bs), DMSG_READY);
	assert_memory_equal(&st.accept.req.src.pk, &w.a, KEY_PK_LEN);
	assert_int_equal(st.accept.req.src.port, 49153);
	assert_int_equal(st.accept.req.dst.port, 80);
	assert_int_equal(dmsg_dial_keys(&st.dial, &a_rec), -EAGAIN);
	st.len = dmsg_accept_answer(&st.accept, &w.bs, NULL, &b_rec, st.buf, sizeof(st.buf));
	assert_true(st.len > 0);
	assert_int_equal(back(&st, &w.sb, &w.sa, &w.as), DMSG_READY);
	assert_int_equal(dmsg_dial_keys(&st.dial, &a_rec), 0);
	exchange(&a_rec, &b_rec, "hello");
	exchange(&b_rec, &a_rec, "world");
	dmsg_dial_fini(&st.dial);
}

// What the server passes on is what was signed, in both directions.
static void objects_pass_the_server_bit_for_bit(void **state)
{
	static struct stream st;
	struct noise_rec rec;
	struct world w;

	world_make(&w);
	struct dmsg_dial_conf c = world_dial_b(&w);
	start(&st, &w, &c);
	assert_int_equal(to_server(&st, &w.sa, false), DMSG_READY);
	assert_memory_equal(st.relay.req_hash, st.dial.req_hash, DMSG_HASH_LEN);
	assert_int_equal(to_acceptor(&st, &w.sb, &w.bs), DMSG_READY);
	assert_memory_equal(st.accept.req_hash, st.dial.req_hash, DMSG_HASH_LEN);
	assert_int_equal(st.accept.in.obj_len, st.relay.request.obj_len);
	assert_memory_equal(st.accept.in.obj, st.relay.request.obj, st.accept.in.obj_len);
	st.len = dmsg_accept_answer(&st.accept, &w.bs, NULL, &rec, st.buf, sizeof(st.buf));
	assert_int_equal(back(&st, &w.sb, &w.sa, &w.as), DMSG_READY);
	assert_int_equal(st.dial.in.obj_len, st.relay.answer.obj_len);
	assert_memory_equal(st.dial.in.obj, st.relay.answer.obj, st.dial.in.obj_len);
}

// The request, the answer and the keys of the shared transcript, but for the signatures.
static void follows_the_shared_stream(void **state)
{
	json_t *crypto = vectors_load("skywire-crypto.json"), *root = vectors_load("dmsg.json");
	const json_t *t = json_array_get(vectors_get(vectors_get(crypto, "dmsg"), "noise"), 0);
	const json_t *objects = vectors_get(root, "signed_objects");
	static struct stream st;
	uint8_t e[2][32], key[32];
	struct noise_rec a_rec, b_rec;
	struct world w;
	size_t len;

	world_make(&w);
	assert_string_equal(vectors_str(t, "case"), "noise_kk_stream_A_to_B");
	vectors_hex(t, "initiator_ephemeral_sk", e[0], 32);
	vectors_hex(t, "responder_ephemeral_sk", e[1], 32);
	struct dmsg_dial_conf c = world_dial_b(&w);
	c.wall_ns = 1700000000123456789;
	c.test_e = e[0];
	start(&st, &w, &c);
	assert_int_equal(to_server(&st, &w.sa, false), DMSG_READY);
	uint8_t *gob = vectors_hex_new(vectors_get(objects, "stream_request_2024"), "gob", &len);
	assert_int_equal(st.relay.request.obj_len, len + SIGN_LEN);
	assert_memory_equal(st.relay.request.obj + SIGN_LEN, gob, len);
	free(gob);
	assert_int_equal(to_acceptor(&st, &w.sb, &w.bs), DMSG_READY);
	st.len = dmsg_accept_answer(&st.accept, &w.bs, e[1], &b_rec, st.buf, sizeof(st.buf));
	assert_int_equal(back(&st, &w.sb, &w.sa, &w.as), DMSG_READY);
	uint8_t *noise =
		vectors_hex_new(json_array_get(vectors_get(t, "messages"), 1), "message", &len);
	assert_memory_equal(st.dial.in.obj + st.dial.in.obj_len - len - 1, noise, len);
	free(noise);
	assert_int_equal(dmsg_dial_keys(&st.dial, &a_rec), 0);
	vectors_hex(t, "key_initiator_to_responder", key, 32);
	assert_memory_equal(a_rec.tx.key, key, 32);
	assert_memory_equal(b_rec.rx.key, key, 32);
	vectors_hex(t, "key_responder_to_initiator", key, 32);
	assert_memory_equal(b_rec.tx.key, key, 32);
	json_decref(crypto);
	json_decref(root);
}

static void a_client_reaches_itself_over_one_session(void **state)
{
	static struct stream st;
	struct noise_rec a_rec, b_rec;
	struct world w;

	world_make(&w);
	struct dmsg_dial_conf c = world_dial_b(&w);
	c.dst.pk = w.a;
	start(&st, &w, &c);
	assert_int_equal(to_server(&st, &w.sa, false), DMSG_READY);
	assert_int_equal(to_acceptor(&st, &w.sa, &w.as), DMSG_READY);
	st.len = dmsg_accept_answer(&st.accept, &w.as, NULL, &b_rec, st.buf, sizeof(st.buf));
	assert_int_equal(back(&st, &w.sa, &w.sa, &w.as), DMSG_READY);
	assert_int_equal(dmsg_dial_keys(&st.dial, &a_rec), 0);
	exchange(&a_rec, &b_rec, "myself");
}

static void a_server_tells_the_dialler_its_address(void **state)
{
	static const struct {
		uint8_t ip[16];
		size_t len, want_len;
	} cases[] = {
		{{203, 0, 113, 5}, 4, 4},
		{{0x20, 1, 0xd, 0xb8, [15] = 1}, 16, 16},
		// as Skywire's server says an IPv4 address
		{{[10] = 0xff, 0xff, 203, 0, 113, 5}, 16, 4},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint8_t *ip = cases[i].ip;
		static struct stream st;
		struct noise_rec rec;
		struct world w;
		size_t used;

		world_make(&w);
		struct dmsg_dial_conf c = {
			.dst = {w.s, 0}, .src_port = 49153, .wall_ns = 17, .ip_request = true};
		start(&st, &w, &c);
		assert_int_equal(to_server(&st, &w.sa, false), DMSG_READY);
		assert_int_equal(st.relay.req.dst.port, DMSG_PORT_IP_REQUEST);
		assert_int_equal(dmsg_relay_where(&st.relay, &w.sa), RELAY_TO_SELF);
		assert_int_equal(dmsg_relay_answer_ip(&st.relay, &w.sa, ip, 5, st.buf, 1), -EINVAL);
		st.len = dmsg_relay_answer_ip(
			&st.relay, &w.sa, ip, cases[i].len, st.buf, sizeof(st.buf));
		assert_true(st.len > 0);
		assert_int_equal(
			dmsg_dial_feed(&st.dial, &w.as, st.buf, (size_t)st.len, &used), DMSG_READY);
		assert_int_equal(st.dial.ip_len, cases[i].want_len);
		assert_memory_equal(
			st.dial.ip, ip + cases[i].len - cases[i].want_len, cases[i].want_len);
		assert_int_equal(dmsg_dial_keys(&st.dial, &rec), -EAGAIN);
	}
}

static void only_a_peer_server_carries_the_requests_of_others(void **state)
{
	static struct stream st;
	struct dmsg_session ts, st_side; // server T is a client of S
	struct key_sk t_sk = {{[31] = 77}};
	struct world w;

	world_make(&w);
	world_join(&ts, &t_sk, &st_side, &w.s_sk, NULL, NULL);
	for (unsigned is_peer = 0; is_peer < 2; is_peer++) {
		struct dmsg_dial_conf c = world_dial_b(&w);
		struct dmsg_relay at_t;
		size_t used;

		// A is on T here: w.sa stands for T's side of it
		start(&st, &w, &c);
		dmsg_relay_init(&at_t);
		assert_int_equal(
			dmsg_relay_feed(&at_t, &w.sa, false, st.buf, (size_t)st.len, &used),
			DMSG_READY);
		st.len = dmsg_relay_onward(&at_t, &ts, st.buf, sizeof(st.buf));
		assert_int_equal(
			to_server(&st, &st_side, is_peer), is_peer ? DMSG_READY : DMSG_FAILED);
		assert_int_equal(st.relay.err, is_peer ? DMSG_OK : DMSG_ERR_REQ_SRC_PK);
	}
}

static void the_next_peer_is_tried_with_the_same_object(void **state)
{
	static struct stream st;
	struct noise_rec rec;
	struct world w;
	size_t used;

	world_make(&w);
	struct dmsg_dial_conf c = world_dial_b(&w);
	start(&st, &w, &c);
	assert_int_equal(to_server(&st, &w.sa, false), DMSG_READY);
	// the first one answers nonsense
	st.len = dmsg_relay_onward(&st.relay, &w.sb, st.buf, sizeof(st.buf));
	assert_int_equal(
		dmsg_relay_feed_answer(&st.relay, &w.sb, (const uint8_t *)"\xff\xff", 2, &used),
		DMSG_FAILED);
	assert_int_equal(st.relay.err, DMSG_ERR_TOO_LONG);
	assert_int_equal(to_acceptor(&st, &w.sb, &w.bs), DMSG_READY);
	st.len = dmsg_accept_answer(&st.accept, &w.bs, NULL, &rec, st.buf, sizeof(st.buf));
	assert_int_equal(back(&st, &w.sb, &w.sa, &w.as), DMSG_READY);
}

static void the_ping_marker_is_seen_by_servers_and_acceptors(void **state)
{
	static const uint8_t marker[DMSG_PING_LEN];
	static struct stream st;
	struct world w;
	size_t used;

	world_make(&w);
	dmsg_relay_init(&st.relay);
	assert_int_equal(dmsg_relay_feed(&st.relay, &w.sa, false, marker, 1, &used), DMSG_MORE);
	assert_int_equal(dmsg_relay_feed(&st.relay, &w.sa, false, marker, 1, &used), DMSG_PING);
	dmsg_accept_init(&st.accept);
	assert_int_equal(dmsg_accept_feed(&st.accept, &w.bs, marker, 2, &used), DMSG_PING);
	// but it is no answer
	struct dmsg_dial_conf c = world_dial_b(&w);
	start(&st, &w, &c);
	assert_int_equal(dmsg_dial_feed(&st.dial, &w.as, marker, 2, &used), DMSG_FAILED);
	assert_int_equal(st.dial.err, DMSG_ERR_OBJECT_SHORT);
}

// An object that A signed, sent to S or B as it is.
static void send_request(struct stream *st, struct world *w, const struct dmsg_request *req)
{
	uint8_t obj[DMSG_OBJECT_MAX];
	ssize_t n = dmsg_request_make(req, &w->a_sk, obj, sizeof(obj));

	assert_true(n > 0);
	st->len = dmsg_session_seal(&w->as, obj, (size_t)n, st->buf, sizeof(st->buf));
	dmsg_relay_init(&st->relay);
}

static void what_would_crash_a_go_peer_is_not_relayed(void **state)
{
	static struct stream st;
	uint8_t noise[49] = {2, [32] = 5}; // X = 5 is not on the curve
	struct world w;

	world_make(&w);
	struct dmsg_request req = {.timestamp_ns = 1,
		.src = {w.a, 5},
		.dst = {w.b, 6},
		.noise = {noise, sizeof(noise)}};
	send_request(&st, &w, &req);
	assert_int_equal(to_server(&st, &w.sa, false), DMSG_FAILED);
	assert_int_equal(st.relay.err, DMSG_ERR_UNSAFE_NOISE);
	memcpy(noise, w.a.b, KEY_PK_LEN); // a point
	send_request(&st, &w, &req);
	assert_int_equal(to_server(&st, &w.sa, false), DMSG_READY);
	req.noise.len = 48;
	send_request(&st, &w, &req);
	assert_int_equal(to_server(&st, &w.sa, false), DMSG_FAILED);
	assert_int_equal(st.relay.err, DMSG_ERR_UNSAFE_NOISE);
}

// The same for answers: B sends one to A's request.
static enum dmsg_err answer_with(const struct key_sk *signer, bool right_hash, bool accepted,
	uint16_t code, const uint8_t *noise, size_t noise_len)
{
	static struct stream st;
	uint8_t obj[DMSG_OBJECT_MAX];
	struct world w;
	size_t used;
	ssize_t n;

	world_make(&w);
	struct dmsg_dial_conf c = world_dial_b(&w);
	start(&st, &w, &c);
	assert_int_equal(to_server(&st, &w.sa, false), DMSG_READY);
	st.len = dmsg_relay_onward(&st.relay, &w.sb, st.buf, sizeof(st.buf));
	struct dmsg_response resp = {
		.accepted = accepted, .err = code, .noise = {noise, noise_len}};
	if (right_hash)
		memcpy(resp.req_hash, st.dial.req_hash, DMSG_HASH_LEN);
	n = dmsg_response_make(&resp, signer != NULL ? signer : &w.b_sk, obj, sizeof(obj));
	st.len = dmsg_session_seal(&w.bs, obj, (size_t)n, st.buf, sizeof(st.buf));
	enum dmsg_step step =
		dmsg_relay_feed_answer(&st.relay, &w.sb, st.buf, (size_t)st.len, &used);

	assert_int_equal(step, st.relay.err == DMSG_OK ? DMSG_READY : DMSG_FAILED);
	return st.relay.err;
}

static void answers_are_checked_before_they_go_back(void **state)
{
	uint8_t noise[49] = {2, [32] = 5}, good[49] = {0};
	struct key_sk other = {{[31] = 9}};
	struct world w;

	world_keys(&w);
	memcpy(good, w.b.b, KEY_PK_LEN);
	assert_int_equal(answer_with(NULL, true, true, 0, good, 49), DMSG_OK);
	assert_int_equal(answer_with(NULL, false, true, 0, good, 49), DMSG_ERR_RESP_HASH);
	assert_int_equal(answer_with(&other, true, true, 0, good, 49), DMSG_ERR_RESP_SIGNATURE);
	assert_int_equal(answer_with(NULL, true, false, 306, good, 49), DMSG_ERR_NO_LISTENER);
	assert_int_equal(answer_with(NULL, true, false, 0, NULL, 0), DMSG_ERR_RESP_REFUSED);
	assert_int_equal(answer_with(NULL, true, true, 0, noise, 49), DMSG_ERR_UNSAFE_NOISE);
	assert_int_equal(answer_with(NULL, true, true, 0, NULL, 0), DMSG_ERR_UNSAFE_NOISE);
}

static void acceptors_take_only_what_is_for_them(void **state)
{
	static struct stream st;
	struct noise_rec rec;
	struct world w;
	uint8_t noise[49] = {0};

	world_make(&w);
	memcpy(noise, w.a.b, KEY_PK_LEN);
	struct dmsg_request req = {
		.timestamp_ns = 1, .src = {w.a, 5}, .dst = {w.a, 6}, .noise = {noise, 49}};
	send_request(&st, &w, &req);
	assert_int_equal(to_server(&st, &w.sa, false), DMSG_READY);
	dmsg_accept_init(&st.accept);
	assert_int_equal(to_acceptor(&st, &w.sb, &w.bs), DMSG_FAILED); // is to A, came to B
	assert_int_equal(st.accept.err, DMSG_ERR_REQ_DST_PK);
	req.dst.pk = w.b;
	send_request(&st, &w, &req);
	assert_int_equal(to_server(&st, &w.sa, false), DMSG_READY);
	dmsg_accept_init(&st.accept);
	assert_int_equal(to_acceptor(&st, &w.sb, &w.bs), DMSG_READY);
	// a point, but no message of A's
	assert_int_equal(dmsg_accept_answer(&st.accept, &w.bs, NULL, &rec, st.buf, sizeof(st.buf)),
		-EBADMSG);
	assert_false(noise_rec_is_open(&rec));
}

static void a_2026_dialler_is_answered_classically(void **state)
{
	json_t *crypto = vectors_load("skywire-crypto.json");
	const json_t *t = json_array_get(vectors_get(vectors_get(crypto, "dmsg"), "noise"), 1);
	static struct stream st;
	uint8_t e[32], key[32];
	struct noise_rec rec;
	struct world w;
	size_t len;
	uint8_t *msg =
		vectors_hex_new(json_array_get(vectors_get(t, "messages"), 0), "message", &len);

	world_make(&w);
	assert_int_equal(len, 1233);
	vectors_hex(t, "responder_ephemeral_sk", e, 32);
	struct dmsg_request req = {
		.timestamp_ns = 1, .src = {w.a, 5}, .dst = {w.b, 6}, .noise = {msg, len}};
	send_request(&st, &w, &req);
	assert_int_equal(to_server(&st, &w.sa, false), DMSG_READY);
	dmsg_accept_init(&st.accept);
	assert_int_equal(to_acceptor(&st, &w.sb, &w.bs), DMSG_READY);
	assert_true(dmsg_accept_answer(&st.accept, &w.bs, e, &rec, st.buf, sizeof(st.buf)) > 0);
	vectors_hex(t, "key_initiator_to_responder", key, 32);
	assert_memory_equal(rec.rx.key, key, 32);
	free(msg);
	json_decref(crypto);
}

static void dials_that_cannot_be_are_refused(void **state)
{
	static struct stream st;
	struct world w;

	world_make(&w);
	struct dmsg_dial_conf good = world_dial_b(&w), c = good;
	c.src_port = 0;
	assert_int_equal(dmsg_dial_start(&st.dial, &w.as, &c, st.buf, sizeof(st.buf)), -EINVAL);
	c = good, c.dst.port = 0;
	assert_int_equal(dmsg_dial_start(&st.dial, &w.as, &c, st.buf, sizeof(st.buf)), -EINVAL);
	c = good, memset(&c.dst.pk, 0, KEY_PK_LEN);
	assert_int_equal(dmsg_dial_start(&st.dial, &w.as, &c, st.buf, sizeof(st.buf)), -EINVAL);
	assert_int_equal(dmsg_dial_start(&st.dial, &w.as, &good, st.buf, 100), -ENOSPC);
	dmsg_session_fini(&w.as);
	assert_int_equal(dmsg_dial_start(&st.dial, &w.as, &good, st.buf, sizeof(st.buf)), -EPIPE);
}

// Every bit of the request and of the answer as they lie on the mux streams: which anybody on the
// path can touch.
static void every_flipped_bit_on_a_mux_stream_fails_that_stream_only(void **state)
{
	static struct stream st;
	struct noise_rec rec;
	struct world w;
	size_t used;

	world_make(&w);
	struct dmsg_dial_conf c = world_dial_b(&w);
	start(&st, &w, &c);
	for (size_t bit = 0; bit < 8 * (size_t)st.len; bit++) {
		st.buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
		dmsg_relay_init(&st.relay);
		assert_int_not_equal(
			dmsg_relay_feed(&st.relay, &w.sa, false, st.buf, (size_t)st.len, &used),
			DMSG_READY);
		st.buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	dmsg_relay_init(&st.relay);
	assert_int_equal(to_server(&st, &w.sa, false), DMSG_READY);
	assert_int_equal(to_acceptor(&st, &w.sb, &w.bs), DMSG_READY);
	st.len = dmsg_accept_answer(&st.accept, &w.bs, NULL, &rec, st.buf, sizeof(st.buf));
	for (size_t bit = 0; bit < 8 * (size_t)st.len; bit++) {
		static struct dmsg_relay r;

		r = st.relay;
		st.buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(
			dmsg_relay_feed_answer(&r, &w.sb, st.buf, (size_t)st.len, &used),
			DMSG_READY);
		st.buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(back(&st, &w.sb, &w.sa, &w.as), DMSG_READY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_opens_through_the_server),
		cmocka_unit_test(objects_pass_the_server_bit_for_bit),
		cmocka_unit_test(follows_the_shared_stream),
		cmocka_unit_test(a_client_reaches_itself_over_one_session),
		cmocka_unit_test(a_server_tells_the_dialler_its_address),
		cmocka_unit_test(only_a_peer_server_carries_the_requests_of_others),
		cmocka_unit_test(the_next_peer_is_tried_with_the_same_object),
		cmocka_unit_test(the_ping_marker_is_seen_by_servers_and_acceptors),
		cmocka_unit_test(what_would_crash_a_go_peer_is_not_relayed),
		cmocka_unit_test(answers_are_checked_before_they_go_back),
		cmocka_unit_test(acceptors_take_only_what_is_for_them),
		cmocka_unit_test(a_2026_dialler_is_answered_classically),
		cmocka_unit_test(dials_that_cannot_be_are_refused),
		cmocka_unit_test(every_flipped_bit_on_a_mux_stream_fails_that_stream_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
