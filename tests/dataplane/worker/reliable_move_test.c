// Hops of a chain change the worker while packets are everywhere.
#include "tests/dataplane/worker/chain.h"

// ---- hops change the worker while packets are everywhere ----

static void hops_move(struct chain *c, const uint8_t mode[PAIRS], unsigned workers, unsigned lose)
{
	struct node_conf conf = {
		.workers = workers, .cipher = AEAD_CHACHA20_POLY1305, .rel_bufs = 4096};

	chain_open(c, &conf, mode);
	c->lose = lose;
	c->moves = 700;
}

// A move takes some turns.
static void send_slowly(struct chain *c, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		send_packet(c, ROUTE_DATA, i, 700);
		if (i % 8 == 7)
			turn(c);
	}
}

static void hops_that_move_deliver_in_order(void **state)
{
	static const unsigned lose[] = {0, 30};
	struct chain c;

	for (unsigned i = 0; i < ARRAY_LEN(lose); i++) {
		hops_move(&c, reliable, 4, lose[i]);
		send_slowly(&c, 3000);
		UNTIL(&c, c.n_up == 3000);
		UNTIL(&c, held(&c) == 0);
		assert_true(c.n_moves > 20);
		assert_int_equal(c.n_refused, 0);
		assert_int_equal(node_counter(&c.n, W_drop_seal_freed), 0);
		assert_int_equal(node_counter(&c.n, W_drop_hop_gone), 0);
		chain_close(&c);
	}
}

static void parts_are_joined_by_a_hop_that_moves(void **state)
{
	struct chain c;

	hops_move(&c, reliable, 3, 20);
	for (uint32_t i = 0; i < 200; i++) {
		send_packet(&c, ROUTE_DATA, i, i % 3 == 0 ? 20000 : 100);
		turn(&c);
	}
	UNTIL(&c, c.n_up == 200);
	assert_true(c.n_moves > 10 && node_counter(&c.n, W_rel_joined) > 0);
	chain_close(&c);
}

// What waits for a control plane that does not read goes along, paused or not.
static void held_packets_go_with_their_hop(void **state)
{
	struct chain c;
	uint32_t sent = 0;

	hops_move(&c, reliable, 3, 0);
	c.deaf = true;
	while (c.n_paused == 0) {
		send_packet(&c, ROUTE_DATA, sent++, 1000);
		turn(&c);
		assert_true(sent < 100000);
	}
	for (unsigned i = 0; i < 2000; i++)
		turn(&c);
	assert_true(c.n_moves > 20);
	c.deaf = false;
	UNTIL(&c, c.n_up == sent);
	assert_true(c.n_resumed > 0);
	chain_close(&c);
}

// Nothing of datagram mode is lost, either; only its order is not promised.
static void datagrams_survive_the_move_of_their_hop(void **state)
{
	static const uint8_t plain[PAIRS] = {HOP_MODE_DATAGRAM, HOP_MODE_DATAGRAM};
	struct chain c;

	hops_move(&c, plain, 4, 0);
	c.steady = true;
	c.any_order = true;
	send_slowly(&c, 3000);
	UNTIL(&c, c.n_up == 3000);
	assert_true(c.n_moves > 20);
	chain_close(&c);
}

static void a_close_reaches_the_end_though_hops_move(void **state)
{
	struct chain c;

	hops_move(&c, reliable, 3, 30);
	send_slowly(&c, 1000);
	send_packet(&c, ROUTE_CLOSE, 0, 1);
	UNTIL(&c, c.got_close);
	assert_int_equal(c.n_up, 1000);
	UNTIL(&c, c.n_gone >= 2 && c.n.rules.n_retired == 0);
	assert_true(c.n_moves > 5);
	chain_close(&c);
}

// Flow nr of 2 of the transport that hop `of` belongs to.
static uint32_t add_sister(struct chain *c, unsigned of, unsigned nr)
{
	struct cmd_hop_add hop = {.hop = 2u << DPMSG_HANDLE_BITS | (HOPS + 1),
		.tp = c->tp[of],
		.owner = (uint8_t)(of % c->n.conf.workers),
		.flow = (uint8_t)nr,
		.n_flows = 2,
		.mode = HOP_MODE_RELIABLE,
		.window_log2 = 13,
		.instance_local = 1,
		.adj = 1u << DPMSG_HANDLE_BITS | 1,
		.local_port = NODE_UDP + 1,
		.payload_max = NODE_DGRAM_MAX,
		.path_mtu = UINT16_MAX,
		.peer.port = NODE_UDP + 1,
		.keys = {.rx_index = 0xabcd0077, .tx_index = 0xabcd0078, .cipher = AEAD_NONE}};
	uint16_t owner;

	memcpy(hop.peer.ip, node_ip, 16);
	assert_int_equal(hop_table_add(c->n.hops, &hop, clock_mono_ns(), &owner), 0);
	assert_int_equal(owner, hop.owner);
	for (unsigned i = 0; i < 100; i++)
		turn(c);
	return hop.hop;
}

// Worker that has the route which ends at C.
static unsigned end_owner(struct chain *c)
{
	return c->n.rules.slots[EDGE_OUT % IDX].route_owner - 1u;
}

// Packets that wait for the control plane go with the flow of their id and stay when one of its
// sisters goes, also while none came yet.
static void a_route_goes_with_its_own_flow(void **state)
{
	for (unsigned nr = 1; nr <= 2; nr++) {
		bool ours = rail_flow_of(EDGE_OUT, 2) == nr;
		uint16_t from, owner;
		struct chain c;
		uint32_t sister;
		int status, rc;

		hops_move(&c, reliable, 3, 0);
		c.moves = 0;
		sister = add_sister(&c, HOPS - 1, nr);
		assert_true(hop_route_ready(c.n.w[0], 0, EDGE_OUT % IDX, 0));
		assert_int_equal(end_owner(&c), 0);
		assert_int_equal(hop_table_move(c.n.hops, sister, 1), 0);
		while ((rc = hop_table_moved(c.n.hops, &status, &from, &owner)) == -EINPROGRESS)
			turn(&c);
		assert_int_equal(rc, 0);
		assert_int_equal(status, 0);
		assert_int_equal(owner, 1);
		assert_int_equal(end_owner(&c), ours ? 1 : 0);
		chain_close(&c);
	}
}

// With as few packets on their way as in reliable_test.c.
static void hops_move_between_threads(void **state)
{
	struct node_conf conf = {.workers = 4, .cipher = AEAD_NONE, .rel_bufs = 4096};
	static struct chain c;
	pthread_t t[NODE_WORKERS];
	uint32_t sent = 0;

#ifdef __SANITIZE_THREAD__
	skip(); // packets cross threads in DPDK's rings, whose order it does not see
#endif
	chain_open(&c, &conf, reliable);
	c.lose = 10;
	c.moves = 1000;
	for (unsigned i = 0; i < conf.workers; i++)
		assert_int_equal(pthread_create(&t[i], NULL, run, c.n.w[i]), 0);
	while ((c.n_up < 3000 || c.n_moves < 50) &&
		goes_on(&c, c.n_up + (c.n_up == 3000 ? c.n_moves : 0))) {
		if (sent < 3000 && sent - c.n_up < 200 && !c.edge_waits)
			send_packet(&c, ROUTE_DATA, sent++, 600);
		carry(&c);
		read_up(&c);
		main_turn(&c);
		if (sent % 8 == 0)
			nap_us(50);
	}
	c.moves = 0;
	while (c.moving && goes_on(&c, c.n_up))
		main_turn(&c);
	worker_stop(c.n.set);
	for (unsigned i = 0; i < conf.workers; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(c.n_up, 3000);
	assert_int_equal(c.n_ended, 0);
	assert_true(c.n_moves >= 50);
	chain_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hops_that_move_deliver_in_order),
		cmocka_unit_test(parts_are_joined_by_a_hop_that_moves),
		cmocka_unit_test(held_packets_go_with_their_hop),
		cmocka_unit_test(datagrams_survive_the_move_of_their_hop),
		cmocka_unit_test(a_close_reaches_the_end_though_hops_move),
		cmocka_unit_test(a_route_goes_with_its_own_flow),
		cmocka_unit_test(hops_move_between_threads),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
