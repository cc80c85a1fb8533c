// The verdict on a burst of route packets, in three stages: read all headers and prefetch all
// rules; judge each packet, gathering those that go on by egress hop; push the gathered ones. The
// semantics are skywire-routing 2.5 and 3: which packet refreshes which rule, where a keep-alive or
// a close ends. Every routed type goes on byte for byte with only its id replaced. Deliberately not
// here: keys, frames, and the removal of rules, which is the main lcore's.

#include "dataplane/worker/forward.h"

#include "dataplane/hop/hop.h"
#include "dataplane/hop/hop_cut.h"
#include "dataplane/hop/hop_msg.h"
#include "dataplane/rule/rule_table.h"
#include "dataplane/worker/uplink.h"
#include "lib/wire/route_hdr.h"

#include <rte_prefetch.h>

// Types that live on route id 0 (skywire-routing 1.2), as a mask; 8..16, 18 and 19.
#define CONTROL_TYPES 0x000dff00u

// Where packets of one burst come from.
struct ingress {
	struct hop *hop; // NULL: the control plane
	uint32_t tp; // transport, or RULE_IN_LOCAL
	bool flows; // the transport has several, and `flow` is one of them
	struct hop_flow flow;
};

enum { RUNS = 8 }; // egress hops at a time, by the low bits of their handles

// Packets for one egress hop, in order. A hop that is ours and up takes them for sure, and so does
// another worker's whose ring has room for a burst: then their rules count at once, else once the
// ring took them.
struct run {
	uint32_t hop; // handle, 0 = none yet
	uint16_t n;
	uint16_t to; // its owner, not local
	bool sure;
	struct hop *local;
	struct rte_mbuf *m[BURST];
	struct rule *rule[BURST]; // not sure
	uint16_t len[BURST]; // payload, not sure
};

// Of one burst of packets: all runs together hold no more than that.
struct runs {
	struct run run[RUNS];
};

static inline const uint8_t *header(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, const uint8_t *);
}

static inline bool is_control(uint8_t type)
{
	return type < 32 && (CONTROL_TYPES >> type & 1) != 0;
}

static inline bool is_sound(const struct rte_mbuf *m)
{
	return m->data_len >= ROUTE_HDR_LEN && route_hdr_packet_len(header(m)) == m->pkt_len;
}

static inline void rule_stamp(struct rule *r, uint32_t now_ds)
{
	if (atomic_load_explicit(&r->stamp_ds, memory_order_relaxed) != now_ds)
		atomic_store_explicit(&r->stamp_ds, now_ds, memory_order_relaxed);
}

// hides the load of the slot in rule_lookup(), and where there are reliable hops, the loads in
// hop_tx_queue()
static inline void fetch_rule(const struct wctx *w, const struct rte_mbuf *m, unsigned off)
{
	uint32_t id = route_hdr_id(header(m) + off);
	size_t slot = id & w->rules->mask;

	rte_prefetch0(rule_slot(w->rules, id));
	if (w->rel_entry != NULL) {
		rte_prefetch0(w->rel_entry + slot * HOP_ENTRY_LEN);
		rte_prefetch0(w->rel_info + slot * HOP_INFO_LEN);
	}
}

// Drop what is no route packet, fetch the rules of the rest. Returns how many are left.
static inline unsigned header_stage(struct wctx *w, struct rte_mbuf **pkts, unsigned n)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];

		if (unlikely(!is_sound(m))) {
			drop(w, W_drop_packet_malformed, m);
			continue;
		}
		fetch_rule(w, m, 0);
		pkts[kept++] = m;
	}
	return kept;
}

static void run_push(struct wctx *w, struct run *run)
{
	unsigned n = run->n;

	run->n = 0;
	if (likely(run->local != NULL)) {
		hop_tx_queue(w, run->local, run->m, n);
		count(w, W_pkt_forwarded, n);
		return;
	}
	if (run->sure) { // counted by the owner when they arrive
		if (likely(w->ops->handoff_tx(w, run->to, run->hop, run->m, n)))
			return;
		count(w, W_drop_handoff_tx, n); // messages took the room
		rte_pktmbuf_free_bulk(run->m, n);
		return;
	}
	if (unlikely(!hop_give(w, run->hop, run->m, n, true)))
		return; // not refreshed, not counted (decision: only if the hop is up)
	for (unsigned i = 0; i < n; i++)
		rule_count(run->rule[i], run->len[i], w->now_ds);
}

static void runs_init(struct runs *runs)
{
	for (unsigned i = 0; i < RUNS; i++) {
		runs->run[i].hop = 0;
		runs->run[i].n = 0;
	}
}

static inline void runs_push(struct wctx *w, struct runs *runs)
{
	for (unsigned i = 0; i < RUNS; i++)
		if (runs->run[i].n != 0)
			run_push(w, &runs->run[i]);
}

static __rte_noinline struct run *run_begin(struct wctx *w, struct run *run, uint32_t hop)
{
	int to;

	if (run->n != 0)
		run_push(w, run);
	run->hop = hop;
	run->local = hop_tx_local(w, hop);
	run->sure = run->local != NULL;
	if (!run->sure) {
		to = hop_tx_remote(w, hop);
		run->to = (uint16_t)to;
		run->sure = to >= 0 && w->ops->handoff_has_room(w, (unsigned)to, BURST);
	}
	return run;
}

static inline struct run *run_find(struct wctx *w, struct runs *runs, uint32_t hop)
{
	struct run *run = &runs->run[hop % RUNS];

	return likely(run->hop == hop) ? run : run_begin(w, run, hop);
}

// Its id is the next one's now; a reliable egress asks hash.usr for the slot of the rule.
static inline void run_put(
	struct run *run, const struct rule *r, struct rte_mbuf *m, uint8_t *p, uint32_t mask)
{
	m->hash.usr = route_hdr_id(p) & mask;
	route_hdr_put_id(p, r->next_id);
	run->m[run->n++] = m;
}

static inline void run_add(struct wctx *w, struct runs *runs, struct rule *r, struct rte_mbuf *m)
{
	struct run *run = run_find(w, runs, r->tx_hop);
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
	uint16_t len = route_hdr_len(p);

	if (likely(run->sure)) {
		rule_count(r, len, w->now_ds);
	} else {
		run->rule[run->n] = r;
		run->len[run->n] = len;
	}
	run_put(run, r, m, p, w->rules->mask);
}

// The rule ends: the main lcore takes it out of the table. A flood of closes is told once in a
// tenth of a second, or it would push other hops' notes out of the ring. When that is full the next
// Close tells.
static void rule_close(struct wctx *w, const struct rule *r)
{
	struct dp_note note = {
		.kind = NOTE_RULE_CLOSE,
		.id = atomic_load_explicit(&r->id, memory_order_relaxed),
	};

	if (note.id == w->closed_id && w->closed_ds == w->now_ds)
		return;
	if (hop_note(w, &note)) {
		w->closed_id = note.id;
		w->closed_ds = w->now_ds;
	}
}

static void on_miss(struct wctx *w, const struct ingress *in, struct rte_mbuf *m)
{
	struct dp_note note = {.kind = NOTE_RULE_MISS, .id = route_hdr_id(header(m)), .tp = in->tp};

	if (in->hop == NULL) {
		drop(w, W_drop_down_bad, m);
		return;
	}
	bucket_take(&hop_guard(in->hop)->miss, w->now_ns, FWD_MISS_PERIOD_NS, FWD_MISS_BURST);
	stat_add(&hop_counters(in->hop)[H_hop_rule_misses], 1);
	hop_unknown_id(w, in->hop, note.id);
	if (bucket_take(&w->miss_notes, w->now_ns, FWD_NOTE_PERIOD_NS, FWD_NOTE_BURST))
		hop_note(w, &note);
	drop(w, W_drop_rule_unknown, m);
}

// The rule is not pinned to this ingress: pin it if that is allowed, else drop and count. True: go
// on.
static bool pin_or_drop(
	struct wctx *w, const struct ingress *in, struct rule *r, struct rte_mbuf *m)
{
	struct bucket *miss = in->hop == NULL ? NULL : &hop_guard(in->hop)->miss;
	bool may_pin =
		miss == NULL || !bucket_empty(miss, w->now_ns, FWD_MISS_PERIOD_NS, FWD_MISS_BURST);
	bool pinned = false;

	if (rule_ingress_ok(r, in->tp, may_pin, &pinned)) {
		if (pinned)
			count(w, W_rule_pins, 1);
		return true;
	}
	if (atomic_load_explicit(&r->in_tp, memory_order_relaxed) == RULE_IN_ANY) {
		hop_tell_limit(w, in->hop,
			"too many packets for ids that no rule of yours has: no new routes for now");
		drop(w, W_drop_pin_limit, m);
		return false;
	}
	if (miss != NULL)
		bucket_take(miss, w->now_ns, FWD_MISS_PERIOD_NS, FWD_MISS_BURST);
	drop(w, W_drop_rule_ingress, m);
	return false;
}

// A transport ping goes back as a pong with the same 8 bytes, whatever they are.
static void answer(struct wctx *w, struct hop *hop, struct rte_mbuf *m)
{
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);

	if (route_hdr_len(p) != ROUTE_TP_PING_LEN) {
		drop(w, W_drop_packet_malformed, m);
		return;
	}
	p[0] = ROUTE_TP_PONG;
	switch (hop_tx_push(w, hop_handle(hop), &m, 1)) {
	case HOP_PUSHED:
		count(w, W_pkt_answered, 1);
		break;
	case HOP_HANDED: // the owner counts it
		break;
	case HOP_GONE:
		drop(w, W_drop_hop_gone, m);
		break;
	case HOP_FULL:
		drop(w, W_drop_handoff_tx, m);
		break;
	}
}

// Route id 0, from a hop: a packet of the transport itself.
static void on_control(struct wctx *w, const struct ingress *in, struct rte_mbuf *m)
{
	uint8_t type = route_hdr_type(header(m));

	if (in->hop == NULL) {
		drop(w, W_drop_down_bad, m);
		return;
	}
	if (type == ROUTE_TP_PING) {
		answer(w, in->hop, m);
		return;
	}
	if (!is_control(type)) {
		drop(w, W_drop_type0, m);
		return;
	}
	if (!bucket_take(&hop_guard(in->hop)->control, w->now_ns, FWD_CONTROL_PERIOD_NS,
		    FWD_CONTROL_BURST)) {
		hop_tell_limit(w, in->hop, "too many packets for route id 0");
		drop(w, W_drop_type0_rate, m);
		return;
	}
	if (!uplink_route(w, UP_CONTROL, 0, hop_handle(in->hop), m)) {
		drop(w, W_drop_up_ring, m);
		return;
	}
	count(w, W_pkt_control, 1);
	rte_pktmbuf_free(m);
}

// A consume rule: the way ends here. Any packet refreshes it, delivered or not.
static void on_consume(struct wctx *w, const struct ingress *in, struct rule *r, struct rte_mbuf *m)
{
	uint8_t type = route_hdr_type(header(m));
	uint16_t len = route_hdr_len(header(m));
	uint32_t id = route_hdr_id(header(m)), index = id & w->rules->mask;
	enum hop_sink sink;

	if (type == ROUTE_KEEP_ALIVE) {
		rule_count(r, len, w->now_ds);
		count(w, W_pkt_ended, 1);
		rte_pktmbuf_free(m);
		return;
	}
	sink = hop_sink_state(w, in->hop, index, id);
	if (unlikely(sink == HOP_SINK_ENDED)) {
		hop_route_refused(w, index);
		drop(w, W_drop_sink_ended, m);
		return;
	}
	rule_stamp(r, w->now_ds);
	if (type == ROUTE_CLOSE)
		rule_close(w, r);
	if (unlikely(sink == HOP_SINK_WAITS || (uplink_fenced(w) && hop_marks(in->hop))) ||
		!uplink_route(w, UP_ROUTE, id, hop_handle(in->hop), m)) {
		if (!hop_sink_push(w, in->hop, index, m)) {
			drop(w, W_drop_up_ring, m);
			return;
		}
		m = NULL;
	}
	rule_count(r, len, w->now_ds);
	count(w, W_pkt_consumed, 1);
	rte_pktmbuf_free(m);
}

// Forward rules are for the control plane's packets; one that names no ingress, or a transport,
// takes packets of the network too: data goes on, keep-alive packets and closes end here.
static bool ends_at_forward(struct wctx *w, struct rule *r, struct rte_mbuf *m)
{
	uint8_t type = route_hdr_type(header(m));

	if (likely(type != ROUTE_KEEP_ALIVE && type != ROUTE_CLOSE))
		return false;
	if (type == ROUTE_CLOSE)
		rule_close(w, r);
	count(w, W_pkt_ended, 1);
	rte_pktmbuf_free(m);
	return true;
}

// The whole of it, for any packet.
static __rte_noinline void judge(
	struct wctx *w, const struct ingress *in, struct runs *runs, struct rte_mbuf *m)
{
	const uint8_t *p = header(m);
	uint32_t id = route_hdr_id(p);
	struct rule *r;

	if (in->flows && unlikely(!hop_flow_has(in->flow, id))) {
		drop(w, W_drop_flow, m);
		return;
	}
	if (unlikely(id == 0)) {
		on_control(w, in, m);
		return;
	}
	r = rule_lookup(w->rules, id);
	if (unlikely(r == NULL)) {
		on_miss(w, in, m);
		return;
	}
	if (unlikely(in->hop == NULL && r->type != RULE_FORWARD)) {
		drop(w, W_drop_down_bad, m);
		return;
	}
	if (unlikely(rule_expired(r, w->now_ds))) {
		drop(w, W_drop_rule_expired, m);
		return;
	}
	if (unlikely(atomic_load_explicit(&r->in_tp, memory_order_relaxed) != in->tp) &&
		!pin_or_drop(w, in, r, m))
		return;
	if (r->type == RULE_INTERMEDIARY) {
		// the rule ends even when forwarding fails
		if (unlikely(route_hdr_type(p) == ROUTE_CLOSE))
			rule_close(w, r);
	} else if (r->type == RULE_CONSUME) {
		on_consume(w, in, r, m);
		return;
	} else if (in->hop != NULL && ends_at_forward(w, r, m)) {
		return;
	}
	run_add(w, runs, r, m);
}

// The next burst, whose rules are fetched while this one is judged, a few at a time: all at once
// are more than some cores can have outstanding, and one by one leave the others waiting.
enum { FETCH = 8 };

struct ahead {
	struct rte_mbuf **m; // of those that are left
	unsigned n;
	unsigned off;
};

static inline void fetch_some(const struct wctx *w, struct ahead *next, unsigned max)
{
	unsigned n = next->n < max ? next->n : max;

	for (unsigned i = 0; i < n; i++)
		fetch_rule(w, next->m[i], next->off);
	next->m += n;
	next->n -= n;
}

// Would judge() do nothing but send this packet on, at p? Nothing is called, and what a burst has
// in common is in registers.
static inline bool goes_on(const struct rule *r, const uint8_t *p, uint32_t tp, uint8_t rule_type)
{
	uint32_t id = route_hdr_id(p);

	// pairs with the release in rule_table_add()
	if (unlikely(atomic_load_explicit(&r->id, memory_order_acquire) != id || id == 0))
		return false;
	if (unlikely(r->type != rule_type ||
		     atomic_load_explicit(&r->in_tp, memory_order_relaxed) != tp))
		return false;
	return likely(route_hdr_type(p) != ROUTE_CLOSE);
}

static struct ingress ingress_of(const struct hop *in)
{
	struct ingress from = {.hop = (struct hop *)in, .tp = RULE_IN_LOCAL};

	if (in == NULL)
		return from;
	from.tp = hop_tp(in);
	from.flow = hop_flow(in);
	from.flows = !hop_flow_is_only(from.flow);
	return from;
}

// Did it come by the flow that it belongs to? `flows` is known when this is compiled: where there
// is one nobody asks.
static inline bool in_its_flow(const struct ingress *from, bool flows, const uint8_t *p)
{
	return !flows || likely(hop_flow_has(from->flow, route_hdr_id(p)));
}

// ... if its rule has not expired: one that was stamped in this tenth of a second has not.
static inline bool refresh(struct rule *r, uint32_t now_ds)
{
	if (atomic_load_explicit(&r->stamp_ds, memory_order_relaxed) == now_ds)
		return true;
	if (unlikely(rule_expired(r, now_ds)))
		return false;
	atomic_store_explicit(&r->stamp_ds, now_ds, memory_order_relaxed);
	return true;
}

// A burst of route packets.
static inline __attribute__((always_inline)) void judge_run(struct wctx *w,
	const struct ingress *from, struct rte_mbuf **pkts, unsigned n, struct ahead *next,
	bool flows)
{
	const uint8_t rule_type = from->hop == NULL ? RULE_FORWARD : RULE_INTERMEDIARY;
	const uint32_t tp = from->tp, now_ds = w->now_ds;
	const struct rule_table *rules = w->rules;
	struct runs runs;
	struct run *run = &runs.run[0];

	runs_init(&runs);
	count(w, from->hop == NULL ? W_pkt_down : W_pkt_rx, n);
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
		struct rule *r = rule_slot(rules, route_hdr_id(p));

		if (i % FETCH == 0)
			fetch_some(w, next, FETCH);
		if (likely(goes_on(r, p, tp, rule_type) && in_its_flow(from, flows, p))) {
			if (unlikely(r->tx_hop != run->hop))
				run = run_find(w, &runs, r->tx_hop);
			if (likely(run->sure && refresh(r, now_ds))) {
				rule_add_packet(r, route_hdr_len(p));
				run_put(run, r, m, p, rules->mask);
				continue;
			}
		}
		judge(w, from, &runs, m);
	}
	fetch_some(w, next, next->n);
	runs_push(w, &runs);
}

static __rte_noinline void judge_flows(struct wctx *w, const struct ingress *from,
	struct rte_mbuf **pkts, unsigned n, struct ahead *next)
{
	judge_run(w, from, pkts, n, next, true);
}

static void judge_all(
	struct wctx *w, struct hop *in, struct rte_mbuf **pkts, unsigned n, struct ahead *next)
{
	const struct ingress from = ingress_of(in);

	if (from.flows)
		judge_flows(w, &from, pkts, n, next);
	else
		judge_run(w, &from, pkts, n, next, false);
}

// ---- whole frames of a clear link ----

enum { CUTS = RUNS }; // egress hops at a time, by the low bits of their handles

struct cuts {
	uint32_t hop[CUTS]; // 0 = none
	struct hop_cut cut[CUTS];
	struct runs runs; // what goes the general way
};

static void cuts_end(struct wctx *w, struct cuts *c)
{
	for (unsigned i = 0; i < CUTS; i++) {
		if (c->hop[i] != 0)
			hop_cut_end(w, &c->cut[i]);
		c->hop[i] = 0;
	}
}

static __rte_noinline struct hop_cut *cut_open(struct wctx *w, struct cuts *c, uint32_t hop)
{
	struct hop_cut *cut = &c->cut[hop % CUTS];

	if (c->hop[hop % CUTS] != 0)
		hop_cut_end(w, cut);
	c->hop[hop % CUTS] = 0;
	if (!hop_cut_begin(w, hop, cut))
		return NULL;
	c->hop[hop % CUTS] = hop;
	return cut;
}

// The cut to a hop, opened if need be; NULL: there is none. A hop to which something goes the
// general way gets none in this burst, so that nothing is overtaken.
static inline struct hop_cut *cut_find(struct wctx *w, struct cuts *c, uint32_t hop)
{
	if (likely(c->hop[hop % CUTS] == hop))
		return &c->cut[hop % CUTS];
	return c->runs.run[hop % RUNS].hop == hop ? NULL : cut_open(w, c, hop);
}

// A frame that can't be cut through: a route packet like any other. What was cut through before it
// is entered first, since judging may end a hop's key or close it.
static __rte_noinline void judge_frame(
	struct wctx *w, const struct ingress *from, struct cuts *c, struct rte_mbuf *m)
{
	cuts_end(w, c);
	hop_cut_strip(m);
	judge(w, from, &c->runs, m);
}

// A frame of which the rule goes on by a hop that has no cut: another worker's, or a sealed one.
static inline bool frame_runs(struct wctx *w, struct cuts *c, struct rule *r, struct rte_mbuf *m)
{
	struct run *run = run_find(w, &c->runs, r->tx_hop);

	if (unlikely(!run->sure || !refresh(r, w->now_ds)))
		return false;
	hop_cut_strip(m);
	rule_add_packet(r, m->pkt_len - ROUTE_HDR_LEN);
	run_put(run, r, m, rte_pktmbuf_mtod(m, uint8_t *), w->rules->mask);
	return true;
}

// A burst of whole frames, as hop_rx_expected() leaves them.
static inline __attribute__((always_inline)) void cut_run(struct wctx *w,
	const struct ingress *from, struct rte_mbuf **frames, unsigned n, struct ahead *next,
	bool flows)
{
	const struct rule_table *rules = w->rules;
	const uint32_t tp = from->tp, now_ds = w->now_ds;
	struct cuts c;
	unsigned n_cut = 0;

	memset(c.hop, 0, sizeof(c.hop));
	runs_init(&c.runs);
	count(w, W_pkt_rx, n);
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = frames[i];
		uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
		uint8_t *p = frame + HEAD4_LEN;
		uint32_t len = m->data_len;
		struct rule *r = rule_slot(rules, route_hdr_id(p));
		struct hop_cut *cut;

		if (i % FETCH == 0)
			fetch_some(w, next, FETCH);
		if (likely(goes_on(r, p, tp, RULE_INTERMEDIARY) && in_its_flow(from, flows, p))) {
			cut = cut_find(w, &c, r->tx_hop);
			if (likely(cut != NULL && hop_cut_takes(cut, len) && refresh(r, now_ds))) {
				rule_add_packet(r, len - HEAD4_WRAP - ROUTE_HDR_LEN);
				route_hdr_put_id(p, r->next_id);
				hop_cut_put(w, cut, m, frame, len);
				n_cut++;
				continue;
			}
			if (cut == NULL && frame_runs(w, &c, r, m))
				continue;
		}
		judge_frame(w, from, &c, m);
	}
	fetch_some(w, next, next->n);
	cuts_end(w, &c);
	count(w, W_pkt_forwarded, n_cut);
	runs_push(w, &c.runs);
}

static __rte_noinline void cut_flows(struct wctx *w, const struct ingress *from,
	struct rte_mbuf **frames, unsigned n, struct ahead *next)
{
	cut_run(w, from, frames, n, next, true);
}

static void judge_frames(
	struct wctx *w, struct hop *in, struct rte_mbuf **frames, unsigned n, struct ahead *next)
{
	const struct ingress from = ingress_of(in);

	if (from.flows)
		cut_flows(w, &from, frames, n, next);
	else
		cut_run(w, &from, frames, n, next, false);
}

static void judge_held(struct wctx *w, struct ahead *next)
{
	struct held_burst *held = &w->ahead;

	if (held->off == 0)
		judge_all(w, held->in, held->m, held->n, next);
	else
		judge_frames(w, held->in, held->m, held->n, next);
	held->n = 0;
}

void forward_flush(struct wctx *w)
{
	struct ahead nothing = {.n = 0};

	if (w->ahead.n != 0)
		judge_held(w, &nothing);
}

void forward_burst(struct wctx *w, struct hop *in, struct rte_mbuf **pkts, unsigned n)
{
	struct ahead nothing = {.n = 0};
	unsigned whole;

	forward_flush(w);
	if (n == 0)
		return;
	whole = header_stage(w, pkts, n);
	count(w, in == NULL ? W_pkt_down : W_pkt_rx, n - whole);
	judge_all(w, in, pkts, whole, &nothing);
}

void forward_ahead(struct wctx *w, struct hop *in, struct rte_mbuf **pkts, unsigned n, unsigned off)
{
	struct ahead next = {.m = pkts, .n = n, .off = off};
	struct held_burst *held = &w->ahead;

	if (held->n != 0)
		judge_held(w, &next);
	else
		fetch_some(w, &next, n);
	held->in = in;
	held->n = n;
	held->off = off;
	memcpy(held->m, pkts, n * sizeof(pkts[0]));
}
