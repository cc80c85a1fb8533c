// Entries at a transport discovery: posted, found, listed, removed; what "none" looks like.
#include "controlplane/directory/tp_discovery.h"
#include "tests/controlplane/directory/fake_service.h"

#include "lib/base/err.h"

struct seen {
	unsigned n;
	struct tp_discovery_result r;
	struct tp_entry first;
	char text[128];
};

static void on_result(void *arg, const struct tp_discovery_result *r)
{
	struct seen *seen = arg;

	seen->n++;
	seen->r = *r;
	if (r->n > 0)
		seen->first = r->entries[0];
	snprintf(seen->text, sizeof(seen->text), "%s", r->text);
}

static int setup(void **state)
{
	return fake_client_setup(state, true, 2000);
}

static struct seen post(const struct tp_entry *e)
{
	struct seen seen = {0};

	assert_non_null(tp_discovery_post(s, e, on_result, &seen));
	run_until(seen.n == 1);
	return seen;
}

static struct seen find(const struct tp_entry *e)
{
	struct seen seen = {0};

	assert_non_null(tp_discovery_find(s, e->id, on_result, &seen));
	run_until(seen.n == 1);
	return seen;
}

static struct seen of(unsigned edge)
{
	struct seen seen = {0};

	assert_non_null(tp_discovery_of(s, &fake_pk[edge], on_result, &seen));
	run_until(seen.n == 1);
	return seen;
}

static struct seen del(const struct tp_entry *e)
{
	struct seen seen = {0};

	assert_non_null(tp_discovery_delete(s, e->id, on_result, &seen));
	run_until(seen.n == 1);
	return seen;
}

static void entries_are_posted_found_listed_and_removed(void **state)
{
	struct tp_entry ab = fake_entry(1, "stcpr"), ac = fake_entry(2, "dmsg");
	struct seen seen = post(&ab);

	(void)state;
	assert_true(seen.r.err == 0 && seen.r.taken && seen.r.status == 201);
	assert_true(post(&ac).r.taken);
	assert_int_equal(tp_entry_verify(&fake.e[0], &fake_pk[1]), 0); // it got both signatures
	seen = find(&ab);
	assert_true(seen.r.taken && seen.r.n == 1);
	assert_true(tp_entry_is_of(&seen.first, &fake_pk[0], &fake_pk[1], "stcpr"));
	assert_int_equal(of(0).r.n, 2);
	assert_int_equal(of(2).r.n, 1);
	assert_true(del(&ab).r.taken);
	seen = del(&ab);
	assert_true(!seen.r.taken && seen.r.status == 404);
	assert_string_equal(seen.text, "404: not found");
	assert_int_equal(fake.n_401, 0);
}

static void none_is_404_or_null(void **state)
{
	struct tp_entry ab = fake_entry(1, "stcpr");

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct seen one = find(&ab), all = of(0);

		assert_true(one.r.err == 0 && one.r.taken && one.r.n == 0);
		assert_true(all.r.err == 0 && all.r.taken && all.r.n == 0);
		fake.lists_null = true;
	}
}

static void a_second_post_is_refused_with_a_text(void **state)
{
	struct tp_entry ab = fake_entry(1, "stcpr");
	struct seen seen;

	(void)state;
	assert_true(post(&ab).r.taken);
	seen = post(&ab);
	assert_true(seen.r.err == 0 && !seen.r.taken && seen.r.status == 500);
	assert_non_null(strstr(seen.text, "500: ERROR: duplicate key"));
	assert_int_equal(find(&ab).r.n, 1);
}

static void answers_that_cannot_be_read_are_none(void **state)
{
	static const char *const bad[] = {"{}", "[]", "7", ""};
	struct tp_entry ab = fake_entry(1, "stcpr"), ac = fake_entry(2, "stcpr");
	char other[TP_ENTRY_TEXT_MAX];
	struct seen seen;

	(void)state;
	fake.status = 200;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		fake.body = bad[i];
		seen = find(&ab);
		assert_true(seen.r.err == -EBADMSG && !seen.r.taken && seen.r.n == 0);
		assert_string_equal(seen.text, "an answer that cannot be read");
	}
	fake_service_plain(&ac, other, sizeof(other));
	fake.body = other; // of another transport
	assert_int_equal(find(&ab).r.err, -EBADMSG);
	fake.body = "{}";
	assert_int_equal(of(0).r.err, -EBADMSG);
	fake.status = 500;
	seen = find(&ab);
	assert_true(seen.r.err == 0 && !seen.r.taken && seen.r.n == 0);
}

static void a_cancelled_question_is_not_answered(void **state)
{
	struct tp_entry ab = fake_entry(1, "stcpr");
	struct seen seen = {0};

	(void)state;
	tp_discovery_cancel(tp_discovery_find(s, ab.id, on_result, &seen));
	tp_discovery_cancel(NULL);
	assert_true(post(&ab).r.taken);
	assert_int_equal(seen.n, 0);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, fake_client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(entries_are_posted_found_listed_and_removed),
		TEST(none_is_404_or_null),
		TEST(a_second_post_is_refused_with_a_text),
		TEST(answers_that_cannot_be_read_are_none),
		TEST(a_cancelled_question_is_not_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
