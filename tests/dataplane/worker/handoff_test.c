// Packets that change the worker: in whole bursts, in order, counted where they end.

#include "dataplane/worker/handoff.h"

#include "lib/wire/rail.h"
#include "lib/wire/rail_frame.h"
#include "tests/dataplane/worker/node.h"
#include "tests/support/eal.h"

#include <rte_eal.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HDR = 7, LEN = HDR + 4 };

// A route packet that carries a number.
static void packet(uint8_t p[LEN], uint32_t id, uint32_t number)
{
	p[0] = 0;
	be32_put(p + 1, id);
	be16_put(p + 5, 4);
	be32_put(p + HDR, number);
}

// Only worker 0 runs: what it gives to worker 1 piles up.
static void full_rings_drop_by_reason(void **state)
{
	enum { ELEMENTS = HANDOFF_RING_LEN - 1, A_BURST = BURST / (1 + HANDOFF_MORE) };
	struct node_conf conf = {.workers = 2, .peers = 4, .cipher = AEAD_NONE};
	unsigned whole = ELEMENTS / A_BURST * BURST, sent = whole + 10 * BURST, len;
	struct node n;
	uint8_t p[LEN], frame[NODE_FRAME_MAX];

	node_open(&n, &conf);
	// peer 0 is owned by worker 0, peer 1 by worker 1; both arrive at worker 0
	assert_int_equal(n.peer[0].owner, 0);
	assert_int_equal(n.peer[1].owner, 1);
	assert_int_equal(n.peer[1].queue, 0);
	node_rule(&n, 0x1001, RULE_INTERMEDIARY, 7, n.peer[1].hop, n.peer[0].tp);
	for (unsigned i = 0; i < sent; i++) {
		packet(p, 0x1001, i);
		peer_send(&n, &n.peer[0], p, LEN, 0);
	}
	while (worker_turn(n.w[0]))
		;
	// bursts go whole or not at all
	assert_int_equal(node_counter(&n, W_drop_handoff_tx), sent - whole);
	p[0] = 0;
	for (unsigned i = 0; i < BURST + 8; i++) {
		len = peer_frame(&n, &n.peer[1], p, 1, frame);
		node_inject(&n, n.peer[1].port, 0, frame, len);
	}
	while (worker_turn(n.w[0]))
		;
	assert_int_equal(node_counter(&n, W_drop_handoff_rx), BURST + 8 - ELEMENTS % A_BURST);
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_pkt_forwarded), whole);
	assert_int_equal(node_outputs(&n), whole);
	node_close(&n);
}

// Each packet came with the number of its turn; those of one hop come out in order.
static unsigned in_order(struct node *n, unsigned n_sent)
{
	uint8_t buf[NODE_FRAME_MAX], frames[NODE_FRAME_MAX];
	uint32_t next[NODE_PEERS] = {0};
	unsigned k = 0, len;

	while ((len = node_output(n, buf)) != 0) {
		struct peer *who;

		len = peer_open(n, buf, len, frames, &who);
		if (len != 1 + LEN || frames[0] != RAIL_ROUTE)
			continue; // probes
		assert_int_equal(be32_get(frames + 2), 0x2000 + who->n);
		assert_true(be32_get(frames + 1 + HDR) >= next[who->n]);
		next[who->n] = be32_get(frames + 1 + HDR) + 1;
		k++;
	}
	for (unsigned i = 1; i < NODE_PEERS; i++)
		assert_true(next[i] > n_sent - NODE_PEERS);
	return k;
}

// Hops of three workers take turns packet by packet, and some of them are the receiver's own.
static void bursts_spread_over_hops_of_all_workers(enum aead_cipher cipher)
{
	struct node_conf conf = {.workers = 3, .peers = NODE_PEERS, .cipher = cipher};
	unsigned sent = 4 * BURST + 3, total = 0;
	struct node n;
	uint8_t p[LEN];

	node_open(&n, &conf);
	for (unsigned i = 1; i < NODE_PEERS; i++)
		node_rule(
			&n, 0x1000 + i, RULE_INTERMEDIARY, 0x2000 + i, n.peer[i].hop, n.peer[0].tp);
	for (unsigned i = 0; i < sent; i++) {
		packet(p, 0x1001 + i % (NODE_PEERS - 1), i);
		peer_send(&n, &n.peer[0], p, LEN, 0);
	}
	node_settle(&n);
	assert_int_equal(in_order(&n, sent), sent);
	assert_int_equal(node_counter(&n, W_pkt_forwarded), sent);
	for (unsigned i = 1; i < NODE_PEERS; i++)
		total += (unsigned)stat_get(&rule_slot(&n.rules, 0x1000 + i)->packets);
	assert_int_equal(total, sent);
	node_close(&n);
}

static void clear_bursts_spread_over_hops_of_all_workers(void **state)
{
	bursts_spread_over_hops_of_all_workers(AEAD_NONE);
}

static void sealed_bursts_spread_over_hops_of_all_workers(void **state)
{
	bursts_spread_over_hops_of_all_workers(AEAD_CHACHA20_POLY1305);
}

// A rule counts what was taken on its way, and a ring that is full takes nothing.
static void a_refused_burst_is_counted_by_no_rule(void **state)
{
	struct node_conf conf = {.workers = 2, .peers = 4, .cipher = AEAD_NONE};
	unsigned sent = (1 + HANDOFF_MORE) * HANDOFF_RING_LEN + 5 * BURST;
	struct node n;
	uint8_t p[LEN];

	node_open(&n, &conf);
	node_rule(&n, 0x1001, RULE_INTERMEDIARY, 7, n.peer[1].hop, n.peer[0].tp);
	for (unsigned i = 0; i < sent; i++) {
		packet(p, 0x1001, i);
		peer_send(&n, &n.peer[0], p, LEN, 0);
	}
	while (worker_turn(n.w[0]))
		;
	assert_true(node_counter(&n, W_drop_handoff_tx) >= 5 * BURST);
	assert_int_equal(stat_get(&rule_slot(&n.rules, 0x1001)->packets),
		sent - node_counter(&n, W_drop_handoff_tx));
	node_settle(&n);
	assert_int_equal(node_outputs(&n), sent - node_counter(&n, W_drop_handoff_tx));
	node_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_rings_drop_by_reason),
		cmocka_unit_test(clear_bursts_spread_over_hops_of_all_workers),
		cmocka_unit_test(sealed_bursts_spread_over_hops_of_all_workers),
		cmocka_unit_test(a_refused_burst_is_counted_by_no_rule),
	};
	int failed;

	test_eal_init(NULL, NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rte_eal_cleanup();
	return failed;
}
