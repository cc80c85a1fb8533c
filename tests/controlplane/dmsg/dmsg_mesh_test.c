// Servers of ours joined as peers: who reaches whom, one hop and no more, which peer is asked, and
// what is left when one of them goes.
#include "tests/controlplane/dmsg/mesh_world.h"

// ---- who reaches whom ----

static void clients_of_peers_reach_each_other(void **state)
{
	(void)state;
	start_two();
	node[0].dialled = (struct end){.to_send = 3 * MIB, .bite = 5000};
	node[1].accepted = (struct end){.to_send = 2 * MIB, .bite = 999};
	assert_true(reaches(0, 1));
	run_until(node[0].dialled.got == 2 * MIB && node[1].accepted.got == 3 * MIB);
	assert_false(node[0].dialled.wrong || node[1].accepted.wrong);
	assert_int_equal(stats(0).c.dmsg_mesh_out, 1);
	assert_int_equal(stats(0).c.dmsg_mesh_in, 0);
	assert_int_equal(stats(1).c.dmsg_mesh_in, 1);
	assert_int_equal(stats(1).c.dmsg_mesh_out, 0);
	listen_at(0, PORT);
	assert_true(reaches(1, 0));
	hang_up(0);
	run_until(node[1].accepted.n_eof == 1);
	run_until(stats(0).streams == 1 && stats(1).streams == 1);
}

// 0 - 1 - 2: what 1 gets from 0 goes to its own clients only.
static void one_hop_and_no_further(void **state)
{
	(void)state;
	join(0, 1, true);
	join(1, 0, true);
	join(1, 2, true);
	join(2, 1, true);
	for (unsigned i = 0; i < 3; i++)
		serve(i);
	for (unsigned i = 0; i < 3; i++)
		start_client(i, i);
	listen_at(2, PORT);
	run_until(stats(0).peers == 1 && stats(1).peers == 2 && stats(2).peers == 1 &&
		  sessions(0) == 1 && sessions(1) == 1 && sessions(2) == 1);
	assert_false(reaches(0, 2));
	assert_int_equal(node[0].code, DMSG_ERR_RESP_REFUSED);
	assert_int_equal(stats(0).c.dmsg_mesh_asked, 1);
	assert_int_equal(stats(0).c.drop_dmsg_no_destination, 1);
	assert_int_equal(stats(1).c.drop_dmsg_no_destination, 1);
	assert_int_equal(stats(1).c.dmsg_mesh_asked, 0);
	assert_int_equal(stats(2).c.dmsg_relayed, 0);
	assert_true(reaches(1, 2));
}

// Nobody has the key: each of four servers, all joined, is asked once and asks nobody.
static void absent_key_goes_round_no_circle(void **state)
{
	(void)state;
	for (unsigned i = 0; i < N_SERVERS; i++)
		for (unsigned k = 0; k < N_SERVERS; k++)
			if (k != i)
				join(i, k, true);
	for (unsigned i = 0; i < N_SERVERS; i++)
		serve(i);
	start_client(0, 0);
	run_until(stats(0).peers == 3 && sessions(0) == 1);
	assert_false(reaches(0, 1));
	assert_int_equal(stats(0).c.dmsg_mesh_asked, 3);
	assert_int_equal(stats(0).c.dmsg_mesh_refused, 3);
	for (unsigned i = 1; i < N_SERVERS; i++) {
		assert_int_equal(stats(i).c.dmsg_mesh_asked, 0);
		assert_int_equal(stats(i).c.drop_dmsg_no_destination, 1);
	}
	// asked again at once, nobody is bothered
	assert_false(reaches(0, 1));
	assert_int_equal(stats(0).c.dmsg_mesh_asked, 3);
	assert_int_equal(stats(0).c.drop_dmsg_no_destination, 2);
}

// The peer that is to dial us may be asked over the link that it made.
static void peer_without_address_is_asked_by_its_own_link(void **state)
{
	(void)state;
	join(0, 1, true);
	join(1, 0, false);
	serve(0);
	serve(1);
	start_client(0, 0);
	start_client(1, 1);
	listen_at(0, PORT);
	listen_at(1, PORT);
	run_until(
		stats(0).peers == 1 && stats(1).peers == 1 && sessions(0) == 1 && sessions(1) == 1);
	assert_true(reaches(0, 1));
	assert_true(reaches(1, 0));
	assert_int_equal(stats(1).c.dmsg_mesh_out, 1);
	assert_int_equal(stats(0).c.dmsg_mesh_in, 1);
}

// ---- who may ----

// Server 0 calls server 1 its peer, who knows nothing of that: foreign sources are refused there.
static void stranger_carries_no_foreign_source(void **state)
{
	(void)state;
	join(0, 1, true);
	serve(0);
	serve(1);
	start_client(0, 0);
	start_client(1, 1);
	listen_at(1, PORT);
	run_until(stats(0).peers == 1 && sessions(0) == 1 && sessions(1) == 1);
	assert_false(reaches(0, 1));
	assert_int_equal(stats(1).c.drop_dmsg_bad_requests, 1);
	assert_int_equal(stats(1).c.dmsg_relayed, 0);
	assert_int_equal(stats(0).c.dmsg_mesh_refused, 1);
}

static void own_key_and_double_keys_are_no_peers(void **state)
{
	struct sockaddr_in sa = loopback(0);
	struct dmsg_server_at peers[2] = {{.pk = *identity_pk(srv[0].id)}};
	struct dmsg_server_conf c = {.loop = l,
		.id = srv[0].id,
		.sessions_max = 1,
		.session_streams = 1,
		.streams_max = 1,
		.peers = peers,
		.n_peers = 1,
		.listen = (const struct sockaddr *)&sa};

	(void)state;
	assert_null(dmsg_server_new(&c));
	assert_int_equal(errno, EINVAL);
	peers[0].pk = peers[1].pk = *identity_pk(srv[1].id);
	c.n_peers = 2;
	assert_null(dmsg_server_new(&c));
	assert_int_equal(errno, EINVAL);
	c.n_peers = DMSG_MESH_PEERS_MAX + 1;
	assert_null(dmsg_server_new(&c));
	assert_int_equal(errno, EINVAL);
}

// A full server still takes its peers.
static void full_server_takes_its_peers(void **state)
{
	(void)state;
	join(0, 1, true);
	join(1, 0, false);
	serve_with(1, (struct dmsg_server_conf){.sessions_max = 1});
	start_client(1, 1);
	run_until(sessions(1) == 1);
	serve(0);
	run_until(stats(0).peers == 1 && stats(1).peers == 1);
	start_client(2, 1);
	run_until(stats(1).c.drop_dmsg_sessions >= 1);
	assert_int_equal(sessions(1), 1);
}

// ---- which peer ----

// Server 1 has not the client, server 2 has it: the next is asked, and first the next time.
static void next_peer_serves_and_is_remembered(void **state)
{
	(void)state;
	join(0, 1, true);
	join(0, 2, true);
	join(1, 0, false);
	join(2, 0, false);
	for (unsigned i = 0; i < 3; i++)
		serve(i);
	start_client(0, 0);
	start_client(1, 2);
	listen_at(1, PORT);
	run_until(stats(0).peers == 2 && sessions(0) == 1 && sessions(1) == 1);
	assert_true(reaches(0, 1));
	assert_int_equal(stats(0).c.dmsg_mesh_refused, 1);
	assert_int_equal(stats(1).c.drop_dmsg_no_destination, 1);
	assert_int_equal(stats(2).c.dmsg_mesh_in, 1);
	assert_true(reaches(0, 1));
	assert_int_equal(stats(0).c.dmsg_mesh_asked, 3);
	assert_int_equal(stats(1).c.drop_dmsg_no_destination, 1);
	// it moves to server 1
	dmsg_client_unlisten(node[1].li);
	end_close(&node[1].accepted);
	hang_up(0);
	dmsg_client_free(node[1].c);
	run_until(stats(2).sessions == 1); // server 0
	start_client(1, 1);
	listen_at(1, PORT);
	run_until(sessions(1) == 1);
	for (bool there = false; !there;) // till the refusal is forgotten
		there = reaches(0, 1);
	assert_int_equal(stats(1).c.dmsg_mesh_in, 1);
}

// Each absent key costs the peers a question: who has many is stopped here, and nobody else.
static void questions_of_one_client_are_limited(void **state)
{
	(void)state;
	mesh_burst = 1;
	start_two();
	start_client(2, 0);
	run_until(sessions(2) == 1);
	assert_true(reaches(0, 1));
	while (stats(0).c.drop_dmsg_mesh_rate == 0)
		reaches(0, 1);
	assert_int_equal(node[0].code, DMSG_ERR_RESP_REFUSED);
	assert_int_equal(stats(0).c.drop_dmsg_no_destination, 0);
	assert_true(reaches(2, 1));
	while (!reaches(0, 1)) // the budget comes back
		;
}

// The client's own server is asked before any peer.
static void local_client_asks_no_peer(void **state)
{
	(void)state;
	start_two();
	start_client(2, 0);
	listen_at(2, PORT);
	run_until(sessions(2) == 1);
	assert_true(reaches(0, 2));
	assert_int_equal(stats(0).c.dmsg_mesh_asked, 0);
	// nobody listens there: that is the client's word, and no peer is asked for another
	dmsg_client_unlisten(node[2].li);
	node[2].li = NULL;
	assert_false(reaches(0, 2));
	assert_int_equal(stats(0).c.dmsg_mesh_asked, 0);
	assert_int_equal(stats(0).c.drop_dmsg_not_accepted, 1);
}

// ---- peers that go and come ----

static void peer_that_ends_is_dialled_again(void **state)
{
	(void)state;
	start_two();
	assert_true(reaches(0, 1));
	unserve(1);
	run_until(node[0].dialled.err != 0 || node[0].dialled.n_eof == 1);
	run_until(stats(0).peers == 0 && stats(0).streams == 0);
	hang_up(0);
	assert_false(reaches(0, 1));
	serve(1);
	run_until(stats(0).peers == 1 && stats(1).peers == 1 && sessions(1) == 1);
	assert_true(reaches(0, 1));
	assert_int_equal(stats(0).c.dmsg_mesh_out, 2);
}

// A peer that never answers: it takes streams and is silent.
struct silent {
	struct dmsg_link *k;
	struct conn_listener *cl;
	struct conn *streams[8];
	unsigned n;
	bool end_link; // at the first stream
};

static size_t silent_data(void *arg, uint8_t *p, size_t len)
{
	struct silent *si = arg;

	(void)p;
	if (si->end_link) {
		dmsg_link_close(si->k);
		si->k = NULL;
	}
	return len;
}

static void silent_stream_end(void *arg, int err)
{
	(void)arg, (void)err;
}

static const struct conn_events silent_events = {.data = silent_data, .end = silent_stream_end};

static void silent_accept(void *arg, struct conn *c)
{
	struct silent *si = arg;

	assert_true(si->n < ARRAY_LEN(si->streams));
	si->streams[si->n++] = c;
	conn_set_events(c, &silent_events, si);
}

static void silent_open(void *arg)
{
	(void)arg;
}

static void silent_end(void *arg, int err)
{
	struct silent *si = arg;

	(void)err;
	dmsg_link_close(si->k);
	si->k = NULL;
}

static const struct dmsg_link_events silent_link_events = {
	.open = silent_open, .accept = silent_accept, .end = silent_end};

static void silent_connection(void *arg, struct conn *c, const struct sockaddr_storage *from)
{
	struct silent *si = arg;
	struct dmsg_link_conf lc = {.sk = identity_sk(srv[1].id),
		.pk = identity_pk(srv[1].id),
		.mux = DMSG_LINK_BY_FIRST_BYTE};

	(void)from;
	if (si->k != NULL) {
		conn_close(c);
		return;
	}
	si->k = dmsg_link_new(l, c, &lc, &silent_link_events, si);
	assert_non_null(si->k);
}

static void silent_start(struct silent *si)
{
	struct sockaddr_in sa = loopback(srv[1].port);

	si->cl = conn_listen(l, (const struct sockaddr *)&sa, NULL, silent_connection, si);
	assert_non_null(si->cl);
	join(0, 1, true);
	join(0, 2, true);
	join(2, 0, false);
	serve(0);
	serve(2);
	start_client(0, 0);
	start_client(1, 2);
	listen_at(1, PORT);
	run_until(stats(0).peers == 2 && sessions(0) == 1 && sessions(1) == 1);
}

static void silent_fini(struct silent *si)
{
	for (unsigned i = 0; i < si->n; i++)
		conn_close(si->streams[i]);
	dmsg_link_close(si->k);
	conn_listener_close(si->cl);
}

static void silent_peer_lets_the_next_serve(void **state)
{
	struct silent si = {0};

	(void)state;
	silent_start(&si);
	assert_true(reaches(0, 1)); // after PEER_TRY_MS
	assert_int_equal(si.n, 1);
	assert_int_equal(stats(0).c.dmsg_mesh_out, 1);
	assert_int_equal(stats(2).c.dmsg_mesh_in, 1);
	silent_fini(&si);
}

static void peer_that_breaks_lets_the_next_serve(void **state)
{
	struct silent si = {.end_link = true};

	(void)state;
	silent_start(&si);
	assert_true(reaches(0, 1));
	assert_int_equal(si.n, 1);
	assert_int_equal(stats(0).c.dmsg_tried_again, 1);
	assert_int_equal(stats(0).c.dmsg_mesh_out, 1);
	silent_fini(&si);
}

// ---- lists ----

static void note_session(void *arg, const struct dmsg_server_session *se)
{
	unsigned *n = arg;

	assert_true(se->dialled ? se->address[0] != '\0' : se->address[0] == '\0');
	n[se->mesh ? (se->dialled ? 0 : 1) : 2]++;
}

static void note_peer(void *arg, const struct dmsg_mesh_peer *p)
{
	assert_int_equal(p->state, DMSG_LINK_OPEN);
	assert_int_equal(key_pk_cmp(&p->pk, identity_pk(srv[1].id)), 0);
	assert_int_equal(p->opened, 1);
	++*(unsigned *)arg;
}

static void lists_tell_peers_from_clients(void **state)
{
	unsigned n[3] = {0}, n_peers = 0;

	(void)state;
	start_two();
	run_until(stats(0).sessions == 2);
	dmsg_server_each_session(srv[0].s, note_session, n);
	assert_int_equal(n[0], 1);
	assert_int_equal(n[1], 1);
	assert_int_equal(n[2], 1);
	dmsg_server_each_peer(srv[0].s, note_peer, &n_peers);
	assert_int_equal(n_peers, 1);
}

static void on_peer(void *arg, unsigned peer)
{
	(void)arg, (void)peer;
}

static void what_a_peer_had_is_not_said_of_the_next_of_its_number(void **state)
{
	static const struct dmsg_mesh_events events = {.named = on_peer, .gone = on_peer};
	struct dmsg_mesh_conf c = {.loop = l, .id = srv[0].id};
	struct dmsg_server_at at[2] = {
		{.pk = *identity_pk(srv[1].id)}, {.pk = *identity_pk(srv[2].id)}};
	const struct key_pk *pk = identity_pk(node[0].id);
	struct dmsg_mesh *m = dmsg_mesh_new(&c, &events, NULL);

	(void)state;
	assert_non_null(m);
	assert_int_equal(dmsg_mesh_configure(m, at, 2), 0);
	dmsg_mesh_said(m, pk, 1, true);
	assert_int_equal(dmsg_mesh_next(m, pk, 3), 1);
	at[1].pk = *identity_pk(srv[3].id);
	assert_int_equal(dmsg_mesh_configure(m, at, 2), 0);
	assert_int_equal(dmsg_mesh_find(m, &at[1].pk), 1);
	assert_int_equal(dmsg_mesh_next(m, pk, 3), 0);
	dmsg_mesh_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(clients_of_peers_reach_each_other),
		T(one_hop_and_no_further),
		T(absent_key_goes_round_no_circle),
		T(peer_without_address_is_asked_by_its_own_link),
		T(stranger_carries_no_foreign_source),
		T(own_key_and_double_keys_are_no_peers),
		T(full_server_takes_its_peers),
		T(next_peer_serves_and_is_remembered),
		T(questions_of_one_client_are_limited),
		T(local_client_asks_no_peer),
		T(peer_that_ends_is_dialled_again),
		T(silent_peer_lets_the_next_serve),
		T(peer_that_breaks_lets_the_next_serve),
		T(what_a_peer_had_is_not_said_of_the_next_of_its_number),
		T(lists_tell_peers_from_clients),
#undef T
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
