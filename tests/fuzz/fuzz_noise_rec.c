// One end of a Noise connection over a byte stream (noise_rec.h). The first byte says what it is:
// a responder of XK or KK that reads handshake frames, or an open connection that reads records.
// Records that a known peer sealed are put between the bytes of the input, so that opening one
// succeeds, too.

#include "lib/crypto/noise_rec.h"

#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

static void init(struct noise_rec *r, enum noise_pattern p, bool initiator)
{
	static const uint8_t e[2][32] = {{[31] = 5}, {[31] = 6}};
	uint8_t sk[2][32], pk[2][33];

	memset(sk[0], 0x11, 32);
	memset(sk[1], 0x22, 32);
	fuzz_check(dh_secp256k1()->pub(pk[0], sk[0]) == 0);
	fuzz_check(dh_secp256k1()->pub(pk[1], sk[1]) == 0);
	struct noise_conf c = {
		.pattern = p,
		.dh = dh_secp256k1(),
		.hash = HASH_SHA256,
		.initiator = initiator,
		.s = sk[initiator],
		.rs = initiator || p == NOISE_KK ? pk[!initiator] : NULL,
		.test_e = e[initiator],
	};
	fuzz_check(noise_rec_init(r, &c) == 0);
}

static void shake(enum noise_pattern p, const uint8_t *data, size_t size)
{
	uint8_t out[NOISE_REC_FRAME_MAX];
	struct noise_rec r;

	init(&r, p, false);
	while (noise_rec_is_shaking(&r)) {
		ssize_t n = noise_rec_take_shake(&r, data, size);

		if (n < 0) {
			fuzz_check(n == -EAGAIN || n == -EBADMSG);
			break;
		}
		fuzz_check((size_t)n <= size);
		data += n;
		size -= (size_t)n;
		n = noise_rec_shake(&r, out, sizeof(out));
		fuzz_check(n > 0 || (n == 0 && noise_rec_is_open(&r)));
	}
	noise_rec_fini(&r);
}

// Ours at `from`, opened by `to`: what an attacker puts in cannot disturb what he does not end.
static void own_record(struct noise_rec *from, struct noise_rec *to, uint8_t fill)
{
	uint8_t frame[NOISE_REC_FRAME_MAX], pt[64];
	const uint8_t *got;
	size_t got_len;
	ssize_t n;

	memset(pt, fill, sizeof(pt));
	n = noise_rec_seal(from, pt, fill % sizeof(pt), frame, sizeof(frame));
	fuzz_check(n == fill % (int)sizeof(pt) + NOISE_REC_OVERHEAD);
	fuzz_check(noise_rec_open(to, frame, (size_t)n, &got, &got_len) == n);
	fuzz_check(got_len == fill % sizeof(pt) && memcmp(got, pt, got_len) == 0);
}

static void records(const uint8_t *data, size_t size)
{
	uint8_t frame[NOISE_REC_FRAME_MAX], buf[2 * NOISE_REC_FRAME_MAX];
	struct noise_rec i, r;
	const uint8_t *got;
	size_t got_len;
	ssize_t n;

	init(&i, NOISE_KK, true);
	init(&r, NOISE_KK, false);
	n = noise_rec_shake(&i, frame, sizeof(frame));
	fuzz_check(noise_rec_take_shake(&r, frame, (size_t)n) == n);
	n = noise_rec_shake(&r, frame, sizeof(frame));
	fuzz_check(noise_rec_take_shake(&i, frame, (size_t)n) == n);
	own_record(&i, &r, size > 0 ? data[0] : 0);
	size = size < sizeof(buf) ? size : sizeof(buf);
	if (size > 0)
		memcpy(buf, data, size);
	n = noise_rec_open(&r, buf, size, &got, &got_len);
	if (n >= 0) // only the holder of the key could make it: here that is the corpus
		fuzz_check((size_t)n <= size && got_len <= NOISE_REC_DATA_MAX);
	else if (n == -EAGAIN)
		own_record(&i, &r, 7);
	else
		fuzz_check(noise_rec_open(&r, buf, size, &got, &got_len) == -EPIPE);
	noise_rec_fini(&i);
	noise_rec_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] == 0)
		shake(NOISE_XK, data + 1, size - 1);
	else if (data[0] == 1)
		shake(NOISE_KK, data + 1, size - 1);
	else
		records(data + 1, size - 1);
	return 0;
}
