// What floods of first contacts may cost, on a clock of the test's own.
#include "controlplane/transport/hs_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
// after the standard headers, as cmocka wants it
#include <cmocka.h>

#include "lib/base/clock.h"

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
	for (int ms = 0; ms < 10000; ms++) { // one each millisecond for ten seconds
		now += CLOCK_NS_PER_MS;
		n += hs_limit_take(h, ip, false, now) == HS_LIMIT_PASS;
	}
	assert_in_range(n, 10 * HS_LIMIT_SOURCE_PER_S - 1, 10 * HS_LIMIT_SOURCE_PER_S + 1);
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

static void many_sources_need_cookies_then_nothing_helps(void **state)
{
	uint8_t ip[16];
	unsigned pass = 0, cookie = 0, proven = 0;

	(void)state;
	for (uint32_t i = 0; i < 2000; i++) {
		enum hs_verdict v;

		v4(ip, 0x0b000000 + i * 7);
		v = hs_limit_take(h, ip, false, now);
		pass += v == HS_LIMIT_PASS;
		cookie += v == HS_LIMIT_COOKIE;
	}
	assert_int_equal(pass, HS_LIMIT_ALL_BURST / 2 + 1);
	assert_true(cookie > 1000);
	for (uint32_t i = 0; i < 2000; i++) {
		v4(ip, 0x0c000000 + i * 7);
		proven += hs_limit_take(h, ip, true, now) == HS_LIMIT_PASS;
	}
	assert_in_range(proven, HS_LIMIT_ALL_BURST / 2 - 2, HS_LIMIT_ALL_BURST / 2);
	now += 3 * CLOCK_NS_PER_S;
	v4(ip, 0x0d000000);
	assert_int_equal(hs_limit_take(h, ip, false, now), HS_LIMIT_PASS);
}

static void cookies_live_for_two_secrets(void **state)
{
	uint8_t ip[16], a[2][HS_LIMIT_COOKIE_LEN], b[2][HS_LIMIT_COOKIE_LEN];

	(void)state;
	v4(ip, 0x0a000001);
	hs_limit_cookies(h, ip, 1, now, a);
	hs_limit_cookies(h, ip, 2, now, b);
	assert_memory_not_equal(a[0], b[0], HS_LIMIT_COOKIE_LEN);
	now += 119 * CLOCK_NS_PER_S;
	hs_limit_cookies(h, ip, 1, now, b);
	assert_memory_equal(a[0], b[0], HS_LIMIT_COOKIE_LEN);
	now += 2 * CLOCK_NS_PER_S;
	hs_limit_cookies(h, ip, 1, now, b);
	assert_memory_not_equal(a[0], b[0], HS_LIMIT_COOKIE_LEN);
	assert_memory_equal(a[0], b[1], HS_LIMIT_COOKIE_LEN); // still accepted
	now += 500 * CLOCK_NS_PER_S;
	hs_limit_cookies(h, ip, 1, now, a);
	assert_memory_not_equal(a[1], b[0], HS_LIMIT_COOKIE_LEN); // long gone
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(one_source_has_its_rate),
		T(prefixes_share_a_rate_as_they_should),
		T(many_sources_need_cookies_then_nothing_helps),
		T(cookies_live_for_two_secrets),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
