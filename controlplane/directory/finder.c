// A request to a route finder and its answer; the answer's 40 KB are on the heap while it is told.
#include "controlplane/directory/finder.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/base/err.h"

struct finder_query {
	struct service_call call;
	struct finder_ask what;
	finder_fn fn;
	void *arg;
};

static void on_answer(void *arg, const struct http_answer *h)
{
	struct finder_query *q = arg;
	char text[SERVICE_TEXT_LEN];
	struct finder_result r = {.err = h->err, .status = h->status, .text = text};
	struct finder_answer *answer = calloc(1, sizeof(*answer));
	bool good = h->err == 0 && h->status / 100 == 2;

	if (answer == NULL && r.err == 0)
		r.err = -ENOMEM;
	else if (good)
		r.err = finder_answer_read(answer, &q->what, h->body, h->len);
	service_answer_text(h, r.err, text);
	r.taken = r.err == 0 && (good || h->status == 404);
	r.answer = r.taken ? answer : NULL;
	q->fn(q->arg, &r);
	free(answer);
	free(q);
}

struct finder_query *finder_paths(
	struct service *s, const struct finder_ask *ask, finder_fn fn, void *arg)
{
	char body[FINDER_REQUEST_MAX];
	struct service_request r = {
		.method = "POST", .path = "/routes", .body = body, .answer_max = FINDER_JSON_MAX};
	ssize_t len = finder_request_write(ask, body, sizeof(body));
	const struct finder_query q = {.what = *ask, .fn = fn, .arg = arg};

	if (len < 0)
		return errno_null((int)len);
	r.body_len = (size_t)len;
	return service_call_new(s, &r, &q, sizeof(q), on_answer);
}

void finder_cancel(struct finder_query *q)
{
	service_call_cancel((struct service_call *)q);
}
