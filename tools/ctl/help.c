// `skyrail help` and --help: all commands, those that begin with some words, or one with its
// options and an example.
#include "tools/ctl/cli.h"

#include <string.h>

static const char show_options[] = "  -a, --all            all columns and lines, zeros too\n"
				   "  -w, --watch SECONDS  again and again\n";

static const char *second_of(const struct command *c)
{
	return c->words[1] != NULL ? c->words[1] : "";
}

// Its arguments go on in the next line where a terminal of 80 columns ends.
static void command_line(FILE *out, const char *begin, const struct command *c, const char *args)
{
	int col = fprintf(
		out, "%s%s%s%s", begin, c->words[0], second_of(c)[0] ? " " : "", second_of(c));

	for (const char *word = args; *word != '\0';) {
		int len = (int)strcspn(word, " ");

		if (col + 1 + len > 79)
			col = fprintf(out, "\n     ") - 1;
		col += fprintf(out, " %.*s", len, word);
		word += len + (word[len] == ' ');
	}
	fputc('\n', out);
}

static void row(FILE *out, const struct command *c)
{
	command_line(out, "  ", c, c->args);
	fprintf(out, "        %s\n", c->help);
}

static void all(FILE *out)
{
	size_t n;
	const struct command *c = cli_commands(&n);

	fputs("usage: skyrail [OPTIONS] COMMAND [ARGUMENTS]\n\n"
	      "  -j, --json           JSON instead of tables\n"
	      "  -a, --all            show: all columns and lines\n"
	      "  -s, --socket SOCKET  of the node (else $SKYRAIL_SOCKET, else\n"
	      "                       /run/skyrail/control.sock)\n"
	      "  -w, --watch SECONDS  show: again and again\n"
	      "  -h, --help           of a command: what it takes, and an example\n"
	      "      --version        versions of this program and of the node\n\n"
	      "Options may stand anywhere. Commands; each word may be shortened as long as it\n"
	      "is clear:\n\n",
		out);
	for (size_t i = 0; i < n; i++)
		row(out, &c[i]);
	fputs("\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 a file was not checked. See\n"
	      "skyrail(1).\n",
		out);
}

static void one(FILE *out, const struct command *c)
{
	bool shows = strcmp(c->words[0], "show") == 0 || c->fn == cmd_config_show;

	command_line(out, "usage: skyrail ", c, c->args);
	fprintf(out, "\n%s\n\n", c->help);
	if (c->fn != cmd_config_check && c->fn != cmd_dmsg_dial && c->fn != cmd_route_dial &&
		c->fn != cmd_route_listen && c->fn != cmd_dmsg_listen)
		fputs("  -j, --json           JSON\n", out);
	if (shows)
		fputs(show_options, out);
	fputs("  -s, --socket SOCKET  of the node\n\nexample:\n", out);
	command_line(out, "  skyrail ", c, c->example);
}

int cli_help_missing(void)
{
	all(stderr);
	return cli_error(CLI_USAGE, "a command is missing");
}

// Does the command begin with these words, each as far as it is written?
static bool begins(const struct command *c, const char *first, const char *second)
{
	return strncmp(c->words[0], first, strlen(first)) == 0 &&
	       strncmp(second_of(c), second, strlen(second)) == 0;
}

int cli_help(int argc, char **argv)
{
	size_t n, found = 0;
	const struct command *c = cli_commands(&n), *only = NULL;
	const char *second = argc > 1 ? argv[1] : "";
	char err[300];

	if (argc == 0) {
		all(stdout);
		return CLI_OK;
	}
	if (cli_find(argc, argv, &only, err, sizeof(err)) > 0) {
		one(stdout, only);
		return CLI_OK;
	}
	for (size_t i = 0; i < n; i++) {
		if (!begins(&c[i], argv[0], second))
			continue;
		row(stdout, &c[i]);
		found++;
	}
	if (found == 0)
		return cli_error(CLI_USAGE, "no command begins with '%s%s%s' (see `skyrail help`)",
			argv[0], argc > 1 ? " " : "", second);
	return CLI_OK;
}
