// Order per route (rail 4): a frame is released when the one that its distance points to was. Every
// sequence below rx_next was received, and so, by induction over the chains, released; above it a
// word per sequence says what it is. A frame that has to wait is named by the word of the one it
// waits for, so releasing is following a list.
//
//    MISSING --frame waits for it--> AWAITED --it comes--> RELEASED, and what waits
//       |                               |
//       +--> RELEASED                   +--> HELD (it waits itself), JOINING (parts of it)
#include "lib/link/rel_priv.h"

static struct rel_node *node(const struct rel *r, uint32_t i)
{
	return node_at(r->q.hold, i);
}

// ---- words ----

static uint32_t **chunk_of(const struct rel *r, uint64_t seq)
{
	return &r->rx_dir[(seq & (r->window - 1)) >> RXES_LOG2];
}

// NULL when there is no chunk and none can be made.
static uint32_t *entry(struct rel *r, uint64_t seq)
{
	uint32_t **chunk = chunk_of(r, seq);

	if (*chunk == NULL) {
		*chunk = rel_hold_chunk(r->q.hold);
		if (*chunk == NULL)
			return NULL;
		memset(*chunk, 0, REL_CHUNK_LEN);
	}
	return &(*chunk)[seq & ((1u << RXES_LOG2) - 1)];
}

static uint32_t entry_get(const struct rel *r, uint64_t seq)
{
	uint32_t *chunk = *chunk_of(r, seq);

	return chunk == NULL ? RXE_MISSING : chunk[seq & ((1u << RXES_LOG2) - 1)];
}

static void set_released(struct rel *r, uint64_t seq)
{
	*entry(r, seq) = RXE_RELEASED; // there is a chunk: it was held, awaited or just made
	if (seq >= r->rx_end)
		r->rx_end = seq + 1;
}

void rel_order_release_chunks(struct rel *r)
{
	uint32_t n = r->window >> RXES_LOG2;

	for (uint32_t i = 0; i < (n == 0 ? 1 : n); i++) {
		if (r->rx_dir[i] != NULL)
			rel_hold_chunk_put(r->q.hold, r->rx_dir[i]);
		r->rx_dir[i] = NULL;
	}
}

void rel_order_trim(struct rel *r)
{
	uint32_t n = r->window >> RXES_LOG2;
	uint32_t **chunk = chunk_of(r, r->rx_next - 1);
	uint64_t chunks = (r->rx_end >> RXES_LOG2) - ((r->rx_next - 1) >> RXES_LOG2);

	if (*chunk == NULL || (r->rx_end > r->rx_next && chunks >= (n == 0 ? 1 : n)))
		return; // none, or the other end of the window lies there
	rel_hold_chunk_put(r->q.hold, *chunk);
	*chunk = NULL;
}

// All that was received in a row from the lowest missing one on.
static void advance(struct rel *r)
{
	while (r->rx_next < r->rx_end && entry_get(r, r->rx_next) == RXE_RELEASED) {
		*entry(r, r->rx_next) = RXE_MISSING;
		r->rx_next++;
		if (unlikely((r->rx_next & ((1u << RXES_LOG2) - 1)) == 0))
			rel_order_trim(r);
	}
}

// ---- routes of which something is held ----

static uint32_t *id_bucket(struct rel *r, uint32_t id)
{
	uint64_t x = (id ^ r->q.key) * 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 29) * (r->q.key | 1);
	return &r->id_bucket[x >> 56];
}

static uint32_t find_id(struct rel *r, uint32_t id)
{
	uint32_t i = *id_bucket(r, id);

	while (i != 0 && r->q.hold->routes[i - 1].id != id)
		i = r->q.hold->routes[i - 1].hash_next;
	return i - 1;
}

static uint32_t get_id(struct rel *r, uint32_t id)
{
	uint32_t route = find_id(r, id);
	struct route *rt;

	if (route != REL_NO_ROUTE)
		return route;
	if (r->rx_ids >= r->q.hold->spare_share) {
		r->q.hold->stats.no_spares++;
		return REL_NO_ROUTE;
	}
	route = rel_hold_spare_new(r->q.hold);
	if (route == REL_NO_ROUTE)
		return route;
	r->rx_ids++;
	rt = &r->q.hold->routes[route];
	rt->rel = r;
	rt->id = id;
	rt->flags = RT_IN;
	rt->account = r->conf.account;
	rt->hash_next = *id_bucket(r, id);
	*id_bucket(r, id) = route + 1;
	return route;
}

static void put_id(struct rel *r, uint32_t route)
{
	struct route *rt = &r->q.hold->routes[route];
	uint32_t *p = id_bucket(r, rt->id);

	if (rt->nodes != 0)
		return;
	while (*p != route + 1)
		p = &r->q.hold->routes[*p - 1].hash_next;
	*p = rt->hash_next;
	r->rx_ids--;
	rel_hold_spare_free(r->q.hold, route);
}

static void track(struct rel *r, uint32_t i, uint32_t route)
{
	struct route *rt = &r->q.hold->routes[route];
	struct rel_node *n = node(r, i);

	n->route = route;
	n->prev_in = 0;
	n->next_in = rt->tail;
	if (rt->tail != 0)
		node(r, rt->tail)->prev_in = i;
	rt->tail = i;
	rt->nodes++;
	route_charge(r->q.hold, route, n->bufs);
}

// No more held out of order: still charged to the account, but to no route.
static void untrack(struct rel *r, uint32_t i)
{
	struct rel_node *n = node(r, i);
	struct route *rt = &r->q.hold->routes[n->route];

	if (n->prev_in != 0)
		node(r, n->prev_in)->next_in = n->next_in;
	else
		rt->tail = n->next_in;
	if (n->next_in != 0)
		node(r, n->next_in)->prev_in = n->prev_in;
	rt->nodes--;
	route_charge(r->q.hold, n->route, -(int32_t)n->bufs);
	rel_hold_account_add(r->q.hold, r->conf.account, n->bufs);
	put_id(r, n->route);
	n->route = REL_NO_ROUTE;
}

// ---- releasing ----

static void to_ready(struct rel *r, uint32_t i)
{
	node(r, i)->next_in = 0;
	if (r->ready_head == 0)
		r->ready_head = i;
	else
		node(r, r->ready_tail)->next_in = i;
	r->ready_tail = i;
}

// Frees the packet of a node that is charged to the account alone.
void rel_join_free(struct rel *r, uint32_t i)
{
	while (i != 0) {
		struct rel_node *n = node(r, i);
		uint32_t next = n->next;

		if (n->handle != NULL)
			handle_free(r->q.hold, n->handle);
		rel_hold_account_add(r->q.hold, r->conf.account, -(int32_t)n->bufs);
		node_free(r->q.hold, i);
		i = next;
	}
}

// The node may go, and whatever waits for it, in turn.
static void release(struct rel *r, uint32_t i, uint64_t now_ns)
{
	while (i != 0) {
		struct rel_node *n = node(r, i);
		uint32_t wait = n->wait;
		uint64_t seq = seq_near(r->rx_next, n->seq);

		set_released(r, seq);
		if (n->kind == RAIL_SEQ) {
			r->stats.rx_packets++;
			untrack(r, i);
			to_ready(r, i);
		} else {
			const struct rel_node ctl = *n;

			r->rx_ctl_held--;
			r->q.hold->n_ctl--;
			node_free(r->q.hold, i); // before: an event may need it
			rel_ctl_released(r, ctl.kind, ctl.pkt_off, ctl.arg, now_ns);
		}
		i = wait;
	}
}

// What came behind an EMPTY would find its route open until the caller has taken the event.
static bool is_held_up(struct rel *r)
{
	r->held_up = r->held_up && r->q.hold->ev_taken < r->empty_ev;
	return r->held_up;
}

void rel_order_drain(struct rel *r, struct rel_out *out)
{
	if (unlikely(is_held_up(r)))
		return;
	while (r->ready_head != 0) {
		uint32_t i = r->ready_head;
		struct rel_node *n = node(r, i);

		if (out->cap - out->n < n->n)
			return;
		r->ready_head = n->next_in;
		while (i != 0) {
			uint32_t next;

			n = node(r, i);
			next = n->next;
			out->item[out->n++] = (struct rel_item){.handle = n->handle,
				.off = n->off,
				.len = n->len,
				.more = next != 0};
			rel_hold_account_add(r->q.hold, r->conf.account, -(int32_t)n->bufs);
			node_free(r->q.hold, i);
			i = next;
		}
	}
}

// ---- a frame ----

static bool is_in_window(const struct rel *r, uint64_t seq)
{
	return seq >= REL_SEQ_FIRST && seq < r->rx_next + r->window;
}

static bool is_seen(uint32_t e)
{
	return (e & RXE_KIND) == RXE_RELEASED || (e & RXE_KIND) == RXE_HELD;
}

static bool is_releasable(const struct rel *r, uint64_t seq, uint32_t dist)
{
	return dist == 0 || seq - dist < r->rx_next || entry_get(r, seq - dist) == RXE_RELEASED;
}

// What waits for a sequence, of which the word is e.
static uint32_t waits_for(const struct rel *r, uint32_t e)
{
	switch (e & RXE_KIND) {
	case RXE_AWAITED:
		return e & RXE_NODE;
	case RXE_HELD:
	case RXE_JOINING:
		return node(r, e & RXE_NODE)->wait;
	default:
		return 0;
	}
}

// Makes node i (0: nobody) the one that waits for seq.
static bool set_waiting(struct rel *r, uint64_t seq, uint32_t i)
{
	uint32_t *e = entry(r, seq);

	if (e == NULL)
		return false;
	if ((*e & RXE_KIND) == RXE_HELD || (*e & RXE_KIND) == RXE_JOINING)
		node(r, *e & RXE_NODE)->wait = i;
	else
		*e = i == 0 ? RXE_MISSING : (uint32_t)RXE_AWAITED | i;
	return true;
}

// A whole packet or control frame that waits for the one before it.
static bool hold_back(struct rel *r, uint64_t seq, uint32_t dist, uint32_t i)
{
	struct rel_node *n = node(r, i);
	uint32_t *e = entry(r, seq);

	if (!set_waiting(r, seq - dist, i))
		return false;
	n->wait = waits_for(r, *e);
	n->seq = (uint32_t)seq;
	n->total = dist;
	*e = (uint32_t)RXE_HELD | i;
	if (seq >= r->rx_end)
		r->rx_end = seq + 1;
	r->stats.rx_held++;
	return true;
}

// A node of a whole packet, or of what a control frame says; 0: no place.
static uint32_t node_make(struct rel *r, struct rel_got *g, bool may_go)
{
	bool packet = g->f->type == RAIL_SEQ;
	uint32_t i = rel_hold_node_new(r->q.hold, REL_NODES_SPARE / (packet && !may_go ? 1 : 2));
	struct rel_node *n;

	if (i == 0)
		return 0;
	n = node(r, i);
	n->kind = g->f->type;
	n->handle = NULL;
	n->len = g->f->len;
	n->next = 0;
	n->n = 1;
	n->bufs = 0;
	n->wait = 0;
	n->seq = (uint32_t)g->seq;
	n->route = REL_NO_ROUTE;
	n->pkt_off = g->f->route_id;
	n->arg = g->f->type == RAIL_GONE ? g->f->code : g->f->limit_s;
	if (!packet)
		return i;
	n->handle = rel_rx_take(r, g, g->f->data, g->f->len, &n->off);
	if (n->handle == NULL) {
		node_free(r->q.hold, i);
		return 0;
	}
	n->bufs = 1;
	rel_hold_account_add(r->q.hold, r->conf.account, 1);
	return i;
}

// A packet in node i, whole, goes on or waits. It is charged to the account.
static enum rel_place place_packet(
	struct rel *r, struct rel_got *g, uint32_t i, uint32_t wait, bool may_go)
{
	struct rel_node *n = node(r, i);
	uint32_t route;

	if (may_go) {
		set_released(r, g->seq);
		r->stats.rx_packets++;
		to_ready(r, i);
		release(r, wait, g->now_ns);
		return PLACE_OK;
	}
	route = get_id(r, g->f->type == RAIL_SEQ ? route_hdr_id(g->f->data) : n->pkt_off);
	if (route == REL_NO_ROUTE || (r->q.hold->routes[route].flags & RT_DOOMED))
		return PLACE_NONE;
	rel_hold_account_add(r->q.hold, r->conf.account, -(int32_t)n->bufs);
	track(r, i, route);
	if (hold_back(r, g->seq, g->f->distance, i))
		return PLACE_OK;
	untrack(r, i);
	return PLACE_NONE;
}

static enum rel_place add_ctl(struct rel *r, struct rel_got *g, uint32_t wait, bool may_go)
{
	uint16_t arg = g->f->type == RAIL_GONE ? g->f->code : g->f->limit_s;
	struct rel_hold *h = r->q.hold;
	uint32_t i;

	if (may_go) {
		if (!rel_ctl_released(r, g->f->type, g->f->route_id, arg, g->now_ns))
			return PLACE_NONE;
		set_released(r, g->seq);
		release(r, wait, g->now_ns);
		return PLACE_OK;
	}
	// they are no buffers that an account could pay for
	if (r->rx_ctl_held >= h->ctl_share || h->n_ctl >= h->ctl_max) {
		h->stats.no_nodes++;
		return PLACE_NONE;
	}
	i = node_make(r, g, false);
	if (i == 0)
		return PLACE_NONE;
	if (!hold_back(r, g->seq, g->f->distance, i)) {
		node_free(h, i);
		return PLACE_NONE;
	}
	r->rx_ctl_held++;
	h->n_ctl++;
	return PLACE_OK;
}

static enum rel_place add_packet(
	struct rel *r, struct rel_got *g, uint32_t e, uint32_t wait, bool may_go)
{
	enum rel_place place;
	uint32_t i;

	if (!may_go && !rel_rx_may_hold(r, g->seq))
		return PLACE_NONE;
	i = node_make(r, g, may_go);
	if (i == 0)
		return PLACE_NONE;
	place = place_packet(r, g, i, wait, may_go);
	if (place != PLACE_OK) {
		if (g->taken)
			node(r, i)->handle = NULL; // freed with its datagram
		g->taken = false;
		rel_join_free(r, i);
	} else if ((e & RXE_KIND) == RXE_JOINING) {
		r->rx_join_bufs -= node(r, e & RXE_NODE)->n;
		rel_join_free(r, e & RXE_NODE); // the parts that came before the whole
	}
	return place;
}

static enum rel_place add_part(
	struct rel *r, struct rel_got *g, uint32_t *e, uint32_t wait, bool may_go)
{
	uint32_t whole = 0, parts;
	enum rel_place place = rel_join_add(r, g, e, &whole);

	if (place != PLACE_OK || whole == 0)
		return place;
	parts = node(r, whole)->n;
	node(r, whole)->pkt_off = node(r, whole)->next_in; // the id
	place = place_packet(r, g, whole, wait, may_go);
	if (place != PLACE_OK) {
		node(r, whole)->next_in = node(r, whole)->pkt_off;
		node(r, whole)->pkt_off = 0;
		return place;
	}
	r->rx_join_bufs -= parts;
	r->stats.rx_joined++;
	return place;
}

enum rel_place rel_order_add(struct rel *r, struct rel_got *g)
{
	uint64_t seq = g->seq;
	uint32_t dist = g->f->distance, wait;
	enum rel_place place;
	uint32_t *e;
	bool may_go;

	if (!is_in_window(r, seq) || seq - dist < REL_SEQ_FIRST)
		return PLACE_UNLAWFUL;
	if (seq < r->rx_next || is_seen(entry_get(r, seq))) {
		r->stats.rx_dup++;
		return PLACE_OK;
	}
	e = entry(r, seq);
	if (e == NULL)
		return PLACE_NONE;
	wait = waits_for(r, *e);
	may_go = is_releasable(r, seq, dist);
	// each frame is the previous one of one other at most
	if (!may_go) {
		uint32_t other = waits_for(r, entry_get(r, seq - dist));

		if (other != 0 && node(r, other)->seq != (uint32_t)seq)
			return PLACE_UNLAWFUL;
	}
	if (g->f->type == RAIL_SEQ)
		place = add_packet(r, g, *e, wait, may_go);
	else if (g->f->type == RAIL_PART)
		place = add_part(r, g, e, wait, may_go);
	else if ((*e & RXE_KIND) == RXE_JOINING) // a sequence is one frame for ever
		place = PLACE_UNLAWFUL;
	else
		place = add_ctl(r, g, wait, may_go);
	advance(r);
	return place;
}

// ---- ends ----

// A held packet is freed; its sequence counts as released, and so goes what waits for it.
static void drop_held(struct rel *r, uint32_t i, uint64_t now_ns)
{
	struct rel_node *n = node(r, i);
	uint64_t seq = seq_near(r->rx_next, n->seq);
	uint64_t before = seq - n->total;
	uint32_t wait = n->wait;

	set_waiting(r, before, 0);
	set_released(r, seq);
	untrack(r, i);
	r->stats.rx_freed++;
	rel_join_free(r, i);
	release(r, wait, now_ns);
}

void rel_order_drop_id(struct rel *r, uint32_t route_id, uint64_t now_ns)
{
	uint32_t route, i, other;

	// Up to the last of a chain, then down again: what waits for a dropped one is dropped
	// before.
	while ((route = find_id(r, route_id)) != REL_NO_ROUTE) {
		i = r->q.hold->routes[route].tail;
		while ((other = node(r, i)->wait) != 0 && node(r, other)->route == route)
			i = other;
		for (; i != 0; i = other) {
			uint64_t seq = seq_near(r->rx_next, node(r, i)->seq);
			uint32_t e = entry_get(r, seq - node(r, i)->total);

			other = (e & RXE_KIND) == RXE_HELD ? e & RXE_NODE : 0;
			if (other != 0 && node(r, other)->route != route)
				other = 0;
			drop_held(r, i, now_ns);
		}
	}
	advance(r);
}

enum rel_place rel_order_empty(struct rel *r, struct rel_got *g)
{
	struct rel_event ev = {.kind = REL_EV_EMPTY,
		.reason = g->f->code,
		.route = REL_NO_ROUTE,
		.route_id = g->f->route_id,
		.link = r->conf.link};
	uint32_t *e, was, wait;

	if (!is_in_window(r, g->seq))
		return PLACE_UNLAWFUL;
	e = g->seq < r->rx_next ? NULL : entry(r, g->seq);
	if ((g->seq >= r->rx_next && e == NULL) || !rel_hold_tell(r->q.hold, &ev))
		return PLACE_NONE;
	rel_order_drain(r, g->out); // what came before the hole
	r->held_up = true;
	r->empty_ev = r->q.hold->ev_told;
	rel_order_drop_id(r, g->f->route_id, g->now_ns);
	if (g->seq < r->rx_next)
		return PLACE_OK;
	was = *e;
	wait = waits_for(r, was);
	switch (was & RXE_KIND) {
	case RXE_RELEASED:
		return PLACE_OK;
	case RXE_HELD: // of another route, or a control frame: the peer says so
		return PLACE_OK;
	case RXE_JOINING:
		r->rx_join_bufs -= node(r, was & RXE_NODE)->n;
		rel_join_free(r, was & RXE_NODE);
		break;
	default:
		break;
	}
	set_released(r, g->seq);
	release(r, wait, g->now_ns);
	advance(r);
	return PLACE_OK;
}

void rel_order_free_all(struct rel *r)
{
	uint32_t next;

	for (; r->ready_head != 0; r->ready_head = next) {
		next = node(r, r->ready_head)->next_in;
		rel_join_free(r, r->ready_head);
	}
	for (uint64_t seq = r->rx_next; seq < r->rx_end; seq++) {
		uint32_t e = entry_get(r, seq), i = e & RXE_NODE;

		if ((e & RXE_KIND) == RXE_HELD) {
			if (node(r, i)->kind == RAIL_SEQ)
				untrack(r, i);
			rel_join_free(r, i);
		} else if ((e & RXE_KIND) == RXE_JOINING) {
			rel_join_free(r, i);
		}
	}
	rel_order_release_chunks(r);
	r->q.hold->n_ctl -= r->rx_ctl_held;
	r->rx_ctl_held = 0;
	r->rx_join_bufs = 0;
}
