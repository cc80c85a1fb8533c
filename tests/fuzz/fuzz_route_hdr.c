// A stream of route packets: decode takes exactly what the header says, and bodies stay in bounds.
#include <string.h>

#include "lib/wire/route_hdr.h"
#include "tests/fuzz/fuzz.h"

static void check_bodies(const struct route_hdr *h)
{
	struct route_ping ping;
	uint8_t back[32], code;
	int64_t t;

	if (route_ping_decode(h->payload, h->len, &ping) == 0) {
		fuzz_check(route_ping_encode(back, sizeof(back), h->id, &ping) == 23);
		fuzz_check(memcmp(back + ROUTE_HDR_LEN, h->payload, ROUTE_PING_LEN) == 0);
	}
	if (route_pong_decode(h->payload, h->len, &t) == 0)
		fuzz_check(route_pong_encode(back, sizeof(back), h->id, t) == 23);
	if (route_tp_ping_decode(h->payload, h->len, &t) == 0) {
		fuzz_check(route_tp_ping_encode(back, sizeof(back), ROUTE_TP_PONG, t) == 15);
		fuzz_check(memcmp(back + ROUTE_HDR_LEN, h->payload, ROUTE_TP_PING_LEN) == 0);
	}
	if (route_close_decode(h->payload, h->len, &code) == 0)
		fuzz_check(code <= ROUTE_CLOSE_LEG);
	fuzz_check(route_hdr_type_name(h->type) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct route_hdr h;
	size_t at = 0;
	int n;

	while ((n = route_hdr_decode(data + at, size - at, &h)) > 0) {
		uint8_t hdr[ROUTE_HDR_LEN];

		fuzz_check((size_t)n <= size - at && n == ROUTE_HDR_LEN + h.len);
		fuzz_check(route_hdr_is_whole(data + at, (size_t)n));
		route_hdr_put(hdr, h.type, h.id, h.len);
		fuzz_check(memcmp(hdr, data + at, sizeof(hdr)) == 0);
		check_bodies(&h);
		at += (size_t)n;
	}
	fuzz_check(n == -EAGAIN);
	return 0;
}
