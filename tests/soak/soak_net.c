// Wires between the nodes' ring devices, an address translation before each node, and the neighbour
// service of their control planes: node i is 10.0.0.i+1, all are on one link.
#include "tests/soak/soak.h"

#include "lib/base/bytes.h"
#include "lib/base/err.h"

#include <rte_ethdev.h>

#include <stdlib.h>
#include <string.h>

enum {
	IP = 14, // offsets in a frame
	SRC = IP + 12,
	DST = IP + 16,
	FRAME_MIN = 42,
	GRAIN_NS = 50000, // frames arrive together
	BURST_MAX = 24, // fewer than a worker takes at once
};

struct frame {
	uint16_t len;
	uint8_t b[];
};

struct soak_link *soak_link_of(unsigned a, unsigned b)
{
	for (unsigned i = 0; i < SOAK_LINKS; i++) {
		const unsigned *e = soak.link[i].end;

		if ((e[0] == a && e[1] == b) || (e[0] == b && e[1] == a))
			return &soak.link[i];
	}
	return NULL;
}

// ---- frames ----

static void ip_sum(uint8_t *ip)
{
	uint32_t sum = 0;

	be16_put(ip + 10, 0);
	for (unsigned i = 0; i < 20; i += 2)
		sum += be16_get(ip + i);
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	be16_put(ip + 10, (uint16_t)~sum);
}

static void carry(struct soak_link *l, struct soak_wire *w, struct soak_node *to, struct frame *f)
{
	uint64_t at = soak.now_ns, wait = w->free_ns > at ? w->free_ns - at : 0;
	const struct soak_op op = {
		.fn = soak_arrive, .node = to, .link = l, .arg = (uint64_t)(uintptr_t)f};

	soak.count.frames++;
	if (w->cut || to->unplugged || soak_chance(w->loss_ppm) ||
		wait > w->queue_bytes * SOAK_S / w->rate_Bps) {
		soak.count.lost++;
		free(f);
		return;
	}
	w->free_ns = at + wait + f->len * SOAK_S / w->rate_Bps;
	at = w->free_ns + w->delay_ns;
	if (soak_chance(w->reorder_ppm))
		at += soak_pick(0, w->delay_ns);
	if (soak_chance(w->dup_ppm)) {
		struct soak_op twin = op;
		struct frame *again = malloc(sizeof(*f) + f->len);

		memcpy(again, f, sizeof(*f) + f->len);
		twin.arg = (uint64_t)(uintptr_t)again;
		soak_at(at + soak_pick(0, w->delay_ns), &twin);
	}
	soak_at((at / GRAIN_NS + 1) * GRAIN_NS, &op);
}

static void send_one(struct soak_node *n, struct rte_mbuf *m)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	unsigned to = p[DST + 3] - 1u;
	struct soak_link *l = to < SOAK_NODES ? soak_link_of(n->i, to) : NULL;
	struct frame *f;

	// not to where a node was, or will be
	if (m->data_len < FRAME_MIN || l == NULL || p[DST + 2] != soak.node[to].seen_as)
		return;
	f = malloc(sizeof(*f) + m->data_len);
	f->len = m->data_len;
	memcpy(f->b, p, m->data_len);
	f->b[SRC + 2] = n->seen_as;
	f->b[DST + 2] = 0;
	ip_sum(f->b + IP);
	carry(l, &l->wire[l->end[0] != n->i], &soak.node[to], f);
}

bool soak_collect(struct soak_node *n)
{
	struct rte_mbuf *m;
	bool any = false;

	while (rte_ring_dequeue(n->tx, (void **)&m) == 0) {
		if (!n->unplugged)
			send_one(n, m);
		rte_pktmbuf_free(m);
		any = true;
	}
	return any;
}

void soak_arrive(const struct soak_op *op)
{
	struct frame *f = (struct frame *)(uintptr_t)op->arg;
	struct soak_node *n = op->node;
	struct rte_ether_addr mac;
	struct rte_mbuf *m = n->dp.alive && !n->unplugged && rte_ring_count(n->rx) < BURST_MAX
				     ? rte_pktmbuf_alloc(n->pool)
				     : NULL;

	soak.busy_until_ns = soak.now_ns + 4 * SOAK_MS;
	if (m == NULL) { // a card without a descriptor
		soak.count.lost++;
		free(f);
		return;
	}
	rte_eth_macaddr_get(n->port, &mac);
	memcpy(f->b, mac.addr_bytes, 6);
	memcpy(rte_pktmbuf_append(m, f->len), f->b, f->len);
	free(f);
	rte_ring_enqueue(n->rx, m);
}

// ---- neighbours ----

struct neigh_ref {
	struct neigh_ref *next;
	struct neigh *n;
	struct neigh_path path; // as told
	neigh_fn fn;
	void *arg;
	unsigned n_pending;
	bool dirty, dead;
};

struct neigh {
	struct soak_node *node;
	struct dp_handler handler;
	struct loop_timer *soon;
	struct neigh_ref *refs;
	bool ready;
};

static void reap(struct neigh *n)
{
	for (struct neigh_ref **p = &n->refs; *p != NULL;) {
		struct neigh_ref *r = *p;

		if (r->dead && r->n_pending == 0) {
			*p = r->next;
			free(r);
		} else {
			p = &r->next;
		}
	}
}

static void on_set(void *arg, int status, uint32_t aux)
{
	struct neigh_ref *r = arg;

	r->n_pending--;
	if (r->n_pending > 0 || r->dead || status == -ECONNRESET)
		return;
	if (status != 0) {
		soak_fail("node %u: adj refused: %s", r->n->node->i, strerror(-status));
		return;
	}
	r->path.state = r->n->node->no_path ? NEIGH_LINK_DOWN : NEIGH_USABLE;
	r->fn(r->arg, &r->path);
}

static void set_one(struct neigh *n, struct neigh_ref *r)
{
	struct cmd_adj_set c = {.h.type = CMD_ADJ_SET,
		.adj = r->path.adj,
		.port = n->node->port,
		.mtu = r->path.mtu,
		.usable = !n->node->no_path};

	memcpy(c.dst_mac, r->path.dst_mac, 6);
	memcpy(c.src_ip, r->path.src_ip, 16);
	memcpy(c.dst_ip, r->path.dst_ip, 16);
	r->dirty = dp_client_send(n->node->cp.dp, &c, sizeof(c), on_set, r) != 0;
	r->n_pending += !r->dirty;
}

static void flush(void *arg)
{
	struct neigh *n = arg;

	reap(n);
	for (struct neigh_ref *r = n->refs; n->ready && r != NULL; r = r->next)
		if (r->dirty && !r->dead)
			set_one(n, r);
}

static void all_dirty(struct neigh *n)
{
	for (struct neigh_ref *r = n->refs; r != NULL; r = r->next)
		r->dirty = true;
	loop_timer_start(n->soon, 0, 0);
}

static void on_synced(void *arg, enum dp_sync why)
{
	struct neigh *n = arg;

	n->ready = true;
	if (why != DP_SYNC_OVERFLOW)
		all_dirty(n);
}

static void on_detach(void *arg)
{
	struct neigh *n = arg;

	n->ready = false;
	for (struct neigh_ref *r = n->refs; r != NULL; r = r->next)
		if (!r->dead) {
			r->path.state = NEIGH_NO_ROUTE;
			r->fn(r->arg, &r->path);
		}
}

struct neigh *soak_neigh_new(struct soak_node *node)
{
	struct neigh *n = calloc(1, sizeof(*n));

	n->node = node;
	n->soon = loop_timer_new(node->cp.loop, flush, n);
	n->handler = (struct dp_handler){
		.arg = n, .on_synced = on_synced, .on_detach = on_detach, .on_room = flush};
	dp_client_register(node->cp.dp, &n->handler);
	return n;
}

void soak_neigh_free(struct neigh *n)
{
	for (struct neigh_ref *r = n->refs; r != NULL; r = r->next)
		r->dead = true;
	reap(n);
	dp_client_unregister(n->node->cp.dp, &n->handler);
	loop_timer_free(n->soon);
	free(n);
}

void soak_paths(struct soak_node *n, bool usable)
{
	n->no_path = !usable;
	if (n->cp.alive)
		all_dirty(n->cp.neigh);
}

struct neigh_ref *neigh_resolve(
	struct neigh *n, const uint8_t dst[16], const char *scope_if, neigh_fn fn, void *arg)
{
	struct neigh_ref *r = calloc(1, sizeof(*r));

	*r = (struct neigh_ref){.next = n->refs, .n = n, .fn = fn, .arg = arg, .dirty = true};
	memcpy(r->path.dst_ip, dst, 16);
	memcpy(r->path.via_ip, dst, 16);
	memcpy(r->path.src_ip, (const uint8_t[16]){[10] = 0xff, [11] = 0xff, [12] = 10}, 16);
	r->path.src_ip[15] = (uint8_t)(n->node->i + 1);
	// one address, one handle, in each life
	r->path.adj = 1u << DPMSG_HANDLE_BITS | ((dst[14] & 7u) * SOAK_NODES + dst[15]);
	r->path.state = NEIGH_RESOLVING;
	r->path.port = n->node->port;
	r->path.mtu = PORT_MTU_DEFAULT;
	r->path.dst_mac[0] = 2;
	n->refs = r;
	loop_timer_start(n->soon, 0, 0);
	return r;
}

void neigh_put(struct neigh_ref *ref)
{
	if (ref == NULL)
		return;
	ref->dead = true;
	loop_timer_start(ref->n->soon, 0, 0);
}

const struct neigh_path *neigh_path(const struct neigh_ref *ref)
{
	return &ref->path;
}

const char *neigh_port_ifname(const struct neigh *n, uint16_t port)
{
	return "eth0";
}

unsigned neigh_port_queues(const struct neigh *n, uint16_t port)
{
	return 1;
}
