// A worker's turn without forwarding: receive, sort, open, hand to the sink; timers; seal and send.
// What a trial needs and no more: no hand-off, no sleeping, no exception path.

#include "tools/bench/peer.h"

#include "dataplane/hop/hop_cut.h"
#include "lib/base/clock.h"
#include "lib/crypto/aead.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_prefetch.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { RX_BURSTS = 4, OPEN_EVERY_MS = 100, DS_NS = 100000000 };

static struct peer *peer_of(struct wctx *w)
{
	return (struct peer *)w;
}

static void on_routes(struct wctx *w, struct hop *in, struct rte_mbuf **m, unsigned n)
{
	struct peer *p = peer_of(w);

	if (n > 0)
		p->sink(p->sink_ctx, m, n, peer_now_ns(p));
}

// One worker: whatever is asked for here is for nobody.
static bool no_handoff(struct wctx *w, unsigned to, uint32_t hop, struct rte_mbuf **m, unsigned n)
{
	return false;
}

static void no_raw(struct wctx *w, unsigned to, uint16_t port, struct rte_mbuf *m)
{
	drop(w, W_drop_tx_full, m);
}

static bool on_rekey(struct wctx *w, uint32_t hop, const uint8_t *bytes, uint32_t len)
{
	struct peer *p = peer_of(w);

	if (p->ops.rekey != NULL)
		p->ops.rekey(p->ctx, hop, bytes, len);
	return true;
}

static const struct wctx_ops hop_ops = {
	.handoff_tx = no_handoff, .handoff_raw = no_raw, .uplink_rekey = on_rekey};

// ---- receive ----

static void dgrams(struct peer *p, struct rx_dgram *d, unsigned n)
{
	struct wctx *w = &p->w;

	for (unsigned start = 0, end; start < n; start = end) {
		uint32_t index = rail_data_receiver(rte_pktmbuf_mtod(d[start].m, const uint8_t *));
		uint64_t word = hop_table_rx_word(w->hops, index);
		struct hop *h = word != 0 ? hop_by_word(w, word) : NULL;

		for (end = start + 1; end < n; end++)
			if (rail_data_receiver(rte_pktmbuf_mtod(d[end].m, const uint8_t *)) !=
				index)
				break;
		if (h != NULL)
			hop_rx_burst(w, h, &d[start], end - start);
		else
			for (unsigned i = start; i < end; i++)
				drop(w, W_drop_index, d[i].m);
	}
}

static void rx_general(struct peer *p, struct rx_queue *q, struct rte_mbuf **m, unsigned n)
{
	struct wctx *w = &p->w;
	struct rx_dgram d[BURST];
	uint32_t index = 0;
	unsigned n_d = 0;

	for (unsigned i = 0; i < n; i++) {
		const uint8_t *f = rte_pktmbuf_mtod(m[i], const uint8_t *);
		struct parsed o;
		enum parse_verdict v =
			m[i]->nb_segs != 1
				? PARSE_MALFORMED
				: parse_frame(f, m[i]->data_len, w->mac[q->port], w->udp_ports, &o);

		if (v == PARSE_DATA) {
			index = rail_data_receiver(f + o.off);
			d[n_d] = (struct rx_dgram){
				.m = m[i], .src_port = o.src_port, .udp_len = o.len};
			memcpy(d[n_d++].src_ip, o.src_ip, 16);
			rte_pktmbuf_adj(m[i], o.off);
			rte_pktmbuf_trim(m[i], m[i]->data_len - o.len);
			continue;
		}
		if (v == PARSE_HANDSHAKE && p->ops.handshake != NULL)
			p->ops.handshake(p->ctx, f, &o, be16_get(f + o.off - PARSE_UDP_LEN + 2));
		else if (v == PARSE_OTHER && p->ops.other != NULL)
			p->ops.other(p->ctx, q->port, f, m[i]->data_len);
		rte_pktmbuf_free(m[i]);
	}
	count(w, W_dgram_in, n_d);
	dgrams(p, d, n_d);
	if (index != 0)
		hop_expect(w, &q->expect, q->port, index);
}

// Counts data frames by their outer headers and frees them; returns how many frames are left in m,
// which others must look at. Now and then a burst is opened all the same, so that the link is known
// to live.
static unsigned count_frames(
	struct peer *p, const struct rx_queue *q, struct rte_mbuf **m, unsigned n)
{
	bool open = !p->frozen && p->w.now_ns - p->opened_ns >= OPEN_EVERY_MS * CLOCK_NS_PER_MS;
	unsigned left = 0;

	for (unsigned i = 0; i < n; i++) {
		const uint8_t *f = rte_pktmbuf_mtod(m[i], const uint8_t *);
		uint32_t len = m[i]->data_len;
		struct parsed o;

		if (parse_frame(f, len, p->w.mac[q->port], p->w.udp_ports, &o) != PARSE_DATA) {
			m[left++] = m[i];
			continue;
		}
		p->counted += o.len >= p->count_len;
		if (open)
			m[left++] = m[i];
		else
			rte_pktmbuf_free(m[i]);
	}
	if (open)
		p->opened_ns = p->w.now_ns;
	return left;
}

static unsigned rx_burst(struct peer *p, struct rx_queue *q)
{
	struct wctx *w = &p->w;
	struct rte_mbuf *m[BURST];
	unsigned got = rte_eth_rx_burst(q->port, q->queue, m, BURST), n = got, k, off, n_routes;
	struct hop *routes;

	if (n == 0)
		return 0;
	for (unsigned i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(m[i], const void *)); // for the headers, below
	if (p->count_len != 0 && (n = count_frames(p, q, m, n)) == 0)
		return got;
	k = hop_rx_expected(w, &q->expect, m, n, &routes, &n_routes, &off);
	for (unsigned i = 0; off != 0 && i < n_routes; i++)
		hop_cut_strip(m[i]);
	if (routes != NULL)
		on_routes(w, routes, m, n_routes);
	if (k < n)
		rx_general(p, q, m + k, n - k);
	return got;
}

// ---- the turn ----

uint64_t peer_now_ns(const struct peer *p)
{
	return p->base_ns + (uint64_t)((double)(rte_rdtsc() - p->base_tsc) * p->ns_per_tsc);
}

void peer_seal(struct peer *p)
{
	hop_tx_flush(&p->w);
}

unsigned peer_turn(struct peer *p)
{
	struct wctx *w = &p->w;
	unsigned n = 0, all = 0;

	w->now_tsc = rte_rdtsc();
	w->now_ns = peer_now_ns(p);
	w->now_ds = (uint32_t)(w->now_ns / DS_NS);
	w->foreign_credit = w->tsc_hz / 1000; // our own node is no stranger
	hop_commands(w);
	for (uint16_t i = 0; i < w->n_rxq; i++) {
		unsigned bursts = 0;

		do {
			n = rx_burst(p, &w->rxq[i]);
			all += n;
		} while (n == BURST && ++bursts < RX_BURSTS);
	}
	if (!p->frozen)
		hop_timers(w);
	hop_tx_flush(w);
	for (uint16_t i = 0; i < w->n_rxq; i++)
		if (w->tx[w->rxq[i].port].n != 0)
			tx_flush(w, w->rxq[i].port);
	reclaim_quiescent(w->reclaim, 0);
	return all;
}

uint64_t peer_refused(const struct peer *p)
{
	static const enum worker_counter lost[] = {W_drop_tx_full, W_drop_adj, W_drop_seal_hop,
		W_drop_seal_limit, W_drop_no_mbuf, W_drop_unproven};
	uint64_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(lost); i++)
		n += stat_get(&p->stats.c[lost[i]]);
	return n;
}

// ---- routes ----

static unsigned rule_bits(uint32_t n)
{
	unsigned bits = RULE_BITS_MIN;

	while (1u << bits < n)
		bits++;
	return bits;
}

uint64_t peer_need(uint32_t n_routes)
{
	return n_routes == 0 ? 0 : (uint64_t)sizeof(struct rule) << rule_bits(n_routes);
}

int peer_route_add(struct peer *p, uint32_t nr, uint32_t id, uint32_t hop)
{
	const struct cmd_rule_add c = {.id = 1u << p->rules.bits | nr,
		.next_id = id,
		.tx_hop = hop,
		.in_tp = RULE_IN_LOCAL,
		.flags = RULE_STATIC,
		.type = RULE_FORWARD};

	return nr <= p->rules.mask ? rule_table_add(&p->rules, &c, p->w.now_ds) : -EINVAL;
}

// ---- begin and end ----

static int tables_new(struct peer *p, const struct peer_conf *conf)
{
	int rc = 0;

	p->w.reclaim = reclaim_new(1);
	if (p->w.reclaim == NULL)
		return -ENOMEM;
	if (conf->n_routes > 0)
		rc = rule_table_init(
			&p->rules, rule_bits(conf->n_routes), SOCKET_ID_ANY, p->w.reclaim);
	if (rc < 0)
		return rc;
	p->w.rules = &p->rules;
	p->w.hops = hop_table_new(&(struct hop_table_conf){.hop_max = conf->hop_max,
		.rx_index_bits = (uint8_t)conf->rx_index_bits,
		.n_workers = 1,
		.rel_bufs = conf->n_routes > 0 ? conf->rel_bufs : 0,
		.rules = &p->rules});
	p->w.adjs = adj_table_new(conf->hop_max, p->w.reclaim);
	return p->w.hops == NULL || p->w.adjs == NULL ? -ENOMEM : 0;
}

struct peer *peer_new(const struct peer_conf *conf)
{
	struct peer *p = rte_zmalloc("peer", sizeof(*p), 64);
	void *ciphers = rte_zmalloc("ciphers", aead_ctx_size(), 64);
	int rc;

	if (p == NULL || ciphers == NULL) {
		rte_free(ciphers);
		rte_free(p);
		return errno_null(ENOMEM);
	}
	p->w.aead = aead_ctx_init(ciphers);
	p->sink = conf->sink;
	p->sink_ctx = conf->sink_ctx;
	p->ops = conf->ops;
	p->ctx = conf->ctx;
	p->ns_per_tsc = 1e9 / (double)rte_get_tsc_hz();
	p->base_tsc = rte_rdtsc();
	p->base_ns = clock_mono_ns();
	p->w.c = p->stats.c;
	p->w.stats = &p->stats;
	p->w.pool = conf->pool;
	p->w.sink = on_routes;
	p->w.ops = &hop_ops;
	p->w.n_workers = 1;
	p->w.udp_ports = (struct parse_ports){.first = conf->udp_port, .n = conf->n_udp};
	p->w.tsc_hz = rte_get_tsc_hz();
	p->w.rng = rte_rdtsc() | 1;
	rc = tables_new(p, conf);
	if (rc < 0) {
		peer_free(p);
		return errno_null(-rc);
	}
	reclaim_online(p->w.reclaim, 0);
	return p;
}

void peer_free(struct peer *p)
{
	if (p == NULL)
		return;
	for (unsigned i = 0; i < DPMSG_MAX_PORTS; i++)
		rte_pktmbuf_free_bulk(p->w.tx[i].m, p->w.tx[i].n);
	if (p->w.hops != NULL)
		hop_table_free(p->w.hops);
	if (p->w.adjs != NULL)
		adj_table_free((struct adj_table *)(uintptr_t)p->w.adjs);
	if (p->rules.slots != NULL)
		rule_table_fini(&p->rules);
	if (p->w.reclaim != NULL)
		reclaim_free(p->w.reclaim);
	rte_free(p->w.aead);
	rte_free(p);
}

void peer_port(struct peer *p, uint16_t port, uint16_t n_rxq, uint16_t mtu)
{
	struct wctx *w = &p->w;
	struct rte_ether_addr mac;

	if (rte_eth_macaddr_get(port, &mac) == 0)
		memcpy(w->mac[port], &mac, 6);
	for (uint16_t q = 0; q < n_rxq && w->n_rxq < ARRAY_LEN(w->rxq); q++)
		w->rxq[w->n_rxq++] = (struct rx_queue){.port = port, .queue = q};
	w->tx[port].queue = 0;
	w->tx[port].mtu = mtu;
}
