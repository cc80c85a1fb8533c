// Keys, instances and timers of two linked hops (rail.md 2 and 3).

#include "tests/support/hop_pair.h"

static void traffic(struct pair *p, uint32_t id)
{
	send_packet(p, &p->a, 0, id, 30);
	send_packet(p, &p->b, 0, id + 1, 30);
	deliver_all(&p->a, &p->b);
	deliver_all(&p->b, &p->a);
	expect(&p->b, 0, id, 30);
	expect(&p->a, 0, id + 1, 30);
}

static void responder_is_silent_until_the_key_is_confirmed(void **state)
{
	struct pair p;
	struct dpmsg_keys at_a, at_b;
	struct dp_note n;

	pair_init(&p, AEAD_CHACHA20_POLY1305, false);
	make_keys(&p, &p.a, &p.b, &at_a, &at_b);
	add_hop(&p, &p.b, &p.a, &at_b);
	assert_int_equal(send_packet(&p, &p.b, 0, 1, 1), HOP_GONE);
	advance(&p, 60 * S_NS);
	assert_int_equal(p.b.n_wire, 0);
	assert_false(next_note(&p.b, NOTE_HOP_KEYED, &n));
	add_hop(&p, &p.a, &p.b, &at_a);
	flush(&p.a);
	assert_int_equal(p.a.n_wire, 1); // the probe, at once
	deliver_all(&p.a, &p.b);
	assert_true(next_note(&p.b, NOTE_HOP_KEYED, &n));
	assert_int_equal(n.value, at_b.rx_index);
	assert_int_equal(send_packet(&p, &p.b, 0, 1, 1), HOP_PUSHED);
	deliver_all(&p.b, &p.a);
	expect(&p.a, 0, 1, 1);
	assert_true(next_note(&p.a, NOTE_HOP_KEYED, &n));
	assert_int_equal(n.value, at_a.rx_index);
	pair_fini(&p);
}

static void initiator_repeats_its_probe_until_it_is_answered(void **state)
{
	struct pair p;
	struct dpmsg_keys at_a, at_b;

	pair_init(&p, AEAD_CHACHA20_POLY1305, false);
	make_keys(&p, &p.a, &p.b, &at_a, &at_b);
	add_hop(&p, &p.b, &p.a, &at_b);
	add_hop(&p, &p.a, &p.b, &at_a);
	for (unsigned i = 0; i < 5; i++) {
		lose_all(&p.a);
		advance(&p, S_NS + 20 * MS_NS);
		assert_int_equal(p.a.n_wire, 1);
	}
	settle(&p);
	advance(&p, S_NS + 20 * MS_NS);
	assert_int_equal(p.a.n_wire, 0);
	pair_fini(&p);
}

// `from` begins a re-key while packets are under way in both directions; none is lost.
static void rekey_under_traffic(bool from_a, uint8_t cipher)
{
	struct pair p;
	struct dpmsg_keys mine, theirs;
	struct node *from, *to;
	struct rte_mbuf *old_frames[3];
	struct dp_note n;

	pair_link(&p, cipher, false);
	from = from_a ? &p.a : &p.b;
	to = from_a ? &p.b : &p.a;
	traffic(&p, 10);
	make_keys(&p, from, to, &mine, &theirs);
	rekey(&p, to, &theirs, 0); // the responder has answered
	send_packet(&p, to, 0, 100, 5);
	deliver_all(to, from); // still under the old key
	expect(from, 0, 100, 5);
	for (uint32_t i = 0; i < 3; i++)
		send_packet(&p, from, 0, 200 + i, 5);
	flush(from);
	assert_int_equal(from->n_wire, 3);
	memcpy(old_frames, from->wire,
		sizeof(old_frames)); // sealed under the old key, still on the way
	from->n_wire = 0;
	rekey(&p, from, &mine, 0);
	send_packet(&p, from, 0, 300, 5);
	send_packet(&p, to, 0, 400, 5); // the responder does not know yet
	flush(to);
	deliver_all(from, to);
	expect(to, 0, 300, 5);
	assert_true(next_note(to, NOTE_HOP_KEYED, &n));
	assert_int_equal(n.value, theirs.rx_index);
	arrive(to, old_frames, 3);
	for (uint32_t i = 0; i < 3; i++)
		expect(to, 0, 200 + i, 5);
	deliver_all(to, from);
	expect(from, 0, 400, 5);
	settle(&p);
	traffic(&p, 20);
	assert_int_equal(hop_of(from)->keys[hop_of(from)->send].rx_index, mine.rx_index);
	assert_int_equal(hop_of(to)->keys[hop_of(to)->send].rx_index, theirs.rx_index);
	assert_int_equal(counter(&p.a, W_drop_index) + counter(&p.b, W_drop_index), 0);
	assert_int_equal(counter(&p.a, W_drop_replay) + counter(&p.b, W_drop_replay), 0);
	pair_fini(&p);
}

static void rekeys_without_loss(void **state)
{
	rekey_under_traffic(true, AEAD_CHACHA20_POLY1305);
	rekey_under_traffic(false, AEAD_CHACHA20_POLY1305);
	rekey_under_traffic(true, AEAD_NONE);
	rekey_under_traffic(false, AEAD_NONE);
	if (aead_backend_select(AEAD_AES_256_GCM) == NULL)
		return;
	rekey_under_traffic(true, AEAD_AES_256_GCM);
	rekey_under_traffic(false, AEAD_AES_256_GCM);
}

static void counters_go_on_across_a_rekey(void **state)
{
	struct pair p;
	struct dpmsg_keys mine, theirs;
	struct rte_mbuf *old;
	uint64_t before;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	send_packet(&p, &p.a, 0, 1, 1);
	flush(&p.a);
	old = copy_of(&p, p.a.wire[0]);
	settle(&p);
	before = hop_of(&p.a)->tx_counter;
	make_keys(&p, &p.a, &p.b, &mine, &theirs);
	rekey(&p, &p.b, &theirs, 0);
	rekey(&p, &p.a, &mine, 0);
	settle(&p);
	assert_true(hop_of(&p.a)->tx_counter > before);
	assert_true(hop_of(&p.b)->replay->top >= before);
	arrive(&p.b, &old, 1);
	assert_int_equal(counter(&p.b, W_drop_replay), 1);
	pair_fini(&p);
}

static void previous_key_is_wiped_ten_seconds_later(void **state)
{
	struct pair p;
	struct dpmsg_keys mine, theirs;
	struct rte_mbuf *old[2];
	static const uint8_t zero[sizeof(struct hop_key)];

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	for (unsigned i = 0; i < 2; i++) {
		send_packet(&p, &p.a, 0, i, 1);
		flush(&p.a);
		old[i] = p.a.wire[--p.a.n_wire];
	}
	make_keys(&p, &p.a, &p.b, &mine, &theirs);
	rekey(&p, &p.b, &theirs, 0);
	rekey(&p, &p.a, &mine, 0);
	settle(&p);
	advance(&p, 9900 * MS_NS);
	settle(&p);
	arrive(&p.b, &old[0], 1);
	expect(&p.b, 0, 0, 1);
	advance(&p, 200 * MS_NS);
	arrive(&p.b, &old[1], 1);
	assert_int_equal(p.b.n_got, 0);
	assert_int_equal(counter(&p.b, W_drop_index), 1);
	for (struct node *x = &p.a; x != NULL; x = x == &p.a ? &p.b : NULL)
		for (unsigned k = 0; k < HOP_KEYS; k++)
			if ((int)k != hop_of(x)->send)
				assert_memory_equal(&hop_of(x)->keys[k], zero, sizeof(zero));
	pair_fini(&p);
}

static void a_pending_key_that_was_not_used_is_replaced(void **state)
{
	struct pair p;
	struct dpmsg_keys m1, t1, m2, t2;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	make_keys(&p, &p.a, &p.b, &m1, &t1);
	make_keys(&p, &p.a, &p.b, &m2, &t2);
	rekey(&p, &p.b, &t1, 0);
	rekey(&p, &p.b, &t2, 0);
	rekey(&p, &p.a, &m1, 0); // an answer to the first one: no longer known
	settle(&p);
	assert_true(counter(&p.b, W_drop_index) > 0);
	rekey(&p, &p.a, &m2, 0);
	settle(&p);
	traffic(&p, 1);
	pair_fini(&p);
}

static void rekeys_that_cross_lose_nothing(void **state)
{
	struct pair p;
	struct dpmsg_keys a_init, a_resp, b_init, b_resp;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	make_keys(&p, &p.a, &p.b, &a_init, &b_resp);
	make_keys(&p, &p.b, &p.a, &b_init, &a_resp);
	rekey(&p, &p.a, &a_resp, 0);
	rekey(&p, &p.b, &b_resp, 0);
	rekey(&p, &p.a, &a_init, 0);
	rekey(&p, &p.b, &b_init, 0);
	for (uint32_t i = 0; i < 5; i++)
		traffic(&p, 10 * i);
	settle(&p);
	advance(&p, 11 * S_NS);
	settle(&p);
	traffic(&p, 1000);
	assert_int_equal(counter(&p.a, W_drop_index) + counter(&p.b, W_drop_index), 0);
	pair_fini(&p);
}

static void many_rekeys_leave_three_keys_at_most(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	for (uint32_t i = 0; i < 40; i++) {
		struct dpmsg_keys mine, theirs;

		make_keys(&p, i % 3 ? &p.a : &p.b, i % 3 ? &p.b : &p.a, &mine, &theirs);
		rekey(&p, i % 3 ? &p.b : &p.a, &theirs, 0);
		rekey(&p, i % 3 ? &p.a : &p.b, &mine, 0);
		settle(&p);
		traffic(&p, i);
		skip_notes(&p.a);
		skip_notes(&p.b);
	}
	assert_int_equal(stat_get(&hop_of(&p.b)->st->c[H_hop_rekeys]), 41);
	pair_fini(&p);
}

static void a_reset_takes_effect_at_the_first_authentic_datagram(void **state)
{
	struct pair p;
	struct dpmsg_keys mine, theirs;
	struct rte_mbuf *old;
	struct evt_hop show;
	struct cmd_hop_rekey c = {.hop = HOP_B,
		.flags = HOP_RESET,
		.instance_local = 11,
		.instance_remote = 12,
		.payload_max = 1300};

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	for (uint32_t i = 0; i < 100; i++)
		traffic(&p, i);
	send_packet(&p, &p.a, 0, 5, 5);
	flush(&p.a);
	old = copy_of(&p, p.a.wire[0]);
	settle(&p);
	forget_got(&p.b);
	make_keys(&p, &p.a, &p.b, &mine, &theirs);
	c.keys = theirs;
	assert_int_equal(hop_table_rekey(p.b.w.hops, &c, p.now_ns), 0);
	run_commands(&p.b);
	// a replayed init must not have broken anything
	traffic(&p, 500);
	assert_true(hop_of(&p.b)->replay->top > 100);
	assert_int_equal(hop_table_show(p.b.w.hops, 9, p.now_ns, &show), 0);
	assert_int_equal(show.instance_local, 1);
	assert_int_equal(show.payload_max, 8900);

	rekey(&p, &p.a, &mine, HOP_RESET);
	assert_int_equal(hop_of(&p.a)->tx_counter, 1); // the probe
	deliver_all(&p.a, &p.b);
	assert_int_equal(hop_of(&p.b)->replay->top, 0);
	assert_true(hop_of(&p.b)->tx_counter <= 2);
	settle(&p);
	traffic(&p, 600);
	arrive(&p.b, &old, 1); // numbers mean something else now: the old key is gone
	assert_int_equal(p.b.n_got, 0);
	assert_int_equal(counter(&p.b, W_drop_index), 1);
	assert_int_equal(hop_table_show(p.b.w.hops, 9, p.now_ns, &show), 0);
	assert_int_equal(show.instance_local, 11);
	assert_int_equal(show.instance_remote, 12);
	assert_int_equal(show.payload_max, 1300);
	pair_fini(&p);
}

static void a_reset_takes_a_burst_of_new_datagrams(void **state)
{
	struct pair p;
	struct dpmsg_keys mine, theirs;

	pair_link(&p, AEAD_NONE, false);
	for (uint32_t i = 0; i < 50; i++)
		traffic(&p, i);
	make_keys(&p, &p.a, &p.b, &mine, &theirs);
	rekey(&p, &p.b, &theirs, HOP_RESET);
	rekey(&p, &p.a, &mine, HOP_RESET);
	for (uint32_t i = 0; i < 20; i++)
		send_packet(&p, &p.a, 0, i, 9);
	deliver_all(&p.a, &p.b);
	for (uint32_t i = 0; i < 20; i++)
		expect(&p.b, 0, i, 9);
	assert_int_equal(counter(&p.b, W_drop_replay), 0);
	pair_fini(&p);
}

static void asks_for_a_rekey_when_it_is_time(void **state)
{
	struct pair p;
	struct dp_note n;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	for (unsigned s = 0; s < 119; s++) {
		advance(&p, S_NS);
		settle(&p);
	}
	assert_false(next_note(&p.a, NOTE_HOP_REKEY_DUE, &n));
	advance(&p, 2 * S_NS);
	settle(&p);
	assert_true(next_note(&p.a, NOTE_HOP_REKEY_DUE, &n));
	assert_int_equal(n.initiator, 1);
	assert_int_equal(n.hop, HOP_A);
	assert_false(next_note(&p.b, NOTE_HOP_REKEY_DUE, &n));
	for (unsigned s = 0; s < 28; s++) {
		advance(&p, S_NS);
		settle(&p);
	}
	assert_false(next_note(&p.b, NOTE_HOP_REKEY_DUE, &n));
	advance(&p, 3 * S_NS);
	assert_true(next_note(&p.b, NOTE_HOP_REKEY_DUE, &n));
	assert_int_equal(n.initiator, 0);
	settle(&p);
	pair_fini(&p);
}

static void stops_at_the_hard_limit_of_a_key(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	hop_of(&p.a)->tx_counter += RAIL_HARD_DATAGRAMS;
	assert_int_equal(send_packet(&p, &p.a, 0, 1, 1), HOP_PUSHED);
	flush(&p.a);
	assert_int_equal(p.a.n_wire, 0);
	assert_int_equal(counter(&p.a, W_drop_seal_limit), 1);
	pair_fini(&p);
}

static unsigned sent_after(uint8_t cipher, uint64_t datagrams)
{
	struct pair p;
	struct hop *a;
	unsigned sent;

	pair_link(&p, cipher, false);
	a = hop_of(&p.a);
	a->tx_counter = a->keys[a->send].first_counter + datagrams;
	a->skip_at = a->tx_counter + 1000;
	assert_int_equal(send_packet(&p, &p.a, 0, 1, 1), HOP_PUSHED);
	flush(&p.a);
	sent = p.a.n_wire;
	assert_int_equal(counter(&p.a, W_drop_seal_limit), 1 - sent);
	// frames that are no packets keep to it as well
	hop_send_probe(&p.a.w, a, 0);
	flush(&p.a);
	assert_true(p.a.n_wire == sent + (hop_may_seal(a, 1) ? 1 : 0));
	pair_fini(&p);
	return sent;
}

// RFC 8439 allows more than any counter holds; with GCM the bound on forgeries comes earlier.
static void the_limit_of_gcm_is_lower(void **state)
{
	const uint64_t slack = HOP_PEND * 64 + 1; // packets that may become 64 parts each

	if (aead_backend_select(AEAD_AES_256_GCM) == NULL)
		skip();
	assert_int_equal(sent_after(AEAD_AES_256_GCM, RAIL_HARD_DATAGRAMS_GCM - slack), 1);
	assert_int_equal(sent_after(AEAD_AES_256_GCM, RAIL_HARD_DATAGRAMS_GCM - slack + 1), 0);
	assert_int_equal(sent_after(AEAD_AES_256_GCM, RAIL_HARD_DATAGRAMS_GCM), 0);
	assert_int_equal(sent_after(AEAD_CHACHA20_POLY1305, RAIL_HARD_DATAGRAMS_GCM), 1);
	assert_int_equal(sent_after(AEAD_CHACHA20_POLY1305, RAIL_HARD_DATAGRAMS - slack), 1);
	assert_int_equal(sent_after(AEAD_CHACHA20_POLY1305, RAIL_HARD_DATAGRAMS - slack + 1), 0);
}

// Either end, by what it sealed itself.
static bool due_after(uint8_t cipher, bool initiator, uint64_t datagrams)
{
	struct pair p;
	struct node *x;
	struct hop *h;
	struct dp_note n;
	bool due;

	pair_link(&p, cipher, false);
	x = initiator ? &p.a : &p.b;
	h = hop_of(x);
	h->tx_counter = h->keys[h->send].first_counter + datagrams;
	advance(&p, 50 * MS_NS);
	due = next_note(x, NOTE_HOP_REKEY_DUE, &n);
	assert_true(!due || n.initiator == initiator);
	settle(&p);
	pair_fini(&p);
	return due;
}

static void asks_for_a_rekey_after_many_gcm_datagrams(void **state)
{
	if (aead_backend_select(AEAD_AES_256_GCM) == NULL)
		skip();
	for (int initiator = 0; initiator < 2; initiator++) {
		assert_false(due_after(AEAD_AES_256_GCM, initiator, RAIL_SOFT_DATAGRAMS_GCM - 1));
		assert_true(due_after(AEAD_AES_256_GCM, initiator, RAIL_SOFT_DATAGRAMS_GCM));
		assert_false(due_after(AEAD_CHACHA20_POLY1305, initiator, RAIL_SOFT_DATAGRAMS_GCM));
	}
}

// What a key was expanded to goes with the key.
static void wipes_what_keys_were_expanded_to(void **state)
{
	static const struct aead_room zero[2];
	struct dpmsg_keys mine, theirs;
	struct pair p;
	struct hop *a;
	unsigned old;

	if (aead_backend_select(AEAD_AES_256_GCM) == NULL)
		skip();
	pair_link(&p, AEAD_AES_256_GCM, false);
	a = hop_of(&p.a);
	old = (unsigned)a->send;
	assert_memory_not_equal(a->rooms[old], zero, sizeof(zero));
	make_keys(&p, &p.a, &p.b, &mine, &theirs);
	rekey(&p, &p.b, &theirs, 0);
	rekey(&p, &p.a, &mine, 0);
	settle(&p);
	traffic(&p, 10);
	assert_int_not_equal(a->send, old);
	advance(&p, 11 * S_NS);
	settle(&p);
	assert_int_equal(a->keys[old].rx_index, 0);
	assert_memory_equal(a->rooms[old], zero, sizeof(zero));
	traffic(&p, 20);
	hop_shut(&p.a.w, a, true, 0, "", 0);
	for (unsigned k = 0; k < HOP_KEYS; k++)
		assert_memory_equal(a->rooms[k], zero, sizeof(zero));
	pair_fini(&p);
}

static void refuses_counters_near_the_end_of_their_range(void **state)
{
	struct pair p;
	struct hop *a;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	a = hop_of(&p.a);
	a->tx_counter = a->keys[a->send].first_counter = RAIL_HARD_DATAGRAMS;
	assert_int_equal(send_packet(&p, &p.a, 0, 1, 1), HOP_PUSHED);
	settle(&p);
	assert_int_equal(counter(&p.b, W_drop_replay), 1);
	assert_true(hop_of(&p.b)->replay->top < 100);
	pair_fini(&p);
}

static void keeps_alive_when_nothing_is_sent(void **state)
{
	struct pair p;
	struct dp_note n;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	for (unsigned i = 0; i < 300; i++) {
		advance(&p, S_NS);
		settle(&p);
	}
	assert_true(hop_of(&p.a)->up && hop_of(&p.b)->up);
	assert_false(next_note(&p.a, NOTE_HOP_DEAD, &n));
	assert_true(counter(&p.a, W_probes_tx) >= 20 && counter(&p.a, W_probes_tx) <= 40);
	assert_true(counter(&p.b, W_acks_tx) >= 15);
	pair_fini(&p);
}

static void a_silent_peer_is_dead_and_returns(void **state)
{
	struct pair p;
	struct dp_note n;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	for (unsigned s = 0; s < 24; s++) {
		advance(&p, S_NS);
		lose_all(&p.a);
		lose_all(&p.b);
	}
	assert_false(next_note(&p.a, NOTE_HOP_DEAD, &n));
	assert_int_equal(send_packet(&p, &p.a, 0, 1, 1), HOP_PUSHED);
	advance(&p, 2 * S_NS);
	lose_all(&p.a);
	lose_all(&p.b);
	assert_true(next_note(&p.a, NOTE_HOP_DEAD, &n));
	assert_int_equal(n.hop, HOP_A);
	assert_int_equal(send_packet(&p, &p.a, 0, 1, 1), HOP_GONE);
	assert_int_equal(atomic_load(&p.a.w.hops->up[5]), 0);
	// it still asks now and then
	for (unsigned s = 0; s < 11; s++)
		advance(&p, S_NS);
	assert_true(p.a.n_wire > 0);
	settle(&p);
	assert_true(next_note(&p.a, NOTE_HOP_KEYED, &n));
	assert_true(hop_of(&p.a)->up && hop_of(&p.b)->up);
	traffic(&p, 7);
	pair_fini(&p);
}

static void packets_of_a_hop_that_dies_in_their_turn_are_counted(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	send_packet(&p, &p.a, 0, 1, 1);
	hop_shut(&p.a.w, hop_of(&p.a), true, 0, "", 0);
	flush(&p.a);
	assert_int_equal(counter(&p.a, W_drop_seal_hop), 1);
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(responder_is_silent_until_the_key_is_confirmed),
		cmocka_unit_test(initiator_repeats_its_probe_until_it_is_answered),
		cmocka_unit_test(rekeys_without_loss),
		cmocka_unit_test(counters_go_on_across_a_rekey),
		cmocka_unit_test(refuses_counters_near_the_end_of_their_range),
		cmocka_unit_test(previous_key_is_wiped_ten_seconds_later),
		cmocka_unit_test(a_pending_key_that_was_not_used_is_replaced),
		cmocka_unit_test(rekeys_that_cross_lose_nothing),
		cmocka_unit_test(many_rekeys_leave_three_keys_at_most),
		cmocka_unit_test(a_reset_takes_effect_at_the_first_authentic_datagram),
		cmocka_unit_test(a_reset_takes_a_burst_of_new_datagrams),
		cmocka_unit_test(asks_for_a_rekey_when_it_is_time),
		cmocka_unit_test(stops_at_the_hard_limit_of_a_key),
		cmocka_unit_test(the_limit_of_gcm_is_lower),
		cmocka_unit_test(asks_for_a_rekey_after_many_gcm_datagrams),
		cmocka_unit_test(wipes_what_keys_were_expanded_to),
		cmocka_unit_test(keeps_alive_when_nothing_is_sent),
		cmocka_unit_test(a_silent_peer_is_dead_and_returns),
		cmocka_unit_test(packets_of_a_hop_that_dies_in_their_turn_are_counted),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
