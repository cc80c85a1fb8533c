// A dmsg server of ours on the loopback and clients of it, in the loop of conn_fixture.h.
#pragma once

#include "controlplane/dmsg/dmsg_client.h"
#include "controlplane/dmsg/dmsg_server.h"
#include "tests/controlplane/core/conn_fixture.h"
#include "tests/support/loopback.h"

#include <stdio.h>

// Limits that c leaves out are wide, port 0 is any. The caller's, as the next one.
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

// With one server; what c leaves out is short.
static inline struct dmsg_client *dmsg_loop_client(const struct identity *id,
	const struct key_pk *server, uint16_t port, struct dmsg_client_conf c)
{
	struct dmsg_server_at at = {.pk = *server};
	struct dmsg_client *client;

	snprintf(at.address, sizeof(at.address), "127.0.0.1:%u", port);
	c.loop = l;
	c.id = id;
	c.servers = &at;
	c.n_servers = 1;
	if (c.retry_min_ms == 0)
		c.retry_min_ms = 5;
	client = dmsg_client_new(&c);
	assert_non_null(client);
	return client;
}

static inline unsigned dmsg_loop_sessions(const struct dmsg_client *c)
{
	struct dmsg_client_stats st;

	dmsg_client_stats_get(c, &st);
	return st.sessions;
}
