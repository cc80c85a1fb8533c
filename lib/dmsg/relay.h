// A server's part in opening one stream (dmsg 6.1, 6.3): request in from X, the very object out to
// Y, the answer in from Y and out to X; then bytes are copied both ways, which is the owner's
// matter. Sans-I/O.
//
//     X --object--> feed: DMSG_READY, where()
//         RELAY_TO_SELF    -> answer_ip                -> X
//         RELAY_ONWARD     -> onward(Y) --object--> Y, then feed_answer: DMSG_READY, back(X) -> X
//
// When Y fails before it has accepted, onward() may be called again with another session: that is
// how a mesh tries its peers one after the other.
#pragma once

#include "lib/dmsg/inbox.h"

enum dmsg_relay_where {
	RELAY_TO_SELF, // an IP request to this server
	RELAY_ONWARD, // to the client req.dst.pk
};

// About 11 KiB until the stream is joined.
struct dmsg_relay {
	enum dmsg_err err; // after DMSG_FAILED
	struct dmsg_request req;
	uint8_t req_hash[DMSG_HASH_LEN];
	struct dmsg_inbox request, answer;
};

void dmsg_relay_init(struct dmsg_relay *r);
// The request's bytes, from X. Ready: it is whole, signed by its source, and its source may use
// this session: X itself, or anyone when X is a peer server. Nothing that would crash a Go peer
// comes through.
enum dmsg_step dmsg_relay_feed(struct dmsg_relay *r, struct dmsg_session *x, bool x_is_peer,
	const uint8_t *p, size_t len, size_t *used);
enum dmsg_relay_where dmsg_relay_where(const struct dmsg_relay *r, const struct dmsg_session *x);

// Bytes for X: the address that we see it at (4 or 16 bytes), signed by this server. -EINVAL:
// another length; -EPIPE, -ENOSPC.
ssize_t dmsg_relay_answer_ip(const struct dmsg_relay *r, struct dmsg_session *x, const uint8_t *ip,
	size_t ip_len, uint8_t *out, size_t cap);

// Bytes for a fresh mux stream on Y: the request, byte for byte as signed. -EPIPE, -ENOSPC.
ssize_t dmsg_relay_onward(struct dmsg_relay *r, struct dmsg_session *y, uint8_t *out, size_t cap);
// The answer's bytes, from Y; checked as a dialler would. What is not used goes to X as it is.
enum dmsg_step dmsg_relay_feed_answer(
	struct dmsg_relay *r, struct dmsg_session *y, const uint8_t *p, size_t len, size_t *used);
// Bytes for X: the answer, byte for byte as signed.
ssize_t dmsg_relay_back(
	const struct dmsg_relay *r, struct dmsg_session *x, uint8_t *out, size_t cap);
