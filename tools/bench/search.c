// One goal after the other, each in phases of longer trials and narrower intervals. In a phase:
// measure the bounds of the phase before again; go down (or up) in growing steps until there is a
// bound of either kind; then halve the interval (in the logarithm). Every trial ever made counts
// for every goal and phase, by its length.

#include "tools/bench/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum load_class { LOAD_UNDECIDED, LOAD_LOWER, LOAD_UPPER };

// What a load is judged by in a phase.
struct target {
	double loss, exceed, width, duration_s, sum_s;
};

static double geometric(double from, double to, double share)
{
	return from * pow(to / from, share);
}

static struct target target_of(const struct search_goal *g, unsigned phase)
{
	double share = (double)phase / (SEARCH_PHASES - 1);

	return (struct target){
		.loss = g->loss,
		.exceed = g->exceed,
		.width = g->width * (double)(1u << (SEARCH_PHASES - 1 - phase)),
		.duration_s = phase == SEARCH_PHASES - 1
				      ? g->final_s
				      : geometric(g->initial_s, g->final_s, share),
		.sum_s = phase == SEARCH_PHASES - 1 ? g->sum_s
						    : geometric(g->initial_s, g->sum_s, share),
	};
}

static bool is_long(const struct search_trial *t, const struct target *g)
{
	return t->duration_s >= g->duration_s * 0.999;
}

// RFC 9971: trials of full length count as they are; short bad ones only beyond what short good
// ones outweigh. A load is decided when what is missing of the sum could not change the verdict.
static enum load_class classify(const struct search *s, uint64_t pps, const struct target *g)
{
	double good_long = 0, bad_long = 0, good_short = 0, bad_short = 0;
	double surplus, bad, whole, missing, limit;

	for (unsigned i = 0; i < s->n_trials; i++) {
		const struct search_trial *t = &s->trial[i];
		bool good = t->loss <= g->loss + 1e-12;

		if (t->pps != pps)
			continue;
		if (is_long(t, g))
			*(good ? &good_long : &bad_long) += t->duration_s;
		else
			*(good ? &good_short : &bad_short) += t->duration_s;
	}
	surplus = bad_short - good_short * g->exceed / (1 - g->exceed);
	bad = bad_long + (surplus > 0 ? surplus : 0);
	whole = good_long + bad;
	missing = whole < g->sum_s ? g->sum_s - whole : 0;
	limit = (whole + missing) * g->exceed + 1e-9;
	if (bad > limit)
		return LOAD_UPPER;
	return bad + missing <= limit ? LOAD_LOWER : LOAD_UNDECIDED;
}

// Least upper bound, and greatest lower bound below it; 0 = none.
static void bounds(const struct search *s, const struct target *g, uint64_t *lower, uint64_t *upper)
{
	*lower = *upper = 0;
	for (unsigned i = 0; i < s->n_trials; i++) {
		uint64_t pps = s->trial[i].pps;

		if ((*upper == 0 || pps < *upper) && classify(s, pps, g) == LOAD_UPPER)
			*upper = pps;
	}
	for (unsigned i = 0; i < s->n_trials; i++) {
		uint64_t pps = s->trial[i].pps;

		if (pps > *lower && (*upper == 0 || pps < *upper) &&
			classify(s, pps, g) == LOAD_LOWER)
			*lower = pps;
	}
}

static uint64_t min_pps(const struct search *s)
{
	return (uint64_t)ceil(s->conf.min_pps);
}

static uint64_t max_pps(const struct search *s)
{
	return (uint64_t)s->conf.max_pps;
}

// Least rate that the device was seen to forward at this load.
static double forwarded_at(const struct search *s, uint64_t pps)
{
	double loss = 0;

	for (unsigned i = 0; i < s->n_trials; i++)
		if (s->trial[i].pps == pps && s->trial[i].loss > loss)
			loss = s->trial[i].loss;
	return (double)pps * (1 - loss);
}

static double step(struct search *s, const struct target *g)
{
	double by = g->width * (double)(1u << (s->steps < 16 ? s->steps : 16));

	s->steps++;
	return by < 0.75 ? by : 0.75;
}

// Below an upper bound; what it forwarded is the best guess the first time.
static uint64_t go_down(struct search *s, const struct target *g, uint64_t upper)
{
	double forwarded = forwarded_at(s, upper);
	double to = (double)upper * (1 - step(s, g));

	if (s->phase == 0 && s->steps == 1 && forwarded < to)
		to = forwarded;
	if (to > (double)(upper - 1))
		to = (double)(upper - 1);
	return to < (double)min_pps(s) ? min_pps(s) : (uint64_t)to;
}

static uint64_t go_up(struct search *s, const struct target *g, uint64_t lower)
{
	double to = (double)lower / (1 - step(s, g));

	if (to < (double)(lower + 1))
		to = (double)(lower + 1);
	return to > (double)max_pps(s) ? max_pps(s) : (uint64_t)to;
}

static bool undecided(const struct search *s, uint64_t pps, const struct target *g)
{
	return pps != 0 && classify(s, pps, g) == LOAD_UNDECIDED;
}

// The load to try next for this target; 0: the phase is over. *state says how when it ended early.
static uint64_t propose(struct search *s, const struct target *g, enum search_state *state)
{
	uint64_t lower, upper;

	if (undecided(s, s->now_pps, g))
		return s->now_pps;
	bounds(s, g, &lower, &upper);
	if (lower == 0 && upper == 0 && s->hint_lo == 0 && s->hint_hi == 0)
		return max_pps(s);
	if (lower == 0 && undecided(s, s->hint_lo, g) && (upper == 0 || s->hint_lo < upper))
		return s->hint_lo;
	if (upper == 0 && undecided(s, s->hint_hi, g) && s->hint_hi > lower)
		return s->hint_hi;
	if (lower == 0 && upper == 0)
		return max_pps(s);
	if (lower == 0) {
		if (upper > min_pps(s))
			return go_down(s, g, upper);
		*state = SEARCH_BELOW_MIN;
		return 0;
	}
	if (upper == 0) {
		if (lower < max_pps(s))
			return go_up(s, g, lower);
		*state = SEARCH_AT_MAX;
		return 0;
	}
	if ((double)(upper - lower) <= g->width * (double)upper || upper - lower <= 1)
		return 0;
	return (uint64_t)sqrt((double)lower * (double)upper);
}

static void phase_ends(struct search *s, const struct target *g, enum search_state state)
{
	bounds(s, g, &s->hint_lo, &s->hint_hi);
	s->steps = 0;
	s->now_pps = 0;
	if (++s->phase < SEARCH_PHASES)
		return;
	s->state[s->goal++] = state;
	s->phase = 0;
}

void search_init(struct search *s, const struct search_conf *conf)
{
	memset(s, 0, sizeof(*s));
	s->conf = *conf;
}

bool search_next(struct search *s, uint64_t *pps, double *duration_s)
{
	while (s->goal < s->conf.n_goals) {
		const struct target g = target_of(&s->conf.goal[s->goal], s->phase);
		enum search_state state = SEARCH_FOUND;
		uint64_t load;

		if (s->n_trials == SEARCH_TRIALS_MAX) {
			s->state[s->goal++] = SEARCH_GAVE_UP;
			continue;
		}
		load = propose(s, &g, &state);
		if (load != 0) {
			s->now_pps = *pps = load;
			s->now_s = *duration_s = g.duration_s;
			return true;
		}
		phase_ends(s, &g, state);
	}
	return false;
}

void search_result(struct search *s, uint64_t intended, uint64_t forwarded, bool limited)
{
	struct search_trial *t = &s->trial[s->n_trials++];
	double loss = intended == 0 ? 1 : 1 - (double)forwarded / (double)intended;

	*t = (struct search_trial){.pps = s->now_pps,
		.duration_s = s->now_s,
		.loss = loss > 0 ? loss : 0,
		.limited = limited};
}

static int by_loss(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

// Loss that the trials at a load did not exceed but for the exceed ratio (RFC 9971: the conditional
// throughput is the load without it).
static double loss_at(const struct search *s, uint64_t pps, const struct target *g)
{
	double loss[SEARCH_TRIALS_MAX];
	unsigned n = 0, at;

	for (unsigned i = 0; i < s->n_trials; i++)
		if (s->trial[i].pps == pps && is_long(&s->trial[i], g))
			loss[n++] = s->trial[i].loss;
	if (n == 0)
		return 0;
	qsort(loss, n, sizeof(loss[0]), by_loss);
	at = (unsigned)ceil((double)n * (1 - g->exceed));
	return loss[at == 0 ? 0 : at - 1];
}

struct search_bound search_bound(const struct search *s, unsigned goal)
{
	const struct target g = target_of(&s->conf.goal[goal], SEARCH_PHASES - 1);
	struct search_bound b = {.state = s->state[goal]};
	double bad = 0, limited = 0;

	bounds(s, &g, &b.lower_pps, &b.upper_pps);
	if (b.lower_pps != 0)
		b.forwarded_pps = (double)b.lower_pps * (1 - loss_at(s, b.lower_pps, &g));
	for (unsigned i = 0; i < s->n_trials; i++) {
		const struct search_trial *t = &s->trial[i];

		if (t->pps != b.upper_pps || t->loss <= g.loss)
			continue;
		bad += t->duration_s;
		limited += t->limited ? t->duration_s : 0;
	}
	b.limited = limited * 2 > bad;
	return b;
}

bool search_differs(const struct search *s, struct search_spread *out)
{
	*out = (struct search_spread){0};
	for (unsigned i = 0; i < s->n_trials; i++) {
		const struct search_trial *a = &s->trial[i];
		struct search_spread w = {a->pps, a->loss, a->loss};

		for (unsigned k = i + 1; k < s->n_trials; k++) {
			const struct search_trial *b = &s->trial[k];

			if (b->pps != a->pps || fabs(b->duration_s / a->duration_s - 1) > 0.001)
				continue;
			w.least = fmin(w.least, b->loss);
			w.most = fmax(w.most, b->loss);
		}
		if (w.most - w.least > out->most - out->least)
			*out = w;
	}
	return out->most - out->least > SEARCH_SPREAD;
}
