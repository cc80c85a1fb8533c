// What a bench found, for people (table), programs (JSON, CSV) and harnesses (thresholds).
#pragma once

#include "tools/bench/args.h"
#include "tools/bench/search.h"
#include "tools/bench/trial.h"

#include <stdbool.h>
#include <stdio.h>

enum { REPORT_ROWS_MAX = 2 * SEARCH_TRIALS_MAX, REPORT_DROPS_MAX = 64, REPORT_CHECKS_MAX = 8 };

enum report_kind {
	REPORT_TRIAL, // of the search
	REPORT_RATE, // the one run of --rate
	REPORT_LATENCY, // at a share of the NDR
};

// One trial; of its histogram what people ask for.
struct report_row {
	enum report_kind kind;
	unsigned share_pct; // REPORT_LATENCY
	struct trial_result r;
	double loss;
	double p50_us, p90_us, p99_us, p999_us, max_us, mean_us, min_us;
	// what these would be at the end of the whole trial, had nothing more been lost or late
	double least_loss, least_p99_us;
};

struct report_check {
	const char *name; // "min-ndr"
	double limit, value; // NaN: nothing was measured
	bool met;
	bool open; // no verdict: the measurement ended early
	const char *why; // not the node's fault; NULL: it is, or nobody knows
};

enum report_verdict {
	REPORT_MET, // all thresholds
	REPORT_MISSED, // at least one, for certain
	REPORT_OPEN, // none of those that could be judged
};

struct report {
	const struct args *args;
	double frame_len, payload_len;
	bool hugepages;
	uint64_t n_keys; // on the wire: key pairs that links had
	struct report_row *row;
	unsigned n_rows;
	bool has_search;
	struct search_bound ndr, pdr;
	bool differs; // trials of the search at one rate: see spread
	struct search_spread spread;
	bool cut; // interrupted, or a link went down: not all was measured
	struct {
		const char *name;
		uint64_t n;
	} drop[REPORT_DROPS_MAX];
	unsigned n_drops;
	struct report_check check[REPORT_CHECKS_MAX];
	unsigned n_checks;
};

int report_init(struct report *r, const struct args *a); // 0 or -ENOMEM
void report_fini(struct report *r);
// Appends a trial; returns its row, or NULL when there is no room.
const struct report_row *report_add(struct report *r, enum report_kind kind, unsigned share_pct,
	const struct trial_result *t, const struct hist *latency);
void report_drop(void *report, const char *name, uint64_t n); // a drops_cb
// Hold the results against the thresholds of the command line.
enum report_verdict report_judge(struct report *r);

void report_row_text(const struct report_row *row, FILE *out); // one line, while it runs
void report_text(const struct report *r, FILE *out);
// A line, which begins with prefix, for each threshold that is not met; for those who see no table.
void report_unmet_text(const struct report *r, const char *prefix, FILE *out);
int report_json(const struct report *r, FILE *out); // 0 or -errno
int report_csv(const struct report *r, FILE *out);
