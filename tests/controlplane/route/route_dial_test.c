// A dial over a dmsg server of ours on the loopback: set-up nodes that answer as they are told, by
// rules that setup_plan makes of what they were asked, and a group, a finder and transports that
// are played. What is asked of whom, what is believed of the answer, and how each failure reads.
#include "controlplane/route/route_dial.h"
#include "lib/route/setup_plan.h"
#include "tests/support/dmsg_loop.h"

#include "lib/base/err.h"
#include "lib/base/log.h"

enum { SELF, SETTER, OTHER_SETTER, N_CLIENTS, B = 11, C = 12, PORT = 3, LOCAL_PORT = 50001 };

enum says { RULES, NO, NOTHING, RUBBISH, FOREIGN_ROUTE, OTHER_KEEP_ALIVE };

static struct setter {
	struct identity *id;
	struct dmsg_client *c;
	struct dmsg_client_listener *li;
	struct conn *conn;
	struct netrpc_rx rx;
	struct setup_route route; // that was asked for
	enum says says;
	unsigned n_asked;
} client[N_CLIENTS];

static struct {
	struct conn conn;
	bool open; // it exists
	bool fails; // of open()
	unsigned n_opened, n_closed;
	struct setup_edge edge;
} group;

static struct {
	struct setup_path forward[2], reverse[2];
	uint32_t n;
	int err;
	unsigned n_asked, n_stopped;
	struct route_path_limits limits;
	route_ways_fn fn; // NULL: nobody waits
	void *arg;
} finder;

static struct {
	unsigned n;
	struct conn *conn;
	int err;
	char why[ROUTE_DIAL_WHY_MAX];
} result;

static struct identity *server_id;
static struct dmsg_server *server;
static struct route_dialler *dialler;
static struct key_pk key_b, key_c;
static bool linked_b, linked_c, ids_are_ours, no_port;
static unsigned n_claimed, n_released;

// ---- what a dial needs ----

static void group_close(struct conn *c)
{
	(void)c;
	group.open = false;
	group.n_closed++;
}

static const struct conn_ops group_ops = {.close = group_close};

static bool op_link(void *arg, const struct key_pk *peer, uint8_t tp_id[RULE_TP_ID_LEN])
{
	(void)arg;
	memset(tp_id, 7, RULE_TP_ID_LEN);
	return (linked_b && key_pk_cmp(peer, &key_b) == 0) ||
	       (linked_c && key_pk_cmp(peer, &key_c) == 0);
}

static bool op_claim(void *arg, const struct key_pk *setup_node, const uint32_t *ids, size_t n)
{
	(void)arg;
	assert_int_equal(n, 2);
	assert_int_not_equal(ids[0], ids[1]);
	n_claimed += ids_are_ours ? 2 : 0;
	return ids_are_ours &&
	       (key_pk_cmp(setup_node, identity_pk(client[SETTER].id)) == 0 ||
		       key_pk_cmp(setup_node, identity_pk(client[OTHER_SETTER].id)) == 0);
}

static void op_release(void *arg, const uint32_t *ids, size_t n)
{
	(void)arg;
	assert_int_not_equal(ids[0], ids[1]);
	n_released += (unsigned)n;
}

static uint16_t op_port(void *arg, const struct key_pk *pk, uint16_t port)
{
	(void)arg;
	assert_int_equal(key_pk_cmp(pk, &key_c), 0);
	assert_int_equal(port, PORT);
	return no_port ? 0 : LOCAL_PORT;
}

static struct conn *op_open(
	void *arg, const struct setup_edge *edge, const struct conn_events *ev, void *ev_arg)
{
	(void)arg;
	if (group.fails)
		return errno_null(ENOBUFS);
	group.conn = (struct conn){&group_ops, ev, ev_arg};
	group.edge = *edge;
	group.open = true;
	group.n_opened++;
	return &group.conn;
}

static const char *op_why(const struct conn *c)
{
	assert_ptr_equal(c, &group.conn);
	return "no handshake came";
}

static void *op_find(void *arg, const struct key_pk *dst, struct route_path_limits limits,
	route_ways_fn fn, void *fn_arg)
{
	(void)arg;
	assert_int_equal(key_pk_cmp(dst, &key_c), 0);
	finder.limits = limits;
	finder.fn = fn;
	finder.arg = fn_arg;
	finder.n_asked++;
	return &finder;
}

static void op_unfind(void *arg, void *look_up)
{
	(void)arg;
	assert_ptr_equal(look_up, &finder);
	finder.fn = NULL;
	finder.n_stopped++;
}

static void finder_answers(void)
{
	route_ways_fn fn = finder.fn;

	assert_non_null(fn);
	finder.fn = NULL;
	fn(finder.arg, finder.err, finder.err != 0 ? "404" : "", finder.forward, finder.n,
		finder.reverse, finder.n);
}

// ---- set-up nodes ----

static void put_rules(struct setter *s, struct netrpc_tx *tx, struct bytes_w *w)
{
	static struct setup_plan plan;
	char why[SETUP_WHY_MAX];
	struct setup_edge edge;

	if (s->says == OTHER_KEEP_ALIVE)
		s->route.keep_alive_ns += 1000000000;
	if (s->says == FOREIGN_ROUTE)
		s->route.desc.src_port++;
	assert_int_equal(setup_plan_init(&plan, &s->route, why), 0);
	for (uint32_t i = 0; i < plan.n_nodes; i++) {
		static const uint32_t ids[] = {21, 22, 23, 24};

		assert_int_equal(setup_plan_give(&plan, i, ids, setup_plan_wants(&plan, i)), 0);
	}
	setup_plan_initiator(&plan, &edge);
	setup_put_dialled(tx, w, s->rx.seq, &edge);
}

static void answer(struct setter *s)
{
	struct netrpc_tx tx = {0};
	uint8_t out[2048];
	struct bytes_w w = bytes_w(out, sizeof(out));

	assert_string_equal(s->rx.method, SETUP_DIAL);
	assert_int_equal(setup_route_read(&s->route, &s->rx), 0);
	s->n_asked++;
	if (s->says == NOTHING)
		return;
	if (s->says == NO)
		netrpc_put_error(&tx, &w, s->rx.method, s->rx.seq, "failure code 4 (no ids)");
	else if (s->says == RUBBISH)
		setup_put_bool(&tx, &w, s->rx.method, s->rx.seq, true);
	else
		put_rules(s, &tx, &w);
	assert_false(w.bad);
	conn_write(s->conn, out, bytes_w_len(&w));
}

static size_t setter_data(void *arg, uint8_t *p, size_t len)
{
	struct setter *s = arg;
	size_t used = 0;

	while (used < len) {
		bool ready;
		ssize_t took = netrpc_take(&s->rx, p + used, len - used, &ready);

		assert_true(took >= 0);
		used += (size_t)took;
		if (ready)
			answer(s);
	}
	return len;
}

static void setter_end(void *arg, int err)
{
	struct setter *s = arg;

	(void)err;
	conn_close(s->conn);
	s->conn = NULL;
}

static const struct conn_events setter_events = {.data = setter_data, .end = setter_end};

static void on_stream(void *arg, struct conn *take_conn, const struct dmsg_addr *from)
{
	struct setter *s = arg;

	assert_int_equal(key_pk_cmp(&from->pk, identity_pk(client[SELF].id)), 0);
	s->conn = take_conn;
	memset(&s->rx, 0, sizeof(s->rx));
	conn_set_events(take_conn, &setter_events, s);
}

static void serve(struct setter *s)
{
	s->li = dmsg_client_listen(s->c, SETUP_DIAL_PORT, on_stream, s);
	assert_non_null(s->li);
}

// ---- the dial ----

static void on_done(void *arg, struct conn *take_conn, int err, const char *why)
{
	(void)arg;
	result.n++;
	result.conn = take_conn;
	result.err = err;
	snprintf(result.why, sizeof(result.why), "%s", why);
}

static struct route_dial_ask ask_c(void)
{
	return (struct route_dial_ask){.dst = key_c, .port = PORT};
}

static struct route_dial *dial(struct route_dial_ask ask)
{
	struct route_dial *d = route_dial_new(dialler, &ask, on_done, NULL);

	assert_non_null(d);
	assert_int_equal(result.n, 0);
	return d;
}

static void dial_fails(struct route_dial_ask ask, int err, const char *why)
{
	memset(&result, 0, sizeof(result));
	dial(ask);
	run_until(result.n == 1);
	assert_null(result.conn);
	assert_int_equal(result.err, err);
	if (strstr(result.why, why) == NULL)
		fail_msg("'%s' is not in '%s'", why, result.why);
	assert_false(group.open);
}

static struct route_dialler_stats stats(void)
{
	struct route_dialler_stats s;

	route_dialler_stats_get(dialler, &s);
	return s;
}

static void nodes_are(size_t n)
{
	const struct key_pk pk[] = {
		*identity_pk(client[SETTER].id), *identity_pk(client[OTHER_SETTER].id)};

	assert_int_equal(
		route_dialler_set(dialler, &(struct route_dial_policy){.nodes = pk, .n_nodes = n}),
		0);
}

static void start_client(struct setter *s)
{
	s->c = dmsg_loop_client(s->id, identity_pk(server_id), dmsg_server_port(server),
		(struct dmsg_client_conf){.retry_min_ms = 0});
}

static bool all_have_sessions(void)
{
	for (unsigned i = 0; i < N_CLIENTS; i++)
		if (dmsg_loop_sessions(client[i].c) == 0)
			return false;
	return true;
}

static void start_dialler(void)
{
	struct route_dialler_conf c = {.loop = l,
		.client = client[SELF].c,
		.self = identity_pk(client[SELF].id),
		.ops = {op_link, op_claim, op_release, op_port, op_open, op_why, op_find, op_unfind,
			NULL},
		.setup_ms = 300,
		.node_ms = 2000};

	dialler = route_dialler_new(&c);
	assert_non_null(dialler);
	nodes_are(1);
}

static struct key_pk key_of(uint8_t n)
{
	struct identity *id = identity_of(n);
	struct key_pk pk = *identity_pk(id);

	identity_free(id);
	return pk;
}

static int setup(void **state)
{
	setup_loop(state);
	log_level_set("all", LOG_ERR);
	memset(client, 0, sizeof(client));
	memset(&group, 0, sizeof(group));
	memset(&finder, 0, sizeof(finder));
	memset(&result, 0, sizeof(result));
	key_b = key_of(B);
	key_c = key_of(C);
	linked_b = ids_are_ours = true;
	linked_c = no_port = false;
	n_claimed = n_released = 0;
	server_id = identity_of(98);
	server = serve_at(0, server_id, (struct dmsg_server_conf){.streams_max = 400});
	for (unsigned i = 0; i < N_CLIENTS; i++) {
		client[i].id = identity_of((uint8_t)(i + 1));
		start_client(&client[i]);
	}
	serve(&client[SETTER]);
	start_dialler();
	run_until(all_have_sessions());
	return 0;
}

static int teardown(void **state)
{
	route_dialler_free(dialler);
	for (unsigned i = 0; i < N_CLIENTS; i++) {
		dmsg_client_unlisten(client[i].li);
		conn_close(client[i].conn);
		dmsg_client_free(client[i].c);
		identity_free(client[i].id);
	}
	dmsg_server_free(server);
	identity_free(server_id);
	return teardown_loop(state);
}

// ---- tests ----

static void opened(void)
{
	run_until(group.open);
	group.conn.ev->open(group.conn.arg);
	assert_int_equal(result.n, 1);
	assert_ptr_equal(result.conn, &group.conn);
	assert_true(group.open);
	conn_close(result.conn);
}

static void an_explicit_way_is_laid_and_the_group_opened(void **state)
{
	struct route_dial_ask ask = ask_c();
	const struct setup_route *r = &client[SETTER].route;

	(void)state;
	ask.n_via = 1;
	ask.via[0] = key_b;
	ask.keep_alive_s = 30;
	strcpy(ask.type, "stcpr");
	dial(ask);
	opened();
	assert_int_equal(r->forward.n, 2);
	assert_int_equal(r->reverse.n, 2);
	assert_int_equal(r->forward.hop[0].tp_id[0], 7);
	assert_int_equal(r->keep_alive_ns, 30000000000);
	assert_int_equal(r->desc.src_port, LOCAL_PORT);
	assert_int_equal(r->desc.dst_port, PORT);
	assert_memory_equal(group.edge.desc.dst_pk, r->desc.src_pk, RULE_PK_LEN);
	assert_int_equal(finder.n_asked, 0);
	assert_int_equal(stats().dialled, 1);
	assert_int_equal(stats().failed, 0);
	assert_int_equal(stats().running, 0);
}

static void a_neighbour_is_reached_without_a_finder(void **state)
{
	(void)state;
	linked_c = true;
	dial(ask_c());
	opened();
	assert_int_equal(client[SETTER].route.forward.n, 1);
	assert_int_equal(
		client[SETTER].route.keep_alive_ns, ROUTE_DIAL_KEEP_ALIVE_S * 1000000000ll);
	assert_int_equal(finder.n_asked, 0);
}

static void fill_finder(void)
{
	const struct key_pk node[] = {*identity_pk(client[SELF].id), key_b, key_c};
	const uint8_t first[RULE_TP_ID_LEN] = {9};

	finder.n = 1;
	assert_int_equal(route_path_via(&finder.forward[0], node, 3, first, "stcpr"), 0);
	route_path_invert(&finder.reverse[0], &finder.forward[0]);
}

static void a_finders_way_is_taken_even_to_a_neighbour_when_more_hops_are_wanted(void **state)
{
	struct route_dial_ask ask = ask_c();

	(void)state;
	linked_c = true;
	ask.hops = (struct route_path_limits){2, 2};
	fill_finder();
	dial(ask);
	run_until(finder.fn != NULL);
	assert_int_equal(finder.limits.min, 2);
	finder_answers();
	opened();
	assert_int_equal(client[SETTER].route.forward.hop[0].tp_id[0], 9);
}

static void finder_fails(struct route_dial_ask ask, int err, const char *why)
{
	memset(&result, 0, sizeof(result));
	dial(ask);
	run_until(finder.fn != NULL);
	finder_answers();
	assert_int_equal(result.n, 1);
	assert_int_equal(result.err, err);
	assert_string_equal(result.why, why);
}

static void without_a_way_it_is_said_what_ways_there_are(void **state)
{
	struct route_dial_ask ask = ask_c();

	(void)state;
	fill_finder();
	ask.hops = (struct route_path_limits){3, 3};
	finder_fails(ask, -ENETUNREACH, "route finder: no path of 3 hops: there are paths of 2");
	finder.err = -ENOENT;
	finder_fails(ask, -ENOENT, "route finder: 404");
	linked_b = false;
	ask.n_via = 1;
	ask.via[0] = key_b;
	dial_fails(ask, -ENETUNREACH, "there is no transport to ");
	linked_b = true;
	ask.via[0] = key_c;
	linked_c = true;
	dial_fails(ask, -EINVAL, "follows itself");
	assert_int_equal(client[SETTER].n_asked, 0);
	assert_int_equal(stats().failed, 4);
}

static void the_next_set_up_node_is_asked_when_one_is_away_but_not_when_it_refuses(void **state)
{
	(void)state;
	linked_c = true;
	dmsg_client_unlisten(client[SETTER].li);
	client[SETTER].li = NULL;
	serve(&client[OTHER_SETTER]);
	nodes_are(2);
	dial(ask_c());
	opened();
	assert_int_equal(client[OTHER_SETTER].n_asked, 1);
	client[OTHER_SETTER].says = NO;
	serve(&client[SETTER]);
	client[SETTER].says = NO;
	dial_fails(ask_c(), -EREMOTEIO, ": failure code 4 (no ids)");
	assert_int_equal(client[SETTER].n_asked, 1);
	assert_int_equal(client[OTHER_SETTER].n_asked, 1);
}

static void without_set_up_nodes_it_is_said_what_is_missing(void **state)
{
	(void)state;
	linked_c = true;
	nodes_are(0);
	dial_fails(ask_c(), -EHOSTUNREACH, "[route_setup_node NAME]");
	linked_c = false;
	dial_fails(ask_c(), -EHOSTUNREACH, "[route_setup_node NAME]");
	assert_int_equal(finder.n_asked, 0); // nobody could lay what it would find
	linked_c = true;
	nodes_are(1);
	dmsg_client_unlisten(client[SETTER].li);
	client[SETTER].li = NULL;
	dial_fails(ask_c(), -EHOSTUNREACH, "set-up node ");
}

static void an_answer_that_is_not_to_the_question_is_not_believed(void **state)
{
	static const struct {
		enum says says;
		bool ours;
		int err;
		const char *why;
	} cases[] = {
		{RUBBISH, true, -EPROTO, "what is no answer to a dial"},
		{FOREIGN_ROUTE, true, -EPROTO, "rules that are not those of the route"},
		{OTHER_KEEP_ALIVE, true, -EPROTO, "rules that are not those of the route"},
		{RULES, false, -EPROTO, "rules whose ids it has not reserved here"},
		{NOTHING, true, -ETIMEDOUT, "no answer in 0 s"},
	};

	(void)state;
	linked_c = true;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		client[SETTER].says = cases[i].says;
		ids_are_ours = cases[i].ours;
		dial_fails(ask_c(), cases[i].err, cases[i].why);
	}
	assert_int_equal(group.n_opened, 0);
}

static void a_group_that_does_not_come_up_fails_the_dial_with_its_words(void **state)
{
	(void)state;
	linked_c = true;
	dial(ask_c());
	run_until(group.open);
	group.conn.ev->end(group.conn.arg, -ETIMEDOUT);
	assert_int_equal(result.n, 1);
	assert_int_equal(result.err, -ETIMEDOUT);
	assert_string_equal(result.why, "the route was laid, but: no handshake came");
	assert_int_equal(group.n_closed, 1);
	assert_int_equal(n_released, 0); // they are the group's
	group.fails = true;
	n_claimed = 0;
	dial_fails(ask_c(), -ENOBUFS, "the route was laid, but: ");
	assert_int_equal(n_claimed, 2);
	assert_int_equal(n_released, 2);
	group.fails = false;
	no_port = true;
	dial_fails(ask_c(), -EADDRINUSE, "no local port");
}

static void a_dial_may_be_given_up_at_each_step(void **state)
{
	struct route_dial *d;
	struct route_dial_ask far = ask_c();

	(void)state;
	far.hops.min = 2;
	route_dial_cancel(NULL);
	route_dial_cancel(dial(ask_c()));
	d = dial(far);
	run_until(finder.fn != NULL);
	route_dial_cancel(d);
	assert_int_equal(finder.n_stopped, 1);
	linked_c = true;
	client[SETTER].says = NOTHING;
	d = dial(ask_c());
	run_until(client[SETTER].n_asked == 1);
	route_dial_cancel(d);
	run_until(client[SETTER].conn == NULL);
	client[SETTER].says = RULES;
	d = dial(ask_c());
	run_until(group.open);
	route_dial_cancel(d);
	assert_false(group.open);
	assert_int_equal(result.n, 0);
	assert_int_equal(stats().running, 0);
}

static void what_a_dial_does_not_say_is_as_the_policy_says(void **state)
{
	const struct key_pk *setter = identity_pk(client[SETTER].id);
	struct route_dial_to to[ROUTE_DIAL_TO_MAX + 1] = {{key_b, {4, 4}}, {key_c, {2, 3}}};
	struct route_dial_policy p = {.nodes = setter,
		.n_nodes = 1,
		.hops = {1, 1},
		.to = to,
		.n_to = 2,
		.keep_alive_s = 60};
	struct route_dial_ask ask = ask_c();

	(void)state;
	linked_c = true;
	fill_finder();
	assert_int_equal(route_dialler_set(dialler, &p), 0);
	dial(ask);
	run_until(finder.fn != NULL);
	assert_int_equal(finder.limits.min, 2);
	assert_int_equal(finder.limits.max, 3);
	finder_answers();
	opened();
	assert_int_equal(client[SETTER].route.keep_alive_ns, 60000000000);
	memset(&result, 0, sizeof(result));
	p.n_to = ARRAY_LEN(to);
	assert_int_equal(route_dialler_set(dialler, &p), -ENOSPC);
	ask.hops.min = ask.hops.max = 1;
	dial(ask);
	opened();
	assert_int_equal(client[SETTER].route.forward.n, 1);
	assert_int_equal(client[SETTER].route.keep_alive_ns, 60000000000);
}

static void impossible_dials_and_too_many_are_refused_at_once(void **state)
{
	struct route_dial *held[ROUTE_DIALS_MAX];
	struct route_dial_ask ask = ask_c();

	(void)state;
	ask.port = 0;
	assert_null(route_dial_new(dialler, &ask, on_done, NULL));
	assert_int_equal(errno, EINVAL);
	ask = ask_c();
	ask.dst = *identity_pk(client[SELF].id);
	assert_null(route_dial_new(dialler, &ask, on_done, NULL));
	assert_int_equal(errno, EINVAL);
	ask = ask_c();
	for (int i = 0; i < ROUTE_DIALS_MAX; i++)
		held[i] = dial(ask);
	assert_null(route_dial_new(dialler, &ask, on_done, NULL));
	assert_int_equal(errno, EBUSY);
	assert_int_equal(stats().refused, 1);
	for (int i = 0; i < ROUTE_DIALS_MAX; i++)
		route_dial_cancel(held[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_explicit_way_is_laid_and_the_group_opened),
		TEST(a_neighbour_is_reached_without_a_finder),
		TEST(a_finders_way_is_taken_even_to_a_neighbour_when_more_hops_are_wanted),
		TEST(without_a_way_it_is_said_what_ways_there_are),
		TEST(the_next_set_up_node_is_asked_when_one_is_away_but_not_when_it_refuses),
		TEST(without_set_up_nodes_it_is_said_what_is_missing),
		TEST(an_answer_that_is_not_to_the_question_is_not_believed),
		TEST(a_group_that_does_not_come_up_fails_the_dial_with_its_words),
		TEST(a_dial_may_be_given_up_at_each_step),
		TEST(what_a_dial_does_not_say_is_as_the_policy_says),
		TEST(impossible_dials_and_too_many_are_refused_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
