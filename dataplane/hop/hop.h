// A hop: one UDP flow of a rail transport as its owner worker sees it (rail.md). Keys, counters,
// replay window, timers. Everything in struct hop belongs to the owner worker from hop_table's
// HOP_ADD message on; the main lcore allocates and frees it. The struct is in
// dataplane/hop/hop_priv.h.
#pragma once

#include "dataplane/io/expect.h"
#include "dataplane/worker/notes.h"
#include "dataplane/worker/wctx.h"
#include "lib/base/bucket.h"
#include "lib/wire/rail.h"

struct hop;

// What forward keeps about an ingress hop. All zero at HOP_ADD; owner: the hop's worker.
struct hop_guard {
	struct bucket miss; // unknown ids and other transports' ids
	struct bucket control; // route id 0 to the control plane
};

// Which flow of its transport a hop is, and of how many.
struct hop_flow {
	uint8_t nr; // 1..n; beyond it: a flow that is not used any more
	uint8_t n;
	uint32_t inv; // rail_flow_inv(n)
};

// Do packets with that id come by this flow? With one flow all do, and nobody need ask.
static inline bool hop_flow_has(struct hop_flow f, uint32_t id)
{
	return rail_flow_fast(id, f.n, f.inv) == f.nr;
}

static inline bool hop_flow_is_only(struct hop_flow f)
{
	return (f.n | f.nr) == 1;
}

enum hop_push {
	HOP_PUSHED, // queued here, to be sealed at hop_tx_flush()
	HOP_HANDED, // on its way to the owner, who does what the caller would do for HOP_PUSHED
	HOP_GONE, // no such hop, or down: the caller keeps the packets (drop_hop_gone)
	HOP_FULL, // no room in the hand-off ring: ditto (drop_handoff_tx)
};

// A data datagram on its way to hop_rx: mbuf data begins at the 16-byte rail header.
struct rx_dgram {
	struct rte_mbuf *m;
	uint8_t src_ip[16]; // IPv4 mapped
	uint16_t src_port; // host order
	uint16_t udp_len; // payload
};

// [worker: owner] Open n <= BURST datagrams of this hop; route packets go to w->sink, the rest is
// dealt with here (acks, probes, re-keys, closes, parts). Takes all mbufs. The caller has counted
// dgram_in.
void hop_rx_burst(struct wctx *w, struct hop *h, struct rx_dgram *d, unsigned n);

// [worker] The short road for the first frames of a burst, as long as they are what `e` expects of
// a hop of this worker. Returns how many it took, counted up to dgram_opened. *routes: the hop
// of which m[] now holds *n_routes route packets, *off bytes from the beginning of the data: 0, or
// behind the headers of a whole frame of a clear link, which was not changed. NULL: there are none.
// The rest of the burst is untouched.
unsigned hop_rx_expected(struct wctx *w, const struct expect *e, struct rte_mbuf **m, unsigned n,
	struct hop **routes, unsigned *n_routes, unsigned *off);
// [worker] Expect frames of the hop that has this receiver index, or nothing if that is not for us.
void hop_expect(const struct wctx *w, struct expect *e, uint16_t port, uint32_t rx_index);

// [worker: any] Queue n <= BURST route packets for a hop by handle: all or none, in order. On
// HOP_PUSHED and HOP_HANDED the mbufs are taken.
enum hop_push hop_tx_push(struct wctx *w, uint32_t hop, struct rte_mbuf **m, unsigned n);
// [worker] The hop if it is up and this worker's, else NULL: hop_tx_push() says more.
struct hop *hop_tx_local(const struct wctx *w, uint32_t hop);
// [worker] The worker that owns a hop that is up and not ours; -1: there is none.
int hop_tx_remote(const struct wctx *w, uint32_t hop);
// [worker: owner] Queue n <= BURST route packets of a hop that hop_tx_local() found in this turn.
void hop_tx_queue(struct wctx *w, struct hop *h, struct rte_mbuf **m, unsigned n);
// [worker] This worker's carried hop, or NULL; *soon: it is, but has not come from the main lcore
// yet.
struct hop *hop_car_find(const struct wctx *w, uint32_t hop, bool *soon);
// [worker: owner] Buffers of packets of its peer that may be taken now; the rest is to wait where
// it is, since a pause comes too late for it: so no route has to end for want of buffers. Half of
// the budget is for it; when that is used up, all but an eighth after 50 ms, so that one that was
// told to wait by then is out of the way of others. Who can't be told in time, or has too many
// routes, is in their way for a second; then the budget's rule decides.
struct hop_car_wait { // zero at first
	uint64_t full_ns; // since when half is used up, 0: it is not
	uint64_t stuck_ns; // since when nothing was taken
};
unsigned hop_car_room(const struct wctx *w, const struct hop *h, struct hop_car_wait *wait);
// [worker: owner] n <= BURST route packets of the peer of a carried hop, of ids that are not 0.
// Takes the mbufs.
void hop_car_rx(struct wctx *w, struct hop *h, struct rte_mbuf **m, unsigned n);
// [worker: owner] For a source of packets that has nobody to be told by: how many buffers more this
// hop takes now (UINT_MAX: it does not count), and whether packets of the rule in that slot are to
// wait (rail 4).
unsigned hop_tx_room(const struct wctx *w, const struct hop *h);
bool hop_tx_waits(const struct wctx *w, uint32_t route);
// [worker: owner] Send a handshake message inside the link as a REKEY frame. false: no such hop
// here, or it cannot send.
bool hop_tx_rekey(struct wctx *w, uint32_t hop, const uint8_t *msg, uint32_t len);
// [worker] Seal and encapsulate everything queued in this turn; frames go to w->tx[].
void hop_tx_flush(struct wctx *w);
// [worker] Timers of this worker's hops: keep-alive, probe repeat, dead peer, re-key due, parts.
// Cheap when nothing is due; called once per loop turn.
void hop_timers(struct wctx *w);

// Handle and transport of a hop, for forward.
uint32_t hop_handle(const struct hop *h);
uint32_t hop_tp(const struct hop *h);
struct hop_flow hop_flow(const struct hop *h); // [worker: owner]
struct hop_guard *hop_guard(struct hop *h); // [worker: owner]
_Atomic uint64_t *hop_counters(struct hop *h); // [worker: owner] enum hop_counter

// [worker] Tell the main lcore; false when its ring is full (notes are hints).
bool hop_note(struct wctx *w, const struct dp_note *n);

// [worker: any] hop_tx_push() with the books kept: packets that could not be pushed are freed. True
// if they are on their way to the hop, whether by this worker or by another. `m` is used up;
// `ruled`: they are of rules, whose slots are in hash.usr.
bool hop_give(struct wctx *w, uint32_t hop, struct rte_mbuf **m, unsigned n, bool ruled);
