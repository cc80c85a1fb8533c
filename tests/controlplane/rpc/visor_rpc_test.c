// A hypervisor and the nodes under it, over a server of ours on the loopback: pushes that are
// taken, refused and not for everybody, calls that nobody serves, and streams that carry no calls
// at all.
#include "controlplane/dmsg/lan_server.h"
#include "controlplane/rpc/visor_rpc.h"
#include "tests/support/dmsg_nodes.h"

enum { HYPERVISOR, VISOR, OTHER, N_NODES };

static struct visor {
	struct visor_rpc *rpc;
	const char *refuse; // pushes, for this reason
	struct visor_lan push; // the last one
	unsigned n_pushes;
} visor[N_NODES];

static struct identity *server_id, *lan_id;
static struct dmsg_server *server;
static struct lan_server *lan;

// A hypervisor that speaks bytes.
static struct {
	struct dmsg_client_listener *li;
	struct conn *conn;
	const uint8_t *say;
	size_t len;
	struct netrpc_rx rx;
	char error[8][NETRPC_ERROR_MAX];
	unsigned n_streams, n_answers;
} raw;

static const char *on_push(void *arg, const struct visor_lan *push, const struct key_pk *from)
{
	struct visor *v = arg;

	assert_int_equal(key_pk_cmp(from, identity_pk(node[HYPERVISOR].id)), 0);
	v->push = *push;
	v->n_pushes++;
	return v->refuse;
}

static void start_rpc(unsigned i)
{
	struct visor_rpc_conf c = {.loop = l,
		.client = node[i].c,
		.hypervisors = identity_pk(node[HYPERVISOR].id),
		.n_hypervisors = 1,
		.retry_min_ms = RETRY_MS,
		.set_lan = on_push,
		.arg = &visor[i]};

	visor[i].rpc = visor_rpc_new(&c);
	assert_non_null(visor[i].rpc);
}

static void start_lan(void)
{
	struct lan_server_conf c = {.loop = l,
		.id = lan_id,
		.client = node[HYPERVISOR].c,
		.public_address = "lan.example.org:8085",
		.visors = identity_pk(node[VISOR].id),
		.n_visors = 1,
		.sessions_max = 10,
		.session_streams = 10,
		.streams_max = 10};

	lan = lan_server_new(&c);
	assert_non_null(lan);
}

static struct lan_server_stats lan_stats(void)
{
	struct lan_server_stats s;

	lan_server_stats_get(lan, &s);
	return s;
}

static uint32_t lan_clients(void)
{
	struct dmsg_server_stats ss;

	dmsg_server_stats_get(lan_server_server(lan), &ss);
	return ss.sessions;
}

static struct visor_rpc_stats stats(unsigned i)
{
	struct visor_rpc_stats s;

	visor_rpc_stats_get(visor[i].rpc, &s);
	return s;
}

static int setup(void **state)
{
	setup_loop(state);
	nodes_init();
	memset(visor, 0, sizeof(visor));
	memset(&raw, 0, sizeof(raw));
	server_id = identity_of(98);
	lan_id = identity_of(99);
	server = serve_at(0, server_id, (struct dmsg_server_conf){.sessions_max = 0});
	for (unsigned i = 0; i < N_NODES; i++)
		start_client_at(i, identity_pk(server_id), dmsg_server_port(server));
	return 0;
}

static int teardown(void **state)
{
	dmsg_client_unlisten(raw.li);
	conn_close(raw.conn);
	lan_server_free(lan);
	lan = NULL;
	for (unsigned i = 0; i < N_NODES; i++)
		visor_rpc_free(visor[i].rpc);
	nodes_fini();
	dmsg_server_free(server);
	identity_free(server_id);
	identity_free(lan_id);
	return teardown_loop(state);
}

// ---- pushes ----

static void a_push_reaches_the_node(void **state)
{
	(void)state;
	start_lan();
	start_rpc(VISOR);
	run_until(lan_stats().pushed == 1);
	assert_int_equal(stats(VISOR).taken, 1);
	assert_int_equal(lan_stats().visors, 1);
	assert_true(visor[VISOR].push.enabled);
	assert_int_equal(key_pk_cmp(&visor[VISOR].push.pk, identity_pk(lan_id)), 0);
	assert_string_equal(visor[VISOR].push.address, lan_server_address(lan));
	assert_string_equal(visor[VISOR].push.public_address, "lan.example.org:8085");
	// the hypervisor's own client is in the LAN, too
	run_until(lan_clients() == 1);
}

static void a_refusal_is_counted_at_both_ends(void **state)
{
	(void)state;
	visor[VISOR].refuse = "not today";
	start_lan();
	start_rpc(VISOR);
	run_until(lan_stats().push_failed == 1);
	assert_int_equal(stats(VISOR).refused, 1);
	assert_int_equal(lan_stats().pushed, 0);
}

static void strangers_are_told_nothing(void **state)
{
	(void)state;
	start_lan();
	start_rpc(OTHER);
	run_until(lan_stats().strangers >= 2 && stats(OTHER).lost >= 1); // it asks again
	assert_int_equal(visor[OTHER].n_pushes, 0);
	assert_int_equal(lan_stats().visors, 0);
}

static void a_node_that_comes_back_is_pushed_again(void **state)
{
	(void)state;
	start_lan();
	start_rpc(VISOR);
	run_until(lan_stats().pushed == 1);
	visor_rpc_free(visor[VISOR].rpc);
	start_rpc(VISOR);
	run_until(lan_stats().pushed == 2 && lan_stats().visors == 1);
	assert_int_equal(visor[VISOR].n_pushes, 2);
}

// ---- other hypervisors ----

static size_t on_raw_data(void *arg, uint8_t *p, size_t len)
{
	size_t used = 0;

	(void)arg;
	while (used < len) {
		bool ready;
		ssize_t n = netrpc_take(&raw.rx, p + used, len - used, &ready);

		assert_true(n > 0);
		used += (size_t)n;
		if (ready)
			memcpy(raw.error[raw.n_answers++ % 8], raw.rx.error, NETRPC_ERROR_MAX);
	}
	return len;
}

static void on_raw_end(void *arg, int err)
{
	(void)arg, (void)err;
	conn_close(raw.conn);
	raw.conn = NULL;
}

static const struct conn_events raw_events = {.data = on_raw_data, .end = on_raw_end};

static void on_raw(void *arg, struct conn *take_conn, const struct dmsg_addr *from)
{
	(void)arg, (void)from;
	conn_close(raw.conn);
	raw.conn = take_conn;
	raw.n_streams++;
	memset(&raw.rx, 0, sizeof(raw.rx));
	conn_set_events(take_conn, &raw_events, NULL);
	assert_int_equal(conn_write(take_conn, raw.say, raw.len), raw.len);
}

static void listen_raw(const uint8_t *say, size_t len)
{
	raw.say = say;
	raw.len = len;
	raw.li = dmsg_client_listen(node[HYPERVISOR].c, VISOR_RPC_PORT, on_raw, NULL);
	assert_non_null(raw.li);
}

static void other_calls_get_gos_answers(void **state)
{
	static const char *const methods[] = {"app-visor.Summary", "Other.Method", "NoDot"};
	static const struct visor_lan off = {.address = "10.0.0.1:80"};
	uint8_t say[2048];
	struct bytes_w w = bytes_w(say, sizeof(say));
	struct netrpc_tx tx = {.sent_request = false};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(methods); i++) {
		netrpc_put_request(&tx, &w, methods[i], i);
		netrpc_put_bool(&w, true);
	}
	netrpc_put_request(&tx, &w, VISOR_SET_LAN, 3); // its argument is no bool
	netrpc_put_bool(&w, true);
	visor_lan_put(&tx, &w, 4, &off); // not enabled: passed over
	listen_raw(say, bytes_w_len(&w));
	start_rpc(VISOR);
	run_until(raw.n_answers == 5);
	assert_string_equal(raw.error[0], "rpc: can't find method app-visor.Summary");
	assert_string_equal(raw.error[1], "rpc: can't find service Other.Method");
	assert_string_equal(raw.error[2], "rpc: service/method request ill-formed: NoDot");
	assert_true(raw.error[3][0] != '\0');
	assert_string_equal(raw.error[4], "");
	assert_int_equal(stats(VISOR).unknown, 3);
	assert_int_equal(stats(VISOR).refused, 2);
	assert_int_equal(visor[VISOR].n_pushes, 0);
	assert_int_equal(raw.n_streams, 1);
}

static void what_is_no_call_ends_the_stream_and_it_is_dialled_again(void **state)
{
	static const uint8_t say[] =
		"GET / HTTP/1.1\r\n\r\n and so much more behind it that it is a whole message for gob";

	(void)state;
	listen_raw(say, sizeof(say));
	start_rpc(VISOR);
	run_until(raw.n_streams >= 3);
	assert_true(stats(VISOR).bad >= 2);
	assert_int_equal(visor[VISOR].n_pushes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_push_reaches_the_node, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refusal_is_counted_at_both_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(strangers_are_told_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_node_that_comes_back_is_pushed_again, setup, teardown),
		cmocka_unit_test_setup_teardown(other_calls_get_gos_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_no_call_ends_the_stream_and_it_is_dialled_again, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
