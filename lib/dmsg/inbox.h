// Gathers the one object that comes first on a mux stream (dmsg 3.7), or the ping marker in its
// place (3.6). Takes no byte too many: what follows the object belongs to the stream's own
// handshake or data. Sans-I/O; 5 KiB that live as long as the object is awaited.
#pragma once

#include "lib/dmsg/session.h"

enum {
	DMSG_PING_LEN = 2, // 00 00, written and read back; an object of length 0 cannot exist
	DMSG_PING_TIMEOUT_MS = 5000,
	DMSG_REQUEST_TIMEOUT_MS = 5000, // server: from the stream's opening to the whole object
	DMSG_DIAL_TIMEOUT_MS = 20000, // client: from the request to the answer
};

// What a byte more or less has led to; common to inbox, dial, accept and relay.
enum dmsg_step {
	DMSG_MORE = 0, // wait for more bytes
	DMSG_READY,
	DMSG_PING, // write the marker back and close the stream
	DMSG_FAILED, // close the stream; `err` says why
};

struct dmsg_inbox {
	enum dmsg_err err;
	size_t have;
	const uint8_t *obj; // DMSG_READY: the object, in buf
	size_t obj_len;
	uint8_t buf[DMSG_FRAME_MAX];
};

void dmsg_inbox_init(struct dmsg_inbox *in);
// Takes what it needs of the bytes (*used). DMSG_READY comes once; later bytes are not taken. The
// object was sealed by the session's peer and is new to the session; nothing else is known of it.
enum dmsg_step dmsg_inbox_feed(
	struct dmsg_inbox *in, struct dmsg_session *s, const uint8_t *p, size_t len, size_t *used);
// The same where an answer to a request is awaited: nobody pings there, so it never is DMSG_PING.
enum dmsg_step dmsg_inbox_feed_answer(
	struct dmsg_inbox *in, struct dmsg_session *s, const uint8_t *p, size_t len, size_t *used);
// After DMSG_READY: the object as a request that is sound and signed by its source.
enum dmsg_err dmsg_inbox_request(const struct dmsg_inbox *in, struct dmsg_request *req);
