// What a set-up node has to reserve and to install where, for one route (skywire-routing 5.3).
// Pure: no sockets, no clock. A path of n hops has n + 1 places, each with a route id of the node
// there; the rule of a place says what its node does with packets that carry that id.
//
//     place      0              1                  n
//     node       hops[0].from   hops[0].to   ...   hops[n-1].to
//     rule       forward        intermediary ...   consume
//
// Nodes are numbered in the order of their first place; one may have many.
#pragma once

#include "lib/wire/setup_msg.h"

// Of Skywire, for ends of paths that are not those of the descriptor.
#define SETUP_WRONG_ENDS "bidirectional route has an invalid route description"

enum {
	SETUP_KEEP_ALIVE_MIN_S = 5, // of rules (real-peers 2.5)
	SETUP_KEEP_ALIVE_MAX_S = 3600,
	SETUP_WHY_MAX = 160,
};

struct setup_place {
	uint8_t node;
	uint32_t id; // 0: not reserved yet
};

struct setup_plan {
	struct setup_route route;
	uint32_t n_nodes, n_places, n_forward; // places; those of the forward path come first
	struct key_pk node[SETUP_IDS_MAX];
	struct setup_place place[SETUP_IDS_MAX];
};

// 0, or -EINVAL and what is wrong with the route, in words for who asked. Those of Skywire where it
// checks the same.
int setup_plan_init(
	struct setup_plan *plan, const struct setup_route *route, char why[SETUP_WHY_MAX]);
// Ids that this node has to reserve: 1 at least.
uint32_t setup_plan_wants(const struct setup_plan *plan, uint32_t node);
// What it reserved. -EPROTO: not as many as it has to, 0, or the same twice.
int setup_plan_give(struct setup_plan *plan, uint32_t node, const uint32_t *ids, uint32_t n);
// The ids that it was given, in order. Returns how many.
uint32_t setup_plan_ids(const struct setup_plan *plan, uint32_t node, uint32_t ids[SETUP_IDS_MAX]);

// When every node has its ids: the intermediary rules of this node, RULE_INTERMEDIARY_LEN bytes
// each. Returns how many.
uint32_t setup_plan_rules(const struct setup_plan *plan, uint32_t node,
	uint8_t rules[SETUP_IDS_MAX * RULE_INTERMEDIARY_LEN]);
void setup_plan_initiator(const struct setup_plan *plan, struct setup_edge *edge);
void setup_plan_responder(const struct setup_plan *plan, struct setup_edge *edge);
uint32_t setup_plan_responder_node(const struct setup_plan *plan);
