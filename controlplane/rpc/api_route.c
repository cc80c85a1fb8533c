// route dial, listen, close and trace.
#include "controlplane/rpc/api_stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/wire/setup_msg.h"

struct route_task {
	struct api_task t;
	struct route_dial *dial;
	struct key_pk pk;
	uint16_t port;
	bool listens;
	struct loop_timer *timer;
	uint32_t timeout_ms;
};

static void on_stop(struct api_task *task)
{
	struct route_task *t = container_of(task, struct route_task, t);

	route_dial_cancel(t->dial);
	if (t->listens)
		route_groups_unlisten(t->t.a->d.groups, t->port);
	loop_timer_free(t->timer);
}

// Other nodes give their reasons in words only.
static int status_of(int err, const char *why)
{
	return strstr(why, SETUP_NO_TRANSPORT) != NULL ? -ENODEV : err;
}

static void on_timer(void *arg)
{
	struct route_task *t = arg;
	struct api_req *r = t->t.r;
	uint32_t ms = t->timeout_ms;

	api_task_free(&t->t);
	api_req_fail(r, -ETIMEDOUT, "dial: no route in %.1f s", ms / 1000.0);
}

static void on_dialled(void *arg, struct conn *take_conn, int err, const char *why)
{
	struct route_task *t = arg;
	struct api_req *r = t->t.r;

	t->dial = NULL;
	loop_timer_stop(t->timer);
	if (take_conn != NULL) {
		api_task_stream(&t->t, take_conn, false, &t->pk, t->port);
		return;
	}
	api_task_free(&t->t);
	api_req_fail(r, status_of(err, why), "dial: %s", why);
}

// NULL, or what is wrong with it.
static const char *read_ask(struct route_dial_ask *out, const struct api_route_ask *in)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->dst.b, in->pk, API_PK_LEN);
	out->port = in->port;
	if (in->timeout_ms == 0 || in->timeout_ms > API_ROUTE_TIMEOUT_MAX_MS)
		return "timeout is at most 120s";
	if (in->n_via > API_ROUTE_VIA_MAX)
		return "too many nodes between";
	out->n_via = in->n_via;
	for (unsigned i = 0; i < in->n_via; i++)
		memcpy(out->via[i].b, in->via[i], API_PK_LEN);
	if (memchr(in->type, '\0', sizeof(in->type)) == NULL ||
		strlen(in->type) >= sizeof(out->type))
		return "no such type of transport";
	memcpy(out->type, in->type, strlen(in->type));
	out->hops = (struct route_path_limits){in->min_hops, in->max_hops};
	if (in->max_hops > 0 && in->min_hops > in->max_hops)
		return "min-hops is more than max-hops";
	out->keep_alive_s = in->keep_alive_ms / 1000;
	if (in->keep_alive_ms != 0 && (out->keep_alive_s < SETUP_KEEP_ALIVE_MIN_S ||
					      out->keep_alive_s > SETUP_KEEP_ALIVE_MAX_S))
		return "keep-alive is 5s to 1h";
	return NULL;
}

// What is wrong with a destination that is refused.
static const char *wrong_dst(const struct api *a, const struct route_dial_ask *ask)
{
	if (key_pk_cmp(&ask->dst, identity_pk(a->d.identity)) == 0)
		return "that is this node's own key: there is nothing between";
	return "that is not a public key";
}

static const char *start_error(const struct api *a, const struct route_dial_ask *ask, int err)
{
	switch (err) {
	case EINVAL:
		return wrong_dst(a, ask);
	case EBUSY:
		return "too many dials at once";
	default:
		return strerror(err);
	}
}

static void fail_no_dmsg(struct api_req *r)
{
	api_req_fail(r, -ENOTCONN,
		"routes are laid over dmsg, and this node is no dmsg client: add a [server NAME], "
		"or [dmsg] discovery");
}

void api_route_dial(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	struct api_route_ask m;
	struct route_dial_ask ask;
	struct route_task *t;
	const char *wrong;
	int err;

	(void)len;
	memcpy(&m, payload, sizeof(m));
	wrong = m.port == 0 ? "a port is 1 to 65535" : read_ask(&ask, &m);
	if (wrong != NULL) {
		api_req_fail(r, -EINVAL, "dial: %s", wrong);
		return;
	}
	if (a->d.dialler == NULL) {
		fail_no_dmsg(r);
		return;
	}
	t = (struct route_task *)api_task_new(a, r, sizeof(*t), on_stop);
	if (t == NULL)
		return;
	t->pk = ask.dst;
	t->port = ask.port;
	t->timeout_ms = m.timeout_ms;
	t->timer = loop_timer_new(a->d.loop, on_timer, t);
	t->dial = t->timer != NULL ? route_dial_new(a->d.dialler, &ask, on_dialled, t) : NULL;
	if (t->dial != NULL) {
		loop_timer_start(t->timer, t->timeout_ms, 0);
		api_task_pend(&t->t);
		return;
	}
	err = t->timer != NULL ? errno : ENOMEM;
	api_task_free(&t->t);
	api_req_fail(r, -err, "dial: %s", start_error(a, &ask, err));
}

static void on_accepted(void *arg, struct conn *take_conn, const struct key_pk *remote,
	uint16_t remote_port, uint16_t local_port)
{
	struct route_task *t = arg;

	t->listens = false; // one stream a request
	route_groups_unlisten(t->t.a->d.groups, local_port);
	api_task_stream(&t->t, take_conn, false, remote, remote_port);
}

void api_route_listen(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	struct api_route_ask m;
	struct route_task *t;
	int rc;

	(void)len;
	memcpy(&m, payload, sizeof(m));
	if (m.port == 0) {
		api_req_fail(r, -EINVAL, "a port is 1 to 65535");
		return;
	}
	t = (struct route_task *)api_task_new(a, r, sizeof(*t), on_stop);
	if (t == NULL)
		return;
	t->port = m.port;
	rc = route_groups_listen(a->d.groups, m.port, on_accepted, t);
	t->listens = rc == 0;
	if (rc == 0) {
		api_task_pend(&t->t);
		return;
	}
	api_task_free(&t->t);
	api_req_fail(r, rc, "listen: %s",
		rc == -EADDRINUSE ? "somebody has that port already" : strerror(-rc));
}

// ---- trace ----

struct trace_task {
	struct api_task t;
	struct route_trace *trace;
	struct loop_timer *timer;
	uint32_t timeout_ms;
};

static void on_trace_stop(struct api_task *task)
{
	struct trace_task *t = container_of(task, struct trace_task, t);

	route_trace_cancel(t->trace);
	loop_timer_free(t->timer);
}

static void trace_end(struct trace_task *t, int err, const char *why)
{
	struct api_req *r = t->t.r;

	api_task_free(&t->t);
	if (err == 0)
		api_req_end(r, NULL, 0);
	else
		api_req_fail(r, status_of(err, why), "trace: %s", why);
}

static void on_trace_timer(void *arg)
{
	struct trace_task *t = arg;
	char why[40];

	snprintf(why, sizeof(why), "not done in %.1f s", t->timeout_ms / 1000.0);
	route_trace_expire(t->trace, why);
}

static void on_trace_hop(void *arg, const struct route_trace_hop *hop)
{
	struct trace_task *t = arg;
	const struct route_loop_result *res = &hop->result;
	struct api_trace_hop rec = {.hop = hop->hop,
		.sent = res->sent,
		.lost = res->lost,
		.min_us = res->min_us,
		.avg_us = res->avg_us,
		.max_us = res->max_us,
		.laid_us = hop->laid_us};

	memcpy(rec.pk, hop->pk.b, API_PK_LEN);
	memcpy(rec.tp, hop->tp_id, sizeof(rec.tp));
	API_COPY(rec.note, hop->why);
	api_req_record(t->t.r, &rec, sizeof(rec));
}

static void on_trace_done(void *arg, int err, const char *why)
{
	struct trace_task *t = arg;

	t->trace = NULL;
	trace_end(t, err, why);
}

static const struct route_trace_events trace_events = {on_trace_hop, on_trace_done};

static void trace_begin(struct trace_task *t, const struct route_dial_ask *ask, uint32_t pings)
{
	struct api *a = t->t.a;
	int err = ENOMEM;

	t->timer = loop_timer_new(a->d.loop, on_trace_timer, t);
	if (t->timer != NULL) {
		t->trace = route_trace_new(a->d.tracer, ask, pings, &trace_events, t);
		err = errno;
	}
	if (t->trace == NULL) {
		trace_end(t, -err,
			err == EINVAL  ? wrong_dst(a, ask)
			: err == EBUSY ? "too many traces at once"
				       : strerror(err));
		return;
	}
	loop_timer_start(t->timer, t->timeout_ms, 0);
	api_task_pend(&t->t);
}

void api_route_trace(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	struct api_route_trace m;
	struct route_dial_ask ask;
	struct trace_task *t;
	const char *wrong;

	(void)len;
	memcpy(&m, payload, sizeof(m));
	wrong = read_ask(&ask, &m.way);
	if (wrong == NULL && (m.pings == 0 || m.pings > ROUTE_LOOP_PINGS_MAX))
		wrong = "pings is 1 to 100";
	if (wrong != NULL) {
		api_req_fail(r, -EINVAL, "trace: %s", wrong);
		return;
	}
	if (a->d.tracer == NULL) {
		fail_no_dmsg(r);
		return;
	}
	t = (struct trace_task *)api_task_new(a, r, sizeof(*t), on_trace_stop);
	if (t == NULL)
		return;
	t->timeout_ms = m.way.timeout_ms;
	trace_begin(t, &ask, m.pings);
}

// ---- close ----

void api_route_close(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	struct api_route_close m;
	struct key_pk pk;

	(void)len;
	memcpy(&m, payload, sizeof(m));
	memcpy(pk.b, m.pk, sizeof(pk.b));
	if (route_groups_close(
		    a->d.groups, &pk, m.remote_port, m.local_port, "closed by its operator") < 0)
		api_req_fail(
			r, -ENOENT, "close: there is no such group (see `skyrail show groups`)");
	else
		api_req_end(r, NULL, 0);
}
