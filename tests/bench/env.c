// Builds and tears down the one-process node of the benches.

#include "tests/bench/env.h"

#include "lib/base/clock.h"
#include "lib/wire/route_hdr.h"
#include "tests/bench/loops.h"
#include "tests/bench/slice.h"
#include "tools/bench/eal.h"

#include <rte_ethdev.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	POOL = 8191,
	REL_BUFS = POOL / 10 * 6, // as a node's share
	FEW_HOPS = 16,
	RX_BITS_FEW = 8,
	RX_BITS_MANY = 16,
};

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
		name, POOL, 256, 0, RTE_PKTMBUF_HEADROOM + 2048, SOCKET_ID_ANY);
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

int env_hop_add(struct env *e, uint32_t h, enum aead_cipher cipher)
{
	uint32_t index = ENV_RX_INDEX + (h - e->hop);
	struct local_link l = {
		.hop = h,
		.rx_index = index,
		.tx_index = index,
		.rx_byte = 7,
		.tx_byte = 7,
		.cipher = cipher,
		.initiator = true,
		.reliable = e->reliable,
		.port = e->port,
		.mtu = 1600,
		.self = self,
		.peer = self,
		.name = "loop",
	};
	struct rte_ether_addr mac;

	rte_eth_macaddr_get(e->port, &mac);
	memcpy(l.peer_mac, &mac, 6);
	return local_link(e->node.adjs, e->node.hops, &l, e->w->now_ns);
}

static void make_hop(struct env *e, enum aead_cipher cipher)
{
	int rc = env_hop_add(e, e->hop, cipher);

	if (rc != 0)
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
	const struct env_conf c = {.be = be,
		.bits = bits,
		.n_rules = n_rules,
		.share = share,
		.cipher = cipher,
		.loop = loop,
		.idle = idle};

	return env_new_conf(&c);
}

static void make_node(struct env *e, const struct env_conf *c)
{
	const struct aead_choice aead = {.be = {c->be, c->be, aead_backend_select(AEAD_NONE)}};
	const struct local_conf conf = {
		.n_workers = 1,
		.rule_bits = c->bits,
		.share = c->share != NULL ? c->share->rules : NULL,
		.hop_max = c->hop_max != 0 ? c->hop_max : FEW_HOPS,
		.rx_index_bits = c->hop_max != 0 ? RX_BITS_MANY : RX_BITS_FEW,
		.udp_port = ENV_UDP,
		.idle = c->idle,
		.aead = c->be != NULL ? &aead : NULL,
		.rel_bufs = c->reliable ? REL_BUFS : 0,
	};
	const char *what;
	int err = local_open(&e->node, &conf, &what);

	if (err != 0)
		env_die(what, err);
}

struct env *env_new_conf(const struct env_conf *c)
{
	struct env *e = calloc(1, sizeof(*e));

	if (e == NULL)
		env_die("memory", ENOMEM);
	e->hop = e->tp = 1u << DPMSG_HANDLE_BITS | 1;
	e->n_rules = c->share != NULL ? c->share->n_rules : c->n_rules;
	e->reliable = c->reliable;
	make_port(e, c->loop);
	make_node(e, c);
	e->rules = e->node.rules;
	e->set = e->node.set;
	if (c->share == NULL)
		fill_rules(e);
	e->w = worker_ctx(e->set, 0);
	e->w->pool = e->pool;
	e->w->rxq[0] = (struct rx_queue){.port = e->port, .queue = 0};
	e->w->n_rxq = 1;
	e->w->tx[e->port].queue = 0;
	e->w->tx[e->port].mtu = 9000;
	rte_eth_macaddr_get(e->port, (struct rte_ether_addr *)e->w->mac[e->port]);
	if (c->cipher != (enum aead_cipher) - 1)
		make_hop(e, c->cipher);
	return e;
}

double env_run(void *env)
{
	struct env *e = env;
	uint64_t before = stat_get(&e->w->c[W_pkt_forwarded]);
	double start = cpu_s(), passed;

	do {
		for (unsigned i = 0; i < 256; i++)
			worker_turn(e->w);
	} while (!slice_ends(start, &passed));
	return (double)(stat_get(&e->w->c[W_pkt_forwarded]) - before) / passed;
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
		uint32_t id = env_id(e, (uint32_t)random() % e->n_rules);
		struct rte_mbuf *m = route_packet(e, rule_slot(e->rules, id)->next_id, payload_len);

		m->hash.usr = id & e->rules->mask; // as one that this rule forwards
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

struct env_cipher env_best_cipher(void)
{
	struct env *any = env_new(4, 2, NULL, AEAD_NONE, true, IDLE_POLL);
	enum aead_cipher k = AEAD_CHACHA20_POLY1305;
	struct aead_choice c;

	if (aead_choose(&c, any->w->aead, NULL, clock_mono_ns) != 0)
		env_die("ciphers", ENOTSUP);
	if (c.be[AEAD_AES_256_GCM] != NULL && c.ns[AEAD_AES_256_GCM] <= c.ns[k])
		k = AEAD_AES_256_GCM;
	env_free(any);
	return (struct env_cipher){.be = c.be[k], .kind = k};
}
