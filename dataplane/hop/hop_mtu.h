// Inside dataplane/hop/ and its tests only: what the path of a hop carries (rail.md 5). The search
// is lib/link/pmtu's; here its probes leave and what came of them is told, in both modes.
//
// struct hop: mtu is the search, path_mtu what the hop goes by, mtu_on says that it has begun.
#pragma once

#include "dataplane/hop/hop_priv.h"
#include "lib/link/rel.h"

// A new instance, or another address: what was known is of another path.
void hop_mtu_forget(struct hop *h);
// The peer is there: search, unless that began before.
void hop_mtu_begin(struct wctx *w, struct hop *h);
// Every now and then: sends what is due. Closes the hop when the path does not carry the floor.
void hop_mtu_visit(struct wctx *w, struct hop *h);
// Datagram mode: counters lo .. hi were received.
void hop_mtu_on_ack(struct wctx *w, struct hop *h, uint64_t lo, uint64_t hi);
// Reliable mode: the end of a PROBE_MTU.
void hop_mtu_on_probe(struct wctx *w, struct hop *h, const struct rel_event *ev);
