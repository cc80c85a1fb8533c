// Worker w of the node polls its port w; transport t is on port t mod workers and is owned by that
// worker, as RSS would have it. So with one transport a worker nothing is handed over but what
// routes themselves take from one worker to another.
//
//     bench port w: tx ring in[w] ---> rx of node port w | out[w][v] <--- tx of worker v on port w
//                   rx rings out[w][0..n-1]

#include "tools/bench/memory.h"

#include "lib/base/clock.h"
#include "tools/bench/local.h"

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MBUFS_BASE = 8192,
	MBUFS_WORKER = 4096,
	MBUF_CACHE = 256,
	MTU = 9600,
	UP_MS = 5000,
	BENCH_INDEX = 0x66660000, // receiver indices; low bits address the table
	NODE_INDEX = 0x55550000,
	BENCH_KEY = 0x41,
	NODE_KEY = 0x42,
	REL_BUFS = 8192, // that a worker, or the bench, keeps for reliable links
	TABLE_BITS = 11, // of receiver indices: more than ARGS_TRANSPORTS_MAX
};

struct memory {
	const struct args *args;
	struct local node;
	struct peer *peer;
	struct rte_mempool *pool;
	struct rte_ring *in[ARGS_WORKERS_MAX];
	struct rte_ring *out[ARGS_WORKERS_MAX][ARGS_WORKERS_MAX];
	uint16_t port[ARGS_WORKERS_MAX]; // the bench's
	uint16_t node_port[ARGS_WORKERS_MAX];
	unsigned n_ports; // pairs
	bool loopback;
};

static const struct dpmsg_addr bench_addr = {
	.ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1}, .port = 7780};
static const struct dpmsg_addr node_addr = {
	.ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 2}, .port = 7780};

static unsigned n_workers(const struct args *a)
{
	return a->mode == ARGS_LOOPBACK ? 1 : a->n_workers;
}

static uint32_t mbufs(const struct args *a)
{
	// in both directions of each port, from each worker
	uint32_t rings = n_workers(a) * (n_workers(a) + 1);

	uint32_t kept = a->reliable ? (n_workers(a) + 1) * REL_BUFS : 0;

	return MBUFS_BASE + n_workers(a) * MBUFS_WORKER + rings * a->queue_len + kept - 1;
}

static uint32_t data_room(const struct args *a)
{
	uint32_t len = 2048;

	for (unsigned i = 0; i < a->n_sizes; i++)
		if (a->size[i].len + 256 > len)
			len = (a->size[i].len + 511) & ~255u;
	return RTE_PKTMBUF_HEADROOM + len;
}

static unsigned rule_bits(const struct args *a)
{
	unsigned bits = RULE_BITS_MIN;

	while (1u << bits < a->n_rules)
		bits++;
	return bits;
}

uint64_t memory_need(const struct args *a)
{
	enum { BASE = 64 << 20, HOP = 64 << 10, MBUF_OVERHEAD = 128 + 64 + 16, PAGE = 4096 };
	uint64_t n = BASE;

	// without hugepages, no buffer of a pool lies across pages
	n += (uint64_t)mbufs(a) *
	     ((data_room(a) + MBUF_OVERHEAD + PAGE - 1) & ~(uint64_t)(PAGE - 1));
	n += (uint64_t)sizeof(struct rule) << rule_bits(a);
	n += peer_need(a->reliable ? a->n_routes : 0);
	return n + (uint64_t)(a->n_transports + 2) * 2 * HOP;
}

// ---- rings and ports ----

static struct rte_ring *ring(const struct memory *m, const char *name, unsigned a, unsigned b)
{
	char text[32];

	snprintf(text, sizeof(text), "%s%u_%u", name, a, b);
	return rte_ring_create(
		text, m->args->queue_len, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static int loop_port(struct memory *m)
{
	m->in[0] = ring(m, "loop", 0, 0);
	m->n_ports = 1;
	return m->in[0] == NULL
		       ? -ENOMEM
		       : local_ring_port("bench_loop", m->in, 1, m->in, 1, m->pool, &m->port[0]);
}

static int port_pair(struct memory *m, unsigned w)
{
	unsigned n = m->args->n_workers;
	char name[32];
	int rc;

	m->in[w] = ring(m, "in", w, 0);
	if (m->in[w] == NULL)
		return -ENOMEM;
	for (unsigned v = 0; v < n; v++)
		if ((m->out[w][v] = ring(m, "out", w, v)) == NULL)
			return -ENOMEM;
	m->n_ports = w + 1;
	snprintf(name, sizeof(name), "bench_node%u", w);
	rc = local_ring_port(name, &m->in[w], 1, m->out[w], n, m->pool, &m->node_port[w]);
	if (rc != 0)
		return rc;
	snprintf(name, sizeof(name), "bench_port%u", w);
	return local_ring_port(name, m->out[w], n, &m->in[w], 1, m->pool, &m->port[w]);
}

static int ports_make(struct memory *m)
{
	int rc = 0;

	m->pool = rte_pktmbuf_pool_create("bench", mbufs(m->args), MBUF_CACHE, 0,
		(uint16_t)data_room(m->args), SOCKET_ID_ANY);
	if (m->pool == NULL)
		return -ENOMEM;
	if (m->loopback)
		return loop_port(m);
	for (unsigned w = 0; w < m->args->n_workers && rc == 0; w++)
		rc = port_pair(m, w);
	return rc;
}

// ---- the node ----

static void bind_worker(struct memory *m, unsigned id)
{
	struct wctx *w = worker_ctx(m->node.set, id);

	w->pool = m->pool;
	w->rxq[0] = (struct rx_queue){.port = m->node_port[id]};
	w->n_rxq = 1;
	for (unsigned p = 0; p < m->n_ports; p++) {
		struct rte_ether_addr mac;

		w->tx[m->node_port[p]].queue = (uint16_t)id;
		w->tx[m->node_port[p]].mtu = MTU;
		if (rte_eth_macaddr_get(m->node_port[p], &mac) == 0)
			memcpy(w->mac[m->node_port[p]], &mac, 6);
	}
}

static int node_make(struct memory *m)
{
	const struct local_conf conf = {
		.n_workers = m->args->n_workers,
		.rule_bits = rule_bits(m->args),
		.hop_max = m->args->n_transports + 2,
		.rx_index_bits = TABLE_BITS,
		.udp_port = node_addr.port,
		.idle = IDLE_POLL,
		.rel_bufs = m->args->reliable ? REL_BUFS : 0,
	};
	const char *what;
	unsigned lcore, w = 0;
	int rc = local_open(&m->node, &conf, &what);

	for (unsigned i = 0; i < conf.n_workers && rc == 0; i++)
		bind_worker(m, i);
	RTE_LCORE_FOREACH_WORKER (lcore) {
		if (rc == 0 && w < conf.n_workers)
			rc = worker_launch(m->node.set, w++, lcore);
	}
	return rc == 0 && w < conf.n_workers ? -ENODEV : rc;
}

// ---- links ----

static uint32_t handle(unsigned t)
{
	return 1u << DPMSG_HANDLE_BITS | (t + 1);
}

static int link_add(struct memory *m, bool at_node, const struct local_link *l)
{
	struct adj_table *adjs = (struct adj_table *)(uintptr_t)m->peer->w.adjs;
	struct hop_table *hops = peer_hops(m->peer);
	uint64_t end_ns = clock_mono_ns() + UP_MS * CLOCK_NS_PER_MS;
	int rc;

	if (at_node) {
		adjs = m->node.adjs;
		hops = m->node.hops;
	}
	do { // a worker takes a few commands a turn
		rc = local_link(adjs, hops, l, clock_mono_ns());
		peer_turn(m->peer);
	} while (rc == -EAGAIN && clock_mono_ns() < end_ns);
	return rc;
}

static int link_make(struct memory *m, struct traffic *t, unsigned i)
{
	unsigned p = i % m->n_ports;
	struct local_link l = {
		.hop = handle(i),
		.rx_index = BENCH_INDEX | (i + 1),
		.tx_index = (m->loopback ? BENCH_INDEX : NODE_INDEX) | (i + 1),
		.rx_byte = NODE_KEY,
		.tx_byte = m->loopback ? NODE_KEY : BENCH_KEY,
		.cipher = m->args->cipher,
		.initiator = true,
		.reliable = m->args->reliable,
		.port = m->port[p],
		.mtu = MTU,
		.self = bench_addr,
		.peer = m->loopback ? bench_addr : node_addr,
		.name = "bench",
	};
	struct local_link node = l;
	struct rte_ether_addr mac;
	int rc;

	t->link[i].hop = l.hop;
	t->link[i].port = l.port;
	rte_eth_macaddr_get(m->loopback ? m->port[p] : m->node_port[p], &mac);
	memcpy(l.peer_mac, &mac, 6);
	if (!m->loopback) {
		node.rx_index = l.tx_index;
		node.tx_index = l.rx_index;
		node.rx_byte = l.tx_byte;
		node.tx_byte = l.rx_byte;
		node.initiator = false;
		node.owner = (uint8_t)p;
		node.port = m->node_port[p];
		node.self = node_addr;
		node.peer = bench_addr;
		rte_eth_macaddr_get(m->port[p], &mac);
		memcpy(node.peer_mac, &mac, 6);
		if ((rc = link_add(m, true, &node)) != 0)
			return rc;
	}
	return link_add(m, false, &l);
}

static bool is_up(const struct hop_table *hops, uint32_t hop)
{
	return atomic_load_explicit(&hops->up[dpmsg_handle_index(hop)], memory_order_relaxed) != 0;
}

static int links_make(struct memory *m, struct traffic *t)
{
	uint64_t end_ns = clock_mono_ns() + UP_MS * CLOCK_NS_PER_MS;
	int rc = 0;

	for (unsigned i = 0; i < t->n_links && rc == 0; i++)
		rc = link_make(m, t, i);
	for (unsigned i = 0; i < t->n_links && rc == 0;) {
		peer_turn(m->peer);
		if (is_up(peer_hops(m->peer), t->link[i].hop) &&
			(m->loopback || is_up(m->node.hops, t->link[i].hop)))
			i++;
		else if (clock_mono_ns() > end_ns)
			rc = -ETIMEDOUT;
	}
	return rc;
}

// ---- rules ----

static int rule_make(struct memory *m, struct traffic *t, uint32_t nr, uint32_t place)
{
	uint32_t in = nr % t->n_links;
	uint32_t out = m->args->same_transport ? in : (in + 1) % t->n_links;
	struct cmd_rule_add c = {
		.id = 1u << m->node.rules->bits | place,
		.next_id = 2u << m->node.rules->bits | place,
		.tx_hop = handle(out),
		.in_tp = handle(in),
		.flags = RULE_STATIC,
		.type = RULE_INTERMEDIARY,
	};

	if (nr < t->n_flows) {
		t->flow[nr].in_id = c.id;
		t->flow[nr].out_id = c.next_id;
	}
	return rule_table_add(m->node.rules, &c, 0);
}

static int rules_make(struct memory *m, struct traffic *t)
{
	uint32_t *order = calloc(m->args->n_rules, sizeof(*order));
	int rc = order == NULL ? -ENOMEM : 0;

	if (rc == 0)
		traffic_shuffle(order, m->args->n_rules, m->args->seed);
	for (uint32_t i = 0; i < m->args->n_rules && rc == 0; i++)
		rc = rule_make(m, t, i, order[i]);
	free(order);
	return rc;
}

static void loop_ids(struct traffic *t)
{
	for (uint32_t i = 0; i < t->n_flows; i++)
		t->flow[i].in_id = t->flow[i].out_id = i + 1;
}

// ---- begin and end ----

static int peer_make(struct memory *m, peer_sink sink, void *sink_ctx)
{
	m->peer = peer_new(&(struct peer_conf){.pool = m->pool,
		.hop_max = m->args->n_transports + 2,
		.rx_index_bits = TABLE_BITS,
		.udp_port = bench_addr.port,
		.n_udp = 1,
		.n_routes = m->args->reliable ? m->args->n_routes : 0,
		.rel_bufs = REL_BUFS,
		.sink = sink,
		.sink_ctx = sink_ctx});
	if (m->peer == NULL)
		return -ENOMEM;
	for (unsigned p = 0; p < m->n_ports; p++)
		peer_port(
			m->peer, m->port[p], (uint16_t)(m->loopback ? 1 : m->args->n_workers), MTU);
	return 0;
}

struct memory *memory_open(const struct args *a, struct traffic *t, peer_sink sink, void *sink_ctx,
	char err[MEMORY_ERR_MAX])
{
	struct memory *m = calloc(1, sizeof(*m));
	const char *what = "memory";
	int rc = m == NULL ? -ENOMEM : 0;

	if (rc == 0) {
		m->args = a;
		m->loopback = a->mode == ARGS_LOOPBACK;
		for (unsigned p = 0; p < ARGS_WORKERS_MAX; p++)
			m->port[p] = m->node_port[p] = RTE_MAX_ETHPORTS; // none yet
		what = "ring devices";
		rc = ports_make(m);
	}
	if (rc == 0) {
		what = "links";
		rc = peer_make(m, sink, sink_ctx);
	}
	if (rc == 0 && !m->loopback) {
		what = "node";
		rc = node_make(m);
	}
	if (rc == 0) {
		what = "links";
		rc = links_make(m, t);
	}
	if (rc == 0 && m->loopback)
		loop_ids(t);
	if (rc == 0 && !m->loopback) {
		what = "rules";
		rc = rules_make(m, t);
	}
	if (rc == 0)
		return m;
	snprintf(err, MEMORY_ERR_MAX, "%s: %s", what, strerror(-rc));
	memory_close(m);
	errno = -rc;
	return NULL;
}

static void drain(struct rte_ring *r)
{
	struct rte_mbuf *m;

	while (r != NULL && rte_ring_dequeue(r, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(r);
}

void memory_close(struct memory *m)
{
	if (m == NULL)
		return;
	if (m->node.set != NULL)
		worker_stop(m->node.set);
	local_close(&m->node);
	peer_free(m->peer);
	for (unsigned p = 0; p < m->n_ports; p++) {
		local_ring_close(m->port[p]);
		if (!m->loopback)
			local_ring_close(m->node_port[p]);
	}
	for (unsigned p = 0; p < m->n_ports; p++) {
		drain(m->in[p]);
		for (unsigned v = 0; v < ARGS_WORKERS_MAX; v++)
			drain(m->out[p][v]);
	}
	rte_mempool_free(m->pool);
	free(m);
}

struct peer *memory_peer(struct memory *m)
{
	return m->peer;
}

static void notes_drop(struct hop_table *hops, unsigned worker)
{
	struct dp_note n[16];

	while (hop_table_notes(hops, worker, n, ARRAY_LEN(n), NULL) > 0)
		;
}

void memory_poll(void *ctx)
{
	struct memory *m = ctx;

	notes_drop(peer_hops(m->peer), 0);
	for (unsigned w = 0; !m->loopback && w < m->args->n_workers; w++)
		notes_drop(m->node.hops, w);
}

uint64_t memory_missed(void *ctx)
{
	const struct memory *m = ctx;
	uint64_t n = 0;

	for (unsigned w = 0; !m->loopback && w < m->args->n_workers; w++)
		n += stat_get(&worker_ctx(m->node.set, w)->c[W_drop_tx_full]);
	return n;
}

int memory_drops(void *ctx, struct drops *out)
{
	const struct memory *m = ctx;

	*out = (struct drops){0};
	for (size_t k = 0; k < W_COUNT && !m->loopback; k++)
		for (unsigned w = 0; w < m->args->n_workers; w++)
			out->worker[k] += stat_get(&worker_ctx(m->node.set, w)->c[k]);
	out->worker[W_drop_tx_full] = 0;
	return 0;
}
