// Route packets larger than the path: cut into parts, joined again, in bounded memory (rail.md 3).

#include "tests/support/hop_pair.h"

static void send_big(struct pair *p, uint32_t id, uint16_t len)
{
	assert_int_equal(send_packet(p, &p->a, 0, id, len), HOP_PUSHED);
	flush(&p->a);
}

static void carries_what_is_larger_than_the_path(void **state)
{
	static const uint16_t lens[] = {
		1401, 1424, 1425, 1426, 1427, 2800, 2900, 9000, 9200, 20000, 65535};
	static const uint16_t mtus[] = {1280, 1500, 9000};

	for (unsigned c = 0; c < 12; c++) {
		struct pair p;

		pair_link(&p, c & 1 ? AEAD_NONE : AEAD_CHACHA20_POLY1305, c & 2);
		set_adj(&p.a, &p.b, mtus[c / 4]);
		for (unsigned i = 0; i < ARRAY_LEN(lens); i++) {
			send_big(&p, i + 1, lens[i]);
			for (unsigned k = 0; k < p.a.n_wire; k++)
				assert_true(p.a.wire[k]->pkt_len - 14 <= mtus[c / 4]);
			deliver_all(&p.a, &p.b);
			assert_int_equal(p.b.n_got, 1);
			expect(&p.b, 0, i + 1, lens[i]);
		}
		assert_true(counter(&p.a, W_seal_parted) > 0);
		assert_int_equal(hop_worker(&p.b.w)->parts_held, 0);
		pair_fini(&p);
	}
}

// A packet that was joined here, a chain of segments, goes on over a second link.
static void passes_on_what_it_joined(void **state)
{
	static const uint16_t lens[] = {1500, 3000, 8000, 65535};

	for (unsigned big = 0; big < 2; big++) {
		struct pair p;

		pair_link(&p, AEAD_CHACHA20_POLY1305, false);
		if (big)
			set_adj(&p.b, &p.a, 9000);
		for (unsigned i = 0; i < ARRAY_LEN(lens); i++) {
			struct rte_mbuf *m;

			send_big(&p, 3, lens[i]);
			deliver_all(&p.a, &p.b);
			m = p.b.got[--p.b.n_got];
			assert_true(m->nb_segs > 1);
			assert_int_equal(hop_tx_push(&p.b.w, HOP_B, &m, 1), HOP_PUSHED);
			deliver_all(&p.b, &p.a);
			expect(&p.a, 0, 3, lens[i]);
		}
		pair_fini(&p);
	}
}

static uint32_t next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

static void joins_in_any_order(void **state)
{
	uint32_t rng = 12345;

	for (unsigned round = 0; round < 50; round++) {
		struct pair p;

		pair_link(&p, AEAD_CHACHA20_POLY1305, false);
		send_big(&p, 1, 30000);
		send_big(&p, 2, 12345);
		for (unsigned i = p.a.n_wire - 1; i > 0; i--) {
			unsigned k = next_random(&rng) % (i + 1);
			struct rte_mbuf *m = p.a.wire[i];

			p.a.wire[i] = p.a.wire[k];
			p.a.wire[k] = m;
		}
		deliver_all(&p.a, &p.b);
		assert_int_equal(p.b.n_got, 2);
		if (route_hdr_id(rte_pktmbuf_mtod(p.b.got[0], uint8_t *)) == 1) {
			expect(&p.b, 0, 1, 30000);
			expect(&p.b, 0, 2, 12345);
		} else {
			expect(&p.b, 0, 2, 12345);
			expect(&p.b, 0, 1, 30000);
		}
		pair_fini(&p);
	}
}

static void forgets_what_never_becomes_whole(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	send_big(&p, 1, 30000);
	rte_pktmbuf_free(p.a.wire[7]);
	memmove(&p.a.wire[7], &p.a.wire[8], (--p.a.n_wire - 7) * sizeof(p.a.wire[0]));
	deliver_all(&p.a, &p.b);
	assert_int_equal(p.b.n_got, 0);
	assert_true(hop_worker(&p.b.w)->parts_held > 15);
	advance(&p, 1100 * MS_NS);
	assert_int_equal(hop_worker(&p.b.w)->parts_held, 0);
	assert_int_equal(counter(&p.b, W_parts_dropped), counter(&p.b, W_parts_rx));
	send_big(&p, 2, 30000);
	deliver_all(&p.a, &p.b);
	expect(&p.b, 0, 2, 30000);
	pair_fini(&p);
}

// One PART frame as a peer with another path would cut it.
static void send_part(
	struct pair *p, uint32_t number, uint32_t id, uint32_t total, uint32_t off, uint32_t len)
{
	struct rte_mbuf *whole = route_packet(p, 0, id, (uint16_t)(total - ROUTE_HDR_LEN));
	uint8_t *buf = malloc(ROUTE_PACKET_MAX), *data = malloc(ROUTE_PACKET_MAX);
	const struct rail_frame f = {.type = RAIL_PART,
		.seq = number,
		.total = total,
		.offset = off,
		.len = len,
		.data = memcpy(data, rte_pktmbuf_read(whole, off, len, buf), len)};
	uint8_t frame[2000];
	struct bytes_w w = bytes_w(frame, sizeof(frame));

	assert_int_equal(rail_frame_encode(&w, &f), 0);
	send_frames(p, &p->a, frame, (unsigned)bytes_w_len(&w));
	rte_pktmbuf_free(whole);
	free(buf);
	free(data);
}

static void merges_cuts_that_overlap(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	send_part(&p, 900, 4, 3000, 1000, 1000);
	send_part(&p, 900, 4, 3000, 500, 700);
	send_part(&p, 900, 4, 3000, 2500, 500);
	send_part(&p, 900, 4, 3000, 1000, 1000); // again
	send_part(&p, 900, 4, 3000, 0, 1300);
	send_part(&p, 900, 4, 3000, 1900, 700);
	deliver_all(&p.a, &p.b);
	assert_int_equal(p.b.n_got, 1);
	expect(&p.b, 0, 4, 3000 - ROUTE_HDR_LEN);
	assert_int_equal(hop_worker(&p.b.w)->parts_held, 0);
	pair_fini(&p);
}

static void pulls_a_header_together(void **state)
{
	for (uint32_t first = 1; first < 9; first++) {
		struct pair p;

		pair_link(&p, AEAD_CHACHA20_POLY1305, false);
		send_part(&p, 1, 4, 50, first + 2, 48 - first);
		send_part(&p, 1, 4, 50, first, 2);
		send_part(&p, 1, 4, 50, 0, first);
		deliver_all(&p.a, &p.b);
		expect(&p.b, 0, 4, 43); // looks for seven bytes in one piece
		pair_fini(&p);
	}
	// a part that lies around another: one buffer is needed twice
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	send_part(&p, 1, 4, 500, 200, 20);
	send_part(&p, 1, 4, 500, 0, 500);
	deliver_all(&p.a, &p.b);
	expect(&p.b, 0, 4, 493);
	pair_fini(&p);
}

static void holds_no_more_than_its_share_of_buffers(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	for (uint32_t i = 0; i < 2000; i++) {
		send_part(&p, i, 4, 60000, (i * 16) % 50000, 15);
		if (i % 20 == 0)
			deliver_all(&p.a, &p.b);
		assert_true(hop_worker(&p.b.w)->parts_held <= 300);
	}
	deliver_all(&p.a, &p.b);
	assert_int_equal(p.b.n_got, 0);
	assert_true(counter(&p.b, W_parts_dropped) >= 1700);
	assert_int_equal(hop_of(&p.b)->parts_held, hop_worker(&p.b.w)->parts_held);
	assert_true(hop_of(&p.b)->up);
	advance(&p, 1100 * MS_NS);
	assert_int_equal(hop_worker(&p.b.w)->parts_held, 0);
	pair_fini(&p);
}

static void sends_nothing_of_a_packet_that_cannot_be_cut(void **state)
{
	struct pair p;
	struct rte_mbuf *hoard[4096];
	unsigned n = 0;

	pair_link(&p, AEAD_NONE, false);
	send_packet(&p, &p.a, 0, 1, 30000);
	while ((hoard[n] = rte_pktmbuf_alloc(p.pool)) != NULL)
		n++;
	rte_pktmbuf_free_bulk(hoard, 5);
	flush(&p.a);
	assert_int_equal(p.a.n_wire, 0);
	assert_int_equal(counter(&p.a, W_drop_no_mbuf), 1);
	rte_pktmbuf_free_bulk(hoard + 5, n - 5);
	pair_fini(&p);
}

// What was lost in the middle holds all buffers that a worker may hold: a new packet gets through.
static void what_is_incomplete_gives_way(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	hop_worker(&p.b.w)->part_mbufs = 10;
	for (uint32_t i = 0; i < 10; i++)
		send_part(&p, i, 4, 60000, 100, 15);
	deliver_all(&p.a, &p.b);
	assert_int_equal(hop_worker(&p.b.w)->parts_held, 10);
	send_part(&p, 10, 4, 50, 30, 20);
	send_part(&p, 10, 4, 50, 0, 30);
	deliver_all(&p.a, &p.b);
	expect(&p.b, 0, 4, 43);
	// one for each of both parts: it isn't known before that the second completes the packet
	assert_int_equal(counter(&p.b, W_parts_dropped), 2);
	assert_int_equal(hop_worker(&p.b.w)->parts_held, 8);
	pair_fini(&p);
}

// Pieces that fit are the parts: no buffer is needed for them.
static void cuts_where_the_pieces_lie(void **state)
{
	struct pair p;
	struct rte_mbuf *hoard[4096], *m;
	unsigned n = 0, pieces;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	send_big(&p, 3, 30000);
	deliver_all(&p.a, &p.b);
	m = p.b.got[--p.b.n_got];
	pieces = m->nb_segs;
	while ((hoard[n] = rte_pktmbuf_alloc(p.pool)) != NULL)
		n++;
	assert_int_equal(hop_tx_push(&p.b.w, HOP_B, &m, 1), HOP_PUSHED);
	flush(&p.b);
	assert_int_equal(p.b.n_wire, pieces);
	rte_pktmbuf_free_bulk(hoard, n);
	deliver_all(&p.b, &p.a);
	expect(&p.a, 0, 3, 30000);
	pair_fini(&p);
}

static void a_peer_that_cuts_fine_makes_us_send_no_more(void **state)
{
	struct pair p;
	struct rte_mbuf *m;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	for (uint32_t off = 0; off < 4000; off += 100)
		send_part(&p, 1, 4, 4000, off, 100);
	deliver_all(&p.a, &p.b);
	m = p.b.got[--p.b.n_got];
	assert_int_equal(m->nb_segs, 40);
	assert_int_equal(hop_tx_push(&p.b.w, HOP_B, &m, 1), HOP_PUSHED);
	flush(&p.b);
	assert_int_equal(p.b.n_wire, 3);
	deliver_all(&p.b, &p.a);
	expect(&p.a, 0, 4, 3993);
	pair_fini(&p);
}

static void parts_held_go_with_their_hop(void **state)
{
	struct pair p;
	struct cmd_hop_del del = {.hop = HOP_B};

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	send_part(&p, 1, 4, 50, 3, 30);
	deliver_all(&p.a, &p.b);
	assert_int_equal(hop_worker(&p.b.w)->parts_held, 1);
	assert_int_equal(hop_table_del(p.b.w.hops, &del), 0);
	run_commands(&p.b);
	assert_int_equal(hop_worker(&p.b.w)->parts_held, 0);
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_what_is_larger_than_the_path),
		cmocka_unit_test(passes_on_what_it_joined),
		cmocka_unit_test(joins_in_any_order),
		cmocka_unit_test(forgets_what_never_becomes_whole),
		cmocka_unit_test(merges_cuts_that_overlap),
		cmocka_unit_test(pulls_a_header_together),
		cmocka_unit_test(holds_no_more_than_its_share_of_buffers),
		cmocka_unit_test(sends_nothing_of_a_packet_that_cannot_be_cut),
		cmocka_unit_test(what_is_incomplete_gives_way),
		cmocka_unit_test(cuts_where_the_pieces_lie),
		cmocka_unit_test(a_peer_that_cuts_fine_makes_us_send_no_more),
		cmocka_unit_test(parts_held_go_with_their_hop),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
