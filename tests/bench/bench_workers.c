// Figures of several egress hops and several workers, in one process: what it costs when a burst
// spreads over many hops, when packets change the worker, and what a second worker brings. Beside
// them the same of the bare loop, which shares nothing: more than it the machine does not have.
//
//   bench_workers [--quick] [--only NAME]

#include "tests/bench/cores.h"
#include "tests/bench/figures.h"
#include "tests/bench/loops.h"
#include "tests/bench/mesh.h"
#include "tests/bench/options.h"

enum { RULES = 1 << 17 };

static const struct env_cipher clear = {.kind = AEAD_NONE};

static struct mesh *mesh_of(
	unsigned workers, unsigned groups, struct env_cipher c, uint32_t payload)
{
	const struct mesh_conf conf = {.n_workers = workers,
		.n_groups = groups,
		.n_rules = RULES,
		.be = c.be,
		.cipher = c.kind};
	struct mesh *m = mesh_new(&conf);

	mesh_fill(m, ENV_IN_FLIGHT, payload);
	return m;
}

// One node against another.
static void compare(const char *name, double target, struct mesh *ours, struct mesh *base)
{
	struct figure f = {.name = name, .unit = "packets/s", .target = target};

	figure_pairs(&f, mesh_run, ours, mesh_run, base, options_pairs());
	figure_print(&f);
	mesh_free(ours);
	mesh_free(base);
}

// A burst leaves by eight hops, against one that leaves by one.
static void eight_hops(struct env_cipher best)
{
	compare("egress_8_64", 0, mesh_of(1, 1, clear, 64), mesh_of(1, MESH_HOPS, clear, 64));
	compare("egress_8_sealed_64", 0, mesh_of(1, 1, best, 64), mesh_of(1, MESH_HOPS, best, 64));
	compare("egress_8_sealed_1400", 0, mesh_of(1, 1, best, 1400),
		mesh_of(1, MESH_HOPS, best, 1400));
}

// Two workers against one, hops and rules being the same: each packet leaves by a hop of the worker
// that received it; by any hop, so that half of them change the worker.
static void two_workers(struct env_cipher best)
{
	compare("workers_2", 1.8, mesh_of(2, 2, best, 1400), mesh_of(1, 2, best, 1400));
	compare("workers_2_64", 0, mesh_of(2, 2, clear, 64), mesh_of(1, 2, clear, 64));
	compare("workers_2_cross", 0, mesh_of(2, 1, best, 1400), mesh_of(1, 1, best, 1400));
	compare("workers_2_cross_64", 0, mesh_of(2, 1, clear, 64), mesh_of(1, 1, clear, 64));
}

// ---- the ceiling ----

// Two nodes of one worker each, that share nothing but the machine, against one of them.
static void apart(const char *name, struct env_cipher c, uint32_t payload)
{
	struct figure f = {.name = name, .unit = "packets/s"};
	struct mesh *m[2] = {mesh_of(1, 2, c, payload), mesh_of(1, 2, c, payload)};

	figure_pairs(&f, mesh_run_two, m, mesh_run, m[0], options_pairs());
	figure_print(&f);
	mesh_free(m[0]);
	mesh_free(m[1]);
}

struct bare {
	struct loop loop;
	struct env *env;
};

static unsigned bare_sends(void *arg)
{
	struct bare *b = arg;

	return loop_bare(&b->loop);
}

static double bare_two(void *arg)
{
	struct bare *b = arg;
	void *ctx[2] = {&b[0], &b[1]};

	return slices_run(2, bare_sends, ctx);
}

static double bare_one(void *arg)
{
	struct bare *b = arg;
	void *ctx[1] = {&b[0]};

	return slices_run(1, bare_sends, ctx);
}

static void bare_loops(void)
{
	struct figure f = {.name = "workers_2_bare_loop", .unit = "packets/s"};
	struct bare b[2];

	for (unsigned i = 0; i < 2; i++) {
		b[i].env = env_new(17, RULES, NULL, (enum aead_cipher) - 1, true, IDLE_POLL);
		b[i].loop = (struct loop){.port = b[i].env->port, .rules = b[i].env->rules};
		env_fill_bare(b[i].env, ENV_IN_FLIGHT, 64);
	}
	figure_pairs(&f, bare_two, b, bare_one, b, options_pairs());
	figure_print(&f);
	for (unsigned i = 0; i < 2; i++)
		env_free(b[i].env);
}

int main(int argc, char **argv)
{
	struct env_cipher best;

	options_take(argc, argv);
	env_start_eal();
	best = env_best_cipher();
	if (wanted("egress_8"))
		eight_hops(best);
	if (wanted("workers_2")) {
		two_workers(best);
		apart("workers_2_apart", best, 1400);
		apart("workers_2_apart_64", clear, 64);
		bare_loops();
		cores_print_siblings();
	}
	return 0;
}
