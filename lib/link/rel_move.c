// A link changes the hold, with all that it keeps, waits for and holds out of order: its routes
// stay where they are, nodes, maps, chunks and spare routes are copied to places of the new hold.
// Everything is counted and taken there first, so that a move happens or does not. Walks are the
// same for counting and copying; each node lies in one structure, and only the links that mean
// something there are followed.
#include "lib/link/rel_priv.h"

enum { LINK_NEXT = 1, LINK_PREV_IN = 2, LINK_NEXT_IN = 4, LINK_WAIT = 8, LINK_MAP = 16 };
enum { MOVED = 0xff }; // kind of a node whose handle is the number of its copy

struct move {
	struct rel_hold *from, *to;
	bool copy; // else count
	uint32_t n_nodes, n_maps, n_chunks, n_spares, bufs;
	uint32_t nodes; // taken, linked by next
	struct rel_map *maps;
	void *chunks; // linked by their first word
	uint32_t spares; // index + 1, linked by next
	uint32_t old; // nodes that are behind, linked by len
};

// ---- what is taken beforehand ----

static void *chunk_pop(struct move *mv)
{
	void *chunk = mv->chunks;

	memcpy(&mv->chunks, chunk, sizeof(mv->chunks));
	return chunk;
}

static void give_back(struct move *mv)
{
	while (mv->nodes != 0) {
		uint32_t i = mv->nodes;

		mv->nodes = node_at(mv->to, i)->next;
		node_free(mv->to, i);
	}
	while (mv->maps != NULL) {
		struct rel_map *m = mv->maps;

		mv->maps = m->next_free;
		rel_hold_map_free(mv->to, m);
	}
	while (mv->chunks != NULL)
		rel_hold_chunk_put(mv->to, chunk_pop(mv));
	while (mv->spares != 0) {
		uint32_t i = mv->spares - 1;

		mv->spares = mv->to->routes[i].next;
		rel_hold_spare_free(mv->to, i);
	}
}

static bool take_node(struct move *mv)
{
	uint32_t i = rel_hold_node_new(mv->to, REL_NODES_SPARE);

	if (i == 0)
		return false;
	node_at(mv->to, i)->next = mv->nodes;
	mv->nodes = i;
	return true;
}

static bool take_map(struct move *mv)
{
	struct rel_map *m = rel_hold_map_new(mv->to);

	if (m == NULL)
		return false;
	m->next_free = mv->maps;
	mv->maps = m;
	return true;
}

static bool take_chunk(struct move *mv)
{
	void *chunk = rel_hold_chunk(mv->to);

	if (chunk == NULL)
		return false;
	memcpy(chunk, &mv->chunks, sizeof(mv->chunks));
	mv->chunks = chunk;
	return true;
}

static bool take_spare(struct move *mv)
{
	uint32_t i = rel_hold_spare_new(mv->to);

	if (i == REL_NO_ROUTE)
		return false;
	mv->to->routes[i].next = mv->spares;
	mv->spares = i + 1;
	return true;
}

// 0, or -ENOSPC: nothing is taken.
static int take_all(struct move *mv)
{
	bool ok = mv->to->bufs + mv->bufs <= mv->to->conf.max_bufs;

	for (uint32_t i = 0; ok && i < mv->n_nodes; i++)
		ok = take_node(mv);
	for (uint32_t i = 0; ok && i < mv->n_maps; i++)
		ok = take_map(mv);
	for (uint32_t i = 0; ok && i < mv->n_chunks; i++)
		ok = take_chunk(mv);
	for (uint32_t i = 0; ok && i < mv->n_spares; i++)
		ok = take_spare(mv);
	if (ok)
		return 0;
	give_back(mv);
	return -ENOSPC;
}

// ---- nodes ----

// The copy of a node; made when it is asked for first.
static uint32_t copy_of(struct move *mv, uint32_t i)
{
	struct rel_node *old, *copy;
	uint32_t k;

	if (i == 0)
		return 0;
	old = node_at(mv->from, i);
	if (old->kind == MOVED)
		return (uint32_t)(uintptr_t)old->handle;
	k = mv->nodes;
	copy = node_at(mv->to, k);
	mv->nodes = copy->next;
	*copy = *old;
	copy->ahead = 0; // a node of the old hold
	old->kind = MOVED;
	old->handle = (void *)(uintptr_t)k;
	old->len = mv->old;
	mv->old = i;
	return k;
}

static struct rel_map *map_copy(struct move *mv, struct rel_map *old)
{
	struct rel_map *m = mv->maps;

	if (old == NULL)
		return NULL;
	mv->maps = m->next_free;
	*m = *old;
	rel_hold_map_free(mv->from, old);
	return m;
}

static void visit(struct move *mv, uint32_t i, unsigned links)
{
	const struct rel_node *old = node_at(mv->from, i);
	struct rel_node *copy;

	if (!mv->copy) {
		mv->n_nodes++;
		mv->n_maps += (links & LINK_MAP) && old->map != NULL;
		return;
	}
	copy = node_at(mv->to, copy_of(mv, i));
	if (links & LINK_NEXT)
		copy->next = copy_of(mv, old->next);
	if (links & LINK_PREV_IN)
		copy->prev_in = copy_of(mv, old->prev_in);
	if (links & LINK_NEXT_IN)
		copy->next_in = copy_of(mv, old->next_in);
	if (links & LINK_WAIT)
		copy->wait = copy_of(mv, old->wait);
	if (links & LINK_MAP)
		copy->map = map_copy(mv, copy->map);
}

// A list by next, `links` being those of its first node.
static void visit_list(struct move *mv, uint32_t i, unsigned links)
{
	for (; i != 0; links = LINK_NEXT) {
		uint32_t next = node_at(mv->from, i)->next;

		visit(mv, i, links | LINK_NEXT);
		i = next;
	}
}

static uint32_t moved(struct move *mv, uint32_t i)
{
	return mv->copy ? copy_of(mv, i) : i;
}

static uint8_t kind_of(struct move *mv, uint32_t i)
{
	const struct rel_node *old = node_at(mv->from, i);

	return old->kind != MOVED ? old->kind : node_at(mv->to, copy_of(mv, i))->kind;
}

static void free_old(struct move *mv)
{
	while (mv->old != 0) {
		uint32_t i = mv->old;

		mv->old = node_at(mv->from, i)->len;
		node_free(mv->from, i);
	}
}

static void *chunk_copy(struct move *mv, void *chunk)
{
	void *copy = chunk;

	if (chunk == NULL)
		return NULL;
	if (!mv->copy) {
		mv->n_chunks++;
		return chunk;
	}
	copy = chunk_pop(mv);
	memcpy(copy, chunk, REL_CHUNK_LEN);
	rel_hold_chunk_put(mv->from, chunk);
	return copy;
}

// ---- routes ----

static void recharge(struct move *mv, uint32_t route, uint16_t account)
{
	struct route *rt = &mv->from->routes[route];
	int32_t bufs = (int32_t)rt->bufs;

	route_charge(mv->from, route, -bufs);
	rt->account = account;
	route_charge(mv->to, route, bufs);
}

// The limit of its pause goes on where it was, on the other hold's wheel.
static void rewatch(struct move *mv, uint32_t route)
{
	struct route *rt = &mv->from->routes[route];
	int16_t left = (int16_t)(rt->deadline - mv->from->tick);

	if (rt->timer != 0)
		node_at(mv->from, rt->timer)->route = REL_NO_ROUTE;
	rt->timer = 0;
	if (!(rt->flags & RT_DEADLINE))
		return;
	rel_hold_watch(mv->to, route, 1);
	if (rt->flags & RT_DEADLINE)
		rt->deadline = (uint16_t)(mv->to->tick + (left > 0 ? left : 0));
}

// Packets that wait: a ring by next.
static void walk_waiting(struct move *mv, uint32_t route)
{
	struct route *rt = &mv->from->routes[route];
	uint32_t first, i, next;

	mv->bufs += rt->bufs;
	if (rt->tail == 0)
		return;
	first = i = node_at(mv->from, rt->tail)->next;
	do {
		next = node_at(mv->from, i)->next;
		visit(mv, i, LINK_NEXT | LINK_MAP);
		i = next;
	} while (i != first);
	rt->tail = moved(mv, rt->tail);
}

static void walk_routes(struct move *mv, struct rel_queue *q, const struct rel_mover *by)
{
	for (uint32_t b = 0; b < q->n_buckets; b++) {
		uint32_t i = q->bucket[b >> BUCKETS_LOG2][b & ((1u << BUCKETS_LOG2) - 1)];

		for (; i != 0; i = mv->from->routes[i - 1].hash_next) {
			walk_waiting(mv, i - 1);
			if (!mv->copy)
				continue;
			rewatch(mv, i - 1);
			recharge(mv, i - 1, by->route(by->ctx, i - 1));
		}
	}
}

static void walk_urgent(struct move *mv, struct rel_queue *q)
{
	visit_list(mv, q->urgent_head, 0); // never sent, so never cut
	q->urgent_head = moved(mv, q->urgent_head);
	if (q->urgent_head != 0)
		q->urgent_tail = moved(mv, q->urgent_tail);
}

static void walk_buckets(struct move *mv, struct rel_queue *q)
{
	for (unsigned i = 0; i < REL_HASH_DIR && q->bucket[i] != NULL; i++)
		q->bucket[i] = chunk_copy(mv, q->bucket[i]);
}

// ---- the way out ----

static void walk_kept(struct move *mv, struct rel *r)
{
	uint32_t slots = r->window >> KEPT_LOG2;

	for (uint64_t seq = r->una; seq < r->next_seq; seq++) {
		struct kept *k = kept_at(r, seq);

		if (k->node == 0)
			continue;
		visit(mv, k->node, LINK_MAP);
		k->node = moved(mv, k->node);
	}
	for (uint32_t i = 0; i < (slots == 0 ? 1 : slots); i++)
		r->kept_dir[i] = chunk_copy(mv, r->kept_dir[i]);
	for (uint32_t i = 0; i < r->n_recs >> RECS_LOG2; i++)
		r->rec_dir[i] = chunk_copy(mv, r->rec_dir[i]);
}

static void walk_ctl(struct move *mv, struct rel *r)
{
	for (uint32_t i = r->ctl_head; i != 0;) {
		uint32_t next = node_at(mv->from, i)->next;

		visit(mv, i, LINK_NEXT | LINK_NEXT_IN);
		i = next;
	}
	for (unsigned i = 0; i < ARRAY_LEN(r->ctl_id); i++)
		r->ctl_id[i] = moved(mv, r->ctl_id[i]);
	r->ctl_head = moved(mv, r->ctl_head);
	if (r->ctl_head != 0)
		r->ctl_tail = moved(mv, r->ctl_tail);
}

// ---- the way in ----

static uint32_t pieces_bufs(const struct move *mv, uint32_t i)
{
	uint32_t bufs = 0;

	for (; i != 0; i = node_at(mv->from, i)->next)
		bufs += node_at(mv->from, i)->bufs;
	return bufs;
}

// What is charged to the account of the link alone.
static void recharge_pieces(struct move *mv, const struct rel *r, uint32_t i, uint16_t account)
{
	uint32_t bufs = pieces_bufs(mv, i);

	mv->bufs += bufs;
	if (!mv->copy || bufs == 0)
		return;
	rel_hold_account_add(mv->from, r->conf.account, -(int32_t)bufs);
	rel_hold_account_add(mv->to, account, (int32_t)bufs);
}

static uint32_t walk_word(struct move *mv, struct rel *r, uint32_t e, uint16_t account)
{
	uint32_t i = e & RXE_NODE;

	switch (e & RXE_KIND) {
	case RXE_HELD:
		if (kind_of(mv, i) != RAIL_SEQ) {
			visit(mv, i, LINK_WAIT);
			break;
		}
		// the first piece is charged to its route
		recharge_pieces(mv, r, node_at(mv->from, i)->next, account);
		visit_list(mv, i, LINK_PREV_IN | LINK_NEXT_IN | LINK_WAIT);
		break;
	case RXE_JOINING:
		recharge_pieces(mv, r, i, account);
		visit_list(mv, i, LINK_WAIT);
		break;
	case RXE_AWAITED:
		break;
	default:
		return e;
	}
	return (e & RXE_KIND) | moved(mv, i);
}

static void walk_received(struct move *mv, struct rel *r, uint16_t account)
{
	uint32_t slots = r->window >> RXES_LOG2;

	for (uint64_t seq = r->rx_next; seq < r->rx_end; seq++) {
		uint32_t *chunk = r->rx_dir[(seq & (r->window - 1)) >> RXES_LOG2];
		uint32_t *e = chunk == NULL ? NULL : &chunk[seq & ((1u << RXES_LOG2) - 1)];

		if (e != NULL)
			*e = walk_word(mv, r, *e, account);
	}
	for (uint32_t i = 0; i < (slots == 0 ? 1 : slots); i++)
		r->rx_dir[i] = chunk_copy(mv, r->rx_dir[i]);
}

static void walk_ready(struct move *mv, struct rel *r, uint16_t account)
{
	for (uint32_t i = r->ready_head; i != 0;) {
		uint32_t next = node_at(mv->from, i)->next_in;

		recharge_pieces(mv, r, i, account);
		visit_list(mv, i, LINK_NEXT_IN);
		i = next;
	}
	r->held_up = false; // all events were taken
	r->ready_head = moved(mv, r->ready_head);
	if (r->ready_head != 0)
		r->ready_tail = moved(mv, r->ready_tail);
}

// A spare entry's copy; the entry itself is free again.
static uint32_t spare_copy(struct move *mv, uint32_t route, uint16_t account)
{
	uint32_t to = mv->spares - 1;
	struct route *old = &mv->from->routes[route], *copy = &mv->to->routes[to];
	int32_t bufs = (int32_t)old->bufs;

	mv->spares = copy->next;
	route_charge(mv->from, route, -bufs);
	*copy = *old;
	copy->account = account;
	route_charge(mv->to, to, bufs);
	for (uint32_t i = old->tail; i != 0;) {
		struct rel_node *n = node_at(mv->to, copy_of(mv, i));

		i = node_at(mv->from, i)->next_in;
		n->route = to;
	}
	copy->tail = moved(mv, old->tail);
	rel_hold_spare_free(mv->from, route);
	return to;
}

static void walk_spares(struct move *mv, struct rel *r, uint16_t account)
{
	for (unsigned b = 0; b < REL_ID_BUCKETS; b++) {
		uint32_t *at = &r->id_bucket[b], next;

		for (uint32_t i = *at; i != 0; i = next) {
			next = mv->from->routes[i - 1].hash_next;
			if (!mv->copy) {
				mv->n_spares++;
				mv->bufs += mv->from->routes[i - 1].bufs;
				continue;
			}
			*at = spare_copy(mv, i - 1, account) + 1;
			at = &mv->to->routes[*at - 1].hash_next;
		}
	}
}

// ---- all of it ----

static void walk(struct move *mv, struct rel *r, const struct rel_mover *by)
{
	walk_routes(mv, &r->q, by);
	walk_urgent(mv, &r->q);
	walk_buckets(mv, &r->q);
	walk_kept(mv, r);
	walk_ctl(mv, r);
	walk_received(mv, r, by->account);
	walk_ready(mv, r, by->account);
	walk_spares(mv, r, by->account); // held nodes have their copies
}

int rel_move(struct rel *r, struct rel_hold *to, const struct rel_mover *by)
{
	struct move mv = {.from = r->q.hold, .to = to};
	int rc;

	if (to == mv.from)
		return 0;
	rel_hold_flush(mv.from);
	if (to->n_ctl + r->rx_ctl_held > to->ctl_max)
		return -ENOSPC;
	walk(&mv, r, by);
	rc = take_all(&mv);
	if (rc < 0)
		return rc;
	mv.copy = true;
	walk(&mv, r, by);
	free_old(&mv);
	mv.from->n_ctl -= r->rx_ctl_held;
	to->n_ctl += r->rx_ctl_held;
	rel_hold_links(mv.from, -1);
	rel_hold_links(to, 1);
	r->q.hold = to;
	memset(r->q.last, 0, sizeof(r->q.last));
	r->conf.account = by->account;
	return 0;
}

// ---- one route of a sink ----

void rel_queue_each(const struct rel_queue *q, void (*fn)(void *ctx, uint32_t route), void *ctx)
{
	for (uint32_t b = 0; b < q->n_buckets; b++) {
		uint32_t i = q->bucket[b >> BUCKETS_LOG2][b & ((1u << BUCKETS_LOG2) - 1)], next;

		for (; i != 0; i = next) {
			next = q->hold->routes[i - 1].hash_next;
			fn(ctx, i - 1);
		}
	}
}

static uint32_t n_waiting(const struct rel_hold *h, uint32_t tail)
{
	uint32_t n = 0, i = tail;

	if (tail == 0)
		return 0;
	do {
		n++;
		i = node_at(h, i)->next;
	} while (i != tail);
	return n;
}

static void walk_sink(struct move *mv, struct rel_queue *from, struct rel_queue *to, uint32_t route)
{
	uint32_t *at = &from->urgent_head, last = 0;

	walk_waiting(mv, route);
	while (*at != 0) {
		uint32_t i = *at;

		if (node_at(mv->from, i)->route == route) {
			visit(mv, i, 0);
			if (mv->copy) {
				*at = node_at(mv->from, i)->next;
				rel_queue_put_urgent(to, route, copy_of(mv, i));
				continue;
			}
		}
		last = i;
		at = &node_at(mv->from, i)->next;
	}
	from->urgent_tail = last;
}

int rel_queue_move(struct rel_queue *from, struct rel_queue *to, uint32_t route, uint16_t account)
{
	struct route *rt = &from->hold->routes[route];
	struct move mv = {.from = from->hold, .to = to->hold};
	uint32_t n = n_waiting(mv.from, rt->tail);
	bool active;
	int rc;

	rel_hold_flush(mv.from);
	walk_sink(&mv, from, to, route);
	rc = take_all(&mv);
	if (rc < 0)
		return rc;
	rel_ids_del(from, route);
	rc = rel_ids_add(to, route, rt->id);
	if (rc < 0) { // no chunk for its first bucket
		give_back(&mv);
		rel_ids_add(from, route, rt->id);
		return rc;
	}
	active = rel_queue_leave_round(from, route);
	mv.copy = true;
	walk_sink(&mv, from, to, route);
	rewatch(&mv, route);
	recharge(&mv, route, account);
	free_old(&mv);
	from->n_waiting -= n;
	to->n_waiting += n;
	from->waiting -= rt->waiting;
	to->waiting += rt->waiting;
	if (active)
		rel_queue_join_round(to, route);
	return 0;
}
