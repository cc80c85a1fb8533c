// Devices as the node uses them: found by name, opened with what each can do, described for people
// and for the control plane. Opening happens in two passes, since the pools' data room follows from
// the MTUs that the devices turn out to have. Frames themselves are the workers' business.

#include "dataplane/io/port_priv.h"

#include "lib/base/err.h"

#include <rte_ethdev.h>

#include <ctype.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

// ---- what the kernel says about an interface ----

// One ifreq question; 0 or -errno. The socket is of any kind: it only carries the ioctl.
static int if_ask(const char *name, unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	memset(ifr, 0, sizeof(*ifr));
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", name);
	if (ioctl(fd, request, ifr) < 0)
		err = -errno;
	close(fd);
	return err;
}

unsigned port_if_mtu(const char *name)
{
	struct ifreq ifr;

	return if_ask(name, SIOCGIFMTU, &ifr) == 0 && ifr.ifr_mtu > 0 ? (unsigned)ifr.ifr_mtu : 0;
}

static bool if_running(const char *name)
{
	struct ifreq ifr;

	return if_ask(name, SIOCGIFFLAGS, &ifr) == 0 && (ifr.ifr_flags & IFF_UP) &&
	       (ifr.ifr_flags & IFF_RUNNING);
}

// False when it has none or is gone.
static bool if_mac(const char *name, uint8_t mac[6])
{
	struct ifreq ifr;

	if (if_ask(name, SIOCGIFHWADDR, &ifr) != 0 || ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return false;
	memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
	return true;
}

// ---- device texts ----

// [domain:]bus:device.function, in hexadecimal
bool port_device_is_pci(const char *device)
{
	const char *dot = strchr(device, '.');

	return strspn(device, "0123456789abcdefABCDEF:.") == strlen(device) && dot != NULL &&
	       dot[1] != '\0' && dot[2] == '\0' && strchr(device, ':') != NULL;
}

bool port_device_name(const char *device, char *out, size_t cap)
{
	size_t len = strcspn(device, ",");

	if (len == 0 || len >= cap)
		return false;
	memcpy(out, device, len);
	out[len] = '\0';
	return true;
}

bool port_device_arg(const char *device, const char *key, char *out, size_t cap)
{
	size_t key_len = strlen(key);
	const char *p = strchr(device, ',');

	while (p != NULL) {
		p++;
		if (strncmp(p, key, key_len) == 0 && p[key_len] == '=') {
			size_t len = strcspn(p + key_len + 1, ",");

			if (len >= cap)
				return false;
			memcpy(out, p + key_len + 1, len);
			out[len] = '\0';
			return true;
		}
		p = strchr(p, ',');
	}
	return false;
}

unsigned port_mtu_guess(const struct port_ask *ask)
{
	char ifname[IFNAMSIZ];
	unsigned mtu = ask->mtu;

	if (mtu == 0 && port_device_arg(ask->device, "iface", ifname, sizeof(ifname)))
		mtu = port_if_mtu(ifname);
	if (mtu == 0)
		mtu = PORT_MTU_DEFAULT;
	return mtu > PORT_MTU_MAX ? PORT_MTU_MAX : mtu;
}

// ---- what others ask ----

unsigned port_set_n(const struct port_set *s)
{
	return s->n;
}

const char *port_lacks(const struct port_set *s, unsigned i)
{
	return s->p[i].lacks;
}

bool port_known(const struct port_set *s, uint16_t dpdk_port)
{
	for (unsigned i = 0; i < s->n; i++) {
		if (s->p[i].id == dpdk_port)
			return true;
	}
	return false;
}

// Queue q of the port at place i belongs to worker (i + q) mod n: single-queue ports spread too.
unsigned port_rx_worker(const struct port_set *s, unsigned i, unsigned q)
{
	return (i + q) % s->n_workers;
}

void port_set_bind(const struct port_set *s, struct wctx *w)
{
	w->pool = s->worker_pool[w->id];
	w->n_rxq = 0;
	w->ports_away = &s->away;
	for (unsigned i = 0; i < s->n_all; i++) {
		const struct port *p = &s->p[i];
		struct tx_array *tx = &w->tx[p->id];

		for (unsigned q = 0; q < p->n_rxq; q++) {
			if (port_rx_worker(s, i, q) == w->id && w->n_rxq < ARRAY_LEN(w->rxq))
				w->rxq[w->n_rxq++] =
					(struct rx_queue){.port = p->id, .queue = (uint16_t)q};
		}
		tx->queue = w->id < p->n_txq ? w->id : TX_NO_QUEUE;
		tx->owner = (uint16_t)(w->id % p->n_txq);
		tx->mtu = p->mtu;
		w->exception[p->id] = p->exception;
		w->exception_peer[p->id] = (uint8_t)p->peer;
	}
}

// How long a link takes to fill half of a queue with the shortest frames. One whose speed we don't
// know counts as fast. Other queues are filled by a processor that works on each frame: half of
// their 1024 places and more in 200 us would be 2.5 million frames a second.
static uint32_t half_full_ns(const struct port *p)
{
	enum { FRAME_BITS = (64 + 20) * 8 }; // with what is between two of them

	if (p->speed_mbps == 0)
		return 1;
	return RTE_MAX((uint32_t)((uint64_t)p->n_rxd / 2 * FRAME_BITS * 1000 / p->speed_mbps), 1u);
}

void port_set_nap(const struct port_set *s, struct wctx *w)
{
	uint32_t most = 0;

	for (unsigned i = 0; i < s->n_all; i++) {
		const struct port *p = &s->p[i];

		for (unsigned q = 0; p->driver->wire && q < p->n_rxq; q++)
			if (port_rx_worker(s, i, q) == w->id)
				most = most == 0 ? half_full_ns(p) : RTE_MIN(most, half_full_ns(p));
	}
	atomic_store_explicit(&w->nap_max_ns, most, memory_order_relaxed);
}

void port_show(const struct port_set *s, unsigned i, struct evt_port *out)
{
	const struct port *p = &s->p[i];

	memset(out, 0, sizeof(*out));
	out->h.len = sizeof(*out);
	out->h.type = EVT_PORT;
	snprintf(out->name, sizeof(out->name), "%s", p->name);
	// shown only: what does not fit is cut
	snprintf(out->device, sizeof(out->device), "%.63s", p->device);
	snprintf(out->kernel_if, sizeof(out->kernel_if), "%s", p->kernel_if);
	snprintf(out->lacks, sizeof(out->lacks), "%s", p->lacks);
	out->port = p->id;
	out->mtu = p->mtu;
	memcpy(out->mac, p->mac, sizeof(out->mac));
	out->link_up = p->link_up;
	out->exception = p->exception;
	out->n_rxq = p->n_rxq;
	out->n_txq = p->n_txq;
	out->speed_mbps = p->speed_mbps;
	out->socket = p->socket;
}

bool port_poll(struct port_set *s, unsigned i)
{
	struct port *p = &s->p[i];
	struct rte_eth_link link;
	bool up = false;
	uint32_t speed = 0;
	uint8_t mac[6];

	memcpy(mac, p->mac, sizeof(mac));
	if (p->started && rte_eth_link_get_nowait(p->id, &link) == 0) {
		up = link.link_status == RTE_ETH_LINK_UP;
		if (link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN)
			speed = link.link_speed;
	}
	// these drivers tell what they assume, the kernel knows
	if (p->kernel_backed)
		up = p->ifindex != 0 && if_running(p->kernel_dev);
	if (p->kernel_backed && p->exception == PORT_KERNEL_COPY)
		if_mac(p->kernel_dev, mac);
	if (up == p->link_up && speed == p->speed_mbps && memcmp(mac, p->mac, sizeof(mac)) == 0)
		return false;
	// on failure the program goes on with the old address, and the kernel has our frames
	if (p->xdp && memcmp(mac, p->mac, sizeof(mac)) != 0)
		xdp_arm_again(p->xdp_fd, p->udp, mac);
	memcpy(p->mac, mac, sizeof(mac));
	p->link_up = up;
	p->speed_mbps = speed;
	return true;
}

void port_stats(struct port_set *s, unsigned i, struct stats_port *out)
{
	struct port *p = &s->p[i];
	struct rte_eth_stats st;
	uint64_t now[P_COUNT] = {0};

	if (!p->started || rte_eth_stats_get(p->id, &st) != 0)
		return;
	for (unsigned k = 0; k < p->n_socks; k++) {
		dev_socket_ask(&p->socks[k]);
		st.imissed += p->socks[k].rx_full;
		st.oerrors += p->socks[k].tx_refused;
	}
	now[P_port_rx_frames] = st.ipackets;
	now[P_port_tx_frames] = st.opackets;
	now[P_port_rx_bytes] = st.ibytes;
	now[P_port_tx_bytes] = st.obytes;
	now[P_port_rx_missed] = st.imissed;
	now[P_port_rx_errors] = st.ierrors;
	now[P_port_tx_errors] = st.oerrors;
	now[P_port_rx_nombuf] = st.rx_nombuf;
	for (unsigned k = 0; k < P_COUNT; k++) {
		p->total[k] += now[k] >= p->counted[k] ? now[k] - p->counted[k] : now[k];
		p->counted[k] = now[k];
		atomic_store_explicit(&out->c[k], p->total[k], memory_order_relaxed);
	}
}
