// The short road: frames that are what the last one from this peer lets us expect. One pass over a
// burst does what parse_frame(), the look-up of the receiver index and hop_rx_burst() do in
// several: address, key, number, tag (of a clear link) and the one route frame. The first frame
// that is not as expected ends it, and the rest goes the general way, which decides what it is:
// nothing is judged here.

#include "dataplane/hop/hop.h"

#include "dataplane/hop/hop_cut.h"
#include "dataplane/hop/hop_priv.h"

enum { ROUTE_WRAP = RAIL_DATA_OVERHEAD + 1 }; // what is around a route packet in a datagram

// The hop, if what is expected is still what it would take without further questions.
static inline struct hop *expected_hop(const struct wctx *w, const struct expect *e)
{
	uint64_t word = hop_table_rx_word(w->hops, e->rx_index);
	const struct hop_key *key;
	struct hop *h;

	if (unlikely(word == 0 || hop_word_owner(word) != w->id))
		return NULL;
	h = hop_by_word(w, word);
	if (unlikely(h == NULL || h->trying))
		return NULL;
	key = &h->keys[h->rx_key];
	if (unlikely(key->rx_index != e->rx_index || !key->confirmed ||
		     !hop_addr_equal(&h->peer, e->src_ip, e->src_port)))
		return NULL;
	return h;
}

// Of a datagram of len bytes that is one route frame; anything but 0: it is not.
static inline uint64_t not_one_route(const uint8_t *rail, uint32_t len)
{
	const uint8_t *f = rail + RAIL_DATA_HDR_LEN;

	return (uint64_t)(f[0] ^ RAIL_ROUTE) |
	       (route_hdr_packet_len(f + 1) ^ (uint64_t)(len - ROUTE_WRAP));
}

static inline uint64_t tag_bits(const uint8_t *rail, uint32_t len)
{
	uint64_t tag[2];

	memcpy(tag, rail + len - RAIL_TAG_LEN, sizeof(tag));
	return tag[0] | tag[1];
}

// The frames stay as they are: whole, and without padding.
static unsigned clear_run(struct wctx *w, struct hop *h, const struct expect *want,
	struct rte_mbuf **m, unsigned n, uint64_t *bytes)
{
	const struct expect e = *want; // a copy: what is stored does not change it
	uint64_t next = h->replay->top + 1;
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < n; i++) {
		const uint8_t *p = rte_pktmbuf_mtod(m[i], const uint8_t *);
		const uint8_t *rail = p + EXPECT_RAIL;
		uint32_t frame_len = m[i]->data_len;
		uint32_t len = expect_match(&e, p, frame_len);

		if (unlikely(len == 0 || m[i]->nb_segs != 1))
			break;
		// padding behind is as rare; the length of the route packet is checked with it
		if (unlikely(((rail_data_counter(rail) ^ (next + i)) | tag_bits(rail, len) |
				     not_one_route(rail, len) |
				     (frame_len ^ (len + EXPECT_RAIL))) != 0))
			break;
		sum += frame_len;
	}
	*bytes = sum;
	if (i == 0)
		return 0;
	hop_take_run(w, h, i, sum - (uint64_t)i * EXPECT_RAIL);
	return i;
}

// The frames that are expected, without what is outside of the datagram.
static unsigned sealed_run(struct hop *h, const struct expect *e, struct rte_mbuf **m, unsigned n,
	uint64_t *bytes, struct rx_dgram *d)
{
	uint64_t next = h->replay->top + 1;
	uint64_t frame_bytes = 0;
	unsigned i;

	for (i = 0; i < n; i++) {
		const uint8_t *p = rte_pktmbuf_mtod(m[i], const uint8_t *);
		uint32_t len = expect_match(e, p, m[i]->data_len);

		if (unlikely(len == 0 || m[i]->nb_segs != 1 ||
			     rail_data_counter(p + EXPECT_RAIL) != next + i))
			break;
		frame_bytes += m[i]->data_len;
		d[i].m = m[i];
		memcpy(d[i].src_ip, e->src_ip, sizeof(d[i].src_ip));
		d[i].src_port = e->src_port;
		d[i].udp_len = (uint16_t)len;
		hop_strip(m[i], EXPECT_RAIL, len);
	}
	*bytes = frame_bytes;
	return i;
}

unsigned hop_rx_expected(struct wctx *w, const struct expect *e, struct rte_mbuf **m, unsigned n,
	struct hop **routes, unsigned *n_routes, unsigned *off)
{
	struct hop *h = expected_hop(w, e);
	struct rx_dgram d[BURST];
	uint64_t bytes;
	unsigned k;

	*routes = NULL;
	*n_routes = 0;
	*off = 0;
	if (unlikely(h == NULL))
		return 0;
	if (h->keys[h->rx_key].cipher == AEAD_NONE && h->rel == NULL) {
		k = clear_run(w, h, e, m, n, &bytes);
		*routes = h;
		*n_routes = k;
		*off = HEAD4_LEN; // what a cut writes anew
	} else {
		k = sealed_run(h, e, m, n, &bytes, d);
	}
	if (unlikely(k == 0))
		return 0;
	count(w, W_rx_frames, k);
	count(w, W_rx_bytes, bytes);
	count(w, W_rx_data, k);
	count(w, W_dgram_in, k);
	if (*routes == NULL) {
		*n_routes = hop_open_in_order(w, h, d, k);
		for (unsigned i = 0; i < *n_routes; i++)
			m[i] = d[i].m;
		*routes = *n_routes != 0 ? h : NULL;
	}
	return k;
}

void hop_expect(const struct wctx *w, struct expect *e, uint16_t port, uint32_t rx_index)
{
	static const uint8_t ip4_prefix[12] = {[10] = 0xff, [11] = 0xff};
	uint64_t word = hop_table_rx_word(w->hops, rx_index);
	const struct hop *h;

	e->rx_index = 0;
	if (word == 0 || hop_word_owner(word) != w->id)
		return;
	h = hop_by_word(w, word);
	if (h == NULL || h->keys[h->rx_key].rx_index != rx_index ||
		memcmp(h->peer.ip, ip4_prefix, sizeof(ip4_prefix)) != 0)
		return;
	expect_set(e, w->mac[port], h->peer.ip, h->peer.port, h->local_port, rx_index);
}
