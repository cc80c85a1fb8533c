// The inside of a reliable link, shared by rel*.c and nobody else. Owner of all of it: the thread
// of the hold.
//
// Packets and waiting control frames are *nodes* in one pool of the hold, named by index (0: none).
// Three rings per link are cut into chunks that exist while something lies in them: kept sequences
// (8 bytes each), sent counters (64 bytes), received sequences past a gap (4 bytes).
#pragma once

#include <string.h>

#include "lib/base/err.h"
#include "lib/link/cc.h"
#include "lib/link/rel.h"

enum {
	NODES_LOG2 = 8, // nodes in a chunk
	KEPT_LOG2 = 11,
	RECS_LOG2 = 8,
	RXES_LOG2 = 12,
	BUCKETS_LOG2 = 12,
	REL_CLASSES = 24, // powers of two of buffers
	REL_LISTED_BUFS = 8, // a route that holds fewer is not worth closing
	REL_WHEEL = 256,
	REL_FREE_BATCH = 64,
	REL_NODES_SPARE = 4096, // for control frames and events when packets took the rest
	REL_ID_BUCKETS = 256,
	REL_HASH_DIR = 256,
	REL_CTL_HELD_MAX = 4096, // control frames that wait for one before them
	REL_RECS_MIN_LOG2 = 13, // counters that are not settled yet, ACKs among them
	REL_LATE_PART =
		8, // of the ring: records behind the oldest in flight, for acks that come late
	REL_SKIPS = 8,
	REL_ACK_PERIODS = 16, // ACK frames that name a received counter
	REL_ACK_EVERY = 64, // eliciting datagrams until an ACK is due at once
	REL_PART_UNIT = 32, // parts are cut at multiples of it
	REL_PART_WORDS = (ROUTE_PACKET_MAX / REL_PART_UNIT + 64) / 64,
	REL_QUANTUM = 4096, // bytes of a route's turn
};

// ---- nodes ----

struct __attribute__((aligned(64))) rel_node {
	void *handle;
	uint32_t len; // of the packet, or the bytes of it in this handle
	uint32_t off; // in the handle
	uint32_t next; // in a queue; next part of the packet
	uint32_t route; // tx: index; held: spare entry; joining: 0
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
	uint32_t prev_in, next_in; // others of the route that are held; next_in: next packet ready
	uint32_t total; // joining; held: distance
	uint32_t pkt_off; // place of a part in the packet; control frame: route id
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
	RT_HELD_UP = 32, // paused by the peer
	RT_PAUSING = 64, // REL_EV_PAUSE was told
	RT_DEADLINE = 128,
	RT_URGENT = 256, // a keep-alive overtakes
	RT_IN = 512, // a spare entry: what is held out of order
	RT_SENT = 1024, // last_seq is one
};

struct route {
	union {
		uint64_t last_seq;
		struct rel *rel; // RT_IN
	};
	uint32_t tail; // waiting packets, a ring; RT_IN: first held
	uint32_t waiting; // bytes
	uint32_t kept; // bytes sent and unacked: by Little's law, drain rate times round trip
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
	uint32_t bufs, bufs_max, doomed;
	uint32_t bufs_soft; // budget less an eighth: no more is held out of order
	uint32_t n_fre;
	void *fre[REL_FREE_BATCH]; // to be given to free()

	// -- cold --
	struct rel_map *free_map;
	void *map_chunks; // linked by their first word
	uint32_t free_spare; // route entry + 1
	uint16_t n_open;
	uint32_t share;
	uint16_t rich[REL_CLASSES]; // accounts by class, id + 1
	struct account *accounts;
	uint32_t ev_head, ev_tail; // nodes
	uint16_t tick;
	uint64_t tick_ns;
	uint32_t wheel[REL_WHEEL]; // nodes
	struct rel_hold_stats stats;
};

uint32_t rel_hold_node_new(struct rel_hold *h, uint32_t reserve);
struct rel_map *rel_hold_map_new(struct rel_hold *h);
void rel_hold_map_free(struct rel_hold *h, struct rel_map *m);
void rel_hold_flush(struct rel_hold *h);
void rel_hold_move(struct rel_hold *h, uint32_t route, uint32_t bufs); // class changes
void rel_hold_account_move(struct rel_hold *h, uint16_t account, uint32_t bufs); // class changes
void rel_hold_press(struct rel_hold *h, uint32_t route); // over the budget: something has to go
void rel_hold_make_room(struct rel_hold *h, uint16_t account); // for one below its share
void rel_hold_doom(struct rel_hold *h, uint32_t route, uint8_t reason);
bool rel_hold_tell(struct rel_hold *h, const struct rel_event *ev);
void rel_hold_watch(struct rel_hold *h, uint32_t route, uint32_t limit_s);
uint32_t rel_hold_spare_new(struct rel_hold *h);
void rel_hold_spare_free(struct rel_hold *h, uint32_t route);
void *rel_hold_chunk(struct rel_hold *h);
void rel_hold_chunk_put(struct rel_hold *h, void *chunk);

static inline struct rel_node *node_at(const struct rel_hold *h, uint32_t i)
{
	return &h->node_dir[i >> NODES_LOG2][i & ((1u << NODES_LOG2) - 1)];
}

static inline void node_free(struct rel_hold *h, uint32_t i)
{
	node_at(h, i)->next = h->free_node;
	h->free_node = i;
	h->n_free_nodes++;
}

static inline void handle_free(struct rel_hold *h, void *handle)
{
	h->fre[h->n_fre++] = handle;
	if (h->n_fre == REL_FREE_BATCH)
		rel_hold_flush(h);
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

// The route holds so many buffers more (or fewer, as a negative number).
static inline void route_charge(struct rel_hold *h, uint32_t route, int32_t bufs)
{
	struct route *rt = &h->routes[route];
	uint32_t now = rt->bufs + (uint32_t)bufs;

	if (unlikely((now | rt->bufs) >= REL_LISTED_BUFS && class_of(now) != class_of(rt->bufs)))
		rel_hold_move(h, route, now);
	if (unlikely(rt->flags & RT_DOOMED))
		h->doomed += (uint32_t)bufs;
	rt->bufs = now;
	rel_hold_account_add(h, rt->account, bufs);
}

// ---- queues ----

struct rel_queue {
	struct rel_hold *hold;
	struct rel *rel; // NULL: a sink
	uint32_t round; // last one of the round, index + 1; its round_next is served now
	int32_t credit; // bytes that the one served may still take
	uint32_t urgent_head, urgent_tail;
	uint32_t n_routes;
	uint32_t n_buckets; // linear hashing: grows by one per insertion, no route is moved twice
	uint32_t *bucket[REL_HASH_DIR];
	uint64_t key;
};

uint32_t rel_queue_find(const struct rel_queue *q, uint32_t next_id); // or REL_NO_ROUTE
uint32_t rel_queue_peek(struct rel_queue *q); // node that is next
void rel_queue_pop(struct rel_queue *q, uint32_t node);
void rel_queue_acked(struct rel_queue *q, uint32_t route, uint32_t len, uint16_t bufs);
void rel_queue_reset(struct rel_queue *q); // forgets all routes

// ---- the link ----

struct kept {
	uint32_t node; // 0: acked
	uint32_t dist : 24;
	uint32_t copies : 8; // in flight; none: it is lost, or never went out
};

#define REL_SEQ_FIRST (1ull << 32) // of an instance: nothing is ever below 0

enum rec_state { REC_NONE = 0, REC_FLIGHT = 1, REC_LOST = 2, REC_SKIPPED = 3 };

// What a counter carried: n sequences in a row, or units of a packet in parts.
struct rec {
	struct cc_pkt cc;
	uint32_t seq; // low bits
	uint16_t bytes;
	uint8_t state;
	uint8_t n : 7; // 0: PROBE or REKEY
	uint8_t padded : 1;
	uint16_t unit, n_units; // 0: whole
};

_Static_assert(sizeof(struct rec) <= 64, "one cache line");

// A received sequence past the lowest missing one: what it is in the high bits, a node below.
enum {
	RXE_KIND = 0xe0000000u,
	RXE_NODE = 0x1fffffffu,
	RXE_MISSING = 0,
	RXE_RELEASED = 0x20000000u,
	RXE_HELD = 0x40000000u, // the node waits for the one before it
	RXE_AWAITED = 0x60000000u, // missing, and the node waits for it
	RXE_JOINING = 0x80000000u,
};

struct raw {
	void *handle;
	uint32_t len;
	uint8_t type;
};

struct rel {
	struct rel_queue q;
	struct rel_conf conf;

	// sequences sent: una <= next_seq <= una + window; low bits as on the wire
	uint64_t una, next_seq;
	uint64_t lost_lo; // no lost one is below
	uint32_t n_lost;
	uint32_t n_unacked;
	uint32_t window;
	struct kept **kept_dir;

	// counters: rec_tail <= flight_lo <= counter
	uint64_t counter, rec_tail, flight_lo;
	uint64_t top[3]; // highest ones acked, + 1
	uint64_t skip_at;
	uint32_t n_flight, n_late; // records in flight; lost ones kept for late acks
	uint32_t n_recs; // that the ring holds
	struct rec **rec_dir;

	uint64_t pace_ns; // the next one may leave
	uint64_t next_ns; // when rel_next() may have something, as far as it knows
	uint64_t ns_per_byte; // 2^-20 ns
	uint64_t burst_ns; // what a quantum takes
	uint64_t srtt_ns, rttvar_ns, min_rtt_ns, latest_ns;
	uint64_t loss_ns; // loss timer, 0: none
	uint64_t last_eliciting_ns, last_tx_ns, last_ack_ns;
	uint32_t pto_count;
	uint8_t probes_due;
	bool probe_due, down, closed;
	uint64_t pto_seq;

	// sequences received
	uint64_t rx_next, rx_end; // nothing at or past rx_end was received
	uint32_t **rx_dir;
	uint32_t rx_ctl_held, rx_join_bufs;
	uint32_t ready_head, ready_tail;

	// acks to be sent
	uint64_t rx_top, rx_top_ns; // highest counter + 1
	uint64_t ack_min[REL_ACK_PERIODS];
	uint32_t ack_period, ack_owed;
	bool ack_now;
	uint64_t ack_by_ns;

	// -- cold --
	uint64_t ctl_last_seq; // chain of route id 0
	uint32_t ctl_head, ctl_tail; // nodes that wait
	uint32_t ctl_id[64]; // of these, by id
	uint32_t probe_size;
	unsigned n_raws;
	struct raw raws[REL_RAWS_MAX];
	void *sent_raw;
	uint64_t skips[REL_SKIPS]; // + 1
	unsigned next_skip;
	uint64_t random;
	uint64_t gone_ns; // when the next GONE for an unknown id may go
	uint64_t idle_ns; // since when nothing is kept, 0: something is
	uint32_t id_bucket[REL_ID_BUCKETS]; // spare routes by id, index + 1
	struct rel_stats stats;
	struct cc cc;
};

static inline struct kept *kept_at(const struct rel *r, uint64_t seq)
{
	struct kept *c = r->kept_dir[(seq & (r->window - 1)) >> KEPT_LOG2];

	return &c[seq & ((1u << KEPT_LOG2) - 1)];
}

static inline struct rec *rec_at(const struct rel *r, uint64_t counter)
{
	struct rec *c = r->rec_dir[(counter & (r->n_recs - 1)) >> RECS_LOG2];

	return &c[counter & ((1u << RECS_LOG2) - 1)];
}

// The full sequence that has these low bits and lies nearest to `at`.
static inline uint64_t seq_near(uint64_t at, uint32_t low)
{
	return at + (uint64_t)(int64_t)(int32_t)(low - (uint32_t)at);
}

static inline uint64_t rel_random(struct rel *r)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return r->random;
}

// rel_loss.c
int rel_loss_on_ack(struct rel *r, const struct rail_ack *ack, uint64_t now_ns); // -EPROTO
void rel_loss_timer(struct rel *r, uint64_t now_ns);
uint64_t rel_loss_deadline(const struct rel *r);
void rel_loss_seq_acked(struct rel *r, uint64_t seq);
uint64_t rel_loss_pto_ns(const struct rel *r, uint32_t count); // after so many in a row
void rel_loss_repace(struct rel *r);
void rel_loss_settle(struct rel *r); // forgets what is behind the oldest in flight
// rel_tx.c
void rel_tx_trim(struct rel *r); // chunks that are behind
void rel_tx_free_all(struct rel *r);
void rel_tx_empty(struct rel *r, uint32_t route); // EMPTY takes the place of what is unacked
void rel_tx_release_chunks(struct rel *r);
bool rel_tx_has_work(const struct rel *r);
// rel_ctl.c
void rel_ctl_add(struct rel *r, uint8_t kind, uint32_t id, uint16_t arg);
uint32_t rel_ctl_pop(struct rel *r);
void rel_ctl_free_all(struct rel *r);
void rel_ctl_released(struct rel *r, uint8_t kind, uint32_t id, uint16_t arg, uint64_t now_ns);
// rel_ack.c
void rel_ack_seen(struct rel *r, uint64_t counter, bool eliciting, uint64_t now_ns);
bool rel_ack_due(const struct rel *r, uint64_t now_ns);
uint32_t rel_ack_put(struct rel *r, uint8_t *p, uint32_t room, uint64_t now_ns); // bytes
// rel_order.c
struct rel_got { // a frame of the chain of a route that came in
	const struct rel_in *in;
	struct rel_out *out;
	const struct rail_frame *f;
	uint64_t seq;
	bool last; // of its datagram: the handle is free to be taken
	bool taken; // ... and was
	uint64_t now_ns;
};
enum rel_place { PLACE_OK, PLACE_NONE, PLACE_UNLAWFUL };
enum rel_place rel_order_add(struct rel *r, struct rel_got *g);
enum rel_place rel_order_empty(struct rel *r, struct rel_got *g);
void rel_order_drop_id(struct rel *r, uint32_t route_id, uint64_t now_ns);
void rel_order_drain(struct rel *r, struct rel_out *out);
void rel_order_free_all(struct rel *r);
void rel_order_trim(struct rel *r); // rx_next has come to a new chunk
void rel_order_release_chunks(struct rel *r);
// rel_join.c
enum rel_place rel_join_add(struct rel *r, struct rel_got *g, uint32_t *rxe, uint32_t *whole);
void rel_join_free(struct rel *r, uint32_t node); // parts of a packet, held or not
// a handle that owns `len` bytes at `data` of the datagram; NULL: no buffer
void *rel_rx_take(
	struct rel *r, struct rel_got *g, const uint8_t *data, uint32_t len, uint32_t *off);
bool rel_rx_may_hold(struct rel *r, uint64_t seq);
