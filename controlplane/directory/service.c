// A queue whose head is asked. The server counts a request when it answers 200, and so do we; when
// we can't know, the nonce is asked for again.
#include "controlplane/directory/service.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"

struct service_ask {
	struct service *s;
	char method[8], path[SERVICE_PATH_MAX];
	char *body; // owner; NULL: none
	size_t body_len, answer_max;
	bool is_signed;
	bool again; // was refused for its nonce
	struct http_request *req;
	http_answer_fn fn;
	void *arg;
	TAILQ_ENTRY(service_ask) all;
};

struct service {
	struct service_conf conf;
	char url[HTTP_CLIENT_URL_MAX];
	char public_header[16 + KEY_PK_TEXT_LEN + 1];
	struct loop_timer *soon; // looks at the head of the queue
	TAILQ_HEAD(, service_ask) asks;
	struct service_stats stats;
};

void service_answer_text(const struct http_answer *a, int err, char text[SERVICE_TEXT_LEN])
{
	char said[HTTP_AUTH_ERROR_LEN];

	text[0] = '\0';
	if (a->err < 0 || err < 0) {
		snprintf(text, SERVICE_TEXT_LEN, "%s",
			http_client_error_text(a->err < 0 ? a->err : err));
	} else if (a->status / 100 != 2) {
		http_auth_error_read(said, a->body, a->len);
		if (said[0] != '\0')
			snprintf(text, SERVICE_TEXT_LEN, "%u: %s", a->status, said);
		else
			snprintf(text, SERVICE_TEXT_LEN, "HTTP status %u", a->status);
	}
}

static bool is_refusal(unsigned status)
{
	return status == 401 || status == 403 || status == 429 || status / 100 == 5;
}

static void ask_free(struct service_ask *a)
{
	http_client_cancel(a->req);
	TAILQ_REMOVE(&a->s->asks, a, all);
	a->s->stats.waiting--;
	free(a->body);
	free(a);
}

static void over(struct service_ask *a, const struct http_answer *h)
{
	struct service *s = a->s;
	http_answer_fn fn = a->fn;
	void *arg = a->arg;

	s->stats.error[0] = '\0';
	if (h->err < 0 || is_refusal(h->status))
		service_answer_text(h, 0, s->stats.error);
	if (h->err < 0) {
		s->stats.failed++;
	} else {
		s->stats.answered += !is_refusal(h->status);
		s->stats.refused += is_refusal(h->status);
		s->stats.last_status = h->status;
		s->stats.last_ns = clock_mono_ns();
	}
	ask_free(a);
	loop_timer_start(s->soon, 0, 0);
	fn(arg, h); // may free the service
}

// ---- sending ----

static struct http_request *send_it(struct service_ask *a, const char *method, const char *path,
	const struct http_request_conf *more, http_answer_fn fn)
{
	struct http_request_conf c = *more;
	char url[HTTP_CLIENT_URL_MAX + SERVICE_PATH_MAX];

	snprintf(url, sizeof(url), "%s%s", a->s->url, path);
	c.method = method;
	c.url = url;
	c.timeout_ms = a->s->conf.timeout_ms;
	return http_client_ask(a->s->conf.http, &c, fn, a);
}

static void on_answer(void *arg, const struct http_answer *h)
{
	struct service_ask *a = arg;
	struct service *s = a->s;

	a->req = NULL;
	if (a->is_signed) {
		if (h->err < 0 || h->status == 401)
			s->stats.has_nonce = false;
		else if (h->status == 200)
			s->stats.nonce++;
		if (h->err == 0 && h->status == 401 && !a->again) {
			a->again = true;
			loop_timer_start(s->soon, 0, 0);
			return;
		}
	}
	over(a, h);
}

static int ask_signed(struct service_ask *a)
{
	struct service_stats *st = &a->s->stats;
	char nonce[40], sig[16 + SIGN_TEXT_LEN + 1], text[SIGN_TEXT_LEN + 1];
	const char *headers[] = {a->s->public_header, nonce, sig};
	struct http_request_conf c = {.body = a->body,
		.body_len = a->body_len,
		.headers = headers,
		.n_headers = ARRAY_LEN(headers),
		.answer_max = a->answer_max};
	struct sign_sig made;
	int rc = http_auth_sign(&made, identity_sk(a->s->conf.id), a->body, a->body_len, st->nonce);

	if (rc < 0)
		return rc;
	sign_to_text(&made, text);
	snprintf(nonce, sizeof(nonce), "SW-Nonce: %" PRIu64, st->nonce);
	snprintf(sig, sizeof(sig), "SW-Sig: %s", text);
	a->req = send_it(a, a->method, a->path, &c, on_answer);
	return a->req != NULL ? 0 : -errno;
}

static void on_nonce(void *arg, const struct http_answer *h)
{
	struct service_ask *a = arg;
	struct service *s = a->s;
	struct http_answer bad = {.err = -EBADMSG, .body = ""};

	a->req = NULL;
	if (h->err < 0 || h->status != 200) {
		over(a, h);
		return;
	}
	if (http_auth_nonce_read(&s->stats.nonce, identity_pk(s->conf.id), h->body, h->len) < 0) {
		over(a, &bad);
		return;
	}
	s->stats.has_nonce = true;
	s->stats.nonces++;
	loop_timer_start(s->soon, 0, 0);
}

static int ask_nonce(struct service_ask *a)
{
	const struct http_request_conf c = {.answer_max = HTTP_AUTH_JSON_MAX};
	char path[SERVICE_PATH_MAX], pk[KEY_PK_TEXT_LEN + 1];

	key_pk_to_text(identity_pk(a->s->conf.id), pk);
	snprintf(path, sizeof(path), HTTP_AUTH_NONCES "%s", pk);
	a->req = send_it(a, "GET", path, &c, on_nonce);
	return a->req != NULL ? 0 : -errno;
}

static int ask_open(struct service_ask *a)
{
	const struct http_request_conf c = {
		.body = a->body, .body_len = a->body_len, .answer_max = a->answer_max};

	a->req = send_it(a, a->method, a->path, &c, on_answer);
	return a->req != NULL ? 0 : -errno;
}

// The head of the queue, or all of it where order does not matter.
static void on_soon(void *arg)
{
	struct service *s = arg;
	struct service_ask *a = TAILQ_FIRST(&s->asks);
	struct http_answer h = {.body = ""};

	while (s->conf.id == NULL && a != NULL && a->req != NULL)
		a = TAILQ_NEXT(a, all);
	if (a == NULL || a->req != NULL)
		return;
	h.err = !a->is_signed ? ask_open(a) : s->stats.has_nonce ? ask_signed(a) : ask_nonce(a);
	if (s->conf.id == NULL)
		loop_timer_start(s->soon, 0, 0); // for the next one
	if (h.err < 0)
		over(a, &h);
}

struct service_ask *service_ask(
	struct service *s, const struct service_request *r, http_answer_fn fn, void *arg)
{
	struct service_ask *a;

	if (strlen(r->method) >= sizeof(a->method) || strlen(r->path) >= SERVICE_PATH_MAX)
		return errno_null(EINVAL);
	if (s->stats.waiting >= SERVICE_WAITING_MAX)
		return errno_null(EBUSY);
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return NULL;
	a->s = s;
	a->fn = fn;
	a->arg = arg;
	a->answer_max = r->answer_max;
	a->is_signed = s->conf.id != NULL && !r->open;
	snprintf(a->method, sizeof(a->method), "%s", r->method);
	snprintf(a->path, sizeof(a->path), "%s", r->path);
	if (r->body != NULL) {
		a->body = malloc(r->body_len + 1);
		if (a->body == NULL) {
			free(a);
			return errno_null(ENOMEM);
		}
		memcpy(a->body, r->body, r->body_len);
		a->body_len = r->body_len;
	}
	TAILQ_INSERT_TAIL(&s->asks, a, all);
	s->stats.asked++;
	s->stats.waiting++;
	loop_timer_start(s->soon, 0, 0);
	return a;
}

void service_cancel(struct service_ask *a)
{
	if (a == NULL)
		return;
	if (a->req != NULL && a->is_signed)
		a->s->stats.has_nonce = false; // it may have been counted
	loop_timer_start(a->s->soon, 0, 0);
	ask_free(a);
}

// ---- the whole ----

struct service *service_new(const struct service_conf *conf)
{
	struct service *s;
	char pk[KEY_PK_TEXT_LEN + 1];
	size_t len = strlen(conf->url);

	if (http_client_check_url(conf->url) != NULL)
		return errno_null(EINVAL);
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	TAILQ_INIT(&s->asks);
	s->conf = *conf;
	if (s->conf.timeout_ms == 0)
		s->conf.timeout_ms = SERVICE_TIMEOUT_MS;
	while (len > 0 && conf->url[len - 1] == '/')
		len--;
	memcpy(s->url, conf->url, len);
	if (conf->id != NULL) {
		key_pk_to_text(identity_pk(conf->id), pk);
		snprintf(s->public_header, sizeof(s->public_header), "SW-Public: %s", pk);
	}
	s->soon = loop_timer_new(conf->loop, on_soon, s);
	if (s->soon == NULL) {
		free(s);
		return errno_null(ENOMEM);
	}
	return s;
}

void service_free(struct service *s)
{
	if (s == NULL)
		return;
	while (!TAILQ_EMPTY(&s->asks))
		ask_free(TAILQ_FIRST(&s->asks));
	loop_timer_free(s->soon);
	free(s);
}

const char *service_url(const struct service *s)
{
	return s->url;
}

void service_stats_get(const struct service *s, struct service_stats *out)
{
	*out = s->stats;
}

// ---- questions of kinds ----

void *service_call_new(struct service *s, const struct service_request *r, const void *like,
	size_t len, http_answer_fn fn)
{
	struct service_call *call = malloc(len);
	int err;

	if (call == NULL)
		return NULL;
	memcpy(call, like, len);
	call->ask = service_ask(s, r, fn, call);
	if (call->ask != NULL)
		return call;
	err = errno;
	free(call);
	return errno_null(err);
}

void service_call_cancel(struct service_call *call)
{
	if (call == NULL)
		return;
	service_cancel(call->ask);
	free(call);
}
