// Set-up as a caller sees it: a dmsg stream to a set-up node (port 36), from one to a node of a
// route (port 136), or to who shall make a transport (port 47); one net/rpc call at a time. Loop's
// thread only.
#pragma once

#include "controlplane/dmsg/dmsg_client.h"
#include "lib/wire/setup_msg.h"

enum {
	// Streams that are kept, 25 KiB each, and for how long: less than the 35 s after which
	// nodes of ours end one (route_peer.h); those of Skywire never do.
	SETUP_KEEP_MAX = 256,
	SETUP_KEEP_MS = 20000,
	// For the first answer on such a stream: its node may have gone to another server
	// meanwhile, where a new one reaches it.
	SETUP_TRY_MS = 3000,
};

struct setup_call;
struct setup_keep;

// What came of the dial, and of each call after it. 0: open, or answered: the reply is in
// setup_call_reply(). -EREMOTEIO: the node said no, `why` are its words. Any other -errno: broken,
// no more can be called. Never from within a call of the owner's; the owner may free it here.
typedef void (*setup_call_fn)(void *arg, int err, const char *why);

// Streams to nodes between two set-ups, for keep_ms, and then for try_ms. NULL and errno. Owner:
// the caller.
struct setup_keep *setup_keep_new(struct loop *l, uint32_t keep_ms, uint32_t try_ms);
// Ends them. All that were taken were freed. NULL is allowed.
void setup_keep_free(struct setup_keep *k);
uint32_t setup_keep_n(const struct setup_keep *k);
// One that is open and waits for no answer, for whoever calls that node next.
void setup_keep_put(struct setup_keep *k, struct setup_call *take_c);
// A stream that was kept: open at once, the first call may be made. Should it turn out to be broken
// before that is answered, or silent, it is dialled anew, and fn comes as after setup_call_new().
// NULL: there is none.
struct setup_call *setup_keep_take(
	struct setup_keep *k, const struct key_pk *pk, setup_call_fn fn, void *arg);

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
// The same of a call to another service, which put writes: at most SETUP_ASK_MAX bytes.
typedef void (*setup_put_fn)(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const void *arg);
int setup_call_put(struct setup_call *c, setup_put_fn put, const void *arg);
