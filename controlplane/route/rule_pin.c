// A lasting rule for packets of any transport is pinned by the first one, and the pin is a handle
// that ends with the transport. Made again, even for the same peer, a transport has another handle,
// and the rule would drop all its packets for ever. So when a transport is gone the data plane is
// asked for its rules, and those that are pinned to nobody are installed anew, open. Rules that
// expire need none of this: they do.
#include "controlplane/route/rule_priv.h"

enum { AGAIN_MS = 10, RETRY_MS = 1000 };

bool rule_pin_open(const struct rule_kept *k)
{
	return k->in_name == 0 && k->in_tp == RULE_IN_ANY;
}

bool rule_pin_is_dead(const struct rule_mgr *m, const struct evt_rule *e)
{
	return (e->flags & RULE_ANY) != 0 && e->in_tp != RULE_IN_ANY &&
	       m->tr.find_tp(m->tr.arg, e->in_tp) == NULL;
}

void rule_pin_look(struct rule_mgr *m)
{
	// A list that is under way began before: once more after it.
	if (!loop_timer_is_on(m->pins))
		loop_timer_start(m->pins, 0, 0);
}

static void on_each(void *arg, const struct evt_rule *e)
{
	struct rule_mgr *m = arg;
	struct rule_kept *k = rule_keep_find(m->keep, e->id);

	if (k != NULL && k->seen && !k->again && rule_pin_open(k) && rule_pin_is_dead(m, e))
		rule_mgr_replace(k);
}

static void on_end(void *arg, int status)
{
	struct rule_mgr *m = arg;

	m->pin_list = NULL;
	if (status == 0)
		rule_mgr_work(m); // else the next dump tells
}

static bool any_open(struct rule_mgr *m)
{
	for (size_t i = 0; i < rule_keep_count(m->keep); i++)
		if (rule_pin_open(rule_keep_at(m->keep, i)))
			return true;
	return false;
}

void rule_pin_on_timer(void *arg)
{
	struct rule_mgr *m = arg;

	// Detached or in a dump: adopt() looks at every rule.
	if (m->keep == NULL || m->syncing || !dp_client_is_ready(m->dp) || !any_open(m))
		return;
	if (m->pin_list == NULL)
		m->pin_list = rule_lists_add(m->lists, 0, 0, on_each, on_end, m);
	else
		loop_timer_start(m->pins, AGAIN_MS, 0);
	if (m->pin_list == NULL)
		loop_timer_start(m->pins, RETRY_MS, 0);
}
