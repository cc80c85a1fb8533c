// The HTTP client against a server on the same loop: what it sends, what it takes, and every way in
// which an answer may be none.
#include "controlplane/http/http_client.h"
#include "tests/controlplane/http/http_fixture.h"

#include "lib/base/err.h"

enum { ANSWER_MAX = 4000, LONG_MS = 30000 };

struct seen {
	unsigned n;
	int err;
	unsigned status;
	char body[ANSWER_MAX + 1];
	size_t len;
	bool free_client;
};

static struct http_client *http;
static struct fake_http fake;
static char url[64];

static void on_answer(void *arg, const struct http_answer *a)
{
	struct seen *s = arg;

	s->n++;
	s->err = a->err;
	s->status = a->status;
	s->len = a->len;
	assert_true(a->len <= ANSWER_MAX);
	assert_int_equal(a->body[a->len], '\0');
	memcpy(s->body, a->body, a->len + 1);
	if (s->free_client) {
		http_client_free(http);
		http = NULL;
	}
}

static struct http_request *ask_at(const char *where, uint32_t timeout_ms, struct seen *s)
{
	struct http_request_conf c = {
		.method = "GET", .url = where, .answer_max = ANSWER_MAX, .timeout_ms = timeout_ms};

	return http_client_ask(http, &c, on_answer, s);
}

static struct http_client_stats stats(void)
{
	struct http_client_stats st;

	http_client_stats_get(http, &st);
	return st;
}

static int setup(void **state)
{
	setup_loop(state);
	http = http_client_new(l, "");
	return http == NULL;
}

static int teardown(void **state)
{
	http_client_free(http);
	if (fake.li != NULL)
		fake_http_stop(&fake);
	return teardown_loop(state);
}

static void start(fake_http_fn fn, void *arg)
{
	fake_http_start(&fake, fn, arg);
	fake_http_url(&fake, url, sizeof(url));
}

// ---- what goes well ----

static void echo(void *arg, struct fake_conn *fc, const struct fake_request *r)
{
	char body[512];

	(void)arg;
	assert_null(strcasestr(r->headers, "expect"));
	snprintf(body, sizeof(body), "%s %s %s", r->method, r->path, r->body);
	fake_http_answer(fc, 201, body);
}

static void request_and_answer_are_whole(void **state)
{
	static const struct {
		const char *method, *path, *body, *want;
	} cases[] = {
		{"GET", "/a/b?c=d", NULL, "GET /a/b?c=d "},
		{"POST", "/x/", "{\"y\":1}", "POST /x/ {\"y\":1}"},
		{"DELETE", "/x", "gone", "DELETE /x gone"},
		{"POST", "/", "", "POST / "},
	};

	(void)state;
	start(echo, NULL);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct seen s = {0};
		char where[128];
		struct http_request_conf c = {.method = cases[i].method,
			.url = where,
			.body = cases[i].body,
			.body_len = cases[i].body != NULL ? strlen(cases[i].body) : 0,
			.answer_max = ANSWER_MAX,
			.timeout_ms = LONG_MS};

		snprintf(where, sizeof(where), "%s%s", url, cases[i].path);
		assert_non_null(http_client_ask(http, &c, on_answer, &s));
		assert_int_equal(s.n, 0); // never from within
		run_until(s.n == 1);
		assert_int_equal(s.err, 0);
		assert_int_equal(s.status, 201);
		assert_string_equal(s.body, cases[i].want);
	}
	assert_int_equal(stats().answered, ARRAY_LEN(cases));
	assert_int_equal(stats().pending, 0);
}

static void json_is_declared(void *arg, struct fake_conn *fc, const struct fake_request *r)
{
	*(bool *)arg = strcasestr(r->headers, "content-type: application/json") != NULL;
	fake_http_answer(fc, 200, "");
}

static void bodies_are_json(void **state)
{
	bool declared = false;
	struct seen s = {0};
	struct http_request_conf c = {
		.method = "POST", .url = url, .body = "{}", .body_len = 2, .timeout_ms = LONG_MS};

	(void)state;
	start(json_is_declared, &declared);
	assert_non_null(http_client_ask(http, &c, on_answer, &s));
	run_until(s.n == 1);
	assert_int_equal(s.err, 0);
	assert_true(declared);
}

static void many_at_once_and_no_more(void **state)
{
	static struct seen s[HTTP_CLIENT_REQUESTS_MAX];

	(void)state;
	start(echo, NULL);
	memset(s, 0, sizeof(s));
	for (unsigned i = 0; i < HTTP_CLIENT_REQUESTS_MAX; i++)
		assert_non_null(ask_at(url, LONG_MS, &s[i]));
	assert_null(ask_at(url, LONG_MS, &s[0]));
	assert_int_equal(errno, EBUSY);
	assert_int_equal(stats().refused, 1);
	run_until(stats().pending == 0);
	for (unsigned i = 0; i < HTTP_CLIENT_REQUESTS_MAX; i++)
		assert_true(s[i].n == 1 && s[i].err == 0);
	assert_non_null(ask_at(url, LONG_MS, &s[0]));
	run_until(s[0].n == 2);
}

// ---- hostile servers ----

static void raw(void *arg, struct fake_conn *fc, const struct fake_request *r)
{
	const char *text = arg;

	(void)r;
	fake_http_raw(fc, text, strlen(text));
	if (strstr(text, "(cut)") != NULL)
		conn_shutdown(fc->c);
}

static void what_is_no_answer_fails(void **state)
{
	static const struct {
		const char *text;
		int err;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n(cut)", -ECONNRESET},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n(never comes)", -ETIMEDOUT},
		{"HTTP/1.1 200 OK\r\nContent-Le", -ETIMEDOUT},
		{"", -ETIMEDOUT},
		{"(cut) this is no HTTP\r\n\r\n", -EBADMSG},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", -ECONNRESET},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct seen s = {0};

		start(raw, (void *)(uintptr_t)cases[i].text);
		assert_non_null(ask_at(url, 300, &s));
		run_until(s.n == 1);
		if (s.err != cases[i].err)
			fail_msg("%s: %s", cases[i].text, strerror(-s.err));
		fake_http_stop(&fake);
	}
	assert_int_equal(stats().failed, ARRAY_LEN(cases));
}

static void endless(void *arg, struct fake_conn *fc, const struct fake_request *r)
{
	static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";
	static char block[65536];

	(void)r;
	memset(block, 'x', sizeof(block));
	if (*(bool *)arg) {
		memcpy(block, "HTTP/1.1 200 OK\r\n", 17);
		for (size_t i = 17; i + 64 < sizeof(block); i += 64) {
			memcpy(block + i, "A: ", 3);
			memcpy(block + i + 62, "\r\n", 2);
		}
		fake_http_raw(fc, block, sizeof(block) - 100);
		fake_http_raw(fc, block + 17, sizeof(block) - 200);
		return;
	}
	fake_http_raw(fc, head, sizeof(head) - 1);
	fake_http_raw(fc, block, sizeof(block));
}

static void too_long_answers_are_not_kept(void **state)
{
	(void)state;
	for (unsigned headers = 0; headers < 2; headers++) {
		bool in_headers = headers == 1;
		struct seen s = {0};

		start(endless, &in_headers);
		assert_non_null(ask_at(url, LONG_MS, &s));
		run_until(s.n == 1);
		assert_int_equal(s.err, -EMSGSIZE);
		fake_http_stop(&fake);
	}
}

static void redirects_are_answers(void **state)
{
	static char text[] = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
			     "Content-Length: 0\r\n\r\n";
	struct seen s = {0};

	(void)state;
	start(raw, text);
	assert_non_null(ask_at(url, LONG_MS, &s));
	run_until(s.n == 1);
	assert_int_equal(s.err, 0);
	assert_int_equal(s.status, 302);
	assert_int_equal(fake.n_requests, 1);
}

static void nobody_listens(void **state)
{
	struct seen s = {0};

	(void)state;
	start(echo, NULL);
	fake_http_stop(&fake);
	assert_non_null(ask_at(url, LONG_MS, &s));
	run_until(s.n == 1);
	assert_int_equal(s.err, -ECONNREFUSED);
}

// ---- ending early ----

static void nothing_comes_after_a_cancel(void **state)
{
	struct seen s = {0}, other = {0};
	struct http_request *r;

	(void)state;
	start(echo, NULL);
	r = ask_at(url, LONG_MS, &s);
	http_client_cancel(r); // at once
	r = ask_at(url, LONG_MS, &s);
	run_until(fake.n_requests == 1);
	http_client_cancel(r); // its answer is on the way
	assert_non_null(ask_at(url, LONG_MS, &other));
	run_until(other.n == 1);
	assert_int_equal(s.n, 0);
	assert_int_equal(stats().pending, 0);
}

static void client_may_end_in_an_answer(void **state)
{
	struct seen s = {.free_client = true}, never = {0};

	(void)state;
	start(echo, NULL);
	assert_non_null(ask_at(url, LONG_MS, &s));
	run_until(fake.n_requests == 1 || s.n == 1);
	if (http != NULL)
		assert_non_null(ask_at(url, LONG_MS, &never));
	run_until(s.n == 1);
	assert_null(http);
}

// ---- URLs ----

#define NO_POINT "dmsg://0579be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
#define PK "0379be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"

static void urls_are_checked(void **state)
{
	static const char *const good[] = {"http://a", "https://a.b:80/c", "http://[::1]:9090",
		"dmsg://" PK, "dmsg://" PK ":80", "dmsg://" PK ":80/path"};
	static const char *const bad[] = {"", "a", "ftp://a", "file:///etc/passwd", "http://",
		"http:///x", "http://a b", "dmsg://", "dmsg://" PK "0", "dmsg://" PK ":",
		"dmsg://" PK ":0", "dmsg://" PK ":65536", "dmsg://" PK ":8x", NO_POINT};
	struct seen s = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (http_client_check_url(good[i]) != NULL)
			fail_msg("%s: %s", good[i], http_client_check_url(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (http_client_check_url(bad[i]) == NULL)
			fail_msg("%s is taken", bad[i]);
		assert_null(ask_at(bad[i], LONG_MS, &s));
		assert_int_equal(errno, EINVAL);
	}
	assert_null(ask_at("dmsg://" PK, LONG_MS, &s));
	assert_int_equal(errno, ENOTCONN);
}

// ---- dmsg:// ----

struct streams {
	struct dmsg_addr to;
	http_stream_fn fn;
	void *fn_arg;
	unsigned n_dialled, n_cancelled;
	int err; // what the dial ends with
	struct loop_timer *timer;
};

static void give_stream(void *arg)
{
	struct streams *st = arg;
	struct end a = {0}, b = {0};
	void *fn_arg = st->fn_arg;

	st->fn_arg = NULL;
	if (st->err != 0) {
		st->fn(fn_arg, NULL, "", st->err);
		return;
	}
	pair(&a, &b);
	fake_http_take(&fake, a.c);
	st->fn(fn_arg, b.c, "203.0.113.9", 0);
}

static void *streams_dial(
	void *arg, const struct dmsg_addr *to, uint32_t timeout_ms, http_stream_fn fn, void *fn_arg)
{
	struct streams *st = arg;

	assert_int_equal(timeout_ms, LONG_MS);
	st->to = *to;
	st->fn = fn;
	st->fn_arg = fn_arg;
	st->n_dialled++;
	loop_timer_start(st->timer, 0, 0);
	return st;
}

static void streams_cancel(void *dial)
{
	struct streams *st = dial;

	st->n_cancelled++;
	loop_timer_stop(st->timer);
}

static const struct http_streams streams = {.dial = streams_dial, .cancel = streams_cancel};

static void over_dmsg(void *arg, struct fake_conn *fc, const struct fake_request *r)
{
	(void)arg;
	assert_non_null(strstr(r->headers, "SW-PublicIP: 203.0.113.9\r\n"));
	assert_non_null(strstr(r->headers, "Host: " PK ":90\r\n"));
	echo(NULL, fc, r);
}

static void dmsg_urls_go_by_a_stream_each(void **state)
{
	struct streams st = {0};

	(void)state;
	st.timer = loop_timer_new(l, give_stream, &st);
	start(over_dmsg, NULL);
	http_client_set_streams(http, &streams, &st);
	for (unsigned i = 0; i < 2; i++) {
		struct seen s = {0};

		assert_non_null(ask_at("dmsg://" PK ":90/e/f", LONG_MS, &s));
		run_until(s.n == 1);
		assert_int_equal(s.err, 0);
		assert_string_equal(s.body, "GET /e/f ");
	}
	assert_int_equal(st.n_dialled, 2);
	assert_int_equal(st.to.port, 90);
	loop_timer_free(st.timer);
}

static void dmsg_dials_fail_and_are_cancelled(void **state)
{
	struct streams st = {.err = -ENETUNREACH};
	struct seen s = {0};
	struct http_request *r;

	(void)state;
	st.timer = loop_timer_new(l, give_stream, &st);
	start(over_dmsg, NULL);
	http_client_set_streams(http, &streams, &st);
	assert_non_null(ask_at("dmsg://" PK, LONG_MS, &s));
	run_until(s.n == 1);
	assert_int_equal(s.err, -ENETUNREACH);
	assert_int_equal(st.to.port, HTTP_CLIENT_DMSG_PORT);
	r = ask_at("dmsg://" PK, LONG_MS, &s);
	http_client_cancel(r);
	assert_int_equal(st.n_cancelled, 1);
	st.err = 0;
	r = ask_at("dmsg://" PK ":90", LONG_MS, &s);
	run_until(fake.n_requests == 1);
	http_client_cancel(r);
	assert_int_equal(s.n, 1);
	assert_int_equal(stats().pending, 0);
	loop_timer_free(st.timer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(request_and_answer_are_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(bodies_are_json, setup, teardown),
		cmocka_unit_test_setup_teardown(many_at_once_and_no_more, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_answer_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(too_long_answers_are_not_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(redirects_are_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_listens, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_comes_after_a_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(client_may_end_in_an_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(urls_are_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(dmsg_urls_go_by_a_stream_each, setup, teardown),
		cmocka_unit_test_setup_teardown(dmsg_dials_fail_and_are_cancelled, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
