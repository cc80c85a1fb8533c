// The command line that EAL gets: built from our configuration, the user's own EAL arguments after
// it, and what this machine has. Pure, so that it can be tested; EAL is started by main.c.
#pragma once

#include "dataplane/dp_conf.h"

#include <stdbool.h>
#include <stdint.h>

enum { EAL_ARGS_MAX = 128, EAL_TEXT_MAX = 4096, EAL_CPUS_MAX = 1024 };

// What the machine offers.
struct dp_eal_env {
	unsigned n_cpus;
	uint16_t cpus[EAL_CPUS_MAX]; // that we may run on, ascending
	uint64_t huge_free_len; // bytes in free hugepages
	uint64_t need_len; // bytes that tables and pools will take in hugepages
	uint64_t need_small_len; // ... and in the kernel's pages
};

struct dp_eal_args {
	int argc;
	char *argv[EAL_ARGS_MAX + 1]; // ends in NULL; into text
	bool no_huge; // hugepages are not used
	bool fell_back; // ... though the configuration left it open
	uint64_t huge_mb; // wanted of hugepages
	uint64_t memory_mb; // what EAL gets, or needs
	char text[EAL_TEXT_MAX];
	size_t used;
};

// Reads affinity and free hugepages; need_len and need_small_len are the caller's.
void dp_eal_env_read(struct dp_eal_env *env);
// Bytes that a configuration will take from EAL's heap, generously.
uint64_t dp_eal_need(const struct dp_conf *c, bool small_pages);
// Has the end of the process remove the runtime directory that EAL makes and leaves, if nothing is
// in it. Before rte_eal_init(): what EAL itself removes at exit is gone by then.
void dp_eal_tidy_at_exit(void);
// 0, or -errno with one line in err.
int dp_eal_build(struct dp_eal_args *a, const struct dp_conf *c, int n_user, char *const *user,
	const struct dp_eal_env *env, char err[CONF_ERR_MAX]);
