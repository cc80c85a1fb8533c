// The far end of a dmsg stream (dmsg 5.2): a mux stream that the server opened. Sans-I/O.
//
// Between feed and answer the owner looks whether anybody listens on req.dst.port. Nobody: it
// closes the stream without a word, as every acceptor does; a bad stream never ends the session.
#pragma once

#include "lib/dmsg/inbox.h"

struct dmsg_accept {
	enum dmsg_err err; // after DMSG_FAILED
	struct dmsg_request req; // after DMSG_READY: who wants what; its noise lies in `in`
	uint8_t req_hash[DMSG_HASH_LEN];
	struct dmsg_inbox in;
};

void dmsg_accept_init(struct dmsg_accept *a);
// The request's bytes. DMSG_READY: it is whole, for us, and signed by its source.
enum dmsg_step dmsg_accept_feed(
	struct dmsg_accept *a, struct dmsg_session *s, const uint8_t *p, size_t len, size_t *used);
// Accepts: the bytes to write, and the stream's records. -EBADMSG: its noise message is not from
// that source (close the stream); -EPIPE, -ENOSPC, -EIO. test_e is NULL but in tests.
ssize_t dmsg_accept_answer(struct dmsg_accept *a, struct dmsg_session *s, const uint8_t *test_e,
	struct noise_rec *rec, uint8_t *out, size_t cap);
