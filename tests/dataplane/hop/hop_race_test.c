// Main lcore and owner at the same time: hops come, are re-keyed, shown and go while their worker
// runs its loop and looks receiver indices up. Short; made for the thread sanitizer, and it must
// end with every hop given back.

#include "tests/support/hop_pair.h"

#include <pthread.h>

enum { ROUNDS = 3000, HOPS = 40 };

struct race {
	struct pair p;
	_Atomic bool stop;
	uint64_t found;
};

static void *worker(void *arg)
{
	struct race *r = arg;
	struct wctx *w = &r->p.a.w;
	uint32_t index = 1;

	while (!atomic_load_explicit(&r->stop, memory_order_relaxed)) {
		uint64_t word = hop_table_rx_word(w->hops, index);
		struct hop *h = word != 0 ? hop_by_word(w, word) : NULL;

		r->found += h != NULL && hop_handle(h) != 0;
		index = index % 2000 + 1;
		w->now_ns += 100 * 1000;
		hop_commands(w);
		hop_timers(w);
		lose_all(&r->p.a);
	}
	while (hop_commands(w) > 0)
		lose_all(&r->p.a);
	return NULL;
}

static void read_notes(struct race *r)
{
	struct dp_note n[32];

	while (hop_table_notes(r->p.a.w.hops, 0, n, ARRAY_LEN(n), NULL) > 0)
		;
}

// A command that finds the owner's queue full is simply tried again in a later round.
static void command(struct race *r, unsigned i, uint32_t gen)
{
	struct hop_table *t = r->p.a.w.hops;
	uint32_t handle = (i % HOPS + 1) | gen % 4000 << DPMSG_HANDLE_BITS;
	struct cmd_hop_rekey rk = {.hop = handle};
	struct cmd_hop_del del = {.hop = handle, .send_close = 1};
	struct cmd_hop_ping ping = {.hop = handle};
	struct dpmsg_keys at_a, at_b;
	struct evt_hop show;
	uint16_t owner;
	int rc;

	make_keys(&r->p, &r->p.a, &r->p.b, &at_a, &at_b);
	at_a.rx_index = i % 2000 + 1;
	at_a.initiator = i % 3 != 0;
	if (hop_table_tp(t, handle) == 0) {
		struct cmd_hop_add c = make_add(&r->p.a, &r->p.b, &at_a);

		c.hop = handle;
		rc = hop_table_add(t, &c, 1, &owner);
	} else if (i % 5 == 0) {
		rc = hop_table_del(t, &del);
	} else if (i % 5 == 1) {
		rc = hop_table_ping(t, &ping);
	} else {
		rk.keys = at_a;
		rk.flags = i % 7 == 0 ? HOP_RESET : 0;
		rc = hop_table_rekey(t, &rk, 1);
	}
	assert_true(rc == 0 || rc == -EAGAIN || rc == -EEXIST);
	hop_table_show(t, handle & 63, 1, &show);
	read_notes(r);
}

static void main_and_owner_do_not_get_in_each_others_way(void **state)
{
	static struct race r;
	pthread_t thread;

	pair_init(&r.p, AEAD_NONE, false);
	assert_int_equal(pthread_create(&thread, NULL, worker, &r), 0);
	for (unsigned i = 0; i < ROUNDS; i++)
		command(&r, i, i / 500);
	for (unsigned i = 1; i <= HOPS; i++) {
		struct evt_hop show;
		struct cmd_hop_del del = {0};

		if (hop_table_show(r.p.a.w.hops, i, 1, &show) < 0)
			continue;
		del.hop = show.hop;
		while (hop_table_del(r.p.a.w.hops, &del) == -EAGAIN)
			read_notes(&r);
	}
	atomic_store_explicit(&r.stop, true, memory_order_relaxed);
	pthread_join(thread, NULL);
	read_notes(&r);
	assert_int_equal(hop_table_count(r.p.a.w.hops), 0);
	assert_int_equal(hop_worker(&r.p.a.w)->n_list, 0);
	assert_null(hop_worker(&r.p.a.w)->released);
	pair_fini(&r.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(main_and_owner_do_not_get_in_each_others_way),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
