// Route groups of this node: groups (lib/route/group.h) over rules of the data plane, each a conn.
// A group is found by the descriptor of its consume rule (skywire-routing 2.3): who is at the other
// end, and both ports. Loop's thread only.
//
// As a conn: `open` when the keys are made; `end` with -errno when there will be no group, or it
// failed (route_group_why() says it in words). The far end's Close ends both directions: `end` with
// 0, then with -EPIPE. Skywire knows no half close: conn_shutdown() tells the far end nothing.
// conn_close() closes in order, with what was written first.
#pragma once

#include "controlplane/core/conn.h"
#include "controlplane/core/identity.h"
#include "controlplane/route/route_end.h"
#include "lib/route/group.h"
#include "lib/wire/setup_msg.h"

enum {
	ROUTE_GROUPS_MAX = 1024,
	ROUTE_GROUPS_PEER_MAX = 256, // of them, towards one node
	ROUTE_GROUPS_QUEUED_MAX = 64 * 1024 * 1024, // bytes that readers have not taken, of all
	ROUTE_GROUP_QUEUE_HIGH = 256 * 1024, // of one: from there on the data plane holds them ...
	ROUTE_GROUP_QUEUE_LOW = 64 * 1024, // ... until so few are left
	ROUTE_GROUP_QUEUE_MAX = 8 * 1024 * 1024, // of one, where it can't
	ROUTE_GROUP_STALL_S = 28, // a reader that takes nothing for so long (real-peers 1.7)
	ROUTE_GROUPS_ENDED = 32, // that are still shown
	ROUTE_PORT_FIRST = 49153, // local ports of groups that we open (real-peers 2.3)
	ROUTE_PORT_LAST = 65535,
	ROUTE_PORT_AGAIN_S = 60,
};

// How packets of a route leave.
struct route_way {
	unsigned worker; // whose down ring is nearest
	uint16_t payload_max; // as in struct group_conf
};

struct route_groups_conf {
	struct loop *loop;
	struct dp_client *dp;
	struct rule_mgr *rules;
	struct route_ends *ends;
	const struct identity *id;
	// Asked when a group begins, and again with its pings: a path changes.
	void (*way)(void *arg, const struct rule_wire *forward, struct route_way *out);
	void *way_arg;
	bool allow_plain; // far ends that do not seal
	uint32_t max, max_peer; // 0: as above, as is the next
	uint64_t queued_max;
};

struct route_groups;

struct route_groups *route_groups_new(const struct route_groups_conf *conf); // NULL and errno
// All conns have been closed; nobody is told. NULL is allowed.
void route_groups_free(struct route_groups *gs);
// The node ends: each far end is told as far as there is room.
void route_groups_leave(struct route_groups *gs);

// A set-up makes us the responder of edge, which the caller has checked against what was reserved.
// Both rules are installed, the group is there, then done(0) comes: from now on the initiator may
// be told. A group with the same descriptor is replaced. -errno, and no done: -EINVAL: rules that
// are not ours; -EEXIST: it is being set up; -EMFILE, -EDQUOT: too many; -ENOMEM, -ENOTCONN,
// -EBUSY: as rule_mgr_install(). Whose the ids are is said there, too.
int route_groups_accept(struct route_groups *gs, const struct setup_edge *edge,
	void (*done)(void *arg, int status), void *arg);
// We are the initiator, edge is what the set-up node answered. NULL and errno as above; EEXIST:
// there is such a group.
struct conn *route_groups_open(struct route_groups *gs, const struct setup_edge *edge,
	const struct conn_events *ev, void *arg);
// Ends this group as its operator wants it: its owner and the far end see it cut (here
// -ECONNABORTED), with why; what is still in its handshake finishes that first. -ENOENT: there is
// none.
int route_groups_close(struct route_groups *gs, const struct key_pk *remote, uint16_t remote_port,
	uint16_t local_port, const char *why);
// A local port for a group towards it: not used for 60 s, nor by another group. 0: none is free.
uint16_t route_groups_port(
	struct route_groups *gs, const struct key_pk *remote, uint16_t remote_port);

// A group that was accepted on this port is open. Whoever takes it sets its events before this
// returns, or closes it. Without a listener the far end is told so by an Error.
typedef void (*route_accept_fn)(void *arg, struct conn *take_conn, const struct key_pk *remote,
	uint16_t remote_port, uint16_t local_port);
int route_groups_listen(
	struct route_groups *gs, uint16_t port, route_accept_fn fn, void *arg); // -EADDRINUSE
void route_groups_unlisten(struct route_groups *gs, uint16_t port);

// Why the group is not (or no more) open, in words; "" if nobody said. Also within its `end`.
const char *route_group_why(const struct conn *c);

enum route_group_state {
	ROUTE_GROUP_INSTALLS,
	ROUTE_GROUP_SHAKES,
	ROUTE_GROUP_OPEN,
	ROUTE_GROUP_CLOSING,
	ROUTE_GROUP_ENDED,
	ROUTE_GROUP_LISTENS, // no group: somebody waits at the local port for one
};

struct route_group_info {
	struct key_pk remote;
	uint16_t remote_port, local_port;
	bool initiator, plain;
	bool paused; // the data plane holds enough of what it sends
	bool holds; // its reader is slow: the data plane holds what comes
	enum route_group_state state;
	int err;
	uint32_t forward_id, consume_id; // 0 when it has ended
	uint32_t keep_alive_ms;
	uint16_t payload_max; // of its DATA, as its path is now
	uint64_t age_ms; // ended: since then
	uint64_t queued; // bytes that its reader has not taken
	struct group_stats stats;
	const char *why;
};

// Listeners, living groups, then those that ended last, the newest first. fn changes nothing here.
void route_groups_each(const struct route_groups *gs,
	void (*fn)(void *arg, const struct route_group_info *info), void *arg);

struct route_groups_stats {
	uint64_t groups; // now
	uint64_t dialled, accepted; // that were begun
	uint64_t failed; // of those, that never were open
	uint64_t broken; // open ones that did not end by a Close, nor by their operator
	uint64_t replaced, no_listener;
	uint64_t refused; // too many of them
	uint64_t bad_packets; // that made no sense
	uint64_t overrun; // ended: their reader was too slow
};
void route_groups_stats_get(const struct route_groups *gs, struct route_groups_stats *out);
