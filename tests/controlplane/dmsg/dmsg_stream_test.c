// Two clients and a server over sockets, with real muxers: dial, accept, relay, and each way to
// fail. The server is the least that there can be: lib/dmsg's relay and a join of two streams.
#include "controlplane/core/conn_join.h"
#include "controlplane/dmsg/dmsg_ping.h"
#include "controlplane/dmsg/dmsg_rtt.h"
#include "controlplane/dmsg/dmsg_stream.h"
#include "lib/dmsg/relay.h"
#include "tests/controlplane/core/conn_fixture.h"

#include <signal.h>

#include "lib/base/err.h"

enum { MIB = 1 << 20, N_CLIENTS = 2 };

struct client {
	struct key_sk sk;
	struct key_pk pk;
	struct dmsg_link *k, *at_server; // both ends of its session
	unsigned n_open, n_pong;
	bool close_at_accept;
	int err, server_err;
	uint16_t port; // that it listens on
	struct end accepted;
	struct dmsg_addr from;
	unsigned n_accepted, n_refused;
	enum dmsg_err refused_code;
	// of its dial
	struct end dialled;
	unsigned n_dialled;
	enum dmsg_err code;
	int dial_err;
	uint8_t ip_len;
};

static struct key_sk server_sk;
static struct key_pk server_pk;
static struct client client[N_CLIENTS];
static bool server_is_mute; // takes requests and says nothing
static bool server_is_old; // knows no ping marker

// ---- the server ----

struct join {
	struct client *from;
	struct conn *x, *y;
	struct dmsg_relay r;
};

static void join_free(struct join *j)
{
	conn_close(j->x);
	conn_close(j->y);
	free(j);
}

static void on_joined_done(void *arg, int err)
{
	(void)arg, (void)err;
}

static size_t on_y_data(void *arg, uint8_t *p, size_t len)
{
	struct join *j = arg;
	uint8_t out[DMSG_FRAME_MAX];
	struct client *to = &client[key_pk_cmp(&j->r.req.dst.pk, &client[1].pk) == 0];
	size_t used;
	ssize_t n;

	switch (dmsg_relay_feed_answer(&j->r, dmsg_link_session(to->at_server), p, len, &used)) {
	case DMSG_MORE:
		return used;
	case DMSG_READY:
		n = dmsg_relay_back(&j->r, dmsg_link_session(j->from->at_server), out, sizeof(out));
		assert_int_equal(conn_write(j->x, out, (size_t)n), n);
		assert_non_null(
			conn_join_new(j->x, j->y, CONN_JOIN_CLOSE_BOTH, on_joined_done, NULL));
		free(j);
		return used;
	default:
		join_free(j);
		return used;
	}
}

static void on_leg_end(void *arg, int err)
{
	(void)err;
	join_free(arg);
}

static void on_y_open(void *arg)
{
	struct join *j = arg;
	struct client *to = &client[key_pk_cmp(&j->r.req.dst.pk, &client[1].pk) == 0];
	uint8_t out[DMSG_FRAME_MAX];
	ssize_t n = dmsg_relay_onward(&j->r, dmsg_link_session(to->at_server), out, sizeof(out));

	assert_int_equal(conn_write(j->y, out, (size_t)n), n);
}

static const struct conn_events y_events = {
	.open = on_y_open, .data = on_y_data, .end = on_leg_end};

static void onward(struct join *j)
{
	for (unsigned i = 0; i < N_CLIENTS; i++) {
		struct dmsg_link *y = client[i].at_server;

		if (y == NULL || key_pk_cmp(&client[i].pk, &j->r.req.dst.pk) != 0)
			continue;
		j->y = dmsg_link_stream(y, &y_events, j);
		assert_non_null(j->y);
		return;
	}
	join_free(j); // nobody of that name here
}

static size_t on_x_data(void *arg, uint8_t *p, size_t len)
{
	static const uint8_t ip[4] = {203, 0, 113, 7}, marker[DMSG_PING_LEN];
	struct join *j = arg;
	struct dmsg_session *x = dmsg_link_session(j->from->at_server);
	uint8_t out[DMSG_FRAME_MAX];
	size_t used;
	ssize_t n;

	switch (dmsg_relay_feed(&j->r, x, false, p, len, &used)) {
	case DMSG_MORE:
		break;
	case DMSG_PING:
		if (!server_is_old)
			conn_write(j->x, marker, sizeof(marker));
		join_free(j);
		break;
	case DMSG_READY:
		if (server_is_mute)
			break;
		if (dmsg_relay_where(&j->r, x) == RELAY_ONWARD) {
			onward(j);
			break;
		}
		n = dmsg_relay_answer_ip(&j->r, x, ip, 4, out, sizeof(out));
		conn_write(j->x, out, (size_t)n);
		break;
	default:
		join_free(j);
	}
	return used;
}

static const struct conn_events x_events = {.data = on_x_data, .end = on_leg_end};

static void on_server_accept(void *arg, struct conn *take_stream)
{
	struct join *j = calloc(1, sizeof(*j));

	assert_non_null(j);
	j->from = arg;
	j->x = take_stream;
	dmsg_relay_init(&j->r);
	conn_set_events(take_stream, &x_events, j);
}

static void on_server_open(void *arg)
{
	struct client *c = arg;

	assert_memory_equal(dmsg_link_peer(c->at_server), &c->pk, KEY_PK_LEN);
}

static void on_server_end(void *arg, int err)
{
	struct client *c = arg;

	c->server_err = err != 0 ? err : 1;
	dmsg_link_close(c->at_server);
	c->at_server = NULL;
}

static const struct dmsg_link_events server_events = {
	.open = on_server_open,
	.accept = on_server_accept,
	.end = on_server_end,
};

// ---- clients ----

static bool on_wants(void *arg, const struct dmsg_request *req)
{
	struct client *c = arg;

	return req->dst.port == c->port;
}

static void on_stream(
	void *arg, struct conn *take_conn, const struct dmsg_addr *from, uint16_t port)
{
	struct client *c = arg;

	assert_int_equal(port, c->port);
	c->n_accepted++;
	c->from = *from;
	c->accepted.c = take_conn;
	conn_set_events(take_conn, &end_events, &c->accepted);
	end_send(&c->accepted);
}

static void on_refused(void *arg, enum dmsg_err code, int err)
{
	struct client *c = arg;

	(void)err;
	c->n_refused++;
	c->refused_code = code;
}

// By somebody who may be gone when the link is closed.
static void on_spent(void *arg, uint64_t ns)
{
	(void)ns;
	assert_non_null(((struct client *)arg)->k);
}

static const struct dmsg_stream_events stream_events = {
	.wants = on_wants,
	.conn = on_stream,
	.refused = on_refused,
	.spent = on_spent,
};

static void on_client_open(void *arg)
{
	((struct client *)arg)->n_open++;
}

static void on_client_accept(void *arg, struct conn *take_stream)
{
	struct client *c = arg;

	dmsg_stream_accept(c->k, take_stream, 5000, &stream_events, c);
	if (c->close_at_accept) {
		dmsg_link_close(c->k);
		c->k = NULL;
	}
}

static void on_client_pong(void *arg, uint64_t rtt_ns)
{
	(void)rtt_ns;
	((struct client *)arg)->n_pong++;
}

static void on_client_end(void *arg, int err)
{
	((struct client *)arg)->err = err != 0 ? err : 1;
}

static const struct dmsg_link_events client_events = {
	.open = on_client_open,
	.accept = on_client_accept,
	.pong = on_client_pong,
	.end = on_client_end,
};

static void join_server(struct client *c, enum dmsg_link_mux mux, const struct key_pk *server)
{
	struct dmsg_link_conf conf = {.sk = &c->sk, .pk = &c->pk, .server = server, .mux = mux};
	struct end x, y;

	pair(&x, &y);
	c->k = dmsg_link_new(l, x.c, &conf, &client_events, c);
	// The second client is spoken to before it speaks: the server knows its muxer by its entry.
	conf = (struct dmsg_link_conf){.sk = &server_sk,
		.pk = &server_pk,
		.mux = c == &client[1] ? mux : DMSG_LINK_BY_FIRST_BYTE};
	c->at_server = dmsg_link_new(l, y.c, &conf, &server_events, c);
	assert_non_null(c->k);
	assert_non_null(c->at_server);
}

static int setup(void **state)
{
	setup_loop(state);
	memset(client, 0, sizeof(client));
	server_is_mute = server_is_old = false;
	memset(server_sk.b, 0x61, KEY_SK_LEN);
	key_pk_from_sk(&server_pk, &server_sk);
	for (unsigned i = 0; i < N_CLIENTS; i++) {
		memset(client[i].sk.b, 0x71 + (int)i, KEY_SK_LEN);
		key_pk_from_sk(&client[i].pk, &client[i].sk);
		client[i].port = 80;
	}
	return 0;
}

static int teardown(void **state)
{
	for (unsigned i = 0; i < N_CLIENTS; i++) {
		end_close(&client[i].dialled);
		end_close(&client[i].accepted);
		dmsg_link_close(client[i].k);
		dmsg_link_close(client[i].at_server);
	}
	return teardown_loop(state);
}

static void both_join(enum dmsg_link_mux mux)
{
	for (unsigned i = 0; i < N_CLIENTS; i++)
		join_server(&client[i], mux, &server_pk);
	run_until(client[0].n_open == 1 && client[1].n_open == 1);
}

static void on_dialled(void *arg, struct conn *take_conn, enum dmsg_err code, int err)
{
	struct client *c = arg;

	c->n_dialled++;
	c->code = code;
	c->dial_err = err;
	c->dialled.c = take_conn;
	if (take_conn == NULL)
		return;
	conn_set_events(take_conn, &end_events, &c->dialled);
	end_send(&c->dialled);
}

static struct dmsg_stream_dial *dial(
	struct client *c, const struct key_pk *to, uint16_t port, uint32_t timeout_ms)
{
	struct dmsg_dial_conf conf = {.dst = {*to, port}, .src_port = 49153, .wall_ns = 1};

	return dmsg_stream_dial(c->k, &conf, timeout_ms, on_dialled, c);
}

// ---- tests ----

static void a_stream_carries_bytes_both_ways(void **state)
{
	static const enum dmsg_link_mux muxes[] = {DMSG_LINK_YAMUX, DMSG_LINK_SMUX2};

	for (size_t i = 0; i < ARRAY_LEN(muxes); i++) {
		if (i > 0) {
			teardown(state);
			setup(state);
		}
		both_join(muxes[i]);
		client[0].dialled.to_send = MIB;
		client[1].accepted.to_send = 2 * MIB;
		client[1].accepted.bite = 999;
		assert_non_null(dial(&client[0], &client[1].pk, 80, 20000));
		run_until(client[1].accepted.got == MIB && client[0].dialled.got == 2 * MIB);
		assert_false(client[0].dialled.wrong || client[1].accepted.wrong);
		assert_int_equal(client[0].code, DMSG_OK);
		assert_memory_equal(&client[1].from.pk, &client[0].pk, KEY_PK_LEN);
		assert_int_equal(client[1].from.port, 49153);
		// one end closes: the other sees the end
		end_close(&client[0].dialled);
		run_until(client[1].accepted.n_eof);
	}
}

static void a_client_reaches_itself(void **state)
{
	join_server(&client[0], DMSG_LINK_YAMUX, &server_pk);
	run_until(client[0].n_open == 1);
	client[0].dialled.to_send = 10000;
	assert_non_null(dial(&client[0], &client[0].pk, 80, 20000));
	run_until(client[0].accepted.got == 10000);
}

static void nobody_listens(void **state)
{
	both_join(DMSG_LINK_YAMUX);
	assert_non_null(dial(&client[0], &client[1].pk, 81, 20000));
	run_until(client[0].n_dialled == 1);
	assert_null(client[0].dialled.c);
	assert_int_equal(client[0].code, DMSG_ERR_RESP_REFUSED); // by an end of stream
	assert_int_equal(client[1].refused_code, DMSG_ERR_NO_LISTENER);
	// the sessions live
	assert_non_null(dial(&client[0], &client[1].pk, 80, 20000));
	run_until(client[0].n_dialled == 2);
	assert_non_null(client[0].dialled.c);
}

static void nobody_has_that_key(void **state)
{
	struct key_sk sk = {{[31] = 5}};
	struct key_pk pk;

	both_join(DMSG_LINK_YAMUX);
	key_pk_from_sk(&pk, &sk);
	assert_non_null(dial(&client[0], &pk, 80, 20000));
	run_until(client[0].n_dialled == 1);
	assert_null(client[0].dialled.c);
	assert_int_equal(client[0].code, DMSG_ERR_RESP_REFUSED);
	memset(&pk, 0, sizeof(pk));
	assert_null(dial(&client[0], &pk, 80, 20000));
	assert_int_equal(errno, EINVAL);
}

static void a_mute_server_costs_a_dial_its_time(void **state)
{
	struct dmsg_stream_dial *d;

	both_join(DMSG_LINK_YAMUX);
	server_is_mute = true;
	d = dial(&client[0], &client[1].pk, 80, 20000);
	assert_non_null(dial(&client[0], &client[1].pk, 80, 1));
	run_until(client[0].n_dialled == 1);
	assert_int_equal(client[0].dial_err, -ETIMEDOUT);
	dmsg_stream_dial_cancel(d); // and is not heard of
	for (unsigned i = 0; i < 20; i++)
		loop_turn(l);
	assert_int_equal(client[0].n_dialled, 1);
}

static void a_lost_session_ends_dials_and_streams(void **state)
{
	both_join(DMSG_LINK_YAMUX);
	assert_non_null(dial(&client[0], &client[1].pk, 80, 20000));
	run_until(client[0].n_dialled == 1 && client[1].n_accepted == 1);
	server_is_mute = true;
	assert_non_null(dial(&client[0], &client[1].pk, 80, 20000));
	client[0].dialled.to_send = 1; // the second dial must not write over the first
	struct end first = client[0].dialled;
	conn_set_events(first.c, &end_events, &first);
	dmsg_link_close(client[0].at_server);
	client[0].at_server = NULL;
	run_until(client[0].n_dialled == 2 && client[0].err != 0 && first.err != 0);
	assert_true(client[0].dial_err < 0);
	assert_false(dmsg_link_is_open(client[0].k));
	assert_null(dial(&client[0], &client[1].pk, 80, 20000));
	assert_int_equal(errno, ENOTCONN);
	end_close(&first);
}

static void on_ip(void *arg, const uint8_t *ip, size_t len, enum dmsg_err code, int err)
{
	struct client *c = arg;

	assert_true(code == DMSG_OK && err == 0);
	assert_memory_equal(ip, "\xcb\x00\x71\x07", 4);
	c->ip_len = (uint8_t)len;
}

static void the_server_tells_our_address_and_answers_pings(void **state)
{
	both_join(DMSG_LINK_YAMUX);
	assert_non_null(dmsg_stream_ask_ip(client[0].k, 49153, 20000, on_ip, &client[0]));
	assert_int_equal(dmsg_link_ping(client[0].k), 0);
	run_until(client[0].ip_len == 4 && client[0].n_pong == 1);
	// the marker, on a stream of either direction
	struct end e[2] = {{.deaf = true}, {.deaf = true}};
	e[0].c = dmsg_link_stream(client[0].k, &end_events, &e[0]);
	e[1].c = dmsg_link_stream(client[1].at_server, &end_events, &e[1]);
	run_until(e[0].n_open == 1 && e[1].n_open == 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(conn_write(e[i].c, "\0", 1), 1);
		loop_turn(l);
		assert_int_equal(conn_write(e[i].c, "\0", 1), 1);
		e[i].deaf = false;
	}
	run_until(e[0].got == 2 && e[1].got == 2 && e[0].n_eof && e[1].n_eof);
	end_close(&e[0]);
	end_close(&e[1]);
}

static void on_ping(void *arg, uint64_t rtt_ns, int err)
{
	struct client *c = arg;

	assert_int_equal(err == 0, rtt_ns > 0);
	c->n_pong++;
	c->dial_err = err;
}

static void a_marker_measures_the_way_through_the_server(void **state)
{
	struct dmsg_ping *p;

	both_join(DMSG_LINK_SMUX2);
	assert_int_equal(dmsg_link_ping(client[0].k), -EOPNOTSUPP);
	assert_non_null(dmsg_ping_start(client[0].k, 5000, on_ping, &client[0]));
	run_until(client[0].n_pong == 1);
	assert_int_equal(client[0].dial_err, 0);
	server_is_old = true; // which is no reason to think it dead
	assert_non_null(dmsg_ping_start(client[0].k, 5000, on_ping, &client[0]));
	run_until(client[0].n_pong == 2);
	assert_int_equal(client[0].dial_err, -EOPNOTSUPP);
	p = dmsg_ping_start(client[0].k, 5000, on_ping, &client[0]);
	dmsg_ping_cancel(p);
	assert_non_null(dmsg_ping_start(client[0].k, 5000, on_ping, &client[0]));
	dmsg_link_close(client[0].k);
	client[0].k = NULL;
	run_until(client[0].n_pong == 3);
	assert_int_equal(client[0].dial_err, -ECANCELED);
}

static void round_trips_are_measured_over_either_muxer(void **state)
{
	static const enum dmsg_link_mux muxes[] = {DMSG_LINK_YAMUX, DMSG_LINK_SMUX2};

	for (unsigned i = 0; i < ARRAY_LEN(muxes); i++) {
		struct dmsg_rtt *r;

		setup(state);
		both_join(muxes[i]);
		r = dmsg_rtt_new(client[0].k);
		assert_non_null(r);
		assert_int_equal(dmsg_rtt_ns(r), 0);
		run_until(dmsg_rtt_ns(r) > 0);
		dmsg_rtt_free(r);
		teardown(state);
	}
	assert_int_equal(dmsg_rtt_ns(NULL), 0);
}

static void a_server_without_markers_is_not_measured_and_lives(void **state)
{
	struct dmsg_rtt *r;

	both_join(DMSG_LINK_SMUX2);
	server_is_old = true;
	r = dmsg_rtt_new(client[0].k);
	assert_non_null(dmsg_ping_start(client[0].k, 5000, on_ping, &client[0])); // after it
	run_until(client[0].n_pong == 1);
	assert_int_equal(dmsg_rtt_ns(r), 0);
	assert_true(dmsg_link_is_open(client[0].k));
	dmsg_rtt_free(r);
	r = dmsg_rtt_new(client[0].k); // one that is under way
	dmsg_rtt_free(r);
}

static void a_server_of_another_key_is_refused(void **state)
{
	struct key_pk other = client[1].pk;

	join_server(&client[0], DMSG_LINK_YAMUX, &other);
	run_until(client[0].err != 0);
	assert_int_equal(client[0].err, -EKEYREJECTED);
	assert_int_equal(client[0].server_err, -EBADMSG);
	assert_int_equal(client[0].n_open, 0);
	assert_null(dmsg_link_peer(client[0].k));
	assert_null(dmsg_link_stream(client[0].k, &end_events, NULL));
}

// As a server of 2024 does that has a session of this key.
static void a_server_may_take_the_handshake_and_close(void **state)
{
	join_server(&client[0], DMSG_LINK_YAMUX, &server_pk);
	run_until(dmsg_link_is_open(client[0].at_server));
	dmsg_link_close(client[0].at_server);
	client[0].at_server = NULL;
	run_until(client[0].err != 0);
	assert_int_equal(client[0].err, -EISCONN);
	assert_int_equal(client[0].n_open, 0);
}

static void why_a_link_is_over_has_words(void **state)
{
	static const int errs[] = {
		-EKEYREJECTED, -EISCONN, -EBADMSG, -ETIMEDOUT, -ECONNRESET, -ECONNREFUSED};

	for (size_t i = 0; i < ARRAY_LEN(errs); i++) {
		assert_true(strlen(dmsg_link_error(errs[i])) < 64);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(dmsg_link_error(errs[i]), dmsg_link_error(errs[k]));
	}
}

// Bytes that came before the end are still given to the streams.
static void a_link_may_be_closed_while_a_request_is_there(void **state)
{
	both_join(DMSG_LINK_YAMUX);
	client[1].close_at_accept = true;
	assert_non_null(dial(&client[0], &client[1].pk, 80, 20000));
	run_until(client[0].n_dialled == 1 && client[1].n_refused == 1);
	assert_null(client[0].dialled.c);
	assert_int_equal(client[1].n_accepted, 0);
	// and the same while answers are on their way
	for (unsigned turns = 0; turns < 12; turns++) {
		teardown(state);
		setup(state);
		both_join(DMSG_LINK_YAMUX);
		assert_non_null(dial(&client[0], &client[1].pk, 80, 20000));
		for (unsigned i = 0; i < turns; i++)
			loop_turn(l);
		dmsg_link_close(client[0].k);
		client[0].k = NULL;
		run_until(client[0].n_dialled == 1);
	}
}

static void links_may_be_closed_at_any_time(void **state)
{
	for (unsigned turns = 0; turns < 12; turns++) {
		teardown(state);
		setup(state);
		join_server(&client[0], DMSG_LINK_YAMUX, &server_pk);
		for (unsigned i = 0; i < turns; i++)
			loop_turn(l);
		dmsg_link_close(client[0].k);
		client[0].k = NULL;
		run_until(client[0].server_err != 0);
	}
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_stream_carries_bytes_both_ways),
		test(a_client_reaches_itself),
		test(nobody_listens),
		test(nobody_has_that_key),
		test(a_mute_server_costs_a_dial_its_time),
		test(a_lost_session_ends_dials_and_streams),
		test(the_server_tells_our_address_and_answers_pings),
		test(a_marker_measures_the_way_through_the_server),
		cmocka_unit_test(round_trips_are_measured_over_either_muxer),
		test(a_server_without_markers_is_not_measured_and_lives),
		test(a_server_of_another_key_is_refused),
		test(a_server_may_take_the_handshake_and_close),
		test(why_a_link_is_over_has_words),
		test(a_link_may_be_closed_while_a_request_is_there),
		test(links_may_be_closed_at_any_time),
	};

	signal(SIGPIPE, SIG_IGN); // as the programs do
	return cmocka_run_group_tests(tests, NULL, NULL);
}
