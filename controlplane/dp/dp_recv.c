// Reads the rings that come up: bounded per turn, each record copied out, its length checked
// against its type, strings terminated; then handed to the handlers. No length, type or string from
// the other side is believed; what the values mean is the handlers' business.
#include <string.h>

#include "controlplane/dp/dp_priv.h"
#include "lib/base/err.h"

enum {
	EVT_BUDGET = 2048, // records of the event ring per turn
	HS_BUDGET = 8, // of each handshake ring: each may cost half a millisecond of curves
	UP_BUDGET = 256, // of each packet ring
};

struct shape {
	uint16_t type;
	uint16_t len; // fixed part
	bool more; // bytes follow it, at least one
};

static const struct shape evt_shapes[] = {
	{EVT_DONE, sizeof(struct evt_done), false},
	{EVT_PORT, sizeof(struct evt_port), false},
	{EVT_WORKER, sizeof(struct evt_worker), false},
	{EVT_ADJ, sizeof(struct evt_adj), false},
	{EVT_HOP, sizeof(struct evt_hop), false},
	{EVT_RULE, sizeof(struct evt_rule), false},
	{EVT_RULE_GONE, sizeof(struct evt_rule), false},
	{EVT_RULE_MISS, sizeof(struct evt_rule_miss), false},
	{EVT_ROUTE_PAUSE, sizeof(struct evt_route_pause), false},
	{EVT_HOP_KEYED, sizeof(struct evt_hop_note), false},
	{EVT_HOP_REKEY_DUE, sizeof(struct evt_hop_note), false},
	{EVT_HOP_ROAMED, sizeof(struct evt_hop_note), false},
	{EVT_HOP_DEAD, sizeof(struct evt_hop_note), false},
	{EVT_HOP_CLOSED, sizeof(struct evt_hop_note), false},
	{EVT_HOP_NOTICE, sizeof(struct evt_hop_note), false},
	{EVT_HOP_RTT, sizeof(struct evt_hop_note), false},
};
static const struct shape hs_shapes[] = {
	{UP_HANDSHAKE, sizeof(struct up_handshake), true},
	{UP_REKEY, sizeof(struct msg_rekey), true},
};
static const struct shape up_shapes[] = {
	{UP_ROUTE, sizeof(struct msg_route), true},
	{UP_CONTROL, sizeof(struct msg_route), true},
	{UP_CARRIED, sizeof(struct msg_route), true},
};

// Only types that belong into this ring, of exactly the right length.
static bool shape_is_right(const struct dpmsg_hdr *h, size_t len, const struct shape *s, size_t n)
{
	for (size_t i = 0; len >= sizeof(*h) && i < n; i++) {
		if (s[i].type == h->type)
			return s[i].more ? len > s[i].len : len == s[i].len;
	}
	return false;
}

static void dispatch_evt(struct dp_client *c)
{
	struct dpmsg_hdr *h = (struct dpmsg_hdr *)c->buf;
	struct evt_hop_note *note = (struct evt_hop_note *)c->buf;
	struct evt_port *port = (struct evt_port *)c->buf;
	struct evt_hop *hop = (struct evt_hop *)c->buf;
	const void *rec = c->buf;

	switch (h->type) {
	case EVT_DONE:
		dp_client_complete(c, rec);
		break;
	case EVT_PORT:
		port->name[sizeof(port->name) - 1] = '\0';
		port->device[sizeof(port->device) - 1] = '\0';
		port->kernel_if[sizeof(port->kernel_if) - 1] = '\0';
		port->lacks[sizeof(port->lacks) - 1] = '\0';
		DP_EACH(c, on_port, port);
		break;
	case EVT_WORKER:
		DP_EACH(c, on_worker, rec);
		break;
	case EVT_ADJ:
		DP_EACH(c, on_adj, rec);
		break;
	case EVT_HOP:
		hop->name[sizeof(hop->name) - 1] = '\0';
		DP_EACH(c, on_hop, hop);
		break;
	case EVT_RULE:
		DP_EACH(c, on_rule, rec);
		break;
	case EVT_RULE_GONE:
		DP_EACH(c, on_rule_gone, rec);
		break;
	case EVT_RULE_MISS:
		DP_EACH(c, on_rule_miss, rec);
		break;
	case EVT_ROUTE_PAUSE:
		DP_EACH(c, on_route_pause, rec);
		break;
	default: // the notes about hops
		note->text_len = (uint8_t)strnlen(note->text, note->text_len < sizeof(note->text)
								      ? note->text_len
								      : sizeof(note->text) - 1);
		note->text[note->text_len] = '\0';
		DP_EACH(c, on_hop_note, note);
	}
}

static void dispatch_packet(struct dp_client *c, unsigned worker, size_t len)
{
	const struct dpmsg_hdr *h = (const struct dpmsg_hdr *)c->buf;
	const void *rec = c->buf;

	c->stats.packets_up++;
	switch (h->type) {
	case UP_HANDSHAKE:
		DP_EACH(c, on_handshake, worker, rec, len - sizeof(struct up_handshake));
		break;
	case UP_REKEY:
		DP_EACH(c, on_rekey, worker, rec, len - sizeof(struct msg_rekey));
		break;
	case UP_CARRIED:
		DP_EACH(c, on_carried, worker, rec, len - sizeof(struct msg_route));
		break;
	default:
		DP_EACH(c, on_route, worker, rec, len - sizeof(struct msg_route));
	}
}

// One record into c->buf. Its length; 0: none, or the ring is broken.
static size_t take(struct dp_client *c, struct ring_r *r)
{
	int n;

	while ((n = ring_r_read(r, c->buf, DP_RECORD_MAX)) == -EMSGSIZE)
		c->stats.bad_records++;
	return n > 0 ? (size_t)n : 0;
}

// Up to `budget` records. A handler may detach us (c->attached): then all is over at once.
static void drain(struct dp_client *c, struct ring_r *r, unsigned budget, const struct shape *s,
	size_t n_shapes, unsigned worker)
{
	const struct dpmsg_hdr *h = (const struct dpmsg_hdr *)c->buf;
	size_t len;

	while (budget-- > 0 && c->attached && (len = take(c, r)) > 0) {
		if (!shape_is_right(h, len, s, n_shapes)) {
			c->stats.bad_records++;
			continue;
		}
		if (s == evt_shapes) {
			c->stats.events++;
			// What an earlier life of ours left behind is not for us.
			if (c->hello_done || h->type == EVT_DONE)
				dispatch_evt(c);
		} else if (c->hello_done) {
			dispatch_packet(c, worker, len);
		}
	}
	if (c->attached)
		ring_r_release(r);
}

void dp_recv_events(struct dp_client *c)
{
	drain(c, &c->evt, EVT_BUDGET, evt_shapes, ARRAY_LEN(evt_shapes), 0);
	// commands may have waited for room for their answers, and the main lcore sleep meanwhile
	if (c->attached && ring_w_room(&c->cmd) != c->cmd.size)
		region_wake(&c->r.hdr->dp_sleeping, c->r.bell_dp);
}

void dp_recv_handshakes(struct dp_client *c, unsigned worker)
{
	drain(c, &c->hs[worker], HS_BUDGET, hs_shapes, ARRAY_LEN(hs_shapes), worker);
}

void dp_recv_packets(struct dp_client *c, unsigned worker)
{
	drain(c, &c->up[worker], UP_BUDGET, up_shapes, ARRAY_LEN(up_shapes), worker);
	DP_EACH(c, on_route_end);
}
