// The command line of skyrail-bench.
#include "lib/base/err.h"
#include "tools/bench/args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PK "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
#define PORT "-p net_null0 --address 10.0.0.1 --node 10.0.0.2 "

static char err[ARGS_ERR_MAX];

static int parse(const char *words, struct args *a)
{
	static char buf[400];
	char *argv[40] = {(char *)"skyrail-bench"}, *save = NULL;
	int argc = 1;

	strcpy(buf, words);
	for (char *w = strtok_r(buf, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	err[0] = '\0';
	return args_parse(a, argc, argv, err);
}

static void nothing_said_is_a_search_in_memory(void **state)
{
	struct args a;

	assert_int_equal(parse("", &a), 0);
	assert_int_equal(a.mode, ARGS_MEMORY);
	assert_int_equal(a.search, ARGS_MLR);
	assert_int_equal(a.cipher, AEAD_NONE);
	assert_int_equal(a.n_transports, 1);
	assert_int_equal(a.n_routes, 1);
	assert_int_equal(a.n_rules, 1);
	assert_int_equal(a.size[0].len, 64);
	assert_float_equal(a.duration_s, 1, 0);
	assert_float_equal(a.initial_s, 0.1, 1e-9);
	assert_false(a.rate.given);
}

static void rfc2544_has_long_trials(void **state)
{
	struct args a;

	assert_int_equal(parse("--search rfc2544", &a), 0);
	assert_float_equal(a.duration_s, 60, 0);
	assert_float_equal(a.initial_s, 60, 0);
	assert_int_equal(a.n_trials, 1);
}

static void each_port_has_its_addresses(void **state)
{
	struct args a;

	assert_int_equal(parse("-p net_af_packet0,iface=x --address 10.0.0.1 --node 10.0.0.2 "
			       "-p 0000:03:00.0 --address fd00::1 --node [fd00::2]:7000 --api /s",
				 &a),
		0);
	assert_int_equal(a.mode, ARGS_WIRE);
	assert_int_equal(a.n_ports, 2);
	assert_string_equal(a.port[0].device, "net_af_packet0,iface=x");
	assert_int_equal(a.port[0].node.port, 7780);
	assert_int_equal(a.port[1].node.port, 7000);
	assert_int_equal(a.port[1].self.ip[15], 1);
	assert_int_equal(a.n_transports, 2);
	assert_int_equal(a.n_routes, 2);
	assert_int_equal(a.cipher, AEAD_CHACHA20_POLY1305);
}

static void workers_get_transports_and_transports_get_routes(void **state)
{
	struct args a;

	assert_int_equal(parse("-w 3 --rules 1000", &a), 0);
	assert_int_equal(a.n_transports, 3);
	assert_int_equal(a.n_routes, 3);
	assert_int_equal(a.n_rules, 1000);
	assert_int_equal(parse("-t 2 -r 500 --rules 10", &a), 0);
	assert_int_equal(a.n_rules, 500);
}

static void thresholds_and_outputs_are_taken(void **state)
{
	struct args a;

	assert_int_equal(parse("-j - --csv x.csv --min-ndr 2Gbit --min-pdr 1.5M --max-loss 0.1% "
			       "--max-p99 200us --latency 5,95",
				 &a),
		0);
	assert_string_equal(a.json, "-");
	assert_string_equal(a.csv, "x.csv");
	assert_float_equal(a.min_ndr.bps, 2e9, 0);
	assert_float_equal(a.min_pdr.pps, 1.5e6, 0);
	assert_float_equal(a.max_loss, 0.001, 1e-12);
	assert_float_equal(a.max_p99_us, 200, 1e-9);
	assert_int_equal(a.n_shares, 2);
	assert_int_equal(a.share[1], 95);
	assert_int_equal(parse("--latency none -R max", &a), 0);
	assert_int_equal(a.n_shares, 0);
	assert_true(a.rate_is_max);
	assert_int_equal(a.search, ARGS_NONE);
}

static const struct {
	const char *words, *part; // of the text
} nonsense[] = {
	{"--no-such", "--no-such"},
	{"file", "file"},
	{"-s", "value is missing"},
	{"-s 27", "27"},
	{"-s 9001", "9001"},
	{"-s 64:0", "64"},
	{"-s 64,", ""},
	{"-R 0", "0"},
	{"-R fast", "fast"},
	{"-c rot13", "rot13"},
	{"--rekey 1ms", "1ms"},
	{"-w 0", "0"},
	{"-w 16", "16"},
	{"-t 1025", "1025"},
	{"--queue 1000", "1000"},
	{"--latency 0", "0"},
	{"--latency 101", "101"},
	{"--max-loss 101%", "101%"},
	{"--width 0", "0"},
	{"--max-p99 0", "0"},
	{"--max-p99 200", "--max-p99 200: a time up to 24h, with its unit (1ms)"},
	{"--max-loss 1", "--max-loss 1: a ratio of 0% to 100%, with its % (0.1%)"},
	{"-d 1ms", "1ms"},
	{"--address 10.0.0.1", "10.0.0.1"},
	{"--search none", "--rate"},
	{"--search fast", "fast"},
	{"-R 1k --min-ndr 1k", "search"},
	{"-R max --prepare", "--prepare"},
	{"-m reliable --prepare -R 1k", "datagram"},
	{"-m reliable --count -R 1k", "datagram"},
	{"-m tcp", "-m tcp: datagram or reliable"},
	{"--mode tcp", "--mode tcp: datagram or reliable"},
	{"-q --mode=tcp", "--mode tcp: datagram or reliable"},
	{"--quiet -m tcp", "-m tcp: datagram or reliable"},
	{"-s 10", "-s 10: 28 to 9000 bytes"},
	{"--rules 0", "--rules 0: 1 to 4194304"},
	{"--count --max-p99 1ms", "--count"},
	{"--initial 2s", "--initial"},
	{"-j - --csv -", "same file"},
	{"-j x --csv x", "same file"},
	{"--api /s", "--port"},
	{"-p net_null0 --api /s", "--address"},
	{PORT, "--api"},
	{PORT "--node-key " PK, "--key"},
	{PORT "--api /s --loopback", "--loopback"},
	{PORT PORT "--api /s -t 1", "transports"},
	{PORT "--node-key 00", "00"},
	{"-p net_null0 --address 10.0.0.1 --node fd00::1 --api /s", "families"},
	{"--show-key", "--show-key wants a --port"},
	{"--show-key --key /k", "--show-key wants a --port"},
	{"-p net_null0 --address 10.0.0.1 --node 10.0.0.2 --api /s --show-key",
		"--show-key wants --key"},
};

static void what_makes_no_sense_is_refused(void **state)
{
	struct args a;

	for (size_t i = 0; i < ARRAY_LEN(nonsense); i++) {
		bool last_comma = strcmp(nonsense[i].words, "-s 64,") == 0;

		// a list may end in a comma: nothing follows it
		assert_int_equal(parse(nonsense[i].words, &a), last_comma ? 0 : -EINVAL);
		if (!last_comma && strstr(err, nonsense[i].part) == NULL)
			fail_msg("%s: '%s' does not name %s", nonsense[i].words, err,
				nonsense[i].part);
	}
}

static void values_have_units(void **state)
{
	struct args_rate r;
	double v;

	assert_int_equal(args_rate("1500", &r), 0);
	assert_float_equal(r.pps, 1500, 0);
	assert_int_equal(args_rate("1.5kpps", &r), 0);
	assert_float_equal(r.pps, 1500, 0);
	assert_int_equal(args_rate("100Mbit", &r), 0);
	assert_float_equal(r.bps, 1e8, 0);
	assert_float_equal(r.pps, 0, 0);
	assert_int_equal(args_rate("1x", &r), -EINVAL);
	assert_int_equal(args_rate("-1", &r), -EINVAL);
	assert_int_equal(args_rate("1e30", &r), -EINVAL);
	assert_int_equal(args_time("250us", &v), 0);
	assert_float_equal(v, 250e-6, 1e-12);
	assert_int_equal(args_time("2m", &v), 0);
	assert_float_equal(v, 120, 0);
	assert_int_equal(args_time("2 s", &v), -EINVAL);
	assert_int_equal(args_time("2", &v), -EINVAL);
	assert_int_equal(args_time("0", &v), 0);
	assert_float_equal(v, 0, 0);
	assert_int_equal(args_ratio("0.5%", &v), 0);
	assert_float_equal(v, 0.005, 1e-12);
	assert_int_equal(args_ratio("0.005", &v), -EINVAL);
	assert_int_equal(args_ratio("0", &v), 0);
	assert_int_equal(args_ratio("101%", &v), -EINVAL);
}

static void addresses_may_have_ports(void **state)
{
	struct dpmsg_addr addr;

	assert_int_equal(args_addr("10.1.2.3:99", &addr), 0);
	assert_int_equal(addr.port, 99);
	assert_int_equal(addr.ip[12], 10);
	assert_int_equal(args_addr("[fd00::1]", &addr), 0);
	assert_int_equal(addr.port, 0);
	assert_int_equal(args_addr("[fd00::1", &addr), -EINVAL);
	assert_int_equal(args_addr("host", &addr), -EINVAL);
	assert_int_equal(args_addr("10.1.2.3:0", &addr), -EINVAL);
}

static void the_help_names_every_long_option(void **state)
{
	static const char *const some[] = {"--loopback", "--port", "--api", "--node-key", "--rules",
		"--queue", "--same", "--prepare", "--count", "--search", "--min-ndr", "--max-p99",
		"--hugepages", "--eal"};
	struct args a;

	for (size_t i = 0; i < ARRAY_LEN(some); i++)
		assert_non_null(strstr(args_help(), some[i]));
	assert_int_equal(parse("-h", &a), 0);
	assert_true(a.show_help);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_said_is_a_search_in_memory),
		cmocka_unit_test(rfc2544_has_long_trials),
		cmocka_unit_test(each_port_has_its_addresses),
		cmocka_unit_test(workers_get_transports_and_transports_get_routes),
		cmocka_unit_test(thresholds_and_outputs_are_taken),
		cmocka_unit_test(what_makes_no_sense_is_refused),
		cmocka_unit_test(values_have_units),
		cmocka_unit_test(addresses_may_have_ports),
		cmocka_unit_test(the_help_names_every_long_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
