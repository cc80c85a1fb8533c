// Clients and a server of ours over loopback sockets: streams by key and port, each refusal, limits
// of the server, and sessions that come back.
#include "controlplane/dmsg/dmsg_client.h"
#include "controlplane/dmsg/dmsg_server.h"
#include "controlplane/dmsg/dmsg_stream.h"
#include "tests/controlplane/core/conn_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>

#include "lib/base/err.h"
#include "lib/base/log.h"

enum { MIB = 1 << 20, N_CLIENTS = 6, PORT = 46, LONG_MS = 30000, RETRY_MS = 5 };

struct node {
	struct identity *id;
	struct dmsg_client *c;
	struct dmsg_client_listener *li;
	struct end dialled, accepted;
	struct dmsg_addr from;
	unsigned n_dialled, n_accepted, n_pong;
	enum dmsg_err code;
	int err, ping_err;
};

static struct node node[N_CLIENTS];
static struct identity *server_id;
static struct dmsg_server *server;
static uint16_t server_port;

static struct identity *identity_of(uint8_t n)
{
	struct key_sk sk = {{0}};
	struct identity *id;

	sk.b[31] = n;
	id = identity_from_sk(&sk);
	assert_non_null(id);
	return id;
}

static void start_server(const struct dmsg_server_conf *limits)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(server_port)};
	struct dmsg_server_conf c = {
		.sessions_max = 100, .session_streams = 100, .streams_max = 100};

	if (limits != NULL)
		c = *limits;
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c.loop = l;
	c.id = server_id;
	c.listen = (const struct sockaddr *)&sa;
	server = dmsg_server_new(&c);
	assert_non_null(server);
	server_port = dmsg_server_port(server);
}

static void start_client_at(unsigned i, const struct key_pk *pk, uint16_t port)
{
	struct dmsg_client_server_conf sc = {.pk = *pk};
	struct dmsg_client_conf c = {.loop = l,
		.id = node[i].id,
		.servers = &sc,
		.n_servers = 1,
		.retry_min_ms = RETRY_MS};

	snprintf(sc.address, sizeof(sc.address), "127.0.0.1:%u", port);
	node[i].c = dmsg_client_new(&c);
	assert_non_null(node[i].c);
}

static void start_client(unsigned i)
{
	start_client_at(i, identity_pk(server_id), server_port);
}

static unsigned sessions(unsigned i)
{
	struct dmsg_client_stats st;

	dmsg_client_stats_get(node[i].c, &st);
	return st.sessions;
}

static struct dmsg_server_stats stats(void)
{
	struct dmsg_server_stats st;

	dmsg_server_stats_get(server, &st);
	return st;
}

static void on_accepted(void *arg, struct conn *c, const struct dmsg_addr *from)
{
	struct node *n = arg;

	n->n_accepted++;
	n->from = *from;
	end_close(&n->accepted);
	n->accepted.c = c;
	conn_set_events(c, &end_events, &n->accepted);
	end_send(&n->accepted);
}

static void on_dialled(void *arg, struct conn *c, enum dmsg_err code, int err)
{
	struct node *n = arg;

	n->n_dialled++;
	n->code = code;
	n->err = err;
	if (c == NULL)
		return;
	n->dialled.c = c;
	conn_set_events(c, &end_events, &n->dialled);
	end_send(&n->dialled);
}

static void listen_at(unsigned i, uint16_t port)
{
	node[i].li = dmsg_client_listen(node[i].c, port, on_accepted, &node[i]);
	assert_non_null(node[i].li);
}

static void dial_to(unsigned from, unsigned to, uint16_t port, uint32_t timeout_ms)
{
	struct dmsg_addr a = {*identity_pk(node[to].id), port};

	node[from].n_dialled = 0;
	assert_non_null(dmsg_client_dial(node[from].c, &a, timeout_ms, on_dialled, &node[from]));
}

static int setup(void **state)
{
	setup_loop(state);
	log_level_set("all", LOG_ERR);
	memset(node, 0, sizeof(node));
	server_port = 0;
	server_id = identity_of(99);
	for (unsigned i = 0; i < N_CLIENTS; i++)
		node[i].id = identity_of((uint8_t)(i + 1));
	return 0;
}

static int teardown(void **state)
{
	for (unsigned i = 0; i < N_CLIENTS; i++) {
		dmsg_client_unlisten(node[i].li);
		end_close(&node[i].dialled);
		end_close(&node[i].accepted);
		dmsg_client_free(node[i].c);
		identity_free(node[i].id);
	}
	dmsg_server_free(server);
	server = NULL;
	identity_free(server_id);
	return teardown_loop(state);
}

// ---- streams ----

static void streams_carry_bytes_both_ways(void **state)
{
	(void)state;
	start_server(NULL);
	start_client(0);
	start_client(1);
	node[0].dialled = (struct end){.to_send = 3 * MIB, .bite = 5000};
	node[1].accepted = (struct end){.to_send = 2 * MIB, .bite = 999};
	run_until(sessions(1) == 1);
	listen_at(1, PORT);
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

static void dial_without_a_server_ends_in_time(void **state)
{
	(void)state;
	start_client_at(0, identity_pk(server_id), 9);
	dial_to(0, 1, PORT, 30);
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_ERR_NO_SERVER_REACHED);
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
	start_server(NULL);
	start_client(0);
	start_client(1);
	listen_at(1, PORT);
	run_until(sessions(0) == 1 && sessions(1) == 1);
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
	static const uint8_t loopback[4] = {127, 0, 0, 1};
	struct node *n = arg;

	n->n_pong++;
	n->ping_err = err;
	if (err != 0)
		return;
	assert_int_equal(code, DMSG_OK);
	assert_int_equal(len, sizeof(loopback));
	assert_memory_equal(ip, loopback, sizeof(loopback));
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
	start_server(NULL);
	start_client(0);
	start_client(1);
	listen_at(1, PORT);
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

// ---- limits of the server ----

static void sessions_of_one_key_are_limited(void **state)
{
	struct dmsg_server_conf c = {
		.sessions_max = 10, .session_streams = 10, .streams_max = 10, .per_key = 2};
	struct dmsg_client *more[2];
	struct dmsg_client *first;

	(void)state;
	start_server(&c);
	start_client(0);
	first = node[0].c;
	run_until(sessions(0) == 1);
	for (unsigned i = 0; i < 2; i++) {
		start_client(0);
		more[i] = node[0].c;
		run_until(sessions(0) == 1);
	}
	node[0].c = first;
	run_until(stats().c.dmsg_sessions_replaced >= 1);
	assert_true(stats().sessions <= 2);
	for (unsigned i = 0; i < 2; i++)
		dmsg_client_free(more[i]);
}

static void sessions_are_limited(void **state)
{
	struct dmsg_server_conf c = {.sessions_max = 1, .session_streams = 10, .streams_max = 10};

	(void)state;
	start_server(&c);
	start_client(0);
	run_until(sessions(0) == 1);
	start_client(1);
	run_until(stats().c.drop_dmsg_sessions >= 2);
	assert_int_equal(stats().sessions, 1);
	assert_int_equal(sessions(0), 1);
}

static void streams_are_limited(void **state)
{
	struct dmsg_server_conf c = {.sessions_max = 9, .session_streams = 10, .streams_max = 1};

	(void)state;
	start_server(&c);
	start_client(0);
	start_client(1);
	listen_at(1, PORT);
	run_until(sessions(0) == 1 && sessions(1) == 1);
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1 && stats().streams == 1);
	dial_to(1, 0, PORT, LONG_MS);
	run_until(node[1].n_dialled == 1);
	assert_int_equal(node[1].code, DMSG_ERR_RESP_REFUSED);
	assert_int_equal(stats().c.drop_dmsg_no_capacity, 1);
	assert_int_equal(stats().streams, 1);
}

// What others dial to a client does not count against it.
static void streams_of_one_client_are_limited(void **state)
{
	struct dmsg_server_conf c = {
		.sessions_max = 9, .session_streams = 10, .streams_max = 10, .client_streams = 1};

	(void)state;
	start_server(&c);
	start_client(0);
	start_client(1);
	listen_at(0, PORT);
	listen_at(1, PORT);
	run_until(sessions(0) == 1 && sessions(1) == 1);
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1 && stats().streams == 1);
	end_close(&node[1].dialled);
	dial_to(1, 0, PORT, LONG_MS);
	run_until(node[1].n_dialled == 1 && stats().streams == 2);
	dial_to(0, 1, PORT + 1, LONG_MS);
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_ERR_RESP_REFUSED);
	assert_int_equal(stats().c.drop_dmsg_client, 1);
	end_close(&node[0].dialled); // the number is given back
	run_until(stats().streams == 1);
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_OK);
}

// A second client with the key: streams come to it, the first one goes on with what it has.
static void newest_session_of_a_key_takes_streams(void **state)
{
	struct dmsg_client *first;
	struct dmsg_client_listener *first_li;

	(void)state;
	start_server(NULL);
	start_client(0);
	start_client(1);
	listen_at(0, PORT);
	listen_at(1, PORT);
	run_until(sessions(0) == 1 && sessions(1) == 1);
	node[0].dialled = (struct end){.to_send = MIB};
	node[1].accepted = (struct end){.to_send = MIB};
	dial_to(0, 1, PORT, LONG_MS);
	run_until(stats().streams == 1);
	first = node[0].c;
	first_li = node[0].li;
	start_client(0);
	listen_at(0, PORT);
	run_until(sessions(0) == 1);
	dial_to(1, 0, PORT, LONG_MS);
	run_until(node[1].n_dialled == 1 && node[0].n_accepted == 1);
	assert_int_equal(node[1].code, DMSG_OK);
	run_until(node[0].dialled.got == MIB && node[1].accepted.got == MIB);
	// the newest goes: streams come to the older one again
	end_close(&node[1].dialled);
	dmsg_client_unlisten(node[0].li);
	end_close(&node[0].accepted);
	dmsg_client_free(node[0].c);
	node[0].c = first;
	node[0].li = first_li;
	run_until(stats().sessions == 2);
	dial_to(1, 0, PORT, LONG_MS);
	run_until(node[1].n_dialled == 1);
	assert_int_equal(node[1].code, DMSG_OK);
	assert_int_equal(node[0].n_accepted, 2);
}

static void serving_ends_for_good(void **state)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};

	(void)state;
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	start_server(NULL);
	start_client(0);
	run_until(sessions(0) == 1);
	assert_int_equal(dmsg_server_serve(server, (struct sockaddr *)&sa), -EALREADY);
	dmsg_server_close(server);
	assert_int_equal(stats().sessions, 0);
	assert_int_equal(dmsg_server_port(server), 0);
	dmsg_server_close(server);
	assert_int_equal(dmsg_server_serve(server, (struct sockaddr *)&sa), -ESHUTDOWN);
	run_until(sessions(0) == 0);
	assert_int_equal(stats().c.dmsg_sessions_opened, 1);
}

static void limits_of_nothing_are_refused(void **state)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	struct dmsg_server_conf c = {.loop = l,
		.id = server_id,
		.listen = (const struct sockaddr *)&sa,
		.sessions_max = 1,
		.session_streams = 1};

	(void)state;
	assert_null(dmsg_server_new(&c));
	assert_int_equal(errno, EINVAL);
}

// ---- strangers ----

// A client without manners: a bare link, and what it says on a stream.
struct rude {
	struct conn *tcp;
	struct dmsg_link *k;
	struct conn *stream;
	const uint8_t *say;
	size_t say_len;
	unsigned n_end, n_link_end, n_ip;
	uint8_t ip[16];
	size_t ip_len;
};

static size_t rude_data(void *arg, uint8_t *p, size_t len)
{
	(void)arg, (void)p;
	return len;
}

static void rude_end(void *arg, int err)
{
	(void)err;
	((struct rude *)arg)->n_end++;
}

static void rude_open(void *arg)
{
	struct rude *r = arg;

	conn_write(r->stream, r->say, r->say_len);
}

static const struct conn_events rude_events = {
	.open = rude_open, .data = rude_data, .end = rude_end};

static void rude_ip(void *arg, const uint8_t *ip, size_t len, enum dmsg_err code, int err)
{
	struct rude *r = arg;

	assert_int_equal(code, DMSG_OK);
	assert_int_equal(err, 0);
	r->n_ip++;
	r->ip_len = len;
	memcpy(r->ip, ip, len);
}

static void rude_link_open(void *arg)
{
	struct rude *r = arg;

	if (r->say != NULL)
		r->stream = dmsg_link_stream(r->k, &rude_events, r);
	else
		assert_non_null(dmsg_stream_ask_ip(r->k, 50000, LONG_MS, rude_ip, r));
}

static void rude_accept(void *arg, struct conn *c)
{
	(void)arg;
	conn_close(c);
}

static void rude_link_end(void *arg, int err)
{
	(void)err;
	((struct rude *)arg)->n_link_end++;
}

static const struct dmsg_link_events rude_link_events = {
	.open = rude_link_open, .accept = rude_accept, .end = rude_link_end};

static void rude_connected(void *arg)
{
	struct rude *r = arg;
	struct dmsg_link_conf c = {.sk = identity_sk(node[0].id),
		.pk = identity_pk(node[0].id),
		.server = identity_pk(server_id)};

	r->k = dmsg_link_new(l, r->tcp, &c, &rude_link_events, r);
	assert_non_null(r->k);
}

static const struct conn_events rude_tcp_events = {
	.open = rude_connected, .data = rude_data, .end = rude_end};

static void rude_start(struct rude *r)
{
	char where[32];

	snprintf(where, sizeof(where), "127.0.0.1:%u", server_port);
	r->tcp = conn_tcp_dial(l, where, LONG_MS, NULL, &rude_tcp_events, r);
	assert_non_null(r->tcp);
}

static void rude_fini(struct rude *r)
{
	conn_close(r->stream);
	dmsg_link_close(r->k);
}

static void own_address_is_told(void **state)
{
	static const uint8_t loopback[4] = {127, 0, 0, 1};
	struct rude r = {0};

	(void)state;
	start_server(NULL);
	rude_start(&r);
	run_until(r.n_ip == 1);
	assert_int_equal(r.ip_len, 4);
	assert_memory_equal(r.ip, loopback, 4);
	assert_int_equal(stats().c.dmsg_ip_answered, 1);
	rude_fini(&r);
}

static void nonsense_costs_its_stream_only(void **state)
{
	static const uint8_t junk[300] = {0, 200, 1, 2, 3}, empty[2] = {0, 0};
	struct rude r = {.say = junk, .say_len = sizeof(junk)};
	struct rude ping = {.say = empty, .say_len = sizeof(empty)};

	(void)state;
	start_server(NULL);
	rude_start(&r);
	run_until(r.n_end == 1);
	assert_int_equal(stats().c.drop_dmsg_bad_requests, 1);
	assert_int_equal(r.n_link_end, 0);
	assert_int_equal(stats().sessions, 1);
	rude_start(&ping);
	run_until(ping.n_end == 1);
	assert_int_equal(stats().c.dmsg_pings, 1);
	rude_fini(&r);
	rude_fini(&ping);
}

// Streams that say nothing, or only a part, end in time; the session goes on.
static void slow_requests_end_in_time(void **state)
{
	static const uint8_t part[40] = {0, 200};
	struct dmsg_server_conf c = {
		.sessions_max = 9, .session_streams = 10, .streams_max = 10, .request_ms = 30};
	struct rude silent = {.say = part, .say_len = 0}, slow = {.say = part, .say_len = 40};

	(void)state;
	start_server(&c);
	rude_start(&silent);
	run_until(silent.n_end == 1);
	rude_start(&slow);
	run_until(slow.n_end == 1);
	assert_int_equal(stats().c.drop_dmsg_bad_requests, 2);
	assert_int_equal(stats().sessions, 2);
	assert_int_equal(silent.n_link_end + slow.n_link_end, 0);
	rude_fini(&silent);
	rude_fini(&slow);
}

static void half_open_connections_are_limited(void **state)
{
	struct dmsg_server_conf c = {
		.sessions_max = 9, .session_streams = 10, .streams_max = 10, .shakes_max = 3};
	struct end e[5] = {0};
	char where[32];

	(void)state;
	start_server(&c);
	snprintf(where, sizeof(where), "127.0.0.1:%u", server_port);
	for (unsigned i = 0; i < ARRAY_LEN(e); i++)
		e[i].c = conn_tcp_dial(l, where, LONG_MS, NULL, &end_events, &e[i]);
	run_until(stats().c.drop_dmsg_sessions == 2);
	assert_int_equal(stats().c.drop_dmsg_shakes, 0);
	for (unsigned i = 0; i < ARRAY_LEN(e); i++)
		end_close(&e[i]);
	run_until(stats().c.drop_dmsg_shakes == 3); // and there is room again
	start_client(0);
	run_until(sessions(0) == 1);
}

static void strangers_are_no_sessions(void **state)
{
	struct end e = {.to_send = 4000};
	char where[32];

	(void)state;
	start_server(NULL);
	snprintf(where, sizeof(where), "127.0.0.1:%u", server_port);
	e.c = conn_tcp_dial(l, where, LONG_MS, NULL, &end_events, &e);
	run_until(stats().c.drop_dmsg_shakes == 1);
	assert_int_equal(stats().sessions, 0);
	end_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(streams_carry_bytes_both_ways),
		T(client_reaches_itself),
		T(refusals_reach_the_dialler),
		T(dial_without_a_server_ends_in_time),
		T(ports_are_used_once),
		T(cancelled_dial_is_silent),
		T(pings_measure_or_end),
		T(servers_tell_where_we_are),
		T(sessions_come_back),
		T(server_with_another_key_is_refused),
		T(sessions_of_one_key_are_limited),
		T(sessions_are_limited),
		T(streams_are_limited),
		T(streams_of_one_client_are_limited),
		T(newest_session_of_a_key_takes_streams),
		T(serving_ends_for_good),
		T(limits_of_nothing_are_refused),
		T(own_address_is_told),
		T(nonsense_costs_its_stream_only),
		T(slow_requests_end_in_time),
		T(half_open_connections_are_limited),
		T(strangers_are_no_sessions),
#undef T
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
