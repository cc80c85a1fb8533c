// Frames of yamux, version 0: the header, which is all there is but for the payload of DATA.
//
//    0         1        2                 4                     8                   12
//    +---------+--------+--------+--------+--------- ... -------+--------- ... -------+
//    | version |  type  |      flags      |      stream id      |       length        |
//    +---------+--------+--------+--------+--------- ... -------+--------- ... -------+
//
// All integers are big-endian. What length means depends on the type. Pure functions, any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { YAMUX_HDR_LEN = 12, YAMUX_WINDOW_INITIAL = 262144 };

enum yamux_type {
	YAMUX_DATA = 0, // length bytes of payload follow
	YAMUX_WINDOW = 1, // credit: length bytes more than before
	YAMUX_PING = 2, // length is a value to be echoed; stream id 0
	YAMUX_GO_AWAY = 3, // length is an enum yamux_code; stream id 0
};

enum yamux_flag { YAMUX_SYN = 1, YAMUX_ACK = 2, YAMUX_FIN = 4, YAMUX_RST = 8 };

enum yamux_code { YAMUX_NORMAL = 0, YAMUX_PROTOCOL_ERROR = 1, YAMUX_INTERNAL_ERROR = 2 };

struct yamux_frame {
	uint8_t type; // enum yamux_type
	uint16_t flags; // of enum yamux_flag; others are ignored
	uint32_t id;
	uint32_t len; // by type
};

// The header at p: YAMUX_HDR_LEN; -EAGAIN if it is not there whole; -EBADMSG for another version or
// an unknown type.
int yamux_frame_decode(const void *p, size_t len, struct yamux_frame *out);

// Writes the header: YAMUX_HDR_LEN or -ENOSPC.
ptrdiff_t yamux_frame_encode(void *p, size_t room, const struct yamux_frame *f);
