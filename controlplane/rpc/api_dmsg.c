// dmsg dial, listen, ping and ip. A task lives from the request until its stream is over: first it
// is cancelled with its request, then, once the client's connection has become the stream, it is
// the join of both. Between the two the stream is held: nothing of it is read.
#include "controlplane/rpc/api_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "controlplane/core/conn_join.h"
#include "controlplane/core/conn_tcp.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

enum { TASKS_MAX = 256 };

struct api_dmsg_task {
	struct api *a;
	struct api_req *r; // NULL: it was answered
	struct dmsg_addr to; // dialled
	struct dmsg_client_dial *dial;
	struct dmsg_client_listener *listener;
	struct dmsg_client_ping *ping;
	struct dmsg_stream_dial *ip;
	uint32_t id; // of the stream
	struct conn *held;
	bool held_over; // ended while it was held
	struct conn_join *join;
	TAILQ_ENTRY(api_dmsg_task) all;
};

static void task_free(struct api_dmsg_task *t)
{
	dmsg_client_dial_cancel(t->dial);
	dmsg_client_unlisten(t->listener);
	dmsg_client_ping_cancel(t->ping);
	dmsg_stream_dial_cancel(t->ip);
	conn_close(t->held);
	conn_join_close(t->join);
	TAILQ_REMOVE(&t->a->dmsg_tasks, t, all);
	t->a->n_dmsg_tasks--;
	free(t);
}

static void on_cancel(void *arg)
{
	task_free(arg);
}

// NULL: it was refused.
static struct api_dmsg_task *task_new(struct api *a, struct api_req *r)
{
	struct api_dmsg_task *t;

	if (a->d.dmsg == NULL) {
		api_req_fail(r, -ENOTCONN,
			"this node is no dmsg client: add a [server NAME], or [dmsg] discovery");
		return NULL;
	}
	t = a->n_dmsg_tasks < TASKS_MAX ? calloc(1, sizeof(*t)) : NULL;
	if (t == NULL) {
		api_req_fail(
			r, -ENOMEM, "out of memory, or more than %d streams by the API", TASKS_MAX);
		return NULL;
	}
	t->a = a;
	t->r = r;
	TAILQ_INSERT_TAIL(&a->dmsg_tasks, t, all);
	a->n_dmsg_tasks++;
	return t;
}

static void wait_for(struct api_dmsg_task *t)
{
	api_req_pend(t->r, NULL, on_cancel, t);
	api_req_watch(t->r);
}

void api_dmsg_end(struct api *a)
{
	struct api_dmsg_task *t;

	while ((t = TAILQ_FIRST(&a->dmsg_tasks)) != NULL)
		task_free(t);
}

// ---- the stream ----

static size_t held_data(void *arg, uint8_t *p, size_t len)
{
	(void)arg, (void)p, (void)len;
	return 0;
}

// For whoever asks how it ended; the oldest are forgotten.
static void note_end(struct api_dmsg_task *t, int err)
{
	struct api *a = t->a;
	unsigned i = a->n_dmsg_cut % API_DMSG_CUTS;

	if (err == 0)
		return;
	a->dmsg_cut[i].id = t->id;
	a->dmsg_cut[i].err = err;
	a->n_dmsg_cut++;
}

static void held_end(void *arg, int err)
{
	struct api_dmsg_task *t = arg;

	note_end(t, err);
	t->held_over = true; // nothing came before it, or it would wait behind that
}

static const struct conn_events held_events = {.data = held_data, .end = held_end};

static void on_join_done(void *arg, int err)
{
	struct api_dmsg_task *t = arg;

	note_end(t, err);
	t->join = NULL;
	task_free(t);
}

static void on_connection(void *arg, int take_fd)
{
	struct api_dmsg_task *t = arg;
	struct conn *client, *held = t->held;

	if (take_fd < 0 || t->held_over) {
		if (take_fd >= 0)
			close(take_fd);
		task_free(t);
		return;
	}
	client = conn_tcp_adopt(t->a->d.loop, take_fd, NULL, NULL, NULL);
	if (client != NULL) {
		t->held = NULL;
		t->join = conn_join_new(held, client, CONN_JOIN_HALF_CLOSE, on_join_done, t);
	}
	if (t->join == NULL)
		task_free(t);
}

static void become_stream(struct api_dmsg_task *t, struct conn *conn, const struct dmsg_addr *peer)
{
	struct api_dmsg_peer p = {.port = peer->port, .id = ++t->a->last_dmsg_id};
	struct api_req *r = t->r;

	t->id = p.id;

	memcpy(p.pk, peer->pk.b, API_PK_LEN);
	t->r = NULL;
	t->held = conn;
	conn_set_events(conn, &held_events, t);
	api_req_stream(r, &p, sizeof(p), on_connection, t);
}

// ---- requests ----

static int dial_errno(enum dmsg_err code)
{
	switch (code) {
	case DMSG_ERR_NO_SERVER_REACHED:
		return -ENETUNREACH;
	case DMSG_ERR_NO_ENTRY:
	case DMSG_ERR_NOT_CLIENT:
	case DMSG_ERR_NO_DELEGATED:
		return -ENOENT;
	default:
		return -ECONNREFUSED;
	}
}

static void on_dialled(void *arg, struct conn *take_conn, enum dmsg_err code, int err)
{
	struct api_dmsg_task *t = arg;
	struct api_req *r = t->r;
	char why[API_DMSG_TEXT_LEN];

	t->dial = NULL;
	if (take_conn != NULL) {
		become_stream(t, take_conn, &t->to);
		return;
	}
	dmsg_client_dial_text(t->a->d.dmsg, code, err, why, sizeof(why));
	task_free(t);
	api_req_fail(r, code == DMSG_OK ? err : dial_errno(code), "dial: %s", why);
}

static bool ask_read(
	struct api_req *r, struct api_dmsg_ask *m, const void *payload, bool port, bool timeout)
{
	memcpy(m, payload, sizeof(*m));
	if (port && m->port == 0)
		api_req_fail(r, -EINVAL, "a port is 1 to 65535");
	else if (timeout && (m->timeout_ms == 0 || m->timeout_ms > API_DMSG_TIMEOUT_MAX_MS))
		api_req_fail(r, -EINVAL, "timeout is 1 to %d ms", API_DMSG_TIMEOUT_MAX_MS);
	else
		return true;
	return false;
}

void api_dmsg_dial(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api_dmsg_ask m;
	struct api_dmsg_task *t;

	(void)len;
	if (!ask_read(r, &m, payload, true, true))
		return;
	t = task_new(ctx, r);
	if (t == NULL)
		return;
	memcpy(t->to.pk.b, m.pk, API_PK_LEN);
	t->to.port = m.port;
	t->dial = dmsg_client_dial(t->a->d.dmsg, &t->to, m.timeout_ms, on_dialled, t);
	if (t->dial == NULL) {
		int err = errno;

		task_free(t);
		api_req_fail(
			r, -err, "dial: %s", err == EINVAL ? "not a public key" : strerror(err));
		return;
	}
	wait_for(t);
}

static void on_accepted(void *arg, struct conn *take_conn, const struct dmsg_addr *from)
{
	struct api_dmsg_task *t = arg;

	dmsg_client_unlisten(t->listener); // one stream a request
	t->listener = NULL;
	become_stream(t, take_conn, from);
}

void api_dmsg_listen(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api_dmsg_ask m;
	struct api_dmsg_task *t;

	(void)len;
	if (!ask_read(r, &m, payload, true, false))
		return;
	t = task_new(ctx, r);
	if (t == NULL)
		return;
	t->listener = dmsg_client_listen(t->a->d.dmsg, m.port, on_accepted, t);
	if (t->listener == NULL) {
		int err = errno;

		task_free(t);
		api_req_fail(r, -err, "listen: %s",
			err == EADDRINUSE ? "somebody listens on that port already"
					  : strerror(err));
		return;
	}
	wait_for(t);
}

static void on_pong(void *arg, const struct key_pk *server, uint64_t rtt_ns, int err)
{
	struct api_dmsg_task *t = arg;
	struct api_pong m = {.rtt_us = (uint32_t)(rtt_ns / CLOCK_NS_PER_US)};
	struct api_req *r = t->r;

	(void)server;
	t->ping = NULL;
	task_free(t);
	if (err < 0)
		api_req_fail(r, err, "no answer: %s", strerror(-err));
	else
		api_req_end(r, &m, sizeof(m));
}

static const char *server_error(int err)
{
	switch (err) {
	case ENOENT:
		return "no [server NAME] has that key";
	case ENOTCONN:
		return "there is no session: see `skyrail show servers`";
	default:
		return strerror(err);
	}
}

void api_dmsg_ping(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api_dmsg_ask m;
	struct key_pk pk;
	struct api_dmsg_task *t;

	(void)len;
	if (!ask_read(r, &m, payload, false, true))
		return;
	memcpy(pk.b, m.pk, API_PK_LEN);
	t = task_new(ctx, r);
	if (t == NULL)
		return;
	t->ping = dmsg_client_ping(
		t->a->d.dmsg, key_pk_is_null(&pk) ? NULL : &pk, m.timeout_ms, on_pong, t);
	if (t->ping == NULL) {
		int err = errno;

		task_free(t);
		api_req_fail(r, -err, "ping: %s", server_error(err));
		return;
	}
	wait_for(t);
}

static void on_ip(void *arg, const uint8_t *ip, size_t len, enum dmsg_err code, int err)
{
	struct api_dmsg_task *t = arg;
	struct api_dmsg_ip m = {.len = (uint8_t)len};
	struct api_req *r = t->r;

	t->ip = NULL;
	if (len > 0 && len <= sizeof(m.ip))
		memcpy(m.ip, ip, len);
	task_free(t);
	if (len > 0)
		api_req_end(r, &m, sizeof(m));
	else if (code == DMSG_OK)
		api_req_fail(r, err, "ip: %s", strerror(-err));
	else
		api_req_fail(r, -ECONNREFUSED,
			"ip: dmsg code %u: %s (servers of before 2024 can't tell)", code,
			dmsg_err_text(code));
}

void api_dmsg_ip(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api_dmsg_ask m;
	struct key_pk pk;
	struct api_dmsg_task *t;

	(void)len;
	if (!ask_read(r, &m, payload, false, true))
		return;
	memcpy(pk.b, m.pk, API_PK_LEN);
	t = task_new(ctx, r);
	if (t == NULL)
		return;
	t->ip = dmsg_client_ask_ip(
		t->a->d.dmsg, key_pk_is_null(&pk) ? NULL : &pk, m.timeout_ms, on_ip, t);
	if (t->ip == NULL) {
		int err = errno;

		task_free(t);
		api_req_fail(r, -err, "ip: %s", server_error(err));
		return;
	}
	wait_for(t);
}

void api_dmsg_ended(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	struct api_dmsg_ended_ask ask;
	struct api_dmsg_ended m = {0};

	(void)len;
	memcpy(&ask, payload, sizeof(ask));
	for (unsigned i = 0; i < API_DMSG_CUTS && i < a->n_dmsg_cut; i++)
		if (a->dmsg_cut[i].id == ask.id)
			m.err = a->dmsg_cut[i].err;
	api_req_end(r, &m, sizeof(m));
}
