// What the two handshake messages of rail say, inside Noise (rail 2): TLVs of type 1, length 2 and
// value, in any order. Unknown types are ignored; a doubled, missing or misplaced one is -EBADMSG.
// Pure functions, any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/wire/rail.h"

enum rail_payload_kind {
	RAIL_PAYLOAD_INIT, // all but refusal
	RAIL_PAYLOAD_RESPONSE, // no time; or a refusal and nothing else
	RAIL_PAYLOAD_REKEY_INIT, // inside the link: no time, no signature
	RAIL_PAYLOAD_REKEY_RESPONSE, // ditto
};

enum rail_tlv {
	RAIL_TLV_TIME = 1,
	RAIL_TLV_INSTANCE = 2,
	RAIL_TLV_MODE = 3,
	RAIL_TLV_CIPHERS = 4,
	RAIL_TLV_INDICES = 5,
	RAIL_TLV_PORTS = 6,
	RAIL_TLV_PAYLOAD_MAX = 7,
	RAIL_TLV_SIGNATURE = 8,
	RAIL_TLV_REFUSAL = 9,
	RAIL_TLV_WINDOW = 10,
};

enum rail_mode { RAIL_MODE_DATAGRAM = 0, RAIL_MODE_RELIABLE = 1 };

// Bits of TLV 4.
enum {
	RAIL_CIPHER_CHACHA20_POLY1305 = 1,
	RAIL_CIPHER_AES_256_GCM = 2,
	RAIL_CIPHER_NONE = 4,
	RAIL_CIPHER_KNOWN = 7,
};

enum rail_refusal {
	RAIL_REFUSAL_NOT_ALLOWED = 1,
	RAIL_REFUSAL_TOO_MANY = 2,
	RAIL_REFUSAL_MODE = 3,
	RAIL_REFUSAL_VERSION = 4,
	RAIL_REFUSAL_CIPHER = 5,
};

enum {
	RAIL_WINDOW_LOG2_MIN = 10,
	RAIL_WINDOW_LOG2_MAX = 23,
	RAIL_WINDOW_LOG2_DEFAULT = 18,
	RAIL_REFUSAL_TEXT_MAX = 255,
	// 32 flows and everything that can be there at once (a refusal stands alone and is
	// shorter).
	RAIL_PAYLOAD_LEN_MAX = 9 * 3 + 12 + 8 + 1 + 1 + 4 * 32 + 2 * 31 + 2 + 65 + 1,
};

struct rail_hs_payload {
	uint32_t has; // RAIL_HAS(tlv) of each TLV that is there
	uint8_t time[RAIL_TIME_LEN];
	uint64_t instance;
	uint8_t mode; // enum rail_mode
	uint8_t ciphers; // init: offered, unknown bits kept; response: exactly one known bit
	uint8_t n_flows; // 1..RAIL_FLOWS_MAX
	uint32_t index[RAIL_FLOWS_MAX]; // own receiver indices
	uint16_t port[RAIL_FLOWS_MAX - 1]; // own UDP ports of flows 2..n
	uint16_t payload_max; // greatest UDP payload it can take
	uint8_t sig[RAIL_SIG_LEN];
	uint8_t window_log2;
	uint8_t refusal; // enum rail_refusal, or a code that we don't know
	uint8_t refusal_text_len;
	const uint8_t *refusal_text; // borrowed, any bytes
};
#define RAIL_HAS(tlv) (1u << (tlv))

// 0 or -EBADMSG; on failure *out is not to be read.
int rail_payload_decode(
	const void *p, size_t len, enum rail_payload_kind kind, struct rail_hs_payload *out);

// Writes the TLVs that the kind asks for (a response with RAIL_HAS(RAIL_TLV_REFUSAL) set is a
// refusal); `has` is otherwise not looked at. Length, -ENOSPC, or -EINVAL for what decode refuses.
int rail_payload_encode(
	void *p, size_t room, enum rail_payload_kind kind, const struct rail_hs_payload *in);

const char *rail_refusal_name(uint8_t code);
