// Configuration of the data plane: defaults, files, ports of the command line, what is refused.

#include "dataplane/dp_conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int load(struct dp_conf *c, const char *text, char err[CONF_ERR_MAX])
{
	char path[] = "/tmp/skyrail-dp-conf-XXXXXX";
	int fd = mkstemp(path), rc;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	rc = dp_conf_load(c, path, err);
	unlink(path);
	if (c->file != NULL && dp_conf_check(c, err) < 0)
		rc = -EINVAL;
	return rc;
}

static void no_file_gives_defaults(void **state)
{
	char err[CONF_ERR_MAX] = "";
	struct dp_conf c;

	assert_int_equal(dp_conf_load(&c, "/nonexistent/dataplane.ini", err), 0);
	assert_true(conf_is_missing(c.file));
	assert_int_equal(dp_conf_check(&c, err), 0);
	assert_string_equal(c.v->name, "skyrail");
	assert_int_equal(c.v->udp_port, 7780);
	assert_int_equal(c.v->workers, 1);
	assert_int_equal(c.rule_bits, 16);
	assert_int_equal(c.v->idle, IDLE_ADAPTIVE);
	assert_int_equal(c.n_ports, 0);
	dp_conf_free(&c);
}

static void sample_file_is_the_defaults(void **state)
{
	char err[CONF_ERR_MAX] = "";
	struct dp_conf c, d;

	assert_int_equal(dp_conf_load(&c, "config/dataplane.ini", err), 0);
	assert_false(conf_is_missing(c.file));
	assert_int_equal(dp_conf_load(&d, "/nonexistent/dataplane.ini", err), 0);
	assert_string_equal(c.v->run_dir, d.v->run_dir);
	assert_string_equal(c.v->cores, d.v->cores);
	assert_int_equal(c.v->rules, d.v->rules);
	assert_int_equal(c.v->hugepages, d.v->hugepages);
	assert_int_equal(c.v->idle, d.v->idle);
	assert_int_equal(c.v->log_level, d.v->log_level);
	dp_conf_free(&c);
	dp_conf_free(&d);
}

static void ports_come_from_file_and_command_line(void **state)
{
	char err[CONF_ERR_MAX] = "";
	struct dp_conf c;

	assert_int_equal(load(&c,
				 "[port wan]\ndevice = net_af_packet0,iface=eth1\nmtu = 1400\n"
				 "exception = drop\n[port lan]\ndevice = 0000:03:00.0\n",
				 err),
		0);
	assert_int_equal(dp_conf_port_arg(&c, "lan=net_null0,copy=1", err), 0);
	assert_int_equal(dp_conf_port_arg(&c, "third=net_ring0", err), 0);
	assert_int_equal(dp_conf_check(&c, err), 0);
	assert_int_equal(c.n_ports, 3);
	assert_string_equal(c.ports[0].name, "wan");
	assert_int_equal(c.ports[0].mtu, 1400);
	assert_int_equal(c.ports[0].exception, EXCEPTION_DROP);
	assert_string_equal(c.ports[1].device, "net_null0,copy=1");
	assert_string_equal(c.ports[2].name, "third");
	assert_string_equal(c.ports[2].kernel_if, "");
	dp_conf_free(&c);
}

static void bad_port_arguments_are_refused(void **state)
{
	static const char *const bad[] = {"wan", "=net_null0", "wan=", "wa n=net_null0",
		"a-name-of-more-than-thirty-one-characters=net_null0", "../x=net_null0", "w=,x"};
	char err[CONF_ERR_MAX] = "";
	struct dp_conf c;

	assert_int_equal(load(&c, "", err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err[0] = '\0';
		assert_int_equal(dp_conf_port_arg(&c, bad[i], err), -EINVAL);
		assert_non_null(strstr(err, bad[i]));
	}
	dp_conf_free(&c);
}

static void bad_files_are_refused_with_a_reason(void **state)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{"[node]\nname = a/b\n", "name"},
		{"[node]\nudp_port = 0\n", "udp_port"},
		{"[node]\nudp_port = 65536\n", "udp_port"},
		{"[node]\nrun_dir = run\n", "absolute"},
		{"[node]\ncolour = red\n", "colour"},
		{"[eal]\nworkers = 65\n", "workers"},
		{"[eal]\nhugepages = maybe\n", "hugepages"},
		{"[tables]\nrules = 4194305\n", "rules"},
		{"[port wan]\nqueues = 1\n", "device"},
		{"[port wan]\ndevice = net_null0\nmtu = 1279\n", ":3: [port wan]: mtu"},
		{"[port wan]\ndevice = net_null0\nmtu = 9601\n", "mtu"},
		{"[port wan]\ndevice = net_null0\n[port lan]\ndevice = net_null0\n", "already"},
		{"[port wan]\ndevice = net_null0\ntap = a-name-too-long-for-it\n", "15"},
		{"[port a b]\ndevice = net_null0\n", "name"},
		{"[node]\nrun_dir = "
		 "/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/"
		 "0123456789/0123456789\n",
			"too long"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char err[CONF_ERR_MAX] = "";
		struct dp_conf c;

		if (load(&c, cases[i].text, err) == 0)
			fail_msg("accepted: %s", cases[i].text);
		if (strstr(err, cases[i].reason) == NULL)
			fail_msg("%s: no '%s' in: %s", cases[i].text, cases[i].reason, err);
		dp_conf_free(&c);
	}
}

static void interfaces_of_the_kernel_are_no_devices(void **state)
{
	static const struct {
		const char *device, *says; // NULL: taken
	} cases[] = {
		{"lo", "lo is an interface of the kernel"},
		{"lo", "net_af_packet0,iface=lo"},
		{"lo", "net_af_xdp0,iface=lo"},
		{"lo,queues=2", "net_af_packet0,iface=lo"},
		{"nosuchif7", "'nosuchif7' is no device of DPDK"},
		{"net_af_packet0,iface=lo", NULL},
		{"0000:03:00.0", NULL},
		{"03:00.0", NULL},
		{"dpni.1", NULL},
		{"eth_af_packet0,iface=lo", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char err[CONF_ERR_MAX] = "", text[200];
		struct dp_conf c;
		int rc;

		snprintf(text, sizeof(text), "[port wan]\ndevice = %s\n", cases[i].device);
		rc = load(&c, text, err);
		if (rc != (cases[i].says != NULL ? -EINVAL : 0))
			fail_msg("%s: %d %s", cases[i].device, rc, err);
		if (rc < 0 && (strstr(err, cases[i].says) == NULL ||
				      strstr(err, ":2: [port wan]: ") == NULL))
			fail_msg("no '%s' in: %s", cases[i].says, err);
		dp_conf_free(&c);
	}
}

static void every_mistake_is_told(void **state)
{
	char err[CONF_ERR_MAX] = "";
	struct dp_conf c;

	assert_int_equal(load(&c,
				 "[node]\nudp_port = 65535\nudp_ports = 2\n[port a]\ndevice = "
				 "nosuchif7\n[port b]\ndevice = net_null0\nmtu = 7\n",
				 err),
		-EINVAL);
	assert_non_null(strstr(err, ":3: [node]: "));
	assert_non_null(strstr(err, "\n"));
	assert_non_null(strstr(err, ":5: [port a]: "));
	assert_non_null(strstr(err, ":8: [port b]: "));
	dp_conf_free(&c);
}

// A value out of its range hides nothing, and is told once.
static void mistakes_of_values_hide_no_others(void **state)
{
	static const char *const want[] = {":2: key workers: ", ":4: key udp_ports: ",
		":6: [port a]: 'va' is no device", ":7: [port a]: mtu is at least 1280"};
	char err[CONF_ERR_MAX] = "";
	struct dp_conf c;
	size_t lines = 1;

	assert_int_equal(load(&c,
				 "[eal]\nworkers = 0\n[node]\nudp_ports = 99\n[port a]\n"
				 "device = va\nmtu = 100\n",
				 err),
		-EINVAL);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		if (strstr(err, want[i]) == NULL)
			fail_msg("no '%s' in: %s", want[i], err);
	for (const char *p = err; *p != '\0'; p++)
		lines += *p == '\n';
	assert_int_equal(lines, sizeof(want) / sizeof(want[0]));
	dp_conf_free(&c);
}

static void the_machine_says_what_is_not_there(void **state)
{
	char err[CONF_ERR_MAX] = "", warn[CONF_ERR_MAX] = "";
	struct dp_conf c;

	assert_int_equal(load(&c,
				 "[port a]\ndevice = net_af_packet0,iface=nosuchif7\n[port b]\n"
				 "device = net_af_pcket0,iface=lo\n[port c]\n"
				 "device = net_af_packet1,iface=lo\n[port d]\ndevice = net_tap0\n"
				 "[port e]\ndevice = 0000:03:00.0\n",
				 err),
		0);
	assert_int_equal(dp_conf_check_machine(&c, err, warn), -EINVAL);
	assert_non_null(strstr(err, ":2: [port a]: this machine has no interface nosuchif7"));
	assert_null(strstr(err, "\n"));
	assert_non_null(strstr(warn, ":4: [port b]: 'net_af_pcket0,iface=lo' is no driver"));
	assert_null(strstr(warn, "\n"));
	dp_conf_free(&c);
}

static void table_sizes_are_rounded_up(void **state)
{
	static const struct {
		const char *text;
		unsigned rule_bits, rx_index_bits;
	} cases[] = {
		{"[tables]\nrules = 65537\nhops = 1000\n", 17, 14},
		{"[tables]\nrules = 16\nhops = 2\n", 4, 5},
		{"[tables]\nrules = 4194304\nhops = 1048576\n", 22, 24},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char err[CONF_ERR_MAX] = "";
		struct dp_conf c;

		assert_int_equal(load(&c, cases[i].text, err), 0);
		assert_int_equal(c.rule_bits, cases[i].rule_bits);
		assert_int_equal(c.rx_index_bits, cases[i].rx_index_bits);
		dp_conf_free(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_file_gives_defaults),
		cmocka_unit_test(sample_file_is_the_defaults),
		cmocka_unit_test(ports_come_from_file_and_command_line),
		cmocka_unit_test(bad_port_arguments_are_refused),
		cmocka_unit_test(bad_files_are_refused_with_a_reason),
		cmocka_unit_test(interfaces_of_the_kernel_are_no_devices),
		cmocka_unit_test(every_mistake_is_told),
		cmocka_unit_test(mistakes_of_values_hide_no_others),
		cmocka_unit_test(the_machine_says_what_is_not_there),
		cmocka_unit_test(table_sizes_are_rounded_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
