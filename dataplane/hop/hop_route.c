// Routes of reliable hops: which rule an entry belongs to, who is charged for it, who is told when
// it has to wait (rail.md 4). The entry of a rule is at the worker that owns its egress; whoever
// sends to it may be anybody's, so what is to be said goes as a message to the owner of that hop,
// or as a note to the main lcore, which alone takes rules out. What happens to a route, its end
// above all, is in hop_route_event.c.

#include "dataplane/hop/hop_route_priv.h"

// Its hop or the sink; NULL: the hop is not here any more.
struct rel_queue *hop_route_queue(struct wctx *w, const struct hop_route *info)
{
	struct hop *h;

	if (info->hop == 0)
		return hop_hold(w)->sink;
	h = hop_by_handle(w, info->hop);
	return h != NULL && h->rel != NULL ? rel_queue(h->rel->rel) : NULL;
}

// The main lcore may have the slot.
void hop_route_disown(struct wctx *w, uint32_t index)
{
	// pairs with the acquire in rule_table_poll()
	atomic_store_explicit(&hop_route_rule(w, index)->route_owner, 0, memory_order_release);
}

// ---- messages ----

// To whoever owns that hop; false: nobody does.
bool hop_route_tell(struct wctx *w, const struct hop_msg *msg)
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

void hop_route_note(
	struct wctx *w, enum dp_note_kind kind, uint32_t id, uint32_t value, uint32_t freed)
{
	struct dp_note n = {.kind = kind, .id = id, .value = value, .cookie = freed};

	hop_note(w, &n);
}

// The hop by which a transport's packets come, 0: none, or one that takes no such messages.
uint32_t hop_route_ingress(const struct wctx *w, uint32_t tp)
{
	uint64_t word = hop_table_tp_word(w->hops, tp);

	return (word & HOP_TP_RELIABLE) != 0 ? (uint32_t)(word >> 32) : 0;
}

void hop_route_tell_ingress(struct wctx *w, const struct hop_route *info, enum hop_msg_kind kind,
	uint16_t limit_s, uint8_t reason)
{
	struct hop_msg msg = {
		.kind = (uint8_t)kind, .reason = reason, .limit_s = limit_s, .id = info->id};

	if (info->in_tp == RULE_IN_LOCAL) {
		if (kind == HOP_MSG_PAUSE)
			hop_route_note(w, NOTE_ROUTE_PAUSE, info->id, limit_s, 0);
		else if (kind == HOP_MSG_RESUME)
			hop_route_note(w, NOTE_ROUTE_RESUME, info->id, 0, 0);
		return; // of the end it learns when the rule is gone
	}
	msg.hop = hop_route_ingress(w, info->in_tp);
	if (msg.hop != 0)
		hop_route_tell(w, &msg);
}

// ---- routes that are paused here ----

void hop_route_paused_add(struct wctx *w, uint32_t route)
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

bool hop_route_paused_del(struct wctx *w, uint32_t route)
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
			&hop_route_rule(w, i - 1)->stamp_ds, w->now_ds, memory_order_relaxed);
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
	struct rule *r = hop_route_rule(w, index);
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
		hop_route_paused_del(w, index);
	*info = (struct hop_route){.id = id,
		.hop = hop,
		.in_tp = atomic_load_explicit(&r->in_tp, memory_order_relaxed)};
	info->account = hop_account(w, info->in_tp);
	if (info->in_tp != RULE_IN_LOCAL && hop_route_ingress(w, info->in_tp) == 0)
		info->flags = HOP_ROUTE_LOSSY;
	q = hop_route_queue(w, info);
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
	if (likely(hop_route_is_mine(hh, hop_route_rule(w, index)) && hh->info[index].hop == hop &&
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
	r = hop_route_rule(w, index);
	id = atomic_load_explicit(&r->id, memory_order_relaxed);
	if (id != 0 && hh->info[index].id == id && (hh->info[index].flags & HOP_ROUTE_ENDED) &&
		bucket_take(&hh->ended, w->now_ns, REL_ENDED_PERIOD_NS, REL_ENDED_BURST))
		hop_route_note(w, NOTE_RULE_END, id, RAIL_GONE_RULE, 0);
}

// ---- the sink ----

bool hop_sink_waits(const struct wctx *w, const struct hop *in, uint32_t index)
{
	return in->rel != NULL && hop_route_is_mine(hop_hold(w), hop_route_rule(w, index)) &&
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
	*hop = hop_route_ingress(w, hh->info[route].in_tp);
	return pkt.handle;
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
		hop_route_paused_del(w, i - 1);
		hop_route_tell_ingress(w, info, HOP_MSG_RESUME, 0, 0);
	}
}
