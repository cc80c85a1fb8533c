// A gate on the rule manager of rule_fixture.h, and two set-up nodes that call it. Each test that
// includes it is a program of its own and uses what it needs.
#pragma once

#include "controlplane/route/route_gate.h"

#include "lib/base/clock.h"
#include "tests/controlplane/route/rule_fixture.h"

#include <stdlib.h>

enum { KEEP_S = 30, HOLD_S = ROUTE_HOLD_MS / 1000 };

static const struct key_pk one = {.b = {2, 1}}, two = {.b = {3, 2}}, self = {.b = {2, 9}};
static struct route_gate *gate;
static uint64_t now_ns;
static char why[ROUTE_WHY_MAX];

// What came of the last call.
static unsigned n_said;
static char said[ROUTE_WHY_MAX]; // "": done

static void on_said(void *arg, const char *text)
{
	n_said++;
	snprintf(said, sizeof(said), "%s", text != NULL ? text : "");
}

static uint64_t fake_now(void)
{
	return now_ns;
}

static const struct clock_source fake_clock = {fake_now, fake_now};

static int gate_new(const struct route_edges *edges)
{
	struct route_gate_conf c = {
		.loop = loop, .dp = &fake, .rules = m, .ids = ids, .self = self};

	if (edges != NULL)
		c.edges = *edges;
	gate = route_gate_new(&c);
	return gate == NULL;
}

static int gate_setup(void **state)
{
	now_ns = 1000 * CLOCK_NS_PER_S;
	clock_source_set(&fake_clock);
	n_said = 0;
	return rule_setup(state) != 0 || gate_new(NULL) != 0;
}

static int gate_teardown(void **state)
{
	route_gate_free(gate);
	clock_source_set(NULL);
	return rule_teardown(state);
}

static void reserve(const struct key_pk *by, uint32_t *id, uint8_t n)
{
	uint32_t all[SETUP_IDS_MAX];

	assert_int_equal(route_gate_reserve(gate, by, n, all, why), 0);
	memcpy(id, all, n * sizeof(*id));
}

static struct rule_wire transit(uint32_t id, const char *tp)
{
	struct rule_wire r = {.keep_alive_ns = KEEP_S * 1000000000ll,
		.kind = RULE_KIND_INTERMEDIARY,
		.key_id = id,
		.next_id = 99};

	snprintf((char *)r.next_tp, sizeof(r.next_tp), "%s", tp);
	return r;
}

// Asks for intermediary rules with these ids; the caller lets the data plane answer.
static int lay(const struct key_pk *by, const uint32_t *id, uint32_t n, struct route_call **call)
{
	struct rule_wire r[SETUP_IDS_MAX];
	struct route_call *c;

	for (uint32_t i = 0; i < n; i++)
		r[i] = transit(id[i], "b");
	return route_gate_intermediary(
		gate, by, r, n, on_said, NULL, call != NULL ? call : &c, why);
}

static void lay_now(const struct key_pk *by, const uint32_t *id, uint32_t n)
{
	n_said = 0;
	assert_int_equal(lay(by, id, n, NULL), 0);
	fake_answer();
	assert_int_equal(n_said, 1);
	assert_string_equal(said, "");
}

static struct route_gate_stats stats(void)
{
	struct route_gate_stats s;

	route_gate_stats_get(gate, &s);
	return s;
}

// As rule_mgr and gate see it: by the API, of a set-up or not.
static bool is_held(uint32_t id)
{
	return route_gate_find(gate, id) != NULL;
}
