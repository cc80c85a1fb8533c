// What the files of the dmsg server share: dmsg_server.c has sessions and the whole,
// dmsg_server_mesh.c which of them are peer servers', dmsg_server_relay.c the streams between them.
#pragma once

#include "controlplane/dmsg/dmsg_mesh.h"
#include "controlplane/dmsg/dmsg_mesh_find.h"
#include "controlplane/dmsg/dmsg_server.h"
#include "lib/base/share.h"

#include <sys/queue.h>

struct relay;
struct session;

TAILQ_HEAD(relay_list, relay);
TAILQ_HEAD(session_list, session);

// Who has sessions, by key.
struct client {
	struct key_pk pk;
	struct session_list sessions; // that are open, the newest first
	uint32_t n_sessions;
	uint32_t n_drains; // sessions that are over, with ...
	uint64_t drain_bytes; // ... so much in all
	uint32_t n_streams; // that it dialled, relayed or about to be
	struct share time; // for its requests, of the loop's
	// An absent key costs each peer a question, so a client may not cause any number of them.
	double mesh_budget; // questions, at ...
	uint64_t mesh_budget_ns; // ... that time
};

struct session {
	struct dmsg_server *srv;
	struct dmsg_link *link; // ours if the other end dialled it, else the mesh's; NULL: over
	struct client *client; // NULL: not open yet, or we dialled it
	int peer; // number of the peer server at the other end, -1: a client
	bool dialled;
	bool open;
	struct sockaddr_storage from; // not of dialled ones
	struct dir_ask *ask; // which muxer it has
	// It is over, and its relays have until then to deliver what had come by it.
	struct loop_timer *drain;
	uint64_t drain_bytes;
	uint64_t since_ns;
	struct relay_list as_x, as_y; // relays that came by it, that leave by it
	TAILQ_ENTRY(session) all;
	TAILQ_ENTRY(session) of_client;
};

struct dmsg_server {
	struct dmsg_server_conf conf;
	struct conn_listener *listener; // NULL: does not serve
	struct dmsg_mesh *mesh; // NULL: there were no peers yet
	struct dmsg_mesh_find *mesh_find; // NULL: peers are those of the configuration
	struct session *peer_session[DMSG_MESH_PEERS_MAX]; // by which a peer is asked
	struct htab *clients; // by key
	struct session_list sessions; // the newest first
	struct session_list drains; // those that are over
	struct relay_list relays;
	struct loop_timer *idle_timer;
	struct dmsg_publish *publish; // NULL: is not published, or not yet
	char public_address[DMSG_ENTRY_ADDR_LEN];
	uint32_t n_asking; // sessions whose muxer is asked for
	uint32_t n_shaking, n_open, n_relays, n_joined, n_drains;
	uint64_t drain_bytes; // of all of them
	bool closed;
	struct dmsg_server_counters c;
};

// ---- dmsg_server.c ----

// The newest session of the key that streams may be opened on; not `but`, which may be NULL. NULL:
// none.
struct session *dmsg_server_session_of(
	const struct dmsg_server *s, const struct key_pk *pk, const struct session *but);

// In the list of all, not open. NULL: no memory.
struct session *dmsg_server_session_new(struct dmsg_server *s);
void dmsg_server_session_free(struct session *se);

// ---- dmsg_server_mesh.c ----

int dmsg_server_mesh_start(struct dmsg_server *s); // 0 or -errno
void dmsg_server_mesh_stop(struct dmsg_server *s); // when there are no sessions any more
// The number of the peer with this key; -1: it is no peer's.
int dmsg_server_peer_of(const struct dmsg_server *s, const struct key_pk *pk);
// The session is a peer's from now on (-1: it is not); it is over.
void dmsg_server_peer_came(struct session *se, int peer);
void dmsg_server_peer_left(struct session *se);

// ---- dmsg_server_relay.c ----

// A stream that the other end of a session opened.
void dmsg_server_relay_new(struct session *x, struct conn *take_stream);
// Of joined relays with a session that is over.
enum relay_end {
	RELAY_END, // nothing has come by it that was not delivered
	RELAY_DRAIN, // those whose other end is there stay until it took all
	RELAY_CUT, // these are counted: it took too long
};
// The session is over and in no table any more: its relays end, and requests that wait for an
// answer by it go another way. True: some stayed; se->drain runs off when the last of them ended.
bool dmsg_server_relay_leave(struct session *se, enum relay_end how);
// Some times in idle_ms: makes room when there is hardly any.
void dmsg_server_relay_look(struct dmsg_server *s);
