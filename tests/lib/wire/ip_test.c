// IP headers, and checksums against known ones.
#include "lib/wire/ip.h"

#include "lib/base/err.h"
#include "tests/support/packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint8_t p[65536];

static void knows_the_sums_of_others(void **state)
{
	// RFC 1071, section 3
	static const uint8_t rfc[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	// a header often shown: 192.168.0.1 to 192.168.0.199, UDP, checksum b861
	uint8_t hdr[20] = {0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0,
		1, 0xc0, 0xa8, 0, 0xc7};

	assert_int_equal(ntohs(ip_fold(ip_sum(rfc, sizeof(rfc), 0))), 0xddf2);
	assert_int_equal(ip_fold(ip_sum(hdr, sizeof(hdr), 0)), 0xffff);
	memset(hdr + 10, 0xee, 2);
	ip4_hdr_sum(hdr, sizeof(hdr));
	assert_int_equal(hdr[10], 0xb8);
	assert_int_equal(hdr[11], 0x61);
}

static void sums_any_length_and_alignment(void **state)
{
	for (unsigned i = 0; i < sizeof(p); i++)
		p[i] = (uint8_t)(i % 251 < 125 ? 0xff : i * 31);
	for (unsigned off = 0; off < 9; off++)
		for (unsigned len = 0; len < 300; len++)
			assert_int_equal(ntohs(ip_fold(ip_sum(p + off, len, htons(0x1234)))),
				packet_sum(p + off, len, 0x1234));
	memset(p, 0xff, sizeof(p));
	assert_int_equal(ip_fold(ip_sum(p, 65535, 0xffffffff)) == 0, false);
	assert_int_equal(ntohs(ip_fold(ip_sum(p, 65535, 0))), packet_sum(p, 65535, 0));
}

static void finds_the_headers(void **state)
{
	static const struct packet k[] = {{.version = 4, .payload = 9},
		{.version = 6, .payload = 9}, {.version = 4, .udp = true, .payload = 1},
		{.version = 6, .udp = true}, {.version = 4, .options = 40}};
	struct ip_view v;

	for (size_t i = 0; i < ARRAY_LEN(k); i++) {
		size_t len = packet_make(p, &k[i]);

		assert_int_equal(ip_parse(p, len + 5, &v), 0); // padding behind
		assert_int_equal(v.len, len);
		assert_int_equal(v.version, k[i].version);
		assert_int_equal(v.payload, packet_hdr_len(&k[i]));
		assert_int_equal(v.l4, k[i].version == 4 ? 20 : 40);
		assert_false(v.extended);
		assert_true(ip_sums_are_right(p, &v));
		for (size_t short_len = 0; short_len < len; short_len++)
			assert_int_equal(ip_parse(p, short_len, &v), -EBADMSG);
		assert_int_equal(ip_parse(p, len, &v), 0);
		p[len - 1] ^= 1;
		assert_false(ip_sums_are_right(p, &v));
	}
}

static void looks_through_extension_headers(void **state)
{
	struct packet k = {.version = 6, .payload = 4};
	struct ip_view v;
	size_t len = packet_make(p, &k);

	memmove(p + 40 + 24, p + 40, len - 40);
	memset(p + 40, 0, 24);
	p[6] = 0; // hop-by-hop, 8 bytes
	p[40] = 60; // destination options, 16 bytes
	p[48] = 6;
	p[49] = 1;
	p[5] += 24;
	assert_int_equal(ip_parse(p, len + 24, &v), 0);
	assert_int_equal(v.l4, 64);
	assert_true(v.extended);
	assert_false(v.routed);
	assert_true(ip_sums_are_right(p, &v));
	p[40] = 43;
	assert_int_equal(ip_parse(p, len + 24, &v), 0);
	assert_true(v.routed);
	p[48] = 44; // a fragment
	assert_int_equal(ip_parse(p, len + 24, &v), -EPROTONOSUPPORT);
	p[48] = 60;
	p[49] = 200; // past the end
	assert_int_equal(ip_parse(p, len + 24, &v), -EBADMSG);
	k.payload = 4000;
	len = packet_make(p, &k);
	p[6] = 60;
	p[40] = 6;
	p[41] = 255; // 2 KiB of options
	assert_int_equal(ip_parse(p, len, &v), -EPROTONOSUPPORT);
}

static void refuses_what_contradicts_itself(void **state)
{
	static const struct {
		const char *what;
		unsigned at;
		uint8_t value;
		int rc;
	} bad[] = {{"version", 0, 0x55, -EBADMSG}, {"header length", 0, 0x44, -EBADMSG},
		{"header past the end", 0, 0x4f, -EBADMSG}, {"total length", 3, 19, -EBADMSG},
		{"more fragments", 6, 0x20, -EPROTONOSUPPORT},
		{"fragment offset", 7, 1, -EPROTONOSUPPORT}, {"ICMP", 9, 1, -EPROTONOSUPPORT},
		{"TCP header length", 32, 0x40, -EBADMSG},
		{"TCP header past the end", 32, 0xf0, -EBADMSG}};
	struct packet k = {.version = 4, .payload = 10};
	struct packet u = {.version = 4, .udp = true, .payload = 10};
	struct ip_view v;
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		len = packet_make(p, &k);
		p[bad[i].at] = bad[i].value;
		if (ip_parse(p, len, &v) != bad[i].rc)
			fail_msg("%s", bad[i].what);
	}
	len = packet_make(p, &u);
	p[25]++; // UDP's own length
	assert_int_equal(ip_parse(p, len, &v), -EBADMSG);
	packet_make(p, &u);
	memset(p + 26, 0, 2); // no checksum: not one that is right
	assert_int_equal(ip_parse(p, len, &v), 0);
	assert_false(ip_sums_are_right(p, &v));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_the_sums_of_others),
		cmocka_unit_test(sums_any_length_and_alignment),
		cmocka_unit_test(finds_the_headers),
		cmocka_unit_test(looks_through_extension_headers),
		cmocka_unit_test(refuses_what_contradicts_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
