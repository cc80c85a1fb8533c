// stcp transports of the world's nodes. Part of the tests that include it.
#pragma once
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"

#include "tests/controlplane/transport/world.h"

static void listens(unsigned i)
{
	struct dpmsg_addr a = w_addr(i);

	assert_int_equal(transport_mgr_listen(nodes[i].m, TRANSPORT_STCP, &a), 0);
}

static struct transport *stcp(unsigned i, unsigned j, bool dial)
{
	return w_add_conf(i, j, (struct transport_conf){.type = TRANSPORT_STCP, .dial = dial});
}

static struct transport *a, *b; // of node 0 to node 1, and back

// A link that 0 made to 1.
static void link_up(void)
{
	listens(1);
	a = stcp(0, 1, true);
	b = stcp(1, 0, false);
	w_run(10000);
	both_up(a, b);
}

// Until node i has been told to make a hop, and has not answered yet.
static void hop_is_asked_for(unsigned i)
{
	while (!nodes[i].dp.hops[0].live) {
		if (w_jobs != NULL)
			w_settle_one();
		else
			assert_true(w_timer_fires(UINT64_MAX));
	}
}
