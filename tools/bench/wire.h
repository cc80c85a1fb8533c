// The device under test on the wire: a node that runs elsewhere, behind ports of ours. We are its
// neighbours: ARP and ND, one handshake for each link as initiator or responder, re-keys inside the
// links. The node's configuration, or its API (node_api.h), says what it does with our packets.
// Everything is [main].
#pragma once

#include "dataplane/io/port.h"
#include "tools/bench/args.h"
#include "tools/bench/traffic.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { WIRE_ERR_MAX = 320 };

struct wire;

// What EAL must know before it starts: the ports as they will be opened, and memory.
unsigned wire_port_asks(const struct args *a, struct port_ask *asks);
uint64_t wire_need(const struct args *a);
// Opens the ports and finds the node's hardware addresses. NULL with errno set and a line in err.
struct wire *wire_open(const struct args *a, const struct key_sk *sk, struct traffic *t,
	peer_sink sink, void *sink_ctx, const _Atomic bool *stop, char err[WIRE_ERR_MAX]);
void wire_close(struct wire *w); // tells the node that the links end
struct peer *wire_peer(struct wire *w);
// Make the links: 0, or -errno and a line in err.
int wire_connect(struct wire *w, const struct key_pk *node, char err[WIRE_ERR_MAX]);
// Serve the links until ready, asked now and then, says 1; 0 is not yet, with a line in err, -errno
// ends it. 0 or -errno, a line in err; -ETIMEDOUT after as long as links may take.
int wire_wait(struct wire *w, int (*ready)(void *ctx, char err[WIRE_ERR_MAX]), void *ctx,
	char err[WIRE_ERR_MAX]);
// Now and then: notes of the links, retries, re-keys that are due. ctx: the wire.
void wire_poll(void *ctx);
// Frames for which our devices had no room, since the start. ctx: the wire.
uint64_t wire_missed(void *ctx);
// Key pairs that handshakes and re-keys made.
uint64_t wire_keys(const struct wire *w);
// Why a link went down; "" if none did.
const char *wire_trouble(const struct wire *w);
