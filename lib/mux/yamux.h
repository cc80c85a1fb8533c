// yamux sessions, version 0 (docs/design/mux.md): credit per stream, ping, go-away, reset. See
// lib/mux/mux.h for what to do with one.
#pragma once

#include "lib/mux/mux.h"

// Defaults of the Go package, and what it has no limit for.
void yamux_conf(struct mux_conf *conf, bool is_client);

// NULL and errno: EINVAL (window below 262144 or above 2^30, backlog, streams_max, send_max,
// frame_max or recv_max of 0), ENOMEM. Owner: the caller (mux_free).
struct mux *yamux_new(const struct mux_conf *conf, uint64_t now_ns);
