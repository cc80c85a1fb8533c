// One frame, one verdict: who gets it, and where in it the rail datagram lies.

#include "dataplane/io/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// after the standard headers, as cmocka wants it
#include <cmocka.h>

enum { FRAME_MAX = 256, PORT = 7780 };

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

struct frame {
	uint8_t b[FRAME_MAX];
	uint32_t len;
};

// A data datagram of `payload` bytes, all of it as it should be.
static struct frame good4(uint16_t payload)
{
	struct frame f = {.len = 14 + 20 + 8 + payload};
	uint8_t *ip = f.b + 14;

	memcpy(f.b, mac, 6);
	be16_put(f.b + 12, 0x0800);
	ip[0] = 0x45;
	be16_put(ip + 2, (uint16_t)(28 + payload));
	be16_put(ip + 6, 0x4000);
	ip[8] = 64;
	ip[9] = 17;
	memcpy(ip + 12, (uint8_t[]){10, 1, 2, 3, 10, 1, 2, 4}, 8);
	be16_put(ip + 20, 1234);
	be16_put(ip + 22, PORT);
	be16_put(ip + 24, (uint16_t)(8 + payload));
	ip[28] = RAIL_DATA;
	return f;
}

static struct frame good6(uint16_t payload)
{
	struct frame f = {.len = 14 + 40 + 8 + payload};
	uint8_t *ip = f.b + 14;

	memcpy(f.b, mac, 6);
	be16_put(f.b + 12, 0x86dd);
	ip[0] = 0x60;
	be16_put(ip + 4, (uint16_t)(8 + payload));
	ip[6] = 17;
	ip[7] = 64;
	ip[8] = 0xfd;
	ip[23] = 3;
	ip[24] = 0xfd;
	ip[39] = 4;
	be16_put(ip + 40, 1234);
	be16_put(ip + 42, PORT);
	be16_put(ip + 44, (uint16_t)(8 + payload));
	ip[48] = RAIL_DATA;
	return f;
}

static uint16_t n_ports = 1;

static enum parse_verdict verdict(const struct frame *f, struct parsed *o)
{
	// a copy of just that length: a read too far is seen by the sanitizer
	uint8_t *exact = malloc(f->len > 0 ? f->len : 1);
	enum parse_verdict v;

	memcpy(exact, f->b, f->len);
	v = parse_frame(exact, f->len, mac, (struct parse_ports){PORT, n_ports}, o);
	free(exact);
	return v;
}

static void finds_the_datagram(void **state)
{
	static const uint8_t src4[16] = {[10] = 0xff, 0xff, 10, 1, 2, 3};
	static const uint8_t dst4[16] = {[10] = 0xff, 0xff, 10, 1, 2, 4};
	struct frame f = good4(60);
	struct parsed o;
	uint8_t ip[16];

	assert_int_equal(verdict(&f, &o), PARSE_DATA);
	assert_int_equal(o.off, 42);
	assert_int_equal(o.len, 60);
	assert_int_equal(o.src_port, 1234);
	assert_memory_equal(o.src_ip, src4, 16);
	parse_dst_ip(f.b, &o, ip);
	assert_memory_equal(ip, dst4, 16);
	f = good6(60);
	assert_int_equal(verdict(&f, &o), PARSE_DATA);
	assert_int_equal(o.off, 62);
	assert_int_equal(o.len, 60);
	assert_memory_equal(o.src_ip, f.b + 14 + 8, 16);
	parse_dst_ip(f.b, &o, ip);
	assert_memory_equal(ip, f.b + 14 + 24, 16);
}

static void leaves_padding_out(void **state)
{
	struct frame f = good4(32);
	struct parsed o;

	f.len += 12;
	assert_int_equal(verdict(&f, &o), PARSE_DATA);
	assert_int_equal(o.len, 32);
}

// Each case changes one thing of a good frame.
static const struct {
	const char *what;
	bool ip6;
	uint16_t off;
	uint8_t value;
	enum parse_verdict want;
} cases[] = {
	{"other MAC", false, 5, 9, PARSE_OTHER},
	{"broadcast", false, 0, 0xff, PARSE_OTHER},
	{"ARP", false, 13, 6, PARSE_OTHER},
	{"VLAN", false, 12, 0x81, PARSE_OTHER},
	{"TCP", false, 23, 6, PARSE_OTHER},
	{"other port", false, 37, 1, PARSE_OTHER},
	{"version 6 in an IPv4 frame", false, 14, 0x65, PARSE_OTHER},
	{"options", false, 14, 0x46, PARSE_OTHER}, // what is at the port's place then is not ours
	{"header of 16 bytes", false, 14, 0x44, PARSE_OTHER},
	{"first fragment", false, 20, 0x20, PARSE_FRAGMENT},
	{"later fragment", false, 21, 1, PARSE_OTHER},
	{"total beyond the frame", false, 17, 89, PARSE_MALFORMED},
	{"total below the header", false, 17, 19, PARSE_MALFORMED},
	{"total without UDP", false, 17, 27, PARSE_MALFORMED},
	{"UDP length too great", false, 39, 69, PARSE_MALFORMED},
	{"UDP length too small", false, 39, 67, PARSE_MALFORMED},
	{"rail type 0", false, 42, 0, PARSE_TYPE},
	{"rail type 5", false, 42, 5, PARSE_TYPE},
	{"reserved byte", false, 44, 1, PARSE_TYPE},
	{"init that is too short", false, 42, 1, PARSE_TYPE},
	{"v6: TCP", true, 20, 6, PARSE_OTHER},
	{"v6: hop-by-hop", true, 20, 0, PARSE_OTHER},
	{"v6: other port", true, 57, 1, PARSE_OTHER},
	{"v6: version", true, 14, 0x40, PARSE_OTHER},
	{"v6: length beyond the frame", true, 19, 69, PARSE_MALFORMED},
	{"v6: length without UDP", true, 19, 7, PARSE_MALFORMED},
	{"v6: UDP length", true, 59, 60, PARSE_MALFORMED},
	{"v6: rail type", true, 62, 9, PARSE_TYPE},
};

static void judges_frames(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct frame f = cases[i].ip6 ? good6(60) : good4(60);
		struct parsed o;
		enum parse_verdict v;

		f.b[cases[i].off] = cases[i].value;
		v = verdict(&f, &o);
		if (v != cases[i].want)
			fail_msg("%s: %d, not %d", cases[i].what, v, cases[i].want);
	}
}

static void source_port_zero_is_malformed(void **state)
{
	struct frame f = good4(60);
	struct parsed o;

	be16_put(f.b + 34, 0);
	assert_int_equal(verdict(&f, &o), PARSE_MALFORMED);
}

static void options_before_our_port_are_malformed(void **state)
{
	struct frame f = good4(60);
	struct parsed o;

	f.b[14] = 0x46;
	be16_put(f.b + 14 + 24 + 2, PORT);
	assert_int_equal(verdict(&f, &o), PARSE_MALFORMED);
	be16_put(f.b + 14 + 6, 0x2000);
	assert_int_equal(verdict(&f, &o), PARSE_FRAGMENT);
}

static void ipv6_fragments_are_told_apart(void **state)
{
	struct frame f = good6(80);
	struct parsed o;
	uint8_t *frag = f.b + 54;

	f.b[20] = 44;
	memset(frag, 0, 8);
	frag[0] = 17;
	be16_put(frag + 10, PORT);
	assert_int_equal(verdict(&f, &o), PARSE_FRAGMENT);
	be16_put(frag + 10, 53);
	assert_int_equal(verdict(&f, &o), PARSE_OTHER);
	be16_put(frag + 10, PORT);
	be16_put(frag + 2, 8);
	assert_int_equal(verdict(&f, &o), PARSE_OTHER);
	frag[0] = 6;
	be16_put(frag + 2, 0);
	assert_int_equal(verdict(&f, &o), PARSE_OTHER);
}

static void handshakes_are_known_by_type_and_length(void **state)
{
	struct frame f = good4(64);
	struct parsed o;

	f.b[42] = RAIL_COOKIE;
	assert_int_equal(verdict(&f, &o), PARSE_HANDSHAKE);
	assert_int_equal(o.rail, RAIL_COOKIE);
	f = good4(RAIL_INIT_MIN);
	f.b[42] = RAIL_INIT;
	assert_int_equal(verdict(&f, &o), PARSE_HANDSHAKE);
	f = good6(RAIL_RESPONSE_MIN);
	f.b[62] = RAIL_RESPONSE;
	assert_int_equal(verdict(&f, &o), PARSE_HANDSHAKE);
	f = good4(31); // too short for a tag
	assert_int_equal(verdict(&f, &o), PARSE_TYPE);
	f = good4(32);
	assert_int_equal(verdict(&f, &o), PARSE_DATA);
}

static void truncation_never_reads_too_far(void **state)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		const struct frame whole = v6 ? good6(60) : good4(60);

		for (uint32_t len = 0; len < whole.len; len++) {
			struct frame f = whole;
			struct parsed o;
			enum parse_verdict v;

			f.len = len;
			v = verdict(&f, &o);
			assert_true(v == PARSE_OTHER || v == PARSE_MALFORMED);
		}
	}
}

// Flow i of a transport has the port first + i - 1.
static void takes_each_port_of_its_range_and_no_other(void **state)
{
	struct parsed o;

	(void)state;
	n_ports = 8;
	for (int v6 = 0; v6 < 2; v6++) {
		for (int d = -2; d < 12; d++) {
			struct frame f = v6 ? good6(60) : good4(60);

			be16_put(f.b + (v6 ? 14 + 40 + 2 : 14 + 20 + 2), (uint16_t)(PORT + d));
			assert_int_equal(
				verdict(&f, &o), d >= 0 && d < 8 ? PARSE_DATA : PARSE_OTHER);
		}
	}
	n_ports = 1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_datagram),
		cmocka_unit_test(takes_each_port_of_its_range_and_no_other),
		cmocka_unit_test(leaves_padding_out),
		cmocka_unit_test(judges_frames),
		cmocka_unit_test(source_port_zero_is_malformed),
		cmocka_unit_test(options_before_our_port_are_malformed),
		cmocka_unit_test(ipv6_fragments_are_told_apart),
		cmocka_unit_test(handshakes_are_known_by_type_and_length),
		cmocka_unit_test(truncation_never_reads_too_far),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
