// Keeps the way to each address that somebody asked for: route, interface, neighbour; and the
// adjacency in the data plane that says the same. Kernel requests are answered at once by
// rtnetlink, so they are made in place. Changes come by multicast: a neighbour's touches its own
// paths, those of routes (to where a path goes), addresses and links make all paths be asked again,
// a little later and once, a slice a turn, and less often while changes don't end. Traffic of the
// data plane doesn't keep the kernel's entries fresh, so stale ones are probed.
#include "controlplane/dp/neigh_priv.h"

#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

LOG_MODULE("neigh");

enum {
	PATHS_MAX = 65536,
	RECHECK_MS = 20, // changes come in bunches
	RECHECK_MAX_MS = 1000, // between rounds while they don't end
	RECHECK_SLICE = 64, // paths a turn of the loop: each costs two questions to the kernel
	TICK_MS = 1000,
	AGAIN_MS = 20,
	NO_ROUTE_RETRY_S = 5, // a change may have been missed
	STALE_PROBE_S = 30,
	RECV_TIMEOUT_MS = 200,
	NUD_GOOD = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP,
};

// ---- netlink ----

// Sends a request and hands its answers to fn (NULL: none wanted). 0 or -errno, the kernel's own
// included.
typedef void (*answer_fn)(struct neigh *n, const struct nlmsghdr *h, void *arg);

static int ask(struct neigh *n, struct nlmsghdr *req, answer_fn fn, void *arg)
{
	bool many = (req->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	uint8_t buf[16384] __attribute__((aligned(8)));
	uint32_t seq = req->nlmsg_seq;
	ssize_t len;

	if (mnl_socket_sendto(n->ask, req, req->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)buf;
		int left;

		len = mnl_socket_recvfrom(n->ask, buf, sizeof(buf));
		if (len < 0)
			return -errno;
		for (left = (int)len; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			if (h->nlmsg_seq != seq)
				continue; // of a request that timed out
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR) {
				const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

				return mnl_nlmsg_get_payload_len(h) < sizeof(int) ? -EBADMSG
										  : e->error;
			}
			if (fn != NULL)
				fn(n, h, arg);
			if (!many)
				return 0;
		}
	}
}

static void neighbour_use(struct neigh *n, struct neigh_way *p)
{
	uint8_t buf[NEIGH_NL_BUF] __attribute__((aligned(8)));
	int rc;

	p->used_ns = clock_mono_ns();
	rc = ask(n, neigh_nl_neigh_use(buf, p->ifindex, p->pub.via_ip, ++n->seq), NULL, NULL);
	if ((rc == -EPERM || rc == -EACCES) && !n->no_cap_said) {
		n->no_cap_said = true;
		log_err("the kernel does not let us resolve neighbours: the capability "
			"CAP_NET_ADMIN is needed");
	} else if (rc != 0) {
		log_limited(LOG_WARN, "asking the kernel for a neighbour on %s: %s", p->pub.ifname,
			strerror(-rc));
	}
}

// ---- paths ----

static struct neigh_port *port_of_if(struct neigh *n, int ifindex)
{
	for (size_t i = 0; i < ARRAY_LEN(n->ports); i++) {
		if (n->ports[i].used && ifindex > 0 && n->ports[i].link.ifindex == ifindex)
			return &n->ports[i];
	}
	return NULL;
}

static bool is_zero(const uint8_t *p, size_t n)
{
	uint8_t any = 0;

	while (n > 0)
		any |= p[--n];
	return any == 0;
}

void neigh_no_way(struct neigh_way *p, enum neigh_state state)
{
	p->pub.state = state;
	p->nud = 0;
	if (state == NEIGH_NO_ROUTE)
		p->ifindex = 0;
}

static void nud_apply(struct neigh_way *p, const struct neigh_nl_neigh *e)
{
	p->nud = e->gone ? 0 : e->nud;
	if (!e->gone && (e->nud & NUD_GOOD) != 0 && e->has_mac) {
		p->pub.state = NEIGH_USABLE;
		memcpy(p->pub.dst_mac, e->mac, 6);
	} else if (!e->gone && (e->nud & NUD_FAILED) != 0) {
		p->pub.state = NEIGH_FAILED;
	} else {
		p->pub.state = NEIGH_RESOLVING;
	}
}

static void on_route_answer(struct neigh *n, const struct nlmsghdr *h, void *arg)
{
	struct neigh_way *p = arg;
	struct neigh_nl_route r;
	struct neigh_port *port;

	if (neigh_nl_route_decode(h, p->pub.dst_ip, &r) != 0 || !r.unicast) {
		neigh_no_way(p, NEIGH_NO_ROUTE);
		return;
	}
	port = port_of_if(n, r.oif);
	if (port == NULL || is_zero(r.src, 16)) {
		neigh_no_way(p, NEIGH_NO_ROUTE);
		return;
	}
	if (p->ifindex != r.oif || memcmp(p->pub.via_ip, r.via, 16) != 0)
		p->used_ns = 0;
	p->ifindex = r.oif;
	memcpy(p->pub.via_ip, r.via, 16);
	memcpy(p->pub.src_ip, r.src, 16);
	memcpy(p->pub.src_mac, is_zero(port->link.mac, 6) ? port->e.mac : port->link.mac, 6);
	memcpy(p->pub.ifname, port->link.name, sizeof(p->pub.ifname));
	p->pub.port = port->e.port;
	p->pub.mtu = port->e.mtu;
	if (port->link.mtu != 0 && port->link.mtu < p->pub.mtu)
		p->pub.mtu = (uint16_t)port->link.mtu;
	if (r.mtu != 0 && r.mtu < p->pub.mtu)
		p->pub.mtu = (uint16_t)r.mtu;
	neigh_no_way(p, port->link.up && port->e.link_up ? NEIGH_RESOLVING : NEIGH_LINK_DOWN);
}

static void on_neigh_answer(struct neigh *n, const struct nlmsghdr *h, void *arg)
{
	struct neigh_way *p = arg;
	struct neigh_nl_neigh e;

	(void)n;
	if (neigh_nl_neigh_decode(h, &e) == 0 && e.ifindex == p->ifindex &&
		memcmp(e.ip, p->pub.via_ip, 16) == 0)
		nud_apply(p, &e);
}

static int route_ask(struct neigh *n, struct neigh_way *p)
{
	uint8_t buf[NEIGH_NL_BUF] __attribute__((aligned(8)));

	return ask(
		n, neigh_nl_route_get(buf, p->pub.dst_ip, p->scope, ++n->seq), on_route_answer, p);
}

// The interface may have been deleted, and made again with another number.
static bool scope_is_another(struct neigh_way *p)
{
	int32_t now = p->scope_if[0] != '\0' ? (int32_t)if_nametoindex(p->scope_if) : 0;

	if (now == 0 || now == p->scope)
		return false;
	p->scope = now;
	return true;
}

// Ask the kernel for everything about a path, and see whether that is news.
void neigh_way_ask(struct neigh *n, struct neigh_way *p)
{
	uint8_t buf[NEIGH_NL_BUF] __attribute__((aligned(8)));
	struct neigh_path was = p->pub;
	int rc = route_ask(n, p);

	if (rc != 0 && scope_is_another(p))
		rc = route_ask(n, p);
	if (rc != 0)
		neigh_no_way(p, NEIGH_NO_ROUTE);
	if (p->pub.state == NEIGH_RESOLVING) {
		rc = ask(n, neigh_nl_neigh_get(buf, p->ifindex, p->pub.via_ip, ++n->seq),
			on_neigh_answer, p);
		if (rc != 0 && rc != -ENOENT)
			log_limited(LOG_WARN, "reading a neighbour of %s: %s", p->pub.ifname,
				strerror(-rc));
		// Unknown to the kernel, or failed once: have it resolved.
		if (p->pub.state != NEIGH_USABLE && p->used_ns == 0)
			neighbour_use(n, p);
	}
	if (p->pub.adj == 0 || memcmp(&was, &p->pub, sizeof(was)) != 0)
		neigh_adj_changed(p);
}

// A slice of a round over all paths.
static void ask_some(void *arg)
{
	struct neigh *n = arg;

	if (n->round == NULL)
		n->round = n->paths;
	for (int i = 0; i < RECHECK_SLICE && n->round != NULL; i++) {
		struct neigh_way *p = n->round;

		n->round = p->next;
		neigh_way_ask(n, p);
	}
	if (n->round != NULL) {
		loop_timer_start(n->recheck, 0, 0);
		return;
	}
	n->round_ns = clock_mono_ns();
	if (n->round_again) {
		n->round_again = false;
		neigh_recheck_soon(n);
	}
}

void neigh_recheck_soon(struct neigh *n)
{
	uint64_t quiet_ms = (clock_mono_ns() - n->round_ns) / CLOCK_NS_PER_MS;

	if (n->round != NULL) { // it may have passed what changed
		n->round_again = true;
		return;
	}
	if (loop_timer_is_on(n->recheck))
		return;
	if (n->round_ns == 0 || quiet_ms > RECHECK_MAX_MS)
		n->recheck_ms = RECHECK_MS;
	else if (n->recheck_ms < RECHECK_MAX_MS / 2)
		n->recheck_ms *= 2;
	else
		n->recheck_ms = RECHECK_MAX_MS;
	loop_timer_start(n->recheck, n->recheck_ms, 0);
}

static void path_tick(struct neigh *n, struct neigh_way *p, uint64_t now)
{
	uint64_t age = now - p->used_ns;

	switch (p->pub.state) {
	case NEIGH_NO_ROUTE:
	case NEIGH_LINK_DOWN:
		if (age >= NO_ROUTE_RETRY_S * CLOCK_NS_PER_S) {
			p->used_ns = now;
			neigh_way_ask(n, p);
		}
		break;
	case NEIGH_RESOLVING:
	case NEIGH_FAILED:
		if (age >= CLOCK_NS_PER_S) {
			neighbour_use(n, p);
			neigh_way_ask(n, p);
		}
		break;
	default:
		if ((p->nud & NUD_STALE) != 0 && age >= STALE_PROBE_S * CLOCK_NS_PER_S)
			neighbour_use(n, p);
	}
}

static void on_tick(void *arg)
{
	struct neigh *n = arg;
	uint64_t now = clock_mono_ns();

	for (struct neigh_way *p = n->paths; p != NULL; p = p->next) {
		path_tick(n, p, now);
		if (p->dirty)
			loop_timer_start(n->soon, 0, 0);
	}
}

// ---- what the kernel tells ----

static void link_apply(struct neigh *n, const struct neigh_nl_link *l)
{
	for (size_t i = 0; i < ARRAY_LEN(n->ports); i++) {
		struct neigh_port *p = &n->ports[i];
		bool by_name = strcmp(p->e.kernel_if, l->name) == 0;

		if (!p->used || (!by_name && p->link.ifindex != l->ifindex))
			continue;
		if (l->gone || !by_name) // renamed away: no longer this port's
			memset(&p->link, 0, sizeof(p->link));
		else
			p->link = *l;
		neigh_recheck_soon(n);
	}
}

// Many ways may have the same next hop.
static void asked(struct neigh *n, const struct neigh_way *p)
{
	for (struct neigh_way *q = n->paths; q != NULL; q = q->next)
		if (q->ifindex == p->ifindex && memcmp(q->pub.via_ip, p->pub.via_ip, 16) == 0)
			q->again = false;
}

// A slice of the neighbours by which we sent and which the kernel has lost.
static void ask_again(void *arg)
{
	struct neigh *n = arg;
	unsigned left = RECHECK_SLICE;

	for (struct neigh_way *p = n->paths; p != NULL; p = p->next) {
		if (!p->again)
			continue;
		if (p->pub.state != NEIGH_RESOLVING && p->pub.state != NEIGH_FAILED) {
			p->again = false;
		} else if (left-- == 0) {
			loop_timer_start(n->again, 0, 0);
			return;
		} else {
			neighbour_use(n, p);
			asked(n, p);
		}
	}
}

// Not at once: `ip neigh flush` repeats itself until the table is empty.
static void ask_again_soon(struct neigh *n, struct neigh_way *p)
{
	p->again = true;
	if (!loop_timer_is_on(n->again))
		loop_timer_start(n->again, AGAIN_MS, 0);
}

static void neigh_apply(struct neigh *n, const struct neigh_nl_neigh *e)
{
	for (struct neigh_way *p = n->paths; p != NULL; p = p->next) {
		struct neigh_path was = p->pub;

		if (p->ifindex != e->ifindex || p->pub.state == NEIGH_NO_ROUTE ||
			p->pub.state == NEIGH_LINK_DOWN || memcmp(p->pub.via_ip, e->ip, 16) != 0)
			continue;
		nud_apply(p, e);
		if (was.state == NEIGH_USABLE && p->pub.state != NEIGH_USABLE)
			ask_again_soon(n, p);
		if (memcmp(&was, &p->pub, sizeof(was)) != 0)
			neigh_adj_changed(p);
	}
}

static bool concerns_us(const struct neigh *n, const struct nlmsghdr *h)
{
	if (loop_timer_is_on(n->recheck) && n->round == NULL)
		return true; // it will be asked anyway
	for (const struct neigh_way *p = n->paths; p != NULL; p = p->next)
		if (neigh_nl_concerns(h, p->pub.dst_ip))
			return true;
	return false;
}

static void on_message(struct neigh *n, const struct nlmsghdr *h, void *arg)
{
	struct neigh_nl_link l;
	struct neigh_nl_neigh e;

	(void)arg;
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (neigh_nl_link_decode(h, &l) == 0)
			link_apply(n, &l);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		if (neigh_nl_neigh_decode(h, &e) == 0)
			neigh_apply(n, &e);
		break;
	default:
		if (neigh_nl_is_routing(h) && concerns_us(n, h))
			neigh_recheck_soon(n);
	}
}

void neigh_links_dump(struct neigh *n)
{
	uint8_t buf[NEIGH_NL_BUF] __attribute__((aligned(8)));
	int rc = ask(n, neigh_nl_dump(buf, RTM_GETLINK, AF_UNSPEC, ++n->seq), on_message, NULL);

	if (rc != 0)
		log_limited(LOG_ERR, "reading the kernel's interfaces: %s", strerror(-rc));
}

static void on_watch(void *arg, bool readable, bool writable)
{
	uint8_t buf[16384] __attribute__((aligned(8)));
	struct neigh *n = arg;
	ssize_t len = 0;

	(void)writable;
	for (int i = 0; readable && i < 64; i++) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)buf;
		int left;

		len = mnl_socket_recvfrom(n->watch, buf, sizeof(buf));
		if (len <= 0)
			break;
		for (left = (int)len; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
			on_message(n, h, NULL);
	}
	if (len < 0 && errno == ENOBUFS) {
		log_limited(LOG_WARN, "changes of the kernel's tables were lost: reading all");
		neigh_links_dump(n);
		neigh_recheck_soon(n);
	}
}

// ---- interface ----

struct neigh_ref *neigh_resolve(
	struct neigh *n, const uint8_t dst[16], const char *scope_if, neigh_fn fn, void *arg)
{
	struct neigh_ref *r;
	struct neigh_way_key key = {0};
	struct neigh_way *p;
	int rc;

	memcpy(key.ip, dst, 16);
	if (scope_if != NULL && scope_if[0] != '\0')
		key.scope = (int32_t)if_nametoindex(scope_if);
	if (!neigh_nl_is_unicast(dst) || (neigh_nl_is_link_local(dst) && key.scope == 0))
		return errno_null(EINVAL);
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	p = htab_find(n->by_key, &key);
	if (p == NULL) {
		p = calloc(1, sizeof(*p));
		rc = p == NULL ? -ENOMEM : htab_put(n->by_key, &key, p);
		if (rc != 0) {
			free(p);
			free(r);
			return errno_null(rc);
		}
		p->owner = n;
		p->key = key;
		p->scope = key.scope;
		if (key.scope != 0)
			snprintf(p->scope_if, sizeof(p->scope_if), "%s", scope_if);
		memcpy(p->pub.dst_ip, dst, 16);
		p->told = p->pub;
		p->next = n->paths;
		n->paths = p;
		neigh_way_ask(n, p);
	}
	*r = (struct neigh_ref){.path = p, .fn = fn, .arg = arg, .next = p->refs};
	p->refs = r;
	p->pub.n_refs++;
	neigh_adj_changed(p);
	return r;
}

void neigh_way_free(struct neigh_way *p)
{
	struct neigh *n = p->owner;

	for (struct neigh_way **q = &n->paths; *q != NULL; q = &(*q)->next) {
		if (*q == p) {
			*q = p->next;
			break;
		}
	}
	if (n->round == p)
		n->round = p->next;
	htab_del(n->by_key, &p->key);
	if (p->pub.adj != 0)
		neigh_adj_del(n, p->pub.adj);
	free(p);
}

void neigh_put(struct neigh_ref *ref)
{
	struct neigh_way *p;

	if (ref == NULL)
		return;
	p = ref->path;
	for (struct neigh_ref **r = &p->refs; *r != NULL; r = &(*r)->next) {
		if (*r == ref) {
			*r = ref->next;
			break;
		}
	}
	if (p->walk == ref)
		p->walk = ref->next;
	p->pub.n_refs--;
	if (p->refs == NULL)
		loop_timer_start(p->owner->soon, 0, 0);
	free(ref);
}

const struct neigh_path *neigh_path(const struct neigh_ref *ref)
{
	return &ref->path->told;
}

const char *neigh_port_ifname(const struct neigh *n, uint16_t port)
{
	if (port >= ARRAY_LEN(n->ports) || !n->ports[port].used ||
		n->ports[port].e.kernel_if[0] == '\0')
		return NULL;
	return n->ports[port].e.kernel_if;
}

unsigned neigh_port_queues(const struct neigh *n, uint16_t port)
{
	return port < ARRAY_LEN(n->ports) && n->ports[port].used ? n->ports[port].e.n_rxq : 0;
}

void neigh_each(const struct neigh *n, void (*fn)(void *arg, const struct neigh_path *p), void *arg)
{
	for (const struct neigh_way *p = n->paths; p != NULL; p = p->next)
		fn(arg, &p->pub);
}

static int sockets_open(struct neigh *n)
{
	static const int groups[] = {RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR,
		RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE};
	struct timeval tv = {.tv_usec = RECV_TIMEOUT_MS * 1000};
	int room = 1 << 20;

	n->ask = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	n->watch = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (n->ask == NULL || n->watch == NULL || mnl_socket_bind(n->ask, 0, MNL_SOCKET_AUTOPID) ||
		mnl_socket_bind(n->watch, 0, MNL_SOCKET_AUTOPID))
		return -errno;
	setsockopt(mnl_socket_get_fd(n->ask), SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(mnl_socket_get_fd(n->watch), SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		int g = groups[i];

		if (mnl_socket_setsockopt(n->watch, NETLINK_ADD_MEMBERSHIP, &g, sizeof(g)) < 0)
			return -errno;
	}
	n->poll = loop_poll_new(n->loop, mnl_socket_get_fd(n->watch), on_watch, n);
	return n->poll == NULL ? -errno : loop_poll_set(n->poll, true, false);
}

static int neigh_init(struct neigh *n)
{
	uint8_t secret[HTAB_SECRET_LEN];

	if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
		return -EIO;
	n->by_key = htab_new(sizeof(struct neigh_way_key), PATHS_MAX, secret);
	n->handles = handles_new();
	n->recheck = loop_timer_new(n->loop, ask_some, n);
	n->again = loop_timer_new(n->loop, ask_again, n);
	n->tick = loop_timer_new(n->loop, on_tick, n);
	n->adopt_end = loop_timer_new(n->loop, neigh_adj_on_adopt_end, n);
	n->soon = loop_timer_new(n->loop, neigh_adj_flush, n);
	if (n->by_key == NULL || n->handles == NULL || n->soon == NULL || n->recheck == NULL ||
		n->again == NULL || n->tick == NULL || n->adopt_end == NULL)
		return -ENOMEM;
	return sockets_open(n);
}

struct neigh *neigh_new(struct loop *l, struct dp_client *dp)
{
	struct neigh *n = calloc(1, sizeof(*n));
	int rc;

	if (n == NULL)
		return NULL;
	n->loop = l;
	n->dp = dp;
	rc = neigh_init(n);
	if (rc != 0) {
		neigh_free(n);
		return errno_null(rc);
	}
	neigh_adj_handlers(n);
	loop_timer_start(n->tick, TICK_MS, TICK_MS);
	return n;
}

void neigh_free(struct neigh *n)
{
	if (n == NULL)
		return;
	if (n->handler.arg != NULL)
		dp_client_unregister(n->dp, &n->handler);
	while (n->paths != NULL) {
		struct neigh_way *p = n->paths;

		n->paths = p->next;
		while (p->refs != NULL) {
			struct neigh_ref *r = p->refs;

			p->refs = r->next;
			free(r);
		}
		free(p);
	}
	neigh_adj_forget(n);
	loop_timer_free(n->soon);
	loop_timer_free(n->recheck);
	loop_timer_free(n->again);
	loop_timer_free(n->tick);
	loop_timer_free(n->adopt_end);
	loop_poll_free(n->poll);
	if (n->ask != NULL)
		mnl_socket_close(n->ask);
	if (n->watch != NULL)
		mnl_socket_close(n->watch);
	handles_free(n->handles);
	htab_free(n->by_key);
	free(n);
}
