// This node as one whose transports others may set up (skywire-routing 5.2): TransportGateway on
// dmsg port 47, for the nodes of the configuration and nobody else. They have transports made,
// listed and removed; those that were made otherwise they neither see nor remove. Loop's thread
// only.
//
//   AddTransport:    there is one of that peer and type -> waits until it is up
//                    else it is made -> up: its id; a dial came to nothing: removed, and why
//   RemoveTransport: one that was made so, by whichever of the nodes
//   GetTransports:   those that were made so, up or not
//
// What was made is kept up until it is removed, or this process ends.
#pragma once

#include "controlplane/route/rpc_port.h"
#include "controlplane/transport/transport_mgr.h"
#include "lib/wire/tp_setup_msg.h"

enum {
	TP_GATEWAY_NODES_MAX = RPC_CALLERS_MAX,
	TP_GATEWAY_STREAMS_MAX = 64, // 25 KiB each, and one call at a time ...
	TP_GATEWAY_STREAMS_OF_KEY = 16, // ... of one node
	TP_GATEWAY_IDLE_MS = 35000, // a stream ends that brings no whole call in so long
	// For a transport to be up. Longer than any dial takes: one that has begun is not cut.
	TP_GATEWAY_WAIT_MS = 90000,
};

struct tp_gateway;

struct tp_gateway_conf {
	struct loop *loop;
	struct dmsg_client *client; // borrowed, as the next one
	struct transport_mgr *transports;
	const struct key_pk *self;
	const struct key_pk *nodes; // who may call; copied
	uint32_t n_nodes; // 0: nobody, and the port is closed
};

struct tp_gateway_stats {
	uint64_t made, failed, removed; // transports
	uint64_t refused; // calls
	uint64_t unknown; // calls of other methods
	struct rpc_port_stats port;
};

// NULL and errno; EADDRINUSE: somebody listens on that port; EINVAL: too many nodes. Owner: the
// caller.
struct tp_gateway *tp_gateway_new(const struct tp_gateway_conf *conf);
// Before the client and the transports. What was made stays. NULL is allowed.
void tp_gateway_free(struct tp_gateway *g);
// As rpc_port_callers(). What they had made stays.
int tp_gateway_set_nodes(struct tp_gateway *g, const struct key_pk *nodes, uint32_t n);
void tp_gateway_stats_get(const struct tp_gateway *g, struct tp_gateway_stats *out);
