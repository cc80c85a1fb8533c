// Frames of a whole trial, sealed before it begins, so that sending costs a copy and not a cipher:
// for loads that one core cannot seal. While they are sent, the links must say nothing of their
// own: a later counter would push the prepared ones out of the node's replay window.
#pragma once

#include "tools/bench/traffic.h"

#include <stddef.h>
#include <stdint.h>

enum { PREPARE_MAX_LEN = 1 << 30 }; // bytes of frames

struct prepare;

struct prepare *prepare_new(void); // NULL: no memory
void prepare_free(struct prepare *p);
// Most packets of that traffic that have room.
uint64_t prepare_room(const struct traffic *t);
// Seal n packets that are due each gap_ns. 0, -ENOTCONN, -ENOMEM.
int prepare_fill(
	struct prepare *p, struct peer *peer, struct traffic *t, uint64_t n, double gap_ns);
// Send the next n; returns how many left, *refused: those that the device did not take.
unsigned prepare_send(struct prepare *p, struct peer *peer, unsigned n, uint64_t *refused);
