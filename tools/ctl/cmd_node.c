// `skyrail config check`, `skyrail config reload` and `skyrail log level`. Configuration files are
// checked by the program that reads them, which knows its table: it is started with --check-config.
#include "lib/base/err.h"
#include "tools/ctl/cli.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int take_word(char *dst, size_t cap, const char *word)
{
	if (strlen(word) >= cap || api_name_check(word, cap) < 0)
		return cli_error(CLI_USAGE, "'%s' is no log module or level", word);
	strcpy(dst, word);
	return CLI_OK;
}

int cmd_log_level(struct cli *c)
{
	struct api_log_level m = {.module = "all"};
	int rc = CLI_OK;

	if (c->argc < 1 || c->argc > 2)
		return cli_error(
			CLI_USAGE, "usage: skyrail log level [MODULE] err|warn|notice|info|debug");
	if (c->argc == 2)
		rc = take_word(m.module, sizeof(m.module), c->argv[0]);
	if (rc == CLI_OK)
		rc = take_word(m.level, sizeof(m.level), c->argv[c->argc - 1]);
	if (rc != CLI_OK)
		return rc;
	if (cli_call(c, API_LOG_LEVEL, &m, sizeof(m), NULL, NULL) < 0)
		return cli_failed(c);
	return CLI_OK;
}

// The program beside this one, or in sbin beside its bin, else the one in PATH.
static void program_path(const char *name, char *buf, size_t cap)
{
	static const char *const places[] = {"", "../sbin/"};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	for (size_t i = 0; slash != NULL && i < ARRAY_LEN(places); i++) {
		int len =
			snprintf(buf, cap, "%.*s/%s%s", (int)(slash - self), self, places[i], name);

		if (len > 0 && (size_t)len < cap && access(buf, X_OK) == 0)
			return;
	}
	snprintf(buf, cap, "%s", name);
}

enum owner { OWNER_UNKNOWN, OWNER_DP, OWNER_CP };

static int run_check(enum owner owner, const char *file)
{
	const char *program = owner == OWNER_DP ? "skyrail-dataplane" : "skyrail-controlplane";
	char path[PATH_MAX];
	int status;
	pid_t pid;

	program_path(program, path, sizeof(path));
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return cli_error(CLI_FAIL, "fork: %s", strerror(errno));
	if (pid == 0) {
		const char *argv[6] = {path};
		int n = 1;

		if (owner == OWNER_DP)
			argv[n++] = "--";
		argv[n++] = "--check-config";
		if (file != NULL) {
			argv[n++] = "-c";
			argv[n++] = file;
		}
		execvp(path, (char *const *)argv);
		fprintf(stderr, "skyrail: %s: %s: install it, or put it into PATH\n", program,
			strerror(errno));
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return CLI_FAIL;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? CLI_OK : CLI_FAIL;
}

// Whose file is it? Its name tells, else the sections that only one of them knows.
static enum owner owner_of(const char *file)
{
	static const struct {
		const char *section;
		enum owner owner;
	} known[] = {{"[eal]", OWNER_DP}, {"[port ", OWNER_DP}, {"[tables]", OWNER_DP},
		{"[idle]", OWNER_DP}, {"[crypto]", OWNER_DP}, {"[peers]", OWNER_CP},
		{"[peer ", OWNER_CP}, {"[link]", OWNER_CP}, {"[transport ", OWNER_CP},
		{"[rule ", OWNER_CP}, {"[edge ", OWNER_CP}, {"[server ", OWNER_CP},
		{"[dmsg]", OWNER_CP}, {"[dmsg_server]", OWNER_CP}, {"[peer_server ", OWNER_CP}};
	const char *base = strrchr(file, '/');
	enum owner owner = OWNER_UNKNOWN;
	char line[256];
	FILE *f;

	base = base != NULL ? base + 1 : file;
	if (strncmp(base, "dataplane", 9) == 0)
		return OWNER_DP;
	if (strncmp(base, "controlplane", 12) == 0)
		return OWNER_CP;
	f = fopen(file, "re");
	while (f != NULL && owner == OWNER_UNKNOWN && fgets(line, sizeof(line), f) != NULL)
		for (size_t i = 0; i < ARRAY_LEN(known); i++)
			if (strncmp(line, known[i].section, strlen(known[i].section)) == 0)
				owner = known[i].owner;
	if (f != NULL)
		fclose(f);
	return owner;
}

// All of its sections are known to both programs: it is good if it is for one of them.
static int check_for_both(const char *file)
{
	static const char *const words[] = {[false] = "no", [true] = "yes"};
	bool cp, dp;

	printf("%s: its sections are known to both programs, so it is checked for each\n", file);
	cp = run_check(OWNER_CP, file) == CLI_OK;
	dp = run_check(OWNER_DP, file) == CLI_OK;
	printf("%s: good for skyrail-controlplane: %s, for skyrail-dataplane: %s\n", file,
		words[cp], words[dp]);
	return cp || dp ? CLI_OK : CLI_FAIL;
}

int cmd_config_check(struct cli *c)
{
	enum owner owner = OWNER_UNKNOWN;
	const char *file = NULL;
	int rc, rc2;

	for (int i = 0; i < c->argc; i++) {
		const char *arg = c->argv[i];

		if (strcmp(arg, "--dataplane") == 0)
			owner = OWNER_DP;
		else if (strcmp(arg, "--controlplane") == 0)
			owner = OWNER_CP;
		else if (strcmp(arg, "-c") == 0 && file == NULL && i + 1 < c->argc)
			file = c->argv[++i];
		else if (arg[0] != '-' && file == NULL)
			file = arg;
		else
			return cli_error(CLI_USAGE,
				"usage: skyrail config check [--dataplane|--controlplane] [-c FILE]");
	}
	if (file != NULL && access(file, R_OK) < 0)
		return cli_error(CLI_FAIL, "%s: %s", file, strerror(errno));
	if (file != NULL && owner == OWNER_UNKNOWN)
		owner = owner_of(file);
	if (owner != OWNER_UNKNOWN)
		return run_check(owner, file);
	if (file != NULL)
		return check_for_both(file);
	rc = run_check(OWNER_CP, NULL);
	rc2 = run_check(OWNER_DP, NULL);
	return rc != CLI_OK ? rc : rc2;
}

int cmd_config_reload(struct cli *c)
{
	struct api_reload_done done;

	if (c->argc != 0)
		return cli_error(CLI_USAGE, "usage: skyrail config reload");
	if (cli_get(c, API_CONFIG_RELOAD, NULL, 0, &done, sizeof(done)) < 0)
		return cli_failed(c);
	if (done.text[0] != '\0')
		fprintf(stderr, "skyrail: %.*s\n", (int)sizeof(done.text) - 1, done.text);
	return CLI_OK;
}
