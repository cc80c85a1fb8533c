// Time, chance and what happens when: a heap of operations, first come first served among those of
// one moment, and turns of all nodes until nothing moves any more. Everything that asks for
// randomness gets the world's.
#include "tests/soak/soak.h"

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#include <rte_eth_ring.h>
#include <rte_ethdev.h>

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	ROUNDS_MAX = 20000, // turns within one moment
	STEP_BUSY_NS = 1000000,
	STEP_IDLE_NS = 50000000,
	RING_LEN = 4096,
};

struct event {
	uint64_t ns, order;
	struct soak_op op;
};

struct soak soak;
static struct {
	struct event *v;
	size_t n, cap;
	uint64_t order;
} heap;

// ---- chance ----

static uint64_t draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1dull >> 11;
}

uint64_t soak_random(void)
{
	return draw(&soak.random);
}

uint64_t soak_word(void)
{
	return draw(&soak.programs);
}

uint64_t soak_pick(uint64_t lo, uint64_t hi)
{
	return lo + soak_random() % (hi - lo + 1);
}

bool soak_chance(uint32_t ppm)
{
	return ppm != 0 && soak_random() % 1000000 < ppm;
}

static void fill(void *buf, size_t len)
{
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(soak_word() >> 8);
}

// The kernel's, for whoever in this program asks.
ssize_t getrandom(void *buf, size_t len, unsigned flags)
{
	fill(buf, len);
	return (ssize_t)len;
}

static const char *random_name(void)
{
	return "world";
}

static uint32_t random_word(void)
{
	return (uint32_t)soak_word();
}

static struct randombytes_implementation random_impl = {
	.implementation_name = random_name, .random = random_word, .buf = fill};

// ---- clocks ----

static uint64_t mono(void)
{
	return soak.now_ns;
}

static uint64_t wall(void)
{
	int64_t off = soak.current != NULL ? soak.current->wall_off_ns : 0;

	return (uint64_t)((int64_t)(1700000000 * SOAK_S + soak.now_ns) + off);
}

void soak_fail(const char *fmt, ...)
{
	va_list ap;
	int n;

	if (soak.why[0] != '\0')
		return;
	n = snprintf(soak.why, sizeof(soak.why), "%.3f s: ", (double)soak.now_ns / 1e9);
	va_start(ap, fmt);
	vsnprintf(soak.why + n, sizeof(soak.why) - (size_t)n, fmt, ap);
	va_end(ap);
}

static void on_log(void *arg, enum log_level level, const char *module, const char *text)
{
	static int wanted = -1;

	if (wanted < 0)
		wanted = getenv("SOAK_LOG") != NULL;
	if (wanted && soak.current != NULL)
		fprintf(stderr, "%12.4f %c %s: %s\n", (double)soak.now_ns / 1e9,
			(char)('A' + soak.current->i), module, text);
}

// ---- operations ----

static bool is_before(const struct event *a, const struct event *b)
{
	return a->ns != b->ns ? a->ns < b->ns : a->order < b->order;
}

void soak_at(uint64_t ns, const struct soak_op *op)
{
	struct event e = {.ns = ns, .order = heap.order++, .op = *op};
	size_t i = heap.n++;

	if (heap.n > heap.cap) {
		heap.cap = heap.cap == 0 ? 1024 : 2 * heap.cap;
		heap.v = realloc(heap.v, heap.cap * sizeof(heap.v[0]));
	}
	for (; i > 0 && is_before(&e, &heap.v[(i - 1) / 2]); i = (i - 1) / 2)
		heap.v[i] = heap.v[(i - 1) / 2];
	heap.v[i] = e;
}

static struct event take(void)
{
	struct event first = heap.v[0], last = heap.v[--heap.n];
	size_t i = 0, k;

	while ((k = 2 * i + 1) < heap.n) {
		if (k + 1 < heap.n && is_before(&heap.v[k + 1], &heap.v[k]))
			k++;
		if (is_before(&last, &heap.v[k]))
			break;
		heap.v[i] = heap.v[k];
		i = k;
	}
	heap.v[i] = last;
	return first;
}

// ---- time ----

static void settle(void)
{
	bool busy = true;

	for (unsigned i = 0; busy && soak.why[0] == '\0'; i++) {
		busy = soak_routes_turn();
		for (unsigned k = 0; k < SOAK_NODES; k++)
			busy |= soak_node_turn(&soak.node[k]);
		if (i == ROUNDS_MAX)
			soak_fail("it never comes to rest");
	}
}

static uint64_t next_moment(void)
{
	uint64_t at =
		soak.now_ns + (soak.now_ns < soak.busy_until_ns ? STEP_BUSY_NS : STEP_IDLE_NS);

	if (heap.n > 0 && heap.v[0].ns < at)
		at = heap.v[0].ns;
	for (unsigned i = 0; i < SOAK_NODES; i++) {
		const struct soak_cp *c = &soak.node[i].cp;
		uint64_t due = c->alive && !c->stopped ? soak_loop_next(c->loop) : UINT64_MAX;

		if (due < at)
			at = due;
	}
	return at > soak.now_ns ? at : soak.now_ns + 1;
}

bool soak_run(uint64_t ns, bool (*done)(void))
{
	uint64_t end = soak.now_ns + ns;

	while (soak.why[0] == '\0') {
		while (heap.n > 0 && heap.v[0].ns <= soak.now_ns) {
			struct event e = take();

			e.op.fn(&e.op);
		}
		settle();
		if (done != NULL && done())
			return true;
		if (soak.now_ns >= end)
			return false;
		soak.now_ns = next_moment();
		if (soak.now_ns > end)
			soak.now_ns = end;
	}
	return false;
}

// ---- begin and end ----

static void die(const char *what)
{
	perror(what);
	exit(1);
}

// Devices and pools are those of the machine: they outlive worlds.
static void machine_open(void)
{
	static const char *const device[] = {"net_ring_soak0", "net_ring_soak1", "net_ring_soak2"};
	char name[32], err[PORT_ERR_MAX] = "";

	for (unsigned i = 0; i < SOAK_NODES; i++) {
		struct soak_node *n = &soak.node[i];
		struct port_ask ask = {
			.name = "p0", .device = device[i], .kernel_if = "", .tap = ""};
		int port;

		if (n->ports != NULL)
			continue;

		snprintf(name, sizeof(name), "soak_rx%u", i);
		n->rx = rte_ring_create(name, RING_LEN, SOCKET_ID_ANY, 0);
		snprintf(name, sizeof(name), "soak_tx%u", i);
		n->tx = rte_ring_create(name, RING_LEN, SOCKET_ID_ANY, 0);
		snprintf(name, sizeof(name), "soak_bufs%u", i);
		n->pool = rte_pktmbuf_pool_create(
			name, SOAK_BUFS, 0, 0, RTE_PKTMBUF_HEADROOM + 2048, SOCKET_ID_ANY);
		if (n->rx == NULL || n->tx == NULL || n->pool == NULL)
			die("rings");
		port = rte_eth_from_rings(
			device[i] + strlen("net_ring_"), &n->rx, 1, &n->tx, 1, SOCKET_ID_ANY);
		if (port < 0)
			die("ring device");
		n->port = (uint16_t)port;
		n->ports = port_set_open(&ask, 1, 1, NULL, err);
		if (n->ports == NULL)
			die(err);
	}
}

static void links_open(void)
{
	static const unsigned ends[SOAK_LINKS][2] = {{0, 1}, {1, 2}, {2, 0}};

	for (unsigned i = 0; i < SOAK_LINKS; i++) {
		struct soak_link *l = &soak.link[i];

		*l = (struct soak_link){.end = {ends[i][0], ends[i][1]},
			.mode = i == 2 ? HOP_MODE_DATAGRAM : HOP_MODE_RELIABLE};
		for (unsigned k = 0; k < 2; k++)
			l->wire[k] = (struct soak_wire){.delay_ns = soak_pick(1, 20) * SOAK_MS,
				.rate_Bps = soak_pick(1, 5) * 1000000,
				.queue_bytes = 100000};
	}
}

void soak_open(uint64_t seed)
{
	static const struct clock_source src = {.mono_ns = mono, .wall_ns = wall};
	void *mem = NULL;

	machine_open();
	soak.seed = seed;
	soak.random = seed * 0x9e3779b97f4a7c15ull | 1;
	soak.programs = ~soak.random;
	for (unsigned i = 0; i < 8; i++) {
		soak_random();
		soak_word();
	}
	soak.now_ns = 1000 * SOAK_S;
	soak.busy_until_ns = 0;
	soak.rel_bufs = 256u << soak_pick(0, 3); // so few that budgets are felt, or enough
	soak.n_faults = 0;
	soak.count = (struct soak_count){0};
	soak.why[0] = '\0';
	clock_source_set(&src);
	log_sink_set(on_log, NULL);
	randombytes_set_implementation(&random_impl);
	if (posix_memalign(&mem, 64, aead_ctx_size()) != 0)
		die("ciphers");
	if (aead_choose(&soak.aead, aead_ctx_init(mem), "libsodium", NULL) < 0)
		die("ciphers");
	free(mem);
	links_open();
	soak_routes_open();
	for (unsigned i = 0; i < SOAK_NODES; i++)
		soak_node_make(i);
	for (unsigned i = 0; i < SOAK_NODES; i++) {
		soak_dp_start(&soak.node[i]);
		soak_cp_start(&soak.node[i]);
	}
}

void soak_close(void)
{
	for (unsigned i = 0; i < SOAK_NODES; i++)
		soak_node_free(&soak.node[i]);
	while (heap.n > 0) {
		struct event e = take();

		if (e.op.fn == soak_arrive)
			free((void *)(uintptr_t)e.op.arg);
	}
	free(heap.v);
	memset(&heap, 0, sizeof(heap));
	soak.current = NULL;
	clock_source_set(NULL);
	log_sink_set(NULL, NULL);
}
