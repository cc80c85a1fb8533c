// The inside of an egress queue, shared by rel*.c and nobody else: the round of routes that have
// something to send, and how a packet gets into it. Owner: the thread of the hold.
#pragma once

#include "lib/link/rel_hold_priv.h"
#include "lib/link/rel_queue.h"

struct rel_queue {
	struct rel_hold *hold;
	struct rel *rel; // NULL: a sink
	uint16_t limit_s; // of its own pauses, if it is one
	uint32_t round; // last one of the round, index + 1; its round_next is served now
	int32_t credit; // bytes that the one served may still take
	uint32_t urgent_head, urgent_tail;
	uint32_t n_waiting; // packets of all routes, and their bytes; urgent ones aside
	uint64_t waiting;
	uint32_t last[REL_AHEAD]; // nodes that were pushed last
	uint32_t last_at;
	uint32_t n_routes;
	uint32_t n_buckets; // linear hashing: grows by one per insertion, no route is moved twice
	uint32_t *bucket[REL_HASH_DIR];
	uint64_t key;
};

static inline struct route *rel_queue_route(const struct rel_queue *q, uint32_t route)
{
	return &q->hold->routes[route];
}

// The round is a ring of routes; `round` is the one before the one that is served, rt, which leaves
// it.
static inline void rel_queue_round_out(struct rel_queue *q, struct route *before, struct route *rt)
{
	rt->flags &= (uint16_t)~RT_ACTIVE;
	q->credit = 0;
	if (before == rt)
		q->round = 0;
	else
		before->round_next = rt->round_next;
}

// What is kept, sent and not yet acked, is drain rate times round trip by Little's law.
static inline uint64_t rel_queue_most_held(const struct route *rt)
{
	uint64_t most = 2 * (uint64_t)rt->kept;

	return most < REL_PAUSE_BYTES ? REL_PAUSE_BYTES : most;
}

// Does more wait than another power of two, by one packet more? (Of bytes; nothing before will do.)
static inline bool rel_queue_is_doubled(uint32_t before, uint32_t now)
{
	return class_of(before - 1) != class_of(now - 1);
}

// Do the packets that wait share datagrams? Where two of them fit into one on average; else each
// goes alone, which costs less.
static inline bool rel_queue_shares(const struct rel_queue *q, uint32_t room)
{
	uint64_t frames = q->waiting + (uint64_t)q->n_waiting * RAIL_SEQ_HDR_LEN;

	return q->n_waiting > 1 && 2 * frames <= (uint64_t)q->n_waiting * room;
}

// Last in the round.
static inline void rel_queue_join_round(struct rel_queue *q, uint32_t route)
{
	struct route *rt = rel_queue_route(q, route);

	rt->flags |= RT_ACTIVE;
	rt->debt = 0;
	if (q->round == 0) {
		rt->round_next = route + 1;
		q->credit = REL_QUANTUM;
	} else {
		rt->round_next = rel_queue_route(q, q->round - 1)->round_next;
		rel_queue_route(q, q->round - 1)->round_next = route + 1;
	}
	q->round = route + 1;
}

static inline void rel_queue_put_last(
	struct rel_queue *q, struct route *rt, uint32_t route, uint32_t i)
{
	struct rel_node *n = node_at(q->hold, i);

	if (rt->tail == 0) {
		n->next = i;
	} else {
		struct rel_node *tail = node_at(q->hold, rt->tail);

		n->next = tail->next;
		tail->next = i;
	}
	rt->tail = i;
	rt->waiting += n->len;
	q->waiting += n->len;
	q->n_waiting++;
	if (!(rt->flags & (RT_ACTIVE | RT_HELD_UP)))
		rel_queue_join_round(q, route);
}

// Hides the load of the node and of its route's entry in rel_next_run(), long after: routes that
// wait are in no cache then, and a list can't be looked ahead in.
static inline void rel_queue_note_ahead(struct rel_queue *q, uint32_t i, uint32_t route)
{
	uint32_t *last = &q->last[q->last_at++ % REL_AHEAD];
	struct rel_node *n = node_at(q->hold, *last);

	n->ahead = i;
	n->ahead_route = route;
	*last = i;
}

uint32_t rel_queue_peek(struct rel_queue *q); // node that is next
void rel_queue_pop(struct rel_queue *q, uint32_t node);
void rel_queue_acked(struct rel_queue *q, uint32_t route, uint32_t len, uint16_t bufs);
// The peer ended it, and its pause. It stays held up until the caller acts on that, too.
void rel_queue_gone(struct rel_queue *q, uint32_t route);
// rel_move.c: a node before those that wait; out of the round (it was there).
void rel_queue_put_urgent(struct rel_queue *q, uint32_t route, uint32_t node);
bool rel_queue_leave_round(struct rel_queue *q, uint32_t route);

// rel_ids.c
int rel_ids_add(struct rel_queue *q, uint32_t route, uint32_t next_id);
void rel_ids_del(struct rel_queue *q, uint32_t route);
uint32_t rel_ids_find(const struct rel_queue *q, uint32_t next_id); // or REL_NO_ROUTE
uint32_t rel_ids_any(struct rel_queue *q);
void rel_ids_free(struct rel_queue *q);
