// The rate search against simulated devices whose loss curve is known.
#include "lib/base/err.h"
#include "tools/bench/search.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// A device that forwards up to a rate, and some noise.
struct device {
	double capacity; // packets/s that it forwards
	double base_loss; // ratio that it always loses
	double stall; // share of trials that lose half, whatever the load
	double sender; // packets/s that the generator can send; 0 = any
	uint64_t rng;
	unsigned trials;
	double seconds;
};

static double draw(struct device *d)
{
	d->rng ^= d->rng << 13;
	d->rng ^= d->rng >> 7;
	d->rng ^= d->rng << 17;
	return (double)(d->rng >> 11) / 9007199254740992.0;
}

static struct search s;

static void run(struct device *d, const struct search_conf *conf)
{
	uint64_t pps;
	double duration_s;

	d->rng = 88172645463325252ull;
	search_init(&s, conf);
	while (search_next(&s, &pps, &duration_s)) {
		double want = (double)pps * duration_s, sent = want, got;

		assert_true(pps >= (uint64_t)conf->min_pps && pps <= (uint64_t)conf->max_pps);
		assert_true(++d->trials <= SEARCH_TRIALS_MAX);
		d->seconds += duration_s;
		if (d->sender > 0 && sent > d->sender * duration_s)
			sent = d->sender * duration_s;
		got = fmin(sent, d->capacity * duration_s) * (1 - d->base_loss);
		if (draw(d) < d->stall)
			got /= 2;
		search_result(&s, (uint64_t)llround(want), (uint64_t)llround(got), sent < want);
	}
}

static struct search_conf mlr(double final_s)
{
	const struct search_goal g = {.exceed = 0.5,
		.width = 0.005,
		.initial_s = final_s / 10,
		.final_s = final_s,
		.sum_s = 3 * final_s};
	struct search_conf c = {.min_pps = 1000, .max_pps = 20e6, .goal = {g, g}, .n_goals = 2};

	c.goal[1].loss = 0.005;
	return c;
}

static struct search_conf rfc2544(void)
{
	struct search_conf c = mlr(60);

	for (unsigned i = 0; i < 2; i++) {
		c.goal[i].exceed = 0;
		c.goal[i].initial_s = c.goal[i].sum_s = 60;
	}
	return c;
}

static void finds_the_rate_of_a_steady_device(void **state)
{
	static const double rates[] = {1500, 40e3, 1e6, 3.7e6, 19.5e6};

	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		struct device d = {.capacity = rates[i]};
		const struct search_conf c = mlr(1);
		struct search_bound ndr, pdr;

		run(&d, &c);
		ndr = search_bound(&s, 0);
		pdr = search_bound(&s, 1);
		assert_int_equal(ndr.state, SEARCH_FOUND);
		assert_int_equal(pdr.state, SEARCH_FOUND);
		assert_true((double)ndr.lower_pps <= rates[i]);
		assert_true((double)ndr.upper_pps > rates[i]);
		assert_true((double)(ndr.upper_pps - ndr.lower_pps) <=
			    0.005 * (double)ndr.upper_pps + 1);
		assert_float_equal(ndr.forwarded_pps, (double)ndr.lower_pps, 0.01);
		// it may lose half a percent of a load that is that much higher
		assert_true((double)pdr.lower_pps <= rates[i] / 0.995 + 1);
		assert_true((double)pdr.upper_pps > rates[i] / 0.995 - 1);
		assert_false(ndr.limited);
		assert_in_range(d.trials, 1, 80);
	}
}

static void binary_search_of_rfc2544_is_a_special_case(void **state)
{
	struct device d = {.capacity = 2.5e6};
	const struct search_conf c = rfc2544();
	struct search_bound ndr;

	run(&d, &c);
	ndr = search_bound(&s, 0);
	assert_int_equal(ndr.state, SEARCH_FOUND);
	assert_true(ndr.lower_pps <= 2500000 && ndr.upper_pps > 2500000);
	assert_float_equal(d.seconds, 60.0 * d.trials, 0.001);
}

static void short_trials_save_time(void **state)
{
	struct device fast = {.capacity = 2.5e6}, slow = {.capacity = 2.5e6};
	struct search_conf a = mlr(60), b = rfc2544();

	a.goal[0].sum_s = a.goal[1].sum_s = 60;
	run(&fast, &a);
	run(&slow, &b);
	assert_true(fast.seconds < slow.seconds / 2);
}

static void one_lossy_trial_of_five_does_not_spoil_mlr(void **state)
{
	struct device d = {.capacity = 1e6, .stall = 0.2};
	const struct search_conf c = mlr(1);
	struct search_bound ndr;

	run(&d, &c);
	ndr = search_bound(&s, 0);
	assert_int_equal(ndr.state, SEARCH_FOUND);
	assert_true((double)ndr.lower_pps > 0.85e6 && (double)ndr.lower_pps <= 1e6);
}

static void a_device_that_always_loses_has_a_pdr_only(void **state)
{
	struct device d = {.capacity = 1e6, .base_loss = 0.001};
	const struct search_conf c = mlr(1);
	struct search_bound pdr;

	run(&d, &c);
	assert_int_equal(search_bound(&s, 0).state, SEARCH_BELOW_MIN);
	assert_int_equal(search_bound(&s, 0).lower_pps, 0);
	assert_float_equal(search_bound(&s, 0).forwarded_pps, 0, 0);
	pdr = search_bound(&s, 1);
	assert_int_equal(pdr.state, SEARCH_FOUND);
	assert_true(pdr.lower_pps > 990000 && pdr.lower_pps < 1010000);
	assert_float_equal(pdr.forwarded_pps, 0.999 * fmin(1e6, (double)pdr.lower_pps), 5000);
}

static void a_dead_device_ends_the_search_soon(void **state)
{
	struct device d = {.capacity = 0};
	const struct search_conf c = mlr(1);

	run(&d, &c);
	assert_int_equal(search_bound(&s, 0).state, SEARCH_BELOW_MIN);
	assert_int_equal(search_bound(&s, 1).state, SEARCH_BELOW_MIN);
	assert_in_range(d.trials, 1, 12);
}

static void a_device_faster_than_the_search_is_said_to_be(void **state)
{
	struct device d = {.capacity = 1e9};
	const struct search_conf c = mlr(1);

	run(&d, &c);
	assert_int_equal(search_bound(&s, 0).state, SEARCH_AT_MAX);
	assert_int_equal(search_bound(&s, 0).lower_pps, 20000000);
	assert_int_equal(search_bound(&s, 0).upper_pps, 0);
}

static void a_slow_generator_is_told_from_a_slow_device(void **state)
{
	struct device d = {.capacity = 5e6, .sender = 1e6};
	const struct search_conf c = mlr(1);

	run(&d, &c);
	assert_int_equal(search_bound(&s, 0).state, SEARCH_FOUND);
	assert_true(search_bound(&s, 0).limited);
	assert_true(search_bound(&s, 0).lower_pps <= 1000000);
}

static void trials_that_differ_at_one_rate_are_told(void **state)
{
	struct device steady = {.capacity = 1e6, .base_loss = 0.001};
	struct device moody = {.capacity = 1e6, .stall = 0.2};
	const struct search_conf c = mlr(1);
	struct search_spread w;

	run(&steady, &c);
	assert_false(search_differs(&s, &w));
	run(&moody, &c);
	assert_true(search_differs(&s, &w));
	assert_true(w.pps > 0 && w.most - w.least > SEARCH_SPREAD && w.most <= 1);
	// a longer trial may well lose more
	search_init(&s, &c);
	s.n_trials = 2;
	s.trial[0] = (struct search_trial){.pps = 1000, .duration_s = 1, .loss = 0};
	s.trial[1] = (struct search_trial){.pps = 1000, .duration_s = 2, .loss = 0.5};
	assert_false(search_differs(&s, &w));
}

static void unsteady_devices_end_too(void **state)
{
	static const double stall[] = {0.45, 0.5, 0.55, 0.9, 1};

	for (size_t i = 0; i < ARRAY_LEN(stall); i++) {
		struct device d = {.capacity = 1e6, .stall = stall[i]};
		const struct search_conf c = mlr(1);

		run(&d, &c);
		assert_int_not_equal(search_bound(&s, 0).state, SEARCH_RUNNING);
		assert_int_not_equal(search_bound(&s, 1).state, SEARCH_RUNNING);
	}
}

static void an_unfinished_search_says_so(void **state)
{
	const struct search_conf c = mlr(1);
	double duration_s;
	uint64_t pps;

	search_init(&s, &c);
	assert_true(search_next(&s, &pps, &duration_s));
	search_result(&s, 1000, 1000, false);
	assert_int_equal(search_bound(&s, 0).state, SEARCH_RUNNING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_rate_of_a_steady_device),
		cmocka_unit_test(binary_search_of_rfc2544_is_a_special_case),
		cmocka_unit_test(short_trials_save_time),
		cmocka_unit_test(one_lossy_trial_of_five_does_not_spoil_mlr),
		cmocka_unit_test(a_device_that_always_loses_has_a_pdr_only),
		cmocka_unit_test(a_dead_device_ends_the_search_soon),
		cmocka_unit_test(a_device_faster_than_the_search_is_said_to_be),
		cmocka_unit_test(a_slow_generator_is_told_from_a_slow_device),
		cmocka_unit_test(trials_that_differ_at_one_rate_are_told),
		cmocka_unit_test(unsteady_devices_end_too),
		cmocka_unit_test(an_unfinished_search_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
