// What a probe packet carries, and what its arrival says. A flow is the sequence of probes on one
// route; the mark lies at the head of the route packet's payload:
//
//    0       4     8      12         20        28
//    +-------+-----+------+----------+---------+---------
//    | magic | run | flow | sequence | due, ns | filler ...
//    +-------+-----+------+----------+---------+---------
//
// Big-endian. `run` numbers trials, so that stragglers of the one before are told apart; `due` is
// when the probe should have left, counted from the start of the run: what a late sender adds
// counts as latency. Pure functions, any thread.
#pragma once

#include "lib/base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	FLOW_MAGIC = 0x534b5942, // "SKYB"
	FLOW_MARK_LEN = 28,
	FLOW_WINDOW = 64, // sequences behind the newest one that are told from duplicates
};

struct flow_mark {
	uint32_t run;
	uint32_t flow;
	uint64_t seq;
	uint64_t due_ns;
};

enum flow_verdict {
	FLOW_IN_ORDER,
	FLOW_REORDERED, // one with a greater number was here before (RFC 4737)
	FLOW_DUPLICATE,
};

// Arrivals of one flow in one run; all zero = none yet.
struct flow_rx {
	uint64_t next; // greatest sequence that arrived, plus 1
	uint64_t seen; // bit i: next - 1 - i arrived
};

static inline void flow_put(uint8_t *p, const struct flow_mark *m)
{
	be32_put(p, FLOW_MAGIC);
	be32_put(p + 4, m->run);
	be32_put(p + 8, m->flow);
	be64_put(p + 12, m->seq);
	be64_put(p + 20, m->due_ns);
}

// False: len bytes of payload are no probe.
static inline bool flow_get(const uint8_t *p, uint32_t len, struct flow_mark *m)
{
	if (len < FLOW_MARK_LEN || be32_get(p) != FLOW_MAGIC)
		return false;
	m->run = be32_get(p + 4);
	m->flow = be32_get(p + 8);
	m->seq = be64_get(p + 12);
	m->due_ns = be64_get(p + 20);
	return true;
}

// One probe arrived. Behind the window it is taken for reordered: whether it is a second one cannot
// be told.
static inline enum flow_verdict flow_arrive(struct flow_rx *f, uint64_t seq)
{
	uint64_t bit;

	if (seq >= f->next) {
		uint64_t by = seq + 1 - f->next;

		f->seen = by < FLOW_WINDOW ? f->seen << by | 1 : 1;
		f->next = seq + 1;
		return FLOW_IN_ORDER;
	}
	if (f->next - 1 - seq >= FLOW_WINDOW)
		return FLOW_REORDERED;
	bit = 1ull << (f->next - 1 - seq);
	if ((f->seen & bit) != 0)
		return FLOW_DUPLICATE;
	f->seen |= bit;
	return FLOW_REORDERED;
}
