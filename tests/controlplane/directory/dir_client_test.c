// Questions to discoveries: what they ask, what is remembered, which discovery is asked next, and
// what a hostile one can do.
#include "controlplane/core/identity.h"
#include "controlplane/directory/dir_client.h"
#include "tests/controlplane/directory/fake_disc.h"

#include "lib/base/err.h"

enum { N_DISCS = 2, TIMEOUT_MS = 2000 };

static struct fake_disc disc[N_DISCS];
static struct http_client *http;
static struct dir_client *dir;
static struct key_sk sk[3];
static struct key_pk pk[3];

struct seen {
	unsigned n;
	struct dir_result r;
	struct dmsg_entry first;
};

static void on_result(void *arg, const struct dir_result *r)
{
	struct seen *s = arg;

	s->n++;
	s->r = *r;
	if (r->err == 0 && r->n > 0)
		s->first = r->entries[0];
}

static struct dmsg_entry entry_of(unsigned i, bool server)
{
	struct dmsg_entry e = {.version = "0.0.1",
		.pk = pk[i],
		.timestamp_ns = (int64_t)clock_wall_ns(),
		.is_client = !server,
		.is_server = server,
		.address = "192.0.2.1:8081",
		.available_sessions = 5};

	assert_int_equal(dmsg_entry_sign(&e, &sk[i]), 0);
	return e;
}

static int setup(void **state)
{
	const char *urls[N_DISCS];
	struct dir_client_conf c = {.urls = urls, .n_urls = N_DISCS, .timeout_ms = TIMEOUT_MS};

	setup_loop(state);
	for (unsigned i = 0; i < ARRAY_LEN(sk); i++) {
		memset(&sk[i], 0, sizeof(sk[i]));
		sk[i].b[31] = (uint8_t)(i + 1);
		key_pk_from_sk(&pk[i], &sk[i]);
	}
	for (unsigned i = 0; i < N_DISCS; i++) {
		fake_disc_start(&disc[i]);
		urls[i] = disc[i].url;
	}
	http = http_client_new(l, "");
	c.loop = l;
	c.http = http;
	dir = dir_client_new(&c);
	return http == NULL || dir == NULL;
}

static int teardown(void **state)
{
	dir_client_free(dir);
	http_client_free(http);
	for (unsigned i = 0; i < N_DISCS; i++)
		fake_disc_stop(&disc[i]);
	return teardown_loop(state);
}

static struct dir_client_stats stats(void)
{
	struct dir_client_stats st = {0};

	dir_client_stats_add(dir, &st);
	dir_client_stats_add(NULL, &st);
	return st;
}

static struct seen find(unsigned i)
{
	struct seen s = {0};

	assert_non_null(dir_client_find(dir, &pk[i], on_result, &s));
	assert_int_equal(s.n, 0);
	run_until(s.n == 1);
	return s;
}

// ---- entries ----

static void entries_are_put_found_and_removed(void **state)
{
	struct dmsg_entry e = entry_of(0, false);
	struct seen s = {0};

	(void)state;
	assert_non_null(dir_client_post(dir, 1, &e, on_result, &s));
	run_until(s.n == 1);
	assert_true(s.r.err == 0 && s.r.answer == DMSG_ANSWER_OK);
	assert_int_equal(disc[0].n, 0);
	assert_int_equal(disc[1].n, 1);
	s = find(0); // the first does not know it, the second does
	assert_true(s.r.err == 0 && s.r.answer == DMSG_ANSWER_OK && s.r.n == 1);
	assert_int_equal(key_pk_cmp(&s.first.pk, &pk[0]), 0);
	s.n = 0;
	assert_non_null(dir_client_post(dir, 1, &e, on_result, &s));
	run_until(s.n == 1);
	assert_int_equal(s.r.answer, DMSG_ANSWER_SEQUENCE);
	e.sequence = 1; // and the signature is of another text
	s.n = 0;
	assert_non_null(dir_client_delete(dir, 1, &e, on_result, &s));
	run_until(s.n == 1);
	assert_int_equal(s.r.answer, DMSG_ANSWER_SIGNATURE);
	dmsg_entry_sign(&e, &sk[0]);
	s.n = 0;
	assert_non_null(dir_client_delete(dir, 1, &e, on_result, &s));
	run_until(s.n == 1);
	assert_int_equal(s.r.answer, DMSG_ANSWER_OK);
	assert_int_equal(disc[1].n, 0);
}

static void what_was_found_is_remembered(void **state)
{
	struct dmsg_entry e = entry_of(0, false);
	struct seen s;

	(void)state;
	fake_disc_put(&disc[0], &e);
	for (unsigned i = 0; i < 3; i++) {
		s = find(0);
		assert_int_equal(s.r.n, 1);
	}
	assert_int_equal(disc[0].n_get, 1);
	assert_int_equal(stats().cached, 2);
	assert_int_equal(stats().cache_len, 1);
	fake_disc_del(&disc[0], &pk[0]);
	dir_client_forget(dir, &pk[0]);
	s = find(0);
	assert_int_equal(s.r.answer, DMSG_ANSWER_NO_ENTRY);
	assert_int_equal(find(0).r.answer, DMSG_ANSWER_NO_ENTRY); // is not
	assert_int_equal(disc[0].n_get, 3);
	assert_int_equal(stats().refused, 0);
}

static void not_found_needs_the_word_of_all(void **state)
{
	struct seen s;

	(void)state;
	s = find(0);
	assert_true(s.r.err == 0 && s.r.answer == DMSG_ANSWER_NO_ENTRY);
	disc[0].status = 500;
	disc[0].body = "";
	s = find(0);
	assert_int_equal(s.r.err, -EPROTO);
	fake_disc_stop(&disc[0]);
	s = find(0);
	assert_int_equal(s.r.err, -ECONNREFUSED);
}

static void servers_come_from_the_first_that_has_some(void **state)
{
	struct dmsg_entry a = entry_of(1, true), b = entry_of(2, true);
	struct seen s = {0};

	(void)state;
	assert_non_null(dir_client_servers(dir, on_result, &s));
	run_until(s.n == 1);
	assert_true(s.r.err == 0 && s.r.answer == DMSG_ANSWER_NO_SERVERS);
	assert_int_equal(stats().refused, 0);
	fake_disc_put(&disc[1], &a);
	fake_disc_put(&disc[1], &b);
	assert_non_null(dir_client_servers(dir, on_result, &s));
	run_until(s.n == 2);
	assert_true(s.r.err == 0 && s.r.answer == DMSG_ANSWER_OK);
	assert_int_equal(s.r.n, 2);
	assert_string_equal(s.first.address, "192.0.2.1:8081");
}

// ---- hostile discoveries ----

static void hostile_answers_are_none(void **state)
{
	static char huge[DMSG_ENTRY_JSON_MAX + 100];
	static const char other[] =
		"{\"version\":\"0.0.1\",\"static\":\"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d9"
		"59f2815b16f81798\"}";
	static const struct {
		unsigned status;
		const char *body;
		int err;
	} cases[] = {
		{200, "", -EBADMSG},
		{200, "{", -EBADMSG},
		{200, "[]", -EBADMSG},
		{200, "{\"static\":5}", -EBADMSG},
		{200, "{}", -EBADMSG}, // of no key
		{200, other, -EBADMSG}, // of another key
		{200, huge, -EMSGSIZE},
		{302, "", -EPROTO},
		{500, "<html>", -EPROTO},
		{404, "404 page not found", -EPROTO},
	};
	struct dmsg_entry e = entry_of(2, false);

	(void)state;
	memset(huge, ' ', sizeof(huge) - 1);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct seen s;

		for (unsigned k = 0; k < N_DISCS; k++) {
			disc[k].status = cases[i].status;
			disc[k].body = cases[i].body;
		}
		s = find(2);
		if (s.r.err != cases[i].err)
			fail_msg("%u %.20s: %d", cases[i].status, cases[i].body, s.r.err);
		assert_string_not_equal(dir_result_text(&s.r), "");
		// the other one is not disturbed
		disc[1].status = 0;
		fake_disc_put(&disc[1], &e);
		s = find(2);
		assert_true(s.r.err == 0 && s.r.n == 1);
		dir_client_forget(dir, &pk[2]);
	}
}

static void silent_discovery_loses_its_request(void **state)
{
	struct dmsg_entry e = entry_of(2, false);
	struct seen s;

	(void)state;
	disc[0].silent = true;
	fake_disc_put(&disc[1], &e);
	s = find(2);
	assert_true(s.r.err == 0 && s.r.n == 1);
	disc[1].silent = true;
	dir_client_forget(dir, &pk[2]);
	s = find(2);
	assert_int_equal(s.r.err, -ETIMEDOUT);
}

static void memory_has_a_bound(void **state)
{
	(void)state;
	for (unsigned i = 0; i < DIR_CLIENT_CACHE_MAX + 10; i++) {
		struct dmsg_entry e;
		struct seen s;

		memset(&sk[0], 0, sizeof(sk[0]));
		sk[0].b[30] = (uint8_t)(1 + i / 256);
		sk[0].b[31] = (uint8_t)i;
		key_pk_from_sk(&pk[0], &sk[0]);
		e = entry_of(0, false);
		fake_disc_put(&disc[0], &e);
		s = find(0);
		assert_int_equal(s.r.n, 1);
		fake_disc_del(&disc[0], &pk[0]);
	}
	assert_int_equal(stats().cache_len, DIR_CLIENT_CACHE_MAX);
}

static void nothing_comes_after_a_cancel(void **state)
{
	struct dmsg_entry e = entry_of(0, false);
	struct seen s = {0};

	(void)state;
	fake_disc_put(&disc[0], &e);
	dir_ask_cancel(dir_client_find(dir, &pk[0], on_result, &s));
	find(0);
	dir_ask_cancel(dir_client_find(dir, &pk[0], on_result, &s)); // from memory
	find(0);
	assert_int_equal(s.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(entries_are_put_found_and_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_found_is_remembered, setup, teardown),
		cmocka_unit_test_setup_teardown(not_found_needs_the_word_of_all, setup, teardown),
		cmocka_unit_test_setup_teardown(
			servers_come_from_the_first_that_has_some, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile_answers_are_none, setup, teardown),
		cmocka_unit_test_setup_teardown(
			silent_discovery_loses_its_request, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_has_a_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_comes_after_a_cancel, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
