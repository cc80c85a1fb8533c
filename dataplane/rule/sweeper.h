// Expires rules: a bounded walk over the table per tick, so that a whole round takes about
// SWEEP_ROUND_MS whatever the size. Lookup honours expiry too, so the round's length is only how long
// a dead rule may occupy its slot.
#pragma once

#include "dataplane/rule/rule_table.h"

enum {
	SWEEP_ROUND_MS = 1000,
	SWEEP_STEP_MAX = 65536, // slots per call: ~1 ms of one core at worst
};

struct sweeper {
	struct rule_table *table;
	uint32_t cursor;
	uint64_t last_ns;
	uint64_t expired; // since start
};

void sweeper_init(struct sweeper *s, struct rule_table *t, uint64_t now_ns); // [main]
// [main] Walk as many slots as the time since the last call asks for. Returns rules expired.
unsigned sweeper_tick(struct sweeper *s, uint64_t now_ns, uint32_t now_ds);
