// Rules of reliable transports, as the main lcore sees them (rail.md 4): a rule that is removed
// waits until its worker has nothing of it any more; a transport that lost its state takes the
// rules with it that came or left by it; and what has to wait is told to the control plane. Which
// packets are held and freed is the workers' business.

#include "dataplane/ctl/ctl_priv.h"

#include "lib/base/err.h"
#include "lib/wire/rail.h"
#include "lib/wire/rail_frame.h"

#include <stdlib.h>

enum { RESET_LOOKS = 16384 }; // slots per turn: 0.2 ms

static enum rule_gone gone_of(uint32_t reason)
{
	switch (reason) {
	case RAIL_GONE_HELD:
		return RULE_GONE_HELD;
	case RAIL_GONE_STALLED:
		return RULE_GONE_STALLED;
	case RAIL_GONE_RESET:
		return RULE_GONE_RESET;
	case RAIL_GONE_HOP_DOWN:
		return RULE_GONE_HOP_DOWN;
	default:
		return RULE_GONE_PEER;
	}
}

// ---- rules that end ----

static bool on_ending(void *ctx, const struct rule *r, uint32_t index, bool again)
{
	struct ctl *c = ctx;
	unsigned owner = atomic_load_explicit(&r->route_owner, memory_order_relaxed);
	const struct hop_msg msg = {.kind = HOP_MSG_REMOVED,
		.draining = r->reason == RULE_GONE_CLOSE,
		.late = again,
		.id = r->last_id,
		.index = index};

	return owner == 0 || hop_table_msg(c->k.hops, owner - 1, &msg);
}

static void on_idle(void *ctx, const struct rule *r, uint32_t index)
{
	struct ctl *c = ctx;
	unsigned owner = atomic_load_explicit(&r->route_owner, memory_order_relaxed);
	const struct hop_msg msg = {.kind = HOP_MSG_IDLE,
		.id = atomic_load_explicit(&r->id, memory_order_relaxed),
		.index = index};

	if (owner != 0) // without room it is asked in the next round
		hop_table_msg(c->k.hops, owner - 1, &msg);
}

static uint32_t on_freed(void *ctx, uint32_t index, bool is_over)
{
	return hop_table_route_freed(((struct ctl *)ctx)->k.hops, index, is_over);
}

// ---- transports that lost their state ----

// Tells whoever sends us packets of the rule. False: no room now.
static bool tell_before(struct ctl *c, const struct rule *r, uint32_t id, uint8_t reason)
{
	struct hop_msg msg = {.kind = HOP_MSG_GONE, .reason = reason & 0x3f, .id = id};
	int owner = hop_table_ingress(
		c->k.hops, atomic_load_explicit(&r->in_tp, memory_order_relaxed), id, &msg.hop);

	return owner < 0 || hop_table_msg(c->k.hops, (unsigned)owner, &msg);
}

// The worker of the way out ends it there and tells us to remove the rule. 1: done, 0: nobody is
// there, -EAGAIN: no room now.
static int tell_after(struct ctl *c, const struct rule *r, uint32_t id, uint8_t reason)
{
	const struct hop_msg msg = {.kind = HOP_MSG_END,
		.reason = reason & 0x3f,
		.id = id,
		.index = (uint32_t)(r - c->k.rules->slots),
		.hop = r->tx_hop};
	int owner = r->type == RULE_CONSUME ? -1 : hop_table_owner(c->k.hops, r->tx_hop, NULL);

	if (owner < 0)
		return 0;
	return hop_table_msg(c->k.hops, (unsigned)owner, &msg) ? 1 : -EAGAIN;
}

// x if it is that of `handle` and newer than a rule; else NULL.
static const struct ctl_reset *newer(const struct ctl_reset *x, uint32_t handle, uint32_t born)
{
	return handle != 0 && x->handle == handle && (int32_t)(x->born - born) > 0 ? x : NULL;
}

static const struct ctl_reset *reset_out(const struct ctl *c, const struct rule *r)
{
	uint32_t i = dpmsg_handle_index(r->tx_hop);

	return r->type != RULE_CONSUME && i < c->k.hops->hop_max
		       ? newer(&c->reset_hop[i], r->tx_hop, r->born)
		       : NULL;
}

static struct ctl_resets *resets_of(const struct ctl *c, uint32_t tp)
{
	uint32_t i = dpmsg_handle_index(tp);
	struct ctl_resets *t = i < c->k.hops->hop_max ? &c->reset_tp[i] : NULL;

	return t != NULL && tp != 0 && t->handle == tp ? t : NULL;
}

static const struct ctl_reset *reset_in(const struct ctl *c, const struct rule *r, uint32_t id)
{
	uint32_t tp = atomic_load_explicit(&r->in_tp, memory_order_relaxed);
	const struct ctl_resets *t = resets_of(c, tp);
	const struct ctl_reset *x = t != NULL ? newer(&t->all, tp, r->born) : NULL;

	if (x != NULL || t == NULL || t->flow == NULL)
		return x;
	return newer(&t->flow[rail_flow_of(id, t->n_flows) - 1], tp, r->born);
}

// A static rule outlives the link by which its packets come: whoever holds them up tells the next
// one, which knows nothing of it.
static bool say_again(struct ctl *c, const struct rule *r, uint32_t id)
{
	unsigned owner = atomic_load_explicit(&r->route_owner, memory_order_relaxed);
	const struct hop_msg msg = {
		.kind = HOP_MSG_UNTOLD, .id = id, .index = (uint32_t)(r - c->k.rules->slots)};

	return owner == 0 || r->paused == 0 || reset_in(c, r, id) == NULL ||
	       hop_table_msg(c->k.hops, owner - 1, &msg);
}

// False: no room for a message; look again.
static bool look(struct ctl *c, const struct rule *r)
{
	uint32_t id = atomic_load_explicit(&r->id, memory_order_relaxed);
	const struct ctl_reset *out, *in;
	int rc = 0;

	if (id == 0)
		return true;
	if ((r->flags & RULE_STATIC) != 0)
		return say_again(c, r, id);
	out = reset_out(c, r);
	in = reset_in(c, r, id);
	if (out == NULL && in == NULL)
		return true;
	if (out == NULL)
		rc = tell_after(c, r, id, in->reason);
	else if (in == NULL && !tell_before(c, r, id, out->reason))
		rc = -EAGAIN;
	if (rc < 0)
		return false;
	if (rc == 0)
		rule_table_del(c->k.rules, id, gone_of(out != NULL ? out->reason : in->reason));
	return true;
}

bool ctl_routes_turn(struct ctl *c)
{
	const struct rule_table *t = c->k.rules;

	for (unsigned n = 0; n < RESET_LOOKS && c->reset_left != 0; n++) {
		if (!look(c, &t->slots[c->reset_at]))
			break;
		c->reset_at = (c->reset_at + 1) & t->mask;
		c->reset_left--;
	}
	return c->reset_left != 0;
}

// Rules that leave by the hop are to be closed, and those that come by that flow; 0: by any.
static void reset(struct ctl *c, uint32_t hop, uint32_t tp, unsigned flow, uint8_t reason)
{
	struct ctl_reset x = {.handle = hop, .born = ++c->k.rules->resets, .reason = reason};
	struct ctl_resets *t = resets_of(c, tp);
	uint32_t i = dpmsg_handle_index(hop);

	if (i < c->k.hops->hop_max)
		c->reset_hop[i] = x;
	c->reset_left = c->k.rules->mask + 1;
	if (t == NULL || flow > t->n_flows) // what came by that one went with the reset of all
		return;
	x.handle = tp;
	if (t->n_flows > 1 && flow != 0 && t->flow == NULL)
		t->flow = calloc(RAIL_FLOWS_MAX, sizeof(t->flow[0]));
	if (t->n_flows > 1 && flow != 0 && t->flow != NULL)
		t->flow[flow - 1] = x;
	else
		t->all = x;
}

// A flow that lost its state. The first one of another number of flows is that of all: ids went
// by others before.
static void on_reset(struct ctl *c, const struct dp_note *note)
{
	struct ctl_resets *t = resets_of(c, note->tp);
	unsigned n = 0, flow = hop_table_flow(c->k.hops, note->hop, &n);

	if (flow == 0)
		return; // its end has closed them
	if (t != NULL && t->n_flows != n) {
		t->n_flows = (uint8_t)n;
		flow = 0;
	}
	reset(c, note->hop, note->tp, flow, (uint8_t)note->value);
}

void ctl_route_hop_added(struct ctl *c, const struct cmd_hop_add *m)
{
	struct ctl_resets *t = &c->reset_tp[dpmsg_handle_index(m->tp)];

	if (t->handle != m->tp) { // the old entries of its flows name another transport
		t->handle = m->tp;
		t->n_live = 0;
	}
	// Further flows of a link come before the reset of those that are there.
	if (t->n_live++ == 0)
		t->n_flows = m->n_flows != 0 ? m->n_flows : 1;
}

void ctl_route_hop_gone(struct ctl *c, uint32_t hop, uint32_t tp, unsigned flow, bool reliable)
{
	struct ctl_resets *t = resets_of(c, tp);

	if (t != NULL && t->n_live != 0)
		t->n_live--;
	if (reliable)
		reset(c, hop, tp, flow, RAIL_GONE_HOP_DOWN);
}

// ---- what workers tell ----

static void on_pause(struct ctl *c, const struct dp_note *n, bool paused)
{
	struct rule *r = rule_lookup(c->k.rules, n->id);
	struct evt_route_pause e = {.h = {.len = sizeof(e), .type = EVT_ROUTE_PAUSE},
		.id = n->id,
		.limit_s = (uint16_t)n->value,
		.paused = paused,
		.hop = n->hop};

	if (r == NULL || (!paused && !r->paused))
		return; // one that is gone has been told as that
	r->paused = paused;
	ctl_emit(c, &e, sizeof(e));
}

static void on_rule_idle(struct ctl *c, uint32_t id)
{
	const struct rule *r = rule_lookup(c->k.rules, id);

	if (r != NULL && rule_expired(r, c->now_ds))
		rule_table_del(c->k.rules, id, RULE_GONE_EXPIRED);
}

bool ctl_route_note(struct ctl *c, const struct dp_note *n)
{
	switch (n->kind) {
	case NOTE_RULE_END:
		rule_table_del(c->k.rules, n->id, gone_of(n->value));
		return true;
	case NOTE_RULE_IDLE:
		on_rule_idle(c, n->id);
		return true;
	case NOTE_ROUTE_PAUSE:
	case NOTE_ROUTE_RESUME:
		on_pause(c, n, n->kind == NOTE_ROUTE_PAUSE);
		return true;
	case NOTE_HOP_RESET:
		on_reset(c, n);
		return true;
	default:
		return false;
	}
}

// The rule of that id, also while a worker holds packets of it and it is out of the table.
static const struct rule *rule_or_rest(const struct ctl *c, uint32_t id)
{
	const struct rule *r = rule_lookup(c->k.rules, id);
	const struct rule *slot = rule_slot(c->k.rules, id);

	if (r != NULL)
		return r;
	return id != 0 && slot->retired != RULE_IN_USE && slot->last_id == id ? slot : NULL;
}

int ctl_route_pause(struct ctl *c, const struct cmd_route_pause *m)
{
	const struct rule *r = rule_or_rest(c, m->id);
	struct hop_msg msg = {.kind = m->paused != 0 ? HOP_MSG_SINK_PAUSE : HOP_MSG_SINK_RESUME,
		.limit_s = m->limit_s,
		.id = m->id};
	int owner;

	if (m->paused > 1)
		return -EINVAL;
	if (r == NULL || r->type != RULE_CONSUME)
		return -ENOENT;
	owner = hop_table_ingress(
		c->k.hops, atomic_load_explicit(&r->in_tp, memory_order_relaxed), m->id, &msg.hop);
	if (r->retired != RULE_IN_USE) // who holds the rest; the hop may be gone
		owner = (int)atomic_load_explicit(&r->route_owner, memory_order_relaxed) - 1;
	if (owner < 0)
		return -ENOTSUP;
	return hop_table_msg(c->k.hops, (unsigned)owner, &msg) ? 0 : -EAGAIN;
}

// ---- begin and end ----

int ctl_routes_open(struct ctl *c)
{
	c->reset_hop = calloc(c->k.hops->hop_max, sizeof(c->reset_hop[0]));
	c->reset_tp = calloc(c->k.hops->hop_max, sizeof(c->reset_tp[0]));
	if (c->reset_hop == NULL || c->reset_tp == NULL)
		return -ENOMEM;
	c->k.rules->ending = on_ending;
	c->k.rules->idle = on_idle;
	c->k.rules->freed = on_freed;
	return 0;
}

void ctl_routes_close(struct ctl *c)
{
	if (c->k.rules != NULL && c->k.rules->gone_ctx == c) {
		c->k.rules->ending = NULL;
		c->k.rules->idle = NULL;
		c->k.rules->freed = NULL;
	}
	for (uint32_t i = 0; c->reset_tp != NULL && i < c->k.hops->hop_max; i++)
		free(c->reset_tp[i].flow);
	free(c->reset_hop);
	free(c->reset_tp);
}
