// Chooses lcores, memory and device lists for EAL. Whatever the user says in EAL's own words comes
// last and wins: what would contradict it is not generated.

#include "dataplane/dp_eal.h"

#include "dataplane/dp_cores.h"
#include "dataplane/rule/rule_table.h"
#include "lib/base/err.h"

#include <rte_eal.h>

#include <dirent.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	BASE_MB = 48, // rings, registries, alignment losses
	HOP_LEN = 36 << 10, // a hop with its keys, replay window and joining buffers, rounded up
	WORKER_LEN = 512 << 10, // a worker's command queue, notes and cipher context, ditto
	HANDOFF_LEN = 24 << 10, // a ring from one worker to another, with what gathers for it
	ADJ_LEN = 512,
};

// What `cores` names, if anything, beside the main lcore.
static unsigned n_workers(const struct dp_conf *c)
{
	char why[128];
	int n = c->v->cores[0] == '\0' ? 0 : dp_cores_parse(c->v->cores, NULL, why, sizeof(why));

	return n > 1 ? (unsigned)n - 1 : c->v->workers;
}

uint64_t dp_eal_need(const struct dp_conf *c, bool small_pages)
{
	unsigned mtu = PORT_MTU_DEFAULT, workers = n_workers(c);
	uint64_t need = (uint64_t)BASE_MB << 20;

	for (unsigned i = 0; i < c->n_ports; i++) {
		unsigned m = port_mtu_guess(&c->ports[i]);

		if (m > mtu)
			mtu = m;
	}
	need += port_pool_bytes(c->n_ports, workers, mtu, small_pages);
	need += (uint64_t)sizeof(struct rule) << c->rule_bits;
	need += (uint64_t)sizeof(uint64_t) << c->rx_index_bits;
	need += (uint64_t)workers * (WORKER_LEN + workers * HANDOFF_LEN);
	need += (uint64_t)c->v->hops * HOP_LEN + (uint64_t)c->v->adjs * ADJ_LEN;
	return need;
}

// ---- the machine ----

static uint64_t file_number(const char *dir, const char *sub, const char *name)
{
	char path[512], text[32];
	uint64_t v = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/%s", dir, sub, name);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	if (fgets(text, sizeof(text), f) != NULL)
		v = strtoull(text, NULL, 10);
	fclose(f);
	return v;
}

static uint64_t huge_free(void)
{
	static const char dir[] = "/sys/kernel/mm/hugepages";
	DIR *d = opendir(dir);
	uint64_t sum = 0;
	struct dirent *e;

	if (d == NULL)
		return 0;
	while ((e = readdir(d)) != NULL) {
		unsigned long kib;

		if (sscanf(e->d_name, "hugepages-%lukB", &kib) == 1)
			sum += file_number(dir, e->d_name, "free_hugepages") * kib * 1024;
	}
	closedir(d);
	return sum;
}

void dp_eal_env_read(struct dp_eal_env *env)
{
	cpu_set_t set;

	memset(env, 0, sizeof(*env));
	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) == 0) {
		for (unsigned cpu = 0; cpu < CPU_SETSIZE && env->n_cpus < EAL_CPUS_MAX; cpu++) {
			if (CPU_ISSET(cpu, &set))
				env->cpus[env->n_cpus++] = (uint16_t)cpu;
		}
	}
	if (env->n_cpus == 0)
		env->cpus[env->n_cpus++] = 0;
	env->huge_free_len = huge_free();
}

static void runtime_dir_remove(void)
{
	const char *dir = rte_eal_get_runtime_dir();

	if (dir != NULL && dir[0] == '/')
		rmdir(dir); // only an empty one
}

void dp_eal_tidy_at_exit(void)
{
	atexit(runtime_dir_remove);
}

// ---- the list ----

__attribute__((format(printf, 2, 3))) static int add(struct dp_eal_args *a, const char *fmt, ...)
{
	size_t left = sizeof(a->text) - a->used;
	va_list ap;
	int n;

	if (a->argc == EAL_ARGS_MAX)
		return -E2BIG;
	va_start(ap, fmt);
	n = vsnprintf(a->text + a->used, left, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= left)
		return -E2BIG;
	a->argv[a->argc++] = a->text + a->used;
	a->argv[a->argc] = NULL;
	a->used += (size_t)n + 1;
	return 0;
}

struct user {
	int n;
	char *const *v;
	char *words[EAL_ARGS_MAX]; // of extra_args
	int n_words;
};

static bool matches(const char *arg, const char *opt)
{
	size_t len = strlen(opt);

	if (strncmp(arg, opt, len) != 0)
		return false;
	// "--lcores=x", "--lcores" "x"; short ones also "-l0,1"
	return arg[len] == '\0' || arg[len] == '=' || (opt[0] == '-' && opt[1] != '-');
}

// Does the user say any of these (NULL-terminated) himself?
static bool says(const struct user *u, const char *const *opts)
{
	for (; *opts != NULL; opts++) {
		for (int i = 0; i < u->n; i++) {
			if (matches(u->v[i], *opts))
				return true;
		}
		for (int i = 0; i < u->n_words; i++) {
			if (matches(u->words[i], *opts))
				return true;
		}
	}
	return false;
}

// Main on the first cpu, workers on the last ones: with two of them one each, with one all on it.
static int add_lcores(struct dp_eal_args *a, const struct dp_conf *c, const struct dp_eal_env *env)
{
	char text[DPMSG_MAX_WORKERS * 12 + 32];
	unsigned n = c->v->workers;
	size_t at = 0;

	if (c->v->cores[0] != '\0')
		return add(a, "--lcores=%s", c->v->cores);
	at += (size_t)snprintf(text, sizeof(text), "0@%u", env->cpus[0]);
	for (unsigned w = 0; w < n; w++) {
		unsigned cpu = n < env->n_cpus ? env->n_cpus - n + w : (w + 1) % env->n_cpus;

		at += (size_t)snprintf(
			text + at, sizeof(text) - at, ",%u@%u", w + 1, env->cpus[cpu]);
	}
	return add(a, "--lcores=%s", text);
}

// EAL itself would say that permission is denied.
static int too_few_hugepages(
	const struct dp_eal_args *a, const struct dp_eal_env *env, char err[CONF_ERR_MAX])
{
	snprintf(err, CONF_ERR_MAX,
		"hugepages: %llu MB free, %llu MB wanted: reserve more (sysctl vm.nr_hugepages, "
		"mostly of 2 MB each), or do without them: auto or no",
		(unsigned long long)env->huge_free_len >> 20, (unsigned long long)a->huge_mb);
	return -ENOMEM;
}

static int add_memory(struct dp_eal_args *a, const struct dp_conf *c, const struct dp_eal_env *env,
	char err[CONF_ERR_MAX])
{
	uint64_t asked = (uint64_t)c->v->memory_mb << 20;
	uint64_t need = asked != 0 ? asked : env->need_len;
	int rc;

	a->huge_mb = (need + (1 << 20) - 1) >> 20;
	a->no_huge = c->v->hugepages == HUGE_NO;
	if (c->v->hugepages == HUGE_YES && env->huge_free_len < need)
		return too_few_hugepages(a, env, err);
	if (c->v->hugepages == HUGE_AUTO && env->huge_free_len < need)
		a->no_huge = a->fell_back = true;
	if (a->no_huge && asked == 0)
		need = env->need_small_len;
	a->memory_mb = (need + (1 << 20) - 1) >> 20;
	if (a->no_huge) {
		// the size is fixed at start; pages never touched cost nothing
		rc = add(a, "--no-huge");
		// no files behind; with hugepages --in-memory implies it
		if (rc == 0)
			rc = add(a, "--no-shconf");
		return rc < 0 ? rc : add(a, "-m%llu", (unsigned long long)a->memory_mb);
	}
	// leaves no files behind, whatever ends the process
	rc = add(a, "--in-memory");
	if (rc == 0 && c->v->memory_mb != 0)
		rc = add(a, "-m%u", c->v->memory_mb);
	return rc;
}

static int add_devices(struct dp_eal_args *a, const struct dp_conf *c)
{
	unsigned n_pci = 0;

	// vdevs are made later, one by one, so that an error can name its port
	for (unsigned i = 0; i < c->n_ports; i++) {
		if (!port_device_is_pci(c->ports[i].device))
			continue;
		if (add(a, "-a%s", c->ports[i].device) < 0)
			return -E2BIG;
		n_pci++;
	}
	if (n_pci != 0)
		return 0;
	// nobody asks for physical addresses, which only the privileged may know
	return add(a, "--no-pci") < 0 || add(a, "--iova-mode=va") < 0 ? -E2BIG : 0;
}

static int words_split(struct user *u, struct dp_eal_args *a, const char *text)
{
	char *save = NULL, *copy = a->text + a->used;
	size_t len = strlen(text) + 1;

	if (len > sizeof(a->text) - a->used)
		return -E2BIG;
	memcpy(copy, text, len);
	a->used += len;
	for (char *w = strtok_r(copy, " \t", &save); w != NULL; w = strtok_r(NULL, " \t", &save)) {
		if (u->n_words == EAL_ARGS_MAX)
			return -E2BIG;
		u->words[u->n_words++] = w;
	}
	return 0;
}

int dp_eal_build(struct dp_eal_args *a, const struct dp_conf *c, int n_user, char *const *user,
	const struct dp_eal_env *env, char err[CONF_ERR_MAX])
{
	static const char *const cores[] = {"-l", "-c", "--lcores", "-S", NULL};
	static const char *const memory[] = {"--no-huge", "--in-memory", "-m", "--socket-mem",
		"--huge-dir", "--huge-unlink", "--legacy-mem", "--single-file-segments", NULL};
	static const char *const devices[] = {"-a", "--allow", "-b", "--block", "--no-pci", NULL};
	static const char *const prefix[] = {"--file-prefix", NULL};
	static const char *const level[] = {"--log-level", NULL};
	struct user u = {.n = n_user, .v = user};
	int rc;

	memset(a, 0, sizeof(*a));
	rc = words_split(&u, a, c->v->extra_args);
	if (rc == 0)
		rc = add(a, "skyrail-dataplane");
	if (rc == 0 && !says(&u, cores))
		rc = add_lcores(a, c, env);
	if (rc == 0 && !says(&u, memory))
		rc = add_memory(a, c, env, err);
	if (rc == 0 && !says(&u, devices))
		rc = add_devices(a, c);
	if (rc == 0 && !says(&u, prefix))
		rc = add(a, "--file-prefix=skyrail-%s", c->v->name);
	if (rc == 0 && !says(&u, level))
		rc = add(a, "--log-level=4"); // errors
	// it calls an error what a kernel lacks and it does without; that it fails we say ourselves
	if (rc == 0 && !says(&u, level))
		rc = add(a, "--log-level=pmd.net.tap:2");
	for (int i = 0; i < u.n_words && rc == 0; i++)
		rc = add(a, "%s", u.words[i]);
	for (int i = 0; i < u.n && rc == 0; i++)
		rc = add(a, "%s", u.v[i]);
	if (rc == -E2BIG)
		snprintf(err, CONF_ERR_MAX, "too many EAL arguments");
	return rc;
}
