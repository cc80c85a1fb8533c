// Transports to peers that an address resolver tells of: whom it is asked about, which of the
// addresses are dialed, and what is said when there is none. The rest is as in carried_test.c.
#include "lib/wire/connect_msg.h"
#include "lib/wire/route_hdr.h"
#include "tests/controlplane/transport/world.h"

#define PUBLIC_1 "198.51.100.1" // node 1

static struct transport *stcpr(unsigned i, unsigned j, bool dial)
{
	struct transport_conf c = {.type = TRANSPORT_STCPR, .dial = dial, .peer = nodes[j].pk};
	char err[128] = "";

	snprintf(c.name, sizeof(c.name), "to-%u", j);
	assert_int_equal(transport_mgr_add(nodes[i].m, &c, err, sizeof(err)), 0);
	return transport_mgr_find(nodes[i].m, c.name);
}

static struct transport *a, *b; // of node 0 to node 1, and back

// Node 0 asks, node 1 listens; what the resolver says is the test's.
static void begin(void)
{
	struct dpmsg_addr at = w_addr(1);

	transport_mgr_resolver(nodes[0].m, (struct service *)&nodes[0]);
	assert_int_equal(transport_mgr_listen(nodes[1].m, TRANSPORT_STCPR, &at), 0);
	a = stcpr(0, 1, true);
	b = stcpr(1, 0, false);
}

static void is(const char *remote, uint16_t port)
{
	w_visor = (struct resolver_visor){.port = port};
	snprintf(w_visor.remote, sizeof(w_visor.remote), "%s", remote);
}

static void comes_up_at_the_address_that_the_resolver_tells(void **state)
{
	(void)state;
	is(PUBLIC_1, 7777);
	begin();
	w_run(2900);
	assert_int_equal(w_n_asks, 0); // what ended before us may still hang at the peer
	w_run(7100);
	both_up(a, b);
	assert_int_equal(w_n_asks, 1);
	assert_int_equal(key_pk_cmp(&w_asks[0].pk, &nodes[1].pk), 0);
	assert_int_equal(w_n_dials, 1);
	assert_int_equal(info_of(a).peer.port, 7777);
	assert_int_equal(info_of(a).peer.ip[12], 198);
	assert_int_equal(info_of(a).peer.ip[15], 1);
	assert_memory_equal(info_of(a).tp_id, info_of(b).tp_id, 16);
	assert_ptr_equal(transport_mgr_find_peer(nodes[0].m, &nodes[1].pk, -1), a);
}

// It may have moved: each dial asks.
static void is_asked_for_before_each_dial(void **state)
{
	(void)state;
	is(PUBLIC_1, 7777);
	begin();
	w_run(10000);
	both_up(a, b);
	w_conns_break(0, 1);
	w_run(10000);
	both_up(a, b);
	assert_int_equal(w_n_asks, 2);
}

// Who tells an address could have us call at anything in our own network.
static void only_public_addresses_are_dialed(void **state)
{
	static const char *const remotes[] = {"10.0.0.1", "127.0.0.1", "192.168.1.1", "172.16.0.1",
		"169.254.0.1", "[::1]", "[fe80::1]", "[fd00::1]", "224.0.0.1", "0.0.0.0"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(remotes); i++) {
		is(remotes[i], 7777);
		w_visor.is_local = true;
		w_visor.n = 1;
		snprintf(w_visor.local[0], sizeof(w_visor.local[0]), "10.0.0.1");
		begin();
		w_run(10000);
		assert_int_equal(w_n_dials, 0);
		assert_string_equal(info_of(a).why,
			"the address resolver tells no public address of this peer");
		w_teardown(state);
		w_setup(state);
	}
}

// 198.51.100.9 is nobody's.
static void addresses_are_tried_one_after_the_other(void **state)
{
	(void)state;
	is(PUBLIC_1, 7777);
	w_visor.is_local = true;
	w_visor.n = 2;
	snprintf(w_visor.local[0], sizeof(w_visor.local[0]), "192.168.0.7");
	snprintf(w_visor.local[1], sizeof(w_visor.local[1]), "198.51.100.9");
	begin();
	w_run(10000);
	both_up(a, b);
	assert_int_equal(w_n_dials, 2);
	assert_int_equal(w_n_asks, 1);
}

static void of_many_addresses_four_are_looked_at(void **state)
{
	(void)state;
	is(PUBLIC_1, 7777);
	w_visor.is_local = true;
	w_visor.n = RESOLVER_ADDRS_MAX;
	for (unsigned i = 0; i < w_visor.n; i++)
		snprintf(w_visor.local[i], sizeof(w_visor.local[i]), "198.51.100.%u", 9 + i);
	begin();
	while (w_n_asks == 0)
		w_run(100);
	w_run(1000);
	assert_int_equal(w_n_dials, 4);
	assert_string_equal(info_of(a).why, "Connection refused");
}

static void one_whom_the_resolver_does_not_know_is_tried_slower_and_slower(void **state)
{
	(void)state;
	w_resolver_status = 404;
	begin();
	w_run(10000);
	assert_string_equal(info_of(a).why, "the address resolver does not know this peer");
	w_run(1800 * 1000ull);
	assert_in_range(w_n_asks, 25, 50); // about one a minute
	assert_int_equal(w_n_dials, 0);
	w_resolver_status = 503;
	w_run(100000);
	assert_string_equal(info_of(a).why, "address resolver: 503: away");
	w_resolver_status = 0;
	is(PUBLIC_1, 7777);
	w_run(100000);
	both_up(a, b);
}

static void needs_a_resolver_and_no_address(void **state)
{
	struct transport_conf c = {.name = "x",
		.type = TRANSPORT_STCPR,
		.peer = nodes[2].pk,
		.addr = w_addr(2),
		.dial = true};
	char err[128] = "";

	(void)state;
	assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "has no address"));
	a = stcpr(0, 1, true);
	w_run(10000);
	assert_string_equal(info_of(a).why,
		"there is no address resolver to ask ([transports] address_resolver)");
}

// A question that is not answered gives way to the peer's call, and ends with its transport.
static void a_call_that_comes_meanwhile_is_taken(void **state)
{
	struct dpmsg_addr at = w_addr(0);

	(void)state;
	is("198.51.100.0", 7777);
	w_resolver_silent = true;
	begin();
	while (w_n_asks == 0)
		w_run(100);
	assert_non_null(w_asks[0].fn);
	assert_int_equal(transport_mgr_listen(nodes[0].m, TRANSPORT_STCPR, &at), 0);
	transport_mgr_del(nodes[1].m, "to-0");
	transport_mgr_resolver(nodes[1].m, (struct service *)&nodes[1]);
	w_resolver_silent = false;
	b = stcpr(1, 0, true);
	w_run(10000);
	both_up(a, b);
	assert_null(w_asks[0].fn);
}

static void a_question_ends_with_its_transport(void **state)
{
	(void)state;
	w_resolver_silent = true;
	begin();
	while (w_n_asks == 0)
		w_run(100);
	transport_mgr_del(nodes[0].m, "to-1");
	assert_null(w_asks[0].fn);
}

// One that may not know of the end is told by a connection from the same port, unless addresses are
// translated in between: then the same port may come there as another one.
static void after_silence_it_is_told_of_the_end_where_that_can_be(void **state)
{
	for (unsigned translated = 0; translated < 2; translated++) {
		is(PUBLIC_1, 7777);
		w_net_local = translated != 0 ? 0x0a000000 : 0xc6336400;
		w_net_remote = 0xc6336400;
		w_port_remote = 7777;
		begin();
		w_run(10000);
		both_up(a, b);
		w_conns_cut(0, 1);
		w_run(20000);
		assert_int_equal(w_n_dials_from, 1);
		if (translated != 0) {
			assert_false(transport_is_up(a));
			assert_non_null(strstr(info_of(a).why, "until the peer knows"));
			w_conns_break(1, 0);
			w_run(140 * 1000ull);
			assert_int_equal(w_n_dials, 3);
			w_run(30 * 1000ull);
		}
		both_up(a, b);
		assert_int_equal(w_n_dials, 4);
		assert_int_equal(stats_of(1).drop_carried_twice, 0);
		w_teardown(state);
		w_setup(state);
	}
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, w_setup, w_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(comes_up_at_the_address_that_the_resolver_tells),
		T(is_asked_for_before_each_dial),
		T(after_silence_it_is_told_of_the_end_where_that_can_be),
		T(only_public_addresses_are_dialed),
		T(addresses_are_tried_one_after_the_other),
		T(of_many_addresses_four_are_looked_at),
		T(one_whom_the_resolver_does_not_know_is_tried_slower_and_slower),
		T(needs_a_resolver_and_no_address),
		T(a_call_that_comes_meanwhile_is_taken),
		T(a_question_ends_with_its_transport),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
