// Builds a node of several workers on ring devices, and runs them on as many lcores.

#include "tests/bench/mesh.h"

#include "lib/wire/route_hdr.h"
#include "tests/bench/slice.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POOL = 4095, FIRST = 1 << DPMSG_HANDLE_BITS, TURNS = 64, IDLE_US = 2 };

static uint32_t handle(unsigned hop)
{
	return (uint32_t)FIRST | (hop + 1);
}

static uint32_t rule_id(const struct mesh *m, uint32_t i)
{
	return 1u << m->node.rules->bits | i;
}

static struct wctx *owner(const struct mesh *m, unsigned hop)
{
	return worker_ctx(m->node.set, hop % m->conf.n_workers);
}

// ---- rules ----

// One random cycle (Sattolo) through the rules of each group.
static uint32_t *cycles(const struct mesh_conf *c)
{
	uint32_t *next = malloc(c->n_rules * sizeof(*next));

	if (next == NULL)
		env_die("permutation", ENOMEM);
	for (uint32_t i = 0; i < c->n_rules; i++)
		next[i] = i;
	for (uint32_t i = c->n_rules - 1; i >= c->n_groups; i--) {
		uint32_t g = i % c->n_groups;
		uint32_t k = (uint32_t)random() % (i / c->n_groups) * c->n_groups + g;
		uint32_t t = next[i];

		next[i] = next[k];
		next[k] = t;
	}
	return next;
}

static void fill_rules(struct mesh *m)
{
	const struct mesh_conf *c = &m->conf;
	uint32_t *next = cycles(c);

	for (uint32_t i = 0; i < c->n_rules; i++)
		m->hop_of[i] =
			(uint8_t)((uint32_t)random() % (MESH_HOPS / c->n_groups) * c->n_groups +
				  i % c->n_groups);
	for (uint32_t i = 0; i < c->n_rules; i++) {
		struct cmd_rule_add add = {
			.id = rule_id(m, i),
			.next_id = rule_id(m, next[i]),
			.tx_hop = handle(m->hop_of[next[i]]),
			.in_tp = handle(m->hop_of[i]),
			.flags = RULE_STATIC,
			.type = RULE_INTERMEDIARY,
		};
		int rc = rule_table_add(m->node.rules, &add, 0);

		if (rc != 0)
			env_die("rule", rc);
	}
	free(next);
}

// ---- devices and hops ----

static void make_pools(struct mesh *m)
{
	static unsigned serial;
	char name[32];

	for (unsigned i = 0; i < m->conf.n_workers; i++) {
		snprintf(name, sizeof(name), "mesh_pool%u", serial++);
		m->pool[i] = rte_pktmbuf_pool_create(
			name, POOL, 256, 0, RTE_PKTMBUF_HEADROOM + 2048, SOCKET_ID_ANY);
		if (m->pool[i] == NULL)
			env_die("pool", ENOMEM);
		worker_ctx(m->node.set, i)->pool = m->pool[i];
	}
}

static void make_port(struct mesh *m, unsigned hop)
{
	static unsigned serial;
	unsigned own = hop % m->conf.n_workers;
	struct wctx *w = owner(m, hop);
	char name[32];
	uint16_t port;
	int rc;

	snprintf(name, sizeof(name), "mesh%u", serial++);
	m->ring[hop] =
		rte_ring_create(name, ENV_RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (m->ring[hop] == NULL)
		env_die("ring", ENOMEM);
	rc = local_ring_port(name, &m->ring[hop], 1, &m->ring[hop], 1, m->pool[own], &m->port[hop]);
	if (rc != 0)
		env_die("ring device", rc);
	port = m->port[hop];
	w->rxq[w->n_rxq++] = (struct rx_queue){.port = port, .queue = 0};
	rte_eth_macaddr_get(port, (struct rte_ether_addr *)w->mac[port]);
	for (unsigned i = 0; i < m->conf.n_workers; i++) {
		struct tx_array *tx = &worker_ctx(m->node.set, i)->tx[port];

		tx->queue = i == own ? 0 : TX_NO_QUEUE;
		tx->owner = (uint16_t)own;
		tx->mtu = 9000;
	}
}

static void make_hop(struct mesh *m, unsigned hop)
{
	const struct dpmsg_addr self = {
		.ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1}, .port = ENV_UDP};
	struct local_link l = {
		.hop = handle(hop),
		.rx_index = ENV_RX_INDEX + hop,
		.tx_index = ENV_RX_INDEX + hop,
		.rx_byte = 7,
		.tx_byte = 7,
		.cipher = m->conf.cipher,
		.initiator = true,
		.owner = (uint8_t)(hop % m->conf.n_workers),
		.port = m->port[hop],
		.mtu = 1600,
		.self = self,
		.peer = self,
		.name = "mesh",
	};
	struct wctx *w = owner(m, hop);
	int rc;

	memcpy(l.peer_mac, w->mac[m->port[hop]], sizeof(l.peer_mac));
	rc = local_link(m->node.adjs, m->node.hops, &l, w->now_ns);
	if (rc != 0)
		env_die("hop", rc);
	for (unsigned i = 0; i < 64; i++) // the owner takes it up, its first probe is acked
		worker_turn(w);
}

struct mesh *mesh_new(const struct mesh_conf *c)
{
	const struct aead_choice aead = {.be = {c->be, c->be, aead_backend_select(AEAD_NONE)}};
	struct local_conf conf = {
		.n_workers = c->n_workers,
		.rule_bits = RULE_BITS_MIN,
		.hop_max = 2 * MESH_HOPS,
		.rx_index_bits = 8,
		.udp_port = ENV_UDP,
		.idle = IDLE_POLL,
		.aead = &aead,
	};
	struct mesh *m = calloc(1, sizeof(*m) + c->n_rules);
	const char *what = "";
	int err;

	if (m == NULL)
		env_die("mesh", ENOMEM);
	m->conf = *c;
	while (1u << conf.rule_bits < c->n_rules)
		conf.rule_bits++;
	err = local_open(&m->node, &conf, &what);
	if (err != 0)
		env_die(what, err);
	make_pools(m);
	for (unsigned hop = 0; hop < MESH_HOPS; hop++)
		make_port(m, hop);
	for (unsigned hop = 0; hop < MESH_HOPS; hop++)
		make_hop(m, hop);
	fill_rules(m);
	return m;
}

void mesh_free(struct mesh *m)
{
	void *frame;

	local_close(&m->node);
	for (unsigned hop = 0; hop < MESH_HOPS; hop++) {
		rte_eth_dev_stop(m->port[hop]);
		rte_eth_dev_close(m->port[hop]);
		while (rte_ring_dequeue(m->ring[hop], &frame) == 0)
			rte_pktmbuf_free(frame);
		rte_ring_free(m->ring[hop]);
	}
	for (unsigned i = 0; i < m->conf.n_workers; i++)
		rte_mempool_free(m->pool[i]);
	free(m);
}

// ---- traffic ----

static void put_one(struct mesh *m, struct wctx *w, uint32_t i, uint32_t payload_len)
{
	struct rte_mbuf *b = rte_pktmbuf_alloc(w->pool);
	uint8_t *p = b == NULL ? NULL
			       : (uint8_t *)rte_pktmbuf_append(
					 b, (uint16_t)(ROUTE_HDR_LEN + payload_len));

	if (p == NULL)
		env_die("mbuf", ENOMEM);
	route_hdr_put(p, ROUTE_DATA, rule_id(m, i), (uint16_t)payload_len);
	memset(p + ROUTE_HDR_LEN, 0x5a, payload_len);
	if (hop_tx_push(w, handle(m->hop_of[i]), &b, 1) != HOP_PUSHED)
		env_die("hop is not up", ENOTCONN);
	hop_tx_flush(w);
	tx_flush(w, m->port[m->hop_of[i]]);
}

void mesh_fill(struct mesh *m, unsigned n, uint32_t payload_len)
{
	unsigned put[MESH_WORKERS] = {0}, left = n * m->conf.n_workers;

	while (left > 0) {
		uint32_t i = (uint32_t)random() % m->conf.n_rules;
		unsigned own = m->hop_of[i] % m->conf.n_workers;

		if (put[own] == n)
			continue;
		put_one(m, worker_ctx(m->node.set, own), i, payload_len);
		put[own]++;
		left--;
	}
}

// ---- running ----

struct slice {
	unsigned (*turn)(void *);
	void *ctx;
	uint64_t sent;
	uint64_t idle_tsc; // in turns that found nothing
	uint64_t idle_max; // of one turn: what is longer, somebody else ran in
	_Atomic bool *go, *stop;
	double rate;
};

static void some_turns(struct slice *s)
{
	for (unsigned i = 0; i < TURNS; i++) {
		uint64_t begin = rte_rdtsc();
		unsigned n = s->turn(s->ctx);

		s->sent += n;
		if (n == 0)
			s->idle_tsc += RTE_MIN(rte_rdtsc() - begin, s->idle_max);
	}
}

// One worker waits for packets of the other when that one has lost its core.
static void slice_end(struct slice *s, double passed)
{
	s->rate = (double)s->sent / (passed - (double)s->idle_tsc / (double)rte_get_tsc_hz());
}

static int slice_main(void *arg)
{
	struct slice *s = arg;
	double start;

	while (!atomic_load_explicit(s->go, memory_order_acquire))
		rte_pause();
	start = cpu_s();
	while (!atomic_load_explicit(s->stop, memory_order_relaxed))
		some_turns(s);
	slice_end(s, cpu_s() - start);
	return 0;
}

double slices_run(unsigned n, unsigned (*turn)(void *), void *const *ctx)
{
	unsigned lcore = rte_get_next_lcore(-1, 1, 0);
	_Atomic bool go = false, stop = false;
	struct slice s[2] = {0};
	double start, passed;

	for (unsigned i = 0; i < n; i++)
		s[i] = (struct slice){.turn = turn,
			.ctx = ctx[i],
			.idle_max = rte_get_tsc_hz() / 1000000 * IDLE_US,
			.go = &go,
			.stop = &stop};
	if (n > 1 &&
		(lcore >= RTE_MAX_LCORE || rte_eal_remote_launch(slice_main, &s[1], lcore) != 0))
		env_die("second lcore", ENODEV);
	atomic_store_explicit(&go, true, memory_order_release);
	start = cpu_s();
	do {
		some_turns(&s[0]);
	} while (!slice_ends(start, &passed));
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	slice_end(&s[0], passed);
	if (n > 1)
		rte_eal_wait_lcore(lcore);
	return s[0].rate + s[1].rate;
}

static unsigned worker_sends(void *arg)
{
	struct wctx *w = arg;
	uint64_t before = stat_get(&w->c[W_pkt_forwarded]);

	worker_turn(w);
	return (unsigned)(stat_get(&w->c[W_pkt_forwarded]) - before);
}

double mesh_run(void *mesh)
{
	struct mesh *m = mesh;
	void *ctx[MESH_WORKERS];

	for (unsigned i = 0; i < m->conf.n_workers; i++)
		ctx[i] = worker_ctx(m->node.set, i);
	return slices_run(m->conf.n_workers, worker_sends, ctx);
}

double mesh_run_two(void *meshes)
{
	struct mesh **m = meshes;
	void *ctx[MESH_WORKERS] = {worker_ctx(m[0]->node.set, 0), worker_ctx(m[1]->node.set, 0)};

	return slices_run(MESH_WORKERS, worker_sends, ctx);
}
