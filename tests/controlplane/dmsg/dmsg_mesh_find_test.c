// Who is a peer of a server may change: by a discovery's list, or by a configuration that is read
// again.
#include "tests/controlplane/directory/fake_disc.h"
#include "tests/controlplane/dmsg/mesh_world.h"

static struct fake_disc disc;
static struct http_client *http[N_SERVERS];

static void list(unsigned i)
{
	struct dmsg_entry e = {.version = "0.0.1",
		.pk = *identity_pk(srv[i].id),
		.timestamp_ns = (int64_t)clock_wall_ns(),
		.is_server = true};

	snprintf(e.address, sizeof(e.address), "127.0.0.1:%u", srv[i].port);
	assert_int_equal(dmsg_entry_sign(&e, identity_sk(srv[i].id)), 0);
	fake_disc_put(&disc, &e);
}

static void unlist(unsigned i)
{
	fake_disc_del(&disc, identity_pk(srv[i].id));
}

static void know_the_discovery(unsigned i)
{
	const char *url = disc.url;
	struct dir_client_conf c = {.loop = l, .urls = &url, .n_urls = 1};

	http[i] = c.http = http_client_new(l, "");
	assert_non_null(http[i]);
	srv[i].dir = dir_client_new(&c);
	assert_non_null(srv[i].dir);
}

static void discover(unsigned i)
{
	know_the_discovery(i);
	srv[i].discovers = true;
}

static int setup_disc(void **state)
{
	setup(state);
	memset(http, 0, sizeof(http));
	fake_disc_start(&disc);
	return 0;
}

static int teardown_disc(void **state)
{
	for (unsigned i = 0; i < N_SERVERS; i++) {
		unserve(i);
		dir_client_free(srv[i].dir);
		http_client_free(http[i]);
	}
	fake_disc_stop(&disc);
	return teardown(state);
}

// Clients 0 and 1 at servers 0 and 1, both of which listen.
static void start_clients(void)
{
	start_client(0, 0);
	start_client(1, 1);
	listen_at(0, PORT);
	listen_at(1, PORT);
	run_until(sessions(0) == 1 && sessions(1) == 1);
}

static void looks(unsigned n)
{
	unsigned until = disc.n_list + n;

	run_until(disc.n_list >= until);
}

static void set_peer(unsigned i, unsigned k, bool dial)
{
	srv[i].n_peers = 0;
	join(i, k, dial);
	assert_int_equal(dmsg_server_set_peers(srv[i].s, srv[i].peers, 1), 0);
}

static void set_no_peer(unsigned i)
{
	assert_int_equal(dmsg_server_set_peers(srv[i].s, NULL, 0), 0);
}

struct count {
	unsigned n, found;
	const struct key_pk *pk; // NULL: all
};

static void count_peer(void *arg, const struct dmsg_mesh_peer *p)
{
	struct count *c = arg;

	if (c->pk != NULL && key_pk_cmp(c->pk, &p->pk) != 0)
		return;
	c->n++;
	c->found += p->found;
}

static struct count peers_of(unsigned i)
{
	struct count c = {0};

	dmsg_server_each_peer(srv[i].s, count_peer, &c);
	return c;
}

static bool has_peer(unsigned i, unsigned k)
{
	struct count c = {.pk = identity_pk(srv[k].id)};

	dmsg_server_each_peer(srv[i].s, count_peer, &c);
	return c.n == 1;
}

static void count_mesh(void *arg, const struct dmsg_server_session *se)
{
	*(unsigned *)arg += se->mesh;
}

static unsigned mesh_sessions(unsigned i)
{
	unsigned n = 0;

	dmsg_server_each_session(srv[i].s, count_mesh, &n);
	return n;
}

// ---- by a discovery ----

static void listed_servers_are_joined(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		discover(i);
		list(i);
		serve(i);
	}
	run_until(stats(0).peers == 1 && stats(1).peers == 1);
	start_clients();
	assert_true(reaches(0, 1));
	hang_up(0);
	assert_true(reaches(1, 0));
	assert_int_equal(peers_of(0).n, 1); // not itself
	assert_int_equal(peers_of(0).found, 1);
	looks(2);
	assert_int_equal(stats(0).c.dmsg_mesh_found, 1);
	assert_int_equal(stats(0).c.drop_dmsg_peers, 0);
}

static void who_looks_takes_those_that_join(void **state)
{
	(void)state;
	discover(0);
	join(1, 0, true);
	serve(0);
	serve(1);
	start_clients();
	run_until(stats(1).peers == 1);
	assert_false(reaches(1, 0)); // a foreign source of a stranger
	assert_int_equal(stats(0).c.drop_dmsg_bad_requests, 1);
	list(1);
	run_until(stats(0).peers == 1);
	while (!reaches(1, 0)) // till the refusal is forgotten
		;
	assert_int_equal(stats(0).c.dmsg_mesh_in, 1);
}

static void who_does_not_look_joins_nobody(void **state)
{
	(void)state;
	know_the_discovery(0);
	discover(1);
	list(0);
	list(1);
	serve(0);
	serve(1);
	start_clients();
	run_until(stats(1).peers == 1);
	looks(3);
	assert_int_equal(peers_of(0).n, 0);
	assert_false(reaches(0, 1));
	assert_false(reaches(1, 0));
	assert_int_equal(stats(0).c.drop_dmsg_bad_requests, 1);
}

static void unlisted_server_is_a_peer_until_its_link_is_over(void **state)
{
	(void)state;
	discover(0);
	list(1);
	list(2);
	for (unsigned i = 0; i < 3; i++)
		serve(i);
	run_until(stats(0).peers == 2);
	unlist(1);
	looks(3);
	assert_int_equal(stats(0).peers, 2);
	unserve(1);
	run_until(!has_peer(0, 1));
	assert_int_equal(peers_of(0).n, 1);
	// and one that never answered goes at once
	list(3);
	run_until(has_peer(0, 3));
	unlist(3);
	run_until(!has_peer(0, 3));
	assert_int_equal(stats(0).c.dmsg_mesh_found, 3);
}

static void discovery_that_fails_changes_nothing(void **state)
{
	unsigned asked;

	(void)state;
	discover(0);
	list(1);
	serve(0);
	serve(1);
	run_until(stats(0).peers == 1);
	disc.status = 500;
	disc.body = "{}";
	unserve(1);
	run_until(stats(0).peers == 0);
	asked = disc.http.n_requests;
	run_until(disc.http.n_requests >= asked + 3);
	unlist(1);
	disc.status = 0; // lists nobody
	looks(2);
	assert_true(has_peer(0, 1));
	serve(1);
	run_until(stats(0).peers == 1);
}

static void moved_server_is_dialled_where_it_is(void **state)
{
	(void)state;
	discover(0);
	list(1);
	serve(0);
	serve(1);
	run_until(stats(0).peers == 1);
	unserve(1);
	srv[1].port = free_port();
	list(1);
	serve(1);
	run_until(stats(0).peers == 1 && stats(1).sessions == 1);
}

// ---- by the configuration ----

static void session_becomes_a_peers_and_a_clients_again(void **state)
{
	(void)state;
	join(0, 1, true);
	serve(0);
	serve(1);
	start_clients();
	run_until(stats(0).peers == 1 && stats(1).sessions == 2);
	assert_false(reaches(0, 1));
	set_peer(1, 0, false);
	assert_int_equal(stats(1).peers, 1); // by the session that is there
	while (!reaches(0, 1)) // till the refusal is forgotten
		;
	assert_true(reaches(1, 0));
	set_no_peer(1);
	assert_int_equal(stats(1).peers, 0);
	assert_int_equal(mesh_sessions(1), 0);
	assert_int_equal(stats(1).sessions, 2);
	assert_int_equal(stats(1).streams, 2); // what is joined stays
	assert_false(reaches(0, 1));
	assert_false(reaches(1, 0));
	assert_int_equal(stats(0).peers, 1);
}

static void link_ends_with_its_peer(void **state)
{
	(void)state;
	start_two();
	assert_true(reaches(0, 1));
	assert_int_equal(mesh_sessions(0), 2);
	set_no_peer(0);
	assert_int_equal(mesh_sessions(0), 0);
	run_until(node[0].dialled.n_eof == 1 || node[0].dialled.err != 0);
	run_until(mesh_sessions(1) == 1); // its own link
	assert_false(reaches(0, 1));
	hang_up(0);
	set_peer(0, 1, true);
	run_until(stats(0).peers == 1);
	assert_true(reaches(0, 1));
}

// A client that takes streams and says nothing on them.
struct mute {
	struct dmsg_link *k;
	struct conn *stream;
	bool open;
};

static void mute_open(void *arg)
{
	((struct mute *)arg)->open = true;
}

static size_t mute_data(void *arg, uint8_t *p, size_t len)
{
	(void)arg, (void)p;
	return len;
}

static void mute_stream_end(void *arg, int err)
{
	(void)arg, (void)err;
}

static void mute_accept(void *arg, struct conn *c)
{
	static const struct conn_events ev = {.data = mute_data, .end = mute_stream_end};
	struct mute *mu = arg;

	assert_null(mu->stream);
	mu->stream = c;
	conn_set_events(c, &ev, mu);
}

static void mute_end(void *arg, int err)
{
	(void)arg, (void)err;
}

static const struct dmsg_link_events mute_events = {
	.open = mute_open, .accept = mute_accept, .end = mute_end};

// A request of a peer's client waits for its destination when the peer is none any more: when that
// breaks, nobody else is asked.
static void request_of_who_was_a_peer_asks_no_peer(void **state)
{
	struct dmsg_addr to = {*identity_pk(node[2].id), PORT};
	struct dmsg_link_conf c = {.sk = identity_sk(node[2].id),
		.pk = identity_pk(node[2].id),
		.server = identity_pk(srv[1].id)};
	char address[DMSG_SERVER_ADDRESS_LEN];
	struct mute mu = {0};

	(void)state;
	join(0, 1, true);
	join(1, 0, false);
	join(2, 1, false);
	for (unsigned i = 0; i < 3; i++)
		serve(i);
	start_client(0, 0);
	snprintf(address, sizeof(address), "127.0.0.1:%u", srv[1].port);
	mu.k = dmsg_link_dial(l, address, &c, &mute_events, &mu);
	assert_non_null(mu.k);
	run_until(stats(1).peers == 1 && sessions(0) == 1 && mu.open);
	assert_non_null(dmsg_client_dial(node[0].c, &to, LONG_MS, on_dialled, &node[0]));
	run_until(mu.stream != NULL);
	set_peer(1, 2, true);
	run_until(stats(1).peers == 1 && peers_of(1).n == 1);
	dmsg_link_close(mu.k);
	conn_close(mu.stream);
	run_until(node[0].n_dialled == 1);
	assert_int_not_equal(node[0].code, DMSG_OK);
	assert_int_equal(stats(1).c.dmsg_tried_again, 1);
	assert_int_equal(stats(1).c.dmsg_mesh_asked, 0);
}

// ---- places ----

struct names {
	unsigned named, gone;
};

static void note_named(void *arg, unsigned peer)
{
	(void)peer;
	((struct names *)arg)->named++;
}

static void note_gone(void *arg, unsigned peer)
{
	(void)peer;
	((struct names *)arg)->gone++;
}

static const struct dmsg_mesh_events names_events = {.named = note_named, .gone = note_gone};

static void places_are_limited_and_the_configurations_first(void **state)
{
	enum { MANY = DMSG_MESH_PEERS_MAX + 6 };
	static struct dmsg_entry e[MANY];
	struct dmsg_mesh_conf c = {.loop = l, .id = srv[0].id};
	struct dmsg_server_at own = {.pk = *identity_pk(srv[1].id), .address = "127.0.0.1:1"};
	struct dmsg_mesh_peer p;
	struct names n = {0};
	struct dmsg_mesh *m = dmsg_mesh_new(&c, &names_events, &n);
	uint64_t n_new = 0, n_full = 0;

	(void)state;
	assert_non_null(m);
	for (unsigned i = 0; i < MANY; i++) {
		struct identity *id = identity_of((uint8_t)(i + 1));

		e[i] = (struct dmsg_entry){.pk = *identity_pk(id), .is_server = true};
		snprintf(e[i].address, sizeof(e[i].address), "127.0.0.1:%u", i + 1);
		identity_free(id);
	}
	e[3].is_server = false;
	e[4].address[0] = '\0';
	dmsg_mesh_listed(m, e, MANY, &n_new, &n_full);
	assert_int_equal(n_new, DMSG_MESH_PEERS_MAX);
	assert_int_equal(n_full, MANY - 2 - DMSG_MESH_PEERS_MAX);
	assert_int_equal(dmsg_mesh_find(m, &e[3].pk), -1);
	assert_int_equal(dmsg_mesh_configure(m, &own, 1), 0);
	assert_true(dmsg_mesh_find(m, &own.pk) >= 0);
	assert_int_equal(n.named, DMSG_MESH_PEERS_MAX + 1);
	assert_int_equal(n.gone, 1);
	// one of the list that is configured now, and is not when it is not listed any more
	own.pk = e[0].pk;
	memcpy(own.address, e[0].address, sizeof(e[0].address));
	assert_int_equal(dmsg_mesh_configure(m, &own, 1), 0);
	dmsg_mesh_listed(m, &e[3], 1, &n_new, &n_full);
	assert_int_equal(n.named - n.gone, 1);
	assert_true(dmsg_mesh_get(m, (unsigned)dmsg_mesh_find(m, &own.pk), &p));
	assert_false(p.found);
	assert_int_equal(dmsg_mesh_configure(m, NULL, 0), 0);
	assert_int_equal(n.named, n.gone);
	dmsg_mesh_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup_disc, teardown_disc)
		T(listed_servers_are_joined),
		T(who_looks_takes_those_that_join),
		T(who_does_not_look_joins_nobody),
		T(unlisted_server_is_a_peer_until_its_link_is_over),
		T(discovery_that_fails_changes_nothing),
		T(moved_server_is_dialled_where_it_is),
		T(session_becomes_a_peers_and_a_clients_again),
		T(link_ends_with_its_peer),
		T(request_of_who_was_a_peer_asks_no_peer),
		T(places_are_limited_and_the_configurations_first),
#undef T
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
