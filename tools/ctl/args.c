// Arguments of commands: positional words, key=value, --flags, driven by a small table per command.
// Pure but for the strings it points into; texts name what was expected.
#include "lib/base/err.h"
#include "lib/crypto/key.h"
#include "lib/wire/entry.h"
#include "tools/ctl/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int args_u32(const char *text, uint32_t *out)
{
	unsigned long long v;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10);
	if (*end != '\0' || errno != 0 || v > UINT32_MAX)
		return -EINVAL;
	*out = (uint32_t)v;
	return 0;
}

int args_duration(const char *text, uint32_t *ms)
{
	static const struct {
		const char *unit;
		double ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	double v;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	v = strtod(text, &end);
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strcmp(end, units[i].unit) != 0)
			continue;
		v *= units[i].ms;
		if (v >= (double)UINT32_MAX)
			return -EINVAL;
		*ms = (uint32_t)(v + 0.5);
		return 0;
	}
	return -EINVAL;
}

static int parse_word(const struct arg *a, const char *text)
{
	for (uint8_t i = 0; a->words[i] != NULL; i++)
		if (strcmp(a->words[i], text) == 0) {
			*(uint8_t *)a->out = i;
			return 0;
		}
	return -EINVAL;
}

static int parse_value(const struct arg *a, const char *text)
{
	struct key_pk pk;
	uint32_t v;

	switch (a->kind) {
	case ARG_U32:
		if (strcmp(text, "auto") == 0) {
			*(uint32_t *)a->out = 0;
			return 0;
		}
		return args_u32(text, a->out) < 0 || *(uint32_t *)a->out == 0 ? -EINVAL : 0;
	case ARG_U16:
		if (args_u32(text, &v) < 0 || v > UINT16_MAX)
			return -EINVAL;
		*(uint16_t *)a->out = (uint16_t)v;
		return 0;
	case ARG_COUNT:
		if (args_u32(text, &v) < 0 || v == 0 || v > a->cap)
			return -EINVAL;
		*(uint32_t *)a->out = v;
		return 0;
	case ARG_MTU:
		v = API_PATH_MTU_AUTO;
		if (strcmp(text, "auto") != 0 &&
			(args_u32(text, &v) < 0 || v < 1280 || v > UINT16_MAX))
			return -EINVAL;
		*(uint16_t *)a->out = (uint16_t)v;
		return 0;
	case ARG_NAME:
		if (strlen(text) >= a->cap || api_name_check(text, a->cap) < 0)
			return -EINVAL;
		strcpy(a->out, text);
		return 0;
	case ARG_PK:
		if (key_pk_from_text(&pk, text, strlen(text)) < 0 || key_pk_is_null(&pk))
			return -EINVAL;
		memcpy(a->out, pk.b, sizeof(pk.b));
		return 0;
	case ARG_ADDR:
		return api_addr_parse(text, a->out);
	case ARG_MS:
		return args_duration(text, a->out) < 0 || *(uint32_t *)a->out < 100 ? -EINVAL : 0;
	case ARG_WORD:
		return parse_word(a, text);
	case ARG_TEXT:
		*(const char **)a->out = text;
		return text[0] != '\0' ? 0 : -EINVAL;
	case ARG_UUID:
		return entry_id_parse(a->out, text);
	case ARG_NETS:
		return api_nets_parse(text, a->out);
	default:
		return -EINVAL;
	}
}

static void expected(const struct arg *a, char *buf, size_t cap)
{
	static const char *const texts[] = {
		[ARG_U32] = "a number from 1 to 4294967295, decimal or 0x..., or auto",
		[ARG_U16] = "a number up to 65535",
		[ARG_MTU] = "bytes of IP from 1280 to 65535, or auto",
		[ARG_NAME] = "a name without blanks and '/', not too long",
		[ARG_PK] = "a public key: 66 hex digits",
		[ARG_ADDR] = "IP:PORT, IPv6 in brackets (link-local ones: with interface=)",
		[ARG_MS] = "a duration from 100ms to 49d: 250ms, 30s, 2m, 1h",
		[ARG_NETS] = "IP/PREFIX, several with commas, at most 4",
		[ARG_TEXT] = "a value",
		[ARG_UUID] = "an id of a transport: 1d60fbdd-a0fc-0a64-85c6-f155e43f3465",
		[ARG_FLAG] = "no value",
	};
	size_t o = 0;

	if (a->kind == ARG_COUNT) {
		snprintf(buf, cap, "a number from 1 to %zu", a->cap);
		return;
	}
	if (a->kind != ARG_WORD) {
		snprintf(buf, cap, "%s", texts[a->kind]);
		return;
	}
	for (size_t i = 0; a->words[i] != NULL && o < cap; i++)
		o += (size_t)snprintf(buf + o, cap - o, "%s%s", i > 0 ? ", " : "", a->words[i]);
}

static struct arg *find(struct arg *args, size_t n, const char *name, size_t len, bool flag)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(args[i].name) == len && memcmp(args[i].name, name, len) == 0 &&
			(args[i].kind == ARG_FLAG) == flag)
			return &args[i];
	return NULL;
}

// "via=, type= or --static": what may stand there.
static void choices(const struct arg *args, size_t n, char *buf, size_t cap)
{
	size_t o = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < n && o < cap; i++) {
		bool flag = args[i].kind == ARG_FLAG;

		o += (size_t)snprintf(buf + o, cap - o, "%s%s%s%s",
			i == 0 ? "" : (i + 1 < n ? ", " : " or "), flag ? "--" : "", args[i].name,
			flag ? "" : "=");
	}
}

static int parse_one(struct arg *args, size_t n, const char *word, char *err, size_t err_len)
{
	bool flag = word[0] == '-' && word[1] == '-';
	const char *name = flag ? word + 2 : word;
	const char *eq = flag ? NULL : strchr(word, '=');
	struct arg *a;
	char want[200];

	a = find(args, n, name, eq != NULL ? (size_t)(eq - word) : strlen(name), flag);
	if (a == NULL) {
		choices(args, n, want, sizeof(want));
		snprintf(err, err_len, "unknown argument '%s': %s%s", word,
			n > 0 ? "expected " : "nothing more is expected", want);
		return -EINVAL;
	}
	if (!flag && eq == NULL) {
		expected(a, want, sizeof(want));
		snprintf(err, err_len, "%s= has no value: expected %s", word, want);
		return -EINVAL;
	}
	if (a->seen) {
		snprintf(err, err_len, "'%s' stands twice", a->name);
		return -EINVAL;
	}
	a->seen = true;
	if (flag) {
		*(bool *)a->out = true;
		return 0;
	}
	if (parse_value(a, eq + 1) == 0)
		return 0;
	if (a->kind == ARG_PK) {
		snprintf(err, err_len, "%s %s", word, key_pk_wrong(eq + 1, strlen(eq + 1)));
		return -EINVAL;
	}
	expected(a, want, sizeof(want));
	snprintf(err, err_len, "%s: expected %s", word, want);
	return -EINVAL;
}

int args_parse(int argc, char **argv, const char **pos, int n_pos, struct arg *args, size_t n,
	char *err, size_t err_len)
{
	if (argc < n_pos) {
		snprintf(err, err_len, "arguments are missing");
		return -EINVAL;
	}
	for (int i = 0; i < n_pos; i++) {
		if (argv[i][0] == '-' || strchr(argv[i], '=') != NULL) {
			snprintf(err, err_len, "a name is expected before '%s'", argv[i]);
			return -EINVAL;
		}
		pos[i] = argv[i];
	}
	for (int i = n_pos; i < argc; i++)
		if (parse_one(args, n, argv[i], err, err_len) < 0)
			return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (args[i].required && !args[i].seen) {
			snprintf(err, err_len, "%s=... is missing", args[i].name);
			return -EINVAL;
		}
	return 0;
}

int cli_args(struct cli *c, const char **pos, int n_pos, struct arg *args, size_t n)
{
	char err[300], see[CLI_SEE_MAX];

	if (args_parse(c->argc, c->argv, pos, n_pos, args, n, err, sizeof(err)) == 0)
		return CLI_OK;
	if (c->argc < n_pos && c->command != NULL)
		return cli_error(CLI_USAGE, "usage: skyrail %s%s%s %s", c->command->words[0],
			c->command->words[1] != NULL ? " " : "",
			c->command->words[1] != NULL ? c->command->words[1] : "", c->command->args);
	return cli_error(CLI_USAGE, "%s%s", err, cli_see(c, see));
}
