// A route that goes on after an end (rel_queue_restart(), rail 4): what it waits for, and what
// becomes of pauses.
#include "lib/link/rel_run.h"

#include "tests/lib/link/rel_fixture.h"

enum { ROUTE = 1, ID = 100, LEN = 1000, LEN_EVEN = 1024 };

static void restart(struct fx *f)
{
	rel_queue_restart(f->q, ROUTE, RAIL_GONE_HELD, f->now_ns);
}

// n packets of the route are sent, and not acked.
static struct fx *sender(unsigned n)
{
	struct fx *f = fx_new(4096);

	rel_hold_tick(f->hold, f->now_ns);
	assert_int_equal(rel_queue_open(f->q, ROUTE, ID), 0);
	for (unsigned i = 0; i < n; i++)
		assert_true(fx_push(f, ROUTE, 100, 0));
	return f;
}

static void rx_ctl(struct fx *f, uint8_t type, uint32_t seq, uint16_t limit_s)
{
	struct rail_frame frame = {.type = type,
		.seq = seq,
		.distance = seq == 0 ? 0 : 1,
		.route_id = ID,
		.limit_s = limit_s,
		.code = RAIL_GONE_RULE};

	assert_int_equal(fx_rx_frame(f, &frame), REL_COMMIT);
}

static bool is_sent(struct fx *f)
{
	struct rail_frame frame;
	struct rel_dgram d;

	while (fx_next(f, &d, &frame))
		if (frame.type == RAIL_SEQ)
			return true;
	return false;
}

static void all_acked(struct fx *f)
{
	fx_flush(f);
	f->now_ns += 10 * MS;
	assert_int_equal(fx_rx_ack(f, fx_stats(f).tx_datagrams - 1, 0, 0), REL_COMMIT);
	assert_int_equal(fx_stats(f).unacked, 0);
}

// Whoever acts on an EMPTY frees what it holds of the route: nothing may come that could go along.
static void a_restarted_route_waits_for_its_empties(void **state)
{
	struct fx *f = sender(3);
	struct rail_frame frame;
	struct rel_event ev;
	struct rel_dgram d;

	rel_queue_open(f->q, 2, 200);
	fx_flush(f);
	fx_push(f, 1, 100, 0);
	rel_queue_restart(f->q, 1, RAIL_GONE_HELD, f->now_ns);
	assert_int_equal(fx_stats(f).tx_freed, 4);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(fx_push(f, 1, 100 + i, i == 2 ? REL_PUSH_KEEP_ALIVE : 0));
		assert_true(fx_push(f, 2, 50, 0)); // others do not wait
	}
	for (unsigned i = 0; i < 6; i++) {
		assert_true(fx_next(f, &d, &frame));
		assert_int_equal(frame.type, i < 3 ? RAIL_EMPTY : RAIL_SEQ);
		assert_int_equal(frame.seq, i);
		assert_true(i < 3 || frame.data[0] != 0 || frame.len == 50);
	}
	f->now_ns += 10 * MS;
	fx_rx_ack(f, 8, 7, 2); // all but the EMPTY of 2
	assert_int_equal(rel_hold_route_bufs(f->hold, 1), 3);
	assert_int_equal(fx_flush(f), 0);
	fx_rx_ack(f, 8, 3, 6);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(fx_next(f, &d, &frame));
		assert_int_equal(frame.type, RAIL_SEQ);
		assert_int_equal(frame.seq, 6 + i);
		assert_int_equal(frame.len, 100 + i);
		assert_int_equal(frame.distance, i == 0 ? 0 : 1);
	}
	assert_false(fx_event(f, REL_EV_DONE, &ev));
	// with nothing under way it goes on at once
	f->now_ns += 10 * MS;
	fx_rx_ack(f, 11, 9, 9);
	rel_queue_restart(f->q, 1, RAIL_GONE_HELD, f->now_ns);
	assert_true(fx_push(f, 1, 100, 0));
	assert_int_equal(fx_flush(f), 1);
	// one that drains in between ends
	rel_queue_restart(f->q, 1, RAIL_GONE_HELD, f->now_ns);
	assert_true(fx_push(f, 1, 100, 0));
	rel_queue_drain(f->q, 1);
	assert_int_equal(fx_flush(f), 1);
	f->now_ns += 10 * MS;
	fx_rx_ack(f, 13, 13, 10);
	assert_int_equal(fx_flush(f), 1);
	f->now_ns += 10 * MS;
	fx_rx_ack(f, 14, 14, 11);
	assert_true(fx_event(f, REL_EV_DONE, &ev));
	fx_end(f);
}

// Only the last ack lets it go on, whatever the order.
static void empties_may_be_acked_in_any_order(void **state)
{
	enum { N = 16 };
	struct fx *f = sender(N);
	uint64_t first;

	fx_flush(f);
	restart(f);
	restart(f); // again before any was acked
	assert_true(fx_push(f, ROUTE, LEN, 0));
	first = fx_stats(f).tx_datagrams;
	assert_int_equal(fx_flush(f), N);
	f->now_ns += 10 * MS;
	for (unsigned i = N; i-- > 0;) {
		assert_int_equal(fx_rx_ack(f, first + i, first + i, 0), REL_COMMIT);
		assert_int_equal(is_sent(f), i == 0);
	}
	fx_end(f);
}

// The peer learns nothing of this end, and would not say it again.
static void a_pause_stays_when_nothing_is_emptied(void **state)
{
	struct fx *f = sender(0);

	rx_ctl(f, RAIL_PAUSE, 0, 0);
	assert_true(fx_push(f, ROUTE, LEN, 0));
	restart(f);
	assert_int_equal(rel_hold_route_bufs(f->hold, ROUTE), 0);
	assert_true(fx_push(f, ROUTE, LEN, 0));
	assert_false(is_sent(f));
	rx_ctl(f, RAIL_RESUME, 1, 0);
	assert_true(is_sent(f));
	fx_end(f);
}

// Its entry may be gone with the EMPTY: no RESUME has to come.
static void a_pause_of_before_ends_at_the_empty(void **state)
{
	struct fx *f = sender(2);
	struct rel_event ev;

	fx_flush(f);
	rx_ctl(f, RAIL_PAUSE, 0, 7);
	restart(f);
	for (unsigned i = 0; i <= REL_PAUSE_BYTES / LEN; i++)
		assert_true(fx_push(f, ROUTE, LEN, 0));
	assert_true(fx_event(f, REL_EV_PAUSE, &ev));
	assert_int_equal(ev.limit_s, REL_PAUSE_LIMIT_S); // ours, not the peer's
	assert_false(is_sent(f));
	all_acked(f);
	assert_true(is_sent(f));
	fx_end(f);
}

// What the peer says before it knew changes nothing.
static void what_crosses_the_empties_changes_nothing(void **state)
{
	static const uint8_t types[] = {RAIL_PAUSE, RAIL_RESUME};

	for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
		struct fx *f = sender(2);

		fx_flush(f);
		rx_ctl(f, RAIL_PAUSE, 0, 0);
		restart(f);
		assert_true(fx_push(f, ROUTE, LEN, 0));
		rx_ctl(f, types[i], 1, 0);
		assert_false(is_sent(f));
		all_acked(f);
		assert_true(is_sent(f));
		rx_ctl(f, RAIL_PAUSE, 2, 0); // what it says afterwards does
		assert_true(fx_push(f, ROUTE, LEN, 0));
		assert_false(is_sent(f));
		fx_end(f);
	}
}

static void a_pause_ends_when_the_peer_ends_the_route(void **state)
{
	struct fx *f = sender(0);
	struct rel_event ev;

	rx_ctl(f, RAIL_PAUSE, 0, 0);
	assert_true(fx_push(f, ROUTE, LEN, 0));
	rx_ctl(f, RAIL_GONE, 1, 0);
	assert_true(fx_event(f, REL_EV_GONE, &ev));
	assert_false(is_sent(f)); // would be freed there
	restart(f);
	assert_true(fx_push(f, ROUTE, LEN, 0));
	assert_true(is_sent(f));
	fx_end(f);
}

// By then its origin has ended it; who is told of no such end must not wait for ever.
static void a_pause_ends_when_its_limit_is_over(void **state)
{
	struct fx *f = sender(0);
	struct rel_event ev;

	rx_ctl(f, RAIL_PAUSE, 0, 3);
	assert_true(fx_push(f, ROUTE, LEN, 0));
	restart(f); // for something else: the limit begins anew
	assert_true(fx_push(f, ROUTE, LEN, 0));
	for (unsigned s = 0; s < 3 + REL_PAUSE_GRACE_S; s++) {
		assert_false(fx_event(f, REL_EV_CLOSE, &ev));
		f->now_ns += SEC;
		rel_hold_tick(f->hold, f->now_ns);
	}
	for (unsigned i = 0; i < 8; i++) {
		f->now_ns += REL_TICK_NS;
		rel_hold_tick(f->hold, f->now_ns);
	}
	assert_true(fx_event(f, REL_EV_CLOSE, &ev));
	assert_int_equal(ev.reason, RAIL_GONE_STALLED);
	rel_queue_restart(f->q, ROUTE, ev.reason, f->now_ns);
	assert_true(fx_push(f, ROUTE, LEN, 0));
	assert_true(is_sent(f));
	fx_end(f);
}

// ---- the side that pauses ----

static bool push(struct fx *f, bool as_run, uint32_t len)
{
	struct rel_push p = {.route = ROUTE,
		.pkt = {.handle = fx_handle(f), .len = len, .account = f->account, .bufs = 1}};

	if (as_run && rel_push_run(f->q, &p, 1) == 1)
		return true;
	return rel_queue_push(f->q, ROUTE, &p.pkt, 0, f->now_ns);
}

// Its ingress may have forgotten the pause with the end. Also where a packet ends at the limit.
static void an_ingress_that_goes_on_is_told_again(void **state)
{
	for (unsigned c = 0; c < 4; c++) {
		bool as_run = c % 2 != 0;
		uint32_t len = c < 2 ? LEN : LEN_EVEN;
		struct fx *f = sender(2);
		struct rel_event ev;
		uint32_t waiting = 0, next = REL_PAUSE_BYTES;

		fx_flush(f);
		rx_ctl(f, RAIL_PAUSE, 0, 7);
		while (!fx_event(f, REL_EV_PAUSE, &ev))
			assert_true(push(f, as_run, len));
		restart(f);
		assert_false(fx_event(f, REL_EV_RESUME, &ev));
		for (unsigned i = 0; i < 500; i++) {
			bool told;

			assert_true(push(f, as_run, len));
			waiting += len;
			told = fx_event(f, REL_EV_PAUSE, &ev);
			assert_int_equal(told, waiting > next);
			if (told)
				next *= 2;
		}
		assert_int_equal(next, 8 * REL_PAUSE_BYTES);
		// it is resumed when that went out
		all_acked(f);
		for (unsigned i = 0; i < 500 && !fx_event(f, REL_EV_RESUME, &ev); i++)
			all_acked(f);
		assert_int_equal(ev.kind, REL_EV_RESUME);
		fx_end(f);
	}
}

// Both restart; the pause that crossed is lost. Neither waits for ever, nor fills the other.
static void an_ingress_waits_no_longer_than_its_egress(void **state)
{
	struct fx *f = sender(2);
	struct rel_event ev;

	fx_flush(f);
	while (!fx_event(f, REL_EV_PAUSE, &ev))
		assert_true(push(f, false, LEN));
	restart(f);
	assert_false(fx_event(f, REL_EV_RESUME, &ev));
	all_acked(f);
	assert_true(fx_event(f, REL_EV_RESUME, &ev));
	// held up by a peer that does not learn of it: with that
	rx_ctl(f, RAIL_PAUSE, 0, 0);
	while (!fx_event(f, REL_EV_PAUSE, &ev))
		assert_true(push(f, false, LEN));
	restart(f);
	assert_false(fx_event(f, REL_EV_RESUME, &ev));
	rx_ctl(f, RAIL_RESUME, 1, 0);
	assert_true(fx_event(f, REL_EV_RESUME, &ev));
	fx_end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_restarted_route_waits_for_its_empties),
		cmocka_unit_test(empties_may_be_acked_in_any_order),
		cmocka_unit_test(a_pause_stays_when_nothing_is_emptied),
		cmocka_unit_test(a_pause_of_before_ends_at_the_empty),
		cmocka_unit_test(what_crosses_the_empties_changes_nothing),
		cmocka_unit_test(a_pause_ends_when_the_peer_ends_the_route),
		cmocka_unit_test(a_pause_ends_when_its_limit_is_over),
		cmocka_unit_test(an_ingress_that_goes_on_is_told_again),
		cmocka_unit_test(an_ingress_waits_no_longer_than_its_egress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
