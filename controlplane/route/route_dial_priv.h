// The steps of a dial, which traces take, too: between route_dial.c, route_seek.c, route_lay.c and
// route_trace.c only. A step ends in one call, never from within its beginning, and is gone by
// then.
#pragma once

#include "controlplane/route/route_dial.h"

#define ROUTE_NO_SETUP_NODE "no set-up node is known: add a [route_setup_node NAME]"

struct route_dialler {
	struct route_dialler_conf conf;
	struct key_pk node[ROUTE_DIAL_SETUP_NODES_MAX];
	struct route_dial_to to[ROUTE_DIAL_TO_MAX];
	struct route_dial_policy policy; // its pointers are those of these arrays
	struct route_dialler_stats stats;
};

// ---- ways (route_seek.c) ----

struct route_seek;

// Both ways, until the call returns; or err and why.
typedef void (*route_seek_fn)(void *arg, const struct setup_path *forward,
	const struct setup_path *reverse, int err, const char *why);
// What was not asked for is as the policy says. NULL: ENOMEM.
struct route_seek *route_seek_new(
	struct route_dialler *d, const struct route_dial_ask *ask, route_seek_fn fn, void *arg);
void route_seek_cancel(struct route_seek *s); // NULL is allowed

// ---- the set-up node (route_lay.c) ----

struct route_lay;

// The rules of our edge, forward and consume, until the call returns: they are those of the route,
// and their ids are claimed. Or err and why.
typedef void (*route_lay_fn)(void *arg, const struct setup_edge *edge,
	const struct rule_wire rules[2], int err, const char *why);
// route: the caller's, until the end. NULL: ENOMEM.
struct route_lay *route_lay_new(
	struct route_dialler *d, const struct setup_route *route, route_lay_fn fn, void *arg);
void route_lay_cancel(struct route_lay *lay); // NULL is allowed
