// Signed requests: what they carry, how the nonce goes on, and what a server does that fails.
#include "controlplane/directory/service.h"
#include "tests/controlplane/directory/fake_service.h"

#include "lib/base/err.h"

struct seen {
	unsigned n;
	int err;
	unsigned status;
	char body[256], text[SERVICE_TEXT_LEN];
};

static void on_answer(void *arg, const struct http_answer *a)
{
	struct seen *seen = arg;

	seen->n++;
	seen->err = a->err;
	seen->status = a->status;
	snprintf(seen->body, sizeof(seen->body), "%s", a->body);
	service_answer_text(a, 0, seen->text);
}

static int setup(void **state)
{
	return fake_client_setup(state, true, 2000);
}

static struct service_stats stats(void)
{
	struct service_stats st;

	service_stats_get(s, &st);
	return st;
}

static struct service_ask *begin(const char *method, const char *path, struct seen *seen)
{
	const char *body = strcmp(method, "GET") == 0 ? NULL : "{}\n";
	struct service_request r = {.method = method,
		.path = path,
		.body = body,
		.body_len = body != NULL ? strlen(body) : 0,
		.answer_max = 128};

	return service_ask(s, &r, on_answer, seen);
}

static struct seen ask(const char *method, const char *path)
{
	struct seen seen = {0};

	assert_non_null(begin(method, path, &seen));
	assert_int_equal(seen.n, 0);
	run_until(seen.n == 1);
	return seen;
}

#define BIND "/bind/stcpr"

static void requests_are_signed_and_the_nonce_is_fetched_once(void **state)
{
	struct seen seen;

	(void)state;
	for (unsigned i = 1; i <= 3; i++) {
		seen = ask("POST", BIND);
		assert_true(seen.err == 0 && seen.status == 200);
		assert_int_equal(fake.nonce, i);
	}
	seen = ask("GET", "/resolve/stcpr/x"); // only its nonce is signed
	assert_int_equal(seen.status, 200);
	assert_int_equal(fake.n_nonces, 1);
	assert_int_equal(fake.n_401, 0);
	assert_true(stats().has_nonce && stats().nonce == 4);
	assert_true(stats().asked == 4 && stats().answered == 4 && stats().nonces == 1);
}

static void only_status_200_advances_the_nonce(void **state)
{
	static const unsigned others[] = {201, 204, 404, 500};

	(void)state;
	fake.body = "";
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		fake.status = others[i];
		assert_int_equal(ask("POST", BIND).status, others[i]);
		assert_int_equal(stats().nonce, 0);
	}
	fake.status = 0;
	assert_int_equal(ask("POST", BIND).status, 200);
	assert_int_equal(stats().nonce, 1);
	assert_int_equal(fake.n_nonces, 1);
	assert_int_equal(fake.n_401, 0);
	assert_int_equal(stats().refused, 1); // 500
}

static void a_nonce_that_is_not_taken_is_fetched_anew_and_tried_once_more(void **state)
{
	struct seen seen;

	(void)state;
	assert_int_equal(ask("POST", BIND).status, 200);
	fake.nonce = 40; // somebody else has our key
	assert_int_equal(ask("POST", BIND).status, 200);
	assert_int_equal(fake.n_401, 1);
	assert_int_equal(fake.n_nonces, 2);
	assert_int_equal(stats().nonce, 41);
	fake.status = 401; // whatever we do
	fake.body = "{\"error\":{\"message\":\"no\",\"code\":401}}";
	seen = ask("POST", BIND);
	assert_int_equal(seen.status, 401);
	assert_string_equal(seen.text, "401: no");
	assert_string_equal(stats().error, "401: no");
	assert_int_equal(fake.n_nonces, 3);
	fake.status = 0;
	assert_int_equal(ask("POST", BIND).status, 200);
	assert_string_equal(stats().error, "");
}

static void requests_are_sent_one_after_the_other(void **state)
{
	struct seen seen[8] = {{0}};

	(void)state;
	fake.holds = true;
	for (unsigned i = 0; i < ARRAY_LEN(seen) - 1; i++)
		assert_non_null(begin("POST", BIND, &seen[i]));
	run_until(fake.held != NULL);
	assert_non_null(begin("POST", BIND, &seen[ARRAY_LEN(seen) - 1]));
	assert_int_equal(stats().waiting, ARRAY_LEN(seen));
	for (unsigned i = 0; i < 50; i++)
		loop_turn(l);
	assert_int_equal(fake.most_pending, 1);
	assert_int_equal(fake.n_signed, 0);
	fake_service_go_on(&fake);
	run_until(seen[ARRAY_LEN(seen) - 1].n == 1);
	for (unsigned i = 0; i < ARRAY_LEN(seen); i++)
		assert_true(seen[i].n == 1 && seen[i].status == 200);
	assert_int_equal(fake.n_401, 0);
	assert_int_equal(stats().waiting, 0);
}

static void after_a_lost_answer_the_nonce_is_asked_for(void **state)
{
	struct seen seen = {0};

	(void)state;
	assert_int_equal(ask("POST", BIND).status, 200);
	fake.holds = true;
	assert_non_null(begin("POST", BIND, &seen));
	run_until(fake.held != NULL);
	fake.nonce++; // it was counted, and then the connection broke
	fake_conn_free(fake.held);
	fake.pending--;
	run_until(seen.n == 1);
	assert_true(seen.err < 0);
	assert_false(stats().has_nonce);
	assert_int_equal(stats().failed, 1);
	assert_int_equal(ask("POST", BIND).status, 200);
	assert_int_equal(fake.n_401, 0);
	assert_int_equal(fake.n_nonces, 2);
}

static void a_cancelled_request_lets_the_next_one_go(void **state)
{
	struct seen gone = {0}, seen = {0};
	struct service_ask *a;

	(void)state;
	fake.holds = true;
	a = begin("POST", BIND, &gone);
	run_until(fake.held != NULL);
	assert_non_null(begin("POST", BIND, &seen));
	service_cancel(a);
	fake.held = NULL;
	run_until(seen.n == 1);
	assert_int_equal(seen.status, 200);
	assert_int_equal(gone.n, 0);
	service_cancel(NULL);
}

static void a_nonce_that_cannot_be_had_is_the_answer(void **state)
{
	struct service_conf c = {.loop = l, .http = http, .id = asker, .url = "http://127.0.0.1:1"};
	struct seen seen = {0};

	(void)state;
	service_free(s);
	s = service_new(&c); // nobody listens there
	seen = ask("POST", BIND);
	assert_int_equal(seen.err, -ECONNREFUSED);
	assert_string_equal(seen.text, "Connection refused");
	assert_string_equal(stats().error, "Connection refused");
}

static void hostile_nonces(void *arg, struct fake_conn *fc, const struct fake_request *r)
{
	(void)r;
	fake_http_answer(fc, 200, arg);
}

static void malformed_nonces_are_no_answer(void **state)
{
	static char other_key[] =
		"{\"edge\":"
		"\"024d4b6cd1361032ca9bd2aeb9d900aa4d45d9ead80ac9423374c451a7254d07"
		"66\",\"next_nonce\":1}";
	static char none[] = "null", broken[] = "{\"edge\"";
	char *const bad[] = {other_key, none, broken};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		fake.http.fn = hostile_nonces;
		fake.http.arg = bad[i];
		assert_int_equal(ask("POST", BIND).err, -EBADMSG);
	}
	assert_int_equal(stats().failed, ARRAY_LEN(bad));
}

static void so_many_may_wait_and_no_more(void **state)
{
	static struct seen seen[SERVICE_WAITING_MAX];
	struct seen more = {0};

	(void)state;
	fake.silent = true;
	for (unsigned i = 0; i < SERVICE_WAITING_MAX; i++)
		assert_non_null(begin("POST", BIND, &seen[i]));
	assert_null(begin("POST", BIND, &more));
	assert_int_equal(errno, EBUSY);
	assert_null(begin("PROPPATCH", BIND, &more));
	assert_int_equal(errno, EINVAL);
	// whoever is freed with requests under way calls nobody
	service_free(s);
	s = NULL;
	assert_int_equal(seen[0].n, 0);
}

static void unsigned_requests_do_not_wait_for_each_other(void **state)
{
	struct service_conf c = {.loop = l, .http = http, .url = fake.url};
	struct seen seen[4] = {{0}};

	(void)state;
	service_free(s);
	s = service_new(&c);
	fake.silent = true;
	for (unsigned i = 0; i < ARRAY_LEN(seen); i++)
		assert_non_null(begin("POST", "/routes", &seen[i]));
	run_until(fake.most_pending == ARRAY_LEN(seen));
	assert_int_equal(fake.n_nonces, 0);
}

static void an_url_that_is_none_is_refused(void **state)
{
	struct service_conf c = {.loop = l, .http = http, .url = "ftp://x"};

	(void)state;
	assert_null(service_new(&c));
	assert_int_equal(errno, EINVAL);
}

static void a_refusal_without_words_is_a_status(void **state)
{
	const struct http_answer none = {.status = 501, .body = "<html>", .len = 6};
	char text[SERVICE_TEXT_LEN];

	(void)state;
	service_answer_text(&none, 0, text);
	assert_string_equal(text, "HTTP status 501");
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, fake_client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_are_signed_and_the_nonce_is_fetched_once),
		TEST(only_status_200_advances_the_nonce),
		TEST(a_refusal_without_words_is_a_status),
		TEST(a_nonce_that_is_not_taken_is_fetched_anew_and_tried_once_more),
		TEST(requests_are_sent_one_after_the_other),
		TEST(after_a_lost_answer_the_nonce_is_asked_for),
		TEST(a_cancelled_request_lets_the_next_one_go),
		TEST(a_nonce_that_cannot_be_had_is_the_answer),
		TEST(malformed_nonces_are_no_answer),
		TEST(so_many_may_wait_and_no_more),
		TEST(unsigned_requests_do_not_wait_for_each_other),
		TEST(an_url_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
