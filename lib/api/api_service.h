// The part of the API that is about services of Skywire: records of its lists (api_rec.h).
#pragma once

#include "lib/api/api_dmsg.h"

enum { API_SERVICE_TRANSPORTS, API_SERVICE_ADDRESSES, API_SERVICE_ROUTES };

struct api_service {
	char name[API_DMSG_URL_LEN]; // its URL
	uint8_t kind; // API_SERVICE_*
	uint8_t pad;
	uint16_t status; // of the last answer; 0: there was none
	uint32_t waiting; // requests, now
	uint64_t age_ms; // of the last answer
	uint64_t asked, refused, failed; // requests so far
	uint64_t nonce; // the next one; all ones: not known, or the service has none
	// of the transport discovery, else all ones
	uint64_t up, registered; // transports, now: ours, and those of them that are known there
	uint64_t mended; // that were removed by somebody, and put back
	uint64_t late; // settlements that did not wait for their post
	uint64_t full; // transports for which there was no place
	char error[API_DMSG_TEXT_LEN]; // of the last request
	char note[API_DMSG_TEXT_LEN]; // the same, for people
};
static_assert(sizeof(struct api_service) == 856, "api_service");

// API_PATHS.
struct api_paths_ask {
	uint8_t src[API_PK_LEN], dst[API_PK_LEN]; // null src: this node
	uint16_t min_hops, max_hops;
	uint8_t pad[2];
};
static_assert(sizeof(struct api_paths_ask) == 72, "api_paths_ask");

// A hop of a path; they come in order.
struct api_path_hop {
	uint8_t way; // 0: there, 1: back
	uint8_t path, hop; // numbers, from 1
	uint8_t from[API_PK_LEN], to[API_PK_LEN];
	uint8_t pad[3];
	uint8_t tp[16]; // UUID of the transport
};
static_assert(sizeof(struct api_path_hop) == 88, "api_path_hop");

// API_TP_SETUP: transport set-up at another node. ADD: its new transport; REMOVE: nothing; LIST:
// those that it made for transport set-up nodes. API_TP_SETUP_MAX_MS: transports may take a while.
enum { API_TP_SETUP_ADD, API_TP_SETUP_REMOVE, API_TP_SETUP_LIST };
enum { API_TP_SETUP_TYPE_LEN = 16, API_TP_SETUP_MAX_MS = 300000 };
struct api_tp_setup_ask {
	uint8_t on[API_PK_LEN]; // who is asked
	uint8_t what; // API_TP_SETUP_*
	uint8_t peer[API_PK_LEN]; // ADD: the other end, as the next one
	uint8_t pad;
	char type[API_TP_SETUP_TYPE_LEN]; // in words of that node
	uint8_t id[16]; // REMOVE
	uint32_t timeout_ms;
};
static_assert(sizeof(struct api_tp_setup_ask) == 104, "api_tp_setup_ask");

struct api_tp_setup {
	uint8_t local[API_PK_LEN], remote[API_PK_LEN];
	char type[API_TP_SETUP_TYPE_LEN];
	uint8_t pad[6];
	uint8_t tp_id[16];
};
static_assert(sizeof(struct api_tp_setup) == 104, "api_tp_setup");
