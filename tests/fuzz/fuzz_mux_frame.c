// Headers of yamux and of both versions of smux: what is accepted encodes to the same bytes.
#include <errno.h>
#include <string.h>

#include "lib/wire/smux_frame.h"
#include "lib/wire/yamux_frame.h"
#include "tests/fuzz/fuzz.h"

enum { FRAME_MAX = SMUX_HDR_LEN + SMUX_UPD_LEN };

static void try_yamux(const uint8_t *data, size_t size)
{
	uint8_t back[FRAME_MAX];
	struct yamux_frame f;
	int n = yamux_frame_decode(data, size, &f);

	fuzz_check(n == -EBADMSG || (n == -EAGAIN) == (size < YAMUX_HDR_LEN));
	if (n < 0)
		return;
	fuzz_check(n == YAMUX_HDR_LEN);
	fuzz_check(yamux_frame_encode(back, sizeof(back), &f) == n);
	fuzz_check(memcmp(back, data, (size_t)n) == 0);
}

static void try_smux(const uint8_t *data, size_t size, uint8_t version)
{
	uint8_t back[FRAME_MAX];
	struct smux_frame f;
	int n = smux_frame_decode(data, size, version, &f);

	if (n < 0) {
		fuzz_check(n == -EBADMSG || (n == -EAGAIN && size < FRAME_MAX));
		return;
	}
	fuzz_check((size_t)n <= size && (n == FRAME_MAX) == (f.cmd == SMUX_UPD));
	fuzz_check(smux_frame_encode(back, sizeof(back), &f) == n);
	fuzz_check(memcmp(back, data, (size_t)n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_yamux(data, size);
	try_smux(data, size, 1);
	try_smux(data, size, 2);
	return 0;
}
