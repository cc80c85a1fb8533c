// Paths, bodies and answers of an address resolver. Only stcpr: sudph is bound by another way.
#include "controlplane/directory/resolver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

#define TYPE "stcpr"
#define BIND "/bind/" TYPE

enum want { WANT_DONE, WANT_VISOR, WANT_LIST };

struct resolver_ask {
	struct service_call call;
	enum want want;
	resolver_fn fn;
	void *arg;
};

static void read_list(const struct http_answer *h, struct resolver_result *r, struct key_pk **keys)
{
	ssize_t n;

	*keys = malloc(RESOLVER_LIST_MAX * sizeof(**keys));
	n = *keys == NULL ? -ENOMEM
			  : resolver_list_read(*keys, RESOLVER_LIST_MAX, TYPE, h->body, h->len);
	r->err = n < 0 ? (int)n : 0;
	r->keys = *keys;
	r->n_keys = n > 0 ? (size_t)n : 0;
}

static void on_answer(void *arg, const struct http_answer *h)
{
	struct resolver_ask *a = arg;
	char text[SERVICE_TEXT_LEN];
	struct resolver_result r = {.err = h->err, .status = h->status, .text = text};
	bool good = h->err == 0 && h->status / 100 == 2;
	struct resolver_visor visor;
	struct key_pk *keys = NULL;

	if (good && a->want == WANT_VISOR)
		r.err = resolver_visor_read(&visor, h->body, h->len);
	else if (good && a->want == WANT_LIST)
		read_list(h, &r, &keys);
	service_answer_text(h, r.err, text);
	r.taken = good && r.err == 0;
	r.visor = r.taken && a->want == WANT_VISOR ? &visor : NULL;
	a->fn(a->arg, &r);
	free(keys);
	free(a);
}

static struct resolver_ask *ask(struct service *s, enum want want, const struct service_request *r,
	resolver_fn fn, void *arg)
{
	const struct resolver_ask a = {.want = want, .fn = fn, .arg = arg};

	return service_call_new(s, r, &a, sizeof(a), on_answer);
}

struct resolver_ask *resolver_bind(struct service *s, uint16_t port, const char *const *addrs,
	size_t n, resolver_fn fn, void *arg)
{
	char body[RESOLVER_BIND_MAX];
	struct service_request r = {
		.method = "POST", .path = BIND, .body = body, .answer_max = RESOLVER_JSON_MAX};
	ssize_t len = resolver_bind_write(port, addrs, n, body, sizeof(body));

	if (len < 0)
		return errno_null((int)len);
	r.body_len = (size_t)len;
	return ask(s, WANT_DONE, &r, fn, arg);
}

struct resolver_ask *resolver_unbind(struct service *s, resolver_fn fn, void *arg)
{
	static const struct service_request r = {.method = "DELETE",
		.path = BIND,
		.body = "{}\n",
		.body_len = 3,
		.answer_max = RESOLVER_JSON_MAX};

	return ask(s, WANT_DONE, &r, fn, arg);
}

struct resolver_ask *resolver_find(
	struct service *s, const struct key_pk *pk, resolver_fn fn, void *arg)
{
	char path[SERVICE_PATH_MAX], text[KEY_PK_TEXT_LEN + 1];
	const struct service_request r = {
		.method = "GET", .path = path, .answer_max = RESOLVER_JSON_MAX};

	key_pk_to_text(pk, text);
	snprintf(path, sizeof(path), "/resolve/" TYPE "/%s", text);
	return ask(s, WANT_VISOR, &r, fn, arg);
}

struct resolver_ask *resolver_list(struct service *s, resolver_fn fn, void *arg)
{
	static const struct service_request r = {.method = "GET",
		.path = "/transports",
		.answer_max = RESOLVER_LIST_JSON_MAX,
		.open = true};

	return ask(s, WANT_LIST, &r, fn, arg);
}

void resolver_cancel(struct resolver_ask *a)
{
	service_call_cancel((struct service_call *)a);
}
