// Who may connect: lists of allowed and denied keys, and what becomes of links when they change.
#include "controlplane/transport/transport_priv.h"
#include "tests/controlplane/transport/world.h"

static struct peer_list *list;

// Node i's key on the list of node 1, which takes effect with policy().
static void listed(unsigned i, enum peer_access access, const char *name)
{
	assert_int_equal(peer_list_add(list, &nodes[i].pk, access, name), 0);
}

static void policy(bool any)
{
	peer_list_done(list);
	transport_mgr_policy(nodes[1].m, any, list);
}

static struct peer_list *old;

// The next policy() names nobody that is not listed() again.
static void list_renew(void)
{
	peer_list_free(old);
	old = list;
	list = peer_list_new();
	assert_non_null(list);
}

static int setup(void **state)
{
	list = peer_list_new();
	return list == NULL ? -1 : w_setup(state);
}

static int teardown(void **state)
{
	int rc = w_teardown(state);

	peer_list_free(list);
	peer_list_free(old);
	list = old = NULL;
	return rc;
}

static struct transport *at_1(const char *name)
{
	return transport_mgr_find(nodes[1].m, name);
}

static void a_listed_key_may_come_and_others_may_not(void **state)
{
	struct transport *a, *c;

	(void)state;
	listed(0, PEER_ALLOWED, "paris");
	policy(false);
	a = w_add(0, 1, true);
	c = w_add(2, 1, true);
	w_run(10);
	assert_non_null(at_1("paris"));
	both_up(a, at_1("paris"));
	assert_int_equal(info_of(at_1("paris")).conf.origin, TRANSPORT_ACCEPTED);
	assert_false(transport_is_up(c));
	assert_int_equal(stats_of(1).drop_hs_not_allowed, 1);
	assert_int_equal(w_n_responses[1], 1); // silence for the other
}

static void a_denied_key_is_told_so_whatever_else_is_said(void **state)
{
	struct transport *a;

	(void)state;
	listed(0, PEER_ALLOWED, "x");
	listed(0, PEER_DENIED, "y");
	policy(true);
	a = w_add(0, 1, true);
	w_run(5000);
	assert_false(transport_is_up(a));
	assert_non_null(strstr(info_of(a).why, "refuses: not allowed"));
	assert_int_equal(w_n_inits[0], 1); // and it doesn't hammer
	assert_int_equal(stats_of(1).drop_hs_denied, 1);
	assert_int_equal(nodes[1].n_in_dp, 0);
	assert_null(at_1("x"));
}

static void a_peer_that_is_denied_now_is_closed(void **state)
{
	struct transport *a, *c;

	(void)state;
	listed(0, PEER_ALLOWED, "a");
	listed(2, PEER_ALLOWED, "c");
	policy(false);
	a = w_add(0, 1, true);
	c = w_add(2, 1, true);
	w_run(10);
	both_up(a, c);
	list_renew();
	listed(0, PEER_DENIED, "");
	listed(2, PEER_ALLOWED, "c");
	policy(false);
	w_run(10);
	assert_null(at_1("a"));
	assert_int_equal(nodes[1].n_removed, 1);
	assert_int_equal(nodes[1].dp.del.send_close, 1);
	assert_int_equal(nodes[1].dp.del.code, 4); // CLOSE policy
	// the other noticed nothing
	both_up(c, at_1("c"));
	assert_int_equal(nodes[1].n_down, 1);
	assert_int_equal(w_hop_of(1, at_1("c"))->n_rekeys, 0);
}

static void one_that_is_on_no_list_any_more_is_closed(void **state)
{
	struct transport *a, *b;

	(void)state;
	policy(true);
	a = w_add(0, 1, true);
	b = w_add(2, 1, true);
	w_run(10);
	both_up(a, b);
	list_renew();
	listed(2, PEER_ALLOWED, "");
	policy(false);
	assert_int_equal(nodes[1].n_removed, 1);
	assert_int_equal(nodes[1].dp.del.code, 4);
	assert_true(transport_is_up(b));
	// and may come back when it is
	list_renew();
	listed(0, PEER_ALLOWED, "again");
	listed(2, PEER_ALLOWED, "");
	policy(false);
	w_note(&nodes[0].dp, EVT_HOP_CLOSED, transport_hop(a, 1), 4, 0);
	w_run(10000);
	both_up(a, at_1("again"));
	assert_int_equal(nodes[1].n_removed, 1);
}

static void a_configured_one_stays_down_while_denied(void **state)
{
	struct transport *a = w_add(0, 1, false), *b = w_add(1, 0, true);

	(void)state;
	w_run(10);
	both_up(a, b);
	listed(0, PEER_DENIED, "");
	policy(false);
	assert_false(transport_is_up(b));
	assert_int_equal(nodes[1].n_removed, 0);
	assert_non_null(strstr(info_of(b).why, "denied"));
	w_run(100000);
	assert_int_equal(w_n_inits[1], 1);
	// another data plane changes nothing
	w_detach(1, true);
	w_attach(1, DP_SYNC_FRESH);
	w_run(100000);
	assert_int_equal(w_n_inits[1], 1);
	assert_non_null(strstr(info_of(b).why, "denied"));
	list_renew();
	policy(false);
	w_run(10);
	both_up(a, b);
	assert_string_equal(info_of(b).why, "");
}

static void a_denied_one_cannot_be_added_but_configured(void **state)
{
	struct transport_conf c = {.name = "x", .ciphers = TRANSPORT_AUTO, .dial = true};
	char err[128] = "";

	(void)state;
	listed(0, PEER_DENIED, "");
	policy(false);
	c.peer = nodes[0].pk;
	c.addr = w_addr(0);
	c.origin = TRANSPORT_ADDED;
	assert_int_equal(transport_mgr_add(nodes[1].m, &c, err, sizeof(err)), -EACCES);
	assert_non_null(strstr(err, "denied"));
	assert_null(at_1("x"));
	c.origin = TRANSPORT_CONFIGURED;
	assert_int_equal(transport_mgr_add(nodes[1].m, &c, err, sizeof(err)), 0);
	w_run(10000);
	assert_int_equal(w_n_inits[1], 0);
	assert_non_null(strstr(info_of(at_1("x")).why, "denied"));
}

static bool lose_of_1(unsigned from, unsigned to, const uint8_t *bytes, size_t len)
{
	(void)to, (void)bytes, (void)len;
	return from == 1;
}

static void an_init_under_way_is_dropped_with_the_right(void **state)
{
	struct transport *a;

	(void)state;
	policy(true);
	w_lose = lose_of_1;
	a = w_add(0, 1, true);
	w_run(10);
	assert_true(nodes[1].dp.hops[0].live); // waits for its first datagram
	list_renew();
	listed(0, PEER_DENIED, "");
	policy(true);
	w_lose = NULL;
	w_run(60000);
	assert_false(transport_is_up(a));
	assert_false(nodes[1].dp.hops[0].live);
}

static void who_is_named_by_a_transport_may_make_other_types(void **state)
{
	struct transport_conf stcp = {.type = TRANSPORT_STCP};
	struct transport *rail;

	(void)state;
	policy(false);
	w_add_conf(1, 0, stcp);
	stcp.origin = TRANSPORT_ASKED; // by somebody who names nobody
	w_add_conf(1, 2, stcp);
	rail = w_add(0, 1, true);
	w_add(2, 1, true);
	w_run(10);
	both_up(rail, transport_mgr_find_peer(nodes[1].m, &nodes[0].pk, TRANSPORT_RAIL));
	assert_null(transport_mgr_find_peer(nodes[1].m, &nodes[2].pk, TRANSPORT_RAIL));
	assert_int_equal(stats_of(1).drop_hs_not_allowed, 1);
	policy(false);
	assert_true(
		transport_is_up(transport_mgr_find_peer(nodes[1].m, &nodes[0].pk, TRANSPORT_RAIL)));
	// the configuration names it no more
	assert_int_equal(transport_mgr_del(nodes[1].m, "to-0"), 0);
	policy(false);
	assert_null(transport_mgr_find_peer(nodes[1].m, &nodes[0].pk, TRANSPORT_RAIL));
	assert_int_equal(nodes[1].dp.del.code, 4);
}

static void what_is_only_taken_over_names_nobody(void **state)
{
	struct transport *a = w_add(0, 1, true);
	struct transport_conf c = {.name = "by-hand", .ciphers = TRANSPORT_AUTO};

	(void)state;
	w_add(1, 0, false);
	w_run(10);
	policy(false);
	assert_true(tp_may_come(nodes[1].m, &nodes[0].pk, PEER_UNKNOWN));
	w_mgr_stop(1);
	w_mgr_start(1); // the file has nothing of it any more
	w_attach(1, DP_SYNC_ADOPT);
	w_run(10);
	policy(false);
	both_up(a, at_1("to-0"));
	assert_int_equal(info_of(at_1("to-0")).conf.origin, TRANSPORT_ADOPTED);
	assert_false(tp_may_come(nodes[1].m, &nodes[0].pk, PEER_UNKNOWN));
	c.peer = nodes[0].pk;
	c.origin = TRANSPORT_ADDED;
	assert_int_equal(transport_mgr_add(nodes[1].m, &c, NULL, 0), 0);
	assert_true(tp_may_come(nodes[1].m, &nodes[0].pk, PEER_UNKNOWN));
}

static void lists_count_for_what_is_taken_over_too(void **state)
{
	struct transport *a;

	(void)state;
	policy(true);
	a = w_add(0, 1, true);
	w_run(10);
	assert_true(transport_is_up(a));
	w_mgr_stop(1);
	w_mgr_start(1); // without `any`
	w_attach(1, DP_SYNC_ADOPT);
	w_run(10);
	assert_int_equal(nodes[1].n_removed, 1);
	assert_false(nodes[1].dp.hops[0].live);
	assert_int_equal(nodes[1].dp.del.code, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(a_listed_key_may_come_and_others_may_not),
		T(a_denied_key_is_told_so_whatever_else_is_said),
		T(a_peer_that_is_denied_now_is_closed),
		T(one_that_is_on_no_list_any_more_is_closed),
		T(a_configured_one_stays_down_while_denied),
		T(a_denied_one_cannot_be_added_but_configured),
		T(an_init_under_way_is_dropped_with_the_right),
		T(who_is_named_by_a_transport_may_make_other_types),
		T(what_is_only_taken_over_names_nobody),
		T(lists_count_for_what_is_taken_over_too),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
