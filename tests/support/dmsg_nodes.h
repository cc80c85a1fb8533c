// Clients of dmsg and servers of ours over loopback sockets, in one loop. Each client has an
// identity, and one stream that it dialled and one that it took.
#pragma once

#include "tests/support/dmsg_loop.h"

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

// A client with one server.
static inline void start_client_at(unsigned i, const struct key_pk *pk, uint16_t port)
{
	node[i].c = dmsg_loop_client(node[i].id, pk, port,
		(struct dmsg_client_conf){.retry_min_ms = RETRY_MS, .taken_ms = TAKEN_MS});
}

static inline unsigned sessions(unsigned i)
{
	return dmsg_loop_sessions(node[i].c);
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
