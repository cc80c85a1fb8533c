// This node as one of the nodes of a route (skywire-routing 5.2): RPCGateway on dmsg port 136, for
// the set-up nodes of the configuration and nobody else. Streams and their calls are here, what the
// calls do is route_gate's. Loop's thread only.
#pragma once

#include "controlplane/dmsg/dmsg_client.h"
#include "controlplane/route/route_gate.h"
#include "controlplane/route/rpc_port.h"

enum {
	ROUTE_PEER_NODES_MAX = RPC_CALLERS_MAX, // set-up nodes
	ROUTE_PEER_STREAMS_MAX = 1024, // 25 KiB each ...
	ROUTE_PEER_STREAMS_OF_KEY = 256, // ... of one set-up node
	// A stream ends that brings no whole call in so long: a set-up takes 30 s at most, all of
	// which another node may take to reserve.
	ROUTE_PEER_IDLE_MS = 35000,
};

struct route_peer;

// Who may lay routes here.
struct route_peer_policy {
	const struct key_pk *nodes; // copied
	uint32_t n_nodes; // 0: nobody, and the port is closed
	bool no_transit; // they may only lay routes that end here
};

struct route_peer_conf {
	struct route_gate_conf gate;
	struct dmsg_client *client; // borrowed
	struct route_peer_policy policy;
	uint32_t idle_ms; // 0: ROUTE_PEER_IDLE_MS
};

struct route_peer_stats {
	struct route_gate_stats gate;
	uint64_t strangers; // streams of others
	uint64_t streams_refused; // above the limits
	uint64_t bad; // carried no net/rpc, or nothing in time
	uint64_t unknown; // calls of other methods
	uint32_t streams; // now
};

// NULL and errno; EADDRINUSE: somebody listens on that port; EINVAL: too many set-up nodes. Owner:
// the caller.
struct route_peer *route_peer_new(const struct route_peer_conf *conf);
// Before the client and the rules. What was laid stays. NULL is allowed.
void route_peer_free(struct route_peer *p);
// Streams of keys that are not among them any more are closed; rules that they laid stay. 0 or
// -errno as above: then nobody has changed.
int route_peer_set_policy(struct route_peer *p, const struct route_peer_policy *policy);

// As route_gate_claim(). p may be NULL: nothing is reserved.
bool route_peer_claim(
	struct route_peer *p, const struct key_pk *setup_node, const uint32_t *ids, size_t n);
const struct route_gate *route_peer_gate(const struct route_peer *p);
void route_peer_stats_get(const struct route_peer *p, struct route_peer_stats *out);
