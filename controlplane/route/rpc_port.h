// A dmsg port on which others call us by net/rpc: their streams, a call at a time on each. What the
// calls mean is the owner's. Bounded: streams of all and of one key, and how long one may bring no
// whole call. Loop's thread only.
#pragma once

#include "controlplane/dmsg/dmsg_client.h"
#include "lib/wire/netrpc.h"

enum { RPC_ANSWER_MAX = 4096 };

struct rpc_port;

// Owner: the port. The first three are there for the owner of the port to read and to write with.
struct rpc_stream {
	struct key_pk pk; // who calls
	struct netrpc_rx rx; // the call
	struct netrpc_tx tx;
	void *waits_for; // the owner's, while a call waits for its answer
	struct rpc_stream_io *io; // the port's
};

struct rpc_port_conf {
	struct loop *loop;
	struct dmsg_client *client; // borrowed
	uint16_t port;
	uint32_t streams_max, streams_of_key, idle_ms;
	bool (*may_call)(void *arg, const struct key_pk *pk); // else the stream is closed at once
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

// NULL and errno; EADDRINUSE: somebody listens there. Owner: the caller.
struct rpc_port *rpc_port_new(const struct rpc_port_conf *conf);
// Before the client; gone() comes for streams with a call that waits. NULL is allowed.
void rpc_port_free(struct rpc_port *p);
// Closes streams of those who may not call any more.
void rpc_port_look(struct rpc_port *p);
// The answer to the call that waits; not from within call().
void rpc_stream_answer(struct rpc_stream *s, const uint8_t *bytes, const struct bytes_w *w);
void rpc_port_stats_get(const struct rpc_port *p, struct rpc_port_stats *out);
