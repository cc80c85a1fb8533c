// Opening of the devices: find or make each, ask what it can do, take the most of what was wanted,
// and put a TAP beside those whose frames the kernel would not see otherwise; af_xdp gets our own
// XDP program instead (xdp.h). What a device lacks ends up in one line of text; only a device that
// is not there, or that refuses to start, is an error.

#include "dataplane/io/port_priv.h"

#include "lib/base/err.h"
#include "lib/shm/region.h"

#include <rte_dev.h>
#include <rte_ethdev.h>

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct port_driver drivers[] = {
	{"net_af_packet", PORT_KERNEL_COPY, true, true, true, false, AF_PACKET, false, "qpairs"},
	{"net_af_xdp", PORT_KERNEL_COPY, true, true, true, true, AF_XDP, false, "queue_count"},
	{"net_pcap", PORT_KERNEL_COPY, true, false, false, false, 0, false, NULL},
	{"net_tap", PORT_DROP, false, true, true, false, 0, false, NULL},
	{"net_memif", PORT_DROP, false, false, false, false, 0, false, NULL},
	{"net_null", PORT_DROP, false, false, false, false, 0, false, NULL},
	{"net_ring", PORT_DROP, false, false, false, false, 0, false, NULL},
	{"net_vhost", PORT_DROP, false, false, false, false, 0, false, NULL},
	{"net_virtio_user", PORT_DROP, false, false, false, false, 0, false, NULL},
};
// whatever is not listed: a NIC that DPDK owns
static const struct port_driver bound_nic = {
	"", PORT_TAP, false, false, false, false, 0, true, NULL};

struct opener {
	struct port_set *s;
	unsigned n_workers;
	char *err;
};

__attribute__((format(printf, 3, 4))) static int fail(
	const struct opener *o, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(o->err, PORT_ERR_MAX, fmt, ap);
	va_end(ap);
	return err < 0 ? err : -EIO;
}

__attribute__((format(printf, 2, 3))) static void lacks(struct port *p, const char *fmt, ...)
{
	size_t at = strlen(p->lacks);
	va_list ap;

	if (at > 0 && at + 3 < sizeof(p->lacks))
		at += (size_t)snprintf(p->lacks + at, sizeof(p->lacks) - at, ", ");
	va_start(ap, fmt);
	vsnprintf(p->lacks + at, sizeof(p->lacks) - at, fmt, ap);
	va_end(ap);
}

static const struct port_driver *driver_of(const char *device)
{
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
		if (strncmp(device, drivers[i].name, strlen(drivers[i].name)) == 0)
			return &drivers[i];
	}
	return &bound_nic;
}

bool port_kernel_sees(const struct port_ask *ask)
{
	const struct port_driver *d = driver_of(ask->device);

	return d->exception == PORT_KERNEL_COPY &&
	       (!d->xdp || ask->exception == EXCEPTION_AUTO || ask->exception == EXCEPTION_KERNEL);
}

// ---- find or make the device ----

// af_packet drops frames longer than its slots, which hold the kernel's header too, wants buffers
// (data_room() in port.c) of their size, and whole slots in whole pages. Its 512 slots are too few
// for a worker that slept, or had its processor taken, while a burst came.
static void packet_ring_args(unsigned mtu, char *out, size_t cap)
{
	if (mtu <= 1900)
		snprintf(out, cap, ",framecnt=4096");
	else
		snprintf(out, cap, ",framesz=%u,blocksz=%u,framecnt=1024", port_frame_room(mtu),
			port_frame_room(mtu) * 16);
}

// What rte_dev_probe() gets: the device as configured, and what follows from queues and MTU where
// its driver wants that said beforehand.
static void probe_args(
	const struct port *p, const struct port_ask *ask, unsigned n_workers, char *out, size_t cap)
{
	unsigned queues = ask->queues != 0 && ask->queues < n_workers ? ask->queues : n_workers;
	unsigned served = queues, all;
	char value[IFNAMSIZ];
	size_t at = (size_t)snprintf(out, cap, "%s", ask->device);

	if (p->driver->xdp && port_device_arg(ask->device, "iface", value, sizeof(value)))
		xdp_queues(value, &served, &all);
	if (queues > served) // more would be refused
		queues = served;
	if (p->driver->queues_arg != NULL && queues > 1 &&
		!port_device_arg(ask->device, p->driver->queues_arg, value, sizeof(value)))
		at += (size_t)snprintf(out + at, cap - at, ",%s=%u", p->driver->queues_arg, queues);
	if (strcmp(p->driver->name, "net_af_packet") == 0 &&
		!port_device_arg(ask->device, "framesz", value, sizeof(value)) &&
		!port_device_arg(ask->device, "framecnt", value, sizeof(value)))
		packet_ring_args(port_mtu_guess(ask), out + at, cap - at);
	if (p->xdp)
		snprintf(out + at, cap - at, ",xdp_prog=/proc/self/fd/%d", p->xdp_fd);
}

// Not where the user has a program of his own, or does not want the kernel to have the rest.
static bool xdp_is_wanted(const struct port_driver *d, const struct port_ask *ask)
{
	char value[PORT_DEVICE_LEN];

	return d->xdp && (ask->exception == EXCEPTION_AUTO || ask->exception == EXCEPTION_KERNEL) &&
	       !port_device_arg(ask->device, "xdp_prog", value, sizeof(value));
}

// Whoever closes the device takes off whatever program is there: so be alone before it is made.
static int xdp_prepare(
	struct opener *o, struct port *p, const struct port_ask *ask, const char *ifname)
{
	char why[XDP_WHY_MAX] = "";
	bool wanted = xdp_is_wanted(p->driver, ask);
	bool sharing = ask->exception == EXCEPTION_TAP || ask->exception == EXCEPTION_DROP;
	int rc = xdp_make_room(ifname, p->udp, sharing, why);

	if (rc == 0 && wanted)
		rc = xdp_try_load(why);
	if (rc < 0)
		return fail(o, rc, "port %s: %s; net_af_packet0,iface=%s needs no XDP", p->name,
			why, ifname);
	if (!wanted)
		return 0;
	p->xdp_fd = xdp_object_open();
	if (p->xdp_fd < 0)
		return fail(o, p->xdp_fd, "port %s: no memory for its XDP program: %s", p->name,
			strerror(-p->xdp_fd));
	p->xdp = true;
	return 0;
}

static bool memif_serves(const char *device)
{
	char role[8];

	return port_device_arg(device, "role", role, sizeof(role)) &&
	       (strcmp(role, "server") == 0 || strcmp(role, "master") == 0);
}

bool port_is_memif_client(const struct port *p)
{
	return strcmp(p->driver->name, "net_memif") == 0 && !memif_serves(p->device);
}

// The driver leaves its socket behind when killed, and then finds it in its way. A live one is its
// affair: several ports of ours may share it.
static void memif_make_room(const char *device)
{
	char abstract[4], path[PORT_DEVICE_LEN];

	if (memif_serves(device) &&
		port_device_arg(device, "socket-abstract", abstract, sizeof(abstract)) &&
		strcmp(abstract, "no") == 0 &&
		port_device_arg(device, "socket", path, sizeof(path)))
		region_stale_remove(path);
}

static int find(struct opener *o, struct port *p, const struct port_ask *ask)
{
	char args[256], why[DPMSG_TEXT_LEN + 64] = "";
	char ifname[IFNAMSIZ];
	int rc;

	p->driver = driver_of(ask->device);
	p->ask_exception = ask->exception;
	p->ask_queues = ask->queues;
	snprintf(p->ask_if, sizeof(p->ask_if), "%s", ask->kernel_if);
	p->udp = (struct xdp_range){.port = ask->udp_port, .n = ask->udp_ports};
	snprintf(p->name, sizeof(p->name), "%s", ask->name);
	snprintf(p->device, sizeof(p->device), "%s", ask->device);
	if (!port_device_name(ask->device, p->dev_name, sizeof(p->dev_name)))
		return fail(o, -EINVAL, "port %s: device %s: not a device", ask->name, ask->device);
	if (rte_eth_dev_get_port_by_name(p->dev_name, &p->id) == 0)
		return 0;
	if (port_device_is_pci(ask->device))
		return fail(o, -ENODEV,
			"port %s: no device %s: is it bound to vfio-pci (dpdk-devbind.py -s)?",
			ask->name, ask->device);
	if (p->driver->kernel_backed &&
		port_device_arg(ask->device, "iface", ifname, sizeof(ifname)) &&
		if_nametoindex(ifname) == 0)
		return fail(o, -ENODEV,
			"port %s: device %s: no interface %s in this network namespace", ask->name,
			ask->device, ifname);
	if (p->driver->xdp && port_device_arg(ask->device, "iface", ifname, sizeof(ifname))) {
		rc = xdp_prepare(o, p, ask, ifname);
		if (rc < 0)
			return rc;
	}
	if (strcmp(p->driver->name, "net_memif") == 0)
		memif_make_room(ask->device);
	probe_args(p, ask, o->n_workers, args, sizeof(args));
	rc = rte_dev_probe(args);
	if (rc < 0 || rte_eth_dev_get_port_by_name(p->dev_name, &p->id) != 0) {
		if (if_nametoindex(ask->device) != 0)
			snprintf(why, sizeof(why), " (an interface is net_af_packet0,iface=%s)",
				ask->device);
		else if (p->driver == &bound_nic)
			snprintf(why, sizeof(why), " (no driver of this name?)");
		return fail(o, rc, "port %s: device %s does not start: %s%s", ask->name,
			ask->device, rc < 0 ? strerror(-rc) : "made no port", why);
	}
	p->probed = true;
	return 0;
}

// ---- what it can do ----

// The largest MTU that the device admits, from the frame length if it names no MTU.
static unsigned mtu_limit(const struct rte_eth_dev_info *info)
{
	unsigned overhead = 18; // Ethernet and check sum

	if (info->max_mtu != UINT16_MAX && info->max_rx_pktlen > info->max_mtu)
		overhead = info->max_rx_pktlen - info->max_mtu;
	if (info->max_rx_pktlen > overhead && info->max_rx_pktlen - overhead < info->max_mtu)
		return info->max_rx_pktlen - overhead;
	return info->max_mtu;
}

static void mtu_choose(struct port *p, const struct port_ask *ask, unsigned limit)
{
	unsigned mtu = port_mtu_guess(ask);
	unsigned kernel = p->kernel_dev[0] != '\0' ? port_if_mtu(p->kernel_dev) : 0;

	// the kernel's interface is the kernel's: its MTU is taken, not changed
	if (kernel != 0)
		limit = kernel;
	if (mtu > limit) {
		if (ask->mtu != 0)
			lacks(p, "mtu %u of %u", limit, mtu);
		mtu = limit;
	}
	p->mtu = (uint16_t)mtu;
}

static void queues_choose(struct port *p, const struct port_ask *ask,
	const struct rte_eth_dev_info *info, unsigned n_workers)
{
	unsigned rx = ask->queues != 0 ? ask->queues : n_workers, tx = n_workers;

	if (rx > n_workers) { // a worker polls one of each port; nobody would poll the rest
		lacks(p, "%u of %u rx queues: there are no more workers", n_workers, rx);
		rx = n_workers;
	}
	if (rx > info->max_rx_queues) {
		lacks(p, "%u of %u rx queues", info->max_rx_queues, rx);
		rx = info->max_rx_queues;
	}
	if (tx > info->max_tx_queues) {
		lacks(p, "%u of %u tx queues", info->max_tx_queues, tx);
		tx = info->max_tx_queues;
	}
	if (p->driver->pairs)
		rx = tx = rx < tx ? rx : tx;
	if (p->driver->xdp && p->kernel_backed) {
		unsigned served, all;

		// what comes there stays with the kernel, which has no use for it
		xdp_queues(p->kernel_dev, &served, &all);
		if (all > rx)
			lacks(p, "%u of %u queues: see ethtool -L %s", all - rx, all,
				p->kernel_dev);
	}
	p->n_rxq = (uint16_t)rx;
	p->n_txq = (uint16_t)tx;
}

static void exception_choose(struct port *p, const struct port_ask *ask)
{
	static const uint8_t by_ask[] = {[EXCEPTION_KERNEL] = PORT_KERNEL_COPY,
		[EXCEPTION_TAP] = PORT_TAP,
		[EXCEPTION_DROP] = PORT_DROP};

	p->exception =
		ask->exception == EXCEPTION_AUTO ? p->driver->exception : by_ask[ask->exception];
	// made by EAL's own arguments, with the driver's own program, which takes every frame
	if (ask->exception == EXCEPTION_AUTO && xdp_is_wanted(p->driver, ask) && !p->xdp)
		p->exception = PORT_TAP;
	if (ask->kernel_if[0] != '\0')
		snprintf(p->kernel_if, sizeof(p->kernel_if), "%s", ask->kernel_if);
	else if (p->exception != PORT_TAP)
		snprintf(p->kernel_if, sizeof(p->kernel_if), "%s", p->kernel_dev);
}

static void settings(struct port *p, const struct port_ask *ask,
	const struct rte_eth_dev_info *info, struct rte_eth_conf *conf)
{
	uint64_t rss = info->flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP);
	unsigned limit = mtu_limit(info);

	memset(conf, 0, sizeof(*conf));
	mtu_choose(p, ask, limit);
	conf->rxmode.mtu = p->mtu < limit ? p->mtu : limit;
	if (conf->rxmode.mtu < info->min_mtu)
		conf->rxmode.mtu = info->min_mtu;
	if (p->n_rxq > 1 && rss != 0) {
		conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf->rx_adv_conf.rss_conf.rss_hf = rss;
	} else if (p->n_rxq > 1 && !p->driver->spreads) {
		lacks(p, "RSS");
	}
}

static int configure(struct opener *o, struct port *p, const struct port_ask *ask)
{
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	struct rte_eth_conf conf;
	int rc = rte_eth_dev_info_get(p->id, &info);

	if (rc < 0)
		return fail(o, rc, "port %s: device %s tells nothing about itself: %s", p->name,
			p->device, strerror(-rc));
	if (p->id >= DPMSG_MAX_PORTS || info.max_rx_queues == 0 || info.max_tx_queues == 0)
		return fail(o, -ENOTSUP, "port %s: device %s: %s", p->name, p->device,
			p->id >= DPMSG_MAX_PORTS ? "too many devices" : "can't send and receive");
	p->kernel_backed =
		p->driver->kernel_backed &&
		port_device_arg(p->device, "iface", p->kernel_dev, sizeof(p->kernel_dev));
	exception_choose(p, ask);
	queues_choose(p, ask, &info, o->n_workers);
	settings(p, ask, &info, &conf);
	rc = rte_eth_dev_configure(p->id, p->n_rxq, p->n_txq, &conf);
	if (rc < 0)
		return fail(o, rc, "port %s: device %s refuses %u+%u queues, mtu %u: %s", p->name,
			p->device, p->n_rxq, p->n_txq, conf.rxmode.mtu, strerror(-rc));
	if (rte_eth_macaddr_get(p->id, &mac) == 0)
		memcpy(p->mac, mac.addr_bytes, sizeof(p->mac));
	p->socket = rte_eth_dev_socket_id(p->id);
	return 0;
}

// The sockets are in their places: frames may come.
static int xdp_start(struct opener *o, struct port *p)
{
	bool native;
	int rc = xdp_arm(p->kernel_dev, p->udp, p->mac, &native);

	if (rc < 0)
		return fail(o, rc, "port %s: can't tell the XDP program of %s our port: %s",
			p->name, p->kernel_dev, strerror(-rc));
	if (!native)
		lacks(p, "XDP in the driver (generic mode)");
	close(p->xdp_fd);
	p->xdp_fd = rc;
	return 0;
}

static bool is_of_another(const struct port_set *s, int fd)
{
	for (unsigned i = 0; i < s->n_all; i++) {
		for (unsigned k = 0; k < s->p[i].n_socks; k++) {
			if (s->p[i].socks[k].fd == fd)
				return true;
		}
	}
	return false;
}

// Ports start one after the other: what no other one has is of this one.
static void sockets_take(const struct port_set *s, struct port *p)
{
	struct dev_socket all[DPMSG_MAX_PORTS * DPMSG_MAX_WORKERS];
	unsigned n =
		dev_sockets(p->driver->domain, if_nametoindex(p->kernel_dev), all, ARRAY_LEN(all));

	for (unsigned i = 0; i < n; i++) {
		if (p->n_socks < ARRAY_LEN(p->socks) && !is_of_another(s, all[i].fd))
			p->socks[p->n_socks++] = all[i];
	}
}

static int start(struct opener *o, unsigned i)
{
	struct port *p = &o->s->p[i];
	const uint16_t len = p->driver->xdp ? XDP_RING_LEN : PORT_RING_LEN;
	uint16_t n_rxd = len, n_txd = len;
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &n_rxd, &n_txd);

	if (rc < 0)
		n_rxd = n_txd = len;
	rc = 0;
	p->n_rxd = n_rxd;
	for (unsigned q = 0; q < p->n_rxq && rc == 0; q++) {
		// buffers near the worker that polls the queue
		unsigned w = port_rx_worker(o->s, i, q);

		rc = rte_eth_rx_queue_setup(
			p->id, (uint16_t)q, n_rxd, (unsigned)p->socket, NULL, o->s->worker_pool[w]);
	}
	for (unsigned q = 0; q < p->n_txq && rc == 0; q++)
		rc = rte_eth_tx_queue_setup(p->id, (uint16_t)q, n_txd, (unsigned)p->socket, NULL);
	if (p->driver->domain != 0)
		sockets_take(o->s, p);
	if (rc < 0 && p->xdp)
		return fail(o, rc,
			"port %s: the driver of %s refuses XDP with this MTU, these queues or "
			"offloads; net_af_packet0,iface=%s needs no XDP",
			p->name, p->kernel_dev, p->kernel_dev);
	if (rc < 0)
		return fail(o, rc, "port %s: device %s refuses its queues: %s", p->name, p->device,
			strerror(-rc));
	rc = rte_eth_dev_start(p->id);
	if (rc < 0 && port_is_memif_client(p)) { // nobody serves yet: port_again() dials
		atomic_fetch_or_explicit(&o->s->away, 1u << p->id, memory_order_relaxed);
		return 0;
	}
	if (rc < 0)
		return fail(o, rc, "port %s: device %s does not start: %s", p->name, p->device,
			strerror(-rc));
	p->started = true;
	if (p->kernel_backed)
		p->ifindex = if_nametoindex(p->kernel_dev);
	return p->xdp ? xdp_start(o, p) : 0;
}

// ---- the TAP beside a device ----

static int tap_find(struct opener *o, struct port *phys, const struct port_ask *ask)
{
	struct port *tap = &o->s->p[o->s->n_all];
	struct rte_eth_conf conf = {.rxmode.mtu = phys->mtu};
	const uint8_t *m = phys->mac;
	char ifname[IFNAMSIZ], args[256];
	int rc;

	if (o->s->n_all == DPMSG_MAX_PORTS)
		return fail(o, -E2BIG, "port %s: no room for its TAP: too many ports", phys->name);
	snprintf(ifname, sizeof(ifname), "sk-%.12s", phys->name);
	if (ask->tap[0] != '\0')
		snprintf(ifname, sizeof(ifname), "%s", ask->tap);
	snprintf(tap->dev_name, sizeof(tap->dev_name), "net_tap_sk%u", o->s->n_all);
	snprintf(args, sizeof(args), "%s,iface=%s,mac=%02x:%02x:%02x:%02x:%02x:%02x", tap->dev_name,
		ifname, m[0], m[1], m[2], m[3], m[4], m[5]);
	rc = rte_dev_probe(args);
	if (rc < 0 || rte_eth_dev_get_port_by_name(tap->dev_name, &tap->id) != 0)
		return fail(o, rc < 0 ? rc : -ENODEV,
			"port %s: can't make TAP %s for frames that are not ours: %s", phys->name,
			ifname, rc < 0 ? strerror(-rc) : "no device");
	o->s->n_all++;
	tap->probed = true;
	tap->driver = driver_of("net_tap");
	snprintf(tap->name, sizeof(tap->name), "%.27s-tap", phys->name);
	snprintf(tap->device, sizeof(tap->device), "net_tap,iface=%s", ifname);
	tap->mtu = phys->mtu;
	tap->n_rxq = tap->n_txq = 1;
	tap->exception = PORT_IS_TAP;
	tap->peer = phys->id;
	tap->socket = phys->socket;
	phys->peer = tap->id;
	if (phys->kernel_if[0] == '\0')
		snprintf(phys->kernel_if, sizeof(phys->kernel_if), "%s", ifname);
	if (tap->id >= DPMSG_MAX_PORTS)
		return fail(o, -E2BIG, "port %s: no room for its TAP: too many ports", phys->name);
	rc = rte_eth_dev_configure(tap->id, 1, 1, &conf);
	if (rc < 0)
		return fail(o, rc, "port %s: TAP %s refuses mtu %u: %s", phys->name, ifname,
			phys->mtu, strerror(-rc));
	rte_eth_dev_set_mtu(tap->id, phys->mtu);
	return 0;
}

// ---- all of them ----

static int open_all(struct opener *o, const struct port_ask *asks, unsigned n, const int *sockets)
{
	struct port_set *s = o->s;
	int rc = 0;

	for (unsigned i = 0; i < n; i++) {
		s->n = s->n_all = i + 1;
		rc = find(o, &s->p[i], &asks[i]);
		if (rc == 0)
			rc = configure(o, &s->p[i], &asks[i]);
		if (rc < 0)
			return rc;
	}
	for (unsigned i = 0; i < n && rc == 0; i++) {
		if (s->p[i].exception == PORT_TAP)
			rc = tap_find(o, &s->p[i], &asks[i]);
	}
	if (rc < 0)
		return rc;
	rc = port_pools_make(s, n, o->n_workers, sockets);
	if (rc < 0)
		return fail(o, rc,
			"no memory for %zu frame buffers: free memory or hugepages, or a greater "
			"`memory`",
			port_pool_mbufs(n, o->n_workers));
	for (unsigned i = 0; i < s->n_all && rc == 0; i++)
		rc = start(o, i);
	for (unsigned i = 0; i < s->n && rc == 0; i++)
		port_poll(s, i);
	return rc;
}

struct port_set *port_set_open(const struct port_ask *asks, unsigned n, unsigned n_workers,
	const int *sockets, char err[PORT_ERR_MAX])
{
	struct opener o = {.n_workers = n_workers, .err = err};
	int rc;

	if (n > DPMSG_MAX_PORTS || n_workers == 0 || n_workers > DPMSG_MAX_WORKERS) {
		snprintf(err, PORT_ERR_MAX, "%u ports and %u workers: too many", n, n_workers);
		return errno_null(EINVAL);
	}
	o.s = calloc(1, sizeof(*o.s));
	if (o.s == NULL) {
		snprintf(err, PORT_ERR_MAX, "out of memory");
		return errno_null(ENOMEM);
	}
	o.s->n_workers = n_workers;
	rc = open_all(&o, asks, n, sockets);
	if (rc < 0) {
		port_set_close(o.s);
		return errno_null(rc);
	}
	return o.s;
}

static void device_close(struct port *p)
{
	struct rte_eth_dev_info info;

	if (p->xdp && p->xdp_fd >= 0)
		close(p->xdp_fd);
	if (!p->probed) {
		if (p->started)
			rte_eth_dev_close(p->id);
		return;
	}
	// what we made we also remove, so that its name is free again
	if (rte_eth_dev_info_get(p->id, &info) == 0 && info.device != NULL)
		rte_dev_remove(info.device);
}

// Found again under the same number, with as many queues: workers know it by these.
static int open_as_before(struct opener *o, unsigned i, const struct port *old)
{
	struct port *p = &o->s->p[i];
	const struct port_ask ask = {.name = old->name,
		.device = old->device,
		.kernel_if = old->ask_if,
		.tap = "",
		.queues = old->ask_queues,
		.mtu = old->mtu, // buffers are made for that
		.udp_port = old->udp.port,
		.udp_ports = old->udp.n,
		.exception = old->ask_exception};
	int rc = find(o, p, &ask);

	if (rc == 0 && p->id != old->id)
		rc = fail(o, -EBUSY, "port %s: another device has taken its number", p->name);
	if (rc == 0)
		rc = configure(o, p, &ask);
	if (rc == 0 && (p->n_rxq != old->n_rxq || p->n_txq != old->n_txq))
		rc = fail(o, -ENOTSUP, "port %s: %s has other queues than before", p->name,
			p->kernel_dev);
	return rc == 0 ? start(o, i) : rc;
}

int port_reopen(struct port_set *s, unsigned i, char err[PORT_ERR_MAX])
{
	struct opener o = {.s = s, .n_workers = s->n_workers, .err = err};
	struct port *p = &s->p[i], old;
	int rc;

	if (p->started)
		rte_eth_dev_stop(p->id);
	device_close(p);
	p->started = p->probed = p->xdp = false;
	p->n_socks = 0;
	p->ifindex = 0;
	memset(p->counted, 0, sizeof(p->counted));
	old = *p;
	memset(p->lacks, 0, sizeof(p->lacks));
	rc = open_as_before(&o, i, &old);
	if (rc == 0) {
		p->mtu = old.mtu;
		return 0;
	}
	if (p->started)
		rte_eth_dev_stop(p->id);
	device_close(p);
	*p = old;
	return rc;
}

void port_set_close(struct port_set *s)
{
	for (unsigned i = 0; i < s->n_all; i++) {
		if (s->p[i].started)
			rte_eth_dev_stop(s->p[i].id);
	}
	for (unsigned i = s->n_all; i-- > 0;)
		device_close(&s->p[i]);
	for (unsigned i = 0; i < s->n_pools; i++)
		rte_mempool_free(s->pool[i]);
	free(s);
}
