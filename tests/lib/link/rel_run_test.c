// Many datagrams at once: where a run ends, and that what it leaves is what one by one would leave.
// That whole worlds do not change is shown in rel_sim_test.c.

#include "lib/link/rel_run.h"
#include "tests/lib/link/rel_fixture.h"

enum { N = 20, PACKET = 20, ROUTE = 5, ID = 7 };

// ---- in ----

struct burst {
	uint8_t bytes[N][128];
	const uint8_t *frames[N];
	uint32_t len[N];
};

static void seq(struct burst *b, unsigned i, uint32_t seq, uint32_t dist)
{
	struct bytes_w w = bytes_w(b->bytes[i], sizeof(b->bytes[i]));

	fx_put_seq(&w, seq, dist, ID, PACKET);
	b->frames[i] = b->bytes[i];
	b->len[i] = (uint32_t)bytes_w_len(&w);
}

static void in_order(struct burst *b)
{
	for (unsigned i = 0; i < N; i++)
		seq(b, i, i, i == 0 ? 0 : 1);
}

static unsigned rx_run(struct fx *f, const struct burst *b)
{
	unsigned n = rel_rx_run(f->rel, b->frames, b->len, N, f->counter, f->now_ns);

	for (unsigned i = 0; i < n; i++)
		replay_commit(f->replay, f->counter++);
	return n;
}

static void packets_in_order_are_taken_at_once(void **state)
{
	struct fx *f = fx_new(1024);
	struct rel_stats st;
	struct burst b;

	in_order(&b);
	assert_int_equal(rx_run(f, &b), N);
	rel_stats(f->rel, &st);
	assert_int_equal(st.rx_packets, N);
	assert_int_equal(fx_rx_seq(f, N, 1, ID), REL_COMMIT); // one by one goes on from there
	assert_int_equal(f->out.n, 1);
	assert_int_equal(fx_rx_seq(f, 3, 1, ID), REL_COMMIT);
	assert_int_equal(f->out.n, 1); // known
	fx_end(f);
}

static void a_run_is_acked_as_one_by_one(void **state)
{
	struct fx *a = fx_new(1024), *b = fx_new(1024);
	struct rel_dgram da, db;
	struct burst burst;

	in_order(&burst);
	assert_int_equal(rx_run(a, &burst), N);
	for (unsigned i = 0; i < N; i++)
		fx_rx_seq(b, i, i == 0 ? 0 : 1, ID);
	a->now_ns = b->now_ns += 2 * MS;
	for (unsigned i = 0; i < 2; i++) { // a PROBE for the round trip, with the ACK
		bool more = rel_next(a->rel, &da, a->now_ns);

		assert_int_equal(rel_next(b->rel, &db, b->now_ns), more);
		if (!more)
			break;
		assert_int_equal(da.counter, db.counter);
		assert_int_equal(da.len, db.len);
		assert_memory_equal(da.hdr, db.hdr, da.hdr_len);
	}
	fx_end(a);
	fx_end(b);
}

static void a_run_ends_before_what_is_odd(void **state)
{
	static const struct {
		const char *what;
		uint32_t seq, dist;
		uint8_t type;
		int more; // bytes
	} odd[] = {
		{"a gap", 8, 1, RAIL_SEQ, 0},
		{"known", 6, 1, RAIL_SEQ, 0},
		{"before the first", 7, 8, RAIL_SEQ, 0},
		{"another frame", 7, 1, RAIL_EMPTY, 0},
		{"longer than the packet", 7, 1, RAIL_SEQ, 1},
		{"shorter", 7, 1, RAIL_SEQ, -1},
		{"no header", 7, 1, RAIL_SEQ, -PACKET + 1},
	};

	for (unsigned i = 0; i < ARRAY_LEN(odd); i++) {
		struct fx *f = fx_new(1024);
		struct burst b;
		unsigned n;

		in_order(&b);
		seq(&b, 7, odd[i].seq, odd[i].dist);
		b.bytes[7][0] = odd[i].type;
		b.len[7] += (uint32_t)odd[i].more;
		n = rx_run(f, &b);
		if (n != 7)
			fail_msg("%s: %u", odd[i].what, n);
		assert_int_equal(
			rel_rx_run(f->rel, b.frames + 7, b.len + 7, 1, f->counter, f->now_ns), 0);
		fx_end(f);
	}
}

static void nothing_is_taken_past_a_hole(void **state)
{
	struct fx *f = fx_new(1024);
	struct burst b;

	in_order(&b);
	f->counter++; // one datagram is missing: an ACK is due at once, which rel_rx() knows
	assert_int_equal(rx_run(f, &b), 0);
	fx_rx_seq(f, 0, 0, ID);
	fx_rx_seq(f, 2, 1, ID); // held
	seq(&b, 0, 1, 1);
	assert_int_equal(rx_run(f, &b), 0);
	fx_end(f);
}

// ---- out ----

// A link that knows a round trip and has something in flight.
static struct fx *sending(void)
{
	struct fx *f = fx_new(1024);
	struct rel_dgram d;

	rel_queue_open(f->q, ROUTE, ID);
	rel_queue_open(f->q, ROUTE + 1, ID + 1);
	fx_push(f, ROUTE, 100, 0);
	assert_true(rel_next(f->rel, &d, f->now_ns));
	return f;
}

static unsigned next_run(struct fx *f, struct rel_sent *s, unsigned max, uint64_t *counter)
{
	return rel_next_run(f->rel, s, max, counter, f->now_ns);
}

static void packets_that_wait_leave_at_once(void **state)
{
	struct rel_sent s[REL_RUN_MAX];
	struct fx *f = sending();
	struct rel_dgram d;
	uint64_t counter;
	unsigned n;

	for (unsigned i = 0; i < 6; i++)
		fx_push(f, ROUTE + i % 2, 100 + i, 0);
	n = next_run(f, s, 2, &counter);
	assert_int_equal(n, 2);
	assert_int_equal(counter, 1);
	n += next_run(f, s + n, REL_RUN_MAX, &counter);
	assert_int_equal(n, 6);
	assert_int_equal(counter, 3);
	assert_int_equal(fx_stats(f).waiting, 0);
	assert_int_equal(fx_stats(f).waiting_bytes, 0);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(s[i].hdr[0], RAIL_SEQ);
		assert_int_equal(be32_get(s[i].hdr + 1), i + 1);
	}
	// the first one of the second route has none before it
	assert_int_equal(be32_get(s[0].hdr + 4) & RAIL_DISTANCE_MAX, 1);
	assert_int_equal(next_run(f, s, REL_RUN_MAX, &counter), 0);
	assert_false(rel_next(f->rel, &d, f->now_ns));
	fx_rx_ack(f, 6, 0, 7);
	rel_rx_more(f->rel, &f->out);
	assert_int_equal(f->n_held, 0);
	fx_end(f);
}

static void first_of_all_is_for_rel_next(void **state)
{
	struct fx *f = fx_new(1024);
	struct rel_sent s[2];
	uint64_t counter;

	rel_queue_open(f->q, ROUTE, ID);
	fx_push(f, ROUTE, 100, 0);
	assert_int_equal(next_run(f, s, 2, &counter), 0); // nothing is in flight, no chunk is there
	fx_end(f);
}

static void what_goes_before_packets_ends_a_run(void **state)
{
	struct rel_sent s[2];
	uint64_t counter;

	for (unsigned k = 0; k < 4; k++) {
		struct fx *f = sending();
		struct rel_dgram d;

		fx_push(f, ROUTE, 100, 0);
		if (k == 0)
			rel_pause(f->rel, 1, 0, f->now_ns);
		else if (k == 1)
			rel_probe(f->rel, 1, 0, f->now_ns);
		else if (k == 2) // there is room for the ACK that is owed
			fx_rx_seq(f, 0, 0, ID);
		else
			rel_set_room(f->rel, 64);
		assert_int_equal(next_run(f, s, 2, &counter), 0);
		assert_true(rel_next(f->rel, &d, f->now_ns));
		fx_end(f);
	}
}

static void a_run_keeps_to_the_window_and_the_pace(void **state)
{
	struct rel_sent s[REL_RUN_MAX];
	struct fx *f = sending();
	struct rel_dgram d;
	uint64_t counter;
	unsigned n;

	for (unsigned i = 0; i < REL_RUN_MAX; i++)
		fx_push(f, ROUTE, 1300, 0);
	n = next_run(f, s, REL_RUN_MAX, &counter);
	assert_true(n > 0 && n < REL_RUN_MAX);
	assert_int_equal(next_run(f, s, 1, &counter), 0);
	assert_false(rel_next(f->rel, &d, f->now_ns)); // which would not have sent more
	fx_end(f);
}

static void a_counter_that_is_left_out_ends_a_run(void **state)
{
	struct fx *f = sending();
	uint64_t next = 1, counter, left_out = 0;
	struct rel_sent s[8];
	struct rel_dgram d;

	for (unsigned i = 0; i < 1 << 18 && left_out == 0; i++) {
		unsigned n;

		for (unsigned k = 0; k < 8; k++)
			fx_push(f, ROUTE, 100, 0);
		while ((n = next_run(f, s, 8, &counter)) != 0 || rel_next(f->rel, &d, f->now_ns)) {
			uint64_t got = n != 0 ? counter : d.counter;

			if (got != next)
				left_out = next;
			next = got + (n != 0 ? n : 1);
		}
		f->now_ns += MS;
		assert_int_equal(
			fx_rx_ack(f, next - 1, left_out == 0 ? next - 8 : next - 1, 0), REL_COMMIT);
		if (left_out == 0)
			rel_rx_more(f->rel, &f->out);
	}
	assert_true(left_out != 0);
	fx_end(f);
}

// ---- small packets ----

// A link that may put four packets into a datagram, and so many wait, of that length.
static struct fx *sharing(unsigned n, uint32_t len)
{
	struct fx *f = fx_new_frames(1024, 4);
	struct rel_dgram d;

	rel_queue_open(f->q, ROUTE, ID);
	rel_queue_open(f->q, ROUTE + 1, ID + 1);
	fx_push(f, ROUTE, 100, 0);
	assert_true(rel_next(f->rel, &d, f->now_ns));
	assert_int_equal(d.n, 1); // it is not kept waiting for others
	for (unsigned i = 0; i < n; i++)
		fx_push(f, ROUTE + i % 2, len, 0);
	return f;
}

static void small_packets_that_wait_share_datagrams(void **state)
{
	static const unsigned want[] = {4, 2};
	struct fx *f = sharing(6, 64);
	struct rel_sent s[2];
	struct rel_dgram d;
	uint64_t counter;

	for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
		assert_int_equal(next_run(f, s, 2, &counter), 0);
		assert_true(rel_next(f->rel, &d, f->now_ns));
		assert_int_equal(d.n, want[i]);
		assert_int_equal(d.len, want[i] * (RAIL_SEQ_HDR_LEN + 64));
	}
	assert_int_equal(fx_rx_ack(f, 2, 0, 7), REL_COMMIT);
	assert_int_equal(fx_stats(f).unacked, 0);
	fx_end(f);
}

static void large_packets_and_single_ones_go_alone(void **state)
{
	struct fx *f = sharing(3, 800);
	struct rel_sent s[4];
	uint64_t counter;

	assert_int_equal(next_run(f, s, 4, &counter), 3);
	fx_end(f);
	f = sharing(1, 64);
	assert_int_equal(next_run(f, s, 4, &counter), 1);
	fx_end(f);
}

// ---- acked ----

// Sends six packets and lets `skip` datagrams with ACKs alone go between them. Counters 0 .. 6 +
// skip.
static struct fx *six_sent(unsigned skip)
{
	struct rel_sent s[REL_RUN_MAX];
	struct fx *f = sending();
	struct rel_dgram d;
	uint64_t counter;

	for (unsigned i = 0; i < 6; i++) {
		if (i < skip) {
			fx_rx_seq(f, i, i == 0 ? 0 : 1, ID);
			f->now_ns += 2 * MS;
			assert_true(rel_next(f->rel, &d, f->now_ns));
		}
		fx_push(f, ROUTE + i % 2, 100, 0);
		assert_int_equal(next_run(f, s, 1, &counter), 1);
	}
	return f;
}

static void all_that_an_ack_names_is_given_back(void **state)
{
	for (unsigned skip = 0; skip < 4; skip++) {
		struct fx *f = six_sent(skip);
		struct rel_stats st;

		f->now_ns += MS;
		assert_int_equal(fx_rx_ack(f, 6 + skip, 0, 7), REL_COMMIT);
		st = fx_stats(f);
		assert_int_equal(st.tx_packets, 7);
		assert_int_equal(st.unacked, 0);
		assert_int_equal(st.in_flight, 0);
		assert_int_equal(rel_hold_route_bufs(f->hold, ROUTE), 0);
		assert_int_equal(rel_hold_account_bufs(f->hold, f->account), 0);
		assert_int_equal(f->n_freed, 7 + 1); // and what the ACK came in
		fx_end(f);
	}
}

// A PROBE is in flight where no packet is, and no chunk either.
static void a_probe_is_no_part_of_a_run(void **state)
{
	struct fx *f = fx_new(1024);
	struct rel_dgram d;

	rel_probe(f->rel, 1, 0, f->now_ns);
	assert_true(rel_next(f->rel, &d, f->now_ns));
	f->now_ns += MS;
	assert_int_equal(fx_rx_ack(f, 0, 0, 0), REL_COMMIT);
	assert_int_equal(fx_stats(f).in_flight, 0);
	fx_end(f);
}

// What is between two ranges stays, and so does what is behind a run.
static void a_hole_in_an_ack_is_no_part_of_a_run(void **state)
{
	struct fx *f = six_sent(0);
	struct rail_frame frame = {
		.type = RAIL_ACK, .ack = {.highest = 4, .first = 0, .next_seq = 2, .n = 1}};
	static const uint8_t pair[] = {0, 1, 0, 1}; // 3 and 2 did not come, 1 and 0 did

	frame.ack.pairs = pair;
	f->now_ns += MS;
	assert_int_equal(fx_rx_frame(f, &frame), REL_COMMIT);
	assert_int_equal(fx_stats(f).tx_packets, 3);
	assert_int_equal(fx_stats(f).unacked, 4);
	assert_int_equal(fx_rx_ack(f, 6, 0, 7), REL_COMMIT);
	assert_int_equal(fx_stats(f).tx_packets, 7);
	fx_end(f);
}

static void a_route_that_drains_is_done_with_its_last_ack(void **state)
{
	struct fx *f = six_sent(0);
	struct rel_event ev;

	rel_queue_drain(f->q, ROUTE);
	assert_int_equal(fx_rx_ack(f, 4, 0, 5), REL_COMMIT);
	assert_false(fx_event(f, REL_EV_DONE, &ev));
	assert_int_equal(fx_rx_ack(f, 6, 0, 7), REL_COMMIT);
	assert_true(fx_event(f, REL_EV_DONE, &ev));
	assert_int_equal(ev.route, ROUTE);
	fx_end(f);
}

// ---- into the queue ----

static struct rel_push a_push(struct fx *f, uint32_t route, uint32_t len)
{
	return (struct rel_push){
		.pkt = {.handle = fx_handle(f), .len = len, .account = f->account, .bufs = 1},
		.route = route};
}

static unsigned push_run(struct fx *f, uint32_t route, unsigned n, uint32_t len)
{
	struct rel_push p[N] = {0};
	unsigned k;

	for (unsigned i = 0; i < n; i++)
		p[i] = a_push(f, route + i % 2, len);
	k = rel_push_run(f->q, p, n);
	for (unsigned i = k; i < n; i++)
		fx_back(f, p[i].pkt.handle);
	return k;
}

static void many_are_pushed_as_one_by_one(void **state)
{
	struct fx *a = sending(), *b = sending();
	struct rel_dgram da, db;

	assert_int_equal(push_run(a, ROUTE, N, 100), N);
	for (unsigned i = 0; i < N; i++)
		fx_push(b, ROUTE + i % 2, 100, 0);
	assert_int_equal(rel_hold_route_bufs(a->hold, ROUTE), rel_hold_route_bufs(b->hold, ROUTE));
	assert_int_equal(rel_hold_account_bufs(a->hold, a->account), N + 1);
	assert_int_equal(fx_stats(a).waiting, N);
	assert_int_equal(fx_stats(a).waiting_bytes, N * 100);
	for (unsigned i = 0; i < N; i++) {
		bool more = rel_next(a->rel, &da, a->now_ns);

		assert_int_equal(rel_next(b->rel, &db, b->now_ns), more);
		if (!more)
			break;
		assert_ptr_equal(da.piece[0].handle, db.piece[0].handle);
		assert_memory_equal(da.hdr, db.hdr, da.hdr_len);
	}
	fx_end(a);
	fx_end(b);
}

static void accounts_of_a_push_are_told_apart(void **state)
{
	struct fx *f = sending();
	uint16_t other = (uint16_t)rel_hold_account_open(f->hold);
	struct rel_push p[4];

	for (unsigned i = 0; i < 4; i++) {
		p[i] = a_push(f, ROUTE + i % 2, 100);
		p[i].pkt.account = i % 2 == 1 ? other : f->account;
	}
	assert_int_equal(rel_push_run(f->q, p, 4), 4);
	assert_int_equal(rel_hold_account_bufs(f->hold, f->account), 3);
	assert_int_equal(rel_hold_account_bufs(f->hold, other), 2);
	fx_end(f);
}

// It is for rel_queue_push() to refuse, to tell, or to close somebody.
static void a_push_ends_where_more_than_waiting_is_due(void **state)
{
	struct fx *f = sending();
	struct rel_event ev;

	assert_int_equal(push_run(f, ROUTE + 7, 4, 100), 0); // not open
	assert_int_equal(push_run(f, ROUTE + 1, 4, 100), 1);
	rel_queue_drain(f->q, ROUTE + 1);
	assert_int_equal(push_run(f, ROUTE, 4, 100), 1);
	assert_int_equal(push_run(f, ROUTE, 1, REL_PAUSE_BYTES - 100), 1);
	assert_int_equal(push_run(f, ROUTE, 1, 100), 0); // a pause is to be told
	assert_false(fx_event(f, REL_EV_PAUSE, &ev));
	assert_true(fx_push(f, ROUTE, 100, 0));
	assert_true(fx_event(f, REL_EV_PAUSE, &ev));
	assert_int_equal(push_run(f, ROUTE, 1, 100), 1);
	fx_end(f);
}

static void a_push_keeps_to_the_budget(void **state)
{
	struct fx *f = fx_new(256);
	unsigned n = 0, k;

	rel_queue_open(f->q, ROUTE, ID);
	rel_queue_open(f->q, ROUTE + 1, ID + 1);
	fx_push(f, ROUTE, 20, 0); // nodes are made by rel_queue_push()
	while ((k = push_run(f, ROUTE, N, 20)) != 0)
		n += k;
	assert_int_equal(rel_hold_account_bufs(f->hold, f->account), 1 + n);
	assert_true(1 + n <= 256 && 1 + n >= 255);
	fx_end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_in_order_are_taken_at_once),
		cmocka_unit_test(a_run_is_acked_as_one_by_one),
		cmocka_unit_test(a_run_ends_before_what_is_odd),
		cmocka_unit_test(nothing_is_taken_past_a_hole),
		cmocka_unit_test(packets_that_wait_leave_at_once),
		cmocka_unit_test(first_of_all_is_for_rel_next),
		cmocka_unit_test(what_goes_before_packets_ends_a_run),
		cmocka_unit_test(a_run_keeps_to_the_window_and_the_pace),
		cmocka_unit_test(a_counter_that_is_left_out_ends_a_run),
		cmocka_unit_test(small_packets_that_wait_share_datagrams),
		cmocka_unit_test(large_packets_and_single_ones_go_alone),
		cmocka_unit_test(all_that_an_ack_names_is_given_back),
		cmocka_unit_test(a_probe_is_no_part_of_a_run),
		cmocka_unit_test(a_hole_in_an_ack_is_no_part_of_a_run),
		cmocka_unit_test(a_route_that_drains_is_done_with_its_last_ack),
		cmocka_unit_test(many_are_pushed_as_one_by_one),
		cmocka_unit_test(accounts_of_a_push_are_told_apart),
		cmocka_unit_test(a_push_ends_where_more_than_waiting_is_due),
		cmocka_unit_test(a_push_keeps_to_the_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
