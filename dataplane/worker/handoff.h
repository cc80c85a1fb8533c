// Packets from one worker to another: one SPSC rte_ring for each ordered pair, filled in batches.
//
// An element names its hop or port by index and generation and is looked up again where it is taken
// out. Room is known when a packet is given, so that a refusal is counted by its reason and nothing
// is lost later.
#pragma once

#include "dataplane/hop/hop.h"
#include "dataplane/hop/hop_msg.h"
#include "dataplane/worker/wctx.h"

struct handoff;
struct handoff_mesh;

enum { HANDOFF_RING_LEN = 1024 }; // per pair; the need is a few turns of a busy worker

// [main] The rings of n workers. NULL with errno set.
struct handoff_mesh *handoff_mesh_new(unsigned n_workers);
// [main] Workers have stopped: frees what is still on its way.
void handoff_mesh_free(struct handoff_mesh *mesh);
// [main] Worker i's ends, for wctx.handoff. Lives as long as the mesh.
struct handoff *handoff_end(struct handoff_mesh *mesh, unsigned i);

// [worker] A sealed datagram for the owner of its hop, a frame for the owner of a port's queue.
// Take the mbuf; without room it is dropped and counted (drop_handoff_rx, drop_handoff_raw).
void handoff_rx(struct wctx *w, unsigned to, const struct rx_dgram *d);
void handoff_raw(struct wctx *w, unsigned to, uint16_t port, struct rte_mbuf *m);
// [worker] Route packets for an egress hop's owner: all or none; false: no room, the caller keeps
// them.
bool handoff_tx(struct wctx *w, unsigned to, uint32_t hop, struct rte_mbuf **m, unsigned n);
// [worker] Would it take n packets now, whatever hops they are for?
bool handoff_has_room(struct wctx *w, unsigned to, unsigned n);
// [worker] A message about a route; false: no room (some is kept for them).
bool handoff_msg(struct wctx *w, unsigned to, const struct hop_msg *msg);
// [worker] Route packets for which every other worker's ring has room now.
unsigned handoff_room(struct wctx *w);
// [worker] Route packets that are on their way to that worker, at most.
unsigned handoff_given(const struct wctx *w, unsigned to);
// [worker] Make visible what this turn gave.
void handoff_flush(struct wctx *w);

enum { HANDOFF_MORE = 3 };

// What came out of the rings, in the order in which one sender gave it.
struct handoff_item {
	struct rte_mbuf *m;
	uint8_t kind; // HANDOFF_*
	uint8_t n_more; // TX: in more[], 0 else
	uint16_t port; // RAW
	uint32_t hop; // TX: handle
	union {
		struct { // RX, as in struct rx_dgram
			uint8_t src_ip[16];
			uint16_t src_port;
			uint16_t udp_len;
		};
		struct hop_msg msg; // MSG; there is no mbuf
		struct rte_mbuf *more[HANDOFF_MORE]; // TX: packets that follow, for the same hop
	};
};
enum { HANDOFF_RX = 1, HANDOFF_TX, HANDOFF_RAW, HANDOFF_MSG };

// [worker] Up to max items out of the ring from worker `from`; 0 from itself.
unsigned handoff_take(struct wctx *w, unsigned from, struct handoff_item *items, unsigned max);
// [worker] Elements on their way to this worker; one is up to four packets.
uint32_t handoff_held(const struct wctx *w);
