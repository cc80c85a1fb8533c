// The life of a transport that a byte stream carries: who dials and when, which callers may have
// one, its hop in the data plane, its end. Real visors take lasting damage from a second dial while
// one is under way or just over, so: one at a time, never soon after an end, and by one side
// (docs/design/transports-carried.md).
//
//   down --3 s--> resolving (TCP) --> handshake --settled--> [HOP_ADD] --> up --any error--> down
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/core/backoff.h"
#include "controlplane/transport/transport_priv.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/wire/rail_frame.h"

LOG_MODULE("transport");

// ---- when to dial ----

// What is known of the last link of this id, of a transport that may be gone. NULL: nothing.
static struct tp_ended *ended_before(struct tp_carriers *all, const uint8_t id[16])
{
	for (size_t i = 0; i < TP_ENDED_MAX; i++)
		if (all->ended[i].ns != 0 &&
			memcmp(all->ended[i].id, id, sizeof(all->ended[i].id)) == 0)
			return &all->ended[i];
	return NULL;
}

// One place for each id; of too many the oldest goes.
static struct tp_ended *remember(const struct transport *t, uint64_t ns)
{
	struct tp_carriers *all = &t->m->car;
	struct tp_ended *e = ended_before(all, t->tp_id);

	if (e == NULL) {
		e = &all->ended[0];
		for (size_t i = 1; i < TP_ENDED_MAX; i++)
			if (all->ended[i].ns < e->ns)
				e = &all->ended[i];
		*e = (struct tp_ended){0};
		memcpy(e->id, t->tp_id, sizeof(e->id));
	}
	if (ns > e->ns)
		e->ns = ns;
	return e;
}

static struct tp_ended *remember_end(struct transport *t)
{
	t->carried->ended_ns = clock_mono_ns();
	return remember(t, t->carried->ended_ns);
}

// The peer has settled again, so it has nothing left of before.
static void forget_end(const struct transport *t)
{
	struct tp_ended *e = ended_before(&t->m->car, t->tp_id);

	if (e != NULL)
		e->ns = 0;
}

// How long the peer has to be left alone yet: what ended before this life of ours is not known.
static uint64_t alone_ms(const struct transport *t)
{
	struct tp_carriers *all = &t->m->car;
	uint64_t now = clock_mono_ns(), from = all->born_ns;
	const struct tp_ended *e = ended_before(all, t->tp_id);

	if (e != NULL && e->ns > from)
		from = e->ns;
	if (t->carried->ended_ns > from)
		from = t->carried->ended_ns;
	from += TP_REDIAL_MIN_MS * CLOCK_NS_PER_MS;
	if (t->carried->alone_ns > from)
		from = t->carried->alone_ns;
	return from > now ? (from - now) / CLOCK_NS_PER_MS + 1 : 0;
}

static void dial_in(struct transport *t, uint64_t ms)
{
	loop_timer_start(t->timer, ms, 0);
}

static uint64_t jitter_ms(void)
{
	return tp_random64() % TP_REDIAL_JITTER_MS;
}

static bool may_dial(const struct transport *t)
{
	return t->conf.dial &&
	       (t->conf.addr.port != 0 || !transport_type_has_address(transport_type(t)));
}

// Why there can't be one of this type, or NULL.
static const char *no_way(const struct transport *t)
{
	if (transport_type(t) == TRANSPORT_DMSG && t->m->car.dmsg == NULL)
		return "this node is no dmsg client: it has no [server] and no discovery";
	if (transport_type(t) == TRANSPORT_STCPR && t->conf.dial && t->m->car.resolver == NULL)
		return "there is no address resolver to ask ([transports] address_resolver)";
	return NULL;
}

static void say_soon(struct transport *t, uint64_t wait_ms)
{
	char why[TRANSPORT_WHY_MAX] = "dialing soon";

	if (wait_ms > TP_REDIAL_MIN_MS)
		snprintf(why, sizeof(why),
			"left alone for %u s, until the peer knows that its last connection ended",
			(unsigned)(wait_ms / 1000));
	tp_state_set(t, TRANSPORT_DOWN, t->why[0] != '\0' ? t->why : why);
}

void tp_carried_dial(struct transport *t)
{
	struct tp_carried *c = t->carried;
	uint64_t wait;

	if (!t->m->ready || t->removed || t->denied || t->flow[0]->hop == 0 || c->call != NULL ||
		tp_is_linked(c))
		return;
	if (no_way(t) != NULL) {
		tp_state_set(t, TRANSPORT_DOWN, no_way(t));
		tp_tell(t, TRANSPORT_CHANGE_FAILED);
		return;
	}
	if (!may_dial(t)) {
		tp_state_set(t, TRANSPORT_DOWN,
			t->why[0] != '\0' ? t->why : "waiting for the peer to call");
		return;
	}
	wait = alone_ms(t);
	if (wait > 0 || tp_call_comes(t->m, &t->conf.peer, transport_type(t))) {
		say_soon(t, wait);
		dial_in(t, (wait > 0 ? wait : TP_REDIAL_MIN_MS) + jitter_ms());
		return;
	}
	t->dial_peer = t->conf.addr;
	c->call = tp_call_dial(t);
	if (c->call == NULL) {
		tp_carried_failed(t, strerror(errno), -ENOTCONN, false);
		return;
	}
	tp_state_set(t, TRANSPORT_RESOLVING, "connecting");
}

// After an end, or a dial that came to nothing.
static void dial_again(struct transport *t, bool theirs)
{
	uint32_t ms = theirs ? TP_REDIAL_OTHERS_MS
			     : backoff_ms(t->carried->fails, TP_REDIAL_MIN_MS, TP_REDIAL_MAX_MS);

	if (ms < TP_REDIAL_MIN_MS)
		ms = TP_REDIAL_MIN_MS;
	if (may_dial(t) && t->m->ready && !t->removed && !t->denied)
		dial_in(t, ms + jitter_ms());
}

void tp_carried_failed(struct transport *t, const char *why, int err, bool crossed)
{
	struct tp_carried *c = t->carried;
	bool theirs = crossed || (c->crossed && key_pk_cmp(t->m->self.pk, &t->conf.peer) > 0);

	c->fails++;
	t->n_failures++;
	if (err != -ENOTCONN)
		remember_end(t); // the peer heard of it
	if (t->state != TRANSPORT_DOWN || strcmp(t->why, why) != 0)
		log_limited(LOG_NOTICE, "transport %s: %s", t->conf.name, why);
	tp_state_set(t, TRANSPORT_DOWN, why);
	// Both dialed at once and both refused: the lower key goes first.
	dial_again(t, theirs);
	if (!theirs && !c->crossed)
		tp_tell(t, TRANSPORT_CHANGE_FAILED);
	c->crossed = false;
}

// ---- after silence ----

void tp_carried_cut(struct transport *t, int err)
{
	struct tp_carried *c = t->carried;

	switch (err) {
	case -ETIMEDOUT: // and what ICMP said meanwhile, instead of it
	case -EHOSTUNREACH:
	case -ENETUNREACH:
	case -EHOSTDOWN:
	case -ENETDOWN:
	case -ENONET:
	case -EACCES:
	case -ECONNREFUSED: // as a filter that refuses says
	case -ENOPROTOOPT:
	case -EOPNOTSUPP:
		break;
	default:
		return;
	}
	t->m->stats.carried_cut++;
	if (transport_type(t) == TRANSPORT_DMSG)
		c->alone_ns = clock_mono_ns() + TP_CUT_STREAM_MS * CLOCK_NS_PER_MS;
	else
		c->cut = true;
}

void tp_carried_reached(struct transport *t, uint32_t left_ms)
{
	struct tp_carried *c = t->carried;
	char why[TRANSPORT_WHY_MAX] = "reached again";

	c->cut = remember_end(t)->cut = false;
	if (left_ms > 0) {
		c->alone_ns = clock_mono_ns() + left_ms * CLOCK_NS_PER_MS;
		snprintf(why, sizeof(why),
			"reached again; left alone for %u s, until the peer knows of the end",
			left_ms / 1000);
	}
	log_limited(LOG_NOTICE, "transport %s: its peer can be reached again", t->conf.name);
	tp_state_set(t, TRANSPORT_DOWN, why);
	tp_carried_dial(t);
}

// ---- who may call ----

const char *tp_carried_unwelcome(struct transport_mgr *m, struct tp_call *c)
{
	enum peer_access access = peer_list_find(m->conf.peers, &c->h.peer, NULL);

	if (access == PEER_DENIED) {
		m->stats.drop_carried_denied++;
		c->note = "is on a deny list";
		return "not allowed";
	}
	if (!tp_may_come(m, &c->h.peer, access) &&
		transport_mgr_find_peer(m, &c->h.peer, c->type) == NULL) {
		m->stats.drop_carried_not_allowed++;
		c->note = "is named by nothing here: if it may come, `skyrail transport add NAME "
			  "peer=KEY`, or a [peer NAME]";
		return "not allowed";
	}
	return m->ready ? NULL : "not ready";
}

const char *tp_carried_refusal(struct transport_mgr *m, const struct tp_call *c)
{
	struct transport *t = transport_mgr_find_peer(m, &c->h.peer, c->type);

	if (t == NULL && m->n_accepted >= m->conf.accepted_max) {
		m->stats.drop_carried_too_many++;
		return "too many transports";
	}
	for (const struct tp_call *o = m->car.callers; o != NULL; o = o->next) {
		if (o == c || !o->known || o->type != c->type ||
			key_pk_cmp(&o->h.peer, &c->h.peer) != 0)
			continue;
		m->stats.drop_carried_twice++;
		return "a transport is being set up";
	}
	if (t == NULL)
		return NULL;
	if (t->carried->call != NULL && t->carried->call->begun) {
		t->carried->crossed = true;
		m->stats.drop_carried_twice++;
		return "a transport is being set up";
	}
	if (tp_is_linked(t->carried)) {
		m->stats.drop_carried_twice++;
		return "there is a transport already";
	}
	// A dial that the peer has not heard of gives way.
	if (t->carried->call != NULL)
		dial_in(t, TP_REDIAL_OTHERS_MS + jitter_ms()); // should nothing come of the call
	tp_call_close(t->carried->call);
	t->carried->call = NULL;
	return NULL;
}

// ---- the link ----

static void hop_made(struct transport *t, int status, uint32_t aux)
{
	t->adding = false;
	// There already: one that we believed gone has our handle still, and goes with this link.
	t->flow[0]->in_dp = status == 0 || status == -EEXIST;
	if (status == -EAGAIN) {
		loop_timer_start(t->timer, TP_ADD_AGAIN_MS, 0);
	} else if (status != 0) {
		tp_carried_down(t, "the data plane has no room for it");
	} else {
		t->in_dp = t->flow[0]->seen = true;
		t->flow[0]->owner = aux < DPMSG_MAX_WORKERS ? (uint8_t)aux : TP_OWNER_ANY;
		tp_dp_tell(t);
		tp_state_set(t, TRANSPORT_UP, NULL);
		tp_packets_begin(t);
	}
}

static void on_hop_made(void *arg, int status, uint32_t aux)
{
	struct transport *t = arg;

	// One that is removed may have nothing left but its memory.
	if (!t->removed) {
		t->carried->n_adds--;
		if (t->adding && t->carried->n_adds == 0 && status != -ECONNRESET)
			hop_made(t, status, aux);
	}
	tp_cmd_done(t);
}

static int hop_send(struct transport *t)
{
	struct cmd_hop_add a = {
		.h.type = CMD_HOP_ADD,
		.hop = t->flow[0]->hop,
		.tp = t->tp,
		.flow = 1,
		.n_flows = 1,
		.mode = HOP_MODE_CARRIED,
		.owner = TP_OWNER_ANY,
		.carrier = t->carried->carrier != NULL ? carrier_nr(t->carried->carrier) : 0,
		.flags = t->conf.origin == TRANSPORT_ACCEPTED ? HOP_ACCEPTED : 0,
	};
	int rc;

	if (t->del_due != 0)
		return -EAGAIN; // the end of the one before is told first
	memcpy(a.tp_id, t->tp_id, sizeof(a.tp_id));
	memcpy(a.peer_pk, t->conf.peer.b, sizeof(a.peer_pk));
	snprintf(a.name, sizeof(a.name), "%s", t->conf.name);
	rc = dp_client_send(t->m->conf.dp, &a, sizeof(a), on_hop_made, t);
	if (rc != 0)
		return rc;
	t->n_cmds++;
	t->carried->n_adds++;
	t->adding = t->flow[0]->in_dp = true;
	return 0;
}

// A link that stands is kept, though its hop has no place yet: the ring is full, or the worker's,
// or the hop of the link before is not gone.
static void hop_make(struct transport *t)
{
	const struct tp_carried *c = t->carried;
	int rc;

	if (c->carrier != NULL && c->far == NULL && !tp_packets_move(t)) {
		remember_end(t); // there is nothing left that tells
		tp_carried_down(t, "its connection ended");
		return;
	}
	rc = hop_send(t);
	if (rc == -EAGAIN)
		loop_timer_start(t->timer, TP_ADD_AGAIN_MS, 0);
	else if (rc != 0)
		tp_carried_down(t, "the data plane takes no commands");
}

// The transport of a caller; made for it where its key may come. NULL: it may not, or there is no
// more room.
static struct transport *transport_of(struct tp_call *c)
{
	struct transport_mgr *m = c->m;
	struct transport_conf conf = {.type = c->type,
		.mode = HOP_MODE_CARRIED,
		.origin = TRANSPORT_ACCEPTED,
		.peer = c->h.peer};
	struct transport *t = transport_mgr_find_peer(m, &c->h.peer, c->type);

	enum peer_access access;

	if (t != NULL)
		return t;
	// The lists may have changed since it was admitted.
	access = peer_list_find(m->conf.peers, &c->h.peer, conf.name);
	if (access == PEER_DENIED || !tp_may_come(m, &c->h.peer, access))
		return NULL;
	return m->n_accepted < m->conf.accepted_max ? tp_new(m, &conf) : NULL;
}

void tp_carried_on_timer(void *arg)
{
	struct transport *t = arg;

	if (!tp_is_linked(t->carried))
		tp_carried_dial(t);
	else if (!t->in_dp && !t->adding)
		hop_make(t);
}

void tp_carried_settled(struct tp_call *call, struct conn *take_conn)
{
	struct transport *t = call->t != NULL ? call->t : transport_of(call);
	struct tp_carried *c = t != NULL ? t->carried : NULL;

	if (c != NULL && call->t != NULL)
		c->call = NULL;
	// Whoever the policy threw out since, or what came into its place meanwhile.
	if (c == NULL || tp_is_linked(c) || c->call != NULL || t->denied || !t->m->ready) {
		conn_close(take_conn);
		return;
	}
	if (!tp_packets_take(t, take_conn)) {
		tp_carried_failed(t, "no memory for its connection", -ENOMEM, false);
		return;
	}
	// A dmsg stream is part of its session, which is this loop's.
	c->carrier = call->type != TRANSPORT_DMSG ? carriers_pick(t->m->car.threads) : NULL;
	c->reg = call->reg;
	call->reg = NULL;
	c->theirs = call->t == NULL;
	forget_end(t);
	c->path = call->path;
	c->cut = false;
	c->alone_ns = 0;
	c->fails = 0;
	c->crossed = false;
	t->initiator = call->t != NULL;
	t->flow[0]->peer = call->from;
	t->handshake_mono_ns = clock_mono_ns();
	t->n_handshakes++;
	t->m->stats.carried_settled++;
	loop_timer_stop(t->timer);
	// Not within an event of the connection.
	if (c->carrier != NULL)
		loop_timer_start(t->timer, 0, 0);
	else
		hop_make(t);
}

void tp_carried_hang_up(struct transport *t)
{
	struct tp_carried *c = t->carried;

	if (c == NULL)
		return;
	if (tp_is_linked(c) || (c->call != NULL && c->call->begun))
		remember_end(t);
	tp_register_down(c->reg);
	c->reg = NULL;
	tp_call_close(c->call);
	c->call = NULL;
	tp_packets_forget(t);
}

void tp_carried_down(struct transport *t, const char *why)
{
	bool theirs = t->carried->theirs;
	char text[TRANSPORT_WHY_MAX];

	snprintf(text, sizeof(text), "%s", why);
	tp_dp_del(t, RAIL_CLOSE_REQUESTED, "its connection ended");
	tp_state_set(t, TRANSPORT_DOWN, text);
	dial_again(t, theirs);
}

bool tp_carried_new(struct transport *t)
{
	struct tp_ended *e = ended_before(&t->m->car, t->tp_id);
	struct tp_carried *c = calloc(1, sizeof(*c));

	t->carried = c;
	if (c == NULL || e == NULL)
		return c != NULL;
	c->cut = e->cut;
	c->path = e->path;
	return true;
}

void tp_carried_gone(const struct transport *t)
{
	const struct tp_carried *c = t->carried;
	uint64_t now = clock_mono_ns();
	struct tp_ended *e;

	if (c == NULL)
		return;
	if (c->cut) {
		e = remember(t, now);
		e->cut = true;
		e->path = c->path;
	} else if (c->alone_ns > now + TP_REDIAL_MIN_MS * CLOCK_NS_PER_MS) {
		remember(t, c->alone_ns - TP_REDIAL_MIN_MS * CLOCK_NS_PER_MS);
	}
}

void tp_carried_free(struct transport *t)
{
	if (t->carried == NULL)
		return;
	free(t->carried->paused.v);
	free(t->carried);
	t->carried = NULL;
}

void tp_carried_tick(struct transport *t, uint64_t now_ns)
{
	tp_packets_ping(t, now_ns);
	// One that its peer made, and that is over.
	if (t->conf.origin == TRANSPORT_ACCEPTED && !tp_is_linked(t->carried))
		tp_remove(t);
}
