// Inside of rel_sim*.c.
#pragma once

#include "lib/base/err.h"
#include "lib/link/cc.h"
#include "lib/link/pmtu.h"
#include "lib/link/rel_run.h"
#include "lib/wire/rail.h"
#include "tests/support/rel_sim.h"

enum {
	NODES = 8,
	ROUTES = 64,
	RULES = 256,
	SPARE = 1024,
	OUT_CAP = REL_SEGS_MAX,
	BODY_LEN = 12,
	HOLDS = 2
};

struct buf {
	uint32_t len;
	uint8_t b[];
};

struct node;
struct link;

struct end { // of a link
	struct link *link;
	struct node *node;
	unsigned side;
	struct rel *rel;
	struct replay *replay;
	unsigned at; // hold
	uint16_t account[HOLDS];
	uint64_t armed_ns;
	bool closed;
	struct pmtu mtu; // in bytes of frames
	uint32_t mtu_tag; // of the last probe
};

struct wire {
	struct sim_wire_conf c;
	uint64_t free_ns; // the bottleneck has sent all until then
	unsigned burst; // still to be lost
};

struct link {
	struct end end[2];
	struct wire wire[2]; // from that end
	unsigned epoch;
	uint32_t mtu; // bytes of frames
};

struct rule {
	uint32_t id;
	struct end *in, *out; // NULL: edge
	uint32_t next_id;
	unsigned route, pos;
	bool open; // known to the node
	bool done;
	uint8_t reason; // it ended abnormally
};

struct node {
	struct sim *s;
	unsigned i;
	struct rel_hold *hold[HOLDS]; // as of two workers
	struct rel_route *routes;
	struct rel_queue *sink[HOLDS];
	uint16_t account[HOLDS]; // of our own packets
	struct rule rule[RULES];
	unsigned n_rules;
	unsigned n_chunks;
};

struct sroute {
	struct rule *rule[NODES + 1]; // by position
	struct node *node[NODES + 1];
	unsigned n; // nodes
	uint64_t sent, got;
	uint64_t next_ns, read_ns;
	bool paused, closing; // source
	bool ended; // reader
	bool stopped; // reader
	uint8_t src_reason, rx_reason;
};

enum ev_kind {
	EV_DGRAM,
	EV_TIMER,
	EV_TICK,
	EV_WAKE,
	EV_STOP,
	EV_GO,
	EV_ABORT,
	EV_RESET,
	EV_SHRINK,
	EV_PATH, // p: &path[i]
	EV_MOVE
};

struct dgram {
	struct end *to;
	unsigned epoch;
	uint64_t counter;
	uint32_t len;
	uint8_t b[];
};

struct event {
	uint64_t ns, order;
	enum ev_kind kind;
	void *p;
};

struct sim {
	struct sim_conf c;
	struct sim_result *res;
	uint64_t now, random, order;
	struct event *heap;
	size_t n_heap, cap_heap;
	struct node node[NODES];
	struct link link[NODES];
	unsigned n_links;
	struct sroute route[ROUTES];
	long n_bufs;
	bool bad;
};

uint64_t sim_random(struct sim *s);
bool sim_chance(struct sim *s, uint32_t ppm);
void sim_at(struct sim *s, uint64_t ns, enum ev_kind kind, void *p);
__attribute__((format(printf, 2, 3))) void sim_fail(struct sim *s, const char *fmt, ...);
struct buf *sim_buf(struct sim *s, uint32_t len);
void sim_buf_free(struct sim *s, struct buf *b);

// rel_sim_net.c
void sim_link_make(struct sim *s, struct link *l, struct node *a, struct node *b);
void sim_link_free(struct sim *s, struct link *l);
void sim_link_flush(struct sim *s, struct end *e); // sends what may be sent
void sim_link_rx(struct sim *s, struct dgram *d);
void sim_link_reset(struct sim *s, struct link *l);
void sim_link_mtu(struct sim *s, struct end *e); // now and then
void sim_link_probed(struct sim *s, struct end *e, const struct rel_event *ev);

// rel_sim_node.c
void sim_node_make(struct sim *s, unsigned i);
void sim_node_free(struct sim *s, struct node *n);
void sim_node_forward(struct sim *s, struct node *n, struct end *in, struct buf *b);
void sim_node_end_rule(struct sim *s, struct node *n, struct rule *r, uint8_t reason, bool tell_in);
void sim_node_turn(struct sim *s, struct node *n);
void sim_node_events(struct sim *s, struct node *n);
struct rel_queue *sim_node_sink(const struct node *n, const struct rule *r);
void sim_node_move(struct sim *s, struct end *e); // to the other hold
