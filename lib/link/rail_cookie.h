// Cookies of rail (rail 1): what a node under load asks of an init before it does anything that
// costs. Whoever shows the cookie of an address receives there. Pure functions without allocation,
// any thread: workers call them. The one who is asked takes the cookie with rail_hs_cookie_take().
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/crypto/key.h"
#include "lib/wire/rail.h"

enum { RAIL_COOKIE_SECRET_LEN = 32, RAIL_COOKIE_KEY_LEN = 32 };

// Key under which this node sends cookies; whoever knows its public key can make it.
void rail_cookie_key(uint8_t out[RAIL_COOKIE_KEY_LEN], const struct key_pk *sender);
// Cookie of a source address (IPv4 mapped, port in host order) under a secret.
void rail_cookie_value(uint8_t out[RAIL_COOKIE_VALUE_LEN],
	const uint8_t secret[RAIL_COOKIE_SECRET_LEN], const uint8_t ip[16], uint16_t port);
// An init or response has a mac2 at all: it may be worth a look.
bool rail_mac2_is_there(const void *msg, size_t len);
// True when the mac2 of an init or response was made with this cookie.
bool rail_mac2_is_right(const void *msg, size_t len, const uint8_t cookie[RAIL_COOKIE_VALUE_LEN]);
// The cookie datagram that answers msg. nonce: unique under the key. -EBADMSG: msg is no init.
int rail_cookie_make(uint8_t out[RAIL_COOKIE_LEN], const uint8_t key[RAIL_COOKIE_KEY_LEN],
	const void *msg, size_t len, const uint8_t nonce[RAIL_COOKIE_NONCE_LEN],
	const uint8_t cookie[RAIL_COOKIE_VALUE_LEN]);
