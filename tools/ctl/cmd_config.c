// `skyrail config check`, and `config show -c`. A file is read by the program that it is for, which
// knows its table: it is started with --check-config or --print-config.
#include "lib/base/err.h"
#include "tools/ctl/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum owner { OWNER_UNKNOWN, OWNER_NONE, OWNER_DP, OWNER_CP };
enum { NOT_STARTED = 127, SAID_MAX = 16384 };

static const char *program_of(enum owner owner)
{
	return owner == OWNER_DP ? "skyrail-dataplane" : "skyrail-controlplane";
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

static void become_program(enum owner owner, const char *option, const char *file)
{
	char path[PATH_MAX];
	const char *argv[6] = {path};
	int n = 1;

	program_path(program_of(owner), path, sizeof(path));
	if (owner == OWNER_DP)
		argv[n++] = "--";
	argv[n++] = option;
	if (file != NULL) {
		argv[n++] = "-c";
		argv[n++] = file;
	}
	execvp(path, (char *const *)argv);
	_exit(NOT_STARTED);
}

// said: takes what it says; NULL: it says so itself. CLI_NOT_CHECKED is not told.
static int run_program(enum owner owner, const char *option, const char *file, FILE *said)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return cli_error(CLI_FAIL, "fork: %s", strerror(errno));
	if (pid == 0) {
		if (said != NULL && (dup2(fileno(said), STDOUT_FILENO) < 0 ||
					    dup2(fileno(said), STDERR_FILENO) < 0))
			_exit(NOT_STARTED);
		become_program(owner, option, file);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return CLI_FAIL;
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_STARTED)
		return CLI_NOT_CHECKED;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? CLI_OK : CLI_FAIL;
}

static int run_check(enum owner owner, const char *file, FILE *said)
{
	return run_program(owner, "--check-config", file, said);
}

static int not_checked(enum owner owner, const char *file)
{
	return cli_error(CLI_NOT_CHECKED,
		"%s%snot checked: %s is not beside skyrail, in ../sbin or in PATH",
		file != NULL ? file : "", file != NULL ? ": " : "", program_of(owner));
}

int cli_check_controlplane(const char *file, FILE *said)
{
	int rc = run_check(OWNER_CP, file, said);

	return rc == CLI_NOT_CHECKED ? not_checked(OWNER_CP, NULL) : rc;
}

static int check_by(enum owner owner, const char *file)
{
	int rc = run_check(owner, file, NULL);

	return rc == CLI_NOT_CHECKED ? not_checked(owner, file) : rc;
}

static enum owner owner_of_section(const char *line)
{
	static const struct {
		const char *section;
		enum owner owner;
	} known[] = {{"[eal]", OWNER_DP}, {"[port ", OWNER_DP}, {"[tables]", OWNER_DP},
		{"[idle]", OWNER_DP}, {"[crypto]", OWNER_DP}, {"[peers]", OWNER_CP},
		{"[peer ", OWNER_CP}, {"[link]", OWNER_CP}, {"[transport ", OWNER_CP},
		{"[rule ", OWNER_CP}, {"[edge ", OWNER_CP}, {"[server ", OWNER_CP},
		{"[dmsg]", OWNER_CP}, {"[dmsg_server]", OWNER_CP}, {"[hypervisor ", OWNER_CP},
		{"[setup_node]", OWNER_CP}, {"[lan_server]", OWNER_CP}, {"[visor ", OWNER_CP},
		{"[saved_lan_server ", OWNER_CP}, {"[peer_server ", OWNER_CP}};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strncmp(line, known[i].section, strlen(known[i].section)) == 0)
			return known[i].owner;
	return OWNER_UNKNOWN;
}

// Whose file is it? Its name tells, else the sections that only one of them knows. OWNER_NONE: it
// says something, but has no section at all.
static enum owner owner_of(const char *file)
{
	const char *base = strrchr(file, '/');
	enum owner owner = OWNER_UNKNOWN;
	bool sections = false, text = false;
	char line[256];
	FILE *f;

	base = base != NULL ? base + 1 : file;
	if (strncmp(base, "dataplane", 9) == 0)
		return OWNER_DP;
	if (strncmp(base, "controlplane", 12) == 0)
		return OWNER_CP;
	f = fopen(file, "re");
	while (f != NULL && owner == OWNER_UNKNOWN && fgets(line, sizeof(line), f) != NULL) {
		const char *p = line + strspn(line, " \t\r\n\xef\xbb\xbf");

		sections = sections || *p == '[';
		text = text || (*p != '\0' && *p != '#' && *p != ';');
		owner = owner_of_section(p);
	}
	if (f != NULL)
		fclose(f);
	return owner == OWNER_UNKNOWN && text && !sections ? OWNER_NONE : owner;
}

// What a program said, as a text; mistakes come as its log has them.
static void read_all(FILE *f, char buf[SAID_MAX])
{
	rewind(f);
	buf[fread(buf, 1, SAID_MAX - 1, f)] = '\0';
}

static bool has_line(const char *text, const char *line, size_t len)
{
	for (const char *p = text; p != NULL && *p != '\0'; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, line, len) == 0 && (p[len] == '\n' || p[len] == '\0'))
			return true;
	}
	return false;
}

// The mistakes in said, with who found them; those that are in other, too, are told once.
static void tell(const char *who, const char *said, const char *other, bool first)
{
	static const char mark[] = "err main: ";

	for (const char *p = said; *p != '\0';) {
		size_t len = strcspn(p, "\n");
		bool common = has_line(other, p, len);

		if (strncmp(p, mark, strlen(mark)) == 0 && (first || !common))
			fprintf(stderr, "%s: %.*s\n", common ? "skyrail" : who,
				(int)(len - strlen(mark)), p + strlen(mark));
		p += len + (p[len] == '\n');
	}
}

// All of its sections are known to both programs, or to none: it is good if it is for one of them.
static int check_for_both(const char *file)
{
	static const char *const words[] = {
		[CLI_OK] = "yes", [CLI_FAIL] = "no", [CLI_NOT_CHECKED] = "not checked"};
	static const enum owner owners[] = {OWNER_CP, OWNER_DP};
	static char said[2][SAID_MAX];
	int rc[2];

	for (int i = 0; i < 2; i++) {
		FILE *f = tmpfile();

		if (f == NULL)
			return cli_error(CLI_FAIL, "temporary file: %s", strerror(errno));
		rc[i] = run_check(owners[i], file, f);
		read_all(f, said[i]);
		fclose(f);
	}
	for (int i = 0; i < 2; i++) {
		if (rc[i] == CLI_NOT_CHECKED)
			not_checked(owners[i], file);
		else if (rc[i] != CLI_OK)
			tell(program_of(owners[i]), said[i], said[!i], i == 0);
	}
	if (rc[0] == CLI_NOT_CHECKED && rc[1] == CLI_NOT_CHECKED)
		return CLI_NOT_CHECKED;
	printf("%s: good for skyrail-controlplane: %s, for skyrail-dataplane: %s\n", file,
		words[rc[0]], words[rc[1]]);
	if (rc[0] == CLI_OK || rc[1] == CLI_OK)
		return CLI_OK;
	return rc[0] == CLI_NOT_CHECKED ? rc[0] : rc[1];
}

static int check_default_files(void)
{
	int cp = check_by(OWNER_CP, NULL), dp = check_by(OWNER_DP, NULL);

	return cp == CLI_OK || dp == CLI_FAIL ? dp : cp;
}

// [--dataplane|--controlplane] [-c FILE], or FILE.
static int take_file(struct cli *c, const char *usage, enum owner *owner, const char **file)
{
	*owner = OWNER_UNKNOWN;
	*file = NULL;
	for (int i = 0; i < c->argc; i++) {
		const char *arg = c->argv[i];

		if (strcmp(arg, "--dataplane") == 0)
			*owner = OWNER_DP;
		else if (strcmp(arg, "--controlplane") == 0)
			*owner = OWNER_CP;
		else if (strcmp(arg, "-c") == 0 && *file == NULL && i + 1 < c->argc)
			*file = c->argv[++i];
		else if (arg[0] != '-' && *file == NULL)
			*file = arg;
		else
			return cli_error(CLI_USAGE, "usage: %s", usage);
	}
	if (*file != NULL && access(*file, R_OK) < 0)
		return cli_error(CLI_FAIL, "%s: %s", *file, strerror(errno));
	if (*file != NULL && *owner == OWNER_UNKNOWN)
		*owner = owner_of(*file);
	if (*owner == OWNER_NONE)
		return cli_error(
			CLI_FAIL, "%s: no configuration of skyrail: it has no [section]", *file);
	return CLI_OK;
}

int cmd_config_check(struct cli *c)
{
	enum owner owner;
	const char *file;
	int rc = take_file(
		c, "skyrail config check [--dataplane|--controlplane] [-c FILE]", &owner, &file);

	if (rc != CLI_OK)
		return rc;
	if (owner != OWNER_UNKNOWN)
		return check_by(owner, file);
	return file != NULL ? check_for_both(file) : check_default_files();
}

int cli_config_of_file(struct cli *c)
{
	enum owner owner;
	const char *file;
	int rc = take_file(c,
		"skyrail config show [SECTION...] | [--dataplane|--controlplane] -c FILE", &owner,
		&file);

	if (rc != CLI_OK)
		return rc;
	if (owner == OWNER_UNKNOWN)
		return cli_error(CLI_USAGE,
			"which program's? skyrail config show --dataplane or --controlplane -c FILE");
	if (c->json)
		return cli_error(CLI_USAGE, "there is no JSON of a file, only of a node that runs");
	rc = run_program(owner, "--print-config", file, NULL);
	if (rc == CLI_NOT_CHECKED)
		return cli_error(CLI_NOT_CHECKED,
			"not shown: %s is not beside skyrail, in ../sbin or in PATH",
			program_of(owner));
	return rc;
}
