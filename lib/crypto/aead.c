// Choice of the AEAD back end, and the single-message forms that handshakes and records use. The
// packet path never comes through here: it keeps the row that aead_backend_select() gave when the
// key was made.

#include "lib/crypto/aead.h"

#include "lib/base/err.h"
#include "lib/crypto/aead_backend.h"

#include <errno.h>
#include <sodium.h>

// In order of preference: the fastest first, the one that is always there last.
static const struct aead_backend *(*const backends[])(void) = {
	aead_sodium,
};

const struct aead_backend *aead_backend_select(enum aead_cipher cipher)
{
	if ((unsigned)cipher >= AEAD_N_CIPHERS)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
		const struct aead_backend *b = backends[i]();

		if (b->has[cipher] && b->usable())
			return b;
	}
	return NULL;
}

const char *aead_cipher_name(enum aead_cipher cipher)
{
	static const char *const names[] = {"chacha20-poly1305", "aes-256-gcm", "none"};

	return (unsigned)cipher < ARRAY_LEN(names) ? names[cipher] : "?";
}

void aead_key_wipe(struct aead_key *k)
{
	sodium_memzero(k, sizeof(*k));
}

void aead_seal(uint8_t *dst, const uint8_t *src, size_t len, const void *aad, size_t aad_len,
	const uint8_t nonce[AEAD_NONCE_LEN], const uint8_t key[AEAD_KEY_LEN])
{
	crypto_aead_chacha20poly1305_ietf_encrypt(
		dst, NULL, src, len, aad, aad_len, NULL, nonce, key);
}

int aead_open(uint8_t *dst, const uint8_t *src, size_t len, const void *aad, size_t aad_len,
	const uint8_t nonce[AEAD_NONCE_LEN], const uint8_t key[AEAD_KEY_LEN])
{
	if (len < AEAD_TAG_LEN)
		return -EBADMSG;
	if (crypto_aead_chacha20poly1305_ietf_decrypt_detached(dst, NULL, src, len - AEAD_TAG_LEN,
		    src + len - AEAD_TAG_LEN, aad, aad_len, nonce, key) == 0)
		return 0;
	if (len > AEAD_TAG_LEN)
		memset(dst, 0, len - AEAD_TAG_LEN);
	return -EBADMSG;
}

void aead_x_seal(uint8_t *dst, const uint8_t *src, size_t len, const void *aad, size_t aad_len,
	const uint8_t nonce[AEAD_X_NONCE_LEN], const uint8_t key[AEAD_KEY_LEN])
{
	crypto_aead_xchacha20poly1305_ietf_encrypt(
		dst, NULL, src, len, aad, aad_len, NULL, nonce, key);
}

int aead_x_open(uint8_t *dst, const uint8_t *src, size_t len, const void *aad, size_t aad_len,
	const uint8_t nonce[AEAD_X_NONCE_LEN], const uint8_t key[AEAD_KEY_LEN])
{
	if (len < AEAD_TAG_LEN)
		return -EBADMSG;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt_detached(dst, NULL, src, len - AEAD_TAG_LEN,
		    src + len - AEAD_TAG_LEN, aad, aad_len, nonce, key) == 0)
		return 0;
	if (len > AEAD_TAG_LEN)
		memset(dst, 0, len - AEAD_TAG_LEN);
	return -EBADMSG;
}
