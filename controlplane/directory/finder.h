// Questions to a route finder (skywire-routing 6.5): by which transports two nodes are joined,
// there and back. Loop's thread only.
#pragma once

#include "controlplane/directory/service.h"
#include "lib/wire/finder_msg.h"

struct finder_query;

struct finder_result {
	int err; // -errno: no answer, or none that can be read
	unsigned status; // when err is 0; 404: no transport of one of them, or no route
	bool taken; // there is an answer; it may be that there is no path
	const struct finder_answer *answer; // when taken; borrowed
	const char *text; // why it was not taken, for people
};

// Called once, never from within the call that asks.
typedef void (*finder_fn)(void *arg, const struct finder_result *r);
// NULL and errno, as service_ask(). 404 is taken: no path.
struct finder_query *finder_paths(
	struct service *s, const struct finder_ask *ask, finder_fn fn, void *arg);
// No call any more. NULL is allowed; not after the call.
void finder_cancel(struct finder_query *q);
