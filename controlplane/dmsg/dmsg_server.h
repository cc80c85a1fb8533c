// The role of a dmsg server: takes sessions on a TCP port, and joins a stream of one client to one
// of another (dmsg 6.1, docs/design/dmsg.md). It has a key pair of its own: a server's key must not
// be a client's. Loop's thread only.
//
// Several sessions may have one key: streams for it go to the newest, the older ones keep what they
// have. The oldest of more than per_key is closed.
#pragma once

#include "controlplane/core/identity.h"
#include "controlplane/core/loop.h"

#include <sys/socket.h>

enum {
	DMSG_SERVER_SHAKES_MAX = 512, // connections that have not said who they are
	DMSG_SERVER_PER_KEY = 4,
};

struct dmsg_server;

struct dmsg_server_conf {
	struct loop *loop;
	const struct identity *id; // the server's own; borrowed
	const struct sockaddr *listen; // port 0: the system chooses
	uint32_t sessions_max; // at least 1, as the next two
	uint32_t session_streams; // of one session, both ways
	uint32_t streams_max; // that are relayed or about to be
	uint32_t per_key; // sessions of one key; 0: DMSG_SERVER_PER_KEY
};

struct dmsg_server_stats {
	uint64_t sessions_opened;
	uint64_t shakes_failed; // handshake refused, too late, or the connection broke
	uint64_t refused; // connections and sessions above a limit
	uint64_t replaced; // sessions closed because their key has newer ones
	uint64_t relayed; // streams that were joined
	uint64_t ip_answered, pings;
	uint64_t bad_requests; // not whole in time, not authentic, not of its source
	uint64_t no_destination; // no session of that key
	uint64_t not_accepted; // the destination closed, was late, or answered wrongly
	uint64_t no_capacity; // streams_max
	uint64_t bytes; // relayed by streams that are over, both ways
	uint32_t sessions, streams; // now; the latter joined
};

struct dmsg_server_session {
	struct key_pk pk;
	struct sockaddr_storage from;
	uint64_t since_ns; // monotonic
	uint64_t rtt_ns; // 0: not measured
	uint64_t rx_bytes, tx_bytes;
	uint32_t streams;
};

struct dmsg_server_stream {
	struct key_pk src, dst;
	uint16_t src_port, dst_port;
	uint64_t since_ns;
	uint64_t forth, back; // bytes
};

// NULL and errno (that of bind, EINVAL: a limit of 0). Owner: the caller.
struct dmsg_server *dmsg_server_new(const struct dmsg_server_conf *conf);
void dmsg_server_free(struct dmsg_server *s); // ends all sessions; NULL is allowed

uint16_t dmsg_server_port(const struct dmsg_server *s);
const struct key_pk *dmsg_server_pk(const struct dmsg_server *s);
void dmsg_server_stats_get(const struct dmsg_server *s, struct dmsg_server_stats *out);
void dmsg_server_each_session(const struct dmsg_server *s,
	void (*fn)(void *arg, const struct dmsg_server_session *se), void *arg);
void dmsg_server_each_stream(const struct dmsg_server *s,
	void (*fn)(void *arg, const struct dmsg_server_stream *st), void *arg);
