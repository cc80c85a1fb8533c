// Whole packets in order, in and out, many at once (rel_run.h, rail 3 and 4). Each step is the one
// of rel_rx.c or rel_tx.c and rel_queue.c, of which the questions that have one answer for all are
// asked once. Nothing is decided here that is not decided there.
#include "lib/link/rel_run.h"

#include "lib/link/rel_priv.h"

// ---- in ----

// The header of a SEQ frame as a number: type, sequence, distance.
enum { DIST_BITS = 24 };

static inline uint64_t seq_hdr(uint64_t seq, uint32_t dist)
{
	return (uint64_t)RAIL_SEQ << 56 | (seq & UINT32_MAX) << DIST_BITS | dist;
}

// One whole packet of that sequence, and lawful.
static inline bool is_next(const uint8_t *p, uint32_t len, uint64_t seq)
{
	uint64_t hdr;

	if (unlikely(len < RAIL_SEQ_HDR_LEN + ROUTE_HDR_LEN))
		return false;
	hdr = be64_get(p);
	return hdr >> DIST_BITS == seq_hdr(seq, 0) >> DIST_BITS &&
	       seq - (hdr & RAIL_DISTANCE_MAX) >= REL_SEQ_FIRST &&
	       route_hdr_packet_len(p + RAIL_SEQ_HDR_LEN) == len - RAIL_SEQ_HDR_LEN;
}

unsigned rel_rx_run(struct rel *r, const uint8_t *const frames[], const uint32_t len[], unsigned n,
	uint64_t counter, uint64_t now_ns)
{
	uint64_t seq = r->rx_next;
	// rel_order_trim() is left to rel_rx()
	uint32_t most = ((1u << RXES_LOG2) - 1) - (uint32_t)(seq & ((1u << RXES_LOG2) - 1));
	unsigned k;

	if (unlikely(r->closed || r->rx_next != r->rx_end || r->ready_head != 0 ||
		     counter != r->rx_top))
		return 0;
	if (most > n)
		most = n;
	for (k = 0; k < most && likely(is_next(frames[k], len[k], seq + k)); k++)
		;
	if (k == 0)
		return 0;
	r->rx_next += k;
	r->rx_end += k;
	r->stats.rx_packets += k;
	rel_ack_seen(r, counter, true, now_ns);
	r->rx_top += k - 1;
	r->ack_owed += k - 1;
	return k;
}

// ---- out ----

// Nothing goes before new packets.
static inline bool only_new(const struct rel *r)
{
	return r->n_raws == 0 && !r->closed && r->n_probes == 0 && r->ctl_head == 0 &&
	       r->probes_due == 0 && r->n_lost == 0 && r->q.urgent_head == 0 && r->n_flight != 0 &&
	       r->conf.max_frames == 1;
}

// Would an ACK fit besides a frame of that length?
static inline bool takes_ack(const struct rel *r, uint32_t frame)
{
	return r->ack_owed != 0 && frame + RAIL_ACK_HDR_LEN + 1 <= r->conf.room;
}

// As rel_queue_peek(), but that it begins no turn of a route with debts.
static inline uint32_t peek(struct rel_queue *q)
{
	const struct route *rt;

	if (q->round == 0)
		return 0;
	rt = rel_queue_route(q, rel_queue_route(q, q->round - 1)->round_next - 1);
	if (likely((rt->flags & RT_HELD_UP) == 0 && rt->tail != 0)) {
		if (q->credit == 0 && rt->debt == 0)
			q->credit = REL_QUANTUM;
		if (likely(q->credit > 0))
			return node_at(q->hold, rt->tail)->next;
	}
	return rel_queue_peek(q);
}

// As rel_queue_pop(), of a packet that is not urgent.
static inline void pop(struct rel_queue *q, struct route *rt, const struct rel_node *n, uint32_t i)
{
	rt->waiting -= n->len;
	q->waiting -= n->len;
	q->n_waiting--;
	q->credit -= (int32_t)n->len;
	if (rt->tail != i) {
		node_at(q->hold, rt->tail)->next = n->next;
		if (q->credit == 0)
			q->credit = -1;
		return;
	}
	rt->tail = 0;
	rel_queue_round_out(q);
	if (unlikely(rt->flags & RT_DRAINING))
		rel_queue_drain(q, n->route); // it may be done
}

// Places for one more, in chunks that are there. Not where a chunk of records begins, nor at a
// counter that is to be left out.
static inline bool has_place(const struct rel *r)
{
	return (r->counter & ((1u << RECS_LOG2) - 1)) != 0 && r->counter != r->skip_at &&
	       r->counter - r->rec_tail + REL_ACK_RECS < r->n_recs &&
	       r->next_seq - r->una + r->window / 8 < r->window &&
	       r->rec_dir[(r->counter & (r->n_recs - 1)) >> RECS_LOG2] != NULL &&
	       r->kept_dir[(r->next_seq & (r->window - 1)) >> KEPT_LOG2] != NULL;
}

static inline void send_one(struct rel *r, struct rel_sent *out, uint32_t i, uint64_t now_ns)
{
	struct rel_node *n = node_at(r->q.hold, i);
	struct route *rt = rel_queue_route(&r->q, n->route);
	uint64_t seq = r->next_seq++;
	struct kept *k = kept_at(r, seq);
	struct rec *rec = rec_at(r, r->counter++);
	uint32_t bytes = RAIL_SEQ_HDR_LEN + n->len + r->conf.overhead;
	uint32_t dist = rt->last_seq >= r->una ? (uint32_t)(seq - rt->last_seq) : 0;

	rel_node_fetch(r->q.hold, n->ahead);
	__builtin_prefetch(rel_queue_route(&r->q, n->ahead_route), 1);
	out->handle = n->handle;
	out->len = n->len;
	be64_put(out->hdr, seq_hdr(seq, dist));
	*k = (struct kept){.node = i, .dist = dist, .copies = 1};
	rt->last_seq = seq;
	rt->flags |= RT_SENT;
	rt->kept += n->len;
	pop(&r->q, rt, n, i);
	rec->seq = (uint32_t)seq;
	rec->bytes = (uint16_t)bytes;
	rec->state = REC_FLIGHT;
	rec->n = 1;
	rec->padded = 0;
	rec->tagged = 0;
	rec->n_units = 0;
	cc_sent_more(&r->cc, &rec->cc, bytes, now_ns);
	r->pace_ns += (bytes * r->ns_per_byte) >> 20;
	r->stats.tx_bytes += bytes;
}

unsigned rel_next_run(
	struct rel *r, struct rel_sent *out, unsigned max, uint64_t *counter, uint64_t now_ns)
{
	uint64_t since = now_ns > r->burst_ns ? now_ns - r->burst_ns : 0;
	unsigned n = 0;

	rel_hold_flush(r->q.hold);
	if (unlikely(!only_new(r) || r->sent_raw != NULL || now_ns < r->pace_ns))
		return 0;
	*counter = r->counter;
	while (n < max && now_ns >= r->pace_ns && likely(has_place(r))) {
		uint32_t i = peek(&r->q), frame;

		if (i == 0)
			break;
		frame = RAIL_SEQ_HDR_LEN + node_at(r->q.hold, i)->len;
		if (unlikely(frame > r->conf.room || takes_ack(r, frame)) ||
			cc_in_flight(&r->cc) + frame + r->conf.overhead > cc_cwnd(&r->cc))
			break;
		if (r->pace_ns < since)
			r->pace_ns = since;
		send_one(r, &out[n++], i, now_ns);
	}
	if (n == 0)
		return 0;
	r->n_flight += n;
	r->n_unacked += n;
	r->stats.tx_datagrams += n;
	r->last_tx_ns = now_ns;
	r->last_eliciting_ns = now_ns;
	return n;
}
