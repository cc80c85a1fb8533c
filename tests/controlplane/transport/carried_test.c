// Transports that a byte stream carries, between two or three nodes: who dials and when, what
// passes and who waits; transport_call_test.c has whom they take. The edges are in world.h; Noise
// and settlement are real.
#include "lib/wire/route_hdr.h"
#include "tests/controlplane/transport/world_stcp.h"

enum { BIG = 64 * 1024 };

// ---- coming up ----

static void comes_up_when_one_dials(void **state)
{
	struct w_hop *h;

	(void)state;
	listens(1);
	a = stcp(0, 1, true);
	b = stcp(1, 0, false);
	assert_string_equal(info_of(b).why, "waiting for the peer to call");
	w_run(2900);
	assert_int_equal(w_n_dials, 0); // what ended before us may still hang at the peer
	w_run(7100);
	both_up(a, b);
	assert_int_equal(w_n_dials, 1);
	assert_memory_equal(info_of(a).tp_id, info_of(b).tp_id, 16);
	assert_true(info_of(a).initiator);
	assert_false(info_of(b).initiator);
	assert_int_equal(info_of(a).conf.type, TRANSPORT_STCP);
	assert_ptr_equal(transport_mgr_find_peer(nodes[0].m, &nodes[1].pk, -1), a);
	assert_ptr_equal(transport_mgr_find_id(nodes[1].m, transport_id(a)), b);
	assert_int_equal(info_of(b).peer.ip[15], 0);
	h = w_hop_of(0, a);
	assert_int_equal(h->add.mode, HOP_MODE_CARRIED);
	assert_int_equal(h->add.flow, 1);
	assert_memory_equal(h->add.tp_id, transport_id(a), 16);
	assert_int_equal(nodes[0].n_up, 1);
	assert_int_equal(nodes[0].n_in_dp, 1);
	w_run(600000);
	both_up(a, b);
	assert_int_equal(w_n_dials, 1);
}

static void a_peer_may_have_one_of_each_type(void **state)
{
	struct transport_conf c = {.name = "second", .type = TRANSPORT_STCP, .peer = nodes[1].pk};
	struct transport *rail =
		w_add_conf(0, 1, (struct transport_conf){.ciphers = TRANSPORT_AUTO, .dial = true});
	char err[128] = "";

	(void)state;
	w_add(1, 0, false);
	assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), 0);
	snprintf(c.name, sizeof(c.name), "third");
	assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), -EEXIST);
	assert_string_equal(err, "this peer has a stcp transport already: second");
	w_run(10);
	assert_true(transport_is_up(rail));
	assert_ptr_equal(transport_mgr_find_peer(nodes[0].m, &nodes[1].pk, -1), rail);
}

static void both_dialing_makes_one_link(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 5; round++) {
		listens(0);
		listens(1);
		a = stcp(0, 1, true);
		b = stcp(1, 0, true);
		w_run(45000);
		both_up(a, b);
		assert_int_equal(w_conns_between(0, 1), 1);
		w_run(100000);
		both_up(a, b);
		assert_int_equal(w_conns_between(0, 1), 1);
		w_teardown(state);
		w_setup(state);
	}
}

// Both at the very same moment: neither gives up what the other has heard of.
static void dials_that_cross_are_not_abandoned(void **state)
{
	(void)state;
	listens(0);
	listens(1);
	w_run(10000); // nothing ended lately
	a = stcp(0, 1, true);
	b = stcp(1, 0, true);
	w_run(1000);
	assert_true(stats_of(0).drop_carried_twice + stats_of(1).drop_carried_twice >= 1);
	w_run(60000);
	both_up(a, b);
	assert_int_equal(w_conns_between(0, 1), 1);
	assert_true(w_n_dials <= 5);
}

// The dialer hears yes when the entry is registered, or when that took too long; not before.
static void a_responder_registers_before_it_answers(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		transport_mgr_register(nodes[i].m, (struct tp_register *)&nodes[i]);
	listens(1);
	a = stcp(0, 1, true);
	b = stcp(1, 0, false);
	w_run(10000);
	assert_false(transport_is_up(a));
	assert_int_equal(w_n_regs, 1);
	assert_true(w_regs[0].post);
	assert_memory_equal(w_regs[0].e.id, transport_id(b), 16);
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

static void a_dialer_that_hangs_up_meanwhile_is_no_harm(void **state)
{
	(void)state;
	transport_mgr_register(nodes[1].m, (struct tp_register *)&nodes[1]);
	listens(1);
	a = stcp(0, 1, true);
	b = stcp(1, 0, false);
	w_run(6000);
	assert_int_equal(w_n_regs, 1);
	transport_mgr_del(nodes[0].m, "to-1");
	w_run(10);
	assert_true(w_regs[0].down);
	assert_false(transport_is_up(b));
}

// ---- ends and returns ----

static void is_dialed_again_not_before_three_seconds_and_by_one_side(void **state)
{
	uint64_t ended;

	(void)state;
	listens(0);
	link_up();
	transport_mgr_del(nodes[1].m, "to-0");
	w_run(1); // an end is noticed
	b = stcp(1, 0, true); // it could, too
	assert_false(transport_is_up(a));
	for (unsigned round = 0; round < 20; round++) {
		ended = w_now;
		w_n_dials = 0;
		w_run(10000);
		both_up(a, b);
		assert_int_equal(w_n_dials, 1);
		assert_true(w_dialed_ns - ended >= 3000 * CLOCK_NS_PER_MS);
		w_conns_break(0, 1);
		w_run(0);
		assert_false(transport_is_up(a));
		assert_false(transport_is_up(b));
	}
}

static void its_hop_ends_with_the_connection(void **state)
{
	(void)state;
	link_up();
	w_conns_break(0, 1);
	w_run(0);
	assert_null(w_hop_of(0, a));
	assert_null(w_hop_of(1, b));
	assert_false(transport_in_dp(a));
	assert_string_equal(info_of(a).why, "Connection reset by peer");
	assert_int_equal(nodes[0].n_down, 1);
}

// Another life of the control plane leaves the peer alone as long as an end would.
static void comes_back_after_the_control_plane_was_killed(void **state)
{
	uint64_t killed;

	(void)state;
	link_up();
	killed = w_now;
	w_n_dials = 0;
	w_mgr_stop(0);
	memset(nodes[0].dp.hops, 0, sizeof(nodes[0].dp.hops)); // as the data plane does
	w_mgr_start(0);
	a = stcp(0, 1, true);
	w_attach(0, DP_SYNC_ADOPT);
	w_run(10000);
	both_up(a, b);
	assert_int_equal(w_n_dials, 1);
	assert_true(w_dialed_ns - killed >= 3000 * CLOCK_NS_PER_MS);
}

static void ends_with_the_data_plane_and_comes_back_with_it(void **state)
{
	(void)state;
	link_up();
	w_detach(0, true);
	w_run(10);
	assert_string_equal(info_of(a).why, "no data plane");
	assert_false(transport_is_up(b));
	w_run(60000);
	w_attach(0, DP_SYNC_FRESH);
	w_run(10000);
	both_up(a, b);
}

static void a_peer_that_is_not_there_is_tried_slower_and_slower(void **state)
{
	(void)state;
	a = stcp(0, 1, true);
	w_run(10000);
	assert_string_equal(info_of(a).why, "Connection refused");
	w_run(3600 * 1000ull);
	assert_in_range(w_n_dials, 50, 90); // about one a minute
	listens(1);
	b = stcp(1, 0, false);
	w_run(100000);
	both_up(a, b);
}

// One of them hears nothing: each part of a call has its limit.
static void a_silent_peer_is_given_up(void **state)
{
	(void)state;
	listens(1);
	a = stcp(0, 1, true);
	b = stcp(1, 0, false);
	w_conn_black = true;
	w_run(16000);
	assert_string_equal(info_of(a).why, "Connection timed out");
	w_conn_black = false;
	w_conn_mute = true; // TCP stands, and that is all
	while (info_of(a).state == TRANSPORT_DOWN)
		w_run(100);
	w_run(10100);
	assert_string_equal(info_of(a).why, "no nonce came within 10 s");
	assert_int_equal(w_conns_between(1, 0), 0);
	w_conn_mute = false; // it has settled nothing, so it is dialed as after any failure
	w_run(20000);
	both_up(a, b);
	assert_int_equal(stats_of(0).carried_cut, 0);
}

static void one_that_was_removed_and_added_waits_too(void **state)
{
	uint64_t removed;

	(void)state;
	link_up();
	removed = w_now;
	transport_mgr_del(nodes[0].m, "to-1");
	w_run(1);
	assert_false(transport_is_up(b));
	a = stcp(0, 1, true);
	w_run(10000);
	both_up(a, b);
	assert_true(w_dialed_ns - removed >= 3000 * CLOCK_NS_PER_MS);
}

static void a_hop_that_the_data_plane_refuses_ends_the_link(void **state)
{
	(void)state;
	listens(1);
	a = stcp(0, 1, true);
	b = stcp(1, 0, false);
	nodes[0].dp.refuse = -ENOSPC;
	w_run(6000);
	assert_string_equal(info_of(a).why, "the data plane has no room for it");
	w_run(10000);
	both_up(a, b);
}

// ---- packets ----

static uint8_t packet[ROUTE_PACKET_MAX];

// A packet with len bytes of payload, for node i's peer.
static size_t give(unsigned i, struct transport *t, uint32_t id, size_t len)
{
	static uint8_t buf[sizeof(struct msg_route) + ROUTE_PACKET_MAX] __attribute__((aligned(8)));
	struct msg_route *m = (struct msg_route *)buf;

	*m = (struct msg_route){.h.type = UP_CARRIED, .hop = transport_hop(t, id)};
	route_hdr_put(m->bytes, ROUTE_DATA, id, (uint16_t)len);
	for (size_t k = 0; k < len; k++)
		m->bytes[ROUTE_HDR_LEN + k] = (uint8_t)(id + k);
	memcpy(packet, m->bytes, ROUTE_HDR_LEN + len);
	W_EACH(&nodes[i].dp, on_carried, 0, m, ROUTE_HDR_LEN + len);
	return ROUTE_HDR_LEN + len;
}

static void burst_ends(unsigned i)
{
	for (struct dp_handler *h = nodes[i].dp.handlers; h != NULL; h = h->next)
		if (h->on_route_end != NULL)
			h->on_route_end(h->arg);
}

// What came down at node i is these packets, whole and in order.
static void expect_packets(unsigned i, uint32_t first_id, unsigned n, size_t len)
{
	const uint8_t *p = nodes[i].dp.carried;
	struct route_hdr h;

	assert_int_equal(nodes[i].dp.carried_len, n * (ROUTE_HDR_LEN + len));
	for (unsigned k = 0; k < n; k++) {
		assert_int_equal(route_hdr_decode(p, ROUTE_HDR_LEN + len, &h), ROUTE_HDR_LEN + len);
		assert_int_equal(h.id, first_id + k);
		for (size_t x = 0; x < len; x++)
			assert_int_equal(h.payload[x], (uint8_t)(h.id + x));
		p += ROUTE_HDR_LEN + len;
	}
}

static void packets_pass_whole_and_in_order(void **state)
{
	static const struct {
		size_t piece, len;
		unsigned n;
	} cases[] = {{100000, 0, 3}, {100000, 100, 50}, {1, 50, 10}, {3, 5000, 3}, {4095, 4096, 20},
		{100000, 65535, 4}, {1000, 4063, 20}};

	(void)state;
	w_conn_cap = 1 << 20;
	link_up();
	for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
		w_conn_piece = cases[k].piece;
		for (unsigned i = 0; i < cases[k].n; i++) {
			give(0, a, 1000 + i, cases[k].len);
			give(1, b, 2000 + i, cases[k].len);
		}
		burst_ends(0);
		burst_ends(1);
		w_run(10);
		expect_packets(1, 1000, cases[k].n, cases[k].len);
		expect_packets(0, 2000, cases[k].n, cases[k].len);
		assert_int_equal(nodes[1].dp.carried_hop, transport_hop(b, 0));
		nodes[0].dp.carried_len = nodes[1].dp.carried_len = 0;
	}
	assert_int_equal(stats_of(0).carried_holds, 0);
}

// System calls cost more than copies: what a turn brought is written in large pieces.
static void a_burst_goes_in_few_writes(void **state)
{
	(void)state;
	w_conn_cap = 1 << 20;
	link_up();
	w_n_writes = 0;
	for (unsigned i = 0; i < 100; i++)
		give(0, a, 1 + i, 1000);
	burst_ends(0);
	assert_int_equal(w_n_writes, 2);
	w_run(10);
	expect_packets(1, 1, 100, 1000);
}

// The peer takes nothing for a while: the data plane is told to hold, and nothing is lost.
static void a_peer_that_does_not_read_holds_its_hop(void **state)
{
	const unsigned n = 100;

	(void)state;
	link_up();
	nodes[1].dp.down_full = true;
	for (unsigned i = 0; i < n; i++) {
		give(0, a, 1 + i, 4000);
		burst_ends(0);
		w_run(1);
	}
	assert_true(w_hop_of(0, a)->held);
	assert_int_equal(w_hop_of(0, a)->n_holds, 1);
	assert_int_equal(nodes[1].dp.carried_len, 0);
	nodes[1].dp.down_full = false;
	w_room(1);
	w_run(10);
	assert_false(w_hop_of(0, a)->held);
	expect_packets(1, 1, n, 4000);
	assert_int_equal(stats_of(0).carried_holds, 1);
	both_up(a, b);
}

static void a_hold_that_found_no_room_is_told_later(void **state)
{
	(void)state;
	link_up();
	nodes[1].dp.down_full = nodes[0].dp.full = true;
	for (unsigned i = 0; i < 100; i++)
		give(0, a, 1 + i, 4000);
	burst_ends(0);
	w_run(1);
	assert_false(w_hop_of(0, a)->held);
	w_room(0);
	w_run(1);
	assert_true(w_hop_of(0, a)->held);
}

// Its first packets may be there before the answer to HOP_ADD.
static void a_hold_is_told_of_what_came_before_the_hop(void **state)
{
	(void)state;
	listens(1);
	a = stcp(0, 1, true);
	b = stcp(1, 0, false);
	hop_is_asked_for(0);
	nodes[1].dp.down_full = true;
	for (unsigned i = 0; i < 100; i++)
		give(0, a, 1 + i, 4000);
	burst_ends(0);
	assert_false(transport_is_up(a));
	w_run(10);
	both_up(a, b);
	assert_true(w_hop_of(0, a)->held);
	nodes[1].dp.down_full = false;
	w_room(1);
	w_run(10);
	assert_false(w_hop_of(0, a)->held);
	expect_packets(1, 1, 100, 4000);
}

// ---- routes that have to wait ----

static void waits(unsigned i, struct transport *t, uint32_t id, uint8_t paused)
{
	struct evt_route_pause e = {
		.h.type = EVT_ROUTE_PAUSE, .id = id, .paused = paused, .hop = transport_hop(t, 0)};

	W_EACH(&nodes[i].dp, on_route_pause, &e);
}

static unsigned came(unsigned i)
{
	w_run(10);
	return (unsigned)(nodes[i].dp.carried_len / (ROUTE_HDR_LEN + 10));
}

static void send_one(uint32_t id)
{
	give(0, a, id, 10);
	burst_ends(0);
}

static void nothing_is_read_while_a_route_waits(void **state)
{
	struct evt_rule gone = {.h.type = EVT_RULE_GONE, .id = 7};

	(void)state;
	link_up();
	gone.in_tp = transport_tp(b);
	waits(1, b, 7, 1);
	waits(1, b, 9, 1);
	waits(1, b, 9, 1);
	send_one(7);
	assert_int_equal(came(1), 0);
	waits(1, b, 9, 0);
	assert_int_equal(came(1), 0);
	waits(1, b, 7, 0);
	assert_int_equal(came(1), 1);
	waits(1, b, 7, 1);
	send_one(7);
	send_one(7);
	assert_int_equal(came(1), 1);
	W_EACH(&nodes[1].dp, on_rule_gone, &gone);
	assert_int_equal(came(1), 3);
	assert_int_equal(stats_of(1).carried_pauses, 4);
}

// A read brings far more small packets than a worker keeps: the data plane gets the time to say
// that it has enough.
static void a_flood_can_be_stopped_in_time(void **state)
{
	const unsigned n = 3000;

	(void)state;
	link_up();
	for (unsigned i = 0; i < n; i++)
		give(0, a, 7, 10);
	burst_ends(0);
	w_settle(); // all that comes in a turn of the loop
	assert_int_equal(nodes[1].dp.carried_len, 512 * (ROUTE_HDR_LEN + 10));
	waits(1, b, 7, 1);
	assert_int_equal(came(1), 512);
	waits(1, b, 7, 0);
	assert_int_equal(came(1), n);
}

// Events were lost: a dump says which of them wait.
static void pauses_are_mended_by_a_dump(void **state)
{
	struct evt_rule r = {
		.h.type = EVT_RULE, .id = 8, .type = RULE_INTERMEDIARY, .flags = RULE_PAUSED};

	(void)state;
	link_up();
	r.in_tp = transport_tp(b);
	waits(1, b, 7, 1);
	W_EACH(&nodes[1].dp, on_sync_begin, DP_SYNC_OVERFLOW);
	w_evt_hop(&nodes[1].dp, w_hop_of(1, b));
	W_EACH(&nodes[1].dp, on_rule, &r);
	W_EACH(&nodes[1].dp, on_synced, DP_SYNC_OVERFLOW);
	both_up(a, b);
	send_one(7);
	assert_int_equal(came(1), 0);
	waits(1, b, 8, 0);
	assert_int_equal(came(1), 1);
	r.id = 9;
	W_EACH(&nodes[1].dp, on_rule, &r); // somebody lists rules: no news
	send_one(7);
	assert_int_equal(came(1), 2);
}

static void a_link_that_ended_waits_for_nobody(void **state)
{
	(void)state;
	link_up();
	waits(1, b, 7, 1);
	w_conns_break(0, 1);
	w_run(10000);
	both_up(a, b);
	send_one(7);
	assert_int_equal(came(1), 1);
}

// The next link has the handle of the one before: what was said of that one is not meant for it.
static void a_pause_of_the_link_before_holds_up_nobody(void **state)
{
	(void)state;
	link_up();
	w_conns_break(0, 1);
	w_run(0);
	hop_is_asked_for(1);
	waits(1, b, 7, 1);
	w_run(10);
	both_up(a, b);
	send_one(7);
	assert_int_equal(came(1), 1);
}

static void packets_for_a_link_that_is_gone_are_counted(void **state)
{
	uint32_t hop;

	(void)state;
	link_up();
	hop = transport_hop(a, 0);
	w_conns_break(0, 1);
	w_run(0);
	assert_int_equal(transport_hop(a, 0), hop);
	send_one(7);
	assert_int_equal(stats_of(0).drop_carried_late, 1);
}

// ---- the data plane is busy ----

// Whatever the data plane is busy with: a connection that both ends settled is not thrown away.
static void a_link_waits_until_there_is_room_for_its_hop(void **state)
{
	(void)state;
	listens(1);
	a = stcp(0, 1, true);
	b = stcp(1, 0, false);
	nodes[0].dp.refuse = -EAGAIN; // its worker's queue is full, or the old hop is still going
	nodes[1].dp.full = true; // its ring is
	while (w_conns_between(0, 1) == 0)
		w_run(1);
	w_run(1);
	assert_int_equal(nodes[0].dp.refuse, 0);
	assert_false(transport_is_up(a));
	assert_false(transport_is_up(b));
	w_run(50);
	assert_true(transport_is_up(a));
	send_one(7);
	w_run(1000);
	assert_false(transport_is_up(b));
	nodes[1].dp.full = false;
	w_run(10);
	both_up(a, b);
	assert_int_equal(w_n_dials, 1);
	assert_int_equal(came(1), 1);
}

// The hop of the link before could not be deleted yet: its end is told first.
static void a_hop_waits_for_the_end_of_the_one_before(void **state)
{
	(void)state;
	link_up();
	nodes[1].dp.full = true;
	w_conns_break(0, 1);
	w_run(10000);
	assert_true(transport_is_up(a));
	assert_false(transport_is_up(b));
	w_room(1);
	w_run(10);
	both_up(a, b);
	assert_int_equal(w_n_dials, 2);
}

// One that we believed gone: it ends, and the next link finds its place free.
static void a_hop_that_is_there_already_is_ended(void **state)
{
	(void)state;
	listens(1);
	a = stcp(0, 1, true);
	b = stcp(1, 0, false);
	nodes[0].dp.hops[5] = (struct w_hop){.live = true, .add.hop = transport_hop(a, 0)};
	w_run(6000);
	assert_false(nodes[0].dp.hops[5].live);
	assert_string_equal(info_of(a).why, "the data plane has no room for it");
	w_run(10000);
	both_up(a, b);
}

static void a_command_may_be_answered_after_everything_is_gone(void **state)
{
	(void)state;
	listens(1);
	a = stcp(0, 1, true);
	b = stcp(1, 0, false);
	hop_is_asked_for(0);
	transport_mgr_free(nodes[0].m); // HOP_ADD is under way
	nodes[0].m = NULL;
	w_run(10);
	assert_false(transport_is_up(b));
}

static void a_hold_may_be_answered_after_everything_is_gone(void **state)
{
	(void)state;
	link_up();
	nodes[1].dp.down_full = true;
	for (unsigned i = 0; i < 100; i++)
		give(0, a, 1 + i, 4000);
	burst_ends(0);
	assert_int_equal(stats_of(0).carried_holds, 1);
	transport_mgr_free(nodes[0].m); // HOP_HOLD is under way
	nodes[0].m = NULL;
	w_run(10);
}

// ---- the link's own packets ----

// A control packet as if node 0's peer program had written it.
static void control(uint8_t type, const void *payload, size_t len)
{
	static uint8_t buf[sizeof(struct msg_route) + 256] __attribute__((aligned(8)));
	struct msg_route *m = (struct msg_route *)buf;

	*m = (struct msg_route){.h.type = UP_CARRIED, .hop = transport_hop(a, 0)};
	route_hdr_put(m->bytes, type, 0, (uint16_t)len);
	memcpy(m->bytes + ROUTE_HDR_LEN, payload, len);
	W_EACH(&nodes[0].dp, on_carried, 0, m, ROUTE_HDR_LEN + len);
	burst_ends(0);
	w_run(10);
}

static void pings_go_to_those_that_ping(void **state)
{
	(void)state;
	link_up();
	w_run(120000);
	assert_int_equal(info_of(b).rtt_us, 0);
	assert_int_equal(stats_of(0).drop_carried_control + stats_of(1).drop_carried_control, 0);
	control(ROUTE_TP_PING, "12345678", 8);
	assert_int_equal(nodes[1].dp.carried_len, 0); // they are no route's
	w_wall_off -= 5000; // 5 us pass between b's clock and its echo
	w_run(20000);
	assert_int_equal(stats_of(1).drop_carried_control, 0);
	// b pings since it was pinged, and so a has begun to, too
	both_up(a, b);
}

static void a_pong_that_answers_nothing_says_nothing(void **state)
{
	static const uint8_t least[8] = {0x80}, other[8] = {0x18};

	(void)state;
	link_up();
	control(ROUTE_TP_PING, "12345678", 8);
	w_run(40000);
	assert_int_equal(info_of(b).rtt_us, 1); // that of this world
	w_wall_off += 1000000;
	control(ROUTE_TP_PONG, least, sizeof(least));
	control(ROUTE_TP_PONG, other, sizeof(other));
	assert_int_equal(info_of(b).rtt_us, 1);
}

static void what_is_not_served_is_counted_and_streams_are_refused(void **state)
{
	uint8_t syn[42] = {[7] = 3, [41] = 1};

	(void)state;
	link_up();
	control(ROUTE_CASCADE_SETUP, "x", 1);
	assert_int_equal(stats_of(1).drop_carried_control, 1);
	control(ROUTE_APP_DIRECT, syn, sizeof(syn));
	// answered with a FIN, which node 0 serves no more than we do
	assert_int_equal(stats_of(1).drop_carried_control, 1);
	assert_int_equal(stats_of(0).drop_carried_control, 1);
	control(ROUTE_APP_DIRECT, syn, 20);
	assert_int_equal(stats_of(1).drop_carried_control, 2);
	both_up(a, b);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, w_setup, w_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(comes_up_when_one_dials),
		T(a_peer_may_have_one_of_each_type),
		T(both_dialing_makes_one_link),
		T(dials_that_cross_are_not_abandoned),
		T(a_responder_registers_before_it_answers),
		T(a_dialer_that_hangs_up_meanwhile_is_no_harm),
		T(is_dialed_again_not_before_three_seconds_and_by_one_side),
		T(its_hop_ends_with_the_connection),
		T(comes_back_after_the_control_plane_was_killed),
		T(ends_with_the_data_plane_and_comes_back_with_it),
		T(a_peer_that_is_not_there_is_tried_slower_and_slower),
		T(a_silent_peer_is_given_up),
		T(one_that_was_removed_and_added_waits_too),
		T(a_hop_that_the_data_plane_refuses_ends_the_link),
		T(a_link_waits_until_there_is_room_for_its_hop),
		T(a_hop_waits_for_the_end_of_the_one_before),
		T(a_hop_that_is_there_already_is_ended),
		T(a_command_may_be_answered_after_everything_is_gone),
		T(a_hold_may_be_answered_after_everything_is_gone),
		T(packets_pass_whole_and_in_order),
		T(a_burst_goes_in_few_writes),
		T(a_peer_that_does_not_read_holds_its_hop),
		T(a_hold_that_found_no_room_is_told_later),
		T(a_hold_is_told_of_what_came_before_the_hop),
		T(nothing_is_read_while_a_route_waits),
		T(a_flood_can_be_stopped_in_time),
		T(pauses_are_mended_by_a_dump),
		T(a_link_that_ended_waits_for_nobody),
		T(a_pause_of_the_link_before_holds_up_nobody),
		T(packets_for_a_link_that_is_gone_are_counted),
		T(pings_go_to_those_that_ping),
		T(a_pong_that_answers_nothing_says_nothing),
		T(what_is_not_served_is_counted_and_streams_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
