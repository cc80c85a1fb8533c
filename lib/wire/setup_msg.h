// Route set-up by net/rpc (skywire-routing 5): what an initiator asks of a set-up node, and what
// that asks of each node of a route; both ends of both. Types are matched by field name, so
// messages of 2024 and 2026 are read alike. Bytes in, bytes out; no allocation.
#pragma once

#include "lib/crypto/key.h"
#include "lib/wire/netrpc.h"
#include "lib/wire/rule.h"

#define SETUP_SERVICE "SetupRPCGateway" // at a set-up node
#define SETUP_DIAL SETUP_SERVICE ".DialRouteGroup"
#define SETUP_GATEWAY "RPCGateway" // at each node
#define SETUP_RESERVE SETUP_GATEWAY ".ReserveIDs"
#define SETUP_INTERMEDIARY SETUP_GATEWAY ".AddIntermediaryRules"
#define SETUP_EDGE SETUP_GATEWAY ".AddEdgeRules"
#define SETUP_DELETE SETUP_GATEWAY ".DelRules"
// In our nodes' refusals of rules, which set-up nodes pass on: the rule's transport is not there.
#define SETUP_NO_TRANSPORT "no such transport here"

enum {
	SETUP_HOPS_MAX = 50, // of one direction: as many as visors ask for
	SETUP_IDS_MAX = 2 * (SETUP_HOPS_MAX + 1), // of a route, both directions
	SETUP_DIAL_PORT = 36, // dmsg, at a set-up node
	SETUP_GATEWAY_PORT = 136, // dmsg, at each node
	SETUP_ASK_MAX = 12800, // bytes of SETUP_DIAL with all hops
};

struct setup_hop {
	uint8_t tp_id[RULE_TP_ID_LEN];
	struct key_pk from, to;
};

struct setup_path {
	uint32_t n;
	struct setup_hop hop[SETUP_HOPS_MAX];
};

struct setup_route { // BidirectionalRoute
	struct rule_desc desc;
	int64_t keep_alive_ns;
	struct setup_path forward, reverse; // from initiator to responder, and back
};

// What an edge is given. Rules as they are on the wire (rule.h).
struct setup_edge { // EdgeRules
	struct rule_desc desc;
	uint8_t forward[RULE_FORWARD_LEN];
	uint8_t consume[RULE_CONSUME_LEN];
};

// Bodies of calls and answers that netrpc_take() gave. -EBADMSG: another type, or values that
// cannot be; -E2BIG: more hops or ids than the limits.
int setup_route_read(struct setup_route *route, const struct netrpc_rx *rx);
int setup_ids_read(uint32_t ids[SETUP_IDS_MAX], uint32_t *n, const struct netrpc_rx *rx);
int setup_bool_read(bool *v, const struct netrpc_rx *rx);
int setup_count_read(uint8_t *n, const struct netrpc_rx *rx); // of SETUP_RESERVE
// Rules of any kind; what lies behind the bytes of one is passed over.
int setup_rules_read(
	struct rule_wire rules[SETUP_IDS_MAX], uint32_t *n, const struct netrpc_rx *rx);
// One forward and one consume rule, as their bytes say.
int setup_edge_read(struct setup_edge *edge, const struct netrpc_rx *rx);
// The rules of an edge; false: they are not one of each kind.
bool setup_edge_rules(
	const struct setup_edge *edge, struct rule_wire *forward, struct rule_wire *consume);
// Are both of the edge's route? Its descriptor is the consume rule's; the forward rule's is that
// the other way round.
bool setup_edge_is_one(const struct setup_edge *edge, const struct rule_wire *forward,
	const struct rule_wire *consume);
// The rules, forward first, of an edge that was asked for: with this descriptor, keep-alive, and
// transport to the first hop. False: it is another.
bool setup_edge_is_of(const struct setup_edge *edge, const struct rule_desc *desc,
	const uint8_t tp_id[RULE_TP_ID_LEN], int64_t keep_alive_ns, struct rule_wire rules[2]);

// Whole calls. Rules are RULE_INTERMEDIARY_LEN bytes each. w->bad: they have no room.
void setup_put_reserve(struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, uint8_t n);
void setup_put_intermediary(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const uint8_t *rules, uint32_t n);
void setup_put_edge(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const struct setup_edge *edge);
void setup_put_delete(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const uint32_t *ids, uint32_t n);
// SETUP_DIAL: at most SETUP_ASK_MAX bytes.
void setup_put_dial(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const struct setup_route *route);
// Whole answers: to SETUP_DIAL, to SETUP_RESERVE, and to the others.
void setup_put_dialled(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const struct setup_edge *edge);
void setup_put_reserved(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const uint32_t *ids, uint32_t n);
void setup_put_bool(
	struct netrpc_tx *tx, struct bytes_w *w, const char *method, uint64_t seq, bool v);
