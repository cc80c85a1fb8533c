// One flow of a rail transport in reliable mode (rail 3 and 4): numbers, acks, loss, order and
// pauses. Sans-I/O: opened datagrams in, released route packets out; descriptions of datagrams to
// be sealed out. Keys, addresses and the replay window stay the caller's, what is held and its
// limits are rel_hold's, waiting packets are in rel_queue(). Design: docs/design/reliable-link.md.
//
//   a burst came in        a turn ends                     a timer
//   ---------------        -----------                     -------
//   rel_rx() each,         rel_queue_push() each,          rel_deadline() is due:
//   commit replay,         while (rel_next()) seal, send   rel_tick(), then as a turn ends
//   rel_rx_more(),
//   rel_hold_event()
//
// Owner: one thread, that of the hold. Times are monotonic ns and never go back.
#pragma once

#include "lib/crypto/replay.h"
#include "lib/link/rel_queue.h"
#include "lib/wire/rail_frame.h"

enum {
	REL_WINDOW_LOG2_MIN = 10,
	REL_WINDOW_LOG2_MAX = 23,
	REL_WINDOW_LOG2 = 18,
	REL_SEGS_MAX = 128, // handles that one joined packet may consist of
	REL_PIECES_MAX = 16, // frames of a datagram that are sent
	REL_HDR_MAX = 512, // bytes made here for one datagram
	REL_RAWS_MAX = 8,
	REL_PROBES_MAX = 4, // that wait to be sent
	REL_PTO_MAX_NS = 2000000000,
	REL_PTO_FIRST_NS = 1000000000, // of a path that was not measured: three times 333 ms
	REL_SMALL = 1280, // bytes of a datagram that every path carries (UDP payload)
	REL_RETRANSMIT_LIMIT = 10, // probe time-outs in a row, and ...
	REL_SILENCE_S = 15, // ... without an ack, make the link be down
};

struct rel;
struct cc_ops; // lib/link/cc.h

struct rel_conf {
	void *link; // the caller's, in events and in on_frame()
	uint16_t account; // of packets that come in by this link
	uint8_t window_log2; // agreed in the handshake
	uint8_t window_max_log2; // there is memory for, by rel_set_window(); 0: no more
	uint8_t max_frames; // of packets in one datagram, 1..REL_PIECES_MAX - 1
	uint32_t room; // bytes of frames in a datagram, 64..65000
	uint32_t overhead; // what a datagram has around them (RAIL_DATA_OVERHEAD)
	const struct cc_ops *cc;
	const struct replay *replay; // of received counters: ACK frames are made from it
	// A frame that is not the link's business: REKEY, CLOSE, NOTICE. Borrowed for the call.
	void (*on_frame)(void *ctx, void *link, const struct rail_frame *f);
	uint64_t seed;
	uint64_t keepalive_ns; // PROBE when nothing was sent for so long; 0: RAIL_KEEPALIVE_S
	uint16_t silence_s; // 0: REL_SILENCE_S
	uint8_t retransmit_limit; // 0: REL_RETRANSMIT_LIMIT
};

size_t rel_mem_size(const struct rel_conf *conf); // 64-byte aligned; 0: out of range
struct rel *rel_init(void *mem, struct rel_hold *h, const struct rel_conf *conf, uint64_t now_ns);
// Gives its chunks back and frees all that it holds, of what is much some at a time in
// rel_hold_event(). Every route of rel_queue() is forgotten, those that drained with REL_EV_DONE.
void rel_fini(struct rel *r);
// The same, and a new instance begins (rail 2), with its counters and sequences. The caller resets
// the replay window and closes the rules.
void rel_reset(struct rel *r, uint64_t now_ns);

// Of the next instance: takes effect in rel_reset(). No more than there is memory for.
void rel_set_window(struct rel *r, uint8_t window_log2);

struct rel_queue *rel_queue(struct rel *r);

// To another hold, whose routes are the same array. Neither hold's thread runs meanwhile, both have
// had all their events taken, and times of the new thread do not lie before those of the old one.
struct rel_mover {
	uint16_t account; // there, of packets that come in by this link
	uint16_t (*route)(void *ctx, uint32_t route); // the account of each route, called once
	void *ctx;
};
// 0, or -ENOSPC: no room there, within its budget; nothing has changed and nothing was called.
int rel_move(struct rel *r, struct rel_hold *to, const struct rel_mover *by);

// ---- in ----

struct rel_in {
	const uint8_t *frames; // opened
	uint32_t len;
	uint32_t off; // of frames in the handle
	uint64_t counter; // fresh in the replay window
	void *handle; // taken, whatever the verdict
};

// A route packet, or a piece of one, in the order in which it may go on.
struct rel_item {
	void *handle; // the caller's now
	uint32_t off; // in the handle
	uint32_t len;
	bool more; // the packet goes on in the next item
};

struct rel_out {
	unsigned n;
	unsigned cap; // of item[], REL_SEGS_MAX at least
	struct rel_item *item;
};

enum rel_verdict {
	REL_COMMIT, // the caller commits the counter before the next call
	REL_NO_ROOM, // not to be committed: the sender will repeat it
	REL_CLOSE_PROTOCOL, // CLOSE protocol; nothing more may be given to this link but a reset
	REL_CLOSE_VERSION, // CLOSE version, likewise
};

// One authentic datagram. Appends to out what is released; what finds no room there is kept for
// rel_rx_more(). ACK frames are acted on even in one that has no room.
enum rel_verdict rel_rx(
	struct rel *r, const struct rel_in *in, struct rel_out *out, uint64_t now_ns);
// Of one that there is no room for, so that it is not committed: its ACK frames alone. NO_ROOM, or
// CLOSE_*. The handle stays the caller's.
enum rel_verdict rel_rx_acks(struct rel *r, const struct rel_in *in, uint64_t now_ns);
// More released packets; true while there may be still more. Once per burst, later when the caller
// has room again, and when a REL_EV_EMPTY of the link was acted on: what came behind one is kept
// until then, lest it go on past the hole.
bool rel_rx_more(struct rel *r, struct rel_out *out);

// Tell the peer, who sends us packets of route_id (our id). Kept until there is room; a second
// pause replaces the limit. False: no node for it, to be said again later.
bool rel_pause(struct rel *r, uint32_t route_id, uint16_t limit_s, uint64_t now_ns);
bool rel_resume(struct rel *r, uint32_t route_id, uint64_t now_ns);
// Abnormal end of a route that comes in here: what is held of it is freed, GONE is sent.
void rel_ingress_close(struct rel *r, uint32_t route_id, uint8_t reason, uint64_t now_ns);
// A packet of an id that nobody knows: GONE, at a limited rate.
void rel_unknown_id(struct rel *r, uint32_t route_id, uint64_t now_ns);

// ---- out ----

// Bytes of frames: hdr_len bytes of hdr, then bytes of a handle, which stays ours.
struct rel_piece {
	const void *handle; // NULL: none
	uint32_t off;
	uint32_t len;
	uint16_t hdr_off; // in rel_dgram.hdr
	uint16_t hdr_len;
};

struct rel_dgram {
	uint64_t counter; // the one to be sealed with
	uint32_t len; // of all pieces, and pad
	uint32_t pad; // bytes of PADDING at the end
	uint16_t n;
	uint16_t hdr_len;
	struct rel_piece piece[REL_PIECES_MAX];
	uint8_t hdr[REL_HDR_MAX];
};

// The next datagram that may leave now; false: none. It counts as sent: if it can't be sealed it is
// lost, and repeated. Handles in it are good until the next call for this link.
bool rel_next(struct rel *r, struct rel_dgram *out, uint64_t now_ns);
// When rel_tick() and rel_next() have to be called again if nothing happens; UINT64_MAX: never.
uint64_t rel_deadline(const struct rel *r);
void rel_tick(struct rel *r, uint64_t now_ns);

// A complete frame of the caller (REKEY, CLOSE, NOTICE), alone in its datagram and sent once.
// Takes the handle. False: REL_RAWS_MAX are waiting (and, for a CLOSE, another); it stays the
// caller's.
bool rel_send_frame(struct rel *r, uint8_t type, void *handle, uint32_t len, uint64_t now_ns);
// A PROBE alone in its datagram, padded to `size` bytes of frames (0: not at all). REL_EV_PROBE
// tells what became of the one with this tag; 0: nobody asks, and any that waits will do. False:
// REL_PROBES_MAX are waiting.
bool rel_probe(struct rel *r, uint32_t tag, uint32_t size, uint64_t now_ns);
void rel_set_room(struct rel *r, uint32_t room); // the path carries more, or less
// RTT and congestion state begin anew. What was sent before says nothing about the new path.
void rel_path_changed(struct rel *r, uint64_t now_ns);

// How the way to the peer does. A few loads, so it may be asked often.
struct rel_path {
	uint64_t pto_ns; // the first, not doubled
	uint32_t pto_count; // time-outs in a row
	uint32_t large_lost; // datagrams beyond REL_SMALL bytes, since one of them was acked
};
struct rel_path rel_path(const struct rel *r);

struct rel_stats {
	uint64_t tx_datagrams, tx_bytes, tx_packets; // packets: acked
	uint64_t tx_lost, tx_rtx, tx_pto, tx_spurious; // datagrams; frames sent again; ...
	uint64_t tx_empty, tx_freed; // sequences emptied; packets freed instead of acked
	uint64_t rx_packets, rx_dup, rx_no_room, rx_held, rx_joined, rx_ignored, rx_freed;
	uint64_t acks_sent, acks_received;
	uint64_t acks_looked; // records that ACKs made us look at, besides those first acked
	uint64_t srtt_ns, min_rtt_ns, rttvar_ns;
	uint64_t cwnd, in_flight, rate;
	uint32_t kept, unacked; // sequences in the window; of those not acked
	uint32_t waiting; // packets in the queue, and their bytes; what overtakes aside
	uint64_t waiting_bytes;
};
void rel_stats(const struct rel *r, struct rel_stats *out);
