// Peers that hold valid keys and abuse them (issue: "bad input"). Whatever one does by its link,
// what is held stays within its bounds, what we do and send for it too, and another link of the
// same hold goes on as if nothing were. Acks of what was never sent or was skipped:
// rel_loss_test.c; sequences against the window: rel_order_test.c.
#define FX_N_ROUTES 12288
#include "tests/lib/link/rel_fixture.h"

enum {
	BUDGET = 512,
	BURST = 32, // packets between two looks at the events
	WINDOW = 1 << REL_WINDOW_LOG2_MIN,
	ATTACKS = 20000,
	HOGS = 10000,
	OURS = FX_ROUTES - 1, // the other link's route
	OUR_ID = 7777, // its next id
	GO = 8, // packets: within the first window of congestion control
	CHUNKS_MAX = 32, // half a megabyte
};

// The other link, of a peer that does nothing wrong.
struct other {
	struct rel *rel;
	struct replay *replay;
	uint16_t account;
	uint64_t counter; // of the peer
	uint64_t acked;
};

static struct other o;
static unsigned n_closed; // routes of the hostile link's account

static struct fx *begin(void)
{
	struct fx *f = fx_new(BUDGET);
	struct rel_conf rc = {.link = &o,
		.window_log2 = REL_WINDOW_LOG2_MIN,
		.max_frames = 1,
		.room = 1400,
		.overhead = RAIL_DATA_OVERHEAD,
		.cc = cc_find("cubic"),
		.on_frame = fx_on_frame,
		.seed = 10};

	memset(&o, 0, sizeof(o));
	n_closed = 0;
	o.account = (uint16_t)rel_hold_account_open(f->hold);
	o.replay = malloc(replay_size(REPLAY_BITS_DEFAULT));
	replay_init(o.replay, REPLAY_BITS_DEFAULT);
	rc.replay = o.replay;
	rc.account = o.account;
	o.rel = rel_init(aligned_alloc(64, rel_mem_size(&rc)), f->hold, &rc, f->now_ns);
	assert_int_equal(rel_queue_open(rel_queue(o.rel), OURS, OUR_ID), 0);
	return f;
}

// What a node does with the events of the hostile link; the other one must have none.
static unsigned look(struct fx *f)
{
	struct rel_hold_stats st;
	struct rel_event ev;
	unsigned n = 0;

	for (; rel_hold_event(f->hold, &ev); n++) {
		assert_int_not_equal(ev.route, OURS);
		assert_ptr_not_equal(ev.link, &o);
		if (ev.kind == REL_EV_CLOSE || ev.kind == REL_EV_GONE) {
			assert_true(ev.reason != 0);
			n_closed++;
			rel_queue_abort(f->q, ev.route, ev.reason, f->now_ns);
			rel_queue_drain(f->q, ev.route);
		} else if (ev.kind == REL_EV_CLOSE_IN) {
			n_closed++;
			rel_ingress_close(f->rel, ev.route_id, ev.reason, f->now_ns);
		}
	}
	rel_hold_stats(f->hold, &st);
	assert_true(st.bufs <= BUDGET + BURST);
	assert_true(f->n_held <= BUDGET + 2 * BURST);
	assert_true(f->n_chunks <= CHUNKS_MAX);
	return n;
}

static void end(struct fx *f)
{
	struct rel_event ev;

	while (rel_hold_event(f->hold, &ev))
		;
	rel_fini(o.rel);
	free(o.rel);
	free(o.replay);
	fx_end(f);
}

static void o_rx(struct fx *f, const struct rail_frame *frame)
{
	uint8_t buf[2048];
	struct bytes_w w = bytes_w(buf, sizeof(buf));
	struct rel_in in = {.frames = buf, .counter = o.counter, .handle = fx_handle(f)};

	assert_int_equal(rail_frame_encode(&w, frame), 0);
	in.len = (uint32_t)bytes_w_len(&w);
	assert_int_equal(rel_rx(o.rel, &in, &f->out, f->now_ns), REL_COMMIT);
	replay_commit(o.replay, o.counter++);
}

// Packets are taken, sent at once, and acked.
static void the_other_link_goes_on(struct fx *f)
{
	struct rail_frame ack = {.type = RAIL_ACK};
	uint64_t counter[GO];
	struct rel_stats st;
	struct rel_dgram d;
	unsigned n = 0;

	for (unsigned i = 0; i < GO; i++) {
		struct rel_pkt p = {
			.handle = fx_handle(f), .len = 100, .account = o.account, .bufs = 1};

		assert_true(rel_queue_push(rel_queue(o.rel), OURS, &p, 0, f->now_ns));
	}
	f->now_ns += 100 * MS; // enough for what paces
	rel_tick(o.rel, f->now_ns);
	while (n < GO && rel_next(o.rel, &d, f->now_ns)) {
		for (unsigned i = 0; i < d.n; i++)
			if (d.piece[i].handle != NULL) {
				counter[n++] = d.counter;
				break;
			}
		f->now_ns += 10 * MS;
	}
	assert_int_equal(n, GO);
	o.acked += GO;
	for (unsigned i = 0; i < GO; i++) {
		ack.ack.highest = counter[i];
		ack.ack.next_seq = (uint32_t)(o.acked - GO + i + 1);
		o_rx(f, &ack);
	}
	rel_stats(o.rel, &st);
	assert_int_equal(st.tx_packets, o.acked);
	assert_int_equal(st.unacked, 0);
}

// What was released is the caller's; it is given back here.
static void take_released(struct fx *f)
{
	for (unsigned i = 0; i < f->out.n; i++)
		fx_back(f, f->item[i].handle);
	f->out.n = 0;
}

static uint64_t rng = 88172645463325252ull;

static uint32_t dice(uint32_t sides)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)((rng >> 11) % sides);
}

// ---- what comes in ----

// Everything but the first one, anywhere in the window, each after one that never comes.
static void huge_gaps_hold_no_more_than_the_budget(void **state)
{
	struct fx *f = begin();

	for (unsigned i = 0; i < ATTACKS; i++) {
		uint32_t seq = 1 + dice(WINDOW - 1);
		enum rel_verdict v = fx_rx_seq(f, seq, 1, 1 + dice(100));

		if (v == REL_CLOSE_PROTOCOL) { // two after the same: it may dial again
			rel_reset(f->rel, f->now_ns);
			replay_init(f->replay, REPLAY_BITS_DEFAULT);
			f->counter = 0;
		}
		take_released(f);
		look(f);
		if (i % 500 == 0)
			the_other_link_goes_on(f);
	}
	end(f);
}

// Lawful ones this time: chains of many routes whose first packets never come.
static void what_waits_for_the_missing_is_closed_not_kept(void **state)
{
	struct fx *f = begin();
	unsigned no_room = 0;

	for (uint32_t seq = 100; seq < WINDOW; seq++) {
		no_room += fx_rx_seq(f, seq, 100, 1 + seq % 100) == REL_NO_ROOM;
		take_released(f);
		look(f);
	}
	// past 7/8 nothing more is held, and the routes that hold most are closed
	assert_true(no_room > 0 || n_closed > 0);
	the_other_link_goes_on(f);
	end(f);
}

static enum rel_verdict part(struct fx *f, uint32_t seq, uint32_t off, uint32_t len)
{
	static const uint8_t bytes[1200];
	struct rail_frame p = {.type = RAIL_PART,
		.seq = seq,
		.total = 65542,
		.offset = off,
		.len = len,
		.data = bytes};

	return fx_rx_frame(f, &p);
}

// Of each packet another piece, of none all.
static void endless_parts_are_bounded(void **state)
{
	struct fx *f = begin();

	for (unsigned i = 0; i < ATTACKS; i++) {
		enum rel_verdict v = part(f, i % 200, 1 + dice(65000), 1 + dice(500));

		assert_true(v == REL_COMMIT || v == REL_NO_ROOM);
		take_released(f);
		look(f);
		if (i % 500 == 0)
			the_other_link_goes_on(f);
	}
	end(f);
}

// The same bytes again and again, shifted by one: 65542 pieces would make one packet.
static void overlapping_parts_are_bounded(void **state)
{
	struct fx *f = begin();

	for (unsigned i = 0; i < ATTACKS; i++) {
		enum rel_verdict v = part(f, 0, i % 65000, i % 3 == 0 ? 1 : 1000);

		assert_true(v == REL_COMMIT || v == REL_NO_ROOM);
		assert_true(f->n_held <= REL_SEGS_MAX + BURST);
		take_released(f);
		look(f);
	}
	the_other_link_goes_on(f);
	end(f);
}

// Small, in order, and each acked: they cost what they cost, and hold nothing.
static void probes_without_end_are_answered_by_few_acks(void **state)
{
	struct rail_frame probe = {.type = RAIL_PROBE};
	struct fx *f = begin();
	struct rel_dgram d;
	unsigned sent = 0;

	for (unsigned i = 0; i < ATTACKS; i++) {
		assert_int_equal(fx_rx_frame(f, &probe), REL_COMMIT);
		look(f);
		while (i % BURST == 0 && rel_next(f->rel, &d, f->now_ns)) // as bursts come
			sent++;
	}
	assert_true(sent <= ATTACKS / BURST + 8);
	the_other_link_goes_on(f);
	end(f);
}

// ---- acks ----

// Sends n packets of route 1; returns the counter of the first, *last that of the last.
static uint64_t send_some(struct fx *f, unsigned n, uint64_t *last)
{
	uint64_t first = UINT64_MAX;
	struct rail_frame frame;
	struct rel_dgram d;

	for (unsigned sent = 0; sent < n; sent++) {
		assert_true(fx_push(f, 1, 100, 0));
		for (unsigned k = 0; !fx_next(f, &d, &frame); k++) { // it is paced
			assert_true(k < 1000);
			f->now_ns += MS / 10;
			rel_tick(f->rel, f->now_ns);
		}
		if (first == UINT64_MAX)
			first = d.counter;
		*last = d.counter;
	}
	return first;
}

// Each frame is lawful and says nothing new. What we look at for all of them depends on what we
// sent, not on how many there are.
static void the_same_acks_again_cost_no_more_than_what_was_sent(void **state)
{
	enum { ROUNDS = 100, N = 8, AGAIN = 64 }; // looks a datagram
	struct fx *f = begin();
	uint64_t first, last;

	assert_int_equal(rel_queue_open(f->q, 1, 1), 0);
	first = send_some(f, N, &last);
	fx_rx_ack(f, last, first + 1, 0); // that one is lost: its record waits for a late ack
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t lo = send_some(f, N, &last);

		fx_rx_ack(f, last, lo, 0);
		look(f);
	}
	assert_int_equal(fx_stats(f).tx_lost, 1);
	for (unsigned i = 0; i < ATTACKS; i++)
		assert_int_equal(fx_rx_ack(f, last, first + 1, 0), REL_COMMIT);
	assert_true(fx_stats(f).acks_looked <= (AGAIN + 2) * fx_stats(f).tx_datagrams);
	send_some(f, 1, &last); // pays for a look at the late one
	fx_rx_ack(f, first, first, 0);
	assert_int_equal(fx_stats(f).tx_spurious, 1);
	the_other_link_goes_on(f);
	end(f);
}

// The newest one alone, so that all before it might be lost: a matter of time, which one timer has.
static void the_newest_ack_again_looks_at_nothing(void **state)
{
	struct fx *f = begin();
	uint64_t first, last, looked;

	assert_int_equal(rel_queue_open(f->q, 1, 1), 0);
	for (unsigned i = 0; i < 10; i++) { // the window of congestion control grows
		first = send_some(f, 8, &last);
		fx_rx_ack(f, last, first, 0);
		look(f);
	}
	send_some(f, 32, &last);
	looked = fx_stats(f).acks_looked;
	for (unsigned i = 0; i < ATTACKS; i++)
		assert_int_equal(fx_rx_ack(f, last, last, 0), REL_COMMIT);
	assert_true(fx_stats(f).acks_looked - looked < 32);
	the_other_link_goes_on(f);
	end(f);
}

// ---- pauses and ends ----

// Of routes that leave by another link, that ended, that never were.
static void pauses_and_ends_of_foreign_routes_do_nothing(void **state)
{
	static const uint8_t types[] = {RAIL_PAUSE, RAIL_RESUME, RAIL_GONE};
	struct fx *f = begin();
	uint32_t seq = 0;

	for (unsigned i = 0; i < 3000; i++) {
		struct rail_frame m = {.type = types[i % 3],
			.seq = seq,
			.distance = seq > 0,
			.route_id = i % 2 == 0 ? OUR_ID : dice(UINT32_MAX),
			.limit_s = 1,
			.code = RAIL_GONE_HELD};

		if (fx_rx_frame(f, &m) == REL_COMMIT)
			seq++;
		assert_int_equal(look(f), 0); // no event at all
		fx_flush(f);
		if (i % 500 == 0)
			the_other_link_goes_on(f);
	}
	assert_true(fx_stats(f).rx_ignored >= 2000); // RESUMEs wait for their PAUSE
	f->now_ns += 3600 * SEC;
	rel_hold_tick(f->hold, f->now_ns);
	assert_int_equal(look(f), 0);
	the_other_link_goes_on(f);
	end(f);
}

// EMPTY is about what comes by its own link, and says so.
static void empties_name_the_link_they_came_by(void **state)
{
	struct fx *f = begin();
	struct rel_event ev;

	for (uint32_t seq = 0; seq < 1000; seq++) {
		struct rail_frame m = {.type = RAIL_EMPTY, .seq = seq, .route_id = OUR_ID};

		assert_int_equal(fx_rx_frame(f, &m), REL_COMMIT);
		while (rel_hold_event(f->hold, &ev)) {
			assert_int_equal(ev.kind, REL_EV_EMPTY);
			assert_ptr_equal(ev.link, f); // the caller asks whose rule that id is
		}
		fx_flush(f);
	}
	the_other_link_goes_on(f);
	end(f);
}

// An id that nobody knows, in each datagram: one GONE in 10 ms, not one each.
static void unknown_ids_are_told_at_a_limited_rate(void **state)
{
	struct fx *f = begin();
	unsigned sent;

	for (uint32_t i = 0; i < 900; i++) {
		assert_int_equal(fx_rx_seq(f, i, 0, 1 + i), REL_COMMIT);
		rel_unknown_id(f->rel, 1 + i, f->now_ns);
		take_released(f);
		f->now_ns += MS / 10;
	}
	f->now_ns += SEC;
	rel_tick(f->rel, f->now_ns);
	sent = fx_flush(f);
	assert_true(sent >= 1 && sent <= 90 / 10 + 2);
	end(f);
}

// ---- what goes out for it ----

// It was told to wait, and sends all the same.
static void who_ignores_our_pauses_pays_itself(void **state)
{
	struct fx *f = begin();
	unsigned refused = 0;

	assert_int_equal(rel_queue_open(f->q, 1, 1), 0);
	for (unsigned i = 0; i < ATTACKS; i++) {
		refused += !fx_push(f, 1, 100, 0);
		if (i % BURST == 0)
			look(f);
		if (i % 500 == 0)
			the_other_link_goes_on(f);
	}
	assert_int_equal(n_closed, 1); // and nothing but that route
	assert_true(refused >= ATTACKS - BUDGET - 2 * BURST);
	end(f);
}

// Ten thousand routes that hold a few packets each, below what is looked at one by one.
static void ten_thousand_small_hogs(void **state)
{
	struct fx *f = begin();
	unsigned events = 0, pushed = 0;

	for (unsigned r = 0; r < HOGS; r++) {
		assert_int_equal(rel_queue_open(f->q, r, 1 + r), 0);
		for (unsigned k = 0; k < 6; k++, pushed++) {
			fx_push(f, r, 100, 0);
			if (pushed % BURST == 0)
				events += look(f);
		}
		if (r % 200 == 0)
			the_other_link_goes_on(f);
	}
	events += look(f);
	assert_true(n_closed >= (HOGS * 6 - BUDGET) / 6 - BURST);
	assert_true(n_closed <= HOGS);
	assert_true(events <= 2 * HOGS + 64); // at most closed and done
	the_other_link_goes_on(f);
	end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(huge_gaps_hold_no_more_than_the_budget),
		cmocka_unit_test(what_waits_for_the_missing_is_closed_not_kept),
		cmocka_unit_test(endless_parts_are_bounded),
		cmocka_unit_test(overlapping_parts_are_bounded),
		cmocka_unit_test(probes_without_end_are_answered_by_few_acks),
		cmocka_unit_test(the_same_acks_again_cost_no_more_than_what_was_sent),
		cmocka_unit_test(the_newest_ack_again_looks_at_nothing),
		cmocka_unit_test(pauses_and_ends_of_foreign_routes_do_nothing),
		cmocka_unit_test(empties_name_the_link_they_came_by),
		cmocka_unit_test(unknown_ids_are_told_at_a_limited_rate),
		cmocka_unit_test(who_ignores_our_pauses_pays_itself),
		cmocka_unit_test(ten_thousand_small_hogs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
