// Frames of rail 3: known bytes, malformed ones, round trip and truncation of each kind, ACK
// ranges.
#include "lib/wire/rail_frame.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "lib/base/err.h"

static const uint8_t packet[] = {0, 0, 0, 0, 7, 0, 5, 'h', 'e', 'l', 'l', 'o'};
static const uint8_t pairs[] = {0, 0, 0, 1, 0, 3, 0, 2}; // gap 1, run 2; gap 4, run 3

static const struct rail_frame samples[] = {
	{.type = RAIL_ROUTE, .data = packet, .len = sizeof(packet)},
	{.type = RAIL_SEQ, .seq = 0x01020304, .distance = 0xabcdef, .data = packet, .len = 12},
	{.type = RAIL_PART,
		.seq = 9,
		.distance = 1,
		.total = 65542,
		.offset = 65540,
		.len = 2,
		.data = packet},
	{.type = RAIL_ACK,
		.ack = {.highest = 20,
			.next_seq = 3,
			.delay = 4,
			.first = 5,
			.n = 2,
			.pairs = pairs}},
	{.type = RAIL_PAUSE, .seq = 1, .distance = 2, .route_id = 0xdeadbeef, .limit_s = 28},
	{.type = RAIL_RESUME, .seq = 1, .distance = 2, .route_id = 3},
	{.type = RAIL_PROBE},
	{.type = RAIL_REKEY, .data = packet, .len = 12},
	{.type = RAIL_CLOSE, .code = 2, .data = (const uint8_t *)"version", .len = 7},
	{.type = RAIL_EMPTY, .seq = 5, .route_id = 6, .code = RAIL_GONE_STALLED},
	{.type = RAIL_NOTICE, .code = 1, .data = (const uint8_t *)"limit", .len = 5},
	{.type = RAIL_GONE, .seq = 5, .distance = 0, .route_id = 6, .code = RAIL_GONE_HELD},
};

static int first_frame(const void *p, size_t len, struct rail_frame *f)
{
	struct bytes_r r = bytes_r(p, len);

	return rail_frame_next(&r, f);
}

static void encodes_seq_as_specified(void **state)
{
	static const uint8_t want[] = {
		2, 1, 2, 3, 4, 0xab, 0xcd, 0xef, 0, 0, 0, 0, 7, 0, 5, 'h', 'e', 'l', 'l', 'o'};
	uint8_t b[64];
	struct bytes_w w = bytes_w(b, sizeof(b));

	assert_int_equal(rail_frame_encode(&w, &samples[1]), 0);
	assert_int_equal(bytes_w_len(&w), sizeof(want));
	assert_memory_equal(b, want, sizeof(want));
}

static void round_trips_each_frame(void **state)
{
	uint8_t a[128], b[128];

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct bytes_w w = bytes_w(a, sizeof(a));
		struct bytes_w again = bytes_w(b, sizeof(b));
		struct bytes_r r;
		struct rail_frame f;

		assert_int_equal(rail_frame_encode(&w, &samples[i]), 0);
		r = bytes_r(a, bytes_w_len(&w));
		assert_int_equal(rail_frame_next(&r, &f), 0);
		assert_int_equal(f.type, samples[i].type);
		assert_int_equal(f.route_id, samples[i].route_id);
		assert_int_equal(f.seq, samples[i].seq);
		assert_int_equal(f.code, samples[i].code);
		assert_int_equal(rail_frame_encode(&again, &f), 0);
		assert_int_equal(bytes_w_len(&again), bytes_w_len(&w));
		assert_memory_equal(a, b, bytes_w_len(&w));
		assert_int_equal(rail_frame_next(&r, &f), -EAGAIN);
	}
}

static void refuses_each_truncation(void **state)
{
	uint8_t a[128];
	struct rail_frame f;

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct bytes_w w = bytes_w(a, sizeof(a));

		assert_int_equal(rail_frame_encode(&w, &samples[i]), 0);
		assert_int_equal(first_frame(a, 0, &f), -EAGAIN);
		for (size_t n = 1; n < bytes_w_len(&w); n++)
			assert_int_equal(first_frame(a, n, &f), -EBADMSG);
		for (size_t n = 0; n < bytes_w_len(&w); n++) {
			struct bytes_w small = bytes_w(a, n);

			assert_int_equal(rail_frame_encode(&small, &samples[i]), -ENOSPC);
		}
	}
}

static void walks_a_datagram(void **state)
{
	static const uint8_t d[] = {
		7, 0, 0, 64, 0, 2, 9, 9, 0, 255, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 2, 3, 0};
	struct bytes_r r = bytes_r(d, sizeof(d));
	struct rail_frame f;

	assert_int_equal(rail_frame_next(&r, &f), 0);
	assert_int_equal(f.type, RAIL_PROBE);
	assert_int_equal(rail_frame_next(&r, &f), 0);
	assert_int_equal(f.type, RAIL_EMPTY);
	assert_int_equal(f.route_id, 2);
	assert_int_equal(f.code, RAIL_GONE_RESET);
	assert_int_equal(rail_frame_next(&r, &f), -EAGAIN);
}

static void tells_unknown_types_below_64(void **state)
{
	struct rail_frame f;

	for (unsigned t = RAIL_GONE + 1; t < RAIL_FRAME_SKIPPABLE; t++) {
		uint8_t b[] = {(uint8_t)t, 0, 0};

		assert_int_equal(first_frame(b, sizeof(b), &f), -EPROTO);
	}
	for (unsigned t = RAIL_FRAME_SKIPPABLE; t < 256; t++) {
		uint8_t b[] = {(uint8_t)t, 0, 1, 0};

		assert_int_equal(first_frame(b, 4, &f), -EAGAIN);
		assert_int_equal(first_frame(b, 3, &f), -EBADMSG);
		assert_int_equal(first_frame(b, 1, &f), -EBADMSG);
	}
}

static void refuses_bad_parts(void **state)
{
	static const struct {
		uint32_t total, offset, len;
	} t[] = {{10, 0, 0}, {10, 10, 1}, {10, 5, 6}, {65543, 0, 1}, {0, 0, 1},
		{0xffffff, 0xffffff, 1}};
	uint8_t b[32];
	struct rail_frame f;

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct bytes_w w = bytes_w(b, sizeof(b));

		bytes_w_u8(&w, RAIL_PART);
		bytes_w_zero(&w, 7);
		bytes_w_be(&w, t[i].total, 3);
		bytes_w_be(&w, t[i].offset, 3);
		bytes_w_u16(&w, (uint16_t)t[i].len);
		bytes_w_zero(&w, t[i].len);
		assert_int_equal(first_frame(b, bytes_w_len(&w), &f), -EBADMSG);
	}
}

static void refuses_to_encode_what_next_would_refuse(void **state)
{
	const struct rail_frame bad[] = {
		{.type = RAIL_PADDING},
		{.type = 13},
		{.type = 64},
		{.type = RAIL_SEQ, .distance = 0x1000000, .data = packet, .len = 12},
		{.type = RAIL_ROUTE, .data = packet, .len = 11},
		{.type = RAIL_PART, .total = 5, .offset = 5, .len = 1, .data = packet},
		{.type = RAIL_CLOSE, .len = 256, .data = packet},
		{.type = RAIL_REKEY, .len = 65536, .data = packet},
		{.type = RAIL_ACK, .ack = {.highest = 3, .first = 4}},
	};
	uint8_t b[64];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct bytes_w w = bytes_w(b, sizeof(b));

		assert_int_equal(rail_frame_encode(&w, &bad[i]), -EINVAL);
		assert_int_equal(bytes_w_len(&w), 0);
	}
}

static void walks_ack_ranges(void **state)
{
	static const struct rail_range want[] = {{20, 15}, {13, 12}, {7, 5}};
	struct rail_ack_iter it = {0};
	struct rail_range got;

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_true(rail_ack_next(&samples[3].ack, &it, &got));
		assert_int_equal(got.hi, want[i].hi);
		assert_int_equal(got.lo, want[i].lo);
	}
	assert_false(rail_ack_next(&samples[3].ack, &it, &got));
}

static void refuses_ack_ranges_below_zero(void **state)
{
	static const struct {
		uint64_t highest;
		uint16_t first, gap, run;
		int want;
	} t[] = {{5, 5, 0, 0, -EBADMSG}, {5, 3, 0, 0, 0}, {5, 3, 0, 1, -EBADMSG},
		{5, 3, 1, 0, -EBADMSG}, {5, 4, 0, 0, -EBADMSG}, {5, 6, 0, 0, -EBADMSG},
		{131071 + 5, 5, 65535, 65535, -EBADMSG}, {131072 + 5, 5, 65535, 65535, 0}};
	uint8_t b[64];
	struct rail_frame f;

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct bytes_w w = bytes_w(b, sizeof(b));

		bytes_w_u8(&w, RAIL_ACK);
		bytes_w_u64(&w, t[i].highest);
		bytes_w_zero(&w, 6);
		bytes_w_u16(&w, t[i].first);
		bytes_w_u8(&w, 1);
		bytes_w_u16(&w, t[i].gap);
		bytes_w_u16(&w, t[i].run);
		assert_int_equal(first_frame(b, bytes_w_len(&w), &f), t[i].want);
	}
}

static void refuses_more_than_64_pairs(void **state)
{
	uint8_t b[RAIL_ACK_HDR_LEN + 65 * RAIL_ACK_PAIR_LEN] = {RAIL_ACK, 0, 0, 0, 1};
	struct rail_frame f;

	b[RAIL_ACK_HDR_LEN - 1] = 64;
	assert_int_equal(first_frame(b, RAIL_ACK_HDR_LEN + 64 * 4, &f), 0);
	b[RAIL_ACK_HDR_LEN - 1] = 65;
	assert_int_equal(first_frame(b, sizeof(b), &f), -EBADMSG);
}

static void builds_acks_that_decode_to_the_same(void **state)
{
	static const struct rail_range in[] = {
		{1000000, 999990}, {999988, 999988}, {999900, 999000}, {10, 0}};
	uint8_t b[64];
	struct bytes_w w = bytes_w(b, sizeof(b));
	struct rail_ack_iter it = {0};
	struct rail_range got;
	struct rail_frame f;

	// The last one is too far away to be named.
	assert_int_equal(rail_ack_build(&w, 77, 8, in, 4), 3);
	assert_int_equal(first_frame(b, bytes_w_len(&w), &f), 0);
	assert_int_equal(f.ack.next_seq, 77);
	assert_int_equal(f.ack.delay, 8);
	for (size_t i = 0; i < 3; i++) {
		assert_true(rail_ack_next(&f.ack, &it, &got));
		assert_int_equal(got.hi, in[i].hi);
		assert_int_equal(got.lo, in[i].lo);
	}
	assert_false(rail_ack_next(&f.ack, &it, &got));
}

static void ack_build_stops_at_room_and_64_pairs(void **state)
{
	uint8_t b[RAIL_ACK_HDR_LEN + 64 * RAIL_ACK_PAIR_LEN + 50];
	struct rail_range in[100];
	struct bytes_w w;

	for (unsigned i = 0; i < 100; i++)
		in[i] = (struct rail_range){.hi = 1000 - 2 * i, .lo = 1000 - 2 * i};
	w = bytes_w(b, sizeof(b));
	assert_int_equal(rail_ack_build(&w, 0, 0, in, 100), 65);
	w = bytes_w(b, RAIL_ACK_HDR_LEN + 7);
	assert_int_equal(rail_ack_build(&w, 0, 0, in, 100), 2);
	assert_int_equal(bytes_w_done(&w), RAIL_ACK_HDR_LEN + 4);
	w = bytes_w(b, RAIL_ACK_HDR_LEN - 1);
	assert_int_equal(rail_ack_build(&w, 0, 0, in, 1), -ENOSPC);
}

static void ack_build_cuts_long_runs_and_refuses_disorder(void **state)
{
	static const struct rail_range longer[] = {{200000, 100000}, {99990, 99990}};
	static const struct rail_range touching[] = {{10, 5}, {4, 4}};
	static const struct rail_range upside[] = {{5, 10}};
	uint8_t b[64];
	struct bytes_w w = bytes_w(b, sizeof(b));
	struct rail_ack_iter it = {0};
	struct rail_range got;
	struct rail_frame f;

	assert_int_equal(rail_ack_build(&w, 0, 0, longer, 2), 1);
	assert_int_equal(first_frame(b, bytes_w_len(&w), &f), 0);
	assert_true(rail_ack_next(&f.ack, &it, &got));
	assert_int_equal(got.lo, 200000 - 65535);
	assert_int_equal(rail_ack_build(&w, 0, 0, touching, 2), -EINVAL);
	assert_int_equal(rail_ack_build(&w, 0, 0, upside, 1), -EINVAL);
	assert_int_equal(rail_ack_build(&w, 0, 0, upside, 0), -EINVAL);
}

static void sees_a_lone_route_frame(void **state)
{
	uint8_t b[32] = {RAIL_ROUTE};

	memcpy(b + 1, packet, sizeof(packet));
	for (size_t n = 0; n < sizeof(b); n++)
		assert_int_equal(rail_frame_is_route_only(b, n), n == 1 + sizeof(packet));
	b[0] = RAIL_SEQ;
	assert_false(rail_frame_is_route_only(b, 13));
}

static void says_what_elicits_acks(void **state)
{
	for (uint8_t t = 0; t <= RAIL_GONE; t++) {
		bool silent =
			t == RAIL_PADDING || t == RAIL_ACK || t == RAIL_CLOSE || t == RAIL_NOTICE;

		assert_int_equal(rail_frame_is_eliciting(t, true), !silent);
		assert_int_equal(rail_frame_is_eliciting(t, false), t == RAIL_PROBE);
		assert_string_not_equal(rail_frame_name(t), "unknown");
	}
	assert_string_equal(rail_frame_name(13), "unknown");
	for (uint32_t code = 0; code <= RAIL_CLOSE_PATH; code++)
		assert_string_not_equal(rail_close_name(code), "unknown");
	assert_string_equal(rail_close_name(RAIL_CLOSE_PATH + 1), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes_seq_as_specified),
		cmocka_unit_test(round_trips_each_frame),
		cmocka_unit_test(refuses_each_truncation),
		cmocka_unit_test(walks_a_datagram),
		cmocka_unit_test(tells_unknown_types_below_64),
		cmocka_unit_test(refuses_bad_parts),
		cmocka_unit_test(refuses_to_encode_what_next_would_refuse),
		cmocka_unit_test(walks_ack_ranges),
		cmocka_unit_test(refuses_ack_ranges_below_zero),
		cmocka_unit_test(refuses_more_than_64_pairs),
		cmocka_unit_test(builds_acks_that_decode_to_the_same),
		cmocka_unit_test(ack_build_stops_at_room_and_64_pairs),
		cmocka_unit_test(ack_build_cuts_long_runs_and_refuses_disorder),
		cmocka_unit_test(sees_a_lone_route_frame),
		cmocka_unit_test(says_what_elicits_acks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
