// The reliable link in simulated worlds (tests/support/rel_sim.h): nothing is lost, doubled or out
// of order on a route that lives, memory is bounded, each route that was closed has its reason, no
// handle leaks. A failing seed is printed; `rel_sim_run random=1 seed=N` shows it again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/wire/rail_frame.h"
#include "tests/support/rel_sim.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { RUNS = 800, MILLION = 100000 }; // each is ten times slower
#else
enum { RUNS = 4000, MILLION = 1000000 };
#endif
#define MS 1000000ull
#define S 1000000000ull

static void run(const struct sim_conf *c, struct sim_result *r)
{
	if (sim_run(c, r) < 0)
		fail_msg("seed %lu: %s", (unsigned long)c->seed, r->why);
}

static void anything_may_happen(void **state)
{
	unsigned completed = 0, closed = 0, reasons = 0;
	uint64_t black_holes = 0;
	struct sim_result r;
	struct sim_conf c;

	for (uint64_t seed = 1; seed <= RUNS; seed++) {
		sim_conf_random(&c, seed);
		run(&c, &r);
		completed += r.completed;
		closed += r.closed;
		reasons |= r.reasons;
		black_holes += r.black_holes;
	}
	print_message("%u worlds: %u routes completed, %u closed, reasons 0x%x, %lu black holes\n",
		RUNS, completed, closed, reasons, (unsigned long)black_holes);
	// the worlds are worth something only if all of it does happen
	assert_true(completed > RUNS && closed > RUNS / 10);
	assert_true(black_holes > RUNS / 400 || RUNS < 4000); // one world in two hundred
	assert_int_equal(
		reasons & (1 << RAIL_GONE_HELD | 1 << RAIL_GONE_STALLED | 1 << RAIL_GONE_RESET |
				  1 << RAIL_GONE_HOP_DOWN | 1 << RAIL_GONE_RULE),
		1 << RAIL_GONE_HELD | 1 << RAIL_GONE_STALLED | 1 << RAIL_GONE_RESET |
			1 << RAIL_GONE_HOP_DOWN | 1 << RAIL_GONE_RULE);
}

// Links change the hold, as hops change the worker, while anything happens.
static void links_move_to_other_holds(void **state)
{
	uint64_t moves = 0, held = 0;
	unsigned completed = 0;
	struct sim_result r;
	struct sim_conf c;

	for (uint64_t seed = 1; seed <= RUNS / 2; seed++) {
		sim_conf_random(&c, seed);
		c.move_gap_ns = (1 + seed % 40) * (seed % 2 == 0 ? MS : 50 * MS);
		run(&c, &r);
		moves += r.moves;
		held += r.held;
		completed += r.completed;
	}
	print_message("%lu moves, %u routes completed\n", (unsigned long)moves, completed);
	assert_true(moves > 10 * RUNS && held > RUNS && completed > RUNS / 2);
}

static void same_seed_same_world(void **state)
{
	struct sim_result a, b;
	struct sim_conf c;

	for (uint64_t seed = 1; seed < 20; seed++) {
		sim_conf_random(&c, seed);
		run(&c, &a);
		run(&c, &b);
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

// Many at once or one by one: the same datagrams leave at the same times.
static void runs_change_nothing(void **state)
{
	struct sim_result a, b;
	struct sim_conf c;

	for (uint64_t seed = 1; seed <= 60; seed++) {
		memset(&a, 0, sizeof(a));
		memset(&b, 0, sizeof(b));
		sim_conf_random(&c, seed);
		c.max_frames = 1;
		run(&c, &a);
		c.runs = false;
		run(&c, &b);
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

static void nothing_is_repeated_without_loss(void **state)
{
	struct sim_result r;
	struct sim_conf c;

	sim_conf_default(&c, 1);
	c.packets = 3000;
	c.n_routes = 5;
	run(&c, &r);
	assert_int_equal(r.completed, 5);
	assert_int_equal(r.lost, 0);
	assert_int_equal(r.rtx, 0);
	assert_int_equal(r.held, 0);
}

// Sequences, counters and rings go around many times, with holes in them.
static void long_transfers_go_around_the_rings(void **state)
{
	static const uint8_t windows[] = {10, 12, 18};
	struct sim_result r;
	struct sim_conf c;

	for (unsigned i = 0; i < sizeof(windows); i++) {
		sim_conf_default(&c, 7);
		c.packets = 30000;
		c.n_routes = 3;
		c.window_log2 = windows[i];
		c.there.loss_ppm = 10000;
		c.there.reorder_ppm = 10000;
		c.back.loss_ppm = 100000;
		c.limit_ns = 3600 * S;
		run(&c, &r);
		assert_int_equal(r.completed, 3);
		assert_true(r.lost > 500);
	}
}

static double jain(const struct sim_conf *c, const struct sim_result *r)
{
	double sum = 0, sq = 0;

	for (unsigned k = 0; k < c->n_routes; k++) {
		sum += (double)r->route_bytes[k];
		sq += (double)r->route_bytes[k] * (double)r->route_bytes[k];
	}
	return sum * sum / (c->n_routes * sq);
}

// Ten routes share a link of 20 Mbit/s, 50 ms round trip.
static void routes_share_a_link_fairly(void **state)
{
	struct sim_result r;
	struct sim_conf c;
	double of_best;

	sim_conf_default(&c, 1);
	c.n_routes = 10;
	c.one_way = true;
	c.len_min = 200; // as different as packets may be
	c.len_max = 1392;
	c.packets = 1000000;
	c.start_gap_ns = 100 * MS;
	c.there = (struct sim_wire_conf){
		.delay_ns = 25 * MS, .rate_Bps = 2500000, .queue_bytes = 125000};
	c.back.delay_ns = 25 * MS;
	c.warm_ns = 3 * S;
	c.limit_ns = 10 * S;
	run(&c, &r);
	of_best = (double)r.bytes / 7 / 2500000;
	print_message("Jain %.4f, %.3f of the line, queue %.1f ms\n", jain(&c, &r), of_best,
		(double)r.queue_sum_ns / (double)r.queue_n / 1e6);
	assert_true(jain(&c, &r) > 0.99);
	assert_true(of_best > 0.8);
}

// The path carries less in mid-run and nobody says so: the ends find out, and nothing is lost for
// it. Later it carries more again, which they try in their own time.
static void a_path_that_changes_is_followed(void **state)
{
	struct sim_result r;
	struct sim_conf c;

	for (unsigned i = 0; i < 2; i++) {
		sim_conf_default(&c, 3);
		c.n_routes = 3;
		c.one_way = true;
		c.cc = i == 0 ? "bbr" : "cubic";
		c.room = 1248;
		c.find_max = 8968;
		c.len_min = 200;
		c.len_max = 12000;
		c.packets = 4000;
		c.source_gap_ns = 10 * MS;
		c.there.loss_ppm = 1000;
		c.path[0].carries = 8968;
		c.path[1].ns = 10 * S;
		c.path[1].carries = 1420;
		c.limit_ns = 60 * S;
		run(&c, &r);
		assert_int_equal(r.completed, 3);
		assert_int_equal(r.black_holes, 1);
		assert_int_equal(r.mtu, 1420);
		print_message("%s: %lu probes for two sizes\n", c.cc, (unsigned long)r.mtu_probes);
		assert_in_range(r.mtu_probes, 10, 60);
		c.packets = 700;
		c.source_gap_ns = S;
		c.path[2].ns = 60 * S;
		c.path[2].carries = 4352;
		c.limit_ns = 800 * S;
		run(&c, &r);
		assert_int_equal(r.completed, 3);
		assert_int_equal(r.black_holes, 1);
		assert_int_equal(r.mtu, 4352);
	}
}

// Two links, one bottleneck of 20 Mbit/s, 50 ms round trip; the second one begins later. Prints and
// returns Jain's index.
static double two_links(const char *cc, const char *other, double *of_best)
{
	struct sim_result r;
	struct sim_conf c;
	double index;

	sim_conf_default(&c, 1);
	c.n_nodes = 3;
	c.n_routes = 2;
	c.route_per_wire = true;
	c.one_bottleneck = true;
	c.cc = cc;
	c.cc_other = other;
	c.len_min = c.len_max = 1392;
	c.packets = 1000000;
	c.start_gap_ns = 3 * S;
	c.there = (struct sim_wire_conf){
		.delay_ns = 25 * MS, .rate_Bps = 2500000, .queue_bytes = 125000};
	c.back.delay_ns = 25 * MS;
	c.warm_ns = 20 * S;
	c.limit_ns = 60 * S;
	run(&c, &r);
	index = jain(&c, &r);
	*of_best = (double)r.bytes / 40 / 2500000;
	print_message(
		"%s beside %s: Jain %.4f (%.1f and %.1f Mbit/s), %.3f of the line, queue %.1f ms, "
		"%lu lost of %lu\n",
		cc, other, index, (double)r.route_bytes[0] * 8 / 40e6,
		(double)r.route_bytes[1] * 8 / 40e6, *of_best,
		(double)r.queue_sum_ns / (double)r.queue_n / 1e6, (unsigned long)r.lost,
		(unsigned long)r.datagrams);
	return index;
}

static void links_share_a_bottleneck_fairly(void **state)
{
	double of_best;

	assert_true(two_links("bbr", "bbr", &of_best) > 0.9);
	assert_true(of_best > 0.8);
	assert_true(two_links("cubic", "cubic", &of_best) > 0.8);
	assert_true(of_best > 0.8);
}

// Neither starves the other.
static void bbr_lives_beside_a_cubic_flow(void **state)
{
	double of_best;

	assert_true(two_links("bbr", "cubic", &of_best) > 0.7);
	assert_true(of_best > 0.8);
}

// A reader that is slow makes pauses and resumes; of the first eight of them any may get lost.
static void lost_pauses_and_resumes_hold_nobody_up_for_ever(void **state)
{
	uint64_t sent = 0, lost = 0;
	struct sim_result r;
	struct sim_conf c;

	for (uint64_t mask = 0; mask < 256; mask++) {
		sim_conf_default(&c, 1);
		c.drop_ctl = mask;
		c.n_nodes = 3;
		c.n_routes = 2;
		c.one_way = true;
		c.packets = 800;
		c.len_min = c.len_max = 1300;
		c.slow_nth = 2; // route 0
		c.slow_gap_ns = 5 * MS;
		run(&c, &r);
		assert_int_equal(r.completed, 2);
		assert_int_equal(r.reasons, 0);
		assert_true(r.ctl_sent >= 8);
		sent += r.ctl_sent;
		lost += r.ctl_lost;
	}
	print_message("%lu PAUSE and RESUME, %lu of them lost\n", (unsigned long)sent,
		(unsigned long)lost);
	assert_int_equal(lost, 256 / 2 * 8);
}

// As many packets as a run may have, over two hops that lose, reorder and repeat.
static void a_million_packets(void **state)
{
	struct sim_result r;
	struct sim_conf c;

	sim_conf_default(&c, 3);
	c.n_nodes = 3;
	c.n_routes = 10;
	c.one_way = true;
	c.len_min = 40;
	c.len_max = 100;
	c.max_frames = 15;
	c.packets = MILLION / 10;
	c.there = (struct sim_wire_conf){.loss_ppm = 1000,
		.dup_ppm = 1000,
		.reorder_ppm = 1000,
		.delay_ns = 5 * MS,
		.rate_Bps = 12500000,
		.queue_bytes = 125000};
	c.back = c.there;
	c.limit_ns = 3600 * S;
	run(&c, &r);
	print_message("%lu packets in %.1f s, %lu datagrams, %lu lost, %u buffers at most\n",
		(unsigned long)r.delivered, (double)r.ns / 1e9, (unsigned long)r.datagrams,
		(unsigned long)r.lost, r.bufs_max);
	assert_int_equal(r.completed, 10);
	assert_int_equal(r.delivered, MILLION);
	assert_true(r.lost > 0);
}

// A reader that does not read holds up its own route alone, for as long as it likes.
static void slow_reader_delays_no_other(void **state)
{
	struct sim_result r;
	struct sim_conf c;

	sim_conf_default(&c, 1);
	c.n_nodes = 4;
	c.n_routes = 4;
	c.one_way = true;
	c.packets = 3000;
	c.stop_nth = 4; // route 0
	c.stop_ns = 1;
	c.there.rate_Bps = 5000000;
	c.there.queue_bytes = 100000;
	c.warm_ns = 1;
	c.limit_ns = 20 * S;
	run(&c, &r);
	print_message("%u buffers at most\n", r.bufs_max);
	assert_int_equal(r.completed, 3);
	assert_int_equal(r.reasons, 0);
	assert_true(r.pauses > 0);
	// 64 KiB and what was on its way, at each node
	assert_true(r.bufs_max < 1000);
}

// Full buffers in both directions of a ring of three: nobody waits for ever.
static void full_ring_dissolves(void **state)
{
	unsigned full = 0, closed = 0;
	struct sim_result r;
	struct sim_conf c;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		sim_conf_default(&c, seed);
		c.n_nodes = 3;
		c.ring = true;
		c.n_routes = 12;
		c.packets = 600;
		c.max_bufs = 300;
		c.there = (struct sim_wire_conf){.delay_ns = 20 * MS,
			.loss_ppm = 20000,
			.rate_Bps = 500000,
			.queue_bytes = 30000};
		c.back = c.there;
		run(&c, &r);
		assert_int_equal(r.completed + r.closed, 12);
		full += r.bufs_max >= c.max_bufs * 7 / 8;
		closed += r.closed;
	}
	print_message("%u of 20 rings were full, %u routes closed\n", full, closed);
	assert_int_equal(full, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_repeated_without_loss),
		cmocka_unit_test(links_move_to_other_holds),
		cmocka_unit_test(same_seed_same_world),
		cmocka_unit_test(runs_change_nothing),
		cmocka_unit_test(long_transfers_go_around_the_rings),
		cmocka_unit_test(routes_share_a_link_fairly),
		cmocka_unit_test(a_path_that_changes_is_followed),
		cmocka_unit_test(links_share_a_bottleneck_fairly),
		cmocka_unit_test(bbr_lives_beside_a_cubic_flow),
		cmocka_unit_test(lost_pauses_and_resumes_hold_nobody_up_for_ever),
		cmocka_unit_test(a_million_packets),
		cmocka_unit_test(slow_reader_delays_no_other),
		cmocka_unit_test(full_ring_dissolves),
		cmocka_unit_test(anything_may_happen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
