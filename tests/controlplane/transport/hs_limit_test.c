// What floods of first contacts may cost, on a clock of the test's own.
#include "controlplane/transport/hs_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
// after the standard headers, as cmocka wants it
#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/link/rail_cookie.h"

static struct hs_limit *h;
static uint64_t now = 5000 * CLOCK_NS_PER_S;

static int setup(void **state)
{
	(void)state;
	h = hs_limit_new(now);
	return h == NULL;
}

static int teardown(void **state)
{
	(void)state;
	hs_limit_free(h);
	return 0;
}

static void v4(uint8_t ip[16], uint32_t a)
{
	memset(ip, 0, 16);
	ip[10] = ip[11] = 0xff;
	for (int i = 0; i < 4; i++)
		ip[12 + i] = (uint8_t)(a >> (24 - 8 * i));
}

static void one_source_has_its_rate(void **state)
{
	uint8_t ip[16];
	unsigned n = 0;

	(void)state;
	v4(ip, 0x0a000001);
	for (int i = 0; i < 100; i++)
		n += hs_limit_take(h, ip, false, now) == HS_LIMIT_PASS;
	assert_int_equal(n, HS_LIMIT_SOURCE_BURST);
	n = 0;
	for (unsigned step = 1; step < 4;
		step++) { // ten seconds, in steps of no whole milliseconds too
		uint64_t step_ns = step * CLOCK_NS_PER_MS - (step > 1 ? 1 : 0);

		n = 0;
		for (uint64_t past = 0; past < 10 * CLOCK_NS_PER_S; past += step_ns) {
			now += step_ns;
			n += hs_limit_take(h, ip, false, now) == HS_LIMIT_PASS;
		}
		assert_in_range(n, 10 * HS_LIMIT_SOURCE_PER_S - 1, 10 * HS_LIMIT_SOURCE_PER_S + 1);
	}
}

static void prefixes_share_a_rate_as_they_should(void **state)
{
	uint8_t ip[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	unsigned n = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		ip[15]++; // within a /64
		ip[8] = (uint8_t)i;
		n += hs_limit_take(h, ip, false, now) == HS_LIMIT_PASS;
	}
	assert_int_equal(n, HS_LIMIT_SOURCE_BURST);
	ip[7]++; // the next /64
	assert_int_equal(hs_limit_take(h, ip, false, now), HS_LIMIT_PASS);
	v4(ip, 0x0a000001);
	for (int i = 0; i < HS_LIMIT_SOURCE_BURST; i++)
		hs_limit_take(h, ip, false, now);
	v4(ip, 0x0a000002); // the next /32
	assert_int_equal(hs_limit_take(h, ip, false, now), HS_LIMIT_PASS);
}

static unsigned passed(uint32_t first, unsigned n, bool has_cookie)
{
	uint8_t ip[16];
	unsigned k = 0;

	for (uint32_t i = 0; i < n; i++) {
		v4(ip, first + i * 7);
		k += hs_limit_take(h, ip, has_cookie, now) == HS_LIMIT_PASS;
	}
	return k;
}

static bool demanded(void)
{
	struct hs_limit_regime r;

	hs_limit_regime_get(h, &r);
	return r.demand;
}

static unsigned rekeys_passed(unsigned n, bool is_due)
{
	unsigned k = 0;

	for (unsigned i = 0; i < n; i++)
		k += hs_limit_take_rekey(h, is_due, now);
	return k;
}

static void rekeys_have_a_share_of_their_own(void **state)
{
	(void)state;
	assert_int_equal(passed(0x0c000000, 2000, true), HS_LIMIT_ALL_BURST);
	assert_int_equal(rekeys_passed(1000, false), HS_LIMIT_REKEY_BURST / 2);
	assert_int_equal(rekeys_passed(1000, true), HS_LIMIT_REKEY_BURST / 2);
	now += CLOCK_NS_PER_S;
	assert_int_equal(rekeys_passed(1000, false), 0); // that half is still spent
	assert_int_equal(rekeys_passed(1000, true), HS_LIMIT_REKEY_PER_S);
	assert_int_equal(passed(0x0f000000, 2000, true), HS_LIMIT_ALL_PER_S);
	// one that took four times as long counts as four
	now += 10 * CLOCK_NS_PER_S;
	for (unsigned i = 0; i < HS_LIMIT_REKEY_BURST / 4; i++) {
		assert_true(hs_limit_take_rekey(h, true, now));
		hs_limit_spent(h, 4 * HS_LIMIT_REKEY_US * 1000ull);
	}
	assert_false(hs_limit_take_rekey(h, true, now));
	assert_int_equal(passed(0x0b000000, 10, false), 10);
	hs_limit_spent(h, 100); // of the init
	now += HS_LIMIT_REKEY_US * 100ull / HS_LIMIT_REKEY_PCT * 1000;
	assert_true(hs_limit_take_rekey(h, true, now));
}

static void half_of_the_time_is_for_those_with_cookies(void **state)
{
	(void)state;
	assert_int_equal(passed(0x0b000000, 2000, false), HS_LIMIT_ALL_BURST / 2);
	assert_int_equal(passed(0x0c000000, 2000, true), HS_LIMIT_ALL_BURST / 2);
	assert_int_equal(passed(0x0d000000, 2000, true), 0);
	now += CLOCK_NS_PER_S;
	assert_int_equal(passed(0x0e000000, 2000, false), 0); // that half is still spent
	assert_int_equal(passed(0x0f000000, 2000, true), HS_LIMIT_ALL_PER_S);
	now += 2 * CLOCK_NS_PER_S;
	assert_int_equal(passed(0x10000000, 2000, false), HS_LIMIT_ALL_BURST / 2);
}

static void cookies_are_demanded_until_it_is_calm(void **state)
{
	(void)state;
	assert_true(hs_limit_turn(h, now)); // the first secret
	assert_false(hs_limit_turn(h, now));
	passed(0x0b000000, HS_LIMIT_ALL_BURST / 2, false);
	assert_false(demanded());
	passed(0x0c000000, 1, false);
	assert_true(demanded());
	assert_true(hs_limit_turn(h, now)); // to be told once
	assert_false(hs_limit_turn(h, now));
	// still too many after nine seconds: ten more
	now += 9 * CLOCK_NS_PER_S;
	passed(0x0d000000, HS_LIMIT_ALL_BURST, false);
	now += 9 * CLOCK_NS_PER_S;
	assert_false(hs_limit_turn(h, now));
	assert_true(demanded());
	now += CLOCK_NS_PER_S;
	assert_true(hs_limit_turn(h, now));
	assert_false(demanded());
}

// One who may not pass for the sake of his prefix is no sign of load.
static void one_source_makes_no_demand(void **state)
{
	uint8_t ip[16];

	(void)state;
	v4(ip, 0x0a000001);
	for (int i = 0; i < 1000; i++)
		hs_limit_take(h, ip, false, now);
	assert_int_equal(hs_limit_take(h, ip, false, now), HS_LIMIT_SOURCE);
	assert_false(demanded());
}

static void slow_handshakes_leave_fewer(void **state)
{
	uint8_t ip[16];
	unsigned n = 0;

	(void)state;
	for (uint32_t i = 0; i < 2000; i++) {
		v4(ip, 0x0b000000 + i * 7);
		if (hs_limit_take(h, ip, true, now) != HS_LIMIT_PASS)
			continue;
		hs_limit_spent(h, 4 * HS_LIMIT_INIT_US * 1000ull);
		n++;
	}
	assert_int_equal(n, HS_LIMIT_ALL_BURST / 4);
	now += 10 * CLOCK_NS_PER_S;
	v4(ip, 0x0c000000);
	// a thread that was not run for a second did not work for one
	assert_int_equal(hs_limit_take(h, ip, false, now), HS_LIMIT_PASS);
	hs_limit_spent(h, CLOCK_NS_PER_S);
	assert_in_range(
		passed(0x0d000000, 2000, true), HS_LIMIT_ALL_BURST - 11, HS_LIMIT_ALL_BURST - 9);
	// and fast ones are not more
	now += 10 * CLOCK_NS_PER_S;
	hs_limit_take(h, ip, false, now);
	hs_limit_spent(h, 1000);
	assert_int_equal(passed(0x0e000000, 2000, true), HS_LIMIT_ALL_BURST - 1);
}

static void cookies_live_for_two_secrets(void **state)
{
	uint8_t ip[16], a[2][HS_LIMIT_COOKIE_LEN], b[2][HS_LIMIT_COOKIE_LEN];
	uint8_t value[HS_LIMIT_COOKIE_LEN];
	struct hs_limit_regime r;

	(void)state;
	v4(ip, 0x0a000001);
	assert_int_equal(hs_limit_cookies(h, ip, 1, now, a), 1);
	hs_limit_cookies(h, ip, 2, now, b);
	assert_memory_not_equal(a[0], b[0], HS_LIMIT_COOKIE_LEN);
	now += 119 * CLOCK_NS_PER_S;
	hs_limit_cookies(h, ip, 1, now, b);
	assert_memory_equal(a[0], b[0], HS_LIMIT_COOKIE_LEN);
	hs_limit_turn(h, now);
	now += 2 * CLOCK_NS_PER_S;
	assert_true(hs_limit_turn(h, now));
	assert_int_equal(hs_limit_cookies(h, ip, 1, now, b), 2);
	assert_memory_not_equal(a[0], b[0], HS_LIMIT_COOKIE_LEN);
	assert_memory_equal(a[0], b[1], HS_LIMIT_COOKIE_LEN); // still accepted
	hs_limit_regime_get(h, &r); // as workers know it
	assert_int_equal(r.n_secrets, 2);
	for (unsigned i = 0; i < 2; i++) {
		rail_cookie_value(value, r.secret[i], ip, 1);
		assert_memory_equal(value, b[i], sizeof(value));
	}
	now += 500 * CLOCK_NS_PER_S;
	assert_int_equal(hs_limit_cookies(h, ip, 1, now, a), 1); // long gone
	assert_memory_not_equal(a[0], b[0], HS_LIMIT_COOKIE_LEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(one_source_has_its_rate),
		T(prefixes_share_a_rate_as_they_should),
		T(half_of_the_time_is_for_those_with_cookies),
		T(cookies_are_demanded_until_it_is_calm),
		T(one_source_makes_no_demand),
		T(rekeys_have_a_share_of_their_own),
		T(slow_handshakes_leave_fewer),
		T(cookies_live_for_two_secrets),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
