// Rings between workers. What a worker gives is gathered per receiver and enqueued in one go, at
// the latest at the end of its turn. Deliberately not here: what becomes of an item, which is the
// loop's.

#include "dataplane/worker/handoff.h"

#include <errno.h>
#include <rte_malloc.h>
#include <rte_ring.h>
#include <stdlib.h>
#include <string.h>

static_assert(sizeof(struct handoff_item) == 40, "an element of the hand-off rings");

enum {
	RING_LEN_MANY = 256, // with many workers each pair carries less
	MANY_WORKERS = 16,
	FOR_MSGS = 32, // places that packets of reliable hops do not take
	ROOM_ENOUGH = 512, // more is not asked for in one go
};

struct out {
	struct rte_ring *ring; // NULL: to itself
	uint32_t room; // free elements at the last look, those of the batch taken off
	uint32_t n;
	struct handoff_item batch[BURST];
};

struct handoff {
	unsigned n_workers;
	struct rte_ring **in; // by sender
	struct out out[]; // by receiver
};

struct handoff_mesh {
	unsigned n_workers;
	struct handoff *end[DPMSG_MAX_WORKERS];
	struct rte_ring *ring[]; // [from * n + to]
};

static struct rte_ring *ring_new(unsigned len)
{
	ssize_t size = rte_ring_get_memsize_elem(sizeof(struct handoff_item), len);
	struct rte_ring *r;

	if (size < 0)
		return NULL;
	// no rte_ring_create(): 64 workers need more rings than there are memzones
	r = rte_zmalloc("handoff", (size_t)size, RTE_CACHE_LINE_SIZE);
	if (r != NULL)
		rte_ring_init(r, "handoff", len, RING_F_SP_ENQ | RING_F_SC_DEQ);
	return r;
}

static struct handoff *end_new(struct handoff_mesh *mesh, unsigned id)
{
	unsigned n = mesh->n_workers;
	size_t head = sizeof(struct handoff) + n * sizeof(struct out);
	struct handoff *h = rte_zmalloc("handoff", head + n * sizeof(h->in[0]), 64);

	if (h == NULL)
		return NULL;
	h->n_workers = n;
	h->in = (struct rte_ring **)(void *)((uint8_t *)h + head);
	for (unsigned i = 0; i < n; i++) {
		h->out[i].ring = mesh->ring[id * n + i];
		h->in[i] = mesh->ring[i * n + id];
	}
	return h;
}

struct handoff_mesh *handoff_mesh_new(unsigned n_workers)
{
	unsigned len = n_workers > MANY_WORKERS ? RING_LEN_MANY : HANDOFF_RING_LEN;
	struct handoff_mesh *mesh;

	if (n_workers == 0 || n_workers > DPMSG_MAX_WORKERS) {
		errno = EINVAL;
		return NULL;
	}
	mesh = calloc(1, sizeof(*mesh) + (size_t)n_workers * n_workers * sizeof(mesh->ring[0]));
	if (mesh == NULL)
		return NULL;
	mesh->n_workers = n_workers;
	for (unsigned i = 0; i < n_workers * n_workers; i++) {
		if (i / n_workers == i % n_workers)
			continue; // nobody sends to himself
		mesh->ring[i] = ring_new(len);
		if (mesh->ring[i] == NULL)
			goto err_mesh;
	}
	for (unsigned i = 0; i < n_workers; i++) {
		mesh->end[i] = end_new(mesh, i);
		if (mesh->end[i] == NULL)
			goto err_mesh;
	}
	return mesh;
err_mesh:
	handoff_mesh_free(mesh);
	errno = ENOMEM;
	return NULL;
}

static void item_free(struct handoff_item *it)
{
	rte_pktmbuf_free(it->m);
	for (unsigned i = 0; i < it->n_more; i++)
		rte_pktmbuf_free(it->more[i]);
}

static void ring_free(struct rte_ring *r)
{
	struct handoff_item it;

	if (r == NULL)
		return;
	while (rte_ring_sc_dequeue_elem(r, &it, sizeof(it)) == 0)
		item_free(&it);
	rte_free(r);
}

void handoff_mesh_free(struct handoff_mesh *mesh)
{
	if (mesh == NULL)
		return;
	for (unsigned i = 0; i < mesh->n_workers; i++) {
		struct handoff *h = mesh->end[i];

		for (unsigned to = 0; h != NULL && to < mesh->n_workers; to++)
			for (unsigned k = 0; k < h->out[to].n; k++)
				item_free(&h->out[to].batch[k]);
		rte_free(h);
	}
	for (unsigned i = 0; i < mesh->n_workers * mesh->n_workers; i++)
		ring_free(mesh->ring[i]);
	free(mesh);
}

struct handoff *handoff_end(struct handoff_mesh *mesh, unsigned i)
{
	return i < mesh->n_workers ? mesh->end[i] : NULL;
}

static inline struct out *out_to(struct wctx *w, unsigned to)
{
	struct handoff *h = w->handoff;

	if (unlikely(to >= h->n_workers || h->out[to].ring == NULL))
		return NULL;
	return &h->out[to];
}

// Only this side fills the ring, so room seen once stays.
static inline bool has_room(struct out *o, unsigned n)
{
	if (likely(o->room >= n))
		return true;
	o->room = rte_ring_free_count(o->ring) - o->n;
	return o->room >= n;
}

static inline void out_flush(struct out *o)
{
	rte_ring_sp_enqueue_bulk_elem(o->ring, o->batch, sizeof(o->batch[0]), o->n, NULL);
	o->n = 0;
}

// The next element to fill in; room for it is certain.
static inline struct handoff_item *out_next(struct out *o)
{
	if (o->n == BURST)
		out_flush(o);
	o->room--;
	return &o->batch[o->n++];
}

void handoff_rx(struct wctx *w, unsigned to, const struct rx_dgram *d)
{
	struct out *o = out_to(w, to);
	struct handoff_item *it;

	if (o == NULL || !has_room(o, 1)) {
		drop(w, W_drop_handoff_rx, d->m);
		return;
	}
	it = out_next(o);
	*it = (struct handoff_item){
		.m = d->m, .kind = HANDOFF_RX, .src_port = d->src_port, .udp_len = d->udp_len};
	memcpy(it->src_ip, d->src_ip, sizeof(it->src_ip));
}

void handoff_raw(struct wctx *w, unsigned to, uint16_t port, struct rte_mbuf *m)
{
	struct out *o = out_to(w, to);

	if (o == NULL || !has_room(o, 1)) {
		drop(w, W_drop_handoff_raw, m);
		return;
	}
	*out_next(o) = (struct handoff_item){.m = m, .kind = HANDOFF_RAW, .port = port};
}

bool handoff_tx(struct wctx *w, unsigned to, uint32_t hop, struct rte_mbuf **m, unsigned n)
{
	struct out *o = out_to(w, to);

	if (o == NULL || !has_room(o, (n + HANDOFF_MORE) / (1 + HANDOFF_MORE)))
		return false;
	for (unsigned i = 0; i < n; i += 1 + HANDOFF_MORE) {
		struct handoff_item *it = out_next(o);
		unsigned more = RTE_MIN(n - i - 1, (unsigned)HANDOFF_MORE);

		it->m = m[i];
		it->kind = HANDOFF_TX;
		it->n_more = (uint8_t)more;
		it->port = 0;
		it->hop = hop;
		for (unsigned k = 0; k < more; k++)
			it->more[k] = m[i + 1 + k];
	}
	return true;
}

bool handoff_has_room(struct wctx *w, unsigned to, unsigned n)
{
	struct out *o = out_to(w, to);

	return o != NULL && has_room(o, n);
}

bool handoff_msg(struct wctx *w, unsigned to, const struct hop_msg *msg)
{
	struct out *o = out_to(w, to);

	if (o == NULL || !has_room(o, 1))
		return false;
	*out_next(o) = (struct handoff_item){.kind = HANDOFF_MSG, .msg = *msg};
	return true;
}

unsigned handoff_room(struct wctx *w)
{
	struct handoff *h = w->handoff;
	unsigned least = UINT32_MAX;

	for (unsigned i = 0; i < h->n_workers; i++) {
		struct out *o = &h->out[i];

		if (o->ring == NULL)
			continue;
		if (!has_room(o, ROOM_ENOUGH))
			least = RTE_MIN(least, o->room);
		else
			least = RTE_MIN(least, (unsigned)ROOM_ENOUGH);
	}
	return least > FOR_MSGS ? least - FOR_MSGS : 0;
}

unsigned handoff_given(const struct wctx *w, unsigned to)
{
	const struct out *o = &w->handoff->out[to];

	return o->ring == NULL ? 0 : (rte_ring_count(o->ring) + o->n) * (1 + HANDOFF_MORE);
}

void handoff_flush(struct wctx *w)
{
	struct handoff *h = w->handoff;

	for (unsigned i = 0; i < h->n_workers; i++)
		if (h->out[i].n != 0)
			out_flush(&h->out[i]);
}

unsigned handoff_take(struct wctx *w, unsigned from, struct handoff_item *items, unsigned max)
{
	struct rte_ring *r = w->handoff->in[from];

	if (r == NULL)
		return 0;
	return rte_ring_sc_dequeue_burst_elem(r, items, sizeof(items[0]), max, NULL);
}

uint32_t handoff_held(const struct wctx *w)
{
	const struct handoff *h = w->handoff;
	uint32_t held = 0;

	for (unsigned i = 0; i < h->n_workers; i++)
		if (h->in[i] != NULL)
			held += rte_ring_count(h->in[i]);
	return held;
}
