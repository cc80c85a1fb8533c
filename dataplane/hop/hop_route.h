// Inside dataplane/hop/ and its tests only: routes of reliable hops.
//
// *Routes.* A rule whose packets leave by a reliable hop has an entry in two arrays, by the index
// of its slot: struct rel_route (the state machine's) and struct hop_route (ours). Both are owned
// by the worker whose number + 1 is in the rule's route_owner, from the first packet to the last
// ack; the main lcore gives the slot to another rule only after that word is 0 again. A rule that
// ends here (consume) has an entry too while it came by a reliable hop: it leaves by the *sink*,
// whose way out is the ring to the control plane.
#pragma once

#include "dataplane/hop/hop_msg.h"
#include "dataplane/hop/hop_rel.h"

// Of an entry of rel_route, that is no spare one.
static inline struct hop_route *hop_route_info(const struct hop_hold *hh, uint32_t route)
{
	const struct hop_rel_shared *s = hh->shared;

	return &hh->info[route < s->n_rules ? route : s->n_rules + (route - s->ctl_first)];
}

// Is this worker's entry of that rule in use for this hop (0: the sink)? Then it may still be shut.
static inline bool hop_route_is_at(
	const struct wctx *w, const struct hop_hold *hh, uint32_t hop, uint32_t index)
{
	const struct rule *r = &w->rules->slots[index];

	return atomic_load_explicit(&r->route_owner, memory_order_relaxed) == hh->me &&
	       hh->info[index].hop == hop;
}

// Is this worker's entry for the rule with that index open, or can it be? hop 0: the sink.
bool hop_route_ready(struct wctx *w, uint32_t hop, uint32_t index, uint32_t next_id);
unsigned hop_messages(struct wctx *w); // of the main lcore; how many
void hop_routes_turn(struct wctx *w); // what the hold wants done
// A packet of the route has left for good, by a way that does not tell of it later.
void hop_route_sent(struct wctx *w, uint32_t route);
// Before its link forgets its routes. Those of which something is held take no packet any more.
void hop_routes_reset(struct wctx *w, struct hop *h, uint8_t reason);
// A route that came in by h has lost a packet there, so it is ended from here on: Error and Close
// go along its egress.
void hop_route_end_after(struct wctx *w, const struct hop *h, uint32_t id, uint8_t reason);
void hop_routes_say_again(struct wctx *w); // what found no room before
void hop_routes_late(struct wctx *w); // ... of what other workers said
void hop_route_drain(struct wctx *w, uint32_t route, struct rel_queue *q); // its Close was pushed
// All are parked: the entry is the other worker's. Its account there.
uint16_t hop_route_handover(struct wctx *from, struct wctx *to, uint32_t route);
uint16_t hop_account(struct wctx *w, uint32_t tp);
void hop_accounts_sweep(struct wctx *w);
