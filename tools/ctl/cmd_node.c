// `skyrail config reload` and `skyrail log level`.
#include "lib/api/api_rec.h"
#include "lib/base/err.h"
#include "lib/base/vec.h"
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

// ---- reload ----

enum { NAMED_MAX = 6 }; // sections that changed; what waits is all named

struct changes {
	VEC(struct api_change) all;
};

static int on_change(void *ctx, int more, const void *payload, size_t len)
{
	struct changes *ch = ctx;
	struct api_change c;
	int rc = api_record_take(&c, sizeof(c), more, payload, len);

	if (rc <= 0)
		return rc;
	c.section[sizeof(c.section) - 1] = c.key[sizeof(c.key) - 1] = '\0';
	return vec_push(&ch->all, c);
}

static const char *word_of(const struct api_change *c)
{
	static const char *const words[] = {[API_CHANGED] = "changed",
		[API_CHANGE_NEW] = "new",
		[API_CHANGE_GONE] = "gone",
		[API_CHANGE_READ] = "read again",
		[API_CHANGE_AGAIN] = "made again"};

	return c->change < ARRAY_LEN(words) && words[c->change] != NULL ? words[c->change] : "?";
}

static void list_json(const struct changes *ch, const char *name, bool waits)
{
	char text[6 * sizeof(ch->all.v->section) + sizeof("\"\"")]; // the longer of two
	const char *comma = "";

	printf("%s\"%s\":[", waits ? ",\n" : "{", name);
	for (size_t i = 0; i < ch->all.n; i++) {
		const struct api_change *c = &ch->all.v[i];

		if ((c->waits != 0) != waits)
			continue;
		api_json_string(c->section, sizeof(c->section), text, sizeof(text));
		printf("%s\n{\"section\":%s,\"key\":", comma, text);
		api_json_string(c->key, sizeof(c->key), text, sizeof(text));
		printf("%s,\"change\":\"%s\"}", c->key[0] != '\0' ? text : "null", word_of(c));
		comma = ",";
	}
	fputs("]", stdout);
}

// "[a], [b c] is new": how many; those beyond max are counted only.
static size_t list_text(const struct changes *ch, const char *head, bool waits, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < ch->all.n; i++) {
		const struct api_change *c = &ch->all.v[i];

		if ((c->waits != 0) != waits || c->change == API_CHANGE_READ || n++ >= max)
			continue;
		printf("%s[%s]%s%s", n == 1 ? head : ", ", c->section, c->key[0] != '\0' ? " " : "",
			c->key);
		if (c->change != API_CHANGED)
			printf(" is %s", word_of(c));
	}
	if (n > max)
		printf(" and %zu more", n - max);
	return n;
}

static void reload_text(const struct changes *ch)
{
	bool lists = false, waits = false;

	for (size_t i = 0; i < ch->all.n; i++) {
		lists = lists || ch->all.v[i].change == API_CHANGE_READ;
		waits = waits || ch->all.v[i].waits != 0;
	}
	if (list_text(ch, "changed: ", false, NAMED_MAX) == 0)
		fputs(lists     ? "no key changed; lists of peers were read again"
			: waits ? "nothing changed that is taken now"
				: "nothing changed",
			stdout);
	list_text(ch, "\nwaits for a restart: ", true, SIZE_MAX);
	putchar('\n');
}

int cmd_config_reload(struct cli *c)
{
	struct changes ch = {0};

	if (c->argc != 0)
		return cli_error(CLI_USAGE, "usage: skyrail config reload");
	if (cli_call(c, API_CONFIG_RELOAD, NULL, 0, on_change, &ch) < 0) {
		vec_free(&ch.all);
		return cli_failed(c);
	}
	if (c->json) {
		list_json(&ch, "changed", false);
		list_json(&ch, "waits", true);
		puts("}");
	} else {
		reload_text(&ch);
	}
	vec_free(&ch.all);
	return CLI_OK;
}
