// Streams to nodes serve one route after the other.
#include "tests/controlplane/route/setup_world.h"

// Beyond the end of the test.
static int setup_keeping(void **state)
{
	return setup(state, (struct setup_node_conf){
				    .rest_ms = REST_MS, .keep_ms = LONG_MS, .try_ms = LONG_MS});
}

static int setup_impatient(void **state)
{
	return setup(state, (struct setup_node_conf){
				    .rest_ms = REST_MS, .keep_ms = LONG_MS, .try_ms = REST_MS});
}

static void lay(struct asker *a)
{
	ask(a);
	run_until(a->n_answers == 1);
	assert_string_equal(a->error, "");
}

static void the_next_route_is_laid_by_the_same_streams(void **state)
{
	static const uint8_t ac[] = {A, C};

	(void)state;
	lay(&asker[0]);
	assert_int_equal(stats().kept, 3);
	lay(&asker[1]);
	ask_for(&asker[2], ac, 2, KEEP_ALIVE_NS);
	say(&asker[2]);
	run_until(asker[2].n_answers == 1);
	assert_string_equal(asker[2].error, "");
	for (unsigned i = A; i <= C; i++) {
		assert_int_equal(node[i].n_streams, 1);
		assert_int_equal(node[i].calls[RESERVE], i == B ? 2 : 3);
	}
	assert_int_equal(stats().kept, 3);
	assert_int_equal(stats().calls, 0);
}

static void routes_at_once_have_streams_of_their_own(void **state)
{
	(void)state;
	lay(&asker[0]);
	node[C].silent[EDGE] = true;
	ask(&asker[1]);
	run_until(node[C].calls[EDGE] == 2);
	assert_int_equal(stats().kept, 0);
	node[C].silent[EDGE] = false;
	lay(&asker[2]);
	for (unsigned i = A; i <= C; i++)
		assert_int_equal(node[i].n_streams, 2);
}

static void a_route_that_failed_leaves_no_stream(void **state)
{
	(void)state;
	lay(&asker[0]);
	node[B].refuse[INTERMEDIARY] = "no";
	ask(&asker[1]);
	run_until(asker[1].n_answers == 1 && stats().running == 0);
	assert_int_equal(stats().kept, 0);
	assert_int_equal(node[B].calls[DELETE], 1); // by the stream that was kept
	assert_int_equal(node[B].n_streams, 1);
	run_until(node[A].conn == NULL && node[B].conn == NULL && node[C].conn == NULL);
}

static void streams_that_a_node_ends_are_dialled_anew(void **state)
{
	(void)state;
	lay(&asker[0]);
	node_end(&node[B], 0);
	run_until(stats().kept == 2);
	lay(&asker[1]);
	assert_int_equal(node[A].n_streams, 1);
	assert_int_equal(node[B].n_streams, 2);
}

// It ended when the call was under way.
static void a_call_that_met_the_end_of_a_stream_is_made_again(void **state)
{
	(void)state;
	lay(&asker[0]);
	node[B].hangs_up = true;
	lay(&asker[1]);
	assert_false(node[B].hangs_up);
	assert_int_equal(node[B].n_streams, 2);
	assert_int_equal(node[B].calls[RESERVE], 2);
	assert_int_equal(stats().done, 2);
}

static void a_stream_that_is_silent_is_dialled_anew(void **state)
{
	(void)state;
	lay(&asker[0]);
	node[B].deaf = true;
	lay(&asker[1]);
	assert_int_equal(node[B].n_streams, 2);
	assert_int_equal(stats().done, 2);
}

// But once: what was dialled for this route has to do.
static void a_stream_that_always_ends_fails(void **state)
{
	(void)state;
	node[B].hangs_up = true;
	ask(&asker[0]);
	run_until(asker[0].n_answers == 1);
	assert_non_null(strstr(asker[0].error, "ended the stream"));
	assert_int_equal(node[B].n_streams, 1);
}

static void streams_end_when_nobody_needs_them(void **state)
{
	(void)state;
	lay(&asker[0]);
	assert_int_equal(stats().kept, 3);
	run_until(stats().kept == 0);
	run_until(node[A].conn == NULL && node[B].conn == NULL && node[C].conn == NULL);
	lay(&asker[1]);
	assert_int_equal(node[B].n_streams, 2);
}

static void the_node_ends_with_its_streams(void **state)
{
	(void)state;
	lay(&asker[0]);
	setup_node_free(setter);
	setter = NULL;
	run_until(node[A].conn == NULL && node[B].conn == NULL && node[C].conn == NULL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup_keeping, teardown)
	const struct CMUnitTest tests[] = {
		T(the_next_route_is_laid_by_the_same_streams),
		T(routes_at_once_have_streams_of_their_own),
		T(a_route_that_failed_leaves_no_stream),
		T(streams_that_a_node_ends_are_dialled_anew),
		T(a_call_that_met_the_end_of_a_stream_is_made_again),
		cmocka_unit_test_setup_teardown(
			a_stream_that_is_silent_is_dialled_anew, setup_impatient, teardown),
		T(a_stream_that_always_ends_fails),
		cmocka_unit_test_setup_teardown(
			streams_end_when_nobody_needs_them, setup_short, teardown),
		T(the_node_ends_with_its_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
