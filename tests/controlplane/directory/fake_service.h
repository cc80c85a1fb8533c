// A service of Skywire on the test's loop: transport discovery, address resolver and route finder
// in one. Requests are known by their signature as the real ones do it: the nonce of a key goes on
// only when the answer was exactly 200. It can be told to fail in several ways.
#pragma once

#include "controlplane/core/identity.h"
#include "controlplane/directory/service.h"
#include "controlplane/http/http_client.h"
#include "lib/wire/http_auth.h"
#include "lib/wire/tp_entry.h"
#include "tests/controlplane/http/http_fixture.h"
#include "tests/support/http_auth_check.h"

enum { FAKE_SERVICE_ENTRIES = 32 };

struct fake_service {
	struct fake_http http;
	char url[64];
	uint64_t nonce; // of the one key that asks
	struct tp_entry e[FAKE_SERVICE_ENTRIES];
	unsigned n;
	char bound[1024]; // body of the last bind
	char routes[8192]; // what /routes answers; "": 404
	char asked[512]; // body of the last /routes
	unsigned n_nonces, n_post, n_get, n_delete, n_401, n_signed;
	unsigned pending, most_pending; // requests that are held
	// how it fails
	unsigned status; // not 0: instead of whatever it would answer, and
	const char *body; // ... this
	bool lists_null; // "none" is 200 null instead of 404
	bool silent; // takes what it is asked, never answers
	bool holds; // the next POST or DELETE waits:
	struct fake_conn *held; // until fake_service_go_on()
	char held_method[16], held_path[256], held_body[4096];
};

static inline struct tp_entry *fake_service_find(
	struct fake_service *s, const uint8_t id[ENTRY_ID_LEN])
{
	for (unsigned i = 0; i < s->n; i++)
		if (memcmp(s->e[i].id, id, ENTRY_ID_LEN) == 0)
			return &s->e[i];
	return NULL;
}

static inline void fake_service_say(
	struct fake_service *s, struct fake_conn *fc, unsigned status, const char *body)
{
	s->nonce += status == 200;
	fake_http_answer(fc, status, body);
}

// {"t_id":...} of {"entry":{...},"signatures":[...]}.
static inline size_t fake_service_plain(const struct tp_entry *e, char *out, size_t cap)
{
	char text[TP_ENTRY_TEXT_MAX];
	const char *start, *end;

	assert_true(tp_entry_write(e, text, sizeof(text)) > 0);
	start = strstr(text, "{\"t_id\"");
	end = strstr(text, "},\"signatures\"");
	return (size_t)snprintf(out, cap, "%.*s", (int)(end - start) + 1, start);
}

static inline void fake_service_none(struct fake_service *s, struct fake_conn *fc)
{
	if (s->lists_null)
		fake_service_say(s, fc, 200, "null\n");
	else
		fake_service_say(s, fc, 404, "{\"error\":\"not found\"}\n");
}

static inline void fake_service_edge(struct fake_service *s, struct fake_conn *fc, const char *hex)
{
	static char text[FAKE_SERVICE_ENTRIES * TP_ENTRY_TEXT_MAX];
	struct key_pk pk;
	size_t len = 0;

	assert_int_equal(key_pk_from_text(&pk, hex, strlen(hex)), 0);
	for (unsigned i = 0; i < s->n; i++) {
		if (key_pk_cmp(&s->e[i].edge[0], &pk) != 0 &&
			key_pk_cmp(&s->e[i].edge[1], &pk) != 0)
			continue;
		text[len] = len == 0 ? '[' : ',';
		len++;
		len += fake_service_plain(&s->e[i], text + len, sizeof(text) - len);
	}
	if (len == 0) {
		fake_service_none(s, fc);
		return;
	}
	memcpy(text + len, "]\n", 3);
	fake_service_say(s, fc, 200, text);
}

static inline void fake_service_post(struct fake_service *s, struct fake_conn *fc, const char *body)
{
	size_t len = strlen(body);
	struct tp_entry e;

	assert_true(len > 3 && body[0] == '[' && strcmp(body + len - 2, "]\n") == 0);
	assert_int_equal(tp_entry_read(&e, body + 1, len - 3), 0);
	s->n_post++;
	if (fake_service_find(s, e.id) != NULL) {
		fake_service_say(s, fc, 500,
			"{\"error\":\"ERROR: duplicate key value violates unique constraint\"}\n");
		return;
	}
	assert_true(s->n < FAKE_SERVICE_ENTRIES);
	s->e[s->n++] = e;
	fake_service_say(s, fc, 201, body);
}

static inline void fake_service_id(
	struct fake_service *s, struct fake_conn *fc, const char *method, const char *id_text)
{
	char text[TP_ENTRY_TEXT_MAX];
	uint8_t id[ENTRY_ID_LEN];
	struct tp_entry *e;

	assert_int_equal(entry_id_parse(id, id_text), 0);
	e = fake_service_find(s, id);
	s->n_get += strcmp(method, "GET") == 0;
	s->n_delete += strcmp(method, "DELETE") == 0;
	if (e == NULL) {
		fake_service_none(s, fc);
		return;
	}
	fake_service_plain(e, text, sizeof(text));
	if (strcmp(method, "DELETE") == 0)
		*e = s->e[--s->n];
	fake_service_say(s, fc, 200, text);
}

static inline void fake_service_resolver(struct fake_service *s, struct fake_conn *fc,
	const char *method, const char *path, const char *body)
{
	if (strcmp(path, "/bind/stcpr") == 0) {
		snprintf(s->bound, sizeof(s->bound), "%s %s", method, body);
		fake_service_say(s, fc, 200, "");
	} else if (s->bound[0] == '\0') {
		fake_service_say(s, fc, 404, "{\"error\":\"no transport found\"}\n");
	} else {
		fake_service_say(s, fc, 200,
			"{\"remote_addr\":\"198.51.100.7\",\"port\":\"7777\",\"addresses\":[]}\n");
	}
}

static inline void fake_service_do(struct fake_service *s, struct fake_conn *fc, const char *method,
	const char *path, const char *body)
{
	if (s->status != 0)
		fake_service_say(s, fc, s->status, s->body);
	else if (strcmp(path, "/transports/") == 0 && strcmp(method, "POST") == 0)
		fake_service_post(s, fc, body);
	else if (strncmp(path, "/transports/id:", 15) == 0)
		fake_service_id(s, fc, method, path + 15);
	else if (strncmp(path, "/transports/edge:", 17) == 0)
		fake_service_edge(s, fc, path + 17);
	else if (strncmp(path, "/bind/", 6) == 0 || strncmp(path, "/resolve/stcpr/", 15) == 0)
		fake_service_resolver(s, fc, method, path, body);
	else
		fake_service_say(s, fc, 405, "");
}

static inline bool fake_service_header(const char *headers, const char *name, char *out, size_t cap)
{
	const char *at = strcasestr(headers, name);

	if (at == NULL)
		return false;
	at += strlen(name);
	snprintf(out, cap, "%.*s", (int)strcspn(at, "\r"), at);
	return true;
}

static inline bool fake_service_is_signed(struct fake_service *s, const struct fake_request *r)
{
	char pk_text[80], nonce[32], sig_text[160];
	struct sign_sig sig;
	struct key_pk pk;

	if (!fake_service_header(r->headers, "\nSW-Public: ", pk_text, sizeof(pk_text)) ||
		!fake_service_header(r->headers, "\nSW-Nonce: ", nonce, sizeof(nonce)) ||
		!fake_service_header(r->headers, "\nSW-Sig: ", sig_text, sizeof(sig_text)))
		return false;
	return key_pk_from_text(&pk, pk_text, strlen(pk_text)) == 0 &&
	       sign_from_text(&sig, sig_text, strlen(sig_text)) == 0 &&
	       strtoull(nonce, NULL, 10) == s->nonce &&
	       http_auth_check(&sig, &pk, r->body, strlen(r->body), s->nonce) == 0;
}

static inline void fake_service_nonce(struct fake_service *s, struct fake_conn *fc, const char *hex)
{
	char text[160];

	s->n_nonces++;
	snprintf(text, sizeof(text), "{\"edge\":\"%s\",\"next_nonce\":%llu}\n", hex,
		(unsigned long long)s->nonce);
	fake_http_answer(fc, 200, text);
}

static inline void fake_service_open(
	struct fake_service *s, struct fake_conn *fc, const struct fake_request *r)
{
	if (strcmp(r->path, "/routes") != 0) {
		fake_http_answer(fc, 200, "{\"sudph\":null,\"stcpr\":[]}\n");
		return;
	}
	snprintf(s->asked, sizeof(s->asked), "%s", r->body);
	if (s->routes[0] == '\0')
		fake_http_answer(
			fc, 404, "{\"error\":{\"message\":\"route not found\",\"code\":404}}\n");
	else
		fake_http_answer(fc, 200, s->routes);
}

static inline void fake_service_serve(void *arg, struct fake_conn *fc, const struct fake_request *r)
{
	struct fake_service *s = arg;

	s->pending++;
	s->most_pending = s->pending > s->most_pending ? s->pending : s->most_pending;
	if (s->silent)
		return;
	s->pending--;
	if (strncmp(r->path, HTTP_AUTH_NONCES, strlen(HTTP_AUTH_NONCES)) == 0) {
		fake_service_nonce(s, fc, r->path + strlen(HTTP_AUTH_NONCES));
	} else if (strcmp(r->path, "/routes") == 0 || strcmp(r->path, "/transports") == 0) {
		fake_service_open(s, fc, r);
	} else if (!fake_service_is_signed(s, r)) {
		s->n_401++;
		fake_http_answer(fc, 401,
			"{\"error\":{\"message\":\"SW-Nonce does not match\",\"code\":401}}\n");
	} else if (s->holds && strcmp(r->method, "GET") != 0) {
		s->holds = false;
		s->pending++;
		s->held = fc;
		snprintf(s->held_method, sizeof(s->held_method), "%s", r->method);
		snprintf(s->held_path, sizeof(s->held_path), "%s", r->path);
		snprintf(s->held_body, sizeof(s->held_body), "%s", r->body);
	} else {
		s->n_signed++;
		fake_service_do(s, fc, r->method, r->path, r->body);
	}
}

static inline void fake_service_go_on(struct fake_service *s)
{
	s->pending--;
	s->n_signed++;
	fake_service_do(s, s->held, s->held_method, s->held_path, s->held_body);
	s->held = NULL;
}

static inline void fake_service_start(struct fake_service *s)
{
	memset(s, 0, sizeof(*s));
	fake_http_start(&s->http, fake_service_serve, s);
	fake_http_url(&s->http, s->url, sizeof(s->url));
}

static inline void fake_service_stop(struct fake_service *s)
{
	if (s->http.li != NULL)
		fake_http_stop(&s->http);
}

// The node that asks, and whom it has transports with.
static struct identity *asker;
static struct key_sk fake_sk[3];
static struct key_pk fake_pk[3];
static struct http_client *http;
static struct fake_service fake;

static inline struct tp_entry fake_entry(unsigned peer, const char *type)
{
	struct tp_entry e;

	assert_int_equal(tp_entry_make(&e, &fake_pk[0], &fake_pk[peer], type, "user"), 0);
	assert_int_equal(tp_entry_sign(&e, &fake_pk[0], &fake_sk[0]), 0);
	assert_int_equal(tp_entry_sign(&e, &fake_pk[peer], &fake_sk[peer]), 0);
	return e;
}

static inline int fake_service_setup(void **state)
{
	setup_loop(state);
	for (unsigned i = 0; i < 3; i++) {
		memset(&fake_sk[i], (int)i + 1, sizeof(fake_sk[i]));
		assert_int_equal(key_pk_from_sk(&fake_pk[i], &fake_sk[i]), 0);
	}
	asker = identity_from_sk(&fake_sk[0]);
	http = http_client_new(l, "");
	fake_service_start(&fake);
	return asker == NULL || http == NULL;
}

static inline int fake_service_teardown(void **state)
{
	http_client_free(http);
	fake_service_stop(&fake);
	identity_free(asker);
	return teardown_loop(state);
}

// The client of it: by `asker`, or of a service that asks for no signature.
static struct service *s;

static inline int fake_client_setup(void **state, bool is_signed, uint32_t timeout_ms)
{
	struct service_conf c = {.timeout_ms = timeout_ms};

	if (fake_service_setup(state) != 0)
		return 1;
	c.loop = l;
	c.http = http;
	c.id = is_signed ? asker : NULL;
	c.url = fake.url;
	s = service_new(&c);
	return s == NULL;
}

static inline int fake_client_teardown(void **state)
{
	service_free(s);
	return fake_service_teardown(state);
}
