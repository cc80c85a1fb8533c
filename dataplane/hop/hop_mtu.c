// Path MTU of a hop (rail.md 5): padded probes out, their fate into lib/link/pmtu, and what it says
// into the size of our datagrams. Each padded probe has a bare one at its side, whose answer tells
// a path that is too narrow from one that is dead. All of it is rare; nothing here is tuned.

#include "dataplane/hop/hop_mtu.h"

#include "dataplane/hop/hop_rel.h"

enum {
	FLOOR = HOP_PATH_MTU_MIN,
	LOST_LARGE = 4, // large datagrams in a row, while others come through
	TIMEOUTS = 2, // in a row
	FEW = 3, // datagrams: a probe with the bare one, and one more
};
#define FIRST_TIMEOUT_NS (1000ull * 1000 * 1000) // no round trip is known yet
#define SLACK_NS (100ull * 1000 * 1000)
#define CHECK_NS (5000ull * 1000 * 1000) // datagram mode: nothing else would tell

static const char too_narrow[] = "path carries less than 1280 bytes";

static uint32_t ip_overhead(const struct adj *a)
{
	return a->ip6 ? ENCAP_UDP6 : ENCAP_UDP4;
}

// What is worth trying: bytes of IP that our port, the peer and a buffer take.
static uint16_t bound(const struct wctx *w, const struct hop *h, const struct adj *a)
{
	uint32_t room = rte_pktmbuf_data_room_size(w->pool) - RTE_PKTMBUF_HEADROOM;
	uint32_t max = encap_payload_max(w, a);

	max = RTE_MIN(max, room - ENCAP_HDR_MAX);
	max = RTE_MIN(max, (uint32_t)h->payload_max) + ip_overhead(a);
	return (uint16_t)RTE_MIN(max, (uint32_t)UINT16_MAX);
}

// ---- what the hop goes by ----

static void publish(struct hop *h, uint16_t max)
{
	uint32_t mtu = RTE_MIN(h->path_mtu, max);

	atomic_store_explicit(&h->st->path_mtu, mtu, memory_order_relaxed);
	atomic_store_explicit(&h->st->mtu_state,
		h->mtu_fixed != 0 || h->mtu_on ? h->mtu.state : PMTU_BASE, memory_order_relaxed);
}

// Into the books, and into force.
static void take(struct wctx *w, struct hop *h)
{
	hop_count(h, H_hop_mtu_lost, h->mtu.n_lost - h->mtu_lost_seen);
	hop_count(h, H_hop_black_holes, h->mtu.n_black_holes - h->black_holes_seen);
	h->mtu_lost_seen = h->mtu.n_lost;
	h->black_holes_seen = h->mtu.n_black_holes;
	if (h->path_mtu == h->mtu.mtu)
		return;
	h->path_mtu = h->mtu.mtu;
	if (h->rel != NULL)
		hop_rel_wake(w, h); // what is lost goes again, as small as it must
}

void hop_mtu_begin(struct wctx *w, struct hop *h)
{
	if (h->mtu_on || h->mtu_fixed != 0)
		return;
	h->mtu_on = true;
	h->mtu_counter = 0;
	h->mtu_lost_seen = 0;
	h->black_holes_seen = 0;
	h->mtu_checked_ns = w->now_ns;
	h->mtu_checked_tx = h->tx_counter;
	pmtu_init(&h->mtu, FLOOR, FLOOR, w->now_ns);
	take(w, h);
}

void hop_mtu_forget(struct hop *h)
{
	if (h->mtu_fixed != 0)
		return;
	h->mtu_on = false;
	h->mtu_counter = 0;
	h->path_mtu = FLOOR;
	atomic_store_explicit(&h->st->path_mtu, 0, memory_order_relaxed); // not known
}

// ---- probes ----

static uint64_t timeout_ns(const struct hop *h)
{
	uint64_t rtt_ns = atomic_load_explicit(&h->st->rtt_us, memory_order_relaxed) * 1000ull;

	return rtt_ns == 0 ? FIRST_TIMEOUT_NS : 4 * rtt_ns + SLACK_NS;
}

// Datagram mode: a PROBE and zeros, which are PADDING. Its counter + 1; 0: it did not leave.
static uint64_t send_padded(struct wctx *w, struct hop *h, uint32_t len)
{
	uint64_t before = h->tx_counter;
	struct rte_mbuf *m;
	uint8_t *p;

	if (!hop_may_seal(h, 1))
		return 0;
	m = rte_pktmbuf_alloc(w->pool);
	p = m != NULL && rte_pktmbuf_tailroom(m) >= len + RAIL_TAG_LEN
		    ? (uint8_t *)rte_pktmbuf_append(m, (uint16_t)len)
		    : NULL;
	if (p == NULL) {
		rte_pktmbuf_free(m);
		count(w, W_frames_no_mbuf, 1);
		return 0;
	}
	memset(p, 0, len);
	p[0] = RAIL_PROBE;
	hop_seal(w, h, &m, 1);
	if (h->tx_counter == before)
		return 0;
	count(w, W_probes_tx, 1);
	hop_count(h, H_hop_probes_tx, 1);
	return h->tx_counter;
}

static bool send_pair(struct wctx *w, struct hop *h, uint16_t size, uint32_t len, uint32_t beside)
{
	uint64_t counter = send_padded(w, h, len);

	if (counter == 0)
		return false;
	h->mtu_counter = counter;
	h->mtu_size = size;
	h->mtu_beside = send_padded(w, h, beside);
	return true;
}

static void send_due(struct wctx *w, struct hop *h, const struct adj *a)
{
	uint16_t size = pmtu_next(&h->mtu, timeout_ns(h), w->now_ns);
	uint32_t around = ip_overhead(a) + RAIL_DATA_OVERHEAD;
	uint32_t len = size - around, beside = size > h->mtu.floor ? h->mtu.floor - around : 1;

	take(w, h);
	if (size == 0)
		return;
	h->mtu_checked_ns = w->now_ns;
	if (h->rel != NULL ? hop_rel_probe_mtu(w, h, size, len, beside)
			   : send_pair(w, h, size, len, beside))
		hop_count(h, H_hop_mtu_probes, 1);
	h->mtu_checked_tx = h->tx_counter;
}

static void acked(struct wctx *w, struct hop *h, uint16_t size)
{
	hop_count(h, H_hop_mtu_acked, 1);
	pmtu_acked(&h->mtu, size, w->now_ns);
	take(w, h);
}

void hop_mtu_on_ack(struct wctx *w, struct hop *h, uint64_t lo, uint64_t hi)
{
	bool came = h->mtu_counter > lo && h->mtu_counter <= hi + 1;

	if (!h->mtu_on)
		return;
	if (h->mtu_beside > lo && h->mtu_beside <= hi + 1) {
		h->mtu_beside = 0;
		if (!came)
			pmtu_heard(&h->mtu);
	}
	if (came) {
		h->mtu_counter = 0;
		acked(w, h, h->mtu_size);
	}
}

void hop_mtu_on_probe(struct wctx *w, struct hop *h, const struct rel_event *ev)
{
	if (!h->mtu_on)
		return;
	if (ev->ok) {
		acked(w, h, hop_probe_size(ev->tag));
	} else if (ev->tag == h->mtu_counter) {
		pmtu_lost(&h->mtu, w->now_ns);
		take(w, h);
	}
}

// ---- does it still hold? ----

static bool is_suspect(struct wctx *w, struct hop *h)
{
	struct rel_path path;

	if (h->rel == NULL) // no ACKs, so it is asked about while there is something to lose
		return w->now_ns - h->mtu_checked_ns >= CHECK_NS &&
		       h->tx_counter - h->mtu_checked_tx >= FEW;
	path = rel_path(h->rel->rel);
	return path.large_lost >= LOST_LARGE || path.pto_count >= TIMEOUTS;
}

void hop_mtu_visit(struct wctx *w, struct hop *h)
{
	const struct adj *a = adj_find(w->adjs, h->adj);
	uint16_t max;

	if (a == NULL)
		return;
	max = bound(w, h, a);
	if (h->mtu_on && !h->trying && !h->dead && h->send >= 0) {
		pmtu_set_max(&h->mtu, max, w->now_ns);
		if (is_suspect(w, h))
			pmtu_suspect(&h->mtu, w->now_ns);
		send_due(w, h, a);
	}
	publish(h, max);
	if (h->mtu_on && h->mtu.state == PMTU_ERROR) {
		h->mtu_on = false;
		hop_close(w, h, RAIL_CLOSE_PATH, too_narrow);
	}
}
