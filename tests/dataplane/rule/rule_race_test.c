// Readers on their own threads against a writer that adds and retires as fast as it can: what a
// reader finds is always whole, and is not reused under its hands. Run it under TSan for its full
// worth.

#include "dataplane/rule/rule_table.h"
#include "tests/support/eal.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BITS = 6, READERS = 3, ADDS = 600 };

struct race {
	struct rule_table t;
	struct reclaim *reclaim;
	_Atomic bool stop;
	_Atomic uint64_t torn; // bodies that did not belong to the id found
	_Atomic uint64_t found;
	_Atomic uint64_t pins;
};

struct reader {
	struct race *race;
	unsigned id;
	pthread_t thread;
};

static void *reader_main(void *arg)
{
	struct reader *me = arg;
	struct race *race = me->race;
	uint32_t x = 12345 + me->id;

	reclaim_online(race->reclaim, me->id);
	while (!atomic_load_explicit(&race->stop, memory_order_relaxed)) {
		x = x * 1664525 + 1013904223;
		uint32_t id = (x >> 16) & 0xff;
		struct rule *r = rule_lookup(&race->t, id);
		if (r != NULL) {
			bool pinned = false;

			atomic_fetch_add_explicit(&race->found, 1, memory_order_relaxed);
			// every field is a function of the id: a torn or reused slot shows
			if (r->next_id != id * 3 || r->tx_hop != id * 5)
				atomic_fetch_add_explicit(&race->torn, 1, memory_order_relaxed);
			rule_ingress_ok(r, me->id + 1, true, &pinned);
			if (pinned)
				atomic_fetch_add_explicit(&race->pins, 1, memory_order_relaxed);
			if (me->id == id % READERS) // its owner
				rule_count(r, 10, x);
		}
		reclaim_quiescent(race->reclaim, me->id);
	}
	reclaim_offline(race->reclaim, me->id);
	return NULL;
}

static void readers_never_see_a_torn_or_reused_rule(void **state)
{
	static struct race race;
	struct reader readers[READERS];
	uint64_t added = 0, pinned_once;

	race.reclaim = reclaim_new(READERS);
	assert_non_null(race.reclaim);
	assert_int_equal(rule_table_init(&race.t, BITS, -1, race.reclaim), 0);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i] = (struct reader){.race = &race, .id = i};
		assert_int_equal(
			pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]), 0);
	}
	for (uint32_t n = 0; added < ADDS; n++) {
		uint32_t id = 1 + n * 7 % 255;
		struct cmd_rule_add c = {
			.id = id,
			.next_id = id * 3,
			.tx_hop = id * 5,
			.keep_alive_ms = 1000,
			.type = RULE_INTERMEDIARY,
		};
		switch (rule_table_add(&race.t, &c, n)) {
		case 0:
			added++;
			break;
		case -EAGAIN: // in its grace period: let the readers turn
			sched_yield();
			break;
		default:
			rule_table_del(&race.t, 1 + (n * 11 + 3) % 255, RULE_GONE_DEL);
		}
		rule_table_poll(&race.t, 16);
	}
	atomic_store(&race.stop, true);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(readers[i].thread, NULL);
	pinned_once = atomic_load(&race.pins);
	assert_int_equal(atomic_load(&race.torn), 0);
	assert_true(pinned_once <= added); // never two pins of one rule
	rule_table_fini(&race.t);
	reclaim_free(race.reclaim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_never_see_a_torn_or_reused_rule),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
