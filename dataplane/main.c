// skyrail-dataplane: reads the configuration, starts EAL, opens ports, makes the tables, hands the
// lcores out, runs the main lcore's loop, and takes everything down again in reverse order. All
// that can fail fails here, before the first worker runs, with one line that names what to mend.

#include "dataplane/ctl/ctl.h"
#include "dataplane/dp_caps.h"
#include "dataplane/dp_conf.h"
#include "dataplane/dp_crypto.h"
#include "dataplane/dp_eal.h"
#include "dataplane/hop/hop_table.h"
#include "dataplane/io/encap.h"
#include "dataplane/io/port.h"
#include "dataplane/io/udp_claim.h"
#include "dataplane/rule/rule_table.h"
#include "dataplane/worker/worker.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/shm/region.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_version.h>

#include <fcntl.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

LOG_MODULE("main");

enum { REL_POOL_PCT = 60 };

struct args {
	const char *conf_path; // NULL: default
	const char *ports[DPMSG_MAX_PORTS];
	unsigned n_ports;
	char **eal; // user's own, before "--"
	int n_eal;
	bool print, check;
};

struct app {
	struct dp_conf conf;
	struct region_conf region_conf;
	struct region region;
	struct port_set *ports;
	struct reclaim *reclaim;
	struct rule_table rules;
	struct adj_table *adjs;
	struct hop_table *hops;
	struct worker_set *workers;
	struct ctl *ctl;
	struct udp_claim claim;
	struct aead_choice aead;
	uid_t control_uid;
	gid_t control_gid;
	unsigned n_workers;
	unsigned lcores[DPMSG_MAX_WORKERS];
	int sockets[DPMSG_MAX_WORKERS];
	int listen_fd;
	bool eal_up;
	bool listening; // the socket's file is ours to remove
};

static _Atomic bool stop;

static void on_signal(int sig)
{
	atomic_store_explicit(&stop, true, memory_order_relaxed);
}

// ---- arguments ----

static void usage(FILE *out)
{
	fprintf(out,
		"usage: skyrail-dataplane [EAL arguments --] [options]\n"
		"\n"
		"  -c, --config FILE   configuration (default " SKYRAIL_SYSCONFDIR
		"/dataplane.ini)\n"
		"  -p NAME=DEVICE      a port, beside those of the configuration, or another device\n"
		"                      for one of them; DEVICE is a PCI address or a vdev such as\n"
		"                      net_af_packet0,iface=eth1\n"
		"      --check-config  check the configuration and exit\n"
		"      --print-config  print every key with value, default and origin, and exit\n"
		"  -V, --version       print versions and exit\n"
		"  -h, --help          this text\n");
}

static void version(void)
{
	struct aead_choice c;
	char text[256];

	printf("skyrail-dataplane %s\n%s\n", SKYRAIL_VERSION, rte_version());
	if (dp_crypto_choose(&c, DP_BACKEND_AUTO) == 0) {
		dp_crypto_text(&c, text, sizeof(text));
		printf("ciphers: %s\n", text);
	}
	printf("skywire: route packets of the 2024 and 2026 generations, rail 1\n");
}

static int arg_error(const char *text, const char *arg)
{
	fprintf(stderr, "skyrail-dataplane: %s%s; see --help\n", text, arg);
	return 2;
}

// -1: go on; else the exit code.
static int option_parse(struct args *a, int argc, char **argv, int *i)
{
	const char *arg = argv[*i];

	if (strcmp(arg, "-h") == 0 || strcmp(arg, "--help") == 0) {
		usage(stdout);
		return 0;
	}
	if (strcmp(arg, "-V") == 0 || strcmp(arg, "--version") == 0) {
		version();
		return 0;
	}
	if (strcmp(arg, "--check-config") == 0) {
		a->check = true;
	} else if (strcmp(arg, "--print-config") == 0) {
		a->print = true;
	} else if (strcmp(arg, "-c") == 0 || strcmp(arg, "--config") == 0) {
		if (++*i >= argc)
			return arg_error("no file after ", arg);
		a->conf_path = argv[*i];
	} else if (strcmp(arg, "-p") == 0) {
		if (++*i >= argc || a->n_ports == ARRAY_LEN(a->ports))
			return arg_error(*i >= argc ? "no port after " : "too many ports: ", arg);
		a->ports[a->n_ports++] = argv[*i];
	} else {
		return arg_error("unknown argument: ", arg);
	}
	return -1;
}

static int args_parse(struct args *a, int argc, char **argv)
{
	int first = 1, rc = -1;

	memset(a, 0, sizeof(*a));
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			a->eal = argv + 1;
			a->n_eal = i - 1;
			first = i + 1;
			break;
		}
	}
	for (int i = first; i < argc && rc < 0; i++)
		rc = option_parse(a, argc, argv, &i);
	return rc;
}

// ---- configuration ----

static int control_user_find(struct app *app, char err[CONF_ERR_MAX])
{
	const char *name = app->conf.v->control_user;
	struct passwd *pw;

	app->control_uid = (uid_t)-1;
	app->control_gid = (gid_t)-1;
	if (name[0] == '\0')
		return 0;
	pw = getpwnam(name);
	if (pw == NULL)
		return conf_mistake(app->conf.file, err, "node", "", "control_user",
			"control_user = %s: no such user: make it (for the user of the package, "
			"systemd-sysusers), or leave this empty",
			name);
	app->control_uid = pw->pw_uid;
	app->control_gid = pw->pw_gid;
	return 0;
}

// All that is wrong with a file that could be read, at once.
static int conf_check(struct app *app, const struct args *a, char err[CONF_ERR_MAX])
{
	char warn[CONF_ERR_MAX] = "";
	int rc = dp_conf_check(&app->conf, err);

	if (!a->print && control_user_find(app, err) < 0)
		rc = -EINVAL;
	if (a->check && dp_conf_check_machine(&app->conf, err, warn) < 0)
		rc = -EINVAL;
	for (char *save, *l = strtok_r(warn, "\n", &save); l != NULL;
		l = strtok_r(NULL, "\n", &save))
		log_warn("%s", l);
	return rc;
}

// 0, 1 or 2 as the exit code, or -1: go on.
static int conf_open(struct app *app, const struct args *a)
{
	const char *path =
		a->conf_path != NULL ? a->conf_path : SKYRAIL_SYSCONFDIR "/dataplane.ini";
	char err[CONF_ERR_MAX] = "";
	int rc = dp_conf_load(&app->conf, path, err);

	for (unsigned i = 0; i < a->n_ports; i++)
		if (strchr(a->ports[i], '=') == NULL)
			return arg_error("-p takes NAME=DEVICE, not ", a->ports[i]);
	if (rc == 0 && a->conf_path != NULL && conf_is_missing(app->conf.file)) {
		snprintf(err, sizeof(err), "%s: no such file", path);
		rc = -ENOENT;
	}
	for (unsigned i = 0; i < a->n_ports && app->conf.file != NULL; i++)
		if (dp_conf_port_arg(&app->conf, a->ports[i], err) < 0)
			rc = -EINVAL;
	if (app->conf.file != NULL && rc != -ENOENT && conf_check(app, a, err) < 0)
		rc = -EINVAL;
	if (app->conf.file != NULL && rc != -ENOENT && app->conf.n_ports == 0)
		log_notice("no [port NAME] in %s and no -p NAME=DEVICE: transports by TCP and dmsg "
			   "alone, no rails",
			path);
	if (rc < 0) {
		log_lines(LOG_ERR, err);
		return 1;
	}
	log_level_set("all", app->conf.v->log_level);
	if (conf_is_missing(app->conf.file) && !a->check)
		log_notice("%s: not there, defaults are used", path);
	return -1;
}

// ---- EAL ----

static int lcores_find(struct app *app)
{
	unsigned lcore;

	RTE_LCORE_FOREACH_WORKER (lcore) {
		if (app->n_workers == DPMSG_MAX_WORKERS) {
			log_err("more than %u worker lcores", DPMSG_MAX_WORKERS);
			return -E2BIG;
		}
		app->lcores[app->n_workers] = lcore;
		// on a machine with one node, "any" lets the pool come from wherever there is room
		app->sockets[app->n_workers++] =
			rte_socket_count() > 1 ? (int)rte_lcore_to_socket_id(lcore) : SOCKET_ID_ANY;
	}
	if (app->n_workers == 0) {
		log_err("no worker lcore: `cores` must name the main lcore and a worker (0@0,1@1)");
		return -EINVAL;
	}
	return 0;
}

// EAL answers a wrong argument with pages of its options on stdout, which hide its one line.
static int eal_init_quiet(struct dp_eal_args *eal)
{
	int out, null, rc;

	fflush(stdout);
	out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (out >= 0 && null >= 0)
		dup2(null, STDOUT_FILENO);
	rc = rte_eal_init(eal->argc, eal->argv);
	if (out >= 0 && null >= 0) {
		fflush(stdout);
		dup2(out, STDOUT_FILENO);
	}
	if (null >= 0)
		close(null);
	if (out >= 0)
		close(out);
	return rc;
}

static int eal_open(struct app *app, const struct args *a)
{
	static struct dp_eal_args eal; // EAL keeps pointers into it
	static struct dp_eal_env env;
	char err[CONF_ERR_MAX];
	int rc;

	dp_eal_env_read(&env);
	env.need_len = dp_eal_need(&app->conf, false);
	env.need_small_len = dp_eal_need(&app->conf, true);
	rc = dp_eal_build(&eal, &app->conf, a->n_eal, a->eal, &env, err);
	if (rc < 0) {
		log_err("%s", err);
		return rc;
	}
	if (eal.fell_back)
		log_notice("hugepages: %llu MB free, %llu MB wanted: doing without them",
			(unsigned long long)env.huge_free_len >> 20,
			(unsigned long long)eal.huge_mb);
	for (int i = 1; i < eal.argc; i++)
		log_debug("eal: %s", eal.argv[i]);
	dp_eal_tidy_at_exit();
	if (eal_init_quiet(&eal) < 0) {
		// EAL's own line on stderr says more; these are what it usually means
		log_err("EAL does not start: %s",
			rte_errno == EINVAL   ? "an argument that it does not take"
			: rte_errno != ENOMEM ? rte_strerror(rte_errno)
			: eal.no_huge         ? "too little memory"
				      : "too few free hugepages: free some, or hugepages = no");
		return -EIO;
	}
	app->eal_up = true;
	return lcores_find(app);
}

// ---- tables and ports ----

// Before the ports open: from then on, the kernel sees frames for our UDP port and must not answer.
static int port_claim(struct app *app)
{
	bool kernel_sees = false;
	int rc;

	for (unsigned i = 0; i < app->conf.n_ports; i++) {
		app->conf.ports[i].udp_port = (uint16_t)app->conf.v->udp_port;
		app->conf.ports[i].udp_ports = (uint16_t)app->conf.v->udp_ports;
		kernel_sees = kernel_sees || port_kernel_sees(&app->conf.ports[i]);
	}
	rc = kernel_sees
		     ? udp_claim_open(&app->claim, app->conf.v->udp_port, app->conf.v->udp_ports)
		     : 0;
	if (rc < 0)
		log_err("udp port %u: %s%s", app->claim.failed, strerror(-rc),
			rc == -EADDRINUSE
				? ": another program has it; set udp_port, or fewer udp_ports"
				: "");
	return rc;
}

static int ports_open(struct app *app)
{
	char err[PORT_ERR_MAX] = "";
	int rc;

	app->ports = port_set_open(
		app->conf.ports, app->conf.n_ports, app->n_workers, app->sockets, err);
	if (app->ports == NULL) {
		rc = -errno;
		log_err("%s", err);
		return rc;
	}
	for (unsigned i = 0; i < port_set_n(app->ports); i++) {
		struct evt_port e;

		port_show(app->ports, i, &e);
		log_notice("port=%s device=%s mtu=%u rx_queues=%u tx_queues=%u link=%s%s%s", e.name,
			e.device, e.mtu, e.n_rxq, e.n_txq, e.link_up ? "up" : "down",
			e.lacks[0] != '\0' ? " does without: " : "", e.lacks);
	}
	return 0;
}

static int fail_memory(const char *what, int err)
{
	log_err("no memory for %s: %s; make the table smaller or `memory` greater", what,
		strerror(-err));
	return err;
}

static int tables_open(struct app *app)
{
	const struct dp_values *v = app->conf.v;
	int rc;

	app->reclaim = reclaim_new(app->n_workers);
	if (app->reclaim == NULL)
		return fail_memory("grace periods", -errno);
	rc = rule_table_init(&app->rules, app->conf.rule_bits, app->sockets[0], app->reclaim);
	if (rc < 0)
		return fail_memory("the rule table", rc);
	app->adjs = adj_table_new(v->adjs, app->reclaim);
	if (app->adjs == NULL)
		return fail_memory("next hops", -errno);
	return 0;
}

static int region_open(struct app *app)
{
	const struct dp_values *v = app->conf.v;
	uint64_t epoch;
	int rc;

	app->region_conf = (struct region_conf){.n_workers = app->n_workers,
		.n_ports = port_set_n(app->ports),
		.hop_max = v->hops,
		.rule_bits = app->conf.rule_bits,
		.rx_index_bits = app->conf.rx_index_bits,
		.adj_max = v->adjs,
		.udp_port = v->udp_port,
		.udp_ports = v->udp_ports};
	dp_crypto_tell(&app->aead, &app->region_conf);
	if (getrandom(&epoch, sizeof(epoch), 0) != sizeof(epoch))
		return fail_memory("randomness", -errno);
	rc = region_create(&app->region, &app->region_conf, epoch);
	return rc < 0 ? fail_memory("shared memory", rc) : 0;
}

// What one worker may keep for reliable transports: 60 % of the pool, shared by those who use it
// (rail 4). Descriptors, hand-off rings and bursts under way have the rest.
static uint32_t rel_bufs(const struct app *app)
{
	uint32_t least = UINT32_MAX;

	for (unsigned i = 0; i < app->n_workers; i++) {
		const struct rte_mempool *pool = port_set_pool(app->ports, app->sockets[i]);
		unsigned users = 0;

		for (unsigned k = 0; k < app->n_workers; k++)
			users += port_set_pool(app->ports, app->sockets[k]) == pool;
		least = RTE_MIN(least, pool->size / 100 * REL_POOL_PCT / users);
	}
	return least;
}

static int ciphers_choose(struct app *app)
{
	char text[256];
	int rc = dp_crypto_choose(&app->aead, (enum dp_backend)app->conf.v->crypto);

	if (rc == -ENOENT)
		log_err("[crypto] backend: that library is not in this build, or does not work on "
			"this machine; set it to auto");
	if (rc < 0)
		return rc == -ENOENT ? rc : fail_memory("ciphers", rc);
	dp_crypto_text(&app->aead, text, sizeof(text));
	log_notice("ciphers, for 1400 bytes: %s", text);
	return 0;
}

static int workers_open(struct app *app)
{
	const struct hop_table_conf hops = {.hop_max = app->conf.v->hops,
		.rx_index_bits = (uint8_t)app->conf.rx_index_bits,
		.n_workers = (uint16_t)app->n_workers,
		.socket = app->sockets,
		.stats = app->region.stats,
		.aead = &app->aead,
		.rel_bufs = rel_bufs(app),
		.rules = &app->rules};
	struct worker_conf conf = {.n_workers = app->n_workers,
		.udp_ports = {app->conf.v->udp_port, (uint16_t)app->conf.v->udp_ports},
		.idle = (enum idle_mode)app->conf.v->idle,
		.rules = &app->rules,
		.adjs = app->adjs,
		.reclaim = app->reclaim,
		.region = &app->region,
		.socket = app->sockets};

	app->hops = hop_table_new(&hops);
	if (app->hops == NULL)
		return fail_memory("hops", -errno);
	log_notice(
		"reliable transports: each worker keeps %u packets at most (%u %% of its buffers); "
		"up to %zu MB beside them, as they are used",
		hops.rel_bufs, REL_POOL_PCT, hop_table_rel_bytes(app->hops) >> 20);
	conf.hops = app->hops;
	app->workers = worker_set_new(&conf);
	if (app->workers == NULL)
		return fail_memory("workers", -errno);
	if (dp_crypto_check(&app->aead, app->workers) != 0) {
		log_err("the cipher library fails its own test in a worker");
		return -EIO;
	}
	for (unsigned i = 0; i < app->n_workers; i++)
		port_set_bind(app->ports, worker_ctx(app->workers, i));
	return 0;
}

// ---- the control plane's door ----

// Before EAL starts: this is where a second data plane finds the first one. Who connects meanwhile
// waits until the loop runs.
static int door_open(struct app *app)
{
	char path[128];
	int rc = dp_conf_socket_path(&app->conf, path, sizeof(path));

	if (rc == 0 && mkdir(app->conf.v->run_dir, 0755) < 0 && errno != EEXIST) {
		rc = -errno;
		log_err("[node] run_dir = %s: can't be made: %s", app->conf.v->run_dir,
			strerror(-rc));
		return rc;
	}
	if (rc == 0)
		rc = app->listen_fd = region_listen(path);
	if (rc < 0) {
		log_err("%s: %s", path,
			rc == -EADDRINUSE
				? "a data plane serves it already: stop it, or set another [node] run_dir"
				: strerror(-rc));
		return rc;
	}
	app->listening = true;
	if (app->control_gid != (gid_t)-1 && lchown(path, (uid_t)-1, app->control_gid) < 0)
		log_warn("%s: can't give it to the group of %s: %s", path,
			app->conf.v->control_user, strerror(errno));
	return 0;
}

static int ctl_open(struct app *app)
{
	const struct ctl_conf conf = {.region = &app->region,
		.region_conf = &app->region_conf,
		.rules = &app->rules,
		.reclaim = app->reclaim,
		.adjs = app->adjs,
		.hops = app->hops,
		.ports = app->ports,
		.workers = app->workers,
		.lcores = app->lcores,
		.aead = &app->aead,
		.listen_fd = app->listen_fd,
		.control_uid = app->control_uid};

	app->ctl = ctl_new(&conf);
	return app->ctl == NULL ? fail_memory("the main loop", -errno) : 0;
}

// Memory that is taken later has to be looked up where devices want its physical address.
static uint64_t memory_caps(void)
{
	return rte_eal_iova_mode() == RTE_IOVA_PA && rte_eal_has_hugepages() ? 1ull << CAP_SYS_ADMIN
									     : 0;
}

// From here on nothing is opened that takes more. A socket in a directory of somebody else stays
// there when we end; the next one takes its place.
static int caps_drop(struct app *app)
{
	uint64_t keep = port_set_caps(app->ports) | memory_caps();
	char names[DP_CAPS_TEXT_MAX];
	int rc = dp_caps_keep(keep);

	if (rc < 0)
		log_err("a thread keeps its capabilities: %s", strerror(-rc));
	else
		log_info("capabilities kept=%s", dp_caps_names(keep, names));
	return rc;
}

static int launch(struct app *app)
{
	for (unsigned i = 0; i < app->n_workers; i++) {
		int rc = worker_launch(app->workers, i, app->lcores[i]);

		if (rc < 0) {
			log_err("worker %u does not start on lcore %u: %s", i, app->lcores[i],
				strerror(-rc));
			return rc;
		}
	}
	return 0;
}

// ---- start and stop ----

static int app_open(struct app *app, const struct args *a)
{
	int rc = door_open(app);

	if (rc == 0)
		rc = eal_open(app, a);
	if (rc == 0)
		rc = port_claim(app);
	if (rc == 0)
		rc = ports_open(app);
	if (rc == 0)
		rc = tables_open(app);
	if (rc == 0)
		rc = ciphers_choose(app);
	if (rc == 0)
		rc = region_open(app);
	if (rc == 0)
		rc = workers_open(app);
	if (rc == 0)
		rc = ctl_open(app);
	if (rc == 0)
		rc = caps_drop(app);
	if (rc == 0)
		rc = launch(app);
	return rc;
}

static void app_close(struct app *app)
{
	char path[128];

	if (app->listening && dp_conf_socket_path(&app->conf, path, sizeof(path)) == 0)
		unlink(path);
	if (app->listen_fd >= 0)
		close(app->listen_fd);
	if (app->workers != NULL)
		worker_stop(app->workers);
	if (app->ctl != NULL)
		ctl_free(app->ctl);
	if (app->workers != NULL)
		worker_set_free(app->workers);
	if (app->hops != NULL)
		hop_table_free(app->hops);
	if (app->adjs != NULL)
		adj_table_free(app->adjs);
	if (app->rules.slots != NULL)
		rule_table_fini(&app->rules);
	if (app->reclaim != NULL)
		reclaim_free(app->reclaim);
	region_close(&app->region);
	if (app->ports != NULL)
		port_set_close(app->ports);
	udp_claim_close(&app->claim);
	if (app->eal_up)
		rte_eal_cleanup();
	dp_conf_free(&app->conf);
}

static void signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	// nothing we run may gain what we drop
	prctl(PR_SET_DUMPABLE, 0UL); // session keys are in our memory
	prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL);
}

int main(int argc, char **argv)
{
	static struct app app = {.listen_fd = -1,
		.region = {
			.rings_fd = -1, .stats_fd = -1, .bell_cp = -1, .bell_dp = -1, .sock = -1}};
	struct args args;
	int rc = args_parse(&args, argc, argv);

	if (rc >= 0)
		return rc;
	rc = conf_open(&app, &args);
	if (rc >= 0) {
		dp_conf_free(&app.conf);
		return rc;
	}
	if (args.print || args.check) {
		if (args.print)
			dp_conf_print(&app.conf, stdout);
		else
			printf("%s: %s (data plane)\n", conf_path(app.conf.file),
				conf_is_missing(app.conf.file) ? "not there, defaults are used"
							       : "good");
		dp_conf_free(&app.conf);
		return 0;
	}
	signals();
	rc = app_open(&app, &args);
	if (rc == 0) {
		log_notice("forwarding: workers=%u rules=%u udp_port=%u udp_ports=%u",
			app.n_workers, 1u << app.conf.rule_bits, app.conf.v->udp_port,
			app.conf.v->udp_ports);
		ctl_run(app.ctl, &stop);
		log_notice("stopping");
	}
	app_close(&app);
	return rc == 0 ? 0 : 1;
}
