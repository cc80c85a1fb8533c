// The usual case of a reliable link, many datagrams at once: whole packets, each alone in its
// datagram, in order, nothing lost. What rel_rx() and rel_next() (rel.h) would do with each, at a
// part of the cost; where something else comes first these functions stop, and the caller goes on
// with those. Which of the two dealt with a datagram can't be told from its outcome, but that a run
// which began when packets were too long to share datagrams keeps to that.
#pragma once

#include "lib/link/rel.h"

enum { REL_RUN_MAX = 64 };

// Of n <= REL_RUN_MAX authentic datagrams with the counters that follow each other from `counter`
// on, those at the beginning that are the packets that come next, each released at once: the packet
// is what lies behind RAIL_SEQ_HDR_LEN bytes of its frames. Returns how many; the caller commits
// their counters before the next call. The others are not looked at.
unsigned rel_rx_run(struct rel *r, const uint8_t *const frames[], const uint32_t len[], unsigned n,
	uint64_t counter, uint64_t now_ns);

struct rel_push {
	struct rel_pkt pkt;
	uint32_t route;
};

// Packets without flags into the queue of a link, as by rel_queue_push(): those at the beginning
// that just wait there, taken. Returns how many; the others were not looked at.
unsigned rel_push_run(struct rel_queue *q, const struct rel_push *p, unsigned n);

// A packet that goes alone: the frame header, then all of the handle, which stays ours.
struct rel_sent {
	void *handle;
	uint32_t len; // of the packet
	uint8_t hdr[RAIL_SEQ_HDR_LEN];
};

// The datagrams that leave next, at most max; each has the counter that follows the one before it,
// *counter is the first one's. 0: rel_next() knows more. Counts as sent; handles are good until the
// next call for this link.
unsigned rel_next_run(
	struct rel *r, struct rel_sent *out, unsigned max, uint64_t *counter, uint64_t now_ns);
