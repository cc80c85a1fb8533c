// The statistics segment: counters of workers, ports and hops, generated from counters.def.
//
// Each block has one writer, which adds with relaxed stores to its own cache lines; readers map the
// segment read-only and may see values of slightly different moments.
#pragma once

#include "lib/shm/dpmsg.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum worker_counter {
#define COUNTER_WORKER(stage, role, name, unit, help) W_##name,
#include "lib/shm/counters.def"
	W_COUNT
};

enum port_counter {
#define COUNTER_PORT(role, name, unit, help) P_##name,
#include "lib/shm/counters.def"
	P_COUNT
};

enum hop_counter {
#define COUNTER_HOP(name, unit, help) H_##name,
#include "lib/shm/counters.def"
	H_COUNT
};

// Not in the segment: the control plane counts them for itself.
enum control_counter {
#define COUNTER_CONTROL(role, name, unit, help) C_##name,
#include "lib/shm/counters.def"
	C_COUNT
};

enum dmsg_client_counter {
#define COUNTER_DMSG_CLIENT(role, name, unit, help) DC_##name,
#include "lib/shm/counters.def"
	DC_COUNT
};

enum dmsg_server_counter {
#define COUNTER_DMSG_SERVER(role, name, unit, help) DS_##name,
#include "lib/shm/counters.def"
	DS_COUNT
};

enum counter_scope {
	SCOPE_WORKER,
	SCOPE_PORT,
	SCOPE_HOP,
	SCOPE_CONTROL,
	SCOPE_DMSG_CLIENT,
	SCOPE_DMSG_SERVER
};
enum counter_stage { STAGE_frame, STAGE_dgram, STAGE_packet, STAGE_seal, STAGE_send, STAGE_info };
enum counter_role { ROLE_IN, ROLE_OUT, ROLE_DROP, ROLE_INFO };

struct counter_desc {
	const char *name;
	const char *unit;
	const char *help;
	uint8_t scope;
	uint8_t stage; // workers only
	uint8_t role; // not of ports and hops
};

enum { STATS_MAGIC = 0x736b7374, STATS_VERSION = 4 };

struct stats_worker { // owner: the worker
	_Alignas(64) _Atomic uint64_t c[W_COUNT];
	_Atomic uint32_t asleep; // 1 while the idle worker sleeps
	_Atomic uint32_t held; // packets in its hand-off rings and joining buffers
};

struct stats_port { // owner: the main lcore
	_Alignas(64) char name[DPMSG_NAME_LEN];
	_Atomic uint64_t c[P_COUNT];
	_Atomic uint32_t used;
};

struct stats_hop { // owner: the hop's worker
	_Alignas(64) _Atomic uint64_t c[H_COUNT];
	_Atomic uint32_t
		hop; // handle, 0 = block not in use; main lcore stores it (release) after the name
	_Atomic uint32_t rtt_us;
	_Atomic uint32_t path_mtu; // bytes of IP, 0: not known yet
	_Atomic uint32_t mtu_state; // enum pmtu_state (lib/link/pmtu.h)
	// reliable mode, some hundred times a second
	_Atomic uint64_t cwnd; // bytes that may be in flight
	_Atomic uint64_t in_flight; // bytes
	_Atomic uint64_t rate; // bytes per second
	_Atomic uint32_t min_rtt_us;
	_Atomic uint32_t unacked; // packets
	_Atomic uint32_t held; // buffers of packets that came in by it and are kept at its worker
	_Atomic uint32_t paused; // routes that leave by it and whose ingress waits
	_Atomic uint64_t queued; // bytes of route packets that wait to leave by it
	_Atomic uint32_t queued_packets;
	char name[DPMSG_NAME_LEN]; // owner: main lcore
};

struct stats_hdr {
	uint32_t magic;
	uint32_t version;
	uint32_t counters; // stats_counters_hash()
	uint32_t n_workers;
	uint32_t n_ports;
	uint32_t hop_max;
	uint64_t epoch;
	uint64_t len;
	uint64_t workers_off, ports_off, hops_off;
	uint64_t tsc_hz;
	// written once by the data plane before it offers the segment; NUL-terminated versions
	char program[DPMSG_NAME_LEN];
	char dpdk[DPMSG_NAME_LEN];
	char aead[DPMSG_NAME_LEN]; // cipher back ends
	char ciphers[DPMSG_NAME_LEN]; // the quickest first
	// owner: main lcore
	_Atomic uint64_t rules_live;
	_Atomic uint64_t rules_expired; // since start
	_Atomic uint64_t rules_closed; // by Close packets, since start
	_Atomic uint64_t mbufs_total, mbufs_free; // all pools, each second
	_Atomic uint64_t beat; // seconds since start
};

const struct counter_desc *stats_desc(enum counter_scope scope, size_t *n);
uint32_t stats_counters_hash(void);
size_t stats_len(uint32_t n_workers, uint32_t n_ports, uint32_t hop_max);
void stats_init(struct stats_hdr *s, uint32_t n_workers, uint32_t n_ports, uint32_t hop_max,
	uint64_t epoch);
// -EPROTO when the segment is not what this program was built for.
int stats_check(const struct stats_hdr *s, size_t len);

// A reader's: the writer may change its header at any time, so where things are was copied once,
// and the copy was checked.
struct stats_view {
	const struct stats_hdr *live; // NULL: no segment. Only its atomic fields are to be read
	uint32_t n_workers, n_ports, hop_max;
	uint64_t workers_off, ports_off, hops_off;
	uint64_t tsc_hz; // cycles a second; 0 when the writer did not say
	char program[DPMSG_NAME_LEN], dpdk[DPMSG_NAME_LEN], aead[DPMSG_NAME_LEN],
		ciphers[DPMSG_NAME_LEN]; // NUL-terminated
};
// s: len bytes that were mapped. epoch: as it was offered. -EPROTO as stats_check().
int stats_view_open(struct stats_view *v, const struct stats_hdr *s, size_t len, uint64_t epoch);
// NULL out of range.
const struct stats_worker *stats_view_worker(const struct stats_view *v, unsigned i);
const struct stats_port *stats_view_port(const struct stats_view *v, unsigned i);
const struct stats_hop *stats_view_hop(const struct stats_view *v, unsigned i);

// The writer's own.
static inline struct stats_worker *stats_worker(const struct stats_hdr *s, unsigned i)
{
	return (struct stats_worker *)((uintptr_t)s + s->workers_off) + i;
}

static inline struct stats_port *stats_port(const struct stats_hdr *s, unsigned i)
{
	return (struct stats_port *)((uintptr_t)s + s->ports_off) + i;
}

static inline struct stats_hop *stats_hop(const struct stats_hdr *s, unsigned i)
{
	return (struct stats_hop *)((uintptr_t)s + s->hops_off) + i;
}

// For the next hop with that index; the handle and the name stay.
void stats_hop_clear(struct stats_hop *st);

// One writer: a plain add in the generated code, and TSan stays quiet.
static inline void stat_add(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(
		c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline uint64_t stat_get(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}
