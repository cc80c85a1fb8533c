// Recoverable signatures of Skywire (skywire-routing 9.2). A signature is verified by recovering
// the signer's key and comparing: recovery solves the verification equation, so nothing is left to
// verify. What is signed (settlement entries, discovery entries) is the callers' matter.

#include "lib/crypto/sign.h"

#include "lib/crypto/hash.h"
#include "lib/crypto/secp.h"

#include <errno.h>
#include <secp256k1_recovery.h>
#include <sodium.h>
#include <string.h>

enum {
	S_OFS = 32,
	RECID_OFS = 64,
};

int sign_hash(struct sign_sig *sig, const struct key_sk *sk, const uint8_t hash[32])
{
	secp256k1_ecdsa_recoverable_signature rs;
	uint8_t extra[32];
	int recid = 0;
	int ok;

	memset(sig, 0, sizeof(*sig));
	if (sodium_is_zero(hash, 32) || !key_sk_is_valid(sk))
		return -EINVAL;
	randombytes_buf(extra, sizeof(extra));
	ok = secp256k1_ecdsa_sign_recoverable(secp_ctx(), &rs, hash, sk->b, NULL, extra);
	sodium_memzero(extra, sizeof(extra));
	if (!ok)
		return -EINVAL;
	secp256k1_ecdsa_recoverable_signature_serialize_compact(secp_ctx(), sig->b, &recid, &rs);
	sig->b[RECID_OFS] = (uint8_t)recid;
	return 0;
}

int sign_payload(struct sign_sig *sig, const struct key_sk *sk, const void *payload, size_t len)
{
	uint8_t hash[HASH_SHA256_LEN];

	hash_sha256(hash, payload, len);
	return sign_hash(sig, sk, hash);
}

int sign_recover(struct key_pk *pk, const struct sign_sig *sig, const uint8_t hash[32])
{
	secp256k1_ecdsa_recoverable_signature rs;
	secp256k1_pubkey p;
	size_t len = sizeof(pk->b);

	memset(pk, 0, sizeof(*pk));
	if (sig->b[S_OFS] >= 0x80 || sig->b[RECID_OFS] >= 4 || sodium_is_zero(hash, 32))
		return -EBADMSG;
	if (!secp256k1_ecdsa_recoverable_signature_parse_compact(
		    secp_ctx(), &rs, sig->b, sig->b[RECID_OFS]))
		return -EBADMSG;
	if (!secp256k1_ecdsa_recover(secp_ctx(), &p, &rs, hash))
		return -EBADMSG;
	secp256k1_ec_pubkey_serialize(secp_ctx(), pk->b, &len, &p, SECP256K1_EC_COMPRESSED);
	return 0;
}

int sign_verify_hash(const struct sign_sig *sig, const struct key_pk *pk, const uint8_t hash[32])
{
	struct key_pk signer;
	int rc = sign_recover(&signer, sig, hash);

	if (rc < 0)
		return rc;
	return key_pk_cmp(&signer, pk) == 0 ? 0 : -EBADMSG;
}

int sign_verify(
	const struct sign_sig *sig, const struct key_pk *pk, const void *payload, size_t len)
{
	uint8_t hash[HASH_SHA256_LEN];

	hash_sha256(hash, payload, len);
	return sign_verify_hash(sig, pk, hash);
}

void sign_to_text(const struct sign_sig *sig, char out[SIGN_TEXT_LEN + 1])
{
	sodium_bin2hex(out, SIGN_TEXT_LEN + 1, sig->b, sizeof(sig->b));
}

int sign_from_text(struct sign_sig *sig, const char *text, size_t len)
{
	size_t n = 0;

	if (len == SIGN_TEXT_LEN &&
		sodium_hex2bin(sig->b, sizeof(sig->b), text, len, NULL, &n, NULL) == 0 &&
		n == sizeof(sig->b))
		return 0;
	memset(sig, 0, sizeof(*sig));
	return -EINVAL;
}
