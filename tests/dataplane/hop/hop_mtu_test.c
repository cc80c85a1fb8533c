// Two linked hops over a path that carries less than its ends, in both modes (rail.md 5): the size
// is found, packets go whole or in parts as it says, and a path that changes in mid-run is noticed.

#include "dataplane/hop/hop_mtu.h"
#include "tests/support/hop_pair.h"

enum { ETHER = 14 };

struct wire {
	uint32_t a_to_b, b_to_a; // bytes of IP that get through, 0: nothing
};

static void carry(struct node *x, struct node *y, uint32_t most)
{
	unsigned n = 0;

	flush(x);
	for (unsigned i = 0; i < x->n_wire; i++) {
		if (x->wire[i]->pkt_len - ETHER > most)
			rte_pktmbuf_free(x->wire[i]);
		else
			x->wire[n++] = x->wire[i];
	}
	x->n_wire = n;
	deliver_all(x, y);
}

static void run(struct pair *p, const struct wire *wire, uint64_t ns)
{
	for (uint64_t t = 0; t < ns; t += 10 * MS_NS) {
		carry(&p->a, &p->b, wire->a_to_b);
		carry(&p->b, &p->a, wire->b_to_a);
		advance(p, 10 * MS_NS);
	}
}

static struct pair search(bool reliable, bool ip6, uint16_t mtu)
{
	struct pair p;

	pair_init_mode(&p, AEAD_CHACHA20_POLY1305, ip6, reliable);
	p.searches = true;
	set_adj(&p.a, &p.b, mtu);
	set_adj(&p.b, &p.a, mtu);
	pair_connect(&p);
	if (reliable) {
		add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
		add_rule(&p, &p.b, 1, HOP_B, RULE_IN_LOCAL);
	}
	return p;
}

static uint64_t hop_stat(struct node *x, enum hop_counter k)
{
	return stat_get(&hop_of(x)->st->c[k]);
}

static uint32_t shown(struct node *x)
{
	return atomic_load_explicit(&hop_of(x)->st->path_mtu, memory_order_relaxed);
}

// Packets of all sizes from A come through whole and in order; small ones between keep acks going.
static void packets_pass(struct pair *p, const struct wire *wire)
{
	static const uint16_t sizes[] = {9, 1200, 1400, 1472, 3000, 8000};

	forget_got(&p->b);
	for (unsigned i = 0; i < RTE_DIM(sizes); i++)
		assert_int_equal(send_packet(p, &p->a, ROUTE_DATA, 1, sizes[i]), HOP_PUSHED);
	run(p, wire, S_NS);
	assert_int_equal(p->b.n_got, RTE_DIM(sizes));
	for (unsigned i = 0; i < RTE_DIM(sizes); i++)
		expect(&p->b, ROUTE_DATA, 1, sizes[i]);
}

static void each_direction_finds_its_own(void **state)
{
	static const struct {
		uint16_t mtu;
		struct wire wire;
	} rows[] = {
		{1500, {1500, 1500}},
		{1500, {1400, 1500}},
		{9000, {9000, 1500}},
		{9000, {1280, 8950}},
	};

	for (unsigned mode = 0; mode < 2; mode++) {
		for (unsigned i = 0; i < RTE_DIM(rows); i++) {
			struct pair p = search(mode == 1, i % 2 == 1, rows[i].mtu);

			assert_int_equal(hop_of(&p.a)->path_mtu, 1280);
			run(&p, &rows[i].wire, 20 * S_NS);
			assert_int_equal(hop_of(&p.a)->mtu.state, PMTU_COMPLETE);
			// the peer takes no more than 8900 bytes of payload
			assert_int_equal(shown(&p.a),
				RTE_MIN(rows[i].wire.a_to_b, 8900u + (i % 2 == 1 ? 48 : 28)));
			assert_int_equal(shown(&p.b),
				RTE_MIN(rows[i].wire.b_to_a, 8900u + (i % 2 == 1 ? 48 : 28)));
			assert_true(hop_stat(&p.a, H_hop_mtu_acked) >= 1);
			packets_pass(&p, &rows[i].wire);
			assert_int_equal(hop_stat(&p.a, H_hop_black_holes), 0);
			pair_fini(&p);
		}
	}
}

// Two round trips where the path carries what its ends do.
static void the_usual_case_takes_two_probes(void **state)
{
	const struct wire wire = {1500, 1500};

	for (unsigned mode = 0; mode < 2; mode++) {
		struct pair p = search(mode == 1, false, 1500);

		run(&p, &wire, 5 * S_NS);
		assert_int_equal(shown(&p.a), 1500);
		assert_int_equal(hop_stat(&p.a, H_hop_mtu_probes), 2);
		assert_int_equal(hop_stat(&p.a, H_hop_mtu_acked), 2);
		assert_int_equal(hop_stat(&p.a, H_hop_mtu_lost), 0);
		pair_fini(&p);
	}
}

static void a_path_that_shrinks_in_silence_is_noticed(void **state)
{
	const struct wire wide = {1500, 1500}, narrow = {1400, 1500};

	for (unsigned mode = 0; mode < 2; mode++) {
		struct pair p = search(mode == 1, false, 1500);
		unsigned sent = 0;

		run(&p, &wide, 5 * S_NS);
		assert_int_equal(shown(&p.a), 1500);
		forget_got(&p.b);
		for (unsigned i = 0; i < 200; i++) { // 20 s of traffic
			sent += send_packet(&p, &p.a, ROUTE_DATA, 1, 1400) == HOP_PUSHED;
			sent += send_packet(&p, &p.a, ROUTE_DATA, 1, 20) == HOP_PUSHED;
			run(&p, &narrow, 100 * MS_NS);
		}
		assert_int_equal(hop_stat(&p.a, H_hop_black_holes), 1);
		assert_int_equal(shown(&p.a), 1400);
		assert_int_equal(shown(&p.b), 1500);
		assert_int_equal(sent, 400);
		if (mode == 1) // nothing is lost for that
			assert_int_equal(p.b.n_got, sent);
		packets_pass(&p, &narrow);
		// it comes back, too, but that takes its time
		run(&p, &wide, (PMTU_RAISE_S + 10) * S_NS);
		assert_int_equal(shown(&p.a), 1500);
		pair_fini(&p);
	}
}

static void a_path_below_the_floor_closes_the_link_and_says_why(void **state)
{
	const struct wire wire = {1279, 1500};

	for (unsigned mode = 0; mode < 2; mode++) {
		struct pair p = search(mode == 1, false, 1500);
		struct dp_note n;

		run(&p, &wire, 30 * S_NS);
		assert_true(next_note(&p.a, NOTE_HOP_CLOSED, &n));
		assert_int_equal(n.value, RAIL_CLOSE_PATH);
		assert_int_equal(n.initiator, 1);
		assert_true(n.text_len > 20 && memcmp(n.text, "path carries less th", 20) == 0);
		assert_true(next_note(&p.b, NOTE_HOP_CLOSED, &n));
		assert_int_equal(n.value, RAIL_CLOSE_PATH);
		assert_false(hop_of(&p.a)->up);
		pair_fini(&p);
	}
}

// Nothing comes through for a while: that is another matter.
static void a_dark_path_is_no_black_hole(void **state)
{
	const struct wire wide = {1500, 1500}, dark = {0, 0};

	for (unsigned mode = 0; mode < 2; mode++) {
		struct pair p = search(mode == 1, false, 1500);

		run(&p, &wide, 5 * S_NS);
		for (unsigned i = 0; i < 30; i++) {
			send_packet(&p, &p.a, ROUTE_DATA, 1, 1400);
			run(&p, &dark, 100 * MS_NS);
		}
		run(&p, &wide, 10 * S_NS);
		assert_int_equal(hop_stat(&p.a, H_hop_black_holes), 0);
		assert_int_equal(shown(&p.a), 1500);
		assert_true(hop_of(&p.a)->up);
		pair_fini(&p);
	}
}

static void a_new_bound_of_our_own_is_followed(void **state)
{
	const struct wire wire = {9000, 9000};

	for (unsigned mode = 0; mode < 2; mode++) {
		struct pair p = search(mode == 1, false, 1500);

		run(&p, &wire, 5 * S_NS);
		set_adj(&p.a, &p.b, 4000);
		run(&p, &wire, 5 * S_NS);
		assert_int_equal(shown(&p.a), 4000);
		set_adj(&p.a, &p.b, 1300);
		run(&p, &wire, 5 * S_NS);
		assert_int_equal(shown(&p.a), 1300);
		packets_pass(&p, &wire);
		assert_int_equal(counter(&p.a, W_drop_tx_mtu), 0);
		pair_fini(&p);
	}
}

// Another address is another path; another port is not.
static void a_peer_that_moved_is_searched_for_anew(void **state)
{
	const struct wire wire = {1500, 1500};
	struct cmd_hop_path c = {.hop = HOP_B, .adj = ADJ};

	for (unsigned mode = 0; mode < 2; mode++) {
		struct pair p = search(mode == 1, false, 1500);

		run(&p, &wire, 5 * S_NS);
		memcpy(c.peer.ip, p.a.ip, 16);
		c.peer.port = PORT + 1;
		assert_int_equal(hop_table_path(p.b.w.hops, &c), 0);
		run_commands(&p.b);
		assert_int_equal(hop_of(&p.b)->path_mtu, 1500);
		p.a.ip[15] = 77;
		memcpy(c.peer.ip, p.a.ip, 16);
		c.peer.port = PORT;
		set_adj(&p.a, &p.b, 1500);
		set_adj(&p.b, &p.a, 1500);
		assert_int_equal(hop_table_path(p.b.w.hops, &c), 0);
		run_commands(&p.b);
		assert_int_equal(hop_of(&p.b)->path_mtu, 1280);
		p.b.w.foreign_credit = UINT64_MAX / 2;
		run(&p, &wire, 5 * S_NS);
		assert_int_equal(hop_of(&p.b)->path_mtu, 1500);
		pair_fini(&p);
	}
}

static void a_fixed_one_is_not_probed(void **state)
{
	const struct wire wire = {1500, 1500};
	struct dpmsg_keys at_a, at_b;
	struct cmd_hop_add c;
	struct pair p;
	uint16_t owner;

	pair_init(&p, AEAD_NONE, false);
	make_keys(&p, &p.a, &p.b, &at_a, &at_b);
	c = make_add(&p.a, &p.b, &at_a);
	c.path_mtu = 1279;
	assert_int_equal(hop_table_add(p.a.w.hops, &c, p.now_ns, &owner), -EINVAL);
	c.path_mtu = 1300;
	assert_int_equal(hop_table_add(p.a.w.hops, &c, p.now_ns, &owner), 0);
	run_commands(&p.a);
	add_hop(&p, &p.b, &p.a, &at_b);
	run(&p, &wire, 10 * S_NS);
	assert_int_equal(shown(&p.a), 1300);
	assert_int_equal(shown(&p.b), 1500);
	assert_int_equal(hop_stat(&p.a, H_hop_mtu_probes), 0);
	packets_pass(&p, &(struct wire){1300, 1500});
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_direction_finds_its_own),
		cmocka_unit_test(the_usual_case_takes_two_probes),
		cmocka_unit_test(a_path_that_shrinks_in_silence_is_noticed),
		cmocka_unit_test(a_path_below_the_floor_closes_the_link_and_says_why),
		cmocka_unit_test(a_dark_path_is_no_black_hole),
		cmocka_unit_test(a_new_bound_of_our_own_is_followed),
		cmocka_unit_test(a_peer_that_moved_is_searched_for_anew),
		cmocka_unit_test(a_fixed_one_is_not_probed),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
