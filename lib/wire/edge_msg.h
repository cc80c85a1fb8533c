// What travels in route DATA packets between two edges besides bare IP packets: a payload whose
// first nibble is no IP version is one of these (docs/design/edge.md). An edge that knows them not
// drops them as what is no IP packet. Integers are big-endian.
//
//   hello   0x01 | flags 1 | takes 1 | 0 1 | max 2 | 0 2        longer ones are cut off after that
//   super   0x02 | 0 1 | segment size 2 | a whole IP packet, longer than the far end's MTU
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	EDGE_MSG_HELLO = 0x01,
	EDGE_MSG_SUPER = 0x02,
	EDGE_HELLO_LEN = 8,
	EDGE_SUPER_HDR_LEN = 4,
	EDGE_HELLO_ASK = 1, // flags: answer with a hello
	EDGE_SUPER_MIN = 2048, // the least `max` that is believed
};

struct edge_hello {
	uint8_t flags; // EDGE_HELLO_*
	uint8_t takes; // GSO_* (lib/link/gso.h): kinds of super-packets
	uint16_t max; // longest payload of a route packet with one
};

// 0 or -EBADMSG; unknown flags and kinds are let through, for the caller to ignore.
int edge_hello_decode(const uint8_t *p, size_t len, struct edge_hello *out);
// EDGE_HELLO_LEN, or -ENOSPC.
ptrdiff_t edge_hello_encode(uint8_t *p, size_t cap, const struct edge_hello *h);
// Segment size of a super-packet's header, or -EBADMSG. The IP packet is behind EDGE_SUPER_HDR_LEN.
int edge_super_decode(const uint8_t *p, size_t len);
void edge_super_put(uint8_t p[EDGE_SUPER_HDR_LEN], uint16_t segment);
