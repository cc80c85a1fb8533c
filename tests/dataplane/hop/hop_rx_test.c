// The packet path of two linked hops: what goes in at one end comes out at the other, once, byte
// for byte, and whatever is damaged, repeated or from elsewhere does not.

#include "tests/support/hop_pair.h"

static const uint8_t ciphers[] = {AEAD_CHACHA20_POLY1305, AEAD_NONE, AEAD_AES_256_GCM};

static unsigned n_ciphers(void) // AES is the last, for not every CPU has it
{
	return aead_backend_select(AEAD_AES_256_GCM) != NULL ? 3 : 2;
}

static void carries_every_type_and_length(void **state)
{
	static const uint16_t lens[] = {0, 1, 8, 15, 16, 64, 1000, 1400};

	for (unsigned c = 0; c < 2 * n_ciphers(); c++) {
		struct pair p;

		pair_link(&p, ciphers[c / 2], c % 2 != 0);
		for (unsigned type = 0; type < 256; type++) {
			uint16_t len = lens[type % ARRAY_LEN(lens)];

			assert_int_equal(
				send_packet(&p, &p.a, (uint8_t)type, type * 3, len), HOP_PUSHED);
			if (type % 5 == 0)
				deliver_all(&p.a, &p.b);
		}
		deliver_all(&p.a, &p.b);
		for (unsigned type = 0; type < 256; type++)
			expect(&p.b, (uint8_t)type, type * 3, lens[type % ARRAY_LEN(lens)]);
		assert_int_equal(send_packet(&p, &p.b, 9, 8, 7), HOP_PUSHED);
		deliver_all(&p.b, &p.a);
		expect(&p.a, 9, 8, 7);
		assert_int_equal(counter(&p.b, W_drop_auth), 0);
		assert_int_equal(counter(&p.a, W_seal_whole), 256);
		pair_fini(&p);
	}
}

static void keeps_packets_in_order_across_full_bursts(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_NONE, false);
	for (uint32_t round = 0; round < 20; round++) {
		struct rte_mbuf *m[BURST];

		for (uint32_t i = 0; i < BURST; i++)
			m[i] = route_packet(&p, 0, round * BURST + i, 64);
		assert_int_equal(hop_tx_push(&p.a.w, HOP_A, m, BURST), HOP_PUSHED);
		if (round % 3 == 2) // 96 packets: more than a hop holds
			deliver_all(&p.a, &p.b);
	}
	deliver_all(&p.a, &p.b);
	for (uint32_t i = 0; i < 20 * BURST; i++)
		expect(&p.b, 0, i, 64);
	assert_int_equal(p.b.n_got, 0);
	pair_fini(&p);
}

static void drops_replays(void **state)
{
	for (unsigned c = 0; c < n_ciphers(); c++) {
		struct pair p;
		struct rte_mbuf *again[8];

		pair_link(&p, ciphers[c], false);
		for (uint32_t i = 0; i < 4; i++)
			send_packet(&p, &p.a, 0, i, 100);
		flush(&p.a);
		assert_int_equal(p.a.n_wire, 4);
		for (unsigned i = 0; i < 8; i++)
			again[i] = copy_of(&p, p.a.wire[i % 4]);
		// twice in one burst, and all once more in the next
		arrive(&p.b, (struct rte_mbuf *[]){again[0], again[4]}, 2);
		deliver_all(&p.a, &p.b);
		arrive(&p.b,
			(struct rte_mbuf *[]){
				again[1], again[2], again[3], again[5], again[6], again[7]},
			6);
		assert_int_equal(p.b.n_got, 4);
		assert_int_equal(counter(&p.b, W_drop_replay), 8);
		assert_int_equal(stat_get(&hop_of(&p.b)->st->c[H_hop_replayed]), 8);
		pair_fini(&p);
	}
}

static struct rte_mbuf *sent_one(struct pair *p)
{
	send_packet(p, &p->a, 0, 1, 10);
	flush(&p->a);
	return p->a.wire[--p->a.n_wire];
}

static void send_many(struct pair *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		send_packet(p, &p->a, 0, 3, 10);
		if (i % 29 == 0) {
			deliver_all(&p->a, &p->b);
			forget_got(&p->b);
		}
	}
	deliver_all(&p->a, &p->b);
	forget_got(&p->b);
}

static void takes_late_datagrams_once_within_the_window(void **state)
{
	struct pair p;
	struct rte_mbuf *late, *older, *again;

	pair_link(&p, AEAD_NONE, false);
	hop_of(&p.a)->skip_at = UINT64_MAX; // no number is left out
	late = sent_one(&p);
	older = sent_one(&p);
	again = copy_of(&p, late);
	send_many(&p, RAIL_REPLAY_WINDOW - 2);
	arrive(&p.b, &late, 1);
	assert_int_equal(p.b.n_got, 1); // the oldest number that the window knows
	arrive(&p.b, &again, 1);
	assert_int_equal(p.b.n_got, 1);
	assert_int_equal(counter(&p.b, W_drop_replay), 1);
	send_many(&p, 2);
	arrive(&p.b, &older, 1);
	assert_int_equal(p.b.n_got, 0);
	assert_int_equal(counter(&p.b, W_drop_replay), 2);
	assert_int_equal(stat_get(&hop_of(&p.b)->st->c[H_hop_lost]), 1);
	pair_fini(&p);
}

static void counts_what_was_lost_when_it_leaves_the_window(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_NONE, false);
	hop_of(&p.a)->skip_at = UINT64_MAX;
	for (unsigned i = 0; i < 50; i++)
		send_packet(&p, &p.a, 0, 1, 10);
	lose_all(&p.a);
	send_many(&p, 2 * RAIL_REPLAY_WINDOW);
	assert_int_equal(stat_get(&hop_of(&p.b)->st->c[H_hop_lost]), 50);
	// a gap wider than the window
	hop_of(&p.a)->tx_counter += 3 * RAIL_REPLAY_WINDOW;
	send_many(&p, RAIL_REPLAY_WINDOW + 1);
	assert_int_equal(stat_get(&hop_of(&p.b)->st->c[H_hop_lost]), 50 + 3 * RAIL_REPLAY_WINDOW);
	pair_fini(&p);
}

static void refuses_every_single_flipped_bit(void **state)
{
	struct pair p;
	struct rte_mbuf *good;
	unsigned bits;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	send_packet(&p, &p.a, 0, 77, 20);
	flush(&p.a);
	good = p.a.wire[--p.a.n_wire];
	bits = (good->data_len - 42u) * 8;
	for (unsigned bit = 0; bit < bits; bit++) {
		struct rte_mbuf *bad = copy_of(&p, good);

		rte_pktmbuf_mtod(bad, uint8_t *)[42 + bit / 8] ^= (uint8_t)(1u << bit % 8);
		arrive(&p.b, &bad, 1);
		assert_int_equal(p.b.n_got, 0);
	}
	// all but the 32 bits of type and reserved bytes came as far as a hop
	assert_int_equal(counter(&p.b, W_drop_index) + counter(&p.b, W_drop_auth) +
				 counter(&p.b, W_drop_replay),
		bits - 32);
	assert_true(counter(&p.b, W_drop_auth) > 300);
	arrive(&p.b, &good, 1);
	expect(&p.b, 0, 77, 20);
	pair_fini(&p);
}

static void keeps_the_good_ones_of_a_burst_with_bad_ones(void **state)
{
	for (unsigned c = 0; c < n_ciphers(); c++) {
		struct pair p;
		struct rte_mbuf *m;

		pair_link(&p, ciphers[c], false);
		for (uint32_t i = 0; i < 8; i++)
			send_packet(&p, &p.a, 0, i, 50);
		flush(&p.a);
		m = p.a.wire[3]; // its tag
		rte_pktmbuf_mtod(m, uint8_t *)[m->data_len - 1] ^= 1;
		deliver_all(&p.a, &p.b);
		for (uint32_t i = 0; i < 8; i++)
			if (i != 3)
				expect(&p.b, 0, i, 50);
		assert_int_equal(p.b.n_got, 0);
		assert_int_equal(counter(&p.b, W_drop_auth), 1);
		assert_int_equal(stat_get(&hop_of(&p.b)->st->c[H_hop_bad_tag]), 1);
		pair_fini(&p);
	}
}

static void hides(uint8_t cipher)
{
	struct pair p;
	const uint8_t *f;
	unsigned same = 0;

	pair_link(&p, cipher, false);
	send_packet(&p, &p.a, 0, 5, 200);
	flush(&p.a);
	f = rte_pktmbuf_mtod_offset(p.a.wire[0], const uint8_t *, 42 + 16 + 1 + ROUTE_HDR_LEN);
	for (uint32_t i = 0; i < 200; i++)
		same += f[i] == (uint8_t)(5 * 31 + i * 7);
	assert_true(same < 20);
	pair_fini(&p);
}

static void ciphers_what_it_sends(void **state)
{
	for (unsigned c = 0; c < n_ciphers(); c++)
		if (ciphers[c] != AEAD_NONE)
			hides(ciphers[c]);
}

static void opens_foreign_datagrams_within_their_budget_only(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	p.b.w.foreign_credit = 0;
	for (unsigned i = 0; i < 10; i++)
		send_packet(&p, &p.a, 0, i, 50);
	flush(&p.a);
	for (unsigned i = 0; i < 10; i++)
		rte_pktmbuf_mtod(p.a.wire[i], uint8_t *)[14 + 15] = 99; // source 10.0.0.99
	deliver_all(&p.a, &p.b);
	assert_int_equal(p.b.n_got, 0);
	assert_int_equal(counter(&p.b, W_drop_foreign), 10);

	// a little credit opens one; what that cost too much is paid back first
	p.b.w.foreign_credit = 1;
	for (unsigned i = 0; i < 10; i++)
		send_packet(&p, &p.a, 0, i, 50);
	flush(&p.a);
	for (unsigned i = 0; i < 10; i++)
		rte_pktmbuf_mtod(p.a.wire[i], uint8_t *)[14 + 15] = 99;
	deliver_all(&p.a, &p.b);
	assert_int_equal(p.b.n_got, 1);
	assert_int_equal(counter(&p.b, W_drop_foreign), 19);
	assert_true(hop_worker(&p.b.w)->foreign_debt > 0);
	p.b.w.foreign_credit = 1;
	send_packet(&p, &p.a, 0, 1, 50);
	flush(&p.a);
	rte_pktmbuf_mtod(p.a.wire[0], uint8_t *)[14 + 15] = 99;
	deliver_all(&p.a, &p.b);
	assert_int_equal(p.b.n_got, 1);

	// the peer itself is not concerned
	send_packet(&p, &p.a, 0, 1, 50);
	deliver_all(&p.a, &p.b);
	assert_int_equal(p.b.n_got, 2);
	pair_fini(&p);
}

static void takes_several_route_packets_of_one_datagram_in_order(void **state)
{
	struct pair p;
	uint8_t buf[1400];
	struct bytes_w w = bytes_w(buf, sizeof(buf));

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	for (uint32_t i = 0; i < 6; i++) {
		struct rte_mbuf *m = route_packet(&p, (uint8_t)i, 100 + i, (uint16_t)(i * 30));

		bytes_w_u8(&w, RAIL_ROUTE);
		bytes_w_copy(&w, rte_pktmbuf_mtod(m, void *), m->data_len);
		bytes_w_u8(&w, RAIL_PADDING);
		rte_pktmbuf_free(m);
	}
	send_frames(&p, &p.a, buf, (unsigned)bytes_w_len(&w));
	deliver_all(&p.a, &p.b);
	for (uint32_t i = 0; i < 6; i++)
		expect(&p.b, (uint8_t)i, 100 + i, (uint16_t)(i * 30));
	assert_int_equal(p.b.n_got, 0);
	pair_fini(&p);
}

static void counts_what_a_shared_datagram_holds_when_buffers_run_out(void **state)
{
	struct pair p;
	uint8_t buf[64];
	struct bytes_w w = bytes_w(buf, sizeof(buf));
	struct rte_mbuf *hoard[4096];
	unsigned n = 0;

	pair_link(&p, AEAD_NONE, false);
	for (uint32_t i = 0; i < 3; i++) {
		bytes_w_u8(&w, RAIL_ROUTE);
		bytes_w_copy(&w, "\0\0\0\0\1\0\0", 7);
	}
	send_frames(&p, &p.a, buf, (unsigned)bytes_w_len(&w));
	while ((hoard[n] = rte_pktmbuf_alloc(p.pool)) != NULL)
		n++;
	deliver_all(&p.a, &p.b);
	assert_int_equal(p.b.n_got, 1); // the last one keeps the datagram's own buffer
	assert_int_equal(counter(&p.b, W_drop_rx_nombuf), 2);
	assert_int_equal(counter(&p.b, W_pkt_rx), 3);
	rte_pktmbuf_free_bulk(hoard, n);
	pair_fini(&p);
}

static void drops_unknown_receivers(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_NONE, false);
	send_packet(&p, &p.a, 0, 1, 1);
	flush(&p.a);
	rte_pktmbuf_mtod(p.a.wire[0], uint8_t *)[42 + 4] ^= 0x80; // same place, another index
	deliver_all(&p.a, &p.b);
	assert_int_equal(counter(&p.b, W_drop_index), 1);
	pair_fini(&p);
}

static int start(void **state)
{
	test_eal_init(NULL, NULL);
	return 0;
}

// An ACK, and n packets of the routes 1, 2 ... with the sequences 0, 1 ...
static void send_ack_and(struct pair *p, unsigned n)
{
	struct rail_frame ack = {
		.type = RAIL_ACK, .ack = {.highest = hop_of(&p->b)->tx_counter - 1}};
	uint8_t buf[256], packet[ROUTE_HDR_LEN + 8] = {0};
	struct bytes_w w = bytes_w(buf, sizeof(buf));

	assert_int_equal(rail_frame_encode(&w, &ack), 0);
	for (uint32_t i = 0; i < n; i++) {
		struct rail_frame f = {
			.type = RAIL_SEQ, .seq = i, .data = packet, .len = sizeof(packet)};

		route_hdr_put(packet, ROUTE_DATA, 1 + i, 8);
		assert_int_equal(rail_frame_encode(&w, &f), 0);
	}
	send_frames(p, &p->a, buf, (unsigned)bytes_w_len(&w));
}

// In a burst of datagrams that begin with ACKs one has no room. Its number is not taken for
// received, and the next one's is not taken for it.
static void what_is_refused_counts_as_lost(void **state)
{
	struct rte_mbuf *all[4096], *again[2], *burst[2];
	unsigned n = 0;
	struct pair p;

	pair_link_reliable(&p, AEAD_NONE, false);
	settle(&p);
	send_ack_and(&p, 2); // all packets but the last are copied
	send_ack_and(&p, 0);
	flush(&p.a);
	assert_int_equal(p.a.n_wire, 2);
	p.a.n_wire = 0;
	for (unsigned i = 0; i < 2; i++) {
		burst[i] = p.a.wire[i];
		again[i] = copy_of(&p, burst[i]);
	}
	while (n < 4096 && (all[n] = rte_pktmbuf_alloc(p.pool)) != NULL)
		n++;
	arrive(&p.b, burst, 2);
	rte_pktmbuf_free_bulk(all, n);
	assert_int_equal(counter(&p.b, W_drop_no_room), 1);
	assert_int_equal(p.b.n_got, 1);
	assert_int_equal(route_hdr_id(rte_pktmbuf_mtod(p.b.got[0], uint8_t *)), 2); // had its place
	arrive(&p.b, again, 2);
	assert_int_equal(counter(&p.b, W_drop_replay), 1); // the second
	assert_int_equal(p.b.n_got, 2);
	assert_int_equal(route_hdr_id(rte_pktmbuf_mtod(p.b.got[1], uint8_t *)), 1);
	lose_all(&p.b);
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_every_type_and_length),
		cmocka_unit_test(keeps_packets_in_order_across_full_bursts),
		cmocka_unit_test(drops_replays),
		cmocka_unit_test(takes_late_datagrams_once_within_the_window),
		cmocka_unit_test(counts_what_was_lost_when_it_leaves_the_window),
		cmocka_unit_test(refuses_every_single_flipped_bit),
		cmocka_unit_test(keeps_the_good_ones_of_a_burst_with_bad_ones),
		cmocka_unit_test(ciphers_what_it_sends),
		cmocka_unit_test(opens_foreign_datagrams_within_their_budget_only),
		cmocka_unit_test(takes_several_route_packets_of_one_datagram_in_order),
		cmocka_unit_test(counts_what_a_shared_datagram_holds_when_buffers_run_out),
		cmocka_unit_test(drops_unknown_receivers),
		cmocka_unit_test(what_is_refused_counts_as_lost),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
