// What set-up nodes may do, on the data plane of a table and a clock that tests set: ids that are
// theirs and only once, rules all together or not at all, and what is left when they, the data
// plane or time take something away.
#include "tests/controlplane/route/gate_fixture.h"

static void a_yes_is_the_data_planes(void **state)
{
	uint32_t id[2];

	fake_attach(DP_SYNC_FRESH);
	reserve(&one, id, 2);
	assert_true(id[0] != 0 && id[0] != id[1]);
	assert_int_equal(lay(&one, id, 2, NULL), 0);
	loop_turn(loop);
	assert_int_equal(n_said, 0);
	fake_answer();
	assert_int_equal(n_said, 1);
	assert_string_equal(said, "");
	assert_int_equal(in_dp(id[0])->tx_hop, 22);
	assert_int_equal(in_dp(id[1])->in_tp, RULE_IN_ANY);
	assert_int_equal(route_gate_find(gate, id[0])->state, CLAIM_LAID);
	assert_int_equal(stats().laid, 2);
	assert_int_equal(stats().reserved, 2);
}

static void ids_are_their_set_up_nodes_and_only_once(void **state)
{
	uint32_t id[3], twice[2];
	char text[ROUTE_WHY_MAX];

	fake_attach(DP_SYNC_FRESH);
	reserve(&one, id, 3);
	assert_int_equal(lay(&two, id, 2, NULL), -EACCES);
	snprintf(text, sizeof(text),
		"failure code 1 (id %u: is not reserved by you, or was for too long)", id[0]);
	assert_string_equal(why, text);
	assert_int_equal(lay(&one, (const uint32_t[]){id[0], 77}, 2, NULL), -EACCES);
	twice[0] = twice[1] = id[0];
	assert_int_equal(lay(&one, twice, 2, NULL), -EACCES);
	assert_int_equal(fake.n_queue, 0);
	assert_int_equal(lay(&one, id, 1, NULL), 0);
	assert_int_equal(lay(&one, id, 2, NULL), -EACCES); // under way
	assert_non_null(strstr(why, "has a rule already"));
	fake_answer();
	assert_int_equal(lay(&one, id, 2, NULL), -EACCES); // there
	lay_now(&one, id + 1, 2); // what was refused has taken nothing
	assert_int_equal(stats().refused, 5);
	assert_int_equal(stats().foreign, 2);
	settle();
	assert_int_equal(rule_mgr_n_live(m), 3);
}

static void rules_are_laid_together_or_not_at_all(void **state)
{
	uint32_t id[3];

	fake_attach(DP_SYNC_FRESH);
	reserve(&one, id, 3);
	fake.rules[id[1] % FAKE_SLOTS].id = id[1] ^ 0x80000000;
	assert_int_equal(lay(&one, id, 3, NULL), 0);
	for (int i = 0; i < 3; i++)
		settle();
	assert_int_equal(n_said, 1);
	assert_non_null(strstr(said, "failure code 1 (id "));
	for (int i = 0; i < 3; i++) {
		assert_null(in_dp(id[i]));
		assert_false(is_held(id[i]));
	}
	assert_int_equal(rule_mgr_n_live(m), 0);
	assert_int_equal(lay(&one, id, 1, NULL), -EACCES); // used up
}

static void rules_that_cant_be_are_refused(void **state)
{
	static const struct {
		const char *tp;
		int64_t keep_s;
		uint8_t kind;
		const char *why;
	} cases[] = {
		{"c", KEEP_S, RULE_KIND_INTERMEDIARY, "no such transport here"},
		{"a", KEEP_S, RULE_KIND_INTERMEDIARY, "its transport is not up"},
		{"b", 4, RULE_KIND_INTERMEDIARY, "keep-alives of 5 s to 3600 s"},
		{"b", 3601, RULE_KIND_INTERMEDIARY, "keep-alives of 5 s to 3600 s"},
		{"b", INT64_MAX / 1000000000, RULE_KIND_INTERMEDIARY, "keep-alives of"},
		{"b", KEEP_S, RULE_KIND_FORWARD, "is for no intermediary rule"},
		{"b", KEEP_S, RULE_KIND_CONSUME, "is for no intermediary rule"},
	};

	fake_attach(DP_SYNC_FRESH);
	transports[0].down = true;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct route_call *call;
		struct rule_wire r[2];
		uint32_t id[2];

		reserve(&one, id, 2);
		r[0] = transit(id[0], "b");
		r[1] = transit(id[1], cases[i].tp);
		r[1].keep_alive_ns = cases[i].keep_s * 1000000000;
		r[1].kind = cases[i].kind;
		said[0] = '\0';
		if (route_gate_intermediary(gate, &one, r, 2, on_said, NULL, &call, why) < 0)
			strcpy(said, why);
		settle();
		assert_non_null(strstr(said, cases[i].why));
		assert_null(in_dp(id[0]));
	}
	assert_int_equal(stats().laid, 0);
}

static void no_transit_takes_no_intermediary_rule(void **state)
{
	uint32_t id;

	fake_attach(DP_SYNC_FRESH);
	route_gate_set_transit(gate, false);
	reserve(&one, &id, 1);
	assert_int_equal(lay(&one, &id, 1, NULL), -EACCES);
	assert_string_equal(why, "failure code 1 (visor does not transit routes)");
	assert_int_equal(stats().no_transit, 1);
	assert_int_equal(stats().refused, 0); // it is nobody's mistake
	assert_int_equal(stats().ids_now, 1);
	route_gate_set_transit(gate, true);
	lay_now(&one, &id, 1);
	assert_int_equal(stats().ids_now, 0);
	assert_int_equal(stats().rules_now, 1);
}

static void an_id_is_reserved_for_a_minute(void **state)
{
	uint32_t id[2], other;

	fake_attach(DP_SYNC_FRESH);
	reserve(&one, id, 2);
	now_ns += (HOLD_S - 1) * CLOCK_NS_PER_S;
	lay_now(&one, id, 1);
	now_ns += CLOCK_NS_PER_S;
	assert_int_equal(lay(&one, id + 1, 1, NULL), -EACCES);
	reserve(&one, &other, 1); // a good time to look
	assert_false(route_id_is_live(ids, id[1]));
	assert_true(route_id_is_live(ids, id[0])); // has a rule
	assert_int_equal(stats().lapsed, 1);
	assert_int_equal(rule_mgr_n_live(m), 2);
}

static int delete (const struct key_pk *by, const uint32_t *id, uint32_t n)
{
	struct route_call *call;

	return route_gate_delete(gate, by, id, n, on_said, NULL, &call, why);
}

static void only_what_one_laid_is_taken_back(void **state)
{
	uint32_t id[4];

	fake_attach(DP_SYNC_FRESH);
	reserve(&one, id, 3);
	reserve(&two, id + 3, 1);
	lay_now(&one, id, 2);
	lay_now(&two, id + 3, 1);
	n_said = 0;
	assert_int_equal(delete (&two, id, 3), -EALREADY); // not its
	assert_int_equal(stats().foreign, 3);
	assert_int_equal(delete (&one, id + 1, 3), 0); // one laid, one reserved, one of another
	fake_answer();
	assert_int_equal(n_said, 0); // nothing of it is held any more: that comes last
	settle();
	assert_int_equal(n_said, 1);
	assert_string_equal(said, "");
	assert_non_null(in_dp(id[0]));
	assert_null(in_dp(id[1]));
	assert_false(route_id_is_live(ids, id[2]));
	assert_non_null(in_dp(id[3]));
	assert_int_equal(stats().taken_back, 1);
}

// By another stream, before the data plane has answered.
static void what_is_taken_back_too_early_goes_when_it_is_there(void **state)
{
	uint32_t id;

	fake_attach(DP_SYNC_FRESH);
	reserve(&one, &id, 1);
	assert_int_equal(lay(&one, &id, 1, NULL), 0);
	assert_int_equal(delete (&one, &id, 1), -EALREADY);
	settle();
	assert_int_equal(n_said, 1);
	settle();
	assert_null(in_dp(id));
	assert_false(is_held(id));
	assert_int_equal(rule_mgr_n_live(m), 0);
}

static void a_rule_that_ends_is_nobodys(void **state)
{
	uint32_t id[2], fresh;

	fake_attach(DP_SYNC_FRESH);
	reserve(&one, id, 2);
	lay_now(&one, id, 2);
	assert_int_equal(fake_del(id[0], RULE_GONE_CLOSE), 0);
	settle();
	assert_false(is_held(id[0]));
	assert_true(is_held(id[1]));
	assert_int_equal(delete (&one, id, 1), -EALREADY);
	reserve(&one, &fresh, 1);
	assert_int_not_equal(fresh, id[0]);
}

// The end of the first is told before the second is answered.
static void one_that_ends_before_its_call_does_is_forgotten(void **state)
{
	struct evt_rule e;
	uint32_t id[2];

	fake_attach(DP_SYNC_FRESH);
	reserve(&one, id, 2);
	assert_int_equal(lay(&one, id, 2, NULL), 0);
	e = (struct evt_rule){.id = id[0], .reason = RULE_GONE_CLOSE};
	FAKE_EACH(on_rule_gone, &e);
	fake_answer();
	assert_int_equal(n_said, 1);
	assert_false(is_held(id[0]));
	assert_true(is_held(id[1]));
}

static void a_new_data_plane_keeps_what_is_reserved(void **state)
{
	uint32_t id[4];

	fake_attach(DP_SYNC_FRESH);
	reserve(&one, id, 4);
	lay_now(&one, id, 1);
	assert_int_equal(lay(&one, id + 1, 1, NULL), 0);
	n_said = 0;
	fake_detach();
	assert_int_equal(n_said, 1);
	assert_non_null(strstr(said, "the data plane is away"));
	assert_int_equal(lay(&one, id + 2, 1, NULL), -EACCES);
	assert_non_null(strstr(why, "the data plane is away"));
	fake_attach(DP_SYNC_FRESH);
	assert_false(is_held(id[0]));
	assert_false(is_held(id[2]));
	lay_now(&one, id + 3, 1);
	assert_int_equal(rule_mgr_n_live(m), 1);
}

static void lost_events_take_away_what_the_dump_does_not_name(void **state)
{
	uint32_t id[4];

	fake_attach(DP_SYNC_FRESH);
	reserve(&one, id, 4);
	lay_now(&one, id, 2);
	fake.rules[id[0] % FAKE_SLOTS].id = 0; // and RULE_GONE was lost
	fake_attach(DP_SYNC_OVERFLOW);
	assert_false(is_held(id[0]));
	assert_true(is_held(id[1]));
	lay_now(&one, id + 2, 2);
	assert_int_equal(rule_mgr_n_live(m), 3);
}

static void no_key_and_not_all_of_them_can_fill_the_table(void **state)
{
	uint32_t id[SETUP_IDS_MAX], n = 0;

	fake_attach(DP_SYNC_FRESH);
	assert_int_equal(route_gate_reserve(gate, &one, SETUP_IDS_MAX + 1, id, why), -EACCES);
	for (; n + 64 <= FAKE_SLOTS / 2; n += 64) {
		reserve(&one, id, 64);
		lay_now(&one, id, 64);
	}
	reserve(&one, id, 1);
	assert_int_equal(lay(&one, id, 1, NULL), -EACCES);
	assert_string_equal(why, "failure code 1 (there are too many rules of yours)");
	for (n++; n + 64 <= FAKE_SLOTS - FAKE_SLOTS / 8; n += 64)
		reserve(&two, id, 64);
	assert_int_equal(route_gate_reserve(gate, &two, 64, id, why), -EACCES);
	assert_string_equal(why, "failure code 4 (too many ids are reserved)");
	assert_true(FAKE_SLOTS - rule_mgr_n_live(m) >= FAKE_SLOTS / 8);
}

static void calls_that_nobody_waits_for_go_on(void **state)
{
	struct route_call *call;
	uint32_t id;

	fake_attach(DP_SYNC_FRESH);
	reserve(&one, &id, 1);
	assert_int_equal(lay(&one, &id, 1, &call), 0);
	route_call_forget(call);
	fake_answer();
	assert_int_equal(n_said, 0);
	assert_int_equal(route_gate_find(gate, id)->state, CLAIM_LAID);
}

// Who goes away and comes again leaves calls behind: neither of one key nor of all are they what
// the node needs for itself.
static void calls_under_way_have_limits(void **state)
{
	struct api_rule_add own = consume(0, 30000);
	uint32_t id[ROUTE_CALLS_MAX + 1], n = 0;

	fake_attach(DP_SYNC_FRESH);
	for (; n < ROUTE_CALLS_OF_KEY; n++) {
		reserve(&one, &id[n], 1);
		assert_int_equal(lay(&one, &id[n], 1, NULL), 0);
	}
	reserve(&one, &id[n], 1);
	assert_int_equal(lay(&one, &id[n], 1, NULL), -EACCES);
	assert_string_equal(why, "failure code 1 (too many calls at once: try again)");
	for (n++; n <= ROUTE_CALLS_MAX; n++) {
		reserve(&two, &id[n], 1);
		assert_int_equal(lay(&two, &id[n], 1, NULL), 0);
	}
	reserve(&two, &id[0], 1);
	assert_int_equal(lay(&two, &id[0], 1, NULL), -EACCES);
	assert_int_equal(stats().refused, 2);
	assert_non_null(rule_mgr_add(m, &own, 1, on_done, NULL));
	n_said = 0;
	fake_answer();
	assert_int_equal(n_said, ROUTE_CALLS_MAX);
	lay_now(&one, &id[ROUTE_CALLS_OF_KEY], 1); // it has kept its id
}

static void the_gate_may_end_in_the_middle(void **state)
{
	uint32_t id[3];

	fake_attach(DP_SYNC_FRESH);
	reserve(&one, id, 3);
	lay_now(&one, id, 1);
	assert_int_equal(lay(&one, id + 1, 1, NULL), 0);
	assert_int_equal(delete (&one, id, 1), 0);
	n_said = 0;
	route_gate_free(gate);
	gate = NULL;
	settle();
	assert_int_equal(n_said, 0);
}

static void an_initiator_takes_what_is_reserved_for_it(void **state)
{
	uint32_t id[2];

	fake_attach(DP_SYNC_FRESH);
	reserve(&one, id, 2);
	assert_false(route_gate_claim(gate, &two, id, 2));
	assert_false(route_gate_claim(gate, &one, (const uint32_t[]){id[0], 5}, 2));
	assert_true(route_gate_claim(gate, &one, id, 2));
	assert_false(route_gate_claim(gate, &one, id, 2));
	assert_true(route_id_is_live(ids, id[0])); // the caller's now
	now_ns += HOLD_S * CLOCK_NS_PER_S;
	reserve(&one, id, 1);
	assert_int_equal(stats().lapsed, 0);
}

// ---- routes that end here ----

static struct {
	unsigned n;
	int rc;
	struct setup_edge edge;
	void (*done)(void *arg, int status);
	void *arg;
} groups;

static int accept_edge(void *arg, const struct setup_edge *edge,
	void (*done)(void *done_arg, int status), void *done_arg)
{
	groups.n++;
	groups.edge = *edge;
	groups.done = done;
	groups.arg = done_arg;
	return groups.rc;
}

static int edges_setup(void **state)
{
	const struct route_edges edges = {accept_edge, NULL};

	memset(&groups, 0, sizeof(groups));
	now_ns = 1000 * CLOCK_NS_PER_S;
	clock_source_set(&fake_clock);
	n_said = 0;
	return rule_setup(state) != 0 || gate_new(&edges) != 0;
}

static struct setup_edge edge_of(uint32_t forward_id, uint32_t consume_id)
{
	struct setup_edge e = {.desc = {.src_port = 50000, .dst_port = 3}};
	struct rule_wire r = transit(forward_id, "b");

	e.desc.src_pk[0] = 2;
	memcpy(e.desc.dst_pk, self.b, sizeof(self.b));
	r.kind = RULE_KIND_FORWARD;
	rule_desc_invert(&r.desc, &e.desc);
	assert_true(rule_encode(e.forward, sizeof(e.forward), &r) > 0);
	r.kind = RULE_KIND_CONSUME;
	r.key_id = consume_id;
	r.desc = e.desc;
	assert_true(rule_encode(e.consume, sizeof(e.consume), &r) > 0);
	return e;
}

static int give_edge(const struct setup_edge *e)
{
	struct route_call *call;

	return route_gate_edge(gate, &one, e, on_said, NULL, &call, why);
}

static void an_edge_is_given_to_the_route_groups(void **state)
{
	struct setup_edge e;
	uint32_t id[2];

	fake_attach(DP_SYNC_FRESH);
	route_gate_set_transit(gate, false); // routes end here all the same
	reserve(&one, id, 2);
	e = edge_of(id[0], id[1]);
	assert_int_equal(give_edge(&e), 0);
	assert_int_equal(groups.n, 1);
	assert_memory_equal(&groups.edge, &e, sizeof(e));
	assert_int_equal(n_said, 0);
	assert_int_equal(give_edge(&e), -EACCES); // its ids are being used
	groups.done(groups.arg, 0);
	assert_int_equal(n_said, 1);
	assert_string_equal(said, "");
	assert_int_equal(route_gate_find(gate, id[1])->state, CLAIM_LAID);
}

static void an_edge_that_is_not_taken_leaves_no_ids(void **state)
{
	uint32_t id[4];
	struct setup_edge e;

	fake_attach(DP_SYNC_FRESH);
	reserve(&one, id, 4);
	e = edge_of(id[0], id[1]);
	groups.rc = -ENETDOWN;
	assert_int_equal(give_edge(&e), -EACCES);
	assert_non_null(strstr(why, "its transport is not up"));
	groups.rc = 0;
	e = edge_of(id[2], id[3]);
	assert_int_equal(give_edge(&e), 0);
	// as who installed them does; both may be somebody else's before we hear of it
	assert_int_equal(route_id_release(ids, id[2]), 0);
	groups.done(groups.arg, -EBUSY);
	assert_int_equal(n_said, 1);
	assert_non_null(strstr(said, "failure code 1"));
	for (int i = 0; i < 4; i++)
		assert_false(is_held(id[i]));
	for (int i = 0; i < 3; i++)
		assert_false(route_id_is_live(ids, id[i]));
	assert_true(route_id_is_live(ids, id[3]));
}

static void an_edge_of_another_route_or_node_is_refused(void **state)
{
	struct setup_edge good, e[4];
	struct rule_wire r;
	uint32_t id[2];

	fake_attach(DP_SYNC_FRESH);
	reserve(&one, id, 2);
	good = e[0] = e[1] = e[2] = e[3] = edge_of(id[0], id[1]);
	e[0].desc.src_port++;
	assert_true(rule_decode(good.forward, sizeof(good.forward), &r) > 0);
	r.desc = good.desc; // not inverted
	assert_true(rule_encode(e[1].forward, sizeof(e[1].forward), &r) > 0);
	e[2].desc.dst_pk[1] ^= 1;
	e[3] = edge_of(id[0], id[0]);
	for (size_t i = 0; i < ARRAY_LEN(e); i++)
		assert_int_equal(give_edge(&e[i]), -EACCES);
	assert_int_equal(groups.n, 0);
	assert_int_equal(give_edge(&good), 0);
	groups.done(groups.arg, 0);
}

static void without_route_groups_no_route_ends_here(void **state)
{
	struct setup_edge e;
	uint32_t id[2];

	fake_attach(DP_SYNC_FRESH);
	reserve(&one, id, 2);
	e = edge_of(id[0], id[1]);
	assert_int_equal(give_edge(&e), -EACCES);
	assert_string_equal(why, "failure code 1 (this node takes no route groups)");
}

#define T(name) cmocka_unit_test_setup_teardown(name, gate_setup, gate_teardown)
#define E(name) cmocka_unit_test_setup_teardown(name, edges_setup, gate_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_yes_is_the_data_planes),
		T(ids_are_their_set_up_nodes_and_only_once),
		T(rules_are_laid_together_or_not_at_all),
		T(rules_that_cant_be_are_refused),
		T(no_transit_takes_no_intermediary_rule),
		T(an_id_is_reserved_for_a_minute),
		T(only_what_one_laid_is_taken_back),
		T(what_is_taken_back_too_early_goes_when_it_is_there),
		T(a_rule_that_ends_is_nobodys),
		T(one_that_ends_before_its_call_does_is_forgotten),
		T(a_new_data_plane_keeps_what_is_reserved),
		T(lost_events_take_away_what_the_dump_does_not_name),
		T(no_key_and_not_all_of_them_can_fill_the_table),
		T(calls_that_nobody_waits_for_go_on),
		T(calls_under_way_have_limits),
		T(the_gate_may_end_in_the_middle),
		T(an_initiator_takes_what_is_reserved_for_it),
		E(an_edge_is_given_to_the_route_groups),
		E(an_edge_that_is_not_taken_leaves_no_ids),
		E(an_edge_of_another_route_or_node_is_refused),
		T(without_route_groups_no_route_ends_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
