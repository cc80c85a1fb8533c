// dmsg dial, listen, ping and ip.
#include "controlplane/rpc/api_stream.h"

#include <errno.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"

struct dmsg_task {
	struct api_task t;
	struct api_dmsg_ask ask;
	struct dmsg_client_dial *dial;
	struct dmsg_client_listener *listener;
	struct dmsg_client_ping *ping;
	struct dmsg_stream_dial *ip;
};

static void on_stop(struct api_task *task)
{
	struct dmsg_task *t = container_of(task, struct dmsg_task, t);

	dmsg_client_dial_cancel(t->dial);
	dmsg_client_unlisten(t->listener);
	dmsg_client_ping_cancel(t->ping);
	dmsg_stream_dial_cancel(t->ip);
}

enum { NEEDS_PORT = 1, NEEDS_TIMEOUT = 2 };

// NULL: the request was refused.
static struct dmsg_task *task_new(
	struct api *a, struct api_req *r, const void *payload, unsigned needs)
{
	struct dmsg_task *t;
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
	t = (struct dmsg_task *)api_task_new(a, r, sizeof(*t), on_stop);
	if (t != NULL)
		t->ask = ask;
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
static void task_started(struct dmsg_task *t, const void *what, const char *name)
{
	struct api_req *r = t->t.r;
	int err = errno;

	if (what != NULL) {
		api_task_pend(&t->t);
		return;
	}
	api_task_free(&t->t);
	api_req_fail(r, -err, "%s: %s", name, start_error(err));
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

static struct dmsg_addr addr_of(const struct dmsg_task *t)
{
	struct dmsg_addr to = {.port = t->ask.port};

	memcpy(to.pk.b, t->ask.pk, API_PK_LEN);
	return to;
}

static void on_dialled(void *arg, struct conn *take_conn, enum dmsg_err code, int err)
{
	struct dmsg_task *t = arg;
	const struct dmsg_addr to = addr_of(t);
	struct api_req *r = t->t.r;
	char why[API_DMSG_TEXT_LEN];

	t->dial = NULL;
	if (take_conn != NULL) {
		api_task_stream(&t->t, take_conn, true, &to.pk, to.port);
		return;
	}
	dmsg_client_dial_text(t->t.a->d.dmsg, code, err, why, sizeof(why));
	api_task_free(&t->t);
	api_req_fail(r, code == DMSG_OK ? err : dial_errno(code), "dial: %s%s", why,
		code == DMSG_ERR_NO_SERVER_REACHED ? ": see `skyrail show servers`" : "");
}

void api_dmsg_dial(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct dmsg_task *t = task_new(ctx, r, payload, NEEDS_PORT | NEEDS_TIMEOUT);
	struct dmsg_addr to;

	(void)len;
	if (t == NULL)
		return;
	to = addr_of(t);
	t->dial = dmsg_client_dial(t->t.a->d.dmsg, &to, t->ask.timeout_ms, on_dialled, t);
	task_started(t, t->dial, "dial");
}

static void on_accepted(void *arg, struct conn *take_conn, const struct dmsg_addr *from)
{
	struct dmsg_task *t = arg;

	dmsg_client_unlisten(t->listener); // one stream a request
	t->listener = NULL;
	api_task_stream(&t->t, take_conn, true, &from->pk, from->port);
}

void api_dmsg_listen(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct dmsg_task *t = task_new(ctx, r, payload, NEEDS_PORT);

	(void)len;
	if (t == NULL)
		return;
	t->listener = dmsg_client_listen(t->t.a->d.dmsg, t->ask.port, on_accepted, t);
	task_started(t, t->listener, "listen");
}

static void on_pong(void *arg, const struct key_pk *server, uint64_t rtt_ns, int err)
{
	struct dmsg_task *t = arg;
	struct api_dmsg_pong m = {.rtt_us = (uint32_t)(rtt_ns / CLOCK_NS_PER_US)};
	struct api_req *r = t->t.r;

	memcpy(m.pk, server->b, API_PK_LEN);
	api_server_section(t->t.a, "server", server, m.section);
	t->ping = NULL;
	api_task_free(&t->t);
	if (err < 0)
		api_req_fail(r, err, "no answer: %s", strerror(-err));
	else
		api_req_end(r, &m, sizeof(m));
}

void api_dmsg_ping(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct dmsg_task *t = task_new(ctx, r, payload, NEEDS_TIMEOUT);
	struct key_pk pk;

	(void)len;
	if (t == NULL)
		return;
	pk = addr_of(t).pk;
	t->ping = dmsg_client_ping(
		t->t.a->d.dmsg, key_pk_is_null(&pk) ? NULL : &pk, t->ask.timeout_ms, on_pong, t);
	task_started(t, t->ping, "ping");
}

static void on_ip(void *arg, const uint8_t *ip, size_t len, enum dmsg_err code, int err)
{
	struct dmsg_task *t = arg;
	struct api_dmsg_ip m = {.len = (uint8_t)len};
	struct api_req *r = t->t.r;

	t->ip = NULL;
	if (len > 0 && len <= sizeof(m.ip))
		memcpy(m.ip, ip, len);
	api_task_free(&t->t);
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
	struct dmsg_task *t = task_new(ctx, r, payload, NEEDS_TIMEOUT);
	struct key_pk pk;

	(void)len;
	if (t == NULL)
		return;
	pk = addr_of(t).pk;
	t->ip = dmsg_client_ask_ip(
		t->t.a->d.dmsg, key_pk_is_null(&pk) ? NULL : &pk, t->ask.timeout_ms, on_ip, t);
	task_started(t, t->ip, "ip");
}
