// Opening a dmsg stream (dmsg 5.1), or asking a server for our own address (5.4), on a fresh mux
// stream of an open session. Sans-I/O.
//
//     client -> server   object: StreamRequest, with KK message 1 for the far end
//            <-          object: StreamResponse, with KK message 2
//            <->         records (noise_rec.h) under the stream's own keys
#pragma once

#include "lib/dmsg/inbox.h"

enum {
	DMSG_PORT_IP_REQUEST = 1, // a number that fills the field
};

struct dmsg_dial_conf {
	struct dmsg_addr dst; // for an IP request: the server's key, any port
	uint16_t src_port; // ours while the stream lives
	int64_t wall_ns; // now, since 1970
	bool ip_request;
	const uint8_t *test_e; // tests only
};

// About 6 KiB until the answer is there. Open so that it can lie in its owner's struct.
struct dmsg_dial {
	enum dmsg_err err; // after DMSG_FAILED
	struct dmsg_addr src, dst;
	bool ip_request;
	uint8_t req_hash[DMSG_HASH_LEN];
	uint8_t ip_len; // answer to an IP request: 4 bytes, also of a mapped address, or 16
	uint8_t ip[DMSG_IP_MAX_LEN];
	struct noise kk;
	struct dmsg_inbox in;
};

// Makes the request; the bytes to write first on the mux stream (at most DMSG_FRAME_MAX). -EINVAL:
// a port is 0, or dst is no key; -EPIPE: the session is not open; -ENOSPC, -EIO. Needs no fini
// after an error.
ssize_t dmsg_dial_start(struct dmsg_dial *d, struct dmsg_session *s,
	const struct dmsg_dial_conf *conf, uint8_t *out, size_t cap);
// The answer's bytes. DMSG_READY: the far end has accepted (or the address is there); the bytes
// that were not used are the stream's first records.
enum dmsg_step dmsg_dial_feed(
	struct dmsg_dial *d, struct dmsg_session *s, const uint8_t *p, size_t len, size_t *used);
// The stream's records, after DMSG_READY of a stream request. 0, or -EAGAIN before it.
int dmsg_dial_keys(const struct dmsg_dial *d, struct noise_rec *rec);
void dmsg_dial_fini(struct dmsg_dial *d); // wipes; idempotent
