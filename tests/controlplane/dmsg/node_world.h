// Clients and a server of ours over loopback sockets, in one loop.
#pragma once

#include "controlplane/dmsg/dmsg_client.h"
#include "controlplane/dmsg/dmsg_server.h"
#include "controlplane/dmsg/dmsg_stream.h"
#include "tests/controlplane/core/conn_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>

#include "lib/base/err.h"
#include "lib/base/log.h"

enum { MIB = 1 << 20, N_CLIENTS = 6, PORT = 46, LONG_MS = 30000, RETRY_MS = 5, TAKEN_MS = 100 };

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

static inline struct identity *identity_of(uint8_t n)
{
	struct key_sk sk = {{0}};
	struct identity *id;

	sk.b[31] = n;
	id = identity_from_sk(&sk);
	assert_non_null(id);
	return id;
}

static inline void start_server(const struct dmsg_server_conf *limits)
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

static inline void start_client_at(unsigned i, const struct key_pk *pk, uint16_t port)
{
	struct dmsg_client_server_conf sc = {.pk = *pk};
	struct dmsg_client_conf c = {.loop = l,
		.id = node[i].id,
		.servers = &sc,
		.n_servers = 1,
		.retry_min_ms = RETRY_MS,
		.taken_ms = TAKEN_MS};

	snprintf(sc.address, sizeof(sc.address), "127.0.0.1:%u", port);
	node[i].c = dmsg_client_new(&c);
	assert_non_null(node[i].c);
}

static inline void start_client(unsigned i)
{
	start_client_at(i, identity_pk(server_id), server_port);
}

static inline unsigned sessions(unsigned i)
{
	struct dmsg_client_stats st;

	dmsg_client_stats_get(node[i].c, &st);
	return st.sessions;
}

static inline struct dmsg_server_stats stats(void)
{
	struct dmsg_server_stats st;

	dmsg_server_stats_get(server, &st);
	return st;
}

static struct loop_timer *tick; // says a byte on client 1's stream

static inline void on_tick(void *arg)
{
	struct end *e = &node[1].dialled;

	(void)arg;
	if (e->c == NULL)
		return;
	e->to_send++;
	end_send(e);
}

static inline void on_accepted(void *arg, struct conn *c, const struct dmsg_addr *from)
{
	struct node *n = arg;

	n->n_accepted++;
	n->from = *from;
	end_close(&n->accepted);
	n->accepted.c = c;
	conn_set_events(c, &end_events, &n->accepted);
	end_send(&n->accepted);
}

static inline void on_dialled(void *arg, struct conn *c, enum dmsg_err code, int err)
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

static inline void listen_at(unsigned i, uint16_t port)
{
	node[i].li = dmsg_client_listen(node[i].c, port, on_accepted, &node[i]);
	assert_non_null(node[i].li);
}

static inline void dial_to(unsigned from, unsigned to, uint16_t port, uint32_t timeout_ms)
{
	struct dmsg_addr a = {*identity_pk(node[to].id), port};

	node[from].n_dialled = 0;
	assert_non_null(dmsg_client_dial(node[from].c, &a, timeout_ms, on_dialled, &node[from]));
}

static inline int setup(void **state)
{
	setup_loop(state);
	log_level_set("all", LOG_ERR);
	memset(node, 0, sizeof(node));
	server_port = 0;
	server_id = identity_of(99);
	tick = loop_timer_new(l, on_tick, NULL);
	for (unsigned i = 0; i < N_CLIENTS; i++)
		node[i].id = identity_of((uint8_t)(i + 1));
	return 0;
}

static inline int teardown(void **state)
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
	loop_timer_free(tick);
	identity_free(server_id);
	return teardown_loop(state);
}
