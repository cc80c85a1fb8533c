// Handshake payloads; the first byte chooses the kind. What is accepted encodes and decodes again
// to the same values.
#include <string.h>

#include "lib/wire/rail_payload.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t a[RAIL_PAYLOAD_LEN_MAX + 3], b[RAIL_PAYLOAD_LEN_MAX + 3];
	struct rail_hs_payload pl, again;
	enum rail_payload_kind kind;
	int n;

	if (size < 1)
		return 0;
	kind = data[0] & 3;
	if (rail_payload_decode(data + 1, size - 1, kind, &pl) < 0)
		return 0;
	n = rail_payload_encode(a, sizeof(a), kind, &pl);
	fuzz_check(n > 0);
	fuzz_check(rail_payload_decode(a, (size_t)n, kind, &again) == 0);
	fuzz_check(again.has == pl.has);
	fuzz_check(rail_payload_encode(b, sizeof(b), kind, &again) == n);
	fuzz_check(memcmp(a, b, (size_t)n) == 0);
	return 0;
}
