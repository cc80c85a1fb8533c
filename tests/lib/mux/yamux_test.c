// yamux: streams, windows and ends (docs/design/mux.md).
#include "tests/lib/mux/yamux_peer.h"

// ---- streams ----

static void refuses_senseless_configuration(void **state)
{
	struct mux_conf narrow = conf, none = conf;

	narrow.window = WINDOW - 1;
	none.backlog = 0;
	assert_null(yamux_new(&narrow, 1));
	assert_null(yamux_new(&none, 1));
	assert_int_equal(errno, EINVAL);
}

static void ids_go_up_by_two_and_end(void **state)
{
	assert_non_null(opened(2));
	assert_non_null(opened(4));
	again(true);
	assert_non_null(opened(1));
	assert_non_null(opened(3));
	m->next_id = 0xfffffffd;
	assert_non_null(opened(0xfffffffd));
	assert_null(mux_open(m, NULL));
	assert_int_equal(errno, EOVERFLOW);
}

static void writes_before_the_answer(void **state)
{
	struct mux_stream *s = mux_open(m, NULL);

	assert_int_equal(mux_write(s, "hi", 2), 2);
	expect(YAMUX_WINDOW, YAMUX_SYN, 2, 0);
	expect(YAMUX_DATA, 0, 2, 2);
	hear(YAMUX_DATA, YAMUX_ACK, 2, 0);
	assert_int_equal(told(s), MUX_OPENED);
}

static void opens_wait_for_answers(void **state)
{
	struct mux_stream *s[3];

	conf.backlog = 3;
	again(false);
	for (int i = 0; i < 3; i++)
		s[i] = mux_open(m, NULL);
	assert_null(mux_open(m, NULL));
	assert_int_equal(errno, EAGAIN);
	for (uint32_t id = 2; id <= 6; id += 2)
		expect(YAMUX_WINDOW, YAMUX_SYN, id, 0);
	expect_silence();
	assert_int_equal(told(NULL), 0);
	hear(YAMUX_WINDOW, YAMUX_ACK, 2, 0); // given back once
	hear(YAMUX_WINDOW, YAMUX_ACK, 2, 0);
	assert_int_equal(told(NULL), MUX_CAN_OPEN);
	assert_non_null(mux_open(m, NULL));
	assert_null(mux_open(m, NULL));
	hear(YAMUX_WINDOW, YAMUX_RST, 4, 0);
	assert_non_null(mux_open(m, NULL));
	assert_null(mux_open(m, NULL));
	mux_close(s[2], true);
	listen_all();
	assert_non_null(mux_open(m, NULL));
	assert_null(mux_open(m, NULL));
}

static void an_open_that_never_left_leaves_no_trace(void **state)
{
	mux_close(mux_open(m, NULL), true);
	expect_silence();
	assert_int_equal(mux_stats(m)->n_streams, 0);
}

static void refuses_streams_above_the_limits(void **state)
{
	conf.backlog = 2;
	conf.streams_max = 3;
	again(false);
	hear(YAMUX_WINDOW, YAMUX_SYN, 1, 0);
	hear(YAMUX_WINDOW, YAMUX_SYN, 3, 0);
	hear(YAMUX_DATA, YAMUX_SYN, 5, 4); // its payload is passed over
	hear_bytes("data", 4);
	expect(YAMUX_WINDOW, YAMUX_RST, 5, 0);
	mux_accept(m);
	mux_accept(m);
	hear(YAMUX_WINDOW, YAMUX_SYN, 7, 0);
	hear(YAMUX_WINDOW, YAMUX_SYN, 9, 0);
	expect(YAMUX_WINDOW, YAMUX_RST, 9, 0);
	assert_null(mux_open(m, NULL));
	assert_int_equal(errno, EMFILE);
	assert_int_equal(mux_stats(m)->n_refused, 2);
	assert_int_equal(mux_stats(m)->n_streams, 3);
}

static void go_away_refuses_and_is_heeded(void **state)
{
	struct mux_stream *s = accepted(1);

	mux_go_away(m);
	expect(YAMUX_GO_AWAY, 0, 0, YAMUX_NORMAL);
	hear(YAMUX_WINDOW, YAMUX_SYN, 3, 0);
	expect(YAMUX_WINDOW, YAMUX_RST, 3, 0);
	hear_data(1, 5); // those that live go on
	assert_int_equal(mux_read(s, buf, 10), 5);
	assert_non_null(opened(2)); // we may still open
	hear(YAMUX_GO_AWAY, 0, 0, YAMUX_NORMAL);
	assert_int_equal(told(NULL), MUX_GO_AWAY | MUX_ACCEPT);
	assert_null(mux_open(m, NULL));
	assert_int_equal(errno, ECONNREFUSED);
	hear(YAMUX_GO_AWAY, 0, 0, YAMUX_INTERNAL_ERROR);
	expect_dead(-ECONNABORTED);
}

// ---- windows ----

static void takes_a_frame_of_the_whole_window_as_it_comes(void **state)
{
	struct mux_stream *s = accepted(1);
	uint64_t got = 0;

	hear(YAMUX_DATA, 0, 1, WINDOW);
	for (uint64_t i = 0; i < WINDOW; i += WINDOW / 16) {
		hear_payload(WINDOW / 16, i);
		assert_int_equal(told(s), MUX_READABLE);
		for (ptrdiff_t n; (n = mux_read(s, buf, 1000)) > 0; got += (uint64_t)n)
			assert_int_equal(buf[n - 1], mux_pattern(got + (uint64_t)n - 1));
	}
	assert_int_equal(got, WINDOW);
}

// What is read while its frame is still under way earns credit, the rest of the frame does not.
static void gives_no_credit_for_bytes_to_come(void **state)
{
	struct mux_stream *s = accepted(1);

	hear(YAMUX_DATA, 0, 1, WINDOW);
	hear_payload(HALF, 0);
	assert_int_equal(mux_read(s, buf, WINDOW), HALF);
	expect(YAMUX_WINDOW, 0, 1, HALF);
	expect_silence();
	hear_payload(HALF, HALF);
	hear_data(1, HALF);
	assert_int_equal(mux_stats(m)->n_unread, WINDOW);
	hear(YAMUX_DATA, 0, 1, 1);
	expect_dead(-EPROTO);
}

static void credit_comes_at_half_the_window(void **state)
{
	struct mux_stream *s = accepted(1);

	hear_data(1, HALF + 5);
	assert_int_equal(mux_read(s, buf, HALF - 1), HALF - 1);
	expect_silence();
	assert_int_equal(mux_read(s, buf, 1), 1);
	expect(YAMUX_WINDOW, 0, 1, HALF);
}

static void announces_a_larger_window(void **state)
{
	conf.window = 1 << 20;
	again(false);
	hear(YAMUX_DATA, YAMUX_SYN, 1, 10);
	hear_payload(10, 0);
	assert_non_null(mux_accept(m));
	expect(YAMUX_WINDOW, YAMUX_ACK, 1, (1 << 20) - WINDOW);
	hear_data(1, WINDOW - 10);
	hear(YAMUX_DATA, 0, 1, (1 << 20) - WINDOW + 1);
	expect_dead(-EPROTO);
}

static void sends_no_more_than_the_window(void **state)
{
	struct mux_stream *s;
	uint32_t n = 0;

	conf.send_max = 2 * WINDOW;
	again(false);
	s = opened(2);
	assert_int_equal(mux_write(s, buf, WINDOW + 1), WINDOW + 1);
	while (n < WINDOW) {
		struct yamux_frame f = said_next();

		assert_int_equal(f.type, YAMUX_DATA);
		assert_in_range(f.len, 1, conf.frame_max);
		n += f.len;
	}
	assert_int_equal(n, WINDOW);
	expect_silence();
	hear(YAMUX_WINDOW, 0, 2, 5);
	expect(YAMUX_DATA, 0, 2, 1);
}

static void a_short_write_goes_on_when_told(void **state)
{
	struct mux_stream *s = opened(2);

	told(s);
	assert_int_equal(mux_write(s, buf, 2 * WINDOW), conf.send_max);
	assert_int_equal(mux_write(s, buf, 1), 0);
	assert_int_equal(told(s), 0);
	mux_output(m, said, YAMUX_HDR_LEN + conf.frame_max, now_ns); // half of it
	assert_int_equal(told(s), MUX_WRITABLE);
	assert_int_equal(mux_write(s, buf, 1), 1);
}

static void bulk_does_not_starve_the_others(void **state)
{
	struct mux_stream *bulk = opened(2), *small = opened(4);

	mux_write(bulk, buf, conf.send_max);
	mux_write(small, "hi", 2);
	expect(YAMUX_DATA, 0, 2, conf.frame_max);
	expect(YAMUX_DATA, 0, 4, 2);
	expect(YAMUX_DATA, 0, 2, conf.send_max - conf.frame_max);
}

static void who_accepts_a_stream_that_was_reset_is_told(void **state)
{
	struct mux_stream *s;

	conf.recv_max = 1000;
	again(false);
	hear(YAMUX_DATA, YAMUX_SYN, 1, 1001);
	s = mux_accept(m);
	assert_int_equal(told(s), MUX_ENDED);
	assert_int_equal(mux_read(s, buf, 1), -ENOBUFS);
	expect(YAMUX_WINDOW, YAMUX_RST, 1, 0);
}

static void unread_streams_are_reset_above_the_limit_of_all(void **state)
{
	struct mux_stream *a, *b;

	conf.recv_max = WINDOW + 1000;
	again(false);
	a = accepted(1);
	b = accepted(3);
	hear_data(1, WINDOW);
	hear(YAMUX_DATA, 0, 3, 1001);
	hear_payload(1001, 0);
	expect(YAMUX_WINDOW, YAMUX_RST, 3, 0);
	assert_int_equal(told(b), MUX_WRITABLE | MUX_ENDED);
	assert_int_equal(mux_read(b, buf, 1), -ENOBUFS);
	assert_int_equal(mux_write(b, buf, 1), -ENOBUFS);
	assert_int_equal(mux_read(a, buf, WINDOW), WINDOW);
	assert_int_equal(mux_stats(m)->n_no_memory, 1);
	mux_close(b, false);
	expect(YAMUX_WINDOW, 0, 1, WINDOW);
	assert_int_equal(mux_stats(m)->n_streams, 1);
}

// ---- ends ----

static void bytes_come_before_the_end(void **state)
{
	struct mux_stream *s = accepted(1);

	hear(YAMUX_DATA, YAMUX_FIN, 1, 4);
	assert_int_equal(mux_read(s, buf, 10), -EAGAIN);
	hear_bytes("en", 2);
	assert_int_equal(mux_read(s, buf, 10), 2);
	assert_int_equal(mux_read(s, buf, 10), -EAGAIN);
	hear_bytes("d!", 2);
	assert_int_equal(told(s), MUX_READABLE);
	assert_int_equal(mux_read(s, buf, 10), 2);
	assert_int_equal(mux_read(s, buf, 10), 0);
	assert_int_equal(mux_write(s, "still", 5), 5);
	expect(YAMUX_DATA, 0, 1, 5);
	mux_close(s, false);
	expect(YAMUX_WINDOW, YAMUX_FIN, 1, 0);
	assert_int_equal(mux_stats(m)->n_streams, 0);
}

static void half_a_close_reads_on(void **state)
{
	struct mux_stream *s = opened(2);

	mux_write(s, "last", 4);
	assert_int_equal(mux_finish(s), 0);
	assert_int_equal(mux_write(s, "more", 4), -EPIPE);
	expect(YAMUX_DATA, 0, 2, 4);
	expect(YAMUX_WINDOW, YAMUX_FIN, 2, 0);
	hear_data(2, HALF);
	assert_int_equal(mux_read(s, buf, WINDOW), HALF);
	expect(YAMUX_WINDOW, 0, 2, HALF);
	hear_data(2, 3);
	hear(YAMUX_WINDOW, YAMUX_FIN, 2, 0);
	assert_int_equal(mux_stats(m)->n_streams, 0); // and the owner still reads
	assert_int_equal(mux_read(s, buf, WINDOW), 3);
	assert_int_equal(mux_read(s, buf, WINDOW), 0);
	mux_close(s, false);
	expect_silence();
}

static void a_reset_throws_away_what_was_not_read(void **state)
{
	struct mux_stream *s = accepted(1);

	hear_data(1, 100);
	mux_write(s, "x", 1);
	hear(YAMUX_DATA, YAMUX_RST, 1, 3);
	assert_int_equal(hear_bytes("abc", 3), 3);
	assert_true(told(s) & MUX_ENDED);
	assert_int_equal(mux_read(s, buf, 10), -ECONNRESET);
	assert_int_equal(mux_write(s, "x", 1), -ECONNRESET);
	assert_int_equal(mux_finish(s), -ECONNRESET);
	assert_int_equal(mux_stats(m)->n_unread, 0);
	mux_close(s, true);
	expect_silence();
}

static void a_stream_reset_before_it_is_accepted_is_gone(void **state)
{
	hear(YAMUX_WINDOW, YAMUX_SYN, 1, 0);
	hear_data(1, 100);
	hear(YAMUX_WINDOW, YAMUX_RST, 1, 0);
	assert_null(mux_accept(m));
	assert_int_equal(mux_stats(m)->n_waiting, 0);
	assert_int_equal(mux_stats(m)->n_unread, 0);
	expect_silence();
}

static void our_reset_says_so_once(void **state)
{
	struct mux_stream *s = accepted(1);

	mux_write(s, buf, 1000);
	mux_close(s, true);
	hear_data(1, 100); // was under way
	expect(YAMUX_WINDOW, YAMUX_RST, 1, 0);
	hear_data(1, 100);
	hear(YAMUX_WINDOW, YAMUX_FIN, 1, 0);
	expect_silence();
	assert_int_equal(mux_stats(m)->n_stray, 2);
	assert_int_equal(mux_stats(m)->n_unread, 0);
}

static void who_is_done_gives_no_credit(void **state)
{
	struct mux_stream *s = accepted(1), *ended = accepted(3);

	hear_data(1, HALF - 1);
	assert_int_equal(mux_read(s, buf, WINDOW), HALF - 1);
	hear_data(1, 1);
	assert_int_equal(mux_read(s, buf, WINDOW), 1); // it is due ...
	mux_close(s, false); // ... and nobody reads any more
	expect(YAMUX_WINDOW, YAMUX_FIN, 1, 0);
	expect(YAMUX_WINDOW, YAMUX_RST, 1, 0);
	hear_data(3, HALF);
	hear(YAMUX_WINDOW, YAMUX_FIN, 3, 0);
	assert_int_equal(mux_read(ended, buf, WINDOW), HALF);
	expect_silence();
}

// Leftovers do no harm to what we wrote last; a peer that would block for ever is told.
static void who_sends_to_nobody_is_told_at_half_the_window(void **state)
{
	struct mux_stream *s = accepted(1);

	hear_data(1, 1000); // never read
	mux_write(s, "bye", 3);
	mux_close(s, false);
	expect(YAMUX_DATA, 0, 1, 3);
	expect(YAMUX_WINDOW, YAMUX_FIN, 1, 0);
	hear_data(1, HALF - 1001);
	expect_silence();
	hear_data(1, 1);
	expect(YAMUX_WINDOW, YAMUX_RST, 1, 0);
	assert_int_equal(mux_stats(m)->n_unread, 0);
	assert_int_equal(mux_stats(m)->n_streams, 0);
}

static void the_end_of_the_session_ends_all(void **state)
{
	struct mux_stream *whole = accepted(1), *cut = accepted(3), *last = accepted(5);

	hear_data(1, 5);
	hear(YAMUX_WINDOW, YAMUX_FIN, 1, 0);
	hear_data(3, 5);
	told(NULL);
	hear(YAMUX_WINDOW, YAMUX_SYN, 7, 0); // nobody accepts it
	hear(YAMUX_DATA, YAMUX_FIN, 5, 10); // not all of it comes
	hear_payload(9, 0);
	mux_end(m, -ENETDOWN);
	mux_end(m, -EIO);
	assert_int_equal(told(whole) & MUX_ENDED, MUX_ENDED);
	assert_int_equal(mux_read(whole, buf, 10), 5);
	assert_int_equal(mux_read(whole, buf, 10), 0);
	assert_int_equal(mux_read(cut, buf, 10), 5);
	assert_int_equal(mux_read(cut, buf, 10), -ENETDOWN);
	assert_int_equal(mux_read(last, buf, 10), 9);
	assert_int_equal(mux_read(last, buf, 10), -ENETDOWN);
	assert_int_equal(mux_write(cut, buf, 10), -ENETDOWN);
	assert_int_equal(mux_ping(m), -ENETDOWN);
	assert_null(mux_accept(m));
	assert_int_equal(mux_stats(m)->n_streams, 0);
	mux_close(whole, false); // the other one is freed with the session
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(refuses_senseless_configuration),
		TEST(ids_go_up_by_two_and_end),
		TEST(writes_before_the_answer),
		TEST(opens_wait_for_answers),
		TEST(an_open_that_never_left_leaves_no_trace),
		TEST(refuses_streams_above_the_limits),
		TEST(go_away_refuses_and_is_heeded),
		TEST(takes_a_frame_of_the_whole_window_as_it_comes),
		TEST(gives_no_credit_for_bytes_to_come),
		TEST(credit_comes_at_half_the_window),
		TEST(announces_a_larger_window),
		TEST(sends_no_more_than_the_window),
		TEST(a_short_write_goes_on_when_told),
		TEST(bulk_does_not_starve_the_others),
		TEST(who_accepts_a_stream_that_was_reset_is_told),
		TEST(unread_streams_are_reset_above_the_limit_of_all),
		TEST(bytes_come_before_the_end),
		TEST(half_a_close_reads_on),
		TEST(a_reset_throws_away_what_was_not_read),
		TEST(a_stream_reset_before_it_is_accepted_is_gone),
		TEST(our_reset_says_so_once),
		TEST(who_is_done_gives_no_credit),
		TEST(who_sends_to_nobody_is_told_at_half_the_window),
		TEST(the_end_of_the_session_ends_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
