// What the next frame from a peer looks like, as bytes: most frames of a burst differ from the one
// before in lengths, checksums and numbers only, so one masked comparison of 50 bytes says what
// parse_frame(), the look-up of the receiver index and the check of the peer's address would say.
// Whatever does not match is nobody's fault: it goes the way of parse_frame(). IPv4 only.
//
//     Ethernet 14 | IPv4 20 | UDP 8 | rail type and receiver index 8 | ...
//
// Compared: destination MAC, ethertype, version and header length, fragment bits, protocol, source
// address, both ports, rail type, reserved bytes, receiver index.
#pragma once

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/wire/rail.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	EXPECT_RAIL = 14 + 20 + 8, // offset of the rail header
	EXPECT_LEN = EXPECT_RAIL + 8, // bytes that are compared
	EXPECT_MIN = EXPECT_RAIL + RAIL_DATA_OVERHEAD, // shortest frame with a datagram in it
};

typedef uint64_t expect_v __attribute__((vector_size(16)));

struct expect {
	// owner: the worker
	uint32_t rx_index; // host order, 0 = nothing is expected
	uint16_t src_port; // host order
	uint8_t src_ip[16]; // IPv4 mapped
	_Alignas(16) uint8_t want[64];
};

// Bytes 0..15, 16..31 and 34..49: what lies between them is not compared.
static const _Alignas(16) uint8_t expect_mask[3][16] = {
	{[0] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [12] = 0xff, 0xff, 0xff},
	// the fragment field without DF and the reserved bit, protocol, source address
	{[4] = 0x3f, 0xff, [7] = 0xff, [10] = 0xff, 0xff, 0xff, 0xff},
	{[0] = 0xff, 0xff, 0xff, 0xff, [8] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
};

// src_ip: IPv4 mapped. mac: the port's. Ports in host order.
static inline void expect_set(struct expect *e, const uint8_t mac[6], const uint8_t src_ip[16],
	uint16_t src_port, uint16_t udp_port, uint32_t rx_index)
{
	uint8_t *p = e->want;

	memset(e, 0, sizeof(*e));
	e->rx_index = rx_index;
	e->src_port = src_port;
	memcpy(e->src_ip, src_ip, sizeof(e->src_ip));
	memcpy(p, mac, 6);
	be16_put(p + 12, 0x0800);
	p[14] = 0x45;
	p[23] = 17;
	memcpy(p + 26, src_ip + 12, 4);
	be16_put(p + 34, src_port);
	be16_put(p + 36, udp_port);
	p[EXPECT_RAIL] = RAIL_DATA;
	be32_put(p + EXPECT_RAIL + 4, rx_index);
}

static inline expect_v expect_diff(
	const struct expect *e, const uint8_t *p, unsigned k, unsigned at)
{
	expect_v a, b, mask;

	memcpy(&a, p + at, sizeof(a));
	memcpy(&b, e->want + at, sizeof(b));
	memcpy(&mask, expect_mask[k], sizeof(mask));
	return (a ^ b) & mask;
}

// Length of the UDP payload if this frame of len contiguous bytes is what was expected, else 0.
// What lies behind the payload is padding.
static inline uint32_t expect_match(const struct expect *e, const uint8_t *p, uint32_t len)
{
	uint32_t total, udp;
	expect_v diff;

	if (unlikely(len < EXPECT_MIN))
		return 0;
	diff = expect_diff(e, p, 0, 0) | expect_diff(e, p, 1, 16) | expect_diff(e, p, 2, 34);
	total = be16_get(p + 16);
	udp = be16_get(p + 38);
	if (unlikely((diff[0] | diff[1]) != 0 || total != udp + 20 || 14 + total > len ||
		     udp < 8 + RAIL_DATA_OVERHEAD))
		return 0;
	return udp - 8;
}
