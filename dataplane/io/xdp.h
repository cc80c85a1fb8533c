// The XDP program of our own for an af_xdp port: hands our UDP ports to the socket and leaves the
// interface to the kernel (xdp_filter.bpf.c). DPDK's driver attaches it, with its sockets, and
// takes it off when the device is closed; what the driver does not do is here: see that nobody
// else's program is there, take away what a killed data plane left, arm the program, count the
// interface's queues and the frames that its sockets had no room for. All [main].
//
// Capabilities: the first opening may have to look at a program by its id, which takes
// CAP_SYS_ADMIN. From then on XDP_CAPS do: to load and attach the program, to make sockets, to lock
// their memory, should the interface have to be opened again; and, to take the program off at the
// end, CAP_NET_ADMIN.
#pragma once

#include "dataplane/io/xdp_match.h"

#include <stddef.h>
#include <stdint.h>

enum {
	XDP_WHY_MAX = 192,
	// Descriptors of a queue. The driver gives the kernel 2048 buffers whatever it is asked
	// for, and a worker that had its processor taken wants room for each of them.
	XDP_RING_LEN = 2048,
};

// CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_BPF
#define XDP_CAPS (1ull << 12 | 1ull << 13 | 1ull << 14 | 1ull << 39)

// UDP ports [port, port + n).
struct xdp_range {
	uint16_t port; // host order
	uint16_t n;
};

// Make room for an XDP program on an interface. A program of ours whose data plane died is removed;
// one that is in use, or somebody else's, is left alone and refused. The caller has claimed
// all of `ours` (udp_claim.h), so nobody else uses those. `sharing`: not our program will be
// attached but libxdp's, which sockets share, so that one may be there. 0, or -errno and a line in
// why.
int xdp_make_room(const char *ifname, struct xdp_range ours, bool sharing, char why[XDP_WHY_MAX]);
// Does the kernel take our program from us? As above.
int xdp_try_load(char why[XDP_WHY_MAX]);

// A descriptor of the program as an ELF object, for the driver's xdp_prog=/proc/self/fd/N; the
// caller closes it once the queues are set up. -errno on failure.
int xdp_object_open(void);
// The same bytes.
const uint8_t *xdp_object(size_t *len);

// From now on the attached program takes what is ours. Returns a descriptor of its map, which the
// caller closes; *native: it runs in the driver, not behind it on the kernel's buffers (generic
// mode). -errno, -ENOENT when our program is not there.
int xdp_arm(const char *ifname, struct xdp_range ours, const uint8_t mac[6], bool *native);
// The interface has another address; map_fd is xdp_arm()'s. 0 or -errno.
int xdp_arm_again(int map_fd, struct xdp_range ours, const uint8_t mac[6]);

// Receive queues of an interface: *served, those that the driver can serve, and *all. Both 1 where
// the interface does not tell.
void xdp_queues(const char *ifname, unsigned *served, unsigned *all);
