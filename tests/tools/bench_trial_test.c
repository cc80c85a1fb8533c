// Trials over a link of the bench to itself: what is sent comes back, by a reliable link whatever
// the device refuses, and a route that has to wait is left alone.
#include "lib/base/err.h"
#include "tools/bench/eal.h"
#include "tools/bench/memory.h"
#include "tools/bench/trial.h"

#include <rte_ethdev.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PATIENCE_S = 20 }; // for what is sure to come

struct fixture {
	struct args a;
	struct traffic traffic;
	struct hist latency;
	struct trial trial;
	struct memory *memory;
	const struct rte_eth_rxtx_callback *lossy;
};

static struct fixture f;

static void open_loop(const char *words)
{
	static char buf[200], err[ARGS_ERR_MAX], why[MEMORY_ERR_MAX];
	char *argv[30] = {(char *)"skyrail-bench"}, *save = NULL;
	int argc = 1;

	strcpy(buf, words);
	for (char *w = strtok_r(buf, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	memset(&f, 0, sizeof(f));
	assert_int_equal(args_parse(&f.a, argc, argv, err), 0);
	assert_int_equal(traffic_init(&f.traffic, &f.a, false), 0);
	f.trial.traffic = &f.traffic;
	f.trial.latency = &f.latency;
	f.memory = memory_open(&f.a, &f.traffic, trial_sink, &f.trial, why);
	if (f.memory == NULL)
		fail_msg("%s", why);
	f.trial.peer = memory_peer(f.memory);
	f.trial.missed = memory_missed;
	f.trial.poll_ctx = f.memory;
	if (f.a.reliable)
		assert_int_equal(traffic_routes(&f.traffic, f.trial.peer), 0);
}

static int close_loop(void **state)
{
	if (f.lossy != NULL)
		rte_eth_remove_rx_callback(f.traffic.link[0].port, 0, f.lossy);
	memory_close(f.memory);
	traffic_fini(&f.traffic);
	return 0;
}

static struct trial_result run(double pps, double duration_s, double patience_s)
{
	const struct trial_conf c = {.pps = pps, .duration_s = duration_s, .drain_s = patience_s};
	struct trial_result r;

	assert_int_equal(trial_run(&f.trial, &c, &r), 0);
	assert_int_equal(r.intended, r.sent + r.unsent);
	assert_int_equal(r.strange + r.duplicates, 0);
	return r;
}

static void what_is_sent_comes_back_in_either_mode(void **state)
{
	static const char *const words[] = {"-l -r 5 -s 64,1400 -c chacha20-poly1305",
		"-l -r 5 -s 64,1400 -c chacha20-poly1305 -m reliable", "-l -m reliable -c none"};

	for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
		struct trial_result r;

		open_loop(words[i]);
		r = run(2000, 0.05, PATIENCE_S);
		assert_in_range(r.sent, 1, 100);
		assert_int_equal(r.received, r.sent);
		assert_int_equal(r.reordered + r.flows_lossy, 0);
		if (i + 1 < ARRAY_LEN(words))
			close_loop(state);
	}
}

// Each eleventh frame is lost on its way.
static uint16_t lose(
	uint16_t port, uint16_t queue, struct rte_mbuf **m, uint16_t n, uint16_t max, void *ctx)
{
	unsigned *seen = ctx;
	uint16_t left = 0;

	for (uint16_t i = 0; i < n; i++) {
		if (++*seen % 11 == 0)
			rte_pktmbuf_free(m[i]);
		else
			m[left++] = m[i];
	}
	return left;
}

static void lose_from_now(unsigned *seen)
{
	f.lossy = rte_eth_add_rx_callback(f.traffic.link[0].port, 0, lose, seen);
	assert_non_null(f.lossy);
}

// The bench itself may be too slow to send: as many runs as it takes.
static void a_reliable_link_repeats_what_is_lost(void **state)
{
	struct trial_result r;
	unsigned seen = 0, again = 0;

	open_loop("-l -r 50 -s 300 -m reliable");
	lose_from_now(&seen);
	while (again == 0) {
		r = run(2000, 0.05, PATIENCE_S);
		assert_int_equal(r.received, r.sent);
		assert_int_equal(r.reordered, 0);
		again += r.retransmitted;
	}
}

static void a_datagram_that_is_lost_stays_lost(void **state)
{
	struct trial_result r;
	unsigned seen = 0;
	uint64_t lost = 0;

	open_loop("-l -r 50 -s 300");
	lose_from_now(&seen);
	while (lost == 0) {
		r = run(2000, 0.05, 0.05);
		assert_int_equal(r.retransmitted, 0);
		lost += r.sent - r.received;
	}
	assert_in_range(lost, 1, seen / 11);
}

static _Atomic bool stop;

static void stop_soon(void *ctx)
{
	stop = f.trial.r->received > 10;
}

static void a_trial_that_is_stopped_tells_what_came_until_then(void **state)
{
	const struct trial_conf c = {.pps = 2000, .duration_s = 1000, .drain_s = PATIENCE_S};
	struct trial_result r;

	open_loop("-l -r 5 -c chacha20-poly1305");
	f.trial.poll = stop_soon;
	f.trial.stop = &stop;
	assert_int_equal(trial_run(&f.trial, &c, &r), -EINTR);
	assert_true(r.cut);
	assert_int_equal(r.planned, 2000000);
	assert_in_range(r.sent, 11, r.planned / 2);
	assert_int_equal(r.received, r.sent);
	assert_int_equal(r.intended, r.sent + r.unsent);
	assert_true(r.intended < r.planned && r.duration_s < 1000);
}

// Packets that nobody takes from the link: more than a route may hold.
static void push_much(struct traffic_link *l, unsigned bursts)
{
	struct wctx *w = &f.trial.peer->w;
	struct rte_mbuf *m[BURST];

	for (unsigned i = 0; i < bursts; i++) {
		assert_int_equal(rte_pktmbuf_alloc_bulk(w->pool, m, BURST), 0);
		for (unsigned k = 0; k < BURST; k++) {
			l->cursor = 0;
			traffic_fill(&f.traffic, l, m[k], 0);
		}
		assert_int_equal(hop_tx_push(w, l->hop, m, BURST), HOP_PUSHED);
	}
}

static void a_route_that_holds_much_waits_and_others_do_not(void **state)
{
	struct wctx *w;
	struct traffic_link *l;
	unsigned room;

	open_loop("-l -r 3 -s 1400 -m reliable");
	w = &f.trial.peer->w;
	l = &f.traffic.link[0];
	room = hop_tx_room(w, hop_tx_local(w, l->hop));
	assert_false(hop_tx_waits(w, 0));
	push_much(l, 4);
	peer_seal(f.trial.peer);
	assert_true(hop_tx_waits(w, 0));
	assert_false(hop_tx_waits(w, 1));
	assert_int_equal(hop_tx_room(w, hop_tx_local(w, l->hop)), room - 4 * BURST);
	while (hop_tx_room(w, hop_tx_local(w, l->hop)) < room)
		peer_turn(f.trial.peer);
	assert_false(hop_tx_waits(w, 0));
}

static void a_datagram_link_takes_all(void **state)
{
	struct wctx *w;

	open_loop("-l -r 3");
	w = &f.trial.peer->w;
	assert_int_equal(hop_tx_room(w, hop_tx_local(w, f.traffic.link[0].hop)), UINT_MAX);
	assert_false(hop_tx_waits(w, 0));
}

static void a_route_is_added_once_and_within_the_table(void **state)
{
	uint32_t hop;

	open_loop("-l -r 16 -m reliable");
	hop = f.traffic.link[0].hop;
	assert_int_equal(peer_route_add(f.trial.peer, 0, 7, hop), -EEXIST);
	assert_int_equal(peer_route_add(f.trial.peer, 16, 7, hop), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_is_sent_comes_back_in_either_mode, close_loop),
		cmocka_unit_test_teardown(a_reliable_link_repeats_what_is_lost, close_loop),
		cmocka_unit_test_teardown(a_datagram_that_is_lost_stays_lost, close_loop),
		cmocka_unit_test_teardown(
			a_trial_that_is_stopped_tells_what_came_until_then, close_loop),
		cmocka_unit_test_teardown(
			a_route_that_holds_much_waits_and_others_do_not, close_loop),
		cmocka_unit_test_teardown(a_datagram_link_takes_all, close_loop),
		cmocka_unit_test_teardown(a_route_is_added_once_and_within_the_table, close_loop),
	};
	const struct eal_ask ask = {.name = "bench-test",
		.cores = "",
		.extra = "",
		.hugepages = 2, // no
		.need_len = 400 << 20};
	char err[EAL_ERR_MAX];

	if (eal_open(&ask, NULL, err) < 0) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
