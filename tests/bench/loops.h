// The baselines of the forwarding benches: what any forwarder must at least do with a frame,
// written as plainly and as fast as we can, on the same devices, frames and rules as the real
// worker.
#pragma once

#include "dataplane/rule/rule_table.h"

#include <rte_hash.h>
#include <rte_mbuf.h>

struct loop {
	uint16_t port;
	const struct rule_table *rules;
	struct rte_hash *hash; // key: route id; position + 1 = index of `values`
	struct rule *values; // rules of the hash loop
};

enum {
	OFF_RAIL = 14 + 20 + 8, // Ethernet, IPv4, UDP
	OFF_ROUTE = OFF_RAIL + 16 + 1, // rail header, frame type
};

// One turn: receive a burst, check the headers, look the rule up, write the new id and swap MACs,
// addresses and ports, send. Returns frames sent.
unsigned loop_bare(const struct loop *l);
// The same with rte_hash's bulk lookup instead of the direct index.
unsigned loop_hash(const struct loop *l);
