// Noise over any conn (dmsg 2.4): handshake as initiator or responder within a time limit, then
// records. Itself a conn. It carries dmsg streams (whose handshake is made in their request and
// answer) and stcp transports; dmsg sessions only use its handshake elsewhere, for their muxer is
// in the clear. Route groups keep packets and records together themselves. Loop's thread only.
//
// Record boundaries are not kept: what one write gave may come in pieces. A peer that closes within
// a record, or sends one that is not authentic, is an error (-EBADMSG), never an end of file.
#pragma once

#include "controlplane/core/conn_tcp.h"
#include "controlplane/core/loop.h"
#include "lib/crypto/noise_rec.h"

enum {
	NOISE_CONN_TIMEOUT_MS = 5000,
	NOISE_CONN_LINGER_MS = 1000, // for the last record after conn_close()
	NOISE_CONN_REASON_MS = 1000, // for the conn below, when it takes no more; then it is -EPIPE
};

// Takes the conn below, which is open, and closes it also when this fails (NULL and errno). `open`
// comes when the handshake is done, `end` when it failed: -ETIMEDOUT, -EBADMSG, or what the conn
// below said (-ECONNRESET when it just ended). Keys in conf are copied.
struct conn *noise_conn_new(struct loop *l, struct conn *take_below, const struct noise_conf *conf,
	uint32_t timeout_ms, const struct conn_events *ev, void *arg);

// The handshake was made elsewhere: takes its keys (and wipes the caller's). Bytes that came behind
// it go first: up to NOISE_REC_FRAME_MAX * 4 of them. Open at once.
struct conn *noise_conn_adopt(struct loop *l, struct conn *take_below, struct noise_rec *take_rec,
	const uint8_t *first, size_t first_len, const struct conn_events *ev, void *arg);

// ---- from one loop to another ----

struct noise_conn_moved;

// Takes an open one that is over TCP apart: socket, keys, bytes that nobody took. Only conn_close()
// may follow. NULL and errno, as conn_tcp_release() has it: then nothing has changed.
struct noise_conn_moved *noise_conn_move(struct conn *c);
// Puts it together again, on the loop of this thread. Nothing is read before conn_resume(). Frees m
// in any case. NULL and errno.
struct conn *noise_conn_arrive(struct loop *l, struct noise_conn_moved *take_m,
	const struct conn_tcp_opts *opts, const struct conn_events *ev, void *arg);
void noise_conn_moved_free(struct noise_conn_moved *m); // ends it; NULL is allowed

// The peer's static key, once it is authenticated: NULL before that. Borrowed.
const uint8_t *noise_conn_peer(const struct conn *c);
