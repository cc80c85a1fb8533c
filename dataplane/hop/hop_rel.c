// Reliable hops: life at their owner, packets into the queue, datagrams out (rail.md 4). What is to
// be sent and when is decided by lib/link/rel; here its description of a datagram becomes bytes. A
// packet that goes alone is sealed from where it is kept, its frame header written before it, into
// a fresh buffer; everything else is put together there first. How packets come in is in
// hop_rel_rx.c, whose routes are here in hop_route.c, what becomes of them in hop_route_event.c.

#include "dataplane/hop/hop_mtu.h"
#include "dataplane/hop/hop_route.h"

#include "lib/wire/route_hdr.h"

#include <rte_prefetch.h>

enum {
	HEADROOM = ENCAP_HDR_MAX + RAIL_DATA_HDR_LEN,
	NO_WAY_NS = 10 * 1000 * 1000, // looked at again when there is no next hop, key or buffer
};

// ---- timers ----

void hop_rel_wake(struct wctx *w, struct hop *h)
{
	if (h->pending)
		return;
	h->pending = true;
	h->next_pending = w->tx_pending;
	w->tx_pending = h;
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

static void count_hold(struct wctx *w, struct hop_hold *hh)
{
	struct rel_hold_stats now;

	rel_hold_stats(hh->hold, &now);
	count(w, W_rel_no_nodes, now.no_nodes - hh->no_nodes);
	count(w, W_rel_no_spares, now.no_spares - hh->no_spares);
	hh->no_nodes = now.no_nodes;
	hh->no_spares = now.no_spares;
}

void hop_rel_timers(struct wctx *w)
{
	struct hop_hold *hh = hop_hold(w);
	struct hop_timer *t;

	while ((t = wheel_due(&hh->wheel, w->now_ns)) != NULL) {
		struct hop_rel *hr = container_of(t, struct hop_rel, timer);

		rel_tick(hr->rel, w->now_ns);
		hop_rel_wake(w, hr->hop);
	}
	if (w->now_ns - hh->tick_ns < REL_TICK_NS)
		return;
	hh->tick_ns = w->now_ns;
	rel_hold_tick(hh->hold, w->now_ns);
	hop_routes_say_again(w);
	count_hold(w, hh);
	hop_accounts_sweep(w);
}

// ---- life ----

void hop_rel_begin(struct wctx *w, struct hop *h)
{
	struct hop_rel *hr = h->rel;
	struct hop_hold *hh = hop_hold(w);
	struct rel_conf conf = {.link = h,
		.account = hop_account(w, h->tp),
		.window_log2 = hr->window_log2,
		.window_max_log2 = REL_WINDOW_LOG2,
		.keepalive_ns = h->keepalive_ns,
		.silence_s = hr->silence_s,
		.retransmit_limit = hr->retransmit_limit,
		.max_frames = REL_MAX_FRAMES,
		.room = RAIL_PAYLOAD_FLOOR - RAIL_DATA_OVERHEAD,
		.overhead = RAIL_DATA_OVERHEAD,
		.cc = hr->cc,
		.replay = h->replay,
		.on_frame = hop_rel_on_frame};

	hh->w = w;
	hh->seed = hh->seed * 6364136223846793005ull + 1442695040888963407ull;
	conf.seed = hh->seed;
	hr->hop = h;
	hr->hold = hh->hold;
	hr->account = conf.account;
	rel_init(hr->rel, hh->hold, &conf, w->now_ns);
	hr->begun = true;
	hop_rel_room(w, h);
}

// What is freed now was in flight or waiting.
static void forget(struct wctx *w, struct hop *h)
{
	hop_routes_turn(w); // none of what is still to be done names it later
	wheel_cancel(&hop_hold(w)->wheel, &h->rel->timer);
	hop_rel_count(w, h);
	hop_routes_reset(w, h);
	memset(h->probes, 0, sizeof(h->probes));
	h->rel->try_tag = 0;
}

void hop_rel_reset(struct wctx *w, struct hop *h, uint8_t reason)
{
	forget(w, h);
	hop_hold(w)->freeing = reason;
	rel_reset(h->rel->rel, w->now_ns);
	hop_rel_count(w, h);
	h->rel->reset_untold = true;
	h->rel->reset_reason = reason;
	count(w, W_rel_resets, 1);
	hop_rel_visit(w, h);
}

void hop_rel_end(struct wctx *w, struct hop *h)
{
	forget(w, h);
	hop_hold(w)->freeing = RAIL_GONE_HOP_DOWN;
	rel_fini(h->rel->rel);
	hop_rel_count(w, h);
	h->rel->begun = false;
}

void hop_rel_drain(struct hop *h)
{
	if (h->rel->begun)
		rel_fini(h->rel->rel);
	h->rel->begun = false;
}

void hop_rel_visit(struct wctx *w, struct hop *h)
{
	struct hop_rel *hr = h->rel;

	if (hr->reset_untold && hop_note_simple(w, h, NOTE_HOP_RESET, hr->reset_reason))
		hr->reset_untold = false;
}

void hop_rel_room(struct wctx *w, struct hop *h)
{
	uint32_t room = hop_frame_room(w, h, adj_find(w->adjs, h->adj));
	uint32_t most = rte_pktmbuf_data_room_size(w->pool) - HEADROOM - RAIL_TAG_LEN -
			RTE_PKTMBUF_HEADROOM;

	room = RTE_MIN(room, most);
	if (room != h->rel->room && room != 0) {
		h->rel->room = room;
		rel_set_room(h->rel->rel, room);
	}
}

// ---- counters ----

void hop_rel_count(struct wctx *w, struct hop *h)
{
	struct rel_stats *old = &h->rel->seen, now;

	rel_stats(h->rel->rel, &now);
	count(w, W_seal_acked, now.tx_packets - old->tx_packets);
	count(w, W_drop_seal_freed, now.tx_freed - old->tx_freed);
	hop_count(h, H_hop_tx_packets, now.tx_packets - old->tx_packets);
	hop_count(h, H_hop_tx_lost, now.tx_lost - old->tx_lost);
	if (unlikely(now.tx_lost != old->tx_lost || now.tx_pto != old->tx_pto ||
		     now.tx_rtx != old->tx_rtx || now.tx_empty != old->tx_empty)) {
		count(w, W_rel_lost, now.tx_lost - old->tx_lost);
		count(w, W_rel_spurious, now.tx_spurious - old->tx_spurious);
		count(w, W_rel_retransmitted, now.tx_rtx - old->tx_rtx);
		count(w, W_rel_timeouts, now.tx_pto - old->tx_pto);
		count(w, W_rel_emptied, now.tx_empty - old->tx_empty);
		hop_count(h, H_hop_tx_retransmitted, now.tx_rtx - old->tx_rtx);
		hop_count(h, H_hop_tx_timeouts, now.tx_pto - old->tx_pto);
	}
	count(w, W_acks_tx, now.acks_sent - old->acks_sent);
	count(w, W_rel_duplicates, now.rx_dup - old->rx_dup);
	count(w, W_rel_held, now.rx_held - old->rx_held);
	count(w, W_rel_joined, now.rx_joined - old->rx_joined);
	count(w, W_rel_rx_freed, now.rx_freed - old->rx_freed);
	count(w, W_frames_ignored, now.rx_ignored - old->rx_ignored);
	*old = now;
}

static uint32_t us(uint64_t ns)
{
	return ns / 1000 < UINT32_MAX ? (uint32_t)(ns / 1000) : UINT32_MAX;
}

static void put32(_Atomic uint32_t *to, uint32_t v)
{
	atomic_store_explicit(to, v, memory_order_relaxed);
}

void hop_rel_publish(struct hop *h)
{
	struct stats_hop *st = h->st;
	struct rel_stats now;

	if (!h->rel->begun)
		return;
	rel_stats(h->rel->rel, &now);
	put32(&h->pub.rtt_us, us(now.srtt_ns));
	put32(&st->rtt_us, us(now.srtt_ns));
	put32(&st->min_rtt_us, us(now.min_rtt_ns));
	put32(&st->unacked, now.unacked);
	put32(&st->paused, h->rel->n_paused);
	put32(&st->held, rel_hold_account_bufs(h->rel->hold, h->rel->account));
	atomic_store_explicit(&st->cwnd, now.cwnd, memory_order_relaxed);
	atomic_store_explicit(&st->in_flight, now.in_flight, memory_order_relaxed);
	atomic_store_explicit(&st->rate, now.rate, memory_order_relaxed);
}

// ---- packets in ----

static void refused(struct wctx *w, struct hop *h, uint32_t route, struct rte_mbuf *m)
{
	if (route == h->rel->ctl)
		drop(w, W_drop_route_ended, m);
	else
		hop_route_refused(w, route, m);
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

static inline void push_one(struct wctx *w, struct hop *h, struct rte_mbuf *m)
{
	struct hop_hold *hh = hop_hold(w);
	struct rel_queue *q = rel_queue(h->rel->rel);
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t id = route_hdr_id(p), route = m->hash.usr;
	uint8_t type = route_hdr_type(p);
	const struct hop_route *info;
	struct rel_pkt pkt;
	unsigned flags;

	if (unlikely(id == 0))
		route = own_route(w, h);
	else if (unlikely(!hop_route_ready(w, h->handle, route, id))) {
		refused(w, h, route, m);
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
		refused(w, h, route, m);
	else if (unlikely(type == ROUTE_CLOSE && id != 0))
		hop_route_drain(w, route, q);
}

void hop_rel_push(struct wctx *w, struct hop *h, struct rte_mbuf **m, unsigned n)
{
	const struct hop_hold *hh = hop_hold(w);

	count(w, W_seal_in, n);
	for (unsigned i = 0; i < n; i++) {
		uint32_t route = m[i]->hash.usr;

		if (likely(route < hh->shared->n_rules)) {
			rel_queue_prefetch(hh->routes, route);
			rte_prefetch0(&hh->info[route]); // both: for push_one()
		}
	}
	for (unsigned i = 0; i < n; i++)
		push_one(w, h, m[i]);
	hop_rel_wake(w, h);
}

unsigned hop_tx_room(const struct wctx *w, const struct hop *h)
{
	const struct hop_hold *hh = hop_hold(w);
	struct rel_hold_stats st;

	if (h->rel == NULL)
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

// ---- datagrams out ----

struct batch {
	unsigned n;
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

// One whole packet in one buffer, with room before it for its frame header: NULL if not. Only such
// packets stay where they are while the burst is gathered.
static inline uint8_t *in_place(const struct rel_dgram *d)
{
	const struct rel_piece *p = &d->piece[0];
	struct rte_mbuf *m = (struct rte_mbuf *)(uintptr_t)p->handle;

	if (d->n != 1 || p->hdr_len != RAIL_SEQ_HDR_LEN || d->pad != 0 || m == NULL ||
		m->nb_segs != 1 || p->len != m->data_len || m->data_off < RAIL_SEQ_HDR_LEN)
		return NULL;
	return rte_pktmbuf_mtod(m, uint8_t *) - RAIL_SEQ_HDR_LEN;
}

// The datagram as bytes in m, but for the seal.
static inline void build(const struct hop_key *key, const struct rel_dgram *d, struct rte_mbuf *m,
	struct aead_op *op)
{
	uint8_t *hdr = rte_pktmbuf_mtod(m, uint8_t *);
	uint8_t *frames = hdr + RAIL_DATA_HDR_LEN;
	uint8_t *kept = in_place(d);

	op->src = frames;
	op->dst = frames;
	op->len = d->len;
	op->aad = hdr;
	op->aad_len = RAIL_DATA_HDR_LEN;
	op->tag = frames + d->len;
	aead_nonce_be(op->nonce, d->counter);
	rail_data_hdr_put(hdr, key->tx_index, d->counter);
	if (likely(kept != NULL)) {
		memcpy(kept, &d->hdr[d->piece[0].hdr_off], RAIL_SEQ_HDR_LEN);
		op->src = kept;
	} else {
		assemble(frames, d);
	}
	m->data_len = (uint16_t)(d->len + RAIL_DATA_OVERHEAD);
	m->pkt_len = m->data_len;
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

// A buffer in which a datagram begins where headers leave off.
static inline struct rte_mbuf *fresh(struct wctx *w)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);

	if (unlikely(m == NULL))
		count(w, W_frames_no_mbuf, 1);
	else if (m->data_off < ENCAP_HDR_MAX)
		m->data_off = ENCAP_HDR_MAX;
	return m;
}

static void send_some(struct wctx *w, struct hop *h, const struct adj *a)
{
	struct hop_rel *hr = h->rel;
	struct rel_dgram d;
	struct batch b;

	b.n = 0;
	for (unsigned i = 0; i < REL_TX_TURN; i++) {
		struct rte_mbuf *m = fresh(w);

		if (m == NULL || !rel_next(hr->rel, &d, w->now_ns)) {
			rte_pktmbuf_free(m);
			break;
		}
		h->tx_counter = d.counter + 1;
		build(&h->keys[h->send], &d, m, &b.op[b.n]);
		b.m[b.n++] = m;
		if (b.n == BURST)
			send_batch(w, h, a, &b);
	}
	send_batch(w, h, a, &b);
}

void hop_rel_flush(struct wctx *w, struct hop *h)
{
	const struct adj *a = adj_find(w->adjs, h->adj);

	if (unlikely(h->rel->more))
		hop_rel_more(w, h);
	if (unlikely(h->send < 0 || a == NULL || !hop_may_seal(h, REL_TX_TURN))) {
		if (h->send >= 0 && a != NULL)
			count(w, W_rel_no_numbers, 1);
		hop_rel_count(w, h);
		if (h->send >= 0)
			arm(w, h, NO_WAY_NS);
		return;
	}
	hop_rel_room(w, h);
	send_some(w, h, a);
	hop_rel_count(w, h);
	arm(w, h, 0);
}

// ---- what is said besides packets ----

bool hop_rel_frame(struct wctx *w, struct hop *h, uint8_t type, struct rte_mbuf *m)
{
	if (!rel_send_frame(h->rel->rel, type, m, m->pkt_len, w->now_ns)) {
		rte_pktmbuf_free(m);
		return false;
	}
	hop_rel_wake(w, h);
	return true;
}

static bool probe(struct wctx *w, struct hop *h, uint32_t tag, uint32_t size)
{
	if (!rel_probe(h->rel->rel, tag, size, w->now_ns))
		return false;
	count(w, W_probes_tx, 1);
	hop_count(h, H_hop_probes_tx, 1);
	hop_rel_wake(w, h);
	return true;
}

static uint32_t tag_of(struct hop *h, enum hop_probe_kind kind)
{
	return kind | (h->next_probe++ & ~(uint32_t)PROBE_KIND);
}

static void ping(struct wctx *w, struct hop *h, uint64_t cookie)
{
	struct hop_probe *p = &h->probes[h->next_probe % HOP_PROBES];
	uint32_t tag = tag_of(h, PROBE_PING);

	if (!probe(w, h, tag, REL_PING_SIZE))
		return;
	p->counter = tag;
	p->sent_ns = w->now_ns;
	p->cookie = cookie;
}

void hop_rel_probe(struct wctx *w, struct hop *h, uint64_t cookie)
{
	if (cookie != 0)
		ping(w, h, cookie);
	else
		probe(w, h, 0, 0);
}

bool hop_rel_probe_mtu(struct wctx *w, struct hop *h, uint16_t size, uint32_t len, uint32_t beside)
{
	uint32_t tag = PROBE_MTU | (uint32_t)size << 8 | (h->next_probe & 0xff);

	if (!probe(w, h, tag, len))
		return false;
	h->mtu_counter = tag;
	probe(w, h, tag_of(h, PROBE_BESIDE), beside);
	return true;
}

void hop_rel_on_probe(struct wctx *w, struct hop *h, const struct rel_event *ev)
{
	struct hop_probe *p = &h->probes[ev->tag % HOP_PROBES];

	switch (ev->tag & PROBE_KIND) {
	case PROBE_PING:
		if (p->sent_ns == 0 || p->counter != ev->tag)
			break; // told already
		p->sent_ns = 0;
		if (ev->ok)
			hop_note_rtt(w, h, p->cookie, ev->rtt_us);
		else
			ping(w, h, p->cookie); // once more
		break;
	case PROBE_TRY:
		if (!ev->ok || ev->tag != h->rel->try_tag)
			break;
		h->trying = false; // the peer is there
		h->rel->try_tag = 0;
		break;
	case PROBE_MTU:
		hop_mtu_on_probe(w, h, ev);
		break;
	default:
		break;
	}
}

void hop_rel_moved(struct wctx *w, struct hop *h)
{
	rel_path_changed(h->rel->rel, w->now_ns);
}

void hop_rel_try(struct wctx *w, struct hop *h)
{
	struct hop_rel *hr = h->rel;

	hr->try_tag = tag_of(h, PROBE_TRY);
	probe(w, h, hr->try_tag, REL_PING_SIZE);
}
