// How long packets take to each node of a way: a loop (route_loop.h) over the first node and back,
// then over the first two and back, and so on, one after another. The first that is not laid, or
// over which nothing comes back, is the last. Loop's thread only.
#pragma once

#include "controlplane/route/route_dial.h"
#include "controlplane/route/route_loop.h"

enum {
	ROUTE_TRACES_MAX = 4, // at once
	ROUTE_TRACE_HOPS_MAX = SETUP_HOPS_MAX / 2, // there and back are one route
	ROUTE_TRACE_KEEP_ALIVE_S = 30, // of the loops' rules
};

struct route_tracer;
struct route_trace;

struct route_trace_hop {
	uint32_t hop; // from 1
	struct key_pk pk;
	const uint8_t *tp_id; // by which it is reached
	struct route_loop_result result;
	uint64_t laid_us; // how long the set-up took; 0: it was not laid
	const char *why; // "", or why nothing is known of it
};

struct route_trace_events {
	void (*hop)(void *arg, const struct route_trace_hop *hop); // each, in order
	// Once, and it is over: 0, or -errno and why not all were measured, for people.
	void (*done)(void *arg, int err, const char *why);
};

struct route_tracer_stats {
	uint64_t traces, failed, refused; // refused: too many at once
	struct route_loops_stats loops;
};

// Both borrowed. NULL and errno. Owner: the caller.
struct route_tracer *route_tracer_new(struct route_dialler *d, struct route_loops *loops);
void route_tracer_free(struct route_tracer *t); // no trace is under way; NULL is allowed
void route_tracer_stats_get(const struct route_tracer *t, struct route_tracer_stats *out);

// Way and destination as in a dial, whose port and keep-alive count for nothing. Events never come
// from within. NULL and errno: EINVAL: no such key, our own, or no Pings; EBUSY: too many; ENOMEM.
struct route_trace *route_trace_new(struct route_tracer *t, const struct route_dial_ask *ask,
	uint32_t n_pings, const struct route_trace_events *ev, void *arg);
// No event any more; its loop is closed. NULL is allowed; not after done.
void route_trace_cancel(struct route_trace *trace);
// There is no more time for it: what the hop that is under way has measured so far is told, and the
// end, with why and where it stands. Not after done.
void route_trace_expire(struct route_trace *trace, const char *why);
