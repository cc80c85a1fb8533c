// The X25519 suite (RFC 7748), as Noise names it "25519". A shared secret of zeros, which low-order
// points give, is an error here although Noise allows it: no honest peer makes one.

#include "lib/crypto/dh.h"

#include <errno.h>
#include <sodium.h>

static int x25519_pub(uint8_t *pk, const uint8_t *sk)
{
	return crypto_scalarmult_curve25519_base(pk, sk) == 0 ? 0 : -EINVAL;
}

static int x25519_generate(uint8_t *sk, uint8_t *pk)
{
	if (sodium_init() < 0)
		return -EIO;
	randombytes_buf(sk, crypto_scalarmult_curve25519_SCALARBYTES);
	return x25519_pub(pk, sk);
}

static int x25519_dh(uint8_t *out, const uint8_t *sk, const uint8_t *pk)
{
	if (crypto_scalarmult_curve25519(out, sk, pk) == 0)
		return 0;
	sodium_memzero(out, crypto_scalarmult_curve25519_BYTES);
	return -EBADMSG;
}

const struct dh_suite *dh_25519(void)
{
	static const struct dh_suite suite = {
		.name = "25519",
		.pk_len = crypto_scalarmult_curve25519_BYTES,
		.sk_len = crypto_scalarmult_curve25519_SCALARBYTES,
		.dh_len = crypto_scalarmult_curve25519_BYTES,
		.generate = x25519_generate,
		.pub = x25519_pub,
		.dh = x25519_dh,
	};

	return &suite;
}
