// PAUSE, RESUME and GONE (rail 3 and 4): those that wait to be sent, at most one for a route, and
// what those of the peer mean. They are the chain of route id 0.
#include "lib/link/rel_priv.h"

enum {
	RESERVE = REL_NODES_SPARE / 2,
	GONE_PERIOD_NS = 10 * 1000 * 1000, // for ids that nobody knows
	GONE_WAITING = 64, // no more of them while so many frames wait
};

static uint32_t *id_slot(struct rel *r, uint32_t id)
{
	return &r->ctl_id[(uint32_t)((id * 0x9e3779b97f4a7c15ull) >> 32) % ARRAY_LEN(r->ctl_id)];
}

bool rel_ctl_add(struct rel *r, uint8_t kind, uint32_t id, uint16_t arg)
{
	struct rel_hold *h = r->q.hold;
	uint32_t *slot = id_slot(r, id), i = *slot;
	struct rel_node *n;

	while (i != 0 && node_at(h, i)->pkt_off != id)
		i = node_at(h, i)->next_in;
	if (i == 0) {
		i = rel_hold_node_new(h, RESERVE);
		if (i == 0)
			return false; // counted
		n = node_at(h, i);
		n->handle = NULL;
		n->map = NULL;
		n->len = 0;
		n->bufs = 0;
		n->route = REL_NO_ROUTE;
		n->pkt_off = id;
		n->next = 0;
		n->next_in = *slot;
		*slot = i;
		if (r->ctl_head == 0)
			r->ctl_head = i;
		else
			node_at(h, r->ctl_tail)->next = i;
		r->ctl_tail = i;
		r->n_ctl++;
	}
	r->next_ns = 0;
	n = node_at(h, i);
	n->kind = kind; // what waited for this id has become pointless
	n->arg = arg;
	return true;
}

uint32_t rel_ctl_pop(struct rel *r)
{
	struct rel_hold *h = r->q.hold;
	uint32_t i = r->ctl_head;
	uint32_t *p = id_slot(r, node_at(h, i)->pkt_off);

	while (*p != i)
		p = &node_at(h, *p)->next_in;
	*p = node_at(h, i)->next_in;
	r->ctl_head = node_at(h, i)->next;
	r->n_ctl--;
	return i;
}

void rel_ctl_free_all(struct rel *r)
{
	while (r->ctl_head != 0)
		node_free(r->q.hold, rel_ctl_pop(r));
}

bool rel_ctl_released(struct rel *r, uint8_t kind, uint32_t id, uint16_t arg, uint64_t now_ns)
{
	uint32_t route = rel_ids_find(&r->q, id);
	struct rel_event ev = {.kind = REL_EV_GONE,
		.reason = (uint8_t)arg,
		.route = route,
		.route_id = id,
		.link = r->conf.link};

	if (route == REL_NO_ROUTE)
		r->stats.rx_ignored++;
	else if (kind == RAIL_PAUSE)
		rel_queue_pause(&r->q, route, arg, now_ns);
	else if (kind == RAIL_RESUME)
		rel_queue_resume(&r->q, route, now_ns);
	else if ((r->q.hold->routes[route].flags & (RT_ENDING | RT_DOOMED)) ||
		 rel_hold_tell(r->q.hold, &ev))
		rel_queue_gone(&r->q, route);
	else
		return false;
	return true;
}

bool rel_pause(struct rel *r, uint32_t route_id, uint16_t limit_s, uint64_t now_ns)
{
	return rel_ctl_add(r, RAIL_PAUSE, route_id, limit_s);
}

bool rel_resume(struct rel *r, uint32_t route_id, uint64_t now_ns)
{
	return rel_ctl_add(r, RAIL_RESUME, route_id, 0);
}

void rel_unknown_id(struct rel *r, uint32_t route_id, uint64_t now_ns)
{
	if (now_ns < r->gone_ns || r->n_ctl >= GONE_WAITING)
		return;
	r->gone_ns = now_ns + GONE_PERIOD_NS;
	rel_ctl_add(r, RAIL_GONE, route_id, RAIL_GONE_UNKNOWN_ID);
}
