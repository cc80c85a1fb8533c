// The AEAD back end on libsodium: ChaCha20-Poly1305 (RFC 8439) one message after the other, and the
// null cipher. libsodium has no AES-256-GCM without AES-NI and is slow with it, so that cipher is
// left to other back ends.

#include "lib/crypto/aead_backend.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>

struct __attribute__((may_alias)) sodium_key {
	uint8_t key[AEAD_KEY_LEN];
	uint32_t cipher;
};

static_assert(sizeof(struct sodium_key) <= AEAD_KEY_STORE_LEN, "key store is too small");

static bool sodium_usable(void)
{
	return sodium_init() >= 0;
}

static int sodium_key_init(
	struct aead_key *k, enum aead_cipher cipher, const uint8_t key[AEAD_KEY_LEN])
{
	struct sodium_key *sk = (struct sodium_key *)k->opaque;

	if (cipher != AEAD_CHACHA20_POLY1305 && cipher != AEAD_NONE)
		return -ENOTSUP;
	memset(k, 0, sizeof(*k));
	if (cipher != AEAD_NONE)
		memcpy(sk->key, key, AEAD_KEY_LEN);
	sk->cipher = cipher;
	return 0;
}

static void copy_plain(const struct aead_op *op)
{
	if (op->dst != op->src && op->len > 0)
		memcpy(op->dst, op->src, op->len);
}

static void sodium_seal(const struct aead_key *k, struct aead_op *ops, unsigned n)
{
	const struct sodium_key *sk = (const struct sodium_key *)k->opaque;

	for (unsigned i = 0; i < n; i++) {
		struct aead_op *op = &ops[i];

		if (sk->cipher == AEAD_NONE) {
			copy_plain(op);
			memset(op->tag, 0, AEAD_TAG_LEN);
		} else {
			crypto_aead_chacha20poly1305_ietf_encrypt_detached(op->dst, op->tag, NULL,
				op->src, op->len, op->aad, AEAD_AAD_LEN, NULL, op->nonce, sk->key);
		}
	}
}

static bool open_one(const struct sodium_key *sk, const struct aead_op *op)
{
	if (sk->cipher == AEAD_NONE) {
		if (!sodium_is_zero(op->tag, AEAD_TAG_LEN))
			return false;
		copy_plain(op);
		return true;
	}
	return crypto_aead_chacha20poly1305_ietf_decrypt_detached(op->dst, NULL, op->src, op->len,
		       op->tag, op->aad, AEAD_AAD_LEN, op->nonce, sk->key) == 0;
}

static unsigned sodium_open(const struct aead_key *k, struct aead_op *ops, unsigned n)
{
	const struct sodium_key *sk = (const struct sodium_key *)k->opaque;
	unsigned n_ok = 0;

	for (unsigned i = 0; i < n; i++) {
		struct aead_op *op = &ops[i];

		op->ok = open_one(sk, op);
		n_ok += op->ok;
		if (!op->ok && op->len > 0)
			memset(op->dst, 0, op->len);
	}
	return n_ok;
}

const struct aead_backend *aead_sodium(void)
{
	static const struct aead_backend backend = {
		.name = "libsodium",
		.usable = sodium_usable,
		.key_init = sodium_key_init,
		.seal = sodium_seal,
		.open = sodium_open,
		.has = {[AEAD_CHACHA20_POLY1305] = true, [AEAD_NONE] = true},
	};

	return &backend;
}
