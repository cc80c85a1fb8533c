// A dmsg client: streams are dialled and accepted by (public key, port), over sessions to servers
// that are kept and dialled again with back-off. Servers are those of a list, and with discoveries
// so many others that there are `sessions`; we are published there (dmsg 8.3), and a destination is
// asked for: its servers are tried, those first that we have a session to, and sessions are made to
// others. Without discovery each open session is tried in turn, the nearest server first. Servers
// in our LAN that a hypervisor told of (dmsg 9) come before all others: they are dialled first at
// the start, and streams go by them where they can. Loop's thread only.
#pragma once

#include "controlplane/core/conn.h"
#include "controlplane/core/identity.h"
#include "controlplane/core/loop.h"
#include "controlplane/directory/dir_client.h"
#include "controlplane/dmsg/dmsg_conn.h"
#include "controlplane/dmsg/dmsg_link.h"
#include "controlplane/dmsg/dmsg_publish.h"
#include "controlplane/dmsg/dmsg_stream.h"
#include "lib/wire/dmsg_msg.h"

enum {
	DMSG_CLIENT_SERVERS_MAX = 16,
	DMSG_CLIENT_LAN_MAX = 4, // servers in the LAN, beside those
	DMSG_CLIENT_LAN_START_MS = 10000, // for an address of one that was saved, and ...
	DMSG_CLIENT_LAN_PUSH_MS = 5000, // ... of one that was told now
	DMSG_CLIENT_PEERS = 1024, // with whom the product of the static keys is kept
	DMSG_CLIENT_WHY_LEN = 128, // why a dial failed, with the final NUL
	DMSG_CLIENT_PORT_FIRST = 49152, // of those that the client chooses
	DMSG_CLIENT_MADE_MAX = 2, // sessions that one dial makes
	// Dials that ask a discovery at once, the others wait: half of what
	// HTTP_CLIENT_REQUESTS_MAX allows, the rest is for our own entry and for servers.
	DMSG_CLIENT_ASKS_MAX = 32,
	DMSG_CLIENT_IDLE_MS = 60000, // a session made for a dial ends without streams after it
	// To a server that has a session of ours still: longer than such a one lives without us.
	DMSG_CLIENT_TAKEN_MS = 45000,
	// Streams of others cost us curves before it is known who they are: they are in the loop's
	// share of time, and those that come by one server have so much of all time.
	DMSG_CLIENT_STREAMS_OF_SERVER_PCT = 40,
	DMSG_CLIENT_STREAM_US = 20, // of each, beside the curves
};

struct dmsg_client;
struct dmsg_client_dial;

struct dmsg_client_lan {
	struct key_pk pk;
	struct key_pk by; // the hypervisor that told of it; null: our own server
	char address[DMSG_SERVER_ADDRESS_LEN]; // host:port; one of both may be ""
	char public_address[DMSG_SERVER_ADDRESS_LEN]; // tried after the other
};

struct dmsg_client_conf {
	struct loop *loop;
	const struct identity *id; // the node's; borrowed
	const struct dmsg_server_at *servers; // copied
	uint32_t n_servers;
	const struct dmsg_client_lan
		*lan; // saved ones, copied: the others wait until they were tried
	uint32_t n_lan; // at most DMSG_CLIENT_LAN_MAX
	uint32_t session_streams; // of one session; 0: the muxer's default
	uint32_t retry_min_ms; // 0: BACKOFF_MIN_MS
	struct dir_client *dir; // borrowed, outlives this; NULL: no discovery
	uint32_t sessions; // that there shall be, with those of the list; 0: as many as can be
	const char *client_type; // of our entry, borrowed; NULL: none
	const char *of; // behind what the log says, borrowed: ", of the ..."; NULL: the node's
	uint32_t idle_ms; // 0: DMSG_CLIENT_IDLE_MS
	uint32_t soon_ms; // for changes to be published; 0: DMSG_PUBLISH_SOON_MS
	uint32_t taken_ms; // 0: DMSG_CLIENT_TAKEN_MS
	uint32_t stream_us; // 0: DMSG_CLIENT_STREAM_US
	// Smux only with `dir`: servers read in our entry which it is (dmsg 3.3), so the first
	// session waits for that. Those in the LAN have it from nowhere, and get yamux.
	enum dmsg_link_mux mux;
};

struct dmsg_client_stats {
	uint64_t sessions_opened, sessions_lost, sessions_failed;
	uint64_t dialled, dials_failed;
	uint64_t accepted, refused; // streams of others
	uint64_t over_load; // ditto, refused unread
	uint32_t sessions, streams, listeners; // now
};

// Of the list; found at a discovery; a destination's, for as long as streams need it; or told of by
// a hypervisor.
enum dmsg_client_kind { DMSG_CLIENT_STATIC, DMSG_CLIENT_FOUND, DMSG_CLIENT_MADE, DMSG_CLIENT_LAN };
struct dmsg_client_server {
	struct key_pk pk;
	const char *address; // the one that is or was dialled
	enum dmsg_client_kind kind;
	bool lan; // a hypervisor told of it; one of the list may be
	struct key_pk by; // as in dmsg_client_lan
	enum dmsg_link_state state;
	int err; // why the last session ended, 0: none did
	uint64_t since_ns; // of the state, monotonic
	uint64_t opened; // sessions so far
	struct dmsg_link_io
		io; // of this one; its round trip is the marker's where the muxer has none
};

// NULL and errno; EINVAL: too many servers, smux without `dir`. Owner: the caller. Begins to dial
// at once.
struct dmsg_client *dmsg_client_new(const struct dmsg_client_conf *conf);
// Streams that others hold end with -ECANCELED; dials and listeners are to be ended before. NULL is
// allowed.
void dmsg_client_free(struct dmsg_client *c);

// A server in the LAN, from now on: dialled at once. One with this key gets these addresses, but
// for one of the list; when there are too many, one without a session gives way, else the oldest.
// 0, or -EINVAL: no address, or no key; -ENOMEM.
int dmsg_client_set_lan(struct dmsg_client *c, const struct dmsg_client_lan *lan);

// How a dial ended, once, never from within the call: as dmsg_dial_fn of dmsg_stream.h, where
// DMSG_ERR_NO_SERVER_REACHED says that no session was open, and DMSG_ERR_NO_ENTRY and the three
// behind it what discoveries said.
typedef void (*dmsg_client_dial_fn)(void *arg, struct conn *take_conn, enum dmsg_err code, int err);
// NULL and errno: EINVAL (no such key, port 0), ENOMEM, EADDRINUSE (no port is free).
struct dmsg_client_dial *dmsg_client_dial(struct dmsg_client *c, const struct dmsg_addr *to,
	uint32_t timeout_ms, dmsg_client_dial_fn fn, void *arg);
// The same, but no discovery is asked: any open session will do. For discoveries themselves.
struct dmsg_client_dial *dmsg_client_dial_direct(struct dmsg_client *c, const struct dmsg_addr *to,
	uint32_t timeout_ms, dmsg_client_dial_fn fn, void *arg);
// No call any more. NULL is allowed; not after the call.
void dmsg_client_dial_cancel(struct dmsg_client_dial *d);
// Why a dial failed, for people, those of other nodes too, DMSG_CLIENT_WHY_LEN at most: ask at
// once, the sessions that there are count. Returns buf.
char *dmsg_client_dial_text(
	const struct dmsg_client *c, enum dmsg_err code, int err, char *buf, size_t cap);

struct dmsg_client_listener;
// A stream to the port; its events begin after this call: conn_set_events() here, or conn_close().
typedef void (*dmsg_client_accept_fn)(
	void *arg, struct conn *take_conn, const struct dmsg_addr *from);
// NULL and errno: EADDRINUSE, EINVAL (port 0), ENOMEM.
struct dmsg_client_listener *dmsg_client_listen(
	struct dmsg_client *c, uint16_t port, dmsg_client_accept_fn fn, void *arg);
void dmsg_client_unlisten(struct dmsg_client_listener *li); // NULL is allowed

// The round trip to a server (NULL: the nearest) by its muxer's ping, or by the marker over smux.
// Once, never from within the call: 0, or -errno (-EOPNOTSUPP: the server knows no marker).
typedef void (*dmsg_client_ping_fn)(
	void *arg, const struct key_pk *server, uint64_t rtt_ns, int err);
struct dmsg_client_ping;
// NULL and errno: ENOENT (no such server), ENOTCONN (no session), ENOMEM.
struct dmsg_client_ping *dmsg_client_ping(struct dmsg_client *c, const struct key_pk *server,
	uint32_t timeout_ms, dmsg_client_ping_fn fn, void *arg);
void dmsg_client_ping_cancel(struct dmsg_client_ping *p);

// The address that a server (NULL: the nearest) sees us at, as dmsg_stream_ask_ip(): cancelled by
// dmsg_stream_dial_cancel(). NULL and errno as dmsg_client_ping(), EADDRINUSE.
struct dmsg_stream_dial *dmsg_client_ask_ip(struct dmsg_client *c, const struct key_pk *server,
	uint32_t timeout_ms, dmsg_ip_fn fn, void *arg);

// Removes our entry from the discoveries: `done` comes once, within DMSG_PUBLISH_LEAVE_MS, never
// from within the call. Sessions stay.
void dmsg_client_leave(struct dmsg_client *c, loop_fn done, void *arg);

void dmsg_client_stats_get(const struct dmsg_client *c, struct dmsg_client_stats *out);
void dmsg_client_each_server(const struct dmsg_client *c,
	void (*fn)(void *arg, const struct dmsg_client_server *se), void *arg);
void dmsg_client_each_stream(const struct dmsg_client *c,
	void (*fn)(void *arg, const struct dmsg_conn_info *info), void *arg);
// Our entry at each discovery.
void dmsg_client_each_site(const struct dmsg_client *c,
	void (*fn)(void *arg, const struct dmsg_publish_site *s), void *arg);
