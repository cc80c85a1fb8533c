// The control plane's end of the shared-memory channel: attaches to the data plane and stays
// attached, sends commands with completion, hands events, dump records and packets to whoever
// registered for them. Nothing that comes out of a ring is believed: each record is copied, its
// length checked against its type, strings terminated, and only then handed on; a handler still
// checks what the values mean. One thread: the loop's.
//
//   detached --attach--> syncing (HELLO, DUMP_ALL; records, then on_synced) --> ready
//   ready --evt ring overflowed--> syncing; any --hang-up--> detached, tried again every 200 ms
#pragma once

#include "controlplane/core/loop.h"
#include "lib/shm/dpmsg.h"
#include "lib/shm/region.h"

struct dp_client;

enum dp_sync {
	DP_SYNC_FRESH, // a data plane's first control plane: its tables are empty
	DP_SYNC_ADOPT, // we are new (or were away), it is not: take over what lives there
	DP_SYNC_OVERFLOW, // events were lost: compare what comes with what we believe
};

// What a module wants to hear; any pointer may be NULL. Handlers are called in the order of
// registration. Records are borrowed until return. Between on_sync_begin and on_synced commands may
// be sent, but packets and events are handed on too: a record may be older than an event.
struct dp_handler {
	// The data plane is about to learn that we are gone, and may give its rings to another
	// control plane at once: who else of us has them lets go of them before it returns.
	void (*on_let_go)(void *arg);
	// Detached: commands that were under way have been completed with -ECONNRESET.
	void (*on_detach)(void *arg);
	void (*on_sync_begin)(void *arg, enum dp_sync why);
	void (*on_synced)(void *arg, enum dp_sync why);
	void (*on_port)(void *arg, const struct evt_port *e); // dump, and when a link changes
	void (*on_worker)(void *arg, const struct evt_worker *e);
	void (*on_adj)(void *arg, const struct evt_adj *e);
	void (*on_hop)(void *arg, const struct evt_hop *e);
	void (*on_rule)(void *arg, const struct evt_rule *e);
	void (*on_rule_gone)(void *arg, const struct evt_rule *e);
	void (*on_rule_miss)(void *arg, const struct evt_rule_miss *e);
	void (*on_route_pause)(void *arg, const struct evt_route_pause *e);
	void (*on_hop_note)(void *arg, const struct evt_hop_note *e); // h.type says which
	// n bytes behind the fixed part; `worker`: whose ring it came by.
	void (*on_handshake)(void *arg, unsigned worker, const struct up_handshake *m, size_t n);
	void (*on_rekey)(void *arg, unsigned worker, const struct msg_rekey *m, size_t n);
	// Whole route packets (header included), UP_ROUTE and UP_CONTROL.
	void (*on_route)(void *arg, unsigned worker, const struct msg_route *m, size_t n);
	// A whole route packet for the peer of a carried hop, UP_CARRIED.
	void (*on_carried)(void *arg, unsigned worker, const struct msg_route *m, size_t n);
	// No more packets for now: time to pass on what on_route and on_carried gathered.
	void (*on_route_end)(void *arg);
	// After a refusal with -EAGAIN: there may be room again.
	void (*on_room)(void *arg);
	void *arg;
	struct dp_handler *next; // dp_client's
};

// The answer of a command: status 0 or -errno (-ECONNRESET: detached before the answer).
typedef void (*dp_done_fn)(void *arg, int status, uint32_t aux);

enum {
	DP_CLIENT_PENDING_MAX = 65536, // commands without an answer
	DP_CLIENT_RETRY_MS = 200,
};

// path is copied; mac1_key as in struct cmd_hello. NULL and errno.
struct dp_client *dp_client_new(struct loop *l, const char *path, const uint8_t mac1_key[32]);
// Begins to attach. Handlers are registered before.
void dp_client_start(struct dp_client *c);
// Detaches for good: every command under way is answered with -ECONNRESET before this returns, but
// on_detach is not called, for nothing was lost: the data plane goes on. To be done before the
// modules that use c are freed; c itself is freed after them.
void dp_client_stop(struct dp_client *c);
// NULL is allowed.
void dp_client_free(struct dp_client *c);

// h is the caller's and lives as long as c, or until dp_client_unregister().
void dp_client_register(struct dp_client *c, struct dp_handler *h);
void dp_client_unregister(struct dp_client *c, struct dp_handler *h);

// Dumped at least once in this attachment.
bool dp_client_is_ready(const struct dp_client *c);
// The region's header as copied and checked at attach; NULL when detached.
const struct region_hdr *dp_client_info(const struct dp_client *c);
uint64_t dp_client_epoch(const struct dp_client *c); // 0 when detached
// The statistics segment (read by lib/shm/stats); NULL when detached.
const struct region *dp_client_region(const struct dp_client *c);
// Dump records of rules are asked for again, with on_rule for each; done at the end. For listing
// counters. DUMP_* bits; -EAGAIN, -ENOTCONN.
int dp_client_dump(struct dp_client *c, uint32_t what, uint32_t first_rule, uint32_t max_rules,
	dp_done_fn done, void *arg);

// cmd is a whole command record; h.type is set by the caller, h.len and h.cookie here. Copied, so
// the caller wipes keys afterwards. Published at the end of the loop's turn, or by
// dp_client_flush(). done may be NULL. -ENOTCONN: detached; -EAGAIN: no room (on_room tells when).
int dp_client_send(struct dp_client *c, void *cmd, uint32_t len, dp_done_fn done, void *arg);
// The same with a cookie the caller gets to know (of CMD_HOP_PING: EVT_HOP_RTT carries it).
int dp_client_send_cookie(
	struct dp_client *c, void *cmd, uint32_t len, dp_done_fn done, void *arg, uint64_t *cookie);
// Would n commands of that length be taken now? Else on_room tells when to ask again.
bool dp_client_has_room(struct dp_client *c, unsigned n, uint32_t len);
void dp_client_flush(struct dp_client *c);

// Packets on their way down, by the ring of one worker (out of range: worker 0). A route packet
// includes its 7-byte header; id is that of the forward rule. All: -ENOTCONN, -EAGAIN, -EMSGSIZE.
int dp_client_send_route(
	struct dp_client *c, unsigned worker, uint32_t id, const void *packet, size_t len);
// A packet that came by a carried hop; its id is one of ours. -EAGAIN when a quarter of the ring is
// full: all that it holds may be of one route that has to wait by then.
int dp_client_send_carried(
	struct dp_client *c, unsigned worker, uint32_t hop, const void *packet, size_t len);
int dp_client_send_rekey(
	struct dp_client *c, unsigned worker, uint32_t hop, const void *msg, size_t len);
int dp_client_send_datagram(struct dp_client *c, unsigned worker, uint32_t adj, uint16_t src_port,
	uint16_t dst_port, const void *msg, size_t len);

// Counters of our own, for the API.
struct dp_client_stats {
	uint64_t attaches, commands, answers, events, packets_up, packets_down;
	uint64_t bad_records; // wrong length or type
	uint64_t stale_answers; // cookie unknown
	uint64_t overflows;
	uint64_t full; // refusals with -EAGAIN
};
void dp_client_stats_get(const struct dp_client *c, struct dp_client_stats *out);
