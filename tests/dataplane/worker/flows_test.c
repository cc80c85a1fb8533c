// A transport of several flows at a node of more workers than most machines have cores: each packet
// comes by the flow of its id or is dropped, and what one flow is late does not hurt another.

#include "tests/dataplane/worker/node.h"

#include "lib/wire/rail.h"
#include "lib/wire/rail_frame.h"
#include "tests/support/eal.h"

#include <rte_eal.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FLOWS = 4, OUT = FLOWS }; // peer number of the way out

static struct node_conf conf_of(unsigned flows, enum aead_cipher cipher)
{
	return (struct node_conf){
		.workers = NODE_WORKERS, .peers = FLOWS + 1, .flows = flows, .cipher = cipher};
}

static unsigned packet(uint8_t *p, uint8_t type, uint32_t id)
{
	memset(p, 0x5a, 27);
	p[0] = type;
	be32_put(p + 1, id);
	be16_put(p + 5, 20);
	return 27;
}

static void send(struct node *n, unsigned peer, uint8_t type, uint32_t id)
{
	uint8_t p[64];

	peer_send(n, &n->peer[peer], p, packet(p, type, id), 0);
}

static void packets_of_another_flow_are_dropped_and_counted(void **state)
{
	static const enum aead_cipher ciphers[] = {AEAD_NONE, AEAD_CHACHA20_POLY1305};
	enum { IDS = 40 };

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct node_conf conf = conf_of(FLOWS, ciphers[k]);
		uint64_t right = 0, wrong = 0;
		struct node n;

		node_open(&n, &conf);
		for (uint32_t id = 1; id <= IDS; id++)
			node_rule(&n, 0x1000 + id, RULE_INTERMEDIARY, 7, n.peer[OUT].hop,
				id % 2 == 0 ? RULE_IN_ANY : n.peer[0].tp);
		for (uint32_t id = 1; id <= IDS; id++) {
			for (unsigned f = 0; f < FLOWS; f++) {
				send(&n, f, ROUTE_DATA, 0x1000 + id);
				// a burst of two: the second one by the short road
				send(&n, f, ROUTE_DATA, 0x1000 + id);
			}
			right += 2;
			wrong += 2 * (FLOWS - 1);
			node_settle(&n);
			assert_int_equal(node_counter(&n, W_pkt_forwarded), right);
			assert_int_equal(node_counter(&n, W_drop_flow), wrong);
		}
		assert_int_equal(node_outputs(&n), right);
		node_close(&n);
	}
}

// What is no route's goes by flow 1, and an unknown id is none of another flow's business.
static void route_id_zero_goes_by_flow_1(void **state)
{
	struct node_conf conf = conf_of(FLOWS, AEAD_NONE);
	uint8_t ping[15] = {ROUTE_TP_PING, 0, 0, 0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8};
	struct node n;

	(void)state;
	node_open(&n, &conf);
	for (unsigned f = 0; f < FLOWS; f++)
		peer_send(&n, &n.peer[f], ping, sizeof(ping), 0);
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_pkt_answered), 1);
	assert_int_equal(node_counter(&n, W_drop_flow), FLOWS - 1);
	for (unsigned f = 0; f < FLOWS; f++)
		send(&n, f, ROUTE_DATA, 0x70000001);
	node_settle(&n);
	assert_int_equal(node_counter(&n, W_drop_rule_unknown), 1);
	assert_int_equal(node_counter(&n, W_drop_flow), 2 * (FLOWS - 1));
	node_outputs(&n);
	node_close(&n);
}

static void arrive(struct node *n, struct peer *p, uint32_t id, uint64_t counter)
{
	uint8_t frame[32] = {RAIL_ROUTE}, buf[NODE_FRAME_MAX];
	unsigned len = 1 + packet(frame + 1, ROUTE_DATA, id);

	p->tx_counter = counter;
	len = peer_frame(n, p, frame, len, buf);
	assert_true(node_inject(n, p->port, p->queue, buf, len));
}

// Datagrams of all flows in turn, of which those of the odd ones arrive as much later as ten
// thousand datagrams take: a millisecond at ten million a second, and more than a replay window.
// Returns how many were dropped as replays.
static uint64_t late_flows(unsigned flows)
{
	enum { ROUNDS = 8000, LATE = 10000 };
	struct node_conf conf = conf_of(flows, AEAD_NONE);
	uint64_t sent = (uint64_t)ROUNDS * FLOWS, at[FLOWS] = {0}, replayed;
	uint32_t id[FLOWS] = {0};
	struct node n;

	node_open(&n, &conf);
	for (uint32_t x = 0x1001; id[0] == 0 || id[1] == 0 || id[2] == 0 || id[3] == 0; x++)
		id[rail_flow_of(x, FLOWS) - 1] = x;
	for (unsigned f = 0; f < FLOWS; f++)
		node_rule(&n, id[f], RULE_INTERMEDIARY, 7, n.peer[OUT].hop, n.peer[0].tp);
	// time is counted in datagrams: number k of flow f is sent at k * FLOWS + f
	for (uint64_t now = 0; now < sent + LATE; now++) {
		for (unsigned f = 0; f < FLOWS; f++) {
			uint64_t when = at[f] * FLOWS + f;

			if (at[f] == ROUNDS || when + (f % 2 == 0 ? 0 : LATE) > now)
				continue;
			at[f]++;
			arrive(&n, &n.peer[flows == 1 ? 0 : f], id[f],
				flows == 1 ? when + 1 : at[f]);
		}
		if (now % 256 == 0) {
			node_settle(&n);
			node_outputs(&n);
		}
	}
	node_settle(&n);
	node_outputs(&n);
	replayed = node_counter(&n, W_drop_replay);
	assert_int_equal(node_counter(&n, W_pkt_forwarded) + replayed, sent);
	node_close(&n);
	return replayed;
}

static void flows_that_reorder_against_each_other_cost_no_replay_drop(void **state)
{
	(void)state;
	assert_int_equal(late_flows(FLOWS), 0);
	// by one flow, the same would have been too late
	assert_true(late_flows(1) > 1000);
}

// A handshake changes the number of flows: packets are judged by the number that came with the key
// in use.
static void the_number_of_flows_comes_into_effect_with_its_key(void **state)
{
	struct node_conf conf = conf_of(FLOWS, AEAD_NONE);
	struct cmd_hop_rekey rk = {.n_flows = 2, .instance_local = 1};
	struct peer *p;
	struct node n;

	(void)state;
	node_open(&n, &conf);
	for (uint32_t id = 1; id <= 16; id++)
		node_rule(&n, 0x1000 + id, RULE_INTERMEDIARY, 7, n.peer[OUT].hop, n.peer[0].tp);
	p = &n.peer[0];
	rk.hop = p->hop;
	rk.keys.rx_index = 0xabcd0070;
	rk.keys.tx_index = 0x77;
	rk.keys.cipher = AEAD_NONE;
	assert_int_equal(hop_table_rekey(n.hops, &rk, n.w[0]->now_ns), 0);
	for (unsigned two = 0; two < 2; two++) {
		uint64_t right = node_counter(&n, W_pkt_forwarded), all = 0;

		for (uint32_t id = 1; id <= 16; id++) {
			send(&n, 0, ROUTE_DATA, 0x1000 + id);
			all += rail_flow_of(0x1000 + id, two ? 2 : FLOWS) == 1;
		}
		node_settle(&n);
		assert_int_equal(node_counter(&n, W_pkt_forwarded) - right, all);
		p->node_index = rk.keys.rx_index; // from now on under the new key
	}
	node_outputs(&n);
	node_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_of_another_flow_are_dropped_and_counted),
		cmocka_unit_test(route_id_zero_goes_by_flow_1),
		cmocka_unit_test(flows_that_reorder_against_each_other_cost_no_replay_drop),
		cmocka_unit_test(the_number_of_flows_comes_into_effect_with_its_key),
	};

	int failed;

	test_eal_init(NULL, NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rte_eal_cleanup();
	return failed;
}
