// Packets for tests: nothing is shared with the code under test.
#include "tests/support/packet.h"

#include <string.h>

static void put16(uint8_t *p, unsigned n)
{
	p[0] = (uint8_t)(n >> 8);
	p[1] = (uint8_t)n;
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

uint16_t packet_sum(const uint8_t *p, size_t len, uint32_t seed)
{
	uint32_t sum = seed;

	for (size_t i = 0; i < len; i++) {
		sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static uint32_t pseudo(const uint8_t *p, size_t l4_len, uint8_t proto)
{
	uint32_t sum = (uint32_t)l4_len + proto;

	return p[0] >> 4 == 4 ? packet_sum(p + 12, 8, sum) : packet_sum(p + 8, 32, sum);
}

size_t packet_hdr_len(const struct packet *k)
{
	return (k->version == 4 ? 20u : 40u) + (k->udp ? 8u : 20u + k->options);
}

static void make_ip(uint8_t *p, const struct packet *k, size_t len)
{
	if (k->version == 4) {
		p[0] = 0x45;
		put16(p + 2, (unsigned)len);
		put16(p + 4, k->id);
		p[6] = k->fragmentable ? 0 : 0x40;
		p[8] = 64;
		p[9] = k->udp ? 17 : 6;
		memcpy(p + 12, "\x0a\x09\x00\x01\x0a\x09\x00\x02", 8);
		put16(p + 10, (uint16_t)~packet_sum(p, 20, 0));
		return;
	}
	p[0] = 0x60;
	put16(p + 4, (unsigned)len - 40);
	p[6] = k->udp ? 17 : 6;
	p[7] = 64;
	memcpy(p + 8,
		"\xfd\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\xfd\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\x02", 32);
}

size_t packet_make(uint8_t *p, const struct packet *k)
{
	size_t ip = k->version == 4 ? 20 : 40, hdr = packet_hdr_len(k), len = hdr + k->payload;
	uint8_t *l4 = p + ip;
	unsigned sum;

	memset(p, 0, len);
	make_ip(p, k, len);
	put16(l4, k->port != 0 ? k->port : 1000);
	put16(l4 + 2, 80);
	if (k->udp) {
		put16(l4 + 4, (unsigned)(len - ip));
	} else {
		put16(l4 + 4, k->seq >> 16);
		put16(l4 + 6, k->seq & 0xffff);
		put16(l4 + 10, 77);
		l4[12] = (uint8_t)((20 + k->options) / 4 << 4);
		l4[13] = k->flags != 0 ? k->flags : PACKET_ACK;
		put16(l4 + 14, 500);
		memset(l4 + 20, 1, k->options);
	}
	for (unsigned i = 0; i < k->payload; i++)
		p[hdr + i] = (uint8_t)((k->seq + i) * 7 + ((k->seq + i) >> 8));
	sum = (uint16_t)~packet_sum(l4, len - ip, pseudo(p, len - ip, k->udp ? 17 : 6));
	put16(l4 + (k->udp ? 6 : 16), k->udp && sum == 0 ? 0xffff : sum);
	return len;
}

bool packet_is_right(const uint8_t *p, size_t len)
{
	bool v4 = p[0] >> 4 == 4;
	size_t ip = v4 ? 20 : 40;
	uint8_t proto = v4 ? p[9] : p[6];

	if (v4 && (get16(p + 2) != len || packet_sum(p, 20, 0) != 0xffff))
		return false;
	if (!v4 && get16(p + 4) != len - 40)
		return false;
	if (proto == 17 && (get16(p + ip + 4) != len - ip || get16(p + ip + 6) == 0))
		return false;
	return packet_sum(p + ip, len - ip, pseudo(p, len - ip, proto)) == 0xffff;
}
