// Keeps our transports known at the transport discovery (real-peers 1.2): the responder of a
// settlement posts the entry, both ends look for it later and put it back when somebody removed it,
// and what closed is removed, unless another connection of the same transport is up. Loop's thread
// only.
#pragma once

#include "controlplane/directory/tp_discovery.h"

enum {
	TP_REGISTER_MAX = 16384, // transports
	TP_REGISTER_WAIT_MS = 2000, // a settlement waits for its post no longer
	TP_REGISTER_FIRST_MS = 10000, // after the settlement the entry is looked for, and then
	TP_REGISTER_AGAIN_MS = 300000, // ... this often
	TP_REGISTER_BACKOFF_MAX_MS = 60000, // longest time until a failed request is tried again
	TP_REGISTER_LEAVE_MS = 3000,
};

struct tp_register;
struct tp_reg;

struct tp_register_conf {
	struct loop *loop;
	struct service *service; // borrowed; outlives this
	// 0: those above; others are for tests
	uint32_t wait_ms, first_ms, again_ms, backoff_ms;
	uint32_t max; // 0: TP_REGISTER_MAX
};

struct tp_register_stats {
	uint32_t up; // transports that are up, now
	uint32_t registered; // of them: the discovery said so when it was asked last
	uint32_t pending; // of all: posts and removals that are still to be made
	uint64_t posted, deleted, checked;
	uint64_t mended; // were gone and are posted again
	uint64_t refused; // answered with a no
	uint64_t failed; // without an answer
	uint64_t late; // settlements that did not wait for the answer
	uint64_t full; // transports for which there was no place
};

// NULL and errno. Owner: the caller.
struct tp_register *tp_register_new(const struct tp_register_conf *conf);
// What is up is forgotten, nobody is called; handles stay their holders' to give to
// tp_register_down(). NULL is allowed.
void tp_register_free(struct tp_register *r);
void tp_register_stats_get(const struct tp_register *r, struct tp_register_stats *out);

// A connection's settlement is done: `entry` has both signatures, or, at the initiator, its own,
// for the other's is not told (no discovery of 2024 looks at them). `post`: we are the responder.
// `done` (may be NULL) is called once, never from within this call: the entry was posted, or that
// was refused, or it took too long. NULL: done does not come, nothing will be registered: r is
// NULL, or there is no memory, or TP_REGISTER_MAX transports are there.
typedef void (*tp_register_fn)(void *arg);
struct tp_reg *tp_register_up(struct tp_register *r, const struct tp_entry *entry, bool post,
	tp_register_fn done, void *arg);
// The connection is over; done does not come any more. NULL is allowed.
void tp_register_down(struct tp_reg *h);

// All that is up is removed at the discovery; `fn` is called once, when that is done or after
// TP_REGISTER_LEAVE_MS, never from within this call.
void tp_register_leave(struct tp_register *r, tp_register_fn fn, void *arg);
