// Route packets of Skywire (skywire-routing 1): a 7-byte header, then the payload.
//
//    0      1             5         7
//    +------+-------------+---------+-----------
//    | type | route id    | length  | payload ...
//    +------+-------------+---------+-----------
//
// All integers are big-endian. The inline accessors are for packets of which 7 bytes are known to
// be there (packet path); decode is for streams. Pure functions, any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/bytes.h"

enum {
	ROUTE_HDR_LEN = 7,
	ROUTE_PAYLOAD_MAX = 65535,
	ROUTE_PACKET_MAX = ROUTE_HDR_LEN + ROUTE_PAYLOAD_MAX,
	ROUTE_CLOSE_LEN = 1,
	ROUTE_PING_LEN = 16,
	ROUTE_PONG_LEN = 16,
	ROUTE_TP_PING_LEN = 8,
};

enum route_type {
	ROUTE_DATA = 0,
	ROUTE_CLOSE = 1,
	ROUTE_KEEP_ALIVE = 2,
	ROUTE_HANDSHAKE = 3,
	ROUTE_PING = 4,
	ROUTE_PONG = 5,
	ROUTE_ERROR = 6,
	ROUTE_SACK = 7,
	ROUTE_TP_PING = 8, // 8..16, 18, 19: route id 0
	ROUTE_TP_PONG = 9,
	ROUTE_CASCADE_SETUP = 10,
	ROUTE_CASCADE_ACK = 11,
	ROUTE_DHT = 12,
	ROUTE_SETUP_RPC = 13,
	ROUTE_VISOR_RPC = 14,
	ROUTE_SKYNET_FORWARD = 15,
	ROUTE_APP_DIRECT = 16,
	ROUTE_DATAGRAM = 17,
	ROUTE_TP_BW_PROBE = 18,
	ROUTE_TP_BW_ACK = 19,
	ROUTE_REPAIR = 20,
	ROUTE_LEG_STATE = 21,
	ROUTE_DIRECTION = 22,
	ROUTE_LEG_REHOME = 23,
	ROUTE_TYPE_COUNT,
};

enum route_close_code { ROUTE_CLOSE_REQUESTED = 0, ROUTE_CLOSE_LEG = 1 };

struct route_hdr {
	uint8_t type; // enum route_type, or one that we don't know
	uint32_t id;
	uint16_t len; // of the payload
	const uint8_t *payload; // borrowed
};

struct route_ping {
	int64_t time_ms; // unix time
	int64_t throughput_Bps; // bytes per second
};

static inline uint8_t route_hdr_type(const uint8_t *p)
{
	return p[0];
}

static inline uint32_t route_hdr_id(const uint8_t *p)
{
	return be32_get(p + 1);
}

static inline uint16_t route_hdr_len(const uint8_t *p)
{
	return be16_get(p + 5);
}

// Header and payload.
static inline uint32_t route_hdr_packet_len(const uint8_t *p)
{
	return ROUTE_HDR_LEN + (uint32_t)route_hdr_len(p);
}

static inline void route_hdr_put_id(uint8_t *p, uint32_t id)
{
	be32_put(p + 1, id);
}

static inline void route_hdr_put(uint8_t *p, uint8_t type, uint32_t id, uint16_t len)
{
	p[0] = type;
	be32_put(p + 1, id);
	be16_put(p + 5, len);
}

// True if these len bytes are exactly one route packet.
static inline bool route_hdr_is_whole(const uint8_t *p, size_t len)
{
	return len >= ROUTE_HDR_LEN && route_hdr_packet_len(p) == len;
}

// The next packet of a stream. Returns the bytes it took, or -EAGAIN if it is not there whole.
// Never -EBADMSG: any 7 bytes are a header, and unknown types are passed on.
int route_hdr_decode(const void *p, size_t len, struct route_hdr *out);

// "data", "close", ...; "unknown" for types from ROUTE_TYPE_COUNT on.
const char *route_hdr_type_name(uint8_t type);

// Bodies. Decoders take a payload: -EBADMSG if it is too short, more than needed is not looked at.
// Encoders write a whole packet and return its length, or -ENOSPC.
int route_close_decode(const void *p, size_t len, uint8_t *code); // unknown codes read as 0
ptrdiff_t route_close_encode(void *p, size_t room, uint32_t id, uint8_t code);
int route_ping_decode(const void *p, size_t len, struct route_ping *out);
ptrdiff_t route_ping_encode(void *p, size_t room, uint32_t id, const struct route_ping *ping);
// Echoes the time of a ping; the other 8 bytes are zero.
int route_pong_decode(const void *p, size_t len, int64_t *time_ms);
ptrdiff_t route_pong_encode(void *p, size_t room, uint32_t id, int64_t time_ms);
ptrdiff_t route_keep_alive_encode(void *p, size_t room, uint32_t id);
// TransportPing carries our unix time in ns, TransportPong echoes the 8 bytes, whatever they are.
int route_tp_ping_decode(const void *p, size_t len, int64_t *time_ns);
ptrdiff_t route_tp_ping_encode(void *p, size_t room, enum route_type type, int64_t time_ns);
