// Ports: the network devices that the node uses, by name. Opens them as well as each device can,
// says in a line what it lacks, and deals queues out to workers. The pools that frames live in are
// here too: one per NUMA node in use, data room for the largest MTU, so that a received frame is
// always one segment. Everything is [main]; workers see only what port_set_bind() wrote to them.
#pragma once

#include "dataplane/rule/reclaim.h"
#include "dataplane/worker/wctx.h"
#include "lib/shm/dpmsg.h"
#include "lib/shm/stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PORT_DEVICE_LEN = 192, // of a device with its arguments, with the final NUL
	PORT_RING_LEN = 1024, // descriptors wanted per queue
	PORT_ERR_MAX = 256, // text of an error, one line
	PORT_MTU_MAX = 9600, // bytes of IP
	PORT_MTU_DEFAULT = 1500,
};

enum port_exception { EXCEPTION_AUTO = 0, EXCEPTION_KERNEL, EXCEPTION_TAP, EXCEPTION_DROP };

// What to open; strings are borrowed for the call.
struct port_ask {
	const char *name; // unique
	const char *device; // "net_af_packet0,iface=veth0", or a PCI address
	const char *kernel_if; // "" = find out
	const char *tap; // name of the exception TAP, "" = "sk-<name>"
	unsigned queues; // wanted, 0 = one per worker
	unsigned mtu; // 0 = the device's own
	// ours, all that an af_xdp port takes from the kernel: [udp_port, udp_port + udp_ports)
	uint16_t udp_port;
	uint16_t udp_ports;
	enum port_exception exception;
};

struct port_set;

// mbufs and bytes of pool memory that n ports and workers will want: for sizing memory before EAL
// starts.
size_t port_pool_mbufs(unsigned n_ports, unsigned n_workers);
size_t port_pool_bytes(unsigned n_ports, unsigned n_workers, unsigned mtu_max, bool small_pages);

// Will the kernel see frames for our UDP port, whatever we do with them (af_packet), or while
// nobody takes them (af_xdp)? Then claim the port (udp_claim.h) before port_set_open().
bool port_kernel_sees(const struct port_ask *ask);

// MTU that a port will have, as far as that can be told before EAL starts.
unsigned port_mtu_guess(const struct port_ask *ask);

// Open and start all ports (n <= DPMSG_MAX_PORTS, TAPs included). sockets[i]: NUMA node of worker
// i. NULL with errno set and one line of text in err, which names port and device. The caller owns
// the result.
struct port_set *port_set_open(const struct port_ask *asks, unsigned n, unsigned n_workers,
	const int *sockets, char err[PORT_ERR_MAX]);
// Capabilities that the ports need from now on, for port_again() and to be closed; a bit for each
// CAP_*.
uint64_t port_set_caps(const struct port_set *s);
// Stops and closes the devices and frees the pools; workers have stopped and gave all mbufs back.
void port_set_close(struct port_set *s);

// Named ports; the TAPs behind them do not count.
unsigned port_set_n(const struct port_set *s);
// Give worker w its pool, queues and exception paths (wctx: pool, rxq, n_rxq, tx[], exception[],
// exception_peer[]), before it is launched.
void port_set_bind(const struct port_set *s, struct wctx *w);
// Its nap_max_ns: at start, and while it runs when a link has got another speed.
void port_set_nap(const struct port_set *s, struct wctx *w);
struct rte_mempool *port_set_pool(const struct port_set *s, int socket);
// Buffers in all pools together.
void port_set_mbufs(const struct port_set *s, uint64_t *total, uint64_t *free_now);

// Port i < port_set_n() as a dump record, link state as last polled.
void port_show(const struct port_set *s, unsigned i, struct evt_port *out);
const char *port_lacks(const struct port_set *s, unsigned i); // "" if nothing
// Look at link state and, where the kernel owns the interface, at the address of port i; true when
// something that EVT_PORT tells has changed.
bool port_poll(struct port_set *s, unsigned i);
// Open port i again when its device died and may be had again: a kernel interface that was deleted
// and made, a memif client whose server ended. Workers leave the port alone meanwhile (ports_away),
// for as long as that fails, which is told once. To be called every now and then. Never blocks but
// for the opening.
enum port_again { PORT_AGAIN_NOT, PORT_AGAIN_DONE, PORT_AGAIN_FAILED };
enum port_again port_again(
	struct port_set *s, unsigned i, struct reclaim *r, uint64_t now_ns, char err[PORT_ERR_MAX]);
// The device's own counters into the statistics block of port i; they go on where a device begins
// anew (memif, with each peer).
void port_stats(struct port_set *s, unsigned i, struct stats_port *out);
// DPDK number -> known? For commands that name a port.
bool port_known(const struct port_set *s, uint16_t dpdk_port);

// "net_af_packet0,iface=x" -> "net_af_packet0"; false when it does not fit. For EAL's lists.
bool port_device_name(const char *device, char *out, size_t cap);
// Value of key=... among the arguments of a vdev; false when it is not there.
bool port_device_arg(const char *device, const char *key, char *out, size_t cap);
bool port_device_is_pci(const char *device);
