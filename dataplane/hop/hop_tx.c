// Route packets on their way out: queued per hop for the length of a turn, then cut to what the
// path carries, numbered, sealed in bursts and given headers (rail.md 3). Frames of hop_ctl.c take
// the same road from hop_seal() on. Which packets go where is not decided here.

#include "dataplane/hop/hop.h"

#include "dataplane/hop/hop_car.h"
#include "dataplane/hop/hop_cut.h"
#include "dataplane/hop/hop_route.h"

enum {
	HEADROOM = ENCAP_HDR_MAX + RAIL_DATA_HDR_LEN + 1, // what is put before a route packet
	ROOM_MIN =
		RAIL_PAYLOAD_FLOOR - RAIL_DATA_OVERHEAD, // bytes of frames that every path carries
	PARTS_SLACK = 4, // pieces of a packet that may be smaller than they need be
	PARTS_MAX = 64, // 65542 bytes in pieces of ROOM_MIN - 16: 56
};

// ---- numbers ----

bool hop_may_seal(const struct hop *h, unsigned n)
{
	const struct hop_key *key = &h->keys[h->send];
	uint64_t limit =
		key->cipher == AEAD_AES_256_GCM ? RAIL_HARD_DATAGRAMS_GCM : RAIL_HARD_DATAGRAMS;

	return h->tx_counter - key->first_counter + n + 1 <= limit;
}

static void skip_counter(struct hop *h)
{
	h->skips[h->next_skip++ % HOP_SKIPS] = h->tx_counter++;
	if (h->n_skips < HOP_SKIPS)
		h->n_skips++;
	hop_draw_skip(h);
}

// ---- sealing ----

// Header before, tag behind; returns the place of the tag.
static inline uint8_t *wrap(struct rte_mbuf *m, uint32_t index, uint64_t counter)
{
	uint8_t *frames = rte_pktmbuf_mtod(m, uint8_t *);
	uint8_t *tag = frames + m->data_len;

	rail_data_hdr_put(frames - RAIL_DATA_HDR_LEN, index, counter);
	m->data_off -= RAIL_DATA_HDR_LEN;
	m->data_len += RAIL_DATA_OVERHEAD;
	m->pkt_len = m->data_len;
	return tag;
}

static void seal_ops(
	struct wctx *w, struct hop_key *key, uint64_t counter, struct rte_mbuf **m, unsigned n)
{
	struct aead_op ops[BURST];

	for (unsigned i = 0; i < n; i++) {
		uint8_t *frames = rte_pktmbuf_mtod(m[i], uint8_t *);
		struct aead_op *op = &ops[i];

		op->aad = frames - RAIL_DATA_HDR_LEN;
		op->aad_len = RAIL_DATA_HDR_LEN;
		op->src = frames;
		op->dst = frames;
		op->len = m[i]->data_len;
		aead_nonce_be(op->nonce, counter + i);
		op->tag = wrap(m[i], key->tx_index, counter + i);
	}
	key->aead->seal(w->aead, &key->tx, ops, n);
}

static void seal_none(const struct hop_key *key, uint64_t counter, struct rte_mbuf **m, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		memset(wrap(m[i], key->tx_index, counter + i), 0, RAIL_TAG_LEN);
}

// n numbers in a row, none of them to be left out.
static void seal_run(
	struct wctx *w, struct hop *h, const struct adj *a, struct rte_mbuf **m, unsigned n)
{
	struct hop_key *key = &h->keys[h->send];
	uint64_t bytes = 0;

	if (key->cipher == AEAD_NONE)
		seal_none(key, h->tx_counter, m, n);
	else
		seal_ops(w, key, h->tx_counter, m, n);
	h->tx_counter += n;
	for (unsigned i = 0; i < n; i++)
		bytes += m[i]->data_len;
	hop_count(h, H_hop_tx_datagrams, n);
	hop_count(h, H_hop_tx_bytes, bytes);
	encap_burst(w, a, m, n, h->local_port, h->peer.port);
}

// An address that is not proven yet gets at most three times what came from it. Frees what is too
// much, returns how many are left.
static unsigned within_try(struct wctx *w, struct hop *h, struct rte_mbuf **m, unsigned n)
{
	unsigned fit = 0;

	for (; fit < n; fit++) {
		uint64_t len = (uint64_t)m[fit]->data_len + RAIL_DATA_OVERHEAD;

		if (len > h->try_bytes)
			break;
		h->try_bytes -= len;
	}
	count(w, W_tx_built, n - fit);
	count(w, W_drop_unproven, n - fit);
	rte_pktmbuf_free_bulk(m + fit, n - fit);
	return fit;
}

void hop_seal(struct wctx *w, struct hop *h, struct rte_mbuf **m, unsigned n)
{
	const struct adj *a = adj_find(w->adjs, h->adj);

	if (unlikely(h->trying))
		n = within_try(w, h, m, n);
	if (n == 0)
		return;
	h->last_tx_ns = w->now_ns;
	if (h->first_tx_ns == 0)
		h->first_tx_ns = w->now_ns;
	if (unlikely(a == NULL)) {
		encap_burst(w, NULL, m, n, 0, 0); // counts and frees; a number is not spent on them
		return;
	}
	while (n > 0) {
		uint64_t until = h->skip_at - h->tx_counter;
		unsigned run = until < n ? (unsigned)until : n;

		if (unlikely(run == 0)) {
			skip_counter(h);
			continue;
		}
		seal_run(w, h, a, m, run);
		m += run;
		n -= run;
	}
}

// ---- packets that do not fit as they are ----

static void copy_out(uint8_t *to, const struct rte_mbuf *m, uint32_t off, uint32_t len)
{
	const void *p = rte_pktmbuf_read(m, off, len, to);

	if (p != to)
		memcpy(to, p, len);
}

static void part_hdr(uint8_t *p, uint32_t number, uint32_t total, uint32_t off, uint32_t len)
{
	p[0] = RAIL_PART;
	be32_put(p + 1, number);
	memset(p + 5, 0, 3); // distance
	p[8] = (uint8_t)(total >> 16);
	be16_put(p + 9, (uint16_t)total);
	p[11] = (uint8_t)(off >> 16);
	be16_put(p + 12, (uint16_t)off);
	be16_put(p + 14, (uint16_t)len);
}

// One PART frame in a fresh mbuf.
static void part_fill(
	struct rte_mbuf *to, const struct rte_mbuf *m, uint32_t number, uint32_t off, uint32_t len)
{
	uint8_t *p = rte_pktmbuf_mtod(to, uint8_t *);

	part_hdr(p, number, m->pkt_len, off, len);
	copy_out(p + RAIL_PART_HDR_LEN, m, off, len);
	to->data_len = (uint16_t)(RAIL_PART_HDR_LEN + len);
	to->pkt_len = to->data_len;
}

// May the pieces of the chain be the parts, where they lie? So it is with what came in parts of a
// path no wider than this one, and with what uplink.c made. A peer that cut fine gets no say in how
// many datagrams we send.
static bool parts_in_place(const struct rte_mbuf *m, uint32_t chunk)
{
	if (m->nb_segs > PARTS_MAX || m->nb_segs > m->pkt_len / chunk + PARTS_SLACK)
		return false;
	for (; m != NULL; m = m->next) {
		if (m->data_len == 0 || m->data_len > chunk ||
			m->data_off < HEADROOM - 1 + RAIL_PART_HDR_LEN ||
			rte_pktmbuf_tailroom(m) < RAIL_TAG_LEN || !RTE_MBUF_DIRECT(m) ||
			rte_mbuf_refcnt_read(m) != 1)
			return false;
	}
	return true;
}

static unsigned parts_take(struct rte_mbuf *m, uint32_t number, struct rte_mbuf **parts)
{
	uint32_t total = m->pkt_len, off = 0;
	unsigned n = 0;

	while (m != NULL) {
		struct rte_mbuf *next = m->next;
		uint32_t len = m->data_len;

		m->next = NULL;
		m->nb_segs = 1;
		m->data_off -= RAIL_PART_HDR_LEN;
		m->data_len += RAIL_PART_HDR_LEN;
		m->pkt_len = m->data_len;
		part_hdr(rte_pktmbuf_mtod(m, uint8_t *), number, total, off, len);
		parts[n++] = m;
		off += len;
		m = next;
	}
	return n;
}

// 0: no buffers.
static unsigned parts_copy(struct wctx *w, struct rte_mbuf *m, uint32_t number, uint32_t chunk,
	struct rte_mbuf **parts)
{
	unsigned n = (m->pkt_len + chunk - 1) / chunk;

	if (n > PARTS_MAX || rte_pktmbuf_alloc_bulk(w->pool, parts, n) != 0)
		return 0;
	for (unsigned i = 0; i < n; i++) {
		uint32_t off = i * chunk;
		uint32_t left = m->pkt_len - off;

		part_fill(parts[i], m, number, off, left < chunk ? left : chunk);
	}
	rte_pktmbuf_free(m);
	return n;
}

// Cut to what `room` bytes of frames hold. Takes m.
static void send_parts(struct wctx *w, struct hop *h, struct rte_mbuf *m, uint32_t room)
{
	struct rte_mbuf *parts[PARTS_MAX];
	uint32_t chunk = (room > ROOM_MIN ? room : ROOM_MIN) - RAIL_PART_HDR_LEN;
	uint32_t mbuf_room = rte_pktmbuf_data_room_size(w->pool) - RTE_PKTMBUF_HEADROOM -
			     RAIL_PART_HDR_LEN - RAIL_TAG_LEN;
	unsigned n;

	if (chunk > mbuf_room)
		chunk = mbuf_room;
	w->part_chunk = chunk;
	if (parts_in_place(m, chunk))
		n = parts_take(m, h->part_seq, parts);
	else
		n = parts_copy(w, m, h->part_seq, chunk, parts);
	if (n == 0) {
		drop(w, W_drop_no_mbuf, m);
		return;
	}
	h->part_seq++;
	for (unsigned i = 0; i < n; i += BURST)
		hop_seal(w, h, &parts[i], n - i < BURST ? n - i : BURST);
	count(w, W_seal_parted, 1);
	hop_count(h, H_hop_tx_packets, 1);
}

// One contiguous ROUTE frame out of a chain, or out of a buffer without room. NULL: no buffer.
static struct rte_mbuf *linearise(struct wctx *w, struct rte_mbuf *m)
{
	struct rte_mbuf *to = rte_pktmbuf_alloc(w->pool);
	uint8_t *p;

	if (to == NULL)
		return NULL;
	p = rte_pktmbuf_mtod(to, uint8_t *);
	p[0] = RAIL_ROUTE;
	copy_out(p + 1, m, 0, m->pkt_len);
	to->data_len = (uint16_t)(m->pkt_len + 1);
	to->pkt_len = to->data_len;
	rte_pktmbuf_free(m);
	return to;
}

// ---- the queue of a turn ----

// A whole packet becomes a frame where it lies.
static inline bool fits_in_place(const struct rte_mbuf *m, uint32_t room)
{
	uint32_t spare = (uint32_t)m->buf_len - m->data_len; // before and behind

	// the second is data_off >= HEADROOM and data_off + RAIL_TAG_LEN <= spare
	return m->nb_segs == 1 && m->data_len < room && spare >= HEADROOM + RAIL_TAG_LEN &&
	       (uint32_t)m->data_off - HEADROOM <= spare - HEADROOM - RAIL_TAG_LEN;
}

static inline void as_frame(struct rte_mbuf *m)
{
	m->data_off--;
	m->data_len++;
	*rte_pktmbuf_mtod(m, uint8_t *) = RAIL_ROUTE;
}

static void seal_whole(struct wctx *w, struct hop *h, struct rte_mbuf **m, unsigned n)
{
	if (n == 0)
		return;
	count(w, W_seal_whole, n);
	hop_count(h, H_hop_tx_packets, n);
	hop_seal(w, h, m, n);
}

// A packet that fits_in_place() refused.
static void seal_odd(struct wctx *w, struct hop *h, struct rte_mbuf *m, uint32_t room)
{
	uint32_t mbuf_room = rte_pktmbuf_data_room_size(w->pool) - RTE_PKTMBUF_HEADROOM;
	struct rte_mbuf *frame;

	if (m->pkt_len + 1 > room || m->pkt_len + 1 + RAIL_TAG_LEN > mbuf_room) {
		send_parts(w, h, m, room);
		return;
	}
	frame = linearise(w, m);
	if (frame == NULL)
		drop(w, W_drop_no_mbuf, m);
	else
		seal_whole(w, h, &frame, 1);
}

// ---- a clear link over IPv4: one step ----

static struct head4 head4(const struct hop *h, const struct adj *a)
{
	uint8_t head[HEAD4_LEN];
	struct head4 v;

	encap_head4(a, head, h->local_port, h->peer.port);
	rail_data_hdr_put(head + ENCAP_HDR4_LEN, h->keys[h->send].tx_index, 0);
	head[HEAD4_LEN - 1] = RAIL_ROUTE;
	v.at0 = *(head_v *)head;
	v.at16 = *(head_v *)(head + 16);
	v.at32 = *(head_v *)(head + 32);
	v.last = *(head_v *)(head + HEAD4_LEN - 16);
	return v;
}

static inline void put_head4(
	const struct head4 *v, uint32_t sum, uint64_t counter, struct rte_mbuf *m)
{
	uint8_t *packet = rte_pktmbuf_mtod(m, uint8_t *);
	uint8_t *p = packet - HEAD4_LEN;
	uint32_t len = m->data_len;

	head4_put(v, p);
	encap_lengths4(sum, p, len + 1 + RAIL_DATA_OVERHEAD);
	be64_put(p + ENCAP_HDR4_LEN + 8, counter);
	memset(packet + len, 0, RAIL_TAG_LEN);
	m->data_off = (uint16_t)(m->data_off - HEAD4_LEN);
	m->data_len = (uint16_t)(len + HEAD4_WRAP);
	m->pkt_len = len + HEAD4_WRAP;
}

// Into the books: n whole packets that left with the numbers that came next.
static void clear_sent(struct wctx *w, struct hop *h, unsigned n, uint64_t udp_bytes)
{
	h->tx_counter += n;
	h->last_tx_ns = w->now_ns;
	if (h->first_tx_ns == 0)
		h->first_tx_ns = w->now_ns;
	count(w, W_seal_whole, n);
	count(w, W_tx_built, n);
	hop_count(h, H_hop_tx_packets, n);
	hop_count(h, H_hop_tx_datagrams, n);
	hop_count(h, H_hop_tx_bytes, udp_bytes);
}

// What hop_seal() and encap_burst() do, for the first packets of m that fit in place. Returns how
// many were sent; the numbers up to the next one that is left out are used.
static unsigned send_clear4(struct wctx *w, struct hop *h, const struct adj *a, struct rte_mbuf **m,
	unsigned n, uint32_t room)
{
	struct tx_array *t = &w->tx[a->port];
	uint64_t until = h->skip_at - h->tx_counter;
	unsigned max = TX_ARRAY - t->n, i;
	struct rte_mbuf **out = &t->m[t->n];
	const struct head4 head = head4(h, a);
	uint64_t counter = h->tx_counter;
	uint32_t bytes = 0, sum = a->sum;

	max = max < n ? max : n;
	max = until < max ? (unsigned)until : max;
	for (i = 0; i < max && fits_in_place(m[i], room); i++) {
		bytes += m[i]->data_len;
		put_head4(&head, sum, counter + i, m[i]);
		out[i] = m[i];
	}
	if (i == 0)
		return 0;
	clear_sent(w, h, i, bytes + i * (1 + RAIL_DATA_OVERHEAD));
	t->bytes += bytes + i * HEAD4_WRAP;
	t->n = (uint16_t)(t->n + i);
	if (t->n == TX_ARRAY)
		tx_flush(w, a->port);
	return i;
}

static inline bool is_clear4(const struct wctx *w, const struct hop *h, const struct adj *a)
{
	return a != NULL && !a->ip6 && w->tx[a->port].mtu != 0 && !h->trying &&
	       h->keys[h->send].cipher == AEAD_NONE;
}

static void drop_pending(struct wctx *w, struct hop *h, enum worker_counter why)
{
	count(w, why, h->n_pend);
	rte_pktmbuf_free_bulk(h->pend, h->n_pend);
	h->n_pend = 0;
}

uint32_t hop_frame_room(const struct wctx *w, const struct hop *h, const struct adj *a)
{
	uint32_t max, path;

	if (unlikely(a == NULL))
		return ROOM_MIN;
	path = h->path_mtu - (uint32_t)(a->ip6 ? ENCAP_UDP6 : ENCAP_UDP4);
	max = encap_payload_max(w, a);
	if (max > path)
		max = path;
	if (max > h->payload_max)
		max = h->payload_max;
	return max > RAIL_DATA_OVERHEAD ? max - RAIL_DATA_OVERHEAD : 0;
}

// The general way out: any cipher, any way, any size.
static void send_all(
	struct wctx *w, struct hop *h, struct rte_mbuf **pkts, unsigned n_pkts, uint32_t room)
{
	struct rte_mbuf *run[BURST];
	unsigned n = 0;

	for (unsigned i = 0; i < n_pkts; i++) {
		struct rte_mbuf *m = pkts[i];

		if (likely(fits_in_place(m, room))) {
			as_frame(m);
			run[n++] = m;
			if (likely(n < BURST))
				continue;
			m = NULL;
		}
		seal_whole(w, h, run, n);
		n = 0;
		if (m != NULL)
			seal_odd(w, h, m, room);
	}
	seal_whole(w, h, run, n);
}

void hop_flush(struct wctx *w, struct hop *h)
{
	const struct adj *a;
	uint32_t room;

	if (h->rel != NULL) {
		hop_rel_flush(w, h);
		return;
	}
	if (h->n_pend == 0)
		return;
	if (unlikely(!h->up)) {
		drop_pending(w, h, W_drop_seal_hop);
		return;
	}
	// 64 parts is the most that one packet becomes
	if (unlikely(!hop_may_seal(h, HOP_PEND * PARTS_MAX))) {
		drop_pending(w, h, W_drop_seal_limit);
		return;
	}
	a = adj_find(w->adjs, h->adj);
	room = hop_frame_room(w, h, a);
	if (is_clear4(w, h, a)) {
		for (unsigned i = 0, k; i < h->n_pend; i += k) {
			k = send_clear4(w, h, a, &h->pend[i], h->n_pend - i, room);
			if (unlikely(k == 0)) {
				k = 1;
				send_all(w, h, &h->pend[i], 1, room);
			}
		}
	} else {
		send_all(w, h, h->pend, h->n_pend, room);
	}
	h->n_pend = 0;
}

bool hop_cut_begin(struct wctx *w, uint32_t hop, struct hop_cut *c)
{
	struct hop *h = hop_tx_local(w, hop);
	const struct adj *a;

	if (h == NULL || hop_keeps_order(h) || h->keys[h->send].cipher != AEAD_NONE)
		return false;
	a = adj_find(w->adjs, h->adj);
	if (!is_clear4(w, h, a))
		return false;
	hop_flush(w, h);
	if (!hop_may_seal(h, BURST) || h->tx_counter == h->skip_at)
		return false;
	c->head = head4(h, a);
	c->h = h;
	c->tx = &w->tx[a->port];
	c->counter = h->tx_counter;
	c->end = h->skip_at;
	c->sum = a->sum;
	c->frame_max = hop_frame_room(w, h, a) + RAIL_DATA_OVERHEAD + ENCAP_HDR4_LEN;
	c->bytes = 0;
	c->port = a->port;
	return true;
}

void hop_cut_end(struct wctx *w, const struct hop_cut *c)
{
	unsigned n = (unsigned)(c->counter - c->h->tx_counter);

	if (n == 0)
		return;
	count(w, W_seal_in, n);
	clear_sent(w, c->h, n, c->bytes - n * ENCAP_HDR4_LEN);
}

struct hop *hop_tx_local(const struct wctx *w, uint32_t hop)
{
	struct hop *h = hop_by_handle(w, hop);

	return h != NULL && h->up ? h : NULL;
}

void hop_tx_queue(struct wctx *w, struct hop *h, struct rte_mbuf **m, unsigned n)
{
	if (hop_keeps_order(h)) {
		if (likely(h->rel != NULL))
			hop_rel_push(w, h, m, n);
		else
			hop_car_push(w, h, m, n);
		return;
	}
	if (unlikely(h->n_pend + n > HOP_PEND))
		hop_flush(w, h);
	memcpy(&h->pend[h->n_pend], m, n * sizeof(m[0]));
	h->n_pend = (uint16_t)(h->n_pend + n);
	count(w, W_seal_in, n);
	if (h->n_pend >= BURST) {
		hop_flush(w, h);
		return;
	}
	if (!h->pending) {
		h->pending = true;
		h->next_pending = w->tx_pending;
		w->tx_pending = h;
	}
}

int hop_tx_remote(const struct wctx *w, uint32_t hop)
{
	uint32_t i = dpmsg_handle_index(hop);
	uint64_t word;

	if (i >= w->hops->hop_max)
		return -1;
	// pairs with the release in hop_table.c
	word = atomic_load_explicit(&w->hops->dir[i], memory_order_acquire);
	if (word >> 32 != hop || hop_word_owner(word) == w->id ||
		atomic_load_explicit(&w->hops->up[i], memory_order_relaxed) == 0)
		return -1;
	return (int)hop_word_owner(word);
}

enum hop_push hop_tx_push(struct wctx *w, uint32_t hop, struct rte_mbuf **m, unsigned n)
{
	struct hop *h = hop_by_handle(w, hop);
	int to;

	if (likely(h != NULL)) {
		if (unlikely(!h->up))
			return HOP_GONE;
		hop_tx_queue(w, h, m, n);
		return HOP_PUSHED;
	}
	to = hop_tx_remote(w, hop);
	if (to < 0)
		return HOP_GONE;
	return w->ops->handoff_tx(w, (unsigned)to, hop, m, n) ? HOP_HANDED : HOP_FULL;
}

bool hop_give(struct wctx *w, uint32_t hop, struct rte_mbuf **m, unsigned n, bool ruled)
{
	switch (hop_tx_push(w, hop, m, n)) {
	case HOP_PUSHED:
		count(w, W_pkt_forwarded, n);
		return true;
	case HOP_HANDED: // counted by the owner when they arrive
		return true;
	case HOP_GONE:
		count(w, W_drop_hop_gone, n);
		if (ruled)
			hop_routes_hole(w, hop, m, n);
		break;
	case HOP_FULL:
		count(w, W_drop_handoff_tx, n);
		break;
	}
	rte_pktmbuf_free_bulk(m, n);
	return false;
}

void hop_tx_flush(struct wctx *w)
{
	if (hop_hold(w) != NULL)
		hop_routes_turn(w);
	while (w->tx_pending != NULL) {
		struct hop *h = w->tx_pending;

		w->tx_pending = h->next_pending;
		h->pending = false;
		hop_flush(w, h);
	}
}
