// Reliable transports through real workers (rail.md 4): what a chain of hops delivers.
#include "lib/link/rel_hold_priv.h"
#include "tests/dataplane/worker/chain.h"

// ---- tests ----

static void send_many(struct chain *c, uint32_t first, uint32_t n, uint16_t len)
{
	for (uint32_t i = 0; i < n; i++) {
		send_packet(c, ROUTE_DATA, first + i, len);
		if (i % 32 == 31)
			turn(c);
	}
}

static void everything_arrives(unsigned workers, unsigned lose, enum aead_cipher cipher)
{
	struct node_conf conf = {.workers = workers, .cipher = cipher, .rel_bufs = 4096};
	struct chain c;

	chain_open(&c, &conf, reliable);
	c.lose = lose;
	send_many(&c, 0, 2000, 700);
	UNTIL(&c, c.n_up == 2000);
	UNTIL(&c, held(&c) == 0);
	if (lose != 0) {
		assert_true(c.n_lost > 0);
		assert_true(node_counter(&c.n, W_rel_retransmitted) > 0);
	}
	assert_int_equal(node_counter(&c.n, W_drop_seal_freed), 0);
	chain_close(&c);
}

static void a_chain_delivers_in_order(void **state)
{
	everything_arrives(1, 0, AEAD_NONE);
	everything_arrives(2, 0, AEAD_CHACHA20_POLY1305);
}

static void a_chain_that_loses_delivers_all_the_same(void **state)
{
	everything_arrives(1, 20, AEAD_CHACHA20_POLY1305);
	everything_arrives(2, 50, AEAD_NONE);
	everything_arrives(3, 20, AEAD_NONE);
}

static void jumbo_packets_cross_in_parts(void **state)
{
	struct node_conf conf = {.workers = 2, .cipher = AEAD_NONE, .rel_bufs = 4096};
	struct chain c;

	chain_open(&c, &conf, reliable);
	c.lose = 20;
	for (uint32_t i = 0; i < 30; i++) {
		send_packet(&c, ROUTE_DATA, i, i % 3 == 0 ? 20000 : 100);
		turn(&c);
	}
	UNTIL(&c, c.n_up == 30);
	assert_true(node_counter(&c.n, W_rel_joined) > 0);
	chain_close(&c);
}

// The far edge reads nothing: those before it are told to wait, one after the other. Returns how
// many packets were sent.
static uint32_t fill_up(struct chain *c)
{
	uint32_t n = 0;

	c->deaf = true;
	for (unsigned i = 0; i < 3000 && c->n_paused == 0; i++) {
		send_packet(c, ROUTE_DATA, n++, 1000);
		turn(c);
		if (i % 16 == 0) // so that acks are not all the time behind
			for (unsigned k = 0; k < 20; k++)
				turn(c);
	}
	UNTIL(c, c->n_paused == 1);
	return n;
}

static void a_slow_reader_pauses_the_far_edge(unsigned workers)
{
	struct node_conf conf = {
		.workers = workers, .cipher = AEAD_NONE, .rel_bufs = 4096, .up_size = 1 << 18};
	struct chain c;
	uint32_t n;

	chain_open(&c, &conf, reliable);
	n = fill_up(&c);
	assert_int_equal(c.n_resumed, 0);
	c.deaf = false;
	UNTIL(&c, c.n_up == n);
	UNTIL(&c, c.n_resumed >= 1);
	assert_int_equal(node_counter(&c.n, W_drop_up_ring), 0);
	assert_int_equal(node_counter(&c.n, W_routes_stalled), 0);
	chain_close(&c);
}

static void pauses_go_back_to_the_edge(void **state)
{
	a_slow_reader_pauses_the_far_edge(1);
	a_slow_reader_pauses_the_far_edge(2);
}

// Also if nothing waits yet and the ring has room.
static void a_reader_that_takes_no_more_is_obeyed_at_once(void **state)
{
	struct node_conf conf = {.workers = 2, .cipher = AEAD_NONE, .rel_bufs = 4096};
	struct hop_msg msg = {.kind = HOP_MSG_SINK_PAUSE, .id = EDGE_OUT};
	struct chain c;
	unsigned owner;

	chain_open(&c, &conf, reliable);
	owner = 3 % conf.workers;
	assert_true(hop_table_msg(c.n.hops, owner, &msg));
	turn(&c);
	send_many(&c, 0, 20, 500);
	UNTIL(&c, held(&c) == 0); // all acked, so all there
	assert_int_equal(c.n_up, 0);
	msg.kind = HOP_MSG_SINK_RESUME;
	assert_true(hop_table_msg(c.n.hops, owner, &msg));
	UNTIL(&c, c.n_up == 20);
	chain_close(&c);
}

// The ring took all that had waited, and its ingress was to be told to go on, when the rule went.
static void a_rule_that_goes_before_its_resume_was_told_leaves_nobody_waiting(void **state)
{
	struct node_conf conf = {.workers = 1, .cipher = AEAD_NONE, .rel_bufs = 4096};
	struct hop_msg msg = {.kind = HOP_MSG_SINK_PAUSE, .id = EDGE_OUT};
	struct chain c;
	uint32_t n = 0;

	chain_open(&c, &conf, reliable);
	assert_true(hop_table_msg(c.n.hops, 0, &msg));
	while (!c.edge_waits) {
		send_packet(&c, ROUTE_DATA, n++, 1000);
		turn(&c);
	}
	msg.kind = HOP_MSG_SINK_RESUME;
	assert_true(hop_table_msg(c.n.hops, 0, &msg));
	worker_turn(c.n.w[0]);
	assert_int_equal(rel_hold_route_bufs(hop_hold(c.n.w[0])->hold, EDGE_OUT % IDX), 0);
	assert_int_equal(rule_table_del(&c.n.rules, EDGE_OUT, RULE_GONE_DEL), 0);
	UNTIL(&c, held(&c) == 0);
	chain_close(&c);
}

static unsigned n_refused;

static bool refuse(struct wctx *w, unsigned to, const struct hop_msg *msg)
{
	n_refused++;
	return false;
}

// The transit has told the node before it to wait, whose queue is full.
static bool all_wait(const struct chain *c)
{
	const struct route *rt = (const struct route *)&hop_hold(c->n.w[0])->routes[EDGE_IN % IDX];

	return c->edge_waits && (rt->flags & RT_HELD_UP) != 0 &&
	       (hop_hold(c->n.w[0])->info[TRANSIT % IDX].flags & HOP_ROUTE_PAUSED) != 0;
}

// The ring between two workers is full when one has to tell the other that it may go on.
static void a_resume_that_finds_no_room_is_told_later(void **state)
{
	struct node_conf conf = {
		.workers = 2, .cipher = AEAD_NONE, .rel_bufs = 4096, .up_size = 1 << 18};
	struct wctx_ops ops;
	const struct wctx_ops *was;
	struct chain c;
	uint32_t n = 0;

	chain_open(&c, &conf, reliable);
	was = c.n.w[0]->ops;
	ops = *was;
	ops.handoff_msg = refuse;
	n_refused = 0;
	c.deaf = true;
	// A pause of the edge alone may come from a turn that took long.
	while (n < 3000 && !all_wait(&c)) {
		send_packet(&c, ROUTE_DATA, n++, 1000);
		for (unsigned k = 0; k < (n % 16 == 0 ? 20 : 1); k++)
			turn(&c);
	}
	assert_true(all_wait(&c));
	c.n.w[0]->ops = &ops;
	c.deaf = false;
	UNTIL(&c, n_refused > 1);
	assert_true(c.n_up < n);
	c.n.w[0]->ops = was;
	UNTIL(&c, c.n_up == n);
	UNTIL(&c, c.n_resumed >= 1);
	assert_int_equal(node_counter(&c.n, W_routes_stalled), 0);
	chain_close(&c);
}

// An edge that does not wait when it is told to: the route that holds most pays, with a reason.
static void what_is_held_has_a_limit(void **state)
{
	struct node_conf conf = {.workers = 1, .cipher = AEAD_NONE, .rel_bufs = 512};
	struct chain c;

	chain_open(&c, &conf, reliable);
	c.lose = 1000;
	send_many(&c, 0, 700, 100);
	assert_true(node_counter(&c.n, W_routes_held) > 0);
	UNTIL(&c, c.n_ended == 1);
	assert_int_equal(c.reason[EDGE_IN % IDX], RAIL_GONE_HELD);
	c.lose = 0;
	// what waits for acks is gone; the end is told along the route
	UNTIL(&c, held(&c) == 0);
	UNTIL(&c, c.n_gone == 3);
	assert_int_equal(c.reason[TRANSIT % IDX], RAIL_GONE_HELD);
	assert_true(c.got_error);
	assert_string_equal(c.error, "transit node held too much of the route");
	assert_true(node_counter(&c.n, W_drop_seal_freed) > 0);
	chain_close(&c);
}

static void a_close_comes_last_and_takes_the_rules_with_it(unsigned workers, unsigned lose)
{
	struct node_conf conf = {.workers = workers, .cipher = AEAD_NONE, .rel_bufs = 4096};
	struct chain c;

	chain_open(&c, &conf, reliable);
	c.lose = lose;
	send_many(&c, 0, 300, 500);
	send_packet(&c, ROUTE_CLOSE, 0, 1);
	UNTIL(&c, c.got_close);
	assert_int_equal(c.n_up, 300);
	UNTIL(&c, c.n_gone >= 2); // forward rules of the edge stay with it
	UNTIL(&c, held(&c) == 0);
	assert_int_equal(c.last_gone.freed, 0);
	chain_close(&c);
}

static void a_close_waits_for_all_acks(void **state)
{
	a_close_comes_last_and_takes_the_rules_with_it(1, 0);
	a_close_comes_last_and_takes_the_rules_with_it(2, 30);
}

static void a_rule_that_is_removed_keeps_its_slot_until_all_is_over(void **state)
{
	struct node_conf conf = {.workers = 2, .cipher = AEAD_NONE, .rel_bufs = 4096};
	struct cmd_rule_add again = {.id = TRANSIT,
		.next_id = EDGE_OUT,
		.keep_alive_ms = 1000,
		.type = RULE_INTERMEDIARY};
	struct chain c;

	chain_open(&c, &conf, reliable);
	again.tx_hop = c.hop[2];
	again.in_tp = c.tp[1];
	send_many(&c, 0, 64, 500);
	UNTIL(&c, c.n_up > 0);
	c.lose = 1000;
	send_many(&c, 64, 64, 500);
	assert_int_equal(rule_table_del(&c.n.rules, TRANSIT, RULE_GONE_DEL), 0);
	assert_int_equal(rule_table_add(&c.n.rules, &again, 0), -EAGAIN);
	c.lose = 0;
	UNTIL(&c, c.n_gone > 0);
	chain_close(&c);
}

// Nobody reads, all is full, and the node ends: every buffer comes back.
static void what_waits_at_the_end_is_given_back(void **state)
{
	struct node_conf conf = {
		.workers = 2, .cipher = AEAD_NONE, .rel_bufs = 4096, .up_size = 1 << 18};
	struct chain c;

	chain_open(&c, &conf, reliable);
	fill_up(&c);
	c.n.rules.gone = NULL;
	c.n.rules.ending = NULL;
	c.n.rules.freed = NULL;
	node_drop(&c.n);
}

// ---- anything, in any order, against what has to come of it ----

enum { RANDOM_ROUTES = 12, REKEYS_MAX = 40 };

// Fresh keys at both ends of a link, as a re-key leaves them, or a handshake with a lost state.
static void new_keys(struct chain *c, unsigned pair, uint32_t flags)
{
	uint32_t serial = ++c->n_rekeys;

	for (unsigned side = 2; side-- > 0;) { // the responder first
		unsigned i = 2 * pair + side;
		struct cmd_hop_rekey k = {.hop = c->hop[i],
			.flags = flags,
			.instance_local = flags != 0 ? serial + 1 : 1};

		k.keys.rx_index = serial << 16 | (0x20 + serial * HOPS + i);
		k.keys.tx_index = serial << 16 | (0x20 + serial * HOPS + (i ^ 1));
		memset(k.keys.rx_key, (int)(0x40 + serial * HOPS + i), 32);
		memset(k.keys.tx_key, (int)(0x40 + serial * HOPS + (i ^ 1)), 32);
		k.keys.cipher = (uint8_t)c->n.conf.cipher;
		k.keys.initiator = side == 0;
		assert_int_equal(hop_table_rekey(c->n.hops, &k, clock_mono_ns()), 0);
	}
	turn(c);
}

// Sends on the present route, with anything between that must not be noticed. Returns how many.
static uint32_t random_traffic(struct chain *c)
{
	uint32_t sent = 0;

	for (unsigned op = 0; op < 20; op++) {
		switch (dice(c, 5)) {
		case 0:
			if (c->n_rekeys < REKEYS_MAX)
				new_keys(c, dice(c, PAIRS), 0);
			break;
		case 1:
			c->deaf = !c->deaf;
			break;
		default:
			for (uint32_t n = dice(c, 20); n > 0; n--)
				send_packet(c, ROUTE_DATA, sent++, (uint16_t)(4 + dice(c, 3000)));
		}
		for (unsigned k = dice(c, 8); k > 0; k--)
			turn(c);
	}
	c->deaf = false;
	return sent;
}

static void all_rules_go(struct chain *c, enum rule_gone why)
{
	for (uint32_t id = EDGE_IN; id <= EDGE_OUT; id++)
		rule_table_del(&c->n.rules, id + c->route, why);
}

static void one_random_route(struct chain *c, bool whole)
{
	uint32_t sent = random_traffic(c);
	unsigned resets = c->n_resets;

	switch (dice(c, 4)) {
	case 0: // a hole: what came is a beginning of what was sent, and nothing comes after
		if (c->n_rekeys < REKEYS_MAX) {
			new_keys(c, dice(c, PAIRS), HOP_RESET);
			// at both ends: fresh keys before would take the place of those that
			// the responder still has to begin with
			UNTIL(c, !whole || c->n_resets == resets + 2);
			all_rules_go(c, RULE_GONE_RESET);
			break;
		}
		__attribute__((fallthrough));
	case 1:
		rule_table_del(&c->n.rules, TRANSIT + c->route, RULE_GONE_DEL);
		UNTIL(c, held(c) == 0);
		all_rules_go(c, RULE_GONE_DEL);
		break;
	default: // all of it, then the Close
		send_packet(c, ROUTE_CLOSE, 0, 1);
		if (whole) {
			UNTIL(c, c->got_close);
			assert_int_equal(c->n_up, sent);
		}
		UNTIL(c, held(c) == 0);
		assert_true(c->n_up <= sent);
		all_rules_go(c, RULE_GONE_DEL);
	}
	UNTIL(c, held(c) == 0);
	assert_true(c->n_up <= sent);
	for (unsigned i = 0; i < 50; i++)
		turn(c);
	c->n_up = c->next = 0;
	c->got_close = c->got_error = false;
	c->route += 3;
}

static void random_routes(uint64_t seed)
{
	struct node_conf conf = {
		.workers = 1 + (unsigned)(seed % 3), .cipher = AEAD_NONE, .rel_bufs = 4096};
	uint8_t mode[PAIRS];
	struct chain c;
	bool whole = true;

	for (unsigned i = 0; i < PAIRS; i++) {
		mode[i] = (seed >> (2 + i) & 1) != 0 ? HOP_MODE_DATAGRAM : HOP_MODE_RELIABLE;
		whole &= mode[i] == HOP_MODE_RELIABLE;
	}
	print_message("seed %lu: %u workers, %s\n", (unsigned long)seed, conf.workers,
		whole ? "reliable" : "with a link in datagram mode");
	chain_open(&c, &conf, mode);
	c.rng ^= seed * 0x9e3779b97f4a7c15ull;
	c.lose = whole ? dice(&c, 40) : 0;
	c.steady = c.lossy = !whole;
	for (unsigned i = 0; i < RANDOM_ROUTES; i++) {
		if (i > 0)
			add_route(&c);
		one_random_route(&c, whole);
	}
	chain_close(&c);
}

static void routes_come_and_go_as_they_should(void **state)
{
	const char *one = getenv("SKYRAIL_TEST_SEED");

	for (uint64_t seed = 0; one == NULL && seed < 24; seed++)
		random_routes(seed);
	if (one != NULL)
		random_routes(strtoull(one, NULL, 10));
}

// ---- threads ----

// Workers in threads while the rules of other routes come and go over the same hops. The source
// obeys pauses, and has so little on its way that no pause lasts for the ten seconds that end a
// route.
static void workers_in_threads_deliver_while_rules_change(void **state)
{
	struct node_conf conf = {.workers = 3, .cipher = AEAD_NONE, .rel_bufs = 4096};
	static struct chain c;
	pthread_t t[NODE_WORKERS];
	uint32_t sent = 0, generation = 2;

#ifdef __SANITIZE_THREAD__
	skip(); // packets cross threads in DPDK's rings, whose order it does not see
#endif
	chain_open(&c, &conf, reliable);
	c.lose = 10;
	for (unsigned i = 0; i < conf.workers; i++)
		assert_int_equal(pthread_create(&t[i], NULL, run, c.n.w[i]), 0);
	while (c.n_up < 3000 && goes_on(&c, c.n_up)) {
		uint32_t other = generation << NODE_RULE_BITS | 5;
		static const uint8_t pkt[ROUTE_HDR_LEN + 10] = {[6] = 10};

		if (sent < 3000 && sent - c.n_up < 200 && !c.edge_waits)
			send_packet(&c, ROUTE_DATA, sent++, 600);
		if (sent % 16 == 0) {
			node_down_route(&c.n, sent % 3, other, pkt, sizeof(pkt));
			if (rule_lookup(&c.n.rules, other) != NULL) {
				rule_table_del(&c.n.rules, other, RULE_GONE_DEL);
			} else {
				uint32_t next = generation + 1;
				struct cmd_rule_add r = {.id = next << NODE_RULE_BITS | 5,
					.next_id = 999,
					.tx_hop = c.hop[next % 2 == 0 ? 0 : 3],
					.in_tp = RULE_IN_LOCAL,
					.flags = RULE_STATIC,
					.type = RULE_FORWARD};

				if (rule_table_add(&c.n.rules, &r, 0) == 0)
					generation = next;
			}
		}
		carry(&c);
		read_up(&c);
		main_turn(&c);
		if (sent % 8 == 0)
			nap_us(50);
	}
	worker_stop(c.n.set);
	for (unsigned i = 0; i < conf.workers; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(c.n_up, 3000);
	assert_int_equal(c.n_ended, 0);
	assert_true(generation > 3);
	chain_close(&c);
}

// Datagram mode on one side: what can't be told to wait is dropped before it fills the node.
static void modes_may_be_mixed(void **state)
{
	static const uint8_t mixed[PAIRS] = {HOP_MODE_DATAGRAM, HOP_MODE_RELIABLE};
	struct node_conf conf = {.workers = 2, .cipher = AEAD_NONE, .rel_bufs = 4096};
	struct chain c;

	chain_open(&c, &conf, mixed);
	c.steady = true;
	c.lossy = true;
	send_many(&c, 0, 500, 500);
	UNTIL(&c, c.n_up + node_counter(&c.n, W_drop_route_full) == 500);
	assert_true(c.n_up > 100);
	chain_close(&c);
}

static void a_link_that_is_shut_is_told_to_have_lost_its_routes(void **state)
{
	struct node_conf conf = {.workers = 1, .cipher = AEAD_NONE, .rel_bufs = 4096};
	struct chain c;
	struct hop *h;

	chain_open(&c, &conf, reliable);
	send_many(&c, 0, 10, 100);
	UNTIL(&c, c.n_up == 10);
	h = hop_by_handle(c.n.w[0], c.hop[2]);
	hop_shut(c.n.w[0], h, true, 0, "no answer", 9);
	UNTIL(&c, c.n_resets == 1);
	assert_false(h->up);
	chain_close(&c);
}

// A rule that is made while its way out is down is younger than the routes that ended with that.
static void a_route_that_lost_packets_before_its_link_was_up_ends(void **state)
{
	for (unsigned workers = 1; workers <= 2; workers++) {
		struct node_conf conf = {.workers = workers, .cipher = AEAD_NONE, .rel_bufs = 4096};
		struct chain c;
		struct wctx *w;

		chain_open(&c, &conf, reliable);
		w = c.n.w[2 % workers];
		hop_shut(w, hop_by_handle(w, c.hop[2]), true, 0, "no answer", 9);
		UNTIL(&c, c.n_resets == 1);
		c.route += 3;
		add_route(&c);
		for (unsigned i = 0; i < 50; i++)
			send_packet(&c, ROUTE_DATA, 0, 100);
		UNTIL(&c, c.n_ended >= 2);
		for (unsigned i = 0; i < 100; i++)
			turn(&c);
		assert_int_equal(c.reason[1], RAIL_GONE_HOP_DOWN); // at the edge,
		assert_int_equal(c.reason[2], RAIL_GONE_HOP_DOWN); // and in transit
		assert_true(c.n_ended < 10); // not once a packet
		// those that the first link had not sent yet when it heard of the end, end there
		assert_true(node_counter(&c.n, W_drop_hop_gone) > 0);
		assert_int_equal(node_counter(&c.n, W_drop_hop_gone) +
					 node_counter(&c.n, W_drop_route_ended),
			50);
		UNTIL(&c, rule_lookup(&c.n.rules, EDGE_IN + c.route) == NULL);
		assert_null(rule_lookup(&c.n.rules, TRANSIT + c.route));
		chain_close(&c);
	}
}

// A frame of the last link that it has not made itself, alone in its datagram.
static void put_frame(struct chain *c, const struct rail_frame *f)
{
	struct wctx *w = c->n.w[2 % c->n.conf.workers];
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);
	uint8_t buf[64];
	struct bytes_w b = bytes_w(buf, sizeof(buf));

	assert_non_null(m);
	assert_int_equal(rail_frame_encode(&b, f), 0);
	memcpy(rte_pktmbuf_append(m, (uint16_t)bytes_w_len(&b)), buf, bytes_w_len(&b));
	assert_true(hop_rel_frame(w, hop_by_handle(w, c->hop[2]), RAIL_NOTICE, m));
}

static void put_packet(struct chain *c, uint32_t number)
{
	uint8_t p[ROUTE_HDR_LEN + 4];
	struct rail_frame f = {.type = RAIL_SEQ, .seq = number, .data = p, .len = sizeof(p)};

	f.distance = number != 0;
	route_hdr_put(p, ROUTE_DATA, EDGE_OUT, 4);
	be32_put(p + ROUTE_HDR_LEN, number);
	put_frame(c, &f);
}

static void nothing_goes_on_behind_a_hole(void **state)
{
	static const struct rail_frame empty = {
		.type = RAIL_EMPTY, .seq = 2, .route_id = EDGE_OUT, .code = RAIL_GONE_STALLED};

	for (unsigned workers = 1; workers <= 2; workers++) {
		struct node_conf conf = {.workers = workers, .cipher = AEAD_NONE, .rel_bufs = 4096};
		struct chain c;

		chain_open(&c, &conf, reliable);
		c.steady = true; // one burst
		put_packet(&c, 0);
		put_packet(&c, 1);
		put_frame(&c, &empty);
		put_packet(&c, 3);
		put_packet(&c, 4);
		UNTIL(&c, c.n_ended != 0);
		assert_int_equal(c.reason[3], RAIL_GONE_STALLED);
		assert_int_equal(node_counter(&c.n, W_routes_emptied), 1);
		assert_int_equal(node_counter(&c.n, W_drop_sink_ended), 2);
		assert_int_equal(c.n_up, 2);
		chain_close(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chain_delivers_in_order),
		cmocka_unit_test(a_chain_that_loses_delivers_all_the_same),
		cmocka_unit_test(jumbo_packets_cross_in_parts),
		cmocka_unit_test(pauses_go_back_to_the_edge),
		cmocka_unit_test(a_reader_that_takes_no_more_is_obeyed_at_once),
		cmocka_unit_test(a_rule_that_goes_before_its_resume_was_told_leaves_nobody_waiting),
		cmocka_unit_test(a_resume_that_finds_no_room_is_told_later),
		cmocka_unit_test(what_is_held_has_a_limit),
		cmocka_unit_test(a_close_waits_for_all_acks),
		cmocka_unit_test(a_rule_that_is_removed_keeps_its_slot_until_all_is_over),
		cmocka_unit_test(what_waits_at_the_end_is_given_back),
		cmocka_unit_test(routes_come_and_go_as_they_should),
		cmocka_unit_test(workers_in_threads_deliver_while_rules_change),
		cmocka_unit_test(modes_may_be_mixed),
		cmocka_unit_test(a_link_that_is_shut_is_told_to_have_lost_its_routes),
		cmocka_unit_test(a_route_that_lost_packets_before_its_link_was_up_ends),
		cmocka_unit_test(nothing_goes_on_behind_a_hole),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
