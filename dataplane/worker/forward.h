// The verdict on route packets: swap the id and send on, give to the control plane, answer, end or
// drop (skywire-routing 2.5 and 3). Knows rules and hops by handle only; no keys, no headers but
// the 7 bytes of a route packet.
#pragma once

#include "dataplane/worker/wctx.h"

enum {
	// A transport may hit so many ids that it has no rule for, before it may pin no more rules;
	// it gets one back each period. Enough for a route that was expired under full traffic,
	// and 2^32 ids take three years to try.
	FWD_MISS_BURST = 1024,
	FWD_MISS_PERIOD_NS = 20 * 1000 * 1000,
	// Route id 0 to the control plane, per hop: set-up and virtual streams, never bulk.
	FWD_CONTROL_BURST = 256,
	FWD_CONTROL_PERIOD_NS = 1000 * 1000,
	// NOTE_RULE_MISS, per worker.
	FWD_NOTE_BURST = 16,
	FWD_NOTE_PERIOD_NS = 100 * 1000 * 1000,
};

// [worker: owner of `in`] The sink of hop_rx; in == NULL: packets of the control plane, which only
// forward rules take. n <= BURST; takes the mbufs, each a route packet or garbage, maybe a chain.
// What is held is judged first; n may be 0.
void forward_burst(struct wctx *w, struct hop *in, struct rte_mbuf **pkts, unsigned n);

// [worker: owner of `in`] The same for packets that are known to be whole and in one segment, but
// later: their rules are fetched, and judged is what was held before. They are judged at the next
// call of any of these functions, at the latest of forward_flush(), in the order of the calls. off:
// as hop_rx_expected() says.
void forward_ahead(
	struct wctx *w, struct hop *in, struct rte_mbuf **pkts, unsigned n, unsigned off);
// [worker] Judge what is held; each turn does it before anything but receiving.
void forward_flush(struct wctx *w);
