// Sealed datagrams on their way in (rail.md 3): number, address and tag are checked for a burst at
// once, then the frames are taken apart and route packets go to the worker's sink.
//
// One road is short: a burst under one key, from the peer's address, with the numbers that follow
// the last one, each holding one route packet. It is checked with a few exclusive-ors per datagram
// and committed with one mask. Everything else goes the long road, which is right rather than fast.
// What the frames that are not route packets mean is in hop_ctl.c; joining parts is in hop_join.c.

#include "dataplane/hop/hop.h"

#include "dataplane/hop/hop_rel.h"

#include <rte_cycles.h>

// Route packets on their way to the sink.
struct out {
	unsigned n;
	struct rte_mbuf *pkts[BURST];
};

enum { ROUTE_WRAP = RAIL_DATA_OVERHEAD + 1 }; // what is around a route packet in a datagram

static void out_flush(struct wctx *w, struct hop *h, struct out *out)
{
	if (out->n == 0)
		return;
	hop_count(h, H_hop_rx_packets, out->n);
	w->sink(w, h, out->pkts, out->n);
	out->n = 0;
}

static void out_add(struct wctx *w, struct hop *h, struct out *out, struct rte_mbuf *m)
{
	if (out->n == BURST)
		out_flush(w, h, out);
	out->pkts[out->n++] = m;
}

// ---- the replay window, with a count of what never came ----

// Bits set in n <= n_bits places from counter `from` on.
static uint64_t ones(const struct replay *r, uint64_t from, uint64_t n)
{
	uint64_t pos = from & r->mask;
	uint64_t sum = 0;

	while (n > 0) {
		uint64_t off = pos & 63;
		uint64_t k = 64 - off < n ? 64 - off : n;
		uint64_t mask = (k == 64 ? ~0ull : (1ull << k) - 1) << off;

		sum += (unsigned)__builtin_popcountll(r->bits[pos >> 6] & mask);
		pos = (pos + k) & r->mask;
		n -= k;
	}
	return sum;
}

// Counters up to `top` that are older than the window then.
static uint64_t left_behind(const struct replay *r, uint64_t top)
{
	return top >= r->n_bits ? top - r->n_bits + 1 : 0;
}

// The places of new counters hold the marks of those that leave: what is not marked is lost.
static void commit(struct hop *h, uint64_t c)
{
	struct replay *r = h->replay;

	if (c > r->top) {
		uint64_t n = c - r->top;
		uint64_t leaving = left_behind(r, c) - left_behind(r, r->top);
		uint64_t seen = ones(r, r->top + 1, n < r->n_bits ? n : r->n_bits);

		if (leaving > seen)
			hop_count(h, H_hop_lost, leaving - seen);
	}
	replay_commit(r, c);
}

// n <= BURST counters in a row, the first of which is top + 1.
static inline void commit_run(struct hop *h, unsigned n)
{
	struct replay *r = h->replay;
	uint64_t first = r->top + 1;
	unsigned lost = 0;

	if (unlikely(first < r->n_bits)) {
		for (unsigned i = 0; i < n; i++)
			commit(h, first + i);
		return;
	}
	for (unsigned done = 0, k; done < n; done += k) {
		unsigned off = (first + done) & 63;
		uint64_t *word = &r->bits[((first + done) & r->mask) >> 6];
		uint64_t mask;

		k = n - done < 64 - off ? n - done : 64 - off;
		mask = (~0ull >> (64 - k)) << off;
		if (unlikely((*word & mask) != mask))
			lost += k - (unsigned)__builtin_popcountll(*word & mask);
		*word |= mask;
	}
	if (unlikely(lost != 0))
		hop_count(h, H_hop_lost, lost);
	r->top += n;
}

// ---- the short road ----

// Same key, same address, the numbers that come next. Branch-free: nearly always true.
static inline bool is_in_order(const struct hop *h, const struct rx_dgram *d, unsigned n)
{
	const struct hop_key *key = &h->keys[h->rx_key];
	uint64_t next = h->replay->top + 1;
	uint64_t ip[2], diff = 0;

	if (unlikely(!key->confirmed || h->trying))
		return false;
	memcpy(ip, h->peer.ip, sizeof(ip));
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *p = rte_pktmbuf_mtod(d[i].m, const uint8_t *);
		uint64_t src[2];

		memcpy(src, d[i].src_ip, sizeof(src));
		diff |= rail_data_receiver(p) ^ key->rx_index;
		diff |= rail_data_counter(p) ^ (next + i);
		diff |= (src[0] ^ ip[0]) | (src[1] ^ ip[1]);
		diff |= (uint64_t)(d[i].src_port ^ h->peer.port);
	}
	return diff == 0;
}

static inline bool tags_are_zero(const struct rx_dgram *d, unsigned n)
{
	uint64_t diff = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t tag[2];

		memcpy(tag,
			rte_pktmbuf_mtod_offset(
				d[i].m, const uint8_t *, d[i].udp_len - RAIL_TAG_LEN),
			sizeof(tag));
		diff |= tag[0] | tag[1];
	}
	return diff == 0;
}

static inline bool are_routes_only(const struct rx_dgram *d, unsigned n)
{
	uint64_t diff = 0;

	for (unsigned i = 0; i < n; i++) {
		const uint8_t *f =
			rte_pktmbuf_mtod_offset(d[i].m, const uint8_t *, RAIL_DATA_HDR_LEN);

		if (unlikely(d[i].udp_len < ROUTE_WRAP + ROUTE_HDR_LEN))
			return false;
		diff |= (uint64_t)(f[0] ^ RAIL_ROUTE);
		diff |= route_hdr_packet_len(f + 1) ^ (uint64_t)(d[i].udp_len - ROUTE_WRAP);
	}
	return diff == 0;
}

// Authentic datagrams, into the books.
static inline void take(struct wctx *w, struct hop *h, unsigned n, uint64_t bytes)
{
	if (unlikely(n == 0))
		return;
	count(w, W_dgram_opened, n);
	hop_count(h, H_hop_rx_datagrams, n);
	hop_count(h, H_hop_rx_bytes, bytes);
	hop_alive(w, h);
}

void hop_take_run(struct wctx *w, struct hop *h, unsigned n, uint64_t bytes)
{
	commit_run(h, n);
	take(w, h, n, bytes);
	hop_count(h, H_hop_rx_packets, n);
}

// All n are authentic, in order, and hold one route packet each, which they become.
static inline void unwrap(struct wctx *w, struct hop *h, struct rx_dgram *d, unsigned n)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < n; i++) {
		bytes += d[i].udp_len;
		hop_strip(d[i].m, RAIL_DATA_HDR_LEN + 1, d[i].udp_len - ROUTE_WRAP);
	}
	hop_take_run(w, h, n, bytes);
}

static void sink_dgrams(struct wctx *w, struct hop *h, const struct rx_dgram *d, unsigned n)
{
	struct rte_mbuf *pkts[BURST];

	for (unsigned i = 0; i < n; i++)
		pkts[i] = d[i].m;
	w->sink(w, h, pkts, n);
}

// ---- opening ----

struct opened {
	struct rx_dgram *d;
	uint64_t counter;
	uint8_t key;
	bool ok;
	bool foreign;
};

static void open_run(struct wctx *w, struct hop *h, struct opened *o, unsigned n)
{
	struct hop_key *key = &h->keys[o[0].key];
	struct aead_op ops[BURST];

	for (unsigned i = 0; i < n; i++) {
		uint8_t *p = rte_pktmbuf_mtod(o[i].d->m, uint8_t *);
		struct aead_op *op = &ops[i];

		op->aad = p;
		op->aad_len = RAIL_DATA_HDR_LEN;
		op->src = p + RAIL_DATA_HDR_LEN;
		op->dst = p + RAIL_DATA_HDR_LEN;
		op->len = o[i].d->udp_len - RAIL_DATA_OVERHEAD;
		op->tag = p + o[i].d->udp_len - RAIL_TAG_LEN;
		aead_nonce_be(op->nonce, o[i].counter);
	}
	key->aead->open(w->aead, &key->rx, ops, n);
	for (unsigned i = 0; i < n; i++)
		o[i].ok = ops[i].ok != 0;
}

// From another address: opened one by one and only as far as the budget goes; what one cost too
// much is taken from what comes in.
static bool open_foreign(struct wctx *w, struct hop *h, struct opened *o)
{
	struct hop_worker *hw = hop_worker(w);
	uint64_t pay = hw->foreign_debt < w->foreign_credit ? hw->foreign_debt : w->foreign_credit;
	uint64_t begin, cost;

	hw->foreign_debt -= pay;
	w->foreign_credit -= pay;
	if (w->foreign_credit == 0)
		return false;
	begin = rte_rdtsc();
	open_run(w, h, o, 1);
	cost = rte_rdtsc() - begin;
	if (cost > w->foreign_credit) {
		hw->foreign_debt += cost - w->foreign_credit;
		cost = w->foreign_credit;
	}
	w->foreign_credit -= cost;
	return true;
}

// ---- the long road ----

static int find_key(const struct hop *h, uint32_t index)
{
	for (unsigned k = 0; k < HOP_KEYS; k++)
		if (h->keys[k].rx_index == index && index != 0)
			return (int)k;
	return -1;
}

static bool is_foreign(const struct hop *h, const struct hop_key *key, const struct rx_dgram *d)
{
	if (hop_addr_equal(&h->peer, d->src_ip, d->src_port))
		return false;
	// until the new address is proven, the old one is as good
	if (h->trying && hop_addr_equal(&h->old_peer, d->src_ip, d->src_port))
		return false;
	// a pending key may bring an address with it
	return key->confirmed || key->peer.port == 0 ||
	       !hop_addr_equal(&key->peer, d->src_ip, d->src_port);
}

// Counters under a key that begins a new instance have nothing to do with the window. No sender may
// come near the end of the counter's range, where the window would begin anew.
static bool is_fresh(const struct hop *h, const struct hop_key *key, uint64_t counter)
{
	return counter < RAIL_HARD_DATAGRAMS && (key->reset || replay_check(h->replay, counter));
}

static void drop_replayed(struct wctx *w, struct hop *h, struct rte_mbuf *m)
{
	hop_count(h, H_hop_replayed, 1);
	drop(w, W_drop_replay, m);
}

// What may be opened: one entry each; the rest is dropped.
static unsigned sift(
	struct wctx *w, struct hop *h, struct rx_dgram *d, unsigned n, struct opened *o)
{
	unsigned m = 0;

	for (unsigned i = 0; i < n; i++) {
		const uint8_t *p = rte_pktmbuf_mtod(d[i].m, const uint8_t *);
		int k = find_key(h, rail_data_receiver(p));
		uint64_t counter = rail_data_counter(p);

		if (k < 0) {
			drop(w, W_drop_index, d[i].m);
		} else if (!is_fresh(h, &h->keys[k], counter)) {
			drop_replayed(w, h, d[i].m);
		} else {
			o[m].d = &d[i];
			o[m].counter = counter;
			o[m].key = (uint8_t)k;
			o[m].ok = false;
			o[m++].foreign = is_foreign(h, &h->keys[k], &d[i]);
		}
	}
	return m;
}

// Opens runs under one key from the peer's address in one go. Foreign ones without budget lose
// their mbuf.
static void open_all(struct wctx *w, struct hop *h, struct opened *o, unsigned n)
{
	for (unsigned i = 0, run; i < n; i += run) {
		run = 1;
		if (o[i].foreign) {
			if (!open_foreign(w, h, &o[i])) {
				drop(w, W_drop_foreign, o[i].d->m);
				o[i].d = NULL;
			}
			continue;
		}
		while (i + run < n && o[i + run].key == o[i].key && !o[i + run].foreign)
			run++;
		open_run(w, h, &o[i], run);
	}
}

// A route packet or part that is known by its place only, until we know whether it may stay there:
// the last one of a datagram keeps the buffer, those before it are copied, so their order stays.
struct held {
	struct rail_frame f; // type RAIL_PADDING: nothing
};

static struct rte_mbuf *copy_frame(struct wctx *w, const struct rail_frame *f)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);
	uint8_t *to = m != NULL ? (uint8_t *)rte_pktmbuf_append(m, (uint16_t)f->len) : NULL;

	if (to == NULL) {
		rte_pktmbuf_free(m);
		hop_no_buffer(w, f->type == RAIL_ROUTE);
		return NULL;
	}
	memcpy(to, f->data, f->len);
	return m;
}

static int deliver(struct wctx *w, struct hop *h, const struct rail_frame *f, struct rte_mbuf *m,
	struct out *out)
{
	int rc;

	if (f->type == RAIL_ROUTE) {
		out_add(w, h, out, m);
		return 0;
	}
	rc = hop_join(w, h, f, &m);
	if (rc > 0)
		out_add(w, h, out, m);
	return rc < 0 ? rc : 0;
}

// One more frame that wants to stay; the one held so far moves out.
static int hold(struct wctx *w, struct hop *h, struct held *held, const struct rail_frame *f,
	struct out *out)
{
	struct rte_mbuf *m;
	int rc = 0;

	if (held->f.type != RAIL_PADDING) {
		m = copy_frame(w, &held->f);
		if (m != NULL)
			rc = deliver(w, h, &held->f, m, out);
	}
	held->f = *f;
	return rc;
}

// 0, or an error that closes the link. -ESHUTDOWN: it is closed already.
static int on_frame(struct wctx *w, struct hop *h, const struct rail_frame *f, struct held *held,
	struct out *out)
{
	switch (f->type) {
	case RAIL_ROUTE:
	case RAIL_PART:
		return hold(w, h, held, f, out);
	case RAIL_PROBE:
		h->ack_due = true;
		return 0;
	case RAIL_ACK:
		return hop_on_ack(w, h, &f->ack) < 0 ? -EBADMSG : 0;
	case RAIL_REKEY:
		hop_on_rekey(w, h, f);
		return 0;
	case RAIL_CLOSE:
		hop_shut(w, h, false, f->code, f->data, f->len);
		return -ESHUTDOWN;
	case RAIL_NOTICE:
		hop_on_notice(w, h, f);
		return 0;
	case RAIL_SEQ:
		return -EBADMSG; // both sides agreed on datagram mode
	default:
		count(w, W_frames_ignored, 1);
		return 0;
	}
}

// The frames of one authentic datagram. Takes m.
static void on_frames(
	struct wctx *w, struct hop *h, struct rte_mbuf *m, uint32_t len, struct out *out)
{
	const uint8_t *p = rte_pktmbuf_mtod_offset(m, const uint8_t *, RAIL_DATA_HDR_LEN);
	struct bytes_r r = bytes_r(p, len);
	struct held held = {.f.type = RAIL_PADDING};
	struct rail_frame f;
	int rc;

	while ((rc = rail_frame_next(&r, &f)) == 0) {
		rc = on_frame(w, h, &f, &held, out);
		if (rc < 0)
			break;
	}
	if (held.f.type != RAIL_PADDING && !h->closed) {
		hop_strip(m, RAIL_DATA_HDR_LEN + (uint32_t)(held.f.data - p), held.f.len);
		if (deliver(w, h, &held.f, m, out) < 0)
			rc = -EBADMSG;
	} else {
		rte_pktmbuf_free(m);
	}
	if (h->closed || rc == -EAGAIN)
		return;
	out_flush(w, h, out);
	hop_close(w, h, rc == -EPROTO ? RAIL_CLOSE_VERSION : RAIL_CLOSE_PROTOCOL,
		rc == -EPROTO ? "unknown frame" : "malformed or unlawful frame");
}

// One authentic datagram, in the order of arrival. rel: of a reliable hop.
static void on_opened(struct wctx *w, struct hop *h, const struct opened *o, struct out *out,
	struct hop_rel_in *rel)
{
	struct hop_key *key = &h->keys[o->key];
	struct rx_dgram *d = o->d;
	bool newest;

	// the burst may have closed the link, begun a new instance, or held the same number twice
	if (key->rx_index == 0) {
		drop(w, W_drop_index, d->m);
		return;
	}
	if (!is_fresh(h, key, o->counter)) {
		drop_replayed(w, h, d->m);
		return;
	}
	if (!key->confirmed) {
		if (rel != NULL)
			hop_rel_give(w, h, rel);
		hop_confirm(w, h, o->key);
	}
	if (rel != NULL &&
		!hop_rel_rx(w, h, rel, d->m, d->udp_len - RAIL_DATA_OVERHEAD, o->counter))
		return;
	newest = o->counter >= h->replay->top;
	commit(h, o->counter);
	h->rx_key = o->key;
	count(w, W_dgram_opened, 1);
	hop_count(h, H_hop_rx_datagrams, 1);
	hop_count(h, H_hop_rx_bytes, d->udp_len);
	hop_alive(w, h);
	if (!hop_addr_equal(&h->peer, d->src_ip, d->src_port)) {
		if (newest)
			hop_roamed(w, h, d);
	} else if (h->trying) {
		h->try_bytes += 3ull * d->udp_len;
	}
	if (rel != NULL)
		hop_rel_closes(w, h, rel);
	else
		on_frames(w, h, d->m, d->udp_len - RAIL_DATA_OVERHEAD, out);
}

static void long_road(struct wctx *w, struct hop *h, struct opened *o, unsigned n)
{
	struct hop_rel_in in, *rel = h->rel != NULL ? &in : NULL;
	struct out out = {.n = 0};

	if (rel != NULL)
		hop_rel_rx_begin(w, rel);
	for (unsigned i = 0; i < n; i++) {
		if (o[i].d == NULL)
			continue;
		if (likely(o[i].ok)) {
			on_opened(w, h, &o[i], &out, rel);
		} else {
			h->keys[o[i].key].bad_tags++;
			hop_count(h, H_hop_bad_tag, 1);
			drop(w, W_drop_auth, o[i].d->m);
		}
	}
	if (rel != NULL) {
		hop_rel_rx_end(w, h, rel);
		return;
	}
	out_flush(w, h, &out);
	if (h->ack_due)
		hop_send_ack(w, h);
}

// From here on a burst of a reliable hop is not the usual one.
static void reliable_rest(
	struct wctx *w, struct hop *h, struct hop_rel_in *in, const struct rx_dgram *d, unsigned n)
{
	uint64_t bytes = 0, counter;
	unsigned taken = 0, i = 0;

	for (; i < n && !hop_rel_is_closing(h); i++) {
		counter = rail_data_counter(rte_pktmbuf_mtod(d[i].m, const uint8_t *));
		if (unlikely(!hop_rel_rx(
			    w, h, in, d[i].m, d[i].udp_len - RAIL_DATA_OVERHEAD, counter)))
			continue;
		commit(h, counter);
		bytes += d[i].udp_len;
		taken++;
	}
	take(w, h, taken, bytes);
	if (unlikely(hop_rel_closes(w, h, in)))
		for (; i < n; i++)
			drop(w, W_drop_index, d[i].m);
	hop_rel_rx_end(w, h, in);
}

static inline bool begins_with_ack(const struct rte_mbuf *m)
{
	return *rte_pktmbuf_mtod_offset(m, const uint8_t *, RAIL_DATA_HDR_LEN) == RAIL_ACK;
}

// One that begins with an ACK. True: that was all, or there was one whole packet behind it, which
// is *m; else *m is NULL. When it is refused its counter is left out, so those that follow are no
// run any more.
static bool reliable_ack(struct wctx *w, struct hop *h, struct hop_rel_in *in,
	const struct rx_dgram *d, struct rte_mbuf **m)
{
	bool taken =
		hop_rel_rx(w, h, in, d->m, d->udp_len - RAIL_DATA_OVERHEAD, h->replay->top + 1);

	*m = NULL;
	if (likely(taken)) {
		commit_run(h, 1);
		take(w, h, 1, d->udp_len);
	}
	if (likely(in->out.n == 1 && !in->item[0].more)) {
		in->out.n = 0;
		*m = in->item[0].handle;
		hop_strip(*m, in->item[0].off, in->item[0].len);
		hop_count(h, H_hop_rx_packets, 1);
	}
	return likely(taken && in->out.n == 0 && !hop_rel_is_closing(h));
}

// A burst of a reliable hop: authentic, in order, from the peer. Most of the time that is packets
// which may go on at once, and now and then an ACK. Returns how many packets d[] holds now, from
// its beginning on; all else is dealt with here, after what came before it.
static unsigned reliable_burst(struct wctx *w, struct hop *h, struct rx_dgram *d, unsigned n)
{
	struct hop_rel_in in;
	unsigned out = 0, i = 0;
	bool usual = true;
	struct rte_mbuf *m;

	hop_rel_rx_begin(w, &in);
	// those that are held ahead need room, too
	while (i < n && likely(in.left >= 2 * BURST)) {
		unsigned k = hop_rel_rx_run(w, h, &d[i], n - i);
		uint64_t bytes = 0;

		for (unsigned j = 0; j < k; j++) {
			bytes += d[i + j].udp_len;
			d[out + j].m = d[i + j].m;
		}
		if (likely(k != 0))
			hop_take_run(w, h, k, bytes);
		out += k;
		i += k;
		if (i == n || !begins_with_ack(d[i].m))
			break;
		usual = reliable_ack(w, h, &in, &d[i++], &m);
		if (likely(m != NULL))
			d[out++].m = m;
		if (unlikely(!usual))
			break;
	}
	hop_rel_wake(w, h);
	if (likely(usual && i == n))
		return out;
	if (out != 0)
		sink_dgrams(w, h, d, out);
	else
		w->sink(w, h, NULL, 0);
	reliable_rest(w, h, &in, &d[i], n - i);
	return 0;
}

// In order, but ciphered: all are opened at once, then it is seen which road they may go.
unsigned hop_open_in_order(struct wctx *w, struct hop *h, struct rx_dgram *d, unsigned n)
{
	struct opened o[BURST];
	bool all = true;

	for (unsigned i = 0; i < n; i++) {
		o[i].d = &d[i];
		o[i].counter = h->replay->top + 1 + i;
		o[i].key = h->rx_key;
		o[i].foreign = false;
	}
	open_run(w, h, o, n);
	for (unsigned i = 0; i < n; i++)
		all &= o[i].ok;
	if (likely(all && h->rel != NULL))
		return reliable_burst(w, h, d, n);
	if (likely(all && are_routes_only(d, n))) {
		unwrap(w, h, d, n);
		return n;
	}
	w->sink(w, h, NULL, 0); // what came before them is judged before them
	long_road(w, h, o, n);
	return 0;
}

void hop_rx_burst(struct wctx *w, struct hop *h, struct rx_dgram *d, unsigned n)
{
	struct opened o[BURST];

	if (likely(is_in_order(h, d, n))) {
		if (h->keys[h->rx_key].cipher != AEAD_NONE || h->rel != NULL) {
			n = hop_open_in_order(w, h, d, n);
			if (likely(n != 0))
				sink_dgrams(w, h, d, n);
			return;
		}
		if (likely(tags_are_zero(d, n) && are_routes_only(d, n))) {
			unwrap(w, h, d, n);
			sink_dgrams(w, h, d, n);
			return;
		}
	}
	n = sift(w, h, d, n, o);
	open_all(w, h, o, n);
	long_road(w, h, o, n);
}
