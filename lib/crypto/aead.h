// Authenticated encryption in bursts, the shape that a DPDK worker needs: an array of operations
// under one key. Ciphers and back ends are rows of one table, chosen once per key, never per
// packet. Seal and open hold no state but the key, which is read-only to them: any number of
// threads may share it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum aead_cipher { // the bit numbers of rail TLV 4
	AEAD_CHACHA20_POLY1305 = 0,
	AEAD_AES_256_GCM = 1,
	AEAD_NONE = 2, // no secrecy, no authenticity: for links that are protected otherwise
};

enum {
	AEAD_N_CIPHERS = 3,
	AEAD_KEY_LEN = 32,
	AEAD_TAG_LEN = 16,
	AEAD_NONCE_LEN = 12,
	AEAD_AAD_LEN = 16, // of a burst operation
	AEAD_KEY_STORE_LEN = 64, // the largest need of any back end
	AEAD_X_NONCE_LEN = 24,
};

// Key material, or what the back end expanded it to. Set by key_init, wiped by aead_key_wipe().
struct aead_key {
	_Alignas(64) uint8_t opaque[AEAD_KEY_STORE_LEN];
};

// One datagram. src == dst (in place) or no overlap at all; aad and tag may lie anywhere outside of
// dst.
struct aead_op {
	const uint8_t *aad; // 16 bytes
	const uint8_t *src;
	uint8_t *dst;
	uint32_t len; // plaintext = ciphertext, without tag
	uint32_t ok; // out, open: 1 when the tag was right, else 0
	uint8_t *tag; // 16 bytes: written by seal, read by open
	uint8_t nonce[AEAD_NONCE_LEN];
};

struct aead_backend {
	const char *name;
	bool (*usable)(void); // on this machine, now
	// -ENOTSUP: the back end lacks this cipher.
	int (*key_init)(
		struct aead_key *k, enum aead_cipher cipher, const uint8_t key[AEAD_KEY_LEN]);
	void (*seal)(const struct aead_key *k, struct aead_op *ops, unsigned n);
	// Number of operations that were authentic; sets ok in each. A failed one leaves zeros in
	// dst.
	unsigned (*open)(const struct aead_key *k, struct aead_op *ops, unsigned n);
	bool has[AEAD_N_CIPHERS];
};

// The first usable back end that has this cipher, or NULL. Not for the packet path: call it when a
// key is made. Starts libsodium on first use.
const struct aead_backend *aead_backend_select(enum aead_cipher cipher);
// "chacha20-poly1305", "aes-256-gcm", "none"; "?" for another number.
const char *aead_cipher_name(enum aead_cipher cipher);
void aead_key_wipe(struct aead_key *k);

// One message with associated data of any length, ChaCha20-Poly1305 (RFC 8439), for handshakes and
// records. dst has len + 16 bytes (tag last); src == dst is allowed.
void aead_seal(uint8_t *dst, const uint8_t *src, size_t len, const void *aad, size_t aad_len,
	const uint8_t nonce[AEAD_NONCE_LEN], const uint8_t key[AEAD_KEY_LEN]);
// len includes the tag; dst has len - 16 bytes. -EBADMSG (dst zeroed) when it is not authentic.
int aead_open(uint8_t *dst, const uint8_t *src, size_t len, const void *aad, size_t aad_len,
	const uint8_t nonce[AEAD_NONCE_LEN], const uint8_t key[AEAD_KEY_LEN]);

// The same with XChaCha20-Poly1305 and a random 24-byte nonce: rail's cookie message.
void aead_x_seal(uint8_t *dst, const uint8_t *src, size_t len, const void *aad, size_t aad_len,
	const uint8_t nonce[AEAD_X_NONCE_LEN], const uint8_t key[AEAD_KEY_LEN]);
int aead_x_open(uint8_t *dst, const uint8_t *src, size_t len, const void *aad, size_t aad_len,
	const uint8_t nonce[AEAD_X_NONCE_LEN], const uint8_t key[AEAD_KEY_LEN]);

// Four zero bytes and the counter: big-endian for rail data (as it is sent), little-endian for
// Noise.
static inline void aead_nonce_be(uint8_t n[AEAD_NONCE_LEN], uint64_t counter)
{
	memset(n, 0, 4);
	for (unsigned i = 0; i < 8; i++)
		n[4 + i] = (uint8_t)(counter >> (56 - 8 * i));
}

static inline void aead_nonce_le(uint8_t n[AEAD_NONCE_LEN], uint64_t counter)
{
	memset(n, 0, 4);
	for (unsigned i = 0; i < 8; i++)
		n[4 + i] = (uint8_t)(counter >> (8 * i));
}
