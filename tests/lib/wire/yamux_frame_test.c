// Headers of yamux, against those that the Go package wrote.
#include "lib/wire/yamux_frame.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "tests/support/vectors.h"

static void check_frame(const json_t *v)
{
	struct yamux_frame f;
	uint8_t wire[YAMUX_HDR_LEN], back[YAMUX_HDR_LEN];

	vectors_hex(v, "header_hex", wire, sizeof(wire));
	assert_int_equal(yamux_frame_decode(wire, sizeof(wire), &f), YAMUX_HDR_LEN);
	assert_int_equal(f.type, vectors_u32(v, "type"));
	assert_int_equal(f.flags, vectors_u32(v, "flags"));
	assert_int_equal(f.id, vectors_u32(v, "stream_id"));
	assert_int_equal(f.len, vectors_u32(v, "length"));
	assert_int_equal(yamux_frame_encode(back, sizeof(back), &f), YAMUX_HDR_LEN);
	assert_memory_equal(back, wire, sizeof(wire));
}

static void reads_and_writes_captured_headers(void **state)
{
	json_t *root = vectors_load("yamux.json");

	assert_int_equal(vectors_each(root, "header_hex", check_frame), 48);
	json_decref(root);
}

static void asks_for_more_at_each_truncation(void **state)
{
	static const uint8_t ping[YAMUX_HDR_LEN] = {0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7};
	struct yamux_frame f;

	for (size_t n = 0; n < sizeof(ping); n++)
		assert_int_equal(yamux_frame_decode(ping, n, &f), -EAGAIN);
}

static void refuses_other_versions_and_types(void **state)
{
	uint8_t hdr[YAMUX_HDR_LEN] = {0};
	struct yamux_frame f;

	for (unsigned i = 1; i < 256; i++) {
		hdr[0] = (uint8_t)i;
		assert_int_equal(yamux_frame_decode(hdr, sizeof(hdr), &f), -EBADMSG);
	}
	hdr[0] = 0;
	for (unsigned i = 0; i < 256; i++) {
		hdr[1] = (uint8_t)i;
		assert_int_equal(yamux_frame_decode(hdr, sizeof(hdr), &f),
			i <= YAMUX_GO_AWAY ? YAMUX_HDR_LEN : -EBADMSG);
	}
}

static void takes_only_the_header_of_what_is_there(void **state)
{
	static const uint8_t data[] = {0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 'h', 'i'};
	struct yamux_frame f;

	assert_int_equal(yamux_frame_decode(data, sizeof(data), &f), YAMUX_HDR_LEN);
	assert_int_equal(f.len, 2);
}

static void encoder_refuses_short_room(void **state)
{
	const struct yamux_frame f = {.type = YAMUX_PING, .flags = YAMUX_ACK};
	uint8_t b[YAMUX_HDR_LEN];

	for (size_t n = 0; n < sizeof(b); n++)
		assert_int_equal(yamux_frame_encode(b, n, &f), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes_captured_headers),
		cmocka_unit_test(asks_for_more_at_each_truncation),
		cmocka_unit_test(refuses_other_versions_and_types),
		cmocka_unit_test(takes_only_the_header_of_what_is_there),
		cmocka_unit_test(encoder_refuses_short_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
