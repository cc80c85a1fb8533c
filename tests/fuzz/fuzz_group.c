// One end of a route group. The first byte says whether it is the initiator, takes plaintext, or
// has its handshake done; the rest is a script of packets from the peer (type, length, bytes; a
// length of 0xffff stands for a record that the peer really sealed), time, and packets pulled.

#include "lib/route/group.h"

#include "lib/base/clock.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

enum { INITIATOR = 1, PLAIN = 2, DONE = 4, SEALED = 0xffff };
#define BEGUN_NS CLOCK_NS_PER_S

static struct group_end g, peer;
static uint64_t now_ns;

static void init(struct group_end *x, bool initiator, bool plain)
{
	static const uint8_t e[2][32] = {{[31] = 5}, {[31] = 6}};
	uint8_t sk[2][32], pk[2][33];

	memset(sk[0], 0x11, 32);
	memset(sk[1], 0x22, 32);
	fuzz_check(dh_secp256k1()->pub(pk[0], sk[0]) == 0);
	fuzz_check(dh_secp256k1()->pub(pk[1], sk[1]) == 0);
	struct group_conf c = {.initiator = initiator,
		.allow_plain = plain,
		.forward_id = 7,
		.keep_alive_ms = 30000,
		.s = sk[initiator],
		.s_pk = pk[initiator],
		.rs = pk[!initiator],
		.test_e = e[initiator]};
	fuzz_check(group_init(x, &c, now_ns) == 0);
}

static void take(struct group_end *x, uint8_t *p, size_t len)
{
	uint8_t *data;
	size_t n;

	group_take(x, now_ns, p, len);
	while ((n = group_read(x, now_ns, &data)) > 0)
		fuzz_check(n <= ROUTE_PAYLOAD_MAX && data != NULL);
}

static size_t pull(struct group_end *x, uint8_t *p)
{
	size_t n = group_pull(x, now_ns, p, GROUP_PACKET_MAX);
	bool heard = group_state(x) >= GROUP_KEYS;

	fuzz_check(n == 0 || route_hdr_is_whole(p, n));
	fuzz_check(n != ROUTE_HDR_LEN || route_hdr_type(p) == ROUTE_KEEP_ALIVE);
	// no DATA before the peer's Handshake, but for the keys of an initiator that waited for
	// long
	fuzz_check(n == 0 || route_hdr_type(p) != ROUTE_DATA || heard ||
		   (x->conf.initiator && n <= ROUTE_HDR_LEN + GROUP_KEYS_LEN &&
			   now_ns - BEGUN_NS >= GROUP_UNHEARD_MS * CLOCK_NS_PER_MS));
	return n;
}

static void shake_hands(void)
{
	uint8_t p[GROUP_PACKET_MAX];
	size_t n;

	for (int i = 0; i < 3; i++) {
		while ((n = pull(&g, p)) > 0)
			take(&peer, p, n);
		while ((n = pull(&peer, p)) > 0)
			take(&g, p, n);
	}
	fuzz_check(group_state(&g) == GROUP_OPEN && group_state(&peer) == GROUP_OPEN);
}

static size_t give(const uint8_t *data, size_t size)
{
	static uint8_t p[ROUTE_PACKET_MAX];
	uint16_t len = be16_get(data + 1);
	size_t n, used = 3;

	if (len == SEALED && group_state(&peer) == GROUP_OPEN) {
		if (group_write(&peer, now_ns, data, 3, p, GROUP_PACKET_MAX, &n) > 0)
			take(&g, p, n);
		return used;
	}
	n = len < size - used ? len : size - used;
	route_hdr_put(p, data[0], 7, (uint16_t)n);
	memcpy(p + ROUTE_HDR_LEN, data + used, n);
	take(&g, p, ROUTE_HDR_LEN + n);
	return used + n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t p[GROUP_PACKET_MAX], flags;
	unsigned n = 0;

	if (size == 0)
		return 0;
	flags = *data++;
	size--;
	now_ns = BEGUN_NS;
	init(&g, (flags & INITIATOR) != 0, (flags & PLAIN) != 0);
	init(&peer, (flags & INITIATOR) == 0, false);
	if (flags & DONE)
		shake_hands();
	while (size > 2) {
		size_t used = give(data, size);

		data += used;
		size -= used;
		now_ns += (flags >> 3) * 100 * CLOCK_NS_PER_MS;
		while (pull(&g, p) > 0)
			fuzz_check(++n < 100000);
		fuzz_check(group_next_ns(&g) > now_ns);
	}
	group_close(&g, now_ns, NULL);
	for (int i = 0; i < 4 && group_state(&g) != GROUP_OVER; i++) {
		while (pull(&g, p) > 0)
			continue;
		now_ns = group_next_ns(&g) == UINT64_MAX ? now_ns : group_next_ns(&g);
		now_ns += 10 * CLOCK_NS_PER_S;
	}
	fuzz_check(group_state(&g) == GROUP_OVER);
	group_fini(&g);
	group_fini(&peer);
	return 0;
}
