// Transports of two or three nodes against each other: coming up, crossing, replays, refusals,
// re-keys, deaths and returns of either process, limits. The edges are in world.h.
#include "tests/controlplane/transport/world.h"

static void comes_up_when_one_side_dials(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);

	(void)state;
	w_run(10);
	both_up(a, b);
	assert_int_equal(w_n_inits[0], 1);
	assert_int_equal(w_n_responses[1], 1);
	assert_true(info_of(a).initiator);
	assert_false(info_of(b).initiator);
	assert_memory_equal(info_of(a).tp_id, info_of(b).tp_id, 16);
	assert_ptr_equal(transport_mgr_find_id(nodes[0].m, info_of(b).tp_id), a);
	assert_null(transport_mgr_find_id(nodes[0].m, (const uint8_t[16]){0}));
	assert_int_equal(info_of(b).peer.ip[15], 0);
	assert_int_equal(nodes[0].n_up, 1);
	assert_int_equal(nodes[0].n_in_dp, 1);
	assert_int_equal(w_hop_of(0, a)->add.retransmit_limit, 7);
	assert_int_equal(w_hop_of(0, a)->add.silence_s, 20);
	assert_int_equal(w_hop_of(0, a)->add.window_log2, 10);
	assert_int_equal(w_hop_of(0, a)->instance_remote, w_hop_of(1, b)->instance_local);
	assert_int_equal(w_hop_of(1, b)->instance_remote, w_hop_of(0, a)->instance_local);
	// and stays as it is
	w_run(60000);
	assert_int_equal(w_n_dgrams, 2);
}

static void comes_up_when_both_dial_at_once(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, true);

	(void)state;
	w_run(100);
	both_up(a, b);
	// exactly one of the two inits counted
	assert_int_equal(w_n_responses[0] + w_n_responses[1], 1);
	assert_int_equal(stats_of(0).drop_hs_crossed + stats_of(1).drop_hs_crossed, 1);
	assert_int_not_equal(info_of(a).initiator, info_of(b).initiator);
}

static void inits_are_repeated_slower_and_slower_for_ever(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);

	(void)state;
	w_lose = lose_all;
	w_run(4000); // at about 0, 1, 3
	assert_in_range(w_n_inits[0], 3, 4);
	w_run(3600 * 1000ull);
	assert_in_range(w_n_inits[0], 45, 90);
	assert_false(transport_is_up(a));
	assert_string_not_equal(info_of(a).why, "");
	w_lose = NULL;
	w_run(80000);
	both_up(a, b);
}

// What is shown is what is so now, not what was.
static void why_it_is_not_up_is_always_said(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false), *late;
	struct transport_conf c = {
		.name = "second", .ciphers = TRANSPORT_AUTO, .peer = nodes[0].pk};
	char err[128] = "";

	(void)state;
	w_lose = lose_all;
	w_run(100);
	assert_string_equal(info_of(a).why, "no answer yet");
	assert_string_equal(info_of(b).why, "waiting for the peer to call");
	w_run(4000);
	assert_non_null(strstr(info_of(a).why, "no answer: is the peer up"));
	w_detach(1, true);
	assert_string_equal(info_of(b).why, "no data plane");
	late = w_add(1, 2, false);
	assert_string_equal(info_of(late).why, "no data plane");
	w_attach(1, DP_SYNC_FRESH);
	assert_string_equal(info_of(b).why, "waiting for the peer to call");
	assert_string_equal(info_of(late).why, "waiting for the peer to call");
	assert_int_equal(transport_mgr_del(nodes[1].m, "to-2"), 0);
	assert_int_equal(transport_mgr_add(nodes[1].m, &c, err, sizeof(err)), -EEXIST);
	assert_string_equal(err, "this peer has a rail transport already: to-0");
	c.peer = nodes[2].pk;
	snprintf(c.name, sizeof(c.name), "to-0");
	assert_int_equal(transport_mgr_add(nodes[1].m, &c, err, sizeof(err)), -EEXIST);
	assert_string_equal(err, "the name to-0 is taken by the transport of another peer");
}

static void is_found_by_its_peer_and_by_its_id(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);
	struct transport_mgr *m = nodes[0].m;
	const uint8_t none[16] = {1};

	(void)state;
	assert_ptr_equal(transport_mgr_find_id(m, transport_id(b)), a);
	assert_null(transport_mgr_find_id(m, none));
	assert_ptr_equal(transport_mgr_find_peer(m, &nodes[1].pk, TRANSPORT_RAIL), a);
	assert_null(transport_mgr_find_peer(m, &nodes[1].pk, TRANSPORT_STCP));
	assert_null(transport_mgr_find_peer(m, &nodes[2].pk, TRANSPORT_RAIL));
	assert_null(transport_mgr_find_peer(m, &nodes[1].pk, -1)); // not up yet
	w_run(10);
	assert_ptr_equal(transport_mgr_find_peer(m, &nodes[1].pk, -1), a);
	assert_memory_equal(transport_peer(a)->b, nodes[1].pk.b, sizeof(nodes[1].pk.b));
	assert_int_equal(transport_type(a), TRANSPORT_RAIL);
	assert_int_equal(transport_mgr_del(m, "to-1"), 0);
	assert_null(transport_mgr_find_peer(m, &nodes[1].pk, TRANSPORT_RAIL));
	assert_null(transport_mgr_find_id(m, transport_id(b)));
}

static unsigned lose_n;

static bool lose_first_n(unsigned from, unsigned to, const uint8_t *bytes, size_t len)
{
	(void)from, (void)to, (void)bytes, (void)len;
	return lose_n > 0 && lose_n-- > 0;
}

// Each of the first messages is lost once: init, response, first datagram.
static void one_lost_message_of_any_kind_is_made_good(void **state)
{
	for (unsigned k = 0; k < 2; k++) {
		struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);

		lose_n = 0;
		w_lose = lose_first_n;
		lose_n = k + 1;
		w_run(20000);
		both_up(a, b);
		transport_mgr_del(nodes[0].m, "to-1");
		transport_mgr_del(nodes[1].m, "to-0");
		w_run(10);
		w_teardown(state);
		w_setup(state);
	}
}

static void an_unknown_key_gets_silence_and_leaves_nothing(void **state)
{
	struct transport *a = w_add(0, 1, true);

	(void)state;
	w_run(10);
	assert_false(transport_is_up(a));
	assert_int_equal(stats_of(1).drop_hs_not_allowed, 1);
	assert_int_equal(w_n_dgrams, 1);
	assert_null(transport_mgr_find(nodes[1].m, "to-0"));
	for (unsigned i = 0; i < HOPS; i++)
		assert_false(nodes[1].dp.hops[i].live);
	// later allowed
	w_run(1000);
	struct transport *b = w_add(1, 0, false);

	w_run(70000);
	both_up(a, b);
}

static void any_key_may_come_when_configured_and_is_forgotten_when_silent(void **state)
{
	struct transport *a;
	struct transport *b;

	(void)state;
	transport_mgr_policy(nodes[1].m, true, NULL);
	a = w_add(0, 1, true);
	w_run(10);
	assert_true(transport_is_up(a));
	b = transport_mgr_find_hop(nodes[1].m, nodes[1].dp.hops[0].add.hop);
	assert_non_null(b);
	assert_true(transport_is_up(b));
	assert_int_equal(info_of(b).conf.origin, TRANSPORT_ACCEPTED);
	w_lose = lose_all;
	w_note(&nodes[1].dp, EVT_HOP_DEAD, transport_hop(b, 1), 0, 0);
	w_run(200000);
	assert_int_equal(nodes[1].n_removed, 0);
	w_run(200000);
	assert_int_equal(nodes[1].n_removed, 1);
	assert_false(nodes[1].dp.hops[0].live);
}

static bool lose_sealed(unsigned from, unsigned to, const uint8_t *bytes, size_t len)
{
	(void)from, (void)to, (void)bytes;
	return len == 0;
}

// A stranger's init whose keys are never used holds a place for seconds only.
static void an_accepted_peer_that_never_speaks_is_forgotten(void **state)
{
	(void)state;
	transport_mgr_policy(nodes[1].m, true, NULL);
	w_add(0, 1, true);
	w_lose = lose_sealed;
	w_run(10);
	assert_true(nodes[1].dp.hops[0].live);
	transport_mgr_del(nodes[0].m, "to-1");
	w_run(20000);
	assert_int_equal(nodes[1].n_removed, 1);
	assert_int_equal(nodes[1].n_up, 0);
	assert_false(nodes[1].dp.hops[0].live);
}

static void a_refused_peer_is_not_hammered(void **state)
{
	struct transport_conf c = {.name = "x", .ciphers = TRANSPORT_NONE, .dial = true};
	struct transport *a, *b;

	(void)state;
	c.peer = nodes[1].pk;
	c.addr = w_addr(1);
	b = w_add(1, 0, false);
	assert_int_equal(transport_mgr_add(nodes[0].m, &c, NULL, 0), 0);
	w_run(5000);
	a = transport_mgr_find(nodes[0].m, "x");
	assert_non_null(strstr(info_of(a).why, "the peer refuses: cipher, the refusing end has"));
	assert_non_null(strstr(info_of(b).why, "we refused the peer: cipher"));
	assert_int_equal(w_n_inits[0], 1);
	assert_int_equal(stats_of(1).drop_hs_refused, 1);
}

static void ciphers_must_meet(void **state)
{
	static const struct {
		uint8_t a, b;
		int cipher; // -1: refused
	} rows[] = {
		{TRANSPORT_CHACHA, TRANSPORT_CHACHA, AEAD_CHACHA20_POLY1305},
		{TRANSPORT_NONE | TRANSPORT_CHACHA, TRANSPORT_CHACHA, AEAD_CHACHA20_POLY1305},
		{TRANSPORT_NONE | TRANSPORT_CHACHA, TRANSPORT_NONE | TRANSPORT_CHACHA, AEAD_NONE},
		{TRANSPORT_NONE, TRANSPORT_NONE, AEAD_NONE},
		{TRANSPORT_NONE, TRANSPORT_CHACHA, -1},
		{TRANSPORT_AUTO, TRANSPORT_AUTO, AEAD_AES_256_GCM},
		{TRANSPORT_AUTO, TRANSPORT_CHACHA, AEAD_CHACHA20_POLY1305},
		{TRANSPORT_CHACHA, TRANSPORT_AUTO, AEAD_CHACHA20_POLY1305},
		{TRANSPORT_AES, TRANSPORT_AUTO, AEAD_AES_256_GCM},
		{TRANSPORT_AUTO, TRANSPORT_AES, AEAD_AES_256_GCM},
		{TRANSPORT_AES, TRANSPORT_CHACHA, -1},
	};
	struct transport_conf c = {.name = "x", .addr = w_addr(1)};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct transport *a, *b;

		c.peer = nodes[1].pk;
		c.ciphers = rows[i].a;
		c.dial = true;
		c.addr = w_addr(1);
		assert_int_equal(transport_mgr_add(nodes[0].m, &c, NULL, 0), 0);
		c.peer = nodes[0].pk;
		c.ciphers = rows[i].b;
		c.dial = false;
		assert_int_equal(transport_mgr_add(nodes[1].m, &c, NULL, 0), 0);
		w_run(10);
		a = transport_mgr_find(nodes[0].m, "x");
		b = transport_mgr_find(nodes[1].m, "x");
		assert_int_equal(transport_is_up(a), rows[i].cipher >= 0);
		assert_int_equal(transport_is_up(b), rows[i].cipher >= 0);
		if (rows[i].cipher >= 0)
			assert_int_equal(info_of(a).cipher, rows[i].cipher);
		w_teardown(state);
		w_setup(state);
	}
}

// Node 0 dials. An end that is slow with AES, or lacks it, keeps both from it unless it is the only
// one left.
static void auto_takes_what_is_fast_at_both_ends(void **state)
{
	enum { FAST = 100, SLOW = 1000, LACKS = 0 }; // against 400 of ChaCha20
	static const struct {
		uint32_t aes_a, aes_b;
		uint8_t a, b;
		int cipher; // -1: none
	} rows[] = {
		{FAST, FAST, TRANSPORT_AUTO, TRANSPORT_AUTO, AEAD_AES_256_GCM},
		{FAST, SLOW, TRANSPORT_AUTO, TRANSPORT_AUTO, AEAD_CHACHA20_POLY1305},
		{SLOW, FAST, TRANSPORT_AUTO, TRANSPORT_AUTO, AEAD_CHACHA20_POLY1305},
		{SLOW, SLOW, TRANSPORT_AUTO, TRANSPORT_AUTO, AEAD_CHACHA20_POLY1305},
		{FAST, LACKS, TRANSPORT_AUTO, TRANSPORT_AUTO, AEAD_CHACHA20_POLY1305},
		{LACKS, FAST, TRANSPORT_AUTO, TRANSPORT_AUTO, AEAD_CHACHA20_POLY1305},
		{FAST, SLOW, TRANSPORT_AES, TRANSPORT_AUTO, AEAD_AES_256_GCM},
		{SLOW, SLOW, TRANSPORT_AES, TRANSPORT_AES, AEAD_AES_256_GCM},
		{FAST, LACKS, TRANSPORT_AES, TRANSPORT_AUTO, -1},
		{FAST, LACKS, TRANSPORT_AES, TRANSPORT_AES, -1},
		{LACKS, FAST, TRANSPORT_AES, TRANSPORT_AES, -1},
		{SLOW, FAST, TRANSPORT_AUTO, TRANSPORT_AES, -1},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct transport *a, *b;

		nodes[0].dp.info.cipher_ns[AEAD_AES_256_GCM] = rows[i].aes_a;
		nodes[1].dp.info.cipher_ns[AEAD_AES_256_GCM] = rows[i].aes_b;
		a = w_add_with(0, 1, true, rows[i].a);
		b = w_add_with(1, 0, false, rows[i].b);
		w_run(10);
		assert_int_equal(transport_is_up(a), rows[i].cipher >= 0);
		assert_int_equal(transport_is_up(b), rows[i].cipher >= 0);
		if (rows[i].cipher >= 0)
			assert_int_equal(info_of(b).cipher, rows[i].cipher);
		if (rows[i].aes_a == LACKS && rows[i].a == TRANSPORT_AES) {
			assert_int_equal(w_n_inits[0], 0);
			assert_non_null(strstr(info_of(a).why, "does not have its cipher"));
		}
		w_teardown(state);
		w_setup(state);
	}
}

static void another_data_plane_may_have_other_ciphers(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);

	(void)state;
	w_run(10);
	both_up(a, b);
	assert_int_equal(info_of(a).cipher, AEAD_AES_256_GCM);
	w_detach(0, true);
	nodes[0].dp.info.cipher_ns[AEAD_AES_256_GCM] = 0;
	w_attach(0, DP_SYNC_FRESH);
	w_run(5000);
	both_up(a, b);
	assert_int_equal(info_of(a).cipher, AEAD_CHACHA20_POLY1305);
	assert_int_equal(info_of(b).cipher, AEAD_CHACHA20_POLY1305);
}

static void a_replayed_init_breaks_nothing(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);
	uint8_t old[RAIL_HS_MAX];
	size_t old_len;
	struct w_hop *h;

	(void)state;
	w_run(10);
	both_up(a, b);
	old_len = w_last_init_len[0];
	memcpy(old, w_last_init[0], old_len);
	h = w_hop_of(1, b);
	w_run(5000);
	w_deliver(2, 1, old, old_len); // from elsewhere
	w_deliver(0, 1, old, old_len);
	w_run(1000);
	assert_int_equal(stats_of(1).drop_hs_replayed, 2);
	assert_int_equal(w_n_responses[1], 1);
	assert_int_equal(h->n_rekeys, 0);
	both_up(a, b);
	assert_int_equal(info_of(b).peer.ip[15], 0);
}

// An authentic and new init that is never followed by a datagram (the replay of one that was lost):
// everything stays as it was.
static void an_init_that_nobody_follows_changes_nothing(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);
	struct w_hop *h;
	uint64_t remote;

	(void)state;
	w_run(10);
	h = w_hop_of(1, b);
	remote = info_of(b).n_handshakes;
	// the peer's data plane dies; its new init arrives, the answer doesn't
	w_detach(0, true);
	w_lose = lose_sealed;
	w_attach(0, DP_SYNC_FRESH);
	w_run(10);
	assert_int_equal(h->n_resets, 1); // pending in the data plane
	assert_true(transport_is_up(b));
	assert_int_equal(info_of(b).n_handshakes, remote);
	w_detach(0, true);
	w_run(60000);
	assert_true(transport_is_up(b));
	assert_int_equal(info_of(b).n_handshakes, remote);
	(void)a;
}

static void the_clock_may_go_back(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);

	(void)state;
	w_run(10);
	both_up(a, b);
	w_wall_off -= 3600ll * 1000000000;
	// our control plane too starts anew: the last time is in its file
	w_detach(0, true);
	w_mgr_stop(0);
	w_mgr_start(0);
	a = w_add(0, 1, true);
	w_attach(0, DP_SYNC_FRESH);
	w_run(10);
	both_up(a, b);
	assert_int_equal(stats_of(1).drop_hs_replayed, 0);
	w_wall_off += 3600ll * 1000000000;
}

static void a_new_data_plane_resets_the_link_on_both_sides(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);
	uint32_t hop = transport_hop(a, 1), tp = transport_tp(a);
	uint64_t was;

	(void)state;
	w_run(10);
	was = w_hop_of(0, a)->instance_local;
	w_detach(0, true);
	assert_false(transport_is_up(a));
	assert_int_equal(nodes[0].n_down, 1);
	w_run(1000);
	w_attach(0, DP_SYNC_FRESH);
	w_run(10);
	both_up(a, b);
	assert_int_equal(transport_hop(a, 1), hop);
	assert_int_equal(transport_tp(a), tp);
	assert_int_not_equal(w_hop_of(0, a)->instance_local, was);
	assert_int_equal(w_hop_of(1, b)->n_resets, 1);
	assert_int_equal(w_hop_of(1, b)->instance_remote, w_hop_of(0, a)->instance_local);
	assert_int_equal(w_hop_of(0, a)->instance_remote, w_hop_of(1, b)->instance_local);
	assert_int_equal(nodes[0].n_in_dp, 2);
}

static void a_new_control_plane_takes_over_without_a_word_to_the_peer(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);
	uint32_t hop = transport_hop(a, 1), tp = transport_tp(a);
	unsigned sent;

	(void)state;
	w_run(10);
	both_up(a, b);
	sent = w_n_dgrams;
	nodes[0].dp.attached = false; // killed: no callbacks
	w_mgr_stop(0);
	w_mgr_start(0);
	a = w_add(0, 1, true);
	w_add(0, 2, true);
	w_attach(0, DP_SYNC_ADOPT);
	w_run(10);
	both_up(a, b);
	assert_int_equal(transport_hop(a, 1), hop);
	assert_int_equal(transport_tp(a), tp);
	assert_int_equal(w_n_dgrams - sent, 1); // node 2's init only
	assert_int_equal(w_hop_of(0, a)->n_rekeys + w_hop_of(0, a)->n_paths, 0);
	// and it can re-key what it took over, without a reset
	w_note(&nodes[0].dp, EVT_HOP_REKEY_DUE, hop, 0, 0);
	w_run(10);
	assert_int_equal(w_hop_of(0, a)->n_rekeys, 1);
	assert_int_equal(w_hop_of(1, b)->n_rekeys, 1);
	assert_int_equal(w_hop_of(0, a)->n_resets + w_hop_of(1, b)->n_resets, 0);
}

static void a_hop_that_nobody_names_is_taken_over_too(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);
	struct transport_conf c = {.name = "named", .ciphers = TRANSPORT_AUTO};

	(void)state;
	w_run(10);
	both_up(a, b);
	nodes[1].dp.attached = false;
	w_mgr_stop(1);
	w_mgr_start(1);
	w_attach(1, DP_SYNC_ADOPT);
	b = transport_mgr_find(nodes[1].m, "to-0");
	assert_non_null(b);
	both_up(a, b);
	assert_int_equal(info_of(b).conf.origin, TRANSPORT_ADOPTED);
	c.peer = nodes[0].pk;
	c.origin = TRANSPORT_ADDED;
	assert_int_equal(transport_mgr_add(nodes[1].m, &c, NULL, 0), 0);
	assert_ptr_equal(transport_mgr_find(nodes[1].m, "named"), b);
}

static void the_worker_that_receives_the_peer_owns_its_hop(void **state)
{
	struct transport *a, *b;

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		nodes[i].dp.info.n_workers = 4;
	w_hs_worker = 2;
	w_queues = 4;
	a = w_add(0, 1, true);
	b = w_add(1, 0, false);
	w_run(10);
	both_up(a, b);
	assert_int_equal(w_hop_of(0, a)->add.owner, 2);
	assert_int_equal(w_hop_of(1, b)->add.owner, 2);
	w_queues = 2; // all receive by these two: the data plane chooses
	assert_int_equal(transport_mgr_del(nodes[0].m, "to-1"), 0);
	a = w_add(0, 1, true);
	w_run(60000);
	assert_int_equal(w_hop_of(0, a)->add.owner, 0xff);
}

static void the_configuration_takes_over_what_was_tried_out(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);
	struct transport_conf c = info_of(a).conf;
	char err[128] = "";

	(void)state;
	w_run(10);
	both_up(a, b);
	// As the tool would make it, then in the file.
	assert_int_equal(transport_mgr_del(nodes[0].m, "to-1"), 0);
	c.origin = TRANSPORT_ADDED;
	assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), 0);
	a = transport_mgr_find(nodes[0].m, "to-1");
	w_run(10);
	both_up(a, b);
	c.origin = TRANSPORT_CONFIGURED;
	assert_int_equal(transport_mgr_check(nodes[0].m, &c, err, sizeof(err)), 0);
	assert_int_equal(info_of(a).conf.origin, TRANSPORT_ADDED); // a question changes nothing
	assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), 0);
	assert_ptr_equal(transport_mgr_find(nodes[0].m, "to-1"), a);
	assert_int_equal(info_of(a).conf.origin, TRANSPORT_CONFIGURED);
	both_up(a, b);
	c.origin = TRANSPORT_ADDED; // the tool may not take it back
	assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), -EEXIST);
}

static void the_configuration_is_told_what_is_in_its_way(void **state)
{
	struct transport *a = w_add(0, 1, true);
	struct transport_conf by_hand = info_of(a).conf, c = by_hand;
	char err[128] = "";

	(void)state;
	c.peer = nodes[2].pk; // its own section of before has the name: that goes first
	assert_int_equal(transport_mgr_check(nodes[0].m, &c, err, sizeof(err)), 0);
	assert_int_equal(transport_mgr_del(nodes[0].m, "to-1"), 0);
	by_hand.origin = TRANSPORT_ADDED;
	assert_int_equal(transport_mgr_add(nodes[0].m, &by_hand, err, sizeof(err)), 0);
	assert_int_equal(transport_mgr_check(nodes[0].m, &c, err, sizeof(err)), -EEXIST);
	assert_non_null(strstr(err, "transport del to-1"));
	c = by_hand;
	c.origin = TRANSPORT_CONFIGURED;
	strcpy(c.name, "other");
	assert_int_equal(transport_mgr_check(nodes[0].m, &c, err, sizeof(err)), -EEXIST);
	assert_non_null(strstr(err, "transport del to-1"));
	c.peer = nodes[0].pk;
	assert_int_equal(transport_mgr_check(nodes[0].m, &c, err, sizeof(err)), -EINVAL);
}

static void a_dead_peer_that_comes_back_is_no_reset(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, true);

	(void)state;
	w_run(100);
	both_up(a, b);
	w_lose = lose_all;
	w_note(&nodes[0].dp, EVT_HOP_DEAD, transport_hop(a, 1), 0, 0);
	w_note(&nodes[1].dp, EVT_HOP_DEAD, transport_hop(b, 1), 0, 0);
	w_run(30000);
	assert_false(transport_is_up(a));
	assert_false(transport_is_up(b));
	w_lose = NULL;
	w_run(70000);
	both_up(a, b);
	assert_int_equal(w_hop_of(0, a)->n_resets + w_hop_of(1, b)->n_resets, 0);
	assert_true(w_hop_of(0, a)->n_rekeys >= 1);
}

static void a_closed_transport_dials_again_with_a_new_instance(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);
	uint64_t was;

	(void)state;
	w_run(10);
	was = w_hop_of(0, a)->instance_local;
	w_note(&nodes[0].dp, EVT_HOP_CLOSED, transport_hop(a, 1), 0, 0);
	assert_false(transport_is_up(a));
	w_run(10000);
	both_up(a, b);
	assert_int_not_equal(w_hop_of(0, a)->instance_local, was);
	assert_int_equal(w_hop_of(0, a)->n_resets, 1);
	assert_int_equal(w_hop_of(1, b)->n_resets, 1);
	// whoever lost its state may have another window now
	assert_int_equal(w_hop_of(0, a)->add.rel_window_log2, RAIL_WINDOW_LOG2_DEFAULT);
	assert_int_equal(w_hop_of(1, b)->add.rel_window_log2, RAIL_WINDOW_LOG2_DEFAULT);
}

static void deleting_tells_the_peer_and_frees_the_handles(void **state)
{
	struct transport *a = w_add(0, 1, true);
	uint32_t hop = transport_hop(a, 1);

	(void)state;
	w_add(1, 0, false);
	w_run(10);
	assert_int_equal(transport_mgr_del(nodes[0].m, "to-1"), 0);
	assert_int_equal(transport_mgr_del(nodes[0].m, "to-1"), -ENOENT);
	assert_int_equal(w_refs[1], 1); // until the CLOSE has gone out
	w_run(10);
	assert_int_equal(nodes[0].n_removed, 1);
	assert_null(transport_mgr_find_hop(nodes[0].m, hop));
	assert_null(w_hop_find(&nodes[0].dp, hop));
	a = w_add(0, 1, true);
	assert_int_not_equal(transport_hop(a, 1), hop);
	w_run(10);
	assert_true(transport_is_up(a));
	transport_mgr_del(nodes[0].m, "to-1");
	w_run(5000);
	assert_int_equal(w_refs[1], 0);
}

static void a_peer_that_moves_is_followed(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);
	struct evt_hop_note e = {.h.type = EVT_HOP_ROAMED, .peer = w_addr(0)};

	(void)state;
	w_run(10);
	e.hop = transport_hop(b, 1);
	e.peer.port = 9999;
	W_EACH(&nodes[1].dp, on_hop_note, &e);
	w_run(10);
	assert_int_equal(w_hop_of(1, b)->n_paths, 1);
	assert_int_equal(w_hop_of(1, b)->n_roamed, 1);
	assert_int_equal(w_hop_of(1, b)->add.peer.port, 9999);
	assert_int_equal(info_of(b).peer.port, 9999);
	both_up(a, b);
}

static unsigned n_pings;
static int ping_status;

static void on_ping(void *arg, int status, uint32_t rtt_us)
{
	(void)arg;
	n_pings++;
	ping_status = status;
	if (status == 0)
		assert_int_equal(rtt_us, 123);
}

static void pings_are_answered_or_time_out(void **state)
{
	struct transport *a = w_add(0, 1, true);

	(void)state;
	n_pings = 0;
	assert_int_equal(transport_mgr_ping(nodes[0].m, a, on_ping, NULL), -ENOTCONN);
	w_add(1, 0, false);
	w_run(70000);
	assert_int_equal(transport_mgr_ping(nodes[0].m, a, on_ping, NULL), 0);
	// the fake answers before it returns, when nobody waits for that cookie yet
	w_run(3000);
	assert_int_equal(n_pings, 1);
	assert_int_equal(ping_status, -ETIMEDOUT);
}

static void what_cannot_be_is_refused_with_a_reason(void **state)
{
	struct transport_conf c = {.name = "x", .ciphers = TRANSPORT_AUTO};
	char err[128];

	(void)state;
	c.peer = nodes[0].pk;
	assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "own key"));
	memset(c.peer.b, 0, sizeof(c.peer.b));
	assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), -EINVAL);
	c.peer = nodes[1].pk;
	c.ciphers = 8;
	assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), -EINVAL);
	c.ciphers = TRANSPORT_AUTO;
	c.mode = HOP_MODE_RELIABLE + 1;
	assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), -EINVAL);
	c.mode = HOP_MODE_DATAGRAM;
	assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), 0);
	assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), -EEXIST);
	snprintf(c.name, sizeof(c.name), "y");
	assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), -EEXIST);
	c.peer = nodes[2].pk;
	snprintf(c.name, sizeof(c.name), "x");
	assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), -EEXIST);
}

static void garbage_is_counted_and_ignored(void **state)
{
	uint8_t junk[RAIL_HS_MAX];
	unsigned seed = 1;

	(void)state;
	w_add(1, 0, false);
	for (int i = 0; i < 3000; i++) {
		size_t len = 1 + (size_t)rand_r(&seed) % (sizeof(junk) - 1);

		for (size_t k = 0; k < len; k++)
			junk[k] = (uint8_t)rand_r(&seed);
		junk[0] = (uint8_t)(1 + i % 3);
		junk[1] = junk[2] = junk[3] = 0;
		w_deliver(0, 1, junk, len);
		w_now += 100 * CLOCK_NS_PER_MS;
	}
	w_run(10);
	assert_int_equal(w_n_responses[1], 0);
	assert_true(stats_of(1).drop_hs_forged > 0);
}

static void a_full_data_plane_is_told_and_tried_again(void **state)
{
	struct transport *a;

	(void)state;
	w_add(1, 0, false);
	nodes[0].dp.refuse = -ENOSPC;
	a = w_add(0, 1, true);
	w_run(100);
	assert_false(transport_is_up(a));
	assert_non_null(strstr(info_of(a).why, "refused"));
	w_run(20000);
	assert_true(transport_is_up(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, w_setup, w_teardown)
		T(comes_up_when_one_side_dials),
		T(comes_up_when_both_dial_at_once),
		T(inits_are_repeated_slower_and_slower_for_ever),
		T(why_it_is_not_up_is_always_said),
		T(is_found_by_its_peer_and_by_its_id),
		T(one_lost_message_of_any_kind_is_made_good),
		T(an_unknown_key_gets_silence_and_leaves_nothing),
		T(any_key_may_come_when_configured_and_is_forgotten_when_silent),
		T(an_accepted_peer_that_never_speaks_is_forgotten),
		T(a_refused_peer_is_not_hammered),
		T(ciphers_must_meet),
		T(auto_takes_what_is_fast_at_both_ends),
		T(another_data_plane_may_have_other_ciphers),
		T(a_replayed_init_breaks_nothing),
		T(an_init_that_nobody_follows_changes_nothing),
		T(the_clock_may_go_back),
		T(a_new_data_plane_resets_the_link_on_both_sides),
		T(a_new_control_plane_takes_over_without_a_word_to_the_peer),
		T(a_hop_that_nobody_names_is_taken_over_too),
		T(the_worker_that_receives_the_peer_owns_its_hop),
		T(the_configuration_takes_over_what_was_tried_out),
		T(the_configuration_is_told_what_is_in_its_way),
		T(a_dead_peer_that_comes_back_is_no_reset),
		T(a_closed_transport_dials_again_with_a_new_instance),
		T(deleting_tells_the_peer_and_frees_the_handles),
		T(a_peer_that_moves_is_followed),
		T(pings_are_answered_or_time_out),
		T(what_cannot_be_is_refused_with_a_reason),
		T(garbage_is_counted_and_ignored),
		T(a_full_data_plane_is_told_and_tried_again),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
