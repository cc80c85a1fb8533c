// Inside dataplane/hop/ and its tests only: what the main lcore tells owners of hops.
#pragma once

#include "dataplane/hop/hop_priv.h"

enum hop_cmd_kind {
	HOP_CMD_ADD = 1,
	HOP_CMD_KEY,
	HOP_CMD_PATH,
	HOP_CMD_DEL,
	HOP_CMD_PING,
	HOP_CMD_STOP,
	HOP_CMD_HOLD
};

// One command to an owner. Keys are wiped in the slot by the owner.
struct hop_cmd {
	uint32_t kind;
	uint32_t handle;
	struct hop *hop; // ADD: moves to the owner
	struct hop_move *move; // STOP
	struct hop_key key; // ADD, KEY: without rx and tx
	uint8_t secret[2][AEAD_KEY_LEN]; // ditto: what the owner makes rx and tx of
	uint64_t cookie; // PING
	uint32_t adj; // PATH
	struct hop_addr peer; // PATH
	uint16_t payload_max; // PATH
	uint8_t roamed; // PATH
	uint8_t held; // HOLD
	uint16_t limit_s; // HOLD
	uint8_t send_close; // DEL
	uint8_t code;
	uint8_t text_len;
	char text[DPMSG_TEXT_LEN];
};
