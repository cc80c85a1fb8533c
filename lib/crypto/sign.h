// Recoverable ECDSA signatures of Skywire: r 32, s 32 (big-endian, s in the lower half), recovery
// id 1, over SHA-256 of the payload (single hash, no prefix). Source: skywire-routing 9.2. Any
// thread.
#pragma once

#include "lib/crypto/key.h"

enum {
	SIGN_LEN = 65,
	SIGN_TEXT_LEN = 130, // hex, without NUL
};

struct sign_sig {
	uint8_t b[SIGN_LEN];
};

// Sign the SHA-256 of a payload. The nonce is RFC 6979 with fresh randomness mixed in, so two
// signatures of one payload differ. -EINVAL: bad key.
int sign_payload(struct sign_sig *sig, const struct key_sk *sk, const void *payload, size_t len);
// Sign a 32-byte hash. -EINVAL: bad key or a hash of zeros, which Skywire refuses to verify.
int sign_hash(struct sign_sig *sig, const struct key_sk *sk, const uint8_t hash[32]);

// 0 when sig was made over the payload by the owner of pk; -EBADMSG for anything else: s with its
// top bit set, recovery id >= 4, no such point, another signer, null key.
int sign_verify(
	const struct sign_sig *sig, const struct key_pk *pk, const void *payload, size_t len);
int sign_verify_hash(const struct sign_sig *sig, const struct key_pk *pk, const uint8_t hash[32]);
// The signer's public key, with the same refusals (-EBADMSG; *pk is then null).
int sign_recover(struct key_pk *pk, const struct sign_sig *sig, const uint8_t hash[32]);

// 130 hex digits, lower case on output.
void sign_to_text(const struct sign_sig *sig, char out[SIGN_TEXT_LEN + 1]);
// -EINVAL unless exactly 130 hex digits.
int sign_from_text(struct sign_sig *sig, const char *text, size_t len);
