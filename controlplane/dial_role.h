// The node as who dials routes and traces them: route/route_dial.h and route_trace.h with
// transports, the set-up nodes' reservations, route groups and the route finder around it. Loop's
// thread only.
#pragma once

#include "controlplane/group_role.h"
#include "controlplane/route/route_dial.h"
#include "controlplane/route/route_peer.h"
#include "controlplane/route/route_trace.h"
#include "controlplane/services.h"
#include "controlplane/transport/transport_mgr.h"

struct dial_role_deps { // borrowed
	struct loop *loop;
	struct dmsg_client *client;
	const struct identity *id;
	struct transport_mgr *transports;
	struct route_id *ids;
	struct route_peer *peer;
	struct group_role *ends; // of the routes that are laid
	struct service *finder; // NULL: there is none
};

struct dial_role;

// NULL and errno.
struct dial_role *dial_role_new(
	const struct dial_role_deps *deps, const struct route_dial_policy *policy);
void dial_role_free(struct dial_role *r); // no dial is under way; NULL is allowed
struct route_dialler *dial_role_dialler(const struct dial_role *r); // borrowed; NULL: no role
struct route_tracer *dial_role_tracer(const struct dial_role *r); // ditto
