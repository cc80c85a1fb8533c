// Client of the control plane's API: blocking, one request at a time, for tools.
//
// A failed call leaves a text that names the fix in api_client_error(). Not thread-safe: one
// client, one thread. Everything the server sends is checked for length before it is handed on.
#pragma once

#include "lib/api/api.h"

#include <stddef.h>

struct api_client;

// One frame of an answer's payload: a record (more = 1), or what the end frame carries (more = 0;
// not called when it is empty). Return 0 to go on; -errno ends the call with that (the connection
// is then unusable). The bytes are the client's until return.
typedef int (*api_client_cb)(void *ctx, int more, const void *payload, size_t len);

// Connect to the socket at path and say hello. timeout_ms bounds every wait (0 = 5000). On failure
// *out is NULL and err has a text. Caller owns *out.
int api_client_open(
	struct api_client **out, const char *path, int timeout_ms, char err[API_TEXT_MAX]);
void api_client_free(struct api_client *c);

// Send a request and read its whole answer. 0 or -errno: the server's status or the connection's.
int api_client_call(struct api_client *c, uint16_t type, const void *payload, size_t len,
	api_client_cb cb, void *ctx);
// For requests answered by one struct: exactly `cap` bytes or more are copied into out.
int api_client_get(struct api_client *c, uint16_t type, const void *payload, size_t len, void *out,
	size_t cap);
struct api_node;
// What API_NODE tells. 0 or -errno.
int api_client_node(struct api_client *c, struct api_node *out);
// After a call that turned the connection into a byte stream: its descriptor, non-blocking, the
// caller's to close, and the first bytes of the stream, which came with the answer (borrowed until
// api_client_free()). The client is then good for nothing else.
int api_client_take_fd(struct api_client *c, const uint8_t **first, size_t *first_len);
// Why the last call failed; never NULL.
const char *api_client_error(const struct api_client *c);
// A wait longer than the usual one, for requests that take their time.
void api_client_timeout(struct api_client *c, int timeout_ms);
