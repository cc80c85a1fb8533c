// Thresholds: what is met, missed, or open when the measurement ended early.
#include "lib/base/err.h"
#include "tools/bench/report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct args args;
static struct report report;
static struct hist latency;

static int fresh(void **state)
{
	args = (struct args){.max_loss = -1};
	assert_int_equal(report_init(&report, &args), 0);
	hist_reset(&latency);
	return 0;
}

static int done(void **state)
{
	report_fini(&report);
	return 0;
}

// Of `planned` packets so many were due, and came back after 1 us, or slowly after 1 ms.
static void add(uint64_t planned, uint64_t due, uint64_t quick, uint64_t slow)
{
	const struct trial_result t = {.cut = due < planned,
		.planned = planned,
		.intended = due,
		.sent = due,
		.received = quick + slow,
		.opened = true};

	hist_reset(&latency);
	for (uint64_t i = 0; i < quick + slow; i++)
		hist_add(&latency, i < quick ? 1000 : 1000000);
	report.cut = report.cut || t.cut;
	assert_non_null(report_add(&report, REPORT_RATE, 0, &t, &latency));
}

static void loss_of_a_whole_run_is_judged(void **state)
{
	args.max_loss = 0.01;
	add(1000, 1000, 990, 0);
	assert_int_equal(report_judge(&report), REPORT_MET);
	add(1000, 1000, 989, 0);
	assert_int_equal(report_judge(&report), REPORT_MISSED);
}

static void loss_of_a_run_cut_short_is_missed_only_when_the_rest_could_not_mend_it(void **state)
{
	args.max_loss = 0.01;
	add(1000, 100, 90, 0); // ten of a hundred, but of a thousand no more than may be
	assert_int_equal(report_judge(&report), REPORT_OPEN);
	add(1000, 100, 89, 0);
	assert_int_equal(report_judge(&report), REPORT_MISSED);
}

static void latency_of_a_run_cut_short_is_missed_only_when_the_rest_could_not_mend_it(void **state)
{
	args.max_p99_us = 10;
	add(1000, 100, 90, 10);
	assert_int_equal(report_judge(&report), REPORT_OPEN);
	add(1000, 100, 80, 20);
	assert_int_equal(report_judge(&report), REPORT_MISSED);
}

static void a_whole_run_that_missed_stays_missed_when_the_next_is_cut_short(void **state)
{
	args.max_p99_us = 10;
	add(1000, 1000, 900, 100);
	add(1000, 100, 100, 0);
	assert_int_equal(report_judge(&report), REPORT_MISSED);
}

static void nothing_measured_is_missed_or_open(void **state)
{
	args.max_loss = 0.5;
	args.max_p99_us = 1000;
	assert_int_equal(report_judge(&report), REPORT_MISSED);
	assert_true(isnan(report.check[0].value) && isnan(report.check[1].value));
	report.cut = true;
	assert_int_equal(report_judge(&report), REPORT_OPEN);
}

static void a_search_cut_short_decides_what_its_upper_bound_does(void **state)
{
	static const struct {
		enum search_state state;
		uint64_t lower_pps, upper_pps;
		enum report_verdict verdict;
	} cases[] = {
		{SEARCH_RUNNING, 0, 0, REPORT_OPEN},
		{SEARCH_RUNNING, 900, 1100, REPORT_OPEN},
		{SEARCH_RUNNING, 0, 1000, REPORT_MISSED},
		{SEARCH_FOUND, 990, 1001, REPORT_MISSED},
		{SEARCH_FOUND, 1001, 1100, REPORT_MET},
	};

	args.min_ndr = (struct args_rate){.pps = 1000, .given = true};
	report.cut = true;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		report.ndr = (struct search_bound){.state = cases[i].state,
			.lower_pps = cases[i].lower_pps,
			.upper_pps = cases[i].upper_pps,
			.forwarded_pps = (double)cases[i].lower_pps};
		assert_int_equal(report_judge(&report), cases[i].verdict);
	}
}

static void those_who_see_no_table_are_told_what_is_not_met(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	args.max_loss = 0.01;
	args.max_p99_us = 10;
	add(1000, 1000, 900, 0);
	assert_int_equal(report_judge(&report), REPORT_MISSED);
	report_unmet_text(&report, "bench: ", out);
	fclose(out);
	assert_string_equal(text, "bench: --max-loss 1 %: 10 %, MISSED\n");
	free(text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, done)
	const struct CMUnitTest tests[] = {
		TEST(loss_of_a_whole_run_is_judged),
		TEST(loss_of_a_run_cut_short_is_missed_only_when_the_rest_could_not_mend_it),
		TEST(latency_of_a_run_cut_short_is_missed_only_when_the_rest_could_not_mend_it),
		TEST(a_whole_run_that_missed_stays_missed_when_the_next_is_cut_short),
		TEST(nothing_measured_is_missed_or_open),
		TEST(a_search_cut_short_decides_what_its_upper_bound_does),
		TEST(those_who_see_no_table_are_told_what_is_not_met),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
