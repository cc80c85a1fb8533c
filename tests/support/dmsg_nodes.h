// Clients of dmsg and servers of ours over loopback sockets, in one loop. Each client has an
// identity, and one stream that it dialled and one that it took.
#pragma once

#include "controlplane/dmsg/dmsg_client.h"
#include "controlplane/dmsg/dmsg_server.h"
#include "tests/controlplane/core/conn_fixture.h"
#include "tests/support/loopback.h"

#include <signal.h>

#include "lib/base/err.h"
#include "lib/base/log.h"

enum { MIB = 1 << 20, N_CLIENTS = 6, PORT = 46, LONG_MS = 30000, RETRY_MS = 5, TAKEN_MS = 100 };

struct node {
	struct identity *id;
	struct dmsg_client *c;
	struct dmsg_client_listener *li;
	struct end dialled, accepted;
	struct dmsg_addr from; // of the one accepted
	unsigned n_dialled, n_accepted, n_pong, n_left;
	enum dmsg_err code; // of the last dial, as is
	int err;
	int ping_err;
};

static struct node node[N_CLIENTS];

static inline void nodes_init(void)
{
	log_level_set("all", LOG_ERR);
	memset(node, 0, sizeof(node));
	for (unsigned i = 0; i < N_CLIENTS; i++)
		node[i].id = identity_of((uint8_t)(i + 1));
}

// The client and all that was done with it.
static inline void node_stop(unsigned i)
{
	dmsg_client_unlisten(node[i].li);
	end_close(&node[i].dialled);
	end_close(&node[i].accepted);
	dmsg_client_free(node[i].c);
	node[i] = (struct node){.id = node[i].id};
}

static inline void nodes_fini(void)
{
	for (unsigned i = 0; i < N_CLIENTS; i++) {
		node_stop(i);
		identity_free(node[i].id);
	}
}

// A server of ours; limits that c leaves out are wide, port 0 is any. The caller's.
static inline struct dmsg_server *serve_at(
	uint16_t port, const struct identity *id, struct dmsg_server_conf c)
{
	struct sockaddr_in sa = loopback(port);
	struct dmsg_server *s;

	c.loop = l;
	c.id = id;
	c.listen = (const struct sockaddr *)&sa;
	if (c.sessions_max == 0)
		c.sessions_max = 100;
	if (c.session_streams == 0)
		c.session_streams = 100;
	if (c.streams_max == 0)
		c.streams_max = 100;
	s = dmsg_server_new(&c);
	assert_non_null(s);
	return s;
}

// A client with one server.
static inline void start_client_at(unsigned i, const struct key_pk *pk, uint16_t port)
{
	struct dmsg_server_at sc = {.pk = *pk};
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

static inline unsigned sessions(unsigned i)
{
	struct dmsg_client_stats st;

	dmsg_client_stats_get(node[i].c, &st);
	return st.sessions;
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
	end_close(&n->dialled);
	n->dialled.c = c;
	conn_set_events(c, &end_events, &n->dialled);
	end_send(&n->dialled);
}

static inline void listen_at(unsigned i, uint16_t port)
{
	node[i].li = dmsg_client_listen(node[i].c, port, on_accepted, &node[i]);
	assert_non_null(node[i].li);
}

static inline void dial_key(
	unsigned from, const struct key_pk *pk, uint16_t port, uint32_t timeout_ms)
{
	struct dmsg_addr a = {*pk, port};

	node[from].n_dialled = 0;
	assert_non_null(dmsg_client_dial(node[from].c, &a, timeout_ms, on_dialled, &node[from]));
	assert_int_equal(node[from].n_dialled, 0); // never from within the call
}

static inline void dial_to(unsigned from, unsigned to, uint16_t port, uint32_t timeout_ms)
{
	dial_key(from, identity_pk(node[to].id), port, timeout_ms);
}
