// A binding at an address resolver that is kept: repeated, tried again, taken back.
#include "controlplane/directory/resolver_keep.h"
#include "tests/controlplane/directory/fake_service.h"

#include <arpa/inet.h>

#include "lib/base/err.h"
#include "lib/base/log.h"

static struct service *s;
static struct resolver_keep *k;
static const char *our[2]; // addresses
static unsigned n_our, n_looked;

static size_t addrs(void *arg, char (*out)[RESOLVER_IP_LEN], size_t max)
{
	assert_ptr_equal(arg, &n_our);
	assert_true(max >= n_our);
	n_looked++;
	for (unsigned i = 0; i < n_our; i++)
		snprintf(out[i], RESOLVER_IP_LEN, "%s", our[i]);
	return n_our;
}

static void quiet(void *arg, enum log_level level, const char *module, const char *text)
{
}

static int setup(void **state)
{
	struct service_conf c = {.timeout_ms = 20000};

	if (fake_service_setup(state) != 0)
		return 1;
	log_sink_set(quiet, NULL);
	c.loop = l;
	c.http = http;
	c.id = asker;
	c.url = fake.url;
	s = service_new(&c);
	our[0] = "198.51.100.7";
	our[1] = "2001:db8::7";
	n_our = 2;
	n_looked = 0;
	return s == NULL;
}

static int teardown(void **state)
{
	resolver_keep_free(k);
	k = NULL;
	service_free(s);
	log_sink_set(NULL, NULL);
	return fake_service_teardown(state);
}

static void keep(uint32_t every_ms)
{
	const struct resolver_keep_conf c = {.loop = l,
		.service = s,
		.port = 7777,
		.addrs = addrs,
		.arg = &n_our,
		.every_ms = every_ms,
		.retry_ms = 1};

	k = resolver_keep_new(&c);
	assert_non_null(k);
}

static bool is_bound(const char *list)
{
	char text[256];

	snprintf(text, sizeof(text), "POST {\"port\":\"7777\",\"addresses\":[%s]}\n", list);
	return strcmp(fake.bound, text) == 0;
}

static void binds_again_and_again_with_what_the_host_has_then(void **state)
{
	(void)state;
	keep(1);
	run_until(is_bound("\"198.51.100.7\",\"2001:db8::7\""));
	our[0] = "198.51.100.8";
	n_our = 1;
	run_until(is_bound("\"198.51.100.8\""));
	run_until(n_looked > 10);
}

static void is_not_repeated_too_soon(void **state)
{
	unsigned turns = 0;

	(void)state;
	keep(0);
	run_until(fake.n_signed == 1);
	run_until(++turns > 20);
	assert_int_equal(n_looked, 1);
}

static void a_refusal_is_followed_by_another_try(void **state)
{
	(void)state;
	fake.status = 503;
	fake.body = "{\"error\":\"away\"}\n";
	keep(0);
	run_until(n_looked >= 3);
	fake.status = 0;
	run_until(is_bound("\"198.51.100.7\",\"2001:db8::7\""));
}

static void nothing_is_bound_without_an_address(void **state)
{
	(void)state;
	n_our = 0;
	keep(1);
	run_until(n_looked >= 3);
	assert_int_equal(fake.n_signed, 0);
	n_our = 1;
	run_until(is_bound("\"198.51.100.7\""));
}

static void the_binding_is_taken_back_with_the_last_address(void **state)
{
	(void)state;
	keep(1);
	run_until(is_bound("\"198.51.100.7\",\"2001:db8::7\""));
	fake.status = 503; // of one that is away for a moment, too
	fake.body = "{\"error\":\"away\"}\n";
	run_until(fake.pending == 0);
	n_our = n_looked = 0;
	run_until(n_looked >= 3);
	fake.status = 0;
	run_until(strcmp(fake.bound, "DELETE {}\n") == 0);
	n_our = 1;
	run_until(is_bound("\"198.51.100.7\""));
}

// The answer was lost, not what was asked.
static void a_binding_that_may_have_got_there_is_taken_back(void **state)
{
	static const char *const answers[] = {
		"rubbish\r\n\r\n", "HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		fake.holds = true;
		fake.bound[0] = '\0';
		n_our = 1;
		keep(0);
		run_until(fake.held != NULL);
		assert_string_equal(fake.held_method, "POST");
		n_our = 0;
		fake_http_raw(fake.held, answers[i], strlen(answers[i]));
		fake.held = NULL;
		fake.pending--;
		run_until(strcmp(fake.bound, "DELETE {}\n") == 0);
		resolver_keep_free(k);
		k = NULL;
	}
}

static void what_the_resolver_does_not_have_is_taken_back(void **state)
{
	unsigned n_signed;

	(void)state;
	keep(1);
	run_until(is_bound("\"198.51.100.7\",\"2001:db8::7\""));
	fake.status = 404;
	fake.body = "{\"error\":\"no transport found\"}\n";
	n_our = n_looked = 0;
	run_until(n_looked >= 3);
	n_signed = fake.n_signed;
	run_until(n_looked >= 8);
	assert_int_equal(fake.n_signed, n_signed);
}

// Every 5 minutes is for those that were told.
static void what_could_not_be_asked_is_tried_again(void **state)
{
	(void)state;
	our[0] = "not an address";
	keep(0);
	run_until(n_looked >= 3);
	assert_int_equal(fake.n_signed, 0);
	our[0] = "198.51.100.7";
	run_until(is_bound("\"198.51.100.7\",\"2001:db8::7\""));
}

static void on_left(void *arg)
{
	++*(unsigned *)arg;
}

static void takes_it_back_at_the_end(void **state)
{
	unsigned left = 0;

	(void)state;
	keep(0);
	run_until(is_bound("\"198.51.100.7\",\"2001:db8::7\""));
	run_until(fake.pending == 0);
	resolver_keep_leave(k, on_left, &left);
	assert_int_equal(left, 0);
	run_until(left == 1);
	assert_string_equal(fake.bound, "DELETE {}\n");
}

static void one_that_was_never_bound_just_leaves(void **state)
{
	unsigned left = 0;

	(void)state;
	n_our = 0;
	keep(0);
	run_until(n_looked == 1);
	resolver_keep_leave(k, on_left, &left);
	assert_int_equal(left, 0);
	run_until(left == 1);
	assert_int_equal(fake.n_signed, 0);
}

static void leaving_does_not_wait_for_a_resolver_that_is_away(void **state)
{
	unsigned left = 0;

	(void)state;
	fake.silent = true;
	keep(0);
	run_until(fake.pending == 1);
	resolver_keep_leave(k, on_left, &left);
	run_until(left == 1);
}

static void may_be_freed_while_it_asks(void **state)
{
	(void)state;
	fake.silent = true;
	keep(0);
	run_until(fake.pending == 1);
}

static void take(uint8_t ip[16], const char *text)
{
	memset(ip, 0, 16);
	if (inet_pton(AF_INET6, text, ip) != 1) {
		ip[10] = ip[11] = 0xff;
		assert_int_equal(inet_pton(AF_INET, text, ip + 12), 1);
	}
}

static void an_address_that_is_listened_on_is_the_only_one(void **state)
{
	static const struct {
		const char *at;
		unsigned n;
	} cases[] = {{"198.51.100.7", 1}, {"2001:db8::7", 1}, {"10.0.0.1", 0}, {"127.0.0.1", 0},
		{"fe80::1", 0}};
	char out[RESOLVER_ADDRS_MAX][RESOLVER_IP_LEN];
	uint8_t ip[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		take(ip, cases[i].at);
		assert_int_equal(resolver_keep_addrs(ip, out, RESOLVER_ADDRS_MAX), cases[i].n);
		if (cases[i].n == 1)
			assert_string_equal(out[0], cases[i].at);
	}
}

static void of_the_hosts_addresses_public_ones_are_told(void **state)
{
	static const char *const any[] = {"0.0.0.0", "::"};
	char out[RESOLVER_ADDRS_MAX][RESOLVER_IP_LEN];
	uint8_t ip[16];

	(void)state;
	for (size_t k2 = 0; k2 < ARRAY_LEN(any); k2++) {
		size_t n;

		take(ip, any[k2]);
		n = resolver_keep_addrs(ip, out, RESOLVER_ADDRS_MAX);
		assert_true(n <= RESOLVER_ADDRS_MAX);
		for (size_t i = 0; i < n; i++) {
			take(ip, out[i]);
			assert_true(resolver_ip_is_public(ip));
		}
	}
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(binds_again_and_again_with_what_the_host_has_then),
		T(is_not_repeated_too_soon),
		T(a_refusal_is_followed_by_another_try),
		T(nothing_is_bound_without_an_address),
		T(the_binding_is_taken_back_with_the_last_address),
		T(a_binding_that_may_have_got_there_is_taken_back),
		T(what_the_resolver_does_not_have_is_taken_back),
		T(what_could_not_be_asked_is_tried_again),
		T(takes_it_back_at_the_end),
		T(one_that_was_never_bound_just_leaves),
		T(leaving_does_not_wait_for_a_resolver_that_is_away),
		T(may_be_freed_while_it_asks),
		cmocka_unit_test(an_address_that_is_listened_on_is_the_only_one),
		cmocka_unit_test(of_the_hosts_addresses_public_ones_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
