// One trial: packets at a constant rate for some time, and what came of them.
//
// The load is open: packet k is due k / rate after the start, whatever happened before. One that
// leaves late carries the time when it was due, so its wait counts as latency; what could not leave
// before the end counts as lost, and is told apart, for then the generator was too slow and not the
// node. A reliable link takes what it may and no more; what it holds back leaves late, or never.
#pragma once

#include "tools/bench/drops.h"
#include "tools/bench/hist.h"
#include "tools/bench/prepare.h"
#include "tools/bench/traffic.h"

#include <stdatomic.h>

enum { TRIAL_LATE_NS = 50000 }; // later than this is late

struct trial_conf {
	double pps; // 0: as fast as it goes
	double duration_s;
	double drain_s; // longest pause between stragglers
};

struct trial_result {
	double pps; // intended; 0 = as fast as it goes
	double duration_s;
	double took_s; // until the last packet had left
	bool cut; // it ended early: these are the figures of what was due until then
	uint64_t planned; // packets of the whole trial; 0: as many as it goes
	uint64_t intended;
	uint64_t sent; // given to the device, or refused by it
	uint64_t refused; // by the device: its ring was full. Counts as lost
	uint64_t unsent; // intended, but it did not leave before the end
	uint64_t held; // of those: reliable links held them back. The others the generator was too
		       // slow for
	uint64_t retransmitted; // frames that our reliable links sent once more
	uint64_t late;
	uint64_t missed; // came back, but we were too slow to take it. Counts as lost
	uint64_t dropped; // by the node, as it counted meanwhile
	bool dropped_known;
	bool node_queue; // what was refused met the node's own queue: its limit, not ours
	uint64_t received; // without duplicates
	uint64_t duplicates, reordered;
	uint64_t strange; // probes that are not of this trial, or came by another route id
	uint64_t flows_lossy;
	double rx_pps; // received over the time of sending
	bool opened; // latency, order and flows are known
};

struct trial {
	struct peer *peer;
	struct traffic *traffic;
	struct prepare *prepare; // NULL: packets are sealed as they leave
	bool count_only;
	const _Atomic bool *stop; // set from outside: end early
	void (*poll)(void *ctx); // now and then while it runs; may be NULL
	uint64_t (*missed)(
		void *ctx); // frames that our receive queues had no room for, since the start
	void *poll_ctx; // of both
	// What the node dropped since its start, 0 or -errno; NULL: nobody can tell. Its counters
	// are up to so old.
	int (*drops)(void *ctx, struct drops *out);
	void *drops_ctx;
	uint64_t drops_lag_ns;
	bool node_queue; // see trial_result
	struct hist *latency; // ns; of the last run
	// of the run
	struct trial_result *r;
	uint64_t start_ns;
	uint64_t held_ns; // when a link took less than was due, from the start
};

// 0, -EINTR when stopped, -ENOTCONN when a link went down; *r tells what was measured in any case.
int trial_run(struct trial *t, const struct trial_conf *conf, struct trial_result *r);
// The peer's sink: what arrives, in a trial or not. ctx: the trial.
void trial_sink(void *ctx, struct rte_mbuf **m, unsigned n, uint64_t arrived_ns);
static inline double trial_loss(const struct trial_result *r)
{
	return r->intended == 0 || r->received >= r->intended
		       ? 0
		       : (double)(r->intended - r->received) / (double)r->intended;
}

// Where that remained which did not come back: the parts sum to what was lost.
struct trial_parts {
	uint64_t lost;
	uint64_t unsent, refused,
		missed; // the bench's own loss: it was too slow to send or receive
	uint64_t queue; // the node's receive queue was full
	uint64_t held; // by reliable links: the node, or the way to it, is slower
	uint64_t dropped; // by the node, as it counted
	uint64_t gone; // whatever else: on the wire, or in a node that does not tell
};

struct trial_parts trial_parts(const struct trial_result *r);
// Most of what was lost is the bench's own loss.
bool trial_is_limited(const struct trial_result *r);
