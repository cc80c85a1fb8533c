// Learnt values in a file: whole at any instant, though the writer is killed at each of its system
// calls; owner, mode, links and comments as promised; files that nobody may write stay as they are.

#include "controlplane/core/conf_file.h"

#include "lib/base/err.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char before[] = "; ours\n[a]\nk = 1 ; why\n";
static const char after[] = "; ours\n[a]\nk = 2 ; why\n";
static const struct conf_set set = {"a", "k", "2"};

struct dir {
	char path[64], file[PATH_MAX], tmp[PATH_MAX];
};

static int setup(void **state)
{
	static struct dir d;

	snprintf(d.path, sizeof(d.path), "/tmp/conf_file_test.XXXXXX");
	assert_non_null(mkdtemp(d.path));
	snprintf(d.file, sizeof(d.file), "%s/x.ini", d.path);
	snprintf(d.tmp, sizeof(d.tmp), "%s/x.ini.new", d.path);
	*state = &d;
	return 0;
}

static int teardown(void **state)
{
	struct dir *d = *state;
	char path[PATH_MAX];

	unlink(d->file);
	unlink(d->tmp);
	snprintf(path, sizeof(path), "%s/link.ini", d->path);
	unlink(path);
	return rmdir(d->path);
}

static void put(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void get(const char *path, char *buf, size_t cap)
{
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	buf[fread(buf, 1, cap - 1, f)] = '\0';
	fclose(f);
}

static void assert_holds(const char *path, const char *text)
{
	char buf[4096];

	get(path, buf, sizeof(buf));
	assert_string_equal(buf, text);
}

static void a_key_is_set_and_the_rest_stays(void **state)
{
	struct dir *d = *state;
	struct stat st;

	put(d->file, before, 0644);
	if (geteuid() == 0)
		assert_int_equal(chown(d->file, 1, 2), 0);
	assert_int_equal(conf_file_set(d->file, &set, 1), 0);
	assert_holds(d->file, after);
	assert_int_equal(stat(d->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	if (geteuid() == 0) {
		assert_int_equal(st.st_uid, 1);
		assert_int_equal(st.st_gid, 2);
	}
	assert_int_equal(access(d->tmp, F_OK), -1);
}

static void what_is_there_already_is_not_written(void **state)
{
	struct dir *d = *state;
	struct stat a, b;

	put(d->file, after, 0640);
	assert_int_equal(stat(d->file, &a), 0);
	assert_int_equal(conf_file_set(d->file, &set, 1), 0);
	assert_int_equal(stat(d->file, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(b.st_mode & 07777, 0640);
}

static void a_file_that_is_not_there_is_made(void **state)
{
	struct dir *d = *state;

	assert_int_equal(conf_file_set(d->file, &set, 1), 0);
	assert_holds(d->file, "[a]\nk = 2\n");
}

static void a_link_stays_one(void **state)
{
	struct dir *d = *state;
	char path[PATH_MAX];
	struct stat st;

	put(d->file, before, 0600);
	snprintf(path, sizeof(path), "%s/link.ini", d->path);
	assert_int_equal(symlink("x.ini", path), 0);
	assert_int_equal(conf_file_set(path, &set, 1), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_holds(d->file, after);
}

static void a_file_that_nobody_may_write_stays(void **state)
{
	struct dir *d = *state;

	put(d->file, before, 0400);
	assert_int_equal(conf_file_set(d->file, &set, 1), -EROFS);
	assert_holds(d->file, before);
	assert_int_equal(access(d->tmp, F_OK), -1);
}

static void other_failures_leave_the_file(void **state)
{
	struct dir *d = *state;
	struct conf_set bad = {"a", "k", "two\nlines"};

	put(d->file, before, 0600);
	assert_int_equal(conf_file_set(d->file, &bad, 1), -EINVAL);
	assert_holds(d->file, before);
	assert_int_equal(conf_file_set(d->path, &set, 1), -EINVAL); // a directory
	assert_int_equal(mkdir(d->tmp, 0700), 0); // where the temporary file would be
	assert_true(conf_file_set(d->file, &set, 1) < 0);
	assert_holds(d->file, before);
	assert_int_equal(rmdir(d->tmp), 0);
}

// Runs the writer in a child that is killed when it stops for the n-th time, before or behind a
// system call. Was it, or had it done its work?
static bool is_killed_at(const char *path, unsigned n)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(3);
		raise(SIGSTOP);
		_exit(conf_file_set(path, &set, 1) == 0 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	for (unsigned i = 0; WIFSTOPPED(status); i++) {
		if (i == n)
			kill(pid, SIGKILL);
		else
			assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	if (WIFSIGNALED(status))
		return true;
	assert_int_equal(WEXITSTATUS(status), 0);
	return false;
}

static void killed_at_any_system_call_the_file_is_old_or_new(void **state)
{
	struct dir *d = *state;
	unsigned n_old = 0, n_new = 0, n = 0;

	for (;; n++) {
		char buf[256];
		bool killed;

		put(d->file, before, 0600);
		killed = is_killed_at(d->file, n);
		get(d->file, buf, sizeof(buf));
		if (strcmp(buf, before) == 0)
			n_old++;
		else if (strcmp(buf, after) == 0)
			n_new++;
		else
			fail_msg("killed at stop %u: %s", n, buf);
		// what it left does not hinder the next one
		assert_int_equal(conf_file_set(d->file, &set, 1), 0);
		assert_holds(d->file, after);
		if (!killed)
			break;
		assert_true(n < 10000);
	}
	assert_true(n_old > 10);
	assert_true(n_new > 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_key_is_set_and_the_rest_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_there_already_is_not_written, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_is_not_there_is_made, setup, teardown),
		cmocka_unit_test_setup_teardown(a_link_stays_one, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_file_that_nobody_may_write_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(other_failures_leave_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(
			killed_at_any_system_call_the_file_is_old_or_new, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
