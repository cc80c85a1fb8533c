// A node under test in one process: real workers, hops, rules, rings and books on ring devices, and
// peers written plainly, who share no code with the packet path but the cipher.
//
// Every port has one rx and one tx queue per worker (or only worker 0 has tx queues: `one_txq`).
// Peer i's frames enter by its port and queue; its hop is owned by peer.owner.
#pragma once

#include "dataplane/hop/hop_table.h"
#include "dataplane/io/encap.h"
#include "dataplane/rule/rule_table.h"
#include "dataplane/worker/worker.h"
#include "lib/base/bytes.h"
#include "lib/crypto/aead.h"
#include "lib/shm/region.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

enum {
	NODE_UDP = 7780, // and the next ones
	NODE_UDP_PORTS = 8,
	NODE_PEERS = 6,
	NODE_PORTS = 2,
	NODE_WORKERS = 4,
	NODE_RULE_BITS = 10,
	NODE_MTU = 1500,
	NODE_FRAME_MAX = 2048,
	NODE_DGRAM_MAX = NODE_MTU - 28, // UDP payload
};

struct peer {
	unsigned n; // number in the node
	uint32_t hop, tp; // handles
	uint16_t owner, port, queue;
	uint32_t node_index; // receiver index of the node
	uint32_t index; // ours
	uint8_t to_node[32], from_node[32]; // keys
	uint8_t ip[4];
	uint16_t udp, node_udp; // its port, and the node's that it sends to
	uint8_t mac[6];
	uint64_t tx_counter; // next to the node
	uint64_t rx_counter; // lowest that may come
	uint32_t part_seq;
};

struct node_conf {
	unsigned workers;
	unsigned peers;
	unsigned flows; // the first ones are flows 1.. of one transport; 0: each is one of its own
	enum aead_cipher cipher;
	bool one_txq;
	uint8_t exception; // PORT_DROP or PORT_KERNEL_COPY
	bool threads; // the caller launches the workers
	uint32_t up_size; // bytes of the up rings, 0 = plenty
	uint32_t rel_bufs; // packets that reliable hops of a worker keep, 0 = no such hops
};

struct node {
	struct node_conf conf;
	struct region region;
	struct reclaim *reclaim;
	struct rule_table rules;
	struct adj_table *adjs;
	struct hop_table *hops;
	struct worker_set *set;
	struct wctx *w[NODE_WORKERS];
	struct rte_mempool *pool;
	struct rte_ring *rx[NODE_PORTS][NODE_WORKERS];
	struct rte_ring *tx[NODE_PORTS][NODE_WORKERS];
	uint16_t port[NODE_PORTS]; // DPDK numbers
	uint8_t mac[6];
	struct peer peer[NODE_PEERS];
	unsigned pool_start; // buffers free before the first packet
	struct ring_r up[NODE_WORKERS], hs[NODE_WORKERS];
	struct ring_w down[NODE_WORKERS];
	uint32_t out_at; // where to look for the next output
	uint64_t still_ns; // for node_settle(), so that no token comes back; 0: the real clock
};

// The peers' own AES-256-GCM is libsodium's, which wants AES-NI.
bool node_has_aes(void);

void node_open(struct node *n, const struct node_conf *conf);
// Checks the books, and that every buffer came back.
void node_close(struct node *n);
// Only the latter, while packets are under way.
void node_drop(struct node *n);
// Run all workers in turn until nothing moves any more.
void node_settle(struct node *n);
uint64_t node_counter(const struct node *n, enum worker_counter k); // sum of all workers
// For each stage: sum(IN) = sum(OUT) + sum(DROP), when nothing is held.
void node_check_books(const struct node *n);
uint32_t node_now_ds(const struct node *n);
void node_rule(struct node *n, uint32_t id, enum dpmsg_rule_type type, uint32_t next_id,
	uint32_t tx_hop, uint32_t in_tp);

// A data datagram of a peer with these frames, whole from Ethernet on, into buf; its length.
unsigned peer_frame(
	struct node *n, struct peer *p, const uint8_t *frames, unsigned len, uint8_t *buf);
// The same with any UDP payload.
unsigned peer_udp(
	struct node *n, const struct peer *p, const uint8_t *udp, unsigned len, uint8_t *buf);
// Put a frame into a receive queue. False: no room.
bool node_inject(struct node *n, unsigned port, unsigned queue, const uint8_t *frame, unsigned len);
// Send one route packet: as one ROUTE frame, or cut at `cut` bytes (0: only if it must be).
void peer_send(struct node *n, struct peer *p, const uint8_t *pkt, unsigned len, unsigned cut);

// The next frame that left by any port: its length, 0 when there is none.
unsigned node_output(struct node *n, uint8_t *buf);
unsigned node_outputs(struct node *n); // takes them all; how many they were
// Check every byte of the headers of a frame from the node, open it: length of the frames in `out`
// and the peer it was for.
unsigned peer_open(
	struct node *n, const uint8_t *frame, unsigned len, uint8_t *out, struct peer **who);

// Control plane's side. Next record of any worker's ring: its length, 0 when there is none.
int node_up(struct node *n, void *buf, unsigned cap);
int node_hs(struct node *n, void *buf, unsigned cap);
void node_down(struct node *n, unsigned worker, const void *rec, unsigned len);
void node_down_route(
	struct node *n, unsigned worker, uint32_t id, const uint8_t *pkt, unsigned len);
