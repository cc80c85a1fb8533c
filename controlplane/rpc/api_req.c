// The small common part of all sinks of API answers: one end per request, texts of errors, and the
// callbacks of requests that take longer. No sockets, no frames.
#include "controlplane/rpc/api_req.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void api_req_record(struct api_req *r, const void *rec, size_t len)
{
	if (r->busy)
		r->sink->record(r, rec, len);
}

// False: the client went away in the middle of its answer.
static bool finish(struct api_req *r)
{
	if (!r->busy)
		return false;
	r->busy = false;
	r->resume = NULL;
	r->cancel = NULL;
	return true;
}

void api_req_end(struct api_req *r, const void *payload, size_t len)
{
	if (finish(r))
		r->sink->end(r, 0, payload, len);
}

void api_req_fail(struct api_req *r, int err, const char *fmt, ...)
{
	char text[API_TEXT_MAX];
	va_list ap;

	assert(err < 0);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (finish(r))
		r->sink->end(r, err, text, strlen(text) + 1);
}

bool api_req_is_full(const struct api_req *r)
{
	return r->sink->is_full(r);
}

void api_req_pend(
	struct api_req *r, void (*resume)(void *arg), void (*cancel)(void *arg), void *arg)
{
	r->resume = resume;
	r->cancel = cancel;
	r->arg = arg;
}

void api_req_watch(struct api_req *r)
{
	if (r->busy)
		r->sink->watch(r);
}

void api_req_stream(struct api_req *r, const void *payload, size_t len, api_stream_fn fn, void *arg)
{
	if (finish(r))
		r->sink->stream(r, payload, len, fn, arg);
}

void api_req_cancelled(struct api_req *r)
{
	void (*fn)(void *arg) = r->cancel;

	if (!r->busy)
		return;
	finish(r);
	if (fn != NULL)
		fn(r->arg);
}

void api_req_resumed(struct api_req *r)
{
	if (r->busy && r->resume != NULL)
		r->resume(r->arg);
}
