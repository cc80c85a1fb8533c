// Builds and tears down the one-process node of the benches.

#include "tests/bench/env.h"

#include "lib/wire/route_hdr.h"
#include "tests/bench/loops.h"

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void env_die(const char *what, int err)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(1);
}

static bool have_hugepages(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	unsigned long n = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		sscanf(line, "HugePages_Free: %lu", &n);
	if (f != NULL)
		fclose(f);
	return n * 2 > 1500;
}

void env_start_eal(void)
{
	const char *huge[] = {"bench", "--in-memory", "-m", "1500", "--no-pci", "--no-telemetry",
		"--file-prefix=skyrail-bench", "--log-level=3", "--lcores=0@0,1@1"};
	const char *small[] = {"bench", "--no-huge", "-m", "1500", "--no-pci", "--no-telemetry",
		"--file-prefix=skyrail-bench", "--log-level=3", "--lcores=0@0,1@1", "--no-shconf"};
	bool h = have_hugepages();

	if (rte_eal_init(h ? 9 : 10, (char **)(uintptr_t)(h ? huge : small)) < 0)
		env_die("EAL", EIO);
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
	struct rte_eth_conf conf = {0};
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
	rc = rte_eth_from_rings(name, &e->in, 1, &e->out, 1, SOCKET_ID_ANY);
	if (rc < 0)
		env_die("ring device", rte_errno);
	e->port = (uint16_t)rc;
	if ((rc = rte_eth_dev_configure(e->port, 1, 1, &conf)) != 0 ||
		(rc = rte_eth_rx_queue_setup(e->port, 0, 512, SOCKET_ID_ANY, NULL, e->pool)) != 0 ||
		(rc = rte_eth_tx_queue_setup(e->port, 0, 512, SOCKET_ID_ANY, NULL)) != 0 ||
		(rc = rte_eth_dev_start(e->port)) != 0)
		env_die("ring device", rc);
}

static const struct dpmsg_addr self = {
	.ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1},
	.port = ENV_UDP,
};

static void make_hop(struct env *e, enum aead_cipher cipher)
{
	struct rte_ether_addr mac;
	struct cmd_adj_set adj = {
		.adj = 1u << DPMSG_HANDLE_BITS | 1,
		.port = e->port,
		.mtu = 1600,
		.usable = 1,
	};
	struct cmd_hop_add hop = {
		.hop = e->hop,
		.tp = e->tp,
		.flow = 1,
		.owner = 0,
		.window_log2 = 13,
		.instance_local = 1,
		.instance_remote = 1,
		.peer = self,
		.adj = adj.adj,
		.local_port = ENV_UDP,
		.payload_max = 9000,
		.name = "loop",
		.keys = {.rx_index = ENV_RX_INDEX,
			.tx_index = ENV_RX_INDEX,
			.cipher = cipher,
			.initiator = 1},
	};
	uint16_t owner;
	int rc;

	rte_eth_macaddr_get(e->port, &mac);
	memcpy(adj.src_mac, &mac, 6);
	memcpy(adj.dst_mac, &mac, 6);
	memcpy(adj.src_ip, self.ip, 16);
	memcpy(adj.dst_ip, self.ip, 16);
	memset(hop.keys.rx_key, 7, 32);
	memset(hop.keys.tx_key, 7, 32);
	if ((rc = adj_set(e->adjs, &adj)) != 0)
		env_die("adj", rc);
	if ((rc = hop_table_add(e->hops, &hop, e->w->now_ns, &owner)) != 0)
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
	struct region_conf rc = {
		.n_workers = 1,
		.n_ports = DPMSG_MAX_PORTS,
		.hop_max = 16,
		.rule_bits = bits,
		.rx_index_bits = 8,
		.adj_max = 16,
		.udp_port = ENV_UDP,
	};
	struct worker_conf wc;
	int err;

	if (e == NULL)
		env_die("memory", ENOMEM);
	e->hop = e->tp = 1u << DPMSG_HANDLE_BITS | 1;
	e->n_rules = share != NULL ? share->n_rules : n_rules;
	e->reclaim = reclaim_new(1);
	if ((err = region_create(&e->region, &rc, 1)) != 0)
		env_die("region", err);
	make_port(e, loop);
	if (share != NULL) {
		e->rules = share->rules;
	} else {
		e->rules = calloc(1, sizeof(*e->rules));
		e->own_rules = true;
		if ((err = rule_table_init(e->rules, bits, SOCKET_ID_ANY, e->reclaim)) != 0)
			env_die("rule table", err);
		fill_rules(e);
	}
	e->adjs = adj_table_new(16, e->reclaim);
	e->hops = hop_table_new(&(struct hop_table_conf){.hop_max = 16,
		.rx_index_bits = 8,
		.n_workers = 1,
		.stats = e->region.stats,
		.aead = be != NULL ? &aead : NULL});
	wc = (struct worker_conf){
		.n_workers = 1,
		.udp_port = ENV_UDP,
		.idle = idle,
		.rules = e->rules,
		.adjs = e->adjs,
		.hops = e->hops,
		.reclaim = e->reclaim,
		.region = &e->region,
	};
	e->set = worker_set_new(&wc);
	if (e->adjs == NULL || e->hops == NULL || e->set == NULL)
		env_die("worker", ENOMEM);
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
	worker_set_free(e->set);
	hop_table_free(e->hops);
	adj_table_free(e->adjs);
	if (e->own_rules) {
		rule_table_fini(e->rules);
		free(e->rules);
	}
	reclaim_free(e->reclaim);
	rte_eth_dev_stop(e->port);
	rte_eth_dev_close(e->port);
	if (e->out != e->in)
		rte_ring_free(e->out);
	rte_ring_free(e->in);
	rte_mempool_free(e->pool);
	region_close(&e->region);
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
