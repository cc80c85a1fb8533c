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
