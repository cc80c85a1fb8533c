// The data plane's configuration: one file, ports from the command line on top, checked as a whole.
// Everything is [main], before EAL starts.
#pragma once

#include "dataplane/io/port.h"
#include "dataplane/worker/worker.h"
#include "lib/conf/conf.h"

#include <stdint.h>
#include <stdio.h>

enum dp_hugepages { HUGE_AUTO = 0, HUGE_YES, HUGE_NO };

struct dp_port_values {
	char *name;
	char *device;
	uint32_t queues;
	uint32_t mtu;
	int exception; // enum port_exception
	char *kernel_if;
	char *tap;
};

struct dp_values {
	char *name;
	char *run_dir;
	uint16_t udp_port;
	uint32_t udp_ports;
	char *control_user;
	char *cores;
	uint32_t workers;
	int hugepages; // enum dp_hugepages
	uint32_t memory_mb;
	char *extra_args;
	uint32_t rules;
	uint32_t hops;
	uint32_t adjs;
	int crypto; // enum dp_backend
	int idle; // enum idle_mode
	int log_level;
	struct conf_array ports; // struct dp_port_values
};

struct dp_conf {
	struct conf *file;
	const struct dp_values *v; // owner: file
	struct port_ask ports[DPMSG_MAX_PORTS]; // of the file, then of the command line
	unsigned n_ports;
	char *port_args[DPMSG_MAX_PORTS]; // copies that the asks of the command line point into
	unsigned n_port_args;
	unsigned rule_bits; // log2 of the rule table
	unsigned rx_index_bits; // log2 of the receiver index table
};

// Read path (absent = defaults; ask conf_is_missing()). 0, or -errno with a line in err for each
// mistake; when file is not NULL then, the functions below may be asked for more mistakes.
int dp_conf_load(struct dp_conf *c, const char *path, char err[CONF_ERR_MAX]);
// `-p NAME=DEVICE`: adds a port, or gives the port of that name another device.
int dp_conf_port_arg(struct dp_conf *c, const char *arg, char err[CONF_ERR_MAX]);
// What no single key can tell: names, lengths, numbers that belong together, interfaces of the
// kernel where a device is wanted. Fills rule_bits. err holds a string; mistakes are added to it.
int dp_conf_check(struct dp_conf *c, char err[CONF_ERR_MAX]);
// What only this machine tells, but no EAL is needed for: an interface that is not there is a
// mistake in err, a driver that we don't know is worth a line in warn. Both hold strings.
int dp_conf_check_machine(const struct dp_conf *c, char err[CONF_ERR_MAX], char warn[CONF_ERR_MAX]);
void dp_conf_free(struct dp_conf *c);
void dp_conf_print(const struct dp_conf *c, FILE *out);

// Paths below run_dir; 0 or -ENAMETOOLONG.
int dp_conf_socket_path(const struct dp_conf *c, char *out, size_t cap);
