// Rules of routes that are being set up: all that belong together are installed, or none is. Ids
// were reserved by somebody and become rules here. Such a rule never lasts: it has a keep-alive,
// and a new data plane does not get it again.
#include "controlplane/route/rule_priv.h"

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

LOG_MODULE("route");

struct rule_install {
	struct rule_mgr *m;
	struct rule_install *next;
	rule_install_fn done; // NULL: cancelled
	void *arg;
	int status; // of the first rule that failed
	size_t which;
};

static void install_free(struct rule_install *i)
{
	struct rule_install **at = &i->m->installs;

	while (*at != i)
		at = &(*at)->next;
	*at = i->next;
	free(i);
}

void rule_install_fini(struct rule_mgr *m)
{
	while (m->installs != NULL)
		install_free(m->installs);
}

static void finish(struct rule_install *i)
{
	rule_install_fn done = i->done;
	void *arg = i->arg;
	int status = i->status;
	size_t which = i->which;

	install_free(i);
	if (done != NULL)
		done(arg, status, which);
}

// ---- what a rule's bytes say, as a command ----

static int make(const struct rule_mgr *m, const struct rule_wire *r, struct cmd_rule_add *c)
{
	uint64_t keep_ms = (uint64_t)r->keep_alive_ns / CLOCK_NS_PER_MS;
	struct transport *t = NULL;

	*c = (struct cmd_rule_add){.h.type = CMD_RULE_ADD,
		.id = r->key_id,
		.in_tp = r->kind == RULE_KIND_FORWARD ? RULE_IN_LOCAL : RULE_IN_ANY,
		.keep_alive_ms = (uint32_t)keep_ms,
		.type = r->kind};
	if (keep_ms < RULE_KEEP_ALIVE_MIN_MS || keep_ms > UINT32_MAX)
		return -ERANGE;
	if (!route_id_is_live(m->ids, r->key_id))
		return -ESTALE;
	if (r->kind == RULE_KIND_CONSUME)
		return 0;
	t = m->tr.find_id(m->tr.arg, r->next_tp);
	if (t == NULL)
		return -ENODEV;
	c->next_id = r->next_id;
	c->tx_hop = m->tr.hop(t, r->next_id);
	return c->tx_hop != 0 && m->tr.is_up(t) ? 0 : -ENETDOWN;
}

// One that can't be keeps the others from being sent.
static bool make_all(const struct rule_mgr *m, const struct rule_wire *rules, size_t n,
	struct cmd_rule_add *cmds, int32_t *status)
{
	bool good = true;

	for (size_t k = 0; k < n; k++) {
		status[k] = make(m, &rules[k], &cmds[k]);
		good = good && status[k] == 0;
	}
	for (size_t k = 0; k < n && !good; k++)
		if (status[k] == 0)
			status[k] = -ECANCELED;
	return good;
}

// ---- all or none ----

static void on_undone(void *arg, const struct api_rule_done *done, size_t n)
{
	(void)done, (void)n; // those that were not there any more went by themselves
	finish(arg);
}

// Why it fails is told by the rule that did, not by those that were not sent for it.
static void find_failure(struct rule_install *i, const struct api_rule_done *done, size_t n)
{
	for (size_t k = 0; k < n; k++)
		if (done[k].status != 0 && (i->status == 0 || i->status == -ECANCELED)) {
			i->status = done[k].status;
			i->which = k;
		}
}

static void on_installed(void *arg, const struct api_rule_done *done, size_t n)
{
	struct rule_install *i = arg;
	struct rule_mgr *m = i->m;
	uint32_t *ids = NULL;
	size_t n_ids = 0;

	find_failure(i, done, n);
	if (i->status == 0 && i->done != NULL) {
		finish(i);
		return;
	}
	ids = calloc(n, sizeof(*ids));
	for (size_t k = 0; k < n; k++) {
		if (done[k].status != 0)
			route_id_release(m->ids, done[k].id);
		else if (ids != NULL)
			ids[n_ids++] = done[k].id;
	}
	if (n_ids == 0 ||
		rule_jobs_del(m->jobs, ids, NULL, n_ids, on_undone, i, NULL, NULL) == NULL)
		finish(i); // what could not be taken back ends with its keep-alive
	free(ids);
}

struct rule_install *rule_mgr_install(struct rule_mgr *m, const struct rule_wire *rules, size_t n,
	rule_install_fn done, void *arg)
{
	struct rule_install *i = NULL;
	struct cmd_rule_add *cmds;
	int32_t *status;
	int err = ENOMEM;

	if (n == 0)
		return errno_null(EINVAL);
	if (m->keep == NULL || !dp_client_is_ready(m->dp))
		return errno_null(ENOTCONN);
	cmds = calloc(n, sizeof(*cmds));
	status = calloc(n, sizeof(*status));
	if (cmds != NULL && status != NULL)
		i = calloc(1, sizeof(*i));
	if (i != NULL) {
		bool good = make_all(m, rules, n, cmds, status);

		*i = (struct rule_install){.m = m, .next = m->installs, .done = done, .arg = arg};
		m->installs = i;
		if (rule_jobs_add(m->jobs, cmds, good ? NULL : status, n, on_installed, i, NULL,
			    NULL) == NULL) {
			err = errno;
			install_free(i);
			i = NULL;
		}
	}
	free(cmds);
	free(status);
	return i != NULL ? i : errno_null(err);
}

void rule_install_cancel(struct rule_install *i)
{
	i->done = NULL;
}
