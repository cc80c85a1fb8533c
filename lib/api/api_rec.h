// Records of the API's lists: one struct a kind, sent as they are. What each field is called, its
// unit and how it reads is in api_rec.c, from which tables and JSON are made alike (api_field.h).
// Strings are NUL-terminated; unset ones are empty. Fields only ever get appended.
#pragma once

#include "lib/api/api.h"
#include "lib/api/api_dmsg.h"
#include "lib/api/api_rec_tp.h"
#include "lib/api/api_route.h"
#include "lib/api/api_service.h"

struct api_node {
	char name[API_NAME_LEN];
	char version[API_NAME_LEN]; // of the control plane
	char dp_version[API_NAME_LEN];
	char dpdk[API_NAME_LEN];
	char aead[API_NAME_LEN]; // cipher back ends of the data plane
	uint8_t pk[API_PK_LEN];
	uint8_t dp_attached;
	uint8_t pad[2];
	uint32_t udp_port;
	uint64_t epoch;
	uint64_t cp_up_ms, dp_up_ms;
	uint32_t cp_pid, dp_pid;
	uint32_t workers, ports;
	uint32_t transports, transports_up;
	uint64_t rules, rule_slots;
	uint64_t rules_expired, rules_closed;
	char ciphers[API_NAME_LEN]; // that the data plane has, the fastest first
};
static_assert(sizeof(struct api_node) == 312, "api_node");

struct api_port {
	char name[API_NAME_LEN];
	char device[64];
	char kernel_if[16];
	char lacks[64];
	uint8_t mac[6];
	uint8_t link_up;
	uint8_t exception; // 0 drop, 1 kernel, 2 tap
	uint16_t mtu;
	uint16_t rx_queues;
	uint16_t tx_queues;
	uint16_t number;
	uint32_t speed_mbps;
	int32_t numa;
	uint64_t rx_frames, tx_frames;
	uint64_t rx_bytes, tx_bytes;
	uint64_t rx_missed;
	uint64_t rx_errors, tx_errors;
	uint64_t rx_nombuf;
};
static_assert(sizeof(struct api_port) == 264, "api_port");

struct api_worker {
	uint32_t worker;
	uint32_t lcore;
	int32_t cpu;
	int32_t numa;
	uint32_t hops;
	uint32_t queues;
	uint8_t asleep;
	uint8_t pad[3];
	uint32_t held;
	uint64_t rx_frames, tx_frames;
	uint64_t rx_packets;
	uint64_t forwarded;
	uint64_t drops;
	uint64_t sleeps;
	uint32_t busy_ppm; // share of the last second in turns that found work
	uint32_t pad2;
};
static_assert(sizeof(struct api_worker) == 88, "api_worker");

struct api_rule {
	uint32_t id;
	uint32_t next_id;
	uint8_t type; // enum api_rule_type
	uint8_t in; // enum api_rule_in; TRANSPORT also when pinned
	uint8_t fixed; // static: never expires
	uint8_t owner; // worker
	uint32_t keep_alive_ms;
	char transport[API_NAME_LEN];
	char in_transport[API_NAME_LEN];
	uint64_t idle_ms;
	uint64_t expires_ms;
	uint64_t orphan_ms; // how long the hop at its other end has been silent; 0 = it is not
	uint64_t packets, bytes;
	uint64_t freed; // of packets: freed here, not delivered
};
static_assert(sizeof(struct api_rule) == 128, "api_rule");

enum api_role { API_ROLE_IN, API_ROLE_OUT, API_ROLE_DROP, API_ROLE_INFO };

struct api_counter {
	char of[API_NAME_LEN]; // worker0.., port, transport or control
	char name[API_NAME_LEN];
	char unit[16];
	char help[112];
	uint8_t scope; // enum api_scope
	uint8_t role; // enum api_role; workers and control only
	uint8_t pad[6];
	char stage[8]; // workers only
	uint64_t value;
};
static_assert(sizeof(struct api_counter) == 216, "api_counter");

struct api_ring {
	char name[16];
	uint32_t size;
	uint32_t used;
	uint64_t refused; // records that found no room
	uint64_t passed; // bytes since the data plane started
};
static_assert(sizeof(struct api_ring) == 40, "api_ring");

struct api_memory {
	char name[API_NAME_LEN];
	uint64_t bytes;
	uint64_t used; // items
	uint64_t total; // items, 0 = not counted in items
	char note[64];
};
static_assert(sizeof(struct api_memory) == 120, "api_memory");

enum api_far { API_FAR_NONE, API_FAR_UNKNOWN, API_FAR_PLAIN, API_FAR_SUPER };
struct api_edge {
	char name[16];
	char addrs[152]; // "10.9.0.1/24, ..."
	uint32_t mtu;
	uint32_t forward_id;
	uint32_t consume_id;
	uint8_t state; // 0 detached, 1 attached, 2 its rule is gone, 3 waits for its rules
	uint8_t origin; // 0 configured, 1 added
	uint8_t offload; // enum api_offload, as it came out
	uint8_t far; // enum api_far
	uint64_t out_packets; // from the device into the route; a super-packet is one
	uint64_t out_bytes;
	uint64_t in_packets, in_bytes; // from the route to the device
	uint64_t drop_detached; // out: no route attached
	uint64_t drop_in_full; // in: the device took no more
	uint64_t drop_in_bad; // in: not an IP packet, or of no known kind
	uint64_t waits; // out: the ring was full and reading stopped
	uint64_t keepalives;
	uint64_t out_supers; // super-packets sent as one route packet
	uint64_t out_cut; // packets that super-packets were cut into before they went out
	uint64_t out_bad; // out: the kernel's virtio-net header made no sense
	uint64_t in_supers; // super-packets that came
	uint64_t in_cut; // packets that those were cut into for the device
	uint64_t in_joined; // packets that came singly and were joined for the device
	uint64_t in_refused; // in: the kernel would not have it
	uint32_t super_max;
	uint32_t pad2;
};
static_assert(sizeof(struct api_edge) == 320, "api_edge");

struct api_neighbour {
	struct api_addr dst;
	struct api_addr next_hop;
	uint8_t mac[6];
	uint8_t usable;
	uint8_t pad;
	char port[API_NAME_LEN];
	struct api_addr src;
	uint32_t mtu;
	uint32_t refs;
	char state[16];
};
static_assert(sizeof(struct api_neighbour) == 124, "api_neighbour");

struct api_conf {
	char section[48];
	char key[API_NAME_LEN];
	char value[160];
	char standard[64]; // the default
	char origin[96]; // "default" or file:line
	char in_force[160]; // while it waits for a restart; "": nothing is
	uint8_t change; // enum api_change_kind since then; 0: it doesn't wait
	uint8_t pad[7];
};
static_assert(sizeof(struct api_conf) == 568, "api_conf");

// What is different in the configuration: by this reload, or, waits = 1, from what is in force.
enum api_change_kind {
	API_CHANGED = 1,
	API_CHANGE_NEW,
	API_CHANGE_GONE,
	API_CHANGE_READ, // the same, but the files that it names were read again
	API_CHANGE_AGAIN, // the same, and made again: it was removed by hand
};
struct api_change {
	char section[48];
	char key[API_NAME_LEN]; // "": the section as a whole
	uint8_t change; // enum api_change_kind
	uint8_t waits; // for a restart
	uint8_t pad[6];
};
static_assert(sizeof(struct api_change) == 88, "api_change");
