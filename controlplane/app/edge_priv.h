// The inside of an edge, for edge.c (its life), edge_io.c (packets into the route) and edge_in.c
// (out of it) only.
#pragma once

#include "controlplane/app/edge.h"
#include "controlplane/app/edge_far.h"
#include "lib/link/gro.h"
#include "lib/wire/route_hdr.h"

enum { EDGE_HEAD_LEN = ROUTE_HDR_LEN + EDGE_SUPER_HDR_LEN };

struct edge {
	struct edge_mgr *m;
	struct edge *next;
	struct api_edge_add spec;
	enum edge_origin origin;
	enum edge_state state;
	bool made; // the device is ours to remove
	int fd; // -1: the device is gone
	struct loop_poll *poll; // NULL then
	struct loop_timer *keep_alive;
	struct route_end end; // bound while not detached
	uint32_t old_forward_id; // while a client's wish is looked into: what was before, 0 =
				 // nothing
	uint32_t old_consume_id;
	unsigned worker;
	uint32_t tx_hop; // of the forward rule
	uint32_t keep_alive_ms; // of the forward rule; 0: static
	bool sent; // something went out since the last tick of keep_alive
	bool flowing; // the device is being read
	bool paused; // the data plane holds enough of the route: the device waits

	// looking whether the rules are there
	struct rule_list *look;
	bool saw_forward, saw_consume, saw_paused, wrong_type;
	edge_done_fn done;
	void *done_arg;

	struct api_edge count; // only its counters are used
	uint8_t kinds; // GSO_* that the device takes; 0: it knows no virtio-net header
	struct edge_far far;
	struct loop_timer *hello;
	// One packet on its way out: a route packet that found no room yet, and the super-packet in
	// buf of which it was cut and more is to be.
	const uint8_t *pending;
	size_t pending_len; // 0: nothing waits
	struct gso_pkt pkt;
	struct gso_cut cut;
	uint8_t buf[EDGE_HEAD_LEN + GSO_PACKET_MAX];
	uint8_t seg[ROUTE_HDR_LEN + GSO_PACKET_MAX];
};

struct edge_mgr {
	struct edge_mgr_conf conf;
	struct dp_handler handler;
	struct loop_timer *retry;
	struct edge *edges;
	struct gro *gro; // packets of this moment, of all edges
	size_t n;
	char *state_path;
	bool restoring;
	uint8_t seg[GSO_PACKET_MAX]; // a packet cut for a device
};

void edge_io_readable(void *arg, bool readable, bool writable);
void edge_io_room(struct edge *e);
void edge_io_pause(struct edge *e, bool paused);
void edge_io_keep_alive(void *arg);
void edge_io_hello(void *arg); // timer: ask the far end what it takes
void edge_io_close(struct edge *e); // send Close(requested) by the forward rule, which then ends
// The far end's hello.
void edge_io_heard(struct edge *e, const uint8_t *p, size_t len);
bool edge_in_route(void *arg, uint8_t *p, size_t n); // struct edge
void edge_in_closed(struct edge *e); // by the far end
void edge_in_joined(void *arg, void *owner, const struct gso_pkt *g); // gro_out_fn
void edge_gone(struct edge *e, const char *why);
void edge_lost(struct edge *e, int rc); // its device ended; rc: -errno
