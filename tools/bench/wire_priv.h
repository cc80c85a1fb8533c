// Inside of wire: what wire.c (ports, links) and wire_hs.c (handshakes) share.
#pragma once

#include "dataplane/io/port.h"
#include "dataplane/io/udp_claim.h"
#include "lib/link/rail_hs.h"
#include "tools/bench/wire.h"

struct wire_port {
	uint16_t id; // DPDK's
	uint16_t mtu;
	uint8_t mac[6];
	uint8_t node_mac[6];
	bool resolved;
	uint32_t adj; // handle
	struct dpmsg_addr self, node;
	struct stats_port stats;
};

struct wire_link {
	struct key_sk sk;
	struct key_pk pk;
	uint8_t mac1_key[32];
	uint32_t hop; // handle
	unsigned port; // place in wire.port
	uint16_t udp_port; // ours
	uint64_t instance, instance_node;
	bool added; // the hop is there
	unsigned serial; // of receiver indices
	enum aead_cipher cipher;
	// a first contact or re-key of ours that waits for its answer
	struct rail_hs_side side;
	bool trying, inside;
	uint64_t sent_ns, retry_ns;
	uint8_t cookie[RAIL_COOKIE_VALUE_LEN];
	uint64_t cookie_ns;
};

struct wire {
	const struct args *args;
	const _Atomic bool *stop;
	struct traffic *traffic;
	struct port_set *ports;
	struct peer *peer;
	struct wire_port port[ARGS_PORTS_MAX];
	struct udp_claim *claim; // one for each UDP port of ours, where a kernel sees our frames
	unsigned n_claims;
	struct wire_link *link;
	unsigned n_links;
	struct key_pk node;
	char trouble[WIRE_ERR_MAX];
	uint64_t poll_ns;
	uint64_t n_keys; // of all links since the start
};

struct wire_link *wire_link_by_hop(struct wire *w, uint32_t hop);
// Begin a handshake (or a re-key inside) anew, if the last message is older than its wait.
void wire_hs_send(struct wire *w, struct wire_link *l, bool inside);
void wire_hs_stop(struct wire_link *l);
// Of peer_ops; ctx: the wire.
void wire_hs_take(void *ctx, const uint8_t *frame, const struct parsed *o, uint16_t dst_port);
void wire_hs_rekey(void *ctx, uint32_t hop, const uint8_t *msg, uint32_t len);
