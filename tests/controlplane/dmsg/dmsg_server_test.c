// What a server takes and what not: its limits, sessions of one key, and strangers.
#include "tests/controlplane/dmsg/node_world.h"

#include "lib/base/clock.h"

// ---- limits of the server ----

static void sessions_of_one_key_are_limited(void **state)
{
	struct dmsg_server_conf c = {.per_key = 2};
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
	struct dmsg_server_conf c = {.sessions_max = 1};

	(void)state;
	start_server(&c);
	start_client(0);
	run_until(sessions(0) == 1);
	start_client(1);
	run_until(stats().c.drop_dmsg_sessions >= 1);
	uint64_t refused_ns = clock_mono_ns();

	// such a client comes back late, at a real server not before its old session is over
	run_until(stats().c.drop_dmsg_sessions >= 2);
	assert_true(clock_mono_ns() - refused_ns >= TAKEN_MS / 2 * CLOCK_NS_PER_MS);
	assert_int_equal(stats().sessions, 1);
	assert_int_equal(sessions(0), 1);
}

static void streams_are_limited(void **state)
{
	struct dmsg_server_conf c = {.streams_max = 1};

	(void)state;
	start_two(&c);
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
	struct dmsg_server_conf c = {.client_streams = 1};

	(void)state;
	start_two(&c);
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

// One that asks all the time, and all of them.
static void requests_have_a_share_of_time(void **state)
{
	struct dmsg_server_conf c = {.stream_us = 500000};

	(void)state;
	start_two(&c);
	start_client(2);
	run_until(sessions(2) == 1);
	stop_clock();
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1 && stats().streams == 1);
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_ERR_RESP_REFUSED);
	assert_int_equal(stats().c.drop_dmsg_load, 1);
	stopped_ns += 100 * CLOCK_NS_PER_MS;
	dial_to(1, 0, PORT, LONG_MS); // of another; all have cost 1.9 s, and less than 2 may be
	run_until(node[1].n_dialled == 1);
	assert_int_equal(node[1].code, DMSG_OK);
	dial_to(0, 1, PORT, LONG_MS); // the clients have the same share
	run_until(node[0].n_dialled == 1);
	assert_int_equal(node[0].code, DMSG_ERR_RESP_REFUSED);
	assert_int_equal(stats().c.drop_dmsg_load, 1);
	dial_to(2, 0, PORT, LONG_MS); // one too many of all
	run_until(node[2].n_dialled == 1);
	assert_int_equal(node[2].code, DMSG_ERR_RESP_REFUSED);
	assert_int_equal(stats().c.drop_dmsg_load, 2);
	stopped_ns += 2 * CLOCK_NS_PER_S;
	dial_to(2, 0, PORT, LONG_MS);
	run_until(node[2].n_dialled == 1);
	assert_int_equal(node[2].code, DMSG_OK);
	assert_int_equal(stats().c.drop_dmsg_load, 2);
}

// A second client with the key: streams come to it, the first one goes on with what it has.
static void newest_session_of_a_key_takes_streams(void **state)
{
	struct dmsg_client *first;
	struct dmsg_client_listener *first_li;

	(void)state;
	start_two(NULL);
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
	struct sockaddr_in sa = loopback(0);

	(void)state;
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
	struct sockaddr_in sa = loopback(0);
	struct dmsg_server_conf c = {.loop = l,
		.id = server_id,
		.listen = (const struct sockaddr *)&sa,
		.sessions_max = 1,
		.session_streams = 1};

	(void)state;
	assert_null(dmsg_server_new(&c));
	assert_int_equal(errno, EINVAL);
}

// ---- sessions that end ----

struct came {
	struct key_pk pk;
	uint64_t bytes;
};

static void add_bytes(void *arg, const struct dmsg_server_session *se)
{
	struct came *c = arg;

	if (key_pk_cmp(&c->pk, &se->pk) == 0)
		c->bytes += se->io.rx_bytes;
}

// That a client has sent on its streams.
static uint64_t came_from(unsigned i)
{
	struct came c = {.pk = *identity_pk(node[i].id)};

	dmsg_server_each_session(server, add_bytes, &c);
	return c.bytes;
}

enum { HELD = 400000 }; // more than the window of a listener, less than that and the dialler's

// Client 0 sends that to client 1, who takes nothing, and is gone.
static void send_held_and_go(void)
{
	node[0].dialled = (struct end){.to_send = HELD};
	node[1].accepted = (struct end){.deaf = true};
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].dialled.sent == HELD && came_from(0) > HELD);
	node_stop(0);
	run_until(stats().sessions == 1);
}

static void send_and_go(const struct dmsg_server_conf *limits)
{
	start_two(limits);
	send_held_and_go();
}

static void what_a_session_had_sent_is_delivered_after_its_end(void **state)
{
	(void)state;
	send_and_go(NULL);
	assert_int_equal(stats().streams, 1);
	// what is said to who is gone harms nothing
	conn_write(node[1].accepted.c, "x", 1);
	start_client(0);
	run_until(sessions(0) == 1);
	node[1].accepted.deaf = false;
	conn_resume(node[1].accepted.c);
	run_until(node[1].accepted.n_eof == 1 || node[1].accepted.err != 0);
	assert_int_equal(node[1].accepted.got, HELD);
	assert_int_equal(node[1].accepted.err, 0);
	assert_false(node[1].accepted.wrong);
	run_until(stats().streams == 0);
	assert_int_equal(stats().c.drop_dmsg_undelivered, 0);
	assert_true(stats().c.dmsg_relayed_bytes > HELD);
}

static void what_nobody_takes_is_given_up(void **state)
{
	struct dmsg_server_conf c = {.drain_ms = 20};

	(void)state;
	send_and_go(&c);
	run_until(stats().c.drop_dmsg_undelivered == 1);
	assert_int_equal(stats().streams, 0);
	node[1].accepted.deaf = false;
	conn_resume(node[1].accepted.c);
	run_until(node[1].accepted.n_eof == 1 || node[1].accepted.err != 0);
	assert_true(node[1].accepted.got < HELD);
}

static void one_key_has_its_share_of_what_is_left(void **state)
{
	struct dmsg_server_conf c = {.per_key = 1};
	struct conn *first;

	(void)state;
	send_and_go(&c);
	assert_int_equal(stats().streams, 1);
	first = node[1].accepted.c;
	node[1].accepted.c = NULL; // stays open
	start_client(0);
	run_until(sessions(0) == 1);
	send_held_and_go();
	assert_int_equal(stats().streams, 1);
	assert_int_equal(stats().c.drop_dmsg_undelivered, 1);
	conn_close(first);
	end_close(&node[1].accepted);
	run_until(stats().streams == 0);
	start_client(0); // and has it again
	run_until(sessions(0) == 1);
	send_held_and_go();
	assert_int_equal(stats().streams, 1);
}

static void what_nobody_is_left_to_take_is_given_up(void **state)
{
	(void)state;
	send_and_go(NULL);
	node_stop(1);
	run_until(stats().sessions == 0);
	assert_int_equal(stats().streams, 0);
	assert_int_equal(stats().c.drop_dmsg_undelivered, 0);
}

static void a_server_that_ends_waits_for_no_delivery(void **state)
{
	(void)state;
	send_and_go(NULL);
	dmsg_server_close(server);
	assert_int_equal(stats().streams, 0);
	run_until(node[1].accepted.err != 0 || sessions(1) == 0);
}

// ---- strangers ----

// A client without manners: a bare link, and what it says on a stream.
struct rude {
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

static void rude_start(struct rude *r)
{
	struct dmsg_link_conf c = {.sk = identity_sk(node[0].id),
		.pk = identity_pk(node[0].id),
		.server = identity_pk(server_id)};
	char where[32];

	snprintf(where, sizeof(where), "127.0.0.1:%u", server_port);
	r->k = dmsg_link_dial(l, where, &c, &rude_link_events, r);
	assert_non_null(r->k);
}

static void rude_fini(struct rude *r)
{
	conn_close(r->stream);
	dmsg_link_close(r->k);
}

static void own_address_is_told(void **state)
{
	static const uint8_t ours[4] = {127, 0, 0, 1};
	struct rude r = {0};

	(void)state;
	start_server(NULL);
	rude_start(&r);
	run_until(r.n_ip == 1);
	assert_int_equal(r.ip_len, 4);
	assert_memory_equal(r.ip, ours, 4);
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
	struct dmsg_server_conf c = {.request_ms = 30};
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
	struct dmsg_server_conf c = {.shakes_max = 3};
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

// Idle streams last while there is room; then they end, and those that carry something don't.
static void idle_streams_make_room(void **state)
{
	struct dmsg_server_conf c = {.streams_max = 8, .idle_ms = 50};

	(void)state;
	start_two(&c);
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1 && stats().streams == 1);
	loop_timer_start(tick, 200, 0);
	run_until(!loop_timer_is_on(tick));
	assert_int_equal(stats().streams, 1);
	dmsg_server_free(server);
	run_until(sessions(0) == 0 && sessions(1) == 0);
	end_close(&node[0].dialled);
	end_close(&node[1].accepted);
	node[0].dialled = node[1].accepted = (struct end){0};
	c.streams_max = 2;
	start_server(&c);
	run_until(sessions(0) == 1 && sessions(1) == 1);
	dial_to(0, 1, PORT, LONG_MS);
	run_until(node[0].n_dialled == 1 && stats().streams == 1);
	dial_to(1, 0, PORT, LONG_MS);
	run_until(node[1].n_dialled == 1 && stats().streams == 2);
	loop_timer_start(tick, 1, 1);
	run_until(node[0].dialled.n_eof == 1 || node[0].dialled.err != 0);
	assert_int_equal(stats().c.drop_dmsg_idle, 1);
	assert_int_equal(stats().streams, 1);
	assert_true(node[1].dialled.sent > 1);
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
		T(sessions_of_one_key_are_limited),
		T(sessions_are_limited),
		T(streams_are_limited),
		T(streams_of_one_client_are_limited),
		T(requests_have_a_share_of_time),
		T(newest_session_of_a_key_takes_streams),
		T(serving_ends_for_good),
		T(limits_of_nothing_are_refused),
		T(what_a_session_had_sent_is_delivered_after_its_end),
		T(what_nobody_takes_is_given_up),
		T(what_nobody_is_left_to_take_is_given_up),
		T(one_key_has_its_share_of_what_is_left),
		T(a_server_that_ends_waits_for_no_delivery),
		T(own_address_is_told),
		T(nonsense_costs_its_stream_only),
		T(slow_requests_end_in_time),
		T(idle_streams_make_room),
		T(half_open_connections_are_limited),
		T(strangers_are_no_sessions),
#undef T
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
