// Bindings at an address resolver, and where others are.
#include "controlplane/directory/resolver.h"
#include "tests/controlplane/directory/fake_service.h"

#include "lib/base/err.h"

struct seen {
	unsigned n;
	struct resolver_result r;
	struct resolver_visor visor;
	char text[128];
};

static void on_result(void *arg, const struct resolver_result *r)
{
	struct seen *seen = arg;

	seen->n++;
	seen->r = *r;
	if (r->visor != NULL)
		seen->visor = *r->visor;
	snprintf(seen->text, sizeof(seen->text), "%s", r->text);
}

static int setup(void **state)
{
	return fake_client_setup(state, true, 2000);
}

static struct seen wait_for(struct resolver_ask *a, struct seen *seen)
{
	assert_non_null(a);
	run_until(seen->n == 1);
	return *seen;
}

static void a_node_is_bound_found_and_unbound(void **state)
{
	static const char *const addrs[] = {"198.51.100.7", "2001:db8::7"};
	struct seen seen = {0};
	char addr[RESOLVER_ADDR_LEN];

	(void)state;
	seen = wait_for(resolver_find(s, &fake_pk[1], on_result, &seen), &seen);
	assert_true(seen.r.err == 0 && !seen.r.taken && seen.r.status == 404);
	assert_string_equal(seen.text, "404: no transport found");
	seen.n = 0;
	seen = wait_for(resolver_bind(s, 7777, addrs, 2, on_result, &seen), &seen);
	assert_true(seen.r.taken);
	assert_string_equal(fake.bound,
		"POST {\"port\":\"7777\",\"addresses\":[\"198.51.100.7\",\"2001:db8::7\"]}\n");
	seen.n = 0;
	seen = wait_for(resolver_find(s, &fake_pk[1], on_result, &seen), &seen);
	assert_true(seen.r.taken && seen.r.visor != NULL);
	assert_true(resolver_visor_addr(&seen.visor, 0, addr));
	assert_string_equal(addr, "198.51.100.7:7777");
	seen.n = 0;
	assert_true(wait_for(resolver_unbind(s, on_result, &seen), &seen).r.taken);
	assert_string_equal(fake.bound, "DELETE {}\n");
	assert_int_equal(fake.n_401, 0);
}

static void addresses_that_are_none_are_not_bound(void **state)
{
	static const char *const addrs[] = {"198.51.100.7:7777"};

	(void)state;
	assert_null(resolver_bind(s, 7777, addrs, 1, on_result, NULL));
	assert_int_equal(errno, EINVAL);
}

static void the_list_is_asked_for_unsigned(void **state)
{
	struct seen seen = {0};

	(void)state;
	seen = wait_for(resolver_list(s, on_result, &seen), &seen);
	assert_true(seen.r.taken && seen.r.n_keys == 0);
	assert_int_equal(fake.n_nonces, 0);
}

static void answers_that_cannot_be_read_are_none(void **state)
{
	struct seen seen = {0};

	(void)state;
	fake.status = 200;
	fake.body = "{\"remote_addr\":\"example.org\"}";
	seen = wait_for(resolver_find(s, &fake_pk[1], on_result, &seen), &seen);
	assert_true(seen.r.err == -EBADMSG && !seen.r.taken && seen.r.visor == NULL);
	assert_string_equal(seen.text, "an answer that cannot be read");
	seen.n = 0;
	resolver_cancel(resolver_find(s, &fake_pk[1], on_result, &seen));
	resolver_cancel(NULL);
	assert_int_equal(seen.n, 0);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, fake_client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_node_is_bound_found_and_unbound),
		TEST(addresses_that_are_none_are_not_bound),
		TEST(the_list_is_asked_for_unsigned),
		TEST(answers_that_cannot_be_read_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
