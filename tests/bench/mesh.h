// A node of several workers in one process for the benches: each hop has its own ring device, whose
// output is its input and which its owner polls, and is its own peer. Packets go from hop to hop
// for ever, by rules that form random cycles. Nothing is mocked: the workers' own turns run.
#pragma once

#include "tests/bench/env.h"

enum { MESH_HOPS = 8, MESH_WORKERS = 2 };

struct mesh_conf {
	unsigned n_workers; // hop k belongs to worker k % n_workers
	// Packets stay among the hops k with the same k % n_groups: MESH_HOPS: each leaves as it
	// came; n_workers: none changes the worker; 1: all go anywhere.
	unsigned n_groups;
	uint32_t n_rules;
	const struct aead_backend *be;
	enum aead_cipher cipher;
};

struct mesh {
	struct local node;
	struct mesh_conf conf;
	struct rte_mempool *pool[MESH_WORKERS];
	struct rte_ring *ring[MESH_HOPS];
	uint16_t port[MESH_HOPS];
	uint8_t hop_of[]; // by rule: the hop by which its packets come
};

// Dies with a message when anything fails.
struct mesh *mesh_new(const struct mesh_conf *c);
void mesh_free(struct mesh *m);
// n route packets for each worker, with that payload, in flight from then on.
void mesh_fill(struct mesh *m, unsigned n, uint32_t payload_len);
// A figure_run of a struct mesh: packets per second of one slice, the workers' rates added up. A
// second is one of CPU time in turns that sent something. Worker 0 runs here, worker 1 on the other
// lcore at the same time.
double mesh_run(void *mesh);
// The same of two nodes of one worker, at once: struct mesh *[2].
double mesh_run_two(void *meshes);

// The same for anything: each calls turn(ctx[i]) for a slice, which returns the packets it sent.
double slices_run(unsigned n, unsigned (*turn)(void *), void *const *ctx);
