// This node is bound at an address resolver as long as it takes stcpr transports (skywire-routing
// 6.4, 6.5): its public addresses are told every 5 minutes, sooner after a failure, and taken back
// when there are none any more, and at the end. Loop's thread only.
#pragma once

#include "controlplane/directory/resolver.h"

enum {
	RESOLVER_KEEP_MS = 300000,
	RESOLVER_KEEP_RETRY_MS = 5000, // after a failure; longer with each
	RESOLVER_KEEP_RETRY_MAX_MS = 60000,
	RESOLVER_KEEP_LEAVE_MS = 2000,
};

struct resolver_keep;

// Fills out with at most max addresses; how many. Called before each bind.
typedef size_t (*resolver_keep_fn)(void *arg, char (*out)[RESOLVER_IP_LEN], size_t max);

struct resolver_keep_conf {
	struct loop *loop;
	struct service *service; // borrowed; outlives this
	uint16_t port; // where peers may call
	resolver_keep_fn addrs;
	void *arg;
	uint32_t every_ms, retry_ms; // 0: RESOLVER_KEEP_MS, RESOLVER_KEEP_RETRY_MS
};

// NULL and errno. Owner: the caller. Binds at once.
struct resolver_keep *resolver_keep_new(const struct resolver_keep_conf *conf);
void resolver_keep_free(struct resolver_keep *k); // stays bound; NULL is allowed
// Takes the binding back: `done` comes once, within RESOLVER_KEEP_LEAVE_MS, never from within the
// call. Nothing is bound any more.
void resolver_keep_leave(struct resolver_keep *k, loop_fn done, void *arg);

// The public ones of the host's interfaces that are up. arg: uint8_t[16], the address that is
// listened on: it alone, if it is not the unspecified one.
size_t resolver_keep_addrs(void *arg, char (*out)[RESOLVER_IP_LEN], size_t max);
