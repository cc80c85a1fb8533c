// What a node's workers and its main lcore have to say to each other about reliable routes (rail.md
// 4): which have to wait and which end. And what the layers above ask of reliable hops. All of it
// does nothing where there are none. Reliable are carried hops (hop_car.h), too: they keep what
// they are given in order.
#pragma once

#include "dataplane/worker/wctx.h"

#include <assert.h>

enum hop_msg_kind {
	HOP_MSG_PAUSE = 1, // ingress hop, id, limit_s
	HOP_MSG_RESUME, // ingress hop, id
	HOP_MSG_GONE, // ingress hop, id, reason
	HOP_MSG_END, // egress hop, index and id of the rule, reason
	HOP_MSG_UNTOLD, // index, id: there was no room for its PAUSE or RESUME, say it again
	// from the main lcore
	HOP_MSG_REMOVED, // index: the rule is out of the table; draining: by a Close; late: again
	HOP_MSG_IDLE, // index, id: nothing came for it; is something held? NOTE_RULE_IDLE if not
	HOP_MSG_SINK_PAUSE, // id, limit_s: the control plane takes no more of it
	HOP_MSG_SINK_RESUME, // id
};

// To the worker that owns a hop or a route.
struct hop_msg {
	uint8_t kind; // enum hop_msg_kind
	uint8_t reason : 6; // enum rail_gone_reason
	uint8_t draining : 1;
	uint8_t late : 1;
	uint16_t limit_s; // 0: none
	uint32_t hop; // handle
	uint32_t id; // of the rule
	uint32_t index; // of its slot
};
static_assert(sizeof(struct hop_msg) == 16, "fits a hand-off item");

// PAUSEs and RESUMEs that found no room at the way in: its owner says them again.
struct hop_late {
	uint32_t n;
	struct hop_msg msg[64];
};

// [worker: owner of what it names]
void hop_message(struct wctx *w, const struct hop_msg *msg);
// [worker, in a stop] What the main lcore has told w so far about routes; how many messages.
unsigned hop_messages_all(struct wctx *w);
// [worker] Packets came for an id that has no rule: the peer is told, at a limited rate.
void hop_unknown_id(struct wctx *w, struct hop *in, uint32_t id);
// [worker: owner of `in`] Tell the peer's operator that a limit of ours refused packets of its,
// once in HOP_TELL_PERIOD_NS at most.
void hop_tell_limit(struct wctx *w, struct hop *in, const char *text);
// [worker] A packet came for a route that is over, or about to be. The main lcore is told once
// more: a note may get lost.
void hop_route_refused(struct wctx *w, uint32_t index);
// [worker] Packets of rules for a hop that is down, with the slots of these in
// hash.usr. If both it and the ingress are reliable, the routes end: those that are older than its
// going down do so anyway, and the younger would go on behind a hole when it is up again.
void hop_routes_hole(struct wctx *w, uint32_t hop, struct rte_mbuf *const *m, unsigned n);
// [worker: owner of `in`] Packets of the consume rule in that slot that found no room in the ring
// to the control plane wait in order if they came by a reliable hop. push: takes m; false: not
// here.
enum hop_sink {
	HOP_SINK_EMPTY,
	HOP_SINK_WAITS, // some do, so the next ones must, too
	HOP_SINK_ENDED, // the route lost packets: no more of it may go up
};
enum hop_sink hop_sink_state(
	const struct wctx *w, const struct hop *in, uint32_t index, uint32_t id);
bool hop_sink_push(struct wctx *w, const struct hop *in, uint32_t index, struct rte_mbuf *m);
// [worker] The next packet that may go up by the ring of a carrier, the caller's now. 0: by the
// worker's own, by turns of consume rules and carried hops. False: none.
struct hop_up {
	struct rte_mbuf *m;
	enum dpmsg_type type; // UP_ROUTE, UP_CARRIED
	uint32_t id; // of the consume rule, else 0
	uint32_t hop; // that it came by; UP_CARRIED: that it leaves by
};
bool hop_up_busy(const struct wctx *w, unsigned carrier); // some may be waiting
bool hop_up_pull(struct wctx *w, unsigned carrier, struct hop_up *up);
// What w->rel_entry and w->rel_info are arrays of: fetched by those who know that
// hop_tx_queue() comes.
enum { HOP_ENTRY_LEN = 64, HOP_INFO_LEN = 32 };
// [worker] Is it a reliable hop, whose packets have the slot of their rule in hash.usr?
bool hop_marks(const struct hop *h);
// [worker] Does this node have reliable hops, which take no loss behind them?
bool hop_keeps(const struct wctx *w);
// [worker] A timer is due within so many ns: no time to sleep.
bool hop_timer_is_near(const struct wctx *w, uint64_t ns);
