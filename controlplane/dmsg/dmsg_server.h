// The role of a dmsg server: takes sessions on a TCP port, and joins a stream of one client to one
// of another (dmsg 6.1, docs/design/dmsg.md). It has a key pair of its own: a server's key must not
// be a client's. With peers, a stream for a key that has no session here goes to the peer that has
// it (dmsg 6.3). Loop's thread only.
//
// Several sessions may have one key: streams for it go to the newest, the older ones keep what they
// have. The oldest of more than per_key is closed.
#pragma once

#include "controlplane/core/identity.h"
#include "controlplane/core/loop.h"
#include "controlplane/dmsg/dmsg_mesh.h"
#include "controlplane/dmsg/dmsg_publish.h"
#include "lib/shm/stats.h"

#include <sys/socket.h>

enum {
	DMSG_SERVER_SHAKES_MAX = 512, // connections that have not said who they are
	DMSG_SERVER_PER_KEY = 4,
	DMSG_SERVER_MESH_BURST = 200,
	DMSG_SERVER_IDLE_MS = 300000, // as servers of 2026, which have it always
	// What a session left to be delivered when it ended: for so long, of so many sessions (of
	// one key as many as it may have open), with so many bytes in all, and of one key.
	DMSG_SERVER_DRAIN_MS = 30000,
	DMSG_SERVER_DRAINS_MAX = 256,
	DMSG_SERVER_DRAIN_BYTES = 64 << 20,
	DMSG_SERVER_DRAIN_OF_KEY = 16 << 20,
	// Requests for streams cost curves: those of all clients are in the loop's share of time,
	// those of one have a quarter.
	DMSG_SERVER_REQUESTS_OF_KEY_PCT = 25,
	DMSG_SERVER_STREAM_US = 20, // of each stream, beside the curves
};

struct dmsg_server;

struct dmsg_server_conf {
	struct loop *loop;
	const struct identity *id; // the server's own; borrowed
	const struct sockaddr
		*listen; // port 0: the system chooses; NULL: dmsg_server_serve() later
	uint32_t sessions_max; // at least 1, as the next two
	uint32_t session_streams; // of one session, both ways
	uint32_t streams_max; // that are relayed or about to be
	uint32_t client_streams; // of them, that one client dialled; 0: no limit but streams_max
	uint32_t per_key; // sessions of one key; 0: DMSG_SERVER_PER_KEY
	uint32_t shakes_max; // 0: DMSG_SERVER_SHAKES_MAX
	uint32_t idle_ms; // of streams, when there is hardly room; 0: DMSG_SERVER_IDLE_MS
	uint32_t drain_ms; // 0: DMSG_SERVER_DRAIN_MS
	uint32_t request_ms; // for a request to be whole, or answered; 0: DMSG_REQUEST_TIMEOUT_MS
	const struct dmsg_server_at *peers; // copied; as of dmsg_server_set_peers()
	uint32_t n_peers;
	bool mesh_discover; // all servers that dir lists are peers, too (dmsg_mesh_find.h)
	uint32_t find_first_ms, find_every_ms; // 0: as there
	// Questions to peers that one client may cause at once; half as many a second come back. 0:
	// DMSG_SERVER_MESH_BURST.
	uint32_t mesh_burst;
	uint32_t stream_us; // 0: DMSG_SERVER_STREAM_US
	uint32_t retry_min_ms; // of dialling peers; 0: BACKOFF_MIN_MS
	// The server's entry is kept there while it serves, and a client's tells its muxer (dmsg
	// 3.3). Borrowed, outlives this; NULL: neither.
	struct dir_client *dir;
	const char *public_address; // in the entry, host:port; copied
	uint32_t soon_ms; // for changes to be published; 0: DMSG_PUBLISH_SOON_MS
};

// Since the start; what they mean is in counters.def.
struct dmsg_server_counters {
#define COUNTER_DMSG_SERVER(role, name, unit, help) uint64_t name;
#include "lib/shm/counters.def"
};
static_assert(sizeof(struct dmsg_server_counters) == DS_COUNT * sizeof(uint64_t), "an array");

struct dmsg_server_stats {
	struct dmsg_server_counters c;
	uint32_t sessions, streams; // now; the latter joined
	uint32_t peers; // that can be asked now
};

struct dmsg_server_session {
	struct key_pk pk;
	struct sockaddr_storage from;
	const char *address; // of a peer server that we dialled: host:port, and no `from`; else ""
	bool mesh; // a peer server's
	bool dialled; // by us: we are the client in it
	uint64_t since_ns; // monotonic
	struct dmsg_link_io io;
};

struct dmsg_server_stream {
	struct key_pk src, dst;
	uint16_t src_port, dst_port;
	uint64_t since_ns;
	uint64_t forth, back; // bytes
};

// NULL and errno (that of bind; EINVAL: a limit of 0, mesh_discover without dir, or peers as
// dmsg_mesh_configure()). Owner: the caller.
struct dmsg_server *dmsg_server_new(const struct dmsg_server_conf *conf);
void dmsg_server_free(struct dmsg_server *s); // closes it first; NULL is allowed

// Takes sessions from now on. 0, -ESHUTDOWN: closed; -EALREADY: it does; or that of bind.
int dmsg_server_serve(struct dmsg_server *s, const struct sockaddr *addr);
// Ends all sessions, and takes no more for ever. Counters stay. Idempotent.
void dmsg_server_close(struct dmsg_server *s);

// Removes the entry from the discoveries: `done` comes once, within DMSG_PUBLISH_LEAVE_MS, never
// from within the call; not after dmsg_server_close(). Sessions stay.
void dmsg_server_leave(struct dmsg_server *s, loop_fn done, void *arg);

uint16_t dmsg_server_port(const struct dmsg_server *s); // 0: it does not serve
const struct key_pk *dmsg_server_pk(const struct dmsg_server *s);
void dmsg_server_stats_get(const struct dmsg_server *s, struct dmsg_server_stats *out);
// The entry at each discovery.
void dmsg_server_each_site(const struct dmsg_server *s,
	void (*fn)(void *arg, const struct dmsg_publish_site *site), void *arg);
// Other peers than before, as dmsg_mesh_configure(). -ESHUTDOWN: closed.
int dmsg_server_set_peers(struct dmsg_server *s, const struct dmsg_server_at *peers, uint32_t n);
void dmsg_server_each_peer(const struct dmsg_server *s,
	void (*fn)(void *arg, const struct dmsg_mesh_peer *p), void *arg);
void dmsg_server_each_session(const struct dmsg_server *s,
	void (*fn)(void *arg, const struct dmsg_server_session *se), void *arg);
void dmsg_server_each_stream(const struct dmsg_server *s,
	void (*fn)(void *arg, const struct dmsg_server_stream *st), void *arg);
