// The walk that expires rules. It only unpublishes them; the table ends them after the grace
// period.

#include "dataplane/rule/sweeper.h"

#include <rte_prefetch.h>

enum { PREFETCH_AHEAD = 8 }; // slots; hides the load of the next slots' ids and stamps

void sweeper_init(struct sweeper *s, struct rule_table *t, uint64_t now_ns)
{
	*s = (struct sweeper){.table = t, .last_ns = now_ns};
}

// Whether it is gone.
static bool expire(struct rule_table *t, struct rule *r, uint32_t id)
{
	if (t->idle != NULL && atomic_load_explicit(&r->route_owner, memory_order_relaxed) != 0) {
		t->idle(t->gone_ctx, r, (uint32_t)(r - t->slots));
		return false;
	}
	rule_table_del(t, id, RULE_GONE_EXPIRED);
	return true;
}

unsigned sweeper_tick(struct sweeper *s, uint64_t now_ns, uint32_t now_ds)
{
	struct rule_table *t = s->table;
	uint64_t per_s = (uint64_t)t->mask + 1;
	uint64_t n;
	unsigned expired = 0;

	per_s = per_s * 1000 / SWEEP_ROUND_MS;
	if (per_s > SWEEP_RATE_MAX)
		per_s = SWEEP_RATE_MAX;
	n = (now_ns - s->last_ns) * per_s / 1000000000;
	if (n == 0)
		return 0;
	// a main lcore that was held up does not catch up in one go
	s->last_ns = n > SWEEP_STEP_MAX ? now_ns : s->last_ns + n * 1000000000 / per_s;
	if (n > SWEEP_STEP_MAX)
		n = SWEEP_STEP_MAX;

	for (uint64_t i = 0; i < n; i++) {
		struct rule *r = &t->slots[s->cursor];
		uint32_t id = atomic_load_explicit(&r->id, memory_order_relaxed);

		rte_prefetch0(&t->slots[(s->cursor + PREFETCH_AHEAD) & t->mask]);
		if (id != 0 && rule_expired(r, now_ds)) {
			expired += expire(t, r, id);
		}
		s->cursor = (s->cursor + 1) & t->mask;
	}
	return expired;
}
