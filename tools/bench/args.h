// What skyrail-bench is asked to do: its command line, checked as a whole. Pure: no file, no
// device.
#pragma once

#include "lib/crypto/aead.h"
#include "lib/crypto/key.h"
#include "lib/shm/dpmsg.h"
#include "tools/bench/flow.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ARGS_PORTS_MAX = 8,
	ARGS_SIZES_MAX = 16,
	ARGS_SHARES_MAX = 8,
	ARGS_TRANSPORTS_MAX = 1024,
	ARGS_ROUTES_MAX = 1 << 20,
	ARGS_WORKERS_MAX = 15, // each has two of DPMSG_MAX_PORTS ports
	ARGS_SIZE_MIN = FLOW_MARK_LEN,
	ARGS_SIZE_MAX = 9000, // bytes of payload
	ARGS_ERR_MAX = 200,
};

enum args_mode {
	ARGS_MEMORY, // a node in this process, on rings
	ARGS_LOOPBACK, // nothing between generator and sink: how fast are they?
	ARGS_WIRE, // ports, to a node that runs elsewhere
};
enum args_search { ARGS_MLR, ARGS_RFC2544, ARGS_NONE };

// One port of wire mode; strings are argv's.
struct args_port {
	const char *device;
	struct dpmsg_addr self; // its port: 0
	struct dpmsg_addr node;
};

struct args_size {
	uint32_t len; // of the payload
	uint32_t weight;
};

// "1.5Mpps", "2Gbit": one of the two is set. Both 0 = as fast as it goes, or not given.
struct args_rate {
	double pps;
	double bps; // of Ethernet frames without checksum, preamble and gap
	bool given;
};

struct args {
	enum args_mode mode;
	// the device under test
	struct args_port port[ARGS_PORTS_MAX];
	unsigned n_ports;
	uint16_t udp_port; // of ours; transports beyond the first take the next ones
	const char *api; // NULL: the node is configured already
	const char *key_file; // NULL: a key for this run only
	struct key_pk node_pk;
	bool has_node_pk;
	uint32_t in_id, out_id; // of the first route
	bool no_dial; // the node makes the handshakes
	double rekey_s; // age at which we change keys of links that we dialled
	uint32_t n_workers; // memory
	uint32_t n_rules; // ditto
	uint32_t queue_len; // ditto: descriptors of its ports' queues, a power of two
	uint32_t n_transports;
	uint32_t n_routes;
	bool reliable; // links in reliable mode
	bool same_transport; // routes leave by the transport by which they came
	enum aead_cipher cipher;
	// the traffic
	struct args_size size[ARGS_SIZES_MAX];
	unsigned n_sizes;
	struct args_rate rate; // given: one run of it, no search
	bool rate_is_max;
	struct args_rate min_rate, max_rate; // of the search
	enum args_search search;
	double width, pdr_loss; // ratios
	double duration_s, initial_s, warm_up_s, drain_s;
	uint32_t n_trials; // full ones that decide about a load
	uint32_t share[ARGS_SHARES_MAX]; // percent of the NDR at which latency is measured
	unsigned n_shares;
	bool prepare, count_only;
	uint32_t seed;
	// the report
	const char *json, *csv; // "-": standard output
	bool quiet;
	struct args_rate min_ndr, min_pdr;
	double max_loss; // ratio; < 0: no threshold
	double max_p99_us; // 0: no threshold
	// the machine
	const char *cores;
	const char *eal;
	int hugepages; // enum dp_hugepages
	bool show_help, show_version, show_key;
};

// 0, or -EINVAL with one line in err.
int args_parse(struct args *a, int argc, char **argv, char err[ARGS_ERR_MAX]);
const char *args_help(void);

// Parts of it, for tests. 0 or -EINVAL.
int args_rate(const char *text, struct args_rate *out);
int args_ratio(const char *text, double *out); // "0.5%", "0"; 0..1
int args_time(const char *text, double *seconds); // "1s", "200ms", "5us", "1m", "0"
int args_sizes(const char *text, struct args_size *out, unsigned *n); // "imix", "64:7,576:4"
int args_addr(const char *text, struct dpmsg_addr *out); // "10.0.0.1", "[fd00::1]:7780"
