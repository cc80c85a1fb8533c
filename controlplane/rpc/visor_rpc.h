// This node under its hypervisors (dmsg 9): a stream to port 46 of each is kept, and calls that
// come on it are served. There is one, app-visor.SetLANDmsgServer; others get the answer that Go
// gives to unknown ones. Streams are dialled by key, so nobody else can call. Loop's thread only.
#pragma once

#include "controlplane/dmsg/dmsg_client.h"
#include "lib/wire/visor_msg.h"

enum {
	VISOR_RPC_PORT = 46,
	VISOR_RPC_HYPERVISORS_MAX = 16,
};

struct visor_rpc;

struct visor_rpc_conf {
	struct loop *loop;
	struct dmsg_client *client; // borrowed
	const struct key_pk *hypervisors; // copied
	uint32_t n_hypervisors;
	uint32_t retry_min_ms; // 0: BACKOFF_MIN_MS
	// A push that is enabled and has a key and an address; NULL: taken, else why not.
	const char *(*set_lan)(void *arg, const struct visor_lan *lan, const struct key_pk *from);
	void *arg;
};

struct visor_rpc_stats {
	uint64_t opened, lost, failed; // streams
	uint64_t taken, refused; // pushes
	uint64_t unknown; // calls of other methods
	uint64_t bad; // streams that carried no net/rpc
};

struct visor_rpc_peer {
	struct key_pk pk;
	enum dmsg_link_state state;
	const char *why; // the last stream ended, or there was none; "": it did not
	uint64_t since_ns; // of the state, monotonic
	uint64_t calls;
};

// NULL and errno; EINVAL: too many. Owner: the caller. Begins to dial at once.
struct visor_rpc *visor_rpc_new(const struct visor_rpc_conf *conf);
void visor_rpc_free(struct visor_rpc *v); // before the client; NULL is allowed
void visor_rpc_stats_get(const struct visor_rpc *v, struct visor_rpc_stats *out);
void visor_rpc_each(const struct visor_rpc *v,
	void (*fn)(void *arg, const struct visor_rpc_peer *p), void *arg);
