// Search of the greatest rate that a device forwards with no more than some loss: NDR (none) and
// PDR (half a percent). Trials of constant rate are proposed, their results taken; no clock, no
// packets. The algorithm is MLRsearch (RFC 9971): a load is a lower or an upper bound by the sum of
// its trials, short ones first, and RFC 2544's binary search is the special case of one trial of
// full length a load and no exceed ratio. Plain memory, one thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { SEARCH_TRIALS_MAX = 1024, SEARCH_GOALS_MAX = 4, SEARCH_PHASES = 3 };
#define SEARCH_SPREAD 0.05

struct search_goal {
	double loss; // ratio that a trial may lose, 0..1
	double exceed; // share of trial time that may lose more, 0..1 (1 excluded)
	double width; // of the interval found, relative to its upper end
	double initial_s; // length of the first trials
	double final_s; // length of the trials that count in the end
	double sum_s; // of the trials at one load that decide about it; >= final_s
};

struct search_conf {
	double min_pps, max_pps; // 1 <= min <= max
	struct search_goal goal[SEARCH_GOALS_MAX];
	unsigned n_goals;
};

struct search_trial {
	uint64_t pps; // intended
	double duration_s;
	double loss; // ratio: what was not forwarded, unsent packets included
	bool limited; // most of that was never sent: the generator's loss, not the device's
};

enum search_state {
	SEARCH_RUNNING,
	SEARCH_FOUND,
	SEARCH_AT_MAX, // no loss at the greatest rate that was allowed
	SEARCH_BELOW_MIN, // too much loss even at the least one
	SEARCH_GAVE_UP, // too many trials: the device is too unsteady
};

// Bounds of one goal, as far as known.
struct search_bound {
	enum search_state state;
	uint64_t lower_pps; // 0: none
	uint64_t upper_pps; // 0: none
	double forwarded_pps; // at the lower bound: its rate without what it lost
	bool limited; // the upper bound is the generator's
};

struct search {
	struct search_conf conf;
	struct search_trial trial[SEARCH_TRIALS_MAX];
	unsigned n_trials;
	unsigned goal, phase; // under way
	unsigned steps; // of the external search in this phase
	uint64_t now_pps; // proposed
	double now_s;
	uint64_t hint_lo, hint_hi; // bounds of the phase before
	enum search_state state[SEARCH_GOALS_MAX];
};

void search_init(struct search *s, const struct search_conf *conf);
// The next trial, or false: all goals are done.
bool search_next(struct search *s, uint64_t *pps, double *duration_s);
// Result of the trial proposed last. intended: packets that the rate and length ask for.
void search_result(struct search *s, uint64_t intended, uint64_t forwarded, bool limited);
struct search_bound search_bound(const struct search *s, unsigned goal);

// Losses of trials of one length at one rate.
struct search_spread {
	uint64_t pps;
	double least, most;
};

// The rate whose trials differ most, if any differ by more than SEARCH_SPREAD: something else than
// the load decides then.
bool search_differs(const struct search *s, struct search_spread *out);
