// Sessions to servers: those configured are dialled again for as long as the client lives, one that
// was found until it fails, one that was made for a dial never. What is said on a stream is
// dmsg_stream.c's. Ports are the client's, whichever server a stream came by.
#include "controlplane/dmsg/dmsg_client_priv.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/core/backoff.h"
#include "controlplane/core/loop_share.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

LOG_MODULE("dmsg");

enum {
	FOUND_FAILS_MAX = 3, // in a row, until a server that was found is given up for another
};

// ---- ports ----

static struct dmsg_client_listener *listener_of(const struct dmsg_client *c, uint16_t port)
{
	struct dmsg_client_listener *li;

	TAILQ_FOREACH (li, &c->listeners, all)
		if (li->port == port)
			return li;
	return NULL;
}

static bool port_is_free(const struct dmsg_client *c, uint16_t port)
{
	struct dmsg_client_dial *d;

	TAILQ_FOREACH (d, &c->dials, all)
		if (d->port == port)
			return false;
	return listener_of(c, port) == NULL && !dmsg_conn_list_has_port(c->streams, port);
}

uint16_t dmsg_client_port(struct dmsg_client *c)
{
	for (unsigned i = DMSG_CLIENT_PORT_FIRST; i <= UINT16_MAX; i++) {
		c->last_port = c->last_port == UINT16_MAX ? DMSG_CLIENT_PORT_FIRST
							  : (uint16_t)(c->last_port + 1);
		if (port_is_free(c, c->last_port))
			return c->last_port;
	}
	return 0;
}

// ---- streams of others ----

static bool on_wants(void *arg, const struct dmsg_request *req)
{
	struct server *se = arg;

	if (listener_of(se->c, req->dst.port) != NULL)
		return true;
	se->c->stats.refused++;
	return false;
}

static void on_accepted(
	void *arg, struct conn *take_conn, const struct dmsg_addr *from, uint16_t port)
{
	struct server *se = arg;
	struct dmsg_client *c = se->c;
	struct dmsg_client_listener *li = listener_of(c, port);
	struct dmsg_conn_info info = {.peer = from->pk,
		.server = se->conf.pk,
		.port = port,
		.peer_port = from->port,
		.since_ns = clock_mono_ns()};
	struct conn *conn = dmsg_conn_new(c->streams, take_conn, &info);

	if (conn == NULL)
		return;
	c->stats.accepted++;
	li->fn(li->arg, conn, from); // it is there: `wants` said so in this very event
}

static void spend(struct server *se, uint64_t ns)
{
	loop_share_spend(
		se->c->conf.loop, &se->streams_time, ns, DMSG_CLIENT_STREAMS_OF_SERVER_PCT);
}

static void on_spent(void *arg, uint64_t ns)
{
	spend(arg, share_measured(ns));
}

// No `refused`: it would come after the link was closed, too.
static const struct dmsg_stream_events stream_events = {
	.wants = on_wants,
	.conn = on_accepted,
	.spent = on_spent,
};

// Keys are free, so whoever opens streams all the time has no end: but others, and what else the
// thread does, have their time.
static void on_stream(void *arg, struct conn *take_stream)
{
	struct server *se = arg;
	struct dmsg_client *c = se->c;

	if (!loop_share_has(c->conf.loop, &se->streams_time)) {
		c->stats.over_load++;
		conn_close(take_stream);
		return;
	}
	spend(se, c->conf.stream_us * CLOCK_NS_PER_US);
	dmsg_stream_accept(se->link, take_stream, DMSG_REQUEST_TIMEOUT_MS, &stream_events, se);
}

// ---- sessions ----

static void set_state(struct server *se, enum dmsg_link_state state)
{
	se->state = state;
	se->since_ns = clock_mono_ns();
}

static void ping_over(struct dmsg_client_ping *p, uint64_t rtt_ns, int err)
{
	const struct key_pk *pk = &p->se->conf.pk;
	dmsg_client_ping_fn fn = p->fn;
	void *arg = p->arg;

	dmsg_client_ping_cancel(p);
	fn(arg, pk, rtt_ns, err);
}

// Who is called may start or cancel others, so those that this answer is for are marked first.
static void pings_over(struct server *se, uint64_t rtt_ns, int err)
{
	struct dmsg_client_ping *p;

	TAILQ_FOREACH (p, &se->c->pings, all)
		p->due |= p->se == se;
	do {
		TAILQ_FOREACH (p, &se->c->pings, all)
			if (p->due)
				break;
		if (p != NULL)
			ping_over(p, rtt_ns, err);
	} while (p != NULL);
}

static void close_session(struct server *se)
{
	dmsg_rtt_free(se->rtt);
	se->rtt = NULL;
	dmsg_link_close(se->link);
	se->link = NULL;
}

static void count_over(struct server *se, int err)
{
	struct dmsg_client *c = se->c;

	if (se->state == DMSG_LINK_OPEN) {
		c->stats.sessions_lost++;
		log_notice("session lost: server=%s%s: %s", dmsg_client_address(se), c->conf.of,
			dmsg_link_error(err));
	} else {
		c->stats.sessions_failed++;
		log_limited(LOG_WARN, "no session: server=%s%s: %s", dmsg_client_address(se),
			c->conf.of, dmsg_link_error(err));
	}
	se->err = err;
}

// At once, by the other address. False: there is none, or it was tried.
static bool try_other_address(struct server *se)
{
	if (se->at_public || se->conf.address[0] == '\0' || se->public_address[0] == '\0')
		return false;
	se->at_public = true;
	loop_timer_start(se->timer, 0, 0);
	return true;
}

static void retry(struct server *se)
{
	uint64_t delay = backoff_ms(se->fails, se->c->conf.retry_min_ms, BACKOFF_MAX_MS);

	// A server of 2024 would take us sooner, and strike us off when the old session ends.
	if (se->err == -EISCONN && delay < se->c->conf.taken_ms)
		delay = se->c->conf.taken_ms;
	loop_timer_start(se->timer, delay, 0);
}

// The session, or the try to have one, is over: again after a while, unless another will do.
static void session_over(struct server *se, int err)
{
	struct dmsg_client *c = se->c;
	bool was_open = se->state == DMSG_LINK_OPEN;
	uint64_t up_ns = was_open ? clock_mono_ns() - se->since_ns : 0;

	count_over(se, err);
	close_session(se);
	set_state(se, DMSG_LINK_WAITS);
	if (!was_open && try_other_address(se))
		return;
	se->fails = backoff_fails(se->fails, up_ns);
	se->at_public = false;
	se->all_tried = true;
	if (se->kind == DMSG_CLIENT_STATIC || se->kind == DMSG_CLIENT_LAN ||
		(se->kind == DMSG_CLIENT_FOUND && se->fails < FOUND_FAILS_MAX))
		retry(se);
	else
		dmsg_client_server_free(se);
	if (se->used)
		pings_over(se, 0, err);
	dmsg_client_lan_tried(c);
	dmsg_client_dials_go_on(c, se, false);
	dmsg_find_changed(c->find);
}

static void on_link_open(void *arg)
{
	struct server *se = arg;

	set_state(se, DMSG_LINK_OPEN);
	loop_timer_stop(se->timer);
	se->busy_ns = se->since_ns;
	se->all_tried = true;
	se->opened++;
	se->c->stats.sessions_opened++;
	log_notice("session open: server=%s%s%s", dmsg_client_address(se), se->lan ? " (LAN)" : "",
		se->c->conf.of);
	se->rtt = dmsg_rtt_new(se->link);
	dmsg_client_lan_tried(se->c);
	dmsg_client_dials_go_on(se->c, se, true);
	dmsg_find_changed(se->c->find);
}

static void on_link_pong(void *arg, uint64_t rtt_ns)
{
	pings_over(arg, rtt_ns, 0);
}

static void on_link_end(void *arg, int err)
{
	session_over(arg, err);
}

static const struct dmsg_link_events link_events = {
	.open = on_link_open,
	.accept = on_stream,
	.pong = on_link_pong,
	.end = on_link_end,
};

// Time for the next try, or the end of this one.
static void on_timer(void *arg)
{
	struct server *se = arg;
	struct dmsg_link_conf c = {
		.sk = identity_sk(se->c->conf.id),
		.pk = identity_pk(se->c->conf.id),
		.ss = se->c->ss,
		.server = &se->conf.pk,
		.mux = se->kind == DMSG_CLIENT_LAN ? DMSG_LINK_YAMUX : se->c->conf.mux,
		.streams_max = se->c->conf.session_streams,
	};

	if (se->state == DMSG_LINK_DIALS) {
		session_over(se, -ETIMEDOUT);
		return;
	}
	set_state(se, DMSG_LINK_DIALS);
	se->link = dmsg_link_dial(se->c->conf.loop, dmsg_client_address(se), &c, &link_events, se);
	if (se->link == NULL)
		session_over(se, -errno);
	else if (se->try_ms != 0)
		loop_timer_start(se->timer, se->try_ms, 0);
}

static uint64_t rtt_of(const struct server *se)
{
	return dmsg_rtt_ns(se->rtt);
}

bool dmsg_client_server_is_connected(const struct server *se)
{
	return se->link != NULL && dmsg_link_is_connected(se->link);
}

bool dmsg_client_server_is_open(const struct server *se)
{
	return se->used && se->state == DMSG_LINK_OPEN && dmsg_link_is_open(se->link);
}

struct server *dmsg_client_nearest(struct dmsg_client *c, uint32_t of, unsigned *n)
{
	struct server *best = NULL;
	uint64_t best_ns = 0;

	*n = 0;
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct server *se = &c->server[i];
		uint64_t ns = rtt_of(se) != 0 ? rtt_of(se) : UINT64_MAX;

		if (!dmsg_client_server_is_open(se) || (of >> i & 1) == 0)
			continue;
		(*n)++;
		if (best == NULL || se->lan > best->lan || (se->lan == best->lan && ns < best_ns)) {
			best = se;
			best_ns = ns;
		}
	}
	return best;
}

struct server *dmsg_client_server_of(struct dmsg_client *c, const struct key_pk *pk)
{
	for (uint32_t i = 0; i < SLOTS; i++)
		if (c->server[i].used && key_pk_cmp(&c->server[i].conf.pk, pk) == 0)
			return &c->server[i];
	return NULL;
}

static bool is_held(const struct server *se)
{
	return se->c->held != 0 && se->kind != DMSG_CLIENT_LAN;
}

void dmsg_client_server_hurry(struct server *se)
{
	if (se->state == DMSG_LINK_WAITS && se->err != -EISCONN && !is_held(se))
		loop_timer_start(se->timer, 0, 0);
}

void dmsg_client_let_go(struct dmsg_client *c, unsigned hold)
{
	if ((c->held & hold) == 0)
		return;
	c->held &= ~hold;
	for (uint32_t i = 0; i < SLOTS; i++)
		if (c->server[i].used && c->server[i].kind != DMSG_CLIENT_LAN)
			dmsg_client_server_hurry(&c->server[i]);
}

void dmsg_client_server_again(struct server *se)
{
	if (dmsg_client_server_is_connected(se))
		return;
	close_session(se);
	set_state(se, DMSG_LINK_WAITS);
	loop_timer_start(se->timer, 0, 0);
}

static uint32_t n_of(const struct dmsg_client *c, enum dmsg_client_kind kind)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SLOTS; i++)
		n += c->server[i].used && c->server[i].kind == kind;
	return n;
}

static uint32_t n_kept(const struct dmsg_client *c)
{
	return n_of(c, DMSG_CLIENT_STATIC) + n_of(c, DMSG_CLIENT_FOUND);
}

bool dmsg_client_may_keep(const struct dmsg_client *c)
{
	return n_kept(c) < KEPT_MAX;
}

static bool has_room(const struct dmsg_client *c, enum dmsg_client_kind kind)
{
	if (kind == DMSG_CLIENT_LAN)
		return n_of(c, kind) < LAN_SLOTS;
	return n_kept(c) + n_of(c, DMSG_CLIENT_MADE) < SLOTS - LAN_SLOTS &&
	       (kind == DMSG_CLIENT_MADE || dmsg_client_may_keep(c));
}

struct server *dmsg_client_server_new(
	struct dmsg_client *c, const struct dmsg_server_at *conf, enum dmsg_client_kind kind)
{
	struct dmsg_client_dial *d;
	struct server *se = NULL;

	for (uint32_t i = 0; se == NULL && i < SLOTS; i++)
		if (!c->server[i].used)
			se = &c->server[i];
	if (se == NULL || !has_room(c, kind))
		return errno_null(ENOSPC);
	*se = (struct server){.c = c, .kind = kind, .conf = *conf};
	se->timer = loop_timer_new(c->conf.loop, on_timer, se);
	if (se->timer == NULL)
		return errno_null(ENOMEM);
	se->used = true;
	TAILQ_FOREACH (d, &c->dials, all)
		d->tried &= ~(1u << (se - c->server)); // that was another's
	set_state(se, DMSG_LINK_WAITS);
	if (!is_held(se))
		loop_timer_start(se->timer, 0, 0);
	return se;
}

void dmsg_client_server_free(struct server *se)
{
	close_session(se);
	loop_timer_free(se->timer);
	se->timer = NULL;
	pings_over(se, 0, -ENOTCONN);
	se->used = false;
}

// ---- listening and pings ----

struct dmsg_client_listener *dmsg_client_listen(
	struct dmsg_client *c, uint16_t port, dmsg_client_accept_fn fn, void *arg)
{
	struct dmsg_client_listener *li;

	if (port == 0)
		return errno_null(EINVAL);
	if (!port_is_free(c, port))
		return errno_null(EADDRINUSE);
	li = calloc(1, sizeof(*li));
	if (li == NULL)
		return NULL;
	*li = (struct dmsg_client_listener){.c = c, .port = port, .fn = fn, .arg = arg};
	TAILQ_INSERT_TAIL(&c->listeners, li, all);
	return li;
}

void dmsg_client_unlisten(struct dmsg_client_listener *li)
{
	if (li == NULL)
		return;
	TAILQ_REMOVE(&li->c->listeners, li, all);
	free(li);
}

void dmsg_client_ping_cancel(struct dmsg_client_ping *p)
{
	if (p == NULL)
		return;
	TAILQ_REMOVE(&p->se->c->pings, p, all);
	loop_timer_free(p->timer);
	dmsg_ping_cancel(p->marker);
	free(p);
}

static void on_ping_late(void *arg)
{
	ping_over(arg, 0, -ETIMEDOUT);
}

static void on_marker(void *arg, uint64_t rtt_ns, int err)
{
	struct dmsg_client_ping *p = arg;

	p->marker = NULL;
	ping_over(p, rtt_ns, err);
}

static int ping(struct dmsg_client_ping *p, uint32_t timeout_ms)
{
	struct dmsg_link *k = p->se->link;
	int rc = k != NULL ? dmsg_link_ping(k) : -ENOTCONN;

	if (rc != -EOPNOTSUPP)
		return rc;
	p->marker = dmsg_ping_start(k, timeout_ms, on_marker, p);
	return p->marker != NULL ? 0 : -errno;
}

// The server with this key (NULL: the nearest); NULL and errno.
static struct server *server_of(struct dmsg_client *c, const struct key_pk *pk)
{
	struct server *se;
	unsigned n;

	if (pk == NULL) {
		se = dmsg_client_nearest(c, UINT32_MAX, &n);
		return se != NULL ? se : errno_null(ENOTCONN);
	}
	se = dmsg_client_server_of(c, pk);
	return se != NULL ? se : errno_null(ENOENT);
}

struct dmsg_stream_dial *dmsg_client_ask_ip(struct dmsg_client *c, const struct key_pk *server,
	uint32_t timeout_ms, dmsg_ip_fn fn, void *arg)
{
	struct server *se = server_of(c, server);
	uint16_t port = dmsg_client_port(c);

	if (se == NULL)
		return NULL;
	if (se->link == NULL)
		return errno_null(ENOTCONN);
	return port == 0 ? errno_null(EADDRINUSE)
			 : dmsg_stream_ask_ip(se->link, port, timeout_ms, fn, arg);
}

struct dmsg_client_ping *dmsg_client_ping(struct dmsg_client *c, const struct key_pk *server,
	uint32_t timeout_ms, dmsg_client_ping_fn fn, void *arg)
{
	struct server *se = server_of(c, server);
	struct dmsg_client_ping *p;
	int rc;

	if (se == NULL)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	*p = (struct dmsg_client_ping){.se = se, .fn = fn, .arg = arg};
	TAILQ_INSERT_TAIL(&c->pings, p, all);
	p->timer = loop_timer_new(c->conf.loop, on_ping_late, p);
	rc = p->timer != NULL ? ping(p, timeout_ms) : -ENOMEM;
	if (rc < 0) {
		dmsg_client_ping_cancel(p);
		return errno_null(rc);
	}
	loop_timer_start(p->timer, timeout_ms, 0);
	return p;
}

// ---- the whole ----

static int start(struct dmsg_client *c, const struct dmsg_client_conf *conf)
{
	uint8_t secret[SS_MEM_SECRET_LEN];
	int rc;

	randombytes_buf(secret, sizeof(secret));
	c->ss = ss_mem_new(identity_sk(conf->id), DMSG_CLIENT_PEERS, secret);
	c->streams = dmsg_conn_list_new();
	if (c->ss == NULL || c->streams == NULL)
		return -ENOMEM;
	if (conf->mux == DMSG_LINK_SMUX2)
		c->held = HOLD_ENTRY;
	rc = dmsg_client_lan_open(c, conf->lan, conf->n_lan);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < conf->n_servers; i++)
		if (dmsg_client_server_new(c, &conf->servers[i], DMSG_CLIENT_STATIC) == NULL)
			return -errno;
	c->find = conf->dir != NULL ? dmsg_find_new(c) : NULL;
	return conf->dir != NULL && c->find == NULL ? -errno : 0;
}

struct dmsg_client *dmsg_client_new(const struct dmsg_client_conf *conf)
{
	struct dmsg_client *c;
	int rc;

	if (conf->n_servers > DMSG_CLIENT_SERVERS_MAX || conf->n_lan > DMSG_CLIENT_LAN_MAX ||
		(conf->mux != DMSG_LINK_YAMUX && conf->dir == NULL))
		return errno_null(EINVAL);
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->conf = *conf;
	c->conf.servers = NULL; // was borrowed, as the next one
	c->conf.lan = NULL;
	if (c->conf.retry_min_ms == 0)
		c->conf.retry_min_ms = BACKOFF_MIN_MS;
	if (c->conf.taken_ms == 0)
		c->conf.taken_ms = DMSG_CLIENT_TAKEN_MS;
	if (c->conf.of == NULL)
		c->conf.of = "";
	if (c->conf.stream_us == 0)
		c->conf.stream_us = DMSG_CLIENT_STREAM_US;
	c->last_port = DMSG_CLIENT_PORT_FIRST; // as upstream: the first is the one behind it
	TAILQ_INIT(&c->dials);
	TAILQ_INIT(&c->listeners);
	TAILQ_INIT(&c->pings);
	rc = start(c, conf);
	if (rc < 0) {
		dmsg_client_free(c);
		return errno_null(rc);
	}
	return c;
}

void dmsg_client_free(struct dmsg_client *c)
{
	if (c == NULL)
		return;
	dmsg_find_free(c->find);
	for (uint32_t i = 0; i < SLOTS; i++) {
		close_session(&c->server[i]);
		loop_timer_free(c->server[i].timer);
	}
	dmsg_conn_list_free(c->streams);
	ss_mem_free(c->ss);
	free(c);
}

void dmsg_client_stats_get(const struct dmsg_client *c, struct dmsg_client_stats *out)
{
	struct dmsg_client_listener *li;

	*out = c->stats;
	TAILQ_FOREACH (li, &c->listeners, all)
		out->listeners++;
	out->streams = dmsg_conn_list_len(c->streams);
	for (uint32_t i = 0; i < SLOTS; i++)
		out->sessions += c->server[i].used && c->server[i].state == DMSG_LINK_OPEN;
}

void dmsg_client_each_server(const struct dmsg_client *c,
	void (*fn)(void *arg, const struct dmsg_client_server *se), void *arg)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		const struct server *se = &c->server[i];
		struct dmsg_client_server out = {.pk = se->conf.pk,
			.address = dmsg_client_address(se),
			.kind = se->kind,
			.lan = se->lan,
			.by = se->by,
			.state = se->state,
			.err = se->err,
			.since_ns = se->since_ns,
			.opened = se->opened,
			.io = dmsg_link_io(se->link)};

		if (!se->used)
			continue;
		out.io.rtt_ns = rtt_of(se);
		fn(arg, &out);
	}
}

void dmsg_client_each_stream(const struct dmsg_client *c,
	void (*fn)(void *arg, const struct dmsg_conn_info *info), void *arg)
{
	dmsg_conn_list_each(c->streams, fn, arg);
}
