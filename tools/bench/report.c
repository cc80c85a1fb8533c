// Collects rows, judges thresholds, prints for people. JSON and CSV are in report_out.c.

#include "tools/bench/report.h"

#include "lib/base/err.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int report_init(struct report *r, const struct args *a)
{
	*r = (struct report){.args = a};
	r->row = calloc(REPORT_ROWS_MAX, sizeof(r->row[0]));
	return r->row == NULL ? -ENOMEM : 0;
}

void report_fini(struct report *r)
{
	free(r->row);
	*r = (struct report){0};
}

// Of the whole trial; the packets that are still to come may all be quick, and bring nothing up.
static double least_p99_us(const struct trial_result *t, const struct hist *h)
{
	double share = t->received > 0 ? (double)t->planned / (double)t->received : 1;

	return share < 100 ? (double)hist_percentile(h, 100 - fmax(share, 1)) / 1e3 : 0;
}

const struct report_row *report_add(struct report *r, enum report_kind kind, unsigned share_pct,
	const struct trial_result *t, const struct hist *h)
{
	struct report_row *row;

	if (r->n_rows == REPORT_ROWS_MAX)
		return NULL;
	row = &r->row[r->n_rows++];
	*row = (struct report_row){
		.kind = kind, .share_pct = share_pct, .r = *t, .loss = trial_loss(t)};
	row->min_us = (double)h->min / 1e3;
	row->mean_us = hist_mean(h) / 1e3;
	row->p50_us = (double)hist_percentile(h, 50) / 1e3;
	row->p90_us = (double)hist_percentile(h, 90) / 1e3;
	row->p99_us = (double)hist_percentile(h, 99) / 1e3;
	row->p999_us = (double)hist_percentile(h, 99.9) / 1e3;
	row->max_us = (double)h->max / 1e3;
	row->least_loss = row->loss;
	row->least_p99_us = row->p99_us;
	if (t->cut) {
		row->least_loss =
			t->planned > 0 ? row->loss * (double)t->intended / (double)t->planned : 0;
		row->least_p99_us = t->planned > 0 ? least_p99_us(t, h) : 0;
	}
	return row;
}

void report_drop(void *report, const char *name, uint64_t n)
{
	struct report *r = report;

	if (r->n_drops < REPORT_DROPS_MAX) {
		r->drop[r->n_drops].name = name;
		r->drop[r->n_drops++].n = n;
	}
}

// ---- thresholds ----

static void check(struct report *r, const struct report_check *c)
{
	if (r->n_checks == REPORT_CHECKS_MAX)
		return;
	r->check[r->n_checks] = *c;
	r->check[r->n_checks++].met = c->met && !c->open;
}

static void check_rate(struct report *r, const char *name, const struct args_rate *limit,
	const struct search_bound *b)
{
	double pps = b->forwarded_pps;
	double want = limit->bps > 0 ? limit->bps / 8 / r->frame_len : limit->pps;
	// an upper bound below it decides, however far the search came
	bool open = r->cut && b->state == SEARCH_RUNNING &&
		    (b->upper_pps == 0 || (double)b->upper_pps > want);

	if (limit->given)
		check(r, &(struct report_check){.name = name,
				 .limit = want,
				 .value = pps,
				 .met = pps >= want,
				 .open = open,
				 .why = b->limited ? "limited by the generator" : NULL});
}

// The greatest of the runs that count.
struct worst {
	unsigned n;
	double loss, p99_us, least_loss, least_p99_us;
	const struct report_row *by_loss, *by_p99;
};

static struct worst worst(const struct report *r)
{
	struct worst w = {0};

	for (unsigned i = 0; i < r->n_rows; i++) {
		const struct report_row *row = &r->row[i];

		if (row->kind == REPORT_TRIAL)
			continue;
		if (w.n++ == 0 || row->loss > w.loss)
			w.by_loss = row;
		if (w.by_p99 == NULL || row->p99_us > w.p99_us)
			w.by_p99 = row;
		w.loss = w.by_loss->loss;
		w.p99_us = w.by_p99->p99_us;
		w.least_loss = fmax(w.least_loss, row->least_loss);
		w.least_p99_us = fmax(w.least_p99_us, row->least_p99_us);
	}
	return w;
}

// A threshold that nothing was measured for is missed, unless the rest would have told.
static void check_runs(struct report *r)
{
	const struct args *a = r->args;
	const struct worst w = worst(r);
	const bool limited = w.n > 0 && trial_is_limited(&w.by_loss->r);
	const bool late = w.n > 0 && w.by_p99->r.late * 100 > w.by_p99->r.received;

	if (a->max_loss >= 0)
		check(r, &(struct report_check){.name = "max-loss",
				 .limit = a->max_loss,
				 .value = w.n > 0 ? w.loss : NAN,
				 .met = w.n > 0 && w.loss <= a->max_loss,
				 .open = r->cut && w.least_loss <= a->max_loss,
				 .why = limited ? "most of it by the generator" : NULL});
	if (a->max_p99_us > 0)
		check(r, &(struct report_check){.name = "max-p99",
				 .limit = a->max_p99_us,
				 .value = w.n > 0 ? w.p99_us : NAN,
				 .met = w.p99_us > 0 && w.p99_us <= a->max_p99_us,
				 .open = r->cut && w.least_p99_us <= a->max_p99_us,
				 .why = late ? "more than 1 % of the packets left late" : NULL});
}

enum report_verdict report_judge(struct report *r)
{
	enum report_verdict v = REPORT_MET;

	r->n_checks = 0;
	check_rate(r, "min-ndr", &r->args->min_ndr, &r->ndr);
	check_rate(r, "min-pdr", &r->args->min_pdr, &r->pdr);
	check_runs(r);
	for (unsigned i = 0; i < r->n_checks; i++) {
		if (!r->check[i].met && !r->check[i].open)
			return REPORT_MISSED;
		if (r->check[i].open)
			v = REPORT_OPEN;
	}
	return v;
}

// ---- for people ----

static const char *rate_text(double pps, char out[24])
{
	if (pps <= 0)
		snprintf(out, 24, "max");
	else if (pps >= 1e6)
		snprintf(out, 24, "%.3f Mpps", pps / 1e6);
	else if (pps >= 1e3)
		snprintf(out, 24, "%.2f kpps", pps / 1e3);
	else
		snprintf(out, 24, "%.1f pps", pps);
	return out;
}

static void part_text(const char *word, uint64_t n, bool *first, FILE *out)
{
	if (n == 0)
		return;
	fprintf(out, " %c %llu %s", *first ? '=' : '+', (unsigned long long)n, word);
	*first = false;
}

void report_row_text(const struct report_row *row, FILE *out)
{
	const struct trial_result *r = &row->r;
	const struct trial_parts p = trial_parts(r);
	bool first = true;
	char rate[24];

	fprintf(out, "  %14s %6.2f s  sent %-10llu received %-10llu loss %9.5f %%",
		rate_text(r->pps, rate), r->duration_s, (unsigned long long)r->sent,
		(unsigned long long)r->received, row->loss * 100);
	part_text("unsent", p.unsent, &first, out);
	part_text("refused", p.refused, &first, out);
	part_text("missed", p.missed, &first, out);
	part_text("queue", p.queue, &first, out);
	part_text("held", p.held, &first, out);
	part_text("dropped", p.dropped, &first, out);
	part_text("gone", p.gone, &first, out);
	if (r->retransmitted > 0)
		fprintf(out, "  again %llu", (unsigned long long)r->retransmitted);
	if (r->late > 0)
		fprintf(out, "  late %llu", (unsigned long long)r->late);
	if (r->cut)
		fputs("  cut short", out);
	fputc('\n', out);
	fflush(out);
}

// Who lost what the upper bound lost, if the generator did not.
static const char *limit_text(const struct report *r, const struct search_bound *b)
{
	uint64_t node = 0, gone = 0;
	bool known = true;

	if (b->limited)
		return "limited by the generator, not by the node";
	for (unsigned i = 0; i < r->n_rows; i++) {
		const struct trial_result *t = &r->row[i].r;
		const struct trial_parts p = trial_parts(t);

		if (r->row[i].kind != REPORT_TRIAL || t->pps != (double)b->upper_pps)
			continue;
		node += p.queue + p.held + p.dropped;
		gone += p.gone;
		known = known && t->dropped_known;
	}
	if (node >= gone)
		return "limited by the node";
	return known ? "limited by the wire: gone, and not dropped by the node"
		     : "limited by the node or the wire";
}

static const char *state_text(const struct report *r, const struct search_bound *b)
{
	switch (b->state) {
	case SEARCH_FOUND:
		return limit_text(r, b);
	case SEARCH_AT_MAX:
		return "the greatest rate asked for (--max-rate)";
	case SEARCH_BELOW_MIN:
		return b->limited ? "the generator cannot even send --min-rate"
				  : "loss even at --min-rate";
	case SEARCH_GAVE_UP:
		return "not found: too unsteady";
	case SEARCH_RUNNING:
		return "not searched to the end: no verdict";
	}
	return "";
}

static void bound_text(
	const struct report *r, const char *name, const struct search_bound *b, FILE *out)
{
	char rate[24] = "none";

	if (b->forwarded_pps > 0)
		rate_text(b->forwarded_pps, rate);
	fprintf(out, "%-19s %14s  %8.3f Gbit/s  %s\n", name, rate,
		b->forwarded_pps * r->frame_len * 8 / 1e9, state_text(r, b));
}

static const char *run_name(const struct report_row *row, char out[32])
{
	if (row->kind == REPORT_LATENCY)
		snprintf(out, 32, "%u %% of NDR", row->share_pct);
	else
		snprintf(out, 32, row->r.pps > 0 ? "rate" : "max: received");
	return out;
}

static void latency_text(const struct report *r, FILE *out)
{
	bool head = false;

	for (unsigned i = 0; i < r->n_rows; i++) {
		const struct report_row *row = &r->row[i];
		char rate[24], what[32];

		if (row->kind == REPORT_TRIAL)
			continue;
		if (!head)
			fprintf(out, "\n%-13s %14s %10s %9s %9s %9s %9s %9s %8s %8s\n", "run",
				"rate", "loss", "p50 us", "p90 us", "p99 us", "p99.9 us", "max us",
				"dup", "reorder");
		head = true;
		fprintf(out, "%-13s %14s %9.5f%%", run_name(row, what),
			rate_text(row->r.pps > 0 ? row->r.pps : row->r.rx_pps, rate),
			row->loss * 100);
		if (row->r.opened)
			fprintf(out, " %9.1f %9.1f %9.1f %9.1f %9.1f %8llu %8llu\n", row->p50_us,
				row->p90_us, row->p99_us, row->p999_us, row->max_us,
				(unsigned long long)row->r.duplicates,
				(unsigned long long)row->r.reordered);
		else
			fputs("  (counted only)\n", out);
	}
}

// With its unit, which the name tells.
static void threshold_text(const struct report_check *c, FILE *out)
{
	char limit[24], value[24];

	if (strncmp(c->name, "min-", 4) == 0) {
		rate_text(c->limit, limit);
		if (c->value > 0)
			rate_text(c->value, value);
		else
			snprintf(value, sizeof(value), "0 pps");
	} else if (strcmp(c->name, "max-loss") == 0) {
		snprintf(limit, sizeof(limit), "%.5g %%", c->limit * 100);
		snprintf(value, sizeof(value), "%.5g %%", c->value * 100);
	} else {
		snprintf(limit, sizeof(limit), "%.1f us", c->limit);
		snprintf(value, sizeof(value), "%.1f us", c->value);
	}
	if (isnan(c->value))
		snprintf(value, sizeof(value), "not measured");
	fprintf(out, "--%s %s: %s, %s", c->name, limit, value,
		c->open  ? "no verdict"
		: c->met ? "met"
			 : "MISSED");
	if (!c->met && c->why != NULL)
		fprintf(out, " (%s)", c->why);
	fputc('\n', out);
}

void report_unmet_text(const struct report *r, const char *prefix, FILE *out)
{
	for (unsigned i = 0; i < r->n_checks; i++) {
		if (r->check[i].met)
			continue;
		fputs(prefix, out);
		threshold_text(&r->check[i], out);
	}
}

// What the words say that not every trial has.
static void words_text(const struct report *r, FILE *out)
{
	struct trial_parts sum = {0};
	uint64_t late = 0, again = 0;
	bool known = true;

	for (unsigned i = 0; i < r->n_rows; i++) {
		const struct trial_result *t = &r->row[i].r;
		const struct trial_parts p = trial_parts(t);

		sum.unsent += p.unsent;
		sum.refused += p.refused;
		sum.missed += p.missed;
		sum.queue += p.queue;
		sum.held += p.held;
		sum.dropped += p.dropped;
		sum.gone += p.gone;
		late += t->late;
		again += t->retransmitted;
		known = known && (t->dropped_known || p.gone == 0);
	}
	const struct {
		uint64_t n;
		const char *text;
	} words[] = {
		{sum.unsent, "unsent   by the generator: it had no time for them"},
		{sum.refused, "refused  by the bench's own device: it takes no more"},
		{sum.missed,
			"missed   by the bench: they came back, and it was too slow to take them"},
		{sum.queue, "queue    of the node was full: its workers were too slow"},
		{sum.held,
			"held     by reliable links until the end: the node, or the way to it, is slower"},
		{sum.dropped, "dropped  by the node, for the reasons below"},
		{sum.gone,
			known ? "gone     on the wire, or still under way: the node did not drop them"
			      : "gone     on the wire or in the node, whose `skyrail show drops` may tell"},
		{again, "again    sent once more by reliable links; this is no loss"},
		{late, "late     left more than 50 us after they were due; this is latency, no loss"},
	};
	static_assert(TRIAL_LATE_NS == 50000, "the text above");
	if (sum.unsent + sum.refused + sum.missed + sum.queue + sum.held + sum.dropped + sum.gone +
			again + late >
		0)
		fputc('\n', out);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (words[i].n > 0)
			fprintf(out, "%s\n", words[i].text);
}

static void limit_of(const char *name, bool *first, FILE *out)
{
	fprintf(out, "%s%s", *first ? "the generator is the limit of " : ", ", name);
	*first = false;
}

static void limited_by_us_text(const struct report *r, FILE *out)
{
	bool first = true;
	char name[32];

	if (r->has_search && r->ndr.limited)
		limit_of("NDR", &first, out);
	if (r->has_search && r->pdr.limited)
		limit_of("PDR", &first, out);
	for (unsigned i = 0; i < r->n_rows; i++)
		if (r->row[i].kind != REPORT_TRIAL && trial_is_limited(&r->row[i].r))
			limit_of(r->row[i].kind == REPORT_RATE ? "this run"
							       : run_name(&r->row[i], name),
				&first, out);
	if (!first)
		fputs(", not the node:\ngive the bench a processor of its own, or use --prepare\n",
			out);
}

void report_text(const struct report *r, FILE *out)
{
	char rate[24], pdr[32];

	if (r->has_search) {
		fprintf(out, "\npackets of %.0f bytes in frames of %.0f that came back:\n",
			r->payload_len, r->frame_len);
		snprintf(pdr, sizeof(pdr), "PDR (loss <= %.3g %%)", r->args->pdr_loss * 100);
		bound_text(r, "NDR (no loss)", &r->ndr, out);
		bound_text(r, pdr, &r->pdr, out);
	}
	latency_text(r, out);
	words_text(r, out);
	limited_by_us_text(r, out);
	if (r->differs)
		fprintf(out,
			"results differ between trials at one rate (%s: %.1f to %.1f %%\n"
			"not forwarded): is the machine busy?\n",
			rate_text((double)r->spread.pps, rate), r->spread.least * 100,
			r->spread.most * 100);
	for (unsigned i = 0; i < r->n_drops; i++)
		fprintf(out, "%sdropped by the node: %s %llu\n", i == 0 ? "\n" : "",
			r->drop[i].name, (unsigned long long)r->drop[i].n);
	if (r->n_checks > 0)
		fputc('\n', out);
	for (unsigned i = 0; i < r->n_checks; i++)
		threshold_text(&r->check[i], out);
}
