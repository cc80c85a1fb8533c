// Port 136 over a dmsg server of ours on the loopback: set-up nodes speak bytes, the data plane is
// a table. Who may call and who not, calls one after another, and streams that end, say nothing,
// say rubbish or are too many.
#include "controlplane/route/route_peer.h"

#include "controlplane/dmsg/dmsg_server.h"
#include "controlplane/route/rpc_port.h"
#include "tests/controlplane/core/conn_fixture.h"
#include "tests/controlplane/route/rule_fixture.h"
#include "tests/support/loopback.h"

enum { NODE, SETTER, OTHER, N_CLIENTS, CALLERS = 4, IDLE_MS = 300, SMALL_PORT = 4000 };

static struct dmsg_client *client[N_CLIENTS];
static struct identity *id[N_CLIENTS], *server_id;
static struct dmsg_server *server;
static struct route_peer *peer;

static struct caller {
	struct dmsg_client_dial *dial;
	struct conn *conn;
	struct netrpc_rx rx;
	struct netrpc_tx tx;
	uint64_t seq;
	unsigned n_answers;
	bool over, refused; // refused: nobody listens
	char error[NETRPC_ERROR_MAX];
	uint8_t say[8192];
	size_t len;
} caller[CALLERS];

// ---- who calls ----

static size_t caller_data(void *arg, uint8_t *p, size_t len)
{
	struct caller *c = arg;
	size_t used = 0;

	while (used < len) {
		bool ready;
		ssize_t n = netrpc_take(&c->rx, p + used, len - used, &ready);

		assert_true(n >= 0);
		used += (size_t)n;
		if (!ready)
			continue;
		snprintf(c->error, sizeof(c->error), "%s", c->rx.error);
		c->n_answers++;
		if (used < len)
			conn_resume(c->conn);
		return used;
	}
	return len;
}

static void caller_end(void *arg, int err)
{
	struct caller *c = arg;

	(void)err;
	c->over = true;
}

static const struct conn_events caller_events = {.data = caller_data, .end = caller_end};

static void on_reached(void *arg, struct conn *take_conn, enum dmsg_err code, int err)
{
	struct caller *c = arg;

	c->dial = NULL;
	c->refused = take_conn == NULL;
	c->over = c->refused;
	c->conn = take_conn;
	if (take_conn == NULL)
		return;
	conn_set_events(take_conn, &caller_events, c);
	if (c->len > 0)
		assert_int_equal(conn_write(take_conn, c->say, c->len), c->len);
	c->len = 0;
}

static void dial(struct caller *c, unsigned by, uint16_t port)
{
	const struct dmsg_addr to = {*identity_pk(id[NODE]), port};

	c->dial = dmsg_client_dial(client[by], &to, 5000, on_reached, c);
	assert_non_null(c->dial);
}

static void close_caller(struct caller *c)
{
	dmsg_client_dial_cancel(c->dial);
	conn_close(c->conn);
	memset(c, 0, sizeof(*c));
}

// What was put into c->say goes out: at once, or when it is reached.
static void speak(struct caller *c, const struct bytes_w *w)
{
	assert_false(w->bad);
	c->len += bytes_w_len(w);
	c->seq++;
	if (c->conn == NULL)
		return;
	assert_int_equal(conn_write(c->conn, c->say, c->len), c->len);
	c->len = 0;
}

static struct bytes_w room(struct caller *c)
{
	return bytes_w(c->say + c->len, sizeof(c->say) - c->len);
}

static void ask_ids(struct caller *c, uint8_t n)
{
	struct bytes_w w = room(c);

	setup_put_reserve(&c->tx, &w, c->seq, n);
	speak(c, &w);
}

static void ask_rule(struct caller *c, uint32_t key_id)
{
	struct rule_wire r = {.keep_alive_ns = 30000000000,
		.kind = RULE_KIND_INTERMEDIARY,
		.key_id = key_id,
		.next_id = 99,
		.next_tp = "b"};
	uint8_t bytes[RULE_INTERMEDIARY_LEN];
	struct bytes_w w = room(c);

	assert_int_equal(rule_encode(bytes, sizeof(bytes), &r), sizeof(bytes));
	setup_put_intermediary(&c->tx, &w, c->seq, bytes, 1);
	speak(c, &w);
}

static void ask_back(struct caller *c, uint32_t key_id)
{
	struct bytes_w w = room(c);

	setup_put_delete(&c->tx, &w, c->seq, &key_id, 1);
	speak(c, &w);
}

static uint32_t id_of(struct caller *c)
{
	uint32_t ids_[SETUP_IDS_MAX], n;

	run_until(c->n_answers == 1);
	assert_string_equal(c->error, "");
	assert_int_equal(setup_ids_read(ids_, &n, &c->rx), 0);
	assert_int_equal(n, 1);
	return ids_[0];
}

static bool yes(struct caller *c)
{
	bool v;

	assert_string_equal(c->error, "");
	assert_int_equal(setup_bool_read(&v, &c->rx), 0);
	return v;
}

static struct route_peer_stats stats(void)
{
	struct route_peer_stats s;

	route_peer_stats_get(peer, &s);
	return s;
}

static void set_policy(const struct key_pk *node, bool no_transit)
{
	const struct route_peer_policy p = {node, node != NULL, no_transit};

	assert_int_equal(route_peer_set_policy(peer, &p), 0);
}

// ---- set-up ----

static struct dmsg_client *start_client(unsigned i)
{
	struct dmsg_server_at sc = {.pk = *identity_pk(server_id)};
	struct dmsg_client_conf c = {
		.loop = l, .id = id[i], .servers = &sc, .n_servers = 1, .retry_min_ms = 5};

	snprintf(sc.address, sizeof(sc.address), "127.0.0.1:%u", dmsg_server_port(server));
	return dmsg_client_new(&c);
}

static bool all_have_sessions(void)
{
	struct dmsg_client_stats s;

	for (unsigned i = 0; i < N_CLIENTS; i++) {
		dmsg_client_stats_get(client[i], &s);
		if (s.sessions == 0)
			return false;
	}
	return true;
}

static int setup(void **state)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct dmsg_server_conf c = {.listen = (const struct sockaddr *)&sa,
		.sessions_max = 100,
		.session_streams = 100,
		.streams_max = 400};
	struct route_peer_conf pc = {.idle_ms = IDLE_MS};

	assert_int_equal(rule_setup(state), 0);
	l = loop;
	late = false;
	memset(caller, 0, sizeof(caller));
	server_id = identity_of(98);
	c.loop = l;
	c.id = server_id;
	server = dmsg_server_new(&c);
	assert_non_null(server);
	for (unsigned i = 0; i < N_CLIENTS; i++) {
		id[i] = identity_of((uint8_t)(i + 1));
		client[i] = start_client(i);
		assert_non_null(client[i]);
	}
	pc.client = client[NODE];
	pc.policy = (struct route_peer_policy){identity_pk(id[SETTER]), 1, false};
	pc.gate = (struct route_gate_conf){
		.loop = l, .dp = &fake, .rules = m, .ids = ids, .self = *identity_pk(id[NODE])};
	peer = route_peer_new(&pc);
	assert_non_null(peer);
	run_until(all_have_sessions());
	fake_attach(DP_SYNC_FRESH);
	return 0;
}

static int teardown(void **state)
{
	for (unsigned i = 0; i < CALLERS; i++)
		close_caller(&caller[i]);
	route_peer_free(peer);
	for (unsigned i = 0; i < N_CLIENTS; i++) {
		dmsg_client_free(client[i]);
		identity_free(id[i]);
	}
	dmsg_server_free(server);
	identity_free(server_id);
	return rule_teardown(state);
}

// ---- tests ----

static void a_set_up_node_reserves_lays_and_takes_back(void **state)
{
	struct caller *c = &caller[0];
	uint32_t key_id;

	ask_ids(c, 1);
	dial(c, SETTER, SETUP_GATEWAY_PORT);
	key_id = id_of(c);
	ask_rule(c, key_id);
	run_until(fake.n_queue == 1);
	assert_int_equal(c->n_answers, 1); // the data plane has said nothing yet
	fake_answer();
	run_until(c->n_answers == 2);
	assert_true(yes(c));
	assert_non_null(in_dp(key_id));
	ask_back(c, key_id);
	run_until(fake.n_queue == 1);
	settle();
	run_until(c->n_answers == 3);
	assert_true(yes(c));
	assert_null(in_dp(key_id));
	assert_int_equal(stats().gate.taken_back, 1);
}

static void calls_are_answered_one_after_another(void **state)
{
	struct caller *c = &caller[0];
	uint32_t key_id;

	ask_ids(c, 1);
	dial(c, SETTER, SETUP_GATEWAY_PORT);
	key_id = id_of(c);
	ask_rule(c, key_id);
	ask_ids(c, 3);
	ask_back(c, 5); // nothing of it is there: answered at once
	run_until(fake.n_queue == 1);
	assert_int_equal(stats().gate.reserved, 1); // the next call waits
	fake_answer();
	run_until(c->n_answers == 4);
	assert_true(yes(c));
	assert_int_equal(c->rx.seq, 3);
	assert_int_equal(stats().gate.reserved, 4);
	assert_int_equal(stats().gate.foreign, 1);
}

static void strangers_are_shut_out(void **state)
{
	ask_ids(&caller[0], 1);
	dial(&caller[0], OTHER, SETUP_GATEWAY_PORT);
	run_until(caller[0].over);
	assert_int_equal(caller[0].n_answers, 0);
	assert_int_equal(stats().strangers, 1);
	assert_int_equal(stats().gate.reserved, 0);
}

static void what_it_may_not_is_told_in_words(void **state)
{
	struct caller *c = &caller[0];
	uint32_t key_id;

	set_policy(identity_pk(id[SETTER]), true);
	ask_ids(c, 1);
	dial(c, SETTER, SETUP_GATEWAY_PORT);
	key_id = id_of(c);
	ask_rule(c, key_id);
	run_until(c->n_answers == 2);
	assert_string_equal(c->error, "failure code 1 (visor does not transit routes)");
	set_policy(identity_pk(id[SETTER]), false);
	ask_rule(c, key_id ^ 0x80000000);
	run_until(c->n_answers == 3);
	assert_non_null(strstr(c->error, "is not reserved by you"));
}

static void other_calls_and_arguments_are_told_in_words(void **state)
{
	static const char *const methods[] = {
		SETUP_GATEWAY ".Hop", SETUP_RESERVE, SETUP_INTERMEDIARY, SETUP_EDGE, SETUP_DELETE};
	struct caller *c = &caller[0];

	dial(c, SETTER, SETUP_GATEWAY_PORT);
	for (unsigned i = 0; i < ARRAY_LEN(methods); i++) {
		struct bytes_w w = room(c);

		netrpc_put_request(&c->tx, &w, methods[i], c->seq);
		netrpc_put_bool(&w, true); // no method takes that
		speak(c, &w);
		run_until(c->n_answers == i + 1);
		assert_string_equal(c->error, i == 0 ? "rpc: can't find method RPCGateway.Hop"
						     : "failure code 1 (malformed request)");
	}
	assert_int_equal(stats().unknown, 1);
}

static void what_was_asked_for_is_done_without_its_stream(void **state)
{
	struct caller *c = &caller[0];
	uint32_t key_id;

	ask_ids(c, 1);
	dial(c, SETTER, SETUP_GATEWAY_PORT);
	key_id = id_of(c);
	ask_rule(c, key_id);
	run_until(fake.n_queue == 1);
	close_caller(c);
	run_until(stats().streams == 0);
	fake_answer();
	assert_non_null(in_dp(key_id));
	assert_int_equal(stats().gate.laid, 1);
	// and it can be taken back by another one
	ask_back(c, key_id);
	dial(c, SETTER, SETUP_GATEWAY_PORT);
	run_until(fake.n_queue == 1);
	settle();
	run_until(c->n_answers == 1);
	assert_null(in_dp(key_id));
}

static void a_reservation_outlives_its_stream(void **state)
{
	uint32_t key_id;

	ask_ids(&caller[0], 1);
	dial(&caller[0], SETTER, SETUP_GATEWAY_PORT);
	key_id = id_of(&caller[0]);
	close_caller(&caller[0]);
	run_until(stats().streams == 0);
	ask_rule(&caller[1], key_id);
	dial(&caller[1], SETTER, SETUP_GATEWAY_PORT);
	run_until(fake.n_queue == 1);
	fake_answer();
	run_until(caller[1].n_answers == 1);
	assert_true(yes(&caller[1]));
}

static void who_may_is_taken_live(void **state)
{
	struct caller *c = caller;

	ask_ids(&c[0], 1);
	dial(&c[0], SETTER, SETUP_GATEWAY_PORT);
	run_until(c[0].n_answers == 1);
	set_policy(identity_pk(id[OTHER]), false);
	run_until(c[0].over);
	ask_ids(&c[1], 1);
	dial(&c[1], OTHER, SETUP_GATEWAY_PORT);
	run_until(c[1].n_answers == 1);
	set_policy(NULL, false);
	run_until(c[1].over);
	dial(&c[2], OTHER, SETUP_GATEWAY_PORT);
	run_until(c[2].refused);
	set_policy(identity_pk(id[OTHER]), false);
	ask_ids(&c[3], 1);
	dial(&c[3], OTHER, SETUP_GATEWAY_PORT);
	run_until(c[3].n_answers == 1);
	assert_int_equal(stats().strangers + stats().bad, 0);
}

static void a_key_may_be_one_too_many(void **state)
{
	static struct key_pk many[ROUTE_PEER_NODES_MAX + 1];
	const struct route_peer_policy p = {many, ARRAY_LEN(many), false};

	assert_int_equal(route_peer_set_policy(peer, &p), -EINVAL);
	ask_ids(&caller[0], 1);
	dial(&caller[0], SETTER, SETUP_GATEWAY_PORT);
	run_until(caller[0].n_answers == 1); // as before
}

static void streams_that_say_nothing_or_rubbish_or_half_a_call_end(void **state)
{
	struct caller *c = caller;
	struct bytes_w w = bytes_w(c[2].say, sizeof(c[2].say));

	dial(&c[0], SETTER, SETUP_GATEWAY_PORT);
	memset(c[1].say, 0xf5, 64);
	c[1].len = 64;
	dial(&c[1], SETTER, SETUP_GATEWAY_PORT);
	setup_put_reserve(&c[2].tx, &w, 0, 2);
	c[2].len = bytes_w_len(&w) - 1;
	dial(&c[2], SETTER, SETUP_GATEWAY_PORT);
	run_until(c[0].over && c[1].over && c[2].over);
	assert_int_equal(stats().streams, 0);
	assert_int_equal(stats().gate.reserved, 0);
	assert_true(stats().bad >= 2);
}

static void it_may_end_in_the_middle(void **state)
{
	struct caller *c = &caller[0];
	uint32_t key_id;

	ask_ids(c, 1);
	dial(c, SETTER, SETUP_GATEWAY_PORT);
	key_id = id_of(c);
	ask_rule(c, key_id);
	run_until(fake.n_queue == 1);
	route_peer_free(peer);
	peer = NULL;
	run_until(c->over);
	fake_answer();
	assert_int_equal(c->n_answers, 1);
}

// ---- limits of a port ----

static void no_call(void *arg, struct rpc_stream *s, struct bytes_w *w)
{
	fail();
}

static void streams_of_one_key_and_all_are_limited(void **state)
{
	struct rpc_port_conf c = {.loop = l,
		.client = client[NODE],
		.port = SMALL_PORT,
		.streams_max = 3,
		.streams_of_key = 2,
		.idle_ms = 60000,
		.call = no_call};
	struct rpc_port *p = rpc_port_new(&c);
	struct rpc_port_stats s;

	assert_non_null(p);
	assert_null(rpc_port_new(&c));
	assert_int_equal(errno, EADDRINUSE);
	dial(&caller[0], SETTER, SMALL_PORT);
	dial(&caller[1], SETTER, SMALL_PORT);
	run_until((rpc_port_stats_get(p, &s), s.taken == 2));
	dial(&caller[2], SETTER, SMALL_PORT);
	run_until(caller[2].over);
	dial(&caller[3], OTHER, SMALL_PORT);
	run_until((rpc_port_stats_get(p, &s), s.taken == 3));
	close_caller(&caller[2]);
	dial(&caller[2], OTHER, SMALL_PORT);
	run_until(caller[2].over);
	rpc_port_stats_get(p, &s);
	assert_int_equal(s.refused, 2);
	assert_int_equal(s.now, 3);
	close_caller(&caller[0]);
	run_until((rpc_port_stats_get(p, &s), s.now == 2));
	rpc_port_free(p);
	run_until(caller[1].over && caller[3].over);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_set_up_node_reserves_lays_and_takes_back),
		T(calls_are_answered_one_after_another),
		T(strangers_are_shut_out),
		T(what_it_may_not_is_told_in_words),
		T(other_calls_and_arguments_are_told_in_words),
		T(what_was_asked_for_is_done_without_its_stream),
		T(a_reservation_outlives_its_stream),
		T(who_may_is_taken_live),
		T(a_key_may_be_one_too_many),
		T(streams_that_say_nothing_or_rubbish_or_half_a_call_end),
		T(it_may_end_in_the_middle),
		T(streams_of_one_key_and_all_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
