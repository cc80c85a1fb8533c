// The main lcore's part of the shared statistics: counters of the devices, gauges of pools and
// rules, a heart beat. Link changes are noticed here too, since the same query tells them. Workers
// and hops write their own blocks.

#include "dataplane/ctl/ctl_priv.h"

#include "dataplane/dp_crypto.h"
#include "lib/base/log.h"

#include <rte_cycles.h>
#include <rte_version.h>

#include <stdio.h>

LOG_MODULE("port");

enum {
	PORTS_NS = 250 * 1000 * 1000,
	POOLS_NS = 1000 * 1000 * 1000,
};

static void put(_Atomic uint64_t *to, uint64_t v)
{
	atomic_store_explicit(to, v, memory_order_relaxed);
}

static void naps(struct ctl *c)
{
	for (unsigned w = 0; w < worker_count(c->k.workers); w++)
		port_set_nap(c->k.ports, worker_ctx(c->k.workers, w));
}

void ctl_stats_open(struct ctl *c)
{
	struct stats_hdr *s = c->k.region->stats;

	naps(c);
	s->tsc_hz = rte_get_tsc_hz();
	snprintf(s->program, sizeof(s->program), "%s", SKYRAIL_VERSION);
	snprintf(s->dpdk, sizeof(s->dpdk), "%s", rte_version() + strlen("DPDK "));
	if (c->k.aead != NULL) {
		dp_crypto_backends(c->k.aead, s->aead, sizeof(s->aead));
		dp_crypto_ciphers(c->k.aead, s->ciphers, sizeof(s->ciphers));
	}
	for (unsigned i = 0; i < port_set_n(c->k.ports) && i < s->n_ports; i++) {
		struct evt_port e;

		port_show(c->k.ports, i, &e);
		snprintf(stats_port(s, i)->name, DPMSG_NAME_LEN, "%s", e.name);
		atomic_store_explicit(&stats_port(s, i)->used, 1, memory_order_release);
	}
}

static bool port_came_back(struct ctl *c, unsigned i, const char *name)
{
	char err[PORT_ERR_MAX];

	switch (port_again(c->k.ports, i, c->k.reclaim, c->now_ns, err)) {
	case PORT_AGAIN_DONE:
		log_notice("port=%s opened again: its interface is another one", name);
		return true;
	case PORT_AGAIN_FAILED:
		log_err("can't open again, will try on: %s", err);
		return false;
	default:
		return false;
	}
}

static void ports(struct ctl *c)
{
	for (unsigned i = 0; i < port_set_n(c->k.ports); i++) {
		struct evt_port e, was;
		bool back;

		port_show(c->k.ports, i, &was);
		if (i < c->k.region->stats->n_ports)
			port_stats(c->k.ports, i, stats_port(c->k.region->stats, i));
		back = port_came_back(c, i, was.name);
		if (!port_poll(c->k.ports, i) && !back)
			continue;
		naps(c);
		port_show(c->k.ports, i, &e);
		if (memcmp(was.mac, e.mac, sizeof(e.mac)) != 0) {
			worker_set_mac(c->k.workers, e.port, e.mac);
			log_notice("port=%s has another mac", e.name);
		}
		if (was.link_up != e.link_up)
			log_notice("port=%s link=%s", e.name, e.link_up ? "up" : "down");
		ctl_port_event(c, i);
	}
}

static void pools(struct ctl *c)
{
	struct stats_hdr *s = c->k.region->stats;
	uint64_t total, free_now;

	port_set_mbufs(c->k.ports, &total, &free_now);
	put(&s->mbufs_total, total);
	put(&s->mbufs_free, free_now);
	put(&s->beat, (c->now_ns - c->start_ns) / 1000000000);
}

void ctl_stats_turn(struct ctl *c)
{
	struct stats_hdr *s = c->k.region->stats;

	put(&s->rules_live, c->k.rules->n_live);
	put(&s->rules_expired, c->k.rules->n_gone[RULE_GONE_EXPIRED]);
	put(&s->rules_closed, c->k.rules->n_gone[RULE_GONE_CLOSE]);
	if (c->now_ns >= c->next_ports_ns) {
		c->next_ports_ns = c->now_ns + PORTS_NS;
		ports(c);
	}
	if (c->now_ns >= c->next_pools_ns) {
		c->next_pools_ns = c->now_ns + POOLS_NS;
		pools(c);
	}
}
