// Inits that cross (rail.md 2), and what both ends make of it. The edges are in world.h.
#include "tests/controlplane/transport/world.h"

static unsigned late_from; // whose inits do not come through

static bool lose_late(unsigned from, unsigned to, const uint8_t *bytes, size_t len)
{
	return from == late_from && bytes != NULL && len > 0 && bytes[0] == RAIL_INIT;
}

// The init of the one that has to give way comes when the other one has its response already: each
// end would seal with keys of its own, and wait for what comes under them.
static void an_init_that_crossed_counts_no_more_when_it_is_late(void **state)
{
	unsigned low = key_pk_cmp(&nodes[0].pk, &nodes[1].pk) < 0 ? 0 : 1;
	struct transport *a, *b;

	(void)state;
	late_from = !low;
	w_lose = lose_late;
	a = w_add_flows(0, 1, true, 2);
	b = w_add_flows(1, 0, true, 2);
	for (unsigned i = 0; i < 100 && w_n_responses[!low] == 0; i++)
		w_run(1);
	w_run(20);
	w_lose = NULL;
	assert_true(w_last_init_len[!low] > 0);
	w_deliver(!low, low, w_last_init[!low], w_last_init_len[!low]);
	w_run(20000);
	both_up(a, b);
	assert_int_equal(w_n_responses[low], 0);
}

static bool lose_inits(unsigned from, unsigned to, const uint8_t *bytes, size_t len)
{
	return bytes != NULL && len > 0 && bytes[0] == RAIL_INIT;
}

// Each answered the other, and neither could know it in time: both seal with the keys of their own
// init, and hear each other under those of the other one's.
static void a_link_made_twice_at_once_comes_up(void **state)
{
	unsigned low = key_pk_cmp(&nodes[0].pk, &nodes[1].pk) < 0 ? 0 : 1;
	struct transport *a, *b;

	(void)state;
	w_lose = lose_inits;
	a = w_add_flows(0, 1, true, 3);
	b = w_add_flows(1, 0, true, 3);
	// until the last one of the lower key is too old to go before others, and still waits
	for (unsigned ms = 0, n; ms < 2500; ms = w_n_inits[low] == n ? ms + 100 : 0) {
		n = w_n_inits[low];
		w_run(100);
	}
	w_lose = NULL;
	w_deliver(!low, low, w_last_init[!low], w_last_init_len[!low]);
	w_deliver(low, !low, w_last_init[low], w_last_init_len[low]);
	w_run(1000);
	assert_int_equal(w_n_responses[0] + w_n_responses[1], 2);
	both_up(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, w_setup, w_teardown)
		T(an_init_that_crossed_counts_no_more_when_it_is_late),
		T(a_link_made_twice_at_once_comes_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
