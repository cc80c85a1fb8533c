// Records <-> mbufs. Up: the bytes of a packet are copied behind a header into the ring, chains
// joined on the way. Down: the fixed part of a record is copied out and checked, then its bytes are
// copied into fresh mbufs; the control plane may scribble on the record meanwhile, so nothing is
// read twice. A record that can't be worked off for want of buffers stays in the ring.
// Deliberately not here: verdicts on packets (forward.c, which is the sink), frames, door bells.

#include "dataplane/worker/uplink.h"

#include "dataplane/hop/hop_msg.h"
#include "dataplane/io/encap.h"
#include "lib/wire/rail.h"
#include "lib/wire/route_hdr.h"

#include <errno.h>
#include <rte_malloc.h>
#include <string.h>

enum {
	SEG_TAIL = RAIL_TAG_LEN, // left free behind a packet, for the seal
	LARGEST = ROUTE_PACKET_MAX + 256, // record of a packet, padding included
	MEND_PERIOD_NS = 1000 * 1000 * 1000, // a broken ring is looked at again so often
	STUCK_NS = 50 * 1000, // what is full now has room after that, if not sooner
};

// One pair of rings.
struct lane {
	struct ring_w up;
	struct ring_r down;
	bool up_new; // something to publish
	uint64_t mend_ns; // when a broken down ring is looked at again
	struct ring_shm *down_shm;
	size_t down_max;
	struct hop_car_wait car_wait;
};

struct uplink {
	struct lane own; // with the control plane's main thread
	struct lane cars[DPMSG_MAX_CARRIERS]; // those with its carriers that are this worker's
	const struct region *region;
	struct ring_w hs;
	bool hs_new;
	unsigned room; // of other workers, for packets of this turn
	const struct hop *car; // carried hop whose room was looked at last in this turn
	unsigned car_room; // buffers that may still be taken from it
	unsigned n_fences;
	uint64_t fence[DPMSG_MAX_WORKERS]; // by worker: its ring must be read up to there, 0: none
	const struct ring_shm *fence_shm[DPMSG_MAX_WORKERS];
	// packets from the control plane on their way to the sink, all of its own or all of one
	// carried hop
	struct hop *in; // NULL: its own
	unsigned n;
	struct rte_mbuf *pkts[BURST];
};

static int attach_w(const struct region *region, uint64_t off, struct ring_w *w)
{
	size_t max;
	struct ring_shm *shm = region_ring(region, off, &max);

	return shm == NULL ? -EPROTO : ring_w_attach(w, shm, max);
}

static int attach_lane(
	const struct region *region, uint64_t up_off, uint64_t down_off, struct lane *l)
{
	int err = attach_w(region, up_off, &l->up);

	if (err < 0)
		return err;
	l->down_shm = region_ring(region, down_off, &l->down_max);
	return l->down_shm == NULL ? -EPROTO : ring_r_attach(&l->down, l->down_shm, l->down_max);
}

struct uplink *uplink_new(const struct region *region, unsigned i)
{
	struct uplink *u = rte_zmalloc("uplink", sizeof(*u), 64);
	const struct region_hdr *h = region->hdr;
	int err;

	if (u == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	u->region = region;
	err = attach_lane(region, h->up_off[i], h->down_off[i], &u->own);
	if (err == 0)
		err = attach_w(region, h->hs_off[i], &u->hs);
	for (unsigned k = i; k < DPMSG_MAX_CARRIERS && err == 0; k += h->n_workers)
		err = attach_lane(region, h->car_up_off[k], h->car_down_off[k], &u->cars[k]);
	if (err < 0) {
		rte_free(u);
		errno = -err;
		return NULL;
	}
	return u;
}

void uplink_free(struct uplink *u)
{
	rte_free(u);
}

// Those carriers of this worker that there are.
#define EACH_CARRIER(w, k)                                                                         \
	for (unsigned k = (w)->id, n_ = region_n_carriers((w)->uplink->region->hdr); k < n_;       \
		k += (w)->n_workers)

// ---- up ----

static void chain_copy(uint8_t *to, const struct rte_mbuf *m)
{
	for (; m != NULL; m = m->next) {
		memcpy(to, rte_pktmbuf_mtod(m, const void *), m->data_len);
		to += m->data_len;
	}
}

static bool put(
	struct lane *l, enum dpmsg_type type, uint32_t id, uint32_t hop, const struct rte_mbuf *m)
{
	uint32_t len = (uint32_t)sizeof(struct msg_route) + m->pkt_len;
	struct msg_route *rec = ring_w_reserve(&l->up, len);

	if (rec == NULL)
		return false;
	*rec = (struct msg_route){.h = {.len = len, .type = (uint16_t)type}, .id = id, .hop = hop};
	chain_copy(rec->bytes, m);
	l->up_new = true;
	return true;
}

bool uplink_route(
	struct wctx *w, enum dpmsg_type type, uint32_t id, uint32_t hop, const struct rte_mbuf *m)
{
	return put(&w->uplink->own, type, id, hop, m);
}

bool uplink_handshake(struct wctx *w, const struct dpmsg_addr *src, const struct dpmsg_addr *dst,
	uint16_t port, const uint8_t *bytes, uint32_t len)
{
	struct ring_w *hs = &w->uplink->hs;
	uint32_t all = (uint32_t)sizeof(struct up_handshake) + len;
	struct up_handshake *rec;

	// the last quarter is for re-keys: no flood of first contacts starves them (rail 2)
	if (ring_w_room(hs) < hs->size / 4)
		return false;
	rec = ring_w_reserve(hs, all);
	if (rec == NULL)
		return false;
	*rec = (struct up_handshake){
		.h = {.len = all, .type = UP_HANDSHAKE}, .src = *src, .dst = *dst, .port = port};
	memcpy(rec->bytes, bytes, len);
	w->uplink->hs_new = true;
	return true;
}

bool uplink_rekey(struct wctx *w, uint32_t hop, const uint8_t *bytes, uint32_t len)
{
	uint32_t all = (uint32_t)sizeof(struct msg_rekey) + len;
	struct msg_rekey *rec = ring_w_reserve(&w->uplink->hs, all);

	if (rec == NULL)
		return false;
	*rec = (struct msg_rekey){.h = {.len = all, .type = UP_REKEY}, .hop = hop};
	memcpy(rec->bytes, bytes, len);
	w->uplink->hs_new = true;
	return true;
}

static void fence_put(struct uplink *u, unsigned worker, const struct ring_shm *shm, uint64_t fence)
{
	u->n_fences += u->fence[worker] == 0;
	u->fence[worker] = fence;
	u->fence_shm[worker] = shm;
}

void uplink_fence(struct wctx *w, const struct wctx *before)
{
	const struct uplink *b = before->uplink;
	struct uplink *u = w->uplink;

	// What `before` waits for itself was given by those who had the hop before it, if not by w.
	for (unsigned i = 0; i < w->n_workers && b->n_fences != 0; i++)
		if (b->fence[i] != 0 && i != w->id &&
			(u->fence[i] < b->fence[i] || u->fence_shm[i] != b->fence_shm[i]))
			fence_put(u, i, b->fence_shm[i], b->fence[i]);
	fence_put(u, before->id, b->own.up.shm, b->own.up.head + 1);
}

// A ring that was made anew meanwhile is behind its fence for ever: its head tells.
static bool is_behind(const struct ring_shm *shm, uint64_t fence)
{
	return atomic_load_explicit(&shm->tail, memory_order_acquire) + 1 < fence &&
	       atomic_load_explicit(&shm->head, memory_order_relaxed) + 1 >= fence;
}

bool uplink_fenced(struct wctx *w)
{
	struct uplink *u = w->uplink;

	for (unsigned i = 0; i < w->n_workers && u->n_fences != 0; i++) {
		if (u->fence[i] == 0 || is_behind(u->fence_shm[i], u->fence[i]))
			continue;
		u->fence[i] = 0;
		u->n_fences--;
	}
	return u->n_fences != 0;
}

static void lane_sink(struct wctx *w, struct lane *l, unsigned carrier)
{
	struct hop_up up;

	while (hop_up_busy(w, carrier) && ring_w_room(&l->up) >= LARGEST &&
		hop_up_pull(w, carrier, &up)) {
		bool carried = up.type == UP_CARRIED;

		if (!put(l, up.type, up.id, up.hop, up.m)) // larger than the ring
			count(w, carried ? W_drop_seal_freed : W_sink_freed, 1);
		else if (carried)
			count(w, W_seal_carried, 1);
		rte_pktmbuf_free(up.m);
	}
}

// The fence is for packets of consume rules: a carried hop never moves.
void uplink_sink(struct wctx *w)
{
	EACH_CARRIER (w, k)
		lane_sink(w, &w->uplink->cars[k], k + 1);
	if (likely(!uplink_fenced(w)))
		lane_sink(w, &w->uplink->own, 0);
}

static inline void lane_publish(struct lane *l)
{
	if (l->up_new)
		ring_w_publish(&l->up);
	l->up_new = false;
}

void uplink_publish(struct wctx *w)
{
	struct uplink *u = w->uplink;

	lane_publish(&u->own);
	EACH_CARRIER (w, k)
		lane_publish(&u->cars[k]);
	if (u->hs_new)
		ring_w_publish(&u->hs);
	u->hs_new = false;
}

// ---- down ----

static inline uint32_t seg_room(const struct rte_mbuf *m)
{
	uint32_t room = rte_pktmbuf_tailroom(m);

	return room > SEG_TAIL ? room - SEG_TAIL : 0;
}

// Copy bytes into one mbuf, or a chain when they are many: then in pieces as hop_tx likes its
// parts. NULL: no buffers.
static struct rte_mbuf *mbuf_of(struct wctx *w, const uint8_t *bytes, uint32_t len)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(w->pool);
	struct rte_mbuf *seg = head;
	uint32_t piece;

	if (head == NULL)
		return NULL;
	piece = len > seg_room(head) && w->part_chunk != 0 ? w->part_chunk : UINT32_MAX;
	for (;;) {
		uint32_t part = RTE_MIN(RTE_MIN(len, piece), seg_room(seg));

		memcpy(rte_pktmbuf_mtod(seg, uint8_t *), bytes, part);
		seg->data_len = (uint16_t)part;
		head->pkt_len += part;
		bytes += part;
		len -= part;
		if (len == 0)
			return head;
		seg->next = rte_pktmbuf_alloc(w->pool);
		seg = seg->next;
		if (seg == NULL || seg_room(seg) == 0) {
			rte_pktmbuf_free(head);
			return NULL;
		}
		head->nb_segs++;
	}
}

static void sink_flush(struct wctx *w)
{
	struct uplink *u = w->uplink;
	unsigned n = u->n;

	u->n = 0;
	if (n == 0)
		return;
	if (u->in != NULL)
		hop_car_rx(w, u->in, u->pkts, n);
	else
		w->sink(w, NULL, u->pkts, n);
}

static void gather(struct wctx *w, struct hop *in, struct rte_mbuf *m)
{
	struct uplink *u = w->uplink;

	if (u->in != in)
		sink_flush(w);
	u->in = in;
	u->pkts[u->n++] = m;
	u->room--;
	if (u->n == BURST)
		sink_flush(w);
}

// A record that is no good: it counts as a packet, so that the books balance.
static bool bad(struct wctx *w)
{
	count(w, W_pkt_down, 1);
	count(w, W_drop_down_bad, 1);
	return true;
}

// Each takes a record of len bytes in shared memory; false: no buffers or room, try again later.
// That is true of the lane only: its order is kept, and nobody else's.

static bool down_route(struct wctx *w, const void *shm, uint32_t len)
{
	struct msg_route rec;
	struct rte_mbuf *m;

	if (len < sizeof(rec) + ROUTE_HDR_LEN || len > sizeof(rec) + ROUTE_PACKET_MAX)
		return bad(w);
	memcpy(&rec, shm, sizeof(rec));
	if (rec.id == 0)
		return bad(w);
	if (unlikely(w->uplink->room == 0))
		return false; // what another worker has no room for stays where it is
	m = mbuf_of(w, (const uint8_t *)shm + sizeof(rec), len - (uint32_t)sizeof(rec));
	if (m == NULL)
		return false;
	route_hdr_put_id(rte_pktmbuf_mtod(m, uint8_t *), rec.id);
	gather(w, NULL, m);
	return true;
}

static inline bool car_has_room(struct wctx *w, struct lane *l, const struct hop *h)
{
	struct uplink *u = w->uplink;

	if (unlikely(u->car != h)) {
		sink_flush(w); // so that it is counted
		u->car = h;
		u->car_room = hop_car_room(w, h, &l->car_wait);
	}
	return u->car_room > 0;
}

static bool down_carried(struct wctx *w, struct lane *l, const void *shm, uint32_t len)
{
	struct msg_route rec;
	struct rte_mbuf *m;
	struct hop *h;
	bool soon;

	if (len < sizeof(rec) + ROUTE_HDR_LEN || len > sizeof(rec) + ROUTE_PACKET_MAX)
		return bad(w);
	memcpy(&rec, shm, sizeof(rec));
	h = hop_car_find(w, rec.hop, &soon);
	if (unlikely(soon || w->uplink->room == 0))
		return false; // the ring of the commands is not in step with ours
	if (rec.id != 0 || h == NULL)
		return bad(w);
	if (unlikely(!car_has_room(w, l, h)))
		return false;
	m = mbuf_of(w, (const uint8_t *)shm + sizeof(rec), len - (uint32_t)sizeof(rec));
	if (m == NULL)
		return false;
	if (route_hdr_id(rte_pktmbuf_mtod(m, const uint8_t *)) == 0) { // not before it was copied
		rte_pktmbuf_free(m);
		return bad(w);
	}
	w->uplink->car_room -= RTE_MIN(w->uplink->car_room, m->nb_segs);
	gather(w, h, m);
	return true;
}

static bool down_control(struct wctx *w, const void *shm, uint32_t len)
{
	struct msg_route rec;
	struct rte_mbuf *m;

	if (len < sizeof(rec) + ROUTE_HDR_LEN || len > sizeof(rec) + ROUTE_PACKET_MAX)
		return bad(w);
	memcpy(&rec, shm, sizeof(rec));
	if (rec.id != 0 || rec.hop == 0)
		return bad(w);
	m = mbuf_of(w, (const uint8_t *)shm + sizeof(rec), len - (uint32_t)sizeof(rec));
	if (m == NULL)
		return false;
	count(w, W_pkt_down, 1);
	route_hdr_put_id(rte_pktmbuf_mtod(m, uint8_t *), 0);
	if (route_hdr_packet_len(rte_pktmbuf_mtod(m, const uint8_t *)) == m->pkt_len)
		hop_give(w, rec.hop, &m, 1, false);
	else
		drop(w, W_drop_packet_malformed, m);
	return true;
}

static bool down_rekey(struct wctx *w, const void *shm, uint32_t len)
{
	uint8_t msg[RAIL_HS_MAX];
	struct msg_rekey rec;
	uint32_t msg_len = len - (uint32_t)sizeof(rec);

	if (len <= sizeof(rec) || msg_len > sizeof(msg))
		return bad(w);
	memcpy(&rec, shm, sizeof(rec));
	memcpy(msg, (const uint8_t *)shm + sizeof(rec), msg_len);
	if (hop_tx_rekey(w, rec.hop, msg, msg_len))
		return true;
	if (hop_tx_remote(w, rec.hop) < 0)
		return bad(w);
	// it has moved since; the control plane says it again when it knows
	count(w, W_rekeys_dropped, 1);
	return true;
}

static bool down_datagram(struct wctx *w, const void *shm, uint32_t len)
{
	struct down_datagram rec;
	uint32_t n = len - (uint32_t)sizeof(rec);
	struct rte_mbuf *m;

	if (len <= sizeof(rec) || n > RAIL_HS_MAX)
		return bad(w);
	memcpy(&rec, shm, sizeof(rec));
	if (rec.adj == 0 || rec.src_port == 0 || rec.dst_port == 0)
		return bad(w);
	m = mbuf_of(w, (const uint8_t *)shm + sizeof(rec), n);
	if (m == NULL)
		return false;
	if (m->nb_segs != 1) { // buffers this small carry no handshake
		rte_pktmbuf_free(m);
		return bad(w);
	}
	encap(w, rec.adj, m, rec.src_port, rec.dst_port);
	return true;
}

static bool down_record(struct wctx *w, struct lane *l, const void *shm, uint32_t len)
{
	struct dpmsg_hdr h;

	if (len < sizeof(h))
		return bad(w);
	memcpy(&h, shm, sizeof(h));
	// the order of records is kept: what is gathered goes first
	if (h.type != DOWN_ROUTE && h.type != DOWN_CARRIED)
		sink_flush(w);
	if (unlikely(l != &w->uplink->own && h.type != DOWN_CARRIED))
		return bad(w);
	switch (h.type) {
	case DOWN_ROUTE:
		return down_route(w, shm, len);
	case DOWN_CARRIED:
		return down_carried(w, l, shm, len);
	case DOWN_CONTROL:
		return down_control(w, shm, len);
	case DOWN_REKEY:
		return down_rekey(w, shm, len);
	case DOWN_DATAGRAM:
		return down_datagram(w, shm, len);
	default:
		return bad(w);
	}
}

// The control plane wrote nonsense, or died in the middle of a write. What is in the ring is given
// up, so that its successor finds a ring that works.
static void mend(struct wctx *w, struct lane *l)
{
	struct ring_r fresh;

	if (w->now_ns < l->mend_ns)
		return;
	l->mend_ns = w->now_ns + MEND_PERIOD_NS;
	if (ring_r_attach(&fresh, l->down_shm, l->down_max) < 0)
		return;
	ring_r_resync(&fresh);
	l->down = fresh;
	bad(w);
}

static unsigned lane_down(struct wctx *w, struct lane *l)
{
	struct uplink *u = w->uplink;
	uint32_t len, bytes = 0;
	unsigned n;

	u->car = NULL;
	u->room = w->n_workers > 1 && hop_keeps(w) ? w->ops->handoff_room(w) : UPLINK_TURN_MAX;
	for (n = 0; n < UPLINK_TURN_MAX && bytes < UPLINK_TURN_BYTES; n++) {
		const void *shm = ring_r_peek(&l->down, &len);

		if (shm == NULL || !down_record(w, l, shm, len))
			break;
		ring_r_next(&l->down);
		bytes += len;
	}
	sink_flush(w);
	if (n != 0)
		ring_r_release(&l->down);
	if (unlikely(l->down.broken))
		mend(w, l);
	return n;
}

unsigned uplink_down(struct wctx *w)
{
	unsigned n = lane_down(w, &w->uplink->own);

	EACH_CARRIER (w, k)
		n += lane_down(w, &w->uplink->cars[k]);
	return n;
}

// ---- with nothing to do ----

static bool is_read(struct ring_w *up)
{
	return ring_w_room(up) == up->size;
}

void uplink_bell(struct wctx *w)
{
	struct uplink *u = w->uplink;
	const struct region *r = u->region;

	if (!is_read(&u->own.up) || !is_read(&u->hs))
		region_wake(&r->hdr->cp_sleeping, r->bell_cp);
	EACH_CARRIER (w, k)
		if (!is_read(&u->cars[k].up))
			region_wake(&r->hdr->car[k].sleeping, r->bell_car[k]);
}

static bool nothing_down(struct wctx *w)
{
	bool empty = ring_r_empty(&w->uplink->own.down);

	EACH_CARRIER (w, k)
		empty = empty && ring_r_empty(&w->uplink->cars[k].down);
	return empty;
}

void uplink_wait(struct wctx *w, uint64_t ns)
{
	struct region_hdr *h = w->uplink->region->hdr;
	bool stuck = !nothing_down(w);

	atomic_store_explicit(&h->doze[w->id].word, 1, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
	if (stuck || nothing_down(w))
		region_worker_doze(h, w->id, stuck ? STUCK_NS : ns);
	atomic_store_explicit(&h->doze[w->id].word, 0, memory_order_relaxed);
}
