// ARP and Neighbour Discovery of skyrail-bench: whatever comes, an answer is a frame that the asker
// can read, and nothing beyond the frame is touched.
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tools/bench/resolve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1}, asker[6] = {2, 0, 0, 0, 0, 2};
	static const uint8_t self4[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 2};
	static const uint8_t self6[16] = {0xfd, [13] = 0xab, [15] = 2};
	struct resolved r, back;

	if (size > 4096)
		return 0;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		const uint8_t *self = v6 ? self6 : self4;

		if (!resolve_take(data, (uint32_t)size, mac, self, &r))
			continue;
		fuzz_check(r.learned && r.reply_len <= RESOLVE_MAX);
		if (r.reply_len == 0)
			continue;
		// it goes to whoever asked, and says where we are
		fuzz_check(resolve_take(r.reply, r.reply_len, asker, r.ip, &back));
		fuzz_check(back.learned && back.reply_len == 0);
		fuzz_check(memcmp(back.ip, self, 16) == 0 && memcmp(back.mac, mac, 6) == 0);
	}
	return 0;
}
