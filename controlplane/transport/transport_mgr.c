// The list of transports, their states and who is told of them: adding, dialing, ending, and
// the second-by-second housekeeping. It makes no handshake message (transport_hs.c,
// transport_rekey.c) and no command (transport_dp.c, transport_ping.c).
#include "controlplane/transport/transport_mgr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "controlplane/core/backoff.h"
#include "controlplane/dp/handles.h"
#include "controlplane/dp/neigh_nl.h"
#include "controlplane/transport/transport_priv.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/wire/entry.h"
#include "lib/wire/rail_frame.h"

LOG_MODULE("transport");

enum { TICK_MS = 1000, REKEY_SLACK_S = 10 };

static const char why_denied[] = "denied by the configuration: see [peers] and [peer NAME]";

uint64_t tp_random64(void)
{
	uint64_t v = 0;

	while (v == 0 && getrandom(&v, sizeof(v), 0) != sizeof(v))
		v = 0;
	return v;
}

// ---- states ----

void tp_tell(struct transport *t, enum transport_change what)
{
	for (struct transport_watch *w = t->m->watches; w != NULL; w = w->next)
		w->fn(w->arg, t, what);
}

void tp_state_set(struct transport *t, enum transport_state s, const char *why)
{
	bool was_up = t->state == TRANSPORT_UP, is_up = s == TRANSPORT_UP;

	if (why != t->why)
		snprintf(t->why, sizeof(t->why), "%s", why != NULL ? why : "");
	if (t->state == s)
		return;
	t->state = s;
	t->state_ns = clock_mono_ns();
	if (is_up)
		log_notice("transport %s: up, %s %s", t->conf.name,
			t->initiator ? "dialed" : "accepted",
			t->carried != NULL ? transport_type_name(transport_type(t))
					   : aead_cipher_name(t->cipher));
	else if (was_up)
		log_notice("transport %s: %s%s%s", t->conf.name, transport_state_name(s),
			t->why[0] != '\0' ? ", " : "", t->why);
	if (is_up != was_up)
		tp_tell(t, is_up ? TRANSPORT_CHANGE_UP : TRANSPORT_CHANGE_DOWN);
}

// ---- the way to the peer ----

const char *tp_why_no_way(const struct neigh_path *path)
{
	switch (path->state) {
	case NEIGH_NO_ROUTE:
		return "no route to the peer by a port of the data plane";
	case NEIGH_LINK_DOWN:
		return "the link of its port is down";
	case NEIGH_FAILED:
		return "the next hop does not answer";
	case NEIGH_RESOLVING:
		return "looking for the next hop";
	default:
		return path->mtu < TP_MTU_MIN ? "the path carries less than 1280 bytes of IP"
					      : NULL;
	}
}

static void on_dial_path(void *arg, const struct neigh_path *path)
{
	struct transport *t = arg;
	const char *why = tp_why_no_way(path);

	if (!t->m->ready || t->removed || t->dial_ref == NULL)
		return;
	if (t->state == TRANSPORT_RESOLVING && why == NULL)
		tp_hs_start(t);
	else if (t->first.no_way && why == NULL)
		tp_hs_hurry(t);
	else if (t->state != TRANSPORT_UP)
		tp_state_set(t, t->state, why != NULL ? why : t->why);
}

// Of one that does not dial: nothing is known to be wrong.
static void wait_for_call(struct transport *t)
{
	if (t->state == TRANSPORT_DOWN && t->why[0] == '\0')
		tp_state_set(t, TRANSPORT_DOWN, "waiting for the peer to call");
}

void tp_dial(struct transport *t)
{
	struct neigh_ref *ref;
	int rc;

	if (t->denied && !t->removed)
		tp_state_set(t, TRANSPORT_DOWN, why_denied);
	if (t->carried != NULL) {
		tp_carried_dial(t);
		return;
	}
	if (!t->m->ready || t->removed || t->denied || t->flow[0]->hop == 0 || t->first.on ||
		t->state == TRANSPORT_UP)
		return;
	// The link that is there, if any, stays with the address it has.
	if (t->conf.addr.port != 0) {
		t->dial_peer = t->conf.addr;
		memcpy(t->dial_scope_if, t->conf.scope_if, sizeof(t->dial_scope_if));
	} else {
		t->dial_peer = t->flow[0]->peer;
		memcpy(t->dial_scope_if, t->scope_if, sizeof(t->dial_scope_if));
	}
	if (t->dial_peer.port == 0 || !t->conf.dial) {
		wait_for_call(t);
		return;
	}
	tp_state_set(t, TRANSPORT_RESOLVING, "looking for the next hop");
	ref = neigh_resolve(t->m->conf.neigh, t->dial_peer.ip, t->dial_scope_if, on_dial_path, t);
	rc = -errno;
	neigh_put(t->dial_ref);
	t->dial_ref = ref;
	if (ref == NULL) {
		tp_state_set(t, TRANSPORT_DOWN, "its address is not usable");
		log_limited(LOG_WARN, "transport %s: its address is not usable: %s", t->conf.name,
			strerror(-rc));
		loop_timer_start(t->timer, backoff_jitter(TP_RETRY_MAX_MS), 0);
	}
}

// ---- housekeeping ----

static bool rekey_is_overdue(const struct transport *t, uint64_t now)
{
	uint64_t ms = t->m->conf.rekey_ms != 0 ? t->m->conf.rekey_ms : RAIL_REKEY_S * 1000;

	// The data plane tells when it is due; events can get lost.
	if (!t->initiator)
		ms += (RAIL_REKEY_RESPONDER_S - RAIL_REKEY_S) * 1000;
	return t->state == TRANSPORT_UP && t->handshake_mono_ns != 0 &&
	       now - t->handshake_mono_ns > ms * CLOCK_NS_PER_MS + REKEY_SLACK_S * CLOCK_NS_PER_S;
}

static void old_indices_drop(struct transport *t, uint64_t now)
{
	for (unsigned i = 0; i < RAIL_FLOWS_MAX; i++) {
		struct tp_flow *f = t->flow[i];

		if (f != NULL && f->rx_old != 0 &&
			now - f->rx_old_ns > TP_OLD_INDEX_S * CLOCK_NS_PER_S)
			tp_indices_put(t, &f->rx_old, 1);
	}
}

// Nobody used the pending keys, or only those of some flows: then the others are silent.
static void pending_over(struct transport *t)
{
	struct tp_flow *silent = NULL;

	for (unsigned i = 0; i < t->pending.n; i++)
		if (silent == NULL && t->flow[i]->pending != 0)
			silent = t->flow[i];
	if (!t->pending.applied)
		silent = NULL;
	tp_hs_answer_drop(t);
	if (silent != NULL)
		tp_dp_dead(silent, "nothing ever came by it");
	else if (t->state != TRANSPORT_UP && t->conf.origin != TRANSPORT_ACCEPTED)
		tp_dial(t);
}

static void tick_one(struct transport *t, uint64_t now)
{
	if (t->carried != NULL) {
		tp_carried_tick(t, now);
		return;
	}
	old_indices_drop(t, now);
	if (t->pending.on && now - t->pending.since_ns > TP_PENDING_S * CLOCK_NS_PER_S)
		pending_over(t);
	if (!t->rekey.on && rekey_is_overdue(t, now))
		tp_rekey_start(t);
	// One that its peer made: never came up, or was silent for long.
	if (t->conf.origin == TRANSPORT_ACCEPTED && t->state != TRANSPORT_UP && !t->pending.on &&
		(t->state != TRANSPORT_DEAD ||
			now - t->state_ns > TP_ACCEPTED_DEAD_S * CLOCK_NS_PER_S)) {
		tp_dp_del(t, RAIL_CLOSE_REQUESTED, "silent");
		tp_remove(t);
	}
}

static void on_tick(void *arg)
{
	struct transport_mgr *m = arg;
	uint64_t now = clock_mono_ns();
	struct transport *t;
	struct tp_iter it;

	tp_outbox_tick(m, now, false);
	tp_cookies_tell(m);
	if (!m->ready)
		return;
	for (t = tp_iter_first(m, &it); t != NULL; t = tp_iter_next(m, &it))
		tick_one(t, now);
	tp_dp_ask(m);
}

// ---- list ----

struct transport *tp_iter_next(struct transport_mgr *m, struct tp_iter *it)
{
	struct transport *t = it->next;

	if (t != NULL)
		it->next = t->next;
	else
		tp_iter_end(m, it);
	return t;
}

// Most of them nest, so that the last one is the first to end.
void tp_iter_end(struct transport_mgr *m, struct tp_iter *it)
{
	struct tp_iter **p = &m->iters;

	while (*p != NULL && *p != it)
		p = &(*p)->outer;
	if (*p != NULL)
		*p = it->outer;
}

// Not inlined: gcc 12 would take the walker's place on the caller's stack for one that outlives it.
__attribute__((noinline)) void tp_iter_begin(struct transport_mgr *m, struct tp_iter *it)
{
	*it = (struct tp_iter){.next = m->first, .outer = m->iters};
	m->iters = it;
}

struct transport *tp_iter_first(struct transport_mgr *m, struct tp_iter *it)
{
	tp_iter_begin(m, it);
	return tp_iter_next(m, it);
}

void transport_mgr_each(
	struct transport_mgr *m, void (*fn)(void *arg, struct transport *t), void *arg)
{
	struct transport *t;
	struct tp_iter it;

	for (t = tp_iter_first(m, &it); t != NULL; t = tp_iter_next(m, &it))
		fn(arg, t);
}

// All that t has but its memory.
static void transport_fini(struct transport *t)
{
	tp_carried_free(t);
	tp_flows_free(t);
	rail_hs_fini(&t->first.side);
	rail_hs_fini(&t->rekey.side);
	rail_hs_keys_wipe(&t->answer.keys);
	loop_timer_free(t->timer);
	loop_timer_free(t->rekey_timer);
}

static void transport_free(struct transport *t)
{
	transport_fini(t);
	free(t);
}

static bool unlink_from(struct transport **p, struct transport *t)
{
	while (*p != NULL && *p != t)
		p = &(*p)->next;
	if (*p == NULL)
		return false;
	*p = t->next;
	t->next = NULL;
	return true;
}

void tp_settle(struct transport *t)
{
	if (t->n_cmds != 0 || t->del_due != 0 || !t->removed)
		return;
	if (t->m == NULL) {
		free(t); // the manager went before the last answer came
		return;
	}
	unlink_from(&t->m->dying, t);
	transport_free(t);
}

void tp_cmd_done(struct transport *t)
{
	t->n_cmds--;
	tp_settle(t);
}

struct transport *tp_new(struct transport_mgr *m, const struct transport_conf *conf)
{
	const char *type = transport_type_name((enum transport_type)conf->type);
	struct transport *t = calloc(1, sizeof(*t));
	bool carried = tp_is_carried(conf);
	int rc = -ENOMEM;

	if (t == NULL)
		return NULL;
	t->m = m;
	t->conf = *conf;
	if (carried)
		t->conf.mode = HOP_MODE_CARRIED;
	// A name that somebody has already is no reason to lose a hop that lives.
	if (t->conf.name[0] == '\0' || transport_mgr_find(m, t->conf.name) != NULL)
		snprintf(t->conf.name, sizeof(t->conf.name), "peer-%02x%02x%02x%02x%02x%02x%s%s",
			conf->peer.b[0], conf->peer.b[1], conf->peer.b[2], conf->peer.b[3],
			conf->peer.b[4], conf->peer.b[5], carried ? "-" : "", carried ? type : "");
	t->n = 1;
	t->state_ns = clock_mono_ns();
	t->instance_local = tp_random64();
	entry_transport_id(t->tp_id, m->self.pk->b, conf->peer.b, type);
	t->timer = loop_timer_new(m->conf.loop, carried ? tp_carried_on_timer : tp_hs_on_timer, t);
	t->rekey_timer = loop_timer_new(m->conf.loop, tp_rekey_on_timer, t);
	if (t->timer == NULL || t->rekey_timer == NULL || tp_flow_new(t, 1) == NULL ||
		(carried && !tp_carried_new(t)))
		goto err_transport;
	rc = htab_put(m->by_id, t->tp_id, t);
	if (rc != 0)
		goto err_transport;
	for (struct transport **p = &m->first;; p = &(*p)->next) { // in the order they came
		if (*p == NULL) {
			*p = t;
			break;
		}
	}
	m->n++;
	if (conf->origin == TRANSPORT_ACCEPTED)
		m->n_accepted++;
	if (m->ready)
		tp_handles_want(t);
	else
		tp_state_set(t, TRANSPORT_DOWN, "no data plane");
	tp_tell(t, TRANSPORT_CHANGE_ADDED);
	return t;

err_transport:
	transport_free(t);
	return errno_null(rc);
}

// Whoever is told of it may call us: t is out of everybody's reach before, and freed after.
void tp_remove(struct transport *t)
{
	struct transport_mgr *m = t->m;

	t->removed = true;
	t->n_cmds++; // ours
	for (struct tp_iter *it = m->iters; it != NULL; it = it->outer) {
		if (it->next == t)
			it->next = t->next;
	}
	unlink_from(&m->first, t);
	tp_carried_hang_up(t);
	tp_carried_gone(t);
	htab_del(m->by_id, t->tp_id);
	tp_handles_unmap(t);
	m->n--;
	if (t->conf.origin == TRANSPORT_ACCEPTED)
		m->n_accepted--;
	t->next = m->dying;
	m->dying = t;
	tp_hs_stop(t);
	tp_rekey_stop(t);
	tp_hs_answer_drop(t);
	for (unsigned i = 0; i < RAIL_FLOWS_MAX; i++) {
		struct tp_flow *f = t->flow[i];

		if (f == NULL)
			continue;
		neigh_put(f->roam_ref);
		f->roam_ref = NULL;
		if (t->del_due == 0) { // else its CLOSE needs the way
			neigh_put(f->ref);
			f->ref = NULL;
		}
	}
	tp_state_set(t, TRANSPORT_DOWN, "removed");
	tp_tell(t, TRANSPORT_CHANGE_REMOVED);
	tp_pings_end(t);
	tp_cmd_done(t);
}

// ---- who may connect ----

// A transport of whatever type that the operator made: who has one makes more of its own, as a
// visor with a stcp transport makes one over dmsg before it sends a route. What peers and set-up
// nodes made names nobody, nor does what was only found when we began.
static bool is_named(struct transport_mgr *m, const struct key_pk *peer)
{
	for (int type = 0; type < TRANSPORT_N_TYPES; type++) {
		const struct transport *t = transport_mgr_find_peer(m, peer, type);

		if (t != NULL && (t->conf.origin == TRANSPORT_CONFIGURED ||
					 t->conf.origin == TRANSPORT_ADDED))
			return true;
	}
	return false;
}

bool tp_may_come(struct transport_mgr *m, const struct key_pk *peer, enum peer_access access)
{
	return access == PEER_ALLOWED || m->conf.allow_any || is_named(m, peer);
}

static bool may_connect(const struct transport *t, enum peer_access access)
{
	if (access == PEER_DENIED)
		return false;
	return t->conf.origin != TRANSPORT_ACCEPTED || tp_may_come(t->m, &t->conf.peer, access);
}

bool tp_policy(struct transport *t)
{
	enum peer_access access = peer_list_find(t->m->conf.peers, &t->conf.peer, NULL);

	t->denied = access == PEER_DENIED;
	if (may_connect(t, access))
		return true;
	if (t->in_dp || t->adding)
		log_notice(
			"transport %s: its peer may not connect any more: closing", t->conf.name);
	tp_dp_del(t, RAIL_CLOSE_POLICY, "not allowed any more");
	if (t->conf.origin == TRANSPORT_ACCEPTED || t->conf.origin == TRANSPORT_ADOPTED) {
		tp_remove(t);
	} else {
		loop_timer_stop(t->timer);
		tp_state_set(t, TRANSPORT_DOWN, why_denied);
	}
	return false;
}

void transport_mgr_policy(struct transport_mgr *m, bool allow_any, const struct peer_list *peers)
{
	struct transport *t;
	struct tp_iter it;

	m->conf.allow_any = allow_any;
	m->conf.peers = peers;
	for (t = tp_iter_first(m, &it); t != NULL; t = tp_iter_next(m, &it)) {
		bool was = t->denied;

		if (tp_policy(t) && was) {
			tp_state_set(t, TRANSPORT_DOWN, NULL);
			tp_dial(t);
		}
	}
}

// ---- interface ----

static int say(char *err, size_t err_len, int rc, const char *text)
{
	if (err != NULL && err_len > 0)
		snprintf(err, err_len, "%s", text);
	return rc;
}

const char *transport_addr_wrong(const struct transport_conf *c)
{
	if (c->addr.port == 0)
		return NULL;
	if (!transport_type_has_address((enum transport_type)c->type))
		return "a transport of this type has no address: the peer is found by its key";
	if (!neigh_nl_is_unicast(c->addr.ip))
		return "address is no address of one other node: loopback, multicast and "
		       "0.0.0.0 are none";
	if (neigh_nl_is_link_local(c->addr.ip) && c->scope_if[0] == '\0')
		return "a link-local address needs interface too";
	return NULL;
}

static int conf_check(
	struct transport_mgr *m, const struct transport_conf *c, char *err, size_t err_len)
{
	size_t n = strnlen(c->name, sizeof(c->name));

	if (n == 0 || n == sizeof(c->name))
		return say(err, err_len, -EINVAL, "a transport's name has 1 to 31 characters");
	if (c->type >= TRANSPORT_N_TYPES)
		return say(err, err_len, -EINVAL, "no such type of transport");
	if (!key_pk_is_valid(&c->peer))
		return say(err, err_len, -EINVAL, "peer is not a public key");
	if (key_pk_cmp(&c->peer, m->self.pk) == 0)
		return say(err, err_len, -EINVAL, "peer is this node's own key");
	if (transport_addr_wrong(c) != NULL)
		return say(err, err_len, -EINVAL, transport_addr_wrong(c));
	if (tp_is_carried(c))
		return 0; // the rest is of rails
	if (c->mode > HOP_MODE_RELIABLE)
		return say(err, err_len, -EINVAL, "mode is reliable or datagram");
	if (c->flows > RAIL_FLOWS_MAX)
		return say(err, err_len, -EINVAL, "a transport has 1 to 32 flows");
	if ((c->ciphers & (TRANSPORT_AUTO | TRANSPORT_NONE)) == 0)
		return say(err, err_len, -EINVAL, "no cipher is left to offer");
	if (c->congestion > HOP_CC_CUBIC)
		return say(err, err_len, -EINVAL, "congestion is default, bbr or cubic");
	if (c->path_mtu > TRANSPORT_MTU_AUTO && c->path_mtu < HOP_PATH_MTU_MIN)
		return say(err, err_len, -EINVAL, "path_mtu is auto, or 1280 at least");
	return 0;
}

// One that came by itself, or by hand, gets a name and an owner.
static void take_over(struct transport *t, const struct transport_conf *conf)
{
	bool mode_fits = t->conf.mode == conf->mode || t->carried != NULL;

	if (t->conf.origin == TRANSPORT_ACCEPTED)
		t->m->n_accepted--;
	t->conf = *conf;
	if (t->carried != NULL)
		t->conf.mode = HOP_MODE_CARRIED;
	if ((t->in_dp || t->adding) && (!mode_fits || !tp_link_fits(t)))
		tp_link_unfit(t);
	else if (t->in_dp)
		tp_tell(t, TRANSPORT_CHANGE_IN_DP); // rules may wait for the name
	if (t->state != TRANSPORT_UP)
		tp_dial(t);
}

int transport_mgr_add(
	struct transport_mgr *m, const struct transport_conf *conf, char *err, size_t err_len)
{
	struct transport *t;
	int rc = conf_check(m, conf, err, err_len);

	if (rc != 0)
		return rc;
	if (conf->origin != TRANSPORT_CONFIGURED &&
		peer_list_find(m->conf.peers, &conf->peer, NULL) == PEER_DENIED)
		return say(err, err_len, -EACCES, why_denied);
	if (tp_in_the_way(m, conf, &t))
		return tp_way_text(m, conf, t, err, err_len);
	if (t != NULL) {
		take_over(t, conf);
		return 0;
	}
	t = tp_new(m, conf);
	if (t == NULL)
		return say(err, err_len, -errno, "too many transports, or no memory");
	if (tp_policy(t))
		tp_dial(t);
	return 0;
}

int transport_mgr_check(
	struct transport_mgr *m, const struct transport_conf *conf, char *err, size_t err_len)
{
	struct transport *named = transport_mgr_find(m, conf->name), *t;
	bool way = tp_in_the_way(m, conf, &t);
	int rc = conf_check(m, conf, err, err_len);
	size_t n;

	if (rc != 0 || !way)
		return rc;
	// Those of the old configuration that are in the way go before.
	if ((t == NULL || t->conf.origin != TRANSPORT_ADDED) &&
		(named == NULL || named->conf.origin == TRANSPORT_CONFIGURED))
		return 0;
	tp_way_text(m, conf, t, err, err_len);
	n = strlen(err);
	if (t == NULL || t->conf.origin != TRANSPORT_ADDED)
		t = named;
	snprintf(err + n, err_len - n, "; `skyrail transport del %s` first", t->conf.name);
	return -EEXIST;
}

int transport_mgr_del(struct transport_mgr *m, const char *name)
{
	struct transport *t = transport_mgr_find(m, name);

	if (t == NULL)
		return -ENOENT;
	if (m->ready)
		tp_dp_del(t, RAIL_CLOSE_REQUESTED, "removed by its operator");
	tp_remove(t);
	return 0;
}

void transport_mgr_watch(struct transport_mgr *m, struct transport_watch *w)
{
	struct transport_watch **p = &m->watches;

	while (*p != NULL)
		p = &(*p)->next;
	w->next = NULL;
	*p = w;
}

void transport_mgr_unwatch(struct transport_mgr *m, struct transport_watch *w)
{
	struct transport_watch **p = &m->watches;

	while (*p != NULL && *p != w)
		p = &(*p)->next;
	if (*p != NULL)
		*p = w->next;
}

void transport_mgr_stats_get(const struct transport_mgr *m, struct transport_mgr_stats *out)
{
	*out = m->stats;
	out->drop_carried_late += carriers_late(m->car.threads);
	out->drop_carried_flood =
		carried_links_flood(m->car.links) + carriers_flood(m->car.threads);
}

// ---- life ----

static int mgr_init(struct transport_mgr *m)
{
	uint8_t secret[HTAB_SECRET_LEN];
	int err;

	if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
		return -EIO;
	m->by_id = htab_new(ENTRY_ID_LEN, TP_MAX, secret);
	m->tps = handles_new();
	m->hops = handles_new();
	m->by_hop = calloc(1u << DPMSG_HANDLE_BITS, sizeof(*m->by_hop));
	m->by_tp = calloc(1u << DPMSG_HANDLE_BITS, sizeof(*m->by_tp));
	m->limit = hs_limit_new(clock_mono_ns());
	m->init_time = init_time_open(m->conf.state_dir, &err);
	m->tick = loop_timer_new(m->conf.loop, on_tick, m);
	m->car.links = carried_links_new(m->conf.loop, CARRIED_LINKS_OUT_MAX);
	if (m->conf.carriers > 0)
		m->car.threads = carriers_new(m->conf.loop, m->conf.carriers);
	if (m->by_id == NULL || m->tps == NULL || m->hops == NULL || m->by_hop == NULL ||
		m->by_tp == NULL || m->limit == NULL || m->init_time == NULL || m->tick == NULL ||
		m->car.links == NULL || (m->conf.carriers > 0 && m->car.threads == NULL))
		return -ENOMEM;
	if (err != 0)
		log_warn("%s/last_init can't be used (%s): after a restart with the clock set "
			 "back, peers will not believe our handshakes until it caught up",
			m->conf.state_dir, strerror(-err));
	return 0;
}

struct transport_mgr *transport_mgr_new(const struct transport_mgr_conf *conf)
{
	struct transport_mgr *m = calloc(1, sizeof(*m));
	int rc;

	if (m == NULL)
		return NULL;
	m->conf = *conf;
	m->car.born_ns = clock_mono_ns();
	if (m->conf.accepted_max == 0)
		m->conf.accepted_max = TP_ACCEPTED_MAX;
	if (m->conf.flows == 0)
		m->conf.flows = 1;
	m->self = (struct rail_hs_self){.pk = identity_pk(conf->id), .sk = identity_sk(conf->id)};
	rc = mgr_init(m);
	if (rc != 0) {
		transport_mgr_free(m);
		return errno_null(rc);
	}
	m->conf.state_dir = NULL; // was borrowed
	tp_dp_handlers(m);
	loop_timer_start(m->tick, TICK_MS, TICK_MS);
	return m;
}

void transport_mgr_free(struct transport_mgr *m)
{
	if (m == NULL)
		return;
	if (m->handler.arg != NULL)
		dp_client_unregister(m->conf.dp, &m->handler);
	m->watches = NULL;
	m->ready = false;
	for (unsigned i = 0; i < TRANSPORT_N_TYPES; i++)
		transport_mgr_listen(m, (enum transport_type)i, NULL);
	transport_mgr_dmsg(m, NULL);
	tp_calls_close(m);
	while (m->pings != NULL)
		tp_ping_end(m->pings, -ENOTCONN, 0);
	tp_outbox_tick(m, 0, true);
	while (m->first != NULL) {
		m->first->state = TRANSPORT_DOWN; // unsaid: it lives on in the data plane
		tp_remove(m->first);
	}
	tp_dels_drop(m);
	while (m->dying != NULL) { // their commands end with the data plane's client
		struct transport *t = m->dying;

		m->dying = t->next;
		transport_fini(t);
		t->m = NULL;
	}
	loop_timer_free(m->tick);
	carriers_free(m->car.threads);
	carried_links_free(m->car.links);
	init_time_close(m->init_time);
	hs_limit_free(m->limit);
	rx_index_free(m->rx);
	handles_free(m->tps);
	handles_free(m->hops);
	free(m->by_hop);
	free(m->by_tp);
	htab_free(m->by_id);
	free(m);
}
