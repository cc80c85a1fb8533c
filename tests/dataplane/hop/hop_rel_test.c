// Two linked hops in reliable mode (rail.md 4): whatever the wire does, everything arrives once and
// in order, and every buffer comes back.

#include "tests/support/hop_pair.h"

static uint64_t rng = 88172645463325252ull;

static uint32_t dice(uint32_t sides)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)((rng >> 11) % sides);
}

struct wire {
	unsigned lose; // of 100
	unsigned twice;
	unsigned swap;
};

// What x sent, as that wire delivers it.
static void carry(struct pair *p, struct node *x, struct node *y, const struct wire *wire)
{
	struct rte_mbuf *out[WIRE_MAX];
	unsigned n = 0;

	flush(x);
	for (unsigned i = 0; i < x->n_wire; i++) {
		struct rte_mbuf *m = x->wire[i];

		if (dice(100) < wire->lose) {
			rte_pktmbuf_free(m);
			continue;
		}
		if (dice(100) < wire->twice && n < WIRE_MAX / 2)
			out[n++] = copy_of(p, m);
		out[n++] = m;
		if (n > 1 && dice(100) < wire->swap) {
			unsigned at = dice(n);

			m = out[at];
			out[at] = out[n - 1];
			out[n - 1] = m;
		}
	}
	x->n_wire = 0;
	arrive(y, out, n);
}

static bool is_quiet(const struct node *x)
{
	struct rel_stats s;

	rel_stats(hop_of((struct node *)(uintptr_t)x)->rel->rel, &s);
	return s.unacked == 0 && s.in_flight == 0 &&
	       counter(x, W_seal_in) == counter(x, W_seal_acked) + counter(x, W_drop_seal_freed) +
						counter(x, W_drop_route_ended);
}

static void run_wire(struct pair *p, const struct wire *wire, unsigned turns)
{
	for (unsigned i = 0; i < turns; i++) {
		carry(p, &p->a, &p->b, wire);
		carry(p, &p->b, &p->a, wire);
		advance(p, 200 * 1000);
	}
}

// Until all is acked.
static void finish(struct pair *p, const struct wire *wire)
{
	for (unsigned i = 0; i < 20000; i++) {
		run_wire(p, wire, 1);
		if (is_quiet(&p->a) && is_quiet(&p->b))
			return;
	}
	fail_msg("the link does not come to rest");
}

static void everything_arrives_once_and_in_order(struct pair *p, const struct wire *wire)
{
	enum { N = 1500, ROUTES = 5 };
	uint16_t next[ROUTES] = {0};

	for (uint32_t r = 0; r < ROUTES; r++)
		add_rule(p, &p->a, 1 + r, HOP_A, RULE_IN_LOCAL);
	for (unsigned i = 0; i < N; i++) {
		// the length tells the packets of a route apart
		assert_int_equal(send_packet(p, &p->a, ROUTE_DATA, 1 + i % ROUTES,
					 (uint16_t)(20 + i / ROUTES)),
			HOP_PUSHED);
		if (i % 16 == 0)
			run_wire(p, wire, 1);
	}
	finish(p, wire);
	assert_int_equal(p->b.n_got, N);
	for (unsigned i = 0; i < N; i++) {
		uint8_t *h = rte_pktmbuf_mtod(p->b.got[0], uint8_t *);
		uint32_t r = route_hdr_id(h) - 1;

		assert_true(r < ROUTES);
		expect(&p->b, ROUTE_DATA, 1 + r, (uint16_t)(20 + next[r]++));
	}
	assert_int_equal(counter(&p->a, W_seal_acked), N);
}

static void a_good_wire_needs_no_repetition(void **state)
{
	static const struct wire good;
	struct pair p;

	for (unsigned cipher = 0; cipher < AEAD_N_CIPHERS; cipher++) {
		if (aead_backend_select(cipher) == NULL)
			continue;
		pair_link_reliable(&p, (uint8_t)cipher, cipher == AEAD_AES_256_GCM);
		everything_arrives_once_and_in_order(&p, &good);
		assert_int_equal(counter(&p.a, W_rel_retransmitted), 0);
		pair_fini(&p);
	}
}

static void losses_are_repeated(void **state)
{
	static const struct wire bad = {.lose = 10};
	struct pair p;

	pair_link_reliable(&p, AEAD_CHACHA20_POLY1305, false);
	everything_arrives_once_and_in_order(&p, &bad);
	assert_true(counter(&p.a, W_rel_retransmitted) > 0);
	pair_fini(&p);
}

static void reordering_and_duplicates_do_no_harm(void **state)
{
	static const struct wire bad = {.twice = 20, .swap = 30};
	struct pair p;

	pair_link_reliable(&p, AEAD_CHACHA20_POLY1305, false);
	everything_arrives_once_and_in_order(&p, &bad);
	pair_fini(&p);
}

static void the_worst_wire_delivers_too(void **state)
{
	static const struct wire worst = {.lose = 25, .twice = 10, .swap = 25};
	struct pair p;

	for (unsigned cipher = 0; cipher < AEAD_N_CIPHERS; cipher += 2) {
		pair_link_reliable(&p, (uint8_t)cipher, true);
		everything_arrives_once_and_in_order(&p, &worst);
		pair_fini(&p);
	}
}

// ---- what ends or waits ----

static const struct wire good_wire;
static const struct wire dead_wire = {.lose = 100};

static void both_turn(struct pair *p, const struct wire *wire, unsigned turns)
{
	for (unsigned i = 0; i < turns; i++) {
		run_wire(p, wire, 1);
		hop_tx_flush(&p->a.w);
		hop_tx_flush(&p->b.w);
	}
}

static void rule_ends(struct node *x, uint32_t id, uint32_t *reason)
{
	struct dp_note n;

	assert_true(next_note(x, NOTE_RULE_END, &n));
	assert_int_equal(n.id, id);
	*reason = n.value;
}

static void a_pause_holds_one_route_and_leaves_the_others(void **state)
{
	struct pair p;
	struct rel_stats s;

	pair_link_reliable(&p, AEAD_NONE, false);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	add_rule(&p, &p.a, 2, HOP_A, RULE_IN_LOCAL);
	send_packet(&p, &p.a, ROUTE_DATA, 1, 10);
	finish(&p, &good_wire);
	rel_pause(hop_of(&p.b)->rel->rel, 1, 0, p.now_ns);
	hop_rel_wake(&p.b.w, hop_of(&p.b));
	both_turn(&p, &good_wire, 20);
	forget_got(&p.b);
	for (unsigned i = 0; i < 10; i++) {
		send_packet(&p, &p.a, ROUTE_DATA, 1, 10);
		send_packet(&p, &p.a, ROUTE_DATA, 2, 20);
	}
	both_turn(&p, &good_wire, 20);
	assert_int_equal(p.b.n_got, 10);
	for (unsigned i = 0; i < 10; i++)
		expect(&p.b, ROUTE_DATA, 2, 20);
	rel_resume(hop_of(&p.b)->rel->rel, 1, p.now_ns);
	hop_rel_wake(&p.b.w, hop_of(&p.b));
	finish(&p, &good_wire);
	assert_int_equal(p.b.n_got, 10);
	rel_stats(hop_of(&p.a)->rel->rel, &s);
	assert_int_equal(s.tx_freed, 0);
	pair_fini(&p);
}

static void the_edge_is_told_to_wait_and_to_go_on(void **state)
{
	struct pair p;
	struct dp_note n;

	pair_link_reliable(&p, AEAD_NONE, false);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	for (unsigned i = 0; i < 200; i++)
		send_packet(&p, &p.a, ROUTE_DATA, 1, 1000);
	hop_tx_flush(&p.a.w);
	assert_true(next_note(&p.a, NOTE_ROUTE_PAUSE, &n));
	assert_int_equal(n.id, 1);
	assert_int_equal(n.value, REL_PAUSE_LIMIT_S);
	finish(&p, &good_wire);
	assert_true(next_note(&p.a, NOTE_ROUTE_RESUME, &n));
	assert_int_equal(p.b.n_got, 200);
	pair_fini(&p);
}

static void what_acks_make_us_look_at_is_counted(void **state)
{
	struct rel_stats st;
	struct pair p;

	pair_link_reliable(&p, AEAD_NONE, false);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	for (unsigned i = 0; i < 6; i++) {
		send_packet(&p, &p.a, ROUTE_DATA, 1, 10);
		flush(&p.a);
		if (i == 0)
			lose_all(&p.a); // the acks of the others pass over it
	}
	finish(&p, &good_wire);
	assert_int_equal(counter(&p.a, W_rel_lost), 1);
	rel_stats(hop_of(&p.a)->rel->rel, &st);
	assert_true(st.acks_looked > 0);
	assert_int_equal(counter(&p.a, W_acks_looked), st.acks_looked);
	pair_fini(&p);
}

static void what_is_paused_for_too_long_is_closed(void **state)
{
	struct pair p;
	uint32_t reason;

	pair_link_reliable(&p, AEAD_NONE, false);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	send_packet(&p, &p.a, ROUTE_DATA, 1, 10);
	finish(&p, &good_wire);
	rel_pause(hop_of(&p.b)->rel->rel, 1, 3, p.now_ns);
	hop_rel_wake(&p.b.w, hop_of(&p.b));
	both_turn(&p, &good_wire, 20);
	for (unsigned i = 0; i < 10; i++)
		send_packet(&p, &p.a, ROUTE_DATA, 1, 10);
	for (unsigned i = 0; i < 60; i++) {
		advance(&p, 100 * MS_NS);
		both_turn(&p, &good_wire, 2);
	}
	rule_ends(&p.a, 1, &reason);
	assert_int_equal(reason, RAIL_GONE_STALLED);
	assert_int_equal(counter(&p.a, W_routes_stalled), 1);
	assert_true(counter(&p.a, W_drop_seal_freed) >= 10);
	// nobody may use it until the main lcore took the rule out
	send_packet(&p, &p.a, ROUTE_DATA, 1, 10);
	assert_int_equal(counter(&p.a, W_drop_route_ended), 1);
	finish(&p, &good_wire);
	assert_int_equal(atomic_load(&rule_slot(&p.a.rules, 1)->route_owner), 0);
	pair_fini(&p);
}

static void gone_ends_the_route_at_the_node_before(void **state)
{
	struct pair p;
	uint32_t reason;

	pair_link_reliable(&p, AEAD_NONE, false);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	send_packet(&p, &p.a, ROUTE_DATA, 1, 10);
	finish(&p, &good_wire);
	rel_ingress_close(hop_of(&p.b)->rel->rel, 1, RAIL_GONE_HELD, p.now_ns);
	hop_rel_wake(&p.b.w, hop_of(&p.b));
	finish(&p, &good_wire);
	both_turn(&p, &good_wire, 5);
	rule_ends(&p.a, 1, &reason);
	assert_int_equal(reason, RAIL_GONE_HELD);
	pair_fini(&p);
}

// What the route held is told as empty: the next node ends its rule, and passes the end on.
static void an_end_is_told_to_the_node_after(void **state)
{
	struct pair p;
	uint32_t reason;
	bool error = false, closed = false;

	pair_link_reliable(&p, AEAD_NONE, false);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	add_rule(&p, &p.b, 1, 0, TP);
	send_packet(&p, &p.a, ROUTE_DATA, 1, 10);
	finish(&p, &good_wire);
	for (unsigned i = 0; i < 5; i++)
		send_packet(&p, &p.a, ROUTE_DATA, 1, 10);
	lose_all(&p.a);
	rel_ingress_close(hop_of(&p.b)->rel->rel, 1, RAIL_GONE_RULE, p.now_ns);
	end_route(&p.a, 1, RAIL_GONE_RESET);
	finish(&p, &good_wire);
	both_turn(&p, &good_wire, 5);
	rule_ends(&p.a, 1, &reason);
	assert_int_equal(reason, RAIL_GONE_RESET);
	rule_ends(&p.b, 1, &reason);
	assert_int_equal(reason, RAIL_GONE_RESET);
	assert_int_equal(counter(&p.a, W_drop_seal_freed), 5);
	assert_int_equal(counter(&p.b, W_routes_emptied), 1);
	for (unsigned i = 0; i < p.b.n_got; i++) {
		uint8_t type = route_hdr_type(rte_pktmbuf_mtod(p.b.got[i], const uint8_t *));

		error |= type == ROUTE_ERROR;
		closed |= type == ROUTE_CLOSE && error;
	}
	assert_true(error && closed);
	pair_fini(&p);
}

static void a_static_rule_outlives_the_end_of_its_packets(void **state)
{
	struct pair p;
	struct dp_note n;

	pair_link_reliable(&p, AEAD_NONE, false);
	add_static(&p.a, 1);
	for (unsigned i = 0; i < 5; i++)
		send_packet(&p, &p.a, ROUTE_DATA, 1, 10);
	lose_all(&p.a);
	end_route(&p.a, 1, RAIL_GONE_RESET);
	// the next node is not to free later ones along with what the end frees, so they wait
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(send_packet(&p, &p.a, ROUTE_DATA, 1, 700 + i), HOP_PUSHED);
	hop_tx_flush(&p.a.w);
	assert_true(next_note(&p.a, NOTE_ROUTE_PAUSE, &n)); // 64 KiB
	finish(&p, &good_wire);
	assert_true(next_note(&p.a, NOTE_ROUTE_RESUME, &n));
	assert_int_equal(counter(&p.a, W_drop_route_ended), 0);
	assert_int_equal(counter(&p.a, W_drop_seal_freed), 5);
	for (unsigned i = 0; i < 100; i++)
		expect(&p.b, ROUTE_DATA, 1, (uint16_t)(700 + i));
	assert_false(next_note(&p.a, NOTE_RULE_END, &n));
	assert_int_equal(send_packet(&p, &p.a, ROUTE_DATA, 1, 30), HOP_PUSHED);
	finish(&p, &good_wire);
	expect(&p.b, ROUTE_DATA, 1, 30);
	// taken out while some wait
	for (unsigned i = 0; i < 3; i++)
		send_packet(&p, &p.a, ROUTE_DATA, 1, 10);
	lose_all(&p.a);
	end_route(&p.a, 1, RAIL_GONE_RESET);
	send_packet(&p, &p.a, ROUTE_DATA, 1, 10);
	assert_int_equal(rule_table_del(&p.a.rules, 1, RULE_GONE_DEL), 0);
	hop_message(&p.a.w, &(struct hop_msg){.kind = HOP_MSG_REMOVED, .index = 1, .id = 1});
	finish(&p, &good_wire);
	both_turn(&p, &good_wire, 5);
	assert_int_equal(atomic_load(&rule_slot(&p.a.rules, 1)->route_owner), 0);
	pair_fini(&p);
}

static void a_peer_that_does_not_answer_takes_the_link_down(void **state)
{
	struct pair p;
	struct dp_note n;
	char text[DPMSG_TEXT_LEN + 1];
	unsigned outs, s;
	unsigned seconds = 0;

	pair_link_reliable(&p, AEAD_CHACHA20_POLY1305, false);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	for (unsigned i = 0; i < 20; i++)
		send_packet(&p, &p.a, ROUTE_DATA, 1, 100);
	for (; hop_of(&p.a)->send >= 0 && seconds < 60; seconds++)
		for (unsigned i = 0; i < 50; i++) {
			carry(&p, &p.a, &p.b, &dead_wire);
			advance(&p, 20 * MS_NS);
		}
	assert_true(seconds >= REL_SILENCE_S && seconds < 2 * REL_SILENCE_S);
	assert_true(next_note(&p.a, NOTE_HOP_RESET, &n));
	assert_int_equal(n.value, RAIL_GONE_HOP_DOWN);
	assert_true(next_note(&p.a, NOTE_HOP_CLOSED, &n));
	snprintf(text, sizeof(text), "%.*s", n.text_len, n.text);
	assert_int_equal(sscanf(text, "%u probe time-outs and %u s without an ack", &outs, &s), 2);
	assert_true(outs >= REL_RETRANSMIT_LIMIT && s >= REL_SILENCE_S);
	assert_false(hop_of(&p.a)->up);
	assert_int_equal(counter(&p.a, W_drop_seal_freed), 20);
	assert_int_equal(send_packet(&p, &p.a, ROUTE_DATA, 1, 100), HOP_GONE);
	pair_fini(&p);
}

// The main lcore closes the routes of before a while later: until then one that lost packets takes
// no more, for a stream must not go on with a hole.
static void a_new_instance_begins_anew_at_both_ends(void **state)
{
	struct pair p;
	struct dpmsg_keys at_a, at_b;
	struct dp_note n;
	uint64_t refused;

	pair_link_reliable(&p, AEAD_CHACHA20_POLY1305, false);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	add_rule(&p, &p.a, 2, HOP_A, RULE_IN_LOCAL);
	send_packet(&p, &p.a, ROUTE_DATA, 2, 100);
	finish(&p, &good_wire);
	for (unsigned i = 0; i < 20; i++)
		send_packet(&p, &p.a, ROUTE_DATA, 1, 100);
	run_wire(&p, &(struct wire){.lose = 100}, 5);
	make_keys(&p, &p.a, &p.b, &at_a, &at_b);
	rekey(&p, &p.b, &at_b, HOP_RESET);
	rekey(&p, &p.a, &at_a, HOP_RESET);
	finish(&p, &good_wire);
	assert_true(next_note(&p.a, NOTE_HOP_RESET, &n));
	assert_int_equal(n.value, RAIL_GONE_RESET);
	assert_true(next_note(&p.b, NOTE_HOP_RESET, &n));
	forget_got(&p.b);
	refused = counter(&p.a, W_drop_route_ended);
	send_packet(&p, &p.a, ROUTE_DATA, 1, 54);
	assert_int_equal(counter(&p.a, W_drop_route_ended), refused + 1);
	assert_false(next_note(&p.a, NOTE_RULE_END, &n));
	assert_int_equal(send_packet(&p, &p.a, ROUTE_DATA, 2, 55), HOP_PUSHED);
	finish(&p, &good_wire);
	expect(&p.b, ROUTE_DATA, 2, 55);
	assert_int_equal(p.b.n_got, 0);
	pair_fini(&p);
}

// Both have answered before their own answer came: each seals with the keys that it asked for.
static void a_link_begun_anew_twice_at_once_lives(void **state)
{
	struct pair p;
	struct dpmsg_keys a1, b1, a2, b2;

	pair_link_reliable(&p, AEAD_CHACHA20_POLY1305, false);
	make_keys(&p, &p.a, &p.b, &a1, &b1);
	make_keys(&p, &p.b, &p.a, &b2, &a2);
	rekey(&p, &p.a, &a2, HOP_RESET);
	rekey(&p, &p.b, &b1, HOP_RESET);
	rekey(&p, &p.a, &a1, HOP_RESET);
	rekey(&p, &p.b, &b2, HOP_RESET);
	finish(&p, &good_wire);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	add_rule(&p, &p.b, 2, HOP_B, RULE_IN_LOCAL);
	send_packet(&p, &p.a, ROUTE_DATA, 1, 55);
	send_packet(&p, &p.b, ROUTE_DATA, 2, 66);
	finish(&p, &good_wire);
	expect(&p.b, ROUTE_DATA, 1, 55);
	expect(&p.a, ROUTE_DATA, 2, 66);
	assert_int_equal(counter(&p.a, W_rel_resets), 1);
	assert_int_equal(counter(&p.b, W_rel_resets), 1);
	pair_fini(&p);
}

// The same instance at another address is on another path; at another port it is on the same.
static void a_key_for_another_address_begins_the_rtt_anew(void **state)
{
	for (unsigned other = 0; other < 2; other++) {
		struct cmd_hop_rekey c = {.hop = HOP_A};
		struct pair p;
		struct dpmsg_keys at_a, at_b;
		struct rel_stats s;

		pair_link_reliable(&p, AEAD_CHACHA20_POLY1305, false);
		add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
		for (unsigned i = 0; i < 20; i++)
			send_packet(&p, &p.a, ROUTE_DATA, 1, 100);
		finish(&p, &good_wire);
		rel_stats(hop_of(&p.a)->rel->rel, &s);
		assert_int_not_equal(s.srtt_ns, 0);
		make_keys(&p, &p.a, &p.b, &at_a, &at_b);
		c.keys = at_a;
		memcpy(c.peer.ip, p.b.ip, sizeof(c.peer.ip));
		c.peer.ip[15] = (uint8_t)(c.peer.ip[15] + other);
		c.peer.port = PORT + 1;
		assert_int_equal(hop_table_rekey(p.a.w.hops, &c, p.now_ns), 0);
		run_commands(&p.a);
		assert_memory_equal(hop_of(&p.a)->peer.ip, c.peer.ip, 16);
		rel_stats(hop_of(&p.a)->rel->rel, &s);
		assert_int_equal(s.srtt_ns == 0, other);
		pair_fini(&p);
	}
}

// It lost its state and was configured with less since.
static void a_peer_that_comes_back_with_a_smaller_window_gets_it(void **state)
{
	struct pair p;
	struct dpmsg_keys at_a, at_b;
	struct cmd_hop_rekey c;

	pair_link_reliable(&p, AEAD_CHACHA20_POLY1305, false);
	make_keys(&p, &p.a, &p.b, &at_a, &at_b);
	rekey(&p, &p.b, &at_b, HOP_RESET);
	c = (struct cmd_hop_rekey){.hop = p.a.hop, .flags = HOP_RESET, .keys = at_a};
	c.rel_window_log2 = REL_WINDOW_LOG2_MIN - 1;
	assert_int_equal(hop_table_rekey(p.a.w.hops, &c, p.now_ns), -EINVAL);
	c.rel_window_log2 = REL_WINDOW_LOG2_MIN;
	assert_int_equal(hop_table_rekey(p.a.w.hops, &c, p.now_ns), 0);
	run_commands(&p.a);
	both_turn(&p, &good_wire, 5);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	for (unsigned i = 0; i < 1500; i++) {
		struct rel_stats s;

		send_packet(&p, &p.a, ROUTE_DATA, 1, 10);
		if (i % 16 == 0)
			lose_all(&p.a);
		rel_stats(hop_of(&p.a)->rel->rel, &s);
		assert_true(s.kept <= 1u << REL_WINDOW_LOG2_MIN);
	}
	finish(&p, &good_wire);
	assert_int_equal(p.b.n_got, 1500);
	pair_fini(&p);
}

static void a_rekey_loses_and_resets_nothing(void **state)
{
	static const struct wire bad = {.lose = 10, .swap = 20};
	struct pair p;
	struct dpmsg_keys at_a, at_b;
	struct dp_note n;

	pair_link_reliable(&p, AEAD_CHACHA20_POLY1305, false);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	for (unsigned i = 0; i < 400; i++) {
		send_packet(&p, &p.a, ROUTE_DATA, 1, (uint16_t)i);
		if (i % 100 == 50) {
			make_keys(&p, &p.a, &p.b, &at_a, &at_b);
			rekey(&p, &p.b, &at_b, 0);
			rekey(&p, &p.a, &at_a, 0);
		}
		if (i % 8 == 0)
			run_wire(&p, &bad, 1);
	}
	finish(&p, &bad);
	for (unsigned i = 0; i < 400; i++)
		expect(&p.b, ROUTE_DATA, 1, (uint16_t)i);
	assert_false(next_note(&p.b, NOTE_HOP_RESET, &n));
	pair_fini(&p);
}

// A ROUTE frame of datagram mode, sealed by hand under the next number.
static void frames_of_the_other_mode_close_the_link(void **state)
{
	static const uint8_t frame[] = {RAIL_ROUTE, 0, 0, 0, 0, 1, 0, 1, 42};
	struct pair p;
	struct dp_note n;

	pair_link_reliable(&p, AEAD_CHACHA20_POLY1305, false);
	send_frames(&p, &p.a, frame, sizeof(frame));
	deliver_all(&p.a, &p.b);
	assert_true(next_note(&p.b, NOTE_HOP_CLOSED, &n));
	assert_int_equal(n.value, RAIL_CLOSE_PROTOCOL);
	deliver_all(&p.b, &p.a);
	assert_true(next_note(&p.a, NOTE_HOP_CLOSED, &n));
	assert_int_equal(n.value, RAIL_CLOSE_PROTOCOL);
	assert_false(hop_of(&p.a)->up);
	assert_false(hop_of(&p.b)->up);
	pair_fini(&p);
}

// A peer that names ids of other transports' routes: whatever it says of them, they live.
static void ends_of_foreign_routes_are_nobodys_business(void **state)
{
	static const uint8_t empty[] = {RAIL_EMPTY, 0, 0, 0, 0, 0, 0, 0, 1, RAIL_GONE_RULE};
	static const uint8_t own[] = {RAIL_EMPTY, 0, 0, 0, 3, 0, 0, 0, 3, RAIL_GONE_RULE};
	static const uint8_t gone[] = {RAIL_GONE, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, RAIL_GONE_HELD};
	static const uint8_t pause[] = {RAIL_PAUSE, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 2, 0, 1};
	struct pair p;
	struct dp_note n;

	pair_link_reliable(&p, AEAD_CHACHA20_POLY1305, false);
	add_rule(&p, &p.b, 1, 0, TP + 1); // comes by another transport
	add_rule(&p, &p.b, 2, HOP_B + 1, TP); // leaves by another hop
	skip_notes(&p.b);
	send_frames(&p, &p.a, empty, sizeof(empty));
	send_frames(&p, &p.a, gone, sizeof(gone));
	send_frames(&p, &p.a, pause, sizeof(pause));
	deliver_all(&p.a, &p.b);
	advance(&p, 3 * S_NS); // a pause would have ended it by now
	while (hop_table_notes(p.b.w.hops, 0, &n, 1, NULL) == 1) {
		assert_int_not_equal(n.kind, NOTE_RULE_END);
		assert_int_not_equal(n.kind, NOTE_HOP_CLOSED);
		assert_int_not_equal(n.kind, NOTE_ROUTE_PAUSE);
	}
	assert_int_equal(counter(&p.b, W_routes_emptied), 0);
	assert_int_equal(counter(&p.b, W_routes_gone), 0);
	assert_true(counter(&p.b, W_frames_ignored) > 0);
	assert_true(hop_of(&p.b)->up);
	// Its own route, named in the same way, does end.
	assert_int_equal(rule_table_del(&p.b.rules, 1, RULE_GONE_DEL), 0);
	add_rule(&p, &p.b, 3, 0, TP);
	send_frames(&p, &p.a, own, sizeof(own));
	deliver_all(&p.a, &p.b);
	assert_true(next_note(&p.b, NOTE_RULE_END, &n));
	assert_int_equal(n.id, 3);
	pair_fini(&p);
}

static void a_ping_is_answered_with_the_round_trip(void **state)
{
	struct cmd_hop_ping c = {.h.cookie = 77, .hop = HOP_A};
	struct pair p;
	struct dp_note n;

	pair_link_reliable(&p, AEAD_NONE, false);
	assert_int_equal(hop_table_ping(p.a.w.hops, &c), 0);
	run_commands(&p.a);
	both_turn(&p, &good_wire, 20);
	assert_true(next_note(&p.a, NOTE_HOP_RTT, &n));
	assert_int_equal(n.cookie, 77);
	assert_true(n.value > 0);
	pair_fini(&p);
}

static void congestion_control_is_what_the_hop_was_made_with(void **state)
{
	static const char *const names[] = {
		[HOP_CC_DEFAULT] = "bbr", [HOP_CC_BBR] = "bbr", [HOP_CC_CUBIC] = "cubic"};
	struct pair p;
	struct dpmsg_keys at_a, at_b;
	struct evt_hop show;
	uint16_t owner;

	for (uint8_t i = 0; i < RTE_DIM(names); i++) {
		struct cmd_hop_add c;

		pair_init_mode(&p, AEAD_CHACHA20_POLY1305, false, true);
		make_keys(&p, &p.a, &p.b, &at_a, &at_b);
		c = make_add(&p.a, &p.b, &at_a);
		c.mode = HOP_MODE_RELIABLE;
		c.congestion = i;
		assert_int_equal(hop_table_add(p.a.w.hops, &c, p.now_ns, &owner), 0);
		run_commands(&p.a);
		assert_ptr_equal(hop_of(&p.a)->rel->cc, cc_find(names[i]));
		assert_int_equal(hop_table_show(p.a.w.hops, 5, p.now_ns, &show), 0);
		assert_int_equal(show.congestion, i);
		pair_fini(&p);
	}
}

static void two_pings_at_once_have_two_answers(void **state)
{
	struct cmd_hop_ping c = {.hop = HOP_A};
	struct pair p;
	struct dp_note n;

	pair_link_reliable(&p, AEAD_NONE, false);
	skip_notes(&p.a);
	for (unsigned i = 0; i < 2; i++) {
		c.h.cookie = 50 + i;
		assert_int_equal(hop_table_ping(p.a.w.hops, &c), 0);
		run_commands(&p.a);
		flush(&p.a);
		set_now(&p, p.now_ns + 3 * MS_NS);
	}
	deliver_all(&p.a, &p.b);
	flush(&p.b);
	set_now(&p, p.now_ns + 1 * MS_NS);
	deliver_all(&p.b, &p.a);
	flush(&p.a);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(next_note(&p.a, NOTE_HOP_RTT, &n));
		// the ACK names the newest run first
		assert_int_equal(n.value, n.cookie == 50 ? 7000 : 4000);
	}
	assert_false(next_note(&p.a, NOTE_HOP_RTT, &n));
	pair_fini(&p);
}

static void a_peer_that_moves_is_followed_once_it_answers(void **state)
{
	struct cmd_hop_path c = {.hop = HOP_B, .adj = ADJ};
	struct pair p;
	struct dp_note n;

	pair_link_reliable(&p, AEAD_CHACHA20_POLY1305, false);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	add_rule(&p, &p.b, 2, HOP_B, RULE_IN_LOCAL);
	p.a.ip[15] = 77; // it has another address from now on
	set_adj(&p.a, &p.b, 1500);
	set_adj(&p.b, &p.a, 1500);
	send_packet(&p, &p.a, ROUTE_DATA, 1, 10);
	p.b.w.foreign_credit = UINT64_MAX / 2;
	deliver_all(&p.a, &p.b);
	assert_true(next_note(&p.b, NOTE_HOP_ROAMED, &n));
	c.peer = n.addr;
	assert_int_equal(hop_table_path(p.b.w.hops, &c), 0);
	run_commands(&p.b);
	assert_true(hop_of(&p.b)->trying);
	both_turn(&p, &good_wire, 5);
	assert_false(hop_of(&p.b)->trying);
	assert_memory_equal(hop_of(&p.b)->peer.ip, p.a.ip, 16);
	forget_got(&p.b);
	send_packet(&p, &p.b, ROUTE_DATA, 2, 20);
	finish(&p, &good_wire);
	expect(&p.a, ROUTE_DATA, 2, 20);
	pair_fini(&p);
}

static void without_buffers_nothing_is_lost(void **state)
{
	enum { FEW = BURST / 2 }; // a burst would leave at once
	struct pair p;
	struct rte_mbuf *all[4096];
	unsigned n = 0;

	pair_link_reliable(&p, AEAD_NONE, false);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	for (unsigned i = 0; i < FEW; i++)
		send_packet(&p, &p.a, ROUTE_DATA, 1, 100);
	while (n < 4096 && (all[n] = rte_pktmbuf_alloc(p.pool)) != NULL)
		n++;
	run_wire(&p, &good_wire, 50);
	assert_int_equal(p.b.n_got, 0);
	assert_true(counter(&p.a, W_frames_no_mbuf) > 0);
	rte_pktmbuf_free_bulk(all, n);
	finish(&p, &good_wire);
	assert_int_equal(p.b.n_got, FEW);
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_wire_needs_no_repetition),
		cmocka_unit_test(losses_are_repeated),
		cmocka_unit_test(reordering_and_duplicates_do_no_harm),
		cmocka_unit_test(the_worst_wire_delivers_too),
		cmocka_unit_test(a_pause_holds_one_route_and_leaves_the_others),
		cmocka_unit_test(the_edge_is_told_to_wait_and_to_go_on),
		cmocka_unit_test(what_acks_make_us_look_at_is_counted),
		cmocka_unit_test(what_is_paused_for_too_long_is_closed),
		cmocka_unit_test(gone_ends_the_route_at_the_node_before),
		cmocka_unit_test(an_end_is_told_to_the_node_after),
		cmocka_unit_test(a_static_rule_outlives_the_end_of_its_packets),
		cmocka_unit_test(a_peer_that_does_not_answer_takes_the_link_down),
		cmocka_unit_test(a_new_instance_begins_anew_at_both_ends),
		cmocka_unit_test(a_link_begun_anew_twice_at_once_lives),
		cmocka_unit_test(a_key_for_another_address_begins_the_rtt_anew),
		cmocka_unit_test(a_peer_that_comes_back_with_a_smaller_window_gets_it),
		cmocka_unit_test(a_rekey_loses_and_resets_nothing),
		cmocka_unit_test(frames_of_the_other_mode_close_the_link),
		cmocka_unit_test(ends_of_foreign_routes_are_nobodys_business),
		cmocka_unit_test(a_ping_is_answered_with_the_round_trip),
		cmocka_unit_test(congestion_control_is_what_the_hop_was_made_with),
		cmocka_unit_test(two_pings_at_once_have_two_answers),
		cmocka_unit_test(a_peer_that_moves_is_followed_once_it_answers),
		cmocka_unit_test(without_buffers_nothing_is_lost),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
