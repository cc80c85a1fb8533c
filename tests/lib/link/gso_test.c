// Super-packets: out of a kernel, cut, back into one; and what a hostile far end may try.
#include "lib/link/gso.h"

#include "lib/base/err.h"
#include "lib/wire/ip.h"
#include "tests/support/packet.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint8_t p[65536], out[65536], want[65536];

static const struct packet kinds[] = {
	{.version = 4, .seq = 0xfffffff0u, .options = 12, .id = 65530},
	{.version = 6, .seq = 5, .flags = PACKET_ACK | PACKET_PSH | PACKET_FIN | PACKET_CWR},
	{.version = 4, .udp = true, .seq = 9, .id = 7}, {.version = 6, .udp = true, .seq = 3}};

static unsigned get16(const uint8_t *q)
{
	return (unsigned)q[0] << 8 | q[1];
}

// As a kernel hands it over: the checksum is the pseudo header's.
static size_t from_kernel(const struct packet *k, uint16_t size, struct gso_vnet *v)
{
	size_t len = packet_make(p, k);
	size_t l4 = k->version == 4 ? 20 : 40, at = l4 + (k->udp ? 6 : 16);
	uint32_t sum = (uint32_t)(len - l4) + (k->udp ? 17 : 6);

	sum = k->version == 4 ? packet_sum(p + 12, 8, sum) : packet_sum(p + 8, 32, sum);
	p[at] = (uint8_t)(sum >> 8);
	p[at + 1] = (uint8_t)sum;
	*v = (struct gso_vnet){.flags = GSO_VNET_NEEDS_CSUM,
		.hdr_len = (uint16_t)packet_hdr_len(k),
		.size = size,
		.csum_start = (uint16_t)l4,
		.csum_offset = k->udp ? 6 : 16};
	v->type = k->udp ? GSO_VNET_UDP : k->version == 4 ? GSO_VNET_TCP4 : GSO_VNET_TCP6;
	return len;
}

static void completes_a_checksum(void **state)
{
	struct packet k = {.version = 4, .payload = 101};
	struct gso_pkt g;
	struct gso_vnet v;
	size_t len = from_kernel(&k, 0, &v);

	v.type = GSO_VNET_NONE;
	assert_false(packet_is_right(p, len));
	assert_int_equal(gso_from_kernel(&v, p, len, &g), 0);
	assert_int_equal(g.size, 0);
	packet_make(want, &k);
	assert_memory_equal(p, want, len);
	// UDP whose sum is zero says ffff: a payload that makes it so
	k = (struct packet){.version = 4, .udp = true, .payload = 2};
	packet_make(want, &k);
	len = from_kernel(&k, 0, &v);
	v.type = GSO_VNET_NONE;
	// adding the checksum to the payload makes the new one zero
	unsigned pay = get16(p + 28) + get16(want + 26);

	pay = (pay & 0xffff) + (pay >> 16);
	p[28] = (uint8_t)(pay >> 8);
	p[29] = (uint8_t)pay;
	assert_int_equal(gso_from_kernel(&v, p, len, &g), 0);
	assert_int_equal(get16(p + 26), 0xffff);
	assert_true(packet_is_right(p, len));
	// no offload asked for: left alone
	memset(&v, 0, sizeof(v));
	memset(p, 0xab, 60);
	assert_int_equal(gso_from_kernel(&v, p, 60, &g), 0);
	assert_int_equal(p[10], 0xab);
}

// Each segment is what a stack would have sent by itself.
static void cuts_into_the_packets_of_a_stack(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct packet k = kinds[i], s = kinds[i];
		struct gso_vnet v;
		struct gso_cut c;
		struct gso_pkt g;
		unsigned n = 0;

		k.payload = 5000;
		assert_int_equal(gso_from_kernel(&v, p, from_kernel(&k, 1200, &v), &g), 0);
		assert_int_equal(g.size, 1200);
		assert_int_equal(g.n, 5);
		assert_false(g.odd);
		gso_cut_begin(&c, &g);
		for (ptrdiff_t len; (len = gso_cut_next(&c, out, sizeof(out))) > 0; n++) {
			s.payload = n < 4 ? 1200 : 200;
			if (k.flags != 0 && n < 4)
				s.flags = PACKET_ACK | (n == 0 ? PACKET_CWR : 0);
			else if (k.flags != 0)
				s.flags = PACKET_ACK | PACKET_PSH | PACKET_FIN;
			assert_int_equal(len, packet_make(want, &s));
			assert_memory_equal(out, want, (size_t)len);
			assert_true(packet_is_right(out, (size_t)len));
			s.seq += s.payload;
			s.id++;
		}
		assert_int_equal(n, 5);
		assert_true(gso_cut_is_done(&c));
		gso_cut_begin(&c, &g);
		assert_int_equal(gso_cut_next(&c, out, 1200), -ENOSPC);
	}
}

// Kernel, far end, kernel: the same bytes, and what virtio asks for.
static void travels_with_one_checksum(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct packet k = kinds[i];
		struct gso_vnet v, back;
		struct gso_pkt g, far;
		size_t len;

		k.payload = 60000;
		len = from_kernel(&k, 1240, &v);
		memcpy(want, p, len);
		assert_int_equal(gso_from_kernel(&v, p, len, &g), 0);
		gso_complete(&g, p);
		assert_true(packet_is_right(p, len));
		assert_int_equal(gso_from_far(p, len, g.size, &far), 0);
		assert_int_equal(far.kind, g.kind);
		assert_int_equal(far.n, 49);
		gso_to_kernel(&far, p, &back);
		assert_memory_equal(&back, &v, sizeof(v));
		assert_memory_equal(p, want, len);
	}
}

static void one_segment_is_no_super_packet_to_a_kernel(void **state)
{
	struct packet k = {.version = 4, .payload = 100};
	struct gso_vnet v;
	struct gso_pkt g;

	assert_int_equal(gso_from_far(p, packet_make(p, &k), 100, &g), 0);
	assert_int_equal(g.n, 1);
	gso_to_kernel(&g, p, &v);
	assert_int_equal(v.type, GSO_VNET_NONE);
	assert_int_equal(v.size, 0);
	assert_int_equal(v.flags, GSO_VNET_NEEDS_CSUM);
}

static void what_not_everyone_understands_is_odd(void **state)
{
	struct packet k = {.version = 4, .payload = 20000};
	struct packet u = {.version = 4, .udp = true, .payload = 20000};
	struct packet s = {.version = 4, .payload = 4000, .flags = PACKET_SYN};
	struct gso_vnet v;
	struct gso_pkt g;

	assert_int_equal(gso_from_kernel(&v, p, from_kernel(&k, 100, &v), &g), 0);
	assert_true(g.odd); // 200 segments
	assert_int_equal(gso_from_kernel(&v, p, from_kernel(&u, 250, &v), &g), 0);
	assert_true(g.odd); // 80 datagrams
	assert_int_equal(gso_from_kernel(&v, p, from_kernel(&s, 1000, &v), &g), 0);
	assert_true(g.odd);
}

static void a_header_of_a_kernel_that_lies_is_refused(void **state)
{
	static const struct {
		const char *what;
		struct gso_vnet v;
	} bad[] = {
		{"no checksum to make", {0, 1, 40, 1000, 20, 16}},
		{"segment size 0", {1, 1, 40, 0, 20, 16}},
		{"unknown type", {1, 2, 40, 1000, 20, 16}},
		{"UDP that is TCP", {1, 5, 40, 1000, 20, 6}},
		{"checksum elsewhere", {1, 1, 40, 1000, 24, 16}},
		{"offset of another protocol", {1, 1, 40, 1000, 20, 6}},
		{"plain: start outside", {1, 0, 0, 0, 4040, 16}},
		{"plain: field across the end", {1, 0, 0, 0, 4030, 9}},
		{"plain: far outside", {1, 0, 0, 0, 65535, 65535}},
	};
	struct packet k = {.version = 4, .payload = 4000};
	struct gso_vnet v;
	struct gso_pkt g;
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		len = from_kernel(&k, 1000, &v);
		if (gso_from_kernel(&bad[i].v, p, len, &g) != -EBADMSG)
			fail_msg("%s", bad[i].what);
	}
	from_kernel(&k, 1000, &v);
	assert_int_equal(gso_from_kernel(&v, p, 30, &g), -EBADMSG);
	assert_int_equal(gso_from_kernel(&v, p, 0, &g), -EBADMSG);
	assert_int_equal(gso_from_kernel(&v, p, 4039, &g), -EBADMSG);
}

static void a_hostile_far_end_is_refused(void **state)
{
	struct packet k = {.version = 4, .payload = 4000};
	struct packet six = {.version = 6, .payload = 4000};
	struct gso_pkt g;
	size_t len = packet_make(p, &k);

	assert_int_equal(gso_from_far(p, len, 1000, &g), 0);
	assert_int_equal(gso_from_far(p, len, 0, &g), -EBADMSG); // no segment size
	assert_int_equal(gso_from_far(p, len, 31, &g), -EBADMSG); // 130 segments
	assert_int_equal(gso_from_far(p, len, 32, &g), 0);
	for (size_t l = 0; l < len; l++)
		assert_int_equal(gso_from_far(p, l, 1000, &g), -EBADMSG);
	assert_int_equal(gso_from_far(p, len + 1, 1000, &g), -EBADMSG); // bytes behind
	for (size_t i = 0; i < len; i += i < 60 ? 1 : 97) {
		if (i == 1 || i == 8)
			continue;
		p[i] ^= 4;
		if (gso_from_far(p, len, 1000, &g) == 0)
			fail_msg("a changed byte %zu went through", i);
		p[i] ^= 4;
	}
	k.payload = 0;
	assert_int_equal(gso_from_far(p, packet_make(p, &k), 1000, &g), -EBADMSG);
	k = (struct packet){.version = 4, .payload = 4000, .flags = PACKET_SYN};
	assert_int_equal(gso_from_far(p, packet_make(p, &k), 1000, &g), -EBADMSG);
	len = packet_make(p, &six);
	p[6] = 60; // a kernel would look for TCP behind it
	p[40] = 6;
	p[41] = 0;
	assert_int_equal(gso_from_far(p, len, 1000, &g), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(completes_a_checksum),
		cmocka_unit_test(cuts_into_the_packets_of_a_stack),
		cmocka_unit_test(travels_with_one_checksum),
		cmocka_unit_test(one_segment_is_no_super_packet_to_a_kernel),
		cmocka_unit_test(what_not_everyone_understands_is_odd),
		cmocka_unit_test(a_header_of_a_kernel_that_lies_is_refused),
		cmocka_unit_test(a_hostile_far_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
