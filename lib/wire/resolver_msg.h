// What visors and the address resolver say to each other about stcpr (skywire-routing 6.5): under
// which port and addresses a visor is reached. Pure but for jansson's own memory.
#pragma once

#include "lib/crypto/key.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	RESOLVER_IP_LEN = 46, // of an address, with the final NUL
	RESOLVER_ADDR_LEN = 56, // [IP]:PORT, with the final NUL
	RESOLVER_ADDRS_MAX = 32, // local addresses of one visor
	RESOLVER_BIND_MAX = 64 + RESOLVER_ADDRS_MAX * RESOLVER_IP_LEN,
	RESOLVER_JSON_MAX = 8192, // longest answer of one visor
	RESOLVER_LIST_JSON_MAX = 1 << 20, // longest list of all
};

// The body of a bind: {"port":"7777","addresses":["198.51.100.7"]} and LF, which is signed with it.
// The port is text: with a number a resolver says 200 and stores nothing. Length or -ENOSPC;
// -EINVAL: too many addresses, or one that is none.
ssize_t resolver_bind_write(
	uint16_t port, const char *const *addrs, size_t n, char *out, size_t cap);

// Where a visor is.
struct resolver_visor {
	char remote[RESOLVER_ADDR_LEN]; // as the resolver sees it: IP, or IP:PORT
	bool is_local; // it seems to be in our network
	uint16_t port; // 0: not told
	uint32_t n;
	char local[RESOLVER_ADDRS_MAX][RESOLVER_IP_LEN];
};

// -EBADMSG: not such JSON, no remote address, a port that is none. Local addresses that are none,
// or too many, are left out.
int resolver_visor_read(struct resolver_visor *v, const char *json, size_t len);
// Can a peer anywhere be at this address? IPv4 as IPv6 mapped. Of those that are not public
// (private networks, loopback, link-local, multicast) a resolver takes none.
bool resolver_ip_is_public(const uint8_t ip[16]);
// The i-th address to try, as IP:PORT with IPv6 in brackets: those of our network first, then the
// remote one. False: there are no more.
bool resolver_visor_addr(const struct resolver_visor *v, unsigned i, char out[RESOLVER_ADDR_LEN]);

// The keys of one type in {"sudph":[PK],"stcpr":[PK]}; null and a type that is not there are empty.
// Number of keys put into pk, at most max; what is no key is left out. -EBADMSG: not such JSON.
ssize_t resolver_list_read(
	struct key_pk *pk, size_t max, const char *type, const char *json, size_t len);
