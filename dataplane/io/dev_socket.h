// Sockets of drivers that stand on the kernel's interfaces: what they lost is known to the kernel
// only, and the drivers do not ask. They stay the drivers'. Everything is [main].
#pragma once

#include <dirent.h>
#include <stdint.h>

struct dev_socket {
	int fd;
	int domain; // AF_PACKET or AF_XDP
	uint64_t rx_full; // frames received for which its ring had no room, since it was found
	uint64_t tx_refused; // frames not sent: the kernel does not know their buffers. AF_XDP only
};

// The process's sockets of that domain; of AF_PACKET those bound to the interface, which AF_XDP
// does not tell. Returns how many there are, at most cap.
unsigned dev_sockets(int domain, unsigned ifindex, struct dev_socket *out, unsigned cap);
// Ask the kernel anew. What a socket of AF_PACKET lost is told once: nobody else may ask.
void dev_socket_ask(struct dev_socket *s);
// The next of the process's descriptors in an open /proc/self/fd, or -1. dir may be NULL.
int dev_fd_next(DIR *dir);
