// Keeps the way to each address that somebody asked for: route, interface, neighbour; and the
// adjacency in the data plane that says the same. Kernel requests are answered at once by
// rtnetlink, so they are made in place. Changes come by multicast: a neighbour's touches its own
// paths, those of routes, addresses and links make all paths be asked again, a little later and
// once. Traffic of the data plane doesn't keep the kernel's entries fresh, so stale ones are
// probed.
#include "controlplane/dp/neigh.h"

#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "controlplane/dp/handles.h"
#include "controlplane/dp/neigh_nl.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/htab.h"
#include "lib/base/log.h"

LOG_MODULE("neigh");

enum {
	PATHS_MAX = 65536,
	RECHECK_MS = 20, // changes come in bunches
	TICK_MS = 1000,
	NO_ROUTE_RETRY_S = 5, // a change may have been missed
	STALE_PROBE_S = 30,
	ADOPT_KEEP_MS = 30000, // adjs of an earlier life that nobody asked for end then
	RECV_TIMEOUT_MS = 200,
	NUD_GOOD = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP,
};

struct port {
	bool used;
	struct evt_port e;
	struct neigh_nl_link link; // ifindex 0: the kernel has no such interface
};

struct path_key {
	uint8_t ip[16];
	int32_t scope;
};

struct path {
	struct neigh_path pub;
	struct path_key key;
	struct neigh *owner;
	struct neigh_ref *refs;
	struct path *next;
	int ifindex; // of the way, 0: none
	uint16_t nud;
	uint64_t used_ns; // when the kernel was last asked to use the neighbour
	bool dirty; // the data plane doesn't know yet
	bool in_dp;
	uint32_t n_pending; // ADJ_SETs without an answer
	struct neigh_path sent, told; // what they say; what the references may count on
};

struct neigh_ref {
	struct path *path;
	neigh_fn fn;
	void *arg;
	struct neigh_ref *next;
};

struct adopted {
	uint32_t adj;
	uint16_t port;
	uint8_t ip[16];
	struct adopted *next;
};

struct neigh {
	struct loop *loop;
	struct dp_client *dp;
	struct dp_handler handler;
	struct mnl_socket *ask, *watch;
	struct loop_poll *poll;
	struct loop_timer *soon, *recheck, *tick, *adopt_end;
	struct handles *handles;
	struct htab *by_key;
	struct path *paths;
	struct adopted *adopted;
	struct port ports[DPMSG_MAX_PORTS];
	uint32_t seq;
	bool no_cap_said, ready;
};

static void path_ask(struct neigh *n, struct path *p);

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

static void neighbour_use(struct neigh *n, struct path *p)
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

// ---- telling the data plane and the references ----

static void path_changed(struct path *p)
{
	p->dirty = true;
	loop_timer_start(p->owner->soon, 0, 0);
}

static uint32_t adopted_take(struct neigh *n, const struct path *p)
{
	for (struct adopted **a = &n->adopted; *a != NULL; a = &(*a)->next) {
		struct adopted *found = *a;
		uint32_t adj = found->adj;

		if (found->port != p->pub.port || memcmp(found->ip, p->pub.dst_ip, 16) != 0)
			continue;
		*a = found->next;
		free(found);
		return adj;
	}
	return 0;
}

static void tell(struct path *p)
{
	struct neigh_ref *r, *next;

	p->told = p->sent;
	for (r = p->refs; r != NULL; r = next) {
		next = r->next;
		r->fn(r->arg, &p->told);
	}
}

// Only now may others name the adj: their commands and packets go by other rings.
static void on_adj_done(void *arg, int status, uint32_t aux)
{
	struct path *p = arg;

	(void)aux;
	p->n_pending--;
	if (status == -ECONNRESET)
		return;
	if (status != 0) {
		log_limited(LOG_ERR, "the data plane refused an adjacency on %s: %s",
			p->sent.ifname, strerror(-status));
		p->dirty = true; // again at the next tick
	} else if (p->n_pending == 0) {
		tell(p);
	}
	if (p->refs == NULL)
		loop_timer_start(p->owner->soon, 0, 0);
}

// The handle of the path; false: none to be had now.
static bool adj_choose(struct neigh *n, struct path *p)
{
	if (p->pub.adj == 0)
		p->pub.adj = adopted_take(n, p);
	if (p->pub.adj == 0)
		p->pub.adj = handles_take(n->handles);
	if (p->pub.adj == 0)
		log_limited(LOG_ERR, "the data plane's adjacency table is full");
	return p->pub.adj != 0;
}

// True when it was sent, or nothing needs to be.
static bool adj_send(struct neigh *n, struct path *p)
{
	struct cmd_adj_set c = {.h.type = CMD_ADJ_SET};

	if (!n->ready || !adj_choose(n, p))
		return false;
	p->sent = p->pub;
	// Without an interface there is nothing to say about an adj that was never set.
	if (p->ifindex == 0 && !p->in_dp) {
		tell(p);
		return true;
	}
	c.adj = p->pub.adj;
	c.port = p->pub.port;
	c.mtu = p->pub.mtu;
	c.usable = p->pub.state == NEIGH_USABLE;
	memcpy(c.src_mac, p->pub.src_mac, 6);
	memcpy(c.dst_mac, p->pub.dst_mac, 6);
	memcpy(c.src_ip, p->pub.src_ip, 16);
	memcpy(c.dst_ip, p->pub.dst_ip, 16);
	if (dp_client_send(n->dp, &c, sizeof(c), on_adj_done, p) != 0)
		return false;
	p->in_dp = true;
	p->n_pending++;
	return true;
}

static void path_free(struct path *p);

// Also reaps: not in neigh_put(), for a callback may put a reference of the path that it is about.
static void flush(void *arg)
{
	struct neigh *n = arg;
	struct path *p, *next;

	for (p = n->paths; p != NULL; p = p->next) {
		if (p->dirty && p->refs != NULL)
			p->dirty = !adj_send(n, p);
	}
	for (p = n->paths; p != NULL; p = next) {
		next = p->next;
		if (p->refs == NULL && p->n_pending == 0)
			path_free(p);
	}
}

// ---- paths ----

static struct port *port_of_if(struct neigh *n, int ifindex)
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

static void no_way(struct path *p, enum neigh_state state)
{
	p->pub.state = state;
	p->nud = 0;
	if (state == NEIGH_NO_ROUTE)
		p->ifindex = 0;
}

static void nud_apply(struct path *p, const struct neigh_nl_neigh *e)
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
	struct path *p = arg;
	struct neigh_nl_route r;
	struct port *port;

	if (neigh_nl_route_decode(h, p->pub.dst_ip, &r) != 0 || !r.unicast) {
		no_way(p, NEIGH_NO_ROUTE);
		return;
	}
	port = port_of_if(n, r.oif);
	if (port == NULL || is_zero(r.src, 16)) {
		no_way(p, NEIGH_NO_ROUTE);
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
	no_way(p, port->link.up && port->e.link_up ? NEIGH_RESOLVING : NEIGH_LINK_DOWN);
}

static void on_neigh_answer(struct neigh *n, const struct nlmsghdr *h, void *arg)
{
	struct path *p = arg;
	struct neigh_nl_neigh e;

	(void)n;
	if (neigh_nl_neigh_decode(h, &e) == 0 && e.ifindex == p->ifindex &&
		memcmp(e.ip, p->pub.via_ip, 16) == 0)
		nud_apply(p, &e);
}

// Ask the kernel for everything about a path, and see whether that is news.
static void path_ask(struct neigh *n, struct path *p)
{
	uint8_t buf[NEIGH_NL_BUF] __attribute__((aligned(8)));
	struct neigh_path was = p->pub;
	int rc;

	rc = ask(n, neigh_nl_route_get(buf, p->pub.dst_ip, p->key.scope, ++n->seq), on_route_answer,
		p);
	if (rc != 0)
		no_way(p, NEIGH_NO_ROUTE);
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
		path_changed(p);
}

static void ask_all(void *arg)
{
	struct neigh *n = arg;

	for (struct path *p = n->paths; p != NULL; p = p->next)
		path_ask(n, p);
}

static void recheck_soon(struct neigh *n)
{
	if (!loop_timer_is_on(n->recheck))
		loop_timer_start(n->recheck, RECHECK_MS, 0);
}

static void path_tick(struct neigh *n, struct path *p, uint64_t now)
{
	uint64_t age = now - p->used_ns;

	switch (p->pub.state) {
	case NEIGH_NO_ROUTE:
	case NEIGH_LINK_DOWN:
		if (age >= NO_ROUTE_RETRY_S * CLOCK_NS_PER_S) {
			p->used_ns = now;
			path_ask(n, p);
		}
		break;
	case NEIGH_RESOLVING:
	case NEIGH_FAILED:
		if (age >= CLOCK_NS_PER_S) {
			neighbour_use(n, p);
			path_ask(n, p);
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

	for (struct path *p = n->paths; p != NULL; p = p->next) {
		path_tick(n, p, now);
		if (p->dirty)
			loop_timer_start(n->soon, 0, 0);
	}
}

// ---- what the kernel tells ----

static void link_apply(struct neigh *n, const struct neigh_nl_link *l)
{
	for (size_t i = 0; i < ARRAY_LEN(n->ports); i++) {
		struct port *p = &n->ports[i];
		bool by_name = strcmp(p->e.kernel_if, l->name) == 0;

		if (!p->used || (!by_name && p->link.ifindex != l->ifindex))
			continue;
		if (l->gone || !by_name) // renamed away: no longer this port's
			memset(&p->link, 0, sizeof(p->link));
		else
			p->link = *l;
		recheck_soon(n);
	}
}

static void neigh_apply(struct neigh *n, const struct neigh_nl_neigh *e)
{
	for (struct path *p = n->paths; p != NULL; p = p->next) {
		struct neigh_path was = p->pub;

		if (p->ifindex != e->ifindex || p->pub.state == NEIGH_NO_ROUTE ||
			p->pub.state == NEIGH_LINK_DOWN || memcmp(p->pub.via_ip, e->ip, 16) != 0)
			continue;
		nud_apply(p, e);
		if (memcmp(&was, &p->pub, sizeof(was)) != 0)
			path_changed(p);
	}
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
		if (neigh_nl_is_routing(h))
			recheck_soon(n);
	}
}

static void links_dump(struct neigh *n)
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
		links_dump(n);
		recheck_soon(n);
	}
}

// ---- what the data plane tells ----

static void on_port(void *arg, const struct evt_port *e)
{
	struct neigh *n = arg;
	struct port *p;

	if (e->port >= ARRAY_LEN(n->ports))
		return;
	p = &n->ports[e->port];
	p->used = true;
	if (strcmp(p->e.kernel_if, e->kernel_if) != 0)
		memset(&p->link, 0, sizeof(p->link));
	p->e = *e;
	if (e->kernel_if[0] != '\0' && p->link.ifindex == 0)
		links_dump(n);
	recheck_soon(n);
}

static void adopted_forget(struct neigh *n)
{
	while (n->adopted != NULL) {
		struct adopted *a = n->adopted;

		n->adopted = a->next;
		free(a);
	}
}

static void on_adj(void *arg, const struct evt_adj *e)
{
	struct neigh *n = arg;
	struct adopted *a;

	if (n->ready || handles_take_exact(n->handles, e->set.adj) != 0)
		return; // ours already
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return;
	a->adj = e->set.adj;
	a->port = e->set.port;
	memcpy(a->ip, e->set.dst_ip, 16);
	a->next = n->adopted;
	n->adopted = a;
}

static void adj_del(struct neigh *n, uint32_t adj)
{
	struct cmd_adj_del c = {.h.type = CMD_ADJ_DEL, .adj = adj};

	// What can't be told now stays in the data plane until its next life; its index stays
	// taken.
	if (n->ready && dp_client_send(n->dp, &c, sizeof(c), NULL, NULL) == 0)
		handles_put(n->handles, adj);
}

static void on_adopt_end(void *arg)
{
	struct neigh *n = arg;

	for (struct adopted *a = n->adopted; a != NULL; a = a->next)
		adj_del(n, a->adj);
	adopted_forget(n);
}

static void on_synced(void *arg, enum dp_sync why)
{
	struct neigh *n = arg;
	const struct region_hdr *info = dp_client_info(n->dp);

	n->ready = true;
	if (why == DP_SYNC_OVERFLOW)
		return;
	if (info != NULL)
		handles_set_max(n->handles, info->adj_max);
	loop_timer_start(n->adopt_end, ADOPT_KEEP_MS, 0);
	for (struct path *p = n->paths; p != NULL; p = p->next) {
		p->in_dp = false;
		p->dirty = true;
		path_ask(n, p);
	}
	loop_timer_start(n->soon, 0, 0);
}

static void on_detach(void *arg)
{
	struct neigh *n = arg;

	n->ready = false;
	adopted_forget(n);
	loop_timer_stop(n->adopt_end);
	// A new data plane knows nothing, the same one again will tell what it has.
	handles_free(n->handles);
	n->handles = handles_new();
	for (struct path *p = n->paths; p != NULL; p = p->next) {
		p->in_dp = false;
		p->pub.adj = 0;
		no_way(p, NEIGH_NO_ROUTE);
		p->sent = p->pub;
		tell(p);
	}
	memset(n->ports, 0, sizeof(n->ports));
}

static void on_room(void *arg)
{
	struct neigh *n = arg;

	flush(n);
}

// ---- interface ----

struct neigh_ref *neigh_resolve(
	struct neigh *n, const uint8_t dst[16], const char *scope_if, neigh_fn fn, void *arg)
{
	struct neigh_ref *r;
	struct path_key key = {0};
	struct path *p;
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
		memcpy(p->pub.dst_ip, dst, 16);
		p->told = p->pub;
		p->next = n->paths;
		n->paths = p;
		path_ask(n, p);
	}
	*r = (struct neigh_ref){.path = p, .fn = fn, .arg = arg, .next = p->refs};
	p->refs = r;
	p->pub.n_refs++;
	path_changed(p);
	return r;
}

static void path_free(struct path *p)
{
	struct neigh *n = p->owner;

	for (struct path **q = &n->paths; *q != NULL; q = &(*q)->next) {
		if (*q == p) {
			*q = p->next;
			break;
		}
	}
	htab_del(n->by_key, &p->key);
	if (p->pub.adj != 0)
		adj_del(n, p->pub.adj);
	free(p);
}

void neigh_put(struct neigh_ref *ref)
{
	struct path *p;

	if (ref == NULL)
		return;
	p = ref->path;
	for (struct neigh_ref **r = &p->refs; *r != NULL; r = &(*r)->next) {
		if (*r == ref) {
			*r = ref->next;
			break;
		}
	}
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

void neigh_each(const struct neigh *n, void (*fn)(void *arg, const struct neigh_path *p), void *arg)
{
	for (const struct path *p = n->paths; p != NULL; p = p->next)
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
	n->by_key = htab_new(sizeof(struct path_key), PATHS_MAX, secret);
	n->handles = handles_new();
	n->recheck = loop_timer_new(n->loop, ask_all, n);
	n->tick = loop_timer_new(n->loop, on_tick, n);
	n->adopt_end = loop_timer_new(n->loop, on_adopt_end, n);
	n->soon = loop_timer_new(n->loop, flush, n);
	if (n->by_key == NULL || n->handles == NULL || n->soon == NULL || n->recheck == NULL ||
		n->tick == NULL || n->adopt_end == NULL)
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
	n->handler = (struct dp_handler){.arg = n,
		.on_detach = on_detach,
		.on_synced = on_synced,
		.on_port = on_port,
		.on_adj = on_adj,
		.on_room = on_room};
	rc = neigh_init(n);
	if (rc != 0) {
		neigh_free(n);
		return errno_null(rc);
	}
	dp_client_register(dp, &n->handler);
	loop_timer_start(n->tick, TICK_MS, TICK_MS);
	return n;
}

void neigh_free(struct neigh *n)
{
	if (n == NULL)
		return;
	dp_client_unregister(n->dp, &n->handler);
	while (n->paths != NULL) {
		struct path *p = n->paths;

		n->paths = p->next;
		while (p->refs != NULL) {
			struct neigh_ref *r = p->refs;

			p->refs = r->next;
			free(r);
		}
		free(p);
	}
	adopted_forget(n);
	loop_timer_free(n->soon);
	loop_timer_free(n->recheck);
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
