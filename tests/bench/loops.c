// Bare receive-lookup-rewrite-send loops. No hop, no replay window, no statistics: the floor.

#include "tests/bench/loops.h"

#include "dataplane/worker/wctx.h"
#include "lib/base/bytes.h"

#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_prefetch.h>
#include <rte_udp.h>

enum { N = BURST }; // as the worker

static inline bool headers_ok(const uint8_t *p, uint16_t len)
{
	const struct rte_ether_hdr *eth = (const struct rte_ether_hdr *)p;
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(eth + 1);
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(ip + 1);

	return len >= OFF_ROUTE + 7 && eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4) &&
	       ip->version_ihl == 0x45 && ip->next_proto_id == IPPROTO_UDP &&
	       udp->dst_port == RTE_BE16(7780);
}

static inline void swap_outer(uint8_t *p)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)p;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);
	struct rte_ether_addr mac = eth->src_addr;
	rte_be32_t addr = ip->src_addr;
	rte_be16_t port = udp->src_port;

	// a swap leaves the IP checksum as it is; the UDP checksum is zero
	eth->src_addr = eth->dst_addr;
	eth->dst_addr = mac;
	ip->src_addr = ip->dst_addr;
	ip->dst_addr = addr;
	udp->src_port = udp->dst_port;
	udp->dst_port = port;
}

static inline unsigned rx(const struct loop *l, struct rte_mbuf **m, uint32_t *ids)
{
	unsigned n = rte_eth_rx_burst(l->port, 0, m, N);

	for (unsigned i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *p = rte_pktmbuf_mtod(m[i], const uint8_t *);
		ids[i] = headers_ok(p, m[i]->data_len) ? be32_get(p + OFF_ROUTE + 1) : 0;
	}
	return n;
}

static inline unsigned tx(const struct loop *l, struct rte_mbuf **m, unsigned n)
{
	unsigned sent = n == 0 ? 0 : rte_eth_tx_burst(l->port, 0, m, (uint16_t)n);

	for (unsigned i = sent; i < n; i++)
		rte_pktmbuf_free(m[i]);
	return sent;
}

unsigned loop_bare(const struct loop *l)
{
	struct rte_mbuf *m[N], *out[N];
	uint32_t ids[N];
	unsigned n = rx(l, m, ids), n_out = 0;

	for (unsigned i = 0; i < n; i++)
		rte_prefetch0(rule_slot(l->rules, ids[i])); // hides the miss of the lookup below
	for (unsigned i = 0; i < n; i++) {
		uint8_t *p = rte_pktmbuf_mtod(m[i], uint8_t *);
		const struct rule *r = rule_lookup(l->rules, ids[i]);

		if (r == NULL) {
			rte_pktmbuf_free(m[i]);
			continue;
		}
		be32_put(p + OFF_ROUTE + 1, r->next_id);
		swap_outer(p);
		out[n_out++] = m[i];
	}
	return tx(l, out, n_out);
}

unsigned loop_hash(const struct loop *l)
{
	struct rte_mbuf *m[N], *out[N];
	uint32_t ids[N];
	const void *keys[N];
	int32_t pos[N];
	unsigned n = rx(l, m, ids), n_out = 0;

	if (n == 0)
		return 0;
	for (unsigned i = 0; i < n; i++)
		keys[i] = &ids[i];
	rte_hash_lookup_bulk(l->hash, keys, n, pos);
	for (unsigned i = 0; i < n; i++)
		if (pos[i] >= 0)
			rte_prefetch0(&l->values[pos[i]]);
	for (unsigned i = 0; i < n; i++) {
		uint8_t *p = rte_pktmbuf_mtod(m[i], uint8_t *);

		if (pos[i] < 0) {
			rte_pktmbuf_free(m[i]);
			continue;
		}
		be32_put(p + OFF_ROUTE + 1, l->values[pos[i]].next_id);
		swap_outer(p);
		out[n_out++] = m[i];
	}
	return tx(l, out, n_out);
}
