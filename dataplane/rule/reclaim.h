// The one QSBR variable of the data plane, and the queue of things that wait for a grace period.
//
// Workers report quiescence once per loop turn and go offline before they sleep. The main lcore
// unlinks an object, hands it to reclaim_defer(), and reclaim_poll() runs its destructor when every
// worker has been quiescent since. Nothing ever blocks for it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct reclaim;

typedef void (*reclaim_fn)(void *ctx, uint64_t arg);

// [main] `workers` ids 0..n-1 may register. NULL with errno set.
struct reclaim *reclaim_new(unsigned n_workers);
void reclaim_free(struct reclaim *r); // runs what is still queued; workers have stopped
// [main] fn(ctx, arg) runs in a later reclaim_poll(). -ENOSPC when the queue is full: poll and
// retry.
int reclaim_defer(struct reclaim *r, reclaim_fn fn, void *ctx, uint64_t arg);
// [main] Run what is due, at most `max` destructors; returns how many ran. Never blocks.
unsigned reclaim_poll(struct reclaim *r, unsigned max);
unsigned reclaim_pending(const struct reclaim *r); // [main]
bool reclaim_has_room(const struct reclaim *r); // [main] the next reclaim_defer() will do

// [main] Grace periods for owners that keep a list of their own: everything unlinked before
// reclaim_start() is unreachable once reclaim_done() says so of its token.
uint64_t reclaim_start(struct reclaim *r);
bool reclaim_done(struct reclaim *r, uint64_t token);

// [worker]
void reclaim_online(struct reclaim *r, unsigned worker);
void reclaim_offline(struct reclaim *r, unsigned worker);
void reclaim_quiescent(struct reclaim *r, unsigned worker);
