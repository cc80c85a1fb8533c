// Transports over dmsg streams, between two or three nodes: who dials and when, whom they take, and
// what passes. What they have in common with those over TCP is in carried_test.c.
#include "controlplane/transport/hs_limit.h"
#include "lib/wire/connect_msg.h"
#include "lib/wire/route_hdr.h"
#include "tests/controlplane/transport/world.h"

static void is_client(unsigned i)
{
	assert_int_equal(transport_mgr_dmsg(nodes[i].m, &w_dmsg[i]), 0);
	assert_true(w_dmsg[i].li.on);
	assert_int_equal(w_dmsg[i].li.port, 45);
}

static struct transport *over_dmsg(unsigned i, unsigned j, bool dial)
{
	struct transport_conf c = {.type = TRANSPORT_DMSG, .dial = dial, .peer = nodes[j].pk};
	char err[128] = "";

	snprintf(c.name, sizeof(c.name), "to-%u", j);
	assert_int_equal(transport_mgr_add(nodes[i].m, &c, err, sizeof(err)), 0);
	return transport_mgr_find(nodes[i].m, c.name);
}

static struct transport *a, *b; // of node 0 to node 1, and back

// A link that 0 made to 1.
static void link_up(void)
{
	is_client(0);
	is_client(1);
	a = over_dmsg(0, 1, true);
	b = over_dmsg(1, 0, false);
	w_run(10000);
	both_up(a, b);
}

static void comes_up_when_one_dials(void **state)
{
	uint8_t id[16];

	(void)state;
	is_client(0);
	is_client(1);
	a = over_dmsg(0, 1, true);
	b = over_dmsg(1, 0, false);
	w_run(2900);
	assert_int_equal(w_n_dials, 0); // what ended before us may still hang at the peer
	w_run(7100);
	both_up(a, b);
	assert_int_equal(w_n_dials, 1);
	assert_memory_equal(info_of(a).tp_id, info_of(b).tp_id, 16);
	assert_true(info_of(a).initiator);
	assert_false(info_of(b).initiator);
	assert_int_equal(info_of(a).conf.type, TRANSPORT_DMSG);
	assert_ptr_equal(transport_mgr_find_peer(nodes[0].m, &nodes[1].pk, -1), a);
	memcpy(id, transport_id(a), sizeof(id));
	assert_ptr_equal(transport_mgr_find_id(nodes[1].m, id), b);
	assert_int_equal(w_hop_of(0, a)->add.mode, HOP_MODE_CARRIED);
	w_run(600000);
	both_up(a, b);
	assert_int_equal(w_n_dials, 1);
}

static void has_no_address(void **state)
{
	struct transport_conf c = {.name = "x",
		.type = TRANSPORT_DMSG,
		.peer = nodes[1].pk,
		.addr = w_addr(1),
		.dial = true};
	char err[128] = "";

	(void)state;
	assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), -EINVAL);
	assert_string_equal(
		err, "a transport of this type has no address: the peer is found by its key");
}

static void a_node_that_is_no_client_says_so(void **state)
{
	(void)state;
	a = over_dmsg(0, 1, true);
	w_run(10000);
	assert_string_equal(
		info_of(a).why, "this node is no dmsg client: it has no [server] and no discovery");
}

static void registers_before_it_answers(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		transport_mgr_register(nodes[i].m, (struct tp_register *)&nodes[i]);
	is_client(0);
	is_client(1);
	a = over_dmsg(0, 1, true);
	b = over_dmsg(1, 0, false);
	w_run(10000);
	assert_false(transport_is_up(a));
	assert_int_equal(w_n_regs, 1);
	assert_true(w_regs[0].post);
	assert_string_equal(w_regs[0].e.type, "dmsg");
	assert_int_equal(tp_entry_verify(&w_regs[0].e, &nodes[0].pk), 0);
	assert_int_equal(tp_entry_verify(&w_regs[0].e, &nodes[1].pk), 0);
	w_reg_answer(&w_regs[0]);
	w_run(10);
	both_up(a, b);
	assert_int_equal(w_n_regs, 2);
	assert_false(w_regs[1].post); // the initiator looks for it later
	w_conns_break(0, 1);
	w_run(0);
	assert_true(w_regs[0].down);
	assert_true(w_regs[1].down);
}

// Both, at whatever moment: neither gives up what the other may have heard of.
static void both_dialing_makes_one_link(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 6; round++) {
		is_client(0);
		is_client(1);
		if (round % 2 == 0)
			w_run(10000); // then at the very same one
		a = over_dmsg(0, 1, true);
		b = over_dmsg(1, 0, true);
		w_run(60000);
		both_up(a, b);
		assert_int_equal(w_conns_between(0, 1), 1);
		assert_true(w_n_dials <= 5);
		w_run(100000);
		both_up(a, b);
		assert_int_equal(w_conns_between(0, 1), 1);
		w_teardown(state);
		w_setup(state);
	}
}

// Nobody is told why he was hung up on, and still it is the lower key that goes first.
static void of_dials_that_cross_the_lower_key_is_repeated(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 10; round++) {
		unsigned low = key_pk_cmp(&nodes[0].pk, &nodes[1].pk) < 0 ? 0 : 1;

		is_client(0);
		is_client(1);
		w_run(10000); // nothing ended lately
		a = over_dmsg(0, 1, true);
		b = over_dmsg(1, 0, true);
		w_run(10);
		assert_int_equal(w_n_dials, 2);
		assert_int_equal(stats_of(0).drop_carried_twice, 1);
		assert_int_equal(stats_of(1).drop_carried_twice, 1);
		w_run(10000);
		both_up(a, b);
		assert_int_equal(w_n_dials, 3);
		assert_true(info_of(low == 0 ? a : b).initiator);
		w_teardown(state);
		w_setup(state);
	}
}

static void is_dialed_again_not_before_three_seconds_and_by_one_side(void **state)
{
	(void)state;
	is_client(0);
	is_client(1);
	a = over_dmsg(0, 1, true);
	w_run(2000);
	b = over_dmsg(1, 0, true);
	w_run(60000);
	both_up(a, b);
	for (unsigned round = 0; round < 20; round++) {
		uint64_t ended = w_now;

		w_n_dials = 0;
		w_conns_break(0, 1);
		w_run(0);
		assert_false(transport_is_up(a));
		assert_false(transport_is_up(b));
		w_run(10000);
		both_up(a, b);
		assert_int_equal(w_n_dials, 1);
		assert_true(w_dialed_ns - ended >= 3000 * CLOCK_NS_PER_MS);
	}
}

// Its server may not have told it yet, and until then it has the old one.
static void after_silence_the_peer_is_left_alone_for_a_minute(void **state)
{
	uint64_t ended;

	(void)state;
	link_up();
	ended = w_now;
	w_n_dials = 0;
	w_conns_cut(0, 1);
	w_run(59000);
	assert_int_equal(w_n_dials, 0);
	assert_true(transport_is_up(b));
	w_conns_break(1, 0);
	w_run(10000);
	both_up(a, b);
	assert_int_equal(w_n_dials, 1);
	assert_true(w_dialed_ns - ended >= 60000 * CLOCK_NS_PER_MS);
}

static void a_peer_that_does_not_listen_is_tried_slower_and_slower(void **state)
{
	(void)state;
	is_client(0);
	a = over_dmsg(0, 1, true);
	w_run(10000);
	assert_string_equal(info_of(a).why, "Connection reset by peer");
	w_run(3600 * 1000ull);
	assert_in_range(w_n_dials, 50, 90); // about one a minute
	is_client(1);
	b = over_dmsg(1, 0, false);
	w_run(100000);
	both_up(a, b);
}

static void a_silent_peer_is_given_up(void **state)
{
	(void)state;
	is_client(0);
	is_client(1);
	a = over_dmsg(0, 1, true);
	b = over_dmsg(1, 0, false);
	w_conn_black = true;
	w_run(16000);
	assert_string_equal(info_of(a).why, "Connection timed out");
	w_conn_black = false;
	w_conn_mute = true; // the stream stands, and that is all
	while (info_of(a).state == TRANSPORT_DOWN)
		w_run(100);
	w_run(20100);
	assert_string_equal(info_of(a).why, "the peer did not settle the transport within 20 s");
	assert_int_equal(w_conns_between(1, 0), 0);
	assert_int_equal(stats_of(0).carried_cut, 1); // but it may have
	w_conn_mute = false;
	w_n_dials = 0;
	w_run(59000);
	assert_int_equal(w_n_dials, 0);
	w_run(10000);
	both_up(a, b);
}

static void strangers_are_hung_up_on(void **state)
{
	(void)state;
	is_client(0);
	is_client(1);
	a = over_dmsg(0, 1, true);
	w_run(10000);
	assert_string_equal(info_of(a).why, "the peer hung up: may this node connect there?");
	assert_int_equal(stats_of(1).drop_carried_not_allowed, w_n_dials);
	assert_int_equal(w_conns_between(1, 0), 0);
	assert_null(transport_mgr_find_peer(nodes[1].m, &nodes[0].pk, TRANSPORT_DMSG));
}

static char said[512]; // the last line about a transport that was not taken

static void hears(void *arg, enum log_level level, const char *module, const char *text)
{
	(void)arg, (void)level, (void)module;
	if (strstr(text, "not allowed") != NULL)
		snprintf(said, sizeof(said), "%s", text);
}

static void the_log_has_the_key_that_may_not_come(void **state)
{
	struct peer_list *l = peer_list_new();
	char key[KEY_PK_TEXT_LEN + 1], want[512];

	(void)state;
	key_pk_to_text(&nodes[0].pk, key);
	is_client(0);
	is_client(1);
	log_sink_set(hears, NULL);
	a = over_dmsg(0, 1, true);
	w_run(10000);
	snprintf(want, sizeof(want),
		"dmsg transport of %.8s: not allowed: %s is named by nothing here: if it may come, "
		"`skyrail transport add NAME peer=KEY`, or a [peer NAME]",
		key, key);
	assert_string_equal(said, want);
	assert_int_equal(peer_list_add(l, &nodes[0].pk, PEER_DENIED, ""), 0);
	peer_list_done(l);
	transport_mgr_policy(nodes[1].m, true, l);
	w_run(60000);
	snprintf(want, sizeof(want), "dmsg transport of %.8s: not allowed: %s is on a deny list",
		key, key);
	assert_string_equal(said, want);
	transport_mgr_policy(nodes[1].m, true, NULL);
	peer_list_free(l);
}

static void who_is_named_by_a_transport_of_another_type_may_come(void **state)
{
	struct transport_conf stcp = {.type = TRANSPORT_STCP};

	(void)state;
	is_client(0);
	is_client(1);
	w_add_conf(1, 0, stcp);
	stcp.origin = TRANSPORT_ASKED; // by somebody who names nobody
	w_add_conf(1, 2, stcp);
	is_client(2);
	over_dmsg(2, 1, true);
	a = over_dmsg(0, 1, true);
	w_run(10000);
	accepted_up(1, 0, TRANSPORT_DMSG, a);
	assert_null(transport_mgr_find_peer(nodes[1].m, &nodes[2].pk, TRANSPORT_DMSG));
	assert_true(stats_of(1).drop_carried_not_allowed > 0);
}

static void any_key_may_come_where_that_is_allowed(void **state)
{
	struct transport *t;

	(void)state;
	transport_mgr_policy(nodes[1].m, true, NULL);
	is_client(0);
	is_client(1);
	a = over_dmsg(0, 1, true);
	w_run(10000);
	t = accepted_up(1, 0, TRANSPORT_DMSG, a);
	assert_non_null(strstr(transport_name(t), "-dmsg"));
	transport_mgr_del(nodes[0].m, "to-1");
	w_run(2000);
	assert_null(transport_mgr_find_peer(nodes[1].m, &nodes[0].pk, TRANSPORT_DMSG));
}

// Somebody with node 0's key, whose program is another.
struct caller {
	struct conn *conn;
	unsigned ended;
};

static size_t on_data(void *arg, uint8_t *p, size_t len)
{
	return len;
}

static void on_end(void *arg, int err)
{
	((struct caller *)arg)->ended++;
}

static void on_dialed(void *arg, struct conn *take_conn, enum dmsg_err code, int err)
{
	static const struct conn_events ev = {.data = on_data, .end = on_end};
	struct caller *c = arg;

	assert_non_null(take_conn);
	c->conn = take_conn;
	conn_set_events(take_conn, &ev, c);
}

static void calls(struct caller *c)
{
	const struct dmsg_addr to = {.pk = nodes[1].pk, .port = 45};

	assert_non_null(dmsg_client_dial(&w_dmsg[0], &to, 10000, on_dialed, c));
	w_run(10);
	assert_non_null(c->conn);
}

// Whatever else this key has: one link, and one that is being set up.
static void a_second_call_is_hung_up_on(void **state)
{
	struct caller c = {.conn = NULL};

	(void)state;
	link_up();
	calls(&c);
	assert_int_equal(c.ended, 1);
	assert_int_equal(stats_of(1).drop_carried_twice, 1);
	both_up(a, b);
	conn_close(c.conn);
}

// One that says nothing, or rubbish, is let go; and meanwhile it is the only one of its key.
static void callers_that_do_not_settle_are_let_go(void **state)
{
	struct caller c[3] = {0};

	(void)state;
	transport_mgr_policy(nodes[1].m, true, NULL);
	is_client(1);
	calls(&c[0]);
	calls(&c[1]);
	assert_int_equal(c[0].ended, 0);
	assert_int_equal(c[1].ended, 1);
	assert_int_equal(stats_of(1).drop_carried_twice, 1);
	w_run(20100);
	assert_int_equal(c[0].ended, 1);
	calls(&c[2]);
	assert_int_equal(c[2].ended, 0);
	assert_int_equal(conn_write(c[2].conn, "{\"entry\":1}\n", 12), 12);
	w_run(10);
	assert_int_equal(c[2].ended, 1);
	assert_int_equal(stats_of(1).carried_failed, 3);
	assert_null(transport_mgr_find_peer(nodes[1].m, &nodes[0].pk, TRANSPORT_DMSG));
	for (unsigned i = 0; i < 3; i++)
		conn_close(c[i].conn);
}

// A stream costs curves on both sides: a key has as many as an address by TCP.
static void callers_of_one_key_have_a_budget(void **state)
{
	struct caller c = {0};
	unsigned n_ended = 0;

	(void)state;
	transport_mgr_policy(nodes[1].m, true, NULL);
	is_client(1);
	for (unsigned i = 0; i < HS_LIMIT_SOURCE_BURST + 10; i++) { // 10 ms each
		calls(&c);
		n_ended += c.ended;
		conn_close(c.conn);
		w_settle();
		c.ended = 0;
	}
	assert_in_range(n_ended, 7, 10);
	assert_int_equal(stats_of(1).drop_carried_load, n_ended);
	w_run(1000);
	calls(&c);
	assert_int_equal(c.ended, 0);
	conn_close(c.conn);
}

static void ends_with_the_client(void **state)
{
	(void)state;
	link_up();
	assert_int_equal(transport_mgr_dmsg(nodes[0].m, NULL), 0);
	assert_false(w_dmsg[0].li.on);
	assert_int_equal(w_conns_between(0, 1), 0);
	w_run(10);
	assert_false(transport_is_up(b));
}

static void a_dial_is_over_when_its_transport_goes(void **state)
{
	(void)state;
	is_client(0);
	is_client(1);
	a = over_dmsg(0, 1, true);
	b = over_dmsg(1, 0, false);
	w_conn_black = true;
	while (w_n_dials == 0)
		w_run(100);
	transport_mgr_del(nodes[0].m, "to-1");
	w_conn_black = false;
	w_run(30000);
	assert_false(transport_is_up(b));
	assert_int_equal(w_n_dials, 1);
}

static void packets_pass_both_ways(void **state)
{
	static uint8_t buf[sizeof(struct msg_route) + 2000] __attribute__((aligned(8)));
	struct msg_route *m = (struct msg_route *)buf;

	(void)state;
	link_up();
	for (unsigned i = 0; i < 2; i++) {
		struct transport *t = i == 0 ? a : b;

		*m = (struct msg_route){.h.type = UP_CARRIED, .hop = transport_hop(t, 7)};
		route_hdr_put(m->bytes, ROUTE_DATA, 7 + i, 1000);
		memset(m->bytes + ROUTE_HDR_LEN, (int)(0x50 + i), 1000);
		W_EACH(&nodes[i].dp, on_carried, 0, m, ROUTE_HDR_LEN + 1000);
		for (struct dp_handler *h = nodes[i].dp.handlers; h != NULL; h = h->next)
			if (h->on_route_end != NULL)
				h->on_route_end(h->arg);
		w_run(10);
		assert_int_equal(nodes[1 - i].dp.carried_len, ROUTE_HDR_LEN + 1000);
		assert_memory_equal(nodes[1 - i].dp.carried, m->bytes, ROUTE_HDR_LEN + 1000);
	}
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, w_setup, w_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(comes_up_when_one_dials),
		T(has_no_address),
		T(a_node_that_is_no_client_says_so),
		T(registers_before_it_answers),
		T(both_dialing_makes_one_link),
		T(of_dials_that_cross_the_lower_key_is_repeated),
		T(is_dialed_again_not_before_three_seconds_and_by_one_side),
		T(after_silence_the_peer_is_left_alone_for_a_minute),
		T(a_peer_that_does_not_listen_is_tried_slower_and_slower),
		T(a_silent_peer_is_given_up),
		T(strangers_are_hung_up_on),
		T(the_log_has_the_key_that_may_not_come),
		T(who_is_named_by_a_transport_of_another_type_may_come),
		T(any_key_may_come_where_that_is_allowed),
		T(a_second_call_is_hung_up_on),
		T(callers_that_do_not_settle_are_let_go),
		T(callers_of_one_key_have_a_budget),
		T(ends_with_the_client),
		T(a_dial_is_over_when_its_transport_goes),
		T(packets_pass_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
