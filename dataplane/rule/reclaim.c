// Grace periods on DPDK's QSBR, and a bounded queue of destructors that wait for theirs. What has a
// list of its own (the rule table) takes tokens instead and never fills the queue.

#include "dataplane/rule/reclaim.h"

#include "lib/base/err.h"

#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>

#include <stdlib.h>

enum { QUEUE_LEN = 4096 }; // adjs and hops: changes of neighbours and transports, drained each turn

struct deferred {
	uint64_t token;
	reclaim_fn fn;
	void *ctx;
	uint64_t arg;
};

struct reclaim {
	struct rte_rcu_qsbr *qsbr;
	uint32_t head, tail; // free-running
	struct deferred queue[QUEUE_LEN];
};

struct reclaim *reclaim_new(unsigned n_workers)
{
	struct reclaim *r = calloc(1, sizeof(*r));
	size_t size = rte_rcu_qsbr_get_memsize(n_workers);

	if (r == NULL)
		return NULL;
	r->qsbr = rte_zmalloc("qsbr", size, RTE_CACHE_LINE_SIZE);
	if (r->qsbr == NULL || rte_rcu_qsbr_init(r->qsbr, n_workers) != 0)
		goto err_qsbr;
	for (unsigned i = 0; i < n_workers; i++)
		rte_rcu_qsbr_thread_register(r->qsbr, i);
	return r;

err_qsbr:
	rte_free(r->qsbr);
	free(r);
	return errno_null(ENOMEM);
}

void reclaim_free(struct reclaim *r)
{
	if (r == NULL)
		return;
	for (; r->tail != r->head; r->tail++) {
		struct deferred *d = &r->queue[r->tail % QUEUE_LEN];
		d->fn(d->ctx, d->arg);
	}
	rte_free(r->qsbr);
	free(r);
}

int reclaim_defer(struct reclaim *r, reclaim_fn fn, void *ctx, uint64_t arg)
{
	if (r->head - r->tail == QUEUE_LEN)
		return -ENOSPC;
	r->queue[r->head++ % QUEUE_LEN] = (struct deferred){
		.token = rte_rcu_qsbr_start(r->qsbr),
		.fn = fn,
		.ctx = ctx,
		.arg = arg,
	};
	return 0;
}

unsigned reclaim_poll(struct reclaim *r, unsigned max)
{
	unsigned n = 0;

	for (; n < max && r->tail != r->head; n++) {
		struct deferred d = r->queue[r->tail % QUEUE_LEN];
		if (!reclaim_done(r, d.token))
			break;
		r->tail++;
		d.fn(d.ctx, d.arg);
	}
	return n;
}

unsigned reclaim_pending(const struct reclaim *r)
{
	return r->head - r->tail;
}

bool reclaim_has_room(const struct reclaim *r)
{
	return reclaim_pending(r) < QUEUE_LEN;
}

uint64_t reclaim_start(struct reclaim *r)
{
	return rte_rcu_qsbr_start(r->qsbr);
}

bool reclaim_done(struct reclaim *r, uint64_t token)
{
	return rte_rcu_qsbr_check(r->qsbr, token, false) == 1;
}

void reclaim_online(struct reclaim *r, unsigned worker)
{
	rte_rcu_qsbr_thread_online(r->qsbr, worker);
}

void reclaim_offline(struct reclaim *r, unsigned worker)
{
	rte_rcu_qsbr_thread_offline(r->qsbr, worker);
}

void reclaim_quiescent(struct reclaim *r, unsigned worker)
{
	rte_rcu_qsbr_quiescent(r->qsbr, worker);
}
