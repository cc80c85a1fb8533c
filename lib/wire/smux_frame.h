// Frames of smux, versions 1 and 2: a header, then the payload of PSH or the two numbers of UPD.
//
//    0         1        2                 4                     8                    12 16
//    +---------+--------+--------+--------+--------- ... -------+--------- ... -------+---------
//    ... -------+ | version |  cmd   |     length      |      stream id      |      consumed |
//    window        |
//    +---------+--------+--------+--------+--------- ... -------+--------- ... -------+---------
//    ... -------+
//                                                                \_____________ UPD only
//                                                                ______________/
//
// All integers are little-endian. Both ends know the version beforehand. Pure functions, any
// thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	SMUX_HDR_LEN = 8,
	SMUX_UPD_LEN = 8, // what follows the header
	SMUX_DATA_MAX = 65535, // of one PSH
	SMUX_WINDOW_INITIAL = 262144, // version 2, until the first UPD
};

enum smux_cmd {
	SMUX_SYN = 0,
	SMUX_FIN = 1,
	SMUX_PSH = 2, // len bytes of payload follow
	SMUX_NOP = 3, // stream id 0
	SMUX_UPD = 4, // version 2 only
};

struct smux_frame {
	uint8_t version; // 1 or 2
	uint8_t cmd; // enum smux_cmd
	uint16_t len; // PSH: of the payload; encode knows the others
	uint32_t id;
	uint32_t consumed; // UPD: bytes of the stream that were read since it began, modulo 2^32
	uint32_t window; // UPD: bytes that may be under way beyond those
};

// The frame at p, without the payload of a PSH. Returns the bytes it took; -EAGAIN if they are not
// there whole; -EBADMSG for another version, an unknown cmd or a length that the cmd can't have.
int smux_frame_decode(const void *p, size_t len, uint8_t version, struct smux_frame *out);

// Writes all but the payload of a PSH: the bytes written or -ENOSPC.
ptrdiff_t smux_frame_encode(void *p, size_t room, const struct smux_frame *f);
