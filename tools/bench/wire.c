// Ports, neighbours and the life of links on the wire.

#include "tools/bench/wire_priv.h"

#include "lib/base/clock.h"
#include "tools/bench/resolve.h"
#include "tools/bench/wire_key.h"

#include <rte_ethdev.h>

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	RESOLVE_S = 10, // wait for hardware addresses
	CONNECT_S = 20, // wait for links
	CALLED_S = 90, // ... that the node makes, which tries once a minute at least
	POLL_MS = 10,
	ASK_MS = 20, // pause between questions in wire_wait()
	TABLE_BITS = 13, // of receiver indices: 4 for each of ARGS_TRANSPORTS_MAX
	HOP_LEN = 64 << 10,
	BASE_LEN = 64 << 20,
	REL_POOL_PCT = 60, // of our buffers that reliable links may keep, as at a node
};

unsigned wire_port_asks(const struct args *a, struct port_ask *asks)
{
	static char names[ARGS_PORTS_MAX][16];

	for (unsigned i = 0; i < a->n_ports; i++) {
		snprintf(names[i], sizeof(names[i]), "bench%u", i);
		asks[i] = (struct port_ask){.name = names[i],
			.device = a->port[i].device,
			.kernel_if = "",
			.tap = "",
			.queues = 1,
			.exception = EXCEPTION_DROP};
	}
	return a->n_ports;
}

uint64_t wire_need(const struct args *a)
{
	struct port_ask asks[ARGS_PORTS_MAX];
	unsigned n = wire_port_asks(a, asks), mtu = PORT_MTU_DEFAULT;

	for (unsigned i = 0; i < n; i++)
		mtu = port_mtu_guess(&asks[i]) > mtu ? port_mtu_guess(&asks[i]) : mtu;
	return BASE_LEN + peer_need(a->reliable ? a->n_routes : 0) +
	       port_pool_bytes(n, 1, mtu, true) + (uint64_t)(a->n_transports + 2) * HOP_LEN;
}

// ---- ports ----

static void send_frame(struct wire *w, const struct wire_port *p, const uint8_t *f, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->peer->w.pool);
	char *to = m == NULL ? NULL : rte_pktmbuf_append(m, (uint16_t)len);

	if (to == NULL) {
		rte_pktmbuf_free(m);
		return;
	}
	memcpy(to, f, len);
	tx_frame(&w->peer->w, p->id, m);
}

static void on_other(void *ctx, uint16_t port, const uint8_t *frame, uint32_t len)
{
	struct wire *w = ctx;
	struct resolved r;

	for (unsigned i = 0; i < w->args->n_ports; i++) {
		struct wire_port *p = &w->port[i];

		if (p->id != port || !resolve_take(frame, len, p->mac, p->self.ip, &r))
			continue;
		if (r.reply_len > 0)
			send_frame(w, p, r.reply, r.reply_len);
		if (r.learned && !p->resolved && memcmp(r.ip, p->node.ip, 16) == 0) {
			memcpy(p->node_mac, r.mac, 6);
			p->resolved = true;
		}
	}
}

static int claim_ports(struct wire *w, char err[WIRE_ERR_MAX])
{
	w->claim = calloc(w->n_links, sizeof(*w->claim));
	for (unsigned i = 0; w->claim != NULL && i < w->n_links; i++) {
		int rc = udp_claim_open(&w->claim[i], w->link[i].udp_port, 1);

		if (rc < 0) {
			snprintf(err, WIRE_ERR_MAX, "udp port %u: %s%s", w->link[i].udp_port,
				strerror(-rc),
				rc == -EADDRINUSE
					? ": another program has it here, a node perhaps; choose "
					  "another one with --udp-port"
					: "");
			return rc;
		}
		w->n_claims++;
	}
	return w->claim == NULL ? -ENOMEM : 0;
}

static bool same_ip(const struct sockaddr *sa, const uint8_t ip[16])
{
	if (sa != NULL && sa->sa_family == AF_INET6)
		return memcmp(&((const struct sockaddr_in6 *)sa)->sin6_addr, ip, 16) == 0;
	return sa != NULL && sa->sa_family == AF_INET && IN6_IS_ADDR_V4MAPPED(ip) &&
	       memcmp(&((const struct sockaddr_in *)sa)->sin_addr, ip + 12, 4) == 0;
}

// What is sent by the interface that has the node's address goes to the other end of the link, not
// to the node.
static bool is_at_node(const struct port_ask *ask, const uint8_t node[16])
{
	struct ifaddrs *all, *a;
	char ifname[IFNAMSIZ];
	bool found = false;

	if (!port_device_arg(ask->device, "iface", ifname, sizeof(ifname)) || getifaddrs(&all) < 0)
		return false;
	for (a = all; a != NULL && !found; a = a->ifa_next)
		found = strcmp(a->ifa_name, ifname) == 0 && same_ip(a->ifa_addr, node);
	freeifaddrs(all);
	return found;
}

static int ports_open(struct wire *w, char err[WIRE_ERR_MAX])
{
	struct port_ask asks[ARGS_PORTS_MAX] = {0};
	unsigned n = wire_port_asks(w->args, asks);
	char why[PORT_ERR_MAX] = "";
	bool kernel = false;

	for (unsigned i = 0; i < n; i++) {
		if (!is_at_node(&asks[i], w->args->port[i].node.ip))
			continue;
		snprintf(err, WIRE_ERR_MAX,
			"--port %.128s: this interface has the address of --node: it is the node's "
			"end of the link; run the bench at the other end",
			asks[i].device);
		return -EADDRINUSE;
	}
	w->ports = port_set_open(asks, n, 1, NULL, why);
	if (w->ports == NULL) {
		snprintf(err, WIRE_ERR_MAX, "%s", why);
		return -errno;
	}
	for (unsigned i = 0; i < n; i++) {
		struct wire_port *p = &w->port[i];
		struct evt_port e;

		port_show(w->ports, i, &e);
		*p = (struct wire_port){.id = e.port,
			.mtu = e.mtu,
			.adj = 1u << DPMSG_HANDLE_BITS | (i + 1),
			.self = w->args->port[i].self,
			.node = w->args->port[i].node};
		memcpy(p->mac, e.mac, 6);
		rte_eth_allmulticast_enable(p->id); // solicitations for us; not every device can
		kernel = kernel || port_kernel_sees(&asks[i]);
	}
	return kernel ? claim_ports(w, err) : 0;
}

static int resolve_all(struct wire *w, char err[WIRE_ERR_MAX])
{
	uint64_t end_ns = peer_now_ns(w->peer) + RESOLVE_S * CLOCK_NS_PER_S, ask_ns = 0;

	for (unsigned i = 0; i < w->args->n_ports;) {
		struct wire_port *p = &w->port[i];
		uint64_t now = peer_now_ns(w->peer);
		uint8_t f[RESOLVE_MAX];

		if (p->resolved) {
			i++;
			ask_ns = 0;
			continue;
		}
		if (now > end_ns || atomic_load_explicit(w->stop, memory_order_relaxed)) {
			snprintf(err, WIRE_ERR_MAX,
				"port %u: nobody answers for the node's address: is it up, and on "
				"the same link?",
				i);
			return now > end_ns ? -EHOSTUNREACH : -EINTR;
		}
		if (now > ask_ns) {
			send_frame(w, p, f, resolve_ask(f, p->mac, p->self.ip, p->node.ip));
			ask_ns = now + CLOCK_NS_PER_S / 2;
		}
		peer_turn(w->peer);
	}
	return 0;
}

static int adjs_set(struct wire *w)
{
	int rc = 0;

	for (unsigned i = 0; i < w->args->n_ports && rc == 0; i++) {
		const struct wire_port *p = &w->port[i];
		struct cmd_adj_set c = {.adj = p->adj, .port = p->id, .mtu = p->mtu, .usable = 1};

		memcpy(c.src_mac, p->mac, 6);
		memcpy(c.dst_mac, p->node_mac, 6);
		memcpy(c.src_ip, p->self.ip, 16);
		memcpy(c.dst_ip, p->node.ip, 16);
		rc = adj_set((struct adj_table *)(uintptr_t)w->peer->w.adjs, &c);
	}
	return rc;
}

// ---- links ----

struct wire_link *wire_link_by_hop(struct wire *w, uint32_t hop)
{
	uint32_t i = dpmsg_handle_index(hop) - 1;

	return i < w->n_links && w->link[i].hop == hop ? &w->link[i] : NULL;
}

static int links_new(struct wire *w, const struct key_sk *sk)
{
	w->n_links = w->args->n_transports;
	w->link = calloc(w->n_links, sizeof(*w->link));
	if (w->link == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < w->n_links; i++) {
		struct wire_link *l = &w->link[i];

		wire_key_of(sk, i, &l->sk, &l->pk);
		rail_hs_mac1_key(l->mac1_key, &l->pk);
		l->hop = 1u << DPMSG_HANDLE_BITS | (i + 1);
		l->port = i % w->args->n_ports;
		l->udp_port = (uint16_t)(w->args->udp_port + i);
		randombytes_buf(&l->instance, sizeof(l->instance));
		w->traffic->link[i].hop = l->hop;
	}
	return 0;
}

static bool is_up(const struct wire *w, const struct wire_link *l)
{
	return l->added && hop_tx_local(&w->peer->w, l->hop) != NULL;
}

int wire_connect(struct wire *w, const struct key_pk *node, char err[WIRE_ERR_MAX])
{
	const unsigned wait_s = w->args->no_dial ? CALLED_S : CONNECT_S;
	uint64_t end_ns = peer_now_ns(w->peer) + wait_s * CLOCK_NS_PER_S;
	unsigned up = 0;

	w->node = *node;
	w->trouble[0] = '\0';
	while (up < w->n_links) {
		if (peer_now_ns(w->peer) > end_ns || w->trouble[0] != '\0' ||
			atomic_load_explicit(w->stop, memory_order_relaxed)) {
			snprintf(err, WIRE_ERR_MAX, "transport %u: %.280s", up,
				w->trouble[0] != '\0'
					? w->trouble
					: "no handshake: does the node know our key (--show-key)?");
			return -ENOTCONN;
		}
		for (unsigned i = up; i < w->n_links && i < up + 8; i++)
			if (!w->link[i].added && !w->args->no_dial)
				wire_hs_send(w, &w->link[i], false);
		peer_turn(w->peer);
		wire_poll(w);
		while (up < w->n_links && is_up(w, &w->link[up]))
			up++;
	}
	return 0;
}

int wire_wait(struct wire *w, int (*ready)(void *ctx, char err[WIRE_ERR_MAX]), void *ctx,
	char err[WIRE_ERR_MAX])
{
	uint64_t end_ns = peer_now_ns(w->peer) + CONNECT_S * CLOCK_NS_PER_S, ask_ns = 0;

	for (;;) {
		uint64_t now_ns = peer_now_ns(w->peer);
		int rc = now_ns >= ask_ns ? ready(ctx, err) : 0;

		if (rc != 0)
			return rc < 0 ? rc : 0;
		if (now_ns >= ask_ns)
			ask_ns = now_ns + ASK_MS * CLOCK_NS_PER_MS;
		if (now_ns > end_ns)
			return -ETIMEDOUT;
		if (atomic_load_explicit(w->stop, memory_order_relaxed)) {
			snprintf(err, WIRE_ERR_MAX, "interrupted");
			return -EINTR;
		}
		if (w->trouble[0] != '\0') {
			snprintf(err, WIRE_ERR_MAX, "%s", w->trouble);
			return -ENOTCONN;
		}
		peer_turn(w->peer);
		wire_poll(w);
	}
}

static void on_note(struct wire *w, const struct dp_note *n)
{
	struct wire_link *l = wire_link_by_hop(w, n->hop);

	if (l == NULL)
		return;
	switch (n->kind) {
	case NOTE_HOP_REKEY_DUE:
		if (n->initiator)
			wire_hs_send(w, l, true);
		break;
	case NOTE_HOP_CLOSED:
		snprintf(w->trouble, sizeof(w->trouble), "the %s closed the link: %.*s",
			n->initiator ? "bench" : "node", n->text_len, n->text);
		break;
	case NOTE_HOP_DEAD:
		snprintf(w->trouble, sizeof(w->trouble), "the node has been silent for too long");
		break;
	default:
		break;
	}
}

void wire_poll(void *ctx)
{
	struct wire *w = ctx;
	uint64_t now = peer_now_ns(w->peer);
	struct dp_note n[16];
	unsigned k;

	if (now - w->poll_ns < POLL_MS * CLOCK_NS_PER_MS)
		return;
	w->poll_ns = now;
	while ((k = hop_table_notes(peer_hops(w->peer), 0, n, ARRAY_LEN(n), NULL)) > 0)
		for (unsigned i = 0; i < k; i++)
			on_note(w, &n[i]);
	for (unsigned i = 0; i < w->n_links; i++)
		if (w->link[i].trying && w->link[i].inside)
			wire_hs_send(w, &w->link[i], true);
}

uint64_t wire_missed(void *ctx)
{
	struct wire *w = ctx;
	uint64_t n = 0;

	for (unsigned i = 0; i < w->args->n_ports; i++) {
		struct stats_port *st = &w->port[i].stats;

		port_stats(w->ports, i, st);
		n += stat_get(&st->c[P_port_rx_missed]) + stat_get(&st->c[P_port_rx_nombuf]);
	}
	return n;
}

uint64_t wire_keys(const struct wire *w)
{
	return w->n_keys;
}

const char *wire_trouble(const struct wire *w)
{
	return w->trouble;
}

// ---- begin and end ----

static int peer_make(struct wire *w, peer_sink sink, void *sink_ctx)
{
	struct rte_mempool *pool = port_set_pool(w->ports, SOCKET_ID_ANY);

	w->peer = peer_new(&(struct peer_conf){.pool = pool,
		.hop_max = w->args->n_transports + ARGS_PORTS_MAX + 2,
		.rx_index_bits = TABLE_BITS,
		.udp_port = w->args->udp_port,
		.n_udp = (uint16_t)w->n_links,
		.n_routes = w->args->reliable ? w->args->n_routes : 0,
		.rel_bufs = pool->size / 100 * REL_POOL_PCT,
		.sink = sink,
		.sink_ctx = sink_ctx,
		.ops = {.handshake = wire_hs_take, .rekey = wire_hs_rekey, .other = on_other},
		.ctx = w});
	if (w->peer == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < w->args->n_ports; i++)
		peer_port(w->peer, w->port[i].id, 1, w->port[i].mtu);
	for (unsigned i = 0; i < w->n_links; i++)
		w->traffic->link[i].port = w->port[w->link[i].port].id;
	return 0;
}

struct wire *wire_open(const struct args *a, const struct key_sk *sk, struct traffic *t,
	peer_sink sink, void *sink_ctx, const _Atomic bool *stop, char err[WIRE_ERR_MAX])
{
	struct wire *w = calloc(1, sizeof(*w));
	int rc = w == NULL ? -ENOMEM : 0;

	err[0] = '\0';
	if (rc == 0) {
		w->args = a;
		w->traffic = t;
		w->stop = stop;
		rc = links_new(w, sk);
	}
	if (rc == 0)
		rc = ports_open(w, err);
	if (rc == 0)
		rc = peer_make(w, sink, sink_ctx);
	if (rc == 0)
		rc = resolve_all(w, err);
	if (rc == 0)
		rc = adjs_set(w);
	if (rc == 0)
		return w;
	if (err[0] == '\0')
		snprintf(err, WIRE_ERR_MAX, "links: %s", strerror(-rc));
	wire_close(w);
	errno = -rc;
	return NULL;
}

static void links_end(struct wire *w)
{
	struct cmd_hop_del c = {.send_close = 1};

	for (unsigned i = 0; i < w->n_links; i++) {
		c.hop = w->link[i].hop;
		if (w->link[i].added)
			hop_table_del(peer_hops(w->peer), &c);
		peer_turn(w->peer);
	}
	for (unsigned i = 0; i < 64; i++) // commands take effect, frames leave, hops come back
		peer_turn(w->peer);
	w->poll_ns = 0;
	wire_poll(w);
}

void wire_close(struct wire *w)
{
	if (w == NULL)
		return;
	if (w->peer != NULL)
		links_end(w);
	for (unsigned i = 0; i < w->n_links && w->link != NULL; i++) {
		wire_hs_stop(&w->link[i]);
		key_wipe(&w->link[i].sk, sizeof(w->link[i].sk));
	}
	peer_free(w->peer);
	if (w->ports != NULL)
		port_set_close(w->ports);
	for (unsigned i = 0; i < w->n_claims; i++)
		udp_claim_close(&w->claim[i]);
	free(w->claim);
	free(w->link);
	free(w);
}

struct peer *wire_peer(struct wire *w)
{
	return w->peer;
}
