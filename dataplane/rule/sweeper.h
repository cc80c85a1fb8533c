// Expires rules: a bounded walk over the table per tick. A whole round takes SWEEP_ROUND_MS, longer
// when the table has more than SWEEP_RATE_MAX slots, so that its share of the memory bandwidth
// stays small. Lookup honours expiry too: the round is only how long a dead rule may occupy its
// slot.
#pragma once

#include "dataplane/rule/rule_table.h"

enum {
	SWEEP_ROUND_MS = 1000,
	SWEEP_RATE_MAX = 1 << 20, // slots per second: 64 MiB/s read
	SWEEP_STEP_MAX = 16384, // slots per call, so that commands never wait longer than ~0.2 ms
};

struct sweeper {
	struct rule_table *table;
	uint32_t cursor;
	uint64_t last_ns;
};

void sweeper_init(struct sweeper *s, struct rule_table *t, uint64_t now_ns); // [main]
// [main] Walk as many slots as the time since the last call asks for. Returns rules expired.
unsigned sweeper_tick(struct sweeper *s, uint64_t now_ns, uint32_t now_ds);
