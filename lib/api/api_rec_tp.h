// Records of transports and their flows, as api_rec.h says of all.
#pragma once

#include "lib/api/api.h"

#include <assert.h>
#include <stdint.h>

enum api_transport_state {
	API_TP_DOWN,
	API_TP_RESOLVING,
	API_TP_HANDSHAKE,
	API_TP_UP,
	API_TP_DEAD
};

enum api_mtu_state {
	API_MTU_UNKNOWN,
	API_MTU_FIXED,
	API_MTU_BASE,
	API_MTU_SEARCHING,
	API_MTU_COMPLETE,
	API_MTU_ERROR
};

struct api_transport {
	char name[API_NAME_LEN];
	uint8_t peer[API_PK_LEN];
	uint8_t state; // enum api_transport_state
	uint8_t origin; // 0 configured, 1 added, 2 accepted, 3 adopted
	uint8_t mode; // enum api_mode
	uint8_t cipher; // enum api_cipher as agreed
	uint8_t initiator;
	uint8_t dial;
	uint8_t congestion; // enum api_congestion; 0: none (datagram mode)
	uint8_t tp_id[16];
	struct api_addr remote;
	uint32_t mtu; // bytes of IP that the path carries, as far as is known; 0: not yet
	uint32_t rtt_us;
	uint32_t owner; // worker of flow 1
	uint8_t flows; // of the link; counters are of all of them together
	uint8_t type; // enum api_transport_type
	uint8_t pad[6];
	uint64_t up_ms; // since it came up
	uint64_t silent_ms; // since something authentic arrived
	uint64_t key_age_ms;
	uint64_t handshake_ns; // wall clock of the last one
	uint64_t handshakes;
	uint64_t rx_packets, tx_packets;
	uint64_t rx_bytes, tx_bytes;
	uint64_t lost;
	uint64_t replayed;
	uint64_t bad_tag;
	uint64_t rekeys;
	// reliable mode
	uint64_t tx_lost; // datagrams that were lost on the way to the peer
	uint64_t retransmitted; // frames that were sent again
	uint64_t timeouts;
	uint64_t cwnd; // bytes that may be in flight
	uint64_t in_flight;
	uint64_t rate; // bytes per second
	uint32_t min_rtt_us;
	uint32_t unacked; // packets
	uint32_t held; // buffers of packets that came by it and are kept here
	uint32_t paused; // routes that leave by it and whose ingress waits
	char note[128]; // why it is not up
	uint64_t mtu_probes, mtu_acked, mtu_lost; // padded ones, for the path MTU
	uint64_t black_holes; // times that the path MTU fell and nobody said so
	uint8_t mtu_state; // enum api_mtu_state
	uint8_t pad3[3];
	uint32_t queued_packets; // route packets that wait to leave by it, of all workers
	uint64_t queued; // bytes of them
};
static_assert(sizeof(struct api_transport) == 472, "api_transport");

enum api_flow_state { API_FLOW_DOWN, API_FLOW_UP, API_FLOW_SILENT };

// One flow of a transport.
struct api_flow {
	char name[API_NAME_LEN]; // of the transport
	uint8_t flow; // 1..
	uint8_t state; // enum api_flow_state
	uint8_t mode; // enum api_mode
	uint8_t pad;
	struct api_addr remote;
	uint16_t local_port;
	uint16_t pad2;
	uint32_t owner; // worker
	uint32_t rtt_us;
	uint32_t min_rtt_us;
	uint64_t rx_packets, tx_packets;
	uint64_t rx_bytes, tx_bytes;
	uint64_t lost, replayed, bad_tag;
	uint64_t rekeys;
	uint64_t tx_lost, retransmitted, timeouts; // from here on reliable mode
	uint64_t cwnd, in_flight, rate;
	uint32_t unacked, held, paused;
	uint32_t mtu; // of its path, 0: not known
	uint64_t queued; // bytes of route packets that wait to leave by it
	uint32_t queued_packets;
	uint32_t pad3;
};
static_assert(sizeof(struct api_flow) == 216, "api_flow");
