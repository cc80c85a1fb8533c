// The two shared-memory segments of a data plane, how they are made and how they are handed over.
//
// `rings` goes to the one control plane; `stats` also to tools, which can only map it read-only.
// Both are sealed memfds, not dumped in cores. The data plane creates them at start-up with a new
// epoch and hands them out over a unix SOCK_SEQPACKET socket: the client sends struct region_ask,
// the answer is struct region_offer with the descriptors as SCM_RIGHTS. The control plane keeps the
// connection open: its end is how the data plane learns that the control plane is gone.
#pragma once

#include "lib/shm/dpmsg.h"
#include "lib/shm/ring.h"
#include "lib/shm/stats.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	REGION_MAGIC = 0x736b7267,
	REGION_VERSION = 5,
	REGION_ASK_CONTROL = 1,
	REGION_ASK_STATS = 2,
	REGION_CIPHERS = 4,
};

struct region_ask {
	uint32_t magic;
	uint32_t version;
	uint32_t what; // REGION_ASK_*
	uint32_t counters; // stats_counters_hash(): the same list of counters
};

// status 0: rings, stats, bell_cp, bell_dp, bell_car[] follow as descriptors (REGION_ASK_STATS:
// just stats). -EBUSY: a control plane is attached already; -EACCES: wrong user; -EPROTO: other
// version.
struct region_offer {
	int32_t status;
	uint32_t version;
	uint64_t epoch; // new with each life of the data plane
	uint64_t rings_len;
	uint64_t stats_len;
};

// Begins the rings segment. Written once by the data plane, except the flags at its end.
struct region_hdr {
	uint32_t magic;
	uint32_t version;
	uint64_t epoch;
	uint64_t len;
	uint32_t dpmsg_version;
	uint32_t n_workers;
	uint32_t rule_bits; // log2 of the rule table's size
	uint32_t hop_max; // hop and transport handles have an index below this
	uint32_t rx_index_bits; // log2 of the receiver index table
	uint32_t adj_max;
	uint32_t udp_port; // where peers reach this node
	uint32_t udp_ports; // from that on: one a flow
	uint32_t pid;
	// By bit of rail TLV 4: nanoseconds that a packet of 1400 bytes takes, measured at start;
	// 0: the cipher is not available.
	uint32_t cipher_ns[REGION_CIPHERS];
	uint64_t cmd_off, evt_off; // from the start of the segment
	uint64_t hs_off[DPMSG_MAX_WORKERS];
	uint64_t up_off[DPMSG_MAX_WORKERS];
	uint64_t down_off[DPMSG_MAX_WORKERS];
	uint64_t car_up_off[DPMSG_MAX_CARRIERS];
	uint64_t car_down_off[DPMSG_MAX_CARRIERS];

	// A reader that is about to sleep stores 1 (seq_cst), looks at its rings once more, and
	// sleeps on its eventfd; the writer, after publishing, exchanges it to 0 and writes the
	// eventfd if it was 1.
	_Alignas(64) _Atomic uint32_t cp_sleeping; // set by the control plane, cleared by who rings
	_Alignas(64) _Atomic uint32_t
		dp_sleeping; // set by the main lcore, cleared by the control plane
	_Alignas(64) _Atomic uint32_t
		evt_overflow; // set by the main lcore, cleared by the control plane
	_Atomic uint32_t
		attaches; // control planes that attached in this epoch, the present one included
	_Atomic uint32_t n_carriers; // whose rings are looked at; set by the control plane, cleared
				     // by the main lcore
	struct {
		_Alignas(64) _Atomic uint32_t sleeping; // set by the carrier, cleared by who rings
	} car[DPMSG_MAX_CARRIERS];
	// The same for workers: one whose ports are silent stores 1, looks at its ring down once
	// more, and waits (futex) while it is 1. Owner: worker sets, the control plane clears.
	struct region_doze {
		_Alignas(64) _Atomic uint32_t word;
	} doze[DPMSG_MAX_WORKERS];
};

// How many carriers there are. Either side; what the control plane says is not believed.
static inline unsigned region_n_carriers(const struct region_hdr *h)
{
	uint32_t n = atomic_load_explicit(&h->n_carriers, memory_order_relaxed);

	return n < DPMSG_MAX_CARRIERS ? n : DPMSG_MAX_CARRIERS;
}

struct region_conf {
	uint32_t n_workers;
	uint32_t n_ports;
	uint32_t hop_max;
	uint32_t rule_bits;
	uint32_t rx_index_bits;
	uint32_t adj_max;
	uint32_t udp_port, udp_ports;
	uint32_t cipher_ns[REGION_CIPHERS];
	uint32_t cmd_size, evt_size, hs_size, up_size,
		down_size; // bytes, powers of two; 0 = default
};

// A mapped pair of segments, on either side. Open: both processes reach into it.
struct region {
	struct region_hdr *hdr; // NULL in a tool that has only the statistics
	struct stats_hdr *stats; // read-only mapping in a reader
	struct stats_view view; // of stats: a reader's
	size_t rings_len, stats_len;
	int rings_fd; // not in a tool
	int stats_fd; // creator only, else -1
	int bell_cp, bell_dp; // eventfds, non-blocking
	int bell_car[DPMSG_MAX_CARRIERS]; // ditto, of the control plane's carriers
	int sock; // the client's connection, else -1
	uint64_t epoch;
};

// Data plane. epoch comes from the caller (random). 0 or -errno.
int region_create(struct region *r, const struct region_conf *conf, uint64_t epoch);
// Data plane, before a control plane attaches: write again whatever the last one could have spoilt
// (header, ring headers and positions). `conf` is the one of region_create().
void region_repair(struct region *r, const struct region_conf *conf);
// Listen on path (mode 0660; a stale socket of a dead process is replaced); descriptor or -errno.
int region_listen(const char *path);
// Remove the SOCK_SEQPACKET socket of a process that is gone. 0, also when there is none;
// -EADDRINUSE when somebody answers there, or when it is no socket at all; -errno.
int region_stale_remove(const char *path);
// Answer one accepted connection's request. `control_busy`: a control plane is attached. `uid`:
// whom besides root and ourselves to serve with the rings (-1: nobody). Returns the REGION_ASK_*
// served or -errno (the client was told). The caller keeps or closes the connection.
int region_serve(struct region *r, int conn, bool control_busy, uid_t uid);
// Control plane or tool: connect, ask, map and check everything. 0, or -errno with *r untouched.
int region_attach(struct region *r, const char *path, uint32_t what);
// The same in two steps for who must not wait. region_ask: connects and asks; a non-blocking socket
// that gets readable with the answer, or -errno. region_take: 0, and r owns sock; or -errno with *r
// untouched (-EAGAIN: no answer yet), and sock stays the caller's.
int region_ask(const char *path, uint32_t what);
int region_take(struct region *r, int sock, uint32_t what);
// Control plane: what carrier k needs of r, mapped once more and with a bell of its own, so that it
// may be closed by another thread at another time than r. 0 or -errno.
int region_share(const struct region *r, unsigned k, struct region *out);
void region_close(struct region *r);

// Who has published something in a ring up: ring the bell of its reader if that sleeps. Did it?
bool region_wake(_Atomic uint32_t *sleeping, int bell_fd);
// Who has published something in a ring down: wake its worker if it sleeps.
void region_worker_wake(struct region_hdr *hdr, unsigned worker);
// The worker, after it stored 1 in its word and looked at the ring: until somebody wakes it, but no
// longer than ns. 0; -EAGAIN: it was awake by then; -ETIMEDOUT, -EINTR.
int region_worker_doze(struct region_hdr *hdr, unsigned worker, uint64_t ns);

// Ring at an offset of the header, and the bytes of mapping behind it; NULL when the offset is
// wild.
struct ring_shm *region_ring(const struct region *r, uint64_t off, size_t *max_len);
