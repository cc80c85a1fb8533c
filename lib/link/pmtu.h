// Path MTU discovery by padded probes (rail 5; RFC 8899) for one path and one direction. Sans-I/O:
// time and the fate of probes in, sizes of probes and the path MTU out. Sizes are bytes of IP, or
// whatever else the caller means by them everywhere.
//
//   BASE --base came--> SEARCHING --nothing left to try--> COMPLETE --raise timer--> SEARCHING
//    |  ^                   |                                 |
//    |  \---- black hole ---+---------------------------------/
//    \--base is too big--> ERROR (until the caller begins anew)
//
// A probe that is too big does not come back, nor does one that was lost by chance, so PMTU_TRIES
// of a size must be lost, and each loss counts only if something smaller came through meanwhile: a
// path that is silent tells nothing. So each probe has a second one at its side, of the floor's
// size, as a path with too much to carry prefers what is small; beside one of the floor's size it
// is bare.
//
// Owner: one thread. Times are monotonic ns.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	PMTU_TRIES = 3,
	PMTU_BASE_TRIES = 12, // of the floor, before the path is given up: 15 s ...
	PMTU_LOST_TRIES = 20, // ... and 31 s where it had passed before
	PMTU_GAP_MS = 50, // between two of them, then twice as long; a full queue is no path MTU
	PMTU_GAP_MAX_MS = 2000,
	PMTU_STEP = 8, // the search ends this near to what is too big
	PMTU_RAISE_S = 600, // then a larger one is tried again
	PMTU_SUSPECT_GAP_MS = 1000, // between two confirmations
	PMTU_SILENT_MAX_MS = 10000, // between two probes into silence
	PMTU_SILENT_TRIES = 4, // into silence, then it is asked if the path is there at all
};

enum pmtu_state { PMTU_FIXED, PMTU_BASE, PMTU_SEARCHING, PMTU_COMPLETE, PMTU_ERROR };

// Open for its fields, which are the caller's to read; all are written here only.
struct pmtu {
	uint64_t due_ns; // when pmtu_next() may have something; UINT64_MAX: never
	uint64_t raise_ns;
	uint64_t suspect_ns; // no confirmation before
	uint16_t mtu; // what the path carries, as far as it is known
	uint16_t floor;
	uint16_t max; // nothing larger is tried
	uint32_t too_big; // the least size that does not pass; max + 1: none is known
	uint16_t probe; // size that is being tried, 0: none
	uint8_t state; // enum pmtu_state
	uint8_t tries; // of it, lost
	uint8_t silent; // of it, of which nothing is known
	bool waiting; // for the fate of the last one
	bool heard; // something smaller came through since
	bool confirm; // is mtu still carried?
	bool proven; // the floor passed once
	bool careful; // one step up first: most paths are what they were
	uint32_t n_lost, n_black_holes; // probes that were; times that mtu fell
};

// floor: what every path must carry, 64..65535; a max below it takes its place.
void pmtu_init(struct pmtu *p, uint16_t floor, uint16_t max, uint64_t now_ns);
// No search: the operator knows.
void pmtu_init_fixed(struct pmtu *p, uint16_t mtu);
// The bound changed: own port, or what the peer takes.
void pmtu_set_max(struct pmtu *p, uint16_t max, uint64_t now_ns);

// The size of a probe that is to be sent now, 0: none. timeout_ns: after which its answer is not to
// be expected any more.
uint16_t pmtu_next(struct pmtu *p, uint64_t timeout_ns, uint64_t now_ns);
// A probe of that size was answered, late or not.
void pmtu_acked(struct pmtu *p, uint16_t size, uint64_t now_ns);
// The last probe was lost, and something that was sent later came through.
void pmtu_lost(struct pmtu *p, uint64_t now_ns);
// The one at the side of the last probe came through: when the time of that is over, it was lost.
void pmtu_heard(struct pmtu *p);
// Large datagrams seem to vanish, or nobody would notice if they did: probe the present size.
void pmtu_suspect(struct pmtu *p, uint64_t now_ns);
