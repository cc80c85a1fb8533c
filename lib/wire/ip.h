// The headers of an IP packet with TCP or UDP in it, and the Internet checksum (RFC 1071). Pure
// functions over bytes; nothing is copied. Sums are ones' complement sums of 16-bit words as they
// lie in memory, so they are added and stored without looking at the byte order.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	IP4_HDR_LEN = 20, // without options
	IP6_HDR_LEN = 40,
	IP_TCP_HDR_LEN = 20, // without options
	IP_UDP_HDR_LEN = 8,
	IP_PROTO_TCP = 6,
	IP_PROTO_UDP = 17,
	IP_TCP_CSUM = 16, // offsets of the checksum in the header
	IP_UDP_CSUM = 6,
	IP_EXT_MAX = 256, // bytes of IPv6 extension headers that are looked through
};

struct ip_view {
	uint32_t len; // of the IP packet; what lies behind it is padding
	uint16_t l4; // offset of the TCP or UDP header
	uint16_t payload; // offset of what is behind that
	uint8_t version; // 4, 6
	uint8_t proto; // IP_PROTO_TCP, IP_PROTO_UDP
	bool extended; // IPv4 options or IPv6 extension headers before l4
	bool routed; // an IPv6 routing header: the pseudo header is not made of these addresses
};

// 0; -EBADMSG: no IP packet, or its lengths contradict each other or `len`; -EPROTONOSUPPORT: it is
// one, but a fragment or neither TCP nor UDP.
int ip_parse(const uint8_t *p, size_t len, struct ip_view *v);

// seed plus the sum of len bytes; the last of an odd number is followed by a zero. len < 2^20.
uint32_t ip_sum(const void *p, size_t len, uint32_t seed);
uint16_t ip_fold(uint32_t sum); // to 16 bits, as in memory
// A 16-bit number as ip_sum() would have added it.
uint32_t ip_sum_u16(uint16_t n);
// Of addresses and protocol, without the length.
uint32_t ip_pseudo(const uint8_t *p, const struct ip_view *v);
// Is the checksum behind TCP's or UDP's header right (UDP over IPv4 without one: no)? And that of
// the IPv4 header?
bool ip_sums_are_right(const uint8_t *p, const struct ip_view *v);
// The checksum of an IPv4 header of hdr_len bytes, written into it.
void ip4_hdr_sum(uint8_t *p, size_t hdr_len);
