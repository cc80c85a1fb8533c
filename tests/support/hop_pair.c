// See hop_pair.h.

#include "tests/support/hop_pair.h"

#include "tests/support/aead.h"

enum { RTT_NS = 100 * 1000 };

static struct node *node_of(struct wctx *w)
{
	return container_of(w, struct node, w);
}

static void test_sink(struct wctx *w, struct hop *in, struct rte_mbuf **m, unsigned n)
{
	struct node *x = node_of(w);

	assert_non_null(in);
	assert_true(n <= BURST); // 0: judge what is held, and nothing is
	count(w, W_pkt_rx, n);
	for (unsigned i = 0; i < n; i++) {
		assert_true(x->n_got < GOT_MAX);
		rte_mbuf_sanity_check(m[i], 1);
		x->got[x->n_got++] = m[i];
	}
}

static void test_raw(struct wctx *w, unsigned to, uint16_t port, struct rte_mbuf *m)
{
	struct node *x = node_of(w);

	assert_true(x->n_wire < WIRE_MAX);
	x->wire[x->n_wire++] = m;
}

static bool test_rekey(struct wctx *w, uint32_t hop, const uint8_t *p, uint32_t len)
{
	struct node *x = node_of(w);

	assert_int_equal(hop, x->hop);
	assert_true(len <= sizeof(x->rekey));
	memcpy(x->rekey, p, len);
	x->rekey_len = len;
	x->n_rekeys++;
	return true;
}

static bool test_handoff(struct wctx *w, unsigned to, uint32_t hop, struct rte_mbuf **m, unsigned n)
{
	fail_msg("nothing is to be handed off here");
	return false;
}

static unsigned test_room(struct wctx *w)
{
	fail_msg("there is one worker");
	return 0;
}

static bool test_msg(struct wctx *w, unsigned to, const struct hop_msg *msg)
{
	fail_msg("there is one worker");
	return false;
}

static const struct wctx_ops test_ops = {
	.handoff_room = test_room,
	.handoff_msg = test_msg,
	.handoff_tx = test_handoff,
	.handoff_raw = test_raw,
	.uplink_rekey = test_rekey,
};

uint64_t counter(const struct node *x, enum worker_counter k)
{
	return stat_get(&x->stats.c[k]);
}

struct hop *hop_of(struct node *x)
{
	return hop_by_handle(&x->w, x->hop);
}

void set_now(struct pair *p, uint64_t now_ns)
{
	p->now_ns = now_ns;
	p->a.w.now_ns = now_ns;
	p->b.w.now_ns = now_ns;
}

// ---- set-up ----

static void node_init(struct pair *p, struct node *x, uint8_t nr)
{
	struct hop_table_conf conf = {.hop_max = 64,
		.rx_index_bits = 8,
		.n_workers = 1,
		.part_mbufs = 300,
		.rules = &x->rules};

	memset(x, 0, sizeof(*x));
	conf.rel_bufs = p->reliable ? REL_BUFS : 0;
	memcpy(x->mac, "\x02\0\0\0\0", 6);
	x->mac[5] = nr;
	x->ip[15] = nr;
	if (p->ip6)
		x->ip[0] = 0xfd;
	else
		memset(x->ip + 10, 0xff, 2);
	if (!p->ip6)
		memcpy(x->ip + 12, (uint8_t[]){10, 0, 0, nr}, 4);
	x->next_index = 0x1000u * nr + 1;
	x->w.c = x->stats.c;
	x->w.pool = p->pool;
	x->w.sink = test_sink;
	x->w.ops = &test_ops;
	x->w.n_workers = 1;
	x->w.udp_ports = (struct parse_ports){PORT, 1};
	x->w.reclaim = reclaim_new(1);
	assert_int_equal(rule_table_init(&x->rules, RULE_BITS, -1, x->w.reclaim), 0);
	x->w.rules = &x->rules;
	x->w.hops = hop_table_new(&conf);
	x->w.adjs = adj_table_new(16, x->w.reclaim);
	assert_non_null(x->w.hops);
	assert_non_null(x->w.adjs);
	x->w.aead = aead_test_ctx_new();
	x->w.tx[0].queue = TX_NO_QUEUE;
	x->w.tx[0].mtu = 9000;
}

void set_adj(struct node *x, const struct node *to, uint16_t mtu)
{
	struct cmd_adj_set c = {.adj = ADJ, .mtu = mtu, .usable = 1};

	memcpy(c.src_mac, x->mac, 6);
	memcpy(c.dst_mac, to->mac, 6);
	memcpy(c.src_ip, x->ip, 16);
	memcpy(c.dst_ip, to->ip, 16);
	assert_int_equal(adj_set((struct adj_table *)(uintptr_t)x->w.adjs, &c), 0);
}

void make_keys(struct pair *p, struct node *from, struct node *to, struct dpmsg_keys *at_from,
	struct dpmsg_keys *at_to)
{
	memset(at_from, 0, sizeof(*at_from));
	at_from->rx_index = from->next_index++;
	at_from->tx_index = to->next_index++;
	memset(at_from->tx_key, (int)at_from->rx_index, 32);
	memset(at_from->rx_key, (int)at_from->tx_index ^ 0x55, 32);
	at_from->cipher = p->cipher;
	at_from->initiator = 1;
	*at_to = *at_from;
	at_to->initiator = 0;
	at_to->rx_index = at_from->tx_index;
	at_to->tx_index = at_from->rx_index;
	memcpy(at_to->rx_key, at_from->tx_key, 32);
	memcpy(at_to->tx_key, at_from->rx_key, 32);
}

struct cmd_hop_add make_add(
	const struct node *x, const struct node *peer, const struct dpmsg_keys *keys)
{
	struct cmd_hop_add c = {.hop = x->hop,
		.tp = TP,
		.flow = 1,
		.owner = 0xff,
		.adj = ADJ,
		.local_port = PORT,
		.payload_max = 8900,
		.instance_local = 1,
		.instance_remote = 2,
		.name = "test",
		.keys = *keys};

	memcpy(c.peer.ip, peer->ip, 16);
	c.peer.port = PORT;
	return c;
}

void run_commands(struct node *x)
{
	while (hop_commands(&x->w) > 0)
		;
}

void add_hop(struct pair *p, struct node *x, const struct node *peer, const struct dpmsg_keys *keys)
{
	struct cmd_hop_add c = make_add(x, peer, keys);
	uint16_t owner;

	c.mode = p->reliable ? HOP_MODE_RELIABLE : HOP_MODE_DATAGRAM;
	c.path_mtu = p->searches ? 0 : UINT16_MAX;

	assert_int_equal(hop_table_add(x->w.hops, &c, p->now_ns, &owner), 0);
	assert_int_equal(owner, 0);
	run_commands(x);
}

void rekey(struct pair *p, struct node *x, const struct dpmsg_keys *keys, uint32_t flags)
{
	struct cmd_hop_rekey c = {.hop = x->hop, .flags = flags, .keys = *keys};

	assert_int_equal(hop_table_rekey(x->w.hops, &c, p->now_ns), 0);
	run_commands(x);
}

// ---- the wire ----

void flush(struct node *x)
{
	hop_tx_flush(&x->w);
	tx_flush(&x->w, 0);
}

void arrive(struct node *x, struct rte_mbuf **frames, unsigned n)
{
	struct rx_dgram d[BURST];
	struct hop *h = NULL;
	unsigned n_d = 0;

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = frames[i];
		uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
		struct parsed o;
		struct hop *to;
		uint64_t word;

		if (parse_frame(p, m->data_len, x->mac, (struct parse_ports){PORT, 1}, &o) !=
			PARSE_DATA) {
			rte_pktmbuf_free(m);
			continue;
		}
		count(&x->w, W_dgram_in, 1);
		word = hop_table_rx_word(x->w.hops, rail_data_receiver(p + o.off));
		to = word != 0 ? hop_by_word(&x->w, word) : NULL;
		if (to == NULL) {
			drop(&x->w, W_drop_index, m);
			continue;
		}
		rte_pktmbuf_adj(m, o.off);
		m->data_len = o.len;
		m->pkt_len = o.len;
		if (n_d == BURST || (h != NULL && to != h)) {
			hop_rx_burst(&x->w, h, d, n_d);
			n_d = 0;
		}
		h = to;
		d[n_d].m = m;
		memcpy(d[n_d].src_ip, o.src_ip, 16);
		d[n_d].src_port = o.src_port;
		d[n_d++].udp_len = o.len;
	}
	if (n_d > 0)
		hop_rx_burst(&x->w, h, d, n_d);
	flush(x);
}

void deliver_all(struct node *x, struct node *y)
{
	struct rte_mbuf *frames[WIRE_MAX];
	unsigned n;

	flush(x);
	n = x->n_wire;
	memcpy(frames, x->wire, n * sizeof(frames[0]));
	x->n_wire = 0;
	arrive(y, frames, n);
}

void lose_all(struct node *x)
{
	flush(x);
	rte_pktmbuf_free_bulk(x->wire, x->n_wire);
	x->n_wire = 0;
}

void settle(struct pair *p)
{
	for (unsigned i = 0; i < 16; i++) {
		deliver_all(&p->a, &p->b);
		deliver_all(&p->b, &p->a);
		if (p->a.n_wire == 0 && p->b.n_wire == 0)
			return;
		if (p->reliable) // a round trip that takes no time is measured for ever
			set_now(p, p->now_ns + RTT_NS);
	}
	fail_msg("the two never stop talking");
}

struct rte_mbuf *copy_of(struct pair *p, const struct rte_mbuf *m)
{
	struct rte_mbuf *c = rte_pktmbuf_copy(m, p->pool, 0, UINT32_MAX);

	assert_non_null(c);
	return c;
}

// ---- route packets ----

static uint8_t payload_byte(uint32_t id, uint32_t i)
{
	return (uint8_t)(id * 31 + i * 7 + (i >> 8));
}

struct rte_mbuf *route_packet(struct pair *p, uint8_t type, uint32_t id, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->pool);
	struct rte_mbuf *last = m;
	uint8_t *hdr;

	assert_non_null(m);
	hdr = (uint8_t *)rte_pktmbuf_append(m, ROUTE_HDR_LEN);
	route_hdr_put(hdr, type, id, len);
	for (uint32_t i = 0; i < len; i++) {
		if (rte_pktmbuf_tailroom(last) < 100) {
			struct rte_mbuf *next = rte_pktmbuf_alloc(p->pool);

			assert_non_null(next);
			last->next = next;
			m->nb_segs++;
			last = next;
		}
		*(rte_pktmbuf_mtod(last, uint8_t *) + last->data_len++) = payload_byte(id, i);
		m->pkt_len++;
	}
	return m;
}

void add_rule(struct pair *p, struct node *x, uint32_t id, uint32_t tx_hop, uint32_t in_tp)
{
	struct cmd_rule_add c = {.id = id,
		.next_id = id,
		.tx_hop = tx_hop,
		.in_tp = in_tp,
		.keep_alive_ms = 3600 * 1000,
		.type = tx_hop != 0 ? RULE_INTERMEDIARY : RULE_CONSUME};

	assert_int_equal(rule_table_add(&x->rules, &c, 0), 0);
}

void add_static(struct node *x, uint32_t id)
{
	const struct cmd_rule_add c = {.id = id,
		.next_id = id,
		.tx_hop = x->hop,
		.in_tp = RULE_IN_LOCAL,
		.flags = RULE_STATIC,
		.type = RULE_FORWARD};

	assert_int_equal(rule_table_add(&x->rules, &c, 0), 0);
}

void end_route(struct node *x, uint32_t id, uint8_t reason)
{
	const struct hop_msg end = {.kind = HOP_MSG_END,
		.reason = reason,
		.hop = x->hop,
		.id = id,
		.index = id & x->rules.mask};

	hop_message(&x->w, &end);
}

enum hop_push send_packet(struct pair *p, struct node *x, uint8_t type, uint32_t id, uint16_t len)
{
	struct rte_mbuf *m = route_packet(p, type, id, len);
	enum hop_push rc;

	m->hash.usr = id & x->rules.mask;
	rc = hop_tx_push(&x->w, x->hop, &m, 1);

	if (rc != HOP_PUSHED)
		rte_pktmbuf_free(m);
	return rc;
}

static void check_packet(const struct rte_mbuf *m, uint8_t type, uint32_t id, uint16_t len)
{
	uint8_t *buf = malloc(ROUTE_PACKET_MAX);
	const uint8_t *p = rte_pktmbuf_read(m, 0, m->pkt_len, buf);

	assert_int_equal(m->pkt_len, ROUTE_HDR_LEN + len);
	assert_true(m->data_len >= ROUTE_HDR_LEN);
	assert_int_equal(route_hdr_type(p), type);
	assert_int_equal(route_hdr_id(p), id);
	assert_int_equal(route_hdr_len(p), len);
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(p[ROUTE_HDR_LEN + i], payload_byte(id, i));
	free(buf);
}

void expect(struct node *x, uint8_t type, uint32_t id, uint16_t len)
{
	assert_true(x->n_got > 0);
	check_packet(x->got[0], type, id, len);
	rte_pktmbuf_free(x->got[0]);
	memmove(&x->got[0], &x->got[1], --x->n_got * sizeof(x->got[0]));
}

void forget_got(struct node *x)
{
	for (unsigned i = 0; i < x->n_got; i++)
		rte_pktmbuf_free(x->got[i]);
	x->n_got = 0;
}

void send_frames(struct pair *p, struct node *x, const void *frames, unsigned len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->pool);

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), frames, len);
	hop_seal(&x->w, hop_of(x), &m, 1);
}

// ---- notes ----

bool next_note(struct node *x, enum dp_note_kind kind, struct dp_note *n)
{
	while (hop_table_notes(x->w.hops, 0, n, 1, NULL) == 1)
		if (n->kind == kind)
			return true;
	return false;
}

void skip_notes(struct node *x)
{
	struct dp_note n[16];

	while (hop_table_notes(x->w.hops, 0, n, 16, NULL) > 0)
		;
}

// ---- begin and end ----

void advance(struct pair *p, uint64_t by_ns)
{
	set_now(p, p->now_ns + by_ns);
	for (unsigned i = 0; i < 4; i++) {
		hop_timers(&p->a.w);
		hop_timers(&p->b.w);
	}
	flush(&p->a);
	flush(&p->b);
}

void pair_init(struct pair *p, uint8_t cipher, bool ip6)
{
	pair_init_mode(p, cipher, ip6, false);
}

void pair_init_mode(struct pair *p, uint8_t cipher, bool ip6, bool reliable)
{
	static struct rte_mempool *pool;

	memset(p, 0, sizeof(*p));
	if (pool == NULL)
		pool = rte_pktmbuf_pool_create("test", 4095, 0, 0, 9300, SOCKET_ID_ANY);
	assert_non_null(pool);
	p->pool = pool;
	p->cipher = cipher;
	p->ip6 = ip6;
	p->reliable = reliable;
	p->free_before = rte_mempool_avail_count(p->pool);
	node_init(p, &p->a, 1);
	node_init(p, &p->b, 2);
	p->a.hop = HOP_A;
	p->b.hop = HOP_B;
	set_now(p, 1000 * S_NS);
	set_adj(&p->a, &p->b, 1500);
	set_adj(&p->b, &p->a, 1500);
}

void pair_connect(struct pair *p)
{
	struct dpmsg_keys at_a, at_b;

	make_keys(p, &p->a, &p->b, &at_a, &at_b);
	add_hop(p, &p->b, &p->a, &at_b);
	add_hop(p, &p->a, &p->b, &at_a);
	settle(p);
	assert_true(hop_of(&p->a)->up);
	assert_true(hop_of(&p->b)->up);
	skip_notes(&p->a);
	skip_notes(&p->b);
}

void pair_link(struct pair *p, uint8_t cipher, bool ip6)
{
	pair_init(p, cipher, ip6);
	pair_connect(p);
}

void pair_link_reliable(struct pair *p, uint8_t cipher, bool ip6)
{
	pair_init_mode(p, cipher, ip6, true);
	pair_connect(p);
}

static void books_balance(const struct node *x)
{
	uint64_t in[STAGE_info + 1] = {0}, out[STAGE_info + 1] = {0};

#define COUNTER_WORKER(stage, role, name, unit, help)                                              \
	if (ROLE_##role == ROLE_IN)                                                                \
		in[STAGE_##stage] += counter(x, W_##name);                                         \
	else if (ROLE_##role != ROLE_INFO)                                                         \
		out[STAGE_##stage] += counter(x, W_##name);
#include "lib/shm/counters.def"
	assert_int_equal(in[STAGE_dgram], out[STAGE_dgram]);
	assert_int_equal(in[STAGE_seal], out[STAGE_seal]);
	// the wire takes what a port would
	assert_true(in[STAGE_send] >= out[STAGE_send]);
}

static void node_fini(struct node *x)
{
	lose_all(x);
	forget_got(x);
	books_balance(x);
	hop_table_free(x->w.hops);
	free(x->w.aead);
	adj_table_free((struct adj_table *)(uintptr_t)x->w.adjs);
	rule_table_fini(&x->rules);
	reclaim_free(x->w.reclaim);
}

void pair_fini(struct pair *p)
{
	node_fini(&p->a);
	node_fini(&p->b);
	assert_int_equal(rte_mempool_avail_count(p->pool), p->free_before);
}
