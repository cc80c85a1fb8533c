// Re-keys of transports that are up: inside the link, lost, crossing, unanswered, by a wrong key.
// The edges are in world.h.
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

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, w_setup, w_teardown)
		T(rekeys_happen_inside_the_link),
		T(a_rekey_keeps_the_cipher),
		T(a_rekey_due_that_got_lost_is_made_up_for),
		T(crossing_rekeys_are_one),
		T(an_unanswered_rekey_is_repeated),
		T(a_rekey_by_another_key_ends_the_link),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
