// Bulk commands about rules. A job is an array of slots; slots are sent in order while the command
// ring takes them, each is completed by its answer, and a removal also by RULE_GONE, which releases
// the id: so who removes a rule and adds it again meets no leftover. The last completion calls
// back, always from the loop. What a rule means is rule_mgr's business.
#include "controlplane/route/rule_job.h"

#include "lib/base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum job_kind { JOB_ADD, JOB_DEL };

struct slot {
	struct rule_job *job;
	bool answered;
	bool may_lack; // RULE_DEL_KEPT
};

struct rule_job {
	struct rule_jobs *js;
	struct rule_job *next;
	enum job_kind kind;
	bool cancelled;
	size_t n;
	size_t sent;
	size_t n_answered;
	size_t n_gone; // JOB_DEL: slots before this one are complete
	rule_settle_fn settle;
	void *settle_arg;
	rule_done_fn done;
	void *arg;
	struct cmd_rule_add *cmds; // JOB_ADD
	struct slot *slots;
	struct api_rule_done *results;
};

struct rule_jobs {
	struct dp_client *dp;
	struct route_id *ids;
	struct loop_timer *soon; // completes jobs of which nothing was sent, from the loop
	struct rule_job *first, **last;
	size_t n;
	size_t n_flying; // slots that the data plane has not answered
	bool pumping;
	bool freeing;
};

static void job_free(struct rule_job *j)
{
	free(j->cmds);
	free(j->slots);
	free(j->results);
	free(j);
}

void rule_jobs_free(struct rule_jobs *js)
{
	if (js == NULL)
		return;
	// the data plane's client still holds our slots: it completes them when it is freed
	js->freeing = true;
	loop_timer_free(js->soon);
	js->soon = NULL;
	for (struct rule_job *j = js->first; j != NULL; j = j->next)
		j->cancelled = true;
	if (js->n_flying == 0) {
		while (js->first != NULL) {
			struct rule_job *j = js->first;

			js->first = j->next;
			job_free(j);
		}
		free(js);
	}
}

static bool is_complete(const struct rule_job *j)
{
	if (j->n_answered < j->n)
		return false;
	return j->kind == JOB_ADD || j->n_gone == j->n || j->js->freeing;
}

static void advance_gone(struct rule_job *j)
{
	while (j->kind == JOB_DEL && j->n_gone < j->n && j->slots[j->n_gone].answered &&
		(j->results[j->n_gone].status != 0 ||
			!route_id_is_live(j->js->ids, j->results[j->n_gone].id)))
		j->n_gone++;
}

// Unlink and report all complete jobs. Callbacks may start new jobs.
static void reap(struct rule_jobs *js)
{
	struct rule_job **pp = &js->first;

	while (*pp != NULL) {
		struct rule_job *j = *pp;

		advance_gone(j);
		if (!is_complete(j)) {
			pp = &j->next;
			continue;
		}
		*pp = j->next;
		if (js->last == &j->next)
			js->last = pp;
		js->n--;
		if (j->settle != NULL)
			j->settle(j->settle_arg, j->results, j->n);
		if (!j->cancelled && j->done != NULL)
			j->done(j->arg, j->results, j->n);
		job_free(j);
		pp = &js->first;
	}
}

static void answer(struct rule_job *j, struct slot *s, int status)
{
	size_t i = (size_t)(s - j->slots);

	assert(!s->answered);
	s->answered = true;
	j->n_answered++;
	j->results[i].status = status;
	if (j->kind == JOB_ADD && status != 0 && j->results[i].id != 0)
		route_id_release(j->js->ids, j->results[i].id);
	if (j->kind == JOB_ADD && status == 0)
		route_id_take(j->js->ids, j->results[i].id); // when a resync lost it
	if (j->kind == JOB_DEL && status == -ENOENT) {
		route_id_release(j->js->ids, j->results[i].id);
		if (s->may_lack)
			j->results[i].status = 0;
	}
}

static void on_soon(void *arg)
{
	reap(arg);
}

struct rule_jobs *rule_jobs_new(struct loop *loop, struct dp_client *dp, struct route_id *ids)
{
	struct rule_jobs *js = calloc(1, sizeof(*js));

	if (js == NULL)
		return NULL;
	js->soon = loop_timer_new(loop, on_soon, js);
	if (js->soon == NULL) {
		free(js);
		return errno_null(ENOMEM);
	}
	js->dp = dp;
	js->ids = ids;
	js->last = &js->first;
	return js;
}

static void on_done(void *arg, int status, uint32_t aux)
{
	struct slot *s = arg;
	struct rule_job *j = s->job;
	struct rule_jobs *js = j->js;

	js->n_flying--;
	answer(j, s, status);
	if (js->freeing) {
		if (js->n_flying == 0)
			rule_jobs_free(js);
		return;
	}
	if (j->n_answered == j->n)
		reap(js);
}

static int send_slot(struct rule_job *j, size_t i)
{
	if (j->kind == JOB_ADD)
		return dp_client_send(
			j->js->dp, &j->cmds[i], sizeof(j->cmds[i]), on_done, &j->slots[i]);
	struct cmd_rule_del c = {.h.type = CMD_RULE_DEL, .id = j->results[i].id};

	return dp_client_send(j->js->dp, &c, sizeof(c), on_done, &j->slots[i]);
}

void rule_jobs_pump(struct rule_jobs *js)
{
	bool any = false;
	int rc = 0;

	if (js->pumping || js->freeing)
		return;
	js->pumping = true;
	for (struct rule_job *j = js->first; j != NULL && rc != -EAGAIN; j = j->next) {
		while (j->sent < j->n) {
			size_t i = j->sent;

			if (!j->slots[i].answered) {
				rc = send_slot(j, i);
				if (rc == -EAGAIN)
					break;
				if (rc < 0)
					answer(j, &j->slots[i], rc);
				else
					js->n_flying++;
			}
			j->sent++;
			any = true;
		}
	}
	if (any)
		dp_client_flush(js->dp);
	for (struct rule_job *j = js->first; j != NULL; j = j->next)
		if (is_complete(j) && !loop_timer_is_on(js->soon))
			loop_timer_start(js->soon, 0, 0);
	js->pumping = false;
}

void rule_jobs_gone(struct rule_jobs *js)
{
	if (js->first != NULL)
		reap(js);
}

void rule_jobs_lost(struct rule_jobs *js)
{
	for (struct rule_job *j = js->first; j != NULL; j = j->next)
		while (j->kind == JOB_DEL && j->n_gone < j->n && j->slots[j->n_gone].answered)
			j->n_gone++;
	reap(js);
}

void rule_jobs_retake(struct rule_jobs *js)
{
	for (struct rule_job *j = js->first; j != NULL; j = j->next)
		for (size_t i = 0; j->kind == JOB_ADD && i < j->n; i++)
			if (!j->slots[i].answered)
				route_id_take(js->ids, j->results[i].id);
}

static struct rule_job *job_new(
	struct rule_jobs *js, enum job_kind kind, size_t n, rule_done_fn done, void *arg)
{
	struct rule_job *j;

	if (js->n >= RULE_JOBS_MAX)
		return errno_null(EBUSY);
	j = calloc(1, sizeof(*j));
	if (j == NULL)
		return NULL;
	j->slots = calloc(n + 1, sizeof(*j->slots));
	j->results = calloc(n + 1, sizeof(*j->results));
	j->cmds = kind == JOB_ADD ? calloc(n + 1, sizeof(*j->cmds)) : NULL;
	if (j->slots == NULL || j->results == NULL || (kind == JOB_ADD && j->cmds == NULL)) {
		job_free(j);
		return errno_null(ENOMEM);
	}
	*j = (struct rule_job){.js = js,
		.kind = kind,
		.n = n,
		.done = done,
		.arg = arg,
		.slots = j->slots,
		.results = j->results,
		.cmds = j->cmds};
	for (size_t i = 0; i < n; i++)
		j->slots[i].job = j;
	*js->last = j;
	js->last = &j->next;
	js->n++;
	return j;
}

static void preset(struct rule_job *j, size_t i, int32_t status)
{
	j->slots[i].answered = true;
	j->n_answered++;
	j->results[i].status = status;
}

struct rule_job *rule_jobs_add(struct rule_jobs *js, const struct cmd_rule_add *cmds,
	const int32_t *status, size_t n, rule_settle_fn settle, void *settle_arg, rule_done_fn done,
	void *arg)
{
	struct rule_job *j = job_new(js, JOB_ADD, n, done, arg);

	if (j == NULL)
		return NULL;
	j->settle = settle;
	j->settle_arg = settle_arg;
	memcpy(j->cmds, cmds, n * sizeof(*cmds));
	for (size_t i = 0; i < n; i++) {
		j->results[i].id = cmds[i].id;
		if (status != NULL && status[i] != 0)
			preset(j, i, status[i]);
	}
	rule_jobs_pump(js);
	return j;
}

struct rule_job *rule_jobs_del(struct rule_jobs *js, const uint32_t *ids, const uint8_t *how,
	size_t n, rule_settle_fn settle, void *settle_arg, rule_done_fn done, void *arg)
{
	struct rule_job *j = job_new(js, JOB_DEL, n, done, arg);

	if (j == NULL)
		return NULL;
	j->settle = settle;
	j->settle_arg = settle_arg;
	for (size_t i = 0; i < n; i++) {
		j->results[i].id = ids[i];
		j->slots[i].may_lack = how != NULL && how[i] == RULE_DEL_KEPT;
		if (how == NULL || how[i] != RULE_DEL_LOCAL)
			continue;
		route_id_release(js->ids, ids[i]);
		preset(j, i, 0);
	}
	rule_jobs_pump(js);
	return j;
}

void rule_job_cancel(struct rule_job *job)
{
	job->cancelled = true;
}
