// A service on a route port for benches and tests: it takes, gives and sends back bytes. Off unless
// configured ([routing] bench_port). One line asks for one thing, and after it comes the next line:
//
//   echo             all that follows comes back
//   take N           N bytes follow and are thrown away; answer: "N\n"
//   sum N            the same; answer: "N SUM\n", BLAKE2b in hexadecimal digits
//   give N           answer: N bytes, then "N SUM\n" of them
//
// Anything else: "?\n", and the stream is closed. Loop's thread only.
#pragma once

#include "controlplane/route/route_group.h"

enum { ROUTE_BENCH_CONNS = 16, ROUTE_BENCH_LINE = 32 };

struct route_bench;

// NULL and errno; EADDRINUSE.
struct route_bench *route_bench_new(struct route_groups *groups, uint16_t port);
void route_bench_free(struct route_bench *b); // closes all; NULL is allowed
