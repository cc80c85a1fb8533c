// The set-ups that others asked for: their streams are rpc_port's. A set-up may outlive its stream,
// until what it installed is taken back.
#include "controlplane/route/setup_node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/route/rpc_port.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

LOG_MODULE("setup");

struct job {
	struct setup_node *node;
	struct job *next;
	struct rpc_stream *asker; // NULL: nobody waits any more
	struct key_pk by;
	struct setup_job *setup;
	struct setup_info *info; // NULL: newer ones took its place
};

struct setup_node {
	struct setup_node_conf conf;
	struct rpc_port *port;
	struct job *jobs;
	struct setup_keep *keep;
	struct setup_old old;
	struct setup_info history[SETUP_HISTORY];
	struct setup_info loops[SETUP_HISTORY_LOOPS];
	uint64_t n_history, n_loops; // so far
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
	bool loop = memcmp(route->desc.src_pk, route->desc.dst_pk, RULE_PK_LEN) == 0;
	struct setup_info *info = loop ? &n->loops[n->n_loops++ % SETUP_HISTORY_LOOPS]
				       : &n->history[n->n_history++ % SETUP_HISTORY];
	struct job *before = owner_of(n, info);

	if (before != NULL)
		before->info = NULL;
	*info = (struct setup_info){.desc = route->desc,
		.n_forward = (uint8_t)route->forward.n,
		.n_reverse = (uint8_t)route->reverse.n,
		.loop = loop,
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
	snprintf(info->why, sizeof(info->why), "%.*s", SETUP_WHY_SHOWN - 1, why);
}

// ---- set-ups ----

static void on_answer(void *arg, const struct setup_edge *edge, const char *why)
{
	struct job *j = arg;
	struct setup_node *n = j->node;
	struct rpc_stream *a = j->asker;
	uint8_t buf[RPC_ANSWER_MAX];
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
	if (edge != NULL)
		setup_put_dialled(&a->tx, &w, a->rx.seq, edge);
	else
		netrpc_put_error(&a->tx, &w, SETUP_DIAL, a->rx.seq, why);
	rpc_stream_answer(a, buf, &w);
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

static const char *too_many(const struct setup_node *n, const struct key_pk *pk)
{
	if (n->stats.running >= n->conf.jobs_max)
		return too_many_text;
	if (jobs_of(n, pk) >= SETUP_JOBS_OF_KEY)
		return "failure code 0 (too many routes are being set up for you: try again)";
	return NULL;
}

// To read what is refused costs up to 200 checks of keys, so the next one has to wait.
static void refuse(struct rpc_stream *a, struct bytes_w *w, const char *why)
{
	netrpc_put_error(&a->tx, w, a->rx.method, a->rx.seq, why);
	a->rests = true;
}

static const char *read_route(
	const struct setup_node *n, const struct rpc_stream *a, struct setup_route *route)
{
	int rc = setup_route_read(route, &a->rx);

	if (rc == -E2BIG)
		return "failure code 0 (more than 50 hops in one direction)";
	if (rc < 0)
		return "failure code 0 (malformed request)";
	if (memcmp(route->desc.src_pk, a->pk.b, KEY_PK_LEN) != 0) // visors ask for their own routes
		return SETUP_WRONG_ENDS;
	// both paths have their ends in common: no more nodes than hops
	if (n->stats.calls + route->forward.n + route->reverse.n > n->conf.calls_max)
		return too_many_text;
	return NULL;
}

// NULL, or why not.
static const char *begin(struct setup_node *n, struct rpc_stream *a,
	const struct setup_route *route, char why[SETUP_TEXT_MAX])
{
	struct setup_job_conf c = {.loop = n->conf.loop,
		.client = n->conf.client,
		.limit_ms = n->conf.job_ms,
		.rest_ms = n->conf.rest_ms,
		.old_ms = n->conf.old_ms,
		.keep = n->keep,
		.old = &n->old,
		.answer = on_answer,
		.over = on_over};
	struct job *j = calloc(1, sizeof(*j));

	if (j == NULL)
		return "failure code 0 (out of memory)";
	c.arg = j;
	j->setup = setup_job_new(&c, route, why);
	if (j->setup == NULL) {
		free(j);
		return why;
	}
	j->node = n;
	j->by = a->pk;
	j->asker = a;
	j->info = remember(n, route);
	j->next = n->jobs;
	n->jobs = j;
	n->stats.running++;
	n->stats.calls += setup_job_nodes(j->setup);
	a->waits_for = j;
	return NULL;
}

static void dial_route(struct setup_node *n, struct rpc_stream *a, struct bytes_w *w)
{
	const char *wrong = too_many(n, &a->pk); // before the keys of the route are checked
	char why[SETUP_TEXT_MAX];
	struct setup_route route;

	if (wrong == NULL)
		wrong = read_route(n, a, &route);
	if (wrong == NULL) {
		wrong = begin(n, a, &route, why);
		if (wrong == NULL)
			return;
		settle(remember(n, &route), false, wrong);
	}
	n->stats.refused++;
	refuse(a, w, wrong);
}

static void on_call(void *arg, struct rpc_stream *a, struct bytes_w *w)
{
	char text[NETRPC_ERROR_MAX];

	if (strcmp(a->rx.method, SETUP_DIAL) == 0)
		dial_route(arg, a, w);
	else
		refuse(a, w, netrpc_no_method(a->rx.method, SETUP_SERVICE, text, sizeof(text)));
}

static void on_gone(void *arg, struct rpc_stream *a)
{
	struct setup_node *n = arg;
	struct job *j = a->waits_for;

	settle(j->info, false, "given up by who asked");
	n->stats.failed++;
	j->asker = NULL;
	setup_job_abort(j->setup);
}

// ---- the whole ----

struct setup_node *setup_node_new(const struct setup_node_conf *conf)
{
	struct rpc_port_conf c = {.loop = conf->loop,
		.client = conf->client,
		.port = SETUP_DIAL_PORT,
		.streams_max = SETUP_ASKERS_MAX,
		.streams_of_key = SETUP_ASKERS_OF_KEY,
		.call = on_call,
		.gone = on_gone};
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
	if (n->conf.jobs_max == 0)
		n->conf.jobs_max = SETUP_JOBS_MAX;
	if (n->conf.rest_ms == 0)
		n->conf.rest_ms = SETUP_REST_MS;
	if (n->conf.old_ms == 0)
		n->conf.old_ms = SETUP_OLD_MS;
	if (n->conf.keep_ms == 0)
		n->conf.keep_ms = SETUP_KEEP_MS;
	if (n->conf.try_ms == 0)
		n->conf.try_ms = SETUP_TRY_MS;
	c.idle_ms = n->conf.idle_ms;
	c.rest_ms = n->conf.rest_ms;
	c.arg = n;
	n->keep = setup_keep_new(conf->loop, n->conf.keep_ms, n->conf.try_ms);
	if (n->keep != NULL)
		n->port = rpc_port_new(&c);
	if (n->port != NULL)
		return n;
	err = errno;
	setup_keep_free(n->keep);
	free(n);
	return errno_null(err);
}

void setup_node_free(struct setup_node *n)
{
	if (n == NULL)
		return;
	while (n->jobs != NULL) {
		if (n->jobs->asker != NULL)
			n->jobs->asker->waits_for = NULL;
		job_free(n->jobs);
	}
	setup_keep_free(n->keep);
	rpc_port_free(n->port);
	free(n);
}

void setup_node_stats_get(const struct setup_node *n, struct setup_node_stats *out)
{
	struct rpc_port_stats s;

	rpc_port_stats_get(n->port, &s);
	*out = n->stats;
	out->streams = s.taken;
	out->streams_refused = s.refused;
	out->bad = s.bad;
	out->askers = s.now;
	out->kept = setup_keep_n(n->keep);
}

static void tell(const struct setup_node *n, const struct setup_info *of,
	void (*fn)(void *arg, const struct setup_info *info), void *arg)
{
	const struct job *j = owner_of(n, of);
	struct setup_info info = *of;

	if (j != NULL && !info.over)
		info.step = setup_job_step(j->setup);
	if (!info.over)
		info.took_ns = clock_mono_ns() - info.begun_ns;
	fn(arg, &info);
}

void setup_node_each(
	const struct setup_node *n, void (*fn)(void *arg, const struct setup_info *info), void *arg)
{
	uint64_t routes = n->n_history < SETUP_HISTORY ? n->n_history : SETUP_HISTORY;
	uint64_t loops = n->n_loops < SETUP_HISTORY_LOOPS ? n->n_loops : SETUP_HISTORY_LOOPS;
	uint64_t r = 0, l = 0; // that were told

	while (r < routes || l < loops) {
		const struct setup_info *route =
			&n->history[(n->n_history - 1 - r) % SETUP_HISTORY];
		const struct setup_info *loop =
			&n->loops[(n->n_loops - 1 - l) % SETUP_HISTORY_LOOPS];
		bool is_loop = r == routes || (l < loops && loop->begun_ns > route->begun_ns);

		tell(n, is_loop ? loop : route, fn, arg);
		r += !is_loop;
		l += is_loop;
	}
}
