// Our end of the links to the node under test: the data plane's own hops (seal, open, replay
// window, keep-alive; order, acks and pauses where they are reliable), driven by one thread. Route
// packets that arrive go to `sink`; handshakes, and frames that are none of ours, to whoever set a
// callback for them. Packets that leave by a reliable hop belong to routes (peer_route_add()),
// whose number they carry in hash.usr.
//
// Everything is of the thread that made it (the main lcore). Open, because the generator fills
// packets where the hop seals them.
#pragma once

#include "dataplane/hop/hop_table.h"
#include "dataplane/io/encap.h"
#include "dataplane/io/parse.h"
#include "dataplane/rule/rule_table.h"
#include "dataplane/worker/wctx.h"
#include "lib/shm/stats.h"

#include <rte_mempool.h>

// Takes the mbufs, which begin at the route header and may be chains. arrived_ns: on our clock.
typedef void (*peer_sink)(void *ctx, struct rte_mbuf **m, unsigned n, uint64_t arrived_ns);

// Each may be NULL; pointers are borrowed for the call.
struct peer_ops {
	// An init, response or cookie for the UDP port dst_port.
	void (*handshake)(
		void *ctx, const uint8_t *frame, const struct parsed *o, uint16_t dst_port);
	void (*rekey)(void *ctx, uint32_t hop, const uint8_t *msg, uint32_t len);
	void (*other)(void *ctx, uint16_t port, const uint8_t *frame, uint32_t len);
};

struct peer_conf {
	struct rte_mempool *pool;
	uint32_t hop_max;
	unsigned rx_index_bits;
	uint16_t udp_port; // and the n_udp - 1 above it
	uint16_t n_udp;
	uint32_t n_routes; // by reliable links; 0: there are none
	uint32_t rel_bufs; // buffers that those links may keep
	peer_sink sink;
	void *sink_ctx;
	struct peer_ops ops;
	void *ctx; // of ops
};

struct peer {
	struct wctx w; // first: hops know nothing else
	struct stats_worker stats;
	struct rule_table rules; // of routes
	peer_sink sink;
	void *sink_ctx;
	struct peer_ops ops;
	void *ctx;
	uint64_t base_tsc, base_ns;
	double ns_per_tsc;
	// counting without opening: datagrams of at least so many bytes; 0 = off
	uint32_t count_len;
	bool frozen; // nothing is sent or opened by hops: a prepared run would fall out of windows
	uint64_t counted;
	uint64_t opened_ns; // when a burst was opened although only counting
};

// NULL with errno set.
struct peer *peer_new(const struct peer_conf *conf);
void peer_free(struct peer *p);
// Use this started device: queues 0..n_rxq-1 to receive, queue 0 to send.
void peer_port(struct peer *p, uint16_t port, uint16_t n_rxq, uint16_t mtu);
// Bytes of EAL memory for n routes.
uint64_t peer_need(uint32_t n_routes);
// Packets with number nr < n_routes are for that id, by that reliable hop. 0 or -errno.
int peer_route_add(struct peer *p, uint32_t nr, uint32_t id, uint32_t hop);
// Now, on the monotonic clock, by the TSC.
uint64_t peer_now_ns(const struct peer *p);
// Receive, answer, send what was pushed. Returns the number of frames that came.
unsigned peer_turn(struct peer *p);
// Seal what was pushed; frames gather in p->w.tx[] (at most 2 * BURST).
void peer_seal(struct peer *p);
// Sum of what was lost on our side since the start: refused by the device, or no way.
uint64_t peer_refused(const struct peer *p);
static inline struct hop_table *peer_hops(struct peer *p)
{
	return p->w.hops;
}
