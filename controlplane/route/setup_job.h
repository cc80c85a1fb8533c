// One route being set up (skywire-routing 5.3): streams to all its nodes at once, ids reserved at
// all, intermediary rules installed at all, then the responder's, then the answer. What was
// installed before a failure is taken back where nodes can do that (2026), else it expires. Loop's
// thread only.
#pragma once

#include "controlplane/route/setup_call.h"
#include "lib/route/setup_plan.h"

#include <assert.h>

enum {
	SETUP_JOB_MS = 30000, // all of it; who asks waits 35 s
	SETUP_DIAL_MS = 20000, // a stream to one node
	SETUP_UNDO_MS = 5000,
	SETUP_REST_MS = 1000, // until one that failed is over: what it cost can't be had faster
	// Nodes of which is remembered that they cannot take rules back, and for how long: one that
	// is brought up to date learns it.
	SETUP_OLD_MAX = 256,
	SETUP_OLD_MS = 3600000,
	SETUP_TEXT_MAX = 400,
};
static_assert((int)SETUP_TEXT_MAX >= (int)SETUP_WHY_MAX, "a plan's words are the job's");

enum setup_step {
	SETUP_RESERVES, // dials, and reserves at each node as soon as it is reached
	SETUP_INSTALLS, // intermediary rules
	SETUP_ENDS, // the responder's rules
	SETUP_DONE,
	SETUP_UNDOES,
};

// The latest of them; zeroed is empty.
struct setup_old {
	struct {
		struct key_pk pk;
		uint64_t until_ns;
	} node[SETUP_OLD_MAX];
	uint32_t n; // so far
};

struct setup_job_conf {
	struct loop *loop;
	struct dmsg_client *client; // borrowed
	uint32_t limit_ms, rest_ms, old_ms;
	struct setup_keep *keep; // shared by all jobs, as the next one; borrowed
	struct setup_old *old;
	// Once: the initiator's rules, or NULL and why there are none.
	void (*answer)(void *arg, const struct setup_edge *edge, const char *why);
	void (*over)(void *arg); // the last word: the owner frees the job, now or later
	void *arg;
};

struct setup_job;

// NULL and errno, and `why` in words: EINVAL: no route; else what could not be begun.
struct setup_job *setup_job_new(const struct setup_job_conf *conf, const struct setup_route *route,
	char why[SETUP_TEXT_MAX]);
// Nobody waits for the answer any more: undone, and after its rest over.
void setup_job_abort(struct setup_job *j);
void setup_job_free(struct setup_job *j); // also before it is over: nothing is undone then
enum setup_step setup_job_step(const struct setup_job *j);
uint32_t setup_job_nodes(const struct setup_job *j);
