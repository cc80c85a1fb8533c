// A port that is being opened again: the worker neither asks it for frames nor gives it any, and
// goes on with the others.

#include "tests/dataplane/worker/node.h"

#include "tests/support/eal.h"

#include <rte_eal.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { ID = 0x1001, SENT = 10 };

static const struct node_conf one = {.workers = 1, .peers = 2, .cipher = AEAD_NONE};

// From the first peer's port to the second's.
static void send_some(struct node *n)
{
	uint8_t p[8] = {0};

	be32_put(p + 1, ID);
	be16_put(p + 5, 1);
	for (unsigned i = 0; i < SENT; i++)
		peer_send(n, &n->peer[0], p, sizeof(p), 0);
	node_settle(n);
}

static void open_with(struct node *n, const _Atomic uint32_t *away)
{
	node_open(n, &one);
	assert_int_not_equal(n->peer[0].port, n->peer[1].port);
	node_rule(n, ID, RULE_INTERMEDIARY, 7, n->peer[1].hop, n->peer[0].tp);
	n->w[0]->ports_away = away;
}

static void a_port_that_is_away_gets_no_frames(void **state)
{
	_Atomic uint32_t away = 0;
	struct node n;

	open_with(&n, &away);
	send_some(&n);
	assert_int_equal(node_outputs(&n), SENT);
	away = 1u << n.port[n.peer[1].port];
	send_some(&n);
	assert_int_equal(node_outputs(&n), 0);
	assert_int_equal(node_counter(&n, W_drop_tx_away), SENT);
	away = 0;
	send_some(&n);
	assert_int_equal(node_outputs(&n), SENT);
	assert_int_equal(node_counter(&n, W_drop_tx_away), SENT);
	node_close(&n);
}

static void a_port_that_is_away_is_not_asked_for_frames(void **state)
{
	_Atomic uint32_t away = 0;
	uint64_t before;
	struct node n;

	open_with(&n, &away);
	before = node_counter(&n, W_rx_frames);
	away = 1u << n.port[n.peer[0].port];
	send_some(&n);
	assert_int_equal(node_counter(&n, W_rx_frames), before);
	assert_int_equal(node_outputs(&n), 0);
	away = 0;
	node_settle(&n);
	assert_int_equal(node_outputs(&n), SENT);
	node_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_that_is_away_gets_no_frames),
		cmocka_unit_test(a_port_that_is_away_is_not_asked_for_frames),
	};
	int failed;

	test_eal_init(NULL, NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rte_eal_cleanup();
	return failed;
}
