// A walk over a manager's transports that pauses as long as its owner likes, and that ends before
// the manager does. Each transport that is there all the time comes once, one that is removed
// meanwhile comes no more. One thread: the loop's.
#pragma once

#include "controlplane/transport/transport_mgr.h"

struct transport_walk;

struct transport_walk *transport_walk_new(struct transport_mgr *m); // NULL and errno
struct transport *transport_walk_next(struct transport_walk *w); // NULL: that was all
void transport_walk_free(struct transport_walk *w);
