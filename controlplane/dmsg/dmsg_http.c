// Our address is asked for once in a while, by the first dial that needs it; a server that can't
// tell costs that dial a moment.
#include "controlplane/dmsg/dmsg_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"

enum { IP_MS = 2000, IP_FOR_MS = 600000 };

struct dmsg_http {
	struct http_client *http;
	struct dmsg_client *client;
	char ip[INET6_ADDRSTRLEN]; // "": not known
	uint64_t ip_until_ns; // also when it is not known
};

struct dial {
	struct dmsg_http *h;
	struct dmsg_addr to;
	uint64_t deadline_ns; // of both, one after the other
	struct dmsg_client_dial *dial;
	struct dmsg_stream_dial *ip;
	http_stream_fn fn;
	void *arg;
};

static void over(struct dial *d, struct conn *conn, int err)
{
	struct dmsg_http *h = d->h;
	http_stream_fn fn = d->fn;
	void *arg = d->arg;

	free(d);
	fn(arg, conn, h->ip, err);
}

static void on_dialled(void *arg, struct conn *take_conn, enum dmsg_err code, int err)
{
	struct dial *d = arg;

	d->dial = NULL;
	if (take_conn == NULL && code == DMSG_ERR_NO_SERVER_REACHED)
		err = -ENETUNREACH;
	else if (take_conn == NULL && err == 0)
		err = -ENOLINK;
	over(d, take_conn, err);
}

static int dial_now(struct dial *d)
{
	d->dial = dmsg_client_dial_direct(
		d->h->client, &d->to, clock_left_ms(d->deadline_ns), on_dialled, d);
	return d->dial != NULL ? 0 : -errno;
}

static void on_ip(void *arg, const uint8_t *ip, size_t len, enum dmsg_err code, int err)
{
	struct dial *d = arg;
	struct dmsg_http *h = d->h;
	int rc;

	(void)code, (void)err;
	d->ip = NULL;
	h->ip[0] = '\0';
	if (len == 4 || len == 16)
		inet_ntop(len == 4 ? AF_INET : AF_INET6, ip, h->ip, sizeof(h->ip));
	h->ip_until_ns = clock_mono_ns() + IP_FOR_MS * CLOCK_NS_PER_MS;
	rc = dial_now(d);
	if (rc < 0)
		over(d, NULL, rc);
}

static void *stream_dial(
	void *arg, const struct dmsg_addr *to, uint32_t timeout_ms, http_stream_fn fn, void *fn_arg)
{
	struct dmsg_http *h = arg;
	uint64_t now_ns = clock_mono_ns();
	struct dial *d = calloc(1, sizeof(*d));
	int rc = 0;

	if (d == NULL)
		return NULL;
	*d = (struct dial){.h = h, .to = *to, .fn = fn, .arg = fn_arg};
	d->deadline_ns = now_ns + timeout_ms * CLOCK_NS_PER_MS;
	if (now_ns >= h->ip_until_ns)
		d->ip = dmsg_client_ask_ip(
			h->client, NULL, timeout_ms < IP_MS ? timeout_ms : IP_MS, on_ip, d);
	if (d->ip == NULL) // known, or no session yet
		rc = dial_now(d);
	if (rc == 0)
		return d;
	free(d);
	return errno_null(rc);
}

static void stream_cancel(void *dial)
{
	struct dial *d = dial;

	dmsg_client_dial_cancel(d->dial);
	dmsg_stream_dial_cancel(d->ip);
	free(d);
}

static const struct http_streams streams = {.dial = stream_dial, .cancel = stream_cancel};

struct dmsg_http *dmsg_http_new(struct http_client *http, struct dmsg_client *client)
{
	struct dmsg_http *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->http = http;
	h->client = client;
	http_client_set_streams(http, &streams, h);
	return h;
}

void dmsg_http_free(struct dmsg_http *h)
{
	if (h == NULL)
		return;
	http_client_set_streams(h->http, NULL, NULL);
	free(h);
}
