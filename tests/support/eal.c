// Starts EAL the way every data-plane test needs it.

#include "tests/support/eal.h"

#include <rte_eal.h>
#include <rte_errno.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void runtime_dir_remove(void)
{
	rmdir(rte_eal_get_runtime_dir());
}

void test_eal_init(const char *lcores, const char *const *vdevs)
{
	static char lcores_arg[128];
	static char prefix_arg[64];
	const char *argv[32] = {
		"test",
		"--no-huge",
		"-m",
		"320",
		"--no-pci",
		"--no-telemetry",
		"--no-shconf",
		"--log-level=3",
		lcores_arg,
		prefix_arg,
	};
	int argc = 10;

	snprintf(lcores_arg, sizeof(lcores_arg), "--lcores=%s", lcores != NULL ? lcores : "0@0");
	snprintf(prefix_arg, sizeof(prefix_arg), "--file-prefix=skyrail-test-%d", (int)getpid());
	for (; vdevs != NULL && *vdevs != NULL; vdevs++) {
		argv[argc++] = "--vdev";
		argv[argc++] = *vdevs;
	}
	atexit(runtime_dir_remove); // EAL leaves it, empty
	// EAL wants char **, but keeps the strings as they are
	if (rte_eal_init(argc, (char **)(uintptr_t)argv) < 0) {
		fprintf(stderr, "EAL does not start: %s\n", rte_strerror(rte_errno));
		exit(1);
	}
}
