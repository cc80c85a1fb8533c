// Questions to an address resolver (skywire-routing 6.5): where a visor is reached by stcpr, and
// that we are. Loop's thread only.
#pragma once

#include "controlplane/directory/service.h"
#include "lib/wire/resolver_msg.h"

enum { RESOLVER_LIST_MAX = 8192 }; // keys of one list

struct resolver_ask;

struct resolver_result {
	int err; // -errno: no answer, or none that can be read
	unsigned status; // when err is 0; 404 to a find: it is not bound
	bool taken;
	const struct resolver_visor *visor; // of a find that was taken; borrowed
	const struct key_pk *keys; // of a list; borrowed
	size_t n_keys;
	const char *text; // why it was not taken, for people
};

// Called once, never from within the call that asks. These return NULL and errno, as service_ask().
typedef void (*resolver_fn)(void *arg, const struct resolver_result *r);
// Addresses are text; the one that the resolver sees us come from must be public and among them. To
// be repeated every 5 minutes. EINVAL: too many, or one that is none.
struct resolver_ask *resolver_bind(struct service *s, uint16_t port, const char *const *addrs,
	size_t n, resolver_fn fn, void *arg);
struct resolver_ask *resolver_unbind(struct service *s, resolver_fn fn, void *arg);
struct resolver_ask *resolver_find(
	struct service *s, const struct key_pk *pk, resolver_fn fn, void *arg);
// Who is bound by stcpr; RESOLVER_LIST_MAX at most.
struct resolver_ask *resolver_list(struct service *s, resolver_fn fn, void *arg);
// No call any more; the server may have got it. NULL is allowed; not after the call.
void resolver_cancel(struct resolver_ask *a);
