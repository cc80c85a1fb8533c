// The places of both paths in one array, forward first. A rule names the id of the place after its
// own as the next one, and the transport of the hop between both.

#include "lib/route/setup_plan.h"

#include "lib/base/err.h"

#include <stdio.h>
#include <string.h>

static const struct setup_path *path_of(const struct setup_plan *plan, bool forward)
{
	return forward ? &plan->route.forward : &plan->route.reverse;
}

// ---- is it a route? ----

static bool is_pk(const struct key_pk *pk, const uint8_t desc_pk[RULE_PK_LEN])
{
	return memcmp(pk->b, desc_pk, RULE_PK_LEN) == 0;
}

static const char *wrong_ends(const struct setup_route *r)
{
	const struct setup_path *f = &r->forward, *b = &r->reverse;

	if (f->n == 0)
		return "bidirectional route does not have forward hops";
	if (b->n == 0)
		return "bidirectional route does not have reverse hops";
	if (!is_pk(&f->hop[0].from, r->desc.src_pk) ||
		!is_pk(&b->hop[b->n - 1].to, r->desc.src_pk) ||
		!is_pk(&b->hop[0].from, r->desc.dst_pk) ||
		!is_pk(&f->hop[f->n - 1].to, r->desc.dst_pk))
		return SETUP_WRONG_ENDS;
	return NULL;
}

static int check_path(const struct setup_path *p, const char *name, char why[SETUP_WHY_MAX])
{
	static const uint8_t no_tp[RULE_TP_ID_LEN];

	for (uint32_t i = 0; i < p->n; i++) {
		const char *what = NULL;

		if (i > 0 && key_pk_cmp(&p->hop[i].from, &p->hop[i - 1].to) != 0)
			what = "begins elsewhere than the one before it ends";
		else if (memcmp(p->hop[i].tp_id, no_tp, sizeof(no_tp)) == 0)
			what = "names no transport";
		if (what == NULL)
			continue;
		snprintf(why, SETUP_WHY_MAX, "hop %u of the %s path %s", i + 1, name, what);
		return -EINVAL;
	}
	return 0;
}

static int check(const struct setup_route *r, char why[SETUP_WHY_MAX])
{
	const char *ends = wrong_ends(r);
	int64_t s = r->keep_alive_ns / 1000000000;
	int rc;

	if (ends != NULL) {
		snprintf(why, SETUP_WHY_MAX, "%s", ends);
		return -EINVAL;
	}
	if (s < SETUP_KEEP_ALIVE_MIN_S ||
		r->keep_alive_ns > SETUP_KEEP_ALIVE_MAX_S * 1000000000ll) {
		snprintf(why, SETUP_WHY_MAX, "keep-alive of %lld s: %d s to %d s are possible",
			(long long)s, SETUP_KEEP_ALIVE_MIN_S, SETUP_KEEP_ALIVE_MAX_S);
		return -EINVAL;
	}
	rc = check_path(&r->forward, "forward", why);
	return rc < 0 ? rc : check_path(&r->reverse, "reverse", why);
}

// ---- places ----

static void add_place(struct setup_plan *plan, const struct key_pk *pk)
{
	uint32_t k = 0;

	while (k < plan->n_nodes && key_pk_cmp(&plan->node[k], pk) != 0)
		k++;
	if (k == plan->n_nodes)
		plan->node[plan->n_nodes++] = *pk;
	plan->place[plan->n_places++] = (struct setup_place){.node = (uint8_t)k};
}

static void add_path(struct setup_plan *plan, const struct setup_path *p)
{
	add_place(plan, &p->hop[0].from);
	for (uint32_t i = 0; i < p->n; i++)
		add_place(plan, &p->hop[i].to);
}

int setup_plan_init(
	struct setup_plan *plan, const struct setup_route *route, char why[SETUP_WHY_MAX])
{
	int rc = check(route, why);

	if (rc < 0)
		return rc;
	plan->route = *route;
	plan->n_nodes = plan->n_places = 0;
	add_path(plan, &route->forward);
	plan->n_forward = plan->n_places;
	add_path(plan, &route->reverse);
	return 0;
}

uint32_t setup_plan_wants(const struct setup_plan *plan, uint32_t node)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < plan->n_places; i++)
		n += plan->place[i].node == node;
	return n;
}

int setup_plan_give(struct setup_plan *plan, uint32_t node, const uint32_t *ids, uint32_t n)
{
	uint32_t at = 0;

	if (n != setup_plan_wants(plan, node))
		return -EPROTO;
	for (uint32_t i = 0; i < n; i++) {
		if (ids[i] == 0)
			return -EPROTO;
		for (uint32_t k = 0; k < i; k++)
			if (ids[k] == ids[i])
				return -EPROTO;
	}
	for (uint32_t i = 0; i < plan->n_places; i++)
		if (plan->place[i].node == node)
			plan->place[i].id = ids[at++];
	return 0;
}

uint32_t setup_plan_ids(const struct setup_plan *plan, uint32_t node, uint32_t ids[SETUP_IDS_MAX])
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < plan->n_places; i++)
		if (plan->place[i].node == node && plan->place[i].id != 0)
			ids[n++] = plan->place[i].id;
	return n;
}

// ---- rules ----

// The rule of place `at` of the forward path, or of the reverse one.
static void put_rule(const struct setup_plan *plan, bool forward, uint32_t at, uint8_t *to)
{
	const struct setup_path *p = path_of(plan, forward);
	const struct setup_place *place = &plan->place[(forward ? 0 : plan->n_forward) + at];
	struct rule_wire rule = {.keep_alive_ns = plan->route.keep_alive_ns, .key_id = place->id};

	if (at == p->n) {
		rule.kind = RULE_KIND_CONSUME;
	} else {
		rule.kind = at == 0 ? RULE_KIND_FORWARD : RULE_KIND_INTERMEDIARY;
		rule.next_id = place[1].id;
		memcpy(rule.next_tp, p->hop[at].tp_id, sizeof(rule.next_tp));
	}
	rule.desc = plan->route.desc;
	if (!forward)
		rule_desc_invert(&rule.desc, &rule.desc);
	rule_encode(to, RULE_LEN_MAX, &rule); // all ids are there, so it is a valid one
}

static uint32_t path_rules(
	const struct setup_plan *plan, bool forward, uint32_t node, uint8_t *rules, uint32_t n)
{
	uint32_t first = forward ? 0 : plan->n_forward;

	for (uint32_t i = 1; i < path_of(plan, forward)->n; i++) {
		uint8_t rule[RULE_LEN_MAX];

		if (plan->place[first + i].node != node)
			continue;
		put_rule(plan, forward, i, rule);
		memcpy(rules + (size_t)n++ * RULE_INTERMEDIARY_LEN, rule, RULE_INTERMEDIARY_LEN);
	}
	return n;
}

uint32_t setup_plan_rules(const struct setup_plan *plan, uint32_t node,
	uint8_t rules[SETUP_IDS_MAX * RULE_INTERMEDIARY_LEN])
{
	return path_rules(plan, false, node, rules, path_rules(plan, true, node, rules, 0));
}

// An edge sends by the first place of one path, and takes by the last one of the other.
static void put_edge(const struct setup_plan *plan, bool sends_forward, struct setup_edge *edge)
{
	uint8_t rule[RULE_LEN_MAX];

	edge->desc = plan->route.desc;
	if (sends_forward)
		rule_desc_invert(&edge->desc, &edge->desc);
	put_rule(plan, sends_forward, 0, rule);
	memcpy(edge->forward, rule, sizeof(edge->forward));
	put_rule(plan, !sends_forward, path_of(plan, !sends_forward)->n, rule);
	memcpy(edge->consume, rule, sizeof(edge->consume));
}

void setup_plan_initiator(const struct setup_plan *plan, struct setup_edge *edge)
{
	put_edge(plan, true, edge);
}

void setup_plan_responder(const struct setup_plan *plan, struct setup_edge *edge)
{
	put_edge(plan, false, edge);
}

uint32_t setup_plan_responder_node(const struct setup_plan *plan)
{
	return plan->place[plan->n_forward - 1].node;
}
