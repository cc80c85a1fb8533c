// The stop in which a hop changes its worker: who waits for whom, what is refused, and that it
// works between threads (also under the thread sanitizer). What becomes of packets:
// reliable_test.c.

#include "dataplane/worker/move.h"

#include "tests/dataplane/worker/node.h"
#include "tests/support/eal.h"

#include <rte_eal.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const struct node_conf three = {.workers = 3, .peers = 4, .cipher = AEAD_CHACHA20_POLY1305};

static int over(struct node *n, uint16_t *owner)
{
	uint16_t from;
	int status = 1, rc = hop_table_moved(n->hops, &status, &from, owner);

	return rc == 0 ? status : rc;
}

static void workers_wait_for_each_other_between_turns(void **state)
{
	struct node n;
	uint16_t owner = 9;
	uint32_t hop;

	node_open(&n, &three);
	hop = n.peer[1].hop;
	assert_int_equal(n.peer[1].owner, 1);
	assert_int_equal(over(&n, &owner), -ENOENT);
	assert_int_equal(hop_table_move(n.hops, hop, 2), 0);
	// none of them waits before all know
	for (unsigned i = 0; i < 5; i++) {
		worker_turn(n.w[0]);
		worker_turn(n.w[1]);
	}
	assert_int_equal(over(&n, &owner), -EINPROGRESS);
	assert_true(node_counter(&n, W_turns_idle) + node_counter(&n, W_turns_busy) > 10);
	worker_turn(n.w[2]);
	worker_turn(n.w[2]);
	// now they do, until the old owner has seen all
	worker_turn(n.w[1]);
	worker_turn(n.w[2]);
	worker_turn(n.w[2]);
	assert_non_null(hop_by_handle(n.w[1], hop));
	worker_turn(n.w[0]);
	worker_turn(n.w[1]);
	assert_null(hop_by_handle(n.w[1], hop));
	assert_non_null(hop_by_handle(n.w[2], hop));
	assert_int_equal(over(&n, &owner), -EINPROGRESS);
	worker_turn(n.w[0]);
	worker_turn(n.w[2]);
	assert_int_equal(over(&n, &owner), 0);
	assert_int_equal(owner, 2);
	assert_int_equal(hop_table_owner(n.hops, hop, NULL), 2);
	assert_int_equal(hop_table_worker_hops(n.hops, 2), 2);
	assert_int_equal(over(&n, &owner), -ENOENT);
	node_close(&n);
}

static void finish(struct node *n)
{
	uint16_t owner;

	for (unsigned i = 0; i < 10; i++)
		for (unsigned w = 0; w < n->conf.workers; w++)
			worker_turn(n->w[w]);
	assert_int_equal(over(n, &owner), 0);
}

static void moves_that_make_no_sense_are_refused(void **state)
{
	const struct hop_msg msg = {.kind = HOP_MSG_IDLE};
	struct node_conf conf = three;
	struct node n;
	uint32_t hop;

	conf.rel_bufs = 1024;
	node_open(&n, &conf);
	hop = n.peer[1].hop;
	assert_int_equal(hop_table_move(n.hops, hop, 3), -EINVAL);
	assert_int_equal(hop_table_move(n.hops, hop ^ 1 << DPMSG_HANDLE_BITS, 2), -ENOENT);
	assert_int_equal(hop_table_move(n.hops, hop, 1), -EALREADY);
	assert_int_equal(hop_table_move(n.hops, hop, 2), 0);
	assert_int_equal(hop_table_move(n.hops, n.peer[2].hop, 0), -EBUSY);
	// what is said about routes would go to the wrong worker
	assert_false(hop_table_msg(n.hops, 1, &msg));
	finish(&n);
	assert_true(hop_table_msg(n.hops, 1, &msg));
	assert_int_equal(hop_table_move(n.hops, hop, 2), -EALREADY);
	assert_int_equal(hop_table_move(n.hops, hop, 1), 0);
	finish(&n);
	node_close(&n);
}

static unsigned come_out(struct node *n)
{
	uint8_t frame[NODE_FRAME_MAX], frames[NODE_FRAME_MAX];
	unsigned len, got = 0;
	struct peer *who;

	node_settle(n);
	while ((len = node_output(n, frame)) != 0) {
		len = peer_open(n, frame, len, frames, &who);
		got += len == 1 + 8 && who == &n->peer[1];
	}
	return got;
}

static void send_five(struct node *n)
{
	uint8_t p[8] = {[6] = 1};

	be32_put(p + 1, 0x1001);
	for (unsigned i = 0; i < 5; i++)
		peer_send(n, &n->peer[0], p, sizeof(p), 0);
}

// Keys, counters and the window go along: the peer notices nothing, by whatever queue it comes.
static void the_peer_notices_nothing(void **state)
{
	unsigned got = 0;
	struct node n;

	node_open(&n, &three);
	node_rule(&n, 0x1001, RULE_INTERMEDIARY, 7, n.peer[1].hop, n.peer[0].tp);
	for (unsigned i = 0; i < 12; i++) {
		uint32_t hop = n.peer[i % 2].hop; // now the way in, now the way out
		int owner = hop_table_owner(n.hops, hop, NULL);

		send_five(&n);
		got += come_out(&n);
		assert_int_equal(hop_table_move(n.hops, hop, (uint16_t)((owner + 1) % 3)), 0);
		finish(&n);
		send_five(&n);
		got += come_out(&n);
	}
	assert_int_equal(got, 120);
	assert_int_equal(stat_get(&rule_slot(&n.rules, 0x1001)->packets), 120);
	node_close(&n);
}

// What is worked off in the stop goes to no port that main has closed since a worker's last turn.
static void a_port_that_went_away_is_not_touched_in_the_stop(void **state)
{
	static const uint8_t order[] = {1, 1, 2, 2, 0, 0};
	_Atomic uint32_t away = 0;
	uint64_t before;
	uint16_t owner;
	struct node n;

	node_open(&n, &three);
	before = node_counter(&n, W_rx_frames);
	node_rule(&n, 0x1001, RULE_INTERMEDIARY, 7, n.peer[1].hop, n.peer[0].tp);
	for (unsigned i = 0; i < n.conf.workers; i++)
		n.w[i]->ports_away = &away;
	assert_int_equal(hop_table_move(n.hops, n.peer[2].hop, 0), 0);
	send_five(&n);
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		worker_turn(n.w[order[i]]); // the last ones hand five packets to the first
	assert_int_equal(node_counter(&n, W_rx_frames), before + 5);
	away = 1u << n.port[n.peer[1].port];
	for (unsigned i = 0; i < 4; i++)
		for (unsigned w = 0; w < n.conf.workers; w++)
			worker_turn(n.w[w]);
	assert_int_equal(over(&n, &owner), 0);
	assert_int_equal(node_outputs(&n), 0);
	assert_int_equal(node_counter(&n, W_drop_tx_away), 5);
	node_close(&n);
}

static void *run(void *w)
{
	worker_run(w);
	return NULL;
}

static void nap_us(long us)
{
	nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static void hops_go_round_between_threads(void **state)
{
	struct node_conf conf = {.workers = NODE_WORKERS,
		.peers = 4,
		.cipher = AEAD_CHACHA20_POLY1305,
		.rel_bufs = 1024,
		.threads = true};
	pthread_t t[NODE_WORKERS];
	uint16_t owner = 0;
	struct node n;
	int rc;

	node_open(&n, &conf);
	for (unsigned i = 0; i < conf.workers; i++)
		assert_int_equal(pthread_create(&t[i], NULL, run, n.w[i]), 0);
	for (unsigned i = 0; i < 200; i++) {
		uint32_t hop = n.peer[i % 4].hop;
		uint16_t to = (uint16_t)((hop_table_owner(n.hops, hop, NULL) + 1) % NODE_WORKERS);

		assert_int_equal(hop_table_move(n.hops, hop, to), 0);
		for (unsigned k = 0; (rc = over(&n, &owner)) == -EINPROGRESS && k < 100000; k++)
			nap_us(20);
		assert_int_equal(rc, 0);
		assert_int_equal(owner, to);
	}
	worker_stop(n.set);
	for (unsigned i = 0; i < conf.workers; i++)
		pthread_join(t[i], NULL);
	for (unsigned i = 0; i < 4; i++)
		assert_non_null(hop_by_handle(
			n.w[hop_table_owner(n.hops, n.peer[i].hop, NULL)], n.peer[i].hop));
	node_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers_wait_for_each_other_between_turns),
		cmocka_unit_test(moves_that_make_no_sense_are_refused),
		cmocka_unit_test(the_peer_notices_nothing),
		cmocka_unit_test(a_port_that_went_away_is_not_touched_in_the_stop),
		cmocka_unit_test(hops_go_round_between_threads),
	};
	int failed;

	test_eal_init(NULL, NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rte_eal_cleanup();
	return failed;
}
