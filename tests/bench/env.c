// Builds and tears down the one-process node of the benches.

#include "tests/bench/env.h"

#include "lib/wire/route_hdr.h"
#include "tests/bench/loops.h"
#include "tools/bench/eal.h"

#include <rte_ethdev.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void env_die(const char *what, int err)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(1);
}

void env_start_eal(void)
{
	char err[EAL_ERR_MAX];
	const struct eal_ask ask = {.name = "bench",
		.n_workers = 1,
		.cores = "0@0,1@1",
		.extra = "",
		.need_len = 1499ull << 20};

	if (eal_open(&ask, NULL, err) < 0) {
		fprintf(stderr, "bench: %s\n", err);
		exit(1);
	}
}

uint32_t env_id(const struct env *e, uint32_t i)
{
	return 1u << e->rules->bits | i;
}

// One random cycle through all rules (Sattolo), so that no packet ever stays in a small part of the
// table.
static void fill_rules(struct env *e)
{
	uint32_t n = e->n_rules;
	uint32_t *next = malloc(n * sizeof(*next));

	if (next == NULL)
		env_die("permutation", ENOMEM);
	for (uint32_t i = 0; i < n; i++)
		next[i] = i;
	srandom(1);
	for (uint32_t i = n - 1; i > 0; i--) {
		uint32_t k = (uint32_t)random() % i;
		uint32_t t = next[i];
		next[i] = next[k];
		next[k] = t;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct cmd_rule_add c = {
			.id = env_id(e, i),
			.next_id = env_id(e, next[i]),
			.tx_hop = e->hop,
			.in_tp = e->tp,
			.flags = RULE_STATIC,
			.type = RULE_INTERMEDIARY,
		};
		int rc = rule_table_add(e->rules, &c, 0);
		if (rc != 0)
			env_die("rule", rc);
	}
	free(next);
}

static void make_port(struct env *e, bool loop)
{
	static unsigned serial;
	char name[32];
	int rc;

	snprintf(name, sizeof(name), "bench_in%u", serial);
	e->in = rte_ring_create(name, ENV_RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	snprintf(name, sizeof(name), "bench_out%u", serial);
	e->out = loop ? e->in
		      : rte_ring_create(
				name, ENV_RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	snprintf(name, sizeof(name), "bench_pool%u", serial);
	e->pool = rte_pktmbuf_pool_create(
		name, 8191, 256, 0, RTE_PKTMBUF_HEADROOM + 2048, SOCKET_ID_ANY);
	snprintf(name, sizeof(name), "bench%u", serial++);
	if (e->in == NULL || e->out == NULL || e->pool == NULL)
		env_die("ring or pool", ENOMEM);
	if ((rc = local_ring_port(name, &e->in, 1, &e->out, 1, e->pool, &e->port)) != 0)
		env_die("ring device", rc);
}

static const struct dpmsg_addr self = {
	.ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1},
	.port = ENV_UDP,
};

static void make_hop(struct env *e, enum aead_cipher cipher)
{
	struct local_link l = {
		.hop = e->hop,
		.rx_index = ENV_RX_INDEX,
		.tx_index = ENV_RX_INDEX,
		.rx_byte = 7,
		.tx_byte = 7,
		.cipher = cipher,
		.initiator = true,
		.port = e->port,
		.mtu = 1600,
		.self = self,
		.peer = self,
		.name = "loop",
	};
	struct rte_ether_addr mac;
	int rc;

	rte_eth_macaddr_get(e->port, &mac);
	memcpy(l.peer_mac, &mac, 6);
	if ((rc = local_link(e->node.adjs, e->node.hops, &l, e->w->now_ns)) != 0)
		env_die("hop", rc);
	for (unsigned i = 0; i < 64; i++) // the owner takes it up, its first probe is acked
		worker_turn(e->w);
}

struct env *env_new(unsigned bits, uint32_t n_rules, struct env *share, enum aead_cipher cipher,
	bool loop, enum idle_mode idle)
{
	return env_new_by(NULL, bits, n_rules, share, cipher, loop, idle);
}

struct env *env_new_by(const struct aead_backend *be, unsigned bits, uint32_t n_rules,
	struct env *share, enum aead_cipher cipher, bool loop, enum idle_mode idle)
{
	const struct aead_choice aead = {.be = {be, be, aead_backend_select(AEAD_NONE)}};
	struct env *e = calloc(1, sizeof(*e));
	const struct local_conf conf = {
		.n_workers = 1,
		.rule_bits = bits,
		.share = share != NULL ? share->rules : NULL,
		.hop_max = 16,
		.rx_index_bits = 8,
		.udp_port = ENV_UDP,
		.idle = idle,
		.aead = be != NULL ? &aead : NULL,
	};
	const char *what;
	int err;

	if (e == NULL)
		env_die("memory", ENOMEM);
	e->hop = e->tp = 1u << DPMSG_HANDLE_BITS | 1;
	e->n_rules = share != NULL ? share->n_rules : n_rules;
	make_port(e, loop);
	if ((err = local_open(&e->node, &conf, &what)) != 0)
		env_die(what, err);
	e->rules = e->node.rules;
	e->set = e->node.set;
	if (share == NULL)
		fill_rules(e);
	e->w = worker_ctx(e->set, 0);
	e->w->pool = e->pool;
	e->w->rxq[0] = (struct rx_queue){.port = e->port, .queue = 0};
	e->w->n_rxq = 1;
	e->w->tx[e->port].queue = 0;
	e->w->tx[e->port].mtu = 9000;
	rte_eth_macaddr_get(e->port, (struct rte_ether_addr *)e->w->mac[e->port]);
	if (cipher != (enum aead_cipher) - 1)
		make_hop(e, cipher);
	return e;
}

void env_drain(struct env *e)
{
	struct rte_mbuf *m;

	while (rte_ring_dequeue(e->in, (void **)&m) == 0 ||
		rte_ring_dequeue(e->out, (void **)&m) == 0)
		rte_pktmbuf_free(m);
}

void env_free(struct env *e)
{
	worker_stop(e->set);
	env_drain(e);
	local_close(&e->node);
	rte_eth_dev_stop(e->port);
	rte_eth_dev_close(e->port);
	if (e->out != e->in)
		rte_ring_free(e->out);
	rte_ring_free(e->in);
	rte_mempool_free(e->pool);
	free(e);
}

static struct rte_mbuf *route_packet(struct env *e, uint32_t id, uint32_t payload_len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(e->pool);
	uint8_t *p;

	if (m == NULL)
		env_die("mbuf", ENOMEM);
	p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(ROUTE_HDR_LEN + payload_len));
	route_hdr_put(p, ROUTE_DATA, id, (uint16_t)payload_len);
	memset(p + ROUTE_HDR_LEN, 0x5a, payload_len);
	return m;
}

void env_fill(struct env *e, unsigned n, uint32_t payload_len)
{
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m =
			route_packet(e, env_id(e, (uint32_t)random() % e->n_rules), payload_len);
		if (hop_tx_push(e->w, e->hop, &m, 1) != HOP_PUSHED)
			env_die("hop is not up", ENOTCONN);
		if (i % 16 == 15 || i == n - 1) {
			hop_tx_flush(e->w);
			tx_flush(e->w, e->port);
		}
	}
}

void env_fill_bare(struct env *e, unsigned n, uint32_t payload_len)
{
	static const uint8_t head[OFF_RAIL] = {
		[12] = 0x08,
		[14] = 0x45,
		[22] = 64,
		[23] = 17,
		[26] = 10,
		[29] = 1,
		[30] = 10,
		[33] = 1,
		[34] = ENV_UDP >> 8,
		[35] = ENV_UDP & 0xff,
		[36] = ENV_UDP >> 8,
		[37] = ENV_UDP & 0xff,
	};

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m =
			route_packet(e, env_id(e, (uint32_t)random() % e->n_rules), payload_len);
		uint8_t *p = (uint8_t *)rte_pktmbuf_prepend(m, OFF_ROUTE);

		if (p == NULL)
			env_die("no headroom", ENOSPC);
		memset(p, 0, OFF_ROUTE);
		memcpy(p, head, sizeof(head));
		rte_pktmbuf_append(m, 16); // the tag's place
		if (rte_ring_enqueue(e->in, m) != 0)
			env_die("ring full", ENOSPC);
	}
}
