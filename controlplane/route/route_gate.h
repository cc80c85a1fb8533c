// What set-up nodes may do at this node (skywire-routing 5.2, real-peers 2.4 to 2.6): reserve ids,
// have rules installed for them, take them back. Which keys are set-up nodes is decided by who
// calls (route_peer), for streams are his. A yes is said when the data plane has the rules, and not
// before. Loop's thread only.
//
// An id lives for ROUTE_HOLD_MS after it was reserved, whatever becomes of the stream it was asked
// on. What the limits below count is bounded for one key and for all; what the table has room for
// is bounded by its size: seven eighths for set-ups, half of it for one key.
#pragma once

#include "controlplane/route/rule_mgr.h"
#include "lib/route/claim.h"
#include "lib/wire/setup_msg.h"

enum {
	ROUTE_HOLD_MS = 60000, // real-peers 2.4
	ROUTE_RESERVED_MAX = 16384, // ids that wait for rules ...
	ROUTE_RESERVED_OF_KEY = 4096, // ... of one set-up node
	// Calls of all set-up nodes that wait for the data plane: each is a job of the rules, of
	// which some are left to this node's own (static rules, ends of groups).
	ROUTE_CALLS_MAX = RULE_JOBS_MAX / 4 * 3,
	ROUTE_CALLS_OF_KEY = RULE_JOBS_MAX / 2, // of one set-up node
	ROUTE_WHY_MAX = 200,
};

struct route_gate;

// Who takes routes that end here; a node that has none refuses them. The gate has looked at ids,
// kinds, keep-alives and the descriptors; he installs the rules. 0: done comes, once and later, and
// says 0 when both are there, else their ids are released or about to be (rule_mgr_install());
// -errno: refused, done does not come, and the ids are the gate's. Ends before the gate does.
struct route_edges {
	int (*accept)(void *arg, const struct setup_edge *edge,
		void (*done)(void *done_arg, int status), void *done_arg);
	void *arg;
};

struct route_gate_conf {
	struct loop *loop;
	struct dp_client *dp; // borrowed, as the next two; rules is older than the gate
	struct rule_mgr *rules;
	struct route_id *ids;
	struct key_pk self; // where edges' routes end
	struct route_edges edges; // accept NULL: none
};

struct route_gate_stats {
	uint64_t reserved, lapsed; // ids; lapsed: not used in time
	uint64_t laid, taken_back; // rules
	uint64_t refused; // calls
	uint64_t no_transit; // calls, for routes through a node that takes none
	uint64_t ids_now, rules_now; // that set-up nodes hold
	uint64_t foreign; // ids in calls of who does not hold them
};

// NULL and errno. Owner: the caller.
struct route_gate *route_gate_new(const struct route_gate_conf *conf);
void route_gate_free(struct route_gate *g); // no call is answered any more; NULL is allowed
// No intermediary rules from now on; those that are there stay.
void route_gate_set_transit(struct route_gate *g, bool transit);

// 0, or -errno and why not, in Skywire's words.
int route_gate_reserve(struct route_gate *g, const struct key_pk *by, uint8_t n,
	uint32_t ids[SETUP_IDS_MAX], char why[ROUTE_WHY_MAX]);

// The three that take a while. 0: done comes, once and later, with NULL or with why not; *call can
// be forgotten until then. -EALREADY: done, there was nothing to do; other -errno: refused, and
// `why` says why.
typedef void (*route_call_fn)(void *arg, const char *why);
struct route_call;

int route_gate_intermediary(struct route_gate *g, const struct key_pk *by,
	const struct rule_wire *rules, uint32_t n, route_call_fn done, void *arg,
	struct route_call **call, char why[ROUTE_WHY_MAX]);
int route_gate_edge(struct route_gate *g, const struct key_pk *by, const struct setup_edge *edge,
	route_call_fn done, void *arg, struct route_call **call, char why[ROUTE_WHY_MAX]);
// Only ids that this set-up node holds; others are passed over, as Skywire does.
int route_gate_delete(struct route_gate *g, const struct key_pk *by, const uint32_t *ids,
	uint32_t n, route_call_fn done, void *arg, struct route_call **call,
	char why[ROUTE_WHY_MAX]);
void route_call_forget(struct route_call *call); // done does not come; the call goes on

// We asked this set-up node for a route: its reservation of ids becomes ours, all of them or none
// (false: not reserved by it). The caller releases them, or has rules installed.
bool route_gate_claim(struct route_gate *g, const struct key_pk *by, const uint32_t *ids, size_t n);

void route_gate_stats_get(const struct route_gate *g, struct route_gate_stats *out);
const struct claim *route_gate_find(
	const struct route_gate *g, uint32_t id); // NULL: not of a set-up
void route_gate_each(
	const struct route_gate *g, void (*fn)(void *arg, const struct claim *claim), void *arg);
