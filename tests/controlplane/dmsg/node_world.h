// Nodes with one server.
#pragma once

#include "controlplane/dmsg/dmsg_stream.h"
#include "lib/base/clock.h"
#include "tests/support/dmsg_nodes.h"

static struct identity *server_id;
static struct dmsg_server *server;
static uint16_t server_port;

static inline void start_server(const struct dmsg_server_conf *limits)
{
	const struct dmsg_server_conf wide = {.sessions_max = 0};

	server = serve_at(server_port, server_id, limits != NULL ? *limits : wide);
	server_port = dmsg_server_port(server);
}

static inline void start_client(unsigned i)
{
	start_client_at(i, identity_pk(server_id), server_port);
}

// The server, and clients 0 and 1, which listen.
static inline void start_two(const struct dmsg_server_conf *limits)
{
	start_server(limits);
	for (unsigned i = 0; i < 2; i++) {
		start_client(i);
		listen_at(i, PORT);
	}
	run_until(sessions(0) == 1 && sessions(1) == 1);
}

static inline struct dmsg_server_stats stats(void)
{
	struct dmsg_server_stats st;

	dmsg_server_stats_get(server, &st);
	return st;
}

static uint64_t stopped_ns;

static inline uint64_t stopped(void)
{
	return stopped_ns;
}

// What depends on how fast this machine is does not, while it stands still.
static inline void stop_clock(void)
{
	static const struct clock_source src = {stopped, stopped};

	stopped_ns = clock_mono_ns();
	clock_source_set(&src);
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

static inline int setup(void **state)
{
	setup_loop(state);
	nodes_init();
	server_port = 0;
	server_id = identity_of(99);
	tick = loop_timer_new(l, on_tick, NULL);
	return 0;
}

static inline int teardown(void **state)
{
	clock_source_set(NULL);
	nodes_fini();
	dmsg_server_free(server);
	server = NULL;
	loop_timer_free(tick);
	identity_free(server_id);
	return teardown_loop(state);
}
