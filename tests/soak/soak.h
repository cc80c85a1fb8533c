// A world of three whole nodes in one process, on simulated time: real workers, main lcores, rules,
// hops and rings (dataplane/), real transport and rule managers on a real ring client
// (controlplane/), and between them wires, neighbours and clocks that the world makes. What
// happens follows from the seed alone.
//
//      A ====reliable==== B ====reliable==== C ----datagram---- A
//
// B has three workers, C has two. Each link has as many flows as its ends want in their present
// lives. Whatever can die is made to: processes are freed as the kernel frees them and begun again.
#pragma once

#include "controlplane/core/identity.h"
#include "controlplane/core/loop.h"
#include "controlplane/dp/dp_client.h"
#include "controlplane/dp/neigh.h"
#include "controlplane/route/rule_mgr.h"
#include "controlplane/transport/transport_mgr.h"
#include "dataplane/ctl/ctl.h"

#include <rte_ring.h>

enum {
	SOAK_NODES = 3,
	SOAK_LINKS = 3,
	SOAK_WORKERS = 3, // at most
	SOAK_FLOWS = 4, // ditto; as many UDP ports
	SOAK_UDP = 7780,
	SOAK_ROUTES = 8,
	SOAK_POS = 3, // rules of a route, at most
	SOAK_RULE_BITS = 8,
	SOAK_BUFS = 4095, // of a node
	SOAK_SEEN = 8192,
	SOAK_STATIC_ID = 16, // index of the first rule of the configuration
};
#define SOAK_MS 1000000ull
#define SOAK_S 1000000000ull

// ---- nodes ----

struct soak_dp { // a data plane, while it lives
	bool alive;
	bool workers_stopped, main_stopped; // by SIGSTOP
	struct region_conf rc;
	struct region region;
	struct reclaim *reclaim;
	struct rule_table rules;
	struct adj_table *adjs;
	struct hop_table *hops;
	struct worker_set *workers;
	struct ctl *ctl;
	int listen_fd;
};

struct soak_cp { // a control plane, while it lives
	bool alive;
	bool stopped; // by SIGSTOP
	struct loop *loop;
	struct dp_client *dp;
	struct neigh *neigh;
	struct transport_mgr *transports;
	struct route_id *ids;
	struct rule_mgr *rules;
	struct dp_handler handler; // of the edge
	unsigned life;
	struct transport_watch watch;
	unsigned moves; // asked for and not answered
};

struct soak_node {
	unsigned i;
	uint8_t seen_as; // third byte of its address as others see it, 0: its own
	bool no_path; // its neighbours do not answer
	int64_t wall_off_ns;
	char dir[64];
	struct identity *id;
	struct rte_mempool *pool;
	struct rte_ring *rx, *tx;
	uint16_t port; // DPDK number
	struct port_set *ports;
	bool unplugged; // the device has no link, and gets none by being dialed
	struct rte_mbuf *stolen[SOAK_BUFS];
	unsigned n_stolen;
	struct soak_dp dp;
	struct soak_cp cp;
};

struct soak_wire { // one direction of a link
	bool cut;
	uint32_t loss_ppm, dup_ppm, reorder_ppm;
	uint64_t delay_ns, rate_Bps, free_ns;
	uint32_t queue_bytes;
};

struct soak_link {
	unsigned end[2]; // nodes
	uint8_t mode;
	struct soak_wire wire[2]; // from that end
};

// ---- routes: what edges do ----

struct soak_route {
	unsigned n; // nodes
	unsigned node[SOAK_POS];
	bool fixed; // rules of the configuration
	bool lossy; // a link in datagram mode is on its way
	uint32_t id[SOAK_POS]; // of the rules, 0: none
	unsigned building; // rules asked for and not answered
	bool live; // all rules were there
	bool broken; // a rule of it is gone
	uint8_t reason[SOAK_POS]; // why
	uint64_t since_ns; // live, or broken
	// source
	bool attached; // it knows the worker
	unsigned worker; // whose ring it gives packets to; for good, as their order is the ring's
	bool paused;
	uint32_t to_send, next; // numbers
	uint64_t alive_ns; // next keep-alive
	// reader
	uint32_t expected;
	uint32_t lost_below; // those that are missing below this one may be: somebody said why
	uint64_t read;
	uint32_t seen[SOAK_SEEN]; // numbers + 1, by their low bits
};

enum soak_why { SOAK_DP_KILLED, SOAK_CP_KILLED, SOAK_RESET, SOAK_HELD };

// ---- the world ----

struct soak_op { // something that happens at its time
	void (*fn)(const struct soak_op *op);
	struct soak_node *node;
	struct soak_link *link;
	uint64_t arg;
};

struct soak_count {
	uint64_t frames, lost, packets, reads, kills, faults, rekeys, resets, handshakes;
	uint64_t closed[RULE_GONE_COUNT], pauses, overflows, refused, worst_up_ms;
	uint64_t moves, no_room, away, other_flows;
};

struct soak {
	uint64_t seed, random, programs; // states of chance: the world's, and the programs' own
	uint64_t now_ns;
	uint64_t busy_until_ns; // small steps until then
	uint32_t rel_bufs; // what a worker may keep
	struct soak_node node[SOAK_NODES];
	struct soak_link link[SOAK_LINKS];
	struct soak_route route[SOAK_ROUTES];
	struct aead_choice aead;
	struct soak_node *current; // whose wall clock is asked
	unsigned n_faults; // under way
	struct soak_count count;
	char why[256]; // "" while nothing is wrong
};
extern struct soak soak;

uint64_t soak_random(void);
uint64_t soak_word(void); // of the programs
uint64_t soak_pick(uint64_t lo, uint64_t hi); // lo..hi
bool soak_chance(uint32_t ppm);
__attribute__((format(printf, 1, 2))) void soak_fail(const char *fmt, ...);

// soak_loop.c: controlplane/core/loop.h on simulated time
bool soak_loop_turn(struct loop *l); // true: there was work
uint64_t soak_loop_next(const struct loop *l); // time of the next timer, UINT64_MAX: none

// soak_node.c
void soak_node_make(unsigned i);
void soak_node_free(struct soak_node *n);
void soak_dp_start(struct soak_node *n);
void soak_dp_kill(struct soak_node *n);
void soak_cp_start(struct soak_node *n);
void soak_cp_kill(struct soak_node *n);
bool soak_node_turn(struct soak_node *n);
void soak_unplug(struct soak_node *n); // until soak_plug(), whatever the data plane does
void soak_plug(struct soak_node *n);
// Some flows of some transport go to other workers.
void soak_move(struct soak_node *n);
uint64_t soak_dp_counter(const struct soak_node *n, enum worker_counter k);
struct transport *soak_transport(struct soak_node *n, unsigned to);
bool soak_link_is_up(const struct soak_link *l);

// soak_net.c: wires, and controlplane/dp/neigh.h
struct neigh *soak_neigh_new(struct soak_node *n);
void soak_neigh_free(struct neigh *n);
void soak_paths(struct soak_node *n, bool usable);
bool soak_collect(struct soak_node *n); // frames that it sent go on their way
void soak_arrive(const struct soak_op *op);
struct soak_link *soak_link_of(unsigned a, unsigned b);

// soak_world.c
void soak_open(uint64_t seed);
void soak_close(void);
void soak_at(uint64_t ns, const struct soak_op *op);
// Until `done` (NULL: never) or the time is over: true when done.
bool soak_run(uint64_t ns, bool (*done)(void));

// soak_route.c
void soak_routes_open(void);
void soak_rules_of(unsigned node, struct api_rule_add *out, size_t *n); // of the configuration
void soak_edge_attach(struct soak_node *n); // hears its control plane
bool soak_routes_turn(void);
void soak_routes_build(void); // those that are not there
void soak_routes_send(uint32_t packets);
void soak_excuse(unsigned node, enum soak_why why);
bool soak_routes_idle(void); // all that was sent arrived, or is excused
void soak_routes_judge(void);
void soak_routes_say(void); // how they stand, for people

// soak_fault.c
void soak_fault(void); // one at random, now
