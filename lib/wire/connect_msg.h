// The four messages by which two ends of a TCP connection say who they are before they speak Noise
// (skywire-routing 6.2); stcp, stcpr and sudph begin so.
//
//     initiator -> responder   the 9 letters get_nonce
//               <-             {"Nonce":[16 numbers]} LF
//               ->             {"SrcAddr":{"public_key":PK,"port":N},"DstAddr":{...},
//                               "Nonce":[...],"Sig":SIG} LF
//               <-             {"OK":true,"ErrMsg":""} LF
//
// Signed is the third text with a signature of zeros, LF and all, in this very form: a reader
// writes again what it read, so the text that comes may have any form. Writers end in LF and give
// the length with it; readers take a text with or without. Pure but for jansson's own memory.
#pragma once

#include "lib/crypto/key.h"
#include "lib/crypto/sign.h"

#include <stdbool.h>
#include <sys/types.h>

enum {
	CONNECT_ASK_LEN = 9,
	CONNECT_NONCE_LEN = 16,
	CONNECT_ERR_LEN = 128, // of a refusal, with the final NUL
	CONNECT_TEXT_MAX = 640, // of the longest that is written, with the final NUL
	CONNECT_JSON_MAX = 2048, // longest that is read, with its LF
	CONNECT_PORT_TRANSPORT = 45, // where visors accept transports
	CONNECT_PORT_EPHEMERAL = 49153, // first one that a caller gives as its own
};

#define CONNECT_ASK "get_nonce"
#define CONNECT_ERR_PORT "not listening on given port"

struct connect_addr {
	struct key_pk pk;
	uint16_t port;
};

struct connect_call {
	struct connect_addr src, dst;
	uint8_t nonce[CONNECT_NONCE_LEN];
	struct sign_sig sig;
};

struct connect_answer {
	bool ok;
	char err[CONNECT_ERR_LEN]; // printable; "" when the peer's text is of no use
};

// All writers: length with the LF, NUL-terminated; -ENOSPC. All readers: 0 or -EBADMSG.
ssize_t connect_nonce_write(const uint8_t nonce[CONNECT_NONCE_LEN], char *out, size_t cap);
int connect_nonce_read(uint8_t nonce[CONNECT_NONCE_LEN], const char *json, size_t len);
ssize_t connect_call_write(const struct connect_call *c, char *out, size_t cap);
int connect_call_read(struct connect_call *c, const char *json, size_t len);
ssize_t connect_answer_write(const struct connect_answer *a, char *out, size_t cap);
int connect_answer_read(struct connect_answer *a, const char *json, size_t len);

// sk is that of src. -EINVAL: bad key.
int connect_call_sign(struct connect_call *c, const struct key_sk *sk);
int connect_call_verify(const struct connect_call *c); // 0 or -EBADMSG

// Length of the JSON object that p begins with, its LF included: where the next message begins in
// a stream. -EAGAIN: it has not come whole; -EBADMSG: no object, or more than `max` bytes.
ssize_t connect_text_len(const void *p, size_t len, size_t max);
