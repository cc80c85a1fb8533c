// lib/dmsg's dial and accept on mux streams. Both read no byte behind the object that they wait
// for: what follows is the first record, and stays in the stream until noise_conn reads it.
#include "controlplane/dmsg/dmsg_stream.h"

#include <errno.h>
#include <stdlib.h>

#include "controlplane/core/noise_conn.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/dmsg/accept.h"

// ---- dialling ----

struct dmsg_stream_dial {
	struct dmsg_link *k;
	struct conn *stream;
	struct loop_timer *timer;
	dmsg_dial_fn fn;
	dmsg_ip_fn ip_fn;
	void *arg;
	uint8_t *left; // of the request, what the stream did not take
	size_t left_ofs, left_len;
	struct dmsg_dial d;
};

static void dial_free(struct dmsg_stream_dial *sd)
{
	loop_timer_free(sd->timer);
	conn_close(sd->stream);
	dmsg_link_put(sd->k);
	dmsg_dial_fini(&sd->d);
	free(sd->left);
	free(sd);
}

void dmsg_stream_dial_cancel(struct dmsg_stream_dial *sd)
{
	if (sd != NULL)
		dial_free(sd);
}

static void dial_fail(struct dmsg_stream_dial *sd, enum dmsg_err code, int err)
{
	dmsg_dial_fn fn = sd->fn;
	dmsg_ip_fn ip_fn = sd->ip_fn;
	void *arg = sd->arg;

	dial_free(sd);
	if (ip_fn != NULL)
		ip_fn(arg, NULL, 0, code, err);
	else
		fn(arg, NULL, code, err);
}

static void dial_done(struct dmsg_stream_dial *sd)
{
	dmsg_dial_fn fn = sd->fn;
	void *arg = sd->arg;
	struct noise_rec rec;
	struct conn *c;

	if (sd->ip_fn != NULL) {
		sd->ip_fn(arg, sd->d.ip, sd->d.ip_len, DMSG_OK, 0);
		dial_free(sd);
		return;
	}
	if (dmsg_dial_keys(&sd->d, &rec) < 0) {
		dial_fail(sd, DMSG_ERR_NOISE, 0);
		return;
	}
	c = noise_conn_adopt(dmsg_link_loop(sd->k), sd->stream, &rec, NULL, 0, NULL, NULL);
	sd->stream = NULL;
	noise_rec_fini(&rec);
	if (c == NULL) {
		dial_fail(sd, DMSG_OK, -errno);
		return;
	}
	dial_free(sd);
	fn(arg, c, DMSG_OK, 0);
}

static size_t on_dial_data(void *arg, uint8_t *p, size_t len)
{
	struct dmsg_stream_dial *sd = arg;
	size_t used;

	switch (dmsg_dial_feed(&sd->d, dmsg_link_session(sd->k), p, len, &used)) {
	case DMSG_MORE:
		break;
	case DMSG_READY:
		dial_done(sd);
		break;
	default:
		dial_fail(sd, sd->d.err, 0);
	}
	return used;
}

static void dial_send(struct dmsg_stream_dial *sd)
{
	ssize_t n = conn_write(sd->stream, sd->left + sd->left_ofs, sd->left_len);

	if (n < 0)
		return; // `end` says why
	sd->left_ofs += (size_t)n;
	sd->left_len -= (size_t)n;
}

// Also when it is open.
static void on_dial_drain(void *arg)
{
	dial_send(arg);
}

static void on_dial_end(void *arg, int err)
{
	dial_fail(arg, err == 0 ? DMSG_ERR_RESP_REFUSED : DMSG_OK, err);
}

static void on_dial_late(void *arg)
{
	dial_fail(arg, DMSG_OK, -ETIMEDOUT);
}

static const struct conn_events dial_events = {
	.open = on_dial_drain,
	.data = on_dial_data,
	.drain = on_dial_drain,
	.end = on_dial_end,
};

static struct dmsg_stream_dial *dial(
	struct dmsg_link *k, const struct dmsg_dial_conf *conf, uint32_t timeout_ms, void *arg)
{
	struct dmsg_stream_dial *sd = calloc(1, sizeof(*sd));
	ssize_t n = -ENOMEM;

	if (sd == NULL)
		return NULL;
	sd->k = dmsg_link_get(k);
	sd->arg = arg;
	sd->left = malloc(DMSG_FRAME_MAX);
	sd->timer = loop_timer_new(dmsg_link_loop(k), on_dial_late, sd);
	if (sd->left != NULL && sd->timer != NULL)
		n = dmsg_link_is_open(k) ? dmsg_dial_start(&sd->d, dmsg_link_session(k), conf,
						   sd->left, DMSG_FRAME_MAX)
					 : -ENOTCONN;
	if (n > 0) {
		sd->stream = dmsg_link_stream(k, &dial_events, sd);
		if (sd->stream == NULL)
			n = -errno;
	}
	if (n < 0) {
		dial_free(sd);
		return errno_null((int)n);
	}
	sd->left_len = (size_t)n;
	loop_timer_start(sd->timer, timeout_ms, 0);
	return sd;
}

struct dmsg_stream_dial *dmsg_stream_dial(struct dmsg_link *k, const struct dmsg_dial_conf *conf,
	uint32_t timeout_ms, dmsg_dial_fn fn, void *arg)
{
	struct dmsg_stream_dial *sd = dial(k, conf, timeout_ms, arg);

	if (sd != NULL)
		sd->fn = fn;
	return sd;
}

struct dmsg_stream_dial *dmsg_stream_ask_ip(
	struct dmsg_link *k, uint16_t src_port, uint32_t timeout_ms, dmsg_ip_fn fn, void *arg)
{
	struct dmsg_dial_conf conf = {
		.src_port = src_port, .wall_ns = (int64_t)clock_wall_ns(), .ip_request = true};
	struct dmsg_stream_dial *sd;

	if (dmsg_link_peer(k) == NULL)
		return errno_null(ENOTCONN);
	conf.dst.pk = *dmsg_link_peer(k);
	sd = dial(k, &conf, timeout_ms, arg);
	if (sd != NULL)
		sd->ip_fn = fn;
	return sd;
}

// ---- accepting ----

struct acceptor {
	struct dmsg_link *k;
	struct conn *stream;
	struct loop_timer *timer;
	const struct dmsg_stream_events *ev;
	void *arg;
	struct dmsg_accept a;
};

static void acceptor_free(struct acceptor *a)
{
	loop_timer_free(a->timer);
	conn_close(a->stream);
	dmsg_link_put(a->k);
	free(a);
}

static void refuse(struct acceptor *a, enum dmsg_err code, int err)
{
	const struct dmsg_stream_events *ev = a->ev;
	void *arg = a->arg;

	acceptor_free(a);
	if (ev->refused != NULL)
		ev->refused(arg, code, err);
}

// What had come may still be read when the link is closed, and whom it would be told may be gone.
static void spent_since(const struct acceptor *a, uint64_t begin_ns)
{
	if (a->ev->spent != NULL && dmsg_link_is_open(a->k))
		a->ev->spent(a->arg, clock_mono_ns() - begin_ns);
}

static void answer(struct acceptor *a)
{
	const struct dmsg_stream_events *ev = a->ev;
	uint64_t begin_ns = clock_mono_ns();
	uint8_t out[DMSG_FRAME_MAX];
	struct dmsg_addr from = a->a.req.src;
	uint16_t port = a->a.req.dst.port;
	void *arg = a->arg;
	struct noise_rec rec;
	struct conn *c;
	ssize_t n;

	if (!ev->wants(arg, &a->a.req)) {
		refuse(a, DMSG_ERR_NO_LISTENER, 0);
		return;
	}
	n = dmsg_accept_answer(&a->a, dmsg_link_session(a->k), NULL, &rec, out, sizeof(out));
	spent_since(a, begin_ns);
	// A stream has room for its first 300 bytes, or it is dead.
	if (n > 0 && conn_write(a->stream, out, (size_t)n) != n)
		n = -EPIPE;
	if (n < 0) {
		refuse(a, n == -EBADMSG ? DMSG_ERR_NOISE : DMSG_OK, (int)n);
		return;
	}
	c = noise_conn_adopt(dmsg_link_loop(a->k), a->stream, &rec, NULL, 0, NULL, NULL);
	a->stream = NULL;
	noise_rec_fini(&rec);
	if (c == NULL) {
		refuse(a, DMSG_OK, -errno);
		return;
	}
	acceptor_free(a);
	ev->conn(arg, c, &from, port);
}

static size_t on_accept_data(void *arg, uint8_t *p, size_t len)
{
	static const uint8_t marker[DMSG_PING_LEN];
	struct acceptor *a = arg;
	uint64_t begin_ns = clock_mono_ns();
	enum dmsg_step step;
	size_t used;

	step = dmsg_accept_feed(&a->a, dmsg_link_session(a->k), p, len, &used);
	spent_since(a, begin_ns);
	switch (step) {
	case DMSG_MORE:
		break;
	case DMSG_READY:
		answer(a);
		break;
	case DMSG_PING:
		(void)conn_write(a->stream, marker, sizeof(marker));
		acceptor_free(a);
		break;
	default:
		refuse(a, a->a.err, 0);
	}
	return used;
}

static void on_accept_end(void *arg, int err)
{
	refuse(arg, err == 0 ? DMSG_ERR_OBJECT_SHORT : DMSG_OK, err);
}

static void on_accept_late(void *arg)
{
	refuse(arg, DMSG_OK, -ETIMEDOUT);
}

static const struct conn_events accept_events = {.data = on_accept_data, .end = on_accept_end};

void dmsg_stream_accept(struct dmsg_link *k, struct conn *take_stream, uint32_t timeout_ms,
	const struct dmsg_stream_events *ev, void *arg)
{
	struct acceptor *a = calloc(1, sizeof(*a));

	if (a != NULL)
		a->timer = loop_timer_new(dmsg_link_loop(k), on_accept_late, a);
	if (a == NULL || a->timer == NULL) {
		conn_close(take_stream);
		free(a);
		return;
	}
	a->k = dmsg_link_get(k);
	a->stream = take_stream;
	a->ev = ev;
	a->arg = arg;
	dmsg_accept_init(&a->a);
	conn_set_events(take_stream, &accept_events, a);
	loop_timer_start(a->timer, timeout_ms, 0);
}
