// Transports stay registered: posted by the responder, looked for by both ends, put back when
// somebody removed them, removed at the end, and never while another connection is up. Times are a
// few milliseconds here.
#include "controlplane/directory/tp_register.h"
#include "tests/controlplane/directory/fake_service.h"

#include "lib/base/err.h"

enum { FIRST_MS = 5, AGAIN_MS = 10, BACKOFF_MS = 20, LONG_MS = 1000000 };

static struct tp_register *reg;
static struct tp_entry ab;
// Whatever a test leaves up.
static struct tp_reg *held[8];
static unsigned n_held;

static void on_done(void *arg)
{
	++*(unsigned *)arg;
}

static struct tp_reg *up(const struct tp_entry *e, bool post, tp_register_fn done, void *arg)
{
	struct tp_reg *h = tp_register_up(reg, e, post, done, arg);

	assert_non_null(h);
	held[n_held++] = h;
	return h;
}

static void down(struct tp_reg *h)
{
	for (unsigned i = 0; i < n_held; i++)
		if (held[i] == h)
			held[i] = held[--n_held];
	tp_register_down(h);
}

static uint32_t max; // 0: the default

static void start_with(uint32_t wait_ms, uint32_t first_ms, uint32_t again_ms)
{
	const struct tp_register_conf c = {.loop = l,
		.max = max,
		.service = s,
		.wait_ms = wait_ms,
		.first_ms = first_ms,
		.again_ms = again_ms,
		.backoff_ms = BACKOFF_MS};

	tp_register_free(reg);
	reg = tp_register_new(&c);
	assert_non_null(reg);
}

static int setup(void **state)
{
	if (fake_client_setup(state, true, 5000) != 0)
		return 1;
	reg = NULL;
	start_with(LONG_MS, FIRST_MS, AGAIN_MS);
	ab = fake_entry(1, "stcpr");
	return 0;
}

static int teardown(void **state)
{
	tp_register_free(reg);
	while (n_held > 0) // after the register: nothing is left to be done
		down(held[0]);
	return fake_client_teardown(state);
}

static struct tp_register_stats stats(void)
{
	struct tp_register_stats st;

	tp_register_stats_get(reg, &st);
	return st;
}

static void a_responders_settlement_waits_for_its_post(void **state)
{
	unsigned n_done = 0;

	(void)state;
	fake.holds = true;
	up(&ab, true, on_done, &n_done);
	run_until(fake.held != NULL);
	assert_int_equal(n_done, 0);
	fake_service_go_on(&fake);
	run_until(n_done == 1);
	assert_int_equal(fake.n, 1);
	assert_int_equal(tp_entry_verify(&fake.e[0], &fake_pk[0]), 0);
	assert_int_equal(tp_entry_verify(&fake.e[0], &fake_pk[1]), 0);
	run_until(stats().checked >= 3);
	assert_int_equal(fake.n_post, 1);
	assert_true(stats().up == 1 && stats().registered == 1 && stats().pending == 0);
	assert_int_equal(n_done, 1);
}

static void a_settlement_waits_no_longer_than_so(void **state)
{
	unsigned n_done = 0;

	(void)state;
	start_with(5, FIRST_MS, AGAIN_MS);
	fake.holds = true;
	up(&ab, true, on_done, &n_done);
	run_until(n_done == 1);
	assert_int_equal(stats().late, 1);
	assert_int_equal(fake.n, 0);
	run_until(fake.held != NULL);
	fake_service_go_on(&fake); // and the post goes on
	run_until(stats().registered == 1);
	assert_int_equal(n_done, 1);
}

static void an_initiator_posts_only_what_is_not_there(void **state)
{
	struct tp_entry ac = fake_entry(2, "stcpr");
	struct tp_reg *h;

	(void)state;
	fake.e[fake.n++] = ab; // by the responder
	h = up(&ab, false, NULL, NULL);
	run_until(stats().checked >= 1);
	assert_int_equal(fake.n_post, 0);
	up(&ac, false, NULL, NULL); // whose responder did not
	run_until(fake.n == 2);
	assert_int_equal(fake.n_post, 1);
	assert_int_equal(stats().mended, 0); // it was never there
	down(h);
	run_until(fake.n == 1);
}

static void what_somebody_removed_is_put_back(void **state)
{
	unsigned n_done = 0;

	(void)state;
	up(&ab, true, on_done, &n_done);
	run_until(stats().registered == 1);
	for (unsigned i = 1; i <= 3; i++) {
		fake.n = 0;
		run_until(fake.n == 1);
		run_until(stats().mended == i);
	}
	assert_int_equal(n_done, 1);
	fake.n = 0;
	fake.lists_null = true; // that looks otherwise at some
	run_until(fake.n == 1);
}

static void the_last_connection_that_closes_removes_the_entry(void **state)
{
	struct tp_reg *first, *second;
	unsigned n_done = 0;

	(void)state;
	start_with(LONG_MS, LONG_MS, LONG_MS);
	first = up(&ab, true, on_done, &n_done);
	run_until(n_done == 1);
	second = up(&ab, false, NULL, NULL); // replaces it
	down(first);
	for (unsigned i = 0; i < 200; i++)
		loop_turn(l);
	assert_int_equal(fake.n_delete, 0);
	assert_int_equal(stats().up, 1);
	down(second);
	run_until(stats().deleted == 1);
	assert_int_equal(fake.n, 0);
	assert_int_equal(stats().up + stats().pending, 0);
	tp_register_down(NULL);
}

static void a_removal_that_waits_is_taken_back_by_the_next_connection(void **state)
{
	struct tp_entry ac = fake_entry(2, "stcpr");
	unsigned n_done = 0;
	struct tp_reg *h;

	(void)state;
	start_with(LONG_MS, LONG_MS, LONG_MS);
	h = up(&ab, true, on_done, &n_done);
	run_until(n_done == 1);
	fake.holds = true; // something else is under way
	up(&ac, true, NULL, NULL);
	run_until(fake.held != NULL);
	down(h);
	h = up(&ab, false, NULL, NULL);
	fake_service_go_on(&fake);
	run_until(stats().registered == 2);
	for (unsigned i = 0; i < 200; i++)
		loop_turn(l);
	assert_int_equal(fake.n_delete, 0);
	assert_int_equal(fake.n, 2);
	down(h);
	run_until(fake.n == 1);
}

static void a_removal_under_way_is_followed_by_what_puts_it_back(void **state)
{
	unsigned n_done = 0;
	struct tp_reg *h;

	(void)state;
	start_with(LONG_MS, LONG_MS, LONG_MS);
	for (unsigned post = 0; post < 2; post++) {
		n_done = 0;
		h = up(&ab, true, on_done, &n_done);
		run_until(n_done == 1);
		fake.holds = true;
		down(h);
		run_until(fake.held != NULL); // the DELETE
		h = up(&ab, post, NULL, NULL);
		fake_service_go_on(&fake);
		run_until(fake.n == 1);
		run_until(stats().registered == 1);
		down(h);
		run_until(fake.n == 0 && stats().pending == 0);
	}
}

static void a_duplicate_is_taken_for_registered(void **state)
{
	unsigned n_done = 0;

	(void)state;
	start_with(LONG_MS, LONG_MS, LONG_MS);
	fake.e[fake.n++] = ab;
	up(&ab, true, on_done, &n_done);
	run_until(n_done == 1);
	run_until(stats().registered == 1);
	assert_true(stats().refused == 1 && stats().posted == 0);
	assert_int_equal(fake.n_post, 1);
}

static void what_is_refused_is_tried_again_after_a_while(void **state)
{
	unsigned n_done = 0;

	(void)state;
	fake.status = 500;
	fake.body = "{\"error\":\"database is gone\"}";
	up(&ab, true, on_done, &n_done);
	run_until(n_done == 1); // a no is an answer
	run_until(stats().refused >= 4);
	assert_int_equal(stats().registered, 0);
	fake.status = 0;
	run_until(stats().registered == 1);
	assert_int_equal(fake.n, 1);
}

static void when_the_discovery_comes_back_all_is_registered(void **state)
{
	struct tp_entry ac = fake_entry(2, "stcpr");
	unsigned n_done = 0;
	uint16_t port = conn_listener_port(fake.http.li);
	struct sockaddr_in sa = loopback(port);

	(void)state;
	fake_service_stop(&fake);
	up(&ab, true, on_done, &n_done);
	up(&ac, true, on_done, &n_done);
	run_until(n_done == 2); // nobody waits for what is not there
	run_until(stats().failed >= 4);
	assert_true(stats().registered == 0 && stats().late == 0 && stats().pending == 2);
	fake.http.li =
		conn_listen(l, (const struct sockaddr *)&sa, NULL, fake_http_accept, &fake.http);
	assert_non_null(fake.http.li);
	run_until(stats().registered == 2);
	assert_int_equal(fake.n, 2);
}

static void when_the_discovery_is_away_only_settlements_are_tried(void **state)
{
	struct tp_entry ac = fake_entry(2, "stcpr");
	const struct tp_register_conf c = {.loop = l, .service = s};
	unsigned n_done = 0;

	(void)state;
	tp_register_free(reg);
	reg = tp_register_new(&c); // a second at least, until it is tried again
	fake_service_stop(&fake);
	up(&ab, true, on_done, &n_done);
	run_until(stats().failed == 1);
	for (unsigned i = 0; i < 100; i++)
		loop_turn(l);
	assert_int_equal(stats().failed, 1);
	up(&ac, true, on_done, &n_done);
	run_until(stats().failed == 2);
	run_until(n_done == 2);
}

static void leaving_removes_all(void **state)
{
	struct tp_entry ac = fake_entry(2, "stcpr");
	unsigned n_done = 0, n_left = 0;
	struct tp_reg *h;

	(void)state;
	h = up(&ab, true, on_done, &n_done);
	up(&ac, true, on_done, &n_done);
	run_until(n_done == 2 && fake.n == 2);
	tp_register_leave(reg, on_done, &n_left);
	assert_int_equal(n_left, 0);
	run_until(n_left == 1);
	assert_int_equal(fake.n, 0);
	down(h);
	assert_null(tp_register_up(reg, &ab, true, on_done, &n_done));
	for (unsigned i = 0; i < 200; i++)
		loop_turn(l);
	assert_int_equal(n_left, 1);
	assert_int_equal(fake.n, 0);
}

static void with_nothing_up_there_is_nothing_to_leave(void **state)
{
	unsigned n_left = 0;

	(void)state;
	tp_register_leave(reg, on_done, &n_left);
	run_until(n_left == 1);
	assert_int_equal(fake.http.n_requests, 0);
}

static void without_a_discovery_nobody_waits(void **state)
{
	unsigned n_done = 0;

	(void)state;
	assert_null(tp_register_up(NULL, &ab, true, on_done, &n_done));
	tp_register_down(NULL);
	assert_int_equal(n_done, 0);
}

static void end_in_done(void *arg)
{
	struct tp_reg **h = arg;

	down(*h);
	*h = NULL;
}

static void a_connection_may_end_while_it_waits_or_is_told(void **state)
{
	unsigned n_done = 0;
	struct tp_reg *h;

	(void)state;
	start_with(LONG_MS, LONG_MS, LONG_MS);
	down(up(&ab, true, on_done, &n_done));
	h = up(&ab, true, end_in_done, &h);
	run_until(h == NULL);
	run_until(fake.n == 0 && stats().pending == 0);
	assert_int_equal(n_done, 0);
	assert_int_equal(fake.n_post, 1);
	up(&ab, true, on_done, &n_done); // up when all is freed
	run_until(n_done == 1);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

// One without a place settles all the same, and is not known.
static void transports_are_so_many(void **state)
{
	struct tp_entry other = fake_entry(2, "stcpr");
	unsigned n_done = 0;

	(void)state;
	max = 1;
	start_with(LONG_MS, FIRST_MS, AGAIN_MS);
	max = 0;
	up(&ab, true, on_done, &n_done);
	assert_null(tp_register_up(reg, &other, true, on_done, &n_done));
	assert_int_equal(stats().full, 1);
	run_until(n_done == 1);
	up(&ab, false, NULL, NULL); // another connection of the same
	down(held[0]);
	down(held[0]);
	run_until(stats().deleted == 1);
	up(&other, true, on_done, &n_done);
	run_until(n_done == 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_responders_settlement_waits_for_its_post),
		TEST(a_settlement_waits_no_longer_than_so),
		TEST(an_initiator_posts_only_what_is_not_there),
		TEST(what_somebody_removed_is_put_back),
		TEST(the_last_connection_that_closes_removes_the_entry),
		TEST(a_removal_that_waits_is_taken_back_by_the_next_connection),
		TEST(a_removal_under_way_is_followed_by_what_puts_it_back),
		TEST(a_duplicate_is_taken_for_registered),
		TEST(what_is_refused_is_tried_again_after_a_while),
		TEST(when_the_discovery_comes_back_all_is_registered),
		TEST(when_the_discovery_is_away_only_settlements_are_tried),
		TEST(leaving_removes_all),
		TEST(with_nothing_up_there_is_nothing_to_leave),
		TEST(without_a_discovery_nobody_waits),
		TEST(a_connection_may_end_while_it_waits_or_is_told),
		TEST(transports_are_so_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
