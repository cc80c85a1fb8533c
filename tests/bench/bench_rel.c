// Figures of reliable transports, in one process: what order and acks cost where nothing is lost,
// what an idle transport takes, and what ten thousand of them cost a worker.
//
//   bench_rel [--quick] [--only NAME]

#include "controlplane/transport/transport_priv.h"
#include "dataplane/hop/hop_main.h"
#include "dataplane/hop/hop_rel.h"
#include "lib/base/clock.h"
#include "tests/bench/env.h"
#include "tests/bench/figures.h"
#include "tests/bench/options.h"
#include "tests/bench/profile.h"
#include "tests/bench/slice.h"

#include <rte_malloc.h>
#include <rte_mempool.h>

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BITS = 20, PAYLOAD = 1400, SMALL = 64, PROFILE_SLICES = 40 };

// ---- what order and acks cost ----

static struct env_cipher sodium(void)
{
	const struct aead_backend *be = NULL;

	for (unsigned i = 0; (be = aead_backend_at(i)) != NULL; i++)
		if (strcmp(be->name, "libsodium") == 0)
			break;
	return (struct env_cipher){.be = be, .kind = AEAD_CHACHA20_POLY1305};
}

// A loop in steady state. The first packet of a route opens it, so each has had one; packets are
// spread at random over one cycle and must go several times as far as their distance on average.
static struct env *looping(struct env_cipher c, uint32_t n_routes, uint32_t payload, bool reliable)
{
	const struct env_conf conf = {.be = c.be,
		.bits = BITS,
		.n_rules = n_routes,
		.cipher = c.kind,
		.loop = true,
		.reliable = reliable,
		.idle = IDLE_POLL};
	struct env *e = env_new_conf(&conf);

	env_fill(e, ENV_IN_FLIGHT, payload);
	while (stat_get(&e->w->c[W_pkt_forwarded]) < 8ull * n_routes)
		worker_turn(e->w);
	return e;
}

// Each packet is received from a reliable hop, forwarded, and sent to one, whose peer is the hop
// itself: so a packet costs both ends' work, the acks that it makes and the acks that it gets.
static void reliable_cost(
	const char *name, double target, struct env_cipher c, uint32_t n_routes, uint32_t payload)
{
	char unit[64];
	struct env *plain = looping(c, n_routes, payload, false);
	struct env *ours = looping(c, n_routes, payload, true);
	struct figure f = {.name = name, .unit = unit, .target = target};

	snprintf(unit, sizeof(unit), "packets/s (%s)", aead_cipher_name(c.kind));
	figure_pairs(&f, env_run, ours, env_run, plain, options_pairs());
	if (stat_get(&ours->w->c[W_rel_lost]) != 0 || stat_get(&ours->w->c[W_acks_tx]) == 0)
		env_die("there was loss, or there were no acks", EIO);
	figure_print(&f);
	profile_start();
	for (unsigned i = 0; i < PROFILE_SLICES; i++)
		env_run(ours);
	profile_stop();
	profile_print(name, 0.01);
	env_free(ours);
	env_free(plain);
}

// ---- acks ----

// Cycles of sealing and opening as many bytes as an ACK datagram of one range has.
static double ack_cipher_ns(struct env *e, struct env_cipher c)
{
	enum { LEN = 1 + RAIL_ACK_HDR_LEN, N = 1 << 16 };
	uint8_t buf[RAIL_DATA_HDR_LEN + LEN + RAIL_TAG_LEN] = {0}, secret[32] = {7};
	struct aead_op op = {.aad = buf,
		.aad_len = RAIL_DATA_HDR_LEN,
		.src = buf + RAIL_DATA_HDR_LEN,
		.dst = buf + RAIL_DATA_HDR_LEN,
		.len = LEN,
		.tag = buf + RAIL_DATA_HDR_LEN + LEN};
	struct aead_room room;
	struct aead_key key;
	double start;

	c.be->key_init(e->w->aead, &key, &room, c.kind, secret);
	start = cpu_s();
	for (unsigned i = 0; i < N; i++) {
		aead_nonce_be(op.nonce, i);
		c.be->seal(e->w->aead, &key, &op, 1);
	}
	return (cpu_s() - start) * 1e9 / N;
}

static void share(const char *name, double value)
{
	struct figure f = {.name = name, .unit = "% of a transit worker"};

	figure_value(&f, 100 * value);
	figure_print(&f);
}

// Where samples fall, and the cipher's part, which is counted: one datagram sealed or opened for
// each ACK that went alone.
static void ack_share(struct env_cipher c, uint32_t n_routes)
{
	static const char *const sender[] = {"rel_loss_*", "rel_acked_run", "run_acked",
		"rec_acked", "rec_seqs_acked", "detect_lost", "cc_ack*", "cc_bbr*", "cc_win*",
		"rel_kept_trim", "rel_queue_acked", "rail_ack_next", "settle", "top_add",
		"kept_free"};
	static const char *const receiver[] = {"rel_ack_*", "replay_ranges", "rail_ack_build",
		"put_ack", "put_ack_only", "lowest_named"};
	struct env *e = looping(c, n_routes, PAYLOAD, true);
	uint64_t acks = stat_get(&e->w->c[W_acks_tx]),
		 packets = stat_get(&e->w->c[W_pkt_forwarded]);
	double start = cpu_s(), crypt;

	profile_start();
	for (unsigned i = 0; i < PROFILE_SLICES; i++)
		env_run(e);
	profile_stop();
	acks = stat_get(&e->w->c[W_acks_tx]) - acks;
	packets = stat_get(&e->w->c[W_pkt_forwarded]) - packets;
	if (acks == 0)
		env_die("there were no acks", EIO);
	crypt = (double)acks / (cpu_s() - start) * ack_cipher_ns(e, c) * 1e-9;
	share("ack_share_sender", profile_share(sender, RTE_DIM(sender)) + crypt);
	share("ack_share_receiver", profile_share(receiver, RTE_DIM(receiver)) + crypt);
	printf("    ack_share: %.1f packets an ACK, its cipher %.2f %% at each end\n",
		(double)packets / (double)acks, 100 * crypt);
	env_free(e);
}

// ---- memory, and many of them ----

enum { MANY = 10000, MANY_HOPS = 16384, IDLE_S = 3 };

static size_t dpdk_heap(void)
{
	size_t all = 0;

	for (unsigned s = 0; s < rte_socket_count(); s++) {
		struct rte_malloc_socket_stats st;

		if (rte_malloc_get_socket_stats(rte_socket_id_by_idx(s), &st) == 0)
			all += st.heap_allocsz_bytes;
	}
	return all;
}

static size_t c_heap(void)
{
	struct mallinfo2 mi = mallinfo2();

	return mi.uordblks + mi.hblkhd;
}

static size_t chunk_bytes(const struct env *e)
{
	struct rel_hold_stats st;

	rel_hold_stats(hop_hold(e->w)->hold, &st);
	return (size_t)st.chunks * REL_CHUNK_LEN;
}

// What has its place in tables of the whole node: words, statistics, the entry of route id 0, an
// account, a next hop.
static size_t table_bytes(const struct env *e)
{
	const struct hop_table *t = e->node.hops;

	return sizeof(t->dir[0]) + sizeof(t->tp[0]) + sizeof(t->up[0]) + sizeof(t->rx[0]) +
	       sizeof(struct hop_rec *) + 2 * sizeof(struct hop *) + sizeof(struct stats_hop) +
	       sizeof(struct rel_route) + sizeof(struct hop_route) + sizeof(uint16_t) +
	       sizeof(uint32_t) + sizeof(struct adj);
}

static unsigned n_measured(const struct env *e)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < MANY_HOPS; i++) {
		struct evt_hop h;

		n += hop_table_show(e->node.hops, i, e->w->now_ns, &h) == 0 && h.up == 1 &&
		     h.mode == HOP_MODE_RELIABLE && h.rtt_us != 0;
	}
	return n;
}

static double turn_ns(void *ctx)
{
	struct env *e = ctx;
	double start = cpu_s(), passed;
	uint64_t n = 0;

	do {
		for (unsigned i = 0; i < 256; i++)
			worker_turn(e->w);
		n += 256;
	} while (!slice_ends(start, &passed));
	return passed * 1e9 / (double)n;
}

static struct env *many_env(void)
{
	const struct env_conf conf = {.bits = 10,
		.n_rules = 1000,
		.cipher = AEAD_CHACHA20_POLY1305,
		.loop = true,
		.reliable = true,
		.hop_max = MANY_HOPS,
		.idle = IDLE_POLL};

	return env_new_conf(&conf);
}

static void add_many(struct env *e, unsigned n)
{
	for (uint32_t i = 1; i < n; i++) {
		int rc = env_hop_add(e, e->hop + i, AEAD_CHACHA20_POLY1305);

		if (rc != 0)
			env_die("hop", rc);
		for (unsigned k = 0; k < 2; k++)
			worker_turn(e->w);
	}
}

// Transports whose peers are themselves: each one asks and answers, and then has nothing to do.
static void transports(unsigned n_pairs)
{
	struct env *one = many_env(), *many = many_env();
	size_t dpdk = dpdk_heap(), heap = c_heap(), chunks = chunk_bytes(many), each;
	struct figure bytes = {
		.name = "transport_bytes", .unit = "bytes, idle, all told", .target = 65536};
	struct figure turn = {0},
		      f = {.name = "transports_10k", .unit = "ns more a turn, all idle"};
	uint64_t until;

	add_many(many, MANY);
	until = clock_mono_ns() + IDLE_S * 1000000000ull; // until their chunks went back
	while (clock_mono_ns() < until) {
		worker_turn(many->w);
		worker_turn(one->w);
	}
	each = (dpdk_heap() - dpdk + c_heap() - heap + chunk_bytes(many) - chunks) / (MANY - 1) +
	       table_bytes(many) + sizeof(struct transport);
	figure_value(&bytes, (double)each);
	bytes.met = each <= (size_t)bytes.target;
	figure_print(&bytes);
	if (n_measured(many) != MANY)
		env_die("not all transports are up", ENOTCONN);
	figure_pairs(&turn, turn_ns, many, turn_ns, one, n_pairs);
	figure_value(&f, turn.value - turn.baseline);
	figure_print(&f);
	printf("    transports_10k: %u up, each measured a round trip; %.0f ns a turn, %.0f with one\n",
		n_measured(many), turn.value, turn.baseline);
	env_free(many);
	env_free(one);
}

int main(int argc, char **argv)
{
	struct env_cipher best;

	options_take(argc, argv);
	env_start_eal();
	best = env_best_cipher();
	if (wanted("reliable_cost")) {
		reliable_cost("reliable_cost", 0.8, best, 1000, PAYLOAD);
		reliable_cost("reliable_cost_64", 0, best, 1000, SMALL);
		reliable_cost("reliable_cost_sodium", 0.8, sodium(), 1000, PAYLOAD);
		reliable_cost("reliable_cost_1m", 0, best, 1000000, PAYLOAD);
	}
	if (wanted("ack_share"))
		ack_share(best, 1000);
	if (wanted("transport"))
		transports(options_pairs());
	return 0;
}
