// One HTTP service of Skywire (skywire-routing 6.5): transport discovery, address resolver, route
// finder. Of a service that knows its askers, requests are signed with the server's nonce, one
// after the other; a nonce that the server does not take is fetched anew, and the request sent once
// more. Loop's thread only.
#pragma once

#include "controlplane/core/identity.h"
#include "controlplane/http/http_client.h"
#include "lib/wire/http_auth.h"

enum {
	SERVICE_TIMEOUT_MS = 10000, // of one request, unless configured
	SERVICE_WAITING_MAX = 256, // requests that wait for their turn
	SERVICE_PATH_MAX = 192, // with the final NUL
	SERVICE_TEXT_LEN = HTTP_AUTH_ERROR_LEN + 32, // ditto
};

struct service;
struct service_ask;

struct service_conf {
	struct loop *loop;
	struct http_client *http; // borrowed; outlives this, as the next one
	const struct identity *id; // who asks; NULL: requests are not signed, and none waits
	const char *url; // copied
	uint32_t timeout_ms; // 0: SERVICE_TIMEOUT_MS
};

struct service_request {
	const char *method, *path; // the path begins with '/'; copied
	const void *body; // copied; NULL: none
	size_t body_len;
	size_t answer_max;
	bool open; // this path is not signed, whatever the others are
};

struct service_stats {
	uint64_t asked; // requests of callers
	uint64_t answered; // with a status that is none of the next
	uint64_t refused; // with 401, 403, 429 or 5xx
	uint64_t failed; // without an answer
	uint64_t nonces; // fetched
	uint32_t waiting; // now, with the one that is asked
	bool has_nonce;
	uint64_t nonce; // the next one
	uint64_t last_ns; // when something was answered; 0: never
	unsigned last_status;
	// why the last request was refused or failed, for people; "": it was not
	char error[SERVICE_TEXT_LEN];
};

// NULL and errno (EINVAL: no URL). Owner: the caller.
struct service *service_new(const struct service_conf *conf);
// Requests are to be cancelled before. NULL is allowed.
void service_free(struct service *s);
const char *service_url(const struct service *s);
void service_stats_get(const struct service *s, struct service_stats *out);

// `fn` is called once, never from within this call. NULL and errno: EBUSY (too many wait), ENOMEM,
// EINVAL (path, URL). A failure to fetch a nonce is the answer.
struct service_ask *service_ask(
	struct service *s, const struct service_request *r, http_answer_fn fn, void *arg);
// No call any more; the server may have got it. NULL is allowed; not after the call.
void service_cancel(struct service_ask *a);

// A question of a kind's own, of which this is the first member. A copy of `like`, len bytes, asks;
// it is the arg of fn, which frees it. NULL and errno, as service_ask().
struct service_call {
	struct service_ask *ask;
};
void *service_call_new(struct service *s, const struct service_request *r, const void *like,
	size_t len, http_answer_fn fn);
void service_call_cancel(struct service_call *call); // frees it; NULL is allowed

// What an answer says to people, when it is no success ("404: entry not found") or could not be
// read: err is the reader's, or 0.
void service_answer_text(const struct http_answer *a, int err, char text[SERVICE_TEXT_LEN]);
