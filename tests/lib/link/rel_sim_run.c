// Runs the simulated world from the command line: one scenario and its figures, or many random
// ones. Not a test by itself; rel_sim_test.c is.
//
//   rel_sim_run seed=1 routes=10 loss=10000 delay=25000000 rate=12500000 queue=500000 limit=30
//   rel_sim_run random=1000 seed=1
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/rel_sim.h"

static uint64_t random_runs;

static const struct {
	const char *name;
	size_t off;
	unsigned size;
} args[] = {
#define ARG(n, f)                                                                                  \
	{                                                                                          \
		n, offsetof(struct sim_conf, f), sizeof(((struct sim_conf *)0)->f)                 \
	}
	ARG("seed", seed),
	ARG("nodes", n_nodes),
	ARG("ring", ring),
	ARG("routes", n_routes),
	ARG("one_way", one_way),
	ARG("packets", packets),
	ARG("len_min", len_min),
	ARG("len_max", len_max),
	ARG("gap", source_gap_ns),
	ARG("start_gap", start_gap_ns),
	ARG("loss", there.loss_ppm),
	ARG("burst", there.burst_ppm),
	ARG("ack_loss", back.loss_ppm),
	ARG("dup", there.dup_ppm),
	ARG("reorder", there.reorder_ppm),
	ARG("delay", there.delay_ns),
	ARG("ack_delay", back.delay_ns),
	ARG("jitter", there.jitter_ns),
	ARG("rate", there.rate_Bps),
	ARG("ack_rate", back.rate_Bps),
	ARG("queue", there.queue_bytes),
	ARG("dark", there.dark_ns),
	ARG("dark_len", there.dark_len_ns),
	ARG("room", room),
	ARG("frames", max_frames),
	ARG("window", window_log2),
	ARG("bufs", max_bufs),
	ARG("slow", slow_nth),
	ARG("limit", limit_ns),
	ARG("warm", warm_ns),
};

static int set(struct sim_conf *c, const char *arg)
{
	const char *eq = strchr(arg, '=');
	uint64_t v = eq == NULL ? 0 : strtoull(eq + 1, NULL, 0);

	if (eq == NULL)
		return -1;
	if (strncmp(arg, "random=", 7) == 0) {
		random_runs = v;
		return 0;
	}
	if (strncmp(arg, "cc=", 3) == 0) {
		c->cc = eq + 1;
		return 0;
	}
	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++) {
		if (strlen(args[i].name) != (size_t)(eq - arg) ||
			strncmp(args[i].name, arg, (size_t)(eq - arg)) != 0)
			continue;
		memcpy((char *)c + args[i].off, &v, args[i].size); // little endian
		return 0;
	}
	return -1;
}

static void show(const struct sim_conf *c, const struct sim_result *r)
{
	double secs = (double)(r->ns - c->warm_ns) / 1e9, sum = 0, sq = 0;
	double rate = (double)r->bytes / secs;
	double best = (double)c->there.rate_Bps * c->len_max /
		      (c->len_max + 8 + 32 + 42); // wire bytes of a full packet

	for (unsigned k = 0; k < c->n_routes; k++) {
		sum += (double)r->route_bytes[k];
		sq += (double)r->route_bytes[k] * (double)r->route_bytes[k];
	}
	printf("%.3f s, %lu packets, goodput %.2f Mbit/s", secs, (unsigned long)r->delivered,
		rate * 8 / 1e6);
	if (c->there.rate_Bps != 0)
		printf(" (%.3f of the optimum)", rate / best);
	printf("\nJain %.3f, queue mean %.2f ms max %.2f ms\n",
		sq > 0 ? sum * sum / (c->n_routes * sq) : 0,
		r->queue_n == 0 ? 0 : (double)r->queue_sum_ns / (double)r->queue_n / 1e6,
		(double)r->queue_max_ns / 1e6);
	printf("datagrams %lu lost %lu again %lu spurious %lu pto %lu held %lu joined %lu no_room %lu\n",
		(unsigned long)r->datagrams, (unsigned long)r->lost, (unsigned long)r->rtx,
		(unsigned long)r->spurious, (unsigned long)r->pto, (unsigned long)r->held,
		(unsigned long)r->joined, (unsigned long)r->no_room);
	printf("pauses %lu resumes %lu completed %u closed %u bufs %u chunks %u\n",
		(unsigned long)r->pauses, (unsigned long)r->resumes, r->completed, r->closed,
		r->bufs_max, r->chunks_max);
}

int main(int argc, char **argv)
{
	struct sim_result r;
	struct sim_conf c;
	int rc = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	sim_conf_default(&c, 1);
	c.len_min = 1392;
	c.len_max = 1392;
	c.one_way = true;
	c.packets = 1000000000;
	c.limit_ns = 10000000000;
	for (int i = 1; i < argc; i++)
		if (set(&c, argv[i]) < 0) {
			fprintf(stderr, "what is %s?\n", argv[i]);
			return 2;
		}
	if (random_runs == 0) {
		if (c.packets == 1000000000 && c.warm_ns == 0)
			c.warm_ns = 1; // runs to the limit, not to the end
		rc = sim_run(&c, &r);
		show(&c, &r);
		if (rc < 0)
			printf("FAILED seed %lu: %s\n", (unsigned long)c.seed, r.why);
		return rc < 0;
	}
	for (uint64_t seed = c.seed; seed < c.seed + random_runs; seed++) {
		struct sim_conf x;

		sim_conf_random(&x, seed);
		if (sim_run(&x, &r) < 0) {
			printf("FAILED seed %lu: %s\n", (unsigned long)seed, r.why);
			rc = 1;
		}
		if (random_runs == 1)
			show(&x, &r);
	}
	return rc;
}
