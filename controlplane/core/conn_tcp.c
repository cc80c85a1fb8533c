// Conns over libuv's streams. A conn is apart from its handle, because each address that is tried
// wants a new one. The conn is freed when it is closed and nothing that libuv or the loop will call
// back points to it (`refs`). Reads go to a buffer of their own, which stays when the reader is not
// willing; writes go straight to the socket as long as it takes them. Listening is conn_listen.c's.
#include "controlplane/core/conn_tcp_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/err.h"

struct out { // bytes that the socket did not take
	uint8_t *p;
	size_t len, cap;
};

struct tcp {
	struct conn base;
	struct loop *l;
	struct conn_handle *h; // NULL: none (yet)
	struct conn_tcp_opts opts;
	struct loop_timer *timer; // deadline of the dial, then of the last bytes
	struct loop_rest rest; // while those are out and the owner is gone
	unsigned refs;
	bool open, eof, shut, shut_sent, blocked, resumed, closing, deferred;
	bool told; // of err
	int err; // broken; told by a deferred call
	// dialling
	uv_getaddrinfo_t name;
	struct addrinfo *addrs, *next_addr;
	int dial_err; // of the last address
	// reading
	size_t read_len; // of the next read
	uint8_t *kept;
	size_t kept_ofs, kept_len;
	// writing: [0] is with libuv while `writing`, [1] collects
	struct out out[2];
	uv_write_t write_req;
	uv_shutdown_t shut_req;
	bool writing;
};

static void defer(struct tcp *t);
static void finish_close(struct tcp *t);
static void dial_next(struct tcp *t);

static struct tcp *tcp_of(struct conn *c)
{
	return (struct tcp *)c;
}

static void unref(struct tcp *t)
{
	if (--t->refs > 0)
		return;
	free(t->kept);
	free(t->out[0].p);
	free(t->out[1].p);
	free(t);
}

// ---- handles ----

static void on_handle_closed(uv_handle_t *uv)
{
	free(uv->data);
}

void conn_handle_close(struct conn_handle *h)
{
	if (h == NULL)
		return;
	h->owner = NULL;
	h->uv.h.data = h;
	uv_close(&h->uv.h, on_handle_closed);
}

struct conn_handle *conn_handle_new(struct loop *l, bool is_unix)
{
	struct conn_handle *h = calloc(1, sizeof(*h));
	int rc;

	if (h == NULL)
		return NULL;
	rc = is_unix ? uv_pipe_init(loop_uv(l), &h->uv.pipe, 0)
		     : uv_tcp_init(loop_uv(l), &h->uv.tcp);
	if (rc != 0) {
		free(h);
		return errno_null(rc);
	}
	h->is_unix = is_unix;
	h->uv.h.data = h;
	return h;
}

// Best effort: a socket without them works.
static void set_opts(const struct conn_handle *h, const struct conn_tcp_opts *o)
{
	unsigned ms = o->user_timeout_ms;
	int fd;

	if (h->is_unix)
		return;
	uv_tcp_nodelay((uv_tcp_t *)&h->uv.tcp, 1);
	if (o->keepalive_s > 0)
		uv_tcp_keepalive((uv_tcp_t *)&h->uv.tcp, 1, o->keepalive_s);
	if (ms > 0 && uv_fileno(&h->uv.h, &fd) == 0)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

// ---- reading ----

// Without memory -ENOBUFS is what was read.
static void on_alloc(uv_handle_t *uv, size_t hint, uv_buf_t *buf)
{
	struct tcp *t = ((struct conn_handle *)uv->data)->owner;

	(void)hint;
	buf->base = t != NULL ? loop_buf_get(t->l) : NULL;
	buf->len = buf->base != NULL ? t->read_len : 0;
}

// The conn is of no more use; the owner hears of it soon.
static void fail(struct tcp *t, int err)
{
	if (t->err == 0)
		t->err = err;
	if (t->h != NULL)
		uv_read_stop(&t->h->uv.s);
	defer(t);
}

// Gives the owner bytes; returns how many are left over for later. The caller holds a reference.
static size_t deliver(struct tcp *t, uint8_t *p, size_t len)
{
	size_t taken = t->base.ev->data(t->base.arg, p, len);

	return t->closing ? 0 : len - taken;
}

// What the owner did not take stays here, in memory of its own, and reading stops.
static void keep(struct tcp *t, const uint8_t *p, size_t len)
{
	t->kept = malloc(len);
	if (t->kept == NULL) {
		fail(t, -ENOMEM);
		return;
	}
	memcpy(t->kept, p, len);
	t->kept_ofs = 0;
	t->kept_len = len;
	uv_read_stop(&t->h->uv.s);
}

static void on_bytes(struct tcp *t, uint8_t *p, size_t len)
{
	size_t left;

	t->refs++;
	left = deliver(t, p, len);
	if (left > 0)
		keep(t, p + len - left, left);
	if (left > 0)
		t->read_len = CONN_TCP_READ_MIN;
	else if (len == t->read_len)
		t->read_len = CONN_TCP_READ_MAX;
	unref(t);
}

// At its end: is it that of both halves? A peer by TCP can't be told from one that only writes no
// more.
static bool is_hung_up(const struct tcp *t)
{
	struct pollfd p = {.fd = -1};

	return uv_fileno(&t->h->uv.h, &p.fd) == 0 && poll(&p, 1, 0) == 1 &&
	       (p.revents & POLLHUP) != 0;
}

static void on_no_bytes(struct tcp *t, ssize_t n)
{
	uv_read_stop(&t->h->uv.s);
	if (n != UV_EOF) {
		fail(t, (int)n);
	} else if (t->opts.whole_end && is_hung_up(t)) {
		fail(t, -EPIPE);
	} else if (!t->eof) {
		t->eof = true;
		t->base.ev->end(t->base.arg, 0);
	}
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct tcp *t = ((struct conn_handle *)s->data)->owner;
	struct loop *l;

	if (t == NULL) // closed: there was no buffer
		return;
	l = t->l;
	if (t->closing && n < 0) // the peer has all, or is gone
		finish_close(t);
	else if (!t->closing && n < 0)
		on_no_bytes(t, n);
	else if (!t->closing && n > 0 && t->err == 0)
		on_bytes(t, (uint8_t *)buf->base, (size_t)n);
	loop_buf_put(l, buf->base);
}

static void read_on(struct tcp *t)
{
	int rc = uv_read_start(&t->h->uv.s, on_alloc, on_read);

	if (rc != 0 && rc != UV_EALREADY)
		fail(t, rc);
}

static void tcp_resume(struct conn *c)
{
	struct tcp *t = tcp_of(c);

	// From within `data` it is too early: what is not taken is not here yet.
	t->resumed = true;
	defer(t);
}

// ---- writing ----

static size_t unsent(const struct tcp *t)
{
	return t->out[0].len + t->out[1].len;
}

static void finish_close(struct tcp *t)
{
	loop_rest_del(&t->rest);
	loop_timer_free(t->timer);
	t->timer = NULL;
	conn_handle_close(t->h);
	t->h = NULL;
	unref(t);
}

static void on_shut(uv_shutdown_t *req, int status)
{
	struct tcp *t = req->data;

	(void)status;
	unref(t);
}

static void send_shutdown(struct tcp *t)
{
	t->shut_sent = true;
	t->shut_req.data = t;
	t->refs++;
	if (uv_shutdown(&t->shut_req, &t->h->uv.s, on_shut) != 0)
		t->refs--;
}

static void on_written(uv_write_t *req, int status);

static void write_out(struct tcp *t)
{
	struct out swap = t->out[0];
	uv_buf_t buf;

	t->out[0] = t->out[1];
	t->out[1] = swap;
	buf = uv_buf_init((char *)t->out[0].p, (unsigned)t->out[0].len);
	t->write_req.data = t;
	t->writing = true;
	t->refs++;
	int rc = uv_write(&t->write_req, &t->h->uv.s, &buf, 1, on_written);
	if (rc != 0) {
		t->writing = false;
		t->refs--;
		fail(t, rc);
	}
}

// Bytes that the peer's kernel has not acknowledged.
static int in_kernel(const struct tcp *t)
{
	int fd, n = 0;

	if (t->eof || uv_fileno(&t->h->uv.h, &fd) != 0 || ioctl(fd, SIOCOUTQ, &n) != 0)
		return 0;
	return n;
}

// Closing a socket that has unread bytes resets it, and with it what the peer was still to get. So
// the owner's last bytes have an end of file behind them, and what the peer sends is thrown away
// until it has seen that.
static void discard(struct tcp *t)
{
	if (!t->shut_sent)
		send_shutdown(t);
	if (uv_read_start(&t->h->uv.s, on_alloc, on_read) != 0)
		finish_close(t);
}

// All is out: give the memory back, then do what waited for it.
static void on_all_out(struct tcp *t)
{
	for (unsigned i = 0; i < 2; i++) {
		free(t->out[i].p);
		t->out[i] = (struct out){NULL, 0, 0};
	}
	if (t->closing && in_kernel(t) > 0)
		discard(t);
	else if (t->closing)
		finish_close(t);
	else if (t->shut && !t->shut_sent)
		send_shutdown(t);
}

static void on_written(uv_write_t *req, int status)
{
	struct tcp *t = req->data;

	t->writing = false;
	t->out[0].len = 0;
	if (t->h == NULL) { // closed meanwhile
		unref(t);
		return;
	}
	if (status != 0) {
		t->out[1].len = 0;
		if (t->closing)
			finish_close(t);
		else
			fail(t, status);
	} else if (t->out[1].len > 0) {
		write_out(t);
	} else {
		on_all_out(t);
	}
	if (!t->closing && t->err == 0 && t->blocked && unsent(t) <= CONN_TCP_OUT_MAX / 2) {
		t->blocked = false;
		if (t->base.ev->drain != NULL)
			t->base.ev->drain(t->base.arg);
	}
	unref(t);
}

// Appends to what collects; returns how much had room.
static size_t collect(struct tcp *t, const uint8_t *p, size_t len)
{
	struct out *o = &t->out[1];
	size_t room = CONN_TCP_OUT_MAX - unsent(t);
	size_t want;

	if (len > room)
		len = room;
	want = o->len + len;
	if (want > o->cap) {
		size_t cap = o->cap > 0 ? o->cap : 4096;
		uint8_t *q;

		while (cap < want)
			cap *= 2;
		q = realloc(o->p, cap);
		if (q == NULL)
			return 0;
		o->p = q;
		o->cap = cap;
	}
	if (len > 0)
		memcpy(o->p + o->len, p, len);
	o->len += len;
	return len;
}

static ssize_t tcp_write(struct conn *c, const void *p, size_t len)
{
	struct tcp *t = tcp_of(c);
	size_t done = 0;

	if (!t->open || t->shut || t->closing || t->err != 0)
		return -EPIPE;
	if (len == 0)
		return 0;
	if (unsent(t) == 0) {
		uv_buf_t buf = uv_buf_init((char *)(uintptr_t)p, (unsigned)len);
		int n = uv_try_write(&t->h->uv.s, &buf, 1);

		if (n < 0 && n != UV_EAGAIN) {
			fail(t, n);
			return -EPIPE;
		}
		done = n > 0 ? (size_t)n : 0;
	}
	done += collect(t, (const uint8_t *)p + done, len - done);
	if (done < len)
		t->blocked = true;
	if (t->out[1].len > 0 && !t->writing)
		write_out(t);
	return (ssize_t)done;
}

static void tcp_shutdown(struct conn *c)
{
	struct tcp *t = tcp_of(c);

	if (!t->open || t->shut || t->err != 0)
		return;
	t->shut = true;
	if (unsent(t) == 0)
		send_shutdown(t);
}

// ---- the end ----

static void on_linger_over(void *arg)
{
	finish_close(arg);
}

static void tcp_close(struct conn *c)
{
	struct tcp *t = tcp_of(c);

	t->closing = true;
	free(t->kept);
	t->kept = NULL;
	uv_freeaddrinfo(t->addrs);
	t->addrs = NULL;
	if (t->h != NULL && t->open && t->err == 0 && (unsent(t) > 0 || in_kernel(t) > 0)) {
		loop_timer_free(t->timer);
		uv_read_stop(&t->h->uv.s);
		t->timer = loop_timer_new(t->l, on_linger_over, t);
		if (t->timer != NULL) {
			loop_timer_start(t->timer, CONN_TCP_LINGER_MS, 0);
			loop_rest_add(t->l, &t->rest, on_linger_over, t);
			if (unsent(t) == 0)
				discard(t);
			return;
		}
	}
	finish_close(t);
}

static void give_kept(struct tcp *t)
{
	uint8_t *buf = t->kept;
	size_t left;

	if (buf == NULL)
		return;
	t->kept = NULL; // the owner may close
	left = deliver(t, buf + t->kept_ofs, t->kept_len);
	if (left == 0) {
		free(buf);
		return;
	}
	t->kept = buf;
	t->kept_ofs += t->kept_len - left;
	t->kept_len = left;
}

// What had to wait until nobody is in a call: an error, or bytes that are wanted now.
static void on_deferred(void *arg)
{
	struct tcp *t = arg;

	t->deferred = false;
	if (t->closing) {
		unref(t);
		return;
	}
	if (t->err != 0) {
		if (!t->told) {
			t->told = true;
			t->base.ev->end(t->base.arg, t->err);
		}
	} else if (t->resumed) {
		t->resumed = false;
		give_kept(t);
		if (t->kept == NULL && !t->closing && t->err == 0 && !t->eof && t->open)
			read_on(t);
	}
	unref(t);
}

static void defer(struct tcp *t)
{
	if (t->deferred)
		return;
	t->refs++;
	t->deferred = true;
	if (loop_defer(t->l, on_deferred, t) != 0) {
		t->deferred = false;
		t->refs--;
	}
}

// ---- making ----

static const struct conn_ops ops = {
	.write = tcp_write,
	.shutdown = tcp_shutdown,
	.resume = tcp_resume,
	.close = tcp_close,
};

static struct tcp *tcp_new(
	struct loop *l, const struct conn_tcp_opts *opts, const struct conn_events *ev, void *arg)
{
	struct tcp *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->base = (struct conn){.ops = &ops, .ev = ev, .arg = arg};
	t->l = l;
	t->refs = 1; // the owner's
	t->read_len = CONN_TCP_READ_MIN;
	if (opts != NULL)
		t->opts = *opts;
	return t;
}

static void take_handle(struct tcp *t, struct conn_handle *h)
{
	t->h = h;
	h->owner = t;
	t->open = true;
	set_opts(h, &t->opts);
}

struct conn *conn_tcp_from_handle(struct loop *l, struct conn_handle *take_h,
	const struct conn_tcp_opts *opts, const struct conn_events *ev, void *arg)
{
	struct tcp *t = tcp_new(l, opts, ev, arg);

	if (t == NULL) {
		conn_handle_close(take_h);
		return errno_null(ENOMEM);
	}
	take_handle(t, take_h);
	// Reading begins when the owner has had the time to say whom the events go to.
	tcp_resume(&t->base);
	return &t->base;
}

struct conn *conn_tcp_adopt(struct loop *l, int take_fd, const struct conn_tcp_opts *opts,
	const struct conn_events *ev, void *arg)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	struct conn_handle *h = NULL;
	int rc = getsockname(take_fd, (struct sockaddr *)&addr, &len) != 0 ? -errno : 0;

	if (rc == 0) {
		h = conn_handle_new(l, addr.ss_family == AF_UNIX);
		rc = h == NULL ? -errno : 0;
	}
	if (rc == 0)
		rc = h->is_unix ? uv_pipe_open(&h->uv.pipe, take_fd)
				: uv_tcp_open(&h->uv.tcp, take_fd);
	if (rc != 0) {
		close(take_fd);
		conn_handle_close(h);
		return errno_null(rc);
	}
	return conn_tcp_from_handle(l, h, opts, ev, arg);
}

int conn_tcp_release(struct conn *c, uint8_t **bytes, size_t *len)
{
	struct tcp *t = tcp_of(c);
	int fd, copy;

	if (!t->open || t->shut || t->eof || t->err != 0 || unsent(t) > 0)
		return -EBUSY;
	if (uv_fileno(&t->h->uv.h, &fd) != 0)
		return -EBADF;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0); // libuv closes its own
	if (copy < 0)
		return -errno;
	conn_handle_close(t->h);
	t->h = NULL;
	t->open = false;
	if (t->kept != NULL)
		memmove(t->kept, t->kept + t->kept_ofs, t->kept_len);
	*bytes = t->kept;
	*len = t->kept != NULL ? t->kept_len : 0;
	t->kept = NULL;
	return copy;
}

int conn_handle_remote(const struct conn_handle *h, struct sockaddr_storage *addr)
{
	int len = sizeof(*addr);

	memset(addr, 0, sizeof(*addr));
	addr->ss_family = AF_UNIX;
	if (h->is_unix)
		return 0;
	return uv_tcp_getpeername(&h->uv.tcp, (struct sockaddr *)addr, &len);
}

int conn_tcp_remote(const struct conn *c, struct sockaddr_storage *addr)
{
	const struct tcp *t = (const struct tcp *)c;

	return t->h == NULL || !t->open ? -ENOTCONN : conn_handle_remote(t->h, addr);
}

int conn_tcp_local(const struct conn *c, struct sockaddr_storage *addr)
{
	const struct tcp *t = (const struct tcp *)c;
	int len = sizeof(*addr);

	memset(addr, 0, sizeof(*addr));
	if (t->h == NULL || !t->open || t->h->is_unix)
		return -ENOTCONN;
	return uv_tcp_getsockname(&t->h->uv.tcp, (struct sockaddr *)addr, &len);
}

// ---- dialling ----

static void on_connect(uv_connect_t *req, int status)
{
	struct conn_handle *h = req->data;
	struct tcp *t = h->owner;

	if (t == NULL || t->closing || t->err != 0)
		return; // given up; the handle is closed by whoever did
	if (status != 0) {
		t->dial_err = status;
		conn_handle_close(h);
		t->h = NULL;
		dial_next(t);
		return;
	}
	loop_timer_free(t->timer);
	t->timer = NULL;
	uv_freeaddrinfo(t->addrs);
	t->addrs = t->next_addr = NULL;
	take_handle(t, h);
	tcp_resume(&t->base);
	if (t->base.ev->open != NULL)
		t->base.ev->open(t->base.arg);
}

// Tries the next address; there is none: that was it.
static void dial_next(struct tcp *t)
{
	while (t->next_addr != NULL) {
		const struct addrinfo *a = t->next_addr;

		t->next_addr = a->ai_next;
		t->h = conn_handle_new(t->l, false);
		if (t->h == NULL)
			break;
		t->h->owner = t;
		t->h->connect.data = t->h;
		t->dial_err = uv_tcp_connect(&t->h->connect, &t->h->uv.tcp, a->ai_addr, on_connect);
		if (t->dial_err == 0)
			return;
		conn_handle_close(t->h);
		t->h = NULL;
	}
	fail(t, t->dial_err != 0 ? t->dial_err : -ENOENT);
}

static void on_name(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
	struct tcp *t = req->data;

	if (t->closing || t->err != 0) {
		uv_freeaddrinfo(res);
	} else if (status != 0) {
		fail(t, status == UV_EAI_MEMORY ? -ENOMEM : -ENOENT);
	} else {
		t->addrs = t->next_addr = res;
		dial_next(t);
	}
	unref(t);
}

static void on_dial_late(void *arg)
{
	struct tcp *t = arg;

	if (t->h != NULL) {
		conn_handle_close(t->h);
		t->h = NULL;
	}
	fail(t, -ETIMEDOUT);
}

static int dial_unix(struct tcp *t, const char *path)
{
	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path) || *path == '\0')
		return -EINVAL;
	t->h = conn_handle_new(t->l, true);
	if (t->h == NULL)
		return -errno;
	t->h->owner = t;
	t->h->connect.data = t->h;
	uv_pipe_connect(&t->h->connect, &t->h->uv.pipe, path, on_connect);
	return 0;
}

static int dial_tcp(struct tcp *t, const char *where)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	char host[256], port[6];
	int rc;

	if (!conn_tcp_split(where, host, port))
		return -EINVAL;
	t->name.data = t;
	t->refs++;
	rc = uv_getaddrinfo(loop_uv(t->l), &t->name, on_name, host, port, &hints);
	if (rc != 0)
		t->refs--;
	return rc;
}

static int dial_from(struct tcp *t, const struct sockaddr *from, const struct sockaddr *to)
{
	int rc;

	t->h = conn_handle_new(t->l, false);
	if (t->h == NULL)
		return -errno;
	t->h->owner = t;
	t->h->connect.data = t->h;
	rc = uv_tcp_bind(&t->h->uv.tcp, from, 0);
	return rc != 0 ? rc : uv_tcp_connect(&t->h->connect, &t->h->uv.tcp, to, on_connect);
}

static struct tcp *dial_new(
	struct loop *l, const struct conn_tcp_opts *opts, const struct conn_events *ev, void *arg)
{
	struct tcp *t = tcp_new(l, opts, ev, arg);

	if (t == NULL)
		return NULL;
	t->timer = loop_timer_new(l, on_dial_late, t);
	if (t->timer != NULL)
		return t;
	free(t);
	return errno_null(ENOMEM);
}

// rc: of the beginning.
static struct conn *dial_begun(struct tcp *t, int rc, uint32_t timeout_ms)
{
	if (rc != 0) {
		loop_timer_free(t->timer);
		conn_handle_close(t->h);
		free(t);
		return errno_null(rc);
	}
	loop_timer_start(t->timer, timeout_ms, 0);
	return &t->base;
}

struct conn *conn_tcp_dial(struct loop *l, const char *where, uint32_t timeout_ms,
	const struct conn_tcp_opts *opts, const struct conn_events *ev, void *arg)
{
	struct tcp *t = dial_new(l, opts, ev, arg);
	bool is_unix = strncmp(where, "unix:", 5) == 0;

	if (t == NULL)
		return NULL;
	return dial_begun(t, is_unix ? dial_unix(t, where + 5) : dial_tcp(t, where), timeout_ms);
}

struct conn *conn_tcp_dial_from(struct loop *l, const struct sockaddr *from,
	const struct sockaddr *to, uint32_t timeout_ms, const struct conn_tcp_opts *opts,
	const struct conn_events *ev, void *arg)
{
	struct tcp *t = dial_new(l, opts, ev, arg);

	return t != NULL ? dial_begun(t, dial_from(t, from, to), timeout_ms) : NULL;
}
