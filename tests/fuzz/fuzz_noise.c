// Message 1 of a rail handshake as a responder gets it from anybody: Noise IK over secp256k1.
// Whatever comes, it is refused with a dead state, or the initiator is known and the answer can be
// written.

#include "lib/crypto/noise.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t payload[NOISE_MAX_MSG_LEN];
	static uint8_t reply[256];
	uint8_t sk[32], k1[NOISE_KEY_LEN], k2[NOISE_KEY_LEN];
	struct noise_conf conf = {
		.pattern = NOISE_IK,
		.dh = dh_secp256k1(),
		.hash = HASH_SHA256,
		.prologue = "rail1",
		.prologue_len = 5,
		.s = sk,
	};
	struct noise n;
	ssize_t len;

	memset(sk, 0x22, sizeof(sk));
	if (noise_init(&n, &conf) < 0)
		abort();
	len = noise_read(&n, data, size, payload, sizeof(payload));
	if (len < 0) {
		if (len != -EBADMSG || noise_remote_static(&n) != NULL ||
			noise_write(&n, NULL, 0, reply, sizeof(reply)) != -EPIPE)
			abort();
	} else if (noise_remote_static(&n) == NULL ||
		   noise_write(&n, NULL, 0, reply, sizeof(reply)) < 0 ||
		   noise_split(&n, k1, k2) < 0) {
		abort();
	}
	noise_fini(&n);
	return 0;
}
