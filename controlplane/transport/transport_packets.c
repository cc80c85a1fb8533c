// Route packets between a connection and the data plane, and who has to wait. Nothing is dropped:
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
	rc = dp_client_send(t->m->conf.dp, &h, sizeof(h), tp_on_plain_done, t);
	c->hold_due = rc != 0; // tried again when there is room
	if (rc != 0)
		return;
	t->n_cmds++;
	c->held = c->blocked;
	t->m->stats.carried_holds += c->blocked;
}

static bool out_reserve(struct tp_carried *c, size_t more)
{
	size_t want = c->out_len + more, cap = c->out_cap > 0 ? c->out_cap : 4096;
	uint8_t *p;

	if (c->out_ofs > 0) {
		memmove(c->out, c->out + c->out_ofs, c->out_len);
		c->out_ofs = 0;
	}
	if (want <= c->out_cap)
		return true;
	while (cap < want)
		cap *= 2;
	p = cap <= TP_OUT_MAX ? realloc(c->out, cap) : NULL;
	if (p == NULL)
		return false;
	c->out = p;
	c->out_cap = cap;
	return true;
}

static bool out_put(struct transport *t, const void *p, size_t len)
{
	struct tp_carried *c = t->carried;

	if (c->out_ofs + c->out_len + len > c->out_cap && !out_reserve(c, len))
		return false;
	memcpy(c->out + c->out_ofs + c->out_len, p, len);
	c->out_len += len;
	return true;
}

static void out_write(struct transport *t)
{
	struct tp_carried *c = t->carried;
	ssize_t n;

	if (c->conn == NULL || c->blocked || c->out_len == 0)
		return;
	n = conn_write(c->conn, c->out + c->out_ofs, c->out_len);
	if (n < 0)
		return; // it is broken, and will say so
	c->out_ofs += (size_t)n;
	c->out_len -= (size_t)n;
	c->blocked = c->out_len > 0;
	if (c->out_len == 0) {
		c->out_ofs = 0;
		if (c->out_cap > TP_OUT_KEEP) {
			free(c->out);
			c->out = NULL;
			c->out_cap = 0;
		}
	}
	hold_tell(t);
}

static void on_drain(void *arg)
{
	struct transport *t = arg;

	t->carried->blocked = false;
	out_write(t);
	hold_tell(t);
}

void tp_packets_on_carried(void *arg, unsigned worker, const struct msg_route *m, size_t len)
{
	struct transport_mgr *mgr = arg;
	struct transport *t = transport_mgr_find_hop(mgr, m->hop);
	struct tp_carried *c = t != NULL ? t->carried : NULL;

	(void)worker;
	if (c == NULL || c->conn == NULL || !route_hdr_is_whole(m->bytes, len)) {
		mgr->stats.drop_carried_late++;
		return;
	}
	if (!out_put(t, m->bytes, len)) {
		log_limited(LOG_ERR, "transport %s: no memory for its packets", t->conf.name);
		tp_carried_down(t, "no memory for its packets");
		return;
	}
	if (!c->flush_due) {
		c->flush_due = true;
		c->next_flush = mgr->car.flush;
		mgr->car.flush = t;
	}
}

void tp_packets_on_end(void *arg)
{
	struct transport_mgr *m = arg;

	while (m->car.flush != NULL) {
		struct transport *t = m->car.flush;

		m->car.flush = t->carried->next_flush;
		t->carried->flush_due = false;
		out_write(t);
	}
}

// ---- the link's own packets ----

static void say(struct transport *t, const void *p, size_t len)
{
	// One who does not read need not be answered.
	if (!t->carried->blocked && out_put(t, p, len))
		out_write(t);
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

static void on_control(struct transport *t, const uint8_t *p, size_t len)
{
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

static bool may_read(const struct transport *t)
{
	const struct tp_carried *c = t->carried;

	return c->conn != NULL && t->in_dp && !c->ring_full && c->paused.n == 0 &&
	       (c->turn != t->m->car.turn || c->n_turn < TP_TURN_PACKETS);
}

static void count_turn(struct transport *t)
{
	struct tp_carried *c = t->carried;
	struct tp_carriers *all = &t->m->car;

	if (c->turn != all->turn)
		c->n_turn = 0;
	c->turn = all->turn;
	c->n_turn++;
	all->resting |= c->n_turn >= TP_TURN_PACKETS;
	if (!loop_timer_is_on(all->turn_timer))
		loop_timer_start(all->turn_timer, 0, 0);
}

// One whole packet. False: the ring is full, it is to be given again.
static bool deliver(struct transport *t, const uint8_t *p, size_t len)
{
	int rc;

	count_turn(t);
	if (route_hdr_id(p) == 0) {
		on_control(t, p, len);
		return true;
	}
	rc = dp_client_send_carried(t->m->conf.dp, transport_worker(t), t->flow[0]->hop, p, len);
	t->carried->ring_full = rc == -EAGAIN;
	return rc != -EAGAIN; // other errors: detached, and the link ends with that
}

// Goes on with the packet in `in`, or begins one there. Bytes taken, which may be none.
static size_t gather(struct transport *t, const uint8_t *p, size_t len)
{
	struct tp_carried *c = t->carried;
	size_t want, part, before = c->in_len;

	if (c->in == NULL)
		c->in = malloc(ROUTE_PACKET_MAX);
	if (c->in == NULL) {
		tp_carried_down(t, "no memory for its packets");
		return 0;
	}
	want = c->in_len < ROUTE_HDR_LEN ? ROUTE_HDR_LEN : route_hdr_packet_len(c->in);
	part = want - c->in_len < len ? want - c->in_len : len;
	memcpy(c->in + c->in_len, p, part);
	c->in_len += part;
	if (c->in_len < ROUTE_HDR_LEN || c->in_len < route_hdr_packet_len(c->in))
		return part;
	if (!deliver(t, c->in, c->in_len)) {
		c->in_len = before; // the conn keeps the end of it
		return 0;
	}
	c->in_len = 0;
	return part;
}

static size_t on_data(void *arg, uint8_t *p, size_t len)
{
	struct transport *t = arg;
	struct tp_carried *c = t->carried;
	size_t done = 0;

	while (done < len && may_read(t)) {
		size_t left = len - done, n;

		if (c->in_len == 0 && left >= ROUTE_HDR_LEN &&
			route_hdr_packet_len(p + done) <= left) {
			n = route_hdr_packet_len(p + done);
			n = deliver(t, p + done, n) ? n : 0;
		} else {
			n = gather(t, p + done, left);
		}
		if (n == 0)
			break;
		done += n;
	}
	return done;
}

static void on_end(void *arg, int err)
{
	struct transport *t = arg;

	tp_carried_down(t, err == 0          ? "the peer hung up"
			   : err == -EBADMSG ? "the peer's bytes are not authentic, or it broke off"
					     : strerror(-err));
}

const struct conn_events *tp_packet_events(void)
{
	static const struct conn_events events = {
		.data = on_data, .drain = on_drain, .end = on_end};

	return &events;
}

// ---- who has to wait ----

static void resume(struct transport *t)
{
	if (may_read(t))
		conn_resume(t->carried->conn);
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
	resume(t);
}

// By whose link a rule's packets come; NULL: by none that is carried and stands.
static struct transport *link_of(struct transport_mgr *m, const struct evt_rule *e)
{
	struct transport *t = e->in_tp != 0 ? transport_mgr_find_tp(m, e->in_tp) : NULL;

	return t != NULL && t->carried != NULL && t->carried->conn != NULL ? t : NULL;
}

void tp_packets_on_rule_gone(void *arg, const struct evt_rule *e)
{
	struct transport *t = link_of(arg, e);

	if (t == NULL)
		return;
	paused_set(t, e->id, false);
	resume(t);
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
		else
			resume(t);
	}
}

void tp_packets_on_room(struct transport_mgr *m)
{
	for (struct transport *t = m->first; t != NULL; t = t->next) {
		struct tp_carried *c = t->carried;

		if (c == NULL)
			continue;
		if (c->hold_due)
			hold_tell(t);
		if (c->ring_full) {
			c->ring_full = false;
			resume(t);
		}
	}
}

void tp_packets_on_turn(void *arg)
{
	struct transport_mgr *m = arg;
	uint32_t turn = m->car.turn++;
	bool resting = m->car.resting;

	m->car.resting = false;
	for (struct transport *t = m->first; resting && t != NULL; t = t->next)
		if (t->carried != NULL && t->carried->turn == turn &&
			t->carried->n_turn >= TP_TURN_PACKETS)
			resume(t);
}

// ---- begin and end ----

void tp_packets_begin(struct transport *t)
{
	hold_tell(t); // what its peer did not take of packets that were there first
	resume(t);
}

void tp_packets_forget(struct transport *t)
{
	struct tp_carried *c = t->carried;
	struct transport **p = &t->m->car.flush;

	while (c->flush_due && *p != t)
		p = &(*p)->carried->next_flush;
	if (c->flush_due)
		*p = c->next_flush;
	c->flush_due = false;
	c->paused.n = 0;
	c->out_ofs = c->out_len = c->in_len = 0;
	c->blocked = c->held = c->hold_due = c->ring_full = c->pinged = false;
	t->flow[0]->rtt_us = 0;
}
