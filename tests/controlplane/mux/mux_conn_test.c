// Streams as conns, over a pair of sockets, with each muxer: bytes under back-pressure in both
// directions, ends, and who is told what when the session goes.
#include "controlplane/mux/mux_conn.h"
#include "tests/controlplane/core/conn_fixture.h"

#include <signal.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "tests/support/mux_pair.h"

enum { MIB = 1 << 20, STREAMS = 100 };

// One end of the session: its streams in the order in which they were accepted.
struct side {
	struct mux_conn *mc;
	struct end *next; // takes the next stream of the peer
	unsigned n_accepted, n_pong;
	bool refuse;
	int err;
};

static struct side side[2];

static void on_accept(void *arg, struct conn *c)
{
	struct side *sd = arg;
	struct end *e = sd->next;

	sd->n_accepted++;
	if (sd->refuse) {
		conn_close(c);
		return;
	}
	sd->next++;
	e->c = c;
	conn_set_events(c, &end_events, e);
	end_send(e);
}

static void on_pong(void *arg, uint64_t rtt_ns)
{
	struct side *sd = arg;

	sd->n_pong++;
}

static void on_session_end(void *arg, int err)
{
	struct side *sd = arg;

	assert_int_equal(sd->err, 0);
	assert_true(err < 0);
	sd->err = err;
}

static const struct mux_conn_events side_events = {
	.accept = on_accept,
	.pong = on_pong,
	.end = on_session_end,
};

static void begin(enum mux_kind kind)
{
	struct end below[2] = {{0}};

	memset(side, 0, sizeof(side));
	pair(&below[0], &below[1]);
	for (int i = 0; i < 2; i++) {
		struct mux_conf conf = mux_kind_conf(kind, i == CLIENT);

		side[i].mc = mux_conn_new(l, below[i].c, mux_kind_new(kind, &conf, clock_mono_ns()),
			NULL, 0, &side_events, &side[i]);
		assert_non_null(side[i].mc);
	}
}

static void finish(void)
{
	for (int i = 0; i < 2; i++)
		mux_conn_close(side[i].mc);
	for (unsigned i = 0; i < 5; i++)
		loop_turn(l);
}

static void dial(int from, struct end *e)
{
	e->c = mux_conn_open(side[from].mc, &end_events, e);
	assert_non_null(e->c);
	assert_int_equal(conn_write(e->c, "x", 1), -EPIPE); // not open yet
}

static void run_turns(unsigned n)
{
	for (; n > 0; n--)
		loop_turn(l);
}

static void bytes_arrive_in_order_whatever_the_reader_takes(void **state)
{
	static const size_t bites[] = {0, 5000, 999};

	for (unsigned i = 0; i < MUX_KINDS * ARRAY_LEN(bites); i++) {
		size_t bite = bites[i % ARRAY_LEN(bites)];
		struct end a = {.to_send = 2 * MIB, .finish = true, .bite = bite};
		struct end b = {.to_send = MIB + 1, .finish = true, .bite = bite};

		begin((enum mux_kind)(i / ARRAY_LEN(bites)));
		side[SERVER].next = &b;
		dial(CLIENT, &a);
		run_until(a.n_eof && b.n_eof);
		assert_int_equal(a.n_open, 1);
		assert_int_equal(b.got, 2 * MIB);
		assert_int_equal(a.got, MIB + 1);
		assert_false(a.wrong || b.wrong);
		assert_true(a.n_drain > 0 && b.n_drain > 0);
		end_close(&a);
		end_close(&b);
		finish();
	}
}

static void many_streams_of_both_sides_at_once(void **state)
{
	static struct end a[2][STREAMS], b[2][STREAMS];

	for (int kind = 0; kind < MUX_KINDS; kind++) {
		unsigned n_eof = 0;

		memset(a, 0, sizeof(a));
		memset(b, 0, sizeof(b));
		begin((enum mux_kind)kind);
		for (unsigned i = 0; i < 2 * STREAMS; i++) {
			struct end *e = &a[i % 2][i / 2], *f = &b[i % 2][i / 2];

			*e = *f = (struct end){
				.to_send = i * 100, .finish = true, .bite = 1 + i * 50};
			side[i % 2].next = b[i % 2];
			dial((int)(i % 2), e);
		}
		while (n_eof < 4 * STREAMS) {
			uv_run(loop_uv(l), UV_RUN_ONCE);
			n_eof = 0;
			for (unsigned i = 0; i < 2 * STREAMS; i++)
				n_eof += a[i % 2][i / 2].n_eof + b[i % 2][i / 2].n_eof;
		}
		for (unsigned i = 0; i < 2 * STREAMS; i++) {
			struct end *e = &a[i % 2][i / 2], *f = &b[!(i % 2)][i / 2];

			assert_false(e->wrong || f->wrong);
			assert_int_equal(f->got, e->to_send);
			end_close(e);
			end_close(&b[i % 2][i / 2]);
		}
		run_turns(10);
		for (int i = 0; i < 2; i++)
			assert_int_equal(mux_conn_stats(side[i].mc)->n_streams, 0);
		finish();
	}
}

static void a_deaf_reader_stops_the_writer_only(void **state)
{
	struct end a = {.to_send = 16 * MIB}, c = {.to_send = MIB, .finish = true};
	struct end b[2] = {{.deaf = true}, {0}};
	uint64_t sent;

	begin(KIND_YAMUX);
	side[SERVER].next = b;
	dial(CLIENT, &a);
	dial(CLIENT, &c);
	run_until(b[1].n_eof == 1); // the other stream goes on
	assert_int_equal(b[1].got, MIB);
	do {
		sent = a.sent;
		run_turns(20);
	} while (a.sent != sent);
	assert_in_range(sent, 262144, MIB);
	assert_in_range(mux_conn_stats(side[SERVER].mc)->n_unread, 1, 262144);
	b[0].deaf = false;
	conn_resume(b[0].c);
	run_until(b[0].got == 16 * MIB);
	assert_false(b[0].wrong);
	end_close(&a);
	end_close(&c);
	end_close(&b[0]);
	end_close(&b[1]);
	finish();
}

// smux 1 has no windows: the whole session waits, and goes on when the reader does, or leaves.
static void a_deaf_reader_stops_a_session_without_windows(void **state)
{
	for (int leave = 0; leave < 2; leave++) {
		struct end a = {.to_send = 16 * MIB}, c = {.to_send = 1000, .finish = true};
		struct end b[2] = {{.deaf = true}, {0}};
		uint64_t sent;

		begin(KIND_SMUX1);
		side[SERVER].next = b;
		dial(CLIENT, &a);
		do {
			sent = a.sent;
			run_turns(20);
		} while (a.sent == 0 || a.sent != sent);
		dial(CLIENT, &c);
		run_turns(20);
		assert_int_equal(b[1].got, 0);
		assert_in_range(
			mux_conn_stats(side[SERVER].mc)->n_unread, 4 * MIB, 4 * MIB + 65535);
		b[0].deaf = false;
		if (leave)
			end_close(&b[0]);
		else
			conn_resume(b[0].c);
		run_until(b[1].n_eof == 1 && (leave || b[0].got == 16 * MIB));
		end_close(&a);
		end_close(&c);
		if (!leave)
			end_close(&b[0]);
		end_close(&b[1]);
		finish();
	}
}

static void owners_may_close_in_any_event(void **state)
{
	for (unsigned i = 0; i < 3 * MUX_KINDS; i++) {
		struct end a = {.to_send = 1000, .finish = true},
			   b = {.to_send = 1000, .finish = true};

		a.close_at_open = i % 3 == 0;
		b.close_at_data = i % 3 == 1;
		b.close_at_end = i % 3 == 2;
		begin((enum mux_kind)(i / 3));
		side[SERVER].next = &b;
		dial(CLIENT, &a);
		if (i % 3 == 0)
			run_until(a.n_open == 1 && b.n_eof == 1);
		else
			run_until(side[SERVER].n_accepted == 1 && b.c == NULL);
		if (a.c != NULL)
			end_close(&a);
		if (b.c != NULL)
			end_close(&b);
		finish();
	}
}

static void a_refused_stream_ends(void **state)
{
	for (int kind = 0; kind < MUX_KINDS; kind++) {
		struct end a = {0};

		begin((enum mux_kind)kind);
		side[SERVER].refuse = true;
		dial(CLIENT, &a);
		run_until(a.n_eof == 1);
		assert_int_equal(side[SERVER].n_accepted, 1);
		end_close(&a);
		run_turns(10);
		assert_int_equal(mux_conn_stats(side[SERVER].mc)->n_streams, 0);
		finish();
	}
}

static void all_hear_when_the_session_goes(void **state)
{
	for (int kind = 0; kind < MUX_KINDS; kind++) {
		struct end a = {.to_send = 10}, b = {0};

		begin((enum mux_kind)kind);
		side[SERVER].next = &b;
		dial(CLIENT, &a);
		run_until(b.got == 10);
		mux_conn_close(side[CLIENT].mc);
		side[CLIENT].mc = NULL;
		assert_int_equal(a.err, 0); // not from within the call
		run_until(a.err != 0 && b.err != 0 && side[SERVER].err != 0);
		assert_int_equal(a.err, -ECANCELED);
		assert_int_equal(b.err, -ECONNRESET);
		assert_int_equal(side[SERVER].err, -ECONNRESET);
		assert_int_equal(side[CLIENT].err, 0);
		assert_int_equal(conn_write(a.c, "x", 1), -EPIPE);
		assert_null(mux_conn_open(side[SERVER].mc, &end_events, &a));
		end_close(&a);
		end_close(&b);
		finish();
	}
}

static void bytes_before_a_close_still_arrive(void **state)
{
	struct end a = {.to_send = 200000}, b = {0};

	begin(KIND_YAMUX);
	side[SERVER].next = &b;
	dial(CLIENT, &a);
	run_until(a.sent == a.to_send);
	end_close(&a);
	run_until(b.n_eof == 1);
	assert_int_equal(b.got, 200000);
	end_close(&b);
	finish();
}

static void a_ping_comes_back(void **state)
{
	begin(KIND_YAMUX);
	assert_int_equal(mux_conn_ping(side[CLIENT].mc), 0);
	run_until(side[CLIENT].n_pong == 1);
	assert_true(mux_conn_stats(side[CLIENT].mc)->rtt_ns > 0);
	finish();
	begin(KIND_SMUX2);
	assert_int_equal(mux_conn_ping(side[CLIENT].mc), -EOPNOTSUPP);
	finish();
}

// What came behind a handshake belongs to the session; nonsense ends it.
static void first_bytes_are_the_sessions(void **state)
{
	static const uint8_t syn[] = {0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0}, bad[12] = {9};
	struct mux_conf conf = mux_kind_conf(KIND_YAMUX, false);

	for (int is_bad = 0; is_bad < 2; is_bad++) {
		struct end below[2] = {{0}}, e = {0};

		memset(side, 0, sizeof(side));
		pair(&below[0], &below[1]);
		side[0].next = &e;
		side[0].mc = mux_conn_new(l, below[0].c,
			mux_kind_new(KIND_YAMUX, &conf, clock_mono_ns()), is_bad ? bad : syn,
			sizeof(syn), &side_events, &side[0]);
		if (is_bad)
			run_until(side[0].err == -EPROTO);
		else
			run_until(side[0].n_accepted == 1);
		if (e.c != NULL)
			end_close(&e);
		conn_close(below[1].c);
		finish();
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_loop, teardown_loop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_arrive_in_order_whatever_the_reader_takes),
		TEST(many_streams_of_both_sides_at_once),
		TEST(a_deaf_reader_stops_the_writer_only),
		TEST(a_deaf_reader_stops_a_session_without_windows),
		TEST(owners_may_close_in_any_event),
		TEST(a_refused_stream_ends),
		TEST(all_hear_when_the_session_goes),
		TEST(bytes_before_a_close_still_arrive),
		TEST(a_ping_comes_back),
		TEST(first_bytes_are_the_sessions),
	};

	signal(SIGPIPE, SIG_IGN); // as the program does
	return cmocka_run_group_tests(tests, NULL, NULL);
}
