// Inside dataplane/hop/ and its tests only: what a hop is made of, and what its files call of each
// other.
//
// Keys (rail.md 2). At most three live at once, told apart by receiver index. A key is *confirmed*
// by the first authentic datagram under it. We seal with keys[send]: an initiator's new key at
// once, a responder's when it is confirmed. Keys older than a confirmed one are wiped ten seconds
// later; a responder's key that was never used is replaced by the next one. A key with `reset`
// begins a new instance: when it takes effect (initiator: at once; responder: when confirmed)
// counters, replay window and parts begin anew and all other keys are wiped, for their counters
// mean something else.
#pragma once

#include "dataplane/hop/hop.h"
#include "dataplane/hop/hop_pub.h"
#include "dataplane/hop/hop_table.h"
#include "dataplane/io/encap.h"
#include "lib/base/bucket.h"
#include "lib/crypto/aead.h"
#include "lib/crypto/replay.h"
#include "lib/link/part.h"
#include "lib/link/pmtu.h"
#include "lib/wire/rail_frame.h"

#include <rte_ring.h>

enum {
	HOP_KEYS = RAIL_KEYS_MAX,
	HOP_PEND = 2 * BURST, // route packets waiting to be sealed
	HOP_SKIPS = 16, // counters left out on purpose that are remembered
	HOP_PROBES = 8, // probes whose answer may still come
	HOP_CMDS = 256, // per worker, power of two
	HOP_CMDS_TURN = 4,
	HOP_NOTES = 4096, // per worker, power of two
	HOP_TICK_NS = 10 * 1000 * 1000,
	HOP_VISITS = 32, // hops looked at per turn when their time has come
	HOP_PROBE_REPEAT_NS = 1000 * 1000 * 1000,
	HOP_ROAM_TRY_S = 3,
	HOP_ACK_RANGES = 32,
	HOP_SKIP_SPAN = 1 << 17, // so one counter in 2^16 on average
	HOP_PARTS = 16, // route packets being joined per hop
	HOP_PART_SEGS = 512,
	HOP_PART_BYTES = 512 * 1024,
	HOP_REKEY_BURST = 8, // re-key messages from a peer, then one per period
	HOP_REKEY_PERIOD_NS = 250 * 1000 * 1000,
	HOP_NOTICE_BURST = 4,
	HOP_NOTICE_PERIOD_NS = 1000 * 1000 * 1000,
	HOP_TELL_BURST = 1,
	HOP_ROAM_BURST = 4,
	HOP_ROAM_PERIOD_NS = 500 * 1000 * 1000,
};
#define HOP_TELL_PERIOD_NS (10ull * 1000 * 1000 * 1000)
#define HOP_RESPONDER_EXTRA_NS (30ull * 1000 * 1000 * 1000)
#define HOP_KEY_OLD_NS (RAIL_KEY_OLD_S * 1000000000ull)
#define HOP_DUE_REPEAT_NS (30ull * 1000 * 1000 * 1000)

struct hop_addr {
	uint8_t ip[16];
	uint16_t port; // host order
};

struct hop_key {
	struct aead_key rx; // made by the owner, in the hop's rooms
	struct aead_key tx;
	const struct aead_backend *aead;
	uint32_t rx_index; // 0 = no key here
	uint32_t tx_index;
	uint8_t cipher; // enum aead_cipher
	bool initiator;
	bool confirmed;
	bool reset; // begins a new instance, not yet in effect
	uint32_t adj; // 0: unchanged; takes effect with the key
	uint16_t payload_max; // ditto
	uint8_t rel_window_log2; // ditto, with `reset`
	uint8_t n_flows; // ditto
	uint64_t seq; // order in which keys came
	uint64_t born_ns; // came into use
	uint64_t expire_ns; // 0 = not yet known
	uint64_t first_counter; // of ours under it
	uint64_t bad_tags;
	uint64_t instance_local;
	uint64_t instance_remote;
	uint64_t handshake_ns;
	struct hop_addr peer; // port 0: unchanged
};

struct hop_probe {
	uint64_t counter; // reliable: tag
	uint64_t sent_ns; // 0 = free
	uint64_t cookie; // of CMD_HOP_PING, with it an answer is a note
};

struct hop {
	// owner: the worker
	_Alignas(64) uint32_t handle;
	uint32_t tp;
	int8_t send; // key to seal with, -1 = none
	uint8_t rx_key; // key of the last datagram: the first guess for the next
	bool up; // packets may be pushed
	bool dead; // silent for too long
	bool closed; // by a CLOSE frame, theirs or ours
	bool pending; // in w->tx_pending
	bool ack_due; // a PROBE came in this burst
	uint8_t mode;
	uint8_t n_skips; // total drawn, saturating at HOP_SKIPS
	uint16_t n_pend;
	uint16_t local_port;
	uint16_t payload_max; // greatest UDP payload the peer takes
	uint16_t path_mtu; // bytes of IP that the path carries, as far as is known
	uint16_t next_skip; // slot of skips[]
	struct hop_flow flow;
	uint32_t adj;
	struct hop_addr peer;
	struct replay *replay;
	struct hop_rel *rel; // reliable mode, else NULL
	struct stats_hop *st;
	struct hop *next_pending;

	uint64_t tx_counter; // next one
	uint64_t skip_at; // the counter to leave out
	uint64_t last_tx_ns;
	uint64_t last_rx_ns;
	uint64_t first_tx_ns; // first one since last_rx_ns, 0 = none
	uint32_t part_seq;
	uint32_t parts_held; // buffers
	struct rte_mbuf *pend[HOP_PEND];

	// -- cold --
	struct hop_car *car; // carried mode, else NULL; it has no keys, so send is -1
	struct part *parts; // datagram mode, else NULL
	struct hop_key keys[HOP_KEYS];
	struct aead_room rooms[HOP_KEYS][2]; // of each key's rx and tx
	struct hop_guard guard;
	uint64_t keepalive_ns;
	uint64_t dead_ns;
	uint64_t rekey_ns;
	uint64_t due_noted_ns; // when REKEY_DUE was told, 0 = not for this key
	uint64_t probe_ns; // when an unanswered probe was sent last, 0 = all answered
	uint64_t key_seq;
	uint64_t cmds_done;
	uint64_t skip_rng;
	uint64_t skips[HOP_SKIPS];
	struct hop_probe probes[HOP_PROBES];
	uint32_t next_probe;
	struct pmtu mtu;
	uint64_t mtu_counter, mtu_beside; // of the last padded probes, + 1; reliable: tag
	uint64_t mtu_checked_ns, mtu_checked_tx; // when one was sent last, and tx_counter then
	uint32_t mtu_lost_seen, black_holes_seen; // what is in the counters
	uint16_t mtu_fixed; // by configuration; 0: searched for
	uint16_t mtu_size; // of the last padded probe
	bool mtu_on; // the search has begun
	struct bucket rekey_up;
	struct bucket notices; // received
	struct bucket told; // sent
	struct bucket roams;
	// Roaming: where the peer was seen, and the address we try now.
	struct hop_addr seen;
	uint64_t seen_bytes;
	uint64_t seen_counter; // highest that came from there
	bool seen_noted;
	struct hop_addr old_peer;
	uint32_t old_adj;
	bool trying; // peer/adj are not yet proven
	uint64_t try_until_ns;
	uint64_t try_bytes; // may still go there
	uint64_t try_counter; // the probe that proves it
	uint32_t list_pos; // in hop_worker.list
	uint32_t n_paused; // routes that leave by it of which the ingress has to wait
	struct stats_hop own_stats; // when there is no segment
	struct hop_pub pub;
};

struct hop_cmd;

struct hop_worker {
	// owner: main writes tail and slots | worker: head
	_Alignas(64) _Atomic uint32_t cmd_tail;
	_Alignas(64) _Atomic uint32_t cmd_head;
	struct hop_cmd *cmds; // HOP_CMDS (hop_cmd.h)

	// owner: the worker
	_Alignas(64) struct hop **by_index; // hop_max
	struct hop **list; // dense
	uint32_t n_list;
	uint32_t visit; // next of list in this sweep
	uint64_t next_sweep_ns;
	uint32_t parts_held; // buffers
	uint32_t part_mbufs; // most of them
	struct hop *most_parts; // holds most of them, as far as was seen; NULL: nobody
	uint64_t foreign_debt; // cycles spent beyond w->foreign_credit
	struct hop *released; // let go, note not yet told
	struct hop_hold *hold; // of reliable and carried hops; NULL: this node has none
	struct rte_ring *notes; // worker -> main
	_Atomic uint32_t notes_lost; // main: exchange to 0
};

static inline struct hop_worker *hop_worker(const struct wctx *w)
{
	return w->hops->workers[w->id];
}

static inline void hop_count(struct hop *h, enum hop_counter k, uint64_t n)
{
	stat_add(&h->st->c[k], n);
}

static inline bool hop_addr_equal(const struct hop_addr *a, const uint8_t ip[16], uint16_t port)
{
	return a->port == port && memcmp(a->ip, ip, 16) == 0;
}

static inline void hop_addr_from(struct hop_addr *a, const struct dpmsg_addr *from)
{
	memcpy(a->ip, from->ip, 16);
	a->port = from->port;
}

static inline void hop_strip(struct rte_mbuf *m, uint32_t off, uint32_t len)
{
	m->data_off = (uint16_t)(m->data_off + off);
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
}

// No buffer for a frame that came; a route packet is entered in the books as received and dropped.
static inline void hop_no_buffer(struct wctx *w, bool is_packet)
{
	count(w, W_frames_no_mbuf, 1);
	count(w, W_pkt_rx, is_packet);
	count(w, W_drop_rx_nombuf, is_packet);
}

// ---- hop.c: life, commands, timers ----
// up = has a key, neither dead nor closed; publishes
void hop_set_up(struct wctx *w, struct hop *h);
void hop_publish(struct hop *h);
void hop_confirm(struct wctx *w, struct hop *h, unsigned k); // something came under keys[k]
void hop_alive(struct wctx *w, struct hop *h); // something authentic came
// Down until there is a new key: wipes those that are there, tells. we: it was our wish.
void hop_shut(struct wctx *w, struct hop *h, bool we, uint8_t code, const void *text, size_t len);
void hop_drop_parts(struct wctx *w, struct hop *h); // all that is being joined
void hop_reap_parts(struct wctx *w, struct hop *h); // what is too old, or gave way
void hop_draw_skip(struct hop *h); // the next counter to leave out
// Notes; false when the ring is full.
bool hop_note_simple(struct wctx *w, const struct hop *h, enum dp_note_kind kind, uint32_t value);
bool hop_note_addr(struct wctx *w, const struct hop *h, const struct hop_addr *a);
bool hop_note_text(struct wctx *w, const struct hop *h, enum dp_note_kind kind, uint8_t code,
	const void *text, size_t len, bool we);

// ---- hop_rx.c ----
// n <= BURST authentic datagrams of one route packet each, in order: into the window and the books.
void hop_take_run(struct wctx *w, struct hop *h, unsigned n, uint64_t bytes);
// Open n <= BURST datagrams under the present key, from the peer, in order. Returns how many route
// packets d[].m are now, from the first on; everything else was dealt with.
unsigned hop_open_in_order(struct wctx *w, struct hop *h, struct rx_dgram *d, unsigned n);

// ---- hop_ctl.c: frames that are not route packets, and the path ----
void hop_send_probe(struct wctx *w, struct hop *h, uint64_t cookie);
// The answer to a ping came after so long.
void hop_note_rtt(struct wctx *w, const struct hop *h, uint64_t cookie, uint32_t rtt_us);
void hop_send_ack(struct wctx *w, struct hop *h);
bool hop_send_text(struct wctx *w, struct hop *h, enum rail_frame_type type, uint8_t code,
	const void *text, size_t len);
void hop_close(struct wctx *w, struct hop *h, uint8_t code, const char *text); // says it, shuts
// 0 or -EPROTO: names a counter that was never sent.
int hop_on_ack(struct wctx *w, struct hop *h, const struct rail_ack *ack);
void hop_on_rekey(struct wctx *w, struct hop *h, const struct rail_frame *f);
void hop_on_notice(struct wctx *w, struct hop *h, const struct rail_frame *f);
void hop_path(struct wctx *w, struct hop *h, const struct hop_cmd *c);
void hop_path_timer(struct wctx *w, struct hop *h);
// The newest authentic datagram so far came from another address than the peer's.
void hop_roamed(struct wctx *w, struct hop *h, const struct rx_dgram *d);

// ---- hop_join.c ----
// One part, whose bytes are the data of *m (taken). 1: *m is a whole route packet now; 0: not yet,
// or it was of no use; -EBADMSG: against the protocol.
int hop_join(struct wctx *w, struct hop *h, const struct rail_frame *f, struct rte_mbuf **m);
// The header of a route packet that is a chain into one piece. NULL: no buffer; m is freed then,
// and counted as received and dropped.
struct rte_mbuf *hop_pull_up(struct wctx *w, struct rte_mbuf *m);

// ---- hop_tx.c ----
// Seal n <= BURST frames (mbuf data = frame bytes, one segment, room for headers and tag) and send
// them. Takes the mbufs. There is a key, and hop_may_seal() said yes.
void hop_seal(struct wctx *w, struct hop *h, struct rte_mbuf **m, unsigned n);
bool hop_may_seal(const struct hop *h, unsigned n); // hard limit of the key
void hop_flush(struct wctx *w, struct hop *h); // what is pending of one hop
// Bytes of frames that one datagram of this hop holds on the way `a` (NULL: on any).
uint32_t hop_frame_room(const struct wctx *w, const struct hop *h, const struct adj *a);
