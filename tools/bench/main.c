// skyrail-bench: makes or finds the node under test, searches its rates or runs one, reports.
// Everything happens on the main lcore; workers of a node in memory have lcores of their own.

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "tools/bench/args.h"
#include "tools/bench/eal.h"
#include "tools/bench/memory.h"
#include "tools/bench/node_api.h"
#include "tools/bench/report.h"
#include "tools/bench/search.h"
#include "tools/bench/stale.h"
#include "tools/bench/trial.h"
#include "tools/bench/wire.h"
#include "tools/bench/wire_key.h"

#include <rte_eal.h>
#include <rte_version.h>

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_OK = 0, EXIT_MISSED = 1, EXIT_USAGE = 2, EXIT_CUT = 3, NDR = 0, PDR = 1 };

struct bench {
	struct args args;
	struct key_sk sk;
	struct traffic traffic;
	struct trial trial;
	struct hist latency;
	bool eal_up;
	struct memory *memory;
	struct wire *wire;
	struct node_api *api;
	struct report report;
	struct search search;
	struct trial_result result; // of the last trial
	struct drops drops; // of the node, before all trials
	bool has_drops;
	FILE *table; // where people look; NULL: quiet
	FILE *json, *csv; // where programs look; NULL: they don't
};

static _Atomic bool stop;

static void on_signal(int sig)
{
	atomic_store_explicit(&stop, true, memory_order_relaxed);
}

static bool stopped(void)
{
	return atomic_load_explicit(&stop, memory_order_relaxed);
}

static int failed(const char *why)
{
	fprintf(stderr, "skyrail-bench: %s\n", why);
	return -EIO;
}

// ---- the device under test ----

static int show_keys(struct bench *b)
{
	for (unsigned i = 0; i < b->args.n_transports; i++) {
		char text[KEY_PK_TEXT_LEN + 1];
		struct key_sk sk;
		struct key_pk pk;

		wire_key_of(&b->sk, i, &sk, &pk);
		key_wipe(&sk, sizeof(sk));
		key_pk_to_text(&pk, text);
		printf("%s\n", text);
	}
	return 0;
}

// The generator needs a processor of its own, and so does each worker.
static void warn_crowded(const struct args *a)
{
	unsigned wanted = 1 + (a->mode == ARGS_MEMORY ? a->n_workers : 0);
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0 && (unsigned)CPU_COUNT(&set) < wanted)
		fprintf(stderr,
			"skyrail-bench: generator and workers (-w %u) share %d processors: what "
			"is measured is how they do\n",
			a->n_workers, CPU_COUNT(&set));
}

// Beside our own runtime directory, those of benches that were killed.
static void tidy(void)
{
	char dir[PATH_MAX];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", rte_eal_get_runtime_dir());
	slash = strrchr(dir, '/');
	if (slash == NULL || slash == dir)
		return;
	*slash = '\0';
	stale_dirs_remove(dir, "skyrail-" STALE_NAME);
}

static int eal_start(struct bench *b)
{
	const struct args *a = &b->args;
	struct port_ask asks[ARGS_PORTS_MAX];
	char err[EAL_ERR_MAX], name[32];
	struct eal_ask ask = {
		.name = name,
		.n_workers = a->mode == ARGS_MEMORY ? a->n_workers : 0,
		.cores = a->cores != NULL ? a->cores : "",
		.extra = a->eal != NULL ? a->eal : "",
		.hugepages = a->hugepages,
		.need_len = a->mode == ARGS_WIRE ? wire_need(a) : memory_need(a),
		.ports = asks,
		.n_ports = a->mode == ARGS_WIRE ? wire_port_asks(a, asks) : 0,
	};

	warn_crowded(a);
	snprintf(name, sizeof(name), STALE_NAME "%d", (int)getpid());
	if (eal_open(&ask, &b->report.hugepages, err) < 0)
		return failed(err);
	b->eal_up = true;
	tidy();
	return 0;
}

static int memory_start(struct bench *b)
{
	char err[MEMORY_ERR_MAX];

	b->memory = memory_open(&b->args, &b->traffic, trial_sink, &b->trial, err);
	if (b->memory == NULL)
		return failed(err);
	b->trial.peer = memory_peer(b->memory);
	b->trial.poll = memory_poll;
	b->trial.missed = memory_missed;
	b->trial.poll_ctx = b->memory;
	b->trial.drops = memory_drops;
	b->trial.drops_ctx = b->memory;
	b->trial.node_queue = b->args.mode == ARGS_MEMORY;
	return 0;
}

// Ids of a node that is configured already.
static void fixed_ids(struct bench *b)
{
	for (uint32_t i = 0; i < b->traffic.n_flows; i++) {
		b->traffic.flow[i].in_id = b->args.in_id + i;
		b->traffic.flow[i].out_id = b->args.out_id + i;
	}
}

static int api_transports(struct bench *b, struct key_pk *node, char *err)
{
	struct key_pk *pk = calloc(b->args.n_transports, sizeof(*pk));
	int rc = pk == NULL ? -ENOMEM : 0;

	b->api = rc == 0 ? node_api_open(b->args.api, node, err) : NULL;
	if (b->api == NULL)
		rc = -ENOTCONN;
	for (unsigned i = 0; i < b->args.n_transports && rc == 0; i++) {
		struct key_sk sk;

		wire_key_of(&b->sk, i, &sk, &pk[i]);
		key_wipe(&sk, sizeof(sk));
	}
	if (rc == 0)
		rc = node_api_transports(b->api, &b->args, pk, err);
	free(pk);
	return rc;
}

static int wire_start(struct bench *b)
{
	char err[WIRE_ERR_MAX] = "";
	struct key_pk node = b->args.node_pk;
	int rc;

	b->wire = wire_open(&b->args, &b->sk, &b->traffic, trial_sink, &b->trial, &stop, err);
	if (b->wire == NULL)
		return failed(err);
	b->trial.peer = wire_peer(b->wire);
	b->trial.poll = wire_poll;
	b->trial.missed = wire_missed;
	b->trial.poll_ctx = b->wire;
	fixed_ids(b);
	rc = b->args.api != NULL ? api_transports(b, &node, err) : 0;
	if (b->api != NULL) {
		b->trial.drops = node_api_drops;
		b->trial.drops_ctx = b->api;
		b->trial.drops_lag_ns = NODE_API_LAG_MS * CLOCK_NS_PER_MS;
	}
	if (rc == 0)
		rc = wire_connect(b->wire, &node, err);
	if (rc == -ENOTCONN && b->api != NULL && wire_trouble(b->wire)[0] == '\0')
		node_api_ready(b->api, err); // which says what the node says
	if (rc == 0 && b->api != NULL) // a link is up here before the node knows of it
		rc = wire_wait(b->wire, node_api_ready, b->api, err);
	if (rc == 0 && b->api != NULL)
		rc = node_api_rules(b->api, &b->args, &b->traffic, err);
	return rc < 0 ? failed(err) : 0;
}

// ---- runs ----

static void note(struct bench *b, enum report_kind kind, unsigned share_pct)
{
	const struct report_row *row =
		report_add(&b->report, kind, share_pct, &b->result, &b->latency);

	if (row != NULL && b->table != NULL)
		report_row_text(row, b->table);
}

static int why_failed(struct bench *b, int rc)
{
	if (rc == -ENOTCONN)
		return failed(b->wire != NULL && wire_trouble(b->wire)[0] != '\0'
				      ? wire_trouble(b->wire)
				      : "a link went down");
	return failed(rc == -EINTR ? "interrupted" : strerror(-rc));
}

// A trial that ends early is worth its line, too.
static int run(
	struct bench *b, const struct trial_conf *c, enum report_kind kind, unsigned share_pct)
{
	int rc = trial_run(&b->trial, c, &b->result);

	if (b->result.sent > 0)
		note(b, kind, share_pct);
	return rc < 0 ? why_failed(b, rc) : 0;
}

static void say(struct bench *b, const char *what)
{
	if (b->table != NULL)
		fprintf(b->table, "%s\n", what);
}

static struct trial_conf conf_of(const struct bench *b, double pps, double duration_s)
{
	return (struct trial_conf){
		.pps = pps, .duration_s = duration_s, .drain_s = b->args.drain_s};
}

// Caches, branch predictors, clocks, and the node's rules pinned: a tenth of what comes.
static int warm_up(struct bench *b)
{
	const struct args *a = &b->args;
	double pps = traffic_pps(&b->traffic, a->rate.given ? &a->rate : &a->max_rate);
	struct trial_conf c = conf_of(b, pps > 0 ? pps / 10 : 100000, a->warm_up_s);

	int rc = a->warm_up_s > 0 ? trial_run(&b->trial, &c, &b->result) : 0;

	return rc < 0 ? why_failed(b, rc) : 0;
}

static int search_rates(struct bench *b)
{
	const struct args *a = &b->args;
	const bool rfc = a->search == ARGS_RFC2544;
	struct search_goal goal = {
		.exceed = rfc ? 0 : 0.5,
		.width = a->width,
		.initial_s = a->initial_s,
		.final_s = a->duration_s,
		.sum_s = a->duration_s * a->n_trials,
	};
	struct search_conf conf = {.min_pps = traffic_pps(&b->traffic, &a->min_rate),
		.max_pps = traffic_pps(&b->traffic, &a->max_rate),
		.goal = {goal, goal},
		.n_goals = 2};
	uint64_t pps;
	double duration_s;
	int rc = 0;

	if (conf.min_pps < 1)
		conf.min_pps = 1;
	if (conf.max_pps < conf.min_pps)
		return failed("--max-rate is below --min-rate");
	conf.goal[PDR].loss = a->pdr_loss;
	say(b, "search:");
	search_init(&b->search, &conf);
	while (rc == 0 && search_next(&b->search, &pps, &duration_s)) {
		struct trial_conf c = conf_of(b, (double)pps, duration_s);

		rc = run(b, &c, REPORT_TRIAL, 0);
		if (rc == 0)
			search_result(&b->search, b->result.intended, b->result.received,
				trial_is_limited(&b->result));
	}
	b->report.has_search = true;
	b->report.ndr = search_bound(&b->search, NDR);
	b->report.pdr = search_bound(&b->search, PDR);
	b->report.differs = search_differs(&b->search, &b->report.spread);
	return rc;
}

static int latencies(struct bench *b)
{
	const struct args *a = &b->args;
	int rc = 0;

	if (a->n_shares > 0 && b->report.ndr.lower_pps > 0)
		say(b, "latency:");
	for (unsigned i = 0; i < a->n_shares && rc == 0 && b->report.ndr.lower_pps > 0; i++) {
		double pps = (double)b->report.ndr.lower_pps * a->share[i] / 100;
		struct trial_conf c = conf_of(b, pps, a->duration_s);

		rc = run(b, &c, REPORT_LATENCY, a->share[i]);
	}
	return rc;
}

static int one_rate(struct bench *b)
{
	const struct args *a = &b->args;
	double pps = a->rate_is_max ? 0 : traffic_pps(&b->traffic, &a->rate);
	struct trial_conf c = conf_of(b, pps, a->duration_s);

	say(b, "run:");
	return run(b, &c, REPORT_RATE, 0);
}

// ---- the report ----

static int out_failed(const char *path, int err)
{
	fprintf(stderr, "skyrail-bench: %s: %s\n", path, strerror(err));
	return -err;
}

// Before anything is measured: what can't be written is told at once. path may be NULL.
static int out_open(const char *path, FILE **out)
{
	*out = path == NULL ? NULL : strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
	return path != NULL && *out == NULL ? out_failed(path, errno) : 0;
}

static int out_write(const char *path, FILE *f, int (*write)(const struct report *r, FILE *out),
	const struct report *r)
{
	int rc = f == NULL ? 0 : write(r, f);

	if (f != NULL && fclose(f) != 0 && rc == 0)
		rc = -errno;
	return rc < 0 ? out_failed(path, -rc) : 0;
}

// What was measured, also before it failed (rc) or somebody ended it; returns the exit status.
static int publish(struct bench *b, int rc)
{
	enum report_verdict verdict;
	struct drops drops;
	bool written;

	b->report.cut = rc < 0;
	verdict = report_judge(&b->report);
	if (b->wire != NULL)
		b->report.n_keys = wire_keys(b->wire);
	if (b->has_drops && b->trial.drops(b->trial.drops_ctx, &drops) == 0)
		drops_each(&drops, &b->drops, report_drop, &b->report);
	if (b->table != NULL && b->report.n_rows > 0)
		report_text(&b->report, b->table);
	else
		report_unmet_text(&b->report, "skyrail-bench: ", stderr);
	written = out_write(b->args.json, b->json, report_json, &b->report) == 0;
	written = out_write(b->args.csv, b->csv, report_csv, &b->report) == 0 && written;
	if (verdict == REPORT_MISSED || !written)
		return EXIT_MISSED;
	if (rc < 0)
		return stopped() ? EXIT_CUT : EXIT_MISSED;
	return EXIT_OK;
}

// ---- begin and end ----

static int measure(struct bench *b)
{
	int rc;

	b->has_drops = b->trial.drops != NULL && b->trial.drops(b->trial.drops_ctx, &b->drops) == 0;
	rc = warm_up(b);

	if (rc == 0 && b->args.rate.given)
		return one_rate(b);
	if (rc == 0)
		rc = search_rates(b);
	return rc == 0 ? latencies(b) : rc;
}

static int start(struct bench *b)
{
	const struct args *a = &b->args;
	bool ip6 = a->mode == ARGS_WIRE && a->port[0].self.ip[0] != 0;
	int rc;

	if (aead_backend_select(a->cipher) == NULL && a->cipher != AEAD_NONE)
		return failed("this build has no such cipher");
	if (traffic_init(&b->traffic, a, ip6) < 0 || report_init(&b->report, a) < 0)
		return failed("out of memory");
	b->report.frame_len = b->traffic.frame_len;
	b->report.payload_len = b->traffic.payload_len;
	b->trial.traffic = &b->traffic;
	b->trial.latency = &b->latency;
	b->trial.stop = &stop;
	b->trial.count_only = a->count_only || a->prepare;
	if (a->prepare && (b->trial.prepare = prepare_new()) == NULL)
		return failed("out of memory");
	rc = eal_start(b);
	if (rc < 0)
		return rc;
	rc = a->mode == ARGS_WIRE ? wire_start(b) : memory_start(b);
	if (rc == 0 && a->reliable && traffic_routes(&b->traffic, b->trial.peer) < 0)
		return failed("the links take no routes");
	return rc;
}

static void end(struct bench *b)
{
	wire_close(b->wire);
	node_api_close(b->api);
	memory_close(b->memory);
	prepare_free(b->trial.prepare);
	traffic_fini(&b->traffic);
	report_fini(&b->report);
	key_wipe(&b->sk, sizeof(b->sk));
	if (b->eal_up)
		rte_eal_cleanup();
}

static void signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

// Standard output is a program's when it gets JSON or CSV: the table goes beside it then.
static FILE *table_of(const struct args *a)
{
	bool taken = (a->json != NULL && strcmp(a->json, "-") == 0) ||
		     (a->csv != NULL && strcmp(a->csv, "-") == 0);

	return a->quiet ? NULL : taken ? stderr : stdout;
}

int main(int argc, char **argv)
{
	static struct bench b;
	char err[ARGS_ERR_MAX];
	int rc, status;

	if (args_parse(&b.args, argc, argv, err) < 0) {
		fprintf(stderr, "skyrail-bench: %s; see --help\n", err);
		return EXIT_USAGE;
	}
	if (b.args.show_help || b.args.show_version) {
		if (b.args.show_help)
			fputs(args_help(), stdout);
		else
			printf("skyrail-bench %s\n%s\n", SKYRAIL_VERSION, rte_version());
		return EXIT_OK;
	}
	rc = b.args.mode == ARGS_WIRE ? wire_key_load(b.args.key_file, &b.sk) : 0;
	if (rc < 0) {
		fprintf(stderr, "skyrail-bench: %s: %s\n", b.args.key_file, strerror(-rc));
		return EXIT_MISSED;
	}
	if (b.args.show_key)
		return show_keys(&b) == 0 ? EXIT_OK : EXIT_MISSED;
	if (out_open(b.args.json, &b.json) < 0 || out_open(b.args.csv, &b.csv) < 0)
		return EXIT_MISSED;
	signals();
	b.table = table_of(&b.args);
	rc = start(&b);
	status = rc == 0 ? publish(&b, measure(&b)) : stopped() ? EXIT_CUT : EXIT_MISSED;
	end(&b);
	return status;
}
