// Inside of neigh, shared by neigh.c (netlink, paths) and neigh_adj.c (the data plane). Nobody else
// includes it.
#pragma once

#include "controlplane/dp/handles.h"
#include "controlplane/dp/neigh.h"
#include "controlplane/dp/neigh_nl.h"
#include "lib/base/htab.h"

#include <net/if.h>

struct neigh_port {
	bool used;
	struct evt_port e;
	struct neigh_nl_link link; // ifindex 0: the kernel has no such interface
};

struct neigh_way_key {
	uint8_t ip[16];
	int32_t scope;
};

struct neigh_way {
	struct neigh_path pub;
	struct neigh_way_key key;
	char scope_if[IF_NAMESIZE]; // "": any interface
	int32_t scope; // the one of that name now
	struct neigh *owner;
	struct neigh_ref *refs;
	struct neigh_ref *walk; // the one to be told next
	struct neigh_way *next;
	int ifindex; // of the way, 0: none
	uint16_t nud;
	uint64_t used_ns; // when the kernel was last asked to use the neighbour
	bool again; // ... is to be asked soon
	bool dirty; // the data plane doesn't know yet
	bool in_dp;
	uint32_t n_pending; // ADJ_SETs without an answer
	struct neigh_path sent, told; // what they say; what the references may count on
};

struct neigh_ref {
	struct neigh_way *path;
	neigh_fn fn;
	void *arg;
	struct neigh_ref *next;
};

struct neigh_adopted {
	uint32_t adj;
	uint16_t port;
	uint8_t ip[16];
	struct neigh_adopted *next;
};

struct neigh {
	struct loop *loop;
	struct dp_client *dp;
	struct dp_handler handler;
	struct mnl_socket *ask, *watch;
	struct loop_poll *poll;
	struct loop_timer *soon, *recheck, *again, *tick, *adopt_end;
	struct handles *handles;
	struct htab *by_key;
	struct neigh_way *paths;
	struct neigh_adopted *adopted;
	struct neigh_port ports[DPMSG_MAX_PORTS];
	uint32_t seq;
	struct neigh_way *round; // to be asked next; NULL: no round is under way
	bool round_again; // something changed meanwhile
	uint64_t round_ns; // when the last one ended, 0: never
	uint64_t recheck_ms; // to wait before the next
	bool no_cap_said, ready;
};

// ---- neigh.c ----
// Ask the kernel for everything about a path, and see whether that is news.
void neigh_way_ask(struct neigh *n, struct neigh_way *p);
void neigh_way_free(struct neigh_way *p);
void neigh_no_way(struct neigh_way *p, enum neigh_state state);
void neigh_links_dump(struct neigh *n);
void neigh_recheck_soon(struct neigh *n);

// ---- neigh_adj.c ----
// The data plane and the references are to be told, soon.
void neigh_adj_changed(struct neigh_way *p);
void neigh_adj_flush(void *arg); // struct neigh; also reaps paths without references
void neigh_adj_del(struct neigh *n, uint32_t adj);
void neigh_adj_on_adopt_end(void *arg); // struct neigh
void neigh_adj_forget(struct neigh *n); // adopted adjs
void neigh_adj_handlers(struct neigh *n);
