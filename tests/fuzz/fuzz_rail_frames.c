// Frames of an opened datagram: each one encodes to the bytes it was read from, and the ranges of
// an ACK are in order and never below 0.
#include <string.h>

#include "lib/base/err.h"
#include "lib/wire/rail_frame.h"
#include "tests/fuzz/fuzz.h"

static void check_ack(const struct rail_ack *ack)
{
	struct rail_range ranges[RAIL_ACK_PAIRS_MAX + 1];
	uint8_t buf[RAIL_ACK_HDR_LEN + RAIL_ACK_PAIRS_MAX * RAIL_ACK_PAIR_LEN];
	struct bytes_w w = bytes_w(buf, sizeof(buf));
	struct rail_ack_iter it = {0};
	unsigned n = 0;

	while (n < ARRAY_LEN(ranges) && rail_ack_next(ack, &it, &ranges[n])) {
		fuzz_check(ranges[n].lo <= ranges[n].hi);
		fuzz_check(n == 0 || ranges[n].hi < ranges[n - 1].lo - 1);
		n++;
	}
	fuzz_check(n == ack->n + 1u);
	fuzz_check(rail_ack_build(&w, ack->next_seq, ack->delay, ranges, n) == (int)n);
	fuzz_check(memcmp(buf + RAIL_ACK_HDR_LEN, ack->pairs, ack->n * RAIL_ACK_PAIR_LEN) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t buf[RAIL_PART_HDR_LEN + ROUTE_PACKET_MAX];
	struct bytes_r r = bytes_r(data, size);
	struct rail_frame f;
	int rc;

	while ((rc = rail_frame_next(&r, &f)) == 0) {
		struct bytes_w w = bytes_w(buf, sizeof(buf));

		fuzz_check(rail_frame_encode(&w, &f) == 0);
		fuzz_check(memcmp(buf, r.p - bytes_w_len(&w), bytes_w_len(&w)) == 0);
		if (f.type == RAIL_ACK)
			check_ack(&f.ack);
		if (rail_frame_is_route_only(data, size))
			fuzz_check(f.type == RAIL_ROUTE && f.data == data + 1 && f.len == size - 1);
	}
	fuzz_check(rc == -EAGAIN || rc == -EBADMSG || rc == -EPROTO);
	return 0;
}
