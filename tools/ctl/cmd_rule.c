// `skyrail rule add|del`.
#include "lib/base/err.h"
#include "tools/ctl/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEEP_ALIVE_MS = 30000 }; // Skywire's default of 2024 (skywire-routing 2.5)

struct result {
	struct api_bulk_done head;
	struct api_rule_done first;
	bool got;
};

static int on_result(void *ctx, int more, const void *payload, size_t len)
{
	struct result *r = ctx;

	if (len < sizeof(r->head) + sizeof(r->first))
		return -EPROTO;
	memcpy(&r->head, payload, sizeof(r->head));
	memcpy(&r->first, (const char *)payload + sizeof(r->head), sizeof(r->first));
	r->head.text[sizeof(r->head.text) - 1] = '\0';
	r->got = true;
	return 0;
}

static int finish(struct cli *c, int rc, const struct result *r)
{
	if (rc < 0)
		return cli_failed(c);
	if (!r->got)
		return cli_error(CLI_FAIL, "the control plane sent an empty answer");
	if (r->head.n_failed > 0)
		return cli_error(CLI_FAIL, "%s", r->head.text);
	return CLI_OK;
}

static int rule_in(struct api_rule_add *rule, const char *in)
{
	if (in[0] == '\0') {
		rule->in = API_IN_DEFAULT;
	} else if (strcmp(in, "any") == 0) {
		rule->in = API_IN_ANY;
	} else if (strcmp(in, "local") == 0) {
		rule->in = API_IN_LOCAL;
	} else {
		rule->in = API_IN_TRANSPORT;
		strcpy(rule->in_transport, in);
	}
	return CLI_OK;
}

static int check(const struct api_rule_add *rule, bool has_keep_alive, bool is_static)
{
	bool consume = rule->type == API_RULE_CONSUME;

	if (has_keep_alive && is_static)
		return cli_error(CLI_USAGE, "keep-alive=... and --static exclude each other");
	if (consume && (rule->next_id != 0 || rule->transport[0] != '\0'))
		return cli_error(
			CLI_USAGE, "a consume rule has neither next=... nor transport=...");
	if (rule->type == API_RULE_FORWARD && rule->in != API_IN_DEFAULT)
		return cli_error(
			CLI_USAGE, "a forward rule has no in=...: its packets come from this node");
	if (!consume && (rule->next_id == 0 || rule->transport[0] == '\0'))
		return cli_error(CLI_USAGE, "next=ID and transport=NAME are needed");
	return CLI_OK;
}

static int type_of(const char *word, uint8_t *type)
{
	static const char *const types[] = {"consume", "forward", "intermediary"};
	size_t len = strlen(word);

	for (uint8_t i = 0; i < ARRAY_LEN(types); i++)
		if (len > 0 && strncmp(types[i], word, len) == 0) {
			*type = i;
			return CLI_OK;
		}
	return cli_error(CLI_USAGE, "'%s' is no rule type: consume, forward or intermediary", word);
}

int cmd_rule_add(struct cli *c)
{
	struct {
		struct api_bulk head;
		struct api_rule_add rule;
	} m = {.head.n = 1, .rule.keep_alive_ms = KEEP_ALIVE_MS};
	char in[API_NAME_LEN] = "";
	bool is_static = false;
	struct arg args[] = {
		{"id", ARG_U32, &m.rule.id, 0, NULL, false, false},
		{"next", ARG_U32, &m.rule.next_id, 0, NULL, false, false},
		{"transport", ARG_NAME, m.rule.transport, API_NAME_LEN, NULL, false, false},
		{"in", ARG_NAME, in, sizeof(in), NULL, false, false},
		{"keep-alive", ARG_MS, &m.rule.keep_alive_ms, 0, NULL, false, false},
		{"static", ARG_FLAG, &is_static, 0, NULL, false, false},
	};
	struct result r = {0};
	const char *type;
	int rc = cli_args(c, &type, 1, args, ARRAY_LEN(args));

	if (rc == CLI_OK)
		rc = type_of(type, &m.rule.type);
	if (rc == CLI_OK)
		rc = rule_in(&m.rule, in);
	if (rc == CLI_OK)
		rc = check(&m.rule, args[4].seen, is_static);
	if (rc != CLI_OK)
		return rc;
	if (is_static)
		m.rule.keep_alive_ms = 0;
	rc = finish(c, cli_call(c, API_RULE_ADD, &m, sizeof(m), on_result, &r), &r);
	if (rc != CLI_OK)
		return rc;
	if (c->json)
		printf("{\"id\":%u,\"waits\":%s}\n", r.first.id,
			r.first.status == -EINPROGRESS ? "true" : "false");
	else
		printf("%u\n", r.first.id);
	return CLI_OK;
}

// Each that could not be removed has a line of its own; the others are gone.
static int on_removed(void *ctx, int more, const void *payload, size_t len)
{
	unsigned *n_failed = ctx;
	struct api_rule_done d;

	for (size_t at = sizeof(struct api_bulk_done); at + sizeof(d) <= len; at += sizeof(d)) {
		memcpy(&d, (const char *)payload + at, sizeof(d));
		if (d.status == 0)
			continue;
		++*n_failed;
		if (d.status == -ENOENT)
			cli_error(CLI_FAIL, "no rule %u: see `skyrail show rules`", d.id);
		else
			cli_error(CLI_FAIL, "rule %u: %s", d.id, strerror(-d.status));
	}
	return 0;
}

int cmd_rule_del(struct cli *c)
{
	struct api_bulk head = {0};
	unsigned n_failed = 0;
	uint32_t *buf;
	int rc;

	if (c->argc < 1 || c->argc > API_BULK_MAX)
		return cli_error(CLI_USAGE, "usage: skyrail rule del ID...");
	buf = calloc((size_t)c->argc + 2, sizeof(*buf));
	if (buf == NULL)
		return cli_error(CLI_FAIL, "out of memory");
	head.n = (uint32_t)c->argc;
	memcpy(buf, &head, sizeof(head));
	for (int i = 0; i < c->argc; i++)
		if (args_u32(c->argv[i], &buf[2 + i]) < 0) {
			free(buf);
			return cli_error(CLI_USAGE, "'%s' is no route id", c->argv[i]);
		}
	rc = cli_call(c, API_RULE_DEL, buf, sizeof(head) + (size_t)c->argc * sizeof(*buf),
		on_removed, &n_failed);
	free(buf);
	if (rc < 0)
		return cli_failed(c);
	return n_failed > 0 ? CLI_FAIL : CLI_OK;
}
