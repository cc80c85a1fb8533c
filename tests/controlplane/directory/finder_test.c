// Paths from a route finder.
#include "controlplane/directory/finder.h"
#include "tests/controlplane/directory/fake_service.h"

#include "lib/base/err.h"
#include "tests/support/vectors.h"

struct seen {
	unsigned n;
	struct finder_result r;
	struct finder_answer answer;
	char text[128];
};

static struct seen seen;

static void on_result(void *arg, const struct finder_result *r)
{
	(void)arg;
	seen.n++;
	seen.r = *r;
	if (r->answer != NULL)
		seen.answer = *r->answer;
	snprintf(seen.text, sizeof(seen.text), "%s", r->text);
}

static int setup(void **state)
{
	memset(&seen, 0, sizeof(seen));
	return fake_client_setup(state, false, 2000);
}

static void ask(void)
{
	const struct finder_ask a = {fake_pk[0], fake_pk[2], 1, 50};

	seen.n = 0;
	assert_non_null(finder_paths(s, &a, on_result, NULL));
	run_until(seen.n == 1);
}

static void paths_there_and_back_are_found(void **state)
{
	json_t *v = vectors_load("skywire-routes.json");
	const json_t *f = vectors_get(v, "route_finder");

	(void)state;
	snprintf(fake.routes, sizeof(fake.routes), "%s", vectors_str(f, "response"));
	ask();
	assert_string_equal(fake.asked, vectors_str(f, "request"));
	json_decref(v);
	assert_true(seen.r.err == 0 && seen.r.taken);
	assert_true(seen.answer.forward.n == 1 && seen.answer.forward.path[0].n == 2);
	assert_true(seen.answer.reverse.n == 1 && seen.answer.reverse.path[0].n == 2);
}

static void no_route_is_an_answer(void **state)
{
	(void)state;
	ask(); // 404
	assert_true(seen.r.err == 0 && seen.r.taken && seen.r.status == 404);
	assert_int_equal(seen.answer.forward.n + seen.answer.reverse.n, 0);
	assert_string_equal(seen.text, "404: route not found");
}

static void what_is_no_answer_says_why(void **state)
{
	const struct finder_ask a = {fake_pk[0], fake_pk[2], 1, 50};

	(void)state;
	strcpy(fake.routes, "[");
	ask();
	assert_true(seen.r.err == -EBADMSG && !seen.r.taken && seen.r.answer == NULL);
	assert_string_equal(seen.text, "an answer that cannot be read");
	fake_service_stop(&fake);
	ask();
	assert_true(seen.r.err == -ECONNREFUSED && !seen.r.taken);
	seen.n = 0;
	finder_cancel(finder_paths(s, &a, on_result, NULL));
	finder_cancel(NULL);
	assert_int_equal(seen.n, 0);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, fake_client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(paths_there_and_back_are_found),
		TEST(no_route_is_an_answer),
		TEST(what_is_no_answer_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
