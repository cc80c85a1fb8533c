// Servers in the LAN: which address is told, and what a client makes of those that it knows.
#include "controlplane/dmsg/lan_server.h"
#include "tests/support/dmsg_nodes.h"

#include <arpa/inet.h>

enum { N_SERVERS = 3, PUBLIC = 0, LAN = 1, DEAD_PORT = 9 };

static struct identity *server_id[N_SERVERS];
static struct dmsg_server *server[N_SERVERS];

static void start_server(unsigned i)
{
	server[i] = serve_at(0, server_id[i], (struct dmsg_server_conf){.sessions_max = 0});
}

static void address_of(unsigned i, char *out, size_t cap)
{
	snprintf(out, cap, "127.0.0.1:%u",
		server[i] != NULL ? dmsg_server_port(server[i]) : DEAD_PORT);
}

static struct dmsg_client_lan lan_of(unsigned i)
{
	struct dmsg_client_lan lan = {.pk = *identity_pk(server_id[i])};

	address_of(i, lan.address, sizeof(lan.address));
	return lan;
}

static void start_client(bool public, const struct dmsg_client_lan *lan, uint32_t n_lan)
{
	struct dmsg_server_at sc = {.pk = *identity_pk(server_id[PUBLIC])};
	struct dmsg_client_conf c = {.loop = l,
		.id = node[0].id,
		.servers = &sc,
		.n_servers = public ? 1 : 0,
		.lan = lan,
		.n_lan = n_lan,
		.retry_min_ms = RETRY_MS};

	address_of(PUBLIC, sc.address, sizeof(sc.address));
	node[0].c = dmsg_client_new(&c);
	assert_non_null(node[0].c);
}

struct seen {
	const struct key_pk *pk;
	struct dmsg_client_server se;
	uint32_t n, n_lan;
	bool found;
};

static void on_server(void *arg, const struct dmsg_client_server *se)
{
	struct seen *s = arg;

	s->n++;
	s->n_lan += se->lan;
	if (s->pk != NULL && key_pk_cmp(s->pk, &se->pk) == 0) {
		s->se = *se;
		s->found = true;
	}
}

static struct seen see(unsigned i)
{
	struct seen s = {.pk = identity_pk(server_id[i])};

	dmsg_client_each_server(node[0].c, on_server, &s);
	return s;
}

static bool is_open(unsigned i)
{
	struct seen s = see(i);

	return s.found && s.se.state == DMSG_LINK_OPEN;
}

static int setup(void **state)
{
	setup_loop(state);
	nodes_init();
	for (unsigned i = 0; i < N_SERVERS; i++)
		server_id[i] = identity_of((uint8_t)(100 + i));
	return 0;
}

static int teardown(void **state)
{
	nodes_fini();
	for (unsigned i = 0; i < N_SERVERS; i++) {
		dmsg_server_free(server[i]);
		server[i] = NULL;
		identity_free(server_id[i]);
	}
	return teardown_loop(state);
}

// ---- addresses ----

static void the_first_private_address_is_told(void **state)
{
	static const struct {
		const char *addrs[4], *want;
	} cases[] = {
		{{NULL}, "127.0.0.1"},
		{{"127.0.0.1", NULL}, "127.0.0.1"},
		{{"127.0.0.1", "203.0.113.5", "192.168.7.1", NULL}, "192.168.7.1"},
		{{"127.0.0.1", "203.0.113.5", "198.51.100.1", NULL}, "203.0.113.5"},
		{{"172.15.255.255", "172.16.0.0", NULL}, "172.16.0.0"},
		{{"172.32.0.0", "172.31.255.255", NULL}, "172.31.255.255"},
		{{"11.0.0.0", "10.255.255.255", NULL}, "10.255.255.255"},
		{{"192.169.0.1", "192.167.0.1", NULL}, "192.169.0.1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct in_addr addrs[4], got;
		char text[INET_ADDRSTRLEN];
		size_t n = 0;

		for (; cases[i].addrs[n] != NULL; n++)
			assert_int_equal(inet_pton(AF_INET, cases[i].addrs[n], &addrs[n]), 1);
		got = lan_server_choose(addrs, n);
		assert_string_equal(inet_ntop(AF_INET, &got, text, sizeof(text)), cases[i].want);
	}
}

// ---- the client ----

static void saved_servers_come_first_and_the_others_after_them(void **state)
{
	struct dmsg_client_lan lan;

	(void)state;
	start_server(PUBLIC);
	start_server(LAN);
	lan = lan_of(LAN);
	start_client(true, &lan, 1);
	run_until(is_open(LAN));
	assert_int_not_equal(see(PUBLIC).se.state, DMSG_LINK_OPEN);
	run_until(is_open(PUBLIC));
	assert_true(see(LAN).se.lan);
	assert_false(see(PUBLIC).se.lan);
}

static void public_servers_are_dialled_when_saved_ones_are_gone(void **state)
{
	struct dmsg_client_lan lan = lan_of(LAN); // nobody is there

	(void)state;
	start_server(PUBLIC);
	snprintf(lan.public_address, sizeof(lan.public_address), "127.0.0.1:%u", DEAD_PORT);
	start_client(true, &lan, 1);
	run_until(is_open(PUBLIC));
	assert_true(see(LAN).se.err != 0);
}

static void the_second_address_is_tried_after_the_first(void **state)
{
	struct dmsg_client_lan lan;
	char second[DMSG_SERVER_ADDRESS_LEN];

	(void)state;
	start_server(LAN);
	lan = lan_of(LAN);
	memcpy(second, lan.address, sizeof(second));
	memcpy(lan.public_address, second, sizeof(second));
	snprintf(lan.address, sizeof(lan.address), "127.0.0.1:%u", DEAD_PORT);
	start_client(false, NULL, 0);
	assert_int_equal(dmsg_client_set_lan(node[0].c, &lan), 0);
	run_until(is_open(LAN));
	assert_string_equal(see(LAN).se.address, second);
}

static void on_stream(void *arg, const struct dmsg_conn_info *info)
{
	assert_int_equal(key_pk_cmp(&info->server, arg), 0);
}

static void streams_go_by_the_lan(void **state)
{
	struct dmsg_client_lan lan;

	(void)state;
	start_server(PUBLIC);
	start_server(LAN);
	start_client(true, NULL, 0);
	run_until(is_open(PUBLIC) && see(PUBLIC).se.io.rtt_ns != 0);
	lan = lan_of(LAN);
	assert_int_equal(dmsg_client_set_lan(node[0].c, &lan), 0);
	run_until(is_open(LAN));
	listen_at(0, PORT);
	dial_to(0, 0, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1 && node[0].n_accepted == 1);
	assert_int_equal(node[0].code, DMSG_OK);
	dmsg_client_each_stream(
		node[0].c, on_stream, (void *)(uintptr_t)identity_pk(server_id[LAN]));
}

static void a_server_told_again_gets_its_new_address(void **state)
{
	struct dmsg_client_lan lan = lan_of(LAN);

	(void)state;
	start_client(false, NULL, 0);
	assert_int_equal(dmsg_client_set_lan(node[0].c, &lan), 0);
	run_until(see(LAN).se.err != 0);
	start_server(LAN);
	lan = lan_of(LAN);
	assert_int_equal(dmsg_client_set_lan(node[0].c, &lan), 0);
	run_until(is_open(LAN));
	assert_int_equal(see(LAN).n, 1);
}

static void servers_in_the_lan_are_few_and_the_useless_give_way(void **state)
{
	struct dmsg_client_lan lan;

	(void)state;
	start_server(LAN);
	start_client(false, NULL, 0);
	lan = lan_of(LAN);
	assert_int_equal(dmsg_client_set_lan(node[0].c, &lan), 0);
	run_until(is_open(LAN));
	for (uint8_t i = 0; i < 3 * DMSG_CLIENT_LAN_MAX; i++) {
		struct identity *id = identity_of((uint8_t)(10 + i));

		lan = (struct dmsg_client_lan){.pk = *identity_pk(id)};
		snprintf(lan.address, sizeof(lan.address), "127.0.0.1:%u", DEAD_PORT);
		assert_int_equal(dmsg_client_set_lan(node[0].c, &lan), 0);
		identity_free(id);
	}
	assert_int_equal(see(LAN).n_lan, DMSG_CLIENT_LAN_MAX);
	assert_true(is_open(LAN));
}

static void servers_without_key_or_address_are_refused(void **state)
{
	struct dmsg_client_lan lan = {.pk = *identity_pk(server_id[LAN])};

	(void)state;
	start_client(false, NULL, 0);
	assert_int_equal(dmsg_client_set_lan(node[0].c, &lan), -EINVAL);
	lan = lan_of(LAN);
	memset(&lan.pk, 0, sizeof(lan.pk));
	assert_int_equal(dmsg_client_set_lan(node[0].c, &lan), -EINVAL);
	assert_int_equal(see(LAN).n, 0);
}

static void one_of_the_configuration_keeps_its_address(void **state)
{
	struct dmsg_client_lan lan;

	(void)state;
	start_server(PUBLIC);
	start_client(true, NULL, 0);
	lan = lan_of(PUBLIC);
	snprintf(lan.address, sizeof(lan.address), "127.0.0.1:%u", DEAD_PORT);
	assert_int_equal(dmsg_client_set_lan(node[0].c, &lan), 0);
	run_until(is_open(PUBLIC));
	assert_true(see(PUBLIC).se.lan);
	assert_int_equal(see(PUBLIC).n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_private_address_is_told),
		cmocka_unit_test_setup_teardown(
			saved_servers_come_first_and_the_others_after_them, setup, teardown),
		cmocka_unit_test_setup_teardown(
			public_servers_are_dialled_when_saved_ones_are_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_second_address_is_tried_after_the_first, setup, teardown),
		cmocka_unit_test_setup_teardown(streams_go_by_the_lan, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_server_told_again_gets_its_new_address, setup, teardown),
		cmocka_unit_test_setup_teardown(
			servers_in_the_lan_are_few_and_the_useless_give_way, setup, teardown),
		cmocka_unit_test_setup_teardown(
			servers_without_key_or_address_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_of_the_configuration_keeps_its_address, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
