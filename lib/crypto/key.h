// Keys of Skywire: secp256k1, public keys compressed (02/03 and X, big-endian), secret keys a
// big-endian scalar. Source: skywire-routing 9.1. All functions are pure and may be called by any
// thread. Secrets are never printed by this module; whoever holds one wipes it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	KEY_PK_LEN = 33,
	KEY_SK_LEN = 32,
	KEY_SHARED_LEN = 32,
	KEY_PK_TEXT_LEN = 66, // without the terminating NUL
	KEY_SK_TEXT_LEN = 64,
};

// Open because they lie in messages, tables and shared memory as plain bytes (alignment 1).
struct key_pk {
	uint8_t b[KEY_PK_LEN];
};

struct key_sk {
	uint8_t b[KEY_SK_LEN];
};

struct key_shared {
	uint8_t b[KEY_SHARED_LEN];
};

// A new secret key from the system's random source. 0, or -EIO when libsodium cannot start.
int key_sk_generate(struct key_sk *sk);
// 0, or -EINVAL when sk is zero or not below the group order (pk is then null).
int key_pk_from_sk(struct key_pk *pk, const struct key_sk *sk);

// True when pk encodes a point of the curve. The null key does not.
bool key_pk_is_valid(const struct key_pk *pk);
bool key_pk_is_null(const struct key_pk *pk);
// True when 1 <= sk < group order. Constant time in the value of a valid key.
bool key_sk_is_valid(const struct key_sk *sk);

// Lower-case hex, NUL-terminated: out has KEY_PK_TEXT_LEN + 1 bytes.
void key_pk_to_text(const struct key_pk *pk, char out[KEY_PK_TEXT_LEN + 1]);
// Exactly 66 hex digits (either case) that name a point, or -EINVAL. Text of only `0` (any length
// from 1 to 66) is the null key, as Skywire reads it; callers that need a peer refuse it with
// key_pk_is_null(). On error *pk is null. `len` excludes any NUL.
int key_pk_from_text(struct key_pk *pk, const char *text, size_t len);
// Of text that should be a key of somebody, the null key's too: NULL, or what is wrong with it, for
// people ("is no public key: ...").
const char *key_pk_wrong(const char *text, size_t len);
// Secret keys in text are for key files only; the caller wipes the buffer. 64 hex digits of a valid
// scalar, else -EINVAL and *sk is zeroed.
void key_sk_to_text(const struct key_sk *sk, char out[KEY_SK_TEXT_LEN + 1]);
int key_sk_from_text(struct key_sk *sk, const char *text, size_t len);

// Order of public keys in Skywire (memcmp of the 33 bytes): < 0, 0, > 0. Public keys are not
// secret.
int key_pk_cmp(const struct key_pk *a, const struct key_pk *b);
// Constant-time equality, for secrets, tags and cookies.
bool key_equal(const void *a, const void *b, size_t len);
// Overwrite a secret; never optimised away.
void key_wipe(void *p, size_t len);
