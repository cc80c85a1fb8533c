// smux sessions, versions 1 and 2 (docs/design/mux.md). Version 1 has no windows: a stream that
// nobody reads stops all once recv_max bytes wait. Neither has ping, go-away or reset. See
// lib/mux/mux.h for what to do with one.
#pragma once

#include "lib/mux/mux.h"

// Defaults of the Go package, and what it has no limit for. In version 2 recv_max should be at
// least 262144 for each stream that may stay unread.
void smux_conf(struct mux_conf *conf, bool is_client);

// version: 1 or 2, agreed beforehand. NULL and errno: EINVAL (version; window of 0 or above
// recv_max; recv_max above 2^31 - 1; frame_max above 65535; keepalive_timeout_ns below
// keepalive_ns; a limit of 0), ENOMEM. Owner: the caller (mux_free).
struct mux *smux_new(const struct mux_conf *conf, uint8_t version, uint64_t now_ns);
