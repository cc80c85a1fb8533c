// Who has to wait behind a carried hop, and that all of them are told so and that they may go on.
#include "tests/dataplane/worker/chain_carried.h"

static bool all_wait(const struct chain *c)
{
	for (unsigned k = 0; k < HOPS; k += 2)
		if (c->pipe[k] != NULL && !(pipe_waits(c->pipe[k]) && c->pipe[k]->held))
			return false;
	return c->edge_waits;
}

// The reader does not read: the connection before it fills up and is blocked, so does what waits
// for it in the node, the connection before that, and the edge is told. All of it goes on in order.
static void pauses_go_back_from_hop_to_hop(void **state)
{
	static const uint8_t mode[][PAIRS] = {
		{HOP_MODE_CARRIED, HOP_MODE_CARRIED},
		{HOP_MODE_CARRIED, HOP_MODE_RELIABLE},
		{HOP_MODE_RELIABLE, HOP_MODE_CARRIED},
	};

	for (unsigned i = 0; i < ARRAY_LEN(mode); i++)
		for (unsigned workers = 1; workers <= 2; workers++) {
			struct node_conf conf = {
				.workers = workers, .cipher = AEAD_NONE, .rel_bufs = 4096};
			struct chain c;
			uint32_t n;

			chain_open(&c, &conf, mode[i]);
			sink_pause(&c, true);
			n = 0;
			for (unsigned i_try = 0; i_try < 1000 && !all_wait(&c); i_try++) {
				n = fill_up(&c, n); // a link may have been slow for a moment
				turns(&c, 10);
			}
			for (unsigned k = 0; k < HOPS; k += 2)
				if (c.pipe[k] != NULL) {
					assert_true(pipe_waits(c.pipe[k]));
					assert_true(c.pipe[k]->held);
				}
			assert_int_equal(c.n_up, 0);
			sink_pause(&c, false);
			UNTIL(&c, c.n_up == n);
			UNTIL(&c, !c.edge_waits);
			n = n + 100;
			send_many(&c, n - 100, 100, 500);
			UNTIL(&c, c.n_up == n);
			assert_int_equal(node_counter(&c.n, W_drop_up_ring), 0);
			assert_int_equal(node_counter(&c.n, W_routes_stalled), 0);
			assert_int_equal(node_counter(&c.n, W_drop_route_ended), 0);
			chain_close(&c);
		}
}

static bool refuse(struct wctx *w, unsigned to, const struct hop_msg *msg)
{
	return false;
}

static void a_pause_that_finds_no_room_is_told_later(void **state)
{
	struct node_conf conf = {.workers = 2, .cipher = AEAD_NONE, .rel_bufs = 4096};
	struct wctx_ops ops;
	struct chain c;
	uint32_t n = 0;

	chain_open(&c, &conf, carried); // TRANSIT leaves by worker 0, and comes by worker 1
	ops = *c.n.w[0]->ops;
	ops.handoff_msg = refuse;
	c.n.w[0]->ops = &ops;
	sink_pause(&c, true);
	while (!c.pipe[2]->held) {
		send_packet(&c, ROUTE_DATA, n++, 1000);
		turns(&c, 2);
	}
	while (node_counter(&c.n, W_notes_lost) == 0) {
		send_packet(&c, ROUTE_DATA, n++, 1000);
		turns(&c, 2);
	}
	turns(&c, 10);
	assert_false(pipe_waits(c.pipe[0]));
	c.n.w[0]->ops = worker_ctx(c.n.set, 1)->ops;
	UNTIL(&c, pipe_waits(c.pipe[0]));
	sink_pause(&c, false);
	UNTIL(&c, c.n_up == n);
	chain_close(&c);
}

// What the way out says to the way in finds no room with the main lcore, nor does the answer that
// it is to be said again.
static void a_resume_for_which_nobody_has_room_is_told_later(void **state)
{
	static const struct dp_note any = {.kind = NOTE_RULE_MISS};
	struct node_conf conf = {.workers = 2, .cipher = AEAD_NONE, .rel_bufs = 4096};
	struct wctx_ops ops;
	struct chain c;
	uint32_t n = 0;

	chain_open(&c, &conf, carried);
	sink_pause(&c, true);
	while (!pipe_waits(c.pipe[0])) {
		send_packet(&c, ROUTE_DATA, n++, 1000);
		turns(&c, 2);
	}
	ops = *c.n.w[1]->ops;
	ops.handoff_msg = refuse;
	c.n.w[1]->ops = &ops;
	sink_pause(&c, false);
	for (unsigned i = 0; i < 300 && c.n_up < n; i++) {
		while (hop_note(c.n.w[1], &any))
			;
		turn(&c);
	}
	assert_true(pipe_waits(c.pipe[0]));
	c.n.w[1]->ops = worker_ctx(c.n.set, 0)->ops;
	UNTIL(&c, !pipe_waits(c.pipe[0]));
	UNTIL(&c, c.n_up == n);
	chain_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pauses_go_back_from_hop_to_hop),
		cmocka_unit_test(a_pause_that_finds_no_room_is_told_later),
		cmocka_unit_test(a_resume_for_which_nobody_has_room_is_told_later),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
