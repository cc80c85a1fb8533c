// What a worker does with nothing to do: it sleeps, out of the grace periods, and rings.

#include "tests/dataplane/worker/node.h"

#include "dataplane/worker/idle.h"
#include "dataplane/worker/uplink.h"
#include "tests/support/eal.h"

#include <pthread.h>
#include <rte_eal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const struct node_conf one = {.workers = 1, .peers = 2, .cipher = AEAD_NONE};

static void *run(void *w)
{
	worker_run(w);
	return NULL;
}

static void nap(unsigned ms)
{
	struct timespec ts = {.tv_nsec = (long)ms * 1000000};

	nanosleep(&ts, NULL);
}

// Wait up to two seconds for a counter to pass a value.
static bool passes(const struct node *n, enum worker_counter k, uint64_t value)
{
	for (unsigned i = 0; i < 400; i++, nap(5))
		if (node_counter(n, k) > value)
			return true;
	return false;
}

static void an_idle_worker_sleeps_out_of_the_grace_periods_and_wakes(void **state)
{
	struct node_conf conf = one;
	// of type 0, with one byte
	static const uint8_t packet[] = {0, 0, 0, 0x10, 1, 0, 1, 0x5a};
	struct node n;
	pthread_t t;
	uint64_t turns;

#ifdef __SANITIZE_THREAD__
	skip(); // buffers cross threads in DPDK's rings, whose order it does not see
#endif
	conf.threads = true;
	node_open(&n, &conf);
	node_rule(&n, 0x1001, RULE_INTERMEDIARY, 7, n.peer[1].hop, n.peer[0].tp);
	assert_int_equal(pthread_create(&t, NULL, run, n.w[0]), 0);
	assert_true(passes(&n, W_sleeps, 20));
	peer_send(&n, &n.peer[0], packet, sizeof(packet), 0);
	assert_true(passes(&n, W_tx_frames, 0));
	assert_int_equal(rule_table_del(&n.rules, 0x1001, RULE_GONE_DEL), 0);
	for (unsigned i = 0; i < 400 && n.rules.n_retired != 0; i++, nap(5))
		rule_table_poll(&n.rules, 1);
	assert_int_equal(n.rules.n_retired, 0);
	// in poll mode it does not sleep any more
	worker_set_idle(n.set, IDLE_POLL);
	turns = node_counter(&n, W_turns_idle);
	assert_true(passes(&n, W_turns_idle, turns + 20000));
	turns = node_counter(&n, W_sleeps);
	nap(5);
	assert_int_equal(node_counter(&n, W_sleeps), turns);
	worker_stop(n.set);
	pthread_join(t, NULL);
	node_close(&n);
}

static bool rang(struct node *n)
{
	uint64_t k;

	return read(n->region.bell_cp, &k, sizeof(k)) == sizeof(k);
}

// Sleeps in ten turns without work, at that time.
static uint64_t turns_without_work(struct node *n, struct idle *idle, uint64_t now_ns)
{
	uint64_t before = node_counter(n, W_sleeps);

	n->w[0]->now_ns = now_ns;
	idle_turn(n->w[0], idle, true);
	for (unsigned i = 0; i < 10; i++)
		idle_turn(n->w[0], idle, false);
	return node_counter(n, W_sleeps) - before;
}

static void a_worker_that_runs_empty_rings_for_what_it_sent_up(void **state)
{
	struct region_hdr *h;
	struct idle idle = {0};
	struct rte_mbuf *m;
	struct node n;
	uint64_t at;

	node_open(&n, &one);
	h = n.region.hdr;
	at = n.w[0]->now_ns;
	atomic_store(&idle.mode, IDLE_ADAPTIVE);
	atomic_store(&h->cp_sleeping, 1);
	turns_without_work(&n, &idle, at);
	assert_false(rang(&n)); // nothing is there
	m = rte_pktmbuf_alloc(n.pool);
	assert_non_null(rte_pktmbuf_append(m, 64));
	assert_true(uplink_route(n.w[0], UP_ROUTE, 1, 0, m));
	rte_pktmbuf_free(m);
	uplink_publish(n.w[0]);
	atomic_store(&idle.mode, IDLE_POLL);
	turns_without_work(&n, &idle, at);
	assert_false(rang(&n)); // it makes no system calls
	atomic_store(&idle.mode, IDLE_ADAPTIVE);
	turns_without_work(&n, &idle, at);
	assert_true(rang(&n));
	assert_int_equal(atomic_load(&h->cp_sleeping), 0);
	turns_without_work(&n, &idle, at);
	assert_false(rang(&n)); // somebody is awake
	node_close(&n);
}

static void a_worker_waits_longer_for_ports_the_more_often_they_give(void **state)
{
	const uint64_t min = IDLE_WARM_MIN_NS, max = IDLE_WARM_MAX_NS;
	struct idle idle = {0};
	uint64_t at = 10 * max;
	struct node n;

	node_open(&n, &one);
	atomic_store(&idle.mode, IDLE_ADAPTIVE);
	idle_polled(&idle, at, 1);
	assert_int_equal(turns_without_work(&n, &idle, at + min - 1), 0); // they may give more
	assert_true(turns_without_work(&n, &idle, at + min) > 0); // the control plane would wake it
	for (unsigned i = 0; i < 3; i++)
		idle_polled(&idle, ++at, 1);
	assert_int_equal(turns_without_work(&n, &idle, at + 8 * min - 1), 0);
	assert_true(turns_without_work(&n, &idle, at + 8 * min) > 0);
	for (unsigned i = 0; i < 10; i++)
		idle_polled(&idle, ++at, 1);
	assert_int_equal(turns_without_work(&n, &idle, at + max - 1), 0);
	assert_true(turns_without_work(&n, &idle, at + max) > 0);
	at += max;
	idle_polled(&idle, at, 1);
	assert_true(turns_without_work(&n, &idle, at + min) > 0); // the first one after a silence
	node_close(&n);
}

static void a_worker_that_waits_for_ports_sleeps_when_it_has_spun(void **state)
{
	struct idle idle = {0};
	struct node n;
	uint64_t at = 10 * (uint64_t)IDLE_WARM_MAX_NS, sleeps;

	node_open(&n, &one);
	atomic_store(&idle.mode, IDLE_ADAPTIVE);
	idle_polled(&idle, at, 1);
	assert_int_equal(turns_without_work(&n, &idle, at), 0); // however many turns that are
	sleeps = node_counter(&n, W_sleeps);
	n.w[0]->now_ns = at + 49 * 1000;
	idle_turn(n.w[0], &idle, false);
	assert_int_equal(node_counter(&n, W_sleeps), sleeps);
	n.w[0]->now_ns = at + 50 * 1000;
	idle_turn(n.w[0], &idle, false);
	assert_int_equal(node_counter(&n, W_sleeps), sleeps + 1);
	node_close(&n);
}

// How long it sleeps after so many frames in two milliseconds.
static uint64_t nap_after(struct idle *idle, struct wctx *w, unsigned frames)
{
	w->now_ns += 2000 * 1000;
	idle_nap_ns(idle, w);
	idle_polled(idle, w->now_ns, frames / 2);
	idle_polled(idle, w->now_ns, frames - frames / 2);
	w->now_ns += 2000 * 1000;
	return idle_nap_ns(idle, w);
}

static void a_worker_sleeps_longer_while_frames_come_in_bulk(void **state)
{
	static struct wctx w = {.now_ns = 10 * (uint64_t)IDLE_WARM_MAX_NS};
	struct idle idle = {0};
	uint64_t at, sleeps;
	struct node n;

	assert_int_equal(nap_after(&idle, &w, 0), 50 * 1000);
	assert_int_equal(nap_after(&idle, &w, 49), 50 * 1000);
	assert_int_equal(nap_after(&idle, &w, 50), 200 * 1000);
	assert_int_equal(nap_after(&idle, &w, 1280), 200 * 1000);
	// no more than a queue has room for
	assert_int_equal(nap_after(&idle, &w, 2560), 100 * 1000);
	assert_int_equal(nap_after(&idle, &w, 100000), 50 * 1000);
	// within the time it is as before
	assert_int_equal(nap_after(&idle, &w, 50), 200 * 1000);
	w.now_ns += 1999 * 1000;
	assert_int_equal(idle_nap_ns(&idle, &w), 200 * 1000);
	w.now_ns += 1000;
	assert_int_equal(idle_nap_ns(&idle, &w), 50 * 1000);
	// no longer than a NIC has room for, but never shorter than without bulk
	w.nap_max_ns = 70 * 1000;
	assert_int_equal(nap_after(&idle, &w, 50), 70 * 1000);
	w.nap_max_ns = 344 * 1000;
	assert_int_equal(nap_after(&idle, &w, 50), 200 * 1000);
	w.nap_max_ns = 1;
	assert_int_equal(nap_after(&idle, &w, 50), 50 * 1000);

	node_open(&n, &one);
	atomic_store(&idle.mode, IDLE_ADAPTIVE);
	w.nap_max_ns = 0;
	nap_after(&idle, &w, 50);
	at = w.now_ns;
	assert_int_equal(turns_without_work(&n, &idle, at), 0);
	sleeps = node_counter(&n, W_sleeps);
	n.w[0]->now_ns = at + 7 * 1000;
	idle_turn(n.w[0], &idle, false);
	assert_int_equal(node_counter(&n, W_sleeps), sleeps);
	n.w[0]->now_ns = at + 8 * 1000;
	idle_turn(n.w[0], &idle, false);
	assert_int_equal(node_counter(&n, W_sleeps), sleeps + 1);
	node_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_worker_sleeps_out_of_the_grace_periods_and_wakes),
		cmocka_unit_test(a_worker_that_runs_empty_rings_for_what_it_sent_up),
		cmocka_unit_test(a_worker_waits_longer_for_ports_the_more_often_they_give),
		cmocka_unit_test(a_worker_that_waits_for_ports_sleeps_when_it_has_spun),
		cmocka_unit_test(a_worker_sleeps_longer_while_frames_come_in_bulk),
	};
	int failed;

	test_eal_init(NULL, NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rte_eal_cleanup();
	return failed;
}
