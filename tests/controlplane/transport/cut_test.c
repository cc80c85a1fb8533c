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

// A call shows that it can be reached; then the same ports as before tell its kernel that there is
// nothing of the old connection here.
static void a_peer_is_told_of_the_end_before_it_is_called(void **state)
{
	uint64_t told;

	(void)state;
	link_up();
	cut();
	dialed(2);
	told = w_dialed_ns;
	assert_int_equal(w_n_dials_from, 1);
	assert_false(transport_is_up(a));
	assert_false(transport_is_up(b));
	assert_string_equal(info_of(b).why, "Connection reset by peer");
	assert_string_equal(info_of(a).why, "reached again");
	dialed(3);
	assert_true(w_dialed_ns - told >= 3000 * CLOCK_NS_PER_MS);
	assert_int_equal(w_n_dials_from, 1);
	w_run(1000);
	both_up(a, b);
	assert_int_equal(stats_of(1).drop_carried_twice, 0);
	assert_int_equal(w_conns_between(1, 0), 1);
}

static void it_is_told_as_soon_as_it_can_be_reached(void **state)
{
	(void)state;
	link_up();
	cut();
	w_conn_black = true;
	w_run(600 * 1000ull);
	assert_true(w_n_dials > 5);
	assert_int_equal(w_n_dials_from, 0);
	assert_true(transport_is_up(b));
	w_conn_black = false;
	w_run(150 * 1000ull); // what is under way fails yet
	both_up(a, b);
	assert_int_equal(w_n_dials_from, 1);
	assert_int_equal(stats_of(1).drop_carried_twice, 0);
}

// Nothing can be told, so it is left alone for so long, until it must have found out.
static void is_left_alone(unsigned s)
{
	uint64_t began = w_now;

	while (info_of(a).state != TRANSPORT_DOWN ||
		strstr(info_of(a).why, "until the peer knows") == NULL) {
		w_run(100);
		assert_true(w_now - began < 1000 * 1000 * CLOCK_NS_PER_MS);
	}
	w_n_dials = 0;
	w_run((s - 2) * 1000ull);
	assert_int_equal(w_n_dials, 0);
}

static void and_called_then(void)
{
	assert_true(transport_is_up(b));
	w_conns_break(1, 0); // it finds out
	w_run(10000);
	both_up(a, b);
	assert_int_equal(w_n_dials, 1);
	assert_int_equal(stats_of(1).drop_carried_twice, 0);
}

static uint16_t port_of_0(void)
{
	for (unsigned i = 0; i < w_n_conns; i++)
		if (w_conns[i].node == 0 && !w_conns[i].closed)
			return w_conns[i].port;
	return 0;
}

static void one_that_can_not_be_told_is_left_alone(void **state)
{
	(void)state;
	link_up();
	w_port_taken = port_of_0(); // another program has it meanwhile
	cut();
	is_left_alone(160);
	assert_int_equal(w_n_dials_from, 1);
	and_called_then();
}

static void as_one_that_listens_at_another_port(void **state)
{
	(void)state;
	w_port_remote = 7779;
	link_up();
	w_port_remote = 7780;
	cut();
	is_left_alone(160);
	assert_int_equal(w_n_dials_from, 0);
	and_called_then();
}

// What it says to the old address does not get to us any more.
static void one_that_was_known_at_another_address_is_left_alone_longer(void **state)
{
	(void)state;
	link_up();
	w_net_remote = w_net_local = 0x0a000200;
	cut();
	is_left_alone(1080);
	assert_int_equal(w_n_dials_from, 0);
	and_called_then();
}

static void one_that_knew_us_at_another_address_is_left_alone_longer(void **state)
{
	(void)state;
	link_up();
	w_net_local = 0x0a000200;
	cut();
	is_left_alone(1080);
	assert_int_equal(w_n_dials_from, 1);
	and_called_then();
}

// Between private networks addresses may be translated.
static void one_that_knows_us_by_another_name_is_left_alone(void **state)
{
	(void)state;
	w_net_local = 0x0a000200;
	link_up();
	cut();
	for (unsigned i = 0; i < w_n_conns; i++)
		if (w_conns[i].accepted)
			w_conns[i].port = 1; // where it saw us
	is_left_alone(160);
	assert_int_equal(w_n_dials_from, 1);
	and_called_then();
}

// Where only the old ports are a dead end it still comes back.
static void one_that_old_ports_do_not_lead_to_is_left_alone_longer(void **state)
{
	(void)state;
	link_up();
	w_port_black = port_of_0();
	cut();
	is_left_alone(1080);
	assert_int_equal(w_n_dials_from, 1);
	and_called_then();
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
	dialed(1);
	assert_int_equal(w_n_dials_from, 0);
	w_run(5000);
	transport_mgr_del(nodes[0].m, "to-1");
	w_run(2000);
	a = stcp(0, 1, true);
	w_run(0);
	assert_non_null(strstr(info_of(a).why, "left alone for 15"));
	is_left_alone(152);
	and_called_then();
}

// What may be told to it stays with its id, however often others come and go.
static void its_next_transport_tells_it(void **state)
{
	struct transport *c, *d;

	(void)state;
	link_up();
	listens(2);
	c = stcp(0, 2, true);
	d = stcp(2, 0, false);
	w_run(10000);
	both_up(c, d);
	w_conns_cut(0, 2);
	w_run(0);
	transport_mgr_del(nodes[0].m, "to-2");
	for (unsigned i = 0; i < 70; i++) {
		w_conns_break(0, 1);
		w_run(10000);
		both_up(a, b);
	}
	assert_true(transport_is_up(d));
	w_n_dials = w_n_dials_from = 0;
	c = stcp(0, 2, true);
	dialed(2);
	assert_int_equal(w_n_dials_from, 1);
	assert_false(transport_is_up(d));
	w_run(10000);
	both_up(c, d);
	assert_int_equal(w_n_dials, 3);
	assert_int_equal(stats_of(2).drop_carried_twice, 0);
}

// Also one that is made before the one before has let go of all that it had.
static void as_one_that_replaces_it_does(void **state)
{
	(void)state;
	link_up();
	w_n_dials = w_n_dials_from = 0;
	w_conns_cut(0, 1);
	while (stats_of(0).carried_cut == 0)
		w_settle_one();
	transport_mgr_del(nodes[0].m, "to-1");
	a = stcp(0, 1, true);
	dialed(2);
	assert_int_equal(w_n_dials_from, 1);
	assert_false(transport_is_up(b));
	w_run(10000);
	both_up(a, b);
	assert_int_equal(w_n_dials, 3);
	assert_int_equal(stats_of(1).drop_carried_twice, 0);
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
	w_port_remote = 7780;
	cut();
	is_left_alone(160);
	assert_true(transport_is_up(b));
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
		T(as_one_that_listens_at_another_port),
		T(one_that_was_known_at_another_address_is_left_alone_longer),
		T(one_that_knew_us_at_another_address_is_left_alone_longer),
		T(one_that_knows_us_by_another_name_is_left_alone),
		T(one_that_old_ports_do_not_lead_to_is_left_alone_longer),
		T(one_whose_transport_is_gone_is_left_alone),
		T(its_next_transport_tells_it),
		T(as_one_that_replaces_it_does),
		T(until_it_has_called),
		T(one_that_calls_meanwhile_is_taken),
		T(an_attempt_that_the_peer_may_have_settled_counts),
		T(what_icmp_says_is_silence),
		T(one_that_hung_up_is_called_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
