// Egress queues: packets of many routes that wait for one way out, which is a reliable link
// (rel_queue() in rel.h) or a sink, something local that takes packets as it has room (a ring to
// the control plane). Each route is served in turn, by bytes; a paused route
// waits alone. Nothing that was pushed is dropped while its route lives.
//
//    (zero) --open--> OPEN --drain--> DRAINING --all acked--> REL_EV_DONE -> (zero)
//                      |  \--abort--> ENDING  --EMPTYs acked--> REL_EV_DONE -> (zero)
//                      +--restart---> OPEN, sends nothing --EMPTYs acked--> OPEN
//                      +---- forget, or a reset of the link --------------> (zero)
//
// Thread: the owner of the hold.
#pragma once

#include "lib/link/rel_hold.h"

struct rel_queue;

enum rel_push_flag {
	REL_PUSH_KEEP_ALIVE = 1, // not held up by a pause, overtakes what waits
	REL_PUSH_LAST = 2, // Error or Close after rel_queue_abort(), likewise
};

struct rel_pkt {
	void *handle; // a whole route packet, from its first byte on
	uint32_t len; // 7..65542
	uint16_t account; // of its ingress
	uint16_t bufs; // buffers of the caller that it takes, at least 1
};

// A route that leaves by this queue: next_id is its id on the wire (of no use to a sink). The entry
// is zero. 0, -EEXIST (next_id is in use here), -ENOSPC.
int rel_queue_open(struct rel_queue *q, uint32_t route, uint32_t next_id);
bool rel_queue_is_open(const struct rel_queue *q, uint32_t route);

// Hides the load of the entry; a stage before the push.
static inline void rel_queue_prefetch(const struct rel_route *routes, uint32_t route)
{
	__builtin_prefetch(&routes[route], 1);
}

// True: the packet is taken. False: the route is not open, or about to be closed (its REL_EV_CLOSE
// was or will be told): the handle stays the caller's.
bool rel_queue_push(struct rel_queue *q, uint32_t route, const struct rel_pkt *p, unsigned flags,
	uint64_t now_ns);

// No packet comes any more (a Close was the last): REL_EV_DONE when all are acked, or with the
// link's next reset or end. Without memory for it, it isn't told there.
void rel_queue_drain(struct rel_queue *q, uint32_t route);
// Abnormal end: what it holds is freed, EMPTY (reason) takes the place of what is unacked. Error
// and Close may be pushed afterwards with REL_PUSH_LAST, then rel_queue_drain() must be called.
void rel_queue_abort(struct rel_queue *q, uint32_t route, uint8_t reason, uint64_t now_ns);
// The same, but that the route goes on: packets that are pushed from now on wait until every EMPTY
// was acked, so that none of them takes a later packet along. An ingress that was told to wait is
// told to go on then. A pause of the peer ends with the first EMPTY, and when its limit is over or
// it said GONE, as it may have forgotten it; with nothing to be emptied it stays.
void rel_queue_restart(struct rel_queue *q, uint32_t route, uint8_t reason, uint64_t now_ns);
// After a reset of the link (or for a sink): forgets the route at once, without REL_EV_DONE. What
// was told of it stays told: take all events before the index is used again.
void rel_queue_forget(struct rel_queue *q, uint32_t route);

// The reader of a sink holds this route up, or no longer. (Links do it themselves, by PAUSE.)
void rel_queue_pause(struct rel_queue *q, uint32_t route, uint16_t limit_s, uint64_t now_ns);
void rel_queue_resume(struct rel_queue *q, uint32_t route, uint64_t now_ns);
// Would the route's next packet have to wait, behind others or for its reader?
bool rel_queue_waits(const struct rel_queue *q, uint32_t route);

// ---- sinks ----

size_t rel_queue_mem_size(void);
// The routes of a queue, in any order; fn may forget or move the one it is told.
void rel_queue_each(const struct rel_queue *q, void (*fn)(void *ctx, uint32_t route), void *ctx);
// An open route to the sink of another hold, on the terms of rel_move(). 0 or -ENOSPC.
int rel_queue_move(struct rel_queue *from, struct rel_queue *to, uint32_t route, uint16_t account);
struct rel_queue *rel_queue_init(void *mem, struct rel_hold *h);
void rel_queue_fini(struct rel_queue *q); // every route was forgotten
// Every route is forgotten, those that drained with REL_EV_DONE.
void rel_queue_reset(struct rel_queue *q);
// How long a pause that begins at this sink lasts at most, from now on; 0, as at first: for ever.
void rel_queue_limit(struct rel_queue *q, uint16_t limit_s);
// The reader takes nothing any more: whatever holds something is to be closed (REL_EV_CLOSE,
// stalled). To be said again now and then: what finds no memory to be told is not.
void rel_queue_stall(struct rel_queue *q);
// Packets that wait, and their bytes; what overtakes aside.
uint32_t rel_queue_waiting(const struct rel_queue *q, uint64_t *bytes);

// The next packet; the handle is the caller's. False: none, or only paused ones.
bool rel_queue_pull(struct rel_queue *q, uint32_t *route, struct rel_pkt *out, uint64_t now_ns);
