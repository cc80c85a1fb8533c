// Pure: who fills the counters in knows where they are.

#include "tools/bench/drops.h"

void drops_each(const struct drops *now, const struct drops *since, drops_cb cb, void *ctx)
{
	size_t n;
	const struct counter_desc *d = stats_desc(SCOPE_WORKER, &n);

	for (size_t k = 0; k < n; k++)
		if (d[k].role == ROLE_DROP && d[k].stage != STAGE_frame &&
			now->worker[k] > since->worker[k])
			cb(ctx, d[k].name, now->worker[k] - since->worker[k]);
	d = stats_desc(SCOPE_PORT, &n);
	for (size_t k = 0; k < n; k++)
		if (d[k].role == ROLE_DROP && now->port[k] > since->port[k])
			cb(ctx, d[k].name, now->port[k] - since->port[k]);
}

static void add(void *ctx, const char *name, uint64_t n)
{
	*(uint64_t *)ctx += n;
}

uint64_t drops_sum(const struct drops *now, const struct drops *since)
{
	uint64_t sum = 0;

	drops_each(now, since, add, &sum);
	return sum;
}
