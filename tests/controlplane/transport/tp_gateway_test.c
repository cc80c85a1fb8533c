// What transport set-up nodes may have done at node 0, whose manager and data plane are those of
// world.h: the port is replaced, so that a test says what is called. Nodes 1 and 2 are peers.
#include "controlplane/transport/tp_gateway.h"
#include "tests/controlplane/transport/world.h"

enum { CALLERS = 4 };

static struct tp_gateway *gateway;

// ---- the port ----

struct rpc_port {
	struct rpc_port_conf conf;
	uint32_t n_callers;
};

static struct rpc_port port;

struct rpc_port *rpc_port_new(const struct rpc_port_conf *conf)
{
	port = (struct rpc_port){.conf = *conf};
	return &port;
}

int rpc_port_callers(struct rpc_port *p, const struct key_pk *keys, uint32_t n)
{
	(void)keys;
	p->n_callers = n;
	return n > RPC_CALLERS_MAX ? -EINVAL : 0;
}

static struct rpc_stream stream[CALLERS];
static struct netrpc_tx asks[CALLERS];
static struct netrpc_rx said; // the last answer
static unsigned n_said;

void rpc_port_free(struct rpc_port *p)
{
	for (unsigned i = 0; p != NULL && i < CALLERS; i++)
		if (stream[i].waits_for != NULL)
			p->conf.gone(p->conf.arg, &stream[i]);
	memset(stream, 0, sizeof(stream));
}

void rpc_port_stats_get(const struct rpc_port *p, struct rpc_port_stats *out)
{
	(void)p;
	memset(out, 0, sizeof(*out));
}

static void take_answer(const uint8_t *bytes, size_t len)
{
	bool ready;

	// Of whichever stream: what each has sent of descriptors is begun anew.
	memset(&said, 0, sizeof(said));
	assert_int_equal(netrpc_take(&said, bytes, len, &ready), len);
	assert_true(ready);
	n_said++;
}

void rpc_stream_answer(struct rpc_stream *s, const uint8_t *bytes, const struct bytes_w *w)
{
	assert_non_null(s->waits_for);
	s->waits_for = NULL;
	take_answer(bytes, (size_t)bytes_w_done(w));
	memset(&s->tx, 0, sizeof(s->tx));
}

// ---- who calls ----

static void call(unsigned i, const uint8_t *bytes, const struct bytes_w *w)
{
	static uint8_t out[RPC_ANSWER_MAX];
	struct bytes_w answer = bytes_w(out, sizeof(out));
	struct rpc_stream *s = &stream[i];
	bool ready;

	assert_false(w->bad);
	assert_null(s->waits_for);
	memset(&s->rx, 0, sizeof(s->rx));
	memset(&asks[i], 0, sizeof(asks[i]));
	assert_int_equal(netrpc_take(&s->rx, bytes, bytes_w_len(w), &ready), bytes_w_len(w));
	assert_true(ready);
	port.conf.call(port.conf.arg, s, &answer);
	if (s->waits_for != NULL)
		return;
	take_answer(out, (size_t)bytes_w_done(&answer));
	memset(&s->tx, 0, sizeof(s->tx));
}

static void ask_add(unsigned i, const struct key_pk *pk, const char *type)
{
	uint8_t buf[TP_SETUP_ASK_MAX];
	struct bytes_w w = bytes_w(buf, sizeof(buf));
	struct tp_setup_ask ask = {.remote = *pk};

	snprintf(ask.type, sizeof(ask.type), "%s", type);
	tp_setup_put_add(&asks[i], &w, 0, &ask);
	call(i, buf, &w);
}

static void ask_del(unsigned i, const uint8_t id[16])
{
	uint8_t buf[TP_SETUP_ASK_MAX];
	struct bytes_w w = bytes_w(buf, sizeof(buf));

	tp_setup_put_remove(&asks[i], &w, 0, id);
	call(i, buf, &w);
}

static uint32_t ask_list(struct tp_setup_tp list[TP_SETUP_MAX])
{
	uint8_t buf[TP_SETUP_ASK_MAX];
	struct bytes_w w = bytes_w(buf, sizeof(buf));
	uint32_t n;

	tp_setup_put_list(&asks[0], &w, 0);
	call(0, buf, &w);
	assert_int_equal(tp_setup_list_read(list, &n, &said), 0);
	return n;
}

static void says(const char *why)
{
	assert_string_equal(said.error, why);
	n_said = 0;
}

static struct tp_setup_tp is_up(void)
{
	struct tp_setup_tp tp;

	says("");
	assert_int_equal(tp_setup_tp_read(&tp, &said), 0);
	return tp;
}

static struct tp_gateway_stats stats(void)
{
	struct tp_gateway_stats s;

	tp_gateway_stats_get(gateway, &s);
	return s;
}

// ---- set-up ----

static int setup(void **state)
{
	struct tp_gateway_conf c = {.n_nodes = 1};
	int rc = w_setup(state);

	n_said = 0;
	memset(stream, 0, sizeof(stream));
	c.loop = w_dmsg[0].loop;
	c.client = &w_dmsg[0];
	c.transports = nodes[0].m;
	c.self = &nodes[0].pk;
	c.nodes = &nodes[2].pk;
	gateway = tp_gateway_new(&c);
	assert_non_null(gateway);
	assert_int_equal(port.conf.port, 47);
	assert_true(port.conf.named);
	assert_int_equal(port.n_callers, 1);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(transport_mgr_dmsg(nodes[i].m, &w_dmsg[i]), 0);
	transport_mgr_policy(nodes[1].m, true, NULL);
	w_run(10000); // nothing ended lately
	return rc;
}

static int teardown(void **state)
{
	tp_gateway_free(gateway);
	gateway = NULL;
	return w_teardown(state);
}

static struct transport *to_1(void)
{
	return transport_mgr_find_peer(nodes[0].m, &nodes[1].pk, TRANSPORT_DMSG);
}

// One that somebody else made.
static void other_makes(enum transport_origin origin, bool dial)
{
	struct transport_conf c = {.name = "mine",
		.type = TRANSPORT_DMSG,
		.dial = dial,
		.origin = origin,
		.peer = nodes[1].pk};
	char err[128] = "";

	assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), 0);
}

// ---- tests ----

static void one_is_made_listed_and_removed(void **state)
{
	struct tp_setup_tp tp, list[TP_SETUP_MAX];

	(void)state;
	assert_int_equal(ask_list(list), 0);
	n_said = 0;
	ask_add(0, &nodes[1].pk, "dmsg");
	assert_int_equal(n_said, 0); // it is not up yet
	w_run(100);
	assert_int_equal(n_said, 1);
	tp = is_up();
	assert_memory_equal(tp.id, transport_id(to_1()), 16);
	assert_int_equal(key_pk_cmp(&tp.local, &nodes[0].pk), 0);
	assert_int_equal(key_pk_cmp(&tp.remote, &nodes[1].pk), 0);
	assert_string_equal(tp.type, "dmsg");
	assert_int_equal(info_of(to_1()).conf.origin, TRANSPORT_ASKED);
	assert_int_equal(ask_list(list), 1);
	assert_memory_equal(&list[0], &tp, sizeof(tp));
	ask_del(1, tp.id);
	says("");
	assert_null(to_1());
	assert_int_equal(ask_list(list), 0);
	assert_int_equal(stats().made, 1);
	assert_int_equal(stats().removed, 1);
	assert_int_equal(stats().failed + stats().refused, 0);
}

// It is kept up, as one of the operator's is.
static void one_that_broke_is_back(void **state)
{
	struct tp_setup_tp list[TP_SETUP_MAX];

	(void)state;
	ask_add(0, &nodes[1].pk, "dmsg");
	w_run(100);
	is_up();
	w_conns_break(0, 1);
	w_run(0);
	assert_false(transport_is_up(to_1()));
	assert_int_equal(ask_list(list), 1);
	w_run(10000);
	assert_true(transport_is_up(to_1()));
}

static void one_whose_dial_fails_is_removed(void **state)
{
	(void)state;
	transport_mgr_policy(nodes[1].m, false, NULL);
	ask_add(0, &nodes[1].pk, "dmsg");
	w_run(100);
	assert_int_equal(n_said, 1);
	says("save transport: the peer hung up: may this node connect there?");
	assert_null(to_1());
	assert_int_equal(stats().failed, 1);
	w_run(100000);
	assert_int_equal(w_n_dials, 1);
}

static void one_of_a_type_without_a_way_is_removed(void **state)
{
	(void)state;
	ask_add(0, &nodes[1].pk, "stcpr");
	w_run(10);
	says("save transport: there is no address resolver to ask ([transports] "
	     "address_resolver)");
	assert_null(transport_mgr_find_peer(nodes[0].m, &nodes[1].pk, TRANSPORT_STCPR));
}

static void one_is_made_after_the_time_that_a_peer_needs(void **state)
{
	struct tp_setup_tp tp;

	(void)state;
	ask_add(0, &nodes[1].pk, "dmsg");
	w_run(100);
	tp = is_up();
	ask_del(0, tp.id);
	n_said = 0;
	ask_add(0, &nodes[1].pk, "dmsg");
	w_run(2900);
	assert_int_equal(n_said, 0); // not soon after an end
	w_run(2200);
	is_up();
	assert_int_equal(w_n_dials, 2);
}

static void what_cannot_be_is_refused(void **state)
{
	static const struct {
		const char *type, *why;
	} adds[] = {
		{"sudph", "save transport: unknown network type"},
		{"rail", "save transport: unknown network type"},
		{"", "save transport: unknown network type"},
		{"stcp", "save transport: the address of that node is not known here"},
	};
	static const uint8_t id[16] = {1};
	uint8_t buf[TP_SETUP_ASK_MAX];
	struct bytes_w w = bytes_w(buf, sizeof(buf));

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(adds); i++) {
		ask_add(0, &nodes[1].pk, adds[i].type);
		says(adds[i].why);
	}
	ask_add(0, &nodes[0].pk, "dmsg");
	says("save transport: peer is this node's own key");
	ask_del(0, id);
	says("transport not found");
	netrpc_put_request(&asks[0], &w, TP_SETUP_ADD, 0);
	netrpc_put_bool(&w, true);
	call(0, buf, &w);
	says("malformed request");
	assert_int_equal(stats().refused, 7);
	w = bytes_w(buf, sizeof(buf));
	netrpc_put_request(&asks[0], &w, TP_SETUP_SERVICE ".Halt", 0);
	netrpc_put_bool(&w, true);
	call(0, buf, &w);
	says("rpc: can't find method TransportGateway.Halt");
	assert_int_equal(stats().unknown, 1);
}

// Whom the operator will not have cannot be brought in by others.
static void a_denied_key_is_refused(void **state)
{
	struct peer_list *denied = peer_list_new();

	(void)state;
	assert_int_equal(peer_list_add(denied, &nodes[1].pk, PEER_DENIED, ""), 0);
	peer_list_done(denied);
	transport_mgr_policy(nodes[0].m, true, denied);
	ask_add(0, &nodes[1].pk, "dmsg");
	assert_int_equal(n_said, 1);
	assert_int_equal(strncmp(said.error, "save transport: ", 16), 0);
	assert_null(to_1());
	transport_mgr_policy(nodes[0].m, true, NULL);
	peer_list_free(denied);
}

// The operator's, or one that the peer made: told of, and not theirs.
static void those_of_others_are_told_and_stay(void **state)
{
	struct tp_setup_tp tp, list[TP_SETUP_MAX];

	(void)state;
	other_makes(TRANSPORT_CONFIGURED, true);
	ask_add(0, &nodes[1].pk, "dmsg");
	assert_int_equal(n_said, 0);
	w_run(100);
	is_up();
	ask_add(1, &nodes[1].pk, "dmsg"); // which is up already
	w_run(0);
	assert_int_equal(n_said, 1);
	tp = is_up();
	assert_int_equal(ask_list(list), 0);
	ask_del(0, tp.id);
	says("transport was not created by skycoin");
	assert_non_null(to_1());
	assert_int_equal(stats().made, 0);
}

static void one_of_others_that_stays_down_is_told_and_stays(void **state)
{
	(void)state;
	other_makes(TRANSPORT_CONFIGURED, false);
	ask_add(0, &nodes[1].pk, "dmsg");
	w_run(89000);
	assert_int_equal(n_said, 0);
	w_run(2000);
	says("save transport: not up in time: waiting for the peer to call");
	assert_non_null(to_1());
	assert_int_equal(stats().failed, 0);
}

// What the operator names becomes his.
static void the_operator_takes_one_over(void **state)
{
	struct tp_setup_tp tp, list[TP_SETUP_MAX];

	(void)state;
	ask_add(0, &nodes[1].pk, "dmsg");
	w_run(100);
	tp = is_up();
	other_makes(TRANSPORT_CONFIGURED, true);
	assert_true(transport_is_up(to_1()));
	assert_string_equal(transport_name(to_1()), "mine");
	assert_int_equal(ask_list(list), 0);
	ask_del(0, tp.id);
	says("transport was not created by skycoin");
}

static void two_may_ask_for_the_same(void **state)
{
	(void)state;
	transport_mgr_policy(nodes[1].m, false, NULL);
	ask_add(0, &nodes[1].pk, "dmsg");
	ask_add(1, &nodes[1].pk, "dmsg");
	w_run(100);
	assert_int_equal(n_said, 2);
	assert_null(to_1());
	transport_mgr_policy(nodes[1].m, true, NULL);
	n_said = 0;
	ask_add(0, &nodes[1].pk, "dmsg");
	ask_add(1, &nodes[1].pk, "dmsg");
	w_run(10000);
	assert_int_equal(n_said, 2);
	is_up();
	assert_int_equal(stats().made, 1);
}

static void one_that_is_removed_meanwhile_is_told(void **state)
{
	(void)state;
	w_conn_black = true;
	ask_add(0, &nodes[1].pk, "dmsg");
	w_run(100);
	ask_del(1, transport_id(to_1()));
	says("");
	w_run(0);
	says("save transport: it was removed");
	w_conn_black = false;
	w_run(100000);
	assert_null(to_1());
}

// What was asked for is done; and what came to nothing still goes.
static void who_asked_may_go(void **state)
{
	(void)state;
	ask_add(0, &nodes[1].pk, "dmsg");
	port.conf.gone(port.conf.arg, &stream[0]);
	stream[0].waits_for = NULL;
	w_run(100);
	assert_int_equal(n_said, 0);
	assert_true(transport_is_up(to_1()));
	ask_del(0, transport_id(to_1()));
	transport_mgr_policy(nodes[1].m, false, NULL);
	n_said = 0;
	ask_add(0, &nodes[1].pk, "dmsg");
	port.conf.gone(port.conf.arg, &stream[0]);
	stream[0].waits_for = NULL;
	w_run(10000);
	assert_int_equal(n_said, 0);
	assert_null(to_1());
}

static unsigned n_timers(void)
{
	unsigned n = 0;

	for (const struct loop_timer *t = w_timers; t != NULL; t = t->next)
		n += !t->dead;
	return n;
}

static void calls_end_with_their_streams(void **state)
{
	unsigned before;

	(void)state;
	other_makes(TRANSPORT_CONFIGURED, false);
	before = n_timers();
	for (unsigned i = 0; i < 100; i++) {
		ask_add(0, &nodes[1].pk, "dmsg");
		port.conf.gone(port.conf.arg, &stream[0]);
		stream[0].waits_for = NULL;
	}
	assert_int_equal(n_timers(), before);
	w_run(100000);
	assert_int_equal(n_said, 0);
}

static void there_are_so_many_and_no_more(void **state)
{
	struct tp_setup_tp list[TP_SETUP_MAX];
	struct transport_conf c = {
		.type = TRANSPORT_DMSG, .dial = false, .origin = TRANSPORT_ASKED};
	char err[128] = "";

	(void)state;
	for (unsigned i = 0; i < TP_SETUP_MAX; i++) {
		struct key_sk sk = {.b = {[0] = 1, [31] = (uint8_t)(i + 1)}};

		snprintf(c.name, sizeof(c.name), "n%u", i);
		assert_int_equal(key_pk_from_sk(&c.peer, &sk), 0);
		assert_int_equal(transport_mgr_add(nodes[0].m, &c, err, sizeof(err)), 0);
	}
	assert_int_equal(ask_list(list), TP_SETUP_MAX);
	ask_add(0, &nodes[1].pk, "dmsg");
	says("save transport: too many transports were asked for");
	ask_del(0, list[7].id);
	says("");
	ask_add(0, &nodes[1].pk, "dmsg");
	w_run(100);
	is_up();
}

// Calls that wait, and what they wait for, outlive nothing.
static void it_may_end_in_the_middle(void **state)
{
	(void)state;
	ask_add(0, &nodes[1].pk, "dmsg");
	tp_gateway_free(gateway);
	gateway = NULL;
	w_run(10000);
	assert_int_equal(n_said, 0);
	assert_true(transport_is_up(to_1()));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_is_made_listed_and_removed),
		T(one_that_broke_is_back),
		T(one_whose_dial_fails_is_removed),
		T(one_of_a_type_without_a_way_is_removed),
		T(one_is_made_after_the_time_that_a_peer_needs),
		T(what_cannot_be_is_refused),
		T(a_denied_key_is_refused),
		T(those_of_others_are_told_and_stay),
		T(one_of_others_that_stays_down_is_told_and_stays),
		T(the_operator_takes_one_over),
		T(two_may_ask_for_the_same),
		T(one_that_is_removed_meanwhile_is_told),
		T(who_asked_may_go),
		T(calls_end_with_their_streams),
		T(there_are_so_many_and_no_more),
		T(it_may_end_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
