// Servers of ours, joined or not, and clients of theirs, on one loop.
//
//   client i has a session to server home[i]; servers have the links that a test gives them
#pragma once

#include "controlplane/dmsg/dmsg_stream.h"
#include "tests/support/dmsg_nodes.h"

#include "lib/base/clock.h"

enum { N_SERVERS = 4 };

struct srv {
	struct identity *id;
	struct dmsg_server *s;
	uint16_t port; // kept over restarts
	struct dmsg_server_at peers[N_SERVERS];
	uint32_t n_peers;
	struct dir_client *dir;
	bool discovers;
};

static struct srv srv[N_SERVERS];
static uint32_t mesh_burst; // of servers that are started

// A server that knows the peers of srv[i].peers.
static inline void serve_with(unsigned i, struct dmsg_server_conf c)
{
	c.peers = srv[i].peers;
	c.n_peers = srv[i].n_peers;
	c.retry_min_ms = RETRY_MS;
	c.mesh_burst = mesh_burst;
	c.dir = srv[i].dir;
	c.mesh_discover = srv[i].discovers;
	c.find_first_ms = RETRY_MS;
	c.find_every_ms = 2 * RETRY_MS;
	srv[i].s = serve_at(srv[i].port, srv[i].id, c);
	srv[i].port = dmsg_server_port(srv[i].s);
}

static inline void serve(unsigned i)
{
	serve_with(i, (struct dmsg_server_conf){.sessions_max = 0});
}

// Server i names server k as its peer; with dial it also calls it.
static inline void join(unsigned i, unsigned k, bool dial)
{
	struct dmsg_server_at *p = &srv[i].peers[srv[i].n_peers++];

	p->pk = *identity_pk(srv[k].id);
	if (dial)
		snprintf(p->address, sizeof(p->address), "127.0.0.1:%u", srv[k].port);
}

static inline void unserve(unsigned i)
{
	dmsg_server_free(srv[i].s);
	srv[i].s = NULL;
}

static inline void start_client(unsigned i, unsigned home)
{
	start_client_at(i, identity_pk(srv[home].id), srv[home].port);
}

static inline struct dmsg_server_stats stats(unsigned i)
{
	struct dmsg_server_stats st;

	dmsg_server_stats_get(srv[i].s, &st);
	return st;
}

static inline void dial(unsigned from, unsigned to)
{
	dial_to(from, to, PORT, LONG_MS);
	run_until(node[from].n_dialled == 1);
}

static inline bool reaches(unsigned from, unsigned to)
{
	dial(from, to);
	return node[from].code == DMSG_OK;
}

static inline void hang_up(unsigned i)
{
	end_close(&node[i].dialled);
}

// Clients 0 and 1 at servers 0 and 1, which are joined both ways; client 1 listens.
static inline void start_two(void)
{
	join(0, 1, true);
	join(1, 0, true);
	serve(0);
	serve(1);
	start_client(0, 0);
	start_client(1, 1);
	listen_at(1, PORT);
	run_until(
		stats(0).peers == 1 && stats(1).peers == 1 && sessions(0) == 1 && sessions(1) == 1);
}

static inline int setup(void **state)
{
	setup_loop(state);
	nodes_init();
	memset(srv, 0, sizeof(srv));
	mesh_burst = 0;
	for (unsigned i = 0; i < N_SERVERS; i++) {
		srv[i].id = identity_of((uint8_t)(i + 100));
		srv[i].port = free_port();
	}
	return 0;
}

static inline int teardown(void **state)
{
	nodes_fini();
	for (unsigned i = 0; i < N_SERVERS; i++) {
		dmsg_server_free(srv[i].s);
		identity_free(srv[i].id);
	}
	return teardown_loop(state);
}
