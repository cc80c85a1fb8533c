// The actions of the API and the one table of everything it serves. A handler copies its request
// out of the payload, checks what the table can't (names, enums), and calls a module; whatever
// takes longer holds a small struct that outlives neither the request nor its client. Lists are in
// api_list.c.
#include "controlplane/rpc/api_handlers.h"

#include "controlplane/rpc/api_priv.h"
#include "lib/api/api_field.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

LOG_MODULE("api");

// ---- transports ----

static void on_transport_add(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	static const uint8_t ciphers[] = {[API_CIPHER_AUTO] = TRANSPORT_AUTO,
		[API_CIPHER_CHACHA20] = TRANSPORT_CHACHA,
		[API_CIPHER_NONE] = TRANSPORT_NONE,
		[API_CIPHER_AES] = TRANSPORT_AES};
	struct api *a = ctx;
	struct api_transport_add m;
	struct transport_conf c = {.origin = TRANSPORT_ADDED};
	char err[API_TEXT_MAX] = "out of memory";
	int rc;

	memcpy(&m, payload, sizeof(m));
	if (api_name_check(m.name, sizeof(m.name)) < 0) {
		api_req_fail(
			r, -EINVAL, "a transport's name has 1 to 31 characters, no blanks, no '/'");
		return;
	}
	if (m.flows > RAIL_FLOWS_MAX) {
		api_req_fail(r, -EINVAL, "a transport has 1 to 32 flows");
		return;
	}
	static_assert((int)API_CC_CUBIC == (int)HOP_CC_CUBIC, "the same numbers");
	if (m.cipher >= ARRAY_LEN(ciphers) || m.mode > API_MODE_RELIABLE ||
		m.congestion > API_CC_CUBIC) {
		api_req_fail(r, -EINVAL,
			"cipher is auto, chacha20-poly1305, aes-256-gcm or none; mode is reliable "
			"or datagram; congestion is default, bbr or cubic");
		return;
	}
	static_assert((int)API_TP_DMSG == (int)TRANSPORT_DMSG, "the same numbers");
	if (m.type > API_TP_DMSG) {
		api_req_fail(r, -EINVAL, "type is rail, stcp, stcpr or dmsg");
		return;
	}
	c.type = m.type;
	c.mode = m.mode == API_MODE_RELIABLE ? HOP_MODE_RELIABLE : HOP_MODE_DATAGRAM;
	memcpy(c.name, m.name, sizeof(c.name));
	memcpy(c.peer.b, m.peer, sizeof(c.peer.b));
	if (!key_pk_is_valid(&c.peer)) {
		api_req_fail(r, -EINVAL,
			"peer is no public key: take what `skyrail key show` prints there");
		return;
	}
	memcpy(c.addr.ip, m.addr.ip, sizeof(c.addr.ip));
	c.addr.port = m.addr.port;
	memcpy(c.scope_if, m.interface, sizeof(c.scope_if));
	c.scope_if[sizeof(c.scope_if) - 1] = '\0';
	c.ciphers = ciphers[m.cipher];
	c.congestion = m.congestion;
	c.path_mtu = m.path_mtu;
	c.flows = m.flows;
	c.dial = m.dial &&
		 (m.addr.port != 0 || !transport_type_has_address((enum transport_type)m.type));
	rc = transport_mgr_add(a->d.transports, &c, err, sizeof(err));
	if (rc < 0)
		api_req_fail(r, rc, "transport %s: %s", c.name, err);
	else
		api_req_end(r, NULL, 0);
}

static bool take_name(struct api_req *r, char name[API_NAME_LEN], const void *payload)
{
	memcpy(name, payload, API_NAME_LEN);
	if (api_name_check(name, API_NAME_LEN) == 0)
		return true;
	api_req_fail(r, -EINVAL, "a name has 1 to 31 characters, no blanks, no '/'");
	return false;
}

static void on_transport_del(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	char name[API_NAME_LEN];
	int rc;

	if (!take_name(r, name, payload))
		return;
	rc = transport_mgr_del(a->d.transports, name);
	if (rc < 0)
		api_req_fail(r, rc, "no transport '%s': see `skyrail show transports`", name);
	else
		api_req_end(r, NULL, 0);
}

struct ping {
	struct api_req *r; // NULL: the client went away
};

static void on_pong(void *arg, int status, uint32_t rtt_us)
{
	struct ping *p = arg;
	struct api_pong pong = {.rtt_us = rtt_us};

	if (p->r != NULL && status == 0)
		api_req_end(p->r, &pong, sizeof(pong));
	else if (p->r != NULL && status == -ETIMEDOUT)
		api_req_fail(p->r, status, "no answer");
	else if (p->r != NULL && status == -EOPNOTSUPP)
		api_req_fail(p->r, status, "only rail transports have a ping of their own");
	else if (p->r != NULL)
		api_req_fail(
			p->r, status, "the transport is not up: see `skyrail show transports`");
	free(p);
}

static void ping_cancel(void *arg)
{
	((struct ping *)arg)->r = NULL;
}

static void on_ping(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	struct transport *t;
	struct ping *p;
	char name[API_NAME_LEN];
	int rc;

	if (!take_name(r, name, payload))
		return;
	t = transport_mgr_find(a->d.transports, name);
	if (t == NULL) {
		api_req_fail(r, -ENODEV, "no transport '%s': see `skyrail show transports`", name);
		return;
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL) {
		api_req_fail(r, -ENOMEM, "out of memory");
		return;
	}
	p->r = r;
	api_req_pend(r, NULL, ping_cancel, p);
	rc = transport_mgr_ping(a->d.transports, t, on_pong, p);
	if (rc < 0)
		on_pong(p, rc, 0);
}

struct move {
	struct api_req *r; // NULL: the client went away
	char name[API_NAME_LEN];
	uint32_t worker, flow;
};

static void on_moved(void *arg, int status)
{
	struct move *m = arg;

	if (m->r == NULL)
		;
	else if (status == 0)
		api_req_end(m->r, NULL, 0);
	else if (status == -EINVAL)
		api_req_fail(m->r, status, "no worker %u: see `skyrail show workers`", m->worker);
	else if (status == -ERANGE)
		api_req_fail(m->r, status, "'%s' has no flow %u: see `skyrail show flows`", m->name,
			m->flow);
	else if (status == -ENOSPC && m->flow == 0)
		api_req_fail(m->r, status,
			"a worker has no room for what a flow of '%s' holds: that one stays",
			m->name);
	else if (status == -ENOSPC)
		api_req_fail(m->r, status, "worker %u has no room for what '%s' holds: it stays",
			m->worker, m->name);
	else if (status == -ENOTCONN || status == -ENOENT)
		api_req_fail(m->r, status,
			"'%s' is not in the data plane: see `skyrail show transports`", m->name);
	else
		api_req_fail(m->r, status,
			m->flow == 0 ? "not every flow of '%s' has moved, try again"
				     : "'%s' stays where it is, try again",
			m->name);
	free(m);
}

static void move_cancel(void *arg)
{
	((struct move *)arg)->r = NULL;
}

static void on_transport_move(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	struct api_transport_move ask;
	struct transport *t;
	struct move *m;
	char name[API_NAME_LEN];
	int rc;

	if (!take_name(r, name, payload))
		return;
	memcpy(&ask, payload, sizeof(ask));
	t = transport_mgr_find(a->d.transports, name);
	if (t == NULL) {
		api_req_fail(r, -ENODEV, "no transport '%s': see `skyrail show transports`", name);
		return;
	}
	m = calloc(1, sizeof(*m));
	if (m == NULL) {
		api_req_fail(r, -ENOMEM, "out of memory");
		return;
	}
	m->r = r;
	m->worker = ask.worker;
	m->flow = ask.flow;
	memcpy(m->name, name, sizeof(m->name));
	api_req_pend(r, NULL, move_cancel, m);
	rc = transport_mgr_move(a->d.transports, t, ask.flow, ask.worker, on_moved, m);
	if (rc < 0)
		on_moved(m, rc);
}

// ---- rules ----

struct bulk {
	struct api_req *r; // NULL: the client went away
	struct rule_job *job;
	const struct rule_mgr *mgr;
	struct api_rule_add *rules; // what was asked for, for texts; NULL for removals
};

static void bulk_free(struct bulk *b)
{
	free(b->rules);
	free(b);
}

// Which of the two -EEXIST is.
static int add_status(const struct bulk *b, const struct api_rule_done *done)
{
	bool other = done->status == -EEXIST && !rule_mgr_has(b->mgr, done->id);

	return other ? -EADDRINUSE : done->status;
}

static void on_bulk_done(void *arg, const struct api_rule_done *done, size_t n)
{
	struct bulk *b = arg;
	size_t len = sizeof(struct api_bulk_done) + n * sizeof(*done);
	uint8_t *out = calloc(1, len);
	struct api_bulk_done head = {0};

	if (out == NULL) {
		api_req_fail(
			b->r, -ENOMEM, "out of memory; see `skyrail show rules` for what was done");
		bulk_free(b);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (done[i].status == 0 || done[i].status == -EINPROGRESS) {
			head.n_ok++;
			continue;
		}
		if (head.n_failed++ > 0)
			continue;
		head.first_failed = (uint32_t)i;
		head.first_status = done[i].status;
		rule_error_text(add_status(b, &done[i]), done[i].id,
			b->rules != NULL ? b->rules[i].transport : "",
			b->rules != NULL ? b->rules[i].in_transport : "", head.text,
			sizeof(head.text));
	}
	memcpy(out, &head, sizeof(head));
	memcpy(out + sizeof(head), done, n * sizeof(*done));
	api_req_end(b->r, out, len);
	free(out);
	bulk_free(b);
}

static void bulk_cancel(void *arg)
{
	struct bulk *b = arg;

	rule_job_cancel(b->job);
	bulk_free(b);
}

// The array behind struct api_bulk, copied to aligned memory; NULL after failing the request.
static void *bulk_take(struct api_req *r, const void *payload, size_t len, size_t elem, uint32_t *n)
{
	struct api_bulk head;
	void *v;

	memcpy(&head, payload, sizeof(head));
	if (head.n == 0 || head.n > API_BULK_MAX || len != sizeof(head) + head.n * elem) {
		api_req_fail(r, -EBADMSG, "%u rules in %zu bytes: 1 to %d are possible", head.n,
			len, API_BULK_MAX);
		return NULL;
	}
	v = malloc(head.n * elem);
	if (v == NULL) {
		api_req_fail(r, -ENOMEM, "out of memory");
		return NULL;
	}
	memcpy(v, (const uint8_t *)payload + sizeof(head), head.n * elem);
	*n = head.n;
	return v;
}

static void bulk_started(struct api_req *r, struct bulk *b)
{
	char text[API_TEXT_MAX];
	int err = errno;

	if (b->job != NULL) {
		api_req_pend(r, NULL, bulk_cancel, b);
		return;
	}
	rule_error_text(-err, 0, "", "", text, sizeof(text));
	api_req_fail(r, -err, "%s",
		err == EBUSY ? "too many requests about rules at once: try again" : text);
	bulk_free(b);
}

static void on_rule_add(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	uint32_t n;
	struct api_rule_add *rules = bulk_take(r, payload, len, sizeof(*rules), &n);
	struct bulk *b;

	if (rules == NULL)
		return;
	b = calloc(1, sizeof(*b));
	if (b == NULL) {
		api_req_fail(r, -ENOMEM, "out of memory");
		free(rules);
		return;
	}
	b->r = r;
	b->mgr = a->d.rules;
	b->job = rule_mgr_add(a->d.rules, rules, n, on_bulk_done, b);
	for (uint32_t i = 0; i < n; i++) { // for texts: as strings, whatever came
		rules[i].transport[sizeof(rules[i].transport) - 1] = '\0';
		rules[i].in_transport[sizeof(rules[i].in_transport) - 1] = '\0';
	}
	b->rules = rules;
	bulk_started(r, b);
}

static void on_rule_del(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	uint32_t n;
	uint32_t *ids = bulk_take(r, payload, len, sizeof(*ids), &n);
	struct bulk *b;

	if (ids == NULL)
		return;
	b = calloc(1, sizeof(*b));
	if (b == NULL) {
		api_req_fail(r, -ENOMEM, "out of memory");
	} else {
		b->r = r;
		b->mgr = a->d.rules;
		b->job = rule_mgr_del(a->d.rules, ids, n, on_bulk_done, b);
		bulk_started(r, b);
	}
	free(ids);
}

// ---- edges ----

static void answer(struct api_req *r, int rc, const char *err)
{
	if (rc < 0)
		api_req_fail(r, rc, "%s", err);
	else
		api_req_end(r, NULL, 0);
}

static void on_edge_add(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	struct api_edge_add m;
	char err[API_TEXT_MAX] = "";

	memcpy(&m, payload, sizeof(m));
	answer(r, edge_add(a->d.edges, &m, EDGE_ADDED, err, sizeof(err)), err);
}

static bool take_edge(struct api_req *r, struct api_edge_attach *m, const void *payload)
{
	memcpy(m, payload, sizeof(*m));
	if (api_name_check(m->name, sizeof(m->name)) == 0)
		return true;
	api_req_fail(r, -EINVAL, "an edge's name has 1 to 15 characters, no blanks, no '/'");
	return false;
}

struct attach {
	struct api *a;
	struct api_req *r;
};

static void on_attached(void *arg, int status, const char *text)
{
	struct attach *t = arg;

	answer(t->r, status, text);
	free(t);
}

static void attach_cancel(void *arg)
{
	struct attach *t = arg;

	edge_attach_cancel(t->a->d.edges, t);
	free(t);
}

static void on_edge_attach(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	struct api_edge_attach m;
	struct attach *t;
	char err[API_TEXT_MAX] = "";
	int rc;

	if (!take_edge(r, &m, payload))
		return;
	t = calloc(1, sizeof(*t));
	if (t == NULL) {
		api_req_fail(r, -ENOMEM, "out of memory");
		return;
	}
	*t = (struct attach){a, r};
	api_req_pend(r, NULL, attach_cancel, t);
	rc = edge_attach(
		a->d.edges, m.name, m.forward_id, m.consume_id, on_attached, t, err, sizeof(err));
	if (rc < 0)
		on_attached(t, rc, err);
}

static void on_edge_detach(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	struct api_edge_attach m;
	char err[API_TEXT_MAX] = "";

	if (take_edge(r, &m, payload))
		answer(r, edge_detach(a->d.edges, m.name, m.close != 0, err, sizeof(err)), err);
}

static void on_edge_del(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	char name[API_NAME_LEN], err[API_TEXT_MAX] = "";

	if (take_name(r, name, payload))
		answer(r, edge_del(a->d.edges, name, err, sizeof(err)), err);
}

// ---- logs ----

struct log_set {
	struct api_req *r; // NULL: the client went away
	bool known_here;
	char module[API_NAME_LEN];
};

static void log_modules(char *buf, size_t cap)
{
	size_t o = 0;

	buf[0] = '\0';
	for (const struct log_module *l = log_module_next(NULL); l != NULL && o < cap;
		l = log_module_next(l))
		if (strstr(buf, l->name) == NULL)
			o += (size_t)snprintf(buf + o, cap - o, "%s%s", o > 0 ? ", " : "", l->name);
}

static void log_answer(struct log_set *s, int status)
{
	char here[160];

	if (s->r != NULL && !s->known_here && status < 0) {
		log_modules(here, sizeof(here));
		api_req_fail(s->r, -ENOENT, "no log module '%s': all, %s; in the data plane: %s",
			s->module, here,
			status == -ENOTCONN || status == -ECONNRESET ? "it is not running"
								     : "none of this name");
	} else if (s->r != NULL) {
		api_req_end(s->r, NULL, 0);
	}
	free(s);
}

static void on_log_done(void *arg, int status, uint32_t aux)
{
	log_answer(arg, status);
}

static void log_cancel(void *arg)
{
	((struct log_set *)arg)->r = NULL;
}

static void on_log_level(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct cmd_conf_set cmd = {.h.type = CMD_CONF_SET, .key = CONF_LOG_LEVEL};
	struct api *a = ctx;
	struct api_log_level m;
	struct log_set *s;
	int level, rc;

	memcpy(&m, payload, sizeof(m));
	if (api_name_check(m.module, sizeof(m.module)) < 0 ||
		api_name_check(m.level, sizeof(m.level)) < 0 ||
		(level = log_level_parse(m.level)) < 0) {
		api_req_fail(r, -EINVAL, "levels are err, warn, notice, info and debug");
		return;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL) {
		api_req_fail(r, -ENOMEM, "out of memory");
		return;
	}
	s->r = r;
	snprintf(s->module, sizeof(s->module), "%s", m.module);
	s->known_here = log_level_set(m.module, level) == 0;
	cmd.value = (uint32_t)level;
	memcpy(cmd.name, m.module, sizeof(cmd.name));
	api_req_pend(r, NULL, log_cancel, s);
	rc = dp_client_send(a->d.dp, &cmd, sizeof(cmd), on_log_done, s);
	if (rc < 0)
		log_answer(s, rc);
}

// ---- configuration ----

static void change_record(void *arg, const struct api_change *c)
{
	api_req_record(arg, c, sizeof(*c));
}

static void on_config_reload(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	char err[API_TEXT_MAX] = "";
	int rc = a->d.reload(a->d.conf_arg, change_record, r, err, sizeof(err));

	if (rc < 0)
		api_req_fail(r, rc, "not taken, nothing changed: %.200s", err);
	else
		api_req_end(r, NULL, 0);
}

// ---- the table ----

#define LIST(type, name, fn)                                                                       \
	{                                                                                          \
		type, API_RIGHT_SHOW, name, 0, 0, fn                                               \
	}
#define LIST_ASK(type, name, fn, ask)                                                              \
	{                                                                                          \
		type, API_RIGHT_SHOW, name, 0, sizeof(ask), fn                                     \
	}
#define ACT(type, name, fn, arg)                                                                   \
	{                                                                                          \
		type, API_RIGHT_CHANGE, name, sizeof(arg), sizeof(arg), fn                         \
	}
#define BULK(type, name, fn, elem)                                                                 \
	{                                                                                          \
		type, API_RIGHT_CHANGE, name, sizeof(struct api_bulk) + sizeof(elem),              \
			sizeof(struct api_bulk) + API_BULK_MAX * sizeof(elem), fn                  \
	}

static const struct api_method methods[] = {
	LIST(API_NODE, "show node", api_list_node),
	LIST(API_PORTS, "show ports", api_list_ports),
	LIST(API_WORKERS, "show workers", api_list_workers),
	LIST(API_TRANSPORTS, "show transports", api_list_transports),
	LIST_ASK(API_RULES, "show rules", api_list_rules, struct api_rules_ask),
	LIST_ASK(API_COUNTERS, "show counters", api_list_counters, struct api_counters_ask),
	LIST(API_RINGS, "show rings", api_list_rings),
	LIST(API_MEMORY, "show memory", api_list_memory),
	LIST(API_EDGES, "show edges", api_list_edges),
	LIST(API_NEIGHBOURS, "show neighbours", api_list_neighbours),
	LIST(API_CONFIG, "config show", api_list_config),
	LIST(API_FLOWS, "show flows", api_list_flows),
	LIST(API_DMSG, "show dmsg", api_list_dmsg),
	LIST(API_DMSG_SERVERS, "show servers", api_list_dmsg_servers),
	LIST(API_DMSG_SESSIONS, "show sessions", api_list_dmsg_sessions),
	LIST(API_DMSG_STREAMS, "show streams", api_list_dmsg_streams),
	LIST(API_DMSG_DISCOVERIES, "show discoveries", api_list_dmsg_discoveries),
	LIST(API_DMSG_HYPERVISORS, "show hypervisors", api_list_dmsg_hypervisors),
	LIST(API_SETUPS, "show setups", api_list_setups),
	LIST(API_ROUTES, "show routes", api_list_routes),
	LIST(API_GROUPS, "show groups", api_list_groups),
	LIST(API_SERVICES, "show services", api_list_services),
	{API_PATHS, API_RIGHT_SHOW, "route find", sizeof(struct api_paths_ask),
		sizeof(struct api_paths_ask), api_list_paths},
	ACT(API_TRANSPORT_ADD, "transport add", on_transport_add, struct api_transport_add),
	ACT(API_TRANSPORT_DEL, "transport del", on_transport_del, struct api_name_ask),
	ACT(API_TRANSPORT_MOVE, "transport move", on_transport_move, struct api_transport_move),
	BULK(API_RULE_ADD, "rule add", on_rule_add, struct api_rule_add),
	BULK(API_RULE_DEL, "rule del", on_rule_del, uint32_t),
	ACT(API_EDGE_ADD, "edge add", on_edge_add, struct api_edge_add),
	ACT(API_EDGE_ATTACH, "edge attach", on_edge_attach, struct api_edge_attach),
	ACT(API_EDGE_DETACH, "edge detach", on_edge_detach, struct api_edge_attach),
	ACT(API_EDGE_DEL, "edge del", on_edge_del, struct api_name_ask),
	{API_PING, API_RIGHT_SHOW, "ping", sizeof(struct api_ping), sizeof(struct api_ping),
		on_ping},
	ACT(API_LOG_LEVEL, "log level", on_log_level, struct api_log_level),
	{API_CONFIG_RELOAD, API_RIGHT_CHANGE, "config reload", 0, 0, on_config_reload},
	ACT(API_DMSG_DIAL, "dmsg dial", api_dmsg_dial, struct api_dmsg_ask),
	ACT(API_DMSG_LISTEN, "dmsg listen", api_dmsg_listen, struct api_dmsg_ask),
	{API_DMSG_PING, API_RIGHT_SHOW, "dmsg ping", sizeof(struct api_dmsg_ask),
		sizeof(struct api_dmsg_ask), api_dmsg_ping},
	{API_DMSG_IP, API_RIGHT_SHOW, "dmsg ip", sizeof(struct api_dmsg_ask),
		sizeof(struct api_dmsg_ask), api_dmsg_ip},
	ACT(API_ROUTE_LISTEN, "route listen", api_route_listen, struct api_route_ask),
	ACT(API_ROUTE_DIAL, "route dial", api_route_dial, struct api_route_ask),
	ACT(API_ROUTE_TRACE, "route trace", api_route_trace, struct api_route_trace),
	ACT(API_ROUTE_CLOSE, "route close", api_route_close, struct api_route_close),
	ACT(API_TP_SETUP, "transport on", api_tp_setup, struct api_tp_setup_ask),
	ACT(API_STREAM_ENDED, "stream ended", api_stream_ended, struct api_stream_ended_ask),
};

const struct api_method *api_methods(size_t *n)
{
	*n = ARRAY_LEN(methods);
	return methods;
}

// ---- what the data plane told ----

static void on_sync_begin(void *arg, enum dp_sync why)
{
	struct api *a = arg;

	a->n_ports = 0;
	a->n_workers = 0;
}

static void on_port(void *arg, const struct evt_port *e)
{
	struct api *a = arg;
	unsigned i = 0;

	while (i < a->n_ports && a->ports[i].port != e->port)
		i++;
	if (i == ARRAY_LEN(a->ports))
		return;
	if (i == a->n_ports)
		a->n_ports++;
	else if (a->ports[i].link_up != e->link_up)
		log_notice("port=%s link=%s", e->name, e->link_up ? "up" : "down");
	a->ports[i] = *e;
}

static void on_worker(void *arg, const struct evt_worker *e)
{
	struct api *a = arg;
	unsigned i = 0;

	while (i < a->n_workers && a->workers[i].worker != e->worker)
		i++;
	if (i == ARRAY_LEN(a->workers))
		return;
	if (i == a->n_workers)
		a->n_workers++;
	a->workers[i] = *e;
}

static void on_transport(void *arg, struct transport *t, enum transport_change what)
{
	struct api *a = arg;
	unsigned i = a->n_gone % API_GONE_MAX;

	if (what != TRANSPORT_CHANGE_REMOVED)
		return;
	a->gone[i].tp = transport_tp(t);
	a->gone[i].hop = transport_hop(t, 0);
	a->gone[i].ns = clock_mono_ns();
	a->n_gone++;
}

enum { LOAD_MS = 1000 };

static uint32_t load_ppm(uint64_t cycles, uint64_t tsc_hz, uint64_t ns)
{
	double ppm;

	if (tsc_hz == 0 || ns == 0)
		return 0;
	ppm = (double)cycles * 1e15 / ((double)tsc_hz * (double)ns);
	return ppm < 1e6 ? (uint32_t)ppm : 1000000;
}

// A data plane that has come in place of another counts from 0 again.
static void on_load(void *arg)
{
	struct api *a = arg;
	const struct stats_view *s = api_stats(a);
	uint64_t now = clock_mono_ns(), epoch = dp_client_epoch(a->d.dp);
	bool same = epoch != 0 && epoch == a->load_epoch;

	for (unsigned i = 0; i < ARRAY_LEN(a->load); i++) {
		const struct stats_worker *w = s != NULL ? stats_view_worker(s, i) : NULL;
		uint64_t was = a->load[i].cycles, is = 0;

		if (w != NULL)
			is = stat_get(&w->c[W_cycles_busy]);
		a->load[i].busy_ppm = same && w != NULL && is > was
					      ? load_ppm(is - was, s->tsc_hz, now - a->load_ns)
					      : 0;
		a->load[i].cycles = is;
	}
	a->load_ns = now;
	a->load_epoch = s != NULL ? epoch : 0;
}

struct api *api_new(const struct api_deps *deps)
{
	struct api *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->d = *deps;
	a->start_ns = clock_mono_ns();
	TAILQ_INIT(&a->tasks);
	a->load_timer = loop_timer_new(deps->loop, on_load, a);
	if (a->load_timer == NULL) {
		free(a);
		return errno_null(ENOMEM);
	}
	loop_timer_start(a->load_timer, 0, LOAD_MS);
	a->handler = (struct dp_handler){.on_sync_begin = on_sync_begin,
		.on_port = on_port,
		.on_worker = on_worker,
		.arg = a};
	dp_client_register(deps->dp, &a->handler);
	a->watch = (struct transport_watch){.fn = on_transport, .arg = a};
	transport_mgr_watch(deps->transports, &a->watch);
	return a;
}

void api_free(struct api *a)
{
	if (a == NULL)
		return;
	dp_client_unregister(a->d.dp, &a->handler);
	loop_timer_free(a->load_timer);
	api_tasks_end(a);
	free(a);
}
