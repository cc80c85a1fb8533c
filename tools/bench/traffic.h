// The packets of a bench: flows over links, sizes in a fixed pattern. One thread; memory is made
// once, nothing is allocated per packet but mbufs.
#pragma once

#include "lib/wire/route_hdr.h"
#include "tools/bench/args.h"
#include "tools/bench/flow.h"
#include "tools/bench/peer.h"

#include <stdbool.h>
#include <stdint.h>

enum { TRAFFIC_HDR4_LEN = 14 + 20 + 8, TRAFFIC_HDR6_LEN = 14 + 40 + 8 };

struct traffic_flow {
	uint32_t in_id; // as the node takes it
	uint32_t out_id; // as it comes back
	struct flow_rx rx;
	uint64_t sent;
	uint64_t received; // without duplicates
};

struct traffic_link {
	uint32_t hop; // handle
	uint16_t port; // DPDK's
	uint32_t n_flows; // flows l, l + n_links, l + 2 n_links ...
	uint32_t cursor;
};

struct traffic {
	unsigned n_links, n_flows;
	struct traffic_link *link;
	struct traffic_flow *flow;
	uint16_t *size; // of the payload, over and over
	unsigned n_sizes, size_at, link_at;
	uint32_t size_min;
	double frame_len; // mean, of Ethernet frames without checksum
	double payload_len; // mean
	uint32_t run; // number of the trial under way
};

// 0 or -ENOMEM. Hops, ports and ids are the caller's to fill in.
int traffic_init(struct traffic *t, const struct args *a, bool ip6);
void traffic_fini(struct traffic *t);
// Each flow becomes a route of the peer, once ids and hops are known: what leaves by reliable links
// belongs to one. 0 or -errno.
int traffic_routes(const struct traffic *t, struct peer *p);
// 0 .. n - 1 in a random order: places of rules, so that the node's table is not walked in order.
void traffic_shuffle(uint32_t *order, uint32_t n, uint32_t seed);
// A new trial: arrivals are counted from zero.
void traffic_begin(struct traffic *t);
double traffic_pps(const struct traffic *t, const struct args_rate *r);
uint64_t traffic_flows_lossy(const struct traffic *t);

// The link whose turn it is.
static inline struct traffic_link *traffic_next_link(struct traffic *t)
{
	struct traffic_link *l = &t->link[t->link_at];

	if (++t->link_at == t->n_links)
		t->link_at = 0;
	return l;
}

// The flow whose turn it is on a link, and the next one's turn.
static inline uint32_t traffic_flow_at(const struct traffic *t, const struct traffic_link *l)
{
	return l->cursor * t->n_links + (uint32_t)(l - t->link);
}

static inline void traffic_pass(struct traffic_link *l)
{
	if (++l->cursor == l->n_flows)
		l->cursor = 0;
}

// Fill an empty mbuf with the next probe of a link. due_ns: from the start of the trial.
static inline void traffic_fill(
	struct traffic *t, struct traffic_link *l, struct rte_mbuf *m, uint64_t due_ns)
{
	uint32_t nr = traffic_flow_at(t, l);
	struct traffic_flow *f = &t->flow[nr];
	uint16_t len = t->size[t->size_at];
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);

	if (++t->size_at == t->n_sizes)
		t->size_at = 0;
	traffic_pass(l);
	route_hdr_put(p, ROUTE_DATA, f->in_id, len);
	flow_put(p + ROUTE_HDR_LEN,
		&(struct flow_mark){.run = t->run, .flow = nr, .seq = f->sent++, .due_ns = due_ns});
	m->data_len = (uint16_t)(ROUTE_HDR_LEN + len);
	m->pkt_len = m->data_len;
	m->hash.usr = nr; // slot of the rule that a reliable link's route belongs to
}
