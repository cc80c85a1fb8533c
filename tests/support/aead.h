// Back ends of lib/crypto/aead for tests: contexts and keys, and the walk over all that this
// machine has. They fail the running cmocka test when memory or a key can't be had.
#pragma once

#include "lib/crypto/aead.h"

// The caller frees.
struct aead_ctx *aead_test_ctx_new(void);

// One back end with one key.
struct aead_unit {
	struct aead_key key;
	struct aead_room room;
	struct aead_ctx *x;
	const struct aead_backend *be;
};

struct aead_unit *aead_unit_new(
	const struct aead_backend *be, enum aead_cipher cipher, const uint8_t key[AEAD_KEY_LEN]);
void aead_unit_rekey(struct aead_unit *u, enum aead_cipher cipher, const uint8_t key[AEAD_KEY_LEN]);
void aead_unit_seal(struct aead_unit *u, struct aead_op *ops, unsigned n);
unsigned aead_unit_open(struct aead_unit *u, struct aead_op *ops, unsigned n);
void aead_unit_free(struct aead_unit *u);

// Calls fn for each back end that has the cipher here; returns how many.
unsigned aead_each(enum aead_cipher cipher,
	void (*fn)(const struct aead_backend *be, enum aead_cipher cipher, void *arg), void *arg);
