// A hop changes its owner (docs/design/hop.md, "A hop moves"). The main lcore asks, all workers
// come to rest between two turns, and the old owner does it while nobody else runs.
#pragma once

#include "dataplane/worker/wctx.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct hop_worker;

// One at a time; the hop table's. What is not atomic is main's until the workers are told.
struct hop_move {
	uint32_t hop; // handle
	uint16_t from, to, n_workers;
	_Atomic uint32_t awake; // workers that do not sleep any more
	_Atomic uint32_t parked; // ... that wait between two turns
	_Atomic bool done; // `from` has done it: they may go on
	_Atomic uint32_t left; // ... that have gone on; main may look when it is all of them
	int status; // by `from`, before done
};

// [worker: from, the others are parked, nothing is on its way between workers] Gives the hop and
// all that it holds to the other worker, whose words it writes. 0; -ENOSPC: no room there, nothing
// has changed; -ENOENT.
int hop_move(struct wctx *from, struct wctx *to, uint32_t hop);

// Inside dataplane/hop/ only, hop.c: in the list of its owner, by handle; out of it; out of the
// list of those with something to send.
void hop_list_add(struct hop_worker *hw, struct hop *h);
void hop_list_del(struct hop_worker *hw, struct hop *h);
void hop_unlink_pending(struct wctx *w, struct hop *h);
