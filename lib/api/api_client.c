// Blocking client of the API socket: connect, hello, call, stream of records. It keeps nothing of
// an answer but the frame in hand, so a list of millions of rules takes constant memory. No
// printing.
#include "lib/api/api_client.h"

#include "lib/api/api_field.h"
#include "lib/api/api_rec.h"
#include "lib/base/err.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { TIMEOUT_MS = 5000, BUF_LEN = 64 * 1024 };

struct api_client {
	int fd;
	int timeout_ms;
	uint32_t next_id;
	struct api_welcome welcome;
	char error[API_TEXT_MAX];
	size_t have; // bytes in buf
	size_t used; // of those, taken
	uint8_t *buf; // grows to the largest frame seen
	size_t cap;
};

static int fail(struct api_client *c, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int fail(struct api_client *c, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->error, sizeof(c->error), fmt, ap);
	va_end(ap);
	return err;
}

static int wait_fd(struct api_client *c, short events)
{
	struct pollfd p = {.fd = c->fd, .events = events};
	int n;

	do {
		n = poll(&p, 1, c->timeout_ms);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return fail(c, -errno, "poll: %s", strerror(errno));
	if (n == 0)
		return fail(c, -ETIMEDOUT, "the control plane did not answer within %d ms",
			c->timeout_ms);
	return 0;
}

static int send_all(struct api_client *c, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0) {
		ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			int rc = wait_fd(c, POLLOUT);

			if (rc < 0)
				return rc;
			continue;
		}
		if (n < 0)
			return fail(c, -errno, "the control plane closed the connection: %s",
				strerror(errno));
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

// At least `need` unread bytes in buf.
static int fill(struct api_client *c, size_t need)
{
	if (c->used > 0) {
		memmove(c->buf, c->buf + c->used, c->have - c->used);
		c->have -= c->used;
		c->used = 0;
	}
	if (need > c->cap) {
		uint8_t *p = realloc(c->buf, need);

		if (p == NULL)
			return fail(c, -ENOMEM, "out of memory");
		c->buf = p;
		c->cap = need;
	}
	while (c->have < need) {
		ssize_t n = recv(c->fd, c->buf + c->have, c->cap - c->have, 0);
		int rc;

		if (n > 0) {
			c->have += (size_t)n;
			continue;
		}
		if (n == 0)
			return fail(c, -ECONNRESET, "the control plane closed the connection");
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return fail(
				c, -errno, "reading from the control plane: %s", strerror(errno));
		rc = wait_fd(c, POLLIN);
		if (rc < 0)
			return rc;
	}
	return 0;
}

// The next frame; its payload stays in the buffer until the next call.
static int next_frame(struct api_client *c, struct api_frame *f, const uint8_t **payload)
{
	int rc;

	if (c->have - c->used < sizeof(*f)) {
		rc = fill(c, sizeof(*f));
		if (rc < 0)
			return rc;
	}
	memcpy(f, c->buf + c->used, sizeof(*f));
	if (api_frame_check(f) < 0)
		return fail(c, -EPROTO, "not an API of skyrail: a frame of %u bytes", f->len);
	if (c->have - c->used < f->len) {
		rc = fill(c, f->len);
		if (rc < 0)
			return rc;
	}
	*payload = c->buf + c->used + sizeof(*f);
	c->used += f->len;
	return 0;
}

static int ended(struct api_client *c, const struct api_frame *f, const uint8_t *payload)
{
	size_t len = f->len - sizeof(*f);

	if (f->status == 0)
		return 0;
	if (f->status > 0 || f->status < -4095)
		return fail(c, -EPROTO, "not an API of skyrail: status %d", f->status);
	if (len == 0)
		return fail(c, f->status, "%s", strerror(-f->status));
	return fail(c, f->status, "%.*s", (int)strnlen((const char *)payload, len),
		(const char *)payload);
}

int api_client_call(struct api_client *c, uint16_t type, const void *payload, size_t len,
	api_client_cb cb, void *ctx)
{
	struct api_frame f = {.type = type, .id = ++c->next_id};
	const uint8_t *p = NULL;
	int rc;

	if (len > API_FRAME_MAX - sizeof(f))
		return fail(
			c, -EMSGSIZE, "request of %zu bytes: the limit is %d", len, API_FRAME_MAX);
	f.len = (uint32_t)(sizeof(f) + len);
	rc = send_all(c, &f, sizeof(f));
	if (rc == 0 && len > 0)
		rc = send_all(c, payload, len);
	for (;;) {
		if (rc == 0)
			rc = next_frame(c, &f, &p);
		if (rc < 0)
			return rc;
		if (f.type != type || f.id != c->next_id)
			return fail(c, -EPROTO, "the control plane answered another request");
		if (!(f.flags & API_MORE)) {
			rc = ended(c, &f, p);
			if (rc < 0)
				return rc;
		}
		if (cb != NULL && f.len > sizeof(f))
			rc = cb(ctx, f.flags & API_MORE, p, f.len - sizeof(f));
		if (rc < 0)
			return fail(c, rc, "%s", strerror(-rc));
		if (!(f.flags & API_MORE))
			return 0;
	}
}

struct get {
	void *out;
	size_t cap;
	size_t got;
};

static int get_one(void *ctx, int more, const void *payload, size_t len)
{
	struct get *g = ctx;

	if (len < g->cap)
		return -EPROTO;
	memcpy(g->out, payload, g->cap);
	g->got = g->cap;
	return 0;
}

int api_client_get(
	struct api_client *c, uint16_t type, const void *payload, size_t len, void *out, size_t cap)
{
	struct get g = {.out = out, .cap = cap};
	int rc = api_client_call(c, type, payload, len, get_one, &g);

	if (rc == 0 && g.got == 0)
		return fail(c, -EPROTO, "the control plane sent an empty answer");
	return rc;
}

static int dial(struct api_client *c, const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(sa.sun_path))
		return fail(c, -ENAMETOOLONG, "socket path %s is longer than %zu bytes", path,
			sizeof(sa.sun_path) - 1);
	strcpy(sa.sun_path, path);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return fail(c, -errno, "socket: %s", strerror(errno));
	if (connect(c->fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0)
		return 0;
	if (errno == EACCES || errno == EPERM)
		return fail(c, -EACCES, "may not open %s: join the group that owns it, or be root",
			path);
	if (errno == ENOENT || errno == ECONNREFUSED)
		return fail(c, -errno,
			"no control plane at %s: start skyrail-controlplane, or name its socket",
			path);
	return fail(c, -errno, "%s: %s", path, strerror(errno));
}

int api_client_open(
	struct api_client **out, const char *path, int timeout_ms, char err[API_TEXT_MAX])
{
	struct api_client *c = calloc(1, sizeof(*c));
	struct api_hello hello = {.version = API_VERSION};
	int rc;

	*out = NULL;
	if (c == NULL || (c->buf = malloc(BUF_LEN)) == NULL) {
		free(c);
		snprintf(err, API_TEXT_MAX, "out of memory");
		return -ENOMEM;
	}
	c->cap = BUF_LEN;
	c->timeout_ms = timeout_ms > 0 ? timeout_ms : TIMEOUT_MS;
	c->fd = -1;
	rc = dial(c, path);
	if (rc == 0)
		rc = api_client_get(
			c, API_HELLO, &hello, sizeof(hello), &c->welcome, sizeof(c->welcome));
	if (rc < 0) {
		memcpy(err, c->error, API_TEXT_MAX);
		api_client_free(c);
		return rc;
	}
	c->welcome.node[API_NAME_LEN - 1] = '\0';
	*out = c;
	return 0;
}

void api_client_free(struct api_client *c)
{
	if (c == NULL)
		return;
	if (c->fd >= 0)
		close(c->fd);
	free(c->buf);
	free(c);
}

static int on_node(void *ctx, int more, const void *payload, size_t len)
{
	int rc = api_record_take(ctx, sizeof(struct api_node), more, payload, len);

	return rc < 0 ? rc : 0;
}

int api_client_node(struct api_client *c, struct api_node *out)
{
	memset(out, 0, sizeof(*out));
	return api_client_call(c, API_NODE, NULL, 0, on_node, out);
}

const char *api_client_error(const struct api_client *c)
{
	return c->error;
}

int api_client_take_fd(struct api_client *c, const uint8_t **first, size_t *first_len)
{
	int fd = c->fd;

	*first = c->buf + c->used;
	*first_len = c->have - c->used;
	c->fd = -1;
	return fd;
}

void api_client_timeout(struct api_client *c, int timeout_ms)
{
	c->timeout_ms = timeout_ms > 0 ? timeout_ms : TIMEOUT_MS;
}
