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
	struct api_req *asked; // how the stream ends, NULL: nobody did
	struct api_dmsg_ask ask;
	struct dmsg_client_dial *dial;
	struct dmsg_client_listener *listener;
	struct dmsg_client_ping *ping;
	struct dmsg_stream_dial *ip;
	uint32_t id; // of the stream
	struct conn_hold held;
	struct conn_join *join;
	TAILQ_ENTRY(api_dmsg_task) all;
};

static void answer_asked(struct api_dmsg_task *t, int err)
{
	struct api_dmsg_ended m = {err};

	if (t->asked != NULL)
		api_req_end(t->asked, &m, sizeof(m));
	t->asked = NULL;
}

static void task_free(struct api_dmsg_task *t)
{
	answer_asked(t, -ENOENT);
	dmsg_client_dial_cancel(t->dial);
	dmsg_client_unlisten(t->listener);
	dmsg_client_ping_cancel(t->ping);
	dmsg_stream_dial_cancel(t->ip);
	conn_hold_close(&t->held);
	conn_join_close(t->join);
	TAILQ_REMOVE(&t->a->dmsg_tasks, t, all);
	t->a->n_dmsg_tasks--;
	free(t);
}

static void on_cancel(void *arg)
{
	task_free(arg);
}

enum { NEEDS_PORT = 1, NEEDS_TIMEOUT = 2 };

// NULL: the request was refused.
static struct api_dmsg_task *task_new(
	struct api *a, struct api_req *r, const void *payload, unsigned needs)
{
	struct api_dmsg_task *t;
	struct api_dmsg_ask ask;

	memcpy(&ask, payload, sizeof(ask));
	if ((needs & NEEDS_PORT) && ask.port == 0) {
		api_req_fail(r, -EINVAL, "a port is 1 to 65535");
		return NULL;
	}
	if ((needs & NEEDS_TIMEOUT) &&
		(ask.timeout_ms == 0 || ask.timeout_ms > API_DMSG_TIMEOUT_MAX_MS)) {
		api_req_fail(r, -EINVAL, "timeout is 1 to %d ms", API_DMSG_TIMEOUT_MAX_MS);
		return NULL;
	}
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
	t->ask = ask;
	TAILQ_INSERT_TAIL(&a->dmsg_tasks, t, all);
	a->n_dmsg_tasks++;
	return t;
}

static const char *start_error(int err)
{
	switch (err) {
	case EINVAL:
		return "not a public key";
	case EADDRINUSE:
		return "somebody has that port already";
	case ENOENT:
		return "no [server NAME] has that key: see `skyrail show servers`";
	case ENOTCONN:
		return "there is no session: see `skyrail show servers`";
	default:
		return strerror(err);
	}
}

// What was to be started is there, or errno says why not.
static void task_started(struct api_dmsg_task *t, const void *what, const char *name)
{
	struct api_req *r = t->r;
	int err = errno;

	if (what != NULL) {
		api_req_pend(r, NULL, on_cancel, t);
		api_req_watch(r);
		return;
	}
	task_free(t);
	api_req_fail(r, -err, "%s: %s", name, start_error(err));
}

void api_dmsg_end(struct api *a)
{
	struct api_dmsg_task *t;

	while ((t = TAILQ_FIRST(&a->dmsg_tasks)) != NULL)
		task_free(t);
}

// ---- the stream ----

// For whoever asks how it ended; the oldest are forgotten.
static void note_end(struct api_dmsg_task *t, int err)
{
	struct api *a = t->a;
	unsigned i = a->n_dmsg_ended % API_DMSG_ENDS;

	a->dmsg_ended[i].id = t->id;
	a->dmsg_ended[i].err = err;
	a->n_dmsg_ended++;
	answer_asked(t, err);
}

static void on_join_done(void *arg, int err)
{
	struct api_dmsg_task *t = arg;
	uint64_t late, unused;

	conn_join_late(t->join, &late, &unused);
	if (err == 0 && late > 0)
		err = -EPIPE;
	note_end(t, err);
	t->join = NULL;
	task_free(t);
}

static void on_connection(void *arg, int take_fd)
{
	struct api_dmsg_task *t = arg;
	// a client that was killed, or did not want to wait, holds the stream and its port no more
	static const struct conn_tcp_opts opts = {.whole_end = true};
	struct conn *client = NULL, *stream;

	if (t->held.over)
		note_end(t, t->held.err);
	stream = conn_hold_take(&t->held);
	if (take_fd >= 0 && stream != NULL)
		client = conn_tcp_adopt(t->a->d.loop, take_fd, &opts, NULL, NULL);
	else if (take_fd >= 0)
		close(take_fd);
	if (client != NULL)
		t->join = conn_join_new(stream, client, CONN_JOIN_HALF_CLOSE, on_join_done, t);
	else
		conn_close(stream);
	if (t->join == NULL)
		task_free(t);
}

static void become_stream(struct api_dmsg_task *t, struct conn *conn, const struct dmsg_addr *peer)
{
	struct api_dmsg_peer p = {.port = peer->port, .id = ++t->a->last_dmsg_id};
	struct api_req *r = t->r;

	memcpy(p.pk, peer->pk.b, API_PK_LEN);
	t->id = p.id;
	t->r = NULL;
	conn_hold(&t->held, conn);
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

static struct dmsg_addr addr_of(const struct api_dmsg_task *t)
{
	struct dmsg_addr to = {.port = t->ask.port};

	memcpy(to.pk.b, t->ask.pk, API_PK_LEN);
	return to;
}

static void on_dialled(void *arg, struct conn *take_conn, enum dmsg_err code, int err)
{
	struct api_dmsg_task *t = arg;
	const struct dmsg_addr to = addr_of(t);
	struct api_req *r = t->r;
	char why[API_DMSG_TEXT_LEN];

	t->dial = NULL;
	if (take_conn != NULL) {
		become_stream(t, take_conn, &to);
		return;
	}
	dmsg_client_dial_text(t->a->d.dmsg, code, err, why, sizeof(why));
	task_free(t);
	api_req_fail(r, code == DMSG_OK ? err : dial_errno(code), "dial: %s", why);
}

void api_dmsg_dial(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api_dmsg_task *t = task_new(ctx, r, payload, NEEDS_PORT | NEEDS_TIMEOUT);
	struct dmsg_addr to;

	(void)len;
	if (t == NULL)
		return;
	to = addr_of(t);
	t->dial = dmsg_client_dial(t->a->d.dmsg, &to, t->ask.timeout_ms, on_dialled, t);
	task_started(t, t->dial, "dial");
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
	struct api_dmsg_task *t = task_new(ctx, r, payload, NEEDS_PORT);

	(void)len;
	if (t == NULL)
		return;
	t->listener = dmsg_client_listen(t->a->d.dmsg, t->ask.port, on_accepted, t);
	task_started(t, t->listener, "listen");
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

void api_dmsg_ping(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api_dmsg_task *t = task_new(ctx, r, payload, NEEDS_TIMEOUT);
	struct key_pk pk;

	(void)len;
	if (t == NULL)
		return;
	pk = addr_of(t).pk;
	t->ping = dmsg_client_ping(
		t->a->d.dmsg, key_pk_is_null(&pk) ? NULL : &pk, t->ask.timeout_ms, on_pong, t);
	task_started(t, t->ping, "ping");
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
	struct api_dmsg_task *t = task_new(ctx, r, payload, NEEDS_TIMEOUT);
	struct key_pk pk;

	(void)len;
	if (t == NULL)
		return;
	pk = addr_of(t).pk;
	t->ip = dmsg_client_ask_ip(
		t->a->d.dmsg, key_pk_is_null(&pk) ? NULL : &pk, t->ask.timeout_ms, on_ip, t);
	task_started(t, t->ip, "ip");
}

static void on_asked_cancel(void *arg)
{
	((struct api_dmsg_task *)arg)->asked = NULL;
}

// Of one that is not over yet its end is waited for.
void api_dmsg_ended(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	struct api_dmsg_ended m = {-ENOENT};
	struct api_dmsg_ended_ask ask;
	struct api_dmsg_task *t;

	(void)len;
	memcpy(&ask, payload, sizeof(ask));
	TAILQ_FOREACH (t, &a->dmsg_tasks, all)
		if (ask.id != 0 && t->id == ask.id && t->asked == NULL) {
			t->asked = r;
			api_req_pend(r, NULL, on_asked_cancel, t);
			return;
		}
	for (unsigned i = 0; i < API_DMSG_ENDS && i < a->n_dmsg_ended; i++)
		if (a->dmsg_ended[i].id == ask.id)
			m.err = a->dmsg_ended[i].err;
	api_req_end(r, &m, sizeof(m));
}
