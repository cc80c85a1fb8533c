// Route set-up as a caller sees it: a dmsg stream to a set-up node (port 36), or from one to a node
// of a route (port 136), one net/rpc call at a time. Loop's thread only.
#pragma once

#include "controlplane/dmsg/dmsg_client.h"
#include "lib/wire/setup_msg.h"

struct setup_call;

// What came of the dial, and of each call after it. 0: open, or answered: the reply is in
// setup_call_reply(). -EREMOTEIO: the node said no, `why` are its words. Any other -errno: broken,
// no more can be called. Never from within a call of the owner's; the owner may free it here.
typedef void (*setup_call_fn)(void *arg, int err, const char *why);

// Begins to dial. NULL and errno.
struct setup_call *setup_call_new(struct dmsg_client *client, const struct key_pk *pk,
	uint16_t port, uint32_t timeout_ms, setup_call_fn fn, void *arg);
void setup_call_free(struct setup_call *c); // ends the stream; NULL is allowed
bool setup_call_is_open(const struct setup_call *c); // NULL is not
const struct netrpc_rx *setup_call_reply(const struct setup_call *c);

// A call; one that is under way is given up, its answer is passed over. 0, or -errno: broken, and
// fn is not called.
int setup_call_dial(struct setup_call *c, const struct setup_route *route);
int setup_call_reserve(struct setup_call *c, uint8_t n);
int setup_call_intermediary(struct setup_call *c, const uint8_t *rules, uint32_t n);
int setup_call_edge(struct setup_call *c, const struct setup_edge *edge);
int setup_call_delete(struct setup_call *c, const uint32_t *ids, uint32_t n);
