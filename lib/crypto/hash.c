// SHA-256 and BLAKE2b from libsodium, and on them HMAC, both HKDFs and the keyed macs of rail.
// libsodium has HMAC for SHA-256 only, and no HKDF before 1.0.19, so both are written here once for
// either hash. Intermediate secrets are wiped.

#include "lib/crypto/hash.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

enum {
	SHA256_BLOCK_LEN = 64,
	BLAKE2B_BLOCK_LEN = 128,
	MAX_BLOCK_LEN = 128,
};

// What lies in struct hash.
struct __attribute__((may_alias)) state {
	enum hash_alg alg;
	union {
		crypto_hash_sha256_state sha256;
		crypto_generichash_blake2b_state blake2b;
	} u;
};

static_assert(sizeof(struct state) <= sizeof(struct hash), "struct hash is too small");

static struct state *state_of(struct hash *h)
{
	return (struct state *)h->opaque;
}

size_t hash_len(enum hash_alg alg)
{
	return alg == HASH_BLAKE2B ? HASH_BLAKE2B_LEN : HASH_SHA256_LEN;
}

static size_t block_len(enum hash_alg alg)
{
	return alg == HASH_BLAKE2B ? BLAKE2B_BLOCK_LEN : SHA256_BLOCK_LEN;
}

void hash_init(struct hash *h, enum hash_alg alg)
{
	struct state *s = state_of(h);

	s->alg = alg;
	if (alg == HASH_BLAKE2B)
		crypto_generichash_blake2b_init(&s->u.blake2b, NULL, 0, HASH_BLAKE2B_LEN);
	else
		crypto_hash_sha256_init(&s->u.sha256);
}

void hash_update(struct hash *h, const void *data, size_t len)
{
	struct state *s = state_of(h);

	if (len == 0)
		return;
	if (s->alg == HASH_BLAKE2B)
		crypto_generichash_blake2b_update(&s->u.blake2b, data, len);
	else
		crypto_hash_sha256_update(&s->u.sha256, data, len);
}

void hash_final(struct hash *h, uint8_t *out)
{
	struct state *s = state_of(h);

	if (s->alg == HASH_BLAKE2B)
		crypto_generichash_blake2b_final(&s->u.blake2b, out, HASH_BLAKE2B_LEN);
	else
		crypto_hash_sha256_final(&s->u.sha256, out);
	sodium_memzero(h, sizeof(*h));
}

void hash_sha256(uint8_t out[HASH_SHA256_LEN], const void *data, size_t len)
{
	struct hash h;

	hash_init(&h, HASH_SHA256);
	hash_update(&h, data, len);
	hash_final(&h, out);
}

void hash_hmac_init(struct hash_hmac *m, enum hash_alg alg, const void *key, size_t key_len)
{
	uint8_t pad[MAX_BLOCK_LEN] = {0};
	size_t n = block_len(alg);

	if (key_len > n) {
		hash_init(&m->inner, alg);
		hash_update(&m->inner, key, key_len);
		hash_final(&m->inner, pad);
	} else if (key_len > 0) {
		memcpy(pad, key, key_len);
	}
	for (size_t i = 0; i < n; i++)
		pad[i] ^= 0x36;
	hash_init(&m->inner, alg);
	hash_update(&m->inner, pad, n);
	for (size_t i = 0; i < n; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	hash_init(&m->outer, alg);
	hash_update(&m->outer, pad, n);
	sodium_memzero(pad, sizeof(pad));
}

void hash_hmac_update(struct hash_hmac *m, const void *data, size_t len)
{
	hash_update(&m->inner, data, len);
}

void hash_hmac_final(struct hash_hmac *m, uint8_t *out)
{
	size_t n = hash_len(state_of(&m->inner)->alg);
	uint8_t digest[HASH_MAX_LEN];

	hash_final(&m->inner, digest);
	hash_update(&m->outer, digest, n);
	hash_final(&m->outer, out);
	sodium_memzero(digest, sizeof(digest));
}

void hash_noise_hkdf(enum hash_alg alg, const uint8_t *ck, const void *ikm, size_t ikm_len,
	unsigned n, uint8_t *out[])
{
	size_t len = hash_len(alg);
	uint8_t temp[HASH_MAX_LEN];
	uint8_t prev[HASH_MAX_LEN];
	struct hash_hmac m;

	hash_hmac_init(&m, alg, ck, len);
	hash_hmac_update(&m, ikm, ikm_len);
	hash_hmac_final(&m, temp);
	for (unsigned i = 0; i < n; i++) {
		uint8_t number = (uint8_t)(i + 1);

		hash_hmac_init(&m, alg, temp, len);
		if (i > 0)
			hash_hmac_update(&m, prev, len);
		hash_hmac_update(&m, &number, 1);
		hash_hmac_final(&m, prev);
		memcpy(out[i], prev, len);
	}
	sodium_memzero(temp, sizeof(temp));
	sodium_memzero(prev, sizeof(prev));
}

int hash_hkdf_sha256(uint8_t *out, size_t out_len, const void *salt, size_t salt_len,
	const void *ikm, size_t ikm_len, const void *info, size_t info_len)
{
	uint8_t prk[HASH_SHA256_LEN];
	uint8_t t[HASH_SHA256_LEN];
	struct hash_hmac m;
	uint8_t number = 0;

	if (out_len > 255 * HASH_SHA256_LEN)
		return -EINVAL;
	hash_hmac_init(&m, HASH_SHA256, salt, salt_len);
	hash_hmac_update(&m, ikm, ikm_len);
	hash_hmac_final(&m, prk);
	for (size_t done = 0; done < out_len;) {
		size_t n = out_len - done < sizeof(t) ? out_len - done : sizeof(t);

		hash_hmac_init(&m, HASH_SHA256, prk, sizeof(prk));
		if (number > 0)
			hash_hmac_update(&m, t, sizeof(t));
		hash_hmac_update(&m, info, info_len);
		number++;
		hash_hmac_update(&m, &number, 1);
		hash_hmac_final(&m, t);
		memcpy(out + done, t, n);
		done += n;
	}
	sodium_memzero(prk, sizeof(prk));
	sodium_memzero(t, sizeof(t));
	return 0;
}

void hash_mac128(uint8_t out[16], const uint8_t *key, size_t key_len, const void *data, size_t len)
{
	assert(key_len >= 16 && key_len <= 64);
	crypto_generichash_blake2b(out, 16, data, len, key, key_len);
}

void hash_mac256(uint8_t out[32], const uint8_t *key, size_t key_len, const void *data, size_t len)
{
	assert(key_len >= 16 && key_len <= 64);
	crypto_generichash_blake2b(out, 32, data, len, key, key_len);
}

void hash_label256(uint8_t out[32], const char *label, const void *data, size_t len)
{
	crypto_generichash_blake2b_state s;

	crypto_generichash_blake2b_init(&s, NULL, 0, 32);
	crypto_generichash_blake2b_update(&s, (const uint8_t *)label, strlen(label));
	crypto_generichash_blake2b_update(&s, data, len);
	crypto_generichash_blake2b_final(&s, out, 32);
}
