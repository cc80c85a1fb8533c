// Egress queues, pauses and the budget (rail 4).
#include "tests/lib/link/rel_fixture.h"

static struct rel_pkt packet(struct fx *f, uint16_t account)
{
	return (struct rel_pkt){.handle = fx_handle(f), .len = 20, .account = account, .bufs = 1};
}

static void routes_take_turns_by_bytes(void **state)
{
	struct fx *f = fx_new(8192);
	uint64_t bytes[3] = {0};
	struct rel_queue *sink = rel_queue_init(malloc(rel_queue_mem_size()), f->hold);
	struct rel_pkt p;
	uint32_t route;

	for (unsigned r = 0; r < 3; r++)
		rel_queue_open(sink, r, 0);
	for (unsigned i = 0; i < 6000; i++) {
		static const uint32_t len[] = {60, 1400, 9000};
		unsigned r = i % 3;

		p = (struct rel_pkt){
			.handle = fx_handle(f), .len = len[r], .account = f->account, .bufs = 1};
		assert_true(rel_queue_push(sink, r, &p, 0, f->now_ns));
	}
	while (bytes[0] < 60 * 1900) {
		assert_true(rel_queue_pull(sink, &route, &p, f->now_ns));
		bytes[route] += p.len;
		fx_back(f, p.handle);
	}
	assert_true(bytes[1] > bytes[0] * 9 / 10 && bytes[1] < bytes[0] * 11 / 10);
	assert_true(bytes[2] > bytes[0] * 9 / 10 && bytes[2] < bytes[0] * 11 / 10);
	for (unsigned r = 0; r < 3; r++)
		rel_queue_forget(sink, r);
	rel_queue_fini(sink);
	rel_queue_fini(sink);
	free(sink);
	fx_end(f);
}

static void pauses_at_64_kib_and_resumes_at_half(void **state)
{
	struct fx *f = fx_new(4096);
	struct rel_queue *sink = rel_queue_init(malloc(rel_queue_mem_size()), f->hold);
	struct rel_pkt p;
	struct rel_event ev;
	uint32_t route, waiting = 0;

	rel_queue_open(sink, 5, 0);
	while (!fx_event(f, REL_EV_PAUSE, &ev)) {
		p = (struct rel_pkt){
			.handle = fx_handle(f), .len = 1000, .account = f->account, .bufs = 1};
		rel_queue_push(sink, 5, &p, 0, f->now_ns);
		waiting += 1000;
	}
	assert_int_equal(ev.route, 5);
	assert_int_equal(ev.limit_s, 0);
	assert_in_range(waiting, REL_PAUSE_BYTES, REL_PAUSE_BYTES + 1000);
	while (!fx_event(f, REL_EV_RESUME, &ev)) {
		assert_true(rel_queue_pull(sink, &route, &p, f->now_ns));
		fx_back(f, p.handle);
		waiting -= 1000;
	}
	assert_in_range(waiting, REL_PAUSE_BYTES / 2 - 1000, REL_PAUSE_BYTES / 2);
	rel_queue_forget(sink, 5);
	rel_queue_fini(sink);
	free(sink);
	fx_end(f);
}

static enum rel_verdict rx_ctl(struct fx *f, uint8_t type, uint32_t seq, uint32_t id, uint16_t arg)
{
	struct rail_frame frame = {.type = type,
		.seq = seq,
		.distance = seq == 0 ? 0 : 1,
		.route_id = id,
		.limit_s = arg,
		.code = (uint8_t)arg};

	return fx_rx_frame(f, &frame);
}

// A reader that does not read for long holds up its routes and ends none: who can't wait is told.
static void a_sink_that_nobody_reads_closes_nothing(void **state)
{
	struct fx *f = fx_new(4096);
	struct rel_queue *sink = rel_queue_init(malloc(rel_queue_mem_size()), f->hold);
	struct rel_event ev;

	rel_hold_tick(f->hold, f->now_ns);
	rel_queue_open(sink, 5, 0);
	for (unsigned i = 0; i < 70; i++) {
		struct rel_pkt p = packet(f, f->account);

		p.len = 1000;
		rel_queue_push(sink, 5, &p, 0, f->now_ns);
	}
	assert_true(fx_event(f, REL_EV_PAUSE, &ev));
	assert_int_equal(ev.limit_s, 0);
	for (unsigned s = 0; s < 3 * REL_PAUSE_LIMIT_S; s++) {
		f->now_ns += SEC;
		rel_hold_tick(f->hold, f->now_ns);
	}
	assert_false(rel_hold_event(f->hold, &ev));
	rel_queue_pause(sink, 5, 3, f->now_ns); // one that says how long it is to be waited for
	assert_true(fx_event(f, REL_EV_PAUSE, &ev));
	assert_int_equal(ev.limit_s, 3);
	rel_queue_resume(sink, 5, f->now_ns);
	assert_true(fx_event(f, REL_EV_PAUSE, &ev));
	assert_int_equal(ev.limit_s, 0);
	rel_queue_forget(sink, 5);
	rel_queue_fini(sink);
	free(sink);
	fx_end(f);
}

// A reader that has gone takes with it what waits for it, but not the last words of a route.
static void what_a_sink_holds_ends_when_its_reader_stalls(void **state)
{
	struct fx *f = fx_new(4096);
	struct rel_queue *sink = rel_queue_init(malloc(rel_queue_mem_size()), f->hold);
	struct rel_pkt p;
	struct rel_event ev;
	uint64_t bytes;

	for (uint32_t r = 0; r < 3; r++)
		assert_int_equal(rel_queue_open(sink, r, 0), 0);
	for (uint32_t r = 1; r < 3; r++) {
		p = packet(f, f->account);
		assert_true(rel_queue_push(sink, r, &p, 0, f->now_ns));
	}
	assert_int_equal(rel_queue_waiting(sink, &bytes), 2);
	assert_int_equal(bytes, 40);
	rel_queue_stall(sink);
	rel_queue_stall(sink); // told once
	for (unsigned n = 0; n < 2; n++) {
		assert_true(rel_hold_event(f->hold, &ev));
		assert_int_equal(ev.kind, REL_EV_CLOSE);
		assert_int_equal(ev.reason, RAIL_GONE_STALLED);
		assert_in_range(ev.route, 1, 2);
		rel_queue_abort(sink, ev.route, ev.reason, f->now_ns);
		p = packet(f, f->account);
		assert_true(rel_queue_push(sink, ev.route, &p, REL_PUSH_LAST, f->now_ns));
		rel_queue_drain(sink, ev.route);
	}
	rel_queue_stall(sink);
	assert_false(rel_hold_event(f->hold, &ev));
	rel_queue_reset(sink);
	for (unsigned n = 0; n < 2; n++)
		assert_true(fx_event(f, REL_EV_DONE, &ev)); // of those that drained
	assert_false(rel_hold_event(f->hold, &ev));
	for (uint32_t r = 0; r < 3; r++)
		assert_false(rel_queue_is_open(sink, r));
	rel_queue_fini(sink);
	free(sink);
	fx_end(f);
}

static void a_sink_may_have_a_limit_for_its_pauses(void **state)
{
	struct fx *f = fx_new(4096);
	struct rel_queue *sink = rel_queue_init(malloc(rel_queue_mem_size()), f->hold);
	struct rel_event ev;

	rel_hold_tick(f->hold, f->now_ns);
	rel_queue_limit(sink, 28);
	rel_queue_open(sink, 5, 0);
	for (unsigned i = 0; i < 70; i++) {
		struct rel_pkt p = packet(f, f->account);

		p.len = 1000;
		rel_queue_push(sink, 5, &p, 0, f->now_ns);
	}
	assert_true(fx_event(f, REL_EV_PAUSE, &ev));
	assert_int_equal(ev.limit_s, 28);
	for (unsigned s = 0; s < 27; s++) {
		f->now_ns += SEC;
		rel_hold_tick(f->hold, f->now_ns);
	}
	assert_false(rel_hold_event(f->hold, &ev));
	for (unsigned s = 0; s < 3; s++) {
		f->now_ns += SEC;
		rel_hold_tick(f->hold, f->now_ns);
	}
	assert_true(fx_event(f, REL_EV_CLOSE, &ev));
	assert_int_equal(ev.reason, RAIL_GONE_STALLED);
	rel_queue_forget(sink, 5);
	rel_queue_fini(sink);
	free(sink);
	fx_end(f);
}

static void the_next_packet_waits_behind_others_or_for_the_reader(void **state)
{
	struct fx *f = fx_new(4096);
	struct rel_queue *sink = rel_queue_init(malloc(rel_queue_mem_size()), f->hold);
	struct rel_pkt p = packet(f, f->account);
	uint32_t route;

	rel_queue_open(sink, 5, 0);
	assert_false(rel_queue_waits(sink, 5));
	rel_queue_push(sink, 5, &p, 0, f->now_ns);
	assert_true(rel_queue_waits(sink, 5));
	assert_true(rel_queue_pull(sink, &route, &p, f->now_ns));
	fx_back(f, p.handle);
	assert_false(rel_queue_waits(sink, 5));
	rel_queue_pause(sink, 5, 0, f->now_ns);
	assert_true(rel_queue_waits(sink, 5));
	rel_queue_resume(sink, 5, f->now_ns);
	assert_false(rel_queue_waits(sink, 5));
	rel_queue_forget(sink, 5);
	rel_queue_fini(sink);
	free(sink);
	fx_end(f);
}

static void paused_route_waits_alone(void **state)
{
	struct fx *f = fx_new(4096);
	struct rail_frame frame;
	struct rel_dgram d;

	rel_queue_open(f->q, 1, 100);
	rel_queue_open(f->q, 2, 200);
	assert_int_equal(rx_ctl(f, RAIL_PAUSE, 0, 100, 10), REL_COMMIT);
	fx_push(f, 1, 111, 0);
	fx_push(f, 2, 222, 0);
	fx_push(f, 1, 33, REL_PUSH_KEEP_ALIVE); // overtakes
	do
		assert_true(fx_next(f, &d, &frame));
	while (frame.type == RAIL_PROBE);
	assert_int_equal(frame.len, 33);
	assert_true(fx_next(f, &d, &frame));
	assert_int_equal(frame.len, 222);
	assert_false(fx_next(f, &d, &frame));
	rx_ctl(f, RAIL_RESUME, 1, 100, 0);
	assert_true(fx_next(f, &d, &frame));
	assert_int_equal(frame.len, 111);
	fx_end(f);
}

// What comes out of order is done in order: the last word counts.
static void resume_waits_for_its_pause(void **state)
{
	struct fx *f = fx_new(4096);

	rel_queue_open(f->q, 1, 100);
	rx_ctl(f, RAIL_RESUME, 1, 100, 0);
	rx_ctl(f, RAIL_PAUSE, 0, 100, 10);
	fx_push(f, 1, 111, 0);
	fx_flush(f);
	assert_int_equal(fx_stats(f).unacked, 1);
	fx_end(f);
}

static void unknown_ids_are_ignored(void **state)
{
	struct fx *f = fx_new(4096);
	struct rel_event ev;

	rx_ctl(f, RAIL_PAUSE, 0, 1234, 10);
	rx_ctl(f, RAIL_GONE, 1, 1234, 1);
	assert_int_equal(fx_stats(f).rx_ignored, 2);
	assert_false(rel_hold_event(f->hold, &ev));
	fx_end(f);
}

static void gone_is_told(void **state)
{
	struct fx *f = fx_new(4096);
	struct rel_event ev;

	rel_queue_open(f->q, 1, 100);
	rx_ctl(f, RAIL_GONE, 0, 100, RAIL_GONE_STALLED);
	assert_true(fx_event(f, REL_EV_GONE, &ev));
	assert_int_equal(ev.route, 1);
	assert_int_equal(ev.reason, RAIL_GONE_STALLED);
	fx_end(f);
}

// A limit of 10 s: this node waits 12. Without a limit it waits for ever.
static void held_up_route_is_closed_after_the_limit(void **state)
{
	static const struct {
		uint16_t limit_s;
		unsigned closed_s; // 0: not
	} cases[] = {{10, 12}, {28, 30}, {0, 0}};

	for (unsigned c = 0; c < ARRAY_LEN(cases); c++) {
		struct fx *f = fx_new(4096);
		struct rel_event ev;
		unsigned closed_s = 0;

		rel_hold_tick(f->hold, f->now_ns);
		rel_queue_open(f->q, 1, 100);
		rx_ctl(f, RAIL_PAUSE, 0, 100, cases[c].limit_s);
		fx_push(f, 1, 111, 0);
		for (unsigned s = 1; s < 100 && closed_s == 0; s++) {
			f->now_ns += SEC;
			rel_hold_tick(f->hold, f->now_ns);
			if (fx_event(f, REL_EV_CLOSE, &ev))
				closed_s = s;
		}
		assert_in_range(closed_s, cases[c].closed_s, cases[c].closed_s + 1);
		if (closed_s != 0)
			assert_int_equal(ev.reason, RAIL_GONE_STALLED);
		fx_end(f);
	}
}

static void pause_passes_its_limit_on(void **state)
{
	struct fx *f = fx_new(4096);
	struct rel_event ev;

	rel_queue_open(f->q, 1, 100);
	rx_ctl(f, RAIL_PAUSE, 0, 100, 28);
	while (!fx_event(f, REL_EV_PAUSE, &ev))
		fx_push(f, 1, 1000, 0);
	assert_int_equal(ev.limit_s, 28);
	rx_ctl(f, RAIL_PAUSE, 1, 100, 0);
	assert_true(fx_event(f, REL_EV_PAUSE, &ev));
	assert_int_equal(ev.limit_s, 0);
	fx_end(f);
}

static void drained_route_is_done_when_all_is_acked(void **state)
{
	struct fx *f = fx_new(4096);
	struct rel_event ev;

	rel_queue_open(f->q, 1, 100);
	fx_push(f, 1, 111, 0);
	fx_push(f, 1, 8, 0);
	rel_queue_drain(f->q, 1);
	assert_false(fx_push(f, 1, 111, 0));
	fx_flush(f);
	assert_false(fx_event(f, REL_EV_DONE, &ev));
	f->now_ns += MS;
	fx_rx_ack(f, 1, 0, 2);
	assert_true(fx_event(f, REL_EV_DONE, &ev));
	assert_int_equal(ev.route, 1);
	assert_int_equal(rel_queue_open(f->q, 1, 100), 0); // the entry and the id are free
	fx_end(f);
}

// Acks of what was sent before it never come.
static void a_reset_is_the_end_of_a_draining_route(void **state)
{
	struct fx *f = fx_new(4096);
	struct rel_event ev;

	for (uint32_t r = 1; r <= 4; r++)
		rel_queue_open(f->q, r, 100 + r);
	for (uint32_t r = 1; r <= 4; r++)
		fx_push(f, r, 111, 0);
	fx_flush(f);
	rel_queue_drain(f->q, 1); // in flight
	rel_queue_abort(f->q, 2, RAIL_GONE_RULE, f->now_ns); // an EMPTY is
	rel_queue_drain(f->q, 2);
	rel_queue_abort(f->q, 3, RAIL_GONE_RULE, f->now_ns); // its last words are to come
	assert_false(rel_hold_event(f->hold, &ev));
	rel_reset(f->rel, f->now_ns);
	for (uint32_t told = 0, n = 0; n < 2; n++) {
		assert_true(rel_hold_event(f->hold, &ev));
		assert_int_equal(ev.kind, REL_EV_DONE);
		assert_in_range(ev.route, 1, 2);
		assert_int_equal(ev.route_id, 100 + ev.route);
		assert_int_not_equal(ev.route, told);
		told = ev.route;
	}
	assert_false(rel_hold_event(f->hold, &ev));
	for (uint32_t r = 1; r <= 4; r++)
		assert_false(rel_queue_is_open(f->q, r));
	fx_end(f);
}

// ---- ids ----

static void finds_routes_by_next_id(void **state)
{
	struct fx *f = fx_new(4096);
	struct rel_event ev;

	for (uint32_t i = 0; i < FX_ROUTES; i++)
		assert_int_equal(rel_queue_open(f->q, i, i * 77), 0);
	for (uint32_t i = 0; i < FX_ROUTES; i += 3)
		rel_queue_forget(f->q, i);
	for (uint32_t i = 0; i < FX_ROUTES; i++) {
		rx_ctl(f, RAIL_GONE, i, i * 77, 1);
		assert_int_equal(fx_event(f, REL_EV_GONE, &ev), i % 3 != 0);
		if (i % 3 != 0)
			assert_int_equal(ev.route, i);
		fx_flush(f);
	}
	assert_int_equal(rel_queue_open(f->q, 0, 77), -EEXIST);
	fx_end(f);
}

// ---- budget ----

// Past the budget the route that holds most of the account that holds most is closed.
static void hog_of_the_richest_account_is_closed(void **state)
{
	struct fx *f = fx_new(256);
	uint16_t greedy = f->account, modest = (uint16_t)rel_hold_account_open(f->hold);
	struct rel_event ev;
	struct rel_pkt p;

	for (unsigned r = 0; r < 4; r++)
		rel_queue_open(f->q, r, r);
	rel_queue_pause(f->q, 0, 0, f->now_ns);
	for (unsigned i = 0; i < 256; i++) { // 150, 76 and 30
		unsigned r = i < 150 ? 0 : i < 226 ? 1 : 2;

		p = packet(f, r == 2 ? modest : greedy);
		assert_true(rel_queue_push(f->q, r, &p, 0, f->now_ns));
	}
	assert_false(rel_hold_event(f->hold, &ev));
	p = packet(f, modest);
	assert_true(rel_queue_push(f->q, 3, &p, 0, f->now_ns)); // within its share
	assert_true(fx_event(f, REL_EV_CLOSE, &ev));
	assert_int_equal(ev.route, 0);
	assert_int_equal(ev.reason, RAIL_GONE_HELD);
	p = packet(f, greedy);
	assert_false(rel_queue_push(f->q, 0, &p, 0, f->now_ns)); // about to be closed
	fx_back(f, p.handle);
	rel_queue_abort(f->q, 0, RAIL_GONE_HELD, f->now_ns);
	assert_int_equal(rel_hold_account_bufs(f->hold, greedy), 76);
	assert_false(rel_hold_event(f->hold, &ev));
	fx_end(f);
}

// Others' routes may hold more than their share; a route may be charged to whom it was opened for.
static void a_source_that_can_wait_gets_what_nobody_is_closed_for(void **state)
{
	struct fx *f = fx_new(256);
	uint16_t other = (uint16_t)rel_hold_account_open(f->hold);
	const struct {
		uint32_t bufs, most, other, own; // room when the first account holds bufs
	} rows[] = {
		{0, 128, 128, 128},
		{1, 256, 255, 255},
		{100, 128, 112, 28}, // 112: a share less an eighth
		{128, 128, 112, 0},
		{128, 224, 112, 96},
		{200, 128, 40, 0},
		{200, 224, 40, 24},
		{240, 224, 0, 0},
	};
	struct rel_event ev;
	struct rel_pkt p;

	rel_queue_open(f->q, 0, 0);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		while (rel_hold_bufs(f->hold) < rows[i].bufs) {
			p = packet(f, f->account);
			assert_true(rel_queue_push(f->q, 0, &p, 0, f->now_ns));
		}
		assert_int_equal(rel_hold_room(f->hold, other, rows[i].most), rows[i].other);
		assert_int_equal(rel_hold_room(f->hold, f->account, rows[i].most), rows[i].own);
	}
	assert_false(rel_hold_event(f->hold, &ev));
	fx_end(f);
}

static void whoever_is_past_its_share_pays_itself(void **state)
{
	struct fx *f = fx_new(256);
	uint16_t other = (uint16_t)rel_hold_account_open(f->hold);
	struct rel_event ev;
	struct rel_pkt p;

	for (unsigned r = 0; r < 2; r++)
		rel_queue_open(f->q, r, r);
	for (unsigned i = 0; i < 257; i++) {
		p = packet(f, i < 120 ? other : f->account);
		assert_true(rel_queue_push(f->q, i < 120 ? 0 : 1, &p, 0, f->now_ns));
	}
	assert_true(fx_event(f, REL_EV_CLOSE, &ev));
	assert_int_equal(ev.route, 1);
	fx_end(f);
}

// Closed accounts count to their end, then their id and share are free.
static void account_ends_with_its_last_buffer(void **state)
{
	struct fx *f = fx_new(256);
	int a = rel_hold_account_open(f->hold);
	struct rel_pkt p = packet(f, (uint16_t)a);

	rel_queue_open(f->q, 0, 0);
	rel_queue_push(f->q, 0, &p, 0, f->now_ns);
	rel_hold_account_close(f->hold, (uint16_t)a);
	assert_int_not_equal(rel_hold_account_open(f->hold), a);
	rel_queue_abort(f->q, 0, RAIL_GONE_HELD, f->now_ns);
	assert_int_equal(rel_hold_account_open(f->hold), a);
	fx_end(f);
}

static void reset_forgets_all_routes(void **state)
{
	struct fx *f = fx_new(4096);

	for (unsigned r = 0; r < 100; r++) {
		rel_queue_open(f->q, r, r);
		fx_push(f, r, 100, 0);
	}
	fx_flush(f);
	for (unsigned r = 0; r < 100; r++)
		fx_push(f, r, 100, 0);
	assert_int_equal(fx_stats(f).waiting + fx_stats(f).unacked, 200);
	rel_reset(f->rel, f->now_ns);
	assert_int_equal(f->n_held, 0);
	assert_int_equal(fx_stats(f).waiting, 0);
	for (unsigned r = 0; r < 100; r++)
		assert_int_equal(rel_queue_open(f->q, r, r), 0);
	fx_end(f);
}

static void expect_waiting(const struct fx *f, unsigned packets, unsigned bytes)
{
	assert_int_equal(fx_stats(f).waiting, packets);
	assert_int_equal(fx_stats(f).waiting_bytes, bytes);
}

static void says_what_waits_for_the_link(void **state)
{
	struct fx *f = fx_new(4096);

	rel_queue_open(f->q, 1, 10);
	rel_queue_open(f->q, 2, 20);
	expect_waiting(f, 0, 0);
	fx_push(f, 1, 100, 0);
	fx_push(f, 1, 200, 0);
	fx_push(f, 2, 400, 0);
	expect_waiting(f, 3, 700);
	rel_queue_pause(f->q, 1, 0, f->now_ns);
	fx_flush(f); // what is sent and unacked waits no more
	expect_waiting(f, 2, 300);
	assert_int_equal(fx_stats(f).unacked, 1);
	fx_push(f, 2, 400, 0);
	rel_queue_abort(f->q, 1, 1, f->now_ns);
	expect_waiting(f, 1, 400);
	rel_queue_abort(f->q, 2, 1, f->now_ns);
	expect_waiting(f, 0, 0);
	fx_end(f);
}

// To free all of it at once would keep others waiting.
static void what_a_hog_held_is_given_back_some_at_a_time(void **state)
{
	enum { HELD = 7000, MORE = 2500 };
	struct fx *f = fx_new(8192);
	unsigned turns = 0, before;
	struct rel_event ev;

	rel_queue_open(f->q, 1, 10);
	rel_queue_open(f->q, 2, 20);
	rel_queue_pause(f->q, 1, 0, f->now_ns);
	rel_queue_pause(f->q, 2, 0, f->now_ns);
	for (unsigned i = 0; i < HELD; i++)
		fx_push(f, 1, 100, 0);
	while (rel_hold_event(f->hold, &ev))
		;
	rel_queue_abort(f->q, 1, RAIL_GONE_HELD, f->now_ns);
	expect_waiting(f, 0, 0);
	assert_int_equal(fx_stats(f).tx_freed, HELD);
	assert_int_equal(rel_hold_route_bufs(f->hold, 1), 0);
	assert_int_equal(f->n_held, HELD); // none of them yet
	// nobody has to end for what is about to be given back
	for (unsigned i = 0; i < MORE; i++)
		fx_push(f, 2, 100, 0);
	assert_false(fx_event(f, REL_EV_CLOSE, &ev));
	do {
		before = f->n_held;
		assert_false(fx_event(f, REL_EV_CLOSE, &ev));
		turns++;
	} while (f->n_held != before);
	assert_int_equal(f->n_held, MORE);
	assert_int_equal(rel_hold_account_bufs(f->hold, f->account), MORE);
	assert_in_range(turns, 20, 30);
	fx_end(f);
}

// What waits to be given back and what comes meanwhile are within the budget together.
static void the_budget_holds_while_a_hog_is_given_back(void **state)
{
	enum { BUDGET = 8192, HELD = 7000, TURN = 512 };
	struct fx *f = fx_new(BUDGET);
	struct rel_event ev;

	for (uint32_t r = 1; r <= 2; r++) {
		rel_queue_open(f->q, r, 10 * r);
		rel_queue_pause(f->q, r, 0, f->now_ns);
	}
	for (unsigned i = 0; i < HELD; i++)
		fx_push(f, 1, 100, 0);
	while (rel_hold_event(f->hold, &ev))
		;
	rel_queue_abort(f->q, 1, RAIL_GONE_HELD, f->now_ns);
	for (unsigned n = 0; n < BUDGET - TURN; n += TURN) {
		for (unsigned i = 0; i < TURN; i++)
			fx_push(f, 2, 100, 0);
		assert_true(f->n_held <= BUDGET + TURN);
		assert_false(fx_event(f, REL_EV_CLOSE, &ev));
	}
	fx_end(f);
}

// A link that ends, and a hold, leave nothing of it behind; nor does one that begins anew.
static void what_is_given_back_later_is_given_back_at_the_end(void **state)
{
	struct fx *f = fx_new(8192);

	for (unsigned r = 0; r < 2; r++) {
		rel_queue_open(f->q, r, r);
		for (unsigned i = 0; i < 3000; i++)
			fx_push(f, r, 100, 0);
	}
	rel_reset(f->rel, f->now_ns);
	expect_waiting(f, 0, 0);
	assert_in_range(f->n_held, 5000, 6000);
	for (unsigned r = 0; r < 2; r++) {
		assert_int_equal(rel_queue_open(f->q, r, r), 0);
		fx_push(f, r, 100, 0);
	}
	fx_end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_take_turns_by_bytes),
		cmocka_unit_test(pauses_at_64_kib_and_resumes_at_half),
		cmocka_unit_test(a_sink_that_nobody_reads_closes_nothing),
		cmocka_unit_test(what_a_sink_holds_ends_when_its_reader_stalls),
		cmocka_unit_test(a_sink_may_have_a_limit_for_its_pauses),
		cmocka_unit_test(the_next_packet_waits_behind_others_or_for_the_reader),
		cmocka_unit_test(paused_route_waits_alone),
		cmocka_unit_test(resume_waits_for_its_pause),
		cmocka_unit_test(unknown_ids_are_ignored),
		cmocka_unit_test(gone_is_told),
		cmocka_unit_test(held_up_route_is_closed_after_the_limit),
		cmocka_unit_test(pause_passes_its_limit_on),
		cmocka_unit_test(drained_route_is_done_when_all_is_acked),
		cmocka_unit_test(a_reset_is_the_end_of_a_draining_route),
		cmocka_unit_test(finds_routes_by_next_id),
		cmocka_unit_test(hog_of_the_richest_account_is_closed),
		cmocka_unit_test(a_source_that_can_wait_gets_what_nobody_is_closed_for),
		cmocka_unit_test(whoever_is_past_its_share_pays_itself),
		cmocka_unit_test(account_ends_with_its_last_buffer),
		cmocka_unit_test(reset_forgets_all_routes),
		cmocka_unit_test(says_what_waits_for_the_link),
		cmocka_unit_test(what_a_hog_held_is_given_back_some_at_a_time),
		cmocka_unit_test(the_budget_holds_while_a_hog_is_given_back),
		cmocka_unit_test(what_is_given_back_later_is_given_back_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
