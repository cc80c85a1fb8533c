// The part of the API that is about routes of Skywire: records of its lists (api_rec.h).
#pragma once

#include "lib/api/api.h"

enum { API_SETUP_ERROR_LEN = 256 };

enum api_setup_state { // of a route that our set-up node lays
	API_SETUP_RESERVES,
	API_SETUP_INSTALLS,
	API_SETUP_ENDS, // the responder is given its rules
	API_SETUP_DONE,
	API_SETUP_UNDOES,
	API_SETUP_FAILED,
};

struct api_setup {
	uint8_t src[API_PK_LEN]; // initiator
	uint8_t dst[API_PK_LEN]; // responder
	uint16_t src_port, dst_port;
	uint8_t state; // enum api_setup_state
	uint8_t hops, reverse_hops;
	uint8_t pad[7];
	uint64_t age_ms; // since it was asked for
	uint64_t took_us; // until the answer, or until now
	char error[API_SETUP_ERROR_LEN];
};
static_assert(sizeof(struct api_setup) == 352, "api_setup");

enum api_route_state { // of an id that a set-up node holds here
	API_ROUTE_RESERVED,
	API_ROUTE_INSTALLS, // its rule is on its way
	API_ROUTE_LAID,
};

struct api_route {
	uint32_t id;
	uint32_t next_id; // this and what follows is of a rule; 0 and "": there is none
	uint8_t state; // enum api_route_state
	uint8_t type; // enum api_rule_type and 1; 0: none
	uint8_t setup_node[API_PK_LEN];
	uint8_t pad;
	uint32_t keep_alive_ms;
	char transport[API_NAME_LEN];
	char in_transport[API_NAME_LEN]; // "": not pinned yet, or packets of this node
	uint64_t age_ms; // in this state
	uint64_t expires_ms; // of a reserved id too
	uint64_t packets, bytes;
};
static_assert(sizeof(struct api_route) == 144, "api_route");
