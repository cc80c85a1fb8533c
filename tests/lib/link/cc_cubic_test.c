// CUBIC by hand: a trip fills the window and acks it in parts, so that growth per round trip can be
// compared with the curve of RFC 9438 in floating point.
#include "lib/link/cc.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/link/cc_priv.h"

#define MS 1000000ull
#define S 1000000000ull
enum { MSS = 1000, MAX = 1 << 16 };

struct bench {
	struct cc c;
	uint64_t now_ns;
};

static struct cc_pkt p[MAX];

static void begin(struct bench *b)
{
	*b = (struct bench){.now_ns = S};
	cc_init(&b->c, cc_cubic(), &(struct cc_conf){.mss = MSS, .seed = 1}, b->now_ns);
}

// n datagrams leave; rtt later they are acked in up to 10 ACKs.
static void trip(struct bench *b, unsigned n, uint64_t rtt_ns)
{
	unsigned part = n / 10 + 1;

	for (unsigned i = 0; i < n; i++)
		cc_sent(&b->c, &p[i], MSS, b->now_ns);
	b->now_ns += rtt_ns;
	for (unsigned i = 0; i < n; i++) {
		cc_acked(&b->c, &p[i], MSS, b->now_ns);
		if (i % part == part - 1 || i == n - 1)
			cc_ack_end(&b->c, rtt_ns, b->now_ns);
	}
}

static void full_trip(struct bench *b, uint64_t rtt_ns)
{
	trip(b, (unsigned)(cc_cwnd(&b->c) / MSS), rtt_ns);
}

// One datagram is lost at once, and the round after it tells.
static void lose_one(struct bench *b)
{
	cc_sent(&b->c, &p[0], MSS, b->now_ns);
	cc_lost(&b->c, &p[0], MSS, b->now_ns);
	cc_ack_end(&b->c, 0, b->now_ns);
	b->now_ns++;
}

static void begin_at(struct bench *b, unsigned datagrams)
{
	begin(b);
	b->c.cwnd = (uint64_t)datagrams * MSS;
	lose_one(b);
}

static void slow_start_doubles_only_a_used_window(void **state)
{
	struct bench b;

	begin(&b);
	full_trip(&b, 20 * MS);
	assert_int_equal(cc_cwnd(&b.c), 20 * MSS);
	assert_in_range(cc_rate(&b.c), 1990000, 2000000); // 2 * cwnd / srtt
	full_trip(&b, 20 * MS);
	assert_int_equal(cc_cwnd(&b.c), 40 * MSS);
	for (int i = 0; i < 10; i++) {
		cc_app_limited(&b.c);
		trip(&b, 3, 20 * MS);
	}
	assert_in_range(cc_cwnd(&b.c), 40 * MSS, 43 * MSS); // the first trip after counts still
	assert_string_equal(cc_phase(&b.c), "slow-start");
}

static void a_loss_episode_costs_thirty_percent_once(void **state)
{
	struct bench b;

	begin(&b);
	b.c.cwnd = 100 * MSS;
	for (int i = 0; i < 100; i++)
		cc_sent(&b.c, &p[i], MSS, b.now_ns);
	for (int i = 0; i < 10; i++)
		cc_lost(&b.c, &p[i], MSS, b.now_ns + 10 * MS);
	assert_int_equal(cc_cwnd(&b.c), 70 * MSS);
	assert_string_equal(cc_phase(&b.c), "recovery");
	for (int i = 10; i < 100; i++) {
		cc_acked(&b.c, &p[i], MSS, b.now_ns + 11 * MS);
		cc_ack_end(&b.c, 11 * MS, b.now_ns + 11 * MS);
	}
	assert_int_equal(cc_cwnd(&b.c), 70 * MSS); // no growth for what was sent before
	assert_in_range(cc_rate(&b.c), 7950000, 7955000); // 1.25 * cwnd / srtt
}

static void the_window_has_a_floor(void **state)
{
	struct bench b;

	begin_at(&b, 5);
	assert_int_equal(cc_cwnd(&b.c), 4 * MSS);
	lose_one(&b);
	assert_int_equal(cc_cwnd(&b.c), 4 * MSS);
}

// 4.2: K = cbrt((w_max - cwnd) / 0.4)
static void time_to_the_plateau(void **state)
{
	static const unsigned windows[] = {10, 100, 1000, 20000, 1000000};

	for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
		struct bench b;
		double k = cbrt(windows[i] * 0.3 / 0.4) * 1000;

		begin_at(&b, windows[i]);
		b.c.limited_now = true; // as if the window had been full
		trip(&b, 2, MS);
		assert_int_equal(b.c.u.cubic.now.state, CUBIC_AVOIDANCE);
		assert_true(fabs((double)b.c.u.cubic.now.k_ms - k) <= 1 + k / 1000);
	}
}

static void follows_the_curve(void **state)
{
	struct bench b;
	double k = cbrt(300 / 0.4);
	uint64_t start_ns;

	begin_at(&b, 1000); // 700 left, 300 below the plateau
	start_ns = b.now_ns + 100 * MS; // the first ACK
	while (b.now_ns < start_ns + 15 * S) {
		double t, w;

		full_trip(&b, 100 * MS);
		t = (double)(b.now_ns - start_ns) / 1e9;
		w = 1000 + 0.4 * pow(t - k, 3);
		if (t > 1) // the window lags by less than a round trip
			assert_true(fabs((double)cc_cwnd(&b.c) / MSS - w) < 0.02 * w);
	}
	assert_true(cc_cwnd(&b.c) > 1080 * MSS);
}

static void unreached_plateau_is_given_up(void **state)
{
	struct bench b;

	begin_at(&b, 1000);
	assert_int_equal(b.c.u.cubic.now.w_max, 1000 * MSS);
	lose_one(&b);
	assert_int_equal(cc_cwnd(&b.c), 490 * MSS);
	assert_int_equal(b.c.u.cubic.now.w_max, 595 * MSS); // 4.7: 0.85 * 700
}

// 4.3: with a short round trip Reno would be faster, so be as fast.
static void is_not_slower_than_reno(void **state)
{
	struct bench b;
	uint64_t from;
	int rounds = 0;

	begin_at(&b, 20); // 14 left
	full_trip(&b, MS);
	from = cc_cwnd(&b.c);
	while (cc_cwnd(&b.c) < 20 * MSS && rounds++ < 100)
		full_trip(&b, MS);
	// 9/17 of a datagram each round trip until the old window is reached
	assert_in_range(
		rounds, (20 * MSS - from) * 17 / 9 / MSS - 1, (20 * MSS - from) * 17 / 9 / MSS + 3);
	from = cc_cwnd(&b.c);
	for (int i = 0; i < 10; i++)
		full_trip(&b, MS);
	assert_in_range(cc_cwnd(&b.c) - from, 8 * MSS, 11 * MSS); // then a whole one
}

static void time_without_use_does_not_count(void **state)
{
	struct bench b;
	uint64_t cwnd;

	begin_at(&b, 1000);
	for (int i = 0; i < 5; i++)
		full_trip(&b, 100 * MS);
	cwnd = cc_cwnd(&b.c);
	for (int i = 0; i < 100; i++) {
		cc_app_limited(&b.c);
		trip(&b, 3, 100 * MS);
	}
	b.now_ns += 100 * S;
	cc_app_limited(&b.c);
	full_trip(&b, 100 * MS);
	assert_in_range(cc_cwnd(&b.c), cwnd, cwnd + 60 * MSS); // not 1.5 times
}

static void hystart_leaves_slow_start_when_delay_rises(void **state)
{
	struct bench b;

	begin(&b);
	for (int i = 0; i < 4; i++)
		full_trip(&b, 40 * MS);
	assert_string_equal(cc_phase(&b.c), "slow-start");
	full_trip(&b, 44 * MS); // an eighth is 5 ms
	assert_string_equal(cc_phase(&b.c), "slow-start");
	full_trip(&b, 50 * MS);
	assert_string_equal(cc_phase(&b.c), "css");
	full_trip(&b, 45 * MS); // it was jitter
	assert_string_equal(cc_phase(&b.c), "slow-start");
	full_trip(&b, 60 * MS);
	assert_string_equal(cc_phase(&b.c), "css");
	for (int i = 0; i < 4; i++) {
		uint64_t cwnd = cc_cwnd(&b.c);

		full_trip(&b, 60 * MS);
		assert_string_equal(cc_phase(&b.c), "css");
		assert_in_range(cc_cwnd(&b.c), cwnd * 5 / 4 - 10 * MSS, cwnd * 5 / 4);
	}
	full_trip(&b, 60 * MS);
	assert_string_equal(cc_phase(&b.c), "avoidance");
	assert_true(b.c.u.cubic.now.ssthresh < UINT64_MAX);
}

static void timeouts_begin_slow_start_again(void **state)
{
	struct bench b;

	begin_at(&b, 1000);
	full_trip(&b, 50 * MS);
	cc_timeout(&b.c, b.now_ns);
	assert_true(cc_cwnd(&b.c) >= 700 * MSS);
	cc_timeout(&b.c, b.now_ns + S);
	assert_int_equal(cc_cwnd(&b.c), 4 * MSS);
	b.now_ns += 2 * S;
	for (int i = 0; i < 6; i++)
		full_trip(&b, 50 * MS);
	assert_in_range(cc_cwnd(&b.c), 4 * 60 * MSS, 4 * 64 * MSS);
	assert_string_equal(cc_phase(&b.c), "slow-start");
	full_trip(&b, 50 * MS);
	full_trip(&b, 50 * MS);
	assert_string_equal(cc_phase(&b.c), "avoidance"); // at 0.7 * 700
	assert_int_equal(b.c.u.cubic.now.k_ms, 0);
}

static void spurious_loss_is_undone(void **state)
{
	struct bench b;

	begin_at(&b, 1000);
	full_trip(&b, 50 * MS);
	for (int i = 0; i < 10; i++)
		cc_sent(&b.c, &p[i], MSS, b.now_ns);
	cc_lost(&b.c, &p[0], MSS, b.now_ns + 50 * MS);
	assert_true(cc_cwnd(&b.c) < 500 * MSS);
	cc_found(&b.c, &p[0], MSS, b.now_ns + 51 * MS);
	assert_true(cc_cwnd(&b.c) >= 700 * MSS);
	assert_int_equal(b.c.u.cubic.now.w_max, 1000 * MSS);
	assert_string_equal(cc_phase(&b.c), "avoidance");
}

static void great_windows_do_not_overflow(void **state)
{
	struct bench b;

	begin(&b);
	b.c.cwnd = 6000000000; // 160 Gbit/s and 300 ms
	lose_one(&b);
	assert_int_equal(cc_cwnd(&b.c), 4200000000);
	b.c.limited_before = b.c.limited_now = true;
	trip(&b, 2, 300 * MS);
	for (int i = 0; i < 300; i++) {
		uint64_t before = cc_cwnd(&b.c);

		b.c.limited_before = b.c.limited_now = true;
		b.now_ns += 10 * S;
		trip(&b, 2, 300 * MS);
		assert_in_range(cc_cwnd(&b.c), before, before + 2 * MSS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slow_start_doubles_only_a_used_window),
		cmocka_unit_test(a_loss_episode_costs_thirty_percent_once),
		cmocka_unit_test(the_window_has_a_floor),
		cmocka_unit_test(time_to_the_plateau),
		cmocka_unit_test(follows_the_curve),
		cmocka_unit_test(unreached_plateau_is_given_up),
		cmocka_unit_test(is_not_slower_than_reno),
		cmocka_unit_test(time_without_use_does_not_count),
		cmocka_unit_test(hystart_leaves_slow_start_when_delay_rises),
		cmocka_unit_test(timeouts_begin_slow_start_again),
		cmocka_unit_test(spurious_loss_is_undone),
		cmocka_unit_test(great_windows_do_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
