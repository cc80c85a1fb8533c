// Mirror of the kernel's links, addresses, routes and neighbours (netlink) for the interfaces that
// belong to the data plane's ports, turned into adjacencies there (CMD_ADJ_SET). The kernel stays
// the source of truth: it is asked to resolve and re-probe, and its changes are followed. One
// thread: the loop's.
#pragma once

#include "controlplane/dp/dp_client.h"

struct neigh;
struct neigh_ref;

enum neigh_state {
	NEIGH_NO_ROUTE, // or a route by an interface that is no port of ours
	NEIGH_RESOLVING, // the kernel was asked for the next hop's address
	NEIGH_USABLE,
	NEIGH_FAILED, // the next hop doesn't answer; asked again
	NEIGH_LINK_DOWN,
};

// The way to one address, as it is now.
struct neigh_path {
	uint32_t adj; // handle; stable while the reference lives
	enum neigh_state state;
	uint16_t port; // DPDK number
	uint16_t mtu; // bytes of IP
	uint8_t dst_ip[16], src_ip[16], via_ip[16]; // IPv4 mapped; via = dst when on the link
	uint8_t dst_mac[6], src_mac[6];
	char ifname[16];
	uint32_t n_refs;
};

// The path changed and the data plane confirmed it. Called from the loop, never from within
// neigh_resolve(); may be called without a difference.
typedef void (*neigh_fn)(void *arg, const struct neigh_path *path);

// Opens netlink sockets and dumps. NULL and errno (EPERM: CAP_NET_ADMIN is missing for probes: it
// does without, so this is only for sockets that could not be opened). Registers with dp.
struct neigh *neigh_new(struct loop *l, struct dp_client *dp);
void neigh_free(struct neigh *n);

// Take a reference to the way to dst. `scope_if` names the interface of a link-local address, ""
// otherwise. fn is called with the first result and each change. NULL and errno (EINVAL: link-local
// without interface, or no unicast address; ENOMEM; ENOSPC: too many).
struct neigh_ref *neigh_resolve(
	struct neigh *n, const uint8_t dst[16], const char *scope_if, neigh_fn fn, void *arg);
void neigh_put(struct neigh_ref *ref); // NULL is allowed
// As the data plane knows it, borrowed until the next turn. Only when the state here is
// NEIGH_USABLE may adj be named in commands and packets.
const struct neigh_path *neigh_path(const struct neigh_ref *ref);

// Name of the kernel interface of a port, or NULL.
const char *neigh_port_ifname(const struct neigh *n, uint16_t port);

// Receive queues of a port, 0 when it is not known.
unsigned neigh_port_queues(const struct neigh *n, uint16_t port);

// For the API: all paths.
void neigh_each(
	const struct neigh *n, void (*fn)(void *arg, const struct neigh_path *p), void *arg);
