// Plans of routes: the rules of Skywire's own set-up node for A -> B -> C, loops, and what is no
// route.

#include "lib/route/setup_plan.h"

#include "lib/base/err.h"
#include "tests/support/rpc_vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct setup_plan plan;
static char why[SETUP_WHY_MAX];

static int load(void **state)
{
	*state = vectors_load("setup.json");
	return 0;
}

static int unload(void **state)
{
	json_decref(*state);
	return 0;
}

static void assert_rule(void **state, const char *name, const uint8_t *rule)
{
	size_t len;
	uint8_t *p = vectors_hex_new(vectors_get(*state, "rules"), name, &len);

	assert_memory_equal(rule, p, len);
	free(p);
}

// A -> B -> C and back, of the shared call.
static struct setup_route route_abc(void **state)
{
	const json_t *call = rpc_call(*state, "setup_node", "1_DialRouteGroup_first_call_on_conn");
	static struct netrpc_rx rx;
	struct setup_route r;

	memset(&rx, 0, sizeof(rx));
	rpc_take_call(&rx, call, "request");
	assert_int_equal(setup_route_read(&r, &rx), 0);
	return r;
}

static void rules_are_those_of_skywire(void **state)
{
	const struct setup_route r = route_abc(state);
	const uint32_t ids[] = {1, 2};
	uint8_t rules[SETUP_IDS_MAX * RULE_INTERMEDIARY_LEN];
	struct setup_edge a, c;
	uint32_t back[SETUP_IDS_MAX];

	assert_int_equal(setup_plan_init(&plan, &r, why), 0);
	assert_int_equal(plan.n_nodes, 3);
	assert_int_equal(plan.n_places, 6);
	for (uint32_t k = 0; k < 3; k++) {
		assert_int_equal(setup_plan_ids(&plan, k, back), 0);
		assert_int_equal(setup_plan_wants(&plan, k), 2);
		assert_int_equal(setup_plan_give(&plan, k, ids, 2), 0);
		assert_int_equal(setup_plan_ids(&plan, k, back), 2);
		assert_memory_equal(back, ids, sizeof(ids));
	}
	assert_int_equal(setup_plan_rules(&plan, 0, rules), 0);
	assert_int_equal(setup_plan_rules(&plan, 1, rules), 2);
	assert_rule(state, "B_intermediary_fwd", rules);
	assert_rule(state, "B_intermediary_rev", rules + RULE_INTERMEDIARY_LEN);
	assert_int_equal(setup_plan_rules(&plan, 2, rules), 0);
	setup_plan_initiator(&plan, &a);
	setup_plan_responder(&plan, &c);
	assert_int_equal(setup_plan_responder_node(&plan), 2);
	assert_rule(state, "A_forward", a.forward);
	assert_rule(state, "A_consume", a.consume);
	assert_rule(state, "C_forward", c.forward);
	assert_rule(state, "C_consume", c.consume);
	assert_memory_equal(c.desc.src_pk, r.desc.src_pk, RULE_PK_LEN);
	assert_memory_equal(a.desc.src_pk, r.desc.dst_pk, RULE_PK_LEN);
}

// A -> B -> A, as visors ping: every node is asked once, for all its places.
static void a_loop_has_its_nodes_once(void **state)
{
	struct setup_route r = route_abc(state);
	const uint32_t a_ids[] = {10, 11, 12, 13}, b_ids[] = {20, 21};
	uint8_t rules[SETUP_IDS_MAX * RULE_INTERMEDIARY_LEN];
	struct setup_edge in, res;
	struct rule_wire rule;

	memcpy(r.desc.dst_pk, r.desc.src_pk, RULE_PK_LEN);
	r.forward.hop[1].to = r.forward.hop[0].from;
	r.reverse = r.forward;
	assert_int_equal(setup_plan_init(&plan, &r, why), 0);
	assert_int_equal(plan.n_nodes, 2);
	assert_int_equal(setup_plan_wants(&plan, 0), 4);
	assert_int_equal(setup_plan_give(&plan, 0, a_ids, 4), 0);
	assert_int_equal(setup_plan_give(&plan, 1, b_ids, 2), 0);
	assert_int_equal(setup_plan_responder_node(&plan), 0);
	assert_int_equal(setup_plan_rules(&plan, 1, rules), 2);
	setup_plan_initiator(&plan, &in);
	setup_plan_responder(&plan, &res);
	assert_int_equal(rule_decode(in.forward, sizeof(in.forward), &rule), RULE_FORWARD_LEN);
	assert_int_equal(rule.key_id, 10);
	assert_int_equal(rule.next_id, 20);
	assert_int_equal(rule_decode(res.consume, sizeof(res.consume), &rule), RULE_CONSUME_LEN);
	assert_int_equal(rule.key_id, 11);
	assert_int_equal(rule_decode(res.forward, sizeof(res.forward), &rule), RULE_FORWARD_LEN);
	assert_int_equal(rule.key_id, 12);
	assert_int_equal(rule_decode(in.consume, sizeof(in.consume), &rule), RULE_CONSUME_LEN);
	assert_int_equal(rule.key_id, 13);
}

static void a_direct_route_has_no_intermediary(void **state)
{
	struct setup_route r = route_abc(state);
	uint8_t rules[SETUP_IDS_MAX * RULE_INTERMEDIARY_LEN];

	r.forward.hop[0].to = r.forward.hop[1].to;
	r.forward.n = 1;
	r.reverse.hop[0].to = r.reverse.hop[1].to;
	r.reverse.n = 1;
	assert_int_equal(setup_plan_init(&plan, &r, why), 0);
	assert_int_equal(plan.n_nodes, 2);
	for (uint32_t k = 0; k < 2; k++)
		assert_int_equal(setup_plan_rules(&plan, k, rules), 0);
}

static void ids_that_cannot_be_are_refused(void **state)
{
	const struct setup_route r = route_abc(state);
	const uint32_t zero[] = {1, 0}, twice[] = {7, 7}, three[] = {1, 2, 3};

	assert_int_equal(setup_plan_init(&plan, &r, why), 0);
	assert_int_equal(setup_plan_give(&plan, 0, zero, 2), -EPROTO);
	assert_int_equal(setup_plan_give(&plan, 0, twice, 2), -EPROTO);
	assert_int_equal(setup_plan_give(&plan, 0, three, 3), -EPROTO);
	assert_int_equal(setup_plan_give(&plan, 0, three, 1), -EPROTO);
}

enum flaw {
	NO_FORWARD,
	NO_REVERSE,
	OTHER_SRC,
	OTHER_DST,
	OTHER_REVERSE_SRC,
	NOT_CHAINED,
	NO_TRANSPORT,
	TOO_SHORT,
	TOO_LONG,
	NEGATIVE,
};

static void spoil(struct setup_route *r, enum flaw flaw)
{
	const struct key_pk b = r->forward.hop[0].to;

	switch (flaw) {
	case NO_FORWARD:
		r->forward.n = 0;
		break;
	case NO_REVERSE:
		r->reverse.n = 0;
		break;
	case OTHER_SRC:
		r->forward.hop[0].from = b;
		break;
	case OTHER_DST:
		r->forward.hop[1].to = b;
		break;
	case OTHER_REVERSE_SRC:
		r->reverse.hop[0].from = b;
		break;
	case NOT_CHAINED:
		r->reverse.hop[1].from = r->reverse.hop[0].from;
		break;
	case NO_TRANSPORT:
		memset(r->forward.hop[1].tp_id, 0, RULE_TP_ID_LEN);
		break;
	case TOO_SHORT:
		r->keep_alive_ns = 4999999999;
		break;
	case TOO_LONG:
		r->keep_alive_ns = 3600000000001;
		break;
	case NEGATIVE:
		r->keep_alive_ns = INT64_MIN;
		break;
	}
}

static void what_is_no_route_is_refused_with_words(void **state)
{
	static const struct {
		enum flaw flaw;
		const char *why;
	} flaws[] = {
		{NO_FORWARD, "bidirectional route does not have forward hops"},
		{NO_REVERSE, "bidirectional route does not have reverse hops"},
		{OTHER_SRC, "bidirectional route has an invalid route description"},
		{OTHER_DST, "bidirectional route has an invalid route description"},
		{OTHER_REVERSE_SRC, "bidirectional route has an invalid route description"},
		{NOT_CHAINED,
			"hop 2 of the reverse path begins elsewhere than the one before it ends"},
		{NO_TRANSPORT, "hop 2 of the forward path names no transport"},
		{TOO_SHORT, "keep-alive of 4 s: 5 s to 3600 s are possible"},
		{TOO_LONG, "keep-alive of 3600 s: 5 s to 3600 s are possible"},
		{NEGATIVE, "keep-alive of -9223372036 s: 5 s to 3600 s are possible"},
	};

	for (size_t i = 0; i < ARRAY_LEN(flaws); i++) {
		struct setup_route r = route_abc(state);

		spoil(&r, flaws[i].flaw);
		assert_int_equal(setup_plan_init(&plan, &r, why), -EINVAL);
		assert_string_equal(why, flaws[i].why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_are_those_of_skywire),
		cmocka_unit_test(a_loop_has_its_nodes_once),
		cmocka_unit_test(a_direct_route_has_no_intermediary),
		cmocka_unit_test(ids_that_cannot_be_are_refused),
		cmocka_unit_test(what_is_no_route_is_refused_with_words),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
