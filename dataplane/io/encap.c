// The adj table and the last two steps of a frame: headers from a template, then the port's burst
// call. Knows Ethernet, IP and UDP; knows nothing of rail, keys or rules, and resolves no address:
// the control plane mirrors the kernel's neighbours and says what a template holds.

#include "dataplane/io/encap.h"

#include "lib/base/bytes.h"
#include "lib/base/err.h"

#include <rte_ethdev.h>
#include <rte_ip.h>

#include <assert.h>
#include <stdlib.h>

enum { OFF_IP = 14, OFF_UDP6 = OFF_IP + 40, MTU_MIN = 1280 };

struct adj_table {
	// owner: main | workers: acquire
	_Atomic(struct adj *) *slots;
	uint32_t n_slots;
	// owner: main
	uint32_t n_live;
	struct reclaim *reclaim;
	struct adj *batch; // unlinked since the last token
	struct adj *waiting; // their grace period is `token`
	uint64_t token;
};

static const uint8_t ip4_prefix[12] = {[10] = 0xff, [11] = 0xff};

static uint32_t sum_words(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += be16_get(p + i);
	return sum;
}

static void make_ip4(struct adj *a, const struct cmd_adj_set *c)
{
	uint8_t *ip = a->tmpl + OFF_IP;

	be16_put(a->tmpl + 12, RTE_ETHER_TYPE_IPV4);
	ip[0] = 0x45;
	be16_put(ip + 6, 0x4000); // never fragmented; an id is not needed then (RFC 6864)
	ip[8] = c->ttl != 0 ? c->ttl : 64;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, c->src_ip + 12, 4);
	memcpy(ip + 16, c->dst_ip + 12, 4);
	a->sum = encap_fold(sum_words(ip, 20));
	a->hdr_len = ENCAP_HDR4_LEN;
}

static void make_ip6(struct adj *a, const struct cmd_adj_set *c)
{
	uint8_t *ip = a->tmpl + OFF_IP;

	be16_put(a->tmpl + 12, RTE_ETHER_TYPE_IPV6);
	ip[0] = 0x60;
	ip[6] = IPPROTO_UDP;
	ip[7] = c->ttl != 0 ? c->ttl : 64;
	memcpy(ip + 8, c->src_ip, 16);
	memcpy(ip + 24, c->dst_ip, 16);
	a->sum = sum_words(ip + 8, 32) + IPPROTO_UDP;
	a->hdr_len = OFF_UDP6 + 8;
	a->ip6 = 1;
}

static bool set_is_valid(const struct adj_table *t, const struct cmd_adj_set *c)
{
	bool src4 = memcmp(c->src_ip, ip4_prefix, 12) == 0;
	bool dst4 = memcmp(c->dst_ip, ip4_prefix, 12) == 0;

	if (c->adj == 0 || dpmsg_handle_index(c->adj) >= t->n_slots || c->usable > 1)
		return false;
	if (c->usable == 0)
		return true;
	return c->port < DPMSG_MAX_PORTS && c->mtu >= MTU_MIN && src4 == dst4;
}

struct adj_table *adj_table_new(uint32_t n_adjs, struct reclaim *reclaim)
{
	struct adj_table *t;

	if (n_adjs == 0 || n_adjs > 1u << DPMSG_HANDLE_BITS)
		return errno_null(EINVAL);
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->slots = calloc(n_adjs, sizeof(t->slots[0]));
	if (t->slots == NULL) {
		free(t);
		return errno_null(ENOMEM);
	}
	t->n_slots = n_adjs;
	t->reclaim = reclaim;
	return t;
}

static void free_list(struct adj *a)
{
	while (a != NULL) {
		struct adj *next = a->next_retired;

		free(a);
		a = next;
	}
}

void adj_table_free(struct adj_table *t)
{
	if (t == NULL)
		return;
	for (uint32_t i = 0; i < t->n_slots; i++)
		free(atomic_load_explicit(&t->slots[i], memory_order_relaxed));
	free_list(t->batch);
	free_list(t->waiting);
	free(t->slots);
	free(t);
}

void adj_poll(struct adj_table *t)
{
	if (t->waiting != NULL && reclaim_done(t->reclaim, t->token)) {
		free_list(t->waiting);
		t->waiting = NULL;
	}
	if (t->waiting == NULL && t->batch != NULL) {
		t->waiting = t->batch;
		t->batch = NULL;
		t->token = reclaim_start(t->reclaim);
	}
}

// The new content of a slot is visible, the old one goes once no worker can see it.
static void replace(struct adj_table *t, uint32_t index, struct adj *a)
{
	// pairs with the acquire in adj_find()
	struct adj *old = atomic_exchange_explicit(&t->slots[index], a, memory_order_acq_rel);

	t->n_live += (a != NULL) - (old != NULL);
	if (old != NULL) {
		old->next_retired = t->batch;
		t->batch = old;
	}
	adj_poll(t);
}

int adj_set(struct adj_table *t, const struct cmd_adj_set *c)
{
	struct adj *a;

	if (!set_is_valid(t, c))
		return -EINVAL;
	a = aligned_alloc(_Alignof(struct adj), sizeof(*a));
	if (a == NULL)
		return -ENOMEM;
	memset(a, 0, sizeof(*a));
	a->set = *c;
	memset(&a->set.h, 0, sizeof(a->set.h));
	a->handle = c->adj;
	if (c->usable != 0) {
		a->port = c->port;
		memcpy(a->tmpl, c->dst_mac, 6);
		memcpy(a->tmpl + 6, c->src_mac, 6);
		if (memcmp(c->dst_ip, ip4_prefix, 12) == 0)
			make_ip4(a, c);
		else
			make_ip6(a, c);
		a->payload_max = c->mtu - (a->ip6 ? ENCAP_UDP6 : ENCAP_UDP4);
	}
	replace(t, dpmsg_handle_index(c->adj), a);
	return 0;
}

static struct adj *live(const struct adj_table *t, uint32_t index)
{
	return index < t->n_slots ? atomic_load_explicit(&t->slots[index], memory_order_acquire)
				  : NULL;
}

int adj_del(struct adj_table *t, uint32_t adj)
{
	const struct adj *a = live(t, dpmsg_handle_index(adj));

	if (a == NULL || a->handle != adj)
		return -ENOENT;
	replace(t, dpmsg_handle_index(adj), NULL);
	return 0;
}

uint32_t adj_count(const struct adj_table *t)
{
	return t->n_live;
}

int adj_show(const struct adj_table *t, uint32_t index, struct evt_adj *out)
{
	const struct adj *a = live(t, index);

	if (a == NULL)
		return -ENOENT;
	memset(out, 0, sizeof(*out));
	out->h.len = sizeof(*out);
	out->h.type = EVT_ADJ;
	out->set = a->set;
	return 0;
}

const struct adj *adj_find(const struct adj_table *t, uint32_t adj)
{
	// the acquire in live() pairs with the exchange in replace()
	const struct adj *a = live(t, dpmsg_handle_index(adj));

	return a != NULL && a->handle == adj && a->hdr_len != 0 ? a : NULL;
}

static inline void put_ip4(const struct adj *a, const uint8_t *tmpl, struct rte_mbuf *m)
{
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *) - ENCAP_HDR4_LEN;

	// 42 bytes as three overlapping vector moves
	memcpy(p, tmpl, 16);
	memcpy(p + 16, tmpl + 16, 16);
	memcpy(p + 26, tmpl + 26, 16);
	encap_lengths4(a->sum, p, m->data_len);
	m->data_off -= ENCAP_HDR4_LEN;
	m->data_len += ENCAP_HDR4_LEN;
	m->pkt_len = m->data_len;
}

static inline void put_ip6(const struct adj *a, const uint8_t *tmpl, struct rte_mbuf *m)
{
	uint8_t *payload = rte_pktmbuf_mtod(m, uint8_t *);
	uint8_t *p = payload - (OFF_UDP6 + 8);
	uint16_t udp_len = (uint16_t)(m->data_len + 8);
	uint32_t sum = a->sum + 2 * udp_len + be16_get(tmpl + OFF_UDP6) +
		       be16_get(tmpl + OFF_UDP6 + 2) +
		       rte_bswap16(rte_raw_cksum(payload, m->data_len));
	uint16_t csum = (uint16_t)~encap_fold(sum);

	memcpy(p, tmpl, OFF_UDP6 + 8);
	be16_put(p + OFF_IP + 4, udp_len);
	be16_put(p + OFF_UDP6 + 4, udp_len);
	be16_put(p + OFF_UDP6 + 6, csum != 0 ? csum : 0xffff); // 0 would mean none
	m->data_off -= OFF_UDP6 + 8;
	m->data_len += OFF_UDP6 + 8;
	m->pkt_len = m->data_len;
}

static inline void tx_add(struct wctx *w, uint16_t port, struct tx_array *t, struct rte_mbuf *m)
{
	t->m[t->n++] = m;
	t->bytes += m->pkt_len;
	if (t->n == TX_ARRAY)
		tx_flush(w, port);
}

void encap_burst(struct wctx *w, const struct adj *a, struct rte_mbuf **m, unsigned n,
	uint16_t src_port, uint16_t dst_port)
{
	struct tx_array *t;
	uint8_t tmpl[sizeof(a->tmpl)];
	uint32_t max;

	count(w, W_tx_built, n);
	if (unlikely(a == NULL || w->tx[a->port].mtu == 0)) {
		count(w, W_drop_adj, n);
		rte_pktmbuf_free_bulk(m, n);
		return;
	}
	t = &w->tx[a->port];
	max = encap_payload_max(w, a);
	memcpy(tmpl, a->tmpl, sizeof(tmpl));
	be16_put(tmpl + a->hdr_len - 8, src_port);
	be16_put(tmpl + a->hdr_len - 6, dst_port);
	for (unsigned i = 0; i < n; i++) {
		if (unlikely(m[i]->pkt_len > max)) {
			drop(w, W_drop_tx_mtu, m[i]);
			continue;
		}
		if (likely(!a->ip6))
			put_ip4(a, tmpl, m[i]);
		else
			put_ip6(a, tmpl, m[i]);
		tx_add(w, a->port, t, m[i]);
	}
}

void encap(struct wctx *w, uint32_t adj, struct rte_mbuf *m, uint16_t src_port, uint16_t dst_port)
{
	assert(m->nb_segs == 1 && rte_pktmbuf_headroom(m) >= ENCAP_HDR_MAX);
	encap_burst(w, adj_find(w->adjs, adj), &m, 1, src_port, dst_port);
}

void tx_frame(struct wctx *w, uint16_t port, struct rte_mbuf *m)
{
	tx_add(w, port, &w->tx[port], m);
}

void tx_flush(struct wctx *w, uint16_t port)
{
	struct tx_array *t = &w->tx[port];
	uint32_t bytes = t->bytes;
	uint16_t sent;

	if (t->n == 0)
		return;
	t->bytes = 0;
	if (unlikely(t->queue == TX_NO_QUEUE)) {
		for (unsigned i = 0; i < t->n; i++)
			w->ops->handoff_raw(w, t->owner, port, t->m[i]);
		t->n = 0;
		return;
	}
	if (unlikely(w->away >> port & 1)) {
		count(w, W_drop_tx_away, t->n);
		rte_pktmbuf_free_bulk(t->m, t->n);
		t->n = 0;
		return;
	}
	sent = rte_eth_tx_burst(port, t->queue, t->m, t->n);
	if (unlikely(sent < t->n)) {
		for (unsigned i = sent; i < t->n; i++)
			bytes -= t->m[i]->pkt_len;
		count(w, W_drop_tx_full, t->n - sent);
		rte_pktmbuf_free_bulk(&t->m[sent], t->n - sent);
	}
	count(w, W_tx_frames, sent);
	count(w, W_tx_bytes, bytes);
	t->n = 0;
}
