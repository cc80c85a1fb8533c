// Routing rules as they travel in set-up messages (skywire-routing 2.1, 2.2): 83 bytes for consume,
// 120 for forward, 50 for intermediary, and the 70-byte route descriptor. Big-endian on the wire.
// Pure functions, any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/base/bytes.h"

enum {
	RULE_PK_LEN = 33,
	RULE_TP_ID_LEN = 16,
	RULE_TP_FIELD_LEN = 33, // on the wire: the 16 bytes of the id and 17 zeros
	RULE_DESC_LEN = 70,
	RULE_CONSUME_LEN = 83,
	RULE_FORWARD_LEN = 120,
	RULE_INTERMEDIARY_LEN = 50,
	RULE_LEN_MAX = RULE_FORWARD_LEN,
};

enum rule_kind { RULE_KIND_CONSUME = 0, RULE_KIND_FORWARD = 1, RULE_KIND_INTERMEDIARY = 2 };

struct rule_desc {
	uint8_t src_pk[RULE_PK_LEN];
	uint8_t dst_pk[RULE_PK_LEN];
	uint16_t src_port;
	uint16_t dst_port;
};

struct rule_wire {
	int64_t keep_alive_ns; // never negative
	uint8_t kind; // enum rule_kind
	uint32_t key_id; // never 0
	struct rule_desc desc; // consume, forward
	uint32_t next_id; // forward, intermediary; never 0
	uint8_t next_tp[RULE_TP_ID_LEN]; // ditto
};

// Returns the bytes that a rule of its kind has (longer input is accepted, as Skywire does),
// -EAGAIN if it is cut short, -EBADMSG for an unknown kind, an id 0 or a negative keep-alive.
int rule_decode(const void *p, size_t len, struct rule_wire *out);

// Bytes written, -ENOSPC, or -EINVAL for what decode would refuse.
int rule_encode(void *p, size_t room, const struct rule_wire *rule);

void rule_desc_read(struct bytes_r *r, struct rule_desc *out);
void rule_desc_write(struct bytes_w *w, const struct rule_desc *desc);

// Source and destination change places; out may be desc.
void rule_desc_invert(struct rule_desc *out, const struct rule_desc *desc);

bool rule_desc_equal(const struct rule_desc *a, const struct rule_desc *b);

// "consume", "forward", "intermediary" or "unknown".
const char *rule_kind_name(uint8_t kind);
