// The key file: made once, private, refused with a reason otherwise.
#include "controlplane/core/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// after the standard headers, as cmocka wants it
#include <cmocka.h>

static char dir[64], path[96];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/skyrail-id-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/sub/node.key", dir);
	return 0;
}

static int teardown(void **state)
{
	char sub[96];

	(void)state;
	unlink(path);
	snprintf(sub, sizeof(sub), "%s/sub", dir);
	rmdir(sub);
	return rmdir(dir); // fails when something was left behind
}

static void put(const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void is_made_once_and_read_again(void **state)
{
	char err[256] = "";
	bool made;
	struct identity *a = identity_open(path, &made, err, sizeof(err)), *b;
	struct stat st;
	struct sign_sig sig;

	(void)state;
	assert_non_null(a);
	assert_true(made);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, KEY_SK_TEXT_LEN + 1);
	b = identity_open(path, &made, err, sizeof(err));
	assert_non_null(b);
	assert_false(made);
	assert_memory_equal(identity_pk(a), identity_pk(b), sizeof(struct key_pk));
	assert_int_equal(sign_payload(&sig, identity_sk(a), "text", 4), 0);
	assert_int_equal(sign_verify(&sig, identity_pk(b), "text", 4), 0);
	identity_free(a);
	identity_free(b);
}

static void others_must_not_read_it(void **state)
{
	static const mode_t modes[] = {0640, 0604, 0660, 0644, 0601};
	char err[256];
	bool made;

	(void)state;
	identity_free(identity_open(path, &made, err, sizeof(err)));
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(chmod(path, modes[i]), 0);
		assert_null(identity_open(path, &made, err, sizeof(err)));
		assert_int_equal(errno, EACCES);
		assert_non_null(strstr(err, "chmod 600"));
	}
	assert_int_equal(chmod(path, 0400), 0);
	struct identity *id = identity_open(path, &made, err, sizeof(err));

	assert_non_null(id);
	identity_free(id);
}

static void what_is_no_key_is_refused(void **state)
{
	static const char *const texts[] = {"", "\n", "12",
		"0000000000000000000000000000000000000000000000000000000000000000\n",
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\n",
		"zz00000000000000000000000000000000000000000000000000000000000001\n",
		"000000000000000000000000000000000000000000000000000000000000000100\n"};
	char err[256];
	bool made;

	(void)state;
	identity_free(identity_open(path, &made, err, sizeof(err)));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		put(texts[i], 0600);
		assert_null(identity_open(path, &made, err, sizeof(err)));
		assert_int_equal(errno, EINVAL);
		assert_non_null(strstr(err, "no key"));
		assert_null(strstr(err, "00000"));
	}
	put("0000000000000000000000000000000000000000000000000000000000000001\r\n", 0600);
	struct identity *id = identity_open(path, &made, err, sizeof(err));

	assert_non_null(id);
	identity_free(id);
}

static void a_directory_is_no_key_file(void **state)
{
	char err[256];
	bool made;

	(void)state;
	assert_null(identity_open(dir, &made, err, sizeof(err)));
	assert_string_not_equal(err, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(is_made_once_and_read_again),
		T(others_must_not_read_it),
		T(what_is_no_key_is_refused),
		T(a_directory_is_no_key_file),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
