// Round trip to a server and back through its stream handling: a stream with two zero bytes on it,
// which come back (dmsg 3.6). Works over either muxer; dmsg_link_ping() asks yamux alone, which
// proves less. Loop's thread only.
#pragma once

#include "controlplane/dmsg/dmsg_link.h"

struct dmsg_ping;

// Once, never from within the call: the round trip and 0, or -errno. -EOPNOTSUPP: the server closed
// the stream, as those of 2024 do; it is alive. -ETIMEDOUT; or what ended the session.
typedef void (*dmsg_ping_fn)(void *arg, uint64_t rtt_ns, int err);

// NULL and errno as dmsg_link_stream(), ENOMEM.
struct dmsg_ping *dmsg_ping_start(
	struct dmsg_link *k, uint32_t timeout_ms, dmsg_ping_fn fn, void *arg);
// No call any more. NULL is allowed; not after the call.
void dmsg_ping_cancel(struct dmsg_ping *p);
