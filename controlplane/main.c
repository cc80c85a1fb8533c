// The control plane: builds all modules in order, runs the loop, takes a changed configuration on
// SIGHUP, ends on SIGTERM. An end takes nothing down: transports and rules live on in the data
// plane, and the next start adopts them. Every decision about a packet's way is in the modules,
// none is here.
#include "controlplane/app/edge.h"
#include "controlplane/core/identity.h"
#include "controlplane/core/loop.h"
#include "controlplane/cp_conf.h"
#include "controlplane/dial_role.h"
#include "controlplane/dmsg/dmsg_client.h"
#include "controlplane/dmsg/dmsg_http.h"
#include "controlplane/dmsg/dmsg_server.h"
#include "controlplane/dp/dp_client.h"
#include "controlplane/dp/neigh.h"
#include "controlplane/group_role.h"
#include "controlplane/host.h"
#include "controlplane/in_force.h"
#include "controlplane/lan.h"
#include "controlplane/reload.h"
#include "controlplane/role.h"
#include "controlplane/route/route_peer.h"
#include "controlplane/route/rule_mgr.h"
#include "controlplane/rpc/api_handlers.h"
#include "controlplane/services.h"
#include "controlplane/setup_role.h"
#include "controlplane/transport/tp_gateway.h"
#include "controlplane/transport/transport_mgr.h"
#include "lib/api/api_field.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/crypto/hash.h"
#include "lib/link/rail_hs.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

LOG_MODULE("main");

struct app {
	const char *conf_path;
	struct cp_conf conf;
	struct in_force *in_force;
	char node[DPMSG_NAME_LEN]; // the configuration may be replaced under those who show it
	struct loop *loop;
	struct identity *id;
	struct dp_client *dp;
	struct neigh *neigh;
	struct transport_mgr *transports;
	struct route_id *ids;
	struct rule_mgr *rules;
	struct route_ends *ends;
	struct edge_mgr *edges;
	struct identity *setup_id; // of the set-up node; NULL: no such role
	struct group_role *groups;
	struct identity *dmsg_id; // of the server; NULL: no such role, as the next two
	struct dmsg_server *dmsg_server;
	struct dmsg_client *dmsg;
	struct http_client *http; // NULL: no discovery, as the next three
	struct dir_client *dir, *server_dir; // of the client, of the server
	struct dmsg_http *dmsg_http;
	struct services *services;
	bool ending;
	unsigned n_leaving;
	struct lan *lan;
	struct route_peer *routes; // NULL: no dmsg client, as the next two
	struct dial_role *dials;
	struct tp_gateway *tp_gateway;
	struct setup_role *setup; // NULL: no such role
	struct api *api;
	struct api_server *server;
};

static int die(const char *what, const char *why)
{
	log_err("%s: %s", what, why);
	return -1;
}

// ---- what modules need of each other ----

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

static struct transport *tr_find_id(void *arg, const uint8_t id[RULE_TP_ID_LEN])
{
	return transport_mgr_find_id(arg, id);
}

static unsigned worker_of_hop(void *arg, uint32_t hop)
{
	struct app *a = arg;
	struct transport *t = transport_mgr_find_hop(a->transports, hop);

	return t != NULL ? transport_worker_of(t, hop) : 0;
}

static struct cp_own own_keys(const struct app *a)
{
	return (struct cp_own){.node = identity_pk(a->id),
		.server = a->dmsg_id != NULL ? identity_pk(a->dmsg_id) : NULL,
		.setup = a->setup_id != NULL ? identity_pk(a->setup_id) : NULL};
}

static const struct conf *conf_of(void *arg)
{
	return ((struct app *)arg)->conf.file;
}

// ---- signals ----

// For an answer that has room for one line.
static void first_mistake(const char *err, char *text, size_t cap)
{
	size_t len = strcspn(err, "\n"), n = 0;

	for (const char *p = err; *p != '\0'; p++)
		n += *p == '\n';
	if (n == 0)
		snprintf(text, cap, "%s", err);
	else
		snprintf(text, cap, "%.*s (and %zu more: skyrail config check)",
			(int)(len < cap - 48 ? len : cap - 48), err, n);
}

struct told {
	reload_change_fn fn; // NULL: nobody asked
	void *arg;
};

static void on_change(void *arg, const struct api_change *c)
{
	const struct told *t = arg;

	if (c->waits)
		log_warn("[%s]%s%s %s: takes effect at the next start", c->section,
			c->key[0] != '\0' ? " " : "", c->key,
			c->change == API_CHANGE_NEW    ? "is new"
			: c->change == API_CHANGE_GONE ? "is gone"
						       : "changed");
	if (t->fn != NULL)
		t->fn(t->arg, c);
}

// The configuration as it is now, if it can be taken. 0 or -errno and lines of what is wrong.
static int load_again(struct app *a, const struct reload *r, struct cp_conf *next, char *err)
{
	const struct cp_own own = own_keys(a);
	int rc = cp_conf_load(next, a->conf_path, err);

	if (rc < 0)
		return rc;
	if (conf_is_missing(next->file) && !conf_is_missing(a->conf.file)) {
		rc = -ENOENT; // no reason to end all transports
		snprintf(err, CONF_ERR_MAX, "%s: %s", a->conf_path, strerror(ENOENT));
	}
	if (rc == 0)
		rc = cp_conf_check_own(next, &own, err);
	if (rc == 0)
		rc = reload_check(r, &a->conf, next, err, CONF_ERR_MAX);
	if (rc == 0 && (rc = in_force_ready(a->in_force, next)) < 0)
		snprintf(err, CONF_ERR_MAX, "%s", strerror(-rc));
	// last, because it is done and not only asked
	if (rc == 0)
		rc = reload_listen(a->transports, next, err, CONF_ERR_MAX);
	if (rc == 0)
		in_force_take(a->in_force, next);
	else
		cp_conf_free(next);
	return rc;
}

// Read the configuration again: whole, or not at all. 0 or -errno, text: what is wrong with it.
static int reload(void *arg, reload_change_fn fn, void *fn_arg, char *text, size_t cap)
{
	struct app *a = arg;
	struct cp_conf next, old;
	char err[CONF_ERR_MAX] = "";
	const struct reload r = {a->transports, a->rules, a->edges, a->dmsg_server, a->routes,
		dial_role_dialler(a->dials), a->tp_gateway};
	struct told told = {fn, fn_arg};
	int rc = load_again(a, &r, &next, err);

	if (rc < 0) {
		log_err("configuration not taken, nothing changed");
		first_mistake(err, text, cap);
		log_lines(LOG_ERR, err);
		return rc;
	}
	if (reload_diff(&r, &a->conf, &next, a->in_force, on_change, &told) < 0)
		log_warn("what changed is not told: out of memory");
	reload_apply(&r, &a->conf, &next);
	old = a->conf;
	a->conf = next;
	cp_conf_free(&old);
	log_notice("configuration=%s taken", a->conf_path);
	return 0;
}

static void on_hup(void *arg)
{
	char text[API_TEXT_MAX];

	reload(arg, NULL, NULL, text, sizeof(text)); // says in the log what came of it
}

static void on_left(void *arg)
{
	struct app *a = arg;

	if (--a->n_leaving == 0)
		loop_stop(a->loop);
}

// Discoveries are told first, for seconds at most; a second signal doesn't wait.
static void on_term(void *arg)
{
	struct app *a = arg;

	if (a->ending) {
		loop_stop(a->loop);
		return;
	}
	a->ending = true;
	log_notice("ending%s", dp_client_is_ready(a->dp)
				       ? "; transports and rules live on in the data plane"
				       : "");
	transport_mgr_leave(a->transports);
	route_groups_leave(group_role_groups(a->groups));
	a->n_leaving = 1;
	if (a->dir != NULL) {
		a->n_leaving++;
		dmsg_client_leave(a->dmsg, on_left, a);
	}
	if (a->server_dir != NULL) {
		a->n_leaving++;
		dmsg_server_leave(a->dmsg_server, on_left, a);
	}
	if (a->services != NULL && services_register(a->services) != NULL) {
		a->n_leaving++;
		tp_register_leave(services_register(a->services), on_left, a);
	}
	a->n_leaving += a->services != NULL && services_unbind(a->services, on_left, a);
	if (a->setup != NULL) {
		a->n_leaving++;
		setup_role_leave(a->setup, on_left, a);
	}
	on_left(a);
}

// ---- start, in order ----

static int start_dp(struct app *a)
{
	struct neigh *n;
	char path[PATH_MAX], err[CONF_ERR_MAX] = "";
	uint8_t mac1_key[32];
	bool made = false;

	a->loop = loop_new();
	if (a->loop == NULL)
		return die("event loop", strerror(errno));
	a->id = identity_open(a->conf.v->key_file, &made, err, sizeof(err));
	if (a->id == NULL)
		return die("identity", err);
	if (made)
		log_notice("file=%s new identity made", a->conf.v->key_file);
	rail_hs_mac1_key(mac1_key, identity_pk(a->id));
	if (cp_conf_run_path(&a->conf, "dataplane.sock", path, sizeof(path)) < 0)
		return die("run_dir", "too long");
	a->dp = dp_client_new(a->loop, path, mac1_key);
	if (a->dp == NULL)
		return die("data plane's client", strerror(errno));
	n = neigh_new(a->loop, a->dp);
	if (n == NULL)
		return die("netlink", strerror(errno));
	a->neigh = n;
	return 0;
}

static int start_transports(struct app *a)
{
	char err[API_TEXT_MAX] = "";
	const struct cp_values *v = a->conf.v;
	struct transport_mgr_conf c = {.loop = a->loop,
		.dp = a->dp,
		.neigh = a->neigh,
		.id = a->id,
		.state_dir = v->state_dir[0] != '\0' ? v->state_dir : v->run_dir,
		.allow_any = v->allow == 1,
		.peers = a->conf.peers,
		.accepted_max = v->accepted_max,
		.congestion = v->congestion == 1 ? HOP_CC_CUBIC : HOP_CC_BBR,
		.path_mtu = cp_conf_path_mtu(v->path_mtu),
		.flows = (uint8_t)v->flows,
		.keepalive_ms = (uint32_t)(v->keepalive_ns / CLOCK_NS_PER_MS),
		.dead_ms = (uint32_t)(v->dead_ns / CLOCK_NS_PER_MS),
		.rekey_ms = (uint32_t)(v->rekey_ns / CLOCK_NS_PER_MS),
		.retransmit_limit = (uint8_t)v->retransmit_limit,
		.silence_s = (uint16_t)(v->silence_ns / CLOCK_NS_PER_S),
		.replay_window = v->replay_window,
		.carriers = v->carriers};

	a->transports = transport_mgr_new(&c);
	if (a->transports == NULL)
		return die("transports", strerror(errno));
	for (size_t i = 0; i < a->conf.n_transports; i++)
		reload_add_transport(a->transports, &a->conf.transports[i]);
	if (reload_listen(a->transports, &a->conf, err, sizeof(err)) < 0) {
		log_err("%s", err);
		return -1;
	}
	return 0;
}

static int start_rules(struct app *a)
{
	struct rule_transports tr = {.find = tr_find,
		.find_hop = tr_find_hop,
		.find_tp = tr_find_tp,
		.find_id = tr_find_id,
		.tp = transport_tp,
		.hop = transport_hop,
		.is_up = transport_is_up,
		.name = transport_name,
		.arg = a->transports};
	char path[PATH_MAX];
	uint8_t secret[32];

	if (cp_conf_state_path(&a->conf, "route.life", path, sizeof(path)) < 0)
		return die("state_dir", "too long");
	hash_mac256(secret, identity_sk(a->id)->b, KEY_SK_LEN, "route ids", 9);
	a->ids = route_id_new(secret, path);
	key_wipe(secret, sizeof(secret));
	if (a->ids == NULL)
		return die("route ids", strerror(errno));
	a->rules = rule_mgr_new(a->loop, a->dp, a->ids, &tr, a->transports);
	if (a->rules == NULL || rule_mgr_config(a->rules, a->conf.rules, a->conf.n_rules) < 0)
		return die("rules", strerror(errno));
	a->ends = route_ends_new(a->loop, a->dp, a->rules);
	return a->ends != NULL ? 0 : die("rules", strerror(errno));
}

static int start_edges(struct app *a)
{
	struct edge_mgr_conf c = {.loop = a->loop,
		.dp = a->dp,
		.rules = a->rules,
		.ends = a->ends,
		.ids = a->ids,
		.worker = worker_of_hop,
		.worker_arg = a};
	char path[PATH_MAX];

	if (cp_conf_run_path(&a->conf, "edges", path, sizeof(path)) < 0)
		return die("run_dir", "too long");
	c.state_path = path;
	a->edges = edge_mgr_new(&c);
	return a->edges != NULL ? 0 : die("edges", strerror(errno));
}

static int start_groups(struct app *a)
{
	const struct group_role_deps d = {a->loop, a->dp, a->transports, a->rules, a->ends, a->id};

	a->groups = group_role_new(&d, &a->conf);
	return a->groups != NULL ? 0 : die("route groups", strerror(errno));
}

static void fill_edges(struct app *a)
{
	for (size_t i = 0; i < a->conf.n_edges; i++)
		reload_add_edge(a->edges, &a->conf.edges[i]);
	reload_attach_edges(a->edges, &a->conf);
	edge_mgr_restore(a->edges);
}

static int start_dmsg_server(struct app *a)
{
	const struct cp_dmsg_server_values *v = &a->conf.v->dmsg_server;
	struct dmsg_server_conf c = {.loop = a->loop,
		.sessions_max = v->sessions_max,
		.session_streams = v->session_streams,
		.streams_max = v->streams_max,
		.client_streams = v->client_streams,
		.peers = a->conf.peer_servers,
		.n_peers = (uint32_t)a->conf.n_peer_servers,
		.mesh_discover = v->mesh_discover};
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6};
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct api_addr addr;

	if (v->listen[0] == '\0')
		return 0;
	if (role_dir(a->loop, &v->discovery, a->conf.v->ca_file, &a->http, &a->server_dir) < 0 ||
		api_addr_parse(v->listen, &addr) < 0)
		return -1;
	c.dir = a->server_dir;
	c.public_address = v->public_address;
	memcpy(&sa.sin6_addr, addr.ip, sizeof(addr.ip));
	sa.sin6_port = v4.sin_port = htons(addr.port);
	memcpy(&v4.sin_addr, addr.ip + 12, sizeof(v4.sin_addr));
	c.id = a->dmsg_id;
	c.listen = IN6_IS_ADDR_V4MAPPED(&sa.sin6_addr) ? (struct sockaddr *)&v4
						       : (struct sockaddr *)&sa;
	a->dmsg_server = dmsg_server_new(&c);
	if (a->dmsg_server == NULL)
		log_err("[dmsg_server] listen = %s: %s", v->listen, strerror(errno));
	return a->dmsg_server != NULL ? 0 : -1;
}

static int start_dmsg_client(struct app *a)
{
	struct dmsg_client_conf c = {.loop = a->loop,
		.id = a->id,
		.servers = a->conf.servers,
		.n_servers = (uint32_t)a->conf.n_servers,
		.sessions = a->conf.v->dmsg.sessions,
		.mux = (enum dmsg_link_mux)a->conf.v->dmsg.mux,
		.client_type = "visor"}; // what discoveries list as nodes

	if (role_dir(a->loop, &a->conf.v->dmsg.discovery, a->conf.v->ca_file, &a->http, &a->dir) <
		0)
		return -1;
	c.lan = lan_saved(a->lan, &c.n_lan);
	if (a->conf.n_servers == 0 && a->dir == NULL && !lan_needs_client(a->lan, &a->conf))
		return 0;
	c.dir = a->dir;
	a->dmsg = dmsg_client_new(&c);
	if (a->dmsg == NULL)
		return die("dmsg", strerror(errno));
	if (a->http != NULL)
		a->dmsg_http = dmsg_http_new(a->http, a->dmsg);
	return a->http == NULL || a->dmsg_http != NULL ? 0 : die("dmsg", strerror(errno));
}

static int listen_stcpr(struct app *a)
{
	const struct dpmsg_addr *at = &a->conf.stcpr_listen;
	int rc;

	if (at->port == 0)
		return 0;
	rc = transport_mgr_listen(a->transports, TRANSPORT_STCPR, at);
	if (rc == 0)
		rc = services_bind(a->services, at);
	if (rc < 0)
		log_err("[stcpr] listen = %s: %s", a->conf.v->stcpr_listen, strerror(-rc));
	return rc;
}

static int start_dmsg(struct app *a)
{
	const struct cp_own own = own_keys(a);

	if (start_dmsg_server(a) < 0)
		return -1;
	a->services = services_new(a->loop, &a->conf, a->id, &a->http);
	if (a->services == NULL)
		return -1;
	transport_mgr_register(a->transports, services_register(a->services));
	transport_mgr_resolver(a->transports, services_get(a->services, SERVICES_RESOLVER));
	if (listen_stcpr(a) < 0)
		return -1;
	a->lan = lan_new(a->loop, &a->conf, a->conf_path);
	if (a->lan == NULL || start_dmsg_client(a) < 0)
		return -1;
	if (a->dmsg != NULL && transport_mgr_dmsg(a->transports, a->dmsg) < 0)
		return die("dmsg transports", strerror(errno));
	return lan_start(a->lan, &a->conf, a->dmsg, &own) < 0 ? -1 : 0;
}

static int start_setup(struct app *a)
{
	if (a->setup_id == NULL)
		return 0;
	a->setup = setup_role_new(a->loop, &a->conf, a->setup_id);
	return a->setup != NULL ? 0 : -1;
}

// Routes that set-up nodes lay through this node.
static int start_routes(struct app *a)
{
	struct route_peer_conf c = {.gate = {.loop = a->loop,
					    .dp = a->dp,
					    .rules = a->rules,
					    .ids = a->ids,
					    .self = *identity_pk(a->id),
					    .edges = {group_role_accept, a->groups}},
		.client = a->dmsg,
		.policy = a->conf.routing};

	if (a->dmsg == NULL)
		return 0;
	a->routes = route_peer_new(&c);
	return a->routes != NULL ? 0 : die("routes", strerror(errno));
}

// And those that it dials.
static int start_dials(struct app *a)
{
	const struct dial_role_deps d = {.loop = a->loop,
		.client = a->dmsg,
		.id = a->id,
		.transports = a->transports,
		.ids = a->ids,
		.peer = a->routes,
		.ends = a->groups,
		.finder = services_get(a->services, SERVICES_FINDER)};

	if (a->dmsg == NULL)
		return 0;
	a->dials = dial_role_new(&d, &a->conf.dials);
	return a->dials != NULL ? 0 : die("dials", strerror(errno));
}

// Transports that others set up here.
static int start_tp_gateway(struct app *a)
{
	const struct tp_gateway_conf c = {.loop = a->loop,
		.client = a->dmsg,
		.transports = a->transports,
		.self = identity_pk(a->id),
		.nodes = a->conf.transport_setup,
		.n_nodes = (uint32_t)a->conf.v->transport_setup.n};

	if (a->dmsg == NULL)
		return 0;
	a->tp_gateway = tp_gateway_new(&c);
	return a->tp_gateway != NULL ? 0 : die("transport set-up", strerror(errno));
}

static int start_api(struct app *a)
{
	static const uint32_t rights[] = {API_RIGHT_SHOW | API_RIGHT_CHANGE, API_RIGHT_SHOW, 0};
	struct api_deps d = {.loop = a->loop,
		.dp = a->dp,
		.neigh = a->neigh,
		.identity = a->id,
		.transports = a->transports,
		.rules = a->rules,
		.ids = a->ids,
		.ends = a->ends,
		.edges = a->edges,
		.groups = group_role_groups(a->groups),
		.routes = a->routes,
		.dialler = dial_role_dialler(a->dials),
		.tracer = dial_role_tracer(a->dials),
		.tp_gateway = a->tp_gateway,
		.services = a->services,
		.dmsg = a->dmsg,
		.dmsg_server = a->dmsg_server,
		.dir = a->dir,
		.server_dir = a->server_dir,
		.http = a->http,
		.lan_server = lan_lan_server(a->lan),
		.visor = lan_visor(a->lan),
		.setup = a->setup != NULL ? setup_role_node(a->setup) : NULL,
		.setup_pk = a->setup != NULL ? setup_role_pk(a->setup) : NULL,
		.setup_client = a->setup != NULL ? setup_role_client(a->setup) : NULL,
		.setup_dir = a->setup != NULL ? setup_role_dir(a->setup) : NULL,
		.setup_http = a->setup != NULL ? setup_role_http(a->setup) : NULL,
		.conf = conf_of,
		.conf_arg = a,
		.in_force = a->in_force,
		.reload = reload,
		.node = a->node};
	struct api_server_conf c = {.loop = a->loop, .node = a->node};
	char path[PATH_MAX], err[CONF_ERR_MAX] = "";

	if (host_group(a->conf.v, &c.group) < 0)
		return -1;
	if (c.group == (gid_t)-1 && a->conf.v->api_group[0] != '\0')
		log_info("no group skyrail: the API is for root and this user only");
	if (cp_conf_run_path(&a->conf, "control.sock", path, sizeof(path)) < 0)
		return die("run_dir", "too long");
	a->api = api_new(&d);
	if (a->api == NULL)
		return die("API", strerror(errno));
	c.path = path;
	c.group_rights = rights[a->conf.v->api_rights];
	c.methods = api_methods(&c.n_methods);
	c.ctx = a->api;
	a->server = api_server_new(&c, err, sizeof(err));
	return a->server != NULL ? 0 : die("API", err);
}

static void stop(struct app *a)
{
	if (a->dp != NULL)
		dp_client_stop(a->dp); // whoever waits for an answer is still there
	api_server_free(a->server);
	api_free(a->api);
	tp_gateway_free(a->tp_gateway);
	dial_role_free(a->dials);
	group_role_free(a->groups); // it may still owe the set-up nodes' calls an answer
	route_peer_free(a->routes);
	setup_role_free(a->setup);
	dmsg_server_free(a->dmsg_server); // it may ask its discovery by the client's streams
	dir_client_free(a->server_dir);
	services_free(a->services);
	lan_free(a->lan);
	if (a->transports != NULL)
		transport_mgr_dmsg(a->transports, NULL);
	dmsg_client_free(a->dmsg);
	dir_client_free(a->dir);
	dmsg_http_free(a->dmsg_http);
	http_client_free(a->http);
	identity_free(a->dmsg_id);
	identity_free(a->setup_id);
	edge_mgr_free(a->edges);
	route_ends_free(a->ends);
	rule_mgr_free(a->rules);
	if (a->transports != NULL)
		transport_mgr_free(a->transports);
	if (a->neigh != NULL)
		neigh_free(a->neigh);
	dp_client_free(a->dp);
	route_id_free(a->ids);
	identity_free(a->id);
	loop_free(a->loop);
	in_force_free(a->in_force);
	cp_conf_free(&a->conf);
}

static int run(struct app *a)
{
	int rc = host_make_dirs(a->conf.v);

	host_check_caps();
	snprintf(a->node, sizeof(a->node), "%s", a->conf.v->name);
	a->in_force = in_force_new(&a->conf);
	if (a->in_force == NULL)
		rc = die("configuration", strerror(errno));
	if (rc == 0)
		rc = start_dp(a);
	if (rc == 0)
		rc = start_transports(a);
	if (rc == 0)
		rc = start_rules(a);
	if (rc == 0)
		rc = start_edges(a);
	if (rc == 0)
		rc = role_keys(&a->conf, a->id, &a->dmsg_id, &a->setup_id);
	if (rc == 0)
		rc = start_groups(a);
	if (rc == 0)
		rc = start_dmsg(a);
	if (rc == 0)
		rc = start_setup(a);
	if (rc == 0)
		rc = start_routes(a);
	if (rc == 0)
		rc = start_dials(a);
	if (rc == 0)
		rc = start_tp_gateway(a);
	if (rc == 0)
		rc = start_api(a);
	if (rc == 0 && (loop_on_signal(a->loop, SIGTERM, on_term, a) < 0 ||
			       loop_on_signal(a->loop, SIGINT, on_term, a) < 0 ||
			       loop_on_signal(a->loop, SIGHUP, on_hup, a) < 0))
		rc = die("signals", strerror(errno));
	if (rc == 0) {
		fill_edges(a); // now that no other control plane holds the API's socket
		log_notice("node=%s version=%s ready", a->node, SKYRAIL_VERSION);
		dp_client_start(a->dp);
		loop_run(a->loop);
	}
	stop(a);
	return rc == 0 ? 0 : 1;
}

// ---- command line ----

static void usage(FILE *out)
{
	fputs("usage: skyrail-controlplane [options]\n"
	      "\n"
	      "  -c, --config FILE   configuration (default " SKYRAIL_SYSCONFDIR
	      "/controlplane.ini)\n"
	      "      --check-config  check the configuration and exit\n"
	      "      --print-config  print every key with value, default and origin, and exit\n"
	      "  -V, --version       print versions and exit\n"
	      "  -h, --help          this text\n"
	      "\n"
	      "SIGHUP reads the configuration again, SIGTERM ends.\n",
		out);
}

enum { OPT_CHECK = 256, OPT_PRINT };

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"check-config", no_argument, NULL, OPT_CHECK},
	{"print-config", no_argument, NULL, OPT_PRINT},
	{"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int load(struct app *a, int mode)
{
	char err[CONF_ERR_MAX] = "";
	gid_t gid;

	if (cp_conf_load(&a->conf, a->conf_path, err) < 0) {
		log_lines(LOG_ERR, err);
		return -1;
	}
	if (mode == OPT_PRINT)
		conf_print(a->conf.file, stdout);
	else if (mode == OPT_CHECK && (host_group(a->conf.v, &gid) < 0 || role_check(&a->conf) < 0))
		return -1;
	else if (mode == OPT_CHECK)
		printf("%s: %s (control plane)\n", a->conf_path,
			conf_is_missing(a->conf.file) ? "not there, defaults are used" : "good");
	return 0;
}

static void version(void)
{
	printf("skyrail-controlplane %s\nSkywire: route packets of the 2024 and 2026 generations; "
	       "transports: rail 1, stcp, stcpr, dmsg\n",
		SKYRAIL_VERSION);
}

static int wrong(const char *what, const char *arg)
{
	fprintf(stderr, "skyrail-controlplane: %s%s; see --help\n", what, arg);
	return 2;
}

int main(int argc, char **argv)
{
	struct app a = {.conf_path = SKYRAIL_SYSCONFDIR "/controlplane.ini"};
	bool named = false;
	int opt, mode = 0;

	while ((opt = getopt_long(argc, argv, ":c:hV", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			a.conf_path = optarg;
			named = true;
			break;
		case OPT_CHECK:
		case OPT_PRINT:
			mode = opt;
			break;
		case 'V':
			version();
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		case ':':
			return wrong("no value after ", argv[optind - 1]);
		default:
			return wrong("unknown argument: ", argv[optind - 1]);
		}
	}
	if (optind != argc)
		return wrong("unknown argument: ", argv[optind]);
	if (named && access(a.conf_path, F_OK) < 0) {
		log_err("%s: %s", a.conf_path, strerror(errno));
		return 1;
	}
	if (load(&a, mode) < 0)
		return 1;
	if (mode != 0) {
		cp_conf_free(&a.conf);
		return 0;
	}
	// keys are in memory: no core file, no ptrace by others of the same user
	prctl(PR_SET_DUMPABLE, 0);
	signal(SIGPIPE, SIG_IGN);
	log_level_set("all", a.conf.v->log_level);
	if (conf_is_missing(a.conf.file))
		log_notice("%s: not there, defaults are used", a.conf_path);
	return run(&a);
}
