// The part of the API that is about routes of Skywire: requests, and the records of its lists
// (api_rec.h). API_ROUTE_DIAL and API_ROUTE_LISTEN turn the connection into a stream
// (api_stream.h).
#pragma once

#include "lib/api/api_stream.h"

enum {
	API_ROUTE_VIA_MAX = 16,
	API_ROUTE_TYPE_LEN = 20, // of transports, with the final NUL
	API_ROUTE_TIMEOUT_MAX_MS = 120000,
	API_ROUTE_HOPS_MAX = 50, // in one direction
	API_TRACE_PINGS_MAX = 100,
};

struct api_route_ask {
	uint8_t pk[API_PK_LEN]; // dial: the destination
	uint8_t n_via;
	uint16_t port; // dial: there; listen: here
	uint32_t timeout_ms; // dial: 1..API_ROUTE_TIMEOUT_MAX_MS
	uint32_t keep_alive_ms; // of the rules, whole seconds; 0: as the node's configuration says
	uint8_t min_hops, max_hops; // without via; zeros: ditto
	uint8_t pad[2];
	char type[API_ROUTE_TYPE_LEN]; // of transports behind the first node of via; "" = rail
	uint8_t via[API_ROUTE_VIA_MAX][API_PK_LEN]; // nodes between, in order
};
static_assert(sizeof(struct api_route_ask) == 596, "api_route_ask");

struct api_route_trace {
	struct api_route_ask way; // port and keep_alive_ms count for nothing; timeout_ms: of all
	uint32_t pings; // over each hop: 1..100
};
static_assert(sizeof(struct api_route_trace) == 600, "api_route_trace");

struct api_trace_hop {
	uint32_t hop; // from 1
	uint8_t pk[API_PK_LEN];
	uint8_t pad[3];
	uint8_t tp[16]; // transport by which it is reached from the one before
	uint32_t sent, lost; // pings there and back
	uint32_t min_us, avg_us, max_us; // 0: none came back
	uint32_t pad2;
	uint64_t laid_us; // how long the set-up took; 0: there was none
	char note[448]; // why nothing more is known; it is the last record then
};
static_assert(sizeof(struct api_trace_hop) == 536, "api_trace_hop");

struct api_route_close { // a group, as API_GROUPS lists it
	uint8_t pk[API_PK_LEN]; // far end
	uint8_t pad;
	uint16_t remote_port, local_port;
};
static_assert(sizeof(struct api_route_close) == 38, "api_route_close");

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
	uint8_t kind; // 0 route, 1 loop: back to where it begins
	uint8_t pad[6];
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

enum api_group_state {
	API_GROUP_INSTALLS, // its rules are on their way
	API_GROUP_SHAKES,
	API_GROUP_OPEN,
	API_GROUP_CLOSING,
	API_GROUP_ENDED,
	API_GROUP_LISTENS, // none yet: somebody waits at our port
};

struct api_route_group { // a route that ends here
	uint8_t pk[API_PK_LEN]; // far end
	uint8_t role; // 0 initiator, 1 responder
	uint16_t remote_port, local_port;
	uint8_t state; // enum api_group_state
	uint8_t sealed; // as agreed
	uint8_t paused; // what we send waits: the data plane holds enough of it
	uint8_t holds; // what comes waits there: the reader here is slow
	uint16_t payload_max; // of the packets that we send
	uint32_t rtt_us;
	uint32_t forward_id, consume_id; // 0: it has ended
	uint32_t keep_alive_ms;
	uint64_t age_ms; // ended: since then
	uint64_t rx_bytes, tx_bytes; // of the stream
	uint64_t rx_packets, tx_packets;
	uint64_t rx_bad; // packets that made no sense
	uint64_t peer_rate; // bytes per second that the far end says it gets
	uint64_t queued; // bytes that the reader here has not taken
	char reason[128]; // why it ended, or does
};
static_assert(sizeof(struct api_route_group) == 256, "api_route_group");
