// The loop of a trial: send what is due, take what comes, until all was sent and nothing comes any
// more.

#include "tools/bench/trial.h"

#include "lib/base/clock.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum {
	GRACE_NS = 5000000, // for packets that are due at the end
	POLL_TURNS = 1024,
	DRAIN_MIN_NS = 1000000,
	DRAIN_CUT_NS = 200000000, // longest pause when somebody waits for the end
	HELD_NS = 1000000, // held back so shortly before the end: for this reason unsent
	ROUTES_TRIED = 64, // in search of one that need not wait
};

// ---- what arrives ----

static inline void arrive(
	struct trial *t, const uint8_t *p, uint32_t len, uint64_t since_ns, struct trial_result *r)
{
	struct traffic *tr = t->traffic;
	struct traffic_flow *f;
	struct flow_mark mark;

	if (len < ROUTE_HDR_LEN || !flow_get(p + ROUTE_HDR_LEN, len - ROUTE_HDR_LEN, &mark) ||
		mark.run != tr->run || mark.flow >= tr->n_flows ||
		route_hdr_id(p) != tr->flow[mark.flow].out_id) {
		r->strange++;
		return;
	}
	f = &tr->flow[mark.flow];
	switch (flow_arrive(&f->rx, mark.seq)) {
	case FLOW_DUPLICATE:
		r->duplicates++;
		return;
	case FLOW_REORDERED:
		r->reordered++;
		break;
	case FLOW_IN_ORDER:
		break;
	}
	f->received++;
	r->received++;
	hist_add(t->latency, since_ns > mark.due_ns ? since_ns - mark.due_ns : 0);
}

void trial_sink(void *ctx, struct rte_mbuf **m, unsigned n, uint64_t arrived_ns)
{
	struct trial *t = ctx;

	if (t->r != NULL && !t->count_only)
		for (unsigned i = 0; i < n; i++)
			arrive(t, rte_pktmbuf_mtod(m[i], const uint8_t *), m[i]->data_len,
				arrived_ns - t->start_ns, t->r);
	rte_pktmbuf_free_bulk(m, n);
}

// ---- what is sent ----

struct pace {
	double gap_ns; // 0: no pace
	uint64_t total; // packets to send
	uint64_t end_ns; // from the start
};

// Turn to a route of the link that need not wait; false: none was found.
static bool turn_to_ready(struct trial *t, struct traffic_link *l)
{
	for (unsigned i = 0; i < ROUTES_TRIED && i < l->n_flows; i++) {
		if (!hop_tx_waits(&t->peer->w, traffic_flow_at(t->traffic, l)))
			return true;
		traffic_pass(l);
	}
	return false;
}

// How many of n packets that are due the link takes: they are in m.
static unsigned fill_burst(struct trial *t, const struct pace *p, struct traffic_link *l,
	struct rte_mbuf **m, unsigned n, uint64_t now_ns)
{
	struct trial_result *r = t->r;
	unsigned i;

	for (i = 0; i < n && turn_to_ready(t, l); i++) {
		uint64_t due_ns =
			p->gap_ns > 0 ? (uint64_t)((double)(r->sent + i) * p->gap_ns) : now_ns;

		r->late += now_ns > due_ns + TRIAL_LATE_NS;
		traffic_fill(t->traffic, l, m[i], due_ns);
	}
	return i;
}

static int send_burst(struct trial *t, const struct pace *p, unsigned n, uint64_t now_ns)
{
	struct traffic_link *l = traffic_next_link(t->traffic);
	const struct hop *h = hop_tx_local(&t->peer->w, l->hop);
	struct rte_mbuf *m[BURST];
	unsigned room, k;

	if (h == NULL)
		return -ENOTCONN;
	if (rte_pktmbuf_alloc_bulk(t->peer->w.pool, m, n) != 0)
		return 0; // all are under way: these become late
	room = hop_tx_room(&t->peer->w, h);
	k = fill_burst(t, p, l, m, room < n ? room : n, now_ns);
	if (k < n) {
		rte_pktmbuf_free_bulk(m + k, n - k);
		t->held_ns = now_ns;
	}
	if (k > 0 && hop_tx_push(&t->peer->w, l->hop, m, k) != HOP_PUSHED) {
		rte_pktmbuf_free_bulk(m, k);
		return -ENOTCONN;
	}
	t->r->sent += k;
	return 0;
}

static int send_prepared(struct trial *t, const struct pace *p, unsigned n, uint64_t now_ns)
{
	unsigned got = prepare_send(t->prepare, t->peer, n, &t->r->refused);

	for (unsigned i = 0; i < got; i++)
		t->r->late +=
			now_ns > (uint64_t)((double)(t->r->sent + i) * p->gap_ns) + TRIAL_LATE_NS;
	t->r->sent += got;
	return 0;
}

static uint64_t due_by(const struct pace *p, uint64_t now_ns)
{
	uint64_t due = p->total;

	if (p->gap_ns > 0 && (double)now_ns < (double)p->total * p->gap_ns)
		due = (uint64_t)((double)now_ns / p->gap_ns) + 1;
	return due < p->total ? due : p->total;
}

// Send what is due.
static int send_due(struct trial *t, const struct pace *p, uint64_t now_ns)
{
	uint64_t due = due_by(p, now_ns), n;

	if (due <= t->r->sent)
		return 0;
	n = due - t->r->sent;
	if (n > BURST)
		n = BURST;
	return t->prepare != NULL ? send_prepared(t, p, (unsigned)n, now_ns)
				  : send_burst(t, p, (unsigned)n, now_ns);
}

// ---- the run ----

static uint64_t received(const struct trial *t)
{
	return t->count_only ? t->peer->counted : t->r->received;
}

static bool stopped(const struct trial *t)
{
	return t->stop != NULL && atomic_load_explicit(t->stop, memory_order_relaxed);
}

static int run_sending(struct trial *t, const struct pace *p)
{
	uint64_t now_ns = 0;
	int rc = 0;

	for (unsigned turn = 1; rc == 0; turn++) {
		now_ns = peer_now_ns(t->peer) - t->start_ns;
		if (t->r->sent == p->total && now_ns >= p->end_ns)
			break;
		if (now_ns >= p->end_ns + (p->gap_ns > 0 ? GRACE_NS : 0))
			break;
		rc = send_due(t, p, now_ns);
		peer_turn(t->peer);
		if (turn % POLL_TURNS == 0) {
			if (t->poll != NULL)
				t->poll(t->poll_ctx);
			if (stopped(t))
				rc = -EINTR;
		}
	}
	t->r->took_s = (double)now_ns * 1e-9;
	return rc;
}

static void run_drain(struct trial *t, double drain_s)
{
	uint64_t last_ns = peer_now_ns(t->peer), now_ns = last_ns, seen = received(t);
	uint64_t pause_ns = (uint64_t)(drain_s * 1e9);

	do {
		if (stopped(t) && pause_ns > DRAIN_CUT_NS)
			pause_ns = DRAIN_CUT_NS;
		// the last one came: duplicates may still come, but no more is owed
		if (seen >= t->r->sent - t->r->refused || pause_ns < DRAIN_MIN_NS)
			pause_ns = DRAIN_MIN_NS;
		peer_turn(t->peer);
		now_ns = peer_now_ns(t->peer);
		if (received(t) != seen)
			last_ns = now_ns;
		seen = received(t);
	} while (now_ns - last_ns < pause_ns);
}

static struct pace pace_of(struct trial *t, const struct trial_conf *c)
{
	struct pace p = {.total = UINT64_MAX, .end_ns = (uint64_t)(c->duration_s * 1e9)};
	uint64_t room;

	if (c->pps <= 0)
		return p;
	p.gap_ns = 1e9 / c->pps;
	p.total = (uint64_t)llround(c->pps * c->duration_s);
	if (p.total == 0)
		p.total = 1;
	room = t->prepare != NULL ? prepare_room(t->traffic) : UINT64_MAX;
	if (p.total > room) {
		p.total = room;
		p.end_ns = (uint64_t)((double)room * p.gap_ns);
	}
	return p;
}

// It ends now, and what the pace asked for until now is all that it had to do.
static void cut(struct trial *t, struct pace *p)
{
	uint64_t took_ns = (uint64_t)(t->r->took_s * 1e9), due = t->r->sent;

	if (p->gap_ns > 0 && took_ns > GRACE_NS && due_by(p, took_ns - GRACE_NS) > due)
		due = due_by(p, took_ns - GRACE_NS);
	t->r->cut = true;
	p->total = due;
	p->end_ns = took_ns;
}

static uint64_t missed(const struct trial *t)
{
	return t->missed != NULL ? t->missed(t->poll_ctx) : 0;
}

static uint64_t retransmitted(const struct trial *t)
{
	return stat_get(&t->peer->stats.c[W_rel_retransmitted]);
}

// What was counted before the trial.
struct before {
	uint64_t refused, missed, retransmitted;
	struct drops drops;
	bool has_drops;
};

static bool drops_now(const struct trial *t, struct drops *d)
{
	return t->drops != NULL && t->drops(t->drops_ctx, d) == 0;
}

static struct before before(const struct trial *t)
{
	struct before b = {.refused = peer_refused(t->peer),
		.missed = missed(t),
		.retransmitted = retransmitted(t)};

	b.has_drops = drops_now(t, &b.drops);
	return b;
}

// What the node says of them; it may need a while to know.
static void ask_node(struct trial *t, const struct before *b)
{
	struct trial_result *r = t->r;
	uint64_t end_ns = peer_now_ns(t->peer) + t->drops_lag_ns;
	struct drops now;

	if (r->received < r->sent)
		while (b->has_drops && t->drops_lag_ns > 0 && peer_now_ns(t->peer) < end_ns)
			peer_turn(t->peer);
	r->dropped_known = b->has_drops && drops_now(t, &now);
	if (r->dropped_known)
		r->dropped = drops_sum(&now, &b->drops);
}

static void sum_up(struct trial *t, const struct pace *p, const struct before *b)
{
	struct trial_result *r = t->r;

	r->intended = p->total == UINT64_MAX ? r->sent : p->total;
	r->unsent = r->intended - r->sent;
	if (t->held_ns != 0 && r->took_s * 1e9 - (double)t->held_ns < HELD_NS)
		r->held = r->unsent;
	r->refused += peer_refused(t->peer) - b->refused;
	r->node_queue = t->node_queue;
	r->missed = missed(t) - b->missed;
	r->retransmitted = retransmitted(t) - b->retransmitted;
	r->duration_s = (double)p->end_ns * 1e-9;
	if (t->count_only)
		r->received = t->peer->counted;
	r->opened = !t->count_only;
	ask_node(t, b);
	if (r->opened)
		r->flows_lossy = traffic_flows_lossy(t->traffic);
	r->rx_pps = r->took_s > 0 ? (double)r->received / r->took_s : 0;
}

int trial_run(struct trial *t, const struct trial_conf *c, struct trial_result *r)
{
	struct pace p = pace_of(t, c);
	const struct before b = before(t);
	int rc = 0;

	memset(r, 0, sizeof(*r));
	hist_reset(t->latency);
	r->pps = c->pps;
	r->planned = p.total == UINT64_MAX ? 0 : p.total;
	traffic_begin(t->traffic);
	t->peer->counted = 0;
	t->peer->count_len =
		!t->count_only ? 0 : RAIL_DATA_OVERHEAD + 1 + ROUTE_HDR_LEN + t->traffic->size_min;
	if (t->prepare != NULL)
		rc = prepare_fill(t->prepare, t->peer, t->traffic, p.total, p.gap_ns);
	t->peer->frozen = t->prepare != NULL;
	t->r = r;
	t->held_ns = 0;
	t->start_ns = peer_now_ns(t->peer);
	if (rc == 0)
		rc = run_sending(t, &p);
	if (rc < 0)
		cut(t, &p);
	run_drain(t, c->drain_s);
	sum_up(t, &p, &b);
	t->r = NULL;
	t->peer->count_len = 0;
	t->peer->frozen = false;
	return rc;
}

// ---- what it says ----

static uint64_t take(uint64_t *left, uint64_t n)
{
	uint64_t part = n < *left ? n : *left;

	*left -= part;
	return part;
}

// Counters also count what is none of the trial's, and reliable links repeat what they count: no
// part is more than what is left to be explained.
struct trial_parts trial_parts(const struct trial_result *r)
{
	uint64_t left = r->received < r->intended ? r->intended - r->received : 0;
	struct trial_parts p = {.lost = left};

	p.held = take(&left, r->held);
	p.unsent = take(&left, r->unsent - r->held);
	*(r->node_queue ? &p.queue : &p.refused) = take(&left, r->refused);
	p.missed = take(&left, r->missed);
	p.dropped = take(&left, r->dropped);
	p.gone = left;
	return p;
}

bool trial_is_limited(const struct trial_result *r)
{
	struct trial_parts p = trial_parts(r);

	return (p.unsent + p.refused + p.missed) * 2 > p.lost;
}
