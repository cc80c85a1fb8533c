// Messages between edges.
#include "lib/wire/edge_msg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void a_hello_is_eight_bytes(void **state)
{
	static const uint8_t want[EDGE_HELLO_LEN] = {1, 1, 0x0f, 0, 0xff, 0xff, 0, 0};
	struct edge_hello h = {.flags = EDGE_HELLO_ASK, .takes = 0x0f, .max = 65535}, got;
	uint8_t p[16] = {0};

	assert_int_equal(edge_hello_encode(p, sizeof(p), &h), EDGE_HELLO_LEN);
	assert_memory_equal(p, want, sizeof(want));
	assert_int_equal(
		edge_hello_decode(p, sizeof(p), &got), 0); // a longer one of a later version
	assert_int_equal(got.flags, h.flags);
	assert_int_equal(got.takes, h.takes);
	assert_int_equal(got.max, h.max);
	for (size_t len = 0; len < EDGE_HELLO_LEN; len++) {
		assert_int_equal(edge_hello_decode(p, len, &got), -EBADMSG);
		assert_int_equal(edge_hello_encode(p, len, &h), -ENOSPC);
	}
	p[0] = EDGE_MSG_SUPER;
	assert_int_equal(edge_hello_decode(p, EDGE_HELLO_LEN, &got), -EBADMSG);
}

static void a_super_packet_has_four_bytes_before_it(void **state)
{
	static const uint8_t want[EDGE_SUPER_HDR_LEN] = {2, 0, 0x05, 0x14};
	uint8_t p[8] = {0};

	edge_super_put(p, 1300);
	assert_memory_equal(p, want, sizeof(want));
	assert_int_equal(edge_super_decode(p, sizeof(p)), 1300);
	assert_int_equal(edge_super_decode(p, EDGE_SUPER_HDR_LEN), -EBADMSG); // nothing behind it
	p[1] = 1; // reserved
	assert_int_equal(edge_super_decode(p, sizeof(p)), -EBADMSG);
	p[1] = 0;
	p[0] = EDGE_MSG_HELLO;
	assert_int_equal(edge_super_decode(p, sizeof(p)), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hello_is_eight_bytes),
		cmocka_unit_test(a_super_packet_has_four_bytes_before_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
