// The client and its discoveries: our entry there lists the sessions that are kept, and when there
// are too few of them, servers are taken from the list of those with room, in an order of our own,
// so that clients spread. A session made for a dial is not in the entry: it ends when it is idle.
#include "controlplane/dmsg/dmsg_client_priv.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/core/backoff.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

LOG_MODULE("dmsg");

enum {
	FIRST_MS = 5000, // for our entry to be there before the first session that needs it there
	LOOK_MIN_MS = 1000, // grows up to the other
	LOOK_MAX_MS = 20000,
};

struct dmsg_find {
	struct dmsg_client *c;
	struct dmsg_publish *publish;
	struct dir_ask *ask;
	struct loop_timer *timer; // until servers are looked for
	struct loop_timer *idle_timer;
	uint32_t look_ms;
};

// ---- our entry ----

static void fill(void *arg, struct dmsg_entry *e)
{
	const struct dmsg_find *f = arg;
	const struct dmsg_client *c = f->c;

	e->is_client = true;
	if (c->conf.mux == DMSG_LINK_SMUX2)
		snprintf(e->protocol, sizeof(e->protocol), "smux");
	for (uint32_t i = 0; i < SLOTS; i++)
		if (dmsg_client_server_is_open(&c->server[i]) &&
			c->server[i].kind != DMSG_CLIENT_MADE)
			e->servers[e->n_servers++] = c->server[i].conf.pk;
	if (c->conf.client_type != NULL)
		snprintf(e->client_type, sizeof(e->client_type), "%s", c->conf.client_type);
}

// ---- sessions ----

// Servers that are kept, but for those of the list that do not answer.
static uint32_t n_of_use(const struct dmsg_client *c)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SLOTS; i++) {
		const struct server *se = &c->server[i];

		n += se->used && (se->kind == DMSG_CLIENT_FOUND ||
					 (se->kind == DMSG_CLIENT_STATIC &&
						 (se->fails == 0 || se->state == DMSG_LINK_OPEN)));
	}
	return n;
}

static bool are_enough(const struct dmsg_client *c)
{
	return c->conf.sessions != 0 && n_of_use(c) >= c->conf.sessions;
}

static void shuffle(uint32_t *order, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	for (uint32_t i = n; i > 1; i--) {
		uint32_t k = randombytes_uniform(i), was = order[k];

		order[k] = order[i - 1];
		order[i - 1] = was;
	}
}

// Our own key may be there as a server's by somebody's mistake.
static void take_servers(struct dmsg_find *f, const struct dmsg_entry *e, uint32_t n)
{
	struct dmsg_client *c = f->c;
	uint32_t order[DIR_CLIENT_SERVERS_MAX];
	struct dmsg_server_at conf;

	shuffle(order, n);
	for (uint32_t i = 0; i < n && !are_enough(c); i++) {
		struct server *se;

		if (!dmsg_link_server_of(&e[order[i]], &conf) ||
			key_pk_cmp(&conf.pk, identity_pk(c->conf.id)) == 0)
			continue;
		se = dmsg_client_server_of(c, &conf.pk);
		if (se != NULL && se->kind == DMSG_CLIENT_MADE) {
			if (!dmsg_client_may_keep(c))
				break;
			se->kind = DMSG_CLIENT_FOUND; // it will stay
			dmsg_publish_changed(f->publish);
		} else if (se == NULL &&
			   dmsg_client_server_new(c, &conf, DMSG_CLIENT_FOUND) == NULL) {
			break;
		}
	}
}

static void look_later(struct dmsg_find *f)
{
	loop_timer_start(f->timer, f->look_ms, 0);
	f->look_ms = backoff_slowly(f->look_ms, LOOK_MAX_MS);
}

static void on_servers(void *arg, const struct dir_result *r)
{
	struct dmsg_find *f = arg;

	f->ask = NULL;
	if (r->err == 0 && r->answer == DMSG_ANSWER_OK)
		take_servers(f, r->entries, (uint32_t)r->n);
	else
		log_limited(LOG_WARN, "no dmsg servers found: discovery=%s%s: %s",
			dir_client_url(f->c->conf.dir, 0),
			dir_client_n_urls(f->c->conf.dir) > 1 ? " and others" : "",
			dir_result_text(r));
	if (are_enough(f->c))
		f->look_ms = LOOK_MIN_MS;
	else
		look_later(f);
}

static void on_look(void *arg)
{
	struct dmsg_find *f = arg;

	dmsg_client_let_go(f->c, HOLD_ENTRY);
	if (f->ask != NULL)
		return;
	if (are_enough(f->c)) {
		f->look_ms = LOOK_MIN_MS;
		return;
	}
	f->ask = dir_client_servers(f->c->conf.dir, on_servers, f);
	if (f->ask == NULL)
		look_later(f);
}

static void on_tried(void *arg)
{
	struct dmsg_find *f = arg;

	loop_timer_start(f->timer, 0, 0);
}

void dmsg_find_changed(struct dmsg_find *f)
{
	if (f == NULL)
		return;
	if (f->publish != NULL)
		dmsg_publish_changed(f->publish);
	if (!loop_timer_is_on(f->timer))
		look_later(f);
}

static void on_idle(void *arg)
{
	struct dmsg_find *f = arg;
	uint64_t now_ns = clock_mono_ns();

	for (uint32_t i = 0; i < SLOTS; i++) {
		struct server *se = &f->c->server[i];
		const struct mux_stats *st;

		if (!dmsg_client_server_is_open(se) || se->kind != DMSG_CLIENT_MADE)
			continue;
		st = dmsg_link_stats(se->link);
		if (st != NULL && st->n_streams > 0)
			se->busy_ns = now_ns;
		else if (now_ns - se->busy_ns >= f->c->conf.idle_ms * CLOCK_NS_PER_MS)
			dmsg_client_server_free(se);
	}
}

// ---- the whole ----

struct dmsg_find *dmsg_find_new(struct dmsg_client *c)
{
	struct dmsg_find *f = calloc(1, sizeof(*f));
	struct dmsg_publish_conf pc = {.loop = c->conf.loop,
		.dir = c->conf.dir,
		.id = c->conf.id,
		.of = c->conf.of,
		.soon_ms = c->conf.soon_ms,
		.fill = fill,
		.tried = on_tried,
		.arg = f};

	if (f == NULL)
		return NULL;
	if (c->conf.idle_ms == 0)
		c->conf.idle_ms = DMSG_CLIENT_IDLE_MS;
	f->c = c;
	f->look_ms = LOOK_MIN_MS;
	f->timer = loop_timer_new(c->conf.loop, on_look, f);
	f->idle_timer = loop_timer_new(c->conf.loop, on_idle, f);
	f->publish = dmsg_publish_new(&pc);
	if (f->timer == NULL || f->idle_timer == NULL || f->publish == NULL) {
		dmsg_find_free(f);
		return errno_null(ENOMEM);
	}
	loop_timer_start(f->timer, FIRST_MS, 0);
	loop_timer_start(f->idle_timer, c->conf.idle_ms / 2 + 1, c->conf.idle_ms / 2 + 1);
	return f;
}

void dmsg_find_free(struct dmsg_find *f)
{
	if (f == NULL)
		return;
	dir_ask_cancel(f->ask);
	dmsg_publish_free(f->publish);
	loop_timer_free(f->timer);
	loop_timer_free(f->idle_timer);
	free(f);
}

void dmsg_client_leave(struct dmsg_client *c, loop_fn done, void *arg)
{
	if (c->find != NULL)
		dmsg_publish_leave(c->find->publish, done, arg);
	else
		loop_defer(c->conf.loop, done, arg);
}

void dmsg_client_each_site(const struct dmsg_client *c,
	void (*fn)(void *arg, const struct dmsg_publish_site *s), void *arg)
{
	if (c->find != NULL)
		dmsg_publish_each(c->find->publish, fn, arg);
}
