// The AEAD back end on libsodium: ChaCha20-Poly1305 (RFC 8439) everywhere, AES-256-GCM where the
// CPU has AES-NI and PCLMULQDQ, one message after the other, and the null cipher.

#include "lib/crypto/aead_backend.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>

struct __attribute__((may_alias)) sodium_key {
	uint8_t key[AEAD_KEY_LEN];
	const crypto_aead_aes256gcm_state *gcm; // in the room
	uint32_t cipher;
};

static_assert(sizeof(struct sodium_key) <= AEAD_KEY_STORE_LEN, "key store is too small");
static_assert(sizeof(crypto_aead_aes256gcm_state) <= AEAD_ROOM_LEN, "room is too small");

static bool sodium_has(enum aead_cipher cipher)
{
	if (sodium_init() < 0)
		return false;
	return cipher == AEAD_CHACHA20_POLY1305 || cipher == AEAD_NONE ||
	       (cipher == AEAD_AES_256_GCM && crypto_aead_aes256gcm_is_available() != 0);
}

static bool sodium_ready(const struct aead_ctx *x)
{
	return true;
}

static int sodium_key_init(struct aead_ctx *x, struct aead_key *k, struct aead_room *room,
	enum aead_cipher cipher, const uint8_t key[AEAD_KEY_LEN])
{
	struct sodium_key *sk = (struct sodium_key *)k->opaque;
	crypto_aead_aes256gcm_state *gcm = (crypto_aead_aes256gcm_state *)room->opaque;

	if (!sodium_has(cipher))
		return -ENOTSUP;
	memset(k, 0, sizeof(*k));
	sk->cipher = cipher;
	if (cipher == AEAD_CHACHA20_POLY1305)
		memcpy(sk->key, key, AEAD_KEY_LEN);
	if (cipher != AEAD_AES_256_GCM)
		return 0;
	sk->gcm = gcm;
	return crypto_aead_aes256gcm_beforenm(gcm, key) == 0 ? 0 : -ENOTSUP;
}

static void copy_plain(const struct aead_op *op)
{
	if (op->dst != op->src && op->len > 0)
		memcpy(op->dst, op->src, op->len);
}

static void sodium_seal(
	struct aead_ctx *x, const struct aead_key *k, struct aead_op *ops, unsigned n)
{
	const struct sodium_key *sk = (const struct sodium_key *)k->opaque;

	for (unsigned i = 0; i < n; i++) {
		struct aead_op *op = &ops[i];

		switch (sk->cipher) {
		case AEAD_CHACHA20_POLY1305:
			crypto_aead_chacha20poly1305_ietf_encrypt_detached(op->dst, op->tag, NULL,
				op->src, op->len, op->aad, op->aad_len, NULL, op->nonce, sk->key);
			break;
		case AEAD_AES_256_GCM:
			crypto_aead_aes256gcm_encrypt_detached_afternm(op->dst, op->tag, NULL,
				op->src, op->len, op->aad, op->aad_len, NULL, op->nonce, sk->gcm);
			break;
		default:
			copy_plain(op);
			memset(op->tag, 0, AEAD_TAG_LEN);
		}
	}
}

static bool open_one(const struct sodium_key *sk, const struct aead_op *op)
{
	switch (sk->cipher) {
	case AEAD_CHACHA20_POLY1305:
		return crypto_aead_chacha20poly1305_ietf_decrypt_detached(op->dst, NULL, op->src,
			       op->len, op->tag, op->aad, op->aad_len, op->nonce, sk->key) == 0;
	case AEAD_AES_256_GCM:
		return crypto_aead_aes256gcm_decrypt_detached_afternm(op->dst, NULL, op->src,
			       op->len, op->tag, op->aad, op->aad_len, op->nonce, sk->gcm) == 0;
	default:
		if (!sodium_is_zero(op->tag, AEAD_TAG_LEN))
			return false;
		copy_plain(op);
		return true;
	}
}

static unsigned sodium_open(
	struct aead_ctx *x, const struct aead_key *k, struct aead_op *ops, unsigned n)
{
	const struct sodium_key *sk = (const struct sodium_key *)k->opaque;
	unsigned n_ok = 0;

	for (unsigned i = 0; i < n; i++) {
		struct aead_op *op = &ops[i];

		op->ok = open_one(sk, op);
		n_ok += op->ok;
		if (!op->ok)
			aead_refuse(op);
	}
	return n_ok;
}

const struct aead_backend *aead_sodium(void)
{
	static const struct aead_backend backend = {
		.name = "libsodium",
		.has = sodium_has,
		.ready = sodium_ready,
		.key_init = sodium_key_init,
		.seal = sodium_seal,
		.open = sodium_open,
	};

	return &backend;
}
