// The peers of a dmsg server (dmsg 6.3): other servers that it is joined to as their client, under
// its own key, so that clients of one reach those of the other. This file keeps the links and knows
// whom to ask for a key; what goes over them is the server's matter (dmsg_server.h). Loop's thread
// only.
//
// A peer may carry any source, so it is who the configuration names, and only where the server was
// told to believe them (dmsg_mesh_find.h), whom its discovery lists. The latter leave the places to
// the former, and are no peers any more when they are not listed and the link to them is over.
#pragma once

#include "controlplane/core/identity.h"
#include "controlplane/core/loop.h"
#include "controlplane/dmsg/dmsg_link.h"
#include "lib/dmsg/peer_mem.h"
#include "lib/wire/dmsg_entry.h"

enum {
	DMSG_MESH_PEERS_MAX = PEER_MEM_PEERS,
	DMSG_MESH_KEYS = 4096, // that are remembered
};

struct dmsg_mesh;

struct dmsg_mesh_conf {
	struct loop *loop;
	const struct identity *id; // the server's; borrowed
	uint32_t session_streams; // of one link
	uint32_t retry_min_ms; // 0: BACKOFF_MIN_MS
};

// Peers have numbers below DMSG_MESH_PEERS_MAX; open, accept and over are of the links that we
// dialled.
struct dmsg_mesh_events {
	void (*named)(void *arg, unsigned peer); // dmsg_mesh_pk() is a peer's key from now on ...
	void (*gone)(void *arg, unsigned peer); // ... and is none any more; its link is over
	void (*open)(void *arg, unsigned peer, struct dmsg_link *k);
	void (*accept)(void *arg, unsigned peer, struct conn *take_stream);
	void (*over)(void *arg, unsigned peer); // of an open link, which is closed after it
};

struct dmsg_mesh_peer {
	struct key_pk pk;
	const char *address; // "": it dials us
	bool found; // listed at a discovery, not configured
	enum dmsg_link_state state; // of the link that we dial
	int err; // why the last one ended, 0: none did
	uint64_t since_ns; // of the state, monotonic
	uint64_t opened; // links so far
	uint64_t took, took_not; // streams that it was asked to take
	struct dmsg_link_io io; // of this one
};

// NULL and errno. Without peers. Owner: the caller.
struct dmsg_mesh *dmsg_mesh_new(
	const struct dmsg_mesh_conf *conf, const struct dmsg_mesh_events *ev, void *arg);
void dmsg_mesh_free(struct dmsg_mesh *m); // no event comes any more; NULL is allowed

// The peers of the configuration are these and no others: links to new ones are dialled at once,
// those to others end. -EINVAL, and nothing changes: too many, a key twice, or our own; -ENOMEM:
// some are left out.
int dmsg_mesh_configure(struct dmsg_mesh *m, const struct dmsg_server_at *peers, uint32_t n);
// A whole list of a discovery: each server is a peer that is none yet. Those that have no place are
// counted in *n_full, the new ones in *n_new.
void dmsg_mesh_listed(struct dmsg_mesh *m, const struct dmsg_entry *e, size_t n, uint64_t *n_new,
	uint64_t *n_full);

// The number of the peer that has this key; -1: none.
int dmsg_mesh_find(const struct dmsg_mesh *m, const struct key_pk *pk);
// Do we dial it?
bool dmsg_mesh_dials(const struct dmsg_mesh *m, unsigned peer);

// Whom of the peers with these bits to ask next for the key; -1: nobody.
int dmsg_mesh_next(const struct dmsg_mesh *m, const struct key_pk *pk, uint64_t peers);
// What it said: it took the stream, or it did not.
void dmsg_mesh_said(struct dmsg_mesh *m, const struct key_pk *pk, unsigned peer, bool there);

const struct key_pk *dmsg_mesh_pk(const struct dmsg_mesh *m, unsigned peer);
// false: there is no peer of this number.
bool dmsg_mesh_get(const struct dmsg_mesh *m, unsigned peer, struct dmsg_mesh_peer *out);
