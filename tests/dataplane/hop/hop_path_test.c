// A reliable hop whose peer was seen at another address (rail.md 3): how that address is proven on
// a wire that loses and is slow, and what becomes of the path when it is not.

#include "tests/support/hop_pair.h"

enum {
	OLD_IP = 1, // the last byte
	NEW_IP = 77,
	NEW_PORT = 5555,
	ADJ_NEW = 3 | 7 << DPMSG_HANDLE_BITS,
	FLYING_MAX = 256,
	STEP_MS = 10, // as often as a hop is visited
	NET_DST_IP = 14 + 16 + 3, // in a frame
	NET_SRC_PORT = 14 + 20,
	NET_DST_PORT = 14 + 20 + 2,
};

// A is behind a NAT of which the outside changes, and answers wherever it was asked.
struct world {
	struct pair p;
	uint8_t ip; // of A, seen from outside
	uint16_t port;
	uint64_t one_way_ns;
	unsigned lose; // of what goes to A, so many datagrams from now on
	unsigned n_lost;
	struct {
		struct rte_mbuf *m;
		uint64_t due_ns;
		struct node *to;
	} flying[FLYING_MAX];
	unsigned n_flying;
};

static void adj_to(struct node *x, uint32_t adj, const struct node *to, uint8_t ip)
{
	struct cmd_adj_set c = {.adj = adj, .mtu = 1500, .usable = 1};

	memcpy(c.src_mac, x->mac, 6);
	memcpy(c.dst_mac, to->mac, 6);
	memcpy(c.src_ip, x->ip, 16);
	memcpy(c.dst_ip, to->ip, 16);
	c.dst_ip[15] = ip;
	assert_int_equal(adj_set((struct adj_table *)(uintptr_t)x->w.adjs, &c), 0);
}

static void world_init(struct world *o)
{
	memset(o, 0, sizeof(*o));
	pair_link_reliable(&o->p, AEAD_CHACHA20_POLY1305, false);
	adj_to(&o->p.b, ADJ_NEW, &o->p.a, NEW_IP);
	add_rule(&o->p, &o->p.a, 1, HOP_A, RULE_IN_LOCAL);
	add_rule(&o->p, &o->p.b, 2, HOP_B, RULE_IN_LOCAL);
	o->ip = OLD_IP;
	o->port = PORT;
	o->p.a.w.foreign_credit = UINT64_MAX / 2;
	o->p.b.w.foreign_credit = UINT64_MAX / 2;
}

static void take_off(struct world *o, struct node *from, struct node *to)
{
	flush(from);
	for (unsigned i = 0; i < from->n_wire; i++) {
		assert_true(o->n_flying < FLYING_MAX);
		o->flying[o->n_flying].m = from->wire[i];
		o->flying[o->n_flying].to = to;
		o->flying[o->n_flying++].due_ns = o->p.now_ns + o->one_way_ns;
	}
	from->n_wire = 0;
}

// Behind the NAT, or nowhere.
static bool gets_to_a(struct world *o, uint8_t *frame)
{
	if (frame[NET_DST_IP] != o->ip || be16_get(frame + NET_DST_PORT) != o->port)
		return false;
	be16_put(frame + NET_DST_PORT, PORT);
	if (o->lose == 0)
		return true;
	o->lose--;
	o->n_lost++;
	return false;
}

static void land(struct world *o)
{
	unsigned n = o->n_flying;

	o->n_flying = 0;
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = o->flying[i].m;
		uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
		struct node *to = o->flying[i].to;

		if (o->flying[i].due_ns > o->p.now_ns) {
			o->flying[o->n_flying++] = o->flying[i];
			continue;
		}
		if (to == &o->p.b)
			be16_put(frame + NET_SRC_PORT, o->port);
		if (to == &o->p.b || gets_to_a(o, frame))
			arrive(to, &m, 1);
		else
			rte_pktmbuf_free(m);
	}
}

static void run_ms(struct world *o, unsigned ms)
{
	for (unsigned i = 0; i < ms / STEP_MS; i++) {
		take_off(o, &o->p.a, &o->p.b);
		take_off(o, &o->p.b, &o->p.a);
		advance(&o->p, STEP_MS * MS_NS);
		land(o);
	}
}

// Packets both ways, so that both know the round trip.
static void measure(struct world *o)
{
	for (unsigned i = 0; i < 20; i++) {
		send_packet(&o->p, &o->p.a, ROUTE_DATA, 1, 10);
		send_packet(&o->p, &o->p.b, ROUTE_DATA, 2, 10);
		run_ms(o, 2 * STEP_MS);
	}
	run_ms(o, 2000);
	forget_got(&o->p.a);
	forget_got(&o->p.b);
	skip_notes(&o->p.b);
}

// A is seen from there; B, that is told to follow, tries it.
static void moves(struct world *o, uint8_t ip, uint16_t port)
{
	struct cmd_hop_path c = {.hop = HOP_B, .adj = ip == OLD_IP ? ADJ : ADJ_NEW, .roamed = 1};

	o->ip = ip;
	o->port = port;
	o->p.a.ip[15] = ip;
	set_adj(&o->p.a, &o->p.b, 1500);
	send_packet(&o->p, &o->p.a, ROUTE_DATA, 1, 10);
	take_off(o, &o->p.a, &o->p.b);
	set_now(&o->p, o->p.now_ns + o->one_way_ns);
	land(o);
	memcpy(c.peer.ip, o->p.a.ip, 16);
	c.peer.port = port;
	assert_int_equal(hop_table_path(o->p.b.w.hops, &c), 0);
	run_commands(&o->p.b);
	assert_true(hop_of(&o->p.b)->trying);
	assert_int_equal(hop_of(&o->p.b)->peer.port, port);
}

static void world_fini(struct world *o)
{
	for (unsigned i = 0; i < o->n_flying; i++)
		rte_pktmbuf_free(o->flying[i].m);
	pair_fini(&o->p);
}

static uint64_t srtt_ns(struct node *x)
{
	struct rel_stats st;

	rel_stats(hop_of(x)->rel->rel, &st);
	return st.srtt_ns;
}

static void goes_on(struct world *o)
{
	forget_got(&o->p.a);
	send_packet(&o->p, &o->p.b, ROUTE_DATA, 2, 33);
	run_ms(o, 2000);
	expect(&o->p.a, ROUTE_DATA, 2, 33);
}

static void a_lost_probe_of_an_address_is_repeated(void **state)
{
	static const struct {
		uint8_t ip;
		uint16_t port;
		unsigned lose;
	} cases[] = {{OLD_IP, NEW_PORT, 5}, {NEW_IP, PORT, 2}, {NEW_IP, NEW_PORT, 1}};

	for (unsigned i = 0; i < RTE_DIM(cases); i++) {
		struct world o;

		world_init(&o);
		o.one_way_ns = 5 * MS_NS;
		measure(&o);
		moves(&o, cases[i].ip, cases[i].port);
		o.lose = cases[i].lose;
		run_ms(&o, 2900);
		assert_int_equal(o.n_lost, cases[i].lose);
		assert_false(hop_of(&o.p.b)->trying);
		assert_int_equal(hop_of(&o.p.b)->peer.ip[15], cases[i].ip);
		goes_on(&o);
		run_ms(&o, 4000);
		assert_int_equal(hop_of(&o.p.b)->peer.port, cases[i].port);
		assert_int_equal(hop_of(&o.p.b)->peer.ip[15], cases[i].ip);
		world_fini(&o);
	}
}

// The way there may be much longer than the one before, and an answer comes when the PROBE has been
// repeated.
static void an_address_far_away_is_proven(void **state)
{
	static const unsigned round_trips_ms[] = {20, 300, 600, 1600};

	for (unsigned i = 0; i < 2 * RTE_DIM(round_trips_ms); i++) {
		uint64_t rtt_ns = round_trips_ms[i / 2] * MS_NS;
		uint8_t ip = i % 2 == 0 ? OLD_IP : NEW_IP;
		struct world o;

		world_init(&o);
		o.one_way_ns = 5 * MS_NS;
		measure(&o);
		assert_in_range(srtt_ns(&o.p.b), 10 * MS_NS, 40 * MS_NS);
		o.one_way_ns = rtt_ns / 2;
		moves(&o, ip, NEW_PORT);
		run_ms(&o, 2900);
		assert_false(hop_of(&o.p.b)->trying);
		assert_int_equal(hop_of(&o.p.b)->peer.port, NEW_PORT);
		if (ip == NEW_IP) // nothing of the old path's is mixed in
			assert_in_range(srtt_ns(&o.p.b), rtt_ns, rtt_ns + 4 * STEP_MS * MS_NS);
		goes_on(&o);
		world_fini(&o);
	}
}

static void an_address_that_never_answers_is_left_after_three_time_outs(void **state)
{
	static const struct {
		unsigned old_rtt_ms;
		uint8_t ip;
	} cases[] = {{10, OLD_IP}, {10, NEW_IP}, {1200, OLD_IP}, {1200, NEW_IP}};

	for (unsigned i = 0; i < RTE_DIM(cases); i++) {
		struct dp_note n;
		struct world o;
		uint64_t pto_ns, before;

		world_init(&o);
		o.one_way_ns = cases[i].old_rtt_ms / 2 * MS_NS;
		measure(&o);
		pto_ns = rel_path(hop_of(&o.p.b)->rel->rel).pto_ns;
		assert_int_equal(pto_ns > S_NS, cases[i].old_rtt_ms > 1000);
		pto_ns = RTE_MAX(pto_ns, S_NS);
		before = counter(&o.p.b, W_probes_tx);
		moves(&o, cases[i].ip, NEW_PORT);
		skip_notes(&o.p.b);
		o.ip = OLD_IP; // it was never there
		o.port = PORT;
		o.p.a.ip[15] = OLD_IP;
		set_adj(&o.p.a, &o.p.b, 1500);
		run_ms(&o, (unsigned)(3 * pto_ns / MS_NS) - 100);
		assert_true(hop_of(&o.p.b)->trying);
		assert_in_range(counter(&o.p.b, W_probes_tx) - before, 3, 15);
		for (unsigned t = 0; t < 200 && hop_of(&o.p.b)->trying; t += STEP_MS)
			run_ms(&o, STEP_MS);
		assert_false(hop_of(&o.p.b)->trying);
		assert_true(next_note(&o.p.b, NOTE_HOP_ROAMED, &n));
		assert_int_equal(n.addr.port, PORT);
		assert_int_equal(n.addr.ip[15], OLD_IP);
		assert_int_equal(hop_of(&o.p.b)->peer.port, PORT);
		assert_int_equal(hop_of(&o.p.b)->adj, ADJ);
		assert_int_equal(rel_path(hop_of(&o.p.b)->rel->rel).pto_count, 0);
		assert_int_equal(srtt_ns(&o.p.b), 0);
		goes_on(&o);
		assert_in_range(
			srtt_ns(&o.p.b), 2 * o.one_way_ns, 2 * o.one_way_ns + 4 * STEP_MS * MS_NS);
		world_fini(&o);
	}
}

// The way back from an address tried before may be longer than the patience of whoever asks again.
static void an_answer_from_an_address_tried_before_proves_nothing(void **state)
{
	struct world o;

	world_init(&o);
	o.one_way_ns = 50 * MS_NS;
	measure(&o);
	moves(&o, OLD_IP, NEW_PORT);
	run_ms(&o, 70); // the PROBE got there, the answer is under way
	o.one_way_ns = 0;
	moves(&o, OLD_IP, NEW_PORT + 1);
	o.port = 1; // nothing gets through any more, but what flies
	o.one_way_ns = 50 * MS_NS;
	run_ms(&o, 500);
	assert_true(hop_of(&o.p.b)->trying);
	o.port = NEW_PORT + 1;
	run_ms(&o, 2000);
	assert_false(hop_of(&o.p.b)->trying);
	goes_on(&o);
	world_fini(&o);
}

static void a_key_for_another_address_ends_the_try(void **state)
{
	struct cmd_hop_rekey c = {.hop = HOP_B};
	struct dpmsg_keys at_a, at_b;
	struct world o;

	world_init(&o);
	o.one_way_ns = 50 * MS_NS;
	measure(&o);
	moves(&o, OLD_IP, NEW_PORT);
	make_keys(&o.p, &o.p.b, &o.p.a, &at_b, &at_a);
	c.keys = at_b;
	memcpy(c.peer.ip, o.p.a.ip, sizeof(c.peer.ip));
	c.peer.ip[15] = NEW_IP;
	c.peer.port = PORT;
	c.adj = ADJ_NEW;
	rekey(&o.p, &o.p.a, &at_a, 0);
	assert_int_equal(hop_table_rekey(o.p.b.w.hops, &c, o.p.now_ns), 0);
	run_commands(&o.p.b);
	assert_false(hop_of(&o.p.b)->trying);
	assert_int_equal(srtt_ns(&o.p.b), 0);
	o.p.a.ip[15] = NEW_IP;
	set_adj(&o.p.a, &o.p.b, 1500);
	o.ip = NEW_IP;
	o.port = PORT;
	run_ms(&o, 5000);
	assert_int_equal(hop_of(&o.p.b)->peer.ip[15], NEW_IP);
	goes_on(&o);
	world_fini(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lost_probe_of_an_address_is_repeated),
		cmocka_unit_test(an_address_far_away_is_proven),
		cmocka_unit_test(an_address_that_never_answers_is_left_after_three_time_outs),
		cmocka_unit_test(an_answer_from_an_address_tried_before_proves_nothing),
		cmocka_unit_test(a_key_for_another_address_ends_the_try),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
