// Streams of callers. While a call waits nothing more is read of its stream, so that a stream costs
// what it is and no more. One that is over while a call waits is told, and gone. One that rests is
// neither read nor let go: to end it and come again is no way around the rest.
#include "controlplane/route/rpc_port.h"

#include "lib/base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct rpc_stream_io {
	struct rpc_stream s;
	struct rpc_port *port;
	struct conn *conn; // NULL: ended while it rests
	struct loop_timer *timer;
	LIST_ENTRY(rpc_stream_io) entry;
};

struct rpc_port {
	struct rpc_port_conf conf;
	struct dmsg_client_listener *listener; // NULL: nobody may call
	struct key_pk caller[RPC_CALLERS_MAX];
	uint32_t n_callers;
	LIST_HEAD(, rpc_stream_io) streams;
	struct rpc_port_stats stats;
};

static void stream_free(struct rpc_stream_io *io)
{
	struct rpc_port *p = io->port;

	LIST_REMOVE(io, entry);
	p->stats.now--;
	if (io->s.waits_for != NULL)
		p->conf.gone(p->conf.arg, &io->s);
	conn_close(io->conn);
	loop_timer_free(io->timer);
	free(io);
}

// False: the stream is gone.
static bool reply(struct rpc_stream_io *io, const uint8_t *bytes, const struct bytes_w *w)
{
	ssize_t len = bytes_w_done(w);

	if (len >= 0 && conn_write(io->conn, bytes, (size_t)len) == len) {
		loop_timer_start(io->timer, io->port->conf.idle_ms, 0);
		return true;
	}
	stream_free(io); // it does not read its answers
	return false;
}

void rpc_stream_answer(struct rpc_stream *s, const uint8_t *bytes, const struct bytes_w *w)
{
	struct rpc_stream_io *io = s->io;

	s->waits_for = NULL;
	if (reply(io, bytes, w))
		conn_resume(io->conn);
}

// False: the stream is gone.
static bool serve(struct rpc_stream_io *io)
{
	struct rpc_port *p = io->port;
	uint8_t buf[RPC_ANSWER_MAX];
	struct bytes_w w = bytes_w(buf, sizeof(buf));

	p->conf.call(p->conf.arg, &io->s, &w);
	if (io->s.waits_for != NULL) {
		loop_timer_stop(io->timer);
		return true;
	}
	if (!reply(io, buf, &w))
		return false;
	if (io->s.rests)
		loop_timer_start(io->timer, p->conf.rest_ms, 0);
	return true;
}

static size_t on_data(void *arg, uint8_t *bytes, size_t len)
{
	struct rpc_stream_io *io = arg;
	size_t used = 0;

	while (used < len && io->s.waits_for == NULL && !io->s.rests) {
		bool ready;
		ssize_t n = netrpc_take(&io->s.rx, bytes + used, len - used, &ready);

		if (n < 0) {
			io->port->stats.bad++;
			stream_free(io);
			return len;
		}
		used += (size_t)n;
		if (ready && !serve(io))
			return len;
	}
	return used;
}

// What came was no whole call: what it was is not known before its end.
static bool said_no_call(const struct rpc_stream *s)
{
	return s->rx.method[0] == '\0' || netrpc_is_amid(&s->rx);
}

static void on_end(void *arg, int err)
{
	struct rpc_stream_io *io = arg;

	if (!io->s.rests) {
		// broken, it may have been about to
		io->port->stats.bad += err == 0 && said_no_call(&io->s);
		stream_free(io);
		return;
	}
	conn_close(io->conn);
	io->conn = NULL;
}

static void on_timer(void *arg)
{
	struct rpc_stream_io *io = arg;

	if (!io->s.rests) {
		io->port->stats.bad += said_no_call(&io->s);
		stream_free(io);
		return;
	}
	io->s.rests = false;
	if (io->conn == NULL) {
		stream_free(io);
		return;
	}
	loop_timer_start(io->timer, io->port->conf.idle_ms, 0);
	conn_resume(io->conn);
}

static const struct conn_events stream_events = {.data = on_data, .end = on_end};

static bool has_place(const struct rpc_port *p, const struct key_pk *pk)
{
	const struct rpc_stream_io *io;
	uint32_t of_key = 0;

	if (p->stats.now >= p->conf.streams_max)
		return false;
	LIST_FOREACH (io, &p->streams, entry)
		of_key += key_pk_cmp(&io->s.pk, pk) == 0;
	return of_key < p->conf.streams_of_key;
}

static struct rpc_stream_io *stream_new(struct rpc_port *p, const struct key_pk *pk)
{
	struct rpc_stream_io *io = has_place(p, pk) ? calloc(1, sizeof(*io)) : NULL;

	if (io == NULL)
		return NULL;
	io->timer = loop_timer_new(p->conf.loop, on_timer, io);
	if (io->timer == NULL) {
		free(io);
		return NULL;
	}
	io->s.pk = *pk;
	io->s.io = io;
	io->port = p;
	LIST_INSERT_HEAD(&p->streams, io, entry);
	p->stats.now++;
	return io;
}

static bool may_call(const struct rpc_port *p, const struct key_pk *pk)
{
	for (uint32_t i = 0; i < p->n_callers; i++)
		if (key_pk_cmp(&p->caller[i], pk) == 0)
			return true;
	return !p->conf.named;
}

static void on_stream(void *arg, struct conn *take_conn, const struct dmsg_addr *from)
{
	struct rpc_port *p = arg;
	struct rpc_stream_io *io;

	if (!may_call(p, &from->pk)) {
		p->stats.strangers++;
		conn_close(take_conn);
		return;
	}
	io = stream_new(p, &from->pk);
	if (io == NULL) {
		p->stats.refused++;
		conn_close(take_conn);
		return;
	}
	p->stats.taken++;
	io->conn = take_conn;
	conn_set_events(take_conn, &stream_events, io);
	loop_timer_start(io->timer, p->conf.idle_ms, 0);
}

static int open_port(struct rpc_port *p)
{
	if (p->listener == NULL)
		p->listener = dmsg_client_listen(p->conf.client, p->conf.port, on_stream, p);
	return p->listener != NULL ? 0 : -errno;
}

struct rpc_port *rpc_port_new(const struct rpc_port_conf *conf)
{
	struct rpc_port *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return NULL;
	p->conf = *conf;
	LIST_INIT(&p->streams);
	rc = conf->named ? 0 : open_port(p);
	if (rc == 0)
		return p;
	free(p);
	return errno_null(rc);
}

void rpc_port_free(struct rpc_port *p)
{
	if (p == NULL)
		return;
	dmsg_client_unlisten(p->listener);
	while (!LIST_EMPTY(&p->streams))
		stream_free(LIST_FIRST(&p->streams));
	free(p);
}

int rpc_port_callers(struct rpc_port *p, const struct key_pk *keys, uint32_t n)
{
	struct rpc_stream_io *io = LIST_FIRST(&p->streams), *next;
	int rc = n > RPC_CALLERS_MAX ? -EINVAL : n > 0 ? open_port(p) : 0;

	if (rc < 0)
		return rc;
	if (n > 0)
		memcpy(p->caller, keys, n * sizeof(p->caller[0]));
	p->n_callers = n;
	for (; io != NULL; io = next) {
		next = LIST_NEXT(io, entry);
		if (!may_call(p, &io->s.pk))
			stream_free(io);
	}
	if (n == 0) {
		dmsg_client_unlisten(p->listener);
		p->listener = NULL;
	}
	return 0;
}

void rpc_port_stats_get(const struct rpc_port *p, struct rpc_port_stats *out)
{
	*out = p->stats;
}
