// Starts EAL for a program that measures: lcores, hugepages when enough are free, no files left
// behind. The choices are those of the data plane (dataplane/dp_eal).
#pragma once

#include "dataplane/io/port.h"

#include <stdbool.h>
#include <stdint.h>

enum { EAL_ERR_MAX = 256 };

struct eal_ask {
	const char *name; // of this program's files
	unsigned n_workers; // lcores beside the main one, unless cores says more
	const char *cores; // "" = the first processor, and the last ones for workers
	const char *extra; // more EAL arguments
	int hugepages; // enum dp_hugepages
	uint64_t need_len; // bytes of pools and tables
	const struct port_ask *ports; // that will be opened
	unsigned n_ports;
};

// Once a process. 0, or -errno with one line in err. *huge (may be NULL): hugepages are in use.
int eal_open(const struct eal_ask *ask, bool *huge, char err[EAL_ERR_MAX]);
