// Routes of reliable hops: which rule an entry belongs to, who is told when one has to wait, and
// how one ends (rail.md 4). The entry of a rule is at the worker that owns its egress; whoever
// sends to it may be anybody's, so what is to be said goes as a message to the owner of that hop,
// or as a note to the main lcore, which alone takes rules out.

#include "dataplane/hop/hop_route.h"

#include "lib/wire/route_hdr.h"

static struct rule *rule_at(const struct wctx *w, uint32_t index)
{
	return &w->rules->slots[index];
}

static bool is_of_rule(const struct hop_hold *hh, uint32_t route)
{
	return route < hh->shared->n_rules;
}

// Its hop or the sink; NULL: the hop is not here any more.
static struct rel_queue *queue_of(struct wctx *w, const struct hop_route *info)
{
	struct hop *h;

	if (info->hop == 0)
		return hop_hold(w)->sink;
	h = hop_by_handle(w, info->hop);
	return h != NULL && h->rel != NULL ? rel_queue(h->rel->rel) : NULL;
}

static bool is_mine(const struct hop_hold *hh, const struct rule *r)
{
	return atomic_load_explicit(&r->route_owner, memory_order_relaxed) == hh->me;
}

// The main lcore may have the slot.
static void disown(struct wctx *w, uint32_t index)
{
	// pairs with the acquire in rule_table_poll()
	atomic_store_explicit(&rule_at(w, index)->route_owner, 0, memory_order_release);
}

// ---- messages ----

// To whoever owns that hop; false: nobody does.
static bool tell_hop(struct wctx *w, const struct hop_msg *msg)
{
	uint32_t i = dpmsg_handle_index(msg->hop);
	uint64_t word;

	if (hop_by_handle(w, msg->hop) != NULL) {
		hop_message(w, msg);
		return true;
	}
	if (i >= w->hops->hop_max)
		return false;
	// pairs with the release in hop_table.c
	word = atomic_load_explicit(&w->hops->dir[i], memory_order_acquire);
	if (word >> 32 != msg->hop || hop_word_owner(word) == w->id)
		return false;
	if (!w->ops->handoff_msg(w, hop_word_owner(word), msg))
		count(w, W_notes_lost, 1);
	return true;
}

static void note_route(
	struct wctx *w, enum dp_note_kind kind, uint32_t id, uint32_t value, uint32_t freed)
{
	struct dp_note n = {.kind = kind, .id = id, .value = value, .cookie = freed};

	hop_note(w, &n);
}

// The hop by which a transport's packets come, 0: none, or one that takes no such messages.
static uint32_t ingress_hop(const struct wctx *w, uint32_t tp)
{
	uint64_t word = hop_table_tp_word(w->hops, tp);

	return (word & HOP_TP_RELIABLE) != 0 ? (uint32_t)(word >> 32) : 0;
}

static void tell_ingress(struct wctx *w, const struct hop_route *info, enum hop_msg_kind kind,
	uint16_t limit_s, uint8_t reason)
{
	struct hop_msg msg = {
		.kind = (uint8_t)kind, .reason = reason, .limit_s = limit_s, .id = info->id};

	if (info->in_tp == RULE_IN_LOCAL) {
		if (kind == HOP_MSG_PAUSE)
			note_route(w, NOTE_ROUTE_PAUSE, info->id, limit_s, 0);
		else if (kind == HOP_MSG_RESUME)
			note_route(w, NOTE_ROUTE_RESUME, info->id, 0, 0);
		return; // of the end it learns when the rule is gone
	}
	msg.hop = ingress_hop(w, info->in_tp);
	if (msg.hop != 0)
		tell_hop(w, &msg);
}

// ---- routes that are paused here ----

static void paused_add(struct wctx *w, uint32_t route)
{
	struct hop_hold *hh = hop_hold(w);
	struct hop_route *info = &hh->info[route];
	struct hop *h = hop_by_handle(w, info->hop);

	if (info->flags & HOP_ROUTE_PAUSED)
		return;
	info->flags |= HOP_ROUTE_PAUSED;
	info->prev = 0;
	info->next = hh->paused;
	if (info->next != 0)
		hh->info[info->next - 1].prev = route + 1;
	hh->paused = route + 1;
	hh->n_paused++;
	if (h != NULL && h->rel != NULL)
		h->rel->n_paused++;
	count(w, W_routes_paused, 1);
}

static bool paused_del(struct wctx *w, uint32_t route)
{
	struct hop_hold *hh = hop_hold(w);
	struct hop_route *info = &hh->info[route];
	struct hop *h = hop_by_handle(w, info->hop);

	if (!(info->flags & HOP_ROUTE_PAUSED))
		return false;
	info->flags &= (uint8_t)~HOP_ROUTE_PAUSED;
	if (info->prev != 0)
		hh->info[info->prev - 1].next = info->next;
	else
		hh->paused = info->next;
	if (info->next != 0)
		hh->info[info->next - 1].prev = info->prev;
	hh->n_paused--;
	if (h != NULL && h->rel != NULL)
		h->rel->n_paused--;
	return true;
}

// Held packets refresh their rule: nothing comes for it while its ingress waits.
void hop_routes_refresh(struct wctx *w)
{
	struct hop_hold *hh = hop_hold(w);

	for (uint32_t i = hh->paused; i != 0; i = hh->info[i - 1].next)
		atomic_store_explicit(
			&rule_at(w, i - 1)->stamp_ds, w->now_ds, memory_order_relaxed);
}

// ---- accounts: who is to be charged for what is held ----

uint16_t hop_account(struct wctx *w, uint32_t tp)
{
	struct hop_hold *hh = hop_hold(w);
	uint32_t i = dpmsg_handle_index(tp);
	int id;

	if (tp == RULE_IN_LOCAL || tp == RULE_IN_ANY || i >= w->hops->hop_max)
		return hh->account;
	if (hh->accounts[i] != 0 && hh->account_tp[i] == tp)
		return (uint16_t)(hh->accounts[i] - 1);
	if (hh->accounts[i] != 0)
		rel_hold_account_close(hh->hold, (uint16_t)(hh->accounts[i] - 1));
	hh->accounts[i] = 0;
	id = rel_hold_account_open(hh->hold);
	if (id < 0)
		return hh->account;
	hh->accounts[i] = (uint16_t)(id + 1);
	hh->account_tp[i] = tp;
	return (uint16_t)id;
}

// Accounts of transports that are gone: the others get their share.
void hop_accounts_sweep(struct wctx *w)
{
	struct hop_hold *hh = hop_hold(w);

	for (unsigned n = 0; n < 64; n++) {
		uint32_t i = hh->account_at;

		hh->account_at = i + 1 < w->hops->hop_max ? i + 1 : 0;
		if (hh->accounts[i] == 0 || hop_table_tp_word(w->hops, hh->account_tp[i]) != 0)
			continue;
		rel_hold_account_close(hh->hold, (uint16_t)(hh->accounts[i] - 1));
		hh->accounts[i] = 0;
	}
}

// ---- beginning ----

// The rule is there, and its packets leave by that hop under that id (0: they end here).
static bool rule_says(const struct rule *r, uint32_t hop, uint32_t next_id)
{
	// pairs with the release in rule_table_add()
	if (atomic_load_explicit(&r->id, memory_order_acquire) == 0)
		return false;
	if (hop == 0)
		return r->type == RULE_CONSUME;
	return r->type != RULE_CONSUME && r->tx_hop == hop && r->next_id == next_id;
}

static __rte_noinline bool route_open(
	struct wctx *w, uint32_t hop, uint32_t index, uint32_t next_id)
{
	struct hop_hold *hh = hop_hold(w);
	struct rule *r = rule_at(w, index);
	struct hop_route *info = &hh->info[index];
	uint32_t id, owner = atomic_load_explicit(&r->route_owner, memory_order_acquire);
	struct rel_queue *q;

	if ((owner != 0 && owner != hh->me) || !rule_says(r, hop, next_id))
		return false;
	id = atomic_load_explicit(&r->id, memory_order_relaxed);
	if (info->id == id && (info->flags & HOP_ROUTE_ENDED))
		return false;
	if (owner == hh->me && rel_queue_is_open(hh->sink, index))
		return false; // of another hop, and not yet over
	if (owner == hh->me)
		paused_del(w, index);
	*info = (struct hop_route){.id = id,
		.hop = hop,
		.in_tp = atomic_load_explicit(&r->in_tp, memory_order_relaxed)};
	info->account = hop_account(w, info->in_tp);
	if (info->in_tp != RULE_IN_LOCAL && ingress_hop(w, info->in_tp) == 0)
		info->flags = HOP_ROUTE_LOSSY;
	q = queue_of(w, info);
	if (q == NULL || rel_queue_open(q, index, next_id) < 0)
		return false;
	atomic_store_explicit(&r->route_owner, hh->me, memory_order_release);
	return true;
}

bool hop_route_ready(struct wctx *w, uint32_t hop, uint32_t index, uint32_t next_id)
{
	struct hop_hold *hh = hop_hold(w);

	if (unlikely(index >= hh->shared->n_rules))
		return false;
	if (likely(is_mine(hh, rule_at(w, index)) && hh->info[index].hop == hop &&
		    rel_queue_is_open(hh->sink, index)))
		return true;
	return route_open(w, hop, index, next_id);
}

void hop_route_drain(struct wctx *w, uint32_t route, struct rel_queue *q)
{
	hop_route_info(hop_hold(w), route)->flags |= HOP_ROUTE_DRAINING;
	rel_queue_drain(q, route);
}

// A packet for a route that is over, or about to be. The main lcore is told once more: a note may
// get lost.
void hop_route_refused(struct wctx *w, uint32_t index, struct rte_mbuf *m)
{
	struct hop_hold *hh = hop_hold(w);
	const struct rule *r;
	uint32_t id;

	drop(w, W_drop_route_ended, m);
	if (index >= hh->shared->n_rules)
		return;
	r = rule_at(w, index);
	id = atomic_load_explicit(&r->id, memory_order_relaxed);
	if (id != 0 && hh->info[index].id == id && (hh->info[index].flags & HOP_ROUTE_ENDED) &&
		bucket_take(&hh->ended, w->now_ns, REL_ENDED_PERIOD_NS, REL_ENDED_BURST))
		note_route(w, NOTE_RULE_END, id, RAIL_GONE_RULE, 0);
}

// ---- the sink ----

bool hop_sink_waits(const struct wctx *w, const struct hop *in, uint32_t index)
{
	return in->rel != NULL && is_mine(hop_hold(w), rule_at(w, index)) &&
	       rel_hold_route_bufs(hop_hold(w)->hold, index) != 0;
}

bool hop_sink_push(struct wctx *w, const struct hop *in, uint32_t index, struct rte_mbuf *m)
{
	struct hop_hold *hh = hop_hold(w);
	struct rel_pkt pkt = {.handle = m, .len = m->pkt_len, .bufs = m->nb_segs};

	if (in->rel == NULL || !hop_route_ready(w, 0, index, 0))
		return false;
	pkt.account = hh->info[index].account;
	if (!rel_queue_push(hh->sink, index, &pkt, 0, w->now_ns))
		return false;
	hh->sink_busy = true;
	return true;
}

bool hop_sink_busy(const struct wctx *w)
{
	const struct hop_hold *hh = hop_hold(w);

	return hh != NULL && hh->sink_busy;
}

struct rte_mbuf *hop_sink_pull(struct wctx *w, uint32_t *id, uint32_t *hop)
{
	struct hop_hold *hh = hop_hold(w);
	struct rel_pkt pkt;
	uint32_t route;

	hh->sink_busy = rel_queue_pull(hh->sink, &route, &pkt, w->now_ns);
	if (!hh->sink_busy)
		return NULL;
	*id = hh->info[route].id;
	*hop = ingress_hop(w, hh->info[route].in_tp);
	return pkt.handle;
}

// ---- the end ----

static const char *const reasons[] = {
	[RAIL_GONE_HELD] = "transit node held too much of the route",
	[RAIL_GONE_STALLED] = "route was held up for too long",
	[RAIL_GONE_RESET] = "transport lost its state",
	[RAIL_GONE_HOP_DOWN] = "transport is down",
	[RAIL_GONE_RULE] = "rule is gone",
	[RAIL_GONE_UNKNOWN_ID] = "route is not known",
};

static const char *reason_text(uint8_t reason)
{
	return reason < ARRAY_LEN(reasons) && reasons[reason] != NULL ? reasons[reason] : "ended";
}

static struct rte_mbuf *last_words(
	struct wctx *w, uint8_t type, uint32_t next_id, const char *body, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);
	uint8_t *p = m == NULL ? NULL
			       : (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(ROUTE_HDR_LEN + len));

	if (p == NULL) {
		rte_pktmbuf_free(m);
		count(w, W_frames_no_mbuf, 1);
		return NULL;
	}
	route_hdr_put(p, type, next_id, len);
	memcpy(p + ROUTE_HDR_LEN, body, len);
	return m;
}

// Error and Close, for those who come after us. Returns how many.
static unsigned make_last(struct wctx *w, uint32_t next_id, uint8_t reason, struct rte_mbuf *m[2])
{
	static const char close_body[1] = {ROUTE_CLOSE_REQUESTED};
	const char *text = reason_text(reason);
	unsigned n = 0;

	m[n] = last_words(w, ROUTE_ERROR, next_id, text, (uint16_t)strlen(text));
	n += m[n] != NULL;
	m[n] = last_words(w, ROUTE_CLOSE, next_id, close_body, sizeof(close_body));
	n += m[n] != NULL;
	return n;
}

static void say_last(
	struct wctx *w, struct rel_queue *q, uint32_t route, uint32_t next_id, uint8_t reason)
{
	struct rte_mbuf *m[2];
	unsigned n = make_last(w, next_id, reason, m);

	count(w, W_seal_in, n);
	for (unsigned i = 0; i < n; i++) {
		struct rel_pkt pkt = {.handle = m[i],
			.len = m[i]->pkt_len,
			.account = hop_hold(w)->account,
			.bufs = 1};

		if (!rel_queue_push(q, route, &pkt, REL_PUSH_LAST, w->now_ns))
			drop(w, W_drop_route_ended, m[i]);
	}
}

// Frees what the route holds; returns how many packets.
static uint32_t empty_egress(
	struct wctx *w, const struct hop_route *info, struct rel_queue *q, uint32_t route)
{
	struct hop *h = info->hop != 0 ? hop_by_handle(w, info->hop) : NULL;
	struct rel_stats before, after;
	uint32_t held;

	if (h == NULL) {
		held = rel_hold_route_bufs(hop_hold(w)->hold, route);
		rel_queue_forget(q, route);
		count(w, W_sink_freed, held);
		return held;
	}
	rel_stats(h->rel->rel, &before);
	rel_queue_abort(q, route, w->now_ns);
	rel_stats(h->rel->rel, &after);
	hop_rel_wake(w, h);
	return (uint32_t)(after.tx_freed - before.tx_freed);
}

// The route ends here and now: what is held of it is freed. Whom to tell: those after us, those
// before us. A static rule stays, for those at other nodes do, and begins anew.
static void end_route(struct wctx *w, uint32_t route, uint8_t reason, bool after, bool before)
{
	struct hop_hold *hh = hop_hold(w);
	struct hop_route *info = hop_route_info(hh, route);
	struct rel_queue *q = queue_of(w, info);
	struct rule *r;
	bool was_paused, stays, live;

	if (q == NULL || !rel_queue_is_open(q, route))
		return;
	if (!is_of_rule(hh, route)) { // route id 0: what was held is gone, no more
		rel_queue_abort(q, route, w->now_ns);
		rel_queue_drain(q, route);
		return;
	}
	r = rule_at(w, route);
	live = atomic_load_explicit(&r->id, memory_order_relaxed) == info->id;
	stays = (r->flags & RULE_STATIC) != 0;
	was_paused = paused_del(w, route);
	info->freed += empty_egress(w, info, q, route);
	if (stays) {
		if (was_paused && live)
			tell_ingress(w, info, HOP_MSG_RESUME, 0, 0);
	} else {
		if (after && info->hop != 0)
			say_last(w, q, route, r->next_id, reason);
		if (before)
			tell_ingress(w, info, HOP_MSG_GONE, 0, reason);
		if (live)
			note_route(w, NOTE_RULE_END, info->id, reason, 0);
		info->flags |= HOP_ROUTE_ENDED;
	}
	if (info->hop == 0)
		disown(w, route);
	else
		rel_queue_drain(q, route);
}

// The rule of an id that comes in by h, or NULL.
static struct rule *rule_of(struct wctx *w, const struct hop *h, uint32_t id)
{
	struct rule *r = rule_lookup(w->rules, id);

	return r != NULL && atomic_load_explicit(&r->in_tp, memory_order_relaxed) == h->tp ? r
											   : NULL;
}

// Those before us have ended it, or we are about to tell them: what comes after is to learn it.
static void end_after(struct wctx *w, const struct hop *h, uint32_t id, uint8_t reason)
{
	struct rule *r = rule_of(w, h, id);
	struct hop_msg msg = {.kind = HOP_MSG_END, .reason = reason, .id = id};
	struct hop_hold *hh = hop_hold(w);

	if (r == NULL)
		return;
	msg.index = (uint32_t)(r - w->rules->slots);
	if (r->type == RULE_CONSUME) {
		if (is_mine(hh, r))
			end_route(w, msg.index, reason, false, false);
		else if ((r->flags & RULE_STATIC) == 0)
			note_route(w, NOTE_RULE_END, id, reason, 0);
		return;
	}
	msg.hop = r->tx_hop;
	if (!tell_hop(w, &msg) && (r->flags & RULE_STATIC) == 0)
		note_route(w, NOTE_RULE_END, id, reason, 0);
}

// At the owner of the egress: the rule `id` ends because those before it did.
static void on_end(struct wctx *w, struct hop *h, const struct hop_msg *msg)
{
	struct hop_hold *hh = hop_hold(w);
	struct rule *r = rule_lookup(w->rules, msg->id);
	struct rte_mbuf *m[2];
	unsigned n;

	if (r == NULL || (uint32_t)(r - w->rules->slots) != msg->index || r->tx_hop != h->handle)
		return;
	if (h->rel != NULL && hop_route_ready(w, h->handle, msg->index, r->next_id) &&
		!(hh->info[msg->index].flags & HOP_ROUTE_ENDED)) {
		end_route(w, msg->index, msg->reason, true, false);
		return;
	}
	if ((r->flags & RULE_STATIC) != 0)
		return;
	note_route(w, NOTE_RULE_END, msg->id, msg->reason, 0);
	if (h->rel != NULL || !h->up)
		return;
	n = make_last(w, r->next_id, msg->reason, m);
	hop_tx_queue(w, h, m, n);
}

// ---- the main lcore takes a rule out, or asks ----

// The rule is gone from the table; its slot waits for us.
static void on_removed(struct wctx *w, const struct hop_msg *msg)
{
	struct hop_hold *hh = hop_hold(w);
	uint32_t route = msg->index;
	struct hop_route *info;

	if (!is_of_rule(hh, route) || !is_mine(hh, rule_at(w, route)))
		return;
	info = &hh->info[route];
	if (!rel_queue_is_open(hh->sink, route)) {
		paused_del(w, route);
		disown(w, route);
		return;
	}
	if (info->flags & (HOP_ROUTE_ENDED | HOP_ROUTE_DRAINING))
		return; // under way
	if (msg->draining) {
		// the Close may still be in a ring to us, behind data; not for long
		if (msg->late || info->hop == 0)
			rel_queue_drain(queue_of(w, info), route);
		return;
	}
	if (rel_hold_route_bufs(hh->hold, route) != 0)
		end_route(w, route, RAIL_GONE_RULE, true, true);
	else
		rel_queue_drain(queue_of(w, info), route);
}

static void on_idle(struct wctx *w, const struct hop_msg *msg)
{
	struct hop_hold *hh = hop_hold(w);

	if (!is_of_rule(hh, msg->index) || !is_mine(hh, rule_at(w, msg->index)))
		return;
	if (rel_hold_route_bufs(hh->hold, msg->index) != 0)
		atomic_store_explicit(
			&rule_at(w, msg->index)->stamp_ds, w->now_ds, memory_order_relaxed);
	else
		note_route(w, NOTE_RULE_IDLE, msg->id, 0, 0);
}

static void on_sink_pause(struct wctx *w, const struct hop_msg *msg)
{
	struct hop_hold *hh = hop_hold(w);
	struct rule *r = rule_lookup(w->rules, msg->id);

	if (r == NULL || r->type != RULE_CONSUME ||
		!hop_route_ready(w, 0, (uint32_t)(r - w->rules->slots), 0))
		return;
	if (msg->kind == HOP_MSG_SINK_PAUSE)
		rel_queue_pause(hh->sink, (uint32_t)(r - w->rules->slots), msg->limit_s, w->now_ns);
	else
		rel_queue_resume(hh->sink, (uint32_t)(r - w->rules->slots), w->now_ns);
	hh->sink_busy = true;
}

// ---- what has come ----

static void on_ingress(struct wctx *w, struct hop *h, const struct hop_msg *msg)
{
	if (h->rel == NULL)
		return;
	if (msg->kind == HOP_MSG_PAUSE)
		rel_pause(h->rel->rel, msg->id, msg->limit_s, w->now_ns);
	else if (msg->kind == HOP_MSG_RESUME)
		rel_resume(h->rel->rel, msg->id, w->now_ns);
	else
		rel_ingress_close(h->rel->rel, msg->id, msg->reason, w->now_ns);
	hop_rel_wake(w, h);
}

void hop_unknown_id(struct wctx *w, struct hop *in, uint32_t id)
{
	if (in->rel == NULL)
		return;
	rel_unknown_id(in->rel->rel, id, w->now_ns);
	hop_rel_wake(w, in);
}

void hop_message(struct wctx *w, const struct hop_msg *msg)
{
	struct hop *h;

	if (hop_hold(w) == NULL)
		return;
	switch (msg->kind) {
	case HOP_MSG_REMOVED:
		on_removed(w, msg);
		return;
	case HOP_MSG_IDLE:
		on_idle(w, msg);
		return;
	case HOP_MSG_SINK_PAUSE:
	case HOP_MSG_SINK_RESUME:
		on_sink_pause(w, msg);
		return;
	default:
		break;
	}
	h = hop_by_handle(w, msg->hop);
	if (h == NULL)
		return;
	if (msg->kind == HOP_MSG_END)
		on_end(w, h, msg);
	else
		on_ingress(w, h, msg);
}

unsigned hop_messages(struct wctx *w)
{
	struct hop_hold *hh = hop_hold(w);
	struct hop_msg msg;
	unsigned n = 0;

	while (n < REL_MSGS_TURN && rte_ring_sc_dequeue_elem(hh->msgs, &msg, sizeof(msg)) == 0) {
		hop_message(w, &msg);
		n++;
	}
	return n;
}

// ---- what the hold wants done ----

static void on_done(struct wctx *w, uint32_t route)
{
	struct hop_hold *hh = hop_hold(w);
	struct hop_route *info = hop_route_info(hh, route);

	if (!is_of_rule(hh, route) || !is_mine(hh, rule_at(w, route)) ||
		rel_queue_is_open(hh->sink, route))
		return;
	if (paused_del(w, route) && !(info->flags & HOP_ROUTE_ENDED))
		tell_ingress(w, info, HOP_MSG_RESUME, 0, 0);
	disown(w, route);
}

static void on_probe(struct wctx *w, struct hop *h, const struct rel_event *ev)
{
	struct hop_rel *hr = h->rel;

	if (ev->ok && h->trying && ev->size == hr->try_size) {
		h->trying = false; // the peer is there
		hr->try_size = 0;
	}
	if (ev->size == REL_PING_SIZE && hr->ping_ns != 0) {
		uint64_t us = (w->now_ns - hr->ping_ns) / 1000;
		struct dp_note n = {.kind = NOTE_HOP_RTT,
			.hop = h->handle,
			.tp = h->tp,
			.value = us < 1 ? 1 : (uint32_t)us,
			.cookie = hr->ping_cookie};

		if (!ev->ok) { // once more, from the same moment
			rel_probe(hr->rel, REL_PING_SIZE, w->now_ns);
			hop_rel_wake(w, h);
			return;
		}
		hr->ping_ns = 0;
		hop_note(w, &n);
	}
}

static void on_event(struct wctx *w, const struct rel_event *ev)
{
	struct hop_hold *hh = hop_hold(w);
	struct hop *h = ev->link;

	switch (ev->kind) {
	case REL_EV_PAUSE:
		if (!is_of_rule(hh, ev->route))
			break;
		paused_add(w, ev->route);
		tell_ingress(w, &hh->info[ev->route], HOP_MSG_PAUSE, ev->limit_s, 0);
		break;
	case REL_EV_RESUME:
		if (is_of_rule(hh, ev->route) && paused_del(w, ev->route))
			tell_ingress(w, &hh->info[ev->route], HOP_MSG_RESUME, 0, 0);
		break;
	case REL_EV_CLOSE:
		count(w, ev->reason == RAIL_GONE_STALLED ? W_routes_stalled : W_routes_held, 1);
		end_route(w, ev->route, ev->reason, true, true);
		break;
	case REL_EV_GONE:
		count(w, W_routes_gone, 1);
		end_route(w, ev->route, ev->reason, false, true);
		break;
	case REL_EV_DONE:
		on_done(w, ev->route);
		break;
	case REL_EV_EMPTY:
		count(w, W_routes_emptied, 1);
		end_after(w, h, ev->route_id, RAIL_GONE_RULE);
		break;
	case REL_EV_CLOSE_IN:
		count(w, W_routes_held, 1);
		rel_ingress_close(h->rel->rel, ev->route_id, ev->reason, w->now_ns);
		hop_rel_wake(w, h);
		end_after(w, h, ev->route_id, ev->reason);
		break;
	case REL_EV_PROBE:
		on_probe(w, h, ev);
		break;
	case REL_EV_DOWN:
		hop_shut(w, h, true, RAIL_CLOSE_REQUESTED, "no answer", 9);
		break;
	}
}

void hop_routes_turn(struct wctx *w)
{
	struct rel_event ev;

	while (rel_hold_event(hop_hold(w)->hold, &ev))
		on_event(w, &ev);
}

// The link is about to forget its routes. Those of static rules begin anew; the main lcore closes
// the others.
void hop_routes_reset(struct wctx *w, struct hop *h)
{
	struct hop_hold *hh = hop_hold(w);

	for (uint32_t i = hh->paused, next; i != 0; i = next) {
		struct hop_route *info = &hh->info[i - 1];

		next = info->next;
		if (info->hop != h->handle)
			continue;
		paused_del(w, i - 1);
		tell_ingress(w, info, HOP_MSG_RESUME, 0, 0);
	}
}
