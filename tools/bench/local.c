// What dataplane/main.c does at its start, for benches: the same tables and workers, on devices of
// the bench's making.

#include "tools/bench/local.h"

#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RING_DESCS = 512, PAYLOAD_MAX = 9000, WINDOW_LOG2 = 13 };

static int rules_open(struct local *n, const struct local_conf *conf)
{
	if (conf->share != NULL) {
		n->rules = conf->share;
		return 0;
	}
	n->rules = calloc(1, sizeof(*n->rules));
	if (n->rules == NULL)
		return -ENOMEM;
	n->own_rules = true;
	return rule_table_init(n->rules, conf->rule_bits, SOCKET_ID_ANY, n->reclaim);
}

static int workers_open(struct local *n, const struct local_conf *conf)
{
	struct worker_conf wc = {
		.n_workers = conf->n_workers,
		.udp_ports = {conf->udp_port, 1},
		.idle = conf->idle,
		.rules = n->rules,
		.adjs = n->adjs,
		.hops = n->hops,
		.reclaim = n->reclaim,
		.region = &n->region,
	};

	n->set = worker_set_new(&wc);
	return n->set == NULL ? -errno : 0;
}

int local_open(struct local *n, const struct local_conf *conf, const char **what)
{
	struct region_conf rc = {
		.n_workers = conf->n_workers,
		.n_ports = DPMSG_MAX_PORTS,
		.hop_max = conf->hop_max,
		.rule_bits = conf->rule_bits,
		.rx_index_bits = conf->rx_index_bits,
		.adj_max = conf->hop_max,
		.udp_port = conf->udp_port,
		.udp_ports = 1,
	};
	int err;

	*n = (struct local){0};
	*what = "region";
	err = region_create(&n->region, &rc, 1);
	if (err != 0)
		return err;
	*what = "rules";
	n->reclaim = reclaim_new(conf->n_workers);
	err = n->reclaim == NULL ? -ENOMEM : rules_open(n, conf);
	if (err != 0)
		return err;
	*what = "hops";
	n->adjs = adj_table_new(conf->hop_max, n->reclaim);
	n->hops = hop_table_new(&(struct hop_table_conf){.hop_max = conf->hop_max,
		.rx_index_bits = (uint8_t)conf->rx_index_bits,
		.n_workers = (uint16_t)conf->n_workers,
		.stats = n->region.stats,
		.aead = conf->aead,
		.rel_bufs = conf->rel_bufs,
		.rules = n->rules});
	if (n->adjs == NULL || n->hops == NULL)
		return -ENOMEM;
	*what = "workers";
	return workers_open(n, conf);
}

void local_close(struct local *n)
{
	if (n->set != NULL) {
		worker_stop(n->set);
		worker_set_free(n->set);
	}
	if (n->hops != NULL)
		hop_table_free(n->hops);
	if (n->adjs != NULL)
		adj_table_free(n->adjs);
	if (n->own_rules && n->rules->slots != NULL)
		rule_table_fini(n->rules);
	if (n->own_rules)
		free(n->rules);
	if (n->reclaim != NULL)
		reclaim_free(n->reclaim);
	region_close(&n->region);
	*n = (struct local){0};
}

int local_link(
	struct adj_table *adjs, struct hop_table *hops, const struct local_link *l, uint64_t now_ns)
{
	struct cmd_adj_set adj = {.adj = l->hop, .port = l->port, .mtu = l->mtu, .usable = 1};
	struct cmd_hop_add hop = {
		.hop = l->hop,
		.tp = l->hop,
		.flow = 1,
		.mode = l->reliable ? HOP_MODE_RELIABLE : HOP_MODE_DATAGRAM,
		.owner = l->owner,
		.window_log2 = WINDOW_LOG2,
		.instance_local = 1,
		.instance_remote = 1,
		.peer = l->peer,
		.adj = l->hop,
		.local_port = l->self.port,
		.payload_max = PAYLOAD_MAX,
		.path_mtu = l->mtu,
		.keys = {.rx_index = l->rx_index,
			.tx_index = l->tx_index,
			.cipher = l->cipher,
			.initiator = l->initiator},
	};
	struct rte_ether_addr mac;
	uint16_t owner;
	int rc = rte_eth_macaddr_get(l->port, &mac);

	if (rc != 0)
		return rc;
	memcpy(adj.src_mac, &mac, 6);
	memcpy(adj.dst_mac, l->peer_mac, 6);
	memcpy(adj.src_ip, l->self.ip, 16);
	memcpy(adj.dst_ip, l->peer.ip, 16);
	snprintf(hop.name, sizeof(hop.name), "%s", l->name);
	memset(hop.keys.rx_key, l->rx_byte, sizeof(hop.keys.rx_key));
	memset(hop.keys.tx_key, l->tx_byte, sizeof(hop.keys.tx_key));
	rc = adj_set(adjs, &adj);
	return rc != 0 ? rc : hop_table_add(hops, &hop, now_ns, &owner);
}

int local_ring_port(const char *name, struct rte_ring **rx, unsigned n_rx, struct rte_ring **tx,
	unsigned n_tx, struct rte_mempool *pool, uint16_t *port)
{
	struct rte_eth_conf conf = {0};
	int rc = rte_eth_from_rings(name, rx, n_rx, tx, n_tx, SOCKET_ID_ANY);

	if (rc < 0)
		return -rte_errno;
	*port = (uint16_t)rc;
	rc = rte_eth_dev_configure(*port, (uint16_t)n_rx, (uint16_t)n_tx, &conf);
	for (unsigned q = 0; q < n_rx && rc == 0; q++)
		rc = rte_eth_rx_queue_setup(
			*port, (uint16_t)q, RING_DESCS, SOCKET_ID_ANY, NULL, pool);
	for (unsigned q = 0; q < n_tx && rc == 0; q++)
		rc = rte_eth_tx_queue_setup(*port, (uint16_t)q, RING_DESCS, SOCKET_ID_ANY, NULL);
	return rc != 0 ? rc : rte_eth_dev_start(*port);
}

void local_ring_close(uint16_t port)
{
	struct rte_eth_dev_info info;

	rte_eth_dev_stop(port);
	if (rte_eth_dev_info_get(port, &info) == 0)
		rte_dev_remove(info.device);
}
