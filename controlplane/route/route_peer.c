// Calls of net/rpc into those of the gate, and its answers back. A call may outlive its stream:
// what it was sent for is done all the same, since rules that were asked for are rules that others
// count on.
#include "controlplane/route/route_peer.h"

#include "lib/base/err.h"
#include "lib/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

LOG_MODULE("route");

struct route_peer {
	struct route_gate *gate;
	struct rpc_port *port;
	uint64_t unknown;
};

// ---- calls ----

static void put_answer(struct rpc_stream *s, struct bytes_w *w, const char *why)
{
	if (why == NULL)
		setup_put_bool(&s->tx, w, s->rx.method, s->rx.seq, true);
	else
		netrpc_put_error(&s->tx, w, s->rx.method, s->rx.seq, why);
}

static void on_done(void *arg, const char *why)
{
	struct rpc_stream *s = arg;
	uint8_t buf[RPC_ANSWER_MAX];
	struct bytes_w w = bytes_w(buf, sizeof(buf));

	put_answer(s, &w, why);
	rpc_stream_answer(s, buf, &w);
}

static void on_gone(void *arg, struct rpc_stream *s)
{
	(void)arg;
	route_call_forget(s->waits_for);
}

// What of it could be read wrong; rc 0: nothing.
static int read_wrong(int rc, char why[ROUTE_WHY_MAX])
{
	if (rc < 0)
		snprintf(why, ROUTE_WHY_MAX, "failure code 1 (%s)",
			rc == -E2BIG ? "more ids than a route has" : "malformed request");
	return rc;
}

static void reserve(struct route_peer *p, struct rpc_stream *s, struct bytes_w *w)
{
	char why[ROUTE_WHY_MAX];
	uint32_t ids[SETUP_IDS_MAX];
	uint8_t n;
	int rc = read_wrong(setup_count_read(&n, &s->rx), why);

	if (rc == 0)
		rc = route_gate_reserve(p->gate, &s->pk, n, ids, why);
	if (rc == 0)
		setup_put_reserved(&s->tx, w, s->rx.seq, ids, n);
	else
		put_answer(s, w, why);
}

static int intermediary(struct route_peer *p, struct rpc_stream *s, struct route_call **call,
	char why[ROUTE_WHY_MAX])
{
	struct rule_wire rules[SETUP_IDS_MAX];
	uint32_t n;
	int rc = read_wrong(setup_rules_read(rules, &n, &s->rx), why);

	return rc < 0 ? rc
		      : route_gate_intermediary(p->gate, &s->pk, rules, n, on_done, s, call, why);
}

static int edge(struct route_peer *p, struct rpc_stream *s, struct route_call **call,
	char why[ROUTE_WHY_MAX])
{
	struct setup_edge e;
	int rc = read_wrong(setup_edge_read(&e, &s->rx), why);

	return rc < 0 ? rc : route_gate_edge(p->gate, &s->pk, &e, on_done, s, call, why);
}

static int take_back(struct route_peer *p, struct rpc_stream *s, struct route_call **call,
	char why[ROUTE_WHY_MAX])
{
	uint32_t ids[SETUP_IDS_MAX], n;
	int rc = read_wrong(setup_ids_read(ids, &n, &s->rx), why);

	return rc < 0 ? rc : route_gate_delete(p->gate, &s->pk, ids, n, on_done, s, call, why);
}

static void no_method(struct route_peer *p, struct rpc_stream *s, struct bytes_w *w)
{
	char text[NETRPC_ERROR_MAX];

	p->unknown++;
	put_answer(s, w, netrpc_no_method(s->rx.method, SETUP_GATEWAY, text, sizeof(text)));
}

static void on_call(void *arg, struct rpc_stream *s, struct bytes_w *w)
{
	static const struct {
		const char *method;
		int (*fn)(struct route_peer *p, struct rpc_stream *s, struct route_call **call,
			char why[ROUTE_WHY_MAX]);
	} methods[] = {
		{SETUP_INTERMEDIARY, intermediary}, {SETUP_EDGE, edge}, {SETUP_DELETE, take_back}};
	struct route_peer *p = arg;
	struct route_call *call = NULL;
	char why[ROUTE_WHY_MAX];
	int rc;

	if (strcmp(s->rx.method, SETUP_RESERVE) == 0) {
		reserve(p, s, w);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (strcmp(s->rx.method, methods[i].method) != 0)
			continue;
		rc = methods[i].fn(p, s, &call, why);
		s->waits_for = rc == 0 ? call : NULL;
		if (rc != 0)
			put_answer(s, w, rc == -EALREADY ? NULL : why);
		return;
	}
	no_method(p, s, w);
}

// ---- the whole ----

int route_peer_set_policy(struct route_peer *p, const struct route_peer_policy *policy)
{
	int rc = rpc_port_callers(p->port, policy->nodes, policy->n_nodes);

	if (rc == 0)
		route_gate_set_transit(p->gate, !policy->no_transit);
	return rc;
}

static int start(struct route_peer *p, const struct route_peer_conf *conf)
{
	const struct rpc_port_conf c = {.loop = conf->gate.loop,
		.client = conf->client,
		.port = SETUP_GATEWAY_PORT,
		.streams_max = ROUTE_PEER_STREAMS_MAX,
		.streams_of_key = ROUTE_PEER_STREAMS_OF_KEY,
		.idle_ms = conf->idle_ms != 0 ? conf->idle_ms : ROUTE_PEER_IDLE_MS,
		.named = true,
		.call = on_call,
		.gone = on_gone,
		.arg = p};

	p->gate = route_gate_new(&conf->gate);
	if (p->gate == NULL)
		return -errno;
	p->port = rpc_port_new(&c);
	return p->port != NULL ? route_peer_set_policy(p, &conf->policy) : -errno;
}

struct route_peer *route_peer_new(const struct route_peer_conf *conf)
{
	struct route_peer *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return NULL;
	rc = start(p, conf);
	if (rc == 0)
		return p;
	route_peer_free(p);
	return errno_null(-rc);
}

void route_peer_free(struct route_peer *p)
{
	if (p == NULL)
		return;
	rpc_port_free(p->port);
	route_gate_free(p->gate);
	free(p);
}

bool route_peer_claim(
	struct route_peer *p, const struct key_pk *setup_node, const uint32_t *ids, size_t n)
{
	return p != NULL && route_gate_claim(p->gate, setup_node, ids, n);
}

const struct route_gate *route_peer_gate(const struct route_peer *p)
{
	return p->gate;
}

void route_peer_stats_get(const struct route_peer *p, struct route_peer_stats *out)
{
	struct rpc_port_stats s;

	rpc_port_stats_get(p->port, &s);
	*out = (struct route_peer_stats){.strangers = s.strangers,
		.streams_refused = s.refused,
		.bad = s.bad,
		.unknown = p->unknown,
		.streams = s.now};
	route_gate_stats_get(p->gate, &out->gate);
}
