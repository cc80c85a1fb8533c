// What one worker lcore owns and sees: the context that every function on the packet path takes
// first.
//
// Open, because hot inline functions reach into it. Owner: the worker alone, from launch to stop;
// the pointers marked shared lead to tables that the main lcore writes and workers read without
// locks.
#pragma once

#include "dataplane/io/expect.h"
#include "dataplane/io/parse.h"
#include "lib/base/bucket.h"
#include "lib/base/err.h"
#include "lib/shm/dpmsg.h"
#include "lib/shm/stats.h"

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <stdbool.h>
#include <stdint.h>

enum {
	BURST = 32, // packets a stage works on
	TX_ARRAY = 2 * BURST, // frames gathered per port before a burst call
	WORKER_CREDIT_CAP_HZ = 1000, // credits below saved up at most: a millisecond of work
};

struct aead_ctx;
struct wctx;
struct hop;
struct rule_table;
struct adj_table;
struct hop_table;
struct reclaim;
struct handoff;
struct uplink;
struct hop_msg;
struct hs_keys;
struct hop_move;

// Route packets (mbuf data begins at the 7-byte header; may be a chain when joined from parts) that
// came out of one hop, or from the control plane (in == NULL). Ownership moves. n <= BURST. The
// sink counts them (pkt_rx, pkt_down). n == 0: nothing is given, only judge what is held.
typedef void (*wctx_sink)(struct wctx *w, struct hop *in, struct rte_mbuf **pkts, unsigned n);

// What hop/ and io/ need from the layers above: never per packet. worker.c sets it to the functions
// of these names.
struct wctx_ops {
	bool (*handoff_tx)(
		struct wctx *w, unsigned to, uint32_t hop, struct rte_mbuf **m, unsigned n);
	// All of n packets for that worker would be taken now; what is given later in this turn
	// counts against it.
	bool (*handoff_has_room)(struct wctx *w, unsigned to, unsigned n);
	void (*handoff_raw)(struct wctx *w, unsigned to, uint16_t port, struct rte_mbuf *m);
	// Route packets that any other worker has room for.
	unsigned (*handoff_room)(struct wctx *w);
	// Route packets that are on their way to that worker, at most.
	unsigned (*handoff_given)(const struct wctx *w, unsigned to);
	bool (*handoff_msg)(struct wctx *w, unsigned to, const struct hop_msg *msg);
	bool (*uplink_rekey)(struct wctx *w, uint32_t hop, const uint8_t *bytes, uint32_t len);
};

// Frames waiting for one port's burst call.
struct tx_array {
	uint16_t n;
	uint16_t queue; // tx queue of this worker on the port; TX_NO_QUEUE: another worker owns it
	uint16_t owner; // ... namely this one
	uint16_t mtu;
	uint32_t bytes; // of the frames in m[]
	struct rte_mbuf *m[TX_ARRAY];
};
#define TX_NO_QUEUE 0xffff
enum { PORT_IS_TAP = 3 }; // beside PORT_DROP, PORT_KERNEL_COPY, PORT_TAP: the TAP itself

struct rx_queue {
	uint16_t port;
	uint16_t queue;
	struct expect expect; // of its next frames; all zero = nothing
};

// A burst of route packets between two stages of a turn.
struct held_burst {
	unsigned n;
	unsigned off; // of the route packet in the data: 0, or a whole frame of a clear link
	struct hop *in;
	struct rte_mbuf *m[BURST];
};

struct wctx {
	// -- hot --
	_Alignas(64) uint64_t now_tsc; // at the start of this loop turn
	uint64_t now_ns; // monotonic, same moment
	uint32_t now_ds; // tenths of a second, monotonic: the stamp of rules
	uint16_t id;
	uint16_t n_workers;
	_Atomic uint64_t *c; // this worker's counters (enum worker_counter), shared with readers
	const struct rule_table *rules; // shared
	const struct adj_table *adjs; // shared
	struct hop_table *hops; // shared: receiver index -> hop and owner, handle -> hop and owner
	struct rte_mempool *pool; // NUMA-local
	wctx_sink sink; // where hop_rx puts route packets: forward_burst
	const struct wctx_ops *ops;
	struct aead_ctx *aead; // scratch of the ciphers
	struct handoff *handoff;
	struct uplink *uplink;
	uint32_t away; // ports not to be touched in this turn, a bit each

	// -- hops with packets waiting to be sealed in this turn --
	struct hop *tx_pending;

	// -- route packets whose rules are on their way to the cache (forward_ahead()) --
	struct held_burst ahead;
	// What reliable hops keep by the slot of a rule, to be fetched with the rule; NULL: none
	// yet.
	const uint8_t *rel_entry; // 64 bytes each
	const uint8_t *rel_info; // 32 bytes each

	struct tx_array tx[DPMSG_MAX_PORTS];

	// -- cold --
	uint32_t part_chunk; // bytes of route packet in a part, as cut last; 0: none yet
	uint64_t tsc_hz;
	struct rx_queue rxq[DPMSG_MAX_PORTS * 2];
	uint16_t n_rxq;
	const _Atomic uint32_t *ports_away; // shared, main's; NULL: none ever
	_Atomic uint32_t nap_max_ns; // while frames come in bulk; owner: main; 0: no such bound
	struct parse_ports udp_ports; // ours
	int16_t socket;
	uint8_t exception[DPMSG_MAX_PORTS]; // PORT_* or PORT_IS_TAP, by port
	uint8_t exception_peer[DPMSG_MAX_PORTS]; // the TAP of a PORT_TAP port, and back
	uint8_t mac[DPMSG_MAX_PORTS][6]; // by port; worker_prepare() asks the device
	uint64_t foreign_credit; // cycles that may go into datagrams from foreign addresses
	uint64_t mac_credit; // cycles that may go into macs and cookies of first contacts
	_Atomic(const struct hs_keys *) hs_keys; // immutable; main publishes. NULL: none yet
	struct bucket hs_strangers; // inits without a cookie
	uint64_t hs_demand_ns; // until then all need one, whatever main says
	uint64_t hs_nonce; // cookies made
	struct bucket miss_notes; // NOTE_RULE_MISS
	uint32_t closed_id; // of the rule whose end was told last, and
	uint32_t closed_ds; // ... when
	struct hop_move *move; // a stop that the main lcore asked for, NULL: none
	uint8_t move_state; // worker/move.c
	struct wctx *const *all; // workers by id: to be touched in a stop only
	uint64_t rng; // xorshift state; not for secrets
	struct stats_worker *stats;
	struct reclaim *reclaim; // shared
};

static inline void count(struct wctx *w, enum worker_counter k, uint64_t n)
{
	stat_add(&w->c[k], n);
}

// Free and count: the only way a packet leaves unsent.
static inline void drop(struct wctx *w, enum worker_counter k, struct rte_mbuf *m)
{
	stat_add(&w->c[k], 1);
	rte_pktmbuf_free(m);
}
