// Joining of the PART frames of one datagram-mode hop (rail 3). Sans-I/O: parts are opaque handles
// with an offset and a length; the bytes are never looked at. Bytes that came first stay, a later
// part is trimmed to what it adds, parts may come in any order. What is not whole after one second
// is dropped, and the oldest packet gives way when there is no room. Nothing is allocated: the
// caller gives the memory once. Owned by one thread (the hop's owner worker).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PART_TOTAL_MAX = 65542, // a whole route packet
	PART_SEGS_MAX = 128, // pieces that one packet may consist of: 65542 / 1200 is 55
	PART_LIFE_NS = 1000000000,
};

struct part;

struct part_conf {
	uint16_t n_packets; // incomplete packets at once, 1..4096
	uint16_t n_segs; // pieces in all of them, 1..32000
	uint32_t max_bytes; // lengths of all handles held, PART_TOTAL_MAX at least
};

// take bytes of the handle's part, after the first skip of them. A handle may come more than once;
// when last is set it is not needed after this piece.
struct part_seg {
	void *handle;
	uint16_t skip;
	uint16_t take;
	bool last;
};

struct part_joined {
	uint32_t number;
	uint32_t total;
	uint16_t n;
	struct part_seg seg[PART_SEGS_MAX]; // in order; the sum of take is total
};

enum part_verdict {
	PART_HELD = 0, // the handle is ours now
	PART_WHOLE = 1, // *out has the packet; its handles and this one are the caller's again
	PART_REFUSED = 2, // adds nothing or has no room: the handle stays the caller's
};

struct part_stats {
	uint64_t expired; // packets dropped after PART_LIFE_NS
	uint64_t evicted; // packets that gave way to newer ones
	uint64_t duplicate; // parts that added nothing
	uint64_t no_room; // parts that could not be held even so
};

// Bytes of memory for that configuration (8-byte aligned), 0 when it is out of range.
size_t part_mem_size(const struct part_conf *conf);

// mem of part_mem_size() bytes stays the caller's; NULL when conf is out of range.
struct part *part_init(void *mem, const struct part_conf *conf);

// One part. Returns enum part_verdict, or -EPROTO (CLOSE protocol; the handle stays the caller's):
// length 0, offset + len > total, total > PART_TOTAL_MAX, or another total than before.
// now_ns must not go back. Handles may become due: drain part_reap() after each call.
int part_add(struct part *p, uint32_t number, uint32_t total, uint32_t offset, uint32_t len,
	void *handle, uint64_t now_ns, struct part_joined *out);

// The oldest packet but `number` becomes due for part_reap; false: there is none.
bool part_give_way(struct part *p, uint32_t number);

// Next handle that the caller must free (expired or evicted), NULL when there is none. To be called
// until NULL after part_add, and now and then while part_is_empty() is false.
void *part_reap(struct part *p, uint64_t now_ns);

// Everything held becomes due for part_reap (hop reset or deleted).
void part_flush(struct part *p);

bool part_is_empty(const struct part *p); // nothing held and nothing due
uint32_t part_bytes(const struct part *p);
const struct part_stats *part_stats(const struct part *p);
