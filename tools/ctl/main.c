// The `skyrail` command: global options, one command of the table, exit code. It knows only the
// public API.
#include "lib/api/api_rec.h"
#include "lib/base/err.h"
#include "tools/ctl/cli.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char default_socket[] = "/run/skyrail/control.sock";

// Its arguments go on in the next line where a terminal of 80 columns ends.
static void help_row(FILE *out, const struct command *c)
{
	const char *second = c->words[1] != NULL ? c->words[1] : "";
	int col = fprintf(out, "  %s%s%s", c->words[0], second[0] ? " " : "", second);

	for (const char *word = c->args; *word != '\0';) {
		int len = (int)strcspn(word, " ");

		if (col + 1 + len > 79)
			col = fprintf(out, "\n     ") - 1;
		col += fprintf(out, " %.*s", len, word);
		word += len + (word[len] == ' ');
	}
	fprintf(out, "\n        %s\n", c->help);
}

static void help(FILE *out)
{
	size_t n;
	const struct command *c = cli_commands(&n);

	fputs("usage: skyrail [-j] [-a] [-s SOCKET] [-w SECONDS] COMMAND [ARGUMENTS]\n\n"
	      "  -j          JSON instead of tables\n"
	      "  -a          show: all columns and lines\n"
	      "  -s SOCKET   of the node (else $SKYRAIL_SOCKET, else /run/skyrail/control.sock)\n"
	      "  -w SECONDS  show: again and again\n"
	      "  --version   versions of this program and of the node\n\n"
	      "Commands; each word may be shortened as long as it is clear:\n\n",
		out);
	for (size_t i = 0; i < n; i++)
		help_row(out, &c[i]);
	fputs("\nExit codes: 0 done, 1 failed, 2 wrong usage. See skyrail(1).\n", out);
}

// `help show`, `help rule add`: what begins with these words.
static int help_on(int argc, char **argv)
{
	size_t n;
	const struct command *c = cli_commands(&n);
	const char *second = argc > 1 ? argv[1] : "";
	unsigned found = 0;

	for (size_t i = 0; i < n; i++) {
		const char *name = c[i].words[1] != NULL ? c[i].words[1] : "";

		if (strncmp(c[i].words[0], argv[0], strlen(argv[0])) != 0 ||
			strncmp(name, second, strlen(second)) != 0)
			continue;
		help_row(stdout, &c[i]);
		found++;
	}
	if (found == 0)
		return cli_error(CLI_USAGE, "no command begins with '%s%s%s' (see `skyrail help`)",
			argv[0], argc > 1 ? " " : "", second);
	return CLI_OK;
}

static void print_node(const struct api_node *n)
{
	printf("node %.32s: control plane %.32s, data plane %.32s, DPDK %.32s, ciphers %.32s by %.32s\n",
		n->name, n->version, n->dp_attached ? n->dp_version : "not running",
		n->dpdk[0] != '\0' ? n->dpdk : "unknown",
		n->ciphers[0] != '\0' ? n->ciphers : "unknown",
		n->aead[0] != '\0' ? n->aead : "unknown");
}

// What the node runs is asked of it; without a node only our own version is known.
static int version(struct cli *c)
{
	char err[API_TEXT_MAX];
	struct api_node n;

	printf("skyrail %s\n"
	       "Skywire: route packets of the 2024 and 2026 generations (types 0 to 23); transports: rail 1\n",
		SKYRAIL_VERSION);
	if (api_client_open(&c->client, c->socket, 1000, err) == 0) {
		if (api_client_node(c->client, &n) == 0)
			print_node(&n);
		api_client_free(c->client);
	} else {
		printf("node: %s\n", err);
	}
	return CLI_OK;
}

static int run_once(struct cli *c, const struct command *cmd)
{
	int rc = cmd->fn(c);

	api_client_free(c->client);
	c->client = NULL;
	return rc;
}

// Redraw for ever; a node that goes away for a while is waited for.
static int watch(struct cli *c, const struct command *cmd)
{
	struct timespec ts = {
		(time_t)c->watch_s, (long)((c->watch_s - (double)(time_t)c->watch_s) * 1e9)};
	bool tty = isatty(STDOUT_FILENO);

	for (;;) {
		int rc;

		if (tty)
			fputs("\033[H\033[2J", stdout);
		rc = run_once(c, cmd);
		if (rc == CLI_USAGE)
			return rc;
		if (!tty && !c->json)
			putchar('\n');
		if (fflush(stdout) != 0)
			return CLI_FAIL;
		nanosleep(&ts, NULL);
	}
}

// -j and -a are also taken after a `show` command, where people write them.
static void late_options(struct cli *c)
{
	int n = 0;

	for (int i = 0; i < c->argc; i++) {
		if (strcmp(c->argv[i], "-a") == 0)
			c->all = true;
		else if (strcmp(c->argv[i], "-j") == 0)
			c->json = true;
		else
			c->argv[n++] = c->argv[i];
	}
	c->argc = n;
}

static int run(struct cli *c, int argc, char **argv)
{
	const struct command *cmd = NULL;
	char err[300];
	int used;

	if (argc > 0 && strcmp(argv[0], "help") == 0) {
		if (argc > 1)
			return help_on(argc - 1, argv + 1);
		help(stdout);
		return CLI_OK;
	}
	used = cli_find(argc, argv, &cmd, err, sizeof(err));
	if (used < 0)
		return cli_error(CLI_USAGE, "%s (see `skyrail help`)", err);
	c->command = cmd;
	c->argc = argc - used;
	c->argv = argv + used;
	if (strcmp(cmd->words[0], "show") == 0 || cmd->fn == cmd_config_show)
		late_options(c);
	else if (c->watch_s > 0)
		return cli_error(CLI_USAGE, "-w goes with show commands only");
	return c->watch_s > 0 ? watch(c, cmd) : run_once(c, cmd);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{"json", no_argument, NULL, 'j'},
		{NULL, 0, NULL, 0},
	};
	struct cli c = {.socket = getenv("SKYRAIL_SOCKET")};
	bool want_version = false;
	char *end;
	int opt;

	signal(SIGPIPE, SIG_DFL); // `skyrail show ... | head` just ends
	if (c.socket == NULL || c.socket[0] == '\0')
		c.socket = default_socket;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "+:jas:w:hV", options, NULL)) != -1) {
		switch (opt) {
		case 'j':
			c.json = true;
			break;
		case 'a':
			c.all = true;
			break;
		case 's':
			c.socket = optarg;
			break;
		case 'w':
			c.watch_s = strtod(optarg, &end);
			if (*end != '\0' || !(c.watch_s >= 0.05 && c.watch_s <= 86400))
				return cli_error(CLI_USAGE, "-w takes seconds from 0.05 to 86400");
			break;
		case 'h':
			help(stdout);
			return CLI_OK;
		case 'V':
			want_version = true;
			break;
		case ':':
			return cli_error(CLI_USAGE, "no value after %s (see `skyrail help`)",
				argv[optind - 1]);
		default:
			return cli_error(CLI_USAGE, "unknown option '%s' (see `skyrail help`)",
				optopt != 0 ? (char[]){'-', (char)optopt, '\0'} : argv[optind - 1]);
		}
	}
	return want_version ? version(&c) : run(&c, argc - optind, argv + optind);
}
