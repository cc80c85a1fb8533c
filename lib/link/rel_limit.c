// Which route has to end (rail 4, budget and pause): the one that holds most of the account that
// holds most, found in lists by powers of two, so nobody can make this expensive; and the ones that
// were held up for too long, by a wheel. Ending them is the caller's, who is told.
#include "lib/link/rel_priv.h"

enum { LIMIT_MAX_S = 3600, LOOK_AT = 64, TICKS_PER_S = 1000000000 / REL_TICK_NS };

// ---- routes by what they hold ----

static void hog_unlink(struct rel_hold *h, uint32_t route)
{
	struct route *rt = &h->routes[route];

	if (rt->prev != 0)
		h->routes[rt->prev - 1].next = rt->next;
	else
		h->accounts[rt->account].hog[class_of(rt->bufs)] = rt->next;
	if (rt->next != 0)
		h->routes[rt->next - 1].prev = rt->prev;
}

void rel_hold_move(struct rel_hold *h, uint32_t route, uint32_t bufs)
{
	struct route *rt = &h->routes[route];
	uint32_t *head;

	if (rt->bufs >= REL_LISTED_BUFS)
		hog_unlink(h, route);
	if (bufs < REL_LISTED_BUFS)
		return;
	head = &h->accounts[rt->account].hog[class_of(bufs)];
	rt->prev = 0;
	rt->next = *head;
	if (rt->next != 0)
		h->routes[rt->next - 1].prev = route + 1;
	*head = route + 1;
}

// The biggest among the first of the highest class: at least half of what the biggest holds.
static uint32_t find_hog(const struct rel_hold *h, uint16_t account)
{
	uint32_t best = REL_NO_ROUTE, best_bufs = 0;

	for (unsigned c = REL_CLASSES; c-- > 0 && best == REL_NO_ROUTE;) {
		uint32_t i = h->accounts[account].hog[c];

		for (unsigned n = 0; i != 0 && n < LOOK_AT; n++, i = h->routes[i - 1].next) {
			const struct route *rt = &h->routes[i - 1];

			if ((rt->flags & RT_DOOMED) || rt->bufs <= best_bufs)
				continue;
			best = i - 1;
			best_bufs = rt->bufs;
		}
	}
	return best;
}

// None is listed: many small ones. Nodes name the routes that hold something; at the limit most of
// them are of those who hold more than their share, so a few looks find one.
static uint32_t find_small(struct rel_hold *h, uint16_t account)
{
	uint32_t other = REL_NO_ROUTE;

	for (unsigned n = 0; n < LOOK_AT; n++) {
		const struct route *rt;
		uint32_t i;

		h->small_at = h->small_at + 1 < h->n_nodes ? h->small_at + 1 : 1;
		i = node_at(h, h->small_at)->route;
		if (i == REL_NO_ROUTE)
			continue;
		rt = &h->routes[i];
		if (rt->bufs == 0 || rt->flags & RT_DOOMED)
			continue;
		if (rt->account == account)
			return i;
		if (h->accounts[rt->account].bufs > h->share)
			other = i;
	}
	return other;
}

static uint16_t find_rich(const struct rel_hold *h)
{
	uint16_t best = 0;
	uint32_t best_bufs = 0;

	for (unsigned c = REL_CLASSES; c-- > 0 && best_bufs == 0;) {
		uint16_t i = h->rich[c];

		for (unsigned n = 0; i != 0 && n < LOOK_AT; n++, i = h->accounts[i - 1].next) {
			if (h->accounts[i - 1].bufs <= best_bufs)
				continue;
			best = (uint16_t)(i - 1);
			best_bufs = h->accounts[best].bufs;
		}
	}
	return best;
}

void rel_hold_doom(struct rel_hold *h, uint32_t route, uint8_t reason)
{
	struct route *rt = &h->routes[route];
	struct rel_event ev = {.kind = REL_EV_CLOSE, .reason = reason, .route = route};

	if (rt->flags & RT_DOOMED)
		return;
	ev.route_id = rt->id;
	if (rt->flags & RT_IN) {
		ev.kind = REL_EV_CLOSE_IN;
		ev.link = rt->rel->conf.link;
		ev.route = REL_NO_ROUTE;
	}
	if (!rel_hold_tell(h, &ev))
		return; // tried again by whoever sees it next
	rt->flags |= RT_DOOMED;
	h->doomed += rt->bufs;
	if (reason == RAIL_GONE_STALLED)
		h->stats.closed_stalled++;
	else
		h->stats.closed_held++;
}

void rel_hold_press(struct rel_hold *h, uint32_t route)
{
	for (unsigned n = 0; n < LOOK_AT && h->bufs - h->doomed > h->conf.max_bufs; n++) {
		uint16_t account = h->routes[route].account;
		bool guilty = h->accounts[account].bufs > h->share;
		uint32_t hog;

		if (!guilty)
			account = find_rich(h);
		hog = find_hog(h, account);
		if (hog == REL_NO_ROUTE && !guilty)
			hog = find_small(h, account);
		rel_hold_doom(h, hog == REL_NO_ROUTE ? route : hog, RAIL_GONE_HELD);
	}
}

void rel_hold_make_room(struct rel_hold *h, uint16_t account)
{
	uint16_t rich;
	uint32_t hog;

	if (h->accounts[account].bufs >= h->share || h->bufs - h->doomed < h->bufs_soft)
		return;
	rich = find_rich(h);
	hog = find_hog(h, rich);
	if (hog == REL_NO_ROUTE && rich != account)
		hog = find_small(h, rich);
	if (hog != REL_NO_ROUTE)
		rel_hold_doom(h, hog, RAIL_GONE_HELD);
}

// ---- limits of pauses ----

static void wheel_put(struct rel_hold *h, uint32_t node)
{
	struct rel_node *n = node_at(h, node);
	uint32_t *slot = &h->wheel[n->arg % REL_WHEEL];

	n->next = *slot;
	*slot = node;
}

void rel_hold_watch(struct rel_hold *h, uint32_t route, uint32_t limit_s)
{
	struct route *rt = &h->routes[route];
	struct rel_node *n;

	rt->flags &= (uint16_t)~RT_DEADLINE;
	if (limit_s == 0)
		return;
	if (limit_s > LIMIT_MAX_S)
		limit_s = LIMIT_MAX_S;
	if (rt->timer == 0) {
		rt->timer = rel_hold_node_new(h, 0);
		if (rt->timer == 0)
			return;
		n = node_at(h, rt->timer);
		n->route = route;
		n->arg = (uint16_t)(h->tick + 1);
		wheel_put(h, rt->timer); // looks at once, and goes where it belongs
	}
	rt->flags |= RT_DEADLINE;
	rt->deadline = (uint16_t)(h->tick + limit_s * TICKS_PER_S + 1);
}

static void on_timer(struct rel_hold *h, uint32_t node)
{
	struct rel_node *n = node_at(h, node);
	struct route *rt;
	int16_t left;

	if (n->route == REL_NO_ROUTE) {
		node_free(h, node);
		return;
	}
	rt = &h->routes[n->route];
	left = (int16_t)(rt->deadline - h->tick);
	if (!(rt->flags & RT_DEADLINE) || rt->flags & RT_DOOMED) {
		rt->timer = 0;
		node_free(h, node);
		return;
	}
	if (left <= 0) {
		if (rt->bufs != 0)
			rel_hold_doom(h, n->route, RAIL_GONE_STALLED);
		left = 4; // nothing held yet: whatever comes is held up from now on
	}
	n->arg = (uint16_t)(h->tick + (left < REL_WHEEL ? left : REL_WHEEL - 1));
	wheel_put(h, node);
}

void rel_hold_tick(struct rel_hold *h, uint64_t now_ns)
{
	uint32_t node, next;

	if (h->tick_ns == 0)
		h->tick_ns = now_ns;
	if (now_ns - h->tick_ns > (uint64_t)REL_WHEEL * REL_TICK_NS) // was away: no burst of turns
		h->tick_ns = now_ns - (uint64_t)REL_WHEEL * REL_TICK_NS;
	while (now_ns - h->tick_ns >= REL_TICK_NS) {
		h->tick_ns += REL_TICK_NS;
		h->tick++;
		node = h->wheel[h->tick % REL_WHEEL];
		h->wheel[h->tick % REL_WHEEL] = 0;
		for (; node != 0; node = next) {
			next = node_at(h, node)->next;
			on_timer(h, node);
		}
	}
	rel_hold_flush(h);
}
