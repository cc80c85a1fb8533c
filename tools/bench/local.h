// A node in this process, for benches: the data plane's own tables and workers, without a control
// plane. The caller makes ports, gives each worker its queues through worker_ctx() and runs the
// workers, on lcores or by worker_turn(). Everything is [main].
#pragma once

#include "dataplane/hop/hop_table.h"
#include "dataplane/io/encap.h"
#include "dataplane/rule/rule_table.h"
#include "dataplane/worker/worker.h"
#include "lib/crypto/aead.h"
#include "lib/shm/region.h"

#include <rte_mempool.h>
#include <rte_ring.h>

struct local_conf {
	unsigned n_workers;
	unsigned rule_bits;
	struct rule_table *share; // rules of another one, or NULL
	uint32_t hop_max; // and next hops
	unsigned rx_index_bits;
	uint16_t udp_port;
	enum idle_mode idle;
	const struct aead_choice *aead; // copied; NULL: the preferred ones
	uint32_t rel_bufs; // that a worker keeps for reliable hops; 0: there are none
};

struct local {
	struct region region;
	struct reclaim *reclaim;
	struct rule_table *rules;
	bool own_rules;
	struct adj_table *adjs;
	struct hop_table *hops;
	struct worker_set *set;
};

// 0, or -errno; *what names what there was no room for.
int local_open(struct local *n, const struct local_conf *conf, const char **what);
// Stops the workers. Ports, pools and rings are the caller's. Also after a failed open.
void local_close(struct local *n);

// One end of a link between a node and a bench: the peer's address, keys and a way to it that are
// made up, as a handshake and a neighbour would leave them.
struct local_link {
	uint32_t hop; // handle; the transport's is the same
	uint32_t rx_index, tx_index;
	uint8_t rx_byte, tx_byte; // every byte of the key
	enum aead_cipher cipher;
	bool initiator;
	bool reliable; // mode
	uint8_t owner; // worker
	uint16_t port; // DPDK's
	uint16_t mtu;
	struct dpmsg_addr self, peer; // ports: of UDP
	uint8_t peer_mac[6];
	const char *name;
};

// 0 or -errno. The owner must run hop_commands() for it to take effect.
int local_link(struct adj_table *adjs, struct hop_table *hops, const struct local_link *l,
	uint64_t now_ns);

// A started ring device with one queue per ring. 0 or -errno.
int local_ring_port(const char *name, struct rte_ring **rx, unsigned n_rx, struct rte_ring **tx,
	unsigned n_tx, struct rte_mempool *pool, uint16_t *port);
// The device is gone, and its name free again; the rings stay the caller's.
void local_ring_close(uint16_t port);
