// The inside of a hold, shared by rel*.c and nobody else: nodes, routes, accounts. Packets and
// waiting control frames are *nodes* in one pool of the hold, named by index (0: none).
#pragma once

#include <string.h>

#include "lib/base/err.h"
#include "lib/link/rel_hold.h"
#include "lib/wire/rail_frame.h"

enum {
	NODES_LOG2 = 8, // nodes in a chunk
	KEPT_LOG2 = 11,
	RECS_LOG2 = 8,
	RXES_LOG2 = 12,
	BUCKETS_LOG2 = 12,
	REL_CLASSES = 24, // powers of two of buffers
	REL_LISTED_BUFS = 8, // a route that holds fewer is looked for only when no other is there
	REL_WHEEL = 256,
	REL_FREE_BATCH = 64,
	REL_NODES_SPARE = 4096, // for control frames and events when packets took the rest
	REL_ID_BUCKETS = 256,
	REL_HASH_DIR = 256,
	REL_SHARE_MIN = 64, // spare entries, or control frames held, that any link may have
	REL_RECS_MIN_LOG2 = 13, // counters that are not settled yet, ACKs among them
	REL_LATE_PART =
		8, // of the ring: records behind the oldest in flight, for acks that come late
	REL_SKIPS = 8,
	REL_ACK_PERIODS = 16, // ACK frames that name a received counter
	REL_ACK_RECS = 64, // counters that only ACKs and the caller's frames may use
	REL_ACK_EVERY = 64, // eliciting datagrams until an ACK is due at once
	REL_PART_UNIT = 32, // parts are cut at multiples of it
	REL_PART_WORDS = (ROUTE_PACKET_MAX / REL_PART_UNIT + 64) / 64,
	REL_QUANTUM = 4096, // bytes of a route's turn
	REL_AHEAD = 8, // packets by which entries and nodes are fetched ahead, power of two
};

// ---- nodes ----

struct __attribute__((aligned(64))) rel_node {
	void *handle;
	uint32_t len; // of the packet, or the bytes of it in this handle
	uint32_t off; // in the handle
	uint32_t next; // in a queue; next part of the packet
	uint32_t route; // tx: index; held: spare entry; else REL_NO_ROUTE
	uint16_t bufs;
	uint8_t kind; // enum rail_frame_type
	uint8_t ev; // event: enum rel_event_kind
	uint16_t arg; // limit, reason, tick
	uint16_t n; // first part: parts
	union {
		struct rel_map *map; // tx: which bytes are sent, NULL: never cut
		void *link; // event
		struct {
			uint32_t wait; // node that is released after this one
			uint32_t seq; // low bits
		};
	};
	uint32_t prev_in, next_in; // others of the route that are held; next_in: next packet
				   // ready; joining: bytes there are, route id
	uint32_t total; // joining; held: distance
	uint32_t pkt_off; // place of a part in the packet; control frame: route id
	// Waiting packets: one that may go soon after this one, and its route. Only ever fetched,
	// so it does no harm when that is not so, nor when this node is something else by now.
	uint32_t ahead, ahead_route;
};

_Static_assert(sizeof(struct rel_node) == 64, "one cache line");

// Bytes of a packet that goes in parts, in units.
struct rel_map {
	union {
		struct rel_map *next_free;
		uint64_t acked[REL_PART_WORDS];
	};
	uint64_t due[REL_PART_WORDS]; // to be sent
};

// ---- routes ----

enum route_flag {
	RT_OPEN = 1,
	RT_DRAINING = 2, // ends when all is acked
	RT_ENDING = 4, // aborted
	RT_DOOMED = 8, // REL_EV_CLOSE or REL_EV_CLOSE_IN is told
	RT_ACTIVE = 16, // in the round of its queue
	RT_HELD_UP = 32, // RT_PAUSED or RT_ANEW
	RT_PAUSING = 64, // REL_EV_PAUSE was told
	RT_DEADLINE = 128,
	RT_URGENT = 256, // a keep-alive overtakes
	RT_IN = 512, // a spare entry: what is held out of order
	RT_SENT = 1024, // last_seq is one
	RT_ANEW = 2048, // until what was sent before is over
	RT_PAUSED = 4096, // by the peer, or the reader of a sink
};

struct route {
	union {
		uint64_t last_seq;
		struct rel *rel; // RT_IN
	};
	uint32_t tail; // waiting packets, a ring; RT_IN: first held
	uint32_t waiting; // bytes
	// bytes sent and unacked: by Little's law, drain rate times round trip; an EMPTY counts 1
	uint32_t kept;
	uint32_t bufs;
	uint32_t nodes; // waiting and unacked
	uint32_t prev, next; // others of its account and class
	uint32_t id;
	uint32_t hash_next;
	uint32_t round_next;
	uint32_t timer; // node in the wheel
	uint16_t deadline; // tick
	uint16_t limit_s; // of the peer's pause
	uint16_t told_s; // limit told by REL_EV_PAUSE
	uint16_t account;
	uint16_t flags;
	uint16_t debt; // 64 bytes taken beyond the last turn
};

_Static_assert(sizeof(struct route) == sizeof(struct rel_route), "as promised");

// ---- hold ----

struct account {
	uint32_t bufs;
	uint16_t prev, next; // others of its class, id + 1
	bool open, closing;
	uint32_t hog[REL_CLASSES]; // routes by class, index + 1
};

struct rel_hold {
	struct rel_hold_conf conf;
	struct route *routes;
	struct rel_node **node_dir;
	uint32_t n_nodes; // that have a chunk
	uint32_t max_nodes;
	uint32_t free_node;
	uint32_t n_free_nodes; // also those that have no chunk yet
	uint32_t bufs, bufs_max;
	uint32_t doomed; // of these: of routes that were told to end, or buried
	uint32_t bufs_soft; // budget less an eighth: no more is held out of order
	uint32_t n_ctl; // control frames that wait for one before them
	uint32_t n_fre;
	void *fre[REL_FREE_BATCH]; // to be given to free()

	// -- cold --
	uint32_t buried; // rings of packets to be freed, by their last nodes, linked by prev_in
	uint32_t n_buried; // packets in them
	struct rel_map *free_map;
	void *map_chunks; // linked by their first word
	uint32_t free_spare; // route entry + 1
	uint16_t n_open;
	uint32_t share;
	uint32_t n_links;
	uint32_t spare_share, ctl_share, ctl_max; // of each link; of all
	uint16_t rich[REL_CLASSES]; // accounts by class, id + 1
	uint32_t small_at; // node at which small routes are looked for next
	struct account *accounts;
	uint32_t ev_head, ev_tail; // nodes
	uint64_t ev_told, ev_taken; // so many events
	uint16_t tick;
	uint64_t tick_ns;
	uint32_t wheel[REL_WHEEL]; // nodes
	struct rel_hold_stats stats;
};

uint32_t rel_hold_node_new(struct rel_hold *h, uint32_t reserve);
struct rel_map *rel_hold_map_new(struct rel_hold *h);
void rel_hold_map_free(struct rel_hold *h, struct rel_map *m);
void rel_hold_flush(struct rel_hold *h);
// A ring of n packets, up to `last`, that nobody waits for any more: all that its route holds.
// They are freed in rel_hold_event(), or now where they are few.
void rel_hold_bury(struct rel_hold *h, uint32_t route, uint32_t last, uint32_t n);
void rel_hold_free_few(struct rel_hold *h);
void rel_hold_move(struct rel_hold *h, uint32_t route, uint32_t bufs); // class changes
void rel_hold_account_move(struct rel_hold *h, uint16_t account, uint32_t bufs); // class changes
void rel_hold_press(struct rel_hold *h, uint32_t route); // over the budget: something has to go
void rel_hold_make_room(struct rel_hold *h, uint16_t account); // for one below its share
void rel_hold_doom(struct rel_hold *h, uint32_t route, uint8_t reason);
bool rel_hold_tell(struct rel_hold *h, const struct rel_event *ev);
void rel_hold_watch(struct rel_hold *h, uint32_t route, uint32_t limit_s);
void rel_hold_links(struct rel_hold *h, int n); // so many more, or fewer
uint32_t rel_hold_spare_new(struct rel_hold *h);
void rel_hold_spare_free(struct rel_hold *h, uint32_t route);
void *rel_hold_chunk(struct rel_hold *h);
void rel_hold_chunk_put(struct rel_hold *h, void *chunk);

static inline struct rel_node *node_at(const struct rel_hold *h, uint32_t i)
{
	return &h->node_dir[i >> NODES_LOG2][i & ((1u << NODES_LOG2) - 1)];
}

static inline void rel_node_fetch(const struct rel_hold *h, uint32_t i)
{
	__builtin_prefetch(node_at(h, i), 1);
}

static inline void node_free(struct rel_hold *h, uint32_t i)
{
	node_at(h, i)->next = h->free_node;
	node_at(h, i)->route = REL_NO_ROUTE; // for those who look for routes in nodes
	h->free_node = i;
	h->n_free_nodes++;
}

static inline void handle_free(struct rel_hold *h, void *handle)
{
	h->fre[h->n_fre++] = handle;
	if (h->n_fre == REL_FREE_BATCH)
		rel_hold_flush(h);
}

static inline void packets_freed(const struct rel_hold *h, uint32_t route, uint32_t n)
{
	if (h->conf.freed != NULL)
		h->conf.freed(h->conf.ctx, route, n);
}

static inline unsigned class_of(uint32_t bufs)
{
	return bufs == 0 ? 0 : 31u - (unsigned)__builtin_clz(bufs);
}

static inline void rel_hold_account_add(struct rel_hold *h, uint16_t account, int32_t bufs)
{
	struct account *a = &h->accounts[account];
	uint32_t now = a->bufs + (uint32_t)bufs;

	h->bufs += (uint32_t)bufs;
	if (unlikely(h->bufs > h->bufs_max))
		h->bufs_max = h->bufs;
	if (likely(now != 0 && a->bufs != 0 && class_of(now) == class_of(a->bufs)))
		a->bufs = now;
	else
		rel_hold_account_move(h, account, now);
}

// The route holds so many buffers more (or fewer, as a negative number), but its account was not
// told.
static inline void route_charge_only(struct rel_hold *h, uint32_t route, int32_t bufs)
{
	struct route *rt = &h->routes[route];
	uint32_t now = rt->bufs + (uint32_t)bufs;

	if (unlikely((now | rt->bufs) >= REL_LISTED_BUFS && class_of(now) != class_of(rt->bufs)))
		rel_hold_move(h, route, now);
	if (unlikely(rt->flags & RT_DOOMED))
		h->doomed += (uint32_t)bufs;
	rt->bufs = now;
}

static inline void route_charge(struct rel_hold *h, uint32_t route, int32_t bufs)
{
	route_charge_only(h, route, bufs);
	rel_hold_account_add(h, h->routes[route].account, bufs);
}
