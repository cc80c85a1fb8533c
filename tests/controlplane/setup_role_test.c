// The role as main makes it: of a configuration, with a key, sessions and requests of its own.
#include "controlplane/setup_role.h"
#include "tests/controlplane/dmsg/find_world.h"

static struct cp_conf conf;

static int teardown_role(void **state)
{
	cp_conf_free(&conf);
	return teardown(state);
}

// With server 0, and the discovery that node 1 serves by dmsg.
static struct setup_role *start_role(void)
{
	char text[1024], server_pk[KEY_PK_TEXT_LEN + 1], disc_pk[KEY_PK_TEXT_LEN + 1];
	char err[CONF_ERR_MAX] = "", at[64];
	int n;

	address_of(0, at, sizeof(at));
	key_pk_to_text(identity_pk(server_id[0]), server_pk);
	key_pk_to_text(identity_pk(node[1].id), disc_pk);
	n = snprintf(text, sizeof(text),
		"[dmsg]\ndiscovery = dmsg://%s\n[server s]\nkey = %s\naddress = %s\n"
		"[setup_node]\nenable = yes\n",
		disc_pk, server_pk, at);
	if (cp_conf_parse(&conf, text, (size_t)n, err) < 0)
		fail_msg("%s", err);
	return setup_role_new(l, &conf, node[0].id);
}

static void on_disc_stream(void *arg, struct conn *c, const struct dmsg_addr *from)
{
	(void)from;
	fake_http_take(arg, c);
}

static void discoveries_are_reached_by_its_own_sessions_and_requests(void **state)
{
	static const struct how how = {.n_discs = 1, .sessions = 1, .fixed = 0};
	struct http_client_stats s;
	struct setup_role *r;

	(void)state;
	start_client(1, &how);
	node[1].li =
		dmsg_client_listen(node[1].c, HTTP_CLIENT_DMSG_PORT, on_disc_stream, &disc[1].http);
	run_until(sessions(1) == 1);
	r = start_role();
	assert_non_null(r);
	run_until(fake_disc_find(&disc[1], setup_role_pk(r)) != NULL);
	http_client_stats_get(setup_role_http(r), &s);
	assert_true(s.asked > 0);
	setup_role_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			discoveries_are_reached_by_its_own_sessions_and_requests, setup,
			teardown_role),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
