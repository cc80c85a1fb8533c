// Skywire's DH suite (skywire-routing 9.3, 9.4): SHA-256 of the compressed shared point, which is
// the library's own output form, and one zero byte after it, because Skywire's DHLEN is that of a
// public key. The multiplication is constant time.

#include "lib/crypto/dh.h"
#include "lib/crypto/secp.h"

#include <errno.h>
#include <secp256k1_ecdh.h>
#include <string.h>

enum {
	PK_LEN = 33,
	SK_LEN = 32,
	OUT_LEN = 33,
};

static int secp_dh(uint8_t *out, const uint8_t *sk, const uint8_t *pk)
{
	secp256k1_pubkey p;

	memset(out, 0, OUT_LEN);
	if (!secp_sk_is_valid(sk))
		return -EINVAL;
	if (!secp256k1_ec_pubkey_parse(secp_ctx(), &p, pk, PK_LEN))
		return -EBADMSG;
	if (secp256k1_ecdh(secp_ctx(), out, &p, sk, secp256k1_ecdh_hash_function_sha256, NULL))
		return 0;
	memset(out, 0, OUT_LEN);
	return -EBADMSG;
}

const struct dh_suite *dh_secp256k1(void)
{
	static const struct dh_suite suite = {
		.name = "Secp256k1",
		.pk_len = PK_LEN,
		.sk_len = SK_LEN,
		.dh_len = OUT_LEN,
		.generate = secp_generate,
		.pub = secp_pub,
		.dh = secp_dh,
	};

	return &suite;
}
