// The inside of a reliable link, shared by rel*.c and nobody else. Owner of all of it: the thread
// of the hold. Three rings per link are cut into chunks that exist while something lies in them:
// kept sequences (8 bytes each), sent counters (64 bytes), received sequences past a gap (4 bytes).
#pragma once

#include "lib/link/cc.h"
#include "lib/link/rel.h"
#include "lib/link/rel_hold_priv.h"
#include "lib/link/rel_queue_priv.h"

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
	uint32_t seq; // low bits; PROBE: its tag
	uint16_t bytes;
	uint8_t state;
	uint8_t n : 6; // 0: PROBE or REKEY
	uint8_t padded : 1;
	uint8_t tagged : 1;
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

struct probe {
	uint32_t tag, size;
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
	uint8_t next_log2; // of the next instance, 0: as it is
	struct kept **kept_dir;

	// counters: rec_tail <= flight_lo <= counter
	uint64_t counter, rec_tail, flight_lo;
	uint64_t top[3]; // highest ones acked, + 1
	uint64_t path_first; // first one on the present path
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
	uint8_t n_probes;
	bool down, closed;
	uint64_t pto_seq;

	// sequences received
	uint64_t rx_next, rx_end; // nothing at or past rx_end was received
	uint32_t **rx_dir;
	uint32_t rx_ctl_held, rx_join_bufs, rx_ids; // rx_ids: spare entries
	uint32_t ready_head, ready_tail;
	bool held_up; // by event empty_ev: what is released is ready, but does not leave

	// acks to be sent
	uint64_t rx_top, rx_top_ns; // highest counter + 1
	uint64_t ack_min[REL_ACK_PERIODS];
	uint32_t ack_period, ack_owed;
	bool ack_now;
	uint64_t ack_by_ns;

	// -- cold --
	uint64_t ctl_last_seq; // chain of route id 0
	uint32_t ctl_head, ctl_tail, n_ctl; // nodes that wait
	uint32_t ctl_id[64]; // of these, by id
	struct probe probes[REL_PROBES_MAX]; // that wait
	unsigned n_raws;
	struct raw raws[REL_RAWS_MAX + 1];
	void *sent_raw;
	uint64_t skips[REL_SKIPS]; // + 1
	unsigned next_skip;
	uint64_t random;
	uint32_t large_lost;
	uint32_t looks; // that ACKs may still take, as of counter looks_at
	uint64_t looks_at;
	uint64_t empty_ev; // the last REL_EV_EMPTY, as rel_hold.ev_told counts
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
// rel_run.c
// The oldest datagrams in flight, up to the counter hi, at once: as many in a row as were acked in
// the usual case, one whole packet each and nothing lost before them. Those are behind then, with
// ACKs alone among them; the rest is as it was.
void rel_acked_run(struct rel *r, uint64_t hi, uint64_t now_ns);
// rel_kept.c
void rel_kept_trim(struct rel *r); // chunks that are behind
// The oldest sequences and records are behind, so many, which lie in one chunk. No older records
// were kept.
void rel_kept_pass(struct rel *r, uint32_t n_seqs, uint32_t n_recs);
void rel_kept_free_all(struct rel *r);
// EMPTY takes the place of what is unacked
void rel_kept_empty(struct rel *r, uint32_t route, uint8_t reason);
void rel_kept_release_chunks(struct rel *r);
// rel_tx.c
bool rel_tx_has_work(const struct rel *r);
// rel_ctl.c
bool rel_ctl_add(struct rel *r, uint8_t kind, uint32_t id, uint16_t arg);
uint32_t rel_ctl_pop(struct rel *r);
void rel_ctl_free_all(struct rel *r);
// False: no node to tell it.
bool rel_ctl_released(struct rel *r, uint8_t kind, uint32_t id, uint16_t arg, uint64_t now_ns);
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
