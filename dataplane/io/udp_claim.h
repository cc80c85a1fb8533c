// Keeps the kernel quiet about our UDP port where it sees its own copy of our frames (af_packet):
// sockets that take every datagram for the port and throw it away before it costs a buffer, so that
// nobody is told "port unreachable".
#pragma once

#include <stdint.h>

struct udp_claim {
	int fd4;
	int fd6; // -1 where there is no IPv6
};

// [main] 0, or -errno; -EADDRINUSE: another program has the port.
int udp_claim_open(struct udp_claim *c, uint16_t port);
void udp_claim_close(struct udp_claim *c);
