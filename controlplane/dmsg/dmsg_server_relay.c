// Streams joined. A relayed stream is two mux streams of two sessions (or of one) and what
// lib/dmsg/relay decides; once joined it holds nothing but the join. Where a request goes: to the
// newest session of its destination; if there is none and it came from a client, to the peer
// servers one after the other. What came from a peer goes to a client or nowhere, so no request
// passes more than two servers.
#include "controlplane/dmsg/dmsg_server_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/core/conn_join.h"
#include "controlplane/core/loop_share.h"
#include "lib/base/clock.h"
#include "lib/base/htab.h"
#include "lib/base/log.h"
#include "lib/dmsg/relay.h"

LOG_MODULE("dmsg");

enum {
	IP_LINGER_MS = 20000, // until who asked for his address closes the stream
	LOCAL_TRIES = 4, // sessions of the destination that broke before they answered
	PEER_TRY_MS =
		3000, // for a peer to answer while there are others; the last has the full time
	ONWARD_MS = 15000, // no further try after that: diallers wait for 20 s
};

struct relay {
	struct dmsg_server *srv;
	struct session *x, *y; // y: NULL until it is chosen
	struct client *owner; // in whose number it counts; NULL: a peer's
	struct conn *xs, *ys; // NULL once joined
	struct loop_timer *timer; // NULL once joined
	struct dmsg_relay *r; // NULL once joined
	struct conn_join *join;
	struct dmsg_addr src, dst;
	uint64_t since_ns; // until joined: when the request was whole
	uint64_t seen_bytes, active_ns; // at the last look
	uint64_t asked_peers; // bits
	int8_t peer; // number of the peer server that y is, -1: a client
	uint8_t n_local; // sessions of the destination that were tried
	bool asked; // the request was read
	bool starved; // a peer was to be asked, but its client has no budget left
	TAILQ_ENTRY(relay) all, of_x, of_y;
};

static void look_drained(struct session *se)
{
	if (se->drain != NULL && TAILQ_EMPTY(&se->as_x) && TAILQ_EMPTY(&se->as_y))
		loop_timer_start(se->drain, 0, 0);
}

static void leave_x(struct relay *r)
{
	TAILQ_REMOVE(&r->x->as_x, r, of_x);
	look_drained(r->x);
}

static void leave_y(struct relay *r)
{
	if (r->y == NULL)
		return;
	TAILQ_REMOVE(&r->y->as_y, r, of_y);
	look_drained(r->y);
	r->y = NULL;
}

// Takes the books of a join that is about to end.
static struct conn_join *leave_join(struct relay *r)
{
	struct conn_join *j = r->join;
	uint64_t forth, back;

	if (j == NULL)
		return NULL;
	conn_join_bytes(j, &forth, &back);
	r->srv->c.dmsg_relayed_bytes += forth + back;
	r->srv->n_joined--;
	r->join = NULL;
	return j;
}

static void relay_free(struct relay *r)
{
	conn_join_close(leave_join(r));
	leave_y(r);
	leave_x(r);
	TAILQ_REMOVE(&r->srv->relays, r, all);
	r->srv->n_relays--;
	if (r->owner != NULL)
		r->owner->n_streams--;
	loop_timer_free(r->timer);
	conn_close(r->xs);
	conn_close(r->ys);
	free(r->r);
	free(r);
}

// Whoever is refused sees the end of his stream, nothing else.
static void relay_fail(struct relay *r, uint64_t *counter)
{
	(*counter)++;
	relay_free(r);
}

static void on_join_done(void *arg, int err)
{
	struct relay *r = arg;

	(void)err; // the ends see it themselves
	leave_join(r); // which frees itself
	relay_free(r);
}

static void count_join(struct relay *r)
{
	struct dmsg_server *s = r->srv;

	s->n_joined++;
	s->c.dmsg_relayed++;
	s->c.dmsg_mesh_in += r->x->peer >= 0;
	s->c.dmsg_mesh_out += r->peer >= 0;
	if (r->peer >= 0)
		dmsg_mesh_said(s->mesh, &r->dst.pk, (unsigned)r->peer, true);
}

static void relay_join(struct relay *r)
{
	uint8_t out[DMSG_FRAME_MAX];
	ssize_t n = dmsg_relay_back(r->r, dmsg_link_session(r->x->link), out, sizeof(out));
	struct conn *xs = r->xs, *ys = r->ys;

	if (n < 0 || conn_write(xs, out, (size_t)n) != n) {
		relay_fail(r, &r->srv->c.drop_dmsg_not_accepted);
		return;
	}
	r->xs = r->ys = NULL;
	r->join = conn_join_new(xs, ys, CONN_JOIN_CLOSE_BOTH, on_join_done, r);
	if (r->join == NULL) {
		relay_fail(r, &r->srv->c.drop_dmsg_no_capacity);
		return;
	}
	loop_timer_free(r->timer);
	r->timer = NULL;
	free(r->r);
	r->r = NULL;
	r->since_ns = r->active_ns = clock_mono_ns();
	count_join(r);
}

// ---- where it goes ----

// Peers that a stream could be opened to, and that were not asked yet.
static uint64_t peers_left(const struct relay *r)
{
	const struct dmsg_server *s = r->srv;
	uint64_t left = 0;

	for (uint32_t i = 0; i < DMSG_MESH_PEERS_MAX; i++)
		if (s->peer_session[i] != NULL && dmsg_link_is_open(s->peer_session[i]->link))
			left |= UINT64_C(1) << i;
	return left & ~r->asked_peers;
}

// Takes a question to a peer from the client's budget; false: there is none left. A request that
// has asked one peer may ask the others on credit: else a client that asks all the time would never
// get beyond the first.
static bool may_ask(struct dmsg_server *s, struct client *cl, bool first)
{
	uint64_t now_ns = clock_mono_ns();
	double burst = s->conf.mesh_burst;

	cl->mesh_budget += (double)(now_ns - cl->mesh_budget_ns) / CLOCK_NS_PER_S * burst / 2;
	cl->mesh_budget_ns = now_ns;
	if (cl->mesh_budget > burst)
		cl->mesh_budget = burst;
	if (first && cl->mesh_budget < 1)
		return false;
	cl->mesh_budget -= 1;
	return true;
}

// The next session to try, or NULL. broke: the one that failed.
static struct session *choose(struct relay *r, const struct session *broke)
{
	struct dmsg_server *s = r->srv;
	struct session *y = NULL;

	r->peer = -1;
	if (r->n_local < LOCAL_TRIES)
		y = dmsg_server_session_of(s, &r->dst.pk, broke);
	if (y != NULL) {
		r->n_local++;
		return y;
	}
	// one hop between servers, also of a session that was a peer's when the request came
	if (s->mesh == NULL || r->x->peer >= 0 || r->owner == NULL)
		return NULL;
	r->peer = (int8_t)dmsg_mesh_next(s->mesh, &r->dst.pk, peers_left(r));
	if (r->peer < 0)
		return NULL;
	r->starved = !may_ask(s, r->owner, r->asked_peers == 0);
	if (r->starved)
		return NULL;
	r->asked_peers |= UINT64_C(1) << r->peer;
	s->c.dmsg_mesh_asked++;
	return s->peer_session[r->peer];
}

static uint32_t time_for(const struct relay *r)
{
	bool more = r->peer >= 0 && dmsg_mesh_next(r->srv->mesh, &r->dst.pk, peers_left(r)) >= 0;

	return more && PEER_TRY_MS < r->srv->conf.request_ms ? PEER_TRY_MS
							     : r->srv->conf.request_ms;
}

static const struct conn_events y_events;

static void relay_onward(struct relay *r, const struct session *broke)
{
	uint64_t *why = &r->srv->c.drop_dmsg_no_destination;
	struct session *y;

	while ((y = choose(r, broke)) != NULL) {
		r->ys = dmsg_link_stream(y->link, &y_events, r);
		if (r->ys != NULL) {
			r->y = y;
			TAILQ_INSERT_TAIL(&y->as_y, r, of_y);
			loop_timer_start(r->timer, time_for(r), 0);
			return;
		}
		if (r->peer < 0 && errno == EMFILE)
			why = &r->srv->c.drop_dmsg_no_capacity;
		broke = y;
	}
	if (r->starved)
		why = &r->srv->c.drop_dmsg_mesh_rate;
	else if (r->n_local > 0 && why == &r->srv->c.drop_dmsg_no_destination)
		why = &r->srv->c.drop_dmsg_not_accepted;
	relay_fail(r, why);
}

// The stream to y came to nothing before it was accepted. broke: by no decision of the destination.
static void y_failed(struct relay *r, bool broke)
{
	struct dmsg_server *s = r->srv;
	const struct session *y = r->y;
	bool in_time = clock_mono_ns() - r->since_ns < ONWARD_MS * CLOCK_NS_PER_MS;

	leave_y(r);
	conn_close(r->ys);
	r->ys = NULL;
	if (r->peer >= 0) {
		s->c.dmsg_mesh_refused++;
		if (!broke)
			dmsg_mesh_said(s->mesh, &r->dst.pk, (unsigned)r->peer, false);
	}
	if (!in_time || (r->peer < 0 && !broke)) {
		relay_fail(r, &s->c.drop_dmsg_not_accepted);
		return;
	}
	s->c.dmsg_tried_again += broke;
	relay_onward(r, y);
}

static void on_y_open(void *arg)
{
	struct relay *r = arg;
	uint8_t out[DMSG_FRAME_MAX];
	ssize_t n = dmsg_relay_onward(r->r, dmsg_link_session(r->y->link), out, sizeof(out));

	if (n < 0 || conn_write(r->ys, out, (size_t)n) != n)
		y_failed(r, true);
}

static size_t on_y_data(void *arg, uint8_t *p, size_t len)
{
	struct relay *r = arg;
	size_t used;

	switch (dmsg_relay_feed_answer(r->r, dmsg_link_session(r->y->link), p, len, &used)) {
	case DMSG_MORE:
		break;
	case DMSG_READY:
		relay_join(r);
		break;
	default:
		y_failed(r, false);
	}
	return used;
}

static void on_y_end(void *arg, int err)
{
	y_failed(arg, err != 0);
}

static const struct conn_events y_events = {.open = on_y_open, .data = on_y_data, .end = on_y_end};

// ---- what x says ----

static void relay_answer_ip(struct relay *r)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&r->x->from;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&r->x->from;
	const uint8_t *ip = (const uint8_t *)&v4->sin_addr;
	size_t ip_len = 4;
	uint8_t out[DMSG_FRAME_MAX];
	ssize_t n;

	if (r->x->from.ss_family == AF_INET6) {
		bool mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);

		ip = v6->sin6_addr.s6_addr + (mapped ? 12 : 0);
		ip_len = mapped ? 4 : 16;
	}
	n = dmsg_relay_answer_ip(r->r, dmsg_link_session(r->x->link), ip, ip_len, out, sizeof(out));
	if (n < 0 || conn_write(r->xs, out, (size_t)n) != n) {
		relay_fail(r, &r->srv->c.drop_dmsg_bad_requests);
		return;
	}
	r->srv->c.dmsg_ip_answered++;
	loop_timer_start(r->timer, IP_LINGER_MS, 0);
}

static void take_request(struct relay *r)
{
	r->asked = true;
	r->src = r->r->req.src;
	r->dst = r->r->req.dst;
	r->since_ns = clock_mono_ns();
	if (dmsg_relay_where(r->r, dmsg_link_session(r->x->link)) != RELAY_TO_SELF)
		relay_onward(r, NULL);
	else if (r->x->dialled) // a server that we dialled asks nobody where it is
		relay_fail(r, &r->srv->c.drop_dmsg_bad_requests);
	else
		relay_answer_ip(r);
}

// Only a server has streams of others. One that calls us its peer does not see why we refuse them.
static void tell_refused(const struct relay *r)
{
	char text[KEY_PK_TEXT_LEN + 1];

	if (r->r->err != DMSG_ERR_REQ_SRC_PK || r->x->dialled) {
		log_debug("request refused: %s", dmsg_err_text(r->r->err));
		return;
	}
	key_pk_to_text(dmsg_link_peer(r->x->link), text);
	log_limited(LOG_NOTICE,
		"stream of a foreign source refused: client=%s: a server that calls us its peer has "
		"to be named here, too: [peer_server NAME] key",
		text);
}

static void spend(struct dmsg_server *s, struct client *cl, uint64_t ns)
{
	loop_share_spend(s->conf.loop, &cl->time, ns, DMSG_SERVER_REQUESTS_OF_KEY_PCT);
}

static size_t on_x_data(void *arg, uint8_t *p, size_t len)
{
	static const uint8_t marker[DMSG_PING_LEN];
	struct relay *r = arg;
	uint64_t begin_ns = clock_mono_ns();
	enum dmsg_step step;
	size_t used;

	if (r->asked)
		return 0; // the destination's, when it has accepted
	step = dmsg_relay_feed(r->r, dmsg_link_session(r->x->link), r->x->peer >= 0, p, len, &used);
	if (r->owner != NULL)
		spend(r->srv, r->owner, share_measured(clock_mono_ns() - begin_ns));
	switch (step) {
	case DMSG_MORE:
		break;
	case DMSG_READY:
		take_request(r);
		break;
	case DMSG_PING:
		(void)conn_write(r->xs, marker, sizeof(marker));
		relay_fail(r, &r->srv->c.dmsg_pings);
		break;
	default:
		tell_refused(r);
		relay_fail(r, &r->srv->c.drop_dmsg_bad_requests);
	}
	return used;
}

static void on_x_end(void *arg, int err)
{
	struct relay *r = arg;

	(void)err;
	if (r->asked)
		relay_free(r); // changed his mind, or has his address
	else
		relay_fail(r, &r->srv->c.drop_dmsg_bad_requests);
}

static const struct conn_events x_events = {.data = on_x_data, .end = on_x_end};

static void on_late(void *arg)
{
	struct relay *r = arg;

	if (!r->asked)
		relay_fail(r, &r->srv->c.drop_dmsg_bad_requests);
	else if (r->y != NULL)
		y_failed(r, false);
	else
		relay_free(r);
}

// ---- beginning and end ----

// NULL: no memory.
static struct relay *relay_alloc(struct dmsg_server *s)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->r = malloc(sizeof(*r->r));
	r->timer = loop_timer_new(s->conf.loop, on_late, r);
	if (r->r != NULL && r->timer != NULL) {
		dmsg_relay_init(r->r);
		return r;
	}
	loop_timer_free(r->timer);
	free(r->r);
	free(r);
	return NULL;
}

void dmsg_server_relay_new(struct session *x, struct conn *take_stream)
{
	struct dmsg_server *s = x->srv;
	struct client *owner = x->peer < 0 ? x->client : NULL;
	struct relay *r = NULL;

	if (owner != NULL && owner->n_streams >= s->conf.client_streams) {
		s->c.drop_dmsg_client++;
	} else if (owner != NULL && !loop_share_has(s->conf.loop, &owner->time)) {
		s->c.drop_dmsg_load++;
	} else {
		if (s->n_relays < s->conf.streams_max)
			r = relay_alloc(s);
		s->c.drop_dmsg_no_capacity += r == NULL;
	}
	if (r == NULL) {
		conn_close(take_stream);
		return;
	}
	r->srv = s;
	r->x = x;
	r->xs = take_stream;
	r->owner = owner;
	r->peer = -1;
	conn_set_events(take_stream, &x_events, r);
	TAILQ_INSERT_TAIL(&x->as_x, r, of_x);
	TAILQ_INSERT_TAIL(&s->relays, r, all);
	s->n_relays++;
	if (owner != NULL) {
		owner->n_streams++;
		spend(s, owner, s->conf.stream_us * CLOCK_NS_PER_US);
	}
	loop_timer_start(r->timer, s->conf.request_ms, 0);
}

static void leave_joined(struct relay *r, const struct session *se, enum relay_end how)
{
	const struct session *to = r->x == se ? r->y : r->x;

	if (how == RELAY_END || to == se || to->drain != NULL) // nobody is there to take it
		relay_free(r);
	else if (how == RELAY_CUT)
		relay_fail(r, &r->srv->c.drop_dmsg_undelivered);
}

bool dmsg_server_relay_leave(struct session *se, enum relay_end how)
{
	struct relay *r, *next;

	for (r = TAILQ_FIRST(&se->as_x); r != NULL; r = next) {
		next = TAILQ_NEXT(r, of_x);
		if (r->join != NULL)
			leave_joined(r, se, how);
		else
			relay_free(r);
	}
	for (r = TAILQ_FIRST(&se->as_y); r != NULL; r = next) {
		next = TAILQ_NEXT(r, of_y);
		if (r->join != NULL)
			leave_joined(r, se, how);
		else
			y_failed(r, true);
	}
	return !TAILQ_EMPTY(&se->as_x) || !TAILQ_EMPTY(&se->as_y);
}

void dmsg_server_relay_look(struct dmsg_server *s)
{
	bool crowded = s->n_relays >= s->conf.streams_max - s->conf.streams_max / 8;
	uint64_t now_ns = clock_mono_ns();
	struct relay *r = TAILQ_FIRST(&s->relays), *next;

	for (; r != NULL; r = next) {
		uint64_t forth, back;

		next = TAILQ_NEXT(r, all);
		if (r->join == NULL)
			continue;
		conn_join_bytes(r->join, &forth, &back);
		if (forth + back != r->seen_bytes) {
			r->seen_bytes = forth + back;
			r->active_ns = now_ns;
		} else if (crowded && now_ns - r->active_ns >= s->conf.idle_ms * CLOCK_NS_PER_MS) {
			relay_fail(r, &s->c.drop_dmsg_idle);
		}
	}
}

void dmsg_server_each_stream(const struct dmsg_server *s,
	void (*fn)(void *arg, const struct dmsg_server_stream *st), void *arg)
{
	struct relay *r;

	TAILQ_FOREACH (r, &s->relays, all) {
		struct dmsg_server_stream out = {.src = r->src.pk,
			.dst = r->dst.pk,
			.src_port = r->src.port,
			.dst_port = r->dst.port,
			.since_ns = r->since_ns};

		if (r->join == NULL)
			continue;
		conn_join_bytes(r->join, &out.forth, &out.back);
		fn(arg, &out);
	}
}
