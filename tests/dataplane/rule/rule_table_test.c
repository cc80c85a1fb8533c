// The rule table with its grace periods and the sweeper, as the main lcore and a worker use them.

#include "dataplane/rule/rule_table.h"
#include "dataplane/rule/sweeper.h"
#include "tests/support/eal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BITS = 10, WORKER = 0 };

struct fixture {
	struct reclaim *reclaim;
	struct rule_table t;
	struct evt_rule gone[64];
	unsigned n_gone;
};

static void on_gone(void *ctx, const struct evt_rule *final)
{
	struct fixture *f = ctx;

	f->gone[f->n_gone++ % ARRAY_LEN(f->gone)] = *final;
}

// A rule that must be there.
static struct rule *live(struct fixture *f, uint32_t id)
{
	struct rule *r = rule_lookup(&f->t, id);

	if (r == NULL)
		abort();
	return r;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->reclaim = reclaim_new(2);
	assert_non_null(f->reclaim);
	assert_int_equal(rule_table_init(&f->t, BITS, -1, f->reclaim), 0);
	f->t.gone = on_gone;
	f->t.gone_ctx = f;
	reclaim_online(f->reclaim, WORKER);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	rule_table_fini(&f->t);
	reclaim_free(f->reclaim);
	free(f);
	return 0;
}

static struct cmd_rule_add rule(uint32_t id)
{
	return (struct cmd_rule_add){
		.id = id,
		.next_id = id + 1,
		.tx_hop = 7,
		.keep_alive_ms = 30000,
		.type = RULE_INTERMEDIARY,
	};
}

static void add(struct fixture *f, uint32_t id, uint32_t now_ds)
{
	struct cmd_rule_add c = rule(id);

	assert_int_equal(rule_table_add(&f->t, &c, now_ds), 0);
}

// Ends the grace period of everything retired so far.
static void grace(struct fixture *f)
{
	rule_table_poll(&f->t, 0);
	reclaim_quiescent(f->reclaim, WORKER);
	rule_table_poll(&f->t, 1000);
}

static void finds_only_the_full_id(void **state)
{
	struct fixture *f = *state;
	uint32_t id = 5 << BITS | 17;

	add(f, id, 0);
	assert_non_null(rule_lookup(&f->t, id));
	assert_int_equal(rule_lookup(&f->t, id)->next_id, id + 1);
	assert_null(rule_lookup(&f->t, 4 << BITS | 17));
	assert_null(rule_lookup(&f->t, 17));
	assert_null(rule_lookup(&f->t, 5 << BITS | 18));
	assert_null(rule_lookup(&f->t, 0));
	assert_int_equal(f->t.n_live, 1);
}

static void id_zero_is_never_found_even_in_an_empty_slot(void **state)
{
	struct fixture *f = *state;

	assert_null(rule_lookup(&f->t, 0));
}

static void refuses_what_is_malformed(void **state)
{
	struct fixture *f = *state;
	struct {
		const char *what;
		struct cmd_rule_add c;
	} cases[] = {
		{"id 0", {.id = 0,
				 .next_id = 1,
				 .tx_hop = 1,
				 .keep_alive_ms = 1,
				 .type = RULE_FORWARD}},
		{"type 3", {.id = 9, .next_id = 1, .tx_hop = 1, .keep_alive_ms = 1, .type = 3}},
		{"no keep-alive", {.id = 9, .next_id = 1, .tx_hop = 1, .type = RULE_FORWARD}},
		{"no next id", {.id = 9, .tx_hop = 1, .keep_alive_ms = 1, .type = RULE_FORWARD}},
		{"no hop", {.id = 9, .next_id = 1, .keep_alive_ms = 1, .type = RULE_INTERMEDIARY}},
		{"unknown flag",
			{.id = 9, .keep_alive_ms = 1, .type = RULE_CONSUME, .flags = 0x80}},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (rule_table_add(&f->t, &cases[i].c, 0) != -EINVAL)
			fail_msg("accepted: %s", cases[i].what);
	assert_int_equal(f->t.n_live, 0);
}

static void refuses_a_second_rule_in_the_same_slot(void **state)
{
	struct fixture *f = *state;
	struct cmd_rule_add same = rule(17), other_generation = rule(1 << BITS | 17);

	add(f, 17, 0);
	assert_int_equal(rule_table_add(&f->t, &same, 0), -EEXIST);
	assert_int_equal(rule_table_add(&f->t, &other_generation, 0), -EEXIST);
	assert_non_null(rule_lookup(&f->t, 17));
}

static void slot_is_reused_only_after_the_grace_period(void **state)
{
	struct fixture *f = *state;
	struct cmd_rule_add again = rule(1 << BITS | 17);

	add(f, 17, 0);
	assert_int_equal(rule_table_del(&f->t, 17, RULE_GONE_DEL), 0);
	assert_null(rule_lookup(&f->t, 17));
	assert_int_equal(rule_table_add(&f->t, &again, 0), -EAGAIN);
	rule_table_poll(&f->t, 1000);
	assert_int_equal(rule_table_add(&f->t, &again, 0), -EAGAIN);
	assert_int_equal(f->n_gone, 0);
	reclaim_quiescent(f->reclaim, WORKER);
	assert_int_equal(rule_table_poll(&f->t, 1000), 1);
	assert_int_equal(rule_table_add(&f->t, &again, 0), 0);
}

static void sleeping_worker_holds_nothing_up(void **state)
{
	struct fixture *f = *state;

	reclaim_offline(f->reclaim, WORKER);
	add(f, 17, 0);
	rule_table_del(&f->t, 17, RULE_GONE_DEL);
	assert_int_equal(rule_table_poll(&f->t, 1000), 1);
	reclaim_online(f->reclaim, WORKER);
}

static void gone_carries_the_final_counters_and_reason(void **state)
{
	struct fixture *f = *state;

	add(f, 17, 100);
	rule_count(live(f, 17), 1000, 105);
	rule_count(live(f, 17), 500, 106);
	rule_table_del(&f->t, 17, RULE_GONE_CLOSE);
	grace(f);
	assert_int_equal(f->n_gone, 1);
	assert_int_equal(f->gone[0].id, 17);
	assert_int_equal(f->gone[0].reason, RULE_GONE_CLOSE);
	assert_int_equal(f->gone[0].packets, 2);
	assert_int_equal(f->gone[0].bytes, 1500);
	assert_int_equal(f->t.n_gone[RULE_GONE_CLOSE], 1);
	assert_int_equal(rule_table_del(&f->t, 17, RULE_GONE_DEL), -ENOENT);
}

static void keep_alive_is_the_rules_own(void **state)
{
	struct fixture *f = *state;
	const uint32_t ms[] = {100, 5000, 30000, 600000, 3600000};

	for (size_t i = 0; i < ARRAY_LEN(ms); i++) {
		struct cmd_rule_add c = rule(100 + (uint32_t)i);
		c.keep_alive_ms = ms[i];
		assert_int_equal(rule_table_add(&f->t, &c, 1000), 0);
		assert_false(rule_expired(live(f, c.id), 1000 + ms[i] / 100));
		assert_true(rule_expired(live(f, c.id), 1001 + ms[i] / 100));
	}
}

static void activity_refreshes_and_the_clock_may_wrap(void **state)
{
	struct fixture *f = *state;
	uint32_t start = UINT32_MAX - 50;

	add(f, 17, start);
	assert_false(rule_expired(live(f, 17), start + 300));
	assert_true(rule_expired(live(f, 17), start + 301));
	rule_count(live(f, 17), 1, start + 200);
	assert_false(rule_expired(live(f, 17), start + 500));
	// a sweeper whose clock is a tick behind the worker's sees a young rule, not an ancient one
	assert_false(rule_expired(live(f, 17), start + 199));
}

static void what_was_open_is_told_with_its_pin(void **state)
{
	struct fixture *f = *state;
	struct cmd_rule_add open = rule(17), named = rule(18);
	struct evt_rule e;
	bool pinned = false;

	open.in_tp = RULE_IN_ANY;
	named.in_tp = 5;
	assert_int_equal(rule_table_add(&f->t, &open, 0), 0);
	assert_int_equal(rule_table_add(&f->t, &named, 0), 0);
	assert_true(rule_ingress_ok(live(f, 17), 5, true, &pinned));
	assert_int_equal(rule_table_show(&f->t, 17, 0, &e), 0);
	assert_int_equal(e.in_tp, 5);
	assert_int_equal(e.flags, RULE_ANY);
	assert_int_equal(rule_table_show(&f->t, 18, 0, &e), 0);
	assert_int_equal(e.in_tp, 5);
	assert_int_equal(e.flags, 0);
}

static void static_rules_never_expire(void **state)
{
	struct fixture *f = *state;
	struct cmd_rule_add c = rule(17);

	c.flags = RULE_STATIC;
	c.keep_alive_ms = 0;
	assert_int_equal(rule_table_add(&f->t, &c, 0), 0);
	assert_false(rule_expired(live(f, 17), 1u << 30));
}

static void sweeper_ends_exactly_the_expired(void **state)
{
	struct fixture *f = *state;
	struct sweeper s;

	for (uint32_t i = 1; i <= 20; i++)
		add(f, i, i <= 10 ? 0 : 200);
	sweeper_init(&s, &f->t, 0);
	assert_int_equal(sweeper_tick(&s, 1000000000, 301), 10);
	grace(f);
	assert_int_equal(f->n_gone, 10);
	assert_int_equal(f->t.n_live, 10);
	for (uint32_t i = 1; i <= 20; i++)
		assert_int_equal(rule_lookup(&f->t, i) != NULL, i > 10);
	assert_int_equal(f->gone[0].reason, RULE_GONE_EXPIRED);
}

static void sweeper_rounds_take_their_time(void **state)
{
	struct fixture *f = *state;
	struct sweeper s;
	unsigned n = 0;

	for (uint32_t i = 1; i <= 1000; i++)
		add(f, i, 0);
	sweeper_init(&s, &f->t, 0);
	assert_int_equal(sweeper_tick(&s, 1000, 1000), 0); // less than one slot's time
	n += sweeper_tick(&s, 500000000, 1000);
	assert_in_range(n, 400, 600); // half a round, half the slots
	n += sweeper_tick(&s, 1000000000, 1000);
	assert_int_equal(n, 1000);
}

static void ingress_is_pinned_by_the_first_packet(void **state)
{
	struct fixture *f = *state;
	bool pinned = false;
	struct rule *r;

	add(f, 17, 0);
	r = rule_lookup(&f->t, 17);
	assert_false(rule_ingress_ok(r, 42, false, &pinned)); // may not pin
	assert_false(pinned);
	assert_true(rule_ingress_ok(r, 42, true, &pinned));
	assert_true(pinned);
	pinned = false;
	assert_true(rule_ingress_ok(r, 42, true, &pinned));
	assert_false(rule_ingress_ok(r, 43, true, &pinned));
	assert_false(pinned);
}

static void local_rules_take_nothing_from_the_network(void **state)
{
	struct fixture *f = *state;
	struct cmd_rule_add c = rule(17);
	bool pinned = false;

	c.in_tp = RULE_IN_LOCAL;
	assert_int_equal(rule_table_add(&f->t, &c, 0), 0);
	assert_false(rule_ingress_ok(rule_lookup(&f->t, 17), 42, true, &pinned));
	assert_true(rule_ingress_ok(rule_lookup(&f->t, 17), RULE_IN_LOCAL, true, &pinned));
	assert_false(pinned);
}

static void show_tells_what_add_said(void **state)
{
	struct fixture *f = *state;
	struct evt_rule out;

	add(f, 3 << BITS | 17, 100);
	assert_int_equal(rule_table_show(&f->t, 17, 150, &out), 0);
	assert_int_equal(out.id, 3 << BITS | 17);
	assert_int_equal(out.next_id, out.id + 1);
	assert_int_equal(out.tx_hop, 7);
	assert_int_equal(out.keep_alive_ms, 30000);
	assert_int_equal(out.age_ms, 5000);
	assert_int_equal(rule_table_show(&f->t, 18, 150, &out), -ENOENT);
	assert_int_equal(rule_table_show(&f->t, 1 << BITS, 150, &out), -ENOENT);
}

static void a_rule_that_is_idle_for_long_is_not_shown_as_fresh(void **state)
{
	struct fixture *f = *state;
	const uint32_t most = UINT32_MAX / 100; // 49.7 days
	struct evt_rule out;

	add(f, 17, 100);
	assert_int_equal(rule_table_show(&f->t, 17, 100 + most, &out), 0);
	assert_int_equal(out.age_ms, most * 100);
	assert_int_equal(rule_table_show(&f->t, 17, 100 + most + 1, &out), 0);
	assert_int_equal(out.age_ms, UINT32_MAX);
	assert_int_equal(rule_table_show(&f->t, 17, 100u + INT32_MAX, &out), 0);
	assert_int_equal(out.age_ms, UINT32_MAX);
	assert_int_equal(rule_table_show(&f->t, 17, 99, &out), 0); // of who stamped, a tick ahead
	assert_int_equal(out.age_ms, 0);
}

static void a_rule_costs_one_cache_line(void **state)
{
	assert_int_equal(sizeof(struct rule), 64);
	assert_int_equal(offsetof(struct rule, id), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(finds_only_the_full_id),
		T(id_zero_is_never_found_even_in_an_empty_slot),
		T(refuses_what_is_malformed),
		T(refuses_a_second_rule_in_the_same_slot),
		T(slot_is_reused_only_after_the_grace_period),
		T(sleeping_worker_holds_nothing_up),
		T(gone_carries_the_final_counters_and_reason),
		T(keep_alive_is_the_rules_own),
		T(activity_refreshes_and_the_clock_may_wrap),
		T(what_was_open_is_told_with_its_pin),
		T(static_rules_never_expire),
		T(sweeper_ends_exactly_the_expired),
		T(sweeper_rounds_take_their_time),
		T(ingress_is_pinned_by_the_first_packet),
		T(local_rules_take_nothing_from_the_network),
		T(show_tells_what_add_said),
		T(a_rule_that_is_idle_for_long_is_not_shown_as_fresh),
		T(a_rule_costs_one_cache_line),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
