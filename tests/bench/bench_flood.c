// What a flood costs those who behave: as many hostile frames as good ones reach the worker, which
// forwards over a sealed link all the while. Only the worker's own turns are timed, not the
// generator.
//
//   bench_flood [--quick]

#include "lib/crypto/hash.h"
#include "lib/wire/rail.h"
#include "tests/bench/env.h"
#include "tests/bench/figures.h"
#include "tests/bench/loops.h"
#include "tests/bench/slice.h"

#include <rte_ethdev.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RULES = 100000, BITS = 17, PAYLOAD = 64, PEER_HOST = 1, OTHER_HOST = 66 };
enum { DATA_LEN = OFF_ROUTE + 7 + PAYLOAD + RAIL_TAG_LEN, INIT_LEN = OFF_RAIL + RAIL_INIT_MIN };

// What the hostile frames are.
enum kind {
	DATA, // whole, with a tag that is wrong
	MALFORMED, // shorter than their UDP header says
	WRONG_MAC1, // an init that does not know whom it greets
	RIGHT_MAC1, // an init that does, without the cookie that is asked for
};

struct flood {
	struct env *e;
	enum kind kind;
	uint8_t frame[(int)DATA_LEN > (int)INIT_LEN ? DATA_LEN : INIT_LEN];
	unsigned len;
	uint32_t index; // receiver index that they name
	uint8_t host; // last byte of their source address
	uint64_t counter;
	double per_frame; // good packets
	const struct aead_backend *backend;
	struct aead_key key;
	struct aead_room room;
};

static const uint8_t mac1_key[32] = {7};

static void make_init(uint8_t *p, bool right)
{
	memset(p, 0x77, RAIL_INIT_MIN);
	memcpy(p, (uint8_t[4]){RAIL_INIT}, 4);
	hash_mac128(p + RAIL_INIT_MIN - 32, mac1_key, sizeof(mac1_key), p, RAIL_INIT_MIN - 32);
	p[RAIL_INIT_MIN - 32] ^= !right;
	memset(p + RAIL_INIT_MIN - 16, 0, 16);
}

static void make_frame(struct flood *f)
{
	bool is_init = f->kind == WRONG_MAC1 || f->kind == RIGHT_MAC1;
	uint8_t *p = f->frame;

	f->len = is_init ? INIT_LEN : DATA_LEN;
	rte_eth_macaddr_get(f->e->port, (struct rte_ether_addr *)p);
	memcpy(p + 6, p, 6);
	p[11] ^= 1; // an answer is not for us
	be16_put(p + 12, 0x0800);
	p[14] = 0x45;
	be16_put(p + 16, (uint16_t)(f->len - 14));
	p[22] = 64;
	p[23] = 17;
	p[26] = 10;
	p[29] = f->host;
	p[30] = 10;
	p[33] = PEER_HOST;
	be16_put(p + 34, ENV_UDP);
	be16_put(p + 36, ENV_UDP);
	be16_put(p + 38, (uint16_t)(f->len - 34 + (f->kind == MALFORMED)));
	if (is_init)
		make_init(p + OFF_RAIL, f->kind == RIGHT_MAC1);
	else
		memset(p + OFF_RAIL + RAIL_DATA_HDR_LEN, 0xe5,
			f->len - OFF_RAIL - RAIL_DATA_HDR_LEN);
}

// Put n of them before the worker, data with fresh counters.
static void inject(struct flood *f, unsigned n)
{
	struct rte_mbuf *m[64];

	n = RTE_MIN(n, (unsigned)RTE_DIM(m));
	if (n == 0 || rte_pktmbuf_alloc_bulk(f->e->pool, m, n) != 0)
		return;
	for (unsigned i = 0; i < n; i++) {
		uint8_t *p = (uint8_t *)rte_pktmbuf_append(m[i], (uint16_t)f->len);

		memcpy(p, f->frame, f->len);
		if (f->kind == DATA || f->kind == MALFORMED)
			rail_data_hdr_put(p + OFF_RAIL, f->index, f->counter++);
	}
	for (unsigned sent = rte_ring_enqueue_burst(f->e->in, (void **)m, n, NULL); sent < n;
		sent++)
		rte_pktmbuf_free(m[sent]);
}

static uint64_t now_at(const struct flood *f, unsigned counter)
{
	return stat_get(&f->e->w->c[counter]);
}

static double run(struct flood *f, bool flooded)
{
	uint64_t first = now_at(f, W_pkt_forwarded), frames = now_at(f, W_rx_frames);
	uint64_t opened = now_at(f, W_dgram_opened), last = opened;
	double spent = 0;

	while (spent < SLICE_MS * 1e-3) {
		double start;

		// as many hostile frames as good ones came since; small packets share theirs
		if (flooded) {
			uint64_t now = now_at(f, W_dgram_opened);

			inject(f, (unsigned)(now - last) + (now == last));
			last = now;
		}
		start = cpu_s();
		worker_turn(f->e->w);
		spent += cpu_s() - start;
	}
	opened = now_at(f, W_dgram_opened) - opened;
	frames = now_at(f, W_rx_frames) - frames - opened;
	if (flooded && frames < opened / 4)
		env_die("the flood did not come", EIO);
	first = now_at(f, W_pkt_forwarded) - first;
	f->per_frame = (double)first / (double)opened;
	return (double)first / spent;
}

static double run_flooded(void *ctx)
{
	return run(ctx, true);
}

static double run_quiet(void *ctx)
{
	return run(ctx, false);
}

// Opening alone, of wrong tags.
static double run_open(struct flood *f)
{
	static uint8_t buf[32][256];
	struct aead_op ops[32];
	double start = cpu_s(), passed;
	uint64_t n = 0;

	do {
		for (unsigned i = 0; i < 32; i++) {
			ops[i] = (struct aead_op){.aad = buf[i],
				.aad_len = 16,
				.src = buf[i] + 16,
				.dst = buf[i] + 16,
				.len = 8 + PAYLOAD,
				.tag = buf[i] + 16 + 8 + PAYLOAD};
			aead_nonce_be(ops[i].nonce, f->counter + n + i);
		}
		f->backend->open(f->e->w->aead, &f->key, ops, 32);
		n += 32;
		passed = cpu_s() - start;
	} while (passed < SLICE_MS * 1e-3);
	return (double)n / passed;
}

// The rate that is left when each good frame comes with one wrong tag that must be opened.
static double run_share(void *ctx)
{
	struct flood *f = ctx;
	double quiet = run_quiet(f);

	return 1 / (1 / quiet + 1 / (f->per_frame * run_open(f)));
}

static void figure(struct env *e, const char *name, enum kind kind, uint32_t index, uint8_t host,
	figure_run baseline, unsigned pairs)
{
	struct flood f = {
		.e = e,
		.kind = kind,
		.index = index,
		.host = host,
		.backend = aead_backend_select(AEAD_CHACHA20_POLY1305),
	};
	struct figure fig = {.name = name, .unit = "good packets/s", .target = 0.95};
	uint8_t key[32] = {1};

	make_frame(&f);
	// fresh for the window for as long as the bench runs, and never committed
	f.counter = 1ull << 40;
	f.backend->key_init(e->w->aead, &f.key, &f.room, AEAD_CHACHA20_POLY1305, key);
	figure_pairs(&fig, run_flooded, &f, baseline, &f, pairs);
	figure_print(&fig);
}

// As a control plane under load has it: every init needs a cookie.
static void ask_for_cookies(struct env *e)
{
	struct cmd_cookies c = {.n_secrets = 1, .demand = 1, .secret = {{1}}};

	if (worker_set_mac1_key(e->set, mac1_key) != 0 || worker_set_cookies(e->set, &c) != 0)
		env_die("cookies", EINVAL);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		enum kind kind;
		uint32_t index;
		uint8_t host;
		bool reliable;
	} floods[] = {
		{"flood_unknown_index", DATA, ENV_RX_INDEX + 77, OTHER_HOST, false},
		{"flood_foreign", DATA, ENV_RX_INDEX, OTHER_HOST, false},
		{"flood_malformed", MALFORMED, ENV_RX_INDEX, OTHER_HOST, false},
		{"flood_wrong_mac1", WRONG_MAC1, 0, OTHER_HOST, false},
		{"flood_no_cookie", RIGHT_MAC1, 0, OTHER_HOST, false},
		{"flood_own_address", DATA, ENV_RX_INDEX, PEER_HOST, false},
		{"flood_foreign_reliable", DATA, ENV_RX_INDEX, OTHER_HOST, true},
		{"flood_own_address_reliable", DATA, ENV_RX_INDEX, PEER_HOST, true},
	};
	unsigned pairs = argc > 1 && strcmp(argv[1], "--quick") == 0 ? 7 : 31;

	env_start_eal();
	for (unsigned i = 0; i < RTE_DIM(floods); i++) {
		struct env_conf c = {.bits = BITS,
			.n_rules = RULES,
			.cipher = AEAD_CHACHA20_POLY1305,
			.loop = true,
			.reliable = floods[i].reliable,
			.idle = IDLE_POLL};
		struct env *e = env_new_conf(&c);

		ask_for_cookies(e);
		env_fill(e, ENV_IN_FLIGHT / 2, PAYLOAD);
		figure(e, floods[i].name, floods[i].kind, floods[i].index, floods[i].host,
			floods[i].host == PEER_HOST ? run_share : run_quiet, pairs);
		env_free(e);
	}
	return 0;
}
