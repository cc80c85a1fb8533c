// A hop: one UDP flow of a rail transport as its owner worker sees it (rail.md). Keys, counters,
// replay window, timers. Everything in struct hop belongs to the owner worker from hop_table's
// HOP_ADD message on; the main lcore allocates and frees it. The struct is in
// dataplane/hop/hop_priv.h.
#pragma once

#include "dataplane/worker/wctx.h"

struct hop;

// A data datagram on its way to hop_rx: mbuf data begins at the 16-byte rail header.
struct rx_dgram {
	struct rte_mbuf *m;
	uint8_t src_ip[16]; // IPv4 mapped
	uint16_t src_port; // host order
	uint16_t udp_len; // payload
};

// [worker: owner] Open n <= BURST datagrams of this hop; route packets go to w->sink, the rest is
// dealt with here (acks, probes, re-keys, closes, parts). Takes all mbufs.
void hop_rx_burst(struct wctx *w, struct hop *h, struct rx_dgram *d, unsigned n);

// [worker: any] Queue a route packet for a hop by handle: to be sealed at hop_tx_flush() if this
// worker owns the hop, else handed off. Takes the mbuf. false: the hop is gone or down (the caller
// keeps the mbuf and counts drop_hop_gone); `len` is the packet's length with header.
bool hop_tx_push(struct wctx *w, uint32_t hop, struct rte_mbuf *m);
// [worker] Seal and encapsulate everything queued in this turn; frames go to w->tx[].
void hop_tx_flush(struct wctx *w);
// [worker] Timers of this worker's hops: keep-alive, probe repeat, dead peer, re-key due, parts.
// Cheap when nothing is due; called once per loop turn.
void hop_timers(struct wctx *w);

// Handle and transport of a hop, for forward.
uint32_t hop_handle(const struct hop *h);
uint32_t hop_tp(const struct hop *h);
