// Opened datagrams, frame by frame (rail 3 and 4). What is usual goes a short way: the sequence
// that comes next, nothing missing, one whole packet. What order means is in rel_order.c, parts are
// in rel_join.c. A frame that finds no place makes its datagram uncommitted; those that found one
// stay, and are known when they come again.
#include "lib/link/rel_priv.h"

void *rel_rx_take(
	struct rel *r, struct rel_got *g, const uint8_t *data, uint32_t len, uint32_t *off)
{
	uint32_t at = g->in->off + (uint32_t)(data - g->in->frames);

	if (g->last) {
		g->taken = true;
		*off = at;
		return g->in->handle;
	}
	*off = 0;
	return r->q.hold->conf.split(r->q.hold->conf.ctx, g->in->handle, at, len);
}

// Something that can't be released yet may stay here. The lowest missing sequence always may: all
// else waits for it.
bool rel_rx_may_hold(struct rel *r, uint64_t seq)
{
	struct rel_hold *h = r->q.hold;

	if (seq == r->rx_next || h->bufs < h->bufs_soft)
		return true;
	rel_hold_make_room(h, r->conf.account);
	return false;
}

static enum rel_place on_chain(struct rel *r, struct rel_got *g)
{
	g->seq = seq_near(r->rx_next, g->f->seq);
	if (g->f->type == RAIL_EMPTY)
		return rel_order_empty(r, g);
	return rel_order_add(r, g);
}

static enum rel_verdict on_frame(struct rel *r, struct rel_got *g)
{
	switch (g->f->type) {
	case RAIL_SEQ:
	case RAIL_PART:
	case RAIL_PAUSE:
	case RAIL_RESUME:
	case RAIL_GONE:
	case RAIL_EMPTY:
		switch (on_chain(r, g)) {
		case PLACE_OK:
			return REL_COMMIT;
		case PLACE_NONE:
			return REL_NO_ROOM;
		default:
			return REL_CLOSE_PROTOCOL;
		}
	case RAIL_ACK:
		return rel_loss_on_ack(r, &g->f->ack, g->now_ns) < 0 ? REL_CLOSE_PROTOCOL
								     : REL_COMMIT;
	case RAIL_ROUTE: // both sides agreed on reliable mode
		return REL_CLOSE_PROTOCOL;
	case RAIL_PROBE:
		r->ack_now = true; // it may measure the round trip
		return REL_COMMIT;
	default:
		r->conf.on_frame(r->q.hold->conf.ctx, r->conf.link, g->f);
		return REL_COMMIT;
	}
}

// What comes next, behind padding, is a frame of a type that is skipped: it elicits, too.
static bool skips_next(const struct bytes_r *b)
{
	const uint8_t *p = b->p;

	while (p < b->end && *p == RAIL_PADDING)
		p++;
	return p < b->end && *p >= RAIL_FRAME_SKIPPABLE;
}

static enum rel_verdict on_frames(struct rel *r, struct rel_got *g, bool *eliciting)
{
	struct bytes_r b = bytes_r(g->in->frames, g->in->len);
	enum rel_verdict verdict = REL_COMMIT, v;
	struct rail_frame f;
	int rc;

	g->f = &f;
	for (;;) {
		*eliciting |= skips_next(&b);
		rc = rail_frame_next(&b, &f);
		if (rc != 0)
			break;
		*eliciting |= rail_frame_is_eliciting(f.type, true);
		g->last = bytes_r_left(&b) == 0;
		v = on_frame(r, g);
		if (v == REL_CLOSE_PROTOCOL)
			return v;
		if (v == REL_NO_ROOM)
			verdict = v;
	}
	if (rc == -EAGAIN)
		return verdict;
	return rc == -EPROTO ? REL_CLOSE_VERSION : REL_CLOSE_PROTOCOL;
}

static enum rel_verdict long_way(
	struct rel *r, const struct rel_in *in, struct rel_out *out, uint64_t now_ns)
{
	struct rel_got g = {.in = in, .out = out, .now_ns = now_ns};
	bool eliciting = false;
	enum rel_verdict v = on_frames(r, &g, &eliciting);

	if (!g.taken)
		handle_free(r->q.hold, in->handle);
	rel_order_drain(r, out);
	switch (v) {
	case REL_COMMIT:
		rel_ack_seen(r, in->counter, eliciting, now_ns);
		break;
	case REL_NO_ROOM:
		r->stats.rx_no_room++;
		break;
	default:
		r->closed = true;
		break;
	}
	return v;
}

enum rel_verdict rel_rx(
	struct rel *r, const struct rel_in *in, struct rel_out *out, uint64_t now_ns)
{
	const uint8_t *p = in->frames;
	struct rel_item *item;
	uint32_t seq, dist;

	if (unlikely(r->closed)) {
		handle_free(r->q.hold, in->handle);
		return REL_CLOSE_PROTOCOL;
	}
	if (unlikely(in->len < RAIL_SEQ_HDR_LEN + ROUTE_HDR_LEN || p[0] != RAIL_SEQ ||
		     !route_hdr_is_whole(p + RAIL_SEQ_HDR_LEN, in->len - RAIL_SEQ_HDR_LEN)))
		return long_way(r, in, out, now_ns);
	seq = be32_get(p + 1);
	dist = (uint32_t)p[5] << 16 | be16_get(p + 6);
	if (unlikely(seq != (uint32_t)r->rx_next || r->rx_next != r->rx_end ||
		     (r->ready_head | r->held_up) != 0 || r->rx_next - dist < REL_SEQ_FIRST ||
		     out->n == out->cap))
		return long_way(r, in, out, now_ns);
	r->rx_next++;
	r->rx_end++;
	if (unlikely((r->rx_next & ((1u << RXES_LOG2) - 1)) == 0))
		rel_order_trim(r);
	r->stats.rx_packets++;
	item = &out->item[out->n++];
	item->handle = in->handle;
	item->off = in->off + RAIL_SEQ_HDR_LEN;
	item->len = in->len - RAIL_SEQ_HDR_LEN;
	item->more = false;
	rel_ack_seen(r, in->counter, true, now_ns);
	return REL_COMMIT;
}

enum rel_verdict rel_rx_acks(struct rel *r, const struct rel_in *in, uint64_t now_ns)
{
	struct bytes_r b = bytes_r(in->frames, in->len);
	struct rail_frame f;
	int rc;

	if (unlikely(r->closed))
		return REL_CLOSE_PROTOCOL;
	while ((rc = rail_frame_next(&b, &f)) == 0)
		if (f.type == RAIL_ACK && rel_loss_on_ack(r, &f.ack, now_ns) < 0)
			break;
	r->stats.rx_no_room++;
	if (rc == -EAGAIN)
		return REL_NO_ROOM;
	r->closed = true;
	return rc == -EPROTO ? REL_CLOSE_VERSION : REL_CLOSE_PROTOCOL;
}

bool rel_rx_more(struct rel *r, struct rel_out *out)
{
	rel_hold_flush(r->q.hold);
	rel_order_drain(r, out);
	return r->ready_head != 0 && !r->held_up;
}

void rel_ingress_close(struct rel *r, uint32_t route_id, uint8_t reason, uint64_t now_ns)
{
	rel_order_drop_id(r, route_id, now_ns);
	rel_ctl_add(r, RAIL_GONE, route_id, reason);
}
