// Frames of smux, against those that the Go package wrote.
#include "lib/wire/smux_frame.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "tests/support/vectors.h"

enum { UPD_WHOLE = SMUX_HDR_LEN + SMUX_UPD_LEN };

static void check_frame(const json_t *v)
{
	struct smux_frame f;
	uint8_t wire[UPD_WHOLE], back[UPD_WHOLE];
	uint8_t version = (uint8_t)vectors_u32(v, "version");
	size_t len = SMUX_HDR_LEN;

	vectors_hex(v, "header_hex", wire, SMUX_HDR_LEN);
	if (vectors_u32(v, "cmd") == SMUX_UPD) {
		vectors_hex(v, "payload_hex", wire + SMUX_HDR_LEN, SMUX_UPD_LEN);
		len = UPD_WHOLE;
	}
	assert_int_equal(smux_frame_decode(wire, len, version, &f), len);
	assert_int_equal(f.cmd, vectors_u32(v, "cmd"));
	assert_int_equal(f.id, vectors_u32(v, "stream_id"));
	assert_int_equal(f.len, vectors_u32(v, "length"));
	if (f.cmd == SMUX_UPD) {
		assert_int_equal(f.consumed, vectors_u32(v, "consumed"));
		assert_int_equal(f.window, vectors_u32(v, "window"));
	}
	assert_int_equal(smux_frame_encode(back, sizeof(back), &f), len);
	assert_memory_equal(back, wire, len);
}

static void reads_and_writes_captured_frames(void **state)
{
	json_t *root = vectors_load("smux.json");

	assert_int_equal(vectors_each(root, "header_hex", check_frame), 53);
	json_decref(root);
}

static void asks_for_more_at_each_truncation(void **state)
{
	static const uint8_t upd[UPD_WHOLE] = {2, 4, 8, 0, 3, 0, 0, 0, 5, 0, 0, 0, 0, 0, 1, 0};
	struct smux_frame f;

	for (size_t n = 0; n < sizeof(upd); n++)
		assert_int_equal(smux_frame_decode(upd, n, 2, &f), -EAGAIN);
	assert_int_equal(smux_frame_decode(upd, sizeof(upd), 2, &f), UPD_WHOLE);
	assert_int_equal(f.window, 65536);
}

static void refuses_what_no_peer_may_send(void **state)
{
	static const struct {
		const char *name;
		uint8_t version, wire[UPD_WHOLE];
	} t[] = {
		{"version 0", 1, {0, 0, 0, 0, 3}},
		{"version 2 where 1 was agreed", 1, {2, 0, 0, 0, 3}},
		{"version 1 where 2 was agreed", 2, {1, 0, 0, 0, 3}},
		{"unknown cmd", 2, {2, 5, 0, 0, 3}},
		{"UPD in version 1", 1, {1, 4, 8, 0, 3}},
		{"UPD of 4 bytes", 2, {2, 4, 4, 0, 3}},
		{"UPD of 16 bytes", 2, {2, 4, 16, 0, 3}},
		{"SYN with length", 1, {1, 0, 2, 0, 3}},
		{"FIN with length", 1, {1, 1, 1, 0, 3}},
		{"NOP with length", 2, {2, 3, 0, 1, 0}},
	};
	struct smux_frame f;

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		if (smux_frame_decode(t[i].wire, UPD_WHOLE, t[i].version, &f) != -EBADMSG)
			fail_msg("%s was taken", t[i].name);
}

static void round_trips_all_commands(void **state)
{
	uint8_t b[UPD_WHOLE];
	struct smux_frame f;

	for (uint8_t version = 1; version <= 2; version++)
		for (uint8_t cmd = SMUX_SYN; cmd <= (version == 1 ? SMUX_NOP : SMUX_UPD); cmd++) {
			struct smux_frame in = {.version = version, .cmd = cmd, .id = 0xfedcba98};
			ptrdiff_t n;

			if (cmd == SMUX_PSH)
				in.len = SMUX_DATA_MAX;
			if (cmd == SMUX_UPD) {
				in.len = SMUX_UPD_LEN;
				in.consumed = 0x80000001;
				in.window = 0x01020304;
			}
			n = smux_frame_encode(b, sizeof(b), &in);
			assert_int_equal(smux_frame_decode(b, (size_t)n, version, &f), n);
			assert_memory_equal(&in, &f, sizeof(f));
		}
}

static void encoder_refuses_short_room(void **state)
{
	const struct smux_frame f = {.version = 2, .cmd = SMUX_UPD, .id = 3};
	uint8_t b[UPD_WHOLE];

	for (size_t n = 0; n < sizeof(b); n++)
		assert_int_equal(smux_frame_encode(b, n, &f), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes_captured_frames),
		cmocka_unit_test(asks_for_more_at_each_truncation),
		cmocka_unit_test(refuses_what_no_peer_may_send),
		cmocka_unit_test(round_trips_all_commands),
		cmocka_unit_test(encoder_refuses_short_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
