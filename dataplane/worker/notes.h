// What workers tell the main lcore: one SPSC rte_ring per worker (it belongs to the hop table), of
// fixed elements. Notes are copied in and out by value. Unit of every field: as in dpmsg.h; all in
// host order.
//
// NOTE_HOP_* become a struct evt_hop_note nearly as they are: type, hop, value, addr, initiator and
// text are its fields.
#pragma once

#include "lib/shm/dpmsg.h"

#include <assert.h>
#include <stdint.h>

enum dp_note_kind {
	NOTE_NONE = 0,
	NOTE_HOP_KEYED, // value: receiver index now in use
	NOTE_HOP_REKEY_DUE, // initiator: role under the present key
	NOTE_HOP_ROAMED, // addr: where the peer is now
	NOTE_HOP_DEAD,
	NOTE_HOP_CLOSED, // value: code; initiator 1: we closed; text
	NOTE_HOP_NOTICE, // value: code; text
	NOTE_HOP_RTT, // value: us; cookie: of the command that asked
	NOTE_HOP_RELEASED, // ptr: the owner has let go of this struct hop; main frees it
	NOTE_RULE_CLOSE, // id: a Close went through this rule; main deletes it
	NOTE_RULE_END, // id: the route ended here; value: enum rail_gone_reason; main deletes it
	NOTE_RULE_IDLE, // id: nothing of it is held; main deletes it if it has expired
	NOTE_ROUTE_PAUSE, // id: its packets, the control plane's own, or those that come by the
			  // carried hop, have to wait; value: limit in s
	NOTE_ROUTE_RESUME, // id: no longer
	NOTE_HOP_RESET, // value: enum rail_gone_reason; main closes the routes through it
	NOTE_RULE_MISS, // id: unknown route id; tp: transport it came by. Rate-limited
};

struct dp_note {
	uint16_t kind; // enum dp_note_kind
	uint8_t initiator;
	uint8_t text_len;
	uint32_t value;
	uint32_t hop; // handle, 0 = none
	uint32_t tp; // handle, 0 = none
	uint64_t cookie;
	struct dpmsg_addr addr;
	uint32_t id; // route id
	void *ptr;
	char text[DPMSG_TEXT_LEN];
	uint8_t pad[8];
};
static_assert(sizeof(struct dp_note) == 128, "dp_note is two cache lines");
