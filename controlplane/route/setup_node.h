// The set-up node role: serves SetupRPCGateway.DialRouteGroup on dmsg port 36 (skywire-routing 5),
// with a dmsg client of its own key. Who asks gets routes laid through nodes that have this key in
// their list; nodes that have not refuse, and he is told. Loop's thread only.
#pragma once

#include "controlplane/route/setup_job.h"

enum {
	SETUP_ASKERS_MAX = 256, // streams to port 36 ...
	SETUP_ASKERS_OF_KEY = 8, // ... of one key
	SETUP_JOBS_MAX = 64, // routes being set up, at once ...
	SETUP_JOBS_OF_KEY = 4, // ... of those that one key asked for
	SETUP_CALLS_MAX = 1024, // streams to nodes, of all of them; each has 25 KiB
	SETUP_IDLE_MS = 10000, // a stream ends that brings no whole call in so long
	SETUP_HISTORY = 64, // of the last ones, for people ...
	SETUP_HISTORY_LOOPS = 8, // ... and of loops, of which one trace asks for many
	SETUP_WHY_SHOWN = 256,
};

struct setup_node;

struct setup_node_conf {
	struct loop *loop;
	struct dmsg_client *client; // borrowed: of the role's own key
	// 0: SETUP_IDLE_MS, SETUP_JOB_MS, SETUP_REST_MS, SETUP_OLD_MS, SETUP_KEEP_MS,
	// SETUP_TRY_MS
	uint32_t idle_ms, job_ms, rest_ms, old_ms, keep_ms, try_ms;
	uint32_t calls_max, jobs_max; // 0: SETUP_CALLS_MAX, SETUP_JOBS_MAX
};

struct setup_node_stats {
	uint64_t done, failed; // set-ups
	uint64_t refused; // beyond the limits, or no routes
	uint64_t streams, streams_refused; // of those who ask
	uint64_t bad; // streams that carried no net/rpc, or nothing in time
	uint32_t running, askers, calls, kept; // now
};

struct setup_info {
	struct rule_desc desc;
	uint8_t n_forward, n_reverse; // hops
	bool loop; // both ends are the same node: of a trace, or of a visor's ping
	bool over;
	bool ok;
	enum setup_step step; // while it is not over
	uint64_t begun_ns, took_ns; // monotonic; took: until the answer, or until now
	char why[SETUP_WHY_SHOWN]; // it failed; cut
};

// NULL and errno; EADDRINUSE: somebody listens there. Owner: the caller.
struct setup_node *setup_node_new(const struct setup_node_conf *conf);
void setup_node_free(struct setup_node *n); // before the client; NULL is allowed
void setup_node_stats_get(const struct setup_node *n, struct setup_node_stats *out);
// Those under way and the last ones, newest first.
void setup_node_each(const struct setup_node *n,
	void (*fn)(void *arg, const struct setup_info *info), void *arg);
