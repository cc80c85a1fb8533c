// Noise handshakes (revision 34): patterns IK, KK, XK over either DH suite and either hash, always
// with ChaCha20-Poly1305. Bytes in, bytes out: no I/O, no clock, no allocation. Source:
// skywire-routing 9.4, rail 2. One state belongs to one thread at a time.
//
//   IK   <- s              KK   -> s, <- s        XK   <- s
//        -> e, es, s, ss        -> e, es, ss           -> e, es
//        <- e, ee, se           <- e, ee, se           <- e, ee
//                                                      -> s, se
//
// A responder that must decide first reads message 1 (IK, KK), looks at noise_remote_static() and
// the payload, and then either writes or calls noise_fini(): nothing was promised to the peer by
// reading.
//
// A state is plain memory and may be copied by assignment. Over datagrams, where anybody can send a
// forged message, read with a copy and keep it only on success; a failed state is of no more use.
// Both copies are wiped with noise_fini(). Never write the same message from two copies.
#pragma once

#include "lib/crypto/dh.h"
#include "lib/crypto/hash.h"

#include <stdbool.h>
#include <sys/types.h>

enum noise_pattern {
	NOISE_IK = 0,
	NOISE_KK = 1,
	NOISE_XK = 2,
};

enum {
	NOISE_MAX_MSG_LEN = 65535,
	NOISE_KEY_LEN = 32,
	NOISE_TAG_LEN = 16,
	NOISE_STATE_LEN = 512,
	NOISE_MAX_NAME_LEN = 64,
};

struct noise {
	_Alignas(16) uint8_t opaque[NOISE_STATE_LEN];
};

struct noise_conf {
	enum noise_pattern pattern;
	const struct dh_suite *dh;
	enum hash_alg hash;
	bool initiator;
	const void *prologue;
	size_t prologue_len;
	const uint8_t *s; // own static secret key, sk_len bytes
	const uint8_t *s_pk; // its public key, which saves a multiplication; NULL: is made of s
	const uint8_t
		*rs; // peer's static public key: initiator of IK and XK, both of KK; else NULL
	const uint8_t
		*ss; // dh(s, rs), dh_len bytes, which saves a multiplication; NULL: is made of both
	const uint8_t *test_e; // tests only: the ephemeral secret key; NULL = random
};

// Everything in conf is copied. -EINVAL: unknown pattern or hash, a key that the pattern needs is
// missing, one that it does not know yet is given, ss without rs, `s` is no secret key. A bad `rs`,
// and a bad `s` whose s_pk is given, show at the first write or read.
int noise_init(struct noise *n, const struct noise_conf *conf);
// Wipes the state. Idempotent, also on a zeroed struct.
void noise_fini(struct noise *n);

// "Noise_IK_Secp256k1_ChaChaPoly_SHA256" for a configuration; -ENOSPC when cap is too small.
ssize_t noise_name(const struct noise_conf *conf, char *out, size_t cap);

// Make the next message. Returns its length = payload_len + noise_overhead(). -ENOSPC (too long for
// cap or for Noise) and -EALREADY (not our turn, or done) leave the state as it was. -EBADMSG /
// -EIO: a DH failed or there is no randomness; the state is dead. -EPIPE: it was dead. No overlap
// of buffers.
ssize_t noise_write(
	struct noise *n, const void *payload, size_t payload_len, uint8_t *out, size_t cap);
// Take the peer's message; returns the length of its payload, which is in `payload` (no overlap).
// -ENOSPC (cap < len - overhead) and -EALREADY leave the state as it was; -EBADMSG: malformed or
// not authentic, payload is zeroed and the state is dead. -EPIPE: it was dead.
ssize_t noise_read(struct noise *n, const uint8_t *msg, size_t len, uint8_t *payload, size_t cap);

// Bytes that the next message (written or read) has beyond its payload; 0 when done or dead.
size_t noise_overhead(const struct noise *n);
// True when the next step is ours to write.
bool noise_is_writer(const struct noise *n);
bool noise_is_done(const struct noise *n);

// The peer's static public key (pk_len bytes, borrowed until the state changes), or NULL when it is
// not known yet. Authenticated by what has been read so far: for IK message 1, by es and ss.
const uint8_t *noise_remote_static(const struct noise *n);
// Handshake hash, hash_len bytes; complete when done. Returns its length. For channel binding.
size_t noise_hash(const struct noise *n, uint8_t out[HASH_MAX_LEN]);
// The two transport keys. Noise: k1 is initiator to responder, k2 the other way. -EAGAIN: not done,
// -EPIPE: dead.
int noise_split(const struct noise *n, uint8_t k1[NOISE_KEY_LEN], uint8_t k2[NOISE_KEY_LEN]);
// The same as Skywire hands them out (dmsg 2.1): the writer of the last message sends with k2. For
// KK and IK that is what Noise says; for XK, dmsg's sessions, it is the reverse.
int noise_split_by_writer(
	const struct noise *n, uint8_t tx[NOISE_KEY_LEN], uint8_t rx[NOISE_KEY_LEN]);
