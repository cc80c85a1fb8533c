// What is told of a new configuration.
#include "controlplane/reload.h"

#include "lib/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PK "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
#define EDGES "[edge a]\n[edge b]\n[edge c]\n[edge d]\n[edge e]\n[edge f]\n"

static void sections_that_changed_are_named(void **state)
{
	static const struct {
		const char *now, *next, *want;
	} t[] = {
		{"", "", "nothing changed"},
		{"[log]\nlevel = debug\n", "", "changed: [log]"},
		{"", "[transport b]\npeer = " PK "\n", "changed: [transport b] is new"},
		{"[edge a]\n[edge b]\n", "[edge b]\n[edge a]\n", "nothing changed"},
		{"[edge a]\n[edge b]\n", "[edge b]\nmtu = 1400\n",
			"changed: [edge b], [edge a] is gone"},
		{"[link]\nkeepalive = 10s\n", "[link]\nkeepalive = 9s\n[edge a]\n",
			"changed: [link], [edge a] is new"},
		{EDGES "[edge g]\n[edge h]\n", "",
			"changed: [edge a] is gone, [edge b] is gone, [edge c] is gone, "
			"[edge d] is gone, [edge e] is gone, [edge f] is gone and 2 more"},
	};
	char err[CONF_ERR_MAX] = "", text[API_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct cp_conf now, next;

		assert_int_equal(cp_conf_parse(&now, t[i].now, strlen(t[i].now), err), 0);
		assert_int_equal(cp_conf_parse(&next, t[i].next, strlen(t[i].next), err), 0);
		reload_text(&now, &next, text, sizeof(text));
		assert_string_equal(text, t[i].want);
		for (size_t cap = 1; cap < 40; cap++) {
			memset(text, 'x', sizeof(text));
			reload_text(&now, &next, text, cap);
			assert_true(strlen(text) < cap);
			assert_int_equal(text[cap], 'x');
		}
		cp_conf_free(&now);
		cp_conf_free(&next);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_that_changed_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
