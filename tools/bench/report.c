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

static void check(
	struct report *r, const char *name, double limit, double value, bool met, bool open)
{
	if (r->n_checks < REPORT_CHECKS_MAX)
		r->check[r->n_checks++] = (struct report_check){.name = name,
			.limit = limit,
			.value = value,
			.met = met && !open,
			.open = open};
}

static void check_rate(struct report *r, const char *name, const struct args_rate *limit,
	const struct search_bound *b)
{
	double pps = b->forwarded_pps;
	double want = limit->bps > 0 ? limit->bps / 8 / r->frame_len : limit->pps;

	if (limit->given) // an upper bound below it decides, however far the search came
		check(r, name, want, pps, pps >= want,
			r->cut && b->state == SEARCH_RUNNING &&
				(b->upper_pps == 0 || (double)b->upper_pps > want));
}

// A threshold that nothing was measured for is missed, unless the rest would have told.
static void check_runs(struct report *r)
{
	const struct args *a = r->args;
	double loss = 0, p99 = 0, least_loss = 0, least_p99 = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < r->n_rows; i++) {
		const struct report_row *row = &r->row[i];

		if (row->kind == REPORT_TRIAL)
			continue;
		n++;
		loss = fmax(loss, row->loss);
		p99 = fmax(p99, row->p99_us);
		least_loss = fmax(least_loss, row->least_loss);
		least_p99 = fmax(least_p99, row->least_p99_us);
	}
	if (a->max_loss >= 0)
		check(r, "max-loss", a->max_loss, n > 0 ? loss : NAN, n > 0 && loss <= a->max_loss,
			r->cut && least_loss <= a->max_loss);
	if (a->max_p99_us > 0)
		check(r, "max-p99", a->max_p99_us, n > 0 ? p99 : NAN,
			n > 0 && p99 > 0 && p99 <= a->max_p99_us,
			r->cut && least_p99 <= a->max_p99_us);
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

void report_row_text(const struct report_row *row, FILE *out)
{
	const struct trial_result *r = &row->r;
	uint64_t own = r->unsent - r->held + r->missed;
	uint64_t lost = r->intended > r->received + own ? r->intended - r->received - own : 0;
	double pct = r->intended > 0 ? 100.0 / (double)r->intended : 0;
	char rate[24];

	fprintf(out, "  %14s %6.2f s  sent %-10llu lost %-9llu %9.5f %%", rate_text(r->pps, rate),
		r->duration_s, (unsigned long long)r->sent, (unsigned long long)lost,
		(double)lost * pct);
	if (r->unsent > r->held)
		fprintf(out, "  unsent %llu %.5f %%", (unsigned long long)(r->unsent - r->held),
			(double)(r->unsent - r->held) * pct);
	if (r->held > 0)
		fprintf(out, "  held %llu", (unsigned long long)r->held);
	if (r->retransmitted > 0)
		fprintf(out, "  again %llu", (unsigned long long)r->retransmitted);
	if (r->missed > 0)
		fprintf(out, "  missed %llu", (unsigned long long)r->missed);
	if (r->late > 0)
		fprintf(out, "  late %llu", (unsigned long long)r->late);
	if (r->cut)
		fputs("  cut short", out);
	fputc('\n', out);
	fflush(out);
}

static const char *state_text(const struct search_bound *b)
{
	switch (b->state) {
	case SEARCH_FOUND:
		return b->limited ? "limited by the generator, not by the node"
				  : "limited by the node";
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
	fprintf(out, "%s  %14s  %8.3f Gbit/s  %s\n", name, rate,
		b->forwarded_pps * r->frame_len * 8 / 1e9, state_text(b));
}

static void latency_text(const struct report *r, FILE *out)
{
	bool head = false;

	for (unsigned i = 0; i < r->n_rows; i++) {
		const struct report_row *row = &r->row[i];
		char rate[24], what[32] = "rate";

		if (row->kind == REPORT_TRIAL)
			continue;
		if (!head)
			fprintf(out, "\n%-12s %14s %10s %9s %9s %9s %9s %9s %8s %8s\n", "run",
				"rate", "loss", "p50 us", "p90 us", "p99 us", "p99.9 us", "max us",
				"dup", "reorder");
		head = true;
		if (row->kind == REPORT_LATENCY)
			snprintf(what, sizeof(what), "%u %% of NDR", row->share_pct);
		fprintf(out, "%-12s %14s %9.5f%%", what,
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
	fprintf(out, "--%s %s: %s, %s\n", c->name, limit, value,
		c->open  ? "no verdict"
		: c->met ? "met"
			 : "MISSED");
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

// What the columns say that not every trial has.
static void words_text(const struct report *r, FILE *out)
{
	uint64_t unsent = 0, late = 0, missed = 0;

	for (unsigned i = 0; i < r->n_rows; i++) {
		unsent += r->row[i].r.unsent - r->row[i].r.held;
		late += r->row[i].r.late;
		missed += r->row[i].r.missed;
	}
	if (unsent + late + missed > 0)
		fputc('\n', out);
	if (unsent > 0)
		fputs("unsent: the generator had no time for them; a trial counts them as loss\n",
			out);
	if (missed > 0)
		fputs("missed: they came back, and the bench was too slow to take them\n", out);
	if (late > 0)
		fprintf(out, "late: left more than %d us after they were due; this is latency\n",
			TRIAL_LATE_NS / 1000);
}

static bool is_limited(const struct report *r)
{
	for (unsigned i = 0; i < r->n_rows; i++)
		if (r->row[i].kind != REPORT_TRIAL && trial_is_limited(&r->row[i].r))
			return true;
	return r->has_search && (r->ndr.limited || r->pdr.limited);
}

void report_text(const struct report *r, FILE *out)
{
	char rate[24];

	if (r->has_search) {
		fprintf(out, "\n      packets without loss, of %.0f bytes in frames of %.0f:\n",
			r->payload_len, r->frame_len);
		bound_text(r, "NDR", &r->ndr, out);
		bound_text(r, "PDR", &r->pdr, out);
	}
	latency_text(r, out);
	words_text(r, out);
	if (is_limited(r))
		fputs("the generator is the limit, not the node: give the bench a processor of\n"
		      "its own, or use --prepare\n",
			out);
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
