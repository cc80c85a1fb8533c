// Listening sockets. Each connection becomes a conn and is handed over at once; who may come and
// how many is the owner's decision.
#include "controlplane/core/conn_tcp_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "lib/api/api_field.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

LOG_MODULE("conn");

enum { AGAIN_MS = 100 };

struct conn_listener {
	struct loop *l;
	struct conn_handle *h;
	struct loop_timer *again; // a connection waits for memory
	struct conn_tcp_opts opts;
	conn_accept_fn fn;
	void *arg;
};

// libuv listens no further before the connection that it tells of is taken.
static void take(struct conn_listener *cl)
{
	struct conn_handle *h = conn_handle_new(cl->l, cl->h->is_unix);
	struct sockaddr_storage from;
	struct conn *c;

	if (h == NULL) {
		log_limited(LOG_WARN, "a connection waits: %s", strerror(errno));
		loop_timer_start(cl->again, AGAIN_MS, 0);
		return;
	}
	// A peer that is gone already has no address.
	if (uv_accept(&cl->h->uv.s, &h->uv.s) != 0 || conn_handle_remote(h, &from) != 0) {
		conn_handle_close(h);
		return;
	}
	c = conn_tcp_from_handle(cl->l, h, &cl->opts, NULL, NULL);
	if (c != NULL)
		cl->fn(cl->arg, c, &from);
}

static void on_again(void *arg)
{
	take(arg);
}

static void on_connection(uv_stream_t *s, int status)
{
	struct conn_listener *cl = ((struct conn_handle *)s->data)->owner;

	if (status == 0 && cl != NULL) // else nothing that a later connection would not show again
		take(cl);
}

static int bind_to(struct conn_handle *h, const struct sockaddr *addr)
{
	if (h->is_unix)
		return uv_pipe_bind(&h->uv.pipe, ((const struct sockaddr_un *)addr)->sun_path);
	return uv_tcp_bind(&h->uv.tcp, addr, 0);
}

struct conn_listener *conn_listen(struct loop *l, const struct sockaddr *addr,
	const struct conn_tcp_opts *opts, conn_accept_fn fn, void *arg)
{
	struct conn_listener *cl = calloc(1, sizeof(*cl));
	int rc;

	if (cl == NULL)
		return NULL;
	cl->l = l;
	cl->fn = fn;
	cl->arg = arg;
	if (opts != NULL)
		cl->opts = *opts;
	cl->h = conn_handle_new(l, addr->sa_family == AF_UNIX);
	cl->again = loop_timer_new(l, on_again, cl);
	rc = cl->h == NULL ? -errno : cl->again == NULL ? -ENOMEM : bind_to(cl->h, addr);
	if (rc == 0) {
		cl->h->owner = cl;
		rc = uv_listen(&cl->h->uv.s, CONN_TCP_BACKLOG, on_connection);
	}
	if (rc != 0) {
		conn_listener_close(cl);
		return errno_null(rc);
	}
	return cl;
}

uint16_t conn_listener_port(const struct conn_listener *cl)
{
	struct sockaddr_storage addr;
	int len = sizeof(addr);

	if (cl->h->is_unix ||
		uv_tcp_getsockname(&cl->h->uv.tcp, (struct sockaddr *)&addr, &len) != 0)
		return 0;
	if (addr.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&addr)->sin6_port);
	return ntohs(((struct sockaddr_in *)&addr)->sin_port);
}

void conn_listener_close(struct conn_listener *cl)
{
	if (cl == NULL)
		return;
	loop_timer_free(cl->again);
	conn_handle_close(cl->h);
	free(cl);
}

void conn_tcp_address_text(const struct sockaddr_storage *ss, char *out, size_t cap)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)ss;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)ss;
	struct api_addr a = {0};

	if (ss->ss_family == AF_INET) {
		memset(a.ip + 10, 0xff, 2);
		memcpy(a.ip + 12, &v4->sin_addr, 4);
		a.port = ntohs(v4->sin_port);
	} else {
		memcpy(a.ip, &v6->sin6_addr, 16);
		a.port = ntohs(v6->sin6_port);
	}
	api_addr_text(&a, out, cap);
}

bool conn_tcp_split(const char *where, char host[256], char port[6])
{
	const char *colon = strrchr(where, ':');
	const char *from = where, *to = colon;
	size_t port_len;
	long n;
	char *end;

	if (colon == NULL)
		return false;
	if (*where == '[') {
		from++;
		if (to == where || *--to != ']')
			return false;
	} else if (memchr(where, ':', (size_t)(colon - where)) != NULL) {
		return false; // an IPv6 address without its brackets
	}
	port_len = strlen(colon + 1);
	if (to <= from || to - from > 255 || port_len < 1 || port_len > 5)
		return false;
	n = strtol(colon + 1, &end, 10);
	if (*end != '\0' || colon[1] < '0' || colon[1] > '9' || n < 1 || n > 65535)
		return false;
	memcpy(host, from, (size_t)(to - from));
	host[to - from] = '\0';
	memcpy(port, colon + 1, port_len + 1);
	return true;
}

bool conn_tcp_is_host_port(const char *where)
{
	char host[256], port[6];

	return strncmp(where, "unix:", 5) != 0 && conn_tcp_split(where, host, port);
}
