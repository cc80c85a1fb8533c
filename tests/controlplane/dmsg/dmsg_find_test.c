// Entries that come and go, servers that are found, and each way in which that fails.
#include "tests/controlplane/dmsg/find_world.h"

// ---- the entry ----

static void on_left(void *arg)
{
	struct node *n = arg;

	n->n_left++;
}

static void entry_follows_sessions_and_is_removed(void **state)
{
	static const struct how how = {.n_discs = 2, .sessions = 2, .fixed = -1};

	(void)state;
	list_server(&disc[1], 0);
	list_server(&disc[1], 1);
	start_client(0, &how);
	run_until(own(0, 0) != NULL && own(1, 0) != NULL);
	assert_int_equal(own(0, 0)->n_servers, 0); // before the first session
	assert_false(own(0, 0)->servers_nil);
	assert_string_equal(own(0, 0)->client_type, "visor");
	run_until(sessions(0) == 2 && lists(0, 0, 2) && lists(1, 0, 2));
	assert_true(own(0, 0)->sequence >= 1);
	dmsg_server_free(server[0]);
	server[0] = NULL;
	fake_disc_del(&disc[1], identity_pk(server_id[0]));
	run_until(lists(0, 0, 1) && lists(1, 0, 1));
	dmsg_client_leave(node[0].c, on_left, &node[0]);
	assert_int_equal(node[0].n_left, 0);
	run_until(node[0].n_left == 1);
	assert_true(own(0, 0) == NULL && own(1, 0) == NULL);
	assert_int_equal(disc[0].n_delete, 1);
}

static void entry_goes_on_from_the_old_sequence(void **state)
{
	static const struct how how = {.n_discs = 1, .sessions = 1, .fixed = 0};
	struct dmsg_entry e = {.version = "0.0.1",
		.pk = *identity_pk(node[0].id),
		.sequence = 41,
		.is_client = true};

	(void)state;
	fake_disc_put(&disc[0], &e);
	start_client(0, &how);
	run_until(lists(0, 0, 1));
	assert_true(own(0, 0)->sequence > 41);
}

static void newer_entry_of_ours_is_left_alone(void **state)
{
	static const struct how how = {.n_discs = 1, .sessions = 1, .fixed = 0};
	struct dmsg_entry e = {.version = "0.0.1",
		.pk = *identity_pk(node[0].id),
		.sequence = 5,
		.timestamp_ns = INT64_MAX,
		.is_client = true};
	struct dmsg_publish_site site = {0};

	(void)state;
	fake_disc_put(&disc[0], &e);
	start_client(0, &how);
	while (site.failed == 0) {
		run_until(disc[0].http.n_requests > 0);
		uv_run(loop_uv(l), UV_RUN_NOWAIT);
		dmsg_client_each_site(node[0].c, count_site, &site);
	}
	assert_string_not_equal(site.err, "");
	assert_false(site.listed);
	assert_int_equal(own(0, 0)->sequence, 5);
}

static void discovery_that_comes_back_is_told(void **state)
{
	static const struct how how = {.n_discs = 2, .sessions = 1, .fixed = -1};

	(void)state;
	disc[0].status = 500;
	disc[0].body = "{\"message\":\"something unexpected happened\",\"code\":500}";
	list_server(&disc[1], 0);
	start_client(0, &how);
	run_until(sessions(0) == 1 && lists(1, 0, 1));
	assert_null(own(0, 0));
	disc[0].status = 0;
	run_until(lists(0, 0, 1));
}

// The other way round it would stay there.
static void an_entry_that_is_on_its_way_is_removed_after_it(void **state)
{
	static const struct how how = {.n_discs = 1, .sessions = 1, .fixed = 0};

	(void)state;
	disc[0].holds = true;
	start_client(0, &how);
	run_until(disc[0].held != NULL);
	dmsg_client_leave(node[0].c, on_left, &node[0]);
	for (unsigned i = 0; i < 20; i++)
		uv_run(loop_uv(l), UV_RUN_NOWAIT);
	assert_int_equal(disc[0].n_delete + node[0].n_left, 0);
	fake_disc_go_on(&disc[0]);
	run_until(node[0].n_left == 1);
	assert_int_equal(disc[0].n_delete, 1);
	assert_null(own(0, 0));
}

static void end_does_not_wait_for_a_silent_discovery(void **state)
{
	static const struct how how = {.n_discs = 1, .sessions = 1, .fixed = 0};

	(void)state;
	start_client(0, &how);
	run_until(lists(0, 0, 1));
	disc[0].silent = true;
	dmsg_client_leave(node[0].c, on_left, &node[0]);
	run_until(node[0].n_left == 1);
}

// ---- servers ----

static void configured_servers_are_preferred(void **state)
{
	static const struct how how = {.n_discs = 1, .sessions = 2, .fixed = 0};
	unsigned kinds[3] = {0};

	(void)state;
	for (unsigned i = 0; i < N_SERVERS; i++)
		list_server(&disc[0], i);
	start_client(0, &how);
	run_until(lists(0, 0, 2));
	dmsg_client_each_server(node[0].c, count_kind, kinds);
	assert_int_equal(kinds[DMSG_CLIENT_STATIC], 1);
	assert_int_equal(kinds[DMSG_CLIENT_FOUND], 1);
	assert_int_equal(sessions(0), 2);
}

static void servers_that_fail_are_given_up_for_others(void **state)
{
	static const struct how how = {.n_discs = 1, .sessions = 1, .fixed = -1};

	(void)state;
	list_server(&disc[0], 0);
	dmsg_server_free(server[0]);
	server[0] = NULL;
	start_client(0, &how);
	run_until(disc[0].n_list > 0);
	assert_int_equal(sessions(0), 0);
	fake_disc_del(&disc[0], identity_pk(server_id[0]));
	list_server(&disc[0], 1);
	run_until(sessions(0) == 1 && lists(0, 0, 1));
	assert_int_equal(key_pk_cmp(&own(0, 0)->servers[0], identity_pk(server_id[1])), 0);
}

static void nonsense_in_the_list_is_left_out(void **state)
{
	static const struct how how = {.n_discs = 1, .sessions = 0, .fixed = -1};
	static const char *const addresses[] = {"", "nowhere", "127.0.0.1:0", ":::", "x:99999"};
	unsigned kinds[3] = {0};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(addresses); i++) {
		struct identity *id = identity_of((uint8_t)(i + 200));
		struct dmsg_entry e = {
			.version = "0.0.1", .pk = *identity_pk(id), .is_server = true};

		snprintf(e.address, sizeof(e.address), "%s", addresses[i]);
		fake_disc_put(&disc[0], &e);
		identity_free(id);
	}
	list_server(&disc[0], 2);
	disc[0].e[disc[0].n] = disc[0].e[disc[0].n - 1]; // our own key as a server
	disc[0].e[disc[0].n++].pk = *identity_pk(node[0].id);
	start_client(0, &how);
	run_until(sessions(0) == 1);
	dmsg_client_each_server(node[0].c, count_kind, kinds);
	assert_int_equal(kinds[DMSG_CLIENT_FOUND], 1);
}

// A socket that is connected to, and says nothing.
static int silent_server(char *address, size_t cap)
{
	struct sockaddr_in sa = loopback(0);
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	snprintf(address, cap, "127.0.0.1:%u", ntohs(sa.sin_port));
	return fd;
}

static void as_many_servers_as_there_are_leave_room_for_dials(void **state)
{
	static const struct how all = {.n_discs = 1, .sessions = 0, .fixed = -1};
	static const struct how at_1 = {.n_discs = 1, .sessions = 1, .fixed = 1};
	struct dmsg_entry e = {.version = "0.0.1", .is_server = true, .available_sessions = 1};
	unsigned kinds[3] = {0};
	int fd = silent_server(e.address, sizeof(e.address));

	(void)state;
	for (unsigned i = 0; i < 28; i++) {
		struct identity *id = identity_of((uint8_t)(i + 200));

		e.pk = *identity_pk(id);
		fake_disc_put(&disc[0], &e);
		identity_free(id);
	}
	start_client(0, &all);
	run_until(disc[0].n_list > 0);
	start_client(1, &at_1);
	listen_at(1, PORT);
	list_server(&disc[0], 1);
	run_until(lists(0, 1, 1));
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_OK);
	dmsg_client_each_server(node[0].c, count_kind, kinds);
	assert_int_equal(kinds[DMSG_CLIENT_FOUND], 20);
	assert_int_equal(kinds[DMSG_CLIENT_MADE], 1);
	close(fd);
}

// ---- a server of ours ----

// Server 0 with discovery 0.
static struct asker publish_server(void)
{
	struct asker a = ask(1);

	dmsg_server_free(server[0]);
	server[0] = serve_at(0, server_id[0],
		(struct dmsg_server_conf){.sessions_max = 10,
			.dir = a.dir,
			.public_address = "192.0.2.7:8081",
			.soon_ms = 5});
	return a;
}

static void unpublish_server(struct asker *a)
{
	dmsg_server_free(server[0]);
	server[0] = NULL;
	ask_no_more(a);
}

static void server_is_published_with_its_room(void **state)
{
	static const struct how how = {.n_discs = 1, .sessions = 1, .fixed = 0};
	struct asker a = publish_server();
	const struct key_pk *pk = identity_pk(server_id[0]);

	(void)state;
	run_until(fake_disc_find(&disc[0], pk) != NULL);
	assert_true(fake_disc_find(&disc[0], pk)->is_server);
	assert_false(fake_disc_find(&disc[0], pk)->is_client);
	assert_string_equal(fake_disc_find(&disc[0], pk)->address, "192.0.2.7:8081");
	assert_int_equal(fake_disc_find(&disc[0], pk)->available_sessions, 10);
	start_client(0, &how);
	run_until(fake_disc_find(&disc[0], pk)->available_sessions == 9);
	stop_client(0);
	run_until(fake_disc_find(&disc[0], pk)->available_sessions == 10);
	dmsg_server_leave(server[0], on_left, &node[0]);
	run_until(node[0].n_left == 1);
	assert_null(fake_disc_find(&disc[0], pk));
	assert_int_equal(disc[0].n_delete, 1);
	unpublish_server(&a);
}

// A client with smux, that says nothing by itself.
struct smux {
	struct conn *below;
	struct dmsg_link *link;
	bool open, over;
	unsigned n_streams;
};

static void on_smux_open(void *arg)
{
	((struct smux *)arg)->open = true;
}

static void on_smux_accept(void *arg, struct conn *take_stream)
{
	((struct smux *)arg)->n_streams++;
	conn_close(take_stream);
}

static void on_smux_end(void *arg, int err)
{
	(void)err;
	((struct smux *)arg)->over = true;
}

static const struct dmsg_link_events smux_events = {
	.open = on_smux_open, .accept = on_smux_accept, .end = on_smux_end};

static void muxer_is_that_of_the_entry(void **state)
{
	static const struct how how = {.n_discs = 1, .sessions = 1, .fixed = 0};
	struct asker a = publish_server();
	struct smux sm = {0};
	struct dmsg_link_conf lc = {.sk = identity_sk(node[1].id),
		.pk = identity_pk(node[1].id),
		.server = identity_pk(server_id[0]),
		.mux = DMSG_LINK_SMUX2};
	struct dmsg_entry e = {.version = "0.0.1",
		.pk = *identity_pk(node[1].id),
		.is_client = true,
		.n_servers = 1,
		.protocol = "smux"};
	char address[64];

	(void)state;
	e.servers[0] = *identity_pk(server_id[0]);
	fake_disc_put(&disc[0], &e);
	start_client(0, &how);
	run_until(sessions(0) == 1);
	address_of(0, address, sizeof(address));
	sm.link = dmsg_link_dial(l, address, &lc, &smux_events, &sm);
	assert_non_null(sm.link);
	run_until(sm.open && disc[0].n_get >= 3); // two of our own, and the server's
	dial_to(0, 1, PORT, LONG_MS);
	run_until(sm.n_streams == 1);
	assert_false(sm.over);
	run_until(node[0].n_dialled == 1);
	dmsg_link_close(sm.link);
	unpublish_server(&a);
}

static uint64_t markers(void)
{
	struct dmsg_server_stats st;

	dmsg_server_stats_get(server[0], &st);
	return st.c.dmsg_pings;
}

static void put_rtt(void *arg, const struct dmsg_client_server *se)
{
	*(uint64_t *)arg = se->io.rtt_ns;
}

static uint64_t rtt(unsigned i)
{
	uint64_t ns = 0;

	dmsg_client_each_server(node[i].c, put_rtt, &ns);
	return ns;
}

static void on_pong(void *arg, const struct key_pk *pk, uint64_t rtt_ns, int err)
{
	struct node *n = arg;

	assert_int_equal(key_pk_cmp(pk, identity_pk(server_id[0])), 0);
	assert_true(err != 0 || rtt_ns > 0);
	n->n_pong++;
	n->ping_err = err;
}

static const struct how by_smux = {.n_discs = 1, .sessions = 1, .fixed = 0, .mux = DMSG_LINK_SMUX2};

// A server would take it for yamux's otherwise.
static void smux_is_told_before_it_is_spoken(void **state)
{
	static const struct how by_yamux = {.n_discs = 1, .sessions = 1, .fixed = 0};

	(void)state;
	disc[0].holds = true;
	start_client(0, &by_smux);
	run_until(disc[0].held != NULL);
	start_client(1, &by_yamux);
	run_until(sessions(1) == 1); // one that does not wait
	assert_int_equal(sessions(0), 0);
	fake_disc_go_on(&disc[0]);
	run_until(sessions(0) == 1 && lists(0, 0, 1) && lists(0, 1, 1));
	assert_string_equal(own(0, 0)->protocol, "smux");
	assert_string_equal(own(0, 1)->protocol, "");
	listen_at(0, PORT);
	listen_at(1, PORT);
	for (unsigned i = 0; i < 2; i++) {
		dial_to(i, !i, PORT, LONG_MS);
		run_until(node[i].n_dialled == 1 && node[!i].n_accepted == 1);
		assert_int_equal(node[i].code, DMSG_OK);
	}
}

static void a_session_by_smux_is_measured_by_the_marker(void **state)
{
	struct dmsg_client_ping *p;

	(void)state;
	start_client(0, &by_smux);
	run_until(sessions(0) == 1 && rtt(0) != 0);
	assert_int_equal(markers(), 1);
	assert_non_null(dmsg_client_ping(node[0].c, NULL, LONG_MS, on_pong, &node[0]));
	run_until(node[0].n_pong == 1);
	assert_int_equal(node[0].ping_err, 0);
	assert_int_equal(markers(), 2);
	p = dmsg_client_ping(node[0].c, NULL, LONG_MS, on_pong, &node[0]);
	assert_non_null(p);
	dmsg_client_ping_cancel(p);
	assert_non_null(dmsg_client_ping(node[0].c, NULL, LONG_MS, on_pong, &node[0]));
	dmsg_server_free(server[0]);
	server[0] = NULL;
	run_until(node[0].n_pong == 2);
	assert_int_not_equal(node[0].ping_err, 0);
}

// Our own servers need none, and others may have an old one.
static void smux_does_not_wait_for_a_discovery_that_fails(void **state)
{
	(void)state;
	disc[0].status = 500;
	disc[0].body = "{\"message\":\"something unexpected happened\",\"code\":500}";
	start_client(0, &by_smux);
	run_until(sessions(0) == 1);
	assert_null(own(0, 0));
}

// It has it from no discovery which muxer that would be.
static void a_server_in_the_lan_gets_yamux(void **state)
{
	struct dmsg_client_lan lan = {.pk = *identity_pk(server_id[0])};
	static const struct how nowhere = {
		.n_discs = 1, .sessions = 1, .fixed = -1, .mux = DMSG_LINK_SMUX2};

	(void)state;
	start_client(0, &nowhere);
	address_of(0, lan.address, sizeof(lan.address));
	assert_int_equal(dmsg_client_set_lan(node[0].c, &lan), 0);
	run_until(sessions(0) == 1 && rtt(0) != 0);
	assert_int_equal(markers(), 0);
}

static void smux_needs_a_discovery(void **state)
{
	struct dmsg_client_conf c = {.loop = l, .id = node[0].id, .mux = DMSG_LINK_SMUX2};

	(void)state;
	assert_null(dmsg_client_new(&c));
	assert_int_equal(errno, EINVAL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(entry_follows_sessions_and_is_removed),
		TEST(entry_goes_on_from_the_old_sequence),
		TEST(newer_entry_of_ours_is_left_alone),
		TEST(discovery_that_comes_back_is_told),
		TEST(an_entry_that_is_on_its_way_is_removed_after_it),
		TEST(end_does_not_wait_for_a_silent_discovery),
		TEST(configured_servers_are_preferred),
		TEST(servers_that_fail_are_given_up_for_others),
		TEST(nonsense_in_the_list_is_left_out),
		TEST(server_is_published_with_its_room),
		TEST(muxer_is_that_of_the_entry),
		TEST(smux_is_told_before_it_is_spoken),
		TEST(a_session_by_smux_is_measured_by_the_marker),
		TEST(smux_does_not_wait_for_a_discovery_that_fails),
		TEST(a_server_in_the_lan_gets_yamux),
		TEST(smux_needs_a_discovery),
		TEST(as_many_servers_as_there_are_leave_room_for_dials),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
