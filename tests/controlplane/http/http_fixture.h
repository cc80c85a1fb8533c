// A small HTTP server on the test's loop: each connection is one request, which a function of the
// test answers.
#pragma once

#include "tests/controlplane/core/conn_fixture.h"
#include "tests/support/loopback.h"

#include <stdio.h>

enum { FAKE_HTTP_MAX = 65536, FAKE_HTTP_CONNS = 64 };

struct fake_request {
	char method[16], path[256];
	const char *headers; // all of them, as they came
	const char *body; // with a NUL behind it
};

struct fake_conn {
	struct fake_http *h;
	struct conn *c;
	char in[FAKE_HTTP_MAX];
	size_t in_len;
	bool answered;
};

// Writes the whole answer by fake_http_raw() or fake_http_answer(), or nothing: it never comes.
typedef void (*fake_http_fn)(void *arg, struct fake_conn *fc, const struct fake_request *r);

struct fake_http {
	struct conn_listener *li;
	fake_http_fn fn;
	void *arg;
	struct fake_conn *conn[FAKE_HTTP_CONNS];
	unsigned n_requests;
};

static inline void fake_http_raw(struct fake_conn *fc, const char *p, size_t len)
{
	assert_int_equal(conn_write(fc->c, p, len), len);
}

static inline void fake_http_answer(struct fake_conn *fc, unsigned status, const char *body)
{
	char head[128];
	int n = snprintf(head, sizeof(head), "HTTP/1.1 %u x\r\nContent-Length: %zu\r\n\r\n", status,
		strlen(body));

	fake_http_raw(fc, head, (size_t)n);
	fake_http_raw(fc, body, strlen(body));
}

static inline void fake_conn_look(struct fake_conn *fc)
{
	char *end, *len_text;
	size_t want = 0, head_len;
	struct fake_request r;

	fc->in[fc->in_len] = '\0';
	end = strstr(fc->in, "\r\n\r\n");
	if (end == NULL || fc->answered)
		return;
	head_len = (size_t)(end - fc->in) + 4;
	len_text = strcasestr(fc->in, "content-length:");
	if (len_text != NULL && len_text < end)
		want = strtoul(len_text + 15, NULL, 10);
	if (fc->in_len < head_len + want)
		return;
	memset(&r, 0, sizeof(r));
	assert_int_equal(sscanf(fc->in, "%15s %255s", r.method, r.path), 2);
	r.headers = fc->in;
	r.body = fc->in + head_len;
	fc->answered = true;
	fc->h->n_requests++;
	fc->h->fn(fc->h->arg, fc, &r);
}

static inline void fake_conn_free(struct fake_conn *fc)
{
	for (unsigned i = 0; i < FAKE_HTTP_CONNS; i++)
		if (fc->h->conn[i] == fc)
			fc->h->conn[i] = NULL;
	conn_close(fc->c);
	free(fc);
}

static inline size_t fake_conn_data(void *arg, uint8_t *p, size_t len)
{
	struct fake_conn *fc = arg;

	assert_true(len < FAKE_HTTP_MAX - fc->in_len);
	memcpy(fc->in + fc->in_len, p, len);
	fc->in_len += len;
	fake_conn_look(fc);
	return len;
}

static inline void fake_conn_end(void *arg, int err)
{
	(void)err;
	fake_conn_free(arg);
}

static const struct conn_events fake_conn_events = {.data = fake_conn_data, .end = fake_conn_end};

// Takes a conn as if it had come by the listener.
static inline void fake_http_take(struct fake_http *h, struct conn *take_conn)
{
	struct fake_conn *fc = calloc(1, sizeof(*fc));
	unsigned i = 0;

	assert_non_null(fc);
	while (i < FAKE_HTTP_CONNS && h->conn[i] != NULL)
		i++;
	assert_true(i < FAKE_HTTP_CONNS);
	h->conn[i] = fc;
	fc->h = h;
	fc->c = take_conn;
	conn_set_events(take_conn, &fake_conn_events, fc);
}

static inline void fake_http_accept(
	void *arg, struct conn *take_conn, const struct sockaddr_storage *from)
{
	(void)from;
	fake_http_take(arg, take_conn);
}

static inline void fake_http_start(struct fake_http *h, fake_http_fn fn, void *arg)
{
	struct sockaddr_in sa = loopback(0);

	memset(h, 0, sizeof(*h));
	h->fn = fn;
	h->arg = arg;
	h->li = conn_listen(l, (const struct sockaddr *)&sa, NULL, fake_http_accept, h);
	assert_non_null(h->li);
}

static inline void fake_http_stop(struct fake_http *h)
{
	for (unsigned i = 0; i < FAKE_HTTP_CONNS; i++)
		if (h->conn[i] != NULL)
			fake_conn_free(h->conn[i]);
	conn_listener_close(h->li);
	h->li = NULL;
}

static inline void fake_http_url(const struct fake_http *h, char *out, size_t cap)
{
	snprintf(out, cap, "http://127.0.0.1:%u", conn_listener_port(h->li));
}
