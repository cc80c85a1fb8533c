// Two tables of chains, by either id. Our ids have their index in the low bits, and indices are
// drawn at random, so they are their own hash.
#include "controlplane/route/route_end.h"

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/vec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

LOG_MODULE("route");

enum { N_BUCKETS = 4096 };

struct route_ends {
	struct dp_client *dp;
	struct rule_mgr *rules;
	struct dp_handler handler;
	struct loop_timer *reap;
	VEC(uint32_t) closing; // rules to be removed
	size_t n_ripe; // of those: at the next tick
	uint64_t strays;
	struct route_end *forward[N_BUCKETS], *consume[N_BUCKETS];
	struct route_end *next_forward, *next_consume; // of a walk, whoever is unbound meanwhile
};

static struct route_end **bucket(struct route_end **table, uint32_t id)
{
	return &table[id % N_BUCKETS];
}

// ---- what the data plane gives and says ----

static void on_route(void *arg, unsigned worker, const struct msg_route *msg, size_t n)
{
	struct route_ends *ends = arg;
	struct route_end *e = *bucket(ends->consume, msg->id);

	for (; e != NULL && msg->h.type == UP_ROUTE; e = ends->next_consume) {
		ends->next_consume = e->next_consume;
		// the record is a copy that nobody reads after us
		if (e->consume_id == msg->id &&
			e->ops->packet(e->arg, (uint8_t *)(uintptr_t)msg->bytes, n))
			return;
	}
	ends->strays++;
}

static void on_rule_gone(void *arg, const struct evt_rule *r)
{
	struct route_ends *ends = arg;
	struct route_end *e;

	for (e = *bucket(ends->forward, r->id); e != NULL; e = ends->next_forward) {
		ends->next_forward = e->next_forward;
		if (e->forward_id == r->id)
			e->ops->gone(e->arg, r);
	}
	for (e = *bucket(ends->consume, r->id); e != NULL; e = ends->next_consume) {
		ends->next_consume = e->next_consume;
		if (e->consume_id == r->id)
			e->ops->gone(e->arg, r);
	}
}

static void pause_all(struct route_ends *ends, uint32_t id, bool paused)
{
	struct route_end *e = *bucket(ends->forward, id);

	for (; e != NULL; e = ends->next_forward) {
		ends->next_forward = e->next_forward;
		if (e->forward_id == id)
			e->ops->pause(e->arg, paused);
	}
}

static void on_route_pause(void *arg, const struct evt_route_pause *r)
{
	if (r->hop == 0) // else it is about the packets of a carried hop
		pause_all(arg, r->id, r->paused != 0);
}

// A dump mends what events that were lost would have told.
static void on_rule(void *arg, const struct evt_rule *r)
{
	if (r->type == RULE_FORWARD)
		pause_all(arg, r->id, (r->flags & RULE_PAUSED) != 0);
}

// ---- rules that end ----

static void on_reap(void *arg)
{
	struct route_ends *ends = arg;
	size_t n = ends->n_ripe;

	if (n > 0 && rule_mgr_del(ends->rules, ends->closing.v, n, NULL, NULL) == NULL) {
		if (errno == EBUSY || errno == ENOMEM)
			n = 0; // the next time
		else if (errno != ENOTCONN) // with their data plane they are gone
			log_limited(LOG_WARN, "rules=%zu closed but not removed: %s", n,
				strerror(errno));
	}
	ends->closing.n -= n;
	if (n > 0)
		memmove(ends->closing.v, ends->closing.v + n,
			ends->closing.n * sizeof(*ends->closing.v));
	ends->n_ripe = ends->closing.n;
	if (ends->closing.n > 0)
		loop_timer_start(ends->reap, ROUTE_END_CLOSE_MS, 0);
}

void route_ends_remove(struct route_ends *ends, uint32_t id)
{
	if (ends->closing.n >= ROUTE_END_CLOSING_MAX || vec_push(&ends->closing, id) < 0) {
		log_limited(LOG_WARN, "rule=%u closed but not removed", id);
		return;
	}
	if (!loop_timer_is_on(ends->reap)) {
		ends->n_ripe = ends->closing.n;
		loop_timer_start(ends->reap, ROUTE_END_CLOSE_MS, 0);
	}
}

// ---- verbs ----

struct route_ends *route_ends_new(struct loop *loop, struct dp_client *dp, struct rule_mgr *rules)
{
	struct route_ends *ends = calloc(1, sizeof(*ends));

	if (ends == NULL)
		return NULL;
	ends->dp = dp;
	ends->rules = rules;
	ends->reap = loop_timer_new(loop, on_reap, ends);
	if (ends->reap == NULL) {
		free(ends);
		return errno_null(ENOMEM);
	}
	ends->handler = (struct dp_handler){.on_rule = on_rule,
		.on_rule_gone = on_rule_gone,
		.on_route_pause = on_route_pause,
		.on_route = on_route,
		.arg = ends};
	dp_client_register(dp, &ends->handler);
	return ends;
}

void route_ends_free(struct route_ends *ends)
{
	if (ends == NULL)
		return;
	dp_client_unregister(ends->dp, &ends->handler);
	loop_timer_free(ends->reap);
	vec_free(&ends->closing);
	free(ends);
}

void route_ends_bind(
	struct route_ends *ends, struct route_end *e, uint32_t forward_id, uint32_t consume_id)
{
	struct route_end **forward = bucket(ends->forward, forward_id);
	struct route_end **consume = bucket(ends->consume, consume_id);

	route_ends_unbind(ends, e);
	e->forward_id = forward_id;
	e->consume_id = consume_id;
	e->next_forward = *forward;
	*forward = e;
	e->next_consume = *consume;
	*consume = e;
}

void route_ends_unbind(struct route_ends *ends, struct route_end *e)
{
	struct route_end **at;

	if (e->forward_id == 0)
		return;
	for (at = bucket(ends->forward, e->forward_id); *at != e; at = &(*at)->next_forward)
		continue;
	*at = e->next_forward;
	for (at = bucket(ends->consume, e->consume_id); *at != e; at = &(*at)->next_consume)
		continue;
	*at = e->next_consume;
	if (ends->next_forward == e)
		ends->next_forward = e->next_forward;
	if (ends->next_consume == e)
		ends->next_consume = e->next_consume;
	e->forward_id = e->consume_id = 0;
}

uint64_t route_ends_strays(const struct route_ends *ends)
{
	return ends->strays;
}
