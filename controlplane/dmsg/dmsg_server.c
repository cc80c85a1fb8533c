// Sessions in, streams joined. A relayed stream is two mux streams of two sessions (or of one) and
// what lib/dmsg/relay decides; once joined it holds nothing but the join. When a session ends, its
// relays are closed first: none outlives the keys that it is opened with. No discovery and no mesh
// of servers here.
#include "controlplane/dmsg/dmsg_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "controlplane/core/conn_join.h"
#include "controlplane/core/conn_tcp.h"
#include "controlplane/dmsg/dmsg_link.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/dmsg/relay.h"

LOG_MODULE("dmsg");

enum {
	KEEPALIVE_S = 30, // of TCP, for sessions whose muxer has not begun
	IP_LINGER_MS = 20000, // until who asked for his address closes the stream
};

struct session {
	struct dmsg_server *srv;
	struct dmsg_link *link;
	struct sockaddr_storage from;
	uint64_t since_ns;
	bool open;
	TAILQ_ENTRY(session) all;
};

struct relay {
	struct dmsg_server *srv;
	struct session *x, *y; // y: NULL until it is chosen
	struct conn *xs, *ys; // NULL once joined
	struct loop_timer *timer; // NULL once joined
	struct dmsg_relay *r; // NULL once joined
	struct conn_join *join;
	struct dmsg_addr src, dst;
	uint64_t since_ns;
	bool asked; // the request was read
	TAILQ_ENTRY(relay) all;
};

struct dmsg_server {
	struct dmsg_server_conf conf;
	struct conn_listener *listener;
	TAILQ_HEAD(, session) sessions; // the newest first
	TAILQ_HEAD(, relay) relays;
	uint32_t n_shaking, n_open, n_relays, n_joined;
	struct dmsg_server_stats stats;
};

// ---- relayed streams ----

// Takes the books of a join that is about to end.
static struct conn_join *leave_join(struct relay *r)
{
	struct conn_join *j = r->join;
	uint64_t forth, back;

	if (j == NULL)
		return NULL;
	conn_join_bytes(j, &forth, &back);
	r->srv->stats.bytes += forth + back;
	r->srv->n_joined--;
	r->join = NULL;
	return j;
}

static void relay_free(struct relay *r)
{
	conn_join_close(leave_join(r));
	TAILQ_REMOVE(&r->srv->relays, r, all);
	r->srv->n_relays--;
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

static void relay_join(struct relay *r)
{
	uint8_t out[DMSG_FRAME_MAX];
	ssize_t n = dmsg_relay_back(r->r, dmsg_link_session(r->x->link), out, sizeof(out));
	struct conn *xs = r->xs, *ys = r->ys;

	if (n < 0 || conn_write(xs, out, (size_t)n) != n) {
		relay_fail(r, &r->srv->stats.not_accepted);
		return;
	}
	r->xs = r->ys = NULL;
	r->join = conn_join_new(xs, ys, CONN_JOIN_CLOSE_BOTH, on_join_done, r);
	if (r->join == NULL) {
		relay_fail(r, &r->srv->stats.no_capacity);
		return;
	}
	loop_timer_free(r->timer);
	r->timer = NULL;
	free(r->r);
	r->r = NULL;
	r->since_ns = clock_mono_ns();
	r->srv->n_joined++;
	r->srv->stats.relayed++;
}

static void on_y_open(void *arg)
{
	struct relay *r = arg;
	uint8_t out[DMSG_FRAME_MAX];
	ssize_t n = dmsg_relay_onward(r->r, dmsg_link_session(r->y->link), out, sizeof(out));

	if (n < 0 || conn_write(r->ys, out, (size_t)n) != n)
		relay_fail(r, &r->srv->stats.not_accepted);
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
		relay_fail(r, &r->srv->stats.not_accepted);
	}
	return used;
}

static void on_y_end(void *arg, int err)
{
	struct relay *r = arg;

	(void)err;
	relay_fail(r, &r->srv->stats.not_accepted);
}

static const struct conn_events y_events = {.open = on_y_open, .data = on_y_data, .end = on_y_end};

static struct session *newest_of(const struct dmsg_server *s, const struct key_pk *pk)
{
	struct session *se;

	TAILQ_FOREACH (se, &s->sessions, all)
		if (se->open && dmsg_link_is_open(se->link) &&
			key_pk_cmp(dmsg_link_peer(se->link), pk) == 0)
			return se;
	return NULL;
}

static void relay_onward(struct relay *r)
{
	r->y = newest_of(r->srv, &r->dst.pk);
	if (r->y == NULL) {
		relay_fail(r, &r->srv->stats.no_destination);
		return;
	}
	r->ys = dmsg_link_stream(r->y->link, &y_events, r);
	if (r->ys == NULL)
		relay_fail(r, &r->srv->stats.no_capacity);
	else
		loop_timer_start(r->timer, DMSG_REQUEST_TIMEOUT_MS, 0);
}

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
		relay_fail(r, &r->srv->stats.bad_requests);
		return;
	}
	r->srv->stats.ip_answered++;
	loop_timer_start(r->timer, IP_LINGER_MS, 0);
}

static void take_request(struct relay *r)
{
	r->asked = true;
	r->src = r->r->req.src;
	r->dst = r->r->req.dst;
	if (dmsg_relay_where(r->r, dmsg_link_session(r->x->link)) == RELAY_TO_SELF)
		relay_answer_ip(r);
	else
		relay_onward(r);
}

static size_t on_x_data(void *arg, uint8_t *p, size_t len)
{
	static const uint8_t marker[DMSG_PING_LEN];
	struct relay *r = arg;
	size_t used;

	if (r->asked)
		return 0; // the destination's, when it has accepted
	switch (dmsg_relay_feed(r->r, dmsg_link_session(r->x->link), false, p, len, &used)) {
	case DMSG_MORE:
		break;
	case DMSG_READY:
		take_request(r);
		break;
	case DMSG_PING:
		(void)conn_write(r->xs, marker, sizeof(marker));
		relay_fail(r, &r->srv->stats.pings);
		break;
	default:
		log_debug("request refused: %s", dmsg_err_text(r->r->err));
		relay_fail(r, &r->srv->stats.bad_requests);
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
		relay_fail(r, &r->srv->stats.bad_requests);
}

static const struct conn_events x_events = {.data = on_x_data, .end = on_x_end};

static void on_relay_late(void *arg)
{
	struct relay *r = arg;

	if (!r->asked)
		relay_fail(r, &r->srv->stats.bad_requests);
	else if (r->y != NULL)
		relay_fail(r, &r->srv->stats.not_accepted);
	else
		relay_free(r);
}

static void on_stream(void *arg, struct conn *take_stream)
{
	struct session *x = arg;
	struct dmsg_server *s = x->srv;
	struct relay *r = s->n_relays < s->conf.streams_max ? calloc(1, sizeof(*r)) : NULL;

	if (r != NULL) {
		r->r = malloc(sizeof(*r->r));
		r->timer = loop_timer_new(s->conf.loop, on_relay_late, r);
	}
	if (r == NULL || r->r == NULL || r->timer == NULL) {
		s->stats.no_capacity++;
		conn_close(take_stream);
		if (r != NULL) {
			loop_timer_free(r->timer);
			free(r->r);
			free(r);
		}
		return;
	}
	dmsg_relay_init(r->r);
	r->srv = s;
	r->x = x;
	r->xs = take_stream;
	conn_set_events(take_stream, &x_events, r);
	TAILQ_INSERT_TAIL(&s->relays, r, all);
	s->n_relays++;
	loop_timer_start(r->timer, DMSG_REQUEST_TIMEOUT_MS, 0);
}

// ---- sessions ----

static void session_free(struct session *se)
{
	struct dmsg_server *s = se->srv;
	struct relay *r, *next;

	for (r = TAILQ_FIRST(&s->relays); r != NULL; r = next) {
		next = TAILQ_NEXT(r, all);
		if (r->x == se || r->y == se)
			relay_free(r);
	}
	TAILQ_REMOVE(&s->sessions, se, all);
	if (se->open)
		s->n_open--;
	else
		s->n_shaking--;
	dmsg_link_close(se->link);
	free(se);
}

static void on_session_end(void *arg, int err)
{
	struct session *se = arg;

	if (!se->open)
		se->srv->stats.shakes_failed++;
	log_debug("session over: %s", strerror(-err));
	session_free(se);
}

// The oldest session of a key that has more than it may. The new one is never it.
static void limit_key(struct session *new)
{
	struct dmsg_server *s = new->srv;
	struct session *se, *oldest = NULL;
	uint32_t n = 0;

	TAILQ_FOREACH (se, &s->sessions, all)
		if (se->open && dmsg_link_peer(se->link) != NULL &&
			key_pk_cmp(dmsg_link_peer(se->link), dmsg_link_peer(new->link)) == 0) {
			oldest = se;
			n++;
		}
	if (n <= s->conf.per_key || oldest == new)
		return;
	s->stats.replaced++;
	session_free(oldest);
}

static void on_session_open(void *arg)
{
	struct session *se = arg;
	struct dmsg_server *s = se->srv;
	char text[KEY_PK_TEXT_LEN + 1];

	if (s->n_open >= s->conf.sessions_max) {
		s->stats.refused++;
		session_free(se);
		return;
	}
	se->open = true;
	se->since_ns = clock_mono_ns();
	s->n_shaking--;
	s->n_open++;
	s->stats.sessions_opened++;
	TAILQ_REMOVE(&s->sessions, se, all);
	TAILQ_INSERT_HEAD(&s->sessions, se, all);
	key_pk_to_text(dmsg_link_peer(se->link), text);
	log_limited(LOG_INFO, "session opened: client=%.8s", text);
	limit_key(se);
}

static const struct dmsg_link_events link_events = {
	.open = on_session_open,
	.accept = on_stream,
	.end = on_session_end,
};

static void on_connection(void *arg, struct conn *take_conn, const struct sockaddr_storage *from)
{
	struct dmsg_server *s = arg;
	struct dmsg_link_conf c = {
		.sk = identity_sk(s->conf.id),
		.pk = identity_pk(s->conf.id),
		.mux = DMSG_LINK_BY_FIRST_BYTE,
		.streams_max = s->conf.session_streams,
	};
	struct session *se = NULL;

	if (s->n_shaking < DMSG_SERVER_SHAKES_MAX)
		se = calloc(1, sizeof(*se));
	if (se == NULL) {
		s->stats.refused++;
		conn_close(take_conn);
		return;
	}
	se->srv = s;
	se->from = *from;
	se->link = dmsg_link_new(s->conf.loop, take_conn, &c, &link_events, se);
	if (se->link == NULL) {
		s->stats.refused++;
		free(se);
		return;
	}
	TAILQ_INSERT_HEAD(&s->sessions, se, all);
	s->n_shaking++;
}

// ---- the whole ----

struct dmsg_server *dmsg_server_new(const struct dmsg_server_conf *conf)
{
	static const struct conn_tcp_opts opts = {.keepalive_s = KEEPALIVE_S};
	struct dmsg_server *s;

	if (conf->sessions_max == 0 || conf->session_streams == 0 || conf->streams_max == 0)
		return errno_null(EINVAL);
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->conf = *conf;
	if (s->conf.per_key == 0)
		s->conf.per_key = DMSG_SERVER_PER_KEY;
	TAILQ_INIT(&s->sessions);
	TAILQ_INIT(&s->relays);
	s->listener = conn_listen(conf->loop, conf->listen, &opts, on_connection, s);
	if (s->listener == NULL) {
		int err = errno;

		free(s);
		return errno_null(err);
	}
	s->conf.listen = NULL; // was borrowed
	return s;
}

void dmsg_server_free(struct dmsg_server *s)
{
	struct session *se;

	if (s == NULL)
		return;
	conn_listener_close(s->listener);
	while ((se = TAILQ_FIRST(&s->sessions)) != NULL)
		session_free(se);
	free(s);
}

uint16_t dmsg_server_port(const struct dmsg_server *s)
{
	return conn_listener_port(s->listener);
}

const struct key_pk *dmsg_server_pk(const struct dmsg_server *s)
{
	return identity_pk(s->conf.id);
}

void dmsg_server_stats_get(const struct dmsg_server *s, struct dmsg_server_stats *out)
{
	*out = s->stats;
	out->sessions = s->n_open;
	out->streams = s->n_joined;
}

void dmsg_server_each_session(const struct dmsg_server *s,
	void (*fn)(void *arg, const struct dmsg_server_session *se), void *arg)
{
	struct session *se;

	TAILQ_FOREACH (se, &s->sessions, all) {
		struct dmsg_server_session out = {.from = se->from, .since_ns = se->since_ns};
		const struct mux_stats *st = dmsg_link_stats(se->link);

		if (!se->open || dmsg_link_peer(se->link) == NULL)
			continue;
		out.pk = *dmsg_link_peer(se->link);
		if (st != NULL) {
			out.rtt_ns = st->rtt_ns;
			out.rx_bytes = st->rx_bytes;
			out.tx_bytes = st->tx_bytes;
			out.streams = st->n_streams;
		}
		fn(arg, &out);
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
