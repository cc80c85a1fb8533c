// TCP of the world (world.h, which alone includes it): pipes in memory between nodes, whose bytes
// come when jobs are run; and what else conns need of a loop.
#pragma once
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"

#include <arpa/inet.h>

#include "controlplane/core/conn_tcp.h"
#include "controlplane/directory/resolver.h"
#include "controlplane/directory/tp_register.h"
#include "tests/controlplane/transport/world_loop.h"

enum { W_CONNS = 1024, W_LISTENERS = 8 };

struct w_conn {
	struct conn base;
	struct w_conn *other; // NULL: it is gone
	unsigned node, to; // whose it is, and whom it goes to
	uint16_t port; // the dialer's
	bool accepted;
	bool open, closed, stuck, eof, told, blocked;
	int err;
	uint8_t *in;
	size_t in_len, in_cap;
};

struct conn_listener {
	bool on;
	unsigned node;
	uint16_t port;
	uint32_t ip; // of IPv4
	conn_accept_fn fn;
	void *arg;
};

static struct w_conn w_conns[W_CONNS];
static unsigned w_n_conns;
static struct conn_listener w_listeners[W_LISTENERS];
static size_t w_conn_cap = 64 * 1024; // bytes under way in one direction
static size_t w_conn_piece = 100000; // that come at once
static bool w_conn_black; // nothing comes through any more
static uint8_t w_conn_from[16]; // where callers are; zeros: where their node is
static uint16_t w_port_taken; // by another program
static uint16_t w_port_black; // of a dialer: nothing comes through from there
static bool w_conn_mute; // TCP stands, but nobody is heard
static uint32_t w_net_local, w_net_remote; // of the addresses that a dialer's conns have
static uint16_t w_port_remote;
static unsigned w_n_dials, w_n_dials_from, w_n_writes;
static uint64_t w_dialed_ns; // the last one

// ---- loop ----

static void w_deferred(struct w_job *j)
{
	j->later(j->arg);
}

int loop_defer(struct loop *l, loop_fn fn, void *arg)
{
	struct w_job *j = w_post(w_deferred);

	(void)l;
	j->later = fn;
	j->arg = arg;
	return 0;
}

const struct aead_engine *loop_aead(struct loop *l)
{
	return NULL; // libsodium
}

void *loop_buf_get(struct loop *l)
{
	return malloc(LOOP_BUF_LEN);
}

void loop_buf_put(struct loop *l, void *take_buf)
{
	free(take_buf);
}

static struct loop_rest *w_rests;

void loop_rest_add(struct loop *l, struct loop_rest *r, loop_fn fn, void *arg)
{
	(void)l;
	*r = (struct loop_rest){.fn = fn, .arg = arg, .next = w_rests, .prev = &w_rests};
	if (w_rests != NULL)
		w_rests->prev = &r->next;
	w_rests = r;
}

void loop_rest_del(struct loop_rest *r)
{
	if (r->prev == NULL)
		return;
	*r->prev = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	r->prev = NULL;
}

// ---- the transport discovery ----

struct tp_reg {
	tp_register_fn done; // called when a test says that it was answered
	void *arg;
	struct tp_entry e;
	bool post, down;
};

enum { W_REGS = 64 };
static struct tp_reg w_regs[W_REGS];
static unsigned w_n_regs;

struct tp_reg *tp_register_up(
	struct tp_register *r, const struct tp_entry *e, bool post, tp_register_fn done, void *arg)
{
	struct tp_reg *h = &w_regs[w_n_regs];

	if (r == NULL)
		return NULL;
	assert_true(w_n_regs++ < W_REGS);
	*h = (struct tp_reg){.done = done, .arg = arg, .e = *e, .post = post};
	return h;
}

void tp_register_down(struct tp_reg *h)
{
	if (h == NULL)
		return;
	assert_false(h->down);
	h->down = true;
}

static void w_reg_answer(struct tp_reg *h)
{
	if (!h->down)
		h->done(h->arg);
}

// ---- the address resolver ----

struct resolver_ask {
	struct key_pk pk;
	resolver_fn fn; // NULL: told, or cancelled
	void *arg;
};

enum { W_ASKS = 64 };
static struct resolver_ask w_asks[W_ASKS];
static unsigned w_n_asks;
static bool w_resolver_silent;
static unsigned w_resolver_status; // not 0: what it answers
static struct resolver_visor w_visor; // ... else

static void w_ask_answered(struct w_job *j)
{
	struct resolver_ask *a = j->arg;
	resolver_fn fn = a->fn;
	struct resolver_result r = {.status = w_resolver_status, .text = "503: away"};

	a->fn = NULL;
	if (w_resolver_status == 0)
		r = (struct resolver_result){
			.status = 200, .taken = true, .visor = &w_visor, .text = ""};
	if (fn != NULL && !w_resolver_silent)
		fn(a->arg, &r);
}

struct resolver_ask *resolver_find(
	struct service *s, const struct key_pk *pk, resolver_fn fn, void *arg)
{
	struct resolver_ask *a = &w_asks[w_n_asks];

	assert_non_null(s);
	assert_true(w_n_asks++ < W_ASKS);
	*a = (struct resolver_ask){.pk = *pk, .fn = fn, .arg = arg};
	if (!w_resolver_silent)
		w_post(w_ask_answered)->arg = a;
	return a;
}

void resolver_cancel(struct resolver_ask *a)
{
	if (a == NULL)
		return;
	assert_non_null(a->fn); // not after the call
	a->fn = NULL;
}

// ---- conns ----

static void w_conn_turn(struct w_job *j);

static void w_conn_poke(struct w_conn *c)
{
	w_post(w_conn_turn)->arg = c;
}

static ssize_t w_conn_write(struct conn *base, const void *p, size_t len)
{
	struct w_conn *c = (struct w_conn *)base, *o = c->other;
	size_t room;

	w_n_writes++;
	if (!c->open || c->closed || c->err != 0)
		return -EPIPE;
	if (o == NULL)
		return (ssize_t)len; // to nobody, as TCP does at first
	room = w_conn_cap - o->in_len;
	c->blocked = len > room;
	len = c->blocked ? room : len;
	if (o->in_len + len > o->in_cap) {
		o->in_cap = w_conn_cap;
		o->in = realloc(o->in, o->in_cap);
		assert_non_null(o->in);
	}
	if (len > 0)
		memcpy(o->in + o->in_len, p, len);
	o->in_len += len;
	w_conn_poke(o);
	return (ssize_t)len;
}

static void w_conn_resume(struct conn *base)
{
	struct w_conn *c = (struct w_conn *)base;

	c->stuck = false;
	w_conn_poke(c);
}

static void w_conn_shutdown(struct conn *base)
{
}

static void w_conn_close(struct conn *base)
{
	struct w_conn *c = (struct w_conn *)base;

	c->closed = true;
	if (c->other != NULL) {
		c->other->eof = true;
		c->other->other = NULL;
		w_conn_poke(c->other);
	}
	c->other = NULL;
}

static const struct conn_ops w_conn_ops = {
	.write = w_conn_write,
	.shutdown = w_conn_shutdown,
	.resume = w_conn_resume,
	.close = w_conn_close,
};

// What came, then the end.
static void w_conn_turn(struct w_job *j)
{
	struct w_conn *c = j->arg;
	uint8_t buf[4096];

	while (!c->closed && c->open && c->base.ev != NULL && c->in_len > 0 && !c->stuck &&
		!w_conn_black && !w_conn_mute) {
		size_t n = c->in_len < sizeof(buf) ? c->in_len : sizeof(buf), taken;

		n = n < w_conn_piece ? n : w_conn_piece;
		memcpy(buf, c->in, n);
		taken = c->base.ev->data(c->base.arg, buf, n);
		assert_true(taken <= n);
		c->stuck = taken < n;
		c->in_len -= taken;
		memmove(c->in, c->in + taken, c->in_len);
	}
	if (c->other != NULL && c->other->blocked && c->in_len <= w_conn_cap / 2) {
		c->other->blocked = false;
		if (c->other->base.ev->drain != NULL)
			c->other->base.ev->drain(c->other->base.arg);
	}
	if (!c->closed && !c->told && c->base.ev != NULL &&
		(c->err != 0 || (c->eof && c->in_len == 0 && !w_conn_black && !w_conn_mute))) {
		c->told = true;
		c->base.ev->end(c->base.arg, c->err);
	}
}

static struct w_conn *w_conn_new(unsigned node, unsigned to)
{
	struct w_conn *c = &w_conns[w_n_conns++];

	assert_true(w_n_conns <= W_CONNS);
	*c = (struct w_conn){.base.ops = &w_conn_ops, .node = node, .to = to};
	return c;
}

// It broke, and both ends are told.
static void w_conn_break(struct w_conn *c)
{
	struct w_conn *o = c->other;

	c->err = -ECONNRESET;
	w_conn_poke(c);
	if (o == NULL)
		return;
	c->other = o->other = NULL;
	o->err = -ECONNRESET;
	w_conn_poke(o);
}

// All between two nodes.
static void w_conns_break(unsigned a, unsigned b)
{
	for (unsigned i = 0; i < w_n_conns; i++) {
		struct w_conn *c = &w_conns[i];

		if (!c->closed && ((c->node == a && c->to == b) || (c->node == b && c->to == a)))
			w_conn_break(c);
	}
}

// The path of all between two nodes broke, as TCP of a finds out in the end by this error, and b
// does not.
static void w_conns_cut_by(unsigned a, unsigned b, int err)
{
	for (unsigned i = 0; i < w_n_conns; i++) {
		struct w_conn *c = &w_conns[i];

		if (c->closed || c->node != a || c->to != b)
			continue;
		c->err = err;
		w_conn_poke(c);
		if (c->other != NULL)
			c->other->other = NULL;
		c->other = NULL;
	}
}

static void w_conns_cut(unsigned a, unsigned b)
{
	w_conns_cut_by(a, b, -ETIMEDOUT);
}

// Connections that stand between them.
static unsigned w_conns_between(unsigned a, unsigned b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w_n_conns; i++)
		n += !w_conns[i].closed && w_conns[i].node == a && w_conns[i].to == b;
	return n;
}

// ---- dialing and listening ----

// One that only this end has is over when the other end connects from the same port again.
static void w_conn_forget(unsigned node, unsigned from, uint16_t port)
{
	for (unsigned i = 0; i < w_n_conns; i++) {
		struct w_conn *c = &w_conns[i];

		if (!c->accepted || c->closed || c->node != node || c->to != from ||
			c->port != port || c->other != NULL)
			continue;
		c->err = -ECONNRESET;
		w_conn_poke(c);
	}
}

static void w_conn_arrives(struct w_job *j)
{
	struct w_conn *c = j->arg, *o;
	struct sockaddr_storage from = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&from;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&from;

	if (c->closed || c->err != 0 || w_conn_black || c->port == w_port_black)
		return;
	w_conn_forget(c->to, c->node, c->port);
	for (unsigned i = 0; i < W_LISTENERS; i++) {
		struct conn_listener *l = &w_listeners[i];

		if (!l->on || l->node != c->to)
			continue;
		o = w_conn_new(c->to, c->node);
		o->port = c->port;
		o->accepted = true;
		c->other = o;
		o->other = c;
		c->open = o->open = true;
		v4->sin_family = AF_INET;
		v4->sin_addr.s_addr = htonl(0x0a000000 | c->node);
		v4->sin_port = htons(c->port);
		if (w_conn_from[0] != 0) {
			v6->sin6_family = AF_INET6;
			memcpy(&v6->sin6_addr, w_conn_from, sizeof(v6->sin6_addr));
		}
		l->fn(l->arg, &o->base, &from);
		w_conn_poke(o);
		c->base.ev->open(c->base.arg);
		return;
	}
	c->err = -ECONNREFUSED;
	w_conn_poke(c);
}

static void w_dial_late(void *arg)
{
	struct w_conn *c = arg;

	if (c->open || c->err != 0)
		return;
	c->err = -ETIMEDOUT;
	w_conn_poke(c);
}

static unsigned (*w_loop_node)(const struct loop *l); // whose it is

static struct conn *w_dial(struct loop *l, unsigned to, uint32_t timeout_ms,
	const struct conn_tcp_opts *opts, const struct conn_events *ev, void *arg)
{
	struct loop_timer *t;
	struct w_conn *c;

	assert_int_equal(opts->keepalive_s, 15);
	assert_int_equal(opts->user_timeout_ms, 20000);
	c = w_conn_new(w_loop_node(l), to);
	c->base.ev = ev;
	c->base.arg = arg;
	c->port = (uint16_t)(40000 + w_n_conns);
	w_n_dials++;
	w_dialed_ns = w_now;
	w_post(w_conn_arrives)->arg = c;
	t = loop_timer_new(l, w_dial_late, c);
	loop_timer_start(t, timeout_ms, 0);
	return &c->base;
}

struct conn *conn_tcp_dial(struct loop *l, const char *where, uint32_t timeout_ms,
	const struct conn_tcp_opts *opts, const struct conn_events *ev, void *arg)
{
	unsigned to = 0;

	assert_int_equal(sscanf(where, "10.0.0.%u:", &to) +
				 sscanf(where, "198.51.100.%u:", &to) + // its public one
				 sscanf(where, "[fe80::%u%%eth0]:", &to),
		1);
	return w_dial(l, to, timeout_ms, opts, ev, arg);
}

struct conn *conn_tcp_dial_from(struct loop *l, const struct sockaddr *from,
	const struct sockaddr *to, uint32_t timeout_ms, const struct conn_tcp_opts *opts,
	const struct conn_events *ev, void *arg)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)to;
	const struct sockaddr_in *ours = (const struct sockaddr_in *)from;
	bool is_ours = (ntohl(ours->sin_addr.s_addr) & ~0xffu) == w_net_local;
	struct w_conn *c = (struct w_conn *)w_dial(
		l, ntohl(v4->sin_addr.s_addr) & 0xff, timeout_ms, opts, ev, arg);

	c->port = ntohs(ours->sin_port);
	w_n_dials_from++;
	if (c->port == w_port_taken || !is_ours) {
		c->err = is_ours ? -EADDRINUSE : -EADDRNOTAVAIL;
		w_conn_poke(c);
	}
	return &c->base;
}

static struct sockaddr_in w_sockaddr(uint32_t net, unsigned node, uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(net | node),
		.sin_port = htons(port)};
}

int conn_tcp_local(const struct conn *conn, struct sockaddr_storage *addr)
{
	const struct w_conn *c = (const struct w_conn *)conn;

	memset(addr, 0, sizeof(*addr));
	*(struct sockaddr_in *)addr = w_sockaddr(w_net_local, c->node, c->port);
	return 0;
}

int conn_tcp_remote(const struct conn *conn, struct sockaddr_storage *addr)
{
	const struct w_conn *c = (const struct w_conn *)conn;

	memset(addr, 0, sizeof(*addr));
	*(struct sockaddr_in *)addr = w_sockaddr(w_net_remote, c->to, w_port_remote);
	return 0;
}

// For carriers, which there are none of.
const struct region *dp_client_region(const struct dp_client *c)
{
	(void)c;
	return NULL;
}

struct conn *conn_tcp_adopt(struct loop *l, int take_fd, const struct conn_tcp_opts *opts,
	const struct conn_events *ev, void *arg)
{
	(void)l, (void)take_fd, (void)opts, (void)ev, (void)arg;
	errno = ENOSYS;
	return NULL;
}

int conn_tcp_release(struct conn *c, uint8_t **bytes, size_t *len)
{
	(void)c, (void)bytes, (void)len;
	return -ENOSYS;
}

struct conn_listener *conn_listen(struct loop *l, const struct sockaddr *addr,
	const struct conn_tcp_opts *opts, conn_accept_fn fn, void *arg)
{
	const struct sockaddr_in *at = (const struct sockaddr_in *)addr;
	uint16_t port = ntohs(at->sin_port);

	for (unsigned i = 0; i < W_LISTENERS; i++) {
		const struct conn_listener *cl = &w_listeners[i];

		if (port != w_port_taken &&
			!(cl->on && cl->node == w_loop_node(l) && cl->port == port))
			continue;
		errno = EADDRINUSE;
		return NULL;
	}
	for (unsigned i = 0; i < W_LISTENERS; i++) {
		struct conn_listener *cl = &w_listeners[i];

		if (cl->on)
			continue;
		*cl = (struct conn_listener){.on = true,
			.node = w_loop_node(l),
			.port = port,
			.ip = ntohl(at->sin_addr.s_addr),
			.fn = fn,
			.arg = arg};
		return cl;
	}
	errno = EADDRINUSE;
	return NULL;
}

void conn_listener_close(struct conn_listener *cl)
{
	if (cl != NULL)
		cl->on = false;
}

static void w_conns_setup(unsigned (*loop_node)(const struct loop *l))
{
	w_loop_node = loop_node;
	w_conn_cap = 64 * 1024;
	w_conn_piece = 100000;
	w_conn_black = w_conn_mute = false;
	w_port_taken = w_port_black = 0;
	w_net_local = w_net_remote = 0x0a000000;
	w_port_remote = 7780;
	memset(w_conn_from, 0, sizeof(w_conn_from));
	w_n_dials = w_n_dials_from = w_n_regs = w_n_asks = 0;
	w_resolver_silent = false;
	w_resolver_status = 0;
	memset(&w_visor, 0, sizeof(w_visor));
}

static void w_conns_teardown(void)
{
	while (w_rests != NULL)
		w_rests->fn(w_rests->arg);
	w_settle();
	for (unsigned i = 0; i < w_n_conns; i++)
		free(w_conns[i].in);
	w_n_conns = 0;
}
