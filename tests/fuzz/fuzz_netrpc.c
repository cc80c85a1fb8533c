// Calls as any peer can send them, however they are cut: they are told alike, and what was read is
// written again and read back with the same values. The first byte chooses the
// size of the pieces, too.

#include "lib/wire/visor_msg.h"

#include "tests/fuzz/fuzz.h"

#include <string.h>

static void lists(const struct netrpc_rx *rx)
{
	static const struct gob_field as = {NULL, GOB_SLICE, 0, 0, NULL};
	static const struct gob_field number = {NULL, GOB_UINT, 0, UINT64_MAX, NULL};
	struct gob_list list = {NULL, 0, 0, 0};
	uint64_t v = 0;

	if (netrpc_body(rx, &as, &list) < 0)
		return;
	while (gob_list_next(&rx->types, &list, &number, &v) > 0)
		continue;
}

static void again(const struct visor_lan *lan)
{
	static struct netrpc_rx rx;
	uint8_t out[2048];
	struct bytes_w w = bytes_w(out, sizeof(out));
	struct netrpc_tx tx = {.sent_request = false};
	struct visor_lan got;
	bool ready;

	visor_lan_put(&tx, &w, 7, lan);
	fuzz_check(!w.bad);
	memset(&rx, 0, sizeof(rx));
	fuzz_check(netrpc_take(&rx, out, bytes_w_len(&w), &ready) == bytes_w_done(&w) && ready);
	fuzz_check(rx.seq == 7 && strcmp(rx.method, VISOR_SET_LAN) == 0);
	fuzz_check(visor_lan_read(&got, &rx) == 0 && got.enabled == lan->enabled);
	fuzz_check(memcmp(&got.pk, &lan->pk, sizeof(got.pk)) == 0);
	fuzz_check(strcmp(got.address, lan->address) == 0);
	fuzz_check(strcmp(got.public_address, lan->public_address) == 0);
	fuzz_check(strcmp(got.discovery_url, lan->discovery_url) == 0);
}

// Calls of the whole input, in pieces; 0, or the error.
static int calls(const uint8_t *p, size_t len, size_t piece, unsigned *n_calls, bool deep)
{
	static struct netrpc_rx rx;

	memset(&rx, 0, sizeof(rx));
	for (size_t at = 0, end = 0; at < len;) {
		struct visor_lan lan;
		ssize_t n;
		bool ready;

		if (end <= at)
			end = len - at < piece ? len : at + piece;
		n = netrpc_take(&rx, p + at, end - at, &ready);
		if (n < 0)
			return (int)n;
		fuzz_check(ready || (size_t)n == end - at);
		at += (size_t)n;
		*n_calls += ready;
		if (!ready || !deep)
			continue;
		lists(&rx);
		if (visor_lan_read(&lan, &rx) == 0)
			again(&lan);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned n_whole = 0, n_cut = 0;
	int whole, cut;

	if (size == 0)
		return 0;
	whole = calls(data, size, size, &n_whole, true);
	cut = calls(data, size, 1 + data[0] % 7, &n_cut, false);
	fuzz_check(whole == cut && n_whole == n_cut);
	return 0;
}
