// Sessions in, found by key. When one ends, requests that it answers go another way, and what had
// come by it is still delivered for a while. Streams are dmsg_server_relay.c's, peers
// dmsg_server_mesh.c's. With discoveries the server is published while it serves, and a client's
// entry tells its muxer.
#include "controlplane/dmsg/dmsg_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/core/conn_tcp.h"
#include "controlplane/dmsg/dmsg_link.h"
#include "controlplane/dmsg/dmsg_server_priv.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/htab.h"
#include "lib/base/log.h"
#include "lib/dmsg/inbox.h"

LOG_MODULE("dmsg");

enum {
	KEEPALIVE_S = 30, // of TCP, for sessions whose muxer has not begun
	LOOKS = 5, // for idle streams, in the time that they may be idle
	ASKING_MAX = 16, // look-ups of muxers at once; more clients are taken for yamux's
};

// ---- sessions by key ----

struct session *dmsg_server_session_of(
	const struct dmsg_server *s, const struct key_pk *pk, const struct session *but)
{
	struct client *cl = htab_find(s->clients, pk->b);
	struct session *se;

	if (cl == NULL)
		return NULL;
	TAILQ_FOREACH (se, &cl->sessions, of_client)
		if (se != but && dmsg_link_is_open(se->link))
			return se;
	return NULL;
}

static struct client *client_of(struct dmsg_server *s, const struct key_pk *pk)
{
	struct client *cl = htab_find(s->clients, pk->b);

	if (cl != NULL)
		return cl;
	cl = calloc(1, sizeof(*cl));
	if (cl == NULL)
		return NULL;
	cl->pk = *pk;
	cl->mesh_budget = s->conf.mesh_burst;
	cl->mesh_budget_ns = clock_mono_ns();
	TAILQ_INIT(&cl->sessions);
	if (htab_put(s->clients, pk->b, cl) < 0) {
		free(cl);
		return NULL;
	}
	return cl;
}

static void client_put(struct dmsg_server *s, struct client *cl)
{
	if (cl->n_sessions + cl->n_drains > 0)
		return;
	htab_del(s->clients, cl->pk.b);
	free(cl);
}

// ---- sessions ----

struct session *dmsg_server_session_new(struct dmsg_server *s)
{
	struct session *se = calloc(1, sizeof(*se));

	if (se == NULL)
		return NULL;
	se->srv = s;
	se->peer = -1;
	TAILQ_INIT(&se->as_x);
	TAILQ_INIT(&se->as_y);
	TAILQ_INSERT_HEAD(&s->sessions, se, all);
	return se;
}

static void ask_over(struct session *se)
{
	se->srv->n_asking -= se->ask != NULL;
	se->ask = NULL;
}

static void on_muxer(void *arg, const struct dir_result *r)
{
	struct session *se = arg;

	ask_over(se);
	if (r->err == 0 && r->answer == DMSG_ANSWER_OK &&
		strcmp(r->entries[0].protocol, "smux") == 0)
		dmsg_link_prefer(se->link, DMSG_LINK_SMUX2);
}

static void ask_muxer(struct session *se)
{
	struct dmsg_server *s = se->srv;

	if (s->conf.dir == NULL || s->n_asking >= ASKING_MAX)
		return;
	se->ask = dir_client_find(s->conf.dir, &se->client->pk, on_muxer, se);
	s->n_asking += se->ask != NULL;
}

static void publish_changed(struct dmsg_server *s)
{
	if (s->publish != NULL)
		dmsg_publish_changed(s->publish);
}

// ---- what is left of sessions that are over ----

static void drain_free(struct session *se)
{
	struct dmsg_server *s = se->srv;

	(void)dmsg_server_relay_leave(se, s->closed ? RELAY_END : RELAY_CUT);
	TAILQ_REMOVE(&s->drains, se, all);
	s->n_drains--;
	s->drain_bytes -= se->drain_bytes;
	if (se->client != NULL) {
		se->client->n_drains--;
		se->client->drain_bytes -= se->drain_bytes;
		client_put(s, se->client);
	}
	loop_timer_free(se->drain);
	free(se);
}

static void on_drained(void *arg)
{
	drain_free(arg);
}

// None of those who open sessions has all of the room by opening one after the other.
static bool has_drain_left(const struct session *se, uint64_t bytes)
{
	const struct dmsg_server *s = se->srv;
	const struct client *cl = se->client;

	if (s->n_drains >= DMSG_SERVER_DRAINS_MAX ||
		bytes > DMSG_SERVER_DRAIN_BYTES - s->drain_bytes)
		return false;
	return cl == NULL || (cl->n_drains < s->conf.per_key &&
				     bytes <= DMSG_SERVER_DRAIN_OF_KEY - cl->drain_bytes);
}

// Its streams live on without it, with what had come by them.
static enum relay_end drain(struct session *se)
{
	struct dmsg_server *s = se->srv;
	const struct mux_stats *st = dmsg_link_stats(se->link);
	uint64_t bytes = st != NULL ? st->n_unread : 0;

	if (s->closed || bytes == 0)
		return RELAY_END;
	if (has_drain_left(se, bytes))
		se->drain = loop_timer_new(s->conf.loop, on_drained, se);
	if (se->drain == NULL)
		return RELAY_CUT;
	TAILQ_INSERT_TAIL(&s->drains, se, all);
	s->n_drains++;
	se->drain_bytes = bytes;
	s->drain_bytes += bytes;
	if (se->client != NULL) {
		se->client->n_drains++;
		se->client->drain_bytes += bytes;
	}
	return RELAY_DRAIN;
}

// The client is still there, for the relays' streams count at it.
static void session_over(struct session *se)
{
	enum relay_end how = drain(se);
	bool stays = dmsg_server_relay_leave(se, how);

	if (!se->dialled)
		dmsg_link_close(se->link);
	se->link = NULL;
	if (stays)
		loop_timer_start(se->drain, se->srv->conf.drain_ms, 0);
	else if (se->drain != NULL)
		drain_free(se);
	else
		free(se);
}

void dmsg_server_session_free(struct session *se)
{
	struct dmsg_server *s = se->srv;
	struct client *cl = se->client;

	dir_ask_cancel(se->ask);
	ask_over(se);
	TAILQ_REMOVE(&s->sessions, se, all);
	dmsg_server_peer_left(se);
	if (!se->dialled) {
		if (se->open)
			s->n_open--;
		else
			s->n_shaking--;
	}
	if (cl != NULL)
		TAILQ_REMOVE(&cl->sessions, se, of_client);
	session_over(se);
	if (cl != NULL) {
		cl->n_sessions--;
		client_put(s, cl);
	}
	publish_changed(s);
}

static void on_session_end(void *arg, int err)
{
	struct session *se = arg;
	char from[64];

	if (se->open) {
		log_debug("session over: %s", dmsg_link_error(err));
	} else {
		conn_tcp_address_text(&se->from, from, sizeof(from));
		log_limited(
			LOG_NOTICE, "handshake failed: from=%s: %s", from, dmsg_link_error(err));
		se->srv->c.drop_dmsg_shakes++;
	}
	dmsg_server_session_free(se);
}

// The oldest session of a key that has more than it may. The new one is never it.
static void limit_key(struct session *new)
{
	struct dmsg_server *s = new->srv;
	struct session *oldest = TAILQ_LAST(&new->client->sessions, session_list);

	if (new->client->n_sessions <= s->conf.per_key || oldest == new)
		return;
	s->c.dmsg_sessions_replaced++;
	dmsg_server_session_free(oldest);
}

static void become_client(struct session *se, struct client *cl)
{
	struct dmsg_server *s = se->srv;

	se->client = cl;
	cl->n_sessions++;
	TAILQ_INSERT_HEAD(&cl->sessions, se, of_client);
	se->open = true;
	se->since_ns = clock_mono_ns();
	s->n_shaking--;
	s->n_open++;
	s->c.dmsg_sessions_opened++;
	TAILQ_REMOVE(&s->sessions, se, all);
	TAILQ_INSERT_HEAD(&s->sessions, se, all);
	dmsg_server_peer_came(se, dmsg_server_peer_of(s, &cl->pk));
}

static void on_session_open(void *arg)
{
	struct session *se = arg;
	struct dmsg_server *s = se->srv;
	const struct key_pk *pk = dmsg_link_peer(se->link);
	char text[KEY_PK_TEXT_LEN + 1];
	struct client *cl = NULL;

	// A peer has its place whoever else is here.
	if (s->n_open < s->conf.sessions_max || dmsg_server_peer_of(s, pk) >= 0)
		cl = client_of(s, pk);
	if (cl == NULL) {
		s->c.drop_dmsg_sessions++;
		dmsg_server_session_free(se);
		return;
	}
	become_client(se, cl);
	ask_muxer(se);
	publish_changed(s);
	key_pk_to_text(pk, text);
	log_limited(LOG_INFO, "session opened: %s=%.8s", se->peer >= 0 ? "peer" : "client", text);
	limit_key(se);
}

static void on_stream(void *arg, struct conn *take_stream)
{
	dmsg_server_relay_new(arg, take_stream);
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

	if (s->n_shaking < s->conf.shakes_max)
		se = dmsg_server_session_new(s);
	if (se == NULL) {
		s->c.drop_dmsg_sessions++;
		conn_close(take_conn);
		return;
	}
	se->from = *from;
	se->link = dmsg_link_new(s->conf.loop, take_conn, &c, &link_events, se);
	if (se->link == NULL) {
		s->c.drop_dmsg_sessions++;
		TAILQ_REMOVE(&s->sessions, se, all);
		free(se);
		return;
	}
	s->n_shaking++;
}

// ---- the entry ----

static void fill(void *arg, struct dmsg_entry *e)
{
	const struct dmsg_server *s = arg;

	e->is_server = true;
	memcpy(e->address, s->public_address, sizeof(e->address));
	e->available_sessions =
		s->conf.sessions_max > s->n_open ? s->conf.sessions_max - s->n_open : 0;
}

static int start_publish(struct dmsg_server *s)
{
	struct dmsg_publish_conf c = {.loop = s->conf.loop,
		.dir = s->conf.dir,
		.id = s->conf.id,
		.of = ", of the dmsg server",
		.soon_ms = s->conf.soon_ms,
		.fill = fill,
		.arg = s};

	if (s->conf.dir == NULL || s->public_address[0] == '\0')
		return 0;
	s->publish = dmsg_publish_new(&c);
	return s->publish != NULL ? 0 : -errno;
}

void dmsg_server_leave(struct dmsg_server *s, loop_fn done, void *arg)
{
	if (s->publish != NULL)
		dmsg_publish_leave(s->publish, done, arg);
	else
		loop_defer(s->conf.loop, done, arg);
}

void dmsg_server_each_site(const struct dmsg_server *s,
	void (*fn)(void *arg, const struct dmsg_publish_site *site), void *arg)
{
	if (s->publish != NULL)
		dmsg_publish_each(s->publish, fn, arg);
}

// ---- the whole ----

static void on_look(void *arg)
{
	dmsg_server_relay_look(arg);
}

static int start(struct dmsg_server *s)
{
	uint8_t secret[HTAB_SECRET_LEN];
	int rc;

	randombytes_buf(secret, sizeof(secret));
	s->clients = htab_new(KEY_PK_LEN,
		(size_t)s->conf.sessions_max + DMSG_MESH_PEERS_MAX + DMSG_SERVER_DRAINS_MAX,
		secret);
	s->idle_timer = loop_timer_new(s->conf.loop, on_look, s);
	if (s->clients == NULL || s->idle_timer == NULL)
		return -ENOMEM;
	loop_timer_start(s->idle_timer, s->conf.idle_ms / LOOKS, s->conf.idle_ms / LOOKS);
	rc = dmsg_server_mesh_start(s);
	return rc < 0 || s->conf.listen == NULL ? rc : dmsg_server_serve(s, s->conf.listen);
}

struct dmsg_server *dmsg_server_new(const struct dmsg_server_conf *conf)
{
	struct dmsg_server *s;
	int rc;

	if (conf->sessions_max == 0 || conf->session_streams == 0 || conf->streams_max == 0)
		return errno_null(EINVAL);
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->conf = *conf;
	if (conf->public_address != NULL)
		snprintf(s->public_address, sizeof(s->public_address), "%s", conf->public_address);
	s->conf.public_address = NULL; // was borrowed
	if (s->conf.per_key == 0)
		s->conf.per_key = DMSG_SERVER_PER_KEY;
	if (s->conf.shakes_max == 0)
		s->conf.shakes_max = DMSG_SERVER_SHAKES_MAX;
	if (s->conf.request_ms == 0)
		s->conf.request_ms = DMSG_REQUEST_TIMEOUT_MS;
	if (s->conf.idle_ms == 0)
		s->conf.idle_ms = DMSG_SERVER_IDLE_MS;
	if (s->conf.drain_ms == 0)
		s->conf.drain_ms = DMSG_SERVER_DRAIN_MS;
	if (s->conf.stream_us == 0)
		s->conf.stream_us = DMSG_SERVER_STREAM_US;
	if (s->conf.mesh_burst == 0)
		s->conf.mesh_burst = DMSG_SERVER_MESH_BURST;
	if (s->conf.client_streams == 0)
		s->conf.client_streams = s->conf.streams_max;
	TAILQ_INIT(&s->sessions);
	TAILQ_INIT(&s->drains);
	TAILQ_INIT(&s->relays);
	rc = start(s);
	if (rc < 0) {
		dmsg_server_free(s);
		return errno_null(rc);
	}
	s->conf.listen = NULL; // was borrowed
	return s;
}

int dmsg_server_serve(struct dmsg_server *s, const struct sockaddr *addr)
{
	static const struct conn_tcp_opts opts = {.keepalive_s = KEEPALIVE_S};

	if (s->closed)
		return -ESHUTDOWN;
	if (s->listener != NULL)
		return -EALREADY;
	s->listener = conn_listen(s->conf.loop, addr, &opts, on_connection, s);
	if (s->listener == NULL)
		return -errno;
	return start_publish(s);
}

void dmsg_server_close(struct dmsg_server *s)
{
	struct session *se;

	s->closed = true;
	dmsg_publish_free(s->publish);
	s->publish = NULL;
	conn_listener_close(s->listener);
	s->listener = NULL;
	loop_timer_free(s->idle_timer);
	s->idle_timer = NULL;
	while ((se = TAILQ_FIRST(&s->sessions)) != NULL)
		dmsg_server_session_free(se);
	while ((se = TAILQ_FIRST(&s->drains)) != NULL)
		drain_free(se);
	dmsg_server_mesh_stop(s);
}

void dmsg_server_free(struct dmsg_server *s)
{
	if (s == NULL)
		return;
	dmsg_server_close(s);
	htab_free(s->clients);
	free(s);
}

uint16_t dmsg_server_port(const struct dmsg_server *s)
{
	return s->listener != NULL ? conn_listener_port(s->listener) : 0;
}

const struct key_pk *dmsg_server_pk(const struct dmsg_server *s)
{
	return identity_pk(s->conf.id);
}

void dmsg_server_stats_get(const struct dmsg_server *s, struct dmsg_server_stats *out)
{
	*out = (struct dmsg_server_stats){.c = s->c, .sessions = s->n_open, .streams = s->n_joined};
	for (uint32_t i = 0; i < DMSG_MESH_PEERS_MAX; i++)
		out->peers += s->peer_session[i] != NULL;
}

void dmsg_server_each_session(const struct dmsg_server *s,
	void (*fn)(void *arg, const struct dmsg_server_session *se), void *arg)
{
	struct session *se;

	TAILQ_FOREACH (se, &s->sessions, all) {
		struct dmsg_server_session out = {.from = se->from,
			.since_ns = se->since_ns,
			.mesh = se->peer >= 0,
			.dialled = se->dialled,
			.io = dmsg_link_io(se->link)};
		struct dmsg_mesh_peer p = {.address = ""};

		if (!se->open || dmsg_link_peer(se->link) == NULL)
			continue;
		if (se->dialled)
			dmsg_mesh_get(s->mesh, (unsigned)se->peer, &p);
		out.address = p.address;
		out.pk = *dmsg_link_peer(se->link);
		fn(arg, &out);
	}
}
