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

// Its arguments go on in the next line where a terminal of 80 columns ends; goes_on ends a line.
static void command_line(FILE *out, const char *begin, const struct command *c, const char *args,
	const char *goes_on)
{
	const int most = 79 - (int)strlen(goes_on);
	int col = fprintf(
		out, "%s%s%s%s", begin, c->words[0], second_of(c)[0] ? " " : "", second_of(c));

	for (const char *word = args; *word != '\0';) {
		int len = (int)strcspn(word, " ");

		if (col + 1 + len > most)
			col = fprintf(out, "%s\n     ", goes_on) - 1 - (int)strlen(goes_on);
		col += fprintf(out, " %.*s", len, word);
		word += len + (word[len] == ' ');
	}
	fputc('\n', out);
}

static void row(FILE *out, const struct command *c)
{
	command_line(out, "  ", c, c->args, "");
	block_sentence(out, c->help, fprintf(out, "        "), 8);
	fputc('\n', out);
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

bool cli_has_json(const struct command *c)
{
	return c->fn != cmd_config_check && c->fn != cmd_import_config && c->fn != cmd_dmsg_dial &&
	       c->fn != cmd_dmsg_listen && c->fn != cmd_route_dial && c->fn != cmd_route_listen;
}

static bool asks_a_node(const struct command *c)
{
	return c->fn != cmd_config_check && c->fn != cmd_import_config && c->fn != cmd_key_gen;
}

static void one(FILE *out, const struct command *c)
{
	bool shows = strcmp(c->words[0], "show") == 0 || c->fn == cmd_config_show;

	command_line(out, "usage: skyrail ", c, c->args, "");
	fputc('\n', out);
	block_sentence(out, c->help, 0, 0);
	fputs("\n\n", out);
	if (cli_has_json(c))
		fputs("  -j, --json           JSON\n", out);
	if (shows)
		fputs(show_options, out);
	if (asks_a_node(c))
		fputs("  -s, --socket SOCKET  of the node\n", out);
	fputs(cli_has_json(c) || asks_a_node(c) ? "\nexample:\n" : "example:\n", out);
	command_line(out, "  skyrail ", c, c->example, " \\"); // to be pasted
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
	char err[API_TEXT_MAX];

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
