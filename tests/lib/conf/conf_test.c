// The table-driven configuration reader: values, ranges, refusals with file:line, printing.
#include "lib/conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/err.h"

struct port {
	char *name;
	char *device;
	uint16_t mtu;
};

struct values {
	bool on;
	int16_t delta;
	uint16_t workers;
	uint64_t wait_ns;
	uint64_t pool_bytes;
	int mode;
	char *text;
	struct conf_list allow;
	struct conf_array ports;
};

static const char *check_text(const char *text)
{
	return strcmp(text, "forbidden") == 0 ? "is forbidden" : NULL;
}

static const char *const modes[] = {"poll", "sleep", NULL};
static const struct conf_item items[] = {
	{"main", "on", CONF_BOOL, .def = "yes", CONF_FIELD(struct values, on)},
	{"main", "delta", CONF_INT, .def = "-5", CONF_FIELD(struct values, delta)},
	{"main", "workers", CONF_UINT, .def = "2", .min = 1, .max = 64,
		CONF_FIELD(struct values, workers)},
	{"time", "wait", CONF_DURATION, .def = "10s", .min = CONF_MS(1), .max = CONF_S(3600),
		CONF_FIELD(struct values, wait_ns), .flags = CONF_LIVE},
	{"main", "pool", CONF_SIZE, .def = "64k", CONF_FIELD(struct values, pool_bytes)},
	{"main", "mode", CONF_ENUM, .def = "sleep", .names = modes,
		CONF_FIELD(struct values, mode)},
	{"main", "text", CONF_STR, .max = 10, .check = check_text, CONF_FIELD(struct values, text)},
	{"main", "allow", CONF_LIST, .max = 3, CONF_FIELD(struct values, allow)},
	{"port", "device", CONF_STR, .flags = CONF_REQUIRED, CONF_FIELD(struct port, device)},
	{"port", "mtu", CONF_UINT, .def = "1500", CONF_FIELD(struct port, mtu)},
};
static const struct conf_class classes[] = {
	{"port", offsetof(struct values, ports), sizeof(struct port), offsetof(struct port, name),
		2},
};
static const struct conf_schema schema = {.items = items,
	.n_items = ARRAY_LEN(items),
	.classes = classes,
	.n_classes = 1,
	.size = sizeof(struct values)};

static struct conf *parse(const char *text, char *err)
{
	return conf_parse(&schema, "t.ini", text, strlen(text), err);
}

static void an_empty_file_gives_the_defaults(void **state)
{
	char err[CONF_ERR_MAX];
	struct conf *c = parse("", err);
	const struct values *v = conf_values(c);

	assert_true(v->on);
	assert_int_equal(v->delta, -5);
	assert_int_equal(v->workers, 2);
	assert_int_equal(v->wait_ns, 10000000000);
	assert_int_equal(v->pool_bytes, 65536);
	assert_int_equal(v->mode, 1);
	assert_string_equal(v->text, "");
	assert_int_equal(v->allow.n, 0);
	assert_int_equal(v->ports.n, 0);
	assert_false(conf_is_missing(c));
	conf_free(c);
}

static void reads_every_type(void **state)
{
	static const char text[] = "\xef\xbb\xbf; comment\n"
				   "[main]\n"
				   "  on = off ; inline\n"
				   "delta=-32767\n"
				   "workers: 0x10\n"
				   "pool = 2M\n"
				   "mode = poll\n"
				   "text = a b\n"
				   "allow = x, y z\n"
				   "# another\n"
				   "[time]\r\n"
				   "wait = 250ms\r\n"
				   "[port wan0]\ndevice = net_tap0\n"
				   "[ port   lan-1 ] ; x\ndevice = d\nmtu = 9000";
	char err[CONF_ERR_MAX];
	struct conf *c = parse(text, err);
	const struct values *v;
	const struct port *ports;

	assert_string_equal(err, "");
	assert_non_null(c);
	v = conf_values(c);
	assert_false(v->on);
	assert_int_equal(v->delta, -32767);
	assert_int_equal(v->workers, 16);
	assert_int_equal(v->pool_bytes, 2 << 20);
	assert_int_equal(v->mode, 0);
	assert_string_equal(v->text, "a b");
	assert_int_equal(v->allow.n, 3);
	assert_string_equal(v->allow.v[1], "y");
	assert_string_equal(v->allow.v[2], "z");
	assert_int_equal(v->wait_ns, 250000000);
	assert_int_equal(v->ports.n, 2);
	ports = v->ports.v;
	assert_string_equal(ports[0].name, "wan0");
	assert_string_equal(ports[0].device, "net_tap0");
	assert_int_equal(ports[0].mtu, 1500);
	assert_string_equal(ports[1].name, "lan-1");
	assert_int_equal(ports[1].mtu, 9000);
	conf_free(c);
}

static void refuses_with_file_and_line(void **state)
{
	static const struct {
		const char *text, *want;
	} t[] = {
		{"on = yes\n", "t.ini:1: key on stands before any section"},
		{"[nope]\n", "t.ini:1: unknown section [nope]: known are main, time, port"},
		{"[]\n", "t.ini:1: unknown section []: known are main, time, port"},
		{"[main]\nnope = 1\n",
			"t.ini:2: unknown key nope in [main]"
			": its keys are on, delta, workers, pool, mode, text, allow"},
		{"[main]\nwait = 1s\n",
			"t.ini:2: unknown key wait in [main]: its keys are on, delta, workers, pool, mode, text, allow"},
		{"[main]\non = maybe\n", "t.ini:2: key on: 'maybe' is not yes or no"},
		{"[main]\non =\n", "t.ini:2: key on: '' is not yes or no"},
		{"[main]\n\nworkers = 0\n", "t.ini:3: key workers: '0' is not between 1 and 64"},
		{"[main]\nworkers = 65\n", "t.ini:2: key workers: '65' is not between 1 and 64"},
		{"[main]\nworkers = 70000\n",
			"t.ini:2: key workers: '70000' is not between 1 and 64"},
		{"[main]\nworkers = -1\n", "t.ini:2: key workers: '-1' is not between 1 and 64"},
		{"[main]\nworkers = 2x\n", "t.ini:2: key workers: '2x' is not a number"},
		{"[main]\nworkers = 99999999999999999999\n",
			"t.ini:2: key workers: '99999999999999999999' is not between 1 and 64"},
		{"[main]\nworkers = -\n", "t.ini:2: key workers: '-' is not a number"},
		{"[port a]\ndevice = x\nmtu = -1\n", "t.ini:3: key mtu: '-1' is out of range"},
		{"[main]\ndelta = 40000\n", "t.ini:2: key delta: '40000' is out of range"},
		{"[main]\ndelta = --1\n", "t.ini:2: key delta: '--1' is not a whole number"},
		{"[main]\npool = 1T\n",
			"t.ini:2: key pool: '1T' is not a size (like 4096, 64k, 1M)"},
		{"[main]\npool = 99999999999999G\n",
			"t.ini:2: key pool: '99999999999999G' is not a size (like 4096, 64k, 1M)"},
		{"[time]\nwait = 10\n",
			"t.ini:2: key wait: '10' is not a duration (like 250ms, 10s, 2m)"},
		{"[time]\nwait = 2h\n", "t.ini:2: key wait: '2h' is not between 1ms and 1h"},
		{"[main]\nmode = off\n", "t.ini:2: key mode: 'off' is none of poll, sleep"},
		{"[main]\ntext = 12345678901\n",
			"t.ini:2: key text: has 11 characters, not 0 to 10"},
		{"[main]\ntext = forbidden\n", "t.ini:2: key text: 'forbidden' is forbidden"},
		{"[main]\nallow = a b c d\n", "t.ini:2: key allow: has more than 3 words"},
		{"[main]\non = yes\non = no\n", "t.ini:3: key on is there already, in line 2"},
		{"[main]\n[time]\n[main]\n", "t.ini:3: section [main] is there already, in line 1"},
		{"[main x]\n", "t.ini:1: section [main] takes no name"},
		{"[port]\n", "t.ini:1: [port] needs a name of letters, digits, '_', '.' and '-'"},
		{"[port a/b]\n",
			"t.ini:1: [port] needs a name of letters, digits, '_', '.' and '-'"},
		{"[port a]\n", "t.ini:1: key device of [port a] is missing"},
		{"[port a]\ndevice=1\n[port a]\n",
			"t.ini:3: section [port a] is there already, in line 1"},
		{"[port a]\ndevice=1\n[port b]\ndevice=1\n[port c]\n",
			"t.ini:5: more than 2 sections [port]"},
		{"[main]\nhello\n", "t.ini:2: neither a section, nor key = value, nor a comment"},
		{"[main\n", "t.ini:1: not a section heading; [name] is"},
		{"[main] x\n", "t.ini:1: not a section heading; [name] is"},
		{"[aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\n",
			"t.ini:1: section name longer than 31 characters"},
	};
	char err[CONF_ERR_MAX];

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		assert_null(parse(t[i].text, err));
		assert_string_equal(err, t[i].want);
	}
}

static void names_what_was_meant(void **state)
{
	static const struct {
		const char *text, *want;
	} t[] = {
		{"[main]\nworker = 1\n",
			"t.ini:2: unknown key worker in [main]: did you mean workers?"},
		{"[main]\nwrokers = 1\n",
			"t.ini:2: unknown key wrokers in [main]: did you mean workers?"},
		{"[main]\nworkoers1 = 1\n",
			"t.ini:2: unknown key workoers1 in [main]: did you mean workers?"},
		{"[mian]\n", "t.ini:1: unknown section [mian]: known are main, time, port"},
		{"[ports a]\n", "t.ini:1: unknown section [ports]: did you mean port?"},
		{"[port a]\ndevice = 1\nmut = 1\n",
			"t.ini:3: unknown key mut in [port]: its keys are device, mtu"},
	};
	char err[CONF_ERR_MAX];

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		assert_null(parse(t[i].text, err));
		assert_string_equal(err, t[i].want);
	}
}

static void all_errors_are_told_by_line(void **state)
{
	static const struct {
		const char *text, *want;
	} t[] = {
		{"[main]\nhello\nnope = 1\n",
			"t.ini:2: neither a section, nor key = value, nor a comment\n"
			"t.ini:3: unknown key nope in [main]"
			": its keys are on, delta, workers, pool, mode, text, allow"},
		// of values and of keys that are missing, after those of the reading
		{"[port a]\nmtu = x\n[main]\nworkers = 0\nmode = off\nhello ; = 1\n",
			"t.ini:1: key device of [port a] is missing\n"
			"t.ini:2: key mtu: 'x' is not a number\n"
			"t.ini:4: key workers: '0' is not between 1 and 64\n"
			"t.ini:5: key mode: 'off' is none of poll, sleep\n"
			"t.ini:6: neither a section, nor key = value, nor a comment"},
		// one mistake makes no others
		{"[nope]\nx = 1\ny = 2\n[main\non = maybe\n[time]\nwait = 10\n",
			"t.ini:1: unknown section [nope]: known are main, time, port\n"
			"t.ini:4: not a section heading; [name] is\n"
			"t.ini:7: key wait: '10' is not a duration (like 250ms, 10s, 2m)"},
		{"[main]\non = yes\n[main]\non = maybe\n",
			"t.ini:3: section [main] is there already, in line 1"},
		{"[main]\nlast", "t.ini:2: neither a section, nor key = value, nor a comment"},
	};
	char err[CONF_ERR_MAX];

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		assert_null(parse(t[i].text, err));
		assert_string_equal(err, t[i].want);
	}
}

static unsigned lines_of(const char *text)
{
	unsigned n = 1;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

static void errors_are_bounded(void **state)
{
	static char err[CONF_ERR_MAX], text[400 * 100], line[240];
	size_t n = 0;

	for (unsigned lines = 1; lines < 100; lines++) {
		memset(line, 'k', 150);
		snprintf(line + 150, sizeof(line) - 150, "%u = 1\n", lines);
		n += (size_t)snprintf(
			text + n, sizeof(text) - n, "%s%s", lines == 1 ? "[main]\n" : "", line);
		assert_null(parse(text, err));
		assert_true(strlen(err) + 1 < CONF_ERR_MAX);
		assert_int_equal(lines_of(err), lines < CONF_MISTAKES_MAX ? lines
						: lines == CONF_MISTAKES_MAX
							? CONF_MISTAKES_MAX
							: CONF_MISTAKES_MAX + 1);
		assert_true((strstr(err, "t.ini: more mistakes follow") != NULL) ==
			    (lines > CONF_MISTAKES_MAX));
	}
}

static void mistakes_of_others_are_added_and_bounded(void **state)
{
	char err[CONF_ERR_MAX], *last;
	struct conf *c = parse("[main]\n\nworkers = 3\n", err);

	assert_non_null(c);
	assert_int_equal(conf_mistake(c, err, "main", "", "workers", "%d is odd", 3), -EINVAL);
	assert_string_equal(err, "t.ini:3: [main]: 3 is odd");
	conf_mistake(c, err, "main", "", "mode", "why not");
	assert_string_equal(err, "t.ini:3: [main]: 3 is odd\nt.ini:1: [main]: why not");
	for (unsigned i = 0; i < 100; i++)
		conf_err_add(err, "mistake %0300u", i);
	assert_int_equal(lines_of(err), CONF_MISTAKES_MAX + 1);
	last = strrchr(err, '\n');
	assert_string_equal(last, "\nmore mistakes follow");
	conf_free(c);
}

static void refuses_long_lines_and_binary_files(void **state)
{
	char err[CONF_ERR_MAX], text[400] = "[main]\ntext = ";

	memset(text + 14, 'x', 300);
	assert_null(parse(text, err));
	assert_string_equal(err, "t.ini:2: line longer than 190 characters");
	assert_null(conf_parse(&schema, "t.ini", "[main]\n\0x", 9, err));
	assert_string_equal(err, "t.ini:2: not a text file");
}

static void takes_lines_of_exactly_the_limit(void **state)
{
	char err[CONF_ERR_MAX], text[400] = "[main]\n;";

	memset(text + 8, 'x', CONF_LINE_MAX - 1);
	struct conf *c = parse(text, err);

	assert_non_null(c);
	conf_free(c);
}

static void a_missing_file_gives_defaults_and_says_so(void **state)
{
	char err[CONF_ERR_MAX];
	struct conf *c = conf_load(&schema, "/nonexistent/skyrail.ini", err);

	assert_non_null(c);
	assert_true(conf_is_missing(c));
	assert_int_equal(((const struct values *)conf_values(c))->workers, 2);
	assert_string_equal(conf_path(c), "/nonexistent/skyrail.ini");
	conf_free(c);
	assert_null(conf_load(&schema, "/", err));
	assert_string_equal(err, "/: Is a directory");
}

static void reads_a_file(void **state)
{
	char path[] = "/tmp/skyrail-conf-XXXXXX", err[CONF_ERR_MAX];
	int fd = mkstemp(path);
	struct conf *c;

	assert_int_equal(write(fd, "[main]\nworkers = 7\n", 19), 19);
	close(fd);
	c = conf_load(&schema, path, err);
	unlink(path);
	assert_non_null(c);
	assert_false(conf_is_missing(c));
	assert_int_equal(((const struct values *)conf_values(c))->workers, 7);
	conf_free(c);
}

static void keeps_a_bad_file_for_further_checks(void **state)
{
	static const char text[] = "[main]\nworkers = 99\ntext = far too long for it\ndelta = 3\n"
				   "allow = a b c d\n[port a]\nmtu = x\n";
	struct conf_schema lax = schema;
	char err[CONF_ERR_MAX], before[CONF_ERR_MAX];
	const struct values *v;
	struct conf *c;

	lax.keep_bad = true;
	c = conf_parse(&lax, "t.ini", text, strlen(text), err);
	assert_non_null(c);
	assert_false(conf_is_good(c));
	v = conf_values(c);
	assert_int_equal(v->workers, 2);
	assert_int_equal(v->delta, 3);
	assert_string_equal(v->text, "");
	assert_int_equal(v->allow.n, 0);
	assert_string_equal(((const struct port *)v->ports.v)->device, "");
	assert_int_equal(((const struct port *)v->ports.v)->mtu, 1500);
	assert_true(conf_is_told(c, "main", "", "workers"));
	assert_true(conf_is_told(c, "port", "a", "device"));
	assert_false(conf_is_told(c, "main", "", "delta"));
	assert_false(conf_is_told(c, "main", "", NULL));
	strcpy(before, err);
	assert_int_equal(conf_mistake(c, err, "main", "", "workers", "too many"), -EINVAL);
	assert_string_equal(err, before);
	assert_int_equal(conf_mistake(c, err, "main", "", "delta", "odd"), -EINVAL);
	assert_non_null(strstr(err, "t.ini:4: [main]: odd"));
	conf_free(c);
	assert_null(conf_parse(&lax, "t.ini", "[main]\n\0x", 9, err));
}

static void same_values_of_two_instances_are_a_mistake(void **state)
{
	static const char text[] =
		"[port a]\ndevice = Eth0\n[port b]\n[port c]\n[port d]\ndevice = eth0\n"
		"mtu = 0x10000\n[port e]\ndevice = eth1\nmtu = 0x10000\n[port f]\ndevice = ETH0\n";
	struct conf_class many = classes[0];
	struct conf_schema lax = schema;
	char err[CONF_ERR_MAX] = "", before[CONF_ERR_MAX];
	struct conf *c;

	(void)state;
	many.max = 9;
	lax.classes = &many;
	lax.keep_bad = true;
	c = conf_parse(&lax, "t.ini", text, strlen(text), err);
	assert_non_null(c);
	strcpy(before, err);
	assert_int_equal(conf_same_before(c, err, "port", "mtu"), 0); // both were refused
	assert_string_equal(err, before);
	assert_int_equal(conf_same_before(c, err, "port", "device"), -EINVAL);
	assert_string_equal(err + strlen(before),
		"\nt.ini:6: [port d]: [port a] has the same device"
		"\nt.ini:12: [port f]: [port a] has the same device");
	conf_free(c);
}

static char *printed(const struct conf *c)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	conf_print(c, f);
	fclose(f);
	return text;
}

static void prints_value_default_and_origin(void **state)
{
	char err[CONF_ERR_MAX];
	struct conf *c = parse("[port a]\ndevice = x\n[main]\nworkers = 3\n", err);
	char *text = printed(c);

	assert_string_equal(text, "[main]\n"
				  "on = yes ; default yes, default\n"
				  "delta = -5 ; default -5, default\n"
				  "workers = 3 ; default 2, t.ini:4\n"
				  "pool = 64k ; default 64k, default\n"
				  "mode = sleep ; default sleep, default\n"
				  "text =  ; default empty, default\n"
				  "allow =  ; default empty, default\n"
				  "\n[time]\n"
				  "wait = 10s ; default 10s, default\n"
				  "\n[port a]\n"
				  "device = x ; required, t.ini:2\n"
				  "mtu = 1500 ; default 1500, default\n");
	free(text);
	conf_free(c);
}

static void what_is_printed_can_be_read_again(void **state)
{
	char err[CONF_ERR_MAX];
	struct conf *c = parse("[port a]\ndevice = x\n[main]\nallow = u v\n", err), *again;
	char *text = printed(c);

	again = parse(text, err);
	assert_string_equal(err, "");
	assert_int_equal(((const struct values *)conf_values(again))->allow.n, 2);
	assert_int_equal(((const struct values *)conf_values(again))->ports.n, 1);
	free(text);
	conf_free(c);
	conf_free(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_gives_the_defaults),
		cmocka_unit_test(reads_every_type),
		cmocka_unit_test(refuses_with_file_and_line),
		cmocka_unit_test(names_what_was_meant),
		cmocka_unit_test(all_errors_are_told_by_line),
		cmocka_unit_test(errors_are_bounded),
		cmocka_unit_test(mistakes_of_others_are_added_and_bounded),
		cmocka_unit_test(same_values_of_two_instances_are_a_mistake),
		cmocka_unit_test(refuses_long_lines_and_binary_files),
		cmocka_unit_test(takes_lines_of_exactly_the_limit),
		cmocka_unit_test(a_missing_file_gives_defaults_and_says_so),
		cmocka_unit_test(reads_a_file),
		cmocka_unit_test(keeps_a_bad_file_for_further_checks),
		cmocka_unit_test(prints_value_default_and_origin),
		cmocka_unit_test(what_is_printed_can_be_read_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
