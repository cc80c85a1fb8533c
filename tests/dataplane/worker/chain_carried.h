// A chain with carried hops (chain.h). Part of the tests that include it.
#pragma once
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"

#include "tests/dataplane/worker/chain.h"

static const uint8_t carried[PAIRS] = {HOP_MODE_CARRIED, HOP_MODE_CARRIED};

static void send_many(struct chain *c, uint32_t first, uint32_t n, uint16_t len)
{
	for (uint32_t i = 0; i < n; i++) {
		send_packet(c, ROUTE_DATA, first + i, len);
		if (i % 32 == 31)
			turn(c);
	}
}

static void turns(struct chain *c, unsigned n)
{
	while (n-- > 0)
		turn(c);
}

static void sink_pause(struct chain *c, bool paused)
{
	const struct hop_msg msg = {.kind = paused ? HOP_MSG_SINK_PAUSE : HOP_MSG_SINK_RESUME,
		.id = EDGE_OUT + c->route};
	uint32_t hop;
	int owner = hop_table_ingress(c->n.hops, c->tp[3], msg.id, &hop);

	assert_true(owner >= 0);
	assert_int_equal(hop, c->hop[3]);
	assert_true(hop_table_msg(c->n.hops, (unsigned)owner, &msg));
	turns(c, 4);
}

// The edge sends until it has to wait. Returns how many packets.
static uint32_t fill_up(struct chain *c, uint32_t first)
{
	uint32_t n = first;

	for (unsigned i = 0; i < 20000 && !c->edge_waits; i++) {
		send_packet(c, ROUTE_DATA, n++, 1000);
		turns(c, i % 16 == 0 ? 8 : 1);
	}
	assert_true(c->edge_waits);
	return n;
}
