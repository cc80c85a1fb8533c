// Joining route packets that came in parts (rail.md 3): lib/link/part says which bytes of which
// buffer make up a packet, here they become one chain of mbufs, without a copy of the payload but
// where one buffer is needed twice. Bounded per hop by lib/link/part and per worker by part_mbufs.

#include "dataplane/hop/hop.h"

#include "dataplane/hop/hop_priv.h"

static struct rte_mbuf *copy_piece(
	struct wctx *w, const struct rte_mbuf *from, uint32_t off, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);
	char *to = m != NULL ? rte_pktmbuf_append(m, (uint16_t)len) : NULL;

	if (to == NULL) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	memcpy(to, rte_pktmbuf_mtod_offset(from, const char *, off), len);
	return m;
}

// The piece as an mbuf of its own; NULL: no buffer (the handle is consumed when it was the last).
static struct rte_mbuf *take_piece(struct wctx *w, const struct part_seg *seg)
{
	struct rte_mbuf *m = seg->handle;

	if (!seg->last)
		return copy_piece(w, m, seg->skip, seg->take);
	m->data_off = (uint16_t)(m->data_off + seg->skip);
	m->data_len = seg->take;
	m->pkt_len = seg->take;
	return m;
}

// The header must lie in one piece: what reads and writes it does not know of chains.
struct rte_mbuf *hop_pull_up(struct wctx *w, struct rte_mbuf *m)
{
	uint32_t want = m->pkt_len < ROUTE_HDR_LEN ? m->pkt_len : ROUTE_HDR_LEN;
	struct rte_mbuf *head;
	uint8_t buf[ROUTE_HDR_LEN];
	const void *p;

	if (m->data_len >= want)
		return m;
	head = rte_pktmbuf_alloc(w->pool);
	if (head == NULL) {
		rte_pktmbuf_free(m);
		hop_no_buffer(w, true);
		return NULL;
	}
	p = rte_pktmbuf_read(m, 0, want, buf);
	memcpy(rte_pktmbuf_append(head, (uint16_t)want), p, want);
	head->pkt_len = m->pkt_len;
	// what was copied leaves the pieces; those that become empty go
	while (m != NULL && want > 0) {
		uint32_t cut = m->data_len < want ? m->data_len : want;
		struct rte_mbuf *next = m->next;

		m->data_off = (uint16_t)(m->data_off + cut);
		m->data_len = (uint16_t)(m->data_len - cut);
		want -= cut;
		if (m->data_len > 0)
			break;
		m->next = NULL;
		m->nb_segs = 1;
		rte_pktmbuf_free_seg(m);
		m = next;
	}
	head->next = m;
	head->nb_segs = 1;
	for (; m != NULL; m = m->next)
		head->nb_segs++;
	return head;
}

// The joined packet as a chain, or NULL when buffers ran out (all handles are consumed anyway).
static struct rte_mbuf *chain(struct wctx *w, const struct part_joined *j)
{
	struct rte_mbuf *head = NULL, *tail = NULL;
	bool failed = false;

	for (unsigned i = 0; i < j->n; i++) {
		struct rte_mbuf *m = take_piece(w, &j->seg[i]);

		if (m == NULL) {
			failed = true;
			continue;
		}
		if (head == NULL) {
			head = m;
		} else {
			tail->next = m;
			head->nb_segs++;
			head->pkt_len += m->data_len;
		}
		tail = m;
	}
	if (!failed)
		return head != NULL ? hop_pull_up(w, head) : NULL;
	rte_pktmbuf_free(head);
	hop_no_buffer(w, true);
	return NULL;
}

// All that a worker may hold is held. What was lost in the middle must not keep out what comes now,
// and whoever holds most must not keep out the others.
static void make_room(struct wctx *w, struct hop *h, uint32_t number)
{
	struct hop_worker *hw = hop_worker(w);
	struct hop *from = hw->most_parts;

	if (from == NULL || from->parts_held <= h->parts_held)
		from = h;
	if (part_give_way(from->parts, number))
		hop_reap_parts(w, from);
}

int hop_join(struct wctx *w, struct hop *h, const struct rail_frame *f, struct rte_mbuf **m)
{
	struct hop_worker *hw = hop_worker(w);
	struct part_joined joined;
	unsigned n_back = 0;
	int rc = PART_REFUSED;

	count(w, W_parts_rx, 1);
	if (hw->parts_held >= hw->part_mbufs)
		make_room(w, h, f->seq);
	if (hw->parts_held < hw->part_mbufs)
		rc = part_add(
			h->parts, f->seq, f->total, f->offset, f->len, *m, w->now_ns, &joined);
	if (rc == PART_HELD) {
		h->parts_held++;
		hw->parts_held++;
		if (hw->most_parts == NULL || h->parts_held > hw->most_parts->parts_held)
			hw->most_parts = h;
	}
	hop_reap_parts(w, h);
	if (rc == PART_HELD)
		return 0;
	if (rc != PART_WHOLE) {
		count(w, W_parts_dropped, 1);
		rte_pktmbuf_free(*m);
		return rc == PART_REFUSED ? 0 : -EBADMSG;
	}
	for (unsigned i = 0; i < joined.n; i++)
		n_back += joined.seg[i].last;
	h->parts_held -= n_back - 1; // the one that came now was never counted
	hw->parts_held -= n_back - 1;
	*m = chain(w, &joined);
	return *m != NULL;
}
