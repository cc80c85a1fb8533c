// What is asked of whom and in which order, what is taken back when one says no, is not there, is
// silent or is rubbish; and the limits.
#include "tests/controlplane/route/setup_world.h"

// ---- limits that are others ----

// What rests, does so beyond the end of the test.
static int setup_to_rest(void **state)
{
	return setup(state, (struct setup_node_conf){.rest_ms = LONG_MS});
}

// A set-up that failed rests for longer than its node counts as an old one.
static int setup_forgetful(void **state)
{
	return setup(state, (struct setup_node_conf){.rest_ms = REST_MS, .old_ms = 1});
}

// A route of three nodes has room, a second one has not.
static int setup_few_calls(void **state)
{
	return setup(state, (struct setup_node_conf){.rest_ms = REST_MS, .calls_max = 6});
}

static int setup_one_route(void **state)
{
	return setup(state, (struct setup_node_conf){.rest_ms = REST_MS, .jobs_max = 1});
}

// ---- tests ----

static void a_route_is_laid_in_order(void **state)
{
	(void)state;
	ask(&asker[0]);
	run_until(asker[0].n_answers == 1);
	assert_string_equal(asker[0].error, "");
	for (unsigned i = A; i <= C; i++) {
		assert_int_equal(node[i].calls[RESERVE], 1);
		assert_true(node[i].first[RESERVE] < node[B].first[INTERMEDIARY]);
		assert_int_equal(node[i].calls[INTERMEDIARY], i == B);
		assert_int_equal(node[i].calls[EDGE], i == C);
		assert_int_equal(node[i].calls[DELETE], 0);
	}
	assert_true(node[B].first[INTERMEDIARY] < node[C].first[EDGE]);
	assert_int_equal(stats().done, 1);
	assert_int_equal(stats().running, 0);
	assert_int_equal(stats().calls, 0);
	run_until(node[A].conn == NULL && node[B].conn == NULL && node[C].conn == NULL);
}

static void a_stream_may_ask_twice_and_a_direct_route_has_no_middle(void **state)
{
	static const uint8_t ac[] = {A, C};

	(void)state;
	ask_for(&asker[0], abc, 3, KEEP_ALIVE_NS);
	ask_for(&asker[0], ac, 2, KEEP_ALIVE_NS);
	say(&asker[0]);
	run_until(asker[0].n_answers == 2);
	assert_string_equal(asker[0].error, "");
	assert_int_equal(node[B].calls[RESERVE], 1);
	assert_int_equal(node[C].calls[EDGE], 2);
	assert_int_equal(stats().done, 2);
}

static void assert_failed(const char *what, const char *why)
{
	char text[512], pk[KEY_PK_TEXT_LEN + 1];

	run_until(asker[0].n_answers == 1);
	key_pk_to_text(identity_pk(node[B].id), pk);
	snprintf(text, sizeof(text), "%s at %s: %s)", what, pk, why);
	assert_string_equal(asker[0].error, text);
	run_until(stats().running == 0);
	assert_int_equal(stats().failed, 1);
	assert_int_equal(stats().calls, 0);
}

static void a_refusal_is_told_and_taken_back(void **state)
{
	(void)state;
	node[B].refuse[INTERMEDIARY] = "failure code 1 (visor does not transit routes)";
	ask(&asker[0]);
	assert_failed("failure code 1 (add intermediary rules",
		"failure code 1 (visor does not transit routes)");
	assert_int_equal(node[B].calls[DELETE], 1);
	assert_int_equal(node[A].calls[DELETE] + node[C].calls[DELETE], 0); // have no rules yet
	assert_int_equal(node[C].calls[EDGE], 0);
}

static void the_responders_refusal_undoes_the_middle(void **state)
{
	(void)state;
	node[C].refuse[EDGE] = "";
	ask(&asker[0]);
	run_until(asker[0].n_answers == 1);
	assert_non_null(strstr(asker[0].error, "did not say that it has done so"));
	run_until(stats().running == 0);
	assert_int_equal(node[B].calls[DELETE], 1);
	assert_int_equal(node[C].calls[DELETE], 1);
}

static void a_node_without_that_call_is_asked_once(void **state)
{
	(void)state;
	node[B].refuse[INTERMEDIARY] = "no";
	node[B].refuse[DELETE] = "rpc: can't find method RPCGateway.DelRules";
	for (unsigned i = 0; i < 3; i++) {
		ask(&asker[i]);
		run_until(asker[i].n_answers == 1 && stats().running == 0);
	}
	assert_int_equal(node[B].calls[INTERMEDIARY], 3);
	assert_int_equal(node[B].calls[DELETE], 1);
}

static void a_node_may_get_that_call(void **state)
{
	(void)state;
	node[B].refuse[INTERMEDIARY] = "no";
	node[B].refuse[DELETE] = "rpc: can't find method RPCGateway.DelRules";
	for (unsigned i = 0; i < 2; i++) {
		ask(&asker[i]);
		run_until(asker[i].n_answers == 1 && stats().running == 0);
		node[B].refuse[DELETE] = NULL;
	}
	assert_int_equal(node[B].calls[DELETE], 2);
}

static void ids_that_cannot_be_end_it(void **state)
{
	(void)state;
	node[B].same_ids = true;
	ask(&asker[0]);
	assert_failed("failure code 4 (reserve ids", "gave other ids than asked for");
	assert_int_equal(node[B].calls[DELETE], 0);
}

static void a_node_that_is_not_there_ends_it(void **state)
{
	(void)state;
	dmsg_client_unlisten(node[B].li);
	node[B].li = NULL;
	ask(&asker[0]);
	run_until(asker[0].n_answers == 1);
	assert_non_null(strstr(asker[0].error, "failure code 4 (reserve ids at "));
	run_until(stats().running == 0);
}

static void a_silent_node_ends_it_in_time(void **state)
{
	(void)state;
	node[B].silent[INTERMEDIARY] = true;
	ask(&asker[0]);
	assert_failed("failure code 1 (add intermediary rules", "no answer in time");
	assert_int_equal(node[B].calls[DELETE], 1); // it may have done what it was asked for
}

static void rubbish_ends_it(void **state)
{
	(void)state;
	node[B].rubbish = true;
	ask(&asker[0]);
	assert_failed("failure code 4 (reserve ids", "answers what is no net/rpc");
}

static unsigned n_infos;
static struct setup_info last;

static void on_info(void *arg, const struct setup_info *info)
{
	(void)arg;
	last = *info;
	n_infos++;
}

static void who_goes_away_leaves_nothing(void **state)
{
	(void)state;
	node[C].silent[EDGE] = true;
	ask(&asker[0]);
	run_until(node[C].calls[EDGE] == 1);
	close_asker(&asker[0]);
	run_until(stats().running == 0);
	assert_int_equal(node[B].calls[DELETE], 1);
	assert_int_equal(node[C].calls[DELETE], 1);
	assert_int_equal(stats().askers, 0);
	assert_int_equal(stats().failed, 1);
	setup_node_each(setter, on_info, NULL);
	assert_true(last.over && !last.ok);
	assert_string_equal(last.why, "given up by who asked");
}

static void one_key_has_so_many_at_once(void **state)
{
	(void)state;
	node[B].silent[RESERVE] = true;
	for (unsigned i = 0; i <= SETUP_JOBS_OF_KEY; i++) {
		ask(&asker[i]);
		run_until(stats().streams == i + 1);
		run_until(stats().running + stats().refused == i + 1);
	}
	assert_int_equal(stats().running, SETUP_JOBS_OF_KEY);
	run_until(asker[SETUP_JOBS_OF_KEY].n_answers == 1);
	assert_non_null(strstr(asker[SETUP_JOBS_OF_KEY].error, "too many routes"));
	run_until(stats().running == 0); // in time
	assert_int_equal(stats().failed, SETUP_JOBS_OF_KEY);
}

// By streams to nodes, or by routes.
static void all_of_them_are_so_many(void **state)
{
	(void)state;
	node[B].silent[RESERVE] = true;
	ask(&asker[0]);
	run_until(stats().running == 1);
	ask(&asker[1]);
	run_until(asker[1].n_answers == 1);
	assert_non_null(strstr(asker[1].error, "too many routes"));
	assert_int_equal(stats().calls, 3);
	setup_node_each(setter, on_info, NULL);
	assert_false(last.over); // the one that runs: the other is not remembered
}

static void what_failed_keeps_its_place_for_a_while(void **state)
{
	(void)state;
	node[B].refuse[INTERMEDIARY] = "no";
	for (unsigned i = 0; i <= SETUP_JOBS_OF_KEY; i++) {
		ask(&asker[i]);
		run_until(asker[i].n_answers == 1);
	}
	// each was taken back, and all streams to nodes ended
	run_until(node[A].conn == NULL && node[B].conn == NULL && node[C].conn == NULL);
	assert_int_equal(node[B].calls[DELETE], SETUP_JOBS_OF_KEY);
	assert_int_equal(stats().failed, SETUP_JOBS_OF_KEY);
	assert_int_equal(stats().running, SETUP_JOBS_OF_KEY);
	assert_non_null(strstr(asker[SETUP_JOBS_OF_KEY].error, "too many routes"));
	assert_int_equal(stats().refused, 1);
}

static void who_was_refused_has_to_wait_also_on_other_streams(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SETUP_ASKERS_OF_KEY; i++) {
		ask_for(&asker[i], abc, 3, 1000000000);
		ask_for(&asker[i], abc, 3, 1000000000);
		say(&asker[i]);
		run_until(asker[i].n_answers == 1);
		close_asker(&asker[i]);
	}
	say(&asker[SETUP_ASKERS_OF_KEY]);
	run_until(stats().streams_refused == 1);
	assert_int_equal(stats().askers, SETUP_ASKERS_OF_KEY);
	assert_int_equal(stats().refused, SETUP_ASKERS_OF_KEY); // the second calls were not read
}

static void who_waited_is_served_again(void **state)
{
	(void)state;
	ask_for(&asker[0], abc, 3, 1000000000);
	ask_for(&asker[0], abc, 3, KEEP_ALIVE_NS);
	say(&asker[0]);
	run_until(asker[0].n_answers == 2);
	assert_string_equal(asker[0].error, "");
	ask_for(&asker[1], abc, 3, 1000000000);
	say(&asker[1]);
	run_until(asker[1].n_answers == 1);
	close_asker(&asker[1]);
	run_until(stats().askers == 1);
}

static void what_is_no_route_is_refused_with_words(void **state)
{
	(void)state;
	ask_for(&asker[0], abc, 3, 1000000000);
	say(&asker[0]);
	run_until(asker[0].n_answers == 1);
	assert_string_equal(asker[0].error, "keep-alive of 1 s: 5 s to 3600 s are possible");
	assert_int_equal(stats().refused, 1);
	assert_int_equal(n_calls, 0);
}

static void nobody_asks_for_the_route_of_another(void **state)
{
	static const uint8_t cba[] = {C, B, A};

	(void)state;
	ask_for(&asker[0], cba, 3, KEEP_ALIVE_NS); // A asks
	say(&asker[0]);
	run_until(asker[0].n_answers == 1);
	assert_string_equal(asker[0].error, SETUP_WRONG_ENDS);
	assert_int_equal(stats().refused, 1);
	assert_int_equal(n_calls, 0);
}

static void other_calls_get_the_words_of_go(void **state)
{
	struct netrpc_tx tx = {.sent_request = false};
	struct bytes_w w = bytes_w(asker[0].say, sizeof(asker[0].say));

	(void)state;
	netrpc_put_request(&tx, &w, SETUP_SERVICE ".Hop", 0);
	netrpc_put_bool(&w, true);
	asker[0].len = bytes_w_len(&w);
	say(&asker[0]);
	run_until(asker[0].n_answers == 1);
	assert_string_equal(asker[0].error, "rpc: can't find method SetupRPCGateway.Hop");
}

static void streams_that_say_nothing_or_rubbish_end(void **state)
{
	(void)state;
	say(&asker[0]);
	run_until(asker[0].over);
	assert_int_equal(stats().bad, 1);
	asker[1].len = 64;
	memset(asker[1].say, 0xf5, asker[1].len);
	say(&asker[1]);
	run_until(asker[1].over);
	assert_int_equal(stats().bad, 2);
	assert_int_equal(stats().askers, 0);
}

// "hello" is the beginning of a message of 104 bytes, as far as anybody knows before the stream
// ends.
static void streams_that_end_amid_a_call_are_counted(void **state)
{
	static const char hello[] = "hello\n";

	(void)state;
	memcpy(asker[0].say, hello, strlen(hello));
	asker[0].len = strlen(hello);
	say(&asker[0]);
	run_until(asker[0].conn != NULL);
	close_asker(&asker[0]);
	run_until(stats().bad == 1);
	assert_int_equal(stats().askers, 0);
	assert_int_equal(stats().streams, 1);
}

static void streams_that_end_after_a_call_are_not(void **state)
{
	struct netrpc_tx tx = {0};
	struct bytes_w w = bytes_w(asker[0].say, sizeof(asker[0].say));

	(void)state;
	netrpc_put_request(&tx, &w, SETUP_SERVICE ".Hop", 0);
	netrpc_put_bool(&w, true);
	asker[0].len = bytes_w_len(&w);
	say(&asker[0]);
	run_until(asker[0].n_answers == 1);
	close_asker(&asker[0]);
	run_until(stats().askers == 0);
	assert_int_equal(stats().bad, 0);
}

static void one_key_has_so_many_streams(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ASKERS; i++)
		say(&asker[i]);
	run_until(stats().streams_refused == 1);
	assert_int_equal(stats().streams, SETUP_ASKERS_OF_KEY);
	run_until(stats().askers == 0); // they said nothing
	assert_int_equal(stats().bad, SETUP_ASKERS_OF_KEY);
}

static void people_see_what_became_of_it(void **state)
{
	(void)state;
	n_infos = 0;
	node[B].silent[INTERMEDIARY] = true;
	ask(&asker[0]);
	run_until(node[B].calls[INTERMEDIARY] == 1);
	setup_node_each(setter, on_info, NULL);
	assert_int_equal(n_infos, 1);
	assert_false(last.over);
	assert_int_equal(last.step, SETUP_INSTALLS);
	assert_int_equal(last.n_forward, 2);
	assert_int_equal(last.desc.dst_port, 3);
	run_until(stats().running == 0);
	setup_node_each(setter, on_info, NULL);
	assert_int_equal(n_infos, 2);
	assert_true(last.over && !last.ok);
	assert_non_null(strstr(last.why, "no answer in time"));
	node[B].silent[INTERMEDIARY] = false;
	ask(&asker[1]);
	run_until(asker[1].n_answers == 1);
	setup_node_each(setter, on_info, NULL); // the newest first
	assert_int_equal(n_infos, 4);
	assert_non_null(strstr(last.why, "no answer in time"));
}

static unsigned n_loops;

static void on_kind(void *arg, const struct setup_info *info)
{
	(void)arg;
	n_loops += info->loop;
	n_infos++;
	last = *info;
}

// One trace may ask for more of them than there is place for routes.
static void loops_do_not_push_routes_out(void **state)
{
	static const uint8_t aba[] = {A, B, A};

	(void)state;
	ask(&asker[0]);
	run_until(asker[0].n_answers == 1);
	for (unsigned i = 0; i <= SETUP_HISTORY_LOOPS; i++) {
		ask_for(&asker[1], aba, 3, KEEP_ALIVE_NS);
		say(&asker[1]);
		run_until(asker[1].n_answers == 1);
		run_until(stats().running == 0);
		close_asker(&asker[1]);
		n_infos = n_loops = 0;
		setup_node_each(setter, on_kind, NULL);
		assert_int_equal(n_loops, i < SETUP_HISTORY_LOOPS ? i + 1 : SETUP_HISTORY_LOOPS);
		assert_int_equal(n_infos, n_loops + 1);
		assert_false(last.loop); // the oldest one
	}
	ask(&asker[2]);
	run_until(asker[2].n_answers == 1);
	n_infos = 0;
	setup_node_each(setter, on_kind, NULL);
	assert_int_equal(n_infos, SETUP_HISTORY_LOOPS + 2);
	assert_true(last.ok && !last.loop);
}

static void it_may_end_in_the_middle(void **state)
{
	(void)state;
	node[B].silent[INTERMEDIARY] = true;
	ask(&asker[0]);
	run_until(node[B].calls[INTERMEDIARY] == 1);
	setup_node_free(setter);
	setter = NULL;
	run_until(asker[0].over && node[B].conn == NULL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_short, teardown)
#define TR(name) cmocka_unit_test_setup_teardown(name, setup_to_rest, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_route_is_laid_in_order),
		T(a_stream_may_ask_twice_and_a_direct_route_has_no_middle),
		T(a_refusal_is_told_and_taken_back),
		T(the_responders_refusal_undoes_the_middle),
		T(a_node_without_that_call_is_asked_once),
		cmocka_unit_test_setup_teardown(
			a_node_may_get_that_call, setup_forgetful, teardown),
		T(ids_that_cannot_be_end_it),
		T(a_node_that_is_not_there_ends_it),
		T(a_silent_node_ends_it_in_time),
		T(rubbish_ends_it),
		T(who_goes_away_leaves_nothing),
		T(one_key_has_so_many_at_once),
		T(one_key_has_so_many_streams),
		cmocka_unit_test_setup_teardown(all_of_them_are_so_many, setup_few_calls, teardown),
		cmocka_unit_test_setup_teardown(all_of_them_are_so_many, setup_one_route, teardown),
		TR(what_failed_keeps_its_place_for_a_while),
		TR(who_was_refused_has_to_wait_also_on_other_streams),
		T(who_waited_is_served_again),
		T(what_is_no_route_is_refused_with_words),
		T(nobody_asks_for_the_route_of_another),
		T(other_calls_get_the_words_of_go),
		T(streams_that_say_nothing_or_rubbish_end),
		T(streams_that_end_amid_a_call_are_counted),
		T(streams_that_end_after_a_call_are_not),
		T(people_see_what_became_of_it),
		T(loops_do_not_push_routes_out),
		T(it_may_end_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
