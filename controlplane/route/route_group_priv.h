// Between route_group.c (one group as a conn) and route_groups.c (all of them) only.
#pragma once

#include "controlplane/route/route_group.h"
#include "lib/base/htab.h"
#include "lib/mux/mux_buf.h"

#include <sys/queue.h>

enum { ROUTE_KEY_LEN = KEY_PK_LEN + 4 };

struct route_group {
	struct conn base;
	struct route_groups *gs;
	TAILQ_ENTRY(route_group) link;
	struct route_end end;
	struct group_end g;
	struct rule_install *install; // until the rules are there
	void (*done)(void *arg, int status); // of who waits for that; NULL: nobody
	void *done_arg;
	uint8_t key[ROUTE_KEY_LEN]; // far end, its port, ours
	struct rule_wire forward; // for conf.way
	unsigned worker; // of the first look: by another one packets could overtake each other
	unsigned refs; // table, owner, deferred call, command
	uint64_t since_ns;
	struct loop_timer *timer;
	uint64_t armed_ns; // when it fires; 0: it doesn't
	uint64_t end_by_ns; // closing: over by then, whatever may come
	uint64_t closed_ns; // its consume rule was closed: the packet itself is here by then
	bool listed; // in the table
	bool owned; // somebody holds the conn
	bool opened; // it was open
	bool told_open, told_eof, told_err;
	bool shut, blocked, resumed, deferred;
	bool paused; // by the data plane
	bool holds, holds_told; // the data plane is to hold what comes, and was told
	bool telling; // and has not answered
	bool no_tx; // its forward rule is gone, or another group has its place
	char why[GROUP_TEXT_LEN]; // what was before there was a group
	int err; // ditto
	struct mux_buf in; // not taken by the owner
	size_t out_len; // a packet that found no room
	uint8_t out[GROUP_PACKET_MAX];
};

TAILQ_HEAD(route_group_list, route_group);

struct route_listener {
	uint16_t port;
	route_accept_fn fn;
	void *arg;
	uint64_t since_ns;
};

struct route_ended {
	struct route_group_info info;
	uint64_t at_ns;
	char why[GROUP_TEXT_LEN];
};

struct route_groups {
	struct route_groups_conf conf;
	struct dp_handler handler;
	struct route_group_list list;
	struct htab *table; // by key
	struct mux_pool pool;
	uint64_t queued;
	struct route_groups_stats stats;
	struct route_listener *listeners;
	size_t n_listeners, cap_listeners;
	uint16_t next_port;
	uint32_t port_s[ROUTE_PORT_LAST - ROUTE_PORT_FIRST + 1]; // last use, 0: never
	struct route_ended ended[ROUTE_GROUPS_ENDED];
	unsigned n_ended; // so far
};

// ---- route_group.c ----
extern const struct conn_ops route_group_ops;
extern const struct route_end_ops route_group_end_ops;

static inline uint16_t route_group_remote_port(const struct route_group *rg)
{
	return be16_get(rg->key + KEY_PK_LEN);
}

static inline uint16_t route_group_local_port(const struct route_group *rg)
{
	return be16_get(rg->key + KEY_PK_LEN + 2);
}

static inline const struct key_pk *route_group_remote(const struct route_group *rg)
{
	return (const struct key_pk *)rg->key;
}

void route_group_log(const struct route_group *rg, const char *what);
void route_group_info_get(const struct route_group *rg, struct route_group_info *out);
// Sends what is due and possible, tells what is new, sets the timer; may end it.
void route_group_pump(struct route_group *rg);
void route_group_on_timer(void *arg); // struct route_group
void route_group_on_installed(void *arg, int status, size_t which); // ditto
void route_group_room(struct route_group *rg); // there may be room in the ring
// It ends at once, and the far end is not told.
void route_group_drop(struct route_group *rg, int err, const char *why);
void route_group_unref(struct route_group *rg);

// ---- route_groups.c ----
// Nobody finds it any more; its rules go.
void route_groups_forget(struct route_group *rg);
// An accepted one is open: to its listener, or closed.
void route_groups_opened(struct route_group *rg);
