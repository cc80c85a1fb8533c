// Floods of handshake messages: what they may cost and hold, and that those who behave still get
// in. Workers are played by world.h: they ask for cookies when they were told to.
#include "tests/controlplane/transport/world.h"

#include "lib/crypto/hash.h"

// n inits as node 2 would send them to node 1, from n forged addresses below net.
static void flood(uint8_t net, unsigned n)
{
	struct dpmsg_addr src = w_addr(200);

	for (unsigned i = 0; i < n; i++) {
		src.ip[12] = net;
		src.ip[13] = (uint8_t)(i >> 8);
		src.ip[14] = (uint8_t)i;
		w_deliver_from(&src, 1, w_last_init[2], w_last_init_len[2]);
	}
}

// An init of a stranger is at hand.
static void flood_prepare(void)
{
	w_add(2, 1, true);
	w_run(10);
	assert_true(w_last_init_len[2] > 0);
	transport_mgr_del(nodes[2].m, "to-1");
}

static void a_flood_from_one_address_is_limited(void **state)
{
	struct transport *a;

	(void)state;
	flood_prepare();
	for (int i = 0; i < 1000; i++)
		w_deliver(2, 1, w_last_init[2], w_last_init_len[2]);
	assert_true(stats_of(1).drop_hs_prefix >= 970);
	assert_int_equal(nodes[1].dp.cookies.demand, 0);
	a = w_add(0, 1, true);
	w_add(1, 0, false);
	w_run(10);
	assert_true(transport_is_up(a));
}

static void a_flood_from_many_addresses_makes_workers_ask(void **state)
{
	struct transport *a, *b;
	uint64_t load;

	(void)state;
	flood_prepare();
	assert_int_equal(nodes[1].dp.cookies.demand, 0);
	flood(10, 5000);
	assert_int_equal(nodes[1].dp.cookies.demand, 1);
	assert_int_equal(stats_of(1).hs_demands_all, 1);
	// it stops where it comes in
	load = stats_of(1).drop_hs_load;
	assert_int_equal(load, 1);
	assert_true(w_n_cookies[1] > 4000);
	a = w_add(0, 1, true);
	b = w_add(1, 0, false);
	for (unsigned i = 0; i < 30 && !transport_is_up(a); i++) {
		flood(11, 500);
		w_run(100);
	}
	both_up(a, b);
	assert_int_equal(stats_of(0).hs_cookies_taken, 1);
	assert_int_equal(w_n_inits[0], 2);
	assert_int_equal(stats_of(1).drop_hs_load, load);
}

static void links_change_keys_during_a_flood(void **state)
{
	struct transport *a = w_add(0, 1, true), *b = w_add(1, 0, false);

	(void)state;
	w_run(10);
	both_up(a, b);
	flood_prepare();
	flood(10, 5000);
	w_note(&nodes[0].dp, EVT_HOP_REKEY_DUE, transport_hop(a, 1), 0, 0);
	w_run(10);
	assert_int_equal(info_of(a).n_rekeys, 1);
	assert_int_equal(info_of(b).n_rekeys, 1);
	both_up(a, b);
}

static void calm_ends_the_demand(void **state)
{
	struct transport *a;

	(void)state;
	flood_prepare();
	flood(10, 5000);
	w_run(8000);
	assert_int_equal(nodes[1].dp.cookies.demand, 1);
	w_run(3000);
	assert_int_equal(nodes[1].dp.cookies.demand, 0);
	a = w_add(0, 1, true);
	w_add(1, 0, false);
	w_run(10);
	assert_true(transport_is_up(a));
	assert_int_equal(stats_of(0).hs_cookies_taken, 0);
}

static void workers_get_new_secrets_in_time(void **state)
{
	struct dp_client *c = &nodes[0].dp;
	struct cmd_cookies was = c->cookies;
	uint8_t key[RAIL_COOKIE_KEY_LEN];

	(void)state;
	rail_cookie_key(key, &nodes[0].pk);
	assert_memory_equal(was.key, key, sizeof(key));
	assert_int_equal(was.n_secrets, 1);
	w_run(119 * 1000);
	assert_int_equal(c->n_cookies_told, 1);
	w_run(3 * 1000);
	assert_int_equal(c->n_cookies_told, 2);
	assert_int_equal(c->cookies.n_secrets, 2);
	assert_memory_equal(c->cookies.secret[1], was.secret[0], 32);
	assert_memory_not_equal(c->cookies.secret[0], was.secret[0], 32);
	assert_memory_not_equal(c->cookies.salt, was.salt, 16);
}

static void another_data_plane_is_told_too_and_a_full_one_later(void **state)
{
	struct dp_client *c = &nodes[0].dp;

	(void)state;
	w_detach(0, true);
	memset(&c->cookies, 0, sizeof(c->cookies));
	w_run(1000);
	w_attach(0, DP_SYNC_FRESH);
	assert_int_equal(c->cookies.n_secrets, 1);
	w_detach(0, true);
	memset(&c->cookies, 0, sizeof(c->cookies));
	c->full = true;
	w_attach(0, DP_SYNC_FRESH);
	assert_int_equal(c->cookies.n_secrets, 0);
	w_room(0);
	w_run(1100);
	assert_int_equal(c->cookies.n_secrets, 1);
}

static bool lose_inits(unsigned from, unsigned to, const uint8_t *bytes, size_t len)
{
	(void)from, (void)to;
	return len > 0 && bytes[0] == RAIL_INIT;
}

// One who sees our init and answers it with rubbish makes us compute a few times, and no more.
static void few_answers_to_one_init_are_looked_at(void **state)
{
	uint8_t msg[RAIL_RESPONSE_MIN + 80] = {RAIL_RESPONSE}, key[32];
	struct transport *a, *b;

	(void)state;
	w_lose = lose_inits;
	a = w_add(0, 1, true);
	b = w_add(1, 0, false);
	w_run(10);
	memcpy(msg + 8, w_last_init[0] + 4, 4); // the index that it named
	memset(msg + 12, 2, sizeof(msg) - 12);
	rail_hs_mac1_key(key, &nodes[0].pk);
	hash_mac128(msg + sizeof(msg) - 32, key, 32, msg, sizeof(msg) - 32);
	for (unsigned i = 0; i < 100; i++)
		w_deliver(1, 0, msg, sizeof(msg));
	assert_int_equal(stats_of(0).drop_hs_forged, 4);
	assert_int_equal(stats_of(0).drop_hs_answers, 96);
	w_lose = NULL;
	w_run(2000); // the next init
	both_up(a, b);
}

// Refusals to many addresses, whose ways are all unknown.
static void what_waits_for_a_way_is_bounded(void **state)
{
	struct rail_hs_self self = {.pk = &nodes[0].pk, .sk = identity_sk(nodes[0].id)};
	struct rail_hs_offer offer = {.instance = 1,
		.rx_index = {7},
		.n_flows = 1,
		.payload_max = RAIL_PAYLOAD_FLOOR,
		.ciphers = TRANSPORT_CHACHA,
		.window_log2 = 18};
	struct dpmsg_addr src = w_addr(200);
	struct rail_hs_side side;
	uint8_t msg[RAIL_HS_MAX];

	(void)state;
	w_add_with(1, 0, false, TRANSPORT_NONE); // never meets the offer
	w_paths_set(NEIGH_RESOLVING);
	for (unsigned i = 0; i < 100; i++) {
		ssize_t n = rail_hs_init_make(&side, &self, &nodes[1].pk, &offer, w_wall() + i,
			false, NULL, msg, sizeof(msg));

		assert_true(n > 0);
		src.ip[14] = (uint8_t)i;
		w_deliver_from(&src, 1, msg, (size_t)n);
		rail_hs_fini(&side);
	}
	assert_int_equal(stats_of(1).drop_hs_refused, 100);
	assert_int_equal(w_refs[200], 64); // a quarter of the adjacencies
	assert_int_equal(stats_of(1).drop_hs_outbox, 36);
	w_run(4000);
	assert_int_equal(w_refs[200], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, w_setup, w_teardown)
		T(a_flood_from_one_address_is_limited),
		T(a_flood_from_many_addresses_makes_workers_ask),
		T(links_change_keys_during_a_flood),
		T(calm_ends_the_demand),
		T(workers_get_new_secrets_in_time),
		T(another_data_plane_is_told_too_and_a_full_one_later),
		T(few_answers_to_one_init_are_looked_at),
		T(what_waits_for_a_way_is_bounded),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
