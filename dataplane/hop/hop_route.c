// Routes of hops that keep order: which rule an entry belongs to, who is charged for it, who is
// told when it has to wait (rail.md 4). The entry of a rule is at the worker that owns its egress;
// whoever sends to it may be anybody's, so what is to be said goes as a message to the owner of
// that hop, or as a note to the main lcore, which alone takes rules out. What happens to a route,
// its end above all, is in hop_route_event.c.

#include "dataplane/hop/hop_route_priv.h"

// Of the routes that leave by it; NULL: it keeps nothing.
static struct rel_queue *queue_of(const struct hop *h)
{
	if (h->rel != NULL)
		return rel_queue(h->rel->rel);
	return h->car != NULL ? h->car->q : NULL;
}

// Its hop or the sink; NULL: the hop is not here any more.
struct rel_queue *hop_route_queue(struct wctx *w, const struct hop_route *info)
{
	struct hop *h;

	if (info->hop == 0)
		return hop_hold(w)->sink;
	h = hop_by_handle(w, info->hop);
	return h != NULL ? queue_of(h) : NULL;
}

// The main lcore may have the slot.
void hop_route_disown(struct wctx *w, uint32_t index)
{
	// pairs with the acquire in rule_table_poll()
	atomic_store_explicit(&hop_route_rule(w, index)->route_owner, 0, memory_order_release);
}

// ---- messages ----

bool hop_route_note(
	struct wctx *w, enum dp_note_kind kind, uint32_t id, uint32_t value, uint32_t freed)
{
	struct dp_note n = {.kind = kind, .id = id, .value = value, .cookie = freed};

	return hop_note(w, &n);
}

// Whoever was told of a pause is gone; what the main lcore knows of it ends all the same, else it
// would be said of the link that comes next.
static int nobody(struct wctx *w, const struct hop_msg *msg)
{
	return msg->kind != HOP_MSG_RESUME || hop_route_note(w, NOTE_ROUTE_RESUME, msg->id, 0, 0)
		       ? -ENOENT
		       : -EAGAIN;
}

int hop_route_tell(struct wctx *w, const struct hop_msg *msg)
{
	uint64_t word;

	if (hop_by_handle(w, msg->hop) != NULL)
		return hop_route_take(w, msg) ? 0 : -EAGAIN;
	word = hop_table_dir_word(w->hops, msg->hop);
	if (word == 0 || hop_word_owner(word) == w->id)
		return nobody(w, msg);
	if (w->ops->handoff_msg(w, hop_word_owner(word), msg))
		return 0;
	count(w, W_notes_lost, 1);
	return -EAGAIN;
}

// The hop by which packets of the rule `id` come, 0: none, or one that takes no such messages.
uint32_t hop_route_ingress(const struct wctx *w, uint32_t tp, uint32_t id)
{
	uint64_t word = hop_table_in_word(w->hops, tp, id);

	return (word & HOP_TP_RELIABLE) != 0 ? (uint32_t)(word >> 32) : 0;
}

int hop_route_tell_ingress(struct wctx *w, const struct hop_route *info, enum hop_msg_kind kind,
	uint16_t limit_s, uint8_t reason)
{
	struct hop_msg msg = {
		.kind = (uint8_t)kind, .reason = reason, .limit_s = limit_s, .id = info->id};

	if (info->in_tp == RULE_IN_LOCAL) {
		enum dp_note_kind note =
			kind == HOP_MSG_PAUSE ? NOTE_ROUTE_PAUSE : NOTE_ROUTE_RESUME;

		if (kind == HOP_MSG_GONE)
			return 0; // it learns of the end when the rule is gone
		return hop_route_note(w, note, info->id, limit_s, 0) ? 0 : -EAGAIN;
	}
	msg.hop = hop_route_ingress(w, info->in_tp, info->id);
	if (msg.hop != 0)
		return hop_route_tell(w, &msg);
	// a datagram link is never told
	return hop_table_in_word(w->hops, info->in_tp, info->id) == 0 ? nobody(w, &msg) : 0;
}

// ---- what the ingress of a route, or the main lcore, is to know ----

static void lists_put(struct hop_hold *hh, uint32_t route)
{
	struct hop_route *info = &hh->info[route];
	uint32_t *head = info->flags & HOP_ROUTE_UNTOLD ? &hh->untold : &hh->paused;

	if (!(info->flags & (HOP_ROUTE_UNTOLD | HOP_ROUTE_PAUSED)))
		return;
	info->prev = 0;
	info->next = *head;
	if (info->next != 0)
		hh->info[info->next - 1].prev = route + 1;
	*head = route + 1;
}

static void lists_take(struct hop_hold *hh, uint32_t route)
{
	struct hop_route *info = &hh->info[route];
	uint32_t *head = info->flags & HOP_ROUTE_UNTOLD ? &hh->untold : &hh->paused;

	if (!(info->flags & (HOP_ROUTE_UNTOLD | HOP_ROUTE_PAUSED)))
		return;
	if (info->prev != 0)
		hh->info[info->prev - 1].next = info->next;
	else
		*head = info->next;
	if (info->next != 0)
		hh->info[info->next - 1].prev = info->prev;
}

static void set_flags(struct hop_hold *hh, uint32_t route, uint8_t set, uint8_t clear)
{
	struct hop_route *info = &hh->info[route];

	lists_take(hh, route);
	info->flags = (uint8_t)((info->flags & ~clear) | set);
	lists_put(hh, route);
}

bool hop_route_is_live(const struct wctx *w, uint32_t route, const struct hop_route *info)
{
	return atomic_load_explicit(&hop_route_rule(w, route)->id, memory_order_relaxed) ==
	       info->id;
}

bool hop_route_say(struct wctx *w, uint32_t route)
{
	struct hop_hold *hh = hop_hold(w);
	const struct hop_route *info = &hh->info[route];
	bool told;

	// that it may go on is told even of one that is gone: what waits learns of that when it
	// comes
	if ((info->flags & (HOP_ROUTE_ENDED | HOP_ROUTE_PAUSED)) &&
		!hop_route_is_live(w, route, info))
		told = true;
	else if (info->flags & HOP_ROUTE_ENDED)
		told = hop_route_note(w, NOTE_RULE_END, info->id, info->reason, 0);
	else if (info->flags & HOP_ROUTE_PAUSED)
		told = hop_route_tell_ingress(w, info, HOP_MSG_PAUSE, info->limit_s, 0) == 0;
	else
		told = hop_route_tell_ingress(w, info, HOP_MSG_RESUME, 0, 0) != -EAGAIN;
	set_flags(hh, route, told ? 0 : HOP_ROUTE_UNTOLD, told ? HOP_ROUTE_UNTOLD : 0);
	return told;
}

void hop_route_say_again(struct wctx *w, uint32_t route)
{
	set_flags(hop_hold(w), route, HOP_ROUTE_UNTOLD, 0);
}

void hop_routes_say_again(struct wctx *w)
{
	struct hop_hold *hh = hop_hold(w);
	uint32_t next = hh->untold, i;

	for (unsigned n = 0; n < REL_SAY_TURN && (i = next) != 0; n++) {
		next = hh->info[i - 1].next;
		if (!hop_route_say(w, i - 1))
			continue;
		if (!rel_queue_is_open(hh->sink, i - 1)) {
			hop_route_paused_drop(w, i - 1);
			hop_route_disown(w, i - 1);
		}
	}
}

static void count_paused(struct wctx *w, const struct hop_route *info, int32_t n)
{
	struct hop *h = hop_by_handle(w, info->hop);

	hop_hold(w)->n_paused += (uint32_t)n;
	if (h != NULL)
		h->n_paused += (uint32_t)n;
}

void hop_route_pause(struct wctx *w, uint32_t route, uint16_t limit_s)
{
	struct hop_hold *hh = hop_hold(w);
	struct hop_route *info = &hh->info[route];

	if (!(info->flags & HOP_ROUTE_PAUSED)) {
		count_paused(w, info, 1);
		count(w, W_routes_paused, 1);
	}
	info->limit_s = limit_s;
	set_flags(hh, route, HOP_ROUTE_PAUSED, 0);
	hop_route_say(w, route);
}

bool hop_route_paused_drop(struct wctx *w, uint32_t route)
{
	struct hop_hold *hh = hop_hold(w);
	struct hop_route *info = &hh->info[route];
	bool was = (info->flags & HOP_ROUTE_PAUSED) != 0;

	if (was)
		count_paused(w, info, -1);
	// that it is paused no longer is what an ingress that was never told knows already
	set_flags(hh, route, 0, HOP_ROUTE_PAUSED | HOP_ROUTE_UNTOLD);
	return was;
}

void hop_route_sent(struct wctx *w, uint32_t route)
{
	struct rule *r = hop_route_rule(w, route);

	if (hop_route_is_live(w, route, &hop_hold(w)->info[route]) &&
		atomic_load_explicit(&r->stamp_ds, memory_order_relaxed) != w->now_ds)
		atomic_store_explicit(&r->stamp_ds, w->now_ds, memory_order_relaxed);
}

bool hop_route_resume(struct wctx *w, uint32_t route)
{
	struct hop_hold *hh = hop_hold(w);
	bool untold = (hh->info[route].flags & HOP_ROUTE_UNTOLD) != 0;

	if (!hop_route_paused_drop(w, route) && !untold)
		return true;
	hop_route_sent(
		w, route); // what was held kept the rule in use; packets come in a round trip
	return hop_route_say(w, route);
}

struct holes {
	struct wctx *w;
	uint8_t reason;
};

// What is held of it is about to be freed, so nothing may follow. A static rule begins anew.
static void make_hole(void *ctx, uint32_t route)
{
	const struct holes *holes = ctx;
	struct hop_hold *hh = hop_hold(holes->w);
	struct hop_route *info = hop_route_info(hh, route);

	if (!hop_route_is_of_rule(hh, route) || rel_hold_route_bufs(hh->hold, route) == 0 ||
		(hop_route_rule(holes->w, route)->flags & RULE_STATIC) != 0)
		return;
	info->flags |= HOP_ROUTE_ENDED | HOP_ROUTE_HOLED;
	info->reason = holes->reason;
}

// The link is about to forget its routes. Those of static rules begin anew; the main lcore closes
// the others, a while from now.
void hop_routes_reset(struct wctx *w, struct hop *h, uint8_t reason)
{
	struct holes holes = {.w = w, .reason = reason};
	struct hop_hold *hh = hop_hold(w);
	uint32_t lists[2] = {hh->paused, hh->untold};

	for (unsigned k = 0; k < ARRAY_LEN(lists); k++)
		for (uint32_t i = lists[k], next; i != 0; i = next) {
			next = hh->info[i - 1].next;
			if (hh->info[i - 1].hop == h->handle &&
				(hh->info[i - 1].flags & HOP_ROUTE_PAUSED))
				hop_route_resume(w, i - 1);
		}
	rel_queue_each(queue_of(h), make_hole, &holes);
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

uint16_t hop_route_handover(struct wctx *from, struct wctx *to, uint32_t route)
{
	struct hop_hold *hh = hop_hold(to);
	struct hop_route *info = hop_route_info(hh, route);

	if (!hop_route_is_of_rule(hh, route)) {
		info->account = hh->account;
		return hh->account;
	}
	lists_take(hop_hold(from), route);
	lists_put(hh, route);
	if (info->flags & HOP_ROUTE_PAUSED) {
		hop_hold(from)->n_paused--;
		hh->n_paused++;
	}
	info->account = hop_account(to, info->in_tp);
	atomic_store_explicit(
		&hop_route_rule(to, route)->route_owner, hh->me, memory_order_release);
	return info->account;
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

bool hop_route_says(const struct rule *r, uint32_t hop, uint32_t next_id)
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
	bool resume = false;

	if ((owner != 0 && owner != hh->me) || !hop_route_says(r, hop, next_id))
		return false;
	id = atomic_load_explicit(&r->id, memory_order_relaxed);
	if (info->id == id && (info->flags & HOP_ROUTE_ENDED))
		return false;
	if (owner == hh->me && rel_queue_is_open(hh->sink, index))
		return false; // of another hop, and not yet over
	if (owner == hh->me) {
		resume = info->id == id && (info->flags & HOP_ROUTE_UNTOLD) != 0;
		resume = hop_route_paused_drop(w, index) || resume;
	}
	*info = (struct hop_route){.id = id,
		.hop = hop,
		.in_tp = atomic_load_explicit(&r->in_tp, memory_order_relaxed)};
	info->account = hop_account(w, info->in_tp);
	if (info->in_tp != RULE_IN_LOCAL && hop_route_ingress(w, info->in_tp, id) == 0)
		info->flags = HOP_ROUTE_LOSSY;
	if (resume) // it does not know yet that its packets may come again
		hop_route_say_again(w, index);
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
	if (likely(hop_route_is_at(w, hh, hop, index) && rel_queue_is_open(hh->sink, index)))
		return true;
	return route_open(w, hop, index, next_id);
}

void hop_route_drain(struct wctx *w, uint32_t route, struct rel_queue *q)
{
	hop_route_info(hop_hold(w), route)->flags |= HOP_ROUTE_DRAINING;
	rel_queue_drain(q, route);
}

void hop_route_refused(struct wctx *w, uint32_t index)
{
	struct hop_hold *hh = hop_hold(w);
	const struct rule *r;
	uint32_t id;

	if (index >= hh->shared->n_rules)
		return;
	r = hop_route_rule(w, index);
	id = atomic_load_explicit(&r->id, memory_order_relaxed);
	if (id != 0 && hh->info[index].id == id &&
		(hh->info[index].flags & (HOP_ROUTE_ENDED | HOP_ROUTE_HOLED)) == HOP_ROUTE_ENDED &&
		bucket_take(&hh->ended, w->now_ns, REL_ENDED_PERIOD_NS, REL_ENDED_BURST))
		hop_route_note(w, NOTE_RULE_END, id, hh->info[index].reason, 0);
}

// ---- the sink ----

enum hop_sink hop_sink_state(
	const struct wctx *w, const struct hop *in, uint32_t index, uint32_t id)
{
	const struct hop_hold *hh = hop_hold(w);

	if (!hop_keeps_order(in))
		return HOP_SINK_EMPTY;
	if (unlikely((hh->info[index].flags & HOP_ROUTE_ENDED) && hh->info[index].id == id))
		return HOP_SINK_ENDED;
	return hop_route_is_mine(hh, hop_route_rule(w, index)) && rel_queue_waits(hh->sink, index)
		       ? HOP_SINK_WAITS
		       : HOP_SINK_EMPTY;
}

// Nothing of it is held here, but nothing may come up any more. The entry is ours until the main
// lcore was told.
void hop_sink_end(struct wctx *w, uint32_t index, uint32_t id, uint8_t reason)
{
	struct hop_hold *hh = hop_hold(w);
	struct hop_route *info = &hh->info[index];
	struct rule *r = hop_route_rule(w, index);
	unsigned owner = atomic_load_explicit(&r->route_owner, memory_order_acquire);

	if (owner != 0 && owner != hh->me) { // the hop was there before, and something is untold
		hop_route_note(w, NOTE_RULE_END, id, reason, 0);
		return;
	}
	if (info->id != id)
		*info = (struct hop_route){.id = id};
	info->flags |= HOP_ROUTE_ENDED;
	info->reason = reason;
	atomic_store_explicit(&r->route_owner, hh->me, memory_order_release);
	if (hop_route_say(w, index))
		hop_route_disown(w, index);
}

bool hop_sink_push(struct wctx *w, const struct hop *in, uint32_t index, struct rte_mbuf *m)
{
	struct hop_hold *hh = hop_hold(w);
	struct rel_pkt pkt = {.handle = m, .len = m->pkt_len, .bufs = m->nb_segs};

	if (!hop_keeps_order(in) || !hop_route_ready(w, 0, index, 0))
		return false;
	pkt.account = hh->info[index].account;
	if (!rel_queue_push(hh->sink, index, &pkt, 0, w->now_ns))
		return false;
	hh->sink_busy = true;
	return true;
}

// ---- the ring up ----

bool hop_up_busy(const struct wctx *w, unsigned carrier)
{
	const struct hop_hold *hh = hop_hold(w);

	return hh != NULL && (hh->cars[carrier].first != NULL || (carrier == 0 && hh->sink_busy));
}

static bool sink_pull(struct wctx *w, struct hop_up *up)
{
	struct hop_hold *hh = hop_hold(w);
	struct rel_pkt pkt;
	uint32_t route;

	hh->sink_busy = hh->sink_busy && rel_queue_pull(hh->sink, &route, &pkt, w->now_ns);
	if (!hh->sink_busy)
		return false;
	up->m = pkt.handle;
	up->type = UP_ROUTE;
	up->id = hh->info[route].id;
	up->hop = hop_route_ingress(w, hh->info[route].in_tp, up->id);
	return true;
}

static bool car_pull(struct wctx *w, unsigned carrier, struct hop_up *up)
{
	up->m = hop_car_pull(w, carrier, &up->hop);
	up->type = UP_CARRIED;
	up->id = 0;
	return up->m != NULL;
}

bool hop_up_pull(struct wctx *w, unsigned carrier, struct hop_up *up)
{
	struct hop_hold *hh = hop_hold(w);

	if (carrier != 0)
		return car_pull(w, carrier, up);
	hh->cars_turn = !hh->cars_turn;
	return hh->cars_turn ? car_pull(w, 0, up) || sink_pull(w, up)
			     : sink_pull(w, up) || car_pull(w, 0, up);
}
