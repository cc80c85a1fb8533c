// rtnetlink messages as a kernel (6.1, x86-64) sent them, and what becomes of damaged ones.
#include "controlplane/dp/neigh_nl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// after the standard headers, as cmocka wants it
#include <cmocka.h>

#include "lib/base/err.h"
#include "tests/support/hex.h"

// clang-format off
static const char link_hex[] =
	"d805000010000000010000000000000000000100030000004310010000000000090003006e6c7461"
	"0000000008000d00e803000005001000060000000500110000000000050043000000000008000400"
	"78050000080032004400000008003300ffff000008001b000000000008001e000000000008003d00"
	"0000000008001f000200000008002800ffff0000080029000000010008003a000000010008003f00"
	"00000100080040000000010008003b00f8ff070008003c00ffff0000080042000000000008002000"
	"020000000500210001000000080023000200000008002f0001000000080030000100000006004400"
	"00000000060045000000000005002700000000000a00010002000000770100000a000200ffffffff"
	"ffff0000cc00170005000000000000000500000000000000ae01000000000000ea01000000000000"
	"00000000000000000000000000000000000000000000000000000000000000000000000000000000"
	"00000000000000000000000000000000000000000000000000000000000000000000000000000000"
	"00000000000000000000000000000000000000000000000000000000000000000000000000000000"
	"00000000000000000000000000000000000000000000000000000000000000000000000000000000"
	"0000000000000000640007000500000005000000ae010000ea010000000000000000000000000000"
	"00000000000000000000000000000000000000000000000000000000000000000000000000000000"
	"000000000000000000000000000000000000000000000000000000000c002b000500020000000000"
	"1000120009000100766574680000000008000500020000000c0006006e6f71756575650030031a00"
	"8c000200880001000000000000000000000000000100000001000000010000000100000000000000"
	"01000000000000000000000000000000000000000000000000000000000000000000000000000000"
	"000000000000000000000000000000000000000000000000000000000000000010270000e8030000"
	"0000000000000000000000000000000001000000a0020a00080001001000008014000500ffff0000"
	"47c40700d0490000e8030000f4000200000000004000000078050000010000000100000001000000"
	"01000000ffffffffa00f0000e803000000000000803a090080510100030000005802000010000000"
	"0000000001000000010000000100000060ea00000000000000000000000000000000000000000000"
	"0000000000000000000000000000000010270000e803000001000000000000000000000001000000"
	"0000000000000000010000000000000000000000000000000000000080ee36000000000000000000"
	"0100000000000000000000000000000000000000000000000004000000000000ffff0000ffffffff"
	"01000000000000000000000000000000340103002600000000000000050000000000000068010000"
	"00000000000000000000000005000000000000000000000000000000000000000000000000000000"
	"0000000005000000000000000500000000000000a401000000000000000000000000000000000000"
	"00000000000000000000000000000000000000000000000000000000000000000000000000000000"
	"00000000000000000000000000000000000000000000000000000000000000000000000000000000"
	"00000000000000000000000000000000000000000000000000000000000000000000000000000000"
	"00000000050000000000000005000000000000000000000000000000000000000000000068010000"
	"00000000a40100000000000000000000000000000000000000000000000000000000000000000000"
	"000000003c0006000700000000000000000000000000000000000000000000000500000000000000"
	"00000000000000000000000000000000000000000000000014000700000000000000000000000000"
	"00000000050008000000000024000e00000000000000000000000000000000000000000000000000"
	"000000000000000004003e8004004180";
static const char neigh4_hex[] =
	"4c0000001c0000000100000000000000020000000300000080000001080001000a4d00020a000200"
	"02000000770200000800040000000000140003005a0000005a0000005a00000001000000";
static const char neigh6_hex[] =
	"580000001c00000001000000000000000a000000030000000400000114000100fd77000000000000"
	"00000000000000020a0002000200000077020000080004000000000014000300c917000059000000"
	"5900000001000000";
static const char route_link_hex[] =
	"6800000018000000010000000000000002200000fe0000010002000008000f00fe00000008000100"
	"0a4d00020800040003000000080007000a4d0001080019000000000024000c000200000000000000"
	"000000000000000000000000000000000000000000000000";
static const char route_via_hex[] =
	"7c00000018000000010000000000000002200000fe0000010002000008000f00fe00000008000100"
	"0a5800090800040003000000080007000a4d0001080005000a4d00020c0008000800020014050000"
	"080019000000000024000c0002000000000000000000000000000000000000000000000000000000"
	"00000000";
static const char route6_via_hex[] =
	"b00000001800000001000000000000000a808000fe0300010000000008000f00fe00000014000100"
	"fd880000000000000000000000000009140002000000000000000000000000000000000014000700"
	"fd770000000000000000000000000001080006000004000014000500fd7700000000000000000000"
	"00000002080004000300000024000c00020000000000000000000000000000000000000000000000"
	"00000000000000000500140000000000";
static const char route_local_hex[] =
	"6800000018000000010000000000000002200000fe0000020002008008000f00fe00000008000100"
	"0a4d00010800040001000000080007000a4d0001080019000000000024000c000100000000000000"
	"000000000000000000000000000000000000000000000000";
// clang-format on

static const uint8_t ip_b[16] = {[10] = 0xff, 0xff, 10, 77, 0, 2};
static const uint8_t ip_far[16] = {[10] = 0xff, 0xff, 10, 88, 0, 9};
static const uint8_t ip6_b[16] = {0xfd, 0x77, [15] = 2};
static const uint8_t ip6_far[16] = {0xfd, 0x88, [15] = 9};

static struct nlmsghdr *message(const char *hex, size_t *len)
{
	struct nlmsghdr *h = (struct nlmsghdr *)hex_new(hex, len);

	assert_true(*len >= sizeof(*h) && mnl_nlmsg_ok(h, (int)*len));
	return h;
}

static void link_is_read(void **state)
{
	struct neigh_nl_link l;
	size_t len;
	struct nlmsghdr *h = message(link_hex, &len);

	(void)state;
	assert_int_equal(neigh_nl_link_decode(h, &l), 0);
	assert_string_equal(l.name, "nlta");
	assert_int_equal(l.mtu, 1400);
	assert_true(l.up);
	assert_false(l.gone);
	assert_memory_equal(l.mac, "\x02\x00\x00\x00\x77\x01", 6);
	assert_true(l.ifindex > 0);
	h->nlmsg_type = RTM_DELLINK;
	assert_int_equal(neigh_nl_link_decode(h, &l), 0);
	assert_true(l.gone);
	free(h);
}

static void neighbours_are_read(void **state)
{
	static const struct {
		const char *hex;
		const uint8_t *ip;
		uint16_t nud;
		bool has_mac;
	} rows[] = {
		{neigh4_hex, ip_b, NUD_PERMANENT, true},
		{neigh6_hex, ip6_b, NUD_STALE, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct neigh_nl_neigh n;
		size_t len;
		struct nlmsghdr *h = message(rows[i].hex, &len);

		assert_int_equal(neigh_nl_neigh_decode(h, &n), 0);
		assert_memory_equal(n.ip, rows[i].ip, 16);
		assert_int_equal(n.nud, rows[i].nud);
		assert_int_equal(n.has_mac, rows[i].has_mac);
		assert_memory_equal(n.mac, "\x02\x00\x00\x00\x77\x02", 6);
		free(h);
	}
}

static void routes_are_read(void **state)
{
	static const uint8_t src4[16] = {[10] = 0xff, 0xff, 10, 77, 0, 1};
	static const uint8_t src6[16] = {0xfd, 0x77, [15] = 1};
	static const struct {
		const char *hex;
		const uint8_t *dst, *via, *src;
		uint32_t mtu;
	} rows[] = {
		{route_link_hex, ip_b, ip_b, src4, 0},
		{route_via_hex, ip_far, ip_b, src4, 1300},
		{route6_via_hex, ip6_far, ip6_b, src6, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct neigh_nl_route r;
		size_t len;
		struct nlmsghdr *h = message(rows[i].hex, &len);

		assert_int_equal(neigh_nl_route_decode(h, rows[i].dst, &r), 0);
		assert_true(r.unicast);
		assert_true(r.oif > 0);
		assert_memory_equal(r.via, rows[i].via, 16);
		assert_memory_equal(r.src, rows[i].src, 16);
		assert_int_equal(r.mtu, rows[i].mtu);
		free(h);
	}
}

static void a_route_to_ourselves_is_no_way(void **state)
{
	static const uint8_t own[16] = {[10] = 0xff, 0xff, 10, 77, 0, 1};
	struct neigh_nl_route r;
	size_t len;
	struct nlmsghdr *h = message(route_local_hex, &len);

	(void)state;
	assert_int_equal(neigh_nl_route_decode(h, own, &r), 0);
	assert_false(r.unicast);
	free(h);
}

// Cut anywhere, with the length field saying so: decoded or refused, never read past the end.
static void cut_messages_are_survived(void **state)
{
	static const char *const all[] = {
		link_hex, neigh4_hex, neigh6_hex, route_link_hex, route_via_hex, route6_via_hex};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct neigh_nl_link l;
		struct neigh_nl_neigh n;
		struct neigh_nl_route r;
		size_t len;
		struct nlmsghdr *h = message(all[i], &len);

		for (size_t cut = sizeof(*h); cut < len; cut++) {
			struct nlmsghdr *part = malloc(cut);

			memcpy(part, h, cut);
			part->nlmsg_len = (uint32_t)cut;
			(void)neigh_nl_link_decode(part, &l);
			(void)neigh_nl_neigh_decode(part, &n);
			(void)neigh_nl_route_decode(part, ip_b, &r);
			free(part);
		}
		free(h);
	}
}

static void attributes_of_a_wrong_size_are_malformed(void **state)
{
	uint8_t buf[256] __attribute__((aligned(8))) = {0};
	struct nlmsghdr *h = neigh_nl_neigh_get(buf, 3, ip_b, 1);
	struct neigh_nl_neigh n;
	struct nlattr *a;

	(void)state;
	assert_int_equal(neigh_nl_neigh_decode(h, &n), 0);
	assert_memory_equal(n.ip, ip_b, 16);
	assert_int_equal(n.ifindex, 3);
	a = mnl_nlmsg_get_payload_offset(h, sizeof(struct ndmsg));
	a->nla_len = 7;
	assert_int_equal(neigh_nl_neigh_decode(h, &n), -EBADMSG);
	((struct ndmsg *)mnl_nlmsg_get_payload(h))->ndm_family = AF_INET6;
	a->nla_len = 8;
	assert_int_equal(neigh_nl_neigh_decode(h, &n), -EBADMSG);
	((struct ndmsg *)mnl_nlmsg_get_payload(h))->ndm_family = AF_BRIDGE;
	assert_int_equal(neigh_nl_neigh_decode(h, &n), -EAFNOSUPPORT);
}

static void addresses_are_told_apart(void **state)
{
	static const struct {
		const char *hex;
		bool v4, link_local, unicast;
	} rows[] = {
		{"00000000000000000000ffff0a000001", true, false, true},
		{"00000000000000000000ffff7f000001", true, false, false},
		{"00000000000000000000ffffe0000001", true, false, false},
		{"00000000000000000000ffffffffffff", true, false, false},
		{"00000000000000000000ffff00000000", true, false, false},
		{"fe800000000000000000000000000001", false, true, true},
		{"20010db8000000000000000000000001", false, false, true},
		{"ff020000000000000000000000000001", false, false, false},
		{"00000000000000000000000000000001", false, false, false},
		{"00000000000000000000000000000000", false, false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t ip[16];

		hex_exact(ip, 16, rows[i].hex);
		assert_int_equal(neigh_nl_is_v4(ip), rows[i].v4);
		assert_int_equal(neigh_nl_is_link_local(ip), rows[i].link_local);
		assert_int_equal(neigh_nl_is_unicast(ip), rows[i].unicast);
	}
}

static bool concerns(uint8_t bits, uint8_t flags, const char *prefix, const char *ip_hex)
{
	uint8_t buf[256] __attribute__((aligned(8))), dst[16], ip[16];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	bool v4;

	hex_exact(dst, 16, prefix);
	hex_exact(ip, 16, ip_hex);
	v4 = neigh_nl_is_v4(dst);
	h->nlmsg_type = RTM_NEWROUTE;
	*m = (struct rtmsg){
		.rtm_family = v4 ? AF_INET : AF_INET6, .rtm_dst_len = bits, .rtm_flags = flags};
	if (bits > 0)
		mnl_attr_put(h, RTA_DST, v4 ? 4 : 16, v4 ? dst + 12 : dst);
	return neigh_nl_concerns(h, ip);
}

static void a_route_concerns_the_ways_into_its_prefix(void **state)
{
	static const char v4[] = "00000000000000000000ffff0a4d0005";
	static const char v6[] = "20010db8000000000000000000000001";
	static const struct {
		uint8_t bits;
		const char *prefix;
		bool v4, v6;
	} rows[] = {
		{0, "00000000000000000000ffff00000000", true, false},
		{0, "00000000000000000000000000000000", false, true},
		{8, "00000000000000000000ffff0a000000", true, false},
		{8, "00000000000000000000ffff0b000000", false, false},
		{30, "00000000000000000000ffff0a4d0004", true, false},
		{30, "00000000000000000000ffff0a4d0008", false, false},
		{32, "00000000000000000000ffff0a4d0005", true, false},
		{33, "20010db8000000000000000000000000", false, true},
		{33, "20010db8800000000000000000000000", false, false},
		{128, "20010db8000000000000000000000001", false, true},
	};
	struct nlmsghdr addr = {.nlmsg_len = sizeof(addr), .nlmsg_type = RTM_DELADDR};
	uint8_t ip[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(concerns(rows[i].bits, 0, rows[i].prefix, v4), rows[i].v4);
		assert_int_equal(concerns(rows[i].bits, 0, rows[i].prefix, v6), rows[i].v6);
	}
	hex_exact(ip, 16, v4);
	assert_true(neigh_nl_concerns(&addr, ip));
	addr.nlmsg_type = RTM_NEWROUTE; // cut short: better ask
	assert_true(neigh_nl_concerns(&addr, ip));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(link_is_read),
		cmocka_unit_test(neighbours_are_read),
		cmocka_unit_test(routes_are_read),
		cmocka_unit_test(a_route_to_ourselves_is_no_way),
		cmocka_unit_test(cut_messages_are_survived),
		cmocka_unit_test(attributes_of_a_wrong_size_are_malformed),
		cmocka_unit_test(addresses_are_told_apart),
		cmocka_unit_test(a_route_concerns_the_ways_into_its_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
