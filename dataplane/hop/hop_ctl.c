// What two hops say to each other besides route packets: probes and acks with the round trip they
// measure, closes, notices, re-key messages; and the path: which address we send to, and how it
// follows a peer that moved (rail.md 2 and 3). All of it is rare; nothing here is tuned.

#include "dataplane/hop/hop.h"
#include "dataplane/hop/hop_cmd.h"

#include "dataplane/hop/hop_mtu.h"
#include "dataplane/hop/hop_rel.h"

#define ROAM_TRY_NS (HOP_ROAM_TRY_S * 1000000000ull)

enum { CTL_ROOM = RAIL_HS_MAX + 3 };

// A buffer for one frame, with room for headers before and the tag behind it; NULL is counted.
static struct rte_mbuf *frame_begin(struct wctx *w, const struct hop *h, struct bytes_w *b)
{
	struct rte_mbuf *m;
	uint32_t room;

	if (h->send < 0 || !hop_may_seal(h, 1))
		return NULL;
	m = rte_pktmbuf_alloc(w->pool);
	if (m == NULL) {
		count(w, W_frames_no_mbuf, 1);
		return NULL;
	}
	room = rte_pktmbuf_tailroom(m) - RAIL_TAG_LEN;
	*b = bytes_w(rte_pktmbuf_mtod(m, uint8_t *), room < CTL_ROOM ? room : CTL_ROOM);
	return m;
}

static bool frame_send(struct wctx *w, struct hop *h, struct rte_mbuf *m, const struct bytes_w *b)
{
	if (b->bad) {
		rte_pktmbuf_free(m);
		return false;
	}
	m->data_len = (uint16_t)bytes_w_len(b);
	m->pkt_len = m->data_len;
	if (h->rel != NULL)
		return hop_rel_frame(w, h, *rte_pktmbuf_mtod(m, uint8_t *), m);
	hop_seal(w, h, &m, 1);
	return true;
}

static bool send_frame(struct wctx *w, struct hop *h, const struct rail_frame *f)
{
	struct bytes_w b;
	struct rte_mbuf *m = frame_begin(w, h, &b);

	if (m == NULL)
		return false;
	if (rail_frame_encode(&b, f) < 0)
		b.bad = true;
	return frame_send(w, h, m, &b);
}

// ---- probe and ack ----

void hop_send_probe(struct wctx *w, struct hop *h, uint64_t cookie)
{
	const struct rail_frame probe = {.type = RAIL_PROBE};
	struct hop_probe *p = &h->probes[h->next_probe % HOP_PROBES];
	uint64_t before = h->tx_counter;

	if (h->rel != NULL) {
		hop_rel_probe(w, h, cookie);
		return;
	}
	// the time of the attempt counts: without a buffer it is repeated as if it were lost
	h->probe_ns = w->now_ns;
	if (!send_frame(w, h, &probe) || h->tx_counter == before)
		return; // no number was spent on it, so no ack can name it
	p->counter = h->tx_counter - 1;
	p->sent_ns = w->now_ns;
	p->cookie = cookie;
	h->next_probe++;
	count(w, W_probes_tx, 1);
	hop_count(h, H_hop_probes_tx, 1);
}

void hop_send_ack(struct wctx *w, struct hop *h)
{
	struct replay_range seen[HOP_ACK_RANGES];
	struct rail_range ranges[HOP_ACK_RANGES];
	unsigned n = replay_ranges(h->replay, 0, seen, HOP_ACK_RANGES);
	struct bytes_w b;
	struct rte_mbuf *m;

	h->ack_due = false;
	if (n == 0)
		return;
	m = frame_begin(w, h, &b);
	if (m == NULL)
		return;
	for (unsigned i = 0; i < n; i++)
		ranges[i] = (struct rail_range){.hi = seen[i].hi, .lo = seen[i].lo};
	// datagram mode: no sequences, and the answer is at once
	if (rail_ack_build(&b, 0, 0, ranges, n) < 0)
		b.bad = true;
	if (frame_send(w, h, m, &b))
		count(w, W_acks_tx, 1);
}

void hop_note_rtt(struct wctx *w, const struct hop *h, uint64_t cookie, uint32_t rtt_us)
{
	struct dp_note n = {.kind = NOTE_HOP_RTT,
		.hop = h->handle,
		.tp = h->tp,
		.value = rtt_us,
		.cookie = cookie};

	hop_note(w, &n);
}

static uint32_t rtt_of(const struct wctx *w, const struct hop_probe *p, const struct rail_ack *ack)
{
	uint64_t us = (w->now_ns - p->sent_ns) / 1000;
	uint64_t delay_us = (uint64_t)ack->delay * RAIL_ACK_DELAY_UNIT_US;

	return (uint32_t)(us > delay_us ? us - delay_us : 1);
}

// An ACK answers the newest probe that it names, and those that may have come with it. Older ones
// had an ACK of their own, which was lost: when they were answered is not known.
static void probes_acked(
	struct wctx *w, struct hop *h, struct hop_probe **p, unsigned n, const struct rail_ack *ack)
{
	const struct hop_probe *newest = p[0];
	uint64_t sent_ns, rtt_us;

	for (unsigned i = 1; i < n; i++)
		if (p[i]->counter > newest->counter)
			newest = p[i];
	sent_ns = newest->sent_ns;
	rtt_us = rtt_of(w, newest, ack);
	atomic_store_explicit(&h->pub.rtt_us, (uint32_t)rtt_us, memory_order_relaxed);
	atomic_store_explicit(&h->st->rtt_us, (uint32_t)rtt_us, memory_order_relaxed);
	for (unsigned i = 0; i < n; i++) {
		if (p[i]->cookie != 0 && sent_ns - p[i]->sent_ns <= rtt_us * 1000)
			hop_note_rtt(w, h, p[i]->cookie, rtt_of(w, p[i], ack));
		if (h->trying && p[i]->counter >= h->try_counter)
			h->trying = false; // the peer is there
		p[i]->sent_ns = 0;
	}
	h->probe_ns = 0;
}

int hop_on_ack(struct wctx *w, struct hop *h, const struct rail_ack *ack)
{
	struct hop_probe *acked[HOP_PROBES];
	struct rail_ack_iter it = {0};
	struct rail_range r;
	unsigned n = 0;

	if (ack->highest >= h->tx_counter)
		return -EPROTO;
	while (rail_ack_next(ack, &it, &r)) {
		for (unsigned i = 0; i < h->n_skips; i++)
			if (h->skips[i] >= r.lo && h->skips[i] <= r.hi)
				return -EPROTO;
		hop_mtu_on_ack(w, h, r.lo, r.hi);
		for (unsigned i = 0; i < HOP_PROBES; i++) {
			struct hop_probe *p = &h->probes[i];

			if (p->sent_ns != 0 && p->counter >= r.lo && p->counter <= r.hi)
				acked[n++] = p;
		}
	}
	if (n != 0)
		probes_acked(w, h, acked, n, ack);
	return 0;
}

// ---- texts and messages ----

bool hop_send_text(struct wctx *w, struct hop *h, enum rail_frame_type type, uint8_t code,
	const void *text, size_t len)
{
	const struct rail_frame f = {
		.type = (uint8_t)type, .code = code, .len = (uint32_t)len, .data = text};

	return send_frame(w, h, &f);
}

void hop_close(struct wctx *w, struct hop *h, uint8_t code, const char *text)
{
	count(w, W_hops_closed, 1);
	hop_send_text(w, h, RAIL_CLOSE, code, text, strlen(text));
	if (h->rel != NULL && h->send >= 0)
		hop_rel_flush(w, h); // its keys go now
	hop_shut(w, h, true, code, text, strlen(text));
}

void hop_tell_limit(struct wctx *w, struct hop *in, const char *text)
{
	if (bucket_take(&in->told, w->now_ns, HOP_TELL_PERIOD_NS, HOP_TELL_BURST) &&
		hop_send_text(w, in, RAIL_NOTICE, RAIL_NOTICE_LIMIT, text, strlen(text)))
		count(w, W_notices_tx, 1);
}

void hop_on_notice(struct wctx *w, struct hop *h, const struct rail_frame *f)
{
	hop_count(h, H_hop_notices, 1);
	if (bucket_take(&h->notices, w->now_ns, HOP_NOTICE_PERIOD_NS, HOP_NOTICE_BURST))
		hop_note_text(w, h, NOTE_HOP_NOTICE, f->code, f->data, f->len, false);
}

void hop_on_rekey(struct wctx *w, struct hop *h, const struct rail_frame *f)
{
	if (!bucket_take(&h->rekey_up, w->now_ns, HOP_REKEY_PERIOD_NS, HOP_REKEY_BURST) ||
		!w->ops->uplink_rekey(w, h->handle, f->data, f->len))
		count(w, W_rekeys_dropped, 1);
}

bool hop_tx_rekey(struct wctx *w, uint32_t hop, const uint8_t *msg, uint32_t len)
{
	struct hop *h = hop_by_handle(w, hop);
	const struct rail_frame f = {.type = RAIL_REKEY, .data = msg, .len = len};

	return h != NULL && send_frame(w, h, &f);
}

// ---- path ----

void hop_roamed(struct wctx *w, struct hop *h, const struct rx_dgram *d)
{
	if (!hop_addr_equal(&h->seen, d->src_ip, d->src_port)) {
		memcpy(h->seen.ip, d->src_ip, 16);
		h->seen.port = d->src_port;
		h->seen_bytes = 0;
		h->seen_noted = false;
	}
	h->seen_bytes += d->udp_len;
	h->seen_counter = h->replay->top;
	if (!h->seen_noted && bucket_take(&h->roams, w->now_ns, HOP_ROAM_PERIOD_NS, HOP_ROAM_BURST))
		h->seen_noted = hop_note_addr(w, h, &h->seen);
}

// It was at `from` and is somewhere else. A NAT that gives it another port is no other path. anew:
// what was measured of it counts no more even so.
static void moved(struct wctx *w, struct hop *h, const struct hop_addr *from, bool anew)
{
	bool other = memcmp(h->peer.ip, from->ip, sizeof(from->ip)) != 0;

	if (h->rel != NULL && (other || anew))
		hop_rel_moved(w, h);
	if (!other)
		return;
	hop_mtu_forget(h);
	hop_mtu_begin(w, h);
}

// The peer was seen there, by somebody who may have moved its datagrams: until a probe sent there
// is acked, little goes there.
static void try_path(struct wctx *w, struct hop *h, const struct hop_cmd *c)
{
	if (!h->trying) {
		h->old_peer = h->peer;
		h->old_adj = h->adj;
	}
	h->trying = true;
	h->try_until_ns = w->now_ns + (h->rel != NULL ? hop_rel_try_ns(h) : ROAM_TRY_NS);
	h->try_bytes = 3 * h->seen_bytes;
	h->try_counter = h->tx_counter;
	h->peer = c->peer;
	h->adj = c->adj;
	moved(w, h, &h->old_peer, false);
	if (h->rel != NULL)
		hop_rel_try(w, h);
	else
		hop_send_probe(w, h, 0);
}

// False: it stays where it is.
static bool follow(struct wctx *w, struct hop *h, const struct hop_cmd *c)
{
	bool seen = hop_addr_equal(&h->seen, c->peer.ip, c->peer.port);
	const struct hop_addr from = h->peer;

	// The address follows the highest counter: who was seen there may have been one who copied
	// datagrams and was faster for a moment.
	if (c->roamed && (!seen || h->seen_counter != h->replay->top)) {
		h->seen.port = 0;
		hop_note_addr(w, h, &h->peer);
		return false;
	}
	if (seen && !(h->trying && hop_addr_equal(&h->old_peer, c->peer.ip, c->peer.port))) {
		try_path(w, h, c);
		return true;
	}
	h->peer = c->peer;
	h->trying = false;
	moved(w, h, &from, false);
	return true;
}

void hop_path(struct wctx *w, struct hop *h, const struct hop_cmd *c)
{
	bool moves = c->peer.port != 0 && !hop_addr_equal(&h->peer, c->peer.ip, c->peer.port);

	if (c->payload_max != 0)
		h->payload_max = c->payload_max;
	if ((!moves || follow(w, h, c)) && c->adj != 0)
		h->adj = c->adj;
}

void hop_path_timer(struct wctx *w, struct hop *h)
{
	struct hop_addr from;

	if (!h->trying)
		return;
	if (w->now_ns < h->try_until_ns) {
		if (h->rel != NULL) // else any PROBE proves it, and hop.c repeats it
			hop_rel_try_again(w, h);
		return;
	}
	h->trying = false;
	from = h->peer;
	h->peer = h->old_peer;
	h->adj = h->old_adj;
	moved(w, h, &from, true); // what was lost there says nothing of this one
	h->seen.port = 0;
	hop_note_addr(w, h, &h->peer);
}
