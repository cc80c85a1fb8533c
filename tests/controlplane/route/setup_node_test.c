// The set-up node over a dmsg server of ours on the loopback: who asks, and nodes that answer as
// they are told, speak bytes. What is asked of whom and in which order, what is taken back when one
// says no, is not there, is silent or is rubbish; and the limits.
#include "controlplane/dmsg/dmsg_server.h"
#include "controlplane/route/setup_node.h"
#include "tests/controlplane/core/conn_fixture.h"
#include "tests/support/loopback.h"

#include <stdio.h>

#include "lib/base/err.h"
#include "lib/base/log.h"

enum { A, B, C, SETTER, N_NODES, ASKERS = SETUP_ASKERS_OF_KEY + 1 };
enum { IDLE_MS = 200, JOB_MS = 1500, REST_MS = 20, LONG_MS = 30000 };

enum call { RESERVE, INTERMEDIARY, EDGE, DELETE, N_CALLS };
static const char *const methods[] = {
	[RESERVE] = SETUP_RESERVE,
	[INTERMEDIARY] = SETUP_INTERMEDIARY,
	[EDGE] = SETUP_EDGE,
	[DELETE] = SETUP_DELETE,
};

static struct node {
	struct identity *id;
	struct dmsg_client *c;
	// as a node of a route
	struct dmsg_client_listener *li;
	struct conn *conn;
	struct netrpc_rx rx;
	struct netrpc_tx tx;
	const char *refuse[N_CALLS]; // words; "" for a false
	bool silent[N_CALLS];
	bool rubbish, same_ids;
	unsigned calls[N_CALLS];
	unsigned first[N_CALLS]; // place among all calls, from 1
	uint32_t next_id;
	struct conn *old[ASKERS]; // streams before this one
	unsigned n_old;
} node[N_NODES];

static struct asker {
	struct conn *conn;
	struct netrpc_rx rx;
	unsigned n_answers;
	bool over;
	char error[NETRPC_ERROR_MAX];
	struct dmsg_client_dial *dial;
	uint8_t say[16384];
	size_t len;
} asker[ASKERS];

static struct identity *server_id;
static struct dmsg_server *server;
static struct setup_node *setter;
static unsigned n_calls;

// ---- nodes of a route ----

static void put_reserved(struct node *n, struct bytes_w *w)
{
	static const uint8_t type[] = {12, 0xff, 0x95, 2, 1, 2, 0xff, 0x96, 0, 1, 6, 0, 0};
	const uint8_t first = n->same_ids ? 1 : (uint8_t)++n->next_id;
	const uint8_t two[] = {6, 0xff, 0x96, 0, 2, first, n->same_ids ? 1 : (uint8_t)++n->next_id};

	bytes_w_copy(w, type, sizeof(type));
	bytes_w_copy(w, two, sizeof(two));
}

static void answer(struct node *n)
{
	uint8_t out[1024];
	struct bytes_w w = bytes_w(out, sizeof(out));
	unsigned call = 0;

	while (call < N_CALLS && strcmp(n->rx.method, methods[call]) != 0)
		call++;
	assert_in_range(call, 0, N_CALLS - 1);
	n->calls[call]++;
	n->first[call] = ++n_calls;
	if (n->silent[call])
		return;
	if (n->rubbish) {
		bytes_w_copy(&w, "\xf0\xf0 no net/rpc", 13);
	} else if (n->refuse[call] != NULL && n->refuse[call][0] != '\0') {
		netrpc_put_error(&n->tx, &w, n->rx.method, n->rx.seq, n->refuse[call]);
	} else {
		netrpc_put_response(&n->tx, &w, n->rx.method, n->rx.seq);
		if (call == RESERVE)
			put_reserved(n, &w);
		else
			netrpc_put_bool(&w, n->refuse[call] == NULL);
	}
	assert_false(w.bad);
	conn_write(n->conn, out, bytes_w_len(&w));
}

static size_t node_data(void *arg, uint8_t *p, size_t len)
{
	struct node *n = arg;
	size_t used = 0;

	while (used < len) {
		bool ready;
		ssize_t took = netrpc_take(&n->rx, p + used, len - used, &ready);

		assert_true(took >= 0);
		used += (size_t)took;
		if (ready)
			answer(n);
	}
	return len;
}

static void node_end(void *arg, int err)
{
	struct node *n = arg;

	(void)err;
	while (n->n_old > 0) // both ended together
		conn_close(n->old[--n->n_old]);
	if (n->conn == NULL)
		return;
	conn_close(n->conn);
	n->conn = NULL;
}

static const struct conn_events node_events = {.data = node_data, .end = node_end};

static void on_stream(void *arg, struct conn *take_conn, const struct dmsg_addr *from)
{
	struct node *n = arg;

	assert_int_equal(key_pk_cmp(&from->pk, identity_pk(node[SETTER].id)), 0);
	if (n->conn != NULL) // two set-ups at once
		n->old[n->n_old++] = n->conn;
	n->conn = take_conn;
	memset(&n->rx, 0, sizeof(n->rx));
	memset(&n->tx, 0, sizeof(n->tx));
	conn_set_events(take_conn, &node_events, n);
}

static void serve(unsigned i)
{
	node[i].li = dmsg_client_listen(node[i].c, SETUP_GATEWAY_PORT, on_stream, &node[i]);
	assert_non_null(node[i].li);
}

// ---- who asks ----

static size_t asker_data(void *arg, uint8_t *p, size_t len)
{
	struct asker *a = arg;
	size_t used = 0;

	while (used < len) {
		bool ready;
		ssize_t took = netrpc_take(&a->rx, p + used, len - used, &ready);

		assert_true(took >= 0);
		used += (size_t)took;
		a->n_answers += ready;
		if (ready)
			snprintf(a->error, sizeof(a->error), "%s", a->rx.error);
	}
	return len;
}

static void asker_end(void *arg, int err)
{
	struct asker *a = arg;

	(void)err;
	a->over = true;
}

static const struct conn_events asker_events = {.data = asker_data, .end = asker_end};

static void on_reached(void *arg, struct conn *take_conn, enum dmsg_err code, int err)
{
	struct asker *a = arg;

	a->dial = NULL;
	assert_int_equal(code, DMSG_OK);
	assert_int_equal(err, 0);
	a->conn = take_conn;
	conn_set_events(take_conn, &asker_events, a);
	if (a->len > 0)
		assert_int_equal(conn_write(take_conn, a->say, a->len), a->len);
}

static void say(struct asker *a)
{
	const struct dmsg_addr to = {*identity_pk(node[SETTER].id), SETUP_DIAL_PORT};

	a->dial = dmsg_client_dial(node[A].c, &to, 5000, on_reached, a);
	assert_non_null(a->dial);
}

static void close_asker(struct asker *a)
{
	dmsg_client_dial_cancel(a->dial);
	conn_close(a->conn);
	memset(a, 0, sizeof(*a));
}

static const uint8_t route_types[] =
	"\x52\xff\x83\x03\x01\x01\x12"
	"BidirectionalRoute\x01\xff\x84\x00\x01\x04\x01\x04"
	"Desc\x01\xff\x86\x00\x01\x09KeepAlive\x01\x04\x00\x01\x07"
	"Forward\x01\xff\x8e\x00\x01\x07Reverse\x01\xff\x8e\x00\x00\x00"
	"\x20\xff\x85\x01\x01\x01\x0fRouteDescriptor\x01\xff\x86\x00\x01\x06\x01\xff\x8c\x00\x00"
	"\x1c\xff\x8d\x02\x01\x01\x0d[]routing.Hop\x01\xff\x8e\x00\x01\xff\x88\x00\x00"
	"\x2d\xff\x87\x03\x01\x01\x03Hop\x01\xff\x88\x00\x01\x03\x01\x04TpID\x01\xff\x8a\x00\x01"
	"\x04"
	"From\x01\xff\x8c\x00\x01\x02To\x01\xff\x8c\x00\x00\x00"
	"\x10\xff\x89\x06\x01\x01\x04UUID\x01\xff\x8a\x00\x00\x00"
	"\x12\xff\x8b\x06\x01\x01\x06PubKey\x01\xff\x8c\x00\x00\x00";

static void put_hops(struct bytes_w *w, const uint8_t *nodes, unsigned n)
{
	gob_put_uint(w, n - 1u);
	for (unsigned i = 0; i + 1 < n; i++) {
		uint8_t tp[RULE_TP_ID_LEN] = {(uint8_t)(nodes[i] + nodes[i + 1] + 1)};

		gob_put_uint(w, 1);
		gob_put_bytes(w, tp, sizeof(tp));
		gob_put_uint(w, 1);
		gob_put_bytes(w, identity_pk(node[nodes[i]].id)->b, KEY_PK_LEN);
		gob_put_uint(w, 1);
		gob_put_bytes(w, identity_pk(node[nodes[i + 1]].id)->b, KEY_PK_LEN);
		gob_put_uint(w, 0);
	}
}

// A call for the route by these nodes, and back the same way.
static void ask_for(struct asker *a, const uint8_t *nodes, unsigned n, int64_t keep_alive_ns)
{
	struct netrpc_tx tx = {.sent_request = a->len > 0};
	struct bytes_w w = bytes_w(a->say + a->len, sizeof(a->say) - a->len);
	uint8_t msg[4096], desc[RULE_DESC_LEN], back[8];
	struct bytes_w m = bytes_w(msg, sizeof(msg)), d = bytes_w(desc, sizeof(desc));
	struct rule_desc rd = {.src_port = 50000, .dst_port = 3};

	memcpy(rd.src_pk, identity_pk(node[nodes[0]].id)->b, KEY_PK_LEN);
	memcpy(rd.dst_pk, identity_pk(node[nodes[n - 1]].id)->b, KEY_PK_LEN);
	rule_desc_write(&d, &rd);
	for (unsigned i = 0; i < n; i++)
		back[i] = nodes[n - 1 - i];
	netrpc_put_request(&tx, &w, SETUP_DIAL, a->len > 0 ? 1 : 0);
	if (a->len == 0)
		bytes_w_copy(&w, route_types, sizeof(route_types) - 1);
	gob_put_int(&m, 66);
	gob_put_uint(&m, 1);
	gob_put_octets(&m, desc, sizeof(desc));
	gob_put_uint(&m, 1);
	gob_put_int(&m, keep_alive_ns);
	gob_put_uint(&m, 1);
	put_hops(&m, nodes, n);
	gob_put_uint(&m, 1);
	put_hops(&m, back, n);
	gob_put_uint(&m, 0);
	gob_put_bytes(&w, msg, bytes_w_len(&m));
	assert_false(w.bad || m.bad);
	a->len += bytes_w_len(&w);
}

static const uint8_t abc[] = {A, B, C};
enum { KEEP_ALIVE_S = 30 };
#define KEEP_ALIVE_NS (KEEP_ALIVE_S * 1000000000ll)

static void ask(struct asker *a)
{
	ask_for(a, abc, 3, KEEP_ALIVE_NS);
	say(a);
}

static struct setup_node_stats stats(void)
{
	struct setup_node_stats s;

	setup_node_stats_get(setter, &s);
	return s;
}

// ---- set-up ----

static void start_client(unsigned i)
{
	struct dmsg_server_at sc = {.pk = *identity_pk(server_id)};
	struct dmsg_client_conf c = {
		.loop = l, .id = node[i].id, .servers = &sc, .n_servers = 1, .retry_min_ms = 5};

	snprintf(sc.address, sizeof(sc.address), "127.0.0.1:%u", dmsg_server_port(server));
	node[i].c = dmsg_client_new(&c);
	assert_non_null(node[i].c);
}

static bool all_have_sessions(void)
{
	struct dmsg_client_stats s;

	for (unsigned i = 0; i < N_NODES; i++) {
		dmsg_client_stats_get(node[i].c, &s);
		if (s.sessions == 0)
			return false;
	}
	return true;
}

static int setup(void **state, struct setup_node_conf sc)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct dmsg_server_conf c = {.listen = (const struct sockaddr *)&sa,
		.sessions_max = 100,
		.session_streams = 100,
		.streams_max = 400};

	setup_loop(state);
	log_level_set("all", LOG_ERR);
	memset(node, 0, sizeof(node));
	memset(asker, 0, sizeof(asker));
	n_calls = 0;
	server_id = identity_of(98);
	c.loop = l;
	c.id = server_id;
	server = dmsg_server_new(&c);
	assert_non_null(server);
	for (unsigned i = 0; i < N_NODES; i++) {
		node[i].id = identity_of((uint8_t)(i + 1));
		start_client(i);
		if (i != SETTER)
			serve(i);
	}
	sc.loop = l;
	sc.client = node[SETTER].c;
	sc.idle_ms = IDLE_MS;
	sc.job_ms = JOB_MS;
	setter = setup_node_new(&sc);
	assert_non_null(setter);
	run_until(all_have_sessions());
	return 0;
}

// What rests, does so beyond the end of the test.
static int setup_short(void **state)
{
	return setup(state, (struct setup_node_conf){.rest_ms = REST_MS});
}

// What rests, does so beyond the end of the test.
static int setup_to_rest(void **state)
{
	return setup(state, (struct setup_node_conf){.rest_ms = LONG_MS});
}

// A set-up that failed rests for longer than its node counts as an old one.
static int setup_forgetful(void **state)
{
	return setup(state, (struct setup_node_conf){.rest_ms = REST_MS, .old_ms = 1});
}

// A route of three nodes has room, a second one has not.
static int setup_few_calls(void **state)
{
	return setup(state, (struct setup_node_conf){.rest_ms = REST_MS, .calls_max = 6});
}

static int teardown(void **state)
{
	for (unsigned i = 0; i < ASKERS; i++)
		close_asker(&asker[i]);
	setup_node_free(setter);
	for (unsigned i = 0; i < N_NODES; i++) {
		dmsg_client_unlisten(node[i].li);
		node_end(&node[i], 0);
		dmsg_client_free(node[i].c);
		identity_free(node[i].id);
	}
	dmsg_server_free(server);
	identity_free(server_id);
	return teardown_loop(state);
}

// ---- tests ----

static void a_route_is_laid_in_order(void **state)
{
	(void)state;
	ask(&asker[0]);
	run_until(asker[0].n_answers == 1);
	assert_string_equal(asker[0].error, "");
	for (unsigned i = A; i <= C; i++) {
		assert_int_equal(node[i].calls[RESERVE], 1);
		assert_true(node[i].first[RESERVE] < node[B].first[INTERMEDIARY]);
		assert_int_equal(node[i].calls[INTERMEDIARY], i == B);
		assert_int_equal(node[i].calls[EDGE], i == C);
		assert_int_equal(node[i].calls[DELETE], 0);
	}
	assert_true(node[B].first[INTERMEDIARY] < node[C].first[EDGE]);
	assert_int_equal(stats().done, 1);
	assert_int_equal(stats().running, 0);
	assert_int_equal(stats().calls, 0);
	run_until(node[A].conn == NULL && node[B].conn == NULL && node[C].conn == NULL);
}

static void a_stream_may_ask_twice_and_a_direct_route_has_no_middle(void **state)
{
	static const uint8_t ac[] = {A, C};

	(void)state;
	ask_for(&asker[0], abc, 3, KEEP_ALIVE_NS);
	ask_for(&asker[0], ac, 2, KEEP_ALIVE_NS);
	say(&asker[0]);
	run_until(asker[0].n_answers == 2);
	assert_string_equal(asker[0].error, "");
	assert_int_equal(node[B].calls[RESERVE], 1);
	assert_int_equal(node[C].calls[EDGE], 2);
	assert_int_equal(stats().done, 2);
}

static void assert_failed(const char *what, const char *why)
{
	char text[512], pk[KEY_PK_TEXT_LEN + 1];

	run_until(asker[0].n_answers == 1);
	key_pk_to_text(identity_pk(node[B].id), pk);
	snprintf(text, sizeof(text), "%s at %s: %s)", what, pk, why);
	assert_string_equal(asker[0].error, text);
	run_until(stats().running == 0);
	assert_int_equal(stats().failed, 1);
	assert_int_equal(stats().calls, 0);
}

static void a_refusal_is_told_and_taken_back(void **state)
{
	(void)state;
	node[B].refuse[INTERMEDIARY] = "failure code 1 (visor does not transit routes)";
	ask(&asker[0]);
	assert_failed("failure code 1 (add intermediary rules",
		"failure code 1 (visor does not transit routes)");
	assert_int_equal(node[B].calls[DELETE], 1);
	assert_int_equal(node[A].calls[DELETE] + node[C].calls[DELETE], 0); // have no rules yet
	assert_int_equal(node[C].calls[EDGE], 0);
}

static void the_responders_refusal_undoes_the_middle(void **state)
{
	(void)state;
	node[C].refuse[EDGE] = "";
	ask(&asker[0]);
	run_until(asker[0].n_answers == 1);
	assert_non_null(strstr(asker[0].error, "did not say that it has done so"));
	run_until(stats().running == 0);
	assert_int_equal(node[B].calls[DELETE], 1);
	assert_int_equal(node[C].calls[DELETE], 1);
}

static void a_node_without_that_call_is_asked_once(void **state)
{
	(void)state;
	node[B].refuse[INTERMEDIARY] = "no";
	node[B].refuse[DELETE] = "rpc: can't find method RPCGateway.DelRules";
	for (unsigned i = 0; i < 3; i++) {
		ask(&asker[i]);
		run_until(asker[i].n_answers == 1 && stats().running == 0);
	}
	assert_int_equal(node[B].calls[INTERMEDIARY], 3);
	assert_int_equal(node[B].calls[DELETE], 1);
}

static void a_node_may_get_that_call(void **state)
{
	(void)state;
	node[B].refuse[INTERMEDIARY] = "no";
	node[B].refuse[DELETE] = "rpc: can't find method RPCGateway.DelRules";
	for (unsigned i = 0; i < 2; i++) {
		ask(&asker[i]);
		run_until(asker[i].n_answers == 1 && stats().running == 0);
		node[B].refuse[DELETE] = NULL;
	}
	assert_int_equal(node[B].calls[DELETE], 2);
}

static void ids_that_cannot_be_end_it(void **state)
{
	(void)state;
	node[B].same_ids = true;
	ask(&asker[0]);
	assert_failed("failure code 4 (reserve ids", "gave other ids than asked for");
	assert_int_equal(node[B].calls[DELETE], 0);
}

static void a_node_that_is_not_there_ends_it(void **state)
{
	(void)state;
	dmsg_client_unlisten(node[B].li);
	node[B].li = NULL;
	ask(&asker[0]);
	run_until(asker[0].n_answers == 1);
	assert_non_null(strstr(asker[0].error, "failure code 4 (reserve ids at "));
	run_until(stats().running == 0);
}

static void a_silent_node_ends_it_in_time(void **state)
{
	(void)state;
	node[B].silent[INTERMEDIARY] = true;
	ask(&asker[0]);
	assert_failed("failure code 1 (add intermediary rules", "no answer in time");
	assert_int_equal(node[B].calls[DELETE], 1); // it may have done what it was asked for
}

static void rubbish_ends_it(void **state)
{
	(void)state;
	node[B].rubbish = true;
	ask(&asker[0]);
	assert_failed("failure code 4 (reserve ids", "answers what is no net/rpc");
}

static unsigned n_infos;
static struct setup_info last;

static void on_info(void *arg, const struct setup_info *info)
{
	(void)arg;
	last = *info;
	n_infos++;
}

static void who_goes_away_leaves_nothing(void **state)
{
	(void)state;
	node[C].silent[EDGE] = true;
	ask(&asker[0]);
	run_until(node[C].calls[EDGE] == 1);
	close_asker(&asker[0]);
	run_until(stats().running == 0);
	assert_int_equal(node[B].calls[DELETE], 1);
	assert_int_equal(node[C].calls[DELETE], 1);
	assert_int_equal(stats().askers, 0);
	assert_int_equal(stats().failed, 1);
	setup_node_each(setter, on_info, NULL);
	assert_true(last.over && !last.ok);
	assert_string_equal(last.why, "given up by who asked");
}

static void one_key_has_so_many_at_once(void **state)
{
	(void)state;
	node[B].silent[RESERVE] = true;
	for (unsigned i = 0; i <= SETUP_JOBS_OF_KEY; i++) {
		ask(&asker[i]);
		run_until(stats().streams == i + 1);
		run_until(stats().running + stats().refused == i + 1);
	}
	assert_int_equal(stats().running, SETUP_JOBS_OF_KEY);
	run_until(asker[SETUP_JOBS_OF_KEY].n_answers == 1);
	assert_non_null(strstr(asker[SETUP_JOBS_OF_KEY].error, "too many routes"));
	run_until(stats().running == 0); // in time
	assert_int_equal(stats().failed, SETUP_JOBS_OF_KEY);
}

static void all_streams_to_nodes_are_so_many(void **state)
{
	(void)state;
	node[B].silent[RESERVE] = true;
	ask(&asker[0]);
	run_until(stats().running == 1);
	ask(&asker[1]);
	run_until(asker[1].n_answers == 1);
	assert_non_null(strstr(asker[1].error, "too many routes"));
	assert_int_equal(stats().calls, 3);
	setup_node_each(setter, on_info, NULL);
	assert_false(last.over); // the one that runs: the other is not remembered
}

static void what_failed_keeps_its_place_for_a_while(void **state)
{
	(void)state;
	node[B].refuse[INTERMEDIARY] = "no";
	for (unsigned i = 0; i <= SETUP_JOBS_OF_KEY; i++) {
		ask(&asker[i]);
		run_until(asker[i].n_answers == 1);
	}
	// each was taken back, and all streams to nodes ended
	run_until(node[A].conn == NULL && node[B].conn == NULL && node[C].conn == NULL);
	assert_int_equal(node[B].calls[DELETE], SETUP_JOBS_OF_KEY);
	assert_int_equal(stats().failed, SETUP_JOBS_OF_KEY);
	assert_int_equal(stats().running, SETUP_JOBS_OF_KEY);
	assert_non_null(strstr(asker[SETUP_JOBS_OF_KEY].error, "too many routes"));
	assert_int_equal(stats().refused, 1);
}

static void who_was_refused_has_to_wait_also_on_other_streams(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SETUP_ASKERS_OF_KEY; i++) {
		ask_for(&asker[i], abc, 3, 1000000000);
		ask_for(&asker[i], abc, 3, 1000000000);
		say(&asker[i]);
		run_until(asker[i].n_answers == 1);
		close_asker(&asker[i]);
	}
	say(&asker[SETUP_ASKERS_OF_KEY]);
	run_until(stats().streams_refused == 1);
	assert_int_equal(stats().askers, SETUP_ASKERS_OF_KEY);
	assert_int_equal(stats().refused, SETUP_ASKERS_OF_KEY); // the second calls were not read
}

static void who_waited_is_served_again(void **state)
{
	(void)state;
	ask_for(&asker[0], abc, 3, 1000000000);
	ask_for(&asker[0], abc, 3, KEEP_ALIVE_NS);
	say(&asker[0]);
	run_until(asker[0].n_answers == 2);
	assert_string_equal(asker[0].error, "");
	ask_for(&asker[1], abc, 3, 1000000000);
	say(&asker[1]);
	run_until(asker[1].n_answers == 1);
	close_asker(&asker[1]);
	run_until(stats().askers == 1);
}

static void what_is_no_route_is_refused_with_words(void **state)
{
	(void)state;
	ask_for(&asker[0], abc, 3, 1000000000);
	say(&asker[0]);
	run_until(asker[0].n_answers == 1);
	assert_string_equal(asker[0].error, "keep-alive of 1 s: 5 s to 3600 s are possible");
	assert_int_equal(stats().refused, 1);
	assert_int_equal(n_calls, 0);
}

static void nobody_asks_for_the_route_of_another(void **state)
{
	static const uint8_t cba[] = {C, B, A};

	(void)state;
	ask_for(&asker[0], cba, 3, KEEP_ALIVE_NS); // A asks
	say(&asker[0]);
	run_until(asker[0].n_answers == 1);
	assert_string_equal(asker[0].error, SETUP_WRONG_ENDS);
	assert_int_equal(stats().refused, 1);
	assert_int_equal(n_calls, 0);
}

static void other_calls_get_the_words_of_go(void **state)
{
	struct netrpc_tx tx = {.sent_request = false};
	struct bytes_w w = bytes_w(asker[0].say, sizeof(asker[0].say));

	(void)state;
	netrpc_put_request(&tx, &w, SETUP_SERVICE ".Hop", 0);
	netrpc_put_bool(&w, true);
	asker[0].len = bytes_w_len(&w);
	say(&asker[0]);
	run_until(asker[0].n_answers == 1);
	assert_string_equal(asker[0].error, "rpc: can't find method SetupRPCGateway.Hop");
}

static void streams_that_say_nothing_or_rubbish_end(void **state)
{
	(void)state;
	say(&asker[0]);
	run_until(asker[0].over);
	assert_int_equal(stats().bad, 1);
	asker[1].len = 64;
	memset(asker[1].say, 0xf5, asker[1].len);
	say(&asker[1]);
	run_until(asker[1].over);
	assert_int_equal(stats().bad, 2);
	assert_int_equal(stats().askers, 0);
}

// "hello" is the beginning of a message of 104 bytes, as far as anybody knows before the stream
// ends.
static void streams_that_end_amid_a_call_are_counted(void **state)
{
	static const char hello[] = "hello\n";

	(void)state;
	memcpy(asker[0].say, hello, strlen(hello));
	asker[0].len = strlen(hello);
	say(&asker[0]);
	run_until(asker[0].conn != NULL);
	close_asker(&asker[0]);
	run_until(stats().bad == 1);
	assert_int_equal(stats().askers, 0);
	assert_int_equal(stats().streams, 1);
}

static void streams_that_end_after_a_call_are_not(void **state)
{
	struct netrpc_tx tx = {0};
	struct bytes_w w = bytes_w(asker[0].say, sizeof(asker[0].say));

	(void)state;
	netrpc_put_request(&tx, &w, SETUP_SERVICE ".Hop", 0);
	netrpc_put_bool(&w, true);
	asker[0].len = bytes_w_len(&w);
	say(&asker[0]);
	run_until(asker[0].n_answers == 1);
	close_asker(&asker[0]);
	run_until(stats().askers == 0);
	assert_int_equal(stats().bad, 0);
}

static void one_key_has_so_many_streams(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ASKERS; i++)
		say(&asker[i]);
	run_until(stats().streams_refused == 1);
	assert_int_equal(stats().streams, SETUP_ASKERS_OF_KEY);
	run_until(stats().askers == 0); // they said nothing
	assert_int_equal(stats().bad, SETUP_ASKERS_OF_KEY);
}

static void people_see_what_became_of_it(void **state)
{
	(void)state;
	n_infos = 0;
	node[B].silent[INTERMEDIARY] = true;
	ask(&asker[0]);
	run_until(node[B].calls[INTERMEDIARY] == 1);
	setup_node_each(setter, on_info, NULL);
	assert_int_equal(n_infos, 1);
	assert_false(last.over);
	assert_int_equal(last.step, SETUP_INSTALLS);
	assert_int_equal(last.n_forward, 2);
	assert_int_equal(last.desc.dst_port, 3);
	run_until(stats().running == 0);
	setup_node_each(setter, on_info, NULL);
	assert_int_equal(n_infos, 2);
	assert_true(last.over && !last.ok);
	assert_non_null(strstr(last.why, "no answer in time"));
}

static void it_may_end_in_the_middle(void **state)
{
	(void)state;
	node[B].silent[INTERMEDIARY] = true;
	ask(&asker[0]);
	run_until(node[B].calls[INTERMEDIARY] == 1);
	setup_node_free(setter);
	setter = NULL;
	run_until(asker[0].over && node[B].conn == NULL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_short, teardown)
#define TR(name) cmocka_unit_test_setup_teardown(name, setup_to_rest, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_route_is_laid_in_order),
		T(a_stream_may_ask_twice_and_a_direct_route_has_no_middle),
		T(a_refusal_is_told_and_taken_back),
		T(the_responders_refusal_undoes_the_middle),
		T(a_node_without_that_call_is_asked_once),
		cmocka_unit_test_setup_teardown(
			a_node_may_get_that_call, setup_forgetful, teardown),
		T(ids_that_cannot_be_end_it),
		T(a_node_that_is_not_there_ends_it),
		T(a_silent_node_ends_it_in_time),
		T(rubbish_ends_it),
		T(who_goes_away_leaves_nothing),
		T(one_key_has_so_many_at_once),
		T(one_key_has_so_many_streams),
		cmocka_unit_test_setup_teardown(
			all_streams_to_nodes_are_so_many, setup_few_calls, teardown),
		TR(what_failed_keeps_its_place_for_a_while),
		TR(who_was_refused_has_to_wait_also_on_other_streams),
		T(who_waited_is_served_again),
		T(what_is_no_route_is_refused_with_words),
		T(nobody_asks_for_the_route_of_another),
		T(other_calls_get_the_words_of_go),
		T(streams_that_say_nothing_or_rubbish_end),
		T(streams_that_end_amid_a_call_are_counted),
		T(streams_that_end_after_a_call_are_not),
		T(people_see_what_became_of_it),
		T(it_may_end_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
