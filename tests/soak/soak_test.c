// Hours of simulated time with random faults of all kinds, in a world of whole nodes (soak.h).
// After each round of faults every transport is up again in time, what was sent on routes that live
// has arrived in order, nothing that ended is there by half, and every buffer is back; in the end,
// all memory and descriptors. Runs short in the unit tests, long by `make soak`:
//
//   SOAK_HOURS=24 build/release/tests/soak/soak_test        SOAK_SEED=n: that world; SOAK_LOG=1
#include "tests/soak/soak.h"

#include "tests/support/eal.h"

#include <rte_malloc.h>

#include <dirent.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	UP_S = 120, // a transport is up again so long after the last fault
	REST_S = 60, // ... and what was sent is delivered or freed
	BUFFERS_S = 30,
	SEEDS = 4,
	HOUR_S = 3600,
	LEAK_MAX = 64 << 10, // of the C library's own
};

static bool faults_are_over(void)
{
	return soak.n_faults == 0;
}

static bool moves_are_over(void)
{
	for (unsigned i = 0; i < SOAK_NODES; i++)
		if (soak.node[i].cp.alive && soak.node[i].cp.moves != 0)
			return false;
	return true;
}

static bool all_are_up(void)
{
	for (unsigned i = 0; i < SOAK_LINKS; i++)
		if (!soak_link_is_up(&soak.link[i]))
			return false;
	return true;
}

static bool buffers_are_back(void)
{
	for (unsigned i = 0; i < SOAK_NODES; i++)
		if (rte_mempool_avail_count(soak.node[i].pool) != SOAK_BUFS)
			return false;
	return true;
}

static void say_what_is_down(void)
{
	for (unsigned i = 0; i < SOAK_LINKS; i++)
		for (unsigned k = 0; k < 2; k++) {
			const struct soak_link *l = &soak.link[i];
			struct soak_node *n = &soak.node[l->end[k]];
			struct transport *t = soak_transport(n, l->end[!k]);
			struct transport_info info = {0};

			if (t == NULL)
				continue;
			transport_info_get(t, &info);
			print_message("  node %u to %u: %s%s%s\n", n->i, l->end[!k],
				transport_state_name(info.state), info.why[0] != '\0' ? ", " : "",
				info.why);
		}
}

static void at_rest(void)
{
	if (soak_run(REST_S * SOAK_S, soak_routes_idle) || soak.why[0] != '\0')
		return;
	soak_routes_say();
	soak_fail("routes are not at rest %u s after all links were up", REST_S);
}

static void recover(void)
{
	uint64_t began;

	soak_run(HOUR_S * SOAK_S, faults_are_over);
	began = soak.now_ns;
	if (!soak_run(UP_S * SOAK_S, all_are_up) && soak.why[0] == '\0') {
		say_what_is_down();
		soak_fail("a transport is not up %u s after the last fault", UP_S);
	}
	if ((soak.now_ns - began) / SOAK_MS > soak.count.worst_up_ms)
		soak.count.worst_up_ms = (soak.now_ns - began) / SOAK_MS;
	if (!soak_run(UP_S * SOAK_S, moves_are_over))
		soak_fail("a hop that was to move is neither here nor there");
	at_rest();
	soak_routes_judge();
	soak_routes_send(5); // a route that lives delivers
	at_rest();
	if (!soak_run(BUFFERS_S * SOAK_S, buffers_are_back))
		soak_fail("buffers are missing");
	soak_routes_judge();
}

static void round_of_faults(void)
{
	unsigned n = (unsigned)soak_pick(1, 4);

	soak_routes_build();
	for (unsigned i = 0; i < n; i++) {
		soak_routes_send((uint32_t)soak_pick(0, 300));
		soak_run(soak_pick(10, 5000) * SOAK_MS, NULL);
		soak_fault();
		soak_routes_send((uint32_t)soak_pick(0, 150));
		soak_run(soak_pick(10, 20000) * SOAK_MS, NULL);
	}
	recover();
	soak_run(soak_pick(1, 30) * SOAK_S, NULL);
}

static struct soak_count all; // of the worlds so far

static void add_up(void)
{
	const uint64_t *from = (const uint64_t *)&soak.count;
	uint64_t *to = (uint64_t *)&all;

	for (size_t i = 0; i < sizeof(all) / sizeof(*to); i++)
		to[i] += from[i];
}

static void say(const struct soak_count *c)
{
	print_message(
		"  %lu faults, %lu kills, %lu handshakes, %lu re-keys, %lu resets, %lu pauses, "
		"%lu overflows, %lu refusals\n",
		(unsigned long)c->faults, (unsigned long)c->kills, (unsigned long)c->handshakes,
		(unsigned long)c->rekeys, (unsigned long)c->resets, (unsigned long)c->pauses,
		(unsigned long)c->overflows, (unsigned long)c->refused);
	print_message(
		"  %lu moves, %lu had no room; %lu frames for ports that were away; other flows "
		"than before %lu times\n",
		(unsigned long)c->moves, (unsigned long)c->no_room, (unsigned long)c->away,
		(unsigned long)c->other_flows);
	print_message("  %lu of %lu frames lost, %lu packets sent, %lu read; rules ended:",
		(unsigned long)c->lost, (unsigned long)c->frames, (unsigned long)c->packets,
		(unsigned long)c->reads);
	for (uint8_t i = 1; i < RULE_GONE_COUNT; i++)
		print_message(" %lu %s%s", (unsigned long)c->closed[i], rule_gone_text(i),
			i + 1 < RULE_GONE_COUNT ? "," : "\n");
}

static void world_lives(uint64_t seed, uint64_t seconds)
{
	unsigned rounds = 0;

	soak_open(seed);
	if (!soak_run(UP_S * SOAK_S, all_are_up))
		soak_fail("transports never come up");
	soak_run(REST_S * SOAK_S, soak_routes_idle);
	for (; soak.why[0] == '\0' && soak.now_ns < (1000 + seconds) * SOAK_S; rounds++)
		round_of_faults();
	soak_close();
	if (soak.why[0] != '\0')
		fail_msg("SOAK_SEED=%lu: %s", (unsigned long)seed, soak.why);
	print_message("seed %lu: %.1f h, %u rounds, up again after %.1f s at most\n",
		(unsigned long)seed, (double)seconds / HOUR_S, rounds,
		(double)soak.count.worst_up_ms / 1e3);
	say(&soak.count);
	add_up();
}

// ---- what is held ----

struct holdings {
	size_t heap, eal;
	unsigned fds;
};

static struct holdings holdings(void)
{
	struct rte_malloc_socket_stats st;
	struct holdings h = {.heap = mallinfo2().uordblks};
	DIR *d = opendir("/proc/self/fd");

	while (readdir(d) != NULL)
		h.fds++;
	closedir(d);
	rte_malloc_get_socket_stats(0, &st);
	h.eal = st.heap_allocsz_bytes;
	return h;
}

static uint64_t first_seed(void)
{
	const char *text = getenv("SOAK_SEED");

	return text != NULL ? strtoull(text, NULL, 10) : 1;
}

static void nothing_stays_down_and_nothing_leaks(void **state)
{
	const char *text = getenv("SOAK_HOURS");
	uint64_t seed = first_seed(), n = getenv("SOAK_SEED") != NULL ? 1 : SEEDS;
	uint64_t seconds = text != NULL ? (uint64_t)(strtod(text, NULL) * HOUR_S) / n : 600;
	struct holdings before, after;

	world_lives(seed, 300); // what is made once is made now
	before = holdings();
	for (uint64_t i = 0; i < n; i++)
		world_lives(seed + i, seconds);
	after = holdings();
	print_message("held: %zu -> %zu bytes, %zu -> %zu of EAL, %u -> %u descriptors\n",
		before.heap, after.heap, before.eal, after.eal, before.fds, after.fds);
	// worth something only if all of it does happen
	assert_true(all.kills > 0 && all.resets > 0 && all.rekeys > 0 && all.pauses > 0);
	assert_true(all.overflows > 0 && all.refused > 0 && all.closed[RULE_GONE_RESET] > 0);
	assert_true(all.moves > 0 && all.away > 0 && all.other_flows > 0);
	assert_int_equal(after.fds, before.fds);
	assert_int_equal(after.eal, before.eal);
	assert_true(after.heap <= before.heap + LEAK_MAX);
}

// Libraries draw once for all.
static int begin(void **state)
{
	soak_open(0);
	soak_run(SOAK_S, NULL);
	soak_close();
	return 0;
}

static void a_seed_makes_one_world(void **state)
{
	struct soak_count once;

	world_lives(first_seed(), 200);
	once = soak.count;
	world_lives(first_seed(), 200);
	assert_memory_equal(&once, &soak.count, sizeof(once));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_makes_one_world),
		cmocka_unit_test(nothing_stays_down_and_nothing_leaks),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, begin, NULL);
}
