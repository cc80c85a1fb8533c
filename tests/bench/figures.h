// Figures of the benches: alternating pairs of short runs, their ratios, and one JSON line for
// each.
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { PAIRS_MAX = 201 };

// One short run; returns its figure (a rate: more is better). ctx is the caller's.
typedef double (*figure_run)(void *ctx);

struct figure {
	const char *name;
	const char *unit;
	double target; // of the ratio; 0 = printed only
	// results
	double value, baseline; // medians
	double ratio, min, max; // median, least and greatest of the pairs' ratios
	double ci_lo, ci_hi; // 95 % confidence interval of the median ratio
	bool met; // the interval reaches the target
};

// Run a (ours) and b (baseline) in turn n times and fill the results. Which goes first alternates
// too.
void figure_pairs(
	struct figure *f, figure_run a, void *a_ctx, figure_run b, void *b_ctx, unsigned n);
// A figure without a baseline in the same run: value only.
void figure_value(struct figure *f, double value);
// Print the figure as one JSON line on stdout.
void figure_print(const struct figure *f);

int figure_cmp(const void *a, const void *b); // of doubles, for qsort
