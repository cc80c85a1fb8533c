// A cookie is a keyed hash of an address, so nothing is kept for those who were sent one; it
// travels sealed to who made the init that it answers. Which secrets are accepted, and when cookies
// are asked for, is decided elsewhere.
#include "lib/link/rail_cookie.h"

#include "lib/base/err.h"
#include "lib/crypto/aead.h"
#include "lib/crypto/hash.h"

static const uint8_t zeros[RAIL_MAC_LEN];

void rail_cookie_key(uint8_t out[RAIL_COOKIE_KEY_LEN], const struct key_pk *sender)
{
	hash_label256(out, RAIL_LABEL_COOKIE, sender->b, sizeof(sender->b));
}

void rail_cookie_value(uint8_t out[RAIL_COOKIE_VALUE_LEN],
	const uint8_t secret[RAIL_COOKIE_SECRET_LEN], const uint8_t ip[16], uint16_t port)
{
	uint8_t src[18];

	memcpy(src, ip, 16);
	be16_put(src + 16, port);
	hash_mac128(out, secret, RAIL_COOKIE_SECRET_LEN, src, sizeof(src));
}

bool rail_mac2_is_there(const void *msg, size_t len)
{
	struct rail_hs m;

	return rail_hs_decode(msg, len, false, &m) == 0 && !key_equal(m.mac2, zeros, RAIL_MAC_LEN);
}

bool rail_mac2_is_right(const void *msg, size_t len, const uint8_t cookie[RAIL_COOKIE_VALUE_LEN])
{
	uint8_t mac[RAIL_MAC_LEN];

	if (!rail_mac2_is_there(msg, len))
		return false;
	hash_mac128(mac, cookie, RAIL_COOKIE_VALUE_LEN, msg, rail_mac2_off(len));
	return key_equal(mac, (const uint8_t *)msg + rail_mac2_off(len), RAIL_MAC_LEN);
}

int rail_cookie_make(uint8_t out[RAIL_COOKIE_LEN], const uint8_t key[RAIL_COOKIE_KEY_LEN],
	const void *msg, size_t len, const uint8_t nonce[RAIL_COOKIE_NONCE_LEN],
	const uint8_t cookie[RAIL_COOKIE_VALUE_LEN])
{
	struct rail_cookie c;
	struct rail_hs m;

	if (rail_hs_decode(msg, len, false, &m) != 0 || m.type != RAIL_INIT)
		return -EBADMSG;
	c.receiver = m.sender;
	memcpy(c.nonce, nonce, sizeof(c.nonce));
	aead_x_seal(c.sealed, cookie, RAIL_COOKIE_VALUE_LEN, m.mac1, RAIL_MAC_LEN, nonce, key);
	rail_cookie_encode(out, &c);
	return 0;
}
