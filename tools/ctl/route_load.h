// The load of `bench route`: the client of the bench service of routes
// (controlplane/app/route_bench.h has its protocol) on a stream that is open. Blocks; one thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ROUTE_LOAD_ASKS = 20, // round trips for the latency
	ROUTE_LOAD_PART_MIN = 64 * 1024, // of what one request is about
	ROUTE_LOAD_PART_MAX = 4 * 1024 * 1024,
	ROUTE_LOAD_STALL_MS = 60000, // nothing moves for so long
	ROUTE_LOAD_FIRST_MS = 5000, // for the first answer: a bench service gives it at once
	ROUTE_LOAD_WHY_MAX = 160,
};

struct route_load_limit {
	uint64_t bytes; // so many; 0: as many as there is time for
	uint32_t for_ms;
};

struct route_load_result {
	uint64_t bytes; // whose checksums were compared
	double seconds; // from the first byte to the last answer
};

struct route_load;

// fd: non-blocking, the caller's; first: bytes that came already, copied. NULL: ENOMEM.
struct route_load *route_load_new(int fd, const void *first, size_t first_len);
void route_load_free(struct route_load *l); // NULL is allowed

// All: 0, or -errno and why: -ECONNRESET: the stream ended; -ETIMEDOUT: nothing moves; -EPROTO: it
// is no bench service; -EBADMSG: other bytes came than were sent.
//
// Round trips of a short line on the idle stream, in microseconds. Comes first: what gives no
// answer in first_ms, or another one, is no bench service.
int route_load_latency(struct route_load *l, uint32_t first_ms, uint32_t us[ROUTE_LOAD_ASKS],
	char why[ROUTE_LOAD_WHY_MAX]);
// To the service, or from it.
int route_load_run(struct route_load *l, bool back, struct route_load_limit limit,
	struct route_load_result *out, char why[ROUTE_LOAD_WHY_MAX]);
