// Inside of transports: those that a byte stream carries (docs/design/transports-carried.md). Part
// of transport_priv.h, which alone includes it. A connection is a call (transport_call.c) until
// both ends have settled; then it is the link of its transport (transport_carried.c), and route
// packets go between it and the data plane (transport_packets.c).
#pragma once

#include "controlplane/core/conn.h"
#include "controlplane/core/conn_tcp.h"
#include "controlplane/directory/resolver.h"
#include "controlplane/directory/tp_register.h"
#include "controlplane/dmsg/dmsg_client.h"
#include "controlplane/transport/carrier.h"
#include "controlplane/transport/transport_mgr.h"
#include "lib/base/vec.h"
#include "lib/link/carry_hs.h"
#include "lib/shm/dpmsg.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	TP_CALL_DIAL_MS = 10000, // until TCP stands, or the stream
	TP_CALL_TRIED_MAX = 4, // addresses of one peer: each may take so long
	// Callers of a type that have not settled: about 6 KiB each. Those of another type are not
	// in their way.
	TP_CALLS_IN_TYPE_MAX = 128,
	TP_CALLS_IN_IP_MAX = 16, // ... of one source (hs_limit_prefix_len())
	TP_CALL_COST = 8, // all curves of a call, in looks at its signature: Noise KK is five
	TP_KEEPALIVE_S = 15, // of TCP: a peer that closed says nothing on a dead path
	TP_USER_TIMEOUT_MS = 20000,
	// A visor keeps what was closed for up to a second, and a dial into that does lasting
	// damage to it: nobody is dialed within this time after a link, or a life of ours, began.
	TP_REDIAL_MIN_MS = 3000,
	TP_REDIAL_JITTER_MS = 2000,
	TP_REDIAL_MAX_MS = 60000,
	TP_REDIAL_OTHERS_MS = 30000, // when it is the peer's turn to dial
	// After silence, when the peer is there again but may not know that its connection is dead:
	// it asks by keep-alive every 15 s, or repeats what it sent within two minutes, and our
	// kernel answers that there is no such connection.
	TP_CUT_ALONE_MS = 160000,
	// ... when its questions may not get here: it gives up at the tenth, and what it wrote just
	// before that it repeats for 924 s.
	TP_CUT_LOST_MS = 1080000,
	TP_CUT_STREAM_MS = 60000, // dmsg: its server asks each session every 30 s
	TP_ADD_AGAIN_MS = 10, // a hop that the data plane had no room for
	TP_ENDED_MAX = 64, // ids whose last end is remembered without a transport
	TP_HOLD_S = 28, // a peer may stall for 20 s and live; routes live for 30 s
	TP_PING_EVERY_S = 15, // of peers that ping us
};

// Both ends of a connection by TCP: ours, the peer's. Family 0: there was none.
struct tp_path {
	struct sockaddr_storage from, to;
	bool called; // the peer made it
};

// One connection that is being set up.
struct tp_call {
	struct transport_mgr *m;
	struct tp_call *next, **prev; // of m->car.callers
	struct transport *t; // whose dial it is; NULL: somebody calls
	uint8_t type; // enum transport_type
	bool known; // caller: it is h.peer
	const char *note; // caller that may not come: what is to be said of its key, here only
	bool begun; // dialer: the peer has heard of it
	bool secret; // conn is the Noise one, or a dmsg stream
	bool knocks; // dialer: only to see that the peer can be reached
	bool tells; // ... it can, and this goes from the port of before
	struct dmsg_client_dial *dial; // instead of conn, until the stream stands
	struct resolver_ask *ask; // ... or until it is known where the peer is:
	struct resolver_visor *where; // stcpr; NULL: not known
	unsigned n_tried; // of its addresses
	struct conn *conn;
	struct loop_timer *timer; // of h.deadline_ns
	struct dpmsg_addr from;
	struct tp_path path;
	struct tp_reg *reg; // its entry is being registered
	struct carry_hs h;
};

// Of a transport that is carried.
struct tp_carried {
	struct tp_call *call; // our dial
	struct carried_link *link; // on this loop; NULL: there is none, or
	struct carrier_link *far; // it is a carrier's
	struct carrier *carrier; // whose it is, or is going to be; NULL: this loop's
	struct tp_reg *reg; // of that link; NULL: it is not registered
	uint32_t n_adds; // HOP_ADDs that were not answered; the last one counts
	unsigned fails; // dials in a row
	uint64_t
		ended_ns; // when the last link ended, or an attempt that the peer heard of; 0: none
	uint64_t alone_ns; // nor is it dialed before; 0: it may be
	struct tp_path path; // of the last link
	bool cut; // it ended by silence: the peer may have it still
	bool theirs; // the peer made the last link, and so makes the next one
	bool crossed; // the peer called while our dial was under way, and was refused

	// to the peer
	bool blocked; // the connection is full
	bool held, hold_due; // as the data plane was told, and whether it is to be told otherwise
	uint32_t n_holds; // HOP_HOLDs that were not answered
	// from the peer
	bool reading; // as the link was told
	VEC(uint32_t) paused; // route ids that have to wait
	// pings
	bool pinged; // the peer sends them, so it understands them
	uint64_t ping_ns; // when ours is due
	uint64_t
		asked_ns; // when the last one left, monotonic; 0: it was answered, or there is none
	int64_t asked_wall_ns; // and what it said
};

// The last link of an id.
struct tp_ended {
	uint8_t id[16];
	uint64_t ns; // when it was over; 0: none is known
	bool cut; // as of a transport, with the path
	struct tp_path path;
};

// Where callers of a type come by TCP.
struct tp_listener {
	struct transport_mgr *m;
	enum transport_type type;
	struct conn_listener *listener; // NULL: nobody may call
	struct dpmsg_addr at; // it is
};

// What the manager knows of all of them.
struct tp_carriers {
	struct tp_listener listeners[TRANSPORT_N_TYPES];
	struct dmsg_client *dmsg; // NULL: no dmsg transports, as the next one
	struct dmsg_client_listener *dmsg_listener;
	struct tp_register *reg; // NULL: no transport discovery
	struct service *resolver; // NULL: no stcpr transport is dialed
	struct tp_call *callers; // that have not settled
	struct carried_links *links; // of this loop
	struct carriers *threads; // NULL: all are carried here
	uint16_t call_port; // ours of the last dial
	bool dump_all; // of rules, as events were lost
	uint64_t born_ns;
	struct tp_ended ended[TP_ENDED_MAX];
};

static inline bool tp_is_carried(const struct transport_conf *c)
{
	return c->type != TRANSPORT_RAIL;
}

static inline bool tp_is_linked(const struct tp_carried *c)
{
	return c->link != NULL || c->far != NULL;
}

// ---- transport_call.c ----
// NULL and errno.
struct tp_call *tp_call_dial(struct transport *t);
void tp_call_close(struct tp_call *c); // no word about it; NULL is allowed
void tp_calls_close(struct transport_mgr *m); // all callers
// Somebody with this key calls: it is known who, and nothing is settled.
bool tp_call_comes(
	const struct transport_mgr *m, const struct key_pk *peer, enum transport_type type);

// ---- transport_carried.c ----
void tp_carried_dial(struct transport *t);
void tp_carried_on_timer(void *arg); // struct transport
// The dial failed; the call is closed by the caller of this. crossed: as the peer dials us.
void tp_carried_failed(struct transport *t, const char *why, int err, bool crossed);
// After a cut the peer was reached again, by a call that is closed. It has no connection left that
// we have not in so long; 0: it has none.
void tp_carried_reached(struct transport *t, uint32_t left_ms);
// The link ended with this error, or an attempt that the peer may have settled: does it know?
void tp_carried_cut(struct transport *t, int err);
// Both ends settled: the connection is the link of the transport to the caller, which is made if
// any key may come. It takes the conn.
void tp_carried_settled(struct tp_call *c, struct conn *take_conn);
// May the key come that this caller claims to have? NULL, or what it is told; the log has the note.
const char *tp_carried_unwelcome(struct transport_mgr *m, struct tp_call *c);
// It has it: may it have a transport now? As before.
const char *tp_carried_refusal(struct transport_mgr *m, const struct tp_call *c);
// The link ends, whoever ends it.
void tp_carried_down(struct transport *t, const char *why);
// Connection and call, without a word; the rest is the caller's.
void tp_carried_hang_up(struct transport *t);
bool tp_carried_new(struct transport *t); // what is its own; false: no memory
// It is removed: what its peer may not know yet is for the next one of this id.
void tp_carried_gone(const struct transport *t);
void tp_carried_free(struct transport *t); // its memory, after tp_carried_hang_up()
void tp_carried_tick(struct transport *t, uint64_t now_ns);

// ---- transport_packets.c ----
// The conn is the link of t, and nothing is read. False: no memory.
bool tp_packets_take(struct transport *t, struct conn *take_conn);
// From this loop to the carrier's, before the hop is made: packets may come up as soon as it is.
// Not from within an event of the link. False: it is of no use any more.
bool tp_packets_move(struct transport *t);
void tp_packets_begin(struct transport *t); // the hop is there: read
void tp_packets_forget(struct transport *t); // the link ends, without a word
void tp_packets_ping(struct transport *t, uint64_t now_ns);
void tp_packets_on_carried(void *arg, unsigned worker, const struct msg_route *m, size_t len);
void tp_packets_on_end(void *arg); // of a burst
void tp_packets_on_pause(void *arg, const struct evt_route_pause *e);
void tp_packets_on_rule(void *arg, const struct evt_rule *e); // of a dump
void tp_packets_on_rule_gone(void *arg, const struct evt_rule *e);
void tp_packets_on_room(struct transport_mgr *m);
void tp_packets_sync(struct transport_mgr *m, bool begin); // a dump begins, or is over
