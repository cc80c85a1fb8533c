// The main lcore's side: what commands are refused, how indices are given and taken back, what is
// shown.

#include "dataplane/hop/hop_cmd.h"
#include "tests/support/hop_pair.h"

#include <rte_lcore.h>
#include <rte_malloc.h>

static struct cmd_hop_add good_add(struct pair *p)
{
	struct dpmsg_keys at_a, at_b;

	make_keys(p, &p->a, &p->b, &at_a, &at_b);
	return make_add(&p->a, &p->b, &at_a);
}

static void refuses_what_is_out_of_range(void **state)
{
	struct pair p;
	uint16_t owner;

	pair_init(&p, AEAD_CHACHA20_POLY1305, false);
#define REFUSED(err, change)                                                                       \
	do {                                                                                       \
		struct cmd_hop_add c = good_add(&p);                                               \
		change;                                                                            \
		assert_int_equal(hop_table_add(p.a.w.hops, &c, p.now_ns, &owner), err);            \
	} while (0)
	REFUSED(-EINVAL, c.hop = 0);
	REFUSED(-EINVAL, c.hop = 64);
	REFUSED(-EINVAL, c.tp = 0);
	REFUSED(-EINVAL, c.tp = RULE_IN_LOCAL);
	REFUSED(-EINVAL, c.flow = 0);
	REFUSED(-EINVAL, c.flow = 33);
	REFUSED(-EINVAL, c.flow = 2);
	REFUSED(-EINVAL, (c.flow = 5, c.n_flows = 4));
	REFUSED(-EINVAL, c.n_flows = 33);
	REFUSED(-EINVAL, c.owner = 1);
	REFUSED(-EINVAL, c.window_log2 = 5);
	REFUSED(-EINVAL, c.window_log2 = 21);
	REFUSED(-EINVAL, c.peer.port = 0);
	REFUSED(-EINVAL, c.local_port = 0);
	REFUSED(-EINVAL, c.payload_max = 1231);
	REFUSED(-EINVAL, c.flags = 1);
	REFUSED(-EINVAL, c.congestion = HOP_CC_CUBIC + 1);
	REFUSED(-EINVAL, memset(c.name, 'x', sizeof(c.name)));
	REFUSED(-EINVAL, c.keys.rx_index = 0);
	REFUSED(-EINVAL, c.keys.tx_index = 0);
	REFUSED(-EINVAL, c.keys.cipher = 3);
	REFUSED(-EINVAL, c.keys.initiator = 2);
	REFUSED(-ENOTSUP, c.mode = HOP_MODE_RELIABLE);
	REFUSED(0, c.hop = 63);
	REFUSED(-EEXIST, c.hop = 63);
	REFUSED(-EEXIST, c.hop = 63 | 4 << DPMSG_HANDLE_BITS); // another generation of a live index
	assert_int_equal(hop_table_count(p.a.w.hops), 1);
	assert_int_equal(hop_table_tp(p.a.w.hops, 63), TP);
	assert_int_equal(hop_table_tp(p.a.w.hops, 62), 0);
	pair_fini(&p);
}

static void a_cipher_that_was_not_chosen_is_refused(void **state)
{
	const struct aead_choice chacha = {
		.be = {[AEAD_CHACHA20_POLY1305] = aead_backend_select(AEAD_CHACHA20_POLY1305)}};
	const struct hop_table_conf conf = {
		.hop_max = 64, .rx_index_bits = 8, .n_workers = 1, .aead = &chacha};
	struct hop_table *t = hop_table_new(&conf);
	struct cmd_hop_rekey rk = {.hop = HOP_B};
	struct cmd_hop_add c;
	struct pair p;
	uint16_t owner;

	pair_init(&p, AEAD_AES_256_GCM, false);
	assert_non_null(t);
	c = good_add(&p);
	assert_int_equal(hop_table_add(t, &c, 0, &owner), -ENOTSUP);
	c.keys.cipher = AEAD_NONE;
	assert_int_equal(hop_table_add(t, &c, 0, &owner), -ENOTSUP);
	assert_int_equal(hop_table_count(t), 0);
	c.keys.cipher = AEAD_CHACHA20_POLY1305;
	assert_int_equal(hop_table_add(t, &c, 0, &owner), 0);
	rk.hop = c.hop;
	rk.keys = (struct dpmsg_keys){
		.rx_index = 77, .tx_index = 78, .cipher = AEAD_AES_256_GCM, .initiator = 1};
	assert_int_equal(hop_table_rekey(t, &rk, 0), -ENOTSUP);
	hop_table_free(t);
	pair_fini(&p);
}

// Whom to tell of a route: the hop of its flow, as long as there are so many.
static void a_flow_is_found_by_transport_and_route_id(void **state)
{
	enum { N = 4, BASE = 10, MINE = 3 << DPMSG_HANDLE_BITS | 5 };
	struct hop_table *t;
	struct pair p;
	uint16_t owner;

	pair_init(&p, AEAD_CHACHA20_POLY1305, false);
	t = p.a.w.hops;
	assert_int_equal(hop_table_in_word(t, MINE, 1), 0);
	for (unsigned i = 0; i < N; i++) {
		struct cmd_hop_add c = good_add(&p);

		c.hop = (1u << DPMSG_HANDLE_BITS | BASE) + i;
		c.tp = MINE;
		c.flow = (uint8_t)(i + 1);
		c.n_flows = N;
		assert_int_equal(hop_table_add(t, &c, p.now_ns, &owner), 0);
	}
	for (uint32_t id = 0; id < 200; id++)
		assert_int_equal(hop_table_in_word(t, MINE, id) >> 32,
			(1u << DPMSG_HANDLE_BITS | BASE) + rail_flow_of(id, N) - 1);
	// another generation of the transport, and another transport
	assert_int_equal(hop_table_in_word(t, MINE ^ (1 << DPMSG_HANDLE_BITS), 2), 0);
	assert_int_equal(hop_table_in_word(t, MINE + 1, 2), 0);
	// a flow that is gone
	for (unsigned i = 2; i < N; i++) {
		struct cmd_hop_del del = {.hop = (1u << DPMSG_HANDLE_BITS | BASE) + i};

		assert_int_equal(hop_table_del(t, &del), 0);
	}
	for (uint32_t id = 1; id < 200; id++)
		assert_int_equal(hop_table_in_word(t, MINE, id) != 0, rail_flow_of(id, N) <= 2);
	pair_fini(&p);
}

// dp_eal.c asks EAL for 36 KiB each; 10 000 idle transports may take 64 KiB each.
static void a_hop_takes_what_memory_was_asked_for(void **state)
{
	struct rte_malloc_socket_stats before, after;
	struct cmd_hop_add c;
	struct pair p;
	uint16_t owner;

	pair_init(&p, AEAD_CHACHA20_POLY1305, false);
	c = good_add(&p);
	assert_int_equal(rte_malloc_get_socket_stats((int)rte_socket_id(), &before), 0);
	assert_int_equal(hop_table_add(p.a.w.hops, &c, p.now_ns, &owner), 0);
	assert_int_equal(rte_malloc_get_socket_stats((int)rte_socket_id(), &after), 0);
	assert_true(after.heap_allocsz_bytes > before.heap_allocsz_bytes + sizeof(struct hop));
	assert_true(after.heap_allocsz_bytes <= before.heap_allocsz_bytes + (36 << 10));
	pair_fini(&p);
}

static void commands_to_nobody_are_refused(void **state)
{
	struct pair p;
	struct cmd_hop_rekey rk = {.hop = HOP_B, .keys = {.rx_index = 1, .tx_index = 1}};
	struct cmd_hop_path path = {.hop = HOP_B};
	struct cmd_hop_del del = {.hop = 0xffffffff};
	struct cmd_hop_ping ping = {.hop = 5};

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	assert_int_equal(hop_table_rekey(p.a.w.hops, &rk, p.now_ns), -ENOENT);
	assert_int_equal(hop_table_path(p.a.w.hops, &path), -ENOENT);
	assert_int_equal(hop_table_del(p.a.w.hops, &del), -ENOENT);
	assert_int_equal(hop_table_ping(p.a.w.hops, &ping), -ENOENT); // generation 0
	rk.flags = 2;
	assert_int_equal(hop_table_rekey(p.a.w.hops, &rk, p.now_ns), -EINVAL);
	rk.payload_max = 5;
	assert_int_equal(hop_table_rekey(p.b.w.hops, &rk, p.now_ns), -EINVAL);
	path.payload_max = 5;
	assert_int_equal(hop_table_path(p.a.w.hops, &path), -EINVAL);
	del.text_len = 65;
	assert_int_equal(hop_table_del(p.a.w.hops, &del), -EINVAL);
	pair_fini(&p);
}

static void a_receiver_index_has_one_hop(void **state)
{
	struct pair p;
	struct cmd_hop_add c;
	uint16_t owner;
	uint32_t taken;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	taken = hop_of(&p.a)->keys[0].rx_index;
	c = good_add(&p);
	c.hop = 20;
	c.keys.rx_index = taken;
	assert_int_equal(hop_table_add(p.a.w.hops, &c, p.now_ns, &owner), -EEXIST);
	c.keys.rx_index = taken + 0x100; // the same low bits
	assert_int_equal(hop_table_add(p.a.w.hops, &c, p.now_ns, &owner), -EEXIST);
	c.keys.rx_index = taken + 0x10;
	assert_int_equal(hop_table_add(p.a.w.hops, &c, p.now_ns, &owner), 0);
	pair_fini(&p);
}

static void an_index_is_free_again_when_its_key_is_gone(void **state)
{
	struct pair p;
	struct dpmsg_keys mine, theirs;
	struct cmd_hop_add c;
	uint16_t owner;
	uint32_t old;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	old = hop_of(&p.a)->keys[0].rx_index;
	make_keys(&p, &p.a, &p.b, &mine, &theirs);
	rekey(&p, &p.b, &theirs, 0);
	rekey(&p, &p.a, &mine, 0);
	settle(&p);
	c = good_add(&p);
	c.hop = 20;
	c.keys.rx_index = old + 0x100;
	assert_int_equal(hop_table_add(p.a.w.hops, &c, p.now_ns, &owner), -EEXIST);
	advance(&p, 11 * S_NS);
	assert_int_equal(hop_table_add(p.a.w.hops, &c, p.now_ns, &owner), 0);
	assert_int_equal(hop_table_rx_word(p.a.w.hops, old), 0);
	assert_true(hop_table_rx_word(p.a.w.hops, old + 0x100) != 0);
	assert_true(hop_table_rx_word(p.a.w.hops, mine.rx_index) != 0);
	pair_fini(&p);
}

static void a_handle_is_free_again_when_its_owner_let_go(void **state)
{
	struct pair p;
	struct cmd_hop_del del = {.hop = HOP_A};
	struct cmd_hop_add c;
	uint16_t owner;
	uint32_t index;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	index = hop_of(&p.a)->keys[0].rx_index;
	c = good_add(&p);
	c.hop = 5 | 4 << DPMSG_HANDLE_BITS;
	assert_int_equal(hop_table_del(p.a.w.hops, &del), 0);
	assert_int_equal(hop_table_rx_word(p.a.w.hops, index), 0);
	assert_int_equal(hop_table_count(p.a.w.hops), 0);
	assert_int_equal(hop_table_add(p.a.w.hops, &c, p.now_ns, &owner), -EAGAIN);
	run_commands(&p.a);
	assert_int_equal(hop_table_add(p.a.w.hops, &c, p.now_ns, &owner), -EAGAIN);
	hop_commands(&p.a.w); // tells that it let go
	skip_notes(&p.a);
	assert_int_equal(hop_table_add(p.a.w.hops, &c, p.now_ns, &owner), 0);
	run_commands(&p.a);
	assert_null(hop_by_handle(&p.a.w, HOP_A));
	assert_non_null(hop_by_handle(&p.a.w, c.hop));
	pair_fini(&p);
}

static void a_release_is_told_even_when_the_notes_were_full(void **state)
{
	struct pair p;
	struct cmd_hop_del del = {.hop = HOP_A};
	struct dp_note n = {.kind = NOTE_RULE_MISS};
	struct cmd_hop_add c;
	uint16_t owner;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	while (hop_note(&p.a.w, &n))
		;
	assert_int_equal(hop_table_del(p.a.w.hops, &del), 0);
	run_commands(&p.a);
	skip_notes(&p.a);
	run_commands(&p.a);
	skip_notes(&p.a);
	c = good_add(&p);
	assert_int_equal(hop_table_add(p.a.w.hops, &c, p.now_ns, &owner), 0);
	pair_fini(&p);
}

static void a_full_queue_is_said_and_keeps_nothing(void **state)
{
	struct pair p;
	struct cmd_hop_ping ping = {.hop = HOP_A};
	struct dpmsg_keys mine, theirs;
	struct cmd_hop_rekey rk = {.hop = HOP_A};
	unsigned n = 0;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	while (hop_table_ping(p.a.w.hops, &ping) == 0)
		n++;
	assert_int_equal(n, HOP_CMDS);
	make_keys(&p, &p.a, &p.b, &mine, &theirs);
	rk.keys = mine;
	assert_int_equal(hop_table_rekey(p.a.w.hops, &rk, p.now_ns), -EAGAIN);
	assert_int_equal(hop_table_rx_word(p.a.w.hops, mine.rx_index), 0);
	assert_int_equal(hop_commands(&p.a.w), HOP_CMDS_TURN); // a few per turn
	lose_all(&p.a);
	assert_int_equal(hop_table_rekey(p.a.w.hops, &rk, p.now_ns), 0);
	while (hop_commands(&p.a.w) > 0)
		lose_all(&p.a);
	pair_fini(&p);
}

static void keys_do_not_stay_in_the_queue(void **state)
{
	static const uint8_t zero[2 * AEAD_KEY_LEN];
	struct pair p;

	pair_link(&p, AEAD_CHACHA20_POLY1305, false);
	for (unsigned i = 0; i < HOP_CMDS; i++)
		assert_memory_equal(hop_worker(&p.a.w)->cmds[i].secret, zero, sizeof(zero));
	pair_fini(&p);
}

static void shows_what_it_was_told_and_what_became_of_it(void **state)
{
	struct pair p;
	struct cmd_hop_add c;
	struct evt_hop e;
	uint16_t owner;

	pair_init(&p, AEAD_NONE, false);
	c = good_add(&p);
	c.tp_id[3] = 7;
	c.peer_pk[32] = 9;
	c.handshake_ns = 123;
	c.keepalive_ms = 5000;
	c.window_log2 = 11;
	c.retransmit_limit = 7;
	c.silence_s = 300;
	c.flags = HOP_ACCEPTED;
	assert_int_equal(hop_table_add(p.a.w.hops, &c, p.now_ns, &owner), 0);
	for (unsigned taken = 0; taken < 2; taken++) {
		assert_int_equal(hop_table_show(p.a.w.hops, 5, p.now_ns + 2 * S_NS, &e), 0);
		assert_int_equal(e.hop, HOP_A);
		assert_int_equal(e.tp, TP);
		assert_memory_equal(e.tp_id, c.tp_id, 16);
		assert_memory_equal(e.peer_pk, c.peer_pk, 33);
		assert_memory_equal(&e.peer, &c.peer, sizeof(e.peer));
		assert_int_equal(e.instance_remote, 2);
		assert_int_equal(e.handshake_ns, 123);
		assert_int_equal(e.keepalive_ms, 5000);
		assert_int_equal(e.window_log2, 11);
		assert_int_equal(e.retransmit_limit, 7);
		assert_int_equal(e.silence_s, 300);
		assert_int_equal(e.flags, HOP_ACCEPTED);
		assert_int_equal(e.payload_max, 8900);
		assert_int_equal(e.adj, ADJ);
		assert_string_equal(e.name, "test");
		assert_int_equal(e.up, taken);
		run_commands(&p.a);
	}
	assert_int_equal(e.rx_index[0], c.keys.rx_index);
	assert_int_equal(e.cipher, AEAD_NONE);
	assert_int_equal(e.initiator, 1);
	assert_int_equal(e.key_age_ms, 2000);
	assert_int_equal(hop_table_show(p.a.w.hops, 6, p.now_ns, &e), -ENOENT);
	assert_int_equal(hop_table_show(p.a.w.hops, 64, p.now_ns, &e), -ENOENT);
	pair_fini(&p);
}

static void refuses_tables_that_cannot_be(void **state)
{
	const struct hop_table_conf good = {.hop_max = 8, .rx_index_bits = 8, .n_workers = 2};
	struct hop_table_conf c;
	struct hop_table *t = hop_table_new(&good);

	assert_non_null(t);
	hop_table_free(t);
	c = good;
	c.hop_max = 0;
	assert_null(hop_table_new(&c));
	c = good;
	c.rx_index_bits = 25;
	assert_null(hop_table_new(&c));
	c = good;
	c.n_workers = 65;
	assert_null(hop_table_new(&c));
	assert_int_equal(errno, EINVAL);
}

static void spreads_hops_over_workers(void **state)
{
	const struct hop_table_conf conf = {.hop_max = 8, .rx_index_bits = 8, .n_workers = 3};
	struct hop_table *t = hop_table_new(&conf);
	struct pair p;
	uint16_t owner;

	pair_init(&p, AEAD_NONE, false);
	for (uint32_t i = 1; i < 7; i++) {
		struct cmd_hop_add c = good_add(&p);

		c.hop = i;
		assert_int_equal(hop_table_add(t, &c, 1, &owner), 0);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(hop_table_worker_hops(t, i), 2);
	hop_table_free(t);
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_what_is_out_of_range),
		cmocka_unit_test(a_flow_is_found_by_transport_and_route_id),
		cmocka_unit_test(a_cipher_that_was_not_chosen_is_refused),
		cmocka_unit_test(a_hop_takes_what_memory_was_asked_for),
		cmocka_unit_test(commands_to_nobody_are_refused),
		cmocka_unit_test(a_receiver_index_has_one_hop),
		cmocka_unit_test(an_index_is_free_again_when_its_key_is_gone),
		cmocka_unit_test(a_handle_is_free_again_when_its_owner_let_go),
		cmocka_unit_test(a_release_is_told_even_when_the_notes_were_full),
		cmocka_unit_test(a_full_queue_is_said_and_keeps_nothing),
		cmocka_unit_test(keys_do_not_stay_in_the_queue),
		cmocka_unit_test(shows_what_it_was_told_and_what_became_of_it),
		cmocka_unit_test(refuses_tables_that_cannot_be),
		cmocka_unit_test(spreads_hops_over_workers),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
