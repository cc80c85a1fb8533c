// yamux: what ends a session or a stream that did nothing wrong itself: peers that break the
// protocol, flood or fall silent (docs/design/mux.md).
#include "tests/lib/mux/yamux_peer.h"

// ---- a hostile peer ----

static void ends_the_session_of_who_breaks_the_protocol(void **state)
{
	static const struct {
		const char *name;
		struct yamux_frame f;
	} t[] = {
		{"a SYN of a live id", {YAMUX_WINDOW, YAMUX_SYN, 1, 0}},
		{"a SYN of id 0", {YAMUX_WINDOW, YAMUX_SYN, 0, 0}},
		{"a SYN of an id that we give", {YAMUX_DATA, YAMUX_SYN, 4, 0}},
		{"more than the window", {YAMUX_DATA, 0, 1, WINDOW + 1}},
		{"a second FIN", {YAMUX_WINDOW, YAMUX_FIN, 3, 0}},
		{"credit above 2^32", {YAMUX_WINDOW, 0, 1, UINT32_MAX}},
		{"4 GiB for nobody", {YAMUX_DATA, 0, 99, UINT32_MAX}},
		{"a reset with 4 GiB", {YAMUX_DATA, YAMUX_RST, 1, UINT32_MAX}},
		{"a reset with more than what is left of the window",
			{YAMUX_DATA, YAMUX_RST, 5, WINDOW}},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		again(false);
		accepted(1);
		accepted(3);
		accepted(5);
		hear(YAMUX_WINDOW, YAMUX_FIN, 3, 0);
		hear_data(5, 1);
		told(NULL);
		hear(t[i].f.type, t[i].f.flags, t[i].f.id, t[i].f.len);
		if (mux_stats(m)->err != -EPROTO)
			fail_msg("%s was taken", t[i].name);
		expect_dead(-EPROTO);
	}
}

static void leaves_without_a_word_who_speaks_something_else(void **state)
{
	static const uint8_t version[YAMUX_HDR_LEN] = {1}, type[YAMUX_HDR_LEN] = {0, 4};

	assert_int_equal(hear_bytes(version, sizeof(version)), -EPROTO);
	expect_silence();
	again(false);
	assert_int_equal(hear_bytes(type, sizeof(type)), -EPROTO);
	expect_silence();
}

// A peer that asks and does not listen is not read on, whatever it sends.
static void a_flood_of_questions_stops_the_input(void **state)
{
	static const uint8_t ping[YAMUX_HDR_LEN] = {0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7};
	unsigned n = 0;

	while (hear_bytes(ping, sizeof(ping)) == sizeof(ping))
		n++;
	assert_int_equal(n, MUX_REPLIES);
	assert_int_equal(hear_bytes(ping, sizeof(ping)), 0);
	for (; n > 0; n--)
		expect(YAMUX_PING, YAMUX_ACK, 0, 7);
	assert_int_equal(hear_bytes(ping, sizeof(ping)), sizeof(ping));
	expect(YAMUX_PING, YAMUX_ACK, 0, 7);
	expect_silence();
}

// Streams by the thousand, each with a byte: memory has a limit and comes back.
static void a_flood_of_streams_is_bounded(void **state)
{
	struct mux_stream *s;

	for (uint32_t id = 1; id < 20000; id += 2) {
		hear(YAMUX_DATA, YAMUX_SYN, id, 1);
		hear_bytes("x", 1);
		listen_all();
		said_len = said_off = 0;
		if (id % 4 == 1)
			mux_accept(m);
	}
	assert_int_equal(mux_stats(m)->n_streams, conf.streams_max);
	assert_in_range(mux_stats(m)->n_chunks, 1, conf.streams_max + 64);
	while ((s = mux_accept(m)) != NULL)
		mux_close(s, true);
	mux_end(m, -EPIPE);
	for (struct mux_event ev; mux_event(m, &ev);)
		if (ev.stream != NULL)
			mux_close(ev.stream, false);
	assert_int_equal(mux_stats(m)->n_unread, 0);
	assert_in_range(mux_stats(m)->n_chunks, 0, 64);
}

// ---- time ----

static void a_ping_measures_the_round_trip(void **state)
{
	assert_int_equal(mux_ping(m), 0);
	now_ns += S_NS; // it leaves later than it was asked for
	expect(YAMUX_PING, YAMUX_SYN, 0, 0);
	now_ns += 30000000;
	hear(YAMUX_PING, YAMUX_ACK, 0, 1); // of nobody
	assert_int_equal(told(NULL), 0);
	hear(YAMUX_PING, YAMUX_ACK, 0, 0);
	hear(YAMUX_PING, YAMUX_ACK, 0, 0);
	assert_int_equal(told(NULL), MUX_PONG);
	assert_int_equal(mux_stats(m)->rtt_ns, 30000000);
	mux_ping(m);
	expect(YAMUX_PING, YAMUX_SYN, 0, 1);
}

static void keep_alive_notices_a_dead_peer(void **state)
{
	conf.keepalive_ns = 30 * S_NS;
	again(false);
	assert_int_equal(mux_tick(m, now_ns), now_ns + 30 * S_NS);
	pass(30 * S_NS);
	expect(YAMUX_PING, YAMUX_SYN, 0, 0);
	assert_int_equal(mux_tick(m, now_ns), now_ns + 10 * S_NS);
	pass(10 * S_NS - 1);
	expect_silence(); // one at a time
	hear(YAMUX_PING, YAMUX_ACK, 0, 0);
	assert_int_equal(mux_tick(m, now_ns), now_ns + 30 * S_NS);
	told(NULL);
	pass(30 * S_NS);
	expect(YAMUX_PING, YAMUX_SYN, 0, 1);
	pass(10 * S_NS);
	expect_dead(-ETIMEDOUT);
}

static void output_that_nobody_takes_ends_the_session(void **state)
{
	uint8_t out[MUX_OUTPUT_MIN];
	struct mux_stream *s = opened(2);

	pass(100 * S_NS); // nothing to send: no hurry
	mux_write(s, buf, conf.send_max);
	pass(S_NS);
	pass(10 * S_NS - 1);
	assert_in_range(mux_output(m, out, sizeof(out), now_ns), 1, sizeof(out)); // some is taken
	pass(5 * S_NS);
	told(NULL);
	pass(10 * S_NS);
	assert_int_equal(mux_stats(m)->err, -ETIMEDOUT);
}

static void an_open_that_is_not_answered_ends_the_session(void **state)
{
	for (int i = 0; i < 2; i++)
		assert_non_null(mux_open(m, NULL));
	listen_all();
	said_off = said_len;
	assert_int_equal(mux_tick(m, now_ns), now_ns + 75 * S_NS);
	hear(YAMUX_WINDOW, YAMUX_ACK, 2, 0);
	told(NULL);
	pass(75 * S_NS - 1);
	assert_int_equal(mux_stats(m)->err, 0);
	pass(1);
	expect_dead(-ETIMEDOUT);
}

static void a_finished_open_asks_for_no_answer(void **state)
{
	struct mux_stream *s = mux_open(m, NULL);

	listen_all();
	mux_finish(s);
	mux_finish(mux_open(m, NULL)); // before its SYN left
	listen_all();
	pass(1000 * S_NS);
	assert_int_equal(mux_stats(m)->err, 0);
}

static void a_closed_stream_waits_only_so_long(void **state)
{
	struct mux_stream *closed = accepted(1), *half = accepted(3);

	mux_close(closed, false);
	mux_finish(half);
	expect(YAMUX_WINDOW, YAMUX_FIN, 1, 0);
	expect(YAMUX_WINDOW, YAMUX_FIN, 3, 0);
	assert_int_equal(mux_tick(m, now_ns), now_ns + 300 * S_NS);
	pass(300 * S_NS);
	expect(YAMUX_WINDOW, YAMUX_RST, 1, 0);
	assert_int_equal(mux_stats(m)->n_expired, 1);
	pass(1000 * S_NS); // who still reads, waits
	hear_data(3, 5);
	assert_int_equal(mux_read(half, buf, 10), 5);
	expect_silence();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ends_the_session_of_who_breaks_the_protocol),
		TEST(leaves_without_a_word_who_speaks_something_else),
		TEST(a_flood_of_questions_stops_the_input),
		TEST(a_flood_of_streams_is_bounded),
		TEST(a_ping_measures_the_round_trip),
		TEST(keep_alive_notices_a_dead_peer),
		TEST(output_that_nobody_takes_ends_the_session),
		TEST(an_open_that_is_not_answered_ends_the_session),
		TEST(a_finished_open_asks_for_no_answer),
		TEST(a_closed_stream_waits_only_so_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
