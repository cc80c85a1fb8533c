// What rules there shall be and what becomes of them: takes requests and ids for them, keeps the
// lasting rules installed across new data planes and new transports, and follows the data plane's
// word on what lives. Sending in bulk is rule_job's, listing rule_list's, the set of lasting rules
// rule_keep's, names into handles rule_cmd's, pins rule_pin's.
#include "controlplane/route/rule_mgr.h"

#include "controlplane/route/rule_priv.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

LOG_MODULE("route");

enum { INSTALL_BATCH = 4096, RETRY_MS = 100 };

// ---- lasting rules ----

static int keep_put(struct rule_mgr *m, const struct api_rule_add *r, const struct cmd_rule_add *c,
	enum rule_keep_origin origin)
{
	struct rule_kept k = {.id = c->id,
		.next_id = r->next_id,
		.keep_alive_ms = r->keep_alive_ms,
		.tx_hop = c->tx_hop,
		.in_tp = c->in_tp,
		.type = r->type,
		.flags = c->flags,
		.origin = (uint8_t)origin};

	if (r->type != API_RULE_CONSUME)
		k.tx_name = rule_keep_intern(m->keep, r->transport);
	if (r->in == API_IN_TRANSPORT)
		k.in_name = rule_keep_intern(m->keep, r->in_transport);
	return rule_keep_put(m->keep, &k) == NULL ? -errno : 0;
}

static void install_kept(struct rule_mgr *m);

static void work_later(struct rule_mgr *m, uint64_t ms)
{
	if (!loop_timer_is_on(m->work))
		loop_timer_start(m->work, ms, 0);
}

static void work_stalled(struct rule_mgr *m)
{
	m->stalled = true;
	work_later(m, RETRY_MS);
}

static void work_resume(struct rule_mgr *m)
{
	if (m->stalled)
		loop_timer_start(m->work, 0, 0);
	m->stalled = false;
}

static void on_installed(void *arg, const struct api_rule_done *done, size_t n)
{
	struct rule_mgr *m = arg;

	for (size_t i = 0; i < n; i++) {
		struct rule_kept *k = m->keep != NULL ? rule_keep_find(m->keep, done[i].id) : NULL;

		if (k == NULL)
			continue;
		k->busy = false;
		if (k->again) // the answer is about what it was before it changed
			continue;
		k->seen = done[i].status == 0;
		if (done[i].status == 0 || done[i].status == -ECONNRESET ||
			done[i].status == -ENOTCONN)
			continue;
		if (done[i].status == -EAGAIN) { // its former life isn't over: RULE_GONE comes
			k->again = true;
			continue;
		}
		k->spent = true;
		log_warn("rule=%u not installed: %s", done[i].id, strerror(-done[i].status));
	}
	install_kept(m);
}

// Send what is wanted, not there, and possible now: a batch at a time, the answer starts the next.
static void install_kept(struct rule_mgr *m)
{
	struct cmd_rule_add *cmds = NULL;
	size_t n = 0;

	if (m->keep == NULL || m->syncing || rule_keep_count(m->keep) == 0 ||
		!dp_client_is_ready(m->dp))
		return;
	cmds = calloc(INSTALL_BATCH, sizeof(*cmds));
	if (cmds == NULL)
		return;
	for (size_t i = 0; i < rule_keep_count(m->keep) && n < INSTALL_BATCH; i++) {
		struct rule_kept *k = rule_keep_at(m->keep, i);

		if (k->seen || k->busy || k->again || k->spent || k->unwanted ||
			rule_cmd_kept(m, k, &cmds[n]) != 0)
			continue;
		route_id_take(m->ids, k->id);
		k->tx_hop = cmds[n].tx_hop;
		k->in_tp = cmds[n].in_tp;
		k->busy = true;
		n++;
	}
	if (n > 0 && rule_jobs_add(m->jobs, cmds, NULL, n, on_installed, m, NULL, NULL) == NULL) {
		log_limited(LOG_WARN, "rules not installed yet: %s", strerror(errno));
		for (size_t i = 0; i < n; i++)
			rule_keep_find(m->keep, cmds[i].id)->busy = false;
		work_stalled(m);
	}
	free(cmds);
}

// A transport that is not there yet can't prove the rule wrong: its handle in `want` is 0.
static bool same_rule(const struct rule_mgr *m, const struct rule_kept *k, const struct evt_rule *e,
	const struct cmd_rule_add *want)
{
	bool unknown_in = !rule_pin_open(k) && want->in_tp == RULE_IN_ANY;

	if (e->type != k->type || e->keep_alive_ms != k->keep_alive_ms)
		return false;
	if (rule_pin_open(k)
			? (e->flags & RULE_ANY) == 0 || rule_pin_is_dead(m, e)
			: (e->flags & RULE_ANY) != 0 || (!unknown_in && e->in_tp != want->in_tp))
		return false;
	return k->type == RULE_CONSUME ||
	       (e->next_id == k->next_id && (want->tx_hop == 0 || e->tx_hop == want->tx_hop));
}

// A rule that lasts and is installed otherwise than wanted goes first; RULE_GONE brings it back.
// remove_due() sends the command.
void rule_mgr_replace(struct rule_kept *k)
{
	k->again = true;
	k->due = true;
	k->seen = false;
}

static void on_removed(void *arg, const struct api_rule_done *done, size_t n)
{
	struct rule_mgr *m = arg;

	for (size_t i = 0; i < n; i++) {
		struct rule_kept *k = m->keep != NULL ? rule_keep_find(m->keep, done[i].id) : NULL;

		// after success RULE_GONE comes, or has come; detached, the next dump tells
		if (k == NULL || !k->again || k->due || done[i].status == 0 ||
			done[i].status == -ECONNRESET || done[i].status == -ENOTCONN)
			continue;
		if (done[i].status != -ENOENT)
			log_warn("rule=%u not replaced: %s", k->id, strerror(-done[i].status));
		k->again = false;
		work_later(m, 0);
	}
	work_resume(m);
}

static bool is_due(const struct rule_kept *k)
{
	return k->due || k->unwanted;
}

// Take what is due away from the data plane: one job for all of them, since jobs are few.
static void remove_due(struct rule_mgr *m)
{
	size_t count = m->keep != NULL ? rule_keep_count(m->keep) : 0, n = 0;
	uint32_t *ids;

	if (m->syncing || !dp_client_is_ready(m->dp))
		return;
	for (size_t i = 0; i < count; i++)
		n += is_due(rule_keep_at(m->keep, i));
	if (n == 0)
		return;
	ids = calloc(n, sizeof(*ids));
	n = 0;
	for (size_t i = 0; ids != NULL && i < count; i++)
		if (is_due(rule_keep_at(m->keep, i)))
			ids[n++] = rule_keep_at(m->keep, i)->id;
	if (ids == NULL ||
		rule_jobs_del(m->jobs, ids, NULL, n, on_removed, m, NULL, NULL) == NULL) {
		log_limited(LOG_WARN, "rules not replaced yet: %s", strerror(errno));
		work_stalled(m);
		n = 0;
	}
	for (size_t i = 0; i < n; i++) {
		struct rule_kept *k = rule_keep_find(m->keep, ids[i]);

		k->due = false;
		if (k->unwanted)
			rule_keep_drop(m->keep, ids[i]);
	}
	free(ids);
}

void rule_mgr_work(void *arg)
{
	remove_due(arg);
	install_kept(arg);
}

static void adopt(struct rule_mgr *m, const struct evt_rule *e)
{
	struct rule_kept *k = rule_keep_find(m->keep, e->id);
	struct cmd_rule_add want;
	struct transport *t;

	if (k != NULL) {
		rule_cmd_kept(m, k, &want);
		if (same_rule(m, k, e, &want)) {
			k->seen = true;
			k->tx_hop = e->tx_hop;
			if (k->in_name != 0)
				k->in_tp = e->in_tp;
		} else {
			k->again = true; // on_synced() sees to it
		}
		return;
	}
	if (!(e->flags & RULE_STATIC) || e->type > RULE_INTERMEDIARY)
		return;
	struct rule_kept fresh = {.id = e->id,
		.next_id = e->next_id,
		.type = e->type,
		.flags = RULE_STATIC,
		.tx_hop = e->tx_hop,
		.in_tp = e->flags & RULE_ANY ? RULE_IN_ANY : e->in_tp,
		.seen = true,
		.again = rule_pin_is_dead(m, e), // on_synced() sees to it
		.origin = RULE_KEEP_ADOPTED};

	t = e->tx_hop != 0 ? m->tr.find_hop(m->tr.arg, e->tx_hop) : NULL;
	if (t != NULL)
		fresh.tx_name = rule_keep_intern(m->keep, m->tr.name(t));
	t = fresh.in_tp != RULE_IN_ANY && fresh.in_tp != RULE_IN_LOCAL
		    ? m->tr.find_tp(m->tr.arg, e->in_tp)
		    : NULL;
	if (t != NULL)
		fresh.in_name = rule_keep_intern(m->keep, m->tr.name(t));
	if (rule_keep_put(m->keep, &fresh) == NULL)
		log_warn("rule=%u of the data plane not adopted: %s", e->id, strerror(errno));
}

static bool same_kept(const struct rule_kept *a, const struct rule_kept *b)
{
	return a->next_id == b->next_id && a->keep_alive_ms == b->keep_alive_ms &&
	       a->type == b->type && a->tx_name == b->tx_name && a->in_name == b->in_name &&
	       (a->in_name != 0 || (a->in_tp == RULE_IN_LOCAL) == (b->in_tp == RULE_IN_LOCAL));
}

static void keep_config(struct rule_mgr *m)
{
	for (size_t i = 0; i < m->n_conf; i++) {
		const struct api_rule_add *r = &m->conf[i];
		struct rule_kept *k = rule_keep_find(m->keep, r->id);
		struct rule_kept old = {0};
		struct cmd_rule_add c;

		if (k != NULL)
			old = *k;
		rule_cmd_make(m, r, &c);
		if (keep_put(m, r, &c, RULE_KEEP_CONFIG) < 0) {
			log_warn(
				"rule=%u of the configuration: its slot belongs to another", r->id);
			continue;
		}
		k = rule_keep_find(m->keep, r->id);
		if (old.id != 0 && same_kept(&old, k)) {
			*k = old;
			k->origin = RULE_KEEP_CONFIG;
			k->unwanted = false;
		} else if (old.seen || old.busy) {
			rule_mgr_replace(k);
		}
		k->marked = true;
	}
}

static void drop_unmarked(struct rule_mgr *m)
{
	for (size_t i = rule_keep_count(m->keep); i > 0; i--) {
		struct rule_kept *k = rule_keep_at(m->keep, i - 1);

		if (k->origin != RULE_KEEP_CONFIG || k->marked)
			k->marked = false;
		else if (k->seen || k->busy || k->due)
			k->unwanted = true;
		else
			rule_keep_drop(m->keep, k->id);
	}
}

static bool conf_same(const struct rule_mgr *m, const struct api_rule_add *rules, size_t n)
{
	return n == m->n_conf && (n == 0 || memcmp(rules, m->conf, n * sizeof(*rules)) == 0);
}

static int slot_taken(uint32_t id, const struct rule_kept *by, char *err, size_t err_len)
{
	snprintf(err, err_len,
		"rule %u has the slot of rule %u, which is there: give it another id, or remove that one first",
		id, by->id);
	return -EEXIST;
}

int rule_mgr_check(const struct rule_mgr *m, const struct api_rule_add *rules, size_t n, char *err,
	size_t err_len)
{
	struct rule_keep *next = m->keep != NULL ? rule_keep_new(m->bits) : NULL;
	int rc = 0;

	if (m->keep == NULL)
		return 0;
	for (size_t i = 0; next != NULL && rc == 0 && i < n; i++) {
		const struct rule_kept r = {.id = rules[i].id};
		const struct rule_kept *by = rule_keep_same_slot(m->keep, r.id);

		if (by == NULL || by->id == r.id)
			by = rule_keep_same_slot(next, r.id);
		if (by != NULL && by->id != r.id)
			rc = slot_taken(r.id, by, err, err_len);
		else if (rule_keep_put(next, &r) == NULL)
			rc = -errno;
	}
	if (next == NULL || rc == -ENOMEM) {
		snprintf(err, err_len, "out of memory");
		rc = -ENOMEM;
	}
	rule_keep_free(next);
	return rc;
}

int rule_mgr_config(struct rule_mgr *m, const struct api_rule_add *rules, size_t n)
{
	struct api_rule_add *copy;

	if (!conf_same(m, rules, n)) {
		copy = calloc(n + 1, sizeof(*copy));
		if (copy == NULL)
			return -ENOMEM;
		if (n > 0)
			memcpy(copy, rules, n * sizeof(*copy));
		free(m->conf);
		m->conf = copy;
		m->n_conf = n;
	}
	// also those that were removed by hand are wanted again
	if (m->keep != NULL) {
		keep_config(m);
		drop_unmarked(m);
		rule_mgr_work(m);
	}
	return 0;
}

bool rule_mgr_wants(const struct rule_mgr *m, uint32_t id)
{
	const struct rule_kept *k = m->keep != NULL ? rule_keep_find(m->keep, id) : NULL;

	return m->keep == NULL || (k != NULL && !k->unwanted);
}

// ---- what the data plane says ----

// What of our ids is still held gets known by the dump. When only events were lost the ids stay as
// they are, and on_synced() releases those that nobody named.
static int recount(struct rule_mgr *m, enum dp_sync why)
{
	unsigned bits = dp_client_info(m->dp)->rule_bits;
	struct rule_keep *keep;
	bool same = why == DP_SYNC_OVERFLOW && m->keep != NULL && m->bits == bits;
	int rc = same ? route_id_recount_begin(m->ids) : route_id_reset(m->ids, bits);

	if (rc < 0)
		return rc;
	rule_jobs_retake(m->jobs);
	if (m->keep != NULL && m->bits == bits)
		return 0;
	keep = rule_keep_new(bits);
	if (keep == NULL)
		return -errno;
	if (m->keep != NULL)
		log_notice(
			"rules=%zu of the former table forgotten: its size changed from 2^%u to 2^%u",
			rule_keep_count(m->keep), m->bits, bits);
	rule_keep_free(m->keep);
	m->keep = keep;
	m->bits = bits;
	keep_config(m);
	drop_unmarked(m); // all are marked: only takes the marks off
	return 0;
}

static void on_sync_begin(void *arg, enum dp_sync why)
{
	struct rule_mgr *m = arg;
	int rc = recount(m, why);

	m->syncing = true;
	m->moved = false;
	if (rc < 0) {
		log_err("no room for route ids: %s", strerror(-rc));
		return;
	}
	for (size_t i = 0; m->keep != NULL && i < rule_keep_count(m->keep); i++) {
		struct rule_kept *k = rule_keep_at(m->keep, i);

		k->seen = false;
		k->busy = k->busy && why == DP_SYNC_OVERFLOW; // its answer still comes
		k->again = false;
		k->due = false;
		if (why == DP_SYNC_FRESH)
			k->spent = false;
		route_id_take(m->ids, k->id);
	}
	rule_jobs_lost(m->jobs);
}

// Its transport changed after the dump named the rule.
static bool is_astray(struct rule_mgr *m, const struct rule_kept *k)
{
	struct cmd_rule_add want;

	if (!k->seen)
		return false;
	rule_cmd_kept(m, k, &want);
	return (k->type != RULE_CONSUME && want.tx_hop != 0 && want.tx_hop != k->tx_hop) ||
	       (k->in_name != 0 && want.in_tp != RULE_IN_ANY && want.in_tp != k->in_tp);
}

static void on_synced(void *arg, enum dp_sync why)
{
	struct rule_mgr *m = arg;

	m->syncing = false;
	if (m->keep == NULL)
		return;
	route_id_recount_end(m->ids);
	log_notice("rules=%u kept=%zu slots=%u", route_id_n_live(m->ids), rule_mgr_n_kept(m),
		1u << m->bits);
	for (size_t i = rule_keep_count(m->keep); i > 0; i--) {
		struct rule_kept *k = rule_keep_at(m->keep, i - 1);

		if (k->unwanted && !k->seen && !k->again)
			rule_keep_drop(m->keep, k->id); // went by itself
		else if (k->again || (m->moved && is_astray(m, k)))
			rule_mgr_replace(k);
	}
	rule_mgr_work(m);
	rule_jobs_pump(m->jobs);
	if (m->look_strays) // not while this was under way
		rule_pin_look(m);
}

static void on_rule(void *arg, const struct evt_rule *e)
{
	struct rule_mgr *m = arg;

	if (!m->syncing) {
		rule_lists_record(m->lists, e);
		return;
	}
	if (m->keep == NULL || e->id == 0)
		return;
	route_id_found(m->ids, e->id);
	adopt(m, e);
}

static void on_rule_gone(void *arg, const struct evt_rule *e)
{
	struct rule_mgr *m = arg;
	struct rule_kept *k = m->keep != NULL ? rule_keep_find(m->keep, e->id) : NULL;

	if (e->freed != 0 && k == NULL)
		log_limited(LOG_INFO, "rule=%u ended: %s freed=%u", e->id,
			rule_gone_text(e->reason), e->freed);
	route_id_release(m->ids, e->id);
	rule_jobs_gone(m->jobs);
	if (k == NULL)
		return;
	k = rule_keep_find(m->keep, e->id);
	if (k == NULL)
		return;
	k->seen = false;
	if (e->reason == RULE_GONE_CLOSE || e->reason == RULE_GONE_EXPIRED) {
		log_notice("rule=%u ended: %s freed=%u", e->id,
			e->reason == RULE_GONE_CLOSE ? "closed" : "expired", e->freed);
		k->spent = true;
		if (k->origin != RULE_KEEP_CONFIG)
			rule_keep_drop(m->keep, e->id);
		return;
	}
	if (e->reason > RULE_GONE_CLOSE)
		log_limited(LOG_NOTICE, "rule=%u ended: %s; installed again freed=%u", e->id,
			rule_gone_text(e->reason), e->freed);
	k->again = false;
	k->due = false;
	work_later(m, 0);
}

static void on_detach(void *arg)
{
	struct rule_mgr *m = arg;

	m->syncing = false;
	rule_jobs_lost(m->jobs);
}

static void on_room(void *arg)
{
	struct rule_mgr *m = arg;

	rule_jobs_pump(m->jobs);
}

static void on_transport(void *arg, struct transport *t, enum transport_change what)
{
	struct rule_mgr *m = arg;
	uint16_t number;

	if (what == TRANSPORT_CHANGE_REMOVED)
		rule_pin_look(m);
	if (what == TRANSPORT_CHANGE_FLOWS)
		rule_pin_strays(m);
	if (what != TRANSPORT_CHANGE_IN_DP && what != TRANSPORT_CHANGE_FLOWS)
		return;
	m->moved |= m->syncing;
	if (m->keep == NULL || m->syncing)
		return;
	number = rule_keep_number(m->keep, m->tr.name(t));
	if (number == 0)
		return; // of those that peers make there may be any number, and of rules
	for (size_t i = 0; i < rule_keep_count(m->keep); i++) {
		struct rule_kept *k = rule_keep_at(m->keep, i);
		bool tx = k->tx_name == number, in = k->in_name == number;

		if ((!k->seen && !k->busy) || k->again)
			continue;
		// the same name, but another transport than the rule was made for
		if ((tx && k->tx_hop != m->tr.hop(t, k->next_id)) ||
			(in && k->in_tp != m->tr.tp(t)))
			rule_mgr_replace(k);
	}
	rule_mgr_work(m);
}

// ---- verbs ----

struct rule_mgr *rule_mgr_new(struct loop *loop, struct dp_client *dp, struct route_id *ids,
	const struct rule_transports *transports, struct transport_mgr *tm)
{
	struct rule_mgr *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->dp = dp;
	m->ids = ids;
	m->tr = *transports;
	m->jobs = rule_jobs_new(loop, dp, ids);
	m->lists = rule_lists_new(loop, dp);
	m->work = loop_timer_new(loop, rule_mgr_work, m);
	m->pins = loop_timer_new(loop, rule_pin_on_timer, m);
	if (m->jobs == NULL || m->lists == NULL || m->work == NULL || m->pins == NULL) {
		loop_timer_free(m->work);
		loop_timer_free(m->pins);
		rule_jobs_free(m->jobs);
		rule_lists_free(m->lists);
		free(m);
		return errno_null(ENOMEM);
	}
	m->handler = (struct dp_handler){.on_detach = on_detach,
		.on_sync_begin = on_sync_begin,
		.on_synced = on_synced,
		.on_rule = on_rule,
		.on_rule_gone = on_rule_gone,
		.on_room = on_room,
		.arg = m};
	dp_client_register(dp, &m->handler);
	m->watch = (struct transport_watch){.fn = on_transport, .arg = m};
	if (tm != NULL)
		transport_mgr_watch(tm, &m->watch);
	return m;
}

void rule_mgr_free(struct rule_mgr *m)
{
	if (m == NULL)
		return;
	dp_client_unregister(m->dp, &m->handler);
	loop_timer_free(m->work);
	loop_timer_free(m->pins);
	rule_jobs_free(m->jobs);
	rule_lists_free(m->lists);
	rule_keep_free(m->keep);
	rule_pin_fini(m);
	rule_install_fini(m);
	free(m->conf);
	free(m);
}

// Take the id asked for, or one of ours.
static int take_id(struct rule_mgr *m, uint32_t *id)
{
	if (*id != 0)
		return route_id_take(m->ids, *id);
	*id = route_id_reserve(m->ids);
	return *id != 0 ? 0 : -ENOSPC;
}

// Static rules last from the moment they were asked for; a refusal drops them again.
static void keep_static(struct rule_mgr *m, const struct api_rule_add *r, struct cmd_rule_add *c,
	int32_t *status, bool waits)
{
	int rc = keep_put(m, r, c, RULE_KEEP_API);

	if (rc < 0) {
		route_id_release(m->ids, c->id);
		*status = rc;
		return;
	}
	rule_keep_find(m->keep, c->id)->busy = !waits;
}

static void on_added(void *arg, const struct api_rule_done *done, size_t n)
{
	struct rule_mgr *m = arg;

	for (size_t i = 0; i < n; i++) {
		struct rule_kept *k = m->keep != NULL && done[i].id != 0
					      ? rule_keep_find(m->keep, done[i].id)
					      : NULL;

		if (k == NULL || !k->busy)
			continue;
		k->busy = false;
		k->seen = done[i].status == 0;
		if (!k->seen && k->origin == RULE_KEEP_API)
			rule_keep_drop(m->keep, done[i].id);
		else if (!k->seen) // the configuration's since it was asked for
			work_later(m, 0);
	}
	work_resume(m);
}

// A rule that expires, asked for by the API, belongs to a route that is being made: over a
// transport that is down it would lose the beginning of what comes, and go on with the rest.
static bool has_way_out(const struct rule_mgr *m, const struct cmd_rule_add *c)
{
	struct transport *t;

	if (c->keep_alive_ms == 0 || c->type == RULE_CONSUME)
		return true;
	t = m->tr.find_hop(m->tr.arg, c->tx_hop);
	return t != NULL && m->tr.is_up(t);
}

static int prepare(struct rule_mgr *m, const struct api_rule_add *r, struct cmd_rule_add *c,
	int32_t *status, bool *waits)
{
	int rc = rule_cmd_make(m, r, c);

	if (rc == 0 && !has_way_out(m, c))
		rc = -ENETDOWN;
	*waits = rc == -ENETDOWN && r->keep_alive_ms == 0;
	if (*waits)
		rc = 0;
	if (rc == 0)
		rc = take_id(m, &c->id);
	*status = rc;
	if (rc == 0 && r->keep_alive_ms == 0)
		keep_static(m, r, c, status, *waits);
	return *status;
}

// Undo prepare() for all of them: the job could not be made.
static void unprepare(
	struct rule_mgr *m, const struct cmd_rule_add *cmds, const int32_t *status, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (status[i] != 0 && status[i] != -EINPROGRESS)
			continue;
		route_id_release(m->ids, cmds[i].id);
		rule_keep_drop(m->keep, cmds[i].id);
	}
}

struct rule_job *rule_mgr_add(struct rule_mgr *m, const struct api_rule_add *rules, size_t n,
	rule_done_fn done, void *arg)
{
	struct cmd_rule_add *cmds;
	struct rule_job *job = NULL;
	int32_t *status;

	if (m->keep == NULL || !dp_client_is_ready(m->dp))
		return errno_null(ENOTCONN);
	cmds = calloc(n + 1, sizeof(*cmds));
	status = calloc(n + 1, sizeof(*status));
	if (cmds == NULL || status == NULL) {
		errno = ENOMEM;
		goto out;
	}
	for (size_t i = 0; i < n; i++) {
		bool waits;

		if (prepare(m, &rules[i], &cmds[i], &status[i], &waits) == 0 && waits)
			status[i] = -EINPROGRESS;
	}
	job = rule_jobs_add(m->jobs, cmds, status, n, on_added, m, done, arg);
	if (job == NULL)
		unprepare(m, cmds, status, n);
out:
	free(cmds);
	free(status);
	return job;
}

// For its transport; so it was never sent.
static bool is_waiting(struct rule_mgr *m, const struct rule_kept *k)
{
	struct cmd_rule_add c;
	int rc = rule_cmd_kept(m, k, &c);

	return !k->busy && !k->again && !k->spent &&
	       (rc == -ENODEV || rc == -ENXIO || rc == -ENETDOWN);
}

struct rule_job *rule_mgr_del(
	struct rule_mgr *m, const uint32_t *ids, size_t n, rule_done_fn done, void *arg)
{
	struct rule_job *job;
	uint8_t *how;

	if (m->keep == NULL || !dp_client_is_ready(m->dp))
		return errno_null(ENOTCONN);
	how = calloc(n + 1, sizeof(*how));
	if (how == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		const struct rule_kept *k = rule_keep_find(m->keep, ids[i]);

		if (k != NULL && !k->seen)
			how[i] = is_waiting(m, k) ? RULE_DEL_LOCAL : RULE_DEL_KEPT;
	}
	job = rule_jobs_del(m->jobs, ids, how, n, on_removed, m, done, arg);
	for (size_t i = 0; job != NULL && i < n; i++)
		rule_keep_drop(m->keep, ids[i]);
	free(how);
	return job;
}

struct rule_list *rule_mgr_list(struct rule_mgr *m, uint32_t first, uint32_t max, rule_each_fn fn,
	rule_end_fn done, void *arg)
{
	return rule_lists_add(m->lists, first, max, fn, done, arg);
}

unsigned rule_mgr_bits(const struct rule_mgr *m)
{
	return m->bits;
}

bool rule_mgr_has(const struct rule_mgr *m, uint32_t id)
{
	return route_id_is_live(m->ids, id);
}

uint32_t rule_mgr_n_live(const struct rule_mgr *m)
{
	return route_id_n_live(m->ids);
}

size_t rule_mgr_n_kept(const struct rule_mgr *m)
{
	return m->keep != NULL ? rule_keep_count(m->keep) : 0;
}
