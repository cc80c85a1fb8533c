// The steps, each of which ends when the last node has answered. A node is touched once rules were
// sent to it, whatever it answered: only such nodes are asked to take them back.
#include "controlplane/route/setup_job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"

// Of the answer to who asked (skywire-routing 5.3).
enum { FAILED_ADD_RULES = 1, FAILED_RESERVE_IDS = 4 };

struct job_node {
	struct setup_job *job;
	struct setup_call *call;
	bool waits; // for an answer
	bool touched; // has rules of ours, perhaps
};

struct setup_job {
	struct setup_job_conf conf;
	struct setup_plan plan;
	struct loop_timer *timer;
	enum setup_step step;
	bool answered;
	uint32_t n_waiting;
	struct job_node node[SETUP_IDS_MAX];
};

static void calls_end(struct setup_job *j)
{
	for (uint32_t i = 0; i < j->plan.n_nodes; i++) {
		setup_call_free(j->node[i].call);
		j->node[i].call = NULL;
		j->node[i].waits = false;
	}
	j->n_waiting = 0;
}

static void calls_keep(struct setup_job *j)
{
	for (uint32_t i = 0; i < j->plan.n_nodes; i++) {
		setup_keep_put(j->conf.keep, j->node[i].call);
		j->node[i].call = NULL;
	}
}

static void over(struct setup_job *j)
{
	calls_end(j);
	loop_timer_stop(j->timer);
	j->step = SETUP_DONE;
	j->conf.over(j->conf.arg);
}

static void answer(struct setup_job *j, const struct setup_edge *edge, const char *why)
{
	if (j->answered)
		return;
	j->answered = true;
	j->conf.answer(j->conf.arg, edge, why);
}

static void wait_for(struct setup_job *j, uint32_t i)
{
	j->n_waiting += !j->node[i].waits;
	j->node[i].waits = true;
}

static void waited_for(struct job_node *n)
{
	n->job->n_waiting -= n->waits;
	n->waits = false;
}

// ---- undo ----

static bool is_old(const struct setup_old *old, const struct key_pk *pk)
{
	uint64_t now_ns = clock_mono_ns();

	for (uint32_t i = 0; i < old->n && i < SETUP_OLD_MAX; i++)
		if (now_ns < old->node[i].until_ns && key_pk_cmp(&old->node[i].pk, pk) == 0)
			return true;
	return false;
}

static void remember_old(const struct setup_job *j, const struct key_pk *pk)
{
	struct setup_old *old = j->conf.old;
	uint32_t i = old->n++ % SETUP_OLD_MAX;

	old->node[i].pk = *pk;
	old->node[i].until_ns = clock_mono_ns() + j->conf.old_ms * CLOCK_NS_PER_MS;
}

static bool take_back(struct setup_job *j, uint32_t i)
{
	uint32_t ids[SETUP_IDS_MAX], n = setup_plan_ids(&j->plan, i, ids);

	return j->node[i].touched && setup_call_is_open(j->node[i].call) &&
	       !is_old(j->conf.old, &j->plan.node[i]) &&
	       setup_call_delete(j->node[i].call, ids, n) == 0;
}

// Nothing is open any more, but its place is kept for a while.
static void rest(struct setup_job *j)
{
	calls_end(j);
	loop_timer_start(j->timer, j->conf.rest_ms, 0);
}

static void undo(struct setup_job *j)
{
	j->step = SETUP_UNDOES;
	j->n_waiting = 0;
	for (uint32_t i = 0; i < j->plan.n_nodes; i++) {
		j->node[i].waits = false;
		if (take_back(j, i))
			wait_for(j, i);
	}
	if (j->n_waiting > 0)
		loop_timer_start(j->timer, SETUP_UNDO_MS, 0);
	else
		rest(j);
}

static void on_undone(struct job_node *n, int err, const char *why)
{
	struct setup_job *j = n->job;

	if (!n->waits) // has no rules, and was still dialled
		return;
	// words of Go's net/rpc
	if (err == -EREMOTEIO && strstr(why, "can't find method") != NULL)
		remember_old(j, &j->plan.node[n - j->node]);
	waited_for(n);
	if (j->n_waiting == 0)
		rest(j);
}

// ---- failure ----

static int failure_code(const struct setup_job *j)
{
	return j->step == SETUP_RESERVES ? FAILED_RESERVE_IDS : FAILED_ADD_RULES;
}

static void fail_at(struct setup_job *j, uint32_t i, const char *why)
{
	static const char *const doing[] = {
		[SETUP_RESERVES] = "reserve ids",
		[SETUP_INSTALLS] = "add intermediary rules",
		[SETUP_ENDS] = "add edge rules",
	};
	char pk[KEY_PK_TEXT_LEN + 1], text[SETUP_TEXT_MAX];

	key_pk_to_text(&j->plan.node[i], pk);
	snprintf(text, sizeof(text), "failure code %d (%s at %s: %s)", failure_code(j),
		doing[j->step], pk, why);
	undo(j);
	answer(j, NULL, text);
}

static void on_timer(void *arg)
{
	struct setup_job *j = arg;

	if (j->step == SETUP_UNDOES) {
		over(j);
		return;
	}
	for (uint32_t i = 0; i < j->plan.n_nodes; i++)
		if (j->node[i].waits) {
			fail_at(j, i, "no answer in time");
			return;
		}
}

// ---- steps ----

static void finish(struct setup_job *j)
{
	struct setup_edge edge;

	calls_keep(j); // all have answered
	setup_plan_initiator(&j->plan, &edge);
	answer(j, &edge, "");
	over(j);
}

static void end_edges(struct setup_job *j)
{
	uint32_t i = setup_plan_responder_node(&j->plan);
	struct setup_edge edge;

	j->step = SETUP_ENDS;
	setup_plan_responder(&j->plan, &edge);
	j->node[i].touched = true;
	if (setup_call_edge(j->node[i].call, &edge) < 0)
		fail_at(j, i, "the stream is broken");
	else
		wait_for(j, i);
}

static void install(struct setup_job *j)
{
	uint8_t rules[SETUP_IDS_MAX * RULE_INTERMEDIARY_LEN];

	j->step = SETUP_INSTALLS;
	for (uint32_t i = 0; i < j->plan.n_nodes; i++) {
		uint32_t n = setup_plan_rules(&j->plan, i, rules);

		if (n == 0)
			continue;
		j->node[i].touched = true;
		if (setup_call_intermediary(j->node[i].call, rules, n) < 0) {
			fail_at(j, i, "the stream is broken");
			return;
		}
		wait_for(j, i);
	}
	if (j->n_waiting == 0) // a direct route
		end_edges(j);
}

static void on_installed(struct job_node *n)
{
	struct setup_job *j = n->job;
	bool done;

	if (setup_bool_read(&done, setup_call_reply(n->call)) < 0 || !done) {
		fail_at(j, (uint32_t)(n - j->node), "did not say that it has done so");
		return;
	}
	waited_for(n);
	if (j->n_waiting > 0)
		return;
	if (j->step == SETUP_INSTALLS)
		end_edges(j);
	else
		finish(j);
}

// The stream stands, or the ids are there: the first thing that a node is asked for is ids.
static void on_reserved(struct job_node *n)
{
	struct setup_job *j = n->job;
	uint32_t i = (uint32_t)(n - j->node), ids[SETUP_IDS_MAX], n_ids;
	const struct netrpc_rx *reply = setup_call_reply(n->call);

	if (!reply->has_body) {
		if (setup_call_reserve(n->call, (uint8_t)setup_plan_wants(&j->plan, i)) < 0)
			fail_at(j, i, "the stream is broken");
		return;
	}
	if (setup_ids_read(ids, &n_ids, reply) < 0 ||
		setup_plan_give(&j->plan, i, ids, n_ids) < 0) {
		fail_at(j, i, "gave other ids than asked for");
		return;
	}
	waited_for(n);
	if (j->n_waiting == 0)
		install(j);
}

static void on_call(void *arg, int err, const char *why)
{
	struct job_node *n = arg;
	struct setup_job *j = n->job;

	if (j->step == SETUP_UNDOES)
		on_undone(n, err, why);
	else if (err < 0)
		fail_at(j, (uint32_t)(n - j->node), why);
	else if (j->step == SETUP_RESERVES)
		on_reserved(n);
	else
		on_installed(n);
}

// By a stream that was kept, if it takes the first call; else a new one is dialled. NULL and errno.
static struct setup_call *reach(struct setup_job *j, uint32_t i)
{
	const struct key_pk *pk = &j->plan.node[i];
	struct setup_call *c = setup_keep_take(j->conf.keep, pk, on_call, &j->node[i]);

	if (c != NULL && setup_call_reserve(c, (uint8_t)setup_plan_wants(&j->plan, i)) == 0)
		return c;
	setup_call_free(c);
	return setup_call_new(
		j->conf.client, pk, SETUP_GATEWAY_PORT, SETUP_DIAL_MS, on_call, &j->node[i]);
}

// ---- life ----

struct setup_job *setup_job_new(const struct setup_job_conf *conf, const struct setup_route *route,
	char why[SETUP_TEXT_MAX])
{
	struct setup_job *j = calloc(1, sizeof(*j));
	int err = ENOMEM;

	if (j != NULL) {
		j->conf = *conf;
		j->timer = loop_timer_new(conf->loop, on_timer, j);
	}
	if (j == NULL || j->timer == NULL)
		goto err_job;
	if (setup_plan_init(&j->plan, route, why) < 0) {
		setup_job_free(j);
		return errno_null(EINVAL);
	}
	for (uint32_t i = 0; i < j->plan.n_nodes; i++) {
		j->node[i].job = j;
		j->node[i].call = reach(j, i);
		if (j->node[i].call == NULL) {
			err = errno;
			goto err_job;
		}
		wait_for(j, i);
	}
	loop_timer_start(j->timer, conf->limit_ms, 0);
	return j;
err_job:
	snprintf(why, SETUP_TEXT_MAX, "failure code 0 (%s)", strerror(err));
	setup_job_free(j);
	return errno_null(err);
}

void setup_job_abort(struct setup_job *j)
{
	j->answered = true;
	if (j->step < SETUP_DONE)
		undo(j);
}

void setup_job_free(struct setup_job *j)
{
	if (j == NULL)
		return;
	calls_end(j);
	loop_timer_free(j->timer);
	free(j);
}

enum setup_step setup_job_step(const struct setup_job *j)
{
	return j->step;
}

uint32_t setup_job_nodes(const struct setup_job *j)
{
	return j->plan.n_nodes;
}
