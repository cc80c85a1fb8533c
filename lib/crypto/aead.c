// The single-message forms that handshakes and records use, and what all ciphers share. The packet
// path never comes through here: it keeps the back end that was chosen at start (aead_table.c).

#include "lib/crypto/aead.h"

#include "lib/base/err.h"

#include <errno.h>
#include <sodium.h>

const char *aead_cipher_name(enum aead_cipher cipher)
{
	static const char *const names[] = {"chacha20-poly1305", "aes-256-gcm", "none"};

	return (unsigned)cipher < ARRAY_LEN(names) ? names[cipher] : "?";
}

void aead_key_wipe(struct aead_key *k, struct aead_room *room)
{
	sodium_memzero(k, sizeof(*k));
	if (room != NULL)
		sodium_memzero(room, sizeof(*room));
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
