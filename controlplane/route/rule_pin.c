// Rules that name what is not there any more. A lasting rule for packets of any transport is pinned
// by the first one, and the pin is a handle that ends with the transport. Made again, even for the
// same peer, a transport has another handle, and the rule would drop all its packets for ever. So
// when a transport is gone the data plane is asked for its rules, and those that are pinned to
// nobody are installed anew, open. Rules that expire need none of this: they do.
//
// When a transport has another number of flows, routes travel on other ones. Lasting rules are put
// in again by rule_mgr.c; of the others those that send on a wrong flow, where the peer would drop
// every packet, are looked for here and removed.
//
// Peers decide how often transports go, so looking has a tenth of the time: in a large table it is
// long.
#include "controlplane/route/rule_priv.h"

#include <stdlib.h>

#include "lib/base/clock.h"

enum {
	AGAIN_MS = 10,
	RETRY_MS = 1000,
	STRAYS_MAX = 4096,
	SHORT_MS = 10, // looks that may follow each other
	PART = 10, // of the time, for longer ones
	REST_MAX_MS = 10000, // a look may have waited for other lists
};

struct rule_strays {
	size_t n;
	bool more; // there was no place for all
	uint32_t ids[STRAYS_MAX];
};

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

void rule_pin_strays(struct rule_mgr *m)
{
	m->look_strays = true;
	rule_pin_look(m);
}

void rule_pin_fini(struct rule_mgr *m)
{
	free(m->strays);
	m->strays = NULL;
}

// It leaves by a flow that is not its id's.
static bool is_stray(const struct rule_mgr *m, const struct evt_rule *e)
{
	struct transport *t = e->type != RULE_CONSUME && e->tx_hop != 0
				      ? m->tr.find_hop(m->tr.arg, e->tx_hop)
				      : NULL;

	return t != NULL && m->tr.hop(t, e->next_id) != e->tx_hop;
}

static void stray_note(struct rule_strays *s, uint32_t id)
{
	if (s->n < STRAYS_MAX)
		s->ids[s->n++] = id;
	else
		s->more = true;
}

static void on_each(void *arg, const struct evt_rule *e)
{
	struct rule_mgr *m = arg;
	struct rule_kept *k = rule_keep_find(m->keep, e->id);

	if (k == NULL && m->strays != NULL && is_stray(m, e))
		stray_note(m->strays, e->id);
	if (k != NULL && k->seen && !k->again && rule_pin_open(k) && rule_pin_is_dead(m, e))
		rule_mgr_replace(k);
}

static void strays_end(struct rule_mgr *m, int status)
{
	struct rule_strays *s = m->strays;
	bool ok = status == 0;

	if (s == NULL)
		return;
	if (ok && s->n != 0)
		ok = rule_jobs_del(m->jobs, s->ids, NULL, s->n, NULL, NULL, NULL, NULL) != NULL;
	m->look_strays |= s->more || !ok;
	rule_pin_fini(m);
	if (m->look_strays)
		loop_timer_start(m->pins, RETRY_MS, 0);
}

static void on_end(void *arg, int status)
{
	struct rule_mgr *m = arg;
	uint64_t now_ns = clock_mono_ns(), took_ns = now_ns - m->pins_began_ns;
	uint64_t rest_ns = (PART - 1) * took_ns, most_ns = REST_MAX_MS * CLOCK_NS_PER_MS;

	m->pin_list = NULL;
	if (took_ns >= SHORT_MS * CLOCK_NS_PER_MS)
		m->pins_from_ns = now_ns + (rest_ns < most_ns ? rest_ns : most_ns);
	strays_end(m, status);
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
	if (m->keep == NULL || m->syncing || !dp_client_is_ready(m->dp) ||
		(!any_open(m) && !m->look_strays))
		return;
	if (m->pin_list != NULL) {
		loop_timer_start(m->pins, AGAIN_MS, 0);
		return;
	}
	if (m->pins_from_ns > clock_mono_ns()) {
		loop_timer_start(m->pins, clock_left_ms(m->pins_from_ns), 0);
		return;
	}
	m->pins_began_ns = clock_mono_ns();
	if (m->look_strays) {
		m->strays = calloc(1, sizeof(*m->strays));
		if (m->strays == NULL)
			loop_timer_start(m->pins, RETRY_MS, 0);
	}
	m->pin_list = rule_lists_add(m->lists, 0, 0, on_each, on_end, m);
	if (m->pin_list == NULL) {
		rule_pin_fini(m);
		loop_timer_start(m->pins, RETRY_MS, 0);
	} else if (m->strays != NULL) {
		m->look_strays = false;
	}
}
