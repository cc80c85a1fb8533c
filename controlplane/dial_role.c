// Glue, and the one thing that it knows: a route finder is asked for ways of any length, so that
// the lengths that there are can be named when none is of the wanted one.
#include "controlplane/dial_role.h"

#include "controlplane/directory/finder.h"
#include "lib/base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct dial_role {
	struct dial_role_deps d;
	struct route_dialler *dialler;
	struct route_tracer *tracer;
};

struct look_up {
	struct finder_query *query;
	route_ways_fn fn;
	void *arg;
};

static bool op_link(void *arg, const struct key_pk *peer, uint8_t tp_id[RULE_TP_ID_LEN])
{
	struct dial_role *r = arg;
	struct transport *t = transport_mgr_find_peer(r->d.transports, peer, -1);
	struct transport_info info;

	if (t == NULL)
		return false;
	transport_info_get(t, &info);
	memcpy(tp_id, info.tp_id, RULE_TP_ID_LEN);
	return true;
}

static bool op_claim(void *arg, const struct key_pk *setup_node, const uint32_t *ids, size_t n)
{
	struct dial_role *r = arg;

	return route_peer_claim(r->d.peer, setup_node, ids, n);
}

static void op_release(void *arg, const uint32_t *ids, size_t n)
{
	struct dial_role *r = arg;

	for (size_t i = 0; i < n; i++)
		route_id_release(r->d.ids, ids[i]);
}

static uint16_t op_port(void *arg, const struct key_pk *pk, uint16_t port)
{
	struct dial_role *r = arg;

	return route_groups_port(group_role_groups(r->d.ends), pk, port);
}

static struct conn *op_open(
	void *arg, const struct setup_edge *edge, const struct conn_events *ev, void *ev_arg)
{
	struct dial_role *r = arg;

	return route_groups_open(group_role_groups(r->d.ends), edge, ev, ev_arg);
}

// ---- ways ----

static void on_found(void *arg, const struct finder_result *res)
{
	struct look_up *u = arg;
	route_ways_fn fn = u->fn;
	void *fn_arg = u->arg;

	free(u);
	if (res->taken)
		fn(fn_arg, 0, "", res->answer->forward.path, res->answer->forward.n,
			res->answer->reverse.path, res->answer->reverse.n);
	else
		fn(fn_arg, res->err != 0 ? res->err : -EREMOTEIO, res->text, NULL, 0, NULL, 0);
}

static void *op_find(void *arg, const struct key_pk *dst, struct route_path_limits limits,
	route_ways_fn fn, void *fn_arg)
{
	struct dial_role *r = arg;
	struct finder_ask ask = {.src = *identity_pk(r->d.id),
		.dst = *dst,
		.min_hops = 1,
		.max_hops = FINDER_HOPS_DEFAULT};
	struct look_up *u = calloc(1, sizeof(*u));
	int err;

	if (u == NULL)
		return NULL;
	if (limits.min > 1) // finders give few paths, the shortest first
		ask.min_hops = limits.min;
	u->fn = fn;
	u->arg = fn_arg;
	u->query = finder_paths(r->d.finder, &ask, on_found, u);
	if (u->query != NULL)
		return u;
	err = errno;
	free(u);
	return errno_null(err);
}

static void op_unfind(void *arg, void *look_up)
{
	struct look_up *u = look_up;

	finder_cancel(u->query);
	free(u);
}

// ---- life ----

struct dial_role *dial_role_new(
	const struct dial_role_deps *deps, const struct route_dial_policy *policy)
{
	struct dial_role *r = calloc(1, sizeof(*r));
	struct route_dialler_conf c = {.loop = deps->loop,
		.client = deps->client,
		.self = identity_pk(deps->id),
		.ops = {.link = op_link,
			.claim = op_claim,
			.release = op_release,
			.port = op_port,
			.open = op_open,
			.why = route_group_why,
			.find = deps->finder != NULL ? op_find : NULL,
			.unfind = op_unfind,
			.arg = r}};

	if (r == NULL)
		return NULL;
	r->d = *deps;
	r->dialler = route_dialler_new(&c);
	if (r->dialler != NULL)
		r->tracer = route_tracer_new(r->dialler, group_role_loops(deps->ends));
	if (r->tracer == NULL || route_dialler_set(r->dialler, policy) < 0) {
		dial_role_free(r);
		return errno_null(ENOMEM);
	}
	return r;
}

void dial_role_free(struct dial_role *r)
{
	if (r == NULL)
		return;
	route_tracer_free(r->tracer);
	route_dialler_free(r->dialler);
	free(r);
}

struct route_dialler *dial_role_dialler(const struct dial_role *r)
{
	return r != NULL ? r->dialler : NULL;
}

struct route_tracer *dial_role_tracer(const struct dial_role *r)
{
	return r != NULL ? r->tracer : NULL;
}
