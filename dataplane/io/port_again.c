// Devices that die while the node runs and come back. A kernel interface that is deleted takes the
// driver's sockets with it, and one of the same name that is made later is another; a memif client
// dials its server once. Both are seen by looking, as link state is. What becomes of the addresses
// and routes of an interface is the kernel's and the control plane's affair, not ours.

#include "dataplane/io/port_priv.h"

#include <rte_ethdev.h>
#include <rte_mempool.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define AGAIN_NS (1000ull * 1000 * 1000) // between two attempts

static bool memif_is_down(const struct port *p)
{
	struct rte_eth_link link;

	return !p->started || (rte_eth_link_get_nowait(p->id, &link) == 0 &&
				      link.link_status == RTE_ETH_LINK_DOWN);
}

// Dead, and worth an attempt. Devices that EAL's arguments made are not ours to make again.
static bool may_come_back(struct port *p)
{
	unsigned ifindex;

	if (port_is_memif_client(p))
		return memif_is_down(p);
	if (!p->kernel_backed || (p->started && !p->probed))
		return false;
	ifindex = if_nametoindex(p->kernel_dev);
	if (ifindex == 0)
		p->ifindex = 0;
	return ifindex != 0 && ifindex != p->ifindex;
}

static int dial(struct port *p)
{
	if (p->started)
		rte_eth_dev_stop(p->id);
	p->started = rte_eth_dev_start(p->id) == 0;
	return p->started ? 0 : -ENOTCONN;
}

// The driver never gives back the buffers that it gave the kernel.
static int xdp_has_buffers(const struct port_set *s, const struct port *p, char *err)
{
	for (unsigned i = 0; p->driver->xdp && i < s->n_pools; i++) {
		if (rte_mempool_avail_count(s->pool[i]) >= s->pool[i]->size / 2)
			continue;
		snprintf(err, PORT_ERR_MAX,
			"port %s: too few buffers are left to open %s once more: restart", p->name,
			p->kernel_dev);
		return -ENOBUFS;
	}
	return 0;
}

enum port_again port_again(
	struct port_set *s, unsigned i, struct reclaim *r, uint64_t now_ns, char err[PORT_ERR_MAX])
{
	struct port *p = &s->p[i];
	const uint32_t bit = 1u << p->id;
	bool told;
	int rc;

	if (!p->leaving) {
		if (now_ns < p->again_ns || !may_come_back(p))
			return PORT_AGAIN_NOT;
		atomic_fetch_or_explicit(&s->away, bit, memory_order_relaxed);
		p->token = reclaim_start(r);
		p->leaving = true;
	}
	if (!reclaim_done(r, p->token))
		return PORT_AGAIN_NOT;
	p->leaving = false;
	p->again_ns = now_ns + AGAIN_NS;
	if (port_is_memif_client(p)) {
		if (dial(p) == 0)
			atomic_fetch_and_explicit(&s->away, ~bit, memory_order_relaxed);
		return PORT_AGAIN_NOT; // the link tells when somebody answers
	}
	told = p->again_failed;
	rc = xdp_has_buffers(s, p, err);
	rc = rc == 0 ? port_reopen(s, i, err) : rc;
	p->again_failed = rc < 0;
	if (rc < 0)
		return told ? PORT_AGAIN_NOT : PORT_AGAIN_FAILED;
	atomic_fetch_and_explicit(&s->away, ~bit, memory_order_relaxed);
	return PORT_AGAIN_DONE;
}
