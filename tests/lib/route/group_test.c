// Route groups: the shared vectors in both roles, peers as of 2024 and 2026, what a handshake has
// to survive, closing in every state, and every touched bit.

#include "lib/base/err.h"
#include "tests/lib/route/group_world.h"

#include <errno.h>

static void check(const json_t *obj, const char *key, const uint8_t *p, size_t len)
{
	size_t want_len;
	uint8_t *want = vectors_hex_new(obj, key, &want_len);

	assert_int_equal(len, want_len);
	assert_memory_equal(p, want, len);
	free(want);
}

static void give_vector(struct end *e, const json_t *obj, const char *key)
{
	size_t len;
	uint8_t *p = vectors_hex_new(obj, key, &len);

	give(e, p, len);
	free(p);
}

static void speaks_as_the_vectors_say(void **state)
{
	json_t *crypto = vectors_load("skywire-crypto.json");
	const json_t *kk = vectors_get(vectors_get(crypto, "routing"), "noise_kk");
	uint8_t p[GROUP_PACKET_MAX];
	size_t n;

	n = pull_type(&ini, ROUTE_HANDSHAKE, p);
	assert_memory_equal(p, "\x03\0\0\0\1\0\1\1", n);
	give(&res, p, n);
	n = pull_type(&res, ROUTE_HANDSHAKE, p);
	assert_memory_equal(p, "\x03\0\0\0\2\0\1\1", n);
	give(&ini, p, n);
	n = pull_type(&ini, ROUTE_DATA, p);
	check(kk, "route_group_data_packet_carrying_msg1_id1", p, n);
	give(&res, p, n);
	n = pull_type(&res, ROUTE_DATA, p);
	check(kk, "route_group_data_packet_carrying_msg2_id2", p, n);
	assert_int_equal(group_state(&res.g), GROUP_OPEN);
	give(&ini, p, n);
	assert_int_equal(group_state(&ini.g), GROUP_OPEN);
	assert_int_equal(group_write(&ini.g, now_ns, "hello", 5, p, sizeof(p), &n), 5);
	check(kk, "route_group_data_packet_carrying_hello_id1", p, n);
	give(&res, p, n);
	assert_int_equal(res.n_got, 5);
	assert_memory_equal(res.got, "hello", 5);
	assert_int_equal(group_write(&res.g, now_ns, "world", 5, p, sizeof(p), &n), 5);
	check(kk, "resp_to_init_frame_n1_world", p + ROUTE_HDR_LEN, n - ROUTE_HDR_LEN);
	json_decref(crypto);
}

static void small_packets_are_as_the_vectors_say(void **state)
{
	json_t *root = vectors_load("skywire-routes.json");
	const json_t *v = vectors_get(root, "packets");
	uint8_t p[GROUP_PACKET_MAX];
	struct group_conf c = conf_of(&ini, &res);
	size_t n;

	c.forward_id = 7;
	c.wall_ms = 1700000000000 - GROUP_PING_MS;
	assert_int_equal(group_init(&ini.g, &c, now_ns), 0);
	n = pull_type(&ini, ROUTE_HANDSHAKE, p);
	check(v, "handshake_id7_encrypt", p, n);
	give(&res, p, n);
	make_open();
	ini.g.stats.rx_bytes = 375000; // in 3 s
	later(GROUP_PING_MS);
	n = pull_type(&ini, ROUTE_PING, p);
	check(v, "ping_id7_ts1700000000000_tp125000", p, n);
	give(&res, p, n);
	assert_int_equal(group_stats_of(&res.g)->peer_Bps, 125000);
	give_vector(&ini, v, "ping_id7_ts1700000000000_tp125000");
	n = pull_type(&ini, ROUTE_PONG, p);
	check(v, "pong_id7_ts1700000000000", p, n);
	group_close(&ini.g, now_ns, "no service on port 3");
	n = pull_type(&ini, ROUTE_ERROR, p);
	check(v, "error_id7", p, n);
	n = pull_type(&ini, ROUTE_CLOSE, p);
	check(v, "close_id7_code0", p, n);
	json_decref(root);
}

// A peer of 2026 offers much; what we do not offer it does not use.
static void takes_the_handshakes_of_2026(void **state)
{
	static const char *const form[] = {
		"v2026_handshake_id7_encrypt_caps0", "v2026_handshake_id7_encrypt_caps_0x01d3"};
	json_t *root = vectors_load("skywire-routes.json");
	uint8_t p[GROUP_PACKET_MAX];

	for (size_t i = 0; i < 2; i++) {
		world_setup(state);
		give_vector(&res, vectors_get(root, "packets"), form[i]);
		assert_int_equal(pull_type(&res, ROUTE_HANDSHAKE, p), ROUTE_HDR_LEN + 1);
		give_vector(&ini, vectors_get(root, "packets"), form[i]);
		make_open();
		write_all(&ini, &res, "hi", 2);
		assert_int_equal(res.n_got, 2);
	}
	json_decref(root);
}

static void a_quantum_offer_is_answered_classically(void **state)
{
	json_t *root = vectors_load("skywire-crypto.json");
	const json_t *v = vectors_get(vectors_get(root, "routing"), "noise_kk_pq_offer_ignored");
	uint8_t frame[2 + 1233], p[GROUP_PACKET_MAX];
	size_t n;

	be16_put(frame, 1233);
	vectors_hex(v, "msg1", frame + 2, 1233);
	give_payload(&res, ROUTE_HANDSHAKE, "\1\xd3\1", 3);
	pull_type(&res, ROUTE_HANDSHAKE, p);
	give_payload(&res, ROUTE_DATA, frame, sizeof(frame));
	n = pull_type(&res, ROUTE_DATA, p);
	assert_int_equal(n, ROUTE_HDR_LEN + 2 + 49);
	check(v, "msg2", p + ROUTE_HDR_LEN + 2, 49);
	assert_int_equal(group_write(&res.g, now_ns, "world", 5, p, sizeof(p), &n), 5);
	check(v, "resp_to_init_frame_n1_world", p + ROUTE_HDR_LEN, n - ROUTE_HDR_LEN);
	json_decref(root);
}

static void only_handshakes_and_late_keys_leave_before_the_peers(void **state)
{
	uint8_t p[GROUP_PACKET_MAX];
	unsigned n = 0, keys = 0;
	size_t len;

	pulls_nothing(&res);
	for (uint64_t t = 0; t < GROUP_DIAL_MS; t += 50, later(50)) {
		assert_int_equal(group_write(&ini.g, now_ns, "x", 1, p, sizeof(p), &len), -EAGAIN);
		while (pull(&ini, p) > 0) {
			if (route_hdr_type(p) == ROUTE_HANDSHAKE) {
				n++;
				continue;
			}
			assert_int_equal(route_hdr_type(p), ROUTE_DATA);
			assert_int_equal(t, GROUP_UNHEARD_MS);
			keys++;
		}
		assert_true(group_next_ns(&ini.g) > now_ns);
	}
	assert_int_equal(n, GROUP_DIAL_MS / GROUP_REPEAT_MS);
	assert_int_equal(keys, 1);
	pull_type(&ini, ROUTE_ERROR, p);
	pull_type(&ini, ROUTE_CLOSE, p);
	assert_int_equal(group_err(&ini.g), -ETIMEDOUT);
	assert_non_null(strstr(group_why(&ini.g), "no handshake"));
	run_out(&ini);
}

// What ini sends until the time of its noise message to a peer that is not heard, which is the
// last.
static size_t keys_unheard(uint8_t p[GROUP_PACKET_MAX], bool arrives)
{
	size_t n;

	assert_true(group_next_ns(&ini.g) <= now_ns);
	for (uint64_t t = 0; t <= GROUP_UNHEARD_MS; t += GROUP_REPEAT_MS) {
		later(t > 0 ? GROUP_REPEAT_MS : 0);
		n = pull_type(&ini, ROUTE_HANDSHAKE, p);
		if (arrives)
			give(&res, p, n);
	}
	n = pull_type(&ini, ROUTE_DATA, p);
	if (arrives)
		give(&res, p, n);
	return n;
}

// The way back is blocked: the far end has its keys in time, and we have them when it is free.
static void a_peer_that_is_not_heard_gets_its_keys(void **state)
{
	uint8_t shake[GROUP_PACKET_MAX], keys[GROUP_PACKET_MAX], p[GROUP_PACKET_MAX];
	size_t n_shake, n_keys;

	keys_unheard(p, true);
	n_shake = pull_type(&res, ROUTE_HANDSHAKE, shake);
	n_keys = pull_type(&res, ROUTE_DATA, keys);
	assert_int_equal(group_state(&res.g), GROUP_OPEN);
	give(&ini, shake, n_shake);
	give(&ini, keys, n_keys);
	assert_int_equal(group_state(&ini.g), GROUP_OPEN);
	later(GROUP_KEYS_AGAIN_MS);
	pulls_nothing(&ini);
	write_all(&ini, &res, "abc", 3);
	assert_int_equal(res.n_got, 3);
}

// It had no rules yet when our noise message came: that goes once more.
static void a_peer_that_comes_late_gets_its_keys(void **state)
{
	uint8_t first[GROUP_PACKET_MAX], p[GROUP_PACKET_MAX];
	size_t n_first = keys_unheard(first, false), n;

	later(GROUP_REPEAT_MS);
	n = pull_type(&ini, ROUTE_HANDSHAKE, p);
	give(&res, p, n);
	n = pull_type(&res, ROUTE_HANDSHAKE, p);
	give(&ini, p, n);
	pulls_nothing(&ini);
	assert_true(group_next_ns(&ini.g) == now_ns + GROUP_KEYS_AGAIN_MS * CLOCK_NS_PER_MS);
	later(GROUP_KEYS_AGAIN_MS);
	n = pull_type(&ini, ROUTE_DATA, p);
	assert_int_equal(n, n_first);
	assert_memory_equal(p, first, n);
	give(&res, p, n);
	n = pull_type(&res, ROUTE_DATA, p);
	give(&ini, p, n);
	pulls_nothing(&ini);
	write_all(&ini, &res, "abc", 3);
	assert_int_equal(res.n_got, 3);
}

// It would read our noise message as the stream's first bytes.
static void a_peer_that_is_heard_late_may_not_go_to_plaintext(void **state)
{
	uint8_t p[GROUP_PACKET_MAX];
	struct group_conf c = conf_of(&ini, &res);

	c.allow_plain = true;
	assert_int_equal(group_init(&ini.g, &c, now_ns), 0);
	keys_unheard(p, false);
	give_payload(&ini, ROUTE_HANDSHAKE, "\0", 1);
	assert_int_equal(group_err(&ini.g), -EPROTONOSUPPORT);
}

static void a_responder_waits_longer_for_the_first_handshake(void **state)
{
	uint8_t p[GROUP_PACKET_MAX];
	size_t n = pull_type(&ini, ROUTE_HANDSHAKE, p);

	later(GROUP_ACCEPT_MS - 1);
	pulls_nothing(&res);
	give(&res, p, n);
	pull_type(&res, ROUTE_HANDSHAKE, p);
	later(GROUP_KEYS_MS);
	pull_type(&res, ROUTE_ERROR, p);
	assert_int_equal(group_err(&res.g), -ETIMEDOUT);
	assert_non_null(strstr(group_why(&res.g), "noise"));
}

static void handshakes_that_come_again_do_no_harm(void **state)
{
	uint8_t shake[GROUP_PACKET_MAX], p[GROUP_PACKET_MAX];
	size_t n = pull_type(&ini, ROUTE_HANDSHAKE, shake);

	give(&res, shake, n);
	give(&res, shake, n); // before the answer left: one answer does
	pull_type(&res, ROUTE_HANDSHAKE, p);
	pulls_nothing(&res);
	give(&res, shake, n); // the answer was lost, or is late
	pull_type(&res, ROUTE_HANDSHAKE, p);
	give(&ini, p, n);
	give(&ini, p, n);
	make_open();
	give(&ini, p, n);
	pulls_nothing(&ini);
	give(&res, shake, n);
	pull_type(&res, ROUTE_HANDSHAKE, p);
	pulls_nothing(&res);
	write_all(&ini, &res, "abc", 3);
	assert_int_equal(res.n_got, 3);
	assert_int_equal(group_stats_of(&res.g)->rx_again, 3);
}

static void a_handshake_may_come_before_ours_left(void **state)
{
	uint8_t p[GROUP_PACKET_MAX];

	give_payload(&ini, ROUTE_HANDSHAKE, "\1", 1);
	pull_type(&ini, ROUTE_HANDSHAKE, p);
	give(&res, p, ROUTE_HDR_LEN + 1);
	make_open();
}

static void plaintext_is_refused_unless_it_may(void **state)
{
	struct end *ends[] = {&ini, &res};
	uint8_t p[GROUP_PACKET_MAX];

	for (unsigned i = 0; i < 8; i++) {
		struct end *e = ends[i & 1];
		struct group_conf c = conf_of(e, ends[!(i & 1)]);
		bool data = (i & 2) != 0;

		c.allow_plain = (i & 4) != 0;
		e->n_got = 0;
		assert_int_equal(group_init(&e->g, &c, now_ns), 0);
		pull(e, p);
		give_payload(e, data ? ROUTE_DATA : ROUTE_HANDSHAKE, "\0", 1);
		if (!c.allow_plain) {
			assert_int_equal(group_err(&e->g), -EPROTONOSUPPORT);
			pull_type(e, ROUTE_ERROR, p);
			pull_type(e, ROUTE_CLOSE, p);
			assert_int_equal(e->n_got, 0);
			continue;
		}
		assert_int_equal(group_state(&e->g), GROUP_OPEN);
		give_payload(e, ROUTE_DATA, "clear", 5);
		assert_memory_equal(e->got + e->n_got - 5, "clear", 5);
	}
}

static void frames_may_be_split_and_packed(void **state)
{
	static const size_t cuts[] = {1, 2, 3, 7, 26, 27, 1000, 4096, 9000};
	uint8_t stream[20000], text[8000], p[GROUP_PACKET_MAX];
	size_t n_stream = 0, n, done;

	make_open();
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7);
	for (size_t c = 0; c < sizeof(cuts) / sizeof(cuts[0]); c++) {
		n_stream = res.n_got = done = 0;
		for (size_t part = 1; done < sizeof(text); part = part * 3 + 1) {
			size_t len = part < sizeof(text) - done ? part : sizeof(text) - done;
			ssize_t used =
				group_write(&ini.g, now_ns, text + done, len, p, sizeof(p), &n);

			assert_true(used > 0);
			memcpy(stream + n_stream, p + ROUTE_HDR_LEN, n - ROUTE_HDR_LEN);
			n_stream += n - ROUTE_HDR_LEN;
			done += (size_t)used;
		}
		for (size_t at = 0; at < n_stream; at += cuts[c])
			give_payload(&res, ROUTE_DATA, stream + at,
				n_stream - at < cuts[c] ? n_stream - at : cuts[c]);
		assert_int_equal(res.n_got, sizeof(text));
		assert_memory_equal(res.got, text, sizeof(text));
	}
}

// Noise message 2 and the first records in one packet, cut anywhere.
static void records_may_follow_the_noise_message(void **state)
{
	uint8_t p[GROUP_PACKET_MAX], all[GROUP_PACKET_MAX];
	size_t n, len;

	for (size_t cut = 1; cut < 51 + 31; cut++) {
		world_setup(state);
		give_payload(&res, ROUTE_HANDSHAKE, "\1", 1);
		pull_type(&res, ROUTE_HANDSHAKE, p);
		pull_type(&ini, ROUTE_HANDSHAKE, p);
		give_payload(&ini, ROUTE_HANDSHAKE, "\1", 1);
		n = pull_type(&ini, ROUTE_DATA, p);
		give(&res, p, n);
		n = pull_type(&res, ROUTE_DATA, p) - ROUTE_HDR_LEN;
		memcpy(all, p + ROUTE_HDR_LEN, n);
		assert_int_equal(group_write(&res.g, now_ns, "first", 5, p, sizeof(p), &len), 5);
		memcpy(all + n, p + ROUTE_HDR_LEN, len - ROUTE_HDR_LEN);
		n += len - ROUTE_HDR_LEN;
		give_payload(&ini, ROUTE_DATA, all, cut);
		give_payload(&ini, ROUTE_DATA, all + cut, n - cut);
		assert_int_equal(group_state(&ini.g), GROUP_OPEN);
		assert_int_equal(ini.n_got, 5);
	}
}

static void records_are_cut_to_the_path(void **state)
{
	static const uint16_t max[] = {GROUP_PAYLOAD_MIN, 1300, GROUP_PAYLOAD_MAX};
	static uint8_t text[100000];
	uint8_t p[GROUP_PACKET_MAX];
	size_t n;

	for (size_t i = 0; i < 3; i++) {
		struct group_conf c = conf_of(&ini, &res);

		world_setup(state);
		c.payload_max = max[i];
		assert_int_equal(group_init(&ini.g, &c, now_ns), 0);
		make_open();
		assert_int_equal(group_write(&ini.g, now_ns, text, sizeof(text), p, sizeof(p), &n),
			max[i] - NOISE_REC_OVERHEAD);
		assert_int_equal(n, ROUTE_HDR_LEN + max[i]);
		give(&res, p, n);
		write_all(&ini, &res, text, sizeof(text));
		assert_int_equal(res.n_got, max[i] - NOISE_REC_OVERHEAD + sizeof(text));
		assert_int_equal(group_stats_of(&ini.g)->tx_bytes, res.n_got);
		assert_int_equal(group_stats_of(&res.g)->rx_bytes, res.n_got);
	}
	struct group_conf c = conf_of(&ini, &res);
	c.payload_max = GROUP_PAYLOAD_MIN - 1;
	assert_int_equal(group_init(&ini.g, &c, now_ns), -EINVAL);
	c.payload_max = GROUP_PAYLOAD_MAX + 1;
	assert_int_equal(group_init(&ini.g, &c, now_ns), -EINVAL);
}

static void records_follow_the_path(void **state)
{
	static const uint16_t max[] = {1300, GROUP_PAYLOAD_MIN, 0, 2000};
	static const uint16_t wrong[] = {1, GROUP_PAYLOAD_MIN - 1, GROUP_PAYLOAD_MAX + 1};
	static uint8_t text[10000];
	uint8_t p[GROUP_PACKET_MAX];
	size_t n;

	make_open();
	for (size_t i = 0; i < ARRAY_LEN(max); i++) {
		assert_int_equal(group_set_payload(&ini.g, max[i]), 0);
		assert_true(group_write(&ini.g, now_ns, text, sizeof(text), p, sizeof(p), &n) > 0);
		assert_int_equal(n, ROUTE_HDR_LEN + (max[i] != 0 ? max[i] : GROUP_PAYLOAD_MAX));
		give(&res, p, n);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(group_set_payload(&ini.g, wrong[i]), -EINVAL);
	assert_true(group_write(&ini.g, now_ns, text, sizeof(text), p, sizeof(p), &n) > 0);
	assert_int_equal(n, ROUTE_HDR_LEN + max[3]);
	give(&res, p, n);
	assert_int_equal(group_stats_of(&res.g)->rx_bytes, group_stats_of(&ini.g)->tx_bytes);
}

static void nothing_is_written_for_nothing(void **state)
{
	uint8_t p[GROUP_PACKET_MAX];
	size_t n = 1;

	make_open();
	assert_int_equal(group_write(&ini.g, now_ns, p, 0, p, sizeof(p), &n), 0);
	assert_int_equal(n, 0);
	give_payload(&ini, ROUTE_DATA, NULL, 0);
	assert_int_equal(group_state(&ini.g), GROUP_OPEN);
	assert_false(group_is_closed(&ini.g));
}

// ---- closing ----

static void a_cancelled_handshake_is_finished_first(void **state)
{
	struct end *ends[] = {&ini, &res};
	uint8_t p[GROUP_PACKET_MAX];
	size_t n;

	for (int i = 0; i < 2; i++) {
		struct end *e = ends[i], *o = ends[!i];

		world_setup(state);
		n = pull_type(&ini, ROUTE_HANDSHAKE, p);
		give(&res, p, n);
		n = pull_type(&res, ROUTE_HANDSHAKE, p);
		group_close(&e->g, now_ns, NULL);
		pulls_nothing(e);
		give(&ini, p, n);
		n = pull_type(&ini, ROUTE_DATA, p);
		give(&res, p, n);
		n = pull_type(&res, ROUTE_DATA, p);
		assert_true(o == &ini || group_state(&o->g) == GROUP_OPEN);
		give(&ini, p, n);
		assert_true(o == &res || group_state(&o->g) == GROUP_OPEN);
		n = pull_type(e, ROUTE_CLOSE, p);
		give(o, p, n);
		assert_int_equal(group_err(&o->g), 0);
		n = pull_type(o, ROUTE_CLOSE, p);
		assert_int_equal(group_state(&o->g), GROUP_OVER);
		give(e, p, n);
		assert_int_equal(group_state(&e->g), GROUP_OVER);
	}
}

static void a_cancelled_handshake_waits_no_longer_than_any(void **state)
{
	uint8_t p[GROUP_PACKET_MAX];

	pull_type(&ini, ROUTE_HANDSHAKE, p);
	group_close(&ini.g, now_ns, NULL);
	later(GROUP_DIAL_MS - 1);
	pull_type(&ini, ROUTE_HANDSHAKE, p); // the other end may have gone to where it needs it
	later(1);
	give_payload(&ini, ROUTE_HANDSHAKE, "\1", 1);
	pull_type(&ini, ROUTE_DATA, p);
	later(GROUP_KEYS_MS);
	pull_type(&ini, ROUTE_ERROR, p);
	pull_type(&ini, ROUTE_CLOSE, p);
}

static void no_handshake_is_begun_for_who_gave_up(void **state)
{
	uint8_t p[GROUP_PACKET_MAX];

	group_close(&ini.g, now_ns, NULL);
	pull_type(&ini, ROUTE_CLOSE, p);
	give_payload(&ini, ROUTE_HANDSHAKE, "\1", 1);
	pulls_nothing(&ini);
	group_close(&res.g, now_ns, NULL);
	pull_type(&res, ROUTE_CLOSE, p);
	give_payload(&res, ROUTE_HANDSHAKE, "\1", 1);
	pulls_nothing(&res);
}

static void a_close_is_answered_and_its_code_with_it(void **state)
{
	uint8_t p[GROUP_PACKET_MAX];
	size_t n;

	make_open();
	write_all(&ini, &res, "last", 4);
	give_payload(&res, ROUTE_CLOSE, "\1", 1);
	assert_true(group_is_closed(&res.g));
	assert_int_equal(group_err(&res.g), 0);
	assert_int_equal(group_write(&res.g, now_ns, "x", 1, p, sizeof(p), &n), -EPIPE);
	n = pull_type(&res, ROUTE_CLOSE, p);
	assert_int_equal(p[ROUTE_HDR_LEN], 1);
	assert_int_equal(group_state(&res.g), GROUP_OVER);
	assert_int_equal(res.n_got, 4);
	pulls_nothing(&res);
}

static void closes_that_cross_end_both(void **state)
{
	uint8_t a[GROUP_PACKET_MAX], b[GROUP_PACKET_MAX];
	size_t n;

	make_open();
	group_close(&ini.g, now_ns, "");
	group_close(&res.g, now_ns, NULL);
	n = pull_type(&ini, ROUTE_CLOSE, a);
	give(&res, a, n); // whose own has not left yet
	pull_type(&res, ROUTE_CLOSE, b);
	assert_int_equal(group_state(&res.g), GROUP_OVER);
	give(&ini, b, n);
	assert_int_equal(group_state(&ini.g), GROUP_OVER);
}

static void an_unanswered_close_is_waited_for_two_seconds(void **state)
{
	uint8_t p[GROUP_PACKET_MAX];

	make_open();
	group_close(&ini.g, now_ns, NULL);
	group_close(&ini.g, now_ns, "again");
	pull_type(&ini, ROUTE_CLOSE, p);
	pulls_nothing(&ini);
	later(GROUP_CLOSE_MS - 1);
	pulls_nothing(&ini);
	assert_int_equal(group_state(&ini.g), GROUP_CLOSING);
	assert_true(group_next_ns(&ini.g) > now_ns);
	later(1);
	pulls_nothing(&ini);
	assert_int_equal(group_state(&ini.g), GROUP_OVER);
}

static void what_the_peer_says_is_told_and_harmless(void **state)
{
	static char longer[GROUP_ERROR_MAX + 1];

	memset(longer, 'x', sizeof(longer));
	make_open();
	give_payload(&ini, ROUTE_ERROR, longer, sizeof(longer));
	give_payload(&ini, ROUTE_ERROR, NULL, 0);
	assert_int_equal(group_stats_of(&ini.g)->rx_bad, 2);
	give_payload(&ini, ROUTE_ERROR, longer, sizeof(longer) - 1);
	assert_int_equal(strlen(group_why(&ini.g)), GROUP_TEXT_LEN - 1);
	give_payload(&ini, ROUTE_ERROR, "gone\n\x1b[31m\xff", 11);
	assert_string_equal(group_why(&ini.g), "the far end says: gone??[31m?");
	assert_int_equal(group_err(&ini.g), 0);
	give_payload(&ini, ROUTE_CLOSE, "\0", 1);
	assert_int_equal(group_err(&ini.g), -ECONNRESET);

	give_payload(&res, ROUTE_CLOSE, "\0", 1);
	assert_int_equal(group_err(&res.g), 0);
	assert_string_equal(group_why(&res.g), "");
}

static void a_close_before_it_was_open_refuses(void **state)
{
	uint8_t p[GROUP_PACKET_MAX];

	pull_type(&ini, ROUTE_HANDSHAKE, p);
	give_payload(&ini, ROUTE_ERROR, "no listener on port 3, skychat offline", 38);
	give_payload(&ini, ROUTE_CLOSE, "\0", 1);
	assert_int_equal(group_err(&ini.g), -ECONNREFUSED);
	assert_string_equal(
		group_why(&ini.g), "the far end says: no listener on port 3, skychat offline");
	pull_type(&ini, ROUTE_CLOSE, p);
	pulls_nothing(&ini);
	give_payload(&res, ROUTE_CLOSE, "\0", 1);
	assert_int_equal(group_err(&res.g), -ECONNREFUSED);
}

static void its_owner_may_fail_it(void **state)
{
	uint8_t p[GROUP_PACKET_MAX];
	size_t n;

	make_open();
	group_fail(&ini.g, now_ns, -ENETDOWN, "a transport of the route went down");
	group_fail(&ini.g, now_ns, -EIO, "again");
	n = pull_type(&ini, ROUTE_ERROR, p);
	assert_memory_equal(
		p + ROUTE_HDR_LEN, "a transport of the route went down", n - ROUTE_HDR_LEN);
	give(&res, p, n);
	n = pull_type(&ini, ROUTE_CLOSE, p);
	give(&res, p, n);
	assert_int_equal(group_err(&ini.g), -ENETDOWN);
	assert_int_equal(group_err(&res.g), -ECONNRESET);
}

// ---- idle ----

static void latency_is_of_the_ping_that_was_asked(void **state)
{
	uint8_t ping[GROUP_PACKET_MAX], pong[GROUP_PACKET_MAX], p[GROUP_PACKET_MAX];
	size_t n;

	make_open();
	later(GROUP_PING_MS);
	n = pull_type(&ini, ROUTE_PING, ping);
	pulls_nothing(&ini);
	later(7);
	give(&res, ping, n);
	give(&res, ping, n); // one answer does
	n = pull_type(&res, ROUTE_PONG, pong);
	pull_type(&res, ROUTE_PING, p);
	pulls_nothing(&res);
	later(5);
	give(&ini, pong, n);
	assert_int_equal(group_stats_of(&ini.g)->rtt_us, 12000);
	later(100);
	give(&ini, pong, n); // nobody asked
	pong[ROUTE_HDR_LEN] ^= 1;
	give(&ini, pong, n);
	assert_int_equal(group_stats_of(&ini.g)->rtt_us, 12000);
	assert_int_equal(group_stats_of(&ini.g)->rx_bad, 2);
}

static void keep_alives_go_when_nothing_else_did(void **state)
{
	struct group_conf c = conf_of(&ini, &res);
	uint8_t p[GROUP_PACKET_MAX];
	size_t n;

	c.keep_alive_ms = 6000; // a third of it is less than a ping's time
	assert_int_equal(group_init(&ini.g, &c, now_ns), 0);
	make_open();
	assert_true(group_next_ns(&ini.g) == now_ns + 2 * CLOCK_NS_PER_S);
	later(1999);
	pulls_nothing(&ini);
	later(1);
	assert_int_equal(pull_type(&ini, ROUTE_KEEP_ALIVE, p), ROUTE_HDR_LEN);
	give(&res, p, ROUTE_HDR_LEN);
	pulls_nothing(&ini);
	later(500);
	assert_int_equal(group_write(&ini.g, now_ns, "x", 1, p, sizeof(p), &n), 1);
	later(500);
	pull_type(&ini, ROUTE_PING, p);
	later(1999);
	pulls_nothing(&ini);
	later(1);
	pull_type(&ini, ROUTE_KEEP_ALIVE, p);
	assert_int_equal(group_stats_of(&res.g)->rx_bad, 0);
}

static void short_and_strange_packets_are_counted(void **state)
{
	static const struct {
		uint8_t type;
		size_t len;
	} bad[] = {{ROUTE_CLOSE, 0}, {ROUTE_HANDSHAKE, 0}, {ROUTE_PING, 15}, {ROUTE_PONG, 15},
		{ROUTE_SACK, 5}, {ROUTE_DATAGRAM, 40}, {ROUTE_REPAIR, 9}, {ROUTE_LEG_STATE, 1},
		{ROUTE_DIRECTION, 0}, {ROUTE_LEG_REHOME, 13}, {0xff, 3}};
	uint8_t zeros[64] = {0};

	make_open();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		give_payload(&ini, bad[i].type, zeros, bad[i].len);
		assert_int_equal(group_stats_of(&ini.g)->rx_bad, i + 1);
	}
	group_take(&ini.g, now_ns, zeros, 6); // no header
	assert_int_equal(group_stats_of(&ini.g)->rx_bad, sizeof(bad) / sizeof(bad[0]) + 1);
	pulls_nothing(&ini);
	assert_int_equal(group_state(&ini.g), GROUP_OPEN);
}

// ---- hostile ----

// The packets of a handshake and of one record, in order; packet `which` has one bit turned. No
// end may take it for good, nor hang.
static void run_flipped(unsigned which, size_t bit, size_t *bits)
{
	uint8_t p[GROUP_PACKET_MAX];
	struct end *from = &ini, *to = &res, *swap;
	size_t n;

	for (unsigned i = 0; i < 5; i++) {
		n = pull(from, p);
		if (i == 4 && n == 0)
			group_write(&from->g, now_ns, "hello", 5, p, sizeof(p), &n);
		if (n == 0)
			break;
		if (i == which) {
			*bits = n * 8;
			p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		give(to, p, n);
		swap = from, from = to, to = swap;
	}
	assert_int_equal(ini.n_got, 0);
	if (which < 2 && res.n_got > 0) // 0x81 seals as 1 does
		assert_true(bit / 8 == ROUTE_HDR_LEN || (bit / 8 > 0 && bit / 8 < 5));
	else if (res.n_got > 0) // the id is the data plane's business
		assert_true(bit / 8 > 0 && bit / 8 < 5);
	if (res.n_got > 0)
		assert_memory_equal(res.got, "hello", 5);
	if (group_state(&ini.g) != GROUP_OVER)
		group_close(&ini.g, now_ns, NULL);
	if (group_state(&res.g) != GROUP_OVER)
		group_close(&res.g, now_ns, NULL);
	run_out(&ini);
	run_out(&res);
}

static void every_touched_bit_fails_cleanly(void **state)
{
	for (unsigned which = 0; which < 5; which++) {
		size_t bits = 1;

		for (size_t bit = 0; bit < bits; bit++) {
			now_ns = 5 * CLOCK_NS_PER_S;
			end_init(&ini, &res);
			end_init(&res, &ini);
			run_flipped(which, bit, &bits);
		}
		assert_true(bits >= 64);
	}
}

static void nobody_else_can_answer(void **state)
{
	struct end *ends[] = {&ini, &res};

	for (int i = 0; i < 2; i++) {
		struct group_conf c;

		world_setup(state);
		c = conf_of(ends[i], ends[!i]);
		c.s = ends[!i]->sk.b;
		c.s_pk = NULL;
		assert_int_equal(group_init(&ends[i]->g, &c, now_ns), 0);
		pass();
		assert_int_equal(group_err(&res.g), -EBADMSG);
		assert_int_equal(group_err(&ini.g), -ECONNREFUSED);
		assert_int_equal(group_state(&ini.g), GROUP_OVER);
		assert_int_equal(group_state(&res.g), GROUP_OVER);
	}
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(speaks_as_the_vectors_say),
		TEST(small_packets_are_as_the_vectors_say),
		TEST(takes_the_handshakes_of_2026),
		TEST(a_quantum_offer_is_answered_classically),
		TEST(only_handshakes_and_late_keys_leave_before_the_peers),
		TEST(a_peer_that_is_not_heard_gets_its_keys),
		TEST(a_peer_that_comes_late_gets_its_keys),
		TEST(a_peer_that_is_heard_late_may_not_go_to_plaintext),
		TEST(a_responder_waits_longer_for_the_first_handshake),
		TEST(handshakes_that_come_again_do_no_harm),
		TEST(a_handshake_may_come_before_ours_left),
		TEST(plaintext_is_refused_unless_it_may),
		TEST(frames_may_be_split_and_packed),
		TEST(records_may_follow_the_noise_message),
		TEST(records_are_cut_to_the_path),
		TEST(records_follow_the_path),
		TEST(nothing_is_written_for_nothing),
		TEST(a_cancelled_handshake_is_finished_first),
		TEST(a_cancelled_handshake_waits_no_longer_than_any),
		TEST(no_handshake_is_begun_for_who_gave_up),
		TEST(a_close_is_answered_and_its_code_with_it),
		TEST(closes_that_cross_end_both),
		TEST(an_unanswered_close_is_waited_for_two_seconds),
		TEST(what_the_peer_says_is_told_and_harmless),
		TEST(a_close_before_it_was_open_refuses),
		TEST(its_owner_may_fail_it),
		TEST(latency_is_of_the_ping_that_was_asked),
		TEST(keep_alives_go_when_nothing_else_did),
		TEST(short_and_strange_packets_are_counted),
		TEST(every_touched_bit_fails_cleanly),
		TEST(nobody_else_can_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
