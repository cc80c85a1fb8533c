// Which names are those of a bench that has ended, and what is removed of it.
#include "lib/base/err.h"
#include "tools/bench/stale.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

// Ids of processes are given out in turn: this one does not come again soon.
static int ended_pid(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

static void name_of(char out[64], const char *before, int pid, const char *after)
{
	snprintf(out, 64, "%s%d%s", before, pid, after);
}

static void only_names_of_ended_processes_are_stale(void **state)
{
	const int dead = ended_pid(), alive = getpid();
	const struct {
		const char *before;
		int pid;
		const char *after;
		bool stale;
	} t[] = {
		{"bench-", dead, "", true},
		{"bench-", dead, "-0", true},
		{"bench-", dead, "-17", true},
		{"bench-", alive, "", false},
		{"bench-", alive, "-0", false},
		{"bench-", dead, "x", false},
		{"bench--", dead, "", false},
		{"bench-0", dead, "", false},
		{"bank-", dead, "", false},
		{"bench-", dead, "99999999999999999999", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		char name[64];

		name_of(name, t[i].before, t[i].pid, t[i].after);
		if (stale_is(name, "bench-") != t[i].stale)
			fail_msg("%s", name);
	}
	assert_false(stale_is("bench-", "bench-"));
	assert_false(stale_is("bench-pmd", "bench-"));
	assert_false(stale_is("", "bench-"));
}

static void only_their_empty_directories_go(void **state)
{
	char dir[] = "/tmp/stale.XXXXXX", name[4][64];
	const bool stays[] = {false, true, true, true};
	const int dead = ended_pid(), other = ended_pid();

	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	name_of(name[0], "bench-", dead, "");
	name_of(name[1], "bench-", getpid(), "");
	name_of(name[2], "node-", dead, "");
	name_of(name[3], "bench-", other, ""); // something is in it
	for (size_t i = 0; i < ARRAY_LEN(name); i++)
		assert_int_equal(mkdir(name[i], 0700), 0);
	assert_int_equal(symlink("x", strcat(name[3], "/x")), 0);
	stale_dirs_remove(dir, "bench-");
	stale_dirs_remove("/nowhere", "bench-");
	for (size_t i = 0; i < ARRAY_LEN(name); i++) {
		struct stat st;

		assert_int_equal(lstat(name[i], &st) == 0, stays[i]);
		remove(name[i]);
	}
	*strrchr(name[3], '/') = '\0';
	assert_int_equal(rmdir(name[3]), 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_names_of_ended_processes_are_stale),
		cmocka_unit_test(only_their_empty_directories_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
