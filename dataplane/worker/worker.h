// The workers: one wctx per lcore, the loop that runs it, its start and its end.
//
// Order of things for the main lcore: worker_set_new(), then for each worker fill in its pool, rx
// queues, tx queues (queue, owner, mtu of tx[port]) and exception[port] through worker_ctx(), then
// worker_launch(). After worker_stop() no worker runs, and worker_set_free() returns every mbuf
// that was on its way.
#pragma once

#include "dataplane/worker/wctx.h"
#include "lib/shm/region.h"

struct worker_set;

enum idle_mode {
	IDLE_POLL = 0, // spins: lowest latency, a whole core
	IDLE_ADAPTIVE = 1, // sleeps when there is nothing to do (idle.c), and rings itself
};

struct worker_conf {
	unsigned n_workers;
	struct parse_ports udp_ports; // ours
	enum idle_mode idle;
	const struct rule_table *rules;
	const struct adj_table *adjs;
	struct hop_table *hops;
	struct reclaim *reclaim;
	const struct region *region; // rings and statistics
	const int *socket; // NUMA node of each worker; NULL: any
};

// [main] NULL with errno set.
struct worker_set *worker_set_new(const struct worker_conf *conf);
void worker_set_free(struct worker_set *s);
struct wctx *worker_ctx(struct worker_set *s, unsigned i);
unsigned worker_count(const struct worker_set *s);

// [main] Run worker i on an EAL lcore. 0 or -errno.
int worker_launch(struct worker_set *s, unsigned i, unsigned lcore);
// [main] Ask all to stop and wait for those that were launched. Idempotent.
void worker_stop(struct worker_set *s);

// [main, while they run] The key of the mac1 check (CMD_HELLO): a new control plane, no cookies. 0,
// or -ENOMEM, -EAGAIN: what was stays.
int worker_set_mac1_key(struct worker_set *s, const uint8_t key[32]);
// [main, while they run] Secrets and regime of cookies; -EINVAL: contents, or no mac1 key yet.
// Errors as above.
int worker_set_cookies(struct worker_set *s, const struct cmd_cookies *c);
// [main, while they run] The address that frames for this port must have, from the next tick on.
void worker_set_mac(struct worker_set *s, uint16_t port, const uint8_t mac[6]);
void worker_set_idle(struct worker_set *s, enum idle_mode mode);
// [main] How often worker i has looked whether the control plane sleeps on what it sent up, and
// rang.
uint64_t worker_set_bells(const struct worker_set *s, unsigned i);

// [worker, in a stop] Work off what workers gave each other, until nothing is on its way.
void worker_settle(struct wctx *const *all, unsigned n);
// [worker, in a stop] w's clock is not behind that of `before`.
void worker_sync_clock(struct wctx *w, const struct wctx *before);

// [worker] The loop until worker_stop(); for tests that bring their own threads. Returns 0.
int worker_run(void *wctx);
// [worker] What it repeats: a turn, and what one without work leads to.
void worker_pass(struct wctx *w);
// [worker] One turn; true if it found work. For tests and benches without a loop.
bool worker_turn(struct wctx *w);
// [worker] The same at a moment of the caller's, who lets none of them go back: for tests on
// simulated time.
bool worker_turn_at(struct wctx *w, uint64_t now_ns);
