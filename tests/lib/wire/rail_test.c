// Datagram layouts of rail 1: classes by bytes and length, handshake and cookie offsets, time,
// flow.
#include "lib/wire/rail.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "lib/base/err.h"

static void classifies_by_type_and_length(void **state)
{
	static const struct {
		uint8_t type;
		size_t min, max;
	} t[] = {{RAIL_INIT, 138, 1232}, {RAIL_RESPONSE, 93, 1232}, {RAIL_COOKIE, 64, 64},
		{RAIL_DATA, 32, 2000}};
	uint8_t b[2000] = {0};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		b[0] = t[i].type;
		for (size_t n = 0; n <= sizeof(b); n++)
			assert_int_equal(rail_classify(b, n),
				n >= t[i].min && n <= t[i].max ? t[i].type : RAIL_NONE);
	}
	for (unsigned type = 5; type < 256; type++) {
		b[0] = (uint8_t)type;
		assert_int_equal(rail_classify(b, 200), RAIL_NONE);
	}
	b[0] = 0;
	assert_int_equal(rail_classify(b, 200), RAIL_NONE);
}

static void refuses_reserved_bytes(void **state)
{
	for (unsigned i = 1; i < 4; i++) {
		uint8_t b[200] = {RAIL_DATA};

		b[i] = 1;
		assert_int_equal(rail_classify(b, sizeof(b)), RAIL_NONE);
	}
}

static void data_header_round_trips(void **state)
{
	static const uint8_t want[] = {4, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
	uint8_t b[16];

	rail_data_hdr_put(b, 0x01020304, 0x05060708090a0b0c);
	assert_memory_equal(b, want, sizeof(want));
	assert_int_equal(rail_data_receiver(b), 0x01020304);
	assert_int_equal(rail_data_counter(b), 0x05060708090a0b0c);
}

static void takes_handshakes_apart(void **state)
{
	static const struct {
		enum rail_type type;
		size_t len, hdr;
		bool inside;
	} t[] = {{RAIL_INIT, 300, 8, false}, {RAIL_RESPONSE, 300, 12, false},
		{RAIL_INIT, 106, 8, true}, {RAIL_RESPONSE, 61, 12, true}};
	uint8_t b[300];
	struct rail_hs hs;

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct bytes_w w = bytes_w(b, sizeof(b));
		size_t macs = t[i].inside ? 0 : 32;

		rail_hs_begin(&w, t[i].type, 0xa1a2a3a4, 0xb1b2b3b4);
		assert_int_equal(bytes_w_len(&w), t[i].hdr);
		assert_int_equal(rail_hs_decode(b, t[i].len, t[i].inside, &hs), 0);
		assert_int_equal(hs.type, t[i].type);
		assert_int_equal(hs.sender, 0xa1a2a3a4);
		assert_int_equal(hs.receiver, t[i].type == RAIL_RESPONSE ? 0xb1b2b3b4 : 0);
		assert_ptr_equal(hs.noise, b + t[i].hdr);
		assert_int_equal(hs.noise_len, t[i].len - t[i].hdr - macs);
		assert_ptr_equal(hs.mac1, t[i].inside ? NULL : b + t[i].len - 32);
		assert_ptr_equal(hs.mac2, t[i].inside ? NULL : b + t[i].len - 16);
	}
}

static void refuses_short_or_long_handshakes(void **state)
{
	uint8_t b[1300] = {RAIL_INIT};
	struct rail_hs hs;

	for (size_t n = 0; n < RAIL_INIT_MIN; n++)
		assert_int_equal(rail_hs_decode(b, n, false, &hs), -EBADMSG);
	for (size_t n = 0; n < RAIL_INIT_MIN - 32; n++)
		assert_int_equal(rail_hs_decode(b, n, true, &hs), -EBADMSG);
	assert_int_equal(rail_hs_decode(b, 1233, false, &hs), -EBADMSG);
	b[0] = RAIL_DATA;
	assert_int_equal(rail_hs_decode(b, 200, false, &hs), -EBADMSG);
	b[0] = RAIL_COOKIE;
	assert_int_equal(rail_hs_decode(b, 64, false, &hs), -EBADMSG);
}

static void cookie_round_trips(void **state)
{
	struct rail_cookie in = {.receiver = 0x01020304, .nonce = {5, 6}, .sealed = {7, 8}}, out;
	uint8_t b[RAIL_COOKIE_LEN];

	rail_cookie_encode(b, &in);
	assert_int_equal(b[0], 3);
	assert_int_equal(b[8], 5);
	assert_int_equal(b[32], 7);
	assert_int_equal(rail_cookie_decode(b, sizeof(b), &out), 0);
	assert_int_equal(out.receiver, in.receiver);
	assert_memory_equal(out.nonce, in.nonce, sizeof(in.nonce));
	assert_memory_equal(out.sealed, in.sealed, sizeof(in.sealed));
	for (size_t n = 0; n < sizeof(b); n++)
		assert_int_equal(rail_cookie_decode(b, n, &out), -EBADMSG);
}

static void time_orders_and_round_trips(void **state)
{
	static const uint64_t t[] = {
		0, 1, 999999999, 1000000000, 1700000000123456789, UINT64_MAX / 2};
	uint8_t a[RAIL_TIME_LEN], b[RAIL_TIME_LEN];
	uint64_t back;

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		rail_time_put(a, t[i]);
		rail_time_put(b, t[i] + 1);
		assert_true(memcmp(a, b, sizeof(a)) < 0);
		assert_int_equal(rail_time_get(a, &back), 0);
		assert_int_equal(back, t[i]);
	}
	rail_time_put(a, 0);
	assert_memory_equal(a, "\x40\0\0\0\0\0\0\x0a\0\0\0\0", 12);
}

static void refuses_impossible_times(void **state)
{
	uint8_t t[RAIL_TIME_LEN] = {0};
	uint64_t ns;

	assert_int_equal(rail_time_get(t, &ns), -EBADMSG); // before 1970
	rail_time_put(t, 5);
	be32_put(t + 8, 1000000000);
	assert_int_equal(rail_time_get(t, &ns), -EBADMSG);
	memset(t, 0x7f, 8);
	be32_put(t + 8, 0);
	assert_int_equal(rail_time_get(t, &ns), -EBADMSG); // past what ns can count
}

static void flow_follows_the_formula(void **state)
{
	unsigned seen[RAIL_FLOWS_MAX + 1] = {0};

	assert_int_equal(rail_flow_of(0, 32), 1);
	assert_int_equal(rail_flow_of(1, 1), 1);
	// (1 * 2654435761 mod 2^32) >> 16 = 40503
	assert_int_equal(rail_flow_of(1, 32), 1 + 40503 % 32);
	assert_int_equal(rail_flow_of(2, 7), 1 + ((2654435761ull * 2 % (1ull << 32)) >> 16) % 7);
	for (uint32_t id = 1; id < 10000; id++) {
		unsigned f = rail_flow_of(id * 2654435789u, 32);

		assert_in_range(f, 1, 32);
		seen[f]++;
	}
	for (unsigned f = 1; f <= 32; f++)
		assert_true(seen[f] > 150);
}

static void flow_without_a_division_is_the_same(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= RAIL_FLOWS_MAX; n++) {
		uint32_t inv = rail_flow_inv(n);

		// the multiplier is odd: these ids have all values of the upper half
		for (uint32_t i = 0; i <= 0xffff; i++) {
			uint32_t id = i * 65536u * 244002641u + 1; // its inverse

			assert_true(rail_flow_fast(id, n, inv) == rail_flow_of(id, n));
		}
	}
}

static void builds_flow_info(void **state)
{
	uint8_t out[RAIL_FLOW_INFO_LEN];

	rail_flow_info(out, 3, 2);
	assert_memory_equal(out, "rail1 flow\x03\x02", 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classifies_by_type_and_length),
		cmocka_unit_test(refuses_reserved_bytes),
		cmocka_unit_test(data_header_round_trips),
		cmocka_unit_test(takes_handshakes_apart),
		cmocka_unit_test(refuses_short_or_long_handshakes),
		cmocka_unit_test(cookie_round_trips),
		cmocka_unit_test(time_orders_and_round_trips),
		cmocka_unit_test(refuses_impossible_times),
		cmocka_unit_test(flow_follows_the_formula),
		cmocka_unit_test(flow_without_a_division_is_the_same),
		cmocka_unit_test(builds_flow_info),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
