// Which frames of a kernel interface are ours: the question that our XDP program answers for each,
// before the kernel looks at it. On plain bytes and without libc, since it is compiled for the
// kernel's virtual machine (xdp_filter.bpf.c) and for the tests alike. It says yes to no more than
// parse.h would keep: what is left to the kernel there (other addresses and ports, VLAN tags, IPv4
// options, IPv6 extension headers, fragments) never leaves the kernel here.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// The value of the program's map `skyrail_conf`. Two words, which the kernel copies one after the
// other: as long as the second one is zero, nothing is ours, and a new address is one store.
struct xdp_conf {
	uint8_t mac[6]; // of the interface
	uint16_t port; // the first UDP destination that is ours, host order
	uint16_t n_ports; // as many from there on
	uint8_t zero[6];
};
_Static_assert(sizeof(struct xdp_conf) == 16, "two words");

#define XDP_PROG_NAME "skyrail_rx" // at most 15 characters: the kernel keeps no more
#define XDP_CONF_MAP "skyrail_conf"

static inline __attribute__((always_inline)) bool xdp_match_port(
	const uint8_t *be, const struct xdp_conf *c)
{
	// Else the compiler makes one of the two calls, with an offset in a register; without
	// CAP_PERFMON, the verifier only takes offsets that are constants.
	__asm__("" : "+r"(be));
	return (uint16_t)((be[0] << 8 | be[1]) - c->port) < c->n_ports;
}

// The verifier wants each read preceded by a comparison with the end, so these are in one piece.
static inline __attribute__((always_inline)) bool xdp_match(
	const uint8_t *p, const uint8_t *end, const struct xdp_conf *c)
{
	enum { ETH = 14, IP4 = 20, IP6 = 40, UDP = 8, IPPROTO_IS_UDP = 17 };

	if (p + ETH + IP4 + UDP > end)
		return false;
	for (unsigned i = 0; i < 6; i++) {
		if (p[i] != c->mac[i])
			return false;
	}
	if (p[12] == 0x08 && p[13] == 0x00)
		return p[ETH] == 0x45 && ((p[ETH + 6] & 0x3f) | p[ETH + 7]) == 0 &&
		       p[ETH + 9] == IPPROTO_IS_UDP && xdp_match_port(p + ETH + IP4 + 2, c);
	if (p[12] == 0x86 && p[13] == 0xdd && p + ETH + IP6 + UDP <= end)
		return p[ETH] >> 4 == 6 && p[ETH + 6] == IPPROTO_IS_UDP &&
		       xdp_match_port(p + ETH + IP6 + 2, c);
	return false;
}
