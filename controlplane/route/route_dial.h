// Our own dials (skywire-routing 3, dial procedure): a way to the destination, explicit or of the
// route finder; a set-up node that lays the route; and the group on top of its rules. At most
// ROUTE_DIALS_MAX at once; each ends by itself. Loop's thread only.
//
//   ways --both--> set-up node, in the order of its list --rules--> group --noise--> a conn
#pragma once

#include "controlplane/core/conn.h"
#include "controlplane/dmsg/dmsg_client.h"
#include "lib/route/route_path.h"
#include "lib/wire/entry.h"
#include "lib/wire/setup_msg.h"

enum {
	ROUTE_DIALS_MAX = 64,
	ROUTE_DIAL_VIA_MAX = SETUP_HOPS_MAX - 1,
	ROUTE_DIAL_WAYS_MAX = 8, // of a route finder, one direction
	ROUTE_DIAL_SETUP_MS = 35000, // a set-up node's answer (real-peers 2.9)
	ROUTE_DIAL_NODE_MS = 10000, // a stream to one
	ROUTE_DIAL_KEEP_ALIVE_S = 600,
	ROUTE_DIAL_SETUP_NODES_MAX = 64,
	ROUTE_DIAL_TO_MAX = 64,
	ROUTE_DIAL_WHY_MAX = 448, // a set-up node's longest answer, and who says it
};

struct route_dialler;
struct route_dial;

// What came of a look-up: paths in the finder's order. err 0, or -errno and a text.
typedef void (*route_ways_fn)(void *arg, int err, const char *why, const struct setup_path *forward,
	uint32_t n_forward, const struct setup_path *reverse, uint32_t n_reverse);

// The modules above and beside, as a dial needs them; a test puts its own in.
struct route_dial_ops {
	// A transport of ours to this node that is up. false: none.
	bool (*link)(void *arg, const struct key_pk *peer, uint8_t tp_id[RULE_TP_ID_LEN]);
	// Ids that this set-up node reserved here are ours from now on. false: they are not its.
	bool (*claim)(void *arg, const struct key_pk *setup_node, const uint32_t *ids, size_t n);
	// Ids that were claimed are free again: there will be no rules.
	void (*release)(void *arg, const uint32_t *ids, size_t n);
	// A local port for a group with (pk, port); 0: none is free.
	uint16_t (*port)(void *arg, const struct key_pk *pk, uint16_t port);
	// The group over these rules: `open` or `end` will come. NULL and errno.
	struct conn *(*open)(void *arg, const struct setup_edge *edge, const struct conn_events *ev,
		void *ev_arg);
	// Why a group ended, for people.
	const char *(*why)(const struct conn *group);
	// Asks the route finder; NULL: there is none. Returns what `unfind` takes, or NULL and
	// errno; fn never from within the call.
	void *(*find)(void *arg, const struct key_pk *dst, struct route_path_limits limits,
		route_ways_fn fn, void *fn_arg);
	void (*unfind)(void *arg, void *look_up);
	void *arg;
};

struct route_dialler_conf {
	struct loop *loop;
	struct dmsg_client *client; // borrowed
	const struct key_pk *self;
	struct route_dial_ops ops;
	uint32_t setup_ms, node_ms; // 0: as above
};

struct route_dial_ask {
	struct key_pk dst;
	uint16_t port;
	uint8_t n_via;
	struct key_pk via[ROUTE_DIAL_VIA_MAX]; // nodes between, in order
	char type[ENTRY_TYPE_MAX + 1]; // of transports after the first one; "" = rail
	struct route_path_limits hops; // without `via`; zeros: as the policy says
	uint32_t keep_alive_s; // of the rules; 0: as the policy says
};

// What the configuration says about dials. All borrowed until route_dialler_set() returns.
struct route_dial_to {
	struct key_pk pk;
	struct route_path_limits hops;
};
struct route_dial_policy {
	const struct key_pk *nodes; // set-up nodes, the first one is asked first
	size_t n_nodes;
	struct route_path_limits hops;
	const struct route_dial_to *to; // destinations with limits of their own
	size_t n_to;
	uint32_t keep_alive_s; // 0: ROUTE_DIAL_KEEP_ALIVE_S
};

struct route_dialler_stats {
	uint64_t dialled, failed, refused; // refused: too many at once
	uint32_t running; // now
};

// NULL and errno. Owner: the caller; no dial may be under way at its end.
struct route_dialler *route_dialler_new(const struct route_dialler_conf *conf);
void route_dialler_free(struct route_dialler *d); // NULL is allowed
// From the next dial on. -ENOSPC: more nodes or destinations than the limits; nothing is changed.
int route_dialler_set(struct route_dialler *d, const struct route_dial_policy *policy);
void route_dialler_stats_get(const struct route_dialler *d, struct route_dialler_stats *out);

// Once, never from within the call: the group, open, whose events go to nobody yet; or NULL, -errno
// and why, for people.
typedef void (*route_dial_fn)(void *arg, struct conn *take_conn, int err, const char *why);
// NULL and errno: EINVAL: no such key or port, or our own key without a way; EBUSY: too many;
// ENOMEM.
struct route_dial *route_dial_new(
	struct route_dialler *d, const struct route_dial_ask *ask, route_dial_fn fn, void *arg);
// No call any more; what was laid is closed. NULL is allowed; not after the call.
void route_dial_cancel(struct route_dial *dial);
