// Inside of io/port: what port.c and port_open.c share.
#pragma once

#include "dataplane/io/dev_socket.h"
#include "dataplane/io/port.h"
#include "dataplane/io/xdp.h"

#include <rte_ethdev.h>

#include <net/if.h>

enum {
	PORT_POOLS_MAX = 8,
	// a slot of af_packet's ring beside the bytes of IP: TPACKET_V2's header and addresses, and
	// Ethernet with a VLAN tag
	PORT_PACKET_SLOT = 96,
};

// Traits of a driver that no query tells.
struct port_driver {
	const char *name; // prefix of the vdev's name
	uint8_t exception; // PORT_* of `auto`
	bool kernel_backed; // "iface=" names a kernel interface: MTU and link are the kernel's
	bool spreads; // queues are filled by the kernel's flow hash, without RSS of DPDK
	bool pairs; // wants as many rx as tx queues
	bool xdp; // takes an XDP program that leaves the rest to the kernel
	int domain; // of its sockets, whose losses only the kernel counts; 0: none
	bool wire; // a link fills its queues, and nothing behind them holds frames
	const char *queues_arg; // devarg that sets the number of queues, or NULL
};

struct port {
	char name[DPMSG_NAME_LEN];
	char device[PORT_DEVICE_LEN];
	char dev_name[DPMSG_TEXT_LEN]; // DPDK's
	char kernel_if[IFNAMSIZ]; // whose addresses count
	char kernel_dev[IFNAMSIZ]; // under the device, "" if none
	char lacks[DPMSG_TEXT_LEN];
	const struct port_driver *driver;
	uint16_t id;
	uint16_t mtu;
	uint16_t n_rxd; // of each queue
	uint16_t n_rxq;
	uint16_t n_txq;
	struct xdp_range udp; // of the ask
	uint16_t peer; // TAP's port number, or the physical one's if this is a TAP
	uint8_t mac[6];
	uint8_t exception; // PORT_*, or PORT_IS_TAP
	bool kernel_backed;
	bool link_up;
	bool started;
	bool probed; // by us: to be removed at the end
	bool xdp; // runs our own XDP program
	int xdp_fd; // its object until the port runs, its map from then on; -1
	struct dev_socket socks[DPMSG_MAX_WORKERS]; // the driver's, one a queue; XDP and af_packet
	unsigned n_socks;
	uint32_t speed_mbps;
	int socket;
	char ask_if[IFNAMSIZ]; // kernel_if, exception and mtu of the ask
	enum port_exception ask_exception;
	unsigned ask_queues;
	unsigned ifindex; // of kernel_dev as opened, 0: it has gone since
	bool leaving; // workers are being waited for,
	uint64_t token; // ... with this
	uint64_t again_ns; // not before
	bool again_failed; // and that was told
	uint64_t counted[P_COUNT]; // what the device said last
	uint64_t total[P_COUNT]; // of all its beginnings
};

struct port_set {
	struct port p[DPMSG_MAX_PORTS]; // named ones first, then their TAPs
	unsigned n;
	unsigned n_all;
	unsigned n_workers;
	_Atomic uint32_t away; // ports that workers must not touch, a bit each
	struct rte_mempool *pool[PORT_POOLS_MAX];
	int pool_socket[PORT_POOLS_MAX];
	unsigned n_pools;
	unsigned n_aside; // buffers in them that nobody gets: port_pool_fit_xdp()
	struct rte_mempool *worker_pool[DPMSG_MAX_WORKERS];
};

// MTU of a kernel interface, 0 when there is none of that name.
unsigned port_if_mtu(const char *name);
// Bytes for a frame of that many bytes of IP, with what devices deliver around it. A multiple of
// 256.
unsigned port_frame_room(unsigned mtu);
// Close what is left of port i and open it as it was asked for, under the same number, with as many
// queues. 0, or -errno with a line in err; it is closed then, and may be tried again.
int port_reopen(struct port_set *s, unsigned i, char err[PORT_ERR_MAX]);
// A memif port that dials: its driver does so once only.
bool port_is_memif_client(const struct port *p);
// One pool for each NUMA node that a worker is on. 0 or -errno.
int port_pools_make(struct port_set *s, unsigned n_asks, unsigned n_workers, const int *sockets);
// Set aside the buffers of a new pool that af_xdp's driver would not share with the kernel. Returns
// how many, or -errno.
int port_pool_fit_xdp(struct rte_mempool *pool);
// The worker that polls queue q of the port at place i.
unsigned port_rx_worker(const struct port_set *s, unsigned i, unsigned q);
