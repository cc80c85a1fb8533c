// rail: datagrams of the sealed UDP link between two nodes (rail 1). All integers big-endian.
//
//    init      01 00 00 00 | sender 4 | e 33 | static 33+16 | payload+16 | mac1 16 | mac2 16
//    response  02 00 00 00 | sender 4 | receiver 4 | e 33 | payload+16 | mac1 16 | mac2 16
//    cookie    03 00 00 00 | receiver 4 | nonce 24 | sealed cookie 16+16
//    data      04 00 00 00 | receiver 4 | counter 8 | AEAD(frames) | tag 16
//
// Layout only: no key is touched here. Frames are in rail_frame.h, what a handshake says in
// rail_payload.h. Pure functions, any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/bytes.h"

enum rail_type { RAIL_NONE = 0, RAIL_INIT = 1, RAIL_RESPONSE = 2, RAIL_COOKIE = 3, RAIL_DATA = 4 };

enum {
	RAIL_PK_LEN = 33,
	RAIL_TAG_LEN = 16,
	RAIL_MAC_LEN = 16,
	RAIL_MACS_LEN = 2 * RAIL_MAC_LEN, // what a re-key message inside the link goes without
	RAIL_COOKIE_VALUE_LEN = 16,
	RAIL_COOKIE_NONCE_LEN = 24,
	RAIL_COOKIE_LEN = 64, // of the whole datagram
	RAIL_INIT_HDR_LEN = 8,
	RAIL_RESPONSE_HDR_LEN = 12,
	// With an empty payload: the shortest that can be authentic.
	RAIL_INIT_MIN = RAIL_INIT_HDR_LEN + 33 + 49 + RAIL_TAG_LEN + RAIL_MACS_LEN,
	RAIL_RESPONSE_MIN = RAIL_RESPONSE_HDR_LEN + 33 + RAIL_TAG_LEN + RAIL_MACS_LEN,
	RAIL_HS_MAX = 1232, // longest handshake datagram: fits the smallest path
	RAIL_DATA_HDR_LEN = 16, // also the associated data
	RAIL_DATA_OVERHEAD = RAIL_DATA_HDR_LEN + RAIL_TAG_LEN,
	RAIL_PAYLOAD_FLOOR = 1232, // UDP payload that every path carries (1280 bytes of IPv6)
	RAIL_FLOWS_MAX = 32,
	RAIL_FLOW_INFO_LEN = 12,
	RAIL_TIME_LEN = 12, // TAI64N
	RAIL_SIG_LEN = 65,
};

// Limits of rail 1 to 3 that are counted in time or datagrams.
enum {
	RAIL_REKEY_S = 120, // initiator of the present keys
	RAIL_REKEY_RESPONDER_S = 150,
	RAIL_KEY_OLD_S = 10, // a replaced key is wiped after so long
	RAIL_COOKIE_S = 120, // a cookie is used, and its secret is the present one, for so long
	RAIL_KEEPALIVE_S = 10,
	RAIL_DEAD_S = 25,
	RAIL_CROSS_S = 2, // own init so young: the other's is ignored if our key is lower
	RAIL_RETRY_MAX_S = 60,
	RAIL_KEYS_MAX = 3, // of a flow that live at once
	RAIL_REPLAY_WINDOW = 8192,
};
#define RAIL_SOFT_DATAGRAMS_GCM (1ull << 28) // a re-key is asked for
#define RAIL_HARD_DATAGRAMS_GCM (1ull << 36)
#define RAIL_HARD_DATAGRAMS (1ull << 62)
#define RAIL_SOFT_BAD_TAGS (1ull << 35)

#define RAIL_PROLOGUE "rail1"
#define RAIL_LABEL_MAC1 "rail1 mac1"
#define RAIL_LABEL_COOKIE "rail1 cookie"
#define RAIL_LABEL_FLOW "rail1 flow"

// A handshake message taken apart; pointers lie in the datagram.
struct rail_hs {
	uint8_t type; // RAIL_INIT or RAIL_RESPONSE
	uint32_t sender; // index chosen by the sender of this message
	uint32_t receiver; // response only
	const uint8_t *noise; // the Noise message
	size_t noise_len;
	const uint8_t *mac1; // over all bytes before it; NULL inside the link
	const uint8_t *mac2; // over all bytes before it, mac1 included
};

struct rail_cookie {
	uint32_t receiver; // sender index of the init answered
	uint8_t nonce[RAIL_COOKIE_NONCE_LEN];
	uint8_t sealed[RAIL_COOKIE_VALUE_LEN + RAIL_TAG_LEN];
};

// Type of a datagram by its first bytes and length, RAIL_NONE for whatever can't be one of ours.
static inline enum rail_type rail_classify(const uint8_t *p, size_t len)
{
	if (len < RAIL_DATA_OVERHEAD || (p[1] | p[2] | p[3]) != 0)
		return RAIL_NONE;
	switch (p[0]) {
	case RAIL_DATA:
		return RAIL_DATA;
	case RAIL_INIT:
		return len >= RAIL_INIT_MIN && len <= RAIL_HS_MAX ? RAIL_INIT : RAIL_NONE;
	case RAIL_RESPONSE:
		return len >= RAIL_RESPONSE_MIN && len <= RAIL_HS_MAX ? RAIL_RESPONSE : RAIL_NONE;
	case RAIL_COOKIE:
		return len == RAIL_COOKIE_LEN ? RAIL_COOKIE : RAIL_NONE;
	default:
		return RAIL_NONE;
	}
}

// Data datagrams; RAIL_DATA_HDR_LEN bytes are there.
static inline uint32_t rail_data_receiver(const uint8_t *p)
{
	return be32_get(p + 4);
}

static inline uint64_t rail_data_counter(const uint8_t *p)
{
	return be64_get(p + 8);
}

static inline void rail_data_hdr_put(uint8_t *p, uint32_t receiver, uint64_t counter)
{
	be32_put(p, (uint32_t)RAIL_DATA << 24);
	be32_put(p + 4, receiver);
	be64_put(p + 8, counter);
}

// Offsets of the macs in an init or response of that length, whose class is checked.
static inline size_t rail_mac1_off(size_t len)
{
	return len - RAIL_MACS_LEN;
}

static inline size_t rail_mac2_off(size_t len)
{
	return len - RAIL_MAC_LEN;
}

// Flow 1..n on which a route travels, by the id as the receiver of the packet knows it.
static inline unsigned rail_flow_of(uint32_t id, unsigned n)
{
	return id == 0 || n <= 1 ? 1 : 1 + ((id * 2654435761u) >> 16) % n;
}

// The same for n of 1..RAIL_FLOWS_MAX without a division: `inv` is rail_flow_inv(n). Exact, since
// what is divided has 16 bits: 32 * 65535 < 2^21.
static inline uint32_t rail_flow_inv(unsigned n)
{
	return (1u << 21) / n + 1;
}

static inline unsigned rail_flow_fast(uint32_t id, unsigned n, uint32_t inv)
{
	uint32_t h = (id * 2654435761u) >> 16;

	return 1 + h - (uint32_t)(((uint64_t)h * inv) >> 21) * n;
}

// HKDF info of a flow's key: label, flow number, the byte of the response's TLV 4.
void rail_flow_info(uint8_t out[RAIL_FLOW_INFO_LEN], uint8_t flow, uint8_t cipher);

// Take an init or response apart. inside: a re-key message, without macs. 0 or -EBADMSG.
int rail_hs_decode(const void *p, size_t len, bool inside, struct rail_hs *out);

// The bytes before the Noise message. receiver is not written for an init.
void rail_hs_begin(struct bytes_w *w, enum rail_type type, uint32_t sender, uint32_t receiver);

int rail_cookie_decode(const void *p, size_t len, struct rail_cookie *out);
void rail_cookie_encode(uint8_t out[RAIL_COOKIE_LEN], const struct rail_cookie *cookie);

// Wall clock in ns since 1970 as TAI64N and back (label 2^62 + 10 s, as WireGuard counts; compare
// with memcmp). -EBADMSG: before 1970, past 2554, or 10^9 ns or more in the second.
void rail_time_put(uint8_t out[RAIL_TIME_LEN], uint64_t wall_ns);
int rail_time_get(const uint8_t in[RAIL_TIME_LEN], uint64_t *wall_ns);
