// smux against a peer that the test plays, frame by frame, in both versions: windows, the budget of
// the session, ends, times, and all that a hostile one may try (docs/design/mux.md).
#include "lib/mux/smux.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/mux/mux_priv.h"
#include "lib/wire/smux_frame.h"
#include "tests/support/mux_pair.h"

#define S_NS UINT64_C(1000000000)

enum { WINDOW = 65536, FIRST = SMUX_WINDOW_INITIAL };

static struct mux_conf conf;
static struct mux *m; // a server, unless a test says otherwise
static uint8_t version;
static uint64_t now_ns;
static uint8_t buf[8 << 20];
static uint8_t said[4 << 20]; // what it put out
static size_t said_len, said_off;

static void begin(uint8_t v, bool is_client)
{
	version = v;
	now_ns = S_NS;
	said_len = said_off = 0;
	conf.is_client = is_client;
	m = smux_new(&conf, v, now_ns);
	assert_non_null(m);
}

static int setup(void **state)
{
	smux_conf(&conf, false);
	conf.keepalive_ns = 0;
	begin(2, false);
	return 0;
}

static int teardown(void **state)
{
	mux_free(m);
	return 0;
}

static void again(uint8_t v, bool is_client)
{
	mux_free(m);
	begin(v, is_client);
}

// ---- the peer ----

static ptrdiff_t hear_frame(struct smux_frame f)
{
	uint8_t hdr[SMUX_HDR_LEN + SMUX_UPD_LEN];

	f.version = version;
	return mux_input(m, hdr, (size_t)smux_frame_encode(hdr, sizeof(hdr), &f), now_ns);
}

static void hear(uint8_t cmd, uint32_t id)
{
	hear_frame((struct smux_frame){.cmd = cmd, .id = id});
}

static void hear_upd(uint32_t id, uint32_t consumed, uint32_t window)
{
	hear_frame((struct smux_frame){
		.cmd = SMUX_UPD, .id = id, .consumed = consumed, .window = window});
}

// n bytes in frames; returns how many frames were taken with all that is in them.
static unsigned hear_data(uint32_t id, size_t n)
{
	unsigned taken = 0;

	for (size_t len; n > 0; n -= len) {
		len = n < SMUX_DATA_MAX ? n : SMUX_DATA_MAX;
		if (hear_frame((struct smux_frame){
			    .cmd = SMUX_PSH, .id = id, .len = (uint16_t)len}) != SMUX_HDR_LEN)
			return taken;
		if (mux_input(m, buf, len, now_ns) != (ptrdiff_t)len)
			return taken;
		taken++;
	}
	return taken;
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
static struct smux_frame said_next(void)
{
	struct smux_frame f;
	int n;

	listen_all();
	n = smux_frame_decode(said + said_off, said_len - said_off, version, &f);
	assert_in_range(n, SMUX_HDR_LEN, SMUX_HDR_LEN + SMUX_UPD_LEN);
	said_off += (size_t)n + (f.cmd == SMUX_PSH ? f.len : 0);
	assert_in_range(said_off, 0, said_len);
	return f;
}

static void expect(uint8_t cmd, uint32_t id, uint16_t len)
{
	struct smux_frame f = said_next();

	assert_int_equal(f.cmd, cmd);
	assert_int_equal(f.id, id);
	assert_int_equal(f.len, len);
}

static void expect_upd(uint32_t id, uint32_t consumed)
{
	struct smux_frame f = said_next();

	assert_int_equal(f.cmd, SMUX_UPD);
	assert_int_equal(f.id, id);
	assert_int_equal(f.consumed, consumed);
	assert_int_equal(f.window, conf.window);
}

static void expect_silence(void)
{
	listen_all();
	assert_int_equal(said_off, said_len);
}

// Bytes of one stream that are said from now on.
static size_t said_bytes(uint32_t id)
{
	size_t n = 0;

	for (listen_all(); said_off < said_len;) {
		struct smux_frame f = said_next();

		assert_int_equal(f.cmd, SMUX_PSH);
		assert_int_equal(f.id, id);
		assert_in_range(f.len, 1, conf.frame_max);
		n += f.len;
	}
	return n;
}

static unsigned told(const struct mux_stream *s)
{
	struct mux_event ev;
	unsigned what = 0;

	while (mux_event(m, &ev))
		if (ev.stream == s)
			what |= ev.what;
	return what;
}

static struct mux_stream *accepted(uint32_t id)
{
	struct mux_stream *s;

	hear(SMUX_SYN, id);
	s = mux_accept(m);
	assert_non_null(s);
	return s;
}

static struct mux_stream *opened(uint32_t id)
{
	struct mux_stream *s = mux_open(m, NULL);

	assert_non_null(s);
	expect(SMUX_SYN, id, 0);
	return s;
}

static uint64_t pass(uint64_t ns)
{
	now_ns += ns;
	return mux_tick(m, now_ns);
}

// ---- streams ----

static void refuses_senseless_configuration(void **state)
{
	struct mux_conf bad;

	smux_conf(&bad, false);
	assert_null(smux_new(&bad, 0, 1));
	assert_null(smux_new(&bad, 3, 1));
	bad.keepalive_timeout_ns = bad.keepalive_ns - 1;
	assert_null(smux_new(&bad, 1, 1));
	smux_conf(&bad, false);
	bad.frame_max = 65536;
	assert_null(smux_new(&bad, 1, 1));
	smux_conf(&bad, false);
	bad.window = (uint32_t)bad.recv_max + 1;
	assert_null(smux_new(&bad, 2, 1));
	assert_int_equal(errno, EINVAL);
}

static void ids_go_up_by_two_and_end(void **state)
{
	opened(2);
	opened(4);
	again(1, true);
	opened(3);
	hear(SMUX_SYN, 5); // nobody checks who gives which
	opened(7);
	m->next_id = 0xffffffff;
	opened(0xffffffff);
	assert_null(mux_open(m, NULL));
	assert_int_equal(errno, EOVERFLOW);
}

static void an_open_that_never_left_leaves_no_trace(void **state)
{
	mux_close(mux_open(m, NULL), true);
	expect_silence();
	assert_int_equal(mux_stats(m)->n_streams, 0);
}

static void answers_what_it_refuses_by_an_end(void **state)
{
	conf.backlog = 1;
	again(2, false);
	hear(SMUX_SYN, 3);
	hear(SMUX_SYN, 5);
	hear_data(5, 10); // for nobody
	expect(SMUX_FIN, 5, 0);
	assert_int_equal(mux_stats(m)->n_refused, 1);
	assert_int_equal(mux_stats(m)->n_stray, 1);
	mux_accept(m);
	mux_go_away(m);
	hear(SMUX_SYN, 7);
	expect(SMUX_FIN, 7, 0);
	expect_silence();
}

static void has_no_ping(void **state)
{
	assert_int_equal(mux_ping(m), -EOPNOTSUPP);
	expect_silence();
}

// ---- windows of version 2 ----

static void updates_at_the_first_read_and_each_half_window(void **state)
{
	struct mux_stream *s = accepted(3);

	hear_data(3, WINDOW);
	assert_int_equal(mux_read(s, buf, 1), 1);
	expect_upd(3, 1);
	assert_int_equal(mux_read(s, buf, WINDOW / 2 - 1), WINDOW / 2 - 1);
	expect_silence();
	assert_int_equal(mux_read(s, buf, 1), 1);
	expect_upd(3, WINDOW / 2 + 1);
}

static void sends_no_more_than_the_window(void **state)
{
	struct mux_stream *s;

	conf.send_max = 2 * FIRST;
	again(2, false);
	s = opened(2);
	assert_int_equal(mux_write(s, buf, 2 * FIRST), 2 * FIRST);
	assert_int_equal(said_bytes(2), FIRST);
	hear_upd(2, 1, WINDOW); // it shrinks
	assert_int_equal(said_bytes(2), 0);
	hear_upd(2, FIRST - WINDOW, WINDOW);
	assert_int_equal(said_bytes(2), 0);
	hear_upd(2, FIRST, WINDOW);
	assert_int_equal(said_bytes(2), WINDOW);
	hear_upd(2, FIRST, UINT32_MAX); // as the Go package reads it, less than none
	assert_int_equal(said_bytes(2), 0);
}

// No frame of a few bytes because a buffer ends, and who waited for room is next.
static void a_frame_waits_for_room_that_is_worth_it(void **state)
{
	struct mux_stream *s[3];

	for (uint32_t i = 0; i < 3; i++)
		s[i] = opened(2 + 2 * i);
	for (int i = 0; i < 3; i++)
		mux_write(s[i], buf, 1000);
	said_len = said_off = 0;
	said_len = mux_output(m, said, SMUX_HDR_LEN + 1000 + SMUX_HDR_LEN + 500, now_ns);
	assert_int_equal(said_len, SMUX_HDR_LEN + 1000);
	for (uint32_t i = 0; i < 3; i++)
		expect(SMUX_PSH, 2 + 2 * i, 1000);
	mux_write(s[0], buf, 1000);
	said_len = said_off = 0;
	said_len = mux_output(m, said, MUX_OUTPUT_MIN, now_ns); // but go on it must
	expect(SMUX_PSH, 2, MUX_OUTPUT_MIN - SMUX_HDR_LEN);
}

static void counts_beyond_4_GiB(void **state)
{
	struct mux_stream *s = opened(2), *r = accepted(3);
	uint64_t total = 0;

	while (total < (UINT64_C(1) << 32) + (1 << 20)) {
		ptrdiff_t n = mux_write(s, buf, conf.send_max);

		assert_int_equal(n, conf.send_max);
		said_len = said_off = 0;
		assert_int_equal(said_bytes(2), n);
		total += (uint64_t)n;
		hear_upd(2, (uint32_t)total, WINDOW);
	}
	assert_int_equal(mux_stats(m)->tx_bytes, total);
	for (total = 0; total < (UINT64_C(1) << 32) + (1 << 20); total += WINDOW) {
		hear_data(3, WINDOW);
		said_len = said_off = 0;
		assert_int_equal(mux_read(r, buf, WINDOW), WINDOW);
		expect_upd(3, (uint32_t)(total + WINDOW));
	}
}

static void a_peer_that_read_more_than_was_sent_breaks_its_stream_only(void **state)
{
	struct mux_stream *a = accepted(3), *b = accepted(5);

	mux_write(a, buf, 10);
	hear_upd(3, 100, WINDOW);
	assert_int_equal(told(a) & MUX_WRITABLE, MUX_WRITABLE);
	assert_int_equal(mux_write(a, buf, 1), -EPROTO);
	hear_data(3, 7);
	assert_int_equal(mux_read(a, buf, 10), 7);
	expect_upd(3, 7);
	mux_write(b, "hi", 2);
	expect(SMUX_PSH, 5, 2);
	mux_close(a, false);
	expect(SMUX_FIN, 3, 0);
}

static void polices_the_window(void **state)
{
	accepted(3);
	assert_int_equal(hear_data(3, FIRST + SMUX_DATA_MAX), 6);
	assert_int_equal(hear_data(3, 1), 0);
	assert_int_equal(mux_stats(m)->err, -EPROTO);
	expect_silence();
}

// ---- the budget of the session ----

static void nothing_is_read_above_the_budget(void **state)
{
	struct mux_stream *s, *other;
	unsigned n;

	conf.recv_max = 200000;
	conf.keepalive_ns = 10 * S_NS;
	again(1, false);
	s = accepted(3);
	other = accepted(5);
	n = hear_data(3, 10 * SMUX_DATA_MAX);
	assert_int_equal(n, 4); // the last one goes over it
	assert_int_equal(mux_stats(m)->n_unread, 4 * SMUX_DATA_MAX);
	assert_int_equal(hear_frame((struct smux_frame){.cmd = SMUX_NOP}), 0);
	for (int i = 0; i < 10; i++) { // the silence is our own doing
		pass(20 * S_NS);
		listen_all();
	}
	assert_int_equal(mux_stats(m)->err, 0);
	mux_write(other, "hi", 2); // writing goes on
	while (said_next().cmd == SMUX_NOP)
		;
	assert_int_equal(mux_read(s, buf, 65000), 65000);
	assert_int_equal(hear_data(5, 3), 1);
	mux_close(s, false); // gives back what nobody read
	assert_int_equal(mux_stats(m)->n_unread, 3);
	assert_int_equal(mux_read(other, buf, 10), 3);
}

static void a_flood_of_streams_stops_the_input(void **state)
{
	unsigned n = 0;

	conf.backlog = 10;
	again(1, false);
	while (hear_frame((struct smux_frame){.cmd = SMUX_SYN, .id = n * 2 + 3}) > 0)
		n++;
	assert_int_equal(n, 10 + MUX_REPLIES);
	for (uint32_t i = 10; i < n; i++)
		expect(SMUX_FIN, i * 2 + 3, 0);
	assert_int_equal(hear_frame((struct smux_frame){.cmd = SMUX_NOP}), SMUX_HDR_LEN);
}

// ---- ends ----

static void an_end_does_not_overtake_bytes(void **state)
{
	struct mux_stream *s = opened(2);

	mux_write(s, buf, conf.frame_max + 10);
	mux_close(s, false);
	expect(SMUX_PSH, 2, (uint16_t)conf.frame_max);
	expect(SMUX_PSH, 2, 10);
	expect(SMUX_FIN, 2, 0);
	assert_int_equal(mux_stats(m)->n_streams, 0);
	hear_data(2, 100); // forgotten
	hear(SMUX_FIN, 2);
	hear_upd(2, 1, 1);
	assert_int_equal(mux_stats(m)->n_stray, 3);
	expect_silence();
}

static void half_a_close_reads_on(void **state)
{
	struct mux_stream *s = opened(2);

	assert_int_equal(mux_finish(s), 0);
	assert_int_equal(mux_write(s, "x", 1), -EPIPE);
	expect(SMUX_FIN, 2, 0);
	hear_data(2, 5);
	assert_int_equal(mux_read(s, buf, 10), 5);
	expect_upd(2, 5);
	hear_data(2, 5);
	hear(SMUX_FIN, 2);
	assert_int_equal(told(s) & MUX_READABLE, MUX_READABLE);
	assert_int_equal(mux_stats(m)->n_streams, 0);
	assert_int_equal(mux_read(s, buf, 10), 5);
	assert_int_equal(mux_read(s, buf, 10), 0);
	mux_close(s, false);
	expect_silence();
}

static void an_end_of_the_peer_leaves_us_writing(void **state)
{
	struct mux_stream *s = accepted(3);

	hear(SMUX_FIN, 3);
	hear(SMUX_FIN, 3); // once more is nothing
	assert_int_equal(mux_read(s, buf, 1), 0);
	mux_write(s, "late", 4);
	expect(SMUX_PSH, 3, 4);
	mux_close(s, false);
	expect(SMUX_FIN, 3, 0);
	assert_int_equal(mux_stats(m)->n_streams, 0);
}

static void a_reset_is_an_end_without_the_rest(void **state)
{
	struct mux_stream *s = opened(2);

	mux_write(s, buf, 1000);
	mux_close(s, true);
	expect(SMUX_FIN, 2, 0);
	expect_silence();
	assert_int_equal(mux_stats(m)->n_streams, 0);
}

// A peer that finished may have forgotten the stream, and then never opens its window.
static void a_writer_does_not_wait_for_ever(void **state)
{
	struct mux_stream *s;

	conf.send_max = 2 * FIRST;
	again(2, false);
	s = opened(2);
	mux_write(s, buf, 2 * FIRST);
	assert_int_equal(said_bytes(2), FIRST);
	pass(1000 * S_NS); // the peer reads slowly
	assert_int_equal(mux_stats(m)->err, 0);
	hear(SMUX_FIN, 2);
	pass(20 * S_NS);
	hear_upd(2, WINDOW, WINDOW); // it still is there
	pass(20 * S_NS);
	assert_int_equal(mux_write(s, buf, 0), 0);
	assert_int_equal(told(s) & MUX_WRITABLE, 0);
	pass(10 * S_NS);
	assert_int_equal(told(s) & MUX_WRITABLE, MUX_WRITABLE);
	assert_int_equal(mux_write(s, buf, 1), -EPIPE);
	assert_int_equal(mux_stats(m)->n_expired, 1);
	mux_close(s, false);
	expect(SMUX_FIN, 2, 0);
	assert_int_equal(mux_stats(m)->n_streams, 0);
}

static void a_writer_that_went_on_waits_for_nothing(void **state)
{
	struct mux_stream *s;

	conf.send_max = 2 * FIRST;
	again(2, false);
	s = opened(2);
	mux_write(s, buf, FIRST + 1);
	hear(SMUX_FIN, 2);
	assert_int_equal(said_bytes(2), FIRST);
	hear_upd(2, FIRST, WINDOW);
	assert_int_equal(said_bytes(2), 1);
	pass(1000 * S_NS);
	assert_int_equal(mux_write(s, "x", 1), 1);
}

static void a_closed_stream_does_not_wait_for_ever(void **state)
{
	struct mux_stream *s;

	conf.send_max = 2 * FIRST;
	again(2, false);
	s = opened(2);
	mux_write(s, buf, 2 * FIRST);
	mux_close(s, false);
	assert_int_equal(said_bytes(2), FIRST);
	pass(30 * S_NS);
	expect(SMUX_FIN, 2, 0);
	assert_int_equal(mux_stats(m)->n_streams, 0);
}

// ---- times ----

static void keep_alive_says_and_wants_signs_of_life(void **state)
{
	conf.keepalive_ns = 10 * S_NS;
	again(1, false);
	assert_int_equal(pass(0), now_ns + 10 * S_NS);
	pass(10 * S_NS);
	expect(SMUX_NOP, 0, 0);
	pass(10 * S_NS);
	expect(SMUX_NOP, 0, 0);
	hear(SMUX_NOP, 0);
	expect_silence(); // it is not answered
	pass(30 * S_NS - 1);
	assert_int_equal(mux_stats(m)->err, 0);
	pass(1);
	assert_int_equal(mux_stats(m)->err, -ETIMEDOUT);
	assert_int_equal(told(NULL), MUX_DEAD);
}

static void output_that_nobody_takes_ends_the_session(void **state)
{
	pass(100 * S_NS);
	mux_open(m, NULL);
	pass(S_NS);
	pass(30 * S_NS - 1);
	assert_int_equal(mux_stats(m)->err, 0);
	pass(1);
	assert_int_equal(mux_stats(m)->err, -ETIMEDOUT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(refuses_senseless_configuration),
		TEST(ids_go_up_by_two_and_end),
		TEST(an_open_that_never_left_leaves_no_trace),
		TEST(answers_what_it_refuses_by_an_end),
		TEST(has_no_ping),
		TEST(updates_at_the_first_read_and_each_half_window),
		TEST(sends_no_more_than_the_window),
		TEST(a_frame_waits_for_room_that_is_worth_it),
		TEST(counts_beyond_4_GiB),
		TEST(a_peer_that_read_more_than_was_sent_breaks_its_stream_only),
		TEST(polices_the_window),
		TEST(nothing_is_read_above_the_budget),
		TEST(a_flood_of_streams_stops_the_input),
		TEST(an_end_does_not_overtake_bytes),
		TEST(half_a_close_reads_on),
		TEST(an_end_of_the_peer_leaves_us_writing),
		TEST(a_reset_is_an_end_without_the_rest),
		TEST(a_writer_does_not_wait_for_ever),
		TEST(a_writer_that_went_on_waits_for_nothing),
		TEST(a_closed_stream_does_not_wait_for_ever),
		TEST(keep_alive_says_and_wants_signs_of_life),
		TEST(output_that_nobody_takes_ends_the_session),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
