// By which transport the packets of lasting rules come: pins that end, names that stay names.
#include "tests/controlplane/route/rule_fixture.h"

#include "lib/base/clock.h"

static struct api_rule_add consume_from(uint32_t id, const char *in)
{
	struct api_rule_add r = consume(id, 0);

	r.in = API_IN_TRANSPORT;
	snprintf(r.in_transport, sizeof(r.in_transport), "%s", in);
	return r;
}

static void new_control_plane(void)
{
	rule_mgr_free(m);
	route_id_free(ids);
	assert_non_null(mgr_new());
}

// What workers do at the first packet; packets tell whether it is the same rule later.
static void pin(uint32_t id, uint32_t tp)
{
	fake.rules[id].in_tp = tp;
	fake.rules[id].packets = 5;
}

static void pins_end_with_their_transport(void **state)
{
	struct api_rule_add r[4] = {
		consume(3, 0), consume(4, 0), consume_from(5, "a"), consume(6, 30000)};

	fake_attach(DP_SYNC_FRESH);
	assert_non_null(rule_mgr_add(m, r, 4, on_done, NULL));
	fake_answer();
	pin(3, 11);
	pin(4, 12);
	pin(5, 11);
	pin(6, 11);
	transports[0] = (struct transport){0}; // the one with handle 11
	watching->fn(watching->arg, &transports[0], TRANSPORT_CHANGE_REMOVED);
	for (int i = 0; i < 6; i++)
		settle();
	assert_int_equal(in_dp(3)->in_tp, RULE_IN_ANY);
	assert_int_equal(in_dp(3)->packets, 0);
	assert_int_equal(in_dp(4)->in_tp, 12); // another's pin
	assert_int_equal(in_dp(4)->packets, 5);
	assert_int_equal(in_dp(5)->in_tp, 11); // names its transport: nobody else's turn
	assert_int_equal(in_dp(5)->packets, 5);
	assert_int_equal(in_dp(6)->packets, 5); // expires by itself
}

static uint64_t now_ns;

static uint64_t mono(void)
{
	return now_ns;
}

// A look for what ends with the first transport takes so long.
static void a_long_look(uint64_t ns)
{
	static const struct clock_source src = {mono, mono};
	struct api_rule_add r[2] = {consume(3, 0), consume(4, 0)};

	now_ns = CLOCK_NS_PER_S;
	clock_source_set(&src);
	fake_attach(DP_SYNC_FRESH);
	assert_non_null(rule_mgr_add(m, r, 2, on_done, NULL));
	fake_answer();
	pin(3, 11);
	pin(4, 12);
	transports[0] = (struct transport){0};
	watching->fn(watching->arg, &transports[0], TRANSPORT_CHANGE_REMOVED);
	loop_turn(loop);
	loop_turn(loop);
	now_ns += ns;
	for (int i = 0; i < 6; i++)
		settle();
	assert_int_equal(in_dp(3)->in_tp, RULE_IN_ANY);
}

// A table that takes long to look through is not looked through all the time.
static void long_looks_have_a_part_of_the_time(void **state)
{
	(void)state;
	a_long_look(20 * CLOCK_NS_PER_MS);
	transports[1] = (struct transport){0};
	watching->fn(watching->arg, &transports[1], TRANSPORT_CHANGE_REMOVED);
	for (int i = 0; i < 500; i++) {
		usleep(1000); // timers are real: it would have been its time
		settle();
	}
	assert_int_equal(in_dp(4)->in_tp, 12);
	now_ns += 180 * CLOCK_NS_PER_MS;
	for (int i = 0; i < 2000 && (in_dp(4) == NULL || in_dp(4)->in_tp != RULE_IN_ANY); i++) {
		usleep(1000);
		settle();
	}
	assert_int_equal(in_dp(4)->in_tp, RULE_IN_ANY);
	clock_source_set(NULL);
}

// However long it was: the data plane may only have been slow.
static void the_next_look_comes_in_time(void **state)
{
	(void)state;
	a_long_look(20 * CLOCK_NS_PER_S);
	now_ns += 10 * CLOCK_NS_PER_S;
	transports[1] = (struct transport){0};
	watching->fn(watching->arg, &transports[1], TRANSPORT_CHANGE_REMOVED);
	for (int i = 0; i < 6; i++)
		settle();
	assert_int_equal(in_dp(4)->in_tp, RULE_IN_ANY);
	clock_source_set(NULL);
}

static void a_dead_pin_is_found_by_a_new_control_plane(void **state)
{
	struct api_rule_add r[2] = {consume(3, 0), consume(4, 0)};

	fake_attach(DP_SYNC_FRESH);
	assert_non_null(rule_mgr_add(m, r, 2, on_done, NULL));
	fake_answer();
	pin(3, 99);
	pin(4, 12);
	new_control_plane();
	fake_attach(DP_SYNC_ADOPT);
	for (int i = 0; i < 4; i++)
		settle();
	assert_int_equal(in_dp(3)->in_tp, RULE_IN_ANY);
	assert_int_equal(in_dp(4)->in_tp, 12);
	assert_int_equal(in_dp(4)->packets, 5);
	// The pin was no name: without that transport the rule is as good as ever.
	transports[1] = (struct transport){0};
	fake_detach();
	fake_attach(DP_SYNC_FRESH);
	fake_answer();
	assert_int_equal(in_dp(4)->in_tp, RULE_IN_ANY);
}

static void a_transport_without_a_handle_opens_no_rule(void **state)
{
	struct api_rule_add r = consume_from(3, "a"), lasting = r;

	fake_attach(DP_SYNC_FRESH);
	transports[0].tp = 0; // the table of handles is full
	r.keep_alive_ms = 30000;
	assert_non_null(rule_mgr_add(m, &r, 1, on_done, NULL));
	loop_turn(loop);
	assert_int_equal(results[0].status, -ENETDOWN);
	assert_non_null(rule_mgr_add(m, &lasting, 1, on_done, NULL));
	loop_turn(loop);
	assert_int_equal(results[0].status, -EINPROGRESS);
	assert_null(in_dp(3));
	transports[0].tp = 11;
	watching->fn(watching->arg, &transports[0], TRANSPORT_CHANGE_IN_DP);
	settle();
	assert_int_equal(in_dp(3)->in_tp, 11);
}

static void an_ingress_that_was_tightened_is_put_into_effect(void **state)
{
	struct api_rule_add was = consume(3, 0), is = consume_from(3, "a");

	fake_attach(DP_SYNC_FRESH);
	add_now(&was);
	for (uint32_t tp = 0; tp <= 11; tp += 11) { // open, and pinned to the right one by chance
		pin(3, tp);
		fake.rules[3].flags |= RULE_ANY;
		new_control_plane();
		assert_int_equal(rule_mgr_config(m, &is, 1), 0);
		fake_attach(DP_SYNC_ADOPT);
		for (int i = 0; i < 3; i++)
			settle();
		assert_int_equal(in_dp(3)->in_tp, 11);
		assert_int_equal(in_dp(3)->flags & RULE_ANY, 0);
		assert_int_equal(in_dp(3)->packets, 0);
	}
}

static void an_adopted_rule_with_a_named_ingress_stays(void **state)
{
	struct api_rule_add r = consume_from(3, "a");

	fake_attach(DP_SYNC_FRESH);
	add_now(&r);
	new_control_plane();
	assert_int_equal(rule_mgr_config(m, &r, 1), 0);
	transports[0].name = "not yet"; // comes with a later record
	fake_attach(DP_SYNC_ADOPT);
	transports[0].name = "a";
	watching->fn(watching->arg, &transports[0], TRANSPORT_CHANGE_IN_DP);
	loop_turn(loop);
	assert_int_equal(fake.n_queue, 0);
}

// From two flows to four: rules that last are put in again where they belong, others removed.
static void another_number_of_flows_aims_rules_anew(void **state)
{
	struct api_rule_add r[32];
	unsigned moved = 0;

	transports[0].flows = 2;
	fake_attach(DP_SYNC_FRESH);
	for (uint32_t i = 0; i < 32; i++) {
		r[i] = forward(i + 1, i % 4 == 3 ? "b" : "a", i % 2 == 0 ? 0 : 30000);
		r[i].next_id = 1000 + i;
	}
	assert_non_null(rule_mgr_add(m, r, 32, on_done, NULL));
	fake_answer();
	for (uint32_t i = 0; i < 32; i++)
		fake.rules[i + 1].packets = 5; // tells whether it is the same rule later
	transports[0].flows = 4;
	watching->fn(watching->arg, &transports[0], TRANSPORT_CHANGE_FLOWS);
	for (int i = 0; i < 8; i++)
		settle();
	for (uint32_t i = 0; i < 32; i++) {
		const struct evt_rule *e = in_dp(i + 1);
		bool stays = i % 4 == 3 || rail_flow_of(1000 + i, 2) == rail_flow_of(1000 + i, 4);
		bool lasts = i % 2 == 0;

		moved += !stays;
		assert_int_equal(e != NULL, stays || lasts);
		if (e == NULL)
			continue;
		assert_int_equal(e->packets, stays ? 5 : 0);
		if (i % 4 != 3)
			assert_int_equal(
				e->tx_hop, 21 + NEXT_FLOW * (rail_flow_of(1000 + i, 4) - 1));
	}
	assert_in_range(moved, 4, 28);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rule_setup, rule_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(pins_end_with_their_transport),
		T(long_looks_have_a_part_of_the_time),
		T(the_next_look_comes_in_time),
		T(a_dead_pin_is_found_by_a_new_control_plane),
		T(a_transport_without_a_handle_opens_no_rule),
		T(an_ingress_that_was_tightened_is_put_into_effect),
		T(an_adopted_rule_with_a_named_ingress_stays),
		T(another_number_of_flows_aims_rules_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
