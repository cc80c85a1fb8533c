// What the world's nodes say of themselves. Part of world.h, which alone includes it.
#pragma once
#pragma GCC diagnostic ignored "-Wunused-function"

#include "tests/controlplane/transport/world.h"

static struct w_hop *w_hop_of(unsigned i, struct transport *t)
{
	return w_hop_find(&nodes[i].dp, transport_hop(t, 1));
}

static struct transport_info info_of(struct transport *t)
{
	struct transport_info i;

	transport_info_get(t, &i);
	return i;
}

static struct transport_mgr_stats stats_of(unsigned i)
{
	struct transport_mgr_stats s;

	transport_mgr_stats_get(nodes[i].m, &s);
	return s;
}

static void both_up(struct transport *a, struct transport *b)
{
	assert_true(transport_is_up(a));
	assert_true(transport_is_up(b));
}

// The transport that node i made when j called it by a: both are up.
static struct transport *accepted_up(
	unsigned i, unsigned j, enum transport_type type, struct transport *a)
{
	struct transport *t = transport_mgr_find_peer(nodes[i].m, &nodes[j].pk, type);

	assert_non_null(t);
	both_up(a, t);
	assert_int_equal(info_of(t).conf.origin, TRANSPORT_ACCEPTED);
	return t;
}

static bool lose_all(unsigned from, unsigned to, const uint8_t *bytes, size_t len)
{
	return true;
}
