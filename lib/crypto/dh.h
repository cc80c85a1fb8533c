// Diffie-Hellman suites behind one table. Any thread. Bytes only: the lengths are the suite's.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	DH_MAX_PK_LEN = 33,
	DH_MAX_SK_LEN = 32,
	DH_MAX_DH_LEN = 33,
};

struct dh_suite {
	const char *name; // as in a Noise protocol name
	uint32_t pk_len;
	uint32_t sk_len;
	uint32_t dh_len;
	// A new key pair. -EIO: no randomness.
	int (*generate)(uint8_t *sk, uint8_t *pk);
	// -EINVAL: not a secret key of this group.
	int (*pub)(uint8_t *pk, const uint8_t *sk);
	// Shared secret of dh_len bytes. -EBADMSG: pk is no usable point; -EINVAL: bad sk. On error
	// out is zeroed.
	int (*dh)(uint8_t *out, const uint8_t *sk, const uint8_t *pk);
};

// RFC 7748 X25519; low-order points are refused.
const struct dh_suite *dh_25519(void);
// Skywire's: SHA-256 of the compressed point and one zero byte, 33 bytes
// (skywire-routing 9.3, 9.4).
const struct dh_suite *dh_secp256k1(void);
