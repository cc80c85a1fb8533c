// Calls of set-up nodes into claims (lib/route/claim) and rules (rule_mgr). A call that installs
// moves its ids to BUSY before anything is sent, so that a second one that names them, on whichever
// stream, is refused. What the data plane says of a rule's end ends its claim; after a resync those
// that it did not name are gone.
#include "controlplane/route/route_gate.h"

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/route/setup_plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

LOG_MODULE("route");

struct route_call {
	struct route_gate *gate;
	route_call_fn done; // NULL: nobody waits
	void *arg;
	struct rule_install *install; // one of these two, or edges' accept
	struct rule_job *job;
	struct key_pk by;
	uint32_t n;
	LIST_ENTRY(route_call) entry;
	uint32_t ids[];
};

struct route_gate {
	struct route_gate_conf conf;
	bool no_transit;
	struct claims *claims;
	struct loop_timer *timer; // the next reservation runs out
	struct dp_handler handler;
	LIST_HEAD(, route_call) calls;
	uint32_t n_calls;
	struct route_gate_stats stats;
};

// ---- why not ----

__attribute__((format(printf, 3, 4))) static int refuse(
	struct route_gate *g, char why[ROUTE_WHY_MAX], const char *fmt, ...)
{
	va_list ap;

	g->stats.refused++;
	va_start(ap, fmt);
	vsnprintf(why, ROUTE_WHY_MAX, fmt, ap);
	va_end(ap);
	return -EACCES;
}

static const char *rule_wrong(int status)
{
	switch (status) {
	case -ENOENT:
		return "is not reserved by you, or was for too long";
	case -EEXIST:
		return "has a rule already";
	case -ESTALE:
		return "is not reserved any more";
	case -ENODEV:
		return SETUP_NO_TRANSPORT;
	case -ENETDOWN:
		return "its transport is not up";
	case -ENOTCONN:
	case -ECONNRESET:
		return "the data plane is away";
	default:
		return strerror(-status);
	}
}

static int refuse_rule(struct route_gate *g, char why[ROUTE_WHY_MAX], uint32_t id, int status)
{
	g->stats.foreign += status == -ENOENT;
	if (status == -EDQUOT)
		return refuse(g, why, "failure code 1 (there are too many rules of yours)");
	return refuse(g, why, "failure code 1 (id %u: %s)", id, rule_wrong(status));
}

// ---- reservations ----

static void on_lapsed(void *arg, uint32_t id)
{
	struct route_gate *g = arg;

	route_id_release(g->conf.ids, id);
	g->stats.lapsed++;
}

static void expire(void *arg)
{
	struct route_gate *g = arg;
	uint64_t next = claims_expire(g->claims, clock_mono_ns(), on_lapsed, g);

	if (next != 0)
		loop_timer_start(g->timer, clock_left_ms(next), 0);
}

static int reserve_one(struct route_gate *g, const struct key_pk *by, uint32_t *id)
{
	int rc;

	*id = route_id_reserve(g->conf.ids);
	if (*id == 0)
		return -ENOSPC;
	rc = claims_reserve(g->claims, by, *id, clock_mono_ns());
	if (rc < 0)
		route_id_release(g->conf.ids, *id);
	return rc;
}

static void give_up(struct route_gate *g, uint32_t id)
{
	claims_drop(g->claims, id);
	route_id_release(g->conf.ids, id);
}

int route_gate_reserve(struct route_gate *g, const struct key_pk *by, uint8_t n,
	uint32_t ids[SETUP_IDS_MAX], char why[ROUTE_WHY_MAX])
{
	int rc = 0;
	unsigned i;

	expire(g);
	if (n > SETUP_IDS_MAX)
		return refuse(g, why, "failure code 4 (more than %d ids)", SETUP_IDS_MAX);
	if (!claims_has_room(g->claims, by, n))
		return refuse(g, why, "failure code 4 (too many ids are reserved)");
	for (i = 0; i < n && rc == 0; i++)
		rc = reserve_one(g, by, &ids[i]);
	if (rc == 0) {
		g->stats.reserved += n;
		if (!loop_timer_is_on(g->timer))
			loop_timer_start(g->timer, ROUTE_HOLD_MS, 0);
		return 0;
	}
	for (i--; i > 0; i--)
		give_up(g, ids[i - 1]);
	return refuse(g, why, "failure code 4 (no available routeIDs)");
}

bool route_gate_claim(struct route_gate *g, const struct key_pk *by, const uint32_t *ids, size_t n)
{
	size_t which;

	if (claims_begin(g->claims, by, ids, n, clock_mono_ns(), &which) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		claims_drop(g->claims, ids[i]);
	return true;
}

// ---- calls ----

// A call outlives its stream, so the limits of streams do not bound them.
static bool call_has_place(const struct route_gate *g, const struct key_pk *by)
{
	const struct route_call *c;
	uint32_t of_key = 0;

	if (g->n_calls < ROUTE_CALLS_OF_KEY)
		return true;
	LIST_FOREACH (c, &g->calls, entry)
		of_key += key_pk_cmp(&c->by, by) == 0;
	return g->n_calls < ROUTE_CALLS_MAX && of_key < ROUTE_CALLS_OF_KEY;
}

static struct route_call *call_new(struct route_gate *g, const struct key_pk *by,
	const uint32_t *ids, uint32_t n, route_call_fn done, void *arg)
{
	struct route_call *c = NULL;

	if (call_has_place(g, by))
		c = calloc(1, sizeof(*c) + n * sizeof(c->ids[0]));
	if (c == NULL)
		return NULL;
	c->gate = g;
	c->by = *by;
	c->done = done;
	c->arg = arg;
	c->n = n;
	memcpy(c->ids, ids, n * sizeof(c->ids[0]));
	LIST_INSERT_HEAD(&g->calls, c, entry);
	g->n_calls++;
	return c;
}

static void call_free(struct route_call *c)
{
	LIST_REMOVE(c, entry);
	c->gate->n_calls--;
	free(c);
}

void route_call_forget(struct route_call *c)
{
	c->done = NULL;
}

static void call_end(struct route_call *c, const char *why)
{
	route_call_fn done = c->done;
	void *arg = c->arg;

	call_free(c);
	if (done != NULL)
		done(arg, why);
}

// Reserved for this call from here on, or `why`.
static struct route_call *begin(struct route_gate *g, const struct key_pk *by, const uint32_t *ids,
	uint32_t n, route_call_fn done, void *arg, char why[ROUTE_WHY_MAX])
{
	struct route_call *c;
	size_t which = 0;
	int rc;

	c = call_new(g, by, ids, n, done, arg);
	if (c == NULL) {
		refuse(g, why, "failure code 1 (too many calls at once: try again)");
		return NULL;
	}
	rc = claims_begin(g->claims, by, ids, n, clock_mono_ns(), &which);
	if (rc == 0)
		return c;
	call_free(c);
	refuse_rule(g, why, ids[which], rc);
	return NULL;
}

// ---- rules that are installed ----

// A rule of the call is there; some ended meanwhile, and some were deleted by another call.
static void is_there(struct route_gate *g, uint32_t id)
{
	struct claim *claim = claims_find(g->claims, id);

	if (claim == NULL)
		return;
	g->stats.laid++;
	if (claim->gone) {
		claims_drop(g->claims, id);
		return;
	}
	claims_laid(g->claims, id, clock_mono_ns());
	if (claim->unwanted && rule_mgr_del(g->conf.rules, &id, 1, NULL, NULL) == NULL)
		log_limited(LOG_WARN, "rule=%u not taken back: it ends with its keep-alive", id);
}

static void installed(struct route_call *c, int status, size_t which)
{
	struct route_gate *g = c->gate;
	char why[ROUTE_WHY_MAX];

	for (uint32_t i = 0; i < c->n; i++) {
		if (status == 0)
			is_there(g, c->ids[i]);
		else // who took the rules sees to the id: it may be somebody else's by now
			claims_drop(g->claims, c->ids[i]);
	}
	if (status == 0) {
		call_end(c, NULL);
		return;
	}
	refuse_rule(g, why, c->ids[which], status);
	log_limited(LOG_INFO, "rules of a set-up not installed: %s", why);
	call_end(c, why);
}

static void on_installed(void *arg, int status, size_t which)
{
	installed(arg, status, which);
}

static const char *keep_alive_wrong(const struct rule_wire *r)
{
	return r->keep_alive_ns < SETUP_KEEP_ALIVE_MIN_S * (int64_t)CLOCK_NS_PER_S ||
			       r->keep_alive_ns > SETUP_KEEP_ALIVE_MAX_S * (int64_t)CLOCK_NS_PER_S
		       ? "keep-alives of 5 s to 3600 s are possible"
		       : NULL;
}

int route_gate_intermediary(struct route_gate *g, const struct key_pk *by,
	const struct rule_wire *rules, uint32_t n, route_call_fn done, void *arg,
	struct route_call **call, char why[ROUTE_WHY_MAX])
{
	uint32_t ids[SETUP_IDS_MAX];
	struct route_call *c;

	if (g->no_transit) {
		g->stats.no_transit++;
		snprintf(why, ROUTE_WHY_MAX, "failure code 1 (visor does not transit routes)");
		return -EACCES;
	}
	for (uint32_t i = 0; i < n; i++) {
		const char *wrong = rules[i].kind != RULE_KIND_INTERMEDIARY
					    ? "is for no intermediary rule"
					    : keep_alive_wrong(&rules[i]);

		if (wrong != NULL)
			return refuse(g, why, "failure code 1 (id %u: %s)", rules[i].key_id, wrong);
		ids[i] = rules[i].key_id;
	}
	if (n == 0)
		return -EALREADY;
	c = begin(g, by, ids, n, done, arg, why);
	if (c == NULL)
		return -EACCES;
	c->install = rule_mgr_install(g->conf.rules, rules, n, on_installed, c);
	if (c->install == NULL) {
		int err = errno;

		for (uint32_t i = 0; i < n; i++)
			give_up(g, ids[i]);
		call_free(c);
		return refuse_rule(g, why, ids[0], -err);
	}
	*call = c;
	return 0;
}

// ---- routes that end here ----

static void on_edge(void *arg, int status)
{
	installed(arg, status, 0);
}

// skywire-routing 2.3: we are responder.
static const char *edge_wrong(const struct route_gate *g, const struct setup_edge *edge,
	const struct rule_wire *forward, const struct rule_wire *consume)
{
	const char *wrong = keep_alive_wrong(forward);

	if (wrong == NULL)
		wrong = keep_alive_wrong(consume);
	if (wrong == NULL && !setup_edge_is_one(edge, forward, consume))
		wrong = "descriptors are not those of one route";
	if (wrong == NULL && memcmp(edge->desc.dst_pk, g->conf.self.b, RULE_PK_LEN) != 0)
		wrong = "the route does not end at this node";
	return wrong;
}

int route_gate_edge(struct route_gate *g, const struct key_pk *by, const struct setup_edge *edge,
	route_call_fn done, void *arg, struct route_call **call, char why[ROUTE_WHY_MAX])
{
	struct rule_wire forward, consume;
	struct route_call *c;
	const char *wrong;
	int rc;

	if (!setup_edge_rules(edge, &forward, &consume))
		return refuse(g, why, "failure code 1 (these are no rules of an edge)");
	wrong = edge_wrong(g, edge, &forward, &consume);
	if (wrong == NULL && g->conf.edges.accept == NULL)
		wrong = "this node takes no route groups";
	if (wrong != NULL)
		return refuse(g, why, "failure code 1 (%s)", wrong);
	c = begin(g, by, (const uint32_t[]){forward.key_id, consume.key_id}, 2, done, arg, why);
	if (c == NULL)
		return -EACCES;
	rc = g->conf.edges.accept(g->conf.edges.arg, edge, on_edge, c);
	if (rc < 0) {
		give_up(g, forward.key_id);
		give_up(g, consume.key_id);
		call_free(c);
		return refuse_rule(g, why, forward.key_id, rc);
	}
	*call = c;
	return 0;
}

// ---- taking back ----

static void on_deleted(void *arg, const struct api_rule_done *done, size_t n)
{
	struct route_call *c = arg;
	struct route_gate *g = c->gate;
	char why[ROUTE_WHY_MAX];
	size_t bad = n;

	for (size_t i = 0; i < n; i++) {
		if (done[i].status == 0)
			g->stats.taken_back++;
		else if (done[i].status != -ENOENT) // went by itself
			bad = i;
	}
	if (bad < n)
		refuse_rule(g, why, done[bad].id, done[bad].status);
	call_end(c, bad < n ? why : NULL);
}

// Is there a rule that has to be deleted?
static bool take_back(struct route_gate *g, const struct key_pk *by, uint32_t id)
{
	struct claim *claim = claims_find(g->claims, id);

	if (claim == NULL || key_pk_cmp(&claim->by, by) != 0) {
		g->stats.foreign++;
		return false;
	}
	if (claim->state == CLAIM_RESERVED)
		give_up(g, id);
	else if (claim->state == CLAIM_BUSY)
		claim->unwanted = true;
	else
		return true;
	return false;
}

int route_gate_delete(struct route_gate *g, const struct key_pk *by, const uint32_t *ids,
	uint32_t n, route_call_fn done, void *arg, struct route_call **call,
	char why[ROUTE_WHY_MAX])
{
	uint32_t rules[SETUP_IDS_MAX], n_rules = 0;
	struct route_call *c;

	for (uint32_t i = 0; i < n; i++)
		if (take_back(g, by, ids[i]))
			rules[n_rules++] = ids[i];
	if (n_rules == 0)
		return -EALREADY;
	c = call_new(g, by, rules, n_rules, done, arg);
	if (c == NULL)
		return refuse(g, why, "failure code 1 (too many calls at once: try again)");
	c->job = rule_mgr_del(g->conf.rules, rules, n_rules, on_deleted, c);
	if (c->job == NULL) {
		int err = errno;

		call_free(c);
		return refuse_rule(g, why, rules[0], -err);
	}
	*call = c;
	return 0;
}

// ---- what the data plane says ----

static void retake(void *arg, struct claim *claim)
{
	struct route_gate *g = arg;

	// the table of ids begins anew, or counts what is held
	if (claim->state == CLAIM_RESERVED)
		route_id_take(g->conf.ids, claim->id);
}

static void on_sync_begin(void *arg, enum dp_sync why)
{
	struct route_gate *g = arg;

	(void)why;
	claims_each(g->claims, retake, g);
}

static void drop_if_lost(void *arg, struct claim *claim)
{
	struct route_gate *g = arg;

	if (claim->state != CLAIM_BUSY && !route_id_is_live(g->conf.ids, claim->id))
		claims_drop(g->claims, claim->id);
}

static void on_synced(void *arg, enum dp_sync why)
{
	struct route_gate *g = arg;
	uint32_t slots = 1u << route_id_bits(g->conf.ids);

	(void)why;
	claims_set_rules(g->claims, slots - slots / 8, slots / 2);
	claims_each(g->claims, drop_if_lost, g);
}

static void on_rule_gone(void *arg, const struct evt_rule *e)
{
	struct route_gate *g = arg;
	struct claim *claim = claims_find(g->claims, e->id);

	if (claim != NULL && claim->state == CLAIM_BUSY)
		claim->gone = true;
	else if (claim != NULL && claim->state == CLAIM_LAID)
		claims_drop(g->claims, e->id);
}

// ---- the whole ----

struct route_gate *route_gate_new(const struct route_gate_conf *conf)
{
	struct claims_limits max = {.reserved = ROUTE_RESERVED_MAX,
		.reserved_of_key = ROUTE_RESERVED_OF_KEY}; // rules: with the table
	struct route_gate *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return NULL;
	g->conf = *conf;
	LIST_INIT(&g->calls);
	max.hold_ns = ROUTE_HOLD_MS * CLOCK_NS_PER_MS;
	g->claims = claims_new(&max);
	g->timer = loop_timer_new(conf->loop, expire, g);
	if (g->claims == NULL || g->timer == NULL) {
		claims_free(g->claims);
		loop_timer_free(g->timer);
		free(g);
		return errno_null(ENOMEM);
	}
	g->handler = (struct dp_handler){.on_sync_begin = on_sync_begin,
		.on_synced = on_synced,
		.on_rule_gone = on_rule_gone,
		.arg = g};
	dp_client_register(conf->dp, &g->handler);
	return g;
}

void route_gate_free(struct route_gate *g)
{
	if (g == NULL)
		return;
	while (!LIST_EMPTY(&g->calls)) {
		struct route_call *c = LIST_FIRST(&g->calls);

		if (c->install != NULL)
			rule_install_cancel(c->install);
		if (c->job != NULL)
			rule_job_cancel(c->job);
		call_free(c);
	}
	dp_client_unregister(g->conf.dp, &g->handler);
	loop_timer_free(g->timer);
	claims_free(g->claims);
	free(g);
}

void route_gate_set_transit(struct route_gate *g, bool transit)
{
	g->no_transit = !transit;
}

void route_gate_stats_get(const struct route_gate *g, struct route_gate_stats *out)
{
	*out = g->stats;
	out->ids_now = claims_n_reserved(g->claims);
	out->rules_now = claims_n_rules(g->claims);
}

const struct claim *route_gate_find(const struct route_gate *g, uint32_t id)
{
	return claims_find(g->claims, id);
}

struct lister {
	void (*fn)(void *arg, const struct claim *claim);
	void *arg;
};

static void list_one(void *arg, struct claim *claim)
{
	const struct lister *l = arg;

	l->fn(l->arg, claim);
}

void route_gate_each(
	const struct route_gate *g, void (*fn)(void *arg, const struct claim *claim), void *arg)
{
	struct lister l = {fn, arg};

	claims_each(g->claims, list_one, &l);
}
