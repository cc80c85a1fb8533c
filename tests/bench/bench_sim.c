// Figures of reliable links over long and bad paths, in the simulated world of tests/support: one
// and the same on every machine, for there is no clock in it. What they cost is measured elsewhere.
//
//   bench_sim [--quick]

#include "lib/wire/rail.h"
#include "tests/bench/env.h"
#include "tests/bench/figures.h"
#include "tests/support/rel_sim.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	PACKET = 1392, // with its frame header, a datagram of 1400 bytes of frames
	WIRE = PACKET + 8 + RAIL_DATA_OVERHEAD + 42, // ... frame header, datagram, outer headers
	FOREVER = 1000000000, // packets: more than there is time for
	MBIT = 1000 * 1000 / 8,
	PPM_PCT = 10000,
};
#define MS 1000000ull
#define S 1000000000ull

struct path {
	unsigned mbit;
	uint64_t rtt_ns;
	uint32_t loss_ppm; // in both directions: acks are lost too
	const char *cc;
	uint64_t warm_ns, run_ns;
};

static void conf_of(struct sim_conf *c, const struct path *p)
{
	sim_conf_default(c, 1);
	c->len_min = c->len_max = PACKET;
	c->one_way = true;
	c->packets = FOREVER;
	c->cc = p->cc;
	c->there = (struct sim_wire_conf){.loss_ppm = p->loss_ppm,
		.delay_ns = p->rtt_ns / 2,
		.rate_Bps = (uint64_t)p->mbit * MBIT};
	// as much as is under way: what a router has by rule of thumb
	c->there.queue_bytes = (uint32_t)(c->there.rate_Bps * p->rtt_ns / S);
	c->back = c->there;
	c->warm_ns = p->warm_ns;
	c->limit_ns = p->warm_ns + p->run_ns;
}

static void run(const struct sim_conf *c, struct sim_result *r)
{
	if (sim_run(c, r) < 0) {
		fprintf(stderr, "seed %lu: %s\n", (unsigned long)c->seed, r->why);
		env_die("the simulated link is broken", EPROTO);
	}
}

// Of payload in Mbit/s; the optimum: what the bottleneck carries of full packets that are not lost.
static double goodput(const struct path *p, double *optimum)
{
	struct sim_result r;
	struct sim_conf c;

	conf_of(&c, p);
	run(&c, &r);
	*optimum = p->mbit * (1 - p->loss_ppm * 1e-6) * PACKET / WIRE;
	return (double)r.bytes * 8e3 / (double)(r.ns - c.warm_ns);
}

static void goodput_1pct_50ms(const char *name, unsigned mbit, uint64_t run_ns)
{
	const struct path p = {.mbit = mbit,
		.rtt_ns = 50 * MS,
		.loss_ppm = PPM_PCT,
		.cc = "bbr",
		.warm_ns = 3 * S,
		.run_ns = run_ns};
	struct figure f = {.name = name, .unit = "Mbit/s (optimum beside)", .target = 0.8};

	f.value = goodput(&p, &f.baseline);
	f.ratio = f.min = f.max = f.ci_lo = f.ci_hi = f.value / f.baseline;
	f.met = f.ratio >= f.target;
	figure_print(&f);
}

// A free route beside one that its reader lets through at 1 Mbit/s, against the same route alone.
static void route_isolation(uint64_t run_ns)
{
	const struct path p = {
		.mbit = 100, .rtt_ns = 10 * MS, .cc = "bbr", .warm_ns = 2 * S, .run_ns = run_ns};
	struct figure f = {
		.name = "route_isolation", .unit = "Mbit/s (alone beside)", .target = 0.95};
	struct sim_result r;
	struct sim_conf c;
	double slow;

	f.baseline = goodput(&p, &(double){0});
	conf_of(&c, &p);
	c.n_routes = 2;
	c.slow_nth = 2; // the first one
	c.slow_gap_ns = PACKET * 8 * S / (1000 * 1000);
	run(&c, &r);
	f.value = (double)r.route_bytes[1] * 8e3 / (double)(r.ns - c.warm_ns);
	slow = (double)r.route_bytes[0] * 8e3 / (double)(r.ns - c.warm_ns);
	if (slow < 0.5 || slow > 1.1)
		env_die("the slow route is not at 1 Mbit/s", ERANGE);
	f.ratio = f.min = f.max = f.ci_lo = f.ci_hi = f.value / f.baseline;
	f.met = f.ratio >= f.target;
	figure_print(&f);
	printf("    route_isolation: the throttled route at %.2f Mbit/s, told to wait %lu times\n",
		slow, (unsigned long)r.pauses);
}

// Points of a curve as a JSON line: share of the optimum by loss in per cent.
static void goodput_over_loss(const char *cc, uint64_t run_ns)
{
	static const uint32_t ppm[] = {0, 100, 300, 1000, 3000, 10000, 30000, 100000, 200000};
	struct path p = {
		.mbit = 100, .rtt_ns = 50 * MS, .cc = cc, .warm_ns = 3 * S, .run_ns = run_ns};

	printf("{\"curve\":\"goodput_over_loss\",\"label\":\"%s\",\"points\":[", cc);
	for (unsigned i = 0; i < sizeof(ppm) / sizeof(ppm[0]); i++) {
		double optimum, got;

		p.loss_ppm = ppm[i];
		got = goodput(&p, &optimum);
		printf("%s[%g,%.4f]", i > 0 ? "," : "", ppm[i] * 1e-4, got / optimum);
	}
	printf("]}\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
	uint64_t run_ns = (quick ? 5 : 20) * S;

	goodput_1pct_50ms("goodput_1pct_50ms_100m", 100, run_ns);
	goodput_1pct_50ms("goodput_1pct_50ms_1g", 1000, (quick ? 2 : 10) * S);
	route_isolation(quick ? 3 * S : run_ns);
	goodput_over_loss("bbr", (quick ? 10 : 30) * S);
	goodput_over_loss("cubic", (quick ? 10 : 30) * S);
	return 0;
}
