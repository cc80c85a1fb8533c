// Inside of transports, shared by transport_mgr.c (life and states), transport_hs.c (first
// contact), transport_rekey.c (re-keys in the link), transport_flow.c (flows: handles, indices,
// ways), transport_dp.c (commands and events) and transport_adopt.c (what lives in the data plane).
// Those of a byte stream have transport_carried.h. Nobody else includes it.
#pragma once

#include "controlplane/transport/hs_limit.h"
#include "controlplane/transport/init_time.h"
#include "controlplane/transport/rx_index.h"
#include "controlplane/transport/transport_carried.h"
#include "controlplane/transport/transport_flow.h"
#include "controlplane/transport/transport_mgr.h"
#include "lib/base/htab.h"
#include "lib/link/rail_hs.h"

enum {
	TP_RETRY_MIN_MS = 1000,
	TP_RETRY_MAX_MS = RAIL_RETRY_MAX_S * 1000,
	TP_PENDING_S = 15, // a pending key that nothing came under is forgotten
	TP_OLD_INDEX_S = RAIL_KEY_OLD_S + 5, // the data plane wipes the key after RAIL_KEY_OLD_S
	TP_OUTBOX_MAX = 256, // answers that wait for a way to their address
	TP_OUTBOX_S = 2,
	TP_ACCEPTED_MAX = 1024,
	TP_ACCEPTED_DEAD_S = 300, // then one made by its peer ends
	TP_PINGS_MAX = 1024,
	TP_PING_TIMEOUT_MS = 2000,
	TP_MTU_MIN = 1280, // bytes of IP: the floor of rail 5
	TP_MAX = 65536,
	TP_ANSWERS_MAX = 4, // to one init that are looked at
	TP_OWNER_ANY = 0xff, // of a hop: the worker with the fewest
	TP_REKEY_BURST = 4, // of a peer in its link, then one a period: each costs us DHs
	TP_REKEY_PERIOD_MS = 500,
};

// A handshake that we began and that nobody answered yet.
struct tp_try {
	bool on;
	struct rail_hs_side side;
	uint8_t n; // flows offered
	uint32_t rx_index[RAIL_FLOWS_MAX];
	uint64_t sent_ns; // monotonic
	uint64_t next_ns; // when the next one is due
	unsigned tries; // sent since it began, or since the peer showed itself
	unsigned answers; // to the last one, looked at: each costs curves
	bool no_way; // the last one could not be sent
	bool answered; // the last one was, with what does not help
};

// Keys made as responder that wait for the first datagram under them, flow by flow; what the init
// would change takes effect with the first of them.
struct tp_pending {
	bool on;
	bool inside;
	bool applied; // one of them was used; the flows whose `pending` is not 0 are waited for
	uint8_t n; // flows
	enum aead_cipher cipher;
	uint64_t instance_remote, time_ns;
	uint64_t since_ns;
	struct dpmsg_addr peer;
	char scope_if[16];
	struct neigh_ref *ref; // way to peer
};

// An answer being prepared: keys on their way to the data plane, then the message to the peer.
struct tp_answer {
	bool on; // waiting for the way to src, or for the data plane
	bool sent_keys;
	struct rail_hs_side side; // until the way is known: what we offer depends on it
	struct rail_hs_terms terms;
	struct rail_hs_keys keys;
	unsigned worker;
	uint8_t owner; // as in struct tp_keys_for
	uint16_t len;
	uint8_t bytes[RAIL_HS_MAX];
};

// What a hop is made with for life, by the node's configuration; no zeros for defaults.
struct tp_patience {
	uint8_t retransmit_limit, window_log2;
	uint16_t silence_s;
};

struct transport {
	struct transport_mgr *m;
	struct transport *next;
	struct transport_conf conf;
	uint8_t tp_id[16];
	uint32_t tp; // handle, 0 while the data plane was never there
	struct tp_flow *flow[RAIL_FLOWS_MAX]; // made when they are wanted; [0] is always there
	uint8_t n; // flows of the link; of the one that we would like while there is none
	enum transport_state state;
	uint64_t state_ns;
	char why[TRANSPORT_WHY_MAX];
	struct tp_carried *carried; // NULL: a rail. It has flow 1 only, and no keys.

	// the link as it is in effect
	bool in_dp, adding, removed, seen;
	bool denied; // by the list: stays down
	bool aim_due; // rules may be aimed at another number of flows, and nobody was told
	bool adopted; // in this dump: on_synced() sees what has become of it
	uint8_t adopted_mode; // of its hops there
	bool initiator;
	uint8_t congestion; // of the hops in the data plane
	enum aead_cipher cipher;
	uint16_t payload_max;
	uint16_t path_mtu; // of the hop in the data plane; 0: searched for
	struct tp_patience patience; // ditto
	uint64_t instance_local, instance_remote; // remote 0: none known
	uint64_t last_time_ns; // of the peer's inits
	uint64_t pending_time_ns; // of those that were answered, used or not
	uint64_t handshake_mono_ns; // 0: never
	char scope_if[16]; // of where its flows are
	struct dpmsg_addr dial_peer; // where we dial; that of flow 1 once that is answered
	char dial_scope_if[16];
	struct neigh_ref *dial_ref; // NULL: we don't dial

	struct tp_try first, rekey;
	uint64_t rekey_taken_ns; // last re-key of the peer's that was answered
	uint64_t rekey_full_ns; // when its burst of them is whole again
	struct tp_pending pending;
	struct tp_answer answer;
	uint8_t cookie[RAIL_COOKIE_VALUE_LEN];
	uint64_t cookie_ns; // 0: none
	struct loop_timer *timer, *rekey_timer;
	uint32_t n_cmds; // under way in the data plane: t is freed after their answers
	uint32_t n_keys; // those of them that hand over keys
	uint32_t life; // of the link; answers of one that was ended count for nothing
	uint32_t del_due; // flows, by bit nr - 1, for whose `del` there was no room yet
	struct cmd_hop_del del; // for each of them
	uint32_t n_handshakes, n_rekeys, n_failures;
};

// A datagram that waits for the way to its address.
struct tp_out {
	struct transport_mgr *m;
	struct tp_out *next;
	struct neigh_ref *ref;
	struct dpmsg_addr dst;
	unsigned worker;
	uint64_t since_ns;
	uint16_t len;
	uint8_t bytes[RAIL_HS_MAX];
};

struct tp_ping {
	struct transport_mgr *m;
	struct tp_ping *next;
	struct transport *t;
	struct loop_timer *timer;
	uint64_t cookie;
	transport_ping_fn cb;
	void *arg;
};

// A walk over the list, whatever is removed meanwhile: to its end, or to tp_iter_end().
struct tp_iter {
	struct transport *next;
	struct tp_iter *outer;
};

struct transport_mgr {
	struct transport_mgr_conf conf;
	struct dp_handler handler;
	struct rail_hs_self self;
	struct htab *by_id; // a transport id is that of a peer and a type
	struct transport *first;
	struct transport *dying; // removed; the data plane has not said its last word yet
	struct tp_iter *iters;
	bool del_due, keys_unsure; // somebody's
	bool dumping; // hops, for those who are not sure
	struct transport_watch *watches;
	struct handles *tps, *hops;
	struct tp_flow **by_hop; // by index of the handle
	struct transport **by_tp; // ditto
	struct rx_index *rx; // NULL: no data plane
	struct hs_limit *limit;
	bool demand; // as told last
	bool cookies_due; // workers are to be told secrets and regime
	struct init_time *init_time;
	struct loop_timer *tick;
	struct tp_out *outbox;
	struct tp_ping *pings;
	uint32_t n, n_accepted, n_outbox, n_pings;
	bool ready, stopping;
	struct tp_carriers car;
	struct transport_mgr_stats stats;
};

// ---- transport_mgr.c ----
void tp_state_set(struct transport *t, enum transport_state s, const char *why);
void tp_tell(struct transport *t, enum transport_change what);
struct transport *tp_find_rail(struct transport_mgr *m, const struct key_pk *pk);
// Are its name or its peer another transport's already? *t: the peer's, or NULL; false when that is
// the one to take over.
bool tp_in_the_way(
	struct transport_mgr *m, const struct transport_conf *conf, struct transport **t);
// Whose they are, with that *t. err: may be NULL. -EEXIST.
int tp_way_text(struct transport_mgr *m, const struct transport_conf *conf,
	const struct transport *t, char *err, size_t err_len);
// Make one for a peer that came by itself, or that was found in the data plane. NULL and errno.
struct transport *tp_new(struct transport_mgr *m, const struct transport_conf *conf);
// Unlinks t, frees it (and its handles) when no command is under way or due. Says REMOVED.
void tp_remove(struct transport *t);
void tp_settle(struct transport *t); // free t if it is removed and nothing is awaited
void tp_iter_begin(struct transport_mgr *m, struct tp_iter *it);
void tp_iter_end(struct transport_mgr *m, struct tp_iter *it); // also of one that has ended
struct transport *tp_iter_first(struct transport_mgr *m, struct tp_iter *it);
struct transport *tp_iter_next(struct transport_mgr *m, struct tp_iter *it);
void tp_on_plain_done(void *arg, int status, uint32_t aux); // of a command nobody waits for
void tp_cmd_done(struct transport *t); // one answer came; t may be gone after it
// End the link of a peer that may not have one. True: it may. Accepted and adopted ones are
// removed.
bool tp_policy(struct transport *t);
// May this key, which no list denies, make a transport of any type?
bool tp_may_come(struct transport_mgr *m, const struct key_pk *peer, enum peer_access access);
// Begin to bring it up, if it may dial and there is something to dial.
void tp_dial(struct transport *t);
const char *tp_why_no_way(const struct neigh_path *path); // NULL: there is one
uint64_t tp_random64(void);

// ---- transport_hs.c ----
void tp_hs_start(struct transport *t); // the way is usable: send an init, then retry
void tp_hs_stop(struct transport *t); // stop dialing
void tp_hs_on_timer(void *arg); // struct transport
// The peer showed itself, or there is a way to it again: if we dial, then not much later than now.
void tp_hs_hurry(struct transport *t);
void tp_hs_on_datagram(void *arg, unsigned worker, const struct up_handshake *m, size_t len);
void tp_hs_answer_wipe(struct transport *t);
void tp_hs_answer_drop(struct transport *t); // and the pending keys
// Indices for the keys of an answer, of n flows or fewer, in place of those pending now. false:
// there are none.
bool tp_pending_begin(struct transport *t, unsigned n);
struct rail_hs_offer tp_pending_offer(const struct transport *t, const struct neigh_ref *ref);
// Keep the way to t's peer a little longer than t: a CLOSE is on its way through the data plane.
void tp_outbox_linger(struct transport *t);
void tp_outbox_tick(struct transport_mgr *m, uint64_t now_ns, bool all);
// rx_index: n of them. ref: the way it is for, NULL when not known.
struct rail_hs_offer tp_offer(const struct transport *t, const uint32_t *rx_index, unsigned n,
	const struct neigh_ref *ref);

// ---- transport_rekey.c ----
void tp_rekey_start(struct transport *t);
void tp_rekey_stop(struct transport *t);
void tp_rekey_on_timer(void *arg);
// Its flow 1 is at another worker: what was given to the one before may be lost, and goes again.
void tp_rekey_moved(struct transport *t);
void tp_rekey_on_message(void *arg, unsigned worker, const struct msg_rekey *m, size_t len);

// ---- transport_ping.c ----
void tp_ping_end(struct tp_ping *p, int status, uint32_t rtt_us);
void tp_pings_end(struct transport *t); // all of them, with -ENOTCONN

// ---- transport_dp.c ----
// Hand keys over, those of each flow: HOP_ADD, or HOP_REKEY when the hop is there. All or, with a
// negative errno, none. done is told when the data plane has them.
typedef void (*tp_keys_fn)(struct transport *t, int status, uint32_t rx_index);
struct tp_keys_for {
	const struct rail_hs_keys *keys;
	const struct dpmsg_addr *peer; // of flow 1; NULL: unchanged (re-key in the link)
	uint32_t adj;
	uint64_t instance_remote;
	uint64_t handshake_ns;
	uint16_t payload_max;
	uint8_t window_log2; // the peer's (TLV 10); for HOP_ADD
	uint8_t owner; // worker on which the peer's datagrams of flow 1 come in; TP_OWNER_ANY
	tp_keys_fn done; // with the index of flow 1
};
int tp_dp_keys(struct transport *t, const struct tp_keys_for *k);
int tp_dp_path(struct tp_flow *f);
// Where the flow's peer is, by what a handshake says.
struct dpmsg_addr tp_flow_addr(
	const struct dpmsg_addr *first, const struct rail_hs_keys *keys, unsigned nr);
void tp_dp_del(struct transport *t, uint8_t code, const char *text);
struct tp_patience tp_patience(const struct transport_mgr *m); // that hops are to have
// What the link is, or would be with the pending key, is what the configuration allows.
bool tp_link_fits(const struct transport *t);
uint8_t tp_congestion(const struct transport *t); // enum hop_cc that it is to have
uint16_t tp_path_mtu(const struct transport *t); // ... and path MTU; 0: searched for
void tp_link_unfit(struct transport *t); // end it; the caller dials
// Workers are told secrets and regime of cookies, if these changed or were not told yet.
void tp_cookies_tell(struct transport_mgr *m);
void tp_dp_tell(struct transport *t); // its hops are in the data plane, and whose routes they carry
// A handshake came into effect: the link has n flows; hops beyond go.
void tp_dp_flows(struct transport *t, unsigned n);
// The key with this index is in use now.
void tp_dp_keyed(struct tp_flow *f, uint32_t rx_index);
void tp_dp_up(struct transport *t); // if every flow is there
void tp_dp_dead(struct tp_flow *f, const char *what); // silent: the transport is dead
void tp_dels_retry(struct transport_mgr *m); // there is room again
void tp_dp_notes(void *arg, const struct evt_hop_note *e);
// All that hangs on one life of the data plane ends.
void tp_dp_forget(struct transport *t);
void tp_dels_drop(struct transport_mgr *m); // no data plane to tell the ends to

// ---- transport_adopt.c ----
void tp_dp_handlers(struct transport_mgr *m);
// Ask for what somebody is not sure of.
void tp_dp_ask(struct transport_mgr *m);
