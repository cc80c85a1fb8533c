// Re-keys of transports that are up: inside the link, lost, crossing, unanswered, by a wrong key.
// The edges are in world.h.
#include "controlplane/transport/transport_priv.h"
#include "tests/controlplane/transport/world.h"

static void rekeys_happen_inside_the_link(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);
	unsigned sent;

	(void)state;
	w_run(10);
	sent = w_n_dgrams;
	for (unsigned i = 1; i <= 20; i++) {
		w_note(&nodes[0].dp, EVT_HOP_REKEY_DUE, transport_hop(a, 1), 0, 0);
		w_run(20000);
		assert_int_equal(info_of(a).n_rekeys, i);
		assert_int_equal(info_of(b).n_rekeys, i);
	}
	// the responder does it when the initiator doesn't
	w_note(&nodes[1].dp, EVT_HOP_REKEY_DUE, transport_hop(b, 1), 0, 0);
	w_run(10);
	assert_true(info_of(b).initiator);
	assert_false(info_of(a).initiator);
	assert_int_equal(w_n_dgrams, sent);
	both_up(a, b);
	assert_int_equal(nodes[0].n_down + nodes[1].n_down, 0);
}

// Although another would be chosen today.
static void a_rekey_keeps_the_cipher(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);

	(void)state;
	w_run(10);
	both_up(a, b);
	assert_int_equal(info_of(a).cipher, AEAD_AES_256_GCM);
	nodes[0].dp.info.cipher_ns[AEAD_AES_256_GCM] = 5000;
	nodes[1].dp.info.cipher_ns[AEAD_AES_256_GCM] = 5000;
	w_note(&nodes[0].dp, EVT_HOP_REKEY_DUE, transport_hop(a, 1), 0, 0);
	w_run(2000);
	w_note(&nodes[1].dp, EVT_HOP_REKEY_DUE, transport_hop(b, 1), 0, 0);
	w_run(2000);
	both_up(a, b);
	assert_int_equal(info_of(a).n_rekeys, 2);
	assert_int_equal(info_of(a).cipher, AEAD_AES_256_GCM);
	assert_int_equal(info_of(b).cipher, AEAD_AES_256_GCM);
	for (unsigned k = 0; k < KEYS; k++) {
		const struct dpmsg_keys *ka = &w_hop_of(0, a)->keys[k].k;
		const struct dpmsg_keys *kb = &w_hop_of(1, b)->keys[k].k;

		assert_true(ka->rx_index == 0 || ka->cipher == AEAD_AES_256_GCM);
		assert_true(kb->rx_index == 0 || kb->cipher == AEAD_AES_256_GCM);
	}
}

static void a_rekey_due_that_got_lost_is_made_up_for(void **state)
{
	struct transport *a = w_add(0, 1, true);

	(void)state;
	w_add(1, 0, false);
	w_run(125000);
	assert_int_equal(info_of(a).n_rekeys, 0);
	w_run(10000);
	assert_int_equal(info_of(a).n_rekeys, 1);
}

static void crossing_rekeys_are_one(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);

	(void)state;
	w_run(10);
	w_note(&nodes[0].dp, EVT_HOP_REKEY_DUE, transport_hop(a, 1), 0, 0);
	w_note(&nodes[1].dp, EVT_HOP_REKEY_DUE, transport_hop(b, 1), 0, 0);
	w_run(60000);
	assert_int_equal(info_of(a).n_rekeys, 1);
	assert_int_equal(info_of(b).n_rekeys, 1);
	assert_int_not_equal(info_of(a).initiator, info_of(b).initiator);
	both_up(a, b);
}

static void an_unanswered_rekey_is_repeated(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);

	(void)state;
	w_run(10);
	w_lose = lose_all;
	w_note(&nodes[0].dp, EVT_HOP_REKEY_DUE, transport_hop(a, 1), 0, 0);
	w_run(5000);
	assert_int_equal(info_of(a).n_rekeys, 0);
	w_lose = NULL;
	w_run(10000);
	assert_int_equal(info_of(a).n_rekeys, 1);
	assert_int_equal(info_of(b).n_rekeys, 1);
}

// The one before goes on, and the data plane goes on to tell when it is due.
static void a_refused_key_is_not_believed_to_be_there(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);
	uint32_t before;

	(void)state;
	w_run(10);
	before = w_send_key(w_hop_of(0, a))->k.rx_index;
	nodes[0].dp.refuse_rekey = -EEXIST;
	w_note(&nodes[0].dp, EVT_HOP_REKEY_DUE, transport_hop(a, 1), before, 0);
	w_run(3000);
	assert_int_equal(nodes[0].dp.refuse_rekey, 0);
	assert_int_equal(w_send_key(w_hop_of(0, a))->k.rx_index, before);
	assert_int_equal(info_of(a).n_rekeys, 0);
	both_up(a, b);
	w_note(&nodes[0].dp, EVT_HOP_REKEY_DUE, transport_hop(a, 1), before, 0);
	w_run(3000);
	assert_int_not_equal(w_send_key(w_hop_of(0, a))->k.rx_index, before);
	assert_int_equal(info_of(a).n_rekeys, 1);
	assert_int_equal(info_of(b).n_rekeys, 1);
	both_up(a, b);
	assert_int_equal(nodes[0].n_down + nodes[1].n_down, 0);
}

// Node 2 sits inside b's link and sends a re-key of its own making.
static void a_rekey_by_another_key_ends_the_link(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);
	struct rail_hs_self self = {identity_pk(nodes[2].id), identity_sk(nodes[2].id)};
	struct rail_hs_offer o = {.instance = 5,
		.rx_index = {77},
		.n_flows = 1,
		.payload_max = 1400,
		.ciphers = 1,
		.window_log2 = 18};
	uint8_t buf[sizeof(struct msg_rekey) + RAIL_HS_MAX] __attribute__((aligned(8))) = {0};
	struct msg_rekey *m = (struct msg_rekey *)buf;
	struct rail_hs_side side;
	ssize_t n;

	(void)state;
	w_run(10);
	both_up(a, b);
	m->hop = transport_hop(b, 1);
	n = rail_hs_init_make(&side, &self, &nodes[1].pk, &o, 0, true, NULL, m->bytes, RAIL_HS_MAX);
	assert_true(n > 0);
	rail_hs_fini(&side);
	m->bytes[n / 2] ^= 1;
	W_EACH(&nodes[1].dp, on_rekey, 0, m, (size_t)n);
	assert_true(transport_is_up(b)); // noise: ignored
	m->bytes[n / 2] ^= 1;
	w_run(1000);
	W_EACH(&nodes[1].dp, on_rekey, 0, m, (size_t)n);
	assert_false(transport_is_up(b));
	assert_null(w_hop_of(1, b)); // closed
}

// ---- a peer that does it all the time ----

static uint8_t caught[sizeof(struct msg_rekey) + RAIL_HS_MAX] __attribute__((aligned(8)));
static size_t caught_len;

static bool catch_init(unsigned from, unsigned to, const uint8_t *bytes, size_t len)
{
	if (from != 0 || len == 0 || bytes[0] != RAIL_INIT)
		return false;
	memcpy(((struct msg_rekey *)caught)->bytes, bytes, len);
	caught_len = len;
	return true;
}

// a re-keys; its message is at hand, and b did not get it.
static void catch_rekey(struct transport *a, struct transport *b)
{
	caught_len = 0;
	w_lose = catch_init;
	w_note(&nodes[0].dp, EVT_HOP_REKEY_DUE, transport_hop(a, 1), 0, 0);
	w_run(1);
	w_lose = NULL;
	assert_true(caught_len > 0);
	((struct msg_rekey *)caught)->hop = transport_hop(b, 1);
}

static void say_it(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		W_EACH(&nodes[1].dp, on_rekey, 0, (const struct msg_rekey *)caught, caught_len);
}

static void one_link_has_its_rate_of_rekeys(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);
	unsigned n_inits;

	(void)state;
	w_run(10);
	both_up(a, b);
	catch_rekey(a, b);
	n_inits = w_hop_of(1, b)->n_rekeys;
	say_it(1000);
	assert_int_equal(w_hop_of(1, b)->n_rekeys - n_inits, TP_REKEY_BURST);
	assert_int_equal(stats_of(1).drop_rekeys_soon, 1000 - TP_REKEY_BURST);
	for (unsigned i = 0; i < 100; i++) {
		w_run(TP_REKEY_PERIOD_MS / 10);
		say_it(10);
	}
	assert_in_range(
		w_hop_of(1, b)->n_rekeys - n_inits, TP_REKEY_BURST + 9, TP_REKEY_BURST + 10);
	w_run(10000);
	both_up(a, b);
	n_inits = w_hop_of(1, b)->n_rekeys;
	say_it(TP_REKEY_BURST);
	assert_int_equal(w_hop_of(1, b)->n_rekeys, n_inits + TP_REKEY_BURST);
	assert_int_equal(nodes[0].n_down + nodes[1].n_down, 0);
}

// Thousands of links that re-key all the time use up half of what all may cost: who does it when it
// is time has the other half.
static void all_links_have_a_share_of_time_for_rekeys(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);

	(void)state;
	w_run(10);
	both_up(a, b);
	while (hs_limit_take_rekey(nodes[1].m->limit, false, clock_mono_ns()))
		;
	catch_rekey(a, b); // the keys are new
	say_it(3);
	assert_int_equal(stats_of(1).drop_rekeys_load, 3);
	assert_int_equal(stats_of(1).drop_rekeys_soon, 0);
	assert_int_equal(info_of(b).n_rekeys, 0);
	w_run(5000); // it asks again
	assert_int_equal(info_of(b).n_rekeys, 1);
	w_run(100000);
	while (hs_limit_take_rekey(nodes[1].m->limit, false, clock_mono_ns()))
		;
	w_note(&nodes[0].dp, EVT_HOP_REKEY_DUE, transport_hop(a, 1), 0, 0);
	w_run(1);
	assert_int_equal(info_of(b).n_rekeys, 2);
	assert_int_equal(stats_of(1).drop_rekeys_load, 3);
	both_up(a, b);
}

// Each answer to a re-key of ours costs curves, so few are looked at.
static void answers_to_one_rekey_are_looked_at_a_few_times(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);
	struct msg_rekey *m = (struct msg_rekey *)caught;

	(void)state;
	w_run(10);
	both_up(a, b);
	catch_rekey(a, b);
	memset(m->bytes, 0x5a, caught_len);
	m->bytes[0] = RAIL_RESPONSE;
	m->hop = transport_hop(a, 1);
	for (unsigned i = 0; i < 100; i++)
		W_EACH(&nodes[0].dp, on_rekey, 0, m, caught_len);
	assert_int_equal(stats_of(0).drop_rekeys_bad, TP_ANSWERS_MAX);
	assert_int_equal(stats_of(0).drop_hs_answers, 100 - TP_ANSWERS_MAX);
	w_run(5000); // the next one is answered as well as ever
	assert_int_equal(info_of(a).n_rekeys, 1);
	both_up(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, w_setup, w_teardown)
		T(rekeys_happen_inside_the_link),
		T(a_rekey_keeps_the_cipher),
		T(a_rekey_due_that_got_lost_is_made_up_for),
		T(crossing_rekeys_are_one),
		T(an_unanswered_rekey_is_repeated),
		T(a_refused_key_is_not_believed_to_be_there),
		T(a_rekey_by_another_key_ends_the_link),
		T(one_link_has_its_rate_of_rekeys),
		T(all_links_have_a_share_of_time_for_rekeys),
		T(answers_to_one_rekey_are_looked_at_a_few_times),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
