// Every thread loses its capabilities, whatever it is doing. Says something if it runs with any.

#include "dataplane/dp_caps.h"

#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

static _Atomic bool stop;
static int wire[2];

static void *spins(void *arg)
{
	while (!atomic_load(&stop))
		;
	return NULL;
}

static void *reads(void *arg)
{
	char c;

	return (void *)(intptr_t)read(wire[0], &c, 1);
}

// Of all threads together, or of each: the sets that are not empty.
static uint64_t all_caps(const char *set)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *e;
	uint64_t sum = 0, caps;
	char path[64], line[256];

	while ((e = readdir(dir)) != NULL) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
		while (f != NULL && fgets(line, sizeof(line), f) != NULL)
			if (strncmp(line, set, strlen(set)) == 0 &&
				sscanf(line + strlen(set), ": %" SCNx64, &caps) == 1)
				sum |= caps;
		if (f != NULL)
			fclose(f);
	}
	closedir(dir);
	return sum;
}

static void kept_ones_are_named(void **state)
{
	char text[DP_CAPS_TEXT_MAX];

	assert_string_equal(dp_caps_names(0, text), "none");
	assert_string_equal(dp_caps_names(1u << 13, text), "cap_net_raw");
	assert_string_equal(dp_caps_names(1u << 1, text), "cap_dac_override");
	assert_string_equal(dp_caps_names(1ull << 39 | 1u << 12 | 1u << 30, text),
		"cap_net_admin,cap_30,cap_bpf");
	dp_caps_names(UINT64_MAX, text);
	assert_true(memchr(text, '\0', sizeof(text)) != NULL);
}

static void all_threads_keep_what_is_asked_for_and_no_more(void **state)
{
	uint64_t had = all_caps("CapPrm"), keep = had & 1u << 12;
	pthread_t a, b;
	void *got;

#ifdef __SANITIZE_THREAD__
	skip(); // it puts signals off while a thread spins
#endif
	assert_int_equal(pipe(wire), 0);
	assert_int_equal(pthread_create(&a, NULL, spins, NULL), 0);
	assert_int_equal(pthread_create(&b, NULL, reads, NULL), 0);
	assert_int_equal(dp_caps_keep(keep), 0);
	raise(SIGRTMIN + 1); // one that comes late ends nothing
	assert_int_equal(all_caps("CapPrm"), keep);
	assert_int_equal(all_caps("CapEff"), keep);
	assert_int_equal(all_caps("CapInh"), 0);
	if (had >> 8 & 1) // CAP_SETPCAP
		assert_int_equal(all_caps("CapBnd") & ~keep, 0);
	assert_int_equal(dp_caps_keep(0), 0);
	assert_int_equal(all_caps("CapPrm"), 0);
	// it was not disturbed
	assert_int_equal(write(wire[1], "x", 1), 1);
	pthread_join(b, &got);
	assert_int_equal((intptr_t)got, 1);
	atomic_store(&stop, true);
	pthread_join(a, NULL);
	close(wire[0]);
	close(wire[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_ones_are_named),
		cmocka_unit_test(all_threads_keep_what_is_asked_for_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
