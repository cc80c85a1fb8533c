// Who may call for a transport that a byte stream carries, and what callers may cost.
#include "controlplane/transport/hs_limit.h"
#include "lib/link/carry_hs.h"
#include "tests/controlplane/transport/world_stcp.h"

static void strangers_are_refused_and_told(void **state)
{
	(void)state;
	listens(1);
	a = stcp(0, 1, true);
	w_run(10000);
	assert_string_equal(info_of(a).why, "the peer refuses: not allowed");
	assert_int_equal(stats_of(1).drop_carried_not_allowed, w_n_dials);
	assert_null(transport_mgr_find_peer(nodes[1].m, &nodes[0].pk, TRANSPORT_STCP));
}

static void any_key_may_come_where_that_is_allowed(void **state)
{
	struct transport *t;

	(void)state;
	transport_mgr_policy(nodes[1].m, true, NULL);
	listens(1);
	a = stcp(0, 1, true);
	w_run(10000);
	t = accepted_up(1, 0, TRANSPORT_STCP, a);
	assert_int_equal(w_hop_of(1, t)->add.flags, HOP_ACCEPTED);
	assert_non_null(strstr(transport_name(t), "-stcp"));
	transport_mgr_del(nodes[0].m, "to-1");
	w_run(2000);
	assert_null(transport_mgr_find_peer(nodes[1].m, &nodes[0].pk, TRANSPORT_STCP));
	assert_int_equal(nodes[1].n_removed, 1);
}

static void a_link_local_address_is_called_through_its_interface(void **state)
{
	struct transport_conf c = {.type = TRANSPORT_STCP, .dial = true, .scope_if = "eth0"};

	(void)state;
	listens(1);
	c.addr = w_addr(1);
	memset(c.addr.ip, 0, 15);
	c.addr.ip[0] = 0xfe;
	c.addr.ip[1] = 0x80;
	a = w_add_conf(0, 1, c);
	b = stcp(1, 0, false);
	w_run(10000);
	both_up(a, b);
}

static void one_who_may_not_any_more_is_thrown_out(void **state)
{
	struct peer_list *l = peer_list_new();

	(void)state;
	link_up();
	assert_int_equal(peer_list_add(l, &nodes[0].pk, PEER_DENIED, ""), 0);
	peer_list_done(l);
	transport_mgr_policy(nodes[1].m, false, l);
	w_run(10);
	assert_false(transport_is_up(a));
	assert_false(transport_is_up(b));
	w_run(20000);
	assert_string_equal(info_of(a).why, "the peer refuses: not allowed");
	assert_true(stats_of(1).drop_carried_denied >= 1);
	transport_mgr_policy(nodes[1].m, false, NULL);
	w_run(60000);
	both_up(a, b);
	peer_list_free(l);
}

static void one_who_may_not_any_more_when_it_is_settled_gets_nothing(void **state)
{
	(void)state;
	transport_mgr_policy(nodes[1].m, true, NULL);
	transport_mgr_register(nodes[1].m, (struct tp_register *)&nodes[1]);
	listens(1);
	a = stcp(0, 1, true);
	w_run(6000);
	assert_int_equal(w_n_regs, 1); // admitted, and not answered yet
	transport_mgr_policy(nodes[1].m, false, NULL);
	w_reg_answer(&w_regs[0]);
	w_run(10);
	assert_null(transport_mgr_find_peer(nodes[1].m, &nodes[0].pk, TRANSPORT_STCP));
	assert_false(transport_is_up(a));
}

// ---- where ----

static const struct conn_listener *listener_of(unsigned i)
{
	const struct conn_listener *found = NULL;

	for (unsigned k = 0; k < W_LISTENERS; k++) {
		if (!w_listeners[k].on || w_listeners[k].node != i)
			continue;
		assert_null(found);
		found = &w_listeners[k];
	}
	return found;
}

static char last_error[256];

static void on_error(void *arg, enum log_level level, const char *module, const char *text)
{
	if (level == LOG_ERR)
		snprintf(last_error, sizeof(last_error), "%s", text);
}

static void a_place_that_is_lost_is_named(void **state)
{
	struct dpmsg_addr other = w_addr(1);

	(void)state;
	listens(1);
	other.ip[15] = 9;
	w_port_taken = PORT; // ours, too, once we let go of it
	last_error[0] = '\0';
	log_sink_set(on_error, NULL);
	assert_int_equal(transport_mgr_listen(nodes[1].m, TRANSPORT_STCP, &other), -EADDRINUSE);
	assert_null(listener_of(1));
	assert_non_null(strstr(last_error, "stcp transports are not taken at 10.0.0.1:"));
	w_port_taken = 0;
	assert_int_equal(transport_mgr_listen(nodes[1].m, TRANSPORT_STCP, &other), 0);
	assert_int_equal(listener_of(1)->ip, 0x0a000009);
	transport_mgr_leave(nodes[1].m);
	assert_null(listener_of(1));
}

// A reload asks, so that what its file said before is tried again when it was lost.
static void where_callers_are_taken_is_told_as_it_is(void **state)
{
	struct dpmsg_addr at = w_addr(1), other = at;
	const struct transport_mgr *m = nodes[1].m;

	(void)state;
	other.ip[15] = 9;
	assert_true(transport_mgr_listens_at(m, TRANSPORT_STCP, NULL));
	assert_false(transport_mgr_listens_at(m, TRANSPORT_STCP, &at));
	listens(1);
	assert_true(transport_mgr_listens_at(m, TRANSPORT_STCP, &at));
	assert_false(transport_mgr_listens_at(m, TRANSPORT_STCP, &other));
	assert_false(transport_mgr_listens_at(m, TRANSPORT_STCP, NULL));
	assert_false(transport_mgr_listens_at(m, TRANSPORT_STCPR, &at));
	w_port_taken = PORT;
	assert_int_equal(transport_mgr_listen(nodes[1].m, TRANSPORT_STCP, &other), -EADDRINUSE);
	assert_false(transport_mgr_listens_at(m, TRANSPORT_STCP, &at)); // lost
	w_port_taken = 0;
	assert_int_equal(transport_mgr_listen(nodes[1].m, TRANSPORT_STCP, &at), 0);
	assert_true(transport_mgr_listens_at(m, TRANSPORT_STCP, &at));
}

// Another place that can't be had is refused, and callers come where they came.
static void callers_are_taken_where_they_were_until_there_is_another_place(void **state)
{
	struct dpmsg_addr at = w_addr(1), other = at;

	(void)state;
	listens(1);
	other.port = w_port_taken = 7781;
	assert_int_equal(transport_mgr_listen(nodes[1].m, TRANSPORT_STCP, &other), -EADDRINUSE);
	assert_int_equal(listener_of(1)->port, PORT);
	w_port_taken = 0;
	assert_int_equal(transport_mgr_listen(nodes[1].m, TRANSPORT_STCP, &other), 0);
	assert_int_equal(listener_of(1)->port, 7781);
	// the same port of another address, where both at once can't be
	other.ip[15] = 9;
	assert_int_equal(transport_mgr_listen(nodes[1].m, TRANSPORT_STCP, &other), 0);
	assert_int_equal(listener_of(1)->ip, 0x0a000009);
	assert_int_equal(transport_mgr_listen(nodes[1].m, TRANSPORT_STCP, &at), 0);
	a = stcp(0, 1, true);
	b = stcp(1, 0, false);
	w_run(10000);
	both_up(a, b);
	assert_int_equal(transport_mgr_listen(nodes[1].m, TRANSPORT_STCP, NULL), 0);
	assert_null(listener_of(1));
}

// ---- what they may cost ----

// A caller of node 0's, by hand; sk: whose signature it has.
struct caller {
	struct carry_hs h;
	struct carry_hs_conf conf;
	struct conn *conn;
	bool speaks, replays, over;
};

enum { OF_TYPE = 128 }; // callers that have a place

static struct caller callers[160];
static char said[CONNECT_TEXT_MAX]; // the last call that was signed
static uint16_t said_len;

static void say(struct caller *c)
{
	if (c->h.out_len > 0)
		assert_int_equal(conn_write(c->conn, c->h.out, c->h.out_len), c->h.out_len);
	c->h.out_len = 0;
}

static void on_open(void *arg)
{
	struct caller *c = arg;

	if (!c->speaks)
		return;
	carry_hs_dial(&c->h, &c->conf, &nodes[1].pk, CONNECT_PORT_EPHEMERAL, w_now);
	say(c);
}

static size_t on_data(void *arg, uint8_t *p, size_t len)
{
	struct caller *c = arg;
	size_t used;

	c->over |= carry_hs_read(&c->h, p, len, &used, w_now) != CARRY_HS_NONE;
	if (c->h.out_len > 0 && c->replays)
		memcpy(c->h.out, said, c->h.out_len = said_len);
	else if (c->h.out_len > 0)
		memcpy(said, c->h.out, said_len = c->h.out_len);
	say(c);
	return len;
}

static void on_end(void *arg, int err)
{
	((struct caller *)arg)->over = true;
}

static void call(struct caller *c, unsigned sk, bool speaks)
{
	static const struct conn_events ev = {.open = on_open, .data = on_data, .end = on_end};
	static const struct conn_tcp_opts opts = {.keepalive_s = 15, .user_timeout_ms = 20000};

	*c = (struct caller){
		.conf = {&nodes[0].pk, identity_sk(nodes[sk].id), "stcp"}, .speaks = speaks};
	c->conn = conn_tcp_dial((struct loop *)&nodes[0], "10.0.0.1:7780", 10000, &opts, &ev, c);
}

static void callers_hang_up(void)
{
	for (size_t i = 0; i < ARRAY_LEN(callers); i++) {
		conn_close(callers[i].conn);
		callers[i].conn = NULL;
	}
	w_settle();
}

// Callers that say nothing: so many of a source, and each for ten seconds.
static void silent_callers_are_bounded(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		listens(1);
		for (unsigned i = 0; i < 20; i++) {
			if (v6) { // of one /64
				memset(w_conn_from, 0x20, 8);
				w_conn_from[15] = (uint8_t)i;
			}
			call(&callers[i], 0, false);
			w_settle();
		}
		w_run(10);
		assert_int_equal(w_conns_between(1, 0), 16);
		assert_int_equal(stats_of(1).drop_carried_calls, 4);
		w_run(10100);
		assert_int_equal(w_conns_between(1, 0), 0);
		assert_int_equal(stats_of(1).carried_failed, 16);
		assert_int_equal(stats_of(1).drop_carried_slow, 16);
		callers_hang_up();
		memset(w_conn_from, 0, sizeof(w_conn_from));
		link_up(); // and there is room again
		w_teardown(state);
		w_setup(state);
	}
}

// Forged calls cost a look at a signature each: so many of a source, as of rails' inits.
static void forged_calls_are_bounded(void **state)
{
	unsigned wrong = 0, too_many = 0;

	(void)state;
	listens(1);
	b = stcp(1, 0, false);
	for (unsigned i = 0; i < 30; i++) {
		call(&callers[i], 2, true);
		w_settle();
		assert_true(callers[i].over);
		wrong += strcmp(callers[i].h.why, "the peer refuses: the signature is not right") ==
			 0;
		too_many += strcmp(callers[i].h.why, "the peer refuses: too many calls") == 0;
	}
	assert_int_equal(wrong, HS_LIMIT_SOURCE_BURST);
	assert_int_equal(too_many, 30 - HS_LIMIT_SOURCE_BURST);
	assert_int_equal(stats_of(1).drop_carried_load, 30 - HS_LIMIT_SOURCE_BURST);
	assert_int_equal(stats_of(1).drop_carried_forged, HS_LIMIT_SOURCE_BURST);
	callers_hang_up();
	a = stcp(0, 1, true);
	w_run(10000);
	both_up(a, b); // later there is time again
}

// ... and nothing for keys that may not come.
static void forged_calls_of_strangers_cost_nothing(void **state)
{
	(void)state;
	listens(1);
	for (unsigned i = 0; i < 30; i++) {
		call(&callers[i], 2, true);
		w_settle();
		assert_string_equal(callers[i].h.why, "the peer refuses: not allowed");
	}
	assert_int_equal(stats_of(1).drop_carried_not_allowed, 30);
	assert_int_equal(stats_of(1).drop_carried_load, 0);
	callers_hang_up();
}

// Each from another address, so it is those of a type that are bounded.
static void silent_callers_of_a_type_leave_room_for_others(void **state)
{
	struct dpmsg_addr at = w_addr(1);
	unsigned i = 0;

	(void)state;
	listens(1);
	for (; i < OF_TYPE + 2; i++) {
		w_conn_from[0] = 0x20;
		w_conn_from[7] = (uint8_t)i;
		call(&callers[i], 0, false);
		w_settle();
	}
	assert_int_equal(w_conns_between(1, 0), OF_TYPE);
	assert_int_equal(stats_of(1).drop_carried_calls, 2);
	transport_mgr_listen(nodes[1].m, TRANSPORT_STCP, NULL);
	assert_int_equal(transport_mgr_listen(nodes[1].m, TRANSPORT_STCPR, &at), 0);
	w_conn_from[7] = (uint8_t)i;
	call(&callers[i], 0, false);
	w_settle();
	assert_int_equal(w_conns_between(1, 0), OF_TYPE + 1);
	assert_int_equal(stats_of(1).drop_carried_calls, 2);
	callers_hang_up();
}

static void replayed_calls_and_rubbish_are_counted(void **state)
{
	(void)state;
	listens(1);
	b = stcp(1, 0, false);
	call(&callers[0], 0, true);
	w_settle();
	assert_true(callers[0].over); // it is taken, and does not go on
	assert_string_equal(callers[0].h.why, "");
	callers_hang_up();
	call(&callers[1], 0, true);
	callers[1].replays = true;
	w_settle();
	assert_string_equal(callers[1].h.why, "the peer refuses: it is another nonce");
	assert_int_equal(stats_of(1).drop_carried_forged, 1);
	call(&callers[2], 0, false);
	w_settle();
	assert_int_equal(conn_write(callers[2].conn, "GET / HTTP/1.1\r\n\r\n", 18), 18);
	w_settle();
	assert_true(callers[2].over);
	assert_int_equal(stats_of(1).drop_carried_forged, 2);
	assert_int_equal(stats_of(1).carried_settled, 0);
	callers_hang_up();
}

static void peers_of_any_key_are_so_many(void **state)
{
	struct transport *second;

	(void)state;
	w_mgr_stop(1);
	w_allow_any = true;
	w_accepted_max = 1;
	w_mgr_start(1);
	w_attach(1, DP_SYNC_FRESH);
	listens(1);
	a = stcp(0, 1, true);
	w_run(10000);
	assert_true(transport_is_up(a));
	second = stcp(2, 1, true);
	w_run(10000);
	assert_string_equal(info_of(second).why, "the peer refuses: too many transports");
	assert_true(stats_of(1).drop_carried_too_many >= 1);
	assert_true(transport_is_up(a));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, w_setup, w_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(strangers_are_refused_and_told),
		T(any_key_may_come_where_that_is_allowed),
		T(a_link_local_address_is_called_through_its_interface),
		T(one_who_may_not_any_more_is_thrown_out),
		T(one_who_may_not_any_more_when_it_is_settled_gets_nothing),
		T(a_place_that_is_lost_is_named),
		T(where_callers_are_taken_is_told_as_it_is),
		T(callers_are_taken_where_they_were_until_there_is_another_place),
		T(silent_callers_are_bounded),
		T(forged_calls_are_bounded),
		T(forged_calls_of_strangers_cost_nothing),
		T(silent_callers_of_a_type_leave_room_for_others),
		T(replayed_calls_and_rubbish_are_counted),
		T(peers_of_any_key_are_so_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
