// What expect.h lets pass, parse.h must call the same thing: a datagram of that peer, that length.
// Whatever differs in a byte that counts does not pass.

#include "dataplane/io/expect.h"
#include "dataplane/io/parse.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
// after its prerequisites
#include <cmocka.h>

enum { PORT = 7780, PEER_PORT = 40123, INDEX = 0x12345678, UDP_LEN = 200, ROOM = 512 };

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t peer[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, 0, 2, 7};

static void make_frame(uint8_t *p, uint32_t udp_len)
{
	memset(p, 0xa5, ROOM);
	memcpy(p, mac, 6);
	be16_put(p + 12, 0x0800);
	p[14] = 0x45;
	be16_put(p + 16, (uint16_t)(28 + udp_len));
	be16_put(p + 20, 0x4000);
	p[23] = 17;
	memcpy(p + 26, peer + 12, 4);
	be16_put(p + 34, PEER_PORT);
	be16_put(p + 36, PORT);
	be16_put(p + 38, (uint16_t)(8 + udp_len));
	rail_data_hdr_put(p + 42, INDEX, 99);
}

static struct expect expected(void)
{
	struct expect e;

	expect_set(&e, mac, peer, PEER_PORT, PORT, INDEX);
	return e;
}

static void assert_parsed_alike(const uint8_t *p, uint32_t len, uint32_t udp_len)
{
	struct parsed o;

	assert_int_equal(parse_frame(p, len, mac, (struct parse_ports){PORT, 1}, &o), PARSE_DATA);
	assert_int_equal(o.len, udp_len);
	assert_int_equal(o.off, EXPECT_RAIL);
	assert_int_equal(o.src_port, PEER_PORT);
	assert_memory_equal(o.src_ip, peer, 16);
	assert_int_equal(rail_data_receiver(p + o.off), INDEX);
}

static void takes_the_frame_of_the_peer(void **state)
{
	struct expect e = expected();
	uint8_t p[ROOM];

	make_frame(p, UDP_LEN);
	assert_int_equal(expect_match(&e, p, EXPECT_RAIL + UDP_LEN), UDP_LEN);
	assert_parsed_alike(p, EXPECT_RAIL + UDP_LEN, UDP_LEN);
	assert_int_equal(expect_match(&e, p, EXPECT_RAIL + UDP_LEN + 30), UDP_LEN); // padding
}

// Flip each bit of the headers: what still passes is read alike by parse_frame().
static void is_never_laxer_than_the_parser(void **state)
{
	struct expect e = expected();
	unsigned passed = 0;

	for (unsigned bit = 0; bit < 50 * 8; bit++) {
		uint8_t p[ROOM];
		uint32_t len;

		make_frame(p, UDP_LEN);
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		len = expect_match(&e, p, EXPECT_RAIL + UDP_LEN);
		if (len == 0)
			continue;
		assert_parsed_alike(p, EXPECT_RAIL + UDP_LEN, len);
		passed++;
	}
	// source MAC, TOS, id, DF and reserved bit, TTL, two checksums, destination address
	assert_int_equal(passed, 48 + 8 + 16 + 2 + 8 + 32 + 32);
}

static void refuses_lengths_that_contradict_each_other(void **state)
{
	static const struct {
		uint32_t total, udp, frame;
	} cases[] = {
		{228, 209, 242}, // UDP longer than IP says
		{228, 207, 242}, // and shorter
		{228, 208, 241}, // the frame ends before the packet
		{59, 39, 82}, // no room for a rail header and a tag
		{20, 0, 82},
		{0, 0, 82},
		{0xffff, 0xffeb, 242},
		{228, 208, EXPECT_MIN - 1},
		{228, 208, 0},
	};
	struct expect e = expected();

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t p[ROOM];

		make_frame(p, UDP_LEN);
		be16_put(p + 16, (uint16_t)cases[i].total);
		be16_put(p + 38, (uint16_t)cases[i].udp);
		assert_int_equal(expect_match(&e, p, cases[i].frame), 0);
	}
}

static void takes_the_shortest_datagram(void **state)
{
	struct expect e = expected();
	uint8_t p[ROOM];

	make_frame(p, RAIL_DATA_OVERHEAD);
	assert_int_equal(expect_match(&e, p, EXPECT_MIN), RAIL_DATA_OVERHEAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_the_frame_of_the_peer),
		cmocka_unit_test(is_never_laxer_than_the_parser),
		cmocka_unit_test(refuses_lengths_that_contradict_each_other),
		cmocka_unit_test(takes_the_shortest_datagram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
