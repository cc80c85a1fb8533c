// Sending: sequences and distances, acks, loss, probe time-outs, parts (rail 3 and 4).
#include "tests/lib/link/rel_fixture.h"

// n packets of a route, each in a datagram of its own.
static struct fx *sender(unsigned n)
{
	struct fx *f = fx_new(4096);

	assert_int_equal(rel_queue_open(f->q, 1, 100), 0);
	for (unsigned i = 0; i < n; i++)
		assert_true(fx_push(f, 1, 100, 0));
	return f;
}

static void numbers_frames_by_route(void **state)
{
	struct fx *f = sender(2);
	struct rail_frame frame;
	struct rel_dgram d;
	static const struct {
		uint32_t seq, dist;
	} want[] = {{0, 0}, {1, 1}, {2, 0}, {3, 2}, {4, 2}};

	rel_queue_open(f->q, 2, 200);
	for (unsigned i = 0; i < 2; i++)
		assert_true(fx_next(f, &d, &frame) && frame.seq == want[i].seq &&
			    frame.distance == want[i].dist);
	for (unsigned i = 2; i < ARRAY_LEN(want); i++) {
		fx_push(f, i == 3 ? 1 : 2, 100, 0);
		assert_true(fx_next(f, &d, &frame));
		assert_int_equal(frame.type, RAIL_SEQ);
		assert_int_equal(frame.seq, want[i].seq);
		assert_int_equal(frame.distance, want[i].dist);
	}
	fx_end(f);
}

// 0 exactly when the one before is older than the oldest unacked one.
static void distance_is_0_when_all_before_is_acked(void **state)
{
	struct fx *f = sender(3);
	struct rail_frame frame;
	struct rel_dgram d;

	assert_int_equal(fx_flush(f), 3);
	f->now_ns += 10 * MS;
	fx_rx_ack(f, 1, 0, 2);
	fx_push(f, 1, 100, 0);
	assert_true(fx_next(f, &d, &frame));
	assert_int_equal(frame.distance, 1); // 2 is in flight
	fx_rx_ack(f, 3, 2, 4);
	fx_push(f, 1, 100, 0);
	assert_true(fx_next(f, &d, &frame));
	assert_int_equal(frame.distance, 0);
	fx_end(f);
}

static void ack_gives_handles_back(void **state)
{
	struct fx *f = sender(5);

	fx_flush(f);
	f->now_ns += 20 * MS;
	fx_rx_ack(f, 4, 3, 0);
	assert_int_equal(fx_stats(f).tx_packets, 2);
	assert_int_equal(fx_stats(f).unacked, 3);
	assert_int_equal(fx_stats(f).srtt_ns, 20 * MS);
	fx_rx_ack(f, 4, 3, 2); // 0 and 1 by the next sequence, whatever became of their counters
	assert_int_equal(fx_stats(f).unacked, 1);
	assert_int_equal(rel_hold_route_bufs(f->hold, 1), 1);
	fx_end(f);
}

static void three_later_counters_make_a_loss(void **state)
{
	static const struct {
		uint64_t hi, lo;
		unsigned lost;
	} cases[] = {{1, 1, 0}, {2, 1, 0}, {3, 1, 1}, {5, 5, 0}, {5, 4, 0}, {5, 3, 3}, {6, 3, 3}};

	for (unsigned c = 0; c < ARRAY_LEN(cases); c++) {
		struct fx *f = sender(8);
		struct rail_frame frame;
		struct rel_dgram d;

		fx_flush(f);
		f->now_ns += 10 * MS;
		fx_rx_ack(f, cases[c].hi, cases[c].lo, 0);
		assert_int_equal(fx_stats(f).tx_lost, cases[c].lost);
		for (unsigned i = 0; i < cases[c].lost; i++) {
			assert_true(fx_next(f, &d, &frame)); // lowest first, as it was
			assert_int_equal(frame.seq, i);
			assert_int_equal(frame.distance, i == 0 ? 0 : 1);
			assert_int_equal(d.counter, 8 + i);
		}
		fx_end(f);
	}
}

static void nine_eighths_of_a_round_trip_make_a_loss(void **state)
{
	struct fx *f = sender(3);

	fx_flush(f);
	f->now_ns += 80 * MS;
	fx_rx_ack(f, 2, 1, 0);
	assert_int_equal(fx_stats(f).tx_lost, 0);
	assert_int_equal(rel_deadline(f->rel), SEC + 90 * MS);
	f->now_ns += 10 * MS - 1;
	rel_tick(f->rel, f->now_ns);
	assert_int_equal(fx_stats(f).tx_lost, 0);
	f->now_ns += 1;
	rel_tick(f->rel, f->now_ns);
	assert_int_equal(fx_stats(f).tx_lost, 1);
	assert_int_equal(fx_flush(f), 1);
	fx_end(f);
}

static void late_ack_spares_the_repetition(void **state)
{
	struct fx *f = sender(6);

	fx_flush(f);
	f->now_ns += 10 * MS;
	fx_rx_ack(f, 5, 2, 0);
	assert_int_equal(fx_stats(f).tx_lost, 2);
	fx_rx_ack(f, 5, 0, 6);
	assert_int_equal(fx_stats(f).tx_spurious, 2);
	assert_int_equal(fx_stats(f).unacked, 0);
	assert_int_equal(fx_flush(f), 0);
	fx_end(f);
}

static void refuses_acks_of_what_was_not_sent(void **state)
{
	struct fx *f = sender(2);

	fx_flush(f);
	assert_int_equal(fx_rx_ack(f, 2, 2, 0), REL_CLOSE_PROTOCOL);
	fx_end(f);
	f = sender(2);
	fx_flush(f);
	assert_int_equal(fx_rx_ack(f, 1, 0, 3), REL_CLOSE_PROTOCOL);
	fx_end(f);
}

// One counter in about 2^16 is left out; whoever acks it did not receive it.
static void refuses_ack_of_a_skipped_counter(void **state)
{
	struct fx *f = sender(0);
	uint64_t expected = 0, skipped = UINT64_MAX;
	enum rel_verdict v = REL_COMMIT;
	struct rail_frame frame;
	struct rel_dgram d;

	for (unsigned i = 0; i < 200000 && skipped == UINT64_MAX; i++, expected++) {
		fx_push(f, 1, 20, 0);
		assert_true(fx_next(f, &d, &frame));
		if (d.counter != expected) {
			skipped = expected;
			break;
		}
		f->now_ns += MS;
		v = fx_rx_ack(f, d.counter, d.counter, i + 1);
		assert_int_equal(v, REL_COMMIT);
		fx_flush(f);
	}
	assert_int_not_equal(skipped, UINT64_MAX);
	assert_int_equal(fx_rx_ack(f, skipped + 1, skipped, 0), REL_CLOSE_PROTOCOL);
	fx_end(f);
}

static void time_outs_double_up_to_2_s_and_end_the_link(void **state)
{
	struct fx *f = sender(1);
	uint64_t last, wait = 0;
	struct rel_event ev;
	unsigned n = 0;

	fx_flush(f);
	f->now_ns += 50 * MS;
	fx_rx_ack(f, 0, 0, 1);
	fx_push(f, 1, 100, 0);
	fx_flush(f);
	last = f->now_ns;
	for (; n < 40 && !fx_event(f, REL_EV_DOWN, &ev); n++) {
		assert_true(rel_deadline(f->rel) > f->now_ns);
		f->now_ns = rel_deadline(f->rel);
		assert_true(f->now_ns - last >= wait && f->now_ns - last <= 2 * SEC);
		wait = f->now_ns - last;
		last = f->now_ns;
		rel_tick(f->rel, f->now_ns);
		assert_int_equal(rel_path(f->rel).pto_count, n + 1);
		assert_in_range(fx_flush(f), 1, 2); // probes: the oldest one again
	}
	assert_true(n >= REL_RETRANSMIT_LIMIT);
	assert_true(f->now_ns >= SEC + 50 * MS + REL_SILENCE_S * SEC);
	fx_end(f);
}

static void lost_padded_probe_is_no_congestion(void **state)
{
	struct fx *f = sender(0);
	uint64_t cwnd;
	struct rail_frame frame;
	struct rel_event ev;
	struct rel_dgram d;

	assert_true(rel_probe(f->rel, 7, 1300, f->now_ns));
	assert_true(fx_next(f, &d, &frame));
	assert_int_equal(frame.type, RAIL_PROBE);
	assert_int_equal(d.len, 1300);
	cwnd = fx_stats(f).cwnd;
	for (unsigned i = 0; i < 3; i++)
		fx_push(f, 1, 100, 0);
	fx_flush(f);
	f->now_ns += 10 * MS;
	fx_rx_ack(f, 3, 1, 3);
	assert_true(fx_event(f, REL_EV_PROBE, &ev));
	assert_false(ev.ok);
	assert_int_equal(ev.tag, 7);
	assert_int_equal(fx_stats(f).in_flight, 0);
	assert_true(fx_stats(f).cwnd >= cwnd);
	fx_end(f);
}

// Two under way at once: an ACK names datagrams, so each has a round trip of its own.
static void each_probe_has_its_own_round_trip(void **state)
{
	struct fx *f = sender(0);
	struct rail_frame frame;
	struct rel_event ev;
	struct rel_dgram d[2];

	for (unsigned i = 0; i < 2; i++) {
		assert_true(rel_probe(f->rel, 10 + i, 0, f->now_ns));
		assert_true(fx_next(f, &d[i], &frame));
		f->now_ns += 4 * MS;
	}
	f->now_ns += 2 * MS;
	fx_rx_ack(f, d[0].counter, d[0].counter, 0);
	assert_true(fx_event(f, REL_EV_PROBE, &ev));
	assert_true(ev.ok);
	assert_int_equal(ev.tag, 10);
	assert_int_equal(ev.rtt_us, 10000);
	f->now_ns += 2 * MS;
	fx_rx_ack(f, d[1].counter, d[1].counter, 0);
	assert_true(fx_event(f, REL_EV_PROBE, &ev));
	assert_int_equal(ev.tag, 11);
	assert_int_equal(ev.rtt_us, 8000);
	assert_false(fx_event(f, REL_EV_PROBE, &ev));
	fx_end(f);
}

static void few_probes_wait_and_one_without_a_tag_is_any_of_them(void **state)
{
	struct fx *f = sender(0);
	struct rail_frame frame;
	struct rel_dgram d;

	for (unsigned i = 0; i < REL_PROBES_MAX; i++)
		assert_true(rel_probe(f->rel, 1 + i, 100 + i, f->now_ns));
	assert_true(rel_probe(f->rel, 0, 0, f->now_ns));
	assert_false(rel_probe(f->rel, 9, 0, f->now_ns));
	for (unsigned i = 0; i < REL_PROBES_MAX; i++) {
		assert_true(fx_next(f, &d, &frame));
		assert_int_equal(frame.type, RAIL_PROBE);
		assert_int_equal(d.len, 100 + i);
	}
	assert_false(fx_next(f, &d, &frame));
	fx_end(f);
}

// What is under way on the old path comes back as fast as that was, and is no loss on a slower one.
static void acks_of_the_path_before_measure_nothing(void **state)
{
	struct fx *f = sender(8);

	fx_flush(f);
	f->now_ns += 20 * MS;
	fx_rx_ack(f, 1, 0, 2);
	assert_int_equal(fx_stats(f).srtt_ns, 20 * MS);
	rel_path_changed(f->rel, f->now_ns);
	assert_int_equal(fx_stats(f).srtt_ns, 0);
	assert_int_equal(rel_path(f->rel).pto_ns, REL_PTO_FIRST_NS);
	fx_push(f, 1, 100, 0);
	fx_flush(f);
	f->now_ns += 5 * MS;
	fx_rx_ack(f, 4, 4, 2);
	assert_int_equal(fx_stats(f).srtt_ns, 0);
	assert_int_equal(fx_stats(f).tx_lost, 0);
	f->now_ns += 395 * MS;
	fx_rx_ack(f, 8, 8, 2);
	assert_int_equal(fx_stats(f).srtt_ns, 400 * MS);
	fx_end(f);
}

// What a path that stopped to carry them looks like: large ones are lost in a row, small ones come.
static void large_ones_that_are_lost_in_a_row_are_counted(void **state)
{
	struct fx *f = sender(0);
	unsigned lost = 0;

	for (unsigned i = 0; i < 12; i++) {
		fx_push(f, 1, i % 3 == 0 ? 1300 : 50, 0);
		fx_flush(f);
	}
	f->now_ns += 10 * MS;
	for (unsigned c = 1; c < 12; c++) { // 0, 3, 6 and 9 never come
		if (c % 3 != 0)
			assert_int_equal(fx_rx_ack(f, c, c, 0), REL_COMMIT);
		lost = rel_path(f->rel).large_lost;
		assert_int_equal(lost, c < 4 ? 0 : (c - 1) / 3);
	}
	assert_int_equal(lost, 3);
	fx_push(f, 1, 1300, 0);
	fx_flush(f);
	f->now_ns += 10 * MS;
	assert_int_equal(fx_rx_ack(f, 9, 9, 0), REL_COMMIT); // late, and nothing newer
	assert_true(rel_path(f->rel).large_lost >= 3);
	assert_int_equal(
		fx_rx_ack(f, fx_stats(f).tx_datagrams - 1, fx_stats(f).tx_datagrams - 1, 0),
		REL_COMMIT);
	assert_true(rel_path(f->rel).large_lost <= 1);
	fx_end(f);
}

static void stops_before_the_window_is_full(void **state)
{
	struct fx *f = sender(0);
	uint32_t window = 1 << REL_WINDOW_LOG2_MIN, highest = 0;
	struct rail_frame frame;
	struct rel_dgram d;

	// 0 is missing for ever, all others are acked
	for (unsigned i = 0; i < 2 * window; i++) {
		fx_push(f, 1, 20, 0);
		f->now_ns += MS;
		while (fx_next(f, &d, &frame)) {
			if (frame.seq > highest)
				highest = frame.seq;
			if (frame.seq != 0)
				fx_rx_ack(f, d.counter, d.counter, 0);
		}
	}
	assert_in_range(highest, window / 2, window - 1);
	fx_end(f);
}

// A packet that went out whole goes again in parts when the path has become smaller.
static void cuts_what_no_longer_fits(void **state)
{
	struct fx *f = fx_new(1024);
	struct rail_frame frame;
	struct rel_dgram d;
	uint32_t have = 0;

	rel_queue_open(f->q, 1, 100);
	fx_push(f, 1, 1300, 0);
	for (unsigned i = 0; i < 3; i++)
		fx_push(f, 1, 100, 0);
	assert_int_equal(fx_flush(f), 4);
	rel_set_room(f->rel, 500);
	f->now_ns += 10 * MS;
	fx_rx_ack(f, 3, 1, 0);
	while (fx_next(f, &d, &frame)) {
		assert_int_equal(frame.type, RAIL_PART);
		assert_int_equal(frame.seq, 0);
		assert_int_equal(frame.total, 1300);
		assert_int_equal(frame.offset, have);
		assert_true(d.len <= 500);
		have += frame.len;
	}
	assert_int_equal(have, 1300);
	f->now_ns += 10 * MS;
	fx_rx_ack(f, 5, 4, 0); // two of three parts
	assert_int_equal(fx_stats(f).unacked, 1);
	fx_rx_ack(f, 6, 4, 0);
	assert_int_equal(fx_stats(f).unacked, 0);
	fx_end(f);
}

static void abort_sends_empty_for_what_is_unacked(void **state)
{
	struct fx *f = sender(4);
	struct rail_frame frame;
	struct rel_event ev;
	struct rel_dgram d;

	fx_flush(f);
	f->now_ns += 10 * MS;
	fx_rx_ack(f, 1, 1, 0);
	fx_push(f, 1, 100, 0);
	rel_queue_abort(f->q, 1, RAIL_GONE_STALLED, f->now_ns);
	assert_int_equal(rel_hold_route_bufs(f->hold, 1), 0);
	assert_false(fx_push(f, 1, 100, 0));
	assert_true(fx_push(f, 1, 8, REL_PUSH_LAST));
	rel_queue_drain(f->q, 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(fx_next(f, &d, &frame));
		assert_int_equal(frame.type, RAIL_EMPTY);
		assert_int_equal(frame.seq, i == 0 ? 0 : i + 1);
		assert_int_equal(frame.route_id, 100);
		assert_int_equal(frame.code, RAIL_GONE_STALLED);
	}
	assert_true(fx_next(f, &d, &frame));
	assert_int_equal(frame.type, RAIL_SEQ);
	assert_int_equal(frame.distance, 1);
	assert_false(fx_event(f, REL_EV_DONE, &ev));
	f->now_ns += 10 * MS;
	fx_rx_ack(f, 7, 4, 5);
	assert_int_equal(fx_flush(f), 0);
	assert_true(fx_event(f, REL_EV_DONE, &ev));
	assert_int_equal(ev.route, 1);
	fx_end(f);
}

static void acks_at_once_on_a_gap_else_later(void **state)
{
	struct fx *f = fx_new(1024);
	struct rel_dgram d;

	fx_rx_seq(f, 0, 0, 1);
	assert_true(rel_next(f->rel, &d, f->now_ns)); // a PROBE, to know the round trip, and ACK
	fx_rx_seq(f, 1, 1, 1);
	assert_false(rel_next(f->rel, &d, f->now_ns));
	assert_int_equal(rel_deadline(f->rel), f->now_ns + MS);
	f->now_ns += MS;
	assert_true(rel_next(f->rel, &d, f->now_ns));
	assert_int_equal(d.hdr[0], RAIL_ACK);
	f->counter++;
	fx_rx_seq(f, 3, 1, 1);
	assert_true(rel_next(f->rel, &d, f->now_ns));
	assert_false(rel_next(f->rel, &d, f->now_ns));
	fx_end(f);
}

static void acks_are_not_acked(void **state)
{
	struct fx *f = sender(1);
	struct rel_dgram d;

	fx_flush(f);
	fx_rx_ack(f, 0, 0, 1);
	f->now_ns += 10 * MS;
	assert_false(rel_next(f->rel, &d, f->now_ns));
	fx_end(f);
}

// Chunks of an idle link go back.
static void idle_link_keeps_no_chunks(void **state)
{
	struct fx *f = sender(8);
	unsigned chunks;

	fx_flush(f);
	f->now_ns += 10 * MS;
	fx_rx_ack(f, 7, 0, 8);
	chunks = f->n_chunks;
	rel_tick(f->rel, f->now_ns);
	f->now_ns = rel_deadline(f->rel);
	rel_tick(f->rel, f->now_ns);
	assert_true(f->n_chunks < chunks);
	fx_push(f, 1, 100, 0);
	assert_int_equal(fx_flush(f), 1);
	fx_end(f);
}

// ---- limits that are configured ----

static void an_idle_link_sends_a_probe_as_often_as_it_is_told(void **state)
{
	struct fx *f = fx_new(1024);
	struct rel_dgram d;

	fx_other(f);
	fx_flush(f);
	assert_false(rel_next(f->other, &d, f->now_ns));
	assert_int_equal(rel_deadline(f->rel), SEC + 10 * SEC);
	assert_int_equal(rel_deadline(f->other), SEC + 30 * SEC);
	f->now_ns += 29 * SEC;
	rel_tick(f->other, f->now_ns);
	assert_false(rel_next(f->other, &d, f->now_ns));
	f->now_ns += SEC;
	rel_tick(f->other, f->now_ns);
	assert_true(rel_next(f->other, &d, f->now_ns));
	fx_end(f);
}

static void a_link_is_down_after_the_limits_that_it_is_given(void **state)
{
	struct fx *f = fx_new(1024);
	struct rel_pkt p = {.handle = fx_handle(f), .len = 100, .account = f->account, .bufs = 1};
	struct rel_event ev = {0};
	struct rel_dgram d;

	fx_other(f);
	rel_queue_open(rel_queue(f->other), 1, 1);
	assert_true(rel_queue_push(rel_queue(f->other), 1, &p, 0, f->now_ns));
	while (rel_next(f->other, &d, f->now_ns))
		;
	for (unsigned i = 0; i < 40 && !fx_event(f, REL_EV_DOWN, &ev); i++) {
		f->now_ns = rel_deadline(f->other);
		rel_tick(f->other, f->now_ns);
		while (rel_next(f->other, &d, f->now_ns))
			;
	}
	assert_int_equal(ev.kind, REL_EV_DOWN);
	assert_int_equal(ev.tag, 4); // 1, 2, 2 and 2 s without a measured round trip
	assert_int_equal(ev.limit_s, 7);
	assert_int_equal(f->now_ns, 8 * SEC);
	fx_end(f);
}

// A peer that lost its state may come back with another window.
static void a_new_instance_may_have_another_window(void **state)
{
	struct fx *f = fx_new(1 << 15);
	struct rel_dgram d;

	fx_other(f); // 2^13
	for (unsigned log2 = REL_WINDOW_LOG2_MIN; log2 < REL_WINDOW_LOG2_MIN + 5; log2++) {
		unsigned most = log2 > REL_WINDOW_LOG2_MIN + 3 ? REL_WINDOW_LOG2_MIN + 3 : log2;
		struct rail_frame at = {.type = RAIL_RESUME, .seq = (1u << most) - 1};
		uint8_t buf[64];
		struct bytes_w w = bytes_w(buf, sizeof(buf));

		rel_set_window(f->other, (uint8_t)log2);
		rel_reset(f->other, f->now_ns);
		rail_frame_encode(&w, &at);
		assert_int_equal(fx_rx_at(f, f->other, &w), REL_COMMIT);
		at.seq++; // the first one past it
		w = bytes_w(buf, sizeof(buf));
		rail_frame_encode(&w, &at);
		assert_int_equal(fx_rx_at(f, f->other, &w), REL_CLOSE_PROTOCOL);
		while (rel_next(f->other, &d, f->now_ns))
			;
	}
	fx_end(f);
}

// ---- what elicits an ack ----

static void frames_that_are_skipped_elicit_wherever_they_stand(void **state)
{
	static const struct {
		const char *bytes;
		uint32_t len;
		bool elicits;
	} t[] = {
		{"\0\0\0", 3, false}, {"\x40\0\2ab", 5, true}, {"\0\0\x40\0\2ab", 7, true},
		{"\xb\1\0\x40\0\1a\0", 8, true}, // behind a NOTICE
		{"\xb\1\2@@", 5, false}, // in its text
	};

	for (unsigned i = 0; i < ARRAY_LEN(t); i++) {
		struct fx *f = fx_new(1024);
		uint8_t buf[16];
		struct bytes_w w = bytes_w(buf, sizeof(buf));
		struct rel_dgram d;

		while (rel_next(f->rel, &d, f->now_ns))
			;
		bytes_w_copy(&w, t[i].bytes, t[i].len);
		assert_int_equal(fx_rx(f, &w), REL_COMMIT);
		f->now_ns += 10 * MS;
		while (rel_next(f->rel, &d, f->now_ns))
			;
		assert_int_equal(fx_stats(f).acks_sent, t[i].elicits);
		fx_end(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_frames_by_route),
		cmocka_unit_test(distance_is_0_when_all_before_is_acked),
		cmocka_unit_test(ack_gives_handles_back),
		cmocka_unit_test(three_later_counters_make_a_loss),
		cmocka_unit_test(nine_eighths_of_a_round_trip_make_a_loss),
		cmocka_unit_test(late_ack_spares_the_repetition),
		cmocka_unit_test(refuses_acks_of_what_was_not_sent),
		cmocka_unit_test(refuses_ack_of_a_skipped_counter),
		cmocka_unit_test(time_outs_double_up_to_2_s_and_end_the_link),
		cmocka_unit_test(lost_padded_probe_is_no_congestion),
		cmocka_unit_test(acks_of_the_path_before_measure_nothing),
		cmocka_unit_test(large_ones_that_are_lost_in_a_row_are_counted),
		cmocka_unit_test(each_probe_has_its_own_round_trip),
		cmocka_unit_test(few_probes_wait_and_one_without_a_tag_is_any_of_them),
		cmocka_unit_test(stops_before_the_window_is_full),
		cmocka_unit_test(cuts_what_no_longer_fits),
		cmocka_unit_test(abort_sends_empty_for_what_is_unacked),
		cmocka_unit_test(acks_at_once_on_a_gap_else_later),
		cmocka_unit_test(acks_are_not_acked),
		cmocka_unit_test(idle_link_keeps_no_chunks),
		cmocka_unit_test(frames_that_are_skipped_elicit_wherever_they_stand),
		cmocka_unit_test(an_idle_link_sends_a_probe_as_often_as_it_is_told),
		cmocka_unit_test(a_link_is_down_after_the_limits_that_it_is_given),
		cmocka_unit_test(a_new_instance_may_have_another_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
