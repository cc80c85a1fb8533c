// What the next datagram holds (rail 3 and 4): control frames first, then what was lost, lowest
// sequence first, then new packets as the queue orders them, at last an ACK alone. A packet gets
// its sequence when it first goes out and keeps it; each datagram gets a counter and a record of
// what it carried. When things are lost or acked is decided in rel_loss.c.
#include "lib/link/rel_priv.h"

enum {
	COPIES_MAX = 200,
	ACK_ROOM = RAIL_ACK_HDR_LEN + 1 + RAIL_ACK_PAIRS_MAX * RAIL_ACK_PAIR_LEN,
	HDR_ROOM = REL_HDR_MAX - ACK_ROOM, // for the headers of frames
	ACK_LATER_NS = 1000000,
};

// ---- counters and their records ----

// NULL: the oldest ones are not settled yet, or no memory.
static struct rec *rec_new(struct rel *r, uint32_t reserve)
{
	struct rec **chunk;
	struct rec *rec;

	for (;;) {
		if (unlikely(r->counter - r->rec_tail + reserve >= r->n_recs))
			return NULL;
		chunk = &r->rec_dir[(r->counter & (r->n_recs - 1)) >> RECS_LOG2];
		if (unlikely((r->counter & ((1u << RECS_LOG2) - 1)) == 0))
			rel_loss_settle(r); // ACKs alone get no answer that would do it
		if (unlikely(*chunk == NULL)) {
			*chunk = rel_hold_chunk(r->q.hold);
			if (*chunk == NULL)
				return NULL;
		}
		rec = rec_at(r, r->counter++);
		rec->n = 0;
		rec->padded = 0;
		rec->tagged = 0;
		rec->n_units = 0;
		rec->state = REC_NONE;
		if (likely(r->counter - 1 != r->skip_at))
			return rec;
		rec->state = REC_SKIPPED;
		r->skips[r->next_skip++ % REL_SKIPS] = r->counter; // + 1
		r->skip_at += 1 + rel_random(r) % (2 << 16);
	}
}

static void sent(
	struct rel *r, struct rel_dgram *out, struct rec *rec, bool eliciting, uint64_t now_ns)
{
	uint32_t bytes = out->len + r->conf.overhead;
	uint64_t since = now_ns > r->burst_ns ? now_ns - r->burst_ns : 0;

	out->counter = r->counter - 1;
	r->stats.tx_datagrams++;
	r->stats.tx_bytes += bytes;
	r->last_tx_ns = now_ns;
	if (!eliciting) {
		rec->cc.sent_ns = now_ns;
		return;
	}
	if (r->n_flight == 0)
		r->last_ack_ns = now_ns; // silence begins here at the earliest
	rec->bytes = (uint16_t)bytes;
	rec->state = REC_FLIGHT;
	r->n_flight++;
	r->last_eliciting_ns = now_ns;
	cc_sent(&r->cc, &rec->cc, bytes, now_ns);
	if (r->pace_ns < since)
		r->pace_ns = since;
	r->pace_ns += (bytes * r->ns_per_byte) >> 20;
}

// ---- frames ----

static bool is_ctl(uint8_t kind)
{
	return kind != RAIL_SEQ;
}

static uint32_t frame_len(const struct rel_node *n)
{
	switch (n->kind) {
	case RAIL_SEQ:
		return RAIL_SEQ_HDR_LEN + n->len;
	case RAIL_PAUSE:
		return 14;
	case RAIL_RESUME:
		return 12;
	case RAIL_GONE:
		return 13;
	default:
		return 10; // EMPTY
	}
}

static struct rel_piece *piece_add(struct rel_dgram *out, uint32_t hdr_len)
{
	struct rel_piece *p = &out->piece[out->n++];

	p->hdr_off = out->hdr_len;
	p->hdr_len = (uint16_t)hdr_len;
	p->handle = NULL;
	p->off = 0;
	p->len = 0;
	out->hdr_len = (uint16_t)(out->hdr_len + hdr_len);
	out->len += hdr_len;
	return p;
}

static inline void put_seq_hdr(uint8_t *p, uint8_t type, uint32_t seq, uint32_t dist)
{
	p[0] = type;
	be32_put(p + 1, seq);
	p[5] = (uint8_t)(dist >> 16);
	be16_put(p + 6, (uint16_t)dist);
}

static void put_ctl_frame(
	struct rel_dgram *out, uint32_t seq, uint32_t dist, const struct rel_node *n)
{
	struct rail_frame f = {.type = n->kind,
		.seq = seq,
		.distance = dist,
		.route_id = n->pkt_off,
		.limit_s = n->arg,
		.code = (uint8_t)n->arg};
	struct rel_piece *p = piece_add(out, frame_len(n));
	struct bytes_w w = bytes_w(&out->hdr[p->hdr_off], p->hdr_len);

	rail_frame_encode(&w, &f);
}

// A whole frame: the packet, or what a control frame says.
static inline void put_frame(
	struct rel *r, struct rel_dgram *out, uint64_t seq, const struct kept *k)
{
	const struct rel_node *n = node_at(r->q.hold, k->node);
	struct rel_piece *p;

	if (unlikely(n->kind != RAIL_SEQ)) {
		put_ctl_frame(out, (uint32_t)seq, k->dist, n);
		return;
	}
	p = piece_add(out, RAIL_SEQ_HDR_LEN);
	put_seq_hdr(&out->hdr[p->hdr_off], RAIL_SEQ, (uint32_t)seq, k->dist);
	p->handle = n->handle;
	p->len = n->len;
	out->len += n->len;
}

static void put_ack(struct rel *r, struct rel_dgram *out, uint32_t frame, uint64_t now_ns)
{
	uint32_t room = r->conf.room > frame ? r->conf.room - frame : 0;
	uint32_t len;

	if (likely(r->ack_owed == 0) || room < RAIL_ACK_HDR_LEN + 1)
		return;
	len = rel_ack_put(r, out->hdr, room < ACK_ROOM ? room : ACK_ROOM, now_ns);
	if (len != 0)
		piece_add(out, len);
}

// ---- parts ----

static uint32_t units_of(uint32_t len)
{
	return (len + REL_PART_UNIT - 1) / REL_PART_UNIT;
}

// The first unit from i on, below `end`, whose bit is `want`; `end` when there is none.
static uint32_t find_unit(const uint64_t *words, uint32_t i, uint32_t end, bool want)
{
	while (i < end) {
		uint64_t word = (want ? words[i >> 6] : ~words[i >> 6]) >> (i & 63);

		if (word != 0) {
			i += (uint32_t)__builtin_ctzll(word);
			return i < end ? i : end;
		}
		i = (i | 63) + 1;
	}
	return end;
}

// From now on the packet goes in parts.
static bool cut(struct rel *r, struct rel_node *n)
{
	uint32_t units = units_of(n->len);

	n->map = rel_hold_map_new(r->q.hold);
	if (n->map == NULL)
		return false;
	for (uint32_t i = 0; i < units; i++)
		n->map->due[i >> 6] |= 1ull << (i & 63);
	return true;
}

// Units that go next: those due, or for a probe any that is not acked. Returns how many.
static uint32_t next_units(const struct rel_node *n, uint32_t most, bool probe, uint32_t *first)
{
	const uint64_t *words = probe ? n->map->acked : n->map->due;
	uint32_t end = units_of(n->len);
	uint32_t till;

	*first = find_unit(words, 0, end, !probe);
	if (*first + most < end)
		end = *first + most;
	till = find_unit(words, *first, end, probe);
	return till - *first;
}

static bool any_due(const struct rel_map *m)
{
	uint64_t any = 0;

	for (unsigned i = 0; i < REL_PART_WORDS; i++)
		any |= m->due[i];
	return any != 0;
}

// One PART of the packet at seq. False: nothing left, or no room for a part at all.
static bool put_part(
	struct rel *r, struct rel_dgram *out, struct rec *rec, uint64_t seq, bool probe)
{
	struct kept *k = kept_at(r, seq);
	struct rel_node *n = node_at(r->q.hold, k->node);
	uint32_t most = (r->conf.room - RAIL_PART_HDR_LEN) / REL_PART_UNIT;
	uint32_t first, units = next_units(n, most, probe, &first);
	struct rel_piece *p;
	uint8_t *h;

	if (units == 0)
		return false;
	p = piece_add(out, RAIL_PART_HDR_LEN);
	h = &out->hdr[p->hdr_off];
	put_seq_hdr(h, RAIL_PART, (uint32_t)seq, k->dist);
	p->handle = n->handle;
	p->off = first * REL_PART_UNIT;
	p->len = units * REL_PART_UNIT;
	if (p->off + p->len > n->len)
		p->len = n->len - p->off;
	h[8] = (uint8_t)(n->len >> 16);
	be16_put(h + 9, (uint16_t)n->len);
	h[11] = (uint8_t)(p->off >> 16);
	be16_put(h + 12, (uint16_t)p->off);
	be16_put(h + 14, (uint16_t)p->len);
	out->len += p->len;
	rec->unit = (uint16_t)first;
	rec->n_units = (uint16_t)units;
	for (uint32_t i = first; i < first + units; i++)
		n->map->due[i >> 6] &= ~(1ull << (i & 63));
	if (k->copies == 0 && !any_due(n->map)) {
		k->copies = 1;
		r->n_lost--;
	}
	return true;
}

// ---- sequences ----

static bool window_is_open(const struct rel *r, uint32_t reserve)
{
	return r->next_seq - r->una + reserve < r->window;
}

// A place for the next sequence.
static struct kept *kept_new(struct rel *r)
{
	struct kept **chunk = &r->kept_dir[(r->next_seq & (r->window - 1)) >> KEPT_LOG2];

	if (unlikely(*chunk == NULL)) {
		*chunk = rel_hold_chunk(r->q.hold);
		if (*chunk == NULL)
			return NULL;
	}
	return kept_at(r, r->next_seq);
}

static uint32_t distance(const struct rel *r, uint64_t seq, uint64_t last)
{
	return last >= r->una ? (uint32_t)(seq - last) : 0;
}

static inline void take_new(struct rel *r, uint32_t i, struct kept *k)
{
	struct rel_node *n = node_at(r->q.hold, i);
	struct route *rt = &r->q.hold->routes[n->route];

	rel_queue_pop(&r->q, i);
	k->node = i;
	k->dist = distance(r, r->next_seq, rt->last_seq);
	k->copies = 1;
	rt->last_seq = r->next_seq++;
	rt->flags |= RT_SENT;
	rt->kept += n->len;
	r->n_unacked++;
}

// ---- the kinds of datagrams ----

static bool put_raw(struct rel *r, struct rel_dgram *out, uint64_t now_ns)
{
	struct raw *raw = &r->raws[0];
	bool eliciting = rail_frame_is_eliciting(raw->type, true);
	struct rec *rec = rec_new(r, eliciting ? REL_ACK_RECS : 0);
	struct rel_piece *p;

	if (rec == NULL)
		return false;
	p = piece_add(out, 0);
	p->handle = raw->handle;
	p->len = raw->len;
	out->len += raw->len;
	r->sent_raw = raw->handle;
	r->n_raws--;
	memmove(&r->raws[0], &r->raws[1], r->n_raws * sizeof(r->raws[0]));
	sent(r, out, rec, eliciting, now_ns);
	return true;
}

static bool put_probe(struct rel *r, struct rel_dgram *out, const struct probe *p, uint64_t now_ns)
{
	struct rec *rec = rec_new(r, REL_ACK_RECS);

	if (rec == NULL)
		return false;
	put_ack(r, out, 1, now_ns);
	out->hdr[piece_add(out, 1)->hdr_off] = RAIL_PROBE;
	if (p->size > out->len) {
		out->pad = p->size - out->len;
		out->len += out->pad;
		rec->padded = 1;
	}
	rec->seq = p->tag;
	rec->tagged = p->tag != 0;
	sent(r, out, rec, true, now_ns);
	return true;
}

static bool put_waiting_probe(struct rel *r, struct rel_dgram *out, uint64_t now_ns)
{
	if (!put_probe(r, out, &r->probes[0], now_ns))
		return false;
	r->n_probes--;
	memmove(&r->probes[0], &r->probes[1], r->n_probes * sizeof(r->probes[0]));
	return true;
}

// Waiting PAUSE, RESUME and GONE, as many as fit.
static bool put_ctl(struct rel *r, struct rel_dgram *out, uint64_t now_ns)
{
	struct rec *rec;
	struct kept *k;

	if (!window_is_open(r, 0) || kept_new(r) == NULL)
		return false;
	rec = rec_new(r, REL_ACK_RECS);
	if (rec == NULL)
		return false;
	put_ack(r, out, 14, now_ns);
	rec->seq = (uint32_t)r->next_seq;
	while (r->ctl_head != 0 && out->n < REL_PIECES_MAX && out->len + 14 <= r->conf.room &&
		window_is_open(r, 0)) {
		k = kept_new(r);
		if (k == NULL)
			break;
		k->node = rel_ctl_pop(r);
		k->dist = distance(r, r->next_seq, r->ctl_last_seq);
		k->copies = 1;
		r->ctl_last_seq = r->next_seq++;
		r->n_unacked++;
		put_frame(r, out, r->ctl_last_seq, k);
		rec->n++;
	}
	sent(r, out, rec, true, now_ns);
	return true;
}

static bool find_lost(struct rel *r)
{
	if (r->n_lost == 0)
		return false;
	if (r->lost_lo < r->una)
		r->lost_lo = r->una;
	for (; r->lost_lo < r->next_seq; r->lost_lo++) {
		const struct kept *k = kept_at(r, r->lost_lo);

		if (k->node != 0 && k->copies == 0)
			return true;
	}
	return false;
}

// The packet at seq does not fit as it is, or was cut before.
static bool goes_in_parts(const struct rel *r, const struct rel_node *n)
{
	return n->kind == RAIL_SEQ && (n->map != NULL || frame_len(n) > r->conf.room);
}

// It went out whole, but the path has become smaller: all of it is due again.
static bool cut_sent(struct rel *r, uint64_t seq, struct kept *k)
{
	if (!cut(r, node_at(r->q.hold, k->node)))
		return false;
	if (k->copies != 0)
		r->n_lost++;
	k->copies = 0;
	if (r->lost_lo > seq)
		r->lost_lo = seq;
	return true;
}

// Lost frames in a row from seq on. Parts are alone.
static bool put_again(
	struct rel *r, struct rel_dgram *out, uint64_t seq, bool probe, uint64_t now_ns)
{
	struct kept *k = kept_at(r, seq);
	struct rel_node *n = node_at(r->q.hold, k->node);
	bool ctl = is_ctl(n->kind);
	struct rec *rec;

	if (goes_in_parts(r, n) && n->map == NULL && !cut_sent(r, seq, k))
		return false;
	if (probe && k->copies >= COPIES_MAX)
		return false;
	rec = rec_new(r, REL_ACK_RECS);
	if (rec == NULL)
		return false;
	rec->seq = (uint32_t)seq;
	if (goes_in_parts(r, n)) {
		if (!put_part(r, out, rec, seq, probe)) {
			r->counter--; // the last one given, so nobody saw it
			return false;
		}
		rec->n = 1;
		sent(r, out, rec, true, now_ns);
		return true;
	}
	put_ack(r, out, frame_len(n), now_ns);
	do {
		put_frame(r, out, seq, k);
		if (k->copies++ == 0)
			r->n_lost--;
		rec->n++;
		r->stats.tx_rtx++;
		if (++seq >= r->next_seq || rec->n == r->conf.max_frames)
			break;
		k = kept_at(r, seq);
		if (k->node == 0 || k->copies != 0)
			break;
		n = node_at(r->q.hold, k->node);
	} while (is_ctl(n->kind) == ctl && !goes_in_parts(r, n) && out->n < REL_PIECES_MAX &&
		 out->len + frame_len(n) <= r->conf.room);
	sent(r, out, rec, true, now_ns);
	return true;
}

// A jumbo gets its sequence; its parts are sent as if they had been lost.
static bool start_parts(struct rel *r, struct rel_dgram *out, uint32_t i, uint64_t now_ns)
{
	struct rel_node *n = node_at(r->q.hold, i);
	struct kept *k = kept_new(r);

	if (k == NULL || (n->map == NULL && !cut(r, n)))
		return false;
	take_new(r, i, k);
	k->copies = 0;
	r->n_lost++;
	if (r->lost_lo > r->next_seq - 1)
		r->lost_lo = r->next_seq - 1;
	return put_again(r, out, r->next_seq - 1, false, now_ns);
}

static bool cwnd_is_open(const struct rel *r, uint32_t frames)
{
	uint32_t len = frames < r->conf.room ? frames : r->conf.room;

	return cc_in_flight(&r->cc) + len + r->conf.overhead <= cc_cwnd(&r->cc);
}

static bool put_new(struct rel *r, struct rel_dgram *out, uint64_t now_ns)
{
	uint32_t i = rel_queue_peek(&r->q);
	const struct rel_node *n;
	unsigned most = 1;
	struct kept *k;
	struct rec *rec;

	if (i == 0 || unlikely(!window_is_open(r, r->window / 8))) {
		if (cwnd_is_open(r, r->conf.room))
			cc_app_limited(&r->cc);
		return false;
	}
	n = node_at(r->q.hold, i);
	if (!cwnd_is_open(r, frame_len(n)))
		return false;
	if (unlikely(frame_len(n) > r->conf.room))
		return start_parts(r, out, i, now_ns);
	k = kept_new(r);
	rec = k == NULL ? NULL : rec_new(r, REL_ACK_RECS);
	if (unlikely(rec == NULL))
		return false;
	put_ack(r, out, frame_len(n), now_ns);
	rec->seq = (uint32_t)r->next_seq;
	if (rel_queue_shares(&r->q, r->conf.room))
		most = r->conf.max_frames; // those that are there now: nobody is waited for
	for (;;) {
		take_new(r, i, k);
		put_frame(r, out, r->next_seq - 1, k);
		if (++rec->n >= most || out->n == REL_PIECES_MAX)
			break;
		i = rel_queue_peek(&r->q);
		if (i == 0)
			break;
		n = node_at(r->q.hold, i);
		if (out->len + frame_len(n) > r->conf.room || !window_is_open(r, r->window / 8) ||
			!cwnd_is_open(r, out->len + frame_len(n)))
			break;
		k = kept_new(r);
		if (k == NULL)
			break;
	}
	sent(r, out, rec, true, now_ns);
	return true;
}

static bool put_ack_only(struct rel *r, struct rel_dgram *out, uint64_t now_ns)
{
	struct rec *rec;

	if (!rel_ack_due(r, now_ns))
		return false;
	rec = rec_new(r, 0);
	if (rec == NULL) { // all counters are in flight: a time-out is near
		r->ack_now = false;
		r->ack_by_ns = now_ns + ACK_LATER_NS;
		return false;
	}
	put_ack(r, out, 0, now_ns);
	if (out->len == 0) {
		r->counter--;
		return false;
	}
	sent(r, out, rec, false, now_ns);
	return true;
}

// A probe after a time-out: the oldest unacked frames once more, whatever the window says.
static bool put_pto(struct rel *r, struct rel_dgram *out, uint64_t now_ns)
{
	r->probes_due--;
	if (find_lost(r) && put_again(r, out, r->lost_lo, false, now_ns))
		return true;
	if (r->pto_seq < r->una)
		r->pto_seq = r->una;
	while (r->pto_seq < r->next_seq && kept_at(r, r->pto_seq)->node == 0)
		r->pto_seq++;
	if (r->pto_seq < r->next_seq && put_again(r, out, r->pto_seq, true, now_ns)) {
		r->pto_seq++;
		return true;
	}
	r->probes_due = 0;
	return put_probe(r, out, &(struct probe){.tag = 0}, now_ns);
}

bool rel_tx_has_work(const struct rel *r)
{
	return r->n_lost != 0 || r->q.round != 0 || r->q.urgent_head != 0;
}

bool rel_next(struct rel *r, struct rel_dgram *out, uint64_t now_ns)
{
	out->n = 0;
	out->len = 0;
	out->pad = 0;
	out->hdr_len = 0;
	if (unlikely(r->sent_raw != NULL)) {
		handle_free(r->q.hold, r->sent_raw);
		r->sent_raw = NULL;
	}
	rel_hold_flush(r->q.hold);
	if (unlikely(r->n_raws != 0) && put_raw(r, out, now_ns))
		return true;
	if (unlikely(r->closed)) {
		r->next_ns = UINT64_MAX;
		return false;
	}
	if (unlikely(r->n_probes != 0) && put_waiting_probe(r, out, now_ns))
		return true;
	if (unlikely(r->ctl_head != 0) && put_ctl(r, out, now_ns))
		return true;
	if (unlikely(r->probes_due != 0) && put_pto(r, out, now_ns))
		return true;
	if (now_ns >= r->pace_ns) {
		if (unlikely(find_lost(r))) {
			const struct kept *k = kept_at(r, r->lost_lo);

			if (cwnd_is_open(r, frame_len(node_at(r->q.hold, k->node))) &&
				put_again(r, out, r->lost_lo, false, now_ns))
				return true;
		} else if (put_new(r, out, now_ns)) {
			return true;
		}
	}
	if (put_ack_only(r, out, now_ns))
		return true;
	// else it waits for an ACK, a push or a timer
	r->next_ns = rel_tx_has_work(r) && now_ns < r->pace_ns ? r->pace_ns : UINT64_MAX;
	return false;
}
