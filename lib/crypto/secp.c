// The one place that owns a libsecp256k1 context. The library wants a context for everything that
// uses a secret; it is made once per process, blinded with fresh randomness against side channels,
// and constant from then on, so threads share it. This file does no signatures and no
// Diffie-Hellman.

#include "lib/crypto/secp.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static secp256k1_context *ctx;

static void make_ctx(void)
{
	uint8_t seed[32];

	ctx = secp256k1_context_create(SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY);
	if (sodium_init() < 0)
		return; // works unblinded; whoever needs randomness reports it
	randombytes_buf(seed, sizeof(seed));
	(void)!secp256k1_context_randomize(ctx, seed);
	sodium_memzero(seed, sizeof(seed));
}

const secp256k1_context *secp_ctx(void)
{
	pthread_once(&once, make_ctx);
	return ctx;
}

bool secp_sk_is_valid(const uint8_t sk[32])
{
	return secp256k1_ec_seckey_verify(secp_ctx(), sk) == 1;
}

bool secp_pk_is_valid(const uint8_t pk[33])
{
	secp256k1_pubkey p;

	return secp256k1_ec_pubkey_parse(secp_ctx(), &p, pk, 33) == 1;
}

int secp_pub(uint8_t pk[33], const uint8_t sk[32])
{
	secp256k1_pubkey p;
	size_t len = 33;

	memset(pk, 0, 33);
	if (!secp256k1_ec_pubkey_create(secp_ctx(), &p, sk))
		return -EINVAL;
	secp256k1_ec_pubkey_serialize(secp_ctx(), pk, &len, &p, SECP256K1_EC_COMPRESSED);
	return 0;
}

int secp_generate(uint8_t sk[32], uint8_t pk[33])
{
	if (sodium_init() < 0)
		return -EIO;
	// a random 256-bit number is no valid scalar with probability 2^-128
	do {
		randombytes_buf(sk, 32);
	} while (!secp_sk_is_valid(sk));
	return secp_pub(pk, sk);
}
