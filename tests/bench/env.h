// A node in one process for the benches: one worker, ring devices, a hop whose peer is itself, and
// a rule table whose rules form one random cycle, so that every packet that leaves comes back as a
// fresh, valid packet for another random rule. Nothing is mocked: the worker's own turn runs.
#pragma once

#include "dataplane/rule/sweeper.h"
#include "dataplane/worker/worker.h"
#include "lib/crypto/aead.h"
#include "tools/bench/local.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

enum { ENV_IN_FLIGHT = 512, ENV_RING = 1024, ENV_UDP = 7780, ENV_RX_INDEX = 0x55550001 };

struct env {
	struct local node;
	struct rule_table *rules; // the node's, maybe another env's
	struct worker_set *set;
	struct wctx *w;
	struct rte_mempool *pool;
	struct rte_ring *in, *out; // in == out: a loop
	uint16_t port;
	uint32_t hop, tp;
	uint32_t n_rules;
	bool reliable;
	enum idle_mode idle;
};

// Dies with a message when anything fails: a bench has no other use for an error.
void env_die(const char *what, int err);

// EAL with two lcores, on hugepages when there are enough.
void env_start_eal(void);

struct env_cipher {
	const struct aead_backend *be;
	enum aead_cipher kind;
};
// The cipher and the library that a node here would take.
struct env_cipher env_best_cipher(void);

// 2^bits slots with n_rules rules in one cycle, or the rules of `share`. loop: the port's output is
// its input.
struct env *env_new(unsigned bits, uint32_t n_rules, struct env *share, enum aead_cipher cipher,
	bool loop, enum idle_mode idle);
// The same with everything sealed by that back end.
struct env *env_new_by(const struct aead_backend *be, unsigned bits, uint32_t n_rules,
	struct env *share, enum aead_cipher cipher, bool loop, enum idle_mode idle);

struct env_conf {
	const struct aead_backend *be; // NULL: the preferred one
	unsigned bits;
	uint32_t n_rules;
	struct env *share;
	enum aead_cipher cipher; // -1: no hop
	bool loop;
	bool reliable; // mode of the hop
	uint32_t hop_max; // 0: a few
	enum idle_mode idle;
};
struct env *env_new_conf(const struct env_conf *c);
// One more hop like the first one, with handle h; the worker takes it up in its turns. 0 or -errno.
int env_hop_add(struct env *e, uint32_t h, enum aead_cipher cipher);
void env_free(struct env *e);
uint32_t env_id(const struct env *e, uint32_t i); // route id of rule i

// Seal n route packets with that payload into the device: a loop env has them in flight from then
// on.
void env_fill(struct env *e, unsigned n, uint32_t payload_len);
// A figure_run of a struct env: packets per second that the worker sends in one slice.
double env_run(void *env);
// Put n plain frames of the same size into a ring device, for the bare loops.
void env_fill_bare(struct env *e, unsigned n, uint32_t payload_len);
// Take everything out of the ring again.
void env_drain(struct env *e);
