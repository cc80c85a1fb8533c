// The lists of the API: what modules and the statistics segment know, turned into records. Values
// of the segment are read while workers write them; each is whole, together they are of nearly one
// moment. Rules come page by page from the data plane, and what there is of each transport as well,
// as fast as the client takes them.
#include "controlplane/rpc/api_priv.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/crypto/aead.h"
#include "lib/link/pmtu.h"
#include "lib/shm/stats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COPY API_COPY

// Over somebody's list, a record each.
struct walk {
	struct api *a;
	struct api_req *r;
};

// ---- node, ports, workers ----

static void count_up(void *arg, struct transport *t)
{
	struct api_node *n = arg;

	n->transports++;
	n->transports_up += transport_is_up(t);
}

void api_list_node(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	const struct region_hdr *info = dp_client_info(a->d.dp);
	const struct stats_view *s = api_stats(a);
	struct api_node n = {
		.cp_pid = (uint32_t)getpid(), .workers = a->n_workers, .ports = a->n_ports};

	COPY(n.name, a->d.node);
	COPY(n.version, SKYRAIL_VERSION);
	memcpy(n.pk, identity_pk(a->d.identity)->b, sizeof(n.pk));
	n.cp_up_ms = (clock_mono_ns() - a->start_ns) / CLOCK_NS_PER_MS;
	transport_mgr_each(a->d.transports, count_up, &n);
	if (info != NULL && s != NULL) {
		n.dp_attached = dp_client_is_ready(a->d.dp);
		COPY(n.dp_version, s->program);
		COPY(n.dpdk, s->dpdk);
		COPY(n.aead, s->aead);
		COPY(n.ciphers, s->ciphers);
		n.udp_port = info->udp_port;
		n.epoch = info->epoch;
		n.dp_pid = info->pid;
		n.dp_up_ms = stat_get(&s->live->beat) * 1000;
		n.rules = stat_get(&s->live->rules_live);
		n.rule_slots = 1ull << info->rule_bits;
		n.rules_expired = stat_get(&s->live->rules_expired);
		n.rules_closed = stat_get(&s->live->rules_closed);
	}
	api_req_record(r, &n, sizeof(n));
	api_req_end(r, NULL, 0);
}

static const struct stats_port *find_stats_port(const struct stats_view *s, const char *name)
{
	for (uint32_t i = 0; s != NULL && i < s->n_ports; i++) {
		const struct stats_port *p = stats_view_port(s, i);

		if (atomic_load_explicit(&p->used, memory_order_acquire) &&
			strncmp(p->name, name, DPMSG_NAME_LEN) == 0)
			return p;
	}
	return NULL;
}

static void port_record(const struct evt_port *e, const struct stats_port *s, struct api_port *p)
{
	COPY(p->name, e->name);
	COPY(p->device, e->device);
	COPY(p->kernel_if, e->kernel_if);
	COPY(p->lacks, e->lacks);
	memcpy(p->mac, e->mac, sizeof(p->mac));
	p->link_up = e->link_up;
	p->exception = e->exception;
	p->mtu = e->mtu;
	p->rx_queues = e->n_rxq;
	p->tx_queues = e->n_txq;
	p->number = e->port;
	p->speed_mbps = e->speed_mbps;
	p->numa = e->socket;
	if (s == NULL)
		return;
	p->rx_frames = stat_get(&s->c[P_port_rx_frames]);
	p->tx_frames = stat_get(&s->c[P_port_tx_frames]);
	p->rx_bytes = stat_get(&s->c[P_port_rx_bytes]);
	p->tx_bytes = stat_get(&s->c[P_port_tx_bytes]);
	p->rx_missed = stat_get(&s->c[P_port_rx_missed]);
	p->rx_errors = stat_get(&s->c[P_port_rx_errors]);
	p->tx_errors = stat_get(&s->c[P_port_tx_errors]);
	p->rx_nombuf = stat_get(&s->c[P_port_rx_nombuf]);
}

// False: it is not there, and the request has been answered.
static bool dp_there(const struct api *a, struct api_req *r)
{
	if (dp_client_info(a->d.dp) != NULL)
		return true;
	api_req_fail(r, -ENOTCONN, "the data plane is not running: start skyrail-dataplane");
	return false;
}

void api_list_ports(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;

	if (!dp_there(a, r))
		return;
	for (unsigned i = 0; i < a->n_ports; i++) {
		struct api_port p = {0};

		port_record(&a->ports[i], find_stats_port(api_stats(a), a->ports[i].name), &p);
		api_req_record(r, &p, sizeof(p));
	}
	api_req_end(r, NULL, 0);
}

static uint64_t sum_drops(const struct stats_worker *w)
{
	size_t n;
	const struct counter_desc *d = stats_desc(SCOPE_WORKER, &n);
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		if (d[i].role == ROLE_DROP)
			sum += stat_get(&w->c[i]);
	return sum;
}

static void worker_record(const struct api *a, const struct evt_worker *e, struct api_worker *w)
{
	const struct stats_view *s = api_stats(a);
	const struct stats_worker *c;

	*w = (struct api_worker){.worker = e->worker,
		.lcore = e->lcore,
		.cpu = e->cpu,
		.numa = e->socket,
		.hops = e->n_hops,
		.queues = e->n_queues};
	if (s == NULL || e->worker >= s->n_workers)
		return;
	c = stats_view_worker(s, e->worker);
	w->asleep = atomic_load_explicit(&c->asleep, memory_order_relaxed) != 0;
	w->held = atomic_load_explicit(&c->held, memory_order_relaxed);
	w->rx_frames = stat_get(&c->c[W_rx_frames]);
	w->tx_frames = stat_get(&c->c[W_tx_frames]);
	w->rx_packets = stat_get(&c->c[W_pkt_rx]);
	w->forwarded = stat_get(&c->c[W_pkt_forwarded]);
	w->drops = sum_drops(c);
	w->sleeps = stat_get(&c->c[W_sleeps]);
	if (e->worker < ARRAY_LEN(a->load))
		w->busy_ppm = a->load[e->worker].busy_ppm;
}

struct workers_list {
	struct api *a;
	struct api_req *r; // NULL: the client went away
};

static void on_workers(void *arg, int status, uint32_t aux)
{
	struct workers_list *l = arg;
	struct api *a = l->a;

	for (unsigned i = 0; l->r != NULL && i < a->n_workers; i++) {
		struct api_worker w;

		worker_record(a, &a->workers[i], &w);
		api_req_record(l->r, &w, sizeof(w));
	}
	if (l->r != NULL)
		api_req_end(l->r, NULL, 0);
	free(l);
}

static void workers_cancel(void *arg)
{
	((struct workers_list *)arg)->r = NULL;
}

// How many hops a worker owns changes: it is asked again. When it can't be asked, the last word
// counts.
void api_list_workers(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct workers_list *l;

	if (!dp_there(ctx, r))
		return;
	l = calloc(1, sizeof(*l));
	if (l == NULL) {
		api_req_fail(r, -ENOMEM, "out of memory");
		return;
	}
	*l = (struct workers_list){ctx, r};
	api_req_pend(r, NULL, workers_cancel, l);
	if (dp_client_dump(l->a->d.dp, DUMP_WORKERS, 0, 0, on_workers, l) < 0)
		on_workers(l, 0, 0);
}

// ---- counters, rings, memory ----

static void put_counter(struct api_req *r, const char *of, unsigned scope,
	const struct counter_desc *d, uint64_t value)
{
	static const char *const stages[] = {"frame", "dgram", "packet", "seal", "send", ""};
	struct api_counter rec = {.scope = (uint8_t)scope, .value = value};

	COPY(rec.of, of);
	COPY(rec.name, d->name);
	COPY(rec.unit, d->unit);
	COPY(rec.help, d->help);
	rec.role = d->role;
	if (d->scope == SCOPE_WORKER && d->stage < ARRAY_LEN(stages))
		COPY(rec.stage, stages[d->stage]);
	api_req_record(r, &rec, sizeof(rec));
}

static void put_counters(struct api_req *r, const char *of, unsigned scope, enum counter_scope from,
	const _Atomic uint64_t *c)
{
	size_t n;
	const struct counter_desc *d = stats_desc(from, &n);

	for (size_t i = 0; i < n; i++)
		put_counter(r, of, scope, &d[i], stat_get(&c[i]));
}

static void put_all(struct api_req *r, const char *of, enum counter_scope from, const uint64_t *v)
{
	size_t n;
	const struct counter_desc *d = stats_desc(from, &n);

	for (size_t i = 0; i < n; i++)
		put_counter(r, of, API_SCOPE_CONTROL, &d[i], v[i]);
}

static void count_rpc(const struct api *a, uint64_t *v)
{
	struct visor_rpc_stats rpc = {0};
	struct lan_server_stats lan = {0};
	struct setup_node_stats setup = {0};

	if (a->d.visor != NULL)
		visor_rpc_stats_get(a->d.visor, &rpc);
	if (a->d.lan_server != NULL)
		lan_server_stats_get(a->d.lan_server, &lan);
	v[C_rpc_pushes] = rpc.taken;
	v[C_drop_rpc_pushes] = rpc.refused;
	v[C_drop_rpc_calls] = rpc.unknown;
	v[C_drop_rpc_streams] = rpc.bad;
	v[C_lan_pushed] = lan.pushed;
	v[C_lan_push_failed] = lan.push_failed;
	v[C_drop_lan_strangers] = lan.strangers;
	if (a->d.setup != NULL)
		setup_node_stats_get(a->d.setup, &setup);
	v[C_setups_done] = setup.done;
	v[C_setups_failed] = setup.failed;
	v[C_drop_setups] = setup.refused;
	v[C_drop_setup_streams] = setup.streams_refused;
	v[C_drop_setup_rubbish] = setup.bad;
}

static void count_routes(const struct api *a, uint64_t *v)
{
	struct route_peer_stats s = {.streams = 0};

	if (a->d.routes != NULL)
		route_peer_stats_get(a->d.routes, &s);
	v[C_route_ids] = s.gate.reserved;
	v[C_route_ids_lapsed] = s.gate.lapsed;
	v[C_route_rules] = s.gate.laid;
	v[C_route_rules_back] = s.gate.taken_back;
	v[C_route_ids_now] = s.gate.ids_now;
	v[C_route_rules_now] = s.gate.rules_now;
	v[C_drop_route_calls] = s.gate.refused;
	v[C_drop_route_transit] = s.gate.no_transit;
	v[C_drop_route_methods] = s.unknown;
	v[C_drop_route_ids] = s.gate.foreign;
	v[C_drop_route_strangers] = s.strangers;
	v[C_drop_route_streams] = s.streams_refused;
	v[C_drop_route_rubbish] = s.bad;
}

static void count_tp_setup(const struct api *a, uint64_t *v)
{
	struct tp_gateway_stats s = {0};

	if (a->d.tp_gateway != NULL)
		tp_gateway_stats_get(a->d.tp_gateway, &s);
	v[C_tp_setups] = s.made;
	v[C_tp_setups_failed] = s.failed;
	v[C_tp_setups_removed] = s.removed;
	v[C_drop_tp_setup_calls] = s.refused;
	v[C_drop_tp_setup_methods] = s.unknown;
	v[C_drop_tp_setup_strangers] = s.port.strangers;
	v[C_drop_tp_setup_streams] = s.port.refused;
	v[C_drop_tp_setup_rubbish] = s.port.bad;
}

static void count_groups(const struct api *a, uint64_t *v)
{
	struct route_groups_stats s = {0};

	if (a->d.groups != NULL)
		route_groups_stats_get(a->d.groups, &s);
	v[C_groups_dialled] = s.dialled;
	v[C_groups_accepted] = s.accepted;
	v[C_groups_failed] = s.failed;
	v[C_groups_broken] = s.broken;
	v[C_groups_replaced] = s.replaced;
	v[C_groups_unwanted] = s.no_listener;
	v[C_drop_groups] = s.refused;
	v[C_drop_groups_slow] = s.overrun;
	v[C_drop_group_packets] = s.bad_packets;
}

static void count_dials(const struct api *a, uint64_t *v)
{
	struct route_dialler_stats d = {0};
	struct route_tracer_stats t = {0};

	if (a->d.dialler != NULL)
		route_dialler_stats_get(a->d.dialler, &d);
	if (a->d.tracer != NULL)
		route_tracer_stats_get(a->d.tracer, &t);
	v[C_route_dials] = d.dialled;
	v[C_route_dials_failed] = d.failed;
	v[C_drop_route_dials] = d.refused;
	v[C_route_traces] = t.traces;
	v[C_route_traces_failed] = t.failed;
	v[C_drop_route_traces] = t.refused + t.loops.refused;
	v[C_route_loops] = t.loops.loops;
	v[C_route_loops_failed] = t.loops.failed;
	v[C_route_pings_lost] = t.loops.lost;
}

static void count_dir(const struct api *a, uint64_t *v)
{
	struct dir_client_stats s = api_dir_stats(a);

	v[C_dir_requests] = s.asked;
	v[C_dir_remembered] = s.cached;
	v[C_dir_refused] = s.refused;
	v[C_drop_dir_answers] = s.failed;
}

static void put_control(struct api_req *r, const struct api *a)
{
	struct http_client_stats http = {0}, setup_http = {0};
	struct transport_mgr_stats s;
	uint64_t v[C_COUNT];

	transport_mgr_stats_get(a->d.transports, &s);
	memcpy(v, &s, sizeof(v));
	v[C_drop_no_edge] = a->d.ends != NULL ? route_ends_strays(a->d.ends) : 0;
	count_rpc(a, v);
	count_routes(a, v);
	count_tp_setup(a, v);
	count_groups(a, v);
	count_dials(a, v);
	count_dir(a, v);
	if (a->d.http != NULL)
		http_client_stats_get(a->d.http, &http);
	if (a->d.setup_http != NULL)
		http_client_stats_get(a->d.setup_http, &setup_http);
	v[C_drop_http_busy] = http.refused + setup_http.refused;
	put_all(r, "control", SCOPE_CONTROL, v);
}

static void put_dmsg_server(struct api_req *r, const char *of, const struct dmsg_server *server)
{
	struct dmsg_server_stats s;
	uint64_t v[DS_COUNT];

	dmsg_server_stats_get(server, &s);
	memcpy(v, &s.c, sizeof(v));
	put_all(r, of, SCOPE_DMSG_SERVER, v);
}

static void put_dmsg_client(struct api_req *r, const char *of, const struct dmsg_client *client)
{
	struct dmsg_client_stats c;

	dmsg_client_stats_get(client, &c);
	put_all(r, of, SCOPE_DMSG_CLIENT,
		(const uint64_t[DC_COUNT]){[DC_dmsg_client_sessions] = c.sessions_opened,
			[DC_dmsg_client_lost] = c.sessions_lost,
			[DC_dmsg_client_failed] = c.sessions_failed,
			[DC_dmsg_client_dialled] = c.dialled,
			[DC_dmsg_client_dials_failed] = c.dials_failed,
			[DC_dmsg_client_accepted] = c.accepted,
			[DC_drop_dmsg_no_listener] = c.refused,
			[DC_drop_dmsg_streams] = c.over_load});
}

static void put_dmsg(struct api_req *r, const struct api *a)
{
	if (a->d.dmsg != NULL)
		put_dmsg_client(r, "dmsg client", a->d.dmsg);
	if (a->d.setup_client != NULL) // a key and sessions of its own
		put_dmsg_client(r, "dmsg set-up client", a->d.setup_client);
	if (a->d.dmsg_server != NULL)
		put_dmsg_server(r, "dmsg server", a->d.dmsg_server);
	if (a->d.lan_server != NULL)
		put_dmsg_server(r, "dmsg LAN server", lan_server_server(a->d.lan_server));
}

// All flows together.
static void tp_counter_records(const struct api *a, struct api_req *r, struct transport *t)
{
	struct transport_flow_info f;
	_Atomic uint64_t sum[H_COUNT];
	bool any = false;

	for (unsigned k = 0; k < H_COUNT; k++)
		atomic_init(&sum[k], 0);
	for (unsigned nr = 1; transport_flow_get(t, nr, &f); nr++) {
		const struct stats_hop *h = api_stats_hop(api_stats(a), f.hop);

		for (unsigned k = 0; h != NULL && k < H_COUNT; k++)
			stat_add(&sum[k], stat_get(&h->c[k]));
		any |= h != NULL;
	}
	if (any)
		put_counters(r, transport_name(t), API_SCOPE_TRANSPORT, SCOPE_HOP, sum);
}

static void control_records(const struct api *a, struct api_req *r)
{
	put_control(r, a);
	put_dmsg(r, a);
}

void api_list_counters(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	const struct stats_view *s = api_stats(a);
	bool control;
	struct api_counters_ask ask = {0};
	char name[API_NAME_LEN];

	if (len == sizeof(ask))
		memcpy(&ask, payload, sizeof(ask));
	if (ask.scopes == 0)
		ask.scopes =
			API_SCOPE_WORKER | API_SCOPE_PORT | API_SCOPE_TRANSPORT | API_SCOPE_CONTROL;
	if (s == NULL) {
		api_req_fail(
			r, -ENOTCONN, "the data plane is not running: start skyrail-dataplane");
		return;
	}
	for (uint32_t i = 0; (ask.scopes & API_SCOPE_WORKER) && i < s->n_workers; i++) {
		snprintf(name, sizeof(name), "worker%u", i);
		put_counters(r, name, API_SCOPE_WORKER, SCOPE_WORKER, stats_view_worker(s, i)->c);
	}
	for (uint32_t i = 0; (ask.scopes & API_SCOPE_PORT) && i < s->n_ports; i++) {
		const struct stats_port *p = stats_view_port(s, i);

		COPY(name, p->name);
		if (atomic_load_explicit(&p->used, memory_order_acquire))
			put_counters(r, name, API_SCOPE_PORT, SCOPE_PORT, p->c);
	}
	control = (ask.scopes & API_SCOPE_CONTROL) != 0;
	if (ask.scopes & API_SCOPE_TRANSPORT) {
		api_list_each_tp(a, r, tp_counter_records, control ? control_records : NULL);
		return;
	}
	if (control)
		control_records(a, r);
	api_req_end(r, NULL, 0);
}

static void ring_record(
	struct api_req *r, const struct region *reg, uint64_t off, const char *name, int worker)
{
	struct api_ring rec = {0};
	struct ring_shm *shm;
	size_t max;
	uint64_t head, tail;

	shm = region_ring(reg, off, &max);
	if (shm == NULL)
		return;
	if (worker < 0)
		COPY(rec.name, name);
	else
		snprintf(rec.name, sizeof(rec.name), "%s%d", name, worker);
	tail = atomic_load_explicit(&shm->tail, memory_order_acquire);
	head = atomic_load_explicit(&shm->head, memory_order_acquire);
	rec.size = shm->size;
	rec.used = (uint32_t)(head - tail <= shm->size ? head - tail : shm->size);
	rec.refused = atomic_load_explicit(&shm->refused, memory_order_relaxed);
	rec.passed = tail;
	api_req_record(r, &rec, sizeof(rec));
}

void api_list_rings(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	const struct region *reg = dp_client_region(a->d.dp);
	const struct region_hdr *info = dp_client_info(a->d.dp);

	if (reg == NULL || info == NULL) {
		api_req_fail(
			r, -ENOTCONN, "the data plane is not running: start skyrail-dataplane");
		return;
	}
	ring_record(r, reg, info->cmd_off, "cmd", -1);
	ring_record(r, reg, info->evt_off, "evt", -1);
	for (uint32_t i = 0; i < info->n_workers && i < DPMSG_MAX_WORKERS; i++) {
		ring_record(r, reg, info->hs_off[i], "hs", (int)i);
		ring_record(r, reg, info->up_off[i], "up", (int)i);
		ring_record(r, reg, info->down_off[i], "down", (int)i);
	}
	api_req_end(r, NULL, 0);
}

// Resident bytes of a process, 0 when it can't be read.
static uint64_t resident(uint32_t pid)
{
	char path[64];
	unsigned long long pages = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/statm", pid);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	if (fscanf(f, "%*u %llu", &pages) != 1)
		pages = 0;
	fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void memory_record(struct api_req *r, const char *name, uint64_t bytes, uint64_t used,
	uint64_t total, const char *note)
{
	struct api_memory m = {.bytes = bytes, .used = used, .total = total};

	COPY(m.name, name);
	COPY(m.note, note);
	api_req_record(r, &m, sizeof(m));
}

void api_list_memory(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	const struct region *reg = dp_client_region(a->d.dp);
	const struct region_hdr *info = dp_client_info(a->d.dp);
	uint64_t slots, free_mbufs, mbufs;

	if (info != NULL && reg != NULL && reg->stats != NULL) {
		slots = 1ull << info->rule_bits;
		mbufs = stat_get(&reg->stats->mbufs_total);
		free_mbufs = stat_get(&reg->stats->mbufs_free);
		memory_record(r, "rule table", slots * 64, stat_get(&reg->stats->rules_live), slots,
			"64 bytes a slot");
		memory_record(r, "packet buffers", 0, mbufs > free_mbufs ? mbufs - free_mbufs : 0,
			mbufs, "all pools");
		memory_record(r, "rings", reg->rings_len, 0, 0, "shared with the data plane");
		memory_record(r, "statistics", reg->stats_len, 0, 0, "read-only for others");
		memory_record(r, "data plane", resident(info->pid), 0, 0, "resident");
	}
	memory_record(r, "route ids", 8ull << route_id_bits(a->d.ids), route_id_n_live(a->d.ids),
		1ull << route_id_bits(a->d.ids), "8 bytes an index");
	memory_record(r, "lasting rules", 40ull * rule_mgr_n_kept(a->d.rules),
		rule_mgr_n_kept(a->d.rules), 0, "configured and static");
	memory_record(r, "control plane", resident((uint32_t)getpid()), 0, 0, "resident");
	api_req_end(r, NULL, 0);
}

// ---- edges, neighbours, configuration ----

static void edge_record(void *arg, const struct api_edge *e)
{
	api_req_record(arg, e, sizeof(*e));
}

void api_list_edges(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;

	edge_each(a->d.edges, edge_record, r);
	api_req_end(r, NULL, 0);
}

static void neighbour_record(void *arg, const struct neigh_path *p)
{
	static const char *const states[] = {
		"no route", "resolving", "usable", "failed", "link down"};
	struct walk *l = arg;
	struct api_neighbour n = {.mtu = p->mtu, .refs = p->n_refs};

	memcpy(n.dst.ip, p->dst_ip, sizeof(n.dst.ip));
	memcpy(n.next_hop.ip, p->via_ip, sizeof(n.next_hop.ip));
	memcpy(n.src.ip, p->src_ip, sizeof(n.src.ip));
	memcpy(n.mac, p->dst_mac, sizeof(n.mac));
	n.usable = p->state == NEIGH_USABLE;
	if ((unsigned)p->state < ARRAY_LEN(states))
		COPY(n.state, states[p->state]);
	for (unsigned i = 0; p->state != NEIGH_NO_ROUTE && i < l->a->n_ports; i++)
		if (l->a->ports[i].port == p->port)
			COPY(n.port, l->a->ports[i].name);
	api_req_record(l->r, &n, sizeof(n));
}

void api_list_neighbours(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct walk l = {.a = ctx, .r = r};

	if (l.a->d.neigh != NULL)
		neigh_each(l.a->d.neigh, neighbour_record, &l);
	api_req_end(r, NULL, 0);
}

static void put_conf(
	struct api_req *r, const struct conf_entry *e, const struct in_force_key *waits)
{
	struct api_conf c = {0};

	cp_conf_section(e->item->section, e->instance, c.section, sizeof(c.section));
	COPY(c.key, e->item->key);
	COPY(c.value, e->value);
	COPY(c.standard, e->item->def != NULL ? e->item->def : "");
	COPY(c.origin, e->origin);
	if (waits != NULL) {
		c.change = (uint8_t)waits->change;
		COPY(c.in_force, waits->value != NULL ? waits->value : "");
	}
	api_req_record(r, &c, sizeof(c));
}

static void conf_record(void *arg, const struct conf_entry *e)
{
	const struct walk *l = arg;
	struct in_force_key k;

	put_conf(l->r, e, in_force_waits(l->a->d.in_force, e, &k) ? &k : NULL);
}

static void gone_record(void *arg, const struct in_force_key *k)
{
	const struct walk *l = arg;
	struct conf_entry e = {.item = k->item, .instance = k->instance, .value = "", .origin = ""};

	put_conf(l->r, &e, k);
}

void api_list_config(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct walk l = {.a = ctx, .r = r};
	const struct conf *conf = l.a->d.conf(l.a->d.conf_arg);

	conf_walk(conf, conf_record, &l);
	in_force_each_gone(l.a->d.in_force, conf, gone_record, &l);
	api_req_end(r, NULL, 0);
}
