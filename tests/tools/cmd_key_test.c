// `skyrail key`: what it takes for a key, and what it makes.
#include "tools/ctl/cli.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SECRET "0000000000000000000000000000000000000000000000000000000000000001"
#define PUBLIC "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"

static char dir[64], path[96];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/skyrail-key-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/node.key", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir); // fails when something was left behind
}

static void put(const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int show(void)
{
	char *argv[] = {path};
	struct cli c = {.argc = 1, .argv = argv};

	return cmd_key_show(&c);
}

static void public_key_is_no_secret_one(void **state)
{
	struct key_sk sk;
	struct key_pk pk;
	char text[KEY_PK_TEXT_LEN + 1];

	(void)state;
	put(SECRET "\n");
	assert_int_equal(cli_read_key(path, &sk), CLI_OK);
	assert_int_equal(key_pk_from_sk(&pk, &sk), 0);
	key_pk_to_text(&pk, text);
	assert_string_equal(text, PUBLIC);
	assert_int_equal(show(), CLI_OK);
	put(PUBLIC "\n");
	assert_int_equal(cli_read_key(path, &sk), CLI_FAIL);
	assert_int_equal(show(), CLI_FAIL);
	put(SECRET "0\n");
	assert_int_equal(show(), CLI_FAIL);
}

static void made_key_is_shown_and_not_written_over(void **state)
{
	char *argv[] = {path};
	struct cli c = {.argc = 1, .argv = argv};

	(void)state;
	assert_int_equal(cmd_key_gen(&c), CLI_OK);
	assert_int_equal(show(), CLI_OK);
	assert_int_equal(cmd_key_gen(&c), CLI_FAIL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(public_key_is_no_secret_one, setup, teardown),
		cmocka_unit_test_setup_teardown(
			made_key_is_shown_and_not_written_over, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
