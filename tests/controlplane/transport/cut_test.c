// Links over TCP that end by silence: one end knows, and the other one may have its connection yet.
// A visor that is called meanwhile takes lasting damage, so it is not called before it knows.
#include "tests/controlplane/transport/world_stcp.h"

// The path breaks, as node 0 finds out.
static void cut(void)
{
	w_n_dials = w_n_dials_from = 0;
	w_conns_cut(0, 1);
	w_run(0);
	assert_false(transport_is_up(a));
	assert_true(transport_is_up(b));
	assert_string_equal(info_of(a).why, "Connection timed out");
	assert_int_equal(stats_of(0).carried_cut, 1);
}

// Until n dials, and what comes of the last one.
static void dialed(unsigned n)
{
	while (w_n_dials < n)
		w_run(100);
	w_run(0);
}

// The same ports as before tell the peer's kernel that there is nothing of the old connection here.
static void a_peer_is_told_of_the_end_before_it_is_called(void **state)
{
	uint64_t told;

	(void)state;
	link_up();
	cut();
	dialed(1);
	told = w_dialed_ns;
	assert_int_equal(w_n_dials_from, 1);
	assert_false(transport_is_up(a));
	assert_false(transport_is_up(b));
	assert_string_equal(info_of(b).why, "Connection reset by peer");
	assert_string_equal(info_of(a).why, "reached again");
	dialed(2);
	assert_true(w_dialed_ns - told >= 3000 * CLOCK_NS_PER_MS);
	assert_int_equal(w_n_dials_from, 1);
	w_run(1000);
	both_up(a, b);
	assert_int_equal(stats_of(1).drop_carried_twice, 0);
	assert_int_equal(w_conns_between(1, 0), 1);
}

// As often as it takes, and from the same port each time.
static void it_is_told_as_soon_as_it_can_be_reached(void **state)
{
	(void)state;
	link_up();
	cut();
	w_conn_black = true;
	w_run(600 * 1000ull);
	assert_true(w_n_dials > 5);
	assert_int_equal(w_n_dials_from, w_n_dials);
	assert_true(transport_is_up(b));
	w_conn_black = false;
	w_run(150 * 1000ull); // what is under way fails yet
	both_up(a, b);
	assert_int_equal(stats_of(1).drop_carried_twice, 0);
}

// Nothing can be told then, so it is left alone until it must have found out.
static void is_left_alone(void)
{
	uint64_t reached;

	dialed(1);
	reached = w_now;
	while (info_of(a).state != TRANSPORT_DOWN ||
		strstr(info_of(a).why, "until the peer knows") == NULL) {
		w_run(100);
		assert_true(w_now - reached < 1000 * CLOCK_NS_PER_MS);
	}
	assert_true(transport_is_up(b));
	w_n_dials = 0;
	w_run(158 * 1000ull);
	assert_int_equal(w_n_dials, 0);
}

static void one_that_can_not_be_told_is_left_alone(void **state)
{
	(void)state;
	link_up();
	for (unsigned i = 0; i < w_n_conns; i++)
		if (w_conns[i].node == 0 && !w_conns[i].closed)
			w_port_taken = w_conns[i].port; // another program has it meanwhile
	cut();
	is_left_alone();
	assert_int_equal(w_n_dials_from, 1);
	w_conns_break(1, 0); // it finds out
	w_run(10000);
	both_up(a, b);
	assert_int_equal(stats_of(1).drop_carried_twice, 0);
}

static void one_that_has_moved_is_left_alone(void **state)
{
	(void)state;
	w_port_remote = 7779;
	link_up();
	cut();
	is_left_alone();
	assert_int_equal(w_n_dials_from, 0);
}

// What it may have is not ours alone to know: whoever comes to its transport later waits as long.
static void caller_is_up(void)
{
	w_run(10000);
	a = transport_mgr_find_peer(nodes[0].m, &nodes[1].pk, TRANSPORT_STCP);
	assert_non_null(a);
	both_up(a, b);
}

static void caller_is_cut(void)
{
	transport_mgr_policy(nodes[0].m, true, NULL);
	listens(0);
	b = stcp(1, 0, true);
	caller_is_up();
	w_conns_cut(0, 1);
	w_run(2000);
	assert_null(transport_mgr_find_peer(nodes[0].m, &nodes[1].pk, TRANSPORT_STCP));
	assert_true(transport_is_up(b));
	w_n_dials = 0;
}

static void one_whose_transport_is_gone_is_left_alone(void **state)
{
	(void)state;
	caller_is_cut();
	listens(1);
	a = stcp(0, 1, true);
	w_run(155 * 1000ull);
	assert_int_equal(w_n_dials, 0);
	w_conns_break(1, 0);
	w_run(10000);
	both_up(a, b);
}

static void until_it_has_called(void **state)
{
	(void)state;
	caller_is_cut();
	w_conns_break(1, 0);
	caller_is_up();
	transport_mgr_del(nodes[1].m, "to-0");
	w_run(2000);
	transport_mgr_policy(nodes[1].m, true, NULL);
	listens(1);
	a = stcp(0, 1, true);
	w_run(10000);
	assert_true(transport_is_up(a));
}

// Its call says that it knows.
static void one_that_calls_meanwhile_is_taken(void **state)
{
	(void)state;
	w_port_remote = 7779;
	listens(1);
	a = stcp(0, 1, true);
	b = stcp(1, 0, true);
	w_run(30000);
	both_up(a, b);
	listens(0);
	cut();
	is_left_alone();
	w_conns_break(1, 0);
	w_run(40000);
	both_up(a, b);
}

// Our entry is out, and whether it was answered we never hear.
static void an_attempt_that_the_peer_may_have_settled_counts(void **state)
{
	(void)state;
	transport_mgr_register(nodes[1].m, (struct tp_register *)&nodes[1]);
	listens(1);
	a = stcp(0, 1, true);
	b = stcp(1, 0, false);
	while (w_n_regs == 0)
		w_run(100);
	w_n_dials = w_n_dials_from = 0;
	w_conns_cut(0, 1);
	w_run(0);
	assert_int_equal(stats_of(0).carried_cut, 1);
	w_reg_answer(&w_regs[0]);
	w_run(10);
	assert_true(transport_is_up(b));
	w_run(6000);
	assert_int_equal(w_n_dials_from, 1);
	assert_false(transport_is_up(b));
	transport_mgr_register(nodes[1].m, NULL);
	w_run(10000);
	both_up(a, b);
	assert_int_equal(stats_of(1).drop_carried_twice, 0);
}

// What ICMP says of a link that stands is silence of the peer, though the same words are a refusal
// while it is made.
static void what_icmp_says_is_silence(void **state)
{
	static const int errs[] = {
		-EHOSTUNREACH, -ENETUNREACH, -EACCES, -ECONNREFUSED, -ENOPROTOOPT, -EOPNOTSUPP};

	for (size_t i = 0; i < sizeof(errs) / sizeof(errs[0]); i++) {
		link_up();
		w_conns_cut_by(0, 1, errs[i]);
		w_run(0);
		assert_int_equal(stats_of(0).carried_cut, 1);
		w_run(15000);
		both_up(a, b);
		assert_int_equal(stats_of(1).drop_carried_twice, 0);
		w_teardown(state);
		w_setup(state);
	}
	w_n_dials_from = 0;
	a = stcp(0, 1, true); // where nobody listens
	w_run(20000);
	assert_string_equal(info_of(a).why, "Connection refused");
	assert_int_equal(stats_of(0).carried_cut, 0);
	assert_int_equal(w_n_dials_from, 0);
}

static void one_that_hung_up_is_called_at_once(void **state)
{
	(void)state;
	link_up();
	w_n_dials = 0;
	w_conns_break(0, 1);
	w_run(10000);
	both_up(a, b);
	assert_int_equal(w_n_dials, 1);
	assert_int_equal(w_n_dials_from, 0);
	assert_int_equal(stats_of(0).carried_cut, 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, w_setup, w_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_peer_is_told_of_the_end_before_it_is_called),
		T(it_is_told_as_soon_as_it_can_be_reached),
		T(one_that_can_not_be_told_is_left_alone),
		T(one_that_has_moved_is_left_alone),
		T(one_whose_transport_is_gone_is_left_alone),
		T(until_it_has_called),
		T(one_that_calls_meanwhile_is_taken),
		T(an_attempt_that_the_peer_may_have_settled_counts),
		T(what_icmp_says_is_silence),
		T(one_that_hung_up_is_called_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
