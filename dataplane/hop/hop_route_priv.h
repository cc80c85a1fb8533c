// Inside hop_route*.c only. Thread: the owner of the entry, unless said otherwise.
#pragma once

#include "dataplane/hop/hop_car.h"
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

// Its queue has something for the ring up, or for the peer.
static inline void hop_queue_wake(struct wctx *w, struct hop *h)
{
	if (h->car != NULL)
		hop_car_wake(w, h);
	else
		hop_rel_wake(w, h);
}

// Its hop or the sink; NULL: the hop is not here any more.
struct rel_queue *hop_route_queue(struct wctx *w, const struct hop_route *info);
void hop_sink_end(struct wctx *w, uint32_t index, uint32_t id, uint8_t reason);
void hop_route_disown(struct wctx *w, uint32_t index); // the main lcore may have the slot

// [worker] To whoever owns that hop. 0; -ENOENT: nobody does; -EAGAIN: no room now, counted.
int hop_route_tell(struct wctx *w, const struct hop_msg *msg);
// [worker] Its rule is still in the table.
bool hop_route_is_live(const struct wctx *w, uint32_t route, const struct hop_route *info);
// [worker: any] The rule is there, and its packets leave by that hop under that id (0: they end
// here).
bool hop_route_says(const struct rule *r, uint32_t hop, uint32_t next_id);
// [worker] False: no room, counted.
bool hop_route_note(
	struct wctx *w, enum dp_note_kind kind, uint32_t id, uint32_t value, uint32_t freed);
// [worker] The hop by which packets of the rule `id` come, 0: none, or one that takes no messages.
uint32_t hop_route_ingress(const struct wctx *w, uint32_t tp, uint32_t id);
// [worker] As hop_route_tell().
int hop_route_tell_ingress(struct wctx *w, const struct hop_route *info, enum hop_msg_kind kind,
	uint16_t limit_s, uint8_t reason);
// [worker: owner of what it names] False: no room for it, to be said again.
bool hop_route_take(struct wctx *w, const struct hop_msg *msg);

// An entry is paused, ended, or neither. Its ingress is told of the first and the last, the main
// lcore of the end; what found no room is said again until it does, and until then the entry stays
// ours. say: the present state, false: no room now.
bool hop_route_say(struct wctx *w, uint32_t route);
void hop_route_say_again(struct wctx *w, uint32_t route); // what was told got lost
void hop_route_pause(struct wctx *w, uint32_t route, uint16_t limit_s);
bool hop_route_resume(struct wctx *w, uint32_t route); // false: as of say
bool hop_route_paused_drop(struct wctx *w, uint32_t route); // tells nobody; whether it was paused
