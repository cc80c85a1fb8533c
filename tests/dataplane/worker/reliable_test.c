// Reliable transports through real workers (rail.md 4): a chain of hops that all live in one node,
// whose frames a test carries from its transmit rings to its receive rings, or loses. Packets go in
// where the control plane's go in and come out where they come out for it, so one route crosses an
// ingress edge, a transit and an egress edge, and as many workers as there are.

#include "dataplane/hop/hop_route.h"
#include "lib/base/clock.h"
#include "lib/wire/route_hdr.h"
#include "tests/dataplane/worker/node.h"
#include "tests/support/eal.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum {
	PAIRS = 2, // A - B - C
	HOPS = 2 * PAIRS,
	IDX = 1 << NODE_RULE_BITS,
	EDGE_IN = IDX | 1, // forward, at A; later routes have the next three indices, and so on
	TRANSIT = IDX | 2, // at B
	EDGE_OUT = IDX | 3, // consume, at C
	PATIENCE_S = 60,
};

struct chain {
	struct node n;
	uint32_t hop[HOPS], tp[HOPS];
	unsigned lose; // of 1000
	unsigned n_lost;
	bool steady; // all arrive by one queue, so in order
	uint64_t rng;
	uint32_t route; // 3 times the number of routes before
	unsigned n_rekeys;
	// what came out
	uint32_t n_up;
	uint32_t next; // number of the next packet
	bool deaf; // the control plane reads nothing
	bool lossy; // packets may be missing
	bool any_order;
	unsigned moves; // of 1000 turns of the main lcore that begin one
	bool moving;
	unsigned n_moves, n_refused;
	bool got_close, got_error;
	// notes
	unsigned n_paused, n_resumed, n_ended, n_gone, n_resets;
	uint32_t reason[4]; // of ends, by index of the rule
	char error[64]; // what the Error says that came out
	struct evt_rule last_gone;
};

static uint32_t dice(struct chain *c, uint32_t sides)
{
	c->rng ^= c->rng << 13;
	c->rng ^= c->rng >> 7;
	c->rng ^= c->rng << 17;
	return (uint32_t)((c->rng >> 11) % sides);
}

// ---- the main lcore's part ----

static bool on_ending(void *ctx, const struct rule *r, uint32_t index, bool again)
{
	struct chain *c = ctx;
	const struct hop_msg msg = {.kind = HOP_MSG_REMOVED,
		.draining = r->reason == RULE_GONE_CLOSE,
		.late = again,
		.id = r->last_id,
		.index = index};

	return hop_table_msg(
		c->n.hops, atomic_load_explicit(&r->route_owner, memory_order_relaxed) - 1u, &msg);
}

static void on_gone(void *ctx, const struct evt_rule *final)
{
	struct chain *c = ctx;

	c->n_gone++;
	c->last_gone = *final;
}

static uint32_t on_freed(void *ctx, uint32_t index, bool is_over)
{
	return hop_table_route_freed(((struct chain *)ctx)->n.hops, index, is_over);
}

static void on_note(struct chain *c, const struct dp_note *n)
{
	switch (n->kind) {
	case NOTE_ROUTE_PAUSE:
		c->n_paused++;
		break;
	case NOTE_ROUTE_RESUME:
		c->n_resumed++;
		break;
	case NOTE_RULE_END:
		c->n_ended++;
		c->reason[(n->id % IDX - 1) % 3 + 1] = n->value; // by place in its route
		rule_table_del(&c->n.rules, n->id, RULE_GONE_PEER);
		break;
	case NOTE_RULE_CLOSE:
		rule_table_del(&c->n.rules, n->id, RULE_GONE_CLOSE);
		break;
	case NOTE_HOP_RESET:
		c->n_resets++;
		break;
	default:
		break;
	}
}

// A hop goes to some other worker.
static void move_some(struct chain *c)
{
	uint16_t from, owner, to = (uint16_t)dice(c, c->n.conf.workers);
	uint32_t hop = c->hop[dice(c, HOPS)];
	int status, rc;

	if (!c->moving) {
		if (dice(c, 1000) < c->moves)
			c->moving = hop_table_move(c->n.hops, hop, to) == 0;
		return;
	}
	rc = hop_table_moved(c->n.hops, &status, &from, &owner);
	if (rc == -EINPROGRESS)
		return;
	assert_int_equal(rc, 0);
	c->moving = false;
	c->n_moves += status == 0;
	c->n_refused += status == -ENOSPC;
}

static void main_turn(struct chain *c)
{
	struct dp_note notes[64];

	move_some(c);

	for (unsigned w = 0; w < c->n.conf.workers; w++) {
		unsigned n = hop_table_notes(c->n.hops, w, notes, 64, NULL);

		for (unsigned i = 0; i < n; i++)
			on_note(c, &notes[i]);
	}
	c->n.rules.now_ns = clock_mono_ns();
	rule_table_poll(&c->n.rules, 64);
}

// ---- the wire and the control plane's ends ----

static void carry(struct chain *c)
{
	struct node *n = &c->n;

	for (unsigned p = 0; p < NODE_PORTS; p++)
		for (unsigned q = 0; q < n->conf.workers; q++) {
			struct rte_mbuf *m;

			while (rte_ring_dequeue(n->tx[p][q], (void **)&m) == 0) {
				if (dice(c, 1000) < c->lose) {
					rte_pktmbuf_free(m);
					c->n_lost++;
					continue;
				}
				if (rte_ring_enqueue(
					    n->rx[p][c->steady ? 0 : dice(c, n->conf.workers)],
					    m) != 0)
					fail_msg("the wire is too short");
			}
		}
}

static void read_up(struct chain *c)
{
	static uint8_t buf[sizeof(struct msg_route) + DPMSG_ROUTE_MAX + 64];
	struct msg_route rec;
	int len;

	while (!c->deaf && (len = node_up(&c->n, buf, sizeof(buf))) != 0) {
		const uint8_t *p = buf + sizeof(rec);

		memcpy(&rec, buf, sizeof(rec));
		if (rec.id != EDGE_OUT + c->route) { // last words of a route before
			assert_int_not_equal(route_hdr_type(p), ROUTE_DATA);
			continue;
		}
		assert_int_equal(route_hdr_packet_len(p), (unsigned)len - sizeof(rec));
		if (route_hdr_type(p) == ROUTE_CLOSE) {
			c->got_close = true;
			continue;
		}
		if (route_hdr_type(p) == ROUTE_ERROR) {
			c->got_error = true;
			snprintf(c->error, sizeof(c->error), "%.*s", (int)route_hdr_len(p),
				(const char *)p + ROUTE_HDR_LEN);
			continue;
		}
		assert_false(c->got_close);
		if (c->any_order)
			assert_true(be32_get(p + ROUTE_HDR_LEN) < c->next + IDX);
		else if (c->lossy)
			assert_true(be32_get(p + ROUTE_HDR_LEN) >= c->next);
		else
			assert_int_equal(be32_get(p + ROUTE_HDR_LEN), c->next);
		c->next = be32_get(p + ROUTE_HDR_LEN) + 1;
		c->n_up++;
	}
}

static void turn(struct chain *c)
{
	for (unsigned i = 0; i < c->n.conf.workers; i++)
		worker_turn(c->n.w[i]);
	carry(c);
	read_up(c);
	main_turn(c);
}

static void send_packet(struct chain *c, uint8_t type, uint32_t number, uint16_t len)
{
	static uint8_t p[DPMSG_ROUTE_MAX];

	route_hdr_put(p, type, 0, len);
	memset(p + ROUTE_HDR_LEN, (int)number, len);
	if (len >= 4)
		be32_put(p + ROUTE_HDR_LEN, number);
	node_down_route(&c->n, 0, EDGE_IN + c->route, p, ROUTE_HDR_LEN + (uint32_t)len);
}

static uint64_t held(const struct chain *c)
{
	return node_counter(&c->n, W_seal_in) - node_counter(&c->n, W_seal_acked) -
	       node_counter(&c->n, W_drop_seal_freed) - node_counter(&c->n, W_drop_route_ended) -
	       node_counter(&c->n, W_drop_route_full) - node_counter(&c->n, W_seal_whole) -
	       node_counter(&c->n, W_seal_parted);
}

#define UNTIL(c, condition)                                                                        \
	do {                                                                                       \
		uint64_t until_ns = clock_mono_ns() + PATIENCE_S * 1000000000ull;                  \
		while (!(condition)) {                                                             \
			turn(c);                                                                   \
			if (clock_mono_ns() > until_ns)                                            \
				fail_msg("never: %s", #condition);                                 \
		}                                                                                  \
	} while (0)

// ---- set-up ----

static const uint8_t node_ip[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1};

static void make_hop(struct chain *c, unsigned i, uint8_t mode)
{
	struct cmd_hop_add hop = {.flow = 1,
		.mode = mode,
		.window_log2 = 13,
		.instance_local = 1,
		.adj = 1u << DPMSG_HANDLE_BITS | 1,
		.local_port = NODE_UDP,
		.payload_max = NODE_DGRAM_MAX,
		.path_mtu = UINT16_MAX};
	uint16_t owner;

	c->hop[i] = 2u << DPMSG_HANDLE_BITS | (i + 1);
	c->tp[i] = 3u << DPMSG_HANDLE_BITS | (i + 1);
	hop.hop = c->hop[i];
	hop.tp = c->tp[i];
	hop.owner = (uint8_t)(i % c->n.conf.workers);
	memcpy(hop.peer.ip, node_ip, 16);
	hop.peer.port = NODE_UDP;
	hop.keys.rx_index = 0xabcd0010u + i;
	hop.keys.tx_index = 0xabcd0010u + (i ^ 1);
	memset(hop.keys.rx_key, 0x10 + (int)i, 32);
	memset(hop.keys.tx_key, 0x10 + (int)(i ^ 1), 32);
	hop.keys.cipher = (uint8_t)c->n.conf.cipher;
	hop.keys.initiator = i % 2 == 0;
	assert_int_equal(hop_table_add(c->n.hops, &hop, clock_mono_ns(), &owner), 0);
}

static void add_route(struct chain *c)
{
	uint32_t r = c->route;

	node_rule(&c->n, EDGE_IN + r, RULE_FORWARD, TRANSIT + r, c->hop[0], RULE_IN_LOCAL);
	node_rule(&c->n, TRANSIT + r, RULE_INTERMEDIARY, EDGE_OUT + r, c->hop[2], c->tp[1]);
	node_rule(&c->n, EDGE_OUT + r, RULE_CONSUME, 0, 0, c->tp[3]);
}

static void chain_open(struct chain *c, const struct node_conf *conf, const uint8_t mode[PAIRS])
{
	struct cmd_adj_set adj = {.adj = 1u << DPMSG_HANDLE_BITS | 1, .mtu = NODE_MTU, .usable = 1};

	memset(c, 0, sizeof(*c));
	c->rng = 88172645463325252ull;
	node_open(&c->n, conf);
	c->n.rules.ending = on_ending;
	c->n.rules.gone = on_gone;
	c->n.rules.freed = on_freed;
	c->n.rules.gone_ctx = c;
	adj.port = c->n.port[0];
	memcpy(adj.src_mac, c->n.mac, 6);
	memcpy(adj.dst_mac, c->n.mac, 6);
	memcpy(adj.src_ip, node_ip, 16);
	memcpy(adj.dst_ip, node_ip, 16);
	assert_int_equal(adj_set(c->n.adjs, &adj), 0);
	for (unsigned i = 0; i < HOPS; i++)
		make_hop(c, i, mode[i / 2]);
	add_route(c);
	for (unsigned i = 0; i < 100; i++) // the responders' keys are confirmed by probes
		turn(c);
}

static void chain_close(struct chain *c)
{
	c->lose = 0;
	c->deaf = false;
	c->moves = 0;
	UNTIL(c, held(c) == 0 && !c->moving);
	for (unsigned i = 0; i < 100; i++)
		turn(c);
	c->n.rules.gone = NULL;
	c->n.rules.ending = NULL;
	c->n.rules.freed = NULL;
	node_close(&c->n);
}

static const uint8_t reliable[PAIRS] = {HOP_MODE_RELIABLE, HOP_MODE_RELIABLE};

// ---- tests ----

static void send_many(struct chain *c, uint32_t first, uint32_t n, uint16_t len)
{
	for (uint32_t i = 0; i < n; i++) {
		send_packet(c, ROUTE_DATA, first + i, len);
		if (i % 32 == 31)
			turn(c);
	}
}

static void everything_arrives(unsigned workers, unsigned lose, enum aead_cipher cipher)
{
	struct node_conf conf = {.workers = workers, .cipher = cipher, .rel_bufs = 4096};
	struct chain c;

	chain_open(&c, &conf, reliable);
	c.lose = lose;
	send_many(&c, 0, 2000, 700);
	UNTIL(&c, c.n_up == 2000);
	UNTIL(&c, held(&c) == 0);
	if (lose != 0) {
		assert_true(c.n_lost > 0);
		assert_true(node_counter(&c.n, W_rel_retransmitted) > 0);
	}
	assert_int_equal(node_counter(&c.n, W_drop_seal_freed), 0);
	chain_close(&c);
}

static void a_chain_delivers_in_order(void **state)
{
	everything_arrives(1, 0, AEAD_NONE);
	everything_arrives(2, 0, AEAD_CHACHA20_POLY1305);
}

static void a_chain_that_loses_delivers_all_the_same(void **state)
{
	everything_arrives(1, 20, AEAD_CHACHA20_POLY1305);
	everything_arrives(2, 50, AEAD_NONE);
	everything_arrives(3, 20, AEAD_NONE);
}

static void jumbo_packets_cross_in_parts(void **state)
{
	struct node_conf conf = {.workers = 2, .cipher = AEAD_NONE, .rel_bufs = 4096};
	struct chain c;

	chain_open(&c, &conf, reliable);
	c.lose = 20;
	for (uint32_t i = 0; i < 30; i++) {
		send_packet(&c, ROUTE_DATA, i, i % 3 == 0 ? 20000 : 100);
		turn(&c);
	}
	UNTIL(&c, c.n_up == 30);
	assert_true(node_counter(&c.n, W_rel_joined) > 0);
	chain_close(&c);
}

// The far edge reads nothing: those before it are told to wait, one after the other. Returns how
// many packets were sent.
static uint32_t fill_up(struct chain *c)
{
	uint32_t n = 0;

	c->deaf = true;
	for (unsigned i = 0; i < 3000 && c->n_paused == 0; i++) {
		send_packet(c, ROUTE_DATA, n++, 1000);
		turn(c);
		if (i % 16 == 0) // so that acks are not all the time behind
			for (unsigned k = 0; k < 20; k++)
				turn(c);
	}
	UNTIL(c, c->n_paused == 1);
	return n;
}

static void a_slow_reader_pauses_the_far_edge(unsigned workers)
{
	struct node_conf conf = {
		.workers = workers, .cipher = AEAD_NONE, .rel_bufs = 4096, .up_size = 1 << 18};
	struct chain c;
	uint32_t n;

	chain_open(&c, &conf, reliable);
	n = fill_up(&c);
	assert_int_equal(c.n_resumed, 0);
	c.deaf = false;
	UNTIL(&c, c.n_up == n);
	UNTIL(&c, c.n_resumed == 1);
	assert_int_equal(node_counter(&c.n, W_drop_up_ring), 0);
	assert_int_equal(node_counter(&c.n, W_routes_stalled), 0);
	chain_close(&c);
}

static void pauses_go_back_to_the_edge(void **state)
{
	a_slow_reader_pauses_the_far_edge(1);
	a_slow_reader_pauses_the_far_edge(2);
}

static unsigned n_refused;

static bool refuse(struct wctx *w, unsigned to, const struct hop_msg *msg)
{
	n_refused++;
	return false;
}

// The ring between two workers is full when one has to tell the other that it may go on.
static void a_resume_that_finds_no_room_is_told_later(void **state)
{
	struct node_conf conf = {
		.workers = 2, .cipher = AEAD_NONE, .rel_bufs = 4096, .up_size = 1 << 18};
	struct wctx_ops ops;
	const struct wctx_ops *was;
	struct chain c;
	uint32_t n = 0;

	chain_open(&c, &conf, reliable);
	was = c.n.w[0]->ops;
	ops = *was;
	ops.handoff_msg = refuse;
	n_refused = 0;
	c.deaf = true;
	while (n < 3000 && c.n_paused == 0) {
		send_packet(&c, ROUTE_DATA, n, 1000);
		turn(&c);
		for (unsigned k = 0; n % 16 == 0 && k < 20; k++)
			turn(&c);
		n++;
	}
	UNTIL(&c, c.n_paused == 1);
	c.n.w[0]->ops = &ops;
	c.deaf = false;
	UNTIL(&c, n_refused > 1);
	assert_true(c.n_up < n);
	c.n.w[0]->ops = was;
	UNTIL(&c, c.n_up == n);
	UNTIL(&c, c.n_resumed == 1);
	assert_int_equal(node_counter(&c.n, W_routes_stalled), 0);
	chain_close(&c);
}

// An edge that does not wait when it is told to: the route that holds most pays, with a reason.
static void what_is_held_has_a_limit(void **state)
{
	struct node_conf conf = {.workers = 1, .cipher = AEAD_NONE, .rel_bufs = 512};
	struct chain c;

	chain_open(&c, &conf, reliable);
	c.lose = 1000;
	send_many(&c, 0, 700, 100);
	assert_true(node_counter(&c.n, W_routes_held) > 0);
	UNTIL(&c, c.n_ended == 1);
	assert_int_equal(c.reason[EDGE_IN % IDX], RAIL_GONE_HELD);
	c.lose = 0;
	// what waits for acks is gone; the end is told along the route
	UNTIL(&c, held(&c) == 0);
	UNTIL(&c, c.n_gone == 3);
	assert_int_equal(c.reason[TRANSIT % IDX], RAIL_GONE_HELD);
	assert_true(c.got_error);
	assert_string_equal(c.error, "transit node held too much of the route");
	assert_true(node_counter(&c.n, W_drop_seal_freed) > 0);
	chain_close(&c);
}

static void a_close_comes_last_and_takes_the_rules_with_it(unsigned workers, unsigned lose)
{
	struct node_conf conf = {.workers = workers, .cipher = AEAD_NONE, .rel_bufs = 4096};
	struct chain c;

	chain_open(&c, &conf, reliable);
	c.lose = lose;
	send_many(&c, 0, 300, 500);
	send_packet(&c, ROUTE_CLOSE, 0, 1);
	UNTIL(&c, c.got_close);
	assert_int_equal(c.n_up, 300);
	UNTIL(&c, c.n_gone >= 2); // forward rules of the edge stay with it
	UNTIL(&c, held(&c) == 0);
	assert_int_equal(c.last_gone.freed, 0);
	chain_close(&c);
}

static void a_close_waits_for_all_acks(void **state)
{
	a_close_comes_last_and_takes_the_rules_with_it(1, 0);
	a_close_comes_last_and_takes_the_rules_with_it(2, 30);
}

static void a_rule_that_is_removed_keeps_its_slot_until_all_is_over(void **state)
{
	struct node_conf conf = {.workers = 2, .cipher = AEAD_NONE, .rel_bufs = 4096};
	struct cmd_rule_add again = {.id = TRANSIT,
		.next_id = EDGE_OUT,
		.keep_alive_ms = 1000,
		.type = RULE_INTERMEDIARY};
	struct chain c;

	chain_open(&c, &conf, reliable);
	again.tx_hop = c.hop[2];
	again.in_tp = c.tp[1];
	send_many(&c, 0, 64, 500);
	UNTIL(&c, c.n_up > 0);
	c.lose = 1000;
	send_many(&c, 64, 64, 500);
	assert_int_equal(rule_table_del(&c.n.rules, TRANSIT, RULE_GONE_DEL), 0);
	assert_int_equal(rule_table_add(&c.n.rules, &again, 0), -EAGAIN);
	c.lose = 0;
	UNTIL(&c, c.n_gone > 0);
	chain_close(&c);
}

// Nobody reads, all is full, and the node ends: every buffer comes back.
static void what_waits_at_the_end_is_given_back(void **state)
{
	struct node_conf conf = {
		.workers = 2, .cipher = AEAD_NONE, .rel_bufs = 4096, .up_size = 1 << 18};
	struct chain c;

	chain_open(&c, &conf, reliable);
	fill_up(&c);
	c.n.rules.gone = NULL;
	c.n.rules.ending = NULL;
	c.n.rules.freed = NULL;
	node_drop(&c.n);
}

// ---- anything, in any order, against what has to come of it ----

enum { RANDOM_ROUTES = 12, REKEYS_MAX = 40 };

// Fresh keys at both ends of a link, as a re-key leaves them, or a handshake with a lost state.
static void new_keys(struct chain *c, unsigned pair, uint32_t flags)
{
	uint32_t serial = ++c->n_rekeys;

	for (unsigned side = 2; side-- > 0;) { // the responder first
		unsigned i = 2 * pair + side;
		struct cmd_hop_rekey k = {.hop = c->hop[i],
			.flags = flags,
			.instance_local = flags != 0 ? serial + 1 : 1};

		k.keys.rx_index = serial << 16 | (0x20 + serial * HOPS + i);
		k.keys.tx_index = serial << 16 | (0x20 + serial * HOPS + (i ^ 1));
		memset(k.keys.rx_key, (int)(0x40 + serial * HOPS + i), 32);
		memset(k.keys.tx_key, (int)(0x40 + serial * HOPS + (i ^ 1)), 32);
		k.keys.cipher = (uint8_t)c->n.conf.cipher;
		k.keys.initiator = side == 0;
		assert_int_equal(hop_table_rekey(c->n.hops, &k, clock_mono_ns()), 0);
	}
	turn(c);
}

// Sends on the present route, with anything between that must not be noticed. Returns how many.
static uint32_t random_traffic(struct chain *c)
{
	uint32_t sent = 0;

	for (unsigned op = 0; op < 20; op++) {
		switch (dice(c, 5)) {
		case 0:
			if (c->n_rekeys < REKEYS_MAX)
				new_keys(c, dice(c, PAIRS), 0);
			break;
		case 1:
			c->deaf = !c->deaf;
			break;
		default:
			for (uint32_t n = dice(c, 20); n > 0; n--)
				send_packet(c, ROUTE_DATA, sent++, (uint16_t)(4 + dice(c, 3000)));
		}
		for (unsigned k = dice(c, 8); k > 0; k--)
			turn(c);
	}
	c->deaf = false;
	return sent;
}

static void all_rules_go(struct chain *c, enum rule_gone why)
{
	for (uint32_t id = EDGE_IN; id <= EDGE_OUT; id++)
		rule_table_del(&c->n.rules, id + c->route, why);
}

static void one_random_route(struct chain *c, bool whole)
{
	uint32_t sent = random_traffic(c);
	unsigned resets = c->n_resets;

	switch (dice(c, 4)) {
	case 0: // a hole: what came is a beginning of what was sent, and nothing comes after
		if (c->n_rekeys < REKEYS_MAX) {
			new_keys(c, dice(c, PAIRS), HOP_RESET);
			UNTIL(c, !whole || c->n_resets > resets);
			all_rules_go(c, RULE_GONE_RESET);
			break;
		}
		// fall through
	case 1:
		rule_table_del(&c->n.rules, TRANSIT + c->route, RULE_GONE_DEL);
		UNTIL(c, held(c) == 0);
		all_rules_go(c, RULE_GONE_DEL);
		break;
	default: // all of it, then the Close
		send_packet(c, ROUTE_CLOSE, 0, 1);
		if (whole) {
			UNTIL(c, c->got_close);
			assert_int_equal(c->n_up, sent);
		}
		UNTIL(c, held(c) == 0);
		assert_true(c->n_up <= sent);
		all_rules_go(c, RULE_GONE_DEL);
	}
	UNTIL(c, held(c) == 0);
	assert_true(c->n_up <= sent);
	for (unsigned i = 0; i < 50; i++)
		turn(c);
	c->n_up = c->next = 0;
	c->got_close = c->got_error = false;
	c->route += 3;
}

static void random_routes(uint64_t seed)
{
	struct node_conf conf = {
		.workers = 1 + (unsigned)(seed % 3), .cipher = AEAD_NONE, .rel_bufs = 4096};
	uint8_t mode[PAIRS];
	struct chain c;
	bool whole = true;

	for (unsigned i = 0; i < PAIRS; i++) {
		mode[i] = (seed >> (2 + i) & 1) != 0 ? HOP_MODE_DATAGRAM : HOP_MODE_RELIABLE;
		whole &= mode[i] == HOP_MODE_RELIABLE;
	}
	print_message("seed %lu: %u workers, %s\n", (unsigned long)seed, conf.workers,
		whole ? "reliable" : "with a link in datagram mode");
	chain_open(&c, &conf, mode);
	c.rng ^= seed * 0x9e3779b97f4a7c15ull;
	c.lose = whole ? dice(&c, 40) : 0;
	c.steady = c.lossy = !whole;
	for (unsigned i = 0; i < RANDOM_ROUTES; i++) {
		if (i > 0)
			add_route(&c);
		one_random_route(&c, whole);
	}
	chain_close(&c);
}

static void routes_come_and_go_as_they_should(void **state)
{
	const char *one = getenv("SKYRAIL_TEST_SEED");

	for (uint64_t seed = 0; one == NULL && seed < 24; seed++)
		random_routes(seed);
	if (one != NULL)
		random_routes(strtoull(one, NULL, 10));
}

// ---- threads ----

static void *run(void *w)
{
	worker_run(w);
	return NULL;
}

static void nap_us(long us)
{
	struct timespec ts = {.tv_nsec = us * 1000};

	nanosleep(&ts, NULL);
}

// Workers in threads while the rules of other routes come and go over the same hops.
static void workers_in_threads_deliver_while_rules_change(void **state)
{
	struct node_conf conf = {.workers = 3, .cipher = AEAD_NONE, .rel_bufs = 4096};
	static struct chain c;
	pthread_t t[NODE_WORKERS];
	uint32_t sent = 0, generation = 2;
	uint64_t until_ns = clock_mono_ns() + PATIENCE_S * 1000000000ull;

#ifdef __SANITIZE_THREAD__
	skip(); // packets cross threads in DPDK's rings, whose order it does not see
#endif
	chain_open(&c, &conf, reliable);
	c.lose = 10;
	for (unsigned i = 0; i < conf.workers; i++)
		assert_int_equal(pthread_create(&t[i], NULL, run, c.n.w[i]), 0);
	while (c.n_up < 3000 && clock_mono_ns() < until_ns) {
		uint32_t other = generation << NODE_RULE_BITS | 5;
		static const uint8_t pkt[ROUTE_HDR_LEN + 10] = {[6] = 10};

		if (sent < 3000 && sent - c.n_up < 500)
			send_packet(&c, ROUTE_DATA, sent++, 600);
		if (sent % 16 == 0) {
			node_down_route(&c.n, sent % 3, other, pkt, sizeof(pkt));
			if (rule_lookup(&c.n.rules, other) != NULL) {
				rule_table_del(&c.n.rules, other, RULE_GONE_DEL);
			} else {
				uint32_t next = generation + 1;
				struct cmd_rule_add r = {.id = next << NODE_RULE_BITS | 5,
					.next_id = 999,
					.tx_hop = c.hop[next % 2 == 0 ? 0 : 3],
					.in_tp = RULE_IN_LOCAL,
					.flags = RULE_STATIC,
					.type = RULE_FORWARD};

				if (rule_table_add(&c.n.rules, &r, 0) == 0)
					generation = next;
			}
		}
		carry(&c);
		read_up(&c);
		main_turn(&c);
		if (sent % 8 == 0)
			nap_us(50);
	}
	worker_stop(c.n.set);
	for (unsigned i = 0; i < conf.workers; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(c.n_up, 3000);
	assert_true(generation > 3);
	chain_close(&c);
}

// ---- hops change the worker while packets are everywhere ----

static void hops_move(struct chain *c, const uint8_t mode[PAIRS], unsigned workers, unsigned lose)
{
	struct node_conf conf = {
		.workers = workers, .cipher = AEAD_CHACHA20_POLY1305, .rel_bufs = 4096};

	chain_open(c, &conf, mode);
	c->lose = lose;
	c->moves = 700;
}

// A move takes some turns.
static void send_slowly(struct chain *c, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		send_packet(c, ROUTE_DATA, i, 700);
		if (i % 8 == 7)
			turn(c);
	}
}

static void hops_that_move_deliver_in_order(void **state)
{
	static const unsigned lose[] = {0, 30};
	struct chain c;

	for (unsigned i = 0; i < ARRAY_LEN(lose); i++) {
		hops_move(&c, reliable, 4, lose[i]);
		send_slowly(&c, 3000);
		UNTIL(&c, c.n_up == 3000);
		UNTIL(&c, held(&c) == 0);
		assert_true(c.n_moves > 20);
		assert_int_equal(c.n_refused, 0);
		assert_int_equal(node_counter(&c.n, W_drop_seal_freed), 0);
		assert_int_equal(node_counter(&c.n, W_drop_hop_gone), 0);
		chain_close(&c);
	}
}

static void parts_are_joined_by_a_hop_that_moves(void **state)
{
	struct chain c;

	hops_move(&c, reliable, 3, 20);
	for (uint32_t i = 0; i < 200; i++) {
		send_packet(&c, ROUTE_DATA, i, i % 3 == 0 ? 20000 : 100);
		turn(&c);
	}
	UNTIL(&c, c.n_up == 200);
	assert_true(c.n_moves > 10 && node_counter(&c.n, W_rel_joined) > 0);
	chain_close(&c);
}

// What waits for a control plane that does not read goes along, paused or not.
static void held_packets_go_with_their_hop(void **state)
{
	struct chain c;
	uint32_t sent = 0;

	hops_move(&c, reliable, 3, 0);
	c.deaf = true;
	while (c.n_paused == 0) {
		send_packet(&c, ROUTE_DATA, sent++, 1000);
		turn(&c);
		assert_true(sent < 100000);
	}
	for (unsigned i = 0; i < 2000; i++)
		turn(&c);
	assert_true(c.n_moves > 20);
	c.deaf = false;
	UNTIL(&c, c.n_up == sent);
	assert_true(c.n_resumed > 0);
	chain_close(&c);
}

// Nothing of datagram mode is lost, either; only its order is not promised.
static void datagrams_survive_the_move_of_their_hop(void **state)
{
	static const uint8_t plain[PAIRS] = {HOP_MODE_DATAGRAM, HOP_MODE_DATAGRAM};
	struct chain c;

	hops_move(&c, plain, 4, 0);
	c.steady = true;
	c.any_order = true;
	send_slowly(&c, 3000);
	UNTIL(&c, c.n_up == 3000);
	assert_true(c.n_moves > 20);
	chain_close(&c);
}

static void a_close_reaches_the_end_though_hops_move(void **state)
{
	struct chain c;

	hops_move(&c, reliable, 3, 30);
	send_slowly(&c, 1000);
	send_packet(&c, ROUTE_CLOSE, 0, 1);
	UNTIL(&c, c.got_close);
	assert_int_equal(c.n_up, 1000);
	UNTIL(&c, c.n_gone >= 2 && c.n.rules.n_retired == 0);
	assert_true(c.n_moves > 5);
	chain_close(&c);
}

static void hops_move_between_threads(void **state)
{
	struct node_conf conf = {.workers = 4, .cipher = AEAD_NONE, .rel_bufs = 4096};
	static struct chain c;
	pthread_t t[NODE_WORKERS];
	uint32_t sent = 0;
	uint64_t until_ns = clock_mono_ns() + PATIENCE_S * 1000000000ull;

#ifdef __SANITIZE_THREAD__
	skip(); // packets cross threads in DPDK's rings, whose order it does not see
#endif
	chain_open(&c, &conf, reliable);
	c.lose = 10;
	c.moves = 1000;
	for (unsigned i = 0; i < conf.workers; i++)
		assert_int_equal(pthread_create(&t[i], NULL, run, c.n.w[i]), 0);
	while ((c.n_up < 3000 || c.n_moves < 50) && clock_mono_ns() < until_ns) {
		if (sent < 3000 && sent - c.n_up < 500)
			send_packet(&c, ROUTE_DATA, sent++, 600);
		carry(&c);
		read_up(&c);
		main_turn(&c);
		if (sent % 8 == 0)
			nap_us(50);
	}
	c.moves = 0;
	while (c.moving && clock_mono_ns() < until_ns)
		main_turn(&c);
	worker_stop(c.n.set);
	for (unsigned i = 0; i < conf.workers; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(c.n_up, 3000);
	assert_true(c.n_moves >= 50);
	chain_close(&c);
}

// Datagram mode on one side: what can't be told to wait is dropped before it fills the node.
static void modes_may_be_mixed(void **state)
{
	static const uint8_t mixed[PAIRS] = {HOP_MODE_DATAGRAM, HOP_MODE_RELIABLE};
	struct node_conf conf = {.workers = 2, .cipher = AEAD_NONE, .rel_bufs = 4096};
	struct chain c;

	chain_open(&c, &conf, mixed);
	c.steady = true;
	c.lossy = true;
	send_many(&c, 0, 500, 500);
	UNTIL(&c, c.n_up + node_counter(&c.n, W_drop_route_full) == 500);
	assert_true(c.n_up > 100);
	chain_close(&c);
}

static void a_link_that_is_shut_is_told_to_have_lost_its_routes(void **state)
{
	struct node_conf conf = {.workers = 1, .cipher = AEAD_NONE, .rel_bufs = 4096};
	struct chain c;
	struct hop *h;

	chain_open(&c, &conf, reliable);
	send_many(&c, 0, 10, 100);
	UNTIL(&c, c.n_up == 10);
	h = hop_by_handle(c.n.w[0], c.hop[2]);
	hop_shut(c.n.w[0], h, true, 0, "no answer", 9);
	UNTIL(&c, c.n_resets == 1);
	assert_false(h->up);
	chain_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chain_delivers_in_order),
		cmocka_unit_test(a_chain_that_loses_delivers_all_the_same),
		cmocka_unit_test(jumbo_packets_cross_in_parts),
		cmocka_unit_test(pauses_go_back_to_the_edge),
		cmocka_unit_test(a_resume_that_finds_no_room_is_told_later),
		cmocka_unit_test(what_is_held_has_a_limit),
		cmocka_unit_test(a_close_waits_for_all_acks),
		cmocka_unit_test(a_rule_that_is_removed_keeps_its_slot_until_all_is_over),
		cmocka_unit_test(routes_come_and_go_as_they_should),
		cmocka_unit_test(what_waits_at_the_end_is_given_back),
		cmocka_unit_test(workers_in_threads_deliver_while_rules_change),
		cmocka_unit_test(hops_that_move_deliver_in_order),
		cmocka_unit_test(parts_are_joined_by_a_hop_that_moves),
		cmocka_unit_test(held_packets_go_with_their_hop),
		cmocka_unit_test(datagrams_survive_the_move_of_their_hop),
		cmocka_unit_test(a_close_reaches_the_end_though_hops_move),
		cmocka_unit_test(hops_move_between_threads),
		cmocka_unit_test(modes_may_be_mixed),
		cmocka_unit_test(a_link_that_is_shut_is_told_to_have_lost_its_routes),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
