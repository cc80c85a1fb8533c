// Writes that are cut, and directories by paths of every form.
#include "lib/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

enum { LEN = 300000 }; // more than a pipe takes

static void *read_all(void *arg)
{
	static uint8_t buf[4096];
	size_t sum = 0;
	ssize_t n;

	while ((n = read(*(int *)arg, buf, sizeof(buf))) > 0)
		sum += (size_t)n;
	return (void *)sum;
}

static void all_is_written_however_much_one_write_takes(void **state)
{
	static const uint8_t bytes[LEN];
	pthread_t reader;
	void *sum;
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(pthread_create(&reader, NULL, read_all, &fd[0]), 0);
	assert_int_equal(file_write_all(fd[1], bytes, LEN), 0);
	close(fd[1]);
	assert_int_equal(pthread_join(reader, &sum), 0);
	assert_int_equal((size_t)sum, LEN);
	close(fd[0]);
}

static void what_cannot_be_written_is_told(void **state)
{
	int fd[2];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(fd), 0);
	close(fd[0]);
	assert_int_equal(file_write_all(fd[1], "x", 1), -EPIPE);
	assert_int_equal(file_write_all(fd[1], "", 0), 0);
	close(fd[1]);
}

static void directory_is_that_of_the_path(void **state)
{
	(void)state;
	assert_int_equal(file_sync_dir("a"), 0);
	assert_int_equal(file_sync_dir("/a"), 0);
	assert_int_equal(file_sync_dir("/tmp/a"), 0);
	assert_int_equal(file_sync_dir("/nowhere/a"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_written_however_much_one_write_takes),
		cmocka_unit_test(what_cannot_be_written_is_told),
		cmocka_unit_test(directory_is_that_of_the_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
