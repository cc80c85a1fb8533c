// Both ends of a ring on threads of their own, and the sleep protocol of region.h on top. Run it
// under TSan for its full worth: the data bytes are plain memory, ordered by head and tail alone.

#include "lib/shm/ring.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIZE = 4096, RECORDS = 200000, WAKES = 20000 };

struct rec {
	uint32_t len;
	uint32_t seq;
	uint8_t bytes[120];
};

struct race {
	struct ring_shm *shm;
	struct ring_w w;
	struct ring_r r;
	_Atomic uint32_t sleeping;
	_Atomic uint32_t done; // records the reader has taken
	int bell;
	unsigned naps;
};

static void race_init(struct race *x)
{
	memset(x, 0, sizeof(*x));
	x->shm = aligned_alloc(64, ring_shm_len(SIZE));
	assert_non_null(x->shm);
	assert_int_equal(ring_shm_init(x->shm, SIZE), 0);
	assert_int_equal(ring_w_attach(&x->w, x->shm, ring_shm_len(SIZE)), 0);
	assert_int_equal(ring_r_attach(&x->r, x->shm, ring_shm_len(SIZE)), 0);
	x->bell = eventfd(0, EFD_NONBLOCK);
	assert_true(x->bell >= 0);
}

static void race_fini(struct race *x)
{
	close(x->bell);
	free(x->shm);
}

static bool write_one(struct race *x, uint32_t seq)
{
	uint32_t len = 8 + seq % 113;
	struct rec *rec = ring_w_reserve(&x->w, len);

	if (rec == NULL)
		return false;
	rec->len = len;
	rec->seq = seq;
	memset(rec->bytes, (int)seq, len - 8);
	return true;
}

static void *flood(void *arg)
{
	struct race *x = arg;

	for (uint32_t seq = 0; seq < RECORDS; seq++) {
		while (!write_one(x, seq)) {
			ring_w_publish(&x->w);
			sched_yield();
		}
		if (seq % 7 == 0)
			ring_w_publish(&x->w);
	}
	ring_w_publish(&x->w);
	return NULL;
}

static void records_cross_threads_whole_and_in_order(void **state)
{
	struct race x;
	pthread_t t;
	uint32_t seq = 0;

	race_init(&x);
	assert_int_equal(pthread_create(&t, NULL, flood, &x), 0);
	while (seq < RECORDS) {
		struct rec rec;
		int n = ring_r_read(&x.r, &rec, sizeof(rec));

		assert_true(n >= 0);
		if (n == 0) {
			ring_r_release(&x.r);
			sched_yield();
			continue;
		}
		assert_int_equal(rec.seq, seq);
		assert_int_equal(n, 8 + seq % 113);
		if (n > 8) {
			assert_int_equal(rec.bytes[0], (uint8_t)seq);
			assert_int_equal(rec.bytes[n - 9], (uint8_t)seq);
		}
		if (seq++ % 5 == 0)
			ring_r_release(&x.r);
	}
	pthread_join(t, NULL);
	race_fini(&x);
}

// Sleeps whenever the ring is empty, as the main lcore and the control plane do, but for ever: a
// lost wake-up hangs here and fails by the poll's time limit.
static void *sleeper(void *arg)
{
	struct race *x = arg;
	uint32_t seq = 0;

	while (seq < WAKES) {
		struct rec rec;
		struct pollfd p = {.fd = x->bell, .events = POLLIN};
		uint64_t v;

		if (ring_r_read(&x->r, &rec, sizeof(rec)) > 0) {
			ring_r_release(&x->r);
			seq++;
			atomic_store(&x->done, seq);
			continue;
		}
		atomic_store_explicit(&x->sleeping, 1, memory_order_seq_cst);
		if (!ring_r_empty(&x->r)) {
			atomic_store(&x->sleeping, 0);
			continue;
		}
		x->naps++;
		if (poll(&p, 1, 5000) == 0)
			return NULL; // lost
		if (read(x->bell, &v, sizeof(v)) < 0)
			continue;
	}
	return x;
}

static void no_wake_up_is_lost(void **state)
{
	struct race x;
	pthread_t t;
	void *ret;

	race_init(&x);
	assert_int_equal(pthread_create(&t, NULL, sleeper, &x), 0);
	for (uint32_t seq = 0; seq < WAKES; seq++) {
		uint64_t one = 1;

		while (!write_one(&x, seq))
			sched_yield();
		ring_w_publish(&x.w);
		if (atomic_exchange(&x.sleeping, 0) == 1)
			assert_int_equal(write(x.bell, &one, sizeof(one)), sizeof(one));
		if (seq % 3 == 0) { // let it run dry now and then, so that it goes to sleep
			for (int i = 0; i < 1000 && atomic_load(&x.done) <= seq; i++)
				sched_yield();
		}
	}
	pthread_join(t, &ret);
	assert_non_null(ret);
	assert_int_equal(atomic_load(&x.done), WAKES);
	assert_true(x.naps > 100);
	race_fini(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_cross_threads_whole_and_in_order),
		cmocka_unit_test(no_wake_up_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
