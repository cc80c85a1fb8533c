// Transports in trouble: events and answers that come late or never, restarts with another
// configuration, callbacks that delete, strangers that replay. The edges are in world.h.
#include "tests/controlplane/transport/world.h"

static void a_hop_added_during_a_resync_is_not_lost(void **state)
{
	struct dp_client *c = &nodes[0].dp;
	struct transport *a;

	(void)state;
	w_add(1, 0, false);
	W_EACH(c, on_sync_begin, DP_SYNC_OVERFLOW); // the hops were dumped: none
	a = w_add(0, 1, true);
	w_run(10);
	assert_true(transport_is_up(a));
	W_EACH(c, on_synced, DP_SYNC_OVERFLOW); // the rules took longer
	assert_true(transport_is_up(a));
	assert_true(transport_in_dp(a));
}

static void a_hop_that_we_believed_gone_makes_room(void **state)
{
	struct dp_client *c = &nodes[0].dp;
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);

	(void)state;
	w_run(10);
	both_up(a, b);
	W_EACH(c, on_sync_begin, DP_SYNC_OVERFLOW);
	W_EACH(c, on_synced, DP_SYNC_OVERFLOW); // without a record of it
	assert_false(transport_in_dp(a));
	w_run(30000);
	both_up(a, b);
	assert_true(transport_in_dp(a));
}

static void an_end_that_finds_no_room_is_told_later(void **state)
{
	struct dp_client *c = &nodes[0].dp;
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);
	uint32_t hop = transport_hop(a, 1);

	w_run(10);
	both_up(a, b);
	c->full = true;
	assert_int_equal(transport_mgr_del(nodes[0].m, "to-1"), 0);
	a = w_add(0, 1, true); // the old hop lives: another handle
	assert_int_not_equal(transport_hop(a, 1), hop);
	w_run(10);
	assert_non_null(w_hop_find(c, hop));
	w_room(0);
	w_run(60000);
	assert_null(w_hop_find(c, hop));
	both_up(a, b);
	// Nothing is left behind by one that nobody ever told.
	c->full = true;
	assert_int_equal(transport_mgr_del(nodes[0].m, "to-1"), 0);
	(void)state;
}

static void delete_all(void *arg, int status, uint32_t rtt_us)
{
	unsigned *n = arg;

	(void)rtt_us;
	assert_int_equal(status, -ENOTCONN);
	++*n;
	transport_mgr_del(nodes[0].m, "to-1");
	transport_mgr_del(nodes[0].m, "to-2");
}

static void ping_two(unsigned *n)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(0, 2, true);

	w_add(1, 0, false);
	w_add(2, 0, false);
	w_run(10);
	both_up(a, b);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(transport_mgr_ping(nodes[0].m, a, delete_all, n), 0);
		assert_int_equal(transport_mgr_ping(nodes[0].m, b, delete_all, n), 0);
	}
}

static void who_waits_for_a_ping_may_delete(void **state)
{
	unsigned n = 0;

	(void)state;
	ping_two(&n);
	assert_int_equal(transport_mgr_del(nodes[0].m, "to-1"), 0);
	assert_int_equal(n, 6);
	assert_null(transport_mgr_find(nodes[0].m, "to-2"));
	assert_int_equal(nodes[0].n_removed, 2);
}

static void who_waits_for_a_ping_may_delete_when_detached(void **state)
{
	unsigned n = 0;

	(void)state;
	ping_two(&n);
	w_detach(0, true);
	assert_int_equal(n, 6);
	assert_int_equal(nodes[0].n_removed, 2);
}

static void a_link_without_a_cipher_ends_when_one_is_demanded(void **state)
{
	struct transport *a, *b;

	(void)state;
	w_add_with(0, 1, true, TRANSPORT_NONE);
	b = w_add_with(1, 0, false, TRANSPORT_NONE | TRANSPORT_CHACHA);
	w_run(10);
	assert_int_equal(info_of(b).cipher, AEAD_NONE);
	w_mgr_stop(0);
	w_mgr_start(0);
	a = w_add(0, 1, true); // before the hop is found
	w_attach(0, DP_SYNC_ADOPT);
	assert_false(transport_is_up(a));
	w_run(60000);
	both_up(a, b);
	assert_int_equal(info_of(a).cipher, AEAD_CHACHA20_POLY1305);
	assert_int_equal(info_of(b).cipher, AEAD_CHACHA20_POLY1305);
}

// What a hop has for life by the node's configuration, likewise.
static void a_link_with_other_patience_is_made_anew(void **state)
{
	static const struct {
		uint8_t retransmit_limit;
		uint16_t silence_s;
		uint32_t replay_window;
		uint8_t mode;
		bool adopted;
	} rows[] = {
		{7, 20, 1024, HOP_MODE_RELIABLE, true},
		{8, 20, 1024, HOP_MODE_RELIABLE, false},
		{7, 21, 1024, HOP_MODE_RELIABLE, false},
		{7, 20, 2048, HOP_MODE_RELIABLE, false},
		{8, 21, 1024, HOP_MODE_DATAGRAM, true}, // which has no such limits
		{7, 20, 2048, HOP_MODE_DATAGRAM, false},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct transport_conf c = {.ciphers = TRANSPORT_AUTO, .mode = rows[i].mode};
		struct transport *a, *b;
		char err[128];

		c.name[0] = 'b';
		c.peer = nodes[0].pk;
		assert_int_equal(transport_mgr_add(nodes[1].m, &c, err, sizeof(err)), 0);
		b = transport_mgr_find(nodes[1].m, "b");
		c.name[0] = 'a';
		c.peer = nodes[1].pk;
		c.dial = true;
		c.addr = w_addr(1);
		assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), 0);
		w_run(60000);
		both_up(transport_mgr_find(nodes[0].m, "a"), b);
		w_mgr_stop(0);
		w_retransmit_limit = rows[i].retransmit_limit;
		w_silence_s = rows[i].silence_s;
		w_replay_window = rows[i].replay_window;
		w_mgr_start(0);
		assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), 0);
		a = transport_mgr_find(nodes[0].m, "a");
		w_attach(0, DP_SYNC_ADOPT);
		assert_int_equal(transport_is_up(a), rows[i].adopted);
		w_run(60000);
		both_up(a, b);
		if (!rows[i].adopted) {
			const struct cmd_hop_add *add = &w_hop_of(0, a)->add;

			assert_int_equal(add->retransmit_limit, rows[i].retransmit_limit);
			assert_int_equal(add->silence_s, rows[i].silence_s);
			assert_int_equal(1u << add->window_log2, rows[i].replay_window);
		}
		transport_mgr_del(nodes[0].m, "a");
		transport_mgr_del(nodes[1].m, "b");
		w_retransmit_limit = rows[0].retransmit_limit;
		w_silence_s = rows[0].silence_s;
		w_replay_window = rows[0].replay_window;
		w_run(10000);
		w_mgr_stop(0);
		w_mgr_start(0);
		w_attach(0, DP_SYNC_ADOPT);
	}
}

// Both are the data plane's from the start of a link, so another one means another link.
static void a_link_with_other_tuning_is_made_anew(void **state)
{
	struct transport_conf c = {.mode = HOP_MODE_RELIABLE, .ciphers = TRANSPORT_AUTO};
	static const struct {
		uint8_t congestion;
		uint16_t path_mtu;
		uint8_t runs_cc;
		uint16_t runs_mtu;
		bool adopted;
	} rows[] = {
		{HOP_CC_DEFAULT, 0, HOP_CC_BBR, 0, false},
		{HOP_CC_BBR, TRANSPORT_MTU_AUTO, HOP_CC_BBR, 0, true}, // the same in other words
		{HOP_CC_CUBIC, 0, HOP_CC_CUBIC, 0, false},
		{HOP_CC_CUBIC, 1400, HOP_CC_CUBIC, 1400, false},
		{HOP_CC_CUBIC, 1400, HOP_CC_CUBIC, 1400, true},
	};
	struct transport *a, *b;
	char err[128];

	(void)state;
	c.name[0] = 'b';
	c.peer = nodes[0].pk;
	c.dial = false;
	c.addr.port = 0;
	assert_int_equal(transport_mgr_add(nodes[1].m, &c, err, sizeof(err)), 0);
	b = transport_mgr_find(nodes[1].m, "b");
	c.name[0] = 'a';
	c.peer = nodes[1].pk;
	c.dial = true;
	c.addr = w_addr(1);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		if (i > 0)
			w_mgr_stop(0);
		if (i > 0)
			w_mgr_start(0);
		c.congestion = rows[i].congestion;
		c.path_mtu = rows[i].path_mtu;
		assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), 0);
		a = transport_mgr_find(nodes[0].m, "a");
		if (i > 0)
			w_attach(0, DP_SYNC_ADOPT);
		assert_int_equal(transport_is_up(a), rows[i].adopted);
		w_run(60000);
		both_up(a, b);
		assert_int_equal(w_hop_of(0, a)->add.congestion, rows[i].runs_cc);
		assert_int_equal(w_hop_of(0, a)->add.path_mtu, rows[i].runs_mtu);
		assert_int_equal(info_of(a).congestion, rows[i].runs_cc);
	}
}

static void a_link_without_a_cipher_is_not_taken_over_either(void **state)
{
	struct transport *a, *b;

	(void)state;
	w_add_with(0, 1, true, TRANSPORT_NONE);
	b = w_add_with(1, 0, false, TRANSPORT_NONE | TRANSPORT_CHACHA);
	w_run(10);
	w_mgr_stop(0);
	w_mgr_start(0);
	w_attach(0, DP_SYNC_ADOPT);
	a = w_add(0, 1, true); // named after it was found
	assert_false(transport_is_up(a));
	w_run(60000);
	both_up(a, b);
	assert_int_equal(info_of(b).cipher, AEAD_CHACHA20_POLY1305);
}

static void rules_hear_of_a_hop_that_gets_a_name(void **state)
{
	struct transport *a = w_add(0, 1, true), *b;
	unsigned before;

	(void)state;
	transport_mgr_policy(nodes[1].m, true, NULL);
	w_run(10);
	before = nodes[1].n_in_dp;
	b = w_add(1, 0, false);
	both_up(a, b);
	assert_int_equal(nodes[1].n_in_dp, before + 1);
}

static void both_ends_say_how_much_their_way_carries(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);

	(void)state;
	w_run(10);
	assert_int_equal(w_hop_of(0, a)->add.payload_max, 1472);
	assert_int_equal(w_hop_of(1, b)->add.payload_max, 1472);
	// Another way: keys for a hop that is there carry it too.
	w_mtu = 1400;
	transport_mgr_del(nodes[0].m, "to-1");
	a = w_add(0, 1, true);
	w_run(10);
	both_up(a, b);
	assert_int_equal(w_hop_of(1, b)->n_adds, 1);
	assert_int_equal(w_hop_of(0, a)->add.payload_max, 1372);
	assert_int_equal(w_hop_of(1, b)->add.payload_max, 1372);
}

static void a_transport_made_by_its_peer_ends_after_a_restart_too(void **state)
{
	struct transport *b;

	(void)state;
	transport_mgr_policy(nodes[1].m, true, NULL);
	w_add(0, 1, true);
	w_run(10);
	w_mgr_stop(1);
	w_mgr_start(1);
	transport_mgr_policy(nodes[1].m, true, NULL);
	w_attach(1, DP_SYNC_ADOPT);
	w_lose = lose_all;
	b = transport_mgr_find_hop(nodes[1].m, nodes[1].dp.hops[0].add.hop);
	assert_int_equal(info_of(b).conf.origin, TRANSPORT_ACCEPTED);
	w_note(&nodes[1].dp, EVT_HOP_DEAD, transport_hop(b, 1), 0, 0);
	w_run(400000);
	assert_int_equal(nodes[1].n_removed, 1);
	assert_false(nodes[1].dp.hops[0].live);
}

static uint8_t old_init[RAIL_HS_MAX];
static size_t old_init_len;
static unsigned victim;

// A stranger sends an old init again whenever the victim dials.
static bool replay_at_init(unsigned from, unsigned to, const uint8_t *bytes, size_t len)
{
	struct w_job *j;

	(void)to;
	if (len == 0 || from != victim || bytes[0] != RAIL_INIT)
		return false;
	j = w_post(w_dgram_arrives);
	j->from = 2;
	j->to = victim;
	j->len = old_init_len;
	memcpy(j->bytes, old_init, old_init_len);
	return false;
}

static void dial_under_replays(unsigned x, unsigned y)
{
	struct transport *t;

	victim = x;
	w_lose = lose_all;
	t = w_add(y, x, true);
	w_run(10);
	old_init_len = w_last_init_len[y];
	memcpy(old_init, w_last_init[y], old_init_len);
	transport_mgr_del(nodes[y].m, transport_name(t));
	w_add(y, x, false);
	w_run(10);
	w_lose = replay_at_init;
	t = w_add(x, y, true);
	w_run(5000);
	assert_true(transport_is_up(t));
}

static void replays_do_not_keep_us_from_dialing(void **state)
{
	(void)state;
	dial_under_replays(0, 1);
}

static void replays_do_not_keep_the_other_from_dialing(void **state)
{
	(void)state;
	dial_under_replays(1, 0);
}

static bool lose_responses(unsigned from, unsigned to, const uint8_t *bytes, size_t len)
{
	(void)from, (void)to;
	return len > 0 && bytes[0] == RAIL_RESPONSE;
}

static void an_init_is_answered_once_even_when_nobody_followed(void **state)
{
	(void)state;
	w_add(1, 0, false);
	w_add(0, 1, true);
	w_lose = lose_responses;
	w_run(10);
	old_init_len = w_last_init_len[0];
	memcpy(old_init, w_last_init[0], old_init_len);
	transport_mgr_del(nodes[0].m, "to-1");
	w_run(20000); // the pending key is forgotten
	assert_int_equal(w_n_responses[1], 1);
	w_deliver(2, 1, old_init, old_init_len);
	w_run(10);
	assert_int_equal(w_n_responses[1], 1);
}

// Both have waited for long; then they hear each other, but the first answer gets lost: the one who
// gave it does not wait out a minute before it dials.
static unsigned lose_answers;

static bool lose_first_answers(unsigned from, unsigned to, const uint8_t *bytes, size_t len)
{
	(void)from, (void)to;
	return len > 0 && bytes[0] == RAIL_RESPONSE && lose_answers > 0 && lose_answers-- > 0;
}

static void on_late_ping(void *arg, int status, uint32_t rtt_us)
{
	(void)arg, (void)rtt_us;
	assert_int_equal(status, -ENOTCONN);
}

static void who_hears_its_peer_dials_soon(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, true);
	unsigned n;

	(void)state;
	w_lose = lose_all;
	w_run(600000);
	lose_answers = 1;
	w_lose = lose_first_answers;
	n = w_n_responses[0] + w_n_responses[1];
	while (w_n_responses[0] + w_n_responses[1] == n)
		w_run(100);
	assert_false(transport_is_up(a));
	w_run(3000);
	both_up(a, b);
}

static void a_way_that_comes_back_is_used_soon(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);

	(void)state;
	w_lose = lose_all;
	w_run(600000);
	w_paths_set(NEIGH_LINK_DOWN);
	w_lose = NULL;
	w_run(600000);
	assert_false(transport_is_up(a));
	w_paths_set(NEIGH_USABLE);
	w_run(1500);
	both_up(a, b);
}

// The program ends while the data plane works: its answers come to those who are gone.
static void answers_may_come_after_the_end(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(0, 2, true);

	(void)state;
	w_add(1, 0, false);
	w_add(2, 0, false);
	w_run(10);
	both_up(a, b);
	assert_int_equal(transport_mgr_del(nodes[0].m, "to-1"), 0);
	w_note(&nodes[0].dp, EVT_HOP_REKEY_DUE, transport_hop(b, 1), 0, 0);
	assert_int_equal(transport_mgr_ping(nodes[0].m, b, on_late_ping, NULL), 0);
	transport_mgr_free(nodes[0].m);
	nodes[0].m = NULL;
	nodes[0].dp.handlers = NULL;
	w_settle();
}

// The end of the former link is told after the keys of the next one were handed over.
static void an_old_close_does_not_touch_newer_keys(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);
	unsigned n_keyed;

	(void)state;
	w_run(10);
	both_up(a, b);
	n_keyed = w_hop_of(0, a)->n_rekeys;
	w_note(&nodes[0].dp, EVT_HOP_DEAD, transport_hop(a, 1), 0, 0);
	for (unsigned n = 0; w_hop_of(0, a)->n_rekeys == n_keyed; n++) { // not answered yet
		assert_true(n < 100 && w_jobs != NULL);
		w_settle_one();
	}
	w_note(&nodes[0].dp, EVT_HOP_CLOSED, transport_hop(a, 1), 0, 0);
	w_run(10);
	both_up(a, b);
	// What both agreed on still is what they say in the next re-key.
	w_note(&nodes[0].dp, EVT_HOP_REKEY_DUE, transport_hop(a, 1), 0, 0);
	w_run(10);
	both_up(a, b);
	assert_int_equal(info_of(a).n_rekeys, 1);
	assert_int_equal(nodes[0].dp.hops[0].instance_local, w_hop_of(1, b)->instance_remote);
}

static void a_dead_link_that_lives_again_keeps_its_peer(void **state)
{
	struct dp_client *c = &nodes[0].dp;
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);
	struct dpmsg_addr moved = w_addr(1);
	struct evt_hop_note e = {.h.type = EVT_HOP_ROAMED, .hop = transport_hop(a, 1)};
	unsigned n;

	(void)state;
	w_run(10);
	both_up(a, b);
	// The peer moves, to where nobody answers inits; then it is silent, then it speaks again.
	moved.ip[14] = 9;
	e.peer = moved;
	W_EACH(c, on_hop_note, &e);
	w_run(10);
	assert_memory_equal(info_of(a).peer.ip, moved.ip, sizeof(moved.ip));
	w_lose = lose_all;
	w_note(c, EVT_HOP_DEAD, e.hop, 0, 0);
	w_run(30000);
	assert_false(transport_is_up(a));
	w_note(c, EVT_HOP_KEYED, e.hop, w_send_key(w_hop_of(0, a))->k.rx_index, 0);
	n = w_n_inits[0];
	w_run(300000);
	assert_true(transport_is_up(a));
	assert_int_equal(w_n_inits[0], n);
	assert_memory_equal(info_of(a).peer.ip, moved.ip, sizeof(moved.ip));
	assert_memory_equal(w_hop_of(0, a)->add.peer.ip, moved.ip, sizeof(moved.ip));
}

static bool lose_probes(unsigned from, unsigned to, const uint8_t *bytes, size_t len)
{
	(void)to, (void)bytes;
	return from == 0 && len == 0;
}

// The control plane dies between the key's way down and its use.
static void a_key_of_an_earlier_control_plane_is_learned(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);

	w_run(10);
	both_up(a, b);
	w_detach(0, true); // another instance, whose first datagram is late
	w_attach(0, DP_SYNC_FRESH);
	w_lose = lose_probes;
	w_run(100);
	assert_int_equal(w_hop_of(1, b)->n_rekeys, 1);
	w_mgr_stop(1);
	w_mgr_start(1);
	b = w_add(1, 0, false);
	w_attach(1, DP_SYNC_ADOPT);
	w_lose = NULL;
	w_send_sealed(&nodes[0].dp, w_hop_of(0, a), SEALED_PROBE, NULL, 0);
	w_run(3000);
	both_up(a, b);
	// Re-keys work in both directions only with the right instances and cipher.
	w_note(&nodes[1].dp, EVT_HOP_REKEY_DUE, transport_hop(b, 1), 0, 0);
	w_run(3000);
	assert_int_equal(info_of(b).n_rekeys, 1);
	assert_int_equal(stats_of(0).drop_rekeys_bad, 0);
	assert_int_equal(nodes[0].n_down, 1); // the detach
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, w_setup, w_teardown)
		T(a_hop_added_during_a_resync_is_not_lost),
		T(a_hop_that_we_believed_gone_makes_room),
		T(an_end_that_finds_no_room_is_told_later),
		T(who_waits_for_a_ping_may_delete),
		T(who_waits_for_a_ping_may_delete_when_detached),
		T(a_link_without_a_cipher_ends_when_one_is_demanded),
		T(a_link_without_a_cipher_is_not_taken_over_either),
		T(a_link_with_other_tuning_is_made_anew),
		T(a_link_with_other_patience_is_made_anew),
		T(rules_hear_of_a_hop_that_gets_a_name),
		T(both_ends_say_how_much_their_way_carries),
		T(a_transport_made_by_its_peer_ends_after_a_restart_too),
		T(replays_do_not_keep_us_from_dialing),
		T(replays_do_not_keep_the_other_from_dialing),
		T(an_init_is_answered_once_even_when_nobody_followed),
		T(who_hears_its_peer_dials_soon),
		T(a_way_that_comes_back_is_used_soon),
		T(answers_may_come_after_the_end),
		T(an_old_close_does_not_touch_newer_keys),
		T(a_dead_link_that_lives_again_keeps_its_peer),
		T(a_key_of_an_earlier_control_plane_is_learned),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
