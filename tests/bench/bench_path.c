// Figures of the packet path, in one process: the worker against the bare loops, alternating.
//
//   bench_path [--quick] [--only NAME]

#include "lib/base/idpool.h"
#include "tests/bench/env.h"
#include "tests/bench/figures.h"
#include "tests/bench/loops.h"
#include "tests/bench/options.h"
#include "tests/bench/profile.h"
#include "tests/bench/slice.h"

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mempool.h>

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RULES_1M = 1000000 };

// ---- runs: packets per second of one slice ----

struct bare {
	struct loop loop;
	unsigned (*turn)(const struct loop *l);
};

static double run_bare(void *ctx)
{
	struct bare *b = ctx;
	double start = cpu_s(), passed;
	uint64_t n = 0;

	do {
		for (unsigned i = 0; i < 256; i++)
			n += b->turn(&b->loop);
	} while (!slice_ends(start, &passed));
	return (double)n / passed;
}

// ---- the AEAD alone: open + seal of one packet ----

struct aead_alone {
	const struct aead_backend *backend;
	struct aead_ctx *ctx;
	struct aead_key key;
	struct aead_room room;
	struct rte_mbuf *m[ENV_IN_FLIGHT]; // as many buffers as are in flight in the worker's loop
	uint32_t len;
	struct bare *bare;
};

static void aead_batch(struct aead_alone *a, unsigned at, uint64_t counter)
{
	struct aead_op ops[32];

	for (unsigned i = 0; i < 32; i++) {
		uint8_t *p = rte_pktmbuf_mtod(a->m[(at + i) % ENV_IN_FLIGHT], uint8_t *);

		ops[i] = (struct aead_op){.aad = p,
			.aad_len = 16,
			.src = p + 16,
			.dst = p + 16,
			.len = a->len,
			.tag = p + 16 + a->len};
		aead_nonce_be(ops[i].nonce, counter + i);
	}
	a->backend->seal(a->ctx, &a->key, ops, 32);
	if (a->backend->open(a->ctx, &a->key, ops, 32) != 32)
		env_die("open", EBADMSG);
}

static double run_aead(void *ctx)
{
	struct aead_alone *a = ctx;
	double start = cpu_s(), passed;
	uint64_t n = 0, counter = 0;
	unsigned at = 0;

	do {
		for (unsigned batch = 0; batch < 16; batch++) {
			aead_batch(a, at, counter);
			counter += 32;
			at += 32;
			n += 32;
		}
	} while (!slice_ends(start, &passed));
	return (double)n / passed;
}

// Packets per second if a packet cost exactly its AEAD operations and the bare loop.
static double run_sum(void *ctx)
{
	struct aead_alone *a = ctx;
	double aead = run_aead(a), bare = run_bare(a->bare);

	return 1 / (1 / aead + 1 / bare);
}

// ---- figures ----

static void forward_clear(void)
{
	struct env *ours = env_new(20, RULES_1M, NULL, AEAD_NONE, true, IDLE_POLL);
	struct env *floor = env_new(20, 0, ours, (enum aead_cipher) - 1, true, IDLE_POLL);
	struct bare bare = {.loop = {.port = floor->port, .rules = ours->rules}, .turn = loop_bare};
	struct figure f = {.name = "forward_clear", .unit = "packets/s", .target = 0.85};

	env_fill(ours, ENV_IN_FLIGHT, 64);
	env_fill_bare(floor, ENV_IN_FLIGHT, 64);
	figure_pairs(&f, env_run, ours, run_bare, &bare, options_pairs());
	figure_print(&f);
	profile_start();
	for (unsigned i = 0; i < 20; i++)
		env_run(ours);
	profile_stop();
	profile_print("forward_clear", 0.005);

	if (wanted("forward_vs_hash")) {
		struct rte_hash_parameters hp = {
			.name = "bench_hash",
			.entries = RULES_1M + RULES_1M / 4,
			.key_len = 4,
			.hash_func = rte_hash_crc,
			.socket_id = SOCKET_ID_ANY,
			.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF,
		};
		struct bare hash = {.turn = loop_hash};
		struct rte_hash *h = rte_hash_create(&hp);
		struct rule *values = rte_zmalloc(
			"values", sizeof(struct rule) * (size_t)(hp.entries + 1024), 64);
		struct figure g = {.name = "forward_vs_hash", .unit = "packets/s", .target = 2};

		if (h == NULL || values == NULL)
			env_die("hash", ENOMEM);
		for (uint32_t i = 0; i < RULES_1M; i++) {
			uint32_t id = env_id(ours, i);
			int32_t pos = rte_hash_add_key(h, &id);
			if (pos < 0)
				env_die("hash add", pos);
			values[pos].next_id = rule_slot(ours->rules, id)->next_id;
		}
		hash.loop = (struct loop){.port = floor->port, .hash = h, .values = values};
		figure_pairs(&g, env_run, ours, run_bare, &hash, options_pairs());
		figure_print(&g);
		rte_hash_free(h);
		rte_free(values);
	}
	env_free(floor);
	env_free(ours);
}

static void forward_scale(void)
{
	struct env *big = env_new(22, 1u << 22, NULL, AEAD_NONE, true, IDLE_POLL);
	struct env *small = env_new(10, 1000, NULL, AEAD_NONE, true, IDLE_POLL);
	struct figure f = {
		.name = "forward_scale", .unit = "packets/s (4 M rules)", .target = 0.65};

	env_fill(big, ENV_IN_FLIGHT, 64);
	env_fill(small, ENV_IN_FLIGHT, 64);
	figure_pairs(&f, env_run, big, env_run, small, options_pairs());
	figure_print(&f);
	env_free(small);
	env_free(big);
}

static const struct aead_backend *backend_named(const char *name)
{
	const struct aead_backend *be;

	for (unsigned i = 0; (be = aead_backend_at(i)) != NULL; i++)
		if (strcmp(be->name, name) == 0)
			return be;
	return NULL;
}

// The worker against the sum of the bare loop and the cipher alone.
static void sealed(const char *figure, const struct aead_backend *be, enum aead_cipher cipher,
	uint32_t payload_len)
{
	char name[32], unit[64];
	struct env *ours = env_new_by(be, 20, RULES_1M, NULL, cipher, true, IDLE_POLL);
	struct env *floor = env_new(20, 0, ours, (enum aead_cipher) - 1, true, IDLE_POLL);
	struct bare bare = {.loop = {.port = floor->port, .rules = ours->rules}, .turn = loop_bare};
	struct aead_alone alone = {
		.backend = be,
		.ctx = floor->w->aead,
		.len = 8 + payload_len,
		.bare = &bare,
	};
	struct figure f = {.name = name, .unit = unit, .target = 0.85};
	uint8_t key[32] = {7};

	snprintf(name, sizeof(name), "%s_%u", figure, payload_len);
	snprintf(unit, sizeof(unit), "packets/s (%s, %s)", aead_cipher_name(cipher), be->name);
	be->key_init(alone.ctx, &alone.key, &alone.room, cipher, key);
	for (unsigned i = 0; i < ENV_IN_FLIGHT; i++)
		alone.m[i] = rte_pktmbuf_alloc(floor->pool);
	env_fill(ours, ENV_IN_FLIGHT, payload_len);
	env_fill_bare(floor, ENV_IN_FLIGHT, payload_len);
	figure_pairs(&f, env_run, ours, run_sum, &alone, options_pairs());
	figure_print(&f);
	profile_start();
	for (unsigned i = 0; i < 10; i++)
		env_run(ours);
	profile_stop();
	profile_print(name, 0.005);
	for (unsigned i = 0; i < ENV_IN_FLIGHT; i++)
		rte_pktmbuf_free(alone.m[i]);
	env_free(floor);
	env_free(ours);
}

static void sealed_best(uint32_t payload_len)
{
	struct env_cipher best = env_best_cipher();

	sealed("sealed_best", best.be, best.kind, payload_len);
}

// One worker, all opened and sealed: AES-256-GCM by the best library against libsodium's ChaCha20.
static void sealed_aes(uint32_t payload_len)
{
	const struct aead_backend *aes = aead_backend_select(AEAD_AES_256_GCM);
	struct env *base, *ours;
	struct figure f = {.name = "sealed_aes_1400", .unit = "packets/s", .target = 4};

	if (aes == NULL)
		return; // a CPU without AES
	base = env_new_by(backend_named("libsodium"), 20, RULES_1M, NULL, AEAD_CHACHA20_POLY1305,
		true, IDLE_POLL);
	ours = env_new_by(aes, 20, 0, base, AEAD_AES_256_GCM, true, IDLE_POLL);
	env_fill(base, ENV_IN_FLIGHT, payload_len);
	env_fill(ours, ENV_IN_FLIGHT, payload_len);
	figure_pairs(&f, env_run, ours, env_run, base, options_pairs());
	figure_print(&f);
	printf("    sealed_aes_1400: %.1f Gbit/s of payload by %s, %.1f by libsodium's ChaCha20\n",
		f.value * payload_len * 8 * 1e-9, aes->name, f.baseline * payload_len * 8 * 1e-9);
	env_free(ours);
	env_free(base);
}

static void sealed_figures(void)
{
	static const uint32_t sizes[] = {64, 512, 1400};

	for (unsigned i = 0; i < RTE_DIM(sizes); i++)
		if (wanted("forward_sealed"))
			sealed("forward_sealed", backend_named("libsodium"), AEAD_CHACHA20_POLY1305,
				sizes[i]);
	for (unsigned i = 0; i < RTE_DIM(sizes); i++)
		if (wanted("sealed_best"))
			sealed_best(sizes[i]);
	if (wanted("sealed_aes"))
		sealed_aes(1400);
}

// ---- the sweeper beside the worker ----

enum { EXPIRING = 10000 }; // rules per second

struct churn {
	struct env *e;
	_Atomic bool on, quit;
	uint64_t expired;
};

// What the main lcore does all day: sweep, end what expired, install as many again. Rules from
// n_rules on are the ones that live for a second.
static int churn_main(void *arg)
{
	struct churn *c = arg;
	struct sweeper s;
	uint64_t hz = rte_get_tsc_hz(), last = 0;
	uint32_t next = 0, span = (1u << c->e->rules->bits) - c->e->n_rules;

	sweeper_init(&s, c->e->rules, rte_get_tsc_cycles() * 1000000000ull / hz);
	while (!atomic_load_explicit(&c->quit, memory_order_acquire)) {
		uint64_t now_ns = (uint64_t)((double)rte_get_tsc_cycles() * 1e9 / (double)hz);

		if (!atomic_load_explicit(&c->on, memory_order_acquire) ||
			now_ns - last < 1000000) {
			rte_pause();
			continue;
		}
		last = now_ns;
		c->expired += sweeper_tick(&s, now_ns, (uint32_t)(now_ns / 100000000));
		rule_table_poll(c->e->rules, 256);
		for (unsigned i = 0; i < EXPIRING / 1000; i++) {
			struct cmd_rule_add add = {
				.id = env_id(c->e, c->e->n_rules + next++ % span),
				.keep_alive_ms = 500,
				.type = RULE_CONSUME,
			};
			rule_table_add(c->e->rules, &add, (uint32_t)(now_ns / 100000000));
		}
	}
	return 0;
}

static double run_quiet(void *ctx)
{
	struct churn *c = ctx;

	atomic_store(&c->on, false);
	return env_run(c->e);
}

static double run_swept(void *ctx)
{
	struct churn *c = ctx;

	atomic_store(&c->on, true);
	return env_run(c->e);
}

static void sweep_cost(void)
{
	struct env *e = env_new(20, RULES_1M, NULL, AEAD_NONE, true, IDLE_POLL);
	struct churn c = {.e = e};
	struct figure f = {
		.name = "sweep_cost", .unit = "packets/s while sweeping", .target = 0.98};
	unsigned lcore = rte_get_next_lcore(-1, 1, 0);

	env_fill(e, ENV_IN_FLIGHT, 64);
	if (lcore >= RTE_MAX_LCORE || rte_eal_remote_launch(churn_main, &c, lcore) != 0)
		env_die("second lcore", ENODEV);
	figure_pairs(&f, run_swept, &c, run_quiet, &c, options_pairs() < 31 ? 31 : 61);
	atomic_store(&c.quit, true);
	rte_eal_wait_lcore(lcore);
	if (c.expired == 0)
		env_die("nothing expired: the figure would say nothing", EINVAL);
	figure_print(&f);
	env_free(e);
}

// ---- memory ----

static uint32_t rnd(void *arg, uint32_t upper)
{
	return (uint32_t)random() % upper;
}

// What malloc holds, pages that it mapped for large blocks included.
static size_t heap_in_use(void)
{
	struct mallinfo2 mi = mallinfo2();

	return mi.uordblks + mi.hblkhd;
}

static void rule_bytes(void)
{
	enum { BITS = 20, PAGE = 4096 };
	struct figure f = {.name = "rule_bytes", .unit = "bytes (max)", .target = 72};
	struct idpool_conf conf = {.index_bits = BITS, .random = rnd};
	size_t before = heap_in_use(), pool_bytes;
	struct idpool *ids = idpool_new(&conf);

	if (ids == NULL)
		env_die("id pool", errno);
	for (unsigned i = 0; i < 1u << BITS; i++)
		idpool_take(ids);
	pool_bytes = heap_in_use() - before;
	figure_value(&f, (double)sizeof(struct rule) + (double)pool_bytes / (1u << BITS));
	// its two blocks are mapped in whole pages, and there is one small struct for the whole
	// table
	f.met = f.value <= f.target + 3.0 * PAGE / (1u << BITS);
	figure_print(&f);
	idpool_free_pool(ids);
}

// ---- latency that the worker adds ----

static void latency(enum idle_mode idle, const char *name, unsigned n, unsigned gap_us)
{
	struct env *e = env_new(10, 1000, NULL, AEAD_NONE, false, idle);
	struct figure f = {.name = name, .unit = "us p50 (min..p99.9)"};
	struct rte_mbuf **m = calloc(n, sizeof(*m));
	double *us = calloc(n, sizeof(*us)), hz = (double)rte_get_tsc_hz();
	unsigned lcore = rte_get_next_lcore(-1, 1, 0), got = 0;
	void *out = NULL;

	for (unsigned i = 0; i < n; i++) { // sealed beforehand, kept aside
		env_fill(e, 1, 64);
		if (rte_ring_dequeue(e->out, (void **)&m[i]) != 0)
			env_die("no sealed frame", EIO);
	}
	if (worker_launch(e->set, 0, lcore) != 0)
		env_die("launch", ENODEV);
	rte_delay_us_block(200000);
	for (unsigned i = 0; i < n; i++) {
		uint64_t start, limit;

		rte_delay_us_block(gap_us);
		while (rte_ring_dequeue(e->out, &out) == 0) // probes
			rte_pktmbuf_free(out);
		start = rte_get_tsc_cycles();
		limit = start + rte_get_tsc_hz() / 10;
		rte_ring_enqueue(e->in, m[i]);
		while (rte_ring_dequeue(e->out, &out) != 0 && rte_get_tsc_cycles() < limit)
			rte_pause();
		if (rte_get_tsc_cycles() >= limit)
			continue;
		us[got++] = (double)(rte_get_tsc_cycles() - start) * 1e6 / hz;
		rte_pktmbuf_free(out);
	}
	if (got < n * 9 / 10)
		env_die("packets did not come out", EIO);
	qsort(us, got, sizeof(*us), figure_cmp);
	figure_value(&f, us[got / 2]);
	f.min = us[0];
	f.max = us[got * 999 / 1000];
	figure_print(&f);
	printf("    %s: p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f us (%u packets, one each %u us)\n",
		name, us[got / 2], us[got * 9 / 10], us[got * 99 / 100], us[got * 999 / 1000], got,
		gap_us);
	free(us);
	free(m);
	env_free(e);
}

int main(int argc, char **argv)
{
	options_take(argc, argv);
	env_start_eal();
	if (wanted("forward_clear") || wanted("forward_vs_hash"))
		forward_clear();
	if (wanted("forward_scale"))
		forward_scale();
	if (wanted("forward_sealed") || wanted("sealed_best") || wanted("sealed_aes"))
		sealed_figures();
	if (wanted("sweep_cost"))
		sweep_cost();
	if (wanted("rule_bytes"))
		rule_bytes();
	if (wanted("latency")) {
		latency(IDLE_POLL, "latency_added_poll", options_pairs() < 31 ? 500 : 4000, 500);
		latency(IDLE_ADAPTIVE, "latency_added_adaptive", options_pairs() < 31 ? 500 : 4000,
			500);
	}
	return 0;
}
