// Builds the node and plays its peers, byte by byte as rail.md and the RFCs write it.

#include "tests/dataplane/worker/node.h"

#include "lib/base/clock.h"

#include <rte_cycles.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { RING_LEN = 8192, POOL = 16383, RING_BYTES = 1 << 21, HDRS = 42, RAIL = 16, TAG = 16 };

bool node_has_aes(void)
{
	return sodium_init() >= 0 && crypto_aead_aes256gcm_is_available() != 0;
}

static void make_ports(struct node *n)
{
	static unsigned serial;
	char name[32];

	for (unsigned p = 0; p < NODE_PORTS; p++) {
		struct rte_eth_conf conf = {0};
		unsigned txq = n->conf.one_txq ? 1 : n->conf.workers;
		int port;

		for (unsigned q = 0; q < n->conf.workers; q++) {
			snprintf(name, sizeof(name), "rx%u_%u_%u", serial, p, q);
			n->rx[p][q] = rte_ring_create(name, RING_LEN, SOCKET_ID_ANY, 0);
			snprintf(name, sizeof(name), "tx%u_%u_%u", serial, p, q);
			n->tx[p][q] = rte_ring_create(name, RING_LEN, SOCKET_ID_ANY, 0);
			assert_non_null(n->rx[p][q]);
			assert_non_null(n->tx[p][q]);
		}
		snprintf(name, sizeof(name), "ring%u_%u", serial, p);
		port = rte_eth_from_rings(
			name, n->rx[p], n->conf.workers, n->tx[p], txq, SOCKET_ID_ANY);
		assert_true(port >= 0);
		n->port[p] = (uint16_t)port;
		assert_int_equal(rte_eth_dev_configure(n->port[p], (uint16_t)n->conf.workers,
					 (uint16_t)txq, &conf),
			0);
		for (uint16_t q = 0; q < n->conf.workers; q++)
			assert_int_equal(rte_eth_rx_queue_setup(
						 n->port[p], q, 512, SOCKET_ID_ANY, NULL, n->pool),
				0);
		for (uint16_t q = 0; q < txq; q++)
			assert_int_equal(
				rte_eth_tx_queue_setup(n->port[p], q, 512, SOCKET_ID_ANY, NULL), 0);
		assert_int_equal(rte_eth_dev_start(n->port[p]), 0);
	}
	serial++;
}

static void bind_worker(struct node *n, unsigned i)
{
	struct wctx *w = worker_ctx(n->set, i);

	n->w[i] = w;
	w->pool = n->pool;
	for (unsigned p = 0; p < NODE_PORTS; p++) {
		struct tx_array *t = &w->tx[n->port[p]];

		w->rxq[w->n_rxq++] = (struct rx_queue){.port = n->port[p], .queue = (uint16_t)i};
		t->mtu = NODE_MTU;
		t->queue = n->conf.one_txq ? (i == 0 ? 0 : TX_NO_QUEUE) : (uint16_t)i;
		t->owner = 0;
		w->exception[n->port[p]] = n->conf.exception;
	}
}

static void set_ip(uint8_t mapped[16], const uint8_t ip[4])
{
	memset(mapped, 0, 10);
	memset(mapped + 10, 0xff, 2);
	memcpy(mapped + 12, ip, 4);
}

static const uint8_t node_ip[4] = {192, 0, 2, 1};

static void make_peer(struct node *n, unsigned i)
{
	struct peer *p = &n->peer[i];
	struct cmd_adj_set adj = {
		.adj = 1u << DPMSG_HANDLE_BITS | (i + 1), .mtu = NODE_MTU, .usable = 1};
	struct cmd_hop_add hop = {
		.flow = 1, .window_log2 = 13, .instance_local = 1, .path_mtu = NODE_MTU};
	uint16_t owner;

	p->n = i;
	p->hop = 2u << DPMSG_HANDLE_BITS | (i + 1);
	p->tp = 3u << DPMSG_HANDLE_BITS | (i + 1);
	p->owner = (uint16_t)(i % n->conf.workers);
	p->port = (uint16_t)(i % NODE_PORTS);
	// some arrive where they are owned, some elsewhere
	p->queue = (uint16_t)((i / 2) % n->conf.workers);
	p->node_index = 0xabcd0010u + i;
	p->index = 0x12340000u + i;
	memset(p->to_node, 0x10 + (int)i, 32);
	memset(p->from_node, 0x20 + (int)i, 32);
	memcpy(p->ip, (uint8_t[]){198, 51, 100, (uint8_t)(i + 1)}, 4);
	p->udp = (uint16_t)(9000 + i);
	p->node_udp = NODE_UDP;
	if (i < n->conf.flows) {
		p->tp = 3u << DPMSG_HANDLE_BITS | 1;
		p->node_udp = (uint16_t)(NODE_UDP + i);
		hop.flow = (uint8_t)(i + 1);
		hop.n_flows = (uint8_t)n->conf.flows;
	}
	memcpy(p->mac, (uint8_t[]){2, 0, 0, 0, 1, (uint8_t)i}, 6);

	adj.port = n->port[p->port];
	memcpy(adj.src_mac, n->mac, 6);
	memcpy(adj.dst_mac, p->mac, 6);
	set_ip(adj.src_ip, node_ip);
	set_ip(adj.dst_ip, p->ip);
	assert_int_equal(adj_set(n->adjs, &adj), 0);
	hop.hop = p->hop;
	hop.tp = p->tp;
	hop.owner = (uint8_t)p->owner;
	set_ip(hop.peer.ip, p->ip);
	hop.peer.port = p->udp;
	hop.adj = adj.adj;
	hop.local_port = p->node_udp;
	hop.payload_max = NODE_DGRAM_MAX;
	hop.keepalive_ms = hop.dead_ms = hop.rekey_ms = 3600 * 1000;
	hop.keys.rx_index = p->node_index;
	hop.keys.tx_index = p->index;
	memcpy(hop.keys.rx_key, p->to_node, 32);
	memcpy(hop.keys.tx_key, p->from_node, 32);
	hop.keys.cipher = (uint8_t)n->conf.cipher;
	hop.keys.initiator = 0;
	assert_int_equal(hop_table_add(n->hops, &hop, n->w[0]->now_ns, &owner), 0);
	assert_int_equal(owner, p->owner);
}

static void attach_rings(struct node *n, unsigned i)
{
	const struct region_hdr *h = n->region.hdr;
	size_t max;
	struct ring_shm *shm;

	shm = region_ring(&n->region, h->up_off[i], &max);
	assert_int_equal(ring_r_attach(&n->up[i], shm, max), 0);
	shm = region_ring(&n->region, h->hs_off[i], &max);
	assert_int_equal(ring_r_attach(&n->hs[i], shm, max), 0);
	shm = region_ring(&n->region, h->down_off[i], &max);
	assert_int_equal(ring_w_attach(&n->down[i], shm, max), 0);
}

static void make_tables(struct node *n)
{
	struct region_conf rc = {
		.n_workers = n->conf.workers,
		.n_ports = DPMSG_MAX_PORTS,
		.hop_max = 16,
		.rule_bits = NODE_RULE_BITS,
		.rx_index_bits = 8,
		.adj_max = 16,
		.udp_port = NODE_UDP,
		.udp_ports = NODE_UDP_PORTS,
		.up_size = n->conf.up_size != 0 ? n->conf.up_size : RING_BYTES,
		.down_size = RING_BYTES,
	};

	assert_int_equal(region_create(&n->region, &rc, 1), 0);
	n->reclaim = reclaim_new(n->conf.workers);
	assert_non_null(n->reclaim);
	assert_int_equal(rule_table_init(&n->rules, NODE_RULE_BITS, -1, n->reclaim), 0);
	n->adjs = adj_table_new(16, n->reclaim);
	assert_non_null(n->adjs);
	n->hops = hop_table_new(&(struct hop_table_conf){.hop_max = 16,
		.rx_index_bits = 8,
		.n_workers = (uint16_t)n->conf.workers,
		.stats = n->region.stats,
		.rel_bufs = n->conf.rel_bufs,
		.rules = &n->rules});
	assert_non_null(n->hops);
}

// The node's keys are of a responder: it sends only after something authentic came.
static void greet(struct node *n)
{
	const uint8_t padding = 0;
	uint8_t buf[NODE_FRAME_MAX];

	for (unsigned i = 0; i < n->conf.peers; i++) {
		struct peer *p = &n->peer[i];
		unsigned len = peer_frame(n, p, &padding, 1, buf);

		assert_true(node_inject(n, p->port, p->queue, buf, len));
	}
	node_settle(n);
	while (node_output(n, buf) != 0)
		;
}

void node_open(struct node *n, const struct node_conf *conf)
{
	static unsigned serial;
	struct rte_ether_addr mac;
	struct worker_conf wc;
	char name[32];

	memset(n, 0, sizeof(*n));
	n->conf = *conf;
	snprintf(name, sizeof(name), "pool%u", serial++);
	n->pool = rte_pktmbuf_pool_create(
		name, POOL, 0, 0, RTE_PKTMBUF_HEADROOM + NODE_FRAME_MAX, SOCKET_ID_ANY);
	assert_non_null(n->pool);
	make_ports(n);
	make_tables(n);
	wc = (struct worker_conf){.n_workers = conf->workers,
		.udp_ports = {NODE_UDP, NODE_UDP_PORTS},
		.idle = IDLE_ADAPTIVE,
		.rules = &n->rules,
		.adjs = n->adjs,
		.hops = n->hops,
		.reclaim = n->reclaim,
		.region = &n->region};
	n->set = worker_set_new(&wc);
	assert_non_null(n->set);
	// both ports get the MAC of the first, so that a peer needs to know one only
	rte_eth_macaddr_get(n->port[0], &mac);
	memcpy(n->mac, mac.addr_bytes, 6);
	for (unsigned p = 1; p < NODE_PORTS; p++)
		rte_eth_dev_default_mac_addr_set(n->port[p], &mac);
	for (unsigned i = 0; i < conf->workers; i++) {
		bind_worker(n, i);
		attach_rings(n, i);
		reclaim_online(n->reclaim, i);
		worker_turn(n->w[i]); // asks the devices for their addresses
		for (unsigned p = 0; p < NODE_PORTS; p++)
			memcpy(n->w[i]->mac[n->port[p]], n->mac, 6);
	}
	n->pool_start = rte_mempool_avail_count(n->pool);
	for (unsigned i = 0; i < conf->peers; i++)
		make_peer(n, i);
	greet(n);
}

unsigned node_outputs(struct node *n)
{
	uint8_t buf[NODE_FRAME_MAX];
	unsigned k = 0;

	while (node_output(n, buf) != 0)
		k++;
	return k;
}

void node_close(struct node *n)
{
	uint8_t buf[NODE_FRAME_MAX];

	if (!n->conf.threads)
		node_settle(n);
	node_check_books(n);
	while (node_output(n, buf) != 0)
		;
	node_drop(n);
}

static void ring_drain(struct rte_ring *r)
{
	struct rte_mbuf *m;

	while (rte_ring_dequeue(r, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(r);
}

void node_drop(struct node *n)
{
	worker_stop(n->set);
	worker_set_free(n->set);
	hop_table_free(n->hops);
	adj_table_free(n->adjs);
	rule_table_fini(&n->rules);
	reclaim_free(n->reclaim);
	for (unsigned p = 0; p < NODE_PORTS; p++) {
		rte_eth_dev_stop(n->port[p]);
		rte_eth_dev_close(n->port[p]);
		for (unsigned q = 0; q < n->conf.workers; q++) {
			ring_drain(n->rx[p][q]);
			ring_drain(n->tx[p][q]);
		}
	}
	assert_int_equal(rte_mempool_avail_count(n->pool), n->pool_start);
	rte_mempool_free(n->pool);
	region_close(&n->region);
}

void node_settle(struct node *n)
{
	for (unsigned quiet = 0; quiet < 2; quiet++)
		for (unsigned i = 0; i < n->conf.workers; i++)
			if (n->still_ns != 0 ? worker_turn_at(n->w[i], n->still_ns)
					     : worker_turn(n->w[i]))
				quiet = 0;
}

uint64_t node_counter(const struct node *n, enum worker_counter k)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n->conf.workers; i++)
		sum += stat_get(&stats_worker(n->region.stats, i)->c[k]);
	return sum;
}

void node_check_books(const struct node *n)
{
	static const char *const stage[] = {"frame", "dgram", "packet", "seal", "send"};
	int64_t balance[ARRAY_LEN(stage)] = {0};
	size_t n_desc;
	const struct counter_desc *desc = stats_desc(SCOPE_WORKER, &n_desc);

	for (size_t i = 0; i < n_desc; i++) {
		int64_t v = (int64_t)node_counter(n, (enum worker_counter)i);

		if (desc[i].role != ROLE_INFO)
			balance[desc[i].stage] += desc[i].role == ROLE_IN ? v : -v;
	}
	for (unsigned s = 0; s < ARRAY_LEN(stage); s++)
		if (balance[s] != 0)
			fail_msg("stage %s is out of balance by %lld", stage[s],
				(long long)balance[s]);
}

uint32_t node_now_ds(const struct node *n)
{
	return (uint32_t)(clock_mono_ns() / 100000000);
}

void node_rule(struct node *n, uint32_t id, enum dpmsg_rule_type type, uint32_t next_id,
	uint32_t tx_hop, uint32_t in_tp)
{
	struct cmd_rule_add c = {.id = id,
		.next_id = next_id,
		.tx_hop = tx_hop,
		.in_tp = in_tp,
		.keep_alive_ms = 3600 * 1000,
		.type = (uint8_t)type};

	assert_int_equal(rule_table_add(&n->rules, &c, node_now_ds(n)), 0);
}

// ---- peers ----

static uint16_t ip_sum(const uint8_t *p)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void headers(uint8_t *b, const uint8_t *dst_mac, const uint8_t *src_mac,
	const uint8_t *src_ip, const uint8_t *dst_ip, uint16_t src, uint16_t dst, unsigned len)
{
	memset(b, 0, HDRS);
	memcpy(b, dst_mac, 6);
	memcpy(b + 6, src_mac, 6);
	b[12] = 8;
	b[14] = 0x45;
	be16_put(b + 16, (uint16_t)(len + 28));
	b[20] = 0x40;
	b[22] = 64;
	b[23] = 17;
	memcpy(b + 26, src_ip, 4);
	memcpy(b + 30, dst_ip, 4);
	be16_put(b + 24, ip_sum(b + 14));
	be16_put(b + 34, src);
	be16_put(b + 36, dst);
	be16_put(b + 38, (uint16_t)(len + 8));
}

unsigned peer_udp(
	struct node *n, const struct peer *p, const uint8_t *udp, unsigned len, uint8_t *buf)
{
	headers(buf, n->mac, p->mac, p->ip, node_ip, p->udp, p->node_udp, len);
	memmove(buf + HDRS, udp, len);
	return HDRS + len;
}

unsigned peer_frame(
	struct node *n, struct peer *p, const uint8_t *frames, unsigned len, uint8_t *buf)
{
	uint8_t *r = buf + HDRS;
	uint8_t nonce[12];

	headers(buf, n->mac, p->mac, p->ip, node_ip, p->udp, p->node_udp, RAIL + len + TAG);
	be32_put(r, 0x04000000);
	be32_put(r + 4, p->node_index);
	be64_put(r + 8, p->tx_counter);
	aead_nonce_be(nonce, p->tx_counter++);
	if (n->conf.cipher == AEAD_NONE) {
		memmove(r + RAIL, frames, len);
		memset(r + RAIL + len, 0, TAG);
	} else if (n->conf.cipher == AEAD_AES_256_GCM) {
		crypto_aead_aes256gcm_encrypt(
			r + RAIL, NULL, frames, len, r, RAIL, NULL, nonce, p->to_node);
	} else {
		aead_seal(r + RAIL, frames, len, r, RAIL, nonce, p->to_node);
	}
	return HDRS + RAIL + len + TAG;
}

bool node_inject(struct node *n, unsigned port, unsigned queue, const uint8_t *frame, unsigned len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(n->pool);
	char *to;

	assert_non_null(m);
	to = rte_pktmbuf_append(m, (uint16_t)len);
	assert_non_null(to);
	memcpy(to, frame, len);
	if (rte_ring_enqueue(n->rx[port][queue], m) == 0)
		return true;
	rte_pktmbuf_free(m);
	return false;
}

static void send_frames(struct node *n, struct peer *p, const uint8_t *frames, unsigned len)
{
	uint8_t buf[NODE_FRAME_MAX];

	len = peer_frame(n, p, frames, len, buf);
	while (!node_inject(n, p->port, p->queue, buf, len))
		node_settle(n);
}

void peer_send(struct node *n, struct peer *p, const uint8_t *pkt, unsigned len, unsigned cut)
{
	uint8_t f[NODE_FRAME_MAX];
	unsigned most = NODE_DGRAM_MAX - RAIL - TAG - 16;

	if (cut == 0 && len + 1 <= most) {
		f[0] = 1;
		memcpy(f + 1, pkt, len);
		send_frames(n, p, f, len + 1);
		return;
	}
	cut = cut == 0 || cut > most ? most : cut;
	for (unsigned off = 0; off < len; off += cut) {
		unsigned part = len - off < cut ? len - off : cut;

		memset(f, 0, 16);
		f[0] = 3;
		be32_put(f + 1, p->part_seq);
		f[8] = (uint8_t)(len >> 16);
		be16_put(f + 9, (uint16_t)len);
		f[11] = (uint8_t)(off >> 16);
		be16_put(f + 12, (uint16_t)off);
		be16_put(f + 14, (uint16_t)part);
		memcpy(f + 16, pkt + off, part);
		send_frames(n, p, f, 16 + part);
	}
	p->part_seq++;
}

unsigned node_output(struct node *n, uint8_t *buf)
{
	unsigned all = NODE_PORTS * n->conf.workers;

	for (unsigned i = 0; i < all; i++) {
		unsigned at = (n->out_at + i) % all;
		struct rte_ring *r = n->tx[at / n->conf.workers][at % n->conf.workers];
		struct rte_mbuf *m;
		unsigned len;

		if (rte_ring_dequeue(r, (void **)&m) != 0)
			continue;
		n->out_at = at;
		assert_int_equal(m->nb_segs, 1);
		len = m->data_len;
		assert_true(len <= NODE_FRAME_MAX);
		memcpy(buf, rte_pktmbuf_mtod(m, void *), len);
		rte_pktmbuf_free(m);
		return len;
	}
	return 0;
}

unsigned peer_open(
	struct node *n, const uint8_t *frame, unsigned len, uint8_t *out, struct peer **who)
{
	const uint8_t *r = frame + HDRS;
	uint8_t want[HDRS], nonce[12];
	struct peer *p = NULL;
	unsigned body = len - HDRS - RAIL - TAG;
	uint64_t counter;

	assert_true(len >= HDRS + RAIL + TAG && len <= 14 + NODE_MTU);
	for (unsigned i = 0; i < n->conf.peers; i++)
		if (memcmp(n->peer[i].mac, frame, 6) == 0)
			p = &n->peer[i];
	assert_non_null(p);
	headers(want, p->mac, n->mac, node_ip, p->ip, p->node_udp, p->udp, len - HDRS);
	assert_memory_equal(frame, want, HDRS);
	assert_int_equal(be32_get(r), 0x04000000);
	assert_int_equal(be32_get(r + 4), p->index);
	counter = be64_get(r + 8);
	// in order, but for the counters that are left out on purpose
	assert_true(counter >= p->rx_counter && counter <= p->rx_counter + 2);
	p->rx_counter = counter + 1;
	aead_nonce_be(nonce, counter);
	if (n->conf.cipher == AEAD_NONE) {
		static const uint8_t zero[TAG];

		memcpy(out, r + RAIL, body);
		assert_memory_equal(r + RAIL + body, zero, TAG);
	} else if (n->conf.cipher == AEAD_AES_256_GCM) {
		assert_int_equal(crypto_aead_aes256gcm_decrypt(out, NULL, NULL, r + RAIL,
					 body + TAG, r, RAIL, nonce, p->from_node),
			0);
	} else {
		assert_int_equal(
			aead_open(out, r + RAIL, body + TAG, r, RAIL, nonce, p->from_node), 0);
	}
	*who = p;
	return body;
}

// ---- the control plane's side ----

static int next_record(struct node *n, struct ring_r *rings, void *buf, unsigned cap)
{
	for (unsigned i = 0; i < n->conf.workers; i++) {
		int len = ring_r_read(&rings[i], buf, cap);

		assert_true(len >= 0);
		ring_r_release(&rings[i]);
		if (len > 0)
			return len;
	}
	return 0;
}

int node_up(struct node *n, void *buf, unsigned cap)
{
	return next_record(n, n->up, buf, cap);
}

int node_hs(struct node *n, void *buf, unsigned cap)
{
	return next_record(n, n->hs, buf, cap);
}

void node_down(struct node *n, unsigned worker, const void *rec, unsigned len)
{
	uint32_t l = len;
	void *to = ring_w_reserve(&n->down[worker], len);

	assert_non_null(to);
	memcpy(to, rec, len);
	memcpy(to, &l, sizeof(l));
	ring_w_publish(&n->down[worker]);
}

void node_down_route(struct node *n, unsigned worker, uint32_t id, const uint8_t *pkt, unsigned len)
{
	static uint8_t buf[sizeof(struct msg_route) + DPMSG_ROUTE_MAX + 64];
	struct msg_route rec = {.h.type = DOWN_ROUTE, .id = id};

	memcpy(buf, &rec, sizeof(rec));
	memcpy(buf + sizeof(rec), pkt, len);
	node_down(n, worker, buf, (unsigned)sizeof(rec) + len);
}
