// The rule table: route id -> what to do with a route packet (skywire-routing 2 and 3).
//
// Indexed directly: the low `bits` of a route id are the slot, the rest is a generation, so there
// is no hash and no pointer on the path, and one cache line holds all that a packet needs.
//
// Concurrency. Main lcore is the only writer of a slot's body and id. It writes a slot while the id
// is 0 (unpublished), then stores the id (release, pairs with the acquire in rule_lookup()). To
// remove it, it stores 0 and writes the slot again only after a grace period. A live rule never
// changes, but for
//   in_tp    any worker, once, by compare-exchange from RULE_IN_ANY (ingress pin)
//   stamp_ds, packets, bytes    the rule's owner worker, relaxed
//   route_owner                 the worker that has an entry for it in its reliable links
// A rule that was removed is told to its route_owner by `ending`, now and then until that word is
// 0; only then it is gone.
#pragma once

#include "dataplane/rule/reclaim.h"
#include "lib/base/err.h"
#include "lib/shm/dpmsg.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	RULE_BITS_MIN = 4,
	RULE_BITS_MAX = 22, // 4 M rules
};
#define RULE_NONE 0xffffffffu

enum rule_retired { RULE_IN_USE = 0, RULE_GRACE, RULE_UNTOLD, RULE_TOLD };

struct rule {
	// owner: main | workers: ro after the acquire of id
	_Alignas(64) _Atomic uint32_t id; // 0 = not published
	uint32_t next_id; // host order
	uint32_t tx_hop; // egress hop handle
	uint32_t keep_alive_ds; // tenths of a second, rounded up; 0 = static
	uint8_t type; // enum dpmsg_rule_type
	uint8_t flags; // RULE_STATIC, RULE_ANY
	uint8_t retired; // main only: enum rule_retired
	uint8_t reason; // main only: enum rule_gone
	_Atomic uint32_t in_tp; // workers, once

	// owner: the rule's owner worker | main: ro, relaxed
	_Atomic uint32_t stamp_ds; // last activity
	_Atomic uint16_t route_owner; // worker + 1 that holds packets or numbers of it, 0: none.
				      // owner: that worker | main: acquires 0
	uint16_t pad0;
	_Atomic uint64_t packets;
	_Atomic uint64_t bytes; // payload, without the 7-byte header

	// owner: main
	uint32_t last_id; // of a retired rule, until its grace period is over
	uint32_t next_retired; // index of the next one in the same list
	uint32_t born; // resets of transports before it came
	uint32_t paused; // the control plane was told to wait with packets for it
};
static_assert(sizeof(struct rule) == 64, "a rule is one cache line");

struct rule_table {
	struct rule *slots;
	uint32_t mask;
	uint32_t bits;
	// owner: main
	uint32_t n_live;
	uint32_t n_retired; // id cleared, grace period not over
	uint32_t batch; // head of the list retired since the last token, RULE_NONE if empty
	uint32_t waiting; // head of the list whose grace period is `token`
	uint32_t draining; // head of the list that waits for route owners
	uint32_t draining_tail;
	uint64_t told_ns; // when the last round of telling them began
	uint64_t now_ns; // set by whoever calls rule_table_poll()
	uint64_t token;
	uint32_t resets; // rules born now are younger
	uint64_t n_gone[RULE_GONE_COUNT]; // by reason, since start
	struct reclaim *reclaim;
	void *map; // pages of our own that hold the slots; NULL: they are EAL's
	size_t map_len;
	void (*gone)(void *ctx, const struct evt_rule *final); // after the grace period
	// The rule in that slot, which has a route_owner, was removed; again: told before. False:
	// not now. NULL: no rule ever has a route_owner.
	bool (*ending)(void *ctx, const struct rule *r, uint32_t index, bool again);
	// A rule with a route_owner has expired, unless something of it is held: whoever is asked
	// deletes it. NULL: it is deleted at once.
	void (*idle)(void *ctx, const struct rule *r, uint32_t index);
	// Packets of it that were freed instead of delivered; forgets them if it is over. NULL:
	// none.
	uint32_t (*freed)(void *ctx, uint32_t index, bool is_over);
	void *gone_ctx;
};

// [main] 2^bits slots, NUMA-local to `socket` (-1: any). 0 or -errno; -ENOMEM names no culprit: the
// caller does.
int rule_table_init(struct rule_table *t, unsigned bits, int socket, struct reclaim *reclaim);
void rule_table_fini(struct rule_table *t); // [main] workers have stopped
// [main] Publish. -EEXIST: the index is live, under this id or another generation; -EAGAIN: it is
// still in its grace period; -EINVAL: id 0, unknown type, keep-alive 0 of a rule that is not
// static.
int rule_table_add(struct rule_table *t, const struct cmd_rule_add *c, uint32_t now_ds);
// [main] Unpublish; `gone` is called after the grace period. -ENOENT: no such live id.
int rule_table_del(struct rule_table *t, uint32_t id, enum rule_gone reason);
// [main] End what has passed its grace period, at most `max` rules; returns how many ended.
unsigned rule_table_poll(struct rule_table *t, unsigned max);
// [main] The rule as a dump record; -ENOENT when the slot is empty.
int rule_table_show(
	const struct rule_table *t, uint32_t index, uint32_t now_ds, struct evt_rule *out);

// [any] Expired: idle for longer than its own keep-alive. Static rules never are.
static inline bool rule_expired(const struct rule *r, uint32_t now_ds)
{
	uint32_t stamp = atomic_load_explicit(&r->stamp_ds, memory_order_relaxed);

	return r->keep_alive_ds != 0 && (int32_t)(now_ds - stamp) > (int32_t)r->keep_alive_ds;
}

// [worker] The slot that would hold this id, for prefetching.
static inline struct rule *rule_slot(const struct rule_table *t, uint32_t id)
{
	return &t->slots[id & t->mask];
}

// [worker] The live rule with this id or NULL. Valid until this worker's next quiescent state.
static inline struct rule *rule_lookup(const struct rule_table *t, uint32_t id)
{
	struct rule *r = rule_slot(t, id);

	// pairs with the release in rule_table_add()
	if (unlikely(atomic_load_explicit(&r->id, memory_order_acquire) != id || id == 0))
		return NULL;
	return r;
}

// [worker: the rule's owner] One packet of payload_len bytes was released to the rule: counters.
static inline void rule_add_packet(struct rule *r, uint32_t payload_len)
{
	atomic_store_explicit(&r->packets,
		atomic_load_explicit(&r->packets, memory_order_relaxed) + 1, memory_order_relaxed);
	atomic_store_explicit(&r->bytes,
		atomic_load_explicit(&r->bytes, memory_order_relaxed) + payload_len,
		memory_order_relaxed);
}

// [worker: the rule's owner] ... and stamp.
static inline void rule_count(struct rule *r, uint32_t payload_len, uint32_t now_ds)
{
	rule_add_packet(r, payload_len);
	// written only when it changed: the sweeper reads it, and the line stays clean
	if (atomic_load_explicit(&r->stamp_ds, memory_order_relaxed) != now_ds)
		atomic_store_explicit(&r->stamp_ds, now_ds, memory_order_relaxed);
}

// [worker] May packets that came by transport tp use this rule? The first one on an authentic
// transport pins it (*pinned set). RULE_IN_LOCAL rules take packets of the control plane only.
static inline bool rule_ingress_ok(struct rule *r, uint32_t tp, bool may_pin, bool *pinned)
{
	uint32_t in = atomic_load_explicit(&r->in_tp, memory_order_relaxed);

	if (likely(in == tp))
		return true;
	if (in != RULE_IN_ANY || !may_pin)
		return false;
	if (atomic_compare_exchange_strong_explicit(
		    &r->in_tp, &in, tp, memory_order_relaxed, memory_order_relaxed)) {
		*pinned = true;
		return true;
	}
	return in == tp;
}
