// Inside of transports: their flows. Part of transport_priv.h, which alone includes it.
#pragma once

#include "controlplane/dp/neigh.h"
#include "lib/shm/dpmsg.h"

#include <stdbool.h>
#include <stdint.h>

struct transport;

// One flow of a transport: a hop of the data plane.
struct tp_flow {
	struct transport *t;
	uint8_t nr; // 1..RAIL_FLOWS_MAX
	uint8_t owner; // worker, 0xff: not known
	bool in_dp; // its hop is there, or on its way
	bool seen; // in this dump
	bool dead; // silent
	bool unheard; // nothing came under the keys of our handshake yet
	bool unsure; // the data plane spoke of a key that we don't know: ask
	uint32_t hop; // handle, 0: none left, or the data plane was never there
	uint32_t rtt_us;
	uint64_t instance_remote; // that its hop's state belongs to
	struct dpmsg_addr peer; // where it is; port 0: not known
	struct neigh_ref *ref; // way to `peer`
	struct dpmsg_addr roamed; // new address whose way is being looked for; port 0: none
	struct neigh_ref *roam_ref;
	uint32_t dp_adj; // what the data plane was told about `peer`
	struct dpmsg_addr dp_peer;
	uint32_t rx_index, rx_old; // of the key in use, of the one before
	uint64_t rx_old_ns;
	uint32_t pending; // of the key that nothing came under yet
	uint32_t crossed; // ... that our own handshake made nothing of; the peer may seal with it
	struct dpmsg_addr pending_peer; // takes effect with it
};

// So many flows, or fewer, may be offered now: n <= RAIL_FLOWS_MAX are asked for, and those that
// there are ports and handles for are made. At least 1.
unsigned tp_flows_make(struct transport *t, unsigned n);
void tp_flows_free(struct transport *t); // ways and memory; handles are dropped
unsigned tp_flows_wanted(const struct transport *t); // by configuration
// Receiver indices for n flows; all or none. false: none are left.
bool tp_indices_take(struct transport *t, uint32_t *rx_index, unsigned n);
void tp_indices_put(struct transport *t, uint32_t *rx_index, unsigned n); // and sets them to 0
// The key with this index, agreed on by a handshake, takes the place of the one before.
void tp_flow_key(struct tp_flow *f, uint32_t rx_index);
void tp_flow_forget(struct tp_flow *f); // its link has ended
// The way to f->peer is wanted (or wanted anew): the data plane is told when it is there.
int tp_path_want(struct tp_flow *f);
void tp_flow_roamed(struct tp_flow *f, const struct dpmsg_addr *to);
bool tp_any_dead(const struct transport *t);
void tp_handles_want(struct transport *t);
void tp_handles_unmap(struct transport *t); // events that name them are not for t any more
void tp_handles_drop(struct transport *t);
// Take over what lives in the data plane: -EEXIST when another has it.
int tp_handle_tp_take(struct transport *t, uint32_t tp);
int tp_handle_hop_take(struct tp_flow *f, uint32_t hop);
struct tp_flow *tp_flow_new(struct transport *t, unsigned nr); // NULL: no memory
