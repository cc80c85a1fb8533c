// A node that is called, as bytes over a dmsg server on the loopback.
#include "controlplane/route/setup_call.h"
#include "tests/support/dmsg_nodes.h"

static struct identity *server_id;
static struct dmsg_server *server;
static unsigned n_said;

static int setup(void **state)
{
	setup_loop(state);
	nodes_init();
	n_said = 0;
	server_id = identity_of(99);
	server = serve_at(0, server_id, (struct dmsg_server_conf){.sessions_max = 10});
	for (unsigned i = 0; i < 2; i++)
		start_client_at(i, identity_pk(server_id), dmsg_server_port(server));
	listen_at(1, SETUP_GATEWAY_PORT);
	run_until(sessions(0) == 1 && sessions(1) == 1);
	return 0;
}

static int teardown(void **state)
{
	nodes_fini();
	dmsg_server_free(server);
	identity_free(server_id);
	return teardown_loop(state);
}

static void on_said(void *arg, int err, const char *why)
{
	(void)arg;
	assert_int_equal(err, 0);
	assert_string_equal(why, "");
	n_said++;
}

static void nothing_follows_a_call_that_was_cut(void **state)
{
	static const uint8_t rules[SETUP_IDS_MAX * RULE_INTERMEDIARY_LEN];
	static const uint32_t id = 1;
	struct setup_call *c = setup_call_new(
		node[0].c, identity_pk(node[1].id), SETUP_GATEWAY_PORT, LONG_MS, on_said, NULL);
	int rc = 0;

	(void)state;
	assert_non_null(c);
	run_until(n_said == 1);
	assert_true(setup_call_is_open(c));
	while (rc == 0) // until the stream takes no more: nothing leaves meanwhile
		rc = setup_call_intermediary(c, rules, SETUP_IDS_MAX);
	assert_int_equal(rc, -ENOBUFS);
	assert_false(setup_call_is_open(c));
	assert_int_equal(setup_call_delete(c, &id, 1), -ENOTCONN);
	setup_call_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			nothing_follows_a_call_that_was_cut, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
