// Destinations that are looked up at discoveries, services by dmsg, and each way in which that
// fails.
#include "tests/controlplane/dmsg/find_world.h"

// ---- destinations ----

static void destination_is_reached_by_its_servers(void **state)
{
	static const struct how at_0 = {.n_discs = 1, .sessions = 1, .fixed = 0, .idle_ms = 40};
	static const struct how at_1 = {.n_discs = 1, .sessions = 1, .fixed = 1};
	struct dmsg_client_stats st;
	unsigned kinds[3] = {0};

	(void)state;
	list_server(&disc[0], 0);
	list_server(&disc[0], 1);
	start_client(0, &at_0);
	start_client(1, &at_1);
	listen_at(1, PORT);
	node[0].dialled.to_send = node[1].accepted.to_send = 100000;
	run_until(lists(0, 0, 1) && lists(0, 1, 1));
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].dialled.got == 100000 && node[1].accepted.got == 100000);
	dmsg_client_each_server(node[0].c, count_kind, kinds);
	assert_int_equal(kinds[DMSG_CLIENT_MADE], 1);
	assert_int_equal(own(0, 0)->n_servers, 1); // that one is not in our entry
	// and it ends when nothing uses it
	end_close(&node[0].dialled);
	run_until(sessions(0) == 1);
	dmsg_client_stats_get(node[0].c, &st);
	assert_int_equal(st.dialled, 1);
	assert_int_equal(st.sessions_lost, 0);
}

static void dials_share_the_session_that_one_of_them_makes(void **state)
{
	static const struct how at_0 = {.n_discs = 1, .sessions = 1, .fixed = 0};
	static const struct how at_1 = {.n_discs = 1, .sessions = 1, .fixed = 1};
	struct dmsg_addr a = {*identity_pk(node[1].id), PORT};
	unsigned kinds[3] = {0};

	(void)state;
	list_server(&disc[0], 0);
	list_server(&disc[0], 1);
	start_client(0, &at_0);
	start_client(1, &at_1);
	listen_at(1, PORT);
	run_until(lists(0, 0, 1) && lists(0, 1, 1));
	dial_to(0, 1, PORT, LONG_MS);
	assert_non_null(dmsg_client_dial(node[0].c, &a, LONG_MS, on_dialled, &node[2]));
	run_until(node[0].n_dialled == 1 && node[2].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_OK);
	assert_int_equal(node[2].code, DMSG_OK);
	dmsg_client_each_server(node[0].c, count_kind, kinds);
	assert_int_equal(kinds[DMSG_CLIENT_MADE], 1);
	end_close(&node[2].dialled);
}

static void session_of_a_dial_that_is_in_the_lan_is_published(void **state)
{
	static const struct how at_0 = {.n_discs = 1, .sessions = 1, .fixed = 0};
	static const struct how at_1 = {.n_discs = 1, .sessions = 1, .fixed = 1};
	struct dmsg_client_lan lan = {.pk = *identity_pk(server_id[1])};
	struct dmsg_publish_site before, after;

	(void)state;
	list_server(&disc[0], 1);
	start_client(0, &at_0);
	start_client(1, &at_1);
	listen_at(1, PORT);
	run_until(lists(0, 0, 1) && lists(0, 1, 1));
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1);
	assert_int_equal(sessions(0), 2);
	address_of(1, lan.address, sizeof(lan.address));
	dmsg_client_each_site(node[0].c, count_site, &before);
	assert_int_equal(dmsg_client_set_lan(node[0].c, &lan), 0);
	dmsg_client_each_site(node[0].c, count_site, &after);
	assert_true(after.next_ns < before.next_ns); // soon, and not when its minute is over
	run_until(lists(0, 0, 2));
	assert_int_equal(sessions(0), 2); // it is the one that there was
}

static void what_discoveries_say_is_told(void **state)
{
	static const struct how how = {.n_discs = 2, .sessions = 1, .fixed = -1};
	struct dmsg_entry e = {.version = "0.0.1", .pk = *identity_pk(node[1].id)};

	(void)state;
	list_server(&disc[0], 0);
	start_client(0, &how);
	run_until(sessions(0) == 1);
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_ERR_NO_ENTRY);
	dial_key(0, identity_pk(server_id[0]), PORT, LONG_MS);
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_ERR_NOT_CLIENT);
	e.is_client = true;
	fake_disc_put(&disc[1], &e);
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_ERR_NO_DELEGATED);
	// a server that is in no list, and one that does not listen: then any that is open
	e.n_servers = 2;
	e.servers[0] = *identity_pk(node[2].id);
	e.servers[1] = *identity_pk(server_id[1]);
	fake_disc_put(&disc[1], &e);
	list_server(&disc[1], 1);
	dmsg_server_free(server[1]);
	server[1] = NULL;
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_ERR_RESP_REFUSED); // by server 0
}

static void no_server_is_reached(void **state)
{
	static const struct how how = {.n_discs = 1, .sessions = 1, .fixed = -1};
	struct dmsg_entry e = {.version = "0.0.1",
		.pk = *identity_pk(node[1].id),
		.is_client = true,
		.n_servers = 1};

	(void)state;
	e.servers[0] = *identity_pk(server_id[0]);
	fake_disc_put(&disc[0], &e);
	start_client(0, &how);
	run_until(own(0, 0) != NULL);
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_ERR_NO_SERVER_REACHED);
}

static void without_an_answer_open_sessions_are_tried(void **state)
{
	static const struct how how = {.n_discs = 1, .sessions = 1, .fixed = 0};

	(void)state;
	disc[0].status = 502;
	disc[0].body = "<html>";
	start_client(0, &how);
	start_client(1, &how);
	listen_at(1, PORT);
	run_until(sessions(0) == 1 && sessions(1) == 1);
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1);
	assert_non_null(node[0].dialled.c);
}

static void private_servers_are_asked_for_what_nobody_knows(void **state)
{
	static const struct how how = {.n_discs = 1, .sessions = 1, .fixed = 0};

	(void)state;
	start_client(0, &how);
	start_client(1, &how);
	listen_at(1, PORT);
	run_until(lists(0, 1, 1));
	fake_disc_del(&disc[0], identity_pk(node[1].id));
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1);
	assert_non_null(node[0].dialled.c);
	dial_to(0, 2, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_ERR_NO_ENTRY);
}

static void dials_end_when_they_are_told_to(void **state)
{
	static const struct how how = {.n_discs = 1, .sessions = 1, .fixed = 0};
	struct dmsg_addr a = {*identity_pk(node[1].id), PORT};

	(void)state;
	start_client(0, &how);
	run_until(lists(0, 0, 1));
	disc[0].silent = true;
	dmsg_client_dial_cancel(dmsg_client_dial(node[0].c, &a, LONG_MS, on_dialled, &node[0]));
	dial_key(0, &a.pk, PORT, 50);
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_ERR_NO_SERVER_REACHED);
}

static void on_refused(void *arg, struct conn *c, enum dmsg_err code, int err)
{
	(void)err;
	assert_null(c);
	assert_int_equal(code, DMSG_ERR_NO_ENTRY);
	++*(unsigned *)arg;
}

// More than there may be requests: none is given up for that, and our entry has its place.
static void so_many_ask_at_once(void **state)
{
	enum { DIALS = HTTP_CLIENT_REQUESTS_MAX + DMSG_CLIENT_ASKS_MAX };
	static const struct how how = {.n_discs = 1, .sessions = 1, .fixed = 0};
	struct dmsg_client_dial *dial[DIALS];
	struct http_client_stats s;
	unsigned n = 0;

	(void)state;
	start_client(0, &how);
	run_until(lists(0, 0, 1));
	disc[0].silent = true;
	for (unsigned i = 0; i < DIALS; i++) {
		struct identity *id = identity_of((uint8_t)(i + 140));
		struct dmsg_addr a = {*identity_pk(id), PORT};

		dial[i] = dmsg_client_dial(node[0].c, &a, LONG_MS, on_refused, &n);
		assert_non_null(dial[i]);
		identity_free(id);
	}
	run_until(disc[0].http.n_requests >= DMSG_CLIENT_ASKS_MAX);
	http_client_stats_get(asker[0].http, &s);
	assert_int_equal(s.pending, DMSG_CLIENT_ASKS_MAX);
	disc[0].silent = false;
	for (unsigned i = 0; i < DMSG_CLIENT_ASKS_MAX; i++)
		dmsg_client_dial_cancel(dial[i]); // those that ask; it is the others' turn
	run_until(n == DIALS - DMSG_CLIENT_ASKS_MAX);
	http_client_stats_get(asker[0].http, &s);
	assert_int_equal(s.refused, 0);
}

// ---- a service by dmsg ----

static void on_service_accept(void *arg, struct conn *c, const struct dmsg_addr *from)
{
	(void)from;
	fake_http_take(arg, c);
}

static void on_http(void *arg, const struct http_answer *a)
{
	assert_int_equal(a->err, 0);
	assert_int_equal(a->status, 404);
	assert_non_null(strstr(a->body, "not found"));
	++*(unsigned *)arg;
}

static void services_are_asked_by_streams(void **state)
{
	static const struct how how = {.n_discs = 1, .sessions = 1, .fixed = 0};
	char pk[KEY_PK_TEXT_LEN + 1], url[256];
	struct http_request_conf rc = {
		.method = "GET", .url = url, .answer_max = 4000, .timeout_ms = LONG_MS};
	struct dmsg_http *dh;
	unsigned n = 0;

	(void)state;
	start_client(0, &how);
	start_client(1, &how);
	dh = dmsg_http_new(asker[0].http, node[0].c);
	node[1].li = dmsg_client_listen(
		node[1].c, HTTP_CLIENT_DMSG_PORT, on_service_accept, &disc[1].http);
	run_until(sessions(0) == 1 && sessions(1) == 1);
	key_pk_to_text(identity_pk(node[1].id), pk);
	snprintf(url, sizeof(url), "dmsg://%s/dmsg-discovery/entry/%s", pk, pk);
	assert_non_null(http_client_ask(asker[0].http, &rc, on_http, &n));
	assert_non_null(http_client_ask(asker[0].http, &rc, on_http, &n));
	run_until(n == 2);
	assert_int_equal(disc[1].n_get, 2);
	dmsg_http_free(dh);
}

// A server that takes sessions and streams, and says nothing on them.
struct mute {
	struct conn_listener *listener;
	struct dmsg_link *link;
	struct conn *stream;
};

static void on_mute_accept(void *arg, struct conn *take_stream)
{
	static struct end deaf = {.deaf = true};
	struct mute *m = arg;

	conn_close(m->stream);
	m->stream = take_stream;
	conn_set_events(take_stream, &end_events, &deaf);
}

static void on_mute_open(void *arg)
{
	(void)arg;
}

static void on_mute_end(void *arg, int err)
{
	(void)arg, (void)err;
}

static const struct dmsg_link_events mute_events = {
	.open = on_mute_open, .accept = on_mute_accept, .end = on_mute_end};

static void on_mute_connection(void *arg, struct conn *c, const struct sockaddr_storage *from)
{
	struct mute *m = arg;
	struct dmsg_link_conf lc = {.sk = identity_sk(server_id[0]),
		.pk = identity_pk(server_id[0]),
		.mux = DMSG_LINK_BY_FIRST_BYTE};

	(void)from;
	m->link = dmsg_link_new(l, c, &lc, &mute_events, m);
	assert_non_null(m->link);
}

static void on_later(void *arg)
{
	*(bool *)arg = true;
}

static void on_no_answer(void *arg, const struct http_answer *a)
{
	assert_int_equal(a->err, -ETIMEDOUT);
	++*(unsigned *)arg;
}

// Our address is asked for first, and not answered: that counts against the request's time.
static void services_are_given_up_in_time(void **state)
{
	struct how how = {.n_discs = 1, .sessions = 1, .fixed = 0};
	struct sockaddr_in sa = loopback(0);
	struct http_request_conf rc = {.method = "GET", .answer_max = 4000, .timeout_ms = 50};
	char pk[KEY_PK_TEXT_LEN + 1], url[256];
	struct mute mute = {.listener = NULL};
	struct loop_timer *later;
	struct dmsg_http *dh;
	bool is_later = false;
	unsigned n = 0;

	(void)state;
	mute.listener =
		conn_listen(l, (const struct sockaddr *)&sa, NULL, on_mute_connection, &mute);
	assert_non_null(mute.listener);
	later = loop_timer_new(l, on_later, &is_later);
	how.port = conn_listener_port(mute.listener);
	start_client(0, &how);
	dh = dmsg_http_new(asker[0].http, node[0].c);
	run_until(sessions(0) == 1);
	key_pk_to_text(identity_pk(node[1].id), pk);
	snprintf(url, sizeof(url), "dmsg://%s/", pk);
	rc.url = url;
	assert_non_null(http_client_ask(asker[0].http, &rc, on_no_answer, &n));
	loop_timer_start(later, 1000, 0);
	run_until(n == 1 || is_later);
	assert_int_equal(n, 1);
	dmsg_http_free(dh);
	loop_timer_free(later);
	conn_close(mute.stream);
	dmsg_link_close(mute.link);
	conn_listener_close(mute.listener);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(destination_is_reached_by_its_servers),
		TEST(what_discoveries_say_is_told),
		TEST(no_server_is_reached),
		TEST(without_an_answer_open_sessions_are_tried),
		TEST(private_servers_are_asked_for_what_nobody_knows),
		TEST(dials_end_when_they_are_told_to),
		TEST(so_many_ask_at_once),
		TEST(services_are_asked_by_streams),
		TEST(dials_share_the_session_that_one_of_them_makes),
		TEST(session_of_a_dial_that_is_in_the_lan_is_published),
		TEST(services_are_given_up_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
