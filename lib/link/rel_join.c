// Joining of PART frames in reliable mode (rail 3): pieces of a packet in the order of their
// offsets, without overlap; bytes that came first stay. Nothing is dropped: what has no place is
// not committed and comes again. lib/link/part.c does the same for datagram mode, where packets
// have no sequence and give way.
#include "lib/link/rel_priv.h"

enum { BOUND_MIN = 256, BOUND_SHARE_LOG2 = 3, ID_OFF = 1, ID_END = 5 };

static struct rel_node *node(const struct rel *r, uint32_t i)
{
	return node_at(r->q.hold, i);
}

// Per hop, beyond the lowest missing sequence.
static bool is_full(const struct rel *r, uint64_t seq)
{
	uint32_t bound = r->q.hold->conf.max_bufs >> BOUND_SHARE_LOG2;

	return seq != r->rx_next && r->rx_join_bufs >= (bound < BOUND_MIN ? BOUND_MIN : bound);
}

static uint32_t end_of(const struct rel_node *n)
{
	return n->pkt_off + n->len;
}

// Whether [pos, end) is there, as far as the pieces from i on say.
static bool is_covered(const struct rel *r, uint32_t i, uint32_t pos, uint32_t end)
{
	while (pos < end && i != 0 && node(r, i)->pkt_off <= pos) {
		pos = end_of(node(r, i));
		i = node(r, i)->next;
	}
	return pos >= end;
}

// What the head knows about the whole packet: bytes there are (prev_in), their route id (next_in).
static void become_head(struct rel *r, struct rel_got *g, uint32_t i, uint32_t old)
{
	struct rel_node *n = node(r, i);
	const struct rel_node *o = node(r, old);

	n->next = old;
	n->total = g->f->total;
	n->seq = (uint32_t)g->seq;
	n->wait = old == 0 ? 0 : o->wait;
	n->n = old == 0 ? 0 : o->n;
	n->prev_in = old == 0 ? 0 : o->prev_in;
	n->next_in = old == 0 ? 0 : o->next_in;
}

// The bytes of the route id among new ones.
static void note_id(struct rel_node *head, const uint8_t *data, uint32_t pos, uint32_t end)
{
	for (uint32_t at = pos > ID_OFF ? pos : ID_OFF; at < end && at < ID_END; at++)
		head->next_in |= (uint32_t)data[at - pos] << (8 * (ID_END - 1 - at));
}

// New bytes [pos, end) behind piece `prev` (0: they are the first).
static uint32_t add_piece(struct rel *r, struct rel_got *g, uint32_t *rxe, uint32_t prev,
	uint32_t pos, uint32_t end, bool last)
{
	uint32_t head = (*rxe & RXE_KIND) == RXE_JOINING ? *rxe & RXE_NODE : 0;
	const uint8_t *data = g->f->data + (pos - g->f->offset);
	bool was_last = g->last;
	struct rel_node *n;
	uint32_t i;

	if (head != 0 && node(r, head)->n >= REL_SEGS_MAX)
		return 0;
	i = rel_hold_node_new(r->q.hold, REL_NODES_SPARE);
	if (i == 0)
		return 0;
	n = node(r, i);
	g->last = was_last && last;
	n->handle = rel_rx_take(r, g, data, end - pos, &n->off);
	g->last = was_last;
	if (n->handle == NULL) {
		node_free(r->q.hold, i);
		return 0;
	}
	n->kind = RAIL_SEQ;
	n->len = end - pos;
	n->pkt_off = pos;
	n->bufs = 1;
	rel_hold_account_add(r->q.hold, r->conf.account, 1);
	if (prev == 0) {
		uint32_t wait = head == 0 && (*rxe & RXE_KIND) == RXE_AWAITED ? *rxe & RXE_NODE : 0;

		become_head(r, g, i, head);
		n->wait |= wait;
		*rxe = (uint32_t)RXE_JOINING | i;
		if (g->seq >= r->rx_end)
			r->rx_end = g->seq + 1;
		head = i;
	} else {
		n->next = node(r, prev)->next;
		node(r, prev)->next = i;
	}
	node(r, head)->n++;
	node(r, head)->prev_in += n->len;
	note_id(node(r, head), data, pos, end);
	r->rx_join_bufs++;
	return i;
}

enum rel_place rel_join_add(struct rel *r, struct rel_got *g, uint32_t *rxe, uint32_t *whole)
{
	uint32_t pos = g->f->offset, end = pos + g->f->len;
	uint32_t i = (*rxe & RXE_KIND) == RXE_JOINING ? *rxe & RXE_NODE : 0, prev = 0;

	if (i != 0 && node(r, i)->total != g->f->total)
		return PLACE_UNLAWFUL;
	if (is_full(r, g->seq) || !rel_rx_may_hold(r, g->seq))
		return PLACE_NONE;
	while (pos < end) {
		uint32_t till = end;

		while (i != 0 && node(r, i)->pkt_off <= pos) {
			if (end_of(node(r, i)) > pos)
				pos = end_of(node(r, i));
			prev = i;
			i = node(r, i)->next;
		}
		if (pos >= end)
			break;
		if (i != 0 && node(r, i)->pkt_off < till)
			till = node(r, i)->pkt_off;
		prev = add_piece(r, g, rxe, prev, pos, till, is_covered(r, i, till, end));
		if (prev == 0)
			return PLACE_NONE;
		pos = till;
	}
	i = *rxe & RXE_NODE;
	if (node(r, i)->prev_in == g->f->total)
		*whole = i;
	return PLACE_OK;
}
