// What Skywire makes of a Noise transport message ("unit", dmsg 2.2, skywire-routing 9.5):
//
//     counter (8, big-endian) | ciphertext | tag (16)        AEAD nonce: the counter, little-endian
//
// The sender's counter is raised before use, so the first unit carries 1. Two rules say which
// counters a receiver takes: a byte stream only rising ones (gaps are fine), a dmsg session any
// that its window has not seen. Behind its length a unit is a frame; how frames are cut out of a
// byte stream: noise_rec.h. Bytes in, bytes out; a state has one owner.
#pragma once

#include "lib/crypto/noise.h"
#include "lib/crypto/nonce_window.h"

#include <sys/types.h>

enum {
	NOISE_UNIT_LEN_LEN = 2, // of a frame
	NOISE_UNIT_COUNTER_LEN = 8,
	NOISE_UNIT_OVERHEAD = NOISE_UNIT_COUNTER_LEN + NOISE_TAG_LEN,
};

struct aead_engine;

// by: of the thread that calls, or NULL: libsodium.
struct noise_tx {
	const struct aead_engine *by;
	uint8_t key[NOISE_KEY_LEN];
	uint64_t counter; // of the last unit
};

struct noise_rx {
	const struct aead_engine *by;
	uint8_t key[NOISE_KEY_LEN];
	uint64_t last; // highest counter that was accepted
};

struct noise_rx_any {
	const struct aead_engine *by;
	uint8_t key[NOISE_KEY_LEN];
	struct nonce_window seen;
};

// The keys of a finished handshake, by noise_split_by_writer(). -EAGAIN: not done, -EPIPE: dead.
// The caller wipes with key_wipe(), and says who seals, if it has somebody.
int noise_unit_keys(const struct noise *n, struct noise_tx *tx, struct noise_rx *rx);
// The other rule with the key of rx, from the first unit on.
void noise_rx_any_init(struct noise_rx_any *any, const struct noise_rx *rx);

// Returns len + 24. src may be out + 8 (in place), else no overlap. -ENOSPC: cap is too small
// (nothing was used up); -EOVERFLOW: this key has no counter left.
ssize_t noise_unit_seal(struct noise_tx *tx, const void *src, size_t len, uint8_t *out, size_t cap);
// The same behind the length of the unit (2, big-endian), so len + 26 bytes; len <= 65511.
ssize_t noise_unit_seal_frame(
	struct noise_tx *tx, const void *src, size_t len, uint8_t *out, size_t cap);
// Returns the plaintext's length, len - 24. dst may be unit + 8, else no overlap; it has room for
// len - 24 bytes. -EALREADY: the counter does not rise; -EBADMSG: too short or not authentic (dst
// is zeroed). After an error the stream is of no more use: that is the protocol's rule.
ssize_t noise_unit_open(struct noise_rx *rx, const uint8_t *unit, size_t len, uint8_t *dst);
// The same by window; an error changes nothing but dst, and the session goes on.
ssize_t noise_unit_open_any(struct noise_rx_any *rx, const uint8_t *unit, size_t len, uint8_t *dst);
