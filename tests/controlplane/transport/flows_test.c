// Transports of several flows: how many there are, when they are up, and that handles, keys and
// ends are those of all of them. The edges are in world.h.
#include "tests/controlplane/transport/world.h"

static struct transport_flow_info flow_info(struct transport *t, unsigned nr)
{
	struct transport_flow_info f;

	assert_true(transport_flow_get(t, nr, &f));
	return f;
}

static struct w_hop *hop_of_flow(unsigned i, struct transport *t, unsigned nr)
{
	return w_hop_find(&nodes[i].dp, flow_info(t, nr).hop);
}

static unsigned n_hops(unsigned i)
{
	unsigned n = 0;

	for (unsigned k = 0; k < HOPS; k++)
		n += nodes[i].dp.hops[k].live;
	return n;
}

// n flows of both, with hops that belong together.
static void linked(unsigned i, struct transport *a, unsigned j, struct transport *b, unsigned n)
{
	both_up(a, b);
	assert_int_equal(info_of(a).n_flows, n);
	assert_int_equal(info_of(b).n_flows, n);
	assert_int_equal(n_hops(i), n);
	assert_int_equal(n_hops(j), n);
	for (unsigned nr = 1; nr <= n; nr++) {
		const struct w_hop *x = hop_of_flow(i, a, nr), *y = hop_of_flow(j, b, nr);

		assert_non_null(x);
		assert_non_null(y);
		assert_int_equal(x->add.flow, nr);
		assert_int_equal(x->n_flows, n);
		assert_int_equal(y->n_flows, n);
		assert_int_equal(x->add.local_port, PORT + nr - 1);
		assert_int_equal(x->add.peer.port, PORT + nr - 1);
		assert_int_equal(y->add.peer.port, PORT + nr - 1);
		assert_int_equal(x->add.tp, transport_tp(a));
		assert_int_equal(x->instance_remote, y->instance_local);
		assert_int_equal(y->instance_remote, x->instance_local);
		assert_int_equal(w_send_key(x)->k.tx_index, w_send_key(y)->k.rx_index);
		assert_memory_equal(w_send_key(x)->k.tx_key, w_send_key(y)->k.rx_key, 32);
		assert_ptr_equal(transport_mgr_find_hop(nodes[i].m, x->add.hop), a);
	}
	for (uint32_t id = 1; id < 50; id++)
		assert_int_equal(transport_hop(a, id), flow_info(a, rail_flow_of(id, n)).hop);
	assert_false(transport_flow_get(a, n + 1, &(struct transport_flow_info){0}));
}

static void there_are_as_many_as_both_want(void **state)
{
	static const uint8_t rows[][3] = {{1, 4, 1}, {4, 1, 1}, {4, 4, 4}, {3, 8, 3}, {32, 32, 8}};

	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		struct transport *a = w_add_flows(0, 1, true, rows[k][0]),
				 *b = w_add_flows(1, 0, false, rows[k][1]);

		w_run(10);
		linked(0, a, 1, b, rows[k][2]); // never more than there are UDP ports
		w_teardown(state);
		w_setup(state);
	}
}

static void one_handshake_serves_all_when_both_dial(void **state)
{
	struct transport *a = w_add_flows(0, 1, true, 4), *b = w_add_flows(1, 0, true, 4);

	(void)state;
	w_run(100);
	linked(0, a, 1, b, 4);
	assert_int_equal(w_n_responses[0] + w_n_responses[1], 1);
}

static void sisters_go_to_the_next_workers(void **state)
{
	struct transport *a, *b;

	(void)state;
	nodes[0].dp.info.n_workers = 3;
	w_queues = 3;
	w_hs_worker = 1;
	a = w_add_flows(0, 1, true, 4);
	b = w_add_flows(1, 0, false, 4);
	w_run(10);
	both_up(a, b);
	for (unsigned nr = 1; nr <= 4; nr++)
		assert_int_equal(hop_of_flow(0, a, nr)->add.owner, (1 + nr - 1) % 3);
}

static void one_rekey_changes_the_keys_of_all(void **state)
{
	struct transport *a = w_add_flows(0, 1, true, 4), *b = w_add_flows(1, 0, false, 4);
	uint32_t due[4];

	(void)state;
	w_run(10);
	linked(0, a, 1, b, 4);
	for (unsigned i = 0; i < 4; i++)
		due[i] = w_send_key(hop_of_flow(0, a, i + 1))->k.rx_index;
	for (unsigned i = 0; i < 4; i++) { // the last ones are told when it is done
		w_note(&nodes[0].dp, EVT_HOP_REKEY_DUE, flow_info(a, i + 1).hop, due[i], 0);
		if (i == 1)
			w_run(10);
	}
	w_run(10);
	linked(0, a, 1, b, 4);
	assert_int_equal(info_of(a).n_rekeys, 1);
	assert_int_equal(info_of(b).n_rekeys, 1);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_not_equal(w_send_key(hop_of_flow(0, a, i + 1))->k.rx_index, due[i]);
		assert_int_equal(hop_of_flow(0, a, i + 1)->n_rekeys, 1);
		assert_int_equal(hop_of_flow(0, a, i + 1)->n_resets, 0);
		assert_int_equal(hop_of_flow(1, b, i + 1)->n_resets, 0);
	}
}

static unsigned lose_nth;

// One probe of the initiator: that of flow lose_nth.
static bool lose_a_probe(unsigned from, unsigned to, const uint8_t *bytes, size_t len)
{
	(void)to, (void)bytes;
	return from == 0 && len == 0 && lose_nth > 0 && --lose_nth == 0;
}

static void both_ends_are_up_when_they_heard_every_flow(void **state)
{
	struct transport *a, *b;

	(void)state;
	lose_nth = 3;
	w_lose = lose_a_probe;
	a = w_add_flows(0, 1, true, 4);
	b = w_add_flows(1, 0, false, 4);
	w_run(10);
	assert_false(transport_is_up(a));
	assert_false(transport_is_up(b));
	assert_non_null(strstr(info_of(a).why, "flow 3"));
	assert_non_null(strstr(info_of(b).why, "flow 3"));
	assert_int_equal(nodes[1].n_up, 0);
	// sent again, as the data plane would
	w_send_sealed(&nodes[0].dp, hop_of_flow(0, a, 3), SEALED_PROBE, NULL, 0);
	w_run(10);
	linked(0, a, 1, b, 4);
	assert_int_equal(nodes[0].n_up, 1);
	assert_int_equal(nodes[1].n_up, 1);
}

static bool lose_more(unsigned from, unsigned to, const uint8_t *bytes, size_t len)
{
	return lose_a_probe(from, to, bytes, len);
}

static void a_flow_that_does_not_get_through_is_named(void **state)
{
	struct transport *a, *b;

	(void)state;
	lose_nth = 2;
	w_lose = lose_more;
	a = w_add_flows(0, 1, true, 3);
	b = w_add_flows(1, 0, false, 3);
	w_run(20000);
	assert_int_equal(info_of(b).state, TRANSPORT_DEAD);
	assert_non_null(strstr(info_of(b).why, "flow 2"));
	assert_non_null(strstr(info_of(b).why, "7781"));
	assert_true(flow_info(b, 2).dead);
	assert_false(flow_info(b, 1).dead);
	assert_int_equal(nodes[0].n_up, 0);
	w_note(&nodes[0].dp, EVT_HOP_DEAD, flow_info(a, 2).hop, 0, 0);
	assert_int_equal(info_of(a).state, TRANSPORT_RESOLVING); // dials
	w_run(5000);
	linked(0, a, 1, b, 3);
}

static void a_dead_flow_is_a_dead_transport_until_all_are_heard(void **state)
{
	struct transport *a = w_add_flows(0, 1, true, 3), *b = w_add_flows(1, 0, false, 3);

	(void)state;
	w_run(10);
	linked(0, a, 1, b, 3);
	w_note(&nodes[1].dp, EVT_HOP_DEAD, flow_info(b, 2).hop, 0, 0);
	w_note(&nodes[1].dp, EVT_HOP_DEAD, flow_info(b, 3).hop, 0, 0);
	assert_int_equal(info_of(b).state, TRANSPORT_DEAD);
	w_note(&nodes[1].dp, EVT_HOP_KEYED, flow_info(b, 2).hop,
		w_send_key(hop_of_flow(1, b, 2))->k.rx_index, 0);
	assert_int_equal(info_of(b).state, TRANSPORT_DEAD);
	w_note(&nodes[1].dp, EVT_HOP_KEYED, flow_info(b, 3).hop,
		w_send_key(hop_of_flow(1, b, 3))->k.rx_index, 0);
	linked(0, a, 1, b, 3);
	w_note(&nodes[0].dp, EVT_HOP_DEAD, flow_info(a, 2).hop, 0, 0);
	w_run(5000); // by a handshake: all flows, and nothing is lost
	linked(0, a, 1, b, 3);
	for (unsigned nr = 1; nr <= 3; nr++)
		assert_int_equal(hop_of_flow(0, a, nr)->n_resets, 0);
}

static void a_closed_flow_ends_the_others_and_all_begin_anew(void **state)
{
	struct transport *a = w_add_flows(0, 1, true, 3), *b = w_add_flows(1, 0, false, 3);
	uint64_t instance;

	(void)state;
	w_run(10);
	linked(0, a, 1, b, 3);
	instance = hop_of_flow(0, a, 1)->instance_local;
	w_note(&nodes[0].dp, EVT_HOP_CLOSED, flow_info(a, 2).hop, 0, 0);
	assert_int_equal(info_of(a).state, TRANSPORT_DOWN);
	assert_int_equal(n_hops(0), 0);
	assert_int_equal(nodes[0].dp.del.send_close, 1);
	w_note(&nodes[0].dp, EVT_HOP_CLOSED, flow_info(a, 1).hop, 0, 0); // too late to matter
	w_run(5000);
	linked(0, a, 1, b, 3);
	assert_int_not_equal(hop_of_flow(0, a, 1)->instance_local, instance);
	for (unsigned nr = 1; nr <= 3; nr++)
		assert_int_equal(hop_of_flow(1, b, nr)->n_resets, 1);
}

// The peer comes back with another configuration.
static void another_number_resets_all_and_aims_anew(void **state)
{
	static const uint8_t rows[][2] = {{4, 2}, {2, 4}, {1, 3}, {3, 1}};

	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		struct transport *a = w_add_flows(0, 1, true, 8),
				 *b = w_add_flows(1, 0, false, rows[k][0]);
		unsigned told, kept = rows[k][0] < rows[k][1] ? rows[k][0] : rows[k][1];

		w_run(10);
		linked(0, a, 1, b, rows[k][0]);
		told = nodes[0].n_aims;
		transport_mgr_del(nodes[1].m, "to-0");
		w_run(10);
		b = w_add_flows(1, 0, false, rows[k][1]);
		w_note(&nodes[0].dp, EVT_HOP_DEAD, flow_info(a, 1).hop, 0, 0);
		w_run(5000);
		linked(0, a, 1, b, rows[k][1]);
		for (unsigned nr = 1; nr <= kept; nr++)
			assert_int_equal(hop_of_flow(0, a, nr)->n_resets, 1);
		assert_int_equal(nodes[0].n_aims, told + 1);
		w_teardown(state);
		w_setup(state);
	}
}

// The ordinary way: it says CLOSE, for one of the flows or for all. With one flow the hop stays.
static void another_number_after_a_close_aims_anew(void **state)
{
	static const uint8_t rows[][3] = {
		{4, 2, 1}, {2, 4, 1}, {3, 1, 1}, {1, 3, 1}, {8, 5, 5}, {3, 3, 1}};

	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		unsigned was = rows[k][0], is = rows[k][1], n_in_dp, told;
		struct transport *a = w_add_flows(0, 1, true, 8),
				 *b = w_add_flows(1, 0, false, rows[k][0]);

		w_run(10);
		linked(0, a, 1, b, was);
		told = nodes[0].n_aims;
		n_in_dp = nodes[0].n_in_dp;
		transport_mgr_del(nodes[1].m, "to-0");
		w_run(10);
		b = w_add_flows(1, 0, false, rows[k][1]);
		for (unsigned nr = 1; nr <= (was < rows[k][2] ? was : rows[k][2]); nr++)
			w_note(&nodes[0].dp, EVT_HOP_CLOSED, flow_info(a, nr).hop, 0, 0);
		assert_int_equal(info_of(a).state, TRANSPORT_DOWN);
		w_run(5000);
		linked(0, a, 1, b, is);
		assert_int_equal(nodes[0].n_in_dp, n_in_dp + (was > 1));
		assert_int_equal(nodes[0].n_aims, told + (was != is));
		w_teardown(state);
		w_setup(state);
	}
}

// The new keys find no place in the data plane at first: it is told when they do.
static void a_number_that_is_refused_at_first_aims_anew_later(void **state)
{
	struct transport *a = w_add_flows(0, 1, true, 8), *b = w_add_flows(1, 0, false, 4);
	unsigned told;

	w_run(10);
	linked(0, a, 1, b, 4);
	told = nodes[0].n_aims;
	transport_mgr_del(nodes[1].m, "to-0");
	w_run(10);
	b = w_add_flows(1, 0, false, 2);
	w_note(&nodes[0].dp, EVT_HOP_CLOSED, flow_info(a, 1).hop, 0, 0);
	nodes[0].dp.refuse = -ENOMEM;
	w_run(10000);
	linked(0, a, 1, b, 2);
	assert_int_equal(nodes[0].dp.refuse, 0);
	assert_int_equal(nodes[0].n_aims, told + 1);
}

static void a_link_without_one_of_its_flows_is_none(void **state)
{
	for (unsigned end = 0; end < 2; end++) {
		struct transport *a, *b;

		nodes[end].dp.fail_nth = 2;
		a = w_add_flows(0, 1, true, 3);
		b = w_add_flows(1, 0, false, 3);
		w_run(10);
		assert_int_equal(nodes[end].dp.fail_nth, 0);
		assert_int_equal(nodes[end].n_in_dp, 0);
		assert_false(transport_is_up(end == 0 ? a : b));
		w_run(30000);
		linked(0, a, 1, b, 3);
		assert_int_equal(nodes[end].n_in_dp, 1);
		w_teardown(state);
		w_setup(state);
	}
}

// Our own handshake of before may not tell what was lost: the other's decides about each flow.
static void a_flow_that_missed_a_reset_gets_it_with_the_next_handshake(void **state)
{
	struct transport *a = w_add_flows(0, 1, true, 2), *b = w_add_flows(1, 0, false, 2);

	(void)state;
	w_run(10);
	linked(0, a, 1, b, 2);
	w_detach(0, true); // a new data plane at the dialing end
	w_lose = lose_a_probe;
	lose_nth = 2;
	w_attach(0, DP_SYNC_FRESH);
	w_run(10);
	assert_int_equal(hop_of_flow(1, b, 1)->n_resets, 1);
	w_note(&nodes[0].dp, EVT_HOP_DEAD, flow_info(a, 2).hop, 0, 0);
	w_run(5000);
	linked(0, a, 1, b, 2);
	assert_int_equal(hop_of_flow(1, b, 1)->n_resets, 1);
	assert_in_range(hop_of_flow(1, b, 2)->n_resets, 1, 2);
}

static void a_new_control_plane_takes_over_all_flows(void **state)
{
	struct transport *a = w_add_flows(0, 1, true, 4), *b = w_add_flows(1, 0, false, 4);
	uint32_t hop[4];
	unsigned aims;

	(void)state;
	w_run(10);
	linked(0, a, 1, b, 4);
	for (unsigned i = 0; i < 4; i++)
		hop[i] = flow_info(a, i + 1).hop;
	w_n_dgrams = 0;
	aims = nodes[0].n_aims;
	w_mgr_stop(0);
	w_mgr_start(0);
	a = w_add_flows(0, 1, true, 4);
	w_attach(0, DP_SYNC_ADOPT);
	w_run(10);
	linked(0, a, 1, b, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(flow_info(a, i + 1).hop, hop[i]);
	assert_int_equal(w_n_dgrams, 0);
	assert_int_equal(nodes[0].n_aims, aims + 1); // the one before may not have got to it
	// and can be re-keyed without a reset
	w_note(&nodes[0].dp, EVT_HOP_REKEY_DUE, hop[2], 0, 0);
	w_run(10);
	linked(0, a, 1, b, 4);
	assert_int_equal(info_of(a).n_rekeys, 1);
	assert_int_equal(hop_of_flow(1, b, 4)->n_resets, 0);
}

static void what_is_not_whole_or_too_much_is_not_taken_over(void **state)
{
	for (unsigned k = 0; k < 2; k++) {
		struct transport *a = w_add_flows(0, 1, true, 4), *b = w_add_flows(1, 0, false, 4);
		unsigned want = k == 0 ? 4 : 2;

		w_run(10);
		linked(0, a, 1, b, 4);
		if (k == 0) // its control plane died while it made them
			hop_of_flow(0, a, 3)->live = false;
		w_mgr_stop(0);
		w_mgr_start(0);
		a = w_add_flows(0, 1, true, (uint8_t)want);
		w_attach(0, DP_SYNC_ADOPT);
		w_run(5000);
		linked(0, a, 1, b, want);
		w_teardown(state);
		w_setup(state);
	}
}

static void lost_events_of_any_flow_are_made_up_for(void **state)
{
	struct transport *a = w_add_flows(0, 1, true, 3), *b = w_add_flows(1, 0, false, 3);

	(void)state;
	w_run(10);
	linked(0, a, 1, b, 3);
	w_attach(0, DP_SYNC_OVERFLOW);
	w_run(10);
	linked(0, a, 1, b, 3);
	hop_of_flow(0, a, 2)->live = false;
	w_attach(0, DP_SYNC_OVERFLOW);
	assert_false(transport_is_up(a));
	w_run(5000);
	linked(0, a, 1, b, 3);
}

static void deleting_ends_all_and_frees_their_handles(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 300; i++) { // more than there are handles
		struct transport *a = w_add_flows(0, 1, true, 8), *b = w_add_flows(1, 0, false, 8);

		w_run(10);
		both_up(a, b);
		assert_int_equal(n_hops(0), 8);
		transport_mgr_del(nodes[0].m, "to-1");
		transport_mgr_del(nodes[1].m, "to-0");
		w_run(10);
		assert_int_equal(n_hops(0), 0);
		assert_int_equal(n_hops(1), 0);
		w_run(60000);
	}
}

static void with_few_handles_left_there_are_fewer_flows(void **state)
{
	struct transport *a, *b;

	(void)state;
	w_detach(0, true);
	nodes[0].dp.info.hop_max = 4; // index 0 is nobody's, or somebody's
	w_attach(0, DP_SYNC_FRESH);
	a = w_add_flows(0, 1, true, 8);
	b = w_add_flows(1, 0, false, 8);
	w_run(10);
	both_up(a, b);
	assert_in_range(info_of(a).n_flows, 2, 4);
	linked(0, a, 1, b, info_of(a).n_flows);
}

static void one_flow_that_moves_is_followed_alone(void **state)
{
	struct transport *a = w_add_flows(0, 1, true, 2), *b = w_add_flows(1, 0, false, 2);
	struct evt_hop_note e = {.h.type = EVT_HOP_ROAMED, .peer = w_addr(0)};

	(void)state;
	w_run(10);
	linked(0, a, 1, b, 2);
	e.hop = flow_info(b, 2).hop;
	e.peer.port = 40000;
	W_EACH(&nodes[1].dp, on_hop_note, &e);
	w_run(10);
	assert_int_equal(flow_info(b, 2).peer.port, 40000);
	assert_int_equal(hop_of_flow(1, b, 2)->add.peer.port, 40000);
	assert_int_equal(hop_of_flow(1, b, 2)->n_roamed, 1);
	assert_int_equal(flow_info(b, 1).peer.port, PORT);
	assert_int_equal(hop_of_flow(1, b, 1)->n_paths, 0);
}

static void ends_that_find_no_room_are_told_later(void **state)
{
	struct transport *a = w_add_flows(0, 1, true, 4), *b = w_add_flows(1, 0, false, 4);

	(void)state;
	w_run(10);
	linked(0, a, 1, b, 4);
	nodes[0].dp.full = true;
	transport_mgr_del(nodes[0].m, "to-1");
	w_run(10);
	assert_int_equal(n_hops(0), 4);
	w_room(0);
	w_run(10);
	assert_int_equal(n_hops(0), 0);
}

static void an_accepted_peer_gets_no_more_flows_than_the_node_allows(void **state)
{
	struct transport *a, *b;

	(void)state;
	transport_mgr_policy(nodes[1].m, true, NULL);
	a = w_add_flows(0, 1, true, 8);
	w_run(10);
	assert_true(transport_is_up(a));
	assert_int_equal(info_of(a).n_flows, 1); // world.h says nothing about flows
	assert_int_equal(n_hops(1), 1);
	b = transport_mgr_find_hop(nodes[1].m, nodes[1].dp.hops[0].add.hop);
	linked(0, a, 1, b, 1);
}

static void restart_that_accepts(unsigned i, uint8_t flows, uint8_t congestion, enum dp_sync why)
{
	w_flows = flows;
	w_congestion = congestion;
	w_mgr_stop(i);
	w_mgr_start(i);
	transport_mgr_policy(nodes[i].m, true, NULL);
	w_attach(i, why);
	w_run(10);
}

static struct transport *accepted(unsigned i)
{
	for (unsigned k = 0; k < HOPS; k++)
		if (nodes[i].dp.hops[k].live)
			return transport_mgr_find_hop(nodes[i].m, nodes[i].dp.hops[k].add.hop);
	return NULL;
}

// What the link was like when it was taken over does not stick.
static void an_accepted_peer_that_is_taken_over_gets_what_the_node_allows(void **state)
{
	struct transport *a;

	(void)state;
	restart_that_accepts(1, 4, HOP_CC_BBR, DP_SYNC_FRESH);
	a = w_add_flows(0, 1, true, 2);
	w_run(10);
	linked(0, a, 1, accepted(1), 2);
	w_n_dgrams = 0;
	restart_that_accepts(1, 4, HOP_CC_BBR, DP_SYNC_ADOPT);
	linked(0, a, 1, accepted(1), 2);
	assert_int_equal(w_n_dgrams, 0);
	transport_mgr_del(nodes[0].m, "to-1");
	a = w_add_flows(0, 1, true, 8);
	w_run(5000);
	linked(0, a, 1, accepted(1), 4);
	// It was configured anew meanwhile: what does not fit is closed, and the peer comes again.
	restart_that_accepts(1, 4, HOP_CC_CUBIC, DP_SYNC_ADOPT);
	assert_null(accepted(1));
	w_note(&nodes[0].dp, EVT_HOP_CLOSED, flow_info(a, 1).hop, 0, 0);
	w_run(5000);
	linked(0, a, 1, accepted(1), 4);
	assert_int_equal(info_of(accepted(1)).congestion, HOP_CC_CUBIC);
}

// ---- moves ----

static int moved_status;
static unsigned n_answers;

static void on_moved(void *arg, int status)
{
	(void)arg;
	moved_status = status;
	n_answers++;
}

static int move(struct transport *t, unsigned flow, unsigned worker)
{
	return transport_mgr_move(nodes[0].m, t, flow, worker, on_moved, NULL);
}

// Four flows of node 0, which has three workers, that begin at worker 0.
static struct transport *four(void)
{
	struct transport *a, *b;

	nodes[0].dp.info.n_workers = 3;
	w_queues = 3;
	a = w_add_flows(0, 1, true, 4);
	b = w_add_flows(1, 0, false, 4);
	w_run(10);
	both_up(a, b);
	assert_int_equal(move(a, 0, 0), 0);
	w_run(10);
	assert_int_equal(moved_status, 0);
	nodes[0].dp.n_moves = n_answers = 0;
	return a;
}

// Where the data plane has them, and where we think that they are.
static void owners(struct transport *t, const uint8_t want[4])
{
	for (unsigned nr = 1; nr <= 4; nr++) {
		assert_int_equal(hop_of_flow(0, t, nr)->add.owner, want[nr - 1]);
		assert_int_equal(flow_info(t, nr).owner, want[nr - 1]);
		assert_int_equal(transport_worker_of(t, flow_info(t, nr).hop), want[nr - 1]);
	}
	assert_int_equal(transport_worker_of(t, 0), want[0]); // none of its hops
}

static void one_flow_or_all_move(void **state)
{
	static const struct {
		unsigned flow, worker, n;
		uint8_t owners[4];
	} rows[] = {
		{0, 1, 4, {1, 2, 0, 1}},
		{3, 2, 1, {1, 2, 2, 1}},
		{4, 0, 1, {1, 2, 2, 0}},
		{1, 0, 1, {0, 2, 2, 0}},
		{0, 2, 4, {2, 0, 1, 2}},
		{0, 0, 4, {0, 1, 2, 0}},
	};
	struct transport *a = four();

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		nodes[0].dp.n_moves = n_answers = 0;
		moved_status = 1;
		assert_int_equal(move(a, rows[k].flow, rows[k].worker), 0);
		w_run(10);
		assert_int_equal(n_answers, 1);
		assert_int_equal(moved_status, 0);
		assert_int_equal(nodes[0].dp.n_moves, rows[k].n);
		owners(a, rows[k].owners);
	}
}

static unsigned lost_of_0;

static bool lose_of_0(unsigned from, unsigned to, const uint8_t *bytes, size_t len)
{
	(void)to, (void)bytes;
	lost_of_0 += from == 0 && len != 0;
	return from == 0 && len != 0;
}

// What lay in the ring of the worker before is lost. An init, or the answer to one, goes again when
// we know the new worker, not when time is out.
static void a_rekey_that_a_move_loses_goes_again_at_once(void **state)
{
	struct transport *a = four();

	(void)state;
	for (unsigned from = 0; from < 2; from++) {
		struct transport *t = from == 0 ? a : transport_mgr_find(nodes[1].m, "to-0");
		unsigned before = info_of(t).n_rekeys;

		lost_of_0 = 0;
		w_lose = lose_of_0;
		w_note(&nodes[from].dp, EVT_HOP_REKEY_DUE, transport_hop(t, 1), 0, 0);
		w_run(1);
		w_lose = NULL;
		assert_int_equal(lost_of_0, 1);
		assert_int_equal(info_of(t).n_rekeys, before);
		assert_int_equal(move(a, 1, 1 + from), 0);
		w_run(100);
		assert_int_equal(moved_status, 0);
		assert_int_equal(info_of(t).n_rekeys, before + 1);
		w_run(10000);
	}
}

static void a_flow_that_stays_is_told_and_keeps_no_other(void **state)
{
	struct transport *a = four();

	(void)state;
	nodes[0].dp.full_worker = 2 + 1;
	assert_int_equal(move(a, 0, 1), 0);
	w_run(10);
	assert_int_equal(n_answers, 1);
	assert_int_equal(moved_status, -ENOSPC);
	assert_int_equal(nodes[0].dp.n_moves, 4);
	owners(a, (const uint8_t[4]){1, 1, 0, 1});
}

static void moves_that_make_no_sense_are_refused(void **state)
{
	struct transport *a = four();

	(void)state;
	assert_int_equal(move(a, 0, 3), -EINVAL);
	assert_int_equal(move(a, 5, 0), -ERANGE);
	nodes[0].dp.full = true;
	assert_int_equal(move(a, 0, 1), -EAGAIN);
	w_room(0);
	w_run(10);
	assert_int_equal(n_answers, 0);
	owners(a, (const uint8_t[4]){0, 1, 2, 0});
}

static void a_move_ends_with_its_transport_and_with_the_data_plane(void **state)
{
	struct transport *a = four();

	(void)state;
	assert_int_equal(move(a, 0, 1), 0);
	transport_mgr_del(nodes[0].m, "to-1");
	w_run(10);
	assert_int_equal(n_answers, 1);
	assert_int_not_equal(moved_status, 0);
	w_teardown(state);
	w_setup(state);
	a = four();
	assert_int_equal(move(a, 0, 1), 0);
	w_cancel(0);
	assert_int_equal(n_answers, 1);
	assert_int_equal(moved_status, -ECONNRESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, w_setup, w_teardown)
		T(there_are_as_many_as_both_want),
		T(one_handshake_serves_all_when_both_dial),
		T(sisters_go_to_the_next_workers),
		T(one_rekey_changes_the_keys_of_all),
		T(both_ends_are_up_when_they_heard_every_flow),
		T(a_flow_that_does_not_get_through_is_named),
		T(a_dead_flow_is_a_dead_transport_until_all_are_heard),
		T(a_closed_flow_ends_the_others_and_all_begin_anew),
		T(another_number_resets_all_and_aims_anew),
		T(another_number_after_a_close_aims_anew),
		T(a_number_that_is_refused_at_first_aims_anew_later),
		T(a_link_without_one_of_its_flows_is_none),
		T(a_flow_that_missed_a_reset_gets_it_with_the_next_handshake),
		T(a_new_control_plane_takes_over_all_flows),
		T(what_is_not_whole_or_too_much_is_not_taken_over),
		T(lost_events_of_any_flow_are_made_up_for),
		T(deleting_ends_all_and_frees_their_handles),
		T(with_few_handles_left_there_are_fewer_flows),
		T(one_flow_that_moves_is_followed_alone),
		T(ends_that_find_no_room_are_told_later),
		T(an_accepted_peer_gets_no_more_flows_than_the_node_allows),
		T(an_accepted_peer_that_is_taken_over_gets_what_the_node_allows),
		T(one_flow_or_all_move),
		T(a_flow_that_stays_is_told_and_keeps_no_other),
		T(a_rekey_that_a_move_loses_goes_again_at_once),
		T(moves_that_make_no_sense_are_refused),
		T(a_move_ends_with_its_transport_and_with_the_data_plane),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
