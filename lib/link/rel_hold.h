// What reliable links of one worker hold, and for whom (rail 4): the memory for it, the budget that
// ingress transports share, the routes that hold most, and what has to be done about it, as events.
//
//   datagram -> rel (rel.h) -> route packet -> rel_queue_push() -> rel -> datagram
//                  |  out of order, parts            |  waiting, unacked
//                  +------ struct rel_hold: budget, accounts, events -----+
//
// Sans-I/O. A packet is an opaque handle that stands for a buffer of the caller; whoever holds a
// handle owns it, and each is given back exactly once: released, or through free(). Nothing here
// knows a clock, malloc or a global. One thread owns a hold and all links and queues on it.
//
// *Accounts.* One for each ingress transport (and one for the control plane's own packets). Of the
// budget, counted in buffers, each has an equal share; what others leave is lent. Past it the route
// that holds most of the account that holds most is closed (REL_EV_CLOSE, held). The budget is
// exceeded at most by what is pushed between two looks at the events: look after each burst.
//
// *Routes.* struct rel_route is the egress state of one route, in an array of the caller; the index
// is what this module calls `route`, any mapping will do (a rule's index). An entry has one owner
// thread, that of its egress queue, and is all zero before its first rel_queue_open(). Entries from
// spare_first on are the hold's own, for routes of which datagrams are held out of order.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	REL_CHUNK_LEN = 16384, // bytes of what chunk_get() returns, 64-byte aligned
	REL_ACCOUNTS_MAX = 65535,
	REL_PAUSE_BYTES = 65536, // a route may hold so much before its ingress is paused ...
	REL_PAUSE_LIMIT_S = 10, // ... and so long until it is closed; in a sink: rel_queue_limit()
	REL_PAUSE_GRACE_S = 2, // a node that passes a pause on waits so much longer
	REL_TICK_NS = 250 * 1000 * 1000, // granularity of pause limits
	REL_NO_ROUTE = 0xffffffff,
};

// 64 bytes: one cache line for each packet that is pushed or acked.
struct rel_route {
	uint64_t opaque[8];
};

struct rel_hold;

struct rel_hold_conf {
	struct rel_route *routes; // 64-byte aligned; shared with other workers' holds
	uint32_t n_routes; // in the array, spare ones included
	uint32_t spare_first; // routes[spare_first .. + n_spare - 1] are this hold's, all zero
	uint32_t n_spare;
	uint32_t max_bufs; // budget, 256..2^24
	uint16_t n_accounts; // 1..REL_ACCOUNTS_MAX
	uint64_t seed; // hash key and skipped counters; random
	void *ctx; // of the functions below
	// A chunk or NULL. Asked for once in hundreds of packets.
	void *(*chunk_get)(void *ctx);
	void (*chunk_put)(void *ctx, void *chunk);
	// These handles are the caller's again: acked, dropped, closed. Called in batches.
	void (*free)(void *ctx, void *const *handles, unsigned n);
	// n packets of route were freed, not acked or pulled; NULL: nobody counts them.
	void (*freed)(void *ctx, uint32_t route, uint32_t n);
	// A handle of its own for bytes of this one (a copy, or one more reference), NULL: no
	// buffer. Only for datagrams with several packets.
	void *(*split)(void *ctx, void *handle, uint32_t off, uint32_t len);
};

enum rel_event_kind {
	REL_EV_PAUSE, // route holds too much here: pause its ingress with limit_s, at its hop by
		      // rel_pause() or at its edge; again if the limit changed
	REL_EV_RESUME, // it holds little again
	REL_EV_CLOSE, // end route abnormally, reason: rel_queue_abort(), Error and Close along its
		      // egress, rel_ingress_close() along its ingress
	REL_EV_GONE, // the peer ended route (GONE, reason): the same
	REL_EV_DONE, // route, drained or aborted, has nothing left here: the entry is free again
	REL_EV_EMPTY, // route_id that comes in by link was ended by the peer (EMPTY, reason): end
		      // the rule, Error and Close along its egress; what the link held of it is
		      // freed, and whatever came behind waits: rel_rx_more()
	REL_EV_CLOSE_IN, // route_id that comes in by link holds most, out of order: end it as in
			 // REL_EV_CLOSE
	REL_EV_PROBE, // the PROBE with this tag was acked (ok), rtt_us after it left, or lost; one
		      // that was taken for lost may be acked all the same
	REL_EV_DOWN, // link: `tag` probe time-outs in a row and limit_s seconds without an ack
};

struct rel_event {
	enum rel_event_kind kind;
	uint8_t reason; // enum rail_gone_reason
	bool ok;
	uint16_t limit_s; // 0 = never
	uint32_t route; // index, or REL_NO_ROUTE
	uint32_t route_id; // on the wire: next id of route, or our id of what comes in by link
	uint32_t tag;
	uint32_t rtt_us; // 1 at least
	void *link; // rel_conf.link; NULL where `route` says enough
};

struct rel_hold_stats {
	uint32_t bufs; // held now
	uint32_t bufs_max; // at once, so far
	uint32_t chunks;
	uint64_t paused, resumed; // events
	uint64_t closed_held, closed_stalled;
	uint64_t no_nodes; // no chunk, no node, or a link has its share of control frames
	uint64_t no_spares; // no spare entry, or a link has its share of them
};

// Bytes of memory for that configuration (64-byte aligned), 0 when it is out of range.
size_t rel_hold_mem_size(const struct rel_hold_conf *conf);
// mem stays the caller's; NULL when conf is out of range.
struct rel_hold *rel_hold_init(void *mem, const struct rel_hold_conf *conf);
// Gives all chunks back. Every link and queue is gone (rel_fini, rel_queue_fini).
void rel_hold_fini(struct rel_hold *h);

// An account id >= 0, or -ENOSPC. Close it when nothing is pushed for it any more; what it still
// holds is counted to its end, then the id is free.
int rel_hold_account_open(struct rel_hold *h);
void rel_hold_account_close(struct rel_hold *h, uint16_t account);
uint32_t rel_hold_account_bufs(const struct rel_hold *h, uint16_t account);
// For a source that can wait: buffers that may be pushed for this account now. What is left of its
// share less an eighth as long as a sixteenth of the budget is left, or if that is more, until
// `most` buffers are held for all.
uint32_t rel_hold_room(const struct rel_hold *h, uint16_t account, uint32_t most);
uint32_t rel_hold_bufs(const struct rel_hold *h); // held now, for all

// The next thing to be done, in order. After each burst, until false. What a route or link had much
// of when it ended is given back there, too, some at a time: it counts until then, and goes before
// what comes meanwhile presses another route.
bool rel_hold_event(struct rel_hold *h, struct rel_event *out);
// Limits of pauses. Call when REL_TICK_NS passed, or more often.
void rel_hold_tick(struct rel_hold *h, uint64_t now_ns);

// A route that holds something is in use: its rule does not expire (rail 4).
uint32_t rel_hold_route_bufs(const struct rel_hold *h, uint32_t route);
void rel_hold_stats(const struct rel_hold *h, struct rel_hold_stats *out);
