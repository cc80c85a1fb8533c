// Calls of net/rpc into transports. A call that waits for one is looked at again when that came up,
// or failed, or went, from a timer: what the manager tells comes from the middle of its work. It
// outlives its stream, since a transport that nobody waits for any more must still go when it comes
// to nothing.
#include "controlplane/transport/tp_gateway.h"

#include "lib/base/err.h"
#include "lib/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

LOG_MODULE("transport");

enum { WHY_MAX = 200 };

// Waits for a transport to be up.
struct add {
	struct tp_gateway *gateway;
	struct rpc_stream *s; // NULL: it is gone
	struct tp_setup_ask ask;
	enum transport_type type;
	bool made; // for this call
	bool due; // something is known
	struct loop_timer *timer;
	LIST_ENTRY(add) entry;
};

struct tp_gateway {
	struct tp_gateway_conf conf;
	struct rpc_port *port;
	struct transport_watch watch;
	LIST_HEAD(, add) adds;
	struct tp_gateway_stats stats; // but for the port's
};

static void put_error(struct rpc_stream *s, struct bytes_w *w, const char *why)
{
	netrpc_put_error(&s->tx, w, s->rx.method, s->rx.seq, why);
}

static void refuse(struct tp_gateway *g, struct rpc_stream *s, struct bytes_w *w, const char *why)
{
	g->stats.refused++;
	put_error(s, w, why);
}

static struct tp_setup_tp tp_of(const struct tp_gateway *g, const struct transport *t)
{
	struct tp_setup_tp tp = {.local = *g->conf.self, .remote = *transport_peer(t)};

	memcpy(tp.id, transport_id(t), sizeof(tp.id));
	snprintf(tp.type, sizeof(tp.type), "%s", transport_type_name(transport_type(t)));
	return tp;
}

static bool is_asked(const struct transport *t)
{
	struct transport_info info;

	transport_info_get(t, &info);
	return info.conf.origin == TRANSPORT_ASKED;
}

// ---- AddTransport ----

static struct transport *find(
	const struct tp_gateway *g, const struct tp_setup_ask *ask, enum transport_type type)
{
	return transport_mgr_find_peer(g->conf.transports, &ask->remote, (int)type);
}

static void add_free(struct add *a)
{
	LIST_REMOVE(a, entry);
	loop_timer_free(a->timer);
	free(a);
}

// The answer, if somebody waits for it. why: NULL when t is up.
static void add_end(struct add *a, const struct transport *t, const char *why)
{
	struct tp_gateway *g = a->gateway;
	struct rpc_stream *s = a->s;
	uint8_t buf[RPC_ANSWER_MAX];
	struct bytes_w w = bytes_w(buf, sizeof(buf));

	g->stats.made += a->made && why == NULL;
	g->stats.failed += a->made && why != NULL;
	add_free(a);
	if (s == NULL)
		return;
	if (why == NULL) {
		const struct tp_setup_tp tp = tp_of(g, t);

		tp_setup_put_added(&s->tx, &w, s->rx.seq, &tp);
	} else {
		put_error(s, &w, why);
	}
	rpc_stream_answer(s, buf, &w);
}

// Something is known, or too much time is over.
static void on_timer(void *arg)
{
	struct add *a = arg;
	struct tp_gateway *g = a->gateway;
	struct transport *t = find(g, &a->ask, a->type);
	struct transport_info info;
	char why[WHY_MAX];

	if (t != NULL && transport_is_up(t)) {
		add_end(a, t, NULL);
		return;
	}
	if (t == NULL) {
		add_end(a, NULL, "save transport: it was removed");
		return;
	}
	transport_info_get(t, &info);
	snprintf(why, sizeof(why), "save transport: %s%s",
		a->due ? "" : "not up in time: ", info.why);
	if (a->made && info.conf.origin == TRANSPORT_ASKED)
		transport_mgr_del(g->conf.transports, transport_name(t));
	add_end(a, NULL, why);
}

static void on_change(void *arg, struct transport *t, enum transport_change what)
{
	struct tp_gateway *g = arg;
	struct add *a;

	if (what != TRANSPORT_CHANGE_UP && what != TRANSPORT_CHANGE_FAILED &&
		what != TRANSPORT_CHANGE_REMOVED)
		return;
	LIST_FOREACH (a, &g->adds, entry) {
		if (a->type != transport_type(t) ||
			key_pk_cmp(&a->ask.remote, transport_peer(t)) != 0)
			continue;
		a->due = true;
		loop_timer_start(a->timer, 0, 0);
	}
}

static bool read_type(const char *name, enum transport_type *type)
{
	for (int i = TRANSPORT_STCP; i < TRANSPORT_N_TYPES; i++) {
		*type = (enum transport_type)i;
		if (strcmp(transport_type_name(*type), name) == 0)
			return true;
	}
	return false;
}

static void count_one(void *arg, struct transport *t)
{
	*(uint32_t *)arg += is_asked(t);
}

// Why there can't be a new one, or NULL.
static const char *no_new(const struct tp_gateway *g, enum transport_type type)
{
	uint32_t n = 0;

	if (transport_type_has_address(type))
		return "save transport: the address of that node is not known here";
	transport_mgr_each(g->conf.transports, count_one, &n);
	return n >= TP_SETUP_MAX ? "save transport: too many transports were asked for" : NULL;
}

static int make(struct tp_gateway *g, const struct add *a, char *err, size_t err_len)
{
	const uint8_t *pk = a->ask.remote.b;
	struct transport_conf c = {.peer = a->ask.remote,
		.type = (uint8_t)a->type,
		.dial = true,
		.origin = TRANSPORT_ASKED};

	snprintf(c.name, sizeof(c.name), "asked-%02x%02x%02x%02x%02x%02x-%s", pk[0], pk[1], pk[2],
		pk[3], pk[4], pk[5], transport_type_name(a->type));
	return transport_mgr_add(g->conf.transports, &c, err, err_len);
}

static struct add *add_new(struct tp_gateway *g, struct rpc_stream *s,
	const struct tp_setup_ask *ask, enum transport_type type)
{
	struct add *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	*a = (struct add){.gateway = g, .s = s, .ask = *ask, .type = type};
	a->timer = loop_timer_new(g->conf.loop, on_timer, a);
	if (a->timer == NULL) {
		free(a);
		return NULL;
	}
	loop_timer_start(a->timer, TP_GATEWAY_WAIT_MS, 0);
	LIST_INSERT_HEAD(&g->adds, a, entry);
	return a;
}

static void add(struct tp_gateway *g, struct rpc_stream *s, struct bytes_w *w)
{
	char why[WHY_MAX], err[TRANSPORT_WHY_MAX] = "";
	const char *obstacle;
	struct tp_setup_ask ask;
	enum transport_type type;
	struct transport *t;
	struct add *a;

	if (tp_setup_ask_read(&ask, &s->rx) < 0) {
		refuse(g, s, w, "malformed request");
		return;
	}
	if (!read_type(ask.type, &type)) {
		refuse(g, s, w, "save transport: unknown network type");
		return;
	}
	t = find(g, &ask, type);
	obstacle = t == NULL ? no_new(g, type) : NULL;
	if (obstacle != NULL) {
		refuse(g, s, w, obstacle);
		return;
	}
	a = add_new(g, s, &ask, type);
	if (a == NULL) {
		refuse(g, s, w, "save transport: out of memory");
		return;
	}
	s->waits_for = a;
	if (t != NULL) {
		a->due = transport_is_up(t);
		if (a->due)
			loop_timer_start(a->timer, 0, 0);
		return;
	}
	a->made = true;
	if (make(g, a, err, sizeof(err)) == 0) {
		log_limited(LOG_NOTICE, "a set-up node asks for a transport: type=%s", ask.type);
		return;
	}
	add_free(a);
	s->waits_for = NULL;
	snprintf(why, sizeof(why), "save transport: %s", err);
	refuse(g, s, w, why);
}

static void on_gone(void *arg, struct rpc_stream *s)
{
	struct add *a = s->waits_for;

	(void)arg;
	// What was made has a bound of its own; the others would have none.
	if (a->made)
		a->s = NULL;
	else
		add_free(a);
}

// ---- the other calls ----

static void del(struct tp_gateway *g, struct rpc_stream *s, struct bytes_w *w)
{
	uint8_t id[TP_SETUP_ID_LEN];
	struct transport *t;

	if (tp_setup_id_read(id, &s->rx) < 0) {
		refuse(g, s, w, "malformed request");
		return;
	}
	t = transport_mgr_find_id(g->conf.transports, id);
	if (t == NULL || !is_asked(t)) { // in Skywire's words
		refuse(g, s, w,
			t == NULL ? "transport not found" : "transport was not created by skycoin");
		return;
	}
	log_limited(LOG_NOTICE, "transport %s: removed as a set-up node asks", transport_name(t));
	transport_mgr_del(g->conf.transports, transport_name(t));
	g->stats.removed++;
	tp_setup_put_removed(&s->tx, w, s->rx.seq, true);
}

struct listing {
	const struct tp_gateway *g;
	struct tp_setup_tp tp[TP_SETUP_MAX];
	uint32_t n;
};

static void list_one(void *arg, struct transport *t)
{
	struct listing *l = arg;

	if (l->n < TP_SETUP_MAX && is_asked(t))
		l->tp[l->n++] = tp_of(l->g, t);
}

static void list(struct tp_gateway *g, struct rpc_stream *s, struct bytes_w *w)
{
	struct listing l = {.g = g};

	transport_mgr_each(g->conf.transports, list_one, &l);
	tp_setup_put_listed(&s->tx, w, s->rx.seq, l.tp, l.n);
}

static void on_call(void *arg, struct rpc_stream *s, struct bytes_w *w)
{
	struct tp_gateway *g = arg;
	char text[NETRPC_ERROR_MAX];

	if (strcmp(s->rx.method, TP_SETUP_ADD) == 0) {
		add(g, s, w);
	} else if (strcmp(s->rx.method, TP_SETUP_REMOVE) == 0) {
		del(g, s, w);
	} else if (strcmp(s->rx.method, TP_SETUP_LIST) == 0) {
		list(g, s, w);
	} else {
		g->stats.unknown++;
		put_error(
			s, w, netrpc_no_method(s->rx.method, TP_SETUP_SERVICE, text, sizeof(text)));
	}
}

// ---- the whole ----

struct tp_gateway *tp_gateway_new(const struct tp_gateway_conf *conf)
{
	struct tp_gateway *g = calloc(1, sizeof(*g));
	struct rpc_port_conf pc = {.loop = conf->loop,
		.client = conf->client,
		.port = TP_SETUP_PORT,
		.streams_max = TP_GATEWAY_STREAMS_MAX,
		.streams_of_key = TP_GATEWAY_STREAMS_OF_KEY,
		.idle_ms = TP_GATEWAY_IDLE_MS,
		.named = true,
		.call = on_call,
		.gone = on_gone,
		.arg = g};
	int rc;

	if (g == NULL)
		return NULL;
	g->conf = *conf;
	g->watch = (struct transport_watch){.fn = on_change, .arg = g};
	LIST_INIT(&g->adds);
	transport_mgr_watch(conf->transports, &g->watch);
	g->port = rpc_port_new(&pc);
	rc = g->port != NULL ? tp_gateway_set_nodes(g, conf->nodes, conf->n_nodes) : -errno;
	if (rc == 0)
		return g;
	tp_gateway_free(g);
	return errno_null(rc);
}

void tp_gateway_free(struct tp_gateway *g)
{
	if (g == NULL)
		return;
	rpc_port_free(g->port);
	while (!LIST_EMPTY(&g->adds))
		add_free(LIST_FIRST(&g->adds));
	transport_mgr_unwatch(g->conf.transports, &g->watch);
	free(g);
}

int tp_gateway_set_nodes(struct tp_gateway *g, const struct key_pk *nodes, uint32_t n)
{
	return rpc_port_callers(g->port, nodes, n);
}

void tp_gateway_stats_get(const struct tp_gateway *g, struct tp_gateway_stats *out)
{
	*out = g->stats;
	rpc_port_stats_get(g->port, &out->port);
}
