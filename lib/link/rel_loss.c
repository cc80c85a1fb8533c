// What became of the datagrams that were sent (rail 4): ACK frames, loss by three later counters or
// 9/8 of a round trip (RFC 9002 6.1), probe time-outs (6.2), round trips (5). Congestion control is
// told, not done here, and nothing is sent here.
#include "lib/link/rel_priv.h"

enum {
	GRANULARITY_NS = 1000000,
	MAX_ACK_DELAY_NS = 1000000,
	RTT_FIRST_NS = REL_PTO_FIRST_NS / 3, // no round trip was measured yet
	PROBES = 2,
	// Records behind the oldest in flight that ACKs may make us look at, for each datagram that
	// we sent. A peer names a counter in REL_ACK_PERIODS ACKs, and in more of them when late
	// datagrams make them reach further back.
	LOOKS_EACH = 4 * REL_ACK_PERIODS,
	LOOKS_MAX = 1 << 16,
};

// ---- round trips ----

static void rtt_sample(struct rel *r, uint64_t rtt, uint64_t delay)
{
	uint64_t diff;

	r->latest_ns = rtt;
	if (r->min_rtt_ns == 0 || rtt < r->min_rtt_ns)
		r->min_rtt_ns = rtt;
	if (delay > MAX_ACK_DELAY_NS)
		delay = MAX_ACK_DELAY_NS;
	if (rtt >= r->min_rtt_ns + delay)
		rtt -= delay;
	if (rtt == 0)
		rtt = 1;
	if (r->srtt_ns == 0) {
		r->srtt_ns = rtt;
		r->rttvar_ns = rtt / 2;
		return;
	}
	diff = rtt > r->srtt_ns ? rtt - r->srtt_ns : r->srtt_ns - rtt;
	r->rttvar_ns = (3 * r->rttvar_ns + diff) / 4;
	r->srtt_ns = (7 * r->srtt_ns + rtt) / 8;
	if (r->srtt_ns == 0)
		r->srtt_ns = 1;
}

uint64_t rel_loss_pto_ns(const struct rel *r, uint32_t count)
{
	uint64_t var = 4 * r->rttvar_ns;
	uint64_t pto = REL_PTO_FIRST_NS;

	if (r->srtt_ns != 0)
		pto = r->srtt_ns + (var > GRANULARITY_NS ? var : GRANULARITY_NS) + MAX_ACK_DELAY_NS;
	pto <<= count < 12 ? count : 12;
	return pto < REL_PTO_MAX_NS ? pto : REL_PTO_MAX_NS;
}

void rel_loss_repace(struct rel *r)
{
	uint64_t rate = cc_rate(&r->cc);

	r->ns_per_byte = (1000000000ull << 20) / (rate == 0 ? 1 : rate);
	r->burst_ns = (cc_quantum(&r->cc) * r->ns_per_byte) >> 20;
}

// ---- sequences ----

void rel_loss_seq_acked(struct rel *r, uint64_t seq)
{
	struct rel_hold *h = r->q.hold;
	struct kept *k = kept_at(r, seq);
	uint32_t i = k->node;
	struct rel_node *n;

	if (i == 0)
		return;
	n = node_at(h, i);
	if (unlikely(k->copies == 0))
		r->n_lost--;
	k->node = 0;
	r->n_unacked--;
	if (likely(n->route != REL_NO_ROUTE)) {
		if (unlikely(n->map != NULL))
			rel_hold_map_free(h, n->map);
		if (likely(n->handle != NULL)) {
			handle_free(h, n->handle);
			r->stats.tx_packets++;
		}
		rel_queue_acked(&r->q, n->route, n->len, n->bufs);
	}
	node_free(h, i);
}

// Units of a packet in parts were acked.
static void units_acked(struct rel *r, uint64_t seq, const struct rec *rec)
{
	struct kept *k = kept_at(r, seq);
	struct rel_node *n = node_at(r->q.hold, k->node);
	uint32_t units, n_acked = 0;
	uint64_t due = 0;

	if (k->node == 0 || n->kind != RAIL_SEQ || n->map == NULL)
		return; // acked as a whole, or emptied
	units = (n->len + REL_PART_UNIT - 1) / REL_PART_UNIT;
	for (uint32_t i = rec->unit; i < (uint32_t)rec->unit + rec->n_units; i++) {
		n->map->acked[i >> 6] |= 1ull << (i & 63);
		n->map->due[i >> 6] &= ~(1ull << (i & 63));
	}
	for (unsigned i = 0; i < REL_PART_WORDS; i++) {
		n_acked += (unsigned)__builtin_popcountll(n->map->acked[i]);
		due |= n->map->due[i];
	}
	if (n_acked == units) {
		rel_loss_seq_acked(r, seq);
	} else if (due == 0 && k->copies == 0) {
		k->copies = 1;
		r->n_lost--;
	}
}

static void mark_lost(struct rel *r, uint64_t seq, struct kept *k)
{
	k->copies = 0;
	r->n_lost++;
	if (r->lost_lo > seq)
		r->lost_lo = seq;
}

static void units_lost(struct rel *r, uint64_t seq, const struct rec *rec)
{
	struct kept *k = kept_at(r, seq);
	struct rel_map *m = node_at(r->q.hold, k->node)->map;
	bool any = false;

	if (node_at(r->q.hold, k->node)->kind != RAIL_SEQ || m == NULL)
		return;
	for (uint32_t i = rec->unit; i < (uint32_t)rec->unit + rec->n_units; i++) {
		uint64_t bit = 1ull << (i & 63);

		if (m->acked[i >> 6] & bit)
			continue;
		m->due[i >> 6] |= bit;
		any = true;
	}
	if (any && k->copies != 0)
		mark_lost(r, seq, k);
}

// ---- records ----

static inline uint64_t rec_seq(const struct rel *r, const struct rec *rec)
{
	return seq_near(r->una, rec->seq);
}

static void rec_seqs_acked(struct rel *r, const struct rec *rec)
{
	uint64_t seq = rec_seq(r, rec);

	if (unlikely(rec->n_units != 0)) {
		if (seq >= r->una)
			units_acked(r, seq, rec);
		return;
	}
	for (unsigned i = 0; i < rec->n; i++)
		if (likely(seq + i >= r->una))
			rel_loss_seq_acked(r, seq + i);
}

static void probe_end(struct rel *r, const struct rec *rec, bool ok, uint64_t now_ns)
{
	uint64_t ns = now_ns - rec->cc.sent_ns;
	struct rel_event ev = {.kind = REL_EV_PROBE,
		.ok = ok,
		.route = REL_NO_ROUTE,
		.tag = rec->seq,
		.rtt_us = ns < 1000 ? 1 : (uint32_t)(ns / 1000),
		.link = r->conf.link};

	rel_hold_tell(r->q.hold, &ev);
}

static inline void rec_acked(struct rel *r, struct rec *rec, uint64_t now_ns)
{
	if (unlikely(rec->state != REC_FLIGHT)) {
		if (rec->state != REC_LOST)
			return;
		rec->state = REC_NONE;
		r->n_late--;
		r->stats.tx_spurious++;
		if (!rec->padded)
			cc_found(&r->cc, &rec->cc, rec->bytes, now_ns);
		if (rec->tagged)
			probe_end(r, rec, true, now_ns);
		rec_seqs_acked(r, rec);
		return;
	}
	rec->state = REC_NONE;
	r->n_flight--;
	cc_acked(&r->cc, &rec->cc, rec->bytes, now_ns);
	if (unlikely(rec->tagged))
		probe_end(r, rec, true, now_ns);
	rec_seqs_acked(r, rec);
}

// All that it carried was acked by another copy, or by the peer's next sequence.
static bool is_settled(const struct rel *r, const struct rec *rec)
{
	uint64_t seq = rec_seq(r, rec);

	for (unsigned i = 0; i < rec->n; i++)
		if (seq + i >= r->una && kept_at(r, seq + i)->node != 0)
			return false;
	return rec->n != 0;
}

static void rec_lost(struct rel *r, struct rec *rec, uint64_t now_ns)
{
	uint64_t seq = rec_seq(r, rec);

	r->n_flight--;
	if (is_settled(r, rec)) {
		rec->state = REC_NONE;
		cc_acked(&r->cc, &rec->cc, rec->bytes, now_ns);
		return;
	}
	rec->state = REC_LOST;
	r->n_late++;
	r->stats.tx_lost++;
	if (rec->tagged)
		probe_end(r, rec, false, now_ns);
	if (rec->padded) {
		cc_forgotten(&r->cc, rec->bytes);
		return;
	}
	r->large_lost += rec->bytes > REL_SMALL;
	cc_lost(&r->cc, &rec->cc, rec->bytes, now_ns);
	if (rec->n_units != 0) {
		if (seq >= r->una && kept_at(r, seq)->node != 0)
			units_lost(r, seq, rec);
		return;
	}
	for (unsigned i = 0; i < rec->n; i++) {
		struct kept *k = kept_at(r, seq + i);

		if (seq + i < r->una || k->node == 0 || k->copies == 0)
			continue;
		// a packet that is now in parts has its own books
		if (node_at(r->q.hold, k->node)->kind == RAIL_SEQ &&
			node_at(r->q.hold, k->node)->map != NULL)
			continue;
		if (--k->copies == 0)
			mark_lost(r, seq + i, k);
	}
}

// ---- loss ----

static void settle(struct rel *r)
{
	while (r->flight_lo < r->counter && rec_at(r, r->flight_lo)->state != REC_FLIGHT)
		r->flight_lo++;
}

void rel_loss_settle(struct rel *r)
{
	settle(r);
	rel_kept_trim(r);
}

// Datagrams that later ones overtook. Returns whether there were any.
static bool detect_lost(struct rel *r, uint64_t now_ns)
{
	uint64_t rtt = r->srtt_ns > r->latest_ns ? r->srtt_ns : r->latest_ns;
	uint64_t wait = rtt + rtt / 8;
	uint64_t c;
	bool any = false;

	if (rtt == 0)
		wait = RTT_FIRST_NS + RTT_FIRST_NS / 8;
	if (wait < GRANULARITY_NS)
		wait = GRANULARITY_NS;
	r->loss_ns = 0;
	for (c = r->flight_lo; c + 1 < r->top[0]; c++) {
		struct rec *rec = rec_at(r, c);
		uint64_t due = rec->cc.sent_ns + wait;

		if (rec->state != REC_FLIGHT)
			continue;
		if (c + 1 >= r->top[2] && due > now_ns) { // and so are all later ones
			r->loss_ns = due;
			break;
		}
		rec_lost(r, rec, now_ns);
		any = true;
	}
	r->stats.acks_looked += c - r->flight_lo;
	r->flight_lo = c;
	settle(r);
	return any;
}

static void down(struct rel *r, uint64_t silence_ns)
{
	struct rel_event ev = {.kind = REL_EV_DOWN,
		.route = REL_NO_ROUTE,
		.limit_s = (uint16_t)(silence_ns / 1000000000),
		.tag = r->pto_count,
		.link = r->conf.link};

	if (!r->down)
		r->down = rel_hold_tell(r->q.hold, &ev);
}

void rel_loss_timer(struct rel *r, uint64_t now_ns)
{
	if (r->n_flight == 0)
		return;
	if (r->loss_ns != 0) {
		if (now_ns < r->loss_ns)
			return;
		if (detect_lost(r, now_ns)) {
			cc_ack_end(&r->cc, 0, now_ns);
			rel_loss_repace(r);
		}
		rel_kept_trim(r);
		r->next_ns = 0;
		return;
	}
	if (now_ns - r->last_eliciting_ns < rel_loss_pto_ns(r, r->pto_count))
		return;
	r->next_ns = 0;
	r->pto_count++;
	r->stats.tx_pto++;
	r->last_eliciting_ns = now_ns;
	r->probes_due = PROBES;
	r->pto_seq = r->una;
	cc_timeout(&r->cc, now_ns);
	rel_loss_repace(r);
	if (r->pto_count >= r->conf.retransmit_limit &&
		now_ns - r->last_ack_ns >= r->conf.silence_s * 1000000000ull)
		down(r, now_ns - r->last_ack_ns);
}

uint64_t rel_loss_deadline(const struct rel *r)
{
	if (r->n_flight == 0)
		return UINT64_MAX;
	return r->loss_ns != 0 ? r->loss_ns
			       : r->last_eliciting_ns + rel_loss_pto_ns(r, r->pto_count);
}

// ---- ACK frames ----

static bool names_a_skipped(const struct rel *r, const struct rail_range *range)
{
	for (unsigned i = 0; i < REL_SKIPS; i++)
		if (r->skips[i] != 0 && r->skips[i] - 1 <= range->hi &&
			r->skips[i] - 1 >= range->lo)
			return true;
	return false;
}

static bool is_lawful(const struct rel *r, const struct rail_ack *ack)
{
	uint64_t next = seq_near(r->una, ack->next_seq);
	struct rail_ack_iter it = {0};
	struct rail_range range;

	if (ack->highest >= r->counter || next > r->next_seq)
		return false;
	while (rail_ack_next(ack, &it, &range))
		if (names_a_skipped(r, &range))
			return false;
	return true;
}

// The three highest counters acked so far.
static void top_add(struct rel *r, const struct rail_range *range)
{
	for (uint64_t c = range->hi + 1, n = 0; n < 3 && c > range->lo; c--, n++) {
		if (c > r->top[0]) {
			r->top[2] = r->top[1];
			r->top[1] = r->top[0];
			r->top[0] = c;
		} else if (c < r->top[0] && c > r->top[1]) {
			r->top[2] = r->top[1];
			r->top[1] = c;
		} else if (c < r->top[1] && c > r->top[2]) {
			r->top[2] = c;
		}
	}
}

// So many of n records that were settled before, when there is no end of ACKs that name them.
static uint64_t may_look(struct rel *r, uint64_t n)
{
	uint64_t looks = r->looks + (r->counter - r->looks_at) * LOOKS_EACH;

	r->looks_at = r->counter;
	if (looks > LOOKS_MAX)
		looks = LOOKS_MAX;
	if (n > looks)
		n = looks;
	r->looks = (uint32_t)(looks - n);
	return n;
}

// Those behind the oldest in flight: late acks of what was taken for lost.
static void late_acked(struct rel *r, uint64_t lo, uint64_t end, uint64_t now_ns)
{
	uint64_t n = may_look(r, end - lo);

	r->stats.acks_looked += n;
	for (uint64_t c = lo; c < lo + n; c++)
		rec_acked(r, rec_at(r, c), now_ns);
}

// Counters of one run. True when one of them was in flight.
static bool run_acked(struct rel *r, const struct rail_range *range, uint64_t now_ns)
{
	uint32_t before = r->n_flight;
	uint64_t lo;

	if (likely(range->lo <= r->flight_lo))
		rel_acked_run(r, range->hi, now_ns);
	lo = range->lo > r->rec_tail ? range->lo : r->rec_tail;
	if (unlikely(lo < r->flight_lo)) {
		uint64_t end = range->hi < r->flight_lo ? range->hi + 1 : r->flight_lo;

		late_acked(r, lo, end, now_ns);
		lo = end;
	}
	for (uint64_t c = lo; c <= range->hi; c++)
		rec_acked(r, rec_at(r, c), now_ns);
	return r->n_flight != before;
}

int rel_loss_on_ack(struct rel *r, const struct rail_ack *ack, uint64_t now_ns)
{
	uint64_t next = seq_near(r->una, ack->next_seq);
	bool is_newest = ack->highest + 1 > r->top[0] && ack->highest >= r->rec_tail;
	struct rail_ack_iter it = {0};
	struct rail_range range;
	uint64_t rtt = 0;
	bool any = false;

	if (!is_lawful(r, ack))
		return -EPROTO;
	r->stats.acks_received++;
	if (is_newest) {
		const struct rec *rec = rec_at(r, ack->highest);

		if (now_ns > rec->cc.sent_ns)
			rtt = now_ns - rec->cc.sent_ns;
		if (rec->state == REC_FLIGHT && rec->bytes > REL_SMALL && !rec->padded)
			r->large_lost = 0;
	}
	while (rail_ack_next(ack, &it, &range) && range.hi >= r->rec_tail) {
		top_add(r, &range);
		any |= run_acked(r, &range, now_ns);
	}
	for (uint64_t seq = r->una; seq < next && seq < r->next_seq; seq++) {
		any |= kept_at(r, seq)->node != 0;
		rel_loss_seq_acked(r, seq);
	}
	if (!any || ack->highest < r->path_first)
		rtt = 0;
	if (rtt != 0)
		rtt_sample(r, rtt, (uint64_t)ack->delay * RAIL_ACK_DELAY_UNIT_US * 1000);
	any |= detect_lost(r, now_ns);
	if (any) {
		r->pto_count = 0;
		r->probes_due = 0;
		r->last_ack_ns = now_ns;
		cc_ack_end(&r->cc, rtt, now_ns);
		rel_loss_repace(r);
	}
	rel_kept_trim(r);
	return 0;
}
