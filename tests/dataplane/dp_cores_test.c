// The word `cores`.

#include "dataplane/dp_cores.h"

#include "lib/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool four_cpus(unsigned cpu)
{
	return cpu < 4;
}

static void counts_lcores_of_every_form(void **state)
{
	static const struct {
		const char *text;
		int n;
	} good[] = {
		{"0@0,1@1", 2},
		{"0,1", 2},
		{"0-3", 4},
		{"(0-2)@3", 3},
		{"0@0,(1,3,5-7)@(1-3)", 6},
		{"0@1,1@1,127@2", 3},
		{"(0,1)", 2},
		{"3,2@0", 2},
	};
	char why[128];

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(
			dp_cores_parse(good[i].text, four_cpus, why, sizeof(why)), good[i].n);
}

static void says_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"", "list of LCORE@CPU"},
		{"x", "list of LCORE@CPU"},
		{"0@0,", "list of LCORE@CPU"},
		{"0@0 1@1", "list of LCORE@CPU"},
		{"0@0,1@x", "list of LCORE@CPU"},
		{"0@0,-1@1", "list of LCORE@CPU"},
		{"0@0", "and a worker"},
		{"0@0,1@4", "names CPU 4"},
		{"0@0,1@99999999999", "names CPU"},
		{"0,4", "names CPU 4"},
		{"0-4", "names CPU 4"},
		{"0@0,0@1", "twice"},
		{"0@0,128@1", "too high"},
		{"(0,1@1", "lacks a )"},
		{"3-1@0,4@0", "downwards"},
	};
	char why[128];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		why[0] = '\0';
		assert_int_equal(dp_cores_parse(bad[i].text, four_cpus, why, sizeof(why)), -EINVAL);
		if (strstr(why, bad[i].why) == NULL)
			fail_msg("%s: '%s'", bad[i].text, why);
	}
}

static void this_machine_has_a_first_cpu(void **state)
{
	assert_true(dp_cores_has_cpu(0));
	assert_false(dp_cores_has_cpu(100000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_lcores_of_every_form),
		cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(this_machine_has_a_first_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
