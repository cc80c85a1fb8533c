// A way, once; then for each of its nodes a loop: laid, measured, closed. What nodes of 2024 and
// 2026 do with packets of other types than those of a stream nobody knows, so nothing but Pings is
// sent, and no node on the way has to answer anything.
#include "controlplane/route/route_trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/route/route_dial_priv.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

enum { HOP_WORDS_MAX = 48 }; // before a reason: which hop, and what failed

struct route_tracer {
	struct route_dialler *d;
	struct route_loops *loops;
	struct route_tracer_stats stats;
	uint32_t running;
};

struct route_trace {
	struct route_tracer *t;
	const struct route_trace_events *ev;
	void *arg;
	uint32_t n_pings;
	struct setup_path way; // to the destination
	struct setup_route route; // the loop of this hop
	struct route_trace_hop hop;
	uint64_t asked_ns;
	// the step that is under way; the others are NULL
	struct route_seek *seek;
	struct route_lay *lay;
	struct route_loop *loop;
};

static void trace_free(struct route_trace *trace)
{
	route_seek_cancel(trace->seek);
	route_lay_cancel(trace->lay);
	route_loop_close(trace->loop);
	trace->t->running--;
	free(trace);
}

static void end(struct route_trace *trace, int err, const char *why)
{
	const struct route_trace_events *ev = trace->ev;
	void *arg = trace->arg;

	trace->t->stats.failed += err != 0;
	trace_free(trace);
	ev->done(arg, err, why);
}

// The hop that was next can't be measured.
static void fail(struct route_trace *trace, int err, const char *what, const char *why)
{
	char text[ROUTE_DIAL_WHY_MAX + HOP_WORDS_MAX], pk[KEY_PK_TEXT_LEN + 1];

	key_pk_to_text(&trace->hop.pk, pk);
	snprintf(text, sizeof(text), "hop %u, %.8s, %s%s", trace->hop.hop, pk, what, why);
	trace->hop.why = why[0] != '\0' ? why : what;
	trace->ev->hop(trace->arg, &trace->hop);
	end(trace, err, text);
}

// ---- one hop ----

static void next_hop(struct route_trace *trace);

static void on_measured(void *arg, const struct route_loop_result *result, int err, const char *why)
{
	struct route_trace *trace = arg;

	trace->hop.result = *result;
	if (err != 0) {
		fail(trace, err, "could not be measured: ", why);
		return;
	}
	if (result->lost == result->sent) {
		fail(trace, -ETIMEDOUT, "does not answer: no ping that was sent over it came back",
			"");
		return;
	}
	trace->ev->hop(trace->arg, &trace->hop);
	route_loop_close(trace->loop);
	trace->loop = NULL;
	next_hop(trace);
}

static void on_laid(void *arg, const struct setup_edge *edge, const struct rule_wire rules[2],
	int err, const char *why)
{
	struct route_trace *trace = arg;
	const struct route_dial_ops *ops = &trace->t->d->conf.ops;

	(void)edge;
	trace->lay = NULL;
	if (err == -EHOSTUNREACH) { // of the set-up nodes, so it says nothing of the hop
		end(trace, err, why);
		return;
	}
	if (err != 0) {
		fail(trace, err, "is not reached: ", why);
		return;
	}
	trace->hop.laid_us = (clock_mono_ns() - trace->asked_ns) / CLOCK_NS_PER_US;
	err = route_loop_start(trace->loop, rules);
	if (err == 0)
		return;
	ops->release(ops->arg, (uint32_t[]){rules[0].key_id, rules[1].key_id}, 2);
	fail(trace, err, "is not reached: ",
		err == -EPROTO ? "the set-up node laid the loop, but not its far end"
			       : strerror(-err));
}

// There, over the first n hops of the way, and back over the same.
static void make_loop(struct setup_path *loop, const struct setup_path *way, uint32_t n)
{
	struct setup_path there = *way, back;

	there.n = n;
	route_path_invert(&back, &there);
	memcpy(&there.hop[n], back.hop, n * sizeof(back.hop[0]));
	there.n = 2 * n;
	*loop = there;
}

static void lay(struct route_trace *trace)
{
	const struct route_dial_ops *ops = &trace->t->d->conf.ops;
	const struct key_pk *self = trace->t->d->conf.self;
	struct setup_route *r = &trace->route;

	make_loop(&r->forward, &trace->way, trace->hop.hop);
	r->reverse = r->forward;
	r->keep_alive_ns = ROUTE_TRACE_KEEP_ALIVE_S * (int64_t)CLOCK_NS_PER_S;
	memcpy(r->desc.src_pk, self->b, RULE_PK_LEN);
	memcpy(r->desc.dst_pk, self->b, RULE_PK_LEN);
	r->desc.dst_port = ROUTE_LOOP_PORT;
	r->desc.src_port = ops->port(ops->arg, self, ROUTE_LOOP_PORT);
	if (r->desc.src_port == 0) {
		fail(trace, -EADDRINUSE, "is not reached: ", "no local port is free");
		return;
	}
	trace->loop = route_loop_new(trace->t->loops, r, trace->n_pings, on_measured, trace);
	if (trace->loop != NULL)
		trace->lay = route_lay_new(trace->t->d, r, on_laid, trace);
	trace->asked_ns = clock_mono_ns();
	if (trace->lay == NULL)
		fail(trace, -errno, "is not reached: ",
			errno == EBUSY ? "too many loops at once" : strerror(errno));
}

static void next_hop(struct route_trace *trace)
{
	uint32_t n = trace->hop.hop;

	if (n == trace->way.n) {
		end(trace, 0, "");
		return;
	}
	trace->hop = (struct route_trace_hop){.hop = n + 1,
		.pk = trace->way.hop[n].to,
		.tp_id = trace->way.hop[n].tp_id,
		.why = ""};
	lay(trace);
}

static void on_way(void *arg, const struct setup_path *forward, const struct setup_path *reverse,
	int err, const char *why)
{
	struct route_trace *trace = arg;

	(void)reverse;
	trace->seek = NULL;
	if (err != 0) {
		end(trace, err, why);
		return;
	}
	if (forward->n > ROUTE_TRACE_HOPS_MAX) {
		end(trace, -E2BIG, "a way of more than 25 hops: there and back are a route of 50");
		return;
	}
	trace->way = *forward;
	next_hop(trace);
}

// ---- life ----

struct route_trace *route_trace_new(struct route_tracer *t, const struct route_dial_ask *ask,
	uint32_t n_pings, const struct route_trace_events *ev, void *arg)
{
	struct route_trace *trace;

	if (!key_pk_is_valid(&ask->dst) || key_pk_cmp(&ask->dst, t->d->conf.self) == 0 ||
		n_pings == 0 || n_pings > ROUTE_LOOP_PINGS_MAX || ask->n_via > ROUTE_DIAL_VIA_MAX)
		return errno_null(EINVAL);
	if (t->running >= ROUTE_TRACES_MAX) {
		t->stats.refused++;
		return errno_null(EBUSY);
	}
	trace = calloc(1, sizeof(*trace));
	if (trace == NULL)
		return NULL;
	*trace = (struct route_trace){.t = t, .ev = ev, .arg = arg};
	trace->n_pings = n_pings;
	trace->seek = route_seek_new(t->d, ask, on_way, trace);
	if (trace->seek == NULL) {
		free(trace);
		return errno_null(ENOMEM);
	}
	t->running++;
	t->stats.traces++;
	return trace;
}

void route_trace_cancel(struct route_trace *trace)
{
	if (trace != NULL)
		trace_free(trace);
}

void route_trace_expire(struct route_trace *trace, const char *why)
{
	const struct route_trace_hop *hop = &trace->hop;
	char text[ROUTE_DIAL_WHY_MAX + HOP_WORDS_MAX], pk[KEY_PK_TEXT_LEN + 1];

	key_pk_to_text(&hop->pk, pk);
	if (trace->seek != NULL)
		snprintf(text, sizeof(text), "%s: the way was still being looked for", why);
	else
		snprintf(text, sizeof(text), "%s: hop %u, %.8s, was still being %s", why, hop->hop,
			pk, trace->lay != NULL ? "set up" : "measured");
	if (trace->loop != NULL) {
		route_loop_result_get(trace->loop, &trace->hop.result);
		trace->hop.why = why;
		trace->ev->hop(trace->arg, hop);
	}
	end(trace, -ETIMEDOUT, text);
}

struct route_tracer *route_tracer_new(struct route_dialler *d, struct route_loops *loops)
{
	struct route_tracer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->d = d;
	t->loops = loops;
	return t;
}

void route_tracer_free(struct route_tracer *t)
{
	free(t);
}

void route_tracer_stats_get(const struct route_tracer *t, struct route_tracer_stats *out)
{
	*out = t->stats;
	route_loops_stats_get(t->loops, &out->loops);
}
