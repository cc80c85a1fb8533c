// What one received frame is: ours (rail over UDP to one of our ports), the kernel's, or damaged.
// Offsets only: nothing is changed, nothing but the frame is known. Inline, on a plain buffer, so
// that the worker pays no call and the sanitizers see each read.
//
//     Ethernet 14 | IPv4 20 or IPv6 40 | UDP 8 | rail ...
//
// A frame is ours when it is addressed to the port's own MAC and to a UDP port of ours. The
// destination IP is not looked at: only the kernel knows which are ours, and a router sends to our
// MAC nothing but what is for us (or, were we a router for others too, for what lies behind us:
// then give rail a UDP port that nothing behind us uses). VLAN tags, IPv4 options and IPv6
// extension headers are the kernel's.
#pragma once

#include "lib/base/err.h"
#include "lib/wire/rail.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum parse_verdict {
	PARSE_DATA, // a rail data datagram
	PARSE_HANDSHAKE, // init, response or cookie
	PARSE_OTHER, // not ours
	PARSE_MALFORMED, // for our port, but lengths or headers contradict each other
	PARSE_FRAGMENT, // first fragment of a datagram for our port
	PARSE_TYPE, // for our port, but no rail datagram
};

enum { PARSE_ETH_LEN = 14, PARSE_IP4_LEN = 20, PARSE_IP6_LEN = 40, PARSE_UDP_LEN = 8 };

// Our UDP ports: flow i of each transport has first + i - 1.
struct parse_ports {
	uint16_t first; // host order
	uint16_t n; // first + n <= 65536
};

struct parsed {
	uint16_t off; // of the UDP payload
	uint16_t len; // of the UDP payload; bytes of the frame beyond it are padding
	uint16_t src_port; // host order
	uint8_t rail; // enum rail_type
	uint8_t src_ip[16]; // IPv4 mapped
};

// Is the port at p, in network order, one of ours?
static inline bool parse_port_is_ours(const uint8_t *p, struct parse_ports ports)
{
	return (uint16_t)(be16_get(p) - ports.first) < ports.n;
}

// Addresses of a frame that parse_frame() called DATA or HANDSHAKE.
static inline void parse_dst_ip(const uint8_t *p, const struct parsed *o, uint8_t ip[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (o->off == PARSE_ETH_LEN + PARSE_IP6_LEN + PARSE_UDP_LEN) {
		memcpy(ip, p + PARSE_ETH_LEN + 24, 16);
	} else {
		memcpy(ip, mapped, 12);
		memcpy(ip + 12, p + PARSE_ETH_LEN + 16, 4);
	}
}

// The part behind the UDP header's place at `off`; ip_len bytes of IP payload are there.
static inline enum parse_verdict parse_udp(
	const uint8_t *p, uint32_t off, uint32_t ip_len, struct parsed *o)
{
	if (unlikely(ip_len < PARSE_UDP_LEN || be16_get(p + off + 4) != ip_len))
		return PARSE_MALFORMED;
	o->src_port = be16_get(p + off);
	o->off = (uint16_t)(off + PARSE_UDP_LEN);
	o->len = (uint16_t)(ip_len - PARSE_UDP_LEN);
	if (unlikely(o->src_port == 0))
		return PARSE_MALFORMED;
	o->rail = (uint8_t)rail_classify(p + o->off, o->len);
	if (likely(o->rail == RAIL_DATA))
		return PARSE_DATA;
	return o->rail == RAIL_NONE ? PARSE_TYPE : PARSE_HANDSHAKE;
}

// IPv4 that is not the plain case: options or a fragment. Ours to drop only when it shows our port.
static inline enum parse_verdict parse_ip4_odd(
	const uint8_t *p, uint32_t len, struct parse_ports ports)
{
	const uint8_t *ip = p + PARSE_ETH_LEN;
	uint32_t ihl = (ip[0] & 15u) * 4;
	uint32_t udp = PARSE_ETH_LEN + ihl;

	if (ihl < PARSE_IP4_LEN || len < udp + 4 || (be16_get(ip + 6) & 0x1fff) != 0 ||
		!parse_port_is_ours(p + udp + 2, ports))
		return PARSE_OTHER;
	return (be16_get(ip + 6) & 0x2000) != 0 ? PARSE_FRAGMENT : PARSE_MALFORMED;
}

static inline enum parse_verdict parse_ip4(
	const uint8_t *p, uint32_t len, struct parse_ports ports, struct parsed *o)
{
	const uint8_t *ip = p + PARSE_ETH_LEN;
	uint32_t udp = PARSE_ETH_LEN + PARSE_IP4_LEN;
	uint32_t total;

	if (len < udp || ip[9] != 17)
		return PARSE_OTHER;
	if (unlikely(ip[0] != 0x45 || (be16_get(ip + 6) & 0x3fff) != 0))
		return ip[0] >> 4 == 4 ? parse_ip4_odd(p, len, ports) : PARSE_OTHER;
	if (len < udp + 4 || !parse_port_is_ours(p + udp + 2, ports))
		return PARSE_OTHER;
	total = be16_get(ip + 2);
	if (unlikely(total < PARSE_IP4_LEN || PARSE_ETH_LEN + total > len))
		return PARSE_MALFORMED;
	memset(o->src_ip, 0, 10);
	memset(o->src_ip + 10, 0xff, 2);
	memcpy(o->src_ip + 12, ip + 12, 4);
	return parse_udp(p, udp, total - PARSE_IP4_LEN, o);
}

static inline enum parse_verdict parse_ip6(
	const uint8_t *p, uint32_t len, struct parse_ports ports, struct parsed *o)
{
	enum { FRAG_HDR = 44, FRAG_LEN = 8 };
	const uint8_t *ip = p + PARSE_ETH_LEN;
	uint32_t udp = PARSE_ETH_LEN + PARSE_IP6_LEN;
	uint32_t payload_len;

	if (len < udp || ip[0] >> 4 != 6)
		return PARSE_OTHER;
	if (unlikely(ip[6] == FRAG_HDR)) {
		const uint8_t *frag = p + udp;

		if (len < udp + FRAG_LEN + 4 || frag[0] != 17 || (be16_get(frag + 2) & 0xfff8) != 0)
			return PARSE_OTHER;
		return parse_port_is_ours(frag + FRAG_LEN + 2, ports) ? PARSE_FRAGMENT
								      : PARSE_OTHER;
	}
	if (ip[6] != 17 || len < udp + 4 || !parse_port_is_ours(p + udp + 2, ports))
		return PARSE_OTHER;
	payload_len = be16_get(ip + 4);
	if (unlikely(udp + payload_len > len))
		return PARSE_MALFORMED;
	memcpy(o->src_ip, ip + 8, 16);
	return parse_udp(p, udp, payload_len, o);
}

// Classify len contiguous bytes of a frame received on a port with that MAC. *o is whole for DATA
// and HANDSHAKE only.
static inline enum parse_verdict parse_frame(const uint8_t *p, uint32_t len, const uint8_t mac[6],
	struct parse_ports ports, struct parsed *o)
{
	if (unlikely(len < PARSE_ETH_LEN || memcmp(p, mac, 6) != 0))
		return PARSE_OTHER;
	switch (be16_get(p + 12)) {
	case 0x0800:
		return parse_ip4(p, len, ports, o);
	case 0x86dd:
		return parse_ip6(p, len, ports, o);
	default:
		return PARSE_OTHER;
	}
}
