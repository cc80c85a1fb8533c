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

// The program beside this one, else the one in PATH.
static void program_path(const char *name, char *buf, size_t cap)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		if (slash != NULL &&
			(size_t)snprintf(buf, cap, "%.*s/%s", (int)(slash - self), self, name) <
				cap &&
			access(buf, X_OK) == 0)
			return;
	}
	snprintf(buf, cap, "%s", name);
}

static int run_check(const char *program, const char *file)
{
	char path[PATH_MAX];
	int status;
	pid_t pid;

	program_path(program, path, sizeof(path));
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return cli_error(CLI_FAIL, "fork: %s", strerror(errno));
	if (pid == 0) {
		bool dp = strcmp(program, "skyrail-dataplane") == 0;

		if (dp && file != NULL)
			execlp(path, path, "--", "-c", file, "--check-config", NULL);
		else if (dp)
			execlp(path, path, "--", "--check-config", NULL);
		else if (file != NULL)
			execlp(path, path, "-c", file, "--check-config", NULL);
		else
			execlp(path, path, "--check-config", NULL);
		fprintf(stderr, "skyrail: %s: %s: install it, or put it into PATH\n", program,
			strerror(errno));
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return CLI_FAIL;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? CLI_OK : CLI_FAIL;
}

// Whose file is it? The sections that only the data plane knows tell, else the name.
static const char *owner_of(const char *file)
{
	static const char *const dp[] = {"[eal]", "[port ", "[tables]", "[idle]"};
	const char *base = strrchr(file, '/');
	char line[256];
	FILE *f = fopen(file, "re");
	bool is_dp = strncmp(base != NULL ? base + 1 : file, "dataplane", 9) == 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		for (size_t i = 0; i < ARRAY_LEN(dp); i++)
			is_dp |= strncmp(line, dp[i], strlen(dp[i])) == 0;
	if (f != NULL)
		fclose(f);
	return is_dp ? "skyrail-dataplane" : "skyrail-controlplane";
}

int cmd_config_check(struct cli *c)
{
	const char *file = NULL;
	int rc, rc2;

	if (c->argc == 2 && strcmp(c->argv[0], "-c") == 0)
		file = c->argv[1];
	else if (c->argc == 1 && c->argv[0][0] != '-')
		file = c->argv[0];
	else if (c->argc != 0)
		return cli_error(CLI_USAGE, "usage: skyrail config check [-c FILE]");
	if (file != NULL && access(file, R_OK) < 0)
		return cli_error(CLI_FAIL, "%s: %s", file, strerror(errno));
	if (file != NULL)
		return run_check(owner_of(file), file);
	rc = run_check("skyrail-controlplane", NULL);
	rc2 = run_check("skyrail-dataplane", NULL);
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
