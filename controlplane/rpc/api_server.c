// The API socket (lib/api/api.h draws the frames). Each client has one request in work; while it
// is, nothing more is read from that client, so the kernel's socket buffer is the queue. What waits
// to be written is bounded: lists that can be long (rules, routes, all that is of each transport)
// pause, and a client that takes nothing for a while is
// closed. What the requests do is in api_handlers.c.
#include "controlplane/rpc/api_server.h"

#include "lib/api/api_field.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

LOG_MODULE("api");

enum { IN_FIRST = 4096, CHUNK = 256 << 10, TICK_MS = 1000, BACKLOG = 16 };

struct buf {
	uint8_t *p;
	size_t len;
	size_t cap;
};

struct client {
	struct api_req req; // first: sinks cast back
	struct api_server *s;
	uv_pipe_t pipe;
	uv_write_t write;
	struct api_frame f; // of the request in work
	struct buf in;
	struct buf out; // waits to be written
	struct buf flying; // being written
	uint64_t since_ms; // of the state that has a deadline
	uint32_t rights;
	bool helloed;
	bool reading;
	bool writing;
	bool closing;
	bool doomed; // nothing more is written; on_soon() closes it
	bool hang_up; // close when all is written
	bool in_loop; // process_input() is on the stack
	bool watch; // reads only to hear that the client goes away
	api_stream_fn stream_fn; // gets the connection once all is written
	void *stream_arg;
	bool ended; // a request that pended; on_soon() goes on with the next one
	struct client *next;
};

struct api_server {
	struct api_server_conf conf;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	uv_pipe_t listener;
	struct loop_timer *tick;
	struct loop_timer *soon;
	struct client *clients;
	struct api_server_stats stats;
	bool closing;
	bool listener_open;
	bool client_waits; // for memory
};

static void process_input(struct client *c);
static void start_write(struct client *c);

static uint64_t now_ms(void)
{
	return clock_mono_ns() / CLOCK_NS_PER_MS;
}

// ---- life of a client ----

static void maybe_free_server(struct api_server *s)
{
	if (s->closing && s->clients == NULL && !s->listener_open)
		free(s);
}

static void on_client_closed(uv_handle_t *h)
{
	struct client *c = h->data;
	struct api_server *s = c->s;
	struct client **pp = &s->clients;

	while (*pp != c)
		pp = &(*pp)->next;
	*pp = c->next;
	s->stats.clients--;
	free(c->in.p);
	free(c->out.p);
	free(c->flying.p);
	free(c);
	maybe_free_server(s);
}

static void client_close(struct client *c)
{
	if (c->closing)
		return;
	c->closing = true;
	api_req_cancelled(&c->req);
	uv_close((uv_handle_t *)&c->pipe, on_client_closed);
	if (c->stream_fn != NULL)
		c->stream_fn(c->stream_arg, -ECONNRESET);
}

static void come_back_soon(const struct api_server *s)
{
	if (s->soon != NULL && !loop_timer_is_on(s->soon))
		loop_timer_start(s->soon, 0, 0);
}

// Whoever answers is in the middle of something, and cancel() would free it under his hands.
static void client_doom(struct client *c)
{
	c->doomed = true;
	come_back_soon(c->s);
}

// The connection lives on in a descriptor of its own; what the client has sent before it was told
// so would be lost, and breaks the protocol.
static void hand_over(struct client *c)
{
	api_stream_fn fn = c->stream_fn;
	uv_os_fd_t fd;
	int copy = -1;

	if (c->in.len == 0 && uv_fileno((uv_handle_t *)&c->pipe, &fd) == 0)
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy >= 0)
		c->stream_fn = NULL;
	client_close(c);
	if (copy >= 0)
		fn(c->stream_arg, copy);
}

// ---- output ----

static int buf_add(struct buf *b, const void *p, size_t len)
{
	if (len == 0)
		return 0;
	if (b->len + len > b->cap) {
		size_t cap = b->cap == 0 ? IN_FIRST : b->cap;
		uint8_t *q;

		while (cap < b->len + len)
			cap *= 2;
		q = realloc(b->p, cap);
		if (q == NULL)
			return -ENOMEM;
		b->p = q;
		b->cap = cap;
	}
	memcpy(b->p + b->len, p, len);
	b->len += len;
	return 0;
}

static void on_written(uv_write_t *w, int status)
{
	struct client *c = w->data;

	c->writing = false;
	if (c->closing)
		return;
	if (status < 0 || c->doomed) {
		client_close(c);
		return;
	}
	c->flying.len = 0;
	c->since_ms = now_ms();
	if (c->out.len > 0)
		start_write(c);
	else if (c->stream_fn != NULL)
		hand_over(c);
	else if (c->hang_up)
		client_close(c);
	if (!c->closing && c->out.len < API_OUT_FULL)
		api_req_resumed(&c->req);
}

static void start_write(struct client *c)
{
	struct buf free_buf = c->flying;
	uv_buf_t b;

	if (c->writing || c->closing || c->doomed || c->out.len == 0)
		return;
	c->flying = c->out;
	c->out = free_buf;
	c->out.len = 0;
	c->writing = true;
	c->since_ms = now_ms();
	c->write.data = c;
	b = uv_buf_init((char *)c->flying.p, (unsigned)c->flying.len);
	if (uv_write(&c->write, (uv_stream_t *)&c->pipe, &b, 1, on_written) < 0) {
		c->writing = false;
		client_doom(c);
	}
}

static void put_frame(struct client *c, uint16_t flags, int status, const void *p, size_t len)
{
	struct api_frame f = c->f;

	f.len = (uint32_t)(sizeof(f) + len);
	f.flags = flags;
	f.status = status;
	if (c->closing || c->doomed)
		return;
	if (len > API_FRAME_MAX - sizeof(f) || c->out.len + f.len > API_OUT_MAX ||
		buf_add(&c->out, &f, sizeof(f)) < 0 || buf_add(&c->out, p, len) < 0) {
		log_limited(LOG_WARN, "answer dropped: client holds %zu bytes", c->out.len);
		client_doom(c);
		return;
	}
	if (c->out.len >= CHUNK || !(flags & API_MORE))
		start_write(c);
}

static void sink_record(struct api_req *r, const void *rec, size_t len)
{
	put_frame(container_of(r, struct client, req), API_MORE, 0, rec, len);
}

static void sink_end(struct api_req *r, int status, const void *payload, size_t len)
{
	struct client *c = container_of(r, struct client, req);

	c->watch = false;
	put_frame(c, 0, status, payload, len);
	if (c->in_loop)
		return;
	// whoever ends a request is in the middle of something: the next one waits for the loop
	c->ended = true;
	come_back_soon(c->s);
}

static void set_reading(struct client *c, bool on);

static void sink_watch(struct api_req *r)
{
	struct client *c = container_of(r, struct client, req);

	c->watch = true;
	set_reading(c, true);
}

static void sink_stream(
	struct api_req *r, const void *payload, size_t len, api_stream_fn fn, void *arg)
{
	struct client *c = container_of(r, struct client, req);

	c->watch = false;
	c->hang_up = true; // no request comes after it
	set_reading(c, false);
	c->stream_fn = fn; // when it is written
	c->stream_arg = arg;
	put_frame(c, 0, 0, payload, len);
}

static bool sink_is_full(const struct api_req *r)
{
	const struct client *c = container_of(r, struct client, req);

	return c->out.len >= API_OUT_FULL;
}

static const struct api_sink sink = {sink_record, sink_end, sink_is_full, sink_watch, sink_stream};

// ---- requests ----

static const struct api_method *method_find(const struct api_server *s, uint16_t type)
{
	for (size_t i = 0; i < s->conf.n_methods; i++)
		if (s->conf.methods[i].type == type)
			return &s->conf.methods[i];
	return NULL;
}

static void on_hello(struct client *c, const void *payload, size_t len)
{
	struct api_welcome w = {.version = API_VERSION, .rights = c->rights};
	struct api_hello h;

	if (len != sizeof(h)) {
		api_req_fail(&c->req, -EBADMSG, "hello of %zu bytes: not a client of skyrail", len);
		c->hang_up = true;
		return;
	}
	memcpy(&h, payload, sizeof(h));
	if (h.version != API_VERSION) {
		api_req_fail(&c->req, -EPROTO,
			"this control plane speaks API %d, the client %u: install the same version",
			API_VERSION, h.version);
		c->hang_up = true;
		return;
	}
	c->helloed = true;
	snprintf(w.node, sizeof(w.node), "%s", c->s->conf.node);
	api_req_end(&c->req, &w, sizeof(w));
}

static void on_request(struct client *c, const void *payload, size_t len)
{
	struct api_server *s = c->s;
	const struct api_method *m;

	s->stats.requests++;
	c->req.busy = true;
	c->req.rights = c->rights;
	if (c->f.type == API_HELLO) {
		on_hello(c, payload, len);
		return;
	}
	if (!c->helloed) {
		api_req_fail(&c->req, -EPROTO, "say hello first");
		c->hang_up = true;
		return;
	}
	m = method_find(s, c->f.type);
	if (m == NULL) {
		api_req_fail(&c->req, -EOPNOTSUPP, "request type %u is unknown here", c->f.type);
	} else if ((m->rights & c->rights) != m->rights) {
		s->stats.denied++;
		api_req_fail(&c->req, -EACCES,
			"%s is not allowed to this user: see [node] api_rights", m->name);
	} else if (len < m->min_len || len > m->max_len) {
		s->stats.bad_frames++;
		api_req_fail(&c->req, -EBADMSG, "%s: %zu bytes, must be %u to %u", m->name, len,
			m->min_len, m->max_len);
	} else {
		m->fn(s->conf.ctx, &c->req, payload, len);
	}
}

// One whole frame at p? Its length, 0 when more bytes are needed, negative when it is none.
static ssize_t frame_at(struct client *c, const uint8_t *p, size_t have, struct api_frame *f)
{
	if (have < sizeof(*f))
		return 0;
	memcpy(f, p, sizeof(*f));
	if (api_frame_check(f) < 0) {
		c->s->stats.bad_frames++;
		return -EBADMSG;
	}
	return have < f->len ? 0 : (ssize_t)f->len;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);
static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf);

static void set_reading(struct client *c, bool on)
{
	if (c->closing || on == c->reading)
		return;
	c->reading = on;
	if (!on)
		uv_read_stop((uv_stream_t *)&c->pipe);
	else if (uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) < 0)
		client_doom(c);
}

static void process_input(struct client *c)
{
	size_t used = 0;

	c->in_loop = true;
	while (!c->closing && !c->doomed && !c->req.busy && !c->hang_up) {
		ssize_t n = frame_at(c, c->in.p + used, c->in.len - used, &c->f);

		if (n < 0)
			client_close(c);
		if (n <= 0)
			break;
		on_request(c, c->in.p + used + sizeof(c->f), (size_t)n - sizeof(c->f));
		used += (size_t)n;
	}
	c->in_loop = false;
	if (c->closing || c->doomed)
		return;
	if (used > 0) {
		memmove(c->in.p, c->in.p + used, c->in.len - used);
		c->in.len -= used;
		c->since_ms = now_ms();
	}
	set_reading(c, (!c->req.busy || c->watch) && !c->hang_up);
}

static void on_soon(void *arg)
{
	struct api_server *s = arg;

	for (struct client *c = s->clients; c != NULL; c = c->next) {
		bool ended = c->ended;

		c->ended = false;
		if (c->doomed)
			client_close(c);
		else if (ended)
			process_input(c);
	}
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct client *c = h->data;
	struct api_frame f = {.len = 0};
	size_t want = IN_FIRST;

	// room for the frame that was begun, never for more than the largest one
	if (c->in.len >= sizeof(f))
		memcpy(&f, c->in.p, sizeof(f));
	if (f.len > want && f.len <= API_FRAME_MAX)
		want = f.len;
	if (want < c->in.len + 1)
		want = c->in.len + IN_FIRST;
	if (want > c->in.cap) {
		uint8_t *p = realloc(c->in.p, want);

		if (p == NULL) {
			*buf = uv_buf_init(NULL, 0);
			return;
		}
		c->in.p = p;
		c->in.cap = want;
	}
	*buf = uv_buf_init((char *)c->in.p + c->in.len, (unsigned)(c->in.cap - c->in.len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *c = stream->data;

	if (c->closing || n == 0)
		return;
	if (n < 0 || c->watch) { // who is waited for has nothing to say
		client_close(c);
		return;
	}
	if (c->in.len == 0)
		c->since_ms = now_ms();
	c->in.len += (size_t)n;
	process_input(c);
}

// ---- listening ----

// Root or our own user?
static bool is_own(const uv_pipe_t *pipe)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	uv_os_fd_t fd;

	return uv_fileno((const uv_handle_t *)pipe, &fd) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
	       (cred.uid == 0 || cred.uid == geteuid());
}

// libuv listens no further before the connection that it tells of is taken.
static void take_client(struct api_server *s)
{
	struct client *c = calloc(1, sizeof(*c));
	bool own;

	s->client_waits = c == NULL || uv_pipe_init(loop_uv(s->conf.loop), &c->pipe, 0) < 0;
	if (s->client_waits) { // on_tick() takes it
		log_limited(LOG_WARN, "a client waits: out of memory");
		free(c);
		return;
	}
	c->s = s;
	c->req.sink = &sink;
	c->pipe.data = c;
	c->since_ms = now_ms();
	c->next = s->clients;
	s->clients = c;
	s->stats.clients++;
	if (uv_accept((uv_stream_t *)&s->listener, (uv_stream_t *)&c->pipe) < 0) {
		client_close(c);
		return;
	}
	own = is_own(&c->pipe);
	c->rights = own ? API_RIGHT_SHOW | API_RIGHT_CHANGE : s->conf.group_rights;
	if (s->stats.clients > (own ? API_CLIENTS_MAX : API_GROUP_CLIENTS_MAX)) {
		s->stats.refused++;
		log_limited(
			LOG_WARN, "client refused: %u are connected already", s->stats.clients - 1);
		client_close(c);
		return;
	}
	s->stats.accepted++;
	set_reading(c, true);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct api_server *s = listener->data;

	if (status == 0 && !s->closing)
		take_client(s);
}

static void on_tick(void *arg)
{
	struct api_server *s = arg;
	uint64_t now = now_ms();
	struct client *next;

	if (s->client_waits)
		take_client(s);
	for (struct client *c = s->clients; c != NULL; c = next) {
		uint64_t idle = now - c->since_ms;

		next = c->next;
		if (c->closing)
			continue;
		if ((!c->helloed && idle >= API_HELLO_MS) || (c->writing && idle >= API_STALL_MS) ||
			(c->in.len > 0 && !c->req.busy && idle >= API_STALL_MS)) {
			s->stats.stalled++;
			client_close(c);
		}
	}
}

// A socket file that nobody listens on is left over from a process that died.
static int remove_stale(const char *path, char *err, size_t err_len)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct stat st;
	int fd, rc;

	if (lstat(path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(err, err_len, "%s is no socket: remove it or set [node] run_dir", path);
		return -EEXIST;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	rc = connect(fd, (const struct sockaddr *)&sa, sizeof(sa));
	close(fd);
	if (rc == 0) {
		snprintf(err, err_len,
			"a control plane serves %s already: stop it, or set another [node] run_dir",
			path);
		return -EADDRINUSE;
	}
	unlink(path);
	return 0;
}

static int listen_at(struct api_server *s, char *err, size_t err_len)
{
	mode_t old;
	int rc;

	rc = remove_stale(s->path, err, err_len);
	if (rc < 0)
		return rc;
	rc = uv_pipe_init(loop_uv(s->conf.loop), &s->listener, 0);
	if (rc < 0)
		return rc;
	s->listener_open = true;
	s->listener.data = s;
	// never open to others, not even for a moment
	old = umask(0117);
	rc = uv_pipe_bind(&s->listener, s->path);
	umask(old);
	if (rc < 0) {
		snprintf(err, err_len, "%s: %s: set [node] run_dir to a directory that exists",
			s->path, uv_strerror(rc));
		return rc;
	}
	if (s->conf.group != (gid_t)-1 && chown(s->path, (uid_t)-1, s->conf.group) < 0)
		log_warn("socket=%s could not be given to group %u: %s; only this user may use it",
			s->path, (unsigned)s->conf.group, strerror(errno));
	rc = uv_listen((uv_stream_t *)&s->listener, BACKLOG, on_connection);
	if (rc < 0)
		snprintf(err, err_len, "listen on %s: %s", s->path, uv_strerror(rc));
	return rc;
}

struct api_server *api_server_new(const struct api_server_conf *conf, char *err, size_t err_len)
{
	struct api_server *s;
	int rc = -ENOMEM;

	snprintf(err, err_len, "out of memory");
	if (strlen(conf->path) >= sizeof(s->path)) {
		snprintf(err, err_len, "socket path %s is too long: shorten [node] run_dir",
			conf->path);
		errno = ENAMETOOLONG;
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->conf = *conf;
	snprintf(s->path, sizeof(s->path), "%s", conf->path);
	s->conf.path = s->path;
	s->tick = loop_timer_new(conf->loop, on_tick, s);
	s->soon = loop_timer_new(conf->loop, on_soon, s);
	if (s->tick != NULL && s->soon != NULL)
		rc = listen_at(s, err, err_len);
	if (rc < 0) {
		api_server_free(s);
		errno = -rc;
		return NULL;
	}
	if (s->conf.tick_ms == 0)
		s->conf.tick_ms = TICK_MS;
	loop_timer_start(s->tick, s->conf.tick_ms, s->conf.tick_ms);
	return s;
}

static void on_listener_closed(uv_handle_t *h)
{
	struct api_server *s = h->data;

	s->listener_open = false;
	maybe_free_server(s);
}

void api_server_free(struct api_server *s)
{
	if (s == NULL)
		return;
	s->closing = true;
	loop_timer_free(s->tick);
	loop_timer_free(s->soon);
	s->soon = NULL;
	for (struct client *c = s->clients; c != NULL; c = c->next)
		client_close(c);
	if (s->listener_open)
		uv_close((uv_handle_t *)&s->listener, on_listener_closed); // unlinks the path
	else
		maybe_free_server(s);
}

void api_server_stats_get(const struct api_server *s, struct api_server_stats *out)
{
	*out = s->stats;
}
