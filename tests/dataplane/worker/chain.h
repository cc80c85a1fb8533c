// A chain of reliable hops that all live in one node of real workers (node.h), whose frames a test
// carries from its transmit rings to its receive rings, or loses; and what carried hops give to one
// another through the connections that the control plane has for them. Packets go in where the
// control plane's go in and come out where they come out for it, so one route crosses an ingress
// edge, a transit and an egress edge, and as many workers as there are. Each test that includes it
// is a program of its own and uses what it needs.
#pragma once
#pragma GCC diagnostic ignored "-Wunused-function"

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
	PIPE_LEN = 4096, // power of two
	PIPE_HOLD = 64, // packets that a connection takes before it is blocked
};

// What a carried hop has sent and the other end has not read yet.
struct pipe {
	uint8_t *packet[PIPE_LEN];
	unsigned head, tail;
	bool closed; // nobody reads
	bool held; // so the data plane was told
	uint32_t paused[8]; // ids that have to wait at the reading end, 0: free
	uint64_t n_passed;
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
	bool edge_waits; // the last pause or resume of the present route
	unsigned n_paused, n_resumed, n_ended, n_gone, n_resets;
	uint32_t reason[4]; // of ends, by index of the rule
	char error[64]; // what the Error says that came out
	uint64_t ahead_ns; // of the real clock
	uint16_t hold_s; // limit of what is held for a blocked connection
	uint32_t progress;
	uint64_t until_ns; // patience without any
	struct pipe *pipe[HOPS]; // by the hop that writes; NULL: it is not carried
	struct evt_rule last_gone;
};

static uint32_t dice(struct chain *c, uint32_t sides)
{
	c->rng ^= c->rng << 13;
	c->rng ^= c->rng >> 7;
	c->rng ^= c->rng << 17;
	return (uint32_t)((c->rng >> 11) % sides);
}

// ---- connections of carried hops ----

// The connection by which a hop reads, or writes.
static struct pipe *pipe_of(const struct chain *c, uint32_t hop, bool reads)
{
	for (unsigned i = 0; i < HOPS; i++)
		if (c->hop[i] == hop)
			return c->pipe[reads ? i ^ 1 : i];
	return NULL;
}

static void pipe_pause(struct pipe *p, uint32_t id, bool paused)
{
	for (unsigned i = 0; i < ARRAY_LEN(p->paused); i++) {
		if (p->paused[i] == id)
			p->paused[i] = 0;
	}
	for (unsigned i = 0; paused && i < ARRAY_LEN(p->paused); i++) {
		if (p->paused[i] == 0) {
			p->paused[i] = id;
			break;
		}
	}
}

static bool pipe_waits(const struct pipe *p)
{
	for (unsigned i = 0; i < ARRAY_LEN(p->paused); i++)
		if (p->paused[i] != 0)
			return true;
	return false;
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

	for (unsigned i = 0; i < HOPS; i++)
		if (c->pipe[i] != NULL)
			pipe_pause(c->pipe[i], final->id, false);
	c->n_gone++;
	c->last_gone = *final;
}

static uint32_t on_freed(void *ctx, uint32_t index, bool is_over)
{
	return hop_table_route_freed(((struct chain *)ctx)->n.hops, index, is_over);
}

static void on_note(struct chain *c, const struct dp_note *n)
{
	if (n->hop != 0 && (n->kind == NOTE_ROUTE_PAUSE || n->kind == NOTE_ROUTE_RESUME)) {
		pipe_pause(pipe_of(c, n->hop, true), n->id, n->kind == NOTE_ROUTE_PAUSE);
		return;
	}
	switch (n->kind) {
	case NOTE_ROUTE_PAUSE:
		c->n_paused++;
		c->edge_waits |= n->id == EDGE_IN + c->route;
		break;
	case NOTE_ROUTE_RESUME:
		c->n_resumed++;
		c->edge_waits &= n->id != EDGE_IN + c->route;
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

static void pipe_put(struct chain *c, uint32_t hop, const uint8_t *packet)
{
	struct pipe *p = pipe_of(c, hop, false);
	uint32_t len = route_hdr_packet_len(packet);

	assert_non_null(p);
	assert_true(p->head - p->tail < PIPE_LEN);
	p->packet[p->head % PIPE_LEN] = malloc(len);
	assert_non_null(p->packet[p->head % PIPE_LEN]);
	memcpy(p->packet[p->head++ % PIPE_LEN], packet, len);
}

// One end reads what the other wrote, if nothing of it has to wait.
static void pipe_turn(struct chain *c, unsigned i)
{
	static uint8_t buf[sizeof(struct msg_route) + DPMSG_ROUTE_MAX + 64];
	struct msg_route rec = {.h.type = DOWN_CARRIED, .hop = c->hop[i ^ 1]};
	struct cmd_hop_hold hold = {.hop = c->hop[i], .limit_s = c->hold_s};
	struct pipe *p = c->pipe[i];

	for (unsigned n = 0; n < 32 && p->tail != p->head && !pipe_waits(p) && !p->closed; n++) {
		uint8_t *packet = p->packet[p->tail % PIPE_LEN];
		uint32_t len = route_hdr_packet_len(packet);

		if (ring_w_room(&c->n.down[(i ^ 1) % c->n.conf.workers]) < sizeof(buf) * 2)
			break;
		memcpy(buf, &rec, sizeof(rec));
		memcpy(buf + sizeof(rec), packet, len);
		node_down(&c->n, (i ^ 1) % c->n.conf.workers, buf, (unsigned)sizeof(rec) + len);
		free(packet);
		p->tail++;
		p->n_passed++;
	}
	hold.held = p->head - p->tail >= PIPE_HOLD;
	if (hold.held != p->held && hop_table_hold(c->n.hops, &hold) == 0)
		p->held = hold.held;
}

static void pipes_turn(struct chain *c)
{
	for (unsigned i = 0; i < HOPS; i++)
		if (c->pipe[i] != NULL)
			pipe_turn(c, i);
}

static void read_up(struct chain *c)
{
	static uint8_t buf[sizeof(struct msg_route) + DPMSG_ROUTE_MAX + 64];
	struct msg_route rec;
	int len;

	while (!c->deaf && (len = node_up(&c->n, buf, sizeof(buf))) != 0) {
		const uint8_t *p = buf + sizeof(rec);

		memcpy(&rec, buf, sizeof(rec));
		if (rec.h.type == UP_CARRIED) {
			pipe_put(c, rec.hop, p);
			continue;
		}
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
	for (unsigned i = 0; i < c->n.conf.workers; i++) {
		if (c->ahead_ns != 0)
			worker_turn_at(c->n.w[i], clock_mono_ns() + c->ahead_ns);
		else
			worker_turn(c->n.w[i]);
	}
	carry(c);
	read_up(c);
	pipes_turn(c);
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
	       node_counter(&c->n, W_seal_parted) - node_counter(&c->n, W_seal_carried);
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
	if (mode == HOP_MODE_CARRIED) {
		struct cmd_hop_add car = {.hop = hop.hop,
			.tp = hop.tp,
			.owner = hop.owner,
			.mode = mode,
			.flow = 1,
			.n_flows = 1};

		if (c->pipe[i] == NULL) // else it is another connection in its place
			c->pipe[i] = calloc(1, sizeof(*c->pipe[i]));
		assert_non_null(c->pipe[i]);
		assert_int_equal(hop_table_add(c->n.hops, &car, clock_mono_ns(), &owner), 0);
		return;
	}
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

static void pipe_empty(struct pipe *p)
{
	for (; p->tail != p->head; p->tail++)
		free(p->packet[p->tail % PIPE_LEN]);
	memset(p, 0, sizeof(*p));
}

static void pipes_free(struct chain *c)
{
	for (unsigned i = 0; i < HOPS; i++) {
		if (c->pipe[i] != NULL)
			pipe_empty(c->pipe[i]);
		free(c->pipe[i]);
	}
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
	pipes_free(c);
}

static const uint8_t reliable[PAIRS] = {HOP_MODE_RELIABLE, HOP_MODE_RELIABLE};

// ---- threads ----

static void *run(void *w)
{
	worker_run(w);
	return NULL;
}

// Threads get as much of a busy machine as it gives them: what counts is that something happens.
static bool goes_on(struct chain *c, uint32_t progress)
{
	uint64_t now_ns = clock_mono_ns();

	if (c->until_ns == 0 || progress != c->progress)
		c->until_ns = now_ns + PATIENCE_S * 1000000000ull;
	c->progress = progress;
	return now_ns < c->until_ns;
}

static void nap_us(long us)
{
	struct timespec ts = {.tv_nsec = us * 1000};

	nanosleep(&ts, NULL);
}
