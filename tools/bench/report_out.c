// The same results for programs: one JSON document, or one CSV line for each trial and bound.
// Rates are packets a second, times seconds or microseconds as the names say.

#include "tools/bench/report.h"

#include "lib/base/err.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <rte_version.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static const char *const state_name[] = {[SEARCH_RUNNING] = "unfinished",
	[SEARCH_FOUND] = "found",
	[SEARCH_AT_MAX] = "at_max_rate",
	[SEARCH_BELOW_MIN] = "below_min_rate",
	[SEARCH_GAVE_UP] = "unsteady"};

static double gbps(const struct report *r, double pps)
{
	return pps * r->frame_len * 8 / 1e9;
}

// ---- JSON ----

static json_t *machine(const struct report *r)
{
	char cpu[128] = "", line[256];
	struct utsname u = {0};
	FILE *f = fopen("/proc/cpuinfo", "re");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "model name%*[^:]: %127[^\n]", cpu) == 1)
			break;
	if (f != NULL)
		fclose(f);
	uname(&u);
	return json_pack("{s:s, s:i, s:s, s:s, s:b}", "cpu", cpu, "cores",
		(int)sysconf(_SC_NPROCESSORS_ONLN), "kernel", u.release, "dpdk", rte_version(),
		"hugepages", r->hugepages);
}

static json_t *setup(const struct report *r)
{
	static const char *const mode[] = {"memory", "loopback", "wire"};
	static const char *const search[] = {"mlr", "rfc2544", "none"};
	const struct args *a = r->args;
	json_t *sizes = json_array(), *ports = json_array();

	for (unsigned i = 0; i < a->n_sizes; i++)
		json_array_append_new(sizes, json_pack("{s:i, s:i}", "payload", (int)a->size[i].len,
						     "weight", (int)a->size[i].weight));
	for (unsigned i = 0; i < a->n_ports; i++)
		json_array_append_new(ports, json_string(a->port[i].device));
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:o, s:f, s:f, s:i, s:i, s:i, s:i, s:o, s:b, s:b, s:f}",
		"mode", mode[a->mode], "links", a->reliable ? "reliable" : "datagram", "search",
		search[a->search], "cipher", aead_cipher_name(a->cipher), "sizes", sizes,
		"mean_payload", r->payload_len, "mean_frame", r->frame_len, "workers",
		a->mode == ARGS_MEMORY ? (int)a->n_workers : 0, "rules",
		a->mode == ARGS_MEMORY ? (int)a->n_rules : 0, "transports", (int)a->n_transports,
		"routes", (int)a->n_routes, "ports", ports, "prepared", a->prepare, "counted_only",
		a->count_only, "duration_s", a->duration_s);
}

static void set_count(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, json_integer((json_int_t)v));
}

static json_t *row_json(const struct report *r, const struct report_row *row)
{
	const struct trial_result *t = &row->r;
	const struct trial_parts p = trial_parts(t);
	json_t *o = json_pack("{s:f, s:f, s:f, s:f, s:f, s:b, s:b}", "pps", t->pps, "duration_s",
		t->duration_s, "loss", row->loss, "rx_pps", t->rx_pps, "rx_gbps",
		gbps(r, t->rx_pps), "generator_limited", trial_is_limited(t), "cut_short", t->cut);

	set_count(o, "intended", t->intended);
	set_count(o, "sent", t->sent);
	set_count(o, "unsent", t->unsent);
	if (r->args->reliable) {
		set_count(o, "held", t->held);
		set_count(o, "retransmitted", t->retransmitted);
	}
	set_count(o, "refused", t->refused);
	set_count(o, "late", t->late);
	set_count(o, "missed", t->missed);
	set_count(o, "received", t->received);
	set_count(o, "lost", p.lost);
	json_object_set_new(
		o, "dropped", t->dropped_known ? json_integer((json_int_t)p.dropped) : json_null());
	set_count(o, "gone", p.gone);
	if (!t->opened)
		return o;
	set_count(o, "duplicates", t->duplicates);
	set_count(o, "reordered", t->reordered);
	set_count(o, "strange", t->strange);
	set_count(o, "routes_lossy", t->flows_lossy);
	json_object_set_new(o, "latency_us",
		json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "min", row->min_us, "mean",
			row->mean_us, "p50", row->p50_us, "p90", row->p90_us, "p99", row->p99_us,
			"p99.9", row->p999_us, "max", row->max_us));
	return o;
}

static json_t *bound_json(const struct report *r, const struct search_bound *b)
{
	json_t *o = json_pack("{s:s, s:f, s:f, s:b}", "state", state_name[b->state], "pps",
		b->forwarded_pps, "gbps", gbps(r, b->forwarded_pps), "generator_limited",
		b->limited);

	set_count(o, "lower_pps", b->lower_pps);
	set_count(o, "upper_pps", b->upper_pps);
	return o;
}

static json_t *checks_json(const struct report *r)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < r->n_checks; i++) {
		const struct report_check *c = &r->check[i];

		json_array_append_new(
			a, json_pack("{s:s, s:f, s:o, s:o}", "name", c->name, "limit", c->limit,
				   "value", isnan(c->value) ? json_null() : json_real(c->value),
				   "met", c->open ? json_null() : json_boolean(c->met)));
	}
	return a;
}

int report_json(const struct report *r, FILE *out)
{
	json_t *o = json_pack("{s:s, s:s, s:I, s:o, s:o}", "program", "skyrail-bench", "version",
		SKYRAIL_VERSION, "time", (json_int_t)time(NULL), "machine", machine(r), "setup",
		setup(r));
	json_t *trials = json_array(), *latency = json_array(), *drops = json_object();
	bool ok = true;
	int rc;

	for (unsigned i = 0; i < r->n_rows; i++) {
		json_t *row = row_json(r, &r->row[i]);

		if (r->row[i].kind == REPORT_LATENCY)
			json_object_set_new(row, "share_pct", json_integer(r->row[i].share_pct));
		if (r->row[i].kind == REPORT_RATE)
			json_object_set_new(o, "run", row);
		else
			json_array_append_new(
				r->row[i].kind == REPORT_TRIAL ? trials : latency, row);
	}
	if (r->has_search) {
		json_object_set_new(o, "ndr", bound_json(r, &r->ndr));
		json_object_set_new(o, "pdr", bound_json(r, &r->pdr));
	}
	for (unsigned i = 0; i < r->n_drops; i++)
		set_count(drops, r->drop[i].name, r->drop[i].n);
	for (unsigned i = 0; i < r->n_checks; i++)
		ok = ok && r->check[i].met;
	set_count(o, "keys", r->n_keys);
	json_object_set_new(o, "latency", latency);
	json_object_set_new(o, "trials", trials);
	json_object_set_new(o, "node_drops", drops);
	json_object_set_new(o, "thresholds", checks_json(r));
	json_object_set_new(o, "complete", json_boolean(!r->cut));
	json_object_set_new(o, "ok", json_boolean(ok));
	rc = json_dumpf(o, out, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
	fputc('\n', out);
	json_decref(o);
	return rc == 0 && fflush(out) == 0 ? 0 : -EIO;
}

// ---- CSV ----

static void row_csv(const struct report *r, const struct report_row *row, FILE *out)
{
	const struct trial_result *t = &row->r;
	const struct trial_parts p = trial_parts(t);
	char kind[32] = "trial";

	if (row->kind == REPORT_RATE)
		snprintf(kind, sizeof(kind), "rate");
	else if (row->kind == REPORT_LATENCY)
		snprintf(kind, sizeof(kind), "latency_%u", row->share_pct);
	fprintf(out, "%s,%.6g,%.6g,%llu,%llu,%llu,%.9g,%llu,%llu,%llu,%llu,%.6g,%.6g", kind, t->pps,
		t->duration_s, (unsigned long long)t->sent, (unsigned long long)t->received,
		(unsigned long long)p.lost, row->loss, (unsigned long long)t->unsent,
		(unsigned long long)t->missed, (unsigned long long)t->late,
		(unsigned long long)t->refused, t->rx_pps, gbps(r, t->rx_pps));
	if (t->opened)
		fprintf(out, ",%llu,%llu,%.3f,%.3f,%.3f,%.3f,%.3f,%llu,%llu",
			(unsigned long long)t->duplicates, (unsigned long long)t->reordered,
			row->p50_us, row->p90_us, row->p99_us, row->p999_us, row->max_us,
			(unsigned long long)t->held, (unsigned long long)t->retransmitted);
	else
		fputs(",,,,,,,,,", out);
	if (t->dropped_known)
		fprintf(out, ",%llu,%llu,%d\n", (unsigned long long)p.dropped,
			(unsigned long long)p.gone, t->cut);
	else
		fprintf(out, ",,%llu,%d\n", (unsigned long long)p.gone, t->cut);
}

static void bound_csv(
	const struct report *r, const char *name, const struct search_bound *b, FILE *out)
{
	fprintf(out, "%s,%llu,,,,,,,,,,%.6g,%.6g,,,,,,,,,,,,\n", name,
		(unsigned long long)b->lower_pps, b->forwarded_pps, gbps(r, b->forwarded_pps));
}

int report_csv(const struct report *r, FILE *out)
{
	fputs("kind,pps,duration_s,sent,received,lost,loss,unsent,missed,late,refused,rx_pps,rx_gbps,"
	      "duplicates,reordered,p50_us,p90_us,p99_us,p99.9_us,max_us,held,retransmitted,dropped,gone,"
	      "cut_short\n",
		out);
	for (unsigned i = 0; i < r->n_rows; i++)
		row_csv(r, &r->row[i], out);
	if (r->has_search) {
		bound_csv(r, "ndr", &r->ndr, out);
		bound_csv(r, "pdr", &r->pdr, out);
	}
	return fflush(out) == 0 && !ferror(out) ? 0 : -EIO;
}
