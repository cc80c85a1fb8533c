// The part of a task that all kinds share: its life, the stream, and how that ended.
#include "controlplane/rpc/api_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/core/conn_tcp.h"

enum { TASKS_MAX = 256 };

static void answer_asked(struct api_task *t, int err)
{
	struct api_stream_ended m = {err};

	if (t->asked != NULL)
		api_req_end(t->asked, &m, sizeof(m));
	t->asked = NULL;
}

struct api_task *api_task_new(
	struct api *a, struct api_req *r, size_t len, void (*stop)(struct api_task *t))
{
	struct api_task *t;

	if (a->n_tasks >= TASKS_MAX) {
		api_req_fail(r, -EMFILE, "%d streams and dials by the API are under way: no more",
			TASKS_MAX);
		return NULL;
	}
	t = calloc(1, len);
	if (t == NULL) {
		api_req_fail(r, -ENOMEM, "out of memory");
		return NULL;
	}
	t->a = a;
	t->r = r;
	t->stop = stop;
	TAILQ_INSERT_TAIL(&a->tasks, t, all);
	a->n_tasks++;
	return t;
}

void api_task_free(struct api_task *t)
{
	answer_asked(t, -ENOENT);
	t->stop(t);
	conn_hold_close(&t->held);
	conn_join_close(t->join);
	TAILQ_REMOVE(&t->a->tasks, t, all);
	t->a->n_tasks--;
	free(t);
}

static void on_cancel(void *arg)
{
	api_task_free(arg);
}

void api_task_pend(struct api_task *t)
{
	api_req_pend(t->r, NULL, on_cancel, t);
	api_req_watch(t->r);
}

void api_tasks_end(struct api *a)
{
	struct api_task *t;

	while ((t = TAILQ_FIRST(&a->tasks)) != NULL)
		api_task_free(t);
}

// ---- the stream ----

// For whoever asks how it ended; the oldest are forgotten.
static void note_end(struct api_task *t, int err)
{
	struct api *a = t->a;
	unsigned i = a->n_ended % API_STREAM_ENDS;

	a->ended[i].id = t->id;
	a->ended[i].err = err;
	a->n_ended++;
	answer_asked(t, err);
}

static void on_join_done(void *arg, int err)
{
	struct api_task *t = arg;
	uint64_t late, unused;

	conn_join_late(t->join, &late, &unused);
	if (err == 0 && late > 0)
		err = -EPIPE;
	note_end(t, err);
	t->join = NULL;
	api_task_free(t);
}

static void on_connection(void *arg, int take_fd)
{
	struct api_task *t = arg;
	// a client that was killed, or did not want to wait, holds the stream and its port no more
	static const struct conn_tcp_opts opts = {.whole_end = true};
	struct conn *client = NULL, *stream;

	if (t->held.over)
		note_end(t, t->held.err);
	stream = conn_hold_take(&t->held);
	if (take_fd >= 0 && stream != NULL)
		client = conn_tcp_adopt(t->a->d.loop, take_fd, &opts, NULL, NULL);
	else if (take_fd >= 0)
		close(take_fd);
	if (client != NULL)
		t->join = conn_join_new(stream, client, t->mode, on_join_done, t);
	else
		conn_close(stream);
	if (t->join == NULL)
		api_task_free(t);
}

void api_task_stream(struct api_task *t, struct conn *take_conn, bool half, const struct key_pk *pk,
	uint16_t port)
{
	struct api_stream_peer p = {.port = port, .id = ++t->a->last_id};
	struct api_req *r = t->r;

	memcpy(p.pk, pk->b, API_PK_LEN);
	t->id = p.id;
	t->mode = half ? CONN_JOIN_HALF_CLOSE : CONN_JOIN_CLOSE_BOTH;
	t->r = NULL;
	conn_hold(&t->held, take_conn);
	api_req_stream(r, &p, sizeof(p), on_connection, t);
}

static void on_asked_cancel(void *arg)
{
	((struct api_task *)arg)->asked = NULL;
}

// Of one that is not over yet its end is waited for.
void api_stream_ended(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	struct api *a = ctx;
	struct api_stream_ended m = {-ENOENT};
	struct api_stream_ended_ask ask;
	struct api_task *t;

	(void)len;
	memcpy(&ask, payload, sizeof(ask));
	TAILQ_FOREACH (t, &a->tasks, all)
		if (ask.id != 0 && t->id == ask.id && t->asked == NULL) {
			t->asked = r;
			api_req_pend(r, NULL, on_asked_cancel, t);
			return;
		}
	for (unsigned i = 0; i < API_STREAM_ENDS && i < a->n_ended; i++)
		if (a->ended[i].id == ask.id)
			m.err = a->ended[i].err;
	api_req_end(r, &m, sizeof(m));
}
