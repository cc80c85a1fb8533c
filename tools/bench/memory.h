// The device under test in this process: a node with its real workers on lcores of their own, one
// ring device for each of them, and ring devices of the bench at the other end. Or nothing at all
// (loopback): what the bench sends is what it receives.
#pragma once

#include "tools/bench/args.h"
#include "tools/bench/drops.h"
#include "tools/bench/traffic.h"

#include <stddef.h>
#include <stdint.h>

enum { MEMORY_ERR_MAX = 256 };

struct memory;

// Bytes of EAL memory that it will take.
uint64_t memory_need(const struct args *a);
// EAL runs with a->n_workers lcores beside the main one (loopback: none is used). The bench's peer
// is made with this sink, links and ids are filled into t. NULL with errno set and a line in err.
struct memory *memory_open(const struct args *a, struct traffic *t, peer_sink sink, void *sink_ctx,
	char err[MEMORY_ERR_MAX]);
void memory_close(struct memory *m);
struct peer *memory_peer(struct memory *m);
// Now and then, from the main lcore: takes what workers tell. ctx: the memory.
void memory_poll(void *ctx);
// Frames for which our receive rings had no room, since the start. ctx: the memory.
uint64_t memory_missed(void *ctx);

// What the node has dropped, without what is missed. 0. ctx: the memory.
int memory_drops(void *ctx, struct drops *out);
