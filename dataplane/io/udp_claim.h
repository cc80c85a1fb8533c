// Keeps the kernel quiet about our UDP ports where it sees its own copy of our frames (af_packet):
// sockets that take every datagram for them and throw it away before it costs a buffer, so that
// nobody is told "port unreachable".
#pragma once

#include <stdint.h>

enum { UDP_CLAIM_PORTS = 32 };

struct udp_claim {
	int fd4[UDP_CLAIM_PORTS];
	int fd6[UDP_CLAIM_PORTS]; // -1 where there is no IPv6
	unsigned n; // that are held
	uint16_t failed; // the port that could not be had
};

// [main] Ports first .. first + n - 1; n <= UDP_CLAIM_PORTS. 0, or -errno, and none is held;
// -EADDRINUSE: another program has port c->failed.
int udp_claim_open(struct udp_claim *c, uint16_t first, unsigned n);
void udp_claim_close(struct udp_claim *c);
