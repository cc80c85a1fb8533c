// Whole packets in order, in and out, many at once (rel_run.h, rail 3 and 4). Each step is the one
// of rel_rx.c or rel_tx.c and rel_queue.c, of which the questions that have one answer for all are
// asked once. Nothing is decided here that is not decided there.
#include "lib/link/rel_run.h"

#include "lib/link/rel_priv.h"

// ---- in ----

// The header of a SEQ frame as a number: type, sequence, distance.
enum { DIST_BITS = 24 };

enum { FETCH_REC = 8 }; // records ahead; behind a chunk it does no harm

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

	if (unlikely(r->closed || r->rx_next != r->rx_end || (r->ready_head | r->held_up) != 0 ||
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

// ---- into the queue ----

// The route's packet may wait behind those that do, and nobody has to be told.
static inline bool just_waits(const struct route *rt, uint32_t len)
{
	const unsigned odd = RT_DRAINING | RT_ENDING | RT_DOOMED;

	return (rt->flags & (RT_OPEN | odd)) == RT_OPEN &&
	       (likely(rt->waiting + len <= rel_queue_most_held(rt)) ||
		       ((rt->flags & RT_PAUSING) != 0 &&
			       !rel_queue_is_doubled(rt->waiting, rt->waiting + len)));
}

// As rel_queue_push().
static inline void push_one(
	struct rel_queue *q, struct route *rt, const struct rel_push *p, uint32_t i)
{
	struct rel_hold *h = q->hold;
	struct rel_node *n = node_at(h, i);

	h->free_node = n->next;
	n->handle = p->pkt.handle;
	n->len = p->pkt.len;
	n->route = p->route;
	n->bufs = p->pkt.bufs;
	n->kind = RAIL_SEQ;
	n->map = NULL;
	n->ahead = 0;
	n->ahead_route = p->route;
	rt->nodes++;
	rel_queue_put_last(q, rt, p->route, i);
	rel_queue_note_ahead(q, i, p->route);
}

unsigned rel_push_run(struct rel_queue *q, const struct rel_push *p, unsigned n)
{
	struct rel_hold *h = q->hold;
	uint64_t left = h->conf.max_bufs + (uint64_t)h->doomed;
	uint16_t account = p[0].pkt.account;
	uint32_t bufs = 0; // of the account, not entered yet
	unsigned k;

	if (unlikely(h->n_free_nodes <= REL_NODES_SPARE + n))
		return 0;
	for (k = 0; k < n; k++) {
		struct route *rt = &h->routes[p[k].route];
		uint32_t i = h->free_node;

		if (unlikely(i == 0 || (uint64_t)h->bufs + bufs + p[k].pkt.bufs > left ||
			     !just_waits(rt, p[k].pkt.len)))
			break;
		if (rt->bufs == 0)
			rt->account = p[k].pkt.account;
		if (unlikely(rt->account != account)) {
			rel_hold_account_add(h, account, (int32_t)bufs);
			account = rt->account;
			bufs = 0;
		}
		route_charge_only(h, p[k].route, p[k].pkt.bufs);
		bufs += p[k].pkt.bufs;
		push_one(q, rt, &p[k], i);
	}
	h->n_free_nodes -= k;
	if (likely(bufs != 0))
		rel_hold_account_add(h, account, (int32_t)bufs);
	return k;
}

// ---- out ----

// Nothing goes before new packets.
static inline bool only_new(const struct rel *r)
{
	return r->n_raws == 0 && !r->closed && r->n_probes == 0 && r->ctl_head == 0 &&
	       r->probes_due == 0 && r->n_lost == 0 && r->q.urgent_head == 0 && r->n_flight != 0 &&
	       (r->conf.max_frames == 1 || !rel_queue_shares(&r->q, r->conf.room));
}

// Would an ACK fit besides a frame of that length?
static inline bool takes_ack(const struct rel *r, uint32_t frame)
{
	return r->ack_owed != 0 && frame + RAIL_ACK_HDR_LEN + 1 <= r->conf.room;
}

// The packet that is next, and where it is taken from.
struct turn {
	struct route *before; // in the round
	struct route *rt;
	uint32_t i; // its node
};

// As rel_queue_peek(), but that it begins no turn of a route with debts.
static inline bool peek(struct rel_queue *q, struct turn *t)
{
	if (q->round == 0)
		return false;
	t->before = rel_queue_route(q, q->round - 1);
	t->rt = rel_queue_route(q, t->before->round_next - 1);
	if (likely((t->rt->flags & RT_HELD_UP) == 0 && t->rt->tail != 0)) {
		if (q->credit == 0 && t->rt->debt == 0)
			q->credit = REL_QUANTUM;
		if (likely(q->credit > 0)) {
			t->i = node_at(q->hold, t->rt->tail)->next;
			return true;
		}
	}
	t->i = rel_queue_peek(q);
	if (t->i == 0)
		return false;
	t->before = rel_queue_route(q, q->round - 1);
	t->rt = rel_queue_route(q, node_at(q->hold, t->i)->route);
	return true;
}

// As rel_queue_pop(), of a packet that is not urgent; run_end() has the sums.
static inline void pop(struct rel_queue *q, const struct turn *t, const struct rel_node *n)
{
	struct route *rt = t->rt;

	rt->waiting -= n->len;
	if (rt->tail != t->i) {
		node_at(q->hold, rt->tail)->next = n->next;
		q->credit -= (int32_t)n->len;
		if (q->credit == 0)
			q->credit = -1;
		return;
	}
	rt->tail = 0;
	rel_queue_round_out(q, t->before, rt);
	if (unlikely(rt->flags & RT_DRAINING))
		rel_queue_drain(q, n->route); // it may be done
}

// What a run has in common while it lasts.
struct run {
	struct kept *kept; // the next ones, in one chunk each
	struct rec *rec;
	uint64_t seq;
	uint64_t pace_ns;
	uint64_t bytes;
	struct cc_pkt cc;
};

// Places that there are in chunks that are there. None where a chunk of records begins, nor at a
// counter that is to be left out.
static inline uint64_t places(const struct rel *r)
{
	uint64_t rec = r->counter & ((1u << RECS_LOG2) - 1);
	uint64_t kept = r->next_seq & ((1u << KEPT_LOG2) - 1);
	uint64_t recs = r->n_recs - REL_ACK_RECS, out = r->counter - r->rec_tail;
	uint64_t seqs = r->window - r->window / 8, unacked = r->next_seq - r->una;
	uint64_t n;

	if (unlikely(rec == 0 || out >= recs || unacked >= seqs ||
		     r->rec_dir[(r->counter & (r->n_recs - 1)) >> RECS_LOG2] == NULL ||
		     r->kept_dir[(r->next_seq & (r->window - 1)) >> KEPT_LOG2] == NULL))
		return 0;
	n = (1u << RECS_LOG2) - rec;
	n = n < (1u << KEPT_LOG2) - kept ? n : (1u << KEPT_LOG2) - kept;
	n = n < r->skip_at - r->counter ? n : r->skip_at - r->counter;
	n = n < recs - out ? n : recs - out;
	return n < seqs - unacked ? n : seqs - unacked;
}

static inline void send_one(
	struct rel *r, struct run *run, const struct turn *t, struct rel_sent *out)
{
	struct rel_node *n = node_at(r->q.hold, t->i);
	struct route *rt = t->rt;
	struct rec *rec = run->rec++;
	uint64_t seq = run->seq++;
	uint32_t bytes = RAIL_SEQ_HDR_LEN + n->len + r->conf.overhead;
	uint32_t dist = rt->last_seq >= r->una ? (uint32_t)(seq - rt->last_seq) : 0;

	__builtin_prefetch(rec + FETCH_REC, 1);
	rel_node_fetch(r->q.hold, n->ahead);
	__builtin_prefetch(rel_queue_route(&r->q, n->ahead_route), 1);
	out->handle = n->handle;
	out->len = n->len;
	be64_put(out->hdr, seq_hdr(seq, dist));
	*run->kept++ = (struct kept){.node = t->i, .dist = dist, .copies = 1};
	rt->last_seq = seq;
	rt->flags |= RT_SENT;
	rt->kept += n->len;
	pop(&r->q, t, n);
	run->cc.tx_in_flight += bytes;
	rec->cc = run->cc;
	rec->seq = (uint32_t)seq;
	rec->bytes = (uint16_t)bytes;
	rec->state = REC_FLIGHT;
	rec->n = 1;
	rec->padded = 0;
	rec->tagged = 0;
	rec->n_units = 0;
	run->pace_ns += (bytes * r->ns_per_byte) >> 20;
	run->bytes += bytes;
}

static void run_end(struct rel *r, const struct run *run, unsigned n, uint64_t now_ns)
{
	r->q.waiting -= run->bytes - (uint64_t)n * (RAIL_SEQ_HDR_LEN + r->conf.overhead);
	r->q.n_waiting -= n;
	r->counter += n;
	r->next_seq += n;
	r->pace_ns = run->pace_ns;
	cc_sent_all(&r->cc, &run->cc);
	r->n_flight += n;
	r->n_unacked += n;
	r->stats.tx_datagrams += n;
	r->stats.tx_bytes += run->bytes;
	r->last_tx_ns = now_ns;
	r->last_eliciting_ns = now_ns;
}

unsigned rel_next_run(
	struct rel *r, struct rel_sent *out, unsigned max, uint64_t *counter, uint64_t now_ns)
{
	uint64_t since = now_ns > r->burst_ns ? now_ns - r->burst_ns : 0;
	uint64_t room = places(r);
	struct turn t;
	struct run run;
	unsigned n;

	rel_hold_flush(r->q.hold);
	if (unlikely(!only_new(r) || r->sent_raw != NULL || now_ns < r->pace_ns || room == 0))
		return 0;
	max = room < max ? (unsigned)room : max;
	run.kept = kept_at(r, r->next_seq);
	run.rec = rec_at(r, r->counter);
	run.seq = r->next_seq;
	run.pace_ns = r->pace_ns > since ? r->pace_ns : since;
	run.bytes = 0;
	run.cc = cc_pkt_now(&r->cc, now_ns);
	*counter = r->counter;
	for (n = 0; n < max && now_ns >= run.pace_ns && likely(peek(&r->q, &t)); n++) {
		uint32_t frame = RAIL_SEQ_HDR_LEN + node_at(r->q.hold, t.i)->len;

		if (unlikely(frame > r->conf.room || takes_ack(r, frame)) ||
			run.cc.tx_in_flight + frame + r->conf.overhead > cc_cwnd(&r->cc))
			break;
		send_one(r, &run, &t, &out[n]);
	}
	if (n != 0)
		run_end(r, &run, n, now_ns);
	return n;
}

// ---- acked ----

enum {
	FETCH_NODE = 16, // sequences ahead
	FETCH_ROUTE = 8, // ditto, when the node is there
};

// Hides the loads of what an acked packet has: its node, then its route's entry and its buffer.
// Nothing of it was touched for a round trip.
static inline void fetch_node(const struct rel *r, uint64_t seq)
{
	if (likely(seq < r->next_seq))
		rel_node_fetch(r->q.hold, kept_at(r, seq)->node);
}

static inline void fetch_route(const struct rel *r, uint64_t seq)
{
	const struct rel_node *n;

	if (unlikely(seq >= r->next_seq))
		return;
	n = node_at(r->q.hold, kept_at(r, seq)->node);
	__builtin_prefetch(n->handle, 1);
	if (likely(n->route != REL_NO_ROUTE))
		__builtin_prefetch(&r->q.hold->routes[n->route], 1);
}

// What many acked packets have in common is entered when the run ends, or another account begins.
struct acked {
	uint32_t bytes; // of datagrams
	uint32_t bufs; // of `account`, not entered yet
	uint16_t account;
	const struct rec *last; // of those sent last the one that had most before it
};

static inline void enter_bufs(struct rel_hold *h, struct acked *a)
{
	if (a->bufs != 0)
		rel_hold_account_add(h, a->account, -(int32_t)a->bufs);
	a->bufs = 0;
}

// As rel_queue_acked().
static inline void route_acked(struct rel *r, struct acked *a, const struct rel_node *n)
{
	struct rel_hold *h = r->q.hold;
	struct route *rt = &h->routes[n->route];

	if (unlikely(rt->flags & (RT_PAUSING | RT_DRAINING | RT_ANEW))) {
		enter_bufs(h, a);
		rel_queue_acked(&r->q, n->route, n->len, n->bufs);
		return;
	}
	if (unlikely(rt->account != a->account)) {
		enter_bufs(h, a);
		a->account = rt->account;
	}
	rt->kept -= n->len;
	rt->nodes--;
	route_charge_only(h, n->route, -(int32_t)n->bufs);
	a->bufs += n->bufs;
}

// The datagram c, if it held the packet seq, whole and for the first time, and nobody acked it yet.
static inline bool one_acked(struct rel *r, struct acked *a, uint64_t c, uint64_t seq)
{
	struct rec *rec = rec_at(r, c);
	struct rel_node *n;
	struct kept *k;
	uint32_t i;

	__builtin_prefetch(rec + FETCH_REC, 1);
	// where all is acked there is no `kept`, but a PROBE may be in flight
	if (unlikely(rec->state != REC_FLIGHT || rec->n != 1 || rec->n_units != 0 ||
		     rec->seq != (uint32_t)seq))
		return false;
	k = kept_at(r, seq);
	i = k->node;
	n = node_at(r->q.hold, i);
	if (unlikely(i == 0 || n->route == REL_NO_ROUTE || n->map != NULL || n->handle == NULL))
		return false;
	if (unlikely(rec->cc.sent_ns < r->cc.born_ns))
		return false;
	rec->state = REC_NONE;
	if (a->last == NULL || rec->cc.sent_ns > a->last->cc.sent_ns ||
		rec->cc.tx_in_flight >= a->last->cc.tx_in_flight)
		a->last = rec;
	a->bytes += rec->bytes;
	k->node = 0;
	route_acked(r, a, n);
	handle_free(r->q.hold, n->handle);
	node_free(r->q.hold, i);
	return true;
}

// What was gathered of a run into the books of the link and of congestion control, and behind.
static void enter(struct rel *r, const struct acked *a, unsigned n, uint64_t now_ns)
{
	r->n_flight -= n;
	r->n_unacked -= n;
	r->stats.tx_packets += n;
	cc_acked(&r->cc, &a->last->cc, a->bytes, now_ns);
	rel_kept_pass(r, n, n);
}

// How many datagrams and sequences lie before the end of a chunk.
static inline unsigned till_chunk_end(const struct rel *r, uint64_t hi)
{
	uint64_t recs = (1u << RECS_LOG2) - (r->flight_lo & ((1u << RECS_LOG2) - 1));
	uint64_t seqs = (1u << KEPT_LOG2) - (r->una & ((1u << KEPT_LOG2) - 1));
	uint64_t most = recs < seqs ? recs : seqs;
	uint64_t n = hi < r->flight_lo ? 0 : hi + 1 - r->flight_lo;

	return (unsigned)(n < most ? n : most);
}

void rel_acked_run(struct rel *r, uint64_t hi, uint64_t now_ns)
{
	struct acked a = {0};
	unsigned n, most;

	if (unlikely(r->n_lost != 0 || r->rec_tail != r->flight_lo))
		return;
	for (unsigned i = 0; i < FETCH_NODE; i++)
		fetch_node(r, r->una + i);
	for (unsigned i = 0; i < FETCH_ROUTE; i++)
		fetch_route(r, r->una + i);
	do {
		uint64_t c, seq = r->una;

		while (r->flight_lo <= hi && rec_at(r, r->flight_lo)->state == REC_NONE)
			rel_kept_pass(r, 0, 1); // an ACK alone
		c = r->flight_lo;
		most = till_chunk_end(r, hi);
		a.last = NULL;
		a.bytes = 0;
		for (n = 0; n < most; n++) {
			fetch_node(r, seq + n + FETCH_NODE);
			fetch_route(r, seq + n + FETCH_ROUTE);
			if (unlikely(!one_acked(r, &a, c + n, seq + n)))
				break;
		}
		if (n != 0)
			enter(r, &a, n, now_ns);
	} while (n != 0);
	enter_bufs(r->q.hold, &a);
}
