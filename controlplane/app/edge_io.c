// What an edge sends by its route: packets out of the device, keep-alives, hellos, the Close. Reads
// a bounded number of packets and bytes a wake-up so that other work gets its turn; when the ring
// has no room the packet in hand is kept and reading stops, so the device's own queue and the
// kernel's TCP feel it. A super-packet goes as it is where the far end takes it, else it is cut.
#include "controlplane/app/edge_priv.h"
#include "lib/base/clock.h"

#include <errno.h>
#include <sys/uio.h>

static void flow(struct edge *e, bool on)
{
	if (e->flowing == on)
		return;
	e->flowing = on;
	if (e->poll != NULL)
		loop_poll_set(e->poll, on, false);
}

// Give a route packet to the data plane. False: no room, it is kept.
static bool push(struct edge *e, const uint8_t *p, size_t len)
{
	int rc = dp_client_send_route(e->m->conf.dp, e->worker, e->end.forward_id, p, len);

	if (rc == -EAGAIN) {
		if (e->pending_len == 0)
			e->count.waits++;
		e->pending = p;
		e->pending_len = len;
		flow(e, false);
		return false;
	}
	e->pending_len = 0;
	if (rc < 0) {
		e->count.drop_detached++;
		return true;
	}
	e->count.out_packets++;
	e->count.out_bytes += len - ROUTE_HDR_LEN;
	e->sent = true;
	return true;
}

// What is left of the super-packet in buf. False: no room for all of it.
static bool push_cut(struct edge *e)
{
	ptrdiff_t n;

	while ((n = gso_cut_next(&e->cut, e->seg + ROUTE_HDR_LEN, GSO_PACKET_MAX)) > 0) {
		e->count.out_cut++;
		route_hdr_put(e->seg, ROUTE_DATA, e->end.forward_id, (uint16_t)n);
		if (!push(e, e->seg, ROUTE_HDR_LEN + (size_t)n))
			return false;
	}
	e->cut.g = NULL; // the next one is in the same place
	return true;
}

// ---- out of the device ----

static void plain_out(struct edge *e, size_t len)
{
	uint8_t *p = e->buf + EDGE_SUPER_HDR_LEN;

	route_hdr_put(p, ROUTE_DATA, e->end.forward_id, (uint16_t)len);
	push(e, p, ROUTE_HDR_LEN + len);
}

static bool far_takes(const struct edge *e, const struct gso_pkt *g)
{
	uint32_t max = e->far.max < e->spec.super_max ? e->far.max : e->spec.super_max;

	return !g->odd && (e->far.takes & g->kind) != 0 && EDGE_SUPER_HDR_LEN + g->len <= max;
}

static void super_out(struct edge *e)
{
	size_t len = EDGE_SUPER_HDR_LEN + e->pkt.len;

	if (e->pkt.n == 1) {
		gso_complete(&e->pkt, e->buf + EDGE_HEAD_LEN);
		plain_out(e, e->pkt.len);
		return;
	}
	if (!far_takes(e, &e->pkt)) {
		gso_cut_begin(&e->cut, &e->pkt);
		push_cut(e);
		return;
	}
	gso_complete(&e->pkt, e->buf + EDGE_HEAD_LEN);
	route_hdr_put(e->buf, ROUTE_DATA, e->end.forward_id, (uint16_t)len);
	edge_super_put(e->buf + ROUTE_HDR_LEN, e->pkt.size);
	e->count.out_supers++;
	if (edge_far_use(&e->far))
		loop_timer_start(e->hello, EDGE_FAR_FRESH_MS, 0);
	push(e, e->buf, ROUTE_HDR_LEN + len);
}

// One packet into buf, behind the room for headers. Its length; 0: none; -errno: the device ended.
static ssize_t read_packet(struct edge *e, struct gso_vnet *vnet)
{
	size_t vnet_len = e->kinds != 0 ? sizeof(*vnet) : 0;
	struct iovec v[2] = {{vnet, vnet_len}, {e->buf + EDGE_HEAD_LEN, GSO_PACKET_MAX}};
	ssize_t n;

	*vnet = (struct gso_vnet){0};
	n = vnet_len != 0 ? readv(e->fd, v, 2) : readv(e->fd, v + 1, 1);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ENODEV;
	return n > (ssize_t)vnet_len ? n - (ssize_t)vnet_len : 0;
}

void edge_io_readable(void *arg, bool readable, bool writable)
{
	struct edge *e = arg;
	struct gso_vnet vnet;
	size_t bytes = 0;

	for (int i = 0;
		i < EDGE_BURST && bytes < EDGE_BURST_BYTES && e->pending_len == 0 && !e->paused;
		i++) {
		ssize_t got = read_packet(e, &vnet);
		size_t n = got > 0 ? (size_t)got : 0;

		if (got < 0)
			edge_lost(e, (int)got);
		if (got <= 0)
			return;
		bytes += n;
		if (e->state != EDGE_ATTACHED)
			e->count.drop_detached++;
		else if (gso_from_kernel(&vnet, e->buf + EDGE_HEAD_LEN, n, &e->pkt) < 0)
			e->count.out_bad++;
		else if (e->pkt.size != 0)
			super_out(e);
		else
			plain_out(e, n);
	}
}

void edge_io_room(struct edge *e)
{
	if (e->pending_len == 0)
		return;
	if (e->state != EDGE_ATTACHED) {
		e->count.drop_detached++;
		e->pending_len = 0;
		e->cut.g = NULL;
	} else if (!push(e, e->pending, e->pending_len) || !push_cut(e)) {
		return;
	}
	flow(e, !e->paused);
}

void edge_io_pause(struct edge *e, bool paused)
{
	if (paused && !e->paused)
		e->count.waits++;
	e->paused = paused;
	flow(e, !paused && e->pending_len == 0);
}

// ---- by itself ----

static bool send_hello(struct edge *e, uint8_t flags)
{
	struct edge_hello h = {.flags = flags, .takes = e->kinds, .max = ROUTE_PAYLOAD_MAX};
	uint8_t pkt[ROUTE_HDR_LEN + EDGE_HELLO_LEN];

	edge_hello_encode(pkt + ROUTE_HDR_LEN, EDGE_HELLO_LEN, &h);
	route_hdr_put(pkt, ROUTE_DATA, e->end.forward_id, EDGE_HELLO_LEN);
	if (dp_client_send_route(e->m->conf.dp, e->worker, e->end.forward_id, pkt, sizeof(pkt)) < 0)
		return false;
	e->sent = true;
	return true;
}

void edge_io_hello(void *arg)
{
	struct edge *e = arg;
	uint32_t next_ms;

	if (e->state != EDGE_ATTACHED)
		return;
	if (edge_far_tick(&e->far, &next_ms))
		send_hello(e, EDGE_HELLO_ASK); // one that finds no room is as good as lost
	if (next_ms != 0)
		loop_timer_start(e->hello, next_ms, 0);
}

void edge_io_heard(struct edge *e, const uint8_t *p, size_t len)
{
	struct edge_hello h;
	uint32_t next_ms;

	if (edge_hello_decode(p, len, &h) < 0) {
		e->count.drop_in_bad++;
		return;
	}
	if (edge_far_heard(&e->far, &h, clock_mono_ns() / 1000000, &next_ms))
		send_hello(e, 0);
	if (next_ms == 0)
		loop_timer_stop(e->hello);
	else
		loop_timer_start(e->hello, next_ms, 0);
}

void edge_io_keep_alive(void *arg)
{
	struct edge *e = arg;
	uint8_t pkt[ROUTE_HDR_LEN];
	ptrdiff_t n;

	if (e->state != EDGE_ATTACHED)
		return;
	if (!e->sent) {
		n = route_keep_alive_encode(pkt, sizeof(pkt), e->end.forward_id);
		if (n > 0 && dp_client_send_route(e->m->conf.dp, e->worker, e->end.forward_id, pkt,
				     (size_t)n) == 0)
			e->count.keepalives++;
	}
	e->sent = false;
}

// A forward rule is not closed by its own packets (skywire-routing 3): it is removed as well.
void edge_io_close(struct edge *e)
{
	uint8_t pkt[ROUTE_HDR_LEN + ROUTE_CLOSE_LEN];
	ptrdiff_t n =
		route_close_encode(pkt, sizeof(pkt), e->end.forward_id, ROUTE_CLOSE_REQUESTED);

	if (n > 0)
		dp_client_send_route(e->m->conf.dp, e->worker, e->end.forward_id, pkt, (size_t)n);
	route_ends_remove(e->m->conf.ends, e->end.forward_id);
}
