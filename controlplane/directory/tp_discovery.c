// Paths, bodies and answers of a transport discovery.
#include "controlplane/directory/tp_discovery.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

enum { LIST_JSON_MAX = TP_ENTRY_LIST_MAX * TP_ENTRY_TEXT_MAX };

struct tp_discovery_ask {
	struct service_call call;
	bool is_question, is_list;
	uint8_t id[ENTRY_ID_LEN]; // of a question after one
	tp_discovery_fn fn;
	void *arg;
};

static void read_one(struct tp_discovery_ask *a, const struct http_answer *h,
	struct tp_discovery_result *r, struct tp_entry *e)
{
	r->err = tp_entry_read_plain(e, h->body, h->len);
	if (r->err == 0 && memcmp(e->id, a->id, sizeof(a->id)) != 0)
		r->err = -EBADMSG;
	r->entries = e;
	r->n = r->err == 0;
}

static void read_list(
	const struct http_answer *h, struct tp_discovery_result *r, struct tp_entry **list)
{
	ssize_t n;

	*list = malloc(TP_ENTRY_LIST_MAX * sizeof(**list));
	n = *list == NULL ? -ENOMEM
			  : tp_entry_read_list(*list, TP_ENTRY_LIST_MAX, h->body, h->len, NULL);
	r->err = n < 0 ? (int)n : 0;
	r->entries = *list;
	r->n = n > 0 ? (size_t)n : 0;
}

static bool is_null(const struct http_answer *h)
{
	return h->len >= 4 && strncmp(h->body, "null", 4) == 0;
}

static void on_answer(void *arg, const struct http_answer *h)
{
	struct tp_discovery_ask *a = arg;
	char text[SERVICE_TEXT_LEN];
	struct tp_discovery_result r = {.err = h->err, .status = h->status, .text = text};
	bool good = h->err == 0 && h->status / 100 == 2;
	struct tp_entry one, *list = NULL;

	r.taken = good || (h->err == 0 && h->status == 404 && a->is_question);
	if (good && a->is_list)
		read_list(h, &r, &list);
	else if (good && a->is_question && !is_null(h))
		read_one(a, h, &r, &one);
	service_answer_text(h, r.err, text);
	r.taken = r.taken && r.err == 0;
	a->fn(a->arg, &r);
	free(list);
	free(a);
}

static struct tp_discovery_ask *ask(
	struct service *s, const struct tp_discovery_ask *like, const struct service_request *r)
{
	return service_call_new(s, r, like, sizeof(*like), on_answer);
}

struct tp_discovery_ask *tp_discovery_post(
	struct service *s, const struct tp_entry *e, tp_discovery_fn fn, void *arg)
{
	const struct tp_discovery_ask like = {.fn = fn, .arg = arg};
	char body[TP_ENTRY_TEXT_MAX + 8] = "[";
	struct service_request r = {.method = "POST",
		.path = "/transports/",
		.body = body,
		.answer_max = 4 * TP_ENTRY_TEXT_MAX}; // it says again what it was told
	ssize_t n = tp_entry_write(e, body + 1, TP_ENTRY_TEXT_MAX);

	if (n < 0)
		return errno_null((int)n);
	memcpy(body + 1 + n, "]\n", 2);
	r.body_len = (size_t)n + 3;
	return ask(s, &like, &r);
}

static struct tp_discovery_ask *ask_id(struct service *s, const char *method,
	const uint8_t id[ENTRY_ID_LEN], tp_discovery_fn fn, void *arg)
{
	struct tp_discovery_ask like = {
		.is_question = strcmp(method, "GET") == 0, .fn = fn, .arg = arg};
	char path[SERVICE_PATH_MAX], text[ENTRY_ID_TEXT_LEN];
	const struct service_request r = {
		.method = method, .path = path, .answer_max = TP_ENTRY_JSON_MAX};

	memcpy(like.id, id, ENTRY_ID_LEN);
	entry_id_format(text, id);
	snprintf(path, sizeof(path), "/transports/id:%s", text);
	return ask(s, &like, &r);
}

struct tp_discovery_ask *tp_discovery_find(
	struct service *s, const uint8_t id[ENTRY_ID_LEN], tp_discovery_fn fn, void *arg)
{
	return ask_id(s, "GET", id, fn, arg);
}

struct tp_discovery_ask *tp_discovery_delete(
	struct service *s, const uint8_t id[ENTRY_ID_LEN], tp_discovery_fn fn, void *arg)
{
	return ask_id(s, "DELETE", id, fn, arg);
}

struct tp_discovery_ask *tp_discovery_of(
	struct service *s, const struct key_pk *edge, tp_discovery_fn fn, void *arg)
{
	const struct tp_discovery_ask like = {
		.is_question = true, .is_list = true, .fn = fn, .arg = arg};
	char path[SERVICE_PATH_MAX], text[KEY_PK_TEXT_LEN + 1];
	const struct service_request r = {
		.method = "GET", .path = path, .answer_max = LIST_JSON_MAX};

	key_pk_to_text(edge, text);
	snprintf(path, sizeof(path), "/transports/edge:%s", text);
	return ask(s, &like, &r);
}

void tp_discovery_cancel(struct tp_discovery_ask *a)
{
	service_call_cancel((struct service_call *)a);
}
