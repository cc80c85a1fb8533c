// What a key file may hold: one secret key and blanks behind it.
#include "lib/crypto/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define DIGITS "0123456789abcdef"
#define SECRET DIGITS DIGITS DIGITS DIGITS
#define PUBLIC "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
#define BLANKS "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n" // 16

static int get(const char *text, struct key_sk *sk)
{
	int fd = memfd_create("key", MFD_CLOEXEC), rc;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	rc = key_file_get(fd, sk);
	close(fd);
	return rc;
}

static void one_secret_key_is_taken(void **state)
{
	static const char *const good[] = {SECRET, SECRET "\n", SECRET "\r\n", SECRET " \n\n"};
	char text[KEY_SK_TEXT_LEN + 1];
	struct key_sk sk;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(get(good[i], &sk), 0);
		key_sk_to_text(&sk, text);
		assert_string_equal(text, SECRET);
	}
}

static void all_else_is_refused(void **state)
{
	static const char *const bad[] = {"", "\n", DIGITS, PUBLIC, PUBLIC "\n", SECRET "0",
		SECRET "\n" SECRET "\n", " " SECRET, SECRET "\n0", SECRET BLANKS "0", SECRET "\t"};
	static const struct key_sk none;
	struct key_sk sk;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&sk, 1, sizeof(sk));
		assert_int_equal(get(bad[i], &sk), -EINVAL);
		assert_memory_equal(&sk, &none, sizeof(sk));
	}
}

static void what_cannot_be_read_is_told(void **state)
{
	static const struct key_sk none;
	struct key_sk sk;
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	memset(&sk, 1, sizeof(sk));
	assert_int_equal(key_file_get(fd, &sk), -EISDIR);
	assert_memory_equal(&sk, &none, sizeof(sk));
	close(fd);
}

static void is_read_however_it_comes(void **state)
{
	struct key_sk sk, same;
	int fd[2];

	(void)state;
	assert_int_equal(get(SECRET, &same), 0);
	assert_int_equal(pipe(fd), 0);
	for (size_t i = 0; i < KEY_SK_TEXT_LEN; i++)
		assert_int_equal(write(fd[1], &SECRET[i], 1), 1);
	close(fd[1]);
	assert_int_equal(key_file_get(fd[0], &sk), 0);
	assert_memory_equal(&sk, &same, sizeof(sk));
	close(fd[0]);
}

static void what_is_put_is_got(void **state)
{
	int fd = memfd_create("key", MFD_CLOEXEC);
	struct key_sk sk, same;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(get(SECRET, &sk), 0);
	assert_int_equal(key_file_put(fd, &sk), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), KEY_SK_TEXT_LEN + 1);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(key_file_get(fd, &same), 0);
	assert_memory_equal(&sk, &same, sizeof(sk));
	close(fd);
	assert_int_equal(key_file_put(fd, &sk), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_secret_key_is_taken),
		cmocka_unit_test(all_else_is_refused),
		cmocka_unit_test(what_cannot_be_read_is_told),
		cmocka_unit_test(is_read_however_it_comes),
		cmocka_unit_test(what_is_put_is_got),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
