// Frames inside a sealed rail datagram (rail 3): a type byte, then
//
//   0 PADDING  -                                        7 PROBE   -
//   1 ROUTE    route packet                             8 REKEY   length 2, message
//   2 SEQ      seq 4, distance 3, route packet          9 CLOSE   code 1, length 1, text
//   3 PART     seq 4, distance 3, total 3, offset 3,   10 EMPTY   seq 4, id 4, reason 1
//              length 2, bytes                         11 NOTICE  code 1, length 1, text
//   4 ACK      highest 8, next seq 4, delay 2, first 2, n 1, n x (gap 2, run 2)
//   5 PAUSE    seq 4, distance 3, route id 4, limit 2  12 GONE    seq 4, distance 3, id 4, reason 1
//   6 RESUME   seq 4, distance 3, route id 4         64.. unknown length 2, bytes: skipped
//
// Pure functions over borrowed bytes, any thread.
#pragma once

#include "lib/wire/rail.h"
#include "lib/wire/route_hdr.h"

enum rail_frame_type {
	RAIL_PADDING = 0,
	RAIL_ROUTE = 1,
	RAIL_SEQ = 2,
	RAIL_PART = 3,
	RAIL_ACK = 4,
	RAIL_PAUSE = 5,
	RAIL_RESUME = 6,
	RAIL_PROBE = 7,
	RAIL_REKEY = 8,
	RAIL_CLOSE = 9,
	RAIL_EMPTY = 10,
	RAIL_NOTICE = 11,
	RAIL_GONE = 12,
	RAIL_FRAME_SKIPPABLE = 64, // from here on a 2-byte length follows
};

enum {
	RAIL_SEQ_HDR_LEN = 8,
	RAIL_PART_HDR_LEN = 16,
	RAIL_ACK_HDR_LEN = 18,
	RAIL_ACK_PAIR_LEN = 4,
	RAIL_ACK_PAIRS_MAX = 64,
	RAIL_DISTANCE_MAX = 0xffffff,
	RAIL_TEXT_MAX = 255,
	RAIL_ACK_DELAY_UNIT_US = 8,
};

// Codes of CLOSE and NOTICE, reasons of GONE and EMPTY.
enum rail_close_code {
	RAIL_CLOSE_REQUESTED = 0, // the operator's wish
	RAIL_CLOSE_PROTOCOL = 1,
	RAIL_CLOSE_VERSION = 2,
	RAIL_CLOSE_REKEY = 3, // a re-key that is not this link's
	RAIL_CLOSE_POLICY = 4, // the key is no longer allowed
	RAIL_CLOSE_PATH = 5, // it carries less than 1280 bytes of IP
};
enum rail_notice_code { RAIL_NOTICE_LIMIT = 1, RAIL_NOTICE_POLICY = 2 };
enum rail_gone_reason {
	RAIL_GONE_HELD = 1,
	RAIL_GONE_STALLED = 2,
	RAIL_GONE_RESET = 3,
	RAIL_GONE_HOP_DOWN = 4,
	RAIL_GONE_RULE = 5,
	RAIL_GONE_UNKNOWN_ID = 6,
};

// Counters hi, hi-1, ... lo.
struct rail_range {
	uint64_t hi;
	uint64_t lo;
};

struct rail_ack {
	uint64_t highest; // counter
	uint32_t next_seq;
	uint16_t delay; // in 8 us
	uint16_t first; // highest - first ... highest were received
	uint8_t n; // pairs
	const uint8_t *pairs; // checked: no range goes below 0
};

struct rail_frame {
	uint8_t type; // enum rail_frame_type; says which of the rest is set
	uint8_t code; // CLOSE, NOTICE, and the reason of GONE and EMPTY
	uint16_t limit_s; // PAUSE
	uint32_t seq; // SEQ, PART, PAUSE, RESUME, EMPTY, GONE
	uint32_t distance; // SEQ, PART, PAUSE, RESUME, GONE
	uint32_t route_id; // PAUSE, RESUME, EMPTY, GONE
	uint32_t total; // PART: 1..ROUTE_PACKET_MAX
	uint32_t offset; // PART: offset + len <= total
	uint32_t len; // of data
	const uint8_t *data; // ROUTE, SEQ: packet; PART: bytes; REKEY: message; CLOSE, NOTICE: text
	struct rail_ack ack; // ACK
};

// The next frame of an opened datagram. Padding and frames from 64 on are passed over.
// 0; -EAGAIN: no more; -EBADMSG: malformed (answer CLOSE protocol); -EPROTO: a type below 64 that
// this version does not know (answer CLOSE version). After an error r is not to be used again.
int rail_frame_next(struct bytes_r *r, struct rail_frame *out);

// Writes any frame but PADDING: 0, -ENOSPC (w is bad then), or -EINVAL for what next would refuse.
// An ACK is written with the pairs as they are; rail_ack_build makes them.
int rail_frame_encode(struct bytes_w *w, const struct rail_frame *f);

// An ACK frame from ranges of received counters, newest first, at least one counter missing between
// two of them; n >= 1. Takes as many as the format and the room allow: older ones were acked by
// earlier frames. Returns the number of ranges taken (the last one perhaps cut at its old end),
// -ENOSPC when not even the first fits (w is bad then), -EINVAL when they are not in order.
int rail_ack_build(struct bytes_w *w, uint32_t next_seq, uint16_t delay,
	const struct rail_range *ranges, unsigned n);

// The ranges of a decoded ACK, newest first: start with *it = {0}. False at the end.
struct rail_ack_iter {
	unsigned i;
	uint64_t lo; // of the range before
};
bool rail_ack_next(const struct rail_ack *ack, struct rail_ack_iter *it, struct rail_range *out);

const char *rail_frame_name(uint8_t type);
const char *rail_close_name(uint32_t code); // "unknown" for what we don't know

// True if the opened bytes are one ROUTE frame and nothing else, the usual datagram; the packet is
// then p + 1.
static inline bool rail_frame_is_route_only(const uint8_t *p, size_t len)
{
	return len > ROUTE_HDR_LEN && p[0] == RAIL_ROUTE && route_hdr_is_whole(p + 1, len - 1);
}

// Whether a datagram that holds such a frame is to be acked. Reliable mode: all but four kinds;
// datagram mode: a PROBE only.
static inline bool rail_frame_is_eliciting(uint8_t type, bool reliable)
{
	if (!reliable)
		return type == RAIL_PROBE;
	return type != RAIL_ACK && type != RAIL_PADDING && type != RAIL_NOTICE &&
	       type != RAIL_CLOSE;
}
