// What the files of the dmsg client share: sessions and ports are dmsg_client.c's, a dial is
// dmsg_client_dial.c's, dmsg_client_find.c knows the discoveries, dmsg_client_lan.c our LAN.
#pragma once

#include "controlplane/dmsg/dmsg_client.h"
#include "controlplane/dmsg/dmsg_ping.h"
#include "controlplane/dmsg/dmsg_rtt.h"
#include "lib/base/share.h"

#include <sys/queue.h>

enum {
	SLOTS = 32, // servers at once, bits of a word; of them ...
	LAN_SLOTS = DMSG_CLIENT_LAN_MAX, // ... are kept for the LAN's, and ...
	MADE_SLOTS = 8, // ... for those that dials make; the rest are kept ones
	KEPT_MAX = SLOTS - LAN_SLOTS - MADE_SLOTS,
	DELEGATED_MAX = 16, // servers of a destination that are looked at
};

// What servers that are not in the LAN wait for before they are dialled: bits.
enum {
	HOLD_LAN = 1, // those in the LAN were tried
	HOLD_ENTRY = 2, // our entry says which muxer we speak
};

struct server {
	struct dmsg_client *c;
	bool used;
	enum dmsg_client_kind kind;
	struct dmsg_server_at conf;
	struct dmsg_link *link;
	struct dmsg_rtt *rtt; // while it is open
	struct loop_timer *timer; // until the next try; of one in the LAN also the end of this one
	// told of by a hypervisor
	bool lan;
	bool at_public; // the second address is dialled
	bool all_tried; // its addresses were, or it opened
	uint32_t try_ms; // for an address
	struct key_pk by;
	char public_address[DMSG_SERVER_ADDRESS_LEN];
	enum dmsg_link_state state;
	int err;
	unsigned fails; // in a row
	uint64_t since_ns, opened;
	uint64_t busy_ns; // when it was seen to have a stream
	struct share streams_time; // for those of others, of the loop's
};

struct dmsg_client_dial {
	struct dmsg_client *c;
	struct dmsg_addr to;
	uint16_t port;
	bool direct; // nobody is asked where the destination is
	struct loop_timer *timer; // of the whole
	struct loop_timer *soon;
	struct dmsg_stream_dial *sd; // by a server with this key
	struct key_pk by;
	uint64_t deadline_ns;
	uint32_t tried; // bits of servers
	enum dmsg_err code; // of the last try
	int err;
	// with discoveries
	struct dir_ask *ask; // for the destination, or for one of its servers
	bool queued; // it waits until it may ask
	bool looked; // the destination was asked for
	enum dmsg_err no; // why its entry is of no use
	struct key_pk delegated[DELEGATED_MAX];
	uint32_t n_delegated, next_delegated;
	unsigned made; // sessions for it
	struct server *waits; // that it shall open
	dmsg_client_dial_fn fn;
	void *arg;
	TAILQ_ENTRY(dmsg_client_dial) all;
};

struct dmsg_client_listener {
	struct dmsg_client *c;
	uint16_t port;
	dmsg_client_accept_fn fn;
	void *arg;
	TAILQ_ENTRY(dmsg_client_listener) all;
};

struct dmsg_client_ping {
	struct server *se;
	struct loop_timer *timer;
	struct dmsg_ping *marker; // over smux
	dmsg_client_ping_fn fn;
	void *arg;
	bool due;
	TAILQ_ENTRY(dmsg_client_ping) all;
};

struct dmsg_find;

struct dmsg_client {
	struct dmsg_client_conf conf;
	struct server server[SLOTS];
	unsigned held; // HOLD_*
	struct dmsg_find *find; // NULL: no discovery
	struct dmsg_conn_list *streams;
	struct ss_mem *ss;
	TAILQ_HEAD(, dmsg_client_dial) dials;
	uint32_t n_asks, n_queued; // of them, that ask a discovery, that wait until they may
	TAILQ_HEAD(, dmsg_client_listener) listeners;
	TAILQ_HEAD(, dmsg_client_ping) pings;
	uint16_t last_port;
	struct dmsg_client_stats stats;
};

// ---- dmsg_client.c ----

// NULL: there is none.
struct server *dmsg_client_server_of(struct dmsg_client *c, const struct key_pk *pk);
// There is room for another one of the list, or found.
bool dmsg_client_may_keep(const struct dmsg_client *c);
// Dialled at once, unless those of the LAN come first. NULL and errno: ENOSPC, ENOMEM.
struct server *dmsg_client_server_new(
	struct dmsg_client *c, const struct dmsg_server_at *conf, enum dmsg_client_kind kind);
void dmsg_client_server_free(struct server *se);
// Nobody waits for that any more.
void dmsg_client_let_go(struct dmsg_client *c, unsigned hold);
// Without waiting for its next try, if it waits for that.
void dmsg_client_server_hurry(struct server *se);
// Its address has changed: a try to reach it begins anew.
void dmsg_client_server_again(struct server *se);
// The connection is there, the session may not be.
bool dmsg_client_server_is_connected(const struct server *se);
bool dmsg_client_server_is_open(const struct server *se);
// The open session with the shortest round trip among the bits of `of`, those in the LAN first; one
// that was not measured comes last. NULL: none.
struct server *dmsg_client_nearest(struct dmsg_client *c, uint32_t of, unsigned *n);
uint16_t dmsg_client_port(struct dmsg_client *c); // 0: none is free

// That of the session, or of the next try.
static inline const char *dmsg_client_address(const struct server *se)
{
	return se->at_public || se->conf.address[0] == '\0' ? se->public_address : se->conf.address;
}

// ---- dmsg_client_lan.c ----

// Those that were saved. 0, -EINVAL or -ENOMEM.
int dmsg_client_lan_open(struct dmsg_client *c, const struct dmsg_client_lan *lan, uint32_t n);
// A server opened, or can't be reached: perhaps it is the others' turn now.
void dmsg_client_lan_tried(struct dmsg_client *c);

// ---- dmsg_client_dial.c ----

// The server's session is open, or it or the try to have one is over (se is still there).
void dmsg_client_dials_go_on(struct dmsg_client *c, struct server *se, bool open);

// ---- dmsg_client_find.c ----

// NULL and errno. Publishes us, and has servers found.
struct dmsg_find *dmsg_find_new(struct dmsg_client *c);
void dmsg_find_free(struct dmsg_find *f); // NULL is allowed, here and in the next one
// A session was opened or lost.
void dmsg_find_changed(struct dmsg_find *f);
