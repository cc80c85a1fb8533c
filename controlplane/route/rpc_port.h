// A dmsg port on which others call us by net/rpc: their streams, a call at a time on each. What the
// calls mean is the owner's. Bounded: streams of all and of one key, how long one may bring no
// whole call, and how fast calls may come that are refused. Loop's thread only.
#pragma once

#include "controlplane/dmsg/dmsg_client.h"
#include "lib/wire/netrpc.h"

enum {
	// A head, descriptors, and the rules of an edge, a list of transports or an error.
	RPC_ANSWER_MAX = 1024 + NETRPC_MSG_MAX,
	RPC_CALLERS_MAX = 64, // keys that are named
};

struct rpc_port;

// Owner: the port. Who called reads and writes with it while a call is his.
struct rpc_stream {
	struct key_pk pk; // who calls
	struct netrpc_rx rx; // the call
	struct netrpc_tx tx;
	void *waits_for; // set while a call waits for its answer
	// Set with an answer that was not worth the call: nothing more is read for rest_ms, and the
	// stream keeps its place so long, even when it ends.
	bool rests;
	struct rpc_stream_io *io; // the port's
};

struct rpc_port_conf {
	struct loop *loop;
	struct dmsg_client *client; // borrowed
	uint16_t port;
	uint32_t streams_max, streams_of_key, idle_ms, rest_ms;
	// Whoever rpc_port_callers() names may call, and nobody before: streams of others are
	// closed at once. Else everybody.
	bool named;
	// A whole call: puts the answer into w; or begins something, sets s->waits_for, and answers
	// later: until then nothing more is read.
	void (*call)(void *arg, struct rpc_stream *s, struct bytes_w *w);
	void (*gone)(void *arg, struct rpc_stream *s); // with a call that waits
	void *arg;
};

struct rpc_port_stats {
	uint64_t taken, strangers, refused; // streams; refused: above the limits
	uint64_t bad; // carried no net/rpc, or nothing in time
	uint32_t now;
};

// NULL and errno; EADDRINUSE: somebody listens there, of one that is named told by
// rpc_port_callers(). Owner: the caller.
struct rpc_port *rpc_port_new(const struct rpc_port_conf *conf);
// Before the client; gone() comes for streams with a call that waits. NULL is allowed.
void rpc_port_free(struct rpc_port *p);
// Who may call from now on; copied. Streams of others are closed; with no keys nobody listens on
// the port. 0, or -errno, and nobody has changed: -EINVAL: more than RPC_CALLERS_MAX.
int rpc_port_callers(struct rpc_port *p, const struct key_pk *keys, uint32_t n);
// The answer to the call that waits; not from within call().
void rpc_stream_answer(struct rpc_stream *s, const uint8_t *bytes, const struct bytes_w *w);
void rpc_port_stats_get(const struct rpc_port *p, struct rpc_port_stats *out);
