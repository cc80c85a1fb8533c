// A dmsg session on a conn, in either role: handshake within its time limit, the dialler's pause,
// then the muxer (docs/design/dmsg.md). Streams are the muxer's, raw: what is said on them is in
// dmsg_stream.h (clients) or the server's matter. Loop's thread only.
#pragma once

#include "controlplane/mux/mux_conn.h"
#include "lib/dmsg/session.h"
#include "lib/wire/dmsg_entry.h"

enum {
	DMSG_LINK_DIAL_MS = 10000,
	DMSG_SERVER_ADDRESS_LEN = 256, // host:port, with the final NUL
};

struct dmsg_link;

struct dmsg_server_at {
	struct key_pk pk;
	char address[DMSG_SERVER_ADDRESS_LEN]; // host:port; "": it dials us
};

enum dmsg_link_mux {
	DMSG_LINK_YAMUX = 0,
	DMSG_LINK_SMUX2,
	// A server's choice: what the dialler's first byte says; yamux when we must speak before.
	DMSG_LINK_BY_FIRST_BYTE,
};

// Of whoever keeps a link or a stream to another: waits for the next try, tries, has it.
enum dmsg_link_state { DMSG_LINK_WAITS, DMSG_LINK_DIALS, DMSG_LINK_OPEN };

// What went over its muxer.
struct dmsg_link_io {
	uint64_t rtt_ns; // by the muxer's ping; 0: not measured
	uint64_t rx_bytes, tx_bytes;
	uint32_t streams; // now
};

// Why a link is over, for people: at most 63 bytes.
const char *dmsg_link_error(int err);

struct dmsg_link_conf {
	const struct key_sk *sk; // ours, borrowed: they outlive the link
	const struct key_pk *pk;
	struct ss_mem *ss; // of sk, borrowed: outlives the link; NULL: none
	const struct key_pk *server; // whom we dial, borrowed; NULL: the other end dialled us
	enum dmsg_link_mux mux;
	uint32_t streams_max; // of both sides; 0: the muxer's default
};

struct dmsg_link_events {
	// The peer is authenticated, streams may be opened.
	void (*open)(void *arg);
	// The peer opened a stream; its events begin after this call: conn_set_events() here, or
	// conn_close().
	void (*accept)(void *arg, struct conn *take_stream);
	void (*pong)(void *arg, uint64_t rtt_ns); // may be NULL
	// It is over, before or after `open`: why there is no connection, -ETIMEDOUT, -EBADMSG,
	// -ECONNRESET (the peer closed), -EKEYREJECTED (the server closed where it should have
	// answered our first message: it has another key), -EISCONN (the server took our handshake
	// and closed: one of 2024 does so while it has a session of our key, a full one of ours,
	// too), or as in mux_stats. Streams are told before. What is left to do is
	// dmsg_link_close().
	void (*end)(void *arg, int err);
};

// Takes the conn below, which is open, and closes it also when this fails (NULL and errno; EINVAL:
// bad key).
struct dmsg_link *dmsg_link_new(struct loop *l, struct conn *take_below,
	const struct dmsg_link_conf *conf, const struct dmsg_link_events *ev, void *arg);
// Makes the connection, too, within DMSG_LINK_DIAL_MS. NULL and errno (EINVAL: no address).
struct dmsg_link *dmsg_link_dial(struct loop *l, const char *where,
	const struct dmsg_link_conf *conf, const struct dmsg_link_events *ev, void *arg);
// The server of an entry; false: it is no server's, or of no use.
bool dmsg_link_server_of(const struct dmsg_entry *e, struct dmsg_server_at *at);
// Streams hear -ECANCELED. NULL is allowed. May be called in any event.
void dmsg_link_close(struct dmsg_link *k);

// Streams may give bytes that came before the link was closed. Whoever then asks for its session
// takes a reference; after dmsg_link_close() the session opens and seals nothing more.
struct dmsg_link *dmsg_link_get(struct dmsg_link *k);
void dmsg_link_put(struct dmsg_link *k); // NULL is allowed

// There is a connection: the handshake began.
bool dmsg_link_is_connected(const struct dmsg_link *k);
bool dmsg_link_is_open(const struct dmsg_link *k);
// NULL until `open`. Borrowed.
const struct key_pk *dmsg_link_peer(const struct dmsg_link *k);
// The keys that objects are sealed with. Borrowed.
struct dmsg_session *dmsg_link_session(struct dmsg_link *k);
struct loop *dmsg_link_loop(const struct dmsg_link *k);

// Which muxer the dialler is known to have, for when we must speak before its first byte; yamux
// otherwise.
void dmsg_link_prefer(struct dmsg_link *k, enum dmsg_link_mux mux);
// A fresh mux stream; it may be written to after its `open`. NULL and errno as mux_conn_open();
// ENOTCONN: not open, or over.
struct conn *dmsg_link_stream(struct dmsg_link *k, const struct conn_events *ev, void *arg);
// The muxer's own ping: 0, or -errno (-EOPNOTSUPP: smux has none; the marker stream does it).
int dmsg_link_ping(struct dmsg_link *k);
// NULL before the muxer runs.
const struct mux_stats *dmsg_link_stats(const struct dmsg_link *k);
// Zeros before the muxer runs, and of NULL.
struct dmsg_link_io dmsg_link_io(const struct dmsg_link *k);
