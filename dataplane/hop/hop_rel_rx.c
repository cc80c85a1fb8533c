// Datagrams of reliable hops on their way in: lib/link/rel says which route packets may go on, and
// in which order; here they get their buffers back and go to the worker's sink. Nothing that was
// acked is dropped for want of room behind it: what the rings to other workers can't take in this
// turn stays in the link, and when that is too much, datagrams are left uncommitted (rail.md 3).

#include "dataplane/hop/hop_route.h"

#include "lib/link/rel_run.h"
#include "lib/wire/route_hdr.h"

#include <rte_prefetch.h>

enum { LEFT_ENOUGH = 1 << 20 };

void hop_rel_rx_begin(struct wctx *w, struct hop_rel_in *in)
{
	in->left = w->n_workers > 1 ? w->ops->handoff_room(w) : LEFT_ENOUGH;
	in->out.n = 0;
	in->out.item = in->item;
	in->out.cap = RTE_MIN(in->left, (unsigned)REL_ITEMS);
}

void hop_rel_on_frame(void *ctx, void *link, const struct rail_frame *f)
{
	struct wctx *w = ((struct hop_hold *)ctx)->w;
	struct hop *h = link;
	struct hop_rel *hr = h->rel;

	switch (f->type) {
	case RAIL_REKEY:
		hop_on_rekey(w, h, f);
		break;
	case RAIL_NOTICE:
		hop_on_notice(w, h, f);
		break;
	case RAIL_CLOSE: // not here: the link is in the middle of a datagram
		hr->got_close = true;
		hr->close_code = f->code;
		hr->close_len = (uint8_t)RTE_MIN(f->len, (uint32_t)sizeof(hr->close_text));
		memcpy(hr->close_text, f->data, hr->close_len);
		break;
	default:
		count(w, W_frames_ignored, 1);
	}
}

unsigned hop_rel_rx_run(struct wctx *w, struct hop *h, const struct rx_dgram *d, unsigned n)
{
	const uint8_t *frames[BURST];
	uint32_t len[BURST];
	unsigned k;

	for (unsigned i = 0; i < n; i++) {
		frames[i] = rte_pktmbuf_mtod_offset(d[i].m, const uint8_t *, RAIL_DATA_HDR_LEN);
		len[i] = d[i].udp_len - RAIL_DATA_OVERHEAD;
	}
	k = rel_rx_run(h->rel->rel, frames, len, n, h->replay->top + 1, w->now_ns);
	for (unsigned i = 0; i < k; i++)
		hop_strip(d[i].m, RAIL_DATA_HDR_LEN + RAIL_SEQ_HDR_LEN, len[i] - RAIL_SEQ_HDR_LEN);
	return k;
}

bool hop_rel_rx(struct wctx *w, struct hop *h, struct hop_rel_in *in, struct rte_mbuf *m,
	uint32_t len, uint64_t counter)
{
	const struct rel_in dgram = {
		.frames = rte_pktmbuf_mtod_offset(m, const uint8_t *, RAIL_DATA_HDR_LEN),
		.len = len,
		.off = RAIL_DATA_HDR_LEN,
		.counter = counter,
		.handle = m};
	enum rel_verdict v;

	if (unlikely(in->out.cap - in->out.n < REL_SEGS_MAX))
		hop_rel_give(w, h, in);
	if (unlikely(in->out.cap < REL_SEGS_MAX)) {
		v = rel_rx_acks(h->rel->rel, &dgram, w->now_ns);
		rte_pktmbuf_free(m);
	} else {
		v = rel_rx(h->rel->rel, &dgram, &in->out, w->now_ns);
	}
	switch (v) {
	case REL_COMMIT:
		return true;
	case REL_NO_ROOM:
		count(w, W_drop_no_room, 1);
		return false;
	case REL_CLOSE_VERSION:
		h->rel->broken = RAIL_CLOSE_VERSION;
		return true;
	default:
		h->rel->broken = RAIL_CLOSE_PROTOCOL;
		return true;
	}
}

// It begins with a short piece. Without a buffer it is lost, so its route ends.
static __rte_noinline struct rte_mbuf *pull_up(struct wctx *w, struct hop *h, struct rte_mbuf *m)
{
	uint8_t hdr[ROUTE_HDR_LEN];
	const uint8_t *p = rte_pktmbuf_read(m, 0, sizeof(hdr), hdr);
	uint32_t id = p != NULL ? route_hdr_id(p) : 0;

	m = hop_pull_up(w, m);
	if (m == NULL && id != 0)
		hop_route_end_after(w, h, id, RAIL_GONE_HELD);
	return m;
}

// One packet, maybe of several items; the number of items.
static unsigned take(
	struct wctx *w, struct hop *h, const struct rel_item *item, struct rte_mbuf **out)
{
	struct rte_mbuf *head = item->handle, *tail = head;
	unsigned n = 1;

	hop_strip(head, item->off, item->len);
	*out = head;
	if (likely(!item->more))
		return 1;
	for (; item[n - 1].more; n++) {
		struct rte_mbuf *m = item[n].handle;

		hop_strip(m, item[n].off, item[n].len);
		tail->next = m;
		tail = m;
		head->nb_segs++;
		head->pkt_len += m->pkt_len;
	}
	*out = likely(head->data_len >= ROUTE_HDR_LEN) ? head : pull_up(w, h, head);
	return n;
}

void hop_rel_give(struct wctx *w, struct hop *h, struct hop_rel_in *in)
{
	struct rte_mbuf *pkts[BURST];
	unsigned n = 0;

	for (unsigned i = 0; i < in->out.n;) {
		i += take(w, h, &in->item[i], &pkts[n]);
		if (unlikely(pkts[n] == NULL))
			continue;
		if (++n == BURST || i == in->out.n) {
			hop_count(h, H_hop_rx_packets, n);
			w->sink(w, h, pkts, n);
			n = 0;
		}
	}
	if (unlikely(n != 0)) { // the last one was lost for want of a buffer
		hop_count(h, H_hop_rx_packets, n);
		w->sink(w, h, pkts, n);
	}
	in->left -= in->out.n;
	in->out.n = 0;
	in->out.cap = RTE_MIN(in->left, (unsigned)REL_ITEMS);
}

bool hop_rel_closes(struct wctx *w, struct hop *h, struct hop_rel_in *in)
{
	struct hop_rel *hr = h->rel;
	uint8_t broken = hr->broken;

	if (likely(!hop_rel_is_closing(h)))
		return false;
	hop_rel_give(w, h, in);
	hr->broken = 0;
	if (hr->got_close) {
		hr->got_close = false;
		hop_shut(w, h, false, hr->close_code, hr->close_text, hr->close_len);
	} else {
		hop_close(w, h, broken,
			broken == RAIL_CLOSE_VERSION ? "unknown frame"
						     : "malformed or unlawful frame");
	}
	return true;
}

void hop_rel_rx_end(struct wctx *w, struct hop *h, struct hop_rel_in *in)
{
	bool more;

	do {
		more = rel_rx_more(h->rel->rel, &in->out);
		hop_rel_give(w, h, in);
	} while (more && in->out.cap >= REL_SEGS_MAX);
	h->rel->more = more;
	hop_rel_wake(w, h);
}

void hop_rel_last(struct wctx *w, struct hop *h, uint8_t reason)
{
	struct hop_rel_in in = {.out = {.item = in.item, .cap = REL_ITEMS}};
	struct rte_mbuf *m;

	hop_rel_more(w, h);
	while (h->rel->more) {
		h->rel->more = rel_rx_more(h->rel->rel, &in.out);
		for (unsigned i = 0; i < in.out.n;) {
			i += take(w, h, &in.item[i], &m);
			if (m == NULL)
				continue;
			if (m->data_len >= ROUTE_HDR_LEN)
				hop_route_end_after(
					w, h, route_hdr_id(rte_pktmbuf_mtod(m, uint8_t *)), reason);
			count(w, W_rel_rx_freed, 1);
			rte_pktmbuf_free(m);
		}
		in.out.n = 0;
	}
}

void hop_rel_more(struct wctx *w, struct hop *h)
{
	struct hop_rel_in in;

	hop_rel_rx_begin(w, &in);
	if (in.out.cap >= REL_SEGS_MAX)
		hop_rel_rx_end(w, h, &in);
}
