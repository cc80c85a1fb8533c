// A set-up node over a dmsg server of ours on the loopback: who asks, and nodes that answer as they
// are told, speak bytes.
#pragma once

#include "controlplane/route/setup_node.h"
#include "tests/support/dmsg_loop.h"

#include "lib/base/err.h"
#include "lib/base/log.h"

enum { A, B, C, SETTER, N_NODES, ASKERS = SETUP_ASKERS_OF_KEY + 1 };
enum { IDLE_MS = 200, JOB_MS = 1500, REST_MS = 20, KEEP_MS = 100, LONG_MS = 30000 };

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
	bool hangs_up, deaf; // at the next call
	unsigned n_streams;
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

// Two ids, as each node of a route here and back has two places.
static inline void put_reserved(struct node *n, struct bytes_w *w)
{
	uint32_t ids[2] = {1, 1};

	for (unsigned i = 0; i < 2 && !n->same_ids; i++)
		ids[i] = ++n->next_id;
	setup_put_reserved(&n->tx, w, n->rx.seq, ids, 2);
}

static inline void node_end(void *arg, int err)
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

static inline void answer(struct node *n)
{
	uint8_t out[1024];
	struct bytes_w w = bytes_w(out, sizeof(out));
	unsigned call = 0;

	while (call < N_CALLS && strcmp(n->rx.method, methods[call]) != 0)
		call++;
	assert_in_range(call, 0, N_CALLS - 1);
	if (n->deaf) {
		n->deaf = false;
		return;
	}
	if (n->hangs_up) {
		n->hangs_up = false;
		node_end(n, 0);
		return;
	}
	n->calls[call]++;
	n->first[call] = ++n_calls;
	if (n->silent[call])
		return;
	if (n->rubbish) {
		bytes_w_copy(&w, "\xf0\xf0 no net/rpc", 13);
	} else if (n->refuse[call] != NULL && n->refuse[call][0] != '\0') {
		netrpc_put_error(&n->tx, &w, n->rx.method, n->rx.seq, n->refuse[call]);
	} else if (call == RESERVE) {
		put_reserved(n, &w);
	} else {
		setup_put_bool(&n->tx, &w, n->rx.method, n->rx.seq, n->refuse[call] == NULL);
	}
	assert_false(w.bad);
	conn_write(n->conn, out, bytes_w_len(&w));
}

static inline size_t node_data(void *arg, uint8_t *p, size_t len)
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

static const struct conn_events node_events = {.data = node_data, .end = node_end};

static inline void on_stream(void *arg, struct conn *take_conn, const struct dmsg_addr *from)
{
	struct node *n = arg;

	assert_int_equal(key_pk_cmp(&from->pk, identity_pk(node[SETTER].id)), 0);
	if (n->conn != NULL) // two set-ups at once
		n->old[n->n_old++] = n->conn;
	n->conn = take_conn;
	n->n_streams++;
	memset(&n->rx, 0, sizeof(n->rx));
	memset(&n->tx, 0, sizeof(n->tx));
	conn_set_events(take_conn, &node_events, n);
}

static inline void serve(unsigned i)
{
	node[i].li = dmsg_client_listen(node[i].c, SETUP_GATEWAY_PORT, on_stream, &node[i]);
	assert_non_null(node[i].li);
}

// ---- who asks ----

static inline size_t asker_data(void *arg, uint8_t *p, size_t len)
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

static inline void asker_end(void *arg, int err)
{
	struct asker *a = arg;

	(void)err;
	a->over = true;
}

static const struct conn_events asker_events = {.data = asker_data, .end = asker_end};

static inline void on_reached(void *arg, struct conn *take_conn, enum dmsg_err code, int err)
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

static inline void say(struct asker *a)
{
	const struct dmsg_addr to = {*identity_pk(node[SETTER].id), SETUP_DIAL_PORT};

	a->dial = dmsg_client_dial(node[A].c, &to, 5000, on_reached, a);
	assert_non_null(a->dial);
}

static inline void close_asker(struct asker *a)
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

static inline void put_hops(struct bytes_w *w, const uint8_t *nodes, unsigned n)
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
static inline void ask_for(struct asker *a, const uint8_t *nodes, unsigned n, int64_t keep_alive_ns)
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

static inline void ask(struct asker *a)
{
	ask_for(a, abc, 3, KEEP_ALIVE_NS);
	say(a);
}

static inline struct setup_node_stats stats(void)
{
	struct setup_node_stats s;

	setup_node_stats_get(setter, &s);
	return s;
}

// ---- set-up ----

static inline bool all_have_sessions(void)
{
	for (unsigned i = 0; i < N_NODES; i++)
		if (dmsg_loop_sessions(node[i].c) == 0)
			return false;
	return true;
}

static inline int setup(void **state, struct setup_node_conf sc)
{
	setup_loop(state);
	log_level_set("all", LOG_ERR);
	memset(node, 0, sizeof(node));
	memset(asker, 0, sizeof(asker));
	n_calls = 0;
	server_id = identity_of(98);
	server = serve_at(0, server_id, (struct dmsg_server_conf){.streams_max = 400});
	for (unsigned i = 0; i < N_NODES; i++) {
		node[i].id = identity_of((uint8_t)(i + 1));
		node[i].c = dmsg_loop_client(node[i].id, identity_pk(server_id),
			dmsg_server_port(server), (struct dmsg_client_conf){.retry_min_ms = 0});
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
static inline int setup_short(void **state)
{
	return setup(state, (struct setup_node_conf){.rest_ms = REST_MS, .keep_ms = KEEP_MS});
}

static inline int teardown(void **state)
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
