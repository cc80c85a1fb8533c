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
	return s.unacked == 0 && s.in_flight == 0;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_wire_needs_no_repetition),
		cmocka_unit_test(losses_are_repeated),
		cmocka_unit_test(reordering_and_duplicates_do_no_harm),
		cmocka_unit_test(the_worst_wire_delivers_too),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
