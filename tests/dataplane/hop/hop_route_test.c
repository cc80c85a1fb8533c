// What the ends of a route are told (rail.md 4): when to wait, when to go on, why it is over; and
// that nothing of it is lost when there was no room to say so.

#include "lib/link/rel_hold_priv.h"
#include "tests/support/hop_pair.h"

static void turns(struct pair *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		deliver_all(&p->a, &p->b);
		deliver_all(&p->b, &p->a);
		advance(p, 200 * 1000);
	}
}

static void until_acked(struct pair *p, struct node *x)
{
	struct rel_stats s;

	for (unsigned i = 0; i < 1000; i++) {
		turns(p, 1);
		rel_stats(hop_of(x)->rel->rel, &s);
		if (s.unacked == 0)
			return;
	}
	fail_msg("never acked");
}

// So much waits that the ingress is told to.
static void hold_much(struct pair *p, struct node *x, uint32_t id)
{
	for (unsigned i = 0; i < 400; i++)
		send_packet(p, x, ROUTE_DATA, id, 1000);
	hop_tx_flush(&x->w);
}

static bool is_held_up(struct node *x, uint32_t id)
{
	const struct route *rt = (const struct route *)&hop_hold(&x->w)->routes[id];

	return (rt->flags & RT_HELD_UP) != 0;
}

static void until_held_up(struct pair *p, struct node *x, uint32_t id)
{
	for (unsigned i = 0; i < 20 && !is_held_up(x, id); i++)
		turns(p, 1);
	assert_true(is_held_up(x, id));
}

static void fill_notes(struct node *x)
{
	static const struct dp_note any = {.kind = NOTE_RULE_MISS};

	while (hop_note(&x->w, &any))
		;
}

static void a_resume_that_finds_no_room_is_told_later(void **state)
{
	struct pair p;
	struct dp_note n;

	pair_link_reliable(&p, AEAD_NONE, false);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	hold_much(&p, &p.a, 1);
	assert_true(next_note(&p.a, NOTE_ROUTE_PAUSE, &n));
	fill_notes(&p.a);
	until_acked(&p, &p.a);
	assert_false(next_note(&p.a, NOTE_ROUTE_RESUME, &n));
	advance(&p, REL_TICK_NS);
	assert_true(next_note(&p.a, NOTE_ROUTE_RESUME, &n));
	assert_int_equal(n.id, 1);
	advance(&p, REL_TICK_NS);
	assert_false(next_note(&p.a, NOTE_ROUTE_RESUME, &n));
	pair_fini(&p);
}

// What is told in the end is what is true then.
static void a_pause_that_is_over_untold_is_never_told(void **state)
{
	struct pair p;
	struct dp_note n;

	pair_link_reliable(&p, AEAD_NONE, false);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	fill_notes(&p.a);
	hold_much(&p, &p.a, 1);
	assert_int_equal(counter(&p.a, W_routes_paused), 1);
	until_acked(&p, &p.a);
	skip_notes(&p.a);
	advance(&p, REL_TICK_NS);
	assert_false(next_note(&p.a, NOTE_ROUTE_PAUSE, &n));
	pair_fini(&p);
}

static void an_end_that_finds_no_room_is_told_later(void **state)
{
	struct pair p;
	struct dp_note n;

	pair_link_reliable(&p, AEAD_NONE, false);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	send_packet(&p, &p.a, ROUTE_DATA, 1, 10);
	until_acked(&p, &p.a);
	fill_notes(&p.a);
	rel_ingress_close(hop_of(&p.b)->rel->rel, 1, RAIL_GONE_STALLED, p.now_ns);
	hop_rel_wake(&p.b.w, hop_of(&p.b));
	turns(&p, 20);
	skip_notes(&p.a);
	assert_int_not_equal(atomic_load(&rule_slot(&p.a.rules, 1)->route_owner), 0);
	advance(&p, REL_TICK_NS);
	assert_true(next_note(&p.a, NOTE_RULE_END, &n));
	assert_int_equal(n.id, 1);
	assert_int_equal(n.value, RAIL_GONE_STALLED);
	assert_int_equal(atomic_load(&rule_slot(&p.a.rules, 1)->route_owner), 0);
	pair_fini(&p);
}

// The next node's own ingress: RESUME is a frame, and there is no node left to make it of.
static void a_resume_without_a_node_is_told_later(void **state)
{
	enum { ALL = 1 << 14 };
	static uint32_t taken[ALL];
	struct pair p;
	struct rel_hold *h;
	unsigned n = 0;

	pair_link_reliable(&p, AEAD_NONE, false);
	h = hop_hold(&p.b.w)->hold;
	add_rule(&p, &p.a, 7, HOP_A, RULE_IN_LOCAL);
	add_rule(&p, &p.b, 7, HOP_B, TP);
	send_packet(&p, &p.a, ROUTE_DATA, 7, 10);
	hold_much(&p, &p.b, 7);
	until_held_up(&p, &p.a, 7);
	while (n < ALL && (taken[n] = rel_hold_node_new(h, 64)) != 0)
		n++;
	until_acked(&p, &p.b);
	assert_int_equal(hop_hold(&p.b.w)->n_paused, 0);
	assert_true(is_held_up(&p.a, 7));
	assert_int_not_equal(hop_hold(&p.b.w)->untold, 0);
	while (n > 0)
		node_free(h, taken[--n]);
	advance(&p, REL_TICK_NS);
	assert_int_equal(hop_hold(&p.b.w)->untold, 0);
	turns(&p, 5);
	assert_false(is_held_up(&p.a, 7));
	forget_got(&p.b);
	send_packet(&p, &p.a, ROUTE_DATA, 7, 20);
	turns(&p, 5);
	expect(&p.b, ROUTE_DATA, 7, 20);
	pair_fini(&p);
}

// What the route held is told as empty first: until that is acked its packets would be refused.
static void the_ingress_of_a_static_rule_goes_on_when_all_is_over(void **state)
{
	struct pair p;
	struct dp_note n;

	pair_link_reliable(&p, AEAD_NONE, false);
	add_static(&p.a, 1);
	hold_much(&p, &p.a, 1);
	assert_true(next_note(&p.a, NOTE_ROUTE_PAUSE, &n));
	lose_all(&p.a);
	end_route(&p.a, 1, RAIL_GONE_RESET);
	assert_false(next_note(&p.a, NOTE_ROUTE_RESUME, &n));
	until_acked(&p, &p.a);
	turns(&p, 2);
	assert_true(next_note(&p.a, NOTE_ROUTE_RESUME, &n));
	send_packet(&p, &p.a, ROUTE_DATA, 1, 30);
	until_acked(&p, &p.a);
	assert_int_equal(counter(&p.a, W_drop_route_ended), 0);
	expect(&p.b, ROUTE_DATA, 1, 30);
	pair_fini(&p);
}

// ---- the books of what is freed ----

static uint32_t freed_of(struct node *x, uint32_t id)
{
	return hop_table_route_freed((struct hop_table *)(uintptr_t)x->w.hops, id, false);
}

static void what_a_reset_frees_is_counted_for_its_route(void **state)
{
	struct pair p;

	pair_link_reliable(&p, AEAD_NONE, false);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	add_rule(&p, &p.a, 2, HOP_A, RULE_IN_LOCAL);
	for (unsigned i = 0; i < 30; i++)
		send_packet(&p, &p.a, ROUTE_DATA, i % 3 == 0 ? 1 : 2, 100);
	lose_all(&p.a); // some are under way, some wait
	hop_rel_reset(&p.a.w, hop_of(&p.a), RAIL_GONE_RESET);
	assert_int_equal(freed_of(&p.a, 1), 10);
	assert_int_equal(freed_of(&p.a, 2), 20);
	assert_int_equal(counter(&p.a, W_freed_reset), 30);
	assert_int_equal(counter(&p.a, W_drop_seal_freed), 30);
	pair_fini(&p);
}

// The slot of a rule that is removed waits for acks, and they do not come any more.
static void a_reset_gives_back_the_slots_of_removed_rules(void **state)
{
	struct pair p;

	for (unsigned is_static = 0; is_static < 2; is_static++) {
		struct cmd_rule_add c = {.id = 1,
			.next_id = 1,
			.tx_hop = HOP_A,
			.in_tp = RULE_IN_LOCAL,
			.keep_alive_ms = is_static ? 0 : 1000,
			.flags = is_static ? RULE_STATIC : 0,
			.type = RULE_FORWARD};
		struct rule *r;

		pair_link_reliable(&p, AEAD_NONE, false);
		r = rule_slot(&p.a.rules, 1);
		assert_int_equal(rule_table_add(&p.a.rules, &c, 0), 0);
		for (unsigned i = 0; i < 5; i++)
			send_packet(&p, &p.a, ROUTE_DATA, 1, 100);
		lose_all(&p.a);
		assert_int_equal(rule_table_del(&p.a.rules, 1, RULE_GONE_DEL), 0);
		hop_message(
			&p.a.w, &(struct hop_msg){.kind = HOP_MSG_REMOVED, .index = 1, .id = 1});
		hop_tx_flush(&p.a.w);
		lose_all(&p.a);
		assert_int_not_equal(atomic_load(&r->route_owner), 0);
		hop_rel_reset(&p.a.w, hop_of(&p.a), RAIL_GONE_RESET);
		hop_tx_flush(&p.a.w);
		assert_int_equal(atomic_load(&r->route_owner), 0);
		pair_fini(&p);
	}
}

static void what_is_freed_and_ended_is_counted_by_reason(void **state)
{
	static const struct {
		uint8_t reason;
		enum worker_counter freed, ended;
	} t[] = {
		{RAIL_GONE_HELD, W_freed_held, W_ended_held},
		{RAIL_GONE_STALLED, W_freed_stalled, W_ended_stalled},
		{RAIL_GONE_RESET, W_freed_reset, W_ended_reset},
		{RAIL_GONE_HOP_DOWN, W_freed_down, W_ended_down},
		{RAIL_GONE_RULE, W_freed_rule, W_ended_rule},
		{RAIL_GONE_UNKNOWN_ID, W_freed_rule, W_ended_rule},
	};
	struct pair p;

	for (unsigned i = 0; i < ARRAY_LEN(t); i++) {
		pair_link_reliable(&p, AEAD_NONE, false);
		add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
		send_packet(&p, &p.a, ROUTE_DATA, 1, 10);
		until_acked(&p, &p.a);
		for (unsigned k = 0; k < 4; k++)
			send_packet(&p, &p.a, ROUTE_DATA, 1, 100);
		lose_all(&p.a);
		rel_ingress_close(hop_of(&p.b)->rel->rel, 1, t[i].reason, p.now_ns);
		hop_rel_wake(&p.b.w, hop_of(&p.b));
		turns(&p, 3);
		assert_int_equal(counter(&p.a, W_routes_gone), 1);
		assert_int_equal(counter(&p.a, t[i].ended), 1);
		assert_int_equal(counter(&p.a, t[i].freed), 4);
		assert_int_equal(freed_of(&p.a, 1), 4);
		pair_fini(&p);
	}
}

// ---- no room behind a link ----

static unsigned no_room(struct wctx *w)
{
	return 0;
}

static void acks_are_acted_on_when_the_rings_to_other_workers_are_full(void **state)
{
	struct wctx_ops ops;
	struct pair p;

	pair_link_reliable(&p, AEAD_NONE, false);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	ops = *p.a.w.ops;
	ops.handoff_room = no_room;
	p.a.w.ops = &ops;
	p.a.w.n_workers = 2;
	for (unsigned i = 0; i < 8; i++)
		send_packet(&p, &p.a, ROUTE_DATA, 1, 100);
	turns(&p, 10);
	assert_int_equal(p.b.n_got, 8);
	assert_true(counter(&p.a, W_drop_no_room) > 0);
	assert_int_equal(counter(&p.a, W_seal_acked), 8);
	assert_int_equal(counter(&p.a, W_rel_retransmitted), 0);
	pair_fini(&p);
}

static void a_close_has_a_place_of_its_own(void **state)
{
	struct pair p;
	struct dp_note n;

	pair_link_reliable(&p, AEAD_NONE, false);
	while (hop_send_text(&p.a.w, hop_of(&p.a), RAIL_NOTICE, RAIL_NOTICE_LIMIT, "x", 1))
		;
	hop_close(&p.a.w, hop_of(&p.a), RAIL_CLOSE_POLICY, "go away");
	deliver_all(&p.a, &p.b);
	assert_true(next_note(&p.b, NOTE_HOP_CLOSED, &n));
	assert_int_equal(n.value, RAIL_CLOSE_POLICY);
	pair_fini(&p);
}

// The main lcore takes a consume rule out a while after its end; what still comes stays below.
static void nothing_goes_up_after_the_end_of_a_route(void **state)
{
	struct pair p;
	struct hop *h;
	struct dp_note n;

	pair_link_reliable(&p, AEAD_NONE, false);
	h = hop_of(&p.b);
	add_rule(&p, &p.b, 1, 0, h->tp);
	add_rule(&p, &p.b, 2, 0, h->tp);
	assert_int_equal(hop_sink_state(&p.b.w, h, 1, 1), HOP_SINK_EMPTY);
	fill_notes(&p.b);
	hop_route_end_after(&p.b.w, h, 1, RAIL_GONE_STALLED);
	assert_int_equal(hop_sink_state(&p.b.w, h, 1, 1), HOP_SINK_ENDED);
	assert_int_equal(hop_sink_state(&p.b.w, h, 2, 2), HOP_SINK_EMPTY);
	skip_notes(&p.b);
	advance(&p, REL_TICK_NS); // there was no room to say so
	assert_true(next_note(&p.b, NOTE_RULE_END, &n));
	assert_int_equal(n.id, 1);
	assert_int_equal(n.value, RAIL_GONE_STALLED);
	assert_int_equal(atomic_load(&rule_slot(&p.b.rules, 1)->route_owner), 0);
	assert_int_equal(hop_sink_state(&p.b.w, h, 1, 1), HOP_SINK_ENDED);
	hop_route_refused(&p.b.w, 1); // told once more
	assert_true(next_note(&p.b, NOTE_RULE_END, &n));
	// another one in the same slot
	assert_int_equal(hop_sink_state(&p.b.w, h, 1, 1 + p.b.rules.mask + 1), HOP_SINK_EMPTY);
	pair_fini(&p);
}

static const struct node *reader;

static unsigned room_for_some(struct wctx *w)
{
	return reader->n_got == 0 ? REL_SEGS_MAX + 20 : 0;
}

// They were acked, so the sender sees no hole.
static void packets_in_order_without_a_way_on_end_their_route_at_a_reset(void **state)
{
	enum { N = REL_SEGS_MAX + 60 };
	struct wctx_ops ops;
	struct rel_stats s;
	struct pair p;
	struct dp_note n;

	pair_link_reliable(&p, AEAD_NONE, false);
	add_rule(&p, &p.a, 1, HOP_A, RULE_IN_LOCAL);
	add_rule(&p, &p.b, 1, 0, hop_of(&p.b)->tp);
	ops = *p.b.w.ops;
	ops.handoff_room = room_for_some;
	p.b.w.ops = &ops;
	p.b.w.n_workers = 2;
	reader = &p.b;
	send_packet(&p, &p.a, ROUTE_DATA, 1, 5);
	lose_all(&p.a);
	for (unsigned i = 1; i < N; i++)
		send_packet(&p, &p.a, ROUTE_DATA, 1, 5);
	while (p.b.n_got == 0)
		turns(&p, 1);
	turns(&p, 1);
	rel_stats(hop_of(&p.a)->rel->rel, &s);
	assert_int_equal(s.unacked, 0);
	assert_true(p.b.n_got < N);
	skip_notes(&p.b);
	hop_shut(&p.b.w, hop_of(&p.b), true, RAIL_CLOSE_REQUESTED, "", 0);
	assert_true(next_note(&p.b, NOTE_RULE_END, &n));
	assert_int_equal(n.id, 1);
	assert_int_equal(n.value, RAIL_GONE_HOP_DOWN);
	assert_int_equal(counter(&p.b, W_rel_rx_freed), N - p.b.n_got);
	p.b.w.n_workers = 1;
	pair_fini(&p);
}

// ---- timers ----

// Far ones lie in a wheel of their own until their turn of the fine one begins.
static void a_timer_just_behind_the_turn_of_the_wheel_is_near(void **state)
{
	enum { SLOT_NS = 1 << WHEEL_FINE_LOG2 };
	static struct hop_wheel wh;
	uint64_t turn_ns = (uint64_t)WHEEL_SLOTS * SLOT_NS, begin_ns = 7 * turn_ns;
	struct hop_timer t = {.due_ns = UINT64_MAX}, later = {.due_ns = UINT64_MAX};

	wheel_set(&wh, &t, begin_ns + 2 * SLOT_NS, begin_ns - turn_ns - 9 * SLOT_NS);
	wheel_set(&wh, &later, begin_ns + 5 * turn_ns, begin_ns - turn_ns - 9 * SLOT_NS);
	assert_false(wheel_is_near(&wh, 100 * 1000));
	assert_null(wheel_due(&wh, begin_ns - 2 * SLOT_NS));
	assert_true(wheel_is_near(&wh, 100 * 1000));
	assert_ptr_equal(wheel_due(&wh, begin_ns + 4 * SLOT_NS), &t);
	assert_null(wheel_due(&wh, begin_ns + 4 * SLOT_NS));
	assert_false(wheel_is_near(&wh, 100 * 1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_resume_that_finds_no_room_is_told_later),
		cmocka_unit_test(a_pause_that_is_over_untold_is_never_told),
		cmocka_unit_test(an_end_that_finds_no_room_is_told_later),
		cmocka_unit_test(a_resume_without_a_node_is_told_later),
		cmocka_unit_test(the_ingress_of_a_static_rule_goes_on_when_all_is_over),
		cmocka_unit_test(what_a_reset_frees_is_counted_for_its_route),
		cmocka_unit_test(a_reset_gives_back_the_slots_of_removed_rules),
		cmocka_unit_test(what_is_freed_and_ended_is_counted_by_reason),
		cmocka_unit_test(acks_are_acted_on_when_the_rings_to_other_workers_are_full),
		cmocka_unit_test(a_close_has_a_place_of_its_own),
		cmocka_unit_test(nothing_goes_up_after_the_end_of_a_route),
		cmocka_unit_test(packets_in_order_without_a_way_on_end_their_route_at_a_reset),
		cmocka_unit_test(a_timer_just_behind_the_turn_of_the_wheel_is_near),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
