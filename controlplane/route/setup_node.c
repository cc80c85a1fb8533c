// Streams of those who ask, and the set-ups they asked for. A stream has one call at a time: while
// it is worked on, nothing more is read. A set-up may outlive its stream, until what it installed
// is taken back.
#include "controlplane/route/setup_node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

LOG_MODULE("setup");

enum { ANSWER_MAX = 4096 }; // a head, descriptors and two rules, or an error

struct asker;

struct job {
	struct setup_node *node;
	struct job *next;
	struct asker *asker; // NULL: nobody waits any more
	struct key_pk by;
	struct setup_job *setup;
	struct setup_info *info; // NULL: newer ones took its place
};

struct asker {
	struct setup_node *node;
	struct asker *next;
	struct key_pk pk;
	struct conn *conn; // NULL: ended while it rests
	struct loop_timer *timer;
	struct job *job; // NULL: none is under way
	bool rests; // it was refused: nothing is read until the timer runs off
	struct netrpc_tx tx;
	struct netrpc_rx rx;
};

struct setup_node {
	struct setup_node_conf conf;
	struct dmsg_client_listener *listener;
	struct asker *askers;
	struct job *jobs;
	struct setup_old old;
	struct setup_info history[SETUP_HISTORY];
	uint64_t n_history; // so far
	struct setup_node_stats stats;
};

// ---- history ----

// The set-up that has this place in it, if any does.
static struct job *owner_of(const struct setup_node *n, const struct setup_info *info)
{
	struct job *j = n->jobs;

	while (j != NULL && j->info != info)
		j = j->next;
	return j;
}

static struct setup_info *remember(struct setup_node *n, const struct setup_route *route)
{
	struct setup_info *info = &n->history[n->n_history++ % SETUP_HISTORY];
	struct job *before = owner_of(n, info);

	if (before != NULL)
		before->info = NULL;
	*info = (struct setup_info){.desc = route->desc,
		.n_forward = (uint8_t)route->forward.n,
		.n_reverse = (uint8_t)route->reverse.n,
		.begun_ns = clock_mono_ns()};
	return info;
}

static void settle(struct setup_info *info, bool ok, const char *why)
{
	if (info == NULL)
		return;
	info->over = true;
	info->ok = ok;
	info->took_ns = clock_mono_ns() - info->begun_ns;
	snprintf(info->why, sizeof(info->why), "%s", why);
}

// ---- streams of those who ask ----

static void asker_free(struct asker *a)
{
	struct setup_node *n = a->node;
	struct asker **at = &n->askers;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	n->stats.askers--;
	if (a->job != NULL) {
		settle(a->job->info, false, "given up by who asked");
		n->stats.failed++;
		a->job->asker = NULL;
		setup_job_abort(a->job->setup);
	}
	conn_close(a->conn);
	loop_timer_free(a->timer);
	free(a);
}

// False: the asker is gone.
static bool reply(struct asker *a, const uint8_t *bytes, const struct bytes_w *w)
{
	ssize_t len = bytes_w_done(w);

	if (len >= 0 && conn_write(a->conn, bytes, (size_t)len) == len) {
		loop_timer_start(a->timer, a->node->conf.idle_ms, 0);
		return true;
	}
	asker_free(a);
	return false;
}

// To read what is refused costs up to 200 checks of keys, so the next one has to wait; another
// stream is no way around that, for this one's place is kept.
static bool refuse(struct asker *a, const char *why)
{
	uint8_t buf[ANSWER_MAX];
	struct bytes_w w = bytes_w(buf, sizeof(buf));

	netrpc_put_error(&a->tx, &w, a->rx.method, a->rx.seq, why);
	if (!reply(a, buf, &w))
		return false;
	a->rests = true;
	loop_timer_start(a->timer, a->node->conf.rest_ms, 0);
	return true;
}

// ---- set-ups ----

static void on_answer(void *arg, const struct setup_edge *edge, const char *why)
{
	struct job *j = arg;
	struct setup_node *n = j->node;
	struct asker *a = j->asker;
	uint8_t buf[ANSWER_MAX];
	struct bytes_w w = bytes_w(buf, sizeof(buf));

	settle(j->info, edge != NULL, why);
	if (edge != NULL)
		n->stats.done++;
	else
		n->stats.failed++;
	if (edge == NULL)
		log_limited(LOG_INFO, "a route was not set up: %s", why);
	j->asker = NULL;
	if (a == NULL)
		return;
	a->job = NULL;
	if (edge != NULL)
		setup_put_dialled(&a->tx, &w, a->rx.seq, edge);
	else
		netrpc_put_error(&a->tx, &w, SETUP_DIAL, a->rx.seq, why);
	if (reply(a, buf, &w))
		conn_resume(a->conn);
}

static void job_free(struct job *j)
{
	struct setup_node *n = j->node;
	struct job **at = &n->jobs;

	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	n->stats.running--;
	n->stats.calls -= setup_job_nodes(j->setup);
	setup_job_free(j->setup);
	free(j);
}

static void on_over(void *arg)
{
	job_free(arg);
}

static unsigned jobs_of(const struct setup_node *n, const struct key_pk *pk)
{
	unsigned count = 0;

	for (const struct job *j = n->jobs; j != NULL; j = j->next)
		count += key_pk_cmp(&j->by, pk) == 0;
	return count;
}

static const char too_many_text[] = "failure code 0 (too many routes are being set up: try again)";

static const char *too_many(const struct setup_node *n, const struct asker *a)
{
	if (n->stats.running >= SETUP_JOBS_MAX)
		return too_many_text;
	if (jobs_of(n, &a->pk) >= SETUP_JOBS_OF_KEY)
		return "failure code 0 (too many routes are being set up for you: try again)";
	return NULL;
}

// route: NULL if it shall not be remembered.
static bool refuse_route(struct asker *a, const struct setup_route *route, const char *why)
{
	if (route != NULL)
		settle(remember(a->node, route), false, why);
	a->node->stats.refused++;
	return refuse(a, why);
}

// False: the stream is gone.
static bool dial_route(struct asker *a)
{
	struct setup_node *n = a->node;
	struct setup_job_conf c = {.loop = n->conf.loop,
		.client = n->conf.client,
		.limit_ms = n->conf.job_ms,
		.rest_ms = n->conf.rest_ms,
		.old_ms = n->conf.old_ms,
		.old = &n->old,
		.answer = on_answer,
		.over = on_over};
	char why[SETUP_TEXT_MAX];
	const char *many = too_many(n, a); // before the keys of the route are checked
	struct setup_route route;
	struct job *j;
	int rc;

	if (many != NULL)
		return refuse_route(a, NULL, many);
	rc = setup_route_read(&route, &a->rx);
	if (rc == -E2BIG)
		return refuse_route(a, NULL, "failure code 0 (more than 50 hops in one direction)");
	if (rc < 0)
		return refuse_route(a, NULL, "failure code 0 (malformed request)");
	if (memcmp(route.desc.src_pk, a->pk.b, KEY_PK_LEN) != 0) // visors ask for their own routes
		return refuse_route(a, NULL, SETUP_WRONG_ENDS);
	// both paths have their ends in common: no more nodes than hops
	if (n->stats.calls + route.forward.n + route.reverse.n > n->conf.calls_max)
		return refuse_route(a, NULL, too_many_text);
	j = calloc(1, sizeof(*j));
	if (j == NULL)
		return refuse_route(a, &route, "failure code 0 (out of memory)");
	c.arg = j;
	j->setup = setup_job_new(&c, &route, why);
	if (j->setup == NULL) {
		free(j);
		return refuse_route(a, &route, why);
	}
	j->node = n;
	j->by = a->pk;
	j->asker = a;
	j->info = remember(n, &route);
	j->next = n->jobs;
	n->jobs = j;
	n->stats.running++;
	n->stats.calls += setup_job_nodes(j->setup);
	a->job = j;
	loop_timer_stop(a->timer);
	return true;
}

static bool serve(struct asker *a)
{
	char text[NETRPC_ERROR_MAX];

	if (strcmp(a->rx.method, SETUP_DIAL) == 0)
		return dial_route(a);
	return refuse(a, netrpc_no_method(a->rx.method, SETUP_SERVICE, text, sizeof(text)));
}

static size_t on_data(void *arg, uint8_t *bytes, size_t len)
{
	struct asker *a = arg;
	size_t used = 0;

	while (used < len && a->job == NULL && !a->rests) {
		bool ready;
		ssize_t n = netrpc_take(&a->rx, bytes + used, len - used, &ready);

		if (n < 0) {
			a->node->stats.bad++;
			asker_free(a);
			return len;
		}
		used += (size_t)n;
		if (ready && !serve(a))
			return len;
	}
	return used;
}

// What came was no whole call: what it was is not known before its end.
static bool said_no_call(const struct asker *a)
{
	return a->rx.method[0] == '\0' || netrpc_is_amid(&a->rx);
}

static void on_end(void *arg, int err)
{
	struct asker *a = arg;

	if (!a->rests) {
		// broken, it may have been about to
		a->node->stats.bad += err == 0 && said_no_call(a);
		asker_free(a);
		return;
	}
	conn_close(a->conn);
	a->conn = NULL;
}

static void on_rested(struct asker *a)
{
	a->rests = false;
	if (a->conn == NULL) {
		asker_free(a);
		return;
	}
	loop_timer_start(a->timer, a->node->conf.idle_ms, 0);
	conn_resume(a->conn);
}

static void on_timer(void *arg)
{
	struct asker *a = arg;

	if (a->rests) {
		on_rested(a);
		return;
	}
	a->node->stats.bad += said_no_call(a);
	asker_free(a);
}

static const struct conn_events ask_events = {.data = on_data, .end = on_end};

static bool has_place(const struct setup_node *n, const struct key_pk *pk)
{
	unsigned of_key = 0;

	for (const struct asker *a = n->askers; a != NULL; a = a->next)
		of_key += key_pk_cmp(&a->pk, pk) == 0;
	return n->stats.askers < SETUP_ASKERS_MAX && of_key < SETUP_ASKERS_OF_KEY;
}

static void on_ask(void *arg, struct conn *take_conn, const struct dmsg_addr *from)
{
	struct setup_node *n = arg;
	struct asker *a = has_place(n, &from->pk) ? calloc(1, sizeof(*a)) : NULL;

	if (a != NULL)
		a->timer = loop_timer_new(n->conf.loop, on_timer, a);
	if (a == NULL || a->timer == NULL) {
		n->stats.streams_refused++;
		free(a);
		conn_close(take_conn);
		return;
	}
	a->node = n;
	a->pk = from->pk;
	a->conn = take_conn;
	a->next = n->askers;
	n->askers = a;
	n->stats.askers++;
	n->stats.streams++;
	conn_set_events(take_conn, &ask_events, a);
	loop_timer_start(a->timer, n->conf.idle_ms, 0);
}

// ---- the whole ----

struct setup_node *setup_node_new(const struct setup_node_conf *conf)
{
	struct setup_node *n = calloc(1, sizeof(*n));
	int err;

	if (n == NULL)
		return NULL;
	n->conf = *conf;
	if (n->conf.idle_ms == 0)
		n->conf.idle_ms = SETUP_IDLE_MS;
	if (n->conf.job_ms == 0)
		n->conf.job_ms = SETUP_JOB_MS;
	if (n->conf.calls_max == 0)
		n->conf.calls_max = SETUP_CALLS_MAX;
	if (n->conf.rest_ms == 0)
		n->conf.rest_ms = SETUP_REST_MS;
	if (n->conf.old_ms == 0)
		n->conf.old_ms = SETUP_OLD_MS;
	n->listener = dmsg_client_listen(conf->client, SETUP_DIAL_PORT, on_ask, n);
	if (n->listener != NULL)
		return n;
	err = errno;
	free(n);
	return errno_null(err);
}

void setup_node_free(struct setup_node *n)
{
	if (n == NULL)
		return;
	dmsg_client_unlisten(n->listener);
	while (n->askers != NULL) {
		if (n->askers->job != NULL)
			n->askers->job->asker = NULL;
		n->askers->job = NULL;
		asker_free(n->askers);
	}
	while (n->jobs != NULL)
		job_free(n->jobs);
	free(n);
}

void setup_node_stats_get(const struct setup_node *n, struct setup_node_stats *out)
{
	*out = n->stats;
}

void setup_node_each(
	const struct setup_node *n, void (*fn)(void *arg, const struct setup_info *info), void *arg)
{
	uint64_t at = n->n_history > SETUP_HISTORY ? n->n_history - SETUP_HISTORY : 0;

	for (; at < n->n_history; at++) {
		struct setup_info info = n->history[at % SETUP_HISTORY];
		const struct job *j = owner_of(n, &n->history[at % SETUP_HISTORY]);

		if (j != NULL && !info.over)
			info.step = setup_job_step(j->setup);
		if (!info.over)
			info.took_ns = clock_mono_ns() - info.begun_ns;
		fn(arg, &info);
	}
}
