// Inside hop_route*.c only. Thread: the owner of the entry, unless said otherwise.
#pragma once

#include "dataplane/hop/hop_route.h"

static inline struct rule *hop_route_rule(const struct wctx *w, uint32_t index)
{
	return &w->rules->slots[index];
}

static inline bool hop_route_is_of_rule(const struct hop_hold *hh, uint32_t route)
{
	return route < hh->shared->n_rules;
}

static inline bool hop_route_is_mine(const struct hop_hold *hh, const struct rule *r)
{
	return atomic_load_explicit(&r->route_owner, memory_order_relaxed) == hh->me;
}

// Its hop or the sink; NULL: the hop is not here any more.
struct rel_queue *hop_route_queue(struct wctx *w, const struct hop_route *info);
void hop_route_disown(struct wctx *w, uint32_t index); // the main lcore may have the slot

// [worker] To whoever owns that hop; false: nobody does.
bool hop_route_tell(struct wctx *w, const struct hop_msg *msg);
void hop_route_note(
	struct wctx *w, enum dp_note_kind kind, uint32_t id, uint32_t value, uint32_t freed);
// [worker] The hop by which a transport's packets come, 0: none, or one that takes no messages.
uint32_t hop_route_ingress(const struct wctx *w, uint32_t tp);
void hop_route_tell_ingress(struct wctx *w, const struct hop_route *info, enum hop_msg_kind kind,
	uint16_t limit_s, uint8_t reason);

// The list of routes that are paused here. del: whether it was.
void hop_route_paused_add(struct wctx *w, uint32_t route);
bool hop_route_paused_del(struct wctx *w, uint32_t route);
