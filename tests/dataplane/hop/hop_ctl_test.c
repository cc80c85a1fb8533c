// Frames that are not route packets, and the path (rail.md 3): probes, acks, closes, notices,
// re-key messages, roaming, and what a peer that breaks the protocol gets.

#include "tests/support/hop_pair.h"

static void measures_the_round_trip(void **state)
{
	struct pair p;
	struct cmd_hop_ping ping = {.hop = HOP_A, .h.cookie = 4711};
	struct dp_note n;
	struct evt_hop show;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	assert_int_equal(hop_table_ping(p.a.w.hops, &ping), 0);
	run_commands(&p.a);
	flush(&p.a);
	set_now(&p, p.now_ns + 3 * MS_NS);
	deliver_all(&p.a, &p.b);
	flush(&p.b);
	set_now(&p, p.now_ns + 4 * MS_NS);
	deliver_all(&p.b, &p.a);
	assert_true(next_note(&p.a, NOTE_HOP_RTT, &n));
	assert_int_equal(n.value, 7000);
	assert_int_equal(n.cookie, 4711);
	assert_int_equal(hop_table_show(p.a.w.hops, 5, p.now_ns, &show), 0);
	assert_int_equal(show.rtt_us, 7000);
	pair_fini(&p);
}

// The ACK of the second names the first, too: it came, but nobody knows when.
static void a_probe_whose_answer_was_lost_measures_nothing(void **state)
{
	struct pair p;
	struct cmd_hop_ping ping = {.hop = HOP_A, .h.cookie = 1};
	struct dp_note n;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	skip_notes(&p.a);
	for (unsigned i = 0; i < 2; i++) {
		ping.h.cookie = 1 + i;
		assert_int_equal(hop_table_ping(p.a.w.hops, &ping), 0);
		run_commands(&p.a);
		flush(&p.a);
		set_now(&p, p.now_ns + 2 * MS_NS);
		deliver_all(&p.a, &p.b);
		flush(&p.b);
		if (i == 0)
			lose_all(&p.b);
		set_now(&p, p.now_ns + 3 * MS_NS);
		deliver_all(&p.b, &p.a);
		set_now(&p, p.now_ns + (i == 0) * 500 * MS_NS);
	}
	assert_true(next_note(&p.a, NOTE_HOP_RTT, &n));
	assert_int_equal(n.cookie, 2);
	assert_int_equal(n.value, 5000);
	assert_false(next_note(&p.a, NOTE_HOP_RTT, &n));
	pair_fini(&p);
}

// What goes to an address that is not proven may be held back: then there is no number to wait for,
// and the one before it is another datagram's.
static void a_probe_that_did_not_leave_waits_for_no_answer(void **state)
{
	struct pair p;
	struct hop *h;
	struct dp_note n;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	h = hop_of(&p.a);
	skip_notes(&p.a);
	send_packet(&p, &p.a, 0, 1, 10);
	flush(&p.a);
	h->trying = true;
	h->try_until_ns = p.now_ns + S_NS;
	h->try_bytes = 0;
	h->try_counter = h->tx_counter;
	hop_send_probe(&p.a.w, h, 99);
	assert_int_equal(counter(&p.a, W_drop_unproven), 1);
	set_now(&p, p.now_ns + 7 * MS_NS);
	send_frames(&p, &p.b, (uint8_t[]){RAIL_PROBE}, 1);
	deliver_all(&p.a, &p.b);
	hop_send_ack(&p.b.w, hop_of(&p.b));
	deliver_all(&p.b, &p.a);
	assert_false(next_note(&p.a, NOTE_HOP_RTT, &n));
	assert_true(h->trying);
	pair_fini(&p);
}

static void one_burst_of_probes_gets_one_ack(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	for (unsigned i = 0; i < 20; i++)
		send_frames(&p, &p.a, (uint8_t[]){RAIL_PROBE}, 1);
	flush(&p.a);
	deliver_all(&p.a, &p.b);
	assert_int_equal(p.b.n_wire, 1);
	pair_fini(&p);
}

static void acks_of_a_lossy_link_are_believed(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	for (unsigned i = 0; i < 400; i++) {
		send_packet(&p, &p.a, 0, i, 9);
		flush(&p.a);
		if (i % 3 == 0)
			lose_all(&p.a);
		else
			deliver_all(&p.a, &p.b);
	}
	forget_got(&p.b);
	hop_send_probe(&p.a.w, hop_of(&p.a), 0);
	settle(&p);
	assert_true(hop_of(&p.a)->up);
	assert_int_equal(hop_of(&p.a)->probe_ns, 0);
	pair_fini(&p);
}

static void some_counters_are_left_out(void **state)
{
	struct pair p;
	struct hop *h;

	pair_link(&p, AEAD_NONE, false);
	h = hop_of(&p.a);
	for (unsigned i = 0; i < 40; i++) {
		h->skip_at = h->tx_counter + 5; // more often than in life
		for (unsigned k = 0; k < 10; k++)
			send_packet(&p, &p.a, 0, k, 9);
		deliver_all(&p.a, &p.b);
		for (unsigned k = 0; k < 10; k++)
			expect(&p.b, 0, k, 9);
	}
	assert_int_equal(h->n_skips, HOP_SKIPS);
	assert_int_equal(h->tx_counter, 1 + 40 * 11);
	// drawn anew within the span
	assert_true(h->skip_at > h->tx_counter && h->skip_at <= h->tx_counter + HOP_SKIP_SPAN);
	hop_send_probe(&p.a.w, h, 0);
	settle(&p);
	assert_true(h->up); // and no honest ack names one
	pair_fini(&p);
}

// Sends `frames` from A as an authentic but ill-behaved peer; B must close with `code`.
static void expect_close(const void *frames, unsigned len, uint8_t code)
{
	struct pair p;
	struct dp_note n;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	send_frames(&p, &p.a, frames, len);
	deliver_all(&p.a, &p.b);
	assert_true(next_note(&p.b, NOTE_HOP_CLOSED, &n));
	assert_int_equal(n.value, code);
	assert_int_equal(n.initiator, 1);
	assert_false(hop_of(&p.b)->up);
	assert_int_equal(send_packet(&p, &p.b, 0, 1, 1), HOP_GONE);
	assert_int_equal(counter(&p.b, W_hops_closed), 1);
	// and says so
	deliver_all(&p.b, &p.a);
	assert_true(next_note(&p.a, NOTE_HOP_CLOSED, &n));
	assert_int_equal(n.value, code);
	assert_int_equal(n.initiator, 0);
	// nothing more is opened
	assert_int_equal(send_packet(&p, &p.a, 0, 1, 1), HOP_GONE);
	pair_fini(&p);
}

#define EXPECT_CLOSE(code, ...)                                                                    \
	expect_close((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), code)
#define ACK(highest, first) RAIL_ACK, 0, 0, 0, 0, 0, 0, 0, highest, 0, 0, 0, 0, 0, 0, 0, first, 0

static void closes_on_broken_protocol(void **state)
{
	EXPECT_CLOSE(RAIL_CLOSE_PROTOCOL, ACK(200, 0)); // never sent
	EXPECT_CLOSE(RAIL_CLOSE_PROTOCOL, RAIL_ROUTE, 0, 0, 0); // cut short
	EXPECT_CLOSE(RAIL_CLOSE_PROTOCOL, RAIL_SEQ, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	EXPECT_CLOSE(
		RAIL_CLOSE_PROTOCOL, RAIL_PART, 0, 0, 0, 1, 0, 0, 0, 0, 0, 9, 0, 0, 9, 0, 1, 7);
	EXPECT_CLOSE(RAIL_CLOSE_VERSION, 63);
	EXPECT_CLOSE(RAIL_CLOSE_VERSION, RAIL_PADDING, 13);
}

static void closes_on_an_ack_of_a_number_that_was_left_out(void **state)
{
	struct pair p;
	struct dp_note n;
	struct hop *b;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	b = hop_of(&p.b);
	b->skip_at = b->tx_counter + 1;
	for (unsigned i = 0; i < 3; i++)
		send_packet(&p, &p.b, 0, i, 3);
	deliver_all(&p.b, &p.a);
	send_frames(&p, &p.a, (uint8_t[]){ACK(3, 3)}, 18); // 0 ... 3, but 2 was never sent
	deliver_all(&p.a, &p.b);
	assert_true(next_note(&p.b, NOTE_HOP_CLOSED, &n));
	assert_int_equal(n.value, RAIL_CLOSE_PROTOCOL);
	pair_fini(&p);
}

static void ignores_frames_of_the_future_and_of_reliable_mode(void **state)
{
	static const uint8_t frames[] = {200, 0, 3, 1, 2, 3, // skippable
		RAIL_RESUME, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 9, RAIL_PROBE};
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	send_frames(&p, &p.a, frames, sizeof(frames));
	deliver_all(&p.a, &p.b);
	assert_int_equal(counter(&p.b, W_frames_ignored), 1);
	assert_int_equal(p.b.n_wire, 1); // the ack
	assert_true(hop_of(&p.b)->up);
	pair_fini(&p);
}

static void a_deleted_hop_says_goodbye_and_is_forgotten(void **state)
{
	struct pair p;
	struct cmd_hop_del del = {.hop = HOP_A,
		.send_close = 1,
		.code = RAIL_CLOSE_POLICY,
		.text_len = 3,
		.text = "bye"};
	struct dp_note n;
	struct evt_hop show;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	assert_int_equal(hop_table_del(p.a.w.hops, &del), 0);
	assert_int_equal(hop_table_show(p.a.w.hops, 5, 0, &show), -ENOENT);
	assert_int_equal(hop_table_del(p.a.w.hops, &del), -ENOENT);
	run_commands(&p.a);
	assert_null(hop_of(&p.a));
	assert_int_equal(send_packet(&p, &p.a, 0, 1, 1), HOP_GONE);
	deliver_all(&p.a, &p.b);
	assert_true(next_note(&p.b, NOTE_HOP_CLOSED, &n));
	assert_int_equal(n.value, RAIL_CLOSE_POLICY);
	assert_int_equal(n.text_len, 3);
	assert_memory_equal(n.text, "bye", 3);
	pair_fini(&p);
}

static void a_new_key_opens_a_closed_hop_again(void **state)
{
	struct pair p;
	struct dpmsg_keys mine, theirs;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	hop_close(&p.a.w, hop_of(&p.a), RAIL_CLOSE_REQUESTED, "enough");
	settle(&p);
	assert_false(hop_of(&p.b)->up);
	make_keys(&p, &p.a, &p.b, &mine, &theirs);
	rekey(&p, &p.b, &theirs, HOP_RESET);
	rekey(&p, &p.a, &mine, HOP_RESET);
	settle(&p);
	send_packet(&p, &p.b, 0, 1, 1);
	deliver_all(&p.b, &p.a);
	expect(&p.a, 0, 1, 1);
	pair_fini(&p);
}

static void passes_rekey_messages_up_within_their_rate(void **state)
{
	struct pair p;
	uint8_t msg[300];

	memset(msg, 0x5a, sizeof(msg));
	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	assert_true(hop_tx_rekey(&p.a.w, HOP_A, msg, sizeof(msg)));
	deliver_all(&p.a, &p.b);
	assert_int_equal(p.b.n_rekeys, 1);
	assert_int_equal(p.b.rekey_len, sizeof(msg));
	assert_memory_equal(p.b.rekey, msg, sizeof(msg));
	for (unsigned i = 0; i < 100; i++)
		hop_tx_rekey(&p.a.w, HOP_A, msg, sizeof(msg));
	settle(&p);
	assert_int_equal(p.b.n_rekeys, HOP_REKEY_BURST);
	assert_int_equal(counter(&p.b, W_rekeys_dropped), 101 - HOP_REKEY_BURST);
	assert_false(hop_tx_rekey(&p.a.w, HOP_B, msg, sizeof(msg))); // no such hop here
	pair_fini(&p);
}

static void passes_notices_on_within_their_rate(void **state)
{
	struct pair p;
	struct dp_note n;
	unsigned told = 0;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	for (unsigned i = 0; i < 50; i++)
		hop_send_text(&p.a.w, hop_of(&p.a), RAIL_NOTICE, RAIL_NOTICE_LIMIT, "slow", 4);
	settle(&p);
	while (next_note(&p.b, NOTE_HOP_NOTICE, &n)) {
		assert_int_equal(n.value, RAIL_NOTICE_LIMIT);
		assert_memory_equal(n.text, "slow", 4);
		told++;
	}
	assert_int_equal(told, HOP_NOTICE_BURST);
	assert_int_equal(stat_get(&hop_of(&p.b)->st->c[H_hop_notices]), 50);
	pair_fini(&p);
}

static void lost_notes_are_told(void **state)
{
	struct pair p;
	struct dp_note n = {.kind = NOTE_RULE_MISS};
	bool lost = false;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	while (hop_note(&p.a.w, &n))
		;
	assert_int_equal(counter(&p.a, W_notes_lost), 1);
	assert_int_equal(hop_table_notes(p.a.w.hops, 0, &n, 1, &lost), 1);
	assert_true(lost);
	assert_int_equal(hop_table_notes(p.a.w.hops, 0, &n, 1, &lost), 1);
	assert_false(lost);
	pair_fini(&p);
}

// ---- path ----

// A's frames come from another UDP port from here on (a NAT forgot its mapping).
static void arrive_from_port(struct pair *p, uint16_t port)
{
	flush(&p->a);
	for (unsigned i = 0; i < p->a.n_wire; i++)
		be16_put(rte_pktmbuf_mtod_offset(p->a.wire[i], uint8_t *, 14 + 20), port);
	p->b.w.foreign_credit = 1000000000;
	deliver_all(&p->a, &p->b);
}

static uint16_t dst_port(const struct node *x, unsigned i)
{
	return be16_get(rte_pktmbuf_mtod_offset(x->wire[i], uint8_t *, 14 + 20 + 2));
}

static void path(struct pair *p, uint16_t port, bool roamed)
{
	struct cmd_hop_path c = {.hop = HOP_B, .adj = ADJ, .roamed = roamed};

	memcpy(c.peer.ip, p->a.ip, 16);
	c.peer.port = port;
	assert_int_equal(hop_table_path(p->b.w.hops, &c), 0);
	run_commands(&p->b);
}

static void follow(struct pair *p, uint16_t port)
{
	path(p, port, true);
}

// Where B's next datagram goes.
static uint16_t goes_to(struct pair *p)
{
	lose_all(&p->b);
	send_packet(p, &p->b, 0, 1, 1);
	flush(&p->b);
	assert_int_equal(p->b.n_wire, 1);
	return dst_port(&p->b, 0);
}

static void from_port(struct pair *p, uint16_t port)
{
	send_packet(p, &p->a, 0, 1, 10);
	arrive_from_port(p, port);
}

// What B sent to `port` arrives at A, whose answer comes back from there.
static void answers_from(struct pair *p, uint16_t port)
{
	for (unsigned i = 0; i < p->b.n_wire; i++) // as the NAT does it
		be16_put(rte_pktmbuf_mtod_offset(p->b.wire[i], uint8_t *, 14 + 20 + 2), PORT);
	deliver_all(&p->b, &p->a);
	arrive_from_port(p, port);
}

static void tells_where_a_peer_moved_and_answers_at_the_old_place(void **state)
{
	struct pair p;
	struct dp_note n;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	send_packet(&p, &p.a, 0, 1, 10);
	arrive_from_port(&p, 5555);
	expect(&p.b, 0, 1, 10);
	assert_true(next_note(&p.b, NOTE_HOP_ROAMED, &n));
	assert_int_equal(n.addr.port, 5555);
	assert_memory_equal(n.addr.ip, p.a.ip, 16);
	send_packet(&p, &p.a, 0, 1, 10);
	arrive_from_port(&p, 5555);
	assert_false(next_note(&p.b, NOTE_HOP_ROAMED, &n)); // once is enough
	send_packet(&p, &p.b, 0, 1, 10);
	flush(&p.b);
	assert_int_equal(dst_port(&p.b, 0), PORT);
	pair_fini(&p);
}

static void an_old_number_from_elsewhere_moves_nobody(void **state)
{
	struct pair p;
	struct dp_note n;
	struct rte_mbuf *late;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	send_packet(&p, &p.a, 0, 1, 10);
	flush(&p.a);
	late = p.a.wire[--p.a.n_wire];
	send_packet(&p, &p.a, 0, 1, 10);
	deliver_all(&p.a, &p.b);
	p.a.wire[p.a.n_wire++] = late;
	arrive_from_port(&p, 5555);
	assert_int_equal(p.b.n_got, 2);
	assert_false(next_note(&p.b, NOTE_HOP_ROAMED, &n));
	pair_fini(&p);
}

static void sends_little_to_an_address_until_it_is_proven(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	send_packet(&p, &p.a, 0, 1, 10); // 17 + 33 = 50 bytes
	arrive_from_port(&p, 5555);
	follow(&p, 5555);
	flush(&p.b);
	assert_int_equal(p.b.n_wire, 1); // the probe: 33 bytes
	assert_int_equal(dst_port(&p.b, 0), 5555);
	send_packet(&p, &p.b, 0, 1, 10);
	send_packet(&p, &p.b, 0, 1, 1000);
	flush(&p.b);
	assert_int_equal(p.b.n_wire, 2);
	assert_int_equal(counter(&p.b, W_drop_unproven), 1);
	// the probe is answered from there
	for (unsigned i = 0; i < p.b.n_wire; i++) // as the NAT does it
		be16_put(rte_pktmbuf_mtod_offset(p.b.wire[i], uint8_t *, 14 + 20 + 2), PORT);
	deliver_all(&p.b, &p.a);
	arrive_from_port(&p, 5555);
	send_packet(&p, &p.b, 0, 1, 1000);
	flush(&p.b);
	assert_int_equal(p.b.n_wire, 1);
	assert_int_equal(dst_port(&p.b, 0), 5555);
	pair_fini(&p);
}

static void the_old_address_returns_when_the_new_one_is_silent(void **state)
{
	struct pair p;
	struct dp_note n;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	send_packet(&p, &p.a, 0, 1, 10);
	arrive_from_port(&p, 5555);
	follow(&p, 5555);
	skip_notes(&p.b);
	lose_all(&p.b);
	advance(&p, 3100 * MS_NS);
	lose_all(&p.b);
	assert_true(next_note(&p.b, NOTE_HOP_ROAMED, &n));
	assert_int_equal(n.addr.port, PORT);
	send_packet(&p, &p.b, 0, 1, 1000);
	flush(&p.b);
	assert_int_equal(dst_port(&p.b, p.b.n_wire - 1), PORT);
	pair_fini(&p);
}

static void an_order_to_follow_that_comes_late_is_refused(void **state)
{
	struct pair p;
	struct dp_note n;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	from_port(&p, 5555);
	assert_true(next_note(&p.b, NOTE_HOP_ROAMED, &n));
	from_port(&p, PORT); // was it ever away?
	follow(&p, 5555);
	assert_true(next_note(&p.b, NOTE_HOP_ROAMED, &n));
	assert_int_equal(n.addr.port, PORT);
	assert_false(hop_of(&p.b)->trying);
	assert_int_equal(goes_to(&p), PORT);
	// another one, seen since: neither
	from_port(&p, 5555);
	from_port(&p, 6666);
	follow(&p, 5555);
	assert_int_equal(goes_to(&p), PORT);
	// the highest, told anew, is followed
	from_port(&p, 6666);
	follow(&p, 6666);
	assert_int_equal(goes_to(&p), 6666);
	pair_fini(&p);
}

static void a_replay_from_elsewhere_moves_nobody(void **state)
{
	struct pair p;
	struct dp_note n;
	struct rte_mbuf *copy;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	send_packet(&p, &p.a, 0, 1, 10);
	flush(&p.a);
	copy = copy_of(&p, p.a.wire[0]);
	deliver_all(&p.a, &p.b);
	p.a.wire[p.a.n_wire++] = copy;
	arrive_from_port(&p, 5555);
	assert_int_equal(counter(&p.b, W_drop_replay), 1);
	assert_false(next_note(&p.b, NOTE_HOP_ROAMED, &n));
	assert_int_equal(goes_to(&p), PORT);
	pair_fini(&p);
}

static void a_lost_probe_of_a_new_address_is_repeated(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	from_port(&p, 5555);
	follow(&p, 5555);
	lose_all(&p.b);
	advance(&p, 1100 * MS_NS);
	assert_int_equal(p.b.n_wire, 1);
	assert_int_equal(dst_port(&p.b, 0), 5555);
	answers_from(&p, 5555);
	assert_false(hop_of(&p.b)->trying);
	advance(&p, 4000 * MS_NS);
	lose_all(&p.a);
	assert_int_equal(goes_to(&p), 5555);
	pair_fini(&p);
}

// An answer to what was sent before the move proves nothing.
static void an_old_probe_proves_no_new_address(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	hop_send_probe(&p.b.w, hop_of(&p.b), 0);
	flush(&p.b);
	from_port(&p, 5555);
	follow(&p, 5555);
	rte_pktmbuf_free(p.b.wire[--p.b.n_wire]); // the new one is lost
	answers_from(&p, 5555);
	assert_true(hop_of(&p.b)->trying);
	pair_fini(&p);
}

static void what_comes_from_a_new_address_lets_three_times_as_much_go_there(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	from_port(&p, 5555);
	follow(&p, 5555);
	assert_int_equal(hop_of(&p.b)->try_bytes, 3 * 50 - 33);
	from_port(&p, 5555);
	assert_int_equal(hop_of(&p.b)->try_bytes, 6 * 50 - 33);
	from_port(&p, PORT); // not from there
	assert_int_equal(hop_of(&p.b)->try_bytes, 6 * 50 - 33);
	pair_fini(&p);
}

static void a_peer_that_comes_back_is_followed_at_once(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	from_port(&p, 5555);
	follow(&p, 5555);
	assert_true(hop_of(&p.b)->trying);
	from_port(&p, PORT);
	follow(&p, PORT);
	assert_false(hop_of(&p.b)->trying);
	assert_int_equal(goes_to(&p), PORT);
	advance(&p, 4000 * MS_NS);
	lose_all(&p.a);
	assert_int_equal(goes_to(&p), PORT);
	pair_fini(&p);
}

static void an_address_by_configuration_is_taken_at_once(void **state)
{
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	path(&p, 6666, false);
	send_packet(&p, &p.b, 0, 1, 1000);
	flush(&p.b);
	assert_int_equal(p.b.n_wire, 1);
	assert_int_equal(dst_port(&p.b, 0), 6666);
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(measures_the_round_trip),
		cmocka_unit_test(a_probe_whose_answer_was_lost_measures_nothing),
		cmocka_unit_test(a_probe_that_did_not_leave_waits_for_no_answer),
		cmocka_unit_test(one_burst_of_probes_gets_one_ack),
		cmocka_unit_test(acks_of_a_lossy_link_are_believed),
		cmocka_unit_test(some_counters_are_left_out),
		cmocka_unit_test(closes_on_broken_protocol),
		cmocka_unit_test(closes_on_an_ack_of_a_number_that_was_left_out),
		cmocka_unit_test(ignores_frames_of_the_future_and_of_reliable_mode),
		cmocka_unit_test(a_deleted_hop_says_goodbye_and_is_forgotten),
		cmocka_unit_test(a_new_key_opens_a_closed_hop_again),
		cmocka_unit_test(passes_rekey_messages_up_within_their_rate),
		cmocka_unit_test(passes_notices_on_within_their_rate),
		cmocka_unit_test(lost_notes_are_told),
		cmocka_unit_test(tells_where_a_peer_moved_and_answers_at_the_old_place),
		cmocka_unit_test(an_old_number_from_elsewhere_moves_nobody),
		cmocka_unit_test(sends_little_to_an_address_until_it_is_proven),
		cmocka_unit_test(the_old_address_returns_when_the_new_one_is_silent),
		cmocka_unit_test(an_order_to_follow_that_comes_late_is_refused),
		cmocka_unit_test(a_replay_from_elsewhere_moves_nobody),
		cmocka_unit_test(a_lost_probe_of_a_new_address_is_repeated),
		cmocka_unit_test(an_old_probe_proves_no_new_address),
		cmocka_unit_test(what_comes_from_a_new_address_lets_three_times_as_much_go_there),
		cmocka_unit_test(a_peer_that_comes_back_is_followed_at_once),
		cmocka_unit_test(an_address_by_configuration_is_taken_at_once),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
