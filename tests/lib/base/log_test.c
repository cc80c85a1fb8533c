// Levels, the sink, the bucket, and that no text can forge a second line. Clock is ours.
#include "lib/base/log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"

LOG_MODULE("test");

static char last[LOG_TEXT_MAX + 1];
static int last_level;
static unsigned n_lines;
static uint64_t now_ns;

static void sink(void *arg, enum log_level level, const char *module, const char *text)
{
	assert_ptr_equal(arg, last);
	assert_string_equal(module, "test");
	snprintf(last, sizeof(last), "%s", text);
	last_level = level;
	n_lines++;
}

static uint64_t fake_ns(void)
{
	return now_ns;
}

static int setup(void **state)
{
	static const struct clock_source fake = {.mono_ns = fake_ns, .wall_ns = fake_ns};

	clock_source_set(&fake);
	log_sink_set(sink, last);
	log_level_set("all", LOG_INFO);
	n_lines = 0;
	return 0;
}

static void prints_at_and_below_the_level(void **state)
{
	log_info("a=%d", 1);
	assert_string_equal(last, "a=1");
	assert_int_equal(last_level, LOG_INFO);
	log_debug("b");
	assert_int_equal(n_lines, 1);
	assert_int_equal(log_level_set("test", LOG_DEBUG), 0);
	log_debug("b");
	assert_int_equal(n_lines, 2);
	assert_int_equal(log_level_set("all", LOG_ERR), 0);
	log_warn("c");
	assert_int_equal(n_lines, 2);
	log_err("d");
	assert_int_equal(n_lines, 3);
}

static void refuses_unknown_modules_and_levels(void **state)
{
	assert_int_equal(log_level_set("nobody", LOG_DEBUG), -ENOENT);
	assert_int_equal(log_level_set("test", 5), -EINVAL);
	assert_int_equal(log_level_set("test", -1), -EINVAL);
	assert_int_equal(log_level_get("test"), LOG_INFO);
	assert_int_equal(log_level_get("nobody"), -ENOENT);
}

static void level_names_round_trip(void **state)
{
	for (int i = LOG_ERR; i <= LOG_DEBUG; i++)
		assert_int_equal(log_level_parse(log_level_name(i)), i);
	assert_int_equal(log_level_parse("loud"), -EINVAL);
	assert_string_equal(log_level_name(9), "?");
}

static void replaces_control_characters(void **state)
{
	log_info("x\nerr y\x1b[2J\x7f");
	assert_string_equal(last, "x?err y?[2J?");
}

static void cuts_long_texts(void **state)
{
	log_info("%5000d", 1);
	assert_int_equal(strlen(last), LOG_TEXT_MAX - 1);
}

static void limits_a_call_site_and_counts_the_rest(void **state)
{
	for (unsigned i = 0; i < 100; i++)
		log_limited(LOG_INFO, "flood");
	assert_int_equal(n_lines, LOG_LIMIT_BURST);
}

static void a_bucket_refills_with_time(void **state)
{
	struct log_bucket b = {0};
	uint32_t swallowed;

	now_ns = 1000 * CLOCK_NS_PER_S;
	for (unsigned i = 0; i < LOG_LIMIT_BURST; i++)
		assert_true(log_bucket_take(&b, &swallowed));
	for (unsigned i = 0; i < 7; i++)
		assert_false(log_bucket_take(&b, &swallowed));
	now_ns += CLOCK_NS_PER_S;
	assert_true(log_bucket_take(&b, &swallowed));
	assert_int_equal(swallowed, 7);
	assert_false(log_bucket_take(&b, &swallowed));
	now_ns += 100 * CLOCK_NS_PER_S;
	for (unsigned i = 0; i < LOG_LIMIT_BURST; i++)
		assert_true(log_bucket_take(&b, &swallowed));
	assert_false(log_bucket_take(&b, &swallowed));
}

static void lists_its_modules(void **state)
{
	const struct log_module *m = log_module_next(NULL);

	assert_string_equal(m->name, "test");
	assert_null(log_module_next(m));
}

static void each_line_of_a_text_is_one(void **state)
{
	log_lines(LOG_ERR, "first=1\n\nlast=2\n");
	assert_int_equal(n_lines, 2);
	assert_string_equal(last, "last=2");
	assert_int_equal(last_level, LOG_ERR);
	log_lines(LOG_ERR, "");
	log_lines(LOG_DEBUG, "not=on");
	assert_int_equal(n_lines, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(prints_at_and_below_the_level, setup),
		cmocka_unit_test_setup(each_line_of_a_text_is_one, setup),
		cmocka_unit_test_setup(refuses_unknown_modules_and_levels, setup),
		cmocka_unit_test_setup(level_names_round_trip, setup),
		cmocka_unit_test_setup(replaces_control_characters, setup),
		cmocka_unit_test_setup(cuts_long_texts, setup),
		cmocka_unit_test_setup(limits_a_call_site_and_counts_the_rest, setup),
		cmocka_unit_test_setup(a_bucket_refills_with_time, setup),
		cmocka_unit_test_setup(lists_its_modules, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
