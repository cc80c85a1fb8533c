// What a group learns of the way it begins with: the worker that is nearest, and how much a
// datagram of it carries. Where the way leads from the next node on nobody here knows.
#include "controlplane/group_role.h"

#include "controlplane/app/route_bench.h"
#include "lib/wire/rail_frame.h"

#include <errno.h>
#include <stdlib.h>

struct group_role {
	struct group_role_deps d;
	struct route_groups *groups;
	struct route_loops *loops;
	struct route_bench *bench; // NULL: none
};

enum {
	IP_UDP_LEN = 40 + 8, // IPv6, also where it is IPv4
	AROUND_LEN = IP_UDP_LEN + RAIL_DATA_OVERHEAD + RAIL_SEQ_HDR_LEN + RAIL_PART_HDR_LEN +
		     ROUTE_HDR_LEN,
};

// Bytes of IP that the path of the hop carries, 0: not known.
static uint32_t path_mtu(const struct group_role *r, uint32_t hop)
{
	const struct region *region = dp_client_region(r->d.dp);
	const struct stats_hop *h;

	if (region == NULL || region->view.live == NULL)
		return 0;
	h = stats_view_hop(&region->view, dpmsg_handle_index(hop));
	return h != NULL && atomic_load_explicit(&h->hop, memory_order_acquire) == hop
		       ? atomic_load_explicit(&h->path_mtu, memory_order_relaxed)
		       : 0;
}

// A link that loses datagrams loses a record with each, so it is one datagram there. A reliable one
// carries whole datagrams of it, and the last is not a rest.
static uint16_t payload_max(const struct group_role *r, const struct transport *t, uint32_t hop)
{
	uint32_t mtu = path_mtu(r, hop), one = mtu > AROUND_LEN ? mtu - AROUND_LEN : 0;
	struct transport_info info;

	transport_info_get(t, &info);
	if (transport_type(t) != TRANSPORT_RAIL || one < GROUP_PAYLOAD_MIN)
		return GROUP_PAYLOAD_MAX;
	if (one >= GROUP_PAYLOAD_MAX)
		return GROUP_PAYLOAD_MAX;
	return (uint16_t)(info.conf.mode == HOP_MODE_DATAGRAM ? one
							      : GROUP_PAYLOAD_MAX / one * one);
}

static void way(void *arg, const struct rule_wire *forward, struct route_way *out)
{
	struct group_role *r = arg;
	struct transport *t = transport_mgr_find_id(r->d.transports, forward->next_tp);
	uint32_t hop;

	*out = (struct route_way){.payload_max = GROUP_PAYLOAD_MAX};
	if (t == NULL)
		return; // the rules are refused
	hop = transport_hop(t, forward->next_id);
	out->worker = transport_worker_of(t, hop);
	out->payload_max = payload_max(r, t, hop);
}

struct group_role *group_role_new(const struct group_role_deps *deps, const struct cp_conf *c)
{
	struct group_role *r = calloc(1, sizeof(*r));
	struct route_groups_conf gc = {.loop = deps->loop,
		.dp = deps->dp,
		.rules = deps->rules,
		.ends = deps->ends,
		.id = deps->id,
		.way = way,
		.way_arg = r,
		.allow_plain = c->v->routing.allow_plaintext,
		.max = c->v->routing.groups_max,
		.max_peer = c->v->routing.groups_peer_max};
	struct route_loops_conf lc = {.loop = deps->loop,
		.dp = deps->dp,
		.rules = deps->rules,
		.ends = deps->ends,
		.self = identity_pk(deps->id),
		.way = way,
		.way_arg = r};

	if (r == NULL)
		return NULL;
	r->d = *deps;
	r->groups = route_groups_new(&gc);
	if (r->groups == NULL)
		goto err_role;
	r->loops = route_loops_new(&lc);
	if (r->loops == NULL)
		goto err_groups;
	if (c->v->routing.bench_port != 0) {
		r->bench = route_bench_new(r->groups, c->v->routing.bench_port);
		if (r->bench == NULL)
			goto err_loops;
	}
	return r;
err_loops:
	route_loops_free(r->loops);
err_groups:
	route_groups_free(r->groups);
err_role:
	free(r);
	return NULL;
}

void group_role_free(struct group_role *r)
{
	if (r == NULL)
		return;
	route_bench_free(r->bench);
	route_loops_free(r->loops);
	route_groups_free(r->groups);
	free(r);
}

struct route_groups *group_role_groups(const struct group_role *r)
{
	return r != NULL ? r->groups : NULL;
}

struct route_loops *group_role_loops(const struct group_role *r)
{
	return r != NULL ? r->loops : NULL;
}

int group_role_accept(
	void *role, const struct setup_edge *edge, void (*done)(void *arg, int status), void *arg)
{
	struct group_role *r = role;

	if (route_loops_owns(r->loops, edge))
		return route_loops_accept(r->loops, edge, done, arg);
	return route_groups_accept(r->groups, edge, done, arg);
}
