// IP packets with TCP or UDP in them, made by hand, with checksums by a loop of its own: as slow
// and as plain as RFC 1071 says it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct packet {
	int version; // 4, 6
	bool udp;
	uint16_t payload; // bytes, of a pattern that depends on seq
	uint32_t seq; // also where the pattern begins
	uint8_t flags; // of TCP; 0: ACK
	uint16_t id; // IPv4
	bool fragmentable; // no DF
	uint8_t options; // bytes of TCP options, a multiple of 4
	uint16_t port; // source; 0: 1000
};

enum { PACKET_FIN = 1, PACKET_SYN = 2, PACKET_PSH = 8, PACKET_ACK = 16, PACKET_CWR = 128 };

// Length. out has room for 65535 bytes.
size_t packet_make(uint8_t *out, const struct packet *k);
size_t packet_hdr_len(const struct packet *k);
uint16_t packet_sum(const uint8_t *p, size_t len, uint32_t seed); // folded, host order
// Are lengths and checksums of the IPv4 header and of TCP or UDP right?
bool packet_is_right(const uint8_t *p, size_t len);
