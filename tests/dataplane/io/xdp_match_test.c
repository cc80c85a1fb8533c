// What the XDP program takes from the kernel, frame by frame, and that the parser behind it agrees.

#include "dataplane/io/parse.h"
#include "dataplane/io/xdp_match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PORT = 7780, PAYLOAD = 40 };

static const struct xdp_conf conf = {.mac = {2, 0, 0, 0, 0, 1}, .port = PORT, .n_ports = 1};

struct frame {
	uint8_t b[14 + 40 + 8 + PAYLOAD];
	uint32_t len;
};

static struct frame good(bool ip6)
{
	uint32_t ip_len = ip6 ? 40 : 20;
	struct frame f = {.len = 14 + ip_len + 8 + PAYLOAD};
	uint8_t *ip = f.b + 14, *udp = ip + ip_len;

	memcpy(f.b, conf.mac, 6);
	be16_put(f.b + 12, ip6 ? 0x86dd : 0x0800);
	ip[0] = ip6 ? 0x60 : 0x45;
	be16_put(ip + (ip6 ? 4 : 2), (uint16_t)(8 + PAYLOAD + (ip6 ? 0 : 20)));
	ip[ip6 ? 6 : 9] = 17;
	be16_put(udp, 1234);
	be16_put(udp + 2, PORT);
	be16_put(udp + 4, 8 + PAYLOAD);
	udp[8] = RAIL_DATA;
	return f;
}

// On a buffer of just that size, so that the sanitizer sees a read beyond it.
static bool takes(const struct frame *f, const struct xdp_conf *c)
{
	uint8_t *p = malloc(f->len + 1); // malloc(0) is nobody's
	struct parsed o;
	enum parse_verdict v;
	bool yes;

	assert_non_null(p);
	memcpy(p, f->b, f->len);
	p = realloc(p, f->len != 0 ? f->len : 1);
	assert_non_null(p);
	yes = xdp_match(p, p + f->len, c);
	v = parse_frame(p, f->len, conf.mac, (struct parse_ports){PORT, 1}, &o);
	if (yes)
		assert_true(v != PARSE_OTHER && v != PARSE_FRAGMENT);
	free(p);
	return yes;
}

static void datagrams_for_our_port_are_taken(void **state)
{
	for (int ip6 = 0; ip6 < 2; ip6++) {
		struct frame f = good(ip6);

		assert_true(takes(&f, &conf));
		f.b[f.len - PAYLOAD] = 0xee; // no rail datagram: the worker counts it
		assert_true(takes(&f, &conf));
	}
}

static void everything_else_stays_with_the_kernel(void **state)
{
	static const struct {
		const char *what;
		bool ip6;
		uint8_t at, xor;
	} cases[] = {
		{"another port, high byte", false, 14 + 20 + 2, 0x01},
		{"another port, low byte", false, 14 + 20 + 3, 0x01},
		{"another port, IPv6", true, 14 + 40 + 3, 0x80},
		{"another MAC", false, 5, 0x01},
		{"another MAC, IPv6", true, 0, 0x02},
		{"broadcast bit", false, 0, 0x01},
		{"ARP", false, 13, 0x06},
		{"VLAN", false, 12, 0x89},
		{"TCP", false, 14 + 9, 17 ^ 6},
		{"TCP, IPv6", true, 14 + 6, 17 ^ 6},
		{"ICMP", false, 14 + 9, 17 ^ 1},
		{"IPv4 options", false, 14, 0x45 ^ 0x46},
		{"version 6 in IPv4", false, 14, 0x45 ^ 0x65},
		{"version 4 in IPv6", true, 14, 0x60 ^ 0x40},
		{"first fragment", false, 14 + 6, 0x20},
		{"later fragment", false, 14 + 7, 0x01},
		{"later fragment, high bits", false, 14 + 6, 0x10},
		{"hop-by-hop header", true, 14 + 6, 17},
		{"fragment header", true, 14 + 6, 17 ^ 44},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct frame f = good(cases[i].ip6);

		f.b[cases[i].at] ^= cases[i].xor ;
		if (takes(&f, &conf))
			fail_msg("taken: %s", cases[i].what);
	}
}

static void dont_fragment_and_traffic_class_do_not_matter(void **state)
{
	struct frame f4 = good(false), f6 = good(true);

	f4.b[14 + 6] = 0x40;
	f4.b[14 + 1] = 0xb8;
	f6.b[14] = 0x6b;
	f6.b[14 + 1] = 0x8f;
	assert_true(takes(&f4, &conf) && takes(&f6, &conf));
}

static void short_frames_are_not_read_beyond_their_end(void **state)
{
	for (int ip6 = 0; ip6 < 2; ip6++) {
		struct frame f = good(ip6);
		uint32_t whole = ip6 ? 14 + 40 + 8 : 14 + 20 + 8;

		for (uint32_t len = f.len; len-- > 0;) {
			f.len = len;
			assert_int_equal(takes(&f, &conf), len >= whole);
		}
	}
}

static void nothing_is_taken_before_a_port_is_told(void **state)
{
	struct xdp_conf none = conf;
	struct frame f = good(false);

	none.n_ports = 0;
	assert_false(takes(&f, &none));
	none.port = 0;
	be16_put(f.b + 14 + 20 + 2, 0);
	assert_false(takes(&f, &none));
}

static void a_range_of_ports_has_both_its_ends(void **state)
{
	static const struct {
		uint16_t first, n, port;
		bool taken;
	} cases[] = {
		{7780, 8, 7779, false},
		{7780, 8, 7780, true},
		{7780, 8, 7787, true},
		{7780, 8, 7788, false},
		{7780, 8, 0, false},
		{65535, 1, 65535, true},
		{65535, 1, 0, false},
		{65528, 8, 65535, true},
		{65528, 8, 65527, false},
		{1, 65535, 1, true},
		{1, 65535, 0, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct xdp_conf c = conf;

		c.port = cases[i].first;
		c.n_ports = cases[i].n;
		for (int ip6 = 0; ip6 < 2; ip6++) {
			struct frame f = good(ip6);

			be16_put(f.b + (ip6 ? 14 + 40 : 14 + 20) + 2, cases[i].port);
			if (xdp_match(f.b, f.b + f.len, &c) != cases[i].taken)
				fail_msg("port %u of %u+%u", cases[i].port, cases[i].first,
					cases[i].n);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(datagrams_for_our_port_are_taken),
		cmocka_unit_test(everything_else_stays_with_the_kernel),
		cmocka_unit_test(dont_fragment_and_traffic_class_do_not_matter),
		cmocka_unit_test(short_frames_are_not_read_beyond_their_end),
		cmocka_unit_test(nothing_is_taken_before_a_port_is_told),
		cmocka_unit_test(a_range_of_ports_has_both_its_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
