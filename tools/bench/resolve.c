// Two small protocols by offset.
//
//     ARP: Ethernet 14 | types 8 | sender MAC 6, IP 4 | target MAC 6, IP 4
//     ND:  Ethernet 14 | IPv6 40 | type, code, sum 4 | flags 4 | target 16 | option 2 | MAC 6

#include "tools/bench/resolve.h"

#include "lib/base/bytes.h"

#include <string.h>

enum {
	ARP_LEN = 42,
	ARP_REQUEST = 1,
	ARP_REPLY = 2,
	ND_LEN = 86,
	ND_SOLICIT = 135,
	ND_ADVERTISE = 136,
	ND_FLAGS = 0x60000000, // solicited, override
	OFF_IP6 = 14,
	OFF_ICMP = 54,
	ICMP_LEN = 32,
};

static bool is_v4(const uint8_t ip[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(ip, mapped, 12) == 0;
}

static uint32_t ethernet(uint8_t *p, const uint8_t dst[6], const uint8_t src[6], uint16_t type)
{
	memcpy(p, dst, 6);
	memcpy(p + 6, src, 6);
	be16_put(p + 12, type);
	return 14;
}

static uint32_t arp(uint8_t *p, uint16_t op, const uint8_t mac[6], const uint8_t *ip4,
	const uint8_t to_mac[6], const uint8_t *to_ip4)
{
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t types[6] = {0, 1, 8, 0, 6, 4};

	ethernet(p, op == ARP_REQUEST ? all : to_mac, mac, 0x0806);
	memcpy(p + 14, types, 6);
	be16_put(p + 20, op);
	memcpy(p + 22, mac, 6);
	memcpy(p + 28, ip4, 4);
	memcpy(p + 32, to_mac, 6);
	memcpy(p + 38, to_ip4, 4);
	return ARP_LEN;
}

static uint16_t icmp_sum(const uint8_t *ip6, const uint8_t *icmp)
{
	uint32_t sum = 58 + ICMP_LEN;

	for (unsigned i = 8; i < 40; i += 2)
		sum += be16_get(ip6 + i);
	for (unsigned i = 0; i < ICMP_LEN; i += 2)
		sum += be16_get(icmp + i);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

static uint32_t nd(uint8_t *p, uint8_t type, const uint8_t mac[6], const uint8_t self[16],
	const uint8_t to_mac[6], const uint8_t to[16], const uint8_t target[16])
{
	uint8_t *ip = p + OFF_IP6, *icmp = p + OFF_ICMP;

	memset(p, 0, ND_LEN);
	ethernet(p, to_mac, mac, 0x86dd);
	ip[0] = 0x60;
	be16_put(ip + 4, ICMP_LEN);
	ip[6] = 58;
	ip[7] = 255;
	memcpy(ip + 8, self, 16);
	memcpy(ip + 24, to, 16);
	icmp[0] = type;
	be32_put(icmp + 4, type == ND_ADVERTISE ? ND_FLAGS : 0);
	memcpy(icmp + 8, target, 16);
	icmp[24] = type == ND_ADVERTISE ? 2 : 1; // target's or source's hardware address
	icmp[25] = 1;
	memcpy(icmp + 26, mac, 6);
	be16_put(icmp + 2, icmp_sum(ip, icmp));
	return ND_LEN;
}

uint32_t resolve_ask(uint8_t out[RESOLVE_MAX], const uint8_t mac[6], const uint8_t self[16],
	const uint8_t target[16])
{
	static const uint8_t nobody[6];
	uint8_t group[16] = {0xff, 2, [11] = 1, 0xff}, group_mac[6] = {0x33, 0x33, 0xff};

	if (is_v4(self))
		return arp(out, ARP_REQUEST, mac, self + 12, nobody, target + 12);
	memcpy(group + 13, target + 13, 3);
	memcpy(group_mac + 3, target + 13, 3);
	return nd(out, ND_SOLICIT, mac, self, group_mac, group, target);
}

static bool take_arp(const uint8_t *f, uint32_t len, const uint8_t mac[6], const uint8_t self[16],
	struct resolved *out)
{
	uint16_t op = len >= ARP_LEN ? be16_get(f + 20) : 0;

	if (!is_v4(self) || (op != ARP_REQUEST && op != ARP_REPLY) ||
		memcmp(f + 38, self + 12, 4) != 0)
		return false;
	out->learned = true;
	memset(out->ip, 0, 10);
	memset(out->ip + 10, 0xff, 2);
	memcpy(out->ip + 12, f + 28, 4);
	memcpy(out->mac, f + 22, 6);
	if (op == ARP_REQUEST)
		out->reply_len = arp(out->reply, ARP_REPLY, mac, self + 12, f + 22, f + 28);
	return true;
}

static bool take_nd(const uint8_t *f, uint32_t len, const uint8_t mac[6], const uint8_t self[16],
	struct resolved *out)
{
	const uint8_t *ip = f + OFF_IP6, *icmp = f + OFF_ICMP;

	// 24 bytes of ICMP are enough for a solicitation without the sender's address
	if (len < OFF_ICMP + 24 || ip[6] != 58 || ip[7] != 255 || icmp[1] != 0)
		return false;
	if (icmp[0] == ND_SOLICIT && memcmp(icmp + 8, self, 16) == 0) {
		out->reply_len = nd(out->reply, ND_ADVERTISE, mac, self, f + 6, ip + 8, self);
		out->learned = true;
		memcpy(out->ip, ip + 8, 16);
		memcpy(out->mac, f + 6, 6);
		return true;
	}
	if (icmp[0] != ND_ADVERTISE || len < ND_LEN || icmp[24] != 2)
		return false;
	out->learned = true;
	memcpy(out->ip, icmp + 8, 16);
	memcpy(out->mac, icmp + 26, 6);
	return true;
}

bool resolve_take(const uint8_t *f, uint32_t len, const uint8_t mac[6], const uint8_t self[16],
	struct resolved *out)
{
	*out = (struct resolved){0};
	if (len < 14)
		return false;
	switch (be16_get(f + 12)) {
	case 0x0806:
		return take_arp(f, len, mac, self, out);
	case 0x86dd:
		return take_nd(f, len, mac, self, out);
	default:
		return false;
	}
}
