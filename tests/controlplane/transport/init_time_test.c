// The time in inits only ever grows, over restarts and clocks that jump.
#include "controlplane/transport/init_time.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// after the standard headers, as cmocka wants it
#include <cmocka.h>

#include "lib/base/clock.h"

static char dir[64], path[96];
static uint64_t wall;

static uint64_t wall_now(void)
{
	return wall;
}

static uint64_t mono_now(void)
{
	return 0;
}

static int setup(void **state)
{
	static const struct clock_source src = {.mono_ns = mono_now, .wall_ns = wall_now};

	(void)state;
	clock_source_set(&src);
	wall = 1700000000ull * CLOCK_NS_PER_S;
	strcpy(dir, "/tmp/skyrail-it-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/last_init", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	rmdir(dir);
	clock_source_set(NULL);
	return 0;
}

static void grows_while_the_clock_stands_or_goes_back(void **state)
{
	int err;
	struct init_time *t = init_time_open(dir, &err);
	uint64_t a, b;

	(void)state;
	assert_int_equal(err, 0);
	a = init_time_next(t);
	assert_int_equal(a, wall);
	assert_int_equal(init_time_next(t), a + 1);
	wall -= 3600 * CLOCK_NS_PER_S;
	assert_int_equal(b = init_time_next(t), a + 2);
	init_time_close(t);
	t = init_time_open(dir, &err); // the next life
	assert_int_equal(init_time_next(t), b + 1);
	wall += 7200 * CLOCK_NS_PER_S;
	assert_int_equal(init_time_next(t), wall);
	init_time_close(t);
}

static void a_file_that_holds_no_time_is_none(void **state)
{
	static const char *const texts[] = {
		"", "x", "12", "99999999999999999999999\n", "18446744073709551614\n", "-5\n", "\n"};
	int err;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct init_time *t;
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		assert_int_equal(write(fd, texts[i], strlen(texts[i])), strlen(texts[i]));
		close(fd);
		t = init_time_open(dir, &err);
		assert_int_equal(err, 0);
		assert_int_equal(init_time_next(t), wall);
		init_time_close(t);
	}
}

static void without_a_directory_it_works_in_memory(void **state)
{
	int err;
	struct init_time *t = init_time_open("/nonexistent/dir", &err);

	(void)state;
	assert_int_equal(err, -ENOENT);
	assert_int_equal(init_time_next(t), wall);
	assert_int_equal(init_time_next(t), wall + 1);
	init_time_close(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(grows_while_the_clock_stands_or_goes_back),
		T(a_file_that_holds_no_time_is_none),
		T(without_a_directory_it_works_in_memory),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
