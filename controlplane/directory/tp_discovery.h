// Questions to a transport discovery (skywire-routing 6.5): which transports there are, and that
// ours are among them. Loop's thread only.
#pragma once

#include "controlplane/directory/service.h"
#include "lib/wire/tp_entry.h"

struct tp_discovery_ask;

struct tp_discovery_result {
	int err; // -errno: no answer, or none that can be read
	unsigned status; // when err is 0
	bool taken; // it was a success; or, of a question, there is no such entry (n 0)
	const struct tp_entry *entries; // without signatures; borrowed
	size_t n;
	const char *text; // why it was not taken, for people
};

// Called once, never from within the call that asks. These return NULL and errno, as service_ask().
typedef void (*tp_discovery_fn)(void *arg, const struct tp_discovery_result *r);
// Both ends have signed it. A refusal may mean that it is there already: ask for it.
struct tp_discovery_ask *tp_discovery_post(
	struct service *s, const struct tp_entry *e, tp_discovery_fn fn, void *arg);
struct tp_discovery_ask *tp_discovery_delete(
	struct service *s, const uint8_t id[ENTRY_ID_LEN], tp_discovery_fn fn, void *arg);
struct tp_discovery_ask *tp_discovery_find(
	struct service *s, const uint8_t id[ENTRY_ID_LEN], tp_discovery_fn fn, void *arg);
// All of one node; TP_ENTRY_LIST_MAX at most.
struct tp_discovery_ask *tp_discovery_of(
	struct service *s, const struct key_pk *edge, tp_discovery_fn fn, void *arg);
// No call any more; the server may have got it. NULL is allowed; not after the call.
void tp_discovery_cancel(struct tp_discovery_ask *a);
