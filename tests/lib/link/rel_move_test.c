// A link that changes the hold. That nothing is lost, doubled or out of order is shown in simulated
// worlds (rel_sim_test.c); here, what is refused, and who has the memory afterwards.
#include "tests/lib/link/rel_fixture.h"

struct other {
	struct rel_hold *hold;
	uint16_t account;
	unsigned asked; // for accounts of routes
};

static void other_open(struct other *o, struct fx *f, uint32_t max_bufs, uint32_t n_spare)
{
	struct rel_hold_conf hc = {.routes = f->routes,
		.n_routes = FX_ROUTES + FX_SPARE,
		.spare_first = FX_ROUTES - n_spare,
		.n_spare = n_spare,
		.max_bufs = max_bufs,
		.n_accounts = 8,
		.seed = 6,
		.ctx = f,
		.chunk_get = fx_chunk_get,
		.chunk_put = fx_chunk_put,
		.free = fx_free,
		.split = fx_split};

	*o = (struct other){0};
	o->hold = rel_hold_init(aligned_alloc(64, (rel_hold_mem_size(&hc) + 63) & ~63ul), &hc);
	// another number than on the old hold
	rel_hold_account_open(o->hold);
	o->account = (uint16_t)rel_hold_account_open(o->hold);
}

static void other_close(struct other *o)
{
	rel_hold_fini(o->hold);
	free(o->hold);
}

static uint16_t account_there(void *ctx, uint32_t route)
{
	struct other *o = ctx;

	o->asked++;
	return o->account;
}

static int move(struct fx *f, struct other *o)
{
	struct rel_mover by = {.account = o->account, .route = account_there, .ctx = o};

	return rel_move(f->rel, o->hold, &by);
}

static uint32_t bufs_of(const struct rel_hold *h)
{
	struct rel_hold_stats st;

	rel_hold_stats(h, &st);
	return st.bufs;
}

static void push(struct fx *f, uint32_t route, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct rel_pkt p = {
			.handle = fx_handle(f), .len = 100, .bufs = 1, .account = f->account};

		assert_true(rel_queue_push(f->q, route, &p, 0, f->now_ns));
	}
}

// Waiting, unacked, held out of order and half joined.
static void fill(struct fx *f, unsigned n)
{
	struct rail_frame part = {
		.type = RAIL_PART, .seq = 3, .total = 200, .offset = 50, .len = 60};
	static const uint8_t bytes[60];
	struct rel_dgram d;

	rel_queue_open(f->q, 1, 100);
	rel_queue_open(f->q, 2, 200);
	push(f, 1, n);
	push(f, 2, n);
	while (rel_next(f->rel, &d, f->now_ns))
		;
	assert_int_equal(fx_rx_seq(f, 2, 1, 7), REL_COMMIT); // 1 is missing
	part.data = bytes;
	assert_int_equal(fx_rx_frame(f, &part), REL_COMMIT);
	assert_int_equal(f->out.n, 0);
}

static void all_of_it_is_charged_there(void **state)
{
	struct fx *f = fx_new(4096);
	struct other o;
	unsigned chunks;

	other_open(&o, f, 4096, 16);
	fill(f, 50);
	assert_int_equal(bufs_of(f->hold), 102);
	assert_int_equal(fx_stats(f).waiting + fx_stats(f).unacked, 100);
	assert_int_equal(move(f, &o), 0);
	assert_int_equal(fx_stats(f).waiting + fx_stats(f).unacked, 100);
	assert_int_equal(o.asked, 2);
	assert_int_equal(bufs_of(f->hold), 0);
	assert_int_equal(bufs_of(o.hold), 102);
	assert_int_equal(rel_hold_account_bufs(o.hold, o.account), 102);
	assert_int_equal(rel_hold_account_bufs(f->hold, f->account), 0);
	// what was missing releases what was held
	fx_rx_seq(f, 0, 0, 7);
	fx_rx_seq(f, 1, 1, 7);
	assert_int_equal(f->out.n, 3);
	assert_int_equal(bufs_of(o.hold), 101);
	chunks = f->n_chunks;
	rel_reset(f->rel, f->now_ns);
	assert_int_equal(bufs_of(o.hold), 0);
	assert_int_equal(fx_stats(f).waiting, 0);
	assert_true(f->n_chunks < chunks);
	// and back, empty
	assert_int_equal(rel_move(f->rel, f->hold, &(struct rel_mover){.account = f->account}), 0);
	other_close(&o);
	fx_end(f);
}

static void what_has_no_room_there_stays(void **state)
{
	static const struct {
		uint32_t max_bufs, n_spare;
	} full[] = {{256, 16}, {4096, 0}}; // of buffers; of places for routes that are held
	struct other o;

	for (unsigned i = 0; i < ARRAY_LEN(full); i++) {
		struct fx *f = fx_new(4096);
		unsigned chunks;

		other_open(&o, f, full[i].max_bufs, full[i].n_spare);
		fill(f, 200);
		chunks = f->n_chunks;
		assert_int_equal(move(f, &o), -ENOSPC);
		assert_int_equal(o.asked, 0);
		assert_int_equal(bufs_of(f->hold), 402);
		assert_int_equal(bufs_of(o.hold), 0);
		assert_true(f->n_chunks >= chunks); // nodes stay with a hold once it has them
		fx_rx_seq(f, 0, 0, 7);
		fx_rx_seq(f, 1, 1, 7);
		assert_int_equal(f->out.n, 3);
		other_close(&o);
		fx_end(f);
	}
}

static void a_route_of_a_sink_keeps_its_order_and_its_pause(void **state)
{
	struct fx *f = fx_new(4096);
	struct rel_queue *a = rel_queue_init(malloc(rel_queue_mem_size()), f->hold), *b;
	struct rel_pkt p = {.len = 100, .bufs = 1, .account = f->account};
	struct other o;
	uint32_t route;

	other_open(&o, f, 4096, 16);
	b = rel_queue_init(malloc(rel_queue_mem_size()), o.hold);
	for (uint32_t r = 5; r < 8; r++)
		assert_int_equal(rel_queue_open(a, r, 0), 0);
	for (unsigned i = 0; i < 30; i++) {
		p.handle = fx_handle(f);
		assert_true(rel_queue_push(a, 5 + i % 3, &p, 0, f->now_ns));
	}
	rel_queue_pause(a, 6, 10, f->now_ns);
	assert_int_equal(rel_queue_move(a, b, 5, o.account), 0);
	assert_int_equal(rel_queue_move(a, b, 6, o.account), 0);
	assert_int_equal(bufs_of(o.hold), 20);
	for (uintptr_t i = 0, last = 0; i < 10; i++, last = (uintptr_t)p.handle) {
		assert_true(rel_queue_pull(b, &route, &p, f->now_ns));
		assert_int_equal(route, 5);
		assert_true((uintptr_t)p.handle > last);
		fx_back(f, p.handle);
	}
	assert_false(rel_queue_pull(b, &route, &p, f->now_ns));
	rel_queue_resume(b, 6, f->now_ns);
	assert_true(rel_queue_pull(b, &route, &p, f->now_ns));
	assert_int_equal(route, 6);
	fx_back(f, p.handle);
	rel_queue_forget(b, 6);
	rel_queue_forget(b, 5);
	rel_queue_forget(a, 7);
	rel_queue_fini(a);
	rel_queue_fini(b);
	free(a);
	free(b);
	other_close(&o);
	fx_end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_is_charged_there),
		cmocka_unit_test(what_has_no_room_there_stays),
		cmocka_unit_test(a_route_of_a_sink_keeps_its_order_and_its_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
