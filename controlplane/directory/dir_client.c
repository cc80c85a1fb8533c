// One question is one or several HTTP requests, to one discovery after the other, until one gives
// what was asked for. The cache holds entries of other keys as they were found: the oldest makes
// room, and none is older than DIR_CLIENT_CACHE_MS.
#include "controlplane/directory/dir_client.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/htab.h"

#define BASE "/dmsg-discovery/"

enum { LIST_LEN_MAX = 1 << 20, PATH_MAX_LEN = 128 };

enum want { WANT_ENTRY, WANT_LIST, WANT_DONE };

struct dir_ask {
	struct dir_client *d;
	enum want want;
	const char *method;
	char path[PATH_MAX_LEN];
	char *body;
	struct key_pk pk; // of WANT_ENTRY
	size_t i; // the discovery that is asked
	bool only; // no other is
	int err; // of those asked before, if any failed
	struct dmsg_entry *cached;
	struct http_request *req;
	struct loop_timer *soon;
	dir_fn fn;
	void *arg;
	TAILQ_ENTRY(dir_ask) all;
};

struct cached {
	struct dmsg_entry e;
	uint64_t until_ns;
	TAILQ_ENTRY(cached) all;
};

struct dir_client {
	struct dir_client_conf conf;
	char url[DIR_CLIENT_URLS_MAX][HTTP_CLIENT_URL_MAX];
	struct htab *by_pk; // struct cached
	TAILQ_HEAD(, cached) cache; // oldest first
	TAILQ_HEAD(, dir_ask) asks;
	struct dir_client_stats stats;
};

const char *dir_result_text(const struct dir_result *r)
{
	if (r->err < 0)
		return http_client_error_text(r->err);
	return r->answer == DMSG_ANSWER_OK ? "" : dmsg_answer_text(r->answer);
}

// ---- what is remembered ----

static void cache_del(struct dir_client *d, struct cached *c)
{
	htab_del(d->by_pk, c->e.pk.b);
	TAILQ_REMOVE(&d->cache, c, all);
	free(c);
}

static const struct dmsg_entry *cache_find(struct dir_client *d, const struct key_pk *pk)
{
	uint64_t now_ns = clock_mono_ns();
	struct cached *c;

	while ((c = TAILQ_FIRST(&d->cache)) != NULL && c->until_ns <= now_ns)
		cache_del(d, c);
	c = htab_find(d->by_pk, pk->b);
	return c != NULL ? &c->e : NULL;
}

static void cache_put(struct dir_client *d, const struct dmsg_entry *e)
{
	struct cached *c = htab_find(d->by_pk, e->pk.b);

	if (c != NULL)
		cache_del(d, c);
	if (htab_len(d->by_pk) >= DIR_CLIENT_CACHE_MAX)
		cache_del(d, TAILQ_FIRST(&d->cache));
	c = malloc(sizeof(*c));
	if (c == NULL)
		return;
	c->e = *e;
	c->until_ns = clock_mono_ns() + DIR_CLIENT_CACHE_MS * CLOCK_NS_PER_MS;
	if (htab_put(d->by_pk, e->pk.b, c) < 0)
		free(c);
	else
		TAILQ_INSERT_TAIL(&d->cache, c, all);
}

void dir_client_forget(struct dir_client *d, const struct key_pk *pk)
{
	struct cached *c = htab_find(d->by_pk, pk->b);

	if (c != NULL)
		cache_del(d, c);
}

// ---- asking ----

static void ask_free(struct dir_ask *a)
{
	TAILQ_REMOVE(&a->d->asks, a, all);
	http_client_cancel(a->req);
	loop_timer_free(a->soon);
	free(a->cached);
	free(a->body);
	free(a);
}

void dir_ask_cancel(struct dir_ask *a)
{
	if (a != NULL)
		ask_free(a);
}

static void over(struct dir_ask *a, const struct dir_result *r)
{
	dir_fn fn = a->fn;
	void *arg = a->arg;

	ask_free(a);
	fn(arg, r);
}

static void on_answer(void *arg, const struct http_answer *h);

static int ask_send(struct dir_ask *a)
{
	struct dir_client *d = a->d;
	char url[HTTP_CLIENT_URL_MAX + sizeof(BASE) + PATH_MAX_LEN];
	struct http_request_conf c = {.method = a->method,
		.url = url,
		.body = a->body,
		.body_len = a->body != NULL ? strlen(a->body) : 0,
		.answer_max = a->want == WANT_LIST ? LIST_LEN_MAX : DMSG_ENTRY_JSON_MAX,
		.timeout_ms = d->conf.timeout_ms};

	snprintf(url, sizeof(url), "%s" BASE "%s", d->url[a->i], a->path);
	a->req = http_client_ask(d->conf.http, &c, on_answer, a);
	if (a->req == NULL)
		return -errno;
	d->stats.asked++;
	return 0;
}

static void on_soon(void *arg)
{
	struct dir_ask *a = arg;
	struct dmsg_entry *e = a->cached;
	struct dir_result r = {.err = a->err, .entries = e, .n = 1};

	if (e == NULL) {
		over(a, &r);
		return;
	}
	a->cached = NULL;
	over(a, &r);
	free(e);
}

// The next discovery, or it is over with what the last one said; a failure counts more than a "no".
static void next(struct dir_ask *a, struct dir_result *r)
{
	int rc;

	if (r->err < 0)
		a->err = r->err;
	while (!a->only && ++a->i < a->d->conf.n_urls) {
		rc = ask_send(a);
		if (rc == 0)
			return;
		a->err = rc;
	}
	if (a->err < 0)
		r->err = a->err;
	over(a, r);
}

static void read_entry(struct dir_ask *a, const struct http_answer *h, struct dir_result *r)
{
	struct dir_client *d = a->d;
	struct dmsg_entry *e = malloc(sizeof(*e));

	r->err = e == NULL ? -ENOMEM : dmsg_entry_read(e, h->body, h->len);
	if (r->err == 0 && key_pk_cmp(&e->pk, &a->pk) != 0)
		r->err = -EBADMSG;
	if (r->err < 0) {
		d->stats.failed++;
		free(e);
		next(a, r);
		return;
	}
	r->entries = e;
	r->n = 1;
	if (!a->only)
		cache_put(d, e);
	over(a, r);
	free(e);
}

static void read_list(struct dir_ask *a, const struct http_answer *h, struct dir_result *r)
{
	struct dmsg_entry *list = malloc(DIR_CLIENT_SERVERS_MAX * sizeof(*list));
	ssize_t n = list == NULL ? -ENOMEM
				 : dmsg_entry_read_list(
					   list, DIR_CLIENT_SERVERS_MAX, h->body, h->len, NULL);

	if (n <= 0) {
		r->err = n < 0 ? (int)n : 0;
		r->answer = DMSG_ANSWER_NO_SERVERS;
		a->d->stats.failed += n < 0;
		free(list);
		next(a, r);
		return;
	}
	r->entries = list;
	r->n = (size_t)n;
	over(a, r);
	free(list);
}

// "There is none" answers the question.
static bool is_refusal(enum dmsg_answer a)
{
	return a != DMSG_ANSWER_OK && a != DMSG_ANSWER_NO_ENTRY && a != DMSG_ANSWER_NO_SERVERS;
}

static void on_answer(void *arg, const struct http_answer *h)
{
	struct dir_ask *a = arg;
	struct dir_client *d = a->d;
	struct dir_result r = {.err = h->err};

	a->req = NULL;
	if (h->err < 0) {
		d->stats.failed++;
		next(a, &r);
		return;
	}
	r.answer = dmsg_answer_read(h->status, h->body, h->len);
	if (r.answer == DMSG_ANSWER_OK && a->want == WANT_ENTRY) {
		read_entry(a, h, &r);
	} else if (r.answer == DMSG_ANSWER_OK && a->want == WANT_LIST) {
		read_list(a, h, &r);
	} else {
		d->stats.refused += is_refusal(r.answer);
		// of several, one that failed in its own way is as one that gave no answer
		if (a->want == WANT_ENTRY && r.answer != DMSG_ANSWER_NO_ENTRY && !a->only)
			r.err = -EPROTO;
		if (a->want == WANT_LIST && r.answer == DMSG_ANSWER_NO_ENTRY)
			r.answer = DMSG_ANSWER_NO_SERVERS;
		next(a, &r);
	}
}

static struct dir_ask *ask_new(
	struct dir_client *d, enum want want, const char *method, dir_fn fn, void *arg)
{
	struct dir_ask *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->d = d;
	a->want = want;
	a->method = method;
	a->fn = fn;
	a->arg = arg;
	TAILQ_INSERT_TAIL(&d->asks, a, all);
	return a;
}

// The first request, or the next discovery's, if it can't be sent.
static struct dir_ask *begin(struct dir_ask *a)
{
	int rc = ask_send(a);

	while (rc < 0 && !a->only && ++a->i < a->d->conf.n_urls)
		rc = ask_send(a);
	if (rc == 0)
		return a;
	ask_free(a);
	return errno_null(rc);
}

static struct dir_ask *begin_entry(
	struct dir_client *d, const struct key_pk *pk, dir_fn fn, void *arg, size_t i, bool only)
{
	struct dir_ask *a = ask_new(d, WANT_ENTRY, "GET", fn, arg);
	const struct dmsg_entry *known = only ? NULL : cache_find(d, pk);
	char text[KEY_PK_TEXT_LEN + 1];

	if (a == NULL)
		return NULL;
	a->pk = *pk;
	a->i = i;
	a->only = only;
	key_pk_to_text(pk, text);
	snprintf(a->path, sizeof(a->path), "entry/%s", text);
	if (known == NULL)
		return begin(a);
	a->cached = malloc(sizeof(*known));
	a->soon = loop_timer_new(d->conf.loop, on_soon, a);
	if (a->cached == NULL || a->soon == NULL) {
		ask_free(a);
		return errno_null(ENOMEM);
	}
	*a->cached = *known;
	d->stats.cached++;
	loop_timer_start(a->soon, 0, 0);
	return a;
}

struct dir_ask *dir_client_find(struct dir_client *d, const struct key_pk *pk, dir_fn fn, void *arg)
{
	return begin_entry(d, pk, fn, arg, 0, false);
}

struct dir_ask *dir_client_find_at(
	struct dir_client *d, size_t i, const struct key_pk *pk, dir_fn fn, void *arg)
{
	return begin_entry(d, pk, fn, arg, i, true);
}

static struct dir_ask *begin_list(struct dir_client *d, const char *path, dir_fn fn, void *arg)
{
	struct dir_ask *a = ask_new(d, WANT_LIST, "GET", fn, arg);

	if (a == NULL)
		return NULL;
	snprintf(a->path, sizeof(a->path), "%s", path);
	return begin(a);
}

struct dir_ask *dir_client_servers(struct dir_client *d, dir_fn fn, void *arg)
{
	return begin_list(d, "available_servers", fn, arg);
}

struct dir_ask *dir_client_all_servers(struct dir_client *d, dir_fn fn, void *arg)
{
	return begin_list(d, "all_servers", fn, arg);
}

static struct dir_ask *begin_body(struct dir_client *d, size_t i, const char *method,
	const char *path, const struct dmsg_entry *e, dir_fn fn, void *arg)
{
	struct dir_ask *a = ask_new(d, WANT_DONE, method, fn, arg);
	ssize_t len = -ENOMEM;

	if (a == NULL)
		return NULL;
	a->i = i;
	a->only = true;
	snprintf(a->path, sizeof(a->path), "%s", path);
	a->body = malloc(DMSG_ENTRY_TEXT_MAX);
	if (a->body != NULL)
		len = dmsg_entry_write(e, true, a->body, DMSG_ENTRY_TEXT_MAX);
	if (len < 0) {
		ask_free(a);
		return errno_null((int)len);
	}
	return begin(a);
}

// The slash behind it is a must with POST, and must not be with DELETE.
struct dir_ask *dir_client_post(
	struct dir_client *d, size_t i, const struct dmsg_entry *signed_entry, dir_fn fn, void *arg)
{
	return begin_body(d, i, "POST", "entry/", signed_entry, fn, arg);
}

struct dir_ask *dir_client_delete(
	struct dir_client *d, size_t i, const struct dmsg_entry *signed_entry, dir_fn fn, void *arg)
{
	return begin_body(d, i, "DELETE", "entry", signed_entry, fn, arg);
}

// ---- the whole ----

static int take_urls(struct dir_client *d, const struct dir_client_conf *conf)
{
	if (conf->n_urls == 0 || conf->n_urls > DIR_CLIENT_URLS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < conf->n_urls; i++) {
		size_t len = strlen(conf->urls[i]);

		if (http_client_check_url(conf->urls[i]) != NULL)
			return -EINVAL;
		while (len > 0 && conf->urls[i][len - 1] == '/')
			len--;
		memcpy(d->url[i], conf->urls[i], len);
	}
	return 0;
}

struct dir_client *dir_client_new(const struct dir_client_conf *conf)
{
	uint8_t secret[HTAB_SECRET_LEN];
	struct dir_client *d = calloc(1, sizeof(*d));
	int rc;

	if (d == NULL)
		return NULL;
	TAILQ_INIT(&d->cache);
	TAILQ_INIT(&d->asks);
	d->conf = *conf;
	d->conf.urls = NULL; // were borrowed
	if (d->conf.timeout_ms == 0)
		d->conf.timeout_ms = DIR_CLIENT_TIMEOUT_MS;
	rc = take_urls(d, conf);
	if (rc == 0) {
		randombytes_buf(secret, sizeof(secret));
		d->by_pk = htab_new(KEY_PK_LEN, DIR_CLIENT_CACHE_MAX, secret);
		rc = d->by_pk != NULL ? 0 : -ENOMEM;
	}
	if (rc < 0) {
		dir_client_free(d);
		return errno_null(rc);
	}
	return d;
}

void dir_client_free(struct dir_client *d)
{
	struct dir_ask *a;
	struct cached *c;

	if (d == NULL)
		return;
	while ((a = TAILQ_FIRST(&d->asks)) != NULL)
		ask_free(a);
	while ((c = TAILQ_FIRST(&d->cache)) != NULL)
		cache_del(d, c);
	htab_free(d->by_pk);
	free(d);
}

size_t dir_client_n_urls(const struct dir_client *d)
{
	return d->conf.n_urls;
}

const char *dir_client_url(const struct dir_client *d, size_t i)
{
	return d->url[i];
}

void dir_client_stats_add(const struct dir_client *d, struct dir_client_stats *sum)
{
	if (d == NULL)
		return;
	sum->asked += d->stats.asked;
	sum->cached += d->stats.cached;
	sum->failed += d->stats.failed;
	sum->refused += d->stats.refused;
	sum->cache_len += (uint32_t)htab_len(d->by_pk);
}
