// The part of the API that is about dmsg: requests, and the records of its lists (api_rec.h).
//
// API_DMSG_DIAL and API_DMSG_LISTEN turn the connection into a stream (api_stream.h).
#pragma once

#include "lib/api/api_stream.h"

enum {
	API_DMSG_ADDRESS_LEN = 64,
	API_DMSG_URL_LEN = 512,
	API_DMSG_TEXT_LEN = 128, // of a reason
	API_DMSG_TIMEOUT_MAX_MS = 60000,
};

struct api_dmsg_ask {
	uint8_t pk[API_PK_LEN]; // dial: the destination; ping: the server, null: the nearest
	uint8_t pad;
	uint16_t port; // dial: there; listen: here
	uint32_t timeout_ms; // dial, ping: 1..API_DMSG_TIMEOUT_MAX_MS
};
static_assert(sizeof(struct api_dmsg_ask) == 40, "api_dmsg_ask");

// API_DMSG_IP, with an api_dmsg_ask like that of ping.
struct api_dmsg_ip {
	uint8_t len; // 4 or 16
	uint8_t pad[3];
	uint8_t ip[16];
};
static_assert(sizeof(struct api_dmsg_ip) == 20, "api_dmsg_ip");

// ---- records ----

enum api_dmsg_kind {
	API_DMSG_PLAIN,
	API_DMSG_MESH, // the other end is a peer server of ours
	API_DMSG_FOUND, // a server that a discovery told
	API_DMSG_MADE, // a destination's server, while streams need it
	API_DMSG_LAN, // a server in our LAN
	API_DMSG_MESH_FOUND, // as API_DMSG_MESH, but a discovery told of it
};

enum api_dmsg_role { // what the node is in a session, and whose entry it is
	API_DMSG_CLIENT,
	API_DMSG_SERVER,
	API_DMSG_SETUP_NODE, // a client with a key of its own
};

// Numbers of a role that the node has not are all ones.
struct api_dmsg {
	uint8_t client, server, lan_server, setup_node; // which roles this node has
	uint8_t server_pk[API_PK_LEN], lan_pk[API_PK_LEN], setup_pk[API_PK_LEN];
	uint8_t pad;
	char lan_address[API_DMSG_ADDRESS_LEN];
	uint64_t server_port; // TCP
	// of the client: now, and so far
	uint64_t servers, sessions, streams, listeners;
	uint64_t sessions_opened, sessions_lost, sessions_failed;
	uint64_t dialled, dials_failed;
	uint64_t accepted, refused;
	uint64_t dir_asked, dir_cached, dir_failed, dir_refused; // of all roles
	// of the server: now, and so far
	uint64_t clients, relays, peers;
	uint64_t clients_opened, shakes_failed, clients_refused, clients_replaced;
	uint64_t relayed, relayed_bytes;
	uint64_t mesh_out, mesh_in, mesh_refused;
	uint64_t bad_requests, no_destination, not_accepted, no_capacity;
	uint64_t ip_answered, pings;
	// under hypervisors
	uint64_t hypervisors, hypervisors_open;
	uint64_t pushes_taken, pushes_refused, calls_unknown;
	// the LAN's server, and the nodes under us
	uint64_t lan_clients, lan_relays, visors;
	uint64_t pushed, push_failed, strangers;
	// the set-up node: now, and so far
	uint64_t setup_sessions; // its own, as a client of its key
	uint64_t setups;
	uint64_t setups_done, setups_failed, setups_refused;
};
static_assert(sizeof(struct api_dmsg) == 568, "api_dmsg");

struct api_dmsg_server {
	char name[API_DMSG_ADDRESS_LEN]; // host:port, cut
	uint8_t pk[API_PK_LEN];
	uint8_t state; // 0 waits, 1 dials, 2 open
	uint8_t kind; // enum api_dmsg_kind
	uint8_t pad;
	uint32_t streams;
	uint64_t age_ms; // of the state
	uint64_t rtt_us; // 0: not measured
	uint64_t opened; // sessions so far
	uint64_t rx_bytes, tx_bytes; // of this session; all ones: there is none
	char error[API_DMSG_TEXT_LEN]; // why the last session ended, or there was none
	char note[API_DMSG_TEXT_LEN]; // the same while there is none; what is odd about this one
	uint8_t by[API_PK_LEN]; // the hypervisor that told of it, or null
	char section[API_NAME_LEN]; // NAME of its [server NAME] or [peer_server NAME], or ""
	uint8_t pad2[7];
};
static_assert(sizeof(struct api_dmsg_server) == 472, "api_dmsg_server");

struct api_dmsg_pong {
	uint32_t rtt_us;
	uint8_t pk[API_PK_LEN]; // the server's
	char section[API_NAME_LEN]; // as in api_dmsg_server
	uint8_t pad[3];
};
static_assert(sizeof(struct api_dmsg_pong) == 72, "api_dmsg_pong");

struct api_dmsg_hypervisor {
	uint8_t pk[API_PK_LEN];
	uint8_t state; // as that of api_dmsg_server
	uint8_t pad[6];
	uint64_t age_ms; // of the state
	uint64_t calls;
	char error[API_DMSG_TEXT_LEN]; // why the last stream ended, or there was none
	char note[API_DMSG_TEXT_LEN]; // the same while there is none
};
static_assert(sizeof(struct api_dmsg_hypervisor) == 312, "api_dmsg_hypervisor");

struct api_dmsg_discovery {
	char name[API_DMSG_URL_LEN]; // its URL
	uint8_t role; // whose entry: enum api_dmsg_role
	uint8_t listed; // the entry is there, as far as we know
	uint8_t pad[6];
	uint64_t sequence; // of the entry
	uint64_t age_ms; // since it was put there last; 0: never
	uint64_t next_ms; // until it is again
	uint64_t published, failed;
	char error[API_DMSG_TEXT_LEN]; // of the last try
	char note[API_DMSG_TEXT_LEN]; // why our entry is not there
};
static_assert(sizeof(struct api_dmsg_discovery) == 816, "api_dmsg_discovery");

struct api_dmsg_session {
	uint8_t pk[API_PK_LEN]; // the other end's
	uint8_t role; // ours in it: enum api_dmsg_role
	uint8_t kind; // enum api_dmsg_kind
	uint8_t pad;
	uint32_t streams;
	char address[API_DMSG_ADDRESS_LEN]; // the other end's
	uint64_t age_ms, rtt_us;
	uint64_t rx_bytes, tx_bytes;
};
static_assert(sizeof(struct api_dmsg_session) == 136, "api_dmsg_session");

struct api_dmsg_stream {
	uint8_t src[API_PK_LEN], dst[API_PK_LEN]; // who dialled whom
	uint8_t kind; // 0 dialled, 1 accepted, 2 relayed by our server
	uint8_t pad;
	uint16_t src_port, dst_port;
	uint64_t age_ms;
	uint64_t rx_bytes, tx_bytes; // relayed: from the destination, and to it
};
static_assert(sizeof(struct api_dmsg_stream) == 96, "api_dmsg_stream");
