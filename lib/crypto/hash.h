// Hashes and what is built on them: SHA-256 and BLAKE2b (64 bytes, as Noise uses it), HMAC over
// either, HKDF (RFC 5869), keyed BLAKE2b for macs. Nothing here fails but hkdf's length check. Any
// thread; the DPDK workers call the BLAKE2b macs.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum hash_alg {
	HASH_SHA256 = 0,
	HASH_BLAKE2B = 1,
};

enum {
	HASH_SHA256_LEN = 32,
	HASH_BLAKE2B_LEN = 64,
	HASH_MAX_LEN = 64,
};

// Caller's storage, usually the stack.
struct hash {
	_Alignas(64) uint8_t opaque[448];
};

struct hash_hmac {
	struct hash inner;
	struct hash outer;
};

size_t hash_len(enum hash_alg alg);

void hash_init(struct hash *h, enum hash_alg alg);
void hash_update(struct hash *h, const void *data, size_t len);
// Writes hash_len(alg) bytes and wipes h.
void hash_final(struct hash *h, uint8_t *out);

void hash_sha256(uint8_t out[HASH_SHA256_LEN], const void *data, size_t len);

// HMAC (RFC 2104) with the hash's own block size; a key of any length.
void hash_hmac_init(struct hash_hmac *m, enum hash_alg alg, const void *key, size_t key_len);
void hash_hmac_update(struct hash_hmac *m, const void *data, size_t len);
// Writes hash_len(alg) bytes and wipes m.
void hash_hmac_final(struct hash_hmac *m, uint8_t *out);

// Noise's HKDF: n = 2 or 3 outputs of hash_len(alg) bytes from chaining key (hash_len bytes) and
// input; out[i] may be the chaining key itself.
void hash_noise_hkdf(enum hash_alg alg, const uint8_t *ck, const void *ikm, size_t ikm_len,
	unsigned n, uint8_t *out[]);

// RFC 5869 with SHA-256, extract and expand. -EINVAL when out_len > 255 * 32.
int hash_hkdf_sha256(uint8_t *out, size_t out_len, const void *salt, size_t salt_len,
	const void *ikm, size_t ikm_len, const void *info, size_t info_len);

// Keyed BLAKE2b with an output of 16 or 32 bytes (rail 1: mac1, mac2, cookie). key_len 16..64.
void hash_mac128(uint8_t out[16], const uint8_t *key, size_t key_len, const void *data, size_t len);
void hash_mac256(uint8_t out[32], const uint8_t *key, size_t key_len, const void *data, size_t len);
// BLAKE2b-256(label ‖ data), no key: how rail makes its mac1 and cookie keys out of public keys.
void hash_label256(uint8_t out[32], const char *label, const void *data, size_t len);
