// An HTTP client on the loop: one request, one answer, within a deadline and a length. Redirects
// are answers like others, no proxy is asked, connections are not kept. http:// and https:// go by
// the kernel, dmsg://PK[:port]/... over a stream of whoever offers some (real-peers 3.5). What a
// hostile server can do is spoil its own answer. Loop's thread only.
#pragma once

#include "controlplane/core/conn.h"
#include "controlplane/core/loop.h"
#include "lib/wire/dmsg_msg.h"

#include <string.h>

enum {
	HTTP_CLIENT_REQUESTS_MAX = 64, // at once
	HTTP_CLIENT_HEADERS_MAX = 64 * 1024, // bytes of an answer's
	HTTP_CLIENT_URL_MAX = 512, // with the final NUL
	HTTP_CLIENT_DMSG_PORT = 80, // of a URL that names none
};

struct http_client;
struct http_request;

// How dmsg:// URLs are reached. The stream's events begin after the call of `fn`, as with
// dmsg_dial_fn; NULL and -errno. public_ip: our address as others see it, for the header
// SW-PublicIP; "" or NULL: not known.
typedef void (*http_stream_fn)(void *arg, struct conn *take_conn, const char *public_ip, int err);
struct http_streams {
	// NULL and errno.
	void *(*dial)(void *arg, const struct dmsg_addr *to, uint32_t timeout_ms, http_stream_fn fn,
		void *fn_arg);
	void (*cancel)(void *dial); // no call any more; not after the call
};

struct http_client_stats {
	uint64_t asked, answered, failed; // failed: without an answer
	uint64_t refused; // too many at once
	uint64_t rx_bytes, tx_bytes; // of bodies
	uint32_t pending; // now
};

struct http_request_conf {
	const char *method; // GET, POST, DELETE
	const char *url;
	const void *body; // copied; NULL: none. It is JSON.
	size_t body_len;
	const char *const *headers; // "Name: value", besides those that any request has; copied
	size_t n_headers;
	size_t answer_max; // longest body that is taken
	uint32_t timeout_ms; // of the whole
};

struct http_answer {
	// -errno: there is no answer. -EMSGSIZE: it was too long; -EBADMSG: it cannot be read;
	// -EKEYREJECTED: the server's certificate is not good; -EPROTONOSUPPORT: no TLS with it,
	// whatever the reason; -ENOKEY: no authority's certificate can be read
	int err;
	unsigned status;
	const char *body; // borrowed; with a NUL behind it
	size_t len;
};

// NULL and errno. Owner: the caller. ca_file: PEM, whose certificates alone vouch for https://
// servers, read at each request; "": those of the system do.
struct http_client *http_client_new(struct loop *l, const char *ca_file);
// Requests are to be cancelled before. NULL is allowed.
void http_client_free(struct http_client *h);
// NULL streams: dmsg:// URLs fail with ENOTCONN. Dials that run are not cancelled.
void http_client_set_streams(struct http_client *h, const struct http_streams *streams, void *arg);
void http_client_stats_get(const struct http_client *h, struct http_client_stats *out);

// For people: what `err` < 0 of an answer means.
const char *http_client_error_text(int err);

#define HTTP_CLIENT_DMSG "dmsg://"

static inline bool http_client_is_dmsg(const char *url)
{
	return strncmp(url, HTTP_CLIENT_DMSG, strlen(HTTP_CLIENT_DMSG)) == 0;
}

// NULL, or what is wrong with a URL as people write it: scheme, host, and a path perhaps.
const char *http_client_check_url(const char *url);

// Called once, never from within http_client_ask().
typedef void (*http_answer_fn)(void *arg, const struct http_answer *a);
// NULL and errno: EINVAL (no such URL), EBUSY (too many at once), ENOMEM, ENOTCONN.
struct http_request *http_client_ask(
	struct http_client *h, const struct http_request_conf *conf, http_answer_fn fn, void *arg);
// No call any more. NULL is allowed; not after the call.
void http_client_cancel(struct http_request *r);
