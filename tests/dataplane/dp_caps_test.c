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

static _Atomic unsigned told;

static void of_a_driver(int sig)
{
	atomic_fetch_add(&told, 1);
}

// All but SIGRTMIN + 1 are raised; returns how many of them have a handler.
static unsigned raise_others(void)
{
	struct sigaction sa;
	unsigned n = 0;

	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++) {
		if (sig == SIGRTMIN + 1 || sigaction(sig, NULL, &sa) < 0 ||
			sa.sa_handler == SIG_DFL || sa.sa_handler == SIG_IGN)
			continue;
		raise(sig);
		n++;
	}
	return n;
}

// net_tap reads its frames only when a signal told it of some, and takes the first that is free.
static void a_signal_of_a_driver_stays_its_own(void **state)
{
	struct sigaction sa = {.sa_handler = of_a_driver, .sa_flags = SA_RESTART};
	unsigned before = raise_others();

#ifdef __SANITIZE_THREAD__
	skip();
#endif
	assert_int_equal(sigaction(SIGRTMIN + 1, &sa, NULL), 0);
	assert_int_equal(dp_caps_keep(UINT64_MAX), 0);
	assert_int_equal(dp_caps_keep(UINT64_MAX), 0);
	raise(SIGRTMIN + 1);
	assert_int_equal(atomic_load(&told), 1);
	assert_int_equal(raise_others(), before + 1); // one that comes late ends nothing
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
	raise_others();
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
		cmocka_unit_test(a_signal_of_a_driver_stays_its_own),
		cmocka_unit_test(all_threads_keep_what_is_asked_for_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
