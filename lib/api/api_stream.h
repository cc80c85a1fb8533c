// Requests that turn their connection into a stream: dial and listen, of dmsg and of routes.
//
// Once the end frame with status 0 (struct api_stream_peer) was sent, the connection carries no
// frames any more but the bytes of the stream, both ways. The client sends nothing between its
// request and that end. A listen is answered by the first stream that comes; a client that closes
// the connection before takes its request back.
#pragma once

#include "lib/api/api.h"

struct api_stream_peer { // who is at the other end
	uint8_t pk[API_PK_LEN];
	uint8_t pad;
	uint16_t port;
	uint32_t id; // of the stream, for API_STREAM_ENDED
};
static_assert(sizeof(struct api_stream_peer) == 40, "api_stream_peer");

// How a stream ended is not seen at its bytes, so API_STREAM_ENDED asks on another connection; the
// answer comes when it has ended.
struct api_stream_ended_ask {
	uint32_t id;
};
struct api_stream_ended {
	// 0: in order; -EPIPE: so, but bytes of ours came too late for it; -ENOENT: not known; else
	// what cut it
	int32_t err;
};
