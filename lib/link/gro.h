// Joins packets of one flow that came in a burst into super-packets, before a kernel gets them: TCP
// segments in sequence, UDP datagrams of one size. What is joined could be cut again into the very
// packets that came, but for checksums, which were right, and for identifications of packets that
// must not be fragmented anyway.
//
// Sans-I/O: packets in, packets or super-packets out, in order within a flow. Held at most from the
// first gro_add() of a burst to gro_flush(), in GRO_FLOWS buffers. Memory is the caller's; one
// thread.
#pragma once

#include "lib/link/gso.h"

enum { GRO_FLOWS = 8 };

struct gro;

// What comes out, borrowed until return. g->size 0: a packet as it came; else a super-packet for
// gso_to_kernel(), whose checksum was not made.
typedef void (*gro_out_fn)(void *arg, void *owner, const struct gso_pkt *g);

size_t gro_mem_size(void);
// mem of gro_mem_size() bytes stays the caller's.
struct gro *gro_init(void *mem, gro_out_fn out, void *arg);

// One IP packet for `owner` (a device), which takes super-packets of `kinds`. True: it was copied.
// False: nothing can be joined with it, and what was held of its flow came out; it is the caller's
// to pass on now. Flows of different owners are different.
bool gro_add(struct gro *g, void *owner, uint8_t kinds, const uint8_t *p, size_t len);
// A super-packet of the owner comes by another way: what is held of its flow comes out first.
void gro_yield(struct gro *g, void *owner, const struct gso_pkt *pkt);
// All that is held comes out.
void gro_flush(struct gro *g);
