// The services of Skywire that this node asks, as [transports] and [routing] say: transport
// discovery, address resolver, route finder. Each may be absent. Loop's thread only.
#pragma once

#include "controlplane/cp_conf.h"
#include "controlplane/directory/service.h"
#include "controlplane/directory/tp_register.h"

struct services;

enum services_kind { SERVICES_DISCOVERY, SERVICES_RESOLVER, SERVICES_FINDER, SERVICES_KINDS };

// *http is made if there is none and a service needs it (role.h). NULL and errno: a line that says
// why was logged. Owner: the caller, who also owns *http and keeps it longer.
struct services *services_new(struct loop *l, const struct cp_conf *c, const struct identity *id,
	struct http_client **http);
void services_free(struct services *s); // NULL is allowed
// NULL: it is not configured.
struct service *services_get(const struct services *s, enum services_kind kind);
// Peers that dial stcpr transports find us there: tells the address resolver, which there is, of
// this address until the end. 0 or -errno.
int services_bind(struct services *s, const struct dpmsg_addr *listen);
// Takes it back; `done` comes once, never from within the call. False: nothing is bound, and done
// does not come.
bool services_unbind(struct services *s, loop_fn done, void *arg);
// What registers transports; NULL: no transport discovery.
struct tp_register *services_register(const struct services *s);
