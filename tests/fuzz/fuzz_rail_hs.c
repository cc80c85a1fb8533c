// Whole handshake datagrams at a responder, an initiator that waits for a response, and a cookie's
// taker. The first byte chooses: 0..3 which of them and inside or not; with bit 2 set, mac1 is made
// right, as anybody can who knows the public key, so that what lies behind it is reached.
#include <string.h>

#include "lib/crypto/hash.h"
#include "lib/link/rail_cookie.h"
#include "lib/link/rail_hs.h"
#include "tests/fuzz/fuzz.h"

static struct key_sk sk = {.b = {[31] = 7}}, peer_sk = {.b = {[31] = 9}};
static struct key_pk pk, peer;
static struct rail_hs_side initiator[2];
static uint8_t init[2][RAIL_HS_MAX];

static const struct rail_hs_offer offer = {.instance = 1,
	.rx_index = {0x01020304, 0x01020305, 0x01020306},
	.port = {7781, 7782},
	.n_flows = 3,
	.payload_max = 1400,
	.ciphers = 1,
	.window_log2 = 18};

static void prepare(void)
{
	struct rail_hs_self self = {&pk, &sk};

	if (pk.b[0] != 0)
		return;
	fuzz_check(key_pk_from_sk(&pk, &sk) == 0 && key_pk_from_sk(&peer, &peer_sk) == 0);
	for (int inside = 0; inside < 2; inside++)
		fuzz_check(rail_hs_init_make(&initiator[inside], &self, &peer, &offer, 1000, inside,
				   NULL, init[inside], RAIL_HS_MAX) > 0);
}

static void mac1_fix(uint8_t *msg, size_t len)
{
	uint8_t key[32];

	if (len < RAIL_MACS_LEN)
		return;
	rail_hs_mac1_key(key, &pk);
	hash_mac128(msg + rail_mac1_off(len), key, sizeof(key), msg, rail_mac1_off(len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rail_hs_self self = {&pk, &sk};
	uint8_t msg[RAIL_HS_MAX + 16], out[RAIL_HS_MAX], cookie[RAIL_COOKIE_VALUE_LEN] = {0};
	static const uint8_t cookie_key[RAIL_COOKIE_KEY_LEN];
	struct rail_hs_side side;
	struct rail_hs_terms terms;
	struct rail_hs_keys keys;
	bool inside;
	ssize_t n;

	if (size < 1 || size > sizeof(msg))
		return 0;
	prepare();
	inside = (data[0] & 1) != 0;
	size--;
	memcpy(msg, data + 1, size);
	if ((data[0] & 4) != 0 && !inside)
		mac1_fix(msg, size);
	if ((data[0] & 2) == 0) {
		if (rail_hs_init_take(&side, &self, msg, size, inside, &terms) == 0) {
			fuzz_check(key_pk_is_valid(&terms.peer));
			n = rail_hs_response_make(
				&side, &self, &offer, &terms, out, sizeof(out), &keys);
			fuzz_check(n <= RAIL_HS_MAX);
			fuzz_check(n < 0 || (keys.n_flows >= 1 && keys.n_flows <= 3 &&
						    keys.n_flows <= terms.n_flows));
		}
		rail_hs_fini(&side);
	} else {
		// Nobody here knows the ephemeral key that a right response needs.
		fuzz_check(rail_hs_response_take(
				   &initiator[inside], &self, msg, size, &terms, &keys) != 0 ||
			   terms.refusal != 0);
		fuzz_check(rail_hs_cookie_take(&initiator[inside], msg, size, cookie) != 0);
	}
	(void)rail_mac2_is_right(msg, size, cookie);
	(void)rail_cookie_make(out, cookie_key, msg, size, data, cookie);
	return 0;
}
