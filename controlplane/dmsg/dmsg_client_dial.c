// A dial goes through servers until one brings the stream. Which ones, when there are discoveries:
// of the destination's servers those that we have a session to, then new sessions to the others
// (two at most), then any other open session, since its server may know a way. When no discovery
// answers, or there is none: the open sessions, or the first to open.
#include "controlplane/dmsg/dmsg_client_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"

enum { TRY_MS = 5000 }; // for one server to answer, while there are others to be tried

static void go_on(struct dmsg_client_dial *d);

// ---- questions to discoveries ----

static bool may_ask(const struct dmsg_client *c)
{
	return c->n_asks < DMSG_CLIENT_ASKS_MAX;
}

// The first dial that waits to ask may do so, if there is room.
static void next_asks(struct dmsg_client *c)
{
	struct dmsg_client_dial *d;

	if (c->n_queued == 0 || !may_ask(c))
		return;
	TAILQ_FOREACH (d, &c->dials, all)
		if (d->queued) {
			loop_timer_start(d->soon, 0, 0);
			return;
		}
}

static void unqueue(struct dmsg_client_dial *d)
{
	d->c->n_queued -= d->queued;
	d->queued = false;
}

// True: there are too many questions, and it waits.
static bool queue(struct dmsg_client_dial *d)
{
	if (may_ask(d->c))
		return false;
	d->c->n_queued++;
	d->queued = true;
	return true;
}

static bool ask(struct dmsg_client_dial *d, const struct key_pk *pk, dir_fn fn)
{
	d->ask = dir_client_find(d->c->conf.dir, pk, fn, d);
	d->c->n_asks += d->ask != NULL;
	return d->ask != NULL;
}

static void asked(struct dmsg_client_dial *d)
{
	d->c->n_asks -= d->ask != NULL;
	d->ask = NULL;
	next_asks(d->c);
}

static void dial_free(struct dmsg_client_dial *d)
{
	TAILQ_REMOVE(&d->c->dials, d, all);
	dmsg_stream_dial_cancel(d->sd);
	dir_ask_cancel(d->ask);
	unqueue(d);
	asked(d);
	loop_timer_free(d->timer);
	loop_timer_free(d->soon);
	free(d);
}

void dmsg_client_dial_cancel(struct dmsg_client_dial *d)
{
	if (d != NULL)
		dial_free(d);
}

static void over(struct dmsg_client_dial *d, struct conn *conn, enum dmsg_err code, int err)
{
	dmsg_client_dial_fn fn = d->fn;
	void *arg = d->arg;

	if (conn != NULL) {
		d->c->stats.dialled++;
	} else {
		d->c->stats.dials_failed++;
		if (d->looked) // the entry may be old
			dir_client_forget(d->c->conf.dir, &d->to.pk);
	}
	dial_free(d);
	fn(arg, conn, code, err);
}

// What became of it when there is nothing left to try.
static void fail(struct dmsg_client_dial *d)
{
	if (d->no != DMSG_OK)
		over(d, NULL, d->no, 0);
	else if (d->tried == 0)
		over(d, NULL, DMSG_ERR_NO_SERVER_REACHED, 0);
	else
		over(d, NULL, d->code, d->err);
}

// ---- one server ----

static void on_dialled(void *arg, struct conn *take_conn, enum dmsg_err code, int err)
{
	struct dmsg_client_dial *d = arg;
	struct dmsg_conn_info info = {.peer = d->to.pk,
		.server = d->by,
		.port = d->port,
		.peer_port = d->to.port,
		.dialled = true,
		.since_ns = clock_mono_ns()};

	d->sd = NULL;
	if (take_conn != NULL) {
		take_conn = dmsg_conn_new(d->c->streams, take_conn, &info);
		over(d, take_conn, DMSG_OK, take_conn != NULL ? 0 : -ENOMEM);
		return;
	}
	d->code = code;
	d->err = err;
	go_on(d);
}

// By the nearest open one of these that was not tried. False: there is none.
static bool try_one_of(struct dmsg_client_dial *d, uint32_t of)
{
	struct dmsg_dial_conf conf = {
		.dst = d->to, .src_port = d->port, .wall_ns = (int64_t)clock_wall_ns()};
	uint32_t left_ms = clock_left_ms(d->deadline_ns);
	struct server *se;
	unsigned n;

	while ((se = dmsg_client_nearest(d->c, of & ~d->tried, &n)) != NULL) {
		d->tried |= 1u << (se - d->c->server);
		d->by = se->conf.pk;
		d->sd = dmsg_stream_dial(se->link, &conf,
			n > 1 && left_ms > TRY_MS ? TRY_MS : left_ms, on_dialled, d);
		if (d->sd != NULL)
			return true;
		d->code = DMSG_OK;
		d->err = -errno;
	}
	return false;
}

// ---- the destination's servers ----

static uint32_t delegated_bits(const struct dmsg_client_dial *d)
{
	uint32_t bits = 0;

	for (uint32_t i = 0; i < d->n_delegated; i++) {
		const struct server *se = dmsg_client_server_of(d->c, &d->delegated[i]);

		if (se != NULL)
			bits |= 1u << (se - d->c->server);
	}
	return bits;
}

static bool is_told(const struct server *se)
{
	return se->used && (se->kind == DMSG_CLIENT_STATIC || se->kind == DMSG_CLIENT_LAN);
}

// Those that may know a key which no discovery knows.
static uint32_t told_bits(const struct dmsg_client *c)
{
	uint32_t bits = 0;

	for (uint32_t i = 0; i < SLOTS; i++)
		if (is_told(&c->server[i]))
			bits |= 1u << i;
	return bits;
}

static void wait_for(struct dmsg_client_dial *d, struct server *se)
{
	dmsg_client_server_hurry(se);
	d->waits = se;
}

// Another dial may have made it meanwhile.
static void on_server_entry(void *arg, const struct dir_result *r)
{
	struct dmsg_client_dial *d = arg;
	struct dmsg_server_at conf;
	struct server *se = NULL;

	asked(d);
	if (r->err == 0 && r->answer == DMSG_ANSWER_OK &&
		dmsg_link_server_of(&r->entries[0], &conf)) {
		se = dmsg_client_server_of(d->c, &conf.pk);
		if (se == NULL)
			se = dmsg_client_server_new(d->c, &conf, DMSG_CLIENT_MADE);
	}
	if (se != NULL && !dmsg_client_server_is_open(se))
		wait_for(d, se);
	else
		go_on(d);
}

// The next of them that a session could be had to: it is waited for, or asked for. False: none.
static bool make_session(struct dmsg_client_dial *d)
{
	while (d->next_delegated < d->n_delegated && d->made < DMSG_CLIENT_MADE_MAX) {
		const struct key_pk *pk = &d->delegated[d->next_delegated];
		struct server *se = dmsg_client_server_of(d->c, pk);

		if (se == NULL && queue(d))
			return true;
		d->next_delegated++;
		if (se != NULL && dmsg_client_server_is_open(se))
			continue;
		d->made++;
		if (se != NULL) {
			wait_for(d, se);
			return true;
		}
		if (ask(d, pk, on_server_entry))
			return true;
	}
	return false;
}

// The first session to a configured server, when we have just begun.
static bool wait_for_first(struct dmsg_client_dial *d)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct server *se = &d->c->server[i];

		if (is_told(se) && se->fails == 0 && se->state != DMSG_LINK_OPEN) {
			d->waits = se;
			return true;
		}
	}
	return false;
}

// ---- where it is ----

static void read_entry(struct dmsg_client_dial *d, const struct dmsg_entry *e)
{
	d->no = !e->is_client       ? DMSG_ERR_NOT_CLIENT
		: e->n_servers == 0 ? DMSG_ERR_NO_DELEGATED
				    : DMSG_OK;
	for (uint32_t i = 0; d->no == DMSG_OK && i < e->n_servers && i < DELEGATED_MAX; i++)
		d->delegated[d->n_delegated++] = e->servers[i];
}

static void on_entry(void *arg, const struct dir_result *r)
{
	struct dmsg_client_dial *d = arg;

	asked(d);
	d->looked = true;
	if (r->err < 0)
		d->direct = true;
	else if (r->answer == DMSG_ANSWER_OK)
		read_entry(d, &r->entries[0]);
	else
		d->no = DMSG_ERR_NO_ENTRY;
	go_on(d);
}

static void go_on(struct dmsg_client_dial *d)
{
	if (d->sd != NULL || d->ask != NULL || d->waits != NULL)
		return;
	unqueue(d);
	if (!d->direct && !d->looked) {
		if (queue(d) || ask(d, &d->to.pk, on_entry))
			return;
		d->direct = true; // nobody can be asked
	}
	if (d->direct) {
		if (!try_one_of(d, UINT32_MAX) && d->tried != 0)
			fail(d);
		return; // else a session may yet open
	}
	if (!try_one_of(d, delegated_bits(d)) && !make_session(d) &&
		!try_one_of(d, d->no == DMSG_OK ? UINT32_MAX : told_bits(d->c)) &&
		!wait_for_first(d))
		fail(d);
}

void dmsg_client_dials_go_on(struct dmsg_client *c, struct server *se, bool open)
{
	struct dmsg_client_dial *d;

	TAILQ_FOREACH (d, &c->dials, all) {
		bool waited = d->waits == se;

		if (waited)
			d->waits = NULL;
		if ((waited || (open && d->sd == NULL)) && !loop_timer_is_on(d->soon))
			loop_timer_start(d->soon, 0, 0);
	}
}

// ---- the whole ----

static void on_soon(void *arg)
{
	struct dmsg_client_dial *d = arg;
	struct dmsg_client *c = d->c;

	go_on(d);
	next_asks(c);
}

static void on_late(void *arg)
{
	struct dmsg_client_dial *d = arg;

	if (d->tried != 0 && d->no == DMSG_OK)
		over(d, NULL, DMSG_OK, -ETIMEDOUT);
	else
		fail(d);
}

static struct dmsg_client_dial *dial(struct dmsg_client *c, const struct dmsg_addr *to,
	uint32_t timeout_ms, bool direct, dmsg_client_dial_fn fn, void *arg)
{
	struct dmsg_client_dial *d;
	uint16_t port;

	if (to->port == 0 || !key_pk_is_valid(&to->pk))
		return errno_null(EINVAL);
	port = dmsg_client_port(c);
	if (port == 0)
		return errno_null(EADDRINUSE);
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return NULL;
	d->c = c;
	d->to = *to;
	d->port = port;
	d->direct = direct;
	d->fn = fn;
	d->arg = arg;
	d->deadline_ns = clock_mono_ns() + timeout_ms * CLOCK_NS_PER_MS;
	TAILQ_INSERT_TAIL(&c->dials, d, all);
	d->timer = loop_timer_new(c->conf.loop, on_late, d);
	d->soon = loop_timer_new(c->conf.loop, on_soon, d);
	if (d->timer == NULL || d->soon == NULL) {
		dial_free(d);
		return errno_null(ENOMEM);
	}
	loop_timer_start(d->timer, timeout_ms, 0);
	loop_timer_start(d->soon, 0, 0);
	return d;
}

struct dmsg_client_dial *dmsg_client_dial(struct dmsg_client *c, const struct dmsg_addr *to,
	uint32_t timeout_ms, dmsg_client_dial_fn fn, void *arg)
{
	return dial(c, to, timeout_ms, c->find == NULL, fn, arg);
}

struct dmsg_client_dial *dmsg_client_dial_direct(struct dmsg_client *c, const struct dmsg_addr *to,
	uint32_t timeout_ms, dmsg_client_dial_fn fn, void *arg)
{
	return dial(c, to, timeout_ms, true, fn, arg);
}

// ---- for people ----

// Both ends say no by closing the stream, so which of them did is a guess.
static const char *refused_text(const struct dmsg_client *c)
{
	return c->find != NULL
		       ? "refused: nobody listens on that port there, or it has left its server"
		       : "refused: nobody listens on that port there, or no server of ours has "
			 "a session of that key";
}

static const char *unreached_text(const struct dmsg_client *c)
{
	struct dmsg_client_stats s;

	dmsg_client_stats_get(c, &s);
	return s.sessions == 0 ? "there is no session to any server"
			       : "no server of the destination could be reached";
}

static const char *error_text(int err)
{
	switch (err) {
	case -ETIMEDOUT:
		return "no answer in time: the server, or the node behind it, is silent";
	case -ENOMEM:
		return "out of memory";
	default:
		return NULL;
	}
}

char *dmsg_client_dial_text(
	const struct dmsg_client *c, enum dmsg_err code, int err, char *buf, size_t cap)
{
	bool answered = code < DMSG_ERR_RESP_SIGNATURE && code > DMSG_ERR_SURPLUS;
	const char *text = NULL;

	if (code == DMSG_OK && error_text(err) != NULL)
		snprintf(buf, cap, "%s", error_text(err));
	else if (code == DMSG_OK)
		snprintf(buf, cap, "the session to the server broke: %s", strerror(-err));
	else if (code == DMSG_ERR_NO_SERVER_REACHED)
		text = unreached_text(c);
	else if (code == DMSG_ERR_RESP_REFUSED)
		text = refused_text(c);
	else if (code == DMSG_ERR_NO_ENTRY)
		text = "no discovery has an entry of that key";
	else if (code == DMSG_ERR_NOT_CLIENT)
		text = "the entry of that key is a server's: no node has it";
	else if (code == DMSG_ERR_NO_DELEGATED)
		text = "the entry of that key names no server: it has no session now";
	else
		snprintf(buf, cap, "%s: %s (dmsg code %u)",
			answered ? "refused" : "an answer of no use", dmsg_err_text(code), code);
	if (text != NULL)
		snprintf(buf, cap, "%s (dmsg code %u)", text, code);
	return buf;
}
