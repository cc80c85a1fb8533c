// The packets of an edge: device to route, route to device, keep-alives. Reads at most EDGE_BURST
// packets a wake-up so that other work gets its turn; when the ring has no room the packet in hand
// is kept and reading stops, so the device's own queue and the kernel's TCP feel it.
#include "controlplane/app/edge_priv.h"

#include <errno.h>
#include <unistd.h>

static void flow(struct edge *e, bool on)
{
	if (e->flowing == on)
		return;
	e->flowing = on;
	loop_poll_set(e->poll, on, false);
}

// Give the packet in buf to the data plane. False: no room, it is kept.
static bool push(struct edge *e, size_t len)
{
	int rc = dp_client_send_route(e->m->conf.dp, e->worker, e->forward_id, e->buf, len);

	if (rc == -EAGAIN) {
		if (e->pending == 0)
			e->count.waits++;
		e->pending = len;
		flow(e, false);
		return false;
	}
	e->pending = 0;
	if (rc < 0) {
		e->count.drop_detached++;
		return true;
	}
	e->count.out_packets++;
	e->count.out_bytes += len - ROUTE_HDR_LEN;
	e->sent = true;
	return true;
}

void edge_io_readable(void *arg, bool readable, bool writable)
{
	struct edge *e = arg;

	for (int i = 0; i < EDGE_BURST && e->pending == 0; i++) {
		ssize_t n = read(e->fd, e->buf + ROUTE_HDR_LEN, ROUTE_PAYLOAD_MAX);

		if (n <= 0)
			return;
		if (e->state != EDGE_ATTACHED) {
			e->count.drop_detached++;
			continue;
		}
		route_hdr_put(e->buf, ROUTE_DATA, e->forward_id, (uint16_t)n);
		push(e, ROUTE_HDR_LEN + (size_t)n);
	}
}

void edge_io_room(struct edge *e)
{
	if (e->pending == 0)
		return;
	if (e->state != EDGE_ATTACHED) {
		e->count.drop_detached++;
		e->pending = 0;
	} else if (!push(e, e->pending)) {
		return;
	}
	flow(e, true);
}

static void to_device(struct edge *e, const uint8_t *ip, size_t len)
{
	unsigned version = len > 0 ? ip[0] >> 4 : 0;

	if (version != 4 && version != 6) {
		e->count.drop_in_bad++;
		return;
	}
	if (write(e->fd, ip, len) == (ssize_t)len) {
		e->count.in_packets++;
		e->count.in_bytes += len;
	} else if (errno == EINVAL || errno == EMSGSIZE) {
		e->count.drop_in_bad++;
	} else {
		e->count.drop_in_full++;
	}
}

void edge_io_route(struct edge_mgr *m, const struct msg_route *msg, size_t n)
{
	const uint8_t *p = msg->bytes;
	struct edge *e = m->edges;

	while (e != NULL && (e->state != EDGE_ATTACHED || e->consume_id != msg->id))
		e = e->next;
	if (e == NULL || msg->h.type != UP_ROUTE)
		return;
	if (!route_hdr_is_whole(p, n)) {
		e->count.drop_in_bad++;
		return;
	}
	switch (route_hdr_type(p)) {
	case ROUTE_DATA:
		to_device(e, p + ROUTE_HDR_LEN, n - ROUTE_HDR_LEN);
		break;
	case ROUTE_CLOSE:
		edge_io_close(e); // a Close travels one way: the far edge answers with its own
		edge_gone(e, "the far end closed the route");
		break;
	default:
		e->count.drop_in_bad++;
	}
}

void edge_io_keep_alive(void *arg)
{
	struct edge *e = arg;
	uint8_t pkt[ROUTE_HDR_LEN];
	ptrdiff_t n;

	if (e->state != EDGE_ATTACHED)
		return;
	if (!e->sent) {
		n = route_keep_alive_encode(pkt, sizeof(pkt), e->forward_id);
		if (n > 0 && dp_client_send_route(
				     e->m->conf.dp, e->worker, e->forward_id, pkt, (size_t)n) == 0)
			e->count.keepalives++;
	}
	e->sent = false;
}

// A forward rule is not closed by its own packets (skywire-routing 3): it is removed as well.
void edge_io_close(struct edge *e)
{
	uint8_t pkt[ROUTE_HDR_LEN + ROUTE_CLOSE_LEN];
	ptrdiff_t n = route_close_encode(pkt, sizeof(pkt), e->forward_id, ROUTE_CLOSE_REQUESTED);
	struct edge_mgr *m = e->m;

	if (n > 0)
		dp_client_send_route(m->conf.dp, e->worker, e->forward_id, pkt, (size_t)n);
	if (m->n_closing == EDGES_MAX)
		return;
	m->closing[m->n_closing++] = e->forward_id;
	loop_timer_start(m->reap, EDGE_CLOSE_MS, 0);
}
