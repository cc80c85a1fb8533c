// rtnetlink messages that neigh needs: taking links, neighbours and routes out of the bytes, making
// the requests. Addresses are 16 bytes, IPv4 mapped. Pure functions over buffers (libmnl); the
// socket is neigh.c's.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nlmsghdr;

struct neigh_nl_link {
	int ifindex;
	char name[16];
	uint8_t mac[6];
	uint32_t mtu;
	bool up; // administratively and by carrier
	bool gone;
};

struct neigh_nl_neigh {
	int ifindex;
	uint8_t ip[16];
	uint8_t mac[6];
	bool has_mac;
	uint16_t nud; // NUD_*
	bool gone;
};

struct neigh_nl_route {
	bool unicast; // not local, broadcast, unreachable, ...
	int oif;
	uint8_t via[16]; // = dst when on the link
	uint8_t src[16]; // zeros: the kernel named none
	uint32_t mtu; // of the route, 0: that of the link
};

enum { NEIGH_NL_BUF = 512 }; // room for any request

// 0, -EBADMSG (malformed), -EAFNOSUPPORT (of no use to us: bridge, other family).
int neigh_nl_link_decode(const struct nlmsghdr *h, struct neigh_nl_link *out);
int neigh_nl_neigh_decode(const struct nlmsghdr *h, struct neigh_nl_neigh *out);
// The answer to a route request for dst.
int neigh_nl_route_decode(
	const struct nlmsghdr *h, const uint8_t dst[16], struct neigh_nl_route *out);

// Requests; the length is in the header. oif 0: any interface.
struct nlmsghdr *neigh_nl_dump(void *buf, uint16_t type, uint8_t family, uint32_t seq);
struct nlmsghdr *neigh_nl_route_get(void *buf, const uint8_t dst[16], int oif, uint32_t seq);
struct nlmsghdr *neigh_nl_neigh_get(void *buf, int ifindex, const uint8_t ip[16], uint32_t seq);
// The kernel is to use the entry now: resolves an unknown one, probes a stale one.
struct nlmsghdr *neigh_nl_neigh_use(void *buf, int ifindex, const uint8_t ip[16], uint32_t seq);
// A route or address changed.
bool neigh_nl_is_routing(const struct nlmsghdr *h);
// Could that change the way to ip? False only for routes to other prefixes.
bool neigh_nl_concerns(const struct nlmsghdr *h, const uint8_t ip[16]);

bool neigh_nl_is_v4(const uint8_t ip[16]);
bool neigh_nl_is_link_local(const uint8_t ip[16]); // fe80::/10
bool neigh_nl_is_unicast(const uint8_t ip[16]);
