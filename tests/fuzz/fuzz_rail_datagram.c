// Datagram layouts: whatever is taken apart lies within the input, and comes back the same.
#include <string.h>

#include "lib/wire/rail.h"
#include "tests/fuzz/fuzz.h"

static void check_hs(const uint8_t *data, size_t size, bool inside)
{
	struct rail_hs hs;
	uint8_t hdr[RAIL_RESPONSE_HDR_LEN];
	struct bytes_w w = bytes_w(hdr, sizeof(hdr));

	if (rail_hs_decode(data, size, inside, &hs) < 0)
		return;
	rail_hs_begin(&w, hs.type, hs.sender, hs.receiver);
	fuzz_check(memcmp(hdr, data, bytes_w_len(&w)) == 0);
	fuzz_check(hs.noise == data + bytes_w_len(&w));
	fuzz_check(hs.noise + hs.noise_len + (inside ? 0 : RAIL_MACS_LEN) == data + size);
	fuzz_check(inside ||
		   (hs.mac1 == hs.noise + hs.noise_len && hs.mac2 == hs.mac1 + RAIL_MAC_LEN));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rail_cookie cookie;
	uint8_t back[RAIL_COOKIE_LEN];
	uint64_t ns;

	check_hs(data, size, false);
	check_hs(data, size, true);
	if (rail_cookie_decode(data, size, &cookie) == 0) {
		rail_cookie_encode(back, &cookie);
		fuzz_check(memcmp(back, data, sizeof(back)) == 0);
	}
	if (rail_classify(data, size) == RAIL_DATA) {
		rail_data_hdr_put(back, rail_data_receiver(data), rail_data_counter(data));
		fuzz_check(memcmp(back, data, RAIL_DATA_HDR_LEN) == 0);
	}
	if (size >= RAIL_TIME_LEN && rail_time_get(data, &ns) == 0) {
		rail_time_put(back, ns);
		fuzz_check(memcmp(back, data, RAIL_TIME_LEN) == 0);
	}
	return 0;
}
