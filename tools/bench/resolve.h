// Hardware addresses of next hops on a port that no kernel speaks for: ARP (RFC 826) and the part
// of Neighbour Discovery (RFC 4861) that two hosts on one link need. Bytes in, bytes out; pure, any
// thread. Addresses are 16 bytes, IPv4 mapped, in network order.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { RESOLVE_MAX = 86 }; // longest frame made here

// A question about target's hardware address. Returns the length of the frame.
uint32_t resolve_ask(uint8_t out[RESOLVE_MAX], const uint8_t mac[6], const uint8_t self[16],
	const uint8_t target[16]);

struct resolved {
	bool learned; // ip is at mac
	uint8_t ip[16];
	uint8_t mac[6];
	uint32_t reply_len; // an answer to send, 0 = none
	uint8_t reply[RESOLVE_MAX];
};

// A frame of a port whose addresses are mac and self. False: it is nothing for us.
bool resolve_take(const uint8_t *f, uint32_t len, const uint8_t mac[6], const uint8_t self[16],
	struct resolved *out);
