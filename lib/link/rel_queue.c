// Egress queues (rel_queue.h, rail 4): which packet goes next, which route is held up, when its
// ingress has to be. Sequences, acks and frames are not known here.
#include "lib/link/rel_queue.h"

#include "lib/link/rel_priv.h"

enum { DEBT_UNIT = 64 };

// ---- life of a route ----

int rel_queue_open(struct rel_queue *q, uint32_t route, uint32_t next_id)
{
	struct route *rt = rel_queue_route(q, route);
	int rc;

	rt->id = q->rel != NULL ? next_id : route + 1; // unique
	rc = rel_ids_add(q, route, rt->id);
	if (rc < 0) {
		rt->id = 0;
		return rc;
	}
	rt->flags = RT_OPEN;
	return 0;
}

bool rel_queue_is_open(const struct rel_queue *q, uint32_t route)
{
	return (rel_queue_route(q, route)->flags & RT_OPEN) != 0;
}

static void round_remove(struct rel_queue *q, uint32_t route)
{
	uint32_t i = q->round;

	while (rel_queue_route(q, i - 1)->round_next != route + 1)
		i = rel_queue_route(q, i - 1)->round_next;
	if (i == q->round) {
		rel_queue_round_out(q, rel_queue_route(q, i - 1), rel_queue_route(q, route));
		return;
	}
	rel_queue_route(q, i - 1)->round_next = rel_queue_route(q, route)->round_next;
	rel_queue_route(q, route)->flags &= (uint16_t)~RT_ACTIVE;
	if (q->round == route + 1)
		q->round = i;
}

bool rel_queue_leave_round(struct rel_queue *q, uint32_t route)
{
	if (!(rel_queue_route(q, route)->flags & RT_ACTIVE))
		return false;
	round_remove(q, route);
	return true;
}

static void free_node_of(struct rel_queue *q, uint32_t route, uint32_t i)
{
	struct rel_hold *h = q->hold;
	struct rel_node *n = node_at(h, i);

	route_charge(h, route, -(int32_t)n->bufs);
	rel_queue_route(q, route)->nodes--;
	handle_free(h, n->handle);
	node_free(h, i);
	packets_freed(h, route, 1);
	if (q->rel != NULL)
		q->rel->stats.tx_freed++;
}

// All that waits, which is all that is charged to the route by now: of what was sent, EMPTYs are
// left at most. The route may stay in the round, with nothing to send, until its turn comes.
static void free_waiting(struct rel_queue *q, uint32_t route)
{
	struct route *rt = rel_queue_route(q, route);
	uint32_t n = rt->nodes - rt->kept;

	if (rt->tail == 0)
		return;
	packets_freed(q->hold, route, n);
	if (q->rel != NULL)
		q->rel->stats.tx_freed += n;
	q->n_waiting -= n;
	q->waiting -= rt->waiting;
	rt->waiting = 0;
	rt->nodes -= n;
	rel_hold_bury(q->hold, route, rt->tail, n);
	rt->tail = 0;
}

static void urgent_remove(struct rel_queue *q, uint32_t route)
{
	uint32_t *p = &q->urgent_head, last = 0;

	while (*p != 0) {
		uint32_t i = *p;
		struct rel_node *n = node_at(q->hold, i);

		if (n->route == route) {
			*p = n->next;
			free_node_of(q, route, i);
		} else {
			last = i;
			p = &n->next;
		}
	}
	q->urgent_tail = last;
}

static void route_clear(struct rel_queue *q, uint32_t route)
{
	struct route *rt = rel_queue_route(q, route);

	if (rt->timer != 0)
		node_at(q->hold, rt->timer)->route = REL_NO_ROUTE;
	memset(rt, 0, sizeof(*rt));
}

static bool tell_done(struct rel_queue *q, uint32_t route)
{
	struct rel_event ev = {
		.kind = REL_EV_DONE, .route = route, .route_id = rel_queue_route(q, route)->id};

	return rel_hold_tell(q->hold, &ev);
}

static void end_if_done(struct rel_queue *q, uint32_t route)
{
	const struct route *rt = rel_queue_route(q, route);

	if (!(rt->flags & RT_DRAINING) || (rt->flags & RT_ACTIVE) || rt->nodes != 0)
		return;
	if (!tell_done(q, route))
		return;
	rel_ids_del(q, route);
	route_clear(q, route);
}

void rel_queue_drain(struct rel_queue *q, uint32_t route)
{
	struct route *rt = rel_queue_route(q, route);

	if (!(rt->flags & RT_OPEN))
		return;
	rt->flags |= RT_DRAINING;
	end_if_done(q, route);
}

void rel_queue_abort(struct rel_queue *q, uint32_t route, uint8_t reason, uint64_t now_ns)
{
	struct route *rt = rel_queue_route(q, route);

	if (!(rt->flags & RT_OPEN))
		return;
	if (rt->flags & RT_URGENT)
		urgent_remove(q, route);
	if (q->rel != NULL && (rt->flags & RT_SENT))
		rel_kept_empty(q->rel, route, reason);
	free_waiting(q, route);
	rel_hold_free_few(q->hold);
	rt->flags &= RT_OPEN | RT_SENT | RT_ACTIVE; // Error and Close may follow
	rt->flags |= RT_ENDING;
}

static void forget(struct rel_queue *q, uint32_t route)
{
	struct route *rt = rel_queue_route(q, route);

	urgent_remove(q, route);
	free_waiting(q, route);
	if (rt->flags & RT_ACTIVE)
		round_remove(q, route);
	rel_ids_del(q, route);
	route_clear(q, route);
}

void rel_queue_forget(struct rel_queue *q, uint32_t route)
{
	if (!rel_queue_is_open(q, route))
		return;
	forget(q, route);
	rel_hold_free_few(q->hold);
}

void rel_queue_reset(struct rel_queue *q)
{
	uint32_t route, i;

	q->round = 0; // at once, not one by one
	while ((i = q->urgent_head) != 0) {
		q->urgent_head = node_at(q->hold, i)->next;
		free_node_of(q, node_at(q->hold, i)->route, i);
	}
	q->urgent_tail = 0;
	while ((route = rel_ids_any(q)) != REL_NO_ROUTE) {
		struct route *rt = rel_queue_route(q, route);

		rt->flags &= (uint16_t)~RT_ACTIVE;
		if (rt->flags & RT_DRAINING) // somebody waits for the acks, which never come now
			tell_done(q, route);
		forget(q, route);
	}
	rel_hold_free_few(q->hold);
	rel_ids_free(q);
}

// ---- pausing ----

static bool holds_too_much(const struct route *rt)
{
	return rt->waiting > rel_queue_most_held(rt);
}

static bool holds_little(const struct route *rt)
{
	return rt->waiting < rel_queue_most_held(rt) / 2;
}

// Of pauses that begin here: a link is slow for a while, a reader may take as long as it likes if
// nobody has said otherwise.
static uint16_t own_limit(const struct rel_queue *q)
{
	return q->rel != NULL ? REL_PAUSE_LIMIT_S : q->limit_s;
}

static void tell_pause(struct rel_queue *q, uint32_t route)
{
	struct route *rt = rel_queue_route(q, route);
	bool passed_on = (rt->flags & RT_PAUSED) != 0;
	struct rel_event ev = {.kind = REL_EV_PAUSE,
		.route = route,
		.route_id = rt->id,
		.limit_s = passed_on ? rt->limit_s : own_limit(q)};

	if (!rel_hold_tell(q->hold, &ev))
		return;
	rt->flags |= RT_PAUSING;
	rt->told_s = ev.limit_s;
	q->hold->stats.paused++;
	if (!passed_on)
		rel_hold_watch(q->hold, route, ev.limit_s);
}

// So much waits that the ingress has to. One that goes on nevertheless is told again: it may have
// forgotten the pause with an end after which it went on.
static void ask_to_wait(struct rel_queue *q, uint32_t route, uint32_t before)
{
	struct route *rt = rel_queue_route(q, route);
	struct rel_event ev = {
		.kind = REL_EV_PAUSE, .route = route, .route_id = rt->id, .limit_s = rt->told_s};

	if (!(rt->flags & RT_PAUSING))
		tell_pause(q, route);
	else if (rel_queue_is_doubled(before, rt->waiting))
		rel_hold_tell(q->hold, &ev); // else at the next doubling
}

static void tell_resume(struct rel_queue *q, uint32_t route)
{
	struct route *rt = rel_queue_route(q, route);
	struct rel_event ev = {.kind = REL_EV_RESUME, .route = route, .route_id = rt->id};

	if (!rel_hold_tell(q->hold, &ev))
		return;
	rt->flags &= (uint16_t)~RT_PAUSING;
	q->hold->stats.resumed++;
	if (!(rt->flags & RT_PAUSED))
		rt->flags &= (uint16_t)~RT_DEADLINE;
}

static void watch_paused(struct rel_queue *q, uint32_t route)
{
	uint16_t limit_s = rel_queue_route(q, route)->limit_s;

	rel_hold_watch(q->hold, route, limit_s == 0 ? 0 : limit_s + (uint32_t)REL_PAUSE_GRACE_S);
}

// Not held up any more.
static void go_on(struct rel_queue *q, uint32_t route)
{
	struct route *rt = rel_queue_route(q, route);

	rt->flags &= (uint16_t) ~(RT_ANEW | RT_PAUSED | RT_HELD_UP | RT_DEADLINE);
	if (rt->tail != 0 && !(rt->flags & RT_ACTIVE))
		rel_queue_join_round(q, route);
	if ((rt->flags & RT_PAUSING) && holds_little(rt))
		tell_resume(q, route);
	else if ((rt->flags & RT_PAUSING) && rt->told_s != own_limit(q))
		tell_pause(q, route);
	else if (rt->flags & RT_PAUSING)
		rel_hold_watch(q->hold, route, own_limit(q));
}

void rel_queue_pause(struct rel_queue *q, uint32_t route, uint16_t limit_s, uint64_t now_ns)
{
	struct route *rt = rel_queue_route(q, route);

	if (!(rt->flags & RT_OPEN) || (rt->flags & (RT_ENDING | RT_ANEW)))
		return;
	rt->flags |= RT_HELD_UP | RT_PAUSED;
	rt->limit_s = limit_s;
	watch_paused(q, route);
	if ((rt->flags & RT_PAUSING) && rt->told_s != limit_s)
		tell_pause(q, route);
}

void rel_queue_resume(struct rel_queue *q, uint32_t route, uint64_t now_ns)
{
	const struct route *rt = rel_queue_route(q, route);

	if ((rt->flags & RT_OPEN) && (rt->flags & RT_PAUSED))
		go_on(q, route);
}

void rel_queue_gone(struct rel_queue *q, uint32_t route)
{
	rel_queue_route(q, route)->flags &= (uint16_t)~RT_PAUSED;
}

// ---- an end after which it goes on ----

// Its limit is over, and no RESUME came.
static bool is_overdue(const struct rel_queue *q, const struct route *rt)
{
	return (rt->flags & RT_DEADLINE) && (int16_t)(rt->deadline - q->hold->tick) <= 0;
}

void rel_queue_restart(struct rel_queue *q, uint32_t route, uint8_t reason, uint64_t now_ns)
{
	struct route *rt = rel_queue_route(q, route);
	// the ingress waits until it is worth its while to go on
	uint16_t stays = rt->flags & (is_overdue(q, rt) ? RT_PAUSING : RT_PAUSING | RT_PAUSED);

	if (!(rt->flags & RT_OPEN) || (rt->flags & (RT_DRAINING | RT_ENDING)))
		return;
	rel_queue_abort(q, route, reason, now_ns);
	rt->flags &= (uint16_t)~RT_ENDING;
	rt->flags |= stays;
	if (rt->kept != 0) {
		// The peer's pause ends at the EMPTY: it may have no entry any more that would tell
		// us to resume.
		rt->flags &= (uint16_t)~RT_PAUSED;
		rt->flags |= RT_ANEW | RT_HELD_UP;
	} else if (rt->flags & RT_PAUSED) { // the peer learns nothing of this, so it stays
		rt->flags |= RT_HELD_UP;
		watch_paused(q, route);
	} else {
		go_on(q, route);
	}
}

// ---- in and out ----

// Which packets go before the ones that wait.
static bool overtakes(const struct route *rt, unsigned flags)
{
	if (flags & REL_PUSH_LAST)
		return true;
	return (flags & REL_PUSH_KEEP_ALIVE) &&
	       (rt->flags & (RT_HELD_UP | RT_URGENT | RT_ANEW)) == RT_HELD_UP;
}

void rel_queue_put_urgent(struct rel_queue *q, uint32_t route, uint32_t i)
{
	node_at(q->hold, i)->next = 0;
	if (q->urgent_head == 0)
		q->urgent_head = i;
	else
		node_at(q->hold, q->urgent_tail)->next = i;
	q->urgent_tail = i;
	rel_queue_route(q, route)->flags |= RT_URGENT;
}

static bool may_push(const struct route *rt, unsigned flags)
{
	unsigned state = rt->flags & (RT_OPEN | RT_DRAINING | RT_ENDING | RT_DOOMED);

	return state == RT_OPEN || (state == (RT_OPEN | RT_ENDING) && (flags & REL_PUSH_LAST));
}

bool rel_queue_push(struct rel_queue *q, uint32_t route, const struct rel_pkt *p, unsigned flags,
	uint64_t now_ns)
{
	struct rel_hold *h = q->hold;
	struct route *rt = &h->routes[route];
	uint32_t before = rt->waiting;
	struct rel_node *n;
	uint32_t i;

	if (unlikely(!may_push(rt, flags)))
		return false;
	i = rel_hold_node_new(h, REL_NODES_SPARE);
	if (unlikely(i == 0)) {
		rel_hold_doom(h, route, RAIL_GONE_HELD);
		return false;
	}
	n = node_at(h, i);
	n->handle = p->handle;
	n->len = p->len;
	n->route = route;
	n->bufs = p->bufs;
	n->kind = RAIL_SEQ;
	n->map = NULL;
	n->ahead = 0;
	n->ahead_route = route;
	if (rt->bufs == 0)
		rt->account = p->account;
	rt->nodes++;
	route_charge(h, route, p->bufs);
	if (unlikely(flags != 0) && overtakes(rt, flags))
		rel_queue_put_urgent(q, route, i);
	else
		rel_queue_put_last(q, rt, route, i);
	rel_queue_note_ahead(q, i, route);
	if (unlikely(rt->waiting > rt->kept) && holds_too_much(rt))
		ask_to_wait(q, route, before);
	if (unlikely(h->bufs - h->doomed > h->conf.max_bufs))
		rel_hold_press(h, route);
	return true;
}

uint32_t rel_queue_peek(struct rel_queue *q)
{
	if (unlikely(q->urgent_head != 0))
		return q->urgent_head;
	while (q->round != 0) {
		struct route *before = rel_queue_route(q, q->round - 1);
		uint32_t i = before->round_next;
		struct route *rt = rel_queue_route(q, i - 1);

		if (unlikely((rt->flags & RT_HELD_UP) || rt->tail == 0)) {
			rel_queue_round_out(q, before, rt);
			end_if_done(q, i - 1);
			continue;
		}
		if (q->credit > 0)
			return node_at(q->hold, rt->tail)->next;
		if (q->credit == 0) { // its turn begins
			q->credit = REL_QUANTUM;
			if (likely(rt->debt == 0))
				continue;
			q->credit -= rt->debt * DEBT_UNIT;
			rt->debt = 0;
			if (q->credit > 0)
				continue;
		}
		rt->debt = (uint16_t)((unsigned)-q->credit / DEBT_UNIT);
		q->round = i;
		q->credit = 0;
	}
	return 0;
}

void rel_queue_pop(struct rel_queue *q, uint32_t i)
{
	struct rel_node *n = node_at(q->hold, i);
	struct route *rt = rel_queue_route(q, n->route);

	if (unlikely(i == q->urgent_head)) {
		q->urgent_head = n->next;
		if (n->next == 0 || node_at(q->hold, n->next)->route != n->route)
			rt->flags &= (uint16_t)~RT_URGENT;
		return;
	}
	rt->waiting -= n->len;
	q->waiting -= n->len;
	q->n_waiting--;
	q->credit -= (int32_t)n->len;
	if (rt->tail == i) {
		rt->tail = 0;
		rel_queue_round_out(q, rel_queue_route(q, q->round - 1), rt);
		end_if_done(q, n->route);
		return;
	}
	node_at(q->hold, rt->tail)->next = n->next;
	if (q->credit == 0)
		q->credit = -1; // its turn is over, not about to begin
}

void rel_queue_acked(struct rel_queue *q, uint32_t route, uint32_t len, uint16_t bufs)
{
	struct route *rt = rel_queue_route(q, route);

	rt->kept -= len;
	rt->nodes--;
	route_charge(q->hold, route, -(int32_t)bufs);
	if (unlikely(rt->flags & RT_PAUSING) && !(rt->flags & RT_ANEW) && holds_little(rt))
		tell_resume(q, route);
	if (unlikely(rt->flags & (RT_DRAINING | RT_ANEW))) {
		if ((rt->flags & RT_ANEW) && rt->kept == 0)
			go_on(q, route);
		end_if_done(q, route);
	}
}

// ---- sinks ----

size_t rel_queue_mem_size(void)
{
	return sizeof(struct rel_queue);
}

struct rel_queue *rel_queue_init(void *mem, struct rel_hold *h)
{
	struct rel_queue *q = mem;

	*q = (struct rel_queue){.hold = h, .key = h->conf.seed};
	return q;
}

void rel_queue_fini(struct rel_queue *q)
{
	rel_ids_free(q);
	rel_hold_flush(q->hold);
}

void rel_queue_limit(struct rel_queue *q, uint16_t limit_s)
{
	q->limit_s = limit_s;
}

bool rel_queue_waits(const struct rel_queue *q, uint32_t route)
{
	const struct route *rt = rel_queue_route(q, route);

	return rt->bufs != 0 || (rt->flags & RT_HELD_UP) != 0;
}

static void stall(void *ctx, uint32_t route)
{
	struct rel_queue *q = ctx;
	const struct route *rt = rel_queue_route(q, route);

	if (rt->bufs != 0 && !(rt->flags & RT_ENDING)) // its last words may wait
		rel_hold_doom(q->hold, route, RAIL_GONE_STALLED);
}

void rel_queue_stall(struct rel_queue *q)
{
	rel_queue_each(q, stall, q);
}

uint32_t rel_queue_waiting(const struct rel_queue *q, uint64_t *bytes)
{
	*bytes = q->waiting;
	return q->n_waiting;
}

bool rel_queue_pull(struct rel_queue *q, uint32_t *route, struct rel_pkt *out, uint64_t now_ns)
{
	uint32_t i = rel_queue_peek(q);
	const struct rel_node *n;

	if (i == 0)
		return false;
	rel_queue_pop(q, i);
	n = node_at(q->hold, i);
	*route = n->route;
	*out = (struct rel_pkt){.handle = n->handle,
		.len = n->len,
		.account = rel_queue_route(q, n->route)->account,
		.bufs = n->bufs};
	node_free(q->hold, i); // before the route may end, which gives back what it had
	rel_queue_acked(q, *route, 0, out->bufs);
	return true;
}
