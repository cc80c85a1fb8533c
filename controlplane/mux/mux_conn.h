// A muxer's session over a conn; each of its streams is a conn. So what runs over TCP runs over a
// stream, and whichever muxer was agreed is the caller's choice when it makes the session. Loop's
// thread only.
//
// `end` with an error means that the peer reset the stream (-ECONNRESET), or what ended the
// session. A conn that is closed reads no more: what was written still leaves, then the end
// (lib/mux/mux.h).
#pragma once

#include "controlplane/core/conn.h"
#include "controlplane/core/loop.h"
#include "lib/mux/mux.h"

struct mux_conn;

struct mux_conn_events {
	// The peer opened a stream, which is open. Whoever takes it sets its events before this
	// returns, or closes it.
	void (*accept)(void *arg, struct conn *take_c);
	// The ping was answered. May be NULL.
	void (*pong)(void *arg, uint64_t rtt_ns);
	// The session is over, and its streams with it; it comes once. -ECONNRESET: the conn below
	// ended; others as in mux_stats.err. The session is still to be closed.
	void (*end)(void *arg, int err);
};

// Takes both, also when this fails (NULL and errno). first: bytes that came behind a handshake and
// belong to the session.
struct mux_conn *mux_conn_new(struct loop *l, struct conn *take_below, struct mux *take_mux,
	const void *first, size_t first_len, const struct mux_conn_events *ev, void *arg);

// Streams that are held by others end with -ECANCELED soon; no event of the session comes any more.
// NULL is allowed.
void mux_conn_close(struct mux_conn *mc);

// A new stream: `open` comes soon and does not wait for the peer, who may refuse it later by `end`.
// NULL and errno as of mux_open().
struct conn *mux_conn_open(struct mux_conn *mc, const struct conn_events *ev, void *arg);

int mux_conn_ping(struct mux_conn *mc); // as mux_ping()
const struct mux_stats *mux_conn_stats(struct mux_conn *mc);
