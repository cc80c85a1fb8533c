// Thresholds: what is met, missed, or open when the measurement ended early. Losses: where they
// remained, the same in each line.
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

// ---- where losses remained ----

static void the_parts_of_a_loss_sum_to_it(void **state)
{
	static const struct {
		struct trial_result r;
		struct trial_parts p;
	} cases[] = {
		{{.intended = 100, .received = 100}, {0}},
		{{.intended = 100, .sent = 90, .unsent = 10, .received = 90},
			{.lost = 10, .unsent = 10}},
		{{.intended = 100, .sent = 90, .unsent = 10, .held = 10, .received = 90},
			{.lost = 10, .held = 10}},
		{{.intended = 100,
			 .unsent = 10,
			 .refused = 5,
			 .missed = 4,
			 .dropped = 3,
			 .received = 70},
			{.lost = 30,
				.unsent = 10,
				.refused = 5,
				.missed = 4,
				.dropped = 3,
				.gone = 8}},
		{{.intended = 100, .refused = 5, .node_queue = true, .received = 95},
			{.lost = 5, .queue = 5}},
		// what others lost is not ours
		{{.intended = 100, .missed = 7, .dropped = 9, .received = 90},
			{.lost = 10, .missed = 7, .dropped = 3}},
		{{.intended = 100, .missed = 7, .dropped = 9, .received = 100}, {0}},
		{{.intended = 100, .received = 101}, {0}},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct trial_parts p = trial_parts(&cases[i].r);

		assert_int_equal(p.lost,
			p.unsent + p.refused + p.missed + p.queue + p.held + p.dropped + p.gone);
		assert_memory_equal(&p, &cases[i].p, sizeof(p));
	}
}

static void the_bench_is_the_limit_when_most_of_a_loss_is_its_own(void **state)
{
	struct trial_result r = {.intended = 100, .received = 90, .refused = 4, .missed = 1};

	assert_false(trial_is_limited(&r));
	r.unsent = 1;
	assert_true(trial_is_limited(&r));
	r.node_queue = true;
	assert_false(trial_is_limited(&r));
	r = (struct trial_result){.intended = 100, .received = 100, .missed = 5};
	assert_false(trial_is_limited(&r));
}

static void drops_of_what_is_not_ours_do_not_count(void **state)
{
	struct drops since = {.worker[W_drop_rule_unknown] = 5}, now = since;

	now.worker[W_drop_exception] += 3;
	now.worker[W_pkt_forwarded] += 7;
	now.port[P_port_rx_frames] += 9;
	assert_int_equal(drops_sum(&now, &since), 0);
	now.worker[W_drop_rule_unknown] += 2;
	now.port[P_port_rx_missed] += 4;
	assert_int_equal(drops_sum(&now, &since), 6);
	drops_each(&now, &since, report_drop, &report);
	assert_int_equal(report.n_drops, 2);
	assert_string_equal(report.drop[0].name, "drop_rule_unknown");
	assert_string_equal(report.drop[1].name, "port_rx_missed");
	assert_int_equal(report.drop[1].n, 4);
}

static char *text_of_search(const struct trial_result *upper, const struct trial_result *run)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	report.has_search = true;
	report.ndr = report.pdr = (struct search_bound){.state = SEARCH_FOUND,
		.lower_pps = 900,
		.upper_pps = 1000,
		.forwarded_pps = 900,
		.limited = trial_is_limited(upper)};
	assert_non_null(report_add(&report, REPORT_TRIAL, 0, upper, &latency));
	assert_non_null(report_add(&report, REPORT_LATENCY, 90, run, &latency));
	report_judge(&report);
	report_row_text(&report.row[0], out);
	report_text(&report, out);
	fclose(out);
	return text;
}

static void all_lines_of_a_report_name_the_same_limit(void **state)
{
	static const struct {
		struct trial_result upper, run;
		const char *says[4], *not ;
	} cases[] = {
		{{.pps = 1000, .intended = 100, .unsent = 10, .received = 90},
			{.intended = 100, .received = 100},
			{"loss  10.00000 % = 10 unsent\n",
				"limited by the generator, not by the node",
				"the generator is the limit of NDR, PDR, not the node",
				"MISSED (limited by the generator)"},
			"limited by the node"},
		{{.pps = 1000,
			 .intended = 100,
			 .dropped = 8,
			 .dropped_known = true,
			 .received = 90},
			{.intended = 100, .received = 100},
			{"= 8 dropped + 2 gone", "limited by the node", "pps, MISSED\n",
				"the node did not drop them"},
			"generator"},
		{{.pps = 1000, .intended = 100, .received = 90}, {.intended = 100, .received = 100},
			{"= 10 gone", "limited by the node or the wire", "may tell", "MISSED\n"},
			"generator"},
		{{.pps = 1000, .intended = 100, .dropped_known = true, .received = 90},
			{.intended = 100, .unsent = 5, .received = 95},
			{"limited by the wire",
				"the generator is the limit of 90 % of NDR, not the node",
				"0 pps, MISSED\n", "MISSED (most of it by the generator)"},
			"limit of NDR"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *text;

		report.n_rows = 0;
		args.min_ndr = (struct args_rate){.pps = 1000, .given = true};
		args.max_loss = 0.01;
		text = text_of_search(&cases[i].upper, &cases[i].run);
		for (size_t k = 0; k < ARRAY_LEN(cases[i].says); k++)
			if (strstr(text, cases[i].says[k]) == NULL)
				fail_msg("%zu: no '%s' in:\n%s", i, cases[i].says[k], text);
		if (strstr(text, cases[i].not ) != NULL)
			fail_msg("%zu: '%s' in:\n%s", i, cases[i].not, text);
		free(text);
	}
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
		TEST(the_parts_of_a_loss_sum_to_it),
		TEST(the_bench_is_the_limit_when_most_of_a_loss_is_its_own),
		TEST(drops_of_what_is_not_ours_do_not_count),
		TEST(all_lines_of_a_report_name_the_same_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
