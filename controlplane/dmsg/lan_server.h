// A dmsg server for the LAN, and the hypervisor's side of telling nodes of it (dmsg 9): nodes that
// are allowed dial port 46 of this node, and are pushed the server's key and address. The server is
// published nowhere. Our own client keeps a session to it, too. Loop's thread only.
#pragma once

#include "controlplane/dmsg/dmsg_client.h"
#include "controlplane/dmsg/dmsg_server.h"
#include "lib/wire/visor_msg.h"

#include <netinet/in.h>

enum {
	LAN_SERVER_VISORS_MAX = 256, // nodes that are allowed
	LAN_SERVER_PUSH_MS = 15000, // for a node to answer
};

struct lan_server;

struct lan_server_conf {
	struct loop *loop;
	const struct identity *id; // the server's own; borrowed
	struct dmsg_client *client; // of the node; borrowed
	uint16_t port; // TCP, all addresses; 0: the system chooses
	const char *public_address; // host:port, or ""
	const struct key_pk *visors; // who is pushed, copied
	uint32_t n_visors;
	uint32_t sessions_max, session_streams, streams_max; // as those of dmsg_server_conf
};

struct lan_server_stats {
	uint64_t pushed; // answered with true
	uint64_t push_failed; // answered with false or an error, or not
	uint64_t strangers; // streams of keys that are not allowed
	uint32_t visors; // streams now
};

// NULL and errno (that of bind; EADDRINUSE also: port 46 of dmsg). Owner: the caller.
struct lan_server *lan_server_new(const struct lan_server_conf *conf);
void lan_server_free(struct lan_server *s); // before the client; NULL is allowed

const char *lan_server_address(const struct lan_server *s); // host:port that is told
struct dmsg_server *lan_server_server(const struct lan_server *s);
void lan_server_stats_get(const struct lan_server *s, struct lan_server_stats *out);

// Of these addresses the one that a LAN reaches us at: the first private one, else the first that
// is not of the loopback, else 127.0.0.1.
struct in_addr lan_server_choose(const struct in_addr *addrs, size_t n);
