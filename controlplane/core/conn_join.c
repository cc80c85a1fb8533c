// Two conns back to back. A leg's reader is the other leg's writer, so back-pressure passes through
// by the rule of conn.h alone: a short write leaves bytes untaken, `drain` resumes their source.
#include "controlplane/core/conn_join.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/base/err.h"

struct leg {
	struct conn_join *j;
	struct conn *c;
	struct leg *other;
	uint64_t bytes; // taken from this leg by the other
	uint64_t late; // of those that came for this leg, after its end
	bool eof;
};

struct conn_join {
	struct leg leg[2];
	enum conn_join_mode mode;
	conn_join_fn done;
	void *arg;
};

void conn_join_close(struct conn_join *j)
{
	if (j == NULL)
		return;
	conn_close(j->leg[0].c);
	conn_close(j->leg[1].c);
	free(j);
}

static void finish(struct conn_join *j, int err)
{
	conn_join_fn done = j->done;
	void *arg = j->arg;

	conn_close(j->leg[0].c);
	conn_close(j->leg[1].c);
	done(arg, err); // may still ask for the bytes
	free(j);
}

static size_t on_data(void *arg, uint8_t *p, size_t len)
{
	struct leg *leg = arg;
	ssize_t n = conn_write(leg->other->c, p, len);

	if (leg->other->eof)
		leg->other->late += n < 0 ? len : (size_t)n;
	// Who has finished need not take more. Who breaks says so when he has given what he had.
	if (n < 0 && leg->other->eof)
		finish(leg->j, 0);
	if (n < 0)
		return len;
	leg->bytes += (size_t)n;
	return (size_t)n;
}

static void on_drain(void *arg)
{
	struct leg *leg = arg;

	conn_resume(leg->other->c);
}

static void on_end(void *arg, int err)
{
	struct leg *leg = arg;

	leg->eof = true;
	if (err == -EPIPE && leg->other->eof)
		err = 0; // it knew that nothing more comes, and let go
	if (err != 0 || leg->j->mode == CONN_JOIN_CLOSE_BOTH || leg->other->eof)
		finish(leg->j, err);
	else
		conn_shutdown(leg->other->c);
}

static const struct conn_events events = {
	.data = on_data,
	.drain = on_drain,
	.end = on_end,
};

struct conn_join *conn_join_new(struct conn *take_a, struct conn *take_b, enum conn_join_mode mode,
	conn_join_fn done, void *arg)
{
	struct conn_join *j = calloc(1, sizeof(*j));

	if (j == NULL) {
		conn_close(take_a);
		conn_close(take_b);
		return errno_null(ENOMEM);
	}
	j->mode = mode;
	j->done = done;
	j->arg = arg;
	j->leg[0] = (struct leg){.j = j, .c = take_a, .other = &j->leg[1]};
	j->leg[1] = (struct leg){.j = j, .c = take_b, .other = &j->leg[0]};
	for (unsigned i = 0; i < 2; i++) {
		conn_set_events(j->leg[i].c, &events, &j->leg[i]);
		conn_resume(j->leg[i].c);
	}
	return j;
}

void conn_join_bytes(const struct conn_join *j, uint64_t *a_to_b, uint64_t *b_to_a)
{
	*a_to_b = j->leg[0].bytes;
	*b_to_a = j->leg[1].bytes;
}

void conn_join_late(const struct conn_join *j, uint64_t *for_a, uint64_t *for_b)
{
	*for_a = j->leg[0].late;
	*for_b = j->leg[1].late;
}

// ---- held ----

static size_t on_held_data(void *arg, uint8_t *p, size_t len)
{
	(void)arg, (void)p, (void)len;
	return 0;
}

// Nothing came before it, or it would wait behind that.
static void on_held_end(void *arg, int err)
{
	struct conn_hold *h = arg;

	h->over = true;
	h->err = err;
}

static const struct conn_events held_events = {.data = on_held_data, .end = on_held_end};

void conn_hold(struct conn_hold *h, struct conn *take_conn)
{
	*h = (struct conn_hold){.c = take_conn};
	conn_set_events(take_conn, &held_events, h);
}

struct conn *conn_hold_take(struct conn_hold *h)
{
	struct conn *c = h->over ? NULL : h->c;

	if (c != NULL)
		h->c = NULL;
	return c;
}

void conn_hold_close(struct conn_hold *h)
{
	conn_close(h->c);
	h->c = NULL;
}
