// What an edge gets by its route: IP packets and super-packets into the device, hellos, the Close.
// Packets of one flow that come in a burst are joined before the kernel gets them, so that its
// stack does its work once for all of them. Everything is checked here: what a far end sends may be
// dropped, but it never makes a virtio-net header that lies.
#include "controlplane/app/edge_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

enum { HDR_MAX = 128 }; // of a super-packet: 40 and 60 bytes at most

// n packets of `bytes` in all, as one write.
static void put(struct edge *e, const struct iovec *v, int n_v, uint64_t n, uint64_t bytes)
{
	size_t len = 0;
	ssize_t rc;

	for (int i = 0; i < n_v; i++)
		len += v[i].iov_len;
	rc = writev(e->fd, v, n_v);
	if (rc == (ssize_t)len) {
		e->count.in_packets += n;
		e->count.in_bytes += bytes;
	} else if (rc < 0 && (errno == EINVAL || errno == EMSGSIZE)) {
		e->count.in_refused += n;
	} else {
		e->count.drop_in_full += n;
	}
}

static void put_plain(struct edge *e, const uint8_t *p, size_t len)
{
	struct gso_vnet none = {0};
	struct iovec v[2] = {{&none, sizeof(none)}, {(void *)(uintptr_t)p, len}};

	if (e->kinds != 0)
		put(e, v, 2, 1, len);
	else
		put(e, v + 1, 1, 1, len);
}

// A super-packet that stands for n packets of `bytes` in all.
static void put_super(struct edge *e, const struct gso_pkt *g, uint64_t n, uint64_t bytes)
{
	uint8_t hdr[HDR_MAX];
	struct gso_vnet vnet;
	struct iovec v[3] = {{&vnet, sizeof(vnet)}, {hdr, g->payload},
		{(void *)(uintptr_t)(g->p + g->payload), g->len - g->payload}};

	memcpy(hdr, g->p, g->payload);
	gso_to_kernel(g, hdr, &vnet);
	put(e, v, 3, n, bytes);
}

void edge_in_joined(void *arg, void *owner, const struct gso_pkt *g)
{
	struct edge *e = owner;

	if (g->size == 0) {
		put_plain(e, g->p, g->len);
		return;
	}
	e->count.in_joined += g->n;
	put_super(e, g, g->n, g->len + (g->n - 1u) * (uint64_t)g->payload);
}

static void in_plain(struct edge *e, const uint8_t *p, size_t len)
{
	if (e->kinds == 0 || !gro_add(e->m->gro, e, e->kinds, p, len))
		put_plain(e, p, len);
}

static void in_super(struct edge *e, const uint8_t *p, size_t len)
{
	int size = edge_super_decode(p, len);
	struct gso_cut cut;
	struct gso_pkt g;
	ptrdiff_t n;

	if (size < 0 || gso_from_far(p + EDGE_SUPER_HDR_LEN, len - EDGE_SUPER_HDR_LEN,
				(uint16_t)size, &g) < 0) {
		e->count.drop_in_bad++;
		return;
	}
	e->count.in_supers++;
	gro_yield(e->m->gro, e, &g);
	if ((e->kinds & g.kind) != 0) {
		put_super(e, &g, 1, g.len);
		return;
	}
	// we may have said that we take them, in an earlier life
	for (gso_cut_begin(&cut, &g); (n = gso_cut_next(&cut, e->m->seg, sizeof(e->m->seg))) > 0;
		e->count.in_cut++)
		put_plain(e, e->m->seg, (size_t)n);
}

static void in_data(struct edge *e, const uint8_t *p, size_t len)
{
	if (len == 0) {
		e->count.drop_in_bad++;
		return;
	}
	if (edge_far_came(&e->far))
		loop_timer_start(e->hello, 0, 0);
	if (p[0] >> 4 == 4 || p[0] >> 4 == 6)
		in_plain(e, p, len);
	else if (p[0] == EDGE_MSG_SUPER)
		in_super(e, p, len);
	else if (p[0] == EDGE_MSG_HELLO)
		edge_io_heard(e, p, len);
	else
		e->count.drop_in_bad++;
}

void edge_in_closed(struct edge *e)
{
	edge_io_close(e); // a Close travels one way: the far edge answers with its own
	edge_gone(e, "the far end closed the route");
}

bool edge_in_route(void *arg, uint8_t *p, size_t n)
{
	struct edge *e = arg;

	if (e->state != EDGE_ATTACHED)
		return false;
	if (!route_hdr_is_whole(p, n)) {
		e->count.drop_in_bad++;
		return true;
	}
	switch (route_hdr_type(p)) {
	case ROUTE_DATA:
		in_data(e, p + ROUTE_HDR_LEN, n - ROUTE_HDR_LEN);
		break;
	case ROUTE_CLOSE:
		edge_in_closed(e);
		break;
	default:
		e->count.drop_in_bad++;
	}
	return true;
}
