// Order per route by distance, and ends of routes on the receiving side (rail 4).
#include "lib/link/rel_hold_priv.h"
#include "lib/link/rel_run.h"
#include "tests/lib/link/rel_fixture.h"

struct arrival {
	uint32_t seq, dist, id;
};

// Route ids in the order in which their packets are released, by arrival of (seq, dist, id).
static void releases_by_distance(void **state)
{
	static const struct {
		const char *name;
		struct arrival in[8];
		unsigned n;
		const char *out; // digits: sequences
	} cases[] = {
		{"in order", {{0, 0, 1}, {1, 1, 1}, {2, 1, 1}}, 3, "012"},
		{"a gap holds up its own route", {{0, 0, 1}, {2, 1, 1}, {3, 0, 2}, {1, 1, 1}}, 4,
			"0312"},
		{"backwards", {{3, 1, 1}, {2, 1, 1}, {1, 1, 1}, {0, 0, 1}}, 4, "0123"},
		{"two routes woven", {{2, 2, 1}, {3, 2, 2}, {1, 0, 2}, {0, 0, 1}}, 4, "1302"},
		{"distance 0 waits for nobody", {{5, 0, 1}, {4, 0, 2}}, 2, "54"},
		{"each once", {{0, 0, 1}, {0, 0, 1}, {2, 1, 1}, {2, 1, 1}, {1, 1, 1}}, 5, "012"},
		{"a released one above a gap releases", {{1, 0, 2}, {2, 1, 2}, {0, 0, 1}}, 3,
			"120"},
	};

	for (unsigned c = 0; c < ARRAY_LEN(cases); c++) {
		struct fx *f = fx_new(1024);
		char out[16] = "";

		for (unsigned i = 0; i < cases[c].n; i++) {
			const struct arrival *a = &cases[c].in[i];
			unsigned before = f->out.n;
			uint8_t buf[128];
			struct bytes_w w = bytes_w(buf, sizeof(buf));

			fx_put_seq(&w, a->seq, a->dist, a->id, 20 + a->seq); // length says which
			assert_int_equal(fx_rx(f, &w), REL_COMMIT);
			for (unsigned k = before; k < f->out.n; k++)
				out[k] = (char)('0' + f->item[k].len - 20);
		}
		if (strcmp(out, cases[c].out) != 0)
			fail_msg("%s: %s", cases[c].name, out);
		fx_end(f);
	}
}

static void refuses_what_is_unlawful(void **state)
{
	static const struct {
		const char *name;
		struct arrival in[2];
		unsigned n;
	} cases[] = {
		{"before the first", {{0, 1, 1}}, 1},
		{"below the first", {{0xffffffff, 0, 1}}, 1},
		{"at the window", {{1 << REL_WINDOW_LOG2_MIN, 0, 1}}, 1},
		{"two after the same", {{5, 2, 1}, {4, 1, 1}}, 2},
	};

	for (unsigned c = 0; c < ARRAY_LEN(cases); c++) {
		struct fx *f = fx_new(1024);
		enum rel_verdict v = REL_COMMIT;

		for (unsigned i = 0; i < cases[c].n; i++) {
			assert_int_equal(v, REL_COMMIT);
			v = fx_rx_seq(
				f, cases[c].in[i].seq, cases[c].in[i].dist, cases[c].in[i].id);
		}
		if (v != REL_CLOSE_PROTOCOL)
			fail_msg("%s: %d", cases[c].name, v);
		assert_int_equal(fx_rx_seq(f, 0, 0, 1), REL_CLOSE_PROTOCOL); // until a reset
		rel_reset(f->rel, f->now_ns);
		replay_init(f->replay, REPLAY_BITS_DEFAULT);
		f->counter = 0;
		assert_int_equal(fx_rx_seq(f, 0, 0, 1), REL_COMMIT);
		fx_end(f);
	}
}

static void last_one_inside_the_window_is_taken(void **state)
{
	struct fx *f = fx_new(1024);

	assert_int_equal(fx_rx_seq(f, (1 << REL_WINDOW_LOG2_MIN) - 1, 0, 1), REL_COMMIT);
	assert_int_equal(f->out.n, 1);
	fx_end(f);
}

static void empty_frees_its_route_and_tells(void **state)
{
	struct rail_frame empty = {
		.type = RAIL_EMPTY, .seq = 1, .route_id = 7, .code = RAIL_GONE_HELD};
	struct fx *f = fx_new(1024);
	struct rel_event ev;

	fx_rx_seq(f, 0, 0, 7);
	fx_rx_seq(f, 2, 1, 7);
	fx_rx_seq(f, 3, 1, 7);
	fx_rx_seq(f, 5, 1, 8);
	assert_int_equal(f->out.n, 1);
	assert_int_equal(fx_rx_frame(f, &empty), REL_COMMIT);
	assert_true(fx_event(f, REL_EV_EMPTY, &ev));
	assert_int_equal(ev.reason, RAIL_GONE_HELD);
	assert_int_equal(ev.route_id, 7);
	assert_int_equal(f->out.n, 1); // 2 and 3 are gone, not released
	assert_int_equal(fx_stats(f).rx_freed, 2);
	fx_rx_seq(f, 4, 0, 8); // and nothing is missing below it
	assert_int_equal(f->out.n, 3);
	fx_end(f);
}

// Else it would go on past the hole: the caller does not know of it yet.
static void what_comes_behind_an_empty_waits_for_its_event(void **state)
{
	struct rail_frame empty = {
		.type = RAIL_EMPTY, .seq = 1, .route_id = 7, .code = RAIL_GONE_HELD};
	struct rail_frame gone = {
		.type = RAIL_GONE, .seq = 2, .route_id = 3, .code = RAIL_GONE_HELD};
	struct fx *f = fx_new(1024);
	struct bytes_w w;
	struct rel_event ev;
	uint8_t buf[128];
	const uint8_t *frames = buf;
	uint32_t len;

	rel_queue_open(f->q, 3, 3);
	fx_rx_seq(f, 0, 0, 7);
	assert_int_equal(fx_rx_frame(f, &empty), REL_COMMIT);
	fx_rx_frame(f, &gone); // an event behind it is none of its business
	fx_rx_seq(f, 3, 2, 7);
	fx_rx_seq(f, 5, 1, 7);
	fx_rx_seq(f, 4, 1, 7);
	w = bytes_w(buf, sizeof(buf));
	fx_put_seq(&w, 6, 1, 7, 20);
	len = (uint32_t)bytes_w_len(&w);
	assert_int_equal(rel_rx_run(f->rel, &frames, &len, 1, f->counter, f->now_ns), 0);
	assert_int_equal(f->out.n, 1);
	assert_true(rel_hold_event(f->hold, &ev));
	assert_int_equal(ev.kind, REL_EV_EMPTY);
	assert_false(rel_rx_more(f->rel, &f->out));
	assert_int_equal(f->out.n, 4);
	assert_int_equal((uintptr_t)f->item[1].handle, 4); // in order
	assert_int_equal((uintptr_t)f->item[2].handle, 6);
	assert_int_equal((uintptr_t)f->item[3].handle, 5);
	fx_end(f);
}

static void what_comes_before_an_empty_does_not_wait(void **state)
{
	struct rail_frame empty = {
		.type = RAIL_EMPTY, .seq = 1, .route_id = 7, .code = RAIL_GONE_HELD};
	struct fx *f = fx_new(1024);
	uint8_t buf[128];
	struct bytes_w w = bytes_w(buf, sizeof(buf));
	struct rel_event ev;

	fx_put_seq(&w, 0, 0, 7, 20);
	rail_frame_encode(&w, &empty);
	fx_put_seq(&w, 2, 1, 7, 20);
	assert_int_equal(fx_rx(f, &w), REL_COMMIT);
	assert_int_equal(f->out.n, 1);
	assert_true(fx_event(f, REL_EV_EMPTY, &ev));
	rel_rx_more(f->rel, &f->out);
	assert_int_equal(f->out.n, 2);
	fx_end(f);
}

// All of it is given back, and the next instance knows nothing of it.
static void what_waits_behind_an_empty_goes_with_its_link(void **state)
{
	struct rail_frame empty = {
		.type = RAIL_EMPTY, .seq = 0, .route_id = 7, .code = RAIL_GONE_HELD};
	struct fx *f = fx_new(1024);

	assert_int_equal(fx_rx_frame(f, &empty), REL_COMMIT);
	fx_rx_seq(f, 1, 1, 7);
	assert_int_equal(f->out.n, 0);
	rel_reset(f->rel, f->now_ns);
	assert_int_equal(rel_hold_account_bufs(f->hold, f->account), 0);
	f->counter = 0;
	replay_init(f->replay, REPLAY_BITS_DEFAULT);
	fx_rx_seq(f, 0, 0, 7);
	assert_int_equal(f->out.n, 1);
	fx_end(f);
}

static void empty_of_a_received_sequence_counts(void **state)
{
	struct rail_frame empty = {
		.type = RAIL_EMPTY, .seq = 0, .route_id = 7, .code = RAIL_GONE_HELD};
	struct fx *f = fx_new(1024);
	struct rel_event ev;

	fx_rx_seq(f, 0, 0, 7);
	assert_int_equal(fx_rx_frame(f, &empty), REL_COMMIT);
	assert_true(fx_event(f, REL_EV_EMPTY, &ev));
	assert_int_equal(ev.reason, RAIL_GONE_HELD);
	fx_end(f);
}

static void ingress_close_frees_and_sends_gone(void **state)
{
	struct fx *f = fx_new(1024);
	struct rail_frame frame;
	struct rel_dgram d;

	fx_rx_seq(f, 2, 1, 7);
	fx_rx_seq(f, 3, 1, 7);
	rel_ingress_close(f->rel, 7, RAIL_GONE_HELD, f->now_ns);
	assert_int_equal(rel_hold_account_bufs(f->hold, f->account), 0);
	do
		assert_true(fx_next(f, &d, &frame));
	while (frame.type == RAIL_PROBE);
	assert_int_equal(frame.type, RAIL_GONE);
	assert_int_equal(frame.route_id, 7);
	assert_int_equal(frame.code, RAIL_GONE_HELD);
	fx_rx_seq(f, 1, 0, 7); // what comes late goes on to find no rule
	assert_int_equal(f->out.n, 1);
	fx_end(f);
}

// The last eighth of the budget is for what can be released at once.
static void last_eighth_takes_no_held_ones(void **state)
{
	struct fx *f = fx_new(256);
	uint32_t seq = 1;

	while (fx_rx_seq(f, 2 * seq, 1, seq) == REL_COMMIT)
		seq++;
	assert_in_range(seq, 57, 225); // spare routes or an eighth less than 256
	assert_int_equal(f->out.n, 0);
	assert_int_equal(fx_rx_seq(f, 1, 0, 999), REL_COMMIT); // releases itself and another
	assert_int_equal(f->out.n, 2);
	assert_int_equal(fx_rx_seq(f, 0, 0, 1000), REL_COMMIT);
	fx_end(f);
}

static void uncommitted_is_not_acked(void **state)
{
	struct fx *f = fx_new(256);
	uint32_t seq = 1;

	for (; fx_rx_seq(f, 2 * seq, 1, 1 + seq % 32) == REL_COMMIT; seq++)
		;
	assert_false(replay_seen(f->replay, f->counter - 1));
	assert_int_equal(fx_stats(f).rx_no_room, 1);
	fx_end(f);
}

// ---- parts ----

struct part {
	uint32_t off, len;
};

static enum rel_verdict rx_part(struct fx *f, uint32_t seq, struct part p, uint32_t total)
{
	uint8_t data[64] = {0};
	struct rail_frame frame = {.type = RAIL_PART,
		.seq = seq,
		.total = total,
		.offset = p.off,
		.len = p.len,
		.data = data};

	return fx_rx_frame(f, &frame);
}

static void joins_parts_of_any_cut(void **state)
{
	static const struct {
		struct part in[5];
		unsigned n;
		const char *segs; // lengths
	} cases[] = {
		{{{0, 40}}, 1, "40 "},
		{{{0, 20}, {20, 20}}, 2, "20 20 "},
		{{{20, 20}, {0, 20}}, 2, "20 20 "},
		{{{0, 20}, {10, 30}}, 2, "20 20 "},
		{{{10, 10}, {0, 40}}, 2, "10 10 20 "},
		{{{0, 10}, {30, 10}, {0, 10}, {5, 30}}, 4, "10 20 10 "},
		{{{30, 10}, {20, 10}, {10, 10}, {0, 10}}, 4, "10 10 10 10 "},
	};

	for (unsigned c = 0; c < ARRAY_LEN(cases); c++) {
		struct fx *f = fx_new(1024);
		char segs[64] = "";

		for (unsigned i = 0; i < cases[c].n; i++) {
			assert_int_equal(f->out.n, 0);
			assert_int_equal(rx_part(f, 0, cases[c].in[i], 40), REL_COMMIT);
		}
		for (unsigned i = 0; i < f->out.n; i++) {
			snprintf(segs + strlen(segs), 8, "%u ", f->item[i].len);
			assert_int_equal(f->item[i].more, i + 1 < f->out.n);
		}
		assert_string_equal(segs, cases[c].segs);
		fx_end(f);
	}
}

// However full the worker is, parts of the lowest missing sequence have a place.
static void lowest_incomplete_may_exceed_the_bound(void **state)
{
	struct fx *f = fx_new(256);
	uint32_t seq = 2;

	while (fx_rx_seq(f, 2 * seq, 1, seq % 32) == REL_COMMIT)
		seq++;
	assert_int_equal(rx_part(f, 5, (struct part){0, 10}, 40), REL_NO_ROOM);
	assert_int_equal(rx_part(f, 0, (struct part){0, 10}, 40), REL_COMMIT);
	assert_int_equal(rx_part(f, 0, (struct part){10, 30}, 40), REL_COMMIT);
	assert_int_equal(f->out.n, 2);
	fx_end(f);
}

static void ack_names_counters_and_next_sequence(void **state)
{
	struct fx *f = fx_new(1024);
	struct rail_frame frame;
	struct rail_range range;
	struct rail_ack_iter it = {0};
	struct rel_dgram d;
	struct bytes_r r;

	fx_rx_seq(f, 0, 0, 1);
	fx_rx_seq(f, 1, 1, 1);
	f->counter = 5;
	fx_rx_seq(f, 3, 1, 1);
	assert_true(rel_next(f->rel, &d, f->now_ns));
	r = bytes_r(d.hdr, d.hdr_len);
	assert_int_equal(rail_frame_next(&r, &frame), 0);
	assert_int_equal(frame.type, RAIL_ACK);
	assert_int_equal(frame.ack.next_seq, 2);
	assert_true(rail_ack_next(&frame.ack, &it, &range) && range.hi == 5 && range.lo == 5);
	assert_true(rail_ack_next(&frame.ack, &it, &range) && range.hi == 1 && range.lo == 0);
	assert_false(rail_ack_next(&frame.ack, &it, &range));
	fx_end(f);
}

static void whole_completes_parts(void **state)
{
	struct fx *f = fx_new(1024);

	rx_part(f, 0, (struct part){0, 10}, 20);
	fx_rx_seq(f, 0, 0, 1);
	assert_int_equal(f->out.n, 1);
	assert_int_equal(f->item[0].len, 20);
	assert_int_equal(rel_hold_account_bufs(f->hold, f->account), 0);
	fx_end(f);
}

static void second_total_is_unlawful(void **state)
{
	struct fx *f = fx_new(1024);

	rx_part(f, 0, (struct part){0, 10}, 20);
	assert_int_equal(rx_part(f, 0, (struct part){10, 10}, 21), REL_CLOSE_PROTOCOL);
	fx_end(f);
}

// ---- what one peer may take from the others ----

// Something out of order, of as many routes as there are frames; how many found a place.
static unsigned hold_back_many(struct fx *f, struct rel *r, uint8_t type, unsigned n)
{
	unsigned placed = 0;

	for (unsigned i = 0; i < n; i++) {
		struct rail_frame pause = {.type = RAIL_PAUSE,
			.seq = 2 * i + 3,
			.distance = 1,
			.route_id = 1000 + i,
			.limit_s = 10};
		uint8_t buf[128];
		struct bytes_w w = bytes_w(buf, sizeof(buf));

		if (type == RAIL_SEQ)
			fx_put_seq(&w, pause.seq, 1, pause.route_id, 20);
		else
			rail_frame_encode(&w, &pause);
		placed += fx_rx_at(f, r, &w) == REL_COMMIT;
	}
	return placed;
}

static void a_link_has_its_share_of_spare_entries(void **state)
{
	struct fx *f = fx_new(4096);
	struct rel_hold_stats st;

	fx_other(f);
	assert_int_equal(hold_back_many(f, f->other, RAIL_SEQ, 300), FX_SPARE / 2);
	rel_hold_stats(f->hold, &st);
	assert_int_equal(st.no_spares, 300 - FX_SPARE / 2);
	assert_int_equal(hold_back_many(f, f->rel, RAIL_SEQ, 100), 100);
	rel_reset(f->other, f->now_ns);
	assert_int_equal(hold_back_many(f, f->other, RAIL_SEQ, 10), 10);
	fx_end(f);
}

static void a_link_has_its_share_of_control_frames(void **state)
{
	enum { BUFS = 1024, ALL = BUFS / 8 + 2048 };
	struct fx *f = fx_new(BUFS);
	struct rel_hold_stats st;

	fx_other(f);
	assert_int_equal(hold_back_many(f, f->other, RAIL_PAUSE, 3000), ALL / 2);
	rel_hold_stats(f->hold, &st);
	assert_int_equal(st.no_nodes, 3000 - ALL / 2);
	assert_int_equal(hold_back_many(f, f->rel, RAIL_PAUSE, 100), 100);
	// nor do they take what packets within the budget need
	rel_queue_open(f->q, 3, 3);
	for (unsigned i = 0; i < BUFS - 8; i++)
		assert_true(fx_push(f, 3, 20, 0));
	rel_hold_stats(f->hold, &st);
	assert_int_equal(st.closed_held, 0);
	fx_end(f);
}

// Without a node to tell it, GONE finds no place and comes again.
static void gone_is_not_lost_without_a_node(void **state)
{
	enum { ALL = 1 << 14 };
	static uint32_t taken[ALL];
	struct rail_frame gone = {
		.type = RAIL_GONE, .route_id = 77, .seq = 0, .code = RAIL_GONE_HELD};
	struct fx *f = fx_new(1024);
	struct rel_event ev;
	unsigned n = 0;

	rel_queue_open(f->q, 3, 77);
	while (n < ALL && (taken[n] = rel_hold_node_new(f->hold, 0)) != 0)
		n++;
	assert_true(n < ALL);
	assert_int_equal(fx_rx_frame(f, &gone), REL_NO_ROOM);
	while (n > 0)
		node_free(f->hold, taken[--n]);
	assert_int_equal(fx_rx_frame(f, &gone), REL_COMMIT);
	assert_true(fx_event(f, REL_EV_GONE, &ev));
	assert_int_equal(ev.route, 3);
	fx_end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(releases_by_distance),
		cmocka_unit_test(refuses_what_is_unlawful),
		cmocka_unit_test(last_one_inside_the_window_is_taken),
		cmocka_unit_test(empty_frees_its_route_and_tells),
		cmocka_unit_test(what_comes_behind_an_empty_waits_for_its_event),
		cmocka_unit_test(what_comes_before_an_empty_does_not_wait),
		cmocka_unit_test(what_waits_behind_an_empty_goes_with_its_link),
		cmocka_unit_test(empty_of_a_received_sequence_counts),
		cmocka_unit_test(ingress_close_frees_and_sends_gone),
		cmocka_unit_test(last_eighth_takes_no_held_ones),
		cmocka_unit_test(uncommitted_is_not_acked),
		cmocka_unit_test(joins_parts_of_any_cut),
		cmocka_unit_test(lowest_incomplete_may_exceed_the_bound),
		cmocka_unit_test(ack_names_counters_and_next_sequence),
		cmocka_unit_test(whole_completes_parts),
		cmocka_unit_test(second_total_is_unlawful),
		cmocka_unit_test(a_link_has_its_share_of_spare_entries),
		cmocka_unit_test(a_link_has_its_share_of_control_frames),
		cmocka_unit_test(gone_is_not_lost_without_a_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
