// Tables of the CLI: what stands under them, and how wide they are.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/api/api_rec.h"
#include "lib/base/err.h"
#include "tools/ctl/cli.h"

#define PK "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"

static char *table(uint16_t type, const void *recs, size_t n, bool all)
{
	const struct api_record *kind = api_record_find(type);
	struct print *p;
	FILE *was = stdout;
	char *text = NULL;
	size_t len;

	stdout = open_memstream(&text, &len);
	assert_non_null(stdout);
	p = print_new(kind, false, all);
	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(print_add(p, (const char *)recs + i * kind->size), 0);
	assert_int_equal(print_end(p), CLI_OK);
	fclose(stdout);
	stdout = was;
	return text;
}

static const struct api_setup setups[] = {
	{.src = {0x02, 0xaa, 0xbb, 0xcc},
		.dst = {0x03, 0xdd},
		.src_port = 64511,
		.dst_port = 65535,
		.state = API_SETUP_RESERVES,
		.hops = 50,
		.kind = 1,
		.age_ms = 100 * 60000,
		.took_us = 29999999},
	{.src = {0x02, 0xaa, 0xbb, 0xcc},
		.dst = {0x03, 0xdd},
		.src_port = 64510,
		.dst_port = 3,
		.state = API_SETUP_FAILED,
		.hops = 2,
		.error = "no (" PK ": " PK "0)"},
};

static const struct api_route_group groups[] = {
	{.pk = {0x02, 0xaa, 0xbb, 0xcc},
		.remote_port = 65535,
		.local_port = 64511,
		.state = API_GROUP_INSTALLS,
		.rtt_us = 119999,
		.rx_bytes = 123456789012,
		.tx_bytes = 123456789012,
		.age_ms = 100 * 60000,
		.reason = "closed by its operator"},
	{.local_port = 5, .state = API_GROUP_LISTENS},
};

static size_t first_line_len(const char *text)
{
	return strcspn(text, "\n");
}

static void why_stands_under_the_table_with_who_it_is(void **state)
{
	char *text = table(API_SETUPS, setups, ARRAY_LEN(setups), false);

	assert_null(strstr(text, "ERROR"));
	assert_non_null(strstr(text, "\n\n02aabbcc 64510: no (0279be66: " PK "0)\n"));
	assert_null(strstr(text, "64511: "));
	free(text);
	text = table(API_GROUPS, groups, ARRAY_LEN(groups), false);
	assert_null(strstr(text, "REASON"));
	assert_non_null(strstr(text, "\n\n02aabbcc 65535 64511: closed by its operator\n"));
	assert_null(strstr(text, " 5: "));
	free(text);
}

static void what_has_no_name_is_called_by_what_stands_next(void **state)
{
	static const struct api_dmsg_server servers[] = {
		{.section = "paris", .name = "192.0.2.1:8081", .note = "no way"},
		{.name = "192.168.1.2:8085", .note = "unreachable"}};
	char *text = table(API_DMSG_SERVERS, servers, ARRAY_LEN(servers), false);

	assert_non_null(strstr(text, "\nparis: no way\n192.168.1.2:8085: unreachable\n"));
	free(text);
}

static void with_all_columns_it_is_one_of_them(void **state)
{
	static const struct api_dmsg_hypervisor over = {.pk = {0x02}, .note = "no (" PK ")"};
	char *text = table(API_DMSG_HYPERVISORS, &over, 1, true);

	assert_non_null(strstr(text, "NOTE"));
	assert_non_null(strstr(text, "no (" PK ")"));
	assert_null(strstr(text, "\n\n"));
	free(text);
}

static void blocks_fit_80_columns(const char *text)
{
	for (const char *l = text; *l != '\0'; l += strcspn(l, "\n") + 1)
		assert_in_range(strcspn(l, "\n"), 0, 79);
}

static void what_is_wide_with_all_is_a_block(void **state)
{
	static const struct api_service service = {.kind = 1,
		.name = "http://a-host-with-a-name-of-some-length.example.org:9092/of/a/path",
		.error = "no (" PK ")"};
	char *text = table(API_GROUPS, groups, ARRAY_LEN(groups), true);

	assert_memory_equal(text, "02aabbcc0000", 12);
	assert_non_null(strstr(text, ", port 65535\n  path\n"));
	assert_non_null(strstr(text, "reason: closed by its operator"));
	blocks_fit_80_columns(text);
	free(text);
	text = table(API_SETUPS, setups, ARRAY_LEN(setups), true);
	assert_non_null(strstr(text, "error: no"));
	blocks_fit_80_columns(text);
	free(text);
	text = table(API_SERVICES, &service, 1, true);
	assert_non_null(strstr(text, "url: http://a-host"));
	assert_non_null(strstr(text, "last error: no"));
	blocks_fit_80_columns(text);
	free(text);
}

static void they_fit_80_columns(void **state)
{
	char *text = table(API_SETUPS, setups, ARRAY_LEN(setups), false);

	assert_in_range(first_line_len(text), 40, 80);
	free(text);
	text = table(API_GROUPS, groups, ARRAY_LEN(groups), false);
	assert_in_range(first_line_len(text), 40, 80);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(why_stands_under_the_table_with_who_it_is),
		cmocka_unit_test(what_has_no_name_is_called_by_what_stands_next),
		cmocka_unit_test(with_all_columns_it_is_one_of_them),
		cmocka_unit_test(what_is_wide_with_all_is_a_block),
		cmocka_unit_test(they_fit_80_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
