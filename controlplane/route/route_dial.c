// A dial as a chain of steps, each of which ends in a callback. Nothing is tried twice but
// set-up nodes that can't be reached: what one refused another would refuse too, and a route that
// was laid and did not come up is told with the words of whoever knows why.
#include "controlplane/route/route_dial.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "controlplane/route/setup_call.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

struct route_dialler {
	struct route_dialler_conf conf;
	struct key_pk node[ROUTE_DIAL_SETUP_NODES_MAX];
	struct route_dial_to to[ROUTE_DIAL_TO_MAX];
	struct route_dial_policy policy; // its pointers are those of these arrays
	struct route_dialler_stats stats;
};

struct route_dial {
	struct route_dialler *d;
	struct route_dial_ask ask;
	route_dial_fn fn;
	void *arg;
	struct setup_route route;
	struct loop_timer *timer; // the beginning, and the set-up node's answer
	void *look_up;
	size_t node; // the set-up node that is asked
	struct key_pk node_pk; // it may leave the list meanwhile
	struct setup_call *call;
	bool asked; // the call is open, and the route was asked for
	struct conn *group;
	char unreached[ROUTE_DIAL_WHY_MAX / 2]; // why the last set-up node could not be asked
};

static void dial_free(struct route_dial *dial)
{
	struct route_dialler *d = dial->d;

	if (dial->look_up != NULL)
		d->conf.ops.unfind(d->conf.ops.arg, dial->look_up);
	setup_call_free(dial->call);
	conn_close(dial->group);
	loop_timer_free(dial->timer);
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

// ---- what the set-up node answered ----

// Back is the route's descriptor the other way round.
static bool are_ours(const struct setup_route *r, const struct rule_desc *back,
	const struct rule_wire *forward, const struct rule_wire *consume)
{
	return forward->keep_alive_ns == r->keep_alive_ns &&
	       consume->keep_alive_ns == r->keep_alive_ns &&
	       memcmp(forward->next_tp, r->forward.hop[0].tp_id, RULE_TP_ID_LEN) == 0 &&
	       rule_desc_equal(&forward->desc, &r->desc) && rule_desc_equal(&consume->desc, back);
}

// NULL, and both ids are claimed; or what is wrong.
static const char *check_edge(
	const struct route_dial *dial, const struct setup_edge *edge, uint32_t ids[2])
{
	const struct route_dial_ops *ops = &dial->d->conf.ops;
	struct rule_wire forward, consume;
	struct rule_desc back;

	rule_desc_invert(&back, &dial->route.desc);
	if (!setup_edge_rules(edge, &forward, &consume) || !rule_desc_equal(&edge->desc, &back) ||
		!are_ours(&dial->route, &back, &forward, &consume))
		return "rules that are not those of the route";
	ids[0] = forward.key_id;
	ids[1] = consume.key_id;
	if (!ops->claim(ops->arg, &dial->node_pk, ids, 2))
		return "rules whose ids it has not reserved here";
	return NULL;
}

static void open_group(
	struct route_dial *dial, const struct setup_edge *edge, const uint32_t ids[2])
{
	const struct route_dial_ops *ops = &dial->d->conf.ops;
	int err;

	loop_timer_stop(dial->timer);
	setup_call_free(dial->call);
	dial->call = NULL;
	dial->group = ops->open(ops->arg, edge, &group_events, dial);
	if (dial->group != NULL)
		return;
	err = errno;
	ops->release(ops->arg, ids, 2);
	fail(dial, -err, "the route was laid, but: %s", strerror(err));
}

// ---- the set-up node ----

static void ask_next(struct route_dial *dial);

static void on_answer(struct route_dial *dial, int err, const char *why)
{
	struct setup_edge edge;
	char pk[KEY_PK_TEXT_LEN + 1];
	const char *wrong;
	uint32_t ids[2];

	key_pk_to_text(&dial->node_pk, pk);
	if (err != 0) {
		fail(dial, err, "set-up node %s: %s", pk, why);
		return;
	}
	wrong = setup_edge_read(&edge, setup_call_reply(dial->call)) < 0
			? "what is no answer to a dial"
			: check_edge(dial, &edge, ids);
	if (wrong != NULL)
		fail(dial, -EPROTO, "set-up node %s answered %s", pk, wrong);
	else
		open_group(dial, &edge, ids);
}

static void on_call(void *arg, int err, const char *why)
{
	struct route_dial *dial = arg;
	char pk[KEY_PK_TEXT_LEN + 1];

	if (dial->asked) {
		on_answer(dial, err, why);
		return;
	}
	if (err == 0)
		err = setup_call_dial(dial->call, &dial->route);
	if (err == 0) {
		dial->asked = true;
		loop_timer_start(dial->timer, dial->d->conf.setup_ms, 0);
		return;
	}
	key_pk_to_text(&dial->node_pk, pk);
	snprintf(dial->unreached, sizeof(dial->unreached), "set-up node %s: %s", pk,
		why[0] != '\0' ? why : strerror(-err));
	setup_call_free(dial->call);
	dial->call = NULL;
	dial->node++;
	ask_next(dial);
}

static void ask_next(struct route_dial *dial)
{
	struct route_dialler *d = dial->d;

	if (dial->node >= d->policy.n_nodes) {
		fail(dial, -EHOSTUNREACH, "%s",
			dial->unreached[0] != '\0'
				? dial->unreached
				: "no set-up node is known: add a [route_setup_node NAME]");
		return;
	}
	dial->node_pk = d->node[dial->node];
	dial->call = setup_call_new(
		d->conf.client, &dial->node_pk, SETUP_DIAL_PORT, d->conf.node_ms, on_call, dial);
	if (dial->call == NULL)
		fail(dial, -errno, "set-up node: %s", strerror(errno));
}

// ---- ways ----

static void ways_known(struct route_dial *dial)
{
	const struct route_dial_ops *ops = &dial->d->conf.ops;
	struct rule_desc *desc = &dial->route.desc;

	memcpy(desc->src_pk, dial->d->conf.self->b, RULE_PK_LEN);
	memcpy(desc->dst_pk, dial->ask.dst.b, RULE_PK_LEN);
	desc->dst_port = dial->ask.port;
	desc->src_port = ops->port(ops->arg, &dial->ask.dst, dial->ask.port);
	if (desc->src_port == 0) {
		fail(dial, -EADDRINUSE, "no local port is free towards that node and port");
		return;
	}
	ask_next(dial);
}

static void on_ways(void *arg, int err, const char *why, const struct setup_path *forward,
	uint32_t n_forward, const struct setup_path *reverse, uint32_t n_reverse)
{
	struct route_dial *dial = arg;
	char wrong[ROUTE_PATH_WHY_MAX];
	int to, from;

	dial->look_up = NULL;
	if (err != 0) {
		fail(dial, err, "route finder: %s", why);
		return;
	}
	to = route_path_choose(forward, n_forward, dial->ask.hops, wrong);
	from = to < 0 ? to : route_path_choose(reverse, n_reverse, dial->ask.hops, wrong);
	if (from < 0) {
		fail(dial, -ENETUNREACH, "route finder: %s", wrong);
		return;
	}
	dial->route.forward = forward[to];
	dial->route.reverse = reverse[from];
	ways_known(dial);
}

static void go_via(struct route_dial *dial)
{
	const struct route_dial_ask *ask = &dial->ask;
	struct key_pk node[ROUTE_DIAL_VIA_MAX + 2];
	const struct key_pk *first = ask->n_via > 0 ? &ask->via[0] : &ask->dst;
	const char *type = ask->type[0] != '\0' ? ask->type : ENTRY_TYPE_RAIL;
	uint8_t tp_id[RULE_TP_ID_LEN];
	char pk[KEY_PK_TEXT_LEN + 1];

	key_pk_to_text(first, pk);
	if (!dial->d->conf.ops.link(dial->d->conf.ops.arg, first, tp_id)) {
		fail(dial, -ENETUNREACH, "there is no transport to %s that is up", pk);
		return;
	}
	node[0] = *dial->d->conf.self;
	memcpy(&node[1], ask->via, ask->n_via * sizeof(node[0]));
	node[ask->n_via + 1] = ask->dst;
	if (route_path_via(&dial->route.forward, node, ask->n_via + 2u, tp_id, type) < 0) {
		fail(dial, -EINVAL, "via: a node follows itself, or '%s' is no type of transport",
			type);
		return;
	}
	route_path_invert(&dial->route.reverse, &dial->route.forward);
	ways_known(dial);
}

static bool is_direct(const struct route_dial *dial)
{
	uint8_t tp_id[RULE_TP_ID_LEN];

	return dial->ask.hops.min <= 1 &&
	       dial->d->conf.ops.link(dial->d->conf.ops.arg, &dial->ask.dst, tp_id);
}

static void look_for_ways(struct route_dial *dial)
{
	const struct route_dial_ops *ops = &dial->d->conf.ops;

	if (dial->ask.n_via > 0 || is_direct(dial)) {
		go_via(dial);
		return;
	}
	if (ops->find == NULL) {
		fail(dial, -ENETUNREACH,
			"there is no transport to that node, and no route finder to ask: "
			"name the nodes between with via=");
		return;
	}
	dial->look_up = ops->find(ops->arg, &dial->ask.dst, dial->ask.hops, on_ways, dial);
	if (dial->look_up == NULL)
		fail(dial, -errno, "route finder: %s", strerror(errno));
}

static void on_timer(void *arg)
{
	struct route_dial *dial = arg;
	char pk[KEY_PK_TEXT_LEN + 1];

	if (!dial->asked) {
		look_for_ways(dial);
		return;
	}
	key_pk_to_text(&dial->node_pk, pk);
	fail(dial, -ETIMEDOUT, "set-up node %s: no answer in %" PRIu32 " s", pk,
		dial->d->conf.setup_ms / 1000);
}

// ---- life ----

// What was not asked for is as the policy says.
static void fill_in(const struct route_dialler *d, struct route_dial_ask *ask)
{
	const struct route_dial_policy *p = &d->policy;

	if (ask->keep_alive_s == 0)
		ask->keep_alive_s = p->keep_alive_s;
	if (ask->hops.min != 0 || ask->hops.max != 0)
		return;
	ask->hops = p->hops;
	for (size_t i = 0; i < p->n_to; i++)
		if (key_pk_cmp(&p->to[i].pk, &ask->dst) == 0)
			ask->hops = p->to[i].hops;
}

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
	fill_in(d, &dial->ask);
	dial->fn = fn;
	dial->arg = arg;
	dial->route.keep_alive_ns = (int64_t)dial->ask.keep_alive_s * (int64_t)CLOCK_NS_PER_S;
	dial->timer = loop_timer_new(d->conf.loop, on_timer, dial);
	if (dial->timer == NULL) {
		free(dial);
		return errno_null(ENOMEM);
	}
	d->stats.running++;
	d->stats.dialled++;
	loop_timer_start(dial->timer, 0, 0);
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
