// One request of the API in work, apart from where it came from: the socket server and later the
// HTTP API give the same handlers a sink to answer into. One thread: the loop's.
//
// A handler answers with records and exactly one end (or failure), at once or later. A later one
// first calls api_req_pend(): `cancel` tells it that the client went away (the request must not be
// touched again), `resume` that a full sink has room again. After the end the request is gone. A
// client that takes too little may be given up within api_req_record(): what follows is ignored,
// and `cancel` comes later, as ever, from the loop and never from within a call of its handler.
#pragma once

#include "lib/api/api.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api_req;

// The client's connection, the callee's to close; or -errno: the client went away.
typedef void (*api_stream_fn)(void *arg, int take_fd);

struct api_sink {
	void (*record)(struct api_req *r, const void *rec, size_t len);
	void (*end)(struct api_req *r, int status, const void *payload, size_t len);
	bool (*is_full)(const struct api_req *r);
	void (*watch)(struct api_req *r);
	void (*stream)(
		struct api_req *r, const void *payload, size_t len, api_stream_fn fn, void *arg);
};

// Open: sinks embed it.
struct api_req {
	const struct api_sink *sink;
	uint32_t rights; // enum api_rights of the client
	bool busy; // between the request and its end
	void (*resume)(void *arg);
	void (*cancel)(void *arg);
	void *arg;
};

void api_req_record(struct api_req *r, const void *rec, size_t len);
void api_req_end(struct api_req *r, const void *payload, size_t len);
// err is negative; the text names the fix.
void api_req_fail(struct api_req *r, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
// Stop making records until `resume`.
bool api_req_is_full(const struct api_req *r);
void api_req_pend(
	struct api_req *r, void (*resume)(void *arg), void (*cancel)(void *arg), void *arg);

// The pending request may wait long: hear at once when the client goes away.
void api_req_watch(struct api_req *r);
// As api_req_end(), and then the connection is no API's any more. fn is called once; from within
// this call only if the client is gone.
void api_req_stream(
	struct api_req *r, const void *payload, size_t len, api_stream_fn fn, void *arg);

// For sinks: the client went away, or there is room again.
void api_req_cancelled(struct api_req *r);
void api_req_resumed(struct api_req *r);
