// Authenticated encryption in bursts, the shape that a DPDK worker needs: an array of operations
// under one key. Ciphers and back ends are rows of one table, chosen at start (aead_choose()),
// never per packet. A key is read-only to seal and open, so threads may share one; what a back end
// scribbles on is in the context, of which each thread has its own.
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
	AEAD_KEY_STORE_LEN = 64,
	AEAD_ROOM_LEN = 1024, // the largest need of any back end: AES rounds and powers of H
	AEAD_X_NONCE_LEN = 24,
};

// One key. Set by key_init, wiped by aead_key_wipe(). Must not be copied: it may lead into its
// room.
struct aead_key {
	_Alignas(64) uint8_t opaque[AEAD_KEY_STORE_LEN];
};

// What AES-256-GCM expands a key to; apart from struct aead_key, so that whoever keeps many keys
// decides where so much memory lies.
struct aead_room {
	_Alignas(64) uint8_t opaque[AEAD_ROOM_LEN];
};

// Scratch memory of the back ends for one thread. Holds no keys.
struct aead_ctx;

// One datagram. src == dst (in place) or no overlap at all; aad and tag may lie anywhere outside of
// dst. Up to 15 bytes behind src may be read (intel-ipsec-mb does so on old CPUs) and must be
// there, as the tag or its room is in a packet; nothing is written there.
struct aead_op {
	const uint8_t *aad;
	const uint8_t *src;
	uint8_t *dst;
	uint8_t *tag; // 16 bytes: written by seal, read by open
	uint32_t len; // plaintext = ciphertext, without tag
	uint32_t aad_len;
	uint32_t ok; // out, open: 1 when the tag was right, else 0
	uint8_t nonce[AEAD_NONCE_LEN];
};

struct aead_backend {
	const char *name;
	bool (*has)(enum aead_cipher cipher); // on this machine, now
	bool (*ready)(const struct aead_ctx *x); // this thread's context serves it
	// -ENOTSUP: the back end lacks this cipher. `room` belongs to the key until that is wiped.
	int (*key_init)(struct aead_ctx *x, struct aead_key *k, struct aead_room *room,
		enum aead_cipher cipher, const uint8_t key[AEAD_KEY_LEN]);
	void (*seal)(struct aead_ctx *x, const struct aead_key *k, struct aead_op *ops, unsigned n);
	// Number of operations that were authentic; sets ok in each. A failed one leaves zeros in
	// dst.
	unsigned (*open)(
		struct aead_ctx *x, const struct aead_key *k, struct aead_op *ops, unsigned n);
};

// Memory that aead_ctx_init() wants, aligned to 64 bytes; the caller's. Takes a millisecond, for
// libraries test themselves in it.
size_t aead_ctx_size(void);
struct aead_ctx *aead_ctx_init(void *mem);

// What a thread seals single messages with, ChaCha20-Poly1305: libsodium takes four times as long
// as a back end for wide registers.
struct aead_engine {
	const struct aead_backend *be;
	struct aead_ctx *x;
};
// The preferred one of this machine. mem as in aead_ctx_init().
void aead_engine_init(struct aead_engine *e, void *mem);

// The back ends of this build, the one that is preferred first; NULL ends them.
const struct aead_backend *aead_backend_at(unsigned i);
// The first one that has this cipher, or NULL. Starts libsodium on first use.
const struct aead_backend *aead_backend_select(enum aead_cipher cipher);

// What a process seals with.
struct aead_choice {
	const struct aead_backend *be[AEAD_N_CIPHERS]; // NULL: the cipher is not available
	uint32_t ns[AEAD_N_CIPHERS]; // of a packet, as measured; 0: was not
};

// Chooses a back end for each cipher: the faster one by now_ns (a monotonic clock; NULL: nothing is
// measured, the preferred one is taken), or `only` the one of that name (NULL: any). Links without
// cipher are served in any case. -ENOENT: `only` is not in this build, or not for this machine.
int aead_choose(
	struct aead_choice *c, struct aead_ctx *x, const char *only, uint64_t (*now_ns)(void));

// "chacha20-poly1305", "aes-256-gcm", "none"; "?" for another number.
const char *aead_cipher_name(enum aead_cipher cipher);
// room may be NULL.
void aead_key_wipe(struct aead_key *k, struct aead_room *room);

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
