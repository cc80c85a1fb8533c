// The common part of congestion control: flight, delivery rate samples, rounds, loss episodes; then
// lives of many flows at random, in which both controllers keep within their bounds.
#include "lib/link/cc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/link/cc_priv.h"

#define MS 1000000ull
#define S 1000000000ull
enum { MSS = 1000 };

static const struct cc_conf conf = {.mss = MSS, .seed = 1};

// A controller that only remembers what it was told last.
static struct {
	struct cc_sample rs;
	unsigned idle, acks, lost, first, spurious, collapse;
	bool round_start, in_recovery;
} told;

static void spy_init(struct cc *c, uint64_t now_ns)
{
	memset(&told, 0, sizeof(told));
	c->cwnd = 100 * MSS;
}

static void spy_idle(struct cc *c, uint64_t now_ns)
{
	told.idle++;
}

static void spy_ack(struct cc *c, uint64_t now_ns)
{
	told.rs = c->rs;
	told.acks++;
	told.round_start = c->round_start;
	told.in_recovery = c->in_recovery;
}

static void spy_lost(
	struct cc *c, const struct cc_pkt *p, uint32_t bytes, bool first, uint64_t now_ns)
{
	told.lost++;
	told.first += first;
}

static void spy_spurious(struct cc *c, uint64_t now_ns)
{
	told.spurious++;
}

static void spy_collapse(struct cc *c, uint64_t now_ns)
{
	told.collapse++;
}

static const struct cc_ops spy = {.name = "spy",
	.init = spy_init,
	.on_idle = spy_idle,
	.on_ack = spy_ack,
	.on_lost = spy_lost,
	.on_spurious = spy_spurious,
	.on_collapse = spy_collapse};

static void send_n(struct cc *c, struct cc_pkt *p, unsigned n, uint64_t now_ns, uint64_t gap_ns)
{
	for (unsigned i = 0; i < n; i++)
		cc_sent(c, &p[i], MSS, now_ns + i * gap_ns);
}

static void ack_one(struct cc *c, const struct cc_pkt *p, uint64_t now_ns)
{
	cc_acked(c, p, MSS, now_ns);
	cc_ack_end(c, now_ns - p->sent_ns, now_ns);
}

static void finds_controllers_by_name(void **state)
{
	struct cc c;

	assert_ptr_equal(cc_find("bbr"), cc_bbr());
	assert_ptr_equal(cc_find("cubic"), cc_cubic());
	assert_null(cc_find("reno"));
	cc_init(&c, cc_find("cubic"), &conf, 0);
	assert_string_equal(cc_name(&c), "cubic");
	assert_string_equal(cc_phase(&c), "slow-start");
}

static void begins_with_ten_datagrams(void **state)
{
	static const struct {
		uint32_t mss, used;
	} t[] = {{1000, 1000}, {100, 500}, {1000000, 65535}};
	struct cc c;

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct cc_conf k = {.mss = t[i].mss};

		cc_init(&c, cc_bbr(), &k, 5 * S);
		assert_int_equal(cc_cwnd(&c), 10 * t[i].used);
		assert_int_equal(cc_in_flight(&c), 0);
		assert_true(cc_quantum(&c) >= 2 * t[i].used);
	}
}

static void books_balance(void **state)
{
	struct cc_pkt p[4];
	struct cc c;

	cc_init(&c, &spy, &conf, S);
	send_n(&c, p, 4, S, 0);
	assert_int_equal(cc_in_flight(&c), 4 * MSS);
	assert_int_equal(p[3].tx_in_flight, 4 * MSS);
	cc_acked(&c, &p[2], MSS, S + MS);
	cc_lost(&c, &p[0], MSS, S + MS);
	cc_forgotten(&c, MSS);
	assert_int_equal(cc_in_flight(&c), MSS);
	assert_int_equal(c.delivered, MSS);
	assert_int_equal(c.lost, MSS);
	cc_ack_end(&c, MS, S + MS);
	assert_int_equal(told.rs.newly_acked, MSS);
	assert_int_equal(told.rs.newly_lost, MSS);
	cc_acked(&c, &p[3], MSS, S + 2 * MS);
	assert_int_equal(cc_in_flight(&c), 0);
}

// Draft 4.1.1.2: the rate is what was delivered over the longer of sending and acking.
static void samples_the_delivery_rate(void **state)
{
	static const struct {
		const char *what;
		uint64_t send_gap, ack_gap, rate;
	} t[] = {
		// the last of 10: its sample began when the flight began
		{"acks slower than sending", MS, 2 * MS, 10 * MSS * S / (20 * MS + 18 * MS)},
		{"acks bunched", 4 * MS, 0, 10 * MSS * S / (36 * MS)},
		{"all at once", 0, 0, 10 * MSS * S / (20 * MS)},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct cc_pkt p[10];
		struct cc c;
		uint64_t acked_ns = 0;

		cc_init(&c, &spy, &conf, S);
		send_n(&c, p, 10, S, t[i].send_gap);
		for (unsigned k = 0; k < 10; k++) {
			acked_ns = S + 20 * MS + k * t[i].ack_gap;
			ack_one(&c, &p[k], acked_ns);
		}
		print_message("%s\n", t[i].what);
		assert_int_equal(told.rs.rate, t[i].rate);
		assert_int_equal(told.rs.delivered, 10 * MSS);
	}
}

static void newest_datagram_makes_the_sample(void **state)
{
	static const int orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}};

	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		struct cc_pkt p[3];
		struct cc c;

		cc_init(&c, &spy, &conf, S);
		send_n(&c, p, 3, S, 0); // at one time: the last has most in flight
		for (int k = 0; k < 3; k++)
			cc_acked(&c, &p[orders[i][k]], MSS, S + MS);
		cc_ack_end(&c, MS, S + MS);
		assert_int_equal(told.rs.tx_in_flight, 3 * MSS);
		assert_int_equal(told.rs.delivered, 3 * MSS);
		assert_int_equal(told.rs.newly_acked, 3 * MSS);
		assert_int_equal(told.acks, 1);
	}
}

// Draft 4.1.2.3: acks that come sooner than any round trip say nothing about the rate.
static void too_short_an_interval_makes_no_rate(void **state)
{
	struct cc_pkt p[2];
	struct cc c;

	cc_init(&c, &spy, &conf, S);
	send_n(&c, p, 1, S, 0);
	ack_one(&c, &p[0], S + 10 * MS);
	send_n(&c, p, 2, 2 * S, 0);
	cc_acked(&c, &p[0], MSS, 2 * S + 9 * MS);
	cc_ack_end(&c, 0, 2 * S + 9 * MS);
	assert_int_equal(told.rs.rate, 0);
	ack_one(&c, &p[1], 2 * S + 10 * MS);
	assert_int_equal(told.rs.rate, 200000);
}

static void app_limited_marks_until_the_bubble_is_acked(void **state)
{
	struct cc_pkt p[6];
	struct cc c;

	cc_init(&c, &spy, &conf, S);
	send_n(&c, p, 2, S, 0);
	assert_false(p[0].app_limited);
	cc_app_limited(&c);
	send_n(&c, p + 2, 2, S + MS, 0);
	assert_true(p[2].app_limited);
	for (int i = 0; i < 3; i++)
		ack_one(&c, &p[i], S + 10 * MS); // the third one was sent after the bubble began
	send_n(&c, p + 4, 1, S + 11 * MS, 0);
	assert_false(p[4].app_limited);
	ack_one(&c, &p[3], S + 12 * MS);
	assert_true(told.rs.app_limited);
	ack_one(&c, &p[4], S + 30 * MS);
	assert_false(told.rs.app_limited);
}

static void a_full_window_is_not_app_limited(void **state)
{
	struct cc_pkt p[100];
	struct cc c;

	cc_init(&c, &spy, &conf, S);
	send_n(&c, p, 100, S, 0);
	cc_app_limited(&c);
	assert_int_equal(c.app_limited, 0);
	assert_true(cc_is_cwnd_limited(&c));
}

static void tells_of_restart_from_idle(void **state)
{
	struct cc_pkt p[2];
	struct cc c;

	cc_init(&c, &spy, &conf, S);
	send_n(&c, p, 1, S, 0);
	ack_one(&c, &p[0], S + MS);
	send_n(&c, p, 1, 2 * S, 0); // nothing in flight, but not for want of data
	assert_int_equal(told.idle, 0);
	cc_app_limited(&c);
	ack_one(&c, &p[0], 2 * S + MS);
	cc_app_limited(&c);
	send_n(&c, p, 2, 9 * S, 0);
	assert_int_equal(told.idle, 1);
	ack_one(&c, &p[1], 9 * S + MS); // the idle time is not part of the sample
	assert_int_equal(told.rs.interval_ns, MS);
}

static void counts_rounds_by_packets(void **state)
{
	struct cc_pkt p[8];
	struct cc c;

	cc_init(&c, &spy, &conf, S);
	send_n(&c, p, 4, S, MS);
	ack_one(&c, &p[0], S + 10 * MS);
	assert_true(told.round_start);
	send_n(&c, p + 4, 4, S + 10 * MS, 0);
	for (int i = 1; i < 4; i++) {
		ack_one(&c, &p[i], S + 11 * MS);
		assert_false(told.round_start);
	}
	ack_one(&c, &p[4], S + 20 * MS);
	assert_true(told.round_start);
	ack_one(&c, &p[5], S + 20 * MS);
	assert_false(told.round_start);
	assert_int_equal(c.round, 2);
}

static void losses_of_one_flight_are_one_episode(void **state)
{
	struct cc_pkt p[10];
	struct cc c;

	cc_init(&c, &spy, &conf, S);
	send_n(&c, p, 10, S, MS);
	cc_lost(&c, &p[0], MSS, S + 20 * MS);
	cc_lost(&c, &p[1], MSS, S + 20 * MS);
	ack_one(&c, &p[2], S + 20 * MS);
	assert_true(told.in_recovery);
	cc_lost(&c, &p[5], MSS, S + 22 * MS);
	assert_int_equal(told.first, 1);
	send_n(&c, p, 2, S + 30 * MS, 0);
	ack_one(&c, &p[0], S + 40 * MS);
	assert_false(told.in_recovery);
	cc_lost(&c, &p[1], MSS, S + 41 * MS);
	assert_int_equal(told.first, 2);
	assert_int_equal(told.lost, 4);
}

static void found_datagrams_undo_their_episode_only(void **state)
{
	struct cc_pkt p[6];
	struct cc c;

	cc_init(&c, &spy, &conf, S);
	send_n(&c, p, 3, S, 0);
	cc_lost(&c, &p[0], MSS, S + 10 * MS);
	send_n(&c, p + 3, 3, S + 20 * MS, 0);
	cc_lost(&c, &p[3], MSS, S + 30 * MS);
	cc_lost(&c, &p[4], MSS, S + 30 * MS);
	cc_found(&c, &p[0], MSS, S + 31 * MS); // of the episode before
	cc_found(&c, &p[3], MSS, S + 31 * MS);
	assert_int_equal(told.spurious, 0);
	cc_found(&c, &p[4], MSS, S + 31 * MS);
	assert_int_equal(told.spurious, 1);
	assert_int_equal(c.delivered, 3 * MSS);
	assert_int_equal(cc_in_flight(&c), 3 * MSS);
}

static void second_timeout_in_a_row_collapses_once(void **state)
{
	struct cc_pkt p[4];
	struct cc c;

	cc_init(&c, &spy, &conf, S);
	send_n(&c, p, 4, S, 0);
	cc_timeout(&c, 2 * S);
	ack_one(&c, &p[0], 2 * S);
	cc_timeout(&c, 3 * S);
	assert_int_equal(told.collapse, 0);
	for (unsigned i = 0; i < 5; i++)
		cc_timeout(&c, (4 + i) * S);
	assert_int_equal(told.collapse, 1);
	cc_lost(&c, &p[1], MSS, 10 * S);
	assert_int_equal(told.first, 0); // what was sent before is of the collapse
	cc_found(&c, &p[1], MSS, 10 * S);
	assert_int_equal(told.spurious, 0);
	assert_int_equal(cc_in_flight(&c), 2 * MSS);
}

static void restart_forgets_the_path_but_not_the_flight(void **state)
{
	struct cc_pkt p[4];
	struct cc c;

	cc_init(&c, cc_bbr(), &conf, S);
	send_n(&c, p, 4, S, 0);
	ack_one(&c, &p[0], S + MS);
	assert_int_equal(c.u.bbr.min_rtt_ns, MS);
	cc_restart(&c, 2 * S);
	assert_int_equal(cc_in_flight(&c), 3 * MSS);
	assert_int_equal(cc_cwnd(&c), 10 * MSS);
	ack_one(&c, &p[1], 2 * S + MS);
	cc_lost(&c, &p[2], MSS, 2 * S + MS);
	assert_int_equal(c.min_rtt_ns, 0);
	assert_int_equal(c.u.bbr.max_bw, 0);
	assert_false(c.in_recovery);
	assert_int_equal(cc_in_flight(&c), MSS);
	send_n(&c, p, 1, 2 * S + 2 * MS, 0);
	ack_one(&c, &p[0], 2 * S + 9 * MS);
	assert_int_equal(c.min_rtt_ns, 7 * MS);
}

static void rates_and_volumes_do_not_overflow(void **state)
{
	static const struct {
		uint64_t bytes, ns, rate;
	} t[] = {{1000, S, 1000}, {1, 1, S}, {0, 5, 0}, {5, 0, 5 * S}, {100, 1, CC_RATE_MAX},
		{(uint64_t)1 << 40, 1000 * S, 1099511627}, {UINT64_MAX, 1, CC_RATE_MAX},
		{UINT64_MAX, UINT64_MAX, S}};

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_in_range(cc_rate_of(t[i].bytes, t[i].ns), t[i].rate, t[i].rate + 1);
	assert_int_equal(cc_bytes_in(CC_RATE_MAX, S - 1), CC_RATE_MAX - 18);
	assert_int_equal(cc_bytes_in(1000, 2500 * MS), 2500);
	assert_int_equal(cc_bytes_in(CC_RATE_MAX, 1000 * S), 1000 * CC_RATE_MAX);
}

static void rate_and_quantum_are_kept_sensible(void **state)
{
	static const struct {
		uint64_t rate, used, quantum;
	} t[] = {{0, 4 * MSS, 2 * MSS}, {1000000, 1000000, 2 * MSS}, {100000000, 100000000, 25000},
		{UINT64_MAX, CC_RATE_MAX, 65536}};
	struct cc c;

	cc_init(&c, &spy, &conf, S);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		cc_set_rate(&c, t[i].rate);
		assert_int_equal(cc_rate(&c), t[i].used);
		assert_int_equal(cc_quantum(&c), t[i].quantum);
	}
	cc_set_mss(&c, 60000);
	assert_int_equal(cc_quantum(&c), 120000);
	c.cwnd = 5000;
	cc_set_mss(&c, 9000);
	assert_int_equal(cc_cwnd(&c), 4 * 9000);
}

// ---- random lives ----

enum { N_PKTS = 512 };

struct life {
	struct cc c;
	uint64_t now_ns;
	uint64_t in_flight;
	uint64_t x;
	unsigned n; // in flight
	unsigned n_lost;
	struct {
		struct cc_pkt p;
		uint32_t bytes;
	} pkt[N_PKTS], lost[N_PKTS];
};

static uint32_t dice(struct life *l, uint32_t n)
{
	l->x = l->x * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)(l->x >> 33) % n;
}

static void settle(struct life *l, bool acked)
{
	unsigned i = dice(l, l->n);
	struct cc_pkt *p = &l->pkt[i].p;
	uint32_t bytes = l->pkt[i].bytes;

	if (acked) {
		cc_acked(&l->c, p, bytes, l->now_ns);
	} else {
		cc_lost(&l->c, p, bytes, l->now_ns);
		if (l->n_lost < N_PKTS)
			l->lost[l->n_lost++] = l->pkt[i];
	}
	l->in_flight -= bytes;
	l->pkt[i] = l->pkt[--l->n];
}

static void ack_some(struct life *l)
{
	unsigned lost_in = 1 + dice(l, 40);
	uint64_t rtt = 0;

	for (unsigned k = dice(l, 30); k > 0 && l->n > 0; k--) {
		rtt = dice(l, 50) == 0 ? 0 : 1 + dice(l, 1000000000) / (1 + dice(l, 10000));
		settle(l, dice(l, lost_in) != 0);
	}
	if (l->n_lost > 0 && dice(l, 10) == 0) {
		l->n_lost--;
		cc_found(&l->c, &l->lost[l->n_lost].p, l->lost[l->n_lost].bytes, l->now_ns);
	}
	cc_ack_end(&l->c, rtt, l->now_ns);
}

static void send_some(struct life *l)
{
	for (unsigned k = dice(l, 40); k > 0 && l->n < N_PKTS; k--) {
		uint32_t bytes = 1 + dice(l, l->c.mss);

		if (cc_in_flight(&l->c) + bytes > cc_cwnd(&l->c))
			return;
		l->pkt[l->n].bytes = bytes;
		cc_sent(&l->c, &l->pkt[l->n++].p, bytes, l->now_ns);
		l->in_flight += bytes;
	}
	if (dice(l, 4) == 0)
		cc_app_limited(&l->c);
}

static void do_something(struct life *l)
{
	l->now_ns += dice(l, 3) == 0 ? dice(l, 2000000000) / (1 + dice(l, 100000)) : 0;
	switch (dice(l, 100)) {
	case 0:
		cc_timeout(&l->c, l->now_ns);
		break;
	case 1:
		cc_set_mss(&l->c, 500 + dice(l, 60000));
		break;
	case 2:
		if (dice(l, 20) == 0)
			cc_restart(&l->c, l->now_ns);
		break;
	case 3:
		if (l->n > 0) {
			cc_forgotten(&l->c, l->pkt[--l->n].bytes);
			l->in_flight -= l->pkt[l->n].bytes;
		}
		break;
	default:
		if (dice(l, 2) == 0)
			send_some(l);
		else
			ack_some(l);
	}
}

static void keeps_bounds_in_random_lives(void **state)
{
	static const char *const names[] = {"bbr", "cubic"};
	struct life *l = malloc(sizeof(*l));

	for (uint64_t seed = 0; seed < 200; seed++) {
		*l = (struct life){.x = seed, .now_ns = 1 + seed % 2 * 1000 * S};
		cc_init(&l->c, cc_find(names[seed % 2]), &conf, l->now_ns);
		for (int i = 0; i < 2000; i++) {
			do_something(l);
			assert_int_equal(cc_in_flight(&l->c), l->in_flight);
			assert_true(cc_cwnd(&l->c) >= cc_min_cwnd(&l->c));
			assert_true(cc_cwnd(&l->c) < (uint64_t)1 << 40);
			assert_in_range(cc_rate(&l->c), 4 * l->c.mss, CC_RATE_MAX);
			assert_in_range(cc_quantum(&l->c), 2 * l->c.mss, 2 * 65535);
			assert_non_null(cc_phase(&l->c));
		}
	}
	free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_controllers_by_name),
		cmocka_unit_test(begins_with_ten_datagrams),
		cmocka_unit_test(books_balance),
		cmocka_unit_test(samples_the_delivery_rate),
		cmocka_unit_test(newest_datagram_makes_the_sample),
		cmocka_unit_test(too_short_an_interval_makes_no_rate),
		cmocka_unit_test(app_limited_marks_until_the_bubble_is_acked),
		cmocka_unit_test(a_full_window_is_not_app_limited),
		cmocka_unit_test(tells_of_restart_from_idle),
		cmocka_unit_test(counts_rounds_by_packets),
		cmocka_unit_test(losses_of_one_flight_are_one_episode),
		cmocka_unit_test(found_datagrams_undo_their_episode_only),
		cmocka_unit_test(second_timeout_in_a_row_collapses_once),
		cmocka_unit_test(restart_forgets_the_path_but_not_the_flight),
		cmocka_unit_test(rates_and_volumes_do_not_overflow),
		cmocka_unit_test(rate_and_quantum_are_kept_sensible),
		cmocka_unit_test(keeps_bounds_in_random_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
