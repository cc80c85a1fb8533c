// The end of what was sent (rail 4): kept packets go when all before them went, and so do the
// records of counters; EMPTY takes the place of what a route that ended had unacked.
#include "lib/link/rel_priv.h"

// The chunk of what lies just below `tail` is behind, unless the other end came around to it.
static bool is_behind(uint64_t tail, uint64_t head, unsigned log2, uint32_t window)
{
	uint32_t slots = window >> log2 == 0 ? 1 : window >> log2;

	if ((tail & ((1u << log2) - 1)) != 0)
		return false;
	return head == tail || ((head - 1) >> log2) - ((tail - 1) >> log2) < slots;
}

static void chunk_drop(struct rel *r, void *dir, uint32_t slot)
{
	void **p = (void **)dir + slot;

	if (*p != NULL)
		rel_hold_chunk_put(r->q.hold, *p);
	*p = NULL;
}

// una, or rec_tail, moved on: the chunk before it may have to go.
static inline void una_moved(struct rel *r)
{
	if (unlikely(is_behind(r->una, r->next_seq, KEPT_LOG2, r->window)))
		chunk_drop(
			r, r->kept_dir, (uint32_t)(((r->una - 1) & (r->window - 1)) >> KEPT_LOG2));
}

static inline void rec_tail_moved(struct rel *r)
{
	if (unlikely(is_behind(r->rec_tail, r->counter, RECS_LOG2, r->n_recs)))
		chunk_drop(r, r->rec_dir,
			(uint32_t)(((r->rec_tail - 1) & (r->n_recs - 1)) >> RECS_LOG2));
}

void rel_kept_trim(struct rel *r)
{
	while (r->una < r->next_seq && kept_at(r, r->una)->node == 0) {
		r->una++;
		una_moved(r);
	}
	while (r->rec_tail < r->flight_lo &&
		(r->n_late == 0 || r->flight_lo - r->rec_tail > r->n_recs / REL_LATE_PART)) {
		if (rec_at(r, r->rec_tail)->state == REC_LOST)
			r->n_late--;
		r->rec_tail++;
		rec_tail_moved(r);
	}
}

void rel_kept_pass(struct rel *r, uint32_t n_seqs, uint32_t n_recs)
{
	r->una += n_seqs;
	r->flight_lo += n_recs;
	r->rec_tail = r->flight_lo;
	if (n_seqs != 0)
		una_moved(r);
	if (n_recs != 0)
		rec_tail_moved(r);
}

// Nothing is in flight and nothing kept: an idle link needs no chunks.
void rel_kept_release_chunks(struct rel *r)
{
	uint32_t n = r->window;

	r->rec_tail = r->counter;
	r->flight_lo = r->counter;
	r->n_late = 0;
	for (uint32_t i = 0; i < (n >> KEPT_LOG2 == 0 ? 1 : n >> KEPT_LOG2); i++)
		chunk_drop(r, r->kept_dir, i);
	for (uint32_t i = 0; i < r->n_recs >> RECS_LOG2; i++)
		chunk_drop(r, r->rec_dir, i);
}

// Frees what a kept sequence stands for; its node stays.
static void kept_free(struct rel *r, struct rel_node *n)
{
	if (n->map != NULL)
		rel_hold_map_free(r->q.hold, n->map);
	n->map = NULL;
	if (n->handle == NULL)
		return;
	handle_free(r->q.hold, n->handle);
	n->handle = NULL;
	r->stats.tx_freed++;
	packets_freed(r->q.hold, n->route, 1);
	r->q.hold->routes[n->route].kept -= n->len;
	route_charge(r->q.hold, n->route, -(int32_t)n->bufs);
	n->len = 0;
	n->bufs = 0;
}

void rel_kept_empty(struct rel *r, uint32_t route, uint8_t reason)
{
	struct route *rt = &r->q.hold->routes[route];
	uint64_t seq = rt->last_seq;

	while (seq >= r->una) {
		struct kept *k = kept_at(r, seq);
		struct rel_node *n = node_at(r->q.hold, k->node);

		if (k->node != 0 && n->kind == RAIL_SEQ) {
			kept_free(r, n);
			n->kind = RAIL_EMPTY;
			n->len = 1; // so that `kept` says when all are acked
			rt->kept++;
			n->pkt_off = rt->id;
			n->arg = reason;
			if (k->copies != 0)
				r->n_lost++;
			k->copies = 0;
			r->stats.tx_empty++;
			if (r->lost_lo > seq)
				r->lost_lo = seq;
		}
		if (k->dist == 0)
			break;
		seq -= k->dist;
	}
}

void rel_kept_free_all(struct rel *r)
{
	for (uint64_t seq = r->una; seq < r->next_seq; seq++) {
		struct kept *k = kept_at(r, seq);
		struct rel_node *n = node_at(r->q.hold, k->node);

		if (k->node == 0)
			continue;
		if (n->route != REL_NO_ROUTE) {
			kept_free(r, n);
			r->q.hold->routes[n->route].kept -= n->len; // of an EMPTY
			r->q.hold->routes[n->route].nodes--;
		}
		node_free(r->q.hold, k->node);
	}
	r->una = r->next_seq;
	r->n_unacked = 0;
	r->n_lost = 0;
	while (r->n_raws > 0)
		handle_free(r->q.hold, r->raws[--r->n_raws].handle);
	if (r->sent_raw != NULL)
		handle_free(r->q.hold, r->sent_raw);
	r->sent_raw = NULL;
	rel_kept_release_chunks(r);
}
