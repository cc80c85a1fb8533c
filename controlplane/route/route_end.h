// Ends of routes at this node: pairs of a forward rule (out) and a consume rule (in) that an edge
// or a route group holds. What the data plane gives and tells of them is handed to the holder;
// what comes for nobody is counted. One thread: the loop's.
#pragma once

#include "controlplane/route/rule_mgr.h"

enum {
	// A Close and the command that removes its rule take different rings: a worker that waits
	// for its turn sends the Close before.
	ROUTE_END_CLOSE_MS = 400,
	ROUTE_END_CLOSING_MAX = 65536,
};

struct route_end_ops {
	// A packet by the consume rule, whole or not; it may be changed in place. False: not
	// wanted.
	bool (*packet)(void *arg, uint8_t *packet, size_t len);
	// One of its rules is gone. Packets that came before may still be on their way by the other
	// ring.
	void (*gone)(void *arg, const struct evt_rule *r);
	// What is sent by the forward rule has to wait, or may go on. Told again by each dump.
	void (*pause)(void *arg, bool paused);
};

// Zeroed: not bound. Open so that it can lie in its holder's struct; fields are read only.
struct route_end {
	uint32_t forward_id, consume_id;
	const struct route_end_ops *ops;
	void *arg;
	struct route_end *next_forward, *next_consume; // of those in the same bucket
};

struct route_ends;

// NULL and errno. The rule manager outlives it.
struct route_ends *route_ends_new(struct loop *loop, struct dp_client *dp, struct rule_mgr *rules);
void route_ends_free(struct route_ends *ends); // all are unbound before; NULL is allowed

// From now on e hears of these rules, and of no others. Ids that somebody else holds, too: each
// hears of pauses and of rules that are gone, the first one that wants it gets a packet.
void route_ends_bind(
	struct route_ends *ends, struct route_end *e, uint32_t forward_id, uint32_t consume_id);
void route_ends_unbind(struct route_ends *ends, struct route_end *e); // idempotent
// Takes a rule away when a Close that was just sent by it had the time to leave. One that can't be
// noted ends with its keep-alive.
void route_ends_remove(struct route_ends *ends, uint32_t id);
uint64_t route_ends_strays(const struct route_ends *ends); // packets that nobody wanted
