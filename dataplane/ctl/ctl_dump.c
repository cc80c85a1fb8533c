// CMD_DUMP: everything the control plane may ask to see again, a few records per turn, so that a
// table of millions of rules holds up no command. What changes meanwhile is told by events too, and
// the control plane takes whichever comes last.

#include "dataplane/ctl/ctl_priv.h"

#include "lib/base/err.h"

#include <rte_lcore.h>

#include <string.h>

int ctl_dump_begin(struct ctl *c, const struct cmd_dump *d)
{
	struct dump *n;

	if (d->what == 0 || (d->what & ~(uint32_t)DUMP_ALL) != 0)
		return -EINVAL;
	if (c->n_dumps == CTL_DUMPS_MAX)
		return -EBUSY;
	n = &c->dumps[c->n_dumps++];
	*n = (struct dump){.cookie = d->h.cookie,
		.what = d->what,
		.rule_first = d->first_rule,
		.rule_left = d->max_rules != 0 ? d->max_rules : UINT32_MAX};
	return 0;
}

// Half of the ring is left to answers and events.
static bool room(struct ctl *c)
{
	return ring_w_room(&c->evt) > c->evt.size / 2;
}

static void put(struct ctl *c, struct dpmsg_hdr *h, uint16_t type, uint32_t len, uint64_t cookie)
{
	*h = (struct dpmsg_hdr){.len = len, .type = type, .cookie = cookie};
	ctl_emit(c, h, len);
}

// Each of these writes the record of one index, if there is one; false past the end.

static bool dump_port(struct ctl *c, struct dump *d)
{
	struct evt_port e;

	if (d->at >= port_set_n(c->k.ports))
		return false;
	port_show(c->k.ports, d->at, &e);
	put(c, &e.h, EVT_PORT, sizeof(e), d->cookie);
	return true;
}

static bool dump_worker(struct ctl *c, struct dump *d)
{
	struct evt_worker e = {.worker = (uint16_t)d->at};
	const struct wctx *w;

	if (d->at >= worker_count(c->k.workers))
		return false;
	w = worker_ctx(c->k.workers, d->at);
	e.lcore = (uint16_t)c->k.lcores[d->at];
	e.cpu = (int16_t)rte_lcore_to_cpu_id((int)e.lcore);
	e.socket = (int16_t)rte_lcore_to_socket_id(e.lcore);
	e.n_hops = hop_table_worker_hops(c->k.hops, d->at);
	e.n_queues = w->n_rxq;
	put(c, &e.h, EVT_WORKER, sizeof(e), d->cookie);
	return true;
}

static bool dump_adj(struct ctl *c, struct dump *d)
{
	struct evt_adj e;

	if (d->at >= c->k.region_conf->adj_max)
		return false;
	if (adj_show(c->k.adjs, d->at, &e) == 0)
		put(c, &e.h, EVT_ADJ, sizeof(e), d->cookie);
	return true;
}

static bool dump_hop(struct ctl *c, struct dump *d)
{
	struct evt_hop e;

	if (d->at >= c->k.hops->hop_max)
		return false;
	if (hop_table_show(c->k.hops, d->at, c->now_ns, &e) == 0)
		put(c, &e.h, EVT_HOP, sizeof(e), d->cookie);
	return true;
}

static bool dump_rule(struct ctl *c, struct dump *d)
{
	struct evt_rule e;
	uint64_t index = (uint64_t)d->rule_first + d->at;

	if (index > c->k.rules->mask || d->rule_left == 0)
		return false;
	if (rule_table_show(c->k.rules, (uint32_t)index, c->now_ds, &e) == 0) {
		put(c, &e.h, EVT_RULE, sizeof(e), d->cookie);
		if (d->rule_left != UINT32_MAX)
			d->rule_left--;
	}
	return true;
}

bool ctl_dump_turn(struct ctl *c)
{
	static bool (*const kinds[])(struct ctl *, struct dump *) = {
		dump_port, dump_worker, dump_adj, dump_hop, dump_rule};
	struct dump *d = &c->dumps[0];

	if (c->n_dumps == 0)
		return false;
	for (unsigned n = 0; n < CTL_DUMP_BATCH && d->what != 0; n++) {
		if (!room(c))
			return false; // the control plane reads first
		if (kinds[__builtin_ctz(d->what)](c, d)) {
			d->at++;
		} else {
			d->what &= d->what - 1;
			d->at = 0;
		}
	}
	if (d->what == 0) {
		ctl_done(c, d->cookie, 0, 0);
		c->n_dumps--;
		memmove(&c->dumps[0], &c->dumps[1], c->n_dumps * sizeof(c->dumps[0]));
	}
	return true;
}
