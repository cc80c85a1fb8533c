// `skyrail config reload` and `skyrail log level`.
#include "tools/ctl/cli.h"

#include <string.h>

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

int cmd_config_reload(struct cli *c)
{
	struct api_reload_done done;

	if (c->argc != 0)
		return cli_error(CLI_USAGE, "usage: skyrail config reload");
	if (cli_get(c, API_CONFIG_RELOAD, NULL, 0, &done, sizeof(done)) < 0)
		return cli_failed(c);
	if (done.text[0] != '\0')
		fprintf(c->json ? stderr : stdout, "%.*s\n", (int)sizeof(done.text) - 1, done.text);
	return CLI_OK;
}
