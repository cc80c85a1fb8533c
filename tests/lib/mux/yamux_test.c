// yamux against a peer that the test plays, frame by frame: windows, ends, times, and all that a
// hostile one may try (docs/design/mux.md).
#include "lib/mux/yamux.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/mux/mux_priv.h"
#include "lib/wire/yamux_frame.h"
#include "tests/support/mux_pair.h"

#define S_NS UINT64_C(1000000000)

enum { WINDOW = YAMUX_WINDOW_INITIAL, HALF = WINDOW / 2 };

static struct mux_conf conf;
static struct mux *m; // a server, unless a test says otherwise
static uint64_t now_ns;
static uint8_t buf[2 * WINDOW];
static uint8_t said[4 * WINDOW]; // what it put out
static size_t said_len, said_off;

static void begin(bool is_client)
{
	now_ns = S_NS;
	said_len = said_off = 0;
	conf.is_client = is_client;
	m = yamux_new(&conf, now_ns);
	assert_non_null(m);
}

static int setup(void **state)
{
	yamux_conf(&conf, false);
	conf.keepalive_ns = 0;
	begin(false);
	return 0;
}

static int teardown(void **state)
{
	mux_free(m);
	return 0;
}

static void again(bool is_client)
{
	mux_free(m);
	begin(is_client);
}

// ---- the peer ----

static ptrdiff_t hear_bytes(const void *p, size_t len)
{
	return mux_input(m, p, len, now_ns);
}

static void hear(uint8_t type, uint16_t flags, uint32_t id, uint32_t len)
{
	const struct yamux_frame f = {.type = type, .flags = flags, .id = id, .len = len};
	uint8_t hdr[YAMUX_HDR_LEN];

	yamux_frame_encode(hdr, sizeof(hdr), &f);
	hear_bytes(hdr, sizeof(hdr));
}

static void hear_payload(size_t len, uint64_t from)
{
	mux_pattern_fill(buf, len, from);
	assert_int_equal(hear_bytes(buf, len), len);
}

static void hear_data(uint32_t id, size_t len)
{
	hear(YAMUX_DATA, 0, id, (uint32_t)len);
	hear_payload(len, 0);
}

static void listen_all(void)
{
	size_t n;

	do {
		n = mux_output(m, said + said_len, sizeof(said) - said_len, now_ns);
		said_len += n;
	} while (n > 0);
}

// The next frame that was said; its payload is passed over.
static struct yamux_frame said_next(void)
{
	struct yamux_frame f;

	listen_all();
	assert_int_equal(
		yamux_frame_decode(said + said_off, said_len - said_off, &f), YAMUX_HDR_LEN);
	said_off += YAMUX_HDR_LEN + (f.type == YAMUX_DATA ? f.len : 0);
	assert_in_range(said_off, 0, said_len);
	return f;
}

static void expect(uint8_t type, uint16_t flags, uint32_t id, uint32_t len)
{
	struct yamux_frame f = said_next();

	assert_int_equal(f.type, type);
	assert_int_equal(f.flags, flags);
	assert_int_equal(f.id, id);
	assert_int_equal(f.len, len);
}

static void expect_silence(void)
{
	listen_all();
	assert_int_equal(said_off, said_len);
}

static void expect_dead(int err)
{
	struct mux_event ev;

	assert_int_equal(mux_stats(m)->err, err);
	assert_true(mux_event(m, &ev));
	assert_null(ev.stream);
	assert_true(ev.what & MUX_DEAD);
	if (err == -EPROTO)
		expect(YAMUX_GO_AWAY, 0, 0, YAMUX_PROTOCOL_ERROR);
	expect_silence();
	assert_int_equal(hear_bytes("x", 1), err);
	assert_null(mux_open(m, NULL));
	assert_int_equal(errno, -err);
}

// Bits told of one stream or, for NULL, of the session.
static unsigned told(const struct mux_stream *s)
{
	struct mux_event ev;
	unsigned what = 0;

	while (mux_event(m, &ev))
		if (ev.stream == s)
			what |= ev.what;
	return what;
}

// A stream that the peer opened and we accepted.
static struct mux_stream *accepted(uint32_t id)
{
	struct mux_stream *s;

	hear(YAMUX_WINDOW, YAMUX_SYN, id, 0);
	s = mux_accept(m);
	assert_non_null(s);
	expect(YAMUX_WINDOW, YAMUX_ACK, id, conf.window - WINDOW);
	return s;
}

// A stream that we opened and the peer accepted.
static struct mux_stream *opened(uint32_t id)
{
	struct mux_stream *s = mux_open(m, NULL);

	assert_non_null(s);
	expect(YAMUX_WINDOW, YAMUX_SYN, id, conf.window - WINDOW);
	hear(YAMUX_WINDOW, YAMUX_ACK, id, 0);
	return s;
}

static void pass(uint64_t ns)
{
	now_ns += ns;
	mux_tick(m, now_ns);
}

// ---- streams ----

static void refuses_senseless_configuration(void **state)
{
	struct mux_conf bad;

	for (int i = 0; i < 3; i++) {
		yamux_conf(&bad, false);
		*(i < 2 ? &bad.window : &bad.backlog) = i == 0 ? WINDOW - 1 : i == 1 ? 1u << 31 : 0;
		assert_null(yamux_new(&bad, 1));
		assert_int_equal(errno, EINVAL);
	}
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
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		again(false);
		accepted(1);
		accepted(3);
		hear(YAMUX_WINDOW, YAMUX_FIN, 3, 0);
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

static void a_go_away_with_an_error_ends_the_session(void **state)
{
	for (uint32_t code = 1; code < 4; code++) {
		again(false);
		hear(YAMUX_GO_AWAY, 0, 0, code);
		expect_dead(-ECONNABORTED);
	}
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
	assert_in_range(mux_stats(m)->n_chunks, 1, conf.streams_max + 16);
	while ((s = mux_accept(m)) != NULL)
		mux_close(s, true);
	mux_end(m, -EPIPE);
	for (struct mux_event ev; mux_event(m, &ev);)
		if (ev.stream != NULL)
			mux_close(ev.stream, false);
	assert_int_equal(mux_stats(m)->n_unread, 0);
	assert_in_range(mux_stats(m)->n_chunks, 0, 16);
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
		TEST(unread_streams_are_reset_above_the_limit_of_all),
		TEST(bytes_come_before_the_end),
		TEST(half_a_close_reads_on),
		TEST(a_reset_throws_away_what_was_not_read),
		TEST(a_stream_reset_before_it_is_accepted_is_gone),
		TEST(our_reset_says_so_once),
		TEST(who_is_done_gives_no_credit),
		TEST(who_sends_to_nobody_is_told_at_half_the_window),
		TEST(the_end_of_the_session_ends_all),
		TEST(ends_the_session_of_who_breaks_the_protocol),
		TEST(leaves_without_a_word_who_speaks_something_else),
		TEST(a_go_away_with_an_error_ends_the_session),
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
