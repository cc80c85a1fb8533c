// What happens to routes of hops that keep order, and how one ends (rail.md 4): what the hold of
// this worker wants done, what other workers and the main lcore say. Entries are opened, charged
// and listed in hop_route.c.

#include "dataplane/hop/hop_route_priv.h"

#include "lib/wire/route_hdr.h"

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

// Frees what the route holds.
static void empty_egress(struct wctx *w, const struct hop_route *info, struct rel_queue *q,
	uint32_t route, uint8_t reason)
{
	struct hop *h = info->hop != 0 ? hop_by_handle(w, info->hop) : NULL;

	hop_hold(w)->freeing = reason;
	if (h == NULL) {
		rel_queue_forget(q, route);
		return;
	}
	rel_queue_abort(q, route, reason, w->now_ns);
	hop_queue_wake(w, h);
}

// A static rule stays, for those at other nodes do. What comes from now on waits until the EMPTYs
// were acked: whoever acts on one frees what it holds, and must not take that along. An
// ingress that is paused stays so until then; one that is not is told to wait if that gets too
// much.
static void begin_anew(struct wctx *w, struct rel_queue *q, uint32_t route, uint8_t reason)
{
	hop_hold(w)->freeing = reason;
	rel_queue_restart(q, route, reason, w->now_ns);
	hop_queue_wake(w, hop_by_handle(w, hop_route_info(hop_hold(w), route)->hop));
}

// The route ends here and now: what is held of it is freed. Whom to tell: those after us, those
// before us.
static void end_route(struct wctx *w, uint32_t route, uint8_t reason, bool after, bool before)
{
	struct hop_hold *hh = hop_hold(w);
	struct hop_route *info = hop_route_info(hh, route);
	struct rel_queue *q = hop_route_queue(w, info);
	struct rule *r;
	bool told;

	if (q == NULL || !rel_queue_is_open(q, route))
		return;
	if (!hop_route_is_of_rule(hh, route)) { // route id 0: what was held is gone, no more
		hh->freeing = reason;
		rel_queue_abort(q, route, reason, w->now_ns);
		rel_queue_drain(q, route);
		return;
	}
	r = hop_route_rule(w, route);
	if ((r->flags & RULE_STATIC) != 0 && info->hop != 0 &&
		!(info->flags & HOP_ROUTE_DRAINING) && hop_route_is_live(w, route, info)) {
		begin_anew(w, q, route, reason);
		return;
	}
	empty_egress(w, info, q, route, reason);
	if ((r->flags & RULE_STATIC) == 0) {
		hop_route_paused_drop(w, route);
		if (after && info->hop != 0)
			say_last(w, q, route, r->next_id, reason);
		if (before)
			hop_route_tell_ingress(w, info, HOP_MSG_GONE, 0, reason);
		info->flags |= HOP_ROUTE_ENDED;
		info->reason = reason;
		told = hop_route_say(w, route);
	} else {
		told = info->hop != 0 || hop_route_resume(w, route);
	}
	if (info->hop != 0)
		rel_queue_drain(q, route);
	else if (told)
		hop_route_disown(w, route);
}

// The rule of an id that comes in by h, or NULL.
static struct rule *rule_of(struct wctx *w, const struct hop *h, uint32_t id)
{
	struct rule *r = rule_lookup(w->rules, id);

	return r != NULL && hop_flow_has(h->flow, id) &&
			       atomic_load_explicit(&r->in_tp, memory_order_relaxed) == h->tp
		       ? r
		       : NULL;
}

// Those before us have ended it, or we are about to tell them: what comes after is to learn it.
void hop_route_end_after(struct wctx *w, const struct hop *h, uint32_t id, uint8_t reason)
{
	struct rule *r = rule_of(w, h, id);
	struct hop_msg msg = {.kind = HOP_MSG_END, .reason = reason, .id = id};
	struct hop_hold *hh = hop_hold(w);

	if (r == NULL)
		return;
	msg.index = (uint32_t)(r - w->rules->slots);
	if (r->type == RULE_CONSUME) {
		if (hop_route_is_mine(hh, r) && rel_queue_is_open(hh->sink, msg.index))
			end_route(w, msg.index, reason, false, false);
		else if ((r->flags & RULE_STATIC) == 0)
			hop_sink_end(w, msg.index, id, reason);
		return;
	}
	msg.hop = r->tx_hop;
	if (hop_route_tell(w, &msg) < 0 && (r->flags & RULE_STATIC) == 0)
		hop_route_note(w, NOTE_RULE_END, id, reason, 0);
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
	if (hop_keeps_order(h) && hop_route_ready(w, h->handle, msg->index, r->next_id) &&
		!(hh->info[msg->index].flags & HOP_ROUTE_ENDED)) {
		end_route(w, msg->index, msg->reason, true, false);
		return;
	}
	if ((r->flags & RULE_STATIC) != 0)
		return;
	hop_route_note(w, NOTE_RULE_END, msg->id, msg->reason, 0);
	if (hop_keeps_order(h) || !h->up)
		return;
	n = make_last(w, r->next_id, msg->reason, m);
	hop_tx_queue(w, h, m, n);
}

// Told once in a tenth of a second: a flood would push other hops' notes out of the ring.
static void end_at_hole(struct wctx *w, uint32_t hop, const struct rte_mbuf *m)
{
	struct hop_hold *hh = hop_hold(w);
	struct hop_msg msg = {.kind = HOP_MSG_GONE, .reason = RAIL_GONE_HOP_DOWN};
	uint32_t slot = m->hash.usr, k = slot % REL_HOLES;
	const struct rule *r;
	int told;

	if (slot >= hh->shared->n_rules)
		return;
	r = hop_route_rule(w, slot);
	if (!hop_route_says(r, hop, route_hdr_id(rte_pktmbuf_mtod(m, const uint8_t *))) ||
		(r->flags & RULE_STATIC) != 0)
		return;
	msg.id = atomic_load_explicit(&r->id, memory_order_relaxed);
	if (msg.id == 0 || (hh->hole[k].id == msg.id && hh->hole[k].ds == w->now_ds))
		return;
	msg.hop =
		hop_route_ingress(w, atomic_load_explicit(&r->in_tp, memory_order_relaxed), msg.id);
	if (msg.hop == 0)
		return; // an edge, or a hop that may lose
	told = hop_route_tell(w, &msg);
	if (hop_route_note(w, NOTE_RULE_END, msg.id, RAIL_GONE_HOP_DOWN, 0) && told != -EAGAIN) {
		hh->hole[k].id = msg.id; // else the next packet tells
		hh->hole[k].ds = w->now_ds;
	}
}

void hop_routes_hole(struct wctx *w, uint32_t hop, struct rte_mbuf *const *m, unsigned n)
{
	if (hop_hold(w) == NULL || (hop_table_dir_word(w->hops, hop) & HOP_TP_RELIABLE) == 0)
		return;
	for (unsigned k = 0; k < n; k++)
		end_at_hole(w, hop, m[k]);
}

// ---- the main lcore takes a rule out, or asks ----

// The rule is gone from the table; its slot waits for us.
static void on_removed(struct wctx *w, const struct hop_msg *msg)
{
	struct hop_hold *hh = hop_hold(w);
	uint32_t route = msg->index;
	struct hop_route *info;

	if (!hop_route_is_of_rule(hh, route) || !hop_route_is_mine(hh, hop_route_rule(w, route)))
		return;
	info = &hh->info[route];
	if (!rel_queue_is_open(hh->sink, route)) {
		hop_route_paused_drop(w, route);
		hop_route_disown(w, route);
		return;
	}
	if (info->flags & (HOP_ROUTE_ENDED | HOP_ROUTE_DRAINING))
		return; // under way
	if (msg->draining) {
		// the Close may still be in a ring to us, behind data; not for long
		if (msg->late || info->hop == 0)
			rel_queue_drain(hop_route_queue(w, info), route);
		return;
	}
	if (rel_hold_route_bufs(hh->hold, route) != 0)
		end_route(w, route, RAIL_GONE_RULE, true, true);
	else
		rel_queue_drain(hop_route_queue(w, info), route);
}

static void on_idle(struct wctx *w, const struct hop_msg *msg)
{
	struct hop_hold *hh = hop_hold(w);

	if (!hop_route_is_of_rule(hh, msg->index) ||
		!hop_route_is_mine(hh, hop_route_rule(w, msg->index)))
		return;
	if (rel_hold_route_bufs(hh->hold, msg->index) != 0)
		atomic_store_explicit(
			&hop_route_rule(w, msg->index)->stamp_ds, w->now_ds, memory_order_relaxed);
	else
		hop_route_note(w, NOTE_RULE_IDLE, msg->id, 0, 0);
}

static void on_sink_pause(struct wctx *w, const struct hop_msg *msg)
{
	struct hop_hold *hh = hop_hold(w);
	const struct rule *r = rule_lookup(w->rules, msg->id);
	uint32_t index = msg->id & w->rules->mask;

	// What waits here of a rule that was taken out is the reader's still.
	if (r == NULL && (!hop_route_is_at(w, hh, 0, index) || hh->info[index].id != msg->id))
		return;
	if (r != NULL && (r->type != RULE_CONSUME || !hop_route_ready(w, 0, index, 0)))
		return;
	if (msg->kind == HOP_MSG_SINK_PAUSE)
		rel_queue_pause(hh->sink, index, msg->limit_s, w->now_ns);
	else
		rel_queue_resume(hh->sink, index, w->now_ns);
	hh->sink_busy = true;
}

// ---- what has come ----

// What is said of a route now is what counts.
static void late_forget(struct hop_late *late, const struct hop_msg *msg)
{
	for (uint32_t i = 0; i < late->n; i++)
		if (late->msg[i].hop == msg->hop && late->msg[i].id == msg->id) {
			late->msg[i] = late->msg[--late->n];
			return;
		}
}

static bool late_keep(struct wctx *w, const struct hop_msg *msg)
{
	struct hop_late *late = &hop_hold(w)->late;

	if ((msg->kind != HOP_MSG_PAUSE && msg->kind != HOP_MSG_RESUME) ||
		late->n == ARRAY_LEN(late->msg) || hop_by_handle(w, msg->hop) == NULL)
		return false;
	late->msg[late->n++] = *msg;
	return true;
}

static bool on_ingress(struct wctx *w, struct hop *h, const struct hop_msg *msg)
{
	bool taken = true;

	late_forget(&hop_hold(w)->late, msg);
	if (h->car != NULL)
		return hop_car_ingress(w, h, msg);
	if (h->rel == NULL)
		return true;
	if (msg->kind == HOP_MSG_PAUSE)
		taken = rel_pause(h->rel->rel, msg->id, msg->limit_s, w->now_ns);
	else if (msg->kind == HOP_MSG_RESUME)
		taken = rel_resume(h->rel->rel, msg->id, w->now_ns);
	else
		rel_ingress_close(h->rel->rel, msg->id, msg->reason, w->now_ns);
	hop_rel_wake(w, h);
	return taken;
}

static void on_untold(struct wctx *w, const struct hop_msg *msg)
{
	struct hop_hold *hh = hop_hold(w);

	if (hop_route_is_of_rule(hh, msg->index) && hh->info[msg->index].id == msg->id &&
		hop_route_is_mine(hh, hop_route_rule(w, msg->index)))
		hop_route_say_again(w, msg->index);
}

// Whoever owns the entry is to say it again.
static void send_back(struct wctx *w, const struct hop_msg *msg)
{
	const struct rule *r = rule_lookup(w->rules, msg->id);
	struct hop_msg back = {.kind = HOP_MSG_UNTOLD, .id = msg->id};
	unsigned owner;

	if (r == NULL)
		return;
	back.index = (uint32_t)(r - w->rules->slots);
	owner = atomic_load_explicit(&r->route_owner, memory_order_relaxed);
	if (owner == hop_hold(w)->me)
		on_untold(w, &back);
	else if (owner != 0 && !w->ops->handoff_msg(w, owner - 1, &back))
		count(w, W_notes_lost, 1);
}

void hop_unknown_id(struct wctx *w, struct hop *in, uint32_t id)
{
	if (in->rel == NULL)
		return;
	rel_unknown_id(in->rel->rel, id, w->now_ns);
	hop_rel_wake(w, in);
}

bool hop_route_take(struct wctx *w, const struct hop_msg *msg)
{
	struct hop *h = hop_by_handle(w, msg->hop);

	if (h == NULL) // it has moved, or is gone
		return hop_route_tell(w, msg) != -EAGAIN;
	if (msg->kind != HOP_MSG_END)
		return on_ingress(w, h, msg);
	on_end(w, h, msg);
	return true;
}

void hop_message(struct wctx *w, const struct hop_msg *msg)
{
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
	case HOP_MSG_UNTOLD:
		on_untold(w, msg);
		return;
	default:
		if (!hop_route_take(w, msg) && !late_keep(w, msg))
			send_back(w, msg);
	}
}

void hop_routes_late(struct wctx *w)
{
	const struct hop_late late = hop_hold(w)->late;

	hop_hold(w)->late.n = 0;
	for (uint32_t i = 0; i < late.n; i++)
		hop_message(w, &late.msg[i]);
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

unsigned hop_messages_all(struct wctx *w)
{
	unsigned all = 0, n;

	while (hop_hold(w) != NULL && (n = hop_messages(w)) != 0)
		all += n;
	return all;
}

// ---- what the hold wants done ----

static void on_done(struct wctx *w, uint32_t route)
{
	struct hop_hold *hh = hop_hold(w);
	struct hop_route *info = hop_route_info(hh, route);

	if (!hop_route_is_of_rule(hh, route) || !hop_route_is_mine(hh, hop_route_rule(w, route)) ||
		rel_queue_is_open(hh->sink, route))
		return;
	if (info->flags & HOP_ROUTE_ENDED ? (info->flags & HOP_ROUTE_UNTOLD) != 0
					  : !hop_route_resume(w, route))
		return; // said again, and disowned then
	hop_route_disown(w, route);
}

static bool is_running(const struct hop_hold *hh, uint32_t route)
{
	return hop_route_is_of_rule(hh, route) && !(hh->info[route].flags & HOP_ROUTE_ENDED);
}

static unsigned put_number(char *to, uint32_t n)
{
	char digits[10];
	unsigned len = 0, i;

	do
		digits[len++] = (char)('0' + n % 10);
	while ((n /= 10) != 0);
	for (i = 0; i < len; i++)
		to[i] = digits[len - 1 - i];
	return len;
}

static void on_down(struct wctx *w, struct hop *h, const struct rel_event *ev)
{
	static const char outs[] = " probe time-outs and ", ack[] = " s without an ack";
	char text[DPMSG_TEXT_LEN];
	unsigned n = put_number(text, ev->tag);

	memcpy(text + n, outs, sizeof(outs) - 1);
	n += (unsigned)sizeof(outs) - 1;
	n += put_number(text + n, ev->limit_s);
	memcpy(text + n, ack, sizeof(ack) - 1);
	n += (unsigned)sizeof(ack) - 1;
	hop_shut(w, h, true, RAIL_CLOSE_REQUESTED, text, n);
}

static void on_event(struct wctx *w, const struct rel_event *ev)
{
	struct hop_hold *hh = hop_hold(w);
	struct hop *h = ev->link;

	switch (ev->kind) {
	case REL_EV_PAUSE:
		if (is_running(hh, ev->route))
			hop_route_pause(w, ev->route, ev->limit_s);
		break;
	case REL_EV_RESUME:
		if (is_running(hh, ev->route))
			hop_route_resume(w, ev->route);
		break;
	case REL_EV_CLOSE:
		count(w, ev->reason == RAIL_GONE_STALLED ? W_routes_stalled : W_routes_held, 1);
		end_route(w, ev->route, ev->reason, true, true);
		break;
	case REL_EV_GONE:
		count(w, W_routes_gone, 1);
		count(w, hop_reason_counter(W_ended_held, ev->reason), 1);
		end_route(w, ev->route, ev->reason, false, true);
		break;
	case REL_EV_DONE:
		on_done(w, ev->route);
		break;
	case REL_EV_EMPTY:
		h->rel->more = true; // what came behind it
		hop_rel_wake(w, h);
		if (rule_of(w, h, ev->route_id) == NULL) {
			count(w, W_frames_ignored, 1);
			break;
		}
		count(w, W_routes_emptied, 1);
		count(w, hop_reason_counter(W_ended_held, ev->reason), 1);
		hop_route_end_after(w, h, ev->route_id, ev->reason);
		break;
	case REL_EV_CLOSE_IN:
		count(w, W_routes_held, 1);
		rel_ingress_close(h->rel->rel, ev->route_id, ev->reason, w->now_ns);
		hop_rel_wake(w, h);
		hop_route_end_after(w, h, ev->route_id, ev->reason);
		break;
	case REL_EV_PROBE:
		hop_rel_on_probe(w, h, ev);
		break;
	case REL_EV_DOWN:
		on_down(w, h, ev);
		break;
	}
}

void hop_routes_turn(struct wctx *w)
{
	struct rel_event ev;

	while (rel_hold_event(hop_hold(w)->hold, &ev))
		on_event(w, &ev);
}
