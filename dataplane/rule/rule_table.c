// The main lcore's side of the rule table: publish, retire, show. What workers do with a rule is
// inline in the header. Retired rules form batches chained through their slots, so that any number
// of them costs one grace period and no queue that could be full.

#include "dataplane/rule/rule_table.h"

#include <rte_eal.h>
#include <rte_malloc.h>

#include <string.h>
#include <sys/mman.h>

enum {
	HUGE_PAGE = 2 * 1024 * 1024,
	DRAIN_LOOKS = 256,
	TELL_AGAIN_NS = 1000 * 1000 * 1000,
};

// Zeroed slots. Where EAL has no hugepages the kernel is asked for transparent ones: with pages of
// 4 kB nearly every packet pays for a walk of the page tables.
static int slots_new(struct rule_table *t, size_t len, int socket)
{
	uintptr_t at;

	if (rte_eal_has_hugepages() != 0 || len < HUGE_PAGE) {
		t->slots = rte_zmalloc_socket("rules", len, 64, socket);
		return t->slots != NULL ? 0 : -ENOMEM;
	}
	t->map_len = len + HUGE_PAGE;
	t->map = mmap(NULL, t->map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t->map == MAP_FAILED) {
		t->map = NULL;
		return -ENOMEM;
	}
	at = ((uintptr_t)t->map + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1);
	t->slots = (struct rule *)at;
	madvise(t->slots, len, MADV_HUGEPAGE); // a wish: the table works without
	memset(t->slots, 0, len); // so that no worker takes the page faults
	return 0;
}

int rule_table_init(struct rule_table *t, unsigned bits, int socket, struct reclaim *reclaim)
{
	if (bits < RULE_BITS_MIN || bits > RULE_BITS_MAX)
		return -EINVAL;
	*t = (struct rule_table){
		.mask = (1u << bits) - 1,
		.bits = bits,
		.batch = RULE_NONE,
		.waiting = RULE_NONE,
		.draining = RULE_NONE,
		.reclaim = reclaim,
	};
	return slots_new(t, sizeof(struct rule) << bits, socket);
}

void rule_table_fini(struct rule_table *t)
{
	if (t->map != NULL)
		munmap(t->map, t->map_len);
	else
		rte_free(t->slots);
	t->map = NULL;
	t->slots = NULL;
}

int rule_table_add(struct rule_table *t, const struct cmd_rule_add *c, uint32_t now_ds)
{
	struct rule *r = rule_slot(t, c->id);
	bool is_static = c->flags & RULE_STATIC;
	uint64_t keep_alive_ds = ((uint64_t)c->keep_alive_ms + 99) / 100;

	if (c->id == 0 || c->type > RULE_INTERMEDIARY || (c->flags & ~RULE_STATIC) != 0)
		return -EINVAL;
	if (!is_static && keep_alive_ds == 0)
		return -EINVAL;
	if (c->type != RULE_CONSUME && (c->next_id == 0 || c->tx_hop == 0))
		return -EINVAL;
	if (atomic_load_explicit(&r->id, memory_order_relaxed) != 0)
		return -EEXIST;
	if (r->retired)
		return -EAGAIN;

	r->next_id = c->next_id;
	r->tx_hop = c->tx_hop;
	r->keep_alive_ds = is_static ? 0 : (uint32_t)keep_alive_ds;
	r->type = c->type;
	r->flags = (uint8_t)(c->flags | (c->in_tp == RULE_IN_ANY ? RULE_ANY : 0));
	r->born = t->resets;
	r->paused = 0;
	atomic_store_explicit(&r->in_tp, c->in_tp, memory_order_relaxed);
	atomic_store_explicit(&r->stamp_ds, now_ds, memory_order_relaxed);
	atomic_store_explicit(&r->packets, 0, memory_order_relaxed);
	atomic_store_explicit(&r->bytes, 0, memory_order_relaxed);
	t->n_live++;
	// pairs with the acquire in rule_lookup()
	atomic_store_explicit(&r->id, c->id, memory_order_release);
	return 0;
}

int rule_table_del(struct rule_table *t, uint32_t id, enum rule_gone reason)
{
	struct rule *r = rule_lookup(t, id);

	if (r == NULL)
		return -ENOENT;
	atomic_store_explicit(&r->id, 0, memory_order_release);
	r->last_id = id;
	r->retired = RULE_GRACE;
	r->reason = (uint8_t)reason;
	r->next_retired = t->batch;
	t->batch = (uint32_t)(r - t->slots);
	t->n_live--;
	t->n_retired++;
	t->n_gone[reason]++;
	return 0;
}

// The owner's clock may be a tick ahead of ours; a static rule may be idle for years.
static uint32_t age_ms(uint32_t idle_ds)
{
	if ((int32_t)idle_ds < 0)
		return 0;
	return idle_ds > UINT32_MAX / 100 ? UINT32_MAX : idle_ds * 100;
}

static void fill(const struct rule *r, uint32_t id, uint32_t now_ds, struct evt_rule *out)
{
	uint32_t idle_ds = now_ds - atomic_load_explicit(&r->stamp_ds, memory_order_relaxed);

	*out = (struct evt_rule){
		.id = id,
		.next_id = r->next_id,
		.tx_hop = r->tx_hop,
		.in_tp = atomic_load_explicit(&r->in_tp, memory_order_relaxed),
		.keep_alive_ms = r->keep_alive_ds * 100,
		.age_ms = age_ms(idle_ds),
		.type = r->type,
		.flags = (uint8_t)(r->flags | (r->paused != 0 ? RULE_PAUSED : 0)),
		.reason = r->reason,
		.packets = atomic_load_explicit(&r->packets, memory_order_relaxed),
		.bytes = atomic_load_explicit(&r->bytes, memory_order_relaxed),
	};
}

int rule_table_show(
	const struct rule_table *t, uint32_t index, uint32_t now_ds, struct evt_rule *out)
{
	const struct rule *r = &t->slots[index & t->mask];
	uint32_t id = atomic_load_explicit(&r->id, memory_order_relaxed);

	if (index > t->mask || id == 0)
		return -ENOENT;
	fill(r, id, now_ds, out);
	out->reason = 0;
	if (t->freed != NULL)
		out->freed = t->freed(t->gone_ctx, index, false);
	return 0;
}

// The next batch begins its grace period when the one before has ended.
static void next_batch(struct rule_table *t)
{
	if (t->waiting != RULE_NONE || t->batch == RULE_NONE)
		return;
	t->waiting = t->batch;
	t->batch = RULE_NONE;
	t->token = reclaim_start(t->reclaim);
}

static void finish(struct rule_table *t, struct rule *r)
{
	struct evt_rule final;

	fill(r, r->last_id, atomic_load_explicit(&r->stamp_ds, memory_order_relaxed), &final);
	if (t->freed != NULL)
		final.freed = t->freed(t->gone_ctx, (uint32_t)(r - t->slots), true);
	r->retired = RULE_IN_USE;
	t->n_retired--;
	if (t->gone != NULL)
		t->gone(t->gone_ctx, &final);
}

static bool has_owner(const struct rule *r)
{
	// pairs with the release in hop_route_disown()
	return atomic_load_explicit(&r->route_owner, memory_order_acquire) != 0;
}

static void draining_add(struct rule_table *t, struct rule *r)
{
	uint32_t i = (uint32_t)(r - t->slots);

	r->next_retired = RULE_NONE;
	if (t->draining == RULE_NONE)
		t->draining = i;
	else
		t->slots[t->draining_tail].next_retired = i;
	t->draining_tail = i;
}

// One look at each of the rules that a worker still has something of, at most `max`.
static unsigned drain(struct rule_table *t, unsigned max, uint64_t now_ns)
{
	bool again = now_ns - t->told_ns >= TELL_AGAIN_NS;
	uint32_t last = t->draining_tail, i = t->draining;
	unsigned n = 0;

	if (again)
		t->told_ns = now_ns;
	for (unsigned k = 0; k < max && i != RULE_NONE; k++) {
		struct rule *r = &t->slots[i];

		t->draining = r->next_retired;
		if (!has_owner(r)) {
			finish(t, r);
			n++;
		} else {
			bool told = r->retired == RULE_TOLD;

			if ((!told || again) &&
				t->ending(t->gone_ctx, r, (uint32_t)(r - t->slots), told))
				r->retired = RULE_TOLD;
			draining_add(t, r);
		}
		if (i == last)
			break;
		i = t->draining;
	}
	return n;
}

unsigned rule_table_poll(struct rule_table *t, unsigned max)
{
	unsigned n = 0;

	next_batch(t);
	if (t->draining != RULE_NONE)
		n += drain(t, DRAIN_LOOKS, t->now_ns);
	if (t->waiting == RULE_NONE || !reclaim_done(t->reclaim, t->token))
		return n;
	for (; n < max && t->waiting != RULE_NONE; n++) {
		struct rule *r = &t->slots[t->waiting];

		t->waiting = r->next_retired;
		if (unlikely(has_owner(r) && t->ending != NULL)) {
			r->retired = RULE_UNTOLD;
			draining_add(t, r);
			continue;
		}
		finish(t, r);
	}
	next_batch(t);
	return n;
}
