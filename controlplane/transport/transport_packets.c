// What is decided about the packets of a link: who has to wait, what is answered. The bytes are
// moved by carried_link.c, on this loop or on that of a carrier. Nothing is dropped:
//
//   peer -> data plane   no more is read while the down ring is full, or while the data plane
//                        holds enough of one of the routes that come by this link (paused ids);
//                        and in a turn of the loop no more than can be stopped in time
//   data plane -> peer   what the connection does not take waits here, and the data plane is told
//                        to hold the rest (CMD_HOP_HOLD); it ends what waits for TP_HOLD_S
//
// Packets with route id 0 are the link's own: pings are answered, and dialers of virtual streams
// are told at once that there are none.
#include <stdlib.h>
#include <string.h>

#include "controlplane/core/noise_conn.h"
#include "controlplane/transport/transport_priv.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/wire/route_hdr.h"

LOG_MODULE("transport");

// A virtual stream's frame (skywire-routing 1.5).
enum {
	VSTREAM_HDR_LEN = 8 + KEY_PK_LEN + 1, // stream id, sender, flags
	VSTREAM_SYN = 1,
	VSTREAM_FIN = 2,
};

// ---- to the peer ----

static void on_hold_done(void *arg, int status, uint32_t aux)
{
	struct transport *t = arg;
	struct tp_carried *c = t->carried;

	// One that is removed may have nothing left but its memory.
	if (!t->removed) {
		c->n_holds--;
		if (status == 0 && c->n_holds == 0 && c->held && c->far != NULL)
			carrier_link_held(c->far);
	}
	tp_on_plain_done(arg, status, aux);
}

static void hold_tell(struct transport *t)
{
	struct tp_carried *c = t->carried;
	struct cmd_hop_hold h = {.h.type = CMD_HOP_HOLD,
		.hop = t->flow[0]->hop,
		.held = c->blocked,
		.limit_s = TP_HOLD_S};
	int rc;

	if (!t->in_dp || c->held == c->blocked)
		return;
	rc = dp_client_send(t->m->conf.dp, &h, sizeof(h), on_hold_done, t);
	c->hold_due = rc != 0; // tried again when there is room
	if (rc != 0)
		return;
	t->n_cmds++;
	c->n_holds++;
	c->held = c->blocked;
	t->m->stats.carried_holds += c->blocked;
}

static void on_blocked(void *arg, bool blocked)
{
	struct transport *t = arg;

	t->carried->blocked = blocked;
	hold_tell(t);
}

void tp_packets_on_carried(void *arg, unsigned worker, const struct msg_route *m, size_t len)
{
	struct transport_mgr *mgr = arg;
	struct transport *t = transport_mgr_find_hop(mgr, m->hop);
	struct tp_carried *c = t != NULL ? t->carried : NULL;
	int rc;

	(void)worker;
	rc = c != NULL && c->link != NULL ? carried_link_put(c->link, m->bytes, len) : -EBADMSG;
	if (rc == -EBADMSG) {
		mgr->stats.drop_carried_late++;
	} else if (rc < 0) {
		log_limited(LOG_ERR, "transport %s: no memory for its packets", t->conf.name);
		tp_carried_down(t, "no memory for its packets");
	}
}

void tp_packets_on_end(void *arg)
{
	struct transport_mgr *m = arg;

	carried_links_flush(m->car.links);
}

// ---- the link's own packets ----

static void say(struct transport *t, const void *p, size_t len)
{
	const struct tp_carried *c = t->carried;

	if (c->far != NULL && !c->blocked) // one who does not read need not be answered
		carrier_link_say(c->far, p, len);
	else if (c->far == NULL)
		carried_link_say(c->link, p, len);
}

static void say_ping(struct transport *t, enum route_type type, int64_t time_ns)
{
	uint8_t p[ROUTE_HDR_LEN + ROUTE_TP_PING_LEN];

	if (route_tp_ping_encode(p, sizeof(p), type, time_ns) > 0)
		say(t, p, sizeof(p));
}

static void on_pong(struct transport *t, int64_t sent_ns)
{
	struct tp_carried *c = t->carried;
	uint64_t rtt_us = (clock_mono_ns() - c->asked_ns) / 1000;

	if (c->asked_ns == 0 || sent_ns != c->asked_wall_ns)
		return; // no answer to the last one of ours
	c->asked_ns = 0;
	if (rtt_us < TP_PING_EVERY_S * 1000000ull)
		t->flow[0]->rtt_us = rtt_us > 0 ? (uint32_t)rtt_us : 1;
}

// Nothing here serves them: without a word the dialer would wait before it takes a route.
static bool refuse_stream(struct transport *t, const struct route_hdr *h)
{
	uint8_t p[ROUTE_HDR_LEN + VSTREAM_HDR_LEN];

	if (h->len < VSTREAM_HDR_LEN || h->type < ROUTE_DHT || h->type > ROUTE_APP_DIRECT ||
		(h->payload[VSTREAM_HDR_LEN - 1] & VSTREAM_SYN) == 0)
		return false;
	route_hdr_put(p, h->type, 0, VSTREAM_HDR_LEN);
	memcpy(p + ROUTE_HDR_LEN, h->payload, 8);
	memcpy(p + ROUTE_HDR_LEN + 8, t->m->self.pk->b, KEY_PK_LEN);
	p[sizeof(p) - 1] = VSTREAM_FIN;
	say(t, p, sizeof(p));
	return true;
}

static void on_control(void *arg, const uint8_t *p, size_t len)
{
	struct transport *t = arg;
	struct route_hdr h;
	int64_t time_ns;

	if (route_hdr_decode(p, len, &h) < 0)
		return;
	if (h.type == ROUTE_TP_PING && route_tp_ping_decode(h.payload, h.len, &time_ns) == 0) {
		t->carried->pinged = true;
		say_ping(t, ROUTE_TP_PONG, time_ns);
	} else if (h.type == ROUTE_TP_PONG &&
		   route_tp_ping_decode(h.payload, h.len, &time_ns) == 0) {
		on_pong(t, time_ns);
	} else if (!refuse_stream(t, &h)) {
		t->m->stats.drop_carried_control++;
	}
}

void tp_packets_ping(struct transport *t, uint64_t now_ns)
{
	struct tp_carried *c = t->carried;

	if (!c->pinged || t->state != TRANSPORT_UP || now_ns < c->ping_ns)
		return;
	c->ping_ns = now_ns + TP_PING_EVERY_S * CLOCK_NS_PER_S;
	c->asked_ns = now_ns;
	c->asked_wall_ns = (int64_t)clock_wall_ns();
	say_ping(t, ROUTE_TP_PING, c->asked_wall_ns);
}

// ---- from the peer ----

static bool on_packet(void *arg, const uint8_t *p, size_t len)
{
	struct transport *t = arg;

	// Other errors: detached, and the link ends with that.
	return dp_client_send_carried(
		       t->m->conf.dp, transport_worker(t), t->flow[0]->hop, p, len) != -EAGAIN;
}

static void on_end(void *arg, int err)
{
	struct transport *t = arg;

	tp_carried_cut(t, err);
	t->m->stats.carried_shed += err == -ENOBUFS;
	tp_carried_down(t, err == 0          ? "the peer hung up"
			   : err == -EBADMSG ? "the peer's bytes are not authentic, or it broke off"
			   : err == -ENOMEM  ? "no memory for its packets"
			   : err == -ENOBUFS ? "the peer takes nothing, and all such were too much"
					     : strerror(-err));
}

static const struct carried_link_events link_events = {
	.packet = on_packet, .control = on_control, .blocked = on_blocked, .end = on_end};

// ---- who has to wait ----

static void reading_set(struct transport *t)
{
	struct tp_carried *c = t->carried;
	bool on = t->in_dp && c->paused.n == 0;

	if (on == c->reading)
		return;
	c->reading = on;
	if (c->far != NULL)
		carrier_link_read(c->far, on);
	else
		carried_link_read(c->link, on);
}

static void paused_set(struct transport *t, uint32_t id, bool paused)
{
	struct tp_carried *c = t->carried;
	size_t i = 0;

	while (i < c->paused.n && c->paused.v[i] != id)
		i++;
	if (paused && i == c->paused.n)
		(void)vec_push(
			&c->paused, id); // without memory the data plane's limits end the route
	else if (!paused && i < c->paused.n)
		vec_remove_swap(&c->paused, i);
}

void tp_packets_on_pause(void *arg, const struct evt_route_pause *e)
{
	struct transport *t = e->hop != 0 ? transport_mgr_find_hop(arg, e->hop) : NULL;

	// Before the hop is there, it is said of the one that had its handle before.
	if (t == NULL || t->carried == NULL || !t->in_dp)
		return;
	t->m->stats.carried_pauses += e->paused != 0;
	paused_set(t, e->id, e->paused != 0);
	reading_set(t);
}

// By whose link a rule's packets come; NULL: by none that is carried and stands.
static struct transport *link_of(struct transport_mgr *m, const struct evt_rule *e)
{
	struct transport *t = e->in_tp != 0 ? transport_mgr_find_tp(m, e->in_tp) : NULL;

	return t != NULL && t->carried != NULL && tp_is_linked(t->carried) ? t : NULL;
}

void tp_packets_on_rule_gone(void *arg, const struct evt_rule *e)
{
	struct transport *t = link_of(arg, e);

	if (t == NULL)
		return;
	paused_set(t, e->id, false);
	reading_set(t);
}

// A dump says again what events that were lost said.
void tp_packets_on_rule(void *arg, const struct evt_rule *e)
{
	struct transport_mgr *m = arg;
	struct transport *t;

	if (!m->car.dump_all || (e->flags & RULE_PAUSED) == 0)
		return;
	t = link_of(m, e);
	if (t != NULL)
		paused_set(t, e->id, true);
}

void tp_packets_sync(struct transport_mgr *m, bool begin)
{
	m->car.dump_all = begin;
	for (struct transport *t = m->first; t != NULL; t = t->next) {
		if (t->carried == NULL)
			continue;
		if (begin)
			t->carried->paused.n = 0;
		else if (tp_is_linked(t->carried))
			reading_set(t);
	}
}

void tp_packets_on_room(struct transport_mgr *m)
{
	for (struct transport *t = m->first; t != NULL; t = t->next)
		if (t->carried != NULL && t->carried->hold_due)
			hold_tell(t);
	carried_links_room(m->car.links);
}

// ---- begin and end ----

bool tp_packets_take(struct transport *t, struct conn *take_conn)
{
	struct tp_carried *c = t->carried;

	c->link = carried_link_new(t->m->car.links, take_conn, &link_events, t);
	return c->link != NULL;
}

bool tp_packets_move(struct transport *t)
{
	struct tp_carried *c = t->carried;
	struct conn *conn = carried_link_release(c->link);
	struct noise_conn_moved *m = noise_conn_move(conn);

	c->link = NULL;
	conn_close(conn);
	if (m != NULL)
		c->far = carrier_take(c->carrier, t->flow[0]->hop, m, &link_events, t);
	return c->far != NULL;
}

void tp_packets_begin(struct transport *t)
{
	hold_tell(t); // what its peer did not take of packets that were there first
	reading_set(t);
}

void tp_packets_forget(struct transport *t)
{
	struct tp_carried *c = t->carried;

	carried_link_close(c->link);
	carrier_link_close(c->far);
	c->link = NULL;
	c->far = NULL;
	c->carrier = NULL;
	c->paused.n = 0;
	c->blocked = c->held = c->hold_due = c->reading = c->pinged = false;
	t->flow[0]->rtt_us = 0;
}
