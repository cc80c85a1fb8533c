// The API socket: accepts clients, checks frames, rights and sizes, calls the handler table, bounds
// what a client can hold: clients, bytes of input and output, seconds of silence in the middle of a
// frame. One thread: the loop's.
#pragma once

#include "controlplane/core/loop.h"
#include "controlplane/rpc/api_req.h"

#include <sys/types.h>

struct api_server;

typedef void (*api_handler_fn)(void *ctx, struct api_req *r, const void *payload, size_t len);

// One row a request type. The payload handed to fn has min_len <= len <= max_len.
struct api_method {
	uint16_t type; // enum api_type
	uint16_t rights; // enum api_rights needed
	const char *name; // for logs
	uint32_t min_len;
	uint32_t max_len;
	api_handler_fn fn;
};

enum {
	API_CLIENTS_MAX = 32,
	API_GROUP_CLIENTS_MAX = 28, // the last places are for root and our own user
	API_OUT_MAX = 16 << 20, // bytes of answer that may wait for a client
	API_OUT_FULL = 256 << 10, // from here on lists pause
	API_HELLO_MS = 5000, // to say hello
	API_STALL_MS = 10000, // for the rest of a begun frame, or to take what was sent
};

struct api_server_conf {
	struct loop *loop;
	const char *path; // of the socket; a stale one is replaced
	const char *node; // name, told in the welcome
	gid_t group; // owner of the socket; (gid_t)-1: leave it
	uint32_t group_rights; // of clients that are neither root nor our own user
	const struct api_method *methods; // static
	size_t n_methods;
	void *ctx; // of the handlers
	uint32_t tick_ms; // how often deadlines are looked at; 0 = 1000
};

struct api_server_stats {
	uint64_t accepted, refused, requests, bad_frames, denied, stalled;
	uint32_t clients;
};

// NULL and errno; err has a text that names the fix (EADDRINUSE: a control plane lives at that
// path).
struct api_server *api_server_new(const struct api_server_conf *conf, char *err, size_t err_len);
// Closes all clients and removes the socket. NULL is allowed.
void api_server_free(struct api_server *s);
void api_server_stats_get(const struct api_server *s, struct api_server_stats *out);
