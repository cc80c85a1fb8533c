// Requests that a service knows the sender of (skywire-routing 6.5): headers SW-Public, SW-Nonce
// (decimal) and SW-Sig, whose signature is over SHA-256 of the body followed by the nonce as
// decimal text. The server counts nonces of each key: GET /security/nonces/PK tells the next one.
// Pure but for jansson's own memory.
#pragma once

#include "lib/crypto/key.h"
#include "lib/crypto/sign.h"

#include <stdint.h>

enum {
	HTTP_AUTH_JSON_MAX = 4096, // longest answer with a nonce, or with an error, that is read
	HTTP_AUTH_ERROR_LEN = 96, // with the final NUL
};

#define HTTP_AUTH_NONCES "/security/nonces/" // and the key

// -EINVAL: bad key. No body: len 0.
int http_auth_sign(struct sign_sig *sig, const struct key_sk *sk, const void *body, size_t len,
	uint64_t nonce);

// {"edge":PK,"next_nonce":N}. -EBADMSG: no such JSON, or of another key.
int http_auth_nonce_read(uint64_t *nonce, const struct key_pk *pk, const char *json, size_t len);
// What a service says when it refuses, for people, in printable ASCII and cut: {"error":TEXT},
// {"error":{"message":TEXT,"code":N}} or {"message":TEXT}; "" when it says none of these.
void http_auth_error_read(char text[HTTP_AUTH_ERROR_LEN], const char *json, size_t len);
