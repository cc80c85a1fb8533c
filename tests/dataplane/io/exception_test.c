// Frames that are not ours: to the kernel's copy, to the TAP, or nowhere; and what the kernel
// sends.

#include "dataplane/io/exception.h"
#include "tests/support/eal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 8, POOL = 255 };

struct fix {
	struct wctx *w;
	struct stats_worker *stats;
	struct rte_mempool *pool;
	struct rte_mbuf *m[N];
};

static void fix_init(struct fix *f)
{
	f->w = aligned_alloc(64, (sizeof(*f->w) + 63) & ~63ul);
	f->stats = aligned_alloc(64, (sizeof(*f->stats) + 63) & ~63ul);
	assert_true(f->w != NULL && f->stats != NULL);
	memset(f->w, 0, sizeof(*f->w));
	memset(f->stats, 0, sizeof(*f->stats));
	f->pool = rte_pktmbuf_pool_create("exception", POOL, 0, 0, 2048, SOCKET_ID_ANY);
	assert_non_null(f->pool);
	f->w->c = f->stats->c;
	f->w->n_workers = 1;
	for (int i = 0; i < DPMSG_MAX_PORTS; i++)
		f->w->tx[i].mtu = 1500;
	f->w->exception[1] = PORT_KERNEL_COPY;
	f->w->exception[2] = PORT_TAP;
	f->w->exception_peer[2] = 3;
	f->w->exception[3] = PORT_IS_TAP;
	f->w->exception_peer[3] = 2;
	for (int i = 0; i < N; i++) {
		f->m[i] = rte_pktmbuf_alloc(f->pool);
		assert_non_null(rte_pktmbuf_append(f->m[i], 64));
	}
}

static uint64_t counted(const struct fix *f, enum worker_counter k)
{
	return stat_get(&f->stats->c[k]);
}

static void fix_fini(struct fix *f)
{
	for (int p = 0; p < DPMSG_MAX_PORTS; p++)
		rte_pktmbuf_free_bulk(f->w->tx[p].m, f->w->tx[p].n);
	assert_int_equal(rte_mempool_avail_count(f->pool), POOL);
	rte_mempool_free(f->pool);
	free(f->stats);
	free(f->w);
}

static void kernel_that_has_its_copy_gets_none(void **state)
{
	struct fix f;

	fix_init(&f);
	exception_rx(f.w, 1, f.m, N);
	assert_int_equal(counted(&f, W_to_kernel), N);
	assert_int_equal(counted(&f, W_tx_built), 0);
	assert_int_equal(rte_mempool_avail_count(f.pool), POOL);
	fix_fini(&f);
}

static void tap_gets_the_frames_in_order(void **state)
{
	struct fix f;

	fix_init(&f);
	exception_rx(f.w, 2, f.m, N);
	assert_int_equal(counted(&f, W_to_kernel), N);
	assert_int_equal(counted(&f, W_tx_built), N);
	assert_int_equal(f.w->tx[3].n, N);
	for (int i = 0; i < N; i++)
		assert_ptr_equal(f.w->tx[3].m[i], f.m[i]);
	fix_fini(&f);
}

static void port_without_exception_path_drops_and_counts(void **state)
{
	struct fix f;

	fix_init(&f);
	exception_rx(f.w, 0, f.m, N);
	assert_int_equal(counted(&f, W_drop_exception), N);
	assert_int_equal(counted(&f, W_to_kernel), 0);
	fix_fini(&f);
}

static void frames_of_the_kernel_leave_by_the_device(void **state)
{
	struct fix f;

	fix_init(&f);
	assert_true(exception_is_tap(f.w, 3));
	assert_false(exception_is_tap(f.w, 2));
	exception_tap_rx(f.w, 3, f.m, N);
	assert_int_equal(f.w->tx[2].n, N);
	assert_int_equal(counted(&f, W_tx_built), N);
	assert_int_equal(counted(&f, W_to_kernel), 0);
	fix_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_that_has_its_copy_gets_none),
		cmocka_unit_test(tap_gets_the_frames_in_order),
		cmocka_unit_test(port_without_exception_path_drops_and_counts),
		cmocka_unit_test(frames_of_the_kernel_leave_by_the_device),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
