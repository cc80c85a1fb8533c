// Clients and a server of ours over loopback sockets: streams by key and port, each refusal, and
// sessions that come back.
#include "tests/controlplane/dmsg/node_world.h"

// ---- streams ----

static void streams_carry_bytes_both_ways(void **state)
{
	(void)state;
	start_two(NULL);
	node[0].dialled = (struct end){.to_send = 3 * MIB, .bite = 5000};
	node[1].accepted = (struct end){.to_send = 2 * MIB, .bite = 999};
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].dialled.got == 2 * MIB && node[1].accepted.got == 3 * MIB);
	assert_false(node[0].dialled.wrong || node[1].accepted.wrong);
	assert_true(node[0].dialled.n_short > 0);
	assert_int_equal(key_pk_cmp(&node[1].from.pk, identity_pk(node[0].id)), 0);
	assert_int_equal(node[1].from.port, DMSG_CLIENT_PORT_FIRST + 1);
	assert_int_equal(stats().streams, 1);
	// the server passes the end on
	conn_shutdown(node[0].dialled.c);
	run_until(node[1].accepted.n_eof == 1 && node[0].dialled.n_eof == 1);
	run_until(stats().streams == 0);
	assert_int_equal(stats().c.dmsg_relayed, 1);
	assert_true(stats().c.dmsg_relayed_bytes > 5 * MIB);
}

static void client_reaches_itself(void **state)
{
	(void)state;
	start_server(NULL);
	start_client(0);
	node[0].dialled.to_send = node[0].accepted.to_send = MIB;
	listen_at(0, PORT);
	dial_to(0, 0, PORT, LONG_MS);
	run_until(node[0].dialled.got == MIB && node[0].accepted.got == MIB);
	assert_false(node[0].dialled.wrong || node[0].accepted.wrong);
}

static void refusals_reach_the_dialler(void **state)
{
	struct dmsg_client_stats st;

	(void)state;
	start_server(NULL);
	start_client(0);
	start_client(1);
	run_until(sessions(0) == 1 && sessions(1) == 1);
	dial_to(0, 1, PORT, LONG_MS); // nobody listens
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_ERR_RESP_REFUSED);
	assert_int_equal(stats().c.drop_dmsg_not_accepted, 1);
	dmsg_client_stats_get(node[1].c, &st);
	assert_int_equal(st.refused, 1);
	dial_to(0, 2, PORT, LONG_MS); // not there
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_ERR_RESP_REFUSED);
	assert_int_equal(stats().c.drop_dmsg_no_destination, 1);
	assert_int_equal(sessions(0), 1);
	assert_int_equal(sessions(1), 1);
}

// One stream to node 1, which cost so much; then the clock stands.
static void first_stream_costs(uint32_t us)
{
	start_server(NULL);
	start_client(0);
	node[1].c = dmsg_loop_client(node[1].id, identity_pk(server_id), server_port,
		(struct dmsg_client_conf){.taken_ms = TAKEN_MS, .stream_us = us});
	listen_at(1, PORT);
	run_until(sessions(0) == 1 && sessions(1) == 1);
	stop_clock();
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1 && node[1].n_accepted == 1);
}

// Whoever opens them: who that is, is not known before it has cost the curves.
static void streams_of_others_have_a_share_of_time(void **state)
{
	struct dmsg_client_stats st;

	(void)state;
	first_stream_costs(900000);
	assert_int_equal(node[0].code, DMSG_OK);
	// that server has had its part, not yet all of them
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_ERR_RESP_REFUSED);
	dmsg_client_stats_get(node[1].c, &st);
	assert_int_equal(st.over_load, 1);
	assert_int_equal(st.accepted, 1);
	stopped_ns += CLOCK_NS_PER_S; // of the 2.25 that the first one costs
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_OK);
	dmsg_client_stats_get(node[1].c, &st);
	assert_int_equal(st.over_load, 1);
	assert_int_equal(st.accepted, 2);
}

static void a_thread_has_one_share_whoever_is_asked(void **state)
{
	(void)state;
	first_stream_costs(1000000);
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_ERR_RESP_REFUSED);
	assert_int_equal(stats().c.drop_dmsg_load, 1); // it is the client that spent it
}

static void dial_without_a_server_ends_in_time(void **state)
{
	(void)state;
	start_client_at(0, identity_pk(server_id), 9);
	dial_to(0, 1, PORT, 30);
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_ERR_NO_SERVER_REACHED);
}

static void each_failure_of_a_dial_has_its_words(void **state)
{
	static const struct {
		enum dmsg_err code;
		int err;
		const char *says;
	} t[] = {
		{DMSG_ERR_NO_SERVER_REACHED, 0, "no session to any server (dmsg"},
		{DMSG_ERR_NO_ENTRY, 0, "no discovery has an entry"},
		{DMSG_ERR_NOT_CLIENT, 0, "is a server's"},
		{DMSG_ERR_NO_DELEGATED, 0, "names no server"},
		{DMSG_ERR_RESP_REFUSED, 0,
			"refused: nobody listens on that port there, or no server"},
		{DMSG_ERR_NO_CAPACITY, 0, "refused: relay capacity used up (dmsg code 308)"},
		{DMSG_ERR_NO_LISTENER, 0, "refused: nobody listens on that port (dmsg code 306)"},
		{DMSG_ERR_RESP_SIGNATURE, 0, "an answer of no use: response has a bad signature"},
		{DMSG_ERR_NOISE, 0, "an answer of no use: "},
		{DMSG_OK, -ETIMEDOUT, "no answer in time"},
		{DMSG_OK, -ECONNRESET, "the session to the server broke: Connection reset"},
	};
	char why[DMSG_CLIENT_WHY_LEN + 1];

	(void)state;
	start_server(NULL);
	start_client(0);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		memset(why, 'x', sizeof(why));
		dmsg_client_dial_text(node[0].c, t[i].code, t[i].err, why, DMSG_CLIENT_WHY_LEN);
		if (strstr(why, t[i].says) == NULL || strlen(why) > DMSG_CLIENT_WHY_LEN - 2)
			fail_msg("%u %d: %s", t[i].code, t[i].err, why);
	}
	run_until(sessions(0) == 1);
	dmsg_client_dial_text(node[0].c, DMSG_ERR_NO_SERVER_REACHED, 0, why, sizeof(why));
	assert_non_null(strstr(why, "no server of the destination could be reached"));
}

static void count_stream(void *arg, const struct dmsg_conn_info *info)
{
	assert_true(info->since_ns > 0);
	*(uint16_t *)arg = info->port;
}

static void ports_are_used_once(void **state)
{
	struct dmsg_addr bad = {*identity_pk(node[1].id), 0};
	uint16_t port = 0;

	(void)state;
	start_server(NULL);
	start_client(0);
	listen_at(0, PORT);
	assert_null(dmsg_client_listen(node[0].c, PORT, on_accepted, &node[0]));
	assert_int_equal(errno, EADDRINUSE);
	assert_null(dmsg_client_listen(node[0].c, 0, on_accepted, &node[0]));
	assert_int_equal(errno, EINVAL);
	assert_null(dmsg_client_dial(node[0].c, &bad, LONG_MS, on_dialled, &node[0]));
	assert_int_equal(errno, EINVAL);
	dial_to(0, 0, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1 && node[0].n_accepted == 1);
	end_close(&node[0].accepted);
	dmsg_client_each_stream(node[0].c, count_stream, &port);
	assert_int_equal(port, DMSG_CLIENT_PORT_FIRST + 1);
	assert_null(dmsg_client_listen(node[0].c, port, on_accepted, &node[0]));
	end_close(&node[0].dialled);
	dmsg_client_unlisten(node[0].li);
	node[0].li = dmsg_client_listen(node[0].c, port, on_accepted, &node[0]);
	assert_non_null(node[0].li);
}

static void cancelled_dial_is_silent(void **state)
{
	struct dmsg_addr a = {*identity_pk(node[1].id), PORT};
	struct dmsg_client_dial *d;

	(void)state;
	start_two(NULL);
	d = dmsg_client_dial(node[0].c, &a, LONG_MS, on_dialled, &node[0]);
	run_until(stats().c.dmsg_relayed == 1); // the answer is under way
	dmsg_client_dial_cancel(d);
	run_until(node[1].accepted.n_eof == 1);
	assert_int_equal(node[0].n_dialled, 0);
}

// ---- sessions ----

static void on_pong(void *arg, const struct key_pk *pk, uint64_t rtt_ns, int err)
{
	struct node *n = arg;

	assert_int_equal(key_pk_cmp(pk, identity_pk(server_id)), 0);
	assert_true(err != 0 || rtt_ns > 0);
	n->n_pong++;
	n->ping_err = err;
}

static void pings_measure_or_end(void **state)
{
	(void)state;
	start_server(NULL);
	start_client(0);
	assert_null(dmsg_client_ping(node[0].c, NULL, LONG_MS, on_pong, &node[0]));
	assert_int_equal(errno, ENOTCONN);
	assert_null(
		dmsg_client_ping(node[0].c, identity_pk(node[1].id), LONG_MS, on_pong, &node[0]));
	assert_int_equal(errno, ENOENT);
	run_until(sessions(0) == 1);
	assert_non_null(dmsg_client_ping(node[0].c, NULL, LONG_MS, on_pong, &node[0]));
	assert_non_null(
		dmsg_client_ping(node[0].c, identity_pk(server_id), LONG_MS, on_pong, &node[0]));
	run_until(node[0].n_pong == 2);
	assert_int_equal(node[0].ping_err, 0);
	assert_non_null(dmsg_client_ping(node[0].c, NULL, LONG_MS, on_pong, &node[0]));
	dmsg_server_free(server);
	server = NULL;
	run_until(node[0].n_pong == 3);
	assert_int_not_equal(node[0].ping_err, 0);
}

static void on_ip(void *arg, const uint8_t *ip, size_t len, enum dmsg_err code, int err)
{
	static const uint8_t ours[4] = {127, 0, 0, 1};
	struct node *n = arg;

	n->n_pong++;
	n->ping_err = err;
	if (err != 0)
		return;
	assert_int_equal(code, DMSG_OK);
	assert_int_equal(len, sizeof(ours));
	assert_memory_equal(ip, ours, sizeof(ours));
}

static void servers_tell_where_we_are(void **state)
{
	struct dmsg_stream_dial *ask;

	(void)state;
	start_server(NULL);
	start_client(0);
	assert_null(dmsg_client_ask_ip(node[0].c, NULL, LONG_MS, on_ip, &node[0]));
	assert_int_equal(errno, ENOTCONN);
	assert_null(
		dmsg_client_ask_ip(node[0].c, identity_pk(node[1].id), LONG_MS, on_ip, &node[0]));
	assert_int_equal(errno, ENOENT);
	assert_null(
		dmsg_client_ask_ip(node[0].c, identity_pk(server_id), LONG_MS, on_ip, &node[0]));
	assert_int_equal(errno, ENOTCONN);
	run_until(sessions(0) == 1);
	assert_non_null(dmsg_client_ask_ip(node[0].c, NULL, LONG_MS, on_ip, &node[0]));
	run_until(node[0].n_pong == 1);
	assert_int_equal(node[0].ping_err, 0);
	ask = dmsg_client_ask_ip(node[0].c, identity_pk(server_id), LONG_MS, on_ip, &node[0]);
	assert_non_null(ask);
	dmsg_stream_dial_cancel(ask);
	assert_non_null(dmsg_client_ask_ip(node[0].c, NULL, LONG_MS, on_ip, &node[0]));
	dmsg_server_free(server);
	server = NULL;
	run_until(node[0].n_pong == 2);
	assert_int_not_equal(node[0].ping_err, 0);
}

static void sessions_come_back(void **state)
{
	struct dmsg_client_stats st;

	(void)state;
	start_two(NULL);
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1 && node[0].dialled.c != NULL);
	dmsg_server_free(server);
	server = NULL;
	run_until(node[0].dialled.err != 0 && node[1].accepted.err != 0);
	end_close(&node[0].dialled);
	end_close(&node[1].accepted);
	node[0].dialled = (struct end){.to_send = 1000};
	node[1].accepted = (struct end){.to_send = 1000};
	run_until(sessions(0) == 0 && sessions(1) == 0);
	start_server(NULL);
	run_until(sessions(1) == 1);
	dial_to(0, 1, PORT, LONG_MS); // waits for the session
	run_until(node[0].dialled.got == 1000 && node[1].accepted.got == 1000);
	dmsg_client_stats_get(node[0].c, &st);
	assert_int_equal(st.sessions_opened, 2);
	assert_int_equal(st.sessions_lost, 1);
}

static void server_with_another_key_is_refused(void **state)
{
	struct dmsg_client_stats st = {0};

	(void)state;
	start_server(NULL);
	start_client_at(0, identity_pk(node[1].id), server_port);
	run_until((dmsg_client_stats_get(node[0].c, &st), st.sessions_failed >= 2));
	assert_int_equal(st.sessions_opened, 0);
	assert_int_equal(stats().c.dmsg_sessions_opened, 0);
	assert_true(stats().c.drop_dmsg_shakes > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(streams_carry_bytes_both_ways),
		T(client_reaches_itself),
		T(refusals_reach_the_dialler),
		T(streams_of_others_have_a_share_of_time),
		T(a_thread_has_one_share_whoever_is_asked),
		T(dial_without_a_server_ends_in_time),
		T(each_failure_of_a_dial_has_its_words),
		T(ports_are_used_once),
		T(cancelled_dial_is_silent),
		T(pings_measure_or_end),
		T(servers_tell_where_we_are),
		T(sessions_come_back),
		T(server_with_another_key_is_refused),
#undef T
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
