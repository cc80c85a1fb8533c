// Jobs of rule_mgr: many rules to add or remove, sent as the ring has room, answered together.
// Between rule_mgr.c and rule_job.c only.
#pragma once

#include "controlplane/route/rule_mgr.h"

struct rule_jobs;

struct rule_jobs *rule_jobs_new(struct loop *loop, struct dp_client *dp, struct route_id *ids);
void rule_jobs_free(struct rule_jobs *js);

// Called before `done`, also for a cancelled job: the manager's own bookkeeping.
typedef void (*rule_settle_fn)(void *arg, const struct api_rule_done *done, size_t n);

// cmds[i] with status[i] != 0 is not sent: that is its result (status NULL: send all). Ids of those
// that are sent are taken already, and released if they fail. Copies. NULL and errno (ENOMEM,
// EBUSY).
struct rule_job *rule_jobs_add(struct rule_jobs *js, const struct cmd_rule_add *cmds,
	const int32_t *status, size_t n, rule_settle_fn settle, void *settle_arg, rule_done_fn done,
	void *arg);
enum rule_del {
	RULE_DEL_SEND,
	RULE_DEL_LOCAL, // the data plane never had it: only the id is released
	RULE_DEL_KEPT, // it may have it; if not, that is no error
};
// how[i]: enum rule_del (NULL: send all).
struct rule_job *rule_jobs_del(struct rule_jobs *js, const uint32_t *ids, const uint8_t *how,
	size_t n, rule_settle_fn settle, void *settle_arg, rule_done_fn done, void *arg);

void rule_jobs_pump(struct rule_jobs *js); // there is room
void rule_jobs_gone(struct rule_jobs *js); // an id was released
void rule_jobs_lost(struct rule_jobs *js); // events were lost: nobody waits for RULE_GONE any more
// Ids that are part of unfinished add jobs are taken in a table of ids that was just made.
void rule_jobs_retake(struct rule_jobs *js);
