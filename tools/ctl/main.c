// The `skyrail` command: global options, one command of the table, exit code. It knows only the
// public API.
#include "lib/api/api_rec.h"
#include "lib/base/err.h"
#include "tools/ctl/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char default_socket[] = "/run/skyrail/control.sock";

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
	       "Skywire: route packets of the 2024 and 2026 generations (types 0 to 23); transports: rail 1, stcp, stcpr, dmsg\n",
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

static bool is_show(const struct command *cmd)
{
	return strcmp(cmd->words[0], "show") == 0 || cmd->fn == cmd_config_show;
}

static int run(struct cli *c)
{
	const struct command *cmd = NULL;
	char err[API_TEXT_MAX];
	int used;

	if (c->argc > 0 && strcmp(c->argv[0], "help") == 0)
		return cli_help(c->argc - 1, c->argv + 1);
	if (c->want_help)
		return cli_help(c->argc, c->argv);
	if (c->argc == 0)
		return cli_help_missing();
	used = cli_find(c->argc, c->argv, &cmd, err, sizeof(err));
	if (used < 0)
		return cli_error(CLI_USAGE, "%s (see `skyrail help`)", err);
	c->command = cmd;
	c->argc -= used;
	c->argv += used;
	if ((c->watch_s > 0 || c->all) && !is_show(cmd))
		return cli_error(
			CLI_USAGE, "%s goes with show commands only", c->all ? "-a" : "-w");
	if (c->json && !cli_has_json(cmd))
		return cli_error(CLI_USAGE, "-j does not go with %s%s%s", cmd->words[0],
			cmd->words[1] != NULL ? " " : "",
			cmd->words[1] != NULL ? cmd->words[1] : "");
	return c->watch_s > 0 ? watch(c, cmd) : run_once(c, cmd);
}

int main(int argc, char **argv)
{
	struct cli c = {.socket = getenv("SKYRAIL_SOCKET")};
	int rc;

	signal(SIGPIPE, SIG_DFL); // `skyrail show ... | head` just ends
	if (c.socket == NULL || c.socket[0] == '\0')
		c.socket = default_socket;
	rc = cli_options(&c, argc - 1, argv + 1);
	if (rc != CLI_OK)
		return rc;
	return c.want_version ? version(&c) : run(&c);
}
