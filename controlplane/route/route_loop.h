// Loops: routes from this node over others and back, to measure how long a packet takes (real-peers
// 2.8). Its nodes need no more than to forward. A set-up node lays a loop as any route, and this
// node is both of its edges: the near one is answered to who asked for it, the far one comes as to
// any responder. Loop's thread only.
//
//            forward rule --> node ... node --> consume rule      Pings, and a Close
//   near                                                    far
//            consume rule <-- node ... node <-- forward rule      a Close
#pragma once

#include "controlplane/route/route_end.h"
#include "controlplane/route/route_group.h"

enum {
	ROUTE_LOOP_PORT = 58, // both ends of a loop are ours; visors ping there
	ROUTE_LOOPS_MAX = 8, // that are laid or measured
	ROUTE_LOOP_PINGS_MAX = 100,
	ROUTE_LOOP_PING_MS = 2000, // for a Ping to come back
	ROUTE_LOOP_GAP_MS = 20, // between two
	ROUTE_LOOP_DEAD = 3, // Pings in vain, of which none ever came
	ROUTE_LOOP_CLOSE_MS = 1000, // for both Closes
};

struct route_loops_conf {
	struct loop *loop;
	struct dp_client *dp; // borrowed, as the rest
	struct rule_mgr *rules;
	struct route_ends *ends;
	const struct key_pk *self;
	void (*way)(void *arg, const struct rule_wire *forward, struct route_way *out);
	void *way_arg;
	uint32_t ping_ms, gap_ms, close_ms; // 0: as above
};

struct route_loops;
struct route_loop;

struct route_loops_stats {
	uint64_t loops; // that were begun
	uint64_t failed; // of those, that measured nothing
	uint64_t lost; // Pings that did not come back in time
	uint64_t refused; // too many at once
};

struct route_loops *route_loops_new(const struct route_loops_conf *conf); // NULL and errno
// What is left of loops ends with its keep-alive. NULL is allowed; before it all are closed.
void route_loops_free(struct route_loops *ls);
void route_loops_stats_get(const struct route_loops *ls, struct route_loops_stats *out);
// Is it the edge of a loop? No other route goes from us to this port of ours.
bool route_loops_owns(const struct route_loops *ls, const struct setup_edge *edge);
// As route_groups_accept(): the far edge of one that is being laid. -ECONNREFUSED: of none.
int route_loops_accept(struct route_loops *ls, const struct setup_edge *edge,
	void (*done)(void *arg, int status), void *arg);

struct route_loop_result {
	uint32_t sent, lost; // Pings
	uint32_t min_us, avg_us, max_us; // of those that came; zeros: none did
};

// Once, not from within a call of the owner's. -errno and why when there is nothing to tell.
typedef void (*route_loop_fn)(
	void *arg, const struct route_loop_result *result, int err, const char *why);
// A loop that is to be laid: its far edge is expected from now on. route (the caller's, until it is
// started) has our key at both ends, and ROUTE_LOOP_PORT. NULL and errno: EBUSY: too many; ENOMEM.
// Owner: the caller, until he closes it, which he does in any case.
struct route_loop *route_loop_new(struct route_loops *ls, const struct setup_route *route,
	uint32_t n_pings, route_loop_fn fn, void *arg);
// It is laid, and rules are those of the near edge, whose ids are ours: installs them and sends
// Pings. 0, or -errno: fn does not come, and the ids are still the caller's. -EPROTO: the far edge
// is not here.
int route_loop_start(struct route_loop *lp, const struct rule_wire rules[2]);
// What it measured so far; a Ping that is on its way does not count yet.
void route_loop_result_get(const struct route_loop *lp, struct route_loop_result *out);
// fn comes no more. Closes what there is, at all nodes, and ends by itself. NULL is allowed.
void route_loop_close(struct route_loop *lp);
