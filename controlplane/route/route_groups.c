// All groups of the node: made of the rules of a set-up, found by their descriptor, given to
// listeners, forgotten with their rules. Limits are here; bytes and states are route_group's.
#include "controlplane/route/route_group_priv.h"

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

LOG_MODULE("route");

static void key_make(uint8_t key[ROUTE_KEY_LEN], const uint8_t *pk, uint16_t remote, uint16_t local)
{
	memcpy(key, pk, KEY_PK_LEN);
	be16_put(key + KEY_PK_LEN, remote);
	be16_put(key + KEY_PK_LEN + 2, local);
}

static uint32_t now_s(void)
{
	return (uint32_t)(clock_mono_ns() / CLOCK_NS_PER_S) + 1; // 0: never
}

// ---- the end of one ----

static void note_ended(struct route_groups *gs, const struct route_group *rg)
{
	struct route_ended *e = &gs->ended[gs->n_ended++ % ROUTE_GROUPS_ENDED];

	route_group_info_get(rg, &e->info);
	e->info.state = ROUTE_GROUP_ENDED;
	e->info.forward_id = e->info.consume_id = 0;
	e->info.queued = 0;
	e->at_ns = clock_mono_ns();
	snprintf(e->why, sizeof(e->why), "%s", e->info.why);
	e->info.why = e->why;
	gs->stats.failed += !rg->opened;
	gs->stats.broken += rg->opened && e->info.err != 0 && e->info.err != -ECONNABORTED;
}

void route_groups_forget(struct route_group *rg)
{
	struct route_groups *gs = rg->gs;
	uint32_t ids[] = {rg->end.forward_id, rg->end.consume_id};
	uint16_t port = route_group_local_port(rg);

	note_ended(gs, rg);
	route_group_log(rg, "ended");
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		if (ids[i] != 0)
			route_ends_remove(gs->conf.ends, ids[i]);
	route_ends_unbind(gs->conf.ends, &rg->end);
	if (port >= ROUTE_PORT_FIRST)
		gs->port_s[port - ROUTE_PORT_FIRST] = now_s();
	if (htab_find(gs->table, rg->key) == rg)
		htab_del(gs->table, rg->key);
	TAILQ_REMOVE(&gs->list, rg, link);
	gs->stats.groups--;
	rg->listed = false;
	loop_timer_stop(rg->timer);
	route_group_unref(rg);
}

// ---- the beginning ----

// The two rules, forward first, if they are those of an edge of ours.
static bool read_edge(
	const struct route_groups *gs, const struct setup_edge *edge, struct rule_wire rules[2])
{
	return setup_edge_rules(edge, &rules[0], &rules[1]) && rules[0].key_id != rules[1].key_id &&
	       setup_edge_is_one(edge, &rules[0], &rules[1]) &&
	       memcmp(edge->desc.dst_pk, identity_pk(gs->conf.id)->b, KEY_PK_LEN) == 0 &&
	       key_pk_is_valid((const struct key_pk *)edge->desc.src_pk);
}

static int check_limits(struct route_groups *gs, const uint8_t *pk)
{
	const struct route_group *rg;
	uint32_t n = 0;
	int rc = 0;

	TAILQ_FOREACH (rg, &gs->list, link)
		n += memcmp(rg->key, pk, KEY_PK_LEN) == 0;
	if (gs->stats.groups >= gs->conf.max)
		rc = -EMFILE;
	else if (n >= gs->conf.max_peer)
		rc = -EDQUOT;
	gs->stats.refused += rc != 0;
	return rc;
}

static int group_begin(struct route_group *rg, const struct rule_wire rules[2], bool initiator)
{
	const struct route_groups_conf *conf = &rg->gs->conf;
	int64_t keep_ns = rules[0].keep_alive_ns < rules[1].keep_alive_ns ? rules[0].keep_alive_ns
									  : rules[1].keep_alive_ns;
	uint64_t keep_ms = (uint64_t)keep_ns / CLOCK_NS_PER_MS;
	struct route_way way;
	struct group_conf gc = {.initiator = initiator,
		.allow_plain = conf->allow_plain,
		.forward_id = rules[0].key_id,
		.keep_alive_ms = keep_ms < UINT32_MAX ? (uint32_t)keep_ms : UINT32_MAX,
		.wall_ms = (int64_t)(clock_wall_ns() / CLOCK_NS_PER_MS),
		.s = identity_sk(conf->id)->b,
		.s_pk = identity_pk(conf->id)->b,
		.rs = rules[1].desc.src_pk,
		.by = loop_aead(conf->loop)};

	rg->forward = rules[0];
	conf->way(conf->way_arg, &rg->forward, &way);
	rg->worker = way.worker;
	gc.payload_max = way.payload_max;
	return group_init(&rg->g, &gc, clock_mono_ns());
}

static struct route_group *group_new(
	struct route_groups *gs, const struct rule_wire rules[2], bool initiator, int *rc)
{
	const struct rule_desc *desc = &rules[1].desc;
	struct route_group *rg = calloc(1, sizeof(*rg));

	*rc = -ENOMEM;
	if (rg == NULL)
		return NULL;
	rg->gs = gs;
	rg->refs = 1;
	rg->since_ns = clock_mono_ns();
	rg->base.ops = &route_group_ops;
	rg->end.ops = &route_group_end_ops;
	rg->end.arg = rg;
	key_make(rg->key, desc->src_pk, desc->src_port, desc->dst_port);
	rg->timer = loop_timer_new(gs->conf.loop, route_group_on_timer, rg);
	if (rg->timer != NULL)
		*rc = group_begin(rg, rules, initiator);
	if (*rc == 0)
		*rc = htab_put(gs->table, rg->key, rg);
	if (*rc < 0) {
		route_group_unref(rg);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&gs->list, rg, link);
	rg->listed = true;
	gs->stats.groups++;
	route_ends_bind(gs->conf.ends, &rg->end, rules[0].key_id, rules[1].key_id);
	return rg;
}

// A group whose rules are under way, or NULL and -errno.
static struct route_group *begin(
	struct route_groups *gs, const struct setup_edge *edge, bool initiator, int *rc)
{
	struct rule_wire rules[2];
	uint8_t key[ROUTE_KEY_LEN];
	struct route_group *rg, *old;

	*rc = read_edge(gs, edge, rules) ? 0 : -EINVAL;
	if (*rc != 0)
		return NULL;
	key_make(key, edge->desc.src_pk, edge->desc.src_port, edge->desc.dst_port);
	old = htab_find(gs->table, key);
	if (old != NULL && (initiator || old->install != NULL)) {
		*rc = -EEXIST; // also one that is being set up, as visors do
	} else if (old != NULL) {
		gs->stats.replaced++;
		// a Close would end the new one: nodes find groups by descriptor
		route_group_drop(old, -ECONNRESET, "the far end set it up anew");
	}
	if (*rc == 0)
		*rc = check_limits(gs, edge->desc.src_pk);
	rg = *rc == 0 ? group_new(gs, rules, initiator, rc) : NULL;
	if (rg == NULL)
		return NULL;
	rg->install = rule_mgr_install(gs->conf.rules, rules, 2, route_group_on_installed, rg);
	if (rg->install != NULL)
		return rg;
	*rc = -errno;
	route_ends_unbind(gs->conf.ends, &rg->end); // the ids are the caller's
	rg->err = *rc;
	snprintf(rg->why, sizeof(rg->why), "its rules were not installed: %s", strerror(-*rc));
	route_groups_forget(rg);
	return NULL;
}

int route_groups_accept(struct route_groups *gs, const struct setup_edge *edge,
	void (*done)(void *arg, int status), void *arg)
{
	int rc;
	struct route_group *rg = begin(gs, edge, false, &rc);

	if (rg == NULL)
		return rc;
	gs->stats.accepted++;
	rg->done = done;
	rg->done_arg = arg;
	return 0;
}

struct conn *route_groups_open(struct route_groups *gs, const struct setup_edge *edge,
	const struct conn_events *ev, void *arg)
{
	int rc;
	struct route_group *rg = begin(gs, edge, true, &rc);

	if (rg == NULL)
		return errno_null(rc);
	gs->stats.dialled++;
	rg->owned = true;
	rg->refs++;
	conn_set_events(&rg->base, ev, arg);
	return &rg->base;
}

int route_groups_close(struct route_groups *gs, const struct key_pk *remote, uint16_t remote_port,
	uint16_t local_port, const char *why)
{
	uint8_t key[ROUTE_KEY_LEN];
	struct route_group *rg;

	key_make(key, remote->b, remote_port, local_port);
	rg = htab_find(gs->table, key);
	if (rg == NULL)
		return -ENOENT;
	if (group_state(&rg->g) == GROUP_OPEN)
		group_fail(&rg->g, clock_mono_ns(), -ECONNABORTED, why);
	else
		group_close(&rg->g, clock_mono_ns(), why);
	route_group_pump(rg);
	return 0;
}

// ---- ports ----

uint16_t route_groups_port(
	struct route_groups *gs, const struct key_pk *remote, uint16_t remote_port)
{
	const unsigned n = ROUTE_PORT_LAST - ROUTE_PORT_FIRST + 1;
	uint8_t key[ROUTE_KEY_LEN];

	for (unsigned i = 0; i < n; i++) {
		unsigned at = (gs->next_port + i) % n;
		uint16_t port = (uint16_t)(ROUTE_PORT_FIRST + at);

		key_make(key, remote->b, remote_port, port);
		if (gs->port_s[at] != 0 && now_s() - gs->port_s[at] <= ROUTE_PORT_AGAIN_S)
			continue;
		if (htab_find(gs->table, key) != NULL)
			continue;
		gs->port_s[at] = now_s();
		gs->next_port = (uint16_t)((at + 1) % n);
		return port;
	}
	return 0;
}

static struct route_listener *find_listener(struct route_groups *gs, uint16_t port)
{
	for (size_t i = 0; i < gs->n_listeners; i++)
		if (gs->listeners[i].port == port)
			return &gs->listeners[i];
	return NULL;
}

int route_groups_listen(struct route_groups *gs, uint16_t port, route_accept_fn fn, void *arg)
{
	struct route_listener *more;

	if (find_listener(gs, port) != NULL)
		return -EADDRINUSE;
	if (gs->n_listeners == gs->cap_listeners) {
		more = realloc(gs->listeners, (gs->cap_listeners + 8) * sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		gs->listeners = more;
		gs->cap_listeners += 8;
	}
	gs->listeners[gs->n_listeners++] = (struct route_listener){port, fn, arg, clock_mono_ns()};
	return 0;
}

void route_groups_unlisten(struct route_groups *gs, uint16_t port)
{
	struct route_listener *l = find_listener(gs, port);

	if (l != NULL)
		*l = gs->listeners[--gs->n_listeners];
}

// As visors name what should be there (skywire-routing 4.5).
static const char *app_name(uint16_t port)
{
	switch (port) {
	case 1:
		return "skychat";
	case 3:
		return "skysocks";
	case 13:
		return "skysocks-client";
	case 43:
		return "vpn-client";
	case 44:
		return "vpn-server";
	default:
		return "service";
	}
}

void route_groups_opened(struct route_group *rg)
{
	struct route_groups *gs = rg->gs;
	uint16_t port = route_group_local_port(rg);
	const struct route_listener *l = find_listener(gs, port);
	char text[64];

	if (l == NULL) {
		gs->stats.no_listener++;
		snprintf(text, sizeof(text), "no listener on port %u, %s offline", port,
			app_name(port));
		group_close(&rg->g, clock_mono_ns(), text);
		route_group_pump(rg);
		return;
	}
	rg->owned = rg->told_open = true;
	rg->refs++;
	l->fn(l->arg, &rg->base, route_group_remote(rg), route_group_remote_port(rg), port);
}

// ---- all of them ----

static void on_detach(void *arg)
{
	struct route_groups *gs = arg;
	struct route_group *rg;

	while ((rg = TAILQ_FIRST(&gs->list)) != NULL)
		route_group_drop(rg, -ENETDOWN, "the data plane is gone");
}

static void on_room(void *arg)
{
	struct route_groups *gs = arg;
	struct route_group *rg, *next;

	for (rg = TAILQ_FIRST(&gs->list); rg != NULL; rg = next) {
		rg->refs++; // so that the link is good
		route_group_room(rg);
		next = TAILQ_NEXT(rg, link);
		if (!rg->listed)
			next = TAILQ_FIRST(&gs->list); // rare: look through all again
		route_group_unref(rg);
	}
}

struct route_groups *route_groups_new(const struct route_groups_conf *conf)
{
	struct route_groups *gs = calloc(1, sizeof(*gs));
	uint8_t secret[HTAB_SECRET_LEN];

	if (gs == NULL)
		return NULL;
	gs->conf = *conf;
	if (gs->conf.max == 0)
		gs->conf.max = ROUTE_GROUPS_MAX;
	if (gs->conf.max_peer == 0)
		gs->conf.max_peer = ROUTE_GROUPS_PEER_MAX;
	if (gs->conf.queued_max == 0)
		gs->conf.queued_max = ROUTE_GROUPS_QUEUED_MAX;
	TAILQ_INIT(&gs->list);
	if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret) ||
		getrandom(&gs->next_port, sizeof(gs->next_port), 0) != sizeof(gs->next_port)) {
		free(gs);
		return errno_null(EIO);
	}
	gs->table = htab_new(ROUTE_KEY_LEN, gs->conf.max, secret);
	if (gs->table == NULL) {
		free(gs);
		return errno_null(ENOMEM);
	}
	gs->handler = (struct dp_handler){.on_detach = on_detach, .on_room = on_room, .arg = gs};
	dp_client_register(conf->dp, &gs->handler);
	return gs;
}

void route_groups_leave(struct route_groups *gs)
{
	struct route_group *rg, *next;

	for (rg = TAILQ_FIRST(&gs->list); rg != NULL; rg = next) {
		next = TAILQ_NEXT(rg, link);
		group_close(&rg->g, clock_mono_ns(), "the node ends");
		route_group_pump(rg);
	}
}

void route_groups_free(struct route_groups *gs)
{
	struct route_group *rg;

	if (gs == NULL)
		return;
	dp_client_unregister(gs->conf.dp, &gs->handler);
	while ((rg = TAILQ_FIRST(&gs->list)) != NULL)
		route_group_drop(rg, -ESHUTDOWN, "the node ends");
	htab_free(gs->table);
	mux_pool_fini(&gs->pool);
	free(gs->listeners);
	free(gs);
}

void route_groups_each(const struct route_groups *gs,
	void (*fn)(void *arg, const struct route_group_info *info), void *arg)
{
	const struct route_group *rg;
	struct route_group_info info;
	unsigned n = gs->n_ended < ROUTE_GROUPS_ENDED ? gs->n_ended : ROUTE_GROUPS_ENDED;

	for (size_t i = 0; i < gs->n_listeners; i++) {
		info = (struct route_group_info){.local_port = gs->listeners[i].port,
			.state = ROUTE_GROUP_LISTENS,
			.age_ms = (clock_mono_ns() - gs->listeners[i].since_ns) / CLOCK_NS_PER_MS,
			.why = ""};
		fn(arg, &info);
	}
	TAILQ_FOREACH_REVERSE (rg, &gs->list, route_group_list, link) {
		route_group_info_get(rg, &info);
		fn(arg, &info);
	}
	for (unsigned i = 1; i <= n; i++) {
		const struct route_ended *e = &gs->ended[(gs->n_ended - i) % ROUTE_GROUPS_ENDED];

		info = e->info;
		info.age_ms = (clock_mono_ns() - e->at_ns) / CLOCK_NS_PER_MS;
		fn(arg, &info);
	}
}

void route_groups_stats_get(const struct route_groups *gs, struct route_groups_stats *out)
{
	*out = gs->stats;
}
