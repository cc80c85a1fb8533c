// IP, TCP and UDP headers as far as cutting and joining of super-packets needs them. Options are
// stepped over and never judged, fragments are left alone: what this file does not understand
// travels as it is.
#include "lib/wire/ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

enum { EXT_HOP = 0, EXT_ROUTING = 43, EXT_FRAGMENT = 44, EXT_DEST = 60, IP4_FRAGMENT = 0x3fff };

static uint32_t be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static int parse4(const uint8_t *p, size_t len, struct ip_view *v)
{
	uint32_t hdr_len;

	if (len < IP4_HDR_LEN)
		return -EBADMSG;
	hdr_len = 4u * (p[0] & 15);
	v->len = be16(p + 2);
	if (hdr_len < IP4_HDR_LEN || v->len > len || v->len < hdr_len)
		return -EBADMSG;
	v->l4 = (uint16_t)hdr_len;
	v->extended = hdr_len != IP4_HDR_LEN;
	v->proto = p[9];
	return (be16(p + 6) & IP4_FRAGMENT) != 0 ? -EPROTONOSUPPORT : 0;
}

static int parse6(const uint8_t *p, size_t len, struct ip_view *v)
{
	uint32_t at = IP6_HDR_LEN;
	uint8_t next;

	if (len < IP6_HDR_LEN)
		return -EBADMSG;
	next = p[6];
	v->len = IP6_HDR_LEN + be16(p + 4);
	if (v->len > len)
		return -EBADMSG;
	while (next == EXT_HOP || next == EXT_ROUTING || next == EXT_DEST) {
		if (at + 8 > v->len)
			return -EBADMSG;
		v->extended = true;
		v->routed |= next == EXT_ROUTING;
		next = p[at];
		at += 8 * (1u + p[at + 1]);
		if (at > v->len)
			return -EBADMSG;
		if (at > IP6_HDR_LEN + IP_EXT_MAX)
			return -EPROTONOSUPPORT;
	}
	v->l4 = (uint16_t)at;
	v->proto = next;
	return next == EXT_FRAGMENT ? -EPROTONOSUPPORT : 0;
}

int ip_parse(const uint8_t *p, size_t len, struct ip_view *v)
{
	uint32_t left, hdr_len;
	int rc;

	*v = (struct ip_view){.version = len > 0 ? p[0] >> 4 : 0};
	rc = v->version == 4 ? parse4(p, len, v) : v->version == 6 ? parse6(p, len, v) : -EBADMSG;
	if (rc < 0)
		return rc;
	left = v->len - v->l4;
	if (v->proto == IP_PROTO_TCP) {
		if (left < IP_TCP_HDR_LEN)
			return -EBADMSG;
		hdr_len = 4u * (p[v->l4 + 12] >> 4);
		if (hdr_len < IP_TCP_HDR_LEN)
			return -EBADMSG;
	} else if (v->proto == IP_PROTO_UDP) {
		hdr_len = IP_UDP_HDR_LEN;
		if (left < hdr_len || be16(p + v->l4 + 4) != left)
			return -EBADMSG;
	} else {
		return -EPROTONOSUPPORT;
	}
	if (hdr_len > left)
		return -EBADMSG;
	v->payload = (uint16_t)(v->l4 + hdr_len);
	return 0;
}

uint32_t ip_sum(const void *data, size_t len, uint32_t seed)
{
	const uint8_t *p = data;
	uint64_t low = seed, high = 0, word;
	uint64_t tail = 0;

	// two sums of 32-bit halves: no carry to wait for
	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		low += (uint32_t)word;
		high += word >> 32;
	}
	memcpy(&tail, p, len);
	low += (uint32_t)tail;
	high += tail >> 32;
	low += high;
	low = (low & 0xffffffff) + (low >> 32);
	low = (low & 0xffffffff) + (low >> 32);
	return ip_fold((uint32_t)low);
}

uint16_t ip_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint32_t ip_sum_u16(uint16_t n)
{
	return htons(n);
}

uint32_t ip_pseudo(const uint8_t *p, const struct ip_view *v)
{
	uint32_t sum = ip_sum_u16(v->proto);

	return v->version == 4 ? ip_sum(p + 12, 8, sum) : ip_sum(p + 8, 32, sum);
}

bool ip_sums_are_right(const uint8_t *p, const struct ip_view *v)
{
	uint32_t l4_len = v->len - v->l4;
	uint32_t sum;

	if (v->version == 4 && ip_fold(ip_sum(p, v->l4, 0)) != 0xffff)
		return false;
	if (v->proto == IP_PROTO_UDP && be16(p + v->l4 + IP_UDP_CSUM) == 0)
		return false;
	sum = ip_pseudo(p, v) + ip_sum_u16((uint16_t)l4_len);
	return ip_fold(ip_sum(p + v->l4, l4_len, sum)) == 0xffff;
}

void ip4_hdr_sum(uint8_t *p, size_t hdr_len)
{
	uint16_t sum;

	memset(p + 10, 0, 2);
	sum = (uint16_t)~ip_fold(ip_sum(p, hdr_len, 0));
	memcpy(p + 10, &sum, sizeof(sum));
}
