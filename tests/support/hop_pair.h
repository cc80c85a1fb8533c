// Two nodes in one process whose hops are looped to each other over a "wire" that a test can look
// into, reorder, damage and lose. Real hop, encap and parse code on plain mbuf pools; no device, no
// thread, time stands still unless a test moves it.
#pragma once

#include "dataplane/hop/hop_priv.h"
#include "dataplane/hop/hop_route.h"
#include "dataplane/io/parse.h"
#include "tests/support/eal.h"

#include <rte_malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// after the standard headers, as cmocka wants it
#include <cmocka.h>

enum {
	WIRE_MAX = 512,
	GOT_MAX = 2048,
	PORT = 7780,
	HOP_A = 5 | 3 << DPMSG_HANDLE_BITS,
	HOP_B = 9 | 1 << DPMSG_HANDLE_BITS,
	ADJ = 2 | 7 << DPMSG_HANDLE_BITS,
	TP = 11 | 2 << DPMSG_HANDLE_BITS,
	RULE_BITS = 10,
	REL_BUFS = 2048,
};
#define MS_NS 1000000ull
#define S_NS 1000000000ull

struct node {
	struct wctx w;
	struct stats_worker stats;
	uint8_t mac[6];
	uint8_t ip[16];
	uint32_t hop; // handle of the hop to the other
	uint32_t next_index; // receiver index to hand out
	// frames that left
	unsigned n_wire;
	struct rte_mbuf *wire[WIRE_MAX];
	// route packets that arrived
	unsigned n_got;
	struct rte_mbuf *got[GOT_MAX];
	// what went up
	unsigned n_rekeys;
	uint8_t rekey[2048];
	uint32_t rekey_len;
	// reliable mode: rules for what is sent, by id
	struct rule_table rules;
};

struct pair {
	struct node a, b;
	struct rte_mempool *pool;
	unsigned free_before;
	uint64_t now_ns;
	uint8_t cipher;
	bool ip6;
	bool reliable;
	bool searches; // hops look for their path MTU; else it is what the adj says
};

uint64_t counter(const struct node *x, enum worker_counter k);
struct hop *hop_of(struct node *x);
void set_now(struct pair *p, uint64_t now_ns);
void set_adj(struct node *x, const struct node *to, uint16_t mtu);
// A fresh pair of keys, as a handshake begun by `from` would leave it at both ends.
void make_keys(struct pair *p, struct node *from, struct node *to, struct dpmsg_keys *at_from,
	struct dpmsg_keys *at_to);
struct cmd_hop_add make_add(
	const struct node *x, const struct node *peer, const struct dpmsg_keys *keys);
void run_commands(struct node *x);
void add_hop(
	struct pair *p, struct node *x, const struct node *peer, const struct dpmsg_keys *keys);
void rekey(struct pair *p, struct node *x, const struct dpmsg_keys *keys, uint32_t flags);
// What the hop queued becomes frames.
void flush(struct node *x);
// Frames arrive at x. Takes them.
void arrive(struct node *x, struct rte_mbuf **frames, unsigned n);
// Everything that x sent arrives at y.
void deliver_all(struct node *x, struct node *y);
void lose_all(struct node *x);
// To and fro until nothing moves.
void settle(struct pair *p);
struct rte_mbuf *copy_of(struct pair *p, const struct rte_mbuf *m);
struct rte_mbuf *route_packet(struct pair *p, uint8_t type, uint32_t id, uint16_t len);
enum hop_push send_packet(struct pair *p, struct node *x, uint8_t type, uint32_t id, uint16_t len);
// The oldest packet that arrived at x is this one.
void expect(struct node *x, uint8_t type, uint32_t id, uint16_t len);
void forget_got(struct node *x);
// A datagram with these frames, sealed by x as its peer would accept it.
void send_frames(struct pair *p, struct node *x, const void *frames, unsigned len);
// The next note of this kind; others before it are passed over. False: none.
bool next_note(struct node *x, enum dp_note_kind kind, struct dp_note *n);
void skip_notes(struct node *x);
void advance(struct pair *p, uint64_t by_ns);
void pair_init(struct pair *p, uint8_t cipher, bool ip6);
void pair_init_mode(struct pair *p, uint8_t cipher, bool ip6, bool reliable);
void pair_connect(struct pair *p); // after pair_init_mode()
// Linked, A the initiator, first probe answered.
void pair_link(struct pair *p, uint8_t cipher, bool ip6);
// The same in reliable mode.
void pair_link_reliable(struct pair *p, uint8_t cipher, bool ip6);
// A rule at x, for what it sends or gets: packets of this id go on to `tx_hop` under the same id.
void add_rule(struct pair *p, struct node *x, uint32_t id, uint32_t tx_hop, uint32_t in_tp);
// One of what x sends, under the same id; it outlives its packets.
void add_static(struct node *x, uint32_t id);
// What x holds of the route is told as empty.
void end_route(struct node *x, uint32_t id, uint8_t reason);
void pair_fini(struct pair *p);
