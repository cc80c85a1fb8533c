// Route header and small bodies against the bytes of skywire-routing 1 ("interop vectors").
#include "lib/wire/route_hdr.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "lib/base/err.h"

static const uint8_t data_hello[] = {0, 0, 0, 0, 7, 0, 5, 'h', 'e', 'l', 'l', 'o'};
static const uint8_t close_id7[] = {1, 0, 0, 0, 7, 0, 1, 0};
static const uint8_t keep_alive_id7[] = {2, 0, 0, 0, 7, 0, 0};
static const uint8_t ping_id7[] = {
	4, 0, 0, 0, 7, 0, 16, 0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0, 0, 0, 0, 0, 0, 1, 0xe8, 0x48};
static const uint8_t pong_id7[] = {
	5, 0, 0, 0, 7, 0, 16, 0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0, 0, 0, 0, 0, 0, 0, 0, 0};
static const uint8_t tp_ping[] = {8, 0, 0, 0, 0, 0, 8, 0x17, 0x97, 0x9c, 0xfe, 0x36, 0x2a, 0, 0};

static void decodes_known_packet(void **state)
{
	struct route_hdr h;

	assert_int_equal(route_hdr_decode(data_hello, sizeof(data_hello), &h), 12);
	assert_int_equal(h.type, ROUTE_DATA);
	assert_int_equal(h.id, 7);
	assert_int_equal(h.len, 5);
	assert_memory_equal(h.payload, "hello", 5);
}

static void asks_for_more_at_each_truncation(void **state)
{
	struct route_hdr h;

	for (size_t n = 0; n < sizeof(data_hello); n++)
		assert_int_equal(route_hdr_decode(data_hello, n, &h), -EAGAIN);
}

static void leaves_following_bytes_of_a_stream(void **state)
{
	uint8_t two[sizeof(data_hello) + sizeof(close_id7)];
	struct route_hdr h;

	memcpy(two, data_hello, sizeof(data_hello));
	memcpy(two + sizeof(data_hello), close_id7, sizeof(close_id7));
	assert_int_equal(route_hdr_decode(two, sizeof(two), &h), 12);
	assert_int_equal(route_hdr_decode(two + 12, sizeof(two) - 12, &h), 8);
	assert_int_equal(h.type, ROUTE_CLOSE);
}

static void accessors_agree_with_decode(void **state)
{
	uint8_t p[ROUTE_HDR_LEN];

	for (unsigned type = 0; type < 256; type++) {
		route_hdr_put(p, (uint8_t)type, 0xfedcba98, 0);
		route_hdr_put_id(p, 0x01020304 + type);
		assert_int_equal(route_hdr_type(p), type);
		assert_int_equal(route_hdr_id(p), 0x01020304 + type);
		assert_true(route_hdr_is_whole(p, 7));
		assert_false(route_hdr_is_whole(p, 6));
		assert_false(route_hdr_is_whole(p, 8));
	}
	route_hdr_put(p, 0, 1, 65535);
	assert_int_equal(route_hdr_packet_len(p), ROUTE_PACKET_MAX);
}

static void names_all_types(void **state)
{
	for (unsigned i = 0; i < ROUTE_TYPE_COUNT; i++)
		assert_string_not_equal(route_hdr_type_name((uint8_t)i), "unknown");
	assert_int_equal(ROUTE_TYPE_COUNT, 24);
	assert_string_equal(route_hdr_type_name(ROUTE_LEG_REHOME), "leg-rehome");
	assert_string_equal(route_hdr_type_name(24), "unknown");
	assert_string_equal(route_hdr_type_name(255), "unknown");
}

static void encodes_known_packets(void **state)
{
	const struct route_ping ping = {.time_ms = 1700000000000, .throughput_Bps = 125000};
	uint8_t b[32];

	assert_int_equal(route_close_encode(b, sizeof(b), 7, 0), sizeof(close_id7));
	assert_memory_equal(b, close_id7, sizeof(close_id7));
	assert_int_equal(route_keep_alive_encode(b, sizeof(b), 7), sizeof(keep_alive_id7));
	assert_memory_equal(b, keep_alive_id7, sizeof(keep_alive_id7));
	assert_int_equal(route_ping_encode(b, sizeof(b), 7, &ping), sizeof(ping_id7));
	assert_memory_equal(b, ping_id7, sizeof(ping_id7));
	assert_int_equal(route_pong_encode(b, sizeof(b), 7, ping.time_ms), sizeof(pong_id7));
	assert_memory_equal(b, pong_id7, sizeof(pong_id7));
	assert_int_equal(route_tp_ping_encode(b, sizeof(b), ROUTE_TP_PING, 1700000000000000000),
		sizeof(tp_ping));
	assert_memory_equal(b, tp_ping, sizeof(tp_ping));
}

static void encoders_refuse_short_room(void **state)
{
	const struct route_ping ping = {.time_ms = 1};
	uint8_t b[32];

	for (size_t n = 0; n < 23; n++) {
		assert_int_equal(route_ping_encode(b, n, 7, &ping), -ENOSPC);
		assert_int_equal(route_pong_encode(b, n, 7, 1), -ENOSPC);
	}
	assert_int_equal(route_close_encode(b, 7, 7, 0), -ENOSPC);
	assert_int_equal(route_keep_alive_encode(b, 6, 7), -ENOSPC);
	assert_int_equal(route_tp_ping_encode(b, 14, ROUTE_TP_PONG, 1), -ENOSPC);
}

static void decodes_bodies(void **state)
{
	struct route_ping ping;
	int64_t t;

	assert_int_equal(route_ping_decode(ping_id7 + 7, 16, &ping), 0);
	assert_int_equal(ping.time_ms, 1700000000000);
	assert_int_equal(ping.throughput_Bps, 125000);
	assert_int_equal(route_pong_decode(pong_id7 + 7, 16, &t), 0);
	assert_int_equal(t, 1700000000000);
	assert_int_equal(route_tp_ping_decode(tp_ping + 7, 8, &t), 0);
	assert_int_equal(t, 1700000000000000000);
}

// Who forwards it changes its id alone; nobody here reads more of it (skywire-routing 1.4).
static void a_sack_is_last_seq_then_count_then_words_and_stays_so(void **state)
{
	uint8_t p[] = {7, 0, 0, 0, 7, 0, 13, 0, 0, 0, 5, 1, 0, 0, 0, 0, 0, 0, 0, 3};
	uint8_t before[sizeof(p)];
	struct route_hdr h;

	assert_int_equal(route_hdr_decode(p, sizeof(p), &h), sizeof(p));
	assert_int_equal(h.type, ROUTE_SACK);
	assert_int_equal(be32_get(p + 7), 5); // all up to here have come
	assert_int_equal(p[11], 1);
	assert_true(be64_get(p + 12) == 3); // bit i: 5 + 1 + i has come, too
	memcpy(before, p, sizeof(p));
	route_hdr_put_id(p, 0x01020304);
	assert_int_equal(be32_get(p + 1), 0x01020304);
	assert_memory_equal(p + 5, before + 5, sizeof(p) - 5);
}

static void refuses_short_bodies(void **state)
{
	struct route_ping ping;
	uint8_t code;
	int64_t t;

	for (size_t n = 0; n < 16; n++) {
		assert_int_equal(route_ping_decode(ping_id7 + 7, n, &ping), -EBADMSG);
		assert_int_equal(route_pong_decode(pong_id7 + 7, n, &t), -EBADMSG);
	}
	for (size_t n = 0; n < 8; n++)
		assert_int_equal(route_tp_ping_decode(tp_ping + 7, n, &t), -EBADMSG);
	assert_int_equal(route_close_decode(close_id7 + 7, 0, &code), -EBADMSG);
}

static void reads_unknown_close_codes_as_requested(void **state)
{
	static const struct {
		uint8_t wire, want;
	} t[] = {{0, 0}, {1, 1}, {2, 0}, {255, 0}};
	uint8_t code;

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		assert_int_equal(route_close_decode(&t[i].wire, 1, &code), 0);
		assert_int_equal(code, t[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_known_packet),
		cmocka_unit_test(asks_for_more_at_each_truncation),
		cmocka_unit_test(leaves_following_bytes_of_a_stream),
		cmocka_unit_test(accessors_agree_with_decode),
		cmocka_unit_test(names_all_types),
		cmocka_unit_test(encodes_known_packets),
		cmocka_unit_test(encoders_refuse_short_room),
		cmocka_unit_test(decodes_bodies),
		cmocka_unit_test(a_sack_is_last_seq_then_count_then_words_and_stays_so),
		cmocka_unit_test(refuses_short_bodies),
		cmocka_unit_test(reads_unknown_close_codes_as_requested),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
