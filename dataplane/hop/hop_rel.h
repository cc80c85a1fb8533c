// Inside dataplane/hop/ and its tests only: hops in reliable mode (rail.md 4). The state machine is
// lib/link/rel; here it gets its memory, keys, buffers, timers, and the rules that its routes
// belong to.
#pragma once

#include "dataplane/hop/hop_msg.h"
#include "dataplane/hop/hop_priv.h"
#include "dataplane/hop/hop_wheel.h"
#include "dataplane/rule/rule_table.h"
#include "lib/link/cc.h"
#include "lib/link/rel.h"

enum {
	REL_MSGS = 4096, // from the main lcore to a worker, power of two
	REL_MSGS_TURN = 64,
	REL_SAY_TURN = 1024, // of what found no room before
	REL_SPARE_ROUTES = 4096, // per worker: routes of which something is held out of order
	REL_ITEMS = 2 * BURST + REL_SEGS_MAX, // released at once
	REL_MAX_FRAMES = REL_PIECES_MAX - 1, // small packets in a datagram
	REL_TX_TURN = 256, // datagrams of one hop in one go
	REL_PING_SIZE = 64, // bytes of frames of a PROBE that somebody waits for: padded
	REL_TRY_SIZE = 2, // of one to an address that gets little: as small as can be, and padded
	REL_ENDED_PERIOD_NS = 10 * 1000 * 1000,
	REL_ENDED_BURST = 64,
	REL_HOLES = 64, // power of two
};

// What a tagged PROBE is for: the high bits of its tag. Below them a number of its own, so an
// answer to an older one is none to this one.
enum hop_probe_kind {
	PROBE_PING = 1u << 24, // ... the place in hop.probes
	PROBE_TRY = 2u << 24, // proves an address
	PROBE_MTU = 3u << 24, // ... its bytes of IP, and 8 bits of the number
	PROBE_BESIDE = 4u << 24, // who does not answer that is not there
	PROBE_KIND = 0xffu << 24,
};

static inline uint16_t hop_probe_size(uint32_t tag)
{
	return (uint16_t)(tag >> 8);
}

enum hop_route_flag {
	HOP_ROUTE_PAUSED = 1, // its ingress was told to wait
	HOP_ROUTE_ENDED =
		2, // takes nothing more; the main lcore was asked to take the rule out, or ...
	HOP_ROUTE_LOSSY = 4, // its ingress can't be told
	HOP_ROUTE_DRAINING = 8, // a Close was its last packet
	HOP_ROUTE_UNTOLD = 16, // there was no room to say so
	HOP_ROUTE_HOLED = 32, // its link began anew: the main lcore closes it without being asked
};

struct hop_route {
	uint32_t id; // of the rule
	uint32_t hop; // egress; 0: the sink
	uint32_t in_tp;
	_Atomic uint32_t freed; // packets freed instead of delivered; main: ro, relaxed
	uint32_t prev, next; // others that are paused, or untold, index + 1
	uint16_t account;
	uint8_t flags;
	uint8_t reason; // enum rail_gone_reason, of its end
	uint16_t limit_s; // of its pause
	uint16_t pad;
};
static_assert(sizeof(struct hop_route) == HOP_INFO_LEN, "two routes in a cache line");
static_assert(sizeof(struct rel_route) == HOP_ENTRY_LEN, "one route in a cache line");

// What all workers share of reliable mode; made by main, constant afterwards.
struct hop_rel_shared {
	struct rel_route
		*routes; // by rule index; then the spare ones of each worker, then one per hop
	struct hop_route *info; // ditto, without the spare ones: by rule index, then per hop
	uint32_t n_rules;
	uint32_t ctl_first; // entry of route id 0 of hop index 0 in routes[]
	const struct cc_ops *cc;
	void *map; // routes, info
	size_t map_len;
};

// Carried hops that may have something for a ring up, in turn.
struct hop_cars {
	struct hop_car *first, *last; // last: while there is a first
};

// One worker's side. Owner: the worker; main makes and frees it.
struct hop_hold {
	struct wctx *w; // NULL until its first reliable or carried hop
	struct rel_hold *hold;
	struct rel_queue *sink;
	const struct hop_rel_shared *shared;
	struct rel_route *routes;
	struct hop_route *info;
	uint16_t me; // worker + 1
	uint16_t account; // of the control plane's packets
	uint16_t *accounts; // by index of the transport, + 1; 0: none
	uint32_t *account_tp; // whose
	uint32_t account_at; // next one looked at
	uint32_t n_paused;
	uint32_t paused; // first one that is and of which this was told, index + 1
	uint32_t untold; // first one of which the state is still to be told
	uint64_t tick_ns;
	uint64_t seed;
	struct hop_wheel wheel;
	struct bucket ended;
	struct {
		uint32_t id, ds;
	} hole[REL_HOLES]; // rules of which hop_routes_hole() told the end, and when, by slot
	struct rte_ring *msgs; // from main
	struct hop_late late; // what our hops had no room for
	uint8_t *chunks;
	uint32_t n_chunks;
	uint32_t n_used; // chunks that were ever given
	void *free_chunk; // linked by their first word
	bool sink_busy; // something may lie in it
	bool cars_turn; // of those without a carrier and the sink, whose packet is next
	struct hop_cars cars[DPMSG_MAX_CARRIERS + 1]; // by carrier, [0]: those that have none
	uint8_t freeing; // enum rail_gone_reason of what is freed now
	uint64_t no_nodes, no_spares; // in the counters already
	size_t chunks_len;
	uint32_t max_bufs;
	_Atomic uint32_t bufs; // rel_hold_bufs() in this turn; other workers: ro, relaxed
};

struct hop_rel {
	struct rel *rel;
	struct hop *hop;
	const struct cc_ops *cc;
	const struct rel_hold *hold;
	uint16_t account; // of what comes in by it
	struct hop_timer timer;
	uint32_t ctl; // entry of route id 0
	uint32_t room; // bytes of frames, as the link knows it
	uint8_t window_log2;
	uint8_t retransmit_limit; // 0: the default
	uint16_t silence_s; // ditto
	bool got_close; // a CLOSE frame came: acted on after the datagram
	uint8_t broken; // code of the CLOSE that we owe the peer, 0: none
	bool begun; // in its owner's hold
	bool more; // packets are released, for which there was no room
	bool reset_untold; // main does not know that the routes are to be closed
	uint8_t reset_reason; // enum rail_gone_reason
	uint8_t close_code;
	uint8_t close_len;
	char close_text[DPMSG_TEXT_LEN];
	uint32_t try_first; // number of the first PROBE that proves the address
	uint8_t n_tries; // such PROBEs so far
	uint64_t try_sent_ns; // the last one
	uint32_t n_pushed; // packets since we looked what may leave
	struct rel_stats seen; // what is in the counters already
};

static inline struct hop_hold *hop_hold(const struct wctx *w)
{
	return hop_worker(w)->hold;
}

// Of five counters in a row: held, stalled, reset, down, rule.
static inline enum worker_counter hop_reason_counter(enum worker_counter first, uint8_t reason)
{
	if (reason < RAIL_GONE_HELD || reason > RAIL_GONE_RULE)
		reason = RAIL_GONE_RULE;
	return first + (reason - RAIL_GONE_HELD);
}

// A datagram was the last one of this link, or of its key: hop_rel_closes() has something to do.
static inline bool hop_rel_is_closing(const struct hop *h)
{
	return h->rel->got_close || h->rel->broken != 0;
}

// Reliable or carried: it keeps what it is given in order, in queues of routes, and loses nothing
// of a route that goes on.
static inline bool hop_keeps_order(const struct hop *h)
{
	return h->mode != HOP_MODE_DATAGRAM;
}

// ---- hop_hold.c [main] ----
struct hop_rel_shared *hop_rel_shared_new(const struct hop_table_conf *c);
void hop_rel_shared_free(struct hop_rel_shared *s);
// NULL with errno set.
struct hop_hold *hop_hold_new(const struct hop_rel_shared *s, const struct hop_table_conf *c,
	unsigned worker, int socket);
void hop_hold_free(struct hop_hold *hh); // all its hops are gone
size_t hop_rel_size(const struct cmd_hop_add *c); // of the memory behind a struct hop_rel
struct hop_rel *hop_rel_make(
	void *mem, const struct hop_rel_shared *s, const struct cmd_hop_add *c);

// ---- hop_rel.c: life ----
void hop_hold_begin(struct wctx *w); // this worker has got a hop that keeps order
void hop_rel_begin(struct wctx *w, struct hop *h); // taken over from main
void hop_rel_end(struct wctx *w, struct hop *h); // let go
// A new instance, or the link is down: all is freed, the routes are closed (rail.md 2).
void hop_rel_reset(struct wctx *w, struct hop *h, uint8_t reason);
void hop_rel_drain(struct hop *h); // the worker has stopped: gives its buffers back
void hop_rel_room(struct wctx *w, struct hop *h); // the path may carry more, or less
void hop_rel_publish(struct hop *h);
void hop_rel_count(struct wctx *w, struct hop *h); // what the link did since, into the counters
void hop_rel_timers(struct wctx *w); // of all hops of this worker
void hop_rel_visit(struct wctx *w, struct hop *h); // now and then
// The hop has something to do at the end of this turn.
void hop_rel_wake(struct wctx *w, struct hop *h);
// Frames of hop_ctl.c. Takes m, of which the data are a whole frame.
bool hop_rel_frame(struct wctx *w, struct hop *h, uint8_t type, struct rte_mbuf *m);
void hop_rel_probe(struct wctx *w, struct hop *h, uint64_t cookie);
// A PROBE that makes `size` bytes of IP, of which `len` are frames, and one beside it. False: no
// room.
bool hop_rel_probe_mtu(struct wctx *w, struct hop *h, uint16_t size, uint32_t len, uint32_t beside);
void hop_rel_on_probe(struct wctx *w, struct hop *h, const struct rel_event *ev); // REL_EV_PROBE
void hop_rel_moved(struct wctx *w, struct hop *h); // RTT and congestion state begin anew
// The address of the hop is to be proven, from now on; and until it is, the PROBE is repeated when
// no answer came in time.
void hop_rel_try(struct wctx *w, struct hop *h);
void hop_rel_try_again(struct wctx *w, struct hop *h);
// How long an address may be tried: three time-outs of the path so far, or of one that is unknown.
uint64_t hop_rel_try_ns(const struct hop *h);

// ---- hop_rel_tx.c ----
// Packets into the queue of their hop, n <= BURST: it takes them, or they are dropped and counted.
void hop_queue_push(
	struct wctx *w, struct hop *h, struct rel_queue *q, struct rte_mbuf **m, unsigned n);
// The same for this reliable hop. When a burst has come, what may leave does so at once: it is
// still in the cache.
void hop_rel_push(struct wctx *w, struct hop *h, struct rte_mbuf **m, unsigned n);
// Seal and send what may leave now.
void hop_rel_flush(struct wctx *w, struct hop *h);

// ---- hop_rel_rx.c ----
// Packets released in a burst, on their way to the sink.
struct hop_rel_in {
	struct rel_out out;
	unsigned left; // so many more may go on in this turn
	struct rel_item item[REL_ITEMS];
};
void hop_rel_rx_begin(struct wctx *w, struct hop_rel_in *in);
// One authentic, fresh datagram; m's data begin at the rail header. Takes m. True: its counter is
// to be committed now.
bool hop_rel_rx(struct wctx *w, struct hop *h, struct hop_rel_in *in, struct rte_mbuf *m,
	uint32_t len, uint64_t counter);
// Those of n opened datagrams, in order, that are packets which come next: d[].m become them. Their
// counters are to be committed now. Returns how many.
unsigned hop_rel_rx_run(struct wctx *w, struct hop *h, const struct rx_dgram *d, unsigned n);
void hop_rel_give(struct wctx *w, struct hop *h, struct hop_rel_in *in);
// After each datagram: closes the link if that is due; true: it did.
bool hop_rel_closes(struct wctx *w, struct hop *h, struct hop_rel_in *in);
void hop_rel_rx_end(struct wctx *w, struct hop *h, struct hop_rel_in *in);
void hop_rel_more(struct wctx *w, struct hop *h); // what had no room before
// ... and never will have: the link begins anew. Routes that lose a packet so are ended.
void hop_rel_last(struct wctx *w, struct hop *h, uint8_t reason);
void hop_rel_on_frame(void *ctx, void *link, const struct rail_frame *f);
