// The life of a node: what dataplane/main.c and controlplane/main.c do at start, on a ring device
// and on the world's loop; and their death, at any moment.
#include "tests/soak/soak.h"

#include "dataplane/ctl/ctl_priv.h"
#include "dataplane/dp_crypto.h"
#include "dataplane/io/port_priv.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/crypto/hash.h"
#include "lib/link/rail_hs.h"

#include <rte_ethdev.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	HOPS = 32, // two links, of four flows each, and those that end
	ADJS = 64,
	RX_INDEX_BITS = 8,
	CMD_RING = 4096, // small, so that they fill
	EVT_RING = 4096,
	HS_RING = 4096,
	PACKET_RING = 256 * 1024, // a packet is half of it at most
	REKEY_MS = 40000,
	LIVE = 1 << 30, // credit: cycles are not the world's
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static unsigned n_workers(const struct soak_node *n)
{
	static const unsigned workers[SOAK_NODES] = {1, SOAK_WORKERS, 2};

	return workers[n->i];
}

static void path_of(const struct soak_node *n, const char *file, char *out, size_t cap)
{
	snprintf(out, cap, "%s/%s", n->dir, file);
}

// ---- data plane ----

static void tables_open(struct soak_node *n)
{
	struct soak_dp *d = &n->dp;

	d->rc = (struct region_conf){.n_workers = n_workers(n),
		.n_ports = SOAK_NODES,
		.hop_max = HOPS,
		.rule_bits = SOAK_RULE_BITS,
		.rx_index_bits = RX_INDEX_BITS,
		.adj_max = ADJS,
		.udp_port = SOAK_UDP,
		.udp_ports = SOAK_FLOWS,
		.cmd_size = CMD_RING,
		.evt_size = EVT_RING,
		.hs_size = HS_RING,
		.up_size = PACKET_RING,
		.down_size = PACKET_RING};
	dp_crypto_tell(&soak.aead, &d->rc);
	must(region_create(&d->region, &d->rc, soak_word() | 1) == 0, "region");
	d->reclaim = reclaim_new(n_workers(n));
	must(d->reclaim != NULL && rule_table_init(&d->rules, SOAK_RULE_BITS, -1, d->reclaim) == 0,
		"rules");
	d->adjs = adj_table_new(ADJS, d->reclaim);
	d->hops = hop_table_new(&(struct hop_table_conf){.hop_max = HOPS,
		.rx_index_bits = RX_INDEX_BITS,
		.n_workers = (uint16_t)n_workers(n),
		.stats = d->region.stats,
		.aead = &soak.aead,
		.rel_bufs = soak.rel_bufs,
		.rules = &d->rules});
	must(d->adjs != NULL && d->hops != NULL, "tables");
}

// Worker 0 has the port's queues, another one hands over what it sends.
static void workers_open(struct soak_node *n)
{
	struct soak_dp *d = &n->dp;

	d->workers = worker_set_new(&(struct worker_conf){.n_workers = n_workers(n),
		.udp_ports = {SOAK_UDP, SOAK_FLOWS},
		.idle = IDLE_POLL,
		.rules = &d->rules,
		.adjs = d->adjs,
		.hops = d->hops,
		.reclaim = d->reclaim,
		.region = &d->region});
	must(d->workers != NULL, "workers");
	for (unsigned i = 0; i < n_workers(n); i++) {
		struct wctx *w = worker_ctx(d->workers, i);
		struct tx_array *tx = &w->tx[n->port];

		w->pool = n->pool;
		w->rng = soak_word() | 1;
		if (i == 0)
			w->rxq[w->n_rxq++] = (struct rx_queue){.port = n->port};
		tx->queue = i == 0 ? 0 : TX_NO_QUEUE;
		tx->mtu = PORT_MTU_DEFAULT;
		w->exception[n->port] = PORT_DROP;
		w->ports_away = &n->ports->away;
		reclaim_online(d->reclaim, i);
	}
}

// ---- its port ----

// The device of the node is taken for one of those that are dialed once and again by the data plane
// when their link is down. What is left of the last data plane's work goes.
static void port_begin(struct soak_node *n)
{
	static const struct port_driver dialed = {.name = "net_memif"};
	struct port *p = &n->ports->p[0];

	if (p->started)
		rte_eth_dev_stop(p->id);
	p->driver = &dialed;
	p->started = rte_eth_dev_start(p->id) == 0;
	p->leaving = false;
	p->again_ns = 0;
	atomic_store_explicit(&n->ports->away, 0, memory_order_relaxed);
	must(p->started, "port");
}

void soak_unplug(struct soak_node *n)
{
	n->unplugged = true;
}

void soak_plug(struct soak_node *n)
{
	n->unplugged = false;
}

void soak_dp_start(struct soak_node *n)
{
	static const unsigned lcores[SOAK_WORKERS];
	struct soak_dp *d = &n->dp;
	char path[128];

	if (d->alive)
		return;
	*d = (struct soak_dp){.alive = true};
	soak.current = n;
	path_of(n, "dataplane.sock", path, sizeof(path));
	d->listen_fd = region_listen(path);
	must(d->listen_fd >= 0, path);
	port_begin(n);
	tables_open(n);
	workers_open(n);
	d->ctl = ctl_new(&(struct ctl_conf){.region = &d->region,
		.region_conf = &d->rc,
		.rules = &d->rules,
		.reclaim = d->reclaim,
		.adjs = d->adjs,
		.hops = d->hops,
		.ports = n->ports,
		.workers = d->workers,
		.lcores = lcores,
		.aead = &soak.aead,
		.listen_fd = d->listen_fd,
		.control_uid = (uid_t)-1});
	must(d->ctl != NULL, "ctl");
}

static void ring_drain(struct rte_ring *r)
{
	struct rte_mbuf *m;

	while (rte_ring_dequeue(r, (void **)&m) == 0)
		rte_pktmbuf_free(m);
}

// All at once, as the kernel does it; every buffer is back then.
void soak_dp_kill(struct soak_node *n)
{
	struct soak_dp *d = &n->dp;
	unsigned left;

	if (!d->alive)
		return;
	soak.current = n;
	soak.count.resets += soak_dp_counter(n, W_rel_resets);
	soak.count.away += soak_dp_counter(n, W_drop_tx_away);
	ctl_free(d->ctl);
	worker_set_free(d->workers);
	hop_table_free(d->hops);
	adj_table_free(d->adjs);
	rule_table_fini(&d->rules);
	reclaim_free(d->reclaim);
	region_close(&d->region);
	close(d->listen_fd);
	d->alive = false;
	ring_drain(n->rx);
	ring_drain(n->tx);
	left = SOAK_BUFS - n->n_stolen - rte_mempool_avail_count(n->pool);
	if (left != 0)
		soak_fail("node %u: %u buffers are lost with the data plane", n->i, left);
	soak_excuse(n->i, SOAK_DP_KILLED);
}

uint64_t soak_dp_counter(const struct soak_node *n, enum worker_counter k)
{
	uint64_t sum = 0;

	for (unsigned i = 0; n->dp.alive && i < n_workers(n); i++)
		sum += stat_get(&stats_worker(n->dp.region.stats, i)->c[k]);
	return sum;
}

// ---- control plane ----

static void transport_add(struct soak_node *n, unsigned link)
{
	const struct soak_link *l = &soak.link[link];
	unsigned peer = l->end[l->end[0] == n->i];
	struct transport_conf c = {.mode = l->mode,
		.ciphers = TRANSPORT_AUTO,
		.flows = (uint8_t)soak_pick(1, SOAK_FLOWS),
		// the last link is one of which only one end knows the other's address
		.dial = link != 2 || l->end[0] == n->i,
		.peer = *identity_pk(soak.node[peer].id)};
	char err[256] = "";

	snprintf(c.name, sizeof(c.name), "t%u", peer);
	if (c.dial) {
		c.addr.ip[10] = c.addr.ip[11] = 0xff;
		c.addr.ip[12] = 10;
		c.addr.ip[15] = (uint8_t)(peer + 1);
		c.addr.port = SOAK_UDP;
	}
	if (transport_mgr_add(n->cp.transports, &c, err, sizeof(err)) < 0)
		soak_fail("node %u: transport %s: %s", n->i, c.name, err);
}

static void on_transport(void *arg, struct transport *t, enum transport_change what)
{
	soak.count.other_flows += what == TRANSPORT_CHANGE_FLOWS;
}

static void transports_open(struct soak_node *n)
{
	struct soak_cp *c = &n->cp;
	struct transport_mgr_conf conf = {.loop = c->loop,
		.dp = c->dp,
		.neigh = c->neigh,
		.id = n->id,
		.state_dir = n->dir,
		.rekey_ms = REKEY_MS};

	c->transports = transport_mgr_new(&conf);
	must(c->transports != NULL, "transports");
	c->watch.fn = on_transport;
	transport_mgr_watch(c->transports, &c->watch);
	for (unsigned i = 0; i < SOAK_LINKS; i++)
		if (soak.link[i].end[0] == n->i || soak.link[i].end[1] == n->i)
			transport_add(n, i);
}

static struct transport *tr_find(void *arg, const char *name)
{
	return transport_mgr_find(arg, name);
}

static struct transport *tr_find_hop(void *arg, uint32_t hop)
{
	return transport_mgr_find_hop(arg, hop);
}

static struct transport *tr_find_tp(void *arg, uint32_t tp)
{
	return transport_mgr_find_tp(arg, tp);
}

static void rules_open(struct soak_node *n)
{
	struct soak_cp *c = &n->cp;
	struct rule_transports tr = {.find = tr_find,
		.find_hop = tr_find_hop,
		.find_tp = tr_find_tp,
		.tp = transport_tp,
		.hop = transport_hop,
		.is_up = transport_is_up,
		.name = transport_name,
		.arg = c->transports};
	struct api_rule_add conf[SOAK_ROUTES];
	uint8_t secret[32] = {(uint8_t)(n->i + 1)};
	char path[128];
	size_t n_conf = 0;

	path_of(n, "route.life", path, sizeof(path));
	c->ids = route_id_new(secret, path);
	must(c->ids != NULL, "route ids");
	c->rules = rule_mgr_new(c->loop, c->dp, c->ids, &tr, c->transports);
	soak_rules_of(n->i, conf, &n_conf);
	must(c->rules != NULL && rule_mgr_config(c->rules, conf, n_conf) == 0, "rules");
}

void soak_cp_start(struct soak_node *n)
{
	struct soak_cp *c = &n->cp;
	unsigned life = c->life + 1;
	uint8_t mac1_key[32];
	char path[128];

	if (c->alive)
		return;
	*c = (struct soak_cp){.alive = true, .life = life};
	soak.current = n;
	c->loop = loop_new();
	must(c->loop != NULL, "loop");
	rail_hs_mac1_key(mac1_key, identity_pk(n->id));
	path_of(n, "dataplane.sock", path, sizeof(path));
	c->dp = dp_client_new(c->loop, path, mac1_key);
	must(c->dp != NULL, "client");
	c->neigh = soak_neigh_new(n);
	transports_open(n);
	rules_open(n);
	soak_edge_attach(n);
	dp_client_start(c->dp);
}

void soak_cp_kill(struct soak_node *n)
{
	struct soak_cp *c = &n->cp;
	struct transport_mgr_stats ts;
	struct dp_client_stats ds;

	if (!c->alive)
		return;
	soak.current = n;
	dp_client_stats_get(c->dp, &ds);
	transport_mgr_stats_get(c->transports, &ts);
	soak.count.overflows += ds.overflows;
	soak.count.refused += ds.full;
	soak.count.rekeys += ts.rekeys;
	soak.count.handshakes += ts.hs_inits_taken + ts.hs_responses_taken;
	c->alive = false;
	dp_client_stop(c->dp);
	rule_mgr_free(c->rules);
	transport_mgr_free(c->transports);
	soak_neigh_free(c->neigh);
	dp_client_free(c->dp);
	route_id_free(c->ids);
	loop_free(c->loop);
	soak_excuse(n->i, SOAK_CP_KILLED);
}

struct transport *soak_transport(struct soak_node *n, unsigned to)
{
	char name[8];

	snprintf(name, sizeof(name), "t%u", to);
	return n->cp.alive ? transport_mgr_find(n->cp.transports, name) : NULL;
}

// ---- moves ----

static void on_moved(void *arg, int status)
{
	struct soak_node *n = arg;
	// by the end of the data plane, or of this control plane, and by nothing else
	bool cut_off = status == -ECONNRESET && !dp_client_is_ready(n->cp.dp);

	n->cp.moves--;
	soak.count.moves += status == 0;
	soak.count.no_room += status == -ENOSPC;
	if (status != 0 && status != -ENOSPC && status != -ENOTCONN && status != -EAGAIN &&
		!cut_off)
		soak_fail("node %u: no move: %s", n->i, strerror(-status));
}

void soak_move(struct soak_node *n)
{
	struct transport *t =
		soak_transport(n, (n->i + 1 + (unsigned)soak_pick(0, 1)) % SOAK_NODES);
	unsigned flow = (unsigned)soak_pick(0, SOAK_FLOWS);
	unsigned to = (unsigned)soak_pick(0, n_workers(n) - 1);

	if (t == NULL || n->cp.stopped)
		return;
	soak.current = n;
	if (transport_mgr_move(n->cp.transports, t, flow, to, on_moved, n) == 0)
		n->cp.moves++;
}

bool soak_link_is_up(const struct soak_link *l)
{
	for (unsigned i = 0; i < 2; i++) {
		struct transport *t = soak_transport(&soak.node[l->end[i]], l->end[!i]);

		if (t == NULL || !transport_is_up(t) || !transport_in_dp(t))
			return false;
	}
	return true;
}

// ---- both ----

static bool dp_turn(struct soak_node *n)
{
	struct soak_dp *d = &n->dp;
	bool busy = false;

	if (n->unplugged)
		rte_eth_dev_set_link_down(n->port);
	if (!d->main_stopped) {
		busy = ctl_turn(d->ctl, soak.now_ns);
		busy |= ctl_sock_turn(d->ctl, 0);
	}
	for (unsigned i = 0; !d->workers_stopped && i < n_workers(n); i++) {
		struct wctx *w = worker_ctx(d->workers, i);

		w->foreign_credit = w->mac_credit = LIVE;
		busy |= worker_turn_at(w, soak.now_ns);
	}
	return busy | soak_collect(n);
}

bool soak_node_turn(struct soak_node *n)
{
	bool busy = false;

	soak.current = n;
	if (n->dp.alive)
		busy |= dp_turn(n);
	if (n->cp.alive && !n->cp.stopped)
		busy |= soak_loop_turn(n->cp.loop);
	return busy;
}

void soak_node_make(unsigned i)
{
	struct soak_node *n = &soak.node[i];
	struct key_sk sk;

	*n = (struct soak_node){.i = i,
		.port = n->port,
		.ports = n->ports,
		.rx = n->rx,
		.tx = n->tx,
		.pool = n->pool};
	memset(sk.b, (int)i + 1, sizeof(sk.b));
	n->id = identity_from_sk(&sk);
	must(n->id != NULL, "identity");
	snprintf(n->dir, sizeof(n->dir), "/tmp/skyrail-soak-XXXXXX");
	must(mkdtemp(n->dir) != NULL, "directory");
}

void soak_node_free(struct soak_node *n)
{
	static const char *const files[] = {"dataplane.sock", "route.life", "last_init"};
	char path[128];

	soak_cp_kill(n);
	rte_pktmbuf_free_bulk(n->stolen, n->n_stolen);
	n->n_stolen = 0;
	soak_dp_kill(n);
	identity_free(n->id);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		path_of(n, files[i], path, sizeof(path));
		unlink(path);
	}
	rmdir(n->dir);
}
