// Options of `skyrail` itself, wherever on the line they stand, long and short. What is none of
// them stays where it is, for the command: its own options and its arguments.
#include "lib/base/err.h"
#include "tools/ctl/cli.h"

#include <stdlib.h>
#include <string.h>

struct option_name {
	const char *name;
	char letter;
	bool value; // takes one
};

static const struct option_name names[] = {
	{"json", 'j', false},
	{"all", 'a', false},
	{"help", 'h', false},
	{"version", 'V', false},
	{"socket", 's', true},
	{"watch", 'w', true},
};

static int take(struct cli *c, char letter, const char *value)
{
	char *end;

	switch (letter) {
	case 'j':
		c->json = true;
		break;
	case 'a':
		c->all = true;
		break;
	case 'h':
		c->want_help = true;
		break;
	case 'V':
		c->want_version = true;
		break;
	case 's':
		c->socket = value;
		break;
	default:
		c->watch_s = strtod(value, &end);
		if (end == value || *end != '\0' || !(c->watch_s >= 0.05 && c->watch_s <= 86400))
			return cli_error(CLI_USAGE, "-w takes seconds from 0.05 to 86400");
	}
	return CLI_OK;
}

static const struct option_name *by_letter(char letter)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].letter == letter)
			return &names[i];
	return NULL;
}

static const struct option_name *by_name(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strlen(names[i].name) == len && memcmp(names[i].name, text, len) == 0)
			return &names[i];
	return NULL;
}

// The value in the word itself, else the next word.
static int take_value(struct cli *c, const struct option_name *o, const char *inside, int argc,
	char **argv, int *at)
{
	if (inside == NULL && *at + 1 == argc)
		return cli_error(CLI_USAGE, "no value after %s (see `skyrail help`)", argv[*at]);
	return take(c, o->letter, inside != NULL ? inside : argv[++*at]);
}

// "-ja", "-w1": are all of its letters ours?
static bool is_ours(const char *word)
{
	const struct option_name *o = NULL;

	for (const char *p = word + 1; *p != '\0' && (o == NULL || !o->value); p++) {
		o = by_letter(*p);
		if (o == NULL)
			return false;
	}
	return word[1] != '\0';
}

static int take_short(struct cli *c, int argc, char **argv, int *at)
{
	int rc = CLI_OK;

	for (const char *p = argv[*at] + 1; *p != '\0' && rc == CLI_OK; p++) {
		const struct option_name *o = by_letter(*p);

		if (o->value)
			return take_value(c, o, p[1] != '\0' ? p + 1 : NULL, argc, argv, at);
		rc = take(c, *p, NULL);
	}
	return rc;
}

// 1: it is none of ours.
static int take_long(struct cli *c, int argc, char **argv, int *at)
{
	const char *word = argv[*at] + 2, *eq = strchr(word, '=');
	const struct option_name *o = by_name(word, strcspn(word, "="));

	if (o == NULL)
		return 1;
	if (o->value)
		return take_value(c, o, eq != NULL ? eq + 1 : NULL, argc, argv, at);
	if (eq != NULL)
		return cli_error(CLI_USAGE, "--%s takes no value", o->name);
	return take(c, o->letter, NULL);
}

int cli_options(struct cli *c, int argc, char **argv)
{
	bool ended = false;
	int n = 0;

	for (int i = 0; i < argc; i++) {
		const char *word = argv[i];
		int rc = 1;

		if (!ended && strcmp(word, "--") == 0) {
			ended = true;
			continue;
		}
		if (!ended && word[0] == '-' && word[1] == '-')
			rc = take_long(c, argc, argv, &i);
		else if (!ended && word[0] == '-' && is_ours(word))
			rc = take_short(c, argc, argv, &i);
		if (rc == CLI_USAGE)
			return rc;
		if (rc == CLI_OK)
			continue;
		if (!ended && n == 0 && word[0] == '-')
			return cli_error(
				CLI_USAGE, "unknown option '%s' (see `skyrail help`)", word);
		argv[n++] = argv[i];
	}
	c->argc = n;
	c->argv = argv;
	return CLI_OK;
}
