// Reliable hops: life at their owner, timers, counters (rail.md 4). How packets come in is in
// hop_rel_rx.c, how they go out in hop_rel_tx.c; whose routes are here in hop_route.c, and what
// becomes of them in hop_route_event.c.

#include "dataplane/hop/hop_mtu.h"
#include "dataplane/hop/hop_route.h"

enum { HEADROOM = ENCAP_HDR_MAX + RAIL_DATA_HDR_LEN };

// ---- timers ----

void hop_rel_wake(struct wctx *w, struct hop *h)
{
	if (h->pending)
		return;
	h->pending = true;
	h->next_pending = w->tx_pending;
	w->tx_pending = h;
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

// To workers whose carried hops have packets for us.
static void say_bufs(struct hop_hold *hh)
{
	uint32_t bufs = rel_hold_bufs(hh->hold);

	if (bufs != atomic_load_explicit(&hh->bufs, memory_order_relaxed))
		atomic_store_explicit(&hh->bufs, bufs, memory_order_relaxed);
}

void hop_rel_timers(struct wctx *w)
{
	struct hop_hold *hh = hop_hold(w);
	struct hop_timer *t;

	if (w->n_workers > 1)
		say_bufs(hh);
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
	hop_routes_late(w);
	count_hold(w, hh);
	hop_accounts_sweep(w);
}

// ---- life ----

void hop_hold_begin(struct wctx *w)
{
	struct hop_hold *hh = hop_hold(w);

	hh->w = w;
	w->rel_entry = (const uint8_t *)hh->routes;
	w->rel_info = (const uint8_t *)hh->info;
}

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

	hop_hold_begin(w);
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
static void forget(struct wctx *w, struct hop *h, uint8_t reason)
{
	hop_routes_turn(w); // none of what is still to be done names it later
	wheel_cancel(&hop_hold(w)->wheel, &h->rel->timer);
	hop_rel_count(w, h);
	hop_routes_reset(w, h, reason);
	memset(h->probes, 0, sizeof(h->probes));
}

void hop_rel_reset(struct wctx *w, struct hop *h, uint8_t reason)
{
	hop_routes_turn(w); // what came behind an EMPTY is to be ended, too
	if (h->rel->more)
		hop_rel_last(w, h, reason);
	forget(w, h, reason);
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
	forget(w, h, RAIL_GONE_HOP_DOWN);
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
	count(w, W_acks_looked, now.acks_looked - old->acks_looked);
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
	put32(&st->queued_packets, now.waiting);
	atomic_store_explicit(&st->queued, now.waiting_bytes, memory_order_relaxed);
	put32(&st->paused, h->n_paused);
	put32(&st->held, rel_hold_account_bufs(h->rel->hold, h->rel->account));
	atomic_store_explicit(&st->cwnd, now.cwnd, memory_order_relaxed);
	atomic_store_explicit(&st->in_flight, now.in_flight, memory_order_relaxed);
	atomic_store_explicit(&st->rate, now.rate, memory_order_relaxed);
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

static void send_try(struct wctx *w, struct hop *h)
{
	struct hop_rel *hr = h->rel;

	hr->try_sent_ns = w->now_ns;
	hr->n_tries += hr->n_tries < UINT8_MAX;
	probe(w, h, tag_of(h, PROBE_TRY), REL_TRY_SIZE);
}

// Any of those since the address is tried will do, however late: all went there.
static void on_try(struct wctx *w, struct hop *h, const struct rel_event *ev)
{
	uint32_t mask = ~(uint32_t)PROBE_KIND;
	uint32_t sent = h->next_probe - h->rel->try_first;

	if (!h->trying || ((ev->tag - h->rel->try_first) & mask) >= sent)
		return; // of an address before
	if (ev->ok)
		h->trying = false; // the peer is there
	else if (((h->next_probe - ev->tag) & mask) == 1)
		send_try(w, h); // something later arrived
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
		on_try(w, h, ev);
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
	h->rel->try_first = h->next_probe;
	h->rel->n_tries = 0;
	send_try(w, h);
}

void hop_rel_try_again(struct wctx *w, struct hop *h)
{
	struct hop_rel *hr = h->rel;
	unsigned twice = hr->n_tries > 0 ? hr->n_tries - 1u : 0;
	uint64_t wait = rel_path(hr->rel).pto_ns << RTE_MIN(twice, 20u);

	if (w->now_ns - hr->try_sent_ns >= RTE_MIN(wait, (uint64_t)REL_PTO_FIRST_NS))
		send_try(w, h);
}

uint64_t hop_rel_try_ns(const struct hop *h)
{
	return 3 * RTE_MAX(rel_path(h->rel->rel).pto_ns, (uint64_t)REL_PTO_FIRST_NS);
}
