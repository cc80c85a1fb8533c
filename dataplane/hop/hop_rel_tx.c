// Packets of reliable hops into the queues of their routes, and datagrams out (rail.md 4). What is
// to be sent and when is decided by lib/link/rel; here its description of a datagram becomes bytes.
// A packet that goes alone is sealed from where it is kept, its frame header written before it,
// into a fresh buffer; everything else is put together there first.

#include "dataplane/hop/hop_route.h"

#include "lib/link/rel_run.h"
#include "lib/wire/route_hdr.h"

#include <rte_prefetch.h>

#include <limits.h>

enum {
	NO_WAY_NS = 10 * 1000 * 1000, // looked at again when there is no next hop, key or buffer
};

// ---- datagrams out ----

struct batch {
	unsigned n;
	unsigned n_fresh; // buffers: those behind the n are empty
	struct rte_mbuf *m[BURST];
	struct aead_op op[BURST];
};

static void copy_piece(uint8_t *to, const struct rel_piece *p)
{
	const void *from = rte_pktmbuf_read(p->handle, p->off, p->len, to);

	if (from != to)
		memcpy(to, from, p->len);
}

static void assemble(uint8_t *to, const struct rel_dgram *d)
{
	for (unsigned i = 0; i < d->n; i++) {
		const struct rel_piece *p = &d->piece[i];

		memcpy(to, &d->hdr[p->hdr_off], p->hdr_len);
		to += p->hdr_len;
		if (p->handle != NULL)
			copy_piece(to, p);
		to += p->len;
	}
	memset(to, 0, d->pad);
}

// All of it in one buffer, with room before it for so many bytes.
static inline bool is_whole(const struct rte_mbuf *m, uint32_t len, uint32_t before)
{
	return m->nb_segs == 1 && m->data_len == len && m->data_off >= before;
}

// Where the frames of a datagram may be that is one whole packet, with or without an ACK before it;
// NULL if it is something else. Only such packets stay where they are while the burst is gathered.
static inline uint8_t *in_place(const struct rel_dgram *d)
{
	const struct rel_piece *p = &d->piece[d->n - 1];
	struct rte_mbuf *m = (struct rte_mbuf *)(uintptr_t)p->handle;

	if (d->n > 2 || p->hdr_len != RAIL_SEQ_HDR_LEN || d->pad != 0 || m == NULL ||
		!is_whole(m, p->len, d->hdr_len) || (d->n == 2 && d->piece[0].handle != NULL))
		return NULL;
	return rte_pktmbuf_mtod(m, uint8_t *) - d->hdr_len;
}

// What every datagram has: its header, and where it is to be sealed.
static inline void begin(const struct hop_key *key, uint64_t counter, uint32_t len,
	struct rte_mbuf *m, struct aead_op *op)
{
	uint8_t *hdr = rte_pktmbuf_mtod(m, uint8_t *);
	uint8_t *frames = hdr + RAIL_DATA_HDR_LEN;

	op->src = frames;
	op->dst = frames;
	op->len = len;
	op->aad = hdr;
	op->aad_len = RAIL_DATA_HDR_LEN;
	op->tag = frames + len;
	aead_nonce_be(op->nonce, counter);
	rail_data_hdr_put(hdr, key->tx_index, counter);
	m->data_len = (uint16_t)(len + RAIL_DATA_OVERHEAD);
	m->pkt_len = m->data_len;
}

// The datagram as bytes in m, but for the seal.
static inline void build(const struct hop_key *key, const struct rel_dgram *d, struct rte_mbuf *m,
	struct aead_op *op)
{
	uint8_t *frames = rte_pktmbuf_mtod(m, uint8_t *) + RAIL_DATA_HDR_LEN;
	uint8_t *kept = in_place(d);

	begin(key, d->counter, d->len, m, op);
	if (likely(kept != NULL)) {
		memcpy(kept, d->hdr, d->hdr_len);
		op->src = kept;
	} else {
		assemble(frames, d);
	}
}

// The same for a packet that goes alone.
static inline void build_run(const struct hop_key *key, const struct rel_sent *s, uint64_t counter,
	struct rte_mbuf *m, struct aead_op *op)
{
	struct rte_mbuf *kept = s->handle;
	uint8_t *to = rte_pktmbuf_mtod(m, uint8_t *) + RAIL_DATA_HDR_LEN, *frame;

	begin(key, counter, s->len + RAIL_SEQ_HDR_LEN, m, op);
	if (likely(is_whole(kept, s->len, RAIL_SEQ_HDR_LEN))) {
		frame = rte_pktmbuf_mtod(kept, uint8_t *) - RAIL_SEQ_HDR_LEN;
		memcpy(frame, s->hdr, RAIL_SEQ_HDR_LEN);
		op->src = frame;
	} else {
		const struct rel_piece p = {.handle = kept, .len = s->len};

		memcpy(to, s->hdr, RAIL_SEQ_HDR_LEN);
		copy_piece(to + RAIL_SEQ_HDR_LEN, &p);
	}
}

static void clear(struct batch *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		if (b->op[i].src != b->op[i].dst)
			memcpy(b->op[i].dst, b->op[i].src, b->op[i].len);
		memset(b->op[i].tag, 0, RAIL_TAG_LEN);
	}
}

// What goes beyond three times of what came from an address that is not proven is lost.
static void within_try(struct wctx *w, struct hop *h, struct batch *b)
{
	unsigned fit = 0;

	for (; fit < b->n && b->m[fit]->data_len <= h->try_bytes; fit++)
		h->try_bytes -= b->m[fit]->data_len;
	count(w, W_tx_built, b->n - fit);
	count(w, W_drop_unproven, b->n - fit);
	rte_pktmbuf_free_bulk(b->m + fit, b->n - fit);
	b->n = fit;
}

static void send_batch(struct wctx *w, struct hop *h, const struct adj *a, struct batch *b)
{
	struct hop_key *key = &h->keys[h->send];
	uint64_t bytes = 0;

	b->n_fresh = 0;
	if (unlikely(h->trying))
		within_try(w, h, b);
	if (b->n == 0)
		return;
	if (key->cipher == AEAD_NONE)
		clear(b);
	else
		key->aead->seal(w->aead, &key->tx, b->op, b->n);
	for (unsigned i = 0; i < b->n; i++)
		bytes += b->m[i]->data_len;
	hop_count(h, H_hop_tx_datagrams, b->n);
	hop_count(h, H_hop_tx_bytes, bytes);
	h->last_tx_ns = w->now_ns;
	if (h->first_tx_ns == 0)
		h->first_tx_ns = w->now_ns;
	encap_burst(w, a, b->m, b->n, h->local_port, h->peer.port);
	b->n = 0;
}

// Buffers for a batch, of which nothing is touched yet: not all of them may be used.
static bool get_buffers(struct wctx *w, struct batch *b)
{
	unsigned n = BURST - b->n;

	if (likely(rte_mempool_get_bulk(w->pool, (void **)&b->m[b->n], n) == 0)) {
		b->n_fresh = BURST;
		return true;
	}
	if (rte_mempool_get(w->pool, (void **)&b->m[b->n]) == 0) {
		b->n_fresh = b->n + 1;
		return true;
	}
	count(w, W_frames_no_mbuf, 1);
	return false;
}

static void put_buffers(struct wctx *w, struct batch *b)
{
	if (b->n_fresh > b->n)
		rte_mempool_put_bulk(w->pool, (void **)&b->m[b->n], b->n_fresh - b->n);
	b->n_fresh = b->n;
}

// A buffer of the pool (one segment, one reference, as it was freed) in which a datagram begins
// where headers leave off. The second cache line of the mbuf says nothing that matters then.
static inline void fresh(struct rte_mbuf *m)
{
	m->data_off = RTE_MAX(RTE_PKTMBUF_HEADROOM, ENCAP_HDR_MAX);
	m->port = RTE_MBUF_PORT_INVALID;
	m->ol_flags = 0;
	m->packet_type = 0;
	m->vlan_tci = 0;
	m->vlan_tci_outer = 0;
}

// Many that are alike. Returns how many.
static unsigned add_run(struct wctx *w, struct hop *h, struct batch *b)
{
	const struct hop_key *key = &h->keys[h->send];
	struct rel_sent s[BURST];
	uint64_t counter;
	unsigned n = rel_next_run(h->rel->rel, s, b->n_fresh - b->n, &counter, w->now_ns);

	for (unsigned i = 0; i < n; i++) { // all of them, before the first is written to
		struct rte_mbuf *m = b->m[b->n + i];

		__builtin_prefetch(m, 1);
		__builtin_prefetch((uint8_t *)m->buf_addr + RTE_PKTMBUF_HEADROOM - 64, 1);
		__builtin_prefetch(s[i].handle, 0);
	}
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = b->m[b->n + i];

		fresh(m);
		build_run(key, &s[i], counter + i, m, &b->op[b->n + i]);
	}
	b->n += n;
	if (n != 0)
		h->tx_counter = counter + n;
	return n;
}

static bool add_one(struct wctx *w, struct hop *h, struct batch *b)
{
	struct rel_dgram d;

	if (!rel_next(h->rel->rel, &d, w->now_ns))
		return false;
	fresh(b->m[b->n]);
	build(&h->keys[h->send], &d, b->m[b->n], &b->op[b->n]);
	b->n++;
	h->tx_counter = d.counter + 1;
	return true;
}

static void send_some(struct wctx *w, struct hop *h, const struct adj *a)
{
	unsigned left = REL_TX_TURN, n;
	struct batch b;

	b.n = 0;
	b.n_fresh = 0;
	while (left > 0) {
		if (b.n == b.n_fresh && !get_buffers(w, &b))
			break;
		n = add_run(w, h, &b);
		if (n == 0)
			n = add_one(w, h, &b);
		if (n == 0)
			break;
		left -= RTE_MIN(n, left);
		if (b.n == BURST)
			send_batch(w, h, a, &b);
	}
	put_buffers(w, &b);
	send_batch(w, h, a, &b);
}

static void arm(struct wctx *w, struct hop *h, uint64_t least_ns)
{
	uint64_t due = rel_deadline(h->rel->rel);

	if (due == UINT64_MAX)
		return;
	if (due < w->now_ns + least_ns)
		due = w->now_ns + least_ns;
	wheel_set(&hop_hold(w)->wheel, &h->rel->timer, due, w->now_ns);
}

// What may leave now. False: there is no next hop, key or number.
static bool send_now(struct wctx *w, struct hop *h)
{
	const struct adj *a = adj_find(w->adjs, h->adj);

	h->rel->n_pushed = 0;
	if (unlikely(h->send < 0 || a == NULL))
		return false;
	if (unlikely(!hop_may_seal(h, REL_TX_TURN))) {
		count(w, W_rel_no_numbers, 1);
		return false;
	}
	hop_rel_room(w, h);
	send_some(w, h, a);
	return true;
}

void hop_rel_flush(struct wctx *w, struct hop *h)
{
	if (unlikely(h->rel->more))
		hop_rel_more(w, h);
	if (likely(send_now(w, h)))
		arm(w, h, 0);
	else if (h->send >= 0)
		arm(w, h, NO_WAY_NS);
	hop_rel_count(w, h);
}

// ---- packets in ----

static void refused(struct wctx *w, uint32_t id, uint32_t route, struct rte_mbuf *m)
{
	drop(w, W_drop_route_ended, m);
	if (id != 0)
		hop_route_refused(w, route);
}

// Packets of route id 0, the transport's own. The entry is opened by the first one: it takes
// memory.
static uint32_t own_route(struct wctx *w, struct hop *h)
{
	struct hop_rel *hr = h->rel;
	struct hop_hold *hh = hop_hold(w);

	if (!rel_queue_is_open(rel_queue(hr->rel), hr->ctl)) {
		*hop_route_info(hh, hr->ctl) = (struct hop_route){
			.hop = h->handle, .in_tp = RULE_IN_ANY, .account = hh->account};
		rel_queue_open(rel_queue(hr->rel), hr->ctl, 0);
	}
	return hr->ctl;
}

static void push_one(struct wctx *w, struct hop *h, struct rel_queue *q, struct rte_mbuf *m)
{
	struct hop_hold *hh = hop_hold(w);
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t id = route_hdr_id(p), route = m->hash.usr;
	uint8_t type = route_hdr_type(p);
	const struct hop_route *info;
	struct rel_pkt pkt;
	unsigned flags;

	if (unlikely(id == 0 && h->rel != NULL))
		route = own_route(w, h);
	else if (unlikely(id == 0 || !hop_route_ready(w, h->handle, route, id))) {
		refused(w, id, route, m);
		return;
	}
	info = hop_route_info(hh, route);
	if (unlikely((info->flags & (HOP_ROUTE_LOSSY | HOP_ROUTE_PAUSED)) ==
		     (HOP_ROUTE_LOSSY | HOP_ROUTE_PAUSED))) {
		drop(w, W_drop_route_full, m);
		return;
	}
	pkt = (struct rel_pkt){
		.handle = m, .len = m->pkt_len, .account = info->account, .bufs = m->nb_segs};
	flags = type == ROUTE_KEEP_ALIVE ? REL_PUSH_KEEP_ALIVE : 0;
	if (unlikely(!rel_queue_push(q, route, &pkt, flags, w->now_ns)))
		refused(w, id, route, m);
	else if (unlikely(type == ROUTE_CLOSE && id != 0))
		hop_route_drain(w, route, q);
}

// One that is like nearly all: of a route that is open, waits for nothing and goes on.
static inline bool is_usual(
	const struct wctx *w, const struct hop_hold *hh, const struct hop *h, struct rte_mbuf *m)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t route = m->hash.usr;

	return likely(route < hh->shared->n_rules && route_hdr_id(p) != 0 &&
		      hop_route_is_at(w, hh, h->handle, route) && hh->info[route].flags == 0 &&
		      route_hdr_type(p) != ROUTE_KEEP_ALIVE && route_hdr_type(p) != ROUTE_CLOSE);
}

// So many usual ones, in order. Those that do not just wait are for push_one().
static void push_usual(struct wctx *w, struct hop *h, struct rel_queue *q, struct rte_mbuf **m,
	const struct rel_push *p, unsigned n)
{
	unsigned i = 0;

	while (i < n) {
		i += rel_push_run(q, p + i, n - i);
		if (unlikely(i < n))
			push_one(w, h, q, m[i++]);
	}
}

static void push_all(
	struct wctx *w, struct hop *h, struct rel_queue *q, struct rte_mbuf **m, unsigned n)
{
	const struct hop_hold *hh = hop_hold(w);
	struct rel_push p[BURST];
	unsigned first = 0, i;

	for (i = 0; i < n; i++) {
		if (unlikely(!is_usual(w, hh, h, m[i]))) {
			push_usual(w, h, q, m + first, p + first, i - first);
			push_one(w, h, q, m[i]);
			first = i + 1;
			continue;
		}
		p[i].pkt.handle = m[i];
		p[i].pkt.len = m[i]->pkt_len;
		p[i].pkt.account = hh->info[m[i]->hash.usr].account;
		p[i].pkt.bufs = m[i]->nb_segs;
		p[i].route = m[i]->hash.usr;
	}
	push_usual(w, h, q, m + first, p + first, n - first);
}

void hop_queue_push(
	struct wctx *w, struct hop *h, struct rel_queue *q, struct rte_mbuf **m, unsigned n)
{
	const struct hop_hold *hh = hop_hold(w);

	count(w, W_seal_in, n);
	for (unsigned i = 0; i < n; i++) {
		uint32_t route = m[i]->hash.usr;

		if (likely(route < hh->shared->n_rules)) { // not all came by forward.c's fetching
			rel_queue_prefetch(hh->routes, route);
			rte_prefetch0(&hh->info[route]);
		}
	}
	push_all(w, h, q, m, n);
}

void hop_rel_push(struct wctx *w, struct hop *h, struct rte_mbuf **m, unsigned n)
{
	hop_queue_push(w, h, rel_queue(h->rel->rel), m, n);
	h->rel->n_pushed += n;
	if (h->rel->n_pushed >= BURST)
		send_now(w, h);
	hop_rel_wake(w, h);
}

unsigned hop_tx_room(const struct wctx *w, const struct hop *h)
{
	const struct hop_hold *hh = hop_hold(w);
	struct rel_hold_stats st;

	if (!hop_keeps_order(h))
		return UINT_MAX;
	rel_hold_stats(hh->hold, &st);
	// half of the budget: what comes in by this worker's hops has the rest
	return st.bufs < hh->max_bufs / 2 ? hh->max_bufs / 2 - st.bufs : 0;
}

bool hop_tx_waits(const struct wctx *w, uint32_t route)
{
	const struct hop_hold *hh = hop_hold(w);

	return hh != NULL && route < hh->shared->n_rules &&
	       (hh->info[route].flags & HOP_ROUTE_PAUSED) != 0;
}
