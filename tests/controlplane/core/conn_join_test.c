// Two conns back to back: order and back-pressure pass through, and each way to end.
#include "controlplane/core/conn_join.h"
#include "tests/controlplane/core/conn_fixture.h"

#include <signal.h>

#include "lib/base/err.h"

enum { MIB = 1 << 20 };

struct joined {
	struct end a, x, y, b; // a - x, joined to y, - b
	struct conn_join *j;
	unsigned n_done;
	int err;
	uint64_t forth, back, late_a, late_b;
};

static void on_done(void *arg, int err)
{
	struct joined *t = arg;

	t->n_done++;
	t->err = err;
	conn_join_bytes(t->j, &t->forth, &t->back);
	conn_join_late(t->j, &t->late_a, &t->late_b);
	t->j = NULL;
}

static void start(struct joined *t, enum conn_join_mode mode)
{
	pair(&t->a, &t->x);
	pair(&t->b, &t->y);
	t->j = conn_join_new(t->x.c, t->y.c, mode, on_done, t);
	assert_non_null(t->j);
	end_send(&t->a);
	end_send(&t->b);
}

static void fini(struct joined *t)
{
	conn_join_close(t->j);
	end_close(&t->a);
	end_close(&t->b);
}

static void passes_bytes_and_half_closes(void **state)
{
	struct joined t = {
		.a = {.to_send = 3 * MIB, .finish = true, .bite = 5000},
		.b = {.to_send = 2 * MIB, .finish = true, .bite = 999},
	};

	start(&t, CONN_JOIN_HALF_CLOSE);
	run_until(t.n_done == 1 && t.a.n_eof && t.b.n_eof);
	assert_int_equal(t.b.got, 3 * MIB);
	assert_int_equal(t.a.got, 2 * MIB);
	assert_false(t.a.wrong || t.b.wrong);
	assert_int_equal(t.err, 0);
	assert_int_equal(t.forth, 3 * MIB);
	assert_int_equal(t.back, 2 * MIB);
	fini(&t);
}

static void closes_both_at_the_first_end_if_so_wanted(void **state)
{
	struct joined t = {.a = {.to_send = MIB, .finish = true}};

	start(&t, CONN_JOIN_CLOSE_BOTH);
	run_until(t.a.n_eof && t.b.n_eof);
	assert_int_equal(t.n_done, 1);
	assert_int_equal(t.b.got, MIB); // all that came before the end
	fini(&t);
}

static void a_slow_end_stops_the_other(void **state)
{
	struct joined t = {.a = {.to_send = 32 * MIB}, .b = {.deaf = true}};
	uint64_t sent;

	start(&t, CONN_JOIN_HALF_CLOSE);
	do {
		sent = t.a.sent;
		for (unsigned i = 0; i < 20; i++)
			loop_turn(l);
	} while (t.a.sent != sent);
	assert_true(sent < 6 * MIB);
	t.b.deaf = false;
	conn_resume(t.b.c);
	run_until(t.b.got == 32 * MIB);
	assert_false(t.b.wrong);
	fini(&t);
}

static void a_broken_end_ends_the_other(void **state)
{
	struct joined t = {.a = {.to_send = 32 * MIB}, .b = {.deaf = true}};

	start(&t, CONN_JOIN_HALF_CLOSE);
	for (unsigned i = 0; i < 20; i++)
		loop_turn(l);
	end_close(&t.b); // with unread bytes
	run_until(t.n_done == 1 && (t.a.n_eof || t.a.err != 0));
	assert_true(t.err < 0);
	fini(&t);
}

// Of an end that has finished only the way to it may be of use.
static void bytes_for_an_end_that_had_finished_are_counted(void **state)
{
	struct joined t = {.a = {.to_send = 1000}, .b = {.finish = true}};

	start(&t, CONN_JOIN_HALF_CLOSE);
	run_until(t.b.got == 1000 && t.a.n_eof == 1);
	conn_join_late(t.j, &t.late_a, &t.late_b);
	assert_int_equal(t.late_b, 0);
	t.a.to_send = 1500;
	t.a.finish = true;
	end_send(&t.a);
	run_until(t.n_done == 1);
	assert_int_equal(t.err, 0);
	assert_int_equal(t.late_a, 0);
	assert_int_equal(t.late_b, 500);
	fini(&t);
}

static void a_held_end_keeps_its_bytes(void **state)
{
	struct end a = {.to_send = MIB, .finish = true}, x = {0}, b = {0}, y = {0};
	struct conn_hold h = {0};
	struct joined t = {0};
	size_t sent;

	pair(&a, &x);
	pair(&b, &y);
	conn_hold(&h, x.c);
	end_send(&a);
	do {
		sent = a.sent;
		for (unsigned i = 0; i < 20; i++)
			loop_turn(l);
	} while (a.sent != sent);
	assert_false(h.over);
	t.j = conn_join_new(conn_hold_take(&h), y.c, CONN_JOIN_HALF_CLOSE, on_done, &t);
	conn_hold_close(&h);
	run_until(b.n_eof == 1);
	assert_int_equal(b.got, MIB);
	conn_join_close(t.j);
	end_close(&a);
	end_close(&b);
}

static void a_held_end_may_end(void **state)
{
	struct end a = {0}, x = {0};
	struct conn_hold h = {0};

	pair(&a, &x);
	conn_hold(&h, x.c);
	end_close(&a);
	run_until(h.over);
	assert_int_equal(h.err, 0);
	assert_null(conn_hold_take(&h));
	conn_hold_close(&h);
}

// What was still on its way to an end that had finished, and left, is no break.
static void an_end_that_had_finished_may_leave(void **state)
{
	struct joined t = {.a = {.to_send = 32 * MIB}, .b = {.deaf = true, .finish = true}};

	start(&t, CONN_JOIN_HALF_CLOSE);
	run_until(t.a.n_eof == 1);
	end_close(&t.b);
	run_until(t.n_done == 1);
	assert_int_equal(t.err, 0);
	fini(&t);
}

static void may_be_ended_early(void **state)
{
	struct joined t = {.a = {.to_send = MIB}};

	start(&t, CONN_JOIN_HALF_CLOSE);
	loop_turn(l);
	conn_join_close(t.j);
	t.j = NULL;
	run_until((t.a.n_eof || t.a.err != 0) && t.b.n_eof);
	assert_int_equal(t.n_done, 0);
	fini(&t);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup_loop, teardown_loop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(passes_bytes_and_half_closes),
		test(closes_both_at_the_first_end_if_so_wanted),
		test(a_slow_end_stops_the_other),
		test(a_broken_end_ends_the_other),
		test(an_end_that_had_finished_may_leave),
		test(bytes_for_an_end_that_had_finished_are_counted),
		test(a_held_end_keeps_its_bytes),
		test(a_held_end_may_end),
		test(may_be_ended_early),
	};

	signal(SIGPIPE, SIG_IGN); // as the programs do
	return cmocka_run_group_tests(tests, NULL, NULL);
}
