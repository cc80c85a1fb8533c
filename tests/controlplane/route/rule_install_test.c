// Rules of set-ups against the data plane of a table: all of them or none, ids that are released
// when they should be, and what is refused before anything is sent.
#include "tests/controlplane/route/rule_fixture.h"

enum { KEEP_S = 30 };

static int status;
static size_t which;

static void on_installed(void *arg, int rc, size_t i)
{
	(void)arg;
	status = rc;
	which = i;
	n_calls++;
}

static struct rule_wire rule(enum rule_kind kind, const char *tp)
{
	struct rule_wire r = {.keep_alive_ns = KEEP_S * 1000000000ll,
		.kind = (uint8_t)kind,
		.key_id = route_id_reserve(ids),
		.next_id = 99};

	snprintf((char *)r.next_tp, sizeof(r.next_tp), "%s", tp);
	return r;
}

static void install(const struct rule_wire *r, size_t n)
{
	n_calls = 0;
	assert_non_null(rule_mgr_install(m, r, n, on_installed, NULL));
	assert_int_equal(n_calls, 0); // never from within
}

static void all_kinds_are_installed_with_their_ways(void **state)
{
	struct rule_wire r[3];

	fake_attach(DP_SYNC_FRESH);
	r[0] = rule(RULE_KIND_INTERMEDIARY, "b");
	r[1] = rule(RULE_KIND_FORWARD, "a");
	r[2] = rule(RULE_KIND_CONSUME, "");
	install(r, 3);
	fake_answer();
	assert_int_equal(n_calls, 1);
	assert_int_equal(status, 0);
	assert_int_equal(in_dp(r[0].key_id)->tx_hop, 22);
	assert_int_equal(in_dp(r[0].key_id)->next_id, 99);
	assert_int_equal(in_dp(r[0].key_id)->in_tp, RULE_IN_ANY);
	assert_int_equal(in_dp(r[1].key_id)->tx_hop, 21);
	assert_int_equal(in_dp(r[1].key_id)->in_tp, RULE_IN_LOCAL);
	assert_int_equal(in_dp(r[2].key_id)->tx_hop, 0);
	assert_int_equal(in_dp(r[2].key_id)->in_tp, RULE_IN_ANY);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(in_dp(r[i].key_id)->keep_alive_ms, KEEP_S * 1000);
		assert_int_equal(in_dp(r[i].key_id)->flags & RULE_STATIC, 0);
	}
	assert_int_equal(rule_mgr_n_kept(m), 0);
}

static void a_flow_is_chosen_by_the_next_id(void **state)
{
	struct rule_wire r;

	fake_attach(DP_SYNC_FRESH);
	transports[1].flows = 4;
	r = rule(RULE_KIND_INTERMEDIARY, "b");
	install(&r, 1);
	fake_answer();
	assert_int_equal(in_dp(r.key_id)->tx_hop, hop_of(&transports[1], 99));
}

// The second of three is refused by the data plane: the others go, and only then it is told.
static void one_that_fails_takes_the_others_with_it(void **state)
{
	struct rule_wire r[3];

	fake_attach(DP_SYNC_FRESH);
	for (int i = 0; i < 3; i++)
		r[i] = rule(RULE_KIND_INTERMEDIARY, "b");
	fake.rules[r[1].key_id % FAKE_SLOTS].id = r[1].key_id ^ 0x80000000;
	install(r, 3);
	fake_answer();
	assert_int_equal(n_calls, 0);
	fake_answer(); // the deletions
	assert_int_equal(n_calls, 0);
	settle();
	assert_int_equal(n_calls, 1);
	assert_int_equal(status, -EEXIST);
	assert_int_equal(which, 1);
	for (int i = 0; i < 3; i++) {
		assert_null(in_dp(r[i].key_id));
		assert_false(route_id_is_live(ids, r[i].key_id));
	}
	assert_int_equal(rule_mgr_n_live(m), 0);
}

static void what_cant_be_is_refused_before_anything_is_sent(void **state)
{
	static const int want[] = {-ENODEV, -ENETDOWN, -ESTALE, -ERANGE};
	struct rule_wire r[2];

	fake_attach(DP_SYNC_FRESH);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		transports[1].down = want[i] == -ENETDOWN;
		r[0] = rule(RULE_KIND_INTERMEDIARY, "a");
		r[1] = rule(RULE_KIND_INTERMEDIARY, want[i] == -ENODEV ? "c" : "b");
		if (want[i] == -ESTALE)
			route_id_release(ids, r[1].key_id);
		if (want[i] == -ERANGE)
			r[1].keep_alive_ns = 1;
		install(r, 2);
		assert_int_equal(fake.n_queue, 0);
		loop_turn(loop);
		assert_int_equal(n_calls, 1);
		assert_int_equal(status, want[i]);
		assert_int_equal(which, 1);
		assert_int_equal(rule_mgr_n_live(m), 0);
	}
}

static void without_a_data_plane_ids_stay_the_callers(void **state)
{
	struct rule_wire r;

	fake_attach(DP_SYNC_FRESH);
	r = rule(RULE_KIND_INTERMEDIARY, "b");
	assert_null(rule_mgr_install(m, &r, 0, on_installed, NULL));
	assert_int_equal(errno, EINVAL);
	fake_detach();
	assert_null(rule_mgr_install(m, &r, 1, on_installed, NULL));
	assert_int_equal(errno, ENOTCONN);
	assert_true(route_id_is_live(ids, r.key_id));
}

static void a_data_plane_that_goes_away_is_told(void **state)
{
	struct rule_wire r[2];

	fake_attach(DP_SYNC_FRESH);
	r[0] = rule(RULE_KIND_INTERMEDIARY, "b");
	r[1] = rule(RULE_KIND_INTERMEDIARY, "b");
	install(r, 2);
	fake_detach();
	assert_int_equal(n_calls, 1);
	assert_int_equal(status, -ECONNRESET);
	assert_int_equal(rule_mgr_n_live(m), 0);
}

// One that would have failed, and one that would not.
static void a_cancelled_one_tells_nobody_and_is_undone(void **state)
{
	for (int fails = 0; fails < 2; fails++) {
		struct rule_wire r[2];

		fake_attach(DP_SYNC_FRESH);
		r[0] = rule(RULE_KIND_INTERMEDIARY, "b");
		r[1] = rule(RULE_KIND_INTERMEDIARY, "b");
		if (fails)
			fake.rules[r[1].key_id % FAKE_SLOTS].id = r[1].key_id ^ 0x80000000;
		n_calls = 0;
		rule_install_cancel(rule_mgr_install(m, r, 2, on_installed, NULL));
		fake_answer();
		settle();
		settle();
		assert_int_equal(n_calls, 0);
		assert_null(in_dp(r[0].key_id));
		assert_null(in_dp(r[1].key_id));
		assert_int_equal(rule_mgr_n_live(m), 0);
	}
}

// The manager may end while one is under way.
static void one_under_way_is_dropped_with_the_manager(void **state)
{
	struct rule_wire r;

	fake_attach(DP_SYNC_FRESH);
	r = rule(RULE_KIND_INTERMEDIARY, "b");
	install(&r, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rule_setup, rule_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(all_kinds_are_installed_with_their_ways),
		T(a_flow_is_chosen_by_the_next_id),
		T(one_that_fails_takes_the_others_with_it),
		T(what_cant_be_is_refused_before_anything_is_sent),
		T(without_a_data_plane_ids_stay_the_callers),
		T(a_data_plane_that_goes_away_is_told),
		T(a_cancelled_one_tells_nobody_and_is_undone),
		T(one_under_way_is_dropped_with_the_manager),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
