// dmsg of the world (world.h, which alone includes it): streams by key and port, which are pipes in
// memory as those of TCP, and arrive when jobs are run. Nothing has a session: all is reached.
#pragma once
#pragma GCC diagnostic ignored "-Wunused-function"

#include "controlplane/dmsg/dmsg_client.h"
#include "tests/controlplane/transport/world_conn.h"

enum { W_STREAM_DIALS = 256, W_CLIENTS = 3 };

struct dmsg_client_listener {
	bool on;
	uint16_t port;
	dmsg_client_accept_fn fn;
	void *arg;
};

struct dmsg_client { // of the node with this number
	const struct key_pk *pk;
	struct loop *loop;
	struct dmsg_client_listener li;
};

struct dmsg_client_dial {
	unsigned from, to;
	uint16_t port;
	dmsg_client_dial_fn fn; // NULL: told, or cancelled
	void *arg;
	struct loop_timer *late;
};

static struct dmsg_client w_dmsg[W_CLIENTS];
static struct dmsg_client_dial w_stream_dials[W_STREAM_DIALS];
static unsigned w_n_stream_dials;

static void w_stream_told(
	struct dmsg_client_dial *d, struct conn *conn, enum dmsg_err code, int err)
{
	dmsg_client_dial_fn fn = d->fn;

	d->fn = NULL;
	loop_timer_free(d->late);
	if (fn != NULL)
		fn(d->arg, conn, code, err);
}

static void w_stream_late(void *arg)
{
	w_stream_told(arg, NULL, DMSG_OK, -ETIMEDOUT);
}

static void w_stream_arrives(struct w_job *j)
{
	struct dmsg_client_dial *d = j->arg;
	struct dmsg_client_listener *l = &w_dmsg[d->to].li;
	struct dmsg_addr from = {.pk = *w_dmsg[d->from].pk, .port = 49152};
	struct w_conn *c, *o;

	if (d->fn == NULL || w_conn_black)
		return;
	if (!l->on || l->port != d->port) {
		w_stream_told(d, NULL, DMSG_OK, -ECONNRESET);
		return;
	}
	c = w_conn_new(d->from, d->to);
	o = w_conn_new(d->to, d->from);
	c->other = o;
	o->other = c;
	c->open = o->open = true;
	l->fn(l->arg, &o->base, &from);
	w_conn_poke(o);
	w_stream_told(d, &c->base, DMSG_OK, 0);
	w_conn_poke(c);
}

struct dmsg_client_dial *dmsg_client_dial(struct dmsg_client *c, const struct dmsg_addr *to,
	uint32_t timeout_ms, dmsg_client_dial_fn fn, void *arg)
{
	struct dmsg_client_dial *d = &w_stream_dials[w_n_stream_dials++];
	unsigned i = 0;

	assert_true(w_n_stream_dials <= W_STREAM_DIALS);
	while (i < W_CLIENTS && key_pk_cmp(w_dmsg[i].pk, &to->pk) != 0)
		i++;
	assert_true(i < W_CLIENTS);
	*d = (struct dmsg_client_dial){
		.from = (unsigned)(c - w_dmsg), .to = i, .port = to->port, .fn = fn, .arg = arg};
	w_n_dials++;
	w_dialed_ns = w_now;
	d->late = loop_timer_new(c->loop, w_stream_late, d);
	loop_timer_start(d->late, timeout_ms, 0);
	w_post(w_stream_arrives)->arg = d;
	return d;
}

void dmsg_client_dial_cancel(struct dmsg_client_dial *d)
{
	if (d == NULL)
		return;
	assert_non_null(d->fn); // not after the call
	d->fn = NULL;
	loop_timer_free(d->late);
}

char *dmsg_client_dial_text(
	const struct dmsg_client *c, enum dmsg_err code, int err, char *buf, size_t cap)
{
	snprintf(buf, cap, "%s", strerror(-err));
	return buf;
}

struct dmsg_client_listener *dmsg_client_listen(
	struct dmsg_client *c, uint16_t port, dmsg_client_accept_fn fn, void *arg)
{
	if (c->li.on) {
		errno = EADDRINUSE;
		return NULL;
	}
	c->li = (struct dmsg_client_listener){.on = true, .port = port, .fn = fn, .arg = arg};
	return &c->li;
}

void dmsg_client_unlisten(struct dmsg_client_listener *li)
{
	if (li != NULL)
		li->on = false;
}

static void w_dmsg_setup(unsigned node, const struct key_pk *pk, struct loop *loop)
{
	w_n_stream_dials = 0;
	w_dmsg[node] = (struct dmsg_client){.pk = pk, .loop = loop};
}
