// The node as the end of routes: route groups (route/route_group.h) and loops with what they need
// of the configuration, of transports and of the data plane's statistics. Loop's thread only.
#pragma once

#include "controlplane/cp_conf.h"
#include "controlplane/route/route_group.h"
#include "controlplane/route/route_loop.h"

struct group_role_deps { // borrowed
	struct loop *loop;
	struct dp_client *dp;
	struct transport_mgr *transports;
	struct rule_mgr *rules;
	struct route_ends *ends;
	const struct identity *id;
};

struct group_role;

struct group_role *group_role_new(const struct group_role_deps *deps, const struct cp_conf *c);
void group_role_free(struct group_role *r); // as route_groups_free()
struct route_groups *group_role_groups(const struct group_role *r); // borrowed; NULL: no role
struct route_loops *group_role_loops(const struct group_role *r); // ditto
// As route_groups_accept(), or route_loops_accept() for a loop's edge, with the role for arg: for
// struct route_edges.
int group_role_accept(
	void *role, const struct setup_edge *edge, void (*done)(void *arg, int status), void *arg);
