// A dial as a chain of steps, each of which ends in a callback: ways, the set-up node, the group. A
// route that was laid and did not come up is told with the words of whoever knows why.
#include "controlplane/route/route_dial_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"

struct route_dial {
	struct route_dialler *d;
	struct route_dial_ask ask;
	route_dial_fn fn;
	void *arg;
	struct setup_route route;
	struct route_seek *seek; // the step that is under way; the others are NULL
	struct route_lay *lay;
	struct conn *group;
};

static void dial_free(struct route_dial *dial)
{
	struct route_dialler *d = dial->d;

	route_seek_cancel(dial->seek);
	route_lay_cancel(dial->lay);
	conn_close(dial->group);
	d->stats.running--;
	free(dial);
}

static void fail(struct route_dial *dial, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void fail(struct route_dial *dial, int err, const char *fmt, ...)
{
	char why[ROUTE_DIAL_WHY_MAX];
	route_dial_fn fn = dial->fn;
	void *arg = dial->arg;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	dial->d->stats.failed++;
	dial_free(dial);
	fn(arg, NULL, err, why);
}

// ---- the group ----

static void on_group_open(void *arg)
{
	struct route_dial *dial = arg;
	struct conn *group = dial->group;
	route_dial_fn fn = dial->fn;
	void *fn_arg = dial->arg;

	dial->group = NULL;
	dial_free(dial);
	fn(fn_arg, group, 0, "");
}

static size_t on_group_data(void *arg, uint8_t *p, size_t len)
{
	(void)arg;
	(void)p;
	(void)len;
	return 0; // not before it has an owner
}

static void on_group_end(void *arg, int err)
{
	struct route_dial *dial = arg;
	const char *why = dial->d->conf.ops.why(dial->group);

	fail(dial, err != 0 ? err : -ECONNREFUSED, "the route was laid, but: %s",
		why[0] != '\0' ? why : "its far end closed it");
}

static const struct conn_events group_events = {
	.open = on_group_open, .data = on_group_data, .end = on_group_end};

// ---- the steps before ----

static void on_laid(void *arg, const struct setup_edge *edge, const struct rule_wire rules[2],
	int err, const char *why)
{
	struct route_dial *dial = arg;
	const struct route_dial_ops *ops = &dial->d->conf.ops;

	dial->lay = NULL;
	if (err != 0) {
		fail(dial, err, "%s", why);
		return;
	}
	dial->group = ops->open(ops->arg, edge, &group_events, dial);
	if (dial->group != NULL)
		return;
	err = errno;
	ops->release(ops->arg, (uint32_t[]){rules[0].key_id, rules[1].key_id}, 2);
	fail(dial, -err, "the route was laid, but: %s", strerror(err));
}

static void on_ways(void *arg, const struct setup_path *forward, const struct setup_path *reverse,
	int err, const char *why)
{
	struct route_dial *dial = arg;
	const struct route_dial_ops *ops = &dial->d->conf.ops;
	struct rule_desc *desc = &dial->route.desc;

	dial->seek = NULL;
	if (err != 0) {
		fail(dial, err, "%s", why);
		return;
	}
	dial->route.forward = *forward;
	dial->route.reverse = *reverse;
	memcpy(desc->src_pk, dial->d->conf.self->b, RULE_PK_LEN);
	memcpy(desc->dst_pk, dial->ask.dst.b, RULE_PK_LEN);
	desc->dst_port = dial->ask.port;
	desc->src_port = ops->port(ops->arg, &dial->ask.dst, dial->ask.port);
	if (desc->src_port == 0) {
		fail(dial, -EADDRINUSE, "no local port is free towards that node and port");
		return;
	}
	dial->lay = route_lay_new(dial->d, &dial->route, on_laid, dial);
	if (dial->lay == NULL)
		fail(dial, -ENOMEM, "out of memory");
}

// ---- life ----

static bool is_possible(const struct route_dialler *d, const struct route_dial_ask *ask)
{
	return key_pk_is_valid(&ask->dst) && ask->port != 0 && ask->n_via <= ROUTE_DIAL_VIA_MAX &&
	       (ask->n_via > 0 || key_pk_cmp(&ask->dst, d->conf.self) != 0);
}

struct route_dial *route_dial_new(
	struct route_dialler *d, const struct route_dial_ask *ask, route_dial_fn fn, void *arg)
{
	struct route_dial *dial;

	if (!is_possible(d, ask))
		return errno_null(EINVAL);
	if (d->stats.running >= ROUTE_DIALS_MAX) {
		d->stats.refused++;
		return errno_null(EBUSY);
	}
	dial = calloc(1, sizeof(*dial));
	if (dial == NULL)
		return NULL;
	dial->d = d;
	dial->ask = *ask;
	if (ask->keep_alive_s == 0)
		dial->ask.keep_alive_s = d->policy.keep_alive_s;
	dial->fn = fn;
	dial->arg = arg;
	dial->route.keep_alive_ns = (int64_t)dial->ask.keep_alive_s * (int64_t)CLOCK_NS_PER_S;
	dial->seek = route_seek_new(d, &dial->ask, on_ways, dial);
	if (dial->seek == NULL) {
		free(dial);
		return errno_null(ENOMEM);
	}
	d->stats.running++;
	d->stats.dialled++;
	return dial;
}

void route_dial_cancel(struct route_dial *dial)
{
	if (dial != NULL)
		dial_free(dial);
}

struct route_dialler *route_dialler_new(const struct route_dialler_conf *conf)
{
	struct route_dialler *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->conf = *conf;
	d->policy.keep_alive_s = ROUTE_DIAL_KEEP_ALIVE_S;
	if (d->conf.setup_ms == 0)
		d->conf.setup_ms = ROUTE_DIAL_SETUP_MS;
	if (d->conf.node_ms == 0)
		d->conf.node_ms = ROUTE_DIAL_NODE_MS;
	return d;
}

void route_dialler_free(struct route_dialler *d)
{
	free(d);
}

int route_dialler_set(struct route_dialler *d, const struct route_dial_policy *policy)
{
	if (policy->n_nodes > ROUTE_DIAL_SETUP_NODES_MAX || policy->n_to > ROUTE_DIAL_TO_MAX)
		return -ENOSPC;
	d->policy = *policy;
	d->policy.nodes = d->node;
	d->policy.to = d->to;
	for (size_t i = 0; i < policy->n_nodes; i++)
		d->node[i] = policy->nodes[i];
	for (size_t i = 0; i < policy->n_to; i++)
		d->to[i] = policy->to[i];
	if (d->policy.keep_alive_s == 0)
		d->policy.keep_alive_s = ROUTE_DIAL_KEEP_ALIVE_S;
	return 0;
}

void route_dialler_stats_get(const struct route_dialler *d, struct route_dialler_stats *out)
{
	*out = d->stats;
}
