// What may go wrong, and how it ends: each fault begins at once and is over at a time that it
// draws.
#include "tests/soak/soak.h"

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/wire/rail.h"

#include <string.h>

LOG_MODULE("fault");

#define DAY_NS (24ll * 3600 * 1000000000)

static uint64_t pick_log(uint64_t lo, uint64_t hi)
{
	uint64_t v = lo;

	while (v < hi && soak_chance(700000))
		v *= 2;
	return soak_pick(lo, v < hi ? v : hi);
}

static void ends_in(uint64_t ns, void (*fn)(const struct soak_op *), struct soak_node *n,
	struct soak_link *l, uint64_t arg)
{
	const struct soak_op op = {.fn = fn, .node = n, .link = l, .arg = arg};

	soak.n_faults++;
	soak_at(soak.now_ns + ns, &op);
}

static void over(void)
{
	soak.n_faults--;
}

// ---- processes ----

static void dp_again(const struct soak_op *op)
{
	soak_dp_start(op->node);
	over();
}

static void cp_again(const struct soak_op *op)
{
	soak_cp_start(op->node);
	over();
}

static void kill_dp(struct soak_node *n, struct soak_link *l)
{
	soak.count.kills++;
	soak_dp_kill(n);
	ends_in(pick_log(1, 60000) * SOAK_MS, dp_again, n, NULL, 0);
}

static void kill_cp(struct soak_node *n, struct soak_link *l)
{
	soak.count.kills++;
	soak_cp_kill(n);
	ends_in(pick_log(1, 120000) * SOAK_MS, cp_again, n, NULL, 0);
}

static void kill_both(struct soak_node *n, struct soak_link *l)
{
	kill_cp(n, l);
	kill_dp(n, l);
}

enum { CROWD = 150 }; // rules
enum { STOP_WORKERS = 1, STOP_MAIN = 2, STOP_CP = 4 };

static void go_on(const struct soak_op *op)
{
	struct soak_node *n = op->node;

	n->dp.workers_stopped &= (op->arg & STOP_WORKERS) == 0;
	n->dp.main_stopped &= (op->arg & STOP_MAIN) == 0;
	n->cp.stopped &= (op->arg & STOP_CP) == 0;
	over();
}

static void stop(struct soak_node *n, struct soak_link *l)
{
	static const uint8_t whom[] = {STOP_WORKERS, STOP_MAIN, STOP_CP, STOP_WORKERS | STOP_MAIN};
	uint64_t who = whom[soak_pick(0, 3)];

	n->dp.workers_stopped |= (who & STOP_WORKERS) != 0;
	n->dp.main_stopped |= (who & STOP_MAIN) != 0;
	n->cp.stopped |= (who & STOP_CP) != 0;
	ends_in(pick_log(10, 60000) * SOAK_MS, go_on, n, NULL, who);
}

// ---- links ----

static void join(const struct soak_op *op)
{
	op->link->wire[op->arg].cut = false;
	over();
}

static void cut(struct soak_node *n, struct soak_link *l)
{
	uint64_t ns = pick_log(10, 120000) * SOAK_MS;
	unsigned ways = (unsigned)soak_pick(1, 3); // there, back, both

	for (unsigned k = 0; k < 2; k++)
		if (ways & 1u << k) {
			l->wire[k].cut = true;
			ends_in(ns, join, NULL, l, k);
		}
}

static void flap(const struct soak_op *op)
{
	for (unsigned k = 0; k < 2; k++)
		op->link->wire[k].cut = op->arg % 2 != 0;
	over();
	if (op->arg > 0)
		ends_in(pick_log(20, 5000) * SOAK_MS, flap, NULL, op->link, op->arg - 1);
}

static void flaps(struct soak_node *n, struct soak_link *l)
{
	ends_in(1, flap, NULL, l, 2 * soak_pick(2, 20));
}

static void clear(const struct soak_op *op)
{
	for (unsigned k = 0; k < 2; k++) {
		struct soak_wire *w = &op->link->wire[k];

		w->loss_ppm = w->dup_ppm = w->reorder_ppm = 0;
	}
	over();
}

static void weather(struct soak_node *n, struct soak_link *l)
{
	for (unsigned k = 0; k < 2; k++) {
		struct soak_wire *w = &l->wire[k];

		w->loss_ppm = (uint32_t)pick_log(1000, 400000);
		w->dup_ppm = (uint32_t)soak_pick(0, 50000);
		w->reorder_ppm = (uint32_t)soak_pick(0, 100000);
	}
	ends_in(pick_log(100, 60000) * SOAK_MS, clear, NULL, l, 0);
}

static void way_back(const struct soak_op *op)
{
	soak_paths(op->node, true);
	over();
}

static void no_way(struct soak_node *n, struct soak_link *l)
{
	soak_paths(n, false);
	ends_in(pick_log(100, 60000) * SOAK_MS, way_back, n, NULL, 0);
}

static void come_home(const struct soak_op *op)
{
	op->node->seen_as = 0;
	over();
}

// Behind an address translation that forgot it: others see it elsewhere, and later at home again.
static void roam(struct soak_node *n, struct soak_link *l)
{
	n->seen_as = (uint8_t)soak_pick(1, 7);
	ends_in(pick_log(500, 60000) * SOAK_MS, come_home, n, NULL, 0);
}

// ---- devices and workers ----

static void plug(const struct soak_op *op)
{
	soak_plug(op->node);
	over();
}

// The device of a node dies; the data plane opens it again and again until it lives.
static void unplug(struct soak_node *n, struct soak_link *l)
{
	if (n->unplugged)
		return;
	soak_unplug(n);
	ends_in(pick_log(1, 30000) * SOAK_MS, plug, n, NULL, 0);
}

static void move_one(const struct soak_op *op)
{
	soak_move(op->node);
	over();
	if (op->arg > 0)
		ends_in(pick_log(1, 2000) * SOAK_MS, move_one, op->node, NULL, op->arg - 1);
}

// Hops of B or C go from worker to worker, under whatever traffic there is.
static void moves(struct soak_node *n, struct soak_link *l)
{
	ends_in(1, move_one, &soak.node[soak_pick(1, 2)], NULL, soak_pick(5, 40));
}

// ---- clocks and memory ----

static void clock_jumps(struct soak_node *n, struct soak_link *l)
{
	static const int64_t most[] = {2000000000, 3600000000000, DAY_NS, 100 * DAY_NS};
	int64_t by = (int64_t)soak_pick(0, (uint64_t)most[soak_pick(0, 3)]);

	n->wall_off_ns += soak_chance(500000) ? by : -by;
	// stays within what a clock and the file of the last time may be apart
	if (n->wall_off_ns > 150 * DAY_NS || n->wall_off_ns < -150 * DAY_NS)
		n->wall_off_ns = 0;
}

static void give_back(const struct soak_op *op)
{
	struct soak_node *n = op->node;

	rte_pktmbuf_free_bulk(n->stolen, n->n_stolen);
	n->n_stolen = 0;
	over();
}

static void no_buffers(struct soak_node *n, struct soak_link *l)
{
	unsigned leave = (unsigned)soak_pick(0, 40);

	if (n->n_stolen != 0)
		return;
	while (rte_mempool_avail_count(n->pool) > leave)
		n->stolen[n->n_stolen++] = rte_pktmbuf_alloc(n->pool);
	ends_in(pick_log(10, 30000) * SOAK_MS, give_back, n, NULL, 0);
}

// More rules at once than the command ring holds, which end while nobody reads the events.
static void crowd(struct soak_node *n, struct soak_link *l)
{
	struct api_rule_add rules[CROWD];

	for (unsigned i = 0; i < CROWD; i++)
		rules[i] = (struct api_rule_add){.type = API_RULE_CONSUME,
			.keep_alive_ms = (uint32_t)soak_pick(RULE_KEEP_ALIVE_MIN_MS, 3000)};
	if (n->cp.alive && dp_client_is_ready(n->cp.dp))
		rule_mgr_add(n->cp.rules, rules, CROWD, NULL, NULL);
	soak_run(soak_pick(1, 100) * SOAK_MS, NULL);
	n->cp.stopped = true;
	ends_in(pick_log(2000, 20000) * SOAK_MS, go_on, n, NULL, STOP_CP);
}

// ---- strangers ----

// Frames of the shape of ours, from nowhere: damaged, with indices of nobody, cut short.
static void garbage(struct soak_node *n, struct soak_link *l)
{
	for (unsigned i = 0; i < 20; i++) {
		struct rte_mbuf *m = n->dp.alive ? rte_pktmbuf_alloc(n->pool) : NULL;
		uint8_t *p;

		if (m == NULL)
			return;
		p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)soak_pick(42, 600));
		for (unsigned k = 0; k < m->data_len; k++)
			p[k] = (uint8_t)soak_random();
		memset(p, 0, 6);
		p[12] = 8;
		p[13] = 0;
		p[14] = 0x45;
		be16_put(p + 16, (uint16_t)(m->data_len - 14));
		p[20] &= 0x40;
		p[21] = 0;
		p[23] = 17;
		be16_put(p + 36, (uint16_t)soak_pick(SOAK_UDP, SOAK_UDP + SOAK_FLOWS));
		be16_put(p + 38, (uint16_t)(m->data_len - 34));
		if (m->data_len > 46) {
			p[42] = (uint8_t)soak_pick(1, 4);
			memset(p + 43, 0, 3);
		}
		if (rte_ring_count(n->rx) > 20 || rte_ring_enqueue(n->rx, m) != 0)
			rte_pktmbuf_free(m);
	}
}

static const struct {
	void (*fn)(struct soak_node *n, struct soak_link *l);
	unsigned weight;
	const char *name;
} faults[] = {
	{kill_dp, 3, "data plane killed"},
	{kill_cp, 3, "control plane killed"},
	{kill_both, 1, "both killed"},
	{stop, 4, "stopped"},
	{cut, 3, "link cut"},
	{flaps, 2, "link flaps"},
	{weather, 4, "link loses"},
	{no_way, 2, "neighbours do not answer"},
	{roam, 3, "moves"},
	{clock_jumps, 3, "clock jumps"},
	{no_buffers, 3, "no buffers"},
	{crowd, 3, "a crowd of rules"},
	{garbage, 1, "garbage comes"},
	{unplug, 3, "device dies"},
	{moves, 6, "hops move"},
};

void soak_fault(void)
{
	struct soak_node *n = &soak.node[soak_pick(0, SOAK_NODES - 1)];
	struct soak_link *l = &soak.link[soak_pick(0, SOAK_LINKS - 1)];
	unsigned all = 0, k = 0;
	uint64_t at;

	for (unsigned i = 0; i < ARRAY_LEN(faults); i++)
		all += faults[i].weight;
	at = soak_pick(0, all - 1);
	for (; at >= faults[k].weight; k++)
		at -= faults[k].weight;
	soak.count.faults++;
	soak.current = n;
	log_notice("node=%u link=%u-%u %s", n->i, l->end[0], l->end[1], faults[k].name);
	faults[k].fn(n, l);
}
