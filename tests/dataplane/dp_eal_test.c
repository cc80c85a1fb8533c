// The arguments that EAL gets, on machines of every kind.

#include "dataplane/dp_eal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct dp_eal_env two_cpus = {.n_cpus = 2,
	.cpus = {0, 1},
	.huge_free_len = 512 << 20,
	.need_len = 100 << 20,
	.need_small_len = 150 << 20};

static void conf(struct dp_conf *c)
{
	char err[CONF_ERR_MAX];

	assert_int_equal(dp_conf_load(c, "/nonexistent/dataplane.ini", err), 0);
	assert_int_equal(dp_conf_check(c, err), 0);
}

static bool has(const struct dp_eal_args *a, const char *arg)
{
	for (int i = 0; i < a->argc; i++) {
		if (strcmp(a->argv[i], arg) == 0)
			return true;
	}
	return false;
}

static void hugepages_are_used_if_enough_are_free(void **state)
{
	struct dp_eal_env env = two_cpus;
	char err[CONF_ERR_MAX];
	struct dp_eal_args a;
	struct dp_conf c;

	conf(&c);
	assert_int_equal(dp_eal_build(&a, &c, 0, NULL, &env, err), 0);
	assert_true(has(&a, "--in-memory"));
	assert_true(has(&a, "--lcores=0@0,1@1"));
	assert_true(has(&a, "--no-pci"));
	assert_true(has(&a, "--file-prefix=skyrail-skyrail"));
	assert_true(has(&a, "--log-level=pmd.net.tap:2"));
	assert_false(a.no_huge);
	assert_null(a.argv[a.argc]);
	env.huge_free_len = 99 << 20;
	assert_int_equal(dp_eal_build(&a, &c, 0, NULL, &env, err), 0);
	assert_true(a.no_huge && a.fell_back);
	assert_true(has(&a, "--no-huge"));
	assert_true(has(&a, "--no-shconf"));
	assert_true(has(&a, "-m150"));
	assert_false(has(&a, "--in-memory"));
	dp_conf_free(&c);
}

static void hugepages_that_are_wanted_and_not_there_are_named(void **state)
{
	static const struct {
		uint64_t free_len;
		int rc;
		const char *text;
	} cases[] = {
		{0, -ENOMEM, "hugepages: 0 MB free, 100 MB wanted: reserve more"},
		{99 << 20, -ENOMEM, "hugepages: 99 MB free, 100 MB wanted: reserve more"},
		{100 << 20, 0, ""},
	};
	struct dp_conf c, huge;
	struct dp_values v;

	conf(&c);
	v = *c.v;
	v.hugepages = HUGE_YES;
	huge = c;
	huge.v = &v;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dp_eal_env env = two_cpus;
		struct dp_eal_args a;
		char err[CONF_ERR_MAX] = "";

		env.huge_free_len = cases[i].free_len;
		assert_int_equal(dp_eal_build(&a, &huge, 0, NULL, &env, err), cases[i].rc);
		assert_memory_equal(err, cases[i].text, strlen(cases[i].text));
	}
	dp_conf_free(&c);
}

static void lcores_follow_the_cpus_there_are(void **state)
{
	static const struct {
		unsigned n_cpus, workers;
		const char *lcores;
	} cases[] = {
		{1, 1, "--lcores=0@4,1@4"},
		{1, 2, "--lcores=0@4,1@4,2@4"},
		{2, 1, "--lcores=0@4,1@5"},
		{2, 2, "--lcores=0@4,1@5,2@4"},
		{8, 1, "--lcores=0@4,1@11"},
		{8, 3, "--lcores=0@4,1@9,2@10,3@11"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dp_eal_env env = {.n_cpus = cases[i].n_cpus};
		char err[CONF_ERR_MAX];
		struct dp_eal_args a;
		struct dp_conf c;

		for (unsigned k = 0; k < env.n_cpus; k++)
			env.cpus[k] = (uint16_t)(4 + k);
		conf(&c);
		((struct dp_values *)(uintptr_t)c.v)->workers = cases[i].workers;
		assert_int_equal(dp_eal_build(&a, &c, 0, NULL, &env, err), 0);
		if (!has(&a, cases[i].lcores))
			fail_msg("%s, but %s", cases[i].lcores, a.argv[1]);
		dp_conf_free(&c);
	}
}

static void what_the_user_says_is_not_contradicted(void **state)
{
	static const char *const user[] = {"-l", "2,3", "--no-huge", "-m256", "--file-prefix=mine",
		"-a", "0:1.0", "--log-level=8"};
	char err[CONF_ERR_MAX];
	struct dp_eal_args a;
	struct dp_conf c;

	conf(&c);
	assert_int_equal(dp_eal_build(&a, &c, 8, (char **)(uintptr_t)user, &two_cpus, err), 0);
	assert_int_equal(a.argc, 9);
	for (int i = 0; i < 8; i++)
		assert_string_equal(a.argv[i + 1], user[i]);
	dp_conf_free(&c);
}

static void only_configured_pci_devices_are_touched(void **state)
{
	char err[CONF_ERR_MAX];
	struct dp_eal_args a;
	struct dp_conf c;

	conf(&c);
	assert_int_equal(dp_conf_port_arg(&c, "wan=0000:03:00.1", err), 0);
	assert_int_equal(dp_conf_port_arg(&c, "lan=net_null0", err), 0);
	assert_int_equal(dp_eal_build(&a, &c, 0, NULL, &two_cpus, err), 0);
	assert_true(has(&a, "-a0000:03:00.1"));
	assert_false(has(&a, "--no-pci"));
	dp_conf_free(&c);
}

static void too_many_arguments_are_refused(void **state)
{
	static char arg[] = "-x";
	char *user[EAL_ARGS_MAX];
	char err[CONF_ERR_MAX] = "";
	struct dp_eal_args a;
	struct dp_conf c;

	for (int i = 0; i < EAL_ARGS_MAX; i++)
		user[i] = arg;
	conf(&c);
	assert_true(dp_eal_build(&a, &c, EAL_ARGS_MAX, user, &two_cpus, err) < 0);
	assert_true(err[0] != '\0');
	dp_conf_free(&c);
}

static void memory_grows_with_tables_and_mtu(void **state)
{
	char err[CONF_ERR_MAX];
	struct dp_conf c;
	uint64_t small;

	conf(&c);
	small = dp_eal_need(&c, false);
	c.rule_bits = 20;
	assert_true(dp_eal_need(&c, false) >= small + (60ull << 20));
	c.rule_bits = 16;
	assert_int_equal(dp_conf_port_arg(&c, "a=net_null0", err), 0);
	uint64_t one_port = dp_eal_need(&c, false);
	assert_true(one_port > small);
	c.ports[0].mtu = 9000;
	assert_true(dp_eal_need(&c, false) > one_port + (60ull << 20));
	c.ports[0].mtu = 1500; // one buffer a page, 32 k of them
	assert_true(dp_eal_need(&c, true) > dp_eal_need(&c, false) + (20ull << 20));
	dp_conf_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hugepages_are_used_if_enough_are_free),
		cmocka_unit_test(hugepages_that_are_wanted_and_not_there_are_named),
		cmocka_unit_test(lcores_follow_the_cpus_there_are),
		cmocka_unit_test(what_the_user_says_is_not_contradicted),
		cmocka_unit_test(only_configured_pci_devices_are_touched),
		cmocka_unit_test(too_many_arguments_are_refused),
		cmocka_unit_test(memory_grows_with_tables_and_mtu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
