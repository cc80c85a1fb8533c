// The way of a route: over nodes that were named, over the transport to a neighbour, or the first
// one of the route finder that has as many hops as are wanted.
#include "controlplane/route/route_dial_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

struct route_seek {
	struct route_dialler *d;
	struct route_dial_ask ask;
	route_seek_fn fn;
	void *arg;
	struct loop_timer *timer;
	void *look_up; // of the route finder; NULL: none
};

void route_seek_cancel(struct route_seek *s)
{
	if (s == NULL)
		return;
	if (s->look_up != NULL)
		s->d->conf.ops.unfind(s->d->conf.ops.arg, s->look_up);
	loop_timer_free(s->timer);
	free(s);
}

static void fail(struct route_seek *s, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void fail(struct route_seek *s, int err, const char *fmt, ...)
{
	char why[ROUTE_DIAL_WHY_MAX];
	route_seek_fn fn = s->fn;
	void *arg = s->arg;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	route_seek_cancel(s);
	fn(arg, NULL, NULL, err, why);
}

static void found(
	struct route_seek *s, const struct setup_path *forward, const struct setup_path *reverse)
{
	route_seek_fn fn = s->fn;
	void *arg = s->arg;

	route_seek_cancel(s);
	fn(arg, forward, reverse, 0, "");
}

static void on_ways(void *arg, int err, const char *why, const struct setup_path *forward,
	uint32_t n_forward, const struct setup_path *reverse, uint32_t n_reverse)
{
	struct route_seek *s = arg;
	char wrong[ROUTE_PATH_WHY_MAX];
	int to, from;

	s->look_up = NULL;
	if (err != 0) {
		fail(s, err, "route finder: %s", why);
		return;
	}
	to = route_path_choose(forward, n_forward, s->ask.hops, wrong);
	from = to < 0 ? to : route_path_choose(reverse, n_reverse, s->ask.hops, wrong);
	if (from < 0)
		fail(s, -ENETUNREACH, "route finder: %s", wrong);
	else
		found(s, &forward[to], &reverse[from]);
}

static void go_via(struct route_seek *s)
{
	const struct route_dial_ask *ask = &s->ask;
	struct key_pk node[ROUTE_DIAL_VIA_MAX + 2];
	const struct key_pk *first = ask->n_via > 0 ? &ask->via[0] : &ask->dst;
	const char *type = ask->type[0] != '\0' ? ask->type : ENTRY_TYPE_RAIL;
	struct setup_path forward, reverse;
	uint8_t tp_id[RULE_TP_ID_LEN];
	char pk[KEY_PK_TEXT_LEN + 1];

	key_pk_to_text(first, pk);
	if (!s->d->conf.ops.link(s->d->conf.ops.arg, first, tp_id)) {
		fail(s, -ENETUNREACH, "there is no transport to %s that is up", pk);
		return;
	}
	node[0] = *s->d->conf.self;
	memcpy(&node[1], ask->via, ask->n_via * sizeof(node[0]));
	node[ask->n_via + 1] = ask->dst;
	for (unsigned i = 0; i <= ask->n_via; i++)
		if (key_pk_cmp(&node[i], &node[i + 1]) == 0) {
			key_pk_to_text(&node[i], pk);
			fail(s, -EINVAL, "via: node %.8s follows itself", pk);
			return;
		}
	if (route_path_via(&forward, node, ask->n_via + 2u, tp_id, type) < 0) {
		fail(s, -EINVAL, "'%s' is no type of transport", type);
		return;
	}
	route_path_invert(&reverse, &forward);
	found(s, &forward, &reverse);
}

static bool is_direct(const struct route_seek *s)
{
	uint8_t tp_id[RULE_TP_ID_LEN];

	return s->ask.hops.min <= 1 && s->d->conf.ops.link(s->d->conf.ops.arg, &s->ask.dst, tp_id);
}

static void on_begin(void *arg)
{
	struct route_seek *s = arg;
	const struct route_dial_ops *ops = &s->d->conf.ops;

	if (s->ask.n_via > 0 || is_direct(s)) {
		go_via(s);
		return;
	}
	if (s->d->policy.n_nodes == 0) { // nobody could lay what is found
		fail(s, -EHOSTUNREACH, "%s", ROUTE_NO_SETUP_NODE);
		return;
	}
	if (ops->find == NULL) {
		fail(s, -ENETUNREACH,
			"there is no transport to that node, and no route finder to ask: "
			"name the nodes between with via=");
		return;
	}
	s->look_up = ops->find(ops->arg, &s->ask.dst, s->ask.hops, on_ways, s);
	if (s->look_up == NULL)
		fail(s, -errno, "route finder: %s", strerror(errno));
}

static void limit(const struct route_dialler *d, struct route_dial_ask *ask)
{
	const struct route_dial_policy *p = &d->policy;

	if (ask->hops.min != 0 || ask->hops.max != 0)
		return;
	ask->hops = p->hops;
	for (size_t i = 0; i < p->n_to; i++)
		if (key_pk_cmp(&p->to[i].pk, &ask->dst) == 0)
			ask->hops = p->to[i].hops;
}

struct route_seek *route_seek_new(
	struct route_dialler *d, const struct route_dial_ask *ask, route_seek_fn fn, void *arg)
{
	struct route_seek *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	*s = (struct route_seek){.d = d, .ask = *ask, .fn = fn, .arg = arg};
	limit(d, &s->ask);
	s->timer = loop_timer_new(d->conf.loop, on_begin, s);
	if (s->timer == NULL) {
		free(s);
		return errno_null(ENOMEM);
	}
	loop_timer_start(s->timer, 0, 0);
	return s;
}
