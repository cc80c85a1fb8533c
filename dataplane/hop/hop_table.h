// All hops of the node: which worker owns a receiver index or a handle, and the mailboxes between
// the main lcore and the owners.
//
// Concurrency. Main lcore is the only writer of the words that workers share:
//   rx[index & mask]    full receiver index | owner | hop index       acquire / release
//   dir[hop index]      full handle | owner | HOP_TP_*                acquire / release
// A word only says whom to ask: the owner looks into its own list, where a hop that is gone is not.
// So words may be stale for a moment and nothing is freed under a reader. The hop itself is
// allocated by main, travels to its owner in the owner's command queue, and comes back in a note
// when the owner let go of it; only then main frees it and its index may be used again.
// `up` and `n_flows` are written by the owner, for workers that would hand packets or messages
// over.
#pragma once

#include "dataplane/hop/hop.h"
#include "dataplane/hop/hop_msg.h"
#include "dataplane/worker/notes.h"
#include "lib/crypto/aead.h"
#include "lib/shm/dpmsg.h"
#include "lib/shm/stats.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct rule_table;
struct hop_rel_shared;
struct hop_worker; // one worker's hops and mailboxes; in hop_priv.h

struct hop_table_conf {
	uint32_t hop_max; // handles have index < hop_max; <= 2^DPMSG_HANDLE_BITS
	uint8_t rx_index_bits; // 4..24
	uint16_t n_workers;
	const int *socket; // NUMA node of each worker, NULL: any
	struct stats_hdr *stats; // has hop_max hop blocks; NULL: counters in private memory
	const struct aead_choice *aead; // copied; NULL: the preferred ones, unmeasured
	uint32_t part_mbufs; // buffers that one worker may hold for joining; 0 = 2048
	uint32_t rel_bufs; // ... for reliable and carried hops, 256..2^24; 0: there are none
	const struct rule_table *rules; // of reliable routes
	const char *cc; // congestion control: "bbr" (NULL) or "cubic"
};

struct hop_table {
	// owner: main | workers: acquire
	_Atomic uint64_t *rx; // 2^rx_index_bits words: index << 32 | owner << 24 | hop index
	_Atomic uint64_t *dir; // hop_max words: handle << 32 | owner << 24 | HOP_TP_*
	_Atomic uint64_t
		*tp; // by transport index: hop handle << 32 | tp generation << 8 | HOP_TP_*
	_Atomic uintptr_t *flows; // by transport index: RAIL_FLOWS_MAX - 1 such words, of its
				  // flows 2..; 0: it never had any
	_Atomic uint8_t *up; // hop_max flags, owner: the hop's worker, relaxed
	_Atomic uint8_t *n_flows; // by hop index, ditto: flows of its transport
	uint32_t rx_mask;
	uint32_t hop_max;
	uint16_t n_workers;
	struct hop_worker **workers;
	struct hop_rel_shared *rel; // NULL: neither reliable nor carried mode
	struct hop_main *main; // owner: main
};
enum { HOP_TP_LIVE = 1, HOP_TP_RELIABLE = 2 }; // carried hops are reliable, too

// ---- [main] ----

// NULL with errno set.
struct hop_table *hop_table_new(const struct hop_table_conf *conf);
void hop_table_free(struct hop_table *t); // workers have stopped; keys are wiped

// The six commands. The caller has checked the record's length and nothing else; it wipes the
// record's keys afterwards. *owner: the worker that got it.
// -EINVAL: a field out of range; -EEXIST: handle or receiver index in use; -ENOENT: no such hop;
// -EAGAIN: the owner's queue is full or the index is still being given back; -ENOTSUP: mode or
// cipher not available, or not for a hop of this mode; -ENOMEM.
int hop_table_add(
	struct hop_table *t, const struct cmd_hop_add *c, uint64_t now_ns, uint16_t *owner);
int hop_table_rekey(struct hop_table *t, const struct cmd_hop_rekey *c, uint64_t now_ns);
int hop_table_path(struct hop_table *t, const struct cmd_hop_path *c);
int hop_table_del(struct hop_table *t, const struct cmd_hop_del *c);
int hop_table_ping(struct hop_table *t, const struct cmd_hop_ping *c);
int hop_table_hold(struct hop_table *t, const struct cmd_hop_hold *c);
// The first carried hop with an index >= from, 0: there is none.
uint32_t hop_table_carried(const struct hop_table *t, uint32_t from);

// Begin to give a hop to another worker; one at a time. While it is under way none of the commands
// above may be given. -ENOENT; -EINVAL: no such worker; -ENOTSUP: a carried hop; -EALREADY: it is
// there; -EBUSY: another one is under way; -EAGAIN: a worker's queue is full.
int hop_table_move(struct hop_table *t, uint32_t hop, uint16_t worker);
// -EINPROGRESS; -ENOENT: none is under way; else it is over. *status: 0, -ENOSPC: no room there.
// *from: who had it before, *owner: who has it now.
int hop_table_moved(struct hop_table *t, int *status, uint16_t *from, uint16_t *owner);

// The hop with this index as a dump record; -ENOENT when there is none.
int hop_table_show(const struct hop_table *t, uint32_t index, uint64_t now_ns, struct evt_hop *out);
uint32_t hop_table_count(const struct hop_table *t); // live hops
uint32_t hop_table_worker_hops(const struct hop_table *t, unsigned worker);
// Transport handle of a live hop, 0 when there is none (for RULE_ADD checks: tx_hop exists).
uint32_t hop_table_tp(const struct hop_table *t, uint32_t hop);

// A message to a worker about reliable routes; false: no room now.
bool hop_table_msg(struct hop_table *t, unsigned worker, const struct hop_msg *msg);
// Worker that owns the hop by which a transport's packets with that id come, if it is a reliable
// one; the hop in *hop. -1: none.
int hop_table_ingress(const struct hop_table *t, uint32_t tp, uint32_t id, uint32_t *hop);
// Worker that owns a live hop, -1: there is none. *reliable may be NULL.
int hop_table_owner(const struct hop_table *t, uint32_t hop, bool *reliable);
// Which flow of its transport a live hop is, and of how many; 0: there is no such hop.
unsigned hop_table_flow(const struct hop_table *t, uint32_t hop, unsigned *n_flows);
// Packets freed of the route of that rule; is_over: it is gone and has no route_owner, the route is
// forgotten.
uint32_t hop_table_route_freed(struct hop_table *t, uint32_t index, bool is_over);
// Memory of reliable mode: what it may come to, and what one worker may hold.
size_t hop_table_rel_bytes(const struct hop_table *t);

// What a worker told since the last call, oldest first. Hops that came back are freed on the way
// and not reported. *lost (may be NULL) is set when notes were lost since the last call: dump
// instead.
unsigned hop_table_notes(
	struct hop_table *t, unsigned worker, struct dp_note *out, unsigned max, bool *lost);

// ---- [worker] ----

// Work off a few commands of the main lcore; returns how many.
unsigned hop_commands(struct wctx *w);

// The word of a transport's hop of flow 1, 0 when there is none.
static inline uint64_t hop_table_tp_word(const struct hop_table *t, uint32_t tp)
{
	uint32_t i = dpmsg_handle_index(tp);
	uint64_t word;

	if (i >= t->hop_max)
		return 0;
	// pairs with the release in hop_table.c
	word = atomic_load_explicit(&t->tp[i], memory_order_acquire);
	return ((uint32_t)word >> 8) == tp >> DPMSG_HANDLE_BITS ? word : 0;
}

// The word of the hop by which a transport's packets with that id come, 0 when there is none.
uint64_t hop_table_in_word(const struct hop_table *t, uint32_t tp, uint32_t id);

// The word of a receiver index, 0 when nobody has it.
static inline uint64_t hop_table_rx_word(const struct hop_table *t, uint32_t index)
{
	// pairs with the release in hop_table.c
	uint64_t word = atomic_load_explicit(&t->rx[index & t->rx_mask], memory_order_acquire);

	return word >> 32 == index && index != 0 ? word : 0;
}

// The word of that very hop, 0 when there is none.
static inline uint64_t hop_table_dir_word(const struct hop_table *t, uint32_t hop)
{
	uint32_t i = dpmsg_handle_index(hop);
	uint64_t word;

	if (i >= t->hop_max)
		return 0;
	// pairs with the release in hop_table.c
	word = atomic_load_explicit(&t->dir[i], memory_order_acquire);
	return word >> 32 == hop ? word : 0;
}

static inline unsigned hop_word_owner(uint64_t word)
{
	return (word >> 24) & 0xff;
}

// The hop that a word of hop_table_rx_word() means, if this worker still has it; else NULL
// (drop_index). Only for words whose owner is w->id.
struct hop *hop_by_word(const struct wctx *w, uint64_t word);
// This worker's hop with that handle, or NULL.
struct hop *hop_by_handle(const struct wctx *w, uint32_t handle);
