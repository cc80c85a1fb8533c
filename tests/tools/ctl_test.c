// Words into commands and arguments into requests.
#include "lib/api/api_rec.h"
#include "lib/base/err.h"
#include "tools/ctl/cli.h"
#include "tools/ctl/stream.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PK "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"

static char err[API_TEXT_MAX];

static int find(const char *words, const struct command **cmd)
{
	char buf[300], *argv[16], *save = NULL;
	int argc = 0;

	strcpy(buf, words);
	for (char *w = strtok_r(buf, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	*cmd = NULL;
	return cli_find(argc, argv, cmd, err, sizeof(err));
}

static void words_may_be_shortened(void **state)
{
	static const struct {
		const char *words;
		int (*fn)(struct cli *c);
		int used;
	} cases[] = {
		{"show transports", cmd_show_transports, 2},
		{"sh t", cmd_show_transports, 2},
		{"s rul", cmd_show_rules, 2},
		{"t a", cmd_transport_add, 2},
		{"ru d", cmd_rule_del, 2},
		{"ro f", cmd_route_find, 2},
		{"e at", cmd_edge_attach, 2},
		{"p b", cmd_ping, 1},
		{"ping x -c 1", cmd_ping, 1},
		{"c s", cmd_config_show, 2},
		{"k g", cmd_key_gen, 2},
		{"im", cmd_import_config, 1},
		{"l l", cmd_log_level, 2},
		{"edge del", cmd_edge_del, 2},
		{"w r", cmd_rebalance, 2},
		{"t m", cmd_transport_move, 2},
		{"show ports x y", cmd_show_ports, 2},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct command *cmd;

		assert_int_equal(find(cases[i].words, &cmd), cases[i].used);
		assert_ptr_equal(cmd->fn, cases[i].fn);
	}
}

static void ambiguous_and_unknown_words_name_the_choices(void **state)
{
	static const struct {
		const char *words;
		int rc;
		const char *says;
	} cases[] = {
		{"show n", -EEXIST, "node, neighbours"},
		{"show r", -EEXIST, "rules, rings"},
		{"edge d", -EEXIST, "detach, del"},
		{"edge a", -EEXIST, "add, attach"},
		{"show colours", -ENOENT, "colours"},
		{"warp", -ENOENT, "warp"},
		{"show", -ENOENT, "ports"},
		{"", -ENOENT, "missing"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct command *cmd;

		assert_int_equal(find(cases[i].words, &cmd), cases[i].rc);
		assert_non_null(strstr(err, cases[i].says));
	}
}

static void every_command_is_reachable_and_explained(void **state)
{
	size_t n;
	const struct command *c = cli_commands(&n), *cmd;
	char words[80];

	for (size_t i = 0; i < n; i++) {
		snprintf(words, sizeof(words), "%s %s", c[i].words[0],
			c[i].words[1] != NULL ? c[i].words[1] : "");
		assert_true(find(words, &cmd) > 0);
		assert_ptr_equal(cmd, &c[i]);
		assert_int_equal(find("?", &cmd), -ENOENT); // the list has room for all
		assert_non_null(strstr(err, c[i].words[0]));
		snprintf(words, sizeof(words), "%s ?", c[i].words[0]);
		if (c[i].words[1] != NULL && find(words, &cmd) == -ENOENT)
			assert_non_null(strstr(err, c[i].words[1]));
		assert_true(strlen(c[i].help) > 5);
	}
}

// What help says of these words.
static char *help_of(int argc, char **argv)
{
	FILE *was = stdout;
	char *text = NULL;
	size_t len;

	stdout = open_memstream(&text, &len);
	assert_non_null(stdout);
	assert_int_equal(cli_help(argc, argv), CLI_OK);
	fclose(stdout);
	stdout = was;
	return text;
}

static void assert_fits_80_columns(const char *text)
{
	for (const char *l = text; *l != '\0';) {
		size_t len = strcspn(l, "\n");

		assert_in_range(len, 0, 80);
		l += len + (l[len] == '\n');
	}
}

static void help_fits_80_columns(void **state)
{
	size_t n;
	const struct command *c = cli_commands(&n), *cmd;
	char *text = help_of(0, NULL);

	assert_fits_80_columns(text);
	free(text);
	for (size_t i = 0; i < n; i++) {
		char *argv[] = {(char *)(uintptr_t)c[i].words[0], (char *)(uintptr_t)c[i].words[1]};

		text = help_of(argv[1] != NULL ? 2 : 1, argv);
		assert_fits_80_columns(text);
		assert_true((strstr(text, "--json") != NULL) == cli_has_json(&c[i]));
		free(text);
	}
	assert_int_equal(find("show", &cmd), -ENOENT);
	assert_fits_80_columns(err);
	assert_non_null(strstr(err, "needs one of\n    node, ports,"));
	assert_non_null(strstr(err, "services"));
	assert_int_equal(find("show foo", &cmd), -ENOENT);
	assert_fits_80_columns(err);
}

static void an_example_in_several_lines_can_be_pasted(void **state)
{
	char first[] = "route", second[] = "dial", *argv[] = {first, second};
	char *text = help_of(2, argv);
	const char *example = strstr(text, "example:\n");

	assert_non_null(example);
	example += strlen("example:\n");
	for (const char *end = strchr(example, '\n'); end[1] != '\0'; end = strchr(end + 1, '\n'))
		assert_memory_equal(end - 2, " \\", 2);
	free(text);
}

static void examples_are_of_their_command(void **state)
{
	size_t n;
	const struct command *c = cli_commands(&n), *cmd;
	char words[300];

	for (size_t i = 0; i < n; i++) {
		assert_non_null(c[i].example);
		snprintf(words, sizeof(words), "%s %s %s", c[i].words[0],
			c[i].words[1] != NULL ? c[i].words[1] : "", c[i].example);
		assert_true(find(words, &cmd) > 0);
		assert_ptr_equal(cmd, &c[i]);
		assert_true(c[i].args[0] != '\0' || strlen(c[i].example) < 3);
	}
}

static int options(struct cli *c, const char *line)
{
	static char buf[200], *argv[16];
	char *save = NULL;
	int argc = 0;

	strcpy(buf, line);
	for (char *w = strtok_r(buf, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	*c = (struct cli){.socket = "-"};
	return cli_options(c, argc, argv);
}

static void options_stand_anywhere(void **state)
{
	static const struct {
		const char *line, *left; // what the command gets
		bool json, all, help;
		double watch_s;
		const char *socket;
	} cases[] = {
		{"show rules", "show rules", false, false, false, 0, "-"},
		{"--json show rules", "show rules", true, false, false, 0, "-"},
		{"show rules --json", "show rules", true, false, false, 0, "-"},
		{"show -j rules", "show rules", true, false, false, 0, "-"},
		{"-ja show rules", "show rules", true, true, false, 0, "-"},
		{"show rules -aw1", "show rules", false, true, false, 1, "-"},
		{"show -w 0.5 rules 7", "show rules 7", false, false, false, 0.5, "-"},
		{"show --watch=2 rules", "show rules", false, false, false, 2, "-"},
		{"show -s /x rules", "show rules", false, false, false, 0, "/x"},
		{"--socket=/x show rules", "show rules", false, false, false, 0, "/x"},
		{"show rules --socket /x", "show rules", false, false, false, 0, "/x"},
		{"show transports --help", "show transports", false, false, true, 0, "-"},
		{"-h", "", false, false, true, 0, "-"},
		{"ping c -c 3 -j -i 0.1", "ping c -c 3 -i 0.1", true, false, false, 0, "-"},
		{"edge detach x --close", "edge detach x --close", false, false, false, 0, "-"},
		{"rule del -- -j", "rule del -j", false, false, false, 0, "-"},
	};
	struct cli c;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char left[200] = "";

		assert_int_equal(options(&c, cases[i].line), CLI_OK);
		for (int k = 0; k < c.argc; k++) {
			strcat(left, k > 0 ? " " : "");
			strcat(left, c.argv[k]);
		}
		assert_string_equal(left, cases[i].left);
		assert_int_equal(c.json, cases[i].json);
		assert_int_equal(c.all, cases[i].all);
		assert_int_equal(c.want_help, cases[i].help);
		assert_true(c.watch_s == cases[i].watch_s);
		assert_string_equal(c.socket, cases[i].socket);
	}
}

static void wrong_options_are_refused(void **state)
{
	static const char *const bad[] = {"-x show rules", "--nosuch show rules", "show rules -s",
		"show rules -w", "-w x show rules", "-w 0 show rules", "-w -1 show",
		"--watch= show", "--json=1 show", "show rules --watch", "- show"};
	struct cli c;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (options(&c, bad[i]) != CLI_USAGE)
			fail_msg("taken: %s", bad[i]);
}

// Values as wide as they get in practice.
static void fill(const struct api_record *kind, uint8_t *rec)
{
	for (size_t i = 0; i < kind->n_fields; i++) {
		const struct api_field *f = &kind->fields[i];
		uint8_t *p = rec + f->offset;

		if (f->kind == API_K_STR)
			memset(p, 'x', f->size < 12 ? f->size - 1u : 11);
		else if (f->kind == API_K_WORD || f->kind == API_K_BOOL)
			p[0] = 1;
		else if (f->kind == API_K_ADDR)
			api_addr_parse("192.168.100.100:65535", (struct api_addr *)p);
		else
			memset(p, 0x7f, f->size < 4 ? f->size : 4);
	}
}

static char *printed(const struct api_record *kind, const void *rec)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	block_print(f, kind, rec);
	fclose(f);
	return text;
}

static void a_block_has_every_field_in_80_columns(void **state)
{
	static const uint16_t types[] = {API_TRANSPORTS, API_FLOWS, API_PORTS, API_EDGES};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		const struct api_record *kind = api_record_find(types[i]);
		uint64_t rec[128] = {0};
		char *text, *save = NULL, label[40];

		assert_true(block_fits(kind));
		assert_true(kind->size <= sizeof(rec));
		fill(kind, (uint8_t *)rec);
		text = printed(kind, rec);
		for (size_t k = 1; k < kind->n_fields; k++) {
			snprintf(label, sizeof(label), "%s", kind->fields[k].label);
			for (char *p = label; *p != '\0'; p++)
				*p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
			if (strstr(text, label) == NULL)
				fail_msg("%s is missing", label);
		}
		for (char *l = strtok_r(text, "\n", &save); l != NULL;
			l = strtok_r(NULL, "\n", &save))
			if (strlen(l) > 80)
				fail_msg("too long: %s", l);
		free(text);
	}
	assert_false(block_fits(api_record_find(API_COUNTERS)));
}

// Is the name in the page, as a word?
static bool has_word(const char *page, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = strstr(page, name); p != NULL; p = strstr(p + 1, name))
		if (strchr(" \n", p[-1]) != NULL && strchr(" ,:.\n", p[len]) != NULL)
			return true;
	return false;
}

// "KEY-ALIVE" and keep_alive_ms: who knows the head of the column finds it.
static bool is_label(const struct api_field *f)
{
	size_t len = strlen(f->label);

	for (size_t i = 0; i < len; i++) {
		char c = f->label[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c + 32);
		if (f->name[i] != (c == ' ' || c == '-' ? '_' : c))
			return false;
	}
	return f->name[len] == '\0' || (f->name[len] == '_' && strlen(f->name + len) <= 5);
}

static void names_of_fields_that_are_no_heads_are_in_the_manual(void **state)
{
	static char page[128 * 1024];
	size_t n, len;
	const struct api_record *r = api_records(&n);
	FILE *f = fopen("docs/man/skyrail.1.scd", "r");
	unsigned missing = 0;

	assert_non_null(f);
	len = fread(page, 1, sizeof(page) - 1, f);
	fclose(f);
	page[len] = '\0';
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < r[i].n_fields; k++) {
			const struct api_field *fi = &r[i].fields[k];

			if (is_label(fi) || has_word(page, fi->name))
				continue;
			print_error("%s: %s is %s\n", r[i].name, fi->label, fi->name);
			missing++;
		}
	assert_int_equal(missing, 0);
}

static void a_long_note_is_broken_at_blanks(void **state)
{
	const struct api_record *kind = api_record_find(API_TRANSPORTS);
	struct api_transport t = {.name = "c",
		.note = "the peer at 192.0.2.3:7780 does not answer: is it up, does it know this "
			"node's key, and is its port open?"};
	char *text = printed(kind, &t), *save = NULL;
	size_t longest = 0;

	assert_non_null(strstr(text, "note: the peer"));
	assert_non_null(strstr(text, "open?\n"));
	for (char *l = strtok_r(text, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save))
		longest = strlen(l) > longest ? strlen(l) : longest;
	assert_in_range(longest, 60, 80);
	free(text);
}

struct values {
	uint32_t id;
	uint16_t mtu, path;
	char name[8];
	uint8_t pk[33];
	struct api_addr addr;
	uint32_t ms;
	uint8_t word;
	struct api_edge_add nets;
	uint8_t uuid[16];
	bool flag;
};

static int parse(struct values *v, char **argv, int argc, bool required)
{
	static const char *const words[] = {"red", "green", NULL};
	const char *pos[1];
	struct arg args[] = {
		{"id", ARG_U32, &v->id, 0, NULL, required, false},
		{"mtu", ARG_U16, &v->mtu, 0, NULL, false, false},
		{"path", ARG_MTU, &v->path, 0, NULL, false, false},
		{"name", ARG_NAME, v->name, sizeof(v->name), NULL, false, false},
		{"pk", ARG_PK, v->pk, 0, NULL, false, false},
		{"addr", ARG_ADDR, &v->addr, 0, NULL, false, false},
		{"ms", ARG_MS, &v->ms, 0, NULL, false, false},
		{"word", ARG_WORD, &v->word, 0, words, false, false},
		{"nets", ARG_NETS, &v->nets, 0, NULL, false, false},
		{"uuid", ARG_UUID, v->uuid, 0, NULL, false, false},
		{"flag", ARG_FLAG, &v->flag, 0, NULL, false, false},
	};

	memset(v, 0, sizeof(*v));
	return args_parse(argc, argv, pos, 1, args, ARRAY_LEN(args), err, sizeof(err));
}

static void takes_every_kind(void **state)
{
	char *argv[] = {(char *)"x", (char *)"id=0x10", (char *)"mtu=1400", (char *)"name=abc",
		(char *)"pk=" PK, (char *)"addr=[::1]:7", (char *)"ms=1.5s", (char *)"word=green",
		(char *)"nets=10.0.0.1/8,::1/128", (char *)"--flag", (char *)"path=auto",
		(char *)"uuid=1d60fbdd-A0fc-0a64-85c6-f155e43f3465"};
	struct values v;

	assert_int_equal(parse(&v, argv, ARRAY_LEN(argv), true), 0);
	assert_int_equal(v.id, 16);
	assert_int_equal(v.mtu, 1400);
	assert_int_equal(v.path, API_PATH_MTU_AUTO);
	assert_string_equal(v.name, "abc");
	assert_int_equal(v.pk[0], 2);
	assert_int_equal(v.addr.port, 7);
	assert_int_equal(v.ms, 1500);
	assert_int_equal(v.word, 1);
	assert_int_equal(v.nets.n_addrs, 2);
	assert_int_equal(v.nets.addrs[0].prefix, 8);
	assert_int_equal(v.uuid[0], 0x1d);
	assert_int_equal(v.uuid[4], 0xa0);
	assert_int_equal(v.uuid[15], 0x65);
	assert_true(v.flag);
}

static void refuses_every_kind_of_nonsense(void **state)
{
	static const char *const bad[] = {"id=", "id=0", "id=-1", "id=4294967296", "id=1x", "id=0x",
		"mtu=65536", "name=", "name=a/b", "name=a b", "name=12345678", "pk=02", "pk=0",
		"pk=0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
		"addr=1.2.3.4", "addr=::1:7", "ms=5", "ms=s", "ms=-1s", "ms=5y", "ms=0s", "ms=99ms",
		"ms=99999d", "word=blue", "nets=", "nets=10.0.0.1", "nets=10.0.0.1/33",
		"nets=::1/129", "nets=x/8",
		"nets=1.1.1.1/8,1.1.1.2/8,1.1.1.3/8,1.1.1.4/8,1.1.1.5/8", "flag=1", "--nosuch",
		"nosuch=1", "--id", "word", "=", "path=1279", "path=65536", "path=1",
		"path=", "uuid=", "uuid=1d60fbdda0fc0a6485c6f155e43f3465",
		"uuid=1d60fbdd-a0fc-0a64-85c6-f155e43f346", "uuid=x"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char *argv[] = {(char *)"x", (char *)bad[i]};
		struct values v;

		if (parse(&v, argv, 2, false) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
		assert_true(strlen(err) > 5);
	}
}

static void says_which_word_and_what_was_expected(void **state)
{
	static const struct {
		const char *word, *says;
	} cases[] = {
		{"hops=0", "hops=0: expected a number from 1 to 50"},
		{"hops=51", "hops=51: expected a number from 1 to 50"},
		{"hops=auto", "hops=auto: expected a number from 1 to 50"},
		{"hops", "hops= has no value: expected a number from 1 to 50"},
		{"hop=3", "unknown argument 'hop=3': expected hops=, word= or --flag"},
		{"word", "word= has no value: expected red, green"},
		{"--hops", "unknown argument '--hops': expected hops=, word= or --flag"},
		{"flag", "unknown argument 'flag': expected hops=, word= or --flag"},
	};
	static const char *const words[] = {"red", "green", NULL};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *argv[] = {(char *)(uintptr_t)cases[i].word};
		uint32_t hops;
		uint8_t word;
		bool flag;
		struct arg args[] = {
			{"hops", ARG_COUNT, &hops, 50, NULL, false, false},
			{"word", ARG_WORD, &word, 0, words, false, false},
			{"flag", ARG_FLAG, &flag, 0, NULL, false, false},
		};

		assert_int_equal(
			args_parse(1, argv, NULL, 0, args, ARRAY_LEN(args), err, sizeof(err)),
			-EINVAL);
		assert_string_equal(err, cases[i].says);
		assert_int_equal(args_parse(1, argv, NULL, 0, NULL, 0, err, sizeof(err)), -EINVAL);
		assert_non_null(strstr(err, "nothing more is expected"));
	}
}

static void misses_what_is_required_and_sees_doubles(void **state)
{
	char *none[] = {(char *)"x"}, *twice[] = {(char *)"x", (char *)"id=1", (char *)"id=2"};
	char *no_name[] = {(char *)"id=1"};
	struct values v;

	assert_int_equal(parse(&v, none, 1, true), -EINVAL);
	assert_non_null(strstr(err, "id="));
	assert_int_equal(parse(&v, twice, 3, true), -EINVAL);
	assert_non_null(strstr(err, "twice"));
	assert_int_equal(parse(&v, no_name, 1, true), -EINVAL);
	assert_int_equal(parse(&v, none, 0, false), -EINVAL);
}

static void wrong_usage_is_told_without_a_node(void **state)
{
	char *argv[] = {(char *)"teleport"};
	struct cli c = {.socket = "/nonexistent", .argc = 1, .argv = argv};

	assert_int_equal(cmd_rule_add(&c), CLI_USAGE);
	assert_int_equal(cmd_show_rules(&c), CLI_USAGE); // no id
	assert_int_equal(cmd_show_node(&c), CLI_USAGE);
	argv[0] = (char *)"--nosuch";
	assert_int_equal(cmd_show_transports(&c), CLI_USAGE);
	assert_int_equal(cmd_config_reload(&c), CLI_USAGE);
	c.argc = 0;
	assert_int_equal(cmd_show_rules(&c), CLI_FAIL);
	assert_null(c.client);
}

// What can be judged without the names of a node.
static void ways_are_judged_without_a_node(void **state)
{
	static const struct {
		int (*fn)(struct cli *c);
		const char *argv[4];
		int rc;
	} cases[] = {
		{cmd_route_dial, {PK}, CLI_USAGE}, // no port
		{cmd_route_dial, {PK ":0"}, CLI_USAGE},
		{cmd_route_dial, {"0123456789012345678901234567890123456789:3"}, CLI_USAGE},
		{cmd_route_dial, {PK ":3", "hops=2", "min-hops=1"}, CLI_USAGE},
		{cmd_route_dial, {PK ":3", "hops=256"}, CLI_USAGE},
		{cmd_route_dial, {PK ":3", "via=" PK, "hops=2"}, CLI_USAGE},
		{cmd_route_dial, {PK ":3", "via=" PK ",,"}, CLI_USAGE},
		{cmd_route_dial, {PK ":3", "via="}, CLI_USAGE},
		{cmd_route_dial, {PK ":3", "timeout=121s"}, CLI_USAGE},
		{cmd_route_dial, {PK ":3", "via=" PK "," PK}, CLI_FAIL}, // it would be asked
		{cmd_route_dial, {"b:3"}, CLI_FAIL},
		{cmd_route_dial, {PK ":3", "via=" PK, "type=scp"}, CLI_USAGE},
		{cmd_route_dial, {PK ":3", "via=" PK, "type=sudph"}, CLI_FAIL},
		{cmd_route_dial, {PK ":3", "type=dmsg"}, CLI_USAGE}, // of no way
		{cmd_route_dial, {PK ":3", "hops=51"}, CLI_USAGE},
		{cmd_route_dial, {PK ":3", "hops=50"}, CLI_FAIL},
		{cmd_route_dial, {PK ":3", "min-hops=3", "max-hops=2"}, CLI_USAGE},
		{cmd_route_find, {PK, "max-hops=51"}, CLI_USAGE},
		{cmd_route_find, {PK, "min-hops=3", "max-hops=2"}, CLI_USAGE},
		{cmd_route_find, {PK, "min-hops=2", "max-hops=2"}, CLI_FAIL}, // it would be asked
		{cmd_route_find, {"b", "from=c"}, CLI_FAIL}, // names would be asked for
		{cmd_transport_list, {"on=b"}, CLI_FAIL},
		{cmd_transport_del, {"on=b", "id=1d60fbdd-a0fc-0a64-85c6-f155e43f3465"}, CLI_FAIL},
		{cmd_transport_add, {"on=b", "peer=c", "type=foo"}, CLI_FAIL},
		{cmd_transport_add, {"x", "peer=c"}, CLI_FAIL},
		{cmd_transport_add, {"x", "peer=a/b"}, CLI_USAGE},
		{cmd_route_trace, {PK, "pings=0"}, CLI_USAGE},
		{cmd_route_trace, {PK, "pings=101"}, CLI_USAGE},
		{cmd_route_trace, {PK, "pings=100"}, CLI_FAIL},
		{cmd_bench_route, {PK}, CLI_USAGE},
		{cmd_bench_route, {PK ":5", "size=0"}, CLI_USAGE},
		{cmd_bench_route, {PK ":5", "size=1kM"}, CLI_USAGE},
		{cmd_bench_route, {PK ":5", "size=1x"}, CLI_USAGE},
		{cmd_bench_route, {PK ":5", "size=4000000000T"}, CLI_USAGE},
		{cmd_bench_route, {PK ":5", "way=round"}, CLI_USAGE},
		{cmd_bench_route, {PK ":5", "size=2G", "way=back"}, CLI_FAIL},
		{cmd_bench_route, {PK ":5", "size=2G", "for=5s"}, CLI_USAGE},
		{cmd_route_close, {"02", "3"}, CLI_USAGE},
		{cmd_route_close, {"02", "0", "3"}, CLI_USAGE},
		{cmd_route_close, {"02", "3", "65536"}, CLI_USAGE},
		{cmd_route_close, {"02", "3", "65535"}, CLI_FAIL},
		{cmd_route_close, {"b", "3", "65535"}, CLI_FAIL},
		{cmd_route_close, {"a/b", "3", "65535"}, CLI_USAGE},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cli c = {
			.socket = "/nonexistent", .argv = (char **)(uintptr_t)cases[i].argv};

		while (c.argc < 4 && cases[i].argv[c.argc] != NULL)
			c.argc++;
		assert_int_equal(cases[i].fn(&c), cases[i].rc);
		assert_null(c.client);
	}
}

static void who_cut_a_route_is_told(void **state)
{
	assert_non_null(strstr(stream_cut_text(true, -ECONNRESET), "closed by the far end"));
	assert_non_null(strstr(stream_cut_text(true, -ECONNABORTED), "`skyrail route close`"));
	assert_string_equal(stream_cut_text(false, -ECONNRESET), strerror(ECONNRESET));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_may_be_shortened),
		cmocka_unit_test(ambiguous_and_unknown_words_name_the_choices),
		cmocka_unit_test(every_command_is_reachable_and_explained),
		cmocka_unit_test(help_fits_80_columns),
		cmocka_unit_test(an_example_in_several_lines_can_be_pasted),
		cmocka_unit_test(examples_are_of_their_command),
		cmocka_unit_test(options_stand_anywhere),
		cmocka_unit_test(wrong_options_are_refused),
		cmocka_unit_test(a_block_has_every_field_in_80_columns),
		cmocka_unit_test(a_long_note_is_broken_at_blanks),
		cmocka_unit_test(names_of_fields_that_are_no_heads_are_in_the_manual),
		cmocka_unit_test(takes_every_kind),
		cmocka_unit_test(refuses_every_kind_of_nonsense),
		cmocka_unit_test(says_which_word_and_what_was_expected),
		cmocka_unit_test(misses_what_is_required_and_sees_doubles),
		cmocka_unit_test(wrong_usage_is_told_without_a_node),
		cmocka_unit_test(ways_are_judged_without_a_node),
		cmocka_unit_test(who_cut_a_route_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
