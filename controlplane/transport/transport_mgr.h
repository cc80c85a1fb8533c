// Life of every transport: made (configured, by API, or by a peer that may), resolved, brought up
// by handshakes, kept, re-keyed, adopted after a restart, deleted. Its hop and transport handles
// are its own from the start to the end of its life, up or not. One thread: the loop's.
//
//   down --dial--> resolving --path usable--> handshake --keyed--> up
//   up --nothing heard--> dead --handshake--> up; passive ones wait in `down` for the peer's init
#pragma once

#include "controlplane/core/identity.h"
#include "controlplane/dp/neigh.h"
#include "controlplane/transport/peer_list.h"
#include "lib/shm/stats.h"

#include <assert.h>
#include <sys/types.h>

struct transport_mgr;
struct transport;

enum transport_state {
	TRANSPORT_DOWN,
	TRANSPORT_RESOLVING,
	TRANSPORT_HANDSHAKE,
	TRANSPORT_UP,
	TRANSPORT_DEAD, // was up, the peer fell silent
};

// Bits of rail TLV 4. TRANSPORT_AUTO: whichever is the faster one at both ends.
enum {
	TRANSPORT_CHACHA = 1,
	TRANSPORT_AES = 2,
	TRANSPORT_NONE = 4,
	TRANSPORT_AUTO = TRANSPORT_CHACHA | TRANSPORT_AES
};

// No path carries so little: search for what it does.
enum { TRANSPORT_MTU_AUTO = 1 };

enum { TRANSPORT_WHY_MAX = 128 }; // a line about what is wrong, with the final NUL

// What carries it: sealed UDP of our own (rail), or a byte stream of Skywire's kinds. One of each
// type per peer.
enum transport_type {
	TRANSPORT_RAIL,
	TRANSPORT_STCP,
	TRANSPORT_STCPR,
	TRANSPORT_DMSG,
	TRANSPORT_N_TYPES,
};

enum transport_origin {
	TRANSPORT_CONFIGURED, // [transport NAME]; goes with the configuration
	TRANSPORT_ADDED, // by API
	TRANSPORT_ACCEPTED, // made by a peer's init; ends when it is dead
	TRANSPORT_ADOPTED, // found in the data plane at our start, named by nobody yet
	TRANSPORT_ASKED, // by a transport set-up node (tp_gateway.h), until one removes it
};

struct transport_conf {
	char name[DPMSG_NAME_LEN];
	struct key_pk peer;
	uint8_t type; // enum transport_type; what is of rails alone is said
	struct dpmsg_addr addr; // port 0: passive, the peer dials, or the type has none
	char scope_if[16]; // interface of a link-local address, else ""
	uint8_t mode; // HOP_MODE_*; carried ones have HOP_MODE_CARRIED, whatever is said here
	uint8_t ciphers; // rail, mask: what we offer and accept, as far as the data plane has it
	uint8_t congestion; // rail, enum hop_cc; HOP_CC_DEFAULT: the node's
	uint16_t path_mtu; // rail, bytes of IP; TRANSPORT_MTU_AUTO; 0: the node's
	uint8_t flows; // rail, most of them; 0: as in transport_mgr_conf
	bool dial;
	enum transport_origin origin;
};

struct transport_mgr_conf {
	struct loop *loop;
	struct dp_client *dp;
	struct neigh *neigh;
	struct identity *id;
	const char *state_dir; // where the time of the last init sent is kept; copied
	bool allow_any; // accept keys that neither a transport nor a list names
	const struct peer_list *peers; // borrowed until transport_mgr_policy(); NULL: none
	uint32_t accepted_max; // transports made by peers; 0 = 1024
	uint8_t flows; // most flows of a transport that says nothing about it; 0 = 1
	uint32_t keepalive_ms, dead_ms, rekey_ms; // 0 = data plane's defaults
	uint8_t retransmit_limit; // of reliable links; 0 = data plane's default
	uint16_t silence_s; // ditto
	uint32_t replay_window; // counters, a power of two; 0 = 8192
	uint8_t congestion; // enum hop_cc, of transports that say nothing; so is path_mtu
	uint16_t path_mtu;
	unsigned carriers; // threads for carried transports; 0: all on the loop
};

// One of the flows of a transport: a hop of the data plane.
struct transport_flow_info {
	uint8_t nr; // 1..
	uint8_t owner; // worker, 0xff: not known
	bool in_dp; // the hop is there
	bool up; // heard under its present keys, and not silent
	bool dead; // silent
	uint16_t local_port;
	uint32_t hop; // handle, 0: none
	uint32_t rtt_us; // 0: not measured
	struct dpmsg_addr peer; // where it is now; port 0: not known
};

// What the API shows. Times are ages in ms; 0xffffffff: never.
struct transport_info {
	struct transport_conf conf;
	enum transport_state state;
	uint32_t tp; // handle
	uint32_t hop; // of flow 1
	uint8_t n_flows; // of the link; while there is none, what we would like
	uint8_t tp_id[16];
	struct dpmsg_addr peer; // where it is now
	uint8_t owner; // worker of flow 1, 0xff: not known
	uint8_t cipher; // enum aead_cipher, when keyed
	uint8_t congestion; // enum hop_cc, never HOP_CC_DEFAULT
	bool initiator; // of the key in use
	bool in_dp; // the hop exists in the data plane: rules may name it
	uint32_t age_ms; // in this state
	uint32_t handshake_ms; // since the last handshake
	uint32_t rtt_us; // 0: not measured
	uint32_t n_handshakes, n_rekeys, n_failures;
	char why[TRANSPORT_WHY_MAX]; // last reason why it is not up, "" if none
};

// Since the start; what they mean is in counters.def.
struct transport_mgr_stats {
#define COUNTER_CONTROL(role, name, unit, help) uint64_t name;
#include "lib/shm/counters.def"
};
static_assert(sizeof(struct transport_mgr_stats) == C_COUNT * sizeof(uint64_t), "an array");

// NULL and errno.
struct transport_mgr *transport_mgr_new(const struct transport_mgr_conf *conf);
// Transports stay in the data plane: a control plane that ends takes nothing down.
void transport_mgr_free(struct transport_mgr *m);

// Where (TCP) peers may call for carried transports of a type from now on; NULL: nowhere. 0, or
// -errno: they may where they could, unless somebody has taken that place meanwhile (logged).
int transport_mgr_listen(
	struct transport_mgr *m, enum transport_type type, const struct dpmsg_addr *addr);
// Nowhere any more: another control plane may have these places.
void transport_mgr_leave(struct transport_mgr *m);
// Is it so already?
bool transport_mgr_listens_at(
	const struct transport_mgr *m, enum transport_type type, const struct dpmsg_addr *addr);
// Carried transports are registered there from now on; borrowed. NULL: nowhere.
struct tp_register;
void transport_mgr_register(struct transport_mgr *m, struct tp_register *r);
// Peers may call for dmsg transports there (port 45), and they are dialed by it, from now on;
// borrowed. NULL: no more, and those that there are end. 0 or -errno.
struct dmsg_client;
int transport_mgr_dmsg(struct transport_mgr *m, struct dmsg_client *client);
// Peers of stcpr transports are looked for there from now on; borrowed. NULL: nowhere.
struct service;
void transport_mgr_resolver(struct transport_mgr *m, struct service *s);

// 0, or -EEXIST (name, or peer: one transport per pair and type), -EINVAL (own key, bad name or
// key, no cipher), -EACCES (denied key; a configured one is taken and stays down), -ENOSPC (no
// handle left), -ENOMEM. err gets a sentence for people.
int transport_mgr_add(
	struct transport_mgr *m, const struct transport_conf *conf, char *err, size_t err_len);
// Could it be taken as a configured one, once those of the configuration that differ are gone? As
// transport_mgr_add(), and changes nothing. One of the same name to the same peer that was added by
// API is taken over.
int transport_mgr_check(
	struct transport_mgr *m, const struct transport_conf *conf, char *err, size_t err_len);
// Tells the peer (CLOSE), removes the hop, frees t. -ENOENT.
int transport_mgr_del(struct transport_mgr *m, const char *name);
// Who may connect from now on; peers as in transport_mgr_conf. Links of peers that may not any more
// are closed (CLOSE policy): those that the peer made end, configured and added ones stay down as
// long as the list denies their key. What may again is dialed.
void transport_mgr_policy(struct transport_mgr *m, bool allow_any, const struct peer_list *peers);

// What is wrong with the address of c, for people, or NULL.
const char *transport_addr_wrong(const struct transport_conf *c);
struct transport *transport_mgr_find(struct transport_mgr *m, const char *name);
struct transport *transport_mgr_find_tp(struct transport_mgr *m, uint32_t tp);
struct transport *transport_mgr_find_hop(struct transport_mgr *m, uint32_t hop); // of any flow
// By the id that Skywire's rules name (skywire-routing 6.1), of either end and any type; up or not.
struct transport *transport_mgr_find_id(struct transport_mgr *m, const uint8_t id[16]);
// type: an enum transport_type, up or not; -1: the best one that is up (rail, stcpr, stcp, dmsg).
struct transport *transport_mgr_find_peer(
	struct transport_mgr *m, const struct key_pk *peer, int type);
void transport_mgr_each(
	struct transport_mgr *m, void (*fn)(void *arg, struct transport *t), void *arg);

void transport_mgr_stats_get(const struct transport_mgr *m, struct transport_mgr_stats *out);

const char *transport_name(const struct transport *t);
enum transport_type transport_type(const struct transport *t);
const char *transport_type_name(enum transport_type type); // "rail", "stcp", "stcpr", "dmsg"
// Where its peer is has to be said; others find it by its key.
bool transport_type_has_address(enum transport_type type);
const struct key_pk *transport_peer(const struct transport *t); // borrowed
const uint8_t *transport_id(const struct transport *t); // 16 bytes, borrowed
uint32_t transport_tp(const struct transport *t);
// The hop that carries a route with this id as the *peer* knows it (rail.md, Words): that of one of
// the link's flows, or of those that it will probably have.
uint32_t transport_hop(const struct transport *t, uint32_t next_id);
// The worker whose down ring is nearest to flow 1; 0 when not known.
unsigned transport_worker(const struct transport *t);
// ... nearest to the flow that has this hop; that of flow 1 if none has.
unsigned transport_worker_of(const struct transport *t, uint32_t hop);
// Flow nr of 1..n_flows; false: there is none.
bool transport_flow_get(const struct transport *t, unsigned nr, struct transport_flow_info *out);
bool transport_is_up(const struct transport *t);
// The data plane knows the hop: rules over it can be installed.
bool transport_in_dp(const struct transport *t);
void transport_info_get(const struct transport *t, struct transport_info *out);
const char *transport_state_name(enum transport_state s);

// One PROBE; cb once, with status 0 and the round trip, or -ENOTCONN, -ETIMEDOUT (2 s), -EAGAIN.
// -EOPNOTSUPP: it is no rail.
typedef void (*transport_ping_fn)(void *arg, int status, uint32_t rtt_us);
int transport_mgr_ping(
	struct transport_mgr *m, struct transport *t, transport_ping_fn cb, void *arg);

// Have another worker own a flow, or with flow 0 all of them, one after the other: flow i goes to
// worker (worker + i - 1) % n_workers. cb once: 0 or the first error: -ENOTCONN: it is not in the
// data plane, -ENOSPC: that worker has no room for what it holds, -EAGAIN, -ECONNRESET: the data
// plane ended before it answered; a flow that stays does not keep the others. Errors that are
// returned, no cb follows: the same but the last, -ERANGE: there is no such flow, -EINVAL: no such
// worker, -EOPNOTSUPP: it is no rail. Routes go on meanwhile.
typedef void (*transport_move_fn)(void *arg, int status);
int transport_mgr_move(struct transport_mgr *m, struct transport *t, unsigned flow, unsigned worker,
	transport_move_fn cb, void *arg);

enum transport_change {
	TRANSPORT_CHANGE_ADDED,
	TRANSPORT_CHANGE_IN_DP, // hops were made (or adopted): install what waits for them
	TRANSPORT_CHANGE_FLOWS, // there is another number of them: other hops carry its routes
	TRANSPORT_CHANGE_UP,
	TRANSPORT_CHANGE_DOWN, // dead, closed, or the data plane is gone
	// A dial of a carried one came to nothing, and the peer is not dialing us; or none can be.
	TRANSPORT_CHANGE_FAILED,
	TRANSPORT_CHANGE_REMOVED, // t is freed after this call
};

struct transport_watch {
	void (*fn)(void *arg, struct transport *t, enum transport_change what);
	void *arg;
	struct transport_watch *next; // the manager's
};
// w is the caller's until it is taken back, or m ends. Not from within its fn.
void transport_mgr_watch(struct transport_mgr *m, struct transport_watch *w);
void transport_mgr_unwatch(struct transport_mgr *m, struct transport_watch *w);
